package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
)

var escapes = regexp.MustCompile("\x1b\\[[0-9;]*[mK]")

// On a terminal nothing is wider than the screen, unless it is one word, and no word is broken: each is one of the same
// command in a pipe, or is marked as cut. In a pipe, everything is whole.
func TestFitsTheTerminal(t *testing.T) {
	const path = "production/payments/stripe/europe/STRIPE_SECRET_KEY"
	home, _ := waiting(t, "the night job of the shop needs it to charge the customers of the day before", "a/ONE", "a/TWO")
	must := func(args ...string) string {
		t.Helper()
		out, err := assIn(home, args...)
		if err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	must("secrets", "set", path, "hunter2", "--type", "db_credential", "--tier", "critical")
	must("agents", "create", "--name", "the-agent-with-a-long-name-for-the-night-shift", "--scopes",
		"secrets:read:production/payments/*,secrets:write:production/payments/stripe/*,secrets:read:staging/*")
	must("tokens", "issue", "--scopes", "secrets:read:production/payments/*,secrets:read:staging/payments/stripe/*")
	must("secrets", "get", path)
	for _, wide := range []int{80, 110} {
		for _, line := range []string{
			"secrets list production", "secrets list *", "secrets history " + path, "agents list", "agents show worker",
			"agents show the-agent-with-a-long-name-for-the-night-shift", "tokens list", "approvals list", "audit", "audit --limit 0",
			"audit report --agent worker", "explain " + path, "explain --agent the-agent-with-a-long-name-for-the-night-shift",
			"status", "whoami", "vault info", "vault check", "audit verify",
			// errors and notes
			"secrets get " + path + "X", "secrets get production/payments", "secrets list prodction", "secrets get",
			"approvals approve --all x", "tokens issue --scopes secrets:raed:a/*", "agents create", "--api-url /nowhere/vault.db status",
		} {
			t.Run(fmt.Sprint(wide, " ", line), func(t *testing.T) {
				args := strings.Fields(line)
				piped, _ := assIn(home, args...)
				term := startOnWide(t, home, uint16(wide), args...)
				asks := time.AfterFunc(2*time.Second, func() { _ = term.cmd.Process.Signal(syscall.SIGTERM) }) // at a prompt
				screen := escapes.ReplaceAllString(term.all(), "")
				asks.Stop()
				known := strings.Fields(strings.ReplaceAll(string(piped), ",", ", ")) // a list may break behind a comma
				for text := range strings.Lines(screen) {
					text = strings.TrimRight(text, "\r\n")
					words := strings.Fields(text)
					if n := utf8.RuneCountInString(text); n > wide && len(words) > 1 && !strings.HasSuffix(text, path) {
						t.Errorf("%d columns: %s", n, text)
					}
				}
				if !strings.Contains(line, "list") {
					return
				}
				table, _, _ := strings.Cut("\n"+screen, "\nass: ")
				for _, word := range strings.Fields(strings.ReplaceAll(table, ",", ", ")) {
					if !slices.Contains(known, word) && !strings.Contains(word, "…") && isWord(word) && !isPart(word, known) {
						t.Errorf("%q is no word of\n%s", word, piped)
					}
				}
			})
		}
	}
}

// isWord leaves out marks and what a terminal says in other words: times, and the label of a hint.
func isWord(s string) bool {
	return !slices.Contains([]string{"ago", "in", "just", "now", "○", "ass:", "hint:", "waiting"}, s) && !regexp.MustCompile(`^(\d+[smhdw])+$`).MatchString(s)
}

// isPart reports whether a word is the beginning of an id, which a terminal cuts to what is unique.
func isPart(word string, known []string) bool {
	return len(word) >= 8 && slices.ContainsFunc(known, func(k string) bool {
		return len(k) == 36 && strings.HasPrefix(k, word)
	})
}

// What moves the cursor or changes the clipboard is escaped on a terminal, unless it is to be raw.
func TestValueOnATerminal(t *testing.T) {
	home := t.TempDir()
	const value = "a\x1b]0;title\abc\r\nsecond\tline"
	if out, err := assIn(home, "secrets", "set", "a/K", value); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	term := startOnTerminal(t, home, "secrets", "get", "a/K")
	if screen := term.all(); !strings.Contains(screen, `a\x1b]0;title\abc\r`+"\r\nsecond\tline\r\n") ||
		!strings.Contains(screen, "ass: hint: as it is: --raw, or in a pipe") {
		t.Errorf("%q", screen)
	}
	term = startOnTerminal(t, home, "secrets", "get", "a/K", "--raw")
	if screen := term.all(); !strings.Contains(screen, "a\x1b]0;title\abc\r\r\nsecond\tline\r\n") || strings.Contains(screen, "ass:") {
		t.Errorf("%q", screen)
	}
	term = startOnTerminal(t, home, "secrets", "get", "a/K", "--silent")
	if screen := term.all(); strings.Contains(screen, "ass:") {
		t.Errorf("%q", screen)
	}
	if out, _ := assIn(home, "secrets", "get", "a/K"); string(out) != value {
		t.Errorf("%q", out)
	}
}

// Ctrl-C ends what follows the log, as it is meant to end. It is no failure.
func TestTailEnds(t *testing.T) {
	home := t.TempDir()
	if out, err := assIn(home, "secrets", "set", "a/K", "hunter2"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	term := startOnTerminal(t, home, "audit", "--tail")
	term.await("secret.created")
	if out, err := assIn(home, "secrets", "get", "a/K"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	term.await("secret.read")
	term.typeIn("\x03")
	if code := term.exitCode(); code != 0 || strings.Contains(term.text(), "not verified") {
		t.Errorf("exit code %d:\n%s", code, term.text())
	}
}
