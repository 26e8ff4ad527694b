package main

import (
	"os"
	"os/exec"
	"sync/atomic"
)

// inGroup leaves a command as it is: Windows has no process groups to end, so the end of ass ends
// what it started alone.
func inGroup(cmd *exec.Cmd) (killed func() bool) {
	var was atomic.Bool
	cmd.Cancel = func() error {
		was.Store(true)
		return cmd.Process.Kill()
	}
	return was.Load
}

func endGroup(*exec.Cmd) {}

func exitCode(s *os.ProcessState) int { return s.ExitCode() }

// hasErrorPipe says that no program can be given a descriptor of its own: the error of ass stands
// at the end of stderr.
const hasErrorPipe = false

func closeOnExec(*os.File) {}
