package vault

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/cloudflare/circl/sign/ed25519"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/fault"
)

// The rules in this file are enforced by the program: lifetime, uses, addresses, the
// clock, and the answer for secrets out of scope. Cryptography keeps a grantee from
// opening secrets outside its scopes: it has no key for them.

// clockGrace is how far the clock may be behind the issue of a credential. The time of its last use does not count: it
// lies in the file, so whoever holds a key of the epoch could lock others out with it, and it stops nobody.
const clockGrace = 2 * time.Minute

// refusal ends an act that a grantee may not do. The act is rolled back, and the
// refusal is logged in the grantee's name.
type refusal struct {
	err      error
	event    string // of the act
	resource string // what it was about
	why      string // for the log: "scope", "expired", "uses", "address", "clock", …
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// update runs fn and commits what it did. On any error, it rolls fn back; it then
// still logs a refusal, and still makes the requests for an act that needs approval.
// When it returns nil, everything is synced to the disk, log entries included.
func (s *Session) update(fn func(*tx) error) error {
	err := s.act(func(t *tx) error {
		if err := s.v.refuseNames(false); err != nil {
			return err
		}
		return fn(t)
	})
	if err == nil {
		s.v.keepReserve()
	}
	return err
}

// act is update without a look at the reserve.
func (s *Session) act(fn func(*tx) error) error {
	err := s.commit(fn)
	var (
		refused *refusal
		need    *needsDecision
	)
	switch {
	case errors.As(err, &refused):
		return s.refused(refused)
	case errors.As(err, &need) && s.v.opts.NoRequests:
		return &AboveError{need.subjects[0].action, need.subjects[0].path, need.subjects[0].tier, len(need.subjects) - 1}
	case errors.As(err, &need):
		return s.request(need.subjects)
	}
	return err
}

// refused logs a refusal, and returns the error for the caller.
func (s *Session) refused(r *refusal) error {
	kind := "secret"
	if _, err := tokens.ParsePath(r.resource); err != nil {
		kind = s.by.kind
	}
	err := s.commit(func(t *tx) error {
		return t.log(r.event+audit.Denied, kind, r.resource, map[string]any{"reason": r.why})
	})
	return errors.Join(r.err, err)
}

// mayOnlyOwner refuses an act for which a grantee lacks the keys. event is the log's
// name for the act. It is "" for an act that only looks; its refusal is not logged.
func (s *Session) mayOnlyOwner(what, event, resource string) error {
	if s.isOwner() {
		return nil
	}
	err := fault.New(ErrDenied, "only the owner can %s, and this is %s", what, s.Who()).
		Hint("run it with the owner's key")
	if event == "" || s.v.opts.ReadOnly {
		return err
	}
	return s.refused(&refusal{err, event, resource, "owner"})
}

// authorize admits a grantee to an act on some secrets, and counts one use for each
// secret. If the act fails, nothing is counted. If a secret is out of scope, the
// answer is the same whether or not the secret exists.
func (s *Session) authorize(t *tx, a tokens.Action, event string, paths ...tokens.Path) error {
	if s.isOwner() {
		return nil
	}
	resource := s.by.id
	if len(paths) > 0 {
		resource = paths[0].String()
	}
	uses, err := s.admit(t, event, resource)
	if err != nil || len(paths) == 0 {
		return err
	}
	for _, p := range paths {
		if err := s.cannot(a, p); err != nil {
			return &refusal{err, event, p.String(), "scope"}
		}
	}
	uses.Used += uint64(len(paths))
	if c := s.grantee.claims; c != nil && c.Uses > 0 {
		if uses.Used > c.Uses {
			left := c.Uses - (uses.Used - uint64(len(paths)))
			return &refusal{fault.New(ErrDenied, "%s has %d of %d uses left, and this needs %d; nothing was read", s.Who(), left,
				c.Uses, len(paths)), event, paths[0].String(), "uses"}
		}
		if uses.Used == c.Uses {
			if err := grantKind.remove(t, s.grantee.Index[:]); err != nil {
				return err
			}
		}
	}
	return t.putUses(s.by.id, uses)
}

// cannot returns an error if the session's scopes do not cover an act on a secret. The
// error names the missing actions. It is the same whether or not the secret exists.
func (s *Session) cannot(a tokens.Action, p tokens.Path) error {
	if s.Can(a, p) {
		return nil
	}
	for _, one := range []tokens.Action{tokens.Read, tokens.Write, tokens.Delete} {
		if s.grantee.scopes.Allow(one, p) {
			a &^= one
		}
	}
	return fault.New(ErrDenied, "%s may not %s %s: its scopes (%s) do not cover it", s.Who(), a, p, s.grantee.scopes)
}

// admit refuses a credential that has expired, that is used from a wrong address, or
// whose issue is ahead of the clock. It returns the uses of the credential.
func (s *Session) admit(t *tx, event, resource string) (usesBody, error) {
	uses, why, err := s.standing(t)
	if why != "" {
		err = &refusal{err, event, resource, why}
	}
	return uses, err
}

// standing returns the uses of the credential. If the credential is not valid now, it
// also returns an error, and why in a word; "" if the uses could not be read.
func (s *Session) standing(t *tx) (uses usesBody, why string, err error) {
	if s.isOwner() {
		return uses, "", nil
	}
	if uses, err = t.usesOf(s.by.id); err == nil {
		why, err = s.lapse(t.now)
	}
	return uses, why, err
}

// lapse returns an error if a credential is not valid now, and why in a word for the
// log.
func (s *Session) lapse(now time.Time) (why string, err error) {
	if since := s.grantee.since; now.Before(since.Add(-clockGrace)) {
		return "clock", fault.New(ErrLapsed, "the clock says %s, and %s was issued at %s: set the clock right or, if it "+
			"is, ask for a new key or token", now.Format(time.RFC3339), s.Who(), since.Format(time.RFC3339))
	}
	c := s.grantee.claims
	if c == nil {
		return "", nil
	}
	if !now.Before(c.Expires) {
		return "expired", expired(s.Who(), c.Expires)
	}
	if len(c.IPs) > 0 {
		var addrs []netip.Addr
		if s.v.opts.Addresses != nil {
			addrs = s.v.opts.Addresses()
		}
		if !c.IPs.Allow(addrs) {
			return "address", fault.New(ErrDenied, "%s may only be used from %s, and this machine has no such address", s.Who(),
				strings.Join(c.IPs.Strings(), ", "))
		}
	}
	return "", nil
}

// expired is the error of a token whose time is over. It is the same before and after the
// record of the token is cleared.
func expired(who string, at time.Time) error {
	return fault.New(ErrLapsed, "%s expired at %s", who, at.Format(time.RFC3339)).
		Hint("ask for a new one")
}

// Usable returns an error if the credential of the session cannot be used now: it has
// expired, or the address or the clock of this machine is wrong. Usable counts as no
// use, and logs no refusal, because nothing was asked for.
func (s *Session) Usable() error {
	return s.viewUnchecked(s.countsNow)
}

func (s *Session) countsNow(t *tx) error {
	_, _, err := s.standing(t)
	return err
}

// usesBody counts the uses of an agent, of a token, or of an approval that serves
// once, under its id. The record carries a MAC and no signature.
type usesBody struct {
	Seq    uint64    `json:"seq"`     // Number of the log entry of the last use.
	Used   uint64    `json:"used"`    // How many uses were counted: one for each secret of an act.
	LastAt time.Time `json:"last_at"` // When the last of them was counted; never after the newest log entry.
}

func (t *tx) usesOf(id string) (usesBody, error) {
	body, _, err := useKind.get(t, []byte(id))
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return body, err
}

func (t *tx) putUses(id string, body usesBody) error {
	body.Seq, body.LastAt = t.seq(), t.now
	return useKind.put(t, []byte(id), body)
}

// lapsesAt notes in the head when something has to be cleared, so that no transaction
// looks for it earlier.
func (t *tx) lapsesAt(at time.Time) {
	if t.head.lapse.IsZero() || at.Before(t.head.lapse) {
		t.head.lapse = at
	}
}

// clearLapsed removes what has lapsed: expired tokens, and requests that are no longer
// listed. The next transaction after the lapse does it, whatever it is for.
func (t *tx) clearLapsed() error {
	if t.head.lapse.IsZero() || t.now.Before(t.head.lapse) {
		return nil
	}
	t.head.lapse = time.Time{}
	if err := t.clearRequests(); err != nil {
		return err
	}
	return t.clearTokens()
}

// signer is the author of a signature, with the author's rights.
type signer struct {
	by     string // the name that was looked up
	pub    ed25519.PublicKey
	owner  bool
	scopes tokens.Scopes
	err    error // why no signature in this name is valid
}

// author finds the public key and the rights of a record's author.
func (s *Session) author(t *tx, by string) (signer, error) {
	if by == audit.Owner {
		return signer{pub: s.pub, owner: true}, nil
	}
	if known, ok := t.signers[by]; ok {
		return known, nil
	}
	var who signer
	if isAgentID(by) {
		body, err := t.agent(by)
		if err != nil || body.RevokedAt != nil {
			return signer{}, errors.Join(err, ErrNotFound)
		}
		who = signer{pub: body.Pub, scopes: body.scopes()}
	} else {
		body, claims, err := t.token(by)
		if err != nil {
			return signer{}, err
		}
		rights, err := t.rights(claims)
		if err != nil {
			return signer{}, err
		}
		who = signer{pub: body.Pub, scopes: rights}
	}
	if len(who.pub) != ed25519.PublicKeySize {
		return signer{}, fmt.Errorf("%q: %w", by, ErrNotFound)
	}
	t.signers[by] = who
	return who, nil
}
