package vault

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/fault"
	"ass/vault/internal/keys"
)

// What a new file takes from an old one. A copy for another epoch is checked, opened,
// sealed again and signed by the owner; a raw copy is the same bytes, but for the counts.

// copyRaw copies every bucket as it is, without the log entries up to cut. The new file
// has none of the data in the old file's free pages. If the records are not those of the head, there is an error.
func (w *builder) copyRaw(old *tx, cut uint64, progress func(done, total int)) error {
	var (
		sum   digest
		count uint64
	)
	worker := func() func(*rawRecord) {
		of := newDigester(old.Epoch)
		return func(c *rawRecord) {
			if c.isRecord() {
				m := macOf(c.v)
				c.counts, c.term = standingIn(c.bucket, c.v), of(c.bucket, c.k, m[:])
			}
		}
	}
	put := func(c *rawRecord) error {
		if c.isRecord() {
			sum.add(c.term)
			count++
		}
		return w.appendRaw(c)
	}
	done, total := 0, int(old.head.count+old.head.log.Seq)
	err := inBatches(worker, put, func(add func(rawRecord, int) error) error {
		for _, name := range allBuckets(old.Format) {
			err := old.walk(name, nil, func(k, v []byte) error {
				if done++; done%1000 == 0 || done == total {
					progress(done, total)
				}
				if name == bucketAudit && cut > 0 && audit.Seq(k) <= cut {
					return nil
				}
				return add(newRawRecord(name, k, v), len(k)+len(v))
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && (sum != old.head.digest || count != old.head.count) {
		err = old.blame()
	}
	return err
}

// copyMeta copies values of the meta bucket that a new epoch does not change.
func (w *builder) copyMeta(old *tx, names ...string) error {
	for _, name := range names {
		value, err := old.get(bucketMeta, []byte(name))
		if err != nil {
			return err
		}
		if err := w.t.putMeta(name, bytes.Clone(value)); err != nil {
			return err
		}
	}
	return nil
}

// copyLog copies the audit bucket as it is, entries that do not hold included. If end is not 0, it leaves
// out what lies after that entry, and what has no key of an entry.
func (w *builder) copyLog(old *tx, end uint64) error {
	return old.walk(bucketAudit, nil, func(k, v []byte) error {
		if end > 0 && (v == nil || !bytes.Equal(k, audit.Key(audit.Seq(k))) || audit.Seq(k) > end) {
			return nil
		}
		return w.putRaw(bucketAudit, k, v)
	})
}

// rawRecord is a key and a value that are copied as they are.
type rawRecord struct {
	bucket string
	k, v   []byte
	counts standing
	term   digest
}

func newRawRecord(bucket string, k, v []byte) rawRecord {
	return rawRecord{bucket: bucket, k: bytes.Clone(k), v: bytes.Clone(v)}
}

// isRecord reports whether it is in the digest.
func (r *rawRecord) isRecord() bool { return r.bucket != bucketMeta && r.bucket != bucketAudit }

// putRaw stores a key and a value as they are, and counts them.
func (w *builder) putRaw(bucket string, k, v []byte) error {
	r := newRawRecord(bucket, k, v)
	r.counts = standingIn(bucket, v)
	return w.appendRaw(&r)
}

func (w *builder) appendRaw(r *rawRecord) error {
	w.t.changed.tally(r.bucket, r.counts, 1)
	if err := w.Tx.Append(r.bucket, r.k, r.v); err != nil {
		return err
	}
	return w.Wrote(len(r.k) + len(r.v))
}

// copyVault copies everything that a plan keeps into a file of another epoch.
func (s *Session) copyVault(old *tx, next *Session, w *builder, p *rewritePlan) error {
	ended := w.t.head.log
	reasons, err := s.reasonsIn(old)
	if err != nil {
		return err
	}
	if err := w.keepOwner(old, next); err != nil {
		return err
	}
	if err := s.keepWays(old, next, w, p); err != nil {
		return err
	}
	// Copy the log unchanged: the keys that made its MACs are gone.
	if !p.cut {
		end := uint64(0)
		if p.narrows() {
			end = ended.Seq
		}
		if err := w.copyLog(old, end); err != nil {
			return err
		}
	}
	if p.narrows() {
		if err := s.mendAgents(old, p); err != nil {
			return err
		}
	}
	heads, err := s.copyHeads(old, next, w, p)
	if err != nil {
		return err
	}
	if err := s.copyVersions(old, next, w, p, heads); err != nil {
		return err
	}
	// Grants are made again. No version is sealed to a recipient now, so no list of such
	// versions is copied. Decisions are not copied either: they hold keys of age files
	// that no longer exist.
	if err := s.copyAgents(old, next, w, p); err != nil {
		return err
	}
	if !p.cut && !p.salvage {
		if err := s.copyTokens(old, next, w, p); err != nil {
			return err
		}
		if err := s.copyRequests(old, w, p); err != nil {
			return err
		}
	}
	note := map[string]any{"reason": p.why, "resource": p.what}
	maps.Copy(note, p.note)
	if p.told != nil && len(p.told.findings) > 0 { // what these entries told of is not known
		var list []string
		for _, f := range p.told.findings[:min(len(p.told.findings), 100)] {
			list = append(list, f.String())
		}
		note["log_problems"] = list
	}
	if left := p.leftNames(); len(left) > 0 {
		note["left_behind"] = namesFor(left, 1000)
		note["left_behind_count"] = len(left)
	}
	if err := next.beginEpoch(w, cmp.Or(p.event, audit.VaultRewritten), note); err != nil {
		return err
	}
	if p.then != nil {
		if err := p.then(next, w.t); err != nil {
			return err
		}
	}
	if p.narrows() {
		if err := p.mendSecrets(next, w, heads); err != nil {
			return err
		}
	}
	if !p.cut && !p.salvage {
		if err := w.tellOldCheckpoint(old); err != nil {
			return err
		}
		return next.keepReasons(w.t, reasons)
	}
	cp, err := old.checkpoint()
	if p.cut {
		cp, err = w.t.cutBehind(ended, old.Epoch.N)
	}
	if err != nil {
		return err
	}
	return w.t.putCheckpoint(cp, p.numbers)
}

// tellOldCheckpoint logs which checkpoint came along from format 1, where no entry tells of it.
func (w *builder) tellOldCheckpoint(old *tx) error {
	if old.Format >= keys.Format2 || w.t.Format < keys.Format2 {
		return nil
	}
	cp, err := old.checkpoint()
	if err != nil || cp.sum == "" {
		return err
	}
	return w.t.tellCheckpoint(cp.sum)
}

// copying is a record on its way from the old file into the new.
type copying struct {
	k, v []byte
	who  signer
	path tokens.Path
	n    uint64 // version number, for a version

	head    secretBody
	version versionBody
	left    error  // why it does not hold
	of      string // then: who should have written it; see leave
	loss    bool   // then: whether it may be honest, whoever wrote it; see goesOn
	made    *stored
	err     error
}

func (t *tx) copying(of *rules, k, v []byte) copying {
	v = bytes.Clone(v)
	return copying{k: bytes.Clone(k), v: v, who: t.signer(of, authorIn(v))}
}

// signing returns a worker that makes the new forms of records, each with one, and signs them in full batches. What is
// left over is signed together with others, as any draft. Which records share a batch does not
// matter here: no log entry has the roots of what a rewrite signs.
func signing(into *hasher, one func(*copying)) func([]copying) {
	return func(list []copying) {
		var made []*stored
		for i := range list {
			one(&list[i])
			if r := list[i].made; r != nil && r.value == nil {
				made = append(made, r)
			}
		}
		into.signAll(made[:len(made)/batchSize*batchSize])
	}
}

// copied puts the new form of a record into the new file.
func (w *builder) copied(c *copying, p *rewritePlan, of *rules) error {
	if c.left != nil {
		name := of.recordName(c.k)
		if of == secretKind.rules {
			name = headName(c.k)
		}
		if c.loss {
			return p.leaveOut(dropped{name, true}, c.left)
		}
		return p.leave(name, c.of, c.left)
	}
	if c.err != nil {
		return c.err
	}
	if err := w.t.place(c.made); err != nil {
		return err
	}
	return w.Wrote(len(c.v))
}

// rewritten returns a function from the number of the entry that wrote a record to that of the entry that writes it
// anew: from format 2 on, that is the entry that begins the epoch.
func (w *builder) rewritten() func(was uint64) uint64 {
	format, seq := w.t.Format, w.t.seq()
	return func(was uint64) uint64 {
		if format >= keys.Format2 {
			return seq
		}
		return was
	}
}

// lastOf returns the highest number of a version of a secret that is told of; 0 for none.
func (p *rewritePlan) lastOf(path tokens.Path) (last uint64) {
	for _, st := range p.last {
		if r := st.records[path.String()]; r != nil {
			last = max(last, r.Last)
		}
	}
	return last
}

// unsure reports whether the log may not tell what a version was.
func (p *rewritePlan) unsure(body versionBody) bool {
	return p.told != nil && body.Origin != nil && p.told.isUnclear(body.Origin.Seq)
}

// attests reports whether the log says what a version was, or the owner wrote it in this epoch.
func (p *rewritePlan) attests(path tokens.Path, n uint64) bool {
	if p.told == nil {
		return false
	}
	told, known := p.told.records[path.String()].version(n)
	since := told.Sealed
	if p.told.format < keys.Format2 { // there, a note of a verification calls everything sealed that it saw
		since = told.Seq
	}
	return known && since >= p.told.began && (told.Sum != "" || told.Root != "" || told.By == audit.Owner)
}

// headName names the head of a secret that is left out, which is not the secret with its values.
func headName(k []byte) string { return fmt.Sprintf("the record of %q", k) }

// secretCopy is what became of a secret on its way into another epoch.
type secretCopy struct {
	head   secretBody
	holds  bool        // whether the head was copied
	newest uint64      // the highest version that was copied; 0 for none
	tier   tokens.Tier // the highest of a version that was copied
	since  time.Time   // when the first of them was written
	kept   []uint64    // versions that were copied, in order
	gone   []uint64    // versions that were left out, in order
}

// copyHeads copies the heads of the secrets, and returns what became of each.
func (s *Session) copyHeads(old *tx, next *Session, w *builder, p *rewritePlan) (copied map[string]*secretCopy, err error) {
	copied = map[string]*secretCopy{}
	now := w.rewritten()
	worker := func() func([]copying) {
		from, into := old.another(), w.t.another()
		return signing(into, func(c *copying) {
			var r record
			if c.head, r, c.left = secretKind.check(from, c.who, c.k, c.v); c.left == nil && p.told != nil {
				c.left = p.told.head(c.path, c.head, from.placed(secretKind.rules, c.k, r))
			}
			if c.left == nil {
				c.head.Tier = max(c.head.Tier, p.tier[c.path])
				c.head.Seq = now(c.head.Seq)
				if p.owner != nil { // only canaries must have another id; if only they had one, everybody could tell
					c.head.ID = w.t.newIDOf(s.isCanary(c.head.ID))
				}
				if last := p.lastOf(c.path); into.Format >= keys.Format2 && last > c.head.Version {
					c.head.Last = last
				}
				if c.err = p.prunedHead(c.path, &c.head); c.err == nil {
					c.made, c.err = secretKind.newStored(into, next.by, c.k, &c.head)
				}
			}
		})
	}
	done := func(c *copying) error {
		copied[string(c.k)] = &secretCopy{head: c.head, holds: c.left == nil}
		return w.copied(c, p, secretKind.rules)
	}
	return copied, inWholeBatches(worker, done, func(add func(copying, int) error) error {
		return old.walk(bucketSecrets, nil, func(k, v []byte) error {
			path, err := tokens.ParsePath(string(k))
			if err == nil && p.drop[path] {
				return nil
			}
			if err != nil {
				return p.leave(headName(k), "", secretKind.damaged(k, "its key is not a path"))
			}
			c := old.copying(secretKind.rules, k, v)
			c.path = path
			return add(c, len(v))
		})
	})
}

// copyVersions seals every version again. A version whose secret has no valid head is copied only if
// the plan mends the head.
func (s *Session) copyVersions(old *tx, next *Session, w *builder, p *rewritePlan, heads map[string]*secretCopy) error {
	total, err := old.count(bucketVersions)
	if err != nil {
		return err
	}
	seq := w.t.seq()
	worker := func() func([]copying) {
		from, into := old.another(), w.t.another()
		own, anew := s.inOrder(), next.inOrder()
		return signing(into, func(c *copying) {
			var r record
			if c.version, r, c.left = versionKind.check(from, c.who, c.k, c.v); c.left != nil {
				return
			}
			if p.told != nil && !(p.narrows() && r.by == audit.Owner) { // what the owner signed counts without the log
				if c.left = p.told.version(c.path, c.n, c.version, from.placed(versionKind.rules, c.k, r)); c.left != nil {
					c.of = r.by // who signed it, even if the log does not count that
					return
				}
			}
			value, err := own.openVersion(old.Epoch, c.version, c.path, c.n)
			if err != nil {
				c.left = fmt.Errorf("rewrite: %w", err)
				return
			}
			c.version.Tier, c.version.by = max(c.version.Tier, p.tier[c.path]), r.by
			if c.version.sealAnew(into.Format, seq); from.Format < into.Format || p.unsure(c.version) {
				c.version.Origin.Unattested = !p.attests(c.path, c.n)
			}
			ok, err := anew.sealOwn(c.path, c.n, &c.version, value)
			clear(value)
			switch {
			case err != nil:
				c.err = err
			case !ok:
				c.err = keys.ErrNoKey
			default:
				c.made, c.err = versionKind.newStored(into, next.by, c.k, &c.version)
			}
		})
	}
	done := func(c *copying) error {
		of := heads[c.path.String()]
		if c.left != nil {
			of.gone = append(of.gone, c.n)
			if p.told != nil {
				told, known := p.told.records[c.path.String()].version(c.n)
				if known && (c.of == "" || p.isEnded(c.of)) {
					c.of, c.loss = told.By, p.goesOn(told.By, c.path)
				}
			}
		} else {
			if of.newest == 0 {
				of.since = c.version.CreatedAt
			}
			of.newest, of.tier, of.kept = max(of.newest, c.n), max(of.tier, c.version.Tier), append(of.kept, c.n)
		}
		return w.copied(c, p, versionKind.rules)
	}
	walked := 0
	return inWholeBatches(worker, done, func(add func(copying, int) error) error {
		return old.walk(bucketVersions, nil, func(k, v []byte) error {
			walked++
			s.v.opts.step(walked, total)
			text, n, _ := cutVersionKey(k)
			path, err := tokens.ParsePath(text)
			if err == nil && (p.drop[path] || p.prunes(path, n)) {
				return nil
			}
			name := versionKind.recordName(k)
			if err != nil {
				return p.leave(name, "", fault.Damaged(name, "its key is not a path and a version"))
			}
			if of := heads[text]; of == nil || !of.holds {
				if !p.narrows() {
					return p.leave(name, "", fault.Damaged(name, "its secret's record is missing"))
				}
				heads[text] = cmp.Or(of, &secretCopy{})
			}
			c := old.copying(versionKind.rules, k, v)
			c.path, c.n = path, n
			return add(c, len(v))
		})
	})
}

// copyAgents copies the agents into a rewritten vault. Each active one gets a new grant.
func (s *Session) copyAgents(old *tx, next *Session, w *builder, p *rewritePlan) error {
	for _, id := range slices.Sorted(maps.Keys(old.mended)) {
		if err := s.copyAgent(old, next, w, p, id, old.mended[id]); err != nil {
			return err
		}
	}
	return old.walk(bucketAgents, nil, func(k, v []byte) error {
		id := string(k)
		if _, done := old.mended[id]; done {
			return nil
		}
		body, err := old.agent(id)
		if err == nil && p.told != nil {
			err = p.told.agent(id, body, old.placedAt(agentKind.rules, k, v))
		}
		if err != nil {
			return p.leave(agentKind.recordName(k), p.told.agentOf(id), err)
		}
		return s.copyAgent(old, next, w, p, id, body)
	})
}

func (s *Session) copyAgent(old *tx, next *Session, w *builder, p *rewritePlan, id string, body agentBody) error {
	body.Seq = w.rewritten()(body.Seq)
	switch id {
	case p.revoke:
		body.RevokedAt, body.Seq = &w.t.now, w.t.seq()+1 // after the entry that begins the epoch
	case p.rotate:
		body.Serial++
		body.Pub = public(keys.NewGrantee(s.root.AgentSecret(id, body.Serial)).Sign)
		body.IssuedAt, body.Seq = w.t.now, w.t.seq()+1
	case p.limit:
		p.limitAgent(&body)
		body.Seq = w.t.seq() + 1
	}
	if p.owner != nil { // every agent's key is derived from the owner's root
		body.Pub, body.IssuedAt = public(keys.NewGrantee(next.root.AgentSecret(id, body.Serial)).Sign), w.t.now
	}
	if err := agentKind.put(w.t, []byte(id), body); err != nil {
		return err
	}
	if body.RevokedAt != nil {
		return nil
	}
	if err := next.grantAgent(w.t, id, body); err != nil {
		return err
	}
	return old.copyUses(w.t, id)
}

// copyTokens copies the active tokens into a rewritten vault. It limits each token to
// the scopes that the owner signed for its issuer. It drops damaged records, so that
// no agent can block its own revocation with one.
func (s *Session) copyTokens(old *tx, next *Session, w *builder, p *rewritePlan) error {
	return old.walk(bucketTokens, nil, func(k, v []byte) error {
		body, c, err := old.token(string(k))
		if err == nil && p.told != nil {
			err = p.told.token(c.ID, body)
		}
		if err != nil {
			if p.narrows() {
				return p.leave(tokenKind.recordName(k), p.told.actors[string(k)].Issuer, err)
			}
			return nil
		}
		if c.ID == p.token || c.Issuer == p.revoke || c.Issuer == p.rotate || p.endsBeyond(c.Issuer, c.Scopes) {
			return nil
		}
		info, err := old.tokenInfo(body, c)
		if err != nil && p.narrows() {
			if c.Uses > 0 { // nobody knows how many are left
				return p.leave(tokenKind.recordName(k), c.Issuer, err)
			}
			info, err = old.tokenState(body, c, usesBody{})
		}
		if err != nil || info.State != TokenActive {
			return nil
		}
		rights, err := old.rights(c)
		if err != nil {
			return nil
		}
		issuer, err := s.issuerKey(old, c)
		if err != nil {
			return err
		}
		to := keys.NewGrantee(tokens.Signature(body.HeaderPayload, issuer))
		if !bytes.Equal(body.Index, to.Index[:]) || !samePublic(body.Pub, to) {
			return nil
		}
		g, nodes, err := next.newGrant(rights, max(c.Tier, tokens.Standard))
		if err != nil {
			return err
		}
		g.JWTKey = issuer[:]
		if err := w.t.putGrant(to, c.ID, g); err != nil {
			return err
		}
		if c.Issuer == audit.Owner {
			if err := next.openUp(w.t, nodes); err != nil {
				return err
			}
		}
		body.Seq = w.rewritten()(body.Seq)
		if err := tokenKind.put(w.t, k, body); err != nil {
			return err
		}
		return old.copyUses(w.t, c.ID)
	})
}

// copyRequests copies the pending requests, if the requester and the secret remain. Decisions
// carry keys of age files that no longer exist, so they are not copied: the requester must
// ask again.
func (s *Session) copyRequests(old *tx, w *builder, p *rewritePlan) error {
	alive := map[string]bool{}
	return old.walk(bucketRequests, nil, func(k, v []byte) error {
		requester, _, _ := cutRequestKey(k)
		if _, known := alive[requester]; !known { // look up each requester only once
			lives, err := w.t.alive(requester)
			if err != nil && !errors.Is(err, ErrUnknown) {
				return err
			}
			alive[requester] = lives
		}
		if !alive[requester] {
			return nil
		}
		q, err := old.requestAt(k, v)
		if err != nil && p.narrows() {
			return p.leave(requestKind.recordName(k), p.told.requesterOf(k), err)
		}
		if err != nil || q.Status != Pending || p.drop[q.Path] || p.prunes(q.Path, q.Version) {
			return nil
		}
		if p.endsBeyond(requester, tokens.Scopes{{Actions: requestActions[q.Action], Pattern: tokens.Exactly(q.Path)}}) {
			return nil
		}
		r, err := parseRecord(v)
		if err != nil {
			return err
		}
		return requestKind.putBody(w.t, k, r)
	})
}

// copyUses copies a count into a rewritten vault. It drops a count that fails its
// checks.
func (t *tx) copyUses(to *tx, id string) error {
	body, err := t.usesOf(id)
	if err != nil || body.Seq == 0 {
		return nil
	}
	return useKind.put(to, []byte(id), body)
}

// copyLog copies the log that the new vault continues, and returns that log's checkpoint.
func (r *restore) copyLog(old *tx, w *builder) (checkpoint, error) {
	if !r.plan.KeepsLog {
		cp, err := old.checkpoint()
		if err != nil {
			return cp, err
		}
		return cp, w.copyLog(old, 0)
	}
	for k, v := range r.history.entries {
		if err := w.putRaw(bucketAudit, k, v); err != nil {
			return r.history.from, err
		}
	}
	return r.history.from, r.history.walked
}
