package vault

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/fault"
	"ass/vault/internal/keys"
)

// SetOptions say how to set a secret. The zero SetOptions are usable.
type SetOptions struct {
	Tier      tokens.Tier // 0 keeps the tier; standard for a new secret
	Type      string      // "" keeps the type; [DefaultType] for a new secret
	IfVersion *uint64     // the version that must be current; 0: no live secret may exist
	Rotate    bool        // the secret must exist, and the log records a rotation

	About func(*About) // changes what is said of the secret; nil for no change

	Canary *bool // whether the secret is a canary from now on, which only the owner decides; nil for no change
}

// Set stores a value as the next version of a secret. If the secret does not exist,
// Set creates it. It returns the secret as it is now and as it was before, deleted or
// not; if it did not exist, before is the zero Secret. If the tier of an existing
// secret rises, Set rewrites the vault.
func (s *Session) Set(p tokens.Path, value []byte, o SetOptions) (now, before Secret, err error) {
	if err := CheckSet(value, o); err != nil {
		return now, before, err
	}
	raise := false
	err = s.update(func(t *tx) error {
		if err := s.authorize(t, tokens.Write, o.event(), p); err != nil {
			return err
		}
		w, err := s.planWrite(t, p, o)
		if err != nil {
			return err
		}
		before = w.before
		if raise = w.was != 0 && w.head.Tier > w.was; raise {
			return errRaise
		}
		now, err = s.write(t, p, w, value)
		return err
	})
	if raise {
		err = s.rewrite(&rewritePlan{
			why:  "tier raised",
			what: p.String(),
			tier: map[tokens.Path]tokens.Tier{p: o.Tier},
			then: func(next *Session, t *tx) error {
				w, err := next.planWrite(t, p, o)
				if err != nil {
					return err
				}
				now, err = next.write(t, p, w, value)
				return err
			},
		})
	}
	if err == nil && s.IsCanary(now) {
		s.noteCanary(p)
	}
	return now, before, err
}

// event returns the log's name for a write to an existing secret.
func (o SetOptions) event() string {
	if o.Rotate {
		return audit.SecretRotated
	}
	return audit.SecretUpdated
}

// errRaise ends a transaction that must become a rewrite.
var errRaise = errors.New("raising a tier rewrites the vault")

// write is a write that is planned but not yet done.
type write struct {
	head   secretBody  // as it will be
	before Secret      // as it was, deleted or not; the zero Secret for none
	was    tokens.Tier // the tier that it had; 0 for a new secret
	state  bool        // whether the owner has to state the tier; see stateTier
	event  string
	note   map[string]any // what the log says besides version, tier and type
}

// current returns the number of the version that could be read before; 0 for none.
func (w write) current() uint64 {
	if w.before.DeletedAt != nil {
		return 0
	}
	return w.before.Version
}

// planWrite decides how a write changes a secret, and whether it may.
func (s *Session) planWrite(t *tx, p tokens.Path, o SetOptions) (write, error) {
	w := write{event: o.event(), note: map[string]any{}}
	head, err := t.secretHead(p)
	switch {
	case err == nil:
		if w.was, err = t.tierOf(p, head); err != nil {
			return w, err
		}
		if s.isOwner() && o.Tier != 0 && o.Tier < tokens.Critical { // then no older version may stay above it
			highest, err := t.highestTier(p)
			if err != nil {
				return w, err
			}
			w.was = max(w.was, highest)
		}
		told, state, err := s.toldTier(t, p)
		if err != nil {
			return w, err
		}
		w.was, w.state = max(w.was, told), state
		head.Tier = w.was
		w.before = head.secret(p)
	case errors.Is(err, ErrNotFound):
		// With a new head, the secret would lose the tier that these versions give it.
		left, _, err := t.newestVersion(p)
		if err == nil && left != nil {
			err = fault.Damaged(p.String(), "its versions exist, but its record was removed")
		}
		told := toldOf{}
		if err == nil {
			told, err = s.lookAnew(t, p, o.Tier)
		}
		if err != nil {
			return w, err
		}
		head = secretBody{ID: t.newIDOf(false), Tier: tokens.Standard, Type: DefaultType, CreatedAt: t.now}
		if t.Format >= keys.Format2 {
			head.Version = told.last // no number comes twice, after a purge neither
		}
		w.event = audit.SecretCreated
	default:
		return w, err
	}
	if o.IfVersion != nil && *o.IfVersion != w.current() {
		return w, fault.New(ErrConflict, "%s is at %s, not at %s: it was changed meanwhile", p, versionName(w.current()),
			versionName(*o.IfVersion))
	}
	if o.Rotate {
		if err != nil { // the secret does not exist
			return w, err
		}
		if err := head.checkLive(p); err != nil {
			return w, err
		}
	}
	if !s.isOwner() && w.was != 0 {
		if o.Tier != 0 && o.Tier != w.was {
			err := fault.New(ErrTierFixed, "%s is %s, and only the owner can change the tier of an existing secret", p, w.was)
			return w, &refusal{err, o.event(), p.String(), "tier"}
		}
		if err := s.approvedWrite(t, subject{RequestWrite, p, head.Version, w.was}, w.note); err != nil {
			return w, err
		}
	}
	if o.Tier != 0 {
		head.Tier = o.Tier
	}
	if o.Type != "" {
		head.Type = o.Type
	}
	if o.About != nil {
		if head.About, _, err = head.About.changedBy(o.About); err != nil {
			return w, err
		}
	}
	if o.Canary != nil {
		if head.ID, err = s.markedID(t, head.ID, *o.Canary); err != nil {
			return w, &refusal{err, o.event(), p.String(), "owner"}
		}
	}
	if n := max(head.Version, head.Last); n >= maxVersion {
		return w, fault.Damaged(p.String(), "it is at version %d, and no secret has more versions", n)
	}
	if head.DeletedAt != nil { // only a restore brings those versions back
		head.DeletedTo = head.Version
	}
	head.Version, head.Last = max(head.Version, head.Last)+1, 0
	head.DeletedAt, head.UpdatedAt = nil, t.now
	w.head = head
	return w, nil
}

// authorOf returns who signed the head of a secret; "" if there is none.
func (t *tx) authorOf(p tokens.Path) string {
	v, err := t.get(bucketSecrets, secretBucketKey(p))
	if err != nil {
		return ""
	}
	return authorIn(v)
}

// approvedWrite lets a grantee overwrite or delete a critical secret only with an
// approval. Each approval serves once.
func (s *Session) approvedWrite(t *tx, act subject, note map[string]any) error {
	if s.isOwner() || act.tier < tokens.Critical {
		return nil
	}
	q, err := s.approved(t, act)
	if err != nil {
		return err
	}
	note["approval"] = q.ID
	return t.spend(q)
}

func versionName(n uint64) string {
	if n == 0 {
		return "no version"
	}
	return fmt.Sprintf("v%d", n)
}

// write does what planWrite decided, and logs it.
func (s *Session) write(t *tx, p tokens.Path, w write, value []byte) (Secret, error) {
	now, err := s.store(t, p, &w, value)
	if err != nil {
		return Secret{}, err
	}
	maps.Copy(w.note, map[string]any{"version": w.head.Version, "tier": w.head.Tier, "type": w.head.Type})
	t.noteSum(w.note, p, w.head.Version)
	return now, t.log(w.event, "secret", p.String(), w.note)
}

// store writes the records of a write.
func (s *Session) store(t *tx, p tokens.Path, w *write, value []byte) (Secret, error) {
	body, err := s.versionOf(t, p, w)
	if err == nil {
		err = s.writeVersion(t, p, w.head.Version, body, value)
	}
	if err != nil {
		return Secret{}, err
	}
	return w.head.secret(p), secretKind.put(t, secretBucketKey(p), w.head)
}

// versionOf returns the version that a write makes, not yet sealed. If the write lowers
// the tier, versionOf also lowers the tier of the existing versions.
func (s *Session) versionOf(t *tx, p tokens.Path, w *write) (versionBody, error) {
	w.head.Seq = t.seq()
	if w.head.Tier < w.was {
		if err := s.lowerVersions(t, p, w.head.Tier, t.resealSeq); err != nil {
			return versionBody{}, err
		}
		w.note["tier_before"] = w.was
	}
	if err := s.stateTier(t, p, w); err != nil {
		return versionBody{}, err
	}
	return t.newVersion(w.head.Tier), nil
}

// newVersion returns a version that the transaction's actor writes, not yet sealed.
func (t *tx) newVersion(tier tokens.Tier) versionBody {
	body := versionBody{Seq: t.seq(), Tier: tier, CreatedAt: t.now, by: t.by.id}
	if t.Format < keys.Format2 {
		body.Author = t.by.id
	}
	return body
}

// lowerVersions seals every stored version anew at a lower tier. That only widens
// who may read, so nothing has to disappear from the file and no rewrite is needed. seq returns the number of the
// entry that tells of a version.
func (s *Session) lowerVersions(t *tx, p tokens.Path, tier tokens.Tier, seq func(tokens.Path, uint64) uint64) error {
	numbers, err := t.versionNumbers(p)
	if err != nil {
		return err
	}
	for _, n := range numbers {
		body, value, err := s.readVersion(t, p, n)
		if err != nil {
			return err
		}
		if body.Tier <= tier {
			continue
		}
		body.Tier = tier
		body.sealAnew(t.Format, seq(p, n))
		if err := s.writeVersion(t, p, n, body, value); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) versionNumbers(p tokens.Path) (numbers []uint64, err error) {
	err = t.walk(bucketVersions, versionPrefix(p), func(k, _ []byte) error {
		if _, n, ok := cutVersionKey(k); ok {
			numbers = append(numbers, n)
		}
		return nil
	})
	return numbers, err
}

// CheckSet returns an error, a [tokens.SyntaxError], if Set would refuse the form of a
// value or of an option. It needs no vault.
func CheckSet(value []byte, o SetOptions) error {
	if o.Type != "" && !slices.Contains(Types, o.Type) {
		return &tokens.SyntaxError{What: "type", Problem: "it must be one of " + strings.Join(Types, ", ")}
	}
	if o.About != nil {
		if _, _, err := (*About)(nil).changedBy(o.About); err != nil {
			return err
		}
	}
	if len(value) > MaxValueBytes {
		return &tokens.SyntaxError{What: "value", Problem: fmt.Sprintf("it is larger than %d bytes, the most that is allowed",
			MaxValueBytes)}
	}
	return nil
}

// Delete hides a secret, and revokes the tokens that are for it alone. Its
// versions stay until the owner purges it. It returns the secret and the number
// of tokens that covered it.
func (s *Session) Delete(p tokens.Path) (done Secret, ended TokensOf, err error) {
	all, ended, err := s.DeleteAll([]tokens.Path{p})
	if err != nil {
		return done, ended, err
	}
	return all[0], ended, nil
}

// DeleteAll is Delete for several secrets: all or none. Each has an entry of its own in the log. It returns the
// secrets in the order of their paths, and the number of tokens that were for one of them alone; a broader token is
// counted once for each secret.
func (s *Session) DeleteAll(paths []tokens.Path) (done []Secret, ended TokensOf, err error) {
	paths = slices.Clone(paths)
	sortList(paths, tokens.Path.Compare)
	err = s.update(func(t *tx) error {
		if err := s.authorize(t, tokens.Delete, audit.SecretDeleted, paths...); err != nil {
			return err
		}
		need, notes := &needsDecision{}, make([]map[string]any, len(paths))
		heads, err := t.liveHeads(paths)
		if err != nil {
			return err
		}
		t.lookFor = paths
		for i, p := range paths {
			notes[i] = map[string]any{}
			tier, err := s.tierToSign(t, p, heads[i])
			if err == nil {
				err = s.approvedWrite(t, subject{RequestDelete, p, heads[i].Version, tier}, notes[i])
			}
			if err != nil && !need.takes(err) {
				return err
			}
		}
		if len(need.subjects) > 0 {
			return need
		}
		done, ended = nil, TokensOf{}
		for i, p := range paths {
			heads[i].DeletedAt = &t.now
			gone, err := t.putHead(p, heads[i], audit.SecretDeleted, notes[i])
			if err != nil {
				return err
			}
			of, err := t.revokeTokensFor(p)
			if err != nil {
				return err
			}
			done = append(done, gone)
			ended.Revoked, ended.Broader = ended.Revoked+of.Revoked, ended.Broader+of.Broader
		}
		return nil
	})
	return done, ended, err
}

// Restored is a secret that was restored, and which of its versions can be read again: those of them that were not
// pruned.
type Restored struct {
	Secret
	From, To uint64
}

// Restore brings a deleted secret back. If a value was stored after it was deleted, Restore brings
// its earlier versions back. If that happened and it was deleted again, Restore undoes one of the
// two, the later. If the secret is critical, a grantee needs an approval, as for overwriting it. If
// nothing of the secret is deleted, the error is [ErrConflict].
func (s *Session) Restore(p tokens.Path) (done Restored, err error) {
	err = s.update(func(t *tx) error {
		if err := s.authorize(t, tokens.Write, audit.SecretRestored, p); err != nil {
			return err
		}
		head, err := t.secretHead(p)
		if err != nil {
			return err
		}
		if head.DeletedAt == nil && head.DeletedTo == 0 {
			return fault.New(ErrConflict, "%s is not deleted", p)
		}
		note := map[string]any{}
		tier, err := s.tierToSign(t, p, head)
		if err == nil {
			err = s.approvedWrite(t, subject{RequestWrite, p, head.Version, tier}, note)
		}
		if err != nil {
			return err
		}
		done.From, done.To = head.DeletedTo+1, head.Version
		if head.DeletedAt == nil {
			done.From, done.To, head.DeletedTo = 1, head.DeletedTo, 0
		}
		if done.From, err = t.firstVersion(p, done.From); err != nil { // those before may have been pruned
			return err
		}
		head.DeletedAt = nil
		done.Secret, err = t.putHead(p, head, audit.SecretRestored, note)
		return err
	})
	return done, err
}

// firstVersion returns the number of the first stored version of a secret from a number on; that number if there is
// none.
func (t *tx) firstVersion(p tokens.Path, from uint64) (uint64, error) {
	first := from
	err := t.b.WalkFrom(bucketVersions, versionKey(p, from), versionPrefix(p), func(k, _ []byte) error {
		_, first, _ = cutVersionKey(k)
		return errStop
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return first, err
}

func (t *tx) putHead(p tokens.Path, head secretBody, event string, note map[string]any) (Secret, error) {
	head.Seq, head.UpdatedAt = t.seq(), t.now
	if err := secretKind.put(t, secretBucketKey(p), head); err != nil {
		return Secret{}, err
	}
	note["version"], note["tier"] = head.Version, head.Tier
	return head.secret(p), t.log(event, "secret", p.String(), note)
}

// Rollback stores the value of an older version as the next version. It returns
// the secret as it is now and as it was before.
func (s *Session) Rollback(p tokens.Path, to uint64) (now, before Secret, err error) {
	err = s.update(func(t *tx) error {
		if err := s.authorize(t, tokens.Read|tokens.Write, audit.SecretRolledBack, p); err != nil {
			return err
		}
		head, err := t.live(p)
		if err != nil {
			return err
		}
		if to == head.Version {
			return fault.New(ErrConflict, "%s is already at v%d", p, to)
		}
		if err := head.checkVersion(p, to); err != nil {
			return err
		}
		old, value, err := s.readVersion(t, p, to)
		if errors.Is(err, keys.ErrNoKey) {
			value, _, err = s.readApproved(t, p, to, old)
		}
		if err != nil {
			return err
		}
		w, err := s.planWrite(t, p, SetOptions{})
		if err != nil {
			return err
		}
		before, w.event, w.note["from_version"] = w.before, audit.SecretRolledBack, to
		now, err = s.write(t, p, w, value)
		return err
	})
	return now, before, err
}

// Purge removes a secret, deleted or not, and all of its versions. It rewrites the
// vault, so that the bytes are gone from the file. It returns the number of versions
// that the secret had. Only the owner can purge: for others it returns [ErrDenied].
func (s *Session) Purge(p tokens.Path) (int, error) {
	if err := s.mayOnlyOwner("purge a secret", audit.SecretPurged, p.String()); err != nil {
		return 0, err
	}
	var numbers []uint64
	err := s.view(func(t *tx) (err error) {
		if _, err := t.secretHead(p); errors.Is(err, ErrNotFound) {
			return err
		}
		numbers, err = t.versionNumbers(p) // also if the head is damaged: a purge repairs that
		return err
	})
	if err != nil {
		return 0, err
	}
	plan := &rewritePlan{why: "secret purged", what: p.String(), drop: map[tokens.Path]bool{p: true}}
	plan.then = func(_ *Session, t *tx) error {
		note := map[string]any{"versions": len(numbers)}
		if t.Format >= keys.Format2 {
			last := slices.Max(append([]uint64{0}, numbers...))
			if told := plan.told.records[p.String()]; told != nil {
				last = max(last, told.Last)
			}
			note["last"] = min(last, maxVersion) // a new secret here begins behind it
		}
		return t.log(audit.SecretPurged, "secret", p.String(), note)
	}
	return len(numbers), s.rewrite(plan)
}
