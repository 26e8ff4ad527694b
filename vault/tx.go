package vault

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cloudflare/circl/sign/ed25519"
	"github.com/google/uuid"
	"go.etcd.io/bbolt"

	"ass/audit"
)

// smallVault is how many records a vault may have so that every command checks
// its digest: 400 cost a third of a millisecond (BenchmarkDigest).
const smallVault = 400

// actor is who writes: a name in the records, a kind in the log, a key.
type actor struct {
	id   string
	kind string // an audit actor type
	sign ed25519.PrivateKey
}

// tx is one transaction of one actor: records whose MACs are checked on the way
// out and made on the way in, and the log that goes with them.
type tx struct {
	*hasher
	b     *bbolt.Tx
	pages *tree // as they were last committed; nil in a file that is being built
	by    actor
	now   time.Time
	head  head

	author  func(*tx, string) (signer, error) // who signed a record
	signers map[string]signer                 // those that were found
	held    map[request]Request               // unused approvals; see approved
}

// view runs fn on the vault as it is. Nothing that it does is kept.
func (s *Session) view(fn func(*tx) error) error {
	return s.v.st.guard(func() error {
		return s.v.st.db.View(func(b *bbolt.Tx) error {
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
	})
}

// inspect runs fn on the vault without looking at the head first: for checks
// that must get further than the first thing that is wrong.
func (s *Session) inspect(fn func(*tx) error) error {
	return s.v.st.guard(func() error {
		return s.v.st.db.View(func(b *bbolt.Tx) error {
			t, err := s.oldTx(b)
			if err != nil {
				return err
			}
			return fn(t)
		})
	})
}

// commit runs fn and keeps all that it did, or, on any error, nothing; see
// [Session.update]. What has lapsed is cleared on the way.
func (s *Session) commit(fn func(*tx) error) error {
	var done mark
	err := s.v.st.update(func(b *bbolt.Tx) error {
		t, err := s.begin(b)
		if err != nil {
			return err
		}
		if err := t.mayGoOn(); err != nil {
			return err
		}
		if err := t.clear(); err != nil {
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

// mayGoOn refuses to add to a backup.
func (t *tx) mayGoOn() error {
	if !t.head.backup {
		return nil
	}
	path := t.b.DB().Path()
	return errorOf(ErrConflict, "%s is a backup, to which nothing is added, so nothing is read out of it either; put it back with: ass vault restore %s", path, path)
}

func (s *Session) newTx(b *bbolt.Tx) *tx {
	return &tx{
		hasher: s.epoch.hasher(), b: b, by: s.by, now: s.v.opts.Now().UTC().Truncate(time.Millisecond),
		author: s.author, signers: map[string]signer{},
	}
}

// oldTx is newTx in a file that others may have damaged.
func (s *Session) oldTx(b *bbolt.Tx) (t *tx, err error) {
	t = s.newTx(b)
	t.pages, err = s.v.st.tree()
	return t, err
}

// begin reads the head and, while that costs next to nothing, checks that the
// records are those that the head counts.
func (s *Session) begin(b *bbolt.Tx) (*tx, error) {
	t, err := s.oldTx(b)
	if err != nil {
		return nil, err
	}
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

// allHold checks the MAC of every record of a bucket.
func (t *tx) allHold(bucket string) error {
	return t.walk(bucket, nil, func(k, v []byte) error { return t.checkMAC(bucket, k, v) })
}

func (t *tx) checkMAC(bucket string, k, v []byte) error {
	if r, err := parseRecord(v); err != nil || !t.macHolds(bucket, k, r) {
		return badMAC(bucket, k)
	}
	return nil
}

func badMAC(bucket string, k []byte) error {
	return damaged(recordName(bucket, k), "its MAC does not match: it was altered, or moved from another place")
}

func (t *tx) putMeta(name string, value []byte) error {
	m, err := t.bucketAt(bucketMeta, []byte(name))
	if err != nil {
		return err
	}
	return m.Put([]byte(name), value)
}

// bucketAt returns a bucket in which k can be read and written.
func (t *tx) bucketAt(name string, k []byte) (*bbolt.Bucket, error) {
	if _, err := t.pages.lookup(name, k); err != nil {
		return nil, err
	}
	return t.bucket(name)
}

// bucket returns a bucket of which no page has been checked. Whoever calls it has
// what it does there checked before.
func (t *tx) bucket(name string) (*bbolt.Bucket, error) {
	b := t.b.Bucket([]byte(name))
	if b == nil {
		return nil, damaged(t.b.DB().Path(), "its bucket %s is missing", name)
	}
	return b, nil
}

// strangers names what no program of this format put into the file.
func (t *tx) strangers() (names []string, err error) {
	err = t.b.ForEach(func(name []byte, _ *bbolt.Bucket) error {
		if !slices.Contains(allBuckets, string(name)) {
			names = append(names, fmt.Sprintf("bucket %q", name))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return names, t.walk(bucketMeta, nil, func(k, _ []byte) error {
		if !slices.Contains(metaNames, string(k)) {
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
	id, err := uuid.NewRandom()
	if err != nil {
		return err
	}
	ev.ID, ev.ActorID, ev.ActorType, ev.CreatedAt = id.String(), t.by.id, t.by.kind, t.now
	body, err := ev.Encode()
	if err != nil {
		return err
	}
	place := audit.Place{Vault: t.epoch.vid, Epoch: t.epoch.n}
	k, v, next := t.head.log.Append(place, t.by.id, t.by.sign, body)
	old, err := t.get(bucketAudit, k)
	if err == nil && old != nil {
		err = damaged(t.b.DB().Path(), "its audit log has an entry %d already", t.seq())
	}
	if err != nil {
		return err
	}
	bucket, err := t.bucket(bucketAudit)
	if err != nil {
		return err
	}
	bucket.FillPercent = 0.9 // nothing is ever inserted between two entries
	if err := bucket.Put(k, v); err != nil {
		return err
	}
	t.head.log = next
	return nil
}

// put writes a record: signed by the actor if its kind asks for it, MACed, and
// in the digest.
func (t *tx) put(bucket string, k []byte, signed bool, body any) error {
	r, err := t.make(t.by, bucket, k, signed, body)
	if err != nil {
		return err
	}
	return t.place(r)
}

// place writes a record that was made.
func (t *tx) place(r stored) error {
	if _, err := t.forget(r.bucket, r.key); err != nil {
		return err
	}
	into, err := t.bucketAt(r.bucket, r.key)
	if err != nil {
		return err
	}
	if t.pages == nil { // a new file, which is filled in order
		into.FillPercent = 0.9
	}
	t.head.digest.add(r.term)
	t.head.count++
	return into.Put(r.key, r.value)
}

// forget takes what stands at k out of the digest, if anything does.
func (t *tx) forget(bucket string, k []byte) (there bool, err error) {
	old, err := t.get(bucket, k)
	if err != nil || old == nil {
		return false, err
	}
	m := macOf(old)
	t.head.digest.sub(t.digest(bucket, k, m[:]))
	t.head.count--
	return true, nil
}

// get returns the stored bytes at k, nil for none. They are valid until the
// transaction ends. None is believed once the page behind is where the one above says,
// which says on which of the two k would stand.
func (t *tx) get(bucket string, k []byte) ([]byte, error) {
	from, err := t.bucketAt(bucket, k)
	if err != nil {
		return nil, err
	}
	v := from.Get(k)
	if v == nil {
		_, err = t.pages.from(bucket, k, 1)
	}
	return v, err
}

// remove takes a record away, if it is there.
func (t *tx) remove(bucket string, k []byte) error {
	if there, err := t.forget(bucket, k); err != nil || !there {
		return err
	}
	if err := t.pages.removal(bucket, k); err != nil {
		return err
	}
	from, err := t.bucket(bucket)
	if err != nil {
		return err
	}
	return from.Delete(k)
}

// count says how many records a bucket has.
func (t *tx) count(bucket string) (n int, err error) {
	err = t.walk(bucket, nil, func(_, _ []byte) error { n++; return nil })
	return n, err
}

// signed reads a record of a kind that carries a signature, checks it and decodes
// it into body. It returns ErrNotFound if there is none.
func (t *tx) signed(bucket string, k []byte, body any) (record, error) {
	v, err := t.stored(bucket, k)
	if err != nil {
		return record{}, err
	}
	return t.decodeSigned(bucket, k, v, body)
}

// stored is get for what has to be there: it returns ErrNotFound if it is not.
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

// absent returns an error unless the records hold among which k would stand: a
// damaged key hides its record, which does not hold under it.
func (t *tx) absent(bucket string, k []byte) error {
	leaf, err := t.pages.lookup(bucket, k)
	if err != nil || leaf.held {
		return err
	}
	err = t.pages.records(leaf, func(k, v []byte) error { return t.checkMAC(bucket, k, v) })
	leaf.held = err == nil
	return err
}

// decodeSigned is decode for the kinds that carry a signature, which it checks.
func (t *tx) decodeSigned(bucket string, k, v []byte, body any) (record, error) {
	r, err := t.decode(bucket, k, v, body)
	if err != nil {
		return record{}, err
	}
	return r, t.checkSignature(bucket, k, r)
}

func (t *tx) checkSignature(bucket string, k []byte, r record) error {
	return t.hasher.checkSignature(t.signer(bucket, r.by), bucket, k, r)
}

var errNoRight = errors.New("no right to write it")

// signer looks up who a record says that it is by.
func (t *tx) signer(bucket, by string) signer {
	if !maySignAny(bucket, by) { // before its author is looked up, which reads such records
		return signer{by: by, err: errNoRight}
	}
	who, err := t.author(t, by)
	who.by, who.err = by, err
	return who
}

// walk calls fn for every key of a bucket that begins with prefix, in order,
// with the stored bytes. Both are valid until fn returns.
func (t *tx) walk(bucket string, prefix []byte, fn func(k, v []byte) error) error {
	from, err := t.bucket(bucket)
	if err != nil {
		return err
	}
	return t.pages.walk(bucket, from, prefix, fn)
}

// recordName names a record for people.
func recordName(bucket string, k []byte) string {
	if path, version, ok := cutVersionKey(k); ok && bucket == bucketVersions {
		return fmt.Sprintf("%s version %d", path, version)
	}
	switch bucket {
	case bucketRecipients:
		return fmt.Sprintf("published recipient %x", k)
	case bucketSecrets:
		return fmt.Sprintf("%q", k)
	case bucketGrants:
		return fmt.Sprintf("grant %x", k)
	case bucketAsks, bucketAnswers:
		if asker, id, ok := cutAskKey(k); ok {
			return fmt.Sprintf("%s/%s of %q", bucket, id, asker)
		}
	}
	return fmt.Sprintf("%s/%q", bucket, k)
}
