package bolt

import (
	"bytes"
	"fmt"
	"maps"
	"os"
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

// A lookup after others, which goes to the same leaf without a look at the pages above if it can, finds the leaf that a
// lookup by itself finds. All pages on the way are checked.
func TestLookupsInARow(t *testing.T) {
	for seed := range uint64(4) {
		d := newRandomDB(t, seed)
		d.update(func(tx *bbolt.Tx) error {
			for range 2000 {
				bucket := randomBuckets[d.r.IntN(len(randomBuckets))]
				k, most := d.key(bucket)
				if err := d.put(tx, bucket, k, most); err != nil {
					return err
				}
			}
			return nil
		})
		w, err := d.tree()
		if err != nil {
			t.Fatal(err)
		}
		leaves := map[uint64]bool{}
		for range 2000 {
			bucket := randomBuckets[d.r.IntN(len(randomBuckets))]
			k, _ := d.key(bucket)
			if d.r.IntN(2) == 0 { // one that is not there, just before or behind
				k = append(bytes.Clone(k[:len(k)-1]), k[len(k)-1]+byte(d.r.IntN(3))-1)
			}
			for range 1 + d.r.IntN(2) {
				leaf, err := w.lookup(bucket, k)
				alone, aerr := readTree(w.f, d.path)
				if err != nil || aerr != nil {
					t.Fatal(err, aerr)
				}
				steps, want, err := alone.descend(bucket, toKey(k))
				if err != nil || leaf.id != want.id {
					t.Fatalf("seed %d: %q is in page %d, not in page %d: %v", seed, k, want.id, leaf.id, err)
				}
				for _, s := range steps {
					if w.seen[s.p.id] == nil {
						t.Fatalf("seed %d: page %d on the way to %q was not checked", seed, s.p.id, k)
					}
				}
				leaves[leaf.id] = true
			}
		}
		if len(leaves) < 20 {
			t.Errorf("seed %d: only %d leaves", seed, len(leaves))
		}
	}
}

// The last key before another one is found in pages that were checked: the test overwrites all others, and finds the
// same. A page beside it that is damaged is damage, not the end of the keys.
func TestLastBefore(t *testing.T) {
	for seed := range uint64(4) {
		d := newRandomDB(t, seed)
		d.update(func(tx *bbolt.Tx) error {
			for range 4000 {
				bucket := randomBuckets[d.r.IntN(len(randomBuckets))]
				k, most := d.key(bucket)
				if err := d.put(tx, bucket, k, most); err != nil {
					return err
				}
			}
			return nil
		})
		whole, err := os.ReadFile(d.path)
		if err != nil {
			t.Fatal(err)
		}
		find := func(bucket string, end []byte) (found, value []byte, pages Layout) {
			t.Helper()
			st, err := Open(d.path, true)
			if err != nil {
				t.Fatal(err)
			}
			defer st.Close()
			checked, err := st.Watch()
			if err == nil {
				err = st.View(func(t *Tx) error {
					k, v, err := t.LastBefore(bucket, end)
					found, value = bytes.Clone(k), bytes.Clone(v)
					return err
				})
			}
			if err != nil {
				t.Fatal(err)
			}
			return found, value, checked()
		}
		for _, bucket := range randomBuckets {
			all := slices.Sorted(maps.Keys(d.want[bucket]))
			for i := range 40 {
				at := d.r.IntN(len(all) + 1)
				end, want := []byte("~"), "" // behind all keys
				switch {
				case i == 0:
					end, at = nil, 0
				case at < len(all) && i%2 == 0:
					end = []byte(all[at])
				case at < len(all):
					end, at = []byte(all[at]+"\x00"), at+1
				}
				if at > 0 {
					want = all[at-1]
				}
				k, v, pages := find(bucket, end)
				if string(k) != want || !bytes.Equal(v, d.want[bucket][want]) {
					t.Fatalf("seed %d, %s: before %q is %q, want %q", seed, bucket, end, k, want)
				}
				if len(pages.Pages) > 20 {
					t.Errorf("%d pages were checked", len(pages.Pages))
				}
				rest := bytes.Repeat([]byte{0xa5}, len(whole))
				copy(rest, whole[:2*PageSize])
				for id, page := range pages.Pages {
					copy(rest[id*PageSize:], whole[id*PageSize:(id+1+page.More)*PageSize])
				}
				if err := os.WriteFile(d.path, rest, 0o600); err != nil {
					t.Fatal(err)
				}
				if k, _, _ := find(bucket, end); string(k) != want {
					t.Errorf("in the pages that were checked, %q is before %q", k, end)
				}
				if err := os.WriteFile(d.path, whole, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
