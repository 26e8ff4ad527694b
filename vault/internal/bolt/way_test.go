package bolt

import (
	"fmt"
	"slices"
	"testing"

	"go.etcd.io/bbolt"
)

// Who goes from one leaf to the next, or to the one before, in a tree of three levels, has had
// both checked, and no other: bbolt reads the one, and the cost must not depend on the size.
func TestNeighbours(t *testing.T) {
	const bucket = "long"
	d := newRandomDB(t, 1)
	var all [][]byte
	for i := range 100 {
		all = append(all, fmt.Appendf(nil, "%01000d", i)) // two or three in a page
	}
	d.update(func(tx *bbolt.Tx) error {
		for _, k := range all {
			if err := tx.Bucket([]byte(bucket)).Put(k, nil); err != nil {
				return err
			}
		}
		return nil
	})
	fresh := func() *tree {
		w, err := d.tree()
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	var leaves []uint64 // in order
	for _, k := range all {
		steps, leaf, err := fresh().descend(bucket, toKey(k))
		if err != nil {
			t.Fatal(err)
		}
		if len(steps) < 2 {
			t.Fatalf("the tree has %d levels above its leaves", len(steps))
		}
		if !slices.Contains(leaves, leaf.id) {
			leaves = append(leaves, leaf.id)
		}
	}
	check := func(what string, w *tree, got *treePage, err error, at, by int) {
		if err != nil || got.id != leaves[at] {
			t.Fatalf("%s: page %d, want %d: %v", what, got.id, leaves[at], err)
		}
		for i, id := range leaves {
			if want := i == at || i == at+by; (w.seen[id] != nil) != want {
				t.Errorf("%s: leaf %d of %d was checked: %t, while leaf %d was asked for", what, i, len(leaves), !want, at)
			}
		}
	}
	for _, by := range []int{-1, 1} {
		for _, k := range all {
			w := fresh()
			leaf, err := w.leafAndNeighbour(bucket, k, by)
			check(fmt.Sprintf("by %d", by), w, leaf, err, slices.Index(leaves, leaf.id), by)
		}
	}
	w := fresh()
	leaf, err := w.last(bucket)
	check("the last one", w, leaf, err, len(leaves)-1, -1)
}
