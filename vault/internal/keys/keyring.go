package keys

import (
	"bytes"
	"errors"
	"strings"

	"filippo.io/age"

	"ass/tokens"
)

// Node is one key in the tree of path keys. Its holder can derive every key below
// it, but no key beside or above it.
type Node struct {
	Tier tokens.Tier
	Kind byte
	Path string // "" for a tier's root
	Key  Key
}

// NodeOf returns the node that a pattern names in one tier's tree, without its key.
func NodeOf(tier tokens.Tier, p tokens.Pattern) Node {
	if path, ok := p.Exact(); ok {
		return Node{Tier: tier, Kind: KindSecret, Path: path.String()}
	}
	return Node{Tier: tier, Kind: KindNamespace, Path: p.Namespace().String()}
}

// ID is u8 tier ‖ u8 kind ‖ path.
func (n Node) ID() []byte { return append([]byte{byte(n.Tier), n.Kind}, n.Path...) }

// ParseNode is the inverse of [Node.ID].
func ParseNode(id []byte) (n Node, ok bool) {
	if len(id) < 2 || !tokens.Tier(id[0]).Valid() || id[1] != KindNamespace && id[1] != KindSecret {
		return Node{}, false
	}
	return Node{Tier: tokens.Tier(id[0]), Kind: id[1], Path: string(id[2:])}, true
}

// below reports whether path is n itself or lies below it. rest is the part of path
// below n.
func (n Node) below(path string) (rest string, ok bool) {
	if n.Path == "" || n.Path == path {
		return strings.TrimPrefix(path, n.Path), true
	}
	rest, ok = strings.CutPrefix(path, n.Path+"/")
	return rest, ok
}

// Covers reports whether a secret lies at or below n.
func (n Node) Covers(p tokens.Path) bool {
	rest, ok := n.below(p.String())
	return ok && (rest == "") == (n.Kind == KindSecret)
}

// Derive fills in the key of to, if n is at or above it. The zero node has no key and
// derives none.
func (n Node) Derive(to Node) (Node, bool) {
	rest, ok := n.below(to.Path)
	if !ok || n.Tier != to.Tier || !n.Tier.Valid() {
		return to, false
	}
	if rest == "" {
		to.Key = n.Key
		return to, n.Kind == to.Kind
	}
	if n.Kind == KindSecret {
		return to, false
	}
	to.Key = n.Key
	segments := strings.Split(rest, "/")
	for i, segment := range segments {
		kind := KindNamespace
		if i == len(segments)-1 {
			kind = to.Kind
		}
		to.Key = ChildKey(to.Key, kind, segment)
	}
	return to, true
}

// Version is one version of a secret.
type Version struct {
	Path tokens.Path
	N    uint64
}

// Ring is a keyring: it holds the keys of a session. They open everything below its nodes, and
// single age files whose keys the session was given.
type Ring struct {
	Nodes []Node
	Files map[Version][]byte // the file keys of single age files
	last  *Node              // namespace of the last secret, for one goroutine; nil if not cached
}

// InOrder returns a copy of the keyring for one goroutine that visits many secrets in
// the order of their paths. The copy caches the key of the last namespace, so it does not
// derive that key again for each secret.
func (r Ring) InOrder() Ring {
	r.last = &Node{}
	return r
}

// OwnerRing returns a keyring with the root of every tier.
func OwnerRing(epochSecret Key) Ring {
	var r Ring
	for _, tier := range tokens.Tiers {
		r.Nodes = append(r.Nodes, Node{Tier: tier, Kind: KindNamespace, Key: TierKey(epochSecret, tier)})
	}
	return r
}

// Derive fills in the key of a node, if the keyring has it.
func (r Ring) Derive(to Node) (Node, bool) {
	if r.last != nil && to.Kind == KindSecret {
		if got, ok := r.last.Derive(to); ok {
			return got, true
		}
		above := Node{Tier: to.Tier, Kind: KindNamespace, Path: to.Path[:strings.LastIndexByte(to.Path, '/')]}
		if ns, ok := (Ring{Nodes: r.Nodes}).Derive(above); ok {
			*r.last = ns
			return ns.Derive(to)
		}
	}
	for _, n := range r.Nodes {
		if got, ok := n.Derive(to); ok {
			return got, true
		}
	}
	return to, false
}

// ErrNoKey says that a session cannot open a version: it holds no key at or above
// that version's node.
var ErrNoKey = errors.New("no key")

// Identity returns the age identity that opens version n of the secret at p. recipient is
// the id of the node that it is sealed to; empty for the secret's own key. If the keyring
// has no key for it, the error is [ErrNoKey].
func (r Ring) Identity(e Epoch, tier tokens.Tier, p tokens.Path, n uint64, recipient []byte) (age.Identity, error) {
	ctx := e.VersionContext(tier, p, n)
	to := NodeOf(tier, tokens.Exactly(p))
	if len(recipient) > 0 {
		published, ok := ParseNode(recipient)
		if !ok || published.Tier != tier || !published.Covers(p) {
			return nil, ErrSealed
		}
		to = published
	}
	to, ok := r.Derive(to)
	switch fileKey := r.Files[Version{p, n}]; {
	case !ok && len(recipient) > 0 && fileKey != nil:
		return age.NewInjectedFileKeyIdentity(fileKey), nil
	case !ok:
		return nil, ErrNoKey
	case len(recipient) > 0:
		return PubWrap{Key: NodePrivate(to.Key), Ctx: ctx}, nil
	}
	return KeyWrap{to.Key, ctx}, nil
}

// FileKey returns the file key of one age file, so that it can be given to an agent
// or token. The caller may wipe it.
func FileKey(id age.Identity, sealed []byte) ([]byte, error) {
	header, _, err := cutHeader(sealed)
	if err != nil {
		return nil, err
	}
	k, err := age.DecryptHeader(header, id)
	if err != nil || len(k) != fileKeyLen {
		return nil, ErrSealed
	}
	return bytes.Clone(k), nil // k may belong to a keyring
}
