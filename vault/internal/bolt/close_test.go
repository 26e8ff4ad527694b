package bolt

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"ass/vault/internal/fault"
)

// A panic of bbolt is damage, and any other one is a mistake of ours.
func TestWhosePanic(t *testing.T) {
	st := &DB{path: "f"}
	err := st.guard(func() error { _ = new(bbolt.Tx).Bucket([]byte("b")); return nil })
	if !errors.Is(err, fault.ErrDamaged) || !errors.Is(st.broken, fault.ErrDamaged) {
		t.Errorf("bbolt's: %v", err)
	}
	defer func() {
		if recover() != "ours" {
			t.Error("ours was taken for damage")
		}
	}()
	err = (&DB{path: "f"}).guard(func() error { panic("ours") })
	t.Errorf("ours: %v", err)
}

// After a commit whose outcome is not known, bbolt must not close the file. Closing the DB still
// releases bbolt's lock, which the mapping of the file would keep.
func TestABrokenFileIsNotLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Build(path, []string{"b"}, func(*Builder) error { return nil }); err != nil {
		t.Fatal(err)
	}
	st, err := Open(path, false)
	if err != nil {
		t.Fatal(err)
	}
	db := st.db
	defer db.Close() // only so that the test keeps no mapping
	st.broken = errors.New("broken")
	if err := st.View(func(*Tx) error { return nil }); err != st.broken {
		t.Errorf("it is still read: %v", err)
	}
	if err := st.Update(func(*Tx) error { return nil }); err != st.broken {
		t.Errorf("it is still written: %v", err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(path, false)
	if err != nil {
		t.Fatalf("the same process, or another, cannot open it: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
