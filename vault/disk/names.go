package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"ass/vault/internal/fault"
)

// CheckFree returns [fault.ErrExists] if a name is taken.
func CheckFree(file string) error {
	switch _, err := os.Lstat(file); {
	case err == nil:
		return fault.New(fault.ErrExists, "%s already exists", file).
			Hint("choose another name")
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return nil
}

// Unused returns name, or a numbered variant of it, that no file has yet.
func Unused(name string) (string, error) {
	for n, free := 1, name; ; free = fmt.Sprintf("%s-%d", name, n) {
		switch _, err := os.Lstat(free); {
		case errors.Is(err, fs.ErrNotExist):
			return free, nil
		case err != nil:
			return "", err
		}
		n++
	}
}

// Same reports whether two names lead to one file.
func Same(a, b string) bool {
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// Linked reports whether two names are hard links to one file. It follows no symbolic
// links.
func Linked(a, b string) bool {
	x, err1 := os.Lstat(a)
	y, err2 := os.Lstat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// SecondNames lists the hard links to the file at path that lie in the same folder.
func SecondNames(path string) (found []string) {
	dir := filepath.Dir(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if e.Type().IsRegular() && e.Name() != filepath.Base(path) && Linked(name, path) {
			found = append(found, name)
		}
	}
	return found
}

// Publish renames a finished file to a name that may be taken, and reports whether the
// name is now that of the new file. A name without its sync is [fault.ErrMaybeDone].
func Publish(from, to string) (published bool, err error) {
	published, err = renameOver(from, to)
	if !published {
		return false, err
	}
	if err == nil {
		err = SyncDir(filepath.Dir(to))
	}
	if err != nil {
		return true, notSynced(err)
	}
	return true, nil
}

// renameOver renames a file to a name that may be taken, or removes it. A network file system can
// rename the file and still report an error: then both results are set.
func renameOver(from, to string) (renamed bool, err error) {
	if err = rename(from, to); err != nil {
		return errors.Is(remove(from), fs.ErrNotExist), ofMount(to, err)
	}
	return true, nil
}

// MountedError says that no other file can take the place of one that is mounted on its own, as
// containers do it with single files. It wraps [syscall.EBUSY].
type MountedError struct{ Path string }

func (e *MountedError) Error() string {
	return e.Path + " is mounted on its own, so it can be neither replaced nor removed"
}

func (e *MountedError) Unwrap() error { return syscall.EBUSY }

// ofMount returns a [MountedError] in place of the system's error about a path, if it is one.
func ofMount(path string, err error) error {
	if mounted, known := IsMounted(path); errors.Is(err, syscall.EBUSY) && (mounted || !known) {
		return &MountedError{path}
	}
	return err
}

func notSynced(err error) error {
	return fault.New(fault.ErrMaybeDone, "the change was made but not synced, so a power cut may undo it: %v", err)
}

// Move gives a file another name, which must be free. After [fault.ErrMaybeDone], it has
// that name, but may lose it in a power cut.
func Move(from, to string) error {
	if err := moveTo(from, to); err != nil {
		return err
	}
	return syncFolder(to)
}

func moveTo(from, to string) error {
	if err := os.Link(from, to); err == nil || Linked(to, from) {
		_ = remove(from) // if that fails, the file keeps both names until a later process removes this one
		return nil
	}
	if err := CheckFree(to); err != nil {
		return err
	}
	return rename(from, to) // on a file system without links
}

// Keep gives the file at path a second name, as, which no other file may have. If the file
// system has no hard links, Keep makes a copy.
func (r Register) Keep(path, as string) error {
	if err := os.Link(path, as); err == nil || Linked(path, as) {
		return nil
	} else if errors.Is(err, fs.ErrExist) {
		return err
	}
	part, err := r.Beside(as)
	if err != nil {
		return err
	}
	defer part.End()
	if err = CopyFile(path, part.Path, path); err == nil {
		err = rename(part.Path, as)
	}
	return Named(as, err)
}

// Remove removes a file, and syncs its folder, so that a power cut does not bring the file
// back. Without the sync, the error is [fault.ErrMaybeDone].
func Remove(path string) error {
	if err := remove(path); err != nil {
		return ofMount(path, err)
	}
	if err := SyncDir(filepath.Dir(path)); err != nil {
		return fault.New(fault.ErrMaybeDone, "%s was removed, but that was not synced, so a power cut may undo it: %v", path, err)
	}
	return nil
}

// MakeFolder makes a folder, for its owner alone, and those above it that are missing. It
// syncs each of them into the one above: without that, a power cut could take away a folder
// with synced files in it.
func MakeFolder(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return &fs.PathError{Op: "mkdir", Path: path, Err: errors.New("it is not a folder")}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	above := filepath.Dir(path)
	if above != path {
		if err := MakeFolder(above); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	ownLike(path, above)
	if err := SyncDir(above); err != nil && !errors.Is(err, fs.ErrPermission) { // who may not list it cannot sync it
		return err
	}
	return nil
}

// Strays lists the temporary files of path that killed runs left behind.
func Strays(path string) (found []string) {
	dir := filepath.Dir(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		number, ours := strings.CutPrefix(e.Name(), tempStart(path))
		if ours && isNumber(number) && e.Type().IsRegular() {
			found = append(found, filepath.Join(dir, e.Name()))
		}
	}
	return found
}
