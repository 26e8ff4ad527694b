package commands

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"ass/commands/internal/process"
	"ass/commands/internal/stores"
	"ass/tokens"
	"ass/vault"
)

type importCmd struct {
	Format     string      `arg:"" help:"What it comes from: pass, gopass, sops, bitwarden, 1password, keepass, flat-json, kubernetes or ass."`
	Source     string      `arg:"" help:"File to read, or folder of a store; - is stdin."`
	Namespace  string      `short:"n" help:"Namespace to store all of it in." placeholder:"NS"`
	Map        []string    `help:"Give names another path: FROM=TO, in which * stands for any text; FROM= leaves them out, and @FILE has a rule a line. Can stand several times." placeholder:"RULE" sep:"none"`
	DryRun     bool        `help:"Show what would be done, but do nothing."`
	OnConflict string      `help:"If a secret exists with another value: update (the default), skip or error." placeholder:"ACT"`
	Tier       tokens.Tier `help:"standard, sensitive or critical; a new secret is standard, one that exists keeps its tier." placeholder:"TIER"`
	Type       string      `help:"Type of the secrets; without it, what the store says, or custom." placeholder:"TYPE"`
	asking
}

func (importCmd) Help() string {
	var b strings.Builder
	b.WriteString("All of it is stored, or nothing. The answer says what goes where, and what is not taken, and why.\n\n")
	for _, f := range stores.Formats {
		fmt.Fprintf(&b, "  %-10s  %s\n", f.Name, f.From)
	}
	b.WriteString("\nThe main value of an entry gets the entry's name, and its other fields lie below it. docs/import.md\n" +
		"says what each format gives, and what a name that is no path becomes.")
	return b.String()
}

func (c importCmd) Run(a *app) error {
	format, ok := stores.Named(c.Format)
	if !ok {
		return usagef("the format must be one of %s", strings.Join(stores.Names(), ", ")).
			hint("for a .env file: ass env import FILE")
	}
	if c.OnConflict != "" && !slices.Contains(onConflict, c.OnConflict) {
		return usagef("--on-conflict must be update, skip or error")
	}
	if err := vault.CheckSet(nil, vault.SetOptions{Type: c.Type}); err != nil {
		return err
	}
	rules, err := c.rules(a)
	if err != nil {
		return err
	}
	ns, err := c.namespace(a, format)
	if err != nil {
		return err
	}
	m := storeImport{importCmd: c, format: format, ns: ns}
	if err := m.read(a, rules); err != nil {
		return err
	}
	o := vault.ImportOptions{Tier: c.Tier, Type: c.Type, OnConflict: c.OnConflict, DryRun: c.DryRun}
	if c.DryRun && !a.vaultIsThere() {
		done := make([]vault.Imported, len(m.items)) // all of them would be new
		for i := range done {
			done[i].Outcome, done[i].New = vault.ImportCreated, true
		}
		return m.report(a, done)
	}
	tiers := c.Tier != 0 || slices.ContainsFunc(m.items, func(i vault.Item) bool { return i.Tier != 0 })
	err = a.withSession(access{create: !c.DryRun, itself: tiers, progress: "importing"}, func(s *vault.Session) error {
		done, err := s.Import(ns, m.items, o)
		if err != nil {
			return err
		}
		return m.report(a, done)
	})
	if err == nil && !c.DryRun && format.Program == "" && c.Source != "-" {
		a.out.noteOf(sayf("%s still has the secrets in clear", c.Source).hint("remove it once you have looked at the import"))
	}
	return err
}

// namespace is where all of it goes. No .assrc decides that: it may come with a repository of somebody else.
func (c importCmd) namespace(a *app, format stores.Format) (tokens.Namespace, error) {
	named := a.namedNamespace(c.Namespace)
	if named == "" && format.Whole {
		return tokens.Namespace{}, nil // the root: the names are whole paths
	}
	if named == "" {
		named = a.getenv(namespaceVariable)
	}
	if named == "" {
		return tokens.Namespace{}, usagef("the import needs a namespace for all of it").
			hint("name it with --namespace NS")
	}
	return tokens.ParseNamespace(named)
}

// rules are those of --map.
func (c importCmd) rules(a *app) (rules []*stores.Rule, err error) {
	for _, text := range c.Map {
		lines := []string{text}
		file, isFile := strings.CutPrefix(text, "@")
		if isFile && !strings.Contains(text, "=") { // a name can begin with @, too
			b, err := readRules(a.at(file))
			if err != nil {
				return nil, err
			}
			lines = strings.Split(string(b), "\n")
		}
		for i, line := range lines {
			line = strings.TrimSuffix(line, "\r")
			if isFile && (strings.TrimSpace(line) == "" || line[0] == '#') {
				continue
			}
			rule, err := stores.ParseRule(line)
			switch {
			case err != nil && isFile:
				return nil, usagef("%s, line %d: %v", file, i+1, err)
			case err != nil:
				return nil, usagef("--map: %v", err)
			}
			rules = append(rules, rule)
		}
	}
	return rules, nil
}

func readRules(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return atMost(f, path)
}

// storeImport is an import from another store.
type storeImport struct {
	importCmd
	format  stores.Format
	ns      tokens.Namespace
	content *stores.Content
	paths   []tokens.Path
	items   []vault.Item // of the same places
}

// read reads all of the source, and checks it before a vault is made on the way.
func (m *storeImport) read(a *app, rules []*stores.Rule) error {
	name := m.Source
	if name == "-" {
		name = "stdin"
	}
	src, err := m.source(a)
	if err != nil {
		return err
	}
	if src.Root != nil {
		defer src.Root.Close()
	}
	bad := func(err error) error {
		var wrong *stores.Error
		if !errors.As(err, &wrong) {
			return err
		}
		return usagef("%s: %v; nothing was imported", name, err).hint("%s", wrong.Hint)
	}
	if m.content, err = m.format.Read(src); err != nil {
		return bad(err)
	}
	if m.paths, err = stores.Places(m.content, m.ns, rules); err != nil {
		return bad(err)
	}
	if len(m.paths) == 0 {
		return usagef("%s: nothing of it can be taken: %s", name, m.leftText())
	}
	m.items = make([]vault.Item, len(m.paths))
	for i, p := range m.paths {
		key := p.String()
		if above := m.ns.String(); above != "" {
			key = key[len(above)+1:]
		}
		item := m.content.Items[i]
		m.items[i] = vault.Item{Key: key, Value: item.Value, About: m.about(item)}
		if m.Tier == 0 {
			m.items[i].Tier = item.Tier
		}
		if m.Type == "" {
			m.items[i].Type = item.Type
		}
		if err := vault.CheckSet(item.Value, vault.SetOptions{Type: m.items[i].Type}); err != nil {
			return bad(&stores.Error{At: item.At, Problem: fmt.Sprintf("%s: %v", p, err)})
		}
	}
	return nil
}

// leftText says what was left of a source that gave nothing.
func (m *storeImport) leftText() string {
	const most = 3
	var said []string
	for _, l := range m.content.Left {
		if len(said) == most {
			return strings.Join(said, "; ") + fmt.Sprintf("; and %d more", len(m.content.Left)-most)
		}
		said = append(said, strings.TrimPrefix(l.Name+": "+l.Reason, ": "))
	}
	if len(said) == 0 {
		return "it has no values"
	}
	return strings.Join(said, "; ")
}

// about returns what is said of an item. It names what a vault cannot keep as not taken.
func (m *storeImport) about(item stores.Item) func(*vault.About) {
	var changes []func(*vault.About)
	take := func(what string, change func(*vault.About)) {
		if err := vault.CheckSet(nil, vault.SetOptions{About: change}); err != nil {
			_, why, _ := strings.Cut(err.Error(), ": ")
			m.content.Left = append(m.content.Left, stores.Left{Name: item.FullName(), Reason: what + ": " + why})
			return
		}
		changes = append(changes, change)
	}
	if item.Description != "" {
		take("its description", func(x *vault.About) { x.Description = item.Description })
	}
	if len(item.Tags) > 0 {
		take("its tags", func(x *vault.About) {
			x.Tags = map[string]string{}
			for name, value := range item.Tags {
				x.Tags[tagName(name)] = value
			}
		})
	}
	if len(item.Meta) > 0 {
		take("what else is said of it", func(x *vault.About) { x.Metadata = item.Meta })
	}
	if !item.Expires.IsZero() {
		take("when it expires", func(x *vault.About) { x.ExpiresAt = &item.Expires })
	}
	if item.RotateEvery != 0 {
		take("how often it is rotated", func(x *vault.About) { x.RotateEvery = item.RotateEvery })
	}
	return allOf(changes)
}

// tagName puts a hyphen in the place of what the name of a tag cannot have: other stores allow spaces, for example.
func tagName(name string) string {
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' ||
			strings.ContainsRune("-_.", r)) {
			return r
		}
		return '-'
	}, name)
}

// source opens what is to be read.
func (m *storeImport) source(a *app) (src stores.Source, err error) {
	if m.format.Program != "" {
		if src.Run, err = a.runnerOf(m.format); err != nil {
			return src, err
		}
	}
	switch {
	case m.Source == "":
		return src, usagef("the name of the source is empty")
	case m.Source == "-" && m.format.Folder:
		return src, usagef("the format %s reads a folder, and stdin is none", m.format.Name)
	case m.Source == "-":
		if err := a.stdinIsFree(); err != nil {
			return src, err
		}
		src.Bytes, err = atMost(a.in, "stdin")
		return src, err
	}
	info, err := os.Stat(a.at(m.Source))
	switch {
	case err != nil:
		return src, err
	case info.IsDir() && !m.format.Folder:
		return src, usagef("%s is a folder, and the format %s reads a file: %s", m.Source, m.format.Name, m.format.From)
	case !info.IsDir() && m.format.Folder:
		return src, usagef("%s is no folder, and the format %s reads %s", m.Source, m.format.Name, m.format.From)
	case info.IsDir():
		src.Root, err = os.OpenRoot(a.at(m.Source))
		return src, err
	}
	src.Name = filepath.Base(m.Source)
	src.Bytes, err = a.readEnvFile(m.Source)
	return src, err
}

// runnerOf returns what runs the program of a format. The program gets the environment of this
// process without what ass reads: credentials and places of a vault are not its business.
func (a *app) runnerOf(format stores.Format) (func([]byte, ...string) ([]byte, error), error) {
	program, err := a.lookPath(format.Program)
	if err != nil {
		return nil, failf("the format %s needs the program %s, which is not on the PATH", format.Name, format.Program).
			hint("install %s", format.Package)
	}
	var env []string
	for _, pair := range a.env {
		if !strings.HasPrefix(strings.ToUpper(pair), "ASS_") {
			env = append(env, pair)
		}
	}
	if a.getenv("GPG_TTY") == "" && a.interactive() { // where gpg asks for its passphrase
		if tty, err := os.Readlink("/proc/self/fd/0"); err == nil && strings.HasPrefix(tty, "/dev/") {
			env = append(env, "GPG_TTY="+tty)
		}
	}
	if a.process {
		process.KeepDescriptors()
	}
	return func(input []byte, args ...string) ([]byte, error) {
		cmd := exec.Command(program, args...)
		cmd.Env, cmd.Dir, cmd.Stdin = env, a.dir, bytes.NewReader(input)
		out, said := limited{most: 64 << 20}, limited{most: 64 << 10, cut: true}
		cmd.Stdout, cmd.Stderr = &out, &said
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("%s cannot decrypt it: %s", format.Program, orElse(complaint(string(said.b)), err.Error()))
		}
		return out.b, nil
	}, nil
}

// limited keeps what is written. When that is too much, it fails, or keeps no more.
type limited struct {
	b    []byte
	most int
	cut  bool
}

func (l *limited) Write(b []byte) (int, error) {
	if left := l.most - len(l.b); len(b) > left {
		if !l.cut {
			return 0, io.ErrShortWrite
		}
		l.b = append(l.b, b[:left]...)
		return len(b), nil
	}
	l.b = append(l.b, b...)
	return len(b), nil
}

// complaint is the line of an output that says most: of gpg the last one, of sops the first one.
func complaint(said string) string {
	const longest = 300
	var lines []string
	for line := range strings.SplitSeq(said, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return ""
	}
	line := lines[0]
	if last := lines[len(lines)-1]; strings.HasPrefix(last, "gpg: ") {
		line = last
	}
	if len(line) > longest {
		line = strings.ToValidUTF8(line[:longest], "") + "…"
	}
	return line
}

func (m *storeImport) report(a *app, done []vault.Imported) error {
	answer := storeImportResult{DryRun: m.DryRun, Format: m.format.Name, Items: []importedItem{}, Namespace: m.ns.String(),
		Notes: []string{}, NotTaken: []notTaken{}}
	var rows [][]cell
	for i, d := range done {
		item, path := m.content.Items[i], m.paths[i].String()
		if d.Written() {
			answer.Imported++
		} else {
			answer.Skipped++
		}
		answer.Items = append(answer.Items, importedItem{Name: item.FullName(), Outcome: d.Outcome, Path: path})
		was := cell{}
		if below := m.items[i].Key; below != item.FullName() {
			was = cell{"was " + item.FullName(), dim}
		}
		rows = append(rows, []cell{{path, ""}, {d.Outcome, dim}, {hint(item.Value), dim}, was})
	}
	for _, l := range m.content.Left {
		answer.NotTaken = append(answer.NotTaken, notTaken(l))
		rows = append(rows, []cell{{orElse(l.Name, "-"), ""}, {"not taken", yellow}, {}, {l.Reason, ""}})
	}
	for _, n := range m.content.Notes {
		answer.Notes = append(answer.Notes, onOneLine(n.Text, n.Hint))
	}
	where := "the namespaces that they came from"
	if m.ns != (tokens.Namespace{}) {
		where = m.ns.String()
	}
	if !m.DryRun && answer.Imported > 0 {
		a.changed("%s imported to %s", pluralOf(answer.Imported, "secret is", "secrets are"), where)
	}
	if a.JSON {
		return a.out.json(answer)
	}
	a.out.table(rows, paths)
	for _, note := range m.content.Notes {
		a.out.noteOf(sayf("%s", note.Text).hint("%s", note.Hint))
	}
	rest := ""
	if answer.Skipped > 0 {
		rest = fmt.Sprintf(" (%d left as they were)", answer.Skipped)
	}
	if n := len(m.content.Left); n > 0 {
		rest += fmt.Sprintf("; %s not taken", plural(n, "thing"))
	}
	if m.DryRun {
		a.out.note("this would import %s to %s%s", plural(answer.Imported, "secret"), where, rest)
		return nil
	}
	a.out.done("Imported %s to %s%s", plural(answer.Imported, "secret"), where, rest)
	return nil
}
