package vault

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash"
	"math/bits"

	"github.com/cloudflare/circl/sign/ed25519"

	"ass/audit"
	"ass/vault/internal/keys"
)

// recordVersion is the first byte of every record.
const recordVersion = 1

// record is one value of a bucket:
//
//	u8 1 ‖ LP(by) ‖ LP(sig) ‖ LP(body) ‖ mac
//
// The signature proves who made the record. The MAC proves that its maker is a member
// of this epoch. Both cover the vault, the epoch, the bucket and the key, so a record
// is invalid in any other place.
type record struct {
	by   string // "owner", or the id of an agent or a token
	sig  []byte // Ed25519 by the author; empty if the kind needs none
	body []byte // JSON; verified as stored, never serialised again
	mac  [32]byte
}

var errRecord = errors.New("not a record")

// parseRecord splits stored bytes into a record. It does not check the MAC or the
// signature. The result aliases value.
func parseRecord(value []byte) (record, error) {
	if len(value) == 0 || value[0] != recordVersion {
		return record{}, errRecord
	}
	by, rest, ok1 := keys.CutLP(value[1:])
	sig, rest, ok2 := keys.CutLP(rest)
	body, rest, ok3 := keys.CutLP(rest)
	if !ok1 || !ok2 || !ok3 || len(rest) != 32 {
		return record{}, errRecord
	}
	return record{by: string(by), sig: sig, body: body, mac: [32]byte(rest)}, nil
}

// authorIn returns the author that stored bytes name, or "" if they are not a record.
func authorIn(value []byte) string {
	r, _ := parseRecord(value)
	return r.by
}

func (r record) encode() []byte {
	b := make([]byte, 0, 1+12+len(r.by)+len(r.sig)+len(r.body)+32)
	b = append(b, recordVersion)
	b = keys.LP(b, r.by)
	b = keys.LP(b, r.sig)
	b = keys.LP(b, r.body)
	return append(b, r.mac[:]...)
}

// appendSigned appends the bytes that the author signs. The MAC covers the same bytes,
// followed by the signature.
func appendSigned(b []byte, e keys.Epoch, bucket string, key []byte, r record) []byte {
	b = keys.LP(b, "ass/1 record")
	b = append(b, e.Vault[:]...)
	b = binary.BigEndian.AppendUint32(b, e.N)
	b = keys.LP(b, bucket)
	b = keys.LP(b, key)
	b = keys.LP(b, r.by)
	return keys.LP(b, r.body)
}

// hasher makes and checks the MACs of records, and computes their terms of the
// digest. Only one goroutine may use it, because it reuses its keyed hashes.
type hasher struct {
	keys.Epoch
	hmac    hash.Hash
	digest  digester
	scratch []byte // buffer for the signed bytes of the current record
}

func newHasher(e keys.Epoch) *hasher {
	return &hasher{Epoch: e, hmac: hmac.New(sha256.New, e.MAC[:]), digest: newDigester(e)}
}

// newRecord makes a record; sign is nil for the kinds that carry no signature.
func (h *hasher) newRecord(bucket string, key []byte, by string, sign ed25519.PrivateKey, body []byte) record {
	r := record{by: by, body: body}
	h.scratch = appendSigned(h.scratch[:0], h.Epoch, bucket, key, r)
	if sign != nil {
		r.sig = ed25519.Sign(sign, h.scratch)
	}
	r.mac = h.mac(r.sig)
	return r
}

// stored is a record in the form in which it will be stored.
type stored struct {
	bucket           string
	key, body, value []byte
	term             digest
}

// newStored makes a record with by as its author. If requireSig is set, by signs it.
func (h *hasher) newStored(by actor, bucket string, k []byte, requireSig bool, body any) (stored, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return stored{}, err
	}
	sign := by.sign
	if !requireSig {
		sign = nil
	}
	r := h.newRecord(bucket, k, by.id, sign, b)
	return stored{bucket, k, b, r.encode(), h.digest(bucket, k, r.mac[:])}, nil
}

// decode checks the form and the MAC of stored bytes and decodes their body. The
// record aliases v.
func (h *hasher) decode(bucket string, k, v []byte, body any) (record, error) {
	r, err := parseRecord(v)
	if err != nil {
		return record{}, rulesOf(bucket).damaged(k, "it is not a record")
	}
	if !h.macHolds(bucket, k, r) {
		return record{}, badMAC(bucket, k)
	}
	if err := audit.DecodeStrict(r.body, body); err != nil {
		return record{}, rulesOf(bucket).damaged(k, "%v", err)
	}
	return r, nil
}

// signatureHolds checks that a record is signed by who, whom it names.
func (h *hasher) signatureHolds(who signer, bucket string, k []byte, r record) bool {
	h.scratch = appendSigned(h.scratch[:0], h.Epoch, bucket, k, r)
	return who.by == r.by && who.verifies(h.scratch, r.sig)
}

func (h *hasher) macHolds(bucket string, key []byte, r record) bool {
	h.scratch = appendSigned(h.scratch[:0], h.Epoch, bucket, key, r)
	want := h.mac(r.sig)
	return hmac.Equal(want[:], r.mac[:])
}

// mac returns the MAC of the record whose signed bytes are in h.scratch.
func (h *hasher) mac(sig []byte) (sum [32]byte) {
	h.scratch = keys.LP(h.scratch, sig)
	h.hmac.Reset()
	h.hmac.Write(h.scratch)
	return [32]byte(h.hmac.Sum(h.scratch[:0]))
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
