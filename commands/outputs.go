package commands

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ass/vault/disk"
)

// Files that a command writes for a person: an export, a filled template. One that ass
// did not write is not overwritten unasked; ass remembers those that it wrote, as they
// were then.

// writtenFile is a file as ass wrote it. It has no sum over the content, from which a value
// could be guessed.
type writtenFile struct {
	Size    int64 `json:"size"`
	ModTime int64 `json:"mtime"` // Unix nanoseconds
}

// writtenFiles are those that ass wrote, by their absolute paths.
type writtenFiles map[string]writtenFile

func (w *world) writtenPath() (string, error) {
	dir, err := w.stateDir()
	return filepath.Join(dir, "outputs.json"), err
}

// loadWritten reads the memory. When it cannot be read, it counts as empty, and ass asks.
func (w *world) loadWritten() writtenFiles {
	var files writtenFiles
	if path, err := w.writtenPath(); err == nil {
		if b, err := readOwn(path, 1<<20); err != nil || json.Unmarshal(b, &files) != nil {
			files = nil
		}
	}
	if files == nil { // null is JSON too
		files = writtenFiles{}
	}
	return files
}

// asWritten reports whether a file is as ass wrote it.
func (w writtenFiles) asWritten(path string, info fs.FileInfo) bool {
	was, known := w[path]
	return known && was == writtenFile{info.Size(), info.ModTime().UnixNano()}
}

// mayOverwrite asks before a file is overwritten that ass did not write, or that was
// changed since. An empty file holds nothing that could be lost.
func (a *app) mayOverwrite(path string, force bool) error {
	if a.confined {
		if err := a.isNotOurs(path); err != nil {
			return err
		}
	}
	info, err := os.Lstat(a.at(path))
	if errors.Is(err, fs.ErrNotExist) || force {
		return nil
	}
	if err == nil {
		err = disk.CheckRegular(a.at(path))
	}
	if err != nil {
		return err
	}
	whole, err := a.abs(path)
	if err != nil {
		return err
	}
	if info.Size() == 0 || a.loadWritten().asWritten(whole, info) {
		return nil
	}
	if !a.interactive() {
		return usagef("%s already exists, and ass did not write it or it was changed since", path).
			hint("to overwrite it: --force")
	}
	return a.confirm(false, fmt.Sprintf("%s already exists, and ass did not write it or it was changed since. "+
		"Overwrite it?", path))
}

// isNotOurs refuses a file that ass reads: whoever chooses what is in it chooses what ass does, and
// an error about it could repeat a value.
func (a *app) isNotOurs(path string) error {
	whole, err := a.realPath(path)
	if err != nil {
		return err
	}
	parts := strings.Split(strings.ToLower(filepath.ToSlash(whole)), "/")
	if parts[len(parts)-1] == projectFile {
		return usagef("%s is a file that ass reads itself, so nothing is written there", path)
	}
	for _, folder := range []func() (string, error){a.configDir, a.dataDir, a.stateDir, a.runtimeFolder} {
		dir, err := folder()
		if err != nil {
			continue
		}
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			dir = real
		}
		ours := strings.Split(strings.ToLower(filepath.ToSlash(dir)), "/")
		if len(parts) > len(ours) && slices.Equal(parts[:len(ours)], ours) {
			return usagef("%s is in a folder of ass itself, so nothing is written there", path)
		}
	}
	return nil
}

// writeOutput replaces a file, and remembers that ass wrote it. When that cannot be
// remembered, ass asks the next time.
func (a *app) writeOutput(path string, content []byte) error {
	if err := a.writePrivate(a.at(path), content); err != nil {
		return err
	}
	_ = a.remember(path)
	return nil
}

func (a *app) remember(path string) error {
	whole, err := a.abs(path)
	if err != nil {
		return err
	}
	memory, err := a.writtenPath()
	if err != nil {
		return err
	}
	release, err := a.lockOwn(memory)
	if err != nil {
		return err
	}
	defer release()
	files := a.loadWritten()
	for name := range files { // those that are gone or changed are of no use
		if info, err := os.Lstat(name); err != nil || !files.asWritten(name, info) {
			delete(files, name)
		}
	}
	info, err := os.Lstat(whole)
	if err != nil {
		return err
	}
	files[whole] = writtenFile{info.Size(), info.ModTime().UnixNano()}
	b, err := json.Marshal(files)
	if err != nil {
		return err
	}
	return a.writePrivate(memory, append(b, '\n'))
}
