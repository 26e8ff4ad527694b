package vault

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ass/audit"
	"ass/tokens"
	"ass/vault/disk"
	"ass/vault/internal/bolt"
	"ass/vault/internal/fault"
	"ass/vault/internal/keys"
)

// Salvaged reports what a salvage recovered from a damaged file.
type Salvaged struct {
	Secrets  int
	Versions int
	Agents   int
	Entries  int      // log entries
	Lost     []string // what the log or a record names, but the salvage did not recover
	LogFile  string   // file with the log, if the log has problems; "" if the vault holds the log
	Reviving []string // active agents that an unreadable log entry may have revoked
	Epoch    uint32
}

// Salvage reads the damaged file of a vault and makes a new vault at to, where no file may
// exist. It never writes to the damaged file. It recovers every record whose MAC matches,
// even if the structure of the file no longer leads to that record. Tokens and requests
// end. If the log has gaps or other problems, Salvage writes it to a file beside the new
// vault instead of into the vault.
//
// If the owner's key opens none of the roots in the file, Salvage returns [ErrWrongKey]. If
// the file has no root or no epoch key, nothing can be salvaged: [ErrDamaged].
func Salvage(damagedFile, to string, id *Identity, o Options) (r Salvaged, err error) {
	o = o.withDefaults()
	defer func() {
		if err != nil {
			err = wrapCreate("nothing was salvaged", err)
		}
	}()
	if err := checkTarget(to); err != nil {
		return r, err
	}
	found, err := bolt.ScanFile(damagedFile, plausible)
	if err != nil {
		return r, err
	}
	w := &salvage{path: damagedFile, found: found, id: id}
	if err := w.refuseLater(); err != nil {
		return r, err
	}
	if err := w.findKeys(o); err != nil {
		return r, err
	}
	defer w.s.wipe()
	w.findEnd()
	seen, _ := o.memory().recall(w.s.epoch.Vault) // a note that cannot be read tells nothing
	w.end = max(w.end, seen.Seq, 1)               // every vault has an entry
	if err := w.readLog(w.s); err != nil {
		return r, err
	}
	if err := w.refuseNewer(); err != nil {
		return r, err
	}
	if w.ways = w.findWays(); w.ways == nil && slices.Contains(slices.Concat(w.marks, w.told.features), featureWays) {
		w.lost = append(w.lost, "meta/"+metaWays+": the further keys that open the vault were not found")
	}
	w.s.marks = w.features()
	if v, ok := w.log.values[seen.Seq]; ok && macOf(v) != seen.MAC {
		w.told.found("audit log: this machine saw a different entry %d", seen.Seq)
	}
	lock, err := disk.LockBeside(to, false, o.lock())
	if err != nil {
		return r, err
	}
	defer lock.Release()
	part, err := o.Unfinished.Beside(to, newSuffix)
	if err != nil {
		return r, err
	}
	defer part.End()
	if _, err := makeFile(part.Path, part.Path, w.s, w.fill); err != nil {
		return r, disk.Named(to, err)
	}
	// The recovered records now form a vault, but any part may be missing. A rewrite drops
	// the records that do not fit together, and the owner vouches for the rest.
	v := &Vault{path: part.Path, opts: o, lock: &disk.Lock{}, vid: w.s.epoch.Vault, marks: w.features()}
	v.opts.MemoryDir = "" // it is for vaults in use
	w.s.v = v
	if v.db, err = bolt.Open(part.Path, false); err != nil {
		return r, err
	}
	r, err = w.settle(to)
	if err = errors.Join(err, v.db.Close()); errors.Is(err, ErrMaybeDone) {
		err = errors.New(err.Error()) // the deferred End removes the file
	}
	if err == nil {
		err = disk.Move(part.Path, to)
	}
	return r, Archived{File: r.LogFile}.discardOnError(err)
}

// salvage is one run of [Salvage].
type salvage struct {
	path  string
	found []bolt.Element
	id    *Identity
	s     *Session
	epoch []byte // as stored
	end   uint64 // the number of the last log entry; 0 if unknown
	sure  bool   // whether end comes from the newest head
	log   scannedLog
	told  *story
	last  audit.Position
	lost  []string
	marks []string // of the newest head; see knownFeatures
	ways  []byte   // meta/ways, if it holds
}

// refuseLater refuses a file of a later format: this program would find nothing in it that holds.
func (w *salvage) refuseLater() error {
	for _, e := range w.found {
		if text := string(e.Value); string(e.Key) == metaFormat && e.Rank == bolt.InNewest && isLater(text) {
			_, err := parseFormat(w.path, text)
			return err
		}
	}
	return nil
}

// features returns the marks of the vault, of which a later program may need each.
func (w *salvage) features() []string {
	names := slices.Concat(w.marks, w.told.features)
	slices.Sort(names)
	names = slices.Compact(names)
	if w.ways == nil {
		names = slices.DeleteFunc(names, func(name string) bool { return name == featureWays })
	}
	return names
}

// refuseNewer refuses a file that a later program has marked, by its meta bucket, its head or its log.
func (w *salvage) refuseNewer() error {
	for _, e := range w.found {
		if string(e.Key) != metaFeatures || e.Rank != bolt.InNewest {
			continue
		}
		if _, err := parseFeatures(w.path, e.Value, newestFormat); errors.Is(err, ErrFormat) {
			return err
		}
	}
	return refuseNewer(w.path, slices.Concat(w.marks, w.told.features))
}

// findKeys finds the root and the newest epoch.
func (w *salvage) findKeys(o Options) error {
	root, seals := w.findRoot()
	switch {
	case seals == 0:
		return fault.Unusable(w.path, "no root of a vault was found in it; nothing can be salvaged")
	case root == nil:
		return fault.New(ErrWrongKey, "this owner key does not open what is in %s", w.path)
	}
	if w.findEpoch(root, o); w.s == nil {
		return fault.Unusable(w.path, "the key of its epoch was not found; nothing can be salvaged")
	}
	return nil
}

// findRoot finds the root of the owner's vault: in the wrap, or in the age file. Anybody can make such an age file
// for the owner, so its root counts only if the wrap or the bind of format 1 says that the owner made it. seals is
// the number of places where some root is sealed.
func (w *salvage) findRoot() (root *keys.Root, seals int) {
	values, met := map[string][][]byte{}, map[[2]string]bool{}
	for _, e := range w.found { // the surest first
		name := string(e.Key)
		seal := name == metaRoot || strings.HasPrefix(name, keys.WrapPrefix) && len(name) == len(w.id.WrapName(keys.VaultID{}))
		if !seal && name != metaBind && (name != metaVault || len(e.Value) != len(keys.VaultID{})) {
			continue
		}
		if at := [2]string{name, string(e.Value)}; !met[at] {
			met[at] = true
			values[name] = append(values[name], e.Value)
		}
		if seal {
			seals++
		}
	}
	binds := map[string]bool{}
	for _, bind := range values[metaBind] {
		binds[string(bind)] = true
	}
	const most = 16 // a vault has one of each, and nobody can make us try all pairs of a million
	ids := values[metaVault]
	ids = ids[:min(len(ids), most)]
	wraps := func(vid keys.VaultID) [][]byte {
		list := values[w.id.WrapName(vid)]
		return list[:min(len(list), most)]
	}
	for _, id := range ids {
		if root := w.unwrap(keys.VaultID(id), wraps(keys.VaultID(id))); root != nil {
			return root, seals
		}
	}
	for _, file := range values[metaRoot] {
		plain, err := keys.OpenAs(w.id, file)
		if err != nil || len(plain) != len(keys.Key{}) {
			continue
		}
		root := keys.NewRoot(keys.Key(plain))
		clear(plain)
		if bind := root.Bind(w.id); binds[string(bind[:])] || w.unwrap(root.Vault, wraps(root.Vault)) != nil {
			return root, seals
		}
	}
	return nil, seals
}

// unwrap returns the root of a vault if one of the wraps has it.
func (w *salvage) unwrap(vid keys.VaultID, wraps [][]byte) *keys.Root {
	for _, sealed := range wraps {
		k, err := keys.OpenWrap(w.id, vid, sealed)
		if err != nil {
			continue
		}
		root := keys.NewRoot(k)
		k.Wipe()
		if root.Vault == vid {
			return root
		}
	}
	return nil
}

// findEpoch finds the newest epoch whose key the root opens, if there is one.
func (w *salvage) findEpoch(root *keys.Root, o Options) {
	v := &Vault{path: w.path, opts: o, vid: root.Vault}
	for _, e := range w.found {
		if string(e.Key) != metaEpoch || len(e.Value) < 4 {
			continue
		}
		n := uint32(e.Value[0])<<24 | uint32(e.Value[1])<<16 | uint32(e.Value[2])<<8 | uint32(e.Value[3])
		for format := keys.Format1; format <= newestFormat; format++ {
			k, ctx := root.EpochWrap(n, format)
			secret, err := keys.Open(k, ctx, e.Value[4:])
			if err == nil && len(secret) == len(keys.Key{}) && (w.s == nil || n > w.s.epoch.N) {
				w.s, w.epoch = v.ownerSession(w.id, root, n, keys.Key(secret), format), e.Value
			}
			clear(secret)
		}
	}
}

// findEnd finds the head, which counts the log entries. If the head belongs to the newest
// state, findEnd drops later records and entries found elsewhere in the file: a process
// died before it committed them.
func (w *salvage) findEnd() {
	rank := -1
	for _, e := range w.found {
		if string(e.Key) != metaHead || e.Rank < rank {
			continue
		}
		plain, err := keys.Open(w.s.epoch.HeadKey(), w.s.epoch.HeadContext(), e.Value)
		if err != nil {
			continue
		}
		if h, err := decodeHead(plain, w.s.epoch.Format); err == nil && h.log.Seq > 0 {
			w.end, rank, w.marks = max(w.end, h.log.Seq), e.Rank, h.features
		}
	}
	if w.sure = rank == bolt.InNewest; !w.sure {
		return
	}
	w.found = slices.DeleteFunc(w.found, func(e bolt.Element) bool {
		if e.Rank == bolt.InNewest {
			return false
		}
		if r, err := parseRecord(e.Value); err == nil {
			return seqIn(r) > w.end
		}
		_, err := audit.Parse(e.Value)
		return err == nil && audit.Seq(e.Key) > w.end
	})
}

// seqIn returns the number of the log entry about a record; 0 if it cannot be read.
func seqIn(r record) uint64 {
	var body struct {
		Seq uint64 `json:"seq"`
	}
	_ = json.Unmarshal(r.body, &body)
	return body.Seq
}

// readLog reads and verifies the log with the keys of s, a session of the same owner.
func (w *salvage) readLog(s *Session) error {
	w.log = logIn(s.epoch.Vault, w.found)
	w.told = newStory(s.root)
	if w.log.first != nil {
		cp, err := parseCheckpoint(s.epoch.Vault, w.log.first)
		if err == nil {
			err = w.told.begin(cp)
		}
		if err != nil {
			return err
		}
	}
	w.last = w.told.read(0, w.log.each, s.v.opts.Progress)
	// A higher key is no entry's: verification has skipped it.
	w.log.keys = slices.DeleteFunc(w.log.keys, func(k []byte) bool { return audit.Seq(k) > w.last.Seq })
	if w.last.Seq < w.end {
		w.told.found("audit log: entries %d to %d are missing", w.last.Seq+1, w.end)
	}
	return nil
}

// fill writes the log, and the records whose MACs match, into a new file, unchanged.
func (w *salvage) fill(b *builder) error {
	root := w.s.root
	if err := b.putOwner(w.id, root); err != nil {
		return err
	}
	if err := errors.Join(b.t.putMeta(metaEpoch, w.epoch), b.t.putFeatures(w.features())); err != nil {
		return err
	}
	if w.ways != nil {
		if err := b.t.putMeta(metaWays, w.ways); err != nil {
			return err
		}
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
	records, err := w.records()
	if err != nil {
		return err
	}
	places := slices.Collect(maps.Keys(records))
	sortList(places, where.compare) // bbolt inserts in order faster
	for _, place := range places {
		r := records[place]
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
	return w.mendHeads(b)
}

// ended returns why the record of an agent does not count, or "" if it counts. If the log
// says that the agent was revoked or got another key, somebody has put an old record back,
// along with the key of the previous epoch.
func (w *salvage) ended(at where, value []byte) string {
	var body agentBody
	r, err := parseRecord(value)
	if at.bucket != bucketAgents || err != nil || audit.DecodeStrict(r.body, &body) != nil || body.RevokedAt != nil {
		return ""
	}
	now, active := w.told.actors[at.key]
	told := w.told.records[at.key] != nil
	whole := len(w.told.problems) == 0 // if not, the entry about the agent may be missing
	_, revoked := w.told.revoked[at.key]
	switch {
	case revoked, told && !active && whole:
		return "the log says that it was revoked"
	case active && now.Serial > body.Serial:
		return "the log says that its key was rotated"
	case active && body.Seq < w.told.records[at.key].seq() && len(beyond(body.scopes(), now.Scopes)) > 0:
		return "the log says that its rights were narrowed"
	}
	return ""
}

// died reports whether a process died before it committed a record that the newest state does not
// lead to: the log has the entry seq, and the entry tells of something else.
func (w *salvage) died(at where, seq uint64, by string) bool {
	if seq == 0 || seq > w.last.Seq || w.told.isUnclear(seq) {
		return false
	}
	switch at.bucket {
	case bucketVersions:
		path, n, _ := cutVersionKey([]byte(at.key))
		version, told := w.told.records[path].version(n)
		return !told || !w.told.wroteVersion(version, seq, by)
	case bucketSecrets, bucketAgents:
		r := w.told.records[at.key]
		return r == nil || r.Gone && !w.told.isUnclear(r.Seq) ||
			seq >= r.Seq && !w.told.wrote(r.Seq, r.By, seq, by) // an older record may have had its entry
	}
	return false
}

// mendHeads makes a new head for each secret that has versions but no usable head. It also
// lists what is missing.
func (w *salvage) mendHeads(b *builder) error {
	type found struct {
		highest uint64
		tier    tokens.Tier
		seq     uint64
		have    map[uint64]bool
	}
	paths := map[string]*found{}
	err := checkAll(b.t, versionKind, nil, func(c *checked[versionBody]) error {
		path, n, ok := cutVersionKey(c.k)
		if c.err != nil || !ok {
			return nil // the rewrite drops it
		}
		f := paths[path]
		if f == nil {
			f = &found{have: map[uint64]bool{}}
			paths[path] = f
		}
		f.have[n] = true
		f.tier = max(f.tier, c.body.Tier)
		if n > f.highest {
			f.highest, f.seq = n, c.body.Seq
		}
		return nil
	})
	heads := map[string]secretBody{}
	err = errors.Join(err, checkAll(b.t, secretKind, nil, func(c *checked[secretBody]) error {
		if c.err == nil {
			heads[string(c.k)] = c.body
		}
		return nil
	}))
	if err != nil {
		return err
	}
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		p, err := tokens.ParsePath(path)
		if err != nil {
			continue
		}
		f, k := paths[path], secretBucketKey(p)
		head, holds := heads[path]
		if !holds || f.highest > head.Version { // an older head does not count
			told := cmp.Or(w.told.records[path], &recordAt{})
			head = secretBody{ID: b.t.newIDOf(false), Version: max(f.highest, told.Version), Tier: max(f.tier, told.Tier), Type: DefaultType,
				CreatedAt: b.t.now, UpdatedAt: b.t.now, Seq: max(f.seq, told.Seq), DeletedTo: head.DeletedTo}
			if told.Deleted {
				head.DeletedAt = &b.t.now
			}
			if err := secretKind.put(b.t, k, head); err != nil {
				return err
			}
			w.lost = append(w.lost, path+": its type and times, and which of its versions were deleted")
		}
		w.missing(path, f.have, head.Version)
	}
	for _, path := range slices.Sorted(maps.Keys(w.told.records)) {
		if paths[path] != nil {
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
		r := w.told.records[path]
		unsure := w.told.isUnclear(r.Seq) || w.told.unclearBehind(r.Seq)
		if !r.Gone && (v == nil || bucket == bucketSecrets) || r.Gone && v != nil && unsure {
			w.lost = append(w.lost, path)
		}
		if v != nil && bucket == bucketSecrets { // a head without a version
			if err := b.t.remove(bucket, []byte(path)); err != nil {
				return err
			}
		}
	}
	return nil
}

// missing lists the missing versions of a secret, up to the current one. It works with
// ranges and never counts up to current, because that is only a number in a record.
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
	// Versions from before the checkpoint may be gone for good reason, and so may those from before a purge. A log that
	// holds names the others.
	if w.told.from.Seq > 0 || len(w.told.problems) == 0 && w.told.records[path] != nil {
		for _, of := range cmp.Or(w.told.records[path], &recordAt{}).Versions {
			if n := of.Number; !have[n] && n <= current {
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

// settle rewrites the recovered records into the new vault, under a new epoch.
func (w *salvage) settle(to string) (r Salvaged, err error) {
	r.Lost, r.Entries = w.lost, len(w.log.keys)
	plan := &rewritePlan{salvage: true, event: audit.VaultSalvaged, why: "salvaged", what: w.path, numbers: w.told, note: map[string]any{}}
	if len(w.told.problems) > 0 {
		plan.cut, plan.behind = true, w.end
		logFile := to + ".log.jsonl"
		name, err := disk.Unused(logFile)
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
		plan.note["lost"] = namesFor(r.Lost, 100)
		plan.note["lost_count"] = n
	}
	// If the rewrite could not sync the folder, disk.Move syncs it again.
	if err := w.s.rewrite(plan); err != nil && !errors.Is(err, ErrMaybeDone) {
		return r, err
	}
	for _, left := range plan.left {
		r.Lost = append(r.Lost, left.name+": it is corrupt or was tampered with")
	}
	r.Epoch = w.s.epoch.N
	err = w.s.view(func(t *tx) error {
		if plan.cut {
			if err := t.agents(func(id string, body agentBody) error {
				if body.RevokedAt == nil {
					r.Reviving = append(r.Reviving, fmt.Sprintf("%s (%s)", body.Name, id))
				}
				return nil
			}); err != nil {
				return err
			}
		}
		for bucket, n := range map[string]*int{bucketSecrets: &r.Secrets, bucketVersions: &r.Versions,
			bucketAgents: &r.Agents} {
			if *n, err = t.count(bucket); err != nil {
				return err
			}
		}
		return nil
	})
	return r, err
}
