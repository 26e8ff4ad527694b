package vault

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/fault"
	"ass/vault/internal/keys"
)

// MaxValueBytes is the size of the largest allowed value. A value may be empty.
const MaxValueBytes = 1 << 20

// Types lists the types that a secret can have. They serve display and
// filtering, and never decide who has access.
var Types = []string{"api_key", "oauth_token", "db_credential", "ssh_key", "certificate", "custom"}

// DefaultType is the type of a secret that was stored without a type.
const DefaultType = "custom"

// maxVersion is more than the number of versions of any secret, and a number that JSON keeps. A higher one comes from
// somebody who wants it to overflow.
const maxVersion = 1 << 52

// secretBody is the head of a secret: one record in the bucket secrets, keyed by
// its path. The bucket versions holds its values.
type secretBody struct {
	Seq       uint64      `json:"seq"`                  // Number of the log entry of its last change.
	ID        string      `json:"id"`                   // A UUID; a salvage without the head makes another.
	Version   uint64      `json:"version"`              // Number of the current version.
	Tier      tokens.Tier `json:"tier"`                 // Tier of the secret; see tierOf.
	Type      string      `json:"type"`                 // What it is used for; one of [Types].
	CreatedAt time.Time   `json:"created_at"`           // When it was created, or salvaged without its head.
	UpdatedAt time.Time   `json:"updated_at"`           // When an act last changed the secret.
	DeletedAt *time.Time  `json:"deleted_at,omitempty"` // When it was deleted; nil if it is not.

	// The versions up to this number were there when the secret was deleted. A value was stored
	// since, which made none of them readable. 0 for none.
	DeletedTo uint64 `json:"deleted_to,omitempty"`

	// The highest number that a version ever had, if a restore brought an earlier one back. The next version gets the
	// number after it, because no number comes twice. 0 for none; format 1 has none.
	Last uint64 `json:"last,omitempty"`

	About *About `json:"about,omitempty"` // What people say of it; nil for nothing.
}

// versionBody is one value of a secret, keyed by path ‖ 0 ‖ u64 version.
type versionBody struct {
	Seq       uint64      `json:"seq"`              // Number of the log entry with which it was written; in format 1, that told of it first.
	Tier      tokens.Tier `json:"tier"`             // Tier whose key opens it.
	Author    string      `json:"author,omitempty"` // In format 1: who wrote it first; a rewrite re-signs as the owner.
	CreatedAt time.Time   `json:"created_at"`       // When it was written.
	Sealed    []byte      `json:"sealed,omitempty"` // The value, as an age file; from format 2 on, stored raw.

	// Recipient is the id of the node whose published recipient the value is sealed to. If it
	// is empty, the value is sealed to the secret's own key.
	Recipient []byte `json:"recipient,omitempty"`

	// Origin is where the value came from, if the owner sealed it anew. Only the owner sets it, from format 2 on.
	Origin *origin `json:"origin,omitempty"`

	by string // who signed the record
}

// origin is where a value came from.
type origin struct {
	Seq uint64 `json:"seq"` // Number of the log entry that told of it.
	By  string `json:"by"`  // Who wrote it.

	Path    string `json:"path,omitempty"`    // Path of the secret that it was written to, if that is another.
	Version uint64 `json:"version,omitempty"` // Number that it had there.

	// Unattested says that no log entry says what the value was: it comes from format 1, or its entry did not hold.
	Unattested bool `json:"unattested,omitempty"`
}

// origin returns where the value came from, also if its author signed it.
func (b versionBody) origin() origin {
	if b.Origin != nil {
		return *b.Origin
	}
	return origin{Seq: b.Seq, By: cmp.Or(b.Author, b.by)}
}

// version describes the version with the number n.
func (b versionBody) version(n uint64, current, deleted bool) Version {
	from := b.origin()
	return Version{n, b.Tier, from.By, b.CreatedAt, current, deleted, from.Unattested}
}

// sealAnew notes that the owner seals the value anew, with the log entry seq. In format 1, the record then goes on
// to name the entry that told of it first.
func (b *versionBody) sealAnew(format int, seq uint64) {
	if format >= keys.Format2 {
		from := b.origin()
		b.Seq, b.Author, b.Origin = seq, "", &from
	}
}

// Secret describes a secret without its value.
type Secret struct {
	ID        string
	Path      tokens.Path
	Version   uint64
	Type      string
	Tier      tokens.Tier
	CreatedAt time.Time
	UpdatedAt time.Time
	DeletedAt *time.Time // nil unless deleted
	DeletedTo uint64     // versions up to this number stayed deleted when a value was stored again; 0 for none
	About     *About     // what people say of it; nil for nothing. It is not to be changed
}

// Version is one entry of a secret's history.
type Version struct {
	Number    uint64
	Tier      tokens.Tier
	Author    string
	CreatedAt time.Time
	Current   bool
	Deleted   bool // it cannot be read until the secret is restored

	// Unattested says that no log entry says what the value was: it comes from format 1, or its entry did not hold.
	Unattested bool
}

func (b secretBody) secret(p tokens.Path) Secret {
	return Secret{b.ID, p, b.Version, b.Type, b.Tier, b.CreatedAt, b.UpdatedAt, b.DeletedAt, b.DeletedTo, b.About}
}

// action returns the action that writing this head takes.
func (b secretBody) action() tokens.Action {
	if b.DeletedAt != nil {
		return tokens.Delete
	}
	return tokens.Write
}

func secretBucketKey(p tokens.Path) []byte { return []byte(p.String()) }

func versionKey(p tokens.Path, n uint64) []byte { return versionKeyOf(p.String(), n) }

func versionKeyOf(path string, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte(path), 0), n)
}

// versionPrefix returns the prefix of the keys of all versions of one secret. No
// path contains a zero byte, so no prefix is the beginning of another one.
func versionPrefix(p tokens.Path) []byte { return append([]byte(p.String()), 0) }

// cutVersionKey is the inverse of versionKey.
func cutVersionKey(k []byte) (path string, version uint64, ok bool) {
	cut := len(k) - 9
	if cut < 1 || k[cut] != 0 {
		return "", 0, false
	}
	return string(k[:cut]), binary.BigEndian.Uint64(k[cut+1:]), true
}

// Value is a secret with its value.
type Value struct {
	Secret
	Value []byte
}

// Get returns a secret and the value of version n, or of the current version if
// n is 0. The log entry about the access is synced to the disk before Get returns.
func (s *Session) Get(p tokens.Path, n uint64) (Secret, []byte, error) {
	var found Value
	err := s.updateReading(func(t *tx) (err error) {
		if err := s.authorize(t, tokens.Read, audit.SecretRead, p); err != nil {
			return err
		}
		found, err = s.read(t, p, n)
		return err
	})
	if err != nil {
		return Secret{}, nil, err
	}
	return found.Secret, found.Value, nil
}

// read opens a version, with the session's own keys or with an approval, and logs that.
func (s *Session) read(t *tx, p tokens.Path, n uint64) (Value, error) {
	head, err := t.live(p)
	if err != nil {
		return Value{}, err
	}
	if n == 0 {
		n = head.Version
	}
	if err := head.checkVersion(p, n); err != nil {
		return Value{}, err
	}
	r := reading{path: p, head: head, n: n}
	if err := t.find(&r); err != nil {
		return Value{}, err
	}
	s.open(t.hasher, &r)
	v, item, err := s.handOut(t, &r)
	if err == nil {
		err = t.logRead(item, "")
	}
	return v, err
}

// reading is the state of one secret while its version n is read.
type reading struct {
	path tokens.Path
	head secretBody
	n    uint64

	k, v []byte // the stored version
	who  signer // its author

	version versionBody
	value   []byte
	err     error // why it was refused, or keys.ErrNoKey
}

// find looks the stored version up, and its author.
func (t *tx) find(r *reading) error {
	r.k = versionKey(r.path, r.n)
	v, err := t.stored(bucketVersions, r.k)
	if errors.Is(err, ErrNotFound) {
		err = noVersion(r.path, r.n)
	}
	if err != nil {
		return err
	}
	r.v, r.who = v, t.signer(versionKind.rules, authorIn(v))
	return nil
}

// open checks the MAC and the signature of a stored version, and opens it.
func (s *Session) open(h *hasher, r *reading) {
	if _, r.err = versionKind.checkInto(&r.version, h, r.who, r.k, r.v); r.err != nil {
		return
	}
	r.version.by = r.who.by
	r.value, r.err = s.openVersion(h.Epoch, r.version, r.path, r.n)
	if errors.Is(r.err, keys.ErrNoKey) && r.version.Tier == tokens.Standard {
		r.err = fault.New(ErrDenied, "%s version %d was written by an author without read access after %s was issued; a "+
			"new token can read it", r.path, r.n, s.Who())
	}
}

// handOut returns the value of a version, and what the log has to say of it before the caller gets the value. If the
// session has no key for the version, handOut opens it with an approval.
func (s *Session) handOut(t *tx, r *reading) (Value, audit.Item, error) {
	item := audit.Item{Path: r.path.String(), Version: r.n}
	value, err := r.value, r.err
	if errors.Is(err, keys.ErrNoKey) {
		value, item.Approval, err = s.readApproved(t, r.path, r.n, r.version)
	}
	if err != nil {
		return Value{}, item, err
	}
	found := r.head.secret(r.path)
	if r.n != r.head.Version {
		found.Version, found.UpdatedAt = r.n, r.version.CreatedAt
	}
	found.Tier = max(r.head.Tier, r.version.Tier)
	item.Tier = found.Tier.String()
	return Value{found, value}, item, nil
}

// readVersion checks and opens one version, with the session's own keys alone.
func (s *Session) readVersion(t *tx, p tokens.Path, n uint64) (versionBody, []byte, error) {
	r := reading{path: p, n: n}
	if err := t.find(&r); err != nil {
		return versionBody{}, nil, err
	}
	s.open(t.hasher, &r)
	return r.version, r.value, r.err
}

func noVersion(p tokens.Path, n uint64) error {
	return fault.New(ErrNotFound, "%s has no version %d", p, n)
}

// openVersion opens a version with the session's keys. It returns keys.ErrNoKey if
// the session has no key for it.
func (s *Session) openVersion(e keys.Epoch, body versionBody, p tokens.Path, n uint64) (value []byte, err error) {
	id, err := s.ring.Identity(e, body.Tier, p, n, body.Recipient)
	if errors.Is(err, keys.ErrNoKey) {
		return nil, err
	}
	if err == nil {
		value, err = keys.Decrypt(id, body.Sealed)
	}
	if err != nil {
		return nil, fault.Damaged(fmt.Sprintf("%s version %d", p, n), "it does not decrypt: it was modified or moved")
	}
	return value, nil
}

// writeVersion seals a value and stores it. If the session lacks the secret's
// key, it seals the value to a published recipient.
func (s *Session) writeVersion(t *tx, p tokens.Path, n uint64, body versionBody, value []byte) (err error) {
	k := versionKey(p, n)
	own, err := s.sealOwn(p, n, &body, value)
	switch {
	case own && err == nil:
		err = resealKind.remove(t, k)
	case !own:
		at, to, rerr := t.recipientFor(body.Tier, p)
		if rerr != nil {
			return rerr
		}
		body.Recipient = at.ID()
		if body.Sealed, err = keys.SealPub(to, t.Epoch.VersionContext(body.Tier, p, n), value); err == nil {
			err = resealKind.put(t, k, resealBody{Seq: t.seq()})
		}
	}
	if err != nil {
		return err
	}
	return versionKind.put(t, k, body)
}

// sealOwn seals a value under the secret's key. ok reports whether the session has that key.
func (s *Session) sealOwn(p tokens.Path, n uint64, body *versionBody, value []byte) (ok bool, err error) {
	own, ok := s.ring.Derive(keys.NodeOf(body.Tier, tokens.Exactly(p)))
	if ok {
		body.Recipient = nil
		body.Sealed, err = keys.Seal(own.Key, s.epoch.VersionContext(body.Tier, p, n), value)
	}
	return ok, err
}

// secretHead reads the head of a secret, deleted or not.
func (t *tx) secretHead(p tokens.Path) (secretBody, error) {
	k, v, err := t.storedHead(p)
	if err != nil {
		return secretBody{}, err
	}
	body, _, err := secretKind.read(t, k, v)
	return body, err
}

func (t *tx) storedHead(p tokens.Path) (k, v []byte, err error) {
	k = secretBucketKey(p)
	if v, err = t.stored(bucketSecrets, k); errors.Is(err, ErrNotFound) {
		err = &MissingError{p}
	}
	return k, v, err
}

// live reads the head of a secret that is not deleted.
func (t *tx) live(p tokens.Path) (secretBody, error) {
	body, err := t.secretHead(p)
	if err == nil {
		err = body.checkLive(p)
	}
	return body, err
}

func (b secretBody) checkLive(p tokens.Path) error {
	if b.DeletedAt != nil {
		return &DeletedError{Path: p}
	}
	return nil
}

// checkVersion returns an error for a version that was deleted with its secret, and not restored.
func (b secretBody) checkVersion(p tokens.Path, n uint64) error {
	if n > 0 && n <= b.DeletedTo {
		return &DeletedError{p, n}
	}
	return nil
}

// tierOf returns the tier of a secret: the higher one of its head's and its newest version's. It looks at no other
// version, so it costs the same for ten and for thousands. Within an epoch, what the owner signs of a secret never
// rises, because to raise a tier is a rewrite; if somebody else signed the head, the owner also looks into the
// log (see planWrite).
func (t *tx) tierOf(p tokens.Path, head secretBody) (tokens.Tier, error) {
	tier, err := t.statedTier(p)
	if err != nil {
		return 0, err
	}
	tier = max(tier, head.Tier)
	k, v, err := t.newestVersion(p)
	if err != nil || k == nil {
		return tier, err
	}
	if _, n, _ := cutVersionKey(k); n > head.Version {
		return 0, secretKind.damaged(k[:len(k)-9], "version %d exists, but the record says that version "+
			"%d is current: an old record was put back", n, head.Version)
	}
	body, _, err := versionKind.decode(t.hasher, k, v)
	return max(tier, body.Tier), err
}

// newestVersion returns the stored version of a secret that has the highest number; nil if there is none.
func (t *tx) newestVersion(p tokens.Path) (k, v []byte, err error) {
	prefix := versionPrefix(p)
	end := append(prefix[:len(prefix)-1:len(prefix)-1], 1) // comes after all keys with the prefix
	k, v, err = t.b.LastBefore(bucketVersions, end)
	if !bytes.HasPrefix(k, prefix) {
		return nil, nil, err
	}
	return k, v, err
}

// highestTier returns the highest tier that a stored version of a secret has.
func (t *tx) highestTier(p tokens.Path) (tier tokens.Tier, err error) {
	err = versionKind.each(t, versionPrefix(p), func(_ []byte, body versionBody, _ record) error {
		tier = max(tier, body.Tier)
		return nil
	})
	return tier, err
}

// History returns a secret, deleted or not, and its versions, the newest first.
func (s *Session) History(p tokens.Path) (Secret, []Version, error) {
	var (
		found    Secret
		versions []Version
	)
	err := s.view(func(t *tx) error {
		if err := s.cannot(tokens.Read, p); err != nil {
			return err
		}
		head, err := t.secretHead(p)
		if err != nil {
			return err
		}
		found = head.secret(p)
		return versionKind.each(t, versionPrefix(p), func(k []byte, body versionBody, r record) error {
			_, n, _ := cutVersionKey(k)
			body.by = r.by
			versions = append(versions, body.version(n, n == head.Version && head.DeletedAt == nil,
				n <= head.DeletedTo || head.DeletedAt != nil))
			return nil
		})
	})
	slices.Reverse(versions)
	return found, versions, err
}

// List returns the secrets in and below a namespace that the session may read,
// ordered by path. If deleted is true, it returns only deleted secrets; otherwise,
// it leaves them out.
func (s *Session) List(ns tokens.Namespace, deleted bool) ([]Secret, error) {
	var list []Secret
	err := s.view(func(t *tx) error {
		list = make([]Secret, 0, min(t.head.count, 1<<15)/2) // a secret has two records or more
		return t.heads(ns, func(p tokens.Path, head secretBody) {
			if (head.DeletedAt != nil) == deleted && s.Can(tokens.Read, p) {
				if len(list) == cap(list) { // append adds only a quarter, so it copies more often
					list = slices.Grow(list, 3*len(list)+64)
				}
				list = append(list, head.secret(p))
			}
		})
	})
	return list, err
}

// heads calls fn for the head of every secret in and below a namespace, in the order of their paths. It checks MACs
// alone, on all cores, and stops at the first head that is damaged.
func (t *tx) heads(ns tokens.Namespace, fn func(tokens.Path, secretBody)) error {
	type job struct {
		k, v []byte
		path tokens.Path
		head secretBody
		err  error
	}
	var prefix []byte
	if ns != (tokens.Namespace{}) {
		prefix = []byte(ns.String() + "/")
	}
	worker := func() func(*job) {
		h := t.another()
		return func(j *job) {
			if _, j.err = secretKind.decodeInto(&j.head, h, j.k, j.v); j.err != nil {
				return
			}
			if j.path, j.err = tokens.ParsePath(string(j.k)); j.err != nil {
				j.err = secretKind.damaged(j.k, "its key is not a path")
			}
		}
	}
	var free buffers
	done := func(j *job) error {
		if j.err == nil {
			fn(j.path, j.head)
		}
		free.back(j.k, j.v)
		return j.err
	}
	return inBatches(worker, done, func(add func(job, int) error) error {
		return t.walk(bucketSecrets, prefix, func(k, v []byte) error {
			return add(job{k: free.copyOf(k), v: free.copyOf(v)}, len(v))
		})
	})
}

// NamespaceCount says how many secrets lie directly in a namespace.
type NamespaceCount struct {
	Namespace tokens.Namespace
	Secrets   int
}

// Namespaces lists, by name, every namespace that directly holds a secret that the session
// may read. Deleted secrets do not count.
func (s *Session) Namespaces() ([]NamespaceCount, error) {
	counts := map[tokens.Namespace]int{}
	err := s.view(func(t *tx) error {
		return t.heads(tokens.Namespace{}, func(p tokens.Path, head secretBody) {
			if head.DeletedAt == nil && s.Can(tokens.Read, p) {
				counts[p.Namespace()]++
			}
		})
	})
	list := make([]NamespaceCount, 0, len(counts))
	for ns, n := range counts {
		list = append(list, NamespaceCount{ns, n})
	}
	sortList(list, func(a, b NamespaceCount) int {
		return strings.Compare(a.Namespace.String(),
			b.Namespace.String())
	})
	return list, err
}
