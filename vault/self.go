package vault

import (
	"slices"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/fault"
)

// Self is what the credential of a session is, and what it may do.
type Self struct {
	Kind    string         // audit.Human, audit.Agent or audit.Token
	ID      string         // as in the log
	Agent   *Agent         // the agent or, of a token, its issuer; nil for the owner
	Scopes  tokens.Scopes  // none for the owner, who may do everything
	Tier    tokens.Tier    // the highest one that it reads without approval
	Claims  *tokens.Claims // of a token
	Used    uint64         // how many uses of a token are counted
	Waiting []Request      // its own requests that wait for a decision
}

// UsesLeft returns how many secrets a token may still read, write or delete; nil if that is
// not limited.
func (x Self) UsesLeft() *uint64 {
	if x.Claims == nil || x.Claims.Uses == 0 {
		return nil
	}
	left := x.Claims.Uses - min(x.Used, x.Claims.Uses)
	return &left
}

// Self tells the session about its own credential. It counts as no use.
func (s *Session) Self() (Self, error) {
	x := Self{Kind: s.by.kind, ID: s.by.id, Tier: tokens.Standard}
	if s.isOwner() {
		x.Tier = tokens.Critical
		return x, nil
	}
	x.Scopes, x.Claims = s.grantee.scopes, s.grantee.claims
	return x, s.view(func(t *tx) error {
		if x.Claims != nil {
			x.Tier = max(x.Claims.Tier, tokens.Standard)
			uses, err := t.usesOf(s.by.id)
			if err != nil {
				return err
			}
			x.Used = uses.Used
		}
		if isAgentID(s.grantee.agent) {
			body, err := t.agent(s.grantee.agent)
			if err != nil {
				return err
			}
			agent, err := s.agentNow(t, s.grantee.agent, body)
			if err != nil {
				return err
			}
			x.Agent = &agent
		}
		list, err := t.requestsOf(s.by.id)
		if err == nil {
			err = s.laterReasons(t, list)
		}
		if err != nil {
			return err
		}
		x.Waiting = slices.DeleteFunc(list, func(q Request) bool { return q.Status != Pending })
		return t.describe(x.Waiting)
	})
}

// MayList returns [ErrDenied] if no scope of the session can match a secret in a namespace or
// below it.
func (s *Session) MayList(ns tokens.Namespace) error {
	every := tokens.Scope{Actions: tokens.Read | tokens.Write | tokens.Delete, Pattern: tokens.Below(ns)}
	if s.isOwner() || len(s.grantee.scopes.Intersect(tokens.Scopes{every})) > 0 {
		return nil
	}
	return fault.New(ErrDenied, "%s may not list %s: its scopes (%s) cover nothing in it", s.Who(), ns, s.grantee.scopes)
}

// isSelf reports whether a reference, an id or a name, is that of the agent whose session this
// is.
func (s *Session) isSelf(t *tx, ref string) bool {
	if s.isOwner() || s.by.kind != audit.Agent {
		return false
	}
	body, err := t.agent(s.by.id)
	return ref == s.by.id || err == nil && ref == body.Name
}
