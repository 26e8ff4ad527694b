package bolt

import (
	"errors"
	"io"

	"ass/vault/disk"
	"ass/vault/internal/fault"
)

// A scan finds the elements in a file that no longer opens. It trusts no structure: it
// reads every page as a leaf, and takes everything with the form of an element. A MAC or
// a seal decides later what each element is.

// Element is a key and a value found in a page.
type Element struct {
	Key, Value []byte
	Rank       int // how surely it belongs to the newest state
}

// Ranks of elements. [Stale] elements lie in pages that are not in use: they are outdated, or
// a process died before it committed them.
const (
	Stale = iota
	InOlder
	InNewest
)

// maxScanned is the size in bytes of the largest file that ScanFile accepts, because it
// reads the whole file into memory. A file of that size has room for a million versions.
const maxScanned = 1 << 30

// ScanFile returns all elements found in a file, the surest first. Nobody may write to it meanwhile:
// otherwise the error is a [fault.BusyError]. plausible says whether
// an element may have a key and a value of these sizes, in bytes.
func ScanFile(path string, plausible func(key, value uint64) bool) ([]Element, error) {
	f, err := disk.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // which also ends the lock
	release, err := excludeWriters(f, path, true)
	if busy := (*fault.BusyError)(nil); errors.As(err, &busy) {
		return nil, err
	}
	if err == nil { // otherwise, files cannot be locked there, so no ass writes there either
		defer release()
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxScanned {
		return nil, fault.Unusable(path, "it is larger than 1 GiB, the limit for a salvage")
	}
	b := make([]byte, info.Size())
	if err := readWhatCan(f, b); err != nil {
		return nil, err
	}
	return Scan(b, plausible), nil
}

// readWhatCan fills b and leaves zeros where a failing disk returns errors, because the
// readable parts are worth having. It returns an error only if it could read nothing.
func readWhatCan(f io.ReaderAt, b []byte) error {
	const most = 1 << 20
	var failed error
	got := 0
	for at := 0; at < len(b); {
		n, err := f.ReadAt(b[at:min(at+most, len(b))], int64(at))
		got += n
		at += n
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil { // skip the page that failed
			failed = err
			at = (at/PageSize + 1) * PageSize
		}
	}
	if got == 0 {
		return failed
	}
	return nil
}

// Scan takes the elements of each page of a file with the content b; see [ScanFile]. In a
// crafted file, many pages can share the same bytes, so Scan stops when all elements
// together are four times as large as the file.
func Scan(b []byte, plausible func(key, value uint64) bool) []Element {
	ranks, most := live(b), 4*len(b)
	var list []Element
	take := func(k, v []byte, rank int) bool {
		if most -= len(k) + len(v); most >= 0 {
			list = append(list, Element{k, v, rank})
		}
		return most >= 0
	}
	for rank := InNewest; rank >= Stale; rank-- {
		for at := 0; at < len(b) && most >= 0; at += PageSize {
			if ranks[uint64(at/PageSize)] != rank {
				continue
			}
			for k, v := range leafElements(b[at:], plausible) {
				if !take(k, v, rank) {
					break
				}
				if len(v) <= bucketHeader || len(v) > PageSize || order.Uint64(v) != 0 {
					continue
				}
				for k, v := range leafElements(v[bucketHeader:], plausible) { // an inline bucket, if the value holds one
					if !take(k, v, rank) {
						break
					}
				}
			}
		}
	}
	return list
}

// leafElements yields the elements of the page at the beginning of b, if it may be a leaf.
// Both the header and the position of the first key tell how many there are. leafElements
// believes the larger number, because a wrong element is harmless.
func leafElements(b []byte, plausible func(key, value uint64) bool) func(yield func(k, v []byte) bool) {
	return func(yield func(k, v []byte) bool) {
		if len(b) < pageHeader+elemSize {
			return
		}
		if flags := order.Uint16(b[8:]); flags == branchPage || flags == metaPage || flags == freePage {
			return
		}
		count := int(order.Uint16(b[10:]))
		if first := order.Uint32(b[pageHeader+4:]); first <= PageSize {
			count = max(count, int(first)/elemSize)
		}
		for i := range min(count, (PageSize-pageHeader)/elemSize) {
			at := pageHeader + i*elemSize
			if at+elemSize > len(b) {
				return
			}
			pos, ksize, vsize := uint64(order.Uint32(b[at+4:])), uint64(order.Uint32(b[at+8:])), uint64(order.Uint32(b[at+12:]))
			from := uint64(at) + pos
			if ksize == 0 || !plausible(ksize, vsize) || from+ksize+vsize > uint64(len(b)) || pos < elemSize {
				continue
			}
			if !yield(b[from:from+ksize], b[from+ksize:from+ksize+vsize]) {
				return
			}
		}
	}
}

// live returns the rank of each page that a meta page leads to: it belongs to the newest
// state or to the one before. live does not descend into invalid pages.
func live(b []byte) map[uint64]int {
	ranks := map[uint64]int{}
	pages := uint64(len(b) / PageSize)
	var newest uint64
	roots := map[uint64]uint64{} // by transaction id
	for id := range min(2, pages) {
		p := b[id*PageSize:]
		if meta := p[pageHeader:]; isMeta(meta) && order.Uint16(p[8:]) == metaPage {
			txid := order.Uint64(meta[48:])
			roots[txid] = order.Uint64(meta[16:])
			newest = max(newest, txid)
		}
	}
	for txid, root := range roots {
		rank := InOlder
		if txid == newest {
			rank = InNewest
		}
		reached := map[uint64]bool{}
		var reach func(id uint64, depth int)
		reach = func(id uint64, depth int) {
			if id < 2 || id >= pages || reached[id] || depth > maxDepth {
				return
			}
			reached[id] = true
			ranks[id] = max(ranks[id], rank)
			p := b[id*PageSize:]
			flags, count := order.Uint16(p[8:]), int(order.Uint16(p[10:]))
			for i := range min(count, (PageSize-pageHeader)/elemSize) {
				e := p[pageHeader+i*elemSize:]
				switch flags {
				case branchPage:
					reach(order.Uint64(e[8:]), depth+1)
				case leafPage:
					if order.Uint32(e)&bucketLeaf == 0 {
						continue
					}
					from := uint64(pageHeader+i*elemSize) + uint64(order.Uint32(e[4:])) + uint64(order.Uint32(e[8:]))
					if from+8 <= uint64(len(p)) {
						reach(order.Uint64(p[from:]), depth+1)
					}
				}
			}
		}
		reach(root, 0)
	}
	return ranks
}
