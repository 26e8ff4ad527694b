package e2e

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ass/e2e/world"
)

func homeWithSecret(t *testing.T) string {
	t.Helper()
	world.TakeHangups()
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
		{"run", "--"},
	} {
		term := startOnTerminal(t, home, append(args, "sh", "-c",
			`echo pid $$ of $PPID, "$X$K"; exit 9`)...)
		term.await("pid " + strconv.Itoa(term.cmd.Process.Pid) + " of ")
		if code := term.exitCode(); code != 9 {
			t.Errorf("%v: exit code %d", args, code)
		}
		if len(args) > 2 {
			term.await(", hunter2\r\n")
		}
	}
	for _, flag := range []string{"--stdin=a/K", "--file=F=a/K"} {
		term := startOnTerminal(t, home, "run", flag, "--", "sh", "-c", `echo pid $$, "$(cat $F)"`)
		term.await(", hunter2\r\n")
		if term.exitCode() != 0 || strings.Contains(term.text(), "pid "+strconv.Itoa(term.cmd.Process.Pid)+",") {
			t.Errorf("with %s somebody must stay beside the child:\n%s", flag, term.text())
		}
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
	// But a child in a group of its own in the same session, which the terminal does not signal
	// either, gets it from ass.
	if _, err := exec.LookPath("timeout"); err == nil {
		term := startOnTerminal(t, home, "run", "--stdin", "a/K", "--", "timeout", "20", "sh", "-c", "echo ready; sleep 20")
		term.await("ready")
		start := time.Now()
		term.typeIn("\x03")
		if code := term.exitCode(); code == 0 || time.Since(start) > 5*time.Second {
			t.Errorf("exit code %d after %v:\n%s", code, time.Since(start), term.text())
		}
	}
	if out, err := assIn(home, "audit", "verify"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// If a signal reaches ass and the child at once, ass still ends with the child's code, and what
// somebody behind the child writes is not lost.
func TestRunSignalToTheGroup(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	home := homeWithSecret(t)
	for range 12 {
		var out bytes.Buffer
		cmd := exec.Command("ass", "run", "--env", "K=a/K", "--", "sh", "-c",
			`trap '' TERM; (sleep 0.2; echo late) & trap 'echo bye; exit 9' TERM; echo up; while :; do sleep 0.01; done`)
		cmd.Env = withHome(home)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		pipe, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 3)
		if _, err := io.ReadFull(pipe, b); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(&out, pipe); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 9 || !strings.Contains(out.String(), "bye\n") ||
			!strings.Contains(out.String(), "late\n") {
			t.Fatalf("%v, %q", cmd.ProcessState, out.String())
		}
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

// shellOnTerminal starts an interactive shell, so that there is somebody who takes the terminal
// back when a program stops.
func shellOnTerminal(t *testing.T, home string) *terminal {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("no bash")
	}
	return startOnTerminal(t, home, "run", "--keep-agent-key", "--", "bash", "--norc", "--noprofile", "-i")
}

// Ctrl-Z stops a program at a terminal, and fg continues it: if the terminal signals it, and if it
// stops itself alone, as editors do.
func TestRunCtrlZ(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	home := homeWithSecret(t)
	for _, c := range []struct{ what, flags, program, stop string }{
		{"the terminal stops it", "--file F=a/K", `sh -c 'echo st""art; read x; echo got $x'`, "\x1a"},
		{"it stops itself", "--file F=a/K", `sh -c 'echo st""art; read x; kill -TSTP $$; read x; echo got $x'`, "\n"},
		{"it stops itself, with a stdin of its own", "--stdin a/K",
			`sh -c 'echo st""art; sleep 0.2; kill -TSTP $$; read x </dev/tty; echo got $x'`, ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			term := shellOnTerminal(t, home)
			term.typeIn("PS1='at the ''prompt '\n")
			term.await("at the prompt ")
			term.typeIn("ass run " + c.flags + " -- " + c.program + "\n")
			term.await("start\r\n")
			term.typeIn(c.stop)
			term.await("Stopped")
			term.typeIn("jobs; echo still''here\n")
			term.await("stillhere")
			term.typeIn("fg\n")
			term.await("fg\r\n")
			term.typeIn("back\n")
			term.await("got back")
			term.typeIn("exit 4\n")
			if code := term.exitCode(); code != 4 {
				t.Errorf("exit code %d:\n%s", code, term.text())
			}
		})
	}
}

// When the terminal goes away, so does the program, and its files with it.
func TestRunHangup(t *testing.T) {
	script, err := exec.LookPath("script")
	if err != nil {
		t.Skip("no script")
	}
	home := homeWithSecret(t)
	where, place := filepath.Join(home, "where"), filepath.Join(home, "place")
	cmd := exec.Command(script, "-q", "-c", `ass run --file "F=a/K:$PLACE" -- sh -c 'readlink "$F" >"$WHERE"
		while :; do sleep 0.1; done'`, "/dev/null")
	cmd.Env = append(withHome(home), "PLACE="+place, "WHERE="+where)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var file string
	for range 200 {
		if b, _ := os.ReadFile(where); strings.HasSuffix(string(b), "\n") {
			file = strings.TrimSpace(string(b))
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := cmd.Process.Kill(); err != nil || file == "" {
		t.Fatalf("the program has not begun: %v", err)
	}
	_ = cmd.Wait()
	for _, path := range []string{file, place} {
		there := error(nil)
		for range 200 {
			if _, there = os.Lstat(path); there != nil {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if there == nil {
			t.Errorf("%s is still there", path)
		}
	}
}

// Programs that own the terminal work under ass run, with ass beside them.
func TestRunRealPrograms(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	home := homeWithSecret(t)
	for _, c := range []struct {
		program []string
		keys    []string // each with what it waits for before it
		code    int
	}{
		{[]string{"vim", "-u", "NONE", "-N", "-R", "FILE"}, []string{"hunter2", ":q!\n"}, 0},
		{[]string{"less", "FILE"}, []string{"hunter2", "q"}, 0},
		{[]string{"bash", "--norc", "--noprofile", "-i"}, []string{"bash-", "cat $F; tty; exit 6\n", "/dev/pts/", ""}, 6},
		{[]string{"python3", "-q"}, []string{">>> ", "import os; print(open(os.environ['F']).read()); raise SystemExit(7)\n",
			"hunter2", ""}, 7},
	} {
		t.Run(c.program[0], func(t *testing.T) {
			if _, err := exec.LookPath(c.program[0]); err != nil {
				t.Skipf("no %s", c.program[0])
			}
			place := filepath.Join(t.TempDir(), "place")
			args := []string{"run", "--file", "F=a/K:" + place, "--"}
			for _, arg := range c.program {
				args = append(args, strings.Replace(arg, "FILE", place, 1))
			}
			term := startOnTerminal(t, home, args...)
			for i := 0; i < len(c.keys); i += 2 {
				term.await(c.keys[i])
				term.typeIn(c.keys[i+1])
			}
			if code := term.exitCode(); code != c.code {
				t.Errorf("exit code %d, want %d:\n%s", code, c.code, term.text())
			}
			if _, err := os.Lstat(place); err == nil {
				t.Errorf("%s is still there", place)
			}
		})
	}
}
