package commands

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// world is what a run takes from around it: the environment and the working folder. By
// default, they are those of this process; a [Program] can have its own. Nothing else in
// this package reads or changes those of the process.
type world struct {
	env []string // NAME=value, without the ASS_… variables that are empty
	dir string   // the working folder; "" for that of the process
	own bool     // whether env or dir is not that of the process
}

// newWorld returns the world of a program. CI systems and compose files leave a variable
// out by setting it to the empty text, so an empty ASS_… variable counts as unset.
func newWorld(env []string, dir string) *world {
	if dir != "" { // a program is started in it, and may be named relative to it
		if abs, err := filepath.Abs(dir); err == nil {
			dir = abs
		}
	}
	w := &world{env: env, dir: dir, own: env != nil || dir != ""}
	if env == nil {
		w.env = os.Environ()
	}
	w.env = slices.DeleteFunc(slices.Clone(w.env), func(pair string) bool {
		name, value, _ := strings.Cut(pair, "=")
		return value == "" && strings.HasPrefix(name, "ASS_")
	})
	return w
}

// getenv returns the value of a variable; "" if it is not set. Of several, the last counts.
func (w *world) getenv(name string) string {
	for _, pair := range slices.Backward(w.env) {
		is, value, _ := strings.Cut(pair, "=")
		if is == name || runtime.GOOS == "windows" && strings.EqualFold(is, name) {
			return value
		}
	}
	return ""
}

// home returns the home folder; "" if it is unknown.
func (w *world) home() string {
	switch runtime.GOOS {
	case "windows":
		return w.getenv("USERPROFILE")
	case "plan9":
		return w.getenv("home")
	}
	return w.getenv("HOME")
}

// at returns the path by which the system finds a file that was named in the world.
func (w *world) at(path string) string {
	if w.dir == "" || path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(w.dir, path)
}

// abs returns the absolute path of a file that was named in the world.
func (w *world) abs(path string) (string, error) { return filepath.Abs(w.at(path)) }

// workingDir returns the absolute path of the working folder.
func (w *world) workingDir() (string, error) {
	if w.dir == "" {
		return os.Getwd()
	}
	return filepath.Abs(w.dir)
}

// lookPath finds a program as a shell does, on the PATH of the world. If the only file of
// that name cannot be run, the error says why: [fs.ErrPermission] or [syscall.EISDIR].
func (w *world) lookPath(name string) (string, error) {
	if strings.ContainsRune(name, filepath.Separator) || strings.Contains(name, "/") {
		return exec.LookPath(w.at(name))
	}
	if !w.own {
		if found, err := exec.LookPath(name); err == nil {
			return found, nil
		}
	}
	err := exec.ErrNotFound
	for _, dir := range filepath.SplitList(w.getenv("PATH")) {
		if dir == "" {
			continue
		}
		path := filepath.Join(w.at(dir), name)
		found, wrong := exec.LookPath(path)
		if wrong == nil {
			return found, nil
		}
		if info, there := os.Stat(path); there == nil && !info.IsDir() {
			err = wrong
		}
	}
	return "", err
}
