package vault

import (
	"errors"
	"time"

	"github.com/google/uuid"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/fault"
	"ass/vault/internal/keys"
)

// tokenBody is the record of a token, keyed by its id. The issuer signs it. It keeps
// header.payload of the JWT, from which the owner recomputes the JWT's signature.
// That signature is the token's secret.
type tokenBody struct {
	Seq           uint64 `json:"seq"`    // Number of the log entry of the issue.
	HeaderPayload string `json:"signed"` // The token without its signature, which no vault stores.
	Index         []byte `json:"index"`  // Bucket key of its grant.
	Pub           []byte `json:"pub"`    // Ed25519 key that verifies what the token signs.
}

// TokenSpec describes a token to issue.
type TokenSpec struct {
	Scopes tokens.Scopes
	TTL    time.Duration // 0 means [tokens.DefaultTTL]
	Uses   uint64        // 0 means any number
	IPs    tokens.IPs
	Tier   tokens.Tier // the highest that it reads without approval; 0 means standard
	Unlock bool        // the owner means to use it, in place of a key with a passphrase; the log says so

	// Keep, if set, gets the token before it is live. If Keep fails, no token is issued. If issuing
	// fails after that, the token is dead.
	Keep func(text string) error
}

// Issued is a new token with its text, which the vault does not keep.
type Issued struct {
	tokens.Claims
	Text string
}

// TokenInfo describes a token without its secret.
type TokenInfo struct {
	tokens.Claims
	IssuerName string // of the agent that issued it; "" for the owner
	Used       uint64
	LastUsedAt *time.Time
	State      string // active, expired, used up, revoked
}

// States of a token.
const (
	TokenActive  = "active"
	TokenExpired = "expired"
	TokenUsedUp  = "used up"
	TokenRevoked = "revoked"
)

// IssueToken issues a token with no more rights than the session has. The owner
// and agents can issue tokens. A token cannot: [ErrDenied]. The cost does not depend
// on the size of the vault.
func (s *Session) IssueToken(spec TokenSpec) (Issued, error) {
	if spec.TTL == 0 {
		spec.TTL = tokens.DefaultTTL
	}
	if spec.Tier == 0 {
		spec.Tier = tokens.Standard
	}
	var issued Issued
	err := s.update(func(t *tx) error {
		if err := s.mayIssue(t, spec); err != nil {
			return err
		}
		now := t.now.Truncate(time.Second)
		c := tokens.Claims{
			Vault: t.Epoch.Vault, Issuer: s.by.id, ID: t.newID().String(), Issued: now, Expires: now.Add(spec.TTL),
			Scopes: spec.Scopes, Uses: spec.Uses, IPs: spec.IPs,
		}
		if spec.Tier > tokens.Standard {
			c.Tier = spec.Tier
		}
		var err error
		if issued, err = s.issue(t, c); err != nil {
			return err
		}
		if spec.Keep != nil {
			if err := spec.Keep(issued.Text); err != nil {
				return err
			}
		}
		note := issued.logged()
		if spec.Unlock && s.isOwner() {
			note["unlock"] = true
		}
		return t.log(audit.TokenIssued, "token", c.ID, note)
	})
	if err != nil {
		return Issued{}, err
	}
	return issued, nil
}

func (s *Session) mayIssue(t *tx, spec TokenSpec) error {
	refuse := func(why, format string, args ...any) error {
		return &refusal{fault.New(ErrDenied, format, args...), audit.TokenIssued, s.by.id, why}
	}
	if _, err := s.admit(t, audit.TokenIssued, s.by.id); err != nil {
		return err
	}
	switch {
	case spec.Tier > tokens.Sensitive:
		return &tokens.SyntaxError{What: "tier", Problem: "a token reads the standard tier or, if the owner issued it, the " +
			"sensitive one; a critical secret needs approval each time"}
	case s.isOwner():
		return nil
	case s.grantee.claims != nil:
		return refuse("token", "a token cannot issue tokens; ask %s for one", s.grantee.agent)
	case spec.Tier > tokens.Standard:
		return refuse("tier", "only the owner can issue a token that reads the %s tier without approval", spec.Tier)
	}
	for _, scope := range spec.Scopes {
		if !s.grantee.scopes.Contain(scope) {
			return refuse("scope", "%s may not issue a token for %s: its own scopes (%s) do not cover it", s.Who(), scope,
				s.grantee.scopes)
		}
	}
	return nil
}

// issue writes the record and the grant of a token.
func (s *Session) issue(t *tx, c tokens.Claims) (Issued, error) {
	signed, err := c.HeaderPayload()
	if err == nil { // issue no token that cannot be parsed again
		_, err = tokens.ParseToken(tokens.TokenText(signed, [32]byte{}))
	}
	if err != nil {
		return Issued{}, &tokens.SyntaxError{What: "token", Problem: "its scopes, lifetime or addresses are invalid"}
	}
	var k keys.Key
	if s.isOwner() {
		k = s.root.OwnerTokenKey(c.ID)
	} else {
		k = keys.TokenKey(s.grantee.secret, c.ID)
	}
	secret := tokens.Signature(signed, k)
	to := keys.NewGrantee(secret)
	g, nodes, err := s.newGrant(c.Scopes, max(c.Tier, tokens.Standard))
	if err != nil {
		return Issued{}, err
	}
	g.JWTKey = k[:]
	if s.isOwner() {
		err = s.openUp(t, nodes)
	} else {
		g.Files, err = s.filesBelow(t, nodes)
	}
	if err != nil {
		return Issued{}, err
	}
	if err := t.putGrant(to, c.ID, g); err != nil {
		return Issued{}, err
	}
	body := tokenBody{Seq: t.seq(), HeaderPayload: signed, Index: to.Index[:], Pub: public(to.Sign)}
	if err := tokenKind.put(t, []byte(c.ID), body); err != nil {
		return Issued{}, err
	}
	t.lapsesAt(c.Expires)
	return Issued{c, tokens.TokenText(signed, secret)}, nil
}

// logged returns what the log says of a token: its claims and the public key that
// verifies its own entries, but not its secret.
func (i Issued) logged() map[string]any {
	token, _ := tokens.ParseToken(i.Text)
	m := map[string]any{
		"scopes": i.Scopes.Strings(), "expires_at": i.Expires.Format(time.RFC3339),
		"public_key": []byte(public(keys.NewGrantee(token.Signature).Sign)),
	}
	if i.Uses > 0 {
		m["max_uses"] = i.Uses
	}
	if len(i.IPs) > 0 {
		m["ip_allowlist"] = i.IPs.Strings()
	}
	if i.Tier > 0 {
		m["tier"] = i.Tier
	}
	return m
}

// token reads the record of a token and its claims. Only the owner, or the issuer
// that the claims name, can have signed the record.
func (t *tx) token(id string) (tokenBody, tokens.Claims, error) {
	body, r, err := tokenKind.get(t, []byte(id))
	if errors.Is(err, ErrNotFound) {
		err = fault.New(ErrUnknown, "no token %s", id)
	}
	if err != nil {
		return body, tokens.Claims{}, err
	}
	c, err := body.claims(t.Epoch.Vault, id, r.by)
	return body, c, err
}

func (b tokenBody) claims(vid keys.VaultID, id, by string) (tokens.Claims, error) {
	c, err := tokens.ParseHeaderPayload(b.HeaderPayload)
	switch {
	case err != nil, c.ID != id, uuid.Validate(id) != nil, c.Vault != vid, by != audit.Owner && by != c.Issuer,
		c.Issuer != audit.Owner && (!isAgentID(c.Issuer) || c.Tier != 0):
		return c, tokenKind.damaged([]byte(id), "its claims are not ones that its issuer may issue for this vault")
	}
	return c, nil
}

// rights returns what a token may do: its scopes, limited to those of its issuer.
func (t *tx) rights(c tokens.Claims) (tokens.Scopes, error) {
	if c.Issuer == audit.Owner {
		return c.Scopes, nil
	}
	issuer, err := t.agent(c.Issuer)
	if err != nil {
		return nil, err
	}
	if issuer.RevokedAt != nil {
		return nil, fault.New(ErrWrongKey, "agent %s, which issued this token, was revoked", c.Issuer)
	}
	return c.Scopes.Intersect(issuer.scopes()), nil
}

// eachToken calls fn for every token that has a record. It skips damaged records,
// so that one of them cannot block all others. A verification reports them.
func (t *tx) eachToken(fn func(body tokenBody, c tokens.Claims) error) error {
	return t.walk(bucketTokens, nil, func(k, v []byte) error {
		body, r, err := tokenKind.decode(t.hasher, k, v)
		if err != nil {
			return nil
		}
		c, err := body.claims(t.Epoch.Vault, string(k), r.by)
		if err != nil {
			return nil
		}
		return fn(body, c)
	})
}

func (t *tx) tokenInfo(body tokenBody, c tokens.Claims) (TokenInfo, error) {
	uses, err := t.usesOf(c.ID)
	if err != nil {
		return TokenInfo{Claims: c, State: TokenActive}, err
	}
	return t.tokenState(body, c, uses)
}

func (t *tx) tokenState(body tokenBody, c tokens.Claims, uses usesBody) (TokenInfo, error) {
	info := TokenInfo{Claims: c, State: TokenActive}
	if info.Used = uses.Used; !uses.LastAt.IsZero() {
		info.LastUsedAt = &uses.LastAt
	}
	granted, err := t.get(bucketGrants, body.Index)
	switch {
	case !t.now.Before(c.Expires):
		info.State = TokenExpired
	case c.Uses > 0 && uses.Used >= c.Uses:
		info.State = TokenUsedUp
	case granted == nil:
		info.State = TokenRevoked
	}
	return info, err
}

// Tokens lists the tokens that have a record, oldest first. The owner sees all
// tokens, an agent those that it issued, and a token only itself.
func (s *Session) Tokens() ([]TokenInfo, error) {
	var list []TokenInfo
	names := map[string]string{}
	err := s.view(func(t *tx) error {
		return t.eachToken(func(body tokenBody, c tokens.Claims) error {
			if !s.isOwner() && c.Issuer != s.by.id && c.ID != s.by.id {
				return nil
			}
			info, err := t.tokenInfo(body, c)
			if _, known := names[c.Issuer]; !known && isAgentID(c.Issuer) {
				issuer, _ := t.agent(c.Issuer) // one that does not hold has no name
				names[c.Issuer] = issuer.Name
			}
			info.IssuerName = names[c.Issuer]
			list = append(list, info)
			return err
		})
	})
	sortBy(list, func(i TokenInfo) time.Time { return i.Issued })
	return list, err
}

// liveTokensOf counts the active tokens that an agent issued. They end with the agent.
func (t *tx) liveTokensOf(agent string) (n int, err error) {
	err = t.eachToken(func(body tokenBody, c tokens.Claims) error {
		if c.Issuer != agent {
			return nil
		}
		if info, err := t.tokenInfo(body, c); err == nil && info.State == TokenActive {
			n++
		}
		return nil
	})
	return n, err
}
