package disk_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"ass/vault/disk"
)

// A file appears, or is replaced, in one piece, for its owner alone.
func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "below", "f")
	for _, register := range []disk.Register{{}, {Dir: filepath.Join(t.TempDir(), "unfinished")}} {
		for _, content := range []string{"one", "", "another one"} {
			if err := register.Replace(path, []byte(content)); err != nil {
				t.Fatal(err)
			}
			got, by, err := disk.ReadFile(path, 1<<10)
			if err != nil || string(got) != content {
				t.Errorf("%q: read %q, %v", content, got, err)
			}
			if runtime.GOOS != "windows" && by.Mode.Perm() != 0o600 {
				t.Errorf("its mode is %v", by.Mode)
			}
		}
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
}

func TestReplaceRefuses(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(target, []byte("kept"), 0o600), os.Symlink(target, link)); err != nil {
		t.Skip(err)
	}
	for _, path := range []string{link, dir} {
		if err := (disk.Register{}).Replace(path, []byte("x")); err == nil {
			t.Errorf("%s was replaced", path)
		}
	}
	if got, err := os.ReadFile(target); string(got) != "kept" {
		t.Errorf("the target of the link holds %q, %v", got, err)
	}
	if err := (disk.Register{}).WriteNew(target, []byte("x"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a new file over another: %v", err)
	}
	if got, err := os.ReadFile(target); string(got) != "kept" {
		t.Errorf("afterwards it holds %q, %v", got, err)
	}
}

func TestReadFileHasALimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := (disk.Register{}).WriteNew(path, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, _, err := disk.ReadFile(path, 5); err != nil || string(b) != "12345" {
		t.Errorf("%q, %v", b, err)
	}
	var large *disk.TooLargeError
	if _, _, err := disk.ReadFile(path, 4); !errors.As(err, &large) || large.Limit != 4 {
		t.Errorf("one byte more than the limit: %v", err)
	}
}

// Write leaves a whole file or none.
func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	failed := errors.New("failed")
	err := disk.Write(path, func(w io.Writer) error {
		_, _ = io.WriteString(w, "half")
		return failed
	})
	if !errors.Is(err, failed) {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("half a file was left")
	}
	whole := func(w io.Writer) error { _, err := io.WriteString(w, "whole"); return err }
	if err := disk.Write(path, whole); err != nil {
		t.Fatal(err)
	}
	if err := disk.Write(path, whole); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over another: %v", err)
	}
}
