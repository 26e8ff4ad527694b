//go:build (amd64 || arm64) && !race

package faults

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ass/commands"
	"ass/e2e/trace"
	"ass/e2e/world"
)

// Below the root of a home.
const (
	project    = "project" // the working folder
	runtime    = "run"
	data       = "home/.local/share/ass"
	state      = "home/.local/state/ass"
	config     = "home/.config/ass"
	vaultFile  = data + "/vault.db"
	configFile = config + "/config.json"
	unlockFile = runtime + "/ass/unlocked-default"
)

const passphrase = world.Marker + " passphrase"

// home is a user with a home, a project and a runtime folder in memory, in one folder. Each command with a
// fault begins with the same files, at the same place.
type home struct {
	t      *testing.T
	s      *scenario
	root   string
	key    string // the owner's, if there is a vault before the command
	before tree
	end    tree   // after the command, undisturbed
	usual  string // what it then says on stderr
}

// entry is a file, a link or a folder.
type entry struct {
	mode fs.FileMode
	at   time.Time
	data string // of a link, where it leads
}

// tree is everything below a root, by path.
type tree map[string]entry

func newHome(t *testing.T, s *scenario) *home {
	t.Helper()
	root, err := os.MkdirTemp("/dev/shm", "ass-faults-")
	if err != nil {
		t.Skipf("there is no folder in memory: %v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	w := &home{t: t, s: s, root: root}
	for _, dir := range []string{"home", project, runtime} {
		if err := os.Mkdir(w.in(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.setUp(w)
	w.before = w.load()
	return w
}

// in returns the path of a file below the root.
func (w *home) in(path string) string { return filepath.Join(w.root, path) }

// env has no PATH, so that no other program, such as git, is found and started.
func (w *home) env() []string {
	return []string{"HOME=" + w.in("home"), "XDG_RUNTIME_DIR=" + w.in(runtime), "TMPDIR=" + w.in(runtime)}
}

// run runs ass in this process, with the passphrase if there is one.
func (w *home) run(args ...string) result {
	w.t.Helper()
	if w.isProtected() {
		pipe := w.typed()
		fd, err := unix.FcntlInt(pipe.Fd(), unix.F_DUPFD_CLOEXEC, 3)
		pipe.Close()
		if err != nil {
			w.t.Fatal(err)
		}
		args = append([]string{"--passphrase-fd", strconv.Itoa(fd)}, args...) // the run closes it
	}
	return w.runPlain(args...)
}

// isProtected reports whether the owner's key has a passphrase.
func (w *home) isProtected() bool {
	b, err := os.ReadFile(w.in(configFile))
	return err == nil && bytes.Contains(b, []byte("BEGIN AGE ENCRYPTED FILE"))
}

// runPlain is run without a passphrase.
func (w *home) runPlain(args ...string) result {
	var stdout, stderr bytes.Buffer
	code := commands.Program{Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Env: w.env(),
		Dir: w.in(project), WorkFactor: workFactor}.Run(args)
	return result{Exit: code, Stdout: stdout.String(), Stderr: stderr.String()}
}

// must runs a command that must succeed.
func (w *home) must(args ...string) string {
	w.t.Helper()
	r := w.run(args...)
	if r.Exit != 0 {
		w.t.Fatalf("ass %q ended with %d: %s", args, r.Exit, r.Stderr)
	}
	return r.Stdout
}

// typed returns a pipe with the passphrase.
func (w *home) typed() *os.File {
	w.t.Helper()
	r, out, err := os.Pipe()
	if err == nil {
		_, err = out.WriteString(passphrase + "\n")
		out.Close()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// follow runs the command of the scenario on the files as they were, with a fault.
func (w *home) follow(f fault) (r result, calls []trace.FileCall) {
	w.t.Helper()
	w.restore()
	args := w.s.args
	cmd := exec.Command("ass-traced")
	if w.s.sets || w.isProtected() {
		pipe := w.typed()
		defer pipe.Close()
		cmd.ExtraFiles = []*os.File{pipe}
		args = append([]string{"--passphrase-fd", "3"}, args...)
	}
	cmd.Args = append(cmd.Args, args...)
	cmd.Env, cmd.Dir = w.env(), w.in(project)
	said, killed, err := trace.Files(cmd, w.root, func(c trace.FileCall) trace.Verdict {
		calls = append(calls, c)
		return f.verdict(len(calls), c)
	})
	trace.SkipUntraceable(w.t, err)
	if err == nil && !killed {
		err = json.Unmarshal([]byte(said), &r)
	}
	if err != nil {
		w.t.Fatalf("%s: %v", f, err)
	}
	r.killed = killed
	return r, calls
}

// write makes a file for a command.
func (w *home) write(path, text string) {
	w.t.Helper()
	if err := os.WriteFile(w.in(path), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *home) read(path string) string {
	w.t.Helper()
	b, err := os.ReadFile(w.in(path))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

// load reads everything below the root.
func (w *home) load() tree {
	w.t.Helper()
	t := tree{}
	err := filepath.WalkDir(w.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == w.root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		e := entry{mode: info.Mode(), at: info.ModTime()}
		switch {
		case info.Mode().IsRegular():
			var b []byte
			b, err = os.ReadFile(path)
			e.data = string(b)
		case info.Mode()&fs.ModeSymlink != 0:
			e.data, err = os.Readlink(path)
		}
		t[strings.TrimPrefix(path, w.root+"/")] = e
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return t
}

// restore makes everything below the root as it was before the command.
func (w *home) restore() {
	w.t.Helper()
	var errs []error
	entries, err := os.ReadDir(w.root)
	errs = append(errs, err)
	for _, e := range entries {
		errs = append(errs, os.RemoveAll(w.in(e.Name())))
	}
	for _, path := range w.before.paths() {
		at, e := w.in(path), w.before[path]
		switch {
		case e.mode.IsDir():
			errs = append(errs, os.Mkdir(at, e.mode.Perm()))
		case e.mode&fs.ModeSymlink != 0:
			errs = append(errs, os.Symlink(e.data, at))
		default:
			errs = append(errs, os.WriteFile(at, []byte(e.data), e.mode.Perm()), os.Chtimes(at, e.at, e.at))
		}
	}
	if err := errors.Join(errs...); err != nil {
		w.t.Fatal(err)
	}
}
