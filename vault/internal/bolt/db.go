package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"ass/vault/disk"
	"ass/vault/internal/fault"
)

// PageSize is the size of a page in bytes. It is fixed, so that a vault is the same file
// on every machine.
const PageSize = 4096

// DB is one open file. Only one goroutine may use it.
type DB struct {
	db     *bbolt.DB
	path   string
	file   *os.File // the file that db has open
	pages  *tree    // its pages, as last committed
	broken error    // if not nil: why db must no longer be used or closed

	neverSync bool
}

// Open opens the file at path, which must exist. If it returns an error, the file is
// unchanged.
func Open(path string, readOnly bool) (*DB, error) {
	st := &DB{path: path}
	if err := st.open(readOnly); err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return st, nil
}

// mapped is how many bytes of address space to map, even if the file is smaller. If a transaction makes the file outgrow
// the mapping, bbolt maps it anew, and first copies everything that the transaction has touched: five times
// in an import of a thousand secrets. On Windows, the file would be made as large as its mapping.
func mapped(readOnly bool) int {
	if readOnly || runtime.GOOS == "windows" {
		return 0
	}
	return 32 << 20
}

// Reopen opens the file again, for writing, after it was closed: another file took its place, or
// a commit failed. If that fails, the DB can no longer be used.
func (st *DB) Reopen() error {
	st.broken = nil
	st.broken = st.open(false)
	return st.broken
}

// NeverSync leaves it to the system when what is written comes to the disk, for a file that is thrown away.
func (st *DB) NeverSync() {
	st.neverSync = true
	st.db.NoSync, st.db.NoGrowSync = true, true
}

// IsNeverSynced reports whether [DB.NeverSync] holds for what is written.
func (st *DB) IsNeverSynced() bool { return st.db.NoSync && st.db.NoGrowSync }

func (st *DB) open(readOnly bool) error {
	return st.guard(func() (err error) {
		st.db, err = bbolt.Open(st.path, 0o600, &bbolt.Options{
			ReadOnly:     readOnly,
			Timeout:      patience,
			FreelistType: bbolt.FreelistMapType,
			PageSize:     PageSize,
			NoStatistics: true,

			InitialMmapSize: mapped(readOnly),
			OpenFile: func(path string, flag int, perm os.FileMode) (f *os.File, err error) {
				if f, err = disk.OpenExisting(path, flag, perm); err != nil {
					return nil, err
				}
				release, err := excludeWriters(f, st.path, readOnly)
				if err == nil {
					err = st.look(f, readOnly)
					release()
				}
				if err != nil {
					return nil, errors.Join(err, f.Close())
				}
				st.file = f
				return f, nil
			},
		})
		if !keepsLock {
			st.pages = nil // somebody may have written in between, so they are looked at again
		}
		if err == nil && st.neverSync {
			st.NeverSync()
		}
		switch {
		case errors.Is(err, bolterrors.ErrTimeout):
			return &fault.BusyError{Path: st.path, Waited: patience}
		case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum),
			errors.Is(err, bolterrors.ErrVersionMismatch):
			return fault.Unusable(st.path, "it is not a vault, or its first pages are damaged")
		case err == nil && !readOnly && st.pages != nil && st.pages.free == noFreeList:
			st.pages = nil // bbolt has just committed a list
		}
		return err
	})
}

// patience is how long to wait for bbolt's lock. The callers hold a lock of their own, which goes by
// the name of the file. Another program, or a process that knows the file by another name, may hold
// bbolt's.
const patience = 2 * time.Second

// excludeWriters takes bbolt's lock on an open file, shared or alone. Pages that somebody writes
// at the moment look damaged, so nobody looks at any without this lock.
func excludeWriters(f *os.File, path string, shared bool) (release func(), err error) {
	for start := time.Now(); ; time.Sleep(25 * time.Millisecond) {
		release, err = lockPages(f, shared)
		switch {
		case !errors.Is(err, disk.ErrLocked):
			return release, err
		case time.Since(start) > patience:
			return nil, &fault.BusyError{Path: path, Waited: patience}
		}
	}
}

// Names returns how many names the open file has; see [disk.Names].
func (st *DB) Names() (uint64, error) { return disk.Names(st.file) }

// look checks the pages that bbolt reads to open a file, before bbolt sees the file. For
// writing, bbolt also believes the list of free pages. If another program wrote that list,
// or ass died before it could vouch for it, look compares the list with all pages.
func (st *DB) look(f *os.File, readOnly bool) (err error) {
	if st.pages, err = readTree(f, st.path); err != nil {
		return err
	}
	if readOnly || st.pages.trusted {
		return nil
	}
	return st.pages.all()
}

// tree returns the pages as they were last committed.
func (st *DB) tree() (*tree, error) {
	var err error
	if st.pages == nil {
		st.pages, err = readTree(st.file, st.path)
	}
	return st.pages, err
}

// Close closes the file. It does nothing the second time, or if there is no DB.
func (st *DB) Close() error {
	if st == nil {
		return nil
	}
	if st.broken != nil {
		if st.file != nil {
			disk.Unlock(st.file) // bbolt's lock; its mapping of the file stays
			_ = st.file.Close()
		}
		return nil
	}
	if st.db == nil {
		return nil
	}
	err := st.db.Close()
	st.db = nil
	return err
}

// Leave closes the file, so that another can take its place. Until release, no process that knows it by
// another name writes to it. If one has done so since this DB looked at it, or does so now, there is
// an error, and the file is still open.
func (st *DB) Leave() (release func(), err error) {
	pages, err := st.tree()
	if err != nil {
		return nil, err
	}
	if !keepsLock { // Windows replaces no file that anybody has open
		_ = st.Close() // nothing is being written, so a failed close loses nothing
		return func() {}, nil
	}
	f, err := disk.OpenExisting(st.path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	_ = st.Close() // which ends bbolt's lock
	_, err = excludeWriters(f, st.path, false)
	if err == nil {
		var now *tree
		if now, err = readMeta(f, st.path); err == nil && now.txid != pages.txid {
			err = fault.New(fault.ErrConflict, "%s was changed meanwhile, by a process that knows it by another name; run it again",
				st.path)
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), st.Reopen())
	}
	return func() { _ = f.Close() }, nil
}

// guard runs fn. If bbolt panics or causes a page fault on a damaged file, guard
// returns an error. It lets our own panics through.
func (st *DB) guard(fn func() error) (err error) {
	if st.broken != nil {
		return st.broken
	}
	faults := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(faults)
		p := recover()
		if p == nil {
			return
		}
		_, faulted := p.(interface{ Addr() uintptr })
		if !faulted && !inBolt() {
			panic(p)
		}
		st.broken = errBroken(st.path)
		err = st.broken
	}()
	return fn()
}

func errBroken(path string) error { return fault.Unusable(path, "a page of the file is damaged") }

// inBolt reports whether bbolt raised the panic that is being recovered.
func inBolt() bool {
	pc := make([]uintptr, 32)
	frames := runtime.CallersFrames(pc[:runtime.Callers(0, pc)])
	panicking := false
	for {
		f, more := frames.Next()
		inRuntime := strings.HasPrefix(f.Function, "runtime.")
		if panicking && !inRuntime {
			return strings.HasPrefix(f.Function, "go.etcd.io/bbolt")
		}
		panicking = panicking || f.Function == "runtime.gopanic"
		if !more {
			return false
		}
	}
}

// View runs fn in a transaction and keeps no changes.
func (st *DB) View(fn func(*Tx) error) error {
	return st.guard(func() error {
		pages, err := st.tree()
		if err != nil {
			return err
		}
		return st.db.View(func(b *bbolt.Tx) error { return fn(&Tx{b: b, pages: pages, path: st.path}) })
	})
}

// Get returns a copy of a value, or nil if there is none.
func (st *DB) Get(bucket string, k []byte) (value []byte, err error) {
	err = st.View(func(t *Tx) error {
		v, err := t.Get(bucket, k)
		value = bytes.Clone(v)
		return err
	})
	return value, err
}

// Each calls fn for the keys of a bucket, in order.
func (st *DB) Each(bucket string, fn func(k, v []byte)) error {
	return st.View(func(t *Tx) error {
		return t.Walk(bucket, nil, func(k, v []byte) error {
			fn(k, v)
			return nil
		})
	})
}

// NewestFirst calls fn for the keys of a bucket, the last one first, until fn returns
// false.
func (st *DB) NewestFirst(bucket string, fn func(k, v []byte) bool) error {
	return st.View(func(t *Tx) error { return t.WalkBack(bucket, fn) })
}

// CheckPages checks every page; see [CheckFile].
func (st *DB) CheckPages() error {
	return st.guard(func() error {
		pages, err := st.tree()
		if err == nil {
			err = pages.all()
		}
		return err
	})
}

// Problems runs bbolt's own check, and returns what it finds. bbolt would follow a bucket among records, and one
// that leads to itself for ever, so such a bucket is all that is found.
func (st *DB) Problems() (problems []string, err error) {
	err = st.guard(func() error {
		pages, err := st.tree()
		if err == nil {
			err = pages.all()
		}
		if err != nil {
			return err
		}
		if pages.nested > 0 {
			problems = []string{fmt.Sprintf("pages: page %d has a bucket among records", pages.nested)}
			return nil
		}
		return st.db.View(func(b *bbolt.Tx) error {
			for problem := range b.Check() {
				problems = append(problems, "pages: "+problem.Error())
			}
			return nil
		})
	})
	return problems, err
}
