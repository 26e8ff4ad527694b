package main

import (
	"fmt"
	"go/build"
	"os"
	"path"
	"path/filepath"
	"slices"
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
	{"vault/disk", []string{"vault/disk", "commands/internal/process", "vault", "commands", ".", "e2e/powercut"}},
	{"vault/device", []string{"vault/device", ".", "e2e"}},
	{"vault", []string{"vault", "commands", ".", "e2e/powercut"}},
	{"commands/internal/redact", []string{"commands/internal/redact", "commands/internal/process", "commands", ".",
		"e2e"}},
	{"commands/internal/process", []string{"commands/internal/process", "commands", ".", "e2e"}},
	{"commands/internal/leaks", []string{"commands/internal/leaks", "."}},
	{"commands/internal/stores", []string{"commands/internal/stores", ".", "e2e"}},
	{"commands/internal/protocols", []string{"commands/internal/protocols", ".", "e2e"}},
	{"commands/internal/paper", []string{"commands/internal/paper", "commands", ".", "e2e"}},
	{"commands/internal/pinentry", []string{"commands/internal/pinentry", "e2e"}},
	{"commands/internal/strength", []string{"commands/internal/strength", "."}},
	{"commands", []string{"commands", ".", "e2e/powercut", "e2e", "cmd/ass-mcp"}},
}

// alsoSeenBy are packages whose tests should see the mutants of a file, besides those of the plan.
var alsoSeenBy = map[string]string{
	"vault/detour.go":   "e2e", // has small disks
	"vault/reserve.go":  "e2e",
	"vault/unlogged.go": "e2e",
}

// neverShort are packages whose short tests see nothing, and why.
var neverShort = map[string]string{
	"e2e/powercut": "what is not synced is seen by cutting the power, which takes seconds",
}

// core are the files where a mutant hurts most: what opens, keeps, checks, copies and removes.
var core = []string{
	"tokens/*.go",
	"audit/chain.go", "audit/verify.go", "audit/archive.go",
	"vault/internal/keys/*.go",
	"vault/internal/bolt/commit.go", "vault/internal/bolt/db.go", "vault/internal/bolt/freelist.go",
	"vault/internal/bolt/pages.go",
	"vault/disk/register.go", "vault/disk/create.go", "vault/disk/names.go", "vault/disk/lock.go",
	"vault/access.go", "vault/archive.go", "vault/backup.go", "vault/build.go", "vault/detour.go", "vault/grants.go",
	"vault/head.go", "vault/kinds.go", "vault/memory.go", "vault/record.go", "vault/reserve.go", "vault/restore.go",
	"vault/salvage.go", "vault/tx.go", "vault/unlogged.go", "vault/verify.go", "vault/verify_grants.go",
	"commands/config.go", "commands/credential.go", "commands/files.go", "commands/login.go", "commands/logout.go",
	"commands/outputs.go", "commands/unlock.go",
}

func isCore(file string) bool {
	return slices.ContainsFunc(core, func(pattern string) bool {
		ok, err := path.Match(pattern, file)
		return ok && err == nil
	})
}

// leftOut are packages, files and functions (file:function) without mutants, and why.
var leftOut = map[string]string{
	"commands/asstest":                               "it serves tests alone",
	"vault/internal/vectors":                         "it serves tests alone",
	"vault/internal/bolt/layout.go":                  "it serves tests alone",
	"vault/vaulttest":                                "it serves tests alone",
	"vault/device/devicetest":                        "it serves tests alone",
	"commands/loadernames.go":                        "it is a table of names, and has a test of its own",
	"commands/shapes.go:results":                     "it is a table, and has a test of its own",
	"commands/internal/process/files.go:SweepFiles":  "a mutant could remove what others have in /dev/shm",
	"commands/internal/process/files.go:sweepFolder": "a mutant could remove what others have in /dev/shm",
}

// testsOf returns the packages whose tests should see a mutant.
func testsOf(m mutant) (pkgs []string) {
	for _, p := range plan {
		if p.pkg == m.packageOf() {
			pkgs = slices.Clone(p.tests)
		}
	}
	if also := alsoSeenBy[m.file]; also != "" {
		pkgs = append(pkgs, also)
	}
	return pkgs
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
