package disk

import (
	"errors"
	"io/fs"
	"os"
)

// OpenFile opens a regular file. It refuses symbolic links.
func OpenFile(path string, flag int, perm os.FileMode) (*os.File, error) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: path, Err: errors.New("it is not a regular file")}
	}
	return os.OpenFile(path, flag, perm)
}

func hasOtherNames(*os.File) bool { return false }

// SyncDir does nothing and returns nil: Windows has no such call, and its renames are
// durable.
func SyncDir(string) error { return nil }
