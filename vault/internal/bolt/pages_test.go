package bolt

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.etcd.io/bbolt"
)

// underRace says that the race detector slows everything down.
var underRace bool

var pagesRounds = flag.Int("pages-rounds", 1, "how many times as many random databases")

// randomDB is a bbolt file with random contents. want holds what should be in it.
type randomDB struct {
	t    *testing.T
	r    *rand.Rand
	path string
	want map[string]map[string][]byte
}

var randomBuckets = []string{"few", "large", "long", "many"}

func newRandomDB(t *testing.T, seed uint64) *randomDB {
	t.Helper()
	d := &randomDB{t: t, r: rand.New(rand.NewPCG(seed, 7)), path: filepath.Join(t.TempDir(), "db"),
		want: map[string]map[string][]byte{}}
	d.update(func(tx *bbolt.Tx) error {
		for _, name := range randomBuckets {
			d.want[name] = map[string][]byte{}
			if _, err := tx.CreateBucket([]byte(name)); err != nil {
				return err
			}
		}
		return nil
	})
	return d
}

// update runs one transaction on the file, then gives its list of free pages a sum.
func (d *randomDB) update(fn func(*bbolt.Tx) error) {
	d.t.Helper()
	db, err := bbolt.Open(d.path, 0o600, &bbolt.Options{PageSize: PageSize, NoSync: true, NoGrowSync: true,
		FreelistType: bbolt.FreelistMapType})
	if err == nil {
		err = db.Update(fn)
		if cerr := db.Close(); err == nil {
			err = cerr
		}
	}
	if err == nil {
		var f *os.File
		if f, err = os.OpenFile(d.path, os.O_RDWR, 0); err == nil {
			err = sumFreeList(f, d.path)
			f.Close()
		}
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *randomDB) tree() (*tree, error) {
	f, err := os.Open(d.path)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { f.Close() })
	return readTree(f, d.path)
}

// key returns a random key for a bucket, and a limit for the length of its values.
func (d *randomDB) key(bucket string) (k []byte, most int) {
	switch bucket {
	case "few":
		return fmt.Appendf(nil, "%d", d.r.IntN(4)), 40
	case "large":
		return fmt.Appendf(nil, "%d", d.r.IntN(40)), 9 * PageSize
	case "long":
		return append(bytes.Repeat([]byte("long"), 60+d.r.IntN(60)), fmt.Sprint(d.r.IntN(300))...), 300
	}
	return fmt.Appendf(nil, "key %d", d.r.IntN(4000)), 200
}

func (d *randomDB) put(tx *bbolt.Tx, bucket string, k []byte, most int) error {
	v := bytes.Repeat([]byte{byte(d.r.Uint32())}, d.r.IntN(most))
	d.want[bucket][string(k)] = v
	b := tx.Bucket([]byte(bucket))
	if d.r.IntN(3) == 0 {
		b.FillPercent = 0.9
	}
	return b.Put(k, v)
}

func (d *randomDB) remove(tx *bbolt.Tx, bucket string, k []byte) error {
	delete(d.want[bucket], string(k))
	return tx.Bucket([]byte(bucket)).Delete(k)
}

// Every file that bbolt writes passes the page checks, and the reader trusts its list of free
// pages.
func TestPagesOfBolt(t *testing.T) {
	for seed := range uint64(3 * *pagesRounds) {
		d := newRandomDB(t, seed)
		for round := range 40 {
			d.update(func(tx *bbolt.Tx) error {
				growing := d.r.IntN(5) > 1
				for range 1 << d.r.IntN(10) {
					bucket := randomBuckets[d.r.IntN(len(randomBuckets))]
					k, most := d.key(bucket)
					put := d.r.IntN(5) == 0
					if growing {
						put = !put
					}
					var err error
					if put {
						err = d.put(tx, bucket, k, most)
					} else {
						err = d.remove(tx, bucket, k)
					}
					if err != nil {
						return err
					}
				}
				return nil
			})
			w, err := d.tree()
			if err == nil {
				err = w.all()
			}
			if err != nil || !w.trusted {
				t.Fatalf("seed %d, round %d: trusted %t, %v", seed, round, w.trusted, err)
			}
		}
	}
}

// bbolt touches only pages that were checked. The test overwrites all others with junk. Then
// bbolt reads, writes and removes keys, and merges pages that became small.
func TestPagesTouched(t *testing.T) {
	if underRace {
		t.Skip("it takes too long, and nothing here runs at once")
	}
	junk := bytes.Repeat([]byte{0xa5}, PageSize)
	checked, pages := 0, 0
	for seed := range uint64(20 * *pagesRounds) {
		d := newRandomDB(t, seed)
		d.update(func(tx *bbolt.Tx) error {
			for range 6000 {
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
		type act struct {
			bucket string
			k      []byte
			remove bool
		}
		var acts []act
		for range 1 + d.r.IntN(4) {
			bucket := randomBuckets[d.r.IntN(len(randomBuckets))]
			k, _ := d.key(bucket)
			acts = append(acts, act{bucket, k, false})
			// Removing many neighbors makes pages empty.
			all := slices.Sorted(maps.Keys(d.want[bucket]))
			from, _ := slices.BinarySearch(all, string(k))
			for _, k := range all[from:min(len(all), from+d.r.IntN(300))] {
				acts = append(acts, act{bucket, []byte(k), true})
			}
		}
		d.r.Shuffle(len(acts), func(i, j int) { acts[i], acts[j] = acts[j], acts[i] })
		for _, a := range acts {
			if a.remove {
				err = w.removal(a.bucket, a.k)
			} else {
				_, err = w.lookup(a.bucket, a.k)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		keep := map[uint64]bool{w.free: true}
		for id, p := range w.seen {
			for i := range p.over + 1 {
				keep[id+i] = true
				checked++
			}
		}
		pages += int(w.high)
		f, err := os.OpenFile(d.path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		for id := uint64(2); id < w.high; id++ {
			if !keep[id] {
				if _, err := f.WriteAt(junk, int64(id*PageSize)); err != nil {
					t.Fatal(err)
				}
			}
		}
		f.Close()
		d.update(func(tx *bbolt.Tx) error {
			for _, a := range acts {
				b, err := tx.Bucket([]byte(a.bucket)), error(nil)
				if a.remove {
					err = b.Delete(a.k)
				} else {
					err = b.Put(a.k, []byte("new"))
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	if checked > pages/2 {
		t.Errorf("%d pages of %d were checked: that is more than what is touched", checked, pages)
	}
}

// If a disk cannot read some pages, readWhatCan reads all others. If it can read none,
// that is an error.
func TestReadWhatCan(t *testing.T) {
	whole := bytes.Repeat([]byte{7}, 5<<20)
	got := make([]byte, len(whole))
	bad := failingReader{whole, map[int]bool{0: true, 300: true, len(whole)/PageSize - 1: true}}
	if err := readWhatCan(bad, got); err != nil {
		t.Fatal(err)
	}
	for page := range len(whole) / PageSize {
		if want := !bad.pages[page]; (got[page*PageSize] == 7) != want || (got[page*PageSize+PageSize-1] == 7) != want {
			t.Errorf("page %d was read: %v", page, !want)
		}
	}
	for page := range len(whole) / PageSize {
		bad.pages[page] = true
	}
	if err := readWhatCan(bad, got); err == nil {
		t.Error("a disk that gives nothing")
	}
}

type failingReader struct {
	b     []byte
	pages map[int]bool
}

func (r failingReader) ReadAt(p []byte, at int64) (n int, err error) {
	for n < len(p) {
		page := (int(at) + n) / PageSize
		if r.pages[page] {
			return n, errors.New("a page that cannot be read")
		}
		n += copy(p[n:], r.b[int(at)+n:(page+1)*PageSize])
	}
	return n, nil
}

// A bucket whose value is too short to say where it is is damage. Without an error, it would be gone.
func TestShortBucket(t *testing.T) {
	d := newRandomDB(t, 1)
	w, err := d.tree()
	if err != nil {
		t.Fatal(err)
	}
	root := w.seen[w.root]
	last := root.n - 1
	for size, ok := range map[int]bool{0: false, 8: false, bucketHeader - 1: false, len(pageValue(root.b, last)): true} {
		f, err := os.OpenFile(d.path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteAt(order.AppendUint32(nil, uint32(size)), int64(w.root*PageSize)+int64(pageHeader+last*elemSize+12))
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.tree(); (err == nil) != ok {
			t.Errorf("with %d bytes: %v", size, err)
		}
	}
}
