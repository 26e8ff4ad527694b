package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ass/e2e/world"
)

const aPassphrase = "maple tundra gravel oboe"

// What is typed before a prompt answers it, and what is typed while a passphrase is worked on is for the shell.
func TestPassphraseTypedAhead(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	t.Setenv(workFactor, "17") // as users have it, but for half of the time
	home := t.TempDir()
	if out, err := assAt(t, home, "", "secrets", "set", "a/K", "hunter2"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	term := startOnTerminal(t, home, "passphrase")
	term.typeIn(aPassphrase + "\r")
	term.await("Repeat it: ")
	term.typeIn(aPassphrase + "\r")
	term.await("encrypting the owner key ...")
	term.typeIn("next command\r")
	term.await("has a passphrase now")
	if code := term.exitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if screen := term.text(); strings.Contains(screen, "maple") && !strings.HasPrefix(screen, aPassphrase) {
		// The terminal itself shows what is typed before the program has said that it must not.
		t.Errorf("the passphrase is on the screen:\n%s", screen)
	}
	if !term.echoes() {
		t.Error("the terminal stays as it was for the prompt")
	}
	if err := unix.SetNonblock(int(term.slave.Fd()), true); err != nil {
		t.Fatal(err)
	}
	left := make([]byte, 100)
	if n, _ := unix.Read(int(term.slave.Fd()), left); string(left[:n]) != "next command\n" {
		t.Errorf("the shell reads %q", left[:n])
	}

	// The right passphrase opens the key, and the screen says that this takes a while.
	again := startOnTerminal(t, home, "secrets", "get", "a/K")
	again.await("Passphrase: ")
	again.typeIn(aPassphrase + "\r")
	again.await("opening the owner key ...")
	again.await("hunter2")
	if screen := again.all(); strings.Contains(screen, "maple") || !strings.Contains(screen, "\r\x1b[K") {
		t.Errorf("the screen is:\n%q", screen)
	}
}

// Where stdin is no terminal, a pinentry asks: a real one, on a terminal of its own.
func TestRealPinentry(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	for name, toClose := range map[string]string{"pinentry-tty": "\x04", "pinentry-curses": "\t\t\r"} {
		t.Run(name, func(t *testing.T) {
			program, err := exec.LookPath(name)
			if err != nil {
				t.Skip("there is no " + name)
			}
			home := lockedHome(t)
			term := startOnTerminal(t, home, "version") // its terminal is for the pinentry
			term.exitCode()
			ask := func(typed string) (out string, stderr string, err error) {
				before := len(term.text())
				cmd := exec.Command("ass", "secrets", "get", "a/K")
				cmd.Env = append(withHome(home), "ASS_PINENTRY="+program, "GPG_TTY="+term.slave.Name(), "TERM=xterm")
				var stdout, errs bytes.Buffer
				cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &stdout, &errs, time.Second
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				term.awaitAfter(before, "assphrase:")
				time.Sleep(50 * time.Millisecond)
				term.typeIn(typed)
				late := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
				defer late.Stop()
				err = cmd.Wait()
				return stdout.String(), errs.String(), err
			}
			if out, said, err := ask(aPassphrase + "\r"); out != "hunter2" || err != nil {
				t.Errorf("%q, %v, %s", out, err, said)
			}
			if !strings.Contains(term.text(), "ass secrets get needs the passphrase") {
				t.Errorf("the window does not say who asks:\n%s", term.text())
			}
			if out, said, err := ask("hunter3\r"); out != "" || err == nil || !strings.Contains(said, "does not open the owner key") {
				t.Errorf("a wrong one: %q, %v, %s", out, err, said)
			}
			if out, said, err := ask(toClose); out != "" || err == nil || !strings.Contains(said, "nobody typed the passphrase") {
				t.Errorf("closed: %q, %v, %s", out, err, said)
			}
		})
	}
}

// A pinentry that is none, that dies, and one that must not be used.
func TestPinentryFails(t *testing.T) {
	t.Parallel()
	home := lockedHome(t)
	dir := t.TempDir()
	for name, c := range map[string]struct{ script, says string }{
		"another program": {"echo hello; cat >/dev/null", "this is not a pinentry"},
		"dies":            {"echo OK; exit 1", "this is not a pinentry"},
		"none":            {"", "stdin is not a terminal"},
		"missing":         {"", "stdin is not a terminal"},
	} {
		program := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		if c.script != "" {
			if err := os.WriteFile(program, []byte("#!/bin/sh\n"+c.script+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if name == "none" {
			program = name
		}
		cmd := exec.Command("ass", "secrets", "get", "a/K")
		cmd.Env = append(withHome(home), "ASS_PINENTRY="+program)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), c.says) || strings.Count(string(out), "\n") != 1 {
			t.Errorf("%s: %v, %s", name, err, out)
		}
	}
}

// lockedHome is a home with a/K in a vault whose owner key has a passphrase.
func lockedHome(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	for _, args := range [][]string{{"secrets", "set", "a/K", "hunter2"}, {"passphrase", "--new-fd", "0"}} {
		cmd := exec.Command("ass", args...)
		cmd.Env, cmd.Stdin = world.Env(home), strings.NewReader(aPassphrase+"\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	return home
}
