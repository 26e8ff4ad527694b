package vault

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"ass/audit"
	"ass/tokens"
)

// A restore brings the values of a backup back, and no rights: what was revoked
// since stays so as far as the vault that is there can be read, whole or damaged.
// Like everything that takes something away it writes a new file, in a new epoch.
// The file that is replaced is kept under another name.

// Restoration is what a restore will do, or did.
type Restoration struct {
	Taken   time.Time // of the newest entry of the backup
	Entry   uint64    // its number
	Secrets int       // in the backup, without the deleted ones

	// There is what stands in the vault's place now.
	There    bool
	Damaged  string // how it does not hold; "" if it does
	Newest   uint64 // its newest entry that can be read
	KeepsLog bool   // whether its log goes on, with the entries that the backup does not have

	Returning []string // secrets that were deleted or purged since
	Older     []string // secrets that go back to an older version
	Leaving   []string // secrets that are newer than the backup
	Raised    []string // secrets that stay at a higher tier than the backup's
	Revoked   []string // agents of the backup that stay revoked, or keep a newer key
	Reviving  []string // agents of the backup of which nothing says that they were not revoked since
	Lost      []string // agents that are newer than the backup and cannot be read

	Replaced string // where the file is kept that was there
	Epoch    uint32 // that it is in; 0 before it is done
}

// PlanRestore says what putting a backup in the place of the vault at path will do.
// Nothing is changed. The backup must be of the owner's, and hold in everything:
// [ErrWrongKey], [ErrDamaged]; a vault of another id at path is [ErrExists].
func PlanRestore(path, backup string, id *Identity, o Options) (Restoration, error) {
	r := &restore{path: path, backup: backup, id: id, o: o.withDefaults()}
	report, err := VerifyBackup(backup, id, o)
	if err == nil && len(report.Problems) > 0 {
		err = damaged(backup, "it does not hold, so nothing is put back from it: %s", report.Problems[0])
	}
	if err != nil {
		return Restoration{}, err
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		err := r.read()
		return r.plan, errors.Join(err, r.close())
	}
	lock, err := lockVault(path, true, r.o)
	if err != nil {
		return Restoration{}, err
	}
	defer lock.release()
	err = r.read()
	return r.plan, errors.Join(err, r.close())
}

// Restore does what was planned. A vault that has moved on since is [ErrConflict].
func Restore(path, backup string, id *Identity, planned Restoration, o Options) (Restoration, error) {
	r := &restore{path: path, backup: backup, id: id, o: o.withDefaults()}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return r.plan, err
	}
	lock, err := lockVault(path, false, r.o)
	if err != nil {
		return r.plan, err
	}
	defer lock.release()
	defer r.close()
	if err := r.read(); err != nil {
		return r.plan, err
	}
	if !reflect.DeepEqual(r.plan, planned) {
		return r.plan, errorOf(ErrConflict, "the vault, or the backup, is not what was shown any more: look again")
	}
	return r.plan, r.do()
}

// restore is one run.
type restore struct {
	path, backup string
	id           *Identity
	o            Options
	plan         Restoration

	from    *Session // the backup
	there   *Vault   // what is at path, if it opens
	history *history // what can be read of it; nil for nothing
	raise   map[tokens.Path]tokens.Tier
	agents  []agentAt
	serials map[string]uint32 // of active agents: of their keys, as the log that goes on tells of them
	last    audit.Position
}

// agentAt is an agent as it will be.
type agentAt struct {
	id   string
	body agentBody
}

// history is what the log of a vault tells, as far as it can be read.
type history struct {
	*verification
	last    audit.Position
	entries iter.Seq2[[]byte, []byte]
	walked  error                // why entries ended before the last one
	agents  map[string]agentBody // records that hold
	problem string
	epoch   uint32
}

func (r *restore) close() error {
	var err error
	if r.there != nil {
		err = r.there.st.close()
	}
	if r.from != nil {
		err = errors.Join(err, r.from.v.Close())
	}
	r.there, r.from = nil, nil
	return err
}

// read opens the backup and what is in its place, and makes the plan.
func (r *restore) read() error {
	v, err := OpenCopy(r.backup, r.o)
	if err != nil {
		return err
	}
	if r.from, err = v.Owner(r.id); err != nil {
		return errors.Join(err, v.Close())
	}
	switch {
	case sameFile(r.backup, r.path):
		return errorOf(ErrConflict, "%s is the vault itself, and no backup of it", r.backup)
	case sameFile(r.backup, r.path+newSuffix):
		return errorOf(ErrConflict, "%s has a name under which ass makes files and removes them: give it another one first", r.backup)
	}
	switch _, err := os.Lstat(r.path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if err := r.readThere(); err != nil {
			return err
		}
	}
	return r.from.inspect(r.compare)
}

func sameFile(a, b string) bool {
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// readThere reads the log of what is in the vault's place: as a vault, or else as
// whatever can be found in the file.
func (r *restore) readThere() error {
	o := r.o
	o.ReadOnly = true
	v := &Vault{path: r.path, opts: o, lock: &fileLock{}, st: &store{path: r.path}}
	err := checkFile(r.path)
	if errors.Is(err, ErrNoVault) { // a folder, a link
		return err
	}
	if err == nil {
		if err = v.open(); err == nil && v.vid != r.from.v.vid {
			err = r.another()
		}
	}
	r.there = v
	r.plan.There = true
	if err == nil {
		var s *Session
		if s, err = v.Owner(r.id); err == nil {
			err = r.readWhole(s)
		}
	}
	if err == nil || !errors.Is(err, ErrDamaged) {
		return err
	}
	return r.readDamaged(err)
}

func (r *restore) another() error {
	return errorOf(ErrExists, "the vault at %s is another one than that of the backup: choose another place, with --api-url", r.path)
}

func (r *restore) readWhole(s *Session) error {
	h := &history{verification: newVerification(s), agents: map[string]agentBody{}, epoch: s.epoch.n}
	r.history = h
	h.entries = func(yield func(k, v []byte) bool) {
		more := true
		h.walked = s.v.st.each(bucketAudit, func(k, v []byte) { more = more && (audit.Seq(k) == 0 || yield(k, v)) })
	}
	return s.view(func(t *tx) error {
		h.t = t
		cp, err := t.checkpoint()
		if err == nil {
			err = h.begin(cp)
		}
		if err != nil {
			return err
		}
		if h.last, err = h.log(); err != nil {
			return err
		}
		if len(h.Problems) > 0 {
			h.problem = h.Problems[0]
		}
		return t.agents(func(id string, body agentBody) error { h.agents[id] = body; return nil })
	})
}

// readDamaged reads what can be found of the log. Its keys and signatures come from
// the root, which is the backup's.
func (r *restore) readDamaged(why error) error {
	found, err := scanFile(r.path)
	if err != nil {
		return err
	}
	w := &salvage{path: r.path, found: found, id: r.id}
	s := r.from
	if w.findEpoch(s.root, r.o); w.s != nil {
		s = w.s
		w.findEnd()
	} else if err := w.findKeys(r.o); err == nil {
		return r.another()
	}
	if err := w.readLog(s); err != nil {
		return err
	}
	h := &history{verification: w.told, agents: map[string]agentBody{}, epoch: s.epoch.n, problem: why.Error(), last: w.last, entries: w.log.each}
	if w.s != nil {
		for at, c := range w.records() {
			var body agentBody
			rec, err := parseRecord(c.value)
			if at.bucket == bucketAgents && err == nil && rec.by == audit.Owner && s.epoch.signatureHolds(at.bucket, []byte(at.key), rec, s.pub) && audit.DecodeStrict(rec.body, &body) == nil {
				h.agents[at.key] = body
			}
		}
	}
	h.epoch = max(h.epoch, w.told.Epoch)
	if w.s == nil {
		h.epoch += 1 << 16 // which epochs there were cannot be seen, and no number is used again
	}
	r.history = h
	return nil
}

// compare makes the plan.
func (r *restore) compare(t *tx) error {
	if err := t.readHead(); err != nil {
		return err
	}
	p, h := &r.plan, r.history
	p.Entry = t.head.log.Seq
	entries, _, err := r.from.v.Log(1, nil)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		p.Taken = entries[0].CreatedAt
	}
	r.last = t.head.log
	r.raise = map[tokens.Path]tokens.Tier{}
	seen := memory{r.o.MemoryDir}.recall(r.from.v.vid)
	unread := seen != mark{t.head.log.Seq, t.head.log.LastMAC} // then there may be entries that this machine has not seen
	if h != nil {
		p.Damaged, p.Newest = h.problem, h.last.Seq
		unread = seen.Seq > h.last.Seq || h.problem != ""
		extends, err := r.extends(t)
		if err != nil {
			return err
		}
		// Entries that do not hold would accuse the vault for ever; they stay in the
		// file that is kept.
		if p.KeepsLog = extends && len(h.Problems) == 0; p.KeepsLog {
			r.last = h.last
		}
	}
	here := map[string]bool{}
	err = t.walk(bucketSecrets, nil, func(k, v []byte) error {
		_, head, err := t.decodeHead(k, v)
		if err != nil {
			return err
		}
		path, err := tokens.ParsePath(string(k))
		if err != nil {
			return err
		}
		here[string(k)] = true
		if head.DeletedAt == nil {
			p.Secrets++
		}
		if h == nil {
			return nil
		}
		now, known := h.newest[string(k)]
		// A whole log that does not tell of it has had that part archived.
		gone := known && (!now.left || now.deleted) || !known && h.problem == ""
		switch written, err := t.writtenBy(path, now.version); {
		case err != nil:
			return err
		case head.DeletedAt == nil && gone:
			p.Returning = append(p.Returning, string(k))
		case now.left && written != h.versions[string(versionKey(path, now.version))].seq:
			p.Older = append(p.Older, fmt.Sprintf("%s (%s → %s)", k, versionName(now.version), versionOf(head.Version, now.version)))
		}
		if tier := h.tiers[string(k)]; tier > head.Tier {
			r.raise[path] = tier
			p.Raised = append(p.Raised, fmt.Sprintf("%s (%s)", k, tier))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if h != nil {
		for _, name := range slices.Sorted(maps.Keys(h.newest)) {
			if l := h.newest[name]; l.left && !l.deleted && !here[name] && !isAgentID(name) {
				p.Leaving = append(p.Leaving, name)
			}
		}
	}
	return r.planAgents(t, unread)
}

// writtenBy is the entry that tells of a version; 0 if there is no such version. A
// number can come again, after a purge.
func (t *tx) writtenBy(p tokens.Path, n uint64) (uint64, error) {
	k := versionKey(p, n)
	v, err := t.get(bucketVersions, k)
	if v == nil || err != nil {
		return 0, err
	}
	var body versionBody
	_, err = t.decode(bucketVersions, k, v, &body)
	return body.Seq, err
}

func versionOf(n, other uint64) string {
	if n == other {
		return "another " + versionName(n)
	}
	return versionName(n)
}

// extends reports whether the log of what is there goes on from the backup's.
func (r *restore) extends(t *tx) (bool, error) {
	if r.history.from.Cut >= r.plan.Entry {
		return true, nil
	}
	want, extends := t.head.log, false
	for k, v := range r.history.entries {
		if audit.Seq(k) == want.Seq {
			extends = macOf(v) == want.LastMAC
		}
	}
	return extends, nil
}

// planAgents decides on each agent: rights are as the newest log says, and no entry
// is believed to give any that was not checked.
func (r *restore) planAgents(t *tx, unread bool) error {
	p, h := &r.plan, r.history
	have := map[string]bool{}
	r.serials = map[string]uint32{}
	err := t.agents(func(id string, body agentBody) error {
		have[id] = true
		name, active := fmt.Sprintf("%s (%s)", body.Name, id), body.RevokedAt == nil
		if active && !p.KeepsLog {
			r.serials[id] = body.Serial
		}
		serial := body.Serial
		if h != nil {
			h.narrow(id, &body, t.now)
		}
		switch {
		case active && body.RevokedAt != nil:
			p.Revoked = append(p.Revoked, name)
		case active && body.Serial > serial:
			p.Revoked = append(p.Revoked, name+", the key before its newest")
		}
		if body.RevokedAt == nil && unread {
			p.Reviving = append(p.Reviving, name)
		}
		r.agents = append(r.agents, agentAt{id, body})
		return nil
	})
	if err != nil || h == nil {
		return err
	}
	if p.KeepsLog {
		for id, now := range h.known {
			if isAgentID(id) {
				r.serials[id] = now.key.serial
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(h.newest)) {
		if !isAgentID(id) || have[id] {
			continue
		}
		body, ok := h.agents[id]
		now, active := h.known[id]
		switch {
		case ok:
			h.narrow(id, &body, t.now)
		case active && now.key.checked:
			name, _ := now.key.note["name"].(string)
			body = agentBody{Seq: h.newest[id].seq, Name: name, Namespaces: stringsIn(now.key.note["namespaces"]), Scopes: now.scopes.Strings(), Serial: now.key.serial, CreatedAt: now.key.at, IssuedAt: now.key.at}
		case active:
			p.Lost = append(p.Lost, id)
			continue
		default:
			continue // revoked, and not in the backup: nothing is left of it
		}
		r.agents = append(r.agents, agentAt{id, body})
	}
	return nil
}

// narrow takes from an agent what the log, or the agent's newest record, says that it
// lost.
func (h *history) narrow(id string, body *agentBody, at time.Time) {
	// So many keys no agent had since: whoever wrote that did not sign it.
	const most = 1 << 16
	own, read := h.agents[id]
	now, known := h.known[id]
	_, told := h.newest[id]
	switch {
	case body.RevokedAt != nil:
	case read && own.RevokedAt != nil:
		body.RevokedAt = own.RevokedAt
	case told && !known, !now.key.checked && now.key.serial > body.Serial && now.key.serial-body.Serial > most:
		body.RevokedAt = &at
	}
	if read && own.Serial > body.Serial {
		body.Serial, body.IssuedAt = own.Serial, own.IssuedAt
	}
	if body.RevokedAt == nil && now.key.serial > body.Serial {
		body.Serial = now.key.serial
		if now.key.at.After(body.IssuedAt) { // it is zero where the entry is archived
			body.IssuedAt = now.key.at
		}
	}
}

func stringsIn(list any) []string {
	items, _ := list.([]any)
	texts := []string{}
	for _, x := range items {
		if text, ok := x.(string); ok {
			texts = append(texts, text)
		}
	}
	return texts
}

// do builds the new file and puts it in place.
func (r *restore) do() error {
	n := r.from.epoch.n
	if r.history != nil {
		n = max(n, r.history.epoch)
	}
	v := &Vault{path: r.path, opts: r.o, vid: r.from.v.vid}
	next := v.ownerSession(r.from.root, n+1, randomKey())
	defer next.wipe()
	if r.plan.There {
		if err := dropSecondNames(r.path, r.backup); err != nil {
			return err
		}
		r.plan.Replaced = unusedName(r.path + replacedInfix + r.o.Now().UTC().Format("20060102-150405"))
	}
	var done mark
	err := r.from.inspect(func(old *tx) error {
		if err := old.readHead(); err != nil {
			return err
		}
		if err := old.checkDigest(); err != nil {
			return err
		}
		return prepareFile(r.path, func(w *builder) error {
			w.actFor(next)
			w.t.head.log = r.last
			w.t.head.log.Key = next.root.auditKey(next.epoch.n, r.last.Seq+1)
			if err := r.fill(old, next, w); err != nil {
				return err
			}
			done = w.t.mark()
			return w.t.saveHead()
		})
	})
	if err == nil {
		err = r.close() // Windows renames over no open file
	}
	if err == nil && r.plan.There {
		err = keepAs(r.path, r.plan.Replaced)
	}
	if err != nil {
		_ = os.Remove(r.path + newSuffix)
		return err
	}
	published, err := publishFile(r.path)
	if !published {
		if r.plan.There { // a second name of the vault is no copy of it
			_ = os.Remove(r.plan.Replaced)
		}
		return err
	}
	if err == nil {
		memory{r.o.MemoryDir}.note(v.vid, done)
	}
	r.plan.Epoch = next.epoch.n
	return err
}

// replacedInfix stands in the names of files that were replaced, before the time.
const replacedInfix = ".replaced-"

// dropSecondNames removes what runs left that died before they replaced the vault: other
// names of it, which would pass for copies, and copies that were not finished.
func dropSecondNames(path, backup string) error {
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(filepath.Clean(dir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), base+replacedInfix) && !sameFile(name, backup) && (strings.HasSuffix(name, partSuffix) || isLinkOf(name, path)) {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *restore) fill(old *tx, next *Session, w *builder) error {
	if err := w.copyMeta(old, metaFormat, metaVault, metaRoot, metaBind); err != nil {
		return err
	}
	cp, err := r.copyLog(old, w)
	if err != nil {
		return err
	}
	p := &rewritePlan{tier: r.raise}
	heads, err := r.from.copyHeads(old, w, p)
	if err != nil {
		return err
	}
	if err := r.from.copyVersions(old, next, w, p, heads); err != nil {
		return err
	}
	for i, a := range r.agents {
		a.body.Pub = public(newGrantee(next.root.agentSecret(a.id, a.body.Serial)).sign)
		r.agents[i].body.Pub = a.body.Pub
		if err := w.t.put(bucketAgents, []byte(a.id), true, a.body); err != nil {
			return err
		}
		if a.body.RevokedAt != nil {
			continue
		}
		if err := next.grantAgent(w.t, a.id, a.body); err != nil {
			return err
		}
		if err := old.copyUses(w.t, a.id); err != nil {
			return err
		}
	}
	file, err := filepath.Abs(r.backup)
	if err != nil {
		return err
	}
	note := map[string]any{"file": file, "entry": r.plan.Entry, "returning": len(r.plan.Returning), "older": len(r.plan.Older)}
	if r.plan.There {
		note["replaced"], note["replaced_newest"] = r.plan.Replaced, r.plan.Newest
	}
	if err := next.beginEpoch(w, audit.VaultRestored, note); err != nil {
		return err
	}
	if err := r.tellOfAgents(w.t); err != nil {
		return err
	}
	return w.t.putCheckpoint(cp)
}

// tellOfAgents logs what the log that goes on does not tell of agents, so that what they
// sign from now on can be verified.
func (r *restore) tellOfAgents(t *tx) error {
	for _, a := range r.agents {
		serial, known := r.serials[a.id]
		event, note := audit.AgentCreated, a.body.logged()
		switch {
		case a.body.RevokedAt != nil && known:
			event, note = audit.AgentRevoked, map[string]any{"name": a.body.Name}
		case a.body.RevokedAt != nil, known && serial == a.body.Serial:
			continue
		case known:
			event = audit.AgentKeyRotated
		}
		note["because"] = "so it was in the vault that was replaced"
		if err := t.log(event, "agent", a.id, note); err != nil {
			return err
		}
	}
	return nil
}

// copyLog copies the log that goes on, and returns the checkpoint that it had.
func (r *restore) copyLog(old *tx, w *builder) (checkpoint, error) {
	if !r.plan.KeepsLog {
		cp, err := old.checkpoint()
		if err != nil {
			return cp, err
		}
		return cp, old.walk(bucketAudit, nil, func(k, v []byte) error { return w.putRaw(bucketAudit, k, v) })
	}
	var err error
	for k, v := range r.history.entries {
		if err == nil {
			err = w.putRaw(bucketAudit, k, v)
		}
	}
	return r.history.from, errors.Join(err, r.history.walked)
}

// unusedName is name, or one like it at which nothing is.
func unusedName(name string) string {
	for n, free := 1, name; ; free = fmt.Sprintf("%s-%d", name, n) {
		if _, err := os.Lstat(free); errors.Is(err, fs.ErrNotExist) {
			return free
		}
		n++
	}
}

// keepAs gives a file a second name, where nothing may be, or makes a copy of it where
// the file system knows no second names.
func keepAs(path, as string) (err error) {
	if err := os.Link(path, as); err == nil || isLinkOf(path, as) {
		return nil
	} else if errors.Is(err, fs.ErrExist) {
		return err
	}
	part := as + partSuffix
	from, err := openNoFollow(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := openNoFollow(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if err = syncAndClose(to, err); err == nil {
		err = os.Rename(part, as)
	}
	if err != nil {
		_ = os.Remove(part)
	}
	return err
}
