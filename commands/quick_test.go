package commands

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"ass/tokens"
)

// These tests hold that the quick reader does exactly what kong does, or leaves the line to kong.

// agree reads a command line with both readers, and reports whether the quick one took it.
func agree(t *testing.T, args, env []string) bool {
	t.Helper()
	quick, slow := newQuickApp(env), newQuickApp(env)
	cmd, ok := quick.quick(args)
	if !ok {
		if left := newQuickApp(env); !reflect.DeepEqual(quick.without(), left.without()) {
			t.Errorf("%q, with %q: the quick reader left it to kong, and changed %+v", args, env, quick.without())
		}
		return false
	}
	node, err := slow.byKong(args)
	if err != nil {
		t.Errorf("%q, with %q: the quick reader takes it, and kong says %v", args, env, err)
		return true
	}
	if got, want := reflect.ValueOf(cmd).Elem().Interface(), node.Target.Interface(); !reflect.DeepEqual(got, want) {
		t.Errorf("%q, with %q\nquick: %#v\nkong:  %#v", args, env, got, want)
	}
	if got, want := quick.without(), slow.without(); !reflect.DeepEqual(got, want) {
		t.Errorf("%q, with %q\nquick: %+v\nkong:  %+v", args, env, got, want)
	}
	return true
}

func newQuickApp(env []string) *app {
	w := newWorld(env, "/")
	return &app{world: w, out: newOutput(io.Discard, io.Discard, w)}
}

// byKong reads a command line as parse does when the quick reader leaves it to kong.
func (a *app) byKong(args []string) (*kong.Node, error) {
	grammar, ok := pruned(args)
	if !ok {
		grammar = reflect.ValueOf(&CLI{})
	}
	p, err := a.newParser(grammar)
	if err != nil {
		return nil, err
	}
	p.Exit = func(int) { err = io.EOF }
	nameByKey(p.Model.Node, args)
	ctx, wrong := p.Parse(args)
	if wrong != nil || err != nil {
		return nil, errors.Join(wrong, err)
	}
	_, err = a.parsed(grammar, ctx)
	return ctx.Selected(), err
}

// without returns what a command line sets.
func (a *app) without() app {
	b := *a
	b.world, b.out, b.variables = nil, nil, nil
	return b
}

// TestQuickLines reads every command line of the scripts and the docs.
func TestQuickLines(t *testing.T) {
	lines, taken := commandLines(t), 0
	for _, line := range lines {
		if agree(t, line, nil) {
			taken++
		}
	}
	if len(lines) < 1000 || taken < len(lines)/2 {
		t.Errorf("of %d lines, the quick reader took %d", len(lines), taken)
	}
}

// commandLines returns the distinct command lines of ass in the scripts and the docs.
func commandLines(t testing.TB) (lines [][]string) {
	t.Helper()
	var files []string
	for _, pattern := range []string{"../testdata/script/*.txtar", "../docs/*.md", "../README.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatal(pattern, err)
		}
		files = append(files, found...)
	}
	command := regexp.MustCompile(`\bass ([^\n]*)`)
	word := regexp.MustCompile(`(?:'[^']*'|"[^"]*"|[^\s'"|;&<>` + "`" + `])+|[|;&<>` + "`" + `]`)
	seen := map[string]bool{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range command.FindAllStringSubmatch(string(b), -1) {
			var line []string
			for _, w := range word.FindAllString(m[1], -1) {
				if strings.ContainsAny(w, "|;&<>`") && len(w) == 1 {
					break
				}
				line = append(line, strings.NewReplacer("'", "", `"`, "").Replace(w))
			}
			if key := strings.Join(line, "\x00"); !seen[key] {
				seen[key] = true
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// TestQuickTakes shows that the quick reader is in use: it takes the plain lines of the commands that programs run
// most.
func TestQuickTakes(t *testing.T) {
	env := []string{"HOME=/", "ASS_NAMESPACE=prod", "ASS_AGENT_KEY=ass_x", "ASS_LOCK_TIMEOUT=1m", "ASS_JSON=", "ASS_OUTPUT=f", "=1"}
	for _, line := range []string{
		"secrets get a/K", "secrets get -n a K", "secrets -n a get K", "secrets get -k K", "secrets get a/K --version 3",
		"--json secrets get a/K", "secrets get a/K --json", "--profile ci secrets get a/K", "secrets get a/K --profile=ci",
		"secrets get a/K --lock-timeout 0s --reason why", "secrets get a/K --silent --wait --unlogged",
		"secrets set a/K", "secrets set a/K v", "secrets set a/K -", "secrets set a/K -- -v", "secrets set a/K --generate --length 3",
		"secrets set a/K v --tier sensitive -t custom", "secrets set a/K --file f --if-version 0x10", "secrets set --file - a/K",
		"secrets list", "secrets list a", "secrets ls a --deleted", "secrets list * --json",
		"run -- true", "run true", "run -- \xff", "secrets set a/K \xff", "secrets rotate a/K --value=\xff", "run -n a -- sh -c x --help -- y", "run --env A=a/K --env B=a/L --env-file f -- true",
		"run --namespace a --keys K,L --no-redact -- true", "run --",
		"env export", "env export a", "env export -n a -o f --format json", "env import f -n a", "env import --dry-run",
		"import flat-json f -n a --map a/*=b/* --map x=", "import pass - --dry-run",
		"--passphrase-fd 3 status", "status", "audit verify", "vault backup f", "status --json=YES",
		"status --json --json=0", "secrets set a/K --generate --length 0x10", "completion install bash", "mcp config cursor", "secrets get a/K --reason=",
	} {
		for _, env := range [][]string{nil, env} {
			if !agree(t, strings.Fields(line), env) {
				t.Errorf("%q, with %q is left to kong", line, env)
			}
		}
	}
	if line, env := []string{"tokens", "issue"}, []string{"ASS_SCOPES=secrets:read:a", "ASS_MAX_USES=3"}; !agree(t, line, env) {
		t.Errorf("%q, with %q is left to kong", line, env)
	}
}

// TestQuickTakesAll goes through every command, with its arguments and nothing else, and with each of its flags. The
// quick reader takes all of them, but for lists with a separator and a flag whose value is not 1.
func TestQuickTakesAll(t *testing.T) {
	kept := []string{"approvals deny", "approvals wait", "key remove"}
	k, err := newQuickApp(nil).newParser(reflect.ValueOf(&CLI{}))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range leaves(k.Model.Node) {
		line := wordsOf(n)
		for _, arg := range n.Positional {
			if arg.Required {
				line = append(line, "x")
			}
		}
		for _, f := range n.Flags {
			if f.Required {
				line = append(line, "--"+f.Name, "1")
			}
		}
		keep := slices.Contains(kept, commandName(n))
		if took := agree(t, line, nil); took == keep {
			t.Errorf("%q: taken is %v", line, took)
		}
		for _, f := range flagsOf(n) {
			forms := []string{"--" + f.Name}
			if f.Short != 0 {
				forms = append(forms, "-"+string(f.Short))
			}
			if f.Name == "help" || f.Target.Type() == reflect.TypeFor[tokens.Tier]() || f.IsSlice() && f.Tag.Sep != -1 {
				continue
			}
			for _, form := range forms {
				words := wordsOf(n)
				flag := []string{form, "1"}
				if f.IsBool() {
					flag = flag[:1]
				} else if f.Target.Type() == reflect.TypeFor[time.Duration]() {
					flag[1] = "1s"
				}
				line := slices.Concat(words, flag, line[len(words):])
				if took := agree(t, line, nil); took == keep {
					t.Errorf("%q: taken is %v", line, took)
				}
			}
		}
	}
}

func wordsOf(n *kong.Node) (words []string) {
	for ; n.Parent != nil; n = n.Parent {
		words = append([]string{n.Name}, words...)
	}
	return words
}

// TestQuickLeaves has lines that are for kong: because something is wrong, or because it would do more with them than
// the quick reader knows.
func TestQuickLeaves(t *testing.T) {
	for _, c := range []struct {
		line string
		env  []string
	}{
		{line: ""}, {line: "--json"}, {line: "secrets"}, {line: "audit"}, {line: "help"}, {line: "nothing"}, {line: "-- status"},
		{line: "status --help"}, {line: "status -h"}, {line: "secrets get a/K --version"}, {line: "secrets get a/K --version -1"},
		{line: "secrets get"}, {line: "secrets get a/K b"}, {line: "secrets get a/K -- b"}, {line: "secrets get a/K --tier standard"},
		{line: "secrets get a/K --profile="}, {line: "secrets get a/K -nprod"},
		{line: "secrets get a/K -n=prod"}, {line: "secrets get a/K --json=maybe"}, {line: "secrets get a/K --json="},
		{line: "secrets set a/K --tier high"}, {line: "secrets set a/K -v"}, {line: "secrets set a/K v --wait"},
		{line: "secrets get \xff/K"}, {line: "secrets get a/K --reason \xff"}, {line: "run --env \xff -- true"},
		{line: "run"}, {line: "run --keys K"}, {line: "status -json"}, {line: "status ---json"}, {line: "''"}, {line: "secrets '' a/K"},
		{line: "run --env"}, {line: "run --unknown -- true"}, {line: "run --env --json -- true"},
		{line: "secrets rollback a/K"}, {line: "tokens issue"}, {line: "secrets --reason x get a/K"},
		{line: "mcp serve --allow-command a,b"}, {line: "approvals approve a b"},
		{line: "status", env: []string{"ASS_JSON=maybe"}}, {line: "status", env: []string{"ASS_LOCK_TIMEOUT=soon"}},
		{line: "status", env: []string{"ASS_PROFILE=\xff"}},
	} {
		args := strings.Fields(c.line)
		for i, arg := range args {
			args[i] = strings.Trim(arg, "'")
		}
		if agree(t, args, c.env) {
			t.Errorf("%q, with %q is taken", args, c.env)
		}
	}
}

// TestQuickKnows holds that the grammar uses nothing of kong that the quick reader does not know. Who uses more
// teaches it, or lets it leave the line to kong.
func TestQuickKnows(t *testing.T) {
	known := []string{"cmd", "arg", "help", "placeholder", "short", "group", "default", "name", "optional", "aliases", "required",
		"sep", "passthrough", "hidden", "embed"}
	tag := regexp.MustCompile(`(\w+):"(?:[^"\\]|\\.)*" ?`)
	hooks := []string{"BeforeReset", "BeforeResolve", "BeforeApply", "AfterApply", "AfterRun", "Validate", "Decode", "Signature",
		"IgnoreDefault", "IsBool"}
	seen := map[reflect.Type]bool{}
	var look func(reflect.Type)
	look = func(typ reflect.Type) {
		if seen[typ] {
			return
		}
		seen[typ] = true
		ptr := reflect.PointerTo(typ)
		for i := range ptr.NumMethod() {
			m := ptr.Method(i)
			expected := m.Name == "AfterApply" && ptr.Implements(reflect.TypeFor[applied]())
			if slices.Contains(hooks, m.Name) && !expected || strings.HasPrefix(m.Name, "Provide") {
				t.Errorf("%v has the hook %s", typ, m.Name)
			}
			if m.Name == "Run" && !ptr.Implements(reflect.TypeFor[runner]()) {
				t.Errorf("%v has another Run", typ)
			}
		}
		if typ.Kind() != reflect.Struct {
			return
		}
		_, runs := ptr.MethodByName("Run")
		for i := range typ.NumField() {
			f := typ.Field(i)
			if rest := tag.ReplaceAllString(string(f.Tag), ""); rest != "" {
				t.Errorf("%v.%s: tag %q", typ, f.Name, rest)
			}
			for _, m := range tag.FindAllStringSubmatch(string(f.Tag), -1) {
				if !slices.Contains(known, m[1]) {
					t.Errorf("%v.%s has the tag %s", typ, f.Name, m[1])
				}
			}
			if strings.Contains(f.Tag.Get("default"), "$") {
				t.Errorf("%v.%s: kong fills variables into its default", typ, f.Name)
			}
			if !f.IsExported() && !f.Anonymous || has(f, "default") && has(f, "arg") && !has(f, "optional") ||
				has(f, "default") && has(f, "required") {
				t.Errorf("%v.%s: the quick reader does not know this", typ, f.Name)
			}
			if has(f, "passthrough") && (f.Type != reflect.TypeFor[[]string]() || !isText(nameOf(f), "\xff")) {
				t.Errorf("%v.%s: the quick reader takes any texts for it", typ, f.Name)
			}
			if has(f, "cmd") && runs {
				t.Errorf("%v runs, and has commands", typ)
			}
			if has(f, "aliases") && !has(f, "cmd") {
				t.Errorf("%v.%s: a flag with aliases", typ, f.Name)
			}
			if has(f, "embed") && runs {
				t.Errorf("%v.%s: the hook of an embedded field of a command", typ, f.Name)
			}
			if has(f, "cmd") || has(f, "embed") || f.Anonymous {
				look(f.Type)
			}
		}
	}
	look(reflect.TypeFor[CLI]())
	if len(seen) < 40 {
		t.Errorf("only %d types were looked at", len(seen))
	}
}

// FuzzQuick reads any command line with both readers.
func FuzzQuick(f *testing.F) {
	for _, line := range []string{
		"secrets get a/K", "--json secrets -n a get K --version 0x3", "secrets set a/K -- -v", "secrets list --deleted",
		"secrets get -k K --json=no", "run -n a --env A=a/K -- sh -c x", "env export -o f --format=json", "run x -- y --json",
		"--profile p status --lock-timeout 1h", "secrets set a/K --tier critical --length 07 --generate", "audit log -l 3",
		"tokens issue -s secrets:read:a --max-uses 3", "approvals list -s all", "secrets get a/K --reason=",
	} {
		f.Add(strings.ReplaceAll(line, " ", "\x00"), "ASS_NAMESPACE=a\x00ASS_JSON=true\x00ASS_LIMIT=3")
	}
	f.Fuzz(func(t *testing.T, line, env string) {
		agree(t, strings.Split(line, "\x00"), strings.Split(env, "\x00"))
	})
}

func BenchmarkParse(b *testing.B) {
	for _, line := range []string{"secrets get a/K", "secrets get a/K --lock-timeout=1s", "run -n a -- true", "secrets get a/K -na"} {
		b.Run(strings.ReplaceAll(line, " ", "_"), func(b *testing.B) {
			args := strings.Fields(line)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := newQuickApp(nil).parse(args); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
