package vault

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/cloudflare/circl/sign/ed25519"

	"ass/audit"
	"ass/vault/internal/bolt"
	"ass/vault/internal/keys"
)

// What a scan finds in a file that no longer opens. A MAC or a seal decides later what each
// element is.

// plausible reports whether a record or an entry may have a key and a value of these sizes,
// in bytes. A version of the largest value fits, in base64 and with everything around it.
// Only log entries and the checkpoint, whose keys have 8 bytes, may be larger.
func plausible(key, value uint64) bool { return key <= 1<<10 && (value <= 4<<20 || key == 8) }

// scannedLog is the log found in a file. Each number has its surest entry.
type scannedLog struct {
	keys   [][]byte
	values map[uint64][]byte
	first  []byte // the checkpoint, if one has a valid signature
}

func logIn(vid keys.VaultID, found []bolt.Element) scannedLog {
	l := scannedLog{values: map[uint64][]byte{}}
	for _, e := range found {
		seq := audit.Seq(e.Key)
		if len(e.Key) != 8 || l.values[seq] != nil {
			continue
		}
		if seq == 0 {
			if _, err := parseCheckpoint(vid, e.Value); err == nil && l.first == nil {
				l.first = e.Value
			}
			continue
		}
		if _, err := audit.Parse(e.Value); err == nil {
			l.values[seq] = e.Value
			l.keys = append(l.keys, e.Key)
		}
	}
	slices.SortFunc(l.keys, bytes.Compare)
	return l
}

// each yields the entries in ascending order.
func (l scannedLog) each(yield func(k, v []byte) bool) {
	for _, k := range l.keys {
		if !yield(k, l.values[audit.Seq(k)]) {
			return
		}
	}
}

// where is the place of a record: its bucket and its key.
type where struct{ bucket, key string }

func (at where) compare(other where) int {
	return cmp.Or(cmp.Compare(at.bucket, other.bucket), cmp.Compare(at.key, other.key))
}

type candidate struct {
	value  []byte
	signed bool // by the author that it names, who may write it, if its kind is signed
	rank   int
	seq    uint64
}

// scanned is an element of the file that all cores look at.
type scanned struct {
	*bolt.Element
	bucket string // of the record that it is; "" if it is none
	by     string
	is     candidate
}

// records returns the records whose MACs match and that the log does not contradict. If a place
// has several, one with a valid signature wins: every member of the epoch can make a MAC. Among
// those, the best rank wins; at the same rank, the newest.
func (w *salvage) records() (map[where]candidate, error) {
	best := map[where]candidate{}
	who := w.authors()
	worker := func() func(*scanned) {
		h := w.s.newHasher()
		return func(e *scanned) {
			r, err := parseRecord(e.Value)
			if err != nil || r.format != h.Format {
				return
			}
			for _, bucket := range recordBuckets(h.Format) {
				if h.macHolds(bucket, e.Key, r) {
					e.bucket, e.by = bucket, r.by
					e.is = candidate{e.Value, who.signed(h, bucket, e.Key, e.Value), e.Rank, seqIn(r)}
					return
				}
			}
		}
	}
	done := func(e *scanned) error {
		at := where{e.bucket, string(e.Key)}
		if e.bucket == "" || e.Rank != bolt.InNewest && w.died(at, e.is.seq, e.by) {
			return nil
		}
		if had, ok := best[at]; !ok || e.is.betterThan(had) {
			best[at] = e.is
		}
		return nil
	}
	return best, inBatches(worker, done, func(add func(scanned, int) error) error {
		for i := range w.found {
			if err := add(scanned{Element: &w.found[i]}, len(w.found[i].Value)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c candidate) betterThan(o candidate) bool {
	if c.signed != o.signed {
		return c.signed
	}
	return cmp.Or(cmp.Compare(c.rank, o.rank), cmp.Compare(c.seq, o.seq)) > 0
}

// authors are the keys and rights of those who may have written records, as the log tells of them, or as the owner signed
// them in the record of an agent.
type authors map[string]signer

// authors returns who may have written records.
func (w *salvage) authors() authors {
	h, who := w.s.newHasher(), authors{audit.Owner: {by: audit.Owner, pub: w.s.pub, owner: true}}
	for id, told := range w.told.actors {
		who[id] = signer{by: id, pub: told.Pub, scopes: told.Scopes}
	}
	for _, e := range w.found { // where the log does not reach
		id := string(e.Key)
		if _, known := who[id]; known || !isAgentID(id) || !who.signed(h, bucketAgents, e.Key, e.Value) {
			continue
		}
		if body, ok := peek[agentBody](e.Value); ok && body.RevokedAt == nil && len(body.Pub) == ed25519.PublicKeySize {
			who[id] = signer{by: id, pub: body.Pub, scopes: body.scopes()}
		}
	}
	return who
}

// signed reports whether the author that a record names has signed it, and had the right to.
func (who authors) signed(h *hasher, bucket string, k, v []byte) bool {
	by, known := who[authorIn(v)]
	if of := rulesOf(bucket); !of.signed {
		return true
	} else if !known || of.authors != nil && !of.authors(by.by) {
		return false
	}
	var err error
	switch bucket {
	case bucketSecrets:
		_, _, err = secretKind.check(h, by, k, v)
	case bucketVersions:
		_, _, err = versionKind.check(h, by, k, v)
	case bucketAgents:
		_, _, err = agentKind.check(h, by, k, v)
	default: // tokens, requests and decisions end with a salvage, and recipients are the owner's
		r, _ := parseRecord(v)
		if !h.signatureHolds(by, bucket, k, r) {
			err = errRecord
		}
	}
	return err == nil
}
