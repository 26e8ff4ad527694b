package vault

import (
	"bytes"
	"slices"

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
