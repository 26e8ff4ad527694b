package vault

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"go.etcd.io/bbolt"
)

// ErrMaybeDone says that the disk failed at a point from which there is no way
// back: what was to be done may have been done, or may be undone by a power cut.
// The message says which. After every other error of the system's, nothing was
// changed.
var ErrMaybeDone = errors.New("it may have been done")

// metaBytes is the size of the two pages at the beginning of the file, the newer
// of which says what the file holds.
const metaBytes = 2 * pageSize

// update runs fn in a transaction and keeps all that it did or, on any error,
// nothing: the file is then put back as it was.
//
// bbolt syncs the pages of a transaction, writes the meta page that makes them
// count, and syncs that. When the last sync fails, so does the commit; but the
// system shows the new meta page to whoever opens the file next, and what was
// said to have failed has happened. So the meta page that was there before is
// put back. Pages are only ever written where nothing lies that counts, so both
// stand for a whole vault, whichever of them is on the disk.
func (st *store) update(fn func(*bbolt.Tx) error) error {
	defer func() { st.pages = nil }() // they are not what is committed any more
	var before [metaBytes]byte
	committing := false
	err := st.guard(func() error {
		switch _, err := st.file.ReadAt(before[:], 0); {
		case errors.Is(err, io.EOF):
			return notVault(st.path, "its first pages are missing: the file was cut")
		case err != nil:
			return err
		}
		return st.db.Update(func(b *bbolt.Tx) error {
			err := fn(b)
			committing = err == nil
			return err
		})
	})
	switch {
	case err == nil:
		_ = sumFreeList(st.file, st.path) // it is done without; see there
		return nil
	case !committing:
		return err // nothing was written
	}
	err = diskError(st.path, err)
	if st.putBack(before[:]) != nil {
		err = errorOf(ErrMaybeDone, "%v; the disk failed again when that was to be undone, so it is not known whether it was done: look before you run it again", err)
	}
	st.broken = err // what bbolt believes is in the file may not be there
	return err
}

// putBack makes the meta pages what they were. The one that bbolt did not write is
// not touched.
func (st *store) putBack(before []byte) error {
	var now [metaBytes]byte
	if _, err := st.file.ReadAt(now[:], 0); err != nil {
		return err
	}
	for at := 0; at < metaBytes; at += pageSize {
		was := before[at : at+pageSize]
		if bytes.Equal(was, now[at:at+pageSize]) {
			continue
		}
		if _, err := st.file.WriteAt(was, int64(at)); err != nil {
			return err
		}
		if err := st.file.Sync(); err != nil {
			return err
		}
	}
	return nil
}

// diskErrors are those of a disk that does not take what is written to it.
var diskErrors = []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG, syscall.EIO, syscall.EROFS}

// diskError names the file in an error of bbolt's, and finds what the system
// said where bbolt kept no more than its text.
func diskError(path string, err error) error {
	var (
		named *fs.PathError
		said  syscall.Errno
	)
	if errors.As(err, &named) {
		return err
	}
	if !errors.As(err, &said) {
		i := slices.IndexFunc(diskErrors, func(e syscall.Errno) bool { return strings.HasSuffix(err.Error(), ": "+e.Error()) })
		if i < 0 {
			return err
		}
		said = diskErrors[i]
	}
	return &fs.PathError{Op: "write", Path: path, Err: said}
}
