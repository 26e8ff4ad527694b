package commands

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
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

// companionPatience is how long such a program may take. The keyring may ask the person to open it first.
const companionPatience = 2 * time.Minute

// runCompanion runs such a program. in is its stdin, and out its stdout. If it fails, exit is its exit code, or -1 if
// it was ended because it did not answer, and said is the first line of its stderr. err is about the start alone.
func (a *app) runCompanion(name, in string, args ...string) (out []byte, exit int, said string, err error) {
	program, err := a.companion("the program", name)
	if err != nil {
		return nil, 0, "", err
	}
	cmd := exec.Command(program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = strings.NewReader(in), &stdout, &stderr, time.Second
	if err := a.begin(cmd); err != nil {
		return nil, 0, "", errorf(errNotProgram, "%s cannot be started", program)
	}
	late := time.AfterFunc(companionPatience, func() { _ = cmd.Process.Kill() })
	err = cmd.Wait()
	late.Stop()
	if err == nil {
		return stdout.Bytes(), 0, "", nil
	}
	said, _, _ = strings.Cut(strings.TrimPrefix(stderr.String(), name+": "), "\n")
	if exit = cmd.ProcessState.ExitCode(); exit == 0 { // it ended well, but its pipes did not
		exit = -1
	}
	return nil, exit, clean(said), nil
}
