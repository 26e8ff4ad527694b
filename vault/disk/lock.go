package disk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"ass/vault/internal/fault"
)

// DefaultLockTimeout is how long to wait for a lock.
const DefaultLockTimeout = 10 * time.Second

// LockOptions say how to wait for a lock. The zero LockOptions are usable.
type LockOptions struct {
	Timeout time.Duration       // 0 means [DefaultLockTimeout]; less than 0 means not to wait
	Command string              // names this process to those that wait for it
	Now     func() time.Time    // the clock; nil is time.Now
	Waiting func(holder string) // if set, called once when the wait gets long; holder may be ""
}

func (o LockOptions) withDefaults() LockOptions {
	if o.Timeout == 0 {
		o.Timeout = DefaultLockTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Lock is a lock on a file of its own. A process that waits for it sleeps in the kernel,
// which hands the lock on. The file is never deleted: a process may hold a lock on it.
// The zero Lock locks nothing.
type Lock struct {
	f      *os.File // nil if there is nothing to lock
	shared bool     // with other readers
	me     *holder  // what this process wrote into the file; nil if nothing
}

// Endings of the files that [LockBeside] makes.
const (
	LockSuffix = ".lock"
	GateSuffix = ".gate"
)

// LockFile locks path, and creates it if it is missing. Such locks guard small files
// that several processes write. It returns a function that releases the lock. If
// another process holds the lock for too long, the error is a [fault.BusyError].
func LockFile(path string, o LockOptions) (release func(), err error) {
	w := &wait{path: path, opts: o.withDefaults(), inGate: &Lock{}}
	defer w.end()
	l, err := openLock(path, false)
	if err != nil {
		return nil, err
	}
	if err := w.take(l, false); err != nil {
		return nil, err
	}
	l.write(w.opts)
	return l.Release, nil
}

// LockBeside locks the file at path, alone or shared with other readers: first come,
// first served. The lock is on a file beside it. The lock alone is not fair: while a writer waits, the kernel still
// lets in more readers, so overlapping readers can starve the writer. So every
// process passes a gate, one at a time, and waits for the lock inside the gate. A
// process that will not wait (Timeout < 0) skips the gate.
//
// If the lock file cannot be created because the disk is read-only, a reader goes on
// without a lock: nobody can write there.
func LockBeside(path string, shared bool, o LockOptions) (*Lock, error) {
	o = o.withDefaults()
	w := &wait{path: path + LockSuffix, gate: path + GateSuffix, opts: o, inGate: &Lock{}}
	defer w.end()
	l, err := openLock(w.path, shared)
	if err != nil {
		return nil, err
	}
	if o.Timeout >= 0 {
		gate, err := openLock(w.gate, shared)
		if err == nil {
			err = w.take(gate, false)
		}
		if err != nil {
			l.Release()
			return nil, err
		}
		w.inGate = gate
		w.passed.Store(gate.f != nil)
	}
	err = w.take(l, shared)
	w.inGate.Release()
	if err != nil {
		return nil, err
	}
	l.write(o)
	return l, nil
}

func openLock(path string, shared bool) (*Lock, error) {
	f, err := openLockFile(path, shared)
	if shared && (IsReadOnly(err) || errors.Is(err, fs.ErrNotExist)) {
		return &Lock{}, nil
	}
	return &Lock{f: f}, err
}

// openLockFile opens the lock file, and creates it if it is missing. For a reader, a
// file that it may only read is enough. The holder of the lock writes into the file,
// so openLockFile refuses a file that has other hard links.
func openLockFile(path string, shared bool) (*os.File, error) {
	f, err := OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil && hasOtherNames(f) {
		f.Close()
		return nil, otherNames(path)
	}
	if err == nil {
		ownLike(path, filepath.Dir(path))
	}
	if err != nil && shared {
		if r, rerr := OpenFile(path, os.O_RDONLY, 0); rerr == nil {
			return r, nil
		}
	}
	return f, err
}

// IsReadOnly reports whether err says that nothing can be written there.
func IsReadOnly(err error) bool {
	return errors.Is(err, errReadOnlyFS) || errors.Is(err, fs.ErrPermission)
}

// wait is one process's wait for a lock. It has one time limit, and sends at most one
// notice to LockOptions.Waiting.
type wait struct {
	path   string // of the lock
	gate   string // path of its gate; "" for none
	inGate *Lock  // the gate, once it is locked; before, a Lock without a file
	passed atomic.Bool
	opts   LockOptions

	limit, notice *time.Timer // nil until the process has to wait
}

// ErrLocked says that another process holds the lock.
var ErrLocked = errors.New("the lock is held")

// take locks l.f. On an error, l.f is closed. take blocks in the kernel and gives up
// at the time limit. If the goroutine of an abandoned wait still gets the lock, it
// releases the lock again.
func (w *wait) take(l *Lock, shared bool) error {
	if l.f == nil {
		return nil
	}
	l.shared = shared
	err := TryLock(l.f, shared)
	if errors.Is(err, ErrLocked) {
		if w.opts.Timeout < 0 {
			err = &fault.BusyError{Path: strings.TrimSuffix(w.path, LockSuffix), Holder: w.holder()}
		} else {
			return w.block(l, shared)
		}
	}
	if err != nil {
		l.f.Close()
	}
	return err
}

func (w *wait) block(l *Lock, shared bool) error {
	w.begin()
	f := l.f // the goroutine must not use l, which is the caller's again after a return
	got, gaveUp := make(chan error), make(chan struct{})
	go func() {
		err := blockLock(f, shared)
		select {
		case got <- err:
		case <-gaveUp:
			f.Close()
		}
	}()
	select {
	case err := <-got:
		if err != nil {
			f.Close()
		}
		return err
	case <-w.limit.C:
		close(gaveUp)
		return &fault.BusyError{Path: strings.TrimSuffix(w.path, LockSuffix), Holder: w.holder(), Waited: w.opts.Timeout}
	}
}

// begin starts the clock, once. A process that waits inside the gate writes its name
// into the gate's file: if that process is stopped, it keeps all others waiting.
func (w *wait) begin() {
	w.inGate.write(w.opts)
	if w.limit != nil {
		return
	}
	w.limit = time.NewTimer(w.opts.Timeout)
	if w.opts.Waiting != nil {
		w.notice = time.AfterFunc(500*time.Millisecond, func() { w.opts.Waiting(w.holder()) })
	}
}

func (w *wait) end() {
	if w.limit != nil {
		w.limit.Stop()
	}
	if w.notice != nil {
		w.notice.Stop()
	}
}

// holder names the process that blocks this one, as far as the files tell.
func (w *wait) holder() string {
	for _, path := range []string{w.path, w.gate} {
		if path == "" || path == w.gate && w.passed.Load() { // this process holds the gate itself
			continue
		}
		f, err := OpenFile(path, os.O_RDONLY, 0)
		if err != nil {
			continue
		}
		h := readHolder(f)
		f.Close()
		// A killed process leaves its name in the file.
		if h != (holder{}) && isAlive(h.PID) {
			return h.String()
		}
	}
	return ""
}

// holder is what a process writes into the file of a lock that it holds. With several
// readers, the file names the last one.
type holder struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
}

func (h holder) String() string {
	return fmt.Sprintf("pid %d (%q), since %s", h.PID, h.Command, h.Since.Local().Format(time.TimeOnly))
}

// Release ends the lock. It does nothing the second time.
func (l *Lock) Release() {
	if l.f == nil {
		return
	}
	if l.me != nil && (!l.shared || readHolder(l.f) == *l.me) { // keep a later reader's name
		_ = l.f.Truncate(0)
	}
	l.f.Close() // closing unlocks
	l.f = nil
}

// HasName reports whether the file of the lock has a name. As it is never deleted, a file system
// that counts names says so.
func (l *Lock) HasName() bool {
	if l.f == nil {
		return false
	}
	n, err := Names(l.f)
	return err == nil && n > 0
}

// write names the holder in the lock file. The name only informs those who wait, so
// errors are ignored. Readers may write at the same time and spoil nothing: each makes
// a single write, and readHolder ignores the rest of a longer, older name.
func (l *Lock) write(o LockOptions) {
	if l.f == nil {
		return
	}
	h := holder{os.Getpid(), o.Command, o.Now().UTC().Truncate(time.Second)}
	if _, err := l.f.WriteAt(h.json(), 0); err == nil {
		l.me = &h
	}
}

// json returns what json.Marshal does. That takes longer for the first value of a type, which is the only one here.
func (h holder) json() []byte {
	command, _ := json.Marshal(h.Command)
	return fmt.Appendf(nil, `{"pid":%d,"command":%s,"since":"%s"}`, h.PID, command, h.Since.Format(time.RFC3339))
}

// readHolder returns the zero holder for a file that names none.
func readHolder(f *os.File) (h holder) {
	if json.NewDecoder(io.NewSectionReader(f, 0, 1<<10)).Decode(&h) != nil || h.PID <= 0 {
		return holder{}
	}
	h.Since = h.Since.UTC() // so that == compares only the time
	return h
}
