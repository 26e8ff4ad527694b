package commands

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"ass/tokens"
	"ass/vault"
)

// projectFile is what `ass init` writes into a project. It comes with
// repositories that others wrote, so it can name a namespace and nothing else:
// no vault, no credential, no profile.
const projectFile = ".assrc"

type project struct {
	Namespace string `json:"namespace"`
	Version   int    `json:"version"`
}

// findProject looks for a project file in the working folder and above it. It
// returns "" where there is none.
//
// As with git's safe.directory, one that another user could have put there, say in
// /tmp, does not decide where secrets go. To root, it is named.
func (a *app) findProject() (path string, p project, err error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", p, err
	}
	for {
		path = filepath.Join(dir, projectFile)
		b, info, err := readAndStat(path, 64<<10)
		switch {
		case err == nil && (ofStranger(info) || runtime.GOOS != "windows" && info.Mode().Perm()&0o002 != 0):
			return path, p, usagef("%s belongs to another user, or can be written by all, so it decides no namespace; name one with --namespace or ASS_NAMESPACE", path)
		case err == nil:
			if json.Unmarshal(b, &p) != nil {
				return path, p, usagef(`%s is not the JSON that ass init writes, {"namespace":"…","version":1}`, path)
			}
			if p.Version != 1 {
				return path, p, usagef("%s is of version %d and this program knows version 1", path, p.Version)
			}
			if _, err := tokens.ParseNamespace(p.Namespace); err != nil {
				return path, p, usagef("%s: %v", path, err)
			}
			if ofAnother(info) {
				a.out.note("the namespace %s is that of %s, which belongs to another user", p.Namespace, path)
			}
			return path, p, nil
		case errors.Is(err, fs.ErrNotExist):
		case errors.Is(err, fs.ErrPermission) && !isThere(path): // the folder cannot be looked into
		default:
			return path, p, err
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", p, nil
		}
		dir = parent
	}
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// defaultNamespace completes flat names of secrets: the flag or ASS_NAMESPACE,
// then the project's, then "default". The project's is read once in a run, so that
// all names in a template lie in one namespace.
func (a *app) defaultNamespace(flag string) (tokens.Namespace, error) {
	if flag != "" {
		return tokens.ParseNamespace(flag)
	}
	if a.projectNamespace != nil {
		return *a.projectNamespace, nil
	}
	name := "default"
	path, p, err := a.findProject()
	if err != nil {
		return tokens.Namespace{}, err
	}
	if path != "" {
		name = p.Namespace
	}
	ns, err := tokens.ParseNamespace(name)
	a.projectNamespace = &ns
	return ns, err
}

type initCmd struct {
	Namespace string `help:"Default namespace for this project." placeholder:"NS"`
}

func (c initCmd) Help() string {
	return `Writes .assrc into the working folder, and adds it to .gitignore there. Names of
secrets without a slash then lie in that namespace, here and in every folder below.`
}

func (c initCmd) Run(a *app) error {
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
	created, err := createProject(append(content, '\n'))
	if err != nil {
		return err
	}
	ignored, err := ignoreProject()
	if err != nil {
		return err
	}
	if a.JSON {
		return a.out.json(map[string]any{"namespace": ns.String(), "path": projectFile, "created": created, "ignored": ignored})
	}
	if created {
		a.out.done("Created %s in current directory", projectFile)
	} else {
		a.out.done("%s is already in current directory", projectFile)
	}
	if ignored {
		a.out.done("Added %s to .gitignore", projectFile)
	}
	return nil
}

// createProject writes the project file, and leaves alone one that is there.
func createProject(content []byte) (created bool, err error) {
	err = writeNew(projectFile, content, 0o644)
	if errors.Is(err, fs.ErrExist) {
		old, err := readSmall(projectFile, 64<<10)
		if err != nil {
			return false, err
		}
		if string(old) != string(content) {
			return false, fmt.Errorf("%s is here already and says something else; edit or remove it", projectFile)
		}
		return false, nil
	}
	return err == nil, err
}

// ignoreProject adds the project file to .gitignore: to the one that is here, or
// to a new one in a git repository.
func ignoreProject() (added bool, err error) {
	old, err := readSmall(".gitignore", 1<<20)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !inGitRepository():
		return false, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("%s was made, but not added to .gitignore: %w", projectFile, err)
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
		return true, writeNew(".gitignore", []byte(line), 0o644)
	}
	f, err := vault.AppendFile(".gitignore")
	if err != nil {
		return false, err
	}
	_, err = f.WriteString(line)
	return true, errors.Join(err, f.Close())
}

func inGitRepository() bool {
	dir, err := os.Getwd()
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
