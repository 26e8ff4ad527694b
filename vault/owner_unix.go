//go:build unix

package vault

import (
	"os"
	"syscall"
)

// keepOwner gives a new file to the owner of the one in whose place it is to go:
// otherwise root, with sudo, would lock a user out. Where it cannot be, it stays as it
// is.
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
