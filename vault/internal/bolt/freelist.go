package bolt

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"os"
	"sort"
)

// The list of free pages: bbolt writes over every page that it takes from the list.

// freeList reads the list of free pages that transaction txid left at page id, and
// reports whether the list carries a valid sum. ids is usable until the next page is
// read.
func (w *tree) freeList(id, txid, high uint64) (ids []byte, sum bool, err error) {
	broken := func() ([]byte, bool, error) { return nil, false, w.bad("page %d is not a list of free pages", id) }
	if id < 2 || id >= high {
		return broken()
	}
	var head [pageHeader + 8]byte
	if err := w.readAt(head[:], id*PageSize); err != nil {
		return nil, false, err
	}
	pages, count, from := uint64(order.Uint32(head[12:]))+1, uint64(order.Uint16(head[10:])), uint64(pageHeader)
	if count == math.MaxUint16 { // then the first id is the count
		count, from = order.Uint64(head[pageHeader:]), from+8
	}
	if order.Uint64(head[:]) != id || order.Uint16(head[8:]) != freePage || pages > high-id || count > high {
		return broken()
	}
	// bbolt computes how many pages it needs before it takes them from the list.
	if size := from + 8*count; pages < size/PageSize+1 || pages > (size+8*pages)/PageSize+1 {
		return broken()
	}
	b := w.grow(pages * PageSize)
	if err := w.readAt(b, id*PageSize); err != nil {
		return nil, false, err
	}
	ids = b[from:][:8*count]
	last := uint64(1)
	for i := range count {
		n := order.Uint64(ids[8*i:])
		if n <= last || n >= high || n >= id && n < id+pages {
			return broken()
		}
		last = n
	}
	return ids, bytes.Equal(b[len(b)-freeSum:], listSum(b, txid)), nil
}

// listSum binds a list of free pages to the transaction that wrote it. Accidental
// damage cannot produce a valid sum.
func listSum(page []byte, txid uint64) []byte {
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint64([]byte("ass list of free pages"), txid))
	h.Write(page[:len(page)-freeSum])
	return h.Sum(nil)[:freeSum]
}

// sumFreeList writes the sum of the newest transaction's list of free pages to the end
// of the list's last page, where bbolt always leaves room. It does not sync: if the sum
// is missing, the next opening for writing compares the list with all the pages, and the
// next commit writes a sum again.
func sumFreeList(f *os.File, path string) error {
	w, err := readMeta(f, path)
	if err != nil {
		return err
	}
	return w.sumFreeList()
}

// sumFreeList is the function of that name, for meta pages that have been read.
func (w *tree) sumFreeList() error {
	if _, sum, err := w.freeList(w.free, w.txid, w.high); err != nil || sum {
		return err
	}
	pages := uint64(order.Uint32(w.buf[12:])) + 1
	_, err := w.f.WriteAt(listSum(w.buf[:pages*PageSize], w.txid), int64((w.free+pages)*PageSize-freeSum))
	return err
}

// isFree reports whether a page is listed as free.
func (w *tree) isFree(id uint64) bool {
	n := len(w.freeIDs) / 8
	i := sort.Search(n, func(i int) bool { return order.Uint64(w.freeIDs[8*i:]) >= id })
	return i < n && order.Uint64(w.freeIDs[8*i:]) == id
}
