package commands

import (
	"errors"

	"github.com/google/uuid"
)

// The passphrase in the keyring of the desktop. Whatever runs as this person can read it there, so it is asked for only
// where secrets are read and written (of all tiers), never for what only the owner can do.

// keyringProgram is the program that talks to the keyring.
const keyringProgram = "ass-keyring"

var errNoEntry = errors.New("the keyring has no such entry")

// keyring runs the program that talks to the keyring. in is what it stores, and out what it printed.
func (a *app) keyring(act, entry, in string) (out string, err error) {
	b, exit, said, err := a.runCompanion(keyringProgram, in, act, entry)
	switch {
	case err != nil:
		return "", err
	case exit == 4:
		return "", errNoEntry
	case exit > 0:
		return "", failf("%s", orElse(said, "the keyring cannot be used"))
	case exit < 0:
		return "", failf("the keyring did not answer within %s", companionPatience)
	}
	return string(b), nil
}

// fromKeyring returns the passphrase in the keyring; "" if there is none, or it cannot be had.
func (a *app) fromKeyring() string {
	if a.keyringEntry == "" || !a.ownsProcess() {
		return ""
	}
	pass, err := a.keyring("get", a.keyringEntry, "")
	if err != nil {
		a.out.noteOf(sayf("the passphrase does not come from the keyring: %v", err).hint("to leave the keyring out: ass passphrase --no-keyring"))
	}
	a.keyringGave = pass != ""
	return pass
}

// storeInKeyring stores a passphrase, and returns the name of its entry.
func (a *app) storeInKeyring(p *profile, pass string) (entry string, err error) {
	if entry = p.Keyring; entry == "" {
		entry = "owner key " + uuid.NewString()
	}
	_, err = a.keyring("set", entry, pass)
	return entry, err
}

// forgetKeyring removes the passphrase of a profile from the keyring.
func (a *app) forgetKeyring(p *profile) {
	if p == nil || p.Keyring == "" {
		return
	}
	if _, err := a.keyring("delete", p.Keyring, ""); err != nil && !errors.Is(err, errNoEntry) {
		a.out.warnOf(sayf("the passphrase is still in the keyring: %v", err).
			hint("remove the entry %q of ass there", p.Keyring))
	}
}
