package vault

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/fault"
	"ass/vault/internal/keys"
)

// agentBody is the record of an agent, under the agent's id. The owner signs it. The
// record of a revoked agent stays, so that its id is never used again.
type agentBody struct {
	Seq         uint64     `json:"seq"`                  // Number of the log entry of its last change.
	Name        string     `json:"name"`                 // Name that people use; at most one active agent has it.
	Description string     `json:"description"`          // What the agent is for, in words; it may be empty.
	Namespaces  []string   `json:"namespaces"`           // Namespaces that limit its scopes; none is no limit.
	Scopes      []string   `json:"scopes"`               // What it may do; its grant is made of the readable part.
	Serial      uint32     `json:"serial"`               // Number of its key; each rotation adds 1.
	Pub         []byte     `json:"pub"`                  // Ed25519 key that verifies what the agent signs.
	CreatedAt   time.Time  `json:"created_at"`           // When the agent was registered.
	IssuedAt    time.Time  `json:"issued_at"`            // When its key was issued.
	RevokedAt   *time.Time `json:"revoked_at,omitempty"` // When it was revoked; nil while it is active.
}

// scopes returns the scopes that the owner signed; none if they are malformed.
func (b agentBody) scopes() tokens.Scopes {
	scopes, err := tokens.ScopesOf(b.Scopes)
	if err != nil {
		return nil
	}
	return scopes
}

// Agent is a registered program.
type Agent struct {
	ID, Name, Description string
	KeyPrefix             string // the first characters of its key, for telling keys apart; only the owner learns them
	Namespaces            []tokens.Namespace
	Scopes                tokens.Scopes
	CreatedAt             time.Time
	KeyIssuedAt           time.Time
	LastActiveAt          *time.Time
	RevokedAt             *time.Time // nil while it is active
}

// maxTextBytes limits what people write about an agent or a request.
const maxTextBytes = 500

func isAgentID(s string) bool { return strings.HasPrefix(s, tokens.AgentIDPrefix) }

// AgentSpec describes a new agent.
type AgentSpec struct {
	Name, Description string
	Namespaces        []tokens.Namespace // limit the scopes; if empty, nothing does
	Scopes            tokens.Scopes      // if empty, the agent may read the namespaces
}

// Resolve checks the spec. If it has no scopes, Resolve fills in scopes to read the
// namespaces. A scope that reaches outside of the namespaces is an error.
func (a AgentSpec) Resolve() (AgentSpec, error) {
	if err := tokens.CheckAgentName(a.Name); err != nil {
		return a, err
	}
	if strings.EqualFold(a.Name, audit.Owner) {
		return a, &tokens.SyntaxError{What: "agent name", Problem: "it is that of the owner; take another one"}
	}
	if len(a.Description) > maxTextBytes {
		return a, &tokens.SyntaxError{What: "description", Problem: fmt.Sprintf("it is longer than %d bytes", maxTextBytes)}
	}
	var bounds tokens.Scopes
	for _, ns := range a.Namespaces {
		bounds = append(bounds, tokens.Scope{Actions: tokens.Read | tokens.Write | tokens.Delete, Pattern: tokens.Below(ns)})
	}
	if len(a.Scopes) == 0 {
		for _, ns := range a.Namespaces {
			a.Scopes = append(a.Scopes, tokens.Scope{Actions: tokens.Read, Pattern: tokens.Below(ns)})
		}
	}
	if len(a.Scopes) == 0 || len(a.Scopes) > tokens.MaxScopes {
		return a, &tokens.SyntaxError{What: "scopes", Problem: fmt.Sprintf("an agent must have 1 to %d of them",
			tokens.MaxScopes)}
	}
	for _, scope := range a.Scopes {
		if len(bounds) > 0 && !bounds.Contain(scope) {
			return a, &tokens.SyntaxError{What: "scope", Problem: fmt.Sprintf("%s reaches outside the allowed namespaces",
				scope)}
		}
	}
	return a, nil
}

// agent reads the record of an agent.
func (t *tx) agent(id string) (agentBody, error) {
	if body, ok := t.mended[id]; ok {
		return body, nil
	}
	body, _, err := agentKind.get(t, []byte(id))
	if errors.Is(err, ErrNotFound) {
		return body, fault.New(ErrUnknown, "no agent %s", id)
	}
	return body, err
}

// agents calls fn for every agent, revoked ones included. It skips a record that fails
// its checks, so that the record does not block the others; a verification names it.
func (t *tx) agents(fn func(id string, body agentBody) error) error {
	return agentKind.eachValid(t, nil, func(k []byte, body agentBody, _ record) error { return fn(string(k), body) })
}

// CreateAgent registers an agent and returns its key. The key is not stored: if it is
// lost, the owner can only replace it.
func (s *Session) CreateAgent(spec AgentSpec) (Agent, tokens.AgentKey, error) {
	spec, err := spec.Resolve()
	if err == nil {
		err = s.mayOnlyOwner("register agents", audit.AgentCreated, s.by.id)
	}
	if err != nil {
		return Agent{}, tokens.AgentKey{}, err
	}
	var (
		id   string
		body agentBody
	)
	err = s.update(func(t *tx) error {
		taken := map[string]bool{}
		err := t.walk(bucketAgents, nil, func(k, v []byte) error {
			taken[string(k)] = true
			other, _, err := agentKind.decode(t.hasher, k, v)
			if err != nil {
				return nil
			}
			if other.Name == spec.Name && other.RevokedAt == nil {
				return fault.New(ErrConflict, "an agent named %s already exists (%s)", spec.Name, k).
					Hint("choose another name, or revoke that agent")
			}
			return nil
		})
		if err != nil {
			return err
		}
		for id = ""; id == "" || taken[id]; {
			id = tokens.AgentIDPrefix + hex.EncodeToString(t.random(4))
		}
		body = agentBody{
			Seq: t.seq(), Name: spec.Name, Description: spec.Description, Namespaces: []string{},
			Scopes: spec.Scopes.Strings(), Serial: 1, CreatedAt: t.now, IssuedAt: t.now,
		}
		for _, ns := range spec.Namespaces {
			body.Namespaces = append(body.Namespaces, ns.String())
		}
		body.Pub = public(keys.NewGrantee(s.root.AgentSecret(id, body.Serial)).Sign)
		if err := agentKind.put(t, []byte(id), body); err != nil {
			return err
		}
		if err := s.grantAgent(t, id, body); err != nil {
			return err
		}
		return t.log(audit.AgentCreated, "agent", id, body.logged())
	})
	if err != nil {
		return Agent{}, tokens.AgentKey{}, err
	}
	return s.agentOf(id, body), s.agentKey(id, body.Serial), nil
}

// logged is what the log says about an agent's key. It includes the public key, so
// that the log can be verified by itself.
func (b agentBody) logged() map[string]any {
	return map[string]any{"name": b.Name, "namespaces": b.Namespaces, "scopes": b.Scopes, "serial": b.Serial,
		"public_key": b.Pub}
}

// grantAgent writes an agent's grant and publishes the nodes that it reads. If
// an author who cannot read has sealed versions below them to nodes above, grantAgent
// reseals these.
func (s *Session) grantAgent(t *tx, id string, body agentBody) error {
	g, nodes, err := s.newGrant(body.scopes(), tokens.Standard)
	if err != nil {
		return err
	}
	if err := t.putGrant(keys.NewGrantee(s.root.AgentSecret(id, body.Serial)), id, g); err != nil {
		return err
	}
	return s.openUp(t, nodes)
}

func (s *Session) agentKey(id string, serial uint32) tokens.AgentKey {
	k := tokens.AgentKey{Secret: s.root.AgentSecret(id, serial)}
	copy(k.Vault[:], s.epoch.Vault[:])
	return k
}

func (s *Session) agentOf(id string, b agentBody) Agent {
	const shown = 8 // characters of the key: "ass_" and four
	a := Agent{
		ID: id, Name: b.Name, Description: b.Description, Scopes: b.scopes(), CreatedAt: b.CreatedAt,
		KeyIssuedAt: b.IssuedAt, RevokedAt: b.RevokedAt,
	}
	if s.isOwner() { // nobody else can derive it
		a.KeyPrefix = s.agentKey(id, b.Serial).Text()[:shown]
	}
	for _, text := range b.Namespaces {
		if ns, err := tokens.ParseNamespace(text); err == nil {
			a.Namespaces = append(a.Namespaces, ns)
		}
	}
	return a
}

// agentNow is agentOf, and fills in when the agent was last active.
func (s *Session) agentNow(t *tx, id string, b agentBody) (Agent, error) {
	a := s.agentOf(id, b)
	uses, err := t.usesOf(id)
	if !uses.LastAt.IsZero() {
		a.LastActiveAt = &uses.LastAt
	}
	return a, err
}

// Agents lists the agents, oldest first, revoked ones included.
func (s *Session) Agents() ([]Agent, error) {
	if err := s.mayOnlyOwner("list agents", "", ""); err != nil {
		return nil, err
	}
	var list []Agent
	err := s.view(func(t *tx) error {
		return t.agents(func(id string, body agentBody) error {
			a, err := s.agentNow(t, id, body)
			list = append(list, a)
			return err
		})
	})
	sortBy(list, func(a Agent) time.Time { return a.CreatedAt })
	return list, err
}

// Unlisted returns an error if Agents, Tokens or Requests skipped something because its record,
// or that of the answer to a request, was altered. The error names the record.
func (s *Session) Unlisted() error {
	return s.view(func(t *tx) error {
		for _, bucket := range []string{bucketAgents, bucketTokens, bucketRequests, bucketDecisions} {
			if err := t.checkMACs(bucket); err != nil {
				return err
			}
		}
		return nil
	})
}

// findAgent resolves an id, or the name of an active agent.
func (t *tx) findAgent(ref string) (id string, body agentBody, err error) {
	if isAgentID(ref) {
		body, err = t.agent(ref)
		return ref, body, err
	}
	revoked := "" // of that name
	err = t.agents(func(k string, b agentBody) error {
		switch {
		case b.Name != ref:
		case b.RevokedAt == nil:
			id, body = k, b
		default:
			revoked = k
		}
		return nil
	})
	if err == nil && id == "" {
		err = t.checkMACs(bucketAgents) // a record that was skipped may have the name
	}
	switch {
	case err != nil || id != "":
	case revoked != "":
		err = fault.New(ErrNoAgent, "no active agent is named %q; %s, which was revoked, had that name", ref, revoked)
	default:
		err = fault.New(ErrNoAgent, "no agent %q", ref)
	}
	return id, body, err
}

// Narrowing says what it costs to take a right away, and what was done.
type Narrowing struct {
	Agent    Agent
	Versions int // values to reseal
	Tokens   int // live tokens that end as well

	// LeftBehind names the records that failed their checks in the rewrite, and were left out:
	// whoever loses the right must not be able to block the rewrite with bad records.
	LeftBehind []string
	Mended     []string // what was done about them, in words
	Doubts     []string // what else was wrong, with the log or missing; see [LossError]
	Kept       string   // where the replaced file is kept; "" if it is not

	// Forgotten is the number of the newest log entry that this machine had seen, if the log
	// now ends before it: only somebody with a key of the epoch can have made such an entry. Other
	// machines that saw it will take the vault for an older copy, until they accept it. 0 means none.
	Forgotten uint64
}

// narrowing rewrites the vault, and completes n.
func (s *Session) narrowing(p *rewritePlan, n *Narrowing) error {
	seen := s.v.seen.Seq
	err := s.rewrite(p)
	n.Doubts = p.doubts
	if n.LeftBehind, n.Mended, n.Kept = p.leftNames(), p.mend, p.kept; seen > s.v.seen.Seq {
		n.Forgotten = seen
	}
	return err
}

// Narrow says what it costs to revoke an agent or to replace its key. ref is an id, or
// the name of an active agent. If the agent was revoked, the error is [ErrConflict].
func (s *Session) Narrow(ref string) (Narrowing, error) {
	return s.narrow(ref, "")
}

func (s *Session) narrow(ref, event string) (Narrowing, error) {
	var n Narrowing
	if err := s.mayOnlyOwner("revoke agents and rotate their keys", event, s.by.id); err != nil {
		return n, err
	}
	return n, s.viewUnchecked(func(t *tx) error { // nothing that somebody put there stops an act that narrows
		id, body, err := t.findAgent(ref)
		if err != nil { // an agent can be revoked even if its record was removed or does not hold
			id, body, err = s.agentInLog(t, ref, err)
		}
		if err != nil {
			return err
		}
		if body.RevokedAt != nil {
			return fault.New(ErrConflict, "agent %s (%s) is already revoked", id, body.Name)
		}
		n.Agent = s.agentOf(id, body)
		if n.Tokens, err = t.liveTokensOf(id); err != nil {
			return err
		}
		n.Versions, err = t.count(bucketVersions)
		return err
	})
}

// agentInLog is findAgent for an agent whose record does not hold, which is what err says. It believes the log.
func (s *Session) agentInLog(t *tx, ref string, err error) (id string, body agentBody, _ error) {
	v, _, lerr := s.learnLog(t, false)
	if lerr != nil {
		return "", body, err
	}
	for id := range v.told.records {
		if body, ok := v.told.agentBody(id); ok && (id == ref || body.Name == ref && body.RevokedAt == nil) {
			return id, body, nil
		}
	}
	return "", body, err
}

// RevokeAgent ends an agent and all its tokens. It rewrites the vault under a new
// epoch, in which their keys open nothing. ref is an id or a name.
func (s *Session) RevokeAgent(ref string, o NarrowOptions) (Narrowing, error) {
	n, err := s.narrow(ref, audit.AgentRevoked)
	if err != nil {
		return n, err
	}
	id := n.Agent.ID
	plan := &rewritePlan{
		why: "agent revoked", what: id, revoke: id, NarrowOptions: o,
		then: func(_ *Session, t *tx) error {
			return t.log(audit.AgentRevoked, "agent", id, map[string]any{"name": n.Agent.Name, "tokens": n.Tokens})
		},
	}
	return n, s.narrowing(plan, &n)
}

// RotateAgentKey gives an agent a new key, and rewrites the vault under a new epoch.
// The old key, and the tokens that were issued with it, open nothing in that epoch.
// ref is an id or a name.
func (s *Session) RotateAgentKey(ref string, o NarrowOptions) (Narrowing, tokens.AgentKey, error) {
	n, err := s.narrow(ref, audit.AgentKeyRotated)
	if err != nil {
		return n, tokens.AgentKey{}, err
	}
	var (
		id = n.Agent.ID
		k  tokens.AgentKey
	)
	plan := &rewritePlan{
		why: "agent key rotated", what: id, rotate: id, NarrowOptions: o,
		then: func(next *Session, t *tx) error {
			body, err := t.agent(id)
			if err != nil {
				return err
			}
			k, n.Agent = next.agentKey(id, body.Serial), next.agentOf(id, body)
			return t.log(audit.AgentKeyRotated, "agent", id, body.logged())
		},
	}
	err = s.narrowing(plan, &n)
	return n, k, err
}
