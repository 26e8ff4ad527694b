package commands

import (
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
)

// A project file may come from a stranger, with a repository. It still completes flat
// names, but it hands over no whole namespace until the person trusts it. Trust is for
// one path and one content, and is remembered outside of the project.

// trusted maps the paths of the trusted project files to their contents.
type trusted map[string]string

// longestTrusted is the largest size of a trusted project file, in bytes.
const longestTrusted = 4 << 10

func (w *world) trustedPath() (string, error) {
	dir, err := w.configDir()
	return filepath.Join(dir, "trusted.json"), err
}

func (w *world) loadTrusted() (trusted, error) {
	path, err := w.trustedPath()
	if err != nil {
		return nil, err
	}
	t := trusted{}
	b, err := readOwn(path, 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err == nil && (json.Unmarshal(b, &t) != nil || t == nil) {
		err = failf("%s is not valid JSON as ass writes it", path).
			hint("remove it, and trust projects again with: ass init --trust")
	}
	return t, err
}

// realPath returns the absolute path, with the links in its folder resolved. So it is
// the same, however a person got there.
func (w *world) realPath(path string) (string, error) {
	path, err := w.abs(path)
	if err != nil {
		return "", err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	return filepath.Join(dir, filepath.Base(path)), err
}

// isTrusted reports whether a project file is trusted with this content (is), or was
// trusted with another content (was).
func (w *world) isTrusted(path string, content []byte) (is, was bool, err error) {
	t, err := w.loadTrusted()
	if err != nil {
		return false, false, err
	}
	path, err = w.realPath(path)
	known, there := t[path]
	is = err == nil && there && known == string(content)
	return is, there && !is, err
}

// trust remembers a project file with its content. It reports whether this is new.
func (a *app) trust(path string, content []byte) (isNew bool, err error) {
	if len(content) > longestTrusted {
		return false, usagef("%s is larger than %s, so it is not trusted", path, size(longestTrusted))
	}
	if path, err = a.realPath(path); err != nil {
		return false, err
	}
	memory, err := a.trustedPath()
	if err != nil {
		return false, err
	}
	release, err := a.lockOwn(memory)
	if err != nil {
		return false, err
	}
	defer release()
	t, err := a.loadTrusted()
	if err != nil || t[path] == string(content) {
		return false, err
	}
	t[path] = string(content)
	b, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return false, err
	}
	return true, a.writePrivate(memory, append(b, '\n'))
}

// mayHandOver returns an error if the namespace to hand over comes from a project file
// that is not trusted. byName is the command that names the namespace instead.
func (a *app) mayHandOver(chosen chosenNamespace, byName string) error {
	if chosen.from != fromProject {
		return nil
	}
	ok, was, err := a.isTrusted(chosen.file, chosen.content)
	if err != nil || ok {
		return err
	}
	why := "may be a stranger's and is not trusted yet"
	if was {
		why = "has changed since you trusted it"
	}
	return usagef("the namespace %s comes from %s, which %s, so nothing is handed over", chosen.ns, chosen.file, why).
		hint("name the namespace: %s; or trust the file: ass init --trust", byName)
}
