package vault

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"ass/audit"
	"ass/vault/disk"
	"ass/vault/internal/fault"
	"ass/vault/internal/keys"
)

// A scan finds the elements in a file that no longer opens. It trusts no structure: it
// reads every page as a leaf, and takes everything with the form of an element. A MAC or
// a seal decides later what each element is.

// element is a key and a value found in a page.
type element struct {
	key, value []byte
	rank       int // how surely it belongs to the newest state; see live
}

// Ranks of elements. Stale elements lie in pages that are not in use: they are outdated, or
// a process died before it committed them.
const (
	stale = iota
	inOlder
	inNewest
)

// maxScanned is the size in bytes of the largest file that scanFile accepts, because it
// reads the whole file into memory. A file of that size has room for a million versions.
const maxScanned = 1 << 30

// scanFile returns all elements found in a file, the surest first.
func scanFile(path string) ([]element, error) {
	f, err := disk.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxScanned {
		return nil, fault.NotVault(path, "it is larger than 1 GiB, the limit for a salvage")
	}
	b := make([]byte, info.Size())
	if err := readWhatCan(f, b); err != nil {
		return nil, err
	}
	return scan(b), nil
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
			at = (at/pageSize + 1) * pageSize
		}
	}
	if got == 0 {
		return failed
	}
	return nil
}

// scan takes the elements of each page. In a crafted file, many pages can share the same
// bytes, so scan stops when all elements together are four times as large as the file.
func scan(b []byte) []element {
	ranks, most := live(b), 4*len(b)
	var list []element
	take := func(k, v []byte, rank int) bool {
		if most -= len(k) + len(v); most >= 0 {
			list = append(list, element{k, v, rank})
		}
		return most >= 0
	}
	for rank := inNewest; rank >= stale; rank-- {
		for at := 0; at < len(b) && most >= 0; at += pageSize {
			if ranks[uint64(at/pageSize)] != rank {
				continue
			}
			for k, v := range leafElements(b[at:]) {
				if !take(k, v, rank) {
					break
				}
				if len(v) <= bucketHeader || len(v) > pageSize || order.Uint64(v) != 0 {
					continue
				}
				for k, v := range leafElements(v[bucketHeader:]) { // an inline bucket, if the value holds one
					if !take(k, v, rank) {
						break
					}
				}
			}
		}
	}
	return list
}

// Limits of an element, in bytes. A version of the largest value fits, in base64 and with
// everything around it. Only log entries and the checkpoint, whose keys have 8 bytes, may
// be larger.
const (
	maxKey     = 1 << 10
	maxElement = 4 << 20
)

// leafElements yields the elements of the page at the beginning of b, if it may be a leaf.
// Both the header and the position of the first key tell how many there are. leafElements
// believes the larger number, because a wrong element is harmless.
func leafElements(b []byte) func(yield func(k, v []byte) bool) {
	return func(yield func(k, v []byte) bool) {
		if len(b) < pageHeader+elemSize {
			return
		}
		if flags := order.Uint16(b[8:]); flags == branchPage || flags == metaPage || flags == freePage {
			return
		}
		count := int(order.Uint16(b[10:]))
		if first := order.Uint32(b[pageHeader+4:]); first <= pageSize {
			count = max(count, int(first)/elemSize)
		}
		for i := range min(count, (pageSize-pageHeader)/elemSize) {
			at := pageHeader + i*elemSize
			if at+elemSize > len(b) {
				return
			}
			pos, ksize, vsize := uint64(order.Uint32(b[at+4:])), uint64(order.Uint32(b[at+8:])), uint64(order.Uint32(b[at+12:]))
			from := uint64(at) + pos
			if ksize == 0 || ksize > maxKey || vsize > maxElement && ksize != 8 || from+ksize+vsize > uint64(len(b)) || pos < elemSize {
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
	pages := uint64(len(b) / pageSize)
	var newest uint64
	roots := map[uint64]uint64{} // by transaction id
	for id := range min(2, pages) {
		p := b[id*pageSize:]
		if meta := p[pageHeader:]; isMeta(meta) && order.Uint16(p[8:]) == metaPage {
			txid := order.Uint64(meta[48:])
			roots[txid] = order.Uint64(meta[16:])
			newest = max(newest, txid)
		}
	}
	for txid, root := range roots {
		rank := inOlder
		if txid == newest {
			rank = inNewest
		}
		reached := map[uint64]bool{}
		var reach func(id uint64, depth int)
		reach = func(id uint64, depth int) {
			if id < 2 || id >= pages || reached[id] || depth > maxDepth {
				return
			}
			reached[id] = true
			ranks[id] = max(ranks[id], rank)
			p := b[id*pageSize:]
			flags, count := order.Uint16(p[8:]), int(order.Uint16(p[10:]))
			for i := range min(count, (pageSize-pageHeader)/elemSize) {
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

// scannedLog is the log found in a file. Each number has its surest entry.
type scannedLog struct {
	keys   [][]byte
	values map[uint64][]byte
	first  []byte // the checkpoint, if one has a valid signature
}

func logIn(vid keys.VaultID, found []element) scannedLog {
	l := scannedLog{values: map[uint64][]byte{}}
	for _, e := range found {
		seq := audit.Seq(e.key)
		if len(e.key) != 8 || l.values[seq] != nil {
			continue
		}
		if seq == 0 {
			if _, err := parseCheckpoint(vid, e.value); err == nil && l.first == nil {
				l.first = e.value
			}
			continue
		}
		if _, err := audit.Parse(e.value); err == nil {
			l.values[seq] = e.value
			l.keys = append(l.keys, e.key)
		}
	}
	slices.SortFunc(l.keys, bytes.Compare)
	return l
}

// each yields the entries in ascending order.
func (l scannedLog) each(yield func(k, v []byte) bool) {
	for _, k := range l.keys {
		if !yield(k, l.values[audit.Seq(k)]) {
			return
		}
	}
}
