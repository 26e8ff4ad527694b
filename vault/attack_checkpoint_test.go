package vault

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloudflare/circl/sign/ed25519"
	"go.etcd.io/bbolt"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/bolt"
	"ass/vault/internal/keys"
)

// archive archives the log up to now.
func (v *victim) archive() {
	v.t.Helper()
	v.do(func(s *Session) {
		time.Sleep(2 * time.Millisecond) // times in the log are in milliseconds
		if _, err := s.ArchiveLog(filepath.Join(v.t.TempDir(), "log.jsonl"), time.Now(), false); err != nil {
			v.t.Fatal(err)
		}
	})
}

// copyBack makes a backup, changes a secret, and restores the backup.
func (v *victim) copyBack() {
	v.t.Helper()
	file := v.backUp()
	v.do(func(s *Session) { v.set(s, "a/K", "newer") })
	v.restore(file)
}

func (v *victim) remove(bucket string, k []byte) {
	v.t.Helper()
	v.edit(func(b func(string) *bbolt.Bucket) {
		if err := b(bucket).Delete(k); err != nil {
			v.t.Fatal(err)
		}
	})
}

// Only the owner can make a checkpoint. A verification finds a forged checkpoint, an old
// one that was put back, a removed one, and records that differ from the checkpoint.
func TestCheckpointAttacks(t *testing.T) {
	t.Parallel()
	forge := func(v *victim, change func(*checkpoint)) {
		_, mine, _ := ed25519.GenerateKey(nil)
		c, err := parseCheckpoint(keys.VaultID(v.take(bucketMeta, []byte(metaVault))), v.take(bucketAudit, checkpointKey))
		if err != nil {
			v.t.Fatal(err)
		}
		change(&c)
		value, _, err := c.encode(keys.VaultID(v.take(bucketMeta, []byte(metaVault))), mine)
		if err != nil {
			v.t.Fatal(err)
		}
		v.give(bucketAudit, checkpointKey, value)
	}
	// quietly changes records and keeps the head right, but logs nothing. An insider can
	// do this.
	quietly := func(v *victim, fn func(*tx) error) {
		v.do(func(s *Session) {
			if err := s.commit(fn); err != nil {
				v.t.Fatal(err)
			}
		})
	}
	for name, attack := range map[string]struct {
		do    func(*victim)
		names string
	}{
		"made by somebody else": {func(v *victim) {
			v.archive()
			forge(v, func(c *checkpoint) { c.Records = nil })
		}, "audit checkpoint: it has no valid signature by the owner"},
		"made by somebody else, with the owner's public key": {func(v *victim) {
			v.archive()
			genuine := v.take(bucketAudit, checkpointKey)
			forge(v, func(*checkpoint) {})
			forged := v.take(bucketAudit, checkpointKey)
			copy(forged[4:], genuine[4:4+ed25519.PublicKeySize])
			v.give(bucketAudit, checkpointKey, forged)
		}, "audit checkpoint: it has no valid signature by the owner"},
		"altered": {func(v *victim) {
			v.archive()
			b := v.take(bucketAudit, checkpointKey)
			v.give(bucketAudit, checkpointKey, bytes.Replace(b, []byte(`"version":3`), []byte(`"version":2`), 1))
		}, "audit checkpoint: it has no valid signature by the owner"},
		"belongs to another vault": {func(v *victim) {
			v.archive()
			o := newVictim(v.t)
			o.archive()
			v.give(bucketAudit, checkpointKey, o.take(bucketAudit, checkpointKey))
		}, "audit checkpoint: it has no valid signature by the owner"},
		"taken away after a cut": {func(v *victim) {
			v.archive()
			v.remove(bucketAudit, checkpointKey)
		}, "audit entries 1 to"},
		"an older one put back, after a second cut": {func(v *victim) {
			v.archive()
			old := v.take(bucketAudit, checkpointKey)
			v.do(func(s *Session) { v.set(s, "a/L", "more") })
			v.archive()
			v.give(bucketAudit, checkpointKey, old)
		}, "missing"},
		"an entry that was cut off put back": {func(v *victim) {
			old := v.take(bucketAudit, audit.Key(2))
			v.archive()
			v.give(bucketAudit, audit.Key(2), old)
		}, "a record with an invalid key"},
		"a secret of before the cut taken away by an insider": {func(v *victim) {
			v.archive()
			quietly(v, func(t *tx) error { return t.remove(bucketSecrets, []byte("a/L")) })
		}, `"a/L": its record is missing`},
		"a value of before the cut taken away by an insider": {func(v *victim) {
			v.archive()
			quietly(v, func(t *tx) error { return t.remove(bucketVersions, versionKey(v.p("a/K"), 2)) })
		}, "a/K version 2: it is missing"},
		"a record of before the cut put back by an insider": {func(v *victim) {
			v.archive()
			old := v.take(bucketSecrets, []byte("a/L"))
			v.do(func(s *Session) { v.set(s, "a/L", "newer") })
			quietly(v, func(t *tx) error {
				if err := t.remove(bucketVersions, versionKey(v.p("a/L"), 2)); err != nil {
					return err
				}
				return insert(t, bucketSecrets, []byte("a/L"), old)
			})
		}, "was put back"},
		"taken away after a restore": {func(v *victim) {
			v.copyBack()
			v.remove(bucketAudit, checkpointKey)
		}, `a/K: it does not match log entry`},
		"an older one put back, after a second restore": {func(v *victim) {
			v.copyBack()
			old := v.take(bucketAudit, checkpointKey)
			v.do(func(s *Session) { v.set(s, "a/K", "four") })
			v.copyBack()
			v.give(bucketAudit, checkpointKey, old)
		}, `a/K`},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t)
			attack.do(v)
			if found := v.problems(); !strings.Contains(found, attack.names) {
				t.Errorf("the verification does not say %q:\n%s", attack.names, found)
			}
		})
	}
}

// A restore takes rights from a damaged vault only if it can check the owner's signature.
// An attacker who damages the file and writes a log entry of his own gains no right.
func TestRestoreBelievesNoEntryThatWasNotChecked(t *testing.T) {
	v := newVictim(t)
	file := v.backUp()
	// An entry after a gap in the log. It only claims to be by the owner.
	const forged = "agt_0badc0de"
	var newest uint64
	v.do(func(s *Session) {
		entries, err := s.Log(1, nil)
		if err != nil {
			t.Fatal(err)
		}
		newest = entries[0].Seq
	})
	ev := audit.Event{ID: "x", Type: audit.AgentCreated, ActorID: audit.Owner, ActorType: audit.Human,
		ResourceType: "agent", ResourceID: forged,
		Metadata: map[string]any{"name": "evil", "namespaces": []string{}, "scopes": []string{"secrets:*:*"}, "serial": 1}}
	body, err := json.Marshal(ev)
	if err != nil {
		t.Fatal(err)
	}
	value := keys.LP(keys.LP(keys.LP(nil, audit.Owner), body), make([]byte, ed25519.SignatureSize))
	v.give(bucketAudit, audit.Key(newest+2), append(value, make([]byte, 32)...))
	raw, err := os.ReadFile(v.path)
	if err != nil {
		t.Fatal(err)
	}
	clear(raw[:2*bolt.PageSize])
	if err := os.WriteFile(v.path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	plan, err := PlanRestore(v.path, file, v.owner, v.opts)
	if err != nil {
		t.Fatal(err)
	}
	if plan.Newest != newest+2 || plan.KeepsLog {
		t.Fatalf("the forged entry was not even seen, so this proves nothing: %+v", plan)
	}
	if _, err := Restore(v.path, file, v.owner, plan, v.opts); err != nil {
		t.Fatal(err)
	}
	v.do(func(s *Session) {
		agents, err := s.Agents()
		if err != nil || len(agents) > 0 {
			t.Errorf("an agent came out of an entry that nobody signed: %+v, %v", agents, err)
		}
	})
	if found := v.problems(); found != "" {
		t.Error(found)
	}
}

// A revoked agent can replace the vault with an old copy, and extend the log of that copy.
// If the owner plans to restore a backup over it, the plan names the agent.
func TestRestoreOverAForkNamesWhoMayComeBack(t *testing.T) {
	t.Parallel()
	for name, newer := range map[string]bool{"an agent of the backup": false, "an agent that is newer": true} {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t)
			var agent Agent
			var key tokens.AgentKey
			create := func() {
				v.do(func(s *Session) {
					scopes, err := tokens.ScopesOf([]string{"secrets:read:a/*"})
					if err != nil {
						t.Fatal(err)
					}
					if agent, key, err = s.CreateAgent(AgentSpec{Name: "worker", Scopes: scopes}); err != nil {
						t.Fatal(err)
					}
				})
			}
			if !newer {
				create()
			}
			file := v.backUp()
			if newer {
				create()
			}
			old, err := os.ReadFile(v.path)
			if err != nil {
				t.Fatal(err)
			}
			v.do(func(s *Session) {
				if _, err := s.RevokeAgent(agent.ID, NarrowOptions{}); err != nil {
					t.Fatal(err)
				}
			})
			if err := os.WriteFile(v.path, old, 0o600); err != nil {
				t.Fatal(err)
			}
			for range 6 { // until its log is the longer one
				opened, err := Open(v.path, Options{})
				if err != nil {
					t.Fatal(err)
				}
				s, err := opened.Agent(key)
				if err == nil {
					_, _, err = s.Get(v.p("a/K"), 0)
				}
				if err := errors.Join(err, opened.Close()); err != nil {
					t.Fatal(err)
				}
			}
			plan, err := PlanRestore(v.path, file, v.owner, v.opts)
			if err != nil {
				t.Fatal(err)
			}
			if plan.Unread == "" || len(plan.Reviving) != 1 || !strings.Contains(plan.Reviving[0], agent.ID) {
				t.Errorf("nobody is told: %+v", plan)
			}
		})
	}
}

// A restore puts back only what the owner was shown. If somebody changes the backup while
// the owner decides, the restore is refused.
func TestRestoreChecksTheBackupAgain(t *testing.T) {
	v := newVictim(t)
	old := v.take(bucketSecrets, []byte("a/K"))
	v.do(func(s *Session) { v.set(s, "a/K", "four") })
	file := v.backUp()
	if err := os.Remove(v.path); err != nil {
		t.Fatal(err)
	}
	plan, err := PlanRestore(v.path, file, v.owner, v.opts)
	if err != nil {
		t.Fatal(err)
	}
	(&victim{t: t, path: file, owner: v.owner}).give(bucketSecrets, []byte("a/K"), old)
	if _, err := Restore(v.path, file, v.owner, plan, v.opts); !errors.Is(err, ErrDamaged) {
		t.Errorf("a backup that was changed meanwhile: %v", err)
	}
	if _, err := os.Lstat(v.path); err == nil {
		t.Error("something was put in the vault's place")
	}
}

// Whatever somebody changes in the backup meanwhile, also what a restore does not copy, is noticed. So is a whole other
// backup, and a plan that nobody made.
func TestRestoreOfAnotherBackup(t *testing.T) {
	v := newVictim(t)
	v.agent("ci")
	before := v.backUp()
	v.do(func(s *Session) { v.set(s, "a/K", "newer") })
	file := v.backUp()
	whole, err1 := os.ReadFile(file)
	other, err2 := os.ReadFile(before)
	if err := errors.Join(err1, err2, os.Remove(v.path)); err != nil {
		t.Fatal(err)
	}
	plan, err := PlanRestore(v.path, file, v.owner, v.opts)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, plan Restoration, want error) {
		t.Helper()
		if _, err := Restore(v.path, file, v.owner, plan, v.opts); !errors.Is(err, want) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := os.Lstat(v.path); err == nil {
			t.Fatalf("%s: something was put in the vault's place", what)
		}
	}
	changed := 0
	copied := &victim{t: t, path: file, owner: v.owner}
	for _, bucket := range allBuckets(newestFormat) {
		var k, value []byte
		copied.edit(func(b func(string) *bbolt.Bucket) {
			at, is := b(bucket).Cursor().First()
			k, value = bytes.Clone(at), bytes.Clone(is)
		})
		if k == nil {
			continue
		}
		value[len(value)-1] ^= 1
		copied.give(bucket, k, value)
		want := ErrDamaged
		if bucket == bucketMeta { // the counts come first, and nothing is decided on them
			want = ErrConflict
		}
		refused(bucket, plan, want)
		if err := os.WriteFile(file, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		changed++
	}
	if changed < 7 {
		t.Errorf("only %d buckets have records", changed)
	}
	if err := os.WriteFile(file, other, 0o600); err != nil {
		t.Fatal(err)
	}
	refused("a backup from before", plan, ErrConflict)
	if err := os.WriteFile(file, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	refused("no plan", Restoration{}, ErrConflict)
	if _, err := Restore(v.path, file, v.owner, plan, v.opts); err != nil {
		t.Error(err)
	}
}

// A backup can be restored over its vault even if the root, the id or the format of that
// vault is damaged.
func TestRestoreOverAHurtBeginning(t *testing.T) {
	t.Parallel()
	for _, name := range []string{metaRoot, metaVault, metaFormat, keys.WrapPrefix, metaEpoch, metaHead} {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t)
			if name == keys.WrapPrefix {
				name = v.wrapName()
			}
			file := v.backUp()
			value := v.take(bucketMeta, []byte(name))
			value[0] ^= 4
			v.give(bucketMeta, []byte(name), value)
			plan, err := PlanRestore(v.path, file, v.owner, v.opts)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Restore(v.path, file, v.owner, plan, v.opts); err != nil {
				t.Fatal(err)
			}
			if found := v.problems(); found != "" {
				t.Error(found)
			}
		})
	}
}

// A log that fails its verification is not archived: the checkpoint would vouch for it.
func TestAForgedLogIsNotArchived(t *testing.T) {
	c := newCompany(t)
	c.insider("reader", func(_ *Session, t *tx) error { return t.log(audit.ApprovalGranted, "approval", "x", nil) })
	file := filepath.Join(t.TempDir(), "log.jsonl")
	c.do(func(s *Session) {
		_, err := s.ArchiveLog(file, time.Now().Add(time.Hour), false)
		c.check("it is archived", err, ErrDamaged, "the log failed its verification, so nothing was archived")
	})
	if _, err := os.Lstat(file); err == nil {
		t.Error("there is an archive")
	}
	c.finds("who is not the owner")
}
