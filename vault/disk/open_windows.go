package disk

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// OpenFile opens a regular file. It refuses symbolic links.
func OpenFile(path string, flag int, perm os.FileMode) (*os.File, error) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: path, Err: errors.New("it is not a regular file")}
	}
	return os.OpenFile(path, flag, perm)
}

// Names returns how many names an open file has: its hard links.
func Names(f *os.File) (uint64, error) {
	var info windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(windows.Handle(f.Fd()), &info); err != nil {
		return 0, &fs.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return uint64(info.NumberOfLinks), nil
}

// SyncDir does nothing and returns nil: Windows has no such call. A rename waits for the disk itself;
// see rename_windows.go.
func SyncDir(string) error { return nil }
