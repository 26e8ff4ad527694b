package vault

import (
	"bytes"
	"cmp"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/fault"
)

// A secret keeps its tier as long as its records say so. Whoever can write the file can remove the records, or, with
// the keys of the epoch, put others in their place. So before the owner gives a secret the tier that its records
// say, and the owner did not sign the newest of these, the owner looks into the log: absence is no lower tier.

// toldOf is what the log tells of a secret.
type toldOf struct {
	seq  uint64      // the newest entry that says that the secret is there; 0 if none does
	tier tokens.Tier // the highest since the owner last wrote it
}

// looking is a look for some secrets. The owner's entries count if they are signed; others can only raise a tier.
type looking struct {
	s       *Session
	t       *tx
	wanted  map[string]*toldOf
	open    map[string]bool // those whose entry by the owner was not met yet
	pending []ownersEntry
}

// ownersEntry is an entry in the owner's name. Its signature covers the MAC of the entry before it.
type ownersEntry struct {
	audit.Entry
	seq uint64
	ev  audit.Event
}

// look returns what the log tells of a secret. It walks back to the owner's newest entry about it, or to the
// beginning of the log if there is none (BenchmarkLook). If t.lookFor names other secrets, one walk serves all. An
// entry that cannot be read, or is missing, is damage: it may be the one that is looked for.
func (s *Session) look(t *tx, p tokens.Path) (toldOf, error) {
	if found, done := t.looked[p]; done {
		return found, nil
	}
	l := looking{s: s, t: t, wanted: map[string]*toldOf{}, open: map[string]bool{}}
	for _, p := range append([]tokens.Path{p}, t.lookFor...) {
		l.wanted[p.String()], l.open[p.String()] = &toldOf{}, true
	}
	if err := l.walk(); err != nil {
		return toldOf{}, err
	}
	t.looked = map[tokens.Path]toldOf{}
	for text, found := range l.wanted {
		if p, err := tokens.ParsePath(text); err == nil {
			t.looked[p] = *found
		}
	}
	return t.looked[p], nil
}

func (l *looking) walk() error {
	cp, err := l.t.checkpoint()
	if err != nil {
		return err
	}
	var (
		last   uint64 // the number of the entry before, which is the newer one
		broken error
	)
	err = l.t.b.WalkBack(bucketAudit, func(k, v []byte) bool {
		n := audit.Seq(k)
		switch {
		case n == 0: // the checkpoint
			return false
		case last > 0 && n != last-1:
			broken = fault.Damaged(l.t.b.Path(), "its audit log has entry %d but not the one before it, so nobody knows which tiers "+
				"secrets had; ass audit verify says more", last)
			return false
		}
		l.settle(macOf(v))
		if last = n; n <= cp.Seq || len(l.open) == 0 {
			return false
		}
		broken = l.entry(n, v)
		return broken == nil
	})
	if err = cmp.Or(err, broken); err != nil {
		return err
	}
	first := [audit.MACSize]byte{}
	if len(cp.CutMAC) == len(first) {
		first = [audit.MACSize]byte(cp.CutMAC)
	}
	l.settle(first)
	if last > cp.Seq+1 && len(l.open) > 0 {
		return fault.Damaged(l.t.b.Path(), "its audit log begins with entry %d, so nobody knows which tiers secrets had; ass audit "+
			"verify says more", last)
	}
	for _, r := range cp.Records {
		if l.open[r.Name] && !r.Gone {
			l.raise(r.Name, r.Seq, r.Tier)
		}
	}
	return nil
}

// entry looks at one entry. Most are about something else, which their bytes show.
func (l *looking) entry(seq uint64, v []byte) error {
	e, err := audit.Parse(v)
	var ev audit.Event
	if err == nil {
		if !l.concerns(e.Body) {
			return nil
		}
		ev, err = e.Event()
	}
	if err != nil {
		return fault.Damaged(l.t.b.Path(), "audit entry %d: %v, so nobody knows which tiers secrets had", seq, err)
	}
	if changed, _ := ev.Writes(); !changed && ev.Type != audit.SecretImported {
		return nil
	}
	if ev.ActorID == audit.Owner || e.By == audit.Owner {
		e.Body, e.Sig = bytes.Clone(e.Body), bytes.Clone(e.Sig)
		l.pending = append(l.pending, ownersEntry{e, seq, ev})
		return nil
	}
	l.each(ev, func(path string, tier tokens.Tier, left bool) {
		if left {
			l.raise(path, seq, tier)
		}
	})
	return nil
}

// concerns reports whether the body of an entry may be about a wanted secret.
func (l *looking) concerns(body []byte) bool {
	if !bytes.Contains(body, []byte(`"secret.`)) || bytes.Contains(body, []byte(`"event_type":"secret.read`)) {
		return false
	}
	if len(l.wanted) > 1 || bytes.Contains(body, []byte(`"secret.imported"`)) {
		return true
	}
	for path := range l.wanted {
		if !bytes.Contains(body, []byte(path)) {
			return false
		}
	}
	return true
}

// each calls fn for each wanted secret that an entry is about.
func (l *looking) each(ev audit.Event, fn func(path string, tier tokens.Tier, left bool)) {
	tierIn := func(x any) tokens.Tier {
		text, _ := x.(string)
		tier, _ := tokens.ParseTier(text)
		return tier
	}
	if ev.Type != audit.SecretImported {
		if _, left := ev.Writes(); l.open[ev.ResourceID] {
			fn(ev.ResourceID, tierIn(ev.Metadata["tier"]), left)
		}
		return
	}
	items, _ := itemsOf(ev)
	for item := range items {
		if l.open[item.path] {
			fn(item.path, tierIn(item.tier), true)
		}
	}
}

func (l *looking) raise(path string, seq uint64, tier tokens.Tier) {
	found := l.wanted[path]
	found.seq, found.tier = max(found.seq, seq), max(found.tier, tier)
}

// settle decides on entries in the owner's name, now that the entry before them is known. A signed one is the last word on
// what came before it. Another may only raise.
func (l *looking) settle(before [audit.MACSize]byte) {
	for _, e := range l.pending {
		signed := false
		for n := l.t.Epoch.N; n > 0 && !signed && e.By == audit.Owner; n-- {
			signed = e.IsSignedBy(l.s.pub, l.s.logPlace(e.Entry, n), e.seq, before)
		}
		l.each(e.ev, func(path string, tier tokens.Tier, left bool) {
			if left {
				l.raise(path, e.seq, tier)
			}
			if signed {
				delete(l.open, path)
			}
		})
	}
	l.pending = l.pending[:0]
}
