package vault

import (
	"errors"
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
