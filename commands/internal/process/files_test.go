package process

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"ass/vault/disk"
)

func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

const hasModes = runtime.GOOS != "windows"

func TestWriteFiles(t *testing.T) {
	dir, place := t.TempDir(), filepath.Join(t.TempDir(), "place")
	f, err := WriteFiles(disk.Register{}, dir, []File{{Name: "A", Content: []byte("one")},
		{Name: "B", Content: []byte("two"), Place: place}})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{f.Path("A"): "one", f.Path("B"): "two", place: "two"} {
		b, err := os.ReadFile(path)
		info, err2 := os.Stat(path)
		if err != nil || err2 != nil || string(b) != want || hasModes && info.Mode().Perm() != 0o400 {
			t.Errorf("%s: %q, %v: %v, %v", path, b, info.Mode(), err, err2)
		}
	}
	if info, err := os.Stat(filepath.Dir(f.Path("A"))); err != nil || hasModes && info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has the mode %v: %v", info.Mode(), err)
	}
	SweepFiles(dir) // it is live
	if _, err := os.Stat(place); err != nil {
		t.Error(err)
	}
	// A place that is taken leaves nothing of the attempt, and the other files alone.
	other := filepath.Join(t.TempDir(), "other")
	_, err = WriteFiles(disk.Register{}, dir, []File{{Name: "C", Place: other}, {Name: "D", Place: place}})
	if !errors.Is(err, fs.ErrExist) || len(names(t, dir)) != 1 {
		t.Errorf("%v, %v", err, names(t, dir))
	}
	if _, err := os.Lstat(other); err == nil {
		t.Error("the first link is still there")
	}
	if b, err := os.ReadFile(place); string(b) != "two" {
		t.Errorf("%q: %v", b, err)
	}
	if err := f.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(place); err == nil || len(names(t, dir)) != 0 {
		t.Errorf("left: %v", names(t, dir))
	}
	if _, err := WriteFiles(disk.Register{}, filepath.Join(dir, "none"), nil); err == nil {
		t.Error("there is no such folder")
	}
}

// A sweep removes the files of dead processes, with their links, and nothing else.
func TestSweepFiles(t *testing.T) {
	dir, place := t.TempDir(), filepath.Join(t.TempDir(), "place")
	left := func() string {
		f, err := WriteFiles(disk.Register{}, dir, []File{{Name: "A", Content: []byte("one"), Place: place}})
		if err != nil {
			t.Fatal(err)
		}
		_ = f.lock.Close() // as the system does with that of a process that was killed
		return f.dir
	}
	left()
	SweepFiles(dir, filepath.Join(dir, "none"))
	if _, err := os.Lstat(place); err == nil || len(names(t, dir)) != 0 {
		t.Errorf("left: %v", names(t, dir))
	}
	// somebody has put something else in the place of the link
	left()
	if err := errors.Join(os.Remove(place), os.WriteFile(place, []byte("mine"), 0o600)); err != nil {
		t.Fatal(err)
	}
	SweepFiles(dir)
	if b, err := os.ReadFile(place); string(b) != "mine" || len(names(t, dir)) != 0 {
		t.Errorf("%q, %v: %v", b, names(t, dir), err)
	}
	// the list of links is damaged, or the lock is no file
	if err := os.WriteFile(filepath.Join(left2(t, dir), placesName), []byte("[1"), 0o600); err != nil {
		t.Fatal(err)
	}
	SweepFiles(dir)
	if len(names(t, dir)) != 0 {
		t.Errorf("left: %v", names(t, dir))
	}
	// a folder without a lock is being made just now, or is old
	for _, name := range []string{"ass-run-new", "ass-run-old", "other"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-2 * time.Minute)
	if err := os.Chtimes(filepath.Join(dir, "ass-run-old"), old, old); err != nil {
		t.Fatal(err)
	}
	SweepFiles(dir)
	if got := names(t, dir); len(got) != 2 || got[0] != "ass-run-new" || got[1] != "other" {
		t.Errorf("left: %v", got)
	}
}

func left2(t *testing.T, dir string) string {
	t.Helper()
	f, err := WriteFiles(disk.Register{}, dir, []File{{Name: "A"}})
	if err != nil {
		t.Fatal(err)
	}
	_ = f.lock.Close()
	return f.dir
}

// Sweeps at any moment take nothing from runs that are live.
func TestSweepWhileWriting(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				f, err := WriteFiles(disk.Register{}, dir, []File{{Name: "A", Content: []byte("one")}})
				if err != nil {
					t.Error(err)
					return
				}
				SweepFiles(dir)
				if _, err := os.Stat(f.Path("A")); err != nil {
					t.Error(err)
				}
				if err := f.Remove(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if len(names(t, dir)) != 0 {
		t.Errorf("left: %v", names(t, dir))
	}
}

func TestMemoryFolder(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "ass-test-")
	if err != nil {
		t.Skip(err)
	}
	defer os.Remove(dir)
	if got, found := MemoryFolder(filepath.Join(dir, "none"), dir, "/dev/shm"); !found || got != dir {
		t.Errorf("%s, %v", got, found)
	}
	if err := os.Chmod(dir, 0o777); err != nil { // others can replace what is in it
		t.Fatal(err)
	}
	if got, found := MemoryFolder(dir); found {
		t.Errorf("%s, %v", got, found)
	}
	if err := os.Chmod(dir, 0o500); err != nil { // this user cannot write into it, unless it is root
		t.Fatal(err)
	}
	if got, found := MemoryFolder(dir); found != (os.Geteuid() == 0) {
		t.Errorf("%s, %v", got, found)
	}
	if got, found := MemoryFolder("/proc", "/etc/hostname"); found {
		t.Errorf("%s, %v", got, found)
	}
}

// A folder appears with all of its files or not at all, and nothing else is left beside it.
func TestWriteFolder(t *testing.T) {
	home := t.TempDir()
	register := disk.Register{Dir: filepath.Join(home, "unfinished")}
	above := filepath.Join(home, "new", "above")
	beside := func() (names []string) {
		list, _ := os.ReadDir(above)
		for _, e := range list {
			names = append(names, e.Name())
		}
		return names
	}
	path := filepath.Join(above, "secrets")
	err := WriteFolder(register, path, []File{{Name: "A", Content: []byte("a")}, {Name: "bad/name", Content: []byte("b")}})
	if err == nil || len(beside()) != 0 {
		t.Errorf("after a failure (%v), there is %q", err, beside())
	}
	files := []File{{Name: "A", Content: []byte("a")}, {Name: ".lock", Content: []byte("b")}}
	if err := WriteFolder(register, path, files); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if b, err := os.ReadFile(filepath.Join(path, f.Name)); err != nil || string(b) != string(f.Content) {
			t.Errorf("%s has %q, %v", f.Name, b, err)
		}
	}
	if err := WriteFolder(register, path, []File{{Name: "B"}}); err == nil {
		t.Error("a folder that is not empty was replaced")
	}
	if _, err := os.Stat(filepath.Join(path, "A")); err != nil || !slices.Equal(beside(), []string{"secrets"}) {
		t.Errorf("there is %q, %v", beside(), err)
	}
	empty := filepath.Join(above, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := WriteFolder(register, empty, files); err != nil {
		t.Error(err)
	}
	// a run that is killed just before the folder gets its name
	killed, err := newFiles(register, above)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(killed.Path("made"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(killed.Path("made/A"), []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	killed.lock.Close()
	SweepFolder(killed.dir)
	if got := beside(); !slices.Equal(got, []string{"empty", "secrets"}) {
		t.Errorf("a killed run leaves %q", got)
	}
}
