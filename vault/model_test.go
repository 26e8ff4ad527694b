package vault_test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault"
)

// This file is the specification of a vault. It has plain values, and texts instead of keys. Each
// act of the vault has an act of the same name here, which returns the expected error and adds
// the expected log entries. model_run_test.go compares the two.

// spec is the expected state of a vault.
type spec struct {
	now   time.Time
	owner *vault.Identity
	epoch uint32

	secrets   map[string]*specSecret
	last      map[string]int // by path: the highest version number so far
	left      map[string]specLeft
	actors    []*specActor // oldest first; the first is the owner
	asks      []*specAsk   // oldest first
	published map[string]bool
	log       []*specEntry // since the vault was made; the first cut entries are archived
	cut       int

	session string // id of the actor who has the vault open; "" for nobody
	reason  bool   // whether that actor gives a reason for its requests
}

type specSecret struct {
	id               string
	tier             tokens.Tier
	kind             string
	versions         []specVersion // by number; the first ones may be those of a secret that was purged
	created, updated time.Time
	deleted          time.Time // zero if it is not deleted
	deletedTo        int       // versions up to this one were deleted, and a value stored since
	about            vault.About
	canary           bool
}

// specLeft is what the log tells of a secret that was moved away. An archive forgets it.
type specLeft struct {
	seq  int
	tier tokens.Tier
}

type specVersion struct {
	value, author string
	at            time.Time
	seq           int    // of its log entry; 0 for a version that is not there
	above         string // pattern of the recipient that it is sealed to; "" for its own path
}

func (m *specSecret) live() bool { return m != nil && m.deleted.IsZero() }

// specActor is the owner, an agent, a token, or a former key of an agent.
type specActor struct {
	id      string
	scopes  []string // none for the owner
	top     tokens.Tier
	granted bool   // whether its key opens anything
	epoch   uint32 // of a token: the newest epoch of which it had keys

	name           string // of an agent
	key            tokens.AgentKey
	serial         int
	created, keyAt time.Time
	revoked        time.Time // zero while it is active
	replaced       bool      // whether it is a former key of its agent

	text       string          // of a token
	of         *vault.Identity // the owner of the vault when it was issued
	issuer     string
	expires    time.Time
	uses, used int
	record     bool            // whether the vault still has a record of it
	files      map[string]bool // versions sealed above its patterns whose file keys it has
}

func (a *specActor) isOwner() bool { return a.scopes == nil }
func (a *specActor) isAgent() bool { return a.name != "" && !a.replaced }
func (a *specActor) isToken() bool { return a.issuer != "" }

type specAsk struct {
	id, asker, action, path string
	version                 int
	tier                    tokens.Tier
	at                      time.Time
	state                   string    // vault.Pending, Approved or Denied, even if it has lapsed
	until                   time.Time // of an approval
	used                    bool
	reason                  bool // whether it has one
	later                   int  // number of the log entry, if the reason came later
}

type specEntry struct {
	event, actor string
	at           time.Time
	reads        []specRead
}

// specRead is a secret that somebody read, or wanted to read. The version is 0 if nobody got one.
type specRead struct {
	path    string
	version int
}

func (c *spec) clone() *spec {
	d := *c
	d.secrets = map[string]*specSecret{}
	for path, m := range c.secrets {
		n := *m
		n.versions = slices.Clone(m.versions)
		d.secrets[path] = &n
	}
	d.last, d.left = maps.Clone(c.last), maps.Clone(c.left)
	d.actors = nil
	for _, a := range c.actors {
		b := *a
		d.actors = append(d.actors, &b)
	}
	d.asks = nil
	for _, q := range c.asks {
		p := *q
		d.asks = append(d.asks, &p)
	}
	d.published = maps.Clone(c.published)
	d.log = slices.Clone(c.log)
	d.session = ""
	return &d
}

func (c *spec) actor(id string) *specActor {
	if c == nil {
		return nil
	}
	for _, a := range c.actors {
		if a.id == id && !a.replaced {
			return a
		}
	}
	return nil
}

// may reports whether the scopes allow an action. It works on texts alone.
func (a *specActor) may(action, pattern string) bool {
	return a.isOwner() || slices.ContainsFunc(a.scopes, func(scope string) bool {
		part := strings.SplitN(scope, ":", 3)
		return (part[1] == action || part[1] == "*") && patternCovers(part[2], pattern)
	})
}

func patternCovers(pattern, other string) bool {
	prefix, below := strings.CutSuffix(pattern, "*")
	return pattern == other || below && strings.HasPrefix(other, prefix)
}

// coverAll reports whether some scopes allow all that others do.
func coverAll(scopes, others []string) bool {
	a := &specActor{scopes: scopes}
	return !slices.ContainsFunc(others, func(scope string) bool {
		part := strings.SplitN(scope, ":", 3)
		return slices.ContainsFunc(strings.Fields(strings.Replace(part[1], "*", "read write delete", 1)),
			func(action string) bool { return !a.may(action, part[2]) })
	})
}

func sameScopes(a, b []string) bool { return coverAll(a, b) && coverAll(b, a) }

// reads returns the patterns that an actor may read, without those that others cover.
func (a *specActor) reads() (list []string) {
	for _, scope := range a.scopes {
		part := strings.SplitN(scope, ":", 3)
		if part[1] == "write" || part[1] == "delete" || slices.ContainsFunc(list,
			func(p string) bool { return patternCovers(p, part[2]) }) {
			continue
		}
		list = append(slices.DeleteFunc(list, func(p string) bool { return patternCovers(part[2], p) }), part[2])
	}
	return list
}

func (c *spec) expired(a *specActor) bool { return a.isToken() && !c.now.Before(a.expires) }

func (c *spec) state(a *specActor) string {
	switch {
	case c.expired(a):
		return vault.TokenExpired
	case a.uses > 0 && a.used >= a.uses:
		return vault.TokenUsedUp
	case !a.granted:
		return vault.TokenRevoked
	}
	return vault.TokenActive
}

func (c *spec) status(q *specAsk) string {
	if q.state == vault.Pending && !c.now.Before(q.at.Add(vault.RequestLifetime)) || q.state == vault.Approved &&
		!c.now.Before(q.until) {
		return vault.Expired
	}
	return q.state
}

// cleared reports whether the next commit removes a request.
func (c *spec) cleared(q *specAsk) bool { return !c.now.Before(q.at.Add(7 * 24 * time.Hour)) }

// specRefusal is an error that gets a log entry.
type specRefusal struct {
	error
	event, path string
}

// specNeeds ends an act that needs approvals. It holds the requests to make.
type specNeeds []specAsk

func (specNeeds) Error() string { return "approval is required" }

// note adds an entry to the log.
func (c *spec) note(event string, by *specActor, reads ...specRead) {
	c.log = append(c.log, &specEntry{event, by.id, c.now, reads})
}

// commit begins a transaction. Each transaction first clears lapsed requests and tokens.
func (c *spec) commit(by *specActor) {
	n := len(c.asks)
	c.asks = slices.DeleteFunc(c.asks, c.cleared)
	if len(c.asks) < n {
		c.note(audit.ApprovalCleanup, by)
	}
	for _, a := range c.actors {
		if !c.expired(a) {
			continue
		}
		a.granted, a.used = false, 0
		a.record = c.recorded(a)
	}
}

// recorded reports whether a token still has a record after the next clearing.
func (c *spec) recorded(a *specActor) bool {
	asked := slices.ContainsFunc(c.asks, func(q *specAsk) bool { return q.asker == a.id && !c.cleared(q) })
	writes := slices.ContainsFunc(a.scopes, func(s string) bool { return !strings.HasPrefix(s, "secrets:read:") })
	return a.record && (!c.expired(a) || asked || writes)
}

// end turns the error that stopped an act into the error that its actor gets.
func (c *spec) end(a *specActor, err error) error {
	switch e := err.(type) {
	case specRefusal:
		c.commit(a)
		c.note(e.event+audit.Denied, a, specRead{e.path, 0})
		return e.error
	case specNeeds:
		return c.end(a, c.ask(a, e))
	}
	return err
}

// opens returns the error of opening the vault with the actor's credential.
func (c *spec) opens(a *specActor) error {
	if a.granted || c.session == a.id && !a.replaced {
		return nil
	}
	if c.expired(a) && a.of == c.owner { // its text says when it ends, and for which vault it is
		return vault.ErrLapsed
	}
	return vault.ErrWrongKey
}

// enter returns the error with which an act fails before it reaches a secret.
func (c *spec) enter(a *specActor, event string, actions []string, paths ...string) error {
	if err := c.opens(a); err != nil {
		return err
	}
	first := ""
	if len(paths) > 0 {
		first = paths[0]
	}
	if c.expired(a) {
		return specRefusal{vault.ErrLapsed, event, first}
	}
	for _, path := range paths {
		for _, action := range actions {
			if !a.may(action, path) {
				return specRefusal{vault.ErrDenied, event, path}
			}
		}
	}
	if n := len(paths); n > 0 && a.uses > 0 && a.used+n > a.uses {
		return specRefusal{vault.ErrDenied, event, first}
	}
	return nil
}

// onlyOwner refuses an act for which a grantee has no keys.
func (c *spec) onlyOwner(a *specActor, event string) error {
	err := c.opens(a)
	if err == nil && !a.isOwner() {
		err = specRefusal{error: vault.ErrDenied, event: event}
	}
	return err
}

// use counts n uses after an act, and marks approvals for critical secrets as used.
func (c *spec) use(a *specActor, n int, spent ...*specAsk) {
	a.used += n
	if a.uses > 0 && a.used == a.uses && n > 0 {
		a.granted = false
	}
	for _, q := range spent {
		if q != nil && q.tier == tokens.Critical {
			q.used = true
		}
	}
}

// ask makes the requests that do not exist yet.
func (c *spec) ask(a *specActor, needs specNeeds) error {
	pending, found := 0, 0
	for _, q := range c.asks {
		if q.asker == a.id && c.status(q) == vault.Pending {
			pending++
		}
	}
	var made, explained []*specAsk
	var entries []int // of the reasons, among the events
	var events []string
	asked := map[int]specRead{} // by event
	for _, r := range needs {
		same := func(q *specAsk) bool {
			return q.asker == a.id && q.action == r.action && q.path == r.path && q.version == r.version && q.tier == r.tier
		}
		var last *specAsk
		for _, q := range c.asks {
			if same(q) {
				last = q
			}
		}
		switch {
		case last != nil && c.status(last) == vault.Pending:
			if found++; c.reason && !last.reason {
				explained, entries = append(explained, last), append(entries, len(events))
				events = append(events, audit.ApprovalReason)
			}
		case last != nil && last.state == vault.Denied && !c.reason && c.now.Before(last.at.Add(vault.RequestLifetime)):
			event := map[string]string{vault.RequestRead: audit.SecretRead, vault.RequestWrite: audit.SecretUpdated,
				vault.RequestDelete: audit.SecretDeleted, vault.RequestCreate: audit.SecretCreated}[r.action]
			return specRefusal{vault.ErrRefused, event, r.path}
		case pending+len(made) < 20:
			r.asker, r.at, r.state, r.reason = a.id, c.now, vault.Pending, c.reason
			if r.action == vault.RequestRead {
				asked[len(events)] = specRead{r.path, 0}
			}
			made, events = append(made, &r), append(events, audit.ApprovalRequested)
		}
	}
	switch {
	case found+len(made) == 0:
		return vault.ErrConflict
	case len(events) > 0:
		c.commit(a)
		for i, event := range events {
			c.note(event, a, asked[i])
		}
		for i, q := range explained {
			q.reason, q.later = true, len(c.log)-len(events)+1+entries[i]
		}
		c.asks = append(c.asks, made...)
	}
	return vault.ErrApproval
}

// askFor asks for a secret that is not there.
func (c *spec) askFor(a *specActor, path string) error {
	if a.isOwner() {
		return vault.ErrConflict
	}
	err := c.enter(a, audit.SecretCreated, []string{"read"}, path)
	switch {
	case err != nil:
	case c.secrets[path].live():
		err = vault.ErrThere
	default:
		err = specNeeds{{action: vault.RequestCreate, path: path, tier: tokens.Standard}}
	}
	if err = c.end(a, err); err == vault.ErrApproval {
		return nil
	}
	return err
}

// approved returns the approval for an action, or the request to make as specNeeds.
func (c *spec) approved(a *specActor, action, path string, version int) (*specAsk, error) {
	tier := c.secrets[path].tier
	for _, q := range c.asks {
		if q.asker == a.id && q.action == action && q.path == path && q.version == version && q.tier == tier &&
			c.status(q) == vault.Approved && !q.used {
			return q, nil
		}
	}
	return nil, specNeeds{{action: action, path: path, version: version, tier: tier}}
}

// hasKey reports whether an actor can open a version without an approval.
func (c *spec) hasKey(a *specActor, path string, version int) bool {
	m := c.secrets[path]
	if m.tier > a.top || !a.may("read", path) {
		return false
	}
	above := m.versions[version-1].above
	return a.isOwner() || above == "" || a.may("read", above) || a.files[versionName(path, version)]
}

func versionName(path string, version int) string { return path + "\x00" + string(rune(version)) }

// read returns the approval with which an actor reads a version; nil if it needs none.
func (c *spec) read(a *specActor, path string, version int) (by *specAsk, err error) {
	m := c.secrets[path]
	switch {
	case !m.has(version):
		return nil, vault.ErrNotFound
	case c.hasKey(a, path, version):
		return nil, nil
	case m.tier == tokens.Standard:
		return nil, vault.ErrDenied
	}
	return c.approved(a, vault.RequestRead, path, version)
}

func (c *spec) get(a *specActor, path string, version int) error {
	err := c.enter(a, audit.SecretRead, []string{"read"}, path)
	m := c.secrets[path]
	if err == nil && !m.live() {
		err = vault.ErrNotFound
	}
	if err != nil {
		return c.end(a, err)
	}
	if version == 0 {
		version = len(m.versions)
	}
	by, err := c.read(a, path, version)
	if err != nil {
		return c.end(a, err)
	}
	c.commit(a)
	c.use(a, 1, by)
	c.note(audit.SecretRead, a, specRead{path, version})
	return nil
}

// unlogged returns the error of a read without a log entry.
func (c *spec) unlogged(a *specActor, backup bool, path string, version int) error {
	m := c.secrets[path]
	if err := c.opens(a); err != nil {
		return err
	}
	switch {
	case !a.isOwner():
		return vault.ErrDenied
	case !backup: // the read can be logged
		return vault.ErrConflict
	case !m.live(), version > 0 && !m.has(version):
		return vault.ErrNotFound
	}
	return nil
}

// getAll returns the paths whose values are read.
func (c *spec) getAll(a *specActor, ns string) ([]string, error) {
	paths := c.listed(a, ns, false)
	if err := c.enter(a, audit.SecretRead, []string{"read"}, paths...); err != nil {
		return nil, c.end(a, err)
	}
	var (
		spent []*specAsk
		needs specNeeds
	)
	for _, path := range paths {
		by, err := c.read(a, path, len(c.secrets[path].versions))
		need, asks := err.(specNeeds)
		if err != nil && !asks {
			return nil, c.end(a, err)
		}
		spent, needs = append(spent, by), append(needs, need...)
	}
	if len(needs) > 0 {
		return nil, c.end(a, needs)
	}
	c.commit(a)
	c.use(a, len(paths), spent...)
	var reads []specRead
	for _, path := range paths {
		reads = append(reads, specRead{path, len(c.secrets[path].versions)})
	}
	if len(paths) > 0 {
		c.note(audit.SecretRead, a, reads...)
	}
	return paths, nil
}

func (c *spec) listed(a *specActor, ns string, deleted bool) (paths []string) {
	for path, m := range c.secrets {
		if m.live() != deleted && a.may("read", path) && (ns == "" || strings.HasPrefix(path, ns+"/")) {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// specWrite is a planned write.
type specWrite struct {
	was, tier tokens.Tier // was is 0 for a new secret
	before    int         // the current version; 0 for none
	kind      string
	about     vault.About
	canary    bool
	event     string
	spent     *specAsk
}

func writeEvent(o vault.SetOptions) string {
	if o.Rotate {
		return audit.SecretRotated
	}
	return audit.SecretUpdated
}

func (c *spec) plan(a *specActor, path string, o vault.SetOptions) (w specWrite, err error) {
	m := c.secrets[path]
	w = specWrite{tier: tokens.Standard, kind: vault.DefaultType, event: writeEvent(o)}
	if m != nil {
		w.was, w.tier, w.kind = m.tier, m.tier, m.kind
	} else {
		w.event = audit.SecretCreated
	}
	if m.live() {
		w.before = len(m.versions)
	}
	if o.IfVersion != nil && *o.IfVersion != uint64(w.before) {
		return w, vault.ErrConflict
	}
	if o.Rotate && !m.live() {
		return w, vault.ErrNotFound
	}
	if !a.isOwner() && m != nil {
		if o.Tier != 0 && o.Tier != m.tier {
			return w, specRefusal{error: vault.ErrDenied, event: writeEvent(o)}
		}
		if m.tier == tokens.Critical {
			if w.spent, err = c.approved(a, vault.RequestWrite, path, len(m.versions)); err != nil {
				return w, err
			}
		}
	}
	if o.Tier != 0 {
		w.tier = o.Tier
	}
	if o.Type != "" {
		w.kind = o.Type
	}
	w.about, w.canary = m.changed(o.About), m != nil && m.canary
	if o.Canary != nil && !a.isOwner() {
		return w, specRefusal{vault.ErrDenied, writeEvent(o), path}
	}
	if o.Canary != nil {
		w.canary = *o.Canary
	}
	return w, nil
}

// store does a planned write.
func (c *spec) store(a *specActor, path, value string, w specWrite) {
	m := c.secrets[path]
	if m == nil {
		m = &specSecret{created: c.now, versions: make([]specVersion, c.last[path])}
		c.secrets[path] = m
	}
	if !m.live() {
		m.deletedTo = len(m.versions)
	}
	if w.canary != m.canary { // which only the id says
		m.id, m.canary = "", w.canary
	}
	m.tier, m.kind, m.about, m.updated, m.deleted = w.tier, w.kind, w.about, c.now, time.Time{}
	n := specVersion{value: value, author: a.id, at: c.now, seq: len(c.log) + 1}
	if w.tier == tokens.Standard && !a.may("read", path) {
		for p := range c.published { // find the deepest recipient
			if patternCovers(p, path) && (n.above == "" || patternCovers(n.above, p)) {
				n.above = p
			}
		}
	}
	for len(m.versions) < c.last[path] { // a backup brought an earlier version back
		m.versions = append(m.versions, specVersion{})
	}
	m.versions = append(m.versions, n)
	c.last[path] = max(c.last[path], len(m.versions))
}

// has reports whether a secret has a version of a number.
func (m *specSecret) has(version int) bool {
	return m != nil && version <= len(m.versions) && version > m.deletedTo && m.versions[version-1].seq > 0
}

func (c *spec) set(a *specActor, path, value string, o vault.SetOptions) error {
	err := c.enter(a, writeEvent(o), []string{"write"}, path)
	var w specWrite
	if err == nil {
		w, err = c.plan(a, path, o)
	}
	if err != nil {
		return c.end(a, err)
	}
	if w.was != 0 && w.tier > w.was {
		c.rewrite(audit.VaultRewritten, specNarrow{})
	} else {
		c.commit(a)
	}
	c.store(a, path, value, w)
	c.use(a, 1, w.spent)
	c.note(w.event, a)
	return nil
}

func (c *spec) imports(a *specActor, ns string, items []vault.Item, o vault.ImportOptions) (outcomes []string,
	err error) {
	var paths []string
	for _, item := range items {
		paths = append(paths, ns+"/"+item.Key)
	}
	if err := c.enter(a, audit.SecretImported, []string{"write"}, paths...); err != nil {
		return nil, c.end(a, err)
	}
	var (
		needs  specNeeds
		raises bool
	)
	plans, order := make([]specWrite, len(paths)), make([]int, len(paths))
	outcomes = make([]string, len(paths))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(paths[a], paths[b]) }) // as the log lists them
	writes := func(outcome string) bool { return outcome == vault.ImportCreated || outcome == vault.ImportUpdated }
	for _, i := range order {
		path := paths[i]
		w, err := c.plan(a, path, vault.SetOptions{Tier: o.Tier, Type: o.Type})
		plans[i] = w
		need, asks := err.(specNeeds)
		needs = append(needs, need...)
		if asks && !o.DryRun {
			continue
		}
		m := c.secrets[path]
		switch {
		case asks:
			outcomes[i] = vault.ImportRequested
		case err != nil:
			return nil, c.end(a, err)
		case w.before == 0:
			outcomes[i] = vault.ImportCreated
		case w.tier == w.was && w.kind == m.kind && c.hasKey(a, path, w.before) &&
			m.versions[w.before-1].value == string(items[i].Value):
			outcomes[i] = vault.ImportUnchanged
		case o.OnConflict == vault.OnConflictSkip:
			outcomes[i] = vault.ImportSkipped
		case o.OnConflict == vault.OnConflictError:
			return nil, vault.ErrConflict
		default:
			outcomes[i] = vault.ImportUpdated
		}
		raises = raises || w.was != 0 && w.tier > w.was && writes(outcomes[i])
	}
	switch {
	case !o.DryRun && len(needs) > 0:
		return nil, c.end(a, needs)
	case o.DryRun, !slices.ContainsFunc(outcomes, writes):
		return outcomes, nil
	case raises:
		c.rewrite(audit.VaultRewritten, specNarrow{})
	default:
		c.commit(a)
	}
	for i, path := range paths {
		if writes(outcomes[i]) {
			c.store(a, path, string(items[i].Value), plans[i])
		}
		c.use(a, 0, plans[i].spent) // a skipped item spends its approval, too
	}
	c.use(a, len(paths))
	c.note(audit.SecretImported, a)
	return outcomes, nil
}

func (c *spec) delete(a *specActor, path string) error {
	err := c.enter(a, audit.SecretDeleted, []string{"delete"}, path)
	m := c.secrets[path]
	if err == nil && !m.live() {
		err = vault.ErrNotFound
	}
	var spent *specAsk
	if err == nil && !a.isOwner() && m.tier == tokens.Critical {
		spent, err = c.approved(a, vault.RequestDelete, path, len(m.versions))
	}
	if err != nil {
		return c.end(a, err)
	}
	c.commit(a)
	c.use(a, 1, spent)
	m.deleted, m.updated = c.now, c.now
	c.note(audit.SecretDeleted, a)
	for _, t := range c.actors {
		other := slices.ContainsFunc(t.scopes, func(s string) bool { return !strings.HasSuffix(s, ":"+path) })
		if t.isToken() && t.record && !other && c.state(t) == vault.TokenActive {
			t.granted = false
			c.note(audit.TokenRevoked, a)
		}
	}
	return nil
}

func (c *spec) restore(a *specActor, path string) error {
	err := c.enter(a, audit.SecretRestored, []string{"write"}, path)
	m := c.secrets[path]
	switch {
	case err != nil:
	case m == nil:
		err = vault.ErrNotFound
	case m.live() && m.deletedTo == 0:
		err = vault.ErrConflict
	}
	var spent *specAsk
	if err == nil && !a.isOwner() && m.tier == tokens.Critical {
		spent, err = c.approved(a, vault.RequestWrite, path, len(m.versions))
	}
	if err != nil {
		return c.end(a, err)
	}
	c.commit(a)
	c.use(a, 1, spent)
	if m.live() {
		m.deletedTo = 0
	}
	m.deleted, m.updated = time.Time{}, c.now
	c.note(audit.SecretRestored, a)
	return nil
}

func (c *spec) rollback(a *specActor, path string, to int) error {
	err := c.enter(a, audit.SecretRolledBack, []string{"read", "write"}, path)
	m := c.secrets[path]
	switch {
	case err != nil:
	case !m.live():
		err = vault.ErrNotFound
	case to == len(m.versions):
		err = vault.ErrConflict
	}
	var (
		by *specAsk
		w  specWrite
	)
	if err == nil {
		by, err = c.read(a, path, to)
	}
	if err == nil {
		w, err = c.plan(a, path, vault.SetOptions{})
	}
	if err != nil {
		return c.end(a, err)
	}
	c.commit(a)
	c.use(a, 1, by, w.spent)
	c.store(a, path, m.versions[to-1].value, w)
	c.note(audit.SecretRolledBack, a)
	return nil
}

// describe changes what is said of a secret. If nothing changes, nothing is done.
func (c *spec) describe(a *specActor, path string, change func(*vault.About)) error {
	err := c.enter(a, audit.SecretDescribed, []string{"write"}, path)
	m := c.secrets[path]
	if err == nil && !m.live() {
		err = vault.ErrNotFound
	}
	var (
		now   vault.About
		spent *specAsk
	)
	if err == nil {
		if now = m.changed(change); aboutText(&now) == aboutText(&m.about) {
			return nil
		}
		if !a.isOwner() && m.tier == tokens.Critical {
			spent, err = c.approved(a, vault.RequestWrite, path, len(m.versions))
		}
	}
	if err != nil {
		return c.end(a, err)
	}
	c.commit(a)
	c.use(a, 1, spent)
	m.about, m.updated = now, c.now
	c.note(audit.SecretDescribed, a)
	return nil
}

// changed returns what is said of a secret after a change. Where it was before is nothing that people say.
func (m *specSecret) changed(change func(*vault.About)) (now vault.About) {
	if m != nil {
		now = m.about
	}
	from := now.MovedFrom
	if change != nil {
		change(&now)
	}
	now.MovedFrom = from
	return now
}

// due counts the secrets about which somebody should have done something before a time.
func (c *spec) due(before time.Time) (n int) {
	for _, m := range c.secrets {
		expires, every := m.about.ExpiresAt, time.Duration(m.about.RotateEvery)*time.Second
		if m.live() && (expires != nil && expires.Before(before) ||
			every > 0 && m.versions[len(m.versions)-1].at.Add(every).Before(before)) {
			n++
		}
	}
	return n
}

func (c *spec) purge(a *specActor, path string) error {
	if err := c.onlyOwner(a, audit.SecretPurged); err != nil {
		return c.end(a, err)
	}
	if c.secrets[path] == nil {
		return vault.ErrNotFound
	}
	delete(c.secrets, path)
	c.rewrite(audit.VaultRewritten, specNarrow{paths: []string{path}})
	c.note(audit.SecretPurged, a)
	return nil
}

// specMove is a secret and the path that it is to get.
type specMove struct{ from, to string }

// specMoved is what a plan of moves or copies says.
type specMoved struct {
	rewrites bool
	answered int
	secrets  []specMovedOne
	rights   []string // each with its actor
}

type specMovedOne struct {
	specMove
	take         []int // versions that come along
	shift        int   // what is added to their numbers
	version      int
	first, count int
}

// planMoves says what moves or copies change. A target must be free, also of deleted secrets.
func (c *spec) planMoves(list []specMove, o vault.MoveOptions) (plan specMoved, err error) {
	used := map[string]bool{}
	for _, one := range list {
		m, there := c.secrets[one.from], c.secrets[one.to] != nil
		switch {
		case used[one.from], used[one.to], one.from == one.to, there:
			return plan, vault.ErrConflict
		case !m.live():
			return plan, vault.ErrNotFound
		}
		used[one.from], used[one.to] = true, true
		of := specMovedOne{specMove: one}
		for n := 1; n <= len(m.versions); n++ {
			if m.versions[n-1].seq > 0 && (!o.Copy || n > m.deletedTo) && (!o.Latest || n == len(m.versions)) {
				of.take = append(of.take, n)
			}
		}
		if of.shift = c.last[one.to] + 1 - of.take[0]; of.shift < 0 && !o.Latest { // the numbers are free
			of.shift = 0
		}
		of.version, of.first, of.count = len(m.versions)+of.shift, of.take[0]+of.shift, len(of.take)
		plan.secrets = append(plan.secrets, of)
	}
	for _, a := range c.actors {
		if !a.granted || a.isOwner() || c.expired(a) {
			continue
		}
		for _, action := range []string{"read", "write", "delete"} {
			losing, gained := 0, 0
			for _, one := range list {
				switch before, after := a.may(action, one.from), a.may(action, one.to); {
				case before && !after && !o.Copy:
					losing++
				case after && !before:
					gained++
				}
			}
			plan.rewrites = plan.rewrites || losing > 0
			plan.rights = append(plan.rights, rightsText(a.id, action, losing, gained)...)
		}
	}
	slices.Sort(plan.rights)
	for _, q := range c.asks {
		if !o.Copy && used[q.path] && c.status(q) == vault.Approved && !q.used {
			plan.answered++
			plan.rewrites = true
		}
	}
	return plan, nil
}

func rightsText(id, action string, losing, gained int) []string {
	if losing+gained == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s %s -%d +%d", id, action, losing, gained)}
}

// move moves or copies secrets to other paths. If that takes a right from nobody, and no approval ends, it appends.
func (c *spec) move(a *specActor, list []specMove, o vault.MoveOptions) (plan specMoved, err error) {
	event := audit.SecretMoved
	if o.Copy {
		event = audit.SecretCopied
	}
	if err := c.onlyOwner(a, event); err != nil {
		return plan, c.end(a, err)
	}
	list = slices.SortedFunc(slices.Values(list), func(a, b specMove) int { return strings.Compare(a.from, b.from) })
	if plan, err = c.planMoves(list, o); err != nil {
		return plan, err
	}
	c.commit(a)
	if plan.rewrites {
		n := specNarrow{}
		for _, one := range list {
			n.paths = append(n.paths, one.from)
		}
		c.rewrite(audit.VaultRewritten, n)
	}
	for _, one := range plan.secrets {
		m := c.secrets[one.from]
		made := *m
		made.versions, made.updated = make([]specVersion, one.version), c.now
		for _, n := range one.take {
			made.versions[n+one.shift-1] = m.versions[n-1]
			made.versions[n+one.shift-1].above = "" // the owner has the key of every path
		}
		switch {
		case o.Copy:
			made.id, made.created, made.deletedTo, made.about.MovedFrom = "", c.now, 0, ""
		default:
			if made.deletedTo > 0 {
				made.deletedTo += one.shift
			}
			made.about.MovedFrom = one.from
			c.left[one.from] = specLeft{len(c.log) + 1, max(m.tier, c.left[one.from].tier)}
			delete(c.secrets, one.from)
		}
		c.secrets[one.to], c.last[one.to] = &made, one.version
	}
	c.note(event, a)
	return plan, nil
}

// specPruned are versions of a secret that go.
type specPruned struct {
	path     string
	versions []int
	left     int // how many stay
}

// prunable returns what a rule prunes, of the secret at a path or of all in a namespace. The newest version stays.
func (c *spec) prunable(path, ns string, rule vault.PruneRule) (list []specPruned, err error) {
	err = vault.ErrNotFound
	if path == "" && ns == "" {
		err = nil
	}
	for _, p := range slices.Sorted(maps.Keys(c.secrets)) {
		if p != path && (c.secrets[path] != nil || path != "" && ns == "" || ns != "" && !strings.HasPrefix(p, ns+"/")) {
			continue
		}
		one, numbers := specPruned{path: p}, c.secrets[p].numbers()
		for _, n := range numbers[:max(0, len(numbers)-max(rule.Keep, 1))] {
			if rule.Before.IsZero() || c.secrets[p].versions[n-1].at.Before(rule.Before) {
				one.versions = append(one.versions, n)
			}
		}
		if one.left = len(numbers) - len(one.versions); len(one.versions) > 0 {
			list = append(list, one)
		}
		err = nil
	}
	return list, err
}

// numbers returns the numbers of the versions that are there, deleted or not.
func (m *specSecret) numbers() (numbers []int) {
	for i, v := range m.versions {
		if v.seq > 0 {
			numbers = append(numbers, i+1)
		}
	}
	return numbers
}

// prunableVersion is prunable for one version.
func (c *spec) prunableVersion(path string, n int) (list []specPruned, err error) {
	m := c.secrets[path]
	if m == nil || !slices.Contains(m.numbers(), n) {
		return nil, vault.ErrNotFound
	}
	if n == len(m.versions) {
		return nil, vault.ErrConflict
	}
	return []specPruned{{path, []int{n}, len(m.numbers()) - 1}}, nil
}

func (c *spec) prune(a *specActor, list []specPruned) error {
	if len(list) == 0 {
		return nil
	}
	if err := c.onlyOwner(a, audit.SecretPruned); err != nil {
		return c.end(a, err)
	}
	gone := map[string]bool{}
	for _, one := range list {
		m := c.secrets[one.path]
		for _, n := range one.versions {
			m.versions[n-1] = specVersion{}
			gone[versionName(one.path, n)] = true
		}
		if m.numbers()[0] > m.deletedTo { // then a restore has nothing to bring back
			m.deletedTo = 0
		}
	}
	c.rewrite(audit.VaultRewritten, specNarrow{versions: gone})
	for range list {
		c.note(audit.SecretPruned, a)
	}
	return nil
}

// specNarrow is what a rewrite takes away.
type specNarrow struct {
	agent, token string
	paths        []string
	versions     map[string]bool // by versionName
	limited      *specActor      // an agent whose scopes are fewer now
	all          bool            // every token and request
}

// rewrite reseals everything for the owner and for the grantees who keep their grants.
func (c *spec) rewrite(event string, n specNarrow) {
	for _, a := range c.actors {
		if a.isToken() && (!a.record || c.state(a) != vault.TokenActive || n.all || a.id == n.token || a.issuer == n.agent ||
			n.limited != nil && a.issuer == n.limited.id && !coverAll(n.limited.scopes, a.scopes)) {
			a.granted, a.record = false, false
		}
		a.files = nil
	}
	c.asks = slices.DeleteFunc(c.asks, func(q *specAsk) bool {
		asker := c.actor(q.asker)
		return n.all || c.status(q) != vault.Pending || slices.Contains(n.paths, q.path) ||
			n.versions[versionName(q.path, q.version)] || !asker.granted ||
			asker == n.limited && !asker.may(strings.Replace(q.action, vault.RequestCreate, "read", 1), q.path)
	})
	for _, m := range c.secrets {
		for i := range m.versions {
			m.versions[i].above = ""
		}
	}
	c.published = map[string]bool{"*": true}
	for _, a := range c.actors {
		if a.isAgent() && a.granted || a.issuer == audit.Owner && a.granted {
			c.openUp(a)
		}
	}
	c.epoch++
	for _, a := range c.actors {
		if a.isToken() && a.record {
			a.epoch = c.epoch
		}
	}
	c.note(event, c.actors[0])
}

// keepReasons notes the reasons that the owner logs again, because their entries vouch for them no
// more. It goes in the order in which the vault lists requests.
func (c *spec) keepReasons(lost func(*specAsk) bool) {
	listed := slices.SortedFunc(slices.Values(c.asks), func(a, b *specAsk) int {
		return cmp.Or(a.at.Compare(b.at), strings.Compare(a.id, b.id))
	})
	for _, q := range listed {
		if q.later > 0 && lost(q) {
			c.note(audit.ApprovalReason, c.actors[0])
			q.later = len(c.log)
		}
	}
}

// openUp publishes the recipients of the patterns that an actor reads. It reseals the versions
// below them that are sealed above them.
func (c *spec) openUp(a *specActor) {
	for _, p := range a.reads() {
		c.published[p] = true
		for path, m := range c.secrets {
			for i := range m.versions {
				if patternCovers(p, path) {
					m.versions[i].above = ""
				}
			}
		}
	}
}

// createAgent adds an agent. Its id and key come from the vault.
func (c *spec) createAgent(a *specActor, name string, scopes []string) (*specActor, error) {
	if err := c.onlyOwner(a, audit.AgentCreated); err != nil {
		return nil, c.end(a, err)
	}
	if slices.ContainsFunc(c.actors, func(a *specActor) bool { return a.isAgent() && a.name == name && a.granted }) {
		return nil, vault.ErrConflict
	}
	c.commit(a)
	made := &specActor{name: name, scopes: scopes, top: tokens.Standard, granted: true, serial: 1, created: c.now,
		keyAt: c.now}
	c.actors = append(c.actors, made)
	c.openUp(made)
	c.note(audit.AgentCreated, a)
	return made, nil
}

// specUpdate is what a plan of other rights of an agent says.
type specUpdate struct {
	narrows, changes bool
	ended            int // tokens that the new scopes do not cover
}

func (c *spec) planUpdate(agent *specActor, scopes []string) (plan specUpdate, err error) {
	if !agent.granted {
		return plan, vault.ErrConflict
	}
	plan.narrows, plan.changes = !coverAll(scopes, agent.scopes), !slices.Equal(scopes, agent.scopes)
	for _, t := range c.actors {
		if t.issuer == agent.id && c.state(t) == vault.TokenActive && !coverAll(scopes, t.scopes) {
			plan.ended++
		}
	}
	return plan, nil
}

// updateAgent gives an agent other scopes. narrows is what its plan said.
func (c *spec) updateAgent(a, agent *specActor, scopes []string, narrows bool) error {
	if err := c.onlyOwner(a, audit.AgentUpdated); err != nil {
		return c.end(a, err)
	}
	plan, err := c.planUpdate(agent, scopes)
	if err == nil && plan.narrows != narrows {
		err = vault.ErrConflict
	}
	if err != nil || !plan.changes {
		return err
	}
	if agent.scopes = scopes; narrows {
		c.rewrite(audit.VaultRewritten, specNarrow{limited: agent})
	} else {
		c.commit(a)
		c.openUp(agent)
	}
	c.note(audit.AgentUpdated, a)
	return nil
}

func (c *spec) revokeAgent(a, agent *specActor) error {
	if err := c.onlyOwner(a, audit.AgentRevoked); err != nil {
		return c.end(a, err)
	}
	if !agent.granted {
		return vault.ErrConflict
	}
	agent.granted, agent.revoked = false, c.now
	c.rewrite(audit.VaultRewritten, specNarrow{agent: agent.id})
	c.note(audit.AgentRevoked, a)
	return nil
}

// rotateAgent keeps the old key as a replaced actor. The new key comes from the vault.
func (c *spec) rotateAgent(a, agent *specActor) error {
	if err := c.onlyOwner(a, audit.AgentKeyRotated); err != nil {
		return c.end(a, err)
	}
	if !agent.granted {
		return vault.ErrConflict
	}
	c.leaveKey(agent)
	agent.serial++
	c.rewrite(audit.VaultRewritten, specNarrow{agent: agent.id})
	c.note(audit.AgentKeyRotated, a)
	c.keepReasons(func(q *specAsk) bool { return c.log[q.later-1].actor == agent.id }) // the owner's word stays
	return nil
}

func (c *spec) leaveKey(agent *specActor) {
	old := *agent
	old.granted, old.replaced = false, true
	c.actors = append(c.actors, &old)
	agent.keyAt = c.now
}

// errNotKept says that an issuer has no place for a token. Then none is issued.
var errNotKept = errors.New("no place for the token")

// issue adds a token. Its id and text come from the vault.
func (c *spec) issue(a *specActor, scopes []string, spec vault.TokenSpec, kept bool) (*specActor, error) {
	err := c.enter(a, audit.TokenIssued, nil)
	if err == nil && !a.isOwner() {
		if a.isToken() || spec.Tier > tokens.Standard || !coverAll(a.scopes, scopes) {
			err = specRefusal{error: vault.ErrDenied, event: audit.TokenIssued}
		}
	}
	if err == nil && !kept {
		err = errNotKept
	}
	if err != nil {
		return nil, c.end(a, err)
	}
	c.commit(a)
	made := &specActor{
		scopes: scopes, top: max(spec.Tier, tokens.Standard), granted: true, record: true, epoch: c.epoch, issuer: a.id,
		uses: int(spec.Uses), expires: c.now.Add(spec.TTL), of: c.owner, files: map[string]bool{},
	}
	if a.isOwner() {
		c.openUp(made)
	} else {
		for path, m := range c.secrets {
			for i, n := range m.versions {
				if n.above != "" && made.may("read", path) && m.tier == tokens.Standard {
					made.files[versionName(path, i+1)] = true
				}
			}
		}
	}
	c.actors = append(c.actors, made)
	c.note(audit.TokenIssued, a)
	return made, nil
}

func (c *spec) revokeToken(a, token *specActor) error {
	if err := c.opens(a); err != nil {
		return err
	}
	if c.expired(a) {
		return c.end(a, specRefusal{error: vault.ErrLapsed, event: audit.TokenRevoked})
	}
	own := a == token || token.issuer == a.id
	switch {
	case !a.isOwner() && (!own || !c.recorded(token)): // an agent's act clears lapsed records first
		return c.end(a, specRefusal{error: vault.ErrDenied, event: audit.TokenRevoked})
	case a.isOwner() && token.epoch != c.epoch: // it ended before the last rewrite, and holds no key
		return vault.ErrConflict
	case !a.isOwner() && !token.record:
		return vault.ErrNotFound
	case !a.isOwner() && c.state(token) != vault.TokenActive:
		return vault.ErrConflict
	case a.isOwner():
		c.rewrite(audit.VaultRewritten, specNarrow{token: token.id})
	default:
		c.commit(a)
		token.granted = false
	}
	c.note(audit.TokenRevoked, a)
	return nil
}

// at returns the current version of a secret, as the owner sees it; 0 for none.
func (c *spec) at(path string) int {
	if m := c.secrets[path]; m.live() {
		return len(m.versions)
	}
	return 0
}

func (c *spec) request(id string) *specAsk {
	for _, q := range c.asks {
		if q.id == id {
			return q
		}
	}
	return nil
}

// asShown returns the error of a decision on a request that is not as it was shown.
func (c *spec) asShown(was vault.Request) error {
	q := c.request(was.ID)
	switch {
	case q == nil, c.cleared(q):
		return vault.ErrNotFound
	case c.status(q) != vault.Pending, c.at(q.path) != int(was.Current), q.reason != (was.Reason != ""):
		return vault.ErrConflict
	}
	return nil
}

func (c *spec) decide(shown []vault.Request, approve bool) error {
	owner := c.actors[0]
	for _, was := range shown {
		if err := c.asShown(was); err != nil {
			return err
		}
		q := c.request(was.ID)
		m := c.secrets[q.path]
		reads := approve && q.action == vault.RequestRead
		switch {
		case approve && (q.action == vault.RequestCreate && c.at(q.path) == 0 || c.hasEnded(q.asker)),
			reads && m != nil && q.version <= m.deletedTo:
			return vault.ErrConflict
		case reads && !m.has(q.version): // it was moved away
			return vault.ErrNotFound
		case reads && m.tier != q.tier:
			return vault.ErrConflict
		}
	}
	c.commit(owner)
	for _, was := range shown {
		q := c.request(was.ID)
		if approve {
			c.grant(q)
		} else {
			q.state = vault.Denied
			c.note(audit.ApprovalDenied, owner)
		}
	}
	return nil
}

// hasEnded reports whether an actor is a token that has ended.
func (c *spec) hasEnded(id string) bool {
	a := c.actor(id)
	return a != nil && a.isToken() && c.state(a) != vault.TokenActive
}

func (c *spec) grant(q *specAsk) {
	q.state, q.until = vault.Approved, c.now.Add(vault.ApprovalLifetime)
	c.note(audit.ApprovalGranted, c.actors[0])
}

// provide stores the secret that a request asks for, and approves the request.
func (c *spec) provide(was vault.Request, value string) error {
	if err := c.asShown(was); err != nil {
		return err
	}
	owner, q, m := c.actors[0], c.request(was.ID), c.secrets[was.Path.String()]
	if q.action != vault.RequestCreate || c.hasEnded(q.asker) || m != nil && (m.live() || m.tier > tokens.Standard) {
		return vault.ErrConflict
	}
	w, err := c.plan(owner, q.path, vault.SetOptions{})
	if err != nil {
		return err
	}
	c.commit(owner)
	c.store(owner, q.path, value, w)
	c.note(w.event, owner)
	c.grant(q)
	return nil
}

// noted is an act of the owner that changes only the file and the log.
func (c *spec) noted(a *specActor, event string) error {
	if err := c.onlyOwner(a, event); err != nil {
		return c.end(a, err)
	}
	if event != audit.VaultCompacted && event != audit.LogArchived {
		c.commit(a)
	}
	c.note(event, a)
	return nil
}

// archive cuts off the log entries before a time. It returns the first and the last of them.
func (c *spec) archive(before time.Time) (first, last int, err error) {
	last = c.cut
	for last < len(c.log) && c.log[last].at.Before(before) {
		last++
	}
	first = c.cut + 1
	if last < first {
		return 0, 0, vault.ErrConflict
	}
	c.cut, c.left = last, map[string]specLeft{}
	c.note(audit.LogArchived, c.actors[0])
	c.note(audit.Checkpointed, c.actors[0])
	c.keepReasons(func(q *specAsk) bool { return q.later <= last+1 }) // the entry before it is signed, too
	return first, last, nil
}

// rekeyOwner archives the whole log. The new keys come from the vault.
func (c *spec) rekeyOwner(id *vault.Identity) {
	c.owner, c.cut, c.left = id, len(c.log), map[string]specLeft{}
	for _, a := range slices.Clone(c.actors) {
		if a.isAgent() {
			c.leaveKey(a)
		}
	}
	for _, m := range c.secrets {
		m.id = "" // the new key would not tell canaries by their ids
	}
	c.rewrite(audit.VaultRewritten, specNarrow{all: true})
	c.note(audit.Checkpointed, c.actors[0])
}

// specRestored is what a restore reports, and the state after it.
type specRestored struct {
	next     *spec
	keepsLog bool

	returning, older, leaving, raised, revoked, reviving []string // paths, and ids of agents
}

// goesOn reports whether c's log continues that of older. Archived entries cannot be compared;
// they count as equal.
func (c *spec) goesOn(older *spec) bool {
	n := len(older.log)
	return c.cut >= n || len(c.log) >= n && c.log[n-1] == older.log[n-1]
}

// restored returns the result of restoring the backup c: its values, with the current rights.
// there is the vault in place, nil for none. missed says that this machine has seen log entries
// that are lost.
func (c *spec) restored(there *spec, now time.Time, missed bool) specRestored {
	r := specRestored{next: c.clone()}
	next, logged := r.next, c
	next.now, next.left = now, map[string]specLeft{}
	if there != nil {
		for path, n := range there.last {
			next.last[path] = max(next.last[path], n)
		}
		if r.keepsLog = there.goesOn(c); r.keepsLog {
			logged, next.log, next.cut = there, slices.Clone(there.log), there.cut
		}
		for path, m := range next.secrets {
			is := there.secrets[path]
			switch {
			case m.live() && !is.live():
				r.returning = append(r.returning, path)
			case is != nil && (len(is.versions) > len(m.versions) ||
				is.versions[len(is.versions)-1].seq != m.versions[len(is.versions)-1].seq):
				r.older = append(r.older, path)
			}
			tier := m.tier
			if is != nil {
				tier = max(tier, is.tier)
			}
			if left := there.left[path]; left.seq > len(c.log) || !r.keepsLog {
				tier = max(tier, left.tier)
			}
			if tier > m.tier {
				m.tier = tier
				r.raised = append(r.raised, path)
			}
		}
		for path, m := range there.secrets {
			if m.live() && next.secrets[path] == nil {
				r.leaving = append(r.leaving, path)
			}
		}
		next.epoch = max(next.epoch, there.epoch)
		next.actors = slices.DeleteFunc(next.actors, func(a *specActor) bool { return a.replaced })
		for _, a := range there.clone().actors {
			if a.replaced || next.actor(a.id) == nil {
				next.actors = append(next.actors, a)
			}
		}
	}
	var agents []*specActor
	for _, a := range next.actors {
		if !a.isAgent() {
			continue
		}
		agents = append(agents, a)
		if is := there.actor(a.id); is != nil && c.actor(a.id) != nil {
			if a.granted && (!is.granted || is.serial > a.serial || !coverAll(is.scopes, a.scopes)) {
				r.revoked = append(r.revoked, a.id)
			}
			if a.granted && is.granted && !sameScopes(a.scopes, is.scopes) {
				a.scopes = is.scopes
			}
			if a.granted && !is.granted {
				a.granted, a.revoked = false, is.revoked
			}
			if is.serial > a.serial {
				a.serial, a.key, a.keyAt = is.serial, is.key, is.keyAt
			}
		}
		if a.granted && missed {
			r.reviving = append(r.reviving, a.id)
		}
	}
	next.rewrite(audit.VaultRestored, specNarrow{all: true})
	// The log that goes on names the agents who may sign from now on.
	slices.SortFunc(agents, func(a, b *specActor) int {
		if newer := c.actor(a.id) == nil; newer != (c.actor(b.id) == nil) {
			return map[bool]int{true: 1, false: -1}[newer]
		}
		return strings.Compare(a.id, b.id)
	})
	for _, a := range agents {
		is := logged.actor(a.id)
		switch {
		case !a.granted && is != nil && is.granted:
			next.note(audit.AgentRevoked, next.actors[0])
		case a.granted && is == nil:
			next.note(audit.AgentCreated, next.actors[0])
		case a.granted && is.serial != a.serial:
			next.note(audit.AgentKeyRotated, next.actors[0])
		case a.granted && !sameScopes(is.scopes, a.scopes):
			next.note(audit.AgentUpdated, next.actors[0])
		}
	}
	next.note(audit.Checkpointed, next.actors[0])
	return r
}
