package vault

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/bolt"
	"ass/vault/internal/keys"
)

// widerToken makes the token "forged". An agent signs it, and its claims name scopes that
// reach further than the agent's.
func widerToken(c *company, issuer, scopes string) {
	c.insider(issuer, func(s *Session, t *tx) error {
		claims := tokens.Claims{
			Vault: c.vid, Issuer: c.id[issuer], ID: "11111111-2222-4333-8444-555555555555",
			Issued: t.now.Truncate(time.Second), Expires: t.now.Truncate(time.Second).Add(time.Hour), Scopes: c.scopes(scopes),
		}
		return forgeToken(c, s, t, claims, claims.ID)
	})
}

// forgeToken writes the record and the grant of a token at an id. The grant has all nodes
// of the issuer.
func forgeToken(c *company, s *Session, t *tx, claims tokens.Claims, at string) error {
	signed, err := claims.HeaderPayload()
	if err != nil {
		return err
	}
	k := keys.TokenKey(s.grantee.secret, claims.ID)
	secret := tokens.Signature(signed, k)
	to := keys.NewGrantee(secret)
	g := grant{Epoch: s.epoch.N, MK: s.epoch.MAC[:], OwnerPub: s.pub, Nodes: []grantNode{}, JWTKey: k[:]}
	for _, n := range s.ring.Nodes {
		g.Nodes = append(g.Nodes, grantNode{n.Tier, n.Kind, n.Path, n.Key[:]})
	}
	c.secret["forged"], c.id["forged"], c.text["forged"] = secret, at, tokens.TokenText(signed, secret)
	body := tokenBody{Seq: t.seq(), HeaderPayload: signed, Index: to.Index[:], Pub: public(to.Sign)}
	issued := Issued{claims, c.text["forged"]}
	return errors.Join(t.putGrant(to, at, g), t.put(bucketTokens, []byte(at), true, body), t.log(audit.TokenIssued,
		"token", at, issued.logged()))
}

// A token that an agent forges reaches no further than the agent, before and after a
// rewrite renews the token. The forged record does not keep the owner from revoking.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	second := func(t *tx) time.Time { return t.now.Truncate(time.Second) }
	for name, attack := range map[string]struct {
		scopes string
		change func(*company, *tx, *tokens.Claims) (at string)
		finds  string
		works  bool // it reads what its issuer may read
	}{
		"wider scopes": {"secrets:*:*", nil, "its scopes exceed those of its issuer", true},
		"issued by the owner": {"secrets:*:*", func(c *company, _ *tx, claims *tokens.Claims) string {
			claims.Issuer = audit.Owner
			return claims.ID
		}, "its claims are not ones that its issuer may issue for this vault", false},
		"issued by another agent": {"secrets:*:prod/app/*", func(c *company, _ *tx, claims *tokens.Claims) string {
			claims.Issuer = c.id["reader"]
			return claims.ID
		}, "its claims are not ones that its issuer may issue for this vault", false},
		"another tier": {"secrets:*:prod/mine/*", func(_ *company, _ *tx, claims *tokens.Claims) string {
			claims.Tier = tokens.Sensitive
			return claims.ID
		}, "its claims are not ones that its issuer may issue for this vault", false},
		"of another id": {"secrets:*:prod/mine/*", func(*company, *tx,
			*tokens.Claims) string {
			return "11111111-2222-4333-8444-666666666666"
		},
			"its claims are not ones that its issuer may issue for this vault", false},
		"with the owner's id": {"secrets:*:prod/mine/*", func(_ *company, _ *tx, claims *tokens.Claims) string {
			claims.ID = audit.Owner
			return claims.ID
		}, "it is not a valid record of issuing a token", false},
		"with an agent's id": {"secrets:*:prod/mine/*", func(c *company, _ *tx, claims *tokens.Claims) string {
			claims.ID = c.id["reader"]
			return claims.ID
		}, "it is not a valid record of issuing a token", false},
		"with the id of another token": {"secrets:*:prod/mine/*", func(c *company, _ *tx, claims *tokens.Claims) string {
			claims.ID = c.id["owner's token"]
			return claims.ID
		}, "it is not a valid record of issuing a token", true},
		"from the future": {"secrets:*:prod/mine/*", func(_ *company, t *tx, claims *tokens.Claims) string {
			claims.Issued, claims.Expires = second(t).AddDate(50, 0, 0), second(t).AddDate(50, 0, 1)
			return claims.ID
		}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			widerWith := func(s *Session, t *tx) error {
				claims := tokens.Claims{
					Vault: c.vid, Issuer: c.id["mallory"], ID: "11111111-2222-4333-8444-555555555555",
					Issued: second(t), Expires: second(t).Add(time.Hour), Scopes: c.scopes(attack.scopes),
				}
				at := claims.ID
				if attack.change != nil {
					at = attack.change(c, t, &claims)
				}
				return forgeToken(c, s, t, claims, at)
			}
			c.insider("mallory", widerWith)
			c.finds(attack.finds)
			use := func(when string) {
				t.Helper()
				if got, err := c.read("forged", "prod/app/DB"); err == nil || strings.Contains(got, marker) {
					t.Errorf("%s it reads %q", when, got)
				}
				if got, err := c.read("forged", "prod/mine/M"); attack.works != (err == nil) {
					t.Errorf("%s it reads what its issuer may: %q, %v", when, got, err)
				}
			}
			use("before a rewrite")
			if testing.Short() {
				return // the rewrites take most of a second
			}
			c.do(func(s *Session) {
				if _, err := s.RevokeAgent("deleter", NarrowOptions{Lose: true}); err != nil {
					t.Fatalf("it keeps the owner from revoking an agent: %v", err)
				}
			})
			if name == "with the id of another token" {
				attack.works = false // the log tells of the other one
			}
			use("after a rewrite")
			c.open(func(v *Vault) {
				_, g, err := v.granteeSession(c.secret["forged"], audit.Token)
				if err != nil {
					return // the rewrite dropped it
				}
				for _, n := range g.Nodes {
					if n.Tier != tokens.Standard || !strings.HasPrefix(n.Path, "prod/mine") {
						t.Errorf("the rewrite gave it %s %s", n.Tier, n.Path)
					}
				}
			})
			c.do(func(s *Session) {
				if _, err := s.RevokeAgent("mallory", NarrowOptions{Lose: true}); err != nil {
					t.Errorf("mallory cannot be revoked: %v", err)
				}
			})
			if got, err := c.read("forged", "prod/mine/M"); err == nil {
				t.Errorf("after its issuer's revocation it reads %q", got)
			}
		})
	}
}

// The secret of a token is its signature. If any claim is changed, the token opens
// nothing. The claims must be those of the record in the vault.
func TestChangedTokens(t *testing.T) {
	c := newCompany(t)
	other := newCompany(t)
	good, err := tokens.ParseToken(c.text["reader's token"])
	if err != nil {
		t.Fatal(err)
	}
	changed := func(change func(*tokens.Claims), sign func(signed string) [32]byte) string {
		claims := good.Claims
		change(&claims)
		signed, err := claims.HeaderPayload()
		if err != nil {
			t.Fatal(err)
		}
		return tokens.TokenText(signed, sign(signed))
	}
	payload := strings.Split(good.Signed, ".")[1]
	headed := func(header string) string {
		return tokens.TokenText(base64.RawURLEncoding.EncodeToString([]byte(header))+"."+payload, good.Signature)
	}
	asIt := func(*tokens.Claims) {}
	old := func(string) [32]byte { return good.Signature }
	by := func(k keys.Key) func(string) [32]byte {
		return func(signed string) [32]byte { return tokens.Signature(signed, k) }
	}
	const altered, nothing, form = "signature is invalid", "opens nothing", "it is not a token of ass"
	for name, attack := range map[string]struct{ text, says string }{
		"scope": {changed(func(c *tokens.Claims) {
			c.Scopes = append(c.Scopes,
				other.scopes("secrets:*:*")...)
		}, old), altered},
		"exp":                 {changed(func(c *tokens.Claims) { c.Expires = c.Issued.Add(24 * time.Hour) }, old), altered},
		"iat":                 {changed(func(c *tokens.Claims) { c.Issued = c.Issued.Add(time.Second) }, old), altered},
		"uses":                {changed(func(c *tokens.Claims) { c.Uses = 1000 }, old), altered},
		"sub":                 {changed(func(c *tokens.Claims) { c.Issuer = audit.Owner }, old), altered},
		"tier":                {changed(func(c *tokens.Claims) { c.Tier = tokens.Critical }, old), altered},
		"jti":                 {changed(func(d *tokens.Claims) { d.ID = c.id["owner's token"] }, old), altered},
		"ips":                 {changed(func(c *tokens.Claims) { c.IPs, _ = tokens.ParseIPs("0.0.0.0/0") }, old), altered},
		"iss":                 {changed(func(c *tokens.Claims) { c.Vault[0] ^= 1 }, old), "belongs to another vault"},
		"exp, out of bounds":  {changed(func(c *tokens.Claims) { c.Expires = c.Issued.Add(48 * time.Hour) }, old), form},
		"a wrong key":         {changed(asIt, by(keys.Key{1})), nothing},
		"the issuer's secret": {changed(asIt, by(c.secret["reader"])), nothing},
		"another issuer":      {changed(asIt, by(keys.TokenKey(c.secret["mallory"], good.ID))), nothing},
		"its issuer, wider": {changed(func(c *tokens.Claims) { c.Scopes = other.scopes("secrets:read:prod/app/*") },
			by(keys.TokenKey(c.secret["reader"], good.ID))), nothing},
		"alg none":           {headed(`{"alg":"none","typ":"JWT"}`), form},
		"alg none, unsigned": {strings.TrimSuffix(headed(`{"alg":"none","typ":"JWT"}`), good.Signed), form},
		"alg HS384":          {headed(`{"alg":"HS384","typ":"JWT"}`), form},
		"another header":     {headed(`{"typ":"JWT","alg":"HS256"}`), form},
		"no signature":       {good.Signed + ".", form},
		"a second payload":   {good.Signed + "." + c.text["reader's token"], form},
	} {
		t.Run(name, func(t *testing.T) {
			c.open(func(v *Vault) {
				if s, err := v.Token(attack.text); err == nil || !strings.Contains(err.Error(), attack.says) {
					t.Errorf("%v, %v\nwant … %s …", s, err, attack.says)
				}
			})
		})
	}
	t.Run("another vault", func(t *testing.T) {
		foreign := newVictim(t)
		foreign.do(func(s *Session) {
			if _, err := s.v.Token(c.text["reader's token"]); !errors.Is(err, ErrWrongKey) || !strings.Contains(err.Error(),
				"belongs to another vault") {
				t.Errorf("%v", err)
			}
			if _, err := s.v.Agent(tokens.AgentKey{Secret: c.secret["reader"], Vault: [4]byte(c.vid[:4])}); !errors.Is(err,
				ErrWrongKey) || !strings.Contains(err.Error(), "belongs to another vault") {
				t.Errorf("%v", err)
			}
			if _, err := s.v.Agent(tokens.AgentKey{Secret: c.secret["reader"],
				Vault: [4]byte(s.epoch.Vault[:4])}); !errors.Is(err, ErrWrongKey) || !strings.Contains(err.Error(), nothing) {
				t.Errorf("%v", err)
			}
		})
	})
	if _, err := c.read("reader's token", "prod/app/deep/K"); err != nil {
		t.Errorf("the token itself: %v", err)
	}
}

// An agent that signs two tokens with one id cannot use one of them by the record of the other.
func TestATokenIsNotItsRecord(t *testing.T) {
	c := newCompany(t)
	c.insider("mallory", func(s *Session, t *tx) error {
		now := t.now.Truncate(time.Second)
		narrow := tokens.Claims{Vault: c.vid, Issuer: c.id["mallory"], ID: "11111111-2222-4333-8444-555555555555",
			Issued: now, Expires: now.Add(time.Minute), Scopes: c.scopes("secrets:read:prod/mine/M")}
		wide := narrow
		wide.Expires = now.Add(time.Hour)
		err := forgeToken(c, s, t, wide, wide.ID)
		var body tokenBody
		err = errors.Join(err, bodyOf(t, bucketTokens, []byte(wide.ID), &body))
		signed, serr := narrow.HeaderPayload()
		body.HeaderPayload = signed
		return errors.Join(err, serr, t.put(bucketTokens, []byte(wide.ID), true, body))
	})
	got, err := c.read("forged", "prod/mine/M")
	c.check("the token reads "+got, err, ErrDamaged, "it does not match this token")
}

// A token whose grant an insider broke is refused as damaged.
func TestATokenWithABrokenGrant(t *testing.T) {
	c := newCompany(t)
	to := keys.NewGrantee(c.secret["reader's token"])
	c.insider("mallory", func(_ *Session, t *tx) error { return t.put(bucketGrants, to.Index[:], true, junk) })
	got, err := c.read("reader's token", "prod/app/deep/K")
	c.check("the token reads "+got, err, ErrDamaged, "grant")

	// A page that cannot be read does not pass for a token that was revoked.
	c.victim.raw(func(b []byte) []byte {
		for page := b[2*bolt.PageSize:]; len(page) > 0; page = page[bolt.PageSize:] {
			if bytes.Contains(page[:bolt.PageSize], to.Index[:]) {
				clear(page[:16])
			}
		}
		return b
	})
	got, err = c.read("reader's token", "prod/app/deep/K")
	c.check("from a damaged page, the token reads "+got, err, ErrDamaged, "a page of the file is damaged")
}

// A token is dead until whoever asked for it has stored it.
func TestTokenIsKeptFirst(t *testing.T) {
	v := newVictim(t)
	full := errors.New("the disk is full")
	var text string
	scopes, err := tokens.ParseScopes("secrets:read:a/*")
	if err != nil {
		t.Fatal(err)
	}
	spec := TokenSpec{Scopes: scopes, Keep: func(s string) error { text = s; return full }}
	tokensNow := func() (n int) {
		v.do(func(s *Session) {
			list, err := s.Tokens()
			if err != nil {
				t.Fatal(err)
			}
			n = len(list)
		})
		return n
	}
	before := tokensNow()
	v.do(func(s *Session) {
		if _, err := s.IssueToken(spec); !errors.Is(err, full) {
			t.Errorf("a token that was not stored: %v", err)
		}
	})
	if n := tokensNow(); n != before {
		t.Errorf("there are %d tokens instead of %d", n, before)
	}
	opened, err := Open(v.path, v.opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := opened.Token(text); !errors.Is(err, ErrWrongKey) {
		t.Errorf("it opens the vault: %v", err)
	}
	if err := opened.Close(); err != nil {
		t.Fatal(err)
	}
	spec.Keep = func(s string) error { text = s; return nil }
	v.do(func(s *Session) {
		issued, err := s.IssueToken(spec)
		if err != nil || issued.Text != text {
			t.Errorf("another token was stored than issued: %v", err)
		}
	})
}
