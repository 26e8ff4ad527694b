package disk_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"ass/vault"
	"ass/vault/disk"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func holds(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s holds %q, %v; want %q", filepath.Base(path), got, err, want)
	}
}

func isGone(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); err == nil {
		t.Errorf("%s is still there", filepath.Base(path))
	}
}

func TestMove(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	write(t, from, "new")
	if err := disk.Move(from, to); err != nil {
		t.Fatal(err)
	}
	holds(t, to, "new")
	isGone(t, from)
	write(t, from, "newer")
	if err := disk.Move(from, to); !errors.Is(err, vault.ErrExists) {
		t.Errorf("to a name that is taken: %v", err)
	}
	holds(t, to, "new")
	holds(t, from, "newer")
	// A run that died between the link and the removal left both names.
	both := filepath.Join(dir, "both")
	if err := os.Link(from, both); err != nil {
		t.Skip(err)
	}
	if err := disk.Move(from, both); err != nil {
		t.Error(err)
	}
	holds(t, both, "newer")
	isGone(t, from)
}

func TestPublish(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	write(t, from, "new")
	write(t, to, "old")
	if done, err := disk.Publish(from, to); !done || err != nil {
		t.Fatalf("%v, %v", done, err)
	}
	holds(t, to, "new")
	isGone(t, from)
	write(t, from, "newer")
	if done, err := disk.Publish(from, filepath.Join(dir, "none", "to")); done || err == nil {
		t.Errorf("into a folder that does not exist: %v, %v", done, err)
	}
}

func TestKeep(t *testing.T) {
	dir := t.TempDir()
	path, as := filepath.Join(dir, "path"), filepath.Join(dir, "as")
	write(t, path, "kept")
	for range 2 { // the second time, it is kept already
		if err := (disk.Register{}).Keep(path, as); err != nil {
			t.Fatal(err)
		}
		holds(t, path, "kept")
		holds(t, as, "kept")
	}
	other := filepath.Join(dir, "other")
	write(t, other, "other")
	if err := (disk.Register{}).Keep(path, other); err == nil {
		t.Error("it was kept under the name of another file")
	}
	holds(t, other, "other")
}

func TestUnused(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	for _, want := range []string{name, name + "-2", name + "-3"} {
		got, err := disk.Unused(name)
		if err != nil || got != want {
			t.Fatalf("%q, %v; want %q", got, err, want)
		}
		write(t, got, "")
	}
	if err := disk.CheckFree(name); !errors.Is(err, vault.ErrExists) {
		t.Errorf("a taken name: %v", err)
	}
	if err := disk.CheckFree(name + "-4"); err != nil {
		t.Errorf("a free name: %v", err)
	}
}

// Files with a second name, and what is no regular file, are not opened.
func TestWhatIsNotOpened(t *testing.T) {
	dir := t.TempDir()
	file, second, link := filepath.Join(dir, "file"), filepath.Join(dir, "second"), filepath.Join(dir, "link")
	write(t, file, "x")
	if f, err := disk.Append(file); err != nil {
		t.Error(err)
	} else {
		f.Close()
	}
	if err := errors.Join(os.Link(file, second), os.Symlink(file, link)); err != nil {
		t.Skip(err)
	}
	for _, path := range []string{second, link} {
		if f, err := disk.Append(path); err == nil {
			f.Close()
			t.Errorf("%s was opened for appending", filepath.Base(path))
		}
	}
	for _, path := range []string{dir, link} {
		if f, err := disk.Open(path); err == nil {
			f.Close()
			t.Errorf("%s was opened", filepath.Base(path))
		}
	}
	if !disk.Linked(file, second) || disk.Linked(file, link) || !disk.Same(file, link) {
		t.Error("links are confused")
	}
}

func TestNames(t *testing.T) {
	dir := t.TempDir()
	file, second := filepath.Join(dir, "f"), filepath.Join(dir, "second")
	write(t, file, "x")
	write(t, filepath.Join(dir, "copy"), "x")
	f, err := disk.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	names := func(want uint64) {
		t.Helper()
		if n, err := disk.Names(f); err != nil || n != want {
			t.Errorf("it has %d names, %v; want %d", n, err, want)
		}
	}
	names(1)
	if err := os.Link(file, second); err != nil {
		t.Skip(err)
	}
	names(2)
	if err := os.Symlink(file, filepath.Join(dir, "link")); err != nil {
		t.Log(err)
	}
	if got := disk.SecondNames(file); len(got) != 1 || got[0] != second {
		t.Errorf("its second names are %q", got)
	}
	for _, path := range []string{file, second} {
		if err := os.Remove(path); err != nil {
			t.Skip(err) // Windows
		}
	}
	names(0)
}

// The file of a lock has a name, until somebody removes it.
func TestLockHasName(t *testing.T) {
	if (&disk.Lock{}).HasName() {
		t.Error("a lock without a file has a name")
	}
	path := filepath.Join(t.TempDir(), "f")
	l, err := disk.LockBeside(path, false, disk.LockOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	if !l.HasName() {
		t.Error("it has none")
	}
	if err := os.Remove(path + disk.LockSuffix); err != nil {
		t.Skip(err) // Windows
	}
	if l.HasName() {
		t.Error("it still has one")
	}
}
