package vault

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// This file opens files that somebody else may have put in their place, or may swap
// between a check and the opening.

// OpenFile opens a regular file for reading. It refuses symbolic links, and never
// blocks on a pipe or a device.
func OpenFile(path string) (*os.File, error) { return openNoFollow(path, os.O_RDONLY, 0) }

// ReadFile reads a regular file, which it opens with [OpenFile]. If the file has more
// than limit bytes, ReadFile returns an error and does not read to the end.
func ReadFile(path string, limit int64) ([]byte, error) {
	f, err := OpenFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return b, err
}

// AppendFile opens an existing regular file for appending. It refuses symbolic links,
// and files with several hard links: such a file may also lie in an unexpected place.
func AppendFile(path string) (*os.File, error) {
	f, err := openNoFollow(path, os.O_WRONLY|os.O_APPEND, 0)
	if err == nil && hasOtherNames(f) {
		f.Close()
		return nil, otherNames(path)
	}
	return f, err
}

func otherNames(path string) error {
	return &fs.PathError{Op: "open", Path: path, Err: errors.New("it has other hard links, so writing to it could change another file; remove it")}
}
