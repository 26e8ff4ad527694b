package bolt

import (
	"bytes"

	"go.etcd.io/bbolt"

	"ass/vault/internal/fault"
)

// Tx is a transaction. Before bbolt reads a page for it, the page is checked. Keys and
// values that it gives out are valid until the transaction ends; fn of a walk must not
// keep them.
type Tx struct {
	b     *bbolt.Tx
	pages *tree // as last committed; nil in a file that is being built
	path  string
	gaps  map[string]gap // by bucket: the one that was found last, unless the bucket has changed since
}

// gap says that a bucket has no key between two. Many keys that are not there are asked for in order, and most of them
// are in one gap.
type gap struct {
	from, until []byte // there is none from the one to before the other; until is nil for the end of the bucket
	last, value []byte // the key before from, if it is known; nil if there is none
	known       bool
}

// has reports whether k is surely not there.
func (g gap) has(k []byte) bool {
	return g.from != nil && bytes.Compare(g.from, k) <= 0 && (g.until == nil || bytes.Compare(k, g.until) < 0)
}

// found notes a gap.
func (t *Tx) found(bucket string, g gap) {
	if t.gaps == nil {
		t.gaps = map[string]gap{}
	}
	g.from, g.until = bytes.Clone(g.from), bytes.Clone(g.until)
	t.gaps[bucket] = g
}

// Path returns the path of the file.
func (t *Tx) Path() string { return t.path }

// bucket returns a bucket without checking any of its pages.
func (t *Tx) bucket(name string) (*bbolt.Bucket, error) {
	b := t.b.Bucket([]byte(name))
	if b == nil {
		return nil, fault.Unusable(t.path, "its bucket "+name+" is missing")
	}
	return b, nil
}

// at returns a bucket. It first checks the pages that lead to k, so that the caller can
// read and write k.
func (t *Tx) at(name string, k []byte) (*bbolt.Bucket, error) {
	if _, err := t.pages.lookup(name, k); err != nil {
		return nil, err
	}
	return t.bucket(name)
}

// Buckets returns the names of all buckets.
func (t *Tx) Buckets() (names []string, err error) {
	err = t.b.ForEach(func(name []byte, _ *bbolt.Bucket) error {
		names = append(names, string(name))
		return nil
	})
	return names, err
}

// Get returns the value at k, or nil if there is none. Before Get returns nil, it also
// checks the next page: the page above says where that one begins, and so on which of the
// two pages k would be.
func (t *Tx) Get(bucket string, k []byte) ([]byte, error) {
	if t.gaps[bucket].has(k) {
		return nil, nil
	}
	from, err := t.at(bucket, k)
	if err != nil {
		return nil, err
	}
	v := from.Get(k)
	if v != nil || t.pages == nil {
		return v, nil
	}
	if _, err = t.pages.leafAndNeighbour(bucket, k, 1); err != nil {
		return nil, err
	}
	next, _ := from.Cursor().Seek(k)
	if bytes.Equal(next, k) { // a record that was made a bucket is not absent
		return nil, t.pages.bad("a bucket is in the place of a record")
	}
	t.found(bucket, gap{from: k, until: next})
	return nil, nil
}

// Put stores a value.
func (t *Tx) Put(bucket string, k, v []byte) error {
	into, err := t.at(bucket, k)
	if err != nil {
		return err
	}
	delete(t.gaps, bucket)
	if t.pages == nil { // a new file, filled in order
		into.FillPercent = dense
	}
	return into.Put(k, v)
}

// Append stores a value under a key that follows all keys of the bucket. Nothing is ever
// inserted between two such keys, so the pages are filled.
func (t *Tx) Append(bucket string, k, v []byte) error {
	into, err := t.at(bucket, k)
	if err != nil {
		return err
	}
	delete(t.gaps, bucket)
	into.FillPercent = dense
	return into.Put(k, v)
}

// PutInOrder is Put for many values that are stored in the order of their keys. Their pages are filled, as those of a
// new file are: half-full ones would be twice as many to write, to check and to read.
func (t *Tx) PutInOrder(bucket string, k, v []byte) error { return t.Append(bucket, k, v) }

// dense is how full a page gets in which nothing will be inserted: as full as it can get.
const dense = 1.0

// Delete removes a key, which must exist.
func (t *Tx) Delete(bucket string, k []byte) error {
	if err := t.pages.removal(bucket, k); err != nil {
		return err
	}
	from, err := t.bucket(bucket)
	if err != nil {
		return err
	}
	delete(t.gaps, bucket)
	return from.Delete(k)
}

// Last returns the last key of a bucket with its value; nil if the bucket is empty.
func (t *Tx) Last(bucket string) (k, v []byte, err error) {
	if _, err := t.pages.last(bucket); err != nil {
		return nil, nil, err
	}
	from, err := t.bucket(bucket)
	if err != nil {
		return nil, nil, err
	}
	k, v = from.Cursor().Last()
	return k, v, nil
}

// LastBefore returns the last key of a bucket that comes before end, with its value; nil if there is none.
func (t *Tx) LastBefore(bucket string, end []byte) (k, v []byte, err error) {
	if g := t.gaps[bucket]; g.known && g.has(end) {
		return g.last, g.value, nil
	}
	from, err := t.bucket(bucket)
	if err != nil {
		return nil, nil, err
	}
	for _, by := range []int{1, -1} { // bbolt goes on to the next page if all keys of this one come before end
		if _, err := t.pages.leafAndNeighbour(bucket, end, by); err != nil {
			return nil, nil, err
		}
	}
	c := from.Cursor()
	at, _ := c.Seek(end)
	if at == nil {
		k, v = c.Last()
	} else {
		k, v = c.Prev()
	}
	if t.pages != nil && !bytes.Equal(at, end) {
		after := []byte{} // the first key that there can be
		if k != nil {
			after = append(k[:len(k):len(k)], 0)
		}
		t.found(bucket, gap{from: after, until: at, last: k, value: v, known: true})
	}
	return k, v, nil
}

// Walk calls fn for every key of a bucket that begins with prefix, in order.
func (t *Tx) Walk(bucket string, prefix []byte, fn func(k, v []byte) error) error {
	return t.WalkFrom(bucket, prefix, prefix, fn)
}

// WalkFrom is Walk, but begins at the key start.
func (t *Tx) WalkFrom(bucket string, start, prefix []byte, fn func(k, v []byte) error) error {
	from, err := t.bucket(bucket)
	if err != nil {
		return err
	}
	leaf, err := t.pages.leafAndNeighbour(bucket, start, 1)
	if err != nil {
		return err
	}
	c := from.Cursor()
	for k, v := c.Seek(start); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if leaf.until != nil && bytes.Compare(k, leaf.until) >= 0 {
			if leaf, err = t.pages.leafAndNeighbour(bucket, k, 1); err != nil {
				return err
			}
		}
		if err := fn(k, v); err != nil {
			return err
		}
	}
	return nil
}

// WalkBack calls fn for the keys of a bucket, the last one first, until fn returns false.
func (t *Tx) WalkBack(bucket string, fn func(k, v []byte) bool) error {
	return t.WalkBackFrom(bucket, nil, fn)
}

// WalkBackFrom is WalkBack for the keys before one, which need not be there; nil is behind the last one.
func (t *Tx) WalkBackFrom(bucket string, before []byte, fn func(k, v []byte) bool) error {
	from, err := t.bucket(bucket)
	if err != nil {
		return err
	}
	var leaf *treePage
	if before == nil {
		leaf, err = t.pages.last(bucket)
	} else if _, err = t.pages.leafAndNeighbour(bucket, before, 1); err == nil { // where Seek may end
		leaf, err = t.pages.leafAndNeighbour(bucket, before, -1)
	}
	if err != nil {
		return err
	}
	c := from.Cursor()
	var k, v []byte
	if before != nil {
		k, _ = c.Seek(before)
	}
	if k == nil {
		k, v = c.Last()
	} else {
		k, v = c.Prev()
	}
	for ; k != nil && fn(k, v); k, v = c.Prev() {
		if bytes.Compare(k, leaf.first) < 0 {
			if leaf, err = t.pages.leafAndNeighbour(bucket, k, -1); err != nil {
				return err
			}
		}
	}
	return nil
}

// CheckLeaf calls check for every key of the leaf on which k is, or would be. If all pass,
// they are not checked again before the next commit.
func (t *Tx) CheckLeaf(bucket string, k []byte, check func(k, v []byte) error) error {
	leaf, err := t.pages.lookup(bucket, k)
	if err != nil || leaf.passed {
		return err
	}
	err = t.pages.records(leaf, check)
	leaf.passed = err == nil
	return err
}
