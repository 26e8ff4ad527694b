package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Open opens a regular file for reading. It refuses symbolic links, and never blocks on a
// pipe or a device.
func Open(path string) (*os.File, error) { return OpenFile(path, os.O_RDONLY, 0) }

// OpenExisting is [OpenFile] for a file that exists, whatever flag says.
func OpenExisting(path string, flag int, perm os.FileMode) (*os.File, error) {
	return OpenFile(path, flag&^os.O_CREATE, perm)
}

// ReadFile reads a regular file, which it opens with [Open]. It also returns the [Access]
// to the file that it opened: by now, the name may belong to another file. (On Windows, it
// cannot as long as the file is open.) If the file has more than limit bytes, ReadFile returns an
// error and does not read to the end.
func ReadFile(path string, limit int64) (b []byte, access Access, err error) {
	f, err := Open(path)
	if err != nil {
		return nil, Access{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, Access{}, err
	}
	access = AccessTo(path, info)
	b, err = io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = &TooLargeError{path, limit}
	}
	return b, access, err
}

// TooLargeError says that a file has more bytes than the caller allows.
type TooLargeError struct {
	Path  string
	Limit int64 // in bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%s is larger than %d bytes", e.Path, e.Limit)
}

// Append opens an existing regular file for appending, as [OpenAlone] does.
func Append(path string) (*os.File, error) { return OpenAlone(path, os.O_WRONLY|os.O_APPEND) }

// OpenAlone opens a regular file that is changed in place. It refuses symbolic links, and files
// with several hard links: such a file may also lie in an unexpected place.
func OpenAlone(path string, flag int) (*os.File, error) {
	f, err := OpenFile(path, flag, 0o600)
	if err == nil && hasOtherNames(f) {
		f.Close()
		return nil, otherNames(path)
	}
	return f, err
}

func hasOtherNames(f *os.File) bool {
	n, err := Names(f)
	return err == nil && n > 1
}

func otherNames(path string) error {
	return &fs.PathError{Op: "open", Path: path,
		Err: errors.New("it has other hard links, so writing to it could change " +
			"another file; remove it")}
}

// CheckRegular returns an error that names what lies at path, if that is not a regular file.
func CheckRegular(path string) error {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return err
	case info.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%s is a symbolic link, which ass does not follow here", path)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file", path)
	}
	return nil
}
