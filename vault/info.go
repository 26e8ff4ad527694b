package vault

import (
	"os"
	"slices"

	"ass/audit"
	"ass/tokens"
)

// The functions in this file need no key, so they cannot check what they read. Show
// their results, but never base a decision on them.

// Info describes a vault, as far as that needs no key.
type Info struct {
	ID       string
	Format   string
	Bytes    int64  // size of the file
	Secrets  int    // without deleted ones
	Deleted  int    // deleted and not purged
	Versions int    // stored values
	Tokens   int    // tokens that have a record, including lapsed ones
	Agents   int    // active agents
	Dated    int    // secrets with a date on which somebody should act
	Entries  uint64 // entries in the audit log
	Newest   *Entry // newest entry of the audit log; nil if there is none
}

// Info says what the vault holds. The numbers of records are those that the file itself states, so they cost the same in
// a vault of any size; if it states none that could be true, the records are counted.
func (v *Vault) Info() (Info, error) {
	info := Info{ID: v.ID(), Format: formatName(v.format)}
	file, err := os.Stat(v.path)
	if err != nil {
		return info, err
	}
	info.Bytes = file.Size()
	c, err := v.counts()
	if err != nil {
		return info, err
	}
	info.Secrets, info.Deleted, info.Versions = int(c.Secrets), int(c.Deleted), int(c.Versions)
	info.Tokens, info.Agents, info.Dated = int(c.Tokens), int(c.Agents), int(c.Dated)
	total, err := v.CountLog(nil)
	if err != nil {
		return info, err
	}
	info.Entries = uint64(total)
	entries, err := v.Log(1, nil)
	if len(entries) > 0 {
		info.Newest = &entries[0]
	}
	return info, err
}

// EndedTokens returns the ids of tokens that have lapsed, are used up or were revoked since the last rewrite, as
// far as they still have a record.
func (v *Vault) EndedTokens() (ended []string, err error) {
	indices := map[string][]byte{} // of the grants of tokens that have not lapsed
	err = v.db.Each(bucketTokens, func(k, value []byte) {
		body, ok := peek[tokenBody](value)
		if !ok {
			return
		}
		if c, err := tokens.ParseHeaderPayload(body.HeaderPayload); err == nil && !v.opts.Now().Before(c.Expires) {
			ended = append(ended, string(k))
		} else {
			indices[string(k)] = body.Index
		}
	})
	if err != nil {
		return nil, err
	}
	for id, index := range indices {
		if granted, err := v.db.Get(bucketGrants, index); err != nil {
			return nil, err
		} else if granted == nil {
			ended = append(ended, id)
		}
	}
	slices.Sort(ended)
	return ended, nil
}

// isActive reports whether the record of an agent contains no revocation.
func isActive(value []byte) bool {
	body, ok := peek[agentBody](value)
	return !ok || body.RevokedAt == nil
}

// peek returns the body of stored bytes, unchecked. If there is none, ok is false.
func peek[B any](value []byte) (body B, ok bool) {
	r, err := parseRecord(value)
	ok = err == nil && audit.DecodeStrict(r.body, &body) == nil
	return body, ok
}

// HasAgents reports whether the vault has an active agent. Something is decided on that, so it looks at records.
func (v *Vault) HasAgents() (found bool, err error) {
	err = v.db.NewestFirst(bucketAgents, func(_, value []byte) bool {
		found = isActive(value)
		return !found
	})
	return found, err
}

// Info is [Vault.Info].
func (s *Session) Info() (Info, error) { return s.v.Info() }
