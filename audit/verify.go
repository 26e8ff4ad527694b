package audit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"fmt"
	"iter"
)

// Finding is one thing that a check found wrong.
type Finding struct {
	Seq     uint64 // the entry that it is about
	Problem string
}

func (f Finding) String() string { return fmt.Sprintf("audit entry %d: %s", f.Seq, f.Problem) }

// Verifier holds what the check of a log needs.
type Verifier struct {
	Vault [16]byte

	// FirstKey returns the key of the entry seq, with which epoch begins. Only
	// the holder of the vault's root can compute it.
	FirstKey func(epoch uint32, seq uint64) [32]byte

	// SignedBy returns the public key of an actor. The owner's must be known
	// from outside of the log.
	SignedBy func(by string) (ed25519.PublicKey, bool)

	// Visit, if set, is called for every entry that holds, in order.
	Visit func(seq uint64, by string, ev Event)
}

// Owner is the name under which the owner of a vault acts.
const Owner = "owner"

// Verify walks a whole log, oldest entry first, and returns where it stands
// after the last entry, in which epoch, and everything that does not hold. One
// altered entry is one finding: the keys do not depend on what was logged, so
// the walk goes on behind it.
func (v *Verifier) Verify(entries iter.Seq2[[]byte, []byte]) (Position, uint32, []Finding) {
	var (
		at       Position
		epoch    uint32
		findings []Finding
		torn     bool // the entry before is missing, so the chain to it cannot be checked
	)
	found := func(seq uint64, format string, args ...any) {
		findings = append(findings, Finding{seq, fmt.Sprintf(format, args...)})
	}
	for key, value := range entries {
		seq := Seq(key)
		if seq == 0 || seq <= at.Seq {
			found(at.Seq+1, "a record with a key that no entry has stands before it")
			continue
		}
		for seq > at.Seq+1 {
			found(at.Seq+1, "missing")
			at = Position{Seq: at.Seq + 1, Key: NextKey(at.Key)}
			torn = true
		}
		e, err := Parse(value)
		if err != nil {
			found(seq, "%v", err)
			at, torn = Position{Seq: seq, Key: NextKey(at.Key)}, true
			continue
		}
		ev, err := e.Event()
		if err != nil {
			found(seq, "%v", err)
		}
		begins := err == nil && ev.Epoch == epoch+1 && e.By == Owner
		k, n := at.Key, epoch
		if begins {
			n++
			k = v.FirstKey(n, seq)
		}
		signed := e.signedBytes(Place{v.Vault, n}, seq, at.LastMAC)
		mac := e.mac(k, signed)
		whole := hmac.Equal(mac[:], e.MAC[:])
		switch pub, known := v.SignedBy(e.By); {
		case torn:
			// Its neighbour was reported; a chain with a hole says nothing here.
		case epoch == 0 && !begins:
			found(seq, "no epoch has begun before it")
		case !whole:
			found(seq, "its MAC does not match: it was altered, moved, or written by someone without the key")
		case !known:
			found(seq, "it is by %q, who is not known here", e.By)
		case !ed25519.Verify(pub, signed, e.Sig):
			found(seq, "it is not signed by %q, whose name it bears", e.By)
		case ev.ActorID != e.By:
			found(seq, "it names %q as its actor and is signed by %q", ev.ActorID, e.By)
		case ev.Epoch != 0 && !begins:
			found(seq, "it claims to begin epoch %d", ev.Epoch)
		default:
			if v.Visit != nil {
				v.Visit(seq, e.By, ev)
			}
		}
		if whole || torn && begins {
			epoch = n
		} else {
			k = at.Key
		}
		at = Position{Seq: seq, LastMAC: e.MAC, Key: NextKey(k)}
		torn = false
	}
	return at, epoch, findings
}

// Differs says how the position that the vault's head records differs from the
// one at which the log really ends; "" if it does not.
func (p Position) Differs(head Position) string {
	switch {
	case head.Seq > p.Seq:
		return fmt.Sprintf("entries %d to %d are missing: the log was cut at its end", p.Seq+1, head.Seq)
	case head.Seq < p.Seq:
		return fmt.Sprintf("entries %d to %d were added behind the head", head.Seq+1, p.Seq)
	case !bytes.Equal(head.LastMAC[:], p.LastMAC[:]), !bytes.Equal(head.Key[:], p.Key[:]):
		return "it is not the last entry that the head records"
	}
	return ""
}
