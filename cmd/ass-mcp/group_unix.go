//go:build unix

package main

import (
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
)

// inGroup starts a command in a process group of its own. When its context ends, the whole group is
// killed; killed reports whether that happened.
func inGroup(cmd *exec.Cmd) (killed func() bool) {
	var was atomic.Bool
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		was.Store(true)
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	return was.Load
}

// endGroup kills what a command has left in its group. A group lives as long as somebody is in it,
// so its number is not that of another one.
func endGroup(cmd *exec.Cmd) {
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
}

// exitCode is that of a program or, if a signal ended it, the one that shells use.
func exitCode(s *os.ProcessState) int {
	if status, ok := s.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return s.ExitCode()
}

// hasErrorPipe says that a program can be given a descriptor of its own.
const hasErrorPipe = true

func closeOnExec(f *os.File) { syscall.CloseOnExec(int(f.Fd())) }
