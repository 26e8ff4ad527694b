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
)

// This file, commit.go, tx.go and build.go are the only ones that touch bbolt. Below them
// are pages; above them are records whose MAC has been checked.

// The buckets. All but meta and audit hold records, and the digest in the head
// covers those.
const (
	bucketMeta       = "meta"
	bucketRecipients = "recipients"
	bucketSecrets    = "secrets"
	bucketVersions   = "versions"
	bucketUnsealed   = "unsealed"
	bucketAgents     = "agents"
	bucketGrants     = "grants"
	bucketTokens     = "tokens"
	bucketUses       = "uses"
	bucketAsks       = "asks"
	bucketAnswers    = "answers"
	bucketAudit      = "audit"
)

var recordBuckets = []string{
	bucketRecipients, bucketSecrets, bucketVersions, bucketUnsealed, bucketAgents,
	bucketGrants, bucketTokens, bucketUses, bucketAsks, bucketAnswers,
}

var allBuckets = append([]string{bucketMeta, bucketAudit}, recordBuckets...)

// The keys of the meta bucket.
const (
	metaFormat = "format" // "ass/1"
	metaVault  = "vault"  // the vault id, 16 bytes; the owner recomputes it
	metaRoot   = "root"   // the root, an age file to the owner
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
	file   *os.File // the one that db has open
	broken error    // why db must not be used or closed any more; nil while it may
}

func (st *store) open(readOnly bool) error {
	if err := checkPages(st.path, walkedBytes); err != nil {
		return err
	}
	return st.guard(func() (err error) {
		st.db, err = bbolt.Open(st.path, 0o600, &bbolt.Options{
			ReadOnly:     readOnly,
			Timeout:      2 * time.Second, // ours is held; this is for a foreign tool's
			FreelistType: bbolt.FreelistMapType,
			PageSize:     pageSize,
			NoStatistics: true,
			OpenFile: func(path string, flag int, perm os.FileMode) (f *os.File, err error) {
				f, err = openExisting(path, flag, perm)
				st.file = f
				return f, err
			},
		})
		switch {
		case errors.Is(err, bolterrors.ErrTimeout):
			return &BusyError{Path: st.path, Waited: 2 * time.Second}
		case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
			return notVault(st.path, "it is not a vault, or its first pages are damaged")
		}
		return err
	})
}

// openExisting is how bbolt opens files here: opening never creates.
func openExisting(path string, flag int, perm os.FileMode) (*os.File, error) {
	return openNoFollow(path, flag&^os.O_CREATE, perm)
}

func (st *store) close() error {
	if st.broken != nil {
		if st.file != nil {
			unlock(st.file) // bbolt's; its mapping of the file stays
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

// guard runs fn and turns what bbolt does on a damaged file, panics and page
// faults, into an error. A panic of our own making passes through.
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
		_, fault := p.(interface{ Addr() uintptr })
		if !fault && !inBolt() {
			panic(p)
		}
		st.broken = errBroken(st.path)
		err = st.broken
	}()
	return fn()
}

func errBroken(path string) error { return notVault(path, "a page of the file is damaged") }

// inBolt reports whether the panic that is being recovered was raised in bbolt.
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

// get returns a copy of a value, nil if it is not there.
func (st *store) get(bucket string, k []byte) (value []byte, err error) {
	err = st.read(bucket, func(b *bbolt.Bucket) error {
		value = bytes.Clone(b.Get(k))
		return nil
	})
	return value, err
}

func (st *store) meta(name string) ([]byte, error) { return st.get(bucketMeta, []byte(name)) }

// read runs fn on one bucket, without a key: nothing that it sees is checked.
func (st *store) read(bucket string, fn func(*bbolt.Bucket) error) error {
	return st.guard(func() error {
		return st.db.View(func(b *bbolt.Tx) error {
			in := b.Bucket([]byte(bucket))
			if in == nil {
				return notVault(st.path, "it is not a vault: its bucket "+bucket+" is missing")
			}
			return fn(in)
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

// lastEntry returns the sequence number of the newest audit entry and its MAC,
// and the MAC of the entry at, if there is one. It needs no key.
func (st *store) lastEntry(at uint64) (last, then mark, err error) {
	err = st.read(bucketAudit, func(b *bbolt.Bucket) error {
		if k, v := b.Cursor().Last(); k != nil {
			last = mark{Seq: audit.Seq(k), MAC: macOf(v)}
		}
		if v := b.Get(audit.Key(at)); v != nil {
			then = mark{Seq: at, MAC: macOf(v)}
		}
		return nil
	})
	return last, then, err
}

// firstEntry returns the number of the oldest entry of the log that is not in an
// archive; 0 for none.
func (st *store) firstEntry() (seq uint64, err error) {
	err = st.read(bucketAudit, func(b *bbolt.Bucket) error {
		k, _ := b.Cursor().Seek(audit.Key(1))
		seq = audit.Seq(k)
		return nil
	})
	return seq, err
}

// newestFirst calls fn for the records of a bucket from its end, until fn
// returns false.
func (st *store) newestFirst(bucket string, fn func(k, v []byte) bool) error {
	return st.read(bucket, func(b *bbolt.Bucket) error {
		c := b.Cursor()
		for k, v := c.Last(); k != nil && fn(k, v); k, v = c.Prev() {
		}
		return nil
	})
}

// each calls fn for the records of a bucket.
func (st *store) each(bucket string, fn func(k, v []byte)) error {
	return st.read(bucket, func(b *bbolt.Bucket) error {
		return b.ForEach(func(k, v []byte) error {
			fn(k, v)
			return nil
		})
	})
}

// macOf returns the MAC at the end of a stored record or entry.
func macOf(value []byte) (m [32]byte) {
	if len(value) >= len(m) {
		m = [32]byte(value[len(value)-len(m):])
	}
	return m
}
