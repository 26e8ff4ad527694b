package vault_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ass/tokens"
	"ass/vault"
	"ass/vault/vaulttest"
)

// The golden files of format 2: a vault in which owner, agents and tokens have written, read, asked and been answered;
// a backup of it, the archive of the beginning of its log, the machine's two notes about it, and its credentials.
var golden2 = []string{"vault.db", "backup.db", "log.jsonl", "seen", "verified", "credentials"}

const golden2Dir = "testdata/golden/format2"

// buildGolden2 makes them in a folder.
func buildGolden2(t *testing.T, dir string) {
	t.Helper()
	t.Chdir(dir) // the log has the names of files
	v := buildGolden(t, "vault.db", 2)
	v.Opts.MemoryDir = "memory"
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var reader, writer tokens.AgentKey
	v.Must(t, func(s *vault.Session) (err error) {
		_, reader, err = s.CreateAgent(vault.AgentSpec{Name: "reader", Scopes: vaulttest.Scopes(t, "secrets:read:production/*")})
		if err == nil {
			_, writer, err = s.CreateAgent(vault.AgentSpec{Name: "writer", Scopes: vaulttest.Scopes(t, "secrets:write:production/*",
				"secrets:*:shared/*")})
		}
		return err
	})
	token, _ := v.NewToken(t, v.Agent(reader), vault.TokenSpec{Scopes: vaulttest.Scopes(t, "secrets:read:production/gemini/*"),
		TTL: tokens.MaxTTL, Uses: 100})
	v.Set(t, "production/CRITICAL", "critical", vault.SetOptions{Tier: tokens.Critical})
	must(v.Agent(writer).Set(t, "production/WRITTEN", "written blindly", vault.SetOptions{}))
	v.Set(t, "shared/K", "by the owner", vault.SetOptions{})
	must(v.Agent(writer).Set(t, "shared/K", "by an agent", vault.SetOptions{}))
	v.Set(t, "shared/K", "by the owner again", vault.SetOptions{}) // with a statement of its tier
	v.Must(t, func(s *vault.Session) error {
		items := []vault.Item{{Key: "C", Value: []byte("3")}, {Key: "A", Value: []byte("1")}, {Key: "B", Value: []byte("2")}}
		if _, err := s.Import(vaulttest.Namespace(t, "imported"), items, vault.ImportOptions{}); err != nil {
			return err
		}
		_, err := s.GetAll(vaulttest.Namespace(t, "imported"))
		return err
	})
	for _, name := range []string{"production/stripe/KEY", "production/CRITICAL"} {
		if _, err := v.Agent(reader).Get(t, name); !errors.Is(err, vault.ErrApproval) {
			t.Fatal(err)
		}
	}
	v.Must(t, func(s *vault.Session) error {
		list, err := s.Requests()
		if err == nil {
			err = s.Approve(list[:1])
		}
		if err == nil {
			_, err = s.ArchiveLog("log.jsonl", time.Date(2026, 6, 1, 10, 30, 15, 0, time.UTC), false)
		}
		if err != nil {
			return err
		}
		b, err := s.BackUp("backup.db")
		if err == nil {
			_, err = b.Verify(v.Owner, vault.Options{})
		}
		return err
	})
	if r := v.Verify(); len(r.Problems) > 0 {
		t.Fatal(r.Problems)
	}
	var vid string
	v.Must(t, func(s *vault.Session) error { vid = s.VaultID(); return nil })
	must(os.Rename(filepath.Join(v.Opts.MemoryDir, vid+".2"), "seen"))
	must(os.Rename(filepath.Join(v.Opts.MemoryDir, vid+".verified"), "verified"))
	must(os.WriteFile("credentials", []byte(strings.Join([]string{goldenKey, reader.Text(), writer.Text(), token.Text}, "\n")+"\n"),
		0o600))
}

// Everything is made the same, with the same randomness and clock. If a byte differs, the format has changed.
func TestGolden2IsMadeTheSame(t *testing.T) {
	dir := t.TempDir()
	all, err := filepath.Abs(golden2Dir)
	if err != nil {
		t.Fatal(err)
	}
	buildGolden2(t, dir)
	for _, name := range golden2 {
		made, kept := filepath.Join(dir, name), filepath.Join(all, name)
		if _, err := os.Stat(kept); *makeGolden && os.IsNotExist(err) {
			raw, err := os.ReadFile(made)
			if err == nil {
				err = errors.Join(os.MkdirAll(all, 0o755), os.WriteFile(kept, raw, 0o644))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if strings.HasSuffix(name, ".db") {
			got, want := dump(t, made), dump(t, kept)
			for k, v := range want {
				if got[k] != v {
					t.Errorf("%s: %q is made differently", name, k)
				}
			}
			if len(got) != len(want) {
				t.Errorf("%s: %d records are made instead of %d", name, len(got), len(want))
			}
			continue
		}
		got, err := os.ReadFile(made)
		want, werr := os.ReadFile(kept)
		if err != nil || werr != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is made differently: %v, %v", name, err, werr)
		}
	}
}

// What an earlier program made of format 2 holds, opens, is restored, and goes on.
func TestGolden2(t *testing.T) {
	dir := t.TempDir()
	raw := map[string][]byte{}
	for _, name := range golden2 {
		b, err := os.ReadFile(filepath.Join(golden2Dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		raw[name] = b
	}
	credentials := strings.Fields(string(raw["credentials"]))
	owner, err := vault.ParseIdentity(credentials[0])
	if err != nil {
		t.Fatal(err)
	}
	var agents []tokens.AgentKey
	for _, text := range credentials[1:3] {
		k, err := tokens.ParseAgentKey(text)
		if err != nil {
			t.Fatal(err)
		}
		agents = append(agents, k)
	}
	v := vaulttest.Vault{Path: filepath.Join(dir, "vault.db"), Owner: owner}
	v.Opts.Now = func() time.Time { return time.Date(2026, 6, 1, 11, 0, 0, 0, time.UTC) }
	v.Opts.MemoryDir = filepath.Join(dir, "memory")
	if err := os.Mkdir(v.Opts.MemoryDir, 0o700); err != nil {
		t.Fatal(err)
	}
	opened, err := vault.Open(v.Path, v.Opts)
	if err != nil {
		t.Fatal(err)
	}
	vid := opened.ID()
	opened.Close()
	for name, to := range map[string]string{"seen": vid + ".2", "verified": vid + ".verified"} {
		if err := os.WriteFile(filepath.Join(v.Opts.MemoryDir, to), raw[name], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	v.Must(t, func(s *vault.Session) error {
		r, err := s.Reverify()
		if len(r.Problems) > 0 || !r.Remembered || r.Verified == 0 {
			t.Errorf("with the machine's notes: %+v", r)
		}
		return err
	})
	if problems, err := vaulttest.Check(v.Path, owner); err != nil || len(problems) > 0 {
		t.Fatalf("it does not hold: %q, %v", problems, err)
	}
	reader, writer, token := v.Agent(agents[0]), v.Agent(agents[1]), v.Token(credentials[3])
	wantValue(t, "the agent", reader, "production/gemini/KEY", "three")
	wantValue(t, "the agent, what another wrote", reader, "production/WRITTEN", "written blindly")
	wantValue(t, "the agent, by an approval", reader, "production/stripe/KEY", "sensitive")
	wantValue(t, "the token", token, "production/gemini/KEY", "three")
	wantValue(t, "the owner, what was imported", v.Do, "imported/B", "2")
	wantValue(t, "the other agent", writer, "shared/K", "by the owner again")
	if err := writer.Set(t, "shared/K", "goes on", vault.SetOptions{}); err != nil {
		t.Error(err)
	}
	v.Set(t, "staging/PURGED", "its number goes on", vault.SetOptions{})
	v.Must(t, func(s *vault.Session) error {
		if _, versions, err := s.History(vaulttest.Path(t, "staging/PURGED")); err != nil || versions[0].Number != 2 {
			t.Errorf("after the purge: %v, %v", versions, err)
		}
		_, err := s.RevokeAgent("writer", vault.NarrowOptions{})
		return err
	})
	if problems := v.Verify().Problems; len(problems) > 0 {
		t.Errorf("after all that: %q", problems)
	}
	a, problems, err := vault.VerifyArchive(filepath.Join(dir, "log.jsonl"), nil)
	if err != nil || len(problems) > 0 || a.Vault != vid {
		t.Errorf("the archive: %+v, %q, %v", a, problems, err)
	}
	backup := filepath.Join(dir, "backup.db")
	r, err := vault.VerifyBackup(backup, owner, v.Opts)
	if err != nil || len(r.Problems) > 0 {
		t.Fatalf("the backup: %q, %v", r.Problems, err)
	}
	restore(t, &v, backup)
	wantValue(t, "the owner, after a restore", v.Do, "shared/K", "by the owner again")
	if problems := v.Verify().Problems; len(problems) > 0 {
		t.Errorf("after the restore: %q", problems)
	}
}
