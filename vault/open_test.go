package vault_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"ass/vault"
	"ass/vault/vaulttest"
)

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
