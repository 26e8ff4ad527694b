package audit

import (
	"bytes"
	"crypto/hmac"
	"fmt"
	"iter"

	"github.com/cloudflare/circl/sign/ed25519"
)

// Finding is one thing that a check found wrong.
type Finding struct {
	Seq     uint64 // the entry that it is about
	To      uint64 // the last one, if it is about several; else 0
	Problem string

	// Signed says that the entry's author signed it in this place, so that it can be believed.
	Signed bool
}

func (f Finding) String() string {
	if f.To > f.Seq {
		return fmt.Sprintf("audit entries %d to %d: %s", f.Seq, f.To, f.Problem)
	}
	return fmt.Sprintf("audit entry %d: %s", f.Seq, f.Problem)
}

// Verifier holds what the check of a log needs.
type Verifier struct {
	Vault [16]byte

	// FirstKey returns the key of the entry seq, if that entry begins epoch.
	// Only the holder of the vault's root can compute it.
	FirstKey func(epoch uint32, seq uint64) [32]byte

	// SignedBy returns the public key of an actor. The owner's key must come from
	// outside the log. All other keys must depend only on the agent and token events
	// that Visit was given.
	SignedBy func(by string) (ed25519.PublicKey, bool)

	// OwnerMAC returns the key of the owner's MACs in an epoch of format 2; nil if it is not available.
	OwnerMAC func(epoch uint32) [32]byte

	// Last is the number of the last entry, as the vault's head counts them; 0 if
	// that is not known.
	Last uint64

	// After is the position of the log before the first entry here, Epoch is its
	// epoch there, and Format that of the epoch. Earlier entries were archived. The zero Position is the beginning.
	After  Position
	Epoch  uint32
	Format int

	// Visit, if set, is called in order for every valid entry, with checked true. It is
	// called with checked false for an entry that cannot be checked because the one
	// before it is missing. Such an entry is also a finding.
	Visit func(seq uint64, by string, ev Event, checked bool)
}

// Owner is the name under which the owner of a vault acts.
const Owner = "owner"

// maxGap is the maximum number of missing entries, over all gaps. A record beyond it
// counts as one odd key: a walk over maxGap entries takes seconds, but a walk over a gap
// of up to 2^64 would never end.
const maxGap = 1 << 20

// Verify walks a whole log, oldest entry first. It returns the position after the
// last entry, the epoch there, and all findings. One altered entry is one finding:
// the keys do not depend on the events, so the walk continues after it, even if it began
// an epoch.
func (v *Verifier) Verify(entries iter.Seq2[[]byte, []byte]) (Position, uint32, []Finding) {
	w := walk{Verifier: v, at: v.After, epoch: v.Epoch, format: max(v.Format, 1)}
	defer w.stop()
	for key, value := range entries {
		w.add(Seq(key), value)
	}
	w.drain()
	w.settle()
	return w.at, w.epoch, w.findings
}

// next walks on to the next record of the log.
func (w *walk) next(a *ahead) {
	gap := a.seq - w.at.Seq - 1
	if a.seq <= w.at.Seq || gap > maxGap-w.missing || w.Last > 0 && a.seq > w.Last {
		w.found(w.at.Seq+1, "a record with an invalid key lies before it or after the last entry")
		return
	}
	if gap > 0 {
		w.missing += gap
		w.report(Finding{Seq: w.at.Seq + 1, To: a.seq - 1, Problem: "missing"})
		for w.at.Seq+1 < a.seq {
			w.pass([MACSize]byte{}, nil)
		}
		w.torn = true
	}
	w.entry(a)
}

// walk is one run of [Verifier.Verify].
type walk struct {
	*Verifier
	at       Position // after the previous entry
	epoch    uint32
	format   int // of that epoch
	owners   ownerKeys
	missing  uint64  // entries, in all gaps
	broken   []begun // invalid or missing entries since the last valid one
	torn     bool    // the entry before is missing, so the chain to it cannot be checked
	findings []Finding
	scratch  []byte // the signed bytes of the current entry
	reader
	signatures
}

// begun is an entry that may have begun the next epoch.
type begun struct {
	seq uint64
	at  uint64 // the entry that key is for; 0 if key is not computed yet
	key [32]byte
}

func (w *walk) found(seq uint64, format string, args ...any) {
	w.report(Finding{Seq: seq, Problem: fmt.Sprintf(format, args...)})
}

// report adds a finding, behind those of the entries before.
func (w *walk) report(f Finding) {
	w.settle()
	w.findings = append(w.findings, f)
}

// pass moves on past an invalid entry, or past a missing one if a is nil.
func (w *walk) pass(mac [MACSize]byte, a *ahead) {
	w.at = Position{Seq: w.at.Seq + 1, LastMAC: mac, Key: a.keyAfter(w.at.Key)}
	const most = 64
	if len(w.broken) == most {
		w.broken = w.broken[:copy(w.broken, w.broken[1:])]
	}
	w.broken = append(w.broken, begun{seq: w.at.Seq})
}

func (w *walk) entry(a *ahead) {
	a.take()
	seq, e, ev, err := a.seq, a.Entry, a.ev, a.evErr
	if a.err != nil {
		w.found(seq, "%v", a.err)
		w.pass(e.MAC, a)
		return
	}
	if w.torn {
		w.torn = false
		w.found(seq, "it cannot be checked, because the entry before it is missing")
		if err == nil && w.Visit != nil {
			w.Visit(seq, e.By, ev, false)
		}
		w.pass(e.MAC, a)
		return
	}
	k, epoch, ok := w.keyOf(a)
	if !ok && err == nil && w.isSigned(seq, e, ev) {
		w.foundUnchained(seq)
		if w.Visit != nil {
			w.Visit(seq, e.By, ev, true)
		}
		w.pass(e.MAC, a)
		return
	}
	if !ok {
		w.found(seq, "MAC mismatch: it was modified, moved, or written without the key%s", saying(ev, err))
		w.pass(e.MAC, a)
		return
	}
	begins := epoch != w.epoch && ev.Epoch == epoch
	if w.unsure {
		w.settle()
	}
	pub, known := w.SignedBy(e.By)
	c := claim{seq: seq, Entry: e, ev: ev, pub: pub, owner: w.owners.of(w.OwnerMAC, epoch)}
	switch {
	case err != nil:
		w.found(seq, "%v", err)
	case !known:
		w.found(seq, "its author %q is unknown", Short(e.By))
	case ev.ActorID != e.By:
		c.otherwise = fmt.Sprintf("it names %q as its actor but is signed by %q", Short(ev.ActorID), Short(e.By))
	case begins && epoch > w.epoch+1 && len(w.broken) == 0 && ev.Type != VaultRestored:
		c.otherwise = fmt.Sprintf("it begins epoch %d after epoch %d", epoch, w.epoch)
	case ev.Epoch != 0 && !begins:
		c.otherwise = fmt.Sprintf("it claims to begin epoch %d", ev.Epoch)
	}
	if err == nil && known {
		w.claim(c, a, epoch)
	}
	w.format = e.Format
	w.at, w.epoch, w.broken = Position{Seq: seq, LastMAC: e.MAC, Key: a.keyAfter(k)}, epoch, nil
}

// saying tells what the bytes of an entry that does not hold say, so that a person knows what to compare with a backup.
func saying(ev Event, err error) string {
	if err != nil {
		return ""
	}
	what := fmt.Sprintf("%q", Short(ev.Type))
	if about := ev.About(); about != "" {
		what += fmt.Sprintf(" of %q", Short(about))
	}
	return "; its bytes say " + what + ", but what it told of is not known"
}

// Short cuts a text, for a message, that somebody may have made as long as an entry or a record.
func Short(text string) string {
	const most = 100
	if len(text) <= most {
		return text
	}
	return text[:most] + "…"
}

// isSigned reports whether an entry whose MAC does not hold is signed in this place, behind the entry before it. If a
// member of the epoch leaves a wrong key for the next entry, the MACs of all later entries of the epoch are
// wrong, but their authors have signed them all the same.
func (w *walk) isSigned(seq uint64, e Entry, ev Event) bool {
	w.settle() // the entries before may introduce the author
	pub, known := w.SignedBy(e.By)
	here := Place{w.Vault, w.epoch, w.format, w.owners.of(w.OwnerMAC, w.epoch)}
	return known && ev.ActorID == e.By && ev.Epoch == 0 && e.IsSignedBy(pub, here, seq, w.at.LastMAC)
}

// foundUnchained adds a finding about such an entry, or makes the last finding of that kind longer.
func (w *walk) foundUnchained(seq uint64) {
	const problem = "MAC mismatch, but the author signed it in this place: the MAC was modified, or a wrong key was left " +
		"for it"
	if last := len(w.findings) - 1; last >= 0 && w.findings[last].Problem == problem &&
		max(w.findings[last].Seq, w.findings[last].To)+1 == seq {
		w.findings[last].To = seq
		return
	}
	w.report(Finding{Seq: seq, Problem: problem, Signed: true})
}

// keyOf finds the key under which the entry's MAC is valid: the next key of this
// epoch; the first key of the epoch that the entry begins; or, after invalid or missing
// entries, a key of the epoch that one of them may have begun.
func (w *walk) keyOf(a *ahead) (k [32]byte, epoch uint32, ok bool) {
	seq, e, ev := a.seq, a.Entry, a.ev
	holds := func(k [32]byte, epoch uint32) bool {
		if a.isAt(epoch, w.at.LastMAC) && a.key == k {
			return a.macHolds
		}
		w.scratch = e.appendSigned(w.scratch[:0], Place{Vault: w.Vault, Epoch: epoch}, seq, w.at.LastMAC)
		mac := e.mac(k, w.scratch)
		return hmac.Equal(mac[:], e.MAC[:])
	}
	if ev.Epoch > w.epoch && e.By == Owner {
		if k := w.FirstKey(ev.Epoch, seq); holds(k, ev.Epoch) {
			return k, ev.Epoch, true
		}
	}
	if w.epoch > 0 && e.Format == w.format && holds(w.at.Key, w.epoch) {
		return w.at.Key, w.epoch, true
	}
	next := w.epoch + 1
	for i := range w.broken {
		b := &w.broken[i]
		if b.at == 0 {
			b.at, b.key = b.seq, w.FirstKey(next, b.seq)
		}
		for ; b.at < seq; b.at++ {
			b.key = NextKey(b.key)
		}
		if holds(b.key, next) {
			return b.key, next, true
		}
	}
	return k, 0, false
}

// Differs says how head, the position that the vault's head records, differs from p,
// the position at which the log really ends. It returns "" if they are equal.
func (p Position) Differs(head Position) string {
	switch {
	case head.Seq > p.Seq:
		return fmt.Sprintf("entries %d to %d are missing: the log was truncated", p.Seq+1, head.Seq)
	case head.Seq < p.Seq:
		return fmt.Sprintf("entries %d to %d were added after the head", head.Seq+1, p.Seq)
	case !bytes.Equal(head.LastMAC[:], p.LastMAC[:]), !bytes.Equal(head.Key[:], p.Key[:]):
		return "it is not the last entry that the head records"
	}
	return ""
}
