package vault

import (
	"bytes"
	"crypto/sha256"
	"math/bits"
	"slices"
	"sync"

	"github.com/cloudflare/circl/sign/ed25519"

	"ass/vault/internal/keys"
)

// From format 2 on, an author signs the records of a transaction in batches: the signature covers the root of a
// Merkle tree (RFC 9162, 2.1, with a fixed shape), and each record carries the path from its leaf to the root.
// One signature for sixteen records costs a sixteenth, for the author and for each reader.
//
//	leaf    = SHA-256(u8 0 ‖ S)
//	node    = SHA-256(u8 height ‖ left ‖ right), where the height of a leaf's parent is 1
//	message = LP("ass/2 batch") ‖ vid ‖ u32 epoch ‖ epoch's id ‖ LP(by) ‖ root
//	field   = Ed25519(by, message) ‖ u8 depth ‖ u8 index ‖ path, 32 bytes for each level from the leaf up
//
// The depth is the smallest for the number of records. The places that are left are 32 zeros: no hash is that.
// Because a node says how high it stands, a root has one depth, and so one leaf at each place.
const (
	batchDepth = 4
	batchSize  = 1 << batchDepth // the most records in a batch
)

// batchSig is the signature field of a record, taken apart.
type batchSig struct {
	sig   []byte // of the batch message
	index int    // the place of the record's leaf
	path  []byte // the hashes beside the way from the leaf to the root
}

// parseBatchSig takes a signature field apart. It has exactly one form.
func parseBatchSig(field []byte) (b batchSig, ok bool) {
	const fixed = ed25519.SignatureSize + 2
	if len(field) < fixed {
		return b, false
	}
	depth, index := int(field[fixed-2]), int(field[fixed-1])
	if depth > batchDepth || index >= 1<<depth || len(field) != fixed+depth*sha256.Size {
		return b, false
	}
	return batchSig{field[:ed25519.SignatureSize], index, field[fixed:]}, true
}

// root returns the root of the tree in which a leaf stands at the place of b.
func (b batchSig) root(leaf [32]byte) [32]byte {
	height := byte(0)
	for i, path := b.index, b.path; len(path) > 0; i, path = i/2, path[sha256.Size:] {
		height++
		beside := [32]byte(path)
		if i%2 == 0 {
			leaf = batchNode(height, leaf, beside)
		} else {
			leaf = batchNode(height, beside, leaf)
		}
	}
	return leaf
}

func batchLeaf(signed []byte) (leaf [32]byte) {
	h := sha256.New()
	h.Write([]byte{0})
	h.Write(signed)
	h.Sum(leaf[:0])
	return leaf
}

func batchNode(height byte, left, right [32]byte) [32]byte {
	b := [1 + 2*sha256.Size]byte{height}
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}

func batchMessage(e keys.Epoch, by string, root [32]byte) []byte {
	return append(keys.LP(e.AppendPlace(keys.LP(nil, "ass/2 batch")), by), root[:]...)
}

// fieldsSize is how many bytes the signature fields of a batch take, at most.
const fieldsSize = batchSize * (ed25519.SignatureSize + 2 + batchDepth*sha256.Size)

// signBatch signs 1 to batchSize leaves. It returns the signature field of each, and the root. The fields are in room,
// if there is enough.
func signBatch(room []byte, e keys.Epoch, by string, sign ed25519.PrivateKey, leaves [][32]byte) (fields [][]byte,
	root [32]byte) {
	depth := bits.Len(uint(len(leaves) - 1))
	var levels [batchDepth + 1][batchSize][32]byte
	copy(levels[0][:], leaves)
	for d := range depth {
		for i := range 1 << (depth - d - 1) {
			levels[d+1][i] = batchNode(byte(d+1), levels[d][2*i], levels[d][2*i+1])
		}
	}
	root = levels[depth][0]
	sig := ed25519.Sign(sign, batchMessage(e, by, root))
	size := len(sig) + 2 + depth*sha256.Size
	all := slices.Grow(room[:0], len(leaves)*size)
	fields = make([][]byte, len(leaves))
	for i := range leaves {
		all = append(append(all, sig...), byte(depth), byte(i))
		for d := range depth {
			all = append(all, levels[d][i>>d^1][:]...)
		}
		fields[i] = all[i*size : len(all) : len(all)]
	}
	return fields, root
}

// batches remembers which batches were found signed, so that each is verified once. All goroutines of a session
// share it.
type batches struct {
	own   ed25519.PrivateKey // of the session, if it is the owner's
	mu    sync.Mutex
	known map[batch]bool
}

// batch is what a signature says: this author signed this root.
type batch struct {
	by   string
	pub  [ed25519.PublicKeySize]byte
	root [32]byte
	sig  [ed25519.SignatureSize]byte
}

// maxBatches limits what is remembered: 64 Ki batches are a million records.
const maxBatches = 1 << 16

func newBatches(own ed25519.PrivateKey) *batches {
	return &batches{own: own, known: map[batch]bool{}}
}

// holds reports whether a signature is valid. Signing takes half the time of verifying, and gives the same bytes each
// time (RFC 8032), so a signature of the session's own key is made again.
func (b *batches) holds(message []byte, pub ed25519.PublicKey, sig []byte) bool {
	if b.own != nil && pub.Equal(b.own.Public()) && bytes.Equal(ed25519.Sign(b.own, message), sig) {
		return true
	}
	return ed25519.Verify(pub, message, sig)
}

// signed reports whether an author signed the root of a batch of an epoch. One set of batches serves one epoch.
func (b *batches) signed(e keys.Epoch, by string, pub ed25519.PublicKey, root [32]byte, sig []byte) bool {
	if len(pub) != ed25519.PublicKeySize || len(sig) != ed25519.SignatureSize {
		return false
	}
	one := batch{by, [ed25519.PublicKeySize]byte(pub), root, [ed25519.SignatureSize]byte(sig)}
	b.mu.Lock()
	holds, known := b.known[one]
	b.mu.Unlock()
	if known {
		return holds
	}
	holds = b.holds(batchMessage(e, by, root), pub, sig)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.known) == maxBatches {
		clear(b.known)
	}
	b.known[one] = holds
	return holds
}
