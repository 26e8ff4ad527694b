package vault

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cloudflare/circl/sign/ed25519"
	"github.com/google/uuid"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/bolt"
	"ass/vault/internal/fault"
	"ass/vault/internal/keys"
)

// smallVault is the largest number of records with which every command checks the
// digest: 400 records take a third of a millisecond (BenchmarkDigest).
const smallVault = 400

// actor is a writer: its name in the records, its kind in the log, its signing key.
type actor struct {
	id   string
	kind string // an audit actor type
	sign ed25519.PrivateKey
}

// tx is one transaction of one actor. It checks the MACs of the records that it
// reads, makes those of the records that it writes, and appends to the log.
type tx struct {
	*hasher
	b    *bolt.Tx
	by   actor
	now  time.Time
	head head

	author  func(*tx, string) (signer, error) // finds the author of a record
	signers map[string]signer                 // the authors found so far
	held    map[subject]Request               // unused approvals; see approved

	unread    []*stored          // drafts that nothing reads
	sums      map[string]string  // by version key: what was written since the last entry; see sumOf
	fresh     bool               // in a new file, until the epoch has begun: its first entry lists nothing
	resealing resealing          // of the versions in sums, those that the owner sealed anew
	lookFor   []tokens.Path      // what one look serves; see look
	looked    map[string]*toldOf // what it found, by path
	lookErr   error              // what stopped it

	anew    bool   // in a new file: changed is all that there is
	changed counts // by this transaction

	mended map[string]agentBody // agents whose records do not hold, as the log tells of them; see mendAgents

	root     *keys.Root        // of the owner; nil in the sessions of others
	logPlace audit.Place       // where the entries belong
	instead  func(audit.Event) // gets the entries in place of the log; see readUnlogged
	walked   walked            // sums of what is walked through; nil if nobody asks for them
	ids      func() [16]byte   // see Options.IDs
}

// newID makes an id: a UUID of version 4 (RFC 9562).
func (t *tx) newID() uuid.UUID {
	if t.ids == nil {
		return uuid.New()
	}
	id := uuid.UUID(t.ids())
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id
}

// random returns n random bytes, at most 16, that make a name another each time.
func (t *tx) random(n int) []byte {
	b := make([]byte, n)
	if t.ids == nil {
		rand.Read(b)
		return b
	}
	id := t.ids()
	copy(b, id[:])
	return b
}

// view runs fn on the vault and keeps no changes.
func (s *Session) view(fn func(*tx) error) error {
	return s.v.db.View(func(b *bolt.Tx) error {
		t, err := s.begin(b)
		if err != nil {
			return err
		}
		s.v.remember(t.mark())
		if err := s.countsNow(t); err != nil {
			return err
		}
		return fn(t)
	})
}

// viewUnchecked is view, but does not check the head first. It serves checks that must
// go on after the first problem.
func (s *Session) viewUnchecked(fn func(*tx) error) error {
	return s.v.db.View(func(b *bolt.Tx) error { return fn(s.newTx(b)) })
}

// commit runs fn and keeps all of its changes or, on any error, none; see
// [Session.update]. Before fn, it clears what has lapsed.
func (s *Session) commit(fn func(*tx) error) error {
	var done mark
	err := s.v.db.Update(func(b *bolt.Tx) error {
		t, err := s.begin(b)
		if err != nil {
			return err
		}
		if err := errors.Join(t.refuseBackup(), t.checkLastStep()); err != nil {
			return err
		}
		if err := s.v.refuseNames(true); err != nil {
			return err
		}
		if err := t.clearLapsed(); err != nil {
			return err
		}
		if err := fn(t); err != nil {
			return err
		}
		done = t.mark()
		return t.saveHead()
	})
	if err == nil {
		s.v.remember(done)
	}
	return err
}

// refuseBackup refuses to add to a backup.
func (t *tx) refuseBackup() error {
	if !t.head.backup {
		return nil
	}
	return &BackupError{t.b.Path()}
}

func (s *Session) newTx(b *bolt.Tx) *tx {
	return &tx{
		hasher: s.newHasher(), b: b, by: s.by, root: s.root, now: s.v.opts.Now().UTC().Truncate(time.Millisecond),
		logPlace: s.logPlace(audit.Entry{Format: s.epoch.Format}, s.epoch.N),
		ids:      s.v.opts.IDs, author: s.author, signers: map[string]signer{}, sums: map[string]string{},
	}
}

// begin reads the head and checks that the log ends where the head says. In a small
// vault, where that costs next to nothing, it also checks the digest of all records.
func (s *Session) begin(b *bolt.Tx) (*tx, error) {
	t := s.newTx(b)
	if err := t.readHead(); err != nil {
		return nil, err
	}
	if err := t.checkLogEnd(); err != nil {
		return nil, err
	}
	if t.head.count > smallVault {
		return t, nil
	}
	return t, t.checkDigest()
}

// checkMACs checks the MAC of every record of a bucket.
func (t *tx) checkMACs(bucket string) error {
	return t.walk(bucket, nil, func(k, v []byte) error { return t.checkMAC(bucket, k, v) })
}

func (t *tx) checkMAC(bucket string, k, v []byte) error {
	if r, err := parseRecord(v); err != nil || !t.macHolds(bucket, k, r) {
		return badMAC(bucket, k)
	}
	return nil
}

func badMAC(bucket string, k []byte) error {
	return rulesOf(bucket).damaged(k, "MAC mismatch: the record was modified or moved")
}

func (t *tx) putMeta(name string, value []byte) error {
	return t.b.Put(bucketMeta, []byte(name), value)
}

// strangers names the buckets that this format does not have, and the keys of the meta bucket that are not among known.
func (t *tx) strangers(known []string) (names []string, err error) {
	buckets, err := t.b.Buckets()
	if err != nil {
		return nil, err
	}
	for _, name := range buckets {
		if !slices.Contains(allBuckets(t.Format), name) {
			names = append(names, fmt.Sprintf("bucket %q", name))
		}
	}
	return names, t.walk(bucketMeta, nil, func(k, _ []byte) error {
		if !slices.Contains(known, string(k)) {
			names = append(names, fmt.Sprintf("meta/%q", k))
		}
		return nil
	})
}

// log appends an entry about what this transaction does.
func (t *tx) log(event, resourceType, resource string, metadata map[string]any) error {
	return t.logEvent(audit.Event{Type: event, ResourceType: resourceType, ResourceID: resource, Metadata: metadata})
}

func (t *tx) logEvent(ev audit.Event) error {
	if t.instead != nil {
		t.instead(ev)
		return nil
	}
	resealed, further := slices.Sorted(maps.Keys(t.sums)), t.resealing.of
	roots, err := t.signDrafts(func(r *stored) bool { return further[string(r.key)] == 0 })
	if err != nil {
		return err
	}
	if ev.Epoch == 0 {
		ev.Roots = roots
	}
	here := slices.DeleteFunc(slices.Clone(resealed), func(k string) bool { return further[k] > 0 })
	if len(here) > 0 && ev.Epoch == 0 {
		ev.Metadata = maps.Clone(ev.Metadata)
		if ev.Metadata == nil {
			ev.Metadata = map[string]any{}
		}
		ev.Metadata["resealed"] = t.resealed(here)
	}
	if err := t.append(ev); err != nil {
		return err
	}
	err = t.logResealed(resealed)
	clear(t.sums)
	return err
}

// append appends an entry to the log.
func (t *tx) append(ev audit.Event) error {
	ev.ID, ev.ActorID, ev.ActorType, ev.CreatedAt = t.newID().String(), t.by.id, t.by.kind, t.now
	body, err := ev.Encode()
	if err == nil && t.lists() && len(body) > audit.MaxRead {
		err = fmt.Errorf("the log entry %s would have %d bytes, which no reader takes", ev.Type, len(body))
	}
	if err != nil {
		return err
	}
	k, v, next := t.head.log.Append(t.logPlace, t.by.id, t.by.sign, body)
	old, err := t.get(bucketAudit, k)
	if err == nil && old != nil {
		err = fault.Damaged(t.b.Path(), "its audit log already has an entry %d", t.seq())
	}
	if err != nil {
		return err
	}
	if err := t.b.Append(bucketAudit, k, v); err != nil {
		return err
	}
	t.head.log = next
	return nil
}

// sumOf returns a sum over the body of a version, in base64. The log entry that tells of a version has it, so that nobody,
// not even its author, can put another value under its number.
func sumOf(body []byte) string {
	sum := sha256.Sum256(body)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// takeSum returns the sum of a version that was written since the last entry, for the next entry. From format 2 on, that
// entry needs none: it has the roots of the batches.
func (t *tx) takeSum(k []byte) string {
	sum := t.sums[string(k)]
	delete(t.sums, string(k))
	return sum
}

// noteSum adds the sum of a version to what the next entry tells of it.
func (t *tx) noteSum(note map[string]any, p tokens.Path, n uint64) {
	if sum := t.takeSum(versionKey(p, n)); sum != "" {
		note["sum"] = sum
	}
}

// resealed tells, of versions that are left in t.sums, what they are now: their values are as before, but they
// were sealed anew.
func (t *tx) resealed(list []string) (told []any) {
	for _, k := range list {
		path, n, _ := cutVersionKey([]byte(k))
		one := map[string]any{"path": path, "version": n}
		if t.Format < keys.Format2 {
			one["sum"] = t.sums[k]
		}
		told = append(told, one)
	}
	return told
}

// place writes a record, and updates the digest and the counts. If the record has yet to be signed, it becomes a draft.
func (t *tx) place(r *stored) error {
	if r.bucket == bucketVersions && !t.fresh {
		sum := "" // the roots of the batches tell what was written
		if t.Format < keys.Format2 {
			sum = sumOf(r.body)
		}
		t.sums[string(r.key)] = sum
	}
	if _, err := t.forget(r.bucket, r.key); err != nil {
		return err
	}
	t.changed.tally(r.bucket, r.counts, 1)
	if r.value == nil {
		return t.draft(r)
	}
	t.head.digest.add(r.term)
	t.head.count++
	return t.b.Put(r.bucket, r.key, r.value)
}

// draft writes a record that is signed together with others, before the next entry of the log. Until then the
// transaction can read it. It is not in the digest.
func (t *tx) draft(r *stored) error {
	if r.unread {
		t.unread = append(t.unread, r)
		return nil
	}
	if t.drafts == nil {
		t.drafts = map[string]*stored{}
	}
	t.drafts[draftName(r.bucket, r.key)] = r
	if t.fresh && len(t.drafts) == batchSize { // a new file may have millions
		_, err := t.signDrafts(nil)
		return err
	}
	return t.b.Put(r.bucket, r.key, r.encode())
}

// signDrafts signs some of the drafts, or all if which is nil, in the order of their kinds and keys, and writes them as
// they will stay. It returns the roots of the batches in base64.
func (t *tx) signDrafts(which func(*stored) bool) (roots []string, err error) {
	list, later := make([]*stored, 0, len(t.drafts)+len(t.unread)), []*stored(nil)
	for _, versions := range []bool{true, false} { // an import's are then in order
		for _, r := range t.unread {
			switch {
			case versions != (r.bucket == bucketVersions):
			case which == nil || which(r):
				list = append(list, r)
			default:
				later = append(later, r)
			}
		}
	}
	t.unread = later
	for name, r := range t.drafts {
		if which == nil || which(r) {
			list = append(list, r)
			delete(t.drafts, name)
		}
	}
	sortList(list, func(a, b *stored) int {
		if a.bucket != b.bucket {
			return cmp.Compare(batchOrder[a.bucket], batchOrder[b.bucket])
		}
		return bytes.Compare(a.key, b.key)
	})
	// Most transactions have one batch, for which no other goroutine is worth its start.
	const alone = batchSize
	put := t.b.Put
	if len(list) > alone {
		put = t.b.PutInOrder
	}
	write := func(g *signedGroup) error {
		roots = append(roots, base64.StdEncoding.EncodeToString(g.root[:]))
		for _, r := range g.list {
			t.head.digest.add(r.term)
			t.head.count++
			if err := put(r.bucket, r.key, r.value); err != nil {
				return err
			}
		}
		return nil
	}
	if len(list) > 0 && len(list) <= alone {
		err = write(&signedGroup{list, t.signGroup(list)})
		return roots, err
	}
	worker := func() func(*signedGroup) {
		h := t.another()
		return func(g *signedGroup) { g.root = h.signGroup(g.list) }
	}
	err = inBatches(worker, write, func(add func(signedGroup, int) error) error {
		for group := range slices.Chunk(list, batchSize) {
			if err := add(signedGroup{list: group}, mostBytes/4); err != nil {
				return err
			}
		}
		return nil
	})
	return roots, err
}

// signedGroup is a batch of records that is to be signed.
type signedGroup struct {
	list []*stored
	root [32]byte
}

// forget takes the record at k, if there is one, out of the digest and the counts. It does not delete it.
func (t *tx) forget(bucket string, k []byte) (there bool, err error) {
	if t.isDraft(bucket, k) {
		t.changed.tally(bucket, t.drafts[draftName(bucket, k)].counts, -1)
		delete(t.drafts, draftName(bucket, k))
		return true, nil
	}
	old, err := t.get(bucket, k)
	if err != nil || old == nil {
		return false, err
	}
	m := macOf(old)
	t.head.digest.sub(t.digest(bucket, k, m[:]))
	t.head.count--
	t.changed.tally(bucket, standingIn(bucket, old), -1)
	return true, nil
}

// get returns the stored bytes at k, or nil if there are none. They are valid until the
// transaction ends.
func (t *tx) get(bucket string, k []byte) ([]byte, error) { return t.b.Get(bucket, k) }

// remove deletes a record, if it exists.
func (t *tx) remove(bucket string, k []byte) error {
	if there, err := t.forget(bucket, k); err != nil || !there {
		return err
	}
	return t.b.Delete(bucket, k)
}

// count returns the number of records in a bucket.
func (t *tx) count(bucket string) (n int, err error) {
	err = t.b.Walk(bucket, nil, func(_, _ []byte) error { n++; return nil })
	return n, err
}

// stored is get, but returns ErrNotFound instead of nil.
func (t *tx) stored(bucket string, k []byte) ([]byte, error) {
	v, err := t.get(bucket, k)
	if err != nil || v != nil {
		return v, err
	}
	if err := t.absent(bucket, k); err != nil {
		return nil, err
	}
	return nil, ErrNotFound
}

// absent returns an error unless the MACs of all records on the page of k match. If the
// key of a record was damaged, no lookup finds the record, but its MAC does not match
// the damaged key.
func (t *tx) absent(bucket string, k []byte) error {
	return t.b.CheckLeaf(bucket, k, func(k, v []byte) error { return t.checkMAC(bucket, k, v) })
}

var errNoRight = errors.New("no right to write it")

// signer looks up the author that a record of a kind names.
func (t *tx) signer(of *rules, by string) signer {
	if of.authors != nil && !of.authors(by) { // first, because looking up the author reads such records
		return signer{by: by, err: errNoRight}
	}
	who, err := t.author(t, by)
	who.by, who.err = by, err
	return who
}

// walk calls fn for every key of a bucket that begins with prefix, in order,
// with the stored bytes. Both are valid until fn returns.
func (t *tx) walk(bucket string, prefix []byte, fn func(k, v []byte) error) error {
	if t.walked != nil && len(prefix) == 0 {
		return t.walkSummed(bucket, fn)
	}
	return t.b.Walk(bucket, prefix, fn)
}
