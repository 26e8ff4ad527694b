//go:build !race

package powercut

import (
	"golang.org/x/sys/unix"

	"ass/e2e/trace"
)

// modern returns the number and the arguments of a call. For an old call, it returns those of the
// call that has replaced it.
func modern(c trace.Call) (number uint64, args [6]uint64) {
	const here = ^uint64(99) // AT_FDCWD, which is -100
	a := c.Args
	switch c.Number {
	case unix.SYS_OPEN:
		return unix.SYS_OPENAT, [6]uint64{here, a[0], a[1], a[2]}
	case unix.SYS_CREAT:
		return unix.SYS_OPENAT, [6]uint64{here, a[0], unix.O_CREAT | unix.O_WRONLY | unix.O_TRUNC, a[1]}
	case unix.SYS_RENAME:
		return unix.SYS_RENAMEAT, [6]uint64{here, a[0], here, a[1]}
	case unix.SYS_LINK:
		return unix.SYS_LINKAT, [6]uint64{here, a[0], here, a[1]}
	case unix.SYS_UNLINK, unix.SYS_RMDIR:
		return unix.SYS_UNLINKAT, [6]uint64{here, a[0]}
	case unix.SYS_MKDIR:
		return unix.SYS_MKDIRAT, [6]uint64{here, a[0], a[1]}
	case unix.SYS_SYMLINK:
		return unix.SYS_SYMLINKAT, [6]uint64{a[0], here, a[1]}
	case unix.SYS_CHMOD:
		return unix.SYS_FCHMODAT, [6]uint64{here, a[0], a[1]}
	case unix.SYS_DUP2:
		return unix.SYS_DUP3, a
	}
	return c.Number, a
}

var archHarmless = []uint64{unix.SYS_NEWFSTATAT, unix.SYS_STAT, unix.SYS_LSTAT, unix.SYS_ACCESS, unix.SYS_READLINK,
	unix.SYS_ARCH_PRCTL, unix.SYS_EPOLL_WAIT, unix.SYS_POLL, unix.SYS_GETPGRP, unix.SYS_CHOWN, unix.SYS_LCHOWN}
