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

// Each of these tests is a history that TestModel found, reduced to a few steps.

// A restore names every purged secret that it brings back, even if the log entry of the purge is
// archived.
func TestRestoreNamesWhatReturnsBehindAnArchive(t *testing.T) {
	v := vaulttest.New(t)
	clock := v.UseClock()
	clock.Time = time.Now().UTC()
	v.Set(t, "a/PURGED", "one", vault.SetOptions{})
	file := backUp(t, v)
	v.Must(t, func(s *vault.Session) error { _, err := s.Purge(vaulttest.Path(t, "a/PURGED")); return err })
	clock.Pass(time.Hour)
	v.Must(t, func(s *vault.Session) error {
		_, err := s.ArchiveLog(filepath.Join(t.TempDir(), "old.jsonl"), clock.Time, false)
		return err
	})
	if done := restore(t, v, file); !slices.Equal(done.Returning, []string{"a/PURGED"}) {
		t.Errorf("what comes back: %q", done.Returning)
	}
}

// A restore names every secret whose current value it replaces, whatever the version number. A
// purged secret that is set again goes on behind its last version.
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
	if want := []string{"a/AGAIN (v2 → v1)", "a/FEWER (v3 → v2)"}; !slices.Equal(done.Older, want) {
		t.Errorf("what goes back: %q, want %q", done.Older, want)
	}
}

// If an agent's key was rotated after the backup, a restore keeps the time of the rotation. If
// the log entry is archived, that time comes from the agent's record.
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
	v.Must(t, func(s *vault.Session) (err error) {
		_, k, err = s.RotateAgentKey(agent.ID, vault.NarrowOptions{})
		return err
	})
	clock.Pass(time.Hour)
	v.Must(t, func(s *vault.Session) error {
		_, err := s.ArchiveLog(filepath.Join(t.TempDir(), "old.jsonl"), clock.Time, false)
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

// A backup of another history knows of numbers that the log in place does not, and an archived log does not show that the
// histories differ. The numbers go on all the same.
func TestRestoreOverAnotherHistoryKeepsItsNumbers(t *testing.T) {
	v := vaulttest.New(t)
	clock := v.UseClock()
	clock.Time = time.Now().UTC()
	old := backUp(t, v)
	for range 3 {
		v.Set(t, "a/L", "lost", vault.SetOptions{})
	}
	v.Must(t, func(s *vault.Session) error { _, err := s.Purge(vaulttest.Path(t, "a/L")); return err })
	newer := backUp(t, v)
	if err := os.Remove(v.Path); err != nil {
		t.Fatal(err)
	}
	restore(t, v, old)
	for range 20 { // the log is longer than that of the backup
		v.Set(t, "a/K", "here", vault.SetOptions{})
	}
	clock.Pass(time.Hour)
	v.Must(t, func(s *vault.Session) error {
		_, err := s.ArchiveLog(filepath.Join(t.TempDir(), "old.jsonl"), clock.Time, false)
		return err
	})
	if done := restore(t, v, newer); !done.KeepsLog {
		t.Fatal("the log does not go on, so this tests nothing")
	}
	v.Must(t, func(s *vault.Session) error {
		got, _, err := s.Set(vaulttest.Path(t, "a/L"), []byte("new"), vault.SetOptions{})
		if got.Version != 4 {
			t.Errorf("a/L is at v%d, after a history in which it came to v3", got.Version)
		}
		return err
	})
	if r := v.Verify(); len(r.Problems) > 0 {
		t.Errorf("%q", r.Problems)
	}
}

// The owner loses a vault, restores an old backup and works on. Then the owner restores a newer
// backup over it, of which the restored vault knows nothing. Whichever log goes on names the keys
// that only the other history had, so every signature is by a known signer.
func TestRestoreOverAnotherHistory(t *testing.T) {
	t.Parallel()
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
			if _, turnsKey, err = s.RotateAgentKey(turns.ID, vault.NarrowOptions{}); err == nil {
				_, err = s.RevokeAgent("gone", vault.NarrowOptions{})
			}
			return err
		})
		if archived {
			v.Set(t, "a/K", "two", vault.SetOptions{})
			clock.Pass(time.Hour)
			v.Must(t, func(s *vault.Session) error {
				_, err := s.ArchiveLog(filepath.Join(t.TempDir(), "old.jsonl"), clock.Time, false)
				return err
			})
		}
		done := restore(t, v, newer)
		if done.KeepsLog != archived { // an archived log does not show that the histories differ
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
		// The next archive of the log verifies, too.
		clock.Pass(time.Hour)
		file := filepath.Join(t.TempDir(), "next.jsonl")
		v.Must(t, func(s *vault.Session) error { _, err := s.ArchiveLog(file, clock.Time, false); return err })
		by := map[string]bool{}
		_, problems, err := vault.VerifyArchive(file, func(e vault.Entry) { by[e.ActorID] = e.Type == audit.SecretCreated })
		if err != nil || len(problems) > 0 || !by[here.ID] {
			t.Errorf("the archive: %q, %v", strings.Join(problems, "; "), err)
		}
	}
}

// An owner who copies a backup over the vault is told to restore it. The owner can do so, and can
// salvage the backup.
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
