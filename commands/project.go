package commands

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"ass/tokens"
	"ass/vault/disk"
)

// projectFile is what `ass init` writes into a project. It may come with a repository
// that others wrote, so it can name a namespace and nothing else: no vault, no
// credential, no profile.
const projectFile = ".assrc"

type project struct {
	Namespace string `json:"namespace"`
	Version   int    `json:"version"`
}

// findProject looks for a project file in the working folder and the folders above it.
// It returns the path, the raw content and the parsed project; the path is "" if there
// is no file.
//
// As with git's safe.directory, a file that another user could have put there, say in
// /tmp, does not decide where secrets go: it is an error. If ass runs as root, or if
// root owns the file, the file counts, and a note names it.
func (a *app) findProject() (path string, content []byte, p project, err error) {
	dir, err := a.workingDir()
	if err != nil {
		return "", nil, p, err
	}
	for {
		path = filepath.Join(dir, projectFile)
		var by disk.Access
		content, by, err = readWithAccess(path, 64<<10)
		switch {
		case err == nil && (by.Stranger || by.Mode.Perm()&0o002 != 0):
			return path, content, p, usagef("%s belongs to another user or is writable by everyone, so it is not used",
				path).
				hint("name a namespace with --namespace or ASS_NAMESPACE")
		case err == nil:
			if json.Unmarshal(content, &p) != nil {
				return path, content, p, usagef(`%s is not the JSON that ass init writes, {"namespace":"…","version":1}`, path)
			}
			if p.Version != 1 {
				return path, content, p, usagef("%s has version %d, and this program knows version 1", path, p.Version)
			}
			if _, err := tokens.ParseNamespace(p.Namespace); err != nil {
				return path, content, p, usagef("%s: %v", path, err)
			}
			if by.Another {
				a.out.note("the namespace %s comes from %s, which belongs to another user", p.Namespace, path)
			}
			return path, content, p, nil
		case errors.Is(err, fs.ErrNotExist):
		case errors.Is(err, fs.ErrPermission) && !isThere(path): // the folder cannot be searched
		default:
			return path, content, p, err
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", nil, p, nil
		}
		dir = parent
	}
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// chosenNamespace is a namespace, and what chose it.
type chosenNamespace struct {
	ns      tokens.Namespace
	from    namespaceSource
	file    string // the project file, if that chose it
	content []byte // of that file
}

type namespaceSource int

const (
	fromFlag     namespaceSource = iota // the command line
	fromVariable                        // ASS_NAMESPACE
	fromProject                         // .assrc
	fromNowhere                         // "default"
)

const namespaceVariable = "ASS_NAMESPACE"

// namedNamespace returns the value of --namespace if the command line has it, else "".
// Kong passes ASS_NAMESPACE on as the flag, but that variable counts after the flag.
func (a *app) namedNamespace(flag string) string {
	if a.namespaceGiven {
		return flag
	}
	return ""
}

// namedOnce returns the namespace of an argument or of --namespace. If both name one,
// they must agree.
func (a *app) namedOnce(arg, flag string) (string, error) {
	if flag = a.namedNamespace(flag); arg != "" && flag != "" && arg != flag {
		return "", usagef("give the namespace once: as an argument or with --namespace")
	}
	return orElse(arg, flag), nil
}

// chooseNamespace finds the namespace of a command, and of secrets named without a
// slash. It takes what the command line names, else ASS_NAMESPACE, else the project's,
// else "default". It reads the project file once per run, so that all names in a
// template lie in one namespace.
func (a *app) chooseNamespace(named string) (c chosenNamespace, err error) {
	if named != "" {
		c.ns, err = tokens.ParseNamespace(named)
		return c, err
	}
	if a.chosen != nil {
		return *a.chosen, nil
	}
	c.from = fromVariable
	if text := a.getenv(namespaceVariable); text != "" {
		if c.ns, err = tokens.ParseNamespace(text); err != nil {
			err = usagef("%s: %v", namespaceVariable, err)
		}
	} else if a.confined {
		c.from = fromNowhere
		c.ns, err = tokens.ParseNamespace("default")
	} else {
		var p project
		c.from = fromProject
		if c.file, c.content, p, err = a.findProject(); c.file == "" {
			c.from, p.Namespace = fromNowhere, "default"
		}
		if err == nil {
			c.ns, err = tokens.ParseNamespace(p.Namespace)
		}
	}
	if err == nil {
		a.chosen = &c
	}
	return c, err
}

// defaultNamespace is chooseNamespace without the source.
func (a *app) defaultNamespace(named string) (tokens.Namespace, error) {
	c, err := a.chooseNamespace(named)
	return c.ns, err
}

type initCmd struct {
	Namespace string `short:"n" help:"Default namespace for this project." placeholder:"NS"`
	Trust     bool   `help:"Trust the .assrc that is here, or in a folder above, though you did not write it."`
	Force     bool   `help:"With --trust, skip the confirmation."`
}

func (c initCmd) Help() string {
	return `Writes .assrc into the working folder, and in a git repository into .gitignore there. Names of
secrets without a slash then lie in that namespace, here and in every folder below, and
ass run and ass env export hand that namespace over.

An .assrc that came with a repository may be a stranger's: it hands over nothing until
you trust it, as it is then, with --trust.`
}

func (c initCmd) Run(a *app) error {
	if c.Trust {
		return c.trust(a)
	}
	if c.Namespace == "" && a.interactive() {
		answer, err := a.ask("Default namespace for this project [default]: ")
		if err != nil {
			return err
		}
		c.Namespace = answer
	}
	if c.Namespace == "" {
		c.Namespace = "default"
	}
	ns, err := tokens.ParseNamespace(c.Namespace)
	if err != nil {
		return err
	}
	content, err := json.Marshal(project{Namespace: ns.String(), Version: 1})
	if err != nil {
		return err
	}
	content = append(content, '\n')
	created, err := a.createProject(content)
	if err != nil {
		return err
	}
	trusted, err := a.trust(projectFile, content)
	if trusted && !created && err == nil && !a.JSON {
		a.out.note("%s is now trusted: ass run and ass env export hand over the namespace %s here", projectFile, ns)
	}
	if err != nil {
		a.out.warn("%s exists, but could not be recorded as trusted: %v", projectFile, err)
	}
	ignored, err := a.ignoreProject()
	if err != nil {
		return err
	}
	if created {
		a.changed("%s is created", projectFile)
	}
	return a.answer(initResult{Namespace: ns.String(), Path: projectFile, Created: created,
		Ignored: ignored}, func() {
		if created {
			a.out.done("Created %s in current directory", projectFile)
		} else {
			a.out.done("%s is already in current directory", projectFile)
		}
		if ignored {
			a.out.done("Added %s to .gitignore", projectFile)
		}
	})
}

// trust trusts the project file that findProject finds, after showing what it says.
func (c initCmd) trust(a *app) error {
	if a.namedNamespace(c.Namespace) != "" {
		return usagef("--trust uses the namespace in .assrc").
			hint("leave --namespace out")
	}
	path, content, p, err := a.findProject()
	if err != nil {
		return err
	}
	if path == "" {
		return usagef("no .assrc to trust here or in a folder above").
			hint("create one with: ass init --namespace NS")
	}
	already, _, err := a.isTrusted(path, content)
	if err != nil {
		return err
	}
	if !already {
		a.out.note("with %s, ass run and ass env export hand over the namespace %s here", path, p.Namespace)
		if err := a.confirm(c.Force, "Trust this file as it is?"); err != nil {
			return err
		}
		if _, err := a.trust(path, content); err != nil {
			return err
		}
	}
	a.changed("%s is trusted", path)
	return a.answer(trustResult{Namespace: p.Namespace, Path: path, Trusted: true}, func() {
		a.out.done("Trusted %s: namespace %s", path, p.Namespace)
	})
}

// createProject writes the project file. It leaves an existing one alone, and returns
// an error if that one says something else.
func (w *world) createProject(content []byte) (created bool, err error) {
	err = w.writeNew(w.at(projectFile), content, 0o644)
	if errors.Is(err, fs.ErrExist) {
		old, err := readSmall(w.at(projectFile), 64<<10)
		if err != nil {
			return false, err
		}
		if string(old) != string(content) {
			return false, failf("%s already exists with other content", projectFile).
				hint("edit or remove it")
		}
		return false, nil
	}
	return err == nil, err
}

// ignoreProject adds the project file to the .gitignore in this folder. If there is
// none, it makes one in a git repository, and does nothing elsewhere.
func (w *world) ignoreProject() (added bool, err error) {
	old, err := readSmall(w.at(".gitignore"), 1<<20)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !w.inGitRepository():
		return false, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("%s was created but could not be added to .gitignore: %w", projectFile, err)
	}
	for _, line := range splitLines(string(old)) {
		if line == projectFile || line == "/"+projectFile {
			return false, nil
		}
	}
	line := projectFile + "\n"
	if n := len(old); n > 0 && old[n-1] != '\n' {
		line = "\n" + line
	}
	if errors.Is(err, fs.ErrNotExist) {
		return true, w.writeNew(w.at(".gitignore"), []byte(line), 0o644)
	}
	f, err := disk.Append(w.at(".gitignore"))
	if err != nil {
		return false, err
	}
	_, err = f.WriteString(line)
	return true, errors.Join(err, f.Close())
}

func (w *world) inGitRepository() bool {
	dir, err := w.workingDir()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil {
			return true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			break
		}
		dir = parent
	}
	return false
}

func splitLines(text string) []string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return lines
}
