package bolt

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"ass/vault/disk"
)

// BenchmarkCheckTouched measures what the page checks add to a command: at opening, on the way
// to a value in each of three buckets, and for the sum of the list of free pages.
func BenchmarkCheckTouched(b *testing.B) {
	buckets := []string{"one", "two", "three"}
	key := func(i int) []byte { return fmt.Appendf(nil, "production/service%d/KEY%d", i/100, i) }
	for _, n := range []int{10, 1000, 100000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "db")
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				b.Fatal(err)
			}
			err := Build(path, buckets, func(w *Builder) error {
				for i := range n {
					for _, bucket := range buckets {
						if err := w.Tx.Put(bucket, key(i), make([]byte, 300)); err != nil {
							return err
						}
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			f, err := disk.OpenExisting(path, os.O_RDWR, 0)
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			b.ReportAllocs()
			for b.Loop() {
				w, err := readTree(f, path)
				if err != nil || !w.trusted {
					b.Fatal(err)
				}
				for _, bucket := range buckets {
					if _, err := w.lookup(bucket, key(n/2)); err != nil {
						b.Fatal(err)
					}
				}
				if _, err := w.last("three"); err != nil {
					b.Fatal(err)
				}
				if err := sumFreeList(f, path); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
