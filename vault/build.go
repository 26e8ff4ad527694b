package vault

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"go.etcd.io/bbolt"

	"ass/audit"
	"ass/vault/disk"
)

// newSuffix ends the name of a file that is being built beside the vault.
const newSuffix = ".new"

// prepareFile builds the new file for path under another name. disk.Publish renames it
// to path. Before that rename, nothing has changed; after it, everything has.
func prepareFile(path string, fill func(*builder) error) error {
	if err := os.Remove(path + newSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return makeFile(path+newSuffix, fill)
}

// makeFile builds a file at path, which must be free. On an error, it leaves no file.
func makeFile(path string, fill func(*builder) error) error {
	if err := disk.Reserve(path, strings.TrimSuffix(path, newSuffix)); err != nil {
		return err
	}
	if err := fillFile(path, fill); err != nil {
		_ = os.Remove(path)
		return diskError(path, err)
	}
	return nil
}

func fillFile(path string, fill func(*builder) error) error {
	// Nothing is at stake before the rename, so nothing is synced until the end.
	var file *os.File
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		FreelistType: bbolt.FreelistMapType, PageSize: pageSize, NoSync: true, NoGrowSync: true, NoStatistics: true,
		OpenFile: func(path string, flag int, perm os.FileMode) (f *os.File, err error) {
			file, err = disk.OpenExisting(path, flag, perm)
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

// actFor makes the session the actor of the builder's transaction.
func (w *builder) actFor(s *Session) { w.t = s.newTx(w.t.b) }

// wrote counts the bytes that were written, and commits after every 2 MiB.
func (w *builder) wrote(bytes int) error {
	const most = 2 << 20
	if w.n += bytes; w.n < most {
		return nil
	}
	w.n = 0
	if err := w.t.b.Commit(); err != nil {
		return err
	}
	return w.begin()
}

// copyRaw copies every bucket as it is, without the log entries up to cut. The new file
// has none of the data in the old file's free pages.
func (w *builder) copyRaw(old *tx, cut uint64, progress func(done, total int)) error {
	done, total := 0, int(old.head.count+old.head.log.Seq)
	for _, name := range allBuckets {
		err := old.walk(name, nil, func(k, v []byte) error {
			if done++; done%1000 == 0 || done == total {
				progress(done, total)
			}
			if name == bucketAudit && cut > 0 && audit.Seq(k) <= cut {
				return nil
			}
			return w.putRaw(name, k, v)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// copyMeta copies values of the meta bucket that a new epoch does not change.
func (w *builder) copyMeta(old *tx, names ...string) error {
	for _, name := range names {
		value, err := old.get(bucketMeta, []byte(name))
		if err != nil {
			return err
		}
		if err := w.t.putMeta(name, bytes.Clone(value)); err != nil {
			return err
		}
	}
	return nil
}

// putRaw stores a key and a value as they are.
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
