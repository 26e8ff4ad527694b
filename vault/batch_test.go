package vault

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/bits"
	"slices"
	"testing"

	"github.com/cloudflare/circl/sign/ed25519"

	"ass/audit"
	"ass/vault/internal/keys"
)

// leavesOf returns the leaves of n messages of one byte: 0, 1, 2 and so on.
func leavesOf(n int) (leaves [][32]byte) {
	for i := range n {
		leaves = append(leaves, batchLeaf([]byte{byte(i)}))
	}
	return leaves
}

// rootOf computes the root of a tree from its definition. A place that is left is 32 zeros.
func rootOf(height int, leaves [][32]byte) [32]byte {
	if height == 0 {
		return append(slices.Clone(leaves), [32]byte{})[0]
	}
	half := min(1<<(height-1), len(leaves))
	left, right := rootOf(height-1, leaves[:half]), rootOf(height-1, leaves[half:])
	return sha256.Sum256(slices.Concat([]byte{byte(height)}, left[:], right[:]))
}

// Each field of a batch leads from its own leaf to the root, and from no other.
func TestBatch(t *testing.T) {
	root := keys.NewRoot(keys.Key{1})
	e := keys.NewEpoch(root.Vault, 1, keys.Key{2}, keys.Format2)
	for n := 1; n <= batchSize; n++ {
		leaves := leavesOf(n)
		fields, top := signBatch(nil, e, audit.Owner, root.Sign, leaves)
		if want := rootOf(bits.Len(uint(n-1)), leaves); top != want {
			t.Errorf("%d records: the root is %x, want %x", n, top, want)
		}
		if !ed25519.Verify(root.Pub, batchMessage(e, audit.Owner, top), fields[0][:ed25519.SignatureSize]) {
			t.Errorf("%d records: the root is not signed", n)
		}
		for i, field := range fields {
			b, ok := parseBatchSig(field)
			if !ok || b.index != i {
				t.Fatalf("%d records: field %d is not a field: %+v", n, i, b)
			}
			for j, leaf := range append(slices.Clone(leaves), [32]byte{}) {
				if (b.root(leaf) == top) != (i == j) {
					t.Errorf("%d records: whether field %d leads from leaf %d to the root: %v", n, i, j, i != j)
				}
			}
		}
		if n == batchSize {
			continue
		}
		if _, other := signBatch(nil, e, audit.Owner, root.Sign, append(leaves, leaves[n-1])); other == top {
			t.Errorf("%d records have the same root as with the last one twice", n)
		}
	}
}

// A field has one form. What an attacker changes in it, or moves it to, makes it worthless.
func TestBatchFieldIsBound(t *testing.T) {
	root, other := keys.NewRoot(keys.Key{1}), keys.NewRoot(keys.Key{3})
	e := keys.NewEpoch(root.Vault, 1, keys.Key{2}, keys.Format2)
	agent := actor{id: "agt_00000001", sign: root.Sign}
	const bucket = bucketVersions
	record := func(e keys.Epoch, by actor, k string) *stored {
		return newHasher(e, nil, nil).newStored(by, bucket, []byte(k), true, []byte(`{"seq":1}`), nil)
	}
	batch := func(e keys.Epoch, by actor, n int) (list []*stored) {
		for i := range n {
			list = append(list, record(e, by, fmt.Sprint(i)))
		}
		newHasher(e, nil, nil).signAll(list)
		return list
	}
	const at, depth = ed25519.SignatureSize, ed25519.SignatureSize + 2
	change := func(do func(field []byte) []byte) func(*changedRecord) {
		return func(r *changedRecord) { r.sig = do(bytes.Clone(r.sig)) }
	}
	for name, x := range map[string]struct {
		do    func(*changedRecord)
		forms bool // whether it still has the form of a field
	}{
		"as it is":                      {func(*changedRecord) {}, true},
		"no field":                      {change(func([]byte) []byte { return nil }), false},
		"a signature alone":             {change(func(f []byte) []byte { return f[:at] }), false},
		"without its index":             {change(func(f []byte) []byte { return f[:at+1] }), false},
		"a path that is too short":      {change(func(f []byte) []byte { return f[:len(f)-sha256.Size] }), false},
		"a path that ends in a hash":    {change(func(f []byte) []byte { return f[:len(f)-1] }), false},
		"a path that is too long":       {change(func(f []byte) []byte { return append(f, make([]byte, sha256.Size)...) }), false},
		"a byte more":                   {change(func(f []byte) []byte { return append(f, 0) }), false},
		"an index out of range":         {change(func(f []byte) []byte { f[at+1] += 4; return f }), false},
		"the index 2^depth":             {change(func(f []byte) []byte { f[at+1] = 4; return f }), false},
		"the index 254":                 {change(func(f []byte) []byte { f[at+1] = 254; return f }), false},
		"another index":                 {change(func(f []byte) []byte { f[at+1] ^= 1; return f }), true},
		"a smaller depth":               {change(func(f []byte) []byte { f[at]--; return f }), false},
		"a greater depth":               {change(func(f []byte) []byte { f[at]++; return f }), false},
		"a smaller depth with its path": {change(func(f []byte) []byte { f[at]--; f[at+1] &= 1; return f[:len(f)-sha256.Size] }), true},
		"a greater depth with its path": {change(func(f []byte) []byte { f[at]++; return append(f, make([]byte, sha256.Size)...) }), true},
		"a depth of 5 with its path":    {change(func(f []byte) []byte { f[at] = 5; return append(f, make([]byte, 3*sha256.Size)...) }), false},
		"another hash in its path":      {change(func(f []byte) []byte { f[depth] ^= 1; return f }), true},
		"another signature":             {change(func(f []byte) []byte { f[0] ^= 1; return f }), true},
		"the field of its neighbour":    {func(r *changedRecord) { r.sig = r.beside.sig }, true},
		"the field of another batch": {func(r *changedRecord) {
			r.sig = batch(e, agent, 4)[2].sig
			r.sig = slices.Clone(r.sig)
			r.sig[depth] ^= 1
		}, true},
		"signed in another vault": {func(r *changedRecord) {
			r.sig = batch(keys.NewEpoch(other.Vault, 1, keys.Key{2}, keys.Format2), agent, 4)[1].sig
		}, true},
		"signed in another epoch": {func(r *changedRecord) {
			r.sig = batch(keys.NewEpoch(root.Vault, 2, keys.Key{2}, keys.Format2), agent, 4)[1].sig
		}, true},
		"signed in an epoch of that number": {func(r *changedRecord) {
			r.sig = batch(keys.NewEpoch(root.Vault, 1, keys.Key{4}, keys.Format2), agent, 4)[1].sig
		}, true},
		"signed under another name": {func(r *changedRecord) { r.sig = batch(e, actor{id: "agt_00000002", sign: root.Sign}, 4)[1].sig }, true},
		"signed with another key":   {func(r *changedRecord) { r.sig = batch(e, actor{id: agent.id, sign: other.Sign}, 4)[1].sig }, true},
		"the batch message of another epoch around the same leaves": {func(r *changedRecord) {
			r.sig = r.resigned(keys.NewEpoch(root.Vault, 1, keys.Key{4}, keys.Format2), agent.id, root.Sign)
		}, true},
		"the batch message of another vault around the same leaves": {func(r *changedRecord) {
			r.sig = r.resigned(keys.NewEpoch(other.Vault, 1, keys.Key{2}, keys.Format2), agent.id, root.Sign)
		}, true},
		"the batch message of another epoch number around the same leaves": {func(r *changedRecord) {
			next := e
			next.N++
			r.sig = r.resigned(next, agent.id, root.Sign)
		}, true},
		"the batch message of another author around the same leaves": {func(r *changedRecord) { r.sig = r.resigned(e, audit.Owner, root.Sign) }, true},
		"the same batch signed again":                                {func(r *changedRecord) { r.sig, r.same = r.resigned(e, agent.id, root.Sign), true }, true},
	} {
		t.Run(name, func(t *testing.T) {
			list := batch(e, agent, 4)
			r := &changedRecord{record: list[1].record, beside: list[2].record, leaves: [][32]byte{list[0].leaf, list[1].leaf, list[2].leaf, list[3].leaf}}
			x.do(r)
			if _, ok := parseBatchSig(r.sig); ok != x.forms {
				t.Errorf("it has the form of a field: %v", ok)
			}
			want := name == "as it is" || r.same
			if newHasher(e, nil, newBatches(nil)).signatureHolds(signer{by: "another", pub: root.Pub}, bucket, []byte("1"), r.record) {
				t.Error("it holds for somebody whom it does not name")
			}
			who := signer{by: agent.id, pub: root.Pub}
			for range 2 { // the second time from what is remembered
				if newHasher(e, nil, newBatches(nil)).signatureHolds(who, bucket, []byte("1"), r.record) != want {
					t.Errorf("it holds: %v", !want)
				}
			}
		})
	}
}

// changedRecord is a record of a batch that a test changes.
type changedRecord struct {
	record
	beside record
	leaves [][32]byte
	same   bool // whether it still holds
}

// resigned signs the leaves of the batch again.
func (r *changedRecord) resigned(e keys.Epoch, by string, sign ed25519.PrivateKey) []byte {
	fields, _ := signBatch(nil, e, by, sign, r.leaves)
	return fields[1]
}

// Nobody can make a tree in which two records stand at one place, not even of different depths. A node
// is no leaf.
func TestBatchHasOneRecordAtAPlace(t *testing.T) {
	a, b, c := batchLeaf([]byte("a")), batchLeaf([]byte("b")), batchLeaf([]byte("c"))
	join := func(prefix byte, left, right [32]byte) [32]byte {
		return sha256.Sum256(slices.Concat([]byte{prefix}, left[:], right[:]))
	}
	shallow := func(inner [32]byte) batchSig { return batchSig{index: 1, path: inner[:]} }
	deep := batchSig{index: 1, path: slices.Concat(a[:], c[:])}
	for prefix := byte(0); prefix <= batchDepth+1; prefix++ { // b at depth 2, c at depth 1, both with the index 1
		inner := join(prefix, a, b)
		for above := byte(0); above <= batchDepth+1; above++ {
			root := join(above, inner, c)
			if shallow(inner).root(c) == root && deep.root(b) == root {
				t.Errorf("with the prefixes %d and %d, two records stand at place 1", prefix, above)
			}
		}
	}
	node := batchNode(1, a, b)
	whole := batchNode(2, node, batchNode(1, c, [32]byte{}))
	beside := batchNode(1, c, [32]byte{})
	if (batchSig{index: 0, path: beside[:]}).root(node) == whole {
		t.Error("a node passes for a leaf")
	}
	if batchLeaf(slices.Concat(a[:], b[:])) == node {
		t.Error("a record whose bytes are two hashes is their node")
	}
}

// A batch that was found signed, or not, is remembered as that, and as nothing else. Whoever has the key of the author
// signs again, and finds the same as others.
func TestBatchesAreRemembered(t *testing.T) {
	remembered(t, nil)
	remembered(t, keys.NewRoot(keys.Key{1}).Sign)
}

func remembered(t *testing.T, own ed25519.PrivateKey) {
	root, other := keys.NewRoot(keys.Key{1}), keys.NewRoot(keys.Key{3})
	e := keys.NewEpoch(root.Vault, 1, keys.Key{2}, keys.Format2)
	fields, top := signBatch(nil, e, "a", root.Sign, leavesOf(1))
	sig := fields[0][:ed25519.SignatureSize]
	bad := bytes.Clone(sig)
	bad[3] ^= 1
	known := newBatches(own)
	for range 2 {
		for name, x := range map[string]struct {
			by   string
			pub  ed25519.PublicKey
			root [32]byte
			sig  []byte
			want bool
		}{
			"as it is":           {"a", root.Pub, top, sig, true},
			"by another":         {"b", root.Pub, top, sig, false},
			"with another key":   {"a", other.Pub, top, sig, false},
			"of another root":    {"a", root.Pub, [32]byte{1}, sig, false},
			"another signature":  {"a", root.Pub, top, bad, false},
			"a key that is cut":  {"a", root.Pub[:31], top, sig, false},
			"no key":             {"a", nil, top, sig, false},
			"a cut signature":    {"a", root.Pub, top, sig[:63], false},
			"a longer signature": {"a", root.Pub, top, append(bytes.Clone(sig), 0), false},
		} {
			if got := known.signed(e, x.by, x.pub, x.root, x.sig); got != x.want {
				t.Errorf("%s: %v", name, got)
			}
		}
	}
	if len(known.known) != 5 {
		t.Errorf("%d batches are remembered", len(known.known))
	}
	for i := range maxBatches {
		known.known[batch{by: fmt.Sprint(i)}] = false
		if len(known.known) == maxBatches {
			break
		}
	}
	if !known.signed(e, "a", root.Pub, top, sig) || known.signed(e, "a", root.Pub, [32]byte{9}, sig) || len(known.known) > maxBatches {
		t.Errorf("of many batches, %d are remembered", len(known.known))
	}
}

// A field that parses has one form, and holds for nothing but the record that it was made for.
func FuzzBatchSig(f *testing.F) {
	root := keys.NewRoot(keys.Key{1})
	e := keys.NewEpoch(root.Vault, 1, keys.Key{2}, keys.Format2)
	good := map[string]bool{}
	for _, n := range []int{1, 2, 3, 9, 16} {
		fields, _ := signBatch(nil, e, "a", root.Sign, leavesOf(n))
		for i, field := range fields {
			f.Add(field)
			f.Add(field[:len(field)-1])
			f.Add(append(bytes.Clone(field), make([]byte, sha256.Size)...))
			if i == 0 {
				good[string(field)] = true
			}
		}
	}
	f.Add([]byte{})
	f.Add(make([]byte, ed25519.SignatureSize+2))
	known := newBatches(nil)
	f.Fuzz(func(t *testing.T, field []byte) {
		b, ok := parseBatchSig(field)
		if !ok {
			return
		}
		depth := len(b.path) / sha256.Size
		if b.index >= 1<<depth || depth > batchDepth ||
			!bytes.Equal(slices.Concat(b.sig, []byte{byte(depth), byte(b.index)}, b.path), field) {
			t.Errorf("%x is taken for a field", field)
		}
		top := b.root(batchLeaf([]byte{0}))
		if known.signed(e, "a", root.Pub, top, b.sig) != good[string(field)] {
			t.Errorf("%x holds: %v", field, !good[string(field)])
		}
	})
}
