package vault

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
)

// bbolt trusts its pages: one that points to itself makes it recurse until the
// process dies, which no program can catch, and a list of free pages that names
// one in use makes it write over that. So no page is shown to bbolt that was not
// checked here, and each is checked when it is first needed: what that costs grows
// with the depth of the tree, and not with the file. bbolt writes a page in one way
// alone, so that a page is checked by what stands in it and by what the page
// above says of it. The layout is that of bbolt's format version 2, in the byte order of
// the machine.

const (
	pageHeader = 16 // u64 id, u16 flags, u16 count, u32 overflow
	elemSize   = 16 // of a branch or a leaf element

	branchPage = 0x01
	leafPage   = 0x02
	metaPage   = 0x04
	freePage   = 0x10

	bucketLeaf   = 0x01 // the flags of a leaf element that is a bucket
	bucketHeader = 16   // u64 root, u64 sequence

	metaMagic   = 0xED0CDAED
	metaVersion = 2

	noFreeList = math.MaxUint64 // in a meta page: bbolt has to look for free pages
	freeSum    = 8              // bytes of the sum at the end of a list of free pages
)

// maxDepth is more than a tree of 2^64 pages has.
const maxDepth = 64

var order = binary.NativeEndian

// tree is what was last committed to a file, as far as it was looked at. It is
// for one goroutine. A nil tree, that of a file which is being built, checks nothing.
type tree struct {
	f    io.ReaderAt
	path string
	buf  []byte // for the page that is being read

	txid, root, high uint64 // of the newer meta page; pages have ids below high
	free             uint64 // the page of the list of free pages, or noFreeList
	trusted          bool   // whether the list is what ass wrote
	freeIDs          []byte // of a trusted list: ids of 8 bytes, in order

	seen    map[uint64]*treePage
	buckets map[string]*treeBucket
}

// treePage is a page that was checked. Of a leaf the bytes are not kept.
type treePage struct {
	id, over     uint64
	at           slot
	leaf         bool
	n            int
	first, until []byte // its first key, and that of the page behind it; nil for none
	b            []byte
	held         bool // whether the MACs of its records are known to hold
}

// slot is which element of which page points to a page.
type slot struct {
	page uint64
	i    int
}

// treeBucket is a bucket in a page of its own, or one so small that it lies inside of
// a page of the root.
type treeBucket struct {
	root   uint64
	at     slot
	inline *treePage
}

func (w *tree) bad(format string, args ...any) error {
	return notVault(w.path, "a page of the file is damaged: "+fmt.Sprintf(format, args...))
}

// readTree reads the two pages that a file begins with, the list of free pages,
// and which buckets there are.
func readTree(f *os.File, path string) (*tree, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	w := &tree{f: f, path: path, buf: make([]byte, pageSize), seen: map[uint64]*treePage{}, buckets: map[string]*treeBucket{}}
	pages := uint64(info.Size() / pageSize)
	if err := w.meta(pages); err != nil {
		return nil, err
	}
	if ids, sum, err := w.freeList(w.free, w.txid, w.high); err == nil && sum {
		w.trusted, w.freeIDs = true, slices.Clone(ids)
	}
	root, err := w.page(w.root, slot{}, nil, nil, true)
	if err != nil {
		return nil, err
	}
	return w, w.findBuckets(root, 0)
}

// meta reads the newer of the two meta pages, which take turns. Where one does not
// hold, the other is what was committed before, and nothing but the transaction
// that died while it wrote the first is lost; unless that one had ended.
func (w *tree) meta(pages uint64) error {
	valid := 0
	for id := range uint64(2) {
		p := w.buf[:80]
		if err := w.readAt(p, id*pageSize); err != nil {
			return err
		}
		meta := p[pageHeader:]
		if !isMeta(meta) {
			continue
		}
		if order.Uint64(p) != id || order.Uint16(p[8:]) != metaPage {
			return w.bad("page %d is not what belongs there", id)
		}
		if order.Uint32(meta[8:]) != pageSize {
			return notVault(w.path, fmt.Sprintf("it is no vault: its pages are not of %d bytes", pageSize))
		}
		valid++
		if txid := order.Uint64(meta[48:]); valid == 1 || txid > w.txid {
			w.txid, w.root, w.high, w.free = txid, order.Uint64(meta[16:]), order.Uint64(meta[40:]), order.Uint64(meta[32:])
		}
	}
	switch {
	case valid == 0:
		return notVault(w.path, "it is not a vault, or its first pages are damaged")
	case w.high > pages:
		return w.bad("the file was cut off: it has %d pages of %d", pages, w.high)
	case valid == 1:
		return w.newest(pages)
	}
	return nil
}

// newest returns an error if the transaction behind the one that the only meta page
// tells of had ended: then its list of free pages has a sum. Or its meta page is
// elsewhere in the file.
func (w *tree) newest(pages uint64) error {
	for id := range pages {
		p := w.buf[:80]
		if err := w.readAt(p, id*pageSize); err != nil {
			return err
		}
		newer := isMeta(p[pageHeader:]) && order.Uint64(p[pageHeader+48:]) > w.txid
		if !newer && order.Uint16(p[8:]) == freePage {
			_, newer, _ = w.freeList(id, w.txid+1, pages)
		}
		if newer {
			return w.bad("the one of its first two pages that tells of the newest transaction")
		}
	}
	return nil
}

// isMeta reports whether b is what a meta page holds behind its head.
func isMeta(b []byte) bool {
	return order.Uint32(b) == metaMagic && order.Uint32(b[4:]) == metaVersion && order.Uint64(b[56:]) == metaSum(b[:56])
}

// metaSum is FNV-1a of 64 bits, as bbolt sums a meta page.
func metaSum(b []byte) uint64 {
	h := uint64(0xcbf29ce484222325)
	for _, c := range b {
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	return h
}

func (w *tree) readAt(p []byte, off uint64) error {
	_, err := w.f.ReadAt(p, int64(off))
	if errors.Is(err, io.EOF) {
		return w.bad("the file was cut off")
	}
	return err
}

// grow makes room for n bytes in the buffer and keeps those that are there.
func (w *tree) grow(n uint64) []byte {
	if uint64(len(w.buf)) < n {
		w.buf = append(w.buf, make([]byte, n-uint64(len(w.buf)))...)
	}
	return w.buf[:n]
}

// page checks the page that is pointed at from a place, where it is said which key is
// its first and which is behind its last; nil for unknown.
func (w *tree) page(id uint64, at slot, first, until []byte, buckets bool) (*treePage, error) {
	if p := w.seen[id]; p != nil {
		if p.at != at {
			return nil, w.bad("page %d is pointed at twice", id)
		}
		return p, nil
	}
	switch {
	case id < 2 || id >= w.high:
		return nil, w.bad("a page %d is pointed at, and there are %d", id, w.high)
	case w.isFree(id):
		return nil, w.bad("page %d is in use, and is listed as free", id)
	}
	b := w.grow(pageSize)
	if err := w.readAt(b, id*pageSize); err != nil {
		return nil, err
	}
	pages := uint64(order.Uint32(b[12:])) + 1
	if order.Uint64(b) != id || pages > w.high-id {
		return nil, w.bad("page %d is not what belongs there", id)
	}
	// First the table of elements, which says how long the page is, then the rest.
	if table := pageHeader + elemSize*uint64(order.Uint16(b[10:])); table > pageSize && table <= pages*pageSize {
		b = w.grow(table)
		if err := w.readAt(b, id*pageSize); err != nil {
			return nil, err
		}
	}
	size, ok := pageBytes(b)
	if !ok || (size+pageSize-1)/pageSize != pages {
		return nil, w.bad("what page %d holds does not fill its place", id)
	}
	if pages > 1 {
		b = w.grow(pages * pageSize)
		if err := w.readAt(b, id*pageSize); err != nil {
			return nil, err
		}
	}
	p := &treePage{id: id, over: pages - 1, at: at, first: first, until: until}
	if err := w.elements(p, b, buckets); err != nil {
		return nil, err
	}
	if !p.leaf || buckets {
		p.b = bytes.Clone(b[:size])
	}
	w.seen[id] = p
	return p, nil
}

// pageBytes adds up how long a page is that begins with b. Keys and values stand
// behind the table of elements in its order, without a gap.
func pageBytes(b []byte) (size uint64, ok bool) {
	n, leaf := uint64(order.Uint16(b[10:])), order.Uint16(b[8:]) == leafPage
	size = pageHeader + n*elemSize
	if size > uint64(len(b)) {
		return 0, false
	}
	for at := uint64(pageHeader); at < pageHeader+n*elemSize; at += elemSize {
		e := b[at:]
		pos, length := order.Uint32(e), uint64(order.Uint32(e[4:]))
		if leaf {
			pos, length = order.Uint32(e[4:]), uint64(order.Uint32(e[8:]))+uint64(order.Uint32(e[12:]))
		}
		if at+uint64(pos) != size {
			return 0, false
		}
		size += length
	}
	return size, true
}

// pageKey returns the i-th key of a page whose length is right.
func pageKey(b []byte, i int) []byte {
	at := pageHeader + i*elemSize
	pos, size := order.Uint32(b[at:]), order.Uint32(b[at+4:])
	if order.Uint16(b[8:]) == leafPage {
		pos, size = order.Uint32(b[at+4:]), order.Uint32(b[at+8:])
	}
	return b[at+int(pos):][:size:size]
}

// pageValue returns the i-th value of a leaf.
func pageValue(b []byte, i int) []byte {
	at := pageHeader + i*elemSize
	from := at + int(order.Uint32(b[at+4:])) + int(order.Uint32(b[at+8:]))
	return b[from:][:order.Uint32(b[at+12:])]
}

// elements checks what a page holds, whose length is right.
func (w *tree) elements(p *treePage, b []byte, buckets bool) error {
	flags := order.Uint16(b[8:])
	p.leaf, p.n = flags == leafPage, int(order.Uint16(b[10:]))
	if flags != branchPage && flags != leafPage || p.n == 0 && (!p.leaf || p.first != nil) {
		return w.bad("page %d is no page of a tree", p.id)
	}
	var last []byte
	kind := uint32(0)
	if buckets {
		kind = bucketLeaf
	}
	for i := range p.n {
		k := pageKey(b, i)
		if len(k) == 0 || i > 0 && bytes.Compare(k, last) <= 0 || i == 0 && p.first != nil && !bytes.Equal(k, p.first) {
			return w.bad("the keys of page %d are not in order", p.id)
		}
		last = k
		e := b[pageHeader+i*elemSize:]
		if p.leaf && order.Uint32(e) != kind {
			return w.bad("page %d holds something else than it should", p.id)
		}
		if child := order.Uint64(e[8:]); !p.leaf && (child < 2 || child >= w.high) {
			return w.bad("a page %d is pointed at, and there are %d", child, w.high)
		}
	}
	if p.until != nil && p.n > 0 && bytes.Compare(last, p.until) >= 0 {
		return w.bad("the keys of page %d are not in order", p.id)
	}
	return nil
}

// child checks the i-th page below a branch.
func (w *tree) child(p *treePage, i int, buckets bool) (*treePage, error) {
	until := p.until
	if i+1 < p.n {
		until = pageKey(p.b, i+1)
	}
	return w.page(order.Uint64(p.b[pageHeader+i*elemSize+8:]), slot{p.id, i}, pageKey(p.b, i), until, buckets)
}

// findBuckets walks the root, which holds the buckets, and nothing else does.
func (w *tree) findBuckets(p *treePage, depth int) error {
	if depth > maxDepth {
		return w.bad("page %d lies too deep", p.id)
	}
	for i := range p.n {
		if !p.leaf {
			child, err := w.child(p, i, true)
			if err == nil {
				err = w.findBuckets(child, depth+1)
			}
			if err != nil {
				return err
			}
			continue
		}
		value := pageValue(p.b, i)
		if len(value) < bucketHeader {
			return w.bad("page %d holds something else than it should", p.id)
		}
		b := &treeBucket{root: order.Uint64(value), at: slot{p.id, i}}
		if b.root == 0 {
			var err error
			if b.inline, err = w.inline(value[bucketHeader:], b.at); err != nil {
				return err
			}
		}
		w.buckets[string(pageKey(p.b, i))] = b
	}
	return nil
}

// inline checks a bucket that lies inside of a page: a leaf without a place of its own.
func (w *tree) inline(b []byte, at slot) (*treePage, error) {
	p := &treePage{id: at.page, at: at, b: b}
	if len(b) < pageHeader || order.Uint64(b) != 0 || order.Uint32(b[12:]) != 0 || order.Uint16(b[8:]) != leafPage {
		return nil, w.bad("page %d holds something else than it should", at.page)
	}
	if size, ok := pageBytes(b); !ok || size != uint64(len(b)) {
		return nil, w.bad("what page %d holds does not fill its place", at.page)
	}
	return p, w.elements(p, b, false)
}

// all checks every page, and that the list of free pages names none that is in
// use. It costs as much as reading the file.
func (w *tree) all() error {
	for _, b := range w.buckets {
		if b.inline != nil {
			continue
		}
		p, err := w.page(b.root, b.at, nil, nil, false)
		if err == nil {
			err = w.below(p, 0)
		}
		if err != nil {
			return err
		}
	}
	used := make([]bool, w.high)
	use := func(id, pages uint64) error {
		for n := id; n < id+pages; n++ {
			if used[n] {
				return w.bad("page %d is pointed at twice", n)
			}
			used[n] = true
		}
		return nil
	}
	for id, p := range w.seen {
		if err := use(id, p.over+1); err != nil {
			return err
		}
	}
	if w.free == noFreeList {
		return nil
	}
	ids, _, err := w.freeList(w.free, w.txid, w.high)
	if err != nil {
		return err
	}
	if err := use(w.free, uint64(order.Uint32(w.buf[12:]))+1); err != nil {
		return err
	}
	for ; len(ids) > 0; ids = ids[8:] {
		if n := order.Uint64(ids); used[n] {
			return w.bad("page %d is in use, and is listed as free", n)
		}
	}
	return nil
}

// below checks all pages below one.
func (w *tree) below(p *treePage, depth int) error {
	if depth > maxDepth {
		return w.bad("page %d lies too deep", p.id)
	}
	for i := 0; !p.leaf && i < p.n; i++ {
		child, err := w.child(p, i, false)
		if err == nil {
			err = w.below(child, depth+1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkPages checks every page of the file at path.
func checkPages(path string) (err error) {
	f, err := openExisting(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w, err := readTree(f, path)
	if err == nil {
		err = w.all()
	}
	return err
}
