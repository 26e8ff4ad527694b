package commands

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"time"
)

// hintAtGit says when git has, or could take, a file whose secrets are in the vault by
// now.
func (a *app) hintAtGit(file string) {
	git, err := a.lookPath("git")
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	exits := func(args ...string) int {
		err := a.gitCommand(ctx, git, filepath.Dir(a.at(file)), args...).Run()
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
