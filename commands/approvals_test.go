package commands

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// An id is cut to what no other id begins with, however alike somebody made them.
func TestShortIDs(t *testing.T) {
	const (
		one   = "3e1daa2b-737b-84b4-852c-aebcc8e74a1e"
		two   = "3e1daa2b-737b-84b4-852c-aebcc8e74a1f"
		three = "3e1daa2b-8000-84b4-852c-aebcc8e74a1e"
		other = "c7c27443-0787-8c22-9eac-f92b243dd23e"
	)
	short := shortIDs([]string{other, three, two, one, one})
	for id, want := range map[string]string{one: one, two: two, three: "3e1daa2b-8", other: "c7c27443"} {
		if short[id] != want {
			t.Errorf("%s is cut to %q, want %q", id, short[id], want)
		}
		if found := beginWith([]string{one, two, three, other}, short[id], func(s string) string { return s }); !slices.Equal(found,
			[]string{id}) {
			t.Errorf("%q names %q", short[id], found)
		}
	}
}

// Each line of an agent's words fits, and together they are all of its words.
func TestQuoteLines(t *testing.T) {
	for _, text := range []string{"", "short", "words that go on and on, and do not end before the line does",
		strings.Repeat("x", 100), "a" + strings.Repeat(" ", 50) + "ass: what: read", "日本語日本語日本語日本語日本語", "\x1b[2J\n\u202e" +
			strings.Repeat("é", 40)} {
		lines := quoteLines(text, 20)
		for _, line := range lines {
			n := 0
			for _, r := range line {
				n += widthOf(r)
			}
			if n > 20 || clean(line) != line || !utf8.ValidString(line) {
				t.Errorf("%q: %q takes %d columns", text, line, n)
			}
		}
		if got, want := strings.Join(lines, ""), clean(text); strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := quoteLines("one two three", 8); !slices.Equal(got, []string{"one two", "three"}) {
		t.Errorf("%q", got)
	}
	if got := quoteLines("日本", 1); !slices.Equal(got, []string{"日", "本"}) {
		t.Errorf("%q", got)
	}
}

// What a notification shows is no part of a script, and no markup.
func TestNotifiers(t *testing.T) {
	const title, body = `"; rm -rf ~ <b>`, "$(id) <i>&"
	for _, system := range []string{"linux", "freebsd", "darwin", "windows"} {
		n := notifierOf(system)
		args, env := n.give(title, body)
		if strings.Contains(strings.Join(n.args, " "), "rm -rf") || len(args)+len(env) != 2 {
			t.Errorf("%s: %q, %q, %q", system, n.args, args, env)
		}
		switch n.args[0] {
		case "notify-send":
			if args[1] != "$(id) &lt;i&gt;&amp;" || n.args[len(n.args)-1] != "--" {
				t.Errorf("%q, %q", n.args, args)
			}
		case "powershell":
			if args != nil || !slices.Equal(env, []string{"ASS_NOTICE_TITLE=" + title, "ASS_NOTICE_BODY=" + body}) {
				t.Errorf("%q, %q", args, env)
			}
		default:
			if !slices.Equal(args, []string{title, body}) {
				t.Errorf("%q", args)
			}
		}
	}
}
