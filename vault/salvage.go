package vault

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/google/uuid"

	"ass/audit"
	"ass/tokens"
)

// Salvaged is what a salvage got out of a damaged file.
type Salvaged struct {
	Secrets  int
	Versions int
	Agents   int
	Entries  int      // of the log
	Lost     []string // what the log, or a record, says should be there
	LogFile  string   // where the log is, if it does not hold in everything; else it is in the vault
	Reviving []string // agents that are active, though the entries that cannot be read may have revoked them
	Epoch    uint32
}

// Salvage makes a new vault, where nothing may be, of what can be found in the
// damaged file of one, which it only reads: every record whose MAC holds, whether or
// not the structure of the file still leads to it. Tokens and requests end. Where the
// log has holes, it is kept in a file beside the new vault instead of in it.
//
// A file in which the owner's key finds no root is [ErrWrongKey], or beyond salvage.
func Salvage(damagedFile, to string, id *Identity, o Options) (r Salvaged, err error) {
	o = o.withDefaults()
	defer func() {
		if err != nil {
			err = notMade("nothing was salvaged", err)
		}
	}()
	if err := checkTarget(to); err != nil {
		return r, err
	}
	part := to + partSuffix
	for _, name := range []string{part, part + newSuffix} { // which are removed on the way
		if sameFile(name, damagedFile) {
			return r, errorOf(ErrConflict, "%s would be written over on the way: choose another name", damagedFile)
		}
	}
	found, err := scanFile(damagedFile)
	if err != nil {
		return r, err
	}
	w := &salvage{path: damagedFile, found: found, id: id}
	if err := w.findKeys(o); err != nil {
		return r, err
	}
	w.findEnd()
	seen := memory{o.MemoryDir}.recall(w.s.epoch.vid)
	w.end = max(w.end, seen.Seq)
	if err := w.readLog(w.s); err != nil {
		return r, err
	}
	if v, ok := w.log.values[seen.Seq]; ok && macOf(v) != seen.MAC {
		w.told.found("audit log: this machine saw another entry %d", seen.Seq)
	}
	lock, err := lockVault(to, false, o)
	if err != nil {
		return r, err
	}
	defer lock.release()
	if err := clearPart(part, damagedFile); err != nil {
		return r, err
	}
	defer os.Remove(part) // unless it has moved
	if err := makeFile(part, w.fill); err != nil {
		return r, err
	}
	// What was found is a vault now, in which anything may be missing. A rewrite leaves
	// behind what does not hold together, and the owner vouches for the rest.
	v := &Vault{path: part, opts: o, lock: &fileLock{}, st: &store{path: part}, vid: w.s.epoch.vid}
	v.opts.MemoryDir = "" // which remembers vaults that are in use
	w.s.v = v
	if err := v.st.open(false); err != nil {
		return r, errors.Join(err, v.st.close())
	}
	r, err = w.settle(to)
	if err = errors.Join(err, v.st.close()); errors.Is(err, ErrMaybeDone) {
		err = errors.New(err.Error()) // the file is removed
	}
	if err == nil {
		err = moveNew(part, to)
	}
	return r, Archived{File: r.LogFile}.orGone(err)
}

// salvage is one run.
type salvage struct {
	path  string
	found []element
	id    *Identity
	s     *Session
	epoch []byte // as it is stored
	end   uint64 // the last entry that there was; 0 if that is not known
	sure  bool   // whether that is what the newest head says
	log   scannedLog
	told  *verification
	last  audit.Position
	lost  []string
}

// findKeys finds the root and the newest epoch.
func (w *salvage) findKeys(o Options) error {
	var root *rootKeys
	tried, binds := map[string]bool{}, map[string]bool{}
	roots := 0
	for _, e := range w.found {
		if string(e.key) == metaBind {
			binds[string(e.value)] = true
		}
	}
	for _, e := range w.found {
		if root != nil || string(e.key) != metaRoot || tried[string(e.value)] {
			continue
		}
		tried[string(e.value)] = true
		roots++
		plain, err := w.id.open(e.value)
		if err != nil || len(plain) != len(key{}) {
			continue
		}
		r := newRootKeys(key(plain))
		if want := r.bind(w.id.text); binds[string(want[:])] {
			root = r
		}
	}
	switch {
	case roots == 0:
		return notVault(w.path, "it has no root of a vault in it: nothing can be salvaged")
	case root == nil:
		return errorOf(ErrWrongKey, "this owner key does not open what is in %s", w.path)
	}
	if w.findEpoch(root, o); w.s == nil {
		return notVault(w.path, "the key of its epoch cannot be found: nothing can be salvaged")
	}
	return nil
}

// findEpoch finds the newest epoch of a root, if there is any.
func (w *salvage) findEpoch(root *rootKeys, o Options) {
	v := &Vault{path: w.path, opts: o, vid: root.vid}
	for _, e := range w.found {
		if string(e.key) != metaEpoch || len(e.value) < 4 {
			continue
		}
		n := uint32(e.value[0])<<24 | uint32(e.value[1])<<16 | uint32(e.value[2])<<8 | uint32(e.value[3])
		k, ctx := root.epochWrap(n)
		secret, err := open(k, ctx, e.value[4:])
		if err == nil && len(secret) == len(key{}) && (w.s == nil || n > w.s.epoch.n) {
			w.s, w.epoch = v.ownerSession(root, n, key(secret)), e.value
		}
	}
}

// findEnd finds the head, and drops what a process that died was about to write
// behind it.
func (w *salvage) findEnd() {
	rank := -1
	for _, e := range w.found {
		if string(e.key) != metaHead || e.rank < rank {
			continue
		}
		plain, err := open(w.s.epoch.headKey(), w.s.epoch.headContext(), e.value)
		if err != nil {
			continue
		}
		if h, err := decodeHead(plain); err == nil {
			w.end, rank = max(w.end, h.log.Seq), e.rank
		}
	}
	if w.sure = rank == inNewest; !w.sure {
		return
	}
	w.found = slices.DeleteFunc(w.found, func(e element) bool {
		if e.rank == inNewest {
			return false
		}
		if r, err := parseRecord(e.value); err == nil {
			return seqIn(r) > w.end
		}
		_, err := audit.Parse(e.value)
		return err == nil && audit.Seq(e.key) > w.end
	})
}

// seqIn is the number of the entry that tells of a record, as far as it can be read.
func seqIn(r record) uint64 {
	var body struct {
		Seq uint64 `json:"seq"`
	}
	_ = json.Unmarshal(r.body, &body)
	return body.Seq
}

// readLog reads the log, with the keys of a session of the same owner.
func (w *salvage) readLog(s *Session) error {
	w.log = logIn(s.epoch.vid, w.found)
	w.told = newVerification(s)
	if w.log.first != nil {
		cp, err := parseCheckpoint(s.epoch.vid, w.log.first)
		if err == nil {
			err = w.told.begin(cp)
		}
		if err != nil {
			return err
		}
	}
	w.last = w.told.checkLog(0, w.log.each)
	// What lies behind has a number that no entry has.
	w.log.keys = slices.DeleteFunc(w.log.keys, func(k []byte) bool { return audit.Seq(k) > w.last.Seq })
	if w.last.Seq < w.end {
		w.told.found("audit log: entries %d to %d are missing", w.last.Seq+1, w.end)
	}
	return nil
}

// fill writes what holds into a file, as it was stored.
func (w *salvage) fill(b *builder) error {
	b.actFor(w.s)
	root := w.s.root
	if err := b.t.putMeta(metaFormat, []byte(format)); err != nil {
		return err
	}
	if err := b.putOwner(w.id, root); err != nil {
		return err
	}
	if err := b.t.putMeta(metaEpoch, w.epoch); err != nil {
		return err
	}
	for k, v := range w.log.each {
		if err := b.putRaw(bucketAudit, k, v); err != nil {
			return err
		}
	}
	if w.log.first != nil {
		if err := b.putRaw(bucketAudit, checkpointKey, w.log.first); err != nil {
			return err
		}
	}
	b.t.head.log = w.last
	for place, r := range w.records() {
		if problem := w.ended(place, r.value); problem != "" {
			w.lost = append(w.lost, place.key+": "+problem)
			continue
		}
		if err := b.putRaw(place.bucket, []byte(place.key), r.value); err != nil {
			return err
		}
		m := macOf(r.value)
		b.t.head.digest.add(b.t.digest(place.bucket, []byte(place.key), m[:]))
		b.t.head.count++
	}
	if err := w.mendHeads(b); err != nil {
		return err
	}
	return b.t.saveHead()
}

// ended says why the record of an agent does not count: the log tells that the agent, or
// that key of it, ended. It was put back, then, with the key of the epoch before.
func (w *salvage) ended(at where, value []byte) string {
	var body agentBody
	r, err := parseRecord(value)
	if at.bucket != bucketAgents || err != nil || audit.DecodeStrict(r.body, &body) != nil || body.RevokedAt != nil {
		return ""
	}
	now, active := w.told.known[at.key]
	_, told := w.told.newest[at.key]
	whole := len(w.told.Problems) == 0 // else what tells of the agent may be what is missing
	switch {
	case w.told.revoked[at.key], told && !active && whole:
		return "the log says that it was revoked"
	case active && now.key.serial > body.Serial:
		return "the log says that it got another key"
	}
	return ""
}

// where is the place of a record.
type where struct{ bucket, key string }

type candidate struct {
	value []byte
	rank  int
	seq   uint64
}

// records are those whose MAC holds, of each place the surest: the newest of those
// that lie in pages of the same rank.
func (w *salvage) records() map[where]candidate {
	best := map[where]candidate{}
	for _, e := range w.found {
		r, err := parseRecord(e.value)
		if err != nil {
			continue
		}
		for _, bucket := range recordBuckets {
			if !w.s.epoch.macHolds(bucket, e.key, r) {
				continue
			}
			at, is := where{bucket, string(e.key)}, candidate{e.value, e.rank, seqIn(r)}
			if had, ok := best[at]; !ok || is.rank == had.rank && is.seq > had.seq {
				best[at] = is
			}
			break
		}
	}
	return best
}

// mendHeads makes a record for each secret of which only values were found, and says
// what is not there.
func (w *salvage) mendHeads(b *builder) error {
	type found struct {
		highest uint64
		tier    tokens.Tier
		seq     uint64
		have    map[uint64]bool
	}
	paths := map[string]*found{}
	err := b.t.walk(bucketVersions, nil, func(k, v []byte) error {
		var body versionBody
		path, n, ok := cutVersionKey(k)
		if _, err := b.t.decodeSigned(bucketVersions, k, v, &body); err != nil || !ok {
			return nil // which the rewrite leaves behind
		}
		f := paths[path]
		if f == nil {
			f = &found{have: map[uint64]bool{}}
			paths[path] = f
		}
		f.have[n] = true
		f.tier = max(f.tier, body.Tier)
		if n > f.highest {
			f.highest, f.seq = n, body.Seq
		}
		return nil
	})
	if err != nil {
		return err
	}
	newest := w.told.newest
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		p, err := tokens.ParsePath(path)
		if err != nil {
			continue
		}
		f, k := paths[path], secretBucketKey(p)
		v, err := b.t.get(bucketSecrets, k)
		if err != nil {
			return err
		}
		var head secretBody
		if v != nil {
			if _, err := b.t.decodeSigned(bucketSecrets, k, v, &head); err != nil {
				v, head = nil, secretBody{}
			}
		}
		if v == nil || f.highest > head.Version { // an older head is none
			id, err := uuid.NewRandom()
			if err != nil {
				return err
			}
			l := newest[path]
			head = secretBody{ID: id.String(), Version: max(f.highest, l.version), Tier: max(f.tier, l.tier), Type: DefaultType, CreatedAt: b.t.now, UpdatedAt: b.t.now, Seq: max(f.seq, l.seq)}
			if l.deleted {
				head.DeletedAt = &b.t.now
			}
			if err := b.t.put(bucketSecrets, k, true, head); err != nil {
				return err
			}
			w.lost = append(w.lost, path+": its type and times")
		}
		w.missing(path, f.have, head.Version)
	}
	for _, path := range slices.Sorted(maps.Keys(newest)) {
		if paths[path] != nil || !newest[path].left {
			continue
		}
		bucket := bucketSecrets
		if isAgentID(path) {
			bucket = bucketAgents
		}
		v, err := b.t.get(bucket, []byte(path))
		if err != nil {
			return err
		}
		if v == nil || bucket == bucketSecrets {
			w.lost = append(w.lost, path)
		}
		if v != nil && bucket == bucketSecrets { // a record without any value
			if err := b.t.remove(bucket, []byte(path)); err != nil {
				return err
			}
		}
	}
	return nil
}

// missing says which versions of a secret are not there, up to its current one. How many
// there are is no more than a number in a record: it is not counted up to.
func (w *salvage) missing(path string, have map[uint64]bool, current uint64) {
	lost := func(from, to uint64) {
		what := fmt.Sprintf("%s version %d", path, to)
		if from < to {
			what = fmt.Sprintf("%s versions %d to %d", path, from, to)
		}
		if to == current {
			what += ", the current one"
		}
		w.lost = append(w.lost, what)
	}
	if w.told.from.Seq > 0 { // versions from before that may be gone for good reason
		for _, n := range slices.Sorted(slices.Values(w.told.numbers[path])) {
			if !have[n] && n <= current {
				lost(n, n)
			}
		}
		return
	}
	next := uint64(1)
	for _, n := range slices.Sorted(maps.Keys(have)) {
		if n > next {
			lost(next, n-1)
		}
		next = n + 1
	}
	if next <= current && next > 0 {
		lost(next, current)
	}
}

// settle writes the new vault.
func (w *salvage) settle(to string) (r Salvaged, err error) {
	r.Lost, r.Entries = w.lost, len(w.log.keys)
	plan := &rewritePlan{salvage: true, event: audit.VaultSalvaged, why: "salvaged", what: w.path, note: map[string]any{}}
	if len(w.told.Problems) > 0 {
		plan.cut, plan.behind = true, w.end
		logFile := to + ".log.jsonl"
		if err := clearPart(logFile+partSuffix, w.path); err != nil {
			return r, err
		}
		name, err := unusedName(logFile)
		if err != nil {
			return r, err
		}
		a, err := w.s.writeArchive(name, w.told.from, w.last.Seq, w.log.each)
		if err != nil {
			return r, err
		}
		r.LogFile = a.File
		maps.Copy(plan.note, a.logged())
	}
	if n := len(r.Lost); n > 0 {
		plan.note["lost"] = r.Lost[:min(n, 100)]
		plan.note["lost_count"] = n
	}
	// A folder that was not synced is synced again when the file gets its name.
	if err := w.s.rewrite(plan); err != nil && !errors.Is(err, ErrMaybeDone) {
		return r, err
	}
	for _, left := range plan.left {
		r.Lost = append(r.Lost, left+": it does not hold")
	}
	r.Epoch = w.s.epoch.n
	err = w.s.view(func(t *tx) error {
		if plan.cut {
			err := t.agents(func(id string, body agentBody) error {
				if body.RevokedAt == nil {
					r.Reviving = append(r.Reviving, fmt.Sprintf("%s (%s)", body.Name, id))
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		for bucket, n := range map[string]*int{bucketSecrets: &r.Secrets, bucketVersions: &r.Versions, bucketAgents: &r.Agents} {
			if *n, err = t.count(bucket); err != nil {
				return err
			}
		}
		return nil
	})
	return r, err
}
