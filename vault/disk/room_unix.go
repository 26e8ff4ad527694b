//go:build unix

package disk

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// IsFull reports whether an error says that a disk, or a quota, has no more room.
func IsFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// IsBeyondUs reports whether this user cannot write a file, whatever the user does: it is on a disk
// that is read-only, or belongs to another user.
func IsBeyondUs(path string) bool {
	info, err := os.Stat(path)
	return err == nil && (AccessTo(path, info).Another || errors.Is(unix.Access(path, unix.W_OK), unix.EROFS))
}

// Free returns how many bytes are free for this user on the disk of a file.
func Free(path string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(path), &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}
