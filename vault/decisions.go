package vault

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/fault"
	"ass/vault/internal/keys"
)

// decisionBody is the record of the owner's decision, under the key of its request.
type decisionBody struct {
	Seq      uint64    `json:"seq"`              // Number of the log entry of the decision.
	Decision string    `json:"decision"`         // Approved or Denied.
	Request  string    `json:"ask"`              // Id of the request, again.
	At       time.Time `json:"at"`               // When the owner decided.
	Exp      time.Time `json:"exp"`              // When the decision lapses.
	Reason   string    `json:"reason,omitempty"` // Why, if it is a denial.
	Key      []byte    `json:"key,omitempty"`    // File key of the version to read, sealed to the requester.
}

func (t *tx) decision(k []byte) (*decisionBody, error) {
	v, err := t.get(bucketDecisions, k)
	if v == nil || err != nil {
		return nil, err
	}
	body, _, err := decisionKind.read(t, k, v)
	if err != nil {
		return nil, err
	}
	return &body, nil
}

// approvedRequests lists the approved requests, oldest first. It walks the decisions, so that
// pending requests cost nothing, however many there are.
func (t *tx) approvedRequests() (list []Request, err error) {
	err = t.walk(bucketDecisions, nil, func(k, _ []byte) error {
		v, err := t.get(bucketRequests, k)
		if v == nil || err != nil {
			return err
		}
		if q, err := t.requestAt(k, v); err == nil && q.Status == Approved { // else a verification names it
			list = append(list, q)
		}
		return nil
	})
	sortRequests(list)
	return list, err
}

// approved finds an approval that the session holds for an act. If there is none, the
// error is a *needsDecision. The session's requests are read only once in a transaction.
func (s *Session) approved(t *tx, r subject) (Request, error) {
	if t.held == nil {
		list, err := t.requestsOf(s.by.id)
		if err != nil {
			return Request{}, err
		}
		t.held = map[subject]Request{}
		for _, q := range slices.Backward(list) { // so that the oldest of several is kept
			if q.Status == Approved && !q.Used {
				t.held[q.subject()] = q
			}
		}
	}
	if q, ok := t.held[r]; ok {
		return q, nil
	}
	return Request{}, &needsDecision{[]subject{r}}
}

func (q Request) subject() subject { return subject{q.Action, q.Path, q.Version, q.Tier} }

// spend marks an approval for a critical secret as used, because it serves only once.
func (t *tx) spend(q Request) error {
	if q.Tier < tokens.Critical {
		return nil
	}
	delete(t.held, q.subject())
	return t.putUses(q.ID, usesBody{Used: 1})
}

// readApproved opens a version with the file key of an approval.
func (s *Session) readApproved(t *tx, p tokens.Path, n uint64, body versionBody) (value []byte, id string, err error) {
	q, err := s.approved(t, subject{RequestRead, p, n, body.Tier})
	if err != nil {
		return nil, "", err
	}
	u, err := uuid.Parse(q.ID)
	if err != nil {
		return nil, "", err
	}
	decision, err := t.decision(requestKey(s.by.id, u))
	if err != nil {
		return nil, "", err
	}
	fileKey, err := keys.Open(s.grantee.Seal, t.Epoch.DecisionContext(u, s.by.id, body.Tier, p, n), decision.Key)
	if err == nil {
		value, err = keys.DecryptWithFileKey(fileKey, body.Sealed)
		clear(fileKey)
	}
	if err != nil {
		return nil, "", decisionKind.damaged(requestKey(s.by.id, u),
			"its key does not open the version that was approved")
	}
	return value, q.ID, t.spend(q)
}

// checkRequester refuses a request of a token that has ended. Whoever had it may have kept its keys.
func (t *tx) checkRequester(q Request) error {
	if isAgentID(q.Requester) {
		return nil // a revoked one has no rights
	}
	body, c, err := t.token(q.Requester)
	if err != nil {
		return err
	}
	info, err := t.tokenInfo(body, c)
	if err == nil && info.State != TokenActive {
		err = fault.New(ErrConflict, "request %s was made by token %s, which is %s", q.ID, q.Requester, info.State).
			Hint("deny it")
	}
	return err
}

// Approve approves requests, all or none. Each must still be as it was shown to the
// owner: pending, by the same asker, for the same act, with the same reason, and its
// secret at the same version. If not, the error is
// [ErrConflict]. The decision about a read carries the file key of the one age file
// that was asked for, sealed to the requester. It opens that version and no later one.
func (s *Session) Approve(shown []Request) error {
	return s.decide(shown, "approve requests", audit.ApprovalGranted, func(t *tx, k []byte, q Request) error {
		decision := decisionBody{Decision: Approved, Request: q.ID, At: t.now, Exp: t.now.Add(ApprovalLifetime)}
		who, err := t.author(t, q.Requester)
		if err != nil || !right(who.scopes, requestActions[q.Action], q.Path) {
			return fault.New(ErrConflict, "request %s asks for more than its requester's scopes cover", q.ID).
				Hint("deny it")
		}
		if err := t.checkRequester(q); err != nil {
			return err
		}
		to, err := s.granteeOf(t, q.Requester)
		if err != nil {
			return err
		}
		if q.Action == RequestCreate && q.Current == 0 {
			return fault.New(ErrConflict, "request %s asks for a secret that is not there yet", q.ID)
		}
		if q.Action == RequestRead {
			if head, err := t.secretHead(q.Path); err == nil && head.checkVersion(q.Path, q.Version) != nil {
				return fault.New(ErrConflict, "request %s asks for version %d, which was deleted with %s", q.ID,
					q.Version, q.Path).
					Hint("deny it")
			}
			if decision.Key, err = s.sealFileKey(t, k, q, to); err != nil {
				return err
			}
		}
		decision.Seq = t.seq()
		if err := decisionKind.put(t, k, decision); err != nil {
			return err
		}
		return t.log(audit.ApprovalGranted, "approval", q.ID, q.logged())
	})
}

// Provide approves a request for a secret that is not there, and stores the secret, a standard
// one. If the secret is there by now, or the request is not as it was shown, the error is
// [ErrConflict].
func (s *Session) Provide(shown Request, value []byte) error {
	if err := CheckSet(value, SetOptions{}); err != nil {
		return err
	}
	return s.decide([]Request{shown}, "approve requests", audit.ApprovalGranted, func(t *tx, k []byte, q Request) error {
		who, err := t.author(t, q.Requester)
		if q.Action != RequestCreate || err != nil || !right(who.scopes, tokens.Read, q.Path) {
			return fault.New(ErrConflict, "request %s asks for no secret that its requester may read", q.ID).
				Hint("deny it")
		}
		if err := t.checkRequester(q); err != nil {
			return err
		}
		if head, err := t.secretHead(q.Path); err == nil && head.Tier > tokens.Standard {
			return fault.New(ErrConflict, "%s was %s when it was deleted, and still is: store it with its tier, and then "+
				"approve the request", q.Path, head.Tier)
		} else if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		none := uint64(0)
		w, err := s.planWrite(t, q.Path, SetOptions{IfVersion: &none})
		if err != nil {
			return err
		}
		if _, err := s.write(t, q.Path, w, value); err != nil {
			return err
		}
		decision := decisionBody{Decision: Approved, Request: q.ID, At: t.now, Exp: t.now.Add(ApprovalLifetime), Seq: t.seq()}
		if err := decisionKind.put(t, k, decision); err != nil {
			return err
		}
		return t.log(audit.ApprovalGranted, "approval", q.ID, q.logged())
	})
}

func (s *Session) sealFileKey(t *tx, k []byte, q Request, to keys.Grantee) ([]byte, error) {
	body, _, err := versionKind.get(t, versionKey(q.Path, q.Version))
	if err != nil {
		return nil, err
	}
	if body.Tier != q.Tier {
		return nil, fault.New(ErrConflict, "%s is now %s, but request %s was made when it was %s", q.Path, body.Tier,
			q.ID, q.Tier).
			Hint("the agent must ask again")
	}
	id, err := s.ring.Identity(t.Epoch, body.Tier, q.Path, q.Version, body.Recipient)
	if err != nil {
		return nil, err
	}
	fileKey, err := keys.FileKey(id, body.Sealed)
	if err != nil {
		return nil, versionKind.damaged(versionKey(q.Path, q.Version),
			"it does not decrypt: it was modified or moved")
	}
	defer clear(fileKey)
	_, request, _ := cutRequestKey(k)
	return keys.Seal(to.Seal, t.Epoch.DecisionContext(request, q.Requester, q.Tier, q.Path, q.Version), fileKey)
}

// renewDecisions puts the new file key of a resealed version into its approvals.
func (s *Session) renewDecisions(t *tx, approvals []Request) error {
	for _, q := range approvals {
		k, err := q.key()
		if err != nil {
			return err
		}
		decision, err := t.decision(k)
		if err != nil {
			return err
		}
		to, err := s.granteeOf(t, q.Requester)
		if err != nil {
			return err
		}
		if decision.Key, err = s.sealFileKey(t, k, q, to); err != nil {
			return err
		}
		if err := decisionKind.put(t, k, *decision); err != nil {
			return err
		}
	}
	return nil
}

// Deny denies requests, all or none. The requester is shown the reason. If a request is no
// longer pending, or is not as it was shown, the error is [ErrConflict].
func (s *Session) Deny(shown []Request, reason string) error {
	if reason == "" || len(reason) > maxTextBytes {
		return &tokens.SyntaxError{What: "reason", Problem: fmt.Sprintf("it must have 1 to %d bytes", maxTextBytes)}
	}
	return s.decide(shown, "deny requests", audit.ApprovalDenied, func(t *tx, k []byte, q Request) error {
		decision := decisionBody{Seq: t.seq(), Decision: Denied, Request: q.ID, At: t.now, Exp: q.ExpiresAt, Reason: reason}
		if err := decisionKind.put(t, k, decision); err != nil {
			return err
		}
		note := q.logged()
		note["denial"] = reason
		return t.log(audit.ApprovalDenied, "approval", q.ID, note)
	})
}

// asks reports whether a request is by the same asker, for the same, as another one says.
func (q Request) asks(other Request) bool {
	return q.Requester == other.Requester && q.Agent == other.Agent && q.Name == other.Name && q.subject() == other.subject()
}

// decide re-reads each request in the transaction that decides it, and compares all of it with
// what was shown: a person may have been shown something else than the record says. So a second
// decision about a request fails, and so does a decision about a version that is no longer the
// current one.
func (s *Session) decide(shown []Request, what, event string, decision func(t *tx, k []byte, q Request) error) error {
	if err := s.mayOnlyOwner(what, event, s.by.id); err != nil {
		return err
	}
	return s.update(func(t *tx) error {
		for _, was := range shown {
			k, err := was.key()
			if err != nil {
				return err
			}
			v, err := t.get(bucketRequests, k)
			if err != nil {
				return err
			}
			if v == nil {
				return fault.New(ErrUnknown, "no request %s", was.ID)
			}
			q, err := t.requestAt(k, v)
			if err == nil {
				now := []Request{q}
				err = errors.Join(t.describe(now), s.laterReasons(t, now))
				q = now[0]
			}
			if event == audit.ApprovalGranted && err == nil {
				err = q.Doubt
			}
			switch {
			case err != nil:
				return err
			case q.Ahead:
				return fault.New(ErrConflict, "request %s is dated %s, ahead of this machine's clock, so it does not count: if the "+
					"clock is right, its requester must ask again", q.ID, q.CreatedAt.Format(time.RFC3339))
			case q.Status != Pending:
				return fault.New(ErrConflict, "request %s is not pending: it is %s", q.ID, q.Status)
			case q.Current != was.Current:
				return fault.New(ErrConflict, "%s changed from %s to %s after request %s was shown", q.Path,
					versionName(was.Current), versionName(q.Current), q.ID).
					Hint("review it again")
			}
			if q.Reason != was.Reason {
				return fault.New(ErrConflict, "a reason was added to request %s after it was shown", q.ID).
					Hint("review it again")
			}
			if !q.asks(was) {
				return fault.New(ErrConflict, "request %s is not what was shown", q.ID).
					Hint("review it again")
			}
			if err := decision(t, k, q); err != nil {
				return err
			}
		}
		return nil
	})
}
