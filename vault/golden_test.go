package vault_test

import (
	"errors"
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

var makeGolden = flag.Bool("make-golden", false, "write the golden vault of this format into testdata/golden; never "+
	"over one that is there")

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
	for file, build := range map[string]func(*testing.T, string){
		"testdata/golden/format1-sums.db":        func(t *testing.T, path string) { buildGolden(t, path, 1) },
		"testdata/golden/format1-sums-agents.db": func(t *testing.T, path string) { buildGoldenAgents(t, path, 1) },
		pagesVault:                               buildPages,
	} {
		t.Run(filepath.Base(file), func(t *testing.T) { checkGolden(t, file, build) })
	}
}

func checkGolden(t *testing.T, file string, build func(*testing.T, string)) {
	path := filepath.Join(t.TempDir(), "vault.db")
	build(t, path)
	if _, err := os.Stat(file); *makeGolden && os.IsNotExist(err) {
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

func buildGolden(t *testing.T, path string, format int) vaulttest.Vault {
	t.Helper()
	v := newGolden(t, path, format)
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
	return v
}

// newGolden makes an empty vault that is the same each time.
func newGolden(t *testing.T, path string, format int) vaulttest.Vault {
	t.Helper()
	cryptotest.SetGlobalRandom(t, 1)
	owner, err := vault.ParseIdentity(goldenKey)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 6, 1, 10, 30, 0, 0, time.UTC)
	opts := vault.Options{Now: func() time.Time { now = now.Add(time.Second); return now }, Command: "golden"}
	if format == 1 {
		opts = opts.InFormat1()
	}
	if _, err := vault.Create(path, owner, opts); err != nil {
		t.Fatal(err)
	}
	return vaulttest.Vault{Path: path, Owner: owner, Opts: opts}
}

// goldenAgent and goldenToken open the golden vault that has agents.
const (
	goldenAgent = "ass_Gd0NiAiTUSN5Ursizh4hfZNtHp9I5Vl5fZJ78m8YeLVKQSZiewKoii"
	goldenToken = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJhc3M6NjZkMWY3MDc5YzM3MGFjYTc5NzM2OTdlZGZhOTNiZGQiLCJzdWIiOiJhZ3RfOTVjODQ1MTEiLCJqdGkiOiJlY2FiZTQwMC04ZGYxLTQ3ZTAtOWZlZi1hMDQ5OTg1MmQ0ZDciLCJpYXQiOjE3ODAzMDk4MzAsImV4cCI6MTc4MDM5NjIzMCwic2NvcGUiOiJzZWNyZXRzOnJlYWQ6cHJvZHVjdGlvbi9nZW1pbmkvKiIsInVzZXMiOjEwMH0.cs88HlfYgneTlEr2EqX3KutDPTBfCc0Wt3IOH6eR1qg"
)

// buildGoldenAgents goes on from the golden vault: an agent that reads and one that
// only writes, a token, a request that was approved and one that waits.
func buildGoldenAgents(t *testing.T, path string, format int) {
	t.Helper()
	v := buildGolden(t, path, format)
	_, writer := v.NewAgent(t, "writer", "secrets:write:production/*")
	var k tokens.AgentKey
	v.Must(t, func(s *vault.Session) (err error) {
		_, k, err = s.CreateAgent(vault.AgentSpec{Name: "reader", Scopes: vaulttest.Scopes(t, "secrets:read:production/*")})
		return err
	})
	reader := v.Agent(k)
	token, _ := v.NewToken(t, reader, vault.TokenSpec{Scopes: vaulttest.Scopes(t, "secrets:read:production/gemini/*"),
		TTL: tokens.MaxTTL, Uses: 100})
	v.Set(t, "production/CRITICAL", "critical", vault.SetOptions{Tier: tokens.Critical})
	if err := writer.Set(t, "production/WRITTEN", "written blindly", vault.SetOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"production/stripe/KEY", "production/CRITICAL"} {
		if _, err := reader.Get(t, name); !errors.Is(err, vault.ErrApproval) {
			t.Fatal(err)
		}
	}
	v.Must(t, func(s *vault.Session) error {
		list, err := s.Requests()
		if err == nil {
			err = s.Approve(list[:1])
		}
		return err
	})
	if k.Text() != goldenAgent || token.Text != goldenToken {
		t.Errorf("other credentials are made:\n%s\n%s", k.Text(), token.Text)
	}
}

// The agents of an earlier version still open what they did.
func TestGoldenAgents(t *testing.T) {
	raw, err := os.ReadFile("testdata/golden/format1-agents.db")
	if err != nil {
		t.Fatal(err)
	}
	owner, err := vault.ParseIdentity(goldenKey)
	if err != nil {
		t.Fatal(err)
	}
	k, err := tokens.ParseAgentKey(goldenAgent)
	if err != nil {
		t.Fatal(err)
	}
	v := vaulttest.Vault{Path: filepath.Join(t.TempDir(), "vault.db"), Owner: owner}
	v.Opts.Now = func() time.Time { return time.Date(2026, 6, 1, 11, 0, 0, 0, time.UTC) }
	if err := os.WriteFile(v.Path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	reader := v.Agent(k)
	wantValue(t, "the agent", reader, "production/gemini/KEY", "three")
	wantValue(t, "the agent", reader, "production/WRITTEN", "written blindly")
	wantValue(t, "the agent, by an approval", reader, "production/stripe/KEY", "sensitive")
	wantValue(t, "the token", v.Token(goldenToken), "production/gemini/KEY", "three")
	_, err = reader.Get(t, "default/FLAT")
	wantError(t, "out of scope", err, vault.ErrDenied)
	v.Must(t, func(s *vault.Session) error {
		list, err := s.Requests()
		if len(list) != 2 || list[0].Status != vault.Approved || list[1].Status != vault.Pending {
			t.Fatalf("requests: %+v", list)
		}
		return errors.Join(err, s.Approve(list[1:]))
	})
	wantValue(t, "the agent, by a new approval", reader, "production/CRITICAL", "critical")
	v.Must(t, func(s *vault.Session) error { _, err := s.RevokeAgent("writer", vault.NarrowOptions{}); return err })
	wantValue(t, "the agent, after a rewrite", reader, "production/WRITTEN", "written blindly")
	wantValue(t, "the token, after a rewrite", v.Token(goldenToken), "production/gemini/KEY", "three")
	if problems := v.Verify().Problems; len(problems) > 0 {
		t.Errorf("after all that: %q", problems)
	}
}
