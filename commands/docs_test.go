package commands

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"ass/commands/internal/redact"
)

var writeDocs = flag.Bool("write-docs", false, "write the tables that the docs have from the code")

// The tables in the docs agree with the code. To write them again:
//
//	go test ./commands -run TestDocsTables -args -write-docs
func TestDocsTables(t *testing.T) {
	for _, table := range []struct{ file, name, text string }{
		{"../docs/environment.md", "settable", settableTable(t)},
		{"../docs/environment.md", "flag-only", flagOnlyTable()},
		{"../docs/env.md", "names", actingTableText()},
		{"../docs/run.md", "words", redactionTable()},
	} {
		b, err := os.ReadFile(table.file)
		if err != nil {
			t.Fatal(err)
		}
		before, rest, found := strings.Cut(string(b), "<!-- table: "+table.name+" -->\n")
		is, behind, ends := strings.Cut(rest, "<!-- end -->")
		switch {
		case !found || !ends:
			t.Errorf("%s has no place for the table %s", table.file, table.name)
		case is == table.text:
		case *writeDocs:
			if err := os.WriteFile(table.file, []byte(before+"<!-- table: "+table.name+" -->\n"+table.text+"<!-- end -->"+
				behind), 0o644); err != nil {
				t.Error(err)
			}
		default:
			t.Errorf("%s, table %s, is not that of the code; write it with: go test ./commands -run TestDocsTables -args "+
				"-write-docs", table.file, table.name)
		}
	}
}

func settableTable(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| variable | flag | commands |\n| --- | --- | --- |\n")
	for _, name := range settable {
		var commands []string
		for _, n := range allLeaves(t) {
			if slices.ContainsFunc(flagsOf(n), func(f *kong.Flag) bool { return f.Name == name }) && variableOf(commandName(n),
				name) != "" {
				commands = append(commands, "`"+commandName(n)+"`")
			}
		}
		which := strings.Join(commands, ", ")
		if len(commands) > 20 {
			which = "all"
		}
		fmt.Fprintf(&b, "| `%s` | `--%s` | %s |\n", variableOf("", name), name, which)
	}
	return b.String()
}

func flagOnlyTable() string {
	var b strings.Builder
	b.WriteString("| flags | because |\n| --- | --- |\n")
	for _, g := range flagOnly {
		flags := make([]string, len(g.Flags))
		for i, f := range g.Flags {
			flags[i] = "`--" + f + "`"
		}
		fmt.Fprintf(&b, "| %s | %s |\n", strings.Join(flags, " "), g.Reason)
	}
	return b.String()
}

func redactionTable() string {
	w := redact.TheWords()
	var b strings.Builder
	b.WriteString("| what | words |\n| --- | --- |\n")
	for _, row := range []struct{ what, words string }{
		{"values that are never masked, because they stand for no value", w.Nothing},
		{"values that are masked only for a key that says what it is", w.Never},
		{"last words of a key whose value is a setting", w.Config},
		{"words of a key that says what it is", w.Always},
	} {
		fmt.Fprintf(&b, "| %s | `%s` |\n", row.what, strings.Join(strings.Fields(row.words), "` `"))
	}
	return b.String()
}

func actingTableText() string {
	var b strings.Builder
	b.WriteString("| names | what a program does with it |\n| --- | --- |\n")
	for _, row := range actingRows {
		text := "`" + strings.Join(strings.Fields(row.names), "` `") + "`"
		if row.but != "" {
			text += ", without `" + strings.Join(strings.Fields(row.but), "` `") + "`"
		}
		does := row.does
		if row.fold {
			does += " (in any case)"
		}
		if row.whole {
			does += " (all of the family)"
		}
		fmt.Fprintf(&b, "| %s | %s |\n", text, does)
	}
	return b.String()
}

// allLeaves returns all commands, with their variables.
func allLeaves(t *testing.T) []*kong.Node {
	t.Helper()
	p, err := (&app{world: newWorld(nil, ""), out: newOutput(nil, nil, newWorld(nil, ""))}).newParser(reflect.ValueOf(&CLI{}))
	if err != nil {
		t.Fatal(err)
	}
	return leaves(p.Model.Node)
}

// Every flag is in one table, with its variable or the reason for having none. No table has a
// flag that does not exist. The help says the same.
func TestFlagTables(t *testing.T) {
	known := map[string]bool{}
	general, _, _ := run(t, t.TempDir(), time.Now(), "--help")
	general = flagsInHelp(general)
	for _, n := range allLeaves(t) {
		command := commandName(n)
		help, _, _ := run(t, t.TempDir(), time.Now(), append(strings.Fields(command), "--help")...)
		help = flagsInHelp(help) + general
		for _, f := range flagsOf(n) {
			known[f.Name] = true
			v, why := variableOf(command, f.Name), whyFlagOnly(command, f.Name)
			switch {
			case (v == "") == (why == ""):
				t.Errorf("%s --%s: the variable %q, and the reason %q", command, f.Name, v, why)
			case len(f.Envs)+len(f.Tag.Envs) > 0:
				t.Errorf("%s --%s: kong reads %q from the process", command, f.Name, f.Tag.Envs)
			}
			own := flagInHelp(help, f.Name)
			if shows := strings.Contains(own, "$ASS_"); shows != (v != "") || shows && !strings.Contains(own, "$"+v+")") {
				t.Errorf("%s --help says of --%s: %s", command, f.Name, own)
			}
		}
	}
	tables := slices.Clone(settable)
	for _, g := range flagOnly {
		tables = append(tables, g.Flags...)
	}
	slices.Sort(tables)
	if one := slices.Compact(slices.Clone(tables)); len(one) != len(tables) {
		t.Errorf("a flag is in two tables: %q", tables)
	}
	for _, name := range tables {
		if !known[name] {
			t.Errorf("the tables have a flag --%s, and no command has", name)
		}
	}
}

// flagsInHelp returns the part of a page of help that lists the flags.
func flagsInHelp(help string) string {
	return regexp.MustCompile(`(?ms)^(Flags:|Global flags)\n(.*?\n\n|.*)`).FindString(help)
}

// flagInHelp returns what lists of flags say about one.
func flagInHelp(help, name string) string {
	at := regexp.MustCompile(`(?m)^ +(-\w, )?--` + name + `\b(=|\s|\[|$)`).FindStringIndex(help)
	if at == nil {
		return ""
	}
	own := help[at[0]+strings.Index(help[at[0]:], "--"+name)+2:]
	if next := regexp.MustCompile(`(?m)^ +(-\w, )?--|^$`).FindStringIndex(own); next != nil {
		own = own[:next[0]]
	}
	return strings.Join(strings.Fields(own), " ")
}

// A variable sets the flags that the tables name, and no others. A flag on the command
// line wins over its variable. A variable of the wrong form is refused if it is read.
func TestVariablesSetFlags(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	tried := map[string]int{} // flags that many commands have, such as --json, are tried with some of them
	for _, n := range allLeaves(t) {
		command := commandName(n)
		for _, f := range flagsOf(n) {
			kind := fmt.Sprint(f.Name, f.Target.Type(), f.Required, variableOf(command, f.Name))
			if tried[kind]++; f.Name == "help" || f.Name == "tier" || tried[kind] > 3 {
				continue
			}
			value, other := "7", "8"
			switch {
			case f.IsBool():
				value, other = "true", "false"
			case f.Target.Type() == reflect.TypeFor[time.Duration]():
				value, other = "7s", "8s"
			}
			settable := variableOf(command, f.Name) != ""
			got, err := parseWith(t, n, f, value)
			switch {
			case err != nil && (settable || !f.Required):
				t.Errorf("%s with the variable of --%s: %v", command, f.Name, err)
			case (got == value) != settable:
				t.Errorf("%s: the variable of --%s makes it %q; that it is set should be %v", command, f.Name, got, settable)
			}
			if !settable {
				continue
			}
			if got, err := parseWith(t, n, f, value, "--"+f.Name+"="+other); err != nil || got != other {
				t.Errorf("%s: the flag --%s=%s does not win over the variable: %q, %v", command, f.Name, other, got, err)
			}
			if f.Target.Kind() == reflect.String {
				continue // every text is one
			}
			if got, err := parseWith(t, n, f, "maybe"); err == nil {
				t.Errorf("%s: the variable of --%s says maybe, and makes it %q", command, f.Name, got)
			}
		}
	}
}

// parseWith parses a command line of a command with the variable of one flag set, and
// returns what the flag is then.
func parseWith(t *testing.T, n *kong.Node, f *kong.Flag, variable string, more ...string) (value string, err error) {
	t.Helper()
	name := "ASS_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
	t.Setenv(name, variable)
	defer os.Unsetenv(name)
	p, err := (&app{world: newWorld(nil, ""), out: newOutput(nil, nil, newWorld(nil, ""))}).newParser(reflect.ValueOf(&CLI{}))
	if err != nil {
		t.Fatal(err)
	}
	line := append(strings.Fields(commandName(n)), more...)
	for _, other := range flagsOf(n) {
		if other.Required && other.Name != f.Name {
			line = append(line, "--"+other.Name, "1")
		}
	}
	for _, arg := range n.Positional {
		if arg.Required {
			line = append(line, "x")
		}
	}
	ctx, err := p.Parse(line)
	if err != nil {
		return "", err
	}
	for _, is := range ctx.Flags() {
		if is.Name == f.Name {
			target := is.Target
			if target.Kind() == reflect.Pointer {
				target = reflect.Indirect(target)
			}
			if target.IsValid() {
				value = fmt.Sprint(target.Interface())
			}
		}
	}
	return value, nil
}
