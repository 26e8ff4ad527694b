package vault

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"github.com/cloudflare/circl/sign/ed25519"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/fault"
	"ass/vault/internal/keys"
)

// A grant holds all the keys that an agent or a token gets. It is an age file under a
// key that is derived from the grantee's own secret. No check in the code keeps a
// grantee from the rest of the vault: it has no key for the rest.

// grantBody is the record of a grant, under the grantee's index. It carries a MAC and
// no signature: anyone who can seal the grant already holds everything in it.
type grantBody struct {
	Seq     uint64 `json:"seq"`              // Number of the log entry of the act that sealed it.
	Grantee string `json:"grantee"`          // Id of the agent or token.
	Sealed  []byte `json:"sealed,omitempty"` // The grant, as an age file to the grantee; from format 2 on, stored raw.
}

// grant is the content that is sealed. A grantee takes the epoch and the owner's public
// key from it, and never from a plain record.
type grant struct {
	Epoch    uint32      `json:"epoch"`             // Epoch of the keys below.
	MK       []byte      `json:"mk"`                // MAC key of the epoch.
	OwnerPub []byte      `json:"owner_pub"`         // The owner's Ed25519 key.
	Nodes    []grantNode `json:"nodes"`             // Keys of everything that the grantee may read without approval.
	Files    []grantFile `json:"files,omitempty"`   // Keys of versions that are sealed above the nodes.
	JWTKey   []byte      `json:"jwt_key,omitempty"` // Key that verifies a token; none for an agent.
}

type grantNode struct {
	Tier tokens.Tier `json:"tier"` // Tier that the key opens.
	Kind byte        `json:"kind"` // What it opens: one secret, or all below.
	Path string      `json:"path"` // Path of the node.
	Key  []byte      `json:"key"`  // Key of the node; the keys below it follow from it.
}

// grantFile is the file key of one version that is sealed to a node above the nodes of
// the grantee.
type grantFile struct {
	Path    string `json:"path"`     // Path of the secret.
	Version uint64 `json:"version"`  // Number of the version.
	FileKey []byte `json:"file_key"` // Key of its age file.
}

// newGrant makes a grant of nodes from the session's own keyring: those that scopes may
// read, in the tiers up to top.
func (s *Session) newGrant(scopes tokens.Scopes, top tokens.Tier) (grant, []keys.Node, error) {
	g := grant{Epoch: s.epoch.N, MK: s.epoch.MAC[:], OwnerPub: s.pub, Nodes: []grantNode{}}
	var nodes []keys.Node
	for _, tier := range tokens.Tiers {
		for _, p := range scopes.Patterns(tokens.Read) {
			if tier > top {
				continue
			}
			n, ok := s.ring.Derive(keys.NodeOf(tier, p))
			if !ok {
				return g, nil, fault.New(ErrDenied, "the key of %s is not available, so it cannot be granted", p)
			}
			nodes = append(nodes, n)
			g.Nodes = append(g.Nodes, grantNode{n.Tier, n.Kind, n.Path, bytes.Clone(n.Key[:])})
		}
	}
	return g, nodes, nil
}

func (t *tx) putGrant(to keys.Grantee, id string, g grant) error {
	plain, err := json.Marshal(g)
	if err != nil {
		return err
	}
	sealed, err := keys.Seal(to.Seal, keys.GrantContext(t.Epoch.Vault, id), plain)
	clear(plain)
	if err != nil {
		return err
	}
	return grantKind.put(t, to.Index[:], grantBody{Seq: t.seq(), Grantee: id, Sealed: sealed})
}

// openGrant opens the grant of a grantee, and returns it with the grantee's id. If there
// is no grant, the error is [ErrNotFound].
func (v *Vault) openGrant(to keys.Grantee) (id string, g grant, err error) {
	value, err := v.db.Get(bucketGrants, to.Index[:])
	if err != nil {
		return "", g, err
	}
	if value == nil {
		return "", g, ErrNotFound
	}
	var body grantBody
	r, err := parseRecord(value)
	if err == nil && r.format != v.format {
		err = errRecord
	}
	if err == nil {
		err = audit.DecodeStrict(r.body, &body)
	}
	if err == nil {
		err = grantKind.fill(&body, to.Index[:], r)
	}
	if err != nil {
		return "", g, grantKind.damaged(to.Index[:], "it is not a grant")
	}
	if g, err = decodeGrant(v.vid, to, body); err != nil {
		return "", g, err
	}
	e := keys.NewEpoch(v.vid, g.Epoch, keys.Key(g.MK), v.format)
	if !newHasher(e, nil, nil).macHolds(bucketGrants, to.Index[:], r) {
		return "", g, badMAC(bucketGrants, to.Index[:])
	}
	return body.Grantee, g, nil
}

func decodeGrant(vid keys.VaultID, to keys.Grantee, body grantBody) (g grant, err error) {
	broken := grantKind.damaged(to.Index[:],
		"it does not decrypt for its grantee: it was modified or moved")
	plain, err := keys.Open(to.Seal, keys.GrantContext(vid, body.Grantee), body.Sealed)
	defer clear(plain)
	if err != nil || audit.DecodeStrict(plain, &g) != nil || len(g.MK) != len(keys.Key{}) ||
		len(g.OwnerPub) != ed25519.PublicKeySize {
		return g, broken
	}
	if keys.VaultIDOf(g.OwnerPub) != vid {
		return g, broken
	}
	if g.JWTKey != nil && len(g.JWTKey) != len(keys.Key{}) {
		return g, broken
	}
	for _, n := range g.Nodes {
		if _, ok := keys.ParseNode(keys.Node{Tier: n.Tier, Kind: n.Kind, Path: n.Path}.ID()); !ok ||
			len(n.Key) != len(keys.Key{}) {
			return g, broken
		}
	}
	return g, nil
}

// ring returns the keyring that a grant gives its grantee.
func (g grant) ring() keys.Ring {
	r := keys.Ring{Files: map[keys.Version][]byte{}}
	for _, n := range g.Nodes {
		r.Nodes = append(r.Nodes, keys.Node{Tier: n.Tier, Kind: n.Kind, Path: n.Path, Key: keys.Key(n.Key)})
	}
	for _, f := range g.Files {
		if p, err := tokens.ParsePath(f.Path); err == nil {
			r.Files[keys.Version{Path: p, N: f.Version}] = f.FileKey
		}
	}
	return r
}

// grantee is the agent or token that a session acts for.
type grantee struct {
	keys.Grantee
	secret keys.Key
	agent  string         // the agent itself, or the issuer of the token
	claims *tokens.Claims // of a token; nil for an agent
	scopes tokens.Scopes
	since  time.Time // when its key or token was issued; the clock cannot be earlier
}

// granteeSession opens the vault for the grantee that holds secret.
func (v *Vault) granteeSession(secret keys.Key, kind string) (*Session, grant, error) {
	to := keys.NewGrantee(secret)
	id, g, err := v.openGrant(to)
	if err != nil {
		return nil, g, err
	}
	s := &Session{
		v:       v,
		by:      actor{id: id, kind: kind, sign: to.Sign},
		epoch:   keys.NewEpoch(v.vid, g.Epoch, keys.Key(g.MK), v.format),
		batches: newBatches(nil),
		ring:    g.ring(),
		pub:     g.OwnerPub,
		grantee: &grantee{Grantee: to, secret: secret, agent: id},
	}
	v.sessions = append(v.sessions, s)
	return s, g, nil
}

// Agent opens the vault with an agent's key. If the key is of another vault, or is not
// known here, the error is [ErrWrongKey]. Every key names its vault, so the message says
// which of the two it is.
func (v *Vault) Agent(k tokens.AgentKey) (*Session, error) {
	if !bytes.Equal(k.Vault[:], v.vid[:len(k.Vault)]) {
		return nil, fault.New(ErrWrongKey, "this agent key belongs to another vault, not to the one at %s", v.path)
	}
	s, g, err := v.granteeSession(keys.Key(k.Secret), audit.Agent)
	defer g.wipe()
	if errors.Is(err, ErrNotFound) {
		return nil, fault.New(ErrWrongKey, "this agent key opens nothing in the vault at %s: the agent was revoked or its "+
			"key was rotated; this attempt could not be logged. Ask the owner for a new key", v.path)
	}
	if err != nil {
		return nil, err
	}
	return s, s.viewUnchecked(func(t *tx) error {
		body, err := t.agent(s.by.id)
		if err != nil {
			return err
		}
		if body.RevokedAt != nil || !samePublic(body.Pub, s.grantee.Grantee) {
			return agentKind.damaged([]byte(s.by.id), "it does not match the key that opens its grant")
		}
		s.grantee.scopes, s.grantee.since = body.scopes(), body.IssuedAt
		return nil
	})
}

// Token opens the vault with a token. If the token is of another vault, is not known
// here, or was altered, the error is [ErrWrongKey].
func (v *Vault) Token(text string) (*Session, error) {
	token, err := tokens.ParseToken(text)
	if err != nil {
		return nil, err
	}
	if token.Vault != [16]byte(v.vid) {
		return nil, fault.New(ErrWrongKey, "this token belongs to another vault, not to the one at %s", v.path)
	}
	s, g, err := v.granteeSession(token.Signature, audit.Token)
	defer g.wipe()
	if errors.Is(err, ErrNotFound) && !v.opts.Now().Before(token.Expires) { // its record was cleared, as if it were there
		return nil, expired("token "+token.ID, token.Expires)
	}
	if errors.Is(err, ErrNotFound) {
		return nil, fault.New(ErrWrongKey, "this token opens nothing in the vault at %s: it is used up, or it "+
			"or its issuer was revoked; this attempt could not be logged. Ask for a new one", v.path)
	}
	if err != nil {
		return nil, err
	}
	if len(g.JWTKey) != len(keys.Key{}) || token.ID != s.by.id || token.Verify(keys.Key(g.JWTKey)) != nil {
		return nil, fault.New(ErrWrongKey, "this token's signature is invalid: the token was modified")
	}
	return s, s.viewUnchecked(func(t *tx) error {
		body, claims, err := t.token(s.by.id)
		if err != nil {
			return err
		}
		if body.HeaderPayload != token.Signed {
			return tokenKind.damaged([]byte(s.by.id), "it does not match this token")
		}
		s.grantee.claims, s.grantee.agent, s.grantee.since = &claims, claims.Issuer, claims.Issued
		s.grantee.scopes, err = t.rights(claims)
		return err
	})
}

func samePublic(pub []byte, to keys.Grantee) bool { return bytes.Equal(pub, public(to.Sign)) }

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

// granteeOf recomputes the keys of a grantee, which only the owner can do. It trusts
// only the data in the file that a signature covers.
func (s *Session) granteeOf(t *tx, id string) (keys.Grantee, error) {
	if isAgentID(id) {
		body, err := t.agent(id)
		if err != nil {
			return keys.Grantee{}, err
		}
		return keys.NewGrantee(s.root.AgentSecret(id, body.Serial)), nil
	}
	body, claims, err := t.token(id)
	if err != nil {
		return keys.Grantee{}, err
	}
	k, err := s.issuerKey(t, claims)
	if err != nil {
		return keys.Grantee{}, err
	}
	return keys.NewGrantee(tokens.Signature(body.HeaderPayload, k)), nil
}

// issuerKey recomputes the key that signed a token, which only the owner can do.
func (s *Session) issuerKey(t *tx, claims tokens.Claims) (keys.Key, error) {
	if claims.Issuer == audit.Owner {
		return s.root.OwnerTokenKey(claims.ID), nil
	}
	issuer, err := t.agent(claims.Issuer)
	if err != nil {
		return keys.Key{}, err
	}
	return keys.TokenKey(s.root.AgentSecret(claims.Issuer, issuer.Serial), claims.ID), nil
}

// Who names the actor of the session: "the owner", "agent agt_…", "token …".
func (s *Session) Who() string {
	if s.isOwner() {
		return "the owner"
	}
	return s.by.kind + " " + s.by.id
}

// ID returns the id of the session's actor, as in the log.
func (s *Session) ID() string { return s.by.id }

// Can reports whether the session's scopes cover an act on a secret. The owner's
// cover everything.
func (s *Session) Can(a tokens.Action, p tokens.Path) bool {
	return s.isOwner() || s.grantee.scopes.Allow(a, p)
}
