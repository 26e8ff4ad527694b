package vault

import (
	"crypto/sha256"
	"errors"

	"ass/vault/internal/keys"
)

// A restore verifies its backup before it shows its plan, and copies it under the lock, when a person has read the
// plan. What it copies must be what was verified. So both note a sum of each bucket, over the very bytes that they
// work with.

// walked are the sums of buckets, over the keys and values that walks through them gave out.
type walked map[string][sha256.Size]byte

// errMeanwhile says that a file was changed while it was in use.
var errMeanwhile = errors.New("the file was changed meanwhile")

// walkSummed walks through a bucket and notes its sum. fn gets what is in the sum: copies, which nobody can change in
// the file between the two.
func (t *tx) walkSummed(bucket string, fn func(k, v []byte) error) error {
	var b []byte
	h := sha256.New()
	err := t.b.Walk(bucket, nil, func(k, v []byte) error {
		b = keys.LP(keys.LP(b[:0], k), v)
		h.Write(b)
		const length = 4 // of the number before each of them
		end := length + len(k)
		k = b[length:end:end]
		if v != nil { // a bucket among records has no value
			v = b[end+length:]
		}
		return fn(k, v)
	})
	if err != nil {
		return err
	}
	sum := [sha256.Size]byte(h.Sum(nil))
	if before, again := t.walked[bucket]; again && before != sum {
		return errMeanwhile
	}
	t.walked[bucket] = sum
	return nil
}

// walkRest walks through the buckets that have no sum yet.
func (t *tx) walkRest() error {
	for _, name := range allBuckets(t.Format) {
		if _, done := t.walked[name]; done {
			continue
		}
		if err := t.walkSummed(name, func(_, _ []byte) error { return nil }); err != nil {
			return err
		}
	}
	return nil
}

// verifiedCopy is what a verification without problems found in a backup.
type verifiedCopy struct {
	end    mark                // its newest log entry
	heads  map[string]*metHead // by path
	wrote  map[string]uint64   // by the key of a version: the log entry that wrote it
	walked walked
}
