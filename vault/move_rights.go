package vault

import (
	"maps"
	"slices"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/fault"
)

// Who gains or loses a right by a move decides what the owner is asked, and whether the vault is rewritten. An
// insider can remove or break a record and keep its keys. So the log counts as well as the records.

// rightsChanged returns what each active agent and token loses and gains by a move. By a copy, nobody loses anything.
func (t *tx) rightsChanged(told *story, work []*moving, copied bool) (list []RightsChange, err error) {
	add := func(c RightsChange, scopes tokens.Scopes) {
		c.Losing, c.Gained = map[tokens.Action]int{}, map[tokens.Action]int{}
		for _, w := range work {
			for _, action := range []tokens.Action{tokens.Read, tokens.Write, tokens.Delete} {
				before, after := right(scopes, action, w.From), right(scopes, action, w.Path)
				if before && !after && !copied {
					c.Losing[action]++
				} else if after && !before {
					c.Gained[action]++
				}
			}
		}
		if len(c.Losing)+len(c.Gained) > 0 {
			list = append(list, c)
		}
	}
	agents, err := t.agentsAsTold(told)
	if err != nil {
		return nil, err
	}
	for _, id := range slices.Sorted(maps.Keys(agents)) {
		if body := agents[id]; body.RevokedAt == nil {
			add(RightsChange{Kind: audit.Agent, ID: id, Name: body.Name}, body.scopes())
		}
	}
	active, err := t.activeTokens(told)
	if err != nil {
		return nil, err
	}
	for _, id := range slices.Sorted(maps.Keys(active)) {
		who := active[id]
		add(RightsChange{Kind: audit.Token, ID: id, Agent: who.Issuer, Name: agents[who.Issuer].Name}, who.Scopes)
	}
	return list, nil
}

// agentsAsTold returns all agents. It refuses a record that does not hold or that the log contradicts, and one that is
// missing.
func (t *tx) agentsAsTold(told *story) (map[string]agentBody, error) {
	agents := map[string]agentBody{}
	err := t.walk(bucketAgents, nil, func(k, v []byte) error {
		body, r, err := agentKind.read(t, k, v)
		if err == nil {
			err = told.agent(string(k), body, t.placed(agentKind.rules, k, r))
		}
		agents[string(k)] = body
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, id := range slices.Sorted(maps.Keys(told.actors)) {
		if _, met := agents[id]; !met && isAgentID(id) {
			return nil, fault.Damaged(agentKind.recordName([]byte(id)), "its record is missing, though the log tells of it: "+
				"its key may still open secrets until the agent is revoked")
		}
	}
	return agents, nil
}

// activeTokens returns the tokens that are active by their records or by the log, with the rights that either gives
// them.
func (t *tx) activeTokens(told *story) (map[string]actorAt, error) {
	active := map[string]actorAt{}
	for id, who := range told.actors {
		if who.Issuer != "" && who.Ended == 0 && (who.Expires == nil || t.now.Before(*who.Expires)) {
			active[id] = who
		}
	}
	if err := t.checkMACs(bucketTokens); err != nil { // a record that is skipped may be of one that the log does not tell of
		return nil, err
	}
	return active, t.eachToken(func(body tokenBody, c tokens.Claims) error {
		info, err := t.tokenInfo(body, c)
		if err != nil || info.State != TokenActive {
			return err
		}
		rights, err := t.rights(c)
		who := active[c.ID]
		active[c.ID] = actorAt{ID: c.ID, Issuer: c.Issuer, Scopes: slices.Concat(who.Scopes, rights)}
		return err
	})
}
