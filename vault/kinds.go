package vault

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/fault"
	"ass/vault/internal/keys"
)

// The kinds of records. A new kind gets a line here, and a check in a verification.
var (
	recipientKind = kind[recipientBody]{rules: &rules{
		bucket: bucketRecipients, signed: true, authors: owners,
		name: func(k []byte) string { return fmt.Sprintf("published recipient %x", k) },
	}, data: func(body *recipientBody) *[]byte { return &body.Pub }}
	secretKind = kind[secretBody]{&rules{
		bucket: bucketSecrets, signed: true,
		name: func(k []byte) string { return fmt.Sprintf("%q", k) },
	}, func(who signer, k []byte, _ string, head secretBody) bool {
		p, err := tokens.ParsePath(string(k))
		return err == nil && right(who.scopes, head.action(), p)
	}, func(_ string, head secretBody) string {
		if !head.Tier.Valid() { // JSON allows it, but such a secret has no key
			return "it has no tier"
		}
		if max(head.Version, head.Last) > maxVersion {
			return "it counts more versions than any secret has"
		}
		if head.DeletedTo > 0 && head.DeletedTo >= head.Version { // nobody deletes what is not stored yet
			return "it says that its current version was deleted before it was stored"
		}
		return ""
	}, nil}
	versionKind = kind[versionBody]{&rules{
		bucket: bucketVersions, signed: true, name: versionRecordName,
	}, func(who signer, k []byte, _ string, _ versionBody) bool {
		text, _, _ := cutVersionKey(k)
		p, err := tokens.ParsePath(text)
		return err == nil && right(who.scopes, tokens.Write, p)
	}, func(by string, body versionBody) string {
		if of := cmp.Or(body.Author, by); by != audit.Owner && of != by { // the owner alone signs the values of others
			return fmt.Sprintf("%q wrote it and names %q as its author", audit.Short(by), audit.Short(of))
		}
		if by != audit.Owner && body.Origin != nil {
			return fmt.Sprintf("%q wrote it and says that it came from elsewhere", audit.Short(by))
		}
		return ""
	}, func(body *versionBody) *[]byte { return &body.Sealed }}
	resealKind = kind[resealBody]{rules: &rules{bucket: bucketReseal}}
	agentKind  = kind[agentBody]{rules: &rules{bucket: bucketAgents, signed: true, authors: owners}}
	grantKind  = kind[grantBody]{rules: &rules{
		bucket: bucketGrants,
		name:   func(k []byte) string { return fmt.Sprintf("grant %x", k) },
	}, data: func(body *grantBody) *[]byte { return &body.Sealed }}
	tokenKind = kind[tokenBody]{&rules{
		bucket: bucketTokens, signed: true,
		authors: func(by string) bool { return by == audit.Owner || isAgentID(by) },
	}, func(signer, []byte, string, tokenBody) bool {
		return true // readers of the claims check that the author is the issuer
	}, nil, nil}
	useKind     = kind[usesBody]{rules: &rules{bucket: bucketUses}}
	requestKind = kind[requestBody]{&rules{
		bucket: bucketRequests, signed: true, name: requestName("request"),
	}, func(_ signer, k []byte, by string, _ requestBody) bool {
		requester, _, ok := cutRequestKey(k)
		return ok && requester == by
	}, nil, nil}
	decisionKind = kind[decisionBody]{rules: &rules{
		bucket: bucketDecisions, signed: true, authors: owners, name: requestName("answer to request"),
	}}
)

// tierKind has no check of its own author: only the owner may.
var tierKind = kind[tierBody]{rules: &rules{
	bucket: bucketTiers, signed: true, authors: owners, since: keys.Format2,
	name: func(k []byte) string { return fmt.Sprintf("statement of the tier of %q", k) },
}}

// allRules are the rules of every kind, in the order in which a verification reads them.
var allRules = []*rules{
	recipientKind.rules, secretKind.rules, versionKind.rules, resealKind.rules, agentKind.rules,
	grantKind.rules, tokenKind.rules, useKind.rules, requestKind.rules, decisionKind.rules, tierKind.rules,
}

func owners(by string) bool { return by == audit.Owner }

// right reports whether scopes give the right to an act on a secret. It is the one rule of
// who may write what: for records, for entries of the log, and for ass explain.
func right(scopes tokens.Scopes, a tokens.Action, p tokens.Path) bool {
	return a != 0 && scopes.Allow(a, p)
}

// rules are what holds for the records of one kind, whatever is in them.
type rules struct {
	bucket  string
	signed  bool                  // whether the author signs; if not, a MAC is all
	authors func(by string) bool  // who may sign any record of the kind; nil for everybody
	since   int                   // the first format that has the bucket; 0 for every format
	name    func(k []byte) string // the name of a record for messages; nil for bucket/key
}

// kind is one kind of record. B is the body of its records.
type kind[B any] struct {
	*rules

	// may reports whether an author other than the owner may write the record at k. If it
	// is nil, only the owner may.
	may func(who signer, k []byte, by string, body B) bool

	// flaw returns what no honest body has; "" for nothing. It may be nil.
	flaw func(by string, body B) string

	// data is the field that is stored raw, beside the body, from format 2 on; nil if the kind has none. In format 1
	// it is in the body.
	data func(body *B) *[]byte
}

// rulesOf returns the rules of a bucket of records.
func rulesOf(bucket string) *rules {
	for _, r := range allRules {
		if r.bucket == bucket {
			return r
		}
	}
	return &rules{bucket: bucket}
}

// recordName returns the name of a record for messages.
func (r *rules) recordName(k []byte) string {
	if r.name != nil {
		return r.name(k)
	}
	return fmt.Sprintf("%s/%q", r.bucket, k)
}

// damaged returns an error about the record at k.
func (r *rules) damaged(k []byte, format string, args ...any) error {
	return fault.Damaged(r.recordName(k), format, args...)
}

func versionRecordName(k []byte) string {
	if path, version, ok := cutVersionKey(k); ok {
		return fmt.Sprintf("%s version %d", path, version)
	}
	return fmt.Sprintf("%s/%q", bucketVersions, k)
}

func requestName(what string) func(k []byte) string {
	return func(k []byte) string {
		if requester, id, ok := cutRequestKey(k); ok {
			return fmt.Sprintf("%s %s of %q", what, id, requester)
		}
		return fmt.Sprintf("%s %q", what, k)
	}
}

// newStored makes a record with by as its author. The body is the caller's again afterwards.
func (kd kind[B]) newStored(h *hasher, by actor, k []byte, body *B) (*stored, error) {
	var data []byte
	if kd.data != nil && h.Format >= keys.Format2 {
		field := kd.data(body)
		data, *field = *field, nil
		defer func() { *field = data }()
	}
	b, err := marshalBody(body)
	if err != nil {
		return nil, err
	}
	made := h.newStored(by, kd.bucket, k, kd.signed, b, data)
	made.counts = standingOf(body)
	return made, nil
}

// put writes a record of the transaction's actor.
func (kd kind[B]) put(t *tx, k []byte, body B) error {
	r, err := kd.newStored(t.hasher, t.by, k, &body)
	if err != nil {
		return err
	}
	return t.place(r)
}

// putBody is put with the body of another record, as it is stored.
func (kd kind[B]) putBody(t *tx, k []byte, of record) error {
	return t.place(t.newStored(t.by, kd.bucket, k, kd.signed, bytes.Clone(of.body), bytes.Clone(of.data)))
}

// remove deletes a record, if it exists.
func (kd kind[B]) remove(t *tx, k []byte) error { return t.remove(kd.bucket, k) }

// decode checks the form and the MAC of stored bytes and decodes their body. It believes
// whoever is a member of the epoch; see check. The record aliases v.
func (kd kind[B]) decode(h *hasher, k, v []byte) (body B, r record, err error) {
	r, err = kd.decodeInto(&body, h, k, v)
	return body, r, err
}

// decodeInto is decode into a body that is zero.
func (kd kind[B]) decodeInto(body *B, h *hasher, k, v []byte) (r record, err error) {
	if r, err = h.decode(kd.bucket, k, v, body); err == nil {
		err = kd.fill(body, k, r)
	}
	return r, err
}

// fill puts what a record stores raw into its body.
func (kd kind[B]) fill(body *B, k []byte, r record) error {
	switch {
	case r.format < keys.Format2:
		return nil
	case kd.data == nil && len(r.data) > 0, kd.data != nil && *kd.data(body) != nil:
		return kd.damaged(k, "it is not a record")
	case kd.data != nil:
		*kd.data(body) = bytes.Clone(r.data) // r lies in a page of the file
	}
	return nil
}

// check is decode, and checks the signature and that who, the author, may write the record.
func (kd kind[B]) check(h *hasher, who signer, k, v []byte) (body B, r record, err error) {
	r, err = kd.checkInto(&body, h, who, k, v)
	return body, r, err
}

// checkInto is check into a body that is zero.
func (kd kind[B]) checkInto(body *B, h *hasher, who signer, k, v []byte) (r record, err error) {
	if r, err = kd.decodeInto(body, h, k, v); err != nil || !kd.signed {
		return r, err
	}
	may := who.err == nil && (who.owner || kd.may != nil && kd.may(who, k, r.by, *body))
	if err = kd.checkAuthor(h, who, may, k, &r); err == nil && kd.flaw != nil {
		err = kd.flawed(k, kd.flaw(r.by, *body))
	}
	return r, err
}

// checkAuthor checks the signature of a record. may says whether its author may write it.
func (r *rules) checkAuthor(h *hasher, who signer, may bool, k []byte, is *record) error {
	switch {
	case errors.Is(who.err, errNoRight), who.err == nil && !may:
		return r.damaged(k, "its author %q has no right to write it", audit.Short(is.by))
	case who.err != nil:
		return r.damaged(k, "its author %q is unknown", audit.Short(is.by))
	case !h.checkSignature(who, r.bucket, k, is):
		return r.damaged(k, "invalid signature for author %q", audit.Short(is.by))
	}
	return nil
}

// flawed returns an error about a flaw of a record, unless it is "".
func (r *rules) flawed(k []byte, flaw string) error {
	if flaw == "" {
		return nil
	}
	return r.damaged(k, "%s", flaw)
}

// read is check for stored bytes whose author t looks up.
func (kd kind[B]) read(t *tx, k, v []byte) (body B, r record, err error) {
	var who signer
	if kd.signed {
		who = t.signer(kd.rules, authorIn(v))
	}
	r, err = kd.checkInto(&body, t.hasher, who, k, v)
	return body, r, err
}

// get reads the record at k and checks it. If there is none, the error is [ErrNotFound].
func (kd kind[B]) get(t *tx, k []byte) (body B, r record, err error) {
	v, err := t.stored(kd.bucket, k)
	if err != nil {
		return body, r, err
	}
	return kd.read(t, k, v)
}

// each calls fn for every record whose key begins with prefix, in order. It checks MACs
// alone, and stops at the first record that is damaged. k and r are valid until fn returns.
func (kd kind[B]) each(t *tx, prefix []byte, fn func(k []byte, body B, r record) error) error {
	body, none := new(B), *new(B) // one allocation for all
	return t.walk(kd.bucket, prefix, func(k, v []byte) error {
		*body = none
		r, err := kd.decodeInto(body, t.hasher, k, v)
		if err != nil {
			return err
		}
		return fn(k, *body, r)
	})
}

// eachValid calls fn for every record that passes its checks. It skips the others, so that
// one of them cannot block all. A verification names those.
func (kd kind[B]) eachValid(t *tx, prefix []byte, fn func(k []byte, body B, r record) error) error {
	return t.walk(kd.bucket, prefix, func(k, v []byte) error {
		body, r, err := kd.read(t, k, v)
		if err != nil {
			return nil
		}
		return fn(k, body, r)
	})
}
