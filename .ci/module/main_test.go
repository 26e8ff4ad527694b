package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// repository copies the work tree into a repository of its own.
func repository(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	list, err := git("../..", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(list, "\x00"), "\x00") {
		content, err := os.ReadFile(filepath.Join("../..", name))
		if os.IsNotExist(err) {
			continue
		}
		file := filepath.Join(root, name)
		if err != nil || os.MkdirAll(filepath.Dir(file), 0o755) != nil || os.WriteFile(file, content, 0o644) != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	commit(t, root)
	return root
}

func commit(t *testing.T, root string) {
	t.Helper()
	for _, args := range [][]string{{"init", "--quiet"}, {"add", "--all", "--force"},
		{"-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "all"}} {
		if _, err := git(root, args...); err != nil {
			t.Fatal(err)
		}
	}
}

// Under another path, everything builds, the tests find each other, and a project that uses the module does, too.
func TestRename(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	const to = "example.org/some-body/ass"
	root := repository(t)
	run := func(dir string, args ...string) string {
		t.Helper()
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = filepath.Join(root, dir)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	if n, err := rename(root, to, false); err != nil || n < 100 {
		t.Fatalf("%d files, %v", n, err)
	}
	run("", "go", "build", "./...")
	run("", "go", "vet", "./tokens", "./audit/...", "./commands", "./.ci/module")
	run("", "go", "test", "-short", "./tokens", "./audit/...")
	run("", "go", "test", "./e2e", "./e2e/mutants", "-run",
		"^(TestImportDirection|TestNoSDKInAss|TestPlanIsComplete|TestLinksInDocs)$")
	run("testdata/othermodule", "go", "vet", "./...")
	run("", "go", "list", "-test", "-deps", "./...") // no import leads nowhere
	if unformatted := run("", "gofmt", "-l", "."); unformatted != "" {
		t.Errorf("gofmt would change %s", unformatted)
	}
	if out := run("", "go", "run", ".", "version"); !strings.Contains(out, "\nformat  ass/2\n") {
		t.Errorf("the format has another name now: %s", out)
	}
	named := run("", "sh", "-c", `git grep -n -E 'import "ass/|replace ass|module .ass\b' -- '*.md' || true`)
	if named != "" {
		t.Errorf("the docs name the old module:\n%s", named)
	}

	// Again, and to a third path, and back.
	commit(t, root)
	if n, err := rename(root, to, false); err != nil || n != 0 {
		t.Errorf("a second time: %d files, %v", n, err)
	}
	first := run("", "git", "rev-parse", "HEAD^{tree}")
	for _, path := range []string{"example.net/ass/v2", to} {
		if _, err := rename(root, path, false); err != nil {
			t.Fatal(err)
		}
		commit(t, root)
	}
	if last := run("", "git", "rev-parse", "HEAD^{tree}"); last != first {
		t.Error("there and back is not the same")
	}
}

// A bad path, a name that is not that of the program, and changes that are in no commit are refused.
func TestRefused(t *testing.T) {
	root := t.TempDir()
	mod := filepath.Join(root, "go.mod")
	before := []byte("module ass\n\ngo 1.26\n")
	if err := os.WriteFile(mod, before, 0o600); err != nil {
		t.Fatal(err)
	}
	commit(t, root)
	for path, says := range map[string]string{"": "malformed", "ass": "missing dot", "example.org/../ass": "malformed",
		"example.org/a b/ass": "malformed", "-x.org/ass": "malformed", "example.org/store": "/ass",
		"https://example.org/ass": "malformed",
		"example.org/ass/v1":      "malformed"} {
		if _, err := rename(root, path, true); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", path, err, says)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "new"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := rename(root, "example.org/ass", false); err == nil || !strings.Contains(err.Error(), "new") {
		t.Errorf("with changes: %v", err)
	}
	if is, err := os.ReadFile(mod); err != nil || !bytes.Equal(is, before) {
		t.Errorf("a refused rename was done: %s, %v", is, err)
	}
	if n, err := rename(root, "example.org/ass", true); err != nil || n != 1 {
		t.Errorf("with --force: %d files, %v", n, err)
	}
}

// A text is changed where it can only be the module, and nowhere else.
func TestInText(t *testing.T) {
	for before, want := range map[string]string{
		"module ass\n":                                        "module x.y/ass\n",
		"\tass v0.0.0\nrequire ass v1.0.0":                    "\tx.y/ass v0.0.0\nrequire x.y/ass v1.0.0",
		"replace ass => ../ass":                               "replace x.y/ass => ../ass",
		"`go install ass@latest`, go run ass/cmd/x":           "`go install x.y/ass@latest`, go run x.y/ass/cmd/x",
		"go mod edit -require ass@v0.0.0 -replace ass=../ass": "go mod edit -require x.y/ass@v0.0.0 -replace x.y/ass=../ass",
		"until the module `ass` has a home":                   "until the module `x.y/ass` has a home",
		`import "ass/commands/asstest"`:                       `import "x.y/ass/commands/asstest"`,
		`KDF(root, "ass/1 mac"), ass version`:                 `KDF(root, "ass/1 mac"), ass version`,
		`"command": "ass", ~/.config/ass/config`:              `"command": "ass", ~/.config/ass/config`,
		"go build -o ass .; go install .":                     "go build -o ass .; go install .",
	} {
		if got := string(inText([]byte(before), "ass", "x.y/ass")); got != want {
			t.Errorf("%q becomes %q, want %q", before, got, want)
		}
	}
}

// FuzzInGo holds that a file that parses still does, with the imports that it had.
func FuzzInGo(f *testing.F) {
	for _, seed := range []string{"package a\n\nimport \"ass/vault\"\n",
		"package a\n\nimport (\n\t_ `ass`\n\tx \"ass/tokens\" // why\n)\n",
		"package a // import \"ass\"\n", "package a\nimport(\"a\";\"ass/b\")\nvar x = \"ass/1 mac\"\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		there, err := inGo([]byte(text), "ass", "x.y/ass")
		if err != nil {
			return
		}
		back, err := inGo(there, "x.y/ass", "ass")
		if err != nil {
			t.Fatalf("%q becomes %q: %v", text, there, err)
		}
		if n := strings.Count(text, "x.y/ass"); n == 0 && bytes.Contains(back, []byte("x.y/ass")) {
			t.Errorf("%q: there and back is %q", text, back)
		}
	})
}
