package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"ass/vault/internal/fault"
)

// PartSuffix ends the name of a file that is not finished yet.
const PartSuffix = ".part"

// CheckFree returns [fault.ErrExists] if a name is taken.
func CheckFree(file string) error {
	switch _, err := os.Lstat(file); {
	case err == nil:
		return fault.New(fault.ErrExists, "%s already exists; choose another name", file)
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

// Publish renames a finished file to a name that may be taken, and reports whether the
// name is now that of the new file. A name without its sync is [fault.ErrMaybeDone].
func Publish(from, to string) (published bool, err error) {
	if err := os.Rename(from, to); err != nil {
		// A network file system can rename the file and still report an error.
		if gone := os.Remove(from); errors.Is(gone, fs.ErrNotExist) {
			return true, notSynced(err)
		}
		return false, err
	}
	if err := SyncDir(filepath.Dir(to)); err != nil {
		return true, notSynced(err)
	}
	return true, nil
}

func notSynced(err error) error {
	return fault.New(fault.ErrMaybeDone, "the change was made but not synced, so a power cut may undo it: %v", err)
}

// Move gives a file another name, which must be free.
func Move(from, to string) error {
	if err := os.Link(from, to); err == nil || Linked(to, from) {
		_ = os.Remove(from) // if that fails, the file keeps both names, which does no harm
	} else if err = CheckFree(to); err != nil {
		return err
	} else if err = os.Rename(from, to); err != nil { // on a file system without links
		return err
	}
	return syncFolder(to)
}

// Keep gives the file at path a second name, as, which no other file may have. If the file
// system has no hard links, Keep makes a copy.
func Keep(path, as string) error {
	if err := os.Link(path, as); err == nil || Linked(path, as) {
		return nil
	} else if errors.Is(err, fs.ErrExist) {
		return err
	}
	from, err := Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	part := as + PartSuffix
	err = Write(part, func(w io.Writer) error {
		_, err := io.Copy(w, from)
		return err
	})
	if err == nil {
		if err = os.Rename(part, as); err != nil {
			_ = os.Remove(part)
		}
	}
	return err
}

// RemovePart removes an unfinished file that a dead run left behind. If another process
// is writing the file, the error is [fault.ErrBusy]. If the name is that of source, which
// is only to be read, or the file is not ours, RemovePart refuses and removes nothing.
func RemovePart(part, source string, ours func(*os.File) bool) error {
	f, err := OpenFile(part, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s is in the way; remove it, or choose another name: %w", part, err)
	}
	defer f.Close()
	if Same(part, source) {
		return fault.New(fault.ErrConflict, "%s would be overwritten by a temporary file; choose another name", part)
	}
	if !ours(f) {
		return fault.New(fault.ErrExists, "%s is in the way and was not made by ass; remove it, or choose another name", part)
	}
	switch err := TryLock(f, false); {
	case errors.Is(err, ErrLocked):
		return &fault.BusyError{Path: part}
	case err != nil:
		return err
	}
	f.Close() // Windows cannot remove an open file
	return os.Remove(part)
}
