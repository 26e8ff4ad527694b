package vault

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"

	"github.com/cloudflare/circl/sign/ed25519"

	"ass/tokens"
)

// key is 32 secret bytes, from which other keys are derived.
type key [32]byte

// vaultID is derived from the owner's public key, so nobody else's vault can
// claim it.
type vaultID [16]byte

// kdf derives a key: HKDF-SHA256 (RFC 5869) with info = lp(label) ‖ ctx. Each
// label occurs only once in this package. This keeps different uses of one key
// apart.
func kdf(k key, salt []byte, label string, ctx ...[]byte) key {
	return kdfBytes(k[:], salt, label, ctx...)
}

func kdfBytes(ikm, salt []byte, label string, ctx ...[]byte) key {
	info := lp(make([]byte, 0, 96), label)
	for _, c := range ctx {
		info = append(info, c...)
	}
	out, err := hkdf.Key(sha256.New, ikm, salt, string(info), len(key{}))
	if err != nil {
		panic(err) // unreachable: HKDF can give 32 bytes
	}
	return key(out)
}

// lp appends the length of x, then x. Parts joined in this way can be split in
// only one way: ("svc1", 2) and ("svc", 12) stay different.
func lp[T string | []byte](b []byte, x T) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(x))), x...)
}

func u32(b []byte, n uint32) []byte { return binary.BigEndian.AppendUint32(b, n) }
func u64(b []byte, n uint64) []byte { return binary.BigEndian.AppendUint64(b, n) }

func mac(k key, parts ...[]byte) [32]byte {
	h := hmac.New(sha256.New, k[:])
	for _, p := range parts {
		h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}

func randomKey() (k key) {
	rand.Read(k[:])
	return k
}

// rootKeys holds the root, which the owner's identity opens, and the keys that are
// derived from the root alone. The root lasts for the life of the vault.
type rootKeys struct {
	root key
	sign ed25519.PrivateKey
	pub  ed25519.PublicKey
	vid  vaultID
}

func newRootKeys(root key) *rootKeys {
	seed := kdf(root, nil, "ass/1 owner sign")
	sign := ed25519.NewKeyFromSeed(seed[:])
	pub := sign.Public().(ed25519.PublicKey)
	return &rootKeys{root: root, sign: sign, pub: pub, vid: vaultIDOf(pub)}
}

// vaultIDOf derives the id of the vault whose owner signs with this key.
func vaultIDOf(owner ed25519.PublicKey) vaultID {
	sum := sha256.Sum256(append(lp(nil, "ass/1 vault"), owner...))
	return vaultID(sum[:16])
}

// bind ties a root to the identity that opens it. Anyone can seal their own root
// to the owner's public recipient, but only the owner can compute this MAC.
func (r *rootKeys) bind(identity string) [32]byte {
	return mac(kdfBytes([]byte(identity), nil, "ass/1 owner bind"), r.vid[:], r.root[:])
}

// auditKey derives the key of the log entry that begins an epoch.
func (r *rootKeys) auditKey(epoch uint32, seq uint64) key {
	return kdf(r.root, nil, "ass/1 audit", u32(nil, epoch), u64(nil, seq))
}

// epochWrap returns the key and the context under which the secret of an epoch
// is sealed for the owner.
func (r *rootKeys) epochWrap(epoch uint32) (key, []byte) {
	return kdf(r.root, nil, "ass/1 epoch wrap"), u32(append(lp(nil, "epoch"), r.vid[:]...), epoch)
}

// verifiedKey returns the key and the context that seal what the owner's machine
// remembers of a verification.
func (r *rootKeys) verifiedKey() (key, []byte) {
	return kdf(r.root, nil, "ass/1 verified"), append(lp(nil, "verified"), r.vid[:]...)
}

// agentSecret derives the secret of an agent. Rotating the agent's key changes the
// serial, and so the secret.
func (r *rootKeys) agentSecret(id string, serial uint32) key {
	return kdf(r.root, nil, "ass/1 agent", lp(nil, id), u32(nil, serial))
}

// ownerTokenKey derives the key that signs a token issued by the owner.
func (r *rootKeys) ownerTokenKey(jti string) key {
	return kdf(r.root, nil, "ass/1 owner token", lp(nil, jti))
}

// tokenKey derives the key that signs a token issued by an agent. issuer is the
// agent's secret. The signature is the token's own secret.
func tokenKey(issuer key, jti string) key {
	return kdf(issuer, nil, "ass/1 token", lp(nil, jti))
}

// grantee holds the keys that are derived from the secret of an agent or a token.
type grantee struct {
	seal  key      // the key that opens its grant
	index [16]byte // where its grant is stored
	sign  ed25519.PrivateKey
}

func newGrantee(secret key) grantee {
	index := kdf(secret, nil, "ass/1 grantee index")
	seed := kdf(secret, nil, "ass/1 grantee sign")
	return grantee{
		seal:  kdf(secret, nil, "ass/1 grantee seal"),
		index: [16]byte(index[:16]),
		sign:  ed25519.NewKeyFromSeed(seed[:]),
	}
}

// epoch is the public number of an epoch, and its shared key. With it, every holder
// of a right can check and add records. It opens no secret.
type epoch struct {
	vid vaultID
	n   uint32
	mk  key // MACs every record
}

func epochMAC(secret key) key { return kdf(secret, nil, "ass/1 mac") }

func (e epoch) headKey() key   { return kdf(e.mk, nil, "ass/1 head") }
func (e epoch) digestKey() key { return kdf(e.mk, nil, "ass/1 digest") }

// headContext binds the sealed head to its vault and epoch.
func (e epoch) headContext() []byte { return u32(append(lp(nil, "head"), e.vid[:]...), e.n) }

// versionContext encodes everything that a sealed version is bound to.
func (e epoch) versionContext(tier tokens.Tier, p tokens.Path, version uint64) []byte {
	b := u32(append(lp(make([]byte, 0, 128), "version"), e.vid[:]...), e.n)
	return u64(lp(append(b, byte(tier)), p.String()), version)
}

// Kinds of nodes in the tree of path keys.
const (
	kindNamespace byte = 1
	kindSecret    byte = 2
)

// tierKey derives the root of one tier's tree of path keys.
func tierKey(epochSecret key, t tokens.Tier) key {
	return kdf(epochSecret, nil, "ass/1 tier", []byte{byte(t)})
}

func childKey(parent key, kind byte, segment string) key {
	return kdf(parent, nil, "ass/1 node", lp([]byte{kind}, segment))
}

var kem = hpke.MLKEM768X25519()

// nodePrivate derives the private half of a node's published recipient. Writers who
// may not read below the node seal to the public half.
func nodePrivate(node key) hpke.PrivateKey {
	seed := kdf(node, nil, "ass/1 node pub")
	k, err := kem.DeriveKeyPair(seed[:])
	if err != nil {
		panic(err) // unreachable: any 32 bytes are a seed
	}
	return k
}
