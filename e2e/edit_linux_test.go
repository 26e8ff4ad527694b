package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// editor makes an editor that says when it runs, and then waits for a line.
func editor(t *testing.T) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "editor")
	script := "#!/bin/sh\nprintf 'READY\\n'\nread line </dev/tty\necho \"$line\" >\"$1\"\n"
	if err := os.WriteFile(file, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("VISUAL", "")
	t.Setenv("EDITOR", file)
}

// assAt is assIn with something on stdin.
func assAt(t *testing.T, home, stdin string, args ...string) ([]byte, error) {
	t.Helper()
	cmd := exec.Command("ass", args...)
	cmd.Env, cmd.Stdin = withHome(home), strings.NewReader(stdin)
	return cmd.Output()
}

// left are the files that are there of an edit of a/EDITED_HERE.
func left() (files []string) {
	files, _ = filepath.Glob("/dev/shm/ass-run-*/EDITED_HERE")
	return files
}

// All that is typed after the passphrase is for the editor, from the first key on.
func TestEditorGetsTheFirstKey(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	editor(t)
	home := t.TempDir()
	term := startOnTerminal(t, home, "login")
	term.await("Passphrase for the owner key")
	time.Sleep(50 * time.Millisecond)
	term.typeIn("maple tundra gravel oboe\r")
	term.await("Repeat it: ")
	time.Sleep(50 * time.Millisecond)
	term.typeIn("maple tundra gravel oboe\r")
	term.await("Type its last six characters")
	term.typeIn("\r")
	if term.exitCode() != 0 {
		t.Fatal(term.text())
	}
	if out, err := assAt(t, home, "maple tundra gravel oboe\n", "secrets", "set", "a/EDITED_HERE", "hunter2", "--passphrase-fd", "0"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	term = startOnTerminal(t, home, "secrets", "edit", "a/EDITED_HERE")
	term.await("Passphrase: ")
	time.Sleep(50 * time.Millisecond)
	term.typeIn("maple tundra gravel oboe\r")
	term.await("READY")
	term.typeIn("xyz\r")
	term.await("Passphrase: ") // of the write
	time.Sleep(50 * time.Millisecond)
	term.typeIn("maple tundra gravel oboe\r")
	if code := term.exitCode(); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, term.text())
	}
	if out, _ := assAt(t, home, "maple tundra gravel oboe\n", "secrets", "get", "a/EDITED_HERE", "--passphrase-fd", "0"); string(out) != "xyz" {
		t.Errorf("the editor got %q", out)
	}
	if files := left(); len(files) > 0 {
		t.Errorf("it left %q", files)
	}
}

// Whatever ends an edit, its file goes.
func TestEndedEditLeavesNothing(t *testing.T) {
	editor(t)
	home := t.TempDir()
	if out, err := assIn(home, "secrets", "set", "a/EDITED_HERE", "hunter2"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP} {
		term := startOnTerminal(t, home, "secrets", "edit", "a/EDITED_HERE")
		term.await("READY")
		if len(left()) == 0 {
			t.Skip("/dev/shm is no folder in memory here")
		}
		if err := term.cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if code := term.exitCode(); code != 130 {
			t.Errorf("%v: exit code %d:\n%s", signal, code, term.text())
		}
		if files := left(); len(files) > 0 {
			t.Errorf("%v: it left %q", signal, files)
		}
	}
	if out, _ := assIn(home, "secrets", "get", "a/EDITED_HERE"); string(out) != "hunter2" {
		t.Errorf("it is %q", out)
	}
}
