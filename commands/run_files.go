package commands

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"ass/commands/internal/process"
)

// The files of ass run --file.

// checkPlaces refuses a link where something is. It first removes what killed runs have
// left.
func (c runCmd) checkPlaces(a *app) error {
	memory, disk := a.fileFolders()
	if len(c.File) > 0 {
		memory = append(memory, disk)
	}
	process.SweepFiles(memory...)
	places := map[string]binding{}
	for _, pair := range c.File {
		w, err := namedBy(a, "--file", pair)
		if err != nil {
			return err
		}
		if w.place == "" {
			continue
		}
		other, twice := places[w.place]
		if twice && (!other.sameName(w) || other.path != w.path) {
			return usagef("--file %s: %s is already the place of %s", w.name, w.place, other.name).
				hint("name another place")
		}
		if _, err := os.Lstat(w.place); err == nil {
			return usagef("--file %s: %s already exists", w.name, w.place).
				hint("remove it, or name another place")
		}
		places[w.place] = w
		if info, err := os.Stat(filepath.Dir(w.place)); err != nil || !info.IsDir() {
			return usagef("--file %s: there is no folder %s for the link", w.name, filepath.Dir(w.place))
		}
	}
	return nil
}

// fileFolders returns the folders in which --file may write: those that may be in memory,
// and the one on the disk.
func (a *app) fileFolders() (memory []string, disk string) {
	if dir := a.getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		memory = append(memory, dir)
	}
	if runtime.GOOS == "linux" {
		memory = append(memory, "/dev/shm")
	}
	for _, name := range []string{"TMPDIR", "TEMP", "TMP"} {
		if dir := a.getenv(name); dir != "" && (name == "TMPDIR" || runtime.GOOS == "windows") {
			return memory, a.at(dir)
		}
	}
	return memory, "/tmp"
}

// fileFolder returns a folder in memory for files with values or, if there is none and it may be, one on the disk.
func (a *app) fileFolder(mayBeOnDisk bool) (dir string, ok bool) {
	memory, onDisk := a.fileFolders()
	if dir, ok = process.MemoryFolder(memory...); !ok && mayBeOnDisk {
		return onDisk, true
	}
	return dir, ok
}

// writeFiles writes the files of --file, and puts their names into the environment.
func (c runCmd) writeFiles(a *app, child *child) (*process.Files, error) {
	if len(child.files) == 0 {
		return nil, nil
	}
	dir, ok := a.fileFolder(c.FileOnDisk)
	if !ok {
		return nil, usagef("--file needs a folder in memory, and neither XDG_RUNTIME_DIR nor /dev/shm is one here").
			hint("to let it write to the disk: --file-on-disk; to do without a file: --stdin or --env")
	}
	var files []process.File
	for i, file := range child.files {
		files = append(files, process.File{Name: file.name, Content: file.value, Place: child.places[i]})
	}
	written, err := process.WriteFiles(a.unfinished(), dir, files)
	if errors.Is(err, fs.ErrExist) {
		return nil, usagef("%v", err).
			hint("remove it, or name another place")
	}
	if err != nil {
		return nil, withRoom(err)
	}
	for i, file := range child.files {
		child.env = append(dropVariable(child.env, file.name), file.name+"="+orElse(child.places[i], written.Path(file.name)))
	}
	return written, nil
}
