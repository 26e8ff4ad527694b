package vault

import (
	"bytes"
	"crypto/hpke"
	"strings"

	"ass/tokens"
)

// Whoever may write and not read seals to a published recipient: the public half
// of a key that every holder of the node derives. The deepest one on the path is
// taken, and who holds a key at or above it reads at once. The bucket unsealed
// lists such versions, for the owner to seal them anew when somebody gets a key
// further down.

// recipientBody is a published recipient, under the id of its node.
type recipientBody struct {
	Seq  uint64      `json:"seq"`
	Tier tokens.Tier `json:"tier"`
	Pub  []byte      `json:"pub"` // MLKEM768-X25519, 1216 bytes
}

// publish writes the recipient of a node, unless it stands there.
func (t *tx) publish(n node) error {
	if v, err := t.get(bucketRecipients, n.id()); err != nil || v != nil {
		return err
	}
	return t.put(bucketRecipients, n.id(), true, recipientBody{
		Seq: t.seq(), Tier: n.tier, Pub: nodePrivate(n.key).PublicKey().Bytes(),
	})
}

// recipientFor finds the deepest published recipient at or above a secret.
func (t *tx) recipientFor(tier tokens.Tier, p tokens.Path) (node, hpke.PublicKey, error) {
	at := nodeOf(tier, tokens.Exactly(p))
	for {
		var body recipientBody
		k := at.id()
		v, err := t.get(bucketRecipients, k)
		if err != nil {
			return at, nil, err
		}
		if v != nil {
			if _, err := t.decodeSigned(bucketRecipients, k, v, &body); err != nil {
				return at, nil, err
			}
			pub, err := kem.NewPublicKey(body.Pub)
			if err != nil || body.Tier != tier {
				return at, nil, damaged(recordName(bucketRecipients, k), "it is not a recipient")
			}
			return at, pub, nil
		}
		if at.path == "" {
			return at, nil, damaged(recordName(bucketRecipients, k), "it is missing")
		}
		above := at.path[:max(0, strings.LastIndexByte(at.path, '/'))]
		at = node{tier: tier, kind: kindNamespace, path: above}
	}
}

// unsealedBody lists a version that lies sealed to a published recipient, under
// the version's key. It carries a MAC alone.
type unsealedBody struct {
	Seq uint64 `json:"seq"`
}

// unsealedBelow returns the version keys below some nodes that lie sealed to a
// recipient.
func (t *tx) unsealedBelow(nodes []node) (keys [][]byte, err error) {
	err = t.walk(bucketUnsealed, nil, func(k, v []byte) error {
		var body unsealedBody
		if _, err := t.decode(bucketUnsealed, k, v, &body); err != nil {
			return err
		}
		text, _, _ := cutVersionKey(k)
		p, err := tokens.ParsePath(text)
		if err != nil {
			return damaged(recordName(bucketUnsealed, k), "it is not at a path and a version")
		}
		for _, n := range nodes {
			if n.covers(p) {
				keys = append(keys, bytes.Clone(k))
				break
			}
		}
		return nil
	})
	return keys, err
}

// openUp lets whoever gets these nodes read what lies sealed above them: the
// owner publishes them, and seals anew what was written before.
func (s *Session) openUp(t *tx, nodes []node) error {
	for _, n := range nodes {
		if err := t.publish(n); err != nil {
			return err
		}
	}
	keys, err := t.unsealedBelow(nodes)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return nil
	}
	approvals, err := t.readApprovals()
	if err != nil {
		return err
	}
	for _, k := range keys {
		text, n, _ := cutVersionKey(k)
		p, err := tokens.ParsePath(text)
		if err != nil {
			return err
		}
		body, value, err := s.readVersion(t, p, n)
		if err != nil {
			return err
		}
		if err := s.writeVersion(t, p, n, body, value); err != nil {
			return err
		}
		if body.Tier == tokens.Standard {
			continue
		}
		if err := s.renewAnswers(t, approvals[string(k)]); err != nil {
			return err
		}
	}
	return nil
}

// readApprovals are the approvals for reading, by the key of their version.
func (t *tx) readApprovals() (by map[string][]Request, err error) {
	list, err := t.approvals()
	by = map[string][]Request{}
	for _, q := range list {
		if k := string(versionKey(q.Path, q.Version)); q.Action == AskRead {
			by[k] = append(by[k], q)
		}
	}
	return by, err
}

// filesBelow returns the file keys of versions that lie sealed above some nodes,
// for a grant that an agent hands on. Readers never seal anew.
func (s *Session) filesBelow(t *tx, nodes []node) (files []grantFile, err error) {
	keys, err := t.unsealedBelow(nodes)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		text, n, _ := cutVersionKey(k)
		p, err := tokens.ParsePath(text)
		if err != nil {
			return nil, err
		}
		var body versionBody
		if _, err := t.signed(bucketVersions, k, &body); err != nil {
			return nil, err
		}
		id, err := s.ring.identity(t.epoch, body, p, n)
		if err != nil || body.Tier != tokens.Standard {
			continue // it lies above what the issuer itself may read
		}
		fileKey, err := fileKeyOf(id, body.Sealed)
		if err != nil {
			return nil, damaged(recordName(bucketVersions, k), "it does not open: it was altered, or moved from another place")
		}
		files = append(files, grantFile{Path: text, Version: n, FileKey: fileKey})
	}
	return files, nil
}
