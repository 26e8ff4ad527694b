package main

import (
	"fmt"
	"go/build"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// plan says which tests should see a mutant of a package, the cheapest first.
var plan = []struct {
	pkg   string
	tests []string
}{
	{"tokens", []string{"tokens", "vault/internal/keys", "commands", ".", "vault"}},
	{"audit", []string{"audit", "vault", "commands", "."}},
	{"vault/internal/bolt", []string{"vault/internal/bolt", "vault", "commands", "."}},
	{"vault/internal/keys", []string{"vault/internal/keys", "vault", "commands", "."}},
	{"vault/internal/fault", []string{"vault/internal/bolt", "commands", ".", "vault"}},
	{"vault/disk", []string{"vault/disk", "commands/internal/process", "vault", "commands", "."}},
	{"vault", []string{"vault", "commands", "."}},
	{"commands/internal/redact", []string{"commands/internal/redact", "commands/internal/process", "commands", ".",
		"e2e"}},
	{"commands/internal/process", []string{"commands/internal/process", "commands", ".", "e2e"}},
	{"commands", []string{"commands", ".", "e2e", "cmd/ass-mcp"}},
}

// leftOut are packages, files and functions (file:function) without mutants, and why.
var leftOut = map[string]string{
	"commands/asstest":                               "it serves tests alone",
	"vault/internal/vectors":                         "it serves tests alone",
	"vault/internal/bolt/layout.go":                  "it serves tests alone",
	"vault/vaulttest":                                "it serves tests alone",
	"commands/loadernames.go":                        "it is a table of names, and has a test of its own",
	"commands/shapes.go:results":                     "it is a table, and has a test of its own",
	"commands/internal/process/files.go:SweepFiles":  "a mutant could remove what others have in /dev/shm",
	"commands/internal/process/files.go:sweepFolder": "a mutant could remove what others have in /dev/shm",
}

// testsOf returns the packages whose tests should see a mutant.
func testsOf(pkg string) []string {
	for _, p := range plan {
		if p.pkg == pkg {
			return p.tests
		}
	}
	return nil
}

// allMutants returns every mutant of the packages in the plan, below root, for this system.
func allMutants(root string) (all []mutant, err error) {
	for _, p := range plan {
		files, err := filepath.Glob(filepath.Join(root, p.pkg, "*.go"))
		if err != nil {
			return nil, err
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("%s has no Go files; run this in the root of the project", p.pkg)
		}
		for _, file := range files {
			name := path.Join(p.pkg, filepath.Base(file))
			builds, err := build.Default.MatchFile(filepath.Dir(file), filepath.Base(file))
			if err != nil {
				return nil, err
			}
			if !builds || strings.HasSuffix(name, "_test.go") || leftOut[name] != "" {
				continue
			}
			src, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			found, err := mutantsOf(name, src, func(function string) bool { return leftOut[name+":"+function] != "" })
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		}
	}
	return all, nil
}
