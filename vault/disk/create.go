package disk

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"ass/vault/internal/fault"
)

// tempName returns a name beside path for a file that is to become path.
func tempName(path string) string {
	return filepath.Join(filepath.Dir(path), tempStart(path)+strconv.FormatUint(rand.Uint64(), 10))
}

// tempStart begins the temporary names of path.
func tempStart(path string) string {
	base := filepath.Base(path)
	if len(base) > 100 { // a name has at most 255 bytes, and some systems want whole characters
		base = strings.ToValidUTF8(base[:100], "")
	}
	return tempPrefix + base + "-"
}

// Temporary is a file beside the one that it is to become.
type Temporary struct {
	Path    string
	endings []string
	note    *note
}

// Beside notes a free name beside path, and makes no file. endings name further files
// that the caller makes: Path with each of them.
func (r Register) Beside(path string, endings ...string) (*Temporary, error) {
	whole, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	t := &Temporary{Path: tempName(whole), endings: append(endings, "")}
	var names []string
	for _, ending := range t.endings {
		names = append(names, t.Path+ending)
	}
	t.note = r.note(names...)
	return t, nil
}

// End removes what is still there under the names, and forgets them.
func (t *Temporary) End() {
	for _, ending := range t.endings {
		_ = remove(t.Path + ending)
	}
	t.note.end()
}

// makeNameless and giveName are how a system makes a file without a name, and names it. Tests
// take them away.
var makeNameless, giveName = openNameless, link

// New is a file that is being written, for its owner alone. Where the system allows that,
// it has no name yet, so that nothing is left of it if this process dies.
type New struct {
	*os.File
	path  string // what it is to become
	perm  fs.FileMode
	temp  string // its name, or the one that it may get on the way
	named bool
	note  *note
}

// Create makes a file that is to become path. The caller calls [New.Discard] at the end.
func (r Register) Create(path string, perm fs.FileMode) (*New, error) {
	whole, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	n := &New{path: whole, perm: perm, temp: tempName(whole)}
	n.note = r.note(n.temp)
	if n.File, err = makeNameless(filepath.Dir(whole), perm); err == nil {
		keepOwner(n.File, whole)
	} else {
		n.File, err = n.open()
	}
	if err != nil {
		n.Discard()
		return nil, Named(path, err)
	}
	return n, nil
}

// open makes a file with the temporary name. On an error, the file may be there all the same.
func (n *New) open() (*os.File, error) {
	n.named = true
	f, err := OpenFile(n.temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, n.perm)
	if err == nil {
		keepOwner(f, n.path)
	}
	return f, err
}

// Discard closes the file, and removes it if it was not put in place. If it cannot be removed, the
// next process does that.
func (n *New) Discard() {
	_ = n.Close()
	if n.named {
		if err := remove(n.temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
			n.note.leave()
			return
		}
	}
	n.note.end()
}

// name gives the file its temporary name. If the system cannot name a file that has no name,
// a copy takes its place.
func (n *New) name() error {
	if n.named {
		return nil
	}
	n.named = true // it may have the name even if the call fails
	if giveName(n.File, n.temp) == nil {
		return nil
	}
	_ = remove(n.temp)
	nameless := n.File
	f, err := n.open()
	if err != nil {
		return err
	}
	n.File = f
	_, err = io.Copy(f, io.NewSectionReader(nameless, 0, math.MaxInt64))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, nameless.Close())
}

// PlaceNew syncs the file and puts it in its place, which must be free: otherwise the error is
// [fs.ErrExist]. After [fault.ErrMaybeDone], the file is there but may not survive a power cut.
func (n *New) PlaceNew() error {
	err := n.Sync()
	if err == nil && !n.named {
		if err = giveName(n.File, n.path); err == nil {
			return syncFolder(n.path)
		}
		if !errors.Is(err, fs.ErrExist) {
			err = n.name()
		}
	}
	if err == nil {
		_ = n.Close() // Windows renames no open file
		if err = moveTo(n.temp, n.path); errors.Is(err, fault.ErrExists) {
			err = &fs.PathError{Op: "create", Path: n.path, Err: fs.ErrExist}
		}
	}
	if err != nil {
		return err
	}
	return syncFolder(n.path)
}

// placeOver syncs the file and puts it in the place of another.
func (n *New) placeOver() error {
	err := n.Sync()
	if err == nil {
		err = n.name()
	}
	if err == nil {
		_ = n.Close()
		return n.replace()
	}
	return err
}

// replace renames the file, and syncs the folder.
func (n *New) replace() error {
	renamed, err := renameOver(n.temp, n.path)
	n.named = !renamed
	switch {
	case err == nil:
		return syncFolder(n.path)
	case renamed:
		return unsynced(n.path, err)
	}
	return err
}

// write makes a file with some content, and lets place put it in its place.
func (r Register) write(path string, content []byte, perm fs.FileMode, place func(*New) error) error {
	n, err := r.Create(path, perm)
	if err != nil {
		return err
	}
	defer n.Discard()
	if _, err = n.Write(content); err == nil {
		err = place(n)
	}
	return Named(path, err)
}

// WriteNew creates a file at path, which must be free, with the given content, and syncs
// it and its folder. The file appears whole. If the name is taken, the error is
// [fs.ErrExist]. After [fault.ErrMaybeDone], the file is there but may not survive a power
// cut. After any other error, it is not there.
func (r Register) WriteNew(path string, content []byte, perm fs.FileMode) error {
	if _, err := os.Lstat(path); err == nil {
		return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	return r.write(path, content, perm, (*New).PlaceNew)
}

// Replace puts a file with the given content, for its owner alone, at path, and makes the
// folder. It replaces only a regular file, whose owner root keeps. After an error, the file
// is unchanged, unless the error is [fault.ErrMaybeDone].
func (r Register) Replace(path string, content []byte) error {
	if err := CheckRegular(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return r.ReplaceAny(path, content)
}

// ReplaceAny is Replace, but takes the place of whatever is at path: of a symbolic link, for
// example, and not of the file to which it leads.
func (r Register) ReplaceAny(path string, content []byte) error {
	if err := MakeFolder(filepath.Dir(path)); err != nil {
		return err
	}
	return r.write(path, content, 0o600, (*New).placeOver)
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
		_ = remove(path)
	}
	return err
}

// Allocate makes a file of some bytes at path, which must be free, and which takes them from
// the disk now. Its owner is as in [Reserve]. On an error, there is no file.
func Allocate(path, like string, size int64) error {
	f, err := OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	keepOwner(f, like)
	if err = allocate(f, size); err != nil {
		// Where the system cannot do it, write what no file system can compress.
		_, err = io.CopyN(f, rand.NewChaCha8([32]byte{}), size)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = remove(path)
	}
	return err
}

// Write creates a file at path, which must be free, and syncs it, but not its folder. fill
// writes the content. On an error, Write leaves no file.
func Write(path string, fill func(io.Writer) error) error { return writeLike(path, path, fill) }

func writeLike(path, like string, fill func(io.Writer) error) error {
	f, err := OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	keepOwner(f, like)
	err = fill(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = remove(path)
	}
	return err
}

// CopyFile makes a file at path, which must be free, with the content of another, and syncs it, but
// not its folder. Its owner is as in [Reserve].
func CopyFile(from, path, like string) error {
	f, err := Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	return writeLike(path, like, func(w io.Writer) error {
		_, err := io.Copy(w, f)
		return err
	})
}

// Named returns a system error with the name that the person knows, not a temporary one.
func Named(path string, err error) error {
	var (
		said    syscall.Errno
		mounted *MountedError
	)
	if errors.Is(err, fault.ErrMaybeDone) || errors.As(err, &mounted) || !errors.As(err, &said) {
		return err
	}
	return &fs.PathError{Op: "write", Path: path, Err: said}
}

// PlaceFolder gives a new folder its name, at which nothing or an empty folder may be. After [fault.ErrMaybeDone],
// it is there but may not survive a power cut. After any other error, it is not there.
func PlaceFolder(made, path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Named(path, err)
	}
	if err := os.Rename(made, path); err != nil {
		if _, gone := os.Lstat(made); !errors.Is(gone, fs.ErrNotExist) {
			return Named(path, err)
		}
		return unsynced(path, err) // the disk has done it all the same
	}
	return syncFolder(path)
}

// syncFolder syncs the folder of a file, so that the new file outlives a power cut.
func syncFolder(path string) error {
	if err := SyncDir(filepath.Dir(path)); err != nil {
		return unsynced(path, err)
	}
	return nil
}

func unsynced(path string, err error) error {
	return fault.New(fault.ErrMaybeDone, "%s was written but not synced, so a power cut may undo it: %v", path, err)
}
