package vault

import (
	"errors"

	"github.com/google/uuid"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/fault"
)

// This file ends tokens: when somebody revokes them, when their only secret is deleted,
// or when they expire.

// RevokeToken ends a token. If the owner revokes a token, the vault is rewritten, so that the keys of the token
// open nothing that is written from then on; that also ends one for good that has lapsed or was given
// up. An agent can revoke the tokens that it issued, and a token can revoke itself; that only removes
// the grant. rewritten reports whether the vault was rewritten; then n says what that did. A token that
// holds no key is [ErrConflict]; for others than the owner, so is one that is not active.
func (s *Session) RevokeToken(id string, o NarrowOptions) (n Narrowing, rewritten bool, err error) {
	if !s.isOwner() {
		return n, false, s.update(func(t *tx) error {
			if _, err := s.admit(t, audit.TokenRevoked, s.by.id); err != nil {
				return err
			}
			body, c, err := t.token(id)
			if err == nil && c.Issuer != s.by.id && c.ID != s.by.id || errors.Is(err, ErrNotFound) {
				return &refusal{fault.New(ErrDenied, "token %s has ended, or %s did not issue it", id, s.Who()), audit.TokenRevoked, s.by.id,
					"scope"}
			}
			if err == nil {
				err = t.checkActive(body, c)
			}
			if err != nil {
				return err
			}
			return t.revokeToken(body, c, "")
		})
	}
	if err := s.viewUnchecked(func(t *tx) error { return s.holdsKeys(t, id) }); err != nil {
		return n, false, err
	}
	err = s.narrowing(&rewritePlan{
		why: "token revoked", what: id, token: id, NarrowOptions: o,
		then: func(_ *Session, t *tx) error { return t.log(audit.TokenRevoked, "token", id, nil) },
	}, &n)
	return n, true, err
}

// holdsKeys returns an error if a token opens nothing that will be written: the log tells of no such token, or it
// had ended before this epoch began. A token that has ended since then can be revoked, for whoever
// has it may have kept keys of the epoch.
func (s *Session) holdsKeys(t *tx, id string) error {
	body, c, err := t.token(id)
	if err == nil && t.checkActive(body, c) == nil {
		return nil
	}
	v, _, err := s.learnLog(t, true)
	if err != nil {
		return err
	}
	_, told := v.told.entryOf[id]
	who, known := v.told.actors[id]
	switch {
	case uuid.Validate(id) != nil || !told && !known:
		return fault.New(ErrUnknown, "no token %s", id)
	case !known: // its issuer was revoked, or got another key, which began an epoch
		return fault.New(ErrConflict, "token %s ended with its issuer's key, and opens nothing", id)
	case who.Ended > 0 && who.Ended <= v.told.began:
		return fault.New(ErrConflict, "token %s had ended before the vault was last rewritten, and opens nothing", id)
	}
	return nil
}

func (t *tx) checkActive(body tokenBody, c tokens.Claims) error {
	info, err := t.tokenInfo(body, c)
	if err == nil && info.State != TokenActive {
		err = fault.New(ErrConflict, "token %s is not active: it is %s", c.ID, info.State)
	}
	return err
}

// revokeToken removes a token's grant and logs that. because is the reason; "" for none.
func (t *tx) revokeToken(body tokenBody, c tokens.Claims, because string) error {
	if err := grantKind.remove(t, body.Index); err != nil {
		return err
	}
	var note map[string]any
	if because != "" {
		note = map[string]any{"because": because}
	}
	return t.log(audit.TokenRevoked, "token", c.ID, note)
}

// TokensOf counts the active tokens that covered a deleted secret.
type TokensOf struct {
	Revoked int // with scopes for that path alone
	Broader int // with other scopes too; they stay active
}

// revokeTokensFor ends the active tokens whose scopes all name exactly this secret.
func (t *tx) revokeTokensFor(p tokens.Path) (done TokensOf, err error) {
	type one struct {
		body tokenBody
		c    tokens.Claims
	}
	var narrow []one
	err = t.eachToken(func(body tokenBody, c tokens.Claims) error {
		exact, covers := true, false
		for _, scope := range c.Scopes {
			exact = exact && scope.Pattern == tokens.Exactly(p)
			covers = covers || scope.Pattern.Covers(p)
		}
		if !covers {
			return nil
		}
		info, err := t.tokenInfo(body, c)
		if err != nil || info.State != TokenActive {
			return err
		}
		if exact {
			narrow = append(narrow, one{body, c})
		} else {
			done.Broader++
		}
		return nil
	})
	if err != nil {
		return done, err
	}
	for _, n := range narrow {
		if err := t.revokeToken(n.body, n.c, "its secret was deleted"); err != nil {
			return done, err
		}
		done.Revoked++
	}
	return done, nil
}

// clearTokens removes expired tokens. If a token could write or delete, its record
// stays until the next rewrite, because it vouches for what the token wrote. If a token
// made requests, its record stays as long as they are listed.
func (t *tx) clearTokens() error {
	type one struct {
		body tokenBody
		c    tokens.Claims
	}
	var expired []one
	err := t.eachToken(func(body tokenBody, c tokens.Claims) error {
		if t.now.Before(c.Expires) {
			t.lapsesAt(c.Expires)
			return nil
		}
		expired = append(expired, one{body, c})
		return nil
	})
	if err != nil {
		return err
	}
	for _, x := range expired {
		requested := false // if so, people may still want to know who requested
		err := t.walk(bucketRequests, requestPrefix(x.c.ID), func(_, _ []byte) error { requested = true; return nil })
		if err != nil {
			return err
		}
		if err := grantKind.remove(t, x.body.Index); err != nil {
			return err
		}
		if err := useKind.remove(t, []byte(x.c.ID)); err != nil {
			return err
		}
		if requested || len(x.c.Scopes.Patterns(tokens.Write)) > 0 || len(x.c.Scopes.Patterns(tokens.Delete)) > 0 {
			continue
		}
		if err := tokenKind.remove(t, []byte(x.c.ID)); err != nil {
			return err
		}
	}
	return nil
}
