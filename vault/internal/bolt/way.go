package bolt

import (
	"bytes"
	"errors"
	"sort"
)

// The way to a record: the pages from the root of a bucket down to the leaf that holds
// the record, or would hold it.

// step is one page on a way down, and the index of the element that the way follows.
type step struct {
	p *treePage
	i int
}

// descend checks the pages from the root of a bucket down to a leaf. next chooses the
// element to follow in each branch. If there is no such bucket, the leaf is empty.
func (w *tree) descend(bucket string, next func(*treePage) int) (steps []step, leaf *treePage, err error) {
	if w == nil || w.buckets[bucket] == nil {
		return nil, &treePage{}, nil
	}
	b := w.buckets[bucket]
	if b.inline != nil {
		return nil, b.inline, nil
	}
	leftmost := true
	p, err := w.page(b.root, b.at, nil, nil, false)
	for err == nil && !p.leaf {
		if len(steps) == maxDepth {
			return nil, nil, w.bad("page %d is nested too deep", p.id)
		}
		i := next(p)
		steps = append(steps, step{p, i})
		leftmost = leftmost && i == 0
		p, err = w.child(p, i, false)
	}
	if err == nil {
		p.leftmost = leftmost
	}
	return steps, p, err
}

// toKey returns a function that chooses the way to key k, as bbolt does.
func toKey(k []byte) func(*treePage) int {
	return func(p *treePage) int {
		return max(0, sort.Search(p.n, func(i int) bool { return bytes.Compare(pageKey(p.b, i), k) > 0 })-1)
	}
}

func toLast(p *treePage) int { return p.n - 1 }

// lookup checks the pages that bbolt reads to find a key, or the place for it, and
// returns the leaf.
func (w *tree) lookup(bucket string, k []byte) (*treePage, error) {
	var b *treeBucket
	if w != nil {
		b = w.buckets[bucket]
	}
	if b != nil && b.last.leadsTo(k) {
		return b.last, nil
	}
	_, leaf, err := w.descend(bucket, toKey(k))
	if err == nil && b != nil {
		b.last = leaf
	}
	return leaf, err
}

// leadsTo reports whether the way to a key surely ends at this leaf.
func (p *treePage) leadsTo(k []byte) bool {
	return p != nil && (p.leftmost || bytes.Compare(p.first, k) <= 0) && (p.until == nil || bytes.Compare(k, p.until) < 0)
}

// records calls fn for every record in a checked leaf.
func (w *tree) records(p *treePage, fn func(k, v []byte) error) error {
	b := p.b
	if b == nil && p.n > 0 {
		b = w.grow((p.over + 1) * PageSize)
		if err := w.readAt(b, p.id*PageSize); err != nil {
			return err
		}
	}
	for i := range p.n {
		v := pageValue(b, i)
		if order.Uint32(b[pageHeader+i*elemSize:]) == bucketLeaf { // as bbolt gives it
			v = nil
		}
		if err := fn(pageKey(b, i), v); err != nil {
			return err
		}
	}
	return nil
}

// leafAndNeighbour checks the pages that bbolt reads to go from a key to the next leaf (by is 1) or
// to the previous leaf (by is -1). It returns the leaf of the key.
func (w *tree) leafAndNeighbour(bucket string, k []byte, by int) (*treePage, error) {
	steps, leaf, err := w.descend(bucket, toKey(k))
	if err == nil {
		err = w.checkSibling(steps, len(steps), by)
	}
	return leaf, err
}

// last is leafAndNeighbour, backwards, for the last key of a bucket.
func (w *tree) last(bucket string) (*treePage, error) {
	steps, leaf, err := w.descend(bucket, toLast)
	if err == nil {
		err = w.checkSibling(steps, len(steps), -1)
	}
	return leaf, err
}

// removal checks the pages that bbolt reads, and frees, when it removes a key: on every
// level, bbolt joins a page that became too small with a page beside it.
func (w *tree) removal(bucket string, k []byte) error {
	steps, _, err := w.descend(bucket, toKey(k))
	for level := 1; level <= len(steps) && err == nil; level++ {
		err = errors.Join(w.checkSibling(steps, level, -1), w.checkSibling(steps, level, 1))
	}
	return err
}

// checkSibling checks a page beside the one that a way down passes on a level: the page before
// it (by is -1) or after it (by is 1). It does nothing if there is no such page.
func (w *tree) checkSibling(steps []step, level, by int) error {
	for up := level - 1; up >= 0; up-- {
		p, i := steps[up].p, steps[up].i+by
		if i < 0 || i >= p.n {
			continue
		}
		for depth := up; depth < level; depth++ {
			next, err := w.child(p, i, false)
			if err != nil || next.leaf {
				return err
			}
			if p, i = next, 0; by < 0 {
				i = p.n - 1
			}
		}
		return nil
	}
	return nil
}
