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
)

// A grant holds all the keys that an agent or a token gets. It is an age file under a
// key that is derived from the grantee's own secret. No check in the code keeps a
// grantee from the rest of the vault: it has no key for the rest.

// grantBody is the record of a grant, under the grantee's index. It carries a MAC and
// no signature: anyone who can seal the grant already holds everything in it.
type grantBody struct {
	Seq     uint64 `json:"seq"`
	Grantee string `json:"grantee"` // id of the agent or token
	Sealed  []byte `json:"sealed"`  // a grant
}

// grant is the content that is sealed. A grantee takes the epoch and the owner's public
// key from it, and never from a plain record.
type grant struct {
	Epoch    uint32      `json:"epoch"`
	MK       []byte      `json:"mk"`
	OwnerPub []byte      `json:"owner_pub"`
	Nodes    []grantNode `json:"nodes"`
	Files    []grantFile `json:"files,omitempty"`
	JWTKey   []byte      `json:"jwt_key,omitempty"` // for a token: verifies it
}

type grantNode struct {
	Tier tokens.Tier `json:"tier"`
	Kind byte        `json:"kind"`
	Path string      `json:"path"`
	Key  []byte      `json:"key"`
}

// grantFile is the file key of one version that is sealed to a node above the nodes of
// the grantee.
type grantFile struct {
	Path    string `json:"path"`
	Version uint64 `json:"version"`
	FileKey []byte `json:"file_key"`
}

// grantContext binds a grant to its vault and its grantee.
func grantContext(vid vaultID, id string) []byte {
	return lp(append(lp(nil, "grant"), vid[:]...), id)
}

// newGrant makes a grant of nodes from the session's own keyring: those that scopes may
// read, in the tiers up to top.
func (s *Session) newGrant(scopes tokens.Scopes, top tokens.Tier) (grant, []node, error) {
	g := grant{Epoch: s.epoch.n, MK: s.epoch.mk[:], OwnerPub: s.pub, Nodes: []grantNode{}}
	var nodes []node
	for _, tier := range tokens.Tiers {
		for _, p := range scopes.Patterns(tokens.Read) {
			if tier > top {
				continue
			}
			n, ok := s.ring.derive(nodeOf(tier, p))
			if !ok {
				return g, nil, fault.New(ErrDenied, "the key of %s is not available, so it cannot be granted", p)
			}
			nodes = append(nodes, n)
			g.Nodes = append(g.Nodes, grantNode{n.tier, n.kind, n.path, bytes.Clone(n.key[:])})
		}
	}
	return g, nodes, nil
}

func (t *tx) putGrant(to grantee, id string, g grant) error {
	plain, err := json.Marshal(g)
	if err != nil {
		return err
	}
	sealed, err := seal(to.seal, grantContext(t.epoch.vid, id), plain)
	clear(plain)
	if err != nil {
		return err
	}
	return t.put(bucketGrants, to.index[:], false, grantBody{Seq: t.seq(), Grantee: id, Sealed: sealed})
}

// openGrant opens the grant of a grantee, and returns it with the grantee's id. If there
// is no grant, the error is [ErrNotFound].
func (v *Vault) openGrant(to grantee) (id string, g grant, err error) {
	value, err := v.st.get(bucketGrants, to.index[:])
	if err != nil {
		return "", g, err
	}
	if value == nil {
		return "", g, ErrNotFound
	}
	var body grantBody
	r, err := parseRecord(value)
	if err == nil {
		err = audit.DecodeStrict(r.body, &body)
	}
	if err != nil {
		return "", g, fault.Damaged(recordName(bucketGrants, to.index[:]), "it is not a grant")
	}
	if g, err = decodeGrant(v.vid, to, body); err != nil {
		return "", g, err
	}
	e := epoch{vid: v.vid, n: g.Epoch, mk: key(g.MK)}
	if !e.macHolds(bucketGrants, to.index[:], r) {
		return "", g, badMAC(bucketGrants, to.index[:])
	}
	return body.Grantee, g, nil
}

func decodeGrant(vid vaultID, to grantee, body grantBody) (g grant, err error) {
	broken := fault.Damaged(recordName(bucketGrants, to.index[:]), "it does not decrypt for its grantee: it was modified or moved")
	plain, err := open(to.seal, grantContext(vid, body.Grantee), body.Sealed)
	defer clear(plain)
	if err != nil || audit.DecodeStrict(plain, &g) != nil || len(g.MK) != len(key{}) || len(g.OwnerPub) != ed25519.PublicKeySize {
		return g, broken
	}
	if vaultIDOf(g.OwnerPub) != vid {
		return g, broken
	}
	if g.JWTKey != nil && len(g.JWTKey) != len(key{}) {
		return g, broken
	}
	for _, n := range g.Nodes {
		if _, ok := nodeFrom(node{tier: n.Tier, kind: n.Kind, path: n.Path}.id()); !ok || len(n.Key) != len(key{}) {
			return g, broken
		}
	}
	return g, nil
}

// ring returns the keyring that a grant gives its grantee.
func (g grant) ring() keyring {
	r := keyring{files: map[string][]byte{}}
	for _, n := range g.Nodes {
		r.nodes = append(r.nodes, node{tier: n.Tier, kind: n.Kind, path: n.Path, key: key(n.Key)})
	}
	for _, f := range g.Files {
		if p, err := tokens.ParsePath(f.Path); err == nil {
			r.files[string(versionKey(p, f.Version))] = f.FileKey
		}
	}
	return r
}

// acting is the grantee that a session acts for.
type acting struct {
	grantee
	secret key
	agent  string         // the agent itself, or the issuer of the token
	claims *tokens.Claims // of a token; nil for an agent
	scopes tokens.Scopes
	since  time.Time // when its key or token was issued; the clock cannot be earlier
}

// granteeSession opens the vault for the grantee that holds secret.
func (v *Vault) granteeSession(secret key, kind string) (*Session, grant, error) {
	to := newGrantee(secret)
	id, g, err := v.openGrant(to)
	if err != nil {
		return nil, g, err
	}
	s := &Session{
		v:     v,
		by:    actor{id: id, kind: kind, sign: to.sign},
		epoch: epoch{vid: v.vid, n: g.Epoch, mk: key(g.MK)},
		ring:  g.ring(),
		pub:   g.OwnerPub,
		as:    &acting{grantee: to, secret: secret, agent: id},
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
	s, g, err := v.granteeSession(key(k.Secret), audit.Agent)
	defer g.wipe()
	if errors.Is(err, ErrNotFound) {
		return nil, fault.New(ErrWrongKey, "this agent key opens nothing in the vault at %s: the agent was revoked or its key was rotated; this attempt could not be logged. Ask the owner for a new key", v.path)
	}
	if err != nil {
		return nil, err
	}
	return s, s.viewUnchecked(func(t *tx) error {
		body, err := t.agent(s.by.id)
		if err != nil {
			return err
		}
		if body.RevokedAt != nil || !samePublic(body.Pub, s.as.grantee) {
			return fault.Damaged(recordName(bucketAgents, []byte(s.by.id)), "it does not match the key that opens its grant")
		}
		s.as.scopes, s.as.since = body.scopes(), body.IssuedAt
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
	if errors.Is(err, ErrNotFound) {
		return nil, fault.New(ErrWrongKey, "this token opens nothing in the vault at %s: it has expired, is used up, or it or its issuer was revoked; this attempt could not be logged. Ask for a new one", v.path)
	}
	if err != nil {
		return nil, err
	}
	if len(g.JWTKey) != len(key{}) || token.ID != s.by.id || token.Verify(key(g.JWTKey)) != nil {
		return nil, fault.New(ErrWrongKey, "this token's signature is invalid: the token was modified")
	}
	return s, s.viewUnchecked(func(t *tx) error {
		body, claims, err := t.token(s.by.id)
		if err != nil {
			return err
		}
		if body.HeaderPayload != token.Signed {
			return fault.Damaged(recordName(bucketTokens, []byte(s.by.id)), "it does not match this token")
		}
		s.as.claims, s.as.agent, s.as.since = &claims, claims.Issuer, claims.Issued
		s.as.scopes, err = t.rights(claims)
		return err
	})
}

func samePublic(pub []byte, to grantee) bool { return bytes.Equal(pub, public(to.sign)) }

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

// granteeOf recomputes the keys of a grantee, which only the owner can do. It trusts
// only the data in the file that a signature covers.
func (s *Session) granteeOf(t *tx, id string) (grantee, error) {
	if isAgentID(id) {
		body, err := t.agent(id)
		if err != nil {
			return grantee{}, err
		}
		return newGrantee(s.root.agentSecret(id, body.Serial)), nil
	}
	body, claims, err := t.token(id)
	if err != nil {
		return grantee{}, err
	}
	k, err := s.issuerKey(t, claims)
	if err != nil {
		return grantee{}, err
	}
	return newGrantee(tokens.Signature(body.HeaderPayload, k)), nil
}

// issuerKey recomputes the key that signed a token, which only the owner can do.
func (s *Session) issuerKey(t *tx, claims tokens.Claims) (key, error) {
	if claims.Issuer == audit.Owner {
		return s.root.ownerTokenKey(claims.ID), nil
	}
	issuer, err := t.agent(claims.Issuer)
	if err != nil {
		return key{}, err
	}
	return tokenKey(s.root.agentSecret(claims.Issuer, issuer.Serial), claims.ID), nil
}

// Who names the actor of the session: "the owner", "agent agt_…", "token …".
func (s *Session) Who() string {
	if s.as == nil {
		return "the owner"
	}
	return s.by.kind + " " + s.by.id
}

// ID returns the id of the session's actor, as in the log.
func (s *Session) ID() string { return s.by.id }

// Can reports whether the session's scopes cover an act on a secret. The owner's
// cover everything.
func (s *Session) Can(a tokens.Action, p tokens.Path) bool {
	return s.as == nil || s.as.scopes.Allow(a, p)
}
