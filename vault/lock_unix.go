//go:build unix

package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

const errReadOnlyFS = unix.EROFS

// openNoFollow opens a regular file and no link to one: in a folder that others
// may write to, a link would point us at a file of their choice.
func openNoFollow(path string, flag int, perm os.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, flag|unix.O_NOFOLLOW|unix.O_NONBLOCK, perm)
	if errors.Is(err, unix.ELOOP) {
		return nil, &fs.PathError{Op: "open", Path: path, Err: errors.New("it is a symbolic link; name the file itself")}
	}
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, &fs.PathError{Op: "open", Path: path, Err: errors.New("it is not a regular file")}
	}
	return f, nil
}

// openLockFile opens the lock file, and makes it where it is missing. A reader
// is content with one that it may only read. Who holds the lock writes into the file,
// so it must be no other file as well.
func openLockFile(path string, shared bool) (*os.File, error) {
	f, err := openNoFollow(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil && hasOtherNames(f) {
		f.Close()
		return nil, otherNames(path)
	}
	if err != nil && shared {
		if r, rerr := openNoFollow(path, os.O_RDONLY, 0); rerr == nil {
			return r, nil
		}
	}
	return f, err
}

func hasOtherNames(f *os.File) bool {
	var st unix.Stat_t
	return unix.Fstat(int(f.Fd()), &st) == nil && st.Nlink > 1
}

func tryLock(f *os.File, shared bool) error {
	err := flock(f, shared, unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errWouldBlock
	}
	return err
}

func blockLock(f *os.File, shared bool) error { return flock(f, shared, 0) }

func flock(f *os.File, shared bool, flags int) error {
	how := unix.LOCK_EX
	if shared {
		how = unix.LOCK_SH
	}
	for {
		err := unix.Flock(int(f.Fd()), how|flags)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		return nil
	}
}

// isAlive reports whether there is such a process. Those of other machines and of
// other containers cannot be seen, and count as gone.
func isAlive(pid int) bool { return !errors.Is(unix.Kill(pid, 0), unix.ESRCH) }

// unlock gives a lock back that closing the file would not: a mapping of it keeps
// the lock.
func unlock(f *os.File) { _ = unix.Flock(int(f.Fd()), unix.LOCK_UN) }

// SyncDir makes last what was made or renamed in a folder.
func SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	err = d.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil // this file system syncs no folders
	}
	return err
}
