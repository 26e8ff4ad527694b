package bolt

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"
)

// In a transaction that asks for many keys that are not there, and writes and deletes in between, each answer is what a
// map with the same history says.
func TestAbsentKeys(t *testing.T) {
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		db, err := Open(newFile(t), false)
		if err != nil {
			t.Fatal(err)
		}
		is := map[string]string{"k": "v"}
		key := func() string { return fmt.Sprintf("%c%02d", 'a'+rnd.IntN(3), rnd.IntN(30)) }
		last := func(end string) string {
			keys := slices.Sorted(maps.Keys(is))
			i := sort.SearchStrings(keys, end)
			return strings.Join(keys[max(0, i-1):i], "")
		}
		for range 4 {
			err := db.Update(func(tx *Tx) error {
				for range 300 {
					k := key()
					var err error
					switch v := fmt.Sprint(rnd.IntN(1000), strings.Repeat("-", rnd.IntN(400))); rnd.IntN(20) {
					case 0:
						is[k], err = v, tx.Put("x", []byte(k), []byte(v))
					case 1:
						is[k], err = v, tx.PutInOrder("x", []byte(k), []byte(v))
					case 2, 3:
						if _, there := is[k]; there {
							delete(is, k)
							err = tx.Delete("x", []byte(k))
						}
					case 4, 5, 6, 7, 8, 9:
						at, value, lerr := tx.LastBefore("x", []byte(k))
						if err = lerr; string(at) != last(k) || string(value) != is[last(k)] {
							t.Fatalf("seed %d: %q is the last before %q, not %q", seed, at, k, last(k))
						}
					default:
						got, gerr := tx.Get("x", []byte(k))
						if want, there := is[k]; string(got) != want || (got != nil) != there {
							t.Fatalf("seed %d: at %q is %q, not %q", seed, k, got, want)
						}
						err = gerr
					}
					if err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(db.CheckPages(), db.Close()); err != nil {
			t.Error(err)
		}
	}
}
