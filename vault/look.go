package vault

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/fault"
	"ass/vault/internal/keys"
)

// A secret keeps its tier as long as its records say so. Whoever can write the file can remove the records, or, with
// the keys of the epoch, put others in their place. So before the owner gives a secret the tier that its records
// say, and the owner did not sign the newest of these, the owner looks into the log: absence is no lower tier.

// toldOf is what the log tells of a secret.
type toldOf struct {
	seq  uint64      // the newest entry that says that the secret is there; 0 if none does
	tier tokens.Tier // the highest since the owner last wrote it
	last uint64      // the highest number that a version had; 0 if none is told

	purged  bool // by the owner, in format 1: older entries tell of the number alone
	settled bool // by the owner's newest entry: older ones tell nothing more
}

// looking is a look for some secrets. The owner's entries count if they are signed; others can only raise a tier.
type looking struct {
	s       *Session
	t       *tx
	wanted  map[string]*toldOf
	open    int // how many of them are not settled yet
	pending []ownersEntry
	cp      checkpoint
	named   bool  // whether an entry was met that tells which checkpoint must be there
	broken  error // what stops the look
}

// ownersEntry is an entry in the owner's name. Its signature covers the MAC of the entry before it.
type ownersEntry struct {
	audit.Entry
	seq uint64
	ev  audit.Event
}

// look returns what the log tells of a secret. It walks back to the owner's newest entry about it, or to the
// beginning of the log if there is none (BenchmarkLook). If t.lookFor names other secrets, one walk serves all. An
// entry that cannot be read, or is missing, is damage: it may be the one that is looked for. Then look also returns
// what newer entries tell.
func (s *Session) look(t *tx, p tokens.Path) (toldOf, error) {
	if found := t.looked[p.String()]; found != nil {
		return *found, t.lookErr
	}
	n := 1 + len(t.lookFor)
	l := looking{s: s, t: t, wanted: make(map[string]*toldOf, n)}
	found := make([]toldOf, n)
	for i, p := range append([]tokens.Path{p}, t.lookFor...) {
		l.wanted[p.String()] = &found[i]
	}
	l.open = len(l.wanted)
	t.looked, t.lookErr = l.wanted, l.walk()
	return *t.looked[p.String()], t.lookErr
}

func (l *looking) walk() (err error) {
	if l.cp, err = l.t.checkpoint(); err != nil {
		return err
	}
	var last uint64 // the number of the entry before, which is the newer one
	began := false  // whether the entry was met that the checkpoint names as its own
	err = l.t.b.WalkBack(bucketAudit, func(k, v []byte) bool {
		n := audit.Seq(k)
		switch {
		case n == 0: // the checkpoint
			return false
		case last > 0 && n != last-1:
			l.broken = l.unknown("its audit log has entry %d but not the one before it", last)
			return false
		}
		l.settle(macOf(v))
		if last = n; n < l.cp.Seq || l.open == 0 || l.broken != nil {
			return false
		}
		began = n == l.cp.Seq
		l.broken = l.entry(n, v)
		return l.broken == nil
	})
	if err = cmp.Or(err, l.broken); err != nil {
		return err
	}
	first := [audit.MACSize]byte{}
	if len(l.cp.CutMAC) == len(first) {
		first = [audit.MACSize]byte(l.cp.CutMAC)
	}
	l.settle(first)
	switch {
	case l.broken != nil || l.open == 0:
		return l.broken
	case last > l.cp.Seq+1:
		return l.unknown("its audit log begins with entry %d", last)
	case l.cp.Seq > 0 && !began:
		return l.unknown("its checkpoint is one after entry %d, which the audit log does not have", l.cp.Seq)
	}
	for _, r := range l.cp.Records {
		if l.isOpen(r.Name) {
			l.tells(r.Name, r.Seq, r.Tier, max(r.Version, r.Last), !r.Gone)
		}
	}
	return nil
}

// unknown returns an error about what keeps the look from the log.
func (l *looking) unknown(format string, args ...any) error {
	return fault.Damaged(l.t.b.Path(), "%s, so nobody knows which tiers secrets had; ass audit verify says more",
		fmt.Sprintf(format, args...))
}

// entry looks at one entry. Most are about something else, which their bytes show.
func (l *looking) entry(seq uint64, v []byte) error {
	e, err := audit.Parse(v)
	var ev audit.Event
	if err == nil {
		g, _ := audit.Look(v)
		tells := !l.named && string(g.Type) == audit.Checkpointed
		if resource, plain := g.Resource(); plain && !tells && seq != l.cp.Seq && !l.concerns(g.Type, resource) {
			return nil
		}
		ev, err = e.Event()
	}
	if err != nil {
		return l.unknown("audit entry %d: %v", seq, err)
	}
	byOwner := ev.ActorID == audit.Owner || e.By == audit.Owner
	if byOwner && ev.Type == audit.Checkpointed && !l.named {
		l.named = true
		if (namedCheckpoint{seq: seq, sum: sumIn(ev)}).differs(l.cp, seq) != "" {
			return l.unknown("its checkpoint is not the one that audit entry %d tells of", seq)
		}
		l.pending = append(l.pending, ownersEntry{cloned(e), seq, ev})
		return nil
	}
	if seq == l.cp.Seq && e.Format >= keys.Format2 && !l.named {
		return l.unknown("no audit entry tells of its checkpoint")
	}
	if changed, _ := ev.Writes(); !changed && ev.Type != audit.SecretImported {
		return nil
	}
	if byOwner {
		l.pending = append(l.pending, ownersEntry{cloned(e), seq, ev})
		return nil
	}
	l.each(ev, func(path string, tier tokens.Tier, last uint64, left bool) {
		if left && last < maxVersion/2 { // a higher number is to keep the owner from writing
			l.tells(path, seq, tier, last, left)
		} else if left {
			l.tells(path, seq, tier, 0, left)
		}
	})
	return nil
}

// cloned returns a copy of an entry that lies in a page of the file.
func cloned(e audit.Entry) audit.Entry {
	e.Body, e.Sig, e.OMAC = bytes.Clone(e.Body), bytes.Clone(e.Sig), bytes.Clone(e.OMAC)
	return e
}

// concerns reports whether an entry may be about a wanted secret. One about several secrets names a namespace that
// holds them all.
func (l *looking) concerns(event, resource []byte) bool {
	if !bytes.HasPrefix(event, []byte("secret.")) || bytes.HasPrefix(event, []byte(audit.SecretRead)) {
		return false
	}
	for path := range l.wanted {
		below, within := strings.CutPrefix(path, string(resource))
		if len(resource) == 0 || within && (below == "" || below[0] == '/') {
			return true
		}
	}
	return false
}

// isOpen reports whether older entries can still tell something of a path.
func (l *looking) isOpen(path string) bool {
	found := l.wanted[path]
	return found != nil && !found.settled
}

// close notes that older entries can tell nothing more of a path, which is open.
func (l *looking) close(path string) {
	l.wanted[path].settled = true
	l.open--
}

// each calls fn for each wanted secret that an entry is about. last is the number of the version that the entry tells
// of.
func (l *looking) each(ev audit.Event, fn func(path string, tier tokens.Tier, last uint64, left bool)) {
	for _, item := range ev.Secrets() {
		changed, left := audit.WritesItem(&ev, &item)
		if ev.Type == audit.SecretImported {
			changed, left = true, true
		}
		if changed && l.isOpen(item.Path) {
			tier, _ := tokens.ParseTier(item.Tier)
			fn(item.Path, tier, max(min(item.Version, maxVersion), lastIn(ev, audit.Owner)), left)
		}
	}
}

// tells notes what an entry, or the checkpoint, tells of a secret. left says whether the secret is there after it.
func (l *looking) tells(path string, seq uint64, tier tokens.Tier, last uint64, left bool) {
	found := l.wanted[path]
	if found.last = max(found.last, last); left && !found.purged {
		found.seq, found.tier = max(found.seq, seq), max(found.tier, tier)
	}
}

// settle decides on entries in the owner's name, now that the entry before them is known. A signed one is the last word
// on what came before it. Another may only raise.
func (l *looking) settle(before [audit.MACSize]byte) {
	for _, e := range l.pending {
		signed := false
		for n := l.t.Epoch.N; n > 0 && !signed && e.By == audit.Owner; n-- {
			signed = e.IsSignedBy(l.s.pub, l.s.logPlace(e.Entry, n), e.seq, before)
		}
		if e.ev.Type == audit.Checkpointed && !signed && l.broken == nil {
			l.broken = l.unknown("audit entry %d tells of a checkpoint, but the owner did not sign it", e.seq)
		}
		l.each(e.ev, func(path string, tier tokens.Tier, last uint64, left bool) {
			if !signed && last >= maxVersion/2 {
				last = 0
			}
			if left || signed {
				l.tells(path, e.seq, tier, last, left)
			}
			switch {
			case signed && !left && last == 0:
				l.wanted[path].purged = true
			case signed:
				l.close(path)
			}
		})
	}
	l.pending = l.pending[:0]
}
