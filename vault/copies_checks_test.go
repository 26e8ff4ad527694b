package vault

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/bolt"
	"ass/vault/internal/keys"
)

// A check finds what a verification passes over: pages that are neither in use nor free.
func TestACheckLooksAtEveryPage(t *testing.T) {
	v := newVictim(t)
	v.raw(func(b []byte) []byte {
		b = append(b, make([]byte, bolt.PageSize)...)
		for page := range 2 { // both meta pages count a page more
			meta := b[page*bolt.PageSize+16:][:64]
			high := binary.NativeEndian.Uint64(meta[40:])
			binary.NativeEndian.PutUint64(meta[40:], high+1)
			sum := fnv.New64a()
			sum.Write(meta[:56])
			binary.NativeEndian.PutUint64(meta[56:], sum.Sum64())
		}
		return b
	})
	if found := v.problems(); found != "" {
		t.Fatalf("a verification finds it too, so this shows less than it says:\n%s", found)
	}
	v.do(func(s *Session) {
		r, err := s.Check()
		if err != nil || len(r.Problems) != 1 || !strings.HasPrefix(r.Problems[0], "pages: page ") ||
			!strings.HasSuffix(r.Problems[0], "unreachable unfreed") {
			t.Errorf("the check found %q, %v", r.Problems, err)
		}
	})
}

// manyValues fills a victim with so many records that commands do not compute their digest.
func (v *victim) manyValues() {
	v.t.Helper()
	v.do(func(s *Session) {
		var items []Item
		for i := range smallVault/2 + 1 {
			items = append(items, Item{Key: fmt.Sprintf("K%03d", i), Value: []byte("x")})
		}
		ns, err := tokens.ParseNamespace("many")
		if err == nil {
			_, err = s.Import(ns, items, ImportOptions{})
		}
		if err != nil {
			v.t.Fatal(err)
		}
	})
}

// A copy of all records vouches for them with a new file, so it computes their digest, even in
// a large vault.
func TestCopiesVouchForNoOldRecord(t *testing.T) {
	v := newVictim(t)
	v.manyValues()
	old := v.take(bucketSecrets, []byte("a/L"))
	v.do(func(s *Session) { v.set(s, "a/L", "newer") })
	v.give(bucketSecrets, []byte("a/L"), old)
	if _, err := v.get(); err != nil {
		t.Fatalf("a command notices, so this shows less than it says: %v", err)
	}
	file := filepath.Join(t.TempDir(), "backup.db")
	v.do(func(s *Session) {
		if err := s.Compact(""); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "was put back") {
			t.Errorf("it was compacted: %v", err)
		}
		if _, err := s.BackUp(file); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "was put back") {
			t.Errorf("it was backed up: %v", err)
		}
		entries, err := s.Log(0, nil)
		for _, e := range entries {
			if err != nil || e.Event.Type == audit.VaultCompacted || e.Event.Type == audit.VaultBackedUp {
				t.Errorf("the log has %s, %v", e.Event.Type, err)
			}
		}
	})
	if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) > 0 {
		t.Errorf("there is %v, %v", left, err)
	}
}

// A backup gets its name only after it has passed a check. One that fails is removed.
func TestABackupIsChecked(t *testing.T) {
	// sealed puts a value into the vault that its MAC and signature vouch for, and no key opens.
	sealed := func(v *victim) {
		v.do(func(s *Session) {
			err := s.commit(func(t *tx) error {
				k := versionKey(v.p("a/L"), 1)
				body, r, err := versionKind.get(t, k)
				body.by = r.by
				body.sealAnew(t.Format, t.seq())
				body.Sealed[len(body.Sealed)-1] ^= 1
				return errors.Join(err, versionKind.put(t, k, body), t.log(audit.SecretRead, "secret", "a/L", nil)) // which tells of it
			})
			if err != nil {
				v.t.Fatal(err)
			}
		})
	}
	for name, x := range map[string]struct {
		before, after func(*victim) // of the vault, of the copy
		says          string
	}{
		"a record was altered": {nil, func(part *victim) {
			r := part.take(bucketVersions, versionKey(part.p("a/K"), 2))
			r[len(r)/2] ^= 1
			part.give(bucketVersions, versionKey(part.p("a/K"), 2), r)
		}, "a/K version 2"},
		"a record was removed": {nil, func(part *victim) {
			part.edit(func(b func(string) *bbolt.Bucket) {
				_ = b(bucketRecipients).Delete(keys.Node{Tier: tokens.Critical, Kind: keys.KindNamespace}.ID())
			})
		}, "records: they do not match the head"},
		"its beginning is gone": {nil, func(part *victim) { part.headless() }, "it is not a vault"},
		"it was cut": {nil, func(part *victim) {
			part.raw(func(b []byte) []byte { return b[:bolt.PageSize] })
		}, "too small"},
		"a value does not open": {sealed, func(*victim) {}, "a/L version 1: it does not decrypt"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t)
			if x.before != nil {
				x.before(v)
			}
			file := filepath.Join(t.TempDir(), "backup.db")
			var b Backup
			v.do(func(s *Session) {
				var err error
				if b, err = s.BackUp(file); err != nil {
					t.Fatal(err)
				}
			})
			x.after(&victim{t: t, path: b.part.Path, owner: v.owner})
			_, err := b.Verify(v.owner, Options{})
			if !errors.Is(err, ErrBadCopy) || !strings.Contains(err.Error(), "failed its verification and was removed") ||
				!strings.Contains(err.Error(), x.says) {
				t.Errorf("%v\nwant: … %s …", err, x.says)
			}
			for _, name := range []string{file, b.part.Path} {
				if _, err := os.Lstat(name); err == nil {
					t.Errorf("there is %s", filepath.Base(name))
				}
			}
		})
	}
	t.Run("with another owner's key", func(t *testing.T) {
		v, other := newVictim(t), newVictim(t)
		file := filepath.Join(t.TempDir(), "backup.db")
		v.do(func(s *Session) {
			b, err := s.BackUp(file)
			if err == nil {
				_, err = b.Verify(other.owner, Options{})
			}
			if !errors.Is(err, ErrWrongKey) {
				t.Errorf("%v", err)
			}
		})
		if _, err := os.Lstat(file); err == nil {
			t.Error("the backup has its name")
		}
	})
}

// If somebody renames a record in a large vault, no lookup finds it. It does not count as absent:
// a token would begin to count its uses again.
func TestARenamedRecordIsNotAbsent(t *testing.T) {
	v := newVictim(t)
	v.manyValues()
	var issued Issued
	v.do(func(s *Session) {
		scopes, err := tokens.ParseScopes("secrets:read:a/*")
		if err == nil {
			issued, err = s.IssueToken(TokenSpec{Scopes: scopes, Uses: 2})
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	read := func() error {
		opened, err := Open(v.path, v.opts)
		if err != nil {
			t.Fatal(err)
		}
		defer opened.Close()
		s, err := opened.Token(issued.Text)
		if err == nil {
			_, _, err = s.Get(v.p("a/K"), 0)
		}
		return err
	}
	if err := read(); err != nil {
		t.Fatal(err)
	}
	uses := v.take(bucketUses, []byte(issued.ID))
	v.remove(bucketUses, []byte(issued.ID))
	v.give(bucketUses, []byte("x"), uses)
	if err := read(); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), `uses/"x": MAC mismatch`) {
		t.Errorf("the token is used again: %v", err)
	}
}

// The log only grows: an act never writes over an entry, whatever the head says.
func TestNoEntryIsWrittenOver(t *testing.T) {
	v := newVictim(t)
	v.do(func(s *Session) {
		err := s.commit(func(t *tx) error {
			t.head.log.Seq = 4
			return t.log(audit.SecretRead, "secret", "a/K", nil)
		})
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "its audit log already has an entry 5") {
			t.Errorf("%v", err)
		}
	})
	if found := v.problems(); found != "" {
		t.Error(found)
	}
}

// A verification reads every page in use, also those of a bucket that no vault has.
func TestAVerificationReadsEveryPage(t *testing.T) {
	v := newVictim(t)
	var root uint64
	db, err := bbolt.Open(v.path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("y"))
		if err != nil {
			return err
		}
		return b.Put([]byte("x"), make([]byte, 2*bolt.PageSize)) // too much to lie within the page of its parent
	})
	err = errors.Join(err, db.View(func(tx *bbolt.Tx) error {
		root = uint64(tx.Bucket([]byte("y")).Root())
		return nil
	}))
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	v.do(func(s *Session) { v.set(s, "a/L", "more") }) // from now on, ass vouches for the list of free pages
	v.raw(func(b []byte) []byte { clear(b[root*bolt.PageSize:][:bolt.PageSize]); return b })
	v.do(func(s *Session) {
		if _, err := s.Verify(false); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(),
			fmt.Sprintf("page %d", root)) {
			t.Errorf("page %d is damaged, and the verification says: %v", root, err)
		}
	})
}

// A restore takes the log of a backup over as it is, and no digest covers the log. So an entry that
// somebody changed is found before the plan is shown, and again before the restore is done.
func TestRestoreChecksTheLogOfABackup(t *testing.T) {
	v := newVictim(t)
	file := v.backUp()
	if err := os.Remove(v.path); err != nil {
		t.Fatal(err)
	}
	plan, err := PlanRestore(v.path, file, v.owner, v.opts)
	if err != nil {
		t.Fatal(err)
	}
	copied := &victim{t: t, path: file, owner: v.owner}
	e := copied.take(bucketAudit, audit.Key(5))
	e[len(e)/2] ^= 1
	copied.give(bucketAudit, audit.Key(5), e)
	if _, err := PlanRestore(v.path, file, v.owner, v.opts); !errors.Is(err, ErrDamaged) ||
		!strings.Contains(err.Error(), "audit entry 5: MAC mismatch") {
		t.Errorf("the plan: %v", err)
	}
	if _, err := Restore(v.path, file, v.owner, plan, v.opts); !errors.Is(err, ErrDamaged) ||
		!strings.Contains(err.Error(), "audit entry 5: MAC mismatch") {
		t.Errorf("the restore: %v", err)
	}
	if _, err := os.Lstat(v.path); err == nil {
		t.Error("something was put in the vault's place")
	}
}
