package vault

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"iter"
	"time"

	"ass/audit"
)

// verified is what the owner's machine remembers of a verification that found nothing:
// a sum over all that stood in the log, and what was learned from that. The next one
// compares the sum, and checks the entries behind. Where anything is not as it was, it
// checks all of them, so that a note which is old, of a copy that went another way, or
// no note at all, costs time and hides nothing.
//
// It lies outside of the vault, which nobody writes to by looking at it, beside the
// newest entry that the machine has seen. It is sealed under a key that only the root
// gives: nobody but the owner can have made it, and it tells nobody else a name.
type verified struct {
	At     time.Time  `json:"at"`
	Sum    []byte     `json:"sum"`     // of the bucket of the log up to entry State.Cut
	Key    []byte     `json:"key"`     // of the entry behind
	LastAt time.Time  `json:"last_at"` // of the entry that is dated latest
	State  checkpoint `json:"state"`   // what was learned
}

// worthKeeping reports whether a verification is remembered that has checked so many
// entries: those that take it a tenth of a second, in a log that is longer than the note,
// which grows with the records. Tests keep all.
var worthKeeping = func(entries, records uint64) bool { return entries >= max(20_000, records) }

// maxVerified is more than the note about a million secrets has.
const maxVerified = 512 << 20

func (m memory) verifiedFile(vid vaultID) string { return m.file(vid) + ".verified" }

// keep remembers a verification that found nothing and ended at an entry.
func (v *verification) keep(last audit.Position) error {
	m := memory{v.s.v.opts.MemoryDir}
	if m.dir == "" || !worthKeeping(v.Entries-v.earlier, v.Records) {
		return nil
	}
	state := v.learned(last.Seq)
	state.Seq, state.CutMAC = last.Seq, last.LastMAC[:]
	var err error
	if state.Records, err = v.t.recordsNow(); err != nil {
		return err
	}
	plain, err := json.Marshal(verified{v.t.now, v.sum.Sum(nil), last.Key[:], v.lastAt, state})
	if err != nil {
		return err
	}
	k, ctx := v.s.root.verifiedKey()
	sealed, err := seal(k, ctx, plain)
	if err == nil && len(sealed) <= maxVerified {
		m.write(m.verifiedFile(v.s.epoch.vid), sealed)
	}
	return err
}

// recall returns where an earlier verification ended, if all that stood in the log then
// stands there; else from, where the log begins.
func (v *verification) recall(from checkpoint) checkpoint {
	var note verified
	m := memory{v.s.v.opts.MemoryDir}
	if m.dir == "" {
		return from
	}
	sealed, err := ReadFile(m.verifiedFile(v.s.epoch.vid), maxVerified)
	if err != nil {
		return from
	}
	k, ctx := v.s.root.verifiedKey()
	plain, err := open(k, ctx, sealed)
	if err != nil || json.Unmarshal(plain, &note) != nil || len(note.Key) != len(key{}) {
		return from
	}
	end := audit.Key(note.State.Cut)
	err = v.walkLog(nil, func(k, val []byte) error {
		if bytes.Compare(k, end) > 0 {
			return errStop
		}
		v.add(k, val)
		if !bytes.Equal(k, checkpointKey) {
			v.count(v.t.head.log.Seq)
		}
		return nil
	})
	if err != nil && !errors.Is(err, errStop) || !bytes.Equal(v.sum.Sum(nil), note.Sum) {
		v.sum, v.Entries = sha256.New(), 0
		return from
	}
	v.Verified, v.VerifiedAt = note.State.Cut, note.At
	v.earlier, v.lastAt = v.Entries, note.LastAt
	next := key(note.Key)
	note.State.next = &next
	return note.State
}

// behind yields the entries of the log behind what was recalled, without the
// checkpoint.
func (v *verification) behind(walked *error) iter.Seq2[[]byte, []byte] {
	var start []byte
	if v.Verified > 0 {
		start = append(audit.Key(v.Verified), 0) // the key that comes next, if not that of an entry
	}
	return func(yield func(k, val []byte) bool) {
		*walked = v.walkLog(start, func(k, val []byte) error {
			v.add(k, val)
			if !bytes.Equal(k, checkpointKey) && !yield(k, val) {
				return errStop
			}
			return nil
		})
	}
}

func (v *verification) walkLog(start []byte, fn func(k, val []byte) error) error {
	b, err := v.t.bucket(bucketAudit)
	if err != nil {
		return err
	}
	return v.t.pages.walkFrom(bucketAudit, b, start, nil, fn)
}

// add adds what stands at a key to the sum.
func (v *verification) add(k, val []byte) {
	v.scratch = lp(lp(v.scratch[:0], k), val)
	v.sum.Write(v.scratch)
}
