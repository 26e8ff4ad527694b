package vault_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ass/audit"
	"ass/vault"
	"ass/vault/vaulttest"
)

// A backup whose disk fails while it is restored, after it was checked, restores nothing: the vault in
// place stays as it is, and nothing lies beside it. The test fails the disk whenever a restore
// asks for the time.
func TestRestoreOfWhatBreaksMeanwhile(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("hunter2 ", 400)
	failed := 0
	for call := 1; ; call++ {
		v := vaulttest.New(t)
		for _, path := range []string{"a/K", "a/L", "b/K"} {
			v.Set(t, path, long+path, vault.SetOptions{})
		}
		file := backUp(t, v)
		v.Set(t, "a/K", "newer", vault.SetOptions{})
		plan, err := vault.PlanRestore(v.Path, file, v.Owner, v.Opts)
		if err != nil {
			t.Fatal(err)
		}
		before, err := os.ReadFile(v.Path)
		if err != nil {
			t.Fatal(err)
		}
		calls, o := 0, v.Opts
		o.Now = func() time.Time {
			if calls++; calls == call {
				breakPages(t, file)
			}
			if v.Opts.Now != nil {
				return v.Opts.Now()
			}
			return time.Now()
		}
		_, err = vault.Restore(v.Path, file, v.Owner, plan, o)
		if calls < call {
			break
		}
		if err == nil { // the disk failed too late
			if got, err := v.Get(t, "a/K"); got != long+"a/K" {
				t.Errorf("call %d: another value of %d bytes was restored: %v", call, len(got), err)
			}
			continue
		}
		failed++
		after, rerr := os.ReadFile(v.Path)
		if rerr != nil || !bytes.Equal(before, after) {
			t.Errorf("call %d: the vault has changed, after: %v, %v", call, err, rerr)
		}
		for _, pattern := range []string{"*.new", "*.replaced-*"} {
			left, gerr := filepath.Glob(filepath.Join(filepath.Dir(v.Path), pattern))
			if gerr != nil || len(left) > 0 {
				t.Errorf("call %d: %q is left, after: %v, %v", call, left, err, gerr)
			}
		}
	}
	if failed == 0 {
		t.Error("no restore has met the damage")
	}
}

// If the log that a restore continues breaks meanwhile, the new vault does not get a part of it.
func TestRestoreOfALogThatBreaksMeanwhile(t *testing.T) {
	t.Parallel()
	failed := 0
	for call := 1; ; call++ {
		v := vaulttest.New(t)
		v.Set(t, "a/K", "value", vault.SetOptions{})
		file := backUp(t, v)
		v.Set(t, "a/K", "newer", vault.SetOptions{})
		plan, err := vault.PlanRestore(v.Path, file, v.Owner, v.Opts)
		if err != nil || !plan.KeepsLog {
			t.Fatal(plan, err)
		}
		calls, o := 0, v.Opts
		o.Now = func() time.Time {
			if calls++; calls == call {
				breakLog(t, v.Path)
			}
			return time.Now()
		}
		_, err = vault.Restore(v.Path, file, v.Owner, plan, o)
		if calls < call {
			break
		}
		if err != nil {
			v.Damaged()
			failed++
		}
	}
	if failed == 0 {
		t.Error("no restore has met the damage")
	}
}

// breakLog destroys the pages of the log.
func breakLog(t *testing.T, file string) {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for at := 2 * 4096; at < len(b); at += 4096 {
		if bytes.Contains(b[at:][:4096], []byte(audit.SecretCreated)) {
			if _, err := f.WriteAt(make([]byte, 16), int64(at)); err != nil {
				t.Error(err)
			}
		}
	}
}

// breakPages damages what is in the middle of every page but those that say where the others are.
func breakPages(t *testing.T, file string) {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Error(err)
		return
	}
	for at := int64(2*4096 + 2000); at < info.Size(); at += 4096 {
		if _, err := f.WriteAt([]byte("damaged!"), at); err != nil {
			t.Error(err)
		}
	}
}
