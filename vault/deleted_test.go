package vault

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"ass/tokens"
)

// Storing a value at a deleted secret brings no deleted version back, to nobody: not to the owner,
// not to an agent that may read, and not to one that holds an approval from before.
func TestDeletedVersionsStayDeleted(t *testing.T) {
	c := newCompany(t)
	ask := func(who string, n uint64) (err error) {
		if herr := c.honest(who, func(s *Session) { _, _, err = s.Get(c.p("prod/app/HR"), n) }); herr != nil {
			t.Fatal(herr)
		}
		return err
	}
	var asked *ApprovalError
	if err := ask("reader", 1); !errors.As(err, &asked) {
		t.Fatal(err)
	}
	c.do(func(s *Session) {
		list, err := s.Requests()
		if err == nil {
			err = s.Approve(list)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	if err := ask("reader", 1); err != nil {
		t.Fatalf("it was approved: %v", err)
	}
	if err := ask("exact", 1); !errors.Is(err, ErrDenied) {
		t.Fatal(err)
	}
	if err := ask("owner's token", 1); err != nil {
		t.Fatal(err)
	}
	// The reader asks for the old version once more, with a request that is still pending later.
	c.insider("reader", func(s *Session, t *tx) error {
		_, _, err := s.requestOne(t, subject{RequestRead, c.p("prod/app/HR"), 1, tokens.Sensitive}, nil, true)
		return err
	})

	deleteAndSet := func(path string) {
		c.do(func(s *Session) {
			if _, _, err := s.Delete(c.p(path)); err != nil {
				t.Fatal(err)
			}
			c.put(s, path, 0)
		})
	}
	deleteAndSet("prod/app/HR")
	deleteAndSet("prod/app/DB")
	refused := func(what string, err error, path string, n uint64) {
		t.Helper()
		var deleted *DeletedError
		if !errors.As(err, &deleted) || !errors.Is(err, ErrNotFound) || deleted.Path != c.p(path) || deleted.Version != n {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("with an approval", ask("reader", 1), "prod/app/HR", 1)
	refused("with a token for its tier", ask("owner's token", 1), "prod/app/HR", 1)
	if err := ask("owner's token", 2); err != nil {
		t.Errorf("the new version: %v", err)
	}
	c.do(func(s *Session) {
		for n := uint64(1); n <= 2; n++ {
			_, _, err := s.Get(c.p("prod/app/DB"), n)
			refused("the owner's read", err, "prod/app/DB", n)
			_, _, err = s.Rollback(c.p("prod/app/DB"), n)
			refused("rolling back", err, "prod/app/DB", n)
		}
		list, err := s.Requests()
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range list {
			if q.Status == Pending {
				c.check("approving the old version", s.Approve([]Request{q}), ErrConflict, "asks for version 1, which was deleted")
				err = s.Deny([]Request{q}, "it was deleted")
			}
		}
		if err != nil {
			t.Error(err)
		}
		if _, err := s.Rekey(); err != nil { // a rewrite keeps it so
			t.Fatal(err)
		}
		_, _, err = s.Get(c.p("prod/app/DB"), 1)
		refused("after a rewrite", err, "prod/app/DB", 1)
		c.put(s, "prod/app/DB", 0)
		_, _, err = s.Get(c.p("prod/app/DB"), 1)
		refused("after another write", err, "prod/app/DB", 1)
		if _, _, err := s.Get(c.p("prod/app/DB"), 3); err != nil {
			t.Errorf("stored since: %v", err)
		}

		done, err := s.Restore(c.p("prod/app/DB"))
		if err != nil || done.From != 1 || done.To != 2 || done.DeletedTo != 0 || done.Version != 4 {
			t.Errorf("restored: %+v, %v", done, err)
		}
		if _, value, err := s.Get(c.p("prod/app/DB"), 1); err != nil || string(value) != marker+"prod/app/DB" {
			t.Errorf("restored: %q, %v", value, err)
		}
		_, err = s.Restore(c.p("prod/app/DB"))
		c.check("once more", err, ErrConflict, "is not deleted")
	})
	c.finds("")
}

// No writer can make a head by which the current version itself is deleted: nothing would be
// readable, and nothing would say why.
func TestAHeadThatDeletesItsCurrentVersionIsRefused(t *testing.T) {
	c := newCompany(t)
	c.insider("mallory", func(s *Session, t *tx) error {
		w, err := s.planWrite(t, c.p("prod/mine/M"), SetOptions{})
		if err != nil {
			return err
		}
		w.head.DeletedTo = w.head.Version
		_, err = s.write(t, c.p("prod/mine/M"), w, []byte("x"))
		return err
	})
	c.do(func(s *Session) {
		_, _, err := s.Get(c.p("prod/mine/M"), 0)
		c.check("reading it", err, ErrDamaged, "its current version was deleted before it was stored")
	})
	c.finds("its current version was deleted before it was stored")
}

// An insider who breaks the versions that were stored since makes an owner's revocation bring back none
// that was deleted.
func TestAMendedSecretBringsNoDeletedVersionBack(t *testing.T) {
	c := newCompany(t)
	p := c.p("prod/app/DB") // at v2
	c.do(func(s *Session) {
		if _, _, err := s.Delete(p); err != nil {
			t.Fatal(err)
		}
		c.put(s, "prod/app/DB", 0)
	})
	c.insider("mallory", func(_ *Session, t *tx) error { return insert(t, bucketVersions, versionKey(p, 3), []byte("x")) })
	c.do(func(s *Session) {
		n, err := s.RevokeAgent(c.id["mallory"], NarrowOptions{Lose: true})
		if err != nil || !slices.Contains(n.Mended, "prod/app/DB: the value of v2 is all that is left, and stays deleted, as v4") {
			t.Fatalf("%+v, %v", n, err)
		}
		var deleted *DeletedError
		for n := range uint64(5) {
			if _, _, err := s.Get(p, n); !errors.As(err, &deleted) {
				t.Errorf("version %d: %v", n, err)
			}
		}
		if done, err := s.Restore(p); err != nil || done.From != 4 || done.To != 4 || done.DeletedTo != 2 {
			t.Errorf("restored: %+v, %v", done, err)
		}
		if _, value, err := s.Get(p, 0); err != nil || string(value) != marker+"prod/app/DB" {
			t.Errorf("restored: %q, %v", value, err)
		}
	})
	c.finds("")
}

// An insider puts a junk record in the place of a secret's. Revoking it brings no deleted version back, whether the log
// tells of the deletion or was archived.
func TestAMendedSecretKeepsWhatIsDeleted(t *testing.T) {
	t.Parallel()
	const db = "prod/app/DB"
	for name, x := range map[string]struct {
		do   func(s *Session, c *company) error
		then uint64 // versions up to this number are deleted
	}{
		"stored again": {func(s *Session, c *company) error {
			_, _, err := s.Delete(c.p(db))
			c.put(s, db, 0)
			return err
		}, 2},
		"stored again, and archived": {func(s *Session, c *company) error {
			_, _, err := s.Delete(c.p(db))
			c.put(s, db, 0)
			_, aerr := s.ArchiveLog(filepath.Join(c.t.TempDir(), "log"), time.Now().Add(time.Second), false)
			return errors.Join(err, aerr)
		}, 2},
		"stored again, and deleted and restored": {func(s *Session, c *company) error {
			_, _, err := s.Delete(c.p(db))
			c.put(s, db, 0)
			_, _, again := s.Delete(c.p(db))
			_, rerr := s.Restore(c.p(db))
			return errors.Join(err, again, rerr)
		}, 2},
		"stored again, and restored": {func(s *Session, c *company) error {
			_, _, err := s.Delete(c.p(db))
			c.put(s, db, 0)
			_, rerr := s.Restore(c.p(db))
			return errors.Join(err, rerr)
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			c.do(func(s *Session) {
				if err := x.do(s, c); err != nil {
					t.Fatal(err)
				}
			})
			c.insider("mallory", func(_ *Session, t *tx) error {
				return t.put(bucketSecrets, []byte(db), true, secretBody{Seq: 1, ID: "x", Version: 3, Tier: 1, Type: DefaultType})
			})
			c.do(func(s *Session) {
				if _, err := s.RevokeAgent("mallory", NarrowOptions{}); err != nil {
					t.Fatal(err)
				}
				for n := uint64(1); n <= 4; n++ {
					var deleted *DeletedError
					if _, _, err := s.Get(c.p(db), n); errors.As(err, &deleted) != (n <= x.then) {
						t.Errorf("version %d: %v", n, err)
					}
				}
				if _, err := s.Rekey(); err != nil {
					t.Error(err)
				}
			})
			c.finds("")
		})
	}
}
