//go:build unix

package disk

import (
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives a new file the owner and group of the file at path, which it will
// replace: otherwise root, with sudo, would lock a user out. If it cannot change the
// owner, the file stays unchanged.
func keepOwner(f *os.File, path string) {
	if os.Geteuid() != 0 {
		return
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 {
			_ = f.Chown(int(st.Uid), int(st.Gid))
		}
	}
}

// OfStranger reports whether a file belongs to a user who could use it against this
// one: neither this user nor root. If ass runs as root, with sudo or in a container, it
// reports false: that person means the files that are there.
func OfStranger(info fs.FileInfo) bool {
	owner, ok := ownerOf(info)
	me := os.Geteuid()
	return ok && me != 0 && owner != 0 && owner != me
}

// OfAnother reports whether a file belongs to another user, root included.
func OfAnother(info fs.FileInfo) bool {
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
