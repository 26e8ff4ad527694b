package vault

import (
	"ass/tokens"
	"ass/vault/internal/bolt"
)

// Glances show what is in the file without a key, and check nothing: no MAC, no signature. They are for suggestions
// on a command line, and for counts. Nothing may be decided on them.

// Paths lists the paths that begin with a text, of secrets that are not deleted, in order. It reads no other record.
func (v *Vault) Paths(beginning string) (list []tokens.Path, err error) {
	err = v.GlanceSecrets(beginning, func(s Secret) {
		if s.DeletedAt == nil {
			list = append(list, s.Path)
		}
	})
	return list, err
}

// GlanceSecrets calls fn with the path, type, tier, deletion and description of each secret whose path begins with a
// text, deleted or not, in order. It reads no other record.
func (v *Vault) GlanceSecrets(beginning string, fn func(Secret)) error {
	return v.db.View(func(b *bolt.Tx) error {
		return b.Walk(bucketSecrets, []byte(beginning), func(k, value []byte) error {
			head, _ := peek[secretBody](value)
			if p, err := tokens.ParsePath(string(k)); err == nil {
				fn(Secret{Path: p, Type: head.Type, Tier: head.Tier, DeletedAt: head.DeletedAt, About: head.About})
			}
			return nil
		})
	})
}

// GlanceAgents calls fn with the id, name, description and revocation of each agent.
func (v *Vault) GlanceAgents(fn func(Agent)) error {
	return v.db.Each(bucketAgents, func(k, value []byte) {
		if body, ok := peek[agentBody](value); ok {
			fn(Agent{ID: string(k), Name: body.Name, Description: body.Description, RevokedAt: body.RevokedAt})
		}
	})
}

// GlanceTokens calls fn with the id of each token that has a record, and a function that parses its claims.
func (v *Vault) GlanceTokens(fn func(id string, claims func() (tokens.Claims, error))) error {
	return v.db.Each(bucketTokens, func(k, value []byte) {
		fn(string(k), func() (tokens.Claims, error) {
			body, _ := peek[tokenBody](value)
			return tokens.ParseHeaderPayload(body.HeaderPayload)
		})
	})
}

// GlanceRequests calls fn with each request that waits for a decision: its id, action and path, and the agent's name,
// or the id of the requester.
func (v *Vault) GlanceRequests(fn func(Request)) error {
	return v.pending(func(id string, body requestBody, b *bolt.Tx) {
		q := Request{ID: id, Action: body.Action, Name: body.Requester}
		q.Path, _ = tokens.ParsePath(body.Path)
		if agent, err := b.Get(bucketAgents, []byte(body.Requester)); err == nil {
			if body, ok := peek[agentBody](agent); ok {
				q.Name = body.Name
			}
		}
		fn(q)
	})
}

// PendingIDs lists the ids of the requests that wait for a decision.
func (v *Vault) PendingIDs() (list []string, err error) {
	err = v.pending(func(id string, _ requestBody, _ *bolt.Tx) { list = append(list, id) })
	return list, err
}

// Waiting returns how many requests wait for a decision. Where there are none, it reads one page.
func (v *Vault) Waiting() (n int, err error) {
	err = v.pending(func(string, requestBody, *bolt.Tx) { n++ })
	return n, err
}

// pending calls fn with each request that has no decision and has not lapsed.
func (v *Vault) pending(fn func(id string, body requestBody, b *bolt.Tx)) error {
	now := v.opts.Now()
	return v.db.View(func(b *bolt.Tx) error {
		return b.Walk(bucketRequests, nil, func(k, value []byte) error {
			_, id, ok := cutRequestKey(k)
			if !ok {
				return nil
			}
			if decided, err := b.Get(bucketDecisions, k); decided != nil || err != nil {
				return err
			}
			body, ok := peek[requestBody](value)
			if ok && now.Before(body.IssueAt.Add(RequestLifetime)) && !IsAhead(body.IssueAt, now) {
				fn(id.String(), body, b)
			}
			return nil
		})
	})
}
