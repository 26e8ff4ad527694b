package vault

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"ass/audit"
	"ass/tokens"
)

// Some acts of an agent or a token need a human's approval. For each, the agent or
// token makes a request in its own name. The human's decisions are in approvals.go.

// How long requests live.
const (
	AskLifetime      = 24 * time.Hour     // of a request without a decision
	ApprovalLifetime = time.Hour          // of an approval
	askKept          = 7 * 24 * time.Hour // how long a request is listed
)

// maxPending is how many requests of one asker can be pending.
const maxPending = 20

// What a request asks for.
const (
	AskRead   = "read"
	AskWrite  = "write"  // to write a critical secret
	AskDelete = "delete" // to delete a critical secret
)

var askActions = map[string]tokens.Action{AskRead: tokens.Read, AskWrite: tokens.Write, AskDelete: tokens.Delete}

// askEvents gives the log's event for each action that a request can ask for.
var askEvents = map[string]string{AskRead: audit.SecretRead, AskWrite: audit.SecretUpdated, AskDelete: audit.SecretDeleted}

// askBody is a request, signed by the asker. Its id is a hash of these bytes, so a
// request cannot change after a person has seen its id.
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

// askKey is asker ‖ 0 ‖ id, so the requests of one asker lie together.
func askKey(asker string, id uuid.UUID) []byte { return append(askPrefix(asker), id[:]...) }

func askPrefix(asker string) []byte { return append([]byte(asker), 0) }

func cutAskKey(k []byte) (asker string, id uuid.UUID, ok bool) {
	cut := len(k) - 17
	if cut < 1 || k[cut] != 0 {
		return "", id, false
	}
	return string(k[:cut]), uuid.UUID(k[cut+1:]), true
}

// request is an act that needs a human's approval.
type request struct {
	action  string
	path    tokens.Path
	version uint64
	tier    tokens.Tier
}

// needed ends an act that needs approval. Nothing of the act is kept; instead, its
// requests are made.
type needed struct{ requests []request }

func (*needed) Error() string { return "approval is required" }

// ApprovalError says that a human must approve first. It wraps [ErrApproval].
type ApprovalError struct {
	Requests []Request
}

func (e *ApprovalError) Error() string {
	if len(e.Requests) == 1 {
		r := e.Requests[0]
		return fmt.Sprintf("to %s %s (%s), a human must approve first", r.Action, r.Path, r.Tier)
	}
	return fmt.Sprintf("%d secrets need approval; a human must approve first", len(e.Requests))
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

// Request is a request for approval in its current state.
type Request struct {
	ID      string
	Asker   string // id of the agent or token
	Agent   string // id of the agent: the asker, or the token's issuer, which can be "owner"
	Name    string // of that agent
	Action  string
	Path    tokens.Path
	Version uint64
	Tier    tokens.Tier
	Reason  string
	Status  string
	Denial  string // the reason for a denial
	Used    bool   // its one use is spent

	CreatedAt time.Time
	ExpiresAt time.Time  // of the request, or of the approval
	DecidedAt *time.Time // nil while it is pending

	// Current is the current version of the secret, 0 if there is no such secret. A
	// decision is valid for the version that was shown: see [Session.Approve].
	Current uint64
}

// key returns the key of the request. The decision has the same key in its own bucket.
func (q Request) key() ([]byte, error) {
	id, err := uuid.Parse(q.ID)
	return askKey(q.Asker, id), err
}

// askAt reads one request and its decision.
func (t *tx) askAt(k, v []byte) (Request, error) {
	var body askBody
	r, err := t.decodeSigned(bucketAsks, k, v, &body)
	if err != nil {
		return Request{}, err
	}
	asker, id, ok := cutAskKey(k)
	p, perr := tokens.ParsePath(body.Path)
	if !ok || asker != body.Asker || id != askID(r.body) || perr != nil {
		return Request{}, damaged(recordName(bucketAsks, k), "its id does not match its content")
	}
	if askActions[body.Action] == 0 || len(body.Reason) > maxTextBytes { // a person has to read it
		return Request{}, damaged(recordName(bucketAsks, k), "it is not a valid request")
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

// asksOf lists the requests of one asker, or of all askers if asker is "".
func (t *tx) asksOf(asker string) (list []Request, err error) {
	prefix := askPrefix(asker)
	if asker == "" {
		prefix = nil
	}
	err = t.walk(bucketAsks, prefix, func(k, v []byte) error {
		if q, err := t.askAt(k, v); err == nil { // a bad one is skipped; a verification names it
			list = append(list, q)
		}
		return nil
	})
	sortBy(list, func(q Request) time.Time { return q.CreatedAt })
	return list, err
}

var errNoRoom = errors.New("the limit of pending requests is reached")

// ask makes a request for each act that has none pending, up to the limit of pending
// requests. It returns the new and the pending requests as an [ApprovalError].
func (s *Session) ask(requests []request) error {
	var asked []Request
	errNothing := errors.New("every request was already made")
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
			q, isNew, err := s.askOne(t, r, have, pending+made < maxPending)
			if errors.Is(err, errNoRoom) {
				continue
			}
			if err != nil {
				return err
			}
			if asked = append(asked, q); isNew {
				made++
			}
		}
		switch {
		case len(asked) == 0:
			return errorOf(ErrTooManyRequests, "%s has %d pending requests, and %d is the limit", s.Who(), pending, maxPending)
		case made == 0:
			return errNothing
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

// askOne finds the pending request for an act, or makes one. If the last request for
// the act was denied, a new one needs a reason until that denial expires.
func (s *Session) askOne(t *tx, r request, have []Request, room bool) (q Request, isNew bool, err error) {
	for _, q := range slices.Backward(have) {
		if q.request() != r {
			continue
		}
		if q.Status == Pending {
			return q, false, nil
		}
		if q.Status == Denied && s.v.opts.Reason == "" && t.now.Before(q.ExpiresAt) {
			err := errorOf(ErrDeniedBefore, "the request to %s %s was denied: %s", q.Action, q.Path, q.Denial)
			return q, false, &refusal{err, askEvents[r.action], r.path.String(), "denied"}
		}
		break
	}
	if !room {
		return q, false, errNoRoom
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

// Requests lists the requests for approval, oldest first. The owner gets all of them,
// an agent or a token only its own.
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
		// Fail if a record of a request or of an asker was altered: it could hide a request.
		for _, bucket := range []string{bucketAsks, bucketAgents, bucketTokens} {
			if err := t.allHold(bucket); err != nil {
				return err
			}
		}
		return t.describe(list)
	})
	return list, err
}

// describe adds what a person needs to decide on requests: the asker, and the current
// version of the secret.
func (t *tx) describe(list []Request) error {
	type who struct{ agent, name string }
	askers, current := map[string]who{}, map[tokens.Path]uint64{}
	for i := range list {
		q := &list[i]
		asker, known := askers[q.Asker]
		if !known {
			asker.agent = q.Asker
			if !isAgentID(q.Asker) {
				_, c, err := t.token(q.Asker)
				if err == nil {
					asker.agent = c.Issuer
				} else if !errors.Is(err, ErrNotFound) {
					return err
				}
			}
			if isAgentID(asker.agent) {
				body, err := t.agent(asker.agent)
				if err != nil {
					return err
				}
				asker.name = body.Name
			}
			askers[q.Asker] = asker
		}
		q.Agent, q.Name = asker.agent, asker.name
		version, known := current[q.Path]
		if !known {
			head, err := t.secretHead(q.Path)
			if err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
			if err == nil && head.DeletedAt == nil {
				version = head.Version
			}
			current[q.Path] = version
		}
		q.Current = version
	}
	return nil
}

// clearAsks removes the requests that are too old to be listed, with their decisions
// and uses.
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

// copyAsks copies the pending requests, if the asker and the secret remain. Decisions
// carry keys of age files that no longer exist, so they are not copied: the asker must
// ask again.
func (s *Session) copyAsks(old *tx, w *builder, p *rewritePlan) error {
	alive := map[string]bool{}
	return old.walk(bucketAsks, nil, func(k, v []byte) error {
		asker, _, _ := cutAskKey(k)
		if _, known := alive[asker]; !known { // look up each asker only once
			lives, err := w.t.alive(asker)
			if err != nil && !errors.Is(err, ErrUnknown) {
				return err
			}
			alive[asker] = lives
		}
		if !alive[asker] {
			return nil
		}
		q, err := old.askAt(k, v)
		if err != nil || q.Status != Pending || p.drop[q.Path] {
			return nil
		}
		r, err := parseRecord(v)
		if err != nil {
			return err
		}
		return w.t.put(bucketAsks, k, true, json.RawMessage(bytes.Clone(r.body)))
	})
}

// alive reports whether id is that of an active agent or of a token.
func (t *tx) alive(id string) (bool, error) {
	if isAgentID(id) {
		body, err := t.agent(id)
		return err == nil && body.RevokedAt == nil, err
	}
	v, err := t.get(bucketTokens, []byte(id))
	return v != nil, err
}
