package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"go.etcd.io/bbolt"
)

// newSuffix ends the name of a file that is being built beside the vault.
const newSuffix = ".new"

// prepareFile builds what is to become the file at path, under another name.
// publishFile puts it in place. Before its rename nothing happened; after it
// everything did.
func prepareFile(path string, fill func(*builder) error) error {
	temp := path + newSuffix
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := openNoFollow(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = f.Close()
	if err == nil {
		err = fillFile(temp, fill)
	}
	if err != nil {
		_ = os.Remove(temp)
	}
	return err
}

func publishFile(path string) (published bool, err error) {
	if err := os.Rename(path+newSuffix, path); err != nil {
		_ = os.Remove(path + newSuffix)
		return false, err
	}
	if err := SyncDir(filepath.Dir(path)); err != nil {
		return true, fmt.Errorf("it was done, but may not outlive a power cut: %w", err)
	}
	return true, nil
}

func fillFile(path string, fill func(*builder) error) error {
	// Nothing is at stake before the rename, so nothing is synced until the end.
	var file *os.File
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		FreelistType: bbolt.FreelistMapType, PageSize: pageSize, NoSync: true, NoGrowSync: true, NoStatistics: true,
		OpenFile: func(path string, flag int, perm os.FileMode) (f *os.File, err error) {
			file, err = openExisting(path, flag, perm)
			return file, err
		},
	})
	if err != nil {
		return err
	}
	w := &builder{db: db, t: &tx{}}
	err = w.begin()
	if err == nil {
		for _, name := range allBuckets {
			if _, err = w.t.b.CreateBucket([]byte(name)); err != nil {
				break
			}
		}
	}
	if err == nil {
		err = fill(w)
	}
	if err == nil {
		err = w.t.b.Commit()
	} else if w.t.b != nil {
		_ = w.t.b.Rollback()
	}
	if err == nil {
		err = sumFreeList(file, path)
	}
	if err == nil {
		err = db.Sync()
	}
	return errors.Join(err, db.Close())
}

// builder fills a new file, in transactions small enough for memory.
type builder struct {
	db *bbolt.DB
	t  *tx
	n  int // bytes since the last commit
}

func (w *builder) begin() (err error) {
	w.t.b, err = w.db.Begin(true)
	return err
}

// actFor makes the builder's transaction one of the session.
func (w *builder) actFor(s *Session) { w.t = s.newTx(w.t.b) }

// wrote counts what was written, and commits now and then.
func (w *builder) wrote(bytes int) error {
	const most = 16 << 20
	if w.n += bytes; w.n < most {
		return nil
	}
	w.n = 0
	if err := w.t.b.Commit(); err != nil {
		return err
	}
	return w.begin()
}

// putRaw stores bytes as they are.
func (w *builder) putRaw(bucket string, k, v []byte) error {
	b, err := w.t.bucket(bucket)
	if err != nil {
		return err
	}
	b.FillPercent = 0.9
	if err := b.Put(slices.Clone(k), slices.Clone(v)); err != nil {
		return err
	}
	return w.wrote(len(k) + len(v))
}
