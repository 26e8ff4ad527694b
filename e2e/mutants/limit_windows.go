package main

import (
	"context"
	"os/exec"
)

// limited returns a command without a limit on its memory: Windows has none that a parent sets in
// one line.
func limited(ctx context.Context, args []string) *exec.Cmd {
	return exec.CommandContext(ctx, args[0], args[1:]...)
}

func endGroup(*exec.Cmd) {}
