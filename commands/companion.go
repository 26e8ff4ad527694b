package commands

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// companion finds a program that is installed together with ass, because what it links would make every command slower:
// beside this program, or else on PATH. what says what it is.
func (a *app) companion(what, name string) (string, error) {
	pkg := "./cmd/" + name
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	dir := "."
	if self, err := os.Executable(); err == nil {
		dir = filepath.Dir(self)
		if program, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return program, nil
		}
	}
	program, err := a.lookPath(name)
	switch {
	case err == nil:
		return program, nil
	case errors.Is(err, fs.ErrPermission):
		return "", errorf(errNotProgram, "%s is on PATH, but it is not executable", name)
	}
	return "", errorf(errNoProgram, "%s %s is neither beside ass nor on PATH", what, name).
		hint("take it from the release of ass, or build it from the source with: go build -o %s %s",
			shellWord(filepath.Join(dir, name)), pkg)
}
