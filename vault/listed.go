package vault

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cloudflare/circl/sign/ed25519"

	"ass/audit"
	"ass/vault/internal/keys"
)

// Listed is what a check of a few entries found; see [Session.CheckListed].
type Listed struct {
	Problems []string // what does not hold
	Unknown  []uint64 // entries of which the keys at hand cannot tell
}

// CheckListed checks that the log ends where the head says, and that each of some entries is signed by its author in its
// place: in this vault and epoch, under its number, behind the entry before it. That takes milliseconds, however long the
// log is. It does not check that the entries in between are there, nor what their authors could do at that time: for that,
// there is [Session.Verify]. Only the owner has the keys for it: for others the error is [ErrDenied].
func (s *Session) CheckListed(numbers []uint64) (found Listed, err error) {
	if err := s.mayOnlyOwner("verify log entries", "", ""); err != nil {
		return found, err
	}
	c := listedCheck{s: s, keys: map[string][]ed25519.PublicKey{}, revoked: map[string]bool{}}
	err = s.viewUnchecked(func(t *tx) error {
		c.t = t
		if err := t.readHead(); err != nil {
			return err
		}
		if err := t.checkLogEnd(); err != nil {
			return err
		}
		if err := c.collect(slices.Sorted(slices.Values(numbers))); err != nil {
			return err
		}
		return c.check()
	})
	return c.found, err
}

// mostKeys is how many of the newest keys of an agent are tried.
const mostKeys = 8

// listedCheck is one run of [Session.CheckListed].
type listedCheck struct {
	s       *Session
	t       *tx
	entries []listedEntry                  // newest first
	keys    map[string][]ed25519.PublicKey // of actors, the newest first
	revoked map[string]bool                // agents
	found   Listed
}

// listedEntry is an entry to check.
type listedEntry struct {
	asked bool // else it only tells the key of a token
	seq   uint64
	value []byte
	prev  [audit.MACSize]byte
	epoch uint32
	sure  bool // whether an entry that begins the epoch was met; else it is a guess
}

// collect finds the entries, and the epochs in which they are. numbers are in order.
func (c *listedCheck) collect(numbers []uint64) error {
	epoch, sure := c.s.epoch.N, true
	var guessed []int         // entries of which the epoch is not known yet
	unlinked := false         // the last one needs the MAC of the entry before it
	open := map[string]bool{} // tokens that have no record any more, so that only the entries of their issue tell their keys
	further := 0
	cut, err := c.t.checkpoint()
	if err != nil {
		return err
	}
	return c.t.b.WalkBack(bucketAudit, func(k, value []byte) bool {
		seq := audit.Seq(k)
		if unlinked {
			last := &c.entries[len(c.entries)-1]
			switch {
			case seq == last.seq-1 && seq > 0:
				last.prev = macOf(value)
			case last.seq == cut.Cut+1 && len(cut.CutMAC) == audit.MACSize:
				last.prev = [audit.MACSize]byte(cut.CutMAC)
			}
			unlinked = false
		}
		if seq == 0 {
			return false
		}
		wanted := len(numbers) > 0 && numbers[len(numbers)-1] == seq
		if wanted {
			numbers = numbers[:len(numbers)-1]
			if stored, err := audit.Parse(value); err == nil && c.lacksRecord(stored.By) {
				open[stored.By] = true
			}
		}
		issue := issuedBy(value)
		if wanted || open[issue] {
			delete(open, issue)
			c.entries = append(c.entries, listedEntry{asked: wanted, seq: seq, value: bytes.Clone(value), epoch: epoch, sure: sure})
			if unlinked = true; !sure {
				guessed = append(guessed, len(c.entries)-1)
			}
		}
		if n := beginsEpoch(value); n > 0 {
			for _, i := range guessed {
				c.entries[i].epoch, c.entries[i].sure = n, true
			}
			guessed = nil
			if unlinked {
				c.entries[len(c.entries)-1].epoch, c.entries[len(c.entries)-1].sure = n, true
			}
			epoch, sure = n-1, false
		}
		if len(numbers) == 0 {
			further++
		}
		return unlinked || len(numbers) > 0 || len(open) > 0 && further < mostFurther
	})
}

// mostFurther is how many entries are looked at for the issue of a token.
const mostFurther = 20_000

// issuedBy returns the id of the token that an entry tells of the issue of; "" for another entry.
func issuedBy(value []byte) string {
	if g, ok := audit.Look(value); ok && string(g.Type) != audit.TokenIssued {
		return ""
	}
	if ev := parseEntry(nil, value).Event; ev.Type == audit.TokenIssued {
		return ev.ResourceID
	}
	return ""
}

// lacksRecord reports whether an actor is a token of which the vault has no record.
func (c *listedCheck) lacksRecord(by string) bool {
	if by == audit.Owner || isAgentID(by) {
		return false
	}
	pubs, _ := c.keysOf(by)
	return len(pubs) == 0
}

// beginsEpoch returns the epoch that an entry says it begins; 0 for none.
func beginsEpoch(value []byte) uint32 {
	if g, ok := audit.Look(value); ok && !strings.HasPrefix(string(g.Type), "vault.") {
		return 0
	}
	return parseEntry(nil, value).Epoch
}

func (c *listedCheck) check() error {
	for _, e := range slices.Backward(c.entries) { // a token is issued before it acts
		stored, err := audit.Parse(e.value)
		if err != nil {
			c.problem(e, "%v", err)
			continue
		}
		ev, err := stored.Event()
		if err != nil {
			c.problem(e, "%v", err)
			continue
		}
		pubs, err := c.keysOf(stored.By)
		if err != nil {
			return err
		}
		at := c.s.logPlace(stored, e.epoch)
		if e.sure && e.epoch == c.s.epoch.N {
			at.Format = c.s.epoch.Format
			if isAgentID(stored.By) { // a new key, and a revocation, begin an epoch
				pubs = pubs[:min(len(pubs), 1)]
				if c.revoked[stored.By] {
					c.problem(e, "its author %q was revoked before", stored.By)
					continue
				}
			}
		}
		holds := slices.ContainsFunc(pubs, func(pub ed25519.PublicKey) bool { return stored.IsSignedBy(pub, at, e.seq, e.prev) })
		if text, _ := ev.Metadata["public_key"].(string); holds && ev.Type == audit.TokenIssued && len(c.keys[ev.ResourceID]) == 0 {
			if pub, err := base64.StdEncoding.DecodeString(text); err == nil && len(pub) == ed25519.PublicKeySize {
				c.keys[ev.ResourceID] = []ed25519.PublicKey{pub}
			}
		}
		if !e.asked {
			continue
		}
		switch {
		case !holds && (len(pubs) == 0 || len(pubs) == mostKeys || !e.sure):
			c.found.Unknown = append(c.found.Unknown, e.seq)
		case !holds:
			c.problem(e, "its author %q did not sign it in this place: it was modified or moved", audit.Short(stored.By))
		case ev.ActorID != stored.By:
			c.problem(e, "it names %q as its actor but is signed by %q", audit.Short(ev.ActorID), audit.Short(stored.By))
		}
	}
	return nil
}

func (c *listedCheck) problem(e listedEntry, format string, args ...any) {
	if e.asked {
		c.found.Problems = append(c.found.Problems, fmt.Sprintf("audit entry %d: ", e.seq)+fmt.Sprintf(format, args...))
	}
}

// keysOf returns the keys with which an actor may have signed; none if nothing that holds tells.
func (c *listedCheck) keysOf(by string) (pubs []ed25519.PublicKey, err error) {
	if pubs, known := c.keys[by]; known {
		return pubs, nil
	}
	switch {
	case by == audit.Owner:
		pubs = []ed25519.PublicKey{c.s.root.Pub}
	case isAgentID(by):
		body, err := c.t.agent(by)
		if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrUnknown) {
			return nil, err
		}
		for serial := body.Serial; serial > 0 && len(pubs) < mostKeys; serial-- {
			pubs = append(pubs, public(keys.NewGrantee(c.s.root.AgentSecret(by, serial)).Sign))
		}
		c.revoked[by] = body.RevokedAt != nil
	default:
		if body, _, err := c.t.token(by); err == nil && len(body.Pub) == ed25519.PublicKeySize {
			pubs = []ed25519.PublicKey{body.Pub}
		}
	}
	c.keys[by] = pubs
	return pubs, nil
}
