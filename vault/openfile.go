package vault

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// How every file is opened that somebody else could have put where it lies,
// or could put there between a look and an opening.

// OpenFile opens a regular file for reading. It follows no link, and waits for no
// pipe and no device.
func OpenFile(path string) (*os.File, error) { return openNoFollow(path, os.O_RDONLY, 0) }

// ReadFile reads a regular file, as [OpenFile] opens it. One of more than limit
// bytes is an error, and is not read to its end.
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

// AppendFile opens a regular file that is there, and no link to one, for writing
// behind its end. A file that has other names as well is refused: by a hard link it
// may lie where it is not expected.
func AppendFile(path string) (*os.File, error) {
	f, err := openNoFollow(path, os.O_WRONLY|os.O_APPEND, 0)
	if err == nil && hasOtherNames(f) {
		f.Close()
		return nil, otherNames(path)
	}
	return f, err
}

func otherNames(path string) error {
	return &fs.PathError{Op: "open", Path: path, Err: errors.New("it is another file as well, by a hard link; remove it")}
}
