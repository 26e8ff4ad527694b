package bolt

import (
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
