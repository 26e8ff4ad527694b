package vault

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/keys"
)

// The attacks of this file take the raw bbolt file and do what somebody with an
// editor for it could do. Each must be refused, or found, and named.

// victim is a vault that is about to be attacked: a/K at v3, a/L at v1, and a
// purged secret, so that it is in epoch 2 and its log spans two.
type victim struct {
	t     *testing.T
	path  string
	owner *Identity
	opts  Options
}

// wrapName returns the name of the wrap of the owner.
func (v *victim) wrapName() string { return v.owner.WrapName(v.id()) }

// id returns the id of the vault, as its file says.
func (v *victim) id() (vid keys.VaultID) {
	v.edit(func(b func(string) *bbolt.Bucket) { vid = keys.VaultID(b(bucketMeta).Get([]byte(metaVault))) })
	return vid
}

// newVictim returns a victim that nothing is synced for. A test of what a crash leaves takes [newVictimIn].
func newVictim(t *testing.T) *victim {
	t.Helper()
	return newVictimIn(t, Options{Throwaway: true})
}

func newVictimIn(t *testing.T, o Options) *victim {
	t.Helper()
	o.MemoryDir = t.TempDir()
	owner, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	v := &victim{t, filepath.Join(t.TempDir(), "vault.db"), owner, o}
	if _, err := Create(v.path, owner, v.opts); err != nil {
		t.Fatal(err)
	}
	v.do(func(s *Session) {
		v.set(s, "a/GONE", "gone")
		if _, err := s.Purge(v.p("a/GONE")); err != nil {
			t.Fatal(err)
		}
		v.set(s, "a/K", "one")
		v.set(s, "a/K", "two")
		v.set(s, "a/L", "other")
		v.set(s, "a/K", "three")
	})
	return v
}

func (v *victim) p(s string) tokens.Path {
	p, err := tokens.ParsePath(s)
	if err != nil {
		v.t.Fatal(err)
	}
	return p
}

func (v *victim) set(s *Session, path, value string) {
	v.t.Helper()
	if _, _, err := s.Set(v.p(path), []byte(value), SetOptions{}); err != nil {
		v.t.Fatal(err)
	}
}

func (v *victim) do(fn func(*Session)) {
	v.t.Helper()
	opened, err := Open(v.path, v.opts)
	if err != nil {
		v.t.Fatal(err)
	}
	defer opened.Close()
	s, err := opened.Owner(v.owner)
	if err != nil {
		v.t.Fatal(err)
	}
	fn(s)
}

// get reads the current version of a/K, or says why it was refused.
func (v *victim) get() (value string, err error) {
	v.t.Helper()
	v.do(func(s *Session) {
		var b []byte
		_, b, err = s.Get(v.p("a/K"), 0)
		value = string(b)
	})
	return value, err
}

func (v *victim) problems() string {
	v.t.Helper()
	var r Report
	v.do(func(s *Session) {
		var err error
		// From where the last one that found nothing ended, the same is found as from the
		// first entry on.
		again, aerr := s.Reverify()
		all, err := s.Verify(false)
		if !slices.Equal(again.Problems, all.Problems) || (aerr == nil) != (err == nil) {
			v.t.Errorf("verified from entry %d on: %q, %v\nfrom the first on: %q, %v", again.Verified+1, again.Problems, aerr,
				all.Problems, err)
		}
		if r, err = s.Verify(true); err != nil {
			r.Problems = append(r.Problems, err.Error())
		}
	})
	return strings.Join(r.Problems, "\n")
}

// edit is the attack.
func (v *victim) edit(fn func(bucket func(string) *bbolt.Bucket)) {
	v.t.Helper()
	db, err := bbolt.Open(v.path, 0o600, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		fn(func(name string) *bbolt.Bucket { return tx.Bucket([]byte(name)) })
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		v.t.Fatal(err)
	}
}

// take returns a copy of a stored record.
func (v *victim) take(bucket string, k []byte) (value []byte) {
	v.t.Helper()
	v.edit(func(b func(string) *bbolt.Bucket) { value = bytes.Clone(b(bucket).Get(k)) })
	if value == nil {
		v.t.Fatalf("%s has no %q", bucket, k)
	}
	return value
}

func (v *victim) give(bucket string, k, value []byte) {
	v.t.Helper()
	v.edit(func(b func(string) *bbolt.Bucket) {
		if err := b(bucket).Put(k, value); err != nil {
			v.t.Fatal(err)
		}
	})
}

func TestRecordsAreBoundToTheirPlace(t *testing.T) {
	k, l := func(v *victim, n uint64) []byte { return versionKey(v.p("a/K"), n) },
		func(v *victim) []byte { return versionKey(v.p("a/L"), 1) }
	for name, attack := range map[string]struct {
		do    func(*victim)
		names string // what the refusal names
	}{
		"altered": {func(v *victim) {
			r := v.take(bucketVersions, k(v, 3))
			r[len(r)/2] ^= 1
			v.give(bucketVersions, k(v, 3), r)
		}, "a/K version 3"},
		"MAC altered": {func(v *victim) {
			r := v.take(bucketVersions, k(v, 3))
			r[len(r)-1] ^= 1
			v.give(bucketVersions, k(v, 3), r)
		}, "a/K version 3"},
		"moved to another path": {func(v *victim) { v.give(bucketVersions, k(v, 3), v.take(bucketVersions, l(v))) },
			"a/K version 3"},
		"moved to another version": {func(v *victim) { v.give(bucketVersions, k(v, 3), v.take(bucketVersions, k(v, 1))) },
			"a/K version 3"},
		"moved to another bucket": {func(v *victim) {
			v.give(bucketSecrets, []byte("a/K"), v.take(bucketVersions,
				k(v, 3)))
		}, `"a/K"`},
		"head of another secret": {func(v *victim) {
			v.give(bucketSecrets, []byte("a/K"), v.take(bucketSecrets,
				[]byte("a/L")))
		}, `"a/K"`},
		"no record at all": {func(v *victim) { v.give(bucketSecrets, []byte("a/K"), []byte("x")) }, `"a/K"`},
		"empty":            {func(v *victim) { v.give(bucketSecrets, []byte("a/K"), nil) }, `"a/K"`},
		"from another vault": {func(v *victim) {
			o := newVictim(v.t)
			v.give(bucketVersions, k(v, 3), o.take(bucketVersions, k(o, 3)))
		}, "a/K version 3"},
		"from another epoch": {func(v *victim) {
			old := v.take(bucketVersions, k(v, 3))
			v.do(func(s *Session) {
				if _, err := s.Purge(v.p("a/L")); err != nil {
					v.t.Fatal(err)
				}
			})
			v.give(bucketVersions, k(v, 3), old)
		}, "a/K version 3"},
		"from another tier": {func(v *victim) {
			old := v.take(bucketVersions, k(v, 3))
			v.do(func(s *Session) {
				if _, _, err := s.Set(v.p("a/K"), []byte("four"), SetOptions{Tier: tokens.Critical}); err != nil {
					v.t.Fatal(err)
				}
			})
			v.give(bucketVersions, k(v, 4), old)
		}, "a/K version 4"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t)
			attack.do(v)
			value, err := v.get()
			if !errors.Is(err, ErrDamaged) || value != "" {
				t.Fatalf("a read gave %q, %v", value, err)
			}
			if !strings.Contains(err.Error(), attack.names) {
				t.Errorf("the refusal does not name %s: %v", attack.names, err)
			}
			if found := v.problems(); !strings.Contains(found, attack.names) {
				t.Errorf("the verification does not name %s:\n%s", attack.names, found)
			}
		})
	}
}

// Under another id, this machine would remember nothing of the vault, so an old copy would not be seen.
func TestTheIDIsThatOfTheOwner(t *testing.T) {
	v := newVictim(t)
	id := v.take(bucketMeta, []byte(metaVault))
	id[0] ^= 1
	v.give(bucketMeta, []byte(metaVault), id)
	opened, err := Open(v.path, v.opts)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	if _, err := opened.Owner(v.owner); !errors.Is(err, ErrWrongKey) || !strings.Contains(err.Error(), "or its id") {
		t.Errorf("%v", err)
	}
}

// What was once true, and is put back, has MACs that hold. The log tells.
func TestOldRecordsAreFound(t *testing.T) {
	secrets, k1, k3 := []byte("a/K"), func(v *victim) []byte { return versionKey(v.p("a/K"), 1) },
		func(v *victim) []byte { return versionKey(v.p("a/K"), 3) }
	for name, attack := range map[string]struct {
		do   func(*victim)
		find string
	}{
		"head put back": {func(v *victim) {
			old := v.take(bucketSecrets, secrets)
			v.do(func(s *Session) { v.set(s, "a/K", "four") })
			v.give(bucketSecrets, secrets, old)
		}, "a/K: it does not match log entry 9, the newest about it: an old record was put back"},
		"head and version put back": {func(v *victim) {
			old := v.take(bucketSecrets, secrets)
			v.do(func(s *Session) { v.set(s, "a/K", "four") })
			v.give(bucketSecrets, secrets, old)
			v.edit(func(b func(string) *bbolt.Bucket) { _ = b(bucketVersions).Delete(versionKey(v.p("a/K"), 4)) })
		}, "a/K: it does not match log entry 9"},
		"deletion undone": {func(v *victim) {
			old := v.take(bucketSecrets, secrets)
			v.do(func(s *Session) {
				if _, _, err := s.Delete(v.p("a/K")); err != nil {
					v.t.Fatal(err)
				}
			})
			v.give(bucketSecrets, secrets, old)
		}, "a/K: it does not match log entry 9"},
		"secret removed": {func(v *victim) {
			v.edit(func(b func(string) *bbolt.Bucket) {
				_ = b(bucketSecrets).Delete(secrets)
				for n := range uint64(3) {
					_ = b(bucketVersions).Delete(versionKey(v.p("a/K"), n+1))
				}
			})
		}, `"a/K": its record is missing, though log entry 8 wrote it`},
		"head removed":        {func(v *victim) { v.edit(func(b func(string) *bbolt.Bucket) { _ = b(bucketSecrets).Delete(secrets) }) }, `"a/K": its record is missing`},
		"old version removed": {func(v *victim) { v.edit(func(b func(string) *bbolt.Bucket) { _ = b(bucketVersions).Delete(k1(v)) }) }, "a/K version 1: it is missing"},
		"version removed":     {func(v *victim) { v.edit(func(b func(string) *bbolt.Bucket) { _ = b(bucketVersions).Delete(k3(v)) }) }, "a/K version 3: it is missing"},
		"recipient removed": {func(v *victim) {
			v.edit(func(b func(string) *bbolt.Bucket) {
				_ = b(bucketRecipients).Delete(keys.Node{Tier: tokens.Standard, Kind: keys.KindNamespace}.ID())
			})
		}, "records: they do not match the head"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t)
			attack.do(v)
			if found := v.problems(); !strings.Contains(found, attack.find) {
				t.Errorf("the verification found:\n%s\nwant: %s", found, attack.find)
			}
			// The vault is small, so every command notices.
			if value, err := v.get(); !errors.Is(err, ErrDamaged) {
				t.Errorf("a read gave %q, %v", value, err)
			}
		})
	}
}

// An insider, who has the epoch's keys and no right to write, can make every MAC
// and the digest right. The signatures are not.
func TestWhatAnInsiderWritesIsNotTheOwners(t *testing.T) {
	v := newVictim(t)
	v.do(func(s *Session) {
		mallory := keys.NewGrantee(keys.Random())
		insider := *s
		insider.by = actor{id: "owner", kind: audit.Human, sign: mallory.Sign}
		err := insider.update(func(t *tx) error {
			t.owner = nil // the key of the owner's MACs comes from the root
			return s.writeVersion(t, v.p("a/K"), 3, t.newVersion(tokens.Standard), []byte("mine"))
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	if value, err := v.get(); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(),
		`a/K version 3: invalid signature for author "owner"`) {
		t.Errorf("a read gave %q, %v", value, err)
	}
	if found := v.problems(); !strings.Contains(found, "a/K version 3") {
		t.Errorf("the verification found:\n%s", found)
	}
	// A rewrite must not sign for the owner what the owner did not.
	v.do(func(s *Session) {
		if _, err := s.Purge(v.p("a/L")); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "invalid signature") {
			t.Errorf("a purge of another secret: %v", err)
		}
	})
}

// An insider can also put back what the owner once signed in this epoch, and make
// the digest right. Nothing prevents it; the log tells.
func TestAnInsidersPuttingBackIsFound(t *testing.T) {
	for name, attack := range map[string]struct {
		do   func(v *victim, put func(bucket string, k, value []byte))
		find string
	}{
		"head": {func(v *victim, put func(string, []byte, []byte)) {
			old := v.take(bucketSecrets, []byte("a/K"))
			v.do(func(s *Session) { v.set(s, "a/K", "four") })
			put(bucketSecrets, []byte("a/K"), old)
			put(bucketVersions, versionKey(v.p("a/K"), 4), nil)
		}, "a/K: it does not match log entry 9"},
		"head alone": {func(v *victim, put func(string, []byte, []byte)) {
			old := v.take(bucketSecrets, []byte("a/K"))
			v.do(func(s *Session) { v.set(s, "a/K", "four") })
			put(bucketSecrets, []byte("a/K"), old)
		}, "a/K version 4: the secret is only at version 3"},
		"deletion": {func(v *victim, put func(string, []byte, []byte)) {
			old := v.take(bucketSecrets, []byte("a/K"))
			v.do(func(s *Session) {
				if _, _, err := s.Delete(v.p("a/K")); err != nil {
					v.t.Fatal(err)
				}
			})
			put(bucketSecrets, []byte("a/K"), old)
		}, "a/K: it does not match log entry 9"},
		"secret removed": {func(v *victim, put func(string, []byte, []byte)) { put(bucketSecrets, []byte("a/L"), nil) },
			`"a/L": its record is missing`},
		"version removed": {func(v *victim, put func(string, []byte, []byte)) {
			put(bucketVersions, versionKey(v.p("a/K"), 2),
				nil)
		}, "a/K version 2: it is missing"},
		"recipient of another tier": {func(v *victim, put func(string, []byte, []byte)) {
			v.do(func(s *Session) {
				_ = s.update(func(t *tx) error {
					at := keys.Node{Tier: tokens.Standard, Kind: keys.KindNamespace, Key: keys.TierKey(s.secret, tokens.Critical)}
					return errors.Join(t.remove(bucketRecipients, at.ID()), t.publish(at))
				})
			})
		}, "it does not match the key of its node"},
		"version of no entry": {func(v *victim, put func(string, []byte, []byte)) {
			v.do(func(s *Session) {
				_ = s.update(func(t *tx) error {
					body := versionBody{Seq: 5, Tier: tokens.Standard, Author: "owner", CreatedAt: t.now}
					return s.writeVersion(t, v.p("a/K"), 3, body, []byte("other"))
				})
			})
		}, "a/K version 3: it does not match what the log says was written"},
		"version above its secret's tier": {func(v *victim, put func(string, []byte, []byte)) {
			v.do(func(s *Session) {
				_ = s.update(func(t *tx) error {
					body := versionBody{Seq: 8, Tier: tokens.Critical, Author: "owner", CreatedAt: t.now}
					return s.writeVersion(t, v.p("a/K"), 3, body, []byte("three"))
				})
			})
		}, "a/K version 3: its tier critical is above that of its secret, standard"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t)
			attack.do(v, func(bucket string, k, value []byte) {
				v.do(func(s *Session) {
					err := s.update(func(t *tx) error {
						return insert(t, bucket, k, value)
					})
					if err != nil {
						t.Fatal(err)
					}
				})
			})
			found := v.problems()
			if !strings.Contains(found, attack.find) || strings.Contains(found, "records: they are not") {
				t.Errorf("the verification found:\n%s\nwant: %s", found, attack.find)
			}
		})
	}
}

// What no program puts into a vault is found there.
func TestStrangers(t *testing.T) {
	v := newVictim(t)
	v.give(bucketMeta, []byte("x"), []byte("x"))
	db, err := bbolt.Open(v.path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("y")); return err })
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if found := v.problems(); !strings.Contains(found, `bucket "y": it does not belong`) || !strings.Contains(found,
		`meta/"x": it does not belong`) {
		t.Errorf("the verification found:\n%s", found)
	}
}

// A rewrite is remembered as any write is, and what a killed one left is removed
// by the next command, also by one that only looks.
func TestAfterARewrite(t *testing.T) {
	v := newVictim(t)
	old, err := os.ReadFile(v.path)
	if err != nil {
		t.Fatal(err)
	}
	v.do(func(s *Session) {
		if _, err := s.Purge(v.p("a/L")); err != nil {
			t.Fatal(err)
		}
	})
	now, err := os.ReadFile(v.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(v.path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	if found := v.problems(); !strings.Contains(found, "9 to 10 are missing") {
		t.Errorf("the verification found:\n%s", found)
	}
	if err := errors.Join(os.WriteFile(v.path, now, 0o600), os.WriteFile(v.path+newSuffix, []byte("x"),
		0o600)); err != nil {
		t.Fatal(err)
	}
	o := v.opts
	o.ReadOnly = true
	opened, err := Open(v.path, o)
	if err != nil {
		t.Fatal(err)
	}
	opened.Close()
	if _, err := os.Lstat(v.path + newSuffix); err == nil {
		t.Error("what was left behind is still there")
	}
}

func TestTheLogCannotBeChanged(t *testing.T) {
	t.Parallel()
	for name, attack := range map[string]struct {
		do   func(b *bbolt.Bucket)
		find string
		most int // findings; 0 for 2
	}{
		"altered": {func(b *bbolt.Bucket) {
			e := bytes.Clone(b.Get(audit.Key(5)))
			e = bytes.Replace(e, []byte("a/K"), []byte("a/X"), 1)
			_ = b.Put(audit.Key(5), e)
		}, "audit entry 5: MAC mismatch", 0},
		"first of an epoch altered": {func(b *bbolt.Bucket) {
			e := bytes.Clone(b.Get(audit.Key(3)))
			e = bytes.Replace(e, []byte("purged"), []byte("PURGED"), 1)
			_ = b.Put(audit.Key(3), e)
		}, "audit entry 3: MAC mismatch", 0},
		"dropped": {func(b *bbolt.Bucket) { _ = b.Delete(audit.Key(5)) }, "audit entry 5: missing", 0},
		"first":   {func(b *bbolt.Bucket) { _ = b.Delete(audit.Key(1)) }, "audit entry 1: missing", 2},
		"three gone": {func(b *bbolt.Bucket) {
			_ = b.Delete(audit.Key(4))
			_ = b.Delete(audit.Key(5))
			_ = b.Delete(audit.Key(6))
		}, "audit entries 4 to 6: missing", 0},
		"epoch gone": {func(b *bbolt.Bucket) { _ = b.Delete(audit.Key(3)) }, "audit entry 3: missing", 0},
		"not an entry": {func(b *bbolt.Bucket) { _ = b.Put(audit.Key(5), []byte("x")) },
			"audit entry 5: not an audit entry", 0},
		"a key too many": {func(b *bbolt.Bucket) { _ = b.Put([]byte("x"), []byte("x")) }, "a record with an invalid key", 0},
		"reordered": {func(b *bbolt.Bucket) {
			five, six := bytes.Clone(b.Get(audit.Key(5))), bytes.Clone(b.Get(audit.Key(6)))
			_ = b.Put(audit.Key(5), six)
			_ = b.Put(audit.Key(6), five)
		}, "audit entry 5: MAC mismatch", 3},
		"dropped and closed up": {func(b *bbolt.Bucket) {
			for n := uint64(5); n < 8; n++ {
				_ = b.Put(audit.Key(n), bytes.Clone(b.Get(audit.Key(n+1))))
			}
			_ = b.Delete(audit.Key(8))
		}, "audit entry 5: MAC mismatch", 6},
		"a huge number": {func(b *bbolt.Bucket) { _ = b.Put(audit.Key(1<<63), []byte("x")) },
			"audit entry 9: a record with an invalid key", 0},
		"cut at the end": {func(b *bbolt.Bucket) { _ = b.Delete(audit.Key(8)); _ = b.Delete(audit.Key(7)) },
			"entries 7 to 8 are missing: the log was truncated", 0},
		"one too many": {func(b *bbolt.Bucket) { _ = b.Put(audit.Key(9), bytes.Clone(b.Get(audit.Key(8)))) },
			"audit entry 9: a record with an invalid key", 0},
	} {
		attack.most = max(attack.most, 2)
		t.Run(name, func(t *testing.T) {
			v := newVictim(t)
			if found := v.problems(); found != "" {
				t.Fatalf("before the attack:\n%s", found)
			}
			v.edit(func(b func(string) *bbolt.Bucket) { attack.do(b(bucketAudit)) })
			found := v.problems()
			if !strings.Contains(found, attack.find) {
				t.Errorf("the verification found:\n%s\nwant: %s", found, attack.find)
			}
			for line := range strings.SplitSeq(found, "\n") {
				if !strings.HasPrefix(line, "audit ") {
					t.Errorf("a record is blamed for the log: %s", line)
				}
			}
			if n := strings.Count(found, "\n") + 1; n > attack.most {
				t.Errorf("%d findings:\n%s", n, found)
			}
		})
	}
}

// Without any key, the head can be put back to an older one, and the log be
// filled up with entries that are known. The next command would write over
// entries that are there, and the machine's memory would follow it.
func TestTheHeadIsThatOfTheLog(t *testing.T) {
	refused := func(t *testing.T, v *victim) {
		t.Helper()
		if value, err := v.get(); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(),
			"its audit log does not end with entry") {
			t.Errorf("a read gave %q, %v", value, err)
		}
		v.do(func(s *Session) {
			if _, _, err := s.Set(v.p("a/K"), []byte("x"), SetOptions{}); !errors.Is(err, ErrDamaged) {
				t.Errorf("a write: %v", err)
			}
			if _, err := s.List(tokens.Namespace{}, false); !errors.Is(err, ErrDamaged) {
				t.Errorf("a list: %v", err)
			}
		})
		if found := v.problems(); found == "" {
			t.Error("the verification found nothing")
		}
	}
	t.Run("head put back", func(t *testing.T) {
		v := newVictim(t)
		old := v.take(bucketMeta, []byte(metaHead))
		for range 2 {
			if _, err := v.get(); err != nil {
				t.Fatal(err)
			}
		}
		v.give(bucketMeta, []byte(metaHead), old)
		refused(t, v)
	})
	t.Run("last entry altered", func(t *testing.T) {
		v := newVictim(t)
		last := v.take(bucketAudit, audit.Key(8))
		last[len(last)-1] ^= 1
		v.give(bucketAudit, audit.Key(8), last)
		refused(t, v)
	})
	t.Run("file put back, log filled up", func(t *testing.T) {
		v := newVictim(t)
		old, err := os.ReadFile(v.path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.get(); err != nil {
			t.Fatal(err)
		}
		newest := v.take(bucketAudit, audit.Key(9))
		if err := os.WriteFile(v.path, old, 0o600); err != nil {
			t.Fatal(err)
		}
		v.give(bucketAudit, audit.Key(9), newest)
		refused(t, v)
	})
}

// The memory of this machine is made from heads that opened, not from what lies
// in a file.
func TestTheMemoryBelievesNoBytes(t *testing.T) {
	v := newVictim(t)
	raw, err := os.ReadFile(v.path)
	if err != nil {
		t.Fatal(err)
	}
	copied := &victim{t, filepath.Join(t.TempDir(), "copy.db"), v.owner, v.opts}
	if err := os.WriteFile(copied.path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	copied.give(bucketAudit, audit.Key(1<<40), []byte("x"))
	o := v.opts
	o.ReadOnly = true
	opened, err := Open(copied.path, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := opened.Info(); err != nil {
		t.Error(err)
	}
	opened.Close()
	if found := v.problems(); found != "" {
		t.Errorf("the vault itself:\n%s", found)
	}
}

// A rewrite computes the digest anew, so it must not take over what the old one
// does not vouch for, nor leave behind what it does not know.
func TestRewriteLaundersNothing(t *testing.T) {
	t.Parallel()
	v := newVictim(t)
	v.do(func(s *Session) {
		for i := range smallVault / 2 {
			v.set(s, fmt.Sprintf("many/K%d", i), "x")
		}
	})
	old := v.take(bucketSecrets, []byte("a/L"))
	v.do(func(s *Session) { v.set(s, "a/L", "newer") })
	newer := v.take(bucketSecrets, []byte("a/L"))
	v.give(bucketSecrets, []byte("a/L"), old)
	v.do(func(s *Session) {
		if _, err := s.Purge(v.p("many/K1")); !errors.Is(err, ErrDamaged) {
			t.Errorf("a purge with a record put back: %v", err)
		}
		if _, _, err := s.Set(v.p("a/L"), []byte("x"), SetOptions{}); !errors.Is(err, ErrDamaged) ||
			!strings.Contains(err.Error(), "was put back") {
			t.Errorf("a write to it: %v", err)
		}
	})
	v.edit(func(b func(string) *bbolt.Bucket) { _ = b(bucketSecrets).Delete([]byte("a/L")) })
	v.do(func(s *Session) {
		if _, _, err := s.Set(v.p("a/L"), []byte("x"), SetOptions{}); !errors.Is(err, ErrDamaged) ||
			!strings.Contains(err.Error(), "its record was removed") {
			t.Errorf("a write to a secret whose head was removed: %v", err)
		}
	})
	v.give(bucketSecrets, []byte("a/L"), newer)
	v.do(func(s *Session) {
		err := s.update(func(t *tx) error {
			return t.put(bucketAgents, []byte("agt_1"), true, map[string]any{"seq": t.seq(), "odd": 1})
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Purge(v.p("many/K1")); !errors.Is(err, ErrDamaged) {
			t.Errorf("a purge with a form of record that is not known: %v", err)
		}
	})
}

func TestNoRewriteWhereNothingIsWritten(t *testing.T) {
	v := newVictim(t)
	v.opts.ReadOnly = true
	before, _ := os.ReadFile(v.path)
	v.do(func(s *Session) {
		if _, err := s.Purge(v.p("a/K")); err == nil {
			t.Error("a purge worked")
		}
		if _, _, err := s.Get(v.p("a/K"), 0); err == nil {
			t.Error("a value was read without an entry in the log")
		}
	})
	if after, _ := os.ReadFile(v.path); !bytes.Equal(before, after) {
		t.Error("the file was changed")
	}
}

// Whoever has the keys of today can cut the log's end and make a head that fits.
// The machine remembers.
func TestACutLogIsRemembered(t *testing.T) {
	v := newVictim(t)
	old, err := os.ReadFile(v.path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.get(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(v.path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	want := "this machine saw entry 9, which is missing"
	if found := v.problems(); !strings.Contains(found, want) {
		t.Errorf("the verification found:\n%s\nwant: %s", found, want)
	}
	// Going on from the old copy does not make it forget.
	for range 3 {
		if _, err := v.get(); err != nil {
			t.Fatal(err)
		}
	}
	if found := v.problems(); !strings.Contains(found, "this machine saw a different entry 9") {
		t.Errorf("the verification found:\n%s", found)
	}
	// A machine that never saw it cannot know.
	v.opts.MemoryDir = t.TempDir()
	if found := v.problems(); found != "" {
		t.Errorf("elsewhere, the verification found:\n%s", found)
	}
}

// Anybody can seal to a public recipient, and make a whole vault for it.
func TestAVaultMadeForTheOwnerIsRefused(t *testing.T) {
	v := newVictim(t)
	mallory, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "forged.db")
	if _, err := Create(path, mallory, Options{}); err != nil {
		t.Fatal(err)
	}
	forged := &victim{t: t, path: path, owner: mallory}
	var root *keys.Root
	forged.do(func(s *Session) {
		copied := *s.root
		root = &copied
	})
	sealed, err := keys.SealFor(v.owner, root.Key[:])
	if err != nil {
		t.Fatal(err)
	}
	wrap, err := root.Wrap(mallory)
	if err != nil {
		t.Fatal(err)
	}
	own := []byte(v.wrapName()) // mallory has seen another vault of the owner
	for _, step := range []struct {
		what  string
		name  []byte
		value []byte
		want  error
	}{
		{"the root, sealed to the owner's recipient", []byte(metaRoot), sealed, ErrWrongKey},
		{"her wrap, under a name of the owner's", own, wrap, ErrWrongKey},
		{"the wrap of the owner's vault", own, v.take(bucketMeta, own), ErrWrongKey},
		{"and that vault's id", []byte(metaVault), v.take(bucketMeta, []byte(metaVault)), ErrDamaged},
	} {
		forged.give(bucketMeta, step.name, step.value)
		opened, err := Open(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := opened.Owner(v.owner); !errors.Is(err, step.want) {
			t.Errorf("%s: the owner's key: %v", step.what, err)
		}
		if err := opened.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// The values of meta are bound to the vault as well.
func TestMetaIsBound(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	t.Parallel()
	for _, name := range []string{metaFormat, metaVault, metaRoot, keys.WrapPrefix, metaEpoch, metaHead} {
		t.Run(name, func(t *testing.T) {
			for _, how := range []string{"removed", "altered", "belongs to another vault"} {
				v := newVictim(t)
				other := &victim{t: t, path: filepath.Join(t.TempDir(), "vault.db"), owner: v.owner}
				if _, err := Create(other.path, v.owner, Options{}); err != nil {
					t.Fatal(err)
				}
				at, there := []byte(name), []byte(name)
				if name == keys.WrapPrefix {
					at, there = []byte(v.wrapName()), []byte(other.wrapName())
				}
				value := v.take(bucketMeta, at)
				foreign := other.take(bucketMeta, there)
				v.edit(func(b func(string) *bbolt.Bucket) {
					switch how {
					case "removed":
						_ = b(bucketMeta).Delete(at)
					case "altered":
						value[len(value)-1] ^= 1
						_ = b(bucketMeta).Put(at, value)
					default:
						_ = b(bucketMeta).Put(at, foreign)
					}
				})
				if name == metaFormat && how == "belongs to another vault" {
					continue // it says the same everywhere
				}
				opened, err := Open(v.path, v.opts)
				if err == nil {
					var s *Session
					if s, err = opened.Owner(v.owner); err == nil {
						_, _, err = s.Get(v.p("a/K"), 0)
					}
					opened.Close()
				}
				if name == metaRoot { // what a command opens is the wrap
					if found := v.problems(); err != nil || !strings.Contains(found, "meta/root: ") {
						t.Errorf("%s: %v, and the verification found %q", how, err, found)
					}
					continue
				}
				if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrWrongKey) && !errors.Is(err, ErrFormat) {
					t.Errorf("%s: %v", how, err)
				}
			}
		})
	}
}

// A newer format is not damage: nothing opens it, replaces it or makes a vault of it. A format that no program has is
// damage.
func TestNewerFormat(t *testing.T) {
	for text, later := range map[string]bool{"ass/3": true, "ass/17": true, "ass/q": false, "ass/0": false} {
		v := newVictim(t)
		backup := v.backUp()
		v.give(bucketMeta, []byte(metaFormat), []byte(text))
		if _, err := Open(v.path, v.opts); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "update ass") {
			t.Errorf("%s: %v", text, err)
		}
		before, _ := os.ReadFile(v.path)
		if _, err := PlanRestore(v.path, backup, v.owner, v.opts); errors.Is(err, ErrFormat) != later || (err == nil) == later {
			t.Errorf("%s: a restore over it: %v", text, err)
		}
		if _, err := Salvage(v.path, filepath.Join(t.TempDir(), "new.db"), v.owner, v.opts); errors.Is(err, ErrFormat) != later ||
			(err == nil) == later {
			t.Errorf("%s: its salvage: %v", text, err)
		}
		if after, _ := os.ReadFile(v.path); !bytes.Equal(before, after) {
			t.Errorf("%s: the file was changed", text)
		}
	}
}

// After a purge, nothing of the secret's sealed bytes is in the file: not in its
// records, not in its free pages.
func TestPurgedBytesAreGone(t *testing.T) {
	v := newVictim(t)
	var sealed [][]byte
	v.do(func(s *Session) {
		for n := range uint64(20) { // many pages are freed on the way
			v.set(s, "a/K", strings.Repeat("x", 3000)+fmt.Sprint(n))
		}
	})
	for n := range uint64(23) {
		r, err := parseRecord(v.take(bucketVersions, versionKey(v.p("a/K"), n+1)))
		if err != nil {
			t.Fatal(err)
		}
		sealed = append(sealed, r.data[len(r.data)/2:][:90])
	}
	in := func() (n int) {
		raw, err := os.ReadFile(v.path)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range sealed {
			if bytes.Contains(raw, s) {
				n++
			}
		}
		return n
	}
	if n := in(); n != len(sealed) {
		t.Fatalf("%d of %d are there before: the test looks for the wrong bytes", n, len(sealed))
	}
	v.do(func(s *Session) {
		if _, err := s.Purge(v.p("a/K")); err != nil {
			t.Fatal(err)
		}
	})
	if n := in(); n != 0 {
		t.Errorf("%d of %d sealed values are still in the file", n, len(sealed))
	}
	if found := v.problems(); found != "" {
		t.Errorf("afterwards:\n%s", found)
	}
}

// Purging a secret whose records do not hold mends the vault; everything else
// refuses to rewrite what it cannot check.
func TestRewriteChecksWhatItCopies(t *testing.T) {
	v := newVictim(t)
	r := v.take(bucketVersions, versionKey(v.p("a/K"), 2))
	r[len(r)/2] ^= 1
	v.give(bucketVersions, versionKey(v.p("a/K"), 2), r)
	before, _ := os.ReadFile(v.path)
	v.do(func(s *Session) {
		if _, err := s.Purge(v.p("a/L")); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "a/K version 2") {
			t.Errorf("purging another secret: %v", err)
		}
	})
	if after, _ := os.ReadFile(v.path); !bytes.Equal(before, after) {
		t.Error("the failed rewrite changed the file")
	}
	v.do(func(s *Session) {
		if _, err := s.Purge(v.p("a/K")); err != nil {
			t.Errorf("purging it: %v", err)
		}
	})
	if found := v.problems(); found != "" {
		t.Errorf("afterwards:\n%s", found)
	}
}

// A large vault is not summed up by every command, but by a verification.
func TestTheDigestOfALargeVault(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	t.Parallel()
	v := newVictim(t)
	v.do(func(s *Session) {
		for i := range smallVault / 2 {
			v.set(s, fmt.Sprintf("many/K%d", i), "x")
		}
	})
	old := v.take(bucketSecrets, []byte("a/L"))
	v.do(func(s *Session) { v.set(s, "a/L", "newer") })
	v.give(bucketSecrets, []byte("a/L"), old)
	if _, err := v.get(); err != nil {
		t.Errorf("another secret: %v", err)
	}
	if found := v.problems(); !strings.Contains(found, "a/L: it does not match log entry") {
		t.Errorf("the verification found:\n%s", found)
	}
}

func TestDigestArithmetic(t *testing.T) {
	e := keys.Epoch{MAC: keys.Random()}
	term := newDigester(e)
	var sum digest
	terms := map[string]digest{}
	for i := range 50 {
		k := fmt.Sprint(i)
		terms[k] = term("b", []byte(k), []byte("mac"))
		sum.add(terms[k])
	}
	if back, ok := digestFrom(sum.bytes()); !ok || back != sum {
		t.Error("the bytes of a digest are not the digest")
	}
	for _, k := range slices.Sorted(maps.Keys(terms)) { // another order than it was built in
		sum.sub(terms[k])
	}
	if sum != (digest{}) {
		t.Errorf("what was added and subtracted left %x", sum.bytes())
	}
}
