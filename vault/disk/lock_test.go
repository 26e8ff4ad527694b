package disk_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"ass/vault"
	"ass/vault/disk"
)

// lock locks path, or fails the test.
func lock(t *testing.T, path string, shared bool, o disk.LockOptions) *disk.Lock {
	t.Helper()
	l, err := disk.LockBeside(path, shared, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// isBusy fails the test unless the lock is held.
func isBusy(t *testing.T, what, path string, shared bool, o disk.LockOptions) error {
	t.Helper()
	l, err := disk.LockBeside(path, shared, o)
	if err == nil {
		l.Release()
	}
	if !errors.Is(err, vault.ErrBusy) {
		t.Errorf("%s: %v", what, err)
	}
	return err
}

func TestBusySaysWho(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	o := disk.LockOptions{Command: "ass secrets set"}
	held := lock(t, path, false, o)
	short := disk.LockOptions{Timeout: 50 * time.Millisecond}
	for _, shared := range []bool{false, true} {
		err := isBusy(t, fmt.Sprint("shared ", shared), path, shared, short)
		if err != nil && (!strings.Contains(err.Error(), `("ass secrets set"), since `) || !strings.Contains(err.Error(),
			"pid ")) {
			t.Errorf("shared %v: %v", shared, err)
		}
	}
	told := make(chan string, 1)
	o.Waiting = func(holder string) { told <- holder }
	got := make(chan error, 1)
	go func() {
		l, err := disk.LockBeside(path, false, o)
		if err == nil {
			l.Release()
		}
		got <- err
	}()
	if who := <-told; !strings.Contains(who, "ass secrets set") {
		t.Errorf("who waits is told of %q", who)
	}
	held.Release()
	held.Release() // a second time, which does nothing
	if err := <-got; err != nil {
		t.Errorf("after the wait: %v", err)
	}
}

// If nobody's name is in the file of a lock that is held, whoever waits does not name itself.
func TestNobodyIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f, err := os.Create(path + disk.LockSuffix)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := disk.TryLock(f, false); err != nil {
		t.Fatal(err)
	}
	err = isBusy(t, "without a name", path, false, disk.LockOptions{Timeout: 50 * time.Millisecond, Command: "ass mine"})
	if err != nil && strings.Contains(err.Error(), "pid ") {
		t.Errorf("without a name: %v", err)
	}
}

// A wait that has ended is no longer told of.
func TestWaitsThatEnded(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	path := filepath.Join(t.TempDir(), "f")
	held := lock(t, path, false, disk.LockOptions{})
	time.AfterFunc(50*time.Millisecond, held.Release)
	lock(t, path, false, disk.LockOptions{Waiting: func(string) { t.Error("it still waits") }}).Release()
	time.Sleep(600 * time.Millisecond)
}

func TestReadersShare(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	short := disk.LockOptions{Timeout: 50 * time.Millisecond}
	one := lock(t, path, true, short)
	defer one.Release()
	two := lock(t, path, true, short)
	defer two.Release()
	_ = isBusy(t, "a writer beside readers", path, false, short)
}

// A process that gives up waiting leaves nothing locked.
func TestGivenUpWaitsLetGo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	held := lock(t, path, false, disk.LockOptions{})
	for range 20 {
		_ = isBusy(t, "while it is held", path, false, disk.LockOptions{Timeout: time.Millisecond})
	}
	held.Release()
	lock(t, path, false, disk.LockOptions{}).Release()
}

// Readers do not overtake a waiting writer. They share the lock, so without this rule they could
// keep the writer out forever.
func TestReadersOvertakeNoWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	first := lock(t, path, true, disk.LockOptions{})
	order := make(chan string, 2)
	queue := func(who string, shared bool) (done chan error) {
		waits := make(chan string)
		o := disk.LockOptions{Timeout: time.Minute, Waiting: func(string) { close(waits) }}
		done = make(chan error, 1)
		go func() {
			l, err := disk.LockBeside(path, shared, o)
			if err == nil {
				order <- who
				l.Release()
			}
			done <- err
		}()
		<-waits
		return done
	}
	writer := queue("writer", false)
	// If readers could overtake, these would overlap and keep the writer out.
	for range 20 {
		_ = isBusy(t, "a reader before a writer that was waiting", path, true, disk.LockOptions{Timeout: time.Millisecond})
	}
	reader := queue("reader", true)
	first.Release()
	if err := errors.Join(<-writer, <-reader); err != nil {
		t.Fatal(err)
	}
	if came := <-order; came != "writer" {
		t.Errorf("the %s came first", came)
	}
	lock(t, path, false, disk.LockOptions{}).Release() // readers that gave up hold no lock
}

// A killed process cannot remove its name from the lock file. No later error takes it for the
// holder, except on Windows.
func TestNamesOfTheDead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	gone := exec.Command(os.Args[0], "-test.run=^$")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf(`{"pid":%d,"command":"ass secrets rotate","since":"2026-01-02T03:04:05Z"}`, gone.Process.Pid)
	short := disk.LockOptions{Timeout: -1}
	for _, shared := range []bool{false, true} {
		if err := os.WriteFile(path+disk.LockSuffix, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		held := lock(t, path, shared, disk.LockOptions{Command: "ass next"})
		err := isBusy(t, "after a longer name", path, false, short)
		if err != nil && !strings.Contains(err.Error(), `("ass next"), since `) {
			t.Errorf("shared %v, after a longer name: %v", shared, err)
		}
		// The file names a dead process, though a living one holds the lock.
		if err := os.WriteFile(path+disk.LockSuffix, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		err = isBusy(t, "the name of a dead process", path, false, short)
		if err != nil && runtime.GOOS != "windows" && strings.Contains(err.Error(), "rotate") {
			t.Errorf("shared %v, the name of a dead process: %v", shared, err)
		}
		held.Release()
	}
}

// A lock file that is a symbolic link is refused, and the link's target is not created.
func TestLockIsNoLink(t *testing.T) {
	dir := t.TempDir()
	path, target := filepath.Join(dir, "f"), filepath.Join(dir, "target")
	if err := os.Symlink(target, path+disk.LockSuffix); err != nil {
		t.Skip(err)
	}
	if l, err := disk.LockBeside(path, false, disk.LockOptions{}); err == nil {
		l.Release()
		t.Error("it was locked")
	}
	if release, err := disk.LockFile(path+disk.LockSuffix, disk.LockOptions{}); err == nil {
		release()
		t.Error("it was locked")
	}
	if _, err := os.Lstat(target); err == nil {
		t.Error("the target of the link was made")
	}
}
