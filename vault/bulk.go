package vault

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/fault"
	"ass/vault/internal/keys"
)

// An act on many secrets is one transaction: all or nothing.

// GetAll reads the current values of all secrets in a namespace and below it that the
// session may read. It returns them in the order of their paths, all or none. If some
// need approval, GetAll makes the requests together, and the error is an
// [ApprovalError].
func (s *Session) GetAll(ns tokens.Namespace) ([]Value, error) {
	return s.GetMany([]tokens.Namespace{ns}, nil)
}

// GetMany is GetAll for several namespaces and single paths. Each secret is read once.
// If a path names no secret, the error is [ErrNotFound].
func (s *Session) GetMany(namespaces []tokens.Namespace, paths []tokens.Path) ([]Value, error) {
	var values []Value
	err := s.updateReading(func(t *tx) error {
		all := slices.Clone(paths)
		for _, ns := range namespaces {
			err := t.heads(ns, func(p tokens.Path, head secretBody) {
				if head.DeletedAt == nil && s.Can(tokens.Read, p) {
					all = append(all, p)
				}
			})
			if err != nil {
				return err
			}
		}
		sortList(all, tokens.Path.Compare)
		all = slices.Compact(all)
		if err := s.authorize(t, tokens.Read, audit.SecretRead, all...); err != nil {
			return err
		}
		heads, err := t.liveHeads(all)
		if err != nil {
			return err
		}
		values, err = s.readAll(t, all, heads)
		return err
	})
	if err != nil {
		return nil, err
	}
	return values, nil
}

// liveHeads reads the heads of secrets. If one is deleted, that is an error.
func (t *tx) liveHeads(paths []tokens.Path) (heads []secretBody, err error) {
	heads = make([]secretBody, 0, len(paths))
	worker := func() func(*reading) {
		h := t.another()
		return func(r *reading) {
			if _, r.err = secretKind.checkInto(&r.head, h, r.who, r.k, r.v); r.err == nil {
				r.err = r.head.checkLive(r.path)
			}
		}
	}
	var free buffers
	done := func(r *reading) error {
		heads = append(heads, r.head)
		free.back(r.v)
		return r.err
	}
	return heads, inBatches(worker, done, func(add func(reading, int) error) error {
		for _, p := range paths {
			k, v, err := t.storedHead(p)
			if err != nil {
				return err
			}
			v = free.copyOf(v)
			if err := add(reading{k: k, v: v, who: t.signer(secretKind.rules, authorIn(v)), path: p}, len(v)); err != nil {
				return err
			}
		}
		return nil
	})
}

// readAll opens the current versions of secrets on all cores, and logs the reads.
func (s *Session) readAll(t *tx, paths []tokens.Path, heads []secretBody) (values []Value, err error) {
	values = make([]Value, 0, len(paths))
	need, log, free := &needsDecision{}, readLog{t: t}, buffers{}
	worker := func() func(*reading) {
		own, h := s.inOrder(), t.another()
		return func(r *reading) {
			own.open(h, r)
		}
	}
	done := func(r *reading) error {
		v, item, err := s.handOut(t, r)
		switch {
		case need.takes(err):
		case err != nil:
			return err
		default:
			if err := log.add(item); err != nil {
				return err
			}
		}
		values = append(values, v)
		free.back(r.v)
		s.v.opts.step(len(values), len(paths))
		return nil
	}
	err = inBatches(worker, done, func(add func(reading, int) error) error {
		for i, p := range paths {
			r := reading{path: p, head: heads[i], n: heads[i].Version}
			err := t.find(&r)
			if err == nil {
				r.v = free.copyOf(r.v)
				err = add(r, len(r.v))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return values, err
	case len(need.subjects) > 0:
		return values, need
	}
	return values, log.flush()
}

// step reports progress after every 64 items, and at the end.
func (o Options) step(done, total int) {
	if done%64 == 0 || done == total {
		o.Progress(done, total)
	}
}

// Item is one secret to import.
type Item struct {
	Key   string // the path below the namespace
	Value []byte
	Tier  tokens.Tier // 0 for that of the options
	Type  string      // "" for that of the options

	About func(*About) // changes what is said of the secret, if a version is written; nil for no change
}

// What an import does with a secret that is there already.
const (
	OnConflictUpdate = "update" // a new version, unless the value is the same
	OnConflictSkip   = "skip"
	OnConflictError  = "error"
)

// ImportOptions say how to import.
type ImportOptions struct {
	Tier       tokens.Tier // as in [SetOptions]
	Type       string      // as in [SetOptions]
	OnConflict string      // "" is [OnConflictUpdate]

	// MayReplace reports whether a secret may be replaced, because a person has seen that
	// it would be. If the import would replace any other secret, the error is
	// [ErrConflict]. If MayReplace is nil, every secret may be replaced.
	MayReplace func(tokens.Path) bool

	DryRun bool // report what would be done, but do nothing
}

// Imported says what became of one item.
type Imported struct {
	Secret
	Outcome string // created, updated, unchanged, skipped, needs approval
	New     bool   // whether nothing was at the path, not even a deleted secret
}

// Outcomes of an import.
const (
	ImportCreated   = "created"
	ImportUpdated   = "updated"
	ImportUnchanged = "unchanged"
	ImportSkipped   = "skipped"
	ImportRequested = "needs approval"
)

// Written reports whether a version was written.
func (i Imported) Written() bool { return i.Outcome == ImportCreated || i.Outcome == ImportUpdated }

var errKeepNothing = errors.New("nothing is to be kept")

// Import stores many values in a namespace, all or none. In the root, the key of an item is its whole path. It
// returns one result for each item, in the order of the items. If a value is already the current one, and the session
// can read that, Import writes no new version. If it writes none at all, the log gets no entry, and nothing counts as
// used.
func (s *Session) Import(ns tokens.Namespace, items []Item, o ImportOptions) ([]Imported, error) {
	paths, err := CheckImport(ns, items, o)
	if err != nil {
		return nil, err
	}
	m := importing{ns: ns, paths: paths, items: items, o: o}
	err = s.update(func(t *tx) error {
		m.Session, m.t = s, t
		switch err := m.run(); {
		case err != nil:
			return err
		case len(m.raise) > 0:
			return errRaise
		case o.DryRun, m.writes == 0:
			return errKeepNothing
		}
		return nil
	})
	switch {
	case errors.Is(err, errKeepNothing), o.DryRun && errors.Is(err, errRaise):
		return m.done, nil
	case errors.Is(err, errRaise):
		again := importing{ns: ns, paths: paths, items: items, o: o, raised: m.raise}
		err = s.rewrite(&rewritePlan{
			why: "tier raised", what: ns.String(), tier: m.raise,
			then: func(next *Session, t *tx) error {
				again.Session, again.t = next, t
				return again.run()
			},
		})
		m.done = again.done
	}
	if err != nil {
		return nil, err
	}
	return m.done, nil
}

// CheckImport returns an error if Import would refuse the form of an item; else it
// returns the paths of the items. It needs no vault.
func CheckImport(ns tokens.Namespace, items []Item, o ImportOptions) ([]tokens.Path, error) {
	paths := make([]tokens.Path, len(items))
	seen := make(map[tokens.Path]bool, len(items))
	for i, item := range items {
		p, err := pathOf(ns, item)
		if err == nil {
			err = CheckSet(item.Value, SetOptions{Type: cmp.Or(item.Type, o.Type), About: item.About})
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", item.Key, err)
		}
		if seen[p] {
			return nil, &tokens.SyntaxError{What: item.Key, Problem: "it is listed twice"}
		}
		paths[i], seen[p] = p, true
	}
	return paths, nil
}

func pathOf(ns tokens.Namespace, item Item) (tokens.Path, error) {
	if ns == (tokens.Namespace{}) {
		return tokens.ParsePath(item.Key)
	}
	return ns.Join(item.Key)
}

// errNoLists says that a log entry of format 1 has the names of one namespace, and so cannot tell of whole paths.
var errNoLists = errors.New("a vault of format 1 takes an import into one namespace alone; its owner's next change " +
	"makes it format 2")

// importing is one attempt at an import.
type importing struct {
	*Session
	t      *tx
	ns     tokens.Namespace
	paths  []tokens.Path
	items  []Item
	o      ImportOptions
	raised map[tokens.Path]tokens.Tier // by a rewrite, for this import

	done  []Imported // in the order of the items
	need  needsDecision
	raise map[tokens.Path]tokens.Tier // the tiers that a rewrite must raise first

	first  uint64 // number of the first log entry
	pages  pages  // of what is to be written
	writes int    // how many versions that are
	page   uint64 // the entry of what is written and not logged yet
	log    []audit.Item
}

// run decides on each item and writes it. It stops writing at the first item whose tier
// has to be raised, and collects all such items.
func (m *importing) run() error {
	if m.ns == (tokens.Namespace{}) && !m.t.lists() {
		return errNoLists
	}
	if err := m.authorize(m.t, tokens.Write, audit.SecretImported, m.paths...); err != nil {
		return err
	}
	m.raise, m.t.lookFor = map[tokens.Path]tokens.Tier{}, m.paths
	m.done, m.first = make([]Imported, len(m.items)), m.t.seq()
	err := inBatches(m.sealer, m.put, func(add func(writing, int) error) error {
		for n, i := range m.order() {
			m.v.opts.step(n+1, len(m.paths))
			err := m.item(i, func(w writing) error { return add(w, len(w.value)) })
			if err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case len(m.need.subjects) > 0:
		return &m.need
	case len(m.raise) > 0 || m.writes == 0:
		return nil
	}
	return m.logLast()
}

// order returns the numbers of the items, in the order in which they are written.
func (m *importing) order() []int {
	order := make([]int, len(m.paths))
	for i := range order {
		order[i] = i
	}
	if m.t.lists() {
		sortList(order, func(i, j int) int { return m.paths[i].Compare(m.paths[j]) })
	}
	return order
}

// put writes the records that a worker made. The records of an entry are complete before the entry is logged.
func (m *importing) put(w *writing) error {
	if w.page != m.page {
		if err := m.t.logEvent(listEvent(audit.SecretImported, m.log)); err != nil {
			return err
		}
		m.page, m.log = w.page, nil
	}
	if w.lowered {
		here := func(tokens.Path, uint64) uint64 { return m.t.seq() }
		if err := m.lowerVersions(m.t, w.path, w.head.Tier, here); err != nil {
			return err
		}
	}
	err := m.Session.put(m.t, w)
	if err == nil {
		err = m.stateTier(m.t, w.path, &w.write)
	}
	if err != nil {
		return err
	}
	w.item.Sum = m.t.takeSum(versionKey(w.path, w.head.Version))
	if m.log == nil {
		m.log = make([]audit.Item, 0, min(len(m.items), 1024))
	}
	m.log = append(m.log, w.item)
	return nil
}

// logLast logs what is not logged yet. The last entry has the number of the items that were unchanged, because each of
// them counts as a use of a token.
func (m *importing) logLast() error {
	note := map[string]any{}
	if same := len(m.done) - m.writes; same > 0 {
		note["unchanged"] = same
	}
	ev := listEvent(audit.SecretImported, m.log)
	if ev.Metadata = note; m.t.lists() {
		return m.t.logEvent(ev)
	}
	var names, tiers, sums []string
	var versions []uint64
	for _, i := range m.log {
		names, versions = append(names, i.Path[len(m.ns.String())+1:]), append(versions, i.Version)
		tiers, sums = append(tiers, i.Tier), append(sums, i.Sum)
	}
	note["keys"], note["versions"], note["tiers"], note["sums"] = names, versions, tiers, sums
	return m.t.log(audit.SecretImported, "namespace", m.ns.String(), note)
}

// item decides on one item. If a version of it is to be written, item calls write.
func (m *importing) item(i int, write func(writing) error) error {
	p, value := m.paths[i], m.items[i].Value
	w, err := m.planWrite(m.t, p, SetOptions{Tier: cmp.Or(m.items[i].Tier, m.o.Tier),
		Type:  cmp.Or(m.items[i].Type, m.o.Type),
		About: m.items[i].About})
	var one *needsDecision
	if errors.As(err, &one) {
		if m.o.DryRun { // a dry run makes no requests
			m.done[i] = Imported{Secret{Path: p}, ImportRequested, false}
		} else {
			m.need.subjects = append(m.need.subjects, one.subjects...)
		}
		return nil
	}
	if err != nil {
		return err
	}
	result := Imported{w.before, ImportCreated, w.was == 0}
	if w.current() > 0 {
		if result.Outcome, err = m.replaces(p, w, value); err != nil {
			return err
		}
	}
	if result.Written() {
		if w.was != 0 && w.head.Tier > w.was {
			m.raise[p] = w.head.Tier
		}
		if m.writes++; len(m.raise) == 0 {
			if err := m.writeItem(p, w, value, write); err != nil {
				return err
			}
			result.Secret = w.head.secret(p)
		}
	}
	m.done[i] = result
	return nil
}

// writeItem makes the version of an item and calls write. The records have the number of the entry that will tell of
// them.
func (m *importing) writeItem(p tokens.Path, w write, value []byte, write func(writing) error) error {
	item := audit.Item{Path: p.String(), Version: w.head.Version, Tier: w.head.Tier.String()}
	item.Approval, _ = w.note["approval"].(string)
	if w.head.Type != DefaultType {
		item.Type = w.head.Type
	}
	resealed, lowered := 0, w.head.Tier < w.was
	if lowered {
		numbers, err := m.t.versionNumbers(p)
		if err != nil {
			return err
		}
		resealed = len(numbers) * resealedSize(p)
	}
	page := uint64(0)
	if m.t.lists() {
		page = m.pages.add(item, resealed)
	}
	body := m.t.newVersion(w.head.Tier)
	w.head.Seq, body.Seq = m.first+page, m.first+page
	return write(writing{write: w, path: p, version: body, value: value, page: page, item: item, lowered: lowered})
}

// replaces decides on an item whose secret exists. A secret that a rewrite has raised gets
// a new version, whatever its value.
func (m *importing) replaces(p tokens.Path, w write, value []byte) (outcome string, err error) {
	same, err := m.isCurrent(m.t, p, w, value)
	switch {
	case err != nil:
		return "", err
	case same && m.raised[p] == 0:
		return ImportUnchanged, nil
	case m.o.OnConflict == OnConflictSkip:
		return ImportSkipped, nil
	case m.o.OnConflict == OnConflictError:
		return "", fault.New(ErrConflict, "%s already has another value; nothing was imported", p)
	case m.o.MayReplace != nil && !m.o.MayReplace(p):
		return "", fault.New(ErrConflict, "%s was changed by another process; nothing was imported", p).
			Hint("run it again")
	}
	return ImportUpdated, nil
}

// writing is a version that is to be written, with the head of its secret.
type writing struct {
	write
	path    tokens.Path
	version versionBody
	value   []byte
	page    uint64 // the log entry that tells of it, counted from the first one
	item    audit.Item
	lowered bool // whether the versions of the secret have a higher tier

	own  bool // whether it is sealed under the secret's own key
	made [2]*stored
	err  error
}

// sealer returns a worker for [inBatches], which seals and signs versions and heads.
func (s *Session) sealer() func(*writing) {
	own, h := s.inOrder(), s.newHasher()
	return func(w *writing) {
		w.own, w.err = own.sealOwn(w.path, w.head.Version, &w.version, w.value)
		if !w.own || w.err != nil {
			return
		}
		w.made[0], w.err = versionKind.newStored(h, s.by, versionKey(w.path, w.head.Version), &w.version)
		if w.err == nil {
			w.made[1], w.err = secretKind.newStored(h, s.by, secretBucketKey(w.path), &w.head)
		}
	}
}

// put writes the records that a worker made. If the author cannot read the version, put
// seals it, to the recipient that the file names.
func (s *Session) put(t *tx, w *writing) error {
	if w.err != nil {
		return w.err
	}
	if !w.own {
		if err := s.writeVersion(t, w.path, w.head.Version, w.version, w.value); err != nil {
			return err
		}
		return secretKind.put(t, secretBucketKey(w.path), w.head)
	}
	if err := resealKind.remove(t, w.made[0].key); err != nil {
		return err
	}
	for _, r := range w.made {
		r.unread = true // an import has each path once
		if err := t.place(r); err != nil {
			return err
		}
	}
	return nil
}

// isCurrent reports whether a write would change nothing. If the session cannot open
// the current version, it reports false.
func (s *Session) isCurrent(t *tx, p tokens.Path, w write, value []byte) (bool, error) {
	if w.head.Tier != w.was || w.head.Type != w.before.Type {
		return false, nil
	}
	_, old, err := s.readVersion(t, p, w.before.Version)
	if errors.Is(err, keys.ErrNoKey) || errors.Is(err, ErrDenied) {
		return false, nil
	}
	return err == nil && string(old) == string(value), err
}
