package e2e

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal that runs ass. With it, a test can do what testscript
// cannot: type after a prompt appears, and press Ctrl-C.
type terminal struct {
	done   chan struct{} // the screen has ended
	t      *testing.T
	master *os.File
	slave  *os.File
	cmd    *exec.Cmd

	mu     sync.Mutex
	screen bytes.Buffer
}

func startOnTerminal(t *testing.T, home string, args ...string) *terminal {
	t.Helper()
	return startOnWide(t, home, 80, args...)
}

// startOnWide starts ass on a terminal of so many columns.
func startOnWide(t *testing.T, home string, wide uint16, args ...string) *terminal {
	t.Helper()
	cmd := exec.Command("ass", args...)
	cmd.Env = append(withHome(home), "TERM=xterm")
	return startCmdOnTerminal(t, cmd, wide)
}

// startCmdOnTerminal starts a program on a terminal of so many columns.
func startCmdOnTerminal(t *testing.T, cmd *exec.Cmd, wide uint16) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile("/dev/pts/"+itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { slave.Close() })
	if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: wide}); err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, master: master, slave: slave, cmd: cmd}
	term.cmd.Stdin, term.cmd.Stdout, term.cmd.Stderr = slave, slave, slave
	term.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := term.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	term.done = make(chan struct{})
	go func() {
		defer close(term.done)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			term.mu.Lock()
			term.screen.Write(buf[:n])
			term.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return term
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

func (term *terminal) text() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.screen.String()
}

// unwrapped is the screen with each message on one line, as it is in a pipe.
func unwrapped(screen string) string {
	return strings.NewReplacer("\r\nass: hint: ", "; ", "\r\n     ", " ").Replace(screen)
}

func (term *terminal) await(text string) {
	term.t.Helper()
	term.awaitAfter(0, text)
}

// awaitAfter is await for a text behind the first bytes of the screen.
func (term *terminal) awaitAfter(start int, text string) {
	term.t.Helper()
	for range 1000 { // a passphrase takes seconds under the race detector
		if screen := term.text()[start:]; strings.Contains(screen, text) || strings.Contains(unwrapped(screen), text) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	_ = term.cmd.Process.Kill()
	term.t.Fatalf("%q did not come; the screen is:\n%s", text, term.text())
}

func (term *terminal) typeIn(text string) {
	term.t.Helper()
	if _, err := io.WriteString(term.master, text); err != nil {
		term.t.Fatal(err)
	}
}

// all waits for the end of the program, and returns all that it wrote.
func (term *terminal) all() string {
	term.t.Helper()
	term.exitCode()
	term.slave.Close() // the last one: the screen ends
	<-term.done
	return term.text()
}

func (term *terminal) exitCode() int {
	err := term.cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// unread returns how many bytes were typed that nobody has read, whether a newline ends them or not.
func (term *terminal) unread() int {
	term.t.Helper()
	state, err := unix.IoctlGetTermios(int(term.slave.Fd()), unix.TCGETS)
	if err != nil {
		term.t.Fatal(err)
	}
	state.Lflag &^= unix.ICANON
	if err := unix.IoctlSetTermios(int(term.slave.Fd()), unix.TCSETS, state); err != nil {
		term.t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(term.slave.Fd()), unix.TIOCINQ)
	if err != nil {
		term.t.Fatal(err)
	}
	return n
}

func (term *terminal) echoes() bool {
	state, err := unix.IoctlGetTermios(int(term.slave.Fd()), unix.TCGETS)
	if err != nil {
		term.t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// Ctrl-C at a prompt ends the program, and the terminal is as before.
func TestInterruptAtAPrompt(t *testing.T) {
	home := t.TempDir()
	if out, err := assIn(home, "secrets", "set", "a/K", "hunter2"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, c := range []struct {
		prompt string
		keys   string
		args   []string
	}{
		{"Value for a/K: ", "\x03", []string{"secrets", "set", "a/K"}},
		{"[y/N] ", "\x03", []string{"secrets", "delete", "a/K"}},
		{"[y/N] ", "\x04", []string{"secrets", "delete", "a/K"}},
		{"six characters", "\x03", []string{"login"}},
	} {
		term := startOnTerminal(t, home, c.args...)
		term.await(c.prompt)
		time.Sleep(50 * time.Millisecond) // time to turn the echo off
		term.typeIn(c.keys)
		if code := term.exitCode(); code != 130 {
			t.Errorf("%q at %q: exit code %d", c.keys, c.prompt, code)
		}
		if !term.echoes() {
			t.Errorf("%q at %q: the terminal does not echo any more", c.keys, c.prompt)
		}
		term.await("ass: interrupted")
	}
	if out, err := assIn(home, "secrets", "get", "a/K"); err != nil || string(out) != "hunter2" {
		t.Errorf("afterwards: %q, %v", out, err)
	}
}

// After a prompt was answered, Ctrl-C ends the program as usual.
func TestInterruptBehindAPrompt(t *testing.T) {
	home := t.TempDir()
	if out, err := assIn(home, "secrets", "set", "a/K", "hunter2"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	holder := exec.Command("flock", filepath.Join(home, ".local/share/ass/vault.db.lock"), "sleep", "30")
	if err := holder.Start(); err != nil {
		t.Skip(err)
	}
	defer func() { _ = holder.Process.Kill(); _ = holder.Wait() }()
	time.Sleep(100 * time.Millisecond)
	term := startOnTerminal(t, home, "secrets", "purge", "a/K")
	term.await("[y/N] ")
	term.typeIn("y\r")
	term.await("waiting for ")
	start := time.Now()
	term.typeIn("\x03")
	if code := term.exitCode(); code == 0 || time.Since(start) > 5*time.Second {
		t.Errorf("exit code %d after %v", code, time.Since(start))
	}
}

// If the reader of a pipe is slow, ass does not keep the vault locked.
func TestSlowReaders(t *testing.T) {
	home := t.TempDir()
	if out, err := assIn(home, "secrets", "set", "a/BIG", "--generate", "--length", "4096"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for range 6 {
		if out, err := assIn(home, "secrets", "rotate", "a/BIG", "--file", "/bin/sh"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	for _, args := range [][]string{{"secrets", "get", "a/BIG"}, {"audit", "--tail", "--limit", "0", "--json"}} {
		slow := exec.Command("ass", args...)
		slow.Env = withHome(home)
		pipe, err := slow.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := slow.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := pipe.Read(make([]byte, 1)); err != nil { // it prints, and nobody reads the rest
			t.Fatal(err)
		}
		if out, err := assIn(home, "secrets", "set", "a/K", "hunter2", "--lock-timeout", "1s"); err != nil {
			t.Errorf("beside %v: %v\n%s", args, err, out)
		}
		_ = slow.Process.Kill()
		_ = slow.Wait()
	}
}

// If ass cannot log the read of a value, it does not print the value. Here the file can be
// opened, but the log entry cannot be written.
func TestNoValueWithoutItsEntry(t *testing.T) {
	home := t.TempDir()
	if out, err := assIn(home, "secrets", "set", "a/K", "hunter2"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	before, _ := assIn(home, "audit", "--limit", "0")
	cmd := exec.Command("sh", "-c", "ulimit -f 4; exec ass secrets get a/K") // no file can be written beyond 4 blocks
	cmd.Env = withHome(home)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err == nil || len(out) > 0 || !strings.HasPrefix(stderr.String(), "ass: ") || strings.Contains(stderr.String(),
		"goroutine") {
		t.Errorf("%v: stdout %q, stderr %q", err, out, stderr.String())
	}
	if after, err := assIn(home, "audit", "--limit", "0"); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the log has changed: %v\n%s", err, after)
	}
	if out, err := assIn(home, "secrets", "get", "a/K"); err != nil || string(out) != "hunter2" {
		t.Errorf("afterwards: %q, %v", out, err)
	}
}

// A prompt for a value accepts a pasted line of any length. If several lines are pasted,
// ass stores nothing, and the shell does not get the rest.
func TestPasteAtAPrompt(t *testing.T) {
	home := t.TempDir()
	if out, err := assIn(home, "secrets", "set", "a/K", "hunter2"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	paste := func(keys string) (*terminal, int) {
		term := startOnTerminal(t, home, "secrets", "set", "a/LONG")
		term.await("Value for a/LONG: ")
		time.Sleep(50 * time.Millisecond)
		term.typeIn(keys)
		return term, term.exitCode()
	}
	long := strings.Repeat("hunter2-", 1000)
	if term, code := paste(long + "x\x7f\r"); code != 0 { // the backspace deletes the x
		t.Fatalf("exit code %d:\n%s", code, term.text())
	}
	if out, err := assIn(home, "secrets", "get", "a/LONG"); err != nil || string(out) != long {
		t.Errorf("%d bytes came back of %d: %v", len(out), len(long), err)
	}
	if term, code := paste("-----BEGIN KEY-----\rhunter2\r-----END KEY-----\r"); code != 2 || strings.Contains(term.text(),
		"hunter2") {
		t.Errorf("exit code %d:\n%s", code, term.text())
	}
	if out, err := assIn(home, "secrets", "get", "a/LONG"); err != nil || string(out) != long {
		t.Errorf("something of the paste was stored: %q, %v", out, err)
	}
	if term, code := paste("\x04"); code != 130 || !term.echoes() {
		t.Errorf("Ctrl-D: exit code %d", code)
	}
	if term, code := paste("abc\x1c"); code != 130 || !term.echoes() || strings.Contains(term.text(), "goroutine") {
		t.Errorf("Ctrl-\\: exit code %d:\n%s", code, term.text())
	}
}

// On a terminal, ass prints marks, colours and relative times. NO_COLOR removes the
// colours.
func TestOnATerminal(t *testing.T) {
	home := t.TempDir()
	term := startOnTerminal(t, home, "secrets", "set", "production/gemini/KEY", "--tier", "sensitive")
	term.await("Value for production/gemini/KEY: ")
	time.Sleep(50 * time.Millisecond)
	term.typeIn("hunter2\r")
	term.await("\x1b[32m✓\x1b[0m Secret stored at production/gemini/KEY\r\n")
	term.await("ass: created (sensitive)\r\n")
	if term.exitCode() != 0 || strings.Contains(term.text(), "hunter2") {
		t.Errorf("the screen is:\n%s", term.text())
	}
	term = startOnTerminal(t, home, "secrets", "list", "production")
	term.await("production/gemini/KEY  custom  \x1b[33msensitive\x1b[0m  \x1b[2mjust now\x1b[0m")
	term = startOnTerminal(t, home, "status")
	term.await("● Operational")
	term = startOnTerminal(t, home, "audit")
	term.await("ass: receipt: 2:")
	if term.exitCode() != 0 || strings.Contains(term.text(), "not verified") {
		t.Errorf("what was verified is shown as:\n%s", term.text())
	}
	term = startOnTerminal(t, home, "audit", "--limit", "0")
	term.await("ass: these entries are not verified: there are too many; ass audit verify verifies the whole log")
	term = startOnTerminal(t, home, "audit", "verify")
	term.await("ass: receipt: 2:")
	term = startOnTerminal(t, home, "secrets", "get", "production/gemini/KEY")
	term.await("hunter2\r\n")
	t.Setenv("NO_COLOR", "1")
	term = startOnTerminal(t, home, "secrets", "list", "production")
	term.await("production/gemini/KEY  custom  sensitive  just now")
}

// login works from the first prompt to the confirmed key. After the user confirmed the key,
// ass keeps no recovery file.
func TestLoginOnATerminal(t *testing.T) {
	home := t.TempDir()
	term := startOnTerminal(t, home, "login")
	term.await("Passphrase for the owner key (empty for none): ")
	time.Sleep(50 * time.Millisecond)
	term.typeIn("\r")
	term.await("Type its last six characters")
	screen := term.text()
	at := strings.Index(screen, "AGE-SECRET-KEY-PQ-1")
	if at < 0 {
		t.Fatalf("no key on the screen:\n%s", screen)
	}
	key := strings.Fields(screen[at:])[0]
	term.typeIn(strings.ToLower(key[len(key)-6:]) + "\r")
	term.await("confirmed")
	if code := term.exitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if out, err := assIn(home, "logout"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if files, _ := filepath.Glob(filepath.Join(home, ".config/ass/recovery-*")); len(files) > 0 {
		t.Errorf("a confirmed key was kept all the same: %s", files)
	}
}

// On a full disk, a command fails with a clear line, prints no value and changes nothing.
// When there is room again, ass works again.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("no small disk can be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	home := t.TempDir()
	t.Setenv("ASS_API_URL", filepath.Join(dir, "vault.db"))
	if out, err := assIn(home, "secrets", "set", "a/K", "hunter2"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	filler := filepath.Join(dir, "filler")
	var big [256 << 10]byte
	_ = os.WriteFile(filler, big[:], 0o600)
	before, err := os.ReadFile(filepath.Join(dir, "vault.db"))
	if err != nil {
		t.Fatal(err)
	}
	failed := 0
	for _, args := range [][]string{
		{"secrets", "set", "a/BIG", strings.Repeat("hunter2", 10000)},
		{"secrets", "purge", "a/K", "--force"},
		{"secrets", "set", "a/K", "hunter2", "--tier", "critical"},
	} {
		out, err := assIn(home, args...)
		if err == nil {
			t.Errorf("%v worked on a full disk", args[:2])
			continue
		}
		failed++
		if !strings.Contains(string(out), "no space left on device; nothing was changed; make room") ||
			strings.Contains(string(out), "hunter2") {
			t.Errorf("%v: %s", args[:2], out)
		}
	}
	if after, err := os.ReadFile(filepath.Join(dir, "vault.db")); err != nil || !bytes.Equal(before[:8192], after[:8192]) {
		t.Errorf("the failures changed the vault: %v", err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if out, err := assIn(home, "secrets", "get", "a/K"); err != nil || string(out) != "hunter2" {
		t.Errorf("with room again: %q, %v", out, err)
	}

	// On a read-only disk, listing works. Reading a value does not, because it cannot be logged.
	if err := unix.Mount("none", dir, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if out, err := assIn(home, "secrets", "list", "a"); err != nil || !strings.Contains(string(out), "a/K") {
		t.Errorf("list on a read-only disk: %v\n%s", err, out)
	}
	out, err := assIn(home, "secrets", "get", "a/K")
	if err == nil || strings.Contains(string(out), "hunter2") || !strings.Contains(string(out), "so it must be writable") {
		t.Errorf("get on a read-only disk: %v\n%s", err, out)
	}
}
