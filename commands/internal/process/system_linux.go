package process

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// followStop stops this process if the child has stopped itself, as a program at a terminal
// does on Ctrl-Z. Otherwise the shell would not take the terminal back. The shell continues
// this process, and this process the child.
func followStop(pid int) {
	const stopped = unix.WSTOPPED | unix.WNOHANG
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return // nobody is there to continue this process
	}
	_ = tty.Close()
	info := unix.Siginfo{}
	if unix.Waitid(unix.P_PID, pid, &info, stopped|unix.WNOWAIT, nil) != nil || info.Code == 0 {
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

// closeOnExec keeps the programs that this one starts from getting its descriptors.
func closeOnExec() { _ = unix.CloseRange(3, 1<<31-1, unix.CLOSE_RANGE_CLOEXEC) }

// widen lets a pipe hold more, which saves switches between the two ends.
func widen(pipe *os.File) { _, _ = unix.FcntlInt(pipe.Fd(), unix.F_SETPIPE_SZ, chunkSize) }

// inMemory reports whether the files in a folder are in memory alone.
func inMemory(dir string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(dir, &fs) == nil && (fs.Type == unix.TMPFS_MAGIC || fs.Type == unix.RAMFS_MAGIC)
}
