//go:build unix

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"ass/vault"
)

// person is a user with a home, which holds a vault and its owner key.
type person struct {
	t    testing.TB
	home string

	vault string // path
	owner *vault.Identity
}

// newPerson stores a first secret, steady/KEY, which makes the vault, as a user would.
func newPerson(t testing.TB) *person {
	t.Helper()
	p := &person{t: t, home: t.TempDir()}
	p.must("", "secrets", "set", "steady/KEY", marker+"-steady")
	p.find()
	return p
}

// find sets the vault and the owner key from the files in the home.
func (p *person) find() {
	p.t.Helper()
	key := regexp.MustCompile(`AGE-SECRET-KEY-[A-Z0-9-]+`)
	err := filepath.WalkDir(p.home, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.Name() == "vault.db":
			p.vault = path
		case d.Name() == "config.json":
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			p.owner, err = vault.ParseIdentity(string(key.Find(b)))
			return err
		}
		return nil
	})
	if err != nil || p.vault == "" || p.owner == nil {
		p.t.Fatalf("no vault with its key under %s: %v", p.home, err)
	}
}

// check checks the whole vault, and that no .new file was left beside it.
func (p *person) check() {
	p.t.Helper()
	for _, problem := range checkVaults(p.home) {
		p.t.Errorf("the vault does not hold: %s", problem)
	}
}

// process is one run of the program.
type process struct {
	*exec.Cmd
	args     []string
	out, err bytes.Buffer
}

// command prepares a run of the program, without a shell. key is an agent key or a token;
// "" selects the stored owner key.
func (p *person) command(key string, args ...string) *process {
	r := &process{Cmd: exec.Command("ass", args...), args: args}
	r.Env = withHome(p.home)
	if key != "" {
		r.Env = append(r.Env, "ASS_AGENT_KEY="+key)
	}
	r.Stdout, r.Stderr = &r.out, &r.err
	return r
}

// start starts the program. It is killed when the test ends, even if the test fails.
func (p *person) start(key string, args ...string) *process {
	p.t.Helper()
	r := p.command(key, args...)
	if err := r.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(r.kill)
	return r
}

// kill ends the process with SIGKILL, and waits until it is gone.
func (r *process) kill() {
	_ = r.Process.Kill()
	_ = r.Wait()
}

// end waits for the process and returns its exit code: -1 if it was killed, -2 if the wait
// failed.
func (r *process) end() int {
	err := r.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return -2
	}
	return r.ProcessState.ExitCode()
}

func (r *process) String() string {
	return fmt.Sprintf("ass %s: %s %q", strings.Join(r.args, " "), r.ProcessState, r.err.String())
}

// run runs the program to its end.
func (p *person) run(key string, args ...string) (code int, r *process) {
	r = p.command(key, args...)
	if err := r.Start(); err != nil {
		p.t.Error(err)
		return -2, r
	}
	return r.end(), r
}

// must runs a command that must succeed, and returns its stdout.
func (p *person) must(key string, args ...string) string {
	p.t.Helper()
	code, r := p.run(key, args...)
	if code != 0 {
		p.t.Fatal(r)
	}
	return strings.TrimSuffix(r.out.String(), "\n")
}

// names reports whether a lock file names this process.
func (r *process) names(file string) bool {
	b, _ := os.ReadFile(file)
	return bytes.Contains(b, fmt.Appendf(nil, `{"pid":%d,`, r.Process.Pid))
}

// stop stops the process with SIGSTOP. It reports false if the process ended first.
func (r *process) stop() bool {
	var status syscall.WaitStatus
	_ = r.Process.Signal(syscall.SIGSTOP)
	for {
		_, err := syscall.Wait4(r.Process.Pid, &status, syscall.WUNTRACED, nil)
		if !errors.Is(err, syscall.EINTR) {
			return err == nil && status.Stopped()
		}
	}
}

// catch starts the command again and again, until it could stop the command while it
// holds the lock.
func (p *person) catch(args ...string) *process {
	p.t.Helper()
	for range 300 {
		r := p.start("", args...)
		for ended := false; !ended && !r.names(p.vault+".lock"); {
			time.Sleep(50 * time.Microsecond)
			var status syscall.WaitStatus
			pid, err := syscall.Wait4(r.Process.Pid, &status, syscall.WNOHANG, nil)
			ended = pid != 0 && !errors.Is(err, syscall.EINTR)
		}
		if r.stop() && r.names(p.vault+".lock") { // a process removes its name before it releases the lock
			return r
		}
		r.kill()
	}
	p.t.Fatalf("ass %s was never caught with the lock in its hands", strings.Join(args, " "))
	return nil
}

// eventually waits up to half a minute until is returns true.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for range 3000 {
		if is() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("half a minute passed before %s", what)
}
