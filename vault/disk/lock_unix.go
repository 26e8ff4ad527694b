//go:build unix

package disk

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

const errReadOnlyFS = unix.EROFS

// TryLock locks an open file, alone or shared. If another process holds the lock, the
// error is [ErrLocked].
func TryLock(f *os.File, shared bool) error {
	err := flock(f, shared, unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrLocked
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
		switch err := flockCall(int(f.Fd()), how|flags); err {
		case nil:
			return nil
		case unix.EINTR:
		case unix.ENOLCK, unix.ENOTSUP, unix.ENOSYS:
			on := "its file system"
			if name := fileSystem(f); name != "" {
				on += " (" + name + ")"
			}
			what := strings.TrimSuffix(strings.TrimSuffix(f.Name(), GateSuffix), LockSuffix)
			return fmt.Errorf("%s cannot be locked: %s locks no files (%w); move it to a local disk, or mount this one with "+
				"locks", what, on, err)
		default:
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		}
	}
}

// flockCall is the system call. Tests let it fail.
var flockCall = unix.Flock

// isAlive reports whether the process exists. Processes on other machines or in other
// containers are not visible, and count as gone.
func isAlive(pid int) bool { return !errors.Is(unix.Kill(pid, 0), unix.ESRCH) }

// Unlock releases the lock on a file that is still mapped into memory. Closing the
// file would not release it, because the mapping keeps the lock.
func Unlock(f *os.File) { _ = unix.Flock(int(f.Fd()), unix.LOCK_UN) }
