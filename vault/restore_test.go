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

	"ass/audit"
	"ass/tokens"
	"ass/vault"
	"ass/vault/vaulttest"
)

// backUp makes a verified backup, as the command does.
func backUp(t *testing.T, v *vaulttest.Vault) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "backup.db")
	var b vault.Backup
	v.Must(t, func(s *vault.Session) (err error) {
		b, err = s.BackUp(file)
		return err
	})
	if r, err := b.Verify(v.Owner, v.Opts); err != nil || len(r.Problems) > 0 {
		t.Fatalf("the backup does not hold: %q, %v", r.Problems, err)
	}
	return file
}

// restore restores a backup, as the command does. It checks the vault, and that this machine does
// not take the vault for an older copy.
func restore(t *testing.T, v *vaulttest.Vault, file string) vault.Restoration {
	t.Helper()
	plan, err := vault.PlanRestore(v.Path, file, v.Owner, v.Opts)
	if err != nil {
		t.Fatal(err)
	}
	done, err := vault.Restore(v.Path, file, v.Owner, plan, v.Opts)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := vault.Open(v.Path, v.Opts)
	if err != nil {
		t.Fatal(err)
	}
	if back := opened.Rollback(); back != nil {
		t.Errorf("after a restore: %s", back)
	}
	if err := opened.Close(); err != nil {
		t.Fatal(err)
	}
	if r := v.Verify(); len(r.Problems) > 0 {
		t.Fatalf("after a restore: %q", r.Problems)
	}
	return done
}

func TestBackup(t *testing.T) {
	v := vaulttest.New(t)
	v.Set(t, "a/K", "one", vault.SetOptions{})
	_, reader := v.NewAgent(t, "reader", "secrets:read:a/*")
	file := backUp(t, v)

	// The keys of its time open the backup, but only to look: no value is read, nothing changes.
	copied := &vaulttest.Vault{Path: file, Owner: v.Owner}
	copied.Damaged()
	copied.Must(t, func(s *vault.Session) error {
		list, err := s.List(tokens.Namespace{}, false)
		if len(list) != 1 {
			t.Errorf("%d secrets in the backup", len(list))
		}
		return err
	})
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := copied.Get(t, "a/K"); !errors.Is(err, vault.ErrConflict) || !strings.Contains(err.Error(),
		"is a backup") {
		t.Errorf("a value was read out of a backup: %v", err)
	}
	if err := copied.Do(func(s *vault.Session) error { _, err := s.Rekey(); return err }); err == nil {
		t.Error("a backup was rewritten")
	}
	if after, _ := os.ReadFile(file); string(after) != string(before) {
		t.Error("the backup was changed")
	}
	if _, err := reader.Get(t, "a/K"); err != nil {
		t.Error(err)
	}

	// A backup does not overwrite a file.
	err = v.Do(func(s *vault.Session) error { _, err := s.BackUp(file); return err })
	if !errors.Is(err, vault.ErrExists) {
		t.Errorf("a backup over a file: %v", err)
	}
	// The log names the file of each copy.
	v.Must(t, func(s *vault.Session) error {
		list, err := s.Copies(time.Time{})
		if len(list) != 1 || list[0].File != file {
			t.Errorf("the copies that the log tells of: %v", list)
		}
		return err
	})
}

// A backup does not hold the key of the next log entry. With that key and an agent's key, a thief
// of the backup could continue the log.
func TestBackupHasNoAuditKey(t *testing.T) {
	v := vaulttest.New(t)
	v.Set(t, "a/K", "one", vault.SetOptions{})
	file := backUp(t, v)
	if _, err := vault.VerifyBackup(file, v.Owner, vault.Options{}); err != nil {
		t.Fatal(err)
	}
	opened, err := vault.OpenCopy(file, vault.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	s, err := opened.Owner(v.Owner)
	if err != nil {
		t.Fatal(err)
	}
	if !vault.HeadHasNoKey(s) {
		t.Error("the head of a backup has the key of the next entry")
	}
}

func TestRestore(t *testing.T) {
	t.Parallel()
	v := vaulttest.New(t)
	for _, name := range []string{"a/SAME", "a/OLD", "a/DELETED", "a/PURGED", "a/RAISED"} {
		v.Set(t, name, "before "+name, vault.SetOptions{})
	}
	stays, staysKey := v.NewAgent(t, "stays", "secrets:read:a/*")
	goes, goesKey := v.NewAgent(t, "goes", "secrets:read:a/*")
	turns, turnsOld := v.NewAgent(t, "turns", "secrets:read:a/*")
	_, token := v.NewToken(t, v.Do, vault.TokenSpec{Scopes: vaulttest.Scopes(t, "secrets:read:a/*")})
	file := backUp(t, v)

	v.Set(t, "a/OLD", "newer", vault.SetOptions{})
	v.Set(t, "a/NEW", "new", vault.SetOptions{})
	v.Set(t, "a/RAISED", "raised", vault.SetOptions{Tier: tokens.Sensitive})
	var turnsKey tokens.AgentKey
	v.Must(t, func(s *vault.Session) error {
		_, _, err := s.Delete(vaulttest.Path(t, "a/DELETED"))
		if err == nil {
			_, err = s.Purge(vaulttest.Path(t, "a/PURGED"))
		}
		if err == nil {
			_, err = s.RevokeAgent(goes.ID, vault.NarrowOptions{})
		}
		if err == nil {
			_, turnsKey, err = s.RotateAgentKey(turns.ID, vault.NarrowOptions{})
		}
		return err
	})
	late, lateKey := v.NewAgent(t, "late", "secrets:read:a/*")

	done := restore(t, v, file)
	if !done.KeepsLog || done.Damaged != "" {
		t.Errorf("the log of a whole vault is not gone on with: %+v", done)
	}
	for what, got := range map[string][]string{
		"a/DELETED,a/PURGED":   done.Returning,
		"a/NEW":                done.Leaving,
		"a/RAISED (sensitive)": done.Raised,
		"goes (" + goes.ID + "),turns (" + turns.ID + "), the key before its newest": done.Revoked,
		"": done.Reviving,
	} {
		if strings.Join(slices.Sorted(slices.Values(got)), ",") != what {
			t.Errorf("got %q, want %q", got, what)
		}
	}
	for _, name := range []string{"a/SAME", "a/OLD", "a/DELETED", "a/PURGED", "a/RAISED"} {
		if got, err := v.Get(t, name); err != nil || got != "before "+name {
			t.Errorf("%s is %q: %v", name, got, err)
		}
	}
	if _, err := v.Get(t, "a/NEW"); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("what is newer than the backup: %v", err)
	}
	for name, c := range map[string]struct {
		as   vaulttest.Actor
		want error
	}{
		"an agent that stays":             {staysKey, nil},
		"an agent that was revoked since": {goesKey, vault.ErrWrongKey},
		"a key that was replaced since":   {turnsOld, vault.ErrWrongKey},
		"the key that it has now":         {v.Agent(turnsKey), nil},
		"an agent that is newer":          {lateKey, nil},
		"a token":                         {token, vault.ErrWrongKey},
	} {
		if _, err := c.as.Get(t, "a/SAME"); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if c.want == nil {
			if _, err := c.as.Get(t, "a/RAISED"); !errors.Is(err, vault.ErrApproval) {
				t.Errorf("%s reads what was raised: %v", name, err)
			}
		}
	}
	_, _ = stays, late

	// The replaced file is kept, whole.
	kept := &vaulttest.Vault{Path: done.Replaced, Owner: v.Owner}
	if got, err := kept.Get(t, "a/NEW"); err != nil || got != "new" {
		t.Errorf("the file that was replaced: %q, %v", got, err)
	}
	// The log has entries for the restore and for the revocation.
	v.Must(t, func(s *vault.Session) error {
		entries, err := s.Log(0, func(ev audit.Event) bool {
			return ev.Type == audit.VaultRestored || ev.Type == audit.AgentRevoked
		})
		if len(entries) != 2 {
			t.Errorf("the log has %d entries about it", len(entries))
		}
		return err
	})
	// Work goes on, with numbers that were not used before, and a second restore works.
	v.Set(t, "a/OLD", "again", vault.SetOptions{})
	if r := v.Verify(); len(r.Problems) > 0 {
		t.Errorf("after a write: %q", r.Problems)
	}
	again := backUp(t, v)
	v.Set(t, "a/OLD", "once more", vault.SetOptions{})
	restore(t, v, again)
	if got, err := v.Get(t, "a/OLD"); err != nil || got != "again" {
		t.Errorf("after the second restore: %q, %v", got, err)
	}
}

func TestRestoreWhereNothingIs(t *testing.T) {
	v := vaulttest.New(t)
	v.Set(t, "a/K", "one", vault.SetOptions{})
	agent, key := v.NewAgent(t, "ci", "secrets:read:a/*")
	file := backUp(t, v)
	if err := os.Remove(v.Path); err != nil {
		t.Fatal(err)
	}
	done := restore(t, v, file)
	if done.There || len(done.Reviving) != 0 {
		t.Errorf("nothing was there, and nothing was missed: %+v", done)
	}
	if _, err := key.Get(t, "a/K"); err != nil {
		t.Error(err)
	}

	// This machine has seen log entries that are now lost. An agent that was revoked in them will
	// be restored, and the restore names it.
	v.Must(t, func(s *vault.Session) error { _, err := s.RevokeAgent(agent.ID, vault.NarrowOptions{}); return err })
	if err := os.Remove(v.Path); err != nil {
		t.Fatal(err)
	}
	if done = restore(t, v, file); !slices.Equal(done.Reviving, []string{"ci (" + agent.ID + ")"}) {
		t.Errorf("what comes back to life: %q", done.Reviving)
	}
}

// If the vault is damaged, the readable part of its log still counts in a restore.
func TestRestoreOverDamage(t *testing.T) {
	t.Parallel()
	for _, page := range []int{0, 2, 3, 4, 5, 6, 7, 8, 9, 10} {
		t.Run(fmt.Sprint(page), func(t *testing.T) {
			v := vaulttest.New(t)
			v.Set(t, "a/K", "one", vault.SetOptions{})
			goes, goesKey := v.NewAgent(t, "goes", "secrets:read:a/*")
			file := backUp(t, v)
			v.Must(t, func(s *vault.Session) error { _, err := s.RevokeAgent(goes.ID, vault.NarrowOptions{}); return err })
			late, lateKey := v.NewAgent(t, "late", "secrets:read:a/*")
			b, err := os.ReadFile(v.Path)
			if err != nil || len(b) < (page+1)*4096 {
				t.Skipf("%d bytes, %v", len(b), err)
			}
			clear(b[page*4096:][:4096])
			if page == 0 {
				clear(b[4096:][:4096])
			}
			if err := os.WriteFile(v.Path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			done := restore(t, v, file)
			if got, err := v.Get(t, "a/K"); err != nil || got != "one" {
				t.Errorf("%q, %v", got, err)
			}
			_, err = goesKey.Get(t, "a/K")
			if revived := slices.Contains(done.Reviving, "goes ("+goes.ID+")"); !revived && !errors.Is(err, vault.ErrWrongKey) ||
				revived && err != nil {
				t.Errorf("the agent that was revoked: %v; said to come back to life: %q", err, done.Reviving)
			}
			_, err = lateKey.Get(t, "a/K")
			if lost := slices.Contains(done.Lost, late.ID); lost && err == nil || done.Damaged == "" && err != nil {
				t.Errorf("the agent that is newer: %v; lost: %q", err, done.Lost)
			}
			if r := v.Verify(); len(r.Problems) > 0 {
				t.Errorf("after both were used: %q", r.Problems)
			}
			t.Logf("damaged: %q, keeps the log: %v, reviving %q, lost %q, late agent: %v", done.Damaged, done.KeepsLog,
				done.Reviving, done.Lost, err)
		})
	}
}

func TestRestoreRefuses(t *testing.T) {
	v := vaulttest.New(t)
	v.Set(t, "a/K", "one", vault.SetOptions{})
	file := backUp(t, v)
	other := vaulttest.New(t)

	if _, err := vault.PlanRestore(v.Path, file, other.Owner, v.Opts); !errors.Is(err, vault.ErrWrongKey) {
		t.Errorf("with another owner's key: %v", err)
	}
	if _, err := vault.PlanRestore(other.Path, file, v.Owner, v.Opts); !errors.Is(err, vault.ErrExists) &&
		!errors.Is(err, vault.ErrWrongKey) {
		t.Errorf("over another vault: %v", err)
	}
	if _, err := vault.PlanRestore(v.Path, v.Path, v.Owner, v.Opts); !errors.Is(err, vault.ErrConflict) {
		t.Errorf("the vault over itself: %v", err)
	}
	// The vault changes between the plan and the restore.
	plan, err := vault.PlanRestore(v.Path, file, v.Owner, v.Opts)
	if err != nil {
		t.Fatal(err)
	}
	v.Set(t, "a/K", "two", vault.SetOptions{})
	if _, err := vault.Restore(v.Path, file, v.Owner, plan, v.Opts); !errors.Is(err, vault.ErrConflict) {
		t.Errorf("after the vault has moved on: %v", err)
	}
	// If a flipped byte of the backup matters, the plan refuses the backup as damaged.
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "bad.db")
	refused := 0
	for at := 4096 * 2; at < len(raw); at += 997 {
		b := slices.Clone(raw)
		b[at] ^= 0x10
		if err := os.WriteFile(bad, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := vault.PlanRestore(v.Path, bad, v.Owner, v.Opts); err != nil {
			refused++
			if !errors.Is(err, vault.ErrDamaged) && !errors.Is(err, vault.ErrWrongKey) {
				t.Errorf("byte %d flipped: %v", at, err)
			}
		}
	}
	if refused == 0 {
		t.Error("no flipped byte was noticed")
	}
}
