package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"ass/vault/internal/fault"
)

// damagedFile returns the name of a file with a bucket of three levels, after damage.
func damagedFile(t *testing.T, damage func(b []byte, w *tree)) string {
	t.Helper()
	d := newRandomDB(t, 1)
	d.update(func(tx *bbolt.Tx) error {
		var err error
		for i := range 600 {
			k := append(bytes.Repeat([]byte("long"), 60), fmt.Sprintf("%04d", i)...)
			err = errors.Join(err, tx.Bucket([]byte("long")).Put(k, bytes.Repeat([]byte("v"), 200)))
			err = errors.Join(err, tx.Bucket([]byte("many")).Put(k, bytes.Repeat([]byte("v"), 200)))
		}
		for i := range 9 { // a page for each, and pages that hold nothing but its value
			err = errors.Join(err, tx.Bucket([]byte("large")).Put(fmt.Append(nil, i), make([]byte, 5*PageSize)))
		}
		return err
	})
	w, err := d.tree()
	if err == nil {
		err = w.all()
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(d.path)
	if err != nil {
		t.Fatal(err)
	}
	damage(b, w)
	path := filepath.Join(t.TempDir(), "damaged")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A check of the whole file finds each page that is damaged, on each level.
func TestCheckFileFindsEachPage(t *testing.T) {
	var pages []uint64
	whole := damagedFile(t, func(_ []byte, w *tree) {
		for id := range w.seen {
			pages = append(pages, id)
		}
	})
	if err := CheckFile(whole); err != nil || len(pages) < 50 {
		t.Fatalf("a whole file of %d pages: %v", len(pages), err)
	}
	if err := CheckFile(whole + "-not"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	b, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range pages {
		head := b[id*PageSize:][:pageHeader]
		kept := bytes.Clone(head)
		clear(head)
		if err := os.WriteFile(whole, b, 0o600); err != nil {
			t.Fatal(err)
		}
		copy(head, kept)
		if err := CheckFile(whole); !errors.Is(err, fault.ErrDamaged) {
			t.Errorf("page %d: %v", id, err)
		}
	}
}

// One page cannot be that of two buckets, and the first two keys of a page have an order, too.
func TestCheckFileFindsForms(t *testing.T) {
	for what, damage := range map[string]func(b []byte, w *tree){
		"two buckets with one page": func(b []byte, w *tree) {
			from := order.AppendUint64(nil, w.buckets["many"].root)
			to := order.AppendUint64(nil, w.buckets["long"].root)
			root := b[w.buckets["many"].at.page*PageSize:][:PageSize]
			if n := bytes.Count(root, from); n != 1 {
				t.Fatalf("the place of the page is there %d times", n)
			}
			copy(root[bytes.Index(root, from):], to)
		},
		"a page inside a value": func(b []byte, w *tree) {
			for id, p := range w.seen {
				above := w.seen[p.at.page]
				if !p.leaf || p.over > 0 || above == nil || above.leaf {
					continue
				}
				for large, l := range w.seen {
					if l.over < 3 {
						continue
					}
					inside := b[(large+2)*PageSize:][:PageSize]
					copy(inside, b[id*PageSize:])
					order.PutUint64(inside, large+2)
					refers := b[p.at.page*PageSize:][:PageSize]
					at := bytes.Index(refers, order.AppendUint64(nil, id))
					order.PutUint64(refers[at:], large+2)
					return
				}
			}
			t.Error("no two such pages")
		},
		"a free page past the end": func(b []byte, w *tree) { order.PutUint64(b[freeAt(w):], w.high) },
		"a free page twice":        func(b []byte, w *tree) { copy(b[freeAt(w):], b[freeAt(w)-8:][:8]) },
		"the list itself is free":  func(b []byte, w *tree) { order.PutUint64(b[freeAt(w):], w.free) },
		"keys in no order": func(b []byte, w *tree) {
			for id, p := range w.seen {
				if page := b[id*PageSize:][:PageSize]; p.leaf && bytes.Contains(page, []byte("long0000")) {
					copy(page[bytes.Index(page, []byte("long0001")):], "long0000")
				}
			}
		},
	} {
		if err := CheckFile(damagedFile(t, damage)); !errors.Is(err, fault.ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// bbolt overwrites what is listed as free. So a list without the sum of ass is compared with all pages
// before the file is opened for writing.
func TestOpenChecksTheListOfFreePages(t *testing.T) {
	path := damagedFile(t, func(b []byte, w *tree) {
		if !w.trusted {
			t.Fatal("the list has no sum")
		}
		before := order.Uint64(b[freeAt(w)-8:])
		for id := range w.seen {
			if id > before {
				order.PutUint64(b[freeAt(w):], id)
				return
			}
		}
		t.Fatal("no page in use is behind the free ones")
	})
	st, err := Open(path, false)
	if !errors.Is(err, fault.ErrDamaged) {
		t.Errorf("for writing: %v", err)
	}
	if err == nil {
		_ = st.Close()
	}
	if st, err = Open(path, true); err != nil {
		t.Fatalf("for reading, the list does not matter: %v", err)
	}
	if err := st.Close(); err != nil {
		t.Error(err)
	}
}

// Somebody who edits the file can make the sum of the list, too. Then what reads a page that is listed
// as free refuses it, before bbolt overwrites it.
func TestAPageInUseThatIsListedAsFree(t *testing.T) {
	st, err := Open(damagedFile(t, func(b []byte, w *tree) {
		before := order.Uint64(b[freeAt(w)-8:])
		for id, p := range w.seen {
			if id > before && p.leaf {
				order.PutUint64(b[freeAt(w):], id)
				list := b[w.free*PageSize:]
				list = list[:(uint64(order.Uint32(list[12:]))+1)*PageSize]
				copy(list[len(list)-freeSum:], listSum(list, w.txid))
				return
			}
		}
		t.Fatal("no page in use is behind the free ones")
	}), false)
	if errors.Is(err, fault.ErrDamaged) && strings.Contains(err.Error(), "in use but listed as free") {
		return // it is a page that an opening reads
	}
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, name := range []string{"long", "many", "large"} {
		if err := st.Each(name, func(_, _ []byte) {}); errors.Is(err, fault.ErrDamaged) {
			refused++
		} else if err != nil {
			t.Error(err)
		}
	}
	if refused != 1 {
		t.Errorf("%d buckets are refused", refused)
	}
	if err := st.Close(); err != nil {
		t.Error(err)
	}
}

// freeAt returns the place of the last id in the list of free pages.
func freeAt(w *tree) uint64 { return w.free*PageSize + pageHeader + uint64(len(w.freeIDs)) - 8 }

// What reads a damaged page says so.
func TestReadsOfADamagedPage(t *testing.T) {
	st, err := Open(damagedFile(t, func(b []byte, w *tree) {
		for id, p := range w.seen {
			if p.leaf && bytes.Contains(b[id*PageSize:][:PageSize], []byte("long0300")) {
				clear(b[id*PageSize:][:pageHeader])
			}
		}
	}), true)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if err := st.Each("long", func(_, _ []byte) {}); !errors.Is(err, fault.ErrDamaged) {
		t.Errorf("Each: %v", err)
	}
	k := append(bytes.Repeat([]byte("long"), 60), "0300"...)
	if v, err := st.Get("long", k); !errors.Is(err, fault.ErrDamaged) || v != nil {
		t.Errorf("Get: %q, %v", v, err)
	}
	err = st.View(func(t *Tx) error { _, _, err := t.LastBefore("long", append(k, 0)); return err })
	if !errors.Is(err, fault.ErrDamaged) {
		t.Errorf("LastBefore: %v", err)
	}
}

// A bucket among records has no value, and stops nothing. bbolt's own check would follow one that leads to itself for ever.
func TestABucketAmongRecords(t *testing.T) {
	for _, own := range []bool{false, true} {
		t.Run(fmt.Sprintf("leads to itself: %v", own), func(t *testing.T) {
			d := newRandomDB(t, 1)
			d.update(func(tx *bbolt.Tx) error {
				b := tx.Bucket([]byte("many"))
				var err error
				for i := range 20 { // so that the bucket has pages of its own
					err = errors.Join(err, b.Put(fmt.Appendf(nil, "k%02d", i), make([]byte, 1000)))
				}
				_, cerr := b.CreateBucket([]byte("nested-bucket"))
				return errors.Join(err, cerr)
			})
			b, err := os.ReadFile(d.path)
			if err != nil {
				t.Fatal(err)
			}
			if own {
				found := 0
				for at := 0; ; at++ {
					i := bytes.Index(b[at:], []byte("nested-bucket"))
					if i < 0 {
						break
					}
					at += i
					order.PutUint64(b[at+len("nested-bucket"):], uint64(at/PageSize))
					found++
				}
				if found == 0 {
					t.Fatal("there is no bucket to change")
				}
				if err := os.WriteFile(d.path, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			st, err := Open(d.path, false)
			if err != nil {
				t.Fatal(err)
			}
			defer st.Close()
			if problems, err := st.Problems(); err != nil || len(problems) != 1 || !strings.Contains(problems[0], "a bucket among records") {
				t.Errorf("the check finds %q, %v", problems, err)
			}
			if v, err := st.Get("many", []byte("nested-bucket")); v != nil || !errors.Is(err, fault.ErrDamaged) {
				t.Errorf("its value is %q, %v: it may be a record that was made a bucket", v, err)
			}
			if v, err := st.Get("many", []byte("k05")); len(v) != 1000 || err != nil {
				t.Errorf("a value beside it: %d bytes, %v", len(v), err)
			}
			if v, err := st.Get("many", []byte("nested")); v != nil || err != nil {
				t.Errorf("what is not there: %q, %v", v, err)
			}
			if err := st.Update(func(tx *Tx) error { return tx.Put("many", []byte("k99"), []byte("v")) }); err != nil {
				t.Errorf("a write beside it: %v", err)
			}
		})
	}
}
