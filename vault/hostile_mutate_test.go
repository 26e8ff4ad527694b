package vault

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"ass/audit"
	"ass/vault/internal/bolt"
	"ass/vault/internal/keys"
)

// make makes the hostile file of a seed. First an insider may change records, whose MACs, digest
// and head are then right. Then somebody without a key may change the database with an editor
// for it. At last, pages may be changed; their sums are right, too.
func (h *hostile) make() {
	h.put(h.path, h.file)
	insider, editor, pages := h.random.IntN(2) == 0, h.random.IntN(3) == 0, h.random.IntN(2) == 0
	if insider {
		h.asInsider()
	}
	if editor {
		h.withEditor()
	}
	b, err := os.ReadFile(h.path)
	if err != nil {
		h.t.Fatal(err)
	}
	h.raw = b
	if pages || !insider && !editor {
		if insider || editor {
			h.layout = h.layoutNow()
		}
		for range 1 + h.random.IntN(3) {
			h.pages()
		}
	}
}

// layoutNow is the layout after records were changed. What was changed with an editor may have none.
func (h *hostile) layoutNow() bolt.Layout {
	if l, err := bolt.ReadLayout(h.path); err == nil {
		return l
	}
	return h.layout
}

// used returns a page in use.
func (h *hostile) used() uint64 { return pick(h, slices.Sorted(maps.Keys(h.layout.Pages))...) }

func (h *hostile) note(format string, args ...any) {
	h.made = append(h.made, fmt.Sprintf(format, args...))
}

func pick[T any](h *hostile, from ...T) T { return from[h.random.IntN(len(from))] }

// number returns a number that somebody would try.
func (h *hostile) number() uint64 {
	pages := uint64(len(h.file) / bolt.PageSize)
	return pick(h, 0, 1, 2, 3, h.layout.TxID, h.layout.TxID+1, h.layout.TxID+2, h.layout.TxID-1, pages, pages-1, pages+1,
		h.random.Uint64N(pages), h.random.Uint64N(pages), h.random.Uint64N(1<<16), 1<<16-1, 1<<16-2, 1<<31-1, 1<<31,
		1<<32-1, 1<<53-1, 1<<53, 1<<53+1, 1<<62, 1<<63-1, 1<<63, math.MaxUint64-1, math.MaxUint64)
}

// size returns a number of bytes, or of elements, that somebody would try.
func (h *hostile) size() uint32 {
	return uint32(pick(h, h.number(), h.random.Uint64N(64), h.random.Uint64N(bolt.PageSize), bolt.PageSize, 8, 16, 32))
}

// pages changes the raw file.
func (h *hostile) pages() {
	n := uint64(len(h.raw) / bolt.PageSize)
	if n < 3 { // it was cut
		return
	}
	at := h.random.Uint64N(n)
	page := h.raw[at*bolt.PageSize:][:bolt.PageSize]
	switch h.random.IntN(12) {
	case 0, 1, 2:
		h.metaPage()
	case 3:
		h.pageHeader(at, page)
	case 4, 5, 6:
		h.element()
	case 7, 8:
		h.freeList()
	case 9:
		other := h.random.Uint64N(n)
		what := pick(h, "copied", "swapped", "moved")
		was := bytes.Clone(page)
		copy(page, h.raw[other*bolt.PageSize:][:bolt.PageSize])
		if what != "copied" {
			copy(h.raw[other*bolt.PageSize:], was)
		}
		if what == "moved" { // each knows where it is
			order.PutUint64(page, at)
			order.PutUint64(h.raw[other*bolt.PageSize:], other)
		}
		h.note("pages %d and %d: %s", at, other, what)
	case 10:
		from := h.random.IntN(bolt.PageSize)
		switch pick(h, "flip", "clear", "fill") {
		case "flip":
			page[from] ^= 1 << h.random.IntN(8)
			h.note("page %d: a bit of byte %d flipped", at, from)
		case "clear":
			clear(page[from:])
			h.note("page %d: cleared from byte %d on", at, from)
		case "fill":
			for i := range page[from:] {
				page[from+i] = byte(h.random.Uint32())
			}
			h.note("page %d: junk from byte %d on", at, from)
		}
	case 11:
		h.resize()
	}
}

func (h *hostile) resize() {
	switch h.random.IntN(5) {
	case 0:
		h.raw = h.raw[:h.random.IntN(len(h.raw)+1)]
	case 1:
		h.raw = h.raw[:h.random.IntN(len(h.raw)/bolt.PageSize+1)*bolt.PageSize]
	case 2:
		h.raw = append(bytes.Clone(h.raw), make([]byte, h.random.IntN(8*bolt.PageSize))...)
	case 3: // garbage, with pages among it
		h.raw = append(bytes.Clone(h.raw), h.raw[h.random.IntN(len(h.raw)):]...)
	case 4:
		h.raw = append(bytes.Clone(h.raw), h.file...)
	}
	h.note("the file has %d bytes", len(h.raw))
}

// metaPage changes one or both of the meta pages.
func (h *hostile) metaPage() {
	both := h.random.IntN(3) == 0
	for page := range uint64(2) {
		if !both && page != h.layout.TxID%2 && h.random.IntN(3) > 0 { // mostly the one that counts
			continue
		}
		meta := h.raw[page*bolt.PageSize+pageHeader:][:64]
		field := pick(h, "magic", "version", "page size", "flags", "root", "sequence", "free", "high", "txid", "txid",
			"txid", "the other")
		v := h.number()
		switch field {
		case "magic":
			order.PutUint32(meta, uint32(v))
		case "version":
			order.PutUint32(meta[4:], uint32(v))
		case "page size":
			order.PutUint32(meta[8:], pick(h, uint32(v), 512, 1024, 8192, 1<<16))
		case "flags":
			order.PutUint32(meta[12:], uint32(v))
		case "the other":
			copy(meta, h.raw[(1-page)*bolt.PageSize+pageHeader:][:64])
		default:
			order.PutUint64(meta[map[string]int{"root": 16, "sequence": 24, "free": 32, "high": 40, "txid": 48}[field]:], v)
		}
		right := h.random.IntN(8) > 0
		if right {
			sum := fnv.New64a()
			sum.Write(meta[:56])
			order.PutUint64(meta[56:], sum.Sum64())
		}
		h.note("meta page %d: %s %d, right sum: %t", page, field, v, right)
	}
}

func (h *hostile) pageHeader(at uint64, page []byte) {
	v := h.number()
	switch field := pick(h, "id", "flags", "count", "overflow"); field {
	case "id":
		order.PutUint64(page, v)
	case "flags":
		order.PutUint16(page[8:], pick(h, uint16(v), branchPage, leafPage, 4, freePage, branchPage|leafPage, 0))
	case "count":
		order.PutUint16(page[10:], pick(h, uint16(v), order.Uint16(page[10:])+1, order.Uint16(page[10:])-1))
	case "overflow":
		order.PutUint32(page[12:], uint32(v))
	}
	h.note("page %d: its header begins with %x", at, page[:pageHeader])
}

// element changes an element of a page in use: its place, its size, its flags, its child, its
// key, or, if it is a bucket, its root, its sequence, or the leaf inside it.
func (h *hostile) element() {
	ids := slices.Sorted(maps.Keys(h.layout.Pages))
	branches := slices.DeleteFunc(slices.Clone(ids), func(id uint64) bool { return h.layout.Pages[id].Leaf })
	if len(branches) > 0 && h.random.IntN(3) == 0 {
		ids = branches
	}
	if h.random.IntN(4) == 0 {
		ids = []uint64{h.layout.Root}
	}
	id := pick(h, ids...)
	p := h.layout.Pages[id]
	if p.Keys == 0 || (id+p.More+1)*bolt.PageSize > uint64(len(h.raw)) {
		return
	}
	i := h.random.IntN(p.Keys)
	page := h.raw[id*bolt.PageSize:][:(p.More+1)*bolt.PageSize]
	table := page[pageHeader:]
	if uint64(len(table)) < uint64(i+1)*elemSize {
		return
	}
	e := table[i*elemSize:]
	if p.Bucket == "" && p.Leaf && h.random.IntN(2) == 0 && h.bucket(page, i) {
		return
	}
	v, j := h.size(), h.random.IntN(p.Keys)
	what := pick(h, "flags", "place", "key size", "value size", "child", "child", "the same as another", "key byte")
	switch {
	case what == "flags" && p.Leaf:
		order.PutUint32(e, pick(h, v, bucketLeaf, 0, 2))
	case what == "the same as another":
		copy(e[:elemSize], table[j*elemSize:])
	case what == "key byte":
		from := uint64(i*elemSize+pageHeader) + uint64(order.Uint32(e[4*min(1, leafOffset(p)):])) + h.random.Uint64N(8)
		if from < uint64(len(page)) {
			page[from] = byte(h.random.Uint32())
		}
	case p.Leaf:
		order.PutUint32(e[pick(h, 4, 8, 12):], v)
	case what == "child":
		order.PutUint64(e[8:], pick(h, h.number(), id, h.layout.Root, h.layout.Free, h.used()))
	default:
		order.PutUint32(e[pick(h, 0, 4):], v)
	}
	h.note("page %d of %q: element %d: %s: %x", id, p.Bucket, i, what, e[:elemSize])
}

// leafOffset is 1 if the place of a key comes after the flags.
func leafOffset(p bolt.Page) int {
	if p.Leaf {
		return 1
	}
	return 0
}

// bucket changes the value of the i-th element of the root, which is a bucket. It reports false if
// the element does not lie in the page.
func (h *hostile) bucket(page []byte, i int) bool {
	e := page[pageHeader+i*elemSize:]
	from := pageHeader + i*elemSize + int(order.Uint32(e[4:])) + int(order.Uint32(e[8:]))
	size := int(order.Uint32(e[12:]))
	if from < 0 || size < 16 || from+size > len(page) {
		return false
	}
	value := page[from:][:size]
	switch {
	case h.random.IntN(3) == 0:
		order.PutUint64(value[8:], h.number())
		h.note("bucket %d: another sequence", i)
	case size > 16+pageHeader && h.random.IntN(2) == 0:
		at := h.random.IntN((size - 16) / 4)
		order.PutUint32(value[16+4*at:], h.size())
		h.note("bucket %d: byte %d of the leaf inside it", i, 4*at)
	default:
		other := pick(h, slices.Sorted(maps.Values(h.layout.Roots))...)
		order.PutUint64(value, pick(h, h.number(), h.layout.Root, h.layout.Free, other))
		h.note("bucket %d: its root is %d", i, order.Uint64(value))
	}
	return true
}

// freeList changes the list of free pages, and mostly gives it its sum.
func (h *hostile) freeList() {
	at := h.layout.Free * bolt.PageSize
	if at+bolt.PageSize > uint64(len(h.raw)) {
		return
	}
	list := h.raw[at:][:bolt.PageSize]
	ids := list[pageHeader : bolt.PageSize-freeSum-8]
	count := min(uint64(order.Uint16(list[10:])), uint64(len(ids)/8-1)) // it may have been changed before
	switch h.random.IntN(6) {
	case 0:
		order.PutUint16(list[10:], uint16(h.number()))
	case 1: // a huge list says its count in its first id
		order.PutUint16(list[10:], math.MaxUint16)
		order.PutUint64(ids, h.number())
	case 2:
		order.PutUint64(ids[8*h.random.Uint64N(count+1):], h.number())
	case 3, 4: // one more, in order: a page in use, or one twice
		var all []uint64
		for i := range count {
			all = append(all, order.Uint64(ids[8*i:]))
		}
		all = append(all, pick(h, h.number(), h.used()))
		slices.Sort(all)
		for i, id := range all {
			order.PutUint64(ids[8*i:], id)
		}
		order.PutUint16(list[10:], uint16(len(all)))
	case 5: // fewer
		order.PutUint16(list[10:], uint16(h.random.Uint64N(count+1)))
	}
	right := h.random.IntN(4) > 0
	if right {
		copy(list[bolt.PageSize-freeSum:], freeListSum(list, h.layout.TxID))
	}
	h.note("the list of free pages: %d ids, %x, right sum: %t", order.Uint16(list[10:]), ids[:24], right)
}

// freeListSum is the sum that the design gives a list of free pages.
func freeListSum(list []byte, txid uint64) []byte {
	sum := sha256.New()
	sum.Write(binary.BigEndian.AppendUint64([]byte("ass list of free pages"), txid))
	sum.Write(list[:len(list)-freeSum])
	return sum.Sum(nil)[:freeSum]
}

// withEditor changes records, keys and buckets as a program for bbolt files can.
func (h *hostile) withEditor() {
	db, err := bbolt.Open(h.path, 0o600, &bbolt.Options{NoSync: true, NoGrowSync: true, PageSize: bolt.PageSize,
		FreelistType: bbolt.FreelistMapType})
	if err != nil {
		h.t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for range 1 + h.random.IntN(3) {
			h.edit(tx)
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		h.t.Fatal(err)
	}
	if h.random.IntN(2) == 0 { // and gives the list of free pages a sum
		l, err := bolt.ReadLayout(h.path)
		raw, rerr := os.ReadFile(h.path)
		if err == nil && rerr == nil {
			list := raw[l.Free*bolt.PageSize:][:(1+uint64(order.Uint32(raw[l.Free*bolt.PageSize+12:])))*bolt.PageSize]
			copy(list[len(list)-freeSum:], freeListSum(list, l.TxID))
			h.put(h.path, raw)
		}
	}
}

func (h *hostile) edit(tx *bbolt.Tx) {
	name := pick(h, allBuckets(newestFormat)...)
	b := tx.Bucket([]byte(name))
	if b == nil { // it was removed
		return
	}
	k, value := h.record(b)
	what := ""
	// An error is one of bbolt's: it stores no empty key, for example. Then nothing was changed.
	switch h.random.IntN(10) {
	case 0:
		what = "removed"
		_ = b.Delete(k)
	case 1:
		to := h.oddKey(name, k)
		what = fmt.Sprintf("copied to %.40q", to)
		_ = b.Put(to, value)
	case 2:
		other, v := h.record(b)
		what = fmt.Sprintf("swapped with %.40q", other)
		if len(k) > 0 && len(other) > 0 {
			_, _ = b.Put(k, v), b.Put(other, value)
		}
	case 3:
		what = "junk"
		_ = b.Put(k, h.junk(value))
	case 4:
		into := pick(h, allBuckets(newestFormat)...)
		what = "copied into " + into
		if b := tx.Bucket([]byte(into)); b != nil {
			_ = b.Put(k, value)
		}
	case 5:
		what = "a bucket inside it"
		if inner, err := b.CreateBucket(h.oddKey(name, k)); err == nil {
			_ = inner.Put([]byte("x"), value)
		}
	case 6:
		odd := pick(h, "y", "", "meta\x00", "\x00", "\xff\xfe", strings.Repeat("long", 300), "secrets ", "\x1b[31m")
		what = fmt.Sprintf("a bucket %.20q", odd)
		_, _ = tx.CreateBucket([]byte(odd))
	case 7:
		what = "no such bucket any more"
		_ = tx.DeleteBucket([]byte(name))
	case 8:
		v := h.number()
		what = fmt.Sprintf("sequence %d", v)
		_ = b.SetSequence(v)
	case 9:
		key := pick(h, metaFormat, metaVault, metaRoot, metaBind, h.owner.WrapName(h.vid), metaEpoch, metaHead, metaWays)
		what, name, k = "other meta", bucketMeta, []byte(key)
		if meta := tx.Bucket([]byte(bucketMeta)); meta != nil {
			_ = meta.Put(k, h.junk(bytes.Clone(meta.Get(k))))
		}
	}
	h.note("%s/%.40q: %s", name, k, what)
}

// record returns one of the records of a bucket, if there is one.
func (h *hostile) record(b *bbolt.Bucket) (k, value []byte) {
	var all [][2][]byte
	_ = b.ForEach(func(k, v []byte) error {
		if v != nil { // a bucket
			all = append(all, [2][]byte{bytes.Clone(k), bytes.Clone(v)})
		}
		return nil
	})
	if len(all) == 0 {
		return []byte("x"), []byte("x")
	}
	is := pick(h, all...)
	return is[0], is[1]
}

// oddKey returns a key that has no place in a bucket, or another one.
func (h *hostile) oddKey(bucket string, k []byte) []byte {
	odd := [][]byte{audit.Key(h.number()), k[:h.random.IntN(len(k)+1)], append(bytes.Clone(k), 0),
		append(bytes.Clone(k), k...), bytes.Repeat([]byte{0xff}, 1+h.random.IntN(20)), bytes.Repeat([]byte("a/"), 200),
		bytes.Repeat([]byte{'k'}, bbolt.MaxKeySize), []byte("a/\x1b[31mK"), []byte("\xff\xfe"), []byte("../K"),
		[]byte("a//K"),
		binary.BigEndian.AppendUint64([]byte("a/K\x00"), h.number()), []byte(h.id["agent"]), []byte(h.id["mallory"]), {0},
		make([]byte, 16), requestKey(h.id["mallory"], requestID(nil)), []byte("agt_00000000"), []byte("owner")}
	if bucket == bucketAudit {
		odd = append(odd[:6], audit.Key(0), audit.Key(1), audit.Key(h.number()), make([]byte, 7), make([]byte, 9))
	}
	return pick(h, odd...)
}

func (h *hostile) junk(value []byte) []byte {
	n := len(value)
	return pick(h, nil, []byte("x"), make([]byte, n), value[:n/2], value[:max(0, n-1)], append(bytes.Clone(value), 0),
		append([]byte{keys.Format1}, bytes.Repeat([]byte{0xff}, 20)...), append([]byte{keys.Format2}, make([]byte, 44)...),
		bytes.Repeat([]byte("junk"), 3000), []byte("ass/2"), []byte("ass/\x1b[31m"),
		[]byte("age-encryption.org/v1\n-> X25519 x\n"))
}

// asInsider changes something with the keys of an agent that may write in m/ alone. The head is not
// saved by tx.saveHead, which refuses some of what is tried.
func (h *hostile) asInsider() {
	h.company.open(func(v *Vault) {
		s, _, err := v.granteeSession(h.secret["mallory"], audit.Agent)
		if err == nil {
			err = v.db.Update(func(b *bolt.Tx) error {
				t, err := s.begin(b)
				if err == nil {
					err = h.forge(t)
				}
				if err != nil {
					return err
				}
				plain, err := t.head.encode(t.Format)
				if err != nil {
					return err
				}
				sealed, err := keys.Seal(t.Epoch.HeadKey(), t.Epoch.HeadContext(), plain)
				return errors.Join(err, t.putMeta(metaHead, sealed))
			})
		}
		if err != nil {
			h.t.Fatalf("seed %d: the attack itself: %v", h.seed, err)
		}
	})
}

func (h *hostile) forge(t *tx) (err error) {
	if h.random.IntN(8) == 0 {
		t.now = pick(h, t.now.AddDate(70, 0, 0), t.now.AddDate(-70, 0, 0), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC))
	}
	for range 1 + h.random.IntN(2) {
		switch h.random.IntN(8) {
		case 0:
			err = errors.Join(err, h.forgeHead(t))
		case 1, 2:
			err = errors.Join(err, h.forgeEntry(t))
		default:
			err = errors.Join(err, h.forgeRecord(t))
		}
	}
	return err
}

// forgeRecord puts a record with a MAC anywhere, or removes one.
func (h *hostile) forgeRecord(t *tx) error {
	bucket := pick(h, recordBuckets(newestFormat)...)
	var ks, values [][]byte
	err := t.walk(bucket, nil, func(k, v []byte) error {
		ks, values = append(ks, bytes.Clone(k)), append(values, bytes.Clone(v))
		return nil
	})
	if err != nil {
		return err
	}
	k, body, was := []byte("x"), []byte(`{"seq":1}`), record{by: h.id["mallory"]}
	if len(ks) > 0 {
		i := h.random.IntN(len(ks))
		k = ks[i]
		if h.random.IntN(8) == 0 {
			h.note("insider: %s/%.40q removed", bucket, k)
			return insert(t, bucket, k, nil)
		}
		if was, err = parseRecord(values[i]); err == nil { // an earlier forgery is no record
			body = was.body
		}
	}
	if h.random.IntN(4) == 0 {
		k = h.oddKey(bucket, k)
	}
	if h.random.IntN(5) > 0 {
		body = h.oddBody(body)
	}
	r := record{format: was.format, omac: was.omac, data: was.data, by: pick(h, was.by, was.by, h.id["mallory"], h.id["mallory"], h.id["agent"], audit.Owner, "",
		"\xff\x1b[31m",
		strings.Repeat("x", 1<<17)), sig: was.sig, body: body}
	t.scratch = appendSigned(t.scratch[:0], t.Epoch, bucket, k, r)
	if signed := pick(h, "kept", "own", "own", "none", "junk"); signed != "kept" {
		own := t.newRecord(bucket, k, r.by, t.by.sign, body, r.data)
		r.sig = map[string][]byte{"own": own.sig, "junk": make([]byte, h.random.IntN(100))}[signed]
		t.scratch = appendSigned(t.scratch[:0], t.Epoch, bucket, k, r)
	}
	r.mac = t.mac(r.sig, r.omac)
	h.note("insider: %s/%.40q by %.20q: %.80q", bucket, k, r.by, body)
	if len(k) == 0 || len(k) > bbolt.MaxKeySize {
		return nil
	}
	return insert(t, bucket, k, r.encode())
}

// forgeEntry appends entries to the log that their chain makes valid, or puts keys there.
func (h *hostile) forgeEntry(t *tx) error {
	if h.random.IntN(3) == 0 {
		k := h.oddKey(bucketAudit, audit.Key(1+h.random.Uint64N(t.head.log.Seq)))
		value, err := t.get(bucketAudit, audit.Key(1+h.random.Uint64N(t.head.log.Seq)))
		if err != nil || len(k) == 0 {
			return err
		}
		h.note("insider: audit key %.40q", k)
		return t.b.Put(bucketAudit, k, pick(h, bytes.Clone(value), []byte("x"), nil))
	}
	last, err := t.get(bucketAudit, audit.Key(t.head.log.Seq))
	if err != nil {
		return err
	}
	e, err := audit.Parse(last)
	if err != nil { // an earlier forgery
		return nil
	}
	odd := pick(h, audit.SecretUpdated, audit.SecretImported, audit.SecretRead, audit.SecretPurged, audit.AgentCreated, audit.AgentRevoked,
		audit.AgentKeyRotated, audit.TokenIssued, audit.VaultRewritten, audit.VaultBackedUp, audit.VaultRestored,
		audit.ApprovalGranted,
		"x\x1b[31m")
	body := bytes.Replace(e.Body, []byte(`"`+audit.SecretCreated+`"`), []byte(`"`+odd+`"`), 1)
	if h.random.IntN(3) == 0 {
		body = bytes.Replace(body, []byte(`,"ip_address"`), []byte(`,"items":`+h.oddList()+`,"ip_address"`), 1)
	}
	for range h.random.IntN(3) {
		body = h.oddBody(body)
	}
	by := pick(h, h.id["mallory"], h.id["mallory"], audit.Owner, "", strings.Repeat("x", 1<<17))
	place := audit.Place{Vault: t.Epoch.Vault, Epoch: t.Epoch.N}
	k, v, next := t.head.log.Append(place, by, t.by.sign, body)
	t.head.log = next
	h.note("insider: entry %d, %s by %.20q: %.120q", next.Seq, odd, by, body)
	return t.b.Put(bucketAudit, k, v)
}

// oddList returns a list of secrets for an entry, which may be valid.
func (h *hostile) oddList() string {
	if h.random.IntN(5) == 0 {
		return pick(h, "[]", "null", "{}", "[null]", `[{"path":"a/K"}]`, `["a/K"]`, "5")
	}
	var items []audit.Item
	for range h.random.IntN(4) {
		items = append(items, audit.Item{Path: pick(h, "a/K", "a/L", "a/b/K", "m/K", "", "a", "a/../K", strings.Repeat("x", 1<<17)),
			Version: h.number(), Tier: pick(h, "standard", "critical", "", "x"), Approval: pick(h, "", "", "x", h.id["mallory"])})
	}
	if h.random.IntN(2) == 0 {
		slices.SortFunc(items, func(a, b audit.Item) int { return strings.Compare(a.Path, b.Path) })
	}
	text, err := json.Marshal(items)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(text)
}

// forgeHead changes what the head says. If it is the number of the last entry, the last entry
// moves there, so that nobody sees that at once.
func (h *hostile) forgeHead(t *tx) error {
	v := h.number()
	switch what := pick(h, "seq", "seq", "count", "digest", "lapse", "key", "MAC"); what {
	case "seq":
		last, err := t.get(bucketAudit, audit.Key(t.head.log.Seq))
		if err != nil {
			return err
		}
		t.head.log.Seq = v
		h.note("insider: the last entry is number %d", v)
		return t.b.Put(bucketAudit, audit.Key(v), bytes.Clone(last))
	case "count":
		t.head.count = v
		h.note("insider: the head counts %d records", v)
	case "digest":
		t.head.digest[h.random.IntN(8)] = v
		h.note("insider: another digest")
	case "lapse":
		t.head.lapse = time.Unix(int64(v), 0)
		h.note("insider: the next thing lapses at %d", int64(v))
	case "key":
		t.head.log.Key[0]++
		h.note("insider: another key of the next entry")
	case "MAC":
		t.head.log.LastMAC[0]++
		h.note("insider: another MAC of the last entry")
	}
	return nil
}

// field is one field of a flat JSON object.
var field = regexp.MustCompile(`"[a-z_]+":("(?:[^"\\]|\\.)*"|\[[^]]*\]|[^,{}\[\]]+)`)

// oddBody changes JSON as no program would write it.
func (h *hostile) oddBody(body []byte) []byte {
	value := pick(h, "-1", "0", "1", "2", "1.5", "1e400", "1e3", "-0", "00", "null", "true", "{}", "[]", `"x"`, `""`,
		`"\ud800"`, `"\u0000"`,
		fmt.Sprint(h.number()), fmt.Sprint(h.number()), "18446744073709551616", `"9999-12-31T23:59:59Z"`,
		`"0000-01-01T00:00:00Z"`, `"2026-02-30T00:00:00Z"`, `"-1"`, `"agt_00000000"`, `"owner"`, `["secrets:*:*"]`,
		`"a/K"`, `"AA=="`,
		`"`+strings.Repeat("A", 1<<uint(h.random.IntN(18)))+`"`, "[1,2,3]",
		strings.Repeat("[", 1<<h.random.IntN(17))+strings.Repeat("]", 1<<h.random.IntN(17)),
		strings.Repeat(`{"a":`, 1<<h.random.IntN(15)), "[[1],[2]]", "\"\xff\"", "9007199254740993")
	fields := field.FindAllSubmatchIndex(body, -1)
	if len(fields) == 0 || h.random.IntN(4) == 0 {
		begin, end := []byte("{"), len(body)
		return pick(h, nil, []byte("null"), []byte("[]"), []byte(value), append(bytes.Clone(body), '}'),
			append(bytes.Clone(body), body...), body[:end/2], append(bytes.Clone(body), 0), bytes.ToUpper(body),
			bytes.Replace(body, begin, []byte(`{"unknown":`+value+`,`), 1), bytes.Replace(body, begin, []byte(`{"SEQ":1,`), 1),
			bytes.Replace(body, begin, []byte(`{"seq":1,"seq":2,`), 1), bytes.Replace(body, begin, []byte("{ \n\t"), 1),
			append([]byte("\xef\xbb\xbf"), body...))
	}
	at := pick(h, fields...)
	from, to := at[2], at[3]
	if h.random.IntN(5) == 0 { // the field twice
		value = string(body[from:to]) + "," + string(body[at[0]:at[1]])
	}
	return slices.Concat(body[:from], []byte(value), body[to:])
}
