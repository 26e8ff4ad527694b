//go:build unix

package commands

import (
	"io/fs"
	"os"
	"syscall"
)

// ofStranger reports whether a file belongs to a user who could use it against this
// one: neither this user nor root. If ass runs as root, with sudo or in a container, it
// reports false: that person means the files that are there.
func ofStranger(info fs.FileInfo) bool {
	owner, ok := ownerOf(info)
	me := os.Geteuid()
	return ok && me != 0 && owner != 0 && owner != me
}

// ofAnother reports whether a file belongs to another user, root included.
func ofAnother(info fs.FileInfo) bool {
	owner, ok := ownerOf(info)
	return ok && owner != os.Geteuid()
}

func ownerOf(info fs.FileInfo) (uid int, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(st.Uid), true
}
