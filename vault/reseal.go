package vault

import (
	"bytes"
	"crypto/hpke"
	"strings"

	"ass/tokens"
	"ass/vault/internal/keys"
)

// An actor that may write but not read seals to a published recipient: the public half
// of a key pair that every holder of the node derives. It takes the deepest recipient
// on the path. A holder of a key at or above that recipient's node can read at once. The
// bucket unsealed lists such versions. When somebody gets a key further down, the owner
// seals them anew.

// recipientBody is a published recipient, keyed by the id of its node.
type recipientBody struct {
	Seq  uint64      `json:"seq"`           // Number of the log entry of the act that published it.
	Tier tokens.Tier `json:"tier"`          // Tier of what is sealed to it.
	Pub  []byte      `json:"pub,omitempty"` // MLKEM768-X25519 public key, 1216 bytes; from format 2 on, stored raw.
}

// publish writes the recipient of a node, unless it is there already.
func (t *tx) publish(n keys.Node) error {
	if v, err := t.get(bucketRecipients, n.ID()); err != nil || v != nil {
		return err
	}
	return recipientKind.put(t, n.ID(), recipientBody{
		Seq: t.seq(), Tier: n.Tier, Pub: n.Public(),
	})
}

// recipientFor finds the deepest published recipient at or above a secret.
func (t *tx) recipientFor(tier tokens.Tier, p tokens.Path) (keys.Node, hpke.PublicKey, error) {
	at := keys.NodeOf(tier, tokens.Exactly(p))
	for {
		var body recipientBody
		k := at.ID()
		v, err := t.get(bucketRecipients, k)
		if err != nil {
			return at, nil, err
		}
		if v != nil {
			if body, _, err = recipientKind.read(t, k, v); err != nil {
				return at, nil, err
			}
			pub, err := keys.ParseRecipient(body.Pub)
			if err != nil || body.Tier != tier {
				return at, nil, recipientKind.damaged(k, "it is not a recipient")
			}
			return at, pub, nil
		}
		if at.Path == "" {
			return at, nil, recipientKind.damaged(k, "it is missing")
		}
		above := at.Path[:max(0, strings.LastIndexByte(at.Path, '/'))]
		at = keys.Node{Tier: tier, Kind: keys.KindNamespace, Path: above}
	}
}

// resealBody marks a version that is sealed to a published recipient. The record has
// the same bucket key as the version, and a MAC but no signature.
type resealBody struct {
	Seq uint64 `json:"seq"` // Number of the log entry of the version.
}

// resealBelow returns the bucket keys of the versions at or below some nodes that
// are sealed to a published recipient.
func (t *tx) resealBelow(nodes []keys.Node) (list [][]byte, err error) {
	err = resealKind.each(t, nil, func(k []byte, _ resealBody, _ record) error {
		text, _, _ := cutVersionKey(k)
		p, err := tokens.ParsePath(text)
		if err != nil {
			return resealKind.damaged(k, "its key is not a path and a version")
		}
		for _, n := range nodes {
			if n.Covers(p) {
				list = append(list, bytes.Clone(k))
				break
			}
		}
		return nil
	})
	return list, err
}

// openUp lets the new holders of some nodes read the versions that are sealed above
// these nodes: the owner publishes the nodes and seals those versions anew.
func (s *Session) openUp(t *tx, nodes []keys.Node) error {
	for _, n := range nodes {
		if err := t.publish(n); err != nil {
			return err
		}
	}
	list, err := t.resealBelow(nodes)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return nil
	}
	approvals, err := t.approvedReads()
	if err != nil {
		return err
	}
	for _, k := range list {
		text, n, _ := cutVersionKey(k)
		p, err := tokens.ParsePath(text)
		if err != nil {
			return err
		}
		body, value, err := s.readVersion(t, p, n)
		if err != nil {
			return err
		}
		body.sealAnew(t.Format, t.resealSeq(p, n))
		if err := s.writeVersion(t, p, n, body, value); err != nil {
			return err
		}
		if body.Tier == tokens.Standard {
			continue
		}
		if err := s.renewDecisions(t, approvals[string(k)]); err != nil {
			return err
		}
	}
	return nil
}

// approvedReads returns the approvals for reading, by version key.
func (t *tx) approvedReads() (by map[string][]Request, err error) {
	list, err := t.approvedRequests()
	by = map[string][]Request{}
	for _, q := range list {
		if k := string(versionKey(q.Path, q.Version)); q.Action == RequestRead {
			by[k] = append(by[k], q)
		}
	}
	return by, err
}

// filesBelow returns the file keys of the versions below some nodes that are sealed
// above them. An agent puts these keys into a grant, because readers never seal anew.
func (s *Session) filesBelow(t *tx, nodes []keys.Node) (files []grantFile, err error) {
	list, err := t.resealBelow(nodes)
	if err != nil {
		return nil, err
	}
	for _, k := range list {
		text, n, _ := cutVersionKey(k)
		p, err := tokens.ParsePath(text)
		if err != nil {
			return nil, err
		}
		body, _, err := versionKind.get(t, k)
		if err != nil {
			return nil, err
		}
		id, err := s.ring.Identity(t.Epoch, body.Tier, p, n, body.Recipient)
		if err != nil || body.Tier != tokens.Standard {
			continue // the issuer itself may not read it
		}
		fileKey, err := keys.FileKey(id, body.Sealed)
		if err != nil {
			return nil, versionKind.damaged(k, "it does not decrypt: it was modified or moved")
		}
		files = append(files, grantFile{Path: text, Version: n, FileKey: fileKey})
	}
	return files, nil
}
