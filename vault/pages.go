package vault

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
)

// bbolt trusts its pages: one that points to itself makes it recurse until the
// process dies, which no program can catch. So the tree of pages is walked before
// bbolt gets to see it, in a file small enough for that to cost next to nothing,
// and in every file that is checked. The layout is that of bbolt's format version
// 2, in the byte order of the machine.

// walkedBytes is the size of the largest file whose pages are walked at every
// opening: that takes less than half a millisecond (BenchmarkWalkPages).
const walkedBytes = 512 << 10

const (
	pageHeader = 16 // u64 id, u16 flags, u16 count, u32 overflow
	elemSize   = 16 // of a branch or a leaf element

	branchPage = 0x01
	leafPage   = 0x02
	metaPage   = 0x04
	freePage   = 0x10

	bucketLeaf   = 0x01 // a leaf element that is a bucket
	bucketHeader = 16   // u64 root, u64 sequence
)

// maxDepth is more than a tree of 2^64 pages has.
const maxDepth = 64

// checkPages walks every page of the file at path that bbolt would walk.
func checkPages(path string, limit int64) (err error) {
	f, err := openExisting(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil || limit > 0 && info.Size() > limit {
		return err
	}
	w := &pageWalk{f: f, pages: uint64(info.Size() / pageSize), seen: map[uint64]bool{}}
	root, free, err := w.meta()
	if err == nil && root != 0 {
		err = w.walk(root, 0, true)
		if err == nil {
			err = w.free(free)
		}
	}
	if err != nil {
		return notVault(path, "a page of the file is damaged: "+err.Error())
	}
	return nil
}

type pageWalk struct {
	f     io.ReaderAt
	pages uint64 // that the file has
	seen  map[uint64]bool
}

var order = binary.NativeEndian

// meta returns the root page and the page of the free list that the newer of the
// two meta pages names; 0 if neither can be read, which bbolt says better.
func (w *pageWalk) meta() (root, free uint64, err error) {
	var newest uint64
	for id := range uint64(2) {
		if r, f, txid, ok := w.metaAt(id); ok && (root == 0 || txid > newest) {
			root, free, newest = r, f, txid
		}
	}
	return root, free, nil
}

// metaAt reads one of the two meta pages.
func (w *pageWalk) metaAt(id uint64) (root, free, txid uint64, ok bool) {
	p := make([]byte, pageSize)
	if _, err := w.f.ReadAt(p, int64(id)*pageSize); err != nil {
		return 0, 0, 0, false
	}
	meta := p[pageHeader:]
	const magic, version = 0xED0CDAED, 2
	if order.Uint16(p[8:]) != metaPage || order.Uint32(meta) != magic || order.Uint32(meta[4:]) != version || order.Uint64(meta[56:]) != metaSum(meta[:56]) {
		return 0, 0, 0, false
	}
	return order.Uint64(meta[16:]), order.Uint64(meta[32:]), order.Uint64(meta[48:]), true
}

// free checks that the free list names no page that is in use: bbolt would write
// over it.
func (w *pageWalk) free(id uint64) error {
	if id == math.MaxUint64 { // none is kept
		return nil
	}
	used := maps.Clone(w.seen)
	p, err := w.page(id)
	if err != nil {
		return err
	}
	list, count := p[pageHeader:], uint64(order.Uint16(p[10:]))
	if count == math.MaxUint16 { // then the first of them is the count
		count, list = order.Uint64(list), list[8:]
	}
	if order.Uint16(p[8:]) != freePage || count > uint64(len(list))/8 {
		return fmt.Errorf("page %d is no list of free pages", id)
	}
	for i := range count {
		if n := order.Uint64(list[8*i:]); n < 2 || used[n] || n == id {
			return fmt.Errorf("page %d is in use, and is listed as free", n)
		}
	}
	return nil
}

// metaSum is FNV-1a of 64 bits, as bbolt sums a meta page.
func metaSum(b []byte) uint64 {
	h := uint64(0xcbf29ce484222325)
	for _, c := range b {
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	return h
}

// page reads a page with those that it flows over to, once.
func (w *pageWalk) page(id uint64) ([]byte, error) {
	if id < 2 || id >= w.pages {
		return nil, fmt.Errorf("a page %d is pointed at, and there are %d", id, w.pages)
	}
	var head [pageHeader]byte
	if _, err := w.f.ReadAt(head[:], int64(id)*pageSize); err != nil {
		return nil, err
	}
	over := uint64(order.Uint32(head[12:]))
	if order.Uint64(head[:]) != id || over >= w.pages-id {
		return nil, fmt.Errorf("page %d is not what is at its place", id)
	}
	for i := range over + 1 {
		if w.seen[id+i] {
			return nil, fmt.Errorf("page %d is pointed at twice", id+i)
		}
		w.seen[id+i] = true
	}
	p := make([]byte, (over+1)*pageSize)
	_, err := w.f.ReadAt(p, int64(id)*pageSize)
	return p, err
}

// walk checks a page and all below it. Only the root bucket holds buckets.
func (w *pageWalk) walk(id uint64, depth int, buckets bool) error {
	if depth > maxDepth {
		return fmt.Errorf("page %d lies too deep", id)
	}
	p, err := w.page(id)
	if err != nil {
		return err
	}
	return w.elements(id, p, depth, buckets)
}

// elements checks what a page, or a bucket small enough to lie inside of one,
// holds.
func (w *pageWalk) elements(id uint64, p []byte, depth int, buckets bool) error {
	broken := fmt.Errorf("an entry of page %d reaches out of it", id)
	if len(p) < pageHeader {
		return broken
	}
	flags, count := order.Uint16(p[8:]), int(order.Uint16(p[10:]))
	if flags != branchPage && flags != leafPage || pageHeader+count*elemSize > len(p) || flags == branchPage && count == 0 {
		return fmt.Errorf("page %d is no page of a tree", id)
	}
	within := func(at int, pos, size uint32) ([]byte, bool) {
		from := uint64(at) + uint64(pos)
		to := from + uint64(size)
		if to > uint64(len(p)) || to > math.MaxInt32 {
			return nil, false
		}
		return p[from:to], true
	}
	for i := range count {
		at := pageHeader + i*elemSize
		e := p[at : at+elemSize]
		if flags == branchPage {
			if _, ok := within(at, order.Uint32(e), order.Uint32(e[4:])); !ok {
				return broken
			}
			if err := w.walk(order.Uint64(e[8:]), depth+1, buckets); err != nil {
				return err
			}
			continue
		}
		kind, ksize, vsize := order.Uint32(e), order.Uint32(e[8:]), order.Uint32(e[12:])
		if uint64(ksize)+uint64(vsize) > math.MaxInt32 {
			return broken
		}
		kv, ok := within(at, order.Uint32(e[4:]), ksize+vsize)
		if !ok {
			return broken
		}
		if (kind&bucketLeaf != 0) != buckets {
			return fmt.Errorf("page %d holds something else than it should", id)
		}
		if !buckets {
			continue
		}
		value := kv[ksize:]
		if len(value) < bucketHeader {
			return broken
		}
		root := order.Uint64(value)
		var err error
		if root == 0 { // the bucket is in the value itself
			err = w.elements(id, value[bucketHeader:], depth+1, false)
		} else {
			err = w.walk(root, depth+1, false)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
