package vault

import (
	"errors"
	"reflect"
	"slices"
	"strings"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/fault"
	"ass/vault/internal/keys"
)

// The path of a secret is sealed in with each of its values, and its key follows from its path. So to move a secret,
// the owner opens each version and seals it anew. The old and the new path are pairs in one entry of the log.
//
// If somebody loses a right by the move, its old key must open nothing in the file. So the vault is rewritten, as for a
// raised tier. Otherwise the move appends.

// Move is a secret and the path that it is to get.
type Move struct{ From, To tokens.Path }

// MoveOptions say how secrets are moved. The zero MoveOptions move them with their history.
type MoveOptions struct {
	Copy   bool // leave them where they are
	Latest bool // copy the current value alone; only for a copy
}

func (o MoveOptions) event() string {
	if o.Copy {
		return audit.SecretCopied
	}
	return audit.SecretMoved
}

func (o MoveOptions) verb() string {
	if o.Copy {
		return "copy"
	}
	return "move"
}

// Moved is a secret as it is at its new path.
type Moved struct {
	From     tokens.Path
	Secret          // at its new path
	Versions int    // how many come along
	First    uint64 // the number that the first of them gets
	Anew     bool   // whether the numbers are others than before
}

// RightsChange is what an agent or a token loses and gains by a move: for how many secrets each right.
type RightsChange struct {
	Kind   string // audit.Agent, audit.Token
	ID     string
	Agent  string // for a token: its issuer
	Name   string // of the agent
	Losing map[tokens.Action]int
	Gained map[tokens.Action]int
}

// MovePlan is what a move changes.
type MovePlan struct {
	Options  MoveOptions
	Secrets  []Moved        // by old path
	Rights   []RightsChange // of those who lose or gain something; agents first
	Rewrites bool           // whether somebody loses a right, so that the vault is rewritten
	Answered int            // how many approvals end, because they are for what is moved
}

// moving is one secret on its way.
type moving struct {
	Moved
	head  secretBody // as it is at the old path
	shift int64      // what is added to the numbers of its versions
	last  uint64     // the highest number that a version had at the old path
	take  []uint64   // versions that come along, by their old numbers
}

// PlanMove says what a move or a copy would change. It changes nothing. If a secret is not there, or a new path is not
// free, it is an error. Only the owner can move and copy: for others it returns [ErrDenied].
func (s *Session) PlanMove(list []Move, o MoveOptions) (plan MovePlan, err error) {
	if err := s.mayOnlyOwner(o.verb()+" secrets", "", ""); err != nil {
		return plan, err
	}
	return plan, s.view(func(t *tx) error {
		v, _, err := s.learnLog(s.newTx(t.b), true)
		if err == nil {
			plan, _, err = s.planMove(t, v.told, list, o)
		}
		return err
	})
}

// Move does what [Session.PlanMove] planned: all of it or nothing. If the vault has changed since, so that the plan
// would be another, the error is [ErrConflict].
func (s *Session) Move(planned MovePlan) (done MovePlan, err error) {
	list, o := planned.moves(), planned.Options
	resource := ""
	if len(list) > 0 {
		resource = list[0].From.String()
	}
	if err := s.mayOnlyOwner(o.verb()+" secrets", o.event(), resource); err != nil {
		return done, err
	}
	again := func(t *tx, told *story) (plan MovePlan, work []*moving, err error) {
		if plan, work, err = s.planMove(t, told, list, o); err == nil && !reflect.DeepEqual(plan, planned) {
			err = fault.New(ErrConflict, "the vault changed after the plan was shown; nothing was done").Hint("run it again")
		}
		return plan, work, err
	}
	err = s.updateKnowing(func(t *tx, told *story) error {
		plan, work, err := again(t, told)
		if done = plan; err == nil && plan.Rewrites {
			err = errRaise
		}
		if err != nil {
			return err
		}
		return mover{s: s, from: t, next: s, to: t, told: told, o: o}.all(work)
	})
	if !errors.Is(err, errRaise) {
		return done, err
	}
	drop := map[tokens.Path]bool{}
	for _, m := range list {
		drop[m.From] = true
	}
	p := &rewritePlan{why: "secret moved", what: resource, drop: drop}
	p.then = func(next *Session, to *tx) error {
		plan, work, err := again(p.from, p.told)
		if done = plan; err != nil {
			return err
		}
		return mover{s: s, from: p.from, next: next, to: to, told: p.told, o: o}.all(work)
	}
	return done, s.rewrite(p)
}

// moves returns the pairs of paths of a plan.
func (p MovePlan) moves() (list []Move) {
	for _, m := range p.Secrets {
		list = append(list, Move{m.From, m.Path})
	}
	return list
}

// updateKnowing is update for an act that goes by what the log tells. Clearing what has lapsed adds to the log, and
// then the file does not have its end yet: so that comes in a transaction of its own.
func (s *Session) updateKnowing(fn func(*tx, *story) error) error {
	errAgain := errors.New("the log has grown")
	act := func(t *tx) error {
		stored := s.newTx(t.b)
		v, _, err := s.learnLog(stored, true)
		switch {
		case err != nil:
			return err
		case stored.head.log.Seq != t.head.log.Seq:
			return errAgain
		}
		return fn(t, v.told)
	}
	err := s.update(act)
	if errors.Is(err, errAgain) {
		if err = s.update(func(*tx) error { return nil }); err == nil {
			err = s.update(act)
		}
	}
	return err
}

// MovesBelow returns the pairs for all secrets in and below a namespace, which are to be in and below another. It
// leaves deleted secrets out, and says how many those are.
func (s *Session) MovesBelow(from, to tokens.Namespace) (list []Move, deleted int, err error) {
	if err := s.mayOnlyOwner("move or copy secrets", "", ""); err != nil {
		return nil, 0, err
	}
	if strings.HasPrefix(to.String()+"/", from.String()+"/") || strings.HasPrefix(from.String()+"/", to.String()+"/") {
		return nil, 0, fault.New(ErrConflict, "%s and %s are the same namespace, or one is in the other", from, to)
	}
	err = s.view(func(t *tx) error {
		var bad error
		err := t.heads(from, func(p tokens.Path, head secretBody) {
			if head.DeletedAt != nil {
				deleted++
				return
			}
			target, err := tokens.ParsePath(to.String() + strings.TrimPrefix(p.String(), from.String()))
			bad = errors.Join(bad, err)
			list = append(list, Move{p, target})
		})
		return errors.Join(err, bad)
	})
	return list, deleted, err
}

// planMove decides on each secret, in the order of their old paths, and on who loses and gains what.
func (s *Session) planMove(t *tx, told *story, list []Move, o MoveOptions) (plan MovePlan, work []*moving, err error) {
	plan.Options = o
	switch {
	case t.Format < keys.Format2:
		return plan, nil, fault.New(ErrConflict, "the vault is of format 1, in which secrets keep their paths").
			Hint("run: ass vault upgrade")
	case len(list) == 0:
		return plan, nil, fault.New(ErrNotFound, "there is nothing to %s", o.verb())
	case o.Latest && !o.Copy:
		return plan, nil, fault.New(ErrConflict, "a move takes the history along")
	}
	list = slices.Clone(list)
	sortList(list, func(a, b Move) int { return a.From.Compare(b.From) })
	used := map[tokens.Path]bool{}
	for _, m := range list {
		if used[m.From] || used[m.To] || m.From == m.To {
			return plan, nil, fault.New(ErrConflict, "%s cannot be moved or copied to %s: each path can have one part in that",
				m.From, m.To)
		}
		used[m.From], used[m.To] = true, true
		w, err := s.planOne(t, told, m, o)
		if err != nil {
			return plan, nil, err
		}
		plan.Secrets, work = append(plan.Secrets, w.Moved), append(work, w)
	}
	if plan.Rights, err = t.rightsChanged(told, work, o.Copy); err != nil || o.Copy {
		return plan, work, err
	}
	for _, c := range plan.Rights {
		plan.Rewrites = plan.Rewrites || len(c.Losing) > 0
	}
	approved, err := t.approvedRequests() // the key in such an approval opens the bytes at the old path
	for _, q := range approved {
		if used[q.Path] && !q.Used {
			plan.Answered++
			plan.Rewrites = true
		}
	}
	return plan, work, err
}

// planOne decides on one secret. It holds its record against the log, as a rewrite does, and refuses what a
// verification would name.
func (s *Session) planOne(t *tx, told *story, m Move, o MoveOptions) (w *moving, err error) {
	if err := t.isFree(m.To, told, o); err != nil {
		return nil, err
	}
	k, v, err := t.storedHead(m.From)
	if err != nil {
		return nil, err
	}
	head, r, err := secretKind.read(t, k, v)
	if err == nil {
		err = head.checkLive(m.From)
	}
	if err == nil {
		err = told.head(m.From, head, t.placed(secretKind.rules, k, r))
	}
	if err != nil {
		return nil, err
	}
	if head.Tier, err = t.tierOf(m.From, head); err != nil {
		return nil, err
	}
	numbers, err := t.versionNumbers(m.From)
	if err != nil {
		return nil, err
	}
	highest, err := t.highestTier(m.From)
	if err != nil {
		return nil, err
	}
	head.Tier = max(head.Tier, highest, told.tiers[m.From.String()])
	w = &moving{Moved: Moved{From: m.From}, head: head, last: slices.Max(append(numbers, head.Version, head.Last))}
	w.last = max(w.last, lastTold(told, m.From))
	for _, n := range numbers {
		if w.takes(n, o) {
			w.take = append(w.take, n)
		}
	}
	if !slices.Contains(w.take, head.Version) {
		return nil, fault.Damaged(m.From.String(), "its current version is missing")
	}
	if err := w.checkWhole(told.records[m.From.String()], numbers, o); err != nil {
		return nil, err
	}
	if w.shift = int64(lastTold(told, m.To)) + 1 - int64(w.take[0]); w.shift < 0 && !o.Latest {
		w.shift = 0 // the numbers are free
	}
	w.Moved = Moved{From: m.From, Secret: head.secret(m.To), Versions: len(w.take), First: w.now(w.take[0]),
		Anew: w.shift != 0}
	if w.Version = w.now(head.Version); w.Version >= maxVersion {
		return nil, fault.New(ErrConflict, "%s has had as many versions as a secret can have", m.To)
	}
	if w.DeletedTo > 0 {
		w.DeletedTo = w.now(w.DeletedTo)
	}
	if o.Copy {
		w.ID, w.DeletedTo = "", 0
	}
	return w, nil
}

// checkWhole returns an error if a version is missing that would come along, or if the log does not tell of the
// current one: from the number of that follow those of the others.
func (w *moving) checkWhole(r *recordAt, numbers []uint64, o MoveOptions) error {
	if r == nil || r.Version != w.head.Version {
		return fault.Damaged(w.From.String(), "the log does not tell of its current version, because an entry is damaged")
	}
	for _, of := range r.Versions {
		n := of.Number
		if w.takes(n, o) && !slices.Contains(numbers, n) {
			return fault.Damaged(w.From.String(), "version %d is missing", n)
		}
	}
	return nil
}

// takes reports whether a version comes along.
func (w *moving) takes(n uint64, o MoveOptions) bool {
	return n <= w.head.Version && (!o.Copy || n > w.head.DeletedTo) && (!o.Latest || n == w.head.Version)
}

// now returns the number that a version gets at the new path.
func (w *moving) now(n uint64) uint64 { return uint64(int64(n) + w.shift) }

// lastTold returns the highest number that a version of a secret ever had, as the log tells.
func lastTold(told *story, p tokens.Path) uint64 {
	if r := told.records[p.String()]; r != nil {
		return min(r.Last, maxVersion)
	}
	return 0
}

// isFree returns an error if a secret is at a path, deleted or not, or if the log or the owner say that one is.
func (t *tx) isFree(p tokens.Path, told *story, o MoveOptions) error {
	head, err := t.secretHead(p)
	switch {
	case err == nil && head.DeletedAt != nil:
		return fault.New(ErrConflict, "%s is taken by a deleted secret", p).
			Hint("bring that back with: ass secrets restore %s, or remove it for good with: ass secrets purge %s", p, p)
	case err == nil:
		return fault.New(ErrConflict, "%s is there already", p).
			Hint("%s to another path, or delete and purge that one first", o.verb())
	case !errors.Is(err, ErrNotFound):
		return err
	}
	left, _, err := t.newestVersion(p)
	if err == nil && left != nil {
		err = fault.Damaged(p.String(), "its versions exist, but its record was removed")
	}
	if err != nil {
		return err
	}
	stated, err := t.statedTier(p)
	if err == nil && (stated != 0 || told.records[p.String()].there()) {
		err = fault.Damaged(p.String(), "its record is missing, though the log tells of it: ass audit verify says more")
	}
	return err
}

// mover moves or copies secrets. If the vault is rewritten, they come from the old file and go into the new one.
type mover struct {
	s    *Session
	from *tx
	next *Session
	to   *tx
	told *story
	o    MoveOptions
}

// all moves all secrets, and logs that. A long list goes on in further entries, but both paths of a secret are
// in one.
func (m mover) all(work []*moving) error {
	var items []audit.Item
	var page pages
	at := uint64(0)
	flush := func() error {
		sortList(items, func(a, b audit.Item) int { return strings.Compare(a.Path, b.Path) })
		err := m.to.logEvent(listEvent(m.o.event(), items))
		items = nil
		return err
	}
	for i, w := range work {
		tier := w.head.Tier.String()
		from := audit.Item{Path: w.From.String(), Version: w.last, Tier: tier, To: w.Path.String()}
		to := audit.Item{Path: w.Path.String(), Version: w.Version, Tier: tier, From: w.From.String()}
		if next := page.add(to, from.Size()); next != at {
			at = next
			if err := flush(); err != nil {
				return err
			}
		}
		if err := m.one(w); err != nil {
			return err
		}
		items = append(items, from, to)
		m.s.v.opts.step(i+1, len(work))
	}
	return flush()
}

// one writes the records of the new path and, if they are in the same file, removes those of the old one.
func (m mover) one(w *moving) error {
	for _, n := range w.take {
		if err := m.version(w, n); err != nil {
			return err
		}
	}
	head := w.head
	head.Seq, head.Version, head.Last, head.DeletedTo, head.UpdatedAt = m.to.seq(), w.Version, 0, w.DeletedTo, m.to.now
	said := head.About.clone()
	if said.MovedFrom = w.From.String(); m.o.Copy {
		head.ID, head.CreatedAt, said.MovedFrom = m.to.newIDOf(m.s.isCanary(head.ID)), m.to.now, ""
	}
	if head.About = &said; said.isZero() {
		head.About = nil
	}
	if err := secretKind.put(m.to, secretBucketKey(w.Path), head); err != nil || m.o.Copy || m.from != m.to {
		return err
	}
	numbers, err := m.to.versionNumbers(w.From)
	if err != nil {
		return err
	}
	for _, n := range numbers {
		if err := errors.Join(versionKind.remove(m.to, versionKey(w.From, n)),
			resealKind.remove(m.to, versionKey(w.From, n))); err != nil {
			return err
		}
	}
	return errors.Join(secretKind.remove(m.to, secretBucketKey(w.From)), tierKind.remove(m.to, secretBucketKey(w.From)))
}

// version seals a version anew for the new path. It names where its value was written first.
func (m mover) version(w *moving, n uint64) error {
	r := reading{path: w.From, n: n}
	if err := m.from.find(&r); err != nil {
		return err
	}
	body, stored, err := versionKind.check(m.from.hasher, r.who, r.k, r.v)
	if err != nil {
		return err
	}
	body.by = stored.by
	if err := m.told.version(w.From, n, body, m.from.placed(versionKind.rules, r.k, stored)); err != nil {
		return err
	}
	value, err := m.s.openVersion(m.from.Epoch, body, w.From, n)
	if err != nil {
		return err
	}
	defer clear(value)
	was := body.origin()
	if was.Path == "" {
		was.Path, was.Version = w.From.String(), n
	}
	if !was.Unattested && m.told.isUnclear(was.Seq) {
		was.Unattested = true
	}
	now := versionBody{Seq: m.to.resealSeq(w.Path, w.now(n)), Tier: w.head.Tier, CreatedAt: body.CreatedAt, Origin: &was,
		by: m.to.by.id}
	return m.next.writeVersion(m.to, w.Path, w.now(n), now, value)
}
