package vault_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"ass/vault"
	"ass/vault/vaulttest"
)

func TestBusySaysWho(t *testing.T) {
	v := vaulttest.New(t)
	v.Opts.Command = "ass secrets set"
	holder, err := vault.Open(v.Path, v.Opts)
	if err != nil {
		t.Fatal(err)
	}
	short := v.Opts
	short.LockTimeout = 50 * time.Millisecond
	for _, readOnly := range []bool{false, true} {
		short.ReadOnly = readOnly
		_, err := vault.Open(v.Path, short)
		if !errors.Is(err, vault.ErrBusy) || !strings.Contains(err.Error(), `("ass secrets set"), since `) || !strings.Contains(err.Error(), "pid ") {
			t.Errorf("read only %v: %v", readOnly, err)
		}
	}
	told := make(chan string, 1)
	waiting := v.Opts
	waiting.Waiting = func(holder string) { told <- holder }
	got := make(chan error, 1)
	go func() {
		opened, err := vault.Open(v.Path, waiting)
		if err == nil {
			err = opened.Close()
		}
		got <- err
	}()
	if who := <-told; !strings.Contains(who, "ass secrets set") {
		t.Errorf("who waits is told of %q", who)
	}
	if err := holder.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Errorf("after the wait: %v", err)
	}
}

func TestReadersShare(t *testing.T) {
	v := vaulttest.New(t)
	o := v.Opts
	o.ReadOnly, o.LockTimeout = true, 50*time.Millisecond
	one, err := vault.Open(v.Path, o)
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	two, err := vault.Open(v.Path, o)
	if err != nil {
		t.Fatal(err)
	}
	defer two.Close()
	o.ReadOnly = false
	if _, err := vault.Open(v.Path, o); !errors.Is(err, vault.ErrBusy) {
		t.Errorf("a writer beside readers: %v", err)
	}
}

// A command that gives up waiting leaves nothing locked.
func TestGivenUpWaitsLetGo(t *testing.T) {
	v := vaulttest.New(t)
	holder, err := vault.Open(v.Path, v.Opts)
	if err != nil {
		t.Fatal(err)
	}
	short := v.Opts
	short.LockTimeout = time.Millisecond
	for range 20 {
		if _, err := vault.Open(v.Path, short); !errors.Is(err, vault.ErrBusy) {
			t.Fatal(err)
		}
	}
	if err := holder.Close(); err != nil {
		t.Fatal(err)
	}
	v.Set(t, "a/K", "after", vault.SetOptions{})
}

// Readers do not overtake a waiting writer. They share the lock, so without this rule they could
// keep the writer out forever.
func TestReadersOvertakeNoWriter(t *testing.T) {
	v := vaulttest.New(t)
	look := v.Opts
	look.ReadOnly = true
	first, err := vault.Open(v.Path, look)
	if err != nil {
		t.Fatal(err)
	}
	order := make(chan string, 2)
	patient := v.Opts
	patient.LockTimeout = time.Minute
	queue := func(who string, readOnly bool) (done chan error) {
		waits := make(chan string)
		o := patient
		o.ReadOnly, o.Waiting = readOnly, func(string) { close(waits) }
		done = make(chan error, 1)
		go func() {
			opened, err := vault.Open(v.Path, o)
			if err == nil {
				order <- who
				err = opened.Close()
			}
			done <- err
		}()
		<-waits
		return done
	}
	writer := queue("writer", false)
	// If readers could overtake, these would overlap and keep the writer out.
	short := look
	short.LockTimeout = time.Millisecond
	for range 20 {
		if opened, err := vault.Open(v.Path, short); !errors.Is(err, vault.ErrBusy) {
			if err == nil {
				opened.Close()
			}
			t.Fatalf("a reader got in before a writer that was waiting: %v", err)
		}
	}
	reader := queue("reader", true)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(<-writer, <-reader); err != nil {
		t.Fatal(err)
	}
	if came := <-order; came != "writer" {
		t.Errorf("the %s came first", came)
	}
	v.Set(t, "a/K", "after", vault.SetOptions{}) // readers that gave up hold no lock
}

// A killed process cannot remove its name from the lock file. No later error takes it for the
// holder, except on Windows.
func TestNamesOfTheDead(t *testing.T) {
	v := vaulttest.New(t)
	gone := exec.Command(os.Args[0], "-test.run=^$")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf(`{"pid":%d,"command":"ass secrets rotate","since":"2026-01-02T03:04:05Z"}`, gone.Process.Pid)
	short := v.Opts
	short.LockTimeout = -1
	for _, readOnly := range []bool{false, true} {
		if err := os.WriteFile(v.Path+".lock", []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		o := v.Opts
		o.ReadOnly, o.Command = readOnly, "ass next"
		opened, err := vault.Open(v.Path, o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := vault.Open(v.Path, short); !errors.Is(err, vault.ErrBusy) || !strings.Contains(err.Error(), `("ass next"), since `) {
			t.Errorf("read only %v, after a longer name: %v", readOnly, err)
		}
		// The file names a dead process, though a living one holds the lock.
		if err := os.WriteFile(v.Path+".lock", []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = vault.Open(v.Path, short)
		if !errors.Is(err, vault.ErrBusy) || runtime.GOOS != "windows" && strings.Contains(err.Error(), "rotate") {
			t.Errorf("read only %v, the name of a dead process: %v", readOnly, err)
		}
		if err := opened.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestManyWriters(t *testing.T) {
	v := vaulttest.New(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 10 {
				err := v.Do(func(s *vault.Session) error {
					_, _, err := s.Set(vaulttest.Path(t, "a/K"), []byte("x"), vault.SetOptions{})
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	v.Must(t, func(s *vault.Session) error {
		_, versions, err := s.History(vaulttest.Path(t, "a/K"))
		if len(versions) != 80 {
			t.Errorf("%d versions were written", len(versions))
		}
		return err
	})
}

// Open refuses a lock file that is a symbolic link, and does not create the link's target.
func TestLockIsNoLink(t *testing.T) {
	v := vaulttest.New(t)
	v.Damaged()
	target := filepath.Join(t.TempDir(), "target")
	if err := errors.Join(os.Remove(v.Path+".lock"), os.Symlink(target, v.Path+".lock")); err != nil {
		t.Skip(err)
	}
	if _, err := vault.Open(v.Path, v.Opts); err == nil {
		t.Error("it was opened")
	}
	if _, err := os.Lstat(target); err == nil {
		t.Error("the target of the link was made")
	}
}

func TestCreateOverwritesNothing(t *testing.T) {
	v := vaulttest.New(t)
	v.Set(t, "a/K", "x", vault.SetOptions{})
	if _, err := vault.Create(v.Path, v.Owner, v.Opts); !errors.Is(err, vault.ErrExists) {
		t.Errorf("a second creation: %v", err)
	}
	if got, err := v.Get(t, "a/K"); got != "x" {
		t.Errorf("afterwards: %q, %v", got, err)
	}
	if _, err := vault.Open(filepath.Join(t.TempDir(), "none.db"), v.Opts); !errors.Is(err, vault.ErrNoVault) {
		t.Errorf("opening nothing: %v", err)
	}
}

func TestIdentities(t *testing.T) {
	id, err := vault.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	back, err := vault.ParseIdentity(" " + strings.ToLower(id.Text()) + "\n")
	if err != nil || back.Text() != id.Text() {
		t.Errorf("an identity came back different: %v", err)
	}
	for _, bad := range []string{"", "x", "AGE-SECRET-KEY-PQ-1", id.Text()[:60], id.Text() + "A"} {
		if _, err := vault.ParseIdentity(bad); err == nil || len(bad) > 8 && strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	locked, err := id.Lock("passphrase", 8)
	if err != nil || !vault.IsLocked(locked) || strings.Contains(locked, "AGE-SECRET-KEY") {
		t.Fatalf("locked: %v", err)
	}
	if opened, err := vault.UnlockIdentity(locked, "passphrase"); err != nil || opened.Text() != id.Text() {
		t.Errorf("unlocked: %v", err)
	}
	for _, wrong := range []string{"", "Passphrase"} {
		if _, err := vault.UnlockIdentity(locked, wrong); !errors.Is(err, vault.ErrPassphrase) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	if _, err := vault.UnlockIdentity(strings.Replace(locked, "A", "B", 1), "passphrase"); err == nil {
		t.Error("an altered one was opened")
	}
}

func TestGenerate(t *testing.T) {
	for name, set := range vault.Charsets {
		seen := map[byte]bool{}
		value, err := vault.Generate(vault.MaxGenerated, name)
		if err != nil || len(value) != vault.MaxGenerated {
			t.Fatal(err)
		}
		for _, c := range value {
			if !strings.ContainsRune(set, rune(c)) {
				t.Errorf("%s gives %q", name, c)
			}
			seen[c] = true
		}
		if len(seen) != len(set) {
			t.Errorf("%s gives %d of its %d characters", name, len(seen), len(set))
		}
	}
}
