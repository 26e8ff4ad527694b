package vault

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault/disk"
	"ass/vault/internal/fault"
	"ass/vault/internal/keys"
)

// A restore brings back the values of a backup, but no rights. Rights that were revoked
// since the backup stay revoked, as far as the vault being replaced can be read, whole or
// damaged. Like every act that takes something away, a restore writes a new file, in a
// new epoch. The replaced file is kept under another name.

// Restoration describes what a restore will do, or did.
type Restoration struct {
	Taken   time.Time // time of the newest log entry in the backup
	Entry   uint64    // number of that entry
	Secrets int       // in the backup, without deleted ones

	// There reports whether a file is in the vault's place now. The next fields describe it.
	There    bool
	Damaged  string // what is damaged; "" if nothing is
	Newest   uint64 // its newest readable log entry
	KeepsLog bool   // whether its log is continued, with the entries that the backup lacks
	Others   int    // its other names, which will stay an old copy; see [NamesError]
	Unread   string // why newer entries than the readable ones may exist; "" if none can

	Returning []string // secrets that were deleted or purged since the backup
	Older     []string // secrets that go back to an older version
	Leaving   []string // secrets that are newer than the backup
	Raised    []string // secrets that stay at a higher tier than in the backup
	Revoked   []string // agents of the backup that stay revoked, or keep a newer key
	Reviving  []string // agents that will be active, but may be revoked by unreadable entries
	Lost      []string // agents that will be lost (newer than the backup and unreadable)

	Replaced string // where the replaced file is kept
	Epoch    uint32 // the new epoch; 0 before the restore is done

	backup *verifiedCopy // what the plan is about
}

// PlanRestore returns what a restore of a backup to path will do. It changes nothing. If
// the backup is not the owner's, the error is [ErrWrongKey]. If a check of the backup
// finds any problem, the error is [ErrDamaged]. If the vault at path has another id, the
// error is [ErrExists].
func PlanRestore(path, backup string, id *Identity, o Options) (Restoration, error) {
	r := &restore{path: path, backup: backup, id: id, o: o.withDefaults()}
	r.plan.backup = &verifiedCopy{wrote: map[string]uint64{}, walked: walked{}}
	report, err := verifyBackup(backup, id, o, r.plan.backup)
	if err == nil {
		err = report.Err(backup, "the backup failed its verification, so nothing was restored")
	}
	if err == nil {
		err = r.makePlan()
	}
	if errors.Is(err, errMeanwhile) {
		err = fault.New(ErrConflict, "%s was changed while it was read", backup).Hint("run it again")
	}
	return r.plan, err
}

func (r *restore) makePlan() error {
	if _, err := os.Lstat(r.path); errors.Is(err, fs.ErrNotExist) {
		r.nothing = true // also if a vault is made there by now: it would be read without its lock
		return errors.Join(r.read(), r.close())
	}
	lock, err := disk.LockBeside(r.path, true, r.o.lock())
	if err != nil {
		return err
	}
	defer lock.Release()
	return errors.Join(r.read(), r.close())
}

// Restore does what [PlanRestore] planned, and returns the completed plan. If the vault
// or the backup has changed since then, the error is [ErrConflict], or [ErrDamaged] if the backup is no longer valid.
func Restore(path, backup string, id *Identity, planned Restoration, o Options) (Restoration, error) {
	r := &restore{path: path, backup: backup, id: id, o: o.withDefaults()}
	if err := disk.MakeFolder(filepath.Dir(path)); err != nil {
		return r.plan, err
	}
	lock, err := disk.LockBeside(path, false, r.o.lock())
	if err != nil {
		return r.plan, err
	}
	defer lock.Release()
	defer r.close()
	if r.plan.backup = planned.backup; r.plan.backup == nil { // it is no plan
		return r.plan, errPlan
	}
	if err = r.read(); err == nil && !reflect.DeepEqual(r.plan, planned) {
		err = errPlan
	}
	if err == nil {
		err = r.do() // which completes the plan
	}
	if errors.Is(err, errMeanwhile) {
		err = r.changed()
	}
	return r.plan, err
}

var errPlan = fault.New(ErrConflict, "the vault or the backup changed after the plan was shown").Hint("run it again")

// changed returns the error for a backup that is not what was verified: the file was not locked while a person read the
// plan. If it has a problem now, the error names it.
func (r *restore) changed() error {
	report, err := VerifyBackup(r.backup, r.id, r.o)
	if err == nil {
		err = report.Err(r.backup, "the backup no longer passes its verification, so nothing was restored")
	}
	return cmp.Or(err, errPlan)
}

// restore is one run of a restore.
type restore struct {
	path, backup string
	id           *Identity
	o            Options
	plan         Restoration
	nothing      bool // not to look for a vault at path

	from    *Session // the backup
	there   *Vault   // the vault at path, if it opens
	history *history // what can be read of that vault; nil if nothing
	raise   map[tokens.Path]tokens.Tier
	agents  []agentAt
	ways    []Way                    // of that vault
	scopes  map[string]tokens.Scopes // the same for what the agent may do
	serials map[string]uint32        // by agent id: the active key's serial, as the continued log tells
	last    audit.Position
}

// agentAt is an agent as the new vault will have it.
type agentAt struct {
	id   string
	body agentBody
}

func (r *restore) close() error {
	var err error
	if r.there != nil {
		err = r.there.db.Close()
	}
	if r.from != nil {
		err = errors.Join(err, r.from.v.Close())
	}
	r.there, r.from = nil, nil
	return err
}

// read opens the backup and the file in the vault's place, and makes the plan.
func (r *restore) read() error {
	v, err := OpenCopy(r.backup, r.o)
	if err != nil {
		return err
	}
	if r.from, err = v.Owner(r.id); err != nil {
		return errors.Join(err, v.Close())
	}
	switch {
	case disk.Same(r.backup, r.path):
		return fault.New(ErrConflict, "%s is the vault itself", r.backup).
			Hint("if somebody copied a backup to its place, move it elsewhere, and restore it from there")
	case disk.Same(r.backup, r.path+newSuffix):
		return fault.New(ErrConflict, "%s has a name that ass uses for temporary files, which it removes", r.backup).
			Hint("rename it first")
	}
	switch _, err := os.Lstat(r.path); {
	case errors.Is(err, fs.ErrNotExist), r.nothing:
	case err != nil:
		return err
	default:
		if err := r.readThere(); err != nil {
			return err
		}
	}
	return r.from.viewUnchecked(r.compare)
}

// do builds the new file and puts it in place.
func (r *restore) do() error {
	n := r.from.epoch.N
	if r.history != nil {
		n = max(n, r.history.epoch)
	}
	v := &Vault{path: r.path, opts: r.o, vid: r.from.v.vid, marks: r.from.v.marks}
	next := v.ownerSession(r.id, r.from.root, n+1, keys.Random(), v.opts.format())
	defer next.wipe()
	if r.plan.There {
		if err := dropLeftovers(r.path); err != nil {
			return err
		}
		var err error
		if r.plan.Replaced, err = replacedName(r.path, r.o.Now()); err != nil {
			return err
		}
	}
	var end mark
	err := r.from.viewUnchecked(func(old *tx) (err error) {
		if err := r.readHead(old); err != nil {
			return err
		}
		end, err = prepareFile(r.path, next, func(w *builder) error {
			w.t.head.log = r.last
			w.t.head.log.Key = next.root.AuditKey(next.epoch.N, r.last.Seq+1)
			if err := r.fill(old, next, w); err != nil {
				return err
			}
			if err := old.walkRest(); err != nil {
				return err
			}
			return r.isVerified(old)
		})
		return err
	})
	if err == nil {
		err = r.close() // Windows cannot rename over an open file
	}
	if err == nil && r.plan.There {
		err = r.o.Unfinished.Keep(r.path, r.plan.Replaced)
	}
	if err != nil {
		_ = os.Remove(r.path + newSuffix)
		return err
	}
	published, err := disk.Publish(r.path+newSuffix, r.path)
	if !published {
		if r.plan.There { // a second name of the vault is not a copy
			_ = os.Remove(r.plan.Replaced)
		}
		return err
	}
	if err == nil {
		r.o.memory().note(v.vid, end, true)
	}
	r.plan.Epoch = next.epoch.N
	return err
}

// readHead reads the head of the backup, which must be that of the verified one. What t walks through from here on
// can be compared with it; see isVerified.
func (r *restore) readHead(t *tx) error {
	t.walked = walked{}
	err := t.readHead()
	if err == nil && t.mark() != r.plan.backup.end {
		err = errMeanwhile
	}
	return err
}

// isVerified returns an error unless what t has walked through is what was verified.
func (r *restore) isVerified(t *tx) error {
	for bucket, sum := range t.walked {
		if sum != r.plan.backup.walked[bucket] {
			return errMeanwhile
		}
	}
	return nil
}

func (r *restore) fill(old *tx, next *Session, w *builder) error {
	if err := w.keepOwner(old, next); err != nil {
		return err
	}
	if err := r.keepWays(old, next, w); err != nil {
		return err
	}
	cp, err := r.copyLog(old, w)
	if err != nil {
		return err
	}
	p := &rewritePlan{tier: r.raise}
	if r.history != nil {
		p.last = append(p.last, r.history.story)
	}
	if !r.plan.KeepsLog || !r.compared() { // then the backup may know of numbers that the log that goes on does not
		v, _, err := r.from.learnLog(old, false)
		if err != nil {
			return err
		}
		p.last = append(p.last, v.told)
	}
	heads, err := r.from.copyHeads(old, next, w, p)
	if err != nil {
		return err
	}
	if err := r.from.copyVersions(old, next, w, p, heads); err != nil {
		return err
	}
	tells := w.t.seq() // the entry that begins the epoch, or of those after it the last that tells of an agent
	for i, a := range r.agents {
		if a.body.Seq = w.rewritten()(a.body.Seq); w.t.Format >= keys.Format2 && r.tellsOf(a) != "" {
			tells++
			a.body.Seq = tells
		}
		a.body.Pub = public(keys.NewGrantee(next.root.AgentSecret(a.id, a.body.Serial)).Sign)
		r.agents[i].body.Pub = a.body.Pub
		if err := agentKind.put(w.t, []byte(a.id), a.body); err != nil {
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
	note := map[string]any{"file": file, "entry": r.plan.Entry, "returning": len(r.plan.Returning),
		"older": len(r.plan.Older)}
	if r.plan.There {
		note["replaced"], note["replaced_newest"] = r.plan.Replaced, r.plan.Newest
	}
	if err := next.beginEpoch(w, audit.VaultRestored, note); err != nil {
		return err
	}
	if err := r.tellOfAgents(w.t); err != nil {
		return err
	}
	return w.t.putCheckpoint(cp, p.last...)
}

// tellsOf returns the event that the log has yet to tell of an agent; "" for none.
func (r *restore) tellsOf(a agentAt) string {
	serial, known := r.serials[a.id]
	switch {
	case a.body.RevokedAt != nil && known:
		return audit.AgentRevoked
	case a.body.RevokedAt != nil, known && serial == a.body.Serial && sameScopes(r.scopes[a.id], a.body.scopes()):
		return ""
	case known && serial == a.body.Serial:
		return audit.AgentUpdated
	case known:
		return audit.AgentKeyRotated
	}
	return audit.AgentCreated
}

// tellOfAgents logs what the continued log does not yet tell of agents. Without these
// entries, the agents' later signatures could not be verified.
func (r *restore) tellOfAgents(t *tx) error {
	for _, a := range r.agents {
		event, note := r.tellsOf(a), a.body.logged()
		switch event {
		case "":
			continue
		case audit.AgentRevoked:
			note = map[string]any{"name": a.body.Name}
		}
		note["because"] = "carried over from the vault that was replaced"
		if err := t.log(event, "agent", a.id, note); err != nil {
			return err
		}
	}
	return nil
}
