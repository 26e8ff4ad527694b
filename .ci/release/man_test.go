package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// helpOfAss builds ass, and returns what it says about itself.
func helpOfAss(t *testing.T) (text []byte, h help) {
	t.Helper()
	ass := filepath.Join(t.TempDir(), "ass")
	if _, err := output("../..", "go", "build", "-o", ass, "."); err != nil {
		t.Fatal(err)
	}
	out, err := output("", ass, "help", "--json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(out), &h); err != nil {
		t.Fatal(err)
	}
	return []byte(out), h
}

// rendered returns a page as man shows it, which may have nothing to warn of.
func rendered(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Error(err)
	}
	cmd := exec.Command("man", "--warnings", "--no-hyphenation", "-P", "cat", "-l", file)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MANWIDTH=120", "MAN_KEEP_FORMATTING=", "GROFF_NO_SGR=")
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil || said.Len() > 0 {
		t.Errorf("man %s: %v\n%s", name, err, &said)
	}
	if _, err := exec.LookPath("mandoc"); err == nil {
		if out, err := exec.Command("mandoc", "-T", "lint", "-W", "warning", file).CombinedOutput(); err != nil {
			t.Errorf("mandoc %s: %v\n%s", name, err, out)
		}
	}
	return string(out)
}

func needsMan(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("man", "--version").Output(); err != nil || !strings.HasPrefix(string(out), "man ") {
		t.Skip("there is no man here, of man-db")
	}
}

// packed leaves out the white space: lines break where there is none, too.
func packed(s string) string { return strings.Join(strings.Fields(s), "") }

// Every page has all that ass help says about its command, as man shows it.
func TestManPages(t *testing.T) {
	t.Parallel()
	needsMan(t)
	text, h := helpOfAss(t)
	pages, err := manPages(text, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{}
	var g errgroup.Group
	var mu sync.Mutex
	g.SetLimit(runtime.GOMAXPROCS(0))
	for name, page := range pages {
		g.Go(func() error {
			text := rendered(t, name, page)
			mu.Lock()
			defer mu.Unlock()
			shown[name] = text
			return nil
		})
	}
	_ = g.Wait()
	says := func(page, what string) {
		t.Helper()
		if !strings.Contains(packed(shown[page]), packed(what)) {
			t.Errorf("%s does not say %q", page, what)
		}
	}
	for _, c := range h.Commands {
		page := pageName(c.Command) + ".1"
		says(page, c.Command)
		says(page, strings.ToLower(c.Help[:1])+strings.TrimSuffix(c.Help[1:], "."))
		says(page, c.Detail)
		for line := range strings.Lines(c.Detail) { // of an example, the spaces too
			if strings.HasPrefix(line, "  ") && !strings.Contains(shown[page], strings.TrimRight(line[2:], "\n")) {
				t.Errorf("%s does not have the line %q", page, line)
			}
		}
		says(page, c.JSON)
		for _, a := range c.Arguments {
			says(page, a.Name)
			says(page, a.Help)
			says(page, a.Default)
		}
		for _, alias := range c.Aliases {
			says(page, "is "+c.Command[:strings.LastIndex(c.Command, " ")+1]+alias+".")
		}
		for _, f := range c.Flags {
			in := page
			if (&manPage{h: &h}).global(f) {
				says(page, f.Name)
				in = "ass.1"
			}
			form := f.Name
			if f.Short != "" {
				form = f.Short + "," + form
			}
			if f.TakesValue {
				form += "=" + or(f.Placeholder, f.Default)
			}
			says(in, form+strings.TrimSuffix(f.Help, "."))
			if f.Default != "" {
				says(in, f.Help+" The default is "+f.Default+".")
			}
			for _, v := range f.Environment {
				says(in, "Also set by $"+v+".")
			}
		}
	}
	for _, g := range h.Groups {
		says("ass.1", g.Title)
		for _, c := range g.Commands {
			says("ass.1", pageName(c.Command)+"(1) "+c.Help)
			says(pageName(c.Command)+".1", c.Detail)
		}
	}
	for _, v := range h.Environment {
		says("ass.1", v.Name+" "+v.Help)
	}
	for _, e := range h.ExitCodes {
		says("ass.1", upperFirst(e.Meaning)+".")
	}
	for name, page := range shown { // what it refers to is there
		for word := range strings.FieldsSeq(page) {
			of, isPage := strings.CutSuffix(strings.Trim(word, ",.:"), "(1)")
			if isPage && pages[strings.ToLower(of)+".1"] == "" {
				t.Errorf("%s refers to %s(1), which is not there", name, of)
			}
		}
	}
	if want := len(h.Commands) + 1; len(pages) < want {
		t.Errorf("there are %d pages for %d commands", len(pages), len(h.Commands))
	}
}

// No text of a page has a meaning for roff: it is escaped.
func TestManEscapes(t *testing.T) {
	t.Parallel()
	needsMan(t)
	const strange = `.SH dot, 'quote, \fBbold\fR \n(aa \\ "double" 'single' ` + "`tick`" + ` a-b --flag ^~ … é.`
	var detail strings.Builder
	for _, line := range []string{strange, "." + strange, "'" + strange, `\` + strange, "-" + strange} {
		detail.WriteString(line + "\n\n  " + line + "\n    more " + line + "\n\n")
	}
	text, err := json.Marshal(map[string]any{"version": "v0-1", "help": "a.",
		"groups": []any{map[string]any{"title": `a "b" .c`,
			"commands": []any{map[string]any{"command": "ass x", "help": "X."}}}},
		"commands": []any{map[string]any{"command": "ass y", "help": "Y."}, map[string]any{"command": "ass x",
			"help": ".x \\ 'y'.", "detail": detail.String(),
			"arguments": []any{map[string]any{"name": ".'\\", "help": strange}},
			"flags":     []any{map[string]any{"name": "--x", "help": "'" + strange, "default": `.\`, "takes_value": true}}}}})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := manPages(text, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	shown := rendered(t, "ass-x.1", pages["ass-x.1"])
	for line := range strings.Lines(detail.String()) {
		if line = strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "  "); !strings.Contains(shown, line) {
			t.Errorf("the page does not have %q:\n%s", line, shown)
		}
	}
	for _, what := range []string{"[<.'\\>]", "'" + strange, `--x=.\`, `.x \ 'y'`} {
		if !strings.Contains(shown, what) {
			t.Errorf("the page does not have %q:\n%s", what, shown)
		}
	}
	_ = rendered(t, "ass.1", pages["ass.1"])
}

// FuzzEscaped holds that no text, wherever it comes to stand, makes a macro or a line more.
func FuzzEscaped(f *testing.F) {
	for _, seed := range []string{"a", ".SH x", "'x", `\fB`, "a\nb", "\x00", "é…"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p := &manPage{h: &help{}}
		p.text(text)
		macros := map[string]bool{".PP": true, ".RS 4": true, ".RE": true, ".nf": true, ".fi": true}
		for line := range strings.SplitSeq(p.b.String(), "\n") {
			if strings.HasPrefix(line, "'") || strings.HasPrefix(line, ".") && !macros[line] {
				t.Errorf("%q makes the macro %q", text, line)
			}
		}
		if strings.Count(p.b.String(), ".nf\n") != strings.Count(p.b.String(), ".fi\n") {
			t.Errorf("%q leaves a block open:\n%s", text, &p.b)
		}
	})
}
