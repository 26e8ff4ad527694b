package vault

import (
	"slices"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/bolt"
	"ass/vault/internal/fault"
)

// The functions in this file read the log without a key, so they check nothing: see [Session.Verify].

// Entry is an audit event with its number in the log.
type Entry struct {
	Seq uint64
	audit.Event
}

// Query says which entries of the log are asked for. The zero Query asks for all.
type Query struct {
	// Before is the receipt of an entry; only those before it are asked for. If the log does not have that entry, the
	// error is [ErrConflict]: it is another log than the one that the receipt is from, or the entry was archived.
	Before Receipt

	// After is the number of an entry; only those behind it are asked for. 0 asks for all.
	After uint64

	// Maybe decides by a glance whether an entry can match, so that most entries need not be read as a whole. sure says
	// that it does match. nil decides about no entry.
	Maybe func(audit.Glance) (can, sure bool)

	// Match decides about an entry; nil if every one matches.
	Match func(audit.Event) bool
}

// can decides by a glance.
func (q Query) can(value []byte) (can, sure bool) {
	if q.Maybe != nil {
		if g, ok := audit.Look(value); ok {
			return q.Maybe(g)
		}
	}
	return true, q.Match == nil
}

// EachEntry calls fn for the entries that a query asks for, newest first, until fn returns false. size is how many bytes
// the file has of the entry. It returns the receipt of the last entry that fn got.
func (v *Vault) EachEntry(q Query, fn func(e Entry, size int) bool) (last Receipt, err error) {
	err = v.walkLog(q, func(k, value []byte, _ bool) bool {
		e := parseEntry(k, value)
		if q.Match != nil && !q.Match(e.Event) {
			return true
		}
		last = Receipt{e.Seq, macOf(value)}
		return fn(e, len(value))
	})
	return last, err
}

// CountEntries returns how many entries a query asks for. It does not read those of which a glance says enough.
func (v *Vault) CountEntries(q Query) (n int, err error) {
	if q.Match == nil && q.Before.Seq == 0 && q.After == 0 {
		return v.CountLog(nil)
	}
	err = v.walkLog(q, func(k, value []byte, sure bool) bool {
		if sure || q.Match(parseEntry(k, value).Event) {
			n++
		}
		return true
	})
	return n, err
}

// walkLog calls fn for the stored entries that can match, newest first, until fn returns false.
func (v *Vault) walkLog(q Query, fn func(k, value []byte, sure bool) bool) error {
	return v.db.View(func(b *bolt.Tx) error {
		var before []byte
		if q.Before.Seq > 0 {
			before = audit.Key(q.Before.Seq)
			value, err := b.Get(bucketAudit, before)
			if err != nil {
				return err
			}
			if value == nil || macOf(value) != q.Before.MAC {
				return fault.New(ErrConflict, "the log changed while it was read: it no longer has the entry %d that was there", q.Before.Seq)
			}
		}
		return b.WalkBackFrom(bucketAudit, before, func(k, value []byte) bool {
			switch seq := audit.Seq(k); {
			case seq == 0:
				return true // the checkpoint, not an entry
			case seq <= q.After:
				return false
			}
			can, sure := q.can(value)
			return !can || fn(k, value, sure)
		})
	})
}

// Log returns the newest matching entries, newest first. It returns at most limit entries, and looks at none behind them;
// 0 means no limit. If match is nil, every entry matches.
func (v *Vault) Log(limit int, match func(audit.Event) bool) (entries []Entry, err error) {
	_, err = v.EachEntry(Query{Match: match}, func(e Entry, _ int) bool {
		entries = append(entries, e)
		return limit == 0 || len(entries) < limit
	})
	return entries, err
}

// CountLog returns how many entries match. If match is nil, that is how many there are, which takes no walk.
func (v *Vault) CountLog(match func(audit.Event) bool) (n int, err error) {
	if match != nil {
		return v.CountEntries(Query{Match: match})
	}
	first, err := v.firstEntry()
	if err != nil {
		return 0, err
	}
	err = v.db.NewestFirst(bucketAudit, func(k, _ []byte) bool {
		seq := audit.Seq(k)
		if seq > 0 { // else it is the checkpoint
			n = int(seq-first) + 1 // the log has no gaps
		}
		return seq == 0
	})
	return n, err
}

// Log is [Vault.Log]: reading the log needs no key.
func (s *Session) Log(limit int, match func(audit.Event) bool) ([]Entry, error) {
	return s.v.Log(limit, match)
}

// CountLog is [Vault.CountLog].
func (s *Session) CountLog(match func(audit.Event) bool) (int, error) { return s.v.CountLog(match) }

// Vault returns the vault that the session is in, for what needs no key.
func (s *Session) Vault() *Vault { return s.v }

// LogAfter returns the matching entries after seq, oldest first, and the number of
// the newest entry of the log. In an older copy of the file, that number can be
// less than seq.
func (v *Vault) LogAfter(seq uint64, match func(audit.Event) bool) ([]Entry, uint64, error) {
	var (
		entries []Entry
		newest  uint64
	)
	err := v.db.NewestFirst(bucketAudit, func(k, value []byte) bool {
		n := audit.Seq(k)
		newest = max(newest, n)
		if n != 0 && n <= seq {
			return false
		}
		if e := parseEntry(k, value); n != 0 && (match == nil || match(e.Event)) {
			entries = append(entries, e)
		}
		return true
	})
	slices.Reverse(entries)
	return entries, newest, err
}

// parseEntry returns an unreadable entry as an event of type "unreadable", so that
// one damaged entry does not hide the others. A verification names it.
func parseEntry(k, value []byte) Entry {
	e := Entry{Seq: audit.Seq(k)}
	stored, err := audit.Parse(value)
	if err == nil {
		e.Event, err = stored.Event()
	}
	if err != nil {
		e.Event = audit.Event{Type: "unreadable", Metadata: map[string]any{}}
	}
	return e
}

// Actor says who is behind an id in the log.
type Actor struct {
	ID     string
	Issuer string // of a token: audit.Owner, or the id of an agent; else ""
	Name   string // of the agent, or of the one that issued the token; audit.Owner for the owner; "" if it is not known

	// Unlock says that ass unlock left the token: whoever acts with it is the owner.
	Unlock bool
}

// Actors says who is behind some ids; without ids, behind all that records or the log tell of. Nothing vouches for what it
// returns. Ids of which nothing tells are left out.
func (v *Vault) Actors(ids ...string) (map[string]Actor, error) {
	w := whoIs{v: v, all: ids == nil, found: map[string]Actor{audit.Owner: {ID: audit.Owner, Name: audit.Owner}},
		open: map[string]bool{}}
	err := v.db.View(func(b *bolt.Tx) error {
		for _, id := range ids {
			if err := w.record(b, id); err != nil {
				return err
			}
		}
		if w.all || len(w.open) > 0 {
			return w.records(b)
		}
		return nil
	})
	if err == nil && (w.all || len(w.open) > 0) {
		err = w.log()
	}
	for _, x := range w.claimed { // if their entries were archived
		w.is(x)
	}
	for id, x := range w.found {
		if x.Issuer != "" {
			x.Name = w.found[x.Issuer].Name
			w.found[id] = x
		}
	}
	return w.found, err
}

// whoIs is one run of [Vault.Actors].
type whoIs struct {
	v     *Vault
	all   bool
	found map[string]Actor
	open  map[string]bool // ids of which no record tells enough

	claimed []Actor // what the records of some of those say
}

// records takes what all records of agents tell. Of tokens, the log tells more.
func (w *whoIs) records(b *bolt.Tx) error {
	return b.Walk(bucketAgents, nil, func(k, value []byte) error {
		if body, ok := peek[agentBody](value); ok {
			w.found[string(k)] = Actor{ID: string(k), Name: body.Name}
		}
		return nil
	})
}

// record takes what the record of one actor tells.
func (w *whoIs) record(b *bolt.Tx, id string) error {
	if _, known := w.found[id]; known || w.open[id] || id == "" {
		return nil
	}
	w.open[id] = true
	if isAgentID(id) {
		value, err := b.Get(bucketAgents, []byte(id))
		if body, ok := peek[agentBody](value); ok {
			w.is(Actor{ID: id, Name: body.Name})
		}
		return err
	}
	value, err := b.Get(bucketTokens, []byte(id))
	if err != nil {
		return err
	}
	body, ok := peek[tokenBody](value)
	if !ok {
		return nil
	}
	if value, err = b.Get(bucketAudit, audit.Key(body.Seq)); err != nil {
		return err
	}
	if value != nil {
		w.tells(parseEntry(audit.Key(body.Seq), value).Event)
	}
	if claims, err := tokens.ParseHeaderPayload(body.HeaderPayload); err == nil && w.open[id] {
		if x := (Actor{ID: id, Issuer: claims.Issuer}); x.Issuer == audit.Owner {
			w.claimed = append(w.claimed, x) // a rewrite has replaced the number; the entry itself tells more
		} else {
			w.is(x)
		}
	}
	issuer := w.found[id].Issuer
	delete(w.open, issuer)
	return w.record(b, issuer)
}

func (w *whoIs) is(x Actor) {
	if _, known := w.found[x.ID]; !known {
		w.found[x.ID] = x
	}
	delete(w.open, x.ID)
}

// tells takes what an entry tells of an actor.
func (w *whoIs) tells(ev audit.Event) {
	switch id := ev.ResourceID; {
	case !w.all && !w.open[id]:
	case ev.Type == audit.TokenIssued:
		unlock, _ := ev.Metadata["unlock"].(bool)
		w.is(Actor{ID: id, Issuer: ev.ActorID, Unlock: unlock && ev.ActorID == audit.Owner})
		if _, known := w.found[ev.ActorID]; !known {
			w.open[ev.ActorID] = true // an older entry made that agent
		}
	case isAgentID(id) && ev.ActorID == audit.Owner:
		if name, ok := ev.Metadata["name"].(string); ok {
			w.is(Actor{ID: id, Name: name})
		}
	}
}

// log takes what the log tells.
func (w *whoIs) log() error {
	_, err := w.v.EachEntry(Query{Maybe: func(g audit.Glance) (can, sure bool) {
		return string(g.Type) == audit.TokenIssued || string(g.Actor) == audit.Owner && isAgentEvent(g.Type), false
	}}, func(e Entry, _ int) bool {
		w.tells(e.Event)
		return w.all || len(w.open) > 0
	})
	return err
}

// isAgentEvent reports whether an event is one that names an agent.
func isAgentEvent(event []byte) bool {
	switch string(event) {
	case audit.AgentCreated, audit.AgentKeyRotated, audit.AgentRevoked:
		return true
	}
	return false
}
