package vault

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"testing"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/keys"
	"ass/vault/internal/vectors"
)

// TestVectors checks every token, request, record and chain step against
// testdata/vectors.txt. A test in package keys checks the derivations below them. A
// failure means that the format has changed, and that no vault that exists opens any
// more: mend the code, not the file.
func TestVectors(t *testing.T) {
	in, want := vectors.Read(t, "testdata/vectors.txt")
	got := map[string]string{}
	put := func(name string, b []byte) { got[name] = hex.EncodeToString(b) }

	root := keys.NewRoot(keys.Key(in.Hex("root")))
	e := keys.NewEpoch(root.Vault, 1, keys.MACKey(keys.Key(in.Hex("epoch secret"))), keys.Format1)
	agent := root.AgentSecret(in.Text("agent id"), 1)
	agentKey := tokens.AgentKey{Secret: agent, Vault: [4]byte(root.Vault[:4])}
	got["agent key"] = agentKey.Text()
	signature := func(k keys.Key) []byte {
		h := hmac.New(sha256.New, k[:])
		b64 := base64.RawURLEncoding.EncodeToString
		h.Write([]byte(b64([]byte(in.Text("token header"))) + "." + b64([]byte(in.Text("token payload")))))
		return h.Sum(nil)
	}
	token := signature(keys.TokenKey(agent, in.Text("token id")))
	put("token signature", token)
	seal := keys.NewGrantee(keys.Key(token)).Seal
	put("token seal key G", seal[:])
	put("owner's token signature", signature(root.OwnerTokenKey(in.Text("token id"))))

	id := requestID([]byte(in.Text("body")))
	got["ask id"] = id.String()
	put("ask key", requestKey(in.Text("agent id"), id))

	record := newHasher(e, nil, newBatches()).newRecord(bucketAgents, []byte(in.Text("agent id")), audit.Owner, root.Sign,
		[]byte(in.Text("body")), nil)
	put("record signature", record.sig)
	put("record mac", record.mac[:])
	put("record", record.encode())
	put("record without a signature", newHasher(e, nil, newBatches()).newRecord(bucketUses, []byte("k"), audit.Owner, nil,
		[]byte(in.Text("body")), nil).encode())
	put("digest term", newDigester(e)(bucketAgents, []byte(in.Text("agent id")), record.mac[:]).bytes())

	at := audit.Position{Key: root.AuditKey(1, 1)}
	_, value, at := at.Append(audit.Place{Vault: root.Vault, Epoch: 1}, audit.Owner, root.Sign, []byte(in.Text("body")))
	put("audit mac 1", at.LastMAC[:])
	put("audit entry 1", value)
	put("audit k 2", at.Key[:])
	_, _, at = at.Append(audit.Place{Vault: root.Vault, Epoch: 1}, audit.Owner, root.Sign, []byte(in.Text("body")))
	put("audit mac 2", at.LastMAC[:])

	vectors.Check(t, got, want, func(name string) bool { return !vectors.OfKeys[name] })
}
