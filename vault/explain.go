package vault

import (
	"errors"

	"ass/audit"
	"ass/tokens"
)

// Right says whether an actor may do something, and whether that needs approval.
type Right string

// The rights. A standing right needs nothing more. An approval is a human's decision
// about one version.
const (
	NoRight   Right = "no"
	Standing  Right = "yes"
	OnRequest Right = "with approval"
)

// Access is what one actor may do with one secret.
type Access struct {
	Kind   string // audit.Human, audit.Agent, audit.Token
	ID     string
	Agent  string // for a token: its issuer
	Name   string // of the agent
	Scopes tokens.Scopes
	Read   Right
	Write  Right
	Delete Right
}

// may fills in the rights that scopes give over a secret of a tier. top is the highest
// tier that can be read without approval.
func (a Access) may(scopes tokens.Scopes, p tokens.Path, tier, top tokens.Tier) Access {
	of := func(action tokens.Action) Right {
		switch {
		case !right(scopes, action, p):
			return NoRight
		case asks(action, tier, top):
			return OnRequest
		}
		return Standing
	}
	a.Scopes = scopes
	a.Read, a.Write, a.Delete = of(tokens.Read), of(tokens.Write), of(tokens.Delete)
	return a
}

// asks reports whether an act on a secret of a tier needs approval. top is the highest tier
// that can be read without.
func asks(action tokens.Action, tier, top tokens.Tier) bool {
	if action == tokens.Read {
		return tier > top
	}
	return tier >= tokens.Critical
}

// AgentAsks reports whether an agent that has the right to an act on a secret of a tier needs
// approval for it each time.
func AgentAsks(action tokens.Action, tier tokens.Tier) bool {
	return asks(action, tier, tokens.Standard)
}

// Access says what the agent may do with a secret: nothing if it was revoked.
func (a Agent) Access(s Secret) Access {
	scopes := a.Scopes
	if a.RevokedAt != nil {
		scopes = nil
	}
	return Access{Kind: audit.Agent, ID: a.ID, Name: a.Name}.may(scopes, s.Path, s.Tier, tokens.Standard)
}

// PathExplanation says who can do what with a secret.
type PathExplanation struct {
	Path     tokens.Path
	Secret   *Secret // nil if there is none; then the rest is about a new one
	Tier     tokens.Tier
	Access   []Access  // actors that may do something with it; the owner first
	Approved []Request // approvals for it, neither used nor expired
}

// ExplainPath says who may read, write or delete a secret, and by which right. Others than the
// owner learn their own rights alone; if they have none, the error is [ErrDenied], whether or
// not the secret exists.
func (s *Session) ExplainPath(p tokens.Path) (PathExplanation, error) {
	x := PathExplanation{Path: p, Tier: tokens.Standard}
	if !s.isOwner() && !s.Can(tokens.Read, p) && !s.Can(tokens.Write, p) && !s.Can(tokens.Delete, p) {
		return x, s.cannot(tokens.Read, p)
	}
	return x, s.view(func(t *tx) error {
		head, err := t.secretHead(p)
		switch {
		case err == nil:
			if x.Tier, err = t.tierOf(p, head); err != nil {
				return err
			}
			secret := head.secret(p)
			secret.Tier, x.Secret = x.Tier, &secret
		case !errors.Is(err, ErrNotFound):
			return err
		}
		if s.isOwner() {
			x.Access = []Access{{Kind: audit.Human, ID: audit.Owner, Read: Standing, Write: Standing, Delete: Standing}}
		}
		add := func(a Access) {
			if !s.isOwner() && a.ID != s.by.id {
				return
			}
			if a.Read != NoRight || a.Write != NoRight || a.Delete != NoRight {
				x.Access = append(x.Access, a)
			}
		}
		names := map[string]string{}
		err = t.agents(func(id string, body agentBody) error {
			if names[id] = body.Name; body.RevokedAt == nil {
				add(Access{Kind: audit.Agent, ID: id, Name: body.Name}.may(body.scopes(), p, x.Tier, tokens.Standard))
			}
			return nil
		})
		if err != nil {
			return err
		}
		err = t.eachToken(func(body tokenBody, c tokens.Claims) error {
			info, err := t.tokenInfo(body, c)
			if err != nil || info.State != TokenActive {
				return err
			}
			rights, err := t.rights(c)
			if err != nil {
				return err
			}
			a := Access{Kind: audit.Token, ID: c.ID, Agent: c.Issuer, Name: names[c.Issuer]}
			add(a.may(rights, p, x.Tier, max(c.Tier, tokens.Standard)))
			return nil
		})
		if err != nil {
			return err
		}
		open, err := t.approvedRequests()
		if err != nil {
			return err
		}
		for _, q := range open {
			if q.Path == p && !q.Used && (s.isOwner() || q.Requester == s.by.id) {
				x.Approved = append(x.Approved, q)
			}
		}
		return t.describe(x.Approved)
	})
}

// Reach is one secret that an agent may do something with.
type Reach struct {
	Secret Secret
	Access
}

// AgentExplanation says what an agent can open.
type AgentExplanation struct {
	Agent  Agent
	Reach  []Reach     // the secrets that exist now, in the order of their paths
	Tokens []TokenInfo // the active ones that it issued
}

// ExplainAgent says which of the existing secrets an agent may read, write or delete.
// Its scopes also cover secrets that are added later. ref is an id or a name. An agent may
// ask about itself; for others than the owner, the error is [ErrDenied] otherwise.
func (s *Session) ExplainAgent(ref string) (AgentExplanation, error) {
	var x AgentExplanation
	return x, s.view(func(t *tx) error {
		if !s.isSelf(t, ref) {
			if err := s.mayOnlyOwner("explain what another agent may open", "", ""); err != nil {
				return err
			}
		}
		id, body, err := t.findAgent(ref)
		if err != nil {
			return err
		}
		if x.Agent, err = s.agentNow(t, id, body); err != nil {
			return err
		}
		err = t.heads(tokens.Namespace{}, func(p tokens.Path, head secretBody) {
			secret := head.secret(p)
			a := x.Agent.Access(secret)
			if head.DeletedAt == nil && (a.Read != NoRight || a.Write != NoRight || a.Delete != NoRight) {
				x.Reach = append(x.Reach, Reach{secret, a})
			}
		})
		if err != nil {
			return err
		}
		return t.eachToken(func(tb tokenBody, c tokens.Claims) error {
			if c.Issuer != id {
				return nil
			}
			info, err := t.tokenInfo(tb, c)
			if info.State == TokenActive {
				info.IssuerName = body.Name
				x.Tokens = append(x.Tokens, info)
			}
			return err
		})
	})
}
