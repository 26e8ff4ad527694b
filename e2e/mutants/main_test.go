package main

import (
	"context"
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestArguments(t *testing.T) {
	all := []mutant{
		{file: "p/p.go", line: 7, pattern: "drop-call", nth: 1, source: "x.wipe()"},
		{file: "p/p.go", line: 8, pattern: "drop-call", nth: 1, source: "y.wipe()", before: "{\nx.wipe()"},
		{file: "p/p.go", line: 9, pattern: "drop-call", nth: 2, source: "z.wipe(); z.wipe()", before: "x.wipe()\ny.wipe()"},
		{file: "p/p.go", line: 20, pattern: "nil-error", nth: 1, source: "return err",
			before: "b, err := code()\nif err != nil {"},
		{file: "p/p.go", line: 30, pattern: "nil-error", nth: 1, source: "return err"},
		{file: "p/q.go", line: 7, pattern: "drop-call", nth: 1, source: "x.wipe()"},
	}
	for _, test := range []struct{ name, text, argued, fails string }{
		{"nothing", "# none\n", "", ""},
		{"a reason of two lines", "drop-call p/p.go\n\tx.wipe()\n\tit is gone\n\tanyway\n",
			"p/p.go:7:drop-call it is gone anyway", ""},
		{"the second one of a line", "\ndrop-call#2 p/p.go\nz.wipe\nwhy\n\n\n", "p/p.go:9:drop-call#2 why", ""},
		{"the line before", "nil-error p/p.go\nb, err := code()\nwhy\n", "p/p.go:20:nil-error why", ""},
		{"two", "drop-call p/p.go\nx.wipe\nwhy\n\n# more\ndrop-call p/q.go\nwipe\nwhy",
			"p/p.go:7:drop-call why\np/q.go:7:drop-call why", ""},
		{"several mutants", "nil-error p/p.go\nreturn err\nwhy\n", "", "2 mutants are nil-error in p/p.go"},
		{"another file", "drop-call p/r.go\nx.wipe()\nwhy\n", "", "0 mutants are drop-call in p/r.go"},
		{"another line", "drop-call p/p.go\nn.wipe()\nwhy\n", "", `at "n.wipe()"`},
		{"another pattern", "off-by-one p/p.go\nx.wipe()\nwhy\n", "", "0 mutants are off-by-one"},
		{"no line", "drop-call p/p.go\n", "", "needs a pattern and a file"},
		{"no reason", "drop-call p/p.go\nx.wipe()\n", "", "its reason is missing"},
		{"twice", "drop-call p/p.go\nx.wipe()\nwhy\n\ndrop-call p/p.go\nx.wipe\nwhy\n", "", "is named twice"},
		{"no file", "drop-call\nx.wipe()\nwhy\n", "", "needs a pattern and a file"},
	} {
		var said string
		reasons, err := named("a.txt", test.text, true, all)
		if err != nil {
			said = err.Error()
		}
		if test.fails == "" && said != "" || !strings.Contains(said, test.fails) {
			t.Errorf("%s: the error is %q, want %q", test.name, said, test.fails)
		}
		var got []string
		for _, id := range slices.Sorted(maps.Keys(reasons)) {
			got = append(got, id+" "+reasons[id].reason)
		}
		if strings.Join(got, "\n") != test.argued {
			t.Errorf("%s: got %q, want %q", test.name, got, test.argued)
		}
	}
	if _, err := named("a.txt", "drop-call p/q.go\nx.wipe()\nwhy\n", false, all); err == nil {
		t.Error("a reason in a list without reasons is no error")
	}
}

func TestSummary(t *testing.T) {
	for want, count := range map[string]map[verdict]int{
		"20 tried: 18 killed, 1 of them by time, 0 not compiled, 1 argued, 1 survived; 90.0% killed": {killed: 17, timedOut: 1,
			isArgued: 1, survived: 1},
		"2 tried: 1 killed, 0 of them by time, 1 not compiled, 0 argued, 0 survived; 100.0% killed": {killed: 1, notCompiled: 1},
		"1 tried: 0 killed, 0 of them by time, 1 not compiled, 0 argued, 0 survived":                {notCompiled: 1},
	} {
		if got := summary(count); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// A sample depends on its seed alone, and the flags narrow it down.
func TestChoose(t *testing.T) {
	var all []mutant
	for _, file := range []string{"vault/tx.go", "vault/disk/open.go", "vaults/a.go"} {
		for line := range 100 {
			all = append(all, mutant{file: file, line: line, pattern: []string{"drop-call", "off-by-one"}[line%2], nth: 1})
		}
	}
	matter := map[string]block{"vault/tx.go:12:drop-call": {file: "vault/tx.go"}, "vaults/a.go:13:off-by-one": {file: "vaults/a.go"}}
	for _, test := range []struct {
		name string
		options
		want int
	}{
		{"all", options{}, 300},
		{"a sample", options{n: 7}, 7},
		{"a package", options{pkg: "vault"}, 100},
		{"packages", options{pkg: "vault/..."}, 200},
		{"a file", options{file: "vault/disk/open.go"}, 100},
		{"a pattern", options{pattern: "off-by-one", pkg: "vault"}, 50},
		{"core", options{core: true}, 100},
		{"one", options{run: "vault/tx.go:12:drop-call", n: 5}, 1},
		{"two", options{run: "vault/tx.go:12:drop-call,vaults/a.go:13:off-by-one"}, 2},
		{"none", options{run: "vault/tx.go:13:drop-call"}, 0},
		{"the list, whole", options{listed: true, n: 1}, 2},
		{"a file of the list", options{listed: true, file: "vault/tx.go"}, 1},
	} {
		if got := test.choose(all, matter); len(got) != test.want {
			t.Errorf("%s: got %d mutants, want %d", test.name, len(got), test.want)
		}
	}
	first, again := options{n: 20, seed: 3}.choose(all, nil), options{n: 20, seed: 3}.choose(all, nil)
	other := options{n: 20, seed: 4}.choose(all, nil)
	if !slices.Equal(first, again) || slices.Equal(first, other) {
		t.Error("a sample does not depend on its seed alone")
	}
}

// smallProject writes a project with a package in the place of tokens, and returns its mutants.
func smallProject(t *testing.T) (root string, all []mutant) {
	t.Helper()
	root = t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module small\n\ngo 1.26\n",
		"tokens/a.go": `package tokens

import "os"

func Least(a, b int) int {
	if a < b {
		return a
	}
	return b
}

func Wait(ok bool) {
	for {
		if ok {
			return
		}
	}
}

func Tidy() {
	_ = os.Remove("a_test.go")
}

func Hoard(n int) []byte { return make([]byte, 1<<33*n+1) }

type Counter struct{ n int }

func (c *Counter) Add(more ...int) {
	for _, n := range more {
		if n > 0 {
			c.n += n
		}
	}
}

func First(_ int) int {
	a := [1]int{7}
	return a[0]
}

func Unseen(a int) bool { return a > 7 }
`,
		"tokens/a_test.go": `package tokens

import (
	"os"
	"strings"
	"testing"
)

func TestLeast(t *testing.T) {
	if Least(1, 2) != 1 || Least(2, 1) != 1 {
		t.Error("wrong")
	}
}

func TestWait(t *testing.T) { Wait(true) }

func TestTidy(t *testing.T) { Tidy() }

func TestHoard(t *testing.T) { Hoard(0)[0] = 1 }

func TestAdd(t *testing.T) {
	var c Counter
	if c.Add(1, -1, 2); c.n != 3 {
		t.Error("wrong")
	}
}

func TestFirst(t *testing.T) { First(1) }

// The source has no more than one mutant.
func TestSource(t *testing.T) {
	b, err := os.ReadFile("a.go")
	if err != nil || strings.Contains(string(b), "mutant") {
		t.Error("wrong")
	}
}

func TestLong(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes long")
	}
	if len(Hoard(0)) != 1 {
		t.Error("wrong")
	}
}
`,
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	src := readFile(t, filepath.Join(root, "tokens", "a.go"))
	all, err := mutantsOf("tokens/a.go", []byte(src), func(string) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	return root, all
}

// With -tests own, the tests of the mutant's own package are enough.
func TestTestsOf(t *testing.T) {
	m := mutant{file: "vault/detour.go"}
	if all := (options{tests: "all"}).testsOf(m); len(all) < 3 || all[0] != "vault" || all[len(all)-1] != "e2e" {
		t.Errorf("all: %v", all)
	}
	if own := (options{tests: "own"}).testsOf(m); !slices.Equal(own, []string{"vault"}) {
		t.Errorf("own: %v", own)
	}
}

var try = flag.Bool("try", false, "try mutants of a small project")

// Mutants are killed by a test, by time, by memory, or not at all. The project stays as it is, and so
// does the build cache.
func TestTry(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("a mutant that takes all memory has a limit on Linux alone")
	}
	if !*try {
		t.Skip("it builds a dozen programs, and is asked for with -try")
	}
	root, all := smallProject(t)
	files := func() string {
		return readFile(t, filepath.Join(root, "tokens", "a.go")) + readFile(t, filepath.Join(root, "tokens", "a_test.go"))
	}
	before := files()
	pkgs := []string{"tokens"}
	w, err := newWorkshop(root, filepath.Join(t.TempDir(), "w"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = removeAll(w.dir) })
	if err := w.warm(t.Context(), all, pkgs, true); err != nil {
		t.Fatal(err)
	}
	kept := len(w.kept)
	for _, m := range all {
		compiles := !strings.Contains(m.source, "a[0]") && !strings.Contains(m.source, "[1]int")
		if (w.numbers[m.id()] > 0) != compiles {
			t.Errorf("%s: its number is %d", m.id(), w.numbers[m.id()])
		}
	}
	for _, u := range w.units["tokens"] {
		if u.readsSource != (u.run == "^TestSource$") || u.skipsShort != (u.run == "^TestLong$") {
			t.Errorf("%+v", u)
		}
		for _, m := range all {
			if n := w.numbers[m.id()]; m.source == "if n > 0 {" && n > 0 && u.reaches[n] != (u.run == "^TestAdd$") {
				t.Errorf("%s reaches Add: %v", u.run, u.reaches[n])
			}
		}
	}
	for _, test := range []struct {
		change string
		want   verdict
		by     string
	}{
		{"a <= b", survived, ""}, // equivalent
		{"if !(a < b)", killed, "TestLeast in tokens"},
		{"if !(ok)", timedOut, ""},
		{`without: _ = os.Remove("a_test.go")`, survived, ""},
		{"0 for 1 in 1<<33", survived, ""},
		{"0 for 1 in 1<<33*n+1", killed, "TestHoard in tokens"},
		{"if !(n > 0)", killed, "TestAdd in tokens"},
		{"1 for 0 in a[0]", notCompiled, "tokens"},
		{"a >= 7", survived, ""},
	} {
		i := slices.IndexFunc(all, func(m mutant) bool { return m.change == test.change })
		if i < 0 {
			t.Errorf("no mutant is %q", test.change)
			continue
		}
		limit := time.Minute
		if test.want == timedOut {
			limit = 5 * time.Second
		}
		v, by, err := w.try(t.Context(), all[i], pkgs, limit, false)
		if err != nil || v != test.want || test.want != timedOut && by != test.by {
			t.Errorf("%s: %s by %q, %v; want %s by %q", test.change, v, by, err, test.want, test.by)
		}
	}

	hoard := mutant{file: "tokens/a.go", pattern: "off-by-one", from: strings.Index(before, "*n+1"), by: "*(n+1)"}
	hoard.to = hoard.from + len("*n+1")
	if v, by, err := w.try(t.Context(), hoard, pkgs, time.Minute, false); v != killed || !strings.Contains(by, "memory") {
		t.Errorf("8 GB: %s by %q, %v", v, by, err)
	}
	long := mutant{file: "tokens/a.go", from: hoard.from, to: hoard.to, by: "*n+2"}
	if v, _, err := w.try(t.Context(), long, pkgs, time.Minute, false); v != survived {
		t.Errorf("the short tests: %s, %v", v, err)
	}
	if v, by, err := w.try(t.Context(), long, pkgs, time.Minute, true); v != killed || by != "TestLong in tokens" {
		t.Errorf("all tests: %s by %q, %v", v, by, err)
	}
	if v, _, err := w.try(t.Context(), mutant{file: "tokens/a.go", by: "?"}, pkgs, time.Minute, false); v != notCompiled {
		t.Errorf("nonsense: %s, %v", v, err)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if v, _, err := w.try(stopped, long, pkgs, time.Minute, false); err == nil {
		t.Errorf("stopped by the user: %s", v)
	}

	if err := w.tidy(); err != nil {
		t.Fatal(err)
	}
	if left := filesBelow(t, w.path("cache")); left != kept {
		t.Errorf("the cache has %d files, and had %d", left, kept)
	}
	if files() != before {
		t.Error("the project has changed")
	}
}

func filesBelow(t *testing.T, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
