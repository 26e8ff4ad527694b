//go:build unix

package disk_test

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"ass/vault/disk"
)

// What is made is for its owner alone, whatever the umask allows.
func TestModes(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	content := func(w io.Writer) error { _, err := io.WriteString(w, "x"); return err }
	for name, act := range map[string]func(path string) error{
		"Replace":   func(path string) error { return disk.Register{}.Replace(path, nil) },
		"Reserve":   func(path string) error { return disk.Reserve(path, path) },
		"Allocate":  func(path string) error { return disk.Allocate(path, path, 1) },
		"Write":     func(path string) error { return disk.Write(path, content) },
		"CopyFile":  func(path string) error { return disk.CopyFile("modes_unix_test.go", path, path) },
		"OpenAlone": func(path string) error { return closed(disk.OpenAlone(path, os.O_WRONLY|os.O_CREATE)) },
		"LockFile": func(path string) error {
			release, err := disk.LockFile(path, disk.LockOptions{})
			if err == nil {
				release()
			}
			return err
		},
		"folder": disk.MakeFolder,
	} {
		path := filepath.Join(t.TempDir(), "f")
		if err := act(path); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := fs.FileMode(0o600)
		if name == "folder" {
			want = 0o700
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: its mode is %v, %v", name, info.Mode(), err)
		}
	}
}

func closed(f *os.File, err error) error {
	if err == nil {
		err = f.Close()
	}
	return err
}
