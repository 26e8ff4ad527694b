//go:build (amd64 || arm64) && !race

package powercut

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ass/commands"
	"ass/e2e/world"
	"ass/vault"
)

// Below the root of a home.
const (
	project    = "project" // the working folder
	data       = "home/.local/share/ass"
	state      = "home/.local/state/ass"
	config     = "home/.config/ass"
	vaultFile  = data + "/vault.db"
	configFile = config + "/config.json"
)

const passphrase = world.Marker + " passphrase"

// home is a user with a home and a project, in one folder.
type home struct {
	t          testing.TB
	root       string
	passphrase bool // the owner key has one

	older     []byte // the vault before the newest entry
	key       string // the owner's
	agent     string // an agent's key
	token     string // of unlock
	said      string // by the command that was followed
	errs      string
	recovered string // the recovery file
}

func newHome(t testing.TB, withPassphrase bool) *home {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &home{t: t, root: root, passphrase: withPassphrase}
	for _, dir := range []string{"home", project} {
		if err := os.Mkdir(w.in(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// in returns the path of a file below the root.
func (w *home) in(path string) string { return filepath.Join(w.root, path) }

// env has no PATH, so that no other program, such as git, is found and started.
func (w *home) env(more ...string) []string { return append([]string{"HOME=" + w.in("home")}, more...) }

// run runs ass in this process.
func (w *home) run(env []string, args ...string) (code int, out, errs string) {
	w.t.Helper()
	if w.passphrase {
		var fds [2]int
		if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
			w.t.Fatal(err)
		}
		if _, err := unix.Write(fds[1], []byte(passphrase+"\n")); err != nil {
			w.t.Fatal(err)
		}
		unix.Close(fds[1])
		args = append(args, "--passphrase-fd", strconv.Itoa(fds[0])) // the run closes it
	}
	return w.runPlain(env, args...)
}

// runPlain is run without a passphrase.
func (w *home) runPlain(env []string, args ...string) (code int, out, errs string) {
	var stdout, stderr bytes.Buffer
	code = commands.Program{Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Env: w.env(env...),
		Dir: w.in(project)}.Run(args)
	return code, stdout.String(), stderr.String()
}

// must runs a command that must succeed.
func (w *home) must(args ...string) (out string) {
	w.t.Helper()
	code, out, errs := w.run(nil, args...)
	if code != 0 {
		w.t.Fatalf("ass %q ended with %d: %s", args, code, errs)
	}
	return out
}

// logged is must for a command that makes a log entry. It keeps the vault as it is before.
func (w *home) logged(args ...string) (out string) {
	w.t.Helper()
	w.older = w.read(vaultFile)
	return w.must(args...)
}

// follow runs the real program, and records it.
func (w *home) follow(args ...string) (*record, int, error) {
	var files [3]*os.File
	for i := range files {
		f, err := os.CreateTemp(w.t.TempDir(), "")
		if err != nil {
			return nil, 0, err
		}
		defer f.Close()
		files[i] = f
	}
	if w.passphrase {
		if _, err := files[2].WriteString(passphrase + "\n"); err != nil {
			return nil, 0, err
		}
		if _, err := files[2].Seek(0, 0); err != nil {
			return nil, 0, err
		}
		args = append(args, "--passphrase-fd", "3")
	}
	cmd := exec.Command("ass", args...)
	cmd.Env, cmd.Dir = w.env(), w.in(project)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = files[0], files[1], files[2:]
	r, code, err := follow(cmd, w.root)
	for i, text := range []*string{&w.said, &w.errs} {
		b, rerr := os.ReadFile(files[i].Name())
		if rerr != nil {
			return nil, 0, rerr
		}
		*text = string(b)
	}
	return r, code, err
}

// write makes a file for a command.
func (w *home) write(path, text string) {
	w.t.Helper()
	if err := os.WriteFile(w.in(path), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *home) read(path string) []byte {
	w.t.Helper()
	b, err := os.ReadFile(w.in(path))
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// newest returns the id of the vault and the number of its newest log entry; nothing without a vault.
func (w *home) newest() (vid string, seq uint64) {
	w.t.Helper()
	if _, err := os.Stat(w.in(vaultFile)); err != nil {
		return "", 0
	}
	v, err := vault.Open(w.in(vaultFile), vault.Options{ReadOnly: true})
	if err != nil {
		w.t.Fatal(err)
	}
	defer v.Close()
	_, seq, err = v.LogAfter(0, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return v.ID(), seq
}
