package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"

	"ass/vault/disk"
	"ass/vault/internal/fault"
)

// bbolt trusts its pages. If a page points to itself, bbolt recurses until the process
// dies, which no program can catch. If the list of free pages names a page in use, bbolt
// overwrites that page. So bbolt reads only pages that were checked here. Each page is
// checked when it is first needed: the cost grows with the depth of the tree, not with
// the size of the file. bbolt has only one way to write a page, so a page can be checked
// by its content and by what the page above says about it. The layout is that of bbolt's
// format version 2, in the byte order of the machine.

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

	noFreeList = math.MaxUint64 // in a meta page: bbolt must search for free pages
	freeSum    = 8              // bytes of the sum at the end of a list of free pages
)

// maxTxID is more than the number of any transaction: a file that is written a million times a
// second gets there in 285 years. A higher number comes from somebody who wants it to overflow:
// then the next transaction would be an older one than the last.
const maxTxID = 1 << 53

// maxDepth is more than the depth of a tree of 2^64 pages.
const maxDepth = 64

var order = binary.NativeEndian

// tree is the last committed state of a file, as far as it has been read. Only one
// goroutine may use it. A file that is being built has a nil tree, which checks nothing.
type tree struct {
	f    *os.File
	path string
	buf  []byte // the page that is being read

	txid, root, high uint64 // of the newer meta page; pages have ids below high
	free             uint64 // the page of the list of free pages, or noFreeList
	trusted          bool   // whether ass wrote that list
	freeIDs          []byte // ids in a trusted list: 8 bytes each, in order

	seen    map[uint64]*treePage
	buckets map[string]*treeBucket
	nested  uint64 // a page with a bucket among records; 0 if none was seen
}

// treePage is a checked page. It keeps the bytes of branches, of the root's leaves and
// of inline buckets, but not those of other leaves.
type treePage struct {
	id, over     uint64
	at           slot
	leaf         bool
	n            int
	first, until []byte // its first key, and that of the next page; nil if unknown
	b            []byte
	leftmost     bool // whether it is the first leaf of its bucket, where every lesser key would be
	passed       bool // whether all its records passed; see Tx.CheckLeaf
}

// slot is the element that points to a page: the page it stands in, and its index.
type slot struct {
	page uint64
	i    int
}

// treeBucket is a bucket with pages of its own, or one so small that it lies inside
// a page of the root.
type treeBucket struct {
	root   uint64
	at     slot
	inline *treePage
	last   *treePage // the leaf that was looked up last: many keys are looked up in order
}

func (w *tree) bad(format string, args ...any) error {
	return fault.Unusable(w.path, "a page of the file is damaged: "+fmt.Sprintf(format, args...))
}

// readTree reads the two meta pages at the start of a file and the list of free pages,
// and finds the buckets.
func readTree(f *os.File, path string) (*tree, error) {
	w, err := readMeta(f, path)
	if err != nil {
		return nil, err
	}
	w.seen, w.buckets = map[uint64]*treePage{}, map[string]*treeBucket{}
	if ids, sum, err := w.freeList(w.free, w.txid, w.high); err == nil && sum {
		w.trusted, w.freeIDs = true, slices.Clone(ids)
	}
	root, err := w.page(w.root, slot{}, nil, nil, true)
	if err != nil {
		return nil, err
	}
	return w, w.findBuckets(root, 0)
}

// readMeta reads the two meta pages, and nothing else.
func readMeta(f *os.File, path string) (*tree, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	w := &tree{f: f, path: path, buf: make([]byte, PageSize)}
	return w, w.meta(uint64(info.Size() / PageSize))
}

// meta reads the newer of the two meta pages, which bbolt writes in turn. If one is
// invalid, the other tells of the commit before. Then the only loss is the transaction
// that died while it wrote its meta page. If that transaction had ended, newest returns
// an error.
func (w *tree) meta(pages uint64) error {
	valid := 0
	for id := range uint64(2) {
		p := w.buf[:80]
		if err := w.readAt(p, id*PageSize); err != nil {
			return err
		}
		meta := p[pageHeader:]
		if !isMeta(meta) {
			continue
		}
		if order.Uint64(p) != id || order.Uint16(p[8:]) != metaPage {
			return w.bad("page %d has a wrong header", id)
		}
		if order.Uint32(meta[8:]) != PageSize {
			return fault.Unusable(w.path, fmt.Sprintf("it is not a vault: its page size is not %d bytes", PageSize))
		}
		txid := order.Uint64(meta[48:])
		if txid > maxTxID || txid%2 != id {
			return w.bad("page %d has transaction number %d, which no transaction has there", id, txid)
		}
		valid++
		if valid == 1 || txid > w.txid {
			w.txid, w.root, w.high, w.free = txid, order.Uint64(meta[16:]), order.Uint64(meta[40:]), order.Uint64(meta[32:])
		}
	}
	switch {
	case valid == 0:
		return fault.Unusable(w.path, "it is not a vault, or its first pages are damaged")
	case w.high > pages:
		return w.bad("the file was truncated: it has %d of %d pages", pages, w.high)
	case valid == 1:
		return w.newest(pages)
	}
	return nil
}

// newest returns an error if a transaction ended after the one that the only valid meta
// page tells of. The signs are a list of free pages with the sum of that transaction, or
// a newer meta page elsewhere in the file.
func (w *tree) newest(pages uint64) error {
	for id := range pages {
		p := w.buf[:80]
		if err := w.readAt(p, id*PageSize); err != nil {
			return err
		}
		newer := isMeta(p[pageHeader:]) && order.Uint64(p[pageHeader+48:]) > w.txid
		if !newer && order.Uint16(p[8:]) == freePage {
			_, newer, _ = w.freeList(id, w.txid+1, pages)
		}
		if newer {
			return w.bad("the meta page of the newest transaction")
		}
	}
	return nil
}

// isMeta reports whether b is the content of a meta page, without its page header.
func isMeta(b []byte) bool {
	return order.Uint32(b) == metaMagic && order.Uint32(b[4:]) == metaVersion && order.Uint64(b[56:]) == metaSum(b[:56])
}

// metaSum is the checksum that bbolt gives a meta page: 64-bit FNV-1a.
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
		return w.bad("the file was truncated")
	}
	return err
}

// grow makes room for n bytes in the buffer and keeps its content.
func (w *tree) grow(n uint64) []byte {
	if uint64(len(w.buf)) < n {
		w.buf = append(w.buf, make([]byte, n-uint64(len(w.buf)))...)
	}
	return w.buf[:n]
}

// page checks page id, which the element at slot at points to. The page above says that
// first is its first key, and that all its keys are less than until; nil means unknown.
// If buckets is set, each element of a leaf must be a bucket.
func (w *tree) page(id uint64, at slot, first, until []byte, buckets bool) (*treePage, error) {
	if p := w.seen[id]; p != nil {
		if p.at != at {
			return nil, w.bad("page %d is referenced twice", id)
		}
		return p, nil
	}
	switch {
	case id < 2 || id >= w.high:
		return nil, w.bad("page %d is referenced, but the file has %d pages", id, w.high)
	case w.isFree(id):
		return nil, w.bad("page %d is in use but listed as free", id)
	}
	b := w.grow(PageSize)
	if err := w.readAt(b, id*PageSize); err != nil {
		return nil, err
	}
	pages := uint64(order.Uint32(b[12:])) + 1
	if order.Uint64(b) != id || pages > w.high-id {
		return nil, w.bad("page %d has a wrong header", id)
	}
	// Read the table of elements first: it says how long the page is.
	if table := pageHeader + elemSize*uint64(order.Uint16(b[10:])); table > PageSize && table <= pages*PageSize {
		b = w.grow(table)
		if err := w.readAt(b, id*PageSize); err != nil {
			return nil, err
		}
	}
	size, ok := pageBytes(b)
	if !ok || (size+PageSize-1)/PageSize != pages {
		return nil, w.bad("the content of page %d does not match its size", id)
	}
	if pages > 1 {
		b = w.grow(pages * PageSize)
		if err := w.readAt(b, id*PageSize); err != nil {
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

// pageBytes adds up the length of the page that begins with b. Keys and values follow
// the table of elements, in its order and without gaps; otherwise ok is false.
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

// pageKey returns the i-th key of a page whose length was checked.
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

// elements checks the content of a page whose length was checked.
func (w *tree) elements(p *treePage, b []byte, buckets bool) error {
	flags := order.Uint16(b[8:])
	p.leaf, p.n = flags == leafPage, int(order.Uint16(b[10:]))
	if flags != branchPage && flags != leafPage || p.n == 0 && (!p.leaf || p.first != nil) {
		return w.bad("page %d is not a tree page", p.id)
	}
	var last []byte
	for i := range p.n {
		k := pageKey(b, i)
		if len(k) == 0 || i > 0 && bytes.Compare(k, last) <= 0 || i == 0 && p.first != nil && !bytes.Equal(k, p.first) {
			return w.bad("the keys of page %d are not in order", p.id)
		}
		last = k
		e := b[pageHeader+i*elemSize:]
		// A bucket among records is no damage of the page: bbolt gives its key without a value.
		kind := order.Uint32(e)
		if p.leaf && kind != bucketLeaf && (buckets || kind != 0) {
			return w.bad("page %d holds the wrong kind of element", p.id)
		}
		if p.leaf && !buckets && kind == bucketLeaf {
			w.nested = p.id
		}
		if child := order.Uint64(e[8:]); !p.leaf && (child < 2 || child >= w.high) {
			return w.bad("page %d is referenced, but the file has %d pages", child, w.high)
		}
	}
	if p.until != nil && p.n > 0 && bytes.Compare(last, p.until) >= 0 {
		return w.bad("the keys of page %d are not in order", p.id)
	}
	return nil
}

// child checks the page below the i-th element of a branch.
func (w *tree) child(p *treePage, i int, buckets bool) (*treePage, error) {
	until := p.until
	if i+1 < p.n {
		until = pageKey(p.b, i+1)
	}
	return w.page(order.Uint64(p.b[pageHeader+i*elemSize+8:]), slot{p.id, i}, pageKey(p.b, i), until, buckets)
}

// findBuckets walks the root. All buckets are in the root, and nowhere else.
func (w *tree) findBuckets(p *treePage, depth int) error {
	if depth > maxDepth {
		return w.bad("page %d is nested too deep", p.id)
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
			return w.bad("page %d holds the wrong kind of element", p.id)
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

// inline checks a bucket that lies inside a page: a leaf without a page of its own.
func (w *tree) inline(b []byte, at slot) (*treePage, error) {
	p := &treePage{id: at.page, at: at, b: b}
	if len(b) < pageHeader || order.Uint64(b) != 0 || order.Uint32(b[12:]) != 0 || order.Uint16(b[8:]) != leafPage {
		return nil, w.bad("page %d holds the wrong kind of element", at.page)
	}
	if size, ok := pageBytes(b); !ok || size != uint64(len(b)) {
		return nil, w.bad("the content of page %d does not match its size", at.page)
	}
	return p, w.elements(p, b, false)
}

// all checks every page. It also checks that the list of free pages names no page in
// use. It costs as much as reading the whole file.
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
				return w.bad("page %d is referenced twice", n)
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
			return w.bad("page %d is in use but listed as free", n)
		}
	}
	return nil
}

// below checks all pages below p.
func (w *tree) below(p *treePage, depth int) error {
	if depth > maxDepth {
		return w.bad("page %d is nested too deep", p.id)
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

// CheckFile checks every page of the file at path.
func CheckFile(path string) (err error) {
	f, err := disk.Open(path)
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
