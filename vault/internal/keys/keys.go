package keys

import (
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/cloudflare/circl/sign/ed25519"
	"github.com/google/uuid"

	"ass/audit/hmac256"
	"ass/tokens"
)

// Key is 32 secret bytes, from which other keys are derived.
type Key [32]byte

// VaultID is derived from the owner's public key, so nobody else's vault can
// claim it.
type VaultID [16]byte

// kdf derives a key: HKDF-SHA256 (RFC 5869) with info = LP(label) ‖ ctx. Each
// label occurs only once in this package. This keeps different uses of one key
// apart.
func kdf(k Key, salt []byte, label string, ctx ...[]byte) Key {
	return kdfBytes(k[:], salt, label, ctx...)
}

func kdfBytes(ikm, salt []byte, label string, ctx ...[]byte) Key {
	info := LP(make([]byte, 0, 192), label)
	for _, c := range ctx {
		info = append(info, c...)
	}
	return hmac256.Derive(ikm, salt, info)
}

// LP appends the length of x, then x. Parts joined in this way can be split in
// only one way: ("svc1", 2) and ("svc", 12) stay different.
func LP[T string | []byte](b []byte, x T) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(x))), x...)
}

// CutLP splits b into the first part that LP appended and the rest. If b does not begin
// with a whole part, ok is false.
func CutLP(b []byte) (x, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := uint64(binary.BigEndian.Uint32(b))
	if uint64(len(b)-4) < n {
		return nil, nil, false
	}
	return b[4 : 4+n], b[4+n:], true
}

func mac(k Key, parts ...[]byte) [32]byte {
	return hmac256.Sum(k[:], parts...)
}

// Random makes a key from the random source of the system.
func Random() (k Key) {
	rand.Read(k[:])
	return k
}

// Root holds the root, which the owner's identity opens, and the keys that are
// derived from the root alone. The root lasts for the life of the vault.
type Root struct {
	Key   Key
	Sign  ed25519.PrivateKey
	Pub   ed25519.PublicKey
	Vault VaultID
}

// NewRoot derives the keys below a root.
func NewRoot(root Key) *Root {
	seed := kdf(root, nil, "ass/1 owner sign")
	sign := ed25519.NewKeyFromSeed(seed[:])
	pub := sign.Public().(ed25519.PublicKey)
	return &Root{Key: root, Sign: sign, Pub: pub, Vault: VaultIDOf(pub)}
}

// VaultIDOf derives the id of the vault whose owner signs with this key.
func VaultIDOf(owner ed25519.PublicKey) VaultID {
	sum := sha256.Sum256(append(LP(nil, "ass/1 vault"), owner...))
	return VaultID(sum[:16])
}

// Bind ties a root to the identity that opens it. Anyone can seal their own root
// to the owner's public recipient, but only the owner can compute this MAC.
func (r *Root) Bind(owner *Identity) [32]byte {
	return mac(kdfBytes([]byte(owner.text), nil, "ass/1 owner bind"), r.Vault[:], r.Key[:])
}

// Wrap seals the root under a key that is derived from the text of the owner's identity. It opens
// in a tenth of the time that the age file takes. Only a holder of the identity can make it, so it does what
// [Root.Bind] does, too. An identity whose text is not its secret, such as one in hardware, has no wrap: the
// owner key is sealed to its recipient.
func (r *Root) Wrap(owner *Identity) ([]byte, error) {
	k, ctx := owner.wrap(r.Vault)
	defer k.Wipe()
	return Seal(k, ctx, r.Key[:])
}

// OpenWrap opens the root of a vault that [Root.Wrap] sealed. Any failure is [ErrSealed].
func OpenWrap(owner *Identity, vid VaultID, sealed []byte) (root Key, err error) {
	k, ctx := owner.wrap(vid)
	defer k.Wipe()
	plain, err := Open(k, ctx, sealed)
	defer clear(plain)
	if err != nil || len(plain) != len(root) {
		return root, ErrSealed
	}
	return Key(plain), nil
}

func (i *Identity) wrap(vid VaultID) (Key, []byte) {
	return kdfBytes([]byte(i.text), nil, "ass/2 owner wrap"), append(LP(nil, "owner"), vid[:]...)
}

// WrapName returns the name under which a vault stores the wrap for this identity. Each identity has its own, and
// another one in each vault, so that nobody sees from two files that they have the same owner.
func (i *Identity) WrapName(vid VaultID) string {
	index := kdfBytes([]byte(i.text), nil, "ass/2 owner index", vid[:])
	return WrapPrefix + hex.EncodeToString(index[:16])
}

// WrapPrefix is what the names of all wraps begin with.
const WrapPrefix = "owner/"

// AuditKey derives the key of the log entry that begins an epoch.
func (r *Root) AuditKey(epoch uint32, seq uint64) Key {
	return kdf(r.Key, nil, "ass/1 audit", binary.BigEndian.AppendUint32(nil, epoch), binary.BigEndian.AppendUint64(nil,
		seq))
}

// OwnerMAC derives the key of the owner's MACs of an epoch's records. With it, the owner recognises the owner's own
// records without a signature. Nobody else can make such a MAC.
func (r *Root) OwnerMAC(e Epoch) Key {
	return kdf(r.Key, nil, "ass/2 owner mac", binary.BigEndian.AppendUint32(nil, e.N), e.ID[:])
}

// OwnerEntryMAC derives the key of the owner's MACs of an epoch's log entries.
func (r *Root) OwnerEntryMAC(epoch uint32) Key {
	return kdf(r.Key, nil, "ass/2 owner entry", binary.BigEndian.AppendUint32(nil, epoch))
}

// BackupMark returns the owner's MAC that makes a backup of a vault, whose log ends in an epoch with an entry. Nobody
// else can make a vault pass for a backup, or one backup for another.
func (r *Root) BackupMark(e Epoch, seq uint64, lastMAC [32]byte) [32]byte {
	return mac(kdf(r.Key, nil, "ass/2 backup mark"), e.Vault[:], e.ID[:], binary.BigEndian.AppendUint64(nil, seq), lastMAC[:])
}

// EpochWrap returns the key and the context under which the secret of an epoch
// is sealed for the owner. They differ by format, so that nobody can make an epoch pass for one of another format.
func (r *Root) EpochWrap(epoch uint32, format int) (Key, []byte) {
	label := "ass/1 epoch wrap"
	if format >= Format2 {
		label = "ass/2 epoch wrap"
	}
	return kdf(r.Key, nil, label), binary.BigEndian.AppendUint32(append(LP(nil, "epoch"), r.Vault[:]...),
		epoch)
}

// WaysWrap returns the key and the context that seal the list of further ways to open the vault, for an epoch.
func (r *Root) WaysWrap(e Epoch) (Key, []byte) {
	return kdf(r.Key, nil, "ass/2 ways"), e.AppendPlace(LP(nil, "ways"))
}

// VerifiedWrap returns the key and the context that seal what the owner's machine
// remembers of a verification.
func (r *Root) VerifiedWrap() (Key, []byte) {
	return kdf(r.Key, nil, "ass/1 verified"), append(LP(nil, "verified"), r.Vault[:]...)
}

// AgentSecret derives the secret of an agent. Rotating the agent's key changes the
// serial, and so the secret.
func (r *Root) AgentSecret(id string, serial uint32) Key {
	return kdf(r.Key, nil, "ass/1 agent", LP(nil, id), binary.BigEndian.AppendUint32(nil, serial))
}

// OwnerTokenKey derives the key that signs a token issued by the owner.
func (r *Root) OwnerTokenKey(jti string) Key {
	return kdf(r.Key, nil, "ass/1 owner token", LP(nil, jti))
}

// TokenKey derives the key that signs a token issued by an agent. issuer is the
// agent's secret. The signature is the token's own secret.
func TokenKey(issuer Key, jti string) Key {
	return kdf(issuer, nil, "ass/1 token", LP(nil, jti))
}

// Grantee holds the keys that are derived from the secret of an agent or a token.
type Grantee struct {
	Seal  Key      // the key that opens its grant
	Index [16]byte // where its grant is stored
	Sign  ed25519.PrivateKey
}

// NewGrantee derives the keys of an agent or a token from its secret.
func NewGrantee(secret Key) Grantee {
	index := kdf(secret, nil, "ass/1 grantee index")
	seed := kdf(secret, nil, "ass/1 grantee sign")
	return Grantee{
		Seal:  kdf(secret, nil, "ass/1 grantee seal"),
		Index: [16]byte(index[:16]),
		Sign:  ed25519.NewKeyFromSeed(seed[:]),
	}
}

// The formats of an epoch: the forms of its records and of its log entries.
const (
	Format1 = 1
	Format2 = 2
)

// Epoch is the public number of an epoch, and its shared key. With it, every holder
// of a right can check and add records. It opens no secret.
type Epoch struct {
	Vault  VaultID
	N      uint32
	MAC    Key // MACs every record
	Format int // Format1 or Format2

	// ID tells epochs of the same number apart: each of two copies of a vault can begin epoch N. It is zero in format 1.
	ID [16]byte
}

// NewEpoch returns the epoch whose records are MACed with mac.
func NewEpoch(vid VaultID, n uint32, mac Key, format int) Epoch {
	e := Epoch{Vault: vid, N: n, MAC: mac, Format: format}
	if format >= Format2 {
		id := kdf(mac, nil, "ass/2 epoch id")
		e.ID = [16]byte(id[:])
	}
	return e
}

// AppendPlace appends what binds bytes to the epoch: vid ‖ u32 epoch ‖, from format 2 on, the epoch's id.
func (e Epoch) AppendPlace(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(append(b, e.Vault[:]...), e.N)
	if e.Format >= Format2 {
		b = append(b, e.ID[:]...)
	}
	return b
}

// MACKey derives the MAC key of an epoch from the epoch's secret.
func MACKey(secret Key) Key { return kdf(secret, nil, "ass/1 mac") }

// HeadKey returns the key that seals the head.
func (e Epoch) HeadKey() Key { return kdf(e.MAC, nil, "ass/1 head") }

// DigestKey returns the key of the digest of all records.
func (e Epoch) DigestKey() Key { return kdf(e.MAC, nil, "ass/1 digest") }

// HeadContext binds the sealed head to its vault and epoch.
func (e Epoch) HeadContext() []byte {
	return e.AppendPlace(LP(nil, "head"))
}

// VersionContext encodes everything that a sealed version is bound to.
func (e Epoch) VersionContext(tier tokens.Tier, p tokens.Path, version uint64) []byte {
	b := e.AppendPlace(LP(make([]byte, 0, 128), "version"))
	return binary.BigEndian.AppendUint64(LP(append(b, byte(tier)), p.String()), version)
}

// DecisionContext binds a file key to its request, its requester and its version.
func (e Epoch) DecisionContext(id uuid.UUID, requester string, tier tokens.Tier, p tokens.Path, version uint64) []byte {
	b := e.AppendPlace(LP(nil, "approval"))
	return append(LP(append(b, id[:]...), requester), e.VersionContext(tier, p, version)...)
}

// GrantContext binds a grant to its vault and its grantee.
func GrantContext(vid VaultID, id string) []byte {
	return LP(append(LP(nil, "grant"), vid[:]...), id)
}

// Kinds of nodes in the tree of path keys.
const (
	KindNamespace byte = 1
	KindSecret    byte = 2
)

// TierKey derives the root of one tier's tree of path keys.
func TierKey(epochSecret Key, t tokens.Tier) Key {
	return kdf(epochSecret, nil, "ass/1 tier", []byte{byte(t)})
}

// ChildKey derives the key of the node that lies below another by one segment.
func ChildKey(parent Key, kind byte, segment string) Key {
	return kdf(parent, nil, "ass/1 node", LP([]byte{kind}, segment))
}

var kem = hpke.MLKEM768X25519()

// ParseRecipient reads the public half of a node's published recipient.
func ParseRecipient(pub []byte) (hpke.PublicKey, error) { return kem.NewPublicKey(pub) }

// Public returns the public half of the node's published recipient: MLKEM768-X25519,
// 1216 bytes.
func (n Node) Public() []byte { return NodePrivate(n.Key).PublicKey().Bytes() }

// NodePrivate derives the private half of a node's published recipient. Writers who
// may not read below the node seal to the public half.
func NodePrivate(node Key) hpke.PrivateKey {
	seed := kdf(node, nil, "ass/1 node pub")
	k, err := kem.DeriveKeyPair(seed[:])
	if err != nil {
		panic(err) // unreachable: any 32 bytes are a seed
	}
	return k
}
