package keys

import (
	"bytes"
	"testing"

	"ass/tokens"
)

// Each node has one id, and no other bytes are one.
func TestNodeID(t *testing.T) {
	for _, tier := range tokens.Tiers {
		for _, kind := range []byte{KindNamespace, KindSecret} {
			for _, path := range []string{"", "prod", "prod/app/KEY"} {
				n := Node{Tier: tier, Kind: kind, Path: path}
				if got, ok := ParseNode(n.ID()); !ok || got != n {
					t.Errorf("%+v came back as %+v, %t", n, got, ok)
				}
			}
		}
	}
	for _, id := range []string{"", "\x01", "\x00\x01prod", "\x04\x01prod", "\x01\x00prod", "\x01\x03prod", "prod"} {
		if n, ok := ParseNode([]byte(id)); ok {
			t.Errorf("%q is taken for %+v", id, n)
		}
	}
}

func TestWipeOfARing(t *testing.T) {
	fileKey, node := bytes.Repeat([]byte{1}, 16), Key{1}
	r := Ring{Nodes: []Node{{Key: node}}, Files: map[Version][]byte{{}: fileKey}}
	r.Wipe()
	if r.Nodes[0].Key != (Key{}) || !bytes.Equal(fileKey, make([]byte, 16)) {
		t.Error("a key is still there")
	}
}
