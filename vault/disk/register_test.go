package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// A killed process ends no note. This makes its lock go, as the system does.
func (n *note) die() { _ = n.f.Close() }

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func put(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func newRegister(t *testing.T) Register {
	return Register{Dir: filepath.Join(t.TempDir(), "state", "unfinished")}
}

func (r Register) notes(t *testing.T) (n int) {
	t.Helper()
	entries, err := os.ReadDir(r.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), notePrefix) {
			n++
		}
	}
	return n
}

// What a dead process has noted is removed, and nothing else, however it is called.
func TestSweep(t *testing.T) {
	r, dir := newRegister(t), t.TempDir()
	dead, err := r.Beside(filepath.Join(dir, "env"), ".new")
	if err != nil {
		t.Fatal(err)
	}
	live, err := r.Beside(filepath.Join(dir, "env"))
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, "folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	_ = r.NoteFolder(folder)
	notes := []string{dead.Path, dead.Path + ".new", live.Path}
	others := []string{filepath.Join(dir, "env"), filepath.Join(dir, ".ass-env-12"), filepath.Join(dir, "vault.db")}
	for _, path := range append(others, notes...) {
		put(t, path)
	}
	// A note may say anything: nothing but a temporary file is removed.
	hostile := r.note(others[0], others[2], "relative", dir)
	r.Sweep(func(path string) { t.Errorf("%s belongs to a living process", path) })
	for _, path := range append(others, notes...) {
		if !isThere(path) {
			t.Fatalf("%s is gone, and its process lives", path)
		}
	}

	dead.note.die()
	hostile.die()
	var folders []string
	r.Sweep(func(path string) { folders = append(folders, path) })
	for _, path := range append(others, live.Path) {
		if !isThere(path) {
			t.Errorf("%s is gone", path)
		}
	}
	for _, path := range notes[:2] {
		if isThere(path) {
			t.Errorf("%s stayed", path)
		}
	}
	if strings.Join(folders, " ") != dir {
		t.Errorf("these folders were swept: %q", folders)
	}
	live.End()
	if isThere(live.Path) {
		t.Error("End left its file behind")
	}
	if n := r.notes(t); n != 2 { // those of the two folders, which are still there
		t.Errorf("there are %d notes", n)
	}
}

// A living process may have noted the name that a dead one noted before it.
func TestSweepSparesTheLiving(t *testing.T) {
	r, path := newRegister(t), filepath.Join(t.TempDir(), ".ass-x-1")
	put(t, path)
	r.note(path).die()
	n := r.note(path)
	r.Sweep(nil)
	if !isThere(path) {
		t.Error("it removed a file of a living process")
	}
	n.end()
}

// The folder of a temporary file may be on a disk that is not mounted now. Its note waits, but
// not for ever.
func TestNotesWait(t *testing.T) {
	r, dir := newRegister(t), filepath.Join(t.TempDir(), "disk")
	r.note(filepath.Join(dir, ".ass-x-1")).die()
	r.Sweep(nil)
	if r.notes(t) != 1 {
		t.Fatal("the note did not wait")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, ".ass-x-1"))
	r.Sweep(nil)
	if isThere(filepath.Join(dir, ".ass-x-1")) || r.notes(t) != 0 {
		t.Error("it was not removed once its disk was there")
	}
	n := r.note(filepath.Join(dir, "none", ".ass-x-1"))
	old := time.Now().Add(-noteWaits - time.Hour)
	if err := os.Chtimes(n.f.Name(), old, old); err != nil {
		t.Fatal(err)
	}
	n.die()
	r.Sweep(nil)
	if r.notes(t) != 0 {
		t.Error("an old note stays for ever")
	}
}

// A register that cannot be written stops nobody, and half a note is none.
func TestNoRegister(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "file"))
	for _, r := range []Register{{}, {Dir: filepath.Join(dir, "file", "below")}} {
		if err := r.Replace(filepath.Join(dir, "x"), []byte("x")); err != nil {
			t.Error(err)
		}
		r.Sweep(nil)
	}
	r := newRegister(t)
	r.note().die()
	put(t, filepath.Join(r.Dir, notePrefix+"1"))
	r.Sweep(nil)
	if n := r.notes(t); n != 0 {
		t.Errorf("%d notes that say nothing stayed", n)
	}
}

// Each way to make a file ends the same: it is whole, its folder has nothing else, and the
// register is empty. Where the system has no files without names, or cannot name them, they
// have temporary names.
func TestWaysToCreate(t *testing.T) {
	none := func(string, fs.FileMode) (*os.File, error) { return nil, errors.ErrUnsupported }
	defer func() { makeNameless, giveName = openNameless, link }()
	for name, set := range map[string]func(){
		"as here":        func() {},
		"no O_TMPFILE":   func() { makeNameless = none },
		"no /proc":       func() { giveName = func(*os.File, string) error { return fs.ErrNotExist } },
		"a name at last": func() { giveName = failOnce(link) },
	} {
		t.Run(name, func(t *testing.T) {
			makeNameless, giveName = openNameless, link
			set()
			r, dir := newRegister(t), t.TempDir()
			file := filepath.Join(dir, "file")
			for i, write := range []func() error{
				func() error { return r.WriteNew(file, []byte("content 0"), 0o600) },
				func() error { return r.Replace(file, []byte("content 1")) },
				func() error { return r.Replace(file, []byte("content 2")) },
			} {
				if err := write(); err != nil {
					t.Fatal(err)
				}
				b, err := os.ReadFile(file)
				if err != nil || string(b) != "content "+string(rune('0'+i)) {
					t.Errorf("%q, %v", b, err)
				}
			}
			if err := r.WriteNew(file, []byte("other"), 0o600); !errors.Is(err, fs.ErrExist) {
				t.Errorf("over another: %v", err)
			}
			late, err := r.Create(filepath.Join(dir, "late"), 0o600)
			if err != nil {
				t.Fatal(err)
			}
			put(t, filepath.Join(dir, "late")) // somebody takes the name meanwhile
			if err := late.PlaceNew(); !errors.Is(err, fs.ErrExist) {
				t.Errorf("over a file that came later: %v", err)
			}
			late.Discard()
			unused, err := r.Create(filepath.Join(dir, "unused"), 0o600)
			if err != nil {
				t.Fatal(err)
			}
			unused.Discard()
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != 2 || r.notes(t) != 0 {
				t.Errorf("there are %v, %d notes, %v", entries, r.notes(t), err)
			}
			info, err := os.Stat(file)
			if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
				t.Errorf("%v, %v", info.Mode(), err)
			}
		})
	}
}

// failOnce makes the first call fail.
func failOnce(fn func(*os.File, string) error) func(*os.File, string) error {
	failed := false
	return func(f *os.File, path string) error {
		if !failed {
			failed = true
			return fs.ErrPermission
		}
		return fn(f, path)
	}
}

// Names of up to 255 bytes are possible; a temporary name has room for more.
func TestLongNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("x", 250))
	if err := (Register{}).Replace(path, []byte("x")); err != nil {
		t.Error(err)
	}
	if temp := filepath.Base(tempName(path)); !isTemporary(temp) || len(temp) > 200 {
		t.Errorf("%s is no temporary name", temp)
	}
}

func TestIsTemporary(t *testing.T) {
	for name, want := range map[string]bool{
		".ass-env-123": true, ".ass-a-b-1": true, ".ass-x-1.new": true, ".ass-.env-7": true,
		".ass-env-9x": false, ".ass-env-": false, ".ass-env": false, "env-1": false, ".ass-": false, ".ass-1": false, "": false,
	} {
		if isTemporary(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

// Strays are those of this file, and of no other.
func TestStrays(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".ass-env-123", ".ass-env-x-45", ".ass-env-9x", ".ass-env-1.new", "env"} {
		put(t, filepath.Join(dir, name))
	}
	if got := Strays(filepath.Join(dir, "env")); len(got) != 1 || filepath.Base(got[0]) != ".ass-env-123" {
		t.Errorf("%q", got)
	}
}

// MakeFolder makes all folders that are missing, for their owner alone.
func TestMakeFolder(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a", "b", "c")
	for range 2 {
		if err := MakeFolder(path); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "a"))
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	put(t, filepath.Join(dir, "file"))
	if err := MakeFolder(filepath.Join(dir, "file")); err == nil {
		t.Error("a file passes for a folder")
	}
}

// Names may have any bytes, and so may the folder of the register.
func TestSweepOddNames(t *testing.T) {
	r, dir := Register{Dir: filepath.Join(t.TempDir(), "a [b* c", "unfinished")}, t.TempDir()
	for _, name := range []string{"a" + strings.Repeat("ключ", 30) + ".db", "line\nbreak", "\xff\xfe"} {
		part, err := r.Beside(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(part.Path, nil, 0o600); err != nil {
			t.Logf("this system has no such names: %v", err)
			continue
		}
		part.note.die()
		r.Sweep(nil)
		if isThere(part.Path) || r.notes(t) != 0 {
			t.Errorf("%q: its temporary file stayed", name)
		}
	}
}
