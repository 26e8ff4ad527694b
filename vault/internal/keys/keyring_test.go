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

// Nothing that signs or opens is left of a root or a grantee.
func TestWipeOfSigners(t *testing.T) {
	r, g := NewRoot(Random()), NewGrantee(Random())
	signs := [][]byte{r.Sign, g.Sign}
	r.Wipe()
	g.Wipe()
	if r.Key != (Key{}) || g.Seal != (Key{}) {
		t.Error("a key is still there")
	}
	for _, sign := range signs {
		if !bytes.Equal(sign, make([]byte, len(sign))) {
			t.Error("what signs is still there")
		}
	}
}

// A key leads to what is below it in its tier, and nowhere else.
func TestDerive(t *testing.T) {
	node := func(tier tokens.Tier, kind byte, path string) Node {
		return Node{Tier: tier, Kind: kind, Path: path, Key: Key{1}}
	}
	const ns, secret = KindNamespace, KindSecret
	for _, x := range []struct {
		from, to Node
		ok       bool
	}{
		{node(1, ns, ""), node(1, secret, "prod/K"), true},
		{node(1, ns, "prod"), node(1, secret, "prod/app/K"), true},
		{node(1, ns, "prod"), node(1, ns, "prod/app"), true},
		{node(1, secret, "prod/K"), node(1, secret, "prod/K"), true},
		{node(1, ns, "prod"), node(2, secret, "prod/K"), false},
		{node(2, ns, "prod"), node(1, secret, "prod/K"), false},
		{node(0, ns, "prod"), node(0, secret, "prod/K"), false},
		{node(1, ns, "prod"), node(1, secret, "production/K"), false},
		{node(1, ns, "prod/app"), node(1, secret, "prod/K"), false},
		{node(1, ns, "prod"), node(1, secret, "prod"), false},
		{node(1, secret, "prod/K"), node(1, ns, "prod/K"), false},
		{node(1, secret, "prod/K"), node(1, secret, "prod/K/L"), false},
	} {
		if _, ok := x.from.Derive(x.to); ok != x.ok {
			t.Errorf("from %q (tier %d, kind %d) to %q (tier %d, kind %d): %v", x.from.Path, x.from.Tier, x.from.Kind, x.to.Path,
				x.to.Tier, x.to.Kind, ok)
		}
	}
}

// A version is opened under a published recipient only if that one is above its secret, in its tier.
func TestRecipientOfAVersion(t *testing.T) {
	p, err := tokens.ParsePath("prod/app/K")
	if err != nil {
		t.Fatal(err)
	}
	ring := OwnerRing(Key{1})
	for name, x := range map[string]struct {
		id []byte
		ok bool
	}{
		"the root":          {Node{Tier: 1, Kind: KindNamespace}.ID(), true},
		"above":             {Node{Tier: 1, Kind: KindNamespace, Path: "prod"}.ID(), true},
		"itself":            {Node{Tier: 1, Kind: KindSecret, Path: "prod/app/K"}.ID(), true},
		"in another tier":   {Node{Tier: 2, Kind: KindNamespace, Path: "prod"}.ID(), false},
		"elsewhere":         {Node{Tier: 1, Kind: KindNamespace, Path: "dev"}.ID(), false},
		"of another secret": {Node{Tier: 1, Kind: KindSecret, Path: "prod/app/L"}.ID(), false},
		"no node":           {[]byte("prod"), false},
	} {
		if _, err := ring.Identity(Epoch{}, 1, p, 1, x.id); x.ok != (err == nil) || !x.ok && err != ErrSealed {
			t.Errorf("%s: %v", name, err)
		}
	}
}
