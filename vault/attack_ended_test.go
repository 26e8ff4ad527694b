package vault

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/keys"
)

// The attacker of these tests has a token that has ended, and kept the keys that its grant gave it. It needs no
// grant any more, and runs no check of the program.

// keptKeys are what the holder of a token keeps.
type keptKeys struct {
	c      *company
	secret keys.Key
	id     string
	g      grant
	scopes tokens.Scopes
}

// keepKeys opens the grant of a token once. The token must be live.
func keepKeys(c *company, text string) (k keptKeys) {
	parsed, err := tokens.ParseToken(text)
	if err != nil {
		c.t.Fatal(err)
	}
	k = keptKeys{c: c, secret: parsed.Signature, scopes: parsed.Scopes}
	c.open(func(v *Vault) {
		s, g, err := v.granteeSession(parsed.Signature, audit.Token)
		if err != nil {
			c.t.Fatal(err)
		}
		k.id, k.g = s.by.id, clone(c, g)
	})
	return k
}

// clone copies a grant, so that closing the vault wipes another one.
func clone(c *company, g grant) (own grant) {
	b, err := json.Marshal(g)
	if err == nil {
		err = json.Unmarshal(b, &own)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return own
}

func (k keptKeys) commit(fn func(*Session, *tx) error) (err error) {
	k.c.open(func(v *Vault) {
		to, g := keys.NewGrantee(k.secret), clone(k.c, k.g)
		s := &Session{v: v, by: actor{id: k.id, kind: audit.Token, sign: to.Sign},
			epoch: keys.NewEpoch(v.vid, g.Epoch, keys.Key(g.MK), newestFormat), batches: newBatches(nil), ring: g.ring(), pub: g.OwnerPub,
			grantee: &grantee{Grantee: to, secret: k.secret, agent: k.id, scopes: k.scopes}}
		err = s.commit(func(t *tx) error { return fn(s, t) })
	})
	return err
}

var errLeaveNoTrace = errors.New("leave no trace")

func (k keptKeys) read(path string) (value string, err error) {
	err = k.commit(func(s *Session, t *tx) error {
		head, err := t.secretHead(k.c.p(path))
		if err != nil {
			return err
		}
		_, b, err := s.readVersion(t, k.c.p(path), head.Version)
		value = string(b)
		return errors.Join(err, errLeaveNoTrace)
	})
	if errors.Is(err, errLeaveNoTrace) {
		err = nil
	}
	return value, err
}

func (k keptKeys) write(path, value string) error {
	return k.commit(func(s *Session, t *tx) error {
		w, err := s.planWrite(t, k.c.p(path), SetOptions{})
		if err != nil {
			return err
		}
		_, err = s.write(t, k.c.p(path), w, []byte(value))
		return err
	})
}

// After a token has ended, what it writes is found, its requests cannot be approved, and the owner can end it
// for good.
func TestAnEndedTokenIsEnded(t *testing.T) {
	t.Parallel()
	const db, hr = "prod/app/DB", "prod/app/HR"
	owners := func(c *company, spec TokenSpec) (got Issued) {
		c.do(func(s *Session) {
			var err error
			if got, err = s.IssueToken(spec); err != nil {
				c.t.Fatal(err)
			}
		})
		return got
	}
	agents := func(c *company, spec TokenSpec) (got Issued) {
		if err := c.honest("mallory", func(s *Session) {
			var err error
			if got, err = s.IssueToken(spec); err != nil {
				c.t.Fatal(err)
			}
		}); err != nil {
			c.t.Fatal(err)
		}
		return got
	}
	itself := func(c *company, as string, id string) {
		if err := c.honest(as, func(s *Session) {
			if _, _, err := s.RevokeToken(id, NarrowOptions{}); err != nil {
				c.t.Fatal(err)
			}
		}); err != nil {
			c.t.Fatal(err)
		}
	}
	for name, x := range map[string]struct {
		issue  func(*company, TokenSpec) Issued
		scopes string
		uses   uint64
		end    func(c *company, id string)
		writes string
	}{
		"it gave itself up": {owners, "secrets:*:prod/app/*", 0, func(c *company, id string) { itself(c, "x", id) }, db},
		"its agent took it back": {agents, "secrets:*:prod/mine/*", 0, func(c *company, id string) { itself(c, "mallory", id) },
			"prod/mine/M"},
		"its time is over": {owners, "secrets:*:prod/app/*", 0, func(c *company, _ string) {
			c.opts.Now = func() time.Time { return time.Now().Add(2 * time.Hour) }
			c.do(func(s *Session) { c.put(s, "dev/K", 0) })
		}, db},
		"its uses are used up": {owners, "secrets:*:prod/app/*", 1, func(c *company, _ string) {
			if _, err := c.read("x", "prod/app/DB"); err != nil {
				c.t.Fatal(err)
			}
		}, db},
		"its secret was deleted": {owners, "secrets:*:prod/app/DB", 0, func(c *company, _ string) {
			c.do(func(s *Session) {
				if _, _, err := s.Delete(c.p("prod/app/DB")); err != nil {
					c.t.Fatal(err)
				}
			})
		}, db},
		"its secret was deleted by an agent": {owners, "secrets:*:prod/app/DB", 0, func(c *company, _ string) {
			if err := c.honest("deleter", func(s *Session) {
				if _, _, err := s.Delete(c.p("prod/app/DB")); err != nil {
					c.t.Fatal(err)
				}
			}); err != nil {
				c.t.Fatal(err)
			}
		}, db},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			got := x.issue(c, TokenSpec{Scopes: c.scopes(x.scopes), TTL: time.Hour, Uses: x.uses})
			c.text["x"], c.id["x"] = got.Text, got.ID
			kept := keepKeys(c, got.Text)
			var asked bool
			if strings.HasPrefix(x.scopes, "secrets:*:prod/app/*") && x.uses == 0 {
				c.ask("x", hr)
				asked = true
			}
			x.end(c, got.ID)
			c.finds("")
			if asked {
				c.check("its request, approved", c.approve(), ErrConflict, "deny it")
			}
			if err := kept.write(x.writes, "https://evil.example"); err != nil {
				t.Fatalf("the attack itself: %v", err)
			}
			c.finds("by token " + got.ID + ", which had ")
			c.do(func(s *Session) {
				_, err := s.Rekey() // which would sign it
				c.check("a rewrite", err, ErrDamaged, x.writes)
				n, rewritten, err := s.RevokeToken(got.ID, NarrowOptions{})
				if err != nil || !rewritten {
					t.Fatalf("the owner ends it for good: %v, %v", rewritten, err)
				}
				if len(n.LeftBehind) == 0 {
					t.Error("what it wrote behind its end is still there")
				}
				if !strings.Contains(name, "deleted") {
					if _, now, err := s.Get(c.p(x.writes), 0); err != nil || string(now) != marker+x.writes {
						t.Errorf("%s is now %q, %v", x.writes, now, err)
					}
				}
				c.put(s, "prod/app/LATER", 0)
				_, _, err = s.RevokeToken(got.ID, NarrowOptions{})
				c.check("it is ended again", err, ErrConflict, "opens nothing")
			})
			if value, err := kept.read("prod/app/LATER"); err == nil {
				t.Errorf("it reads %q", value)
			}
			c.finds("by token " + got.ID) // the entry stays
		})
	}
	t.Run("its own entry is dated after its time", func(t *testing.T) { // and the owner has made none since
		c := newCompany(t)
		got := owners(c, TokenSpec{Scopes: c.scopes("secrets:*:prod/app/*"), TTL: time.Hour})
		kept := keepKeys(c, got.Text)
		c.opts.Now = func() time.Time { return time.Now().Add(2 * time.Hour) }
		if err := kept.write(db, "https://evil.example"); err != nil {
			t.Fatal(err)
		}
		c.finds("by token " + got.ID + ", which had expired")
		c.finds(db)
	})
	t.Run("what it asks for is not provided", func(t *testing.T) {
		c := newCompany(t)
		got := owners(c, TokenSpec{Scopes: c.scopes("secrets:*:prod/app/*"), TTL: time.Hour})
		c.text["x"], c.id["x"] = got.Text, got.ID
		if err := c.honest("x", func(s *Session) { _, _ = s.Ask(c.p("prod/app/NEW")) }); err != nil {
			t.Fatal(err)
		}
		itself(c, "x", got.ID)
		c.do(func(s *Session) {
			list, err := s.Requests()
			if err != nil || len(list) != 1 {
				t.Fatalf("%d requests, %v", len(list), err)
			}
			c.check("it was provided", s.Provide(list[0], []byte("x")), ErrConflict, "deny it")
		})
	})
	t.Run("the owner revokes one that is not known", func(t *testing.T) {
		c := newCompany(t)
		c.do(func(s *Session) {
			for _, id := range []string{"x", "0f8fad5b-d9cb-469f-a165-70867728950e"} {
				_, _, err := s.RevokeToken(id, NarrowOptions{})
				c.check(id, err, ErrUnknown, "no token "+id)
			}
		})
	})
	t.Run("others cannot end a token", func(t *testing.T) { // an agent's entry dated 2099, or a revocation by no issuer
		c := newCompany(t)
		c.insider("mallory", func(_ *Session, t *tx) error {
			was := t.now
			t.now = t.now.AddDate(70, 0, 0)
			err := t.log(audit.SecretRead, "secret", "prod/mine/M", nil)
			t.now = was
			return errors.Join(err, t.log(audit.TokenRevoked, "token", c.id["owner's token"], nil))
		})
		if err := c.honest("owner's token", func(s *Session) { c.put(s, db, 0) }); err != nil {
			t.Fatal(err)
		}
		found := c.problems()
		if strings.Contains(found, "which had ended") || !strings.Contains(found, "who did not issue it") {
			t.Errorf("the verification found:\n%s", found)
		}
	})
}

// The owner compacts the file, or archives the log, when a token has expired by the owner's clock. That removes no
// grant, so a token whose clock is slow goes on, and what it writes counts.
func TestCopyingTheFileEndsNoToken(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]func(c *company, s *Session) error{
		"compact": func(_ *company, s *Session) error { return s.Compact("") },
		"archive": func(c *company, s *Session) error {
			_, err := s.ArchiveLog(filepath.Join(c.t.TempDir(), "log"), time.Now().Add(time.Minute), false)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			c.do(func(s *Session) {
				got, err := s.IssueToken(TokenSpec{Scopes: c.scopes("secrets:*:prod/app/*"), TTL: time.Hour})
				if err != nil {
					t.Fatal(err)
				}
				c.text["slow"] = got.Text
			})
			slow := c.opts.Now
			c.opts.Now = func() time.Time { return time.Now().Add(2 * time.Hour) }
			c.do(func(s *Session) {
				if err := act(c, s); err != nil {
					t.Fatal(err)
				}
			})
			c.opts.Now = slow
			if err := c.honest("slow", func(s *Session) { c.put(s, "prod/app/DB", 0) }); err != nil {
				t.Fatal(err)
			}
			c.finds("")
			c.keptAll()
		})
	}
}
