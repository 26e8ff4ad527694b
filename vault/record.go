package vault

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash"
	"math/bits"
	"slices"

	"github.com/cloudflare/circl/sign/ed25519"

	"ass/audit"
	"ass/vault/internal/keys"
)

// record is one value of a bucket. Its first byte is the format of its epoch:
//
//	u8 1 ‖ LP(by) ‖ LP(sig) ‖ LP(body) ‖ mac
//	u8 2 ‖ LP(by) ‖ LP(sig) ‖ LP(omac) ‖ LP(body) ‖ LP(data) ‖ mac
//
// The signature proves who made the record. The MAC proves that its maker is a member
// of this epoch. Both cover the vault, the epoch, the bucket and the key, so a record
// is invalid in any other place.
type record struct {
	format int
	by     string // "owner", or the id of an agent or a token
	sig    []byte // of the author; empty if the kind needs none. In format 1 an Ed25519 signature, in format 2 see batchSig.
	omac   []byte // the owner's MAC, in what the owner signs in format 2; see Root.OwnerMAC
	body   []byte // JSON; verified as stored, never serialised again
	data   []byte // from format 2 on, what the kind stores raw; see kind.data
	mac    [32]byte

	root   [32]byte // of its batch, if rooted; see checkSignature
	rooted bool
}

var errRecord = errors.New("not a record")

// parseRecord splits stored bytes into a record. It does not check the MAC or the
// signature. The result aliases value.
func parseRecord(value []byte) (r record, err error) {
	if len(value) == 0 || value[0] != keys.Format1 && value[0] != keys.Format2 {
		return record{}, errRecord
	}
	r.format = int(value[0])
	rest, whole := value[1:], true
	cut := func() (x []byte) {
		if whole {
			x, rest, whole = keys.CutLP(rest)
		}
		return x
	}
	if by := cut(); string(by) == audit.Owner { // most records are the owner's
		r.by = audit.Owner
	} else {
		r.by = string(by)
	}
	r.sig = cut()
	if r.format >= keys.Format2 {
		r.omac = cut()
	}
	r.body = cut()
	if r.format >= keys.Format2 {
		r.data = cut()
	}
	if !whole || len(rest) != len(r.mac) {
		return record{}, errRecord
	}
	r.mac = [32]byte(rest)
	return r, nil
}

// authorIn returns the author that stored bytes name, or "" if they are not a record.
func authorIn(value []byte) string {
	r, _ := parseRecord(value)
	return r.by
}

func (r record) encode() []byte {
	b := make([]byte, 0, 1+20+len(r.by)+len(r.sig)+len(r.omac)+len(r.body)+len(r.data)+32)
	b = append(b, byte(r.format))
	b = keys.LP(b, r.by)
	b = keys.LP(b, r.sig)
	if r.format >= keys.Format2 {
		b = keys.LP(b, r.omac)
	}
	b = keys.LP(b, r.body)
	if r.format >= keys.Format2 {
		b = keys.LP(b, r.data)
	}
	return append(b, r.mac[:]...)
}

// appendSigned appends the bytes that the author signs. The MACs cover the same bytes,
// followed by the signature.
func appendSigned(b []byte, e keys.Epoch, bucket string, key []byte, r record) []byte {
	label := "ass/1 record"
	if r.format >= keys.Format2 {
		label = "ass/2 record"
	}
	b = e.AppendPlace(keys.LP(b, label))
	b = keys.LP(b, bucket)
	b = keys.LP(b, key)
	b = keys.LP(b, r.by)
	b = keys.LP(b, r.body)
	if r.format >= keys.Format2 {
		b = keys.LP(b, r.data)
	}
	return b
}

// hasher makes and checks the MACs of records, and computes their terms of the
// digest. Only one goroutine may use it, because it reuses its keyed hashes.
type hasher struct {
	keys.Epoch
	hmac    hash.Hash
	digest  digester
	owner   *keys.Key // the key of the owner's MACs; nil in the sessions of others
	omac    hash.Hash // keyed with it
	batches *batches
	both    bool   // whether to check the owner's signature besides the owner's MAC
	scratch []byte // buffer for the signed bytes of the current record
	after   []byte // buffer for what a MAC covers behind them
	fields  []byte // buffer for the signature fields of the current batch
	root    struct {
		of   [32]byte
		text string // in base64
	}

	drafts map[string]*stored // records of this transaction that are not signed yet, by draftName
}

// newHasher returns a hasher for an epoch. owner is the key of the owner's MACs; nil if it is not at hand.
func newHasher(e keys.Epoch, owner *keys.Key, known *batches) *hasher {
	h := &hasher{Epoch: e, hmac: hmac.New(sha256.New, e.MAC[:]), digest: newDigester(e), owner: owner, batches: known}
	if owner != nil {
		h.omac = hmac.New(sha256.New, owner[:])
	}
	return h
}

// another returns a hasher for another goroutine.
func (h *hasher) another() *hasher {
	other := newHasher(h.Epoch, h.owner, h.batches)
	other.both = h.both
	return other
}

// stored is a record in the form in which it will be stored. If it has yet to be signed in a batch, it has no value.
type stored struct {
	record
	bucket string
	key    []byte
	author actor
	leaf   [32]byte
	value  []byte
	term   digest
	counts standing

	// unread says that nothing in this transaction reads the record before it is signed, so that it is written once.
	unread bool
}

// newStored makes a record with by as its author. If requireSig is set, by signs it: in format 1 at once, in format 2
// in a batch.
func (h *hasher) newStored(by actor, bucket string, k []byte, requireSig bool, body, data []byte) *stored {
	r := &stored{record: record{format: h.Format, by: by.id, body: body, data: data}, bucket: bucket, key: k, author: by}
	h.scratch = appendSigned(h.scratch[:0], h.Epoch, bucket, k, r.record)
	switch {
	case requireSig && h.Format >= keys.Format2:
		r.leaf = batchLeaf(h.scratch)
		return r
	case requireSig:
		r.sig = ed25519.Sign(by.sign, h.scratch)
	}
	h.finish(r)
	return r
}

// finish makes the MACs of a record whose signed bytes are in h.scratch.
func (h *hasher) finish(r *stored) {
	if len(r.sig) > 0 && r.format >= keys.Format2 && r.by == audit.Owner && h.owner != nil {
		mac := h.ownerMAC(r.sig)
		r.omac = mac[:]
	}
	r.mac = h.mac(r.sig, r.omac)
	r.value, r.term = r.encode(), h.digest(r.bucket, r.key, r.mac[:])
}

// signAll signs records of one author, in batches, in the order in which they are given. It returns the roots of the
// batches.
func (h *hasher) signAll(list []*stored) (roots [][32]byte) {
	for group := range slices.Chunk(list, batchSize) {
		roots = append(roots, h.signGroup(group))
	}
	return roots
}

// signGroup is signAll for one batch.
func (h *hasher) signGroup(list []*stored) [32]byte {
	leaves := make([][32]byte, len(list))
	for i, r := range list {
		leaves[i] = r.leaf
	}
	if h.fields == nil {
		h.fields = make([]byte, 0, fieldsSize)
	}
	fields, root := signBatch(h.fields, h.Epoch, list[0].by, list[0].author.sign, leaves)
	for i, r := range list {
		r.sig = fields[i]
		h.scratch = appendSigned(h.scratch[:0], h.Epoch, r.bucket, r.key, r.record)
		h.finish(r)
		kept, _ := parseRecord(r.value)
		r.sig = kept.sig // the next batch takes the buffer
	}
	return root
}

// draftName is the key of a record among the drafts.
func draftName(bucket string, k []byte) string { return bucket + "/" + string(k) }

// isDraft reports whether this transaction has yet to sign the record at k.
func (h *hasher) isDraft(bucket string, k []byte) bool {
	return len(h.drafts) > 0 && h.drafts[draftName(bucket, k)] != nil
}

// decode checks the form and the MAC of stored bytes and decodes their body. The
// record aliases v.
func (h *hasher) decode(bucket string, k, v []byte, body any) (record, error) {
	r, err := parseRecord(v)
	if err != nil || r.format != h.Format {
		return record{}, rulesOf(bucket).damaged(k, "it is not a record")
	}
	if !h.macHolds(bucket, k, r) {
		return record{}, badMAC(bucket, k)
	}
	if err := unmarshalBody(r.body, body); err != nil {
		return record{}, rulesOf(bucket).damaged(k, "%v", err)
	}
	return r, nil
}

// signatureHolds checks that a record is signed by who, whom it names. From format 2 on, the owner recognises the
// owner's records by their MAC, which needs no signature.
func (h *hasher) signatureHolds(who signer, bucket string, k []byte, r record) bool {
	return h.checkSignature(who, bucket, k, &r)
}

// checkSignature is signatureHolds, and notes the root of the record's batch if it comes across it.
func (h *hasher) checkSignature(who signer, bucket string, k []byte, r *record) bool {
	if who.by != r.by {
		return false
	}
	if h.isDraft(bucket, k) {
		return true
	}
	h.scratch = appendSigned(h.scratch[:0], h.Epoch, bucket, k, *r)
	if r.format < keys.Format2 {
		return ed25519.Verify(who.pub, h.scratch, r.sig)
	}
	if who.owner != (len(r.omac) == sha256.Size) || !who.owner && len(r.omac) > 0 {
		return false
	}
	if who.owner && h.owner != nil {
		want := h.ownerMAC(r.sig)
		if !hmac.Equal(want[:], r.omac) {
			return false
		}
		if !h.both {
			return true
		}
	}
	b, ok := parseBatchSig(r.sig)
	r.root, r.rooted = b.root(batchLeaf(h.scratch)), ok
	return ok && h.batches.signed(h.Epoch, r.by, who.pub, r.root, b.sig)
}

// placed is how a record stands in the vault: by whom, and where in its batch.
type placed struct {
	by string
	inBatch
	sum string // of its body, in format 1; see sumOf
}

// placed returns how a record at k stands in the vault.
func (h *hasher) placed(of *rules, k []byte, r record) placed {
	at := placed{by: r.by}
	if h.Format < keys.Format2 {
		if of.bucket == bucketVersions {
			at.sum = sumOf(r.body)
		}
		return at
	}
	if b, ok := parseBatchSig(r.sig); ok {
		if !r.rooted {
			h.scratch = appendSigned(h.scratch[:0], h.Epoch, of.bucket, k, r)
			r.root = b.root(batchLeaf(h.scratch))
		}
		if h.root.text == "" || h.root.of != r.root { // the next record is probably of the same batch
			h.root.of, h.root.text = r.root, base64.StdEncoding.EncodeToString(r.root[:])
		}
		at.inBatch = inBatch{h.root.text, b.index}
	}
	return at
}

// placedAt is placed for stored bytes.
func (h *hasher) placedAt(of *rules, k, v []byte) placed {
	r, _ := parseRecord(v) // its reader has checked it
	return h.placed(of, k, r)
}

func (h *hasher) macHolds(bucket string, key []byte, r record) bool {
	if h.isDraft(bucket, key) {
		return true
	}
	h.scratch = appendSigned(h.scratch[:0], h.Epoch, bucket, key, r)
	want := h.mac(r.sig, r.omac)
	return hmac.Equal(want[:], r.mac[:])
}

// mac returns the MAC of the record whose signed bytes are in h.scratch.
func (h *hasher) mac(sig, omac []byte) [32]byte {
	h.after = keys.LP(h.after[:0], sig)
	if h.Format >= keys.Format2 {
		h.after = keys.LP(h.after, omac)
	}
	return h.sum(h.hmac)
}

// ownerMAC returns the owner's MAC of the record whose signed bytes are in h.scratch.
func (h *hasher) ownerMAC(sig []byte) [32]byte {
	h.after = keys.LP(h.after[:0], sig)
	return h.sum(h.omac)
}

// sum returns the MAC of what is in h.scratch and h.after, without garbage.
func (h *hasher) sum(mac hash.Hash) [32]byte {
	mac.Reset()
	mac.Write(h.scratch)
	mac.Write(h.after)
	h.after = mac.Sum(h.after[:0])
	return [32]byte(h.after)
}

// digest is a sum over a set of records, kept up to date by adding and
// subtracting terms: a number modulo 2^512, least significant word first. It is an
// additive multiset hash keyed by the epoch (Clarke et al., "Incremental Multiset
// Hash Functions", ASIACRYPT 2003), so nobody without the key can find another set
// with the same sum.
type digest [8]uint64

func (d *digest) add(term digest) {
	var carry uint64
	for i := range d {
		d[i], carry = bits.Add64(d[i], term[i], carry)
	}
}

func (d *digest) sub(term digest) {
	var borrow uint64
	for i := range d {
		d[i], borrow = bits.Sub64(d[i], term[i], borrow)
	}
}

// bytes returns the number as 64 bytes, big-endian.
func (d digest) bytes() []byte {
	b := make([]byte, 0, 64)
	for i := len(d) - 1; i >= 0; i-- {
		b = binary.BigEndian.AppendUint64(b, d[i])
	}
	return b
}

func digestFrom(b []byte) (d digest, ok bool) {
	if len(b) != 64 {
		return digest{}, false
	}
	for i := range d {
		d[i] = binary.BigEndian.Uint64(b[64-8*(i+1):])
	}
	return d, true
}

// digester computes the term that a record adds to a digest, under one key.
type digester func(bucket string, key []byte, mac []byte) digest

func newDigester(e keys.Epoch) digester {
	k := e.DigestKey()
	h := hmac.New(sha512.New, k[:])
	var b []byte
	return func(bucket string, key, mac []byte) digest {
		b = append(keys.LP(keys.LP(b[:0], bucket), key), mac...)
		h.Reset()
		h.Write(b)
		d, _ := digestFrom(h.Sum(b[:0]))
		return d
	}
}
