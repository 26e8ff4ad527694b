package main

import (
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Each pattern finds what it says, and nothing else. In a case, the statements stand in a function
// that returns an int and an error; want is what the changed lines become.
func TestPatterns(t *testing.T) {
	for _, test := range []struct {
		pattern, code string
		want          []string
	}{
		{"negate-if", "if ok() { n++ }", []string{"if !(ok()) { n++ }"}},
		{"negate-if", "if n == 1 { n++ }", nil}, // swap-compare does it
		{"negate-if", "if n > 1 && ok() { n++ }", []string{"if !(n > 1 && ok()) { n++ }"}},
		{"drop-check", "if err := f(); err != nil { return 0, err }",
			[]string{"if err := f(); false && (err != nil) { return 0, err }"}},
		{"drop-check", "if ok() { return 0, nil }", nil},
		{"drop-check", "if ok() { err = f() }", []string{"if false && (ok()) { err = f() }"}},
		{"drop-check", "if ok() { n++ }", nil},
		{"drop-check", "g(func() { if ok() { return } })", nil},
		{"drop-check", "if ok() { return }", []string{"if false && (ok()) { return }"}},
		{"drop-call", "x.wipe()", []string{"if false {\nx.wipe()\n}"}},
		{"drop-call", "_ = os.Remove(name)", []string{"if false {\n_ = os.Remove(name)\n}"}},
		{"drop-call", "_, _ = f(), n", nil},
		{"drop-call", "n = g()", nil},
		{"drop-call", "defer x.wipe()", []string{"if false {\ndefer x.wipe()\n}"}},
		{"drop-call", "defer x.Close()", nil},
		{"drop-call", "panic(n)", nil},
		{"drop-call", "for i := 0; ok(); x.next() { }", nil},
		{"drop-call", "if x.next(); ok() { }", nil},
		{"nil-error", "return 0, err", []string{"return 0, func() error { _ = err; return nil }()"}},
		{"nil-error", "return 0, nil", nil},
		{"nil-error", "return f()", nil}, // its error is not in a place of its own
		{"nil-error", "g(func() int { return 1 })", nil},
		{"nil-error", "g(func() error { return f() })",
			[]string{"g(func() error { return func() error { _ = f(); return nil }() })"}},
		{"swap-compare", "ok(a < b, a <= b, a > b, a >= b)", []string{"ok(a <= b, a <= b, a > b, a >= b)",
			"ok(a < b, a < b, a > b, a >= b)", "ok(a < b, a <= b, a >= b, a >= b)", "ok(a < b, a <= b, a > b, a > b)"}},
		{"swap-compare", "ok(a == b)", []string{"ok(a != b)"}},
		{"swap-compare", "if err != nil { n++ }", nil},
		{"swap-compare", "switch { case err == nil: n++ }", nil},
		{"swap-compare", "if err != nil && a != b { n++ }",
			[]string{"if err == nil && a != b { n++ }", "if err != nil && a == b { n++ }"}},
		{"swap-logic", "ok(a && b || c)", []string{"ok(((a && b) && (c)))", "ok(((a) || (b)) || c)"}},
		{"off-by-one", "n = a[0] + 1 + 10", []string{"n = a[1] + 1 + 10", "n = a[0] + 0 + 10"}},
		{"off-by-one", "_ = unix.Kill(pid, 0)", nil},
		{"off-by-one", "return 0, err", nil},
		{"off-by-one", "return 0, nil", []string{"return 1, nil"}},
		{"permissions", "_ = os.Mkdir(name, 0o700)", []string{"_ = os.Mkdir(name, 0o755)"}},
		{"permissions", "_ = write(name, 0o600)", []string{"_ = write(name, 0o644)"}},
		{"drop-join", "err = errors.Join(err, x.Close())",
			[]string{"err = errors.Join(x.Close())", "err = errors.Join(err)"}},
		{"drop-join", "name = strings.Join(a, b)", nil},
		{"drop-case", "switch n { case 1: n++; case 2: default: n-- }", []string{
			"switch n { case 1: if false {\nn++\n}; case 2: default: n-- }",
			"switch n { case 1: n++;  default: n-- }",
			"switch n { case 1: n++; case 2: default: if false {\nn--\n} }"}},
		{"drop-case", "switch n { default: }", nil},
		{"drop-skip", "if ok() { return 0, nil }", []string{"if false && (ok()) { return 0, nil }"}},
		{"drop-skip", "for { if n > 1 { n++; continue } }", []string{"for { if false && (n > 1) { n++; continue } }"}},
		{"drop-skip", "g(func() { if ok() { return } })", []string{"g(func() { if false && (ok()) { return } })"}},
		{"drop-skip", "if ok() { return 0, err }", nil}, // drop-check does it
		{"drop-skip", "if ok() { n++ }", nil},
		{"skip-act", "if err := f(); ok() { n++ }",
			[]string{"if err := func() error { if false { return f() }; return nil }(); ok() { n++ }"}},
		{"skip-act", "return 0, f(n)", []string{"return 0, func() error { if false { return f(n) }; return nil }()"}},
		{"skip-act", "n, err = f()", nil},
		{"skip-act", "err = old", nil},
		{"skip-act", "return f()", nil},
		{"skip-act", "err = errors.New(name)", nil}, // drop-check does it
		{"skip-act", "return 0, fault.New(ErrDenied, name)", nil},
		{"drop-append", "list = append(list, n)", []string{"if false {\nlist = append(list, n)\n}"}},
		{"drop-append", "list = append(other, n)", nil},
		{"drop-append", "list := append(list, n)", nil},
		{"drop-append", "if list = append(list, n); ok() { n++ }", nil},
	} {
		before, after := "package p\n\nfunc act() (n int, err error) {\n", "\n}\n"
		all, err := mutantsOf("p/p.go", []byte(before+test.code+after), func(string) bool { return false })
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range all {
			if m.pattern != test.pattern {
				continue
			}
			changed := string(m.apply([]byte(before + test.code + after)))
			if _, err := parser.ParseFile(token.NewFileSet(), "", changed, 0); err != nil {
				t.Errorf("%s of %q: %v", test.pattern, test.code, err)
			}
			got = append(got, strings.TrimSuffix(strings.TrimPrefix(changed, before), after))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s of %q: got %q, want %q", test.pattern, test.code, got, test.want)
		}
	}
}

// A mutant has the number of its line in its name, and its place on the line if there are several.
func TestNamesOfMutants(t *testing.T) {
	const src = "package p\n\nfunc f(a, b bool) bool {\n\treturn a && b && a\n}\n\n" +
		"func g(a, b bool) bool {\n\treturn a && b\n}\n"
	all, err := mutantsOf("p/p.go", []byte(src), func(function string) bool { return function == "g" })
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, m := range all {
		ids = append(ids, m.id())
		if m.source != "return a && b && a" {
			t.Errorf("the line of %s is %q", m.id(), m.source)
		}
	}
	if want := []string{"p/p.go:4:swap-logic", "p/p.go:4:swap-logic#2"}; !slices.Equal(ids, want) {
		t.Errorf("got %q, want %q", ids, want)
	}
}

// Every package of the program has mutants, or a reason why not. Every reason is about something.
func TestPlanIsComplete(t *testing.T) {
	root := filepath.Join("..", "..")
	list := exec.Command("go", "list", "-f", "{{slice .ImportPath (len .Module.Path)}}", "./vault/...", "./tokens", "./audit",
		"./commands/...")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, pkg := range strings.Fields(string(out)) {
		pkg = strings.TrimPrefix(pkg, "/")
		known[pkg] = true
		if testsOf(mutant{file: pkg + "/x.go"}) == nil && leftOut[pkg] == "" {
			t.Errorf("%s has no line in the plan", pkg)
		}
		files, err := filepath.Glob(filepath.Join(root, pkg, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			known[pkg+"/"+filepath.Base(file)] = true
		}
	}
	for of := range leftOut {
		file, function, isFunction := strings.Cut(of, ":")
		if !known[file] || isFunction && !hasFunction(t, filepath.Join(root, file), function) {
			t.Errorf("%s is left out, but does not exist", of)
		}
	}
}

func hasFunction(t *testing.T, file, function string) bool {
	t.Helper()
	src := readFile(t, file)
	return strings.Contains(src, "\nfunc "+function+"(")
}

// The mutants of the project have names of their own, and what the two files say of them is not stale.
func TestMutantsOfTheProject(t *testing.T) {
	all, err := allMutants(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	names, perPattern := map[string]bool{}, map[string]int{}
	for _, m := range all {
		if names[m.id()] {
			t.Errorf("two mutants are %s", m.id())
		}
		names[m.id()] = true
		perPattern[m.pattern]++
		if strings.HasSuffix(m.file, "_test.go") || leftOut[m.file] != "" || testsOf(m) == nil {
			t.Errorf("%s should not be there", m.id())
		}
	}
	for _, name := range patternNames() {
		if perPattern[name] == 0 {
			t.Errorf("no mutant is of the pattern %s", name)
		}
	}
	if _, err := named("accepted.txt", acceptedList, true, all); err != nil {
		t.Error(err)
	}
	if _, err := named("list.txt", matterList, false, all); err != nil {
		t.Error(err)
	}
}
