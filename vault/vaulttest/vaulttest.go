// Package vaulttest gives each test a real vault in a folder of its own. When the
// test ends, it verifies the vault record by record.
package vaulttest

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"ass/tokens"
	"ass/vault"
)

// Vault is a vault on disk and the identity of its owner.
type Vault struct {
	Path  string
	Owner *vault.Identity
	Opts  vault.Options // used by [Vault.Do] and every [Actor]; tests may change it

	damaged bool
}

// New creates a vault. When the test ends, [Check] verifies it, values included,
// unless the test failed or called [Vault.Damaged].
func New(t testing.TB) *Vault {
	t.Helper()
	owner, err := vault.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	v := &Vault{Path: filepath.Join(t.TempDir(), "vault.db"), Owner: owner}
	v.Opts = vault.Options{MemoryDir: t.TempDir(), LockTimeout: 5 * time.Second, Command: "test"}
	if _, err := vault.Create(v.Path, owner, v.Opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() || v.damaged {
			return
		}
		problems, err := Check(v.Path, v.Owner)
		if err != nil || len(problems) > 0 {
			t.Errorf("at the end of the test, the vault does not hold: %q, %v", problems, err)
		}
	})
	return v
}

// Damaged says that the test damages the vault on purpose, so that it is not
// verified at the end.
func (v *Vault) Damaged() { v.damaged = true }

// Do opens the vault as its owner, calls fn and closes it.
func (v *Vault) Do(fn func(*vault.Session) error) error {
	opened, err := vault.Open(v.Path, v.Opts)
	if err != nil {
		return err
	}
	defer opened.Close()
	s, err := opened.Owner(v.Owner)
	if err != nil {
		return err
	}
	return fn(s)
}

// Must calls [Vault.Do]. If that fails, the test fails.
func (v *Vault) Must(t testing.TB, fn func(*vault.Session) error) {
	t.Helper()
	if err := v.Do(fn); err != nil {
		t.Fatal(err)
	}
}

// Set stores a value as the owner. If that fails, the test fails.
func (v *Vault) Set(t testing.TB, path, value string, o vault.SetOptions) {
	t.Helper()
	v.Must(t, func(s *vault.Session) error {
		_, _, err := s.Set(Path(t, path), []byte(value), o)
		return err
	})
}

// Get reads a value as the owner. It returns any error.
func (v *Vault) Get(t testing.TB, path string) (value string, err error) {
	t.Helper()
	err = v.Do(func(s *vault.Session) error {
		_, b, err := s.Get(Path(t, path), 0)
		value = string(b)
		return err
	})
	return value, err
}

// Verify checks everything, values included. A verification that continues where the
// last one ended must find the same problems as one that starts at the first entry.
func (v *Vault) Verify() (r vault.Report) {
	err := v.Do(func(s *vault.Session) error {
		again, aerr := s.Reverify()
		all, err := s.Verify(false)
		if !slices.Equal(again.Problems, all.Problems) {
			return fmt.Errorf("verified from entry %d on: %q; from the first on: %q", again.Verified+1, again.Problems,
				all.Problems)
		}
		if err == nil && aerr == nil {
			r, err = s.Verify(true)
			r.Problems = append(r.Problems, r.Miscounted...)
		}
		return errors.Join(aerr, err)
	})
	if err != nil {
		r.Problems = append(r.Problems, err.Error())
	}
	return r
}

// Check verifies the vault at path, which id must be able to open: every record, value
// and log entry, then every page with bbolt's own check. It returns the problems found.
func Check(path string, id *vault.Identity) ([]string, error) {
	v, err := vault.Open(path, vault.Options{})
	if err != nil {
		return nil, err
	}
	s, err := v.Owner(id)
	if err != nil {
		return nil, errors.Join(err, v.Close())
	}
	r, err := s.Verify(true)
	r.Problems = append(r.Problems, r.Miscounted...)
	if err = errors.Join(err, v.Close()); err != nil {
		return r.Problems, err
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		return r.Problems, err
	}
	err = db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			r.Problems = append(r.Problems, "bbolt: "+err.Error())
		}
		return nil
	})
	return r.Problems, errors.Join(err, db.Close())
}

// ReplaceCounts puts a text in the place of the counts that the file of a vault states about itself, without any key; nil
// removes them. It returns what they were.
func ReplaceCounts(t testing.TB, path string, with []byte) (were []byte) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		meta, k := tx.Bucket([]byte("meta")), []byte("counts")
		if were = bytes.Clone(meta.Get(k)); with == nil {
			return meta.Delete(k)
		}
		return meta.Put(k, with)
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return were
}

// Path parses a path that has to be valid.
func Path(t testing.TB, s string) tokens.Path {
	t.Helper()
	p, err := tokens.ParsePath(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
