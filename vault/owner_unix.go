//go:build unix

package vault

import (
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
