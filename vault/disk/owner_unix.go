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

// ownLike gives a file of ass itself, or a folder, the owner and group of the folder that it is in.
// Otherwise, what root makes first, with sudo, would be closed to the user.
func ownLike(path, dir string) {
	if os.Geteuid() != 0 {
		return
	}
	if info, err := os.Stat(dir); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 {
			_ = os.Lchown(path, int(st.Uid), int(st.Gid))
		}
	}
}

// AccessTo returns what others can do with the file or the folder that info describes.
func AccessTo(_ string, info fs.FileInfo) Access {
	a := Access{Mode: info.Mode()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		owner, me := int(st.Uid), os.Geteuid()
		a.Another = owner != me
		a.Stranger = a.Another && owner != 0 && me != 0
	}
	return a
}
