// Module gives the module of this repository another path, once somebody publishes it:
//
//	go run ./.ci/module github.com/somebody/ass
//
// It changes go.mod, the imports of every Go file, the module of testdata that uses this one, and the docs that name
// it. A second run with the same path changes nothing. It refuses a path that Go does not take, and, without --force, a
// work tree with changes: git shows then what it did, and takes it back.
package main

import (
	"errors"
	"fmt"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
)

func main() {
	args := slices.DeleteFunc(slices.Clone(os.Args[1:]), func(arg string) bool { return arg == "--force" })
	if len(args) != 1 {
		fmt.Fprintln(os.Stderr, "usage: go run ./.ci/module [--force] PATH, such as github.com/somebody/ass")
		os.Exit(2)
	}
	changed, err := rename(".", args[0], len(args) < len(os.Args)-1)
	if err != nil {
		fmt.Fprintln(os.Stderr, "module:", err)
		os.Exit(1)
	}
	fmt.Printf("the module is %s; %d files were changed\n", args[0], changed)
}

// rename gives the module in a repository another path. It returns the number of files that it changed.
func rename(root, to string, force bool) (changed int, err error) {
	if err := module.CheckPath(to); err != nil {
		return 0, err
	}
	if prefix, _, _ := module.SplitPathVersion(to); path.Base(prefix) != "ass" {
		return 0, fmt.Errorf("%s does not end with /ass: go install would give the program another name", to)
	}
	b, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return 0, err
	}
	from := modfile.ModulePath(b)
	if from == to {
		return 0, nil
	}
	if from == "" {
		return 0, errors.New("go.mod names no module")
	}
	dirty, err := git(root, "status", "--porcelain")
	if err != nil {
		return 0, err
	}
	if dirty != "" && !force {
		return 0, fmt.Errorf("there are changes that are in no commit; commit them, or: --force\n%s", dirty)
	}
	list, err := git(root, "ls-files", "-z")
	if err != nil {
		return 0, err
	}
	after := map[string][]byte{} // all of it, before anything is written
	for name := range strings.SplitSeq(strings.TrimSuffix(list, "\x00"), "\x00") {
		file := filepath.Join(root, filepath.FromSlash(name))
		before, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed, and not committed yet
		}
		if err != nil {
			return 0, err
		}
		content := before
		switch ext := path.Ext(name); {
		case ext == ".go":
			if content, err = inGo(before, from, to); err != nil {
				return 0, fmt.Errorf("%s: %w", name, err)
			}
		case slices.Contains([]string{".mod", ".md", ".txtar", ".yml", ".yaml"}, ext) || path.Base(name) == "Justfile":
			content = inText(before, from, to)
		}
		if string(content) != string(before) {
			after[file] = content
		}
	}
	for file, content := range after {
		if err := os.WriteFile(file, content, 0o644); err != nil { // which keeps the mode
			return 0, err
		}
	}
	return len(after), nil
}

func git(root string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return string(out), nil
}

// inGo changes the imports of a Go file. Other texts stay: ass/1 is a format, and not a package.
func inGo(content []byte, from, to string) ([]byte, error) {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, "", content, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	done := 0
	for _, spec := range f.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		if rest, ok := strings.CutPrefix(imported+"/", from+"/"); ok {
			at := set.Position(spec.Path.Pos()).Offset
			b.Write(content[done:at])
			b.WriteString(strconv.Quote(strings.TrimSuffix(to+"/"+rest, "/")))
			done = at + len(spec.Path.Value)
		}
	}
	if done == 0 {
		return content, nil
	}
	b.Write(content[done:])
	return format.Source([]byte(b.String())) // imports are sorted by their paths
}

// inText changes a go.mod, the docs and the scripts, where a path can only be that of the module or of its packages.
func inText(content []byte, from, to string) []byte {
	for _, form := range []string{
		`(?m)(^module )FROM($)`,
		`(?m)(^\s*(?:require )?)FROM( v\d)`,
		`(replace )FROM( =>)`,
		`(go (?:install|get|run) )FROM(@|/\w)`,
		`(-require[ =])FROM(@)`,
		`(-replace[ =])FROM(=)`,
		"(module `)FROM(`)",
		`(")FROM(/(?:audit|cmd|commands|e2e|tokens|vault)[/"])`,
	} {
		re := regexp.MustCompile(strings.ReplaceAll(form, "FROM", regexp.QuoteMeta(from)))
		content = re.ReplaceAll(content, []byte("${1}"+to+"${2}"))
	}
	return content
}
