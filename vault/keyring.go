package vault

import (
	"bytes"
	"errors"
	"strings"

	"filippo.io/age"

	"ass/tokens"
)

// node is one key in the tree of path keys. Its holder can derive every key below
// it, but no key beside or above it.
type node struct {
	tier tokens.Tier
	kind byte
	path string // "" for a tier's root
	key  key
}

// nodeOf returns the node that a pattern names in one tier's tree, without its key.
func nodeOf(tier tokens.Tier, p tokens.Pattern) node {
	if path, ok := p.Exact(); ok {
		return node{tier: tier, kind: kindSecret, path: path.String()}
	}
	return node{tier: tier, kind: kindNamespace, path: p.Namespace().String()}
}

// id is u8 tier ‖ u8 kind ‖ path.
func (n node) id() []byte { return append([]byte{byte(n.tier), n.kind}, n.path...) }

// nodeFrom is the inverse of id.
func nodeFrom(id []byte) (n node, ok bool) {
	if len(id) < 2 || !tokens.Tier(id[0]).Valid() || id[1] != kindNamespace && id[1] != kindSecret {
		return node{}, false
	}
	return node{tier: tokens.Tier(id[0]), kind: id[1], path: string(id[2:])}, true
}

// below reports whether path is n itself or lies below it. rest is the part of path
// below n.
func (n node) below(path string) (rest string, ok bool) {
	if n.path == "" || n.path == path {
		return strings.TrimPrefix(path, n.path), true
	}
	rest, ok = strings.CutPrefix(path, n.path+"/")
	return rest, ok
}

// covers reports whether a secret lies at or below n.
func (n node) covers(p tokens.Path) bool {
	rest, ok := n.below(p.String())
	return ok && (rest == "") == (n.kind == kindSecret)
}

// derive fills in the key of to, if n is at or above it. The zero node has no key and
// derives none.
func (n node) derive(to node) (node, bool) {
	rest, ok := n.below(to.path)
	if !ok || n.tier != to.tier || !n.tier.Valid() {
		return to, false
	}
	if rest == "" {
		to.key = n.key
		return to, n.kind == to.kind
	}
	if n.kind == kindSecret {
		return to, false
	}
	to.key = n.key
	segments := strings.Split(rest, "/")
	for i, segment := range segments {
		kind := kindNamespace
		if i == len(segments)-1 {
			kind = to.kind
		}
		to.key = childKey(to.key, kind, segment)
	}
	return to, true
}

// keyring holds the keys of a session. They open everything below its nodes, and
// single age files whose keys the session was given.
type keyring struct {
	nodes []node
	files map[string][]byte // by version key: the file key of an age file
	last  *node             // namespace of the last secret, for one goroutine; nil if not cached
}

// inOrder returns a copy of the session for one goroutine that visits many secrets in
// the order of their paths. The copy caches the key of the last namespace, so it does not
// derive that key again for each secret.
func (s *Session) inOrder() *Session {
	own := *s
	own.secret = key{} // nothing would wipe it in a copy
	own.ring.last = &node{}
	return &own
}

// ownerRing returns a keyring with the root of every tier.
func ownerRing(epochSecret key) keyring {
	var r keyring
	for _, tier := range tokens.Tiers {
		r.nodes = append(r.nodes, node{tier: tier, kind: kindNamespace, key: tierKey(epochSecret, tier)})
	}
	return r
}

// derive fills in the key of a node, if the keyring has it.
func (r keyring) derive(to node) (node, bool) {
	if r.last != nil && to.kind == kindSecret {
		if got, ok := r.last.derive(to); ok {
			return got, true
		}
		above := node{tier: to.tier, kind: kindNamespace, path: to.path[:strings.LastIndexByte(to.path, '/')]}
		if ns, ok := (keyring{nodes: r.nodes}).derive(above); ok {
			*r.last = ns
			return ns.derive(to)
		}
	}
	for _, n := range r.nodes {
		if got, ok := n.derive(to); ok {
			return got, true
		}
	}
	return to, false
}

// errNoKey says that a session cannot open a version: it holds no key at or above
// that version's node.
var errNoKey = errors.New("no key")

// identity returns the age identity that opens a version. If the keyring has no key
// for it, the error is errNoKey.
func (r keyring) identity(e epoch, body versionBody, p tokens.Path, n uint64) (age.Identity, error) {
	ctx := e.versionContext(body.Tier, p, n)
	to := nodeOf(body.Tier, tokens.Exactly(p))
	if len(body.Recipient) > 0 {
		published, ok := nodeFrom(body.Recipient)
		if !ok || published.tier != body.Tier || !published.covers(p) {
			return nil, errSealed
		}
		to = published
	}
	to, ok := r.derive(to)
	switch {
	case !ok && len(body.Recipient) > 0 && r.files[string(versionKey(p, n))] != nil:
		return age.NewInjectedFileKeyIdentity(r.files[string(versionKey(p, n))]), nil
	case !ok:
		return nil, errNoKey
	case len(body.Recipient) > 0:
		return pubWrap{key: nodePrivate(to.key), ctx: ctx}, nil
	}
	return keyWrap{to.key, ctx}, nil
}

// fileKeyOf returns the file key of one age file, so that it can be given to an agent
// or token. The caller may wipe it.
func fileKeyOf(id age.Identity, sealed []byte) ([]byte, error) {
	header, _, err := cutHeader(sealed)
	if err != nil {
		return nil, err
	}
	k, err := age.DecryptHeader(header, id)
	if err != nil || len(k) != fileKeyLen {
		return nil, errSealed
	}
	return bytes.Clone(k), nil // k may belong to a keyring
}
