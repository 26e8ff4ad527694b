package vault

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault/disk"
	"ass/vault/internal/bolt"
	"ass/vault/internal/fault"
)

// What a restore finds: the backup, the readable part of the vault in its place, and the
// plan that follows from both.

// history is what the log of a vault tells, as far as it can be read.
type history struct {
	*story
	last    audit.Position
	entries iter.Seq2[[]byte, []byte]
	walked  error                // why entries ended before the last one
	agents  map[string]agentBody // from records that hold
	problem string
	toEnd   bool // whether the log holds up to the last entry that the head names
	epoch   uint32
}

// readThere reads the log of the file in the vault's place. If the file does not open as
// a vault, it reads whatever can be found in the file.
func (r *restore) readThere() error {
	o := r.o
	o.ReadOnly = true
	v := &Vault{path: r.path, opts: o, lock: &disk.Lock{}}
	err := checkFile(r.path)
	if errors.Is(err, ErrNoVault) { // a folder, a link
		return err
	}
	if err == nil {
		err = v.open()
	}
	its := err != nil || v.vid == r.from.v.vid
	r.there = v
	r.plan.There = true
	r.plan.Others = otherNames(r.path)
	if err == nil {
		var s *Session
		if s, err = v.Owner(r.id); err == nil && s.epoch.Vault != r.from.v.vid {
			return r.another()
		}
		if err == nil {
			r.ways, _ = s.Ways() // if they do not hold, those of the backup have to do
			err = r.readWhole(s)
		}
	}
	var newer *newerError
	if errors.As(err, &newer) {
		return err
	}
	if errors.Is(err, ErrFormat) {
		if text, merr := v.meta(metaFormat); merr == nil && isLater(string(text)) {
			return err // a later program made it, so this one cannot tell what a restore would undo
		}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrDamaged), errors.Is(err, ErrWrongKey), errors.Is(err, ErrFormat):
		// It may be the same vault with a damaged root, id or format; then a backup helps.
		// Or it is another vault, and nothing in it holds under this root.
		return r.readDamaged(err, its && errors.Is(err, ErrDamaged))
	}
	return err
}

func (r *restore) another() error {
	return fault.New(ErrOtherVault, "the vault at %s is not the one that was backed up", r.path)
}

func (r *restore) readWhole(s *Session) error {
	h := &history{story: newStory(s.root), agents: map[string]agentBody{}, epoch: s.epoch.N}
	r.history = h
	h.entries = func(yield func(k, v []byte) bool) {
		more := true
		h.walked = s.v.db.Each(bucketAudit, func(k, v []byte) { more = more && (audit.Seq(k) == 0 || yield(k, v)) })
	}
	return s.view(func(t *tx) error {
		cp, err := t.checkpoint()
		if err == nil {
			err = h.begin(cp)
		}
		if err != nil {
			return err
		}
		var walked error
		h.last = h.read(t.head.log.Seq, t.ownLog(&walked), s.v.opts.Progress)
		if err := refuseNewer(r.path, h.features); err != nil {
			return err
		}
		if walked != nil {
			return walked
		}
		h.endsIn(s.epoch)
		if len(h.problems) > 0 {
			h.problem = h.problems[0]
		}
		return t.agents(func(id string, body agentBody) error { h.agents[id] = body; return nil })
	})
}

// readDamaged reads what can be found of the log. It checks MACs and signatures with
// keys from the backup's root.
func (r *restore) readDamaged(why error, its bool) error {
	found, err := bolt.ScanFile(r.path, plausible)
	if err != nil {
		return err
	}
	w := &salvage{path: r.path, found: found, id: r.id}
	s := r.from
	if w.findEpoch(s.root, r.o); w.s != nil {
		s = w.s
		w.findEnd()
	} else if err := w.findKeys(r.o); err == nil {
		return r.another()
	}
	if err := w.readLog(s); err != nil {
		return err
	}
	if err := w.refuseNewer(); err != nil {
		return err
	}
	if !its && w.s == nil && w.told.epoch == 0 {
		return r.another()
	}
	h := &history{story: w.told, agents: map[string]agentBody{}, epoch: s.epoch.N, problem: why.Error(),
		last: w.last, entries: w.log.each}
	if w.s != nil {
		hash, owner := s.newHasher(), signer{by: audit.Owner, pub: s.pub, owner: true}
		records, err := w.records()
		if err != nil {
			return err
		}
		for at, c := range records {
			var body agentBody
			rec, err := parseRecord(c.value)
			if err == nil {
				h.raisedBy(at, rec)
			}
			if at.bucket == bucketAgents && err == nil && hash.signatureHolds(owner, at.bucket, []byte(at.key), rec) &&
				audit.DecodeStrict(rec.body, &body) == nil {
				h.agents[at.key] = body
			}
		}
	}
	h.toEnd = w.sure && w.last.Seq >= w.end && len(h.problems) == 0
	h.epoch = max(h.epoch, w.told.epoch)
	if w.s == nil {
		h.epoch += 1 << 16 // earlier epochs are unknown, and no number may be used again
	}
	r.history = h
	return nil
}

// raisedBy notes the tier that a record gives a secret. If the log cannot be read, the
// records of the newest epoch may still show that a tier was raised.
func (h *history) raisedBy(at where, r record) {
	path, body := at.key, struct {
		Tier tokens.Tier `json:"tier"`
	}{}
	if at.bucket == bucketVersions {
		path, _, _ = cutVersionKey([]byte(at.key))
	}
	if (at.bucket == bucketVersions || at.bucket == bucketSecrets) && json.Unmarshal(r.body, &body) == nil {
		h.tiers[path] = max(h.tiers[path], body.Tier)
	}
}

// compare makes the plan.
func (r *restore) compare(t *tx) error {
	if err := r.readHead(t); err != nil {
		return err
	}
	p, h := &r.plan, r.history
	p.Entry = t.head.log.Seq
	entries, err := r.from.v.Log(1, nil)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		p.Taken = entries[0].CreatedAt
	}
	r.last = t.head.log
	r.raise = map[tokens.Path]tokens.Tier{}
	seen, unread := r.o.memory().recall(r.from.v.vid)
	switch {
	case unread != nil:
		p.Unread = unread.Error()
	case h == nil && seen == mark{}:
		p.Unread = "this machine has not seen the vault before"
	case h == nil && (seen.Seq != t.head.log.Seq || seen.MAC != t.head.log.LastMAC):
		p.Unread = fmt.Sprintf("this machine saw the log up to entry %d, which is not the last one of the backup", seen.Seq)
	case h == nil:
	case h.problem != "" && !h.toEnd:
		p.Unread = "its log cannot be read to its end"
	case r.there.format > 0 && r.there.format < seen.format:
		p.Unread = (&Rollback{Format: seen.format}).String()
	case !h.has(seen) && h.last.Seq < seen.Seq:
		p.Unread = (&Rollback{Seen: seen.Seq, Have: h.last.Seq}).String()
	case !h.has(seen):
		p.Unread = fmt.Sprintf("this machine saw a different entry %d: the vault is an older copy, or one with a history of "+
			"its own", seen.Seq)
	}
	if h != nil {
		p.Damaged, p.Newest = h.problem, h.last.Seq
		extends, err := r.extends(t)
		if err != nil {
			return err
		}
		// Later verifications would report damaged entries for ever. Such a log stays in
		// the replaced file, which is kept.
		if p.KeepsLog = extends && len(h.problems) == 0; p.KeepsLog {
			r.last = h.last
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.backup.heads)) {
		if head := p.backup.heads[name]; head != nil { // else it is an agent
			if err := r.compareSecret(name, head.secretBody); err != nil {
				return err
			}
		}
	}
	if h != nil {
		for _, name := range slices.Sorted(maps.Keys(h.records)) {
			if r := h.records[name]; !r.Gone && !r.Deleted && p.backup.heads[name] == nil && !isAgentID(name) {
				p.Leaving = append(p.Leaving, name)
			}
		}
	}
	if err := r.planAgents(t); err != nil {
		return err
	}
	return r.isVerified(t)
}

// compareSecret adds to the plan what becomes of a secret of the backup.
func (r *restore) compareSecret(name string, head secretBody) error {
	path, err := tokens.ParsePath(name)
	if err != nil {
		return err
	}
	p, h := &r.plan, r.history
	if head.DeletedAt == nil {
		p.Secrets++
	}
	if h == nil {
		return nil
	}
	now := h.records[name]
	// If the log is undamaged but does not mention the secret, that part was archived.
	gone := now == nil && h.problem == "" || now != nil && (now.Gone || now.Deleted)
	if head.DeletedAt == nil && gone {
		p.Returning = append(p.Returning, name)
	} else if now.there() {
		// In format 1, a version number can be used again after a purge.
		if told, _ := now.version(now.Version); p.backup.wrote[string(versionKey(path, now.Version))] != told.Seq {
			p.Older = append(p.Older, fmt.Sprintf("%s (%s → %s)", name, versionName(now.Version), versionOf(head.Version,
				now.Version)))
		}
	}
	tier := h.tiers[name]
	if left := h.left[name]; left.seq > p.Entry || !p.KeepsLog { // else the backup is from after the move
		tier = max(tier, left.tier)
	}
	if tier > head.Tier {
		r.raise[path] = tier
		p.Raised = append(p.Raised, fmt.Sprintf("%s (%s)", name, tier))
	}
	return nil
}

// has reports whether the history includes the entry that this machine has seen.
func (h *history) has(seen mark) bool {
	if seen.Seq <= h.from.Cut { // archived, or the zero mark
		return true
	}
	found := false
	for k, v := range h.entries {
		found = found || audit.Seq(k) == seen.Seq && macOf(v) == seen.MAC
	}
	return found
}

func versionOf(n, other uint64) string {
	if n == other {
		return "another " + versionName(n)
	}
	return versionName(n)
}

// extends reports whether the log of the vault in place continues the backup's log.
func (r *restore) extends(t *tx) (bool, error) {
	if !r.compared() {
		return true, nil
	}
	want, extends := t.head.log, false
	for k, v := range r.history.entries {
		if audit.Seq(k) == want.Seq {
			extends = macOf(v) == want.LastMAC
		}
	}
	return extends, nil
}

// compared reports whether the log of the vault in place still has the newest entry of the backup, so that the two can
// be compared.
func (r *restore) compared() bool { return r.history.from.Cut < r.plan.Entry }

// planAgents decides on each agent. The newest log determines its rights, but an
// unchecked entry never gives any.
func (r *restore) planAgents(t *tx) error {
	p, h := &r.plan, r.history
	have := map[string]bool{}
	r.serials, r.scopes = map[string]uint32{}, map[string]tokens.Scopes{}
	err := t.agents(func(id string, body agentBody) error {
		have[id] = true
		name, active := fmt.Sprintf("%s (%s)", body.Name, id), body.RevokedAt == nil
		if active && !p.KeepsLog {
			r.serials[id] = body.Serial
		}
		serial, scopes := body.Serial, body.scopes()
		if active && !p.KeepsLog {
			r.scopes[id] = scopes
		}
		if h != nil {
			h.narrow(id, &body, t.now)
		}
		switch {
		case active && body.RevokedAt != nil:
			p.Revoked = append(p.Revoked, name)
		case active && body.Serial > serial:
			p.Revoked = append(p.Revoked, name+", the key before its newest")
		case active && len(beyond(scopes, body.scopes())) > 0:
			p.Revoked = append(p.Revoked, name+", what its scopes have lost: "+beyond(scopes, body.scopes()).String())
		}
		if body.RevokedAt == nil && p.Unread != "" {
			p.Reviving = append(p.Reviving, name)
		}
		r.agents = append(r.agents, agentAt{id, body})
		return nil
	})
	if err != nil || h == nil {
		return err
	}
	if p.KeepsLog {
		for id, now := range h.actors {
			if isAgentID(id) {
				r.serials[id], r.scopes[id] = now.Serial, now.Scopes
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(h.records)) {
		if !isAgentID(id) || have[id] {
			continue
		}
		body, ok := h.agents[id]
		_, active := h.actors[id]
		if ok {
			h.narrow(id, &body, t.now)
		} else if active {
			if body, ok = h.agentBody(id); ok {
				h.limitTo(id, &body)
			}
		}
		switch {
		case ok:
		case active:
			p.Lost = append(p.Lost, id)
			continue
		default:
			continue // revoked, and not in the backup: nothing is left to restore
		}
		if body.RevokedAt == nil && p.Unread != "" {
			p.Reviving = append(p.Reviving, fmt.Sprintf("%s (%s)", body.Name, id))
		}
		r.agents = append(r.agents, agentAt{id, body})
	}
	return nil
}

// narrow takes from an agent the rights that it lost, according to the log or to its
// newest record.
func (h *history) narrow(id string, body *agentBody, at time.Time) {
	// No agent has had this many keys since the backup. An unchecked entry that says so
	// was not signed by its author.
	const most = 1 << 16
	own, read := h.agents[id]
	now, known := h.actors[id]
	key, told := h.issued[id], h.records[id] != nil
	switch {
	case body.RevokedAt != nil:
	case read && own.RevokedAt != nil:
		body.RevokedAt = own.RevokedAt
	case told && !known, !key.checked && now.Serial > body.Serial && now.Serial-body.Serial > most:
		body.RevokedAt = &at
	}
	if read && own.Serial > body.Serial {
		body.Serial, body.IssuedAt = own.Serial, own.IssuedAt
	}
	if body.RevokedAt == nil {
		h.limitTo(id, body)
	}
	if body.RevokedAt == nil && now.Serial > body.Serial {
		body.Serial = now.Serial
		if key.at.After(body.IssuedAt) { // it is zero if the entry is archived
			body.IssuedAt = key.at
		}
	}
}
