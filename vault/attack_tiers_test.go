package vault

import (
	"errors"
	"testing"

	"ass/audit"
	"ass/tokens"
)

// statement returns the stored statement of a tier; nil if there is none.
func (c *company) statement(path string) (v []byte) {
	c.open(func(vt *Vault) {
		var err error
		if v, err = vt.db.Get(bucketTiers, []byte(path)); err != nil {
			c.t.Fatal(err)
		}
	})
	return v
}

// writtenByBoth makes a secret that the owner made critical, mallory wrote with an approval, and the owner wrote once
// more, so that there is a statement of its tier; then mallory writes it again.
func writtenByBoth(t *testing.T) *company {
	const crit = "prod/mine/CRIT"
	c := newCompany(t)
	hers := func() {
		if err := c.honest("mallory", func(s *Session) {
			set := func() error { _, _, err := s.Set(c.p(crit), []byte("hers"), SetOptions{}); return err }
			if err := set(); !errors.Is(err, ErrApproval) {
				t.Fatal(err)
			}
		}); err != nil {
			t.Fatal(err)
		}
		if err := c.approve(); err != nil {
			t.Fatal(err)
		}
		if err := c.honest("mallory", func(s *Session) {
			if _, _, err := s.Set(c.p(crit), []byte("hers"), SetOptions{}); err != nil {
				t.Fatal(err)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	hers()
	c.do(func(s *Session) { c.put(s, crit, 0) })
	hers()
	if c.statement(crit) == nil {
		t.Fatal("there is no statement")
	}
	c.finds("")
	return c
}

// The owner states the tier of a secret that another wrote last. With what an insider removes, or puts back, singly and in
// pairs, the owner's next write lowers nothing, and nobody reads more than before.
func TestStatementsOfTiers(t *testing.T) {
	t.Parallel()
	const crit = "prod/mine/CRIT"
	lower := func(s *Session, t *tx) error { // a head of hers that says that it is a standard secret
		var h secretBody
		if err := bodyOf(t, bucketSecrets, []byte(crit), &h); err != nil {
			return err
		}
		h.Tier = tokens.Standard
		return t.put(bucketSecrets, []byte(crit), true, h)
	}
	versions := func(c *company, t *tx) (err error) {
		for n := range uint64(9) {
			err = errors.Join(err, insert(t, bucketVersions, versionKey(c.p(crit), n+1), nil))
		}
		return err
	}
	ownVersion := func(c *company, s *Session, t *tx) error {
		var h secretBody
		if err := bodyOf(t, bucketSecrets, []byte(crit), &h); err != nil {
			return err
		}
		return s.writeVersion(t, c.p(crit), h.Version, t.newVersion(tokens.Standard), []byte("x"))
	}
	for name, attack := range map[string]func(*company, *Session, *tx) error{
		"the statement removed": func(_ *company, _ *Session, t *tx) error { return insert(t, bucketTiers, []byte(crit), nil) },
		"a lower head":          func(_ *company, s *Session, t *tx) error { return lower(s, t) },
		"a lower head, and lower versions": func(c *company, s *Session, t *tx) error {
			return errors.Join(lower(s, t), versions(c, t), ownVersion(c, s, t))
		},
		"the statement removed, and a lower head": func(c *company, s *Session, t *tx) error {
			return errors.Join(lower(s, t), insert(t, bucketTiers, []byte(crit), nil))
		},
		"the statement removed, a lower head and lower versions": func(c *company, s *Session, t *tx) error {
			return errors.Join(lower(s, t), versions(c, t), ownVersion(c, s, t), insert(t, bucketTiers, []byte(crit), nil))
		},
		"a statement of hers": func(c *company, s *Session, t *tx) error {
			return errors.Join(lower(s, t), t.put(bucketTiers, []byte(crit), true, tierBody{t.seq(), tokens.Standard}))
		},
		"a statement in the owner's name": func(c *company, s *Session, t *tx) error {
			me := t.by
			defer func() { t.by = me }()
			t.by.id = audit.Owner
			return t.put(bucketTiers, []byte(crit), true, tierBody{t.seq(), tokens.Standard})
		},
		"the statement of another secret": func(c *company, s *Session, t *tx) error {
			v, err := t.get(bucketTiers, []byte(crit))
			return errors.Join(err, insert(t, bucketTiers, []byte("prod/mine/M"), v))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := writtenByBoth(t)
			c.insider("mallory", func(s *Session, t *tx) error { return attack(c, s, t) })
			c.do(func(s *Session) {
				now, _, err := s.Set(c.p(crit), []byte("ROTATED"), SetOptions{})
				if err == nil && now.Tier != tokens.Critical || err != nil && !errors.Is(err, ErrDamaged) {
					t.Errorf("the owner's next value is %s, %v", now.Tier, err)
				}
			})
			if got, err := c.read("mallory", crit); err == nil || got == "ROTATED" {
				t.Errorf("mallory reads %q, %v", got, err)
			}
		})
	}
	t.Run("an older one put back", func(t *testing.T) { // it is never lower, and verify names it
		c := writtenByBoth(t)
		old := c.statement(crit)
		c.do(func(s *Session) {
			if now, _, err := s.Set(c.p(crit), []byte("x"), SetOptions{Tier: tokens.Standard}); err != nil || now.Tier != tokens.Standard {
				t.Fatalf("it is lowered: %s, %v", now.Tier, err)
			}
		})
		c.finds("")
		if string(c.statement(crit)) == string(old) {
			t.Fatal("lowering left the older statement")
		}
		c.insider("mallory", func(_ *Session, t *tx) error { return insert(t, bucketTiers, []byte(crit), old) })
		c.finds("it states critical, but the owner's newest log entry about the secret says standard: an old statement was put back")
	})
	t.Run("with the secret removed", func(t *testing.T) { // then the statement says so, without a look
		c := writtenByBoth(t)
		c.insider("mallory", func(_ *Session, t *tx) error {
			return errors.Join(insert(t, bucketSecrets, []byte(crit), nil), versions(c, t))
		})
		c.do(func(s *Session) {
			_, _, err := s.Set(c.p(crit), []byte("new"), SetOptions{})
			c.check("it is set", err, ErrDamaged, "though the owner has stated its tier (critical)")
		})
	})
	t.Run("in the next epoch", func(t *testing.T) { // the owner signs every head, so none is left
		c := writtenByBoth(t)
		c.do(func(s *Session) {
			if _, err := s.Rekey(); err != nil {
				t.Fatal(err)
			}
		})
		if c.statement(crit) != nil {
			t.Error("a rewrite kept a statement")
		}
		c.finds("")
	})
	t.Run("an agent believes it", func(t *testing.T) {
		c := writtenByBoth(t)
		c.insider("mallory", func(s *Session, t *tx) error { return errors.Join(lower(s, t), versions(c, t), ownVersion(c, s, t)) })
		if err := c.honest("mallory", func(s *Session) {
			_, _, err := s.Set(c.p(crit), []byte("x"), SetOptions{})
			c.check("an honest program writes for her", err, ErrApproval, "")
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// An import states tiers as every other write by the owner does: where another wrote last, and where it lowers one.
func TestAnImportStatesTiers(t *testing.T) {
	const crit = "prod/mine/CRIT"
	c := writtenByBoth(t)
	into := func(o ImportOptions) {
		t.Helper()
		c.do(func(s *Session) {
			p := c.p(crit)
			if _, err := s.Import(p.Namespace(), []Item{{Key: p.Key(), Value: []byte("imported")}}, o); err != nil {
				t.Fatal(err)
			}
		})
		c.finds("")
	}
	c.insider("mallory", func(_ *Session, t *tx) error { return insert(t, bucketTiers, []byte(crit), nil) })
	into(ImportOptions{})
	if c.statement(crit) == nil {
		t.Error("an import where another wrote last states no tier")
	}
	into(ImportOptions{Tier: tokens.Standard})
	c.do(func(s *Session) {
		if now, _, err := s.Set(c.p(crit), []byte("x"), SetOptions{}); err != nil || now.Tier != tokens.Standard {
			t.Errorf("after an import lowered it, it is %s, %v", now.Tier, err)
		}
	})
}

// An insider puts its own head, with a lower tier, in the place of the owner's. The owner signs it in no act that
// writes no value: then the next value would have that tier.
func TestTheOwnerSignsNoLoweredHead(t *testing.T) {
	const crit = "prod/mine/CRIT"
	for name, act := range map[string]func(c *company, s *Session) error{
		"describe": func(c *company, s *Session) error {
			_, _, err := s.Describe(c.p(crit), func(x *About) { x.Description = "x" })
			return err
		},
		"delete": func(c *company, s *Session) error { _, _, err := s.Delete(c.p(crit)); return err },
		"delete several": func(c *company, s *Session) error {
			_, _, err := s.DeleteAll([]tokens.Path{c.p("prod/mine/M"), c.p(crit)})
			return err
		},
		"restore": func(c *company, s *Session) error { _, err := s.Restore(c.p(crit)); return err },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			if name == "restore" {
				c.do(func(s *Session) {
					_, _, err := s.Delete(c.p(crit))
					c.must(err)
				})
			}
			c.insider("mallory", func(s *Session, t *tx) error {
				var h secretBody
				if err := bodyOf(t, bucketSecrets, []byte(crit), &h); err != nil {
					return err
				}
				h.Tier = tokens.Standard
				return errors.Join(insert(t, bucketVersions, versionKey(c.p(crit), h.Version), nil),
					s.writeVersion(t, c.p(crit), h.Version, t.newVersion(tokens.Standard), []byte("x")),
					t.put(bucketSecrets, []byte(crit), true, h))
			})
			c.do(func(s *Session) {
				c.check("the act", act(c, s), ErrDamaged, "its record says standard, but it is critical: store a value anew")
				now, _, err := s.Set(c.p(crit), []byte("new"), SetOptions{})
				if err != nil || now.Tier != tokens.Critical {
					t.Errorf("the owner's next value is %s, %v", now.Tier, err)
				}
				if err := act(c, s); err != nil && name != "restore" {
					t.Errorf("then the act: %v", err)
				}
			})
		})
	}
}
