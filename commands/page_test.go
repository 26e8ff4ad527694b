package commands

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

// A page fits 80 columns, breaks no word, and says all that the definition of its command says. Global flags are
// named in one line of it, and described on no page but that of ass itself.
func TestPages(t *testing.T) {
	visit := func(n *kong.Node) {
		command := commandName(n)
		page, stderr, exit := run(t, t.TempDir(), time.Now(), append(strings.Fields(command), "--help")...)
		if exit != exitDone || stderr != "" {
			t.Errorf("%s --help ends with %d: %s", command, exit, stderr)
		}
		for line := range strings.Lines(page) {
			if n := utf8.RuneCountInString(line) - 1; n > 80 || strings.TrimRight(line, " \n") != line[:len(line)-1] {
				t.Errorf("%s --help has a line of %d columns, or with spaces at its end: %q", command, n, line)
			}
		}
		said := strings.Join(strings.Fields(page), " ")
		says := func(text string) {
			text = strings.TrimSuffix(strings.Join(strings.Fields(text), " "), ".") // the variable stands before the full stop
			if !strings.Contains(said, text) {
				t.Errorf("%s --help does not say %q", command, text)
			}
		}
		says("ass " + command)
		says(n.Help)
		does := orDefault(n)
		says(n.Detail)
		says(does.Detail)
		for _, arg := range does.Positional {
			says(arg.Help)
		}
		for _, f := range ownFlags(does) {
			says(f.Help)
		}
		for _, c := range n.Children {
			if !c.Hidden {
				says("ass " + commandName(c))
				says(c.Help)
			}
		}
		if !strings.HasPrefix(page, "Usage: ass "+command) {
			t.Errorf("%s --help begins with %.40q", command, page)
		}
		if global := "\nGlobal: --json --profile --api-url --lock-timeout --passphrase-fd\n--passphrase-file (ass --help)\n"; !strings.HasSuffix(page, global) ||
			strings.Count(page, "--passphrase-file ") != 1+strings.Count(does.Detail, "--passphrase-file ") {
			t.Errorf("%s --help does not name the global flags once:\n%s", command, page)
		}
	}
	var groups func(n *kong.Node)
	groups = func(n *kong.Node) {
		for _, c := range n.Children {
			if !isHiddenDefault(c) {
				visit(c)
				groups(c)
			}
		}
	}
	groups(root(allLeaves(t)[0]))
}

// The page of ass has all commands and all global flags; ass help --all has each command once, and the global flags
// once.
func TestPageOfAll(t *testing.T) {
	one, _, _ := run(t, t.TempDir(), time.Now(), "--help")
	all, _, _ := run(t, t.TempDir(), time.Now(), "help", "--all")
	some, _, _ := run(t, t.TempDir(), time.Now(), "help", "--all", "secrets")
	for _, f := range root(allLeaves(t)[0]).Flags {
		for _, page := range []string{one, all, some} {
			if strings.Count(page, flagForm(f)+"  ") != 1 {
				t.Errorf("%s is there %d times, want once, in\n%s", flagForm(f), strings.Count(page, flagForm(f)+"  "), page)
			}
		}
	}
	for _, n := range root(allLeaves(t)[0]).Children {
		if !strings.Contains(one, "\n  "+n.Name+" ") {
			t.Errorf("ass --help does not name %s", n.Name)
		}
	}
	lines := strings.Split(all, "\n")
	for _, n := range allLeaves(t) {
		if i := slices.Index(lines, usages(n)[0]); i < 0 || slices.Contains(lines[i+1:], usages(n)[0]) {
			t.Errorf("ass help --all has %q not once", usages(n)[0])
		}
	}
	if strings.Contains(some, "ass audit") || !strings.Contains(some, "\nass secrets get ") {
		t.Errorf("ass help --all secrets has other commands:\n%s", some)
	}
	for _, form := range []string{"ass help --all", "ass help --json"} {
		if !strings.Contains(one, form) {
			t.Errorf("ass --help does not name %s", form)
		}
	}
}
