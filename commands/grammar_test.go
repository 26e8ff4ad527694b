package commands

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// TestPruned compares the pruned grammar of each command with the whole grammar. It has the same
// flags, arguments and ancestors, and no other command.
func TestPruned(t *testing.T) {
	a := &app{world: newWorld(nil, ""), out: newOutput(nil, nil, newWorld(nil, ""))}
	whole, err := a.newParser(reflect.ValueOf(&CLI{}))
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	var try func(n *kong.Node, words []string)
	try = func(n *kong.Node, words []string) {
		for _, c := range n.Children {
			for _, name := range append(slices.Clone(c.Aliases), c.Name) {
				try(c, append(slices.Clone(words), name))
			}
		}
		if len(n.Children) > 0 || len(words) == 0 {
			return
		}
		tried++
		grammar, ok := pruned(append([]string{"--json"}, words...))
		if !ok {
			t.Errorf("%q has no grammar of its own", words)
			return
		}
		p, err := a.newParser(grammar)
		if err != nil {
			t.Errorf("%q: %v", words, err)
			return
		}
		got := p.Model.Node
		for range words {
			if len(got.Children) != 1 {
				t.Errorf("%q: the grammar has %d commands below %q", words, len(got.Children), got.Name)
				return
			}
			got = got.Children[0]
		}
		if got, want := describe(got), describe(n); got != want {
			t.Errorf("%q alone is\n%s\nand among all\n%s", words, got, want)
		}
	}
	try(whole.Model.Node, nil)
	if tried < 40 {
		t.Errorf("only %d commands were tried", tried)
	}
	for _, args := range [][]string{nil, {"--help"}, {"secrets", "get", "-h"}, {"sercets", "get"}, {"--profile", "x",
		"secrets", "get"}, {"help"}, {"--"}} {
		if _, ok := pruned(args); ok {
			t.Errorf("%q got a grammar of its own", args)
		}
	}
}

// describe lists everything that decides how a command line is read.
func describe(n *kong.Node) string {
	var b strings.Builder
	for at := n; at != nil; at = at.Parent {
		fmt.Fprintf(&b, "%s %v hidden=%v pass=%v\n", at.Name, at.Aliases, at.Hidden, at.Passthrough)
		for _, f := range at.Flags {
			fmt.Fprintf(&b, "  --%s %q %q %v %v %q %v %v %v\n", f.Name, f.Short, f.Default, f.Envs, f.Required, f.Enum, f.Xor,
				f.And, f.Target.Type())
		}
		for _, p := range at.Positional {
			fmt.Fprintf(&b, "  <%s> %q %v %v %v\n", p.Name, p.Default, p.Required, p.Passthrough, p.Target.Type())
		}
	}
	return b.String()
}

// Help ends the run but not the process, however the user asks for it.
func TestHelpDoesNotExit(t *testing.T) {
	for _, help := range []string{"--help", "-h", "--help=true"} {
		stdout, stderr, exit := run(t, t.TempDir(), time.Now(), "secrets", "list", help)
		if exit != exitDone || !strings.Contains(stdout, "Usage: ass secrets list") || stderr != "" {
			t.Errorf("%s: %d %q %q", help, exit, stdout, stderr)
		}
	}
}
