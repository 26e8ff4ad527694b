package vault_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ass/vault"
	"ass/vault/vaulttest"
)

// salvaged salvages a damaged file, verifies the new vault and returns it.
func salvaged(t *testing.T, damaged string, v *vaulttest.Vault) (*vaulttest.Vault, vault.Salvaged) {
	t.Helper()
	to := filepath.Join(t.TempDir(), "new.db")
	r, err := vault.Salvage(damaged, to, v.Owner, vault.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := &vaulttest.Vault{Path: to, Owner: v.Owner}
	if got := n.Verify(); len(got.Problems) > 0 {
		t.Fatalf("what was salvaged does not hold: %q (lost: %q)", got.Problems, r.Lost)
	}
	return n, r
}

// TestSalvage zeroes each page of a vault in turn, and salvages the rest. Every value that is
// salvaged is right, and every value that is lost is named.
func TestSalvage(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	t.Parallel()
	if underRace {
		t.Skip("it takes too long, and nothing here runs at once")
	}
	v := vaulttest.New(t)
	values := map[string]string{}
	for i := range 16 {
		name := fmt.Sprintf("a/K%02d", i)
		values[name] = fmt.Sprintf("value %d %0300d", i, i)
		v.Set(t, name, "old "+name, vault.SetOptions{})
		v.Set(t, name, values[name], vault.SetOptions{})
	}
	values["a/BIG"] = strings.Repeat("big", 5000)
	v.Set(t, "a/BIG", values["a/BIG"], vault.SetOptions{})
	_, reader := v.NewAgent(t, "reader", "secrets:read:a/*")
	_ = reader
	// A compacted file has no old pages with copies of records, so a zeroed record is lost.
	v.Must(t, func(s *vault.Session) error { return s.Compact("") })
	whole, err := os.ReadFile(v.Path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(t.TempDir(), "damaged.db")
	lost, whole1, logs, beyond := 0, 0, 0, 0
	for page := range len(whole) / 4096 {
		b := slices.Clone(whole)
		clear(b[page*4096:][:4096])
		if err := os.WriteFile(damaged, b, 0o600); err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(t.TempDir(), "new.db")
		r, err := vault.Salvage(damaged, to, v.Owner, vault.Options{})
		if err != nil {
			if beyond++; !errors.Is(err, vault.ErrDamaged) {
				t.Fatalf("page %d: %v", page, err)
			}
			continue
		}
		n := &vaulttest.Vault{Path: to, Owner: v.Owner}
		if got := n.Verify(); len(got.Problems) > 0 {
			t.Fatalf("page %d: %q (lost: %q)", page, got.Problems, r.Lost)
		}
		if r.LogFile != "" {
			if _, _, err := vault.VerifyArchive(r.LogFile, nil); err != nil {
				t.Errorf("page %d: the file of the log: %v", page, err)
			}
			if r.Agents > 0 && len(r.Reviving) == 0 {
				t.Errorf("page %d: with holes in the log, nobody says that an agent may have been revoked", page)
			}
			logs++
		}
		for name, want := range values {
			got, err := n.Get(t, name)
			named := slices.ContainsFunc(r.Lost, func(s string) bool { return strings.HasPrefix(s, name) })
			switch {
			case err == nil && got != want:
				t.Errorf("page %d: %s is another value", page, name)
			case err != nil && (!named || !errors.Is(err, vault.ErrNotFound)):
				t.Errorf("page %d: %s: %v; lost: %q", page, name, err, r.Lost)
			}
			if err != nil {
				lost++
			}
		}
		if len(r.Lost) == 0 {
			whole1++
		}
		if after, _ := os.ReadFile(damaged); string(after) != string(b) {
			t.Fatal("the damaged file was changed")
		}
	}
	t.Logf("%d pages: nothing lost %d times, %d values lost in all, the log kept beside %d times, beyond salvage %d times",
		len(whole)/4096, whole1, lost, logs, beyond)
	if lost == 0 || whole1 == 0 || logs == 0 || beyond > 1 {
		t.Error("the damage did not hit what it should")
	}
}

func TestSalvageWhole(t *testing.T) {
	v := vaulttest.New(t)
	v.Set(t, "a/K", "one", vault.SetOptions{})
	v.Set(t, "a/K", "two", vault.SetOptions{})
	_, reader := v.NewAgent(t, "reader", "secrets:read:a/*")
	if _, err := reader.Get(t, "a/K"); err != nil {
		t.Fatal(err)
	}
	n, r := salvaged(t, v.Path, v)
	if len(r.Lost) > 0 || r.LogFile != "" || r.Secrets != 1 || r.Versions != 2 || r.Agents != 1 {
		t.Errorf("of a whole vault: %+v", r)
	}
	if got, err := n.Get(t, "a/K"); err != nil || got != "two" {
		t.Errorf("%q, %v", got, err)
	}
	n.Set(t, "a/K", "three", vault.SetOptions{})
	if got := n.Verify(); len(got.Problems) > 0 {
		t.Errorf("after a write: %q", got.Problems)
	}
	for what, c := range map[string]struct {
		from, to string
		owner    *vault.Identity
		want     error
	}{
		"over a file":           {v.Path, n.Path, v.Owner, vault.ErrExists},
		"with another's key":    {v.Path, filepath.Join(t.TempDir(), "x"), vaulttest.New(t).Owner, vault.ErrWrongKey},
		"of nothing of a vault": {"salvage_test.go", filepath.Join(t.TempDir(), "x"), v.Owner, vault.ErrDamaged},
	} {
		if _, err := vault.Salvage(c.from, c.to, c.owner, vault.Options{}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A process died in a commit, so its records lie in pages that nothing leads to. Later entries have the
// numbers that it used. A salvage takes none of these records: nobody was told that they are stored.
func TestSalvageDiedInCommit(t *testing.T) {
	for what, act := range map[string]func(s *vault.Session) error{
		"a version": func(s *vault.Session) error {
			_, _, err := s.Set(vaulttest.Path(t, "a/K"), []byte("two"), vault.SetOptions{})
			return err
		},
		"a secret": func(s *vault.Session) error {
			_, _, err := s.Set(vaulttest.Path(t, "a/DIED"), []byte("two"), vault.SetOptions{})
			return err
		},
		"an agent": func(s *vault.Session) error {
			_, _, err := s.CreateAgent(vault.AgentSpec{Name: "died", Scopes: vaulttest.Scopes(t, "secrets:read:a/*")})
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			v := vaulttest.New(t)
			must := func(b []byte, err error) []byte {
				if err != nil {
					t.Fatal(err)
				}
				return b
			}
			v.Set(t, "a/K", "one", vault.SetOptions{})
			before := must(os.ReadFile(v.Path))
			v.Must(t, act)
			died := must(os.ReadFile(v.Path))
			must(nil, os.WriteFile(v.Path, before, 0o600))
			if got, err := v.Get(t, "a/K"); err != nil || got != "one" {
				t.Fatalf("%q, %v", got, err)
			}
			now := must(os.ReadFile(v.Path))
			must(nil, os.WriteFile(v.Path, append(now, died...), 0o600)) // no meta page leads behind the end
			n, r := salvaged(t, v.Path, v)
			if len(r.Lost) > 0 || r.LogFile != "" || r.Secrets != 1 || r.Versions != 1 || r.Agents != 0 {
				t.Errorf("%+v", r)
			}
			if got, err := n.Get(t, "a/K"); err != nil || got != "one" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// After the owner's key is replaced, the old keys open nothing and the new keys open everything.
// The archive of the old log verifies by itself.
func TestRekeyOwner(t *testing.T) {
	v := vaulttest.New(t)
	v.Set(t, "a/K", "one", vault.SetOptions{})
	v.Set(t, "a/K", "two", vault.SetOptions{})
	v.Set(t, "a/GONE", "x", vault.SetOptions{})
	agent, old := v.NewAgent(t, "worker", "secrets:*:a/*")
	if err := old.Set(t, "a/BY_AGENT", "three", vault.SetOptions{}); err != nil {
		t.Fatal(err)
	}
	revoked, _ := v.NewAgent(t, "revoked", "secrets:read:a/*")
	v.Must(t, func(s *vault.Session) error { _, err := s.RevokeAgent(revoked.ID, vault.NarrowOptions{}); return err })
	_, token := v.NewToken(t, v.Do, vault.TokenSpec{Scopes: vaulttest.Scopes(t, "secrets:read:a/*")})
	before := v.Owner
	next, err := vault.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "log.jsonl")
	var agents []vault.NewAgentKey
	v.Must(t, func(s *vault.Session) (err error) {
		_, agents, err = s.RekeyOwner(vault.NewOwnership(next), log)
		return err
	})
	if err := v.Do(func(*vault.Session) error { return nil }); !errors.Is(err, vault.ErrWrongKey) {
		t.Errorf("with the old owner key: %v", err)
	}
	v.Owner = next
	if r := v.Verify(); len(r.Problems) > 0 {
		t.Fatalf("%q", r.Problems)
	}
	if len(agents) != 1 || agents[0].Agent.ID != agent.ID {
		t.Fatalf("new keys: %+v", agents)
	}
	worker := v.Agent(agents[0].Key)
	if got, err := worker.Get(t, "a/BY_AGENT"); err != nil || got != "three" {
		t.Errorf("with the agent's new key: %q, %v", got, err)
	}
	for what, as := range map[string]vaulttest.Actor{"the agent's old key": old, "a token": token} {
		if _, err := as.Get(t, "a/K"); !errors.Is(err, vault.ErrWrongKey) {
			t.Errorf("%s: %v", what, err)
		}
	}
	a, problems, err := vault.VerifyArchive(log, nil)
	if err != nil || len(problems) > 0 || a.First != 1 {
		t.Errorf("the log before: %+v, %q, %v", a, problems, err)
	}
	// Everybody can go on.
	if err := worker.Set(t, "a/K", "four", vault.SetOptions{}); err != nil {
		t.Error(err)
	}
	v.Must(t, func(s *vault.Session) error { _, err := s.Purge(vaulttest.Path(t, "a/GONE")); return err })
	v.Must(t, func(s *vault.Session) error { _, err := s.RevokeAgent(agent.ID, vault.NarrowOptions{}); return err })
	if r := v.Verify(); len(r.Problems) > 0 {
		t.Errorf("afterwards: %q", r.Problems)
	}
	_ = before
}

func TestArchive(t *testing.T) {
	t.Parallel()
	v := vaulttest.New(t)
	clock := v.UseClock()
	clock.Time = time.Now()
	v.Set(t, "a/K", "one", vault.SetOptions{})
	agent, worker := v.NewAgent(t, "worker", "secrets:*:a/*")
	if err := worker.Set(t, "a/W", "two", vault.SetOptions{}); err != nil {
		t.Fatal(err)
	}
	v.Must(t, func(s *vault.Session) error { _, err := s.Rekey(); return err })
	if err := worker.Set(t, "a/W", "three", vault.SetOptions{}); err != nil {
		t.Fatal(err)
	}
	issued, token := v.NewToken(t, worker, vault.TokenSpec{Scopes: vaulttest.Scopes(t, "secrets:write:a/T"),
		TTL: 3 * time.Hour})
	clock.Pass(2 * time.Hour)
	cut := clock.Time
	clock.Pass(time.Minute)
	if err := token.Set(t, "a/T", "by the token", vault.SetOptions{}); err != nil {
		t.Fatal(err)
	}
	v.Set(t, "a/K", "four", vault.SetOptions{})

	file := filepath.Join(t.TempDir(), "old.jsonl")
	archive := func(file string, before time.Time) (a vault.Archived, err error) {
		err = v.Do(func(s *vault.Session) error { a, err = s.ArchiveLog(file, before, false); return err })
		return a, err
	}
	a, err := archive(file, cut)
	if err != nil {
		t.Fatal(err)
	}
	if r := v.Verify(); len(r.Problems) > 0 || r.Archived != a.Last || a.Last != 7 {
		t.Fatalf("after the cut at %d: %+v", a.Last, r)
	}
	n := 0
	if _, problems, err := vault.VerifyArchive(file, func(vault.Entry) { n++ }); err != nil || len(problems) > 0 ||
		n != int(a.Last) {
		t.Fatalf("the archive: %d entries, %q, %v", n, problems, err)
	}
	// Work goes on: an agent from before the cut acts after it, and can be revoked.
	if err := worker.Set(t, "a/W", "five", vault.SetOptions{}); err != nil {
		t.Error(err)
	}
	entries := v.Verify().Entries
	v.Must(t, func(s *vault.Session) error {
		total, err := s.CountLog(nil)
		if total != int(entries) && err == nil {
			t.Errorf("the log says that it has %d entries", total)
		}
		return err
	})
	if r := v.Verify(); len(r.Problems) > 0 {
		t.Fatalf("%q", r.Problems)
	}
	clock.Pass(time.Minute)
	second := filepath.Join(t.TempDir(), "second.jsonl")
	if a, err = archive(second, clock.Time); err != nil {
		t.Fatal(err)
	}
	if _, problems, err := vault.VerifyArchive(second, nil); err != nil || len(problems) > 0 {
		t.Errorf("the second archive, whose signers are in the first: %q, %v", problems, err)
	}
	v.Must(t, func(s *vault.Session) error { _, err := s.RevokeAgent(agent.ID, vault.NarrowOptions{}); return err })
	if r := v.Verify(); len(r.Problems) > 0 {
		t.Errorf("%q", r.Problems)
	}
	_ = issued

	// Archiving fails if no entry is old enough, or if the file exists.
	if _, err := archive(filepath.Join(t.TempDir(), "third"), cut); !errors.Is(err, vault.ErrConflict) {
		t.Errorf("nothing to archive: %v", err)
	}
	if _, err := archive(file, clock.Time); !errors.Is(err, vault.ErrExists) {
		t.Errorf("over a file: %v", err)
	}
	// Any altered byte of an archive is noticed.
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "bad.jsonl")
	for at := 0; at < len(raw); at += 41 {
		b := slices.Clone(raw)
		if b[at] ^= 1; b[at] == '\n' || raw[at] == '\n' {
			continue
		}
		if err := os.WriteFile(bad, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := vault.VerifyArchive(bad, nil); !errors.Is(err, vault.ErrDamaged) {
			t.Errorf("byte %d of the archive was altered: %v", at, err)
		}
	}
	// A backup of a vault with a cut log can be restored, too.
	backup := backUp(t, v)
	v.Set(t, "a/K", "six", vault.SetOptions{})
	restore(t, v, backup)
	if got, err := v.Get(t, "a/K"); err != nil || got != "four" {
		t.Errorf("%q, %v", got, err)
	}
}
