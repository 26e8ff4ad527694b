package vault

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/fault"
)

// Some acts of an agent or a token need a human's approval. For each, the agent or
// token makes a request in its own name. The human's decisions are in decisions.go.

// How long requests live.
const (
	RequestLifetime  = 24 * time.Hour     // of a request without a decision
	ApprovalLifetime = time.Hour          // of an approval
	requestKept      = 7 * 24 * time.Hour // how long a request is listed
)

// maxPending is how many requests of one requester can be pending.
const maxPending = 20

// What a request asks for.
const (
	RequestRead   = "read"
	RequestWrite  = "write"  // to write a critical secret
	RequestDelete = "delete" // to delete a critical secret
	RequestCreate = "create" // that a human stores a secret that is not there, for the requester to read
)

var requestActions = map[string]tokens.Action{RequestRead: tokens.Read, RequestWrite: tokens.Write,
	RequestDelete: tokens.Delete, RequestCreate: tokens.Read}

// requestEvents gives the log's event for each action that a request can ask for.
var requestEvents = map[string]string{RequestRead: audit.SecretRead, RequestWrite: audit.SecretUpdated,
	RequestDelete: audit.SecretDeleted, RequestCreate: audit.SecretCreated}

// requestBody is a request, signed by the requester. Its id is a hash of these bytes, so a
// request cannot change after a person has seen its id.
type requestBody struct {
	Seq       uint64      `json:"seq"`     // Number of the log entry of the request.
	Action    string      `json:"action"`  // RequestRead, RequestWrite, RequestDelete or RequestCreate.
	Path      string      `json:"path"`    // Path of the secret.
	Version   uint64      `json:"version"` // Version that was current or asked for.
	Tier      tokens.Tier `json:"tier"`    // Tier of the secret then.
	Requester string      `json:"asker"`   // Id of the agent or token.
	Reason    string      `json:"reason"`  // Why, in the words of the requester; it may be empty.
	IssueAt   time.Time   `json:"iat"`     // When it was made.
	Nonce     []byte      `json:"nonce"`   // 16 random bytes, so that no two requests have one id.
}

// States of a request.
const (
	Pending  = "pending"
	Approved = "approved"
	Denied   = "denied"
	Expired  = "expired"
)

// requestID hashes a request: a UUID of version 8 (RFC 9562).
func requestID(body []byte) uuid.UUID {
	sum := sha256.Sum256(body)
	id := uuid.UUID(sum[:16])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// requestKey is requester ‖ 0 ‖ id, so the requests of one requester lie together.
func requestKey(requester string, id uuid.UUID) []byte {
	return append(requestPrefix(requester), id[:]...)
}

func requestPrefix(requester string) []byte { return append([]byte(requester), 0) }

func cutRequestKey(k []byte) (requester string, id uuid.UUID, ok bool) {
	cut := len(k) - 17
	if cut < 1 || k[cut] != 0 {
		return "", id, false
	}
	return string(k[:cut]), uuid.UUID(k[cut+1:]), true
}

// subject is what a request is about: an act that needs a human's approval.
type subject struct {
	action  string
	path    tokens.Path
	version uint64
	tier    tokens.Tier
}

// needsDecision ends an act that needs approval. Nothing of the act is kept; instead, its
// requests are made.
type needsDecision struct{ subjects []subject }

func (*needsDecision) Error() string { return "approval is required" }

// takes adds the subjects of an error that asks for a decision. It reports whether the error is one.
func (n *needsDecision) takes(err error) bool {
	var one *needsDecision
	if !errors.As(err, &one) {
		return false
	}
	n.subjects = append(n.subjects, one.subjects...)
	return true
}

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

// AboveError says that an act needs the owner: it would need a human's approval, and the session makes no requests. It
// wraps [ErrAbove].
type AboveError struct {
	Action string
	Path   tokens.Path
	Tier   tokens.Tier
	More   int // secrets besides that one
}

func (e *AboveError) Error() string {
	more := ""
	if e.More > 0 {
		more = fmt.Sprintf(" (and %d more)", e.More)
	}
	return fmt.Sprintf("to %s %s (%s)%s takes the owner's key", e.Action, e.Path, e.Tier, more)
}

func (e *AboveError) Unwrap() error { return ErrAbove }

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
	ID        string
	Requester string // id of the agent or token
	Agent     string // id of the agent: the requester, or the token's issuer, which can be "owner"
	Name      string // of that agent
	Action    string
	Path      tokens.Path
	Version   uint64
	Tier      tokens.Tier
	Reason    string
	Status    string
	Denial    string // the reason for a denial
	Used      bool   // its one use is spent
	Ahead     bool   // it is dated ahead of the clock, and so counts as expired

	seq uint64 // number of its log entry

	CreatedAt time.Time
	ExpiresAt time.Time  // of the request, or of the approval
	DecidedAt *time.Time // nil while it is pending

	// Current is the current version of the secret, 0 if there is no such secret. A
	// decision is valid for the version that was shown: see [Session.Approve].
	Current uint64

	// Doubt is what is damaged of what the request is about: the secret, or whoever asks. Such a request
	// cannot be approved. It is nil if nothing is.
	Doubt error
}

// key returns the key of the request. The decision has the same key in its own bucket.
func (q Request) key() ([]byte, error) {
	id, err := uuid.Parse(q.ID)
	return requestKey(q.Requester, id), err
}

// requestAt reads one request and its decision.
func (t *tx) requestAt(k, v []byte) (Request, error) {
	body, r, err := requestKind.read(t, k, v)
	if err != nil {
		return Request{}, err
	}
	requester, id, _ := cutRequestKey(k)
	p, perr := tokens.ParsePath(body.Path)
	if requester != body.Requester || id != requestID(r.body) || perr != nil {
		return Request{}, requestKind.damaged(k, "its id does not match its content")
	}
	if requestActions[body.Action] == 0 || len(body.Reason) > maxTextBytes { // a person has to read it
		return Request{}, requestKind.damaged(k, "it is not a valid request")
	}
	q := Request{
		ID: id.String(), Requester: requester, Agent: requester, Action: body.Action, Path: p, Version: body.Version,
		Tier: body.Tier, seq: body.Seq,
		Reason: body.Reason, CreatedAt: body.IssueAt, ExpiresAt: body.IssueAt.Add(RequestLifetime), Status: Pending,
	}
	decision, err := t.decision(k)
	switch {
	case err != nil:
		return q, err
	case decision == nil && !t.now.Before(q.ExpiresAt):
		q.Status = Expired
	case decision == nil && IsAhead(q.CreatedAt, t.now): // else it would wait for as long as it likes
		q.Status, q.Ahead = Expired, true
	case decision == nil:
	case decision.Decision == Approved:
		q.Status, q.ExpiresAt, q.DecidedAt = Approved, decision.Exp, &decision.At
		if !t.now.Before(decision.Exp) {
			q.Status = Expired
		}
		used, err := t.usesOf(q.ID)
		if err != nil {
			return q, err
		}
		q.Used = used.Used > 0
	default:
		q.Status, q.ExpiresAt, q.DecidedAt, q.Denial = Denied, decision.Exp, &decision.At, decision.Reason
	}
	return q, nil
}

// requestsOf lists the requests of one requester, or of all requesters if requester is "".
func (t *tx) requestsOf(requester string) (list []Request, err error) {
	prefix := requestPrefix(requester)
	if requester == "" {
		prefix = nil
	}
	err = t.walk(bucketRequests, prefix, func(k, v []byte) error {
		if q, err := t.requestAt(k, v); err == nil { // a bad one is skipped; a verification names it
			list = append(list, q)
		}
		return nil
	})
	sortRequests(list)
	return list, err
}

// sortRequests sorts requests, the oldest first, by the log where two have one time.
func sortRequests(list []Request) {
	sortList(list, func(a, b Request) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.seq, b.seq))
	})
}

// Ask requests that a human stores a secret that is not there. It needs the right to read the
// secret, and counts as no use. If the secret is there, the error is [ErrThere].
func (s *Session) Ask(p tokens.Path) (Request, error) {
	if s.isOwner() {
		return Request{}, fault.New(ErrConflict, "the owner needs to ask nobody for %s", p)
	}
	err := s.update(func(t *tx) error {
		if err := s.authorize(t, tokens.Read, audit.SecretCreated, p); err != nil {
			return err
		}
		head, err := t.secretHead(p)
		if err == nil && head.DeletedAt == nil {
			return fault.New(ErrThere, "%s is there already", p)
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		return &needsDecision{[]subject{{RequestCreate, p, 0, tokens.Standard}}}
	})
	var asked *ApprovalError
	if !errors.As(err, &asked) || len(asked.Requests) != 1 {
		return Request{}, err
	}
	list := asked.Requests
	err = s.view(func(t *tx) error { return t.describe(list) })
	return list[0], err
}

var errNoRoom = errors.New("the limit of pending requests is reached")

// request makes a request for each act that has none pending, up to the limit of pending
// requests. It returns the new and the pending requests as an [ApprovalError].
func (s *Session) request(requests []subject) error {
	var requested []Request
	errNothing := errors.New("every request was already made")
	err := s.commit(func(t *tx) error {
		have, err := t.requestsOf(s.by.id)
		if err == nil && s.v.opts.Reason != "" {
			err = s.laterReasons(t, have)
		}
		if err != nil {
			return err
		}
		made, reasons, pending := 0, 0, 0
		for _, q := range have {
			if q.Status == Pending {
				pending++
			}
		}
		for _, r := range requests {
			q, isNew, err := s.requestOne(t, r, have, pending+made < maxPending)
			if errors.Is(err, errNoRoom) {
				continue
			}
			if err != nil {
				return err
			}
			if isNew {
				made++
			} else if added, err := s.addReason(t, &q); err != nil {
				return err
			} else if added {
				reasons++
			}
			requested = append(requested, q)
		}
		switch {
		case len(requested) == 0:
			return fault.New(ErrTooManyRequests, "%s has %d pending requests, and %d is the limit", s.Who(), pending, maxPending)
		case made+reasons == 0:
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
	return &ApprovalError{requested}
}

// requestOne finds the pending request for an act, or makes one. If the last request for
// the act was denied, a new one needs a reason until that denial expires.
func (s *Session) requestOne(t *tx, r subject, have []Request, room bool) (q Request, isNew bool, err error) {
	for _, q := range slices.Backward(have) {
		if q.subject() != r || q.Ahead {
			continue
		}
		if q.Status == Pending {
			return q, false, nil
		}
		if q.Status == Denied && s.v.opts.Reason == "" && t.now.Before(q.ExpiresAt) {
			err := fault.New(ErrDeniedBefore, "the request to %s %s was denied: %s", q.Action, q.Path, q.Denial)
			return q, false, &refusal{err, requestEvents[r.action], r.path.String(), "denied"}
		}
		break
	}
	if !room {
		return q, false, errNoRoom
	}
	body := requestBody{
		Seq: t.seq(), Action: r.action, Path: r.path.String(), Version: r.version, Tier: r.tier,
		Requester: s.by.id, Reason: s.v.opts.Reason, IssueAt: t.now, Nonce: t.random(16),
	}
	if err := checkReason(body.Reason); err != nil {
		return q, false, err
	}
	b, err := json.Marshal(body)
	if err != nil {
		return q, false, err
	}
	id := requestID(b)
	if err := requestKind.put(t, requestKey(s.by.id, id), body); err != nil {
		return q, false, err
	}
	t.lapsesAt(t.now.Add(requestKept))
	q = Request{
		ID: id.String(), Requester: s.by.id, Agent: s.grantee.agent, Action: r.action, Path: r.path, Version: r.version,
		seq:    body.Seq,
		Tier:   r.tier,
		Reason: body.Reason, Status: Pending, CreatedAt: t.now, ExpiresAt: t.now.Add(RequestLifetime),
	}
	return q, true, t.log(audit.ApprovalRequested, "approval", q.ID, q.logged())
}

func checkReason(text string) error {
	if len(text) > maxTextBytes {
		return &tokens.SyntaxError{What: "reason", Problem: fmt.Sprintf("it is longer than %d bytes", maxTextBytes)}
	}
	return nil
}

// addReason gives a pending request the reason of this act, if it has none. The request is
// signed and its id is a hash of it, so the reason is an entry of its own in the log.
func (s *Session) addReason(t *tx, q *Request) (added bool, err error) {
	if q.Reason != "" || s.v.opts.Reason == "" {
		return false, nil
	}
	if err := checkReason(s.v.opts.Reason); err != nil {
		return false, err
	}
	q.Reason = s.v.opts.Reason
	return true, t.log(audit.ApprovalReason, "approval", q.ID, q.logged())
}

// laterReasons fills in the reasons that came later than their requests. It looks at the log from
// the oldest request without a reason on, and takes what the requester, or the owner in its place,
// has signed: everybody who may write the file could put another text there.
func (s *Session) laterReasons(t *tx, list []Request) error {
	want, from := map[string]*Request{}, uint64(0)
	for i, q := range list {
		if q.Reason == "" {
			want[q.ID] = &list[i]
			if from == 0 || q.seq < from {
				from = q.seq
			}
		}
	}
	if len(want) == 0 || from == 0 {
		return nil
	}
	var prev [audit.MACSize]byte
	// A walk, and no count to the last number: an insider may have given the last entry a huge one.
	return t.b.WalkFrom(bucketAudit, audit.Key(from), nil, func(k, value []byte) error {
		seq := audit.Seq(k)
		e, err := audit.Parse(value)
		if err != nil {
			return nil // damaged; a verification names it
		}
		before := prev
		if prev = e.MAC; seq == from || !bytes.Contains(e.Body, []byte(audit.ApprovalReason)) {
			return nil
		}
		ev, err := e.Event()
		if err != nil || ev.Type != audit.ApprovalReason {
			return nil
		}
		q, text := want[ev.ResourceID], ""
		if reason, ok := ev.Metadata["reason"].(string); ok {
			text = reason
		}
		asker, _ := ev.Metadata["asker"].(string)
		if q == nil || q.Reason != "" || q.Requester != asker || asker != e.By && e.By != audit.Owner ||
			len(text) > maxTextBytes {
			return nil
		}
		who, err := s.author(t, e.By)
		if err != nil {
			return nil
		}
		for n := t.Epoch.N; n > 0 && q.Reason == ""; n-- { // a rewrite begins another epoch
			if e.IsSignedBy(who.pub, s.logPlace(e, n), seq, before) {
				q.Reason = text
			}
		}
		return nil
	})
}

// reasonsIn returns the reasons that came later, by the ids of their requests.
func (s *Session) reasonsIn(t *tx) (map[string]Request, error) {
	list, err := t.requestsOf("")
	if err != nil {
		return nil, err
	}
	later := map[string]Request{}
	for _, q := range list {
		if q.Reason == "" {
			later[q.ID] = q
		}
	}
	err = s.laterReasons(t, list)
	for _, q := range list {
		if _, without := later[q.ID]; without && q.Reason != "" {
			later[q.ID] = q
		}
	}
	maps.DeleteFunc(later, func(_ string, q Request) bool { return q.Reason == "" })
	return later, err
}

// keepReasons logs, in the owner's name, the reasons that the log does not vouch for any more: the
// requester has another key now, or the entry was archived. before is what reasonsIn returned.
func (s *Session) keepReasons(t *tx, before map[string]Request) error {
	if len(before) == 0 {
		return nil
	}
	now, err := s.reasonsIn(t)
	if err != nil {
		return err
	}
	list, err := t.requestsOf("")
	for _, q := range list {
		was, had := before[q.ID]
		if _, has := now[q.ID]; !had || has || err != nil {
			continue
		}
		err = t.log(audit.ApprovalReason, "approval", q.ID, was.logged())
	}
	return err
}

func (q Request) logged() map[string]any {
	m := map[string]any{"action": q.Action, "path": q.Path.String(), "version": q.Version, "tier": q.Tier,
		"asker": q.Requester}
	if q.Reason != "" {
		m["reason"] = q.Reason
	}
	return m
}

// Requests lists the requests for approval, oldest first. The owner gets all of them,
// an agent or a token only its own. It leaves out records that were altered, so that one of them cannot
// hide the others; [Session.Unlisted] names them.
func (s *Session) Requests() ([]Request, error) {
	var list []Request
	requester := s.by.id
	if s.isOwner() {
		requester = ""
	}
	err := s.view(func(t *tx) (err error) {
		if list, err = t.requestsOf(requester); err != nil {
			return err
		}
		if err := s.laterReasons(t, list); err != nil {
			return err
		}
		return t.describe(list)
	})
	return list, err
}

// describe adds what a person needs to decide on requests: the requester, and the current
// version of the secret. A damaged record becomes the doubt of the requests that are about it.
func (t *tx) describe(list []Request) error {
	type who struct {
		agent, name string
		doubt       error
	}
	type what struct {
		version uint64
		doubt   error
	}
	requesters, secrets := map[string]who{}, map[tokens.Path]what{}
	for i := range list {
		q := &list[i]
		from, known := requesters[q.Requester]
		if !known {
			from.agent, from.name, from.doubt = t.requester(q.Requester)
			requesters[q.Requester] = from
		}
		about, known := secrets[q.Path]
		if !known {
			head, err := t.secretHead(q.Path)
			if err == nil && head.DeletedAt == nil {
				about.version = head.Version
			}
			if !errors.Is(err, ErrNotFound) {
				about.doubt = err
			}
			secrets[q.Path] = about
		}
		q.Agent, q.Name, q.Current = from.agent, from.name, about.version
		if q.Doubt = errors.Join(from.doubt, about.doubt); q.Doubt != nil && !errors.Is(q.Doubt, ErrDamaged) {
			return q.Doubt
		}
	}
	return nil
}

// requester returns the agent that made a request, or for whose token it was made, and its name.
func (t *tx) requester(id string) (agent, name string, err error) {
	agent = id
	if !isAgentID(id) {
		_, c, err := t.token(id)
		if err == nil {
			agent = c.Issuer
		} else if !errors.Is(err, ErrNotFound) {
			return agent, "", err
		}
	}
	if isAgentID(agent) {
		body, err := t.agent(agent)
		return agent, body.Name, err
	}
	return agent, "", nil
}

// clearRequests removes the requests that are too old to be listed, with their decisions
// and uses.
func (t *tx) clearRequests() error {
	var old [][]byte
	err := t.walk(bucketRequests, nil, func(k, v []byte) error {
		body, _, err := requestKind.decode(t.hasher, k, v)
		if err != nil {
			return nil
		}
		gone := body.IssueAt.Add(requestKept)
		far := body.IssueAt.After(t.now.Add(requestKept)) // no honest clock is that wrong
		if t.now.Before(gone) && !far {
			t.lapsesAt(gone)
		} else {
			old = append(old, bytes.Clone(k))
		}
		return nil
	})
	if err != nil || len(old) == 0 {
		return err
	}
	for _, k := range old {
		_, id, _ := cutRequestKey(k)
		for bucket, k := range map[string][]byte{bucketRequests: k, bucketDecisions: k, bucketUses: []byte(id.String())} {
			if err := t.remove(bucket, k); err != nil {
				return err
			}
		}
	}
	return t.log(audit.ApprovalCleanup, "approval", "", map[string]any{"requests": len(old)})
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
