package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

const errReadOnlyFS = windows.ERROR_WRITE_PROTECT

// openNoFollow opens a regular file and no link to one.
func openNoFollow(path string, flag int, perm os.FileMode) (*os.File, error) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: path, Err: errors.New("it is not a regular file")}
	}
	return os.OpenFile(path, flag, perm)
}

func openLockFile(path string, shared bool) (*os.File, error) {
	return openNoFollow(path, os.O_RDWR|os.O_CREATE, 0o600)
}

func hasOtherNames(*os.File) bool { return false }

// The lock lies far behind the content, because on Windows a locked range
// cannot be read, and those who wait read who holds it.
const lockOffset = 1 << 30

func tryLock(f *os.File, shared bool) error {
	err := lockRange(f, shared, windows.LOCKFILE_FAIL_IMMEDIATELY)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return errWouldBlock
	}
	return err
}

func blockLock(f *os.File, shared bool) error { return lockRange(f, shared, 0) }

func lockRange(f *os.File, shared bool, flags uint32) error {
	if !shared {
		flags |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	if err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{Offset: lockOffset}); err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return nil
}

// isAlive does not know better than the file: Windows keeps numbers of processes
// that ended for as long as anybody looks at them.
func isAlive(int) bool { return true }

// unlock does nothing: closing a file ends its locks here.
func unlock(*os.File) {}

// SyncDir does nothing: Windows has no such call, and its rename lasts.
func SyncDir(string) error { return nil }
