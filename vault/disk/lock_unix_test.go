//go:build unix

package disk

import (
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A file system that locks no files is named, with the way out. An interrupted call is repeated.
func TestFlockFails(t *testing.T) {
	defer func() { flockCall = unix.Flock }()
	path := filepath.Join(t.TempDir(), "f")
	for _, errno := range []unix.Errno{unix.ENOLCK, unix.ENOTSUP, unix.ENOSYS} {
		flockCall = func(int, int) error { return errno }
		_, err := LockBeside(path, false, LockOptions{})
		if !errors.Is(err, errno) || !strings.Contains(err.Error(), "f cannot be locked: its file system") ||
			!strings.Contains(err.Error(), "move it to a local disk") ||
			runtime.GOOS == "linux" && !strings.Contains(err.Error(), "mounted at /") {
			t.Errorf("%v", err)
		}
	}
	calls := 0
	flockCall = func(fd, how int) error {
		if calls++; calls < 3 {
			return unix.EINTR
		}
		return unix.Flock(fd, how)
	}
	l, err := LockBeside(path, false, LockOptions{Timeout: -1})
	if err != nil || calls != 3 {
		t.Errorf("after %d calls: %v", calls, err)
	}
	l.Release()
	flockCall = func(int, int) error { return unix.EIO }
	if _, err := LockFile(path, LockOptions{}); !errors.Is(err, unix.EIO) {
		t.Errorf("another error: %v", err)
	}
}
