package vault

import (
	"bytes"
	"errors"
	"sort"
)

// The way to a record: the pages between a bucket and the leaf that has it, or would.

// step is one page of a way down, and which page below it the way goes on to.
type step struct {
	p *treePage
	i int
}

// descend checks the pages from the root of a bucket down to a leaf, which next
// chooses. Where there is no such bucket, the leaf is an empty one.
func (w *tree) descend(bucket string, next func(*treePage) int) (steps []step, leaf *treePage, err error) {
	if w == nil || w.buckets[bucket] == nil {
		return nil, &treePage{}, nil
	}
	b := w.buckets[bucket]
	if b.inline != nil {
		return nil, b.inline, nil
	}
	p, err := w.page(b.root, b.at, nil, nil, false)
	for err == nil && !p.leaf {
		if len(steps) == maxDepth {
			return nil, nil, w.bad("page %d lies too deep", p.id)
		}
		i := next(p)
		steps = append(steps, step{p, i})
		p, err = w.child(p, i, false)
	}
	return steps, p, err
}

// to chooses the way to a key, as bbolt does.
func to(k []byte) func(*treePage) int {
	return func(p *treePage) int {
		return max(0, sort.Search(p.n, func(i int) bool { return bytes.Compare(pageKey(p.b, i), k) > 0 })-1)
	}
}

func toLast(p *treePage) int { return p.n - 1 }

// lookup checks what bbolt reads to find a key, or the place for it, and returns
// the leaf.
func (w *tree) lookup(bucket string, k []byte) (*treePage, error) {
	_, leaf, err := w.descend(bucket, to(k))
	return leaf, err
}

// records calls fn for what stands in a leaf that has been checked.
func (w *tree) records(p *treePage, fn func(k, v []byte) error) error {
	b := p.b
	if b == nil && p.n > 0 {
		b = w.grow((p.over + 1) * pageSize)
		if err := w.readAt(b, p.id*pageSize); err != nil {
			return err
		}
	}
	for i := range p.n {
		if err := fn(pageKey(b, i), pageValue(b, i)); err != nil {
			return err
		}
	}
	return nil
}

// from checks what bbolt reads to go one leaf on from a key (by is 1) or back (by
// is -1), and returns the leaf that the key is in.
func (w *tree) from(bucket string, k []byte, by int) (*treePage, error) {
	steps, leaf, err := w.descend(bucket, to(k))
	if err == nil {
		err = w.beside(steps, len(steps), by)
	}
	return leaf, err
}

// last is from for the last key of a bucket.
func (w *tree) last(bucket string) (*treePage, error) {
	steps, leaf, err := w.descend(bucket, toLast)
	if err == nil {
		err = w.beside(steps, len(steps), -1)
	}
	return leaf, err
}

// removal checks what bbolt reads, and frees, when a key is removed: pages that
// became too small are joined with one beside them, on every level.
func (w *tree) removal(bucket string, k []byte) error {
	steps, _, err := w.descend(bucket, to(k))
	for level := 1; level <= len(steps) && err == nil; level++ {
		err = errors.Join(w.beside(steps, level, -1), w.beside(steps, level, 1))
	}
	return err
}

// beside checks the page before or behind that on the level of a way down.
func (w *tree) beside(steps []step, level, by int) error {
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
