package vault

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
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
	f     *os.File
	named bool // the file names us as the holder
}

const lockSuffix = ".lock"

// LockFile locks path, which it makes if need be, for small files beside a vault
// that several processes write. It returns how to let go.
func LockFile(path string, o Options) (release func(), err error) {
	l, err := acquireLock(path, false, o.withDefaults())
	if err != nil {
		return nil, err
	}
	return l.release, nil
}

// holder is what the one who holds the lock alone writes into the file.
type holder struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
}

var errWouldBlock = errors.New("the lock is held")

// acquireLock locks path, alone or together with other readers. Where the lock
// file cannot be made because the disk is read-only, a reader goes on without:
// nobody can write there.
func acquireLock(path string, shared bool, o Options) (*fileLock, error) {
	f, err := openLockFile(path, shared)
	if shared && (isReadOnly(err) || errors.Is(err, fs.ErrNotExist)) {
		return &fileLock{}, nil
	}
	if err != nil {
		return nil, err
	}
	l := &fileLock{f: f}
	switch err = tryLock(f, shared); {
	case errors.Is(err, errWouldBlock) && o.LockTimeout < 0:
		err = &BusyError{Path: strings.TrimSuffix(path, lockSuffix), Holder: l.read()}
	case errors.Is(err, errWouldBlock):
		err = l.wait(path, shared, o)
	}
	if err != nil {
		l.f.Close()
		return nil, err
	}
	if !shared {
		l.write(o)
	}
	return l, nil
}

func isReadOnly(err error) bool {
	return errors.Is(err, errReadOnlyFS) || errors.Is(err, fs.ErrPermission)
}

// wait blocks in the kernel, and gives up after the limit. The goroutine of a
// wait that was given up unlocks again should it get the lock after all.
func (l *fileLock) wait(path string, shared bool, o Options) error {
	// A second descriptor, so that closing the first does not race with it.
	f, err := openLockFile(path, shared)
	if err != nil {
		return err
	}
	got, gaveUp := make(chan error), make(chan struct{})
	go func() {
		err := blockLock(f, shared)
		select {
		case got <- err:
		case <-gaveUp:
			f.Close()
		}
	}()
	if o.Waiting != nil {
		now := *l // l.f is about to be another
		notice := time.AfterFunc(500*time.Millisecond, func() { o.Waiting(now.read()) })
		defer notice.Stop()
	}
	limit := time.NewTimer(o.LockTimeout)
	defer limit.Stop()
	select {
	case err := <-got:
		if err != nil {
			f.Close()
			return err
		}
		l.f.Close()
		l.f = f
		return nil
	case <-limit.C:
		close(gaveUp)
		return &BusyError{strings.TrimSuffix(path, lockSuffix), l.read(), o.LockTimeout}
	}
}

func (l *fileLock) release() {
	if l.f == nil {
		return
	}
	if l.named {
		_ = l.f.Truncate(0) // or a reader who holds it next would be taken for us
	}
	l.f.Close() // closing unlocks
	l.f = nil
}

// write names the holder. It is a courtesy to those who wait, so a failure is
// no reason to stop.
func (l *fileLock) write(o Options) {
	b, err := json.Marshal(holder{os.Getpid(), o.Command, o.Now().UTC().Truncate(time.Second)})
	if err == nil && l.f.Truncate(0) == nil {
		_, _ = l.f.WriteAt(b, 0)
		l.named = true
	}
}

func (l *fileLock) read() string {
	b, err := io.ReadAll(io.NewSectionReader(l.f, 0, 1<<10))
	var h holder
	if err != nil || json.Unmarshal(b, &h) != nil || h.PID == 0 {
		return ""
	}
	return fmt.Sprintf("pid %d (%q), since %s", h.PID, h.Command, h.Since.Local().Format(time.TimeOnly))
}
