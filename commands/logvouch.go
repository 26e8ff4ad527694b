package commands

import (
	"errors"

	"ass/vault"
)

// mostVouched is how many entries are verified before they are shown. The signatures of that many take a tenth of a
// second.
const mostVouched = 1000

// vouching is what a check of the entries that are shown found.
type vouching struct {
	vault.Listed
	why     string // why they were not checked, and how they can be; "" if they were
	damaged error  // why they could not be
}

// vouch verifies the entries that are about to be shown, if the owner's key opens without asking. It never fails: the
// log is shown as the file has it, however damaged the rest of the vault is.
func (a *app) vouch(h setup, v *vault.Vault, entries []vault.Entry, limit int) (x vouching) {
	switch {
	case h.cred.kind != ownerCredential:
		x.why = "only the owner's key can verify them"
		return x
	case asks(h.cred.text):
		x.why = "it takes the owner's key, which " + a.lockedBy(h.cred.text) + "; with it, ass audit verify verifies the whole log"
		return x
	case limit == 0 || limit > mostVouched:
		x.why = "there are too many; ass audit verify verifies the whole log"
		return x
	}
	key, err := a.readKey(h.cred)
	if err == nil {
		var s *vault.Session
		if s, err = key.open(v); err == nil {
			numbers := make([]uint64, len(entries))
			for i, e := range entries {
				numbers[i] = e.Seq
			}
			x.Listed, err = s.CheckListed(numbers)
		}
	}
	if err != nil {
		x.damaged = err
	}
	return x
}

// holds reports whether all of the entries were verified.
func (x vouching) holds() bool {
	return x.why == "" && x.damaged == nil && len(x.Problems)+len(x.Unknown) == 0
}

// tell says what a person should know of it, and returns an error if an entry does not hold.
func (x vouching) tell(a *app, shown int) error {
	switch {
	case shown == 0:
		return nil
	case x.damaged != nil && errors.Is(x.damaged, vault.ErrDamaged):
		a.out.warnOf(sayf("these entries are not verified: %v", x.damaged).
			hint("to list every problem: ass audit verify"))
	case x.damaged != nil:
		x.why = x.damaged.Error()
	}
	for _, problem := range x.Problems {
		a.out.warn("%s", problem)
	}
	if n := len(x.Problems); n > 0 {
		return &verifyError{n}
	}
	if !a.out.errTTY {
		return nil
	}
	if x.why != "" {
		a.out.note("these entries are not verified: %s", x.why)
	} else if n := len(x.Unknown); n > 0 {
		a.out.noteOf(sayf("%d of these entries cannot be verified by themselves, as the keys of their authors are gone",
			n).
			hint("ass audit verify verifies the whole log"))
	}
	return nil
}
