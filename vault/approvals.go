package vault

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"ass/audit"
	"ass/tokens"
)

// How long requests live.
const (
	AskLifetime      = 24 * time.Hour     // a request that nobody decides
	ApprovalLifetime = time.Hour          // an approval
	askKept          = 7 * 24 * time.Hour // until a request is no longer listed
)

// maxPending is how many requests of one asker can wait.
const maxPending = 20

// What a request asks for.
const (
	AskRead   = "read"
	AskWrite  = "write"  // over a critical secret
	AskDelete = "delete" // a critical secret
)

var askActions = map[string]tokens.Action{AskRead: tokens.Read, AskWrite: tokens.Write, AskDelete: tokens.Delete}

// askEvents are what the log calls what is asked for.
var askEvents = map[string]string{AskRead: audit.SecretRead, AskWrite: audit.SecretUpdated, AskDelete: audit.SecretDeleted}

// askBody is a request, signed by the asker. Its id is a hash of these bytes, so
// nothing can change under an id that a person has looked at.
type askBody struct {
	Seq     uint64      `json:"seq"`
	Action  string      `json:"action"`
	Path    string      `json:"path"`
	Version uint64      `json:"version"`
	Tier    tokens.Tier `json:"tier"`
	Asker   string      `json:"asker"`
	Reason  string      `json:"reason"`
	IssueAt time.Time   `json:"iat"`
	Nonce   []byte      `json:"nonce"`
}

// answerBody is the owner's decision, under the key of its request.
type answerBody struct {
	Seq      uint64    `json:"seq"`
	Decision string    `json:"decision"` // approved or denied
	Ask      string    `json:"ask"`
	At       time.Time `json:"at"`
	Exp      time.Time `json:"exp"`
	Reason   string    `json:"reason,omitempty"` // of a denial
	Key      []byte    `json:"key,omitempty"`    // the key of one age file, for the asker alone
}

// States of a request.
const (
	Pending  = "pending"
	Approved = "approved"
	Denied   = "denied"
	Expired  = "expired"
)

// askID hashes a request: a UUID of version 8 (RFC 9562).
func askID(body []byte) uuid.UUID {
	sum := sha256.Sum256(body)
	id := uuid.UUID(sum[:16])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// askKey is asker ‖ 0 ‖ id: what one asker has asked for lies together.
func askKey(asker string, id uuid.UUID) []byte { return append(askPrefix(asker), id[:]...) }

func askPrefix(asker string) []byte { return append([]byte(asker), 0) }

func cutAskKey(k []byte) (asker string, id uuid.UUID, ok bool) {
	cut := len(k) - 17
	if cut < 1 || k[cut] != 0 {
		return "", id, false
	}
	return string(k[:cut]), uuid.UUID(k[cut+1:]), true
}

// approvalContext binds a file key to its request, its asker and its version.
func (e epoch) approvalContext(id uuid.UUID, asker string, tier tokens.Tier, p tokens.Path, version uint64) []byte {
	b := u32(append(lp(nil, "approval"), e.vid[:]...), e.n)
	return append(lp(append(b, id[:]...), asker), e.versionContext(tier, p, version)...)
}

// request is an act that needs a human's yes.
type request struct {
	action  string
	path    tokens.Path
	version uint64
	tier    tokens.Tier
}

// needed ends an act that needs approval. Nothing of it is kept, and the requests
// are made.
type needed struct{ requests []request }

func (*needed) Error() string { return "it needs approval" }

// ApprovalError says that a human must approve first. It wraps [ErrApproval].
type ApprovalError struct {
	Requests []Request
}

func (e *ApprovalError) Error() string {
	if len(e.Requests) == 1 {
		r := e.Requests[0]
		return fmt.Sprintf("to %s %s (%s), a human must approve first, with: ass approvals approve %s", r.Action, r.Path, r.Tier, r.ID)
	}
	return fmt.Sprintf("%d secrets need approval; a human must approve first, with: ass approvals approve %s", len(e.Requests), strings.Join(e.IDs(), " "))
}

func (e *ApprovalError) Unwrap() error { return ErrApproval }

// IDs returns the ids of the requests.
func (e *ApprovalError) IDs() []string {
	ids := make([]string, len(e.Requests))
	for i, r := range e.Requests {
		ids[i] = r.ID
	}
	return ids
}

// Request is a request for approval, as it stands.
type Request struct {
	ID      string
	Asker   string // id of the agent or token
	Agent   string // id of the agent: the asker, or the issuer of the token; "owner"
	Name    string // of that agent
	Action  string
	Path    tokens.Path
	Version uint64
	Tier    tokens.Tier
	Reason  string
	Status  string
	Denial  string // the reason of a denial
	Used    bool   // it served its one read

	CreatedAt time.Time
	ExpiresAt time.Time  // of the request, or of the approval
	DecidedAt *time.Time // nil while it is pending

	// Current is the version at which the secret is; 0 if it is not there. A
	// decision counts for what was shown: see [Session.Approve].
	Current uint64
}

// askAt reads one request and what was decided about it.
func (t *tx) askAt(k, v []byte) (Request, error) {
	var body askBody
	r, err := t.decodeSigned(bucketAsks, k, v, &body)
	if err != nil {
		return Request{}, err
	}
	asker, id, ok := cutAskKey(k)
	p, perr := tokens.ParsePath(body.Path)
	if !ok || asker != body.Asker || id != askID(r.body) || perr != nil {
		return Request{}, damaged(recordName(bucketAsks, k), "its id is not that of its content")
	}
	q := Request{
		ID: id.String(), Asker: asker, Agent: asker, Action: body.Action, Path: p, Version: body.Version, Tier: body.Tier,
		Reason: body.Reason, CreatedAt: body.IssueAt, ExpiresAt: body.IssueAt.Add(AskLifetime), Status: Pending,
	}
	answer, err := t.answer(k)
	switch {
	case err != nil:
		return q, err
	case answer == nil && !t.now.Before(q.ExpiresAt):
		q.Status = Expired
	case answer == nil:
	case answer.Decision == Approved:
		q.Status, q.ExpiresAt, q.DecidedAt = Approved, answer.Exp, &answer.At
		if !t.now.Before(answer.Exp) {
			q.Status = Expired
		}
		used, err := t.usesOf(q.ID)
		if err != nil {
			return q, err
		}
		q.Used = used.Used > 0
	default:
		q.Status, q.ExpiresAt, q.DecidedAt, q.Denial = Denied, answer.Exp, &answer.At, answer.Reason
	}
	return q, nil
}

func (t *tx) answer(k []byte) (*answerBody, error) {
	v, err := t.get(bucketAnswers, k)
	if v == nil || err != nil {
		return nil, err
	}
	var body answerBody
	if _, err := t.decodeSigned(bucketAnswers, k, v, &body); err != nil {
		return nil, err
	}
	return &body, nil
}

// asksOf lists the requests of one asker; of all if asker is "".
func (t *tx) asksOf(asker string) (list []Request, err error) {
	prefix := askPrefix(asker)
	if asker == "" {
		prefix = nil
	}
	err = t.walk(bucketAsks, prefix, func(k, v []byte) error {
		if q, err := t.askAt(k, v); err == nil { // else a verification names it
			list = append(list, q)
		}
		return nil
	})
	sortBy(list, func(q Request) time.Time { return q.CreatedAt })
	return list, err
}

// approved finds an approval that the session holds for an act; *needed if it
// holds none.
func (s *Session) approved(t *tx, r request) (Request, error) {
	list, err := t.asksOf(s.by.id)
	if err != nil {
		return Request{}, err
	}
	for _, q := range list {
		if q.is(r) && q.Status == Approved && !q.Used {
			return q, nil
		}
	}
	return Request{}, &needed{[]request{r}}
}

func (q Request) is(r request) bool {
	return q.Action == r.action && q.Path == r.path && q.Version == r.version && q.Tier == r.tier
}

// spend marks an approval as used where it serves once: for a critical secret.
func (t *tx) spend(q Request) error {
	if q.Tier < tokens.Critical {
		return nil
	}
	return t.putUses(q.ID, usesBody{Used: 1})
}

// readApproved opens a version with the file key of an approval.
func (s *Session) readApproved(t *tx, p tokens.Path, n uint64, body versionBody) (value []byte, id string, err error) {
	q, err := s.approved(t, request{AskRead, p, n, body.Tier})
	if err != nil {
		return nil, "", err
	}
	u, err := uuid.Parse(q.ID)
	if err != nil {
		return nil, "", err
	}
	answer, err := t.answer(askKey(s.by.id, u))
	if err != nil {
		return nil, "", err
	}
	fileKey, err := open(s.as.seal, t.epoch.approvalContext(u, s.by.id, body.Tier, p, n), answer.Key)
	if err == nil {
		value, err = decrypt(fileKeyIdentity(fileKey), body.Sealed)
	}
	if err != nil {
		return nil, "", damaged(recordName(bucketAnswers, askKey(s.by.id, u)), "its key does not open the version that it was given for")
	}
	return value, q.ID, t.spend(q)
}

// ask makes requests, one for each act that has none pending, and returns them as
// an [ApprovalError].
func (s *Session) ask(requests []request) error {
	var asked []Request
	errNothing := errors.New("all of it was asked before")
	err := s.commit(func(t *tx) error {
		have, err := t.asksOf(s.by.id)
		if err != nil {
			return err
		}
		made, pending := 0, 0
		for _, q := range have {
			if q.Status == Pending {
				pending++
			}
		}
		for _, r := range requests {
			q, isNew, err := s.askOne(t, r, have)
			if err != nil {
				return err
			}
			if asked = append(asked, q); isNew {
				made++
			}
		}
		if made == 0 {
			return errNothing
		}
		if pending+made > maxPending {
			return errorOf(ErrConflict, "%s has %d requests waiting, and at most %d can wait; have some decided first: ass approvals list", s.Who(), pending, maxPending)
		}
		return nil
	})
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		return s.refused(refused)
	case err != nil && err != errNothing:
		return err
	}
	return &ApprovalError{asked}
}

// askOne finds the request that is pending for an act, or makes one. What was
// denied last is not asked again without a reason.
func (s *Session) askOne(t *tx, r request, have []Request) (q Request, isNew bool, err error) {
	for _, q := range slices.Backward(have) {
		if !q.is(r) {
			continue
		}
		if q.Status == Pending {
			return q, false, nil
		}
		if q.Status == Denied && s.v.opts.Reason == "" && t.now.Before(q.ExpiresAt) {
			err := errorOf(ErrRefused, "the request to %s %s was denied: %s; to ask again, say why with --reason", q.Action, q.Path, q.Denial)
			return q, false, &refusal{err, askEvents[r.action], r.path.String(), "denied"}
		}
		break
	}
	body := askBody{
		Seq: t.seq(), Action: r.action, Path: r.path.String(), Version: r.version, Tier: r.tier,
		Asker: s.by.id, Reason: s.v.opts.Reason, IssueAt: t.now, Nonce: make([]byte, 16),
	}
	if len(body.Reason) > maxTextBytes {
		return q, false, &tokens.SyntaxError{What: "reason", Problem: fmt.Sprintf("it is longer than %d bytes", maxTextBytes)}
	}
	rand.Read(body.Nonce)
	b, err := json.Marshal(body)
	if err != nil {
		return q, false, err
	}
	id := askID(b)
	if err := t.put(bucketAsks, askKey(s.by.id, id), true, json.RawMessage(b)); err != nil {
		return q, false, err
	}
	t.lapsesAt(t.now.Add(askKept))
	q = Request{
		ID: id.String(), Asker: s.by.id, Agent: s.as.agent, Action: r.action, Path: r.path, Version: r.version, Tier: r.tier,
		Reason: body.Reason, Status: Pending, CreatedAt: t.now, ExpiresAt: t.now.Add(AskLifetime),
	}
	return q, true, t.log(audit.ApprovalRequested, "approval", q.ID, q.logged())
}

func (q Request) logged() map[string]any {
	m := map[string]any{"action": q.Action, "path": q.Path.String(), "version": q.Version, "tier": q.Tier, "asker": q.Asker}
	if q.Reason != "" {
		m["reason"] = q.Reason
	}
	return m
}

// Requests lists the requests for approval, oldest first: all of them for the
// owner, its own for a grantee.
func (s *Session) Requests() ([]Request, error) {
	var list []Request
	asker := s.by.id
	if s.as == nil {
		asker = ""
	}
	err := s.view(func(t *tx) (err error) {
		if list, err = t.asksOf(asker); err != nil {
			return err
		}
		for i := range list {
			if list[i], err = t.described(list[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return list, err
}

// described adds what a person wants to know of a request: who asks, and where
// the secret is now.
func (t *tx) described(q Request) (Request, error) {
	if !isAgentID(q.Asker) {
		_, c, err := t.token(q.Asker)
		if err == nil {
			q.Agent = c.Issuer
		} else if !errors.Is(err, ErrNotFound) {
			return q, err
		}
	}
	if isAgentID(q.Agent) {
		body, err := t.agent(q.Agent)
		if err != nil {
			return q, err
		}
		q.Name = body.Name
	}
	head, err := t.secretHead(q.Path)
	if err == nil && head.DeletedAt == nil {
		q.Current = head.Version
	}
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return q, err
}

// Approve answers requests with yes, all or none. Each must still be what the
// person was shown: pending, and its secret at the version that it was at then.
// The answer carries the key of the one age file that was asked for, sealed to
// the asker: it opens that version and nothing that comes later.
func (s *Session) Approve(shown []Request) error {
	return s.decide(shown, "approve requests", audit.ApprovalGranted, func(t *tx, k []byte, q Request) error {
		answer := answerBody{Decision: Approved, Ask: q.ID, At: t.now, Exp: t.now.Add(ApprovalLifetime)}
		who, err := t.author(t, q.Asker)
		if err != nil || !who.scopes.Allow(askActions[q.Action], q.Path) || askActions[q.Action] == 0 {
			return errorOf(ErrConflict, "request %s asks for what the scopes of its asker do not cover; deny it", q.ID)
		}
		to, err := s.granteeOf(t, q.Asker)
		if err != nil {
			return err
		}
		if q.Action == AskRead {
			if answer.Key, err = s.sealFileKey(t, k, q, to); err != nil {
				return err
			}
		}
		answer.Seq = t.seq()
		if err := t.put(bucketAnswers, k, true, answer); err != nil {
			return err
		}
		return t.log(audit.ApprovalGranted, "approval", q.ID, q.logged())
	})
}

func (s *Session) sealFileKey(t *tx, k []byte, q Request, to grantee) ([]byte, error) {
	var body versionBody
	if _, err := t.signed(bucketVersions, versionKey(q.Path, q.Version), &body); err != nil {
		return nil, err
	}
	if body.Tier != q.Tier {
		return nil, errorOf(ErrConflict, "%s is %s now, and request %s is for a %s one; it has to be asked again", q.Path, body.Tier, q.ID, q.Tier)
	}
	id, err := s.ring.identity(t.epoch, body, q.Path, q.Version)
	if err != nil {
		return nil, err
	}
	fileKey, err := fileKeyOf(id, body.Sealed)
	if err != nil {
		return nil, damaged(recordName(bucketVersions, versionKey(q.Path, q.Version)), "it does not open: it was altered, or moved from another place")
	}
	_, ask, _ := cutAskKey(k)
	return seal(to.seal, t.epoch.approvalContext(ask, q.Asker, q.Tier, q.Path, q.Version), fileKey)
}

// Deny answers requests with no, all or none. The reason is told to the asker.
func (s *Session) Deny(shown []Request, reason string) error {
	if reason == "" || len(reason) > maxTextBytes {
		return &tokens.SyntaxError{What: "reason", Problem: fmt.Sprintf("it must have 1 to %d bytes", maxTextBytes)}
	}
	return s.decide(shown, "deny requests", audit.ApprovalDenied, func(t *tx, k []byte, q Request) error {
		answer := answerBody{Seq: t.seq(), Decision: Denied, Ask: q.ID, At: t.now, Exp: q.ExpiresAt, Reason: reason}
		if err := t.put(bucketAnswers, k, true, answer); err != nil {
			return err
		}
		note := q.logged()
		note["denial"] = reason
		return t.log(audit.ApprovalDenied, "approval", q.ID, note)
	})
}

// decide re-reads each request in its own transaction: two decisions about one
// request are one decision, and a version that has moved on is not approved.
func (s *Session) decide(shown []Request, what, event string, answer func(t *tx, k []byte, q Request) error) error {
	if err := s.mayOnlyOwner(what, event, s.by.id); err != nil {
		return err
	}
	return s.update(func(t *tx) error {
		for _, was := range shown {
			id, err := uuid.Parse(was.ID)
			if err != nil {
				return err
			}
			k := askKey(was.Asker, id)
			v, err := t.get(bucketAsks, k)
			if err != nil {
				return err
			}
			if v == nil {
				return errorOf(ErrUnknown, "no request %s", was.ID)
			}
			q, err := t.askAt(k, v)
			if err == nil {
				q, err = t.described(q)
			}
			switch {
			case err != nil:
				return err
			case q.Status != Pending:
				return errorOf(ErrConflict, "request %s is not pending: it is %s", q.ID, q.Status)
			case q.Current != was.Current:
				return errorOf(ErrConflict, "%s has moved on from %s to %s since request %s was shown; look again", q.Path, versionName(was.Current), versionName(q.Current), q.ID)
			}
			if err := answer(t, k, q); err != nil {
				return err
			}
		}
		return nil
	})
}

// clearAsks removes the requests that nobody needs to see any more.
func (t *tx) clearAsks() error {
	var old [][]byte
	err := t.walk(bucketAsks, nil, func(k, v []byte) error {
		var body askBody
		if _, err := t.decode(bucketAsks, k, v, &body); err != nil {
			return nil
		}
		if gone := body.IssueAt.Add(askKept); t.now.Before(gone) {
			t.lapsesAt(gone)
		} else {
			old = append(old, bytes.Clone(k))
		}
		return nil
	})
	for _, k := range old {
		_, id, _ := cutAskKey(k)
		for bucket, k := range map[string][]byte{bucketAsks: k, bucketAnswers: k, bucketUses: []byte(id.String())} {
			if err == nil {
				err = t.remove(bucket, k)
			}
		}
	}
	if err == nil && len(old) > 0 {
		err = t.log(audit.ApprovalCleanup, "approval", "", map[string]any{"requests": len(old)})
	}
	return err
}

// copyAsks carries over the requests that wait, of askers that live on and for
// secrets that do. Answers hand out keys of files that are no more, so what was
// decided is asked again.
func (s *Session) copyAsks(old *tx, w *builder, p *rewritePlan) error {
	return old.walk(bucketAsks, nil, func(k, v []byte) error {
		q, err := old.askAt(k, v)
		if err != nil || q.Status != Pending || p.drop[q.Path] {
			return nil
		}
		alive, err := w.t.alive(q.Asker)
		if err != nil || !alive {
			return err
		}
		r, err := parseRecord(v)
		if err != nil {
			return err
		}
		return w.t.put(bucketAsks, k, true, json.RawMessage(bytes.Clone(r.body)))
	})
}

// alive reports whether there is an active agent or a token of this id.
func (t *tx) alive(id string) (bool, error) {
	if isAgentID(id) {
		body, err := t.agent(id)
		return err == nil && body.RevokedAt == nil, err
	}
	v, err := t.get(bucketTokens, []byte(id))
	return v != nil, err
}
