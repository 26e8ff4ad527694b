package e2e

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// waiting makes a vault with sensitive secrets, and an agent that has asked for each, with a reason.
func waiting(t *testing.T, reason string, paths ...string) (home, key string) {
	t.Helper()
	home = t.TempDir()
	must := func(args ...string) string {
		t.Helper()
		out, err := assIn(home, args...)
		if err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	for _, path := range paths {
		must("secrets", "set", path, "hunter2", "--tier", "sensitive")
	}
	key = regexp.MustCompile(`API Key: (\w+)`).FindStringSubmatch(must("agents", "create", "--name", "worker", "--namespace", "a"))[1]
	t.Setenv("ASS_AGENT_KEY", key)
	for _, path := range paths {
		if out, err := assIn(home, "secrets", "get", path, "--reason", reason); err == nil {
			t.Fatalf("nobody was asked: %s", out)
		}
	}
	t.Setenv("ASS_AGENT_KEY", "")
	return home, key
}

// A person goes through what waits: yes, no with a reason, later, quit. Each decision counts at once.
func TestDecideOneByOne(t *testing.T) {
	home, _ := waiting(t, "the night job", "a/ONE", "a/TWO", "a/THREE", "a/FOUR")
	term := startOnTerminal(t, home, "approvals")
	term.await("ass: 1 of 4: request ")
	term.await("  who:    worker (agt_")
	term.await("  what:   read a/ONE (v1, sensitive)")
	term.await("  lapses: in 24h")
	term.await("  why, in the agent's words:\r\nass:   | the night job")
	const question = "Approve it? [y]es, [n]o, [l]ater, [q]uit: "
	term.await(question)
	term.typeIn("what\r") // asked again
	time.Sleep(50 * time.Millisecond)
	term.typeIn("y\r")
	term.await("Approved: ")
	term.await("ass: 2 of 4: request ")
	term.typeIn("n\r")
	term.await("Why not? The agent sees it (empty: back): ")
	term.typeIn("\r") // back
	time.Sleep(50 * time.Millisecond)
	term.typeIn("n\r")
	time.Sleep(50 * time.Millisecond)
	term.typeIn("not at night\r")
	term.await("Denied: ")
	term.await("ass: 3 of 4: request ")
	term.typeIn("l\r")
	term.await("ass: 4 of 4: request ")
	term.typeIn("q\r")
	code := term.exitCode()
	term.slave.Close() // the last one: the screen ends
	<-term.done
	if code != 0 {
		t.Errorf("exit code %d:\n%s", code, term.text())
	}
	if n := strings.Count(term.text(), question); n != 6 {
		t.Errorf("asked %d times:\n%s", n, term.text())
	}
	out, err := assIn(home, "approvals", "list", "--status", "all")
	for _, want := range []string{"approved  read v1  a/ONE", "denied    read v1  a/TWO", "pending   read v1  a/THREE",
		"pending   read v1  a/FOUR"} {
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("no %q, %v:\n%s", want, err, out)
		}
	}
	// What was put off still waits, and the next command says so; Ctrl-C keeps what was decided.
	term = startOnTerminal(t, home, "approvals")
	term.await("ass: 1 of 2: request ")
	term.typeIn("y\r")
	term.await("ass: 2 of 2: request ")
	term.awaitAfter(strings.Index(term.text(), "2 of 2: request "), "[q]uit: ") // before it, nothing catches a Ctrl-C
	term.typeIn("\x03")
	if code := term.exitCode(); code != 130 {
		t.Errorf("Ctrl-C: exit code %d", code)
	}
	term.await("interrupted; this was done all the same: approved: ")
	term = startOnTerminal(t, home, "approvals")
	term.await("ass: 1 of 1: request ")
	term.typeIn("l\r")
	term.await("ass: 1 request still waits for you\r\n")
	if code := term.exitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// On a terminal, every command of the owner says how many requests wait, once. Not of an agent, and not in JSON.
func TestWaitingIsTold(t *testing.T) {
	home, key := waiting(t, "", "a/ONE", "a/TWO")
	const note = "ass: 2 requests wait for you; decide with: ass approvals\r\n"
	for _, args := range [][]string{
		{"status"}, {"secrets", "get", "a/ONE"}, {"secrets", "list", "a"}, {"audit"}, {"whoami"}, {"agents", "list"},
		{"run", "--env", "K=a/ONE", "--", "true"}, {"secrets", "get", "a/NONE"},
	} {
		term := startOnTerminal(t, home, args...)
		term.await(note)
		_ = term.exitCode()
		if n := strings.Count(term.text(), "decide with"); n != 1 {
			t.Errorf("%q says it %d times:\n%s", args, n, term.text())
		}
	}
	for _, args := range [][]string{{"status", "--json"}, {"secrets", "get", "a/ONE", "--json"}, {"approvals", "list"}} {
		term := startOnTerminal(t, home, args...)
		_ = term.exitCode()
		time.Sleep(50 * time.Millisecond)
		if strings.Contains(term.text(), "decide with") {
			t.Errorf("%q:\n%s", args, term.text())
		}
	}
	t.Setenv("ASS_AGENT_KEY", key)
	for _, args := range [][]string{{"whoami"}, {"secrets", "list", "a"}, {"secrets", "get", "a/ONE"}} {
		term := startOnTerminal(t, home, args...)
		_ = term.exitCode()
		time.Sleep(50 * time.Millisecond)
		if term.text() == "" || strings.Contains(term.text(), "decide with") {
			t.Errorf("an agent is told by %q:\n%s", args, term.text())
		}
	}
}

// An agent's words do not look like the words of ass, however they are laid out, and an id is cut to what is unique.
func TestAgentsWordsOnATerminal(t *testing.T) {
	home, _ := waiting(t, "x"+strings.Repeat(" ", 79)+"ass:   what:   read a/HARMLESS (v1, standard)", "a/ONE")
	term := startOnTerminal(t, home, "approvals")
	term.await("[q]uit: ")
	term.typeIn("q\r")
	_ = term.exitCode()
	for line := range strings.Lines(term.text()) {
		if strings.Contains(line, "HARMLESS") && !strings.HasPrefix(line, "ass:   | ") {
			t.Errorf("an agent's words have no mark: %q", line)
		}
		if len(strings.TrimRight(line, "\r\n")) > 80 {
			t.Errorf("longer than a line: %q", line)
		}
	}
	term = startOnTerminal(t, home, "approvals", "list")
	term.await("REQUESTED")
	_ = term.exitCode()
	time.Sleep(50 * time.Millisecond)
	row := regexp.MustCompile(`(?m)^([0-9a-f-]+)  worker`).FindStringSubmatch(term.text())
	if row == nil || len(row[1]) != 8 {
		t.Fatalf("%q:\n%s", row, term.text())
	}
	term = startOnTerminal(t, home, "approvals", "approve", row[1])
	term.await("Approve this request? [y/N] ")
	term.typeIn("y\r")
	term.await("Approved: " + row[1])
}
