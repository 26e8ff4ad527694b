package bolt

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ass/vault/internal/fault"
)

// readOnlyFrom takes the right to write from an open file, as a disk does that fails.
func readOnlyFrom(t *testing.T, f *os.File) {
	t.Helper()
	only, err := os.Open(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer only.Close()
	if err := unix.Dup3(int(only.Fd()), int(f.Fd()), unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
}

// A commit that fails puts the meta pages back. If that fails too, the change may have been made.
func TestACommitThatCannotBeUndone(t *testing.T) {
	for what, metaChanges := range map[string]bool{"nothing to undo": false, "a meta page to put back": true} {
		db, err := Open(newFile(t), false)
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(func(tx *Tx) error {
			if metaChanges { // as if bbolt had written half of it
				older := (db.pages.txid + 1) % 2
				if _, err := db.file.WriteAt(make([]byte, 64), int64(older*PageSize+pageHeader)); err != nil {
					t.Fatal(err)
				}
			}
			readOnlyFrom(t, db.file)
			return tx.Put("x", []byte("k"), []byte("new"))
		})
		if err == nil || errors.Is(err, fault.ErrMaybeDone) != metaChanges {
			t.Errorf("%s: %v", what, err)
		}
		if again := db.Update(func(*Tx) error { return nil }); again == nil {
			t.Errorf("%s: it goes on", what)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What is put back is synced, or else it is not said to be.
func TestPutBackIsSynced(t *testing.T) {
	zero, err := os.OpenFile("/dev/zero", os.O_RDWR, 0) // takes every write, and no sync
	if err != nil {
		t.Fatal(err)
	}
	defer zero.Close()
	if err := (&DB{file: zero}).putBack([]byte(strings.Repeat("x", metaBytes))); !errors.Is(err, unix.EINVAL) {
		t.Errorf("%v", err)
	}
	if err := (&DB{file: zero}).putBack(make([]byte, metaBytes)); err != nil {
		t.Errorf("nothing to put back: %v", err)
	}
}
