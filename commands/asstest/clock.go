package asstest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Begin is when the vaults of this package were made, and what their clocks say at first.
var Begin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Clock is the clock of a vault. It stands still until somebody moves it, also for programs in other processes that run
// [Main].
type Clock struct{ file string }

func (h home) clock() *Clock { return &Clock{h.at("clock")} }

// Now returns the time. If nobody has moved the clock, that is [Begin].
func (c *Clock) Now() time.Time {
	b, err := os.ReadFile(c.file)
	if err != nil {
		return Begin
	}
	t, err := time.Parse(time.RFC3339Nano, string(b))
	if err != nil {
		return Begin
	}
	return t
}

// moving is held while a clock is moved.
var moving sync.Mutex

// Advance moves the clock; a negative duration moves it back. Goroutines may move it at the same time.
func (c *Clock) Advance(d time.Duration) error {
	moving.Lock()
	defer moving.Unlock()
	return c.set(c.Now().Add(d))
}

// Set sets the clock.
func (c *Clock) Set(t time.Time) error {
	moving.Lock()
	defer moving.Unlock()
	return c.set(t)
}

func (c *Clock) set(t time.Time) error {
	next := c.file + ".next"
	err := os.WriteFile(next, []byte(t.UTC().Format(time.RFC3339Nano)), 0o600)
	if err == nil {
		err = os.Rename(next, c.file) // a process that looks at it now sees a whole time
	}
	return err
}

// ids returns a source of ids for one run of a program: the same ones for the same run of the same test. Runs at the
// same time have others, but which run has which is then left to chance.
//
// The key of an agent is derived from its id. So the ids of two vaults of one test differ, or an agent of the one could
// open the other; [testing.TB.TempDir] numbers the folders of a test.
func (h home) ids() func() [16]byte {
	run, used := uint64(0), atomic.Uint64{}
	dir := h.at("runs")
	if os.MkdirAll(dir, 0o700) == nil {
		run = nextRun(dir)
	}
	return func() (id [16]byte) {
		var name [16]byte
		binary.BigEndian.PutUint64(name[:], run)
		binary.BigEndian.PutUint64(name[8:], used.Add(1))
		sum := fnv.New128a() // so that the first bytes differ, by which agents go
		sum.Write([]byte(filepath.Base(h.dir)))
		sum.Write(name[:])
		return [16]byte(sum.Sum(nil))
	}
}

// nextRun takes the next free number. A file for each is the simplest counter that several processes can share.
func nextRun(dir string) uint64 {
	for n := uint64(1); ; n++ {
		f, err := os.OpenFile(filepath.Join(dir, strconv.FormatUint(n, 10)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			f.Close()
		}
		return n
	}
}

// parseAdvance reads how far a script moves the clock: +2h, -5m, +3d.
func parseAdvance(text string) (time.Duration, error) {
	days, isDays := text, false
	if n := len(text); n > 1 && text[n-1] == 'd' {
		days, isDays = text[:n-1], true
	}
	if isDays {
		n, err := strconv.Atoi(days)
		if err == nil {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is no duration such as +2h or +3d", text)
	}
	return d, nil
}
