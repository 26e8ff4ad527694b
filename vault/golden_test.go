package vault_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"testing/cryptotest"
	"time"

	"go.etcd.io/bbolt"

	"ass/tokens"
	"ass/vault"
	"ass/vault/vaulttest"
)

var makeGolden = flag.Bool("make-golden", false, "write the golden vault of this format into testdata/golden; never over one that is there")

// goldenKey owns the golden vaults.
const goldenKey = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"

// goldenSecrets is what a golden vault holds: by path, the values of its
// versions, oldest first.
var goldenSecrets = map[string][]string{
	"default/FLAT":           {"flat"},
	"production/gemini/KEY":  {"one", "two", "three"},
	"production/stripe/KEY":  {"sensitive"},
	"production/stripe/CERT": {"\x00\xff binary\n"},
}

// TestGolden opens the vaults that earlier versions of this program made. They
// must open for ever.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.db")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden vaults: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "vault.db")
			if err := os.WriteFile(path, raw, 0o600); err != nil {
				t.Fatal(err)
			}
			owner, err := vault.ParseIdentity(goldenKey)
			if err != nil {
				t.Fatal(err)
			}
			if problems, err := vaulttest.Check(path, owner); err != nil || len(problems) > 0 {
				t.Fatalf("it does not hold: %q, %v", problems, err)
			}
			v := vaulttest.Vault{Path: path, Owner: owner}
			v.Must(t, func(s *vault.Session) error {
				for name, values := range goldenSecrets {
					for n, want := range values {
						_, got, err := s.Get(vaulttest.Path(t, name), uint64(n+1))
						if err != nil || string(got) != want {
							t.Errorf("%s version %d: %q, %v", name, n+1, got, err)
						}
					}
				}
				deleted, err := s.List(tokens.Namespace{}, true)
				if len(deleted) != 1 || deleted[0].Path.String() != "staging/DELETED" {
					t.Errorf("deleted: %v", deleted)
				}
				return err
			})
			v.Set(t, "new/KEY", "goes on", vault.SetOptions{Tier: tokens.Critical})
			v.Must(t, func(s *vault.Session) error { _, err := s.Purge(vaulttest.Path(t, "default/FLAT")); return err })
			if problems, err := vaulttest.Check(path, owner); err != nil || len(problems) > 0 {
				t.Fatalf("after writing to it: %q, %v", problems, err)
			}
		})
	}
}

// TestGoldenIsMadeTheSame makes the golden vault of this format again, with the
// same randomness and clock. If a record differs, the format has changed, and
// needs a new golden vault beside the old.
func TestGoldenIsMadeTheSame(t *testing.T) {
	const file = "testdata/golden/format1.db"
	path := filepath.Join(t.TempDir(), "vault.db")
	buildGolden(t, path)
	if *makeGolden {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(raw); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	got, want := dump(t, path), dump(t, file)
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%q is made differently", k)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d records are made instead of %d", len(got), len(want))
	}
}

// dump returns every value of a bbolt file, by bucket and key. The pages under
// them are bbolt's affair.
func dump(t *testing.T, path string) map[string]string {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	all := map[string]string{}
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				all[string(name)+"/"+string(k)] = string(v)
				return nil
			})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func buildGolden(t *testing.T, path string) {
	t.Helper()
	cryptotest.SetGlobalRandom(t, 1)
	owner, err := vault.ParseIdentity(goldenKey)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 6, 1, 10, 30, 0, 0, time.UTC)
	opts := vault.Options{Now: func() time.Time { now = now.Add(time.Second); return now }, Command: "golden"}
	if _, err := vault.Create(path, owner, opts); err != nil {
		t.Fatal(err)
	}
	v := vaulttest.Vault{Path: path, Owner: owner, Opts: opts}
	v.Set(t, "default/FLAT", "flat", vault.SetOptions{})
	v.Set(t, "production/gemini/KEY", "one", vault.SetOptions{Type: "api_key"})
	v.Set(t, "production/gemini/KEY", "two", vault.SetOptions{})
	v.Set(t, "production/gemini/KEY", "three", vault.SetOptions{Rotate: true})
	v.Set(t, "production/stripe/KEY", "sensitive", vault.SetOptions{Tier: tokens.Sensitive})
	v.Set(t, "production/stripe/CERT", "\x00\xff binary\n", vault.SetOptions{Type: "certificate"})
	v.Set(t, "staging/DELETED", "deleted", vault.SetOptions{})
	v.Set(t, "staging/PURGED", "purged", vault.SetOptions{})
	v.Must(t, func(s *vault.Session) error {
		if _, _, err := s.Delete(vaulttest.Path(t, "staging/DELETED")); err != nil {
			return err
		}
		_, err := s.Purge(vaulttest.Path(t, "staging/PURGED"))
		return err
	})
}
