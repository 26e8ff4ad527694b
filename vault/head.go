package vault

import (
	"crypto/hmac"
	"time"

	"ass/audit"
	"ass/vault/internal/fault"
	"ass/vault/internal/keys"
)

// head is the state that the newest transaction left: the end of the audit log, and the
// digest of all records.
type head struct {
	log    audit.Position
	count  uint64
	digest digest
	lapse  time.Time // when the next thing has to be cleared; zero for never

	// backup says that the next audit key was left out, so that only the owner can
	// continue the log of a copy.
	backup bool
	mark   [32]byte // then, from format 2 on: the owner's MAC; see Root.BackupMark

	features []string // see knownFeatures
}

type headJSON struct {
	Seq     uint64 `json:"seq"`             // Number of the newest log entry.
	LastMAC []byte `json:"lastMAC"`         // MAC of that entry.
	KNext   []byte `json:"kNext,omitempty"` // MAC key of the next entry; none in a backup.
	Count   uint64 `json:"count"`           // Number of records.
	Digest  []byte `json:"digest"`          // Sum over the MACs of all records.
	Lapse   int64  `json:"lapse,omitempty"` // When the next thing has to be cleared, in Unix seconds.

	Backup   []byte   `json:"backup,omitempty"`   // The owner's mark of a backup, from format 2 on.
	Features []string `json:"features,omitempty"` // What a program has to know besides the format.
}

func (h head) encode(format int) ([]byte, error) {
	j := headJSON{Seq: h.log.Seq, LastMAC: h.log.LastMAC[:], KNext: h.log.Key[:], Count: h.count, Digest: h.digest.bytes()}
	if !h.lapse.IsZero() {
		j.Lapse = h.lapse.Unix()
	}
	if j.Features = h.features; h.backup {
		j.KNext = nil
	}
	if h.backup && format >= keys.Format2 {
		j.Backup = h.mark[:]
	}
	return audit.Marshal(j)
}

// maxCounted is more than the number of entries or records in any vault. A higher number comes from
// somebody who wants it to overflow: then what is written next would be taken for damage.
const maxCounted = 1 << 53

var errCounted = fault.Damaged("meta/head", "it counts more entries or records than any vault has")

func decodeHead(b []byte, format int) (h head, err error) {
	var j headJSON
	if audit.Unmarshal(b, &j) != nil || len(j.LastMAC) != 32 || len(j.KNext) != 32 && j.KNext != nil ||
		len(j.Digest) != 64 {
		return head{}, fault.Damaged("meta/head", "it is not a head")
	}
	if max(j.Seq, j.Count) > maxCounted {
		return head{}, errCounted
	}
	h.log = audit.Position{Seq: j.Seq, LastMAC: [32]byte(j.LastMAC)}
	if h.backup = j.KNext == nil; !h.backup {
		h.log.Key = [32]byte(j.KNext)
	}
	if format >= keys.Format2 {
		if len(j.Features) > 0 {
			h.features = j.Features
		}
		switch {
		case h.backup && len(j.Backup) != len(h.mark):
			return head{}, fault.Damaged("meta/head", "it has no key for the next log entry, and is not the head of a backup")
		case !h.backup && j.Backup != nil:
			return head{}, fault.Damaged("meta/head", "it is that of a backup, and has a key for the next log entry")
		case h.backup:
			h.mark = [32]byte(j.Backup)
		}
	}
	h.count = j.Count
	h.digest, _ = digestFrom(j.Digest)
	if j.Lapse != 0 {
		h.lapse = time.Unix(j.Lapse, 0)
	}
	return h, nil
}

func (t *tx) readHead() error {
	sealed, err := t.get(bucketMeta, []byte(metaHead))
	if err != nil {
		return err
	}
	plain, err := keys.Open(t.Epoch.HeadKey(), t.Epoch.HeadContext(), sealed)
	if err != nil {
		return fault.Damaged("meta/head", "it does not decrypt: it was modified, or belongs to another epoch")
	}
	if t.head, err = decodeHead(plain, t.Format); err != nil || t.Format < keys.Format2 {
		return err
	}
	if err := t.checkFeatures(); err != nil {
		return err
	}
	if t.head.backup && t.root != nil {
		want := t.root.BackupMark(t.Epoch, t.head.log.Seq, t.head.log.LastMAC)
		if !hmac.Equal(want[:], t.head.mark[:]) {
			return fault.Damaged("meta/head", "it says that the vault is a backup, but the owner made no such backup")
		}
	}
	return nil
}

// checkLogEnd checks that the log ends where the head says. With an older head, the
// next entry would overwrite an existing one.
func (t *tx) checkLogEnd() error {
	k, v, err := t.b.Last(bucketAudit)
	if err != nil {
		return err
	}
	if audit.Seq(k) != t.head.log.Seq || macOf(v) != t.head.log.LastMAC {
		return fault.Damaged(t.b.Path(), "its audit log does not end with entry %d as its head says: the log was truncated, "+
			"or an old head was put back", t.head.log.Seq)
	}
	return nil
}

// checkLastStep checks that the last two entries have consecutive numbers, unless the log was cut between
// them. No honest program leaves a number out. If a member of the epoch does, to bring the numbers close to
// their end, nothing must be written behind that.
func (t *tx) checkLastStep() error {
	n := t.head.log.Seq
	if n < 2 {
		return nil
	}
	before, steps := uint64(0), 0
	err := t.b.WalkBack(bucketAudit, func(k, _ []byte) bool { // these pages were read to find the end of the log
		before, steps = audit.Seq(k), steps+1
		return steps < 2
	})
	if err != nil || before == n-1 {
		return err
	}
	if c, err := t.checkpoint(); err == nil && c.Cut == n-1 {
		return nil
	}
	return fault.Damaged(t.b.Path(), "its audit log has entry %d but not the one before it: somebody with a key of this vault wrote "+
		"it; ass audit says who, and revoking that key mends the log", n)
}

func (t *tx) checkDigest() error {
	sum, count, err := t.sum()
	if err == nil && (sum != t.head.digest || count != t.head.count) {
		err = t.blame()
	}
	return err
}

// blame returns an error that names, if possible, the record that made the digest wrong:
// one whose MAC does not match. It cannot name a record that was removed or replaced by
// an older one; a verification finds that with the log.
func (t *tx) blame() error {
	for _, name := range recordBuckets(t.Format) {
		if err := t.checkMACs(name); err != nil {
			return err
		}
	}
	return fault.Damaged(t.b.Path(), "a record was put back, removed or replaced by something other than ass")
}

// sum computes the digest and the number of the records in the file.
func (t *tx) sum() (d digest, count uint64, err error) {
	for _, name := range recordBuckets(t.Format) {
		err := t.walk(name, nil, func(k, v []byte) error {
			m := macOf(v)
			d.add(t.digest(name, k, m[:]))
			count++
			return nil
		})
		if err != nil {
			return d, 0, err
		}
	}
	return d, count, nil
}

// saveHead writes the head, and the counts.
func (t *tx) saveHead() error {
	if _, err := t.signDrafts(nil); err != nil { // an honest act has logged what it wrote, so there are none
		return err
	}
	if max(t.head.log.Seq, t.head.count) > maxCounted {
		return errCounted
	}
	plain, err := t.head.encode(t.Format)
	if err != nil {
		return err
	}
	sealed, err := keys.Seal(t.Epoch.HeadKey(), t.Epoch.HeadContext(), plain)
	if err != nil {
		return err
	}
	if err := t.putMeta(metaHead, sealed); err != nil {
		return err
	}
	return t.saveCounts()
}

// mark is the newest entry of the log.
func (t *tx) mark() mark { return mark{t.head.log.Seq, t.head.log.LastMAC, markFormat(t.Format)} }

// seq is the number of the next log entry. The records that the entry is about carry
// that number.
func (t *tx) seq() uint64 { return t.head.log.Seq + 1 }
