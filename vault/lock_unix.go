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

// openNoFollow opens a regular file. It refuses symbolic links: in a folder that
// others can write to, a link could point to any file that they choose.
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

// openLockFile opens the lock file, and creates it if it is missing. For a reader, a
// file that it may only read is enough. The holder of the lock writes into the file,
// so openLockFile refuses a file that has other hard links.
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

// isAlive reports whether the process exists. Processes on other machines or in other
// containers are not visible, and count as gone.
func isAlive(pid int) bool { return !errors.Is(unix.Kill(pid, 0), unix.ESRCH) }

// unlock releases the lock on a file that is still mapped into memory. Closing the
// file would not release it, because the mapping keeps the lock.
func unlock(f *os.File) { _ = unix.Flock(int(f.Fd()), unix.LOCK_UN) }

// SyncDir syncs the folder at path, so that files created or renamed in it survive a
// power cut. If the file system cannot sync folders, it returns nil.
func SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	err = d.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil // this file system cannot sync folders
	}
	return err
}
