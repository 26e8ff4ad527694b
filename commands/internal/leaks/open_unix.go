//go:build unix

package leaks

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// openRoot opens a file or folder that a person named. A pipe does not keep it waiting.
func openRoot(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
}

// openIn opens what a folder has under a name. It follows no link, and no pipe keeps it waiting.
func openIn(dir *os.File, name string, isDir bool) (*os.File, error) {
	flags := unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	if isDir {
		flags |= unix.O_DIRECTORY
	}
	for {
		fd, err := unix.Openat(int(dir.Fd()), name, flags, 0)
		switch err {
		case nil:
			return os.NewFile(uintptr(fd), name), nil
		case unix.EINTR:
			continue
		case unix.ELOOP, unix.ENOTDIR: // it was no link, and a folder, when it was listed
			err = unix.ENOENT
		}
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
}

// hasEntry reports whether a folder has something under a name.
func hasEntry(dir *os.File, name string) bool {
	var st unix.Stat_t
	return unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil
}
