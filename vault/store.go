package vault

import (
	"bytes"
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"ass/audit"
	"ass/vault/disk"
	"ass/vault/internal/fault"
)

// This file, commit.go, tx.go and build.go are the only ones that touch bbolt. Below them
// are pages; above them are records whose MAC has been checked.

// The buckets. All except meta and audit hold records. The digest in the head
// covers all records.
const (
	bucketMeta       = "meta"
	bucketRecipients = "recipients"
	bucketSecrets    = "secrets"
	bucketVersions   = "versions"
	bucketReseal     = "unsealed"
	bucketAgents     = "agents"
	bucketGrants     = "grants"
	bucketTokens     = "tokens"
	bucketUses       = "uses"
	bucketRequests   = "asks"
	bucketDecisions  = "answers"
	bucketAudit      = "audit"
)

var recordBuckets = []string{
	bucketRecipients, bucketSecrets, bucketVersions, bucketReseal, bucketAgents,
	bucketGrants, bucketTokens, bucketUses, bucketRequests, bucketDecisions,
}

var allBuckets = append([]string{bucketMeta, bucketAudit}, recordBuckets...)

// The keys of the meta bucket.
const (
	metaFormat = "format" // "ass/1"
	metaVault  = "vault"  // the vault id, 16 bytes; the owner recomputes it
	metaRoot   = "root"   // the root, an age file encrypted to the owner
	metaBind   = "bind"   // ties the root to the owner's identity
	metaEpoch  = "epoch"  // u32 number ‖ the epoch's secret, sealed under the root
	metaHead   = "head"   // see head
)

var metaNames = []string{metaFormat, metaVault, metaRoot, metaBind, metaEpoch, metaHead}

const (
	format       = "ass/1"
	formatPrefix = "ass/"
)

// pageSize is fixed, so that a vault is the same file on every machine.
const pageSize = 4096

// store is one open bbolt file.
type store struct {
	db     *bbolt.DB
	path   string
	file   *os.File // the file that db has open
	pages  *tree    // its pages, as last committed
	broken error    // if not nil: why db must no longer be used or closed
}

func (st *store) open(readOnly bool) error {
	return st.guard(func() (err error) {
		st.db, err = bbolt.Open(st.path, 0o600, &bbolt.Options{
			ReadOnly:     readOnly,
			Timeout:      2 * time.Second, // we hold our own lock; a foreign tool may hold bbolt's
			FreelistType: bbolt.FreelistMapType,
			PageSize:     pageSize,
			NoStatistics: true,
			OpenFile: func(path string, flag int, perm os.FileMode) (f *os.File, err error) {
				if f, err = disk.OpenExisting(path, flag, perm); err != nil {
					return nil, err
				}
				if err := st.look(f, readOnly); err != nil {
					return nil, errors.Join(err, f.Close())
				}
				st.file = f
				return f, nil
			},
		})
		switch {
		case errors.Is(err, bolterrors.ErrTimeout):
			return &BusyError{Path: st.path, Waited: 2 * time.Second}
		case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
			return fault.NotVault(st.path, "it is not a vault, or its first pages are damaged")
		}
		return err
	})
}

// look checks the pages that bbolt reads to open a file, before bbolt sees the file. For
// writing, bbolt also believes the list of free pages. If another program wrote that list,
// or ass died before it could vouch for it, look compares the list with all pages.
func (st *store) look(f *os.File, readOnly bool) (err error) {
	if st.pages, err = readTree(f, st.path); err != nil {
		return err
	}
	if readOnly || st.pages.trusted {
		return nil
	}
	return st.pages.all()
}

// tree returns the pages as they were last committed.
func (st *store) tree() (*tree, error) {
	var err error
	if st.pages == nil {
		st.pages, err = readTree(st.file, st.path)
	}
	return st.pages, err
}

func (st *store) close() error {
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

// guard runs fn. If bbolt panics or causes a page fault on a damaged file, guard
// returns an error. It lets our own panics through.
func (st *store) guard(fn func() error) (err error) {
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

func errBroken(path string) error { return fault.NotVault(path, "a page of the file is damaged") }

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

// get returns a copy of a value, or nil if there is none.
func (st *store) get(bucket string, k []byte) (value []byte, err error) {
	err = st.read(bucket, func(w *tree, b *bbolt.Bucket) error {
		_, err := w.leafAndNeighbour(bucket, k, 1) // see tx.get
		if err == nil {
			value = bytes.Clone(b.Get(k))
		}
		return err
	})
	return value, err
}

func (st *store) meta(name string) ([]byte, error) { return st.get(bucketMeta, []byte(name)) }

// read runs fn on one bucket. It needs no key and checks no record. fn itself must check
// each page before bbolt reads it.
func (st *store) read(bucket string, fn func(*tree, *bbolt.Bucket) error) error {
	return st.guard(func() error {
		w, err := st.tree()
		if err != nil {
			return err
		}
		return st.db.View(func(b *bbolt.Tx) error {
			in := b.Bucket([]byte(bucket))
			if in == nil {
				return fault.NotVault(st.path, "it is not a vault: its bucket "+bucket+" is missing")
			}
			return fn(w, in)
		})
	})
}

// checkPages runs bbolt's own check, and returns what it finds.
func (st *store) checkPages() (problems []string, err error) {
	err = st.guard(func() error {
		return st.db.View(func(b *bbolt.Tx) error {
			for problem := range b.Check() {
				problems = append(problems, "pages: "+problem.Error())
			}
			return nil
		})
	})
	return problems, err
}

// lastEntry returns the number and the MAC of the newest log entry, and those of
// the entry at, if that exists. It needs no key.
func (st *store) lastEntry(at uint64) (last, then mark, err error) {
	err = st.read(bucketAudit, func(w *tree, b *bbolt.Bucket) error {
		if _, err := w.last(bucketAudit); err != nil {
			return err
		}
		if k, v := b.Cursor().Last(); k != nil {
			last = mark{Seq: audit.Seq(k), MAC: macOf(v)}
		}
		if _, err := w.lookup(bucketAudit, audit.Key(at)); err != nil {
			return err
		}
		if v := b.Get(audit.Key(at)); v != nil {
			then = mark{Seq: at, MAC: macOf(v)}
		}
		return nil
	})
	return last, then, err
}

// firstEntry returns the number of the oldest log entry that is not archived; 0
// if there is none.
func (st *store) firstEntry() (seq uint64, err error) {
	err = st.read(bucketAudit, func(w *tree, b *bbolt.Bucket) error {
		err := w.walk(bucketAudit, b, nil, func(k, _ []byte) error {
			if seq = audit.Seq(k); seq > 0 { // else it is the checkpoint
				return errStop
			}
			return nil
		})
		if errors.Is(err, errStop) {
			err = nil
		}
		return err
	})
	return seq, err
}

// newestFirst calls fn for the records of a bucket, the last key first, until fn
// returns false.
func (st *store) newestFirst(bucket string, fn func(k, v []byte) bool) error {
	return st.read(bucket, func(w *tree, b *bbolt.Bucket) error {
		leaf, err := w.last(bucket)
		if err != nil {
			return err
		}
		c := b.Cursor()
		for k, v := c.Last(); k != nil && fn(k, v); k, v = c.Prev() {
			if bytes.Compare(k, leaf.first) < 0 {
				if leaf, err = w.leafAndNeighbour(bucket, k, -1); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// each calls fn for the records of a bucket.
func (st *store) each(bucket string, fn func(k, v []byte)) error {
	return st.read(bucket, func(w *tree, b *bbolt.Bucket) error {
		return w.walk(bucket, b, nil, func(k, v []byte) error {
			fn(k, v)
			return nil
		})
	})
}

// walk calls fn for every key of a bucket that begins with prefix, in order. It
// checks each page before bbolt reads it.
func (w *tree) walk(bucket string, b *bbolt.Bucket, prefix []byte, fn func(k, v []byte) error) error {
	return w.walkFrom(bucket, b, prefix, prefix, fn)
}

// walkFrom is walk, but begins at the key start.
func (w *tree) walkFrom(bucket string, b *bbolt.Bucket, start, prefix []byte, fn func(k, v []byte) error) error {
	leaf, err := w.leafAndNeighbour(bucket, start, 1)
	if err != nil {
		return err
	}
	c := b.Cursor()
	for k, v := c.Seek(start); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if leaf.until != nil && bytes.Compare(k, leaf.until) >= 0 {
			if leaf, err = w.leafAndNeighbour(bucket, k, 1); err != nil {
				return err
			}
		}
		if err := fn(k, v); err != nil {
			return err
		}
	}
	return nil
}

// macOf returns the MAC at the end of a stored record or entry.
func macOf(value []byte) (m [32]byte) {
	if len(value) >= len(m) {
		m = [32]byte(value[len(value)-len(m):])
	}
	return m
}
