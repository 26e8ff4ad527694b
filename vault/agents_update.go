package vault

import (
	"maps"
	"slices"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/fault"
)

// An agent's rights can change while its key stays. To widen them appends: the agent gets a new grant, which opens
// what is newly covered, also what was stored before. To narrow them takes something away, so it is a rewrite; a
// change that does both is one, too.

// AgentChange says what to change about an agent. A nil field stays as it is.
type AgentChange struct {
	Description *string
	Namespaces  []tokens.Namespace // an empty list that is not nil: nothing bounds the scopes
	Scopes      tokens.Scopes
}

// AgentUpdate says what a change makes of an agent. Its Agent is as it will be, and its Tokens are those that the new
// scopes do not cover: they end.
type AgentUpdate struct {
	Narrowing
	Before       Agent
	Gained, Lost tokens.Scopes // scopes that the other ones do not cover
	Changes      bool          // whether anything is other than before
}

// Narrows reports whether the change takes a right away, so that the vault is rewritten.
func (u AgentUpdate) Narrows() bool { return len(u.Lost) > 0 }

// beyond returns those of some scopes that others do not cover.
func beyond(scopes, others tokens.Scopes) tokens.Scopes {
	return slices.DeleteFunc(slices.Clone(scopes), others.Contain)
}

// sameScopes reports whether two lists of scopes allow the same.
func sameScopes(a, b tokens.Scopes) bool { return len(beyond(a, b))+len(beyond(b, a)) == 0 }

// PlanAgentUpdate says what a change would do, and changes nothing. ref is an id, or the name of an active agent. If
// the agent was revoked, the error is [ErrConflict].
func (s *Session) PlanAgentUpdate(ref string, c AgentChange) (u AgentUpdate, err error) {
	if err := s.mayOnlyOwner("change agents", "", s.by.id); err != nil {
		return u, err
	}
	err = s.viewUnchecked(func(t *tx) (err error) { // as in narrow
		_, u, err = s.planAgentUpdate(t, ref, c)
		return err
	})
	return u, err
}

func (s *Session) planAgentUpdate(t *tx, ref string, c AgentChange) (after agentBody, u AgentUpdate, err error) {
	id, before, err := t.findAgent(ref)
	gone := err != nil
	if gone {
		if id, before, err = s.agentInLog(t, ref, err); err != nil {
			return after, u, err
		}
	}
	if before.RevokedAt != nil {
		return after, u, fault.New(ErrConflict, "agent %s (%s) is revoked", id, before.Name)
	}
	u.Before = s.agentOf(id, before)
	if after, err = before.with(u.Before, c); err != nil {
		return after, u, err
	}
	u.Agent = s.agentOf(id, after)
	u.Gained, u.Lost = beyond(after.scopes(), before.scopes()), beyond(before.scopes(), after.scopes())
	u.Changes = after.Description != before.Description || !slices.Equal(after.Namespaces, before.Namespaces) ||
		!slices.Equal(after.Scopes, before.Scopes)
	if gone && !u.Narrows() { // only a rewrite mends the record
		return after, u, fault.Damaged(agentKind.recordName([]byte(id)), "it is missing or was altered, though the log "+
			"tells of %s: "+
			"rotate the agent's key, or restore a backup", before.Name)
	}
	ended, err := t.tokensBeyond(id, after.scopes())
	if err != nil {
		return after, u, err
	}
	u.Tokens = len(ended)
	u.Versions, err = t.count(bucketVersions)
	return after, u, err
}

// with returns the record of an agent after a change. If the agent may read its namespaces and no more, as it does if
// no scopes are named, it may read the new ones.
func (b agentBody) with(now Agent, c AgentChange) (agentBody, error) {
	spec := AgentSpec{Name: b.Name, Description: b.Description, Namespaces: now.Namespaces, Scopes: b.scopes()}
	if c.Description != nil {
		spec.Description = *c.Description
	}
	if c.Namespaces != nil {
		byDefault, err := AgentSpec{Name: b.Name, Namespaces: now.Namespaces}.Resolve()
		if spec.Namespaces = c.Namespaces; err == nil && len(c.Namespaces) > 0 &&
			slices.Equal(byDefault.Scopes, spec.Scopes) {
			spec.Scopes = nil
		}
	}
	if c.Scopes != nil {
		spec.Scopes = c.Scopes
	}
	spec, err := spec.Resolve()
	if err != nil {
		return b, err
	}
	b.Description, b.Scopes, b.Namespaces = spec.Description, spec.Scopes.Strings(), []string{}
	for _, ns := range spec.Namespaces {
		b.Namespaces = append(b.Namespaces, ns.String())
	}
	return b, nil
}

// tokensBeyond returns the ids of the live tokens of an agent that some scopes do not cover.
func (t *tx) tokensBeyond(agent string, scopes tokens.Scopes) (ids []string, err error) {
	ids = []string{}
	err = t.eachToken(func(body tokenBody, c tokens.Claims) error {
		if c.Issuer != agent || len(beyond(c.Scopes, scopes)) == 0 {
			return nil
		}
		if info, err := t.tokenInfo(body, c); err == nil && info.State == TokenActive {
			ids = append(ids, c.ID)
		}
		return nil
	})
	return ids, err
}

// UpdateAgent changes an agent; its key stays. ref is an id or a name. narrows is what PlanAgentUpdate said: if it is
// otherwise now, the error is [ErrConflict], and nothing is changed. If the change takes a right away, UpdateAgent
// rewrites the vault under a new epoch, in which the key opens nothing that is lost; tokens of the agent that its new
// scopes do not cover end.
func (s *Session) UpdateAgent(ref string, c AgentChange, narrows bool, o NarrowOptions) (u AgentUpdate, err error) {
	if err := s.mayOnlyOwner("change agents", audit.AgentUpdated, s.by.id); err != nil {
		return u, err
	}
	if !narrows {
		err = s.update(func(t *tx) (err error) {
			var body agentBody
			if body, u, err = s.planAgentUpdate(t, ref, c); err != nil {
				return err
			}
			switch {
			case u.Narrows():
				return changedMeanwhile(u)
			case !u.Changes:
				return errKeepNothing
			}
			body.Seq = t.seq()
			if err := agentKind.put(t, []byte(u.Agent.ID), body); err != nil {
				return err
			}
			if err := s.grantAgent(t, u.Agent.ID, body); err != nil {
				return err
			}
			return t.log(audit.AgentUpdated, "agent", u.Agent.ID, u.logged(body, nil))
		})
		if err == errKeepNothing {
			err = nil
		}
		return u, err
	}
	var body agentBody
	var ended []string
	err = s.viewUnchecked(func(t *tx) (err error) {
		if body, u, err = s.planAgentUpdate(t, ref, c); err == nil {
			ended, err = t.tokensBeyond(u.Agent.ID, body.scopes())
		}
		return err
	})
	if err == nil && !u.Narrows() {
		err = changedMeanwhile(u)
	}
	if err != nil {
		return u, err
	}
	plan := &rewritePlan{
		why: "agent narrowed", what: u.Agent.ID, limit: u.Agent.ID, limited: body, NarrowOptions: o,
		then: func(_ *Session, t *tx) error {
			return t.log(audit.AgentUpdated, "agent", u.Agent.ID, u.logged(body, ended))
		},
	}
	return u, s.narrowing(plan, &u.Narrowing)
}

func changedMeanwhile(u AgentUpdate) error {
	return fault.New(ErrConflict, "agent %s (%s) was changed meanwhile", u.Agent.ID, u.Agent.Name).Hint("run it again")
}

// logged is what the log says about a change: what the agent may do from then on, and could do before.
func (u AgentUpdate) logged(b agentBody, ended []string) map[string]any {
	note := b.logged()
	note["scopes_before"], note["narrowed"] = u.Before.Scopes.Strings(), u.Narrows()
	if len(ended) > 0 {
		note["tokens_ended"] = ended[:min(len(ended), 500)]
	}
	return note
}

// limitAgent gives an agent the rights that the plan leaves it.
func (p *rewritePlan) limitAgent(b *agentBody) {
	b.Description, b.Scopes, b.Namespaces = p.limited.Description, p.limited.Scopes, p.limited.Namespaces
}

// goesOn reports whether the plan narrows an agent that may write a secret all the same. What the agent, or a token of
// it, wrote there is then believed on.
func (p *rewritePlan) goesOn(by string, secret tokens.Path) bool {
	return p.limit != "" && p.isEnded(by) && p.limited.scopes().Allow(tokens.Write, secret)
}

// endsBeyond reports whether a token, or a request, of some scopes goes with the rights that the plan takes from an
// agent.
func (p *rewritePlan) endsBeyond(agent string, scopes tokens.Scopes) bool {
	return p.limit != "" && agent == p.limit && len(beyond(scopes, p.limited.scopes())) > 0
}

// agentUpdated learns the rights that an agent has from then on. An entry that was not checked gives none.
func (st *story) agentUpdated(seq uint64, by string, ev audit.Event, checked bool) {
	id := ev.ResourceID
	now, active := st.actors[id]
	if !isAgentID(id) || !active || !checked && st.live {
		return
	}
	scopes := scopesIn(ev)
	if !checked {
		scopes = now.Scopes.Intersect(scopes)
	}
	now.Scopes = scopes
	st.actors[id] = now
	if key, known := st.issued[id]; known && checked {
		key.note = maps.Clone(ev.Metadata)
		st.issued[id] = key
	}
	for token, who := range st.actors {
		if who.Issuer != id || who.Ended > 0 || len(beyond(who.Scopes, scopes)) == 0 {
			continue
		}
		if who.Ended = seq; seq == st.began+1 { // the rewrite gave it no grant
			who.Ended = st.began
		}
		st.actors[token] = who
	}
	st.changed(seq, by, id)
}

// limitTo gives an agent from a backup the rights that the newest log says it has, and none that its newest record
// lacks. A log entry that was not checked adds none to those that the backup's record gives.
func (h *history) limitTo(id string, body *agentBody) {
	own, read := h.agents[id]
	now, known := h.actors[id]
	scopes := body.scopes()
	switch key, told := h.issued[id]; {
	case known && told && !key.checked:
		scopes = scopes.Intersect(now.Scopes)
	case known:
		scopes = now.Scopes
	}
	if own := own.scopes(); read && sameScopes(scopes, own) {
		scopes = own
	} else if read {
		scopes = scopes.Intersect(own)
	}
	if sameScopes(scopes, body.scopes()) {
		return
	}
	body.Scopes = scopes.Strings()
	switch key := h.issued[id]; {
	case read:
		body.Namespaces = own.Namespaces
	case key.checked:
		body.Namespaces = audit.Texts(key.note["namespaces"])
	}
}
