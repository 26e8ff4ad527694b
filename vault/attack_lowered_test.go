package vault

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"ass/audit"
	"ass/tokens"
)

// The attacker of these tests removes the records of a critical secret, so that the owner's next write makes a standard
// one of it, which the attacker can read.

func removed(c *company, path string, versions uint64) func(*Session, *tx) error {
	return func(_ *Session, t *tx) error {
		err := insert(t, bucketSecrets, []byte(path), nil)
		for n := range versions {
			err = errors.Join(err, insert(t, bucketVersions, versionKey(c.p(path), n+1), nil))
		}
		return err
	}
}

// makeLarge stores so many secrets that commands no longer check the digest every time.
func (v *victim) makeLarge(s *Session) {
	v.t.Helper()
	items := make([]Item, smallVault)
	for i := range items {
		items[i] = Item{Key: fmt.Sprintf("K%d", i), Value: []byte("x")}
	}
	if _, err := s.Import(v.p("b/K").Namespace(), items, ImportOptions{}); err != nil {
		v.t.Fatal(err)
	}
}

func TestRemovingRecordsLowersNothing(t *testing.T) {
	const card, crit = "prod/app/CARD", "prod/mine/CRIT"
	forged := func(event, path, tier string) func(*company, *Session, *tx) error {
		return func(_ *company, _ *Session, t *tx) error {
			me := t.by
			defer func() { t.by = me }()
			t.by.id, t.by.kind = audit.Owner, audit.Human
			return t.log(event, "secret", path, map[string]any{"version": 1, "tier": tier})
		}
	}
	for name, x := range map[string]struct {
		by, path string
		then     func(*company, *Session, *tx) error // besides
	}{
		"an agent that reads":    {"reader", card, nil},
		"an agent that may all":  {"mallory", crit, nil},
		"with a forged purge":    {"reader", card, forged(audit.SecretPurged, card, "")},
		"with a forged lowering": {"reader", card, forged(audit.SecretUpdated, card, "standard")},
		"with an entry of its own": {"mallory", crit, func(_ *company, _ *Session, t *tx) error {
			return t.log(audit.SecretUpdated, "secret", crit, map[string]any{"version": 2, "tier": "standard"})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			c.insider(x.by, func(s *Session, t *tx) error {
				err := removed(c, x.path, 1)(s, t)
				if x.then != nil {
					err = errors.Join(err, x.then(c, s, t))
				}
				return err
			})
			c.do(func(s *Session) {
				_, _, err := s.Set(c.p(x.path), []byte("new"), SetOptions{})
				c.check("it was set", err, ErrDamaged, "critical")
				_, err = s.Import(c.p(x.path).Namespace(), []Item{{Key: "OTHER", Value: []byte("x")}, {Key: c.p(x.path).Key(), Value: []byte("new")}},
					ImportOptions{})
				c.check("it was imported", err, ErrDamaged, "critical")
				if _, _, err := s.Set(c.p(x.path), []byte("new"), SetOptions{Tier: tokens.Critical}); err != nil {
					t.Errorf("with its tier, it cannot be set: %v", err)
				}
			})
			got, err := c.read(x.by, x.path)
			c.check(x.by+" reads "+got, err, ErrApproval, "")
		})
	}
	t.Run("records of its own in their place", func(t *testing.T) { // A head by another does not say which tier the owner had given
		c := newCompany(t)
		c.insider("mallory", func(s *Session, t *tx) error {
			var h secretBody
			if err := bodyOf(t, bucketSecrets, []byte(crit), &h); err != nil {
				return err
			}
			h.Tier = tokens.Standard
			body := versionBody{Seq: h.Seq, Tier: tokens.Standard, Author: t.by.id, CreatedAt: h.UpdatedAt}
			return errors.Join(insert(t, bucketVersions, versionKey(c.p(crit), 1), nil),
				s.writeVersion(t, c.p(crit), 1, body, []byte("x")), t.put(bucketSecrets, []byte(crit), true, h))
		})
		c.do(func(s *Session) {
			now, _, err := s.Set(c.p(crit), []byte("ROTATED"), SetOptions{Rotate: true})
			if err != nil || now.Tier != tokens.Critical {
				t.Errorf("the owner's next value is %s, %v", now.Tier, err)
			}
		})
		got, err := c.read("mallory", crit)
		c.check("mallory reads "+got, err, ErrApproval, "")
	})
	t.Run("with an editor, from a large vault", func(t *testing.T) { // no key, and no digest that every command checks
		v := newVictim(t)
		v.do(func(s *Session) {
			v.set(s, "a/CARD", "1234")
			if _, _, err := s.Set(v.p("a/CARD"), []byte("1234"), SetOptions{Tier: tokens.Critical}); err != nil {
				t.Fatal(err)
			}
			v.makeLarge(s)
		})
		v.edit(func(b func(string) *bbolt.Bucket) {
			_ = b(bucketSecrets).Delete([]byte("a/CARD"))
			for n := range uint64(2) {
				_ = b(bucketVersions).Delete(versionKey(v.p("a/CARD"), n+1))
			}
		})
		v.do(func(s *Session) {
			_, _, err := s.Set(v.p("a/CARD"), []byte("5678"), SetOptions{})
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("it was set: %v", err)
			}
		})
	})
	for name, damage := range map[string]func(b *bbolt.Bucket, seq uint64) error{ // the entry that tells of the tier
		"with its entry missing": func(b *bbolt.Bucket, seq uint64) error { return b.Delete(audit.Key(seq)) },
		"with its entry altered": func(b *bbolt.Bucket, seq uint64) error { return b.Put(audit.Key(seq), []byte(`"secret.`)) },
		"with the beginning of the log missing": func(b *bbolt.Bucket, seq uint64) (err error) {
			for n := range seq {
				err = errors.Join(err, b.Delete(audit.Key(n+1)))
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t)
			v.do(func(s *Session) {
				v.set(s, "a/K", "x")
				if _, _, err := s.Set(v.p("a/CARD"), []byte("1234"), SetOptions{Tier: tokens.Critical}); err != nil {
					t.Fatal(err)
				}
				v.makeLarge(s)
				v.set(s, "b/K0", "y")
			})
			v.edit(func(b func(string) *bbolt.Bucket) {
				_ = b(bucketSecrets).Delete([]byte("a/CARD"))
				_ = b(bucketVersions).Delete(versionKey(v.p("a/CARD"), 1))
				tells := uint64(0)
				_ = b(bucketAudit).ForEach(func(k, v []byte) error {
					if bytes.Contains(v, []byte(`"a/CARD"`)) {
						tells = audit.Seq(k)
					}
					return nil
				})
				if err := damage(b(bucketAudit), tells); err != nil || tells == 0 {
					t.Fatal(tells, err)
				}
			})
			v.do(func(s *Session) {
				if _, _, err := s.Set(v.p("a/CARD"), []byte("5678"), SetOptions{}); !errors.Is(err, ErrDamaged) {
					t.Errorf("it was set: %v", err)
				}
				if _, _, err := s.Set(v.p("a/K"), []byte("y"), SetOptions{}); err != nil {
					t.Errorf("what the owner wrote last needs no look: %v", err)
				}
			})
		})
	}
}

// A secret that is rightly gone can be created anew.
func TestWhatIsRightlyGone(t *testing.T) {
	v := newVictim(t)
	again := func(what, path string) {
		t.Helper()
		v.do(func(s *Session) {
			now, _, err := s.Set(v.p(path), []byte("new"), SetOptions{})
			if err != nil || now.Tier != tokens.Standard {
				t.Errorf("%s: %s, %v", what, now.Tier, err)
			}
		})
	}
	critical := func(path string) {
		t.Helper()
		v.do(func(s *Session) {
			if _, _, err := s.Set(v.p(path), []byte("1234"), SetOptions{Tier: tokens.Critical}); err != nil {
				t.Fatal(err)
			}
		})
	}
	critical("a/PURGED")
	v.do(func(s *Session) {
		if _, err := s.Purge(v.p("a/PURGED")); err != nil {
			t.Fatal(err)
		}
	})
	again("purged", "a/PURGED")
	backup := v.backUp()
	critical("a/LATER")
	v.restore(backup)
	again("newer than the backup that was restored", "a/LATER")
	critical("a/ARCHIVED")
	v.do(func(s *Session) {
		if _, err := s.Purge(v.p("a/ARCHIVED")); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ArchiveLog(filepath.Join(t.TempDir(), "log"), time.Now().Add(time.Hour), false); err != nil {
			t.Fatal(err)
		}
	})
	again("purged and archived", "a/ARCHIVED")
}
