package vault_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ass/vault"
	"ass/vault/disk"
	"ass/vault/vaulttest"
)

// link gives a vault's file a second name.
func link(t *testing.T, v *vaulttest.Vault, name string) {
	t.Helper()
	if err := os.Link(v.Path, name); err != nil {
		t.Skip(err)
	}
}

func namesOf(err error) int {
	var e *vault.NamesError
	if !errors.As(err, &e) {
		return -1
	}
	return e.Count
}

// If a vault has two names, nothing is changed or taken away under one of them, because the other would keep
// it. Values can be read. A compacted vault has one name, and the other keeps the old file.
func TestTwoNames(t *testing.T) {
	v := vaulttest.New(t)
	v.Set(t, "a/K", "hunter2", vault.SetOptions{})
	v.Set(t, "a/L", "hunter2", vault.SetOptions{})
	var agent vault.Agent
	v.Must(t, func(s *vault.Session) (err error) {
		agent, _, err = s.CreateAgent(vault.AgentSpec{Name: "worker", Scopes: vaulttest.Scopes(t, "secrets:read:a/*")})
		return err
	})
	other := filepath.Join(t.TempDir(), "other.db")
	link(t, v, other)
	archive := filepath.Join(t.TempDir(), "log")
	before, err := os.ReadFile(v.Path)
	if err != nil {
		t.Fatal(err)
	}
	for act, do := range map[string]func(s *vault.Session) error{
		"set": func(s *vault.Session) error {
			_, _, err := s.Set(vaulttest.Path(t, "a/K"), []byte("hunter2-2"), vault.SetOptions{})
			return err
		},
		"delete": func(s *vault.Session) error { _, _, err := s.Delete(vaulttest.Path(t, "a/K")); return err },
		"revoke": func(s *vault.Session) error { _, err := s.RevokeAgent(agent.ID, vault.NarrowOptions{}); return err },
		"archive": func(s *vault.Session) error {
			_, err := s.ArchiveLog(archive, time.Now().Add(time.Hour), false)
			return err
		},
		"rekey": func(s *vault.Session) error { _, err := s.Rekey(); return err },
	} {
		if err := v.Do(do); namesOf(err) != 2 || !errors.Is(err, vault.ErrConflict) {
			t.Errorf("%s: %v", act, err)
		}
	}
	if now, err := os.ReadFile(v.Path); err != nil || string(now) != string(before) {
		t.Errorf("the file has changed: %v", err)
	}
	if _, err := os.Lstat(archive); err == nil {
		t.Error("an archive is there")
	}
	for _, path := range []string{v.Path, other} {
		at := *v
		at.Path = path
		if got, err := at.Get(t, "a/K"); got != "hunter2" || err != nil {
			t.Errorf("get under %s: %q, %v", path, got, err)
		}
		o := v.Opts
		o.ReadOnly = true
		opened, err := vault.Open(path, o)
		if err != nil {
			t.Fatal(err)
		}
		if e := opened.OtherNames(); e == nil || e.Count != 2 || len(e.Found) > 0 {
			t.Errorf("%s: a reader is told %v", path, e)
		}
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	}
	v.Must(t, func(s *vault.Session) error {
		if err := s.Compact(""); err != nil {
			return err
		}
		if e := s.OtherNames(); e != nil {
			t.Errorf("after it was compacted: %v", e)
		}
		entries, err := s.Log(1, nil)
		if err != nil || len(entries) != 1 || entries[0].Metadata["other_names"] == nil {
			t.Errorf("the log says %v, %v", entries, err)
		}
		return nil
	})
	v.Must(t, func(s *vault.Session) error { _, err := s.RevokeAgent(agent.ID, vault.NarrowOptions{}); return err })
	if disk.Linked(v.Path, other) {
		t.Error("they are still one file")
	}
}

// A restore that was killed between the link and the rename leaves a second name, and so does a file that
// was moved to its name. The next command that writes removes them, and goes on. What somebody else has
// linked stays.
func TestOwnSecondNames(t *testing.T) {
	for _, kind := range []string{".replaced-20260101-000000", "temporary"} {
		v := vaulttest.New(t)
		name := v.Path + kind
		if kind == "temporary" {
			part, err := disk.Register{}.Beside(v.Path)
			if err != nil {
				t.Fatal(err)
			}
			name = part.Path
		}
		link(t, v, name)
		o := v.Opts
		o.ReadOnly = true
		opened, err := vault.Open(v.Path, o)
		if err != nil {
			t.Fatal(err)
		}
		if e := opened.OtherNames(); e != nil {
			t.Errorf("%s: a reader is told %v", kind, e)
		}
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(name); err != nil {
			t.Errorf("%s: a reader has removed it: %v", kind, err)
		}
		theirs := v.Path + "-replaced"
		link(t, v, theirs)
		if _, err := v.Get(t, "a/K"); !errors.Is(err, vault.ErrNotFound) {
			t.Error(err)
		}
		if _, err := os.Lstat(name); err == nil {
			t.Errorf("%s: it is still there", kind)
		}
		err = v.Do(func(s *vault.Session) error { _, err := s.Rekey(); return err })
		if namesOf(err) != 2 || !strings.Contains(err.Error(), "also "+theirs) {
			t.Errorf("%s: with another name: %v", kind, err)
		}
		if err := os.Remove(theirs); err != nil {
			t.Fatal(err)
		}
		link(t, v, name)
		v.Must(t, func(s *vault.Session) error { _, err := s.Rekey(); return err })
	}
	v := vaulttest.New(t)
	file := backUp(t, v)
	link(t, v, v.Path+".replaced-20260101-000000")
	link(t, v, v.Path+"-replaced")
	plan, err := vault.PlanRestore(v.Path, file, v.Owner, v.Opts)
	if err != nil || plan.Others != 1 {
		t.Errorf("a restore counts %d other names, %v", plan.Others, err)
	}
	restore(t, v, file)
	if left, err := filepath.Glob(v.Path + ".replaced-*"); err != nil || len(left) != 1 {
		t.Errorf("the restore has kept %q, %v", left, err)
	}
}

// The file of an open vault has lost its last name: what were written to it would be lost. If the lock has
// none either, the file system does not count, and everything goes on.
func TestNoNameLeft(t *testing.T) {
	for _, counts := range []bool{true, false} {
		v := vaulttest.New(t)
		v.Set(t, "a/K", "hunter2", vault.SetOptions{})
		v.Damaged()
		err := v.Do(func(s *vault.Session) error {
			remove := []string{v.Path}
			if !counts {
				remove = append(remove, v.Path+disk.LockSuffix)
			}
			for _, path := range remove {
				if err := os.Remove(path); err != nil {
					t.Skip(err) // Windows
				}
			}
			if e := s.OtherNames(); counts != (e != nil) {
				t.Errorf("it counts: %v; a reader is told %v", counts, e)
			}
			_, value, err := s.Get(vaulttest.Path(t, "a/K"), 0)
			if counts && len(value) > 0 {
				t.Error("a value was read without a trace")
			}
			if want := map[bool]int{true: 0, false: -1}[counts]; namesOf(err) != want {
				t.Errorf("it counts: %v; get: %v", counts, err)
			}
			if counts {
				if _, err := s.BackUp(v.Path + ".bak"); namesOf(err) != 0 {
					t.Errorf("backup: %v", err)
				}
				if err := s.Compact(""); namesOf(err) != 0 {
					t.Errorf("compact: %v", err)
				}
			}
			return err
		})
		if counts != (err != nil) {
			t.Errorf("it counts: %v; %v", counts, err)
		}
	}
}
