package vault

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"ass/audit"
	"ass/vault/internal/keys"
)

// The log tells which checkpoint is the vault's. Each of these attacks leaves records and entries that agree with what
// is put in the place of the checkpoint, so that nothing else could show it.
func TestTheLogNamesTheCheckpoint(t *testing.T) {
	t.Parallel()
	again := func(v *victim) { v.restore(v.backUp()) } // changes no value
	for name, attack := range map[string]struct {
		do     func(*victim)
		verify string // what a verification says
		look   string // what the owner is told who stores anew what somebody removed
	}{
		"an older one put back": {func(v *victim) {
			again(v)
			old := v.take(bucketAudit, checkpointKey)
			again(v)
			v.give(bucketAudit, checkpointKey, old)
		}, "another one was put in its place", "its checkpoint is not the one that audit entry"},
		"an older one of the same epoch put back": {func(v *victim) {
			v.archive()
			old := v.take(bucketAudit, checkpointKey)
			v.archive()
			v.give(bucketAudit, checkpointKey, old)
		}, "another one was put in its place", "its checkpoint is not the one that audit entry"},
		"taken away": {func(v *victim) {
			again(v)
			v.remove(bucketAudit, checkpointKey)
		}, "it is missing, though log entry", "its checkpoint is not the one that audit entry"},
		"one of a branch that archived more": {func(v *victim) {
			branch := v.branch()
			v.read(5)
			branch.archive()
			v.cutAs(branch)
		}, "no log entry tells of it", "no audit entry tells of its checkpoint"},
		"one of a branch that is longer": {func(v *victim) {
			branch := v.branch()
			v.read(1)
			branch.archive()
			v.cutAs(branch)
		}, "which the log does not have", "which the audit log does not have"},
		"an older one put back, and its entry in the owner's name": {func(v *victim) {
			again(v)
			old := v.take(bucketAudit, checkpointKey)
			again(v)
			_, k := v.agent("mallory")
			cp, err := parseCheckpoint(v.vid(), old)
			if err != nil {
				v.t.Fatal(err)
			}
			v.insider(k, func(s *Session, t *tx) error {
				t.by = actor{id: audit.Owner, kind: audit.Human, sign: s.by.sign}
				return t.tellCheckpoint(cp.sum)
			})
			v.give(bucketAudit, checkpointKey, old)
		}, "another one was put in its place", "the owner did not sign it"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t)
			file := v.backUp()
			attack.do(v)
			if found := v.problems(); !strings.Contains(found, attack.verify) {
				t.Errorf("the verification does not say %q:\n%s", attack.verify, found)
			}
			v.do(func(s *Session) {
				_, _, err := s.Set(v.p("a/NEW"), []byte("x"), SetOptions{})
				if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), attack.look) {
					t.Errorf("a look does not say %q: %v", attack.look, err)
				}
			})
			if plan, err := PlanRestore(v.path, file, v.owner, v.opts); err != nil || plan.KeepsLog {
				t.Errorf("a restore goes on with this log: %+v, %v", plan, err)
			}
		})
	}
}

// branch returns a copy of the vault, which goes its own way.
func (v *victim) branch() *victim {
	v.t.Helper()
	path := filepath.Join(v.t.TempDir(), "vault.db")
	raw, err := os.ReadFile(v.path)
	if err == nil {
		err = os.WriteFile(path, raw, 0o600)
	}
	if err != nil {
		v.t.Fatal(err)
	}
	return &victim{v.t, path, v.owner, Options{}}
}

// read makes entries that change no record.
func (v *victim) read(n int) {
	v.t.Helper()
	for range n {
		if _, err := v.get(); err != nil {
			v.t.Fatal(err)
		}
	}
}

// cutAs gives the vault the checkpoint of a branch, and takes away the entries that the branch has archived.
func (v *victim) cutAs(branch *victim) {
	v.t.Helper()
	value := branch.take(bucketAudit, checkpointKey)
	cp, err := parseCheckpoint(v.vid(), value)
	if err != nil {
		v.t.Fatal(err)
	}
	v.edit(func(b func(string) *bbolt.Bucket) {
		for n := range cp.Cut {
			if err := b(bucketAudit).Delete(audit.Key(n + 1)); err != nil {
				v.t.Fatal(err)
			}
		}
	})
	v.give(bucketAudit, checkpointKey, value)
}

func (v *victim) vid() keys.VaultID { return keys.VaultID(v.take(bucketMeta, []byte(metaVault))) }

// What others say of a checkpoint counts for nothing.
func TestOnlyTheOwnerNamesTheCheckpoint(t *testing.T) {
	v := newVictim(t)
	v.restore(v.backUp())
	_, k := v.agent("mallory")
	v.insider(k, func(_ *Session, t *tx) error { return t.tellCheckpoint("AAAA") })
	if found := v.problems(); found != "" {
		t.Error(found)
	}
	v.do(func(s *Session) { v.set(s, "a/NEW", "x") })
}

// A checkpoint of format 1 has no entry that tells of it. The vault that becomes one of format 2 gets one.
func TestACheckpointOfFormat1(t *testing.T) {
	v := newVictimIn(t, Options{}.InFormat1())
	v.restore(v.backUp())
	told := func() (n int) {
		v.do(func(s *Session) {
			list, err := s.Log(0, func(ev audit.Event) bool { return ev.Type == audit.Checkpointed })
			if err != nil {
				t.Fatal(err)
			}
			n = len(list)
		})
		return n
	}
	if found := v.problems(); found != "" || told() != 0 {
		t.Fatalf("in format 1, %d entries: %s", told(), found)
	}
	old := v.take(bucketAudit, checkpointKey)
	v.opts.oldFormat = 0
	rekey := func() {
		v.do(func(s *Session) {
			if _, err := s.Rekey(); err != nil {
				t.Fatal(err)
			}
		})
	}
	rekey()
	rekey()
	if found := v.problems(); found != "" || told() != 1 {
		t.Fatalf("in format 2, %d entries: %s", told(), found)
	}
	v.restore(v.backUp())
	v.do(func(s *Session) { v.set(s, "a/NEW", "x") })
	v.give(bucketAudit, checkpointKey, old)
	if found := v.problems(); !strings.Contains(found, "another one was put in its place") {
		t.Error(found)
	}
}

// Every act that writes a checkpoint tells of it.
func TestEveryCheckpointIsTold(t *testing.T) {
	for name, act := range map[string]func(*victim){
		"archive": (*victim).archive,
		"restore": (*victim).copyBack,
		"new key": func(v *victim) {
			id, err := NewIdentity()
			if err != nil {
				v.t.Fatal(err)
			}
			v.do(func(s *Session) {
				if _, _, err := s.RekeyOwner(NewOwnership(id), filepath.Join(v.t.TempDir(), "log.jsonl")); err != nil {
					v.t.Fatal(err)
				}
			})
			v.owner = id
		},
		"salvage": func(v *victim) {
			v.copyBack()
			to := filepath.Join(v.t.TempDir(), "vault.db")
			if _, err := Salvage(v.path, to, v.owner, v.opts); err != nil {
				v.t.Fatal(err)
			}
			v.path = to
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t)
			act(v)
			cp, err := parseCheckpoint(v.vid(), v.take(bucketAudit, checkpointKey))
			if err != nil {
				t.Fatal(err)
			}
			v.do(func(s *Session) {
				list, err := s.Log(1, func(ev audit.Event) bool { return ev.Type == audit.Checkpointed })
				if err != nil || len(list) != 1 || list[0].Metadata["sum"] != cp.sum || list[0].Seq != cp.Seq {
					t.Errorf("the checkpoint after entry %d is %s; the log tells of %+v, %v", cp.Seq, cp.sum, list, err)
				}
				v.set(s, "a/NEW", "x")
			})
			if found := v.problems(); found != "" {
				t.Error(found)
			}
		})
	}
}
