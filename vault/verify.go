package vault

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"iter"
	"slices"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/bolt"
	"ass/vault/internal/fault"
)

// Report is what a verification found.
type Report struct {
	Entries  uint64 // in the audit log
	Archived uint64 // number of the last archived entry; 0 for none
	Records  uint64
	Epoch    uint32
	Problems []string // empty if everything is valid

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
	if err := bolt.CheckFile(v.s.v.path); err != nil {
		return v.Report, err
	}
	err := v.s.viewUnchecked(func(t *tx) error {
		v.t = t
		return v.run()
	})
	return v.Report, err
}

// verification is one run of [Session.Verify].
type verification struct {
	Report
	s           *Session
	t           *tx
	values      bool
	again       bool                   // begin where an earlier verification ended
	newest      map[string]logged      // by path or agent id: the newest entry that changed it
	versions    map[string]logged      // by version key: the entry that wrote it
	numbers     map[string][]uint64    // by path: the version numbers in versions
	tiers       map[string]tokens.Tier // by path: highest tier found, unless the owner lowered it
	unclear     map[uint64]bool        // invalid entries: the records they describe are not reported
	lastUnclear uint64
	cutFrom     uint64                // the same for all entries from this one on; 0 for none
	heads       map[string]secretBody // by path: heads with a valid signature
	known       map[string]knownActor // by id: agents and tokens, as the log describes them
	revoked     map[string]bool       // by id: agents that an entry revokes
	told        map[string]uint64     // by id: the entry about a token, a request or a decision
	grants      map[string]bool       // by grantee: whether its grant is valid
	from        checkpoint            // what is known before the first entry
	earlier     uint64                // how many entries were not checked again, being unchanged
	sum         hash.Hash             // over the log, up to where the walk is
	scratch     []byte
	logHolds    bool       // whether every entry that is here is valid
	cutAt       uint64     // the entry after which to keep what was learned; 0 for none
	copies      []copyAt   // copies of the vault that the entries up to cutAt mention
	passed      checkpoint // what was learned up to cutAt
	inEpoch     uint32     // the epoch of the next entries
	began       uint64     // the entry that began that epoch
	suspects    []suspect
	lastAt      time.Time // the latest date of an entry
}

func newVerification(s *Session) *verification {
	return &verification{
		s: s, newest: map[string]logged{}, versions: map[string]logged{}, numbers: map[string][]uint64{},
		tiers: map[string]tokens.Tier{}, unclear: map[uint64]bool{},
		sum: sha256.New(), heads: map[string]secretBody{}, known: map[string]knownActor{}, revoked: map[string]bool{},
		told: map[string]uint64{}, grants: map[string]bool{},
	}
}

// logged is what the log says of a record.
type logged struct {
	seq  uint64
	by   string
	left bool // whether the record exists after the entry

	version uint64 // of a secret
	tier    tokens.Tier
	deleted bool
}

// suspect is an entry that contradicts those before it. If one of those is invalid, the
// suspect is not reported.
type suspect struct {
	seq     uint64
	problem string
}

func (v *verification) found(format string, args ...any) {
	v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
}

func (v *verification) run() error {
	v.Remembered = v.s.v.seen.Seq > 0
	err := v.t.readHead()
	headHolds := err == nil
	if !headHolds {
		v.found("%v; so the expected records and entries are unknown", err)
	}
	from, err := v.t.checkpoint()
	v.Archived = from.Cut
	if err == nil && v.again {
		from = v.recall(from)
	}
	if err == nil {
		err = v.begin(from)
	}
	if err != nil {
		v.found("%v", err)
	}
	last, err := v.log()
	if err != nil {
		return err
	}
	if v.t.head.backup {
		v.t.head.log.Key = last.Key // a backup leaves this key out
	}
	if cut := last.Seq < v.t.head.log.Seq; headHolds && (cut || len(v.unclear) == 0) {
		if problem := last.Differs(v.t.head.log); problem != "" {
			v.found("audit log: %s", problem)
		}
		if cut {
			v.cutFrom = last.Seq + 1
		}
	}
	if back := v.s.v.back; back != nil {
		v.found("audit log: %s", back)
	}
	strangers, err := v.t.strangers()
	if err != nil {
		return err
	}
	for _, name := range strangers {
		v.found("%s: it does not belong in a vault", name)
	}
	for _, name := range recordBuckets {
		if err := v.bucket(name); err != nil {
			return err
		}
	}
	if err := v.missingGrants(); err != nil {
		return err
	}
	for path, l := range v.newest {
		if l.left && !v.unclearBehind(l.seq) { // otherwise an unreadable entry may be its purge
			v.found("%q: its record is missing, though log entry %d wrote it", path, l.seq)
		}
	}
	if headHolds {
		sum, count, err := v.t.sum()
		if err != nil {
			return err
		}
		if sum != v.t.head.digest || count != v.t.head.count {
			v.found("records: they do not match the head (found %d, expected %d): a record was put back, removed or replaced",
				count, v.t.head.count)
		}
	}
	if len(v.Problems) == 0 {
		return v.keep(last)
	}
	return nil
}

// log checks the audit log and learns what the records should be.
func (v *verification) log() (audit.Position, error) {
	var walked error
	last := v.checkLog(v.t.head.log.Seq, v.behind(&walked))
	if n := v.s.epoch.N; v.Epoch != n {
		if v.logHolds {
			v.found("audit log: it ends in epoch %d, but the vault is in epoch %d", v.Epoch, n)
		}
		v.Epoch = n
	}
	return last, walked
}

// checkLog is log for entries from any source. end is the number of the last
// entry; 0 if unknown.
func (v *verification) checkLog(end uint64, stored iter.Seq2[[]byte, []byte]) audit.Position {
	check := audit.Verifier{
		Epoch:    v.from.Epoch,
		After:    v.from.after(v.s.root),
		Vault:    v.s.epoch.Vault,
		FirstKey: func(epoch uint32, seq uint64) [32]byte { return v.s.root.AuditKey(epoch, seq) },
		SignedBy: v.signedBy,
		Own:      v.s.root.Sign,
		Visit:    v.learn,
		Last:     end,
	}
	v.inEpoch, v.began = v.from.Epoch, v.from.Began
	last, epoch, findings := check.Verify(func(yield func(k, val []byte) bool) {
		for k, val := range stored {
			v.count(end)
			if !yield(k, val) {
				return
			}
		}
	})
	if v.cutAt == last.Seq {
		v.pass()
	}
	for _, f := range findings {
		v.found("%v", f)
		for n := f.Seq; n <= max(f.Seq, f.To); n++ {
			v.unclear[n] = true
			v.lastUnclear = max(v.lastUnclear, n)
		}
	}
	for _, s := range v.suspects {
		if len(findings) == 0 || s.seq < findings[0].Seq {
			v.found("%s", s.problem)
		}
	}
	v.logHolds, v.Epoch = len(findings) == 0, epoch
	return last
}

func (v *verification) count(end uint64) {
	if v.Entries++; v.Entries%1000 == 0 {
		v.s.v.opts.Progress(int(v.Entries), int(end))
	}
}

var errStop = errors.New("no more is asked for")

func (v *verification) isUnclear(seq uint64) bool {
	return v.unclear[seq] || v.cutFrom > 0 && seq >= v.cutFrom
}

func (v *verification) unclearBehind(seq uint64) bool {
	return v.cutFrom > 0 || v.lastUnclear > seq
}

func (v *verification) learn(seq uint64, by string, ev audit.Event, checked bool) {
	if ev.CreatedAt.After(v.lastAt) {
		v.lastAt = ev.CreatedAt
	}
	if v.cutAt > 0 && seq == v.cutAt+1 {
		v.pass()
	}
	if ev.Epoch != 0 {
		v.inEpoch, v.began = ev.Epoch, seq
	}
	if v.cutAt == 0 || seq <= v.cutAt {
		v.copies = append(v.copies, copiesIn(ev)...)
	}
	v.learnActor(seq, by, ev, checked)
	if seq > v.from.Seq { // the checkpoint covers all earlier changes
		v.learnSecret(seq, by, ev, checked)
	}
}

// learnSecret learns what an entry did to a secret. If the entry was not checked,
// learnSecret believes neither its version number nor a lower tier.
func (v *verification) learnSecret(seq uint64, by string, ev audit.Event, checked bool) {
	if ev.Type == audit.SecretImported {
		v.learnImport(seq, by, ev, checked)
		return
	}
	changed, left := ev.Writes()
	if !changed {
		return
	}
	if who, ok := v.known[by]; ok && !who.may(ev) {
		v.found("audit entry %d: %s by %q, whose scopes do not cover %q", seq, ev.Type, by, ev.ResourceID)
	}
	l := logged{seq: seq, by: by, left: left, deleted: ev.Type == audit.SecretDeleted}
	if n, ok := ev.Metadata["version"].(float64); ok {
		l.version = uint64(n)
	}
	if text, ok := ev.Metadata["tier"].(string); ok {
		l.tier, _ = tokens.ParseTier(text)
	}
	if problem := l.follows(v.newest[ev.ResourceID], ev.WritesValue()); problem != "" {
		v.suspects = append(v.suspects, suspect{seq, fmt.Sprintf("audit entry %d: %s, but before it %q was %s", seq, problem,
			ev.ResourceID, v.newest[ev.ResourceID])})
	}
	if !checked {
		l.version = v.newest[ev.ResourceID].version
	}
	v.newest[ev.ResourceID] = l
	if ev.Type == audit.SecretPurged && checked && by == audit.Owner { // what follows is a new secret
		delete(v.tiers, ev.ResourceID)
	}
	if l.tier > v.tiers[ev.ResourceID] || l.tier > 0 && checked && by == audit.Owner {
		v.tiers[ev.ResourceID] = l.tier
	}
	if p, err := tokens.ParsePath(ev.ResourceID); err == nil && ev.WritesValue() && checked {
		v.wrote(p, l.version, l)
	}
}

// wrote notes which entry wrote a version.
func (v *verification) wrote(p tokens.Path, n uint64, l logged) {
	k := string(versionKey(p, n))
	if _, again := v.versions[k]; !again {
		v.numbers[p.String()] = append(v.numbers[p.String()], n)
	}
	v.versions[k] = l
}

// follows returns how an entry about a secret contradicts the one before it; "" if
// it does not. value says whether the entry writes a value.
func (l logged) follows(before logged, value bool) string {
	switch {
	case !l.left:
		return ""
	case !before.left && (l.version != 1 || !value):
		return fmt.Sprintf("it records version %d", l.version)
	case !before.left:
		return ""
	case value && l.version != before.version+1, !value && l.version != before.version:
		return fmt.Sprintf("it records version %d", l.version)
	case l.tier != before.tier && l.by != audit.Owner:
		return fmt.Sprintf("%q changed the tier to %s", l.by, l.tier)
	}
	return ""
}

func (l logged) String() string {
	if !l.left {
		return "not there"
	}
	return fmt.Sprintf("at version %d, %s", l.version, l.tier)
}

// learnImport splits an import, which is one entry about many secrets, into one per secret.
func (v *verification) learnImport(seq uint64, by string, ev audit.Event, checked bool) {
	keys, _ := ev.Metadata["keys"].([]any)
	versions, _ := ev.Metadata["versions"].([]any)
	tiers, _ := ev.Metadata["tiers"].([]any)
	if len(keys) != len(versions) || len(keys) != len(tiers) {
		v.found("audit entry %d: it is not a valid import", seq)
		return
	}
	for i := range keys {
		one := ev
		key, _ := keys[i].(string)
		one.Type, one.ResourceID = audit.SecretUpdated, ev.ResourceID+"/"+key
		one.Metadata = map[string]any{"version": versions[i], "tier": tiers[i]}
		v.learnSecret(seq, by, one, checked)
	}
}

// holds reports whether a record was written with the log entry l. Its author is
// that of the entry, or the owner: the owner signs other authors' records anew at a
// rewrite and when a tier is lowered.
func (l logged) holds(seq uint64, by string) bool {
	return seq == l.seq && (by == l.by || by == audit.Owner)
}

func (v *verification) bucket(name string) error {
	check := map[string]func(k, val []byte) error{
		bucketRecipients: v.recipient, bucketSecrets: v.secret, bucketVersions: v.version, bucketReseal: v.reseal,
		bucketAgents: v.agent, bucketGrants: v.grant, bucketTokens: v.token, bucketUses: v.uses,
		bucketRequests: v.request, bucketDecisions: v.decision,
	}[name]
	return v.t.walk(name, nil, func(k, val []byte) error {
		v.Records++
		if err := check(k, val); err != nil {
			v.found("%v", err)
		}
		return nil
	})
}

func (v *verification) secret(k, val []byte) error {
	l, known := v.newest[string(k)]
	delete(v.newest, string(k))
	head, r, err := secretKind.read(v.t, k, val)
	if err != nil {
		return err
	}
	v.heads[string(k)] = head
	p, err := tokens.ParsePath(string(k))
	switch {
	case err != nil:
		return secretKind.damaged(k, "its key is not a path")
	case v.isUnclear(head.Seq):
	case !known || !l.left:
		return fault.Damaged(p.String(), "no log entry accounts for it")
	case !l.holds(head.Seq, r.by):
		return fault.Damaged(p.String(), "it does not match log entry %d, the newest about it: an old record was put back",
			l.seq)
	case head.Version != l.version || head.Tier != l.tier || (head.DeletedAt != nil) != l.deleted:
		return fault.Damaged(p.String(), "it does not match log entry %d, the newest about it", l.seq)
	}
	numbers, err := v.t.versionNumbers(p)
	if err != nil {
		return err
	}
	have := map[uint64]bool{}
	for _, n := range numbers {
		have[n] = true
	}
	for _, n := range slices.Sorted(slices.Values(v.numbers[p.String()])) {
		if n <= head.Version && !have[n] {
			v.found("%s version %d: it is missing", p, n)
		}
	}
	return nil
}

func (v *verification) version(k, val []byte) error {
	body, r, err := versionKind.read(v.t, k, val)
	if err != nil {
		return err
	}
	text, n, _ := cutVersionKey(k)
	p, err := tokens.ParsePath(text)
	if err != nil {
		return versionKind.damaged(k, "its key is not a path and a version")
	}
	name := versionKind.recordName(k)
	head, holds := v.heads[text]
	switch l, known := v.versions[string(k)]; {
	case !holds:
		return fault.Damaged(name, "its secret has no valid record")
	case n > head.Version:
		return fault.Damaged(name, "the secret is only at version %d: an old version was put back", head.Version)
	case body.Tier > head.Tier:
		return fault.Damaged(name, "its tier %s is above that of its secret, %s", body.Tier, head.Tier)
	case !v.isUnclear(body.Seq) && (!known || !l.holds(body.Seq, r.by)):
		return fault.Damaged(name, "it does not match what the log says was written")
	}
	if len(body.Recipient) > 0 {
		if listed, err := v.t.get(bucketReseal, k); listed == nil {
			return errors.Join(err, fault.Damaged(name, "it is sealed to a published recipient but not listed as such"))
		}
	}
	if v.values {
		_, err = v.s.openVersion(v.s.epoch, body, p, n)
	}
	return err
}
