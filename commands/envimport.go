package commands

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
	File        string      `arg:"" optional:"" default:".env" help:"File to read; .env if omitted, - is stdin."`
	Namespace   string      `short:"n" help:"Namespace to store the variables in." placeholder:"NS"`
	DryRun      bool        `help:"Show what would be done, but do nothing."`
	Format      string      `help:"How to read the file: as a .env file, or as what env export --format writes." default:"dotenv"`
	Expand      bool        `help:"Fill $${NAME} in from earlier lines of the file; without it, it stays as it is."`
	OnDuplicate string      `help:"If two lines set one name: error, or last to take the last one." default:"error"`
	OnConflict  string      `help:"If a secret exists with another value: update (the default), skip or error." placeholder:"ACT"`
	Force       bool        `help:"Replace secrets without asking, in a namespace that .assrc alone names."`
	Tier        tokens.Tier `help:"standard, sensitive or critical; a new secret is standard, one that exists keeps its tier." placeholder:"TIER"`
	Type        string      `help:"Type of the secrets; a new one is custom." placeholder:"TYPE"`
	asking
}

func (envImport) Help() string {
	return `All of the file is stored, or nothing. A value that is stored already makes no new
version. The dialect is in docs/env.md; a $ stays a $, unless --expand fills ${NAME} in.`
}

// How an import settles two lines with one name.
const (
	duplicateError = "error"
	duplicateLast  = "last"
)

func (c envImport) Run(a *app) error {
	if c.OnConflict != "" && !slices.Contains(onConflict, c.OnConflict) {
		return usagef("--on-conflict must be update, skip or error")
	}
	if c.OnDuplicate != duplicateError && c.OnDuplicate != duplicateLast {
		return usagef("--on-duplicate must be error or last")
	}
	format, err := formatNamed(c.Format)
	if err != nil {
		return err
	}
	if c.Expand && !format.fills {
		return usagef("--expand goes with no file of the format %s, whose readers fill nothing in", format.name)
	}
	chosen, err := a.chooseNamespace(a.namedNamespace(c.Namespace))
	if err != nil {
		return err
	}
	o := vault.ImportOptions{Tier: c.Tier, Type: c.Type, OnConflict: c.OnConflict, DryRun: c.DryRun}
	if err := vault.CheckSet(nil, vault.SetOptions{Type: c.Type}); err != nil {
		return err
	}
	list, err := c.read(a, format, chosen.ns)
	if err != nil {
		return err
	}
	items := itemsOf(list)
	there := a.vaultIsThere()
	asks := chosen.from == fromProject && c.OnConflict == "" && !c.Force && there
	if c.DryRun && !there {
		done := make([]vault.Imported, len(items)) // all of them would be new
		for i := range done {
			done[i].Outcome, done[i].New = vault.ImportCreated, true
		}
		return c.report(a, chosen.ns, list, done)
	}
	// A stranger's .assrc must not choose which secrets are replaced.
	asked := asks && !c.DryRun
	if asked {
		if err := c.ask(a, chosen, items, &o); err != nil {
			return err
		}
	}
	err = a.withSession(access{create: !c.DryRun, itself: c.Tier != 0, progress: "importing"},
		func(s *vault.Session) error {
			done, err := s.Import(chosen.ns, items, o)
			if err != nil {
				return err
			}
			if !asked && !c.DryRun && a.out.errTTY && !a.JSON {
				a.listReplaced("replaced", done)
			}
			if c.DryRun && asks && slices.ContainsFunc(done, replaces) && !a.JSON {
				a.out.note("the import will ask before it replaces secrets, because %s alone names the namespace; in a "+
					"pipe it needs --force or --namespace %s", chosen.file, chosen.ns)
			}
			return c.report(a, chosen.ns, list, done)
		})
	if err == nil && !c.DryRun && a.out.errTTY && c.File != "-" {
		a.hintAtGit(c.File)
	}
	return err
}

func itemsOf(list []variable) []vault.Item {
	items := make([]vault.Item, len(list))
	for i, v := range list {
		items[i] = vault.Item{Key: v.name, Value: v.value}
	}
	return items
}

var onConflict = []string{vault.OnConflictUpdate, vault.OnConflictSkip, vault.OnConflictError}

// vaultIsThere reports false for a person who has no vault yet, and gets one on the way.
// When that cannot be found out, it reports true, and the import says why.
func (a *app) vaultIsThere() bool {
	h, err := a.find()
	return err != nil || h.at.exists() || !h.nothingYet(a.Profile)
}

// ask finds the secrets that the import would replace, and asks whether it may. The
// import then replaces those and no others.
func (c envImport) ask(a *app, chosen chosenNamespace, items []vault.Item, o *vault.ImportOptions) error {
	var replaced []vault.Imported
	preview := *o
	preview.DryRun = true
	err := a.withSession(access{itself: c.Tier != 0}, func(s *vault.Session) error {
		done, err := s.Import(chosen.ns, items, preview)
		replaced = slices.DeleteFunc(done, func(d vault.Imported) bool { return !replaces(d) })
		return err
	})
	if err != nil {
		return err
	}
	shown := map[tokens.Path]bool{}
	for _, d := range replaced {
		shown[d.Path] = true
	}
	o.MayReplace = func(p tokens.Path) bool { return shown[p] }
	if len(replaced) == 0 {
		return nil
	}
	what := plural(len(replaced), "secret")
	if !a.interactive() {
		return usagef("this would replace %s (%s) in the namespace %s, which %s alone names, so nothing was imported",
			what, pathsOf(replaced, 3), chosen.ns, chosen.file).
			hint("pass --force to replace, or name the namespace with --namespace %s", chosen.ns)
	}
	a.listReplaced("would replace", replaced)
	return a.confirm(false, fmt.Sprintf("Replace %s in %s, the namespace from %s?", what, chosen.ns, chosen.file))
}

// replaces reports whether an import replaces the current version of a secret.
func replaces(d vault.Imported) bool {
	return d.Outcome == vault.ImportUpdated || d.Outcome == vault.ImportRequested
}

// listReplaced names the secrets that an import replaces, a line each.
func (a *app) listReplaced(did string, done []vault.Imported) {
	for _, d := range done {
		if replaces(d) {
			a.out.note("%s: %s", did, d.Path)
		}
	}
}

func pathsOf(done []vault.Imported, most int) string {
	var names []string
	for i, d := range done {
		if i == most {
			names = append(names, "…")
			break
		}
		names = append(names, d.Path.String())
	}
	return strings.Join(names, ", ")
}

// defaultEnvFile is imported when no file is named.
const defaultEnvFile = ".env"

// read reads and parses the file, and checks all of it before a vault is made on the way.
func (c envImport) read(a *app, format envFormat, ns tokens.Namespace) ([]variable, error) {
	b, err := c.bytes(a)
	if err != nil {
		return nil, err
	}
	name := c.File
	if name == "-" {
		name = "stdin"
	}
	var list []variable
	var wrong unreadable
	if err = checkEncoding(b); err == nil {
		list, wrong, err = format.parse(b)
	}
	if err != nil {
		return nil, usagef("%s: %v; nothing was imported", name, err)
	}
	// A line that cannot be read may set what another refers to.
	if unset := expand(list, c.Expand); len(wrong) == 0 {
		wrong = unset
	}
	list, twice := settleDuplicates(list, c.OnDuplicate == duplicateLast)
	wrong = append(wrong, twice...)
	if _, err := vault.CheckImport(ns, itemsOf(list), vault.ImportOptions{}); err != nil { // of the first alone
		for _, v := range list {
			if _, err := vault.CheckImport(ns, itemsOf([]variable{v}), vault.ImportOptions{}); err != nil {
				wrong = append(wrong, &dotenvError{v.line, err.Error()})
			}
		}
	}
	switch wrong = wrong.inOrder(); {
	case len(wrong) > 0 && format.dialect != nil && bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")):
		return nil, usagef("%s looks like JSON, which --format json reads; nothing was imported", name)
	case len(wrong) == 1:
		return nil, usagef("%s, %v; nothing was imported", name, wrong)
	case len(wrong) > 1:
		return nil, usagef("%s: %v; nothing was imported", name, wrong)
	case len(list) == 0:
		return nil, usagef("%s has no variables", name)
	}
	return list, nil
}

// notes says, after an import, which variables programs will not get as they stand in
// the file.
func (c envImport) notes(a *app, list []variable) {
	if _, shown := unfilled(list); len(shown) > 0 {
		a.out.noteOf(sayf("these values have references, which are stored unexpanded: %s", some(shown)).
			hint("to expand them from earlier lines: --expand"))
	}
	var refer []string
	for _, v := range list {
		if isReference(string(v.value)) {
			refer = append(refer, v.name)
		}
	}
	if len(refer) > 0 {
		a.out.note("stored, but ass run and ass env export leave these out unless --allow names them, because their "+
			"value is itself a reference (ass://…): %s", some(refer))
	}
	acting, ours := actingIn(list)
	if len(acting) > 0 {
		a.out.note("stored, but ass run and ass env export leave these out unless --allow names them, because they "+
			"act on the program itself: %s", some(acting))
	}
	if len(ours) > 0 {
		a.out.note("stored, but a program gets these under another name alone (ass run --env NAME=path), because ass "+
			"itself reads them: %s", some(ours))
	}
}

// actingIn are the variables that act on the program that gets them, and among those the
// ones that ass itself reads.
func actingIn(list []variable) (acting, ours []string) {
	for _, v := range list {
		switch {
		case actsWith(v.name, v.value) == "":
		case isOurs(v.name):
			ours = append(ours, v.name)
		default:
			acting = append(acting, v.name)
		}
	}
	return acting, ours
}

// some lists names, the first of them if they are many.
func some(names []string) string {
	if len(names) > mostNamed {
		return strings.Join(names[:mostNamed], ", ") + " and " + strconv.Itoa(len(names)-mostNamed) + " more"
	}
	return strings.Join(names, ", ")
}

// bytes reads the file.
func (c envImport) bytes(a *app) ([]byte, error) {
	if c.File == "-" {
		if err := a.stdinIsFree(); err != nil {
			return nil, err
		}
		return atMost(a.in, "stdin")
	}
	// Who names a pipe waits for it; the one that a repository has is not named.
	if info, err := os.Stat(a.at(c.File)); err == nil && !info.Mode().IsRegular() && c.File == defaultEnvFile {
		return nil, usagef("%s is not a regular file", c.File).
			hint("name the file to read")
	}
	b, err := a.readEnvFile(c.File)
	if errors.Is(err, fs.ErrNotExist) && c.File == defaultEnvFile {
		return nil, errorf(fs.ErrNotExist, "no %s here", c.File).
			hint("name the file to read: ass env import FILE")
	}
	return b, err
}

// readEnvFile reads a file of variables. It may be a pipe.
func (a *app) readEnvFile(name string) ([]byte, error) {
	if name == "" {
		return nil, usagef("the name of the file is empty")
	}
	f, err := os.Open(a.at(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return atMost(f, name)
}

// atMost reads all of a file of variables.
func atMost(r io.Reader, name string) ([]byte, error) {
	const most = 64 << 20
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && len(b) > most {
		err = usagef("%s is larger than %s", name, size(most))
	}
	return b, err
}

func (c envImport) report(a *app, ns tokens.Namespace, list []variable, done []vault.Imported) error {
	imported, created, skipped := []string{}, []string{}, []string{}
	for i, d := range done {
		if d.Written() {
			imported = append(imported, list[i].name)
			if d.New {
				created = append(created, list[i].name)
			}
		} else {
			skipped = append(skipped, list[i].name)
		}
	}
	if !c.DryRun && len(imported) > 0 {
		a.changed("%s of %s are imported", plural(len(imported), "secret"), ns)
	}
	if a.JSON {
		answer := importResult{
			Namespace: ns.String(), Imported: len(imported), Skipped: len(skipped), Keys: imported, CreatedKeys: created,
			SkippedKeys: skipped, DryRun: c.DryRun,
		}
		if !c.DryRun {
			answer.References, _ = unfilled(list)
			acting, ours := actingIn(list)
			answer.Acting = append(acting, ours...)
		}
		return a.out.json(answer)
	}
	left := ""
	if len(skipped) > 0 {
		left = " (" + strconv.Itoa(len(skipped)) + " left as they were)"
	}
	c.notes(a, list)
	if c.DryRun {
		rows := make([][]cell, len(done))
		for i, d := range done {
			rows[i] = []cell{{list[i].name, ""}, {d.Outcome, dim}, {hint(list[i].value), dim}}
		}
		a.out.table(rows, paths)
		a.out.note("this would import %s to %s%s", plural(len(imported), "secret"), ns, left)
		return nil
	}
	a.out.done("Imported %s to %s%s", plural(len(imported), "secret"), ns, left)
	if a.out.errTTY && len(created) > 0 {
		a.out.note("%d created, %d updated", len(created), len(imported)-len(created))
	}
	return nil
}
