package vault

import (
	"bytes"
	"os"
	"reflect"
	"testing"

	"ass/vault/internal/bolt"
	"ass/vault/internal/keys"
)

// A record that parses encodes to the same bytes, and no input causes a panic.
func FuzzRecord(f *testing.F) {
	root := keys.NewRoot(keys.Key{1})
	h := newHasher(keys.NewEpoch(root.Vault, 1, keys.Key{2}, newestFormat), nil, newBatches(nil))
	for format := byte(keys.Format1); format <= newestFormat; format++ {
		e := keys.NewEpoch(root.Vault, 1, keys.Key{2}, int(format))
		owner := root.OwnerMAC(e)
		h := newHasher(e, &owner, newBatches(nil))
		f.Add(h.newRecord(bucketSecrets, []byte("a/K"), "owner", root.Sign, []byte(`{"seq":1}`), nil).encode())
		f.Add(h.newRecord(bucketUses, []byte("k"), "owner", nil, []byte(`{}`), nil).encode())
		f.Add([]byte{format, 0xff, 0xff, 0xff, 0xff})
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRecord(b)
		if err != nil {
			return
		}
		if !bytes.Equal(r.encode(), b) {
			t.Errorf("%x is written back as %x", b, r.encode())
		}
		if h.macHolds(bucketUses, []byte("other"), r) {
			t.Error("a record that nobody made holds")
		}
	})
}

// Any bytes decode to a head or to an error.
func FuzzHead(f *testing.F) {
	for _, h := range []head{{count: 3}, {backup: true, mark: [32]byte{7}}, {features: []string{"x"}}} {
		b, err := h.encode(keys.Format2)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"digest":"AA"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := decodeHead(b, keys.Format2); err == nil {
			if again, err := h.encode(keys.Format2); err != nil {
				t.Error(err)
			} else if back, err := decodeHead(again, keys.Format2); err != nil || !reflect.DeepEqual(back, h) {
				t.Errorf("%q came back different", b)
			}
		}
	})
}

// Scanning any bytes ends, and yields nothing from outside of them.
func FuzzScan(f *testing.F) {
	f.Add(make([]byte, bolt.PageSize))
	golden, err := os.ReadFile("testdata/golden/format1-agents.db")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden[3*bolt.PageSize : 4*bolt.PageSize])
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		for _, e := range bolt.Scan(b, plausible) {
			n += len(e.Key)
		}
		logIn(keys.VaultID{}, bolt.Scan(b, plausible))
	})
}

// Only the owner's own checkpoint is accepted.
func FuzzCheckpoint(f *testing.F) {
	root := keys.NewRoot(keys.Key{1})
	good, _, err := checkpoint{Seq: 9, Cut: 3, CutMAC: make([]byte, 32), Records: []recordAt{{Name: "a/K", Seq: 2,
		By: "owner", Version: 1, Tier: 1}}}.encode(root.Vault, root.Sign)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte{0, 0, 0, 32})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := parseCheckpoint(root.Vault, b); err == nil && !bytes.Equal(b, good) {
			t.Errorf("%x is taken for a checkpoint", b)
		}
	})
}
