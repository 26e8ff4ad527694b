//go:build unix

package main

import (
	"context"
	"fmt"
	"os/exec"
	"syscall"
)

// limited returns a command with a limit on its memory, where the system knows one, and in a process
// group of its own, which ends with the context.
func limited(ctx context.Context, args []string) *exec.Cmd {
	script := fmt.Sprintf(`ulimit -v %d; exec "$@"`, memoryLimit>>10)
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", script, "sh"}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	withOwnMounts(cmd.SysProcAttr)
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

// endGroup kills what a command has left in its group. A group lives as long as somebody is in it,
// so its number is not that of another one.
func endGroup(cmd *exec.Cmd) {
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
}
