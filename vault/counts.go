package vault

import (
	"bytes"
	"fmt"

	"ass/audit"
	"ass/vault/internal/bolt"
	"ass/vault/internal/keys"
)

// counts are how many records a vault holds. They lie in the meta bucket, in clear and without a MAC, so that ass
// status and ass vault info, which need no key, need not read every record. Each transaction that changes a number
// writes them anew, and each new file is counted while it is filled.
//
// Whoever can write the file can change them, so nothing is ever decided on them (TestCountsDecideNothing): they are
// shown, and a verification compares them with the records.
type counts struct {
	Secrets  int64 `json:"secrets"`  // without deleted ones
	Deleted  int64 `json:"deleted"`  // secrets that are deleted and not purged
	Versions int64 `json:"versions"` // stored values
	Tokens   int64 `json:"tokens"`   // tokens that have a record
	Agents   int64 `json:"agents"`   // without revoked ones

	// Dated is how many secrets, without deleted ones, have a date on which somebody should act; see About. Files that an
	// earlier program wrote have no such secrets, and do not name the number.
	Dated int64 `json:"dated,omitempty"`
}

// standing is what of a record matters for the counts.
type standing struct {
	ended bool // it stays in the vault after its end: a deleted secret, a revoked agent
	dated bool // a secret with a date on which somebody should act
}

// standingBody is a body whose records are not all counted alike.
type standingBody interface{ standing() standing }

func (b secretBody) standing() standing {
	return standing{b.DeletedAt != nil, b.About != nil && (b.About.ExpiresAt != nil || b.About.RotateEvery != 0)}
}
func (b agentBody) standing() standing { return standing{ended: b.RevokedAt != nil} }

func standingOf(body any) standing {
	if b, ok := body.(standingBody); ok {
		return b.standing()
	}
	return standing{}
}

// standingIn is standingOf for stored bytes, unchecked. A record that cannot be read has not ended.
func standingIn(bucket string, value []byte) standing {
	switch bucket {
	case bucketSecrets:
		if body, ok := peek[secretBody](value); ok {
			return body.standing()
		}
	case bucketAgents:
		return standing{ended: !isActive(value)}
	}
	return standing{}
}

// tally counts a record that is put (by is 1) or removed (by is -1).
func (c *counts) tally(bucket string, is standing, by int64) {
	switch bucket {
	case bucketSecrets:
		if is.ended {
			c.Deleted += by
			return
		}
		c.Secrets += by
		if is.dated {
			c.Dated += by
		}
	case bucketVersions:
		c.Versions += by
	case bucketTokens:
		c.Tokens += by
	case bucketAgents:
		if !is.ended {
			c.Agents += by
		}
	}
}

// fields are the numbers, in the order of their names in the file.
func (c *counts) fields() []*int64 {
	return []*int64{&c.Secrets, &c.Deleted, &c.Versions, &c.Tokens, &c.Agents, &c.Dated}
}

// valid reports whether a vault may hold that much.
func (c counts) valid() bool {
	for _, n := range c.fields() {
		if *n < 0 || *n > maxCounted {
			return false
		}
	}
	return true
}

func (c counts) plus(more counts) counts {
	to := more.fields()
	for i, n := range c.fields() {
		*to[i] += *n
	}
	return more
}

func (c counts) String() string {
	text := fmt.Sprintf("%d secrets, %d deleted ones, %d versions, %d tokens, %d agents", c.Secrets, c.Deleted, c.Versions,
		c.Tokens, c.Agents)
	if c.Dated != 0 {
		text += fmt.Sprintf(", %d secrets with a date", c.Dated)
	}
	return text
}

// parseCounts reads stored counts. ok is false if there are none, or if nobody honest wrote them.
func parseCounts(value []byte) (c counts, ok bool) {
	if audit.DecodeStrict(value, &c) != nil {
		return counts{}, false
	}
	again, err := audit.Marshal(c)
	return c, err == nil && bytes.Equal(again, value) && c.valid()
}

// saveCounts writes what this transaction changes about the counts. If there are none that could be true, it leaves it
// at that: the next new file has them again.
func (t *tx) saveCounts() error {
	if !t.hasCounts() || t.changed == (counts{}) && !t.anew {
		return nil
	}
	now := t.changed
	if !t.anew {
		value, err := t.get(bucketMeta, []byte(metaCounts))
		if err != nil || value == nil {
			return err
		}
		was, ok := parseCounts(value)
		if now = was.plus(now); !ok || !now.valid() {
			return t.b.Delete(bucketMeta, []byte(metaCounts))
		}
	}
	value, err := audit.Marshal(now)
	if err != nil {
		return err
	}
	return t.putMeta(metaCounts, value)
}

// hasCounts reports whether the file has counts. Format 1 has none.
func (t *tx) hasCounts() bool { return t.Format >= keys.Format2 }

// counts returns the stored counts or, if there are none that could be true, counts the records.
func (v *Vault) counts() (counts, error) {
	if v.format >= keys.Format2 {
		value, err := v.meta(metaCounts)
		if err != nil {
			return counts{}, err
		}
		if c, ok := parseCounts(value); ok {
			return c, nil
		}
	}
	return v.count()
}

// count counts the records.
func (v *Vault) count() (c counts, err error) {
	return c, v.db.View(func(b *bolt.Tx) error {
		for _, bucket := range []string{bucketSecrets, bucketVersions, bucketTokens, bucketAgents} {
			err := b.Walk(bucket, nil, func(_, value []byte) error {
				c.tally(bucket, standingIn(bucket, value), 1)
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// miscounted returns how the stored counts differ from those of the records; nothing if they do not.
func (t *tx) miscounted(are counts) ([]string, error) {
	if !t.hasCounts() {
		return nil, nil
	}
	value, err := t.get(bucketMeta, []byte(metaCounts))
	if err != nil {
		return nil, err
	}
	const effect = "only ass status, whoami and vault info go by them; to have them counted anew: ass vault compact"
	switch c, ok := parseCounts(value); {
	case !ok:
		return []string{"meta/counts: they are missing, or no vault holds that much; " + effect}, nil
	case c != are:
		return []string{fmt.Sprintf("meta/counts: they say %v, but there are %v; %s", c, are, effect)}, nil
	}
	return nil, nil
}
