package leaks

import (
	"os"
	"path/filepath"
)

func openRoot(path string) (*os.File, error) { return os.Open(path) }

// openIn opens what a folder has under a name. It leaves a name alone that has become a link since it was listed.
func openIn(dir *os.File, name string, _ bool) (*os.File, error) {
	path := filepath.Join(dir.Name(), name)
	info, err := os.Lstat(path)
	if err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		err = os.ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}

func hasEntry(dir *os.File, name string) bool {
	_, err := os.Lstat(filepath.Join(dir.Name(), name))
	return err == nil
}
