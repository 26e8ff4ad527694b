package vault

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/cloudflare/circl/sign/ed25519"

	"ass/audit"
	"ass/tokens"
)

// TestVectors checks every derivation, stanza, MAC and chain step against
// testdata/vectors.txt. A failure means that the format has changed, and that no
// vault that exists opens any more: mend the code, not the file.
func TestVectors(t *testing.T) {
	in, want := readVectors(t)
	got := map[string]string{}
	put := func(name string, b []byte) { got[name] = hex.EncodeToString(b) }

	root := newRootKeys(key(in.hex("root")))
	secret := key(in.hex("epoch secret"))
	path, err := tokens.ParsePath(in.text("path"))
	if err != nil {
		t.Fatal(err)
	}
	const tier, version = tokens.Standard, 3
	e := epoch{vid: root.vid, n: 1, mk: epochMAC(secret)}

	put("owner pub", root.pub)
	put("vault id", root.vid[:])
	bind := root.bind(in.text("owner identity"))
	put("owner bind", bind[:])
	wrap, wrapContext := root.epochWrap(1)
	put("epoch wrap key", wrap[:])
	put("epoch wrap context", wrapContext)
	verified, verifiedContext := root.verifiedKey()
	put("verified key", verified[:])
	put("verified context", verifiedContext)
	put("mac key", e.mk[:])
	putKey := func(name string, k key) { put(name, k[:]) }
	putKey("head key", e.headKey())
	put("head context", e.headContext())
	putKey("digest key", e.digestKey())
	for _, tier := range tokens.Tiers {
		putKey("tier "+tier.String(), tierKey(secret, tier))
	}
	node := namespaceKey(tierKey(secret, tier), path.Namespace())
	k := secretKey(tierKey(secret, tier), path)
	putKey("path key "+path.Namespace().String(), node)
	putKey("secret key", k)
	pub := sha256.Sum256(nodePrivate(node).PublicKey().Bytes())
	put("sha256(node pub)", pub[:])

	ctx := e.versionContext(tier, path, version)
	put("version context", ctx)
	w := keyWrap{k, ctx}
	salt := [saltLen]byte(in.hex("salt"))
	putKey("wrap key", w.wrapKey(salt))
	put("stanza body", w.stanza(salt, in.hex("file key")).Body)
	open := func(name string, id age.Identity) {
		plain, err := decrypt(id, in.hex(name))
		if err != nil {
			t.Errorf("%s does not open: %v", name, err)
		}
		got[name+" opens to"] = string(plain)
	}
	open("sealed version", w)
	open("sealed to node pub", pubWrap{key: nodePrivate(node), ctx: ctx})

	agent := root.agentSecret(in.text("agent id"), 1)
	agentKey := tokens.AgentKey{Secret: agent, Vault: [4]byte(root.vid[:4])}
	got["agent key"] = agentKey.Text()
	g := newGrantee(agent)
	putKey("agent seal key G", g.seal)
	put("agent index", g.index[:])
	put("agent pub", g.sign.Public().(ed25519.PublicKey))
	signature := func(k key) []byte {
		h := hmac.New(sha256.New, k[:])
		b64 := base64.RawURLEncoding.EncodeToString
		h.Write([]byte(b64([]byte(in.text("token header"))) + "." + b64([]byte(in.text("token payload")))))
		return h.Sum(nil)
	}
	token := signature(tokenKey(agent, in.text("token id")))
	put("token signature", token)
	putKey("token seal key G", newGrantee(key(token)).seal)
	put("grant context", grantContext(root.vid, in.text("agent id")))
	put("node id "+path.Namespace().String(), nodeOf(tier, tokens.Below(path.Namespace())).id())
	ask := requestID([]byte(in.text("body")))
	got["ask id"] = ask.String()
	put("ask key", requestKey(in.text("agent id"), ask))
	put("approval context", e.decisionContext(ask, in.text("agent id"), tier, path, version))
	put("owner's token signature", signature(root.ownerTokenKey(in.text("token id"))))

	record := e.newRecord(bucketAgents, []byte(in.text("agent id")), audit.Owner, root.sign, []byte(in.text("body")))
	put("record signature", record.sig)
	put("record mac", record.mac[:])
	put("record", record.encode())
	put("record without a signature", e.newRecord(bucketUses, []byte("k"), audit.Owner, nil, []byte(in.text("body"))).encode())
	put("digest term", e.digester()(bucketAgents, []byte(in.text("agent id")), record.mac[:]).bytes())

	at := audit.Position{Key: root.auditKey(1, 1)}
	put("audit k 1", at.Key[:])
	_, value, at := at.Append(audit.Place{Vault: root.vid, Epoch: 1}, audit.Owner, root.sign, []byte(in.text("body")))
	put("audit mac 1", at.LastMAC[:])
	put("audit entry 1", value)
	put("audit k 2", at.Key[:])
	_, _, at = at.Append(audit.Place{Vault: root.vid, Epoch: 1}, audit.Owner, root.sign, []byte(in.text("body")))
	put("audit mac 2", at.LastMAC[:])
	putKey("audit k 3 of epoch 2", root.auditKey(2, 3))

	for name, value := range got {
		if want[name] != value {
			t.Errorf("%s\n got %s\nwant %s", name, value, orNothing(want[name]))
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("testdata/vectors.txt has an answer for %q, which nothing computes", name)
	}
}

func orNothing(s string) string {
	if s == "" {
		return "(no line in testdata/vectors.txt)"
	}
	return s
}

type vectorInputs struct {
	t      *testing.T
	values map[string]string
}

func (in vectorInputs) text(name string) string {
	in.t.Helper()
	v, ok := in.values[name]
	if !ok {
		in.t.Fatalf("testdata/vectors.txt has no input %q", name)
	}
	return v
}

func (in vectorInputs) hex(name string) []byte {
	in.t.Helper()
	b, err := hex.DecodeString(in.text(name))
	if err != nil {
		in.t.Fatalf("input %q: %v", name, err)
	}
	return b
}

// readVectors reads lines of "name = value" under the headings [inputs] and
// [answers].
func readVectors(t *testing.T) (in vectorInputs, answers map[string]string) {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]map[string]string{"inputs": {}, "answers": {}}
	var section map[string]string
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if name, ok := strings.CutPrefix(line, "["); ok {
			section = sections[strings.TrimSuffix(name, "]")]
			continue
		}
		name, value, ok := strings.Cut(line, " = ")
		if !ok || section == nil {
			t.Fatalf("testdata/vectors.txt: %q is no line of it", line)
		}
		section[name] = value
	}
	return vectorInputs{t, sections["inputs"]}, sections["answers"]
}

// A version that is sealed in one place opens in no other, and only with exactly
// the one stanza that it has.
func TestSealedBytesOpenInOnePlace(t *testing.T) {
	root := newRootKeys(randomKey())
	other := newRootKeys(randomKey())
	secret := randomKey()
	p, _ := tokens.ParsePath("a/K")
	q, _ := tokens.ParsePath("a/L")
	e := epoch{vid: root.vid, n: 1, mk: epochMAC(secret)}
	k := secretKey(tierKey(secret, tokens.Standard), p)
	ctx := e.versionContext(tokens.Standard, p, 1)
	sealed, err := seal(k, ctx, []byte("value"))
	if err != nil {
		t.Fatal(err)
	}
	node := nodePrivate(tierKey(secret, tokens.Standard))
	public, err := sealPub(node.PublicKey(), ctx, []byte("value"))
	if err != nil {
		t.Fatal(err)
	}
	places := map[string][]byte{
		"here":            ctx,
		"another vault":   epoch{vid: other.vid, n: 1}.versionContext(tokens.Standard, p, 1),
		"another epoch":   epoch{vid: root.vid, n: 2}.versionContext(tokens.Standard, p, 1),
		"another tier":    e.versionContext(tokens.Sensitive, p, 1),
		"another path":    e.versionContext(tokens.Standard, q, 1),
		"another version": e.versionContext(tokens.Standard, p, 2),
	}
	for name, place := range places {
		want := name == "here"
		if plain, err := open(k, place, sealed); (err == nil) != want || want && string(plain) != "value" {
			t.Errorf("%s: %q, %v", name, plain, err)
		}
		if plain, err := openPub(node, place, public); (err == nil) != want || want && string(plain) != "value" {
			t.Errorf("published, %s: %q, %v", name, plain, err)
		}
	}
	if _, err := open(secretKey(tierKey(secret, tokens.Standard), q), ctx, sealed); err == nil {
		t.Error("it opens with the key of another secret")
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := open(k, ctx, bad); err == nil {
			t.Fatalf("it opens with byte %d changed", i)
		}
	}
	for i := range len(sealed) {
		if _, err := open(k, ctx, sealed[:i]); err == nil {
			t.Fatalf("it opens when cut to %d bytes", i)
		}
	}
	if _, err := encrypt(keyWrap{k, ctx}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := age.Encrypt(&bytes.Buffer{}, keyWrap{k, ctx}, keyWrap{k, ctx}); err == nil {
		t.Error("age lets a second recipient in")
	}
	fileKey := make([]byte, fileKeyLen)
	one, _ := keyWrap{k, ctx}.Wrap(fileKey)
	two, _ := keyWrap{randomKey(), ctx}.Wrap(fileKey)
	if _, err := (keyWrap{k, ctx}).Unwrap(append(one, two...)); err == nil {
		t.Error("a second stanza is accepted")
	}
}
