package vault

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// DefaultLockTimeout is how long a command waits for the vault's lock.
const DefaultLockTimeout = 10 * time.Second

// fileLock is a lock on a file beside the vault. bbolt has its own lock, but polls
// it, so some waiters starve. A process that waits for a fileLock sleeps in the
// kernel, which hands the lock on. The file is never deleted: a process may hold a
// lock on it.
type fileLock struct {
	f      *os.File // nil if there is nothing to lock
	shared bool     // with other readers
	me     *holder  // what this process wrote into the file; nil if nothing
}

const (
	lockSuffix = ".lock"
	gateSuffix = ".gate"
)

// LockFile locks path, and creates it if it is missing. Such locks guard small files
// that several processes write. It returns a function that releases the lock. If
// another process holds the lock for too long, the error is a [BusyError].
func LockFile(path string, o Options) (release func(), err error) {
	w := &wait{path: path, opts: o.withDefaults(), inGate: &fileLock{}}
	defer w.end()
	l, err := openLock(path, false)
	if err != nil {
		return nil, err
	}
	if err := w.take(l, false); err != nil {
		return nil, err
	}
	l.write(w.opts)
	return l.release, nil
}

// lockVault locks the vault at path, alone or shared with other readers: first come,
// first served. The lock alone is not fair: while a writer waits, the kernel still
// lets in more readers, so overlapping readers can starve the writer. So every
// process passes a gate, one at a time, and waits for the lock inside the gate. A
// process that will not wait (LockTimeout < 0) skips the gate.
//
// If the lock file cannot be created because the disk is read-only, a reader goes on
// without a lock: nobody can write there.
func lockVault(path string, shared bool, o Options) (*fileLock, error) {
	w := &wait{path: path + lockSuffix, gate: path + gateSuffix, opts: o, inGate: &fileLock{}}
	defer w.end()
	l, err := openLock(w.path, shared)
	if err != nil {
		return nil, err
	}
	if o.LockTimeout >= 0 {
		gate, err := openLock(w.gate, shared)
		if err == nil {
			err = w.take(gate, false)
		}
		if err != nil {
			l.release()
			return nil, err
		}
		w.inGate = gate
		w.passed.Store(gate.f != nil)
	}
	err = w.take(l, shared)
	w.inGate.release()
	if err != nil {
		return nil, err
	}
	l.write(o)
	return l, nil
}

func openLock(path string, shared bool) (*fileLock, error) {
	f, err := openLockFile(path, shared)
	if shared && (isReadOnly(err) || errors.Is(err, fs.ErrNotExist)) {
		return &fileLock{}, nil
	}
	return &fileLock{f: f}, err
}

func isReadOnly(err error) bool {
	return errors.Is(err, errReadOnlyFS) || errors.Is(err, fs.ErrPermission)
}

// wait is one process's wait for a lock. It has one time limit, and sends at most one
// notice to Options.Waiting.
type wait struct {
	path   string    // of the lock
	gate   string    // path of its gate; "" for none
	inGate *fileLock // the gate, once it is locked; before, a fileLock without a file
	passed atomic.Bool
	opts   Options

	limit, notice *time.Timer // nil until the process has to wait
}

var errWouldBlock = errors.New("the lock is held")

// take locks l.f. On an error, l.f is closed. take blocks in the kernel and gives up
// at the time limit. If the goroutine of an abandoned wait still gets the lock, it
// releases the lock again.
func (w *wait) take(l *fileLock, shared bool) error {
	if l.f == nil {
		return nil
	}
	l.shared = shared
	err := tryLock(l.f, shared)
	if errors.Is(err, errWouldBlock) {
		if w.opts.LockTimeout < 0 {
			err = &BusyError{Path: strings.TrimSuffix(w.path, lockSuffix), Holder: w.holder()}
		} else {
			return w.block(l, shared)
		}
	}
	if err != nil {
		l.f.Close()
	}
	return err
}

func (w *wait) block(l *fileLock, shared bool) error {
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
		return &BusyError{Path: strings.TrimSuffix(w.path, lockSuffix), Holder: w.holder(), Waited: w.opts.LockTimeout}
	}
}

// begin starts the clock, once. A process that waits inside the gate writes its name
// into the gate's file: if that process is stopped, it keeps all others waiting.
func (w *wait) begin() {
	w.inGate.write(w.opts)
	if w.limit != nil {
		return
	}
	w.limit = time.NewTimer(w.opts.LockTimeout)
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
		f, err := openNoFollow(path, os.O_RDONLY, 0)
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

func (l *fileLock) release() {
	if l.f == nil {
		return
	}
	if l.me != nil && (!l.shared || readHolder(l.f) == *l.me) { // keep a later reader's name
		_ = l.f.Truncate(0)
	}
	l.f.Close() // closing unlocks
	l.f = nil
}

// write names the holder in the lock file. The name only informs those who wait, so
// errors are ignored. Readers may write at the same time and spoil nothing: each makes
// a single write, and readHolder ignores the rest of a longer, older name.
func (l *fileLock) write(o Options) {
	if l.f == nil {
		return
	}
	h := holder{os.Getpid(), o.Command, o.Now().UTC().Truncate(time.Second)}
	if b, err := json.Marshal(h); err == nil {
		if _, err = l.f.WriteAt(b, 0); err == nil {
			l.me = &h
		}
	}
}

// readHolder returns the zero holder for a file that names none.
func readHolder(f *os.File) (h holder) {
	if json.NewDecoder(io.NewSectionReader(f, 0, 1<<10)).Decode(&h) != nil || h.PID <= 0 {
		return holder{}
	}
	h.Since = h.Since.UTC() // so that == compares only the time
	return h
}
