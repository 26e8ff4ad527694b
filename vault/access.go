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
)

// What this file enforces, the program enforces: lifetime, uses, addresses, the
// clock, and answering for what is out of scope. That a grantee opens nothing
// which its scopes do not cover is not decided here; it has no key for it.

// clockGrace is how far the clock may stand before the last use of a credential.
const clockGrace = 2 * time.Minute

// refusal ends an act that a grantee may not do. Nothing of the act is kept, and
// the refusal is logged, in the name of whoever was refused.
type refusal struct {
	err      error
	event    string // of the act
	resource string // what it was about
	why      string // for the log: "scope", "expired", "uses", "address", "clock", …
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// update runs fn and keeps all that it did, or, on any error, nothing but what
// the log says of a refusal. When it returns nil, everything is synced to the
// disk, log entries included.
func (s *Session) update(fn func(*tx) error) error {
	err := s.commit(fn)
	var (
		refused *refusal
		need    *needed
	)
	switch {
	case errors.As(err, &refused):
		return s.refused(refused)
	case errors.As(err, &need):
		return s.ask(need.requests)
	}
	return err
}

// refused logs a refusal, and returns what to tell whoever was refused.
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

// mayOnlyOwner refuses what a grantee has not the keys for; event is that of the
// act, "" for looking at something, which is not logged.
func (s *Session) mayOnlyOwner(what, event, resource string) error {
	if s.root != nil {
		return nil
	}
	err := errorOf(ErrDenied, "only the owner can %s, and this is %s; run it with the owner's key", what, s.Who())
	if event == "" || s.v.opts.ReadOnly {
		return err
	}
	return s.refused(&refusal{err, event, resource, "owner"})
}

// enter admits a grantee to an act on some secrets, and counts it as one use for
// each of them. Where the act fails, nothing was counted. It answers the same for
// what is out of scope, whether or not it exists.
func (s *Session) enter(t *tx, a tokens.Action, event string, paths ...tokens.Path) error {
	if s.as == nil {
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
	if c := s.as.claims; c != nil && c.Uses > 0 {
		if uses.Used > c.Uses {
			left := c.Uses - (uses.Used - uint64(len(paths)))
			return &refusal{errorOf(ErrDenied, "%s has %d of its %d uses left, and this takes %d; nothing was read", s.Who(), left, c.Uses, len(paths)), event, paths[0].String(), "uses"}
		}
		if uses.Used == c.Uses {
			if err := t.remove(bucketGrants, s.as.index[:]); err != nil {
				return err
			}
		}
	}
	return t.putUses(s.by.id, uses)
}

// cannot says which scopes of the session are missing for an act on a secret; nil
// if none is. It says the same whether or not the secret is there.
func (s *Session) cannot(a tokens.Action, p tokens.Path) error {
	if s.Can(a, p) {
		return nil
	}
	for _, one := range []tokens.Action{tokens.Read, tokens.Write, tokens.Delete} {
		if s.as.scopes.Allow(one, p) {
			a &^= one
		}
	}
	return errorOf(ErrDenied, "%s may not %s %s: its scopes (%s) do not cover it", s.Who(), a, p, s.as.scopes)
}

// admit refuses a credential whose time, place or clock is wrong. It returns how
// far the credential was used.
func (s *Session) admit(t *tx, event, resource string) (usesBody, error) {
	uses, why, err := s.standing(t)
	if why != "" {
		err = &refusal{err, event, resource, why}
	}
	return uses, err
}

// standing returns how far the credential was used, and, with an error, why it no
// longer counts: "" where that could not be found out.
func (s *Session) standing(t *tx) (uses usesBody, why string, err error) {
	if s.as == nil {
		return uses, "", nil
	}
	if uses, err = t.usesOf(s.by.id); err == nil {
		why, err = s.lapse(t.now, uses)
	}
	return uses, why, err
}

// lapse says why a credential no longer counts, in a word for the log as well; nil
// if it does.
func (s *Session) lapse(now time.Time, uses usesBody) (why string, err error) {
	last := s.as.since
	if uses.LastAt.After(last) {
		last = uses.LastAt
	}
	if now.Before(last.Add(-clockGrace)) {
		return "clock", errorOf(ErrLapsed, "the clock says %s, and %s was last used at %s: set the clock right or, if it is, ask for a new key or token", now.Format(time.RFC3339), s.Who(), last.Format(time.RFC3339))
	}
	c := s.as.claims
	if c == nil {
		return "", nil
	}
	if !now.Before(c.Expires) {
		return "expired", errorOf(ErrLapsed, "%s expired at %s; ask for a new one", s.Who(), c.Expires.Format(time.RFC3339))
	}
	if len(c.IPs) > 0 {
		var addrs []netip.Addr
		if s.v.opts.Addresses != nil {
			addrs = s.v.opts.Addresses()
		}
		if !c.IPs.Allow(addrs) {
			return "address", errorOf(ErrDenied, "%s may be used from %s alone, and this machine has no such address", s.Who(), strings.Join(c.IPs.Strings(), ", "))
		}
	}
	return "", nil
}

// Usable says why the credential of the session cannot be used now, without
// using it: it has lapsed, the machine or its clock is the wrong one. Such a
// refusal is not logged, because nothing was asked for.
func (s *Session) Usable() error {
	return s.inspect(s.countsNow)
}

func (s *Session) countsNow(t *tx) error {
	_, _, err := s.standing(t)
	return err
}

// usesBody is how far something was used, under the id of an agent, a token, or
// an approval that serves once. It carries a MAC alone.
type usesBody struct {
	Seq    uint64    `json:"seq"`
	Used   uint64    `json:"used"`
	LastAt time.Time `json:"last_at"`
}

func (t *tx) usesOf(id string) (usesBody, error) {
	var body usesBody
	v, err := t.get(bucketUses, []byte(id))
	switch {
	case v != nil:
		_, err = t.decode(bucketUses, []byte(id), v, &body)
	case err == nil:
		err = t.absent(bucketUses, []byte(id))
	}
	return body, err
}

func (t *tx) putUses(id string, body usesBody) error {
	body.Seq, body.LastAt = t.seq(), t.now
	return t.put(bucketUses, []byte(id), false, body)
}

// copyUses carries a count over into a rewritten vault. One that does not hold is
// left behind, and a time that has not come is forgotten.
func (t *tx) copyUses(to *tx, id string) error {
	body, err := t.usesOf(id)
	if err != nil || body.Seq == 0 {
		return nil
	}
	if body.LastAt.After(to.now) {
		body.LastAt = to.now
	}
	return to.put(bucketUses, []byte(id), false, body)
}

// lapsesAt notes that something has to be cleared at a time, in the head, so that
// no transaction looks for it before.
func (t *tx) lapsesAt(at time.Time) {
	if t.head.lapse.IsZero() || at.Before(t.head.lapse) {
		t.head.lapse = at
	}
}

// clear removes what has lapsed: grants of tokens, requests that nobody needs to
// see any more. It does so in whatever transaction comes next.
func (t *tx) clear() error {
	if t.head.lapse.IsZero() || t.now.Before(t.head.lapse) {
		return nil
	}
	t.head.lapse = time.Time{}
	if err := t.clearAsks(); err != nil {
		return err
	}
	return t.clearTokens()
}

// signer is who a signature is by, and what that gives it the right to.
type signer struct {
	by     string // the name that was looked up
	pub    ed25519.PublicKey
	sign   ed25519.PrivateKey // of the owner, in the owner's sessions; see signed
	owner  bool
	scopes tokens.Scopes
	err    error // why nobody signs in this name
}

// signed reports whether a signature is by s. Most are the owner's, and who is the
// owner knows its own.
func (s signer) signed(message, sig []byte) bool {
	return s.sign != nil && audit.Made(s.sign, message, sig) || ed25519.Verify(s.pub, message, sig)
}

// maySignAny reports whether such an author can sign records of a bucket at all.
func maySignAny(bucket, by string) bool {
	switch bucket {
	case bucketAgents, bucketRecipients, bucketAnswers:
		return by == audit.Owner
	case bucketTokens:
		return by == audit.Owner || isAgentID(by)
	}
	return true
}

// maySign reports whether a signature by s makes a record of a bucket, at k, one
// that counts. Who may write is a matter of signatures: a key that reads
// production cannot point it at another server.
func (s signer) maySign(bucket string, k []byte, by string) bool {
	if s.owner {
		return true
	}
	switch bucket {
	case bucketSecrets:
		p, err := tokens.ParsePath(string(k))
		return err == nil && (s.scopes.Allow(tokens.Write, p) || s.scopes.Allow(tokens.Delete, p))
	case bucketVersions:
		text, _, _ := cutVersionKey(k)
		p, err := tokens.ParsePath(text)
		return err == nil && s.scopes.Allow(tokens.Write, p)
	case bucketTokens:
		return true // that it is the issuer's is checked where claims are read
	case bucketAsks:
		asker, _, ok := cutAskKey(k)
		return ok && asker == by
	}
	return false
}

// author finds the key and the rights of who signed a record.
func (s *Session) author(t *tx, by string) (signer, error) {
	if by == audit.Owner {
		who := signer{pub: s.pub, owner: true}
		if s.root != nil {
			who.sign = s.root.sign
		}
		return who, nil
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
