package commands

import (
	"context"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"ass/commands/internal/leaks"
	"ass/commands/internal/redact"
	"ass/tokens"
	"ass/vault"
)

type leaksGroup struct {
	Scan leaksScan `cmd:"" help:"Look for the vault's values in files, git and transcripts; exit code 9 if one is there."`
	Of   leaksOf   `cmd:"" help:"Say who has read a secret, where its value is, and what to do."`
}

type leaksScan struct {
	Dir         []string `arg:"" optional:"" help:"Folder or file to look at; the working folder if omitted." placeholder:"DIR"`
	Git         bool     `help:"Look at the whole history of the git repository instead, whatever its branch."`
	Staged      bool     `help:"Look at what is staged in git instead, as a pre-commit hook does."`
	Transcripts bool     `help:"Look at what agent programs wrote down in their usual folders instead."`
	Files       bool     `help:"Look at the files as well."`
	Versions    bool     `help:"Look for all versions of each secret, not only for the current one."`
	Namespace   []string `short:"n" help:"Only the secrets in this namespace and below it; can stand several times." placeholder:"NS" sep:"none"`
	logging
}

func (leaksScan) Help() string {
	return `A scanner guesses by patterns; a vault knows its values. Each value of 8 bytes and more
is looked for, as it is and in base64, hex, UTF-16, URL and JSON escapes: what opens without an
approval, and is no setting (as for ass run). It names the place and the
secret, and never shows the value. Exit code 9 if something is found, 0 if nothing is, and 1
if something could not be looked at.

A pre-commit hook is one line:  exec ass leaks scan --staged`
}

// leakPlaces are where a scan looks.
type leakPlaces struct {
	files   []leaks.Root
	git     []leaks.Git
	agents  []leaks.Root
	named   []string // the agent programs
	skipped []fs.FileInfo
}

func (c leaksScan) Run(a *app) error {
	a.unlogged = c.Unlogged
	var namespaces []tokens.Namespace
	for _, text := range c.Namespace {
		ns, err := tokens.ParseNamespace(trimNamespace(text))
		if err != nil {
			return err
		}
		namespaces = append(namespaces, ns)
	}
	if len(namespaces) == 0 {
		namespaces = []tokens.Namespace{{}}
	}
	at, err := c.places(a)
	if err != nil {
		return err
	}
	sought, err := c.read(a, namespaces)
	if err != nil {
		return err
	}
	defer sought.finder.Wipe()
	return c.scan(a, at, sought)
}

// places finds where to look, before anything is read from the vault.
func (c leaksScan) places(a *app) (at leakPlaces, err error) {
	dirs := c.Dir
	if len(dirs) > 0 && c.Transcripts && !c.Files && !c.Git && !c.Staged {
		return at, usagef("--transcripts looks into the usual folders of agent programs, and not into %s", dirs[0]).
			hint("to look there as well, add --files")
	}
	if len(dirs) == 0 {
		dirs = []string{"."}
	}
	for _, dir := range dirs {
		if dir == "" {
			return at, usagef("the name of a folder is empty")
		}
		if _, err := os.Stat(a.at(dir)); err != nil {
			return at, err
		}
	}
	if c.Files || !c.Git && !c.Staged && !c.Transcripts {
		for _, dir := range dirs {
			name := filepath.Clean(dir)
			if name == "." {
				name = ""
			}
			if slices.ContainsFunc(at.files, func(r leaks.Root) bool { return r.Name == name }) {
				continue
			}
			at.files = append(at.files, leaks.Root{Path: a.at(dir), Name: name})
		}
	}
	if c.Git || c.Staged {
		program, err := a.lookPath("git")
		if err != nil {
			return at, errorf(errNoProgram, "there is no git on PATH, which --git and --staged need")
		}
		var folders []string
		ofCommit := a.getenv("GIT_INDEX_FILE") == ""
		for _, dir := range dirs {
			g, folder, err := a.repository(program, dir)
			if err != nil {
				return at, err
			}
			ofCommit = ofCommit || a.hooksIndex(folder) != ""
			if !slices.Contains(folders, folder) {
				folders, at.git = append(folders, folder), append(at.git, g)
			}
		}
		if c.Staged && !ofCommit { // a hook that looks at another repository than git commits to finds nothing
			return at, failf("GIT_INDEX_FILE names what is staged in another repository").
				hint(`in a hook, name that one: ass leaks scan --staged "$GIT_DIR"`)
		}
	}
	if c.Transcripts {
		wd, err := a.workingDir()
		if err != nil {
			return at, err
		}
		at.agents, at.named = leaks.Agents(a.getenv, a.home(), wd)
	}
	if cfg, err := a.loadConfig(); err == nil {
		if vault, err := a.locate(cfg); err == nil { // its values are sealed
			if info, err := os.Stat(vault.path); err == nil {
				at.skipped = append(at.skipped, info)
			}
		}
	}
	return at, nil
}

// repository returns how git is started for the repository that holds a folder, and where git keeps that.
func (a *app) repository(program, dir string) (g leaks.Git, folder string, err error) {
	path := a.at(dir)
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		path = filepath.Dir(path)
	}
	var more []string
	if isBare(path) { // it is named, so git may take it; --git-dir would do without git's question whose it is
		more = []string{"-c", "safe.bareRepository=all"}
	}
	index := ""
	g.Command = func(args ...string) *exec.Cmd {
		cmd := a.gitCommand(context.Background(), program, path, append(slices.Clone(more), args...)...)
		cmd.Env = append(cmd.Env, "GIT_NO_REPLACE_OBJECTS=1", "LC_ALL=C")
		if index != "" {
			cmd.Env = append(cmd.Env, "GIT_INDEX_FILE="+index)
		}
		return cmd
	}
	if folder, err = g.Folder(); err != nil {
		hint := "name a folder of a git repository"
		if strings.Contains(err.Error(), "ownership") {
			hint = "if you trust its owner, add it to safe.directory in git's configuration"
		}
		return g, "", failf("%s: %v", dir, err).hint("%s", hint)
	}
	index = a.hooksIndex(folder)
	return g, folder, nil
}

// isBare reports whether a folder looks like a repository without a working folder. One that has a .git is that
// repository's working folder, whatever else it has: so git sees it, and a commit there goes to that one.
func isBare(path string) bool {
	if _, err := os.Lstat(filepath.Join(path, ".git")); err == nil {
		return false
	}
	for _, name := range []string{"HEAD", "objects", "refs"} {
		if _, err := os.Lstat(filepath.Join(path, name)); err != nil {
			return false
		}
	}
	return true
}

// hooksIndex returns the index that git made for the commit whose hook this is: git commit -a and git commit FILE have
// one of their own, which GIT_INDEX_FILE names. It counts only if it lies where git keeps this repository.
func (a *app) hooksIndex(folder string) string {
	index := a.getenv("GIT_INDEX_FILE")
	if index == "" {
		return ""
	}
	index, err := filepath.Abs(a.at(index))
	if err != nil {
		return ""
	}
	in, err := os.Stat(filepath.Dir(index))
	if err != nil {
		return ""
	}
	if of, err := os.Stat(folder); err != nil || !os.SameFile(in, of) {
		return ""
	}
	return index
}

// sought is what a scan looks for.
type sought struct {
	finder  *redact.Finder
	secrets []vault.Secret // by their numbers in the finder, without values
	left    leaksLeftOut
}

// read reads the values that open without an approval, in one transaction, and wipes them.
func (c leaksScan) read(a *app, namespaces []tokens.Namespace) (*sought, error) {
	var values []vault.Value
	x := &sought{}
	err := a.withSession(access{}, func(s *vault.Session) (err error) {
		a.manyRecords()
		for _, ns := range namespaces {
			if err := s.MayList(ns); err != nil {
				return err
			}
		}
		values, x.left.Approval, err = s.GetStanding(namespaces, c.Versions)
		return err
	})
	if err != nil {
		return nil, err
	}
	var secrets []redact.Secret
	for i, v := range values {
		older := false // an older version with the same value
		for j := i - 1; j >= 0 && values[j].Path == v.Path; j-- {
			older = older || string(values[j].Value) == string(v.Value)
		}
		if older {
			continue
		}
		secrets = append(secrets, redact.Secret{Key: v.Path.Key(), Value: v.Value})
		x.secrets = append(x.secrets, v.Secret)
	}
	var left []redact.Left
	x.finder, left = redact.NewFinder(secrets)
	for _, v := range values {
		clear(v.Value)
	}
	for _, why := range left {
		switch why {
		case redact.Short:
			x.left.Short++
		case redact.Config:
			x.left.Settings++
		default:
			x.left.sought++
		}
	}
	if x.left.sought == 0 {
		return nil, errorf(vault.ErrNotFound, "there is no value to look for%s", x.left.text()).
			hint("a scan looks for values of 8 bytes and more that open without an approval")
	}
	return x, nil
}

// text says how many values are not looked for, and why; "" if there are none.
func (l leaksLeftOut) text() string {
	var why []string
	for _, x := range []struct {
		n         int
		one, many string
	}{{l.Approval, "needs approval", "need approval"}, {l.Short, "is too short", "are too short"},
		{l.Settings, "is a setting", "are settings"}} {
		if x.n > 0 {
			why = append(why, fmt.Sprintf("%d %s", x.n, map[bool]string{true: x.one, false: x.many}[x.n == 1]))
		}
	}
	if len(why) == 0 {
		return ""
	}
	return fmt.Sprintf("; %d not: %s", l.Approval+l.Short+l.Settings, strings.Join(why, ", "))
}

// scan looks, and prints what it finds.
func (c leaksScan) scan(a *app, at leakPlaces, x *sought) error {
	result := leaksResult{Findings: []leakJSON{}, Values: x.left.sought, LeftOut: x.left, Unseen: []leaksUnseen{}}
	s := &leaks.Scan{Finder: x.finder, Skip: at.skipped,
		Mark: func(secret int) string { return "[redacted:" + x.secrets[secret].Path.Key() + "]" }}
	end := a.out.counting(func() string {
		return fmt.Sprintf("looked at %s, %s", c.plural(int(s.Looked.Load())), size(s.Read.Load()))
	}, time.Second)
	found := 0
	s.Found = func(f leaks.Finding) {
		found += 1 + f.More
		if a.JSON {
			result.Findings = append(result.Findings, leakJSONOf(f, x.secrets[f.Secret]))
			return
		}
		end(false)
		a.out.write(a.leakLine(f, x.secrets[f.Secret]) + "\n")
	}
	s.Missed = func(name string, why error) {
		result.Unseen = append(result.Unseen, leaksUnseen{name, why.Error()})
		if len(result.Unseen) <= mostNamed {
			end(false)
			a.out.warn("%s: %v", name, why)
		}
	}
	if len(at.files) > 0 {
		s.Files(leaks.Files, at.files)
	}
	for _, g := range at.git {
		if c.Git {
			if err := s.History(g); err != nil {
				return err
			}
		}
		if c.Staged {
			if err := s.Staged(g); err != nil {
				return err
			}
		}
	}
	if len(at.agents) > 0 {
		s.Files(leaks.Transcripts, at.agents)
	}
	end(true)
	result.Files, result.Bytes, result.NotListed = s.Looked.Load(), s.Read.Load(), s.Beyond
	a.out.note("%s looked for in %s (%s)%s", plural(x.left.sought, "value"), c.plural(int(result.Files)), size(result.Bytes),
		x.left.text())
	switch {
	case c.Transcripts && len(at.named) == 0:
		a.out.note("no agent program has left transcripts in its usual folders")
	case c.Transcripts:
		a.out.note("these are the transcripts of %s: %s", plural(len(at.named), "program"), strings.Join(at.named, ", "))
	}
	found += s.Beyond
	if a.JSON {
		if err := a.out.json(result); err != nil {
			return err
		}
	}
	unseen := ""
	if n := len(result.Unseen); n > 0 {
		unseen = pluralOf(n, "place was not looked at", "places were not looked at")
	}
	switch {
	case found > 0:
		err := errorf(errFound, "values of the vault stand in %s", pluralOf(found, "place", "places"))
		if s.Beyond > 0 {
			err.text += fmt.Sprintf(", of which %d are not listed", s.Beyond)
		}
		if unseen != "" {
			err.text += "; " + unseen
		}
		return err.hint("whoever could read them has the values: rotate those secrets")
	case unseen != "":
		return failf("nothing was found, but %s", unseen).hint("see the warnings")
	}
	return nil
}

// plural says how much was looked at.
func (c leaksScan) plural(n int) string {
	if c.Git && !c.Files && !c.Transcripts && !c.Staged {
		return plural(n, "object")
	}
	return plural(n, "file")
}

// leakLine names a finding as compilers do: the place, and behind it the secret.
func (a *app) leakLine(f leaks.Finding, secret vault.Secret) string {
	place := visibleName(a.tilde(f.File))
	switch {
	case f.Commit != "":
		place = strings.TrimSuffix(f.Commit[:min(len(f.Commit), 12)]+":"+place, ":")
	case f.In == leaks.History:
		place = strings.TrimSuffix("object "+f.Object[:min(len(f.Object), 12)]+":"+place, ":")
	}
	if f.Line > 0 {
		place += fmt.Sprintf(":%d:%d", f.Line, f.Column)
	}
	how := f.Form
	switch {
	case f.What == leaks.Name:
		how += ", in a name"
	case f.What == leaks.Commit:
		how += ", in the commit itself"
	case f.What == leaks.Tag:
		how += ", in the tag itself"
	case f.In == leaks.History && f.Commit == "":
		how += ", in no commit that a branch or a tag has"
	case f.In == leaks.Staged:
		how += ", staged"
	}
	if f.More > 0 {
		how += fmt.Sprintf(", and %d more there", f.More)
	}
	return fmt.Sprintf("%s: %s v%d (%s)", place, clean(secret.Path.String()), secret.Version, how)
}

// visibleName escapes in a name what a terminal does not show as itself, and what would end the line.
func visibleName(name string) string {
	return strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(string(visible([]byte(name))))
}

func leakJSONOf(f leaks.Finding, secret vault.Secret) leakJSON {
	x := leakJSON{In: f.In, What: orElse(f.What, "content"), File: nullable(f.File), Commit: nullable(f.Commit),
		Object: nullable(f.Object), Path: secret.Path.String(), Version: secret.Version, Form: f.Form, More: f.More}
	if f.Line > 0 {
		x.Line, x.Column, x.Offset = &f.Line, &f.Column, &f.Offset
	}
	if !utf8.ValidString(f.File) {
		x.FileBase64 = base64.StdEncoding.EncodeToString([]byte(f.File))
	}
	return x
}
