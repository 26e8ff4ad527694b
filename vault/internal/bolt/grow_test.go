package bolt

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"
)

// A transaction that outgrows the file many times over does not map it anew, and the file gets at most twice as large as
// it must.
func TestGrow(t *testing.T) {
	for _, size := range []int{100 << 10, 3 << 20, 8 << 20} {
		path := newFile(t)
		st, err := Open(path, false)
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		mapped := st.db.Info().Data
		for _, more := range []int{size, 10} { // the second transaction needs little
			err = st.Update(func(b *Tx) error {
				for i := range more / 1000 {
					if err := b.Put("x", fmt.Appendf(nil, "%d/%08d", more, i), make([]byte, 1000)); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if st.db.Info().Data != mapped && runtime.GOOS != "windows" {
			t.Errorf("the file was mapped anew for %d bytes", size)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		pages, err := st.tree()
		if err != nil {
			t.Fatal(err)
		}
		if most := 2*int64(pages.high)*PageSize + 64<<10; info.Size() > most && runtime.GOOS != "windows" {
			t.Errorf("the file has %d bytes; %d are enough", info.Size(), most/2)
		}
	}
}

// A new file, and what is appended or comes in order, has as many records in a page as fit.
func TestPagesAreFull(t *testing.T) {
	const n, size = 600, 630 // six of these take 3,900 of the 4,096 bytes
	put := func(put func(bucket string, k, v []byte) error) error {
		for i := range n {
			if err := put("x", fmt.Appendf(nil, "%08d", i), make([]byte, size)); err != nil {
				return err
			}
		}
		return nil
	}
	built, appended, between := newFile(t), newFile(t), newFile(t)
	if err := os.Truncate(built, 0); err != nil {
		t.Fatal(err)
	}
	if err := Build(built, []string{"x"}, func(b *Builder) error { return put(b.Tx.Put) }); err != nil {
		t.Fatal(err)
	}
	fill := func(path string, by func(*Tx) error) {
		t.Helper()
		st, err := Open(path, false)
		if err == nil {
			err = errors.Join(st.Update(by), st.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	fill(appended, func(b *Tx) error { return put(b.Append) })
	fill(between, func(b *Tx) error { return put(b.PutInOrder) }) // before the key that is there
	for what, path := range map[string]string{"built": built, "appended": appended, "in order": between} {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		w, err := readTree(f, path)
		if err == nil {
			err = w.all()
		}
		if err != nil {
			t.Fatal(err)
		}
		if want := n/6 + 10; len(w.seen) > want {
			t.Errorf("%s: %d pages are in use, for what fits into %d", what, len(w.seen), want)
		}
	}
}
