package keys

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"filippo.io/age"
	"github.com/cloudflare/circl/sign/ed25519"
	"github.com/google/uuid"

	"ass/tokens"
	"ass/vault/internal/vectors"
)

// TestVectors checks every derivation and stanza against vault/testdata/vectors.txt. A
// failure means that the format has changed, and that no vault that exists opens any
// more: mend the code, not the file.
func TestVectors(t *testing.T) {
	in, want := vectors.Read(t, "../../testdata/vectors.txt")
	got := map[string]string{}
	put := func(name string, b []byte) { got[name] = hex.EncodeToString(b) }

	root := NewRoot(Key(in.Hex("root")))
	secret := Key(in.Hex("epoch secret"))
	path, err := tokens.ParsePath(in.Text("path"))
	if err != nil {
		t.Fatal(err)
	}
	const tier, version = tokens.Standard, 3
	e := Epoch{Vault: root.Vault, N: 1, MAC: MACKey(secret)}

	put("owner pub", root.Pub)
	put("vault id", root.Vault[:])
	owner, err := ParseIdentity(in.Text("owner identity"))
	if err != nil {
		t.Fatal(err)
	}
	bind := root.Bind(owner)
	put("owner bind", bind[:])
	got["owner wrap name"] = owner.WrapName(root.Vault)
	secretOfOwner, x25519, err := owner.Secret()
	if err != nil {
		t.Fatal(err)
	}
	check := shareCheck(secretOfOwner, x25519)
	put("share check", check[:])
	ownerWrap, ownerWrapContext := owner.wrap(root.Vault)
	put("owner wrap key", ownerWrap[:])
	put("owner wrap context", ownerWrapContext)
	wrapped, err := OpenWrap(owner, root.Vault, in.Hex("sealed owner wrap"))
	if err != nil {
		t.Errorf("the owner wrap does not open: %v", err)
	}
	put("sealed owner wrap opens to", wrapped[:])
	wrap, wrapContext := root.EpochWrap(1, Format1)
	put("epoch wrap key", wrap[:])
	put("epoch wrap context", wrapContext)
	mark := root.BackupMark(NewEpoch(root.Vault, 1, e.MAC, Format2), 7, [32]byte(in.Hex("last mac")))
	put("backup mark", mark[:])
	ways, waysContext := root.WaysWrap(NewEpoch(root.Vault, 1, e.MAC, Format2))
	put("ways key", ways[:])
	put("ways context of format 2", waysContext)
	verified, verifiedContext := root.VerifiedWrap()
	put("verified key", verified[:])
	put("verified context", verifiedContext)
	put("mac key", e.MAC[:])
	putKey := func(name string, k Key) { put(name, k[:]) }
	putKey("head key", e.HeadKey())
	put("head context", e.HeadContext())
	putKey("digest key", e.DigestKey())
	for _, tier := range tokens.Tiers {
		putKey("tier "+tier.String(), TierKey(secret, tier))
	}
	node := namespaceKey(TierKey(secret, tier), path.Namespace())
	k := secretKey(TierKey(secret, tier), path)
	putKey("path key "+path.Namespace().String(), node)
	putKey("secret key", k)
	pub := sha256.Sum256(NodePrivate(node).PublicKey().Bytes())
	put("sha256(node pub)", pub[:])

	ctx := e.VersionContext(tier, path, version)
	put("version context", ctx)
	w := KeyWrap{k, ctx}
	salt := [saltLen]byte(in.Hex("salt"))
	putKey("wrap key", w.wrapKey(salt))
	put("stanza body", w.stanza(salt, in.Hex("file key")).Body)
	open := func(name string, id age.Identity) {
		plain, err := Decrypt(id, in.Hex(name))
		if err != nil {
			t.Errorf("%s does not open: %v", name, err)
		}
		got[name+" opens to"] = string(plain)
	}
	open("sealed version", w)
	open("sealed to node pub", PubWrap{Key: NodePrivate(node), Ctx: ctx})

	agent := root.AgentSecret(in.Text("agent id"), 1)
	g := NewGrantee(agent)
	putKey("agent seal key G", g.Seal)
	put("agent index", g.Index[:])
	put("agent pub", g.Sign.Public().(ed25519.PublicKey))
	put("grant context", GrantContext(root.Vault, in.Text("agent id")))
	put("node id "+path.Namespace().String(), NodeOf(tier, tokens.Below(path.Namespace())).ID())
	request := uuid.MustParse(want["ask id"])
	put("approval context", e.DecisionContext(request, in.Text("agent id"), tier, path, version))
	first, next := root.AuditKey(1, 1), root.AuditKey(2, 3)
	put("audit k 1", first[:])
	put("audit k 3 of epoch 2", next[:])

	e2 := NewEpoch(root.Vault, 1, MACKey(secret), Format2)
	put("epoch id", e2.ID[:])
	putKey("owner mac key", root.OwnerMAC(e2))
	putKey("owner entry mac key", root.OwnerEntryMAC(1))
	wrap, wrapContext = root.EpochWrap(1, Format2)
	put("epoch wrap key of format 2", wrap[:])
	put("epoch wrap context of format 2", wrapContext)
	put("head context of format 2", e2.HeadContext())
	canary := root.CanaryID(request)
	got["canary id"] = canary.String()
	canaryKey, canaryContext := root.CanaryWrap()
	putKey("canary note key", canaryKey)
	put("canary note context", canaryContext)
	put("version context of format 2", e2.VersionContext(tier, path, version))
	put("approval context of format 2", e2.DecisionContext(request, in.Text("agent id"), tier, path, version))

	vectors.Check(t, got, want, func(name string) bool { return vectors.OfKeys[name] })
}

// A version that is sealed in one place opens in no other, and only with exactly
// the one stanza that it has.
func TestSealedBytesOpenInOnePlace(t *testing.T) {
	root := NewRoot(Random())
	other := NewRoot(Random())
	secret := Random()
	p, _ := tokens.ParsePath("a/K")
	q, _ := tokens.ParsePath("a/L")
	e := Epoch{Vault: root.Vault, N: 1, MAC: MACKey(secret)}
	k := secretKey(TierKey(secret, tokens.Standard), p)
	ctx := e.VersionContext(tokens.Standard, p, 1)
	sealed, err := Seal(k, ctx, []byte("value"))
	if err != nil {
		t.Fatal(err)
	}
	node := NodePrivate(TierKey(secret, tokens.Standard))
	public, err := SealPub(node.PublicKey(), ctx, []byte("value"))
	if err != nil {
		t.Fatal(err)
	}
	places := map[string][]byte{
		"here":            ctx,
		"another vault":   Epoch{Vault: other.Vault, N: 1}.VersionContext(tokens.Standard, p, 1),
		"another epoch":   Epoch{Vault: root.Vault, N: 2}.VersionContext(tokens.Standard, p, 1),
		"another tier":    e.VersionContext(tokens.Sensitive, p, 1),
		"another path":    e.VersionContext(tokens.Standard, q, 1),
		"another version": e.VersionContext(tokens.Standard, p, 2),
	}
	for name, place := range places {
		want := name == "here"
		if plain, err := Open(k, place, sealed); (err == nil) != want || want && string(plain) != "value" {
			t.Errorf("%s: %q, %v", name, plain, err)
		}
		if plain, err := openPub(node, place, public); (err == nil) != want || want && string(plain) != "value" {
			t.Errorf("published, %s: %q, %v", name, plain, err)
		}
	}
	if _, err := Open(secretKey(TierKey(secret, tokens.Standard), q), ctx, sealed); err == nil {
		t.Error("it opens with the key of another secret")
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := Open(k, ctx, bad); err == nil {
			t.Fatalf("it opens with byte %d changed", i)
		}
	}
	for i := range len(sealed) {
		if _, err := Open(k, ctx, sealed[:i]); err == nil {
			t.Fatalf("it opens when cut to %d bytes", i)
		}
	}
	if _, err := Encrypt(KeyWrap{k, ctx}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := age.Encrypt(&bytes.Buffer{}, KeyWrap{k, ctx}, KeyWrap{k, ctx}); err == nil {
		t.Error("age lets a second recipient in")
	}
	fileKey := make([]byte, fileKeyLen)
	one, _ := KeyWrap{k, ctx}.Wrap(fileKey)
	two, _ := KeyWrap{Random(), ctx}.Wrap(fileKey)
	if _, err := (KeyWrap{k, ctx}).Unwrap(append(one, two...)); err == nil {
		t.Error("a second stanza is accepted")
	}
}
