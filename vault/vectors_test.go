package vault

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/cloudflare/circl/sign/ed25519"

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

	record := newHasher(e, nil, newBatches(nil)).newRecord(bucketAgents, []byte(in.Text("agent id")), audit.Owner, root.Sign,
		[]byte(in.Text("body")), nil)
	put("record signature", record.sig)
	put("record mac", record.mac[:])
	put("record", record.encode())
	put("record without a signature", newHasher(e, nil, newBatches(nil)).newRecord(bucketUses, []byte("k"), audit.Owner, nil,
		[]byte(in.Text("body")), nil).encode())
	put("digest term", newDigester(e)(bucketAgents, []byte(in.Text("agent id")), record.mac[:]).bytes())

	at := audit.Position{Key: root.AuditKey(1, 1)}
	_, value, at := at.Append(audit.Place{Vault: root.Vault, Epoch: 1}, audit.Owner, root.Sign, []byte(in.Text("body")))
	put("audit mac 1", at.LastMAC[:])
	put("audit entry 1", value)
	put("audit k 2", at.Key[:])
	_, _, at = at.Append(audit.Place{Vault: root.Vault, Epoch: 1}, audit.Owner, root.Sign, []byte(in.Text("body")))
	put("audit mac 2", at.LastMAC[:])

	vectorsOfFormat2(in, put)
	vectors.Check(t, got, want, func(name string) bool { return !vectors.OfKeys[name] })
}

// vectorsOfFormat2 computes records, batches and entries of format 2.
func vectorsOfFormat2(in vectors.Inputs, put func(string, []byte)) {
	root := keys.NewRoot(keys.Key(in.Hex("root")))
	id, body, data := in.Text("agent id"), []byte(in.Text("body")), in.Hex("data")
	agent := keys.NewGrantee(root.AgentSecret(id, 1))
	e := keys.NewEpoch(root.Vault, 1, keys.MACKey(keys.Key(in.Hex("epoch secret"))), keys.Format2)
	owner := root.OwnerMAC(e)
	h := newHasher(e, &owner, newBatches(nil))
	key := []byte(in.Text("path"))
	record := h.newRecord(bucketVersions, key, audit.Owner, root.Sign, body, data)
	signed := appendSigned(nil, e, bucketVersions, key, record)
	leaf := batchLeaf(signed)
	put("record of format 2, what is signed", signed)
	put("record of format 2, leaf", leaf[:])
	put("record of format 2, signature field", record.sig)
	put("record of format 2, owner's mac", record.omac)
	put("record of format 2", record.encode())
	put("record of format 2 by an agent", h.newRecord(bucketVersions, key, id, agent.Sign, body, data).encode())
	put("record of format 2 without a signature", h.newRecord(bucketUses, []byte("k"), audit.Owner, nil, body, nil).encode())
	for _, n := range []int{1, 2, 3, 9, 16} {
		fields, top := signBatch(nil, e, audit.Owner, root.Sign, leavesOf(n))
		put(fmt.Sprintf("batch of %d, root", n), top[:])
		put(fmt.Sprintf("batch of %d, signature", n), fields[0][:ed25519.SignatureSize])
		for i, field := range fields {
			put(fmt.Sprintf("batch of %d, place %d", n, i), field[ed25519.SignatureSize:])
		}
	}

	ownerMAC := [32]byte(root.OwnerEntryMAC(1))
	place := audit.Place{Vault: root.Vault, Epoch: 1, Format: keys.Format2, OwnerMAC: &ownerMAC}
	_, value, at := audit.Position{Key: root.AuditKey(1, 1)}.Append(place, audit.Owner, root.Sign, body)
	put("audit entry 1 of format 2", value)
	_, value, _ = at.Append(place, id, agent.Sign, body)
	put("audit entry 2 of format 2, by an agent", value)

	_, _, at = audit.Position{Key: root.AuditKey(1, 1)}.Append(audit.Place{Vault: root.Vault, Epoch: 1}, audit.Owner, root.Sign, body)
	at.Key = root.AuditKey(2, 2)
	ownerMAC = root.OwnerEntryMAC(2)
	place.Epoch = 2
	_, value, _ = at.Append(place, audit.Owner, root.Sign, body)
	put("audit entry 2, which begins epoch 2 in format 2", value)
}
