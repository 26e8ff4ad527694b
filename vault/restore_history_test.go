package vault_test

import (
	"errors"
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

// Each of these is a history that the model came by, in few steps.

// What was purged comes back to life, and is named, also where the entry that told of
// the purge is archived.
func TestRestoreNamesWhatReturnsBehindAnArchive(t *testing.T) {
	v := vaulttest.New(t)
	clock := v.UseClock()
	clock.Time = time.Now().UTC()
	v.Set(t, "a/PURGED", "one", vault.SetOptions{})
	file := backUp(t, v)
	v.Must(t, func(s *vault.Session) error { _, err := s.Purge(vaulttest.Path(t, "a/PURGED")); return err })
	clock.Pass(time.Hour)
	v.Must(t, func(s *vault.Session) error {
		_, err := s.ArchiveLog(filepath.Join(t.TempDir(), "old.jsonl"), clock.Time)
		return err
	})
	if done := restore(t, v, file); !slices.Equal(done.Returning, []string{"a/PURGED"}) {
		t.Errorf("what comes back: %q", done.Returning)
	}
}

// After a purge, the numbers of versions come again: a restore names every secret
// whose current value it replaces, whatever its number is.
func TestRestoreNamesWhatItReplaces(t *testing.T) {
	v := vaulttest.New(t)
	for _, name := range []string{"a/SAME", "a/SAME", "a/AGAIN", "a/FEWER", "a/FEWER"} {
		v.Set(t, name, "before", vault.SetOptions{})
	}
	file := backUp(t, v)
	for _, name := range []string{"a/AGAIN", "a/FEWER"} {
		v.Must(t, func(s *vault.Session) error { _, err := s.Purge(vaulttest.Path(t, name)); return err })
		v.Set(t, name, "after", vault.SetOptions{})
	}
	done := restore(t, v, file)
	if want := []string{"a/AGAIN (v1 → another v1)", "a/FEWER (v1 → v2)"}; !slices.Equal(done.Older, want) {
		t.Errorf("what goes back: %q, want %q", done.Older, want)
	}
}

// The time of a key that was replaced since the backup is that of its record, where
// the entry that told of it is archived.
func TestRestoreKeepsWhenAKeyWasIssued(t *testing.T) {
	v := vaulttest.New(t)
	clock := v.UseClock()
	clock.Time = time.Now().UTC().Truncate(time.Second)
	v.Set(t, "a/K", "one", vault.SetOptions{})
	agent, _ := v.NewAgent(t, "turns", "secrets:read:a/*")
	file := backUp(t, v)
	clock.Pass(time.Hour)
	rotated := clock.Time
	var k tokens.AgentKey
	v.Must(t, func(s *vault.Session) (err error) { _, k, err = s.RotateAgentKey(agent.ID); return err })
	clock.Pass(time.Hour)
	v.Must(t, func(s *vault.Session) error {
		_, err := s.ArchiveLog(filepath.Join(t.TempDir(), "old.jsonl"), clock.Time)
		return err
	})
	restore(t, v, file)
	if _, err := v.Agent(k).Get(t, "a/K"); err != nil {
		t.Error(err)
	}
	v.Must(t, func(s *vault.Session) error {
		list, err := s.Agents()
		if err == nil && !list[0].KeyIssuedAt.Equal(rotated) {
			t.Errorf("the key was issued at %s, want %s", list[0].KeyIssuedAt, rotated)
		}
		return err
	})
}

// A vault that was lost, and put back from an old backup, goes its own way; then a
// backup that it does not know of is put back over it. Its log goes on, and tells of
// the keys that only the other one knew: what they sign is by somebody known.
func TestRestoreOverAnotherHistory(t *testing.T) {
	for _, archived := range []bool{false, true} {
		v := vaulttest.New(t)
		clock := v.UseClock()
		clock.Time = time.Now().UTC()
		v.Set(t, "a/K", "one", vault.SetOptions{})
		turns, _ := v.NewAgent(t, "turns", "secrets:*:a/*")
		old := backUp(t, v)
		_, lost := v.NewAgent(t, "lost", "secrets:*:a/*")
		newer := backUp(t, v)
		if err := os.Remove(v.Path); err != nil {
			t.Fatal(err)
		}
		restore(t, v, old)
		here, hereKey := v.NewAgent(t, "here", "secrets:*:a/*")
		_, gone := v.NewAgent(t, "gone", "secrets:*:a/*")
		var turnsKey tokens.AgentKey
		v.Must(t, func(s *vault.Session) (err error) {
			if _, turnsKey, err = s.RotateAgentKey(turns.ID); err == nil {
				_, err = s.RevokeAgent("gone")
			}
			return err
		})
		if archived {
			v.Set(t, "a/K", "two", vault.SetOptions{})
			clock.Pass(time.Hour)
			v.Must(t, func(s *vault.Session) error {
				_, err := s.ArchiveLog(filepath.Join(t.TempDir(), "old.jsonl"), clock.Time)
				return err
			})
		}
		done := restore(t, v, newer)
		if done.KeepsLog != archived { // of what is archived it is not seen that it is another
			t.Errorf("the log goes on: %v", done.KeepsLog)
		}
		for name, as := range map[string]vaulttest.Actor{"lost": lost, "here": hereKey, "turns": v.Agent(turnsKey)} {
			if err := as.Set(t, "a/"+name, "by "+name, vault.SetOptions{}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := gone.Get(t, "a/K"); !errors.Is(err, vault.ErrWrongKey) {
			t.Errorf("an agent that was revoked: %v", err)
		}
		if r := v.Verify(); len(r.Problems) > 0 {
			t.Errorf("archived: %v: %q", archived, r.Problems)
		}
		// So does the part of it that is archived next.
		clock.Pass(time.Hour)
		file := filepath.Join(t.TempDir(), "next.jsonl")
		v.Must(t, func(s *vault.Session) error { _, err := s.ArchiveLog(file, clock.Time); return err })
		by := map[string]bool{}
		_, problems, err := vault.VerifyArchive(file, func(e vault.Entry) { by[e.ActorID] = e.Type == audit.SecretCreated })
		if err != nil || len(problems) > 0 || !by[here.ID] {
			t.Errorf("the archive: %q, %v", strings.Join(problems, "; "), err)
		}
	}
}

// Whoever copies a backup into the place of the vault is told to restore it, can, and
// salvages what is in it.
func TestRestoreOverACopyOfTheBackup(t *testing.T) {
	v := vaulttest.New(t)
	v.Set(t, "a/K", "one", vault.SetOptions{})
	file := backUp(t, v)
	v.Set(t, "a/K", "two", vault.SetOptions{})
	b, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(v.Path, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Get(t, "a/K"); !errors.Is(err, vault.ErrConflict) {
		t.Errorf("a backup in the place of the vault: %v", err)
	}
	restore(t, v, file)
	if got, err := v.Get(t, "a/K"); err != nil || got != "one" {
		t.Errorf("%q, %v", got, err)
	}
	n, r := salvaged(t, file, v)
	if got, err := n.Get(t, "a/K"); err != nil || got != "one" || len(r.Lost) > 0 || r.LogFile != "" {
		t.Errorf("out of a backup: %q, %v, %+v", got, err, r)
	}
}
