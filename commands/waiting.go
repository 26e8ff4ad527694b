package commands

import "ass/vault"

// A person who works with the vault hears of the requests that wait, whatever the command is for: nobody looks into a list
// that nothing tells of. A program hears nothing of it.

// countWaiting counts the requests that wait for a person at a terminal who is the owner. It needs no key, so the number is
// that of a file that others may have written: it is only shown.
func (a *app) countWaiting(kind string, v *vault.Vault) {
	if kind != ownerCredential || !a.out.errTTY || a.JSON || a.out.quiet {
		return
	}
	if n, err := v.Waiting(); err == nil { // a damaged file is for the command itself to report
		a.waits = n
	}
}

// tellWaiting says how many requests wait, once.
func (a *app) tellWaiting() {
	if a.waits > 0 {
		a.out.noteOf(sayf("%s for you", pluralOf(a.waits, "request waits", "requests wait")).
			hint("decide with: ass approvals"))
	}
	a.waits = 0
}
