package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// wineVariable names a wine, such as /usr/lib/wine/wine64.
const wineVariable = "ASS_TEST_WINE"

// windows is a machine that wine plays, with ass.exe on it.
type windows struct {
	t              *testing.T
	wine, dir, exe string
	env            []string
}

func newWindows(t *testing.T) *windows {
	wine := os.Getenv(wineVariable)
	if wine == "" {
		t.Skip(wineVariable + " names no wine")
	}
	// The server of wine makes the files, and with this mask, its access lists say that others have no rights.
	old := syscall.Umask(0o077)
	t.Cleanup(func() { syscall.Umask(old) })
	dir := t.TempDir()
	w := &windows{t: t, wine: wine, dir: dir, exe: filepath.Join(dir, "ass.exe")}
	w.env = append(withHome(dir), "WINEPREFIX="+filepath.Join(dir, "prefix"), "WINEDEBUG=-all", "USER=ann", "DISPLAY=")
	version := w.does(wine, "--version")
	if err := w.start("wineboot", "--init").wait(); err != nil {
		t.Fatalf("wineboot: %v", err)
	}
	// The server of wine ends with its last program, and takes seconds to start. So one program stays until the end.
	stays := w.start("cmd")
	t.Cleanup(func() { _ = w.start("wineboot", "--kill").wait(); _ = stays.wait() })
	system := filepath.Join(dir, "prefix/drive_c/windows/system32/bcryptprimitives.dll")
	_, err := os.Stat(system)
	if err != nil {
		w.does("x86_64-w64-mingw32-gcc", "-shared", "-O2", "-o", system, "wine/bcryptprimitives.c", "-ladvapi32")
	}
	t.Logf("%s; its own bcryptprimitives.dll: %v", strings.TrimSpace(version), err == nil)
	build := exec.Command("go", "build", "-trimpath", "-o", w.exe, "..")
	build.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return w
}

// does runs a program of this system that must succeed.
func (w *windows) does(args ...string) string {
	w.t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = w.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return string(out)
}

// start starts a program of wine's own. What it writes goes nowhere: the server of wine may inherit a pipe.
func (w *windows) start(args ...string) (p started) {
	w.t.Helper()
	p.cmd = exec.Command(w.wine, args...)
	p.cmd.Env = w.env
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

type started struct {
	cmd   *exec.Cmd
	stdin io.Closer
}

// wait ends the program's input, and waits for its end.
func (p started) wait() error {
	p.stdin.Close()
	return p.cmd.Wait()
}

// ass runs ass.exe, which must end with a code. It returns what it wrote, with the newlines of Unix.
func (w *windows) ass(code int, stdin string, args ...string) (stdout, stderr string) {
	w.t.Helper()
	stdout, stderr, got := w.run(stdin, args...)
	if got != code {
		w.t.Errorf("%q: exit code %d, want %d\n%s%s", args, got, code, stdout, stderr)
	}
	return stdout, stderr
}

func (w *windows) run(stdin string, args ...string) (stdout, stderr string, code int) {
	cmd := exec.Command(w.wine, append([]string{w.exe}, args...)...)
	var out, errs bytes.Buffer
	cmd.Env, cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = w.env, w.dir, strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return "", err.Error(), -1
	}
	unix := func(b *bytes.Buffer) string { return strings.ReplaceAll(b.String(), "\r\n", "\n") }
	return unix(&out), unix(&errs), cmd.ProcessState.ExitCode()
}

// prints runs ass.exe, which must succeed and print something that matches.
func (w *windows) prints(want string, args ...string) (found []string) {
	w.t.Helper()
	stdout, stderr := w.ass(0, "", args...)
	if found = regexp.MustCompile(want).FindStringSubmatch(stdout); found == nil {
		w.t.Fatalf("%q printed no %s\n%s%s", args, want, stdout, stderr)
	}
	return found
}

// says runs ass.exe, which must end with a code and write something that matches to stderr.
func (w *windows) says(code int, want string, args ...string) []string {
	w.t.Helper()
	_, stderr := w.ass(code, "", args...)
	found := regexp.MustCompile(want).FindStringSubmatch(stderr)
	if found == nil {
		w.t.Errorf("%q said no %s\n%s", args, want, stderr)
		return make([]string, 10)
	}
	return found
}

// with is the machine with one more variable.
func (w *windows) with(variable string) *windows {
	other := *w
	other.env = append(other.env[:len(other.env):len(other.env)], variable)
	return &other
}

func (w *windows) write(name, content string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *windows) read(name string) string {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

// folder returns the folder of ass on the machine.
func (w *windows) folder() string {
	w.t.Helper()
	found, _ := filepath.Glob(filepath.Join(w.dir, "prefix/drive_c/users/*/AppData/Local/ass"))
	if len(found) != 1 {
		w.t.Fatalf("folders of ass: %q", found)
	}
	return found[0]
}

// The owner's day on Windows, as far as wine goes.
func TestWindowsDay(t *testing.T) {
	w := newWindows(t)

	// The first secret makes the vault. All of it lies in the local folder, for the owner alone.
	_, said := w.ass(0, "", "secrets", "set", "prod/app/KEY", "hunter2-one")
	if !strings.Contains(said, `created a new vault at ~\AppData\Local\ass\vault.db; `+
		`its owner key is in ~\AppData\Local\ass\config.json`) || strings.Contains(said, "warning") {
		t.Errorf("the first set: %s", said)
	}
	if roams, _ := filepath.Glob(filepath.Join(w.dir, "prefix/drive_c/users/*/AppData/Roaming/ass*")); len(roams) > 0 {
		t.Errorf("these roam: %q", roams)
	}
	w.prints(`^hunter2-one$`, "secrets", "get", "prod/app/KEY")
	w.ass(0, "hunter2-piped", "secrets", "set", "prod/app/PIPED")
	w.prints(`^hunter2-piped$`, "secrets", "get", "prod/app/PIPED")
	w.prints(`KEY.*\n.*PIPED`, "secrets", "list", "prod/app")
	w.ass(0, "", "secrets", "rotate", "prod/app/KEY", "--value", "hunter2-two", "--force")
	w.prints(`^hunter2-two$`, "secrets", "get", "prod/app/KEY")
	w.prints(`^hunter2-one$`, "secrets", "get", "prod/app/KEY", "--version", "1")
	w.ass(0, "", "secrets", "delete", "prod/app/PIPED", "--force")
	w.says(4, `PIPED`, "secrets", "get", "prod/app/PIPED")
	w.ass(0, "", "secrets", "restore", "prod/app/PIPED")
	w.ass(0, "", "secrets", "set", "prod/app/PURGED", "hunter2-gone")
	w.ass(0, "", "secrets", "purge", "prod/app/PURGED", "--force")
	w.says(4, `PURGED`, "secrets", "get", "prod/app/PURGED")
	w.says(2, `stdin is not a terminal; pass --force`, "secrets", "delete", "prod/app/KEY")

	// Files in, files out.
	w.write("in.env", "A=hunter2-a\r\nB=\"hunter2 b\"\r\n")
	w.ass(0, "", "env", "import", "in.env", "--namespace", "prod/env")
	w.prints(`(?m)^A=.?hunter2-a.?$`, "env", "export", "prod/env")
	w.ass(0, "", "env", "export", "prod/env", "--output", "out.env")
	w.ass(0, "", "env", "export", "prod/env", "--output", "out.env") // it replaces what it wrote
	w.write("template", "key: {{ass://prod/app/KEY}}\n")
	w.ass(0, "", "inject", "-i", "template", "-o", "filled")
	if got := w.read("filled"); got != "key: hunter2-two\n" {
		t.Errorf("injected: %q", got)
	}

	// A program gets secrets, its output is masked, and its exit code is passed on.
	w.ass(7, "", "run", "--env", "KEY=prod/app/KEY", "--", "cmd", "/c", `if "%KEY%"=="hunter2-two" exit 7`)
	out, _ := w.ass(0, "", "run", "--env", "KEY=prod/app/KEY", "--", "cmd", "/c", "echo [%KEY%]")
	if strings.Contains(out, marker) || !strings.HasPrefix(out, "[") {
		t.Errorf("run printed %q", out)
	}
	w.says(127, `no such program on PATH`, "run", "--env", "KEY=prod/app/KEY", "--", "nothing-like-it")
	w.says(2, `--file-on-disk`, "run", "--file", "KEY=prod/app/KEY", "--", "cmd", "/c", "exit")
	out, _ = w.ass(0, "", "run", "--file-on-disk", "--no-redact", "--file", "KEY=prod/app/KEY", "--", "cmd", "/c",
		"type %KEY%")
	if out != "hunter2-two" {
		t.Errorf("the file has %q", out)
	}

	// Agents, tokens, approvals.
	w.ass(0, "", "secrets", "set", "prod/app/SENSITIVE", "hunter2-s", "--tier", "sensitive")
	w.ass(0, "", "agents", "create", "--name", "ci", "--scopes", "secrets:read:prod/app/*", "--write-key", "ci.key")
	agent := w.with("ASS_AGENT_KEY_FILE=ci.key")
	agent.prints(`^hunter2-two$`, "secrets", "get", "prod/app/KEY")
	agent.says(5, `prod/env/A`, "secrets", "get", "prod/env/A")
	agent.says(5, ``, "secrets", "set", "prod/app/KEY", "hunter2-no")
	asked := agent.says(6, `([0-9a-f]{8}-[0-9a-f-]{27})`, "secrets", "get", "prod/app/SENSITIVE")[1]
	w.prints(asked[:8], "approvals", "list")
	w.ass(0, "", "approvals", "approve", asked, "--force")
	agent.prints(`^hunter2-s$`, "secrets", "get", "prod/app/SENSITIVE")
	token := w.prints(`"token": ?"([^"]+)"`, "tokens", "issue", "--scopes", "secrets:read:prod/app/KEY", "--json")[1]
	holder := w.with("ASS_API_KEY=" + token)
	holder.prints(`^hunter2-two$`, "secrets", "get", "prod/app/KEY")
	holder.says(5, ``, "secrets", "get", "prod/app/PIPED")
	if err := os.Chmod(filepath.Join(w.dir, "ci.key"), 0o604); err != nil {
		t.Fatal(err)
	}
	agent.says(2, `others can read or write ci.key, so it is not used; mend it with: icacls "ci.key" /inheritance:r `+
		`/grant:r `+
		`"\*S-1-5-[0-9-]+:F" "\*S-1-5-18:F" "\*S-1-5-32-544:F" /remove:g "\*S-1-1-0"`, "secrets", "get", "prod/app/KEY")
	if err := os.Chmod(filepath.Join(w.dir, "ci.key"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.ass(0, "", "agents", "revoke", "ci", "--force")
	agent.says(5, ``, "secrets", "get", "prod/app/KEY")

	// Copies.
	w.ass(0, "", "vault", "backup", "vault.bak")
	w.ass(0, "", "secrets", "set", "prod/app/LATER", "hunter2-later")
	w.ass(0, "", "vault", "restore", "vault.bak", "--force")
	w.says(4, `LATER`, "secrets", "get", "prod/app/LATER")
	w.ass(0, "", "vault", "compact")
	w.ass(0, "", "vault", "rekey", "--force")
	w.ass(0, "", "vault", "rekey", "--new-key", "--force")
	w.prints(`^hunter2-two$`, "secrets", "get", "prod/app/KEY")
	w.ass(0, "", "vault", "check")
	w.prints(`^OK`, "audit", "verify")
	w.prints(`(?i)operational`, "status")

	// A passphrase comes through stdin; Windows hands on no other descriptor.
	w.ass(0, "a long passphrase\n", "login", "--passphrase-fd", "0")
	w.says(3, `has a passphrase, and stdin is not a terminal`, "secrets", "get", "prod/app/KEY")
	w.says(2, `--passphrase-fd: the descriptor cannot be read`, "secrets", "get", "prod/app/KEY", "--passphrase-fd", "3")
	w.ass(5, "a wrong one\n", "secrets", "get", "prod/app/KEY", "--passphrase-fd", "0")
	w.ass(0, "a long passphrase\n", "unlock", "--passphrase-fd", "0")
	w.prints(`^hunter2-two$`, "secrets", "get", "prod/app/KEY")
	w.ass(0, "", "lock")
	w.says(3, ``, "secrets", "get", "prod/app/KEY")

	// Out, and in again with the key that logout kept.
	said = w.says(0, `recovery-default-[0-9a-f]{8}\.key`, "logout")[0]
	w.says(3, ``, "secrets", "get", "prod/app/KEY")
	_, kept, _ := strings.Cut(filepath.Join(w.folder(), said), "/drive_c/")
	kept = `C:\` + strings.ReplaceAll(kept, "/", `\`)
	w.ass(0, "a long passphrase\n", "login", "--key-file", kept, "--passphrase-fd", "0")
	out, _ = w.ass(0, "a long passphrase\n", "secrets", "get", "prod/app/KEY", "--passphrase-fd", "0")
	if out != "hunter2-two" {
		t.Errorf("after the login: %q", out)
	}
	if left, _ := filepath.Glob(filepath.Join(w.folder(), ".ass-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// On Windows, too, processes wait for each other, and give up in time.
func TestWindowsCrowd(t *testing.T) {
	w := newWindows(t)
	w.ass(0, "", "secrets", "set", "crowd/FIRST", "hunter2")
	const crowd = 8
	var wg sync.WaitGroup
	for n := range crowd {
		wg.Go(func() {
			w.ass(0, "", "secrets", "set", fmt.Sprintf("crowd/K%d", n), "hunter2", "--lock-timeout", "60s")
			w.ass(0, "", "secrets", "get", "crowd/FIRST", "--lock-timeout", "60s")
		})
	}
	wg.Wait()
	out, _ := w.ass(0, "", "secrets", "list", "crowd", "--json")
	if n := strings.Count(out, `"crowd/`); n != crowd+1 {
		t.Errorf("%d secrets, want %d\n%s", n, crowd+1, out)
	}
	w.prints(`^OK`, "audit", "verify")

	// Wine takes a lock of Windows as a lock of Linux on the same bytes, so this process can hold the vault.
	lock, err := os.OpenFile(filepath.Join(w.folder(), "vault.db.lock"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	held := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: 1 << 30, Len: 1}
	if err := unix.FcntlFlock(lock.Fd(), unix.F_SETLK, &held); err != nil {
		t.Fatal(err)
	}
	w.says(7, `in use by another process; waited 300ms`, "secrets", "get", "crowd/FIRST", "--lock-timeout", "300ms")
	w.says(7, `in use by another process`, "secrets", "get", "crowd/FIRST", "--lock-timeout", "0")
	time.AfterFunc(2*time.Second, func() { lock.Close() })
	w.prints(`^hunter2$`, "secrets", "get", "crowd/FIRST", "--lock-timeout", "60s")
}

// What others can read is told, with the line that mends it; what others can write decides nothing.
func TestWindowsOthers(t *testing.T) {
	w := newWindows(t)
	w.ass(0, "", "secrets", "set", "ns/K", "hunter2")
	w.write(".assrc", `{"namespace":"ns","version":1}`)
	w.prints(`^hunter2$`, "secrets", "get", "K")
	chmod := func(path string, mode os.FileMode) {
		t.Helper()
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	chmod(filepath.Join(w.dir, ".assrc"), 0o606)
	w.says(2, `\.assrc belongs to another user or is writable by everyone, so it is not used`, "secrets", "get", "K")
	if _, stderr := w.ass(0, "", "status"); strings.Contains(stderr, "warning") {
		t.Errorf("a warning without a reason: %s", stderr)
	}
	const ids = `icacls "[^"]+" /inheritance:r /grant:r "\*S-1-5-[^"]+" "\*S-1-5-18[^"]+" "\*S-1-5-32-544[^"]+" ` +
		`/remove:g "\*S-1-1-0"`
	for name, says := range map[string]string{
		"vault.db":    `vault\.db can be read by others; mend it with: ` + ids,
		"config.json": `config\.json can be read by others; mend it with: ` + ids,
		"":            `the folder .*\\ass is open to others; mend it with: ` + ids,
		"..":          `others can replace the folders in .*\\Local; mend it with: ` + ids,
	} {
		path := filepath.Join(w.folder(), name)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		chmod(path, info.Mode().Perm()|0o007)
		w.prints(says, "status")
		w.says(0, says, "secrets", "get", "ns/K")
		chmod(path, info.Mode().Perm())
	}
}
