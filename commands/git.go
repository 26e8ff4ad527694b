package commands

import (
	"context"
	"os"
	"os/exec"
	"strings"
)

// gitCommand is git in a folder. The repository may be a stranger's, so git gets no variable that could lead it
// elsewhere, and runs nothing that the repository's configuration names: no hook, no fsmonitor, and no command that
// fetches what a sparse repository lacks.
func (w *world) gitCommand(ctx context.Context, git, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, git, append([]string{"--no-optional-locks", "-c", "core.fsmonitor=false",
		"-c", "core.hooksPath=" + os.DevNull, "-c", "safe.bareRepository=explicit"}, args...)...)
	cmd.Dir = dir
	for _, pair := range w.env {
		if name := strings.ToUpper(pair); !strings.HasPrefix(name, "GIT_") && !strings.HasPrefix(name, "ASS_") {
			cmd.Env = append(cmd.Env, pair)
		}
	}
	cmd.Env = append(cmd.Env, "GIT_NO_LAZY_FETCH=1", "GIT_ALLOW_PROTOCOL=none", "GIT_TERMINAL_PROMPT=0")
	return cmd
}
