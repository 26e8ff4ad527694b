//go:build unix

package commands

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

var errClosed = errors.New("stdout is closed")

// unwritable says why f cannot be written; nil if it perhaps can.
func unwritable(f *os.File) error {
	fd := int(f.Fd())
	var is, null unix.Stat_t
	if unix.Fstat(fd, &is) != nil {
		return errClosed
	}
	// In the place of a closed stdout, the runtime of Go has opened /dev/null, for reading too.
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err == nil && flags&unix.O_ACCMODE == unix.O_RDWR && unix.Stat(os.DevNull, &null) == nil &&
		is.Dev == null.Dev && is.Ino == null.Ino {
		return errClosed
	}
	polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	if n, err := unix.Poll(polled, 0); err == nil && n > 0 && polled[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0 {
		return errClosed // nobody reads the pipe
	}
	if _, err := unix.Write(fd, nil); err != nil && err != unix.EAGAIN && err != unix.EINTR {
		return fmt.Errorf("stdout cannot be written (%v)", err)
	}
	return nil
}

// keepFromChildren makes a descriptor one that no program gets which this one starts.
func keepFromChildren(fd int) {
	if fd > 2 {
		unix.CloseOnExec(fd)
	}
}
