package vault

import (
	"bytes"
	"errors"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/fault"
	"ass/vault/internal/keys"
)

// farAhead limits how far a use may be dated after the end of the log. No honest clock is
// that far off.
const farAhead = 24 * time.Hour

// This part of a verification checks who may do what. The owner recomputes the
// keys of every agent and token, and so knows what each grant must contain.

// recipient checks that a published recipient belongs to its node. If it did not,
// somebody else could read what is written below the node.
func (v *verification) recipient(k, val []byte) error {
	body, _, err := recipientKind.read(v.t, k, val)
	if err != nil {
		return err
	}
	n, ok := keys.ParseNode(k)
	if ok {
		n, ok = v.s.ring.Derive(n)
	}
	if !ok || body.Tier != n.Tier || !bytes.Equal(body.Pub, n.Public()) {
		return recipientKind.damaged(k, "it does not match the key of its node")
	}
	return nil
}

func (v *verification) reseal(k, val []byte) error {
	if _, _, err := resealKind.read(v.t, k, val); err != nil {
		return err
	}
	body, _, err := versionKind.get(v.t, k)
	if errors.Is(err, ErrNotFound) || err == nil && len(body.Recipient) == 0 {
		err = resealKind.damaged(k, "no version that is sealed to a recipient exists there")
	}
	return err
}

func (v *verification) agent(k, val []byte) error {
	id := string(k)
	v.met[id] = nil
	body, r, err := agentKind.read(v.t, k, val)
	if err != nil {
		return err
	}
	v.dated(agentKind.rules, k, body.CreatedAt, body.IssuedAt, dateOf(body.RevokedAt))
	if !isAgentID(id) || !samePublic(body.Pub, keys.NewGrantee(v.s.root.AgentSecret(id, body.Serial))) {
		return fault.Damaged(agentKind.recordName(k), "its public key does not match the agent")
	}
	return v.told.agent(id, body, v.t.placed(agentKind.rules, k, r))
}

// grant opens a grant as its grantee would, and compares its content with the
// grantee's scopes.
func (v *verification) grant(k, val []byte) error {
	body, _, err := grantKind.read(v.t, k, val)
	if err != nil {
		return err
	}
	name := grantKind.recordName(k)
	to, err := v.s.granteeOf(v.t, body.Grantee)
	if errors.Is(err, ErrNotFound) {
		return fault.Damaged(name, "its grantee %q is unknown", body.Grantee)
	}
	if err != nil {
		return err
	}
	if !bytes.Equal(k, to.Index[:]) {
		return fault.Damaged(name, "it is not where the grant of %q belongs", body.Grantee)
	}
	g, err := decodeGrant(v.s.epoch.Vault, to, body)
	if err != nil {
		return err
	}
	rights, top, err := v.rightsOf(body.Grantee)
	if err != nil {
		return err
	}
	want, _, err := v.s.newGrant(rights, top)
	if err != nil {
		return err
	}
	same := g.Epoch == want.Epoch && bytes.Equal(g.MK, want.MK) && len(g.Nodes) == len(want.Nodes)
	have := map[string]bool{}
	for _, n := range g.Nodes {
		have[string(keys.Node{Tier: n.Tier, Kind: n.Kind, Path: n.Path}.ID())+string(n.Key)] = true
	}
	for _, n := range want.Nodes {
		same = same && have[string(keys.Node{Tier: n.Tier, Kind: n.Kind, Path: n.Path}.ID())+string(n.Key)]
	}
	for _, f := range g.Files {
		p, err := tokens.ParsePath(f.Path)
		same = same && err == nil && rights.Allow(tokens.Read, p)
	}
	if !same {
		return fault.Damaged(name, "its keys do not match the scopes of %q", body.Grantee)
	}
	v.grants[body.Grantee] = true
	return nil
}

func (v *verification) rightsOf(id string) (tokens.Scopes, tokens.Tier, error) {
	if isAgentID(id) {
		body, err := v.t.agent(id)
		if err == nil && body.RevokedAt != nil {
			err = agentKind.damaged([]byte(id), "it is revoked but still has a grant")
		}
		return body.scopes(), tokens.Standard, err
	}
	_, c, err := v.t.token(id)
	if err != nil {
		return nil, 0, err
	}
	rights, err := v.t.rights(c)
	return rights, max(c.Tier, tokens.Standard), err
}

// missingGrants reports the active agents without a valid grant. Tokens may have
// none: such a token is used up or revoked.
func (v *verification) missingGrants() error {
	return v.t.agents(func(id string, body agentBody) error {
		if body.RevokedAt == nil && !v.grants[id] {
			v.found("agents/%q: it has no valid grant", id)
		}
		return nil
	})
}

func (v *verification) token(k, val []byte) error {
	body, c, err := v.t.token(string(k))
	if err != nil {
		return err
	}
	name := tokenKind.recordName(k)
	v.dated(tokenKind.rules, k, c.Issued)
	to, err := v.s.granteeOf(v.t, c.ID)
	if err != nil {
		return err
	}
	if !bytes.Equal(body.Index, to.Index[:]) || !samePublic(body.Pub, to) {
		return fault.Damaged(name, "it does not match the token that it names")
	}
	if err := v.told.token(c.ID, body); err != nil {
		return err
	}
	rights, err := v.t.rights(c)
	if err != nil {
		return err
	}
	for _, scope := range c.Scopes {
		if !rights.Contain(scope) {
			return fault.Damaged(name, "its scopes exceed those of its issuer")
		}
	}
	told := v.told.entryOf[c.ID]
	if told == 0 {
		_, r, err := tokenKind.read(v.t, k, val)
		if err != nil || v.told.lostBeforeEpoch(0, body.Seq, r.by) {
			return err
		}
	}
	return v.toldOf(name, c.ID, v.told.nowAt(told, body.Seq))
}

// toldOf checks that the log entry seq describes a record.
func (v *verification) toldOf(name, what string, seq uint64) error {
	if told := v.told.entryOf[what]; told != seq && !v.told.isUnclear(seq) {
		return fault.Damaged(name, "no log entry accounts for it")
	}
	return nil
}

func (v *verification) uses(k, val []byte) error {
	body, _, err := useKind.read(v.t, k, val)
	if err != nil {
		return err
	}
	v.dated(useKind.rules, k, body.LastAt)
	if body.LastAt.After(v.told.lastAt.Add(farAhead)) {
		return useKind.damaged(k, "it is dated %s, after the end of the log at %s",
			body.LastAt.Format(time.RFC3339), v.told.lastAt.Format(time.RFC3339))
	}
	alive, err := v.t.alive(string(k))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if _, requested := v.told.entryOf[audit.ApprovalRequested+" "+string(k)]; !alive && !requested {
		return useKind.damaged(k, "it counts the uses of something that does not exist")
	}
	return nil
}

func (v *verification) request(k, val []byte) error {
	q, err := v.t.requestAt(k, val)
	if err != nil {
		return err
	}
	v.dated(requestKind.rules, k, q.CreatedAt)
	return v.toldOf(requestKind.recordName(k), audit.ApprovalRequested+" "+q.ID, q.seq)
}

func (v *verification) decision(k, val []byte) error {
	body, _, err := decisionKind.read(v.t, k, val)
	if err != nil {
		return err
	}
	name := decisionKind.recordName(k)
	v.dated(decisionKind.rules, k, body.At)
	if _, id, _ := cutRequestKey(k); id.String() != body.Request {
		return fault.Damaged(name, "it decides another request than its key names")
	}
	request, err := v.t.get(bucketRequests, k)
	if request == nil {
		return errors.Join(err, fault.Damaged(name, "it decides a request that does not exist"))
	}
	event := audit.ApprovalGranted
	if body.Decision == Denied {
		event = audit.ApprovalDenied
	}
	if err := v.toldOf(name, event+" "+body.Request, body.Seq); err != nil || len(body.Key) == 0 {
		return err
	}
	return v.opensApproved(k, request, body)
}

// opensApproved checks that a decision about a read has the key of the version as it is now. If the owner has sealed the version
// anew, an old decision opens nothing.
func (v *verification) opensApproved(k, request []byte, decision decisionBody) error {
	q, err := v.t.requestAt(k, request)
	if err != nil {
		return nil // it is named as a request
	}
	version, _, err := versionKind.get(v.t, versionKey(q.Path, q.Version))
	to, gerr := v.s.granteeOf(v.t, q.Requester)
	if err != nil || gerr != nil || version.Tier != q.Tier { // then it decides nothing any more
		return nil
	}
	_, id, _ := cutRequestKey(k)
	fileKey, err := keys.Open(to.Seal, v.t.Epoch.DecisionContext(id, q.Requester, q.Tier, q.Path, q.Version), decision.Key)
	if err == nil {
		var value []byte
		value, err = keys.DecryptWithFileKey(fileKey, version.Sealed)
		clear(value)
		clear(fileKey)
	}
	if err != nil {
		return decisionKind.damaged(k, "its key does not open the version that was approved: an old record was put back")
	}
	return nil
}
