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

// DefaultLockTimeout is how long a command waits for the vault.
const DefaultLockTimeout = 10 * time.Second

// BusyError says who holds the vault. It wraps [ErrBusy].
type BusyError struct {
	Path   string // of the vault
	Holder string // "pid 4121 (ass secrets set), since 10:30:01"; "" if unknown
	Waited time.Duration
}

func (e *BusyError) Error() string {
	who := e.Holder
	if who == "" {
		who = "another process"
	}
	return fmt.Sprintf("%s is in use by %s; waited %s", e.Path, who, e.Waited)
}

func (e *BusyError) Unwrap() error { return ErrBusy }

// fileLock is a lock on a file beside the vault. bbolt has a lock of its own,
// but polls it, so that some waiters starve; this one sleeps in the kernel and
// is handed on. The file is never deleted: a process may hold a lock on it.
type fileLock struct {
	f      *os.File // nil where there is nothing to lock
	shared bool     // with other readers
	me     *holder  // what the file says of us; nil if it does not
}

const (
	lockSuffix = ".lock"
	gateSuffix = ".gate"
)

// LockFile locks path, which it makes if need be, for small files beside a vault
// that several processes write. It returns how to let go.
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

// lockVault locks the vault at path, alone or together with other readers: first
// come, first served. The lock alone would not do that, as the kernel lets readers
// in beside readers while a writer waits, who starves when they overlap without
// end. So everybody passes a gate, one at a time, and waits for the lock in it.
// Who would not wait (LockTimeout < 0) does not stand in line either.
//
// Where the lock file cannot be made because the disk is read-only, a reader goes
// on without: nobody can write there.
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

// wait is what a process goes through for a lock: one time limit, and one notice
// to whoever watches.
type wait struct {
	path   string    // of the lock
	gate   string    // of its gate; "" for none
	inGate *fileLock // the gate, once it is passed; until then nothing
	passed atomic.Bool
	opts   Options

	limit, notice *time.Timer // nil before it has to wait
}

var errWouldBlock = errors.New("the lock is held")

// take locks l.f, or closes it. It blocks in the kernel, and gives up after the
// limit. The goroutine of a wait that was given up lets go of the lock again should
// it get it after all.
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
	f := l.f // l is the caller's again when this returns
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
		return &BusyError{strings.TrimSuffix(w.path, lockSuffix), w.holder(), w.opts.LockTimeout}
	}
}

// begin starts the clock, once. Who waits inside of the gate says so there: should
// that process be stopped, it is the one that keeps all others waiting.
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

// holder says who is to be waited for, as far as the files tell.
func (w *wait) holder() string {
	for _, path := range []string{w.path, w.gate} {
		if path == "" || path == w.gate && w.passed.Load() { // there it is us
			continue
		}
		f, err := openNoFollow(path, os.O_RDONLY, 0)
		if err != nil {
			continue
		}
		h := readHolder(f)
		f.Close()
		// Who was killed could not take its name out of the file.
		if h != (holder{}) && isAlive(h.PID) {
			return h.String()
		}
	}
	return ""
}

// holder is what whoever has a lock writes into its file. Of several readers it is
// the one that came last.
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
	if l.me != nil && (!l.shared || readHolder(l.f) == *l.me) { // and not a reader that came after us
		_ = l.f.Truncate(0)
	}
	l.f.Close() // closing unlocks
	l.f = nil
}

// write names the holder. It is a courtesy to those who wait, so a failure is
// no reason to stop. It is one write, and what a longer name leaves behind it is
// not read, so that readers who write at once spoil nothing.
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
	h.Since = h.Since.UTC() // so that it compares
	return h
}
