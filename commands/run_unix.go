//go:build unix

package commands

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

var forwarded = []os.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGUSR1,
	syscall.SIGUSR2}

func fromKeyboard(s os.Signal) bool { return s == syscall.SIGINT || s == syscall.SIGQUIT }

// atKeyboard reports whether the signals of a terminal, from Ctrl-C say, go to this
// program and to its children at once.
func atKeyboard() bool {
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

const canReplace = true

// replaceProcess becomes the child. It returns only if that fails.
func replaceProcess(program string, args, env []string) error {
	return syscall.Exec(program, args, env)
}

// replacedFile keeps a file open in the program that replaces this one, and returns its
// path there.
func replacedFile(_ int, f *os.File) (string, error) {
	_, err := unix.FcntlInt(f.Fd(), unix.F_SETFD, 0)
	return fmt.Sprintf("/dev/fd/%d", f.Fd()), err
}

func signalOf(s *os.ProcessState) int {
	if status, ok := s.Sys().(syscall.WaitStatus); ok {
		return int(status.Signal())
	}
	return 0
}
