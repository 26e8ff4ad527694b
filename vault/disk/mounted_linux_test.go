package disk_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"ass/vault/disk"
)

// A file that is mounted on its own can be neither replaced nor removed. The error says why, and the file
// stays as it was. In a folder that is mounted, both can be done.
func TestMounted(t *testing.T) {
	dir, at := t.TempDir(), t.TempDir()
	file, there := filepath.Join(dir, "f"), filepath.Join(at, "f")
	write(t, file, "old")
	write(t, there, "")
	bind(t, file, there)
	if mounted, known := disk.IsMounted(there); !mounted && known {
		t.Error("it is not taken for mounted")
	}
	for _, path := range []string{file, filepath.Join(at, "none")} {
		if mounted, _ := disk.IsMounted(path); mounted {
			t.Errorf("%s is taken for mounted", path)
		}
	}
	beside := filepath.Join(at, "beside")
	write(t, beside, "new")
	published, perr := disk.Publish(beside, there)
	if published {
		t.Error("it says that it was replaced")
	}
	isGone(t, beside)
	for act, err := range map[string]error{
		"Publish": perr, "Replace": disk.Register{}.Replace(there, []byte("new")), "Remove": disk.Remove(there),
	} {
		var mounted *disk.MountedError
		if !errors.As(err, &mounted) || mounted.Path != there || !errors.Is(err, unix.EBUSY) {
			t.Errorf("%s: %v", act, err)
		}
	}
	holds(t, there, "old")
	if left, err := os.ReadDir(at); err != nil || len(left) != 1 {
		t.Errorf("beside it: %v, %v", left, err)
	}
	folder := t.TempDir()
	bind(t, dir, folder)
	if err := (disk.Register{}).Replace(filepath.Join(folder, "f"), []byte("new")); err != nil {
		t.Error(err)
	}
	holds(t, file, "new")
	holds(t, there, "old")
	f, err := disk.Open(there)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n, err := disk.Names(f); err != nil || n != 0 {
		t.Errorf("the replaced file has %d names, %v", n, err)
	}
}

// bind mounts a file or a folder in the place of another.
func bind(t *testing.T, from, at string) {
	t.Helper()
	if err := unix.Mount(from, at, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("nothing can be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
}
