package bolt

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ass/vault/internal/fault"
)

// writeMeta gives one meta page of a file another transaction number, and the sum that belongs to it.
func writeMeta(t *testing.T, path string, page, txid uint64) { changeMeta(t, path, page, 48, txid) }

// changeMeta changes a field of a meta page, and the sum.
func changeMeta(t *testing.T, path string, page uint64, at int, v uint64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 64)
	if _, err := f.ReadAt(b, int64(page*PageSize+pageHeader)); err != nil {
		t.Fatal(err)
	}
	order.PutUint64(b[at:], v)
	order.PutUint64(b[56:], metaSum(b[:56]))
	if _, err := f.WriteAt(b, int64(page*PageSize+pageHeader)); err != nil {
		t.Fatal(err)
	}
}

func newFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	err := errors.Join(os.WriteFile(path, nil, 0o600),
		Build(path, []string{"x"}, func(b *Builder) error { return b.Tx.Put("x", []byte("k"), []byte("v")) }))
	if err == nil {
		err = putIn(path, "v") // so that the bucket is in both meta pages
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func putIn(path, value string) error {
	db, err := Open(path, false)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *Tx) error { return tx.Put("x", []byte("k"), []byte(value)) })
	return errors.Join(err, db.Close())
}

// A meta page with a number that no transaction has there is refused. After the highest number,
// a transaction would have the number 0: it would be lost, and nobody would be told.
func TestTransactionNumbers(t *testing.T) {
	for _, c := range []struct {
		page, txid uint64
		refused    bool
	}{
		{0, maxTxID - 2, false}, {1, maxTxID - 1, false}, {0, 6, false}, {1, 7, false},
		{0, maxTxID, true}, {0, maxTxID + 2, true}, {1, maxTxID + 1, true}, {1, math.MaxUint64, true}, {0, math.MaxUint64 - 1, true},
		{1, 1<<63 + 1, true}, {0, 7, true}, {1, 6, true},
	} {
		path := newFile(t)
		writeMeta(t, path, c.page, c.txid)
		err := putIn(path, "new")
		if refused := errors.Is(err, fault.ErrDamaged); refused != c.refused {
			t.Errorf("transaction %d in page %d: %v", c.txid, c.page, err)
		}
		if err != nil {
			continue
		}
		db, err := Open(path, true)
		if err != nil {
			t.Errorf("transaction %d in page %d: %v", c.txid, c.page, err)
			continue
		}
		if v, err := db.Get("x", []byte("k")); err != nil || string(v) != "new" {
			t.Errorf("transaction %d in page %d: %q is there, %v", c.txid, c.page, v, err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// If the meta page of the newest transaction is lost, the other one leads to what was there before, so
// the file is refused. Without the older one, nothing is missing.
func TestALostMetaPage(t *testing.T) {
	for _, lost := range []string{"older", "newest"} {
		path := newFile(t)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		page := 0
		newer := order.Uint64(b[pageHeader+48:]) > order.Uint64(b[PageSize+pageHeader+48:])
		if newer != (lost == "newest") {
			page = 1
		}
		b[page*PageSize+pageHeader+16] ^= 1
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := Open(path, true)
		if refused := errors.Is(err, fault.ErrDamaged); refused != (lost == "newest") {
			t.Errorf("the %s is lost: %v", lost, err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// If the file does not show a transaction as its newest after the commit, it is not acknowledged.
func TestCommitIsConfirmed(t *testing.T) {
	path := newFile(t)
	db, err := Open(path, false)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *Tx) error {
		last := db.pages.txid
		writeMeta(t, path, last%2, last+10) // somebody writes meanwhile
		return tx.Put("x", []byte("k"), []byte("new"))
	})
	if !errors.Is(err, fault.ErrMaybeDone) || !strings.Contains(err.Error(), "cannot be found in the file") {
		t.Errorf("%v", err)
	}
	if err := db.Update(func(*Tx) error { return nil }); err == nil {
		t.Error("it goes on")
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// A file without a list of free pages can be written: bbolt makes the list when it opens the file,
// in a transaction of its own.
func TestNoListOfFreePages(t *testing.T) {
	path := newFile(t)
	for page := range uint64(2) {
		changeMeta(t, path, page, 32, noFreeList)
	}
	for _, value := range []string{"one", "two"} {
		if err := putIn(path, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := CheckFile(path); err != nil {
		t.Error(err)
	}
}
