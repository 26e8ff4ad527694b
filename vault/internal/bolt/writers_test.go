package bolt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"ass/vault/disk"
	"ass/vault/internal/fault"
)

// made makes a file with a bucket and some keys.
func made(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := Build(path, []string{"b"}, func(w *Builder) error {
		for i := range 200 {
			if err := w.Tx.Put("b", fmt.Appendf(nil, "%03d", i), make([]byte, 100)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Somebody else writes to the file, and is in the middle of it: pages are torn until the lock is
// released. Whoever opens the file, whatever its name is to them, waits for that, and does not say that it is
// damaged; if it takes too long, they say that it is busy.
func TestPagesAreNotReadWhileSomebodyWrites(t *testing.T) {
	open := func(readOnly bool) func(string) error {
		return func(path string) error {
			st, err := Open(path, readOnly)
			if err != nil {
				return err
			}
			return st.Close()
		}
	}
	for name, look := range map[string]func(path string) error{
		"to read": open(true), "to write": open(false),
		"to scan": func(path string) error {
			found, err := ScanFile(path, func(_, value uint64) bool { return value == 100 })
			if err == nil && len(found) < 200 {
				err = fault.Damaged(path, "%d of 200 elements", len(found))
			}
			return err
		},
	} {
		for _, long := range []bool{false, true} {
			if long && testing.Short() {
				continue
			}
			path := made(t)
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			release, err := lockPages(f, false)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt(make([]byte, len(whole)-2*PageSize), 2*PageSize); err != nil {
				t.Fatal(err)
			}
			end := func() {
				if _, err := f.WriteAt(whole, 0); err != nil {
					t.Error(err)
				}
				release()
				_ = f.Close()
			}
			if !long {
				time.AfterFunc(200*time.Millisecond, end)
			}
			start := time.Now()
			err = look(path)
			for tries := 0; !long && errors.As(err, new(*fault.BusyError)) && tries < 10; tries++ {
				err = look(path) // the machine has so much to do that the writer did not come to its end in time
			}
			took := time.Since(start)
			switch busy := (*fault.BusyError)(nil); {
			case long && (!errors.As(err, &busy) || took > 2*patience):
				t.Errorf("%s, for too long: %v after %v", name, err, took)
			case !long && (err != nil || took < 100*time.Millisecond):
				t.Errorf("%s: %v after %v", name, err, took)
			}
			if long {
				end()
			}
		}
	}
}

// Two processes know a file by two names, and write in turn: nobody finds a damaged page, and no
// write is lost.
func TestTwoNamesOfOneFile(t *testing.T) {
	path := made(t)
	other := filepath.Join(t.TempDir(), "other")
	if err := os.Link(path, other); err != nil {
		t.Skip(err)
	}
	const writes = 30
	var all sync.WaitGroup
	errs := make(chan error, 4*writes)
	for who, name := range []string{path, other} {
		all.Go(func() {
			for i := range writes {
				st, err := Open(name, false)
				if err == nil {
					err = errors.Join(st.Update(func(t *Tx) error {
						return t.Put("b", fmt.Appendf(nil, "new %d %d", who, i), make([]byte, 3000))
					}), st.Close())
				}
				if busy := (*fault.BusyError)(nil); errors.As(err, &busy) {
					err = nil
				}
				errs <- err
			}
		})
		all.Go(func() {
			for range writes {
				st, err := Open(name, true)
				if err == nil {
					err = errors.Join(st.Each("b", func(_, _ []byte) {}), st.Close())
				}
				if busy := (*fault.BusyError)(nil); errors.As(err, &busy) {
					err = nil
				}
				errs <- err
			}
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	st, err := Open(path, true)
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := st.Problems(); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
	if err := st.Close(); err != nil {
		t.Error(err)
	}
}

// Until another file is in its place, nobody writes to the file that is left. If somebody did, it is not
// replaced.
func TestLeave(t *testing.T) {
	path := made(t)
	st, err := Open(path, false)
	if err != nil {
		t.Fatal(err)
	}
	release, err := st.Leave()
	if err != nil {
		t.Fatal(err)
	}
	if keepsLock {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lockPages(f, true); !errors.Is(err, disk.ErrLocked) {
			t.Errorf("another process can write: %v", err)
		}
		_ = f.Close()
	}
	release()
	if err := st.Reopen(); err != nil {
		t.Fatal(err)
	}
	pages, err := st.tree()
	if err != nil {
		t.Fatal(err)
	}
	pages.txid-- // as if there were one more by now
	if _, err = st.Leave(); keepsLock && !errors.Is(err, fault.ErrConflict) {
		t.Errorf("somebody else has written: %v", err)
	}
	if err := st.Update(func(t *Tx) error { return t.Put("b", []byte("k"), nil) }); keepsLock && err != nil {
		t.Errorf("the file is not open any more: %v", err)
	}
	if err := st.Close(); err != nil {
		t.Error(err)
	}
}
