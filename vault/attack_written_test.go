package vault

import (
	"errors"
	"os"
	"strings"
	"testing"

	"ass/audit"
	"ass/tokens"
)

// What an insider writes at a place where it may write, and what it then claims about that.

// nextVersion writes a value as the next version of a secret, as somebody who may write there, but says what
// change makes it say.
func nextVersion(c *company, s *Session, t *tx, path, value string, change func(*versionBody)) error {
	var h secretBody
	if err := bodyOf(t, bucketSecrets, []byte(path), &h); err != nil {
		return err
	}
	h.Version, h.Seq, h.UpdatedAt = h.Version+1, t.seq(), t.now
	body := versionBody{Seq: t.seq(), Tier: h.Tier, Author: t.by.id, CreatedAt: t.now}
	change(&body)
	return errors.Join(s.writeVersion(t, c.p(path), h.Version, body, []byte(value)), t.put(bucketSecrets, []byte(path), true, h),
		t.log(audit.SecretUpdated, "secret", path, map[string]any{"version": h.Version, "tier": h.Tier, "type": h.Type}))
}

// A version names whoever signed it as its author. Only the owner signs values of others.
func TestNobodyClaimsAnotherAuthor(t *testing.T) {
	const path = "prod/mine/M"
	c := newCompany(t)
	c.insider("mallory", func(s *Session, t *tx) error {
		return nextVersion(c, s, t, path, "evil", func(b *versionBody) { b.Author = audit.Owner })
	})
	c.do(func(s *Session) {
		_, _, err := s.Get(c.p(path), 0)
		c.check("the value", err, ErrDamaged, `names "owner" as its author`)
		_, err = s.Rekey()
		c.check("a rewrite", err, ErrDamaged, path)
	})
	c.finds(`names "owner" as its author`)
}

// After a rewrite, the author of an old version cannot sign another value under its number.
func TestNobodySignsAnewWhatWasRewritten(t *testing.T) {
	const path = "prod/mine/M"
	c := newCompany(t)
	if err := c.honest("mallory", func(s *Session) {
		if _, _, err := s.Set(c.p(path), []byte("https://good.example"), SetOptions{}); err != nil {
			t.Fatal(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	rekey(c)
	c.insider("mallory", func(s *Session, t *tx) error {
		var body versionBody
		if err := bodyOf(t, bucketVersions, versionKey(c.p(path), 2), &body); err != nil {
			return err
		}
		return s.writeVersion(t, c.p(path), 2, body, []byte("https://evil.example"))
	})
	c.finds(path + " version 2: ")
	c.do(func(s *Session) {
		_, err := s.Rekey()
		c.check("a rewrite, which would sign it", err, ErrDamaged, path+" version 2")
		n, err := s.RevokeAgent("mallory", NarrowOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, got, err := s.Get(c.p(path), 0); err != nil || string(got) != marker+path {
			t.Errorf("it is now %q, %v; mended: %q", got, err, n.Mended)
		}
	})
	c.finds("")
}

// A request about something that is damaged hides no other request, and cannot be approved.
func TestADamagedRequestHidesNoOther(t *testing.T) {
	for name, x := range map[string]struct {
		damage func(*company, *Session, *tx) error
		doubt  string
	}{
		"its secret's record does not hold": {func(c *company, s *Session, t *tx) error {
			_, _, err := s.requestOne(t, subject{RequestRead, c.p("prod/mine/CRIT"), 1, tokens.Critical}, nil, true)
			return errors.Join(err, t.put(bucketSecrets, []byte("prod/mine/CRIT"), true, junk))
		}, `"prod/mine/CRIT"`},
		"the record of its agent does not hold": {func(c *company, s *Session, t *tx) error {
			_, _, err := s.requestOne(t, subject{RequestRead, c.p("prod/mine/CRIT"), 1, tokens.Critical}, nil, true)
			return errors.Join(err, t.put(bucketAgents, []byte(c.id["mallory"]), true, junk))
		}, ""}, // then it is not listed
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			c.ask("reader", "prod/app/CARD")
			c.insider("mallory", func(s *Session, t *tx) error { return x.damage(c, s, t) })
			c.do(func(s *Session) {
				list, err := s.Requests()
				if err != nil || x.doubt != "" && len(list) != 2 || len(list) == 0 {
					t.Fatalf("%d requests, %v", len(list), err)
				}
				for _, q := range list {
					if q.Path != c.p("prod/mine/CRIT") {
						if err := s.Approve([]Request{q}); err != nil {
							t.Errorf("the honest request: %v", err)
						}
					} else if x.doubt != "" {
						if q.Doubt == nil || !strings.Contains(q.Doubt.Error(), x.doubt) {
							t.Errorf("its doubt is %v", q.Doubt)
						}
						c.check("it was approved", s.Approve([]Request{q}), ErrDamaged, x.doubt)
						if err := s.Deny([]Request{q}, "no"); err != nil {
							t.Errorf("it cannot be denied: %v", err)
						}
					}
				}
			})
		})
	}
}

// A salvage prefers what its author signed: every member of the epoch can make a MAC.
func TestASalvageBelievesSignatures(t *testing.T) {
	c := newCompany(t)
	c.do(func(s *Session) { c.put(s, "prod/app/X", 0) })
	c.insider("mallory", func(_ *Session, t *tx) error {
		k := versionKey(c.p("prod/app/X"), 1)
		var body versionBody
		if err := bodyOf(t, bucketVersions, k, &body); err != nil {
			return err
		}
		body.Seq++
		return t.put(bucketVersions, k, true, body) // by mallory, who may not
	})
	to := t.TempDir() + "/out.db"
	r, err := Salvage(c.path, to, c.owner, Options{})
	if err != nil {
		t.Fatal(err)
	}
	c.path = to
	c.do(func(s *Session) {
		if _, got, err := s.Get(c.p("prod/app/X"), 0); err != nil || string(got) != marker+"prod/app/X" {
			t.Errorf("it is %q, %v; lost: %q", got, err, r.Lost)
		}
	})
}

// If an insider leaves a wrong key for the next entry, the MACs of all later entries of the epoch are wrong. Their
// signatures still hold, so what they tell counts, and the next epoch has right keys again.
func TestAWrongNextKey(t *testing.T) {
	c := newCompany(t)
	c.insider("mallory", func(_ *Session, t *tx) error { t.head.log.Key = [32]byte{1}; return nil })
	c.do(func(s *Session) {
		for range 3 {
			c.put(s, "dev/K", 0)
		}
	})
	const found = "MAC mismatch, but the author signed it in this place"
	if problems := c.problems(); strings.Count(problems, found) != 1 || strings.Contains(problems, "dev/K") {
		t.Errorf("the verification found:\n%s", problems)
	}
	c.do(func(s *Session) {
		loss := &LossError{}
		if _, err := s.RevokeAgent("mallory", NarrowOptions{}); !errors.As(err, &loss) || len(loss.Lost) > 0 {
			t.Errorf("the owner is asked about %+v", loss)
		}
		n, err := s.RevokeAgent("mallory", NarrowOptions{Lose: true})
		if err != nil || len(n.LeftBehind)+len(n.Mended) > 0 {
			t.Errorf("it left out %q and mended %q, %v", n.LeftBehind, n.Mended, err)
		}
		c.put(s, "dev/K", 0)
	})
	c.keptAll()
	if problems := c.problems(); strings.Count(problems, "\n") > 0 || !strings.Contains(problems, found) {
		t.Errorf("after the revocation, the verification found:\n%s", problems)
	}
	c.insider("reader", func(_ *Session, t *tx) error { // a false entry behind a wrong key is not believed
		t.head.log.Key = [32]byte{1}
		me := t.by
		defer func() { t.by = me }()
		t.by.id = audit.Owner
		return t.log(audit.SecretPurged, "secret", "dev/K", nil)
	})
	c.finds("MAC mismatch")
	c.keptAll()
}

// The log says what was written: nobody puts another value under the number of one that was used.
func TestNoValueIsSwapped(t *testing.T) {
	t.Parallel()
	const path, db = "prod/mine/M", "prod/app/DB"
	swap := func(c *company) {
		c.insider("mallory", func(s *Session, t *tx) error {
			var body versionBody
			if err := bodyOf(t, bucketVersions, versionKey(c.p(path), 2), &body); err != nil {
				return err
			}
			return s.writeVersion(t, c.p(path), 2, body, []byte("https://good.example"))
		})
	}
	honest := func(c *company, do func(*Session) error) {
		var err error
		if kerr := c.honest("mallory", func(s *Session) { err = do(s) }); errors.Join(kerr, err) != nil {
			t.Fatal(kerr, err)
		}
	}
	const found = path + " version 2: its content is not what the log says was written"
	for name, write := range map[string]func(c *company){
		"that was set": func(c *company) {
			honest(c, func(s *Session) error { _, _, err := s.Set(c.p(path), []byte("evil"), SetOptions{}); return err })
		},
		"that was imported": func(c *company) {
			honest(c, func(s *Session) error {
				_, err := s.Import(c.p(path).Namespace(), []Item{{Key: "M", Value: []byte("evil")}}, ImportOptions{})
				return err
			})
		},
		"that was rolled back": func(c *company) {
			honest(c, func(s *Session) error { _, _, err := s.Set(c.p(path), []byte("evil"), SetOptions{}); return err })
			honest(c, func(s *Session) error { _, _, err := s.Rollback(c.p(path), 1); return err })
		},
		"of which no sum was told": func(c *company) {
			c.insider("mallory", func(s *Session, t *tx) error {
				err := nextVersion(c, s, t, path, "evil", func(*versionBody) {})
				return err
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			write(c)
			if name != "of which no sum was told" {
				c.finds("")
			}
			swap(c)
			c.finds(found)
			c.do(func(s *Session) {
				_, err := s.Rekey()
				c.check("a rewrite, which would sign it", err, ErrDamaged, found)
			})
		})
	}
	t.Run("after an archive and a verification's note", func(t *testing.T) {
		c := newCompany(t)
		honest(c, func(s *Session) error { _, _, err := s.Set(c.p(path), []byte("evil"), SetOptions{}); return err })
		(&victim{c.t, c.path, c.owner, c.opts}).archive()
		c.finds("")
		swap(c)
		c.finds(found)
	})
	t.Run("of which no sum was told, after an archive", func(t *testing.T) {
		c := newCompany(t)
		(&victim{c.t, c.path, c.owner, c.opts}).archive()
		c.insider("mallory", func(s *Session, t *tx) error { return nextVersion(c, s, t, path, "evil", func(*versionBody) {}) })
		swap(c)
		c.finds(found)
	})
	t.Run("what the owner sealed anew before an archive holds", func(t *testing.T) {
		c := newCompany(t)
		v := &victim{c.t, c.path, c.owner, c.opts}
		again := func(name string) {
			c.do(func(s *Session) {
				if _, _, err := s.CreateAgent(AgentSpec{Name: name, Scopes: c.scopes("secrets:read:prod/other/*")}); err != nil {
					t.Fatal(err)
				}
				if _, _, err := s.Set(c.p("prod/app/CARD"), []byte("x"), SetOptions{Tier: tokens.Standard}); err != nil {
					t.Fatal(err)
				}
			})
		}
		again("new")
		backup := v.backUp()
		again("newer")
		v.archive()
		c.finds("")
		v.restore(backup) // its checkpoint is later than the log that goes on
		c.finds("")
	})
	t.Run("what the owner sealed anew holds", func(t *testing.T) {
		c := newCompany(t)
		c.do(func(s *Session) { // opens up prod/other/W, and lowers a tier
			if _, _, err := s.CreateAgent(AgentSpec{Name: "new", Scopes: c.scopes("secrets:read:prod/other/*")}); err != nil {
				t.Fatal(err)
			}
			if _, _, err := s.Set(c.p("prod/app/CARD"), []byte("x"), SetOptions{Tier: tokens.Standard}); err != nil {
				t.Fatal(err)
			}
		})
		c.finds("")
		c.do(func(s *Session) {
			if _, err := s.Rekey(); err != nil {
				t.Error(err)
			}
		})
		c.finds("")
	})
	t.Run("of another branch", func(t *testing.T) { // somebody put an earlier file back, and went on from there
		c := newCompany(t)
		raw, err := os.ReadFile(c.path)
		if err != nil {
			t.Fatal(err)
		}
		set := func(value string) {
			c.do(func(s *Session) {
				if _, _, err := s.Set(c.p(db), []byte(value), SetOptions{}); err != nil {
					t.Fatal(err)
				}
			})
		}
		set("value of the discarded branch")
		head, version := c.take(bucketSecrets, []byte(db)), c.take(bucketVersions, versionKey(c.p(db), 3))
		if err := os.WriteFile(c.path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		c.opts.MemoryDir = t.TempDir()
		set("value of the branch that counts")
		c.insider("mallory", func(_ *Session, t *tx) error {
			return errors.Join(insert(t, bucketSecrets, []byte(db), head), insert(t, bucketVersions, versionKey(c.p(db), 3), version))
		})
		c.finds(db + " version 3: its content is not what the log says was written")
	})
}
