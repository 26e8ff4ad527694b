package e2e

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// plainUser is a user without privileges, with a home. If the tests run as root, it is the
// user nobody, so that file permissions apply to it.
type plainUser struct {
	t    *testing.T
	ass  string // the program
	home string
	cred *syscall.Credential // nil to run as the user of the tests
}

const nobody, stranger = 65534, 54321

func newPlainUser(t *testing.T) *plainUser {
	t.Helper()
	program, err := exec.LookPath("ass")
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		return &plainUser{t, program, t.TempDir(), nil}
	}
	dir, err := os.MkdirTemp("", "ass-person-") // only its owner can enter t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &plainUser{t, filepath.Join(dir, "ass"), filepath.Join(dir, "home"), &syscall.Credential{Uid: nobody,
		Gid: nobody}}
	err = errors.Join(os.Chmod(dir, 0o755), copyFile(program, p.ass), os.Mkdir(p.home, 0o700), os.Chown(p.home, nobody,
		nobody))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.start("", nil, "version"); err != nil {
		t.Skipf("no program can be run as nobody here: %v", err)
	}
	return p
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// start runs ass as the user, or the shell script wrap, which gets the path of ass as $0.
func (p *plainUser) start(wrap string, env []string, args ...string) (out string, code int, err error) {
	cmd := exec.Command(p.ass, args...)
	if wrap != "" {
		cmd = exec.Command("sh", append([]string{"-c", wrap, p.ass}, args...)...)
	}
	cmd.Dir = p.home
	cmd.Env = append(append(withHome(p.home), "PATH="+filepath.Dir(p.ass)+":"+os.Getenv("PATH")), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.cred}
	var both bytes.Buffer
	cmd.Stdout, cmd.Stderr = &both, &both
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return both.String(), exit.ExitCode(), nil
	}
	return both.String(), 0, err
}

// does runs ass, which must end with this exit code and print text that matches says.
func (p *plainUser) does(code int, says string, args ...string) string {
	p.t.Helper()
	return p.doesWith("", nil, code, says, args...)
}

func (p *plainUser) doesWith(wrap string, env []string, code int, says string, args ...string) string {
	p.t.Helper()
	out, got, err := p.start(wrap, env, args...)
	if err != nil {
		p.t.Fatal(err)
	}
	if got != code || !regexp.MustCompile(says).MatchString(out) {
		p.t.Fatalf("%s %s: exit code %d, want %d and %q:\n%s", wrap, args, got, code, says, out)
	}
	return out
}

// While ass run waits for its child, the child can read neither the environment of ass,
// which may contain an agent's key, nor its memory.
func TestAChildReadsNothingOfItsParent(t *testing.T) {
	p := newPlainUser(t)
	p.does(0, "", "secrets", "set", "a/K", "hunter2")
	out := p.does(0, "", "agents", "create", "--name", "worker", "--scopes", "secrets:read:a/*")
	key := regexp.MustCompile(`ass_\w{54}`).FindString(out)
	spy := `cat /proc/$PPID/comm; tr '\0' '\n' </proc/$PPID/environ; head -c 1 /proc/$PPID/mem; cat /proc/self/environ | tr '\0' '\n' | grep -c ^X=; true`
	out = p.doesWith("", []string{"ASS_AGENT_KEY=" + key}, 0, "(?m)^ass$", "run", "--env", "X=a/K", "--", "sh", "-c", spy)
	if key == "" || strings.Contains(out, key) {
		t.Errorf("the child reads the key of ass:\n%s", out)
	}
	if n := strings.Count(out, "ermission denied"); n != 2 {
		t.Errorf("%d of 2 looks were refused:\n%s", n, out)
	}
	if !regexp.MustCompile(`(?m)^1$`).MatchString(out) {
		t.Errorf("the child cannot read its own environment:\n%s", out)
	}
}

// ass writes no core dump. Its child may, within the limit that ass was started with.
func TestCoreDumps(t *testing.T) {
	p := newPlainUser(t)
	if _, code, _ := p.start("ulimit -c 8", nil); code != 0 {
		t.Skip("no core dumps are allowed here")
	}
	p.does(0, "", "secrets", "set", "a/K", "hunter2")
	// Once the child has started, ass lowers its own limit again.
	const limits = `ulimit -c
		test $(cat /proc/$PPID/comm) = ass || exit 0
		for i in 1 2 3 4 5 6 7 8 9 10; do grep -q 'core file size  *0 ' /proc/$PPID/limits && exit 0; sleep 0.5; done; exit 1`
	for _, flags := range [][]string{{}, {"--no-redact"}, {"--stdin", "a/K"}} {
		args := append(append([]string{"run", "--env", "X=a/K"}, flags...), "--", "sh", "-c", limits)
		p.doesWith(`ulimit -c 8; "$0" "$@"; exit $?`, nil, 0, "^8\n$", args...)
	}
}

// ass can still read files that the shell passes to it as open files.
func TestFilesOfTheProcessItself(t *testing.T) {
	p := newPlainUser(t)
	p.doesWith(`printf hunter2 | "$0" "$@"`, nil, 0, "", "secrets", "set", "a/K", "--file", "/dev/stdin")
	p.doesWith(`printf hunter2 | "$0" "$@" 5<&0`, nil, 0, "", "secrets", "set", "a/L", "--file", "/proc/self/fd/5")
	p.does(0, "^hunter2$", "secrets", "get", "a/L")
}

// ass does not use a stranger's files if they decide where secrets go, or with which
// credential ass reads them. It warns of files that another user could replace.
func TestFilesOfOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("root alone can give files away")
	}
	p := newPlainUser(t)
	p.does(0, "", "secrets", "set", "a/K", "hunter2")
	var (
		config  = filepath.Join(p.home, ".config/ass/config.json")
		data    = filepath.Join(p.home, ".local/share/ass")
		file    = filepath.Join(data, "vault.db")
		project = filepath.Join(p.home, ".assrc")
		run     = filepath.Join(p.home, "run")
		must    = func(errs ...error) {
			t.Helper()
			if err := errors.Join(errs...); err != nil {
				t.Fatal(err)
			}
		}
		give = func(path string, uid int, mode fs.FileMode) {
			t.Helper()
			must(os.Chown(path, uid, -1), os.Chmod(path, mode))
		}
	)

	// the stored credentials
	give(config, stranger, 0o644)
	p.does(1, "config.json belongs to another user, so it is not trusted", "secrets", "set", "a/K", "hunter2")
	p.does(1, "config.json belongs to another user", "login")
	give(config, nobody, 0o600)
	p.does(0, "^hunter2$", "secrets", "get", "a/K")

	// .assrc: ass ignores the namespace of a stranger's file, and uses root's with a note
	must(os.WriteFile(project, []byte(`{"namespace":"theirs","version":1}`), 0o644))
	p.does(0, "the namespace theirs comes from .*/.assrc, which belongs to another user", "secrets", "set", "K", "hunter2")
	give(project, stranger, 0o644)
	for _, args := range [][]string{{"secrets", "set", "K", "hunter2"}, {"secrets", "get", "K"}, {"secrets", "list"},
		{"env", "export"}} {
		p.does(2, "/.assrc belongs to another user or is writable by everyone, so it is not used", args...)
	}
	p.does(0, "", "secrets", "get", "K", "--namespace", "theirs")
	give(project, nobody, 0o644)
	p.does(0, "^hunter2$", "secrets", "get", "K")

	// the vault and the folders above it
	give(file, stranger, 0o666)
	p.does(0, "warning: .*/vault.db belongs to another user, who can read and replace it", "secrets", "get", "a/K")
	give(file, nobody, 0o600)
	give(filepath.Join(p.home, ".local"), nobody, 0o777)
	p.does(0, "warning: others can replace the folders in .*/.local; mend it with: chmod o-w", "secrets", "get", "a/K")
	give(filepath.Join(p.home, ".local"), nobody, 0o777|fs.ModeSticky)
	p.does(0, "^hunter2$", "secrets", "get", "a/K")
	give(data, stranger, 0o777)
	p.does(0, "warning: .*/share/ass belongs to another user", "secrets", "get", "a/K")
	give(data, nobody, 0o700)

	// root, as with sudo, works for the user; the vault still belongs to the user
	root := *p
	root.cred = nil
	root.does(0, "", "vault", "rekey", "--force")
	root.does(0, "the namespace theirs comes from .*/.assrc, which belongs to another user", "secrets", "get", "K")
	p.does(0, "^hunter2$", "secrets", "get", "a/K")

	// the file that ass unlock writes, and its folder
	pass := `exec 3<"$HOME/pass"; exec "$0" "$@" --passphrase-fd 3`
	must(os.WriteFile(filepath.Join(p.home, "pass"), []byte("pass phrase\n"), 0o644))
	p.doesWith(pass, nil, 0, "", "login")
	must(os.Mkdir(run, 0o700), os.Mkdir(filepath.Join(run, "ass"), 0o700))
	give(run, nobody, 0o700)
	give(filepath.Join(run, "ass"), stranger, 0o777)
	env := []string{"XDG_RUNTIME_DIR=" + run}
	p.doesWith(pass, env, 1, "the folder .*/run/ass belongs to another user", "unlock")
	must(os.Rename(filepath.Join(run, "ass"), filepath.Join(run, "theirs")), os.Symlink("theirs", filepath.Join(run,
		"ass")))
	p.doesWith(pass, env, 1, "the folder .*/run/ass belongs to another user", "unlock")
	must(os.Remove(filepath.Join(run, "ass")))
	p.doesWith(pass, env, 0, "Unlocked", "unlock")
	p.doesWith("", env, 0, "^hunter2$", "secrets", "get", "a/K")
	give(filepath.Join(run, "ass/unlocked-default"), stranger, 0o644)
	p.doesWith("", env, 3, "warning: the token of ass unlock is not used: .*belongs to another user", "secrets", "get",
		"a/K")
}
