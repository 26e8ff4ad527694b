package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"ass/vault/internal/fault"
)

// WriteNew creates a file at path, which must be free, with the given content, and syncs
// it and its folder. If the name is taken, the error is [fs.ErrExist]. After
// [fault.ErrMaybeDone], the file is there but may not survive a power cut. After any other
// error, it is not there.
func WriteNew(path string, content []byte, perm fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	if err := finish(f, content, true); err != nil {
		_ = os.Remove(path) // half a file is worse than none
		return named(path, err)
	}
	return syncFolder(path)
}

// Reserve makes an empty file at path, which must be free. If root makes it, it gets the
// owner of the file at like, which it will replace.
func Reserve(path, like string) error {
	f, err := OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	keepOwner(f, like)
	if err = f.Close(); err != nil {
		_ = os.Remove(path)
	}
	return err
}

// Write creates a file at path, which must be free, and syncs it, but not its folder. fill
// writes the content. On an error, Write leaves no file.
func Write(path string, fill func(io.Writer) error) error {
	f, err := OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = fill(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(path)
	}
	return err
}

// Replace puts a file with the given content, for its owner alone, at path. It replaces
// only a regular file, whose owner root keeps. After an error, the file is unchanged,
// unless the error is [fault.ErrMaybeDone].
func Replace(path string, content []byte) error {
	if err := CheckRegular(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := replace(path, content, true); err != nil {
		return err
	}
	return syncFolder(path)
}

// ReplaceUnsynced is Replace for a file that may be lost: after a power cut, it may be
// empty. It replaces whatever is at path, a symbolic link itself, for example.
func ReplaceUnsynced(path string, content []byte) error { return replace(path, content, false) }

func replace(path string, content []byte, sync bool) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	Sweep(path, time.Minute)
	f, err := os.CreateTemp(dir, tempPrefix(path)) // 0600
	if err != nil {
		return named(path, err)
	}
	keepOwner(f, path)
	err = finish(f, content, sync)
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return named(path, err)
}

// named returns a system error with the name that the person knows, not a temporary one.
func named(path string, err error) error {
	var said syscall.Errno
	if !errors.As(err, &said) {
		return err
	}
	return &fs.PathError{Op: "write", Path: path, Err: said}
}

// finish writes content to a file, and closes the file.
func finish(f *os.File, content []byte, sync bool) error {
	_, err := f.Write(content)
	if err == nil && sync {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncFolder syncs the folder of a file, so that the new file outlives a power cut.
func syncFolder(path string) error {
	if err := SyncDir(filepath.Dir(path)); err != nil {
		return fault.New(fault.ErrMaybeDone, "%s was written but not synced, so a power cut may undo it: %v", path, err)
	}
	return nil
}

// tempPrefix begins the names of the temporary files of path.
func tempPrefix(path string) string { return ".ass-" + filepath.Base(path) + "-" }

// Sweep removes the temporary files of path that a killed run left behind: they can hold
// an owner key, or values. A file younger than age may belong to another run, so it stays.
func Sweep(path string, age time.Duration) {
	dir, prefix := filepath.Dir(path), tempPrefix(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), prefix)
		if !ours || strings.Trim(rest, "0123456789") != "" || !e.Type().IsRegular() {
			continue
		}
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) >= age {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
