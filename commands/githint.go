package commands

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// hintAtGit says when git has, or could take, a file whose secrets are in the vault by
// now. The repository may be a stranger's, so git gets no variable that could lead it
// elsewhere, and runs nothing that the repository's configuration names.
func (a *app) hintAtGit(file string) {
	git, err := a.lookPath("git")
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	exits := func(args ...string) int {
		cmd := exec.CommandContext(ctx, git, append([]string{"--no-optional-locks", "-c", "core.fsmonitor=false",
			"-c", "core.hooksPath=" + os.DevNull, "-c", "safe.bareRepository=explicit"}, args...)...)
		cmd.Dir = filepath.Dir(a.at(file))
		for _, pair := range a.env {
			if name := strings.ToUpper(pair); !strings.HasPrefix(name, "GIT_") && !strings.HasPrefix(name, "ASS_") {
				cmd.Env = append(cmd.Env, pair)
			}
		}
		// In a sparse repository, git may fetch missing objects with a command that the
		// repository names.
		cmd.Env = append(cmd.Env, "GIT_NO_LAZY_FETCH=1", "GIT_ALLOW_PROTOCOL=none", "GIT_TERMINAL_PROMPT=0")
		err := cmd.Run()
		var exit *exec.ExitError
		switch {
		case err == nil:
			return 0
		case errors.As(err, &exit):
			return exit.ExitCode()
		}
		return -1
	}
	name := filepath.Base(file)
	switch exits("--literal-pathspecs", "ls-files", "--error-unmatch", "--", name) {
	case 0:
		a.out.noteOf(sayf("git tracks %s, so these secrets may be in its history", file).
			hint("take the file out with git rm --cached -- %s, and rotate them", shellWord(file)))
		return
	case 1: // it is not tracked; other codes say that there is no repository
	default:
		return
	}
	if exits("check-ignore", "--quiet", "--", "./"+name) == 1 {
		a.out.noteOf(sayf("git does not ignore %s", file).
			hint("the vault has its secrets now, so remove the file, or add it to .gitignore"))
	}
}
