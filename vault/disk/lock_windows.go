package disk

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

const errReadOnlyFS = windows.ERROR_WRITE_PROTECT

// The locked range lies far behind the content: on Windows, other processes cannot
// read a locked range, but waiting processes must read the holder's name.
const lockOffset = 1 << 30

// TryLock locks an open file, alone or shared. If another process holds the lock, the
// error is [ErrLocked].
func TryLock(f *os.File, shared bool) error {
	err := lockRange(f, shared, windows.LOCKFILE_FAIL_IMMEDIATELY)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return ErrLocked
	}
	return err
}

func blockLock(f *os.File, shared bool) error { return lockRange(f, shared, 0) }

func lockRange(f *os.File, shared bool, flags uint32) error {
	if !shared {
		flags |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	if err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0,
		&windows.Overlapped{Offset: lockOffset}); err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return nil
}

// isAlive always believes the lock file: Windows keeps the id of an ended process as
// long as another process looks at it.
func isAlive(int) bool { return true }

// Unlock does nothing: on Windows, closing a file releases its locks.
func Unlock(*os.File) {}
