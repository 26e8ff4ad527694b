//go:build unix

package commands

import "ass/vault/disk"

// takeOver is the command that makes this user the owner of a file.
const takeOver = "chown"

// mend returns the command that takes rights to a file or a folder from others. mode is as for chmod.
func mend(mode, path string, _ disk.Access) string { return "chmod " + mode + " " + shellWord(path) }
