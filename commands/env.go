package commands

import (
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"ass/tokens"
	"ass/vault"
)

type envGroup struct {
	Import envImport `cmd:"" help:"Store the variables of a .env file as secrets."`
	Export envExport `cmd:"" help:"Write the secrets of a namespace as variables."`
}

type envImport struct {
	File       string      `arg:"" optional:"" default:".env" help:"File to read; - is stdin." env:"-"`
	Namespace  string      `help:"Namespace to store the variables in." placeholder:"NS"`
	DryRun     bool        `help:"Say what would be done, and do nothing." env:"-"`
	Tier       tokens.Tier `help:"standard, sensitive or critical; a new secret is standard, one that exists keeps its tier." placeholder:"TIER" env:"-"`
	Type       string      `help:"Type of the secrets; a new one is custom." placeholder:"TYPE" env:"-"`
	OnConflict string      `help:"Where a secret exists with another value: update, skip or error." default:"update" env:"-"`
	asking
}

func (envImport) Help() string {
	return `All of the file is stored, or nothing. A value that is stored already makes no new
version. The dialect is in docs/env.md; a $ stays a $: nothing is expanded.`
}

func (c envImport) Run(a *app) error {
	if !slices.Contains([]string{vault.OnConflictUpdate, vault.OnConflictSkip, vault.OnConflictError}, c.OnConflict) {
		return usagef("--on-conflict must be update, skip or error")
	}
	ns, err := a.defaultNamespace(c.Namespace)
	if err != nil {
		return err
	}
	list, err := c.read(a)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return usagef("%s has no variables", c.File)
	}
	items := make([]vault.Item, len(list))
	for i, v := range list {
		if len(v.value) == 0 {
			return usagef("%s, line %d: %s is empty, and a secret has at least 1 byte; leave it out of the file", c.File, v.line, v.name)
		}
		items[i] = vault.Item{Key: v.name, Value: v.value}
	}
	o := vault.ImportOptions{Tier: c.Tier, Type: c.Type, OnConflict: c.OnConflict, DryRun: c.DryRun}
	if _, err := vault.CheckImport(ns, items, o); err != nil {
		return err // before a vault is made on the way
	}
	if c.DryRun {
		if h, err := a.find(); err == nil && !h.at.exists() && h.nothingYet(a.Profile) {
			done := make([]vault.Imported, len(items)) // all of them would be new
			for i := range done {
				done[i].Outcome = vault.ImportCreated
			}
			return c.report(a, ns, list, done)
		}
	}
	return a.with(access{create: !c.DryRun, itself: c.Tier != 0, progress: "importing"}, func(s *vault.Session) error {
		done, err := s.Import(ns, items, o)
		if err != nil {
			return err
		}
		return c.report(a, ns, list, done)
	})
}

// defaultEnvFile is what is imported where no file is named.
const defaultEnvFile = ".env"

// read reads and parses the file.
func (c envImport) read(a *app) ([]variable, error) {
	const most = 64 << 20
	from := a.in
	if c.File == "-" {
		if err := a.stdinIsFree(); err != nil {
			return nil, err
		}
	} else {
		// Who names a pipe waits for it; the one that a repository has is not named.
		if info, err := os.Stat(c.File); err == nil && !info.Mode().IsRegular() && c.File == defaultEnvFile {
			return nil, usagef("%s is not a regular file; name the file to read", c.File)
		}
		f, err := os.Open(c.File)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	b, err := io.ReadAll(io.LimitReader(from, most+1))
	if err != nil {
		return nil, err
	}
	if len(b) > most {
		return nil, usagef("%s is larger than %s", c.File, size(most))
	}
	list, err := parseDotenv(b)
	var wrong *dotenvError
	if errors.As(err, &wrong) {
		return nil, usagef("%s, %v; nothing was imported", c.File, wrong)
	}
	return list, err
}

func (c envImport) report(a *app, ns tokens.Namespace, list []variable, done []vault.Imported) error {
	imported, skipped := []string{}, []string{}
	rows := make([][]cell, len(done))
	for i, d := range done {
		if rows[i] = []cell{{list[i].name, ""}, {d.Outcome, dim}, {hint(list[i].value), dim}}; d.Written() {
			imported = append(imported, list[i].name)
		} else {
			skipped = append(skipped, list[i].name)
		}
	}
	if a.JSON {
		return a.out.json(map[string]any{"namespace": ns.String(), "imported": len(imported), "skipped": len(skipped), "keys": imported, "skipped_keys": skipped, "dry_run": c.DryRun})
	}
	left := ""
	if len(skipped) > 0 {
		left = " (" + strconv.Itoa(len(skipped)) + " left as they were)"
	}
	if c.DryRun {
		a.out.table(rows)
		a.out.note("this would import %s to %s%s", plural(len(imported), "secret"), ns, left)
		return nil
	}
	a.out.done("Imported %s to %s%s", plural(len(imported), "secret"), ns, left)
	return nil
}

type envExport struct {
	In     string `arg:"" optional:"" name:"namespace" help:"Namespace to export, with all below it; the default one if omitted."`
	Output string `help:"Write to this file, for its owner alone, instead of stdout." placeholder:"FILE" env:"-"`
	naming
	Format string `help:"dotenv, shell, docker, json, github or systemd." default:"dotenv" env:"-"`
	asking
}

// naming says which secrets become variables, and under which names.
type naming struct {
	Keys   string `help:"Only these keys, separated by commas." placeholder:"KEY,…" env:"-"`
	Prefix bool   `help:"Name the variables after the path below the namespace: stripe/api-key becomes STRIPE_API_KEY." env:"-"`
}

func (envExport) Help() string {
	return `A variable is named after the key of its secret. Each format is read back to the byte by
the program that it is for, or the export fails and names the key: dotenv by bash, node's
dotenv, python-dotenv and ass env import; shell by POSIX shells; docker by docker --env-file;
github by $GITHUB_ENV; systemd by EnvironmentFile=.`
}

func (c envExport) Run(a *app) error {
	if !slices.Contains(formatNames(), c.Format) {
		return usagef("--format must be one of %s", strings.Join(formatNames(), ", "))
	}
	ns, err := a.defaultNamespace(c.In)
	if err != nil {
		return err
	}
	var list []variable
	text := ""
	err = a.with(access{progress: "exporting"}, func(s *vault.Session) error {
		only, err := c.paths(s, ns)
		if err != nil {
			return err
		}
		if len(only) == 0 && c.Output != "" {
			return errorf(vault.ErrNotFound, "no secrets in %s, so %s was not written; the namespaces that there are: ass secrets list '*'", ns, c.Output)
		}
		if len(only) == 0 {
			a.out.note("no secrets in %s; the namespaces that there are: ass secrets list '*'", ns)
		}
		values, err := s.GetMany(nil, only)
		if err != nil {
			return err
		}
		list = c.variables(ns, values)
		text, err = writeEnv(c.Format, list)
		return err
	})
	if err != nil {
		return err
	}
	return c.deliver(a, text, list)
}

func (c envExport) deliver(a *app, text string, list []variable) error {
	if c.Output == "" || c.Output == "-" {
		a.out.write(text)
		return nil
	}
	if err := writePrivate(c.Output, []byte(text)); err != nil {
		return err
	}
	if a.JSON {
		names := make([]string, len(list))
		for i, v := range list {
			names[i] = v.name
		}
		return a.out.json(map[string]any{"output": c.Output, "exported": len(list), "keys": names})
	}
	a.out.done("Exported %s to %s", plural(len(list), "secret"), c.Output)
	return nil
}

// paths are the secrets that are to become variables. Names are settled before
// anything is read, so that a clash costs no entry in the log.
func (n naming) paths(s *vault.Session, ns tokens.Namespace) ([]tokens.Path, error) {
	secrets, err := s.List(ns, false)
	if err != nil {
		return nil, err
	}
	var paths []tokens.Path
	for _, secret := range secrets {
		paths = append(paths, secret.Path)
	}
	if paths, err = n.only(ns, paths); err != nil {
		return nil, err
	}
	taken := map[string]tokens.Path{}
	for _, p := range paths {
		name := n.name(ns, p)
		switch other, clash := taken[name]; {
		case clash:
			return nil, usagef("%s and %s would both be %s; %s", other, p, name, n.advice())
		case !isVariable(name):
			return nil, usagef("%s: %s is no name of a variable; %s", p, name, n.advice())
		}
		taken[name] = p
	}
	return paths, nil
}

func (n naming) advice() string {
	if n.Prefix {
		return "leave one out with --keys"
	}
	return "name variables after paths with --prefix, or choose keys with --keys"
}

func (n naming) only(ns tokens.Namespace, all []tokens.Path) ([]tokens.Path, error) {
	if n.Keys == "" {
		return all, nil
	}
	var some []tokens.Path
	for _, key := range strings.Split(n.Keys, ",") {
		key = strings.TrimSpace(key)
		if key == "" {
			return nil, usagef("--keys has an empty name in it")
		}
		found := false
		for _, p := range all {
			if p.Key() == key {
				found = true
				if !slices.Contains(some, p) {
					some = append(some, p)
				}
			}
		}
		if !found {
			return nil, errorf(vault.ErrNotFound, "no secret %s in %s", key, ns)
		}
	}
	return some, nil
}

func (n naming) variables(ns tokens.Namespace, values []vault.Value) []variable {
	list := make([]variable, len(values))
	for i, v := range values {
		list[i] = variable{name: n.name(ns, v.Path), value: v.Value}
	}
	return list
}

func (n naming) name(ns tokens.Namespace, p tokens.Path) string {
	if !n.Prefix {
		return p.Key()
	}
	below := strings.TrimPrefix(p.String(), ns.String()+"/")
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r - 'a' + 'A'
		}
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, below)
	if name[0] >= '0' && name[0] <= '9' {
		name = "_" + name
	}
	return name
}

// isVariable reports whether s can be the name of a variable in every shell.
func isVariable(s string) bool {
	return s != "" && nameLength(s) == len(s) && !strings.ContainsAny(s, ".-")
}
