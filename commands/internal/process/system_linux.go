package process

import (
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// followStop stops this process if the child has stopped itself, as a program at a terminal
// does on Ctrl-Z. Otherwise the shell would not take the terminal back. The shell continues
// this process, and this process the child.
func followStop(pid int) {
	const stopped = unix.WSTOPPED | unix.WNOHANG
	if shell, err := unix.Getpgid(os.Getppid()); err != nil || shell == unix.Getpgrp() {
		return // a script has started this process, and continues nobody
	}
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return
	}
	_ = tty.Close()
	info := unix.Siginfo{}
	if unix.Waitid(unix.P_PID, pid, &info, stopped|unix.WNOWAIT, nil) != nil || info.Code == 0 {
		return
	}
	switch statusOf(&info) {
	case unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU:
	default: // somebody else stops it, a debugger say, and continues it
		return
	}
	// The terminal stops and continues both, one after the other. So what counts is a child
	// that is still stopped a little later.
	time.Sleep(20 * time.Millisecond)
	info = unix.Siginfo{}
	if unix.Waitid(unix.P_PID, pid, &info, stopped, nil) == nil && info.Code != 0 {
		_ = unix.Kill(os.Getpid(), unix.SIGSTOP)
	}
}

// statusOf returns the signal that stopped a process, the third field behind the code in what
// waitid(2) tells: pid, uid, status.
func statusOf(info *unix.Siginfo) syscall.Signal {
	const before = unsafe.Offsetof(unix.Siginfo{}.Code) + unsafe.Sizeof(info.Code)
	const align = unsafe.Sizeof(uintptr(0))
	fields := (before + align - 1) / align * align
	return syscall.Signal(*(*int32)(unsafe.Add(unsafe.Pointer(info), fields+8)))
}

// closeOnExec keeps the programs that this one starts from getting its descriptors.
func closeOnExec() { _ = unix.CloseRange(3, 1<<31-1, unix.CLOSE_RANGE_CLOEXEC) }

// bytesInPipe asks how many bytes wait to be read.
const bytesInPipe = unix.TIOCINQ

// widen lets a pipe hold more, which saves switches between the two ends.
func widen(pipe *os.File) { _, _ = unix.FcntlInt(pipe.Fd(), unix.F_SETPIPE_SZ, chunkSize) }

// inMemory reports whether this user can write into a folder, and the files there are in memory
// alone.
func inMemory(dir string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(dir, &fs) == nil && (fs.Type == unix.TMPFS_MAGIC || fs.Type == unix.RAMFS_MAGIC) &&
		unix.Access(dir, unix.W_OK|unix.X_OK) == nil
}
