package e2e

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

func homeWithSecret(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	if out, err := assIn(home, "secrets", "set", "a/K", "hunter2"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return home
}

// On a terminal, ass redacts nothing, and the child replaces the process of ass. So
// nothing stands between the child and the process that started ass.
func TestRunReplacesTheProcess(t *testing.T) {
	home := homeWithSecret(t)
	for _, args := range [][]string{
		{"run", "--env", "X=a/K", "--"},
		{"run", "--namespace", "a", "--no-redact", "--"},
		{"run", "--file", "F=a/K", "--env", "X=a/K", "--"},
		{"run", "--"},
	} {
		term := startOnTerminal(t, home, append(args, "sh", "-c",
			`echo pid $$ of $PPID, "$X$K"; test -z "$F" || cat "$F"; exit 9`)...)
		term.await("pid " + strconv.Itoa(term.cmd.Process.Pid) + " of ")
		if code := term.exitCode(); code != 9 {
			t.Errorf("%v: exit code %d", args, code)
		}
		if len(args) > 2 {
			term.await(", hunter2\r\n")
		}
		if args[1] == "--file" {
			term.await("hunter2\r\nhunter2")
		}
	}
	term := startOnTerminal(t, home, "run", "--stdin", "a/K", "--", "sh", "-c", `echo pid $$, "$(cat)"`)
	term.await(", hunter2\r\n")
	if term.exitCode() != 0 || strings.Contains(term.text(), "pid "+strconv.Itoa(term.cmd.Process.Pid)+",") {
		t.Errorf("with --stdin somebody must write to the child:\n%s", term.text())
	}
}

// Ctrl-C reaches the child once, and ass ends as the child does. That holds if the child
// replaces ass, and if ass waits for the child.
func TestRunCtrlC(t *testing.T) {
	home := homeWithSecret(t)
	const asks = `n=0; trap 'n=$((n+1)); echo caught $n' INT; echo ready; while test $n -lt 1; do sleep 0.05; done; sleep 0.2; echo total $n; exit 8`
	for _, flags := range [][]string{{"--env", "X=a/K"}, {"--stdin", "a/K"}} {
		args := append(append([]string{"run"}, flags...), "--")
		term := startOnTerminal(t, home, append(args, "sh", "-c", asks)...)
		term.await("ready")
		term.typeIn("\x03")
		term.await("total 1")
		if code := term.exitCode(); code != 8 {
			t.Errorf("%v: exit code %d", flags, code)
		}
		term = startOnTerminal(t, home, append(args, "sleep", "30")...)
		time.Sleep(300 * time.Millisecond)
		start := time.Now()
		term.typeIn("\x03")
		err := term.cmd.Wait()
		if err == nil || time.Since(start) > 5*time.Second {
			t.Errorf("%v: %v after %v", flags, err, time.Since(start))
		}
		// the signal itself, or the code that shells use for it
		if code := term.cmd.ProcessState.ExitCode(); code != -1 && code != 130 {
			t.Errorf("%v: exit code %d", flags, code)
		}
	}
	// ass does not send the signal again: a child in another process group, which the
	// terminal does not signal, catches none.
	if _, err := exec.LookPath("setsid"); err == nil {
		term := startOnTerminal(t, home, "run", "--stdin", "a/K", "--", "setsid", "sh", "-c",
			`trap 'echo caught' INT; echo ready; sleep 0.5; echo still here`)
		term.await("ready")
		term.typeIn("\x03")
		term.await("still here")
		if code := term.exitCode(); code != 0 || strings.Contains(term.text(), "caught") {
			t.Errorf("exit code %d:\n%s", code, term.text())
		}
	}
	if out, err := assIn(home, "audit", "verify"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// If only stdout goes into a pipe, ass redacts stdout, and leaves stderr on the terminal
// as the child writes it.
func TestRunRedactsWhatIsNoTerminal(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no sh")
	}
	home := homeWithSecret(t)
	term := startOnTerminal(t, home, "run", "--env", "X=a/K", "--keep-agent-key", "--", "sh", "-c",
		`ass run --env X=a/K -- sh -c 'echo "to a pipe: $X"; echo "to the terminal: $X" >&2' | cat`)
	term.await("to a pipe: [redacted:K]")
	term.await("to the terminal: hunter2")
	if code := term.exitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
