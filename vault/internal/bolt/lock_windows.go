package bolt

import (
	"errors"
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/windows"

	"ass/vault/disk"
)

// keepsLock says that bbolt cannot take the lock a second time, so it is released in between.
const keepsLock = false

// lockPages takes bbolt's lock, on the last byte that a file can have. If another process holds it, the
// error is [disk.ErrLocked].
func lockPages(f *os.File, shared bool) (release func(), err error) {
	flags := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if !shared {
		flags |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	h, at := windows.Handle(f.Fd()), &windows.Overlapped{Offset: math.MaxUint32, OffsetHigh: math.MaxUint32}
	switch err := windows.LockFileEx(h, flags, 0, 1, 0, at); {
	case errors.Is(err, windows.ERROR_LOCK_VIOLATION), errors.Is(err, windows.ERROR_IO_PENDING):
		return nil, disk.ErrLocked
	case err != nil:
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return func() { _ = windows.UnlockFileEx(h, 0, 1, 0, at) }, nil
}
