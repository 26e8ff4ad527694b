package vault

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"slices"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/fault"
	"ass/vault/internal/keys"
)

// Report is what a verification found.
type Report struct {
	Entries  uint64 // in the audit log
	Archived uint64 // number of the last archived entry; 0 for none
	Records  uint64
	Epoch    uint32
	Receipt  Receipt  // of the last entry of the log
	Problems []string // empty if everything is valid
	Ahead    []string // what is dated ahead of this machine's clock; no problem, as the clock may be wrong

	// Miscounted says how the numbers that [Vault.Info] shows differ from the records. Nothing else goes by them, so it
	// stops no act.
	Miscounted []string

	// Verified is the number of the last entry that this run did not check again: an
	// earlier verification on this machine found it valid, at VerifiedAt, and it is
	// unchanged. 0 means none.
	Verified   uint64
	VerifiedAt time.Time

	// Unread is why this machine's note of an earlier verification could not be read, so
	// that every entry was checked; nil if it could, or if there is none.
	Unread error

	// Remembered reports whether this machine had seen the vault before. If not, it
	// cannot recognise an older copy.
	Remembered bool
}

// Err returns an error about the first problem, or nil if there is none. The message
// begins with consequence, which says what does not happen because of the problem.
func (r Report) Err(where, consequence string) error {
	if len(r.Problems) == 0 {
		return nil
	}
	return fault.Damaged(where, "%s: %s", consequence, r.Problems[0])
}

// Verify checks the whole vault, as only the owner can; for others it returns
// [ErrDenied]. It checks the place, the MAC and the signature of every record, the
// digest of all records, and every log entry, with keys from the root. It compares
// the log with what this machine remembers of it, and each secret's record with the
// newest entry about its path. If values is true, it also opens every stored value.
//
// If damage stops the walk itself, Verify returns an error. All other problems are
// in the report.
func (s *Session) Verify(values bool) (Report, error) {
	v := newVerification(s)
	v.values = values
	if err := s.mayOnlyOwner("verify the vault", "", ""); err != nil {
		return v.Report, err
	}
	return v.verify()
}

// Reverify is Verify without values, but it skips some log entries: if an earlier
// verification by the owner on this machine found them valid, and every byte is
// unchanged, it does not check them again.
func (s *Session) Reverify() (Report, error) {
	v := newVerification(s)
	v.again = true
	if err := s.mayOnlyOwner("verify the vault", "", ""); err != nil {
		return v.Report, err
	}
	return v.verify()
}

func (v *verification) verify() (Report, error) {
	err := v.s.viewUnchecked(func(t *tx) error {
		v.t, t.both = t, true // the owner's MACs prove nothing to agents
		if v.backup == nil {
			return v.run()
		}
		t.walked = v.backup.walked
		if err := v.run(); err != nil {
			return err
		}
		v.backup.end, v.backup.heads = t.mark(), v.met
		return t.walkRest()
	})
	if err == nil {
		err = v.s.v.db.CheckPages()
	}
	return v.Report, err
}

// verification is one run of [Session.Verify]: it learns the story of the log, and holds the records against it.
type verification struct {
	Report
	told   *story
	s      *Session
	t      *tx
	values bool
	again  bool                // begin where an earlier verification ended
	met    map[string]*metHead // by path or agent id: what is there; nil unless it is a head that holds
	grants map[string]bool     // by grantee: whether its grant is valid
	backup *verifiedCopy       // gets what a restore needs; nil if there is none

	headHolds bool

	aheadEntries, aheadRecords aheads

	earlier uint64    // how many entries were not checked again, being unchanged
	sum     hash.Hash // over the log, up to where the walk is
	scratch []byte

	counted counts // the records
	digest  digest // of the records
}

// metHead is the head of a secret that holds.
type metHead struct {
	secretBody
	versions int // how many of its versions are there of which the log tells
}

func newVerification(s *Session) *verification {
	v := &verification{told: newStory(s.root), s: s, sum: sha256.New(), met: map[string]*metHead{},
		grants: map[string]bool{}}
	v.told.live, v.told.dated = true, v.datedEntry
	return v
}

func (v *verification) found(format string, args ...any) {
	v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
}

func (v *verification) run() error {
	v.Remembered = v.s.v.seen.Seq > 0
	last, err := v.learn()
	if err != nil {
		return err
	}
	v.Receipt = Receipt{last.Seq, last.LastMAC}
	if err := v.seals(); err != nil {
		return err
	}
	strangers, err := v.t.strangers(v.s.metaNames())
	if err != nil {
		return err
	}
	for _, name := range strangers {
		v.found("%s: it does not belong in a vault", name)
	}
	for _, name := range recordBuckets(v.t.Format) {
		if err := v.bucket(name); err != nil {
			return err
		}
	}
	v.Ahead = append(v.aheadEntries.lines("log entries"), v.aheadRecords.lines("records")...)
	if err := v.missingGrants(); err != nil {
		return err
	}
	if err := v.missing(); err != nil {
		return err
	}
	if v.headHolds && (v.digest != v.t.head.digest || v.Records != v.t.head.count) {
		v.found("records: they do not match the head (found %d, expected %d): a record was put back, removed or replaced",
			v.Records, v.t.head.count)
	}
	if len(v.Problems) > 0 { // so it is no wonder if the counts are others
		return nil
	}
	if v.Miscounted, err = v.t.miscounted(v.counted); err != nil {
		return err
	}
	return v.keep(last)
}

// seals checks both seals of the root. One of them opened the vault. The other is for whoever
// has no more than age.
func (v *verification) seals() error {
	if v.s.epoch.Format < keys.Format2 {
		return nil // Owner has seen to that
	}
	file, err := v.t.get(bucketMeta, []byte(metaRoot))
	if err != nil {
		return err
	}
	name := v.s.owner.WrapName(v.s.epoch.Vault)
	wrap, err := v.t.get(bucketMeta, []byte(name))
	if err != nil {
		return err
	}
	plain, err := keys.OpenAs(v.s.owner, file)
	defer clear(plain)
	switch {
	case err != nil:
		v.found("meta/%s: it does not decrypt with the owner key: it was modified or replaced", metaRoot)
	case !bytes.Equal(plain, v.s.root.Key[:]):
		v.found("meta/%s: it is not the root of this vault: it was replaced", metaRoot)
	}
	k, err := keys.OpenWrap(v.s.owner, v.s.epoch.Vault, wrap)
	defer k.Wipe()
	switch {
	case err != nil:
		v.found("meta/%s: it does not decrypt with the owner key: it was modified or replaced", name)
	case k != v.s.root.Key:
		v.found("meta/%s: it is not the root of this vault: it was replaced", name)
	}
	if _, err := v.s.waysIn(v.t, nil); err != nil {
		v.found("%v", err)
	}
	return nil
}

// learnLog reads the log for an act that needs what it tells. again says whether to go on from the note of an earlier
// verification on this machine, which knows no names of agents.
func (s *Session) learnLog(t *tx, again bool) (v *verification, last audit.Position, err error) {
	v = newVerification(s)
	v.t, v.again = t, again
	last, err = v.learn()
	return v, last, err
}

// learn checks the log, compares its end with the head and with what this machine remembers, and returns
// where it ends.
func (v *verification) learn() (last audit.Position, err error) {
	err = v.t.readHead()
	if v.headHolds = err == nil; !v.headHolds {
		var newer *newerError
		if errors.As(err, &newer) {
			return last, err
		}
		v.found("%v; so the expected records and entries are unknown", err)
	}
	from, err := v.t.checkpoint()
	v.Archived, v.told.whole = from.Cut, err == nil && from.Cut == 0
	if err == nil && v.again {
		from = v.recall(from)
	}
	if err == nil {
		err = v.told.begin(from)
	}
	if err != nil {
		v.found("%v", err)
	}
	if last, err = v.log(); err == nil {
		err = refuseNewer(v.s.v.path, v.told.features)
	}
	if err != nil {
		return last, err
	}
	if v.headHolds && v.told.holds && !slices.Equal(v.told.features, v.t.head.features) {
		v.found("meta/head: its features are not those of the entry that began the epoch")
	}
	if v.t.head.backup {
		v.t.head.log.Key = last.Key // a backup leaves this key out
	}
	if cut := last.Seq < v.t.head.log.Seq; v.headHolds && (cut || len(v.told.findings) == 0) {
		if problem := last.Differs(v.t.head.log); problem != "" {
			v.found("audit log: %s", problem)
		}
		if cut {
			v.told.cutFrom = last.Seq + 1
		}
	}
	if back := v.s.v.back; back != nil {
		v.found("audit log: %s", back)
	}
	return last, nil
}

// doubts returns what learn found wrong with the log and its end, and which values of others an entry replaced. It
// leaves out what a valid entry says in vain.
func (v *verification) doubts() (list []string) {
	for _, problem := range v.Problems {
		if !slices.Contains(v.told.problems, problem) {
			list = append(list, problem)
		}
	}
	for _, f := range v.told.findings {
		list = append(list, f.String())
	}
	return append(list, v.told.overwritten...)
}

// log checks the audit log and learns what the records should be.
func (v *verification) log() (audit.Position, error) {
	var walked error
	last := v.told.read(v.t.head.log.Seq, v.behind(&walked), v.s.v.opts.Progress)
	v.told.endsIn(v.s.epoch)
	v.Problems = append(v.Problems, v.told.problems...)
	v.Entries, v.Epoch = v.told.entries, v.s.epoch.N
	return last, walked
}

var errStop = errors.New("no more is asked for")

func (v *verification) bucket(name string) error {
	switch name {
	case bucketSecrets: // these are many, so all cores check them
		return checkAll(v.t, secretKind, nil, func(c *checked[secretBody]) error {
			v.record(name, c.counts, c.term, v.secret(c))
			return nil
		})
	case bucketVersions:
		return checkAll(v.t, versionKind, v.opener, func(c *checked[versionBody]) error {
			v.record(name, c.counts, c.term, v.version(c))
			return nil
		})
	}
	check := map[string]func(k, val []byte) error{
		bucketRecipients: v.recipient, bucketReseal: v.reseal, bucketAgents: v.agent, bucketGrants: v.grant,
		bucketTokens: v.token, bucketUses: v.uses, bucketRequests: v.request, bucketDecisions: v.decision, bucketTiers: v.tier,
	}[name]
	return v.t.walk(name, nil, func(k, val []byte) error {
		m := macOf(val)
		v.record(name, standingIn(name, val), v.t.digest(name, k, m[:]), check(k, val))
		return nil
	})
}

// record counts a record, and notes what is wrong with it.
func (v *verification) record(bucket string, is standing, term digest, problem error) {
	v.Records++
	v.counted.tally(bucket, is, 1)
	v.digest.add(term)
	if problem != nil {
		v.found("%v", problem)
	}
}

func (v *verification) secret(c *checked[secretBody]) error {
	name := string(c.k)
	v.met[name] = nil
	if c.err != nil {
		return c.err
	}
	head := &metHead{secretBody: c.body}
	v.met[name] = head
	v.dated(secretKind.rules, c.k, head.CreatedAt, head.UpdatedAt, dateOf(head.DeletedAt))
	p, err := tokens.ParsePath(name)
	if err != nil {
		return secretKind.damaged(c.k, "its key is not a path")
	}
	return v.told.head(p, head.secretBody, c.is)
}

// missing names the records and the versions of which the log tells, and which are not there.
func (v *verification) missing() error {
	var names []string
	for name, r := range v.told.records {
		switch head, met := v.met[name]; {
		case !met && r.there() && !v.told.unclearBehind(r.Seq), // else an unreadable entry may be its purge
			head != nil && head.versions < r.upTo(head.Version):
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		r, head := v.told.records[name], v.met[name]
		if head == nil {
			v.found("%q: its record is missing, though log entry %d wrote it", name, r.Seq)
			continue
		}
		for _, of := range r.Versions[:r.upTo(head.Version)] {
			if there, err := v.t.get(bucketVersions, versionKeyOf(name, of.Number)); err != nil {
				return err
			} else if there == nil {
				v.found("%s version %d: it is missing", name, of.Number)
			}
		}
	}
	return nil
}

// opener returns a function that opens the value of a version, if that is asked for.
func (v *verification) opener() func(*checked[versionBody]) {
	own := v.s.inOrder()
	return func(c *checked[versionBody]) {
		text, n, _ := cutVersionKey(c.k)
		if p, err := tokens.ParsePath(text); err == nil && v.values {
			var value []byte
			value, c.closed = own.openVersion(v.s.epoch, c.body, p, n)
			clear(value)
		}
	}
}

func (v *verification) version(c *checked[versionBody]) error {
	text, n, _ := cutVersionKey(c.k)
	head := v.met[text]
	if head != nil && n <= head.Version {
		if _, told := v.told.records[text].version(n); told {
			head.versions++
		}
	}
	if c.err != nil {
		return c.err
	}
	k, body := c.k, c.body
	p, err := tokens.ParsePath(text)
	if err != nil {
		return versionKind.damaged(k, "its key is not a path and a version")
	}
	if v.backup != nil {
		v.backup.wrote[string(k)] = body.origin().Seq
	}
	name := versionKind.recordName(k)
	v.dated(versionKind.rules, k, body.CreatedAt)
	switch {
	case head == nil:
		return fault.Damaged(name, "its secret has no valid record")
	case n > head.Version:
		return fault.Damaged(name, "the secret is only at version %d: an old version was put back", head.Version)
	case body.Tier > head.Tier:
		return fault.Damaged(name, "its tier %s is above that of its secret, %s", body.Tier, head.Tier)
	}
	if err := v.told.version(p, n, body, c.is); err != nil {
		return err
	}
	if len(body.Recipient) > 0 {
		if listed, err := v.t.get(bucketReseal, k); listed == nil {
			return errors.Join(err, fault.Damaged(name, "it is sealed to a published recipient but not listed as such"))
		}
	}
	return c.closed
}
