package vault

import (
	"fmt"
	"maps"
	"slices"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/keys"
)

// An act that takes a right away must not depend on records that the holder of the right could have
// written, and must not destroy what others wrote. So it leaves out only what does not hold by itself, and
// mends the rest: a secret whose head was left out gets a new one, and the newest version that holds
// becomes the current one.

// mendAgents makes old believe the log about agents whose records are gone or do not hold, and about the
// authors of records.
func (s *Session) mendAgents(old *tx, p *rewritePlan) error {
	mended, met := map[string]agentBody{}, map[string]bool{}
	mend := func(id string) {
		if body, ok := p.told.agentBody(id); ok {
			body.Pub = public(keys.NewGrantee(s.root.AgentSecret(id, body.Serial)).Sign)
			mended[id] = body
			p.mend = append(p.mend, fmt.Sprintf("agent %s (%s): its record did not hold; it has the rights that the log tells of",
				body.Name, id))
		}
	}
	err := old.walk(bucketAgents, nil, func(k, v []byte) error {
		id := string(k)
		met[id] = true
		body, r, err := agentKind.read(old, k, v)
		if err == nil {
			err = p.told.agent(id, body, old.placed(agentKind.rules, k, r))
		}
		if err != nil {
			mend(id)
		}
		return nil
	})
	for _, id := range slices.Sorted(maps.Keys(p.told.records)) {
		if isAgentID(id) && !met[id] {
			mend(id)
		}
	}
	old.mended = mended
	old.author = func(t *tx, by string) (signer, error) {
		who, err := s.author(t, by)
		if told, ok := p.told.actors[by]; ok && err != nil {
			return signer{pub: told.Pub, scopes: told.Scopes}, nil
		}
		return who, err
	}
	return err
}

// whole reports whether nothing has to be mended.
func (c *secretCopy) whole() bool { return c.holds && c.newest <= c.head.Version && len(c.gone) == 0 }

// missing returns how many versions the log tells of that the old file did not have. Other versions that
// were there make up for none of them.
func (c *secretCopy) missing(told *recordAt) (n int) {
	for _, v := range told.Versions {
		_, kept := slices.BinarySearch(c.kept, v.Number)
		if _, gone := slices.BinarySearch(c.gone, v.Number); !kept && !gone {
			n++
		}
	}
	return n
}

// mendSecrets mends every secret in the new file of which something was left out. It logs what it does, so
// that a verification expects the secret as it is now.
func (p *rewritePlan) mendSecrets(next *Session, w *builder, copies map[string]*secretCopy) error {
	p.findMissing(copies)
	broken := map[string]*secretCopy{}
	for text, c := range copies {
		if !c.whole() {
			broken[text] = c
		}
	}
	for _, text := range slices.Sorted(maps.Keys(broken)) {
		path, err := tokens.ParsePath(text)
		if err == nil {
			err = p.mendSecret(next, w.t, path, broken[text])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *rewritePlan) mendSecret(next *Session, t *tx, path tokens.Path, c *secretCopy) error {
	told := p.told.records[path.String()]
	gone := slices.DeleteFunc(slices.Clone(c.gone), func(n uint64) bool { _, known := told.version(n); return !known })
	switch {
	case c.newest == 0:
		return p.nothingLeft(t, path, c, told)
	case c.holds && c.newest == c.head.Version && len(gone) == 0: // only what nobody had told of is gone
		return nil
	}
	head, note := c.head, map[string]any{}
	if len(gone) > 0 {
		p.mend = append(p.mend, fmt.Sprintf("%s: left without %s", path, versionList(gone)))
		for t.lists() && len(gone) > mostNumbers {
			if err := t.log(audit.SecretMended, "secret", path.String(), map[string]any{"version": told.Version, "tier": told.Tier,
				"type": head.Type, "deleted": told.Deleted, "left_behind": gone[:mostNumbers]}); err != nil {
				return err
			}
			gone = gone[mostNumbers:]
		}
		note["left_behind"] = gone
	}
	if !c.holds {
		head = secretBody{ID: t.newIDOf(false), Tier: max(c.tier, p.told.tiers[path.String()]), Type: DefaultType, CreatedAt: c.since}
		if told.there() {
			head.DeletedTo = told.Earlier
			if told.Deleted {
				head.DeletedAt = &t.now
			}
		}
	}
	head.Seq, head.UpdatedAt = t.seq(), t.now
	if !c.holds || c.newest != head.Version {
		from := c.newest
		if head.Version = max(head.Version, from); told != nil {
			head.Version = max(head.Version, told.Version)
		}
		head.Version++
		old, value, err := next.readVersion(t, path, from)
		if err != nil {
			return err
		}
		body := t.newVersion(head.Tier)
		if from := old.origin(); t.Format >= keys.Format2 {
			body.Origin = &from
		} else {
			body.Author = from.By
		}
		err = next.writeVersion(t, path, head.Version, body, value)
		clear(value)
		if err != nil {
			return err
		}
		note["from_version"] = from
		t.noteSum(note, path, head.Version)
		now := "current again"
		if from <= head.DeletedTo { // what is left was deleted; the owner decides whether it comes back
			head.DeletedAt, now = &t.now, "all that is left, and stays deleted"
		}
		p.mend = append(p.mend, fmt.Sprintf("%s: the value of v%d is %s, as v%d", path, from, now, head.Version))
	}
	if head.DeletedAt != nil {
		note["deleted"] = true
	}
	note["version"], note["tier"], note["type"] = head.Version, head.Tier, head.Type
	if err := secretKind.put(t, secretBucketKey(path), head); err != nil {
		return err
	}
	return t.log(audit.SecretMended, "secret", path.String(), note)
}

// nothingLeft removes a secret of which no version holds.
func (p *rewritePlan) nothingLeft(t *tx, path tokens.Path, c *secretCopy, told *recordAt) error {
	// Its versions were missing before, which is named; or the log tells of no such secret.
	if c.holds && len(c.gone) == 0 || !c.holds && !told.there() {
		return nil
	}
	if err := secretKind.remove(t, secretBucketKey(path)); err != nil {
		return err
	}
	p.mend = append(p.mend, fmt.Sprintf("%s: no version of it holds, so it was purged", path))
	note := map[string]any{"versions": len(c.gone), "because": "nothing of it holds"}
	if t.Format >= keys.Format2 {
		last := slices.Max(append([]uint64{c.head.Version}, c.gone...))
		if told != nil {
			last = max(last, told.Last)
		}
		note["last"] = min(last, maxVersion)
	}
	return t.log(audit.SecretPurged, "secret", path.String(), note)
}

// mostNumbers is how many versions fit into an entry.
const mostNumbers = 3000

func versionList(numbers []uint64) string {
	text := "v"
	for i, n := range numbers {
		if i > 0 {
			text += ", v"
		}
		text += fmt.Sprint(n)
	}
	return text
}

// findMissing adds to the doubts of the plan what the log tells of and the vault does not have.
func (p *rewritePlan) findMissing(copies map[string]*secretCopy) {
	var missing []string
	for name, r := range p.told.records {
		c := copies[name]
		switch {
		case isAgentID(name) || !r.there() || p.told.unclearBehind(r.Seq):
		case c == nil:
			missing = append(missing, fmt.Sprintf("%q: its record is missing, though log entry %d wrote it", name, r.Seq))
		default:
			if n := c.missing(r); n > 0 {
				missing = append(missing, fmt.Sprintf("%q: %d of its versions are missing", name, n))
			}
		}
	}
	slices.Sort(missing)
	p.doubts = append(p.doubts, missing...)
}
