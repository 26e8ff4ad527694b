package vault

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"ass/audit"
	"ass/vault/disk"
	"ass/vault/internal/bolt"
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
		return err
	}
	return nil
}

// builder fills a new file.
type builder struct {
	*bolt.Builder
	t *tx
}

// fillFile builds a vault in the empty file at path.
func fillFile(path string, fill func(*builder) error) error {
	return bolt.Build(path, allBuckets, func(b *bolt.Builder) error {
		return fill(&builder{b, &tx{b: b.Tx}})
	})
}

// actFor makes the session the actor of the builder's transaction.
func (w *builder) actFor(s *Session) { w.t = s.newTx(w.Tx) }

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
	if err := w.Tx.Append(bucket, slices.Clone(k), slices.Clone(v)); err != nil {
		return err
	}
	return w.Wrote(len(k) + len(v))
}
