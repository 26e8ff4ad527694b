package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Register is the folder in which the processes of one user note the temporary files that
// they are about to make, wherever these are. If a process dies before it has renamed or
// removed them, the next process removes them: they can hold a key, or values. The zero
// Register notes nothing.
//
// A process holds a lock on each of its notes, so a note without a lock is one of a dead
// process. The lock on the register itself keeps a sweep from a note that is being made.
type Register struct {
	Dir string // "" for none
}

const (
	registerLock = "lock"
	notePrefix   = "note-"
	noteLimit    = 64 << 10    // bytes
	noteTimeout  = time.Second // for the lock of the register, which is held for a moment

	// A note about files that cannot be removed now waits: they may be on a disk that is not mounted.
	noteWaits = 30 * 24 * time.Hour
)

// note is what a process has noted about one act.
type note struct{ f *os.File }

// note writes down the names of temporary files, absolute, before they are made. A register
// that cannot be written stops nobody: then a killed process may leave its files behind.
func (r Register) note(paths ...string) *note {
	n := &note{}
	if r.Dir == "" || MakeFolder(r.Dir) != nil {
		return n
	}
	release, err := LockFile(filepath.Join(r.Dir, registerLock), LockOptions{Timeout: noteTimeout})
	if err != nil {
		return n
	}
	defer release()
	f, err := os.CreateTemp(r.Dir, notePrefix)
	if err != nil {
		return n
	}
	n.f = f
	ownLike(f.Name(), r.Dir)
	err = TryLock(f, false)
	if err == nil {
		_, err = f.WriteString(strings.Join(paths, "\x00"))
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil || SyncDir(r.Dir) != nil {
		n.end()
	}
	return n
}

// end removes the note: its files have been renamed or removed.
func (n *note) end() {
	if n.f == nil {
		return
	}
	_ = remove(n.f.Name())
	_ = n.f.Close()
	_ = remove(n.f.Name()) // Windows removes no open file
	n.f = nil
}

// leave gives up the note, whose files may still be there, as if this process had died.
func (n *note) leave() {
	if n.f != nil {
		_ = n.f.Close()
		n.f = nil
	}
}

// NoteFolder notes a folder of temporary files. The caller calls end once it has removed it.
func (r Register) NoteFolder(path string) (end func()) { return r.note(path).end }

// Sweep removes what dead processes have noted and not removed. It calls folder for each
// folder among it.
func (r Register) Sweep(folder func(path string)) {
	if r.Dir == "" || !r.hasNotes() {
		return
	}
	release, err := LockFile(filepath.Join(r.Dir, registerLock), LockOptions{Timeout: -1})
	if err != nil {
		return // another process sweeps
	}
	defer release()
	entries, err := os.ReadDir(r.Dir)
	if err != nil {
		return
	}
	live := map[string]bool{}
	var dead []deadNote
	for _, e := range entries {
		name := filepath.Join(r.Dir, e.Name())
		if !strings.HasPrefix(e.Name(), notePrefix) {
			continue
		}
		f, err := OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			continue
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil || AccessTo(name, info).Another {
			continue
		}
		paths := readNote(f)
		switch err := TryLock(f, false); {
		case err == nil:
			dead = append(dead, deadNote{f, info.ModTime(), paths})
		case errors.Is(err, ErrLocked):
			for _, path := range paths {
				live[path] = true
			}
		}
	}
	for _, d := range dead {
		if d.sweep(live, folder) {
			(&note{d.f}).end()
		}
	}
}

// hasNotes reports whether there is anything beside the lock. Every command asks, so it is quick.
func (r Register) hasNotes() bool {
	d, err := os.Open(r.Dir)
	if err != nil {
		return false
	}
	defer d.Close()
	names, _ := d.Readdirnames(2)
	for _, name := range names {
		if name != registerLock {
			return true
		}
	}
	return false
}

func readNote(f *os.File) (paths []string) {
	b := make([]byte, noteLimit)
	n, _ := f.ReadAt(b, 0)
	return strings.Split(string(b[:n]), "\x00") // half a note was made before any file
}

type deadNote struct {
	f     *os.File
	at    time.Time
	paths []string
}

// sweep removes the files of a note, and reports whether the note has become useless.
func (d deadNote) sweep(live map[string]bool, folder func(string)) (done bool) {
	done = true
	for _, path := range d.paths {
		if live[path] || !filepath.IsAbs(path) {
			continue
		}
		info, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if _, err := os.Stat(filepath.Dir(path)); err != nil {
				done = false
			}
		case err != nil:
			done = false
		case info.IsDir():
			folder(path)
			if _, err := os.Lstat(path); err == nil { // somebody still uses it
				done = false
			}
		case info.Mode().IsRegular() && isTemporary(filepath.Base(path)):
			if Remove(path) != nil {
				done = false
			}
		}
	}
	return done || time.Since(d.at) > noteWaits
}

// Temporary names begin with a prefix, have the name of a file in the middle, and end with a
// random number.
const tempPrefix = ".ass-"

// isTemporary reports whether a name is one that [Register.Beside] could have chosen. Nothing
// else is ever swept.
func isTemporary(name string) bool {
	rest, ours := strings.CutPrefix(name, tempPrefix)
	i := strings.LastIndexByte(rest, '-')
	if !ours || i < 0 {
		return false
	}
	digits, _, _ := strings.Cut(rest[i+1:], ".") // what is made from it has an ending
	return isNumber(digits)
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
