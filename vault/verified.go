package vault

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"ass/audit"
	"ass/vault/disk"
	"ass/vault/internal/keys"
)

// verified is a note that the owner's machine keeps of a verification without problems:
// a sum over the log so far, and what the verification learned from it. The next
// verification compares the sum and checks only the entries after that. If anything
// differs, it checks all entries. So an old note, a note of a copy that went its own way,
// or a missing note costs time but hides nothing.
//
// The note lies outside of the vault, beside the newest entry that the machine has seen,
// because a verification must not write to the vault. It is sealed under a key that is
// derived from the root: only the owner can have made it, and nobody else can read the
// names in it.
type verified struct {
	At     time.Time  `json:"at"`
	Sum    []byte     `json:"sum"`     // over the audit bucket, up to entry State.Cut
	Key    []byte     `json:"key"`     // MAC key of the entry after that
	LastAt time.Time  `json:"last_at"` // the latest date of an entry
	State  checkpoint `json:"state"`   // what was learned
}

// worthKeeping reports whether to remember a verification that checked so many entries.
// 20,000 take a tenth of a second. The note grows with the records, so the log must be
// longer than that. Tests keep every note.
var worthKeeping = func(entries, records uint64) bool { return entries >= max(20_000, records) }

// maxVerified is the largest size of a note, in bytes. A note about a million secrets fits.
const maxVerified = 512 << 20

func (m memory) verifiedFile(vid keys.VaultID) string { return m.file(vid) + ".verified" }

// keep remembers a verification that found no problem and ended at the entry last.
func (v *verification) keep(last audit.Position) error {
	m := v.s.v.opts.memory()
	if m.dir == "" || !worthKeeping(v.Entries-v.earlier, v.Records) && v.Unread == nil {
		return nil
	}
	state := v.told.upTo(last.Seq)
	state.Seq, state.CutMAC = last.Seq, last.LastMAC[:]
	var err error
	if state.Records, err = v.t.recordsNow(); err != nil {
		return err
	}
	state.Records = withLast(state.Records, []*story{v.told})
	plain, err := json.Marshal(verified{v.t.now, v.sum.Sum(nil), last.Key[:], v.told.lastAt, state})
	if err != nil {
		return err
	}
	k, ctx := v.s.root.VerifiedWrap()
	sealed, err := keys.Seal(k, ctx, plain)
	if err == nil && len(sealed) <= maxVerified {
		_ = m.unfinished.ReplaceAny(m.verifiedFile(v.s.epoch.Vault), sealed)
	}
	return err
}

// recall returns where an earlier verification ended, if the log up to there is unchanged.
// Otherwise it returns from, where the log begins.
func (v *verification) recall(from checkpoint) checkpoint {
	var note verified
	m := v.s.v.opts.memory()
	if m.dir == "" {
		return from
	}
	file := m.verifiedFile(v.s.epoch.Vault)
	sealed, _, err := disk.ReadFile(file, maxVerified)
	if isNoNote(err) {
		return from
	}
	var plain []byte
	if err == nil {
		k, ctx := v.s.root.VerifiedWrap()
		if plain, err = keys.Open(k, ctx, sealed); err == nil {
			err = json.Unmarshal(plain, &note)
		}
		if err == nil && len(note.Key) != len(keys.Key{}) {
			err = errors.New("it has no key")
		}
	}
	if err != nil {
		v.Unread = fmt.Errorf("this machine's note of an earlier verification cannot be read (%s: %w)", file, err)
		return from
	}
	if IsAhead(note.LastAt, v.t.now) {
		return from // the entries that are dated ahead are to be named again
	}
	end := audit.Key(note.State.Cut)
	err = v.walkLog(nil, func(k, val []byte) error {
		if bytes.Compare(k, end) > 0 {
			return errStop
		}
		v.add(k, val)
		if !bytes.Equal(k, checkpointKey) {
			v.told.count(v.t.head.log.Seq, v.s.v.opts.Progress)
		}
		return nil
	})
	if err != nil && !errors.Is(err, errStop) || !bytes.Equal(v.sum.Sum(nil), note.Sum) {
		v.sum, v.told.entries = sha256.New(), 0
		return from
	}
	v.Verified, v.VerifiedAt = note.State.Cut, note.At
	v.earlier, v.told.lastAt = v.told.entries, note.LastAt
	next := keys.Key(note.Key)
	note.State.next, note.State.sum = &next, from.sum
	return note.State
}

// behind yields the log entries after the recalled ones, without the checkpoint.
func (v *verification) behind(walked *error) iter.Seq2[[]byte, []byte] {
	var start []byte
	if v.Verified > 0 {
		start = append(audit.Key(v.Verified), 0) // the smallest key after that entry's
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
	if start == nil {
		return v.t.walk(bucketAudit, nil, fn)
	}
	return v.t.b.WalkFrom(bucketAudit, start, nil, fn)
}

// add adds a key and its value to the sum.
func (v *verification) add(k, val []byte) {
	v.scratch = keys.LP(keys.LP(v.scratch[:0], k), val)
	v.sum.Write(v.scratch)
}
