package leaks

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// isSparse reports whether a file has fewer blocks than bytes.
func isSparse(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Blocks*512 < info.Size()
}

// readSparse searches a file with holes, which it skips.
func (s *Scan) readSparse(k *worker, f *os.File, size int64) error {
	for at := int64(0); at < size; {
		data, err := f.Seek(at, unix.SEEK_DATA)
		switch {
		case errors.Is(err, unix.ENXIO): // nothing but a hole from here on
			k.search.Skip(size - at)
			return nil
		case err != nil: // a file system without holes
			if _, err := f.Seek(at, io.SeekStart); err != nil {
				return err
			}
			return s.readPart(k, f, size-at)
		case data > at:
			k.search.Skip(min(data, size) - at)
		}
		hole, err := f.Seek(data, unix.SEEK_HOLE)
		if err != nil {
			hole = size
		}
		if _, err := f.Seek(data, io.SeekStart); err != nil {
			return err
		}
		if err := s.readPart(k, f, min(hole, size)-min(data, size)); err != nil {
			return err
		}
		at = max(hole, at+1)
	}
	return nil
}
