package commands

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"time"

	"github.com/google/uuid"
)

// The passphrase in the keyring of the desktop. Whatever runs as this person can read it there, so it is asked for only
// where secrets are read and written (of all tiers), never for what only the owner can do.

// keyringProgram is the program that talks to the keyring.
const keyringProgram = "ass-keyring"

var errNoEntry = errors.New("the keyring has no such entry")

// keyringPatience is how long a keyring may take. It may ask the person to open it first.
const keyringPatience = 2 * time.Minute

// keyring runs the program that talks to the keyring. in is what it stores, and out what it printed.
func (a *app) keyring(act, entry, in string) (out string, err error) {
	program, err := a.companion("the program", keyringProgram)
	if err != nil {
		return "", err
	}
	cmd := exec.Command(program, act, entry)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = strings.NewReader(in), &stdout, &stderr, time.Second
	if err := a.begin(cmd); err != nil {
		return "", errorf(errNotProgram, "%s cannot be started", program)
	}
	late := time.AfterFunc(keyringPatience, func() { _ = cmd.Process.Kill() })
	err = cmd.Wait()
	late.Stop()
	switch {
	case err == nil:
		return stdout.String(), nil
	case cmd.ProcessState.ExitCode() == 4:
		return "", errNoEntry
	case cmd.ProcessState.ExitCode() > 0:
		said, _, _ := strings.Cut(strings.TrimPrefix(stderr.String(), keyringProgram+": "), "\n")
		return "", failf("%s", orElse(clean(said), "the keyring cannot be used"))
	}
	return "", failf("the keyring did not answer within %s", keyringPatience)
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
