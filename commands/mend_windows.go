package commands

import (
	"strings"

	"ass/vault/disk"
)

// takeOver is the command that makes this user the owner of a file.
const takeOver = "takeown"

// mend returns the command that leaves a file or a folder, and what is made in it, to this user, the system and
// the administrators. It quotes each word for cmd and for PowerShell.
func mend(_, path string, by disk.Access) string {
	all := ":F"
	if by.Mode.IsDir() {
		all = ":(OI)(CI)F"
	}
	words := []string{"icacls", quoted(path), "/inheritance:r", "/grant:r"}
	for _, id := range []string{by.Me, "S-1-5-18", "S-1-5-32-544"} {
		words = append(words, quoted("*"+id+all))
	}
	words = append(words, "/remove:g")
	for _, id := range by.Others {
		words = append(words, quoted("*"+id))
	}
	return strings.Join(words, " ")
}

// quoted quotes a word, which has no quotes in it: no name of a file on Windows has.
func quoted(word string) string { return `"` + word + `"` }
