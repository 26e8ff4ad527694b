package disk

import (
	"errors"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// IsFull reports whether an error says that a disk, or a quota, has no more room.
func IsFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

// IsBeyondUs reports whether this user cannot write a file, as far as is known here.
func IsBeyondUs(string) bool { return true }

// Free returns how many bytes are free for this user on the disk of a file.
func Free(path string) (int64, error) {
	dir, err := windows.UTF16PtrFromString(filepath.Dir(path))
	if err != nil {
		return 0, err
	}
	var free uint64
	err = windows.GetDiskFreeSpaceEx(dir, &free, nil, nil)
	return int64(free), err
}
