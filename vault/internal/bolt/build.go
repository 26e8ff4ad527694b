package bolt

import (
	"errors"
	"os"

	"go.etcd.io/bbolt"

	"ass/vault/disk"
)

// Builder fills a new file, in transactions small enough for memory.
type Builder struct {
	Tx *Tx // the current transaction

	db *bbolt.DB
	n  int // bytes since the last commit
}

// Build makes the empty file at path a file with some buckets. fill writes what is in
// them. Nothing is at stake yet, so nothing is synced until the end. On an error, the
// content of the file is undefined.
func Build(path string, buckets []string, fill func(*Builder) error) error {
	return diskError(path, build(path, buckets, fill))
}

func build(path string, buckets []string, fill func(*Builder) error) error {
	var file *os.File
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		FreelistType: bbolt.FreelistMapType, PageSize: PageSize, NoSync: true, NoGrowSync: true, NoStatistics: true,
		OpenFile: func(path string, flag int, perm os.FileMode) (f *os.File, err error) {
			file, err = disk.OpenExisting(path, flag, perm)
			return file, err
		},
	})
	if err != nil {
		return err
	}
	w := &Builder{db: db, Tx: &Tx{path: path}}
	err = w.fill(buckets, fill)
	if err == nil {
		err = sumFreeList(file, path)
	}
	if err == nil {
		err = db.Sync()
	}
	return errors.Join(err, db.Close())
}

// fill makes the buckets, calls fn and commits.
func (w *Builder) fill(buckets []string, fn func(*Builder) error) error {
	if err := w.begin(); err != nil {
		return err
	}
	for _, name := range buckets {
		if _, err := w.Tx.b.CreateBucket([]byte(name)); err != nil {
			return errors.Join(err, w.Tx.b.Rollback())
		}
	}
	if err := fn(w); err != nil {
		if w.Tx.b != nil {
			_ = w.Tx.b.Rollback()
		}
		return err
	}
	return w.Tx.b.Commit()
}

func (w *Builder) begin() (err error) {
	w.Tx.b, err = w.db.Begin(true)
	return err
}

// Wrote counts the bytes that were written, and commits after every 2 MiB. Keys and
// values that the transaction gave out are then no longer valid.
func (w *Builder) Wrote(bytes int) error {
	const most = 2 << 20
	if w.n += bytes; w.n < most {
		return nil
	}
	w.n = 0
	if err := w.Tx.b.Commit(); err != nil {
		return err
	}
	return w.begin()
}
