package bolt

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"ass/vault/internal/fault"

	"go.etcd.io/bbolt"
)

// metaBytes is the size of the two meta pages at the beginning of the file. The newer
// one says what the file holds.
const metaBytes = 2 * PageSize

// Update runs fn in a transaction and commits it. On any error, nothing of it is kept:
// the file is then put back as it was.
//
// bbolt syncs the pages of a transaction, writes the meta page that makes them valid,
// and syncs that. If the last sync fails, the commit fails. But the system shows the
// new meta page to the next program that opens the file, so the failed commit would
// take effect. So Update puts back the old meta page. bbolt writes no page that is in
// use, so both meta pages describe a whole vault, whichever of them is on the disk.
func (st *DB) Update(fn func(*Tx) error) error {
	defer func() { st.pages = nil }() // they no longer match the committed pages
	var before [metaBytes]byte
	committing := false
	var last uint64 // the transaction before
	err := st.guard(func() error {
		switch _, err := st.file.ReadAt(before[:], 0); {
		case errors.Is(err, io.EOF):
			return fault.Unusable(st.path, "its first pages are missing: the file was truncated")
		case err != nil:
			return err
		}
		pages, err := st.tree()
		if err != nil {
			return err
		}
		if last = pages.txid; last == maxTxID {
			return pages.bad("no transaction can follow number %d", last)
		}
		st.db.AllocSize = spare(pages.high)
		return st.db.Update(func(b *bbolt.Tx) error {
			err := fn(&Tx{b: b, pages: pages, path: st.path})
			committing = err == nil
			return err
		})
	})
	switch {
	case err == nil:
		w, err := readMeta(st.file, st.path)
		if err == nil && w.txid != last+1 {
			err = w.bad("its newest transaction is number %d, though number %d was committed", w.txid, last+1)
		}
		if err != nil {
			st.broken = fault.New(fault.ErrMaybeDone, "the change was written, but cannot be found in the file: %v", err)
			return st.broken
		}
		_ = w.sumFreeList() // the sum is optional
		return nil
	case !committing:
		return err // nothing was written
	}
	err = diskError(st.path, err)
	if st.putBack(before[:]) != nil {
		err = fault.New(fault.ErrMaybeDone, "%v; undoing the change failed too, so it may or may not have been made: check "+
			"before you run it again", err)
	}
	st.broken = err // what bbolt believes is in the file may not be there
	return err
}

// spare is by how many bytes a file of so many pages gets larger than it must, when it has to grow: as many as it has.
func spare(pages uint64) int { return int(min(max(pages*PageSize, 32<<10), 16<<20)) }

// putBack restores the meta pages. It does not touch one that bbolt did not write.
func (st *DB) putBack(before []byte) error {
	var now [metaBytes]byte
	if _, err := st.file.ReadAt(now[:], 0); err != nil {
		return err
	}
	for at := 0; at < metaBytes; at += PageSize {
		was := before[at : at+PageSize]
		if bytes.Equal(was, now[at:at+PageSize]) {
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

// diskErrors are the errors of a disk that refuses writes.
var diskErrors = []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG, syscall.EIO, syscall.EROFS}

// diskError adds the name of the file to an error of bbolt's. If bbolt kept only the
// text of a system error, diskError finds the error again.
func diskError(path string, err error) error {
	var (
		named *fs.PathError
		said  syscall.Errno
	)
	if err == nil || errors.As(err, &named) {
		return err
	}
	if !errors.As(err, &said) {
		i := slices.IndexFunc(diskErrors, func(e syscall.Errno) bool {
			return strings.HasSuffix(err.Error(),
				": "+e.Error())
		})
		if i < 0 {
			return err
		}
		said = diskErrors[i]
	}
	return &fs.PathError{Op: "write", Path: path, Err: said}
}
