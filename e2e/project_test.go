package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Imports run downward: commands → vault → tokens, audit. A package that uses no
// cryptography, no database and no network cannot begin to use them unnoticed. The names below are those of the module
// ass, whatever path the module has.
func TestImportDirection(t *testing.T) {
	list := exec.Command("go", "list", "-f", `{{.Module.Path}} {{.ImportPath}} {{join .Imports " "}}`, "./...")
	list.Dir = fromRoot(".")
	out, err := list.CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	imports := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		for i, word := range words[1:] {
			if below, ok := strings.CutPrefix(word+"/", words[0]+"/"); ok {
				words[i+1] = strings.TrimSuffix("ass/"+below, "/")
			}
		}
		imports[words[1]] = words[2:]
	}
	never := []string{"net", "net/http", "os/exec"}
	starts := []string{"ass/e2e/world", "ass/e2e/trace", "ass/cmd/ass-mcp", "ass/commands/internal/process", "ass/commands/internal/leaks",
		"ass/commands/asstest"} // processes
	for pkg, allowed := range map[string]struct{ ours, not []string }{
		"ass":                             {[]string{"ass/commands"}, []string{"go.etcd.io/bbolt", "filippo.io/age", "crypto/"}},
		"ass/commands/internal/redact":    {nil, []string{"os", "io/fs", "crypto/"}},
		"ass/commands/internal/process":   {[]string{"ass/commands/internal/redact", "ass/vault/disk"}, []string{"crypto/"}},
		"ass/commands/internal/leaks":     {[]string{"ass/commands/internal/redact"}, []string{"crypto/"}},
		"ass/commands/internal/stores":    {[]string{"ass/tokens"}, []string{"crypto/"}},
		"ass/commands/internal/protocols": {nil, []string{"os", "io/fs", "crypto/"}},
		"ass/commands/internal/pinentry":  {nil, []string{"os", "io/fs", "crypto/"}},
		"ass/commands/internal/strength":  {nil, []string{"os", "io/fs", "crypto/"}},
		"ass/commands/internal/paper":     {nil, []string{"os", "io/fs", "crypto/"}},
		"ass/commands": {[]string{"ass/commands/internal/leaks", "ass/commands/internal/process", "ass/commands/internal/protocols",
			"ass/commands/internal/paper", "ass/commands/internal/pinentry", "ass/commands/internal/redact", "ass/commands/internal/stores",
			"ass/commands/internal/strength",
			"ass/vault", "ass/vault/device", "ass/vault/disk", "ass/tokens", "ass/audit"},
			[]string{"go.etcd.io/bbolt", "filippo.io/age", "crypto/", "golang.org/x/crypto/", "github.com/cloudflare/"}},
		"ass/vault/internal/fault": {nil, []string{"os", "go.etcd.io/bbolt", "filippo.io/age", "crypto/"}},
		"ass/vault/disk": {[]string{"ass/vault/internal/fault"}, []string{"go.etcd.io/bbolt", "filippo.io/age",
			"crypto/"}},
		"ass/audit/hmac256": {nil, []string{"os", "go.etcd.io/bbolt", "filippo.io/age"}},
		"ass/vault/internal/keys": {[]string{"ass/audit/hmac256", "ass/tokens", "ass/vault/internal/fault"},
			[]string{"os", "go.etcd.io/bbolt"}},
		"ass/vault/internal/bolt": {[]string{"ass/vault/disk", "ass/vault/internal/fault"}, []string{"filippo.io/age",
			"encoding/json", "ass/audit"}},
		"ass/vault": {[]string{"ass/vault/disk", "ass/vault/internal/fault", "ass/vault/internal/bolt",
			"ass/vault/internal/keys", "ass/tokens", "ass/audit"}, []string{"go.etcd.io/bbolt", "filippo.io/age",
			"golang.org/x/term", "github.com/alecthomas/kong"}},
		"ass/vault/device": {[]string{"ass/vault/internal/keys"}, []string{"os", "go.etcd.io/bbolt", "golang.org/x/term"}},
		"ass/cmd/ass-mcp": {[]string{"ass/commands", "ass/tokens"}, []string{"go.etcd.io/bbolt", "filippo.io/age",
			"crypto/"}},
		"ass/commands/asstest": {[]string{"ass/commands", "ass/commands/internal/stores", "ass/vault", "ass/tokens",
			"ass/audit"}, []string{"go.etcd.io/bbolt", "filippo.io/age", "crypto/"}},
		"ass/e2e/world": {[]string{"ass/vault", "ass/vault/vaulttest"}, []string{"go.etcd.io/bbolt",
			"filippo.io/age", "crypto/"}},
		"ass/e2e/limits":      {nil, []string{"os", "go.etcd.io/bbolt", "filippo.io/age", "crypto/"}},
		"ass/e2e/trace":       {nil, []string{"go.etcd.io/bbolt", "filippo.io/age", "crypto/"}},
		"ass/vault/vaulttest": {[]string{"ass/vault", "ass/tokens"}, nil},
		"ass/tokens":          {nil, []string{"os", "go.etcd.io/bbolt"}},
		"ass/audit":           {[]string{"ass/audit/hmac256"}, []string{"os", "go.etcd.io/bbolt"}},
	} {
		list, known := imports[pkg]
		if !known {
			t.Errorf("there is no package %s", pkg)
		}
		for _, imported := range list {
			if strings.HasPrefix(imported, "ass/") && !slices.Contains(allowed.ours, imported) {
				t.Errorf("%s imports %s", pkg, imported)
			}
			for _, not := range append(slices.Clone(never), allowed.not...) {
				if slices.Contains(starts, pkg) && not == "os/exec" {
					continue
				}
				if pkg == "ass/commands" && (not == "net" || not == "os/exec") {
					continue
				}
				if pkg == "ass/commands/asstest" && not == "net/http" { // its server is for tests
					continue
				}
				if imported == not || strings.HasSuffix(not, "/") && strings.HasPrefix(imported, not) {
					t.Errorf("%s imports %s", pkg, imported)
				}
			}
		}
	}
}

// The SDK of the Model Context Protocol is in the server alone: linked into ass, it would cost
// every command up to a millisecond, and half of the binary again.
func TestNoSDKInAss(t *testing.T) {
	list := exec.Command("go", "list", "-deps", ".")
	list.Dir = fromRoot(".")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), "modelcontextprotocol") {
		t.Error("ass links the SDK of the Model Context Protocol")
	}
}

// The server of the hosted API is for tests, and ass has no HTTP in it at all.
func TestNoServerInAss(t *testing.T) {
	for _, of := range []string{"ass", "ass/cmd/ass-mcp"} {
		out, err := exec.Command("go", "list", "-deps", of).Output()
		if err != nil {
			t.Fatal(err)
		}
		deps := strings.Fields(string(out))
		for _, not := range []string{"ass/commands/asstest", "net/http/httptest", "net/http"} {
			if slices.Contains(deps, not) && (of == "ass" || not != "net/http") { // the SDK of the protocol has it
				t.Errorf("%s links %s", of, not)
			}
		}
	}
}

// Only one file of package commands imports net, and it only asks for the addresses of this
// machine.
func TestNetIsForAddressesAlone(t *testing.T) {
	files, err := filepath.Glob(fromRoot("commands/*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if imports := strings.Contains(string(b), "\t\"net\"\n"); imports != (filepath.Base(file) == "addresses.go") {
			t.Errorf("%s imports net: %v", file, imports)
		}
		if uses := regexp.MustCompile(`\bnet\.[A-Z]\w*`).FindAllString(string(b), -1); len(uses) > 0 && !slices.Equal(uses,
			[]string{"net.InterfaceAddrs", "net.IPNet"}) {
			t.Errorf("%s uses %v", file, uses)
		}
	}
}

// Every link to a file in the docs leads to an existing file.
func TestLinksInDocs(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	files, err := filepath.Glob(fromRoot("docs/*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, fromRoot("README.md"), fromRoot("CONTRIBUTING.md"), fromRoot("CHANGELOG.md"),
		fromRoot("SECURITY.md")) {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, m := range link.FindAllStringSubmatch(string(b), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", file, m[1], err)
			}
		}
	}
}

// A doc comment of a function or a type begins with its name, so that it is not left behind
// when the name changes.
func TestDocCommentsNameWhatTheyAreOf(t *testing.T) {
	err := filepath.WalkDir(fromRoot("."), func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == ".git"):
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		check := func(doc *ast.CommentGroup, name *ast.Ident) {
			if doc == nil {
				return
			}
			first, _, _ := strings.Cut(strings.TrimSpace(doc.Text()), " ")
			for _, article := range []string{"A ", "An ", "The "} {
				if rest, ok := strings.CutPrefix(doc.Text(), article); ok {
					first, _, _ = strings.Cut(rest, " ")
				}
			}
			if first != name.Name && regexp.MustCompile(`^[A-Za-z]\w*$`).MatchString(first) {
				t.Errorf("%s: the comment of %s begins with %q", files.Position(name.Pos()), name.Name, first)
			}
		}
		for _, decl := range file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				check(decl.Doc, decl.Name)
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					if of, ok := spec.(*ast.TypeSpec); ok && len(decl.Specs) == 1 {
						check(decl.Doc, of.Name)
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
