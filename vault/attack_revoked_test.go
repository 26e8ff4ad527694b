package vault

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/keys"
)

// The attackers of these tests are two: an agent that was revoked, or whose key was replaced,
// and an insider who has the keys of the new epoch and acts for the first.
func TestARevokedKeyStaysRevoked(t *testing.T) {
	const db = "prod/app/DB"
	as := func(c *company, who string) actor {
		return actor{c.id[who], audit.Agent, keys.NewGrantee(c.secret[who]).Sign}
	}
	revoked := func(who string) func(*company, *Session) error {
		return func(_ *company, s *Session) error { _, err := s.RevokeAgent(who, NarrowOptions{}); return err }
	}
	// granted gives the old key of exact a grant.
	granted := func(c *company, s *Session, t *tx) error {
		return regrant(s, t, keys.NewGrantee(c.secret["exact"]), c.id["exact"], func(*grant) {})
	}
	for name, attack := range map[string]struct {
		end         func(*company, *Session) error
		do          func(*company, *Session, *tx) error // by the reader
		who         string                              // reads afterwards
		says, finds string
	}{
		"a value that it signs": {revoked("writer"), func(c *company, s *Session, t *tx) error {
			t.by = as(c, "writer")
			body := versionBody{Seq: t.seq(), Tier: tokens.Standard, Author: t.by.id, CreatedAt: t.now}
			return errors.Join(s.writeVersion(t, c.p(db), 2, body, []byte("mine")),
				t.log(audit.SecretUpdated, "secret", db, map[string]any{"version": 2, "tier": tokens.Standard}))
		}, "reader", "is unknown", db + " version 2: its author"},
		"a grant for it": {revoked("exact"), granted, "exact", "it does not match the key that opens its grant",
			"it is revoked but still has a grant"},
		"a grant for its old key": {func(_ *company, s *Session) error {
			_, _, err := s.RotateAgentKey("exact", NarrowOptions{})
			return err
		}, granted, "exact", "it does not match the key that opens its grant", "it is not where the grant of"},
		"a token that it issues": {revoked("exact"), func(c *company, s *Session, t *tx) error {
			t.by = as(c, "exact")
			issuer := *s
			issuer.grantee = &grantee{Grantee: s.grantee.Grantee, secret: c.secret["exact"]}
			now := t.now.Truncate(time.Second)
			return forgeToken(c, &issuer, t, tokens.Claims{Vault: c.vid, Issuer: c.id["exact"],
				ID: "11111111-2222-4333-8444-555555555555", Issued: now, Expires: now.Add(time.Hour),
				Scopes: c.scopes("secrets:read:" + db)}, "11111111-2222-4333-8444-555555555555")
		}, "forged", "is unknown", `tokens/"11111111`},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			c.do(func(s *Session) {
				if err := attack.end(c, s); err != nil {
					t.Fatal(err)
				}
			})
			c.insider("reader", func(s *Session, t *tx) error { return attack.do(c, s, t) })
			got, err := c.read(attack.who, db)
			c.check(attack.who+" reads "+got, err, ErrDamaged, attack.says)
			c.finds(attack.finds)
		})
	}
}

// A token is worth nothing without its issuer. When an agent is revoked, its tokens are left
// out of the new file. In a file where they are not, they are refused.
func TestATokenEndsWithItsIssuer(t *testing.T) {
	c := newCompany(t)
	rekey(c) // so that the owner has signed the token
	c.do(func(s *Session) {
		err := s.commit(func(t *tx) error {
			body, err := t.agent(c.id["reader"])
			body.RevokedAt, body.Seq = &t.now, t.seq()
			return errors.Join(err, agentKind.put(t, []byte(c.id["reader"]), body), t.log(audit.AgentRevoked, "agent",
				c.id["reader"], nil))
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	got, err := c.read("reader's token", "prod/app/deep/K")
	c.check("the token reads "+got, err, ErrWrongKey, "which issued this token, was revoked")
}

// A rewrite gives new grants to the tokens that are in order, and to no others.
func TestARewriteEndsTokens(t *testing.T) {
	const who = "mallory's token"
	record := func(change func(*company, *tokenBody)) func(*company) {
		return func(c *company) {
			c.insider("mallory", func(_ *Session, t *tx) error {
				var body tokenBody
				err := bodyOf(t, bucketTokens, []byte(c.id[who]), &body)
				change(c, &body)
				return errors.Join(err, t.put(bucketTokens, []byte(c.id[who]), true, body))
			})
		}
	}
	for name, before := range map[string]func(*company){
		"with the grant of another": record(func(c *company, b *tokenBody) {
			other := keys.NewGrantee(c.secret["reader"]).Index
			b.Index = other[:]
		}),
		"with another key": record(func(_ *company, b *tokenBody) { b.Pub = bytes.Repeat([]byte{1}, 32) }),
		"that its issuer revoked": func(c *company) {
			_ = c.honest("mallory", func(s *Session) {
				if _, _, err := s.RevokeToken(c.id[who], NarrowOptions{}); err != nil {
					c.t.Fatal(err)
				}
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			before(c)
			rekey(c)
			c.finds("")
			_, err := c.read(who, "prod/mine/M")
			c.check("the token", err, ErrWrongKey, "opens nothing")
			c.do(func(s *Session) {
				list, err := s.Tokens()
				if err != nil || slices.ContainsFunc(list, func(i TokenInfo) bool { return i.ID == c.id[who] }) {
					t.Errorf("it is listed among %d, %v", len(list), err)
				}
			})
		})
	}
	t.Run("whose issuer's record an insider broke", func(t *testing.T) {
		c := newCompany(t)
		rekey(c)
		c.insider("mallory", func(_ *Session, t *tx) error { return t.put(bucketAgents, []byte(c.id["reader"]), true, junk) })
		c.do(func(s *Session) {
			if _, err := s.RevokeAgent("mallory", NarrowOptions{}); err != nil {
				t.Errorf("it keeps the owner from revoking: %v", err)
			}
		})
	})
}

// What a rewrite leaves behind, it names: to its caller, and in the log. It leaves nothing
// behind, unless it takes away a right of somebody who may have put it there.
func TestWhatARewriteLeavesBehind(t *testing.T) {
	want := []string{`agents/"agt_00000000"`, "prod/mine/Y version 1", `the record of "K"`, `the record of "prod/mine/M"`,
		`the record of "prod/mine/X"`, `versions/"K"`}
	for name, act := range map[string]func(*company, *Session) error{
		"an agent is revoked": func(_ *company, s *Session) error {
			n, err := s.RevokeAgent("mallory", NarrowOptions{})
			if slices.Sort(n.LeftBehind); !slices.Equal(n.LeftBehind, want) {
				t.Errorf("it says that it left behind %q", n.LeftBehind)
			}
			return err
		},
		"a key is replaced": func(_ *company, s *Session) error {
			_, _, err := s.RotateAgentKey("mallory", NarrowOptions{})
			return err
		},
		"a token is revoked": func(c *company, s *Session) error {
			_, _, err := s.RevokeToken(c.id["mallory's token"], NarrowOptions{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			c.insider("mallory", func(_ *Session, t *tx) error {
				version := versionKey(c.p("prod/mine/Y"), 1)
				return errors.Join(t.put(bucketSecrets, []byte("K"), true, junk), t.put(bucketVersions, []byte("K"), true, junk),
					t.put(bucketSecrets, []byte("prod/mine/X"), true, junk), t.put(bucketVersions, version, true, junk),
					t.put(bucketSecrets, []byte("prod/mine/M"), true, junk),
					t.put(bucketAgents, []byte("agt_00000000"), true, junk))
			})
			c.do(func(s *Session) {
				if _, err := s.Rekey(); !errors.Is(err, ErrDamaged) {
					t.Errorf("an act that takes no right away: %v", err)
				}
				if err := act(c, s); err != nil {
					t.Fatal(err)
				}
				entries, err := s.Log(3, nil)
				if err != nil || len(entries) != 3 {
					t.Fatalf("%d entries, %v", len(entries), err)
				}
				i := slices.IndexFunc(entries, func(e Entry) bool { return e.Event.Type == audit.VaultRewritten })
				left := audit.Texts(entries[max(i, 0)].Event.Metadata["left_behind"])
				if slices.Sort(left); !slices.Equal(left, want) {
					t.Errorf("the log says that it left behind %q", left)
				}
			})
			c.finds("")
			for name, value := range map[string]string{"prod/mine/M": marker + "prod/mine/M", "prod/app/DB": marker + "prod/app/DB"} {
				c.do(func(s *Session) {
					if _, got, err := s.Get(c.p(name), 0); string(got) != value || err != nil {
						t.Errorf("%s is now %q, %v", name, got, err)
					}
				})
			}
		})
	}
}
