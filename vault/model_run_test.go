package vault_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault"
	"ass/vault/vaulttest"
)

var (
	modelSteps = flag.Int("model-steps", 0, "how many steps TestModel takes; 0 for as many as fit a test run")
	modelSeed  = flag.Uint64("model-seed", 0, "the seed of the first history of TestModel; 0 for 1, and with -model-steps for another one each time")
)

// modelHistory is the number of steps in the life of one vault.
const modelHistory = 500

// TestModel leads vaults through random lives: every act of the owner, of agents and of tokens,
// with backups, restores, archives, new owner keys and crashes. Each act must end as the
// specification says, and no honest history may look like an attack.
func TestModel(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	t.Parallel()
	steps, seed := *modelSteps, *modelSeed
	switch {
	case seed > 0:
	case steps > 0:
		seed = uint64(time.Now().UnixNano())
	default: // a fault that chance finds is no reason to refuse the change at hand; the long runs look for those
		seed = 1
	}
	if steps == 0 {
		if steps = modelHistory; underRace {
			steps = 300
		}
	}
	done := map[string]int{}
	for ; steps > 0 && !t.Failed(); seed, steps = seed+1, steps-modelHistory {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			m := newModel(t, seed)
			defer m.tell()
			m.live(min(steps, modelHistory))
			for what, n := range m.counts {
				done[what] += n
			}
		})
	}
	var list []string
	for what, n := range done {
		list = append(list, fmt.Sprintf("%6d %s", n, what))
	}
	slices.Sort(list)
	t.Logf("acts, by how they ended:\n%s", strings.Join(list, "\n"))
}

// model runs one life of a vault beside its specification.
type model struct {
	*spec
	t      *testing.T
	seed   uint64
	random *rand.Rand
	v      *vaulttest.Vault
	clock  *vaulttest.Clock
	dir    string // for archives, backups and copies
	files  int

	opened  *vault.Vault // nil while nobody has it open
	as      *vault.Session
	checked int // number of log entries compared so far

	seen    map[*vault.Identity][]*specEntry // the log that this machine remembers, by the vault's owner
	quiet   map[*vault.Identity]int          // number of reads without a log entry, by the vault's owner
	backups []modelCopy
	copies  []modelCopy // copies of the file
	shown   []vault.Request
	follow  *specAsk // the request made or decided in the step before
	then    string   // the act that is to come next; "" for any
	raised  string   // path of the secret whose tier rose last

	acts   []modelAct
	step   int
	did    []string
	counts map[string]int
}

type modelCopy struct {
	file string
	as   *spec
}

// modelAct is one kind of step. do returns the error that the specification wants, and the
// vault's error.
type modelAct struct {
	name   string
	weight int
	do     func() (want, err error)
}

var (
	modelPaths = []string{"a/K", "a/K2", "a/b/K", "a/b/L", "b/K"}
	freePaths  = []string{"a/K3", "b/L"} // where moves and copies find room, and few else go
	allPaths   = append(modelPaths[:5:5], freePaths...)
)

func newModel(t *testing.T, seed uint64) *model {
	m := &model{
		t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 0)), v: vaulttest.New(t), dir: t.TempDir(),
		seen: map[*vault.Identity][]*specEntry{}, quiet: map[*vault.Identity]int{}, counts: map[string]int{},
	}
	m.clock = m.v.UseClock()
	m.clock.Time = time.Now().UTC().Truncate(time.Second) // when the vault was made
	owner := &specActor{id: audit.Owner, top: tokens.Critical, granted: true}
	m.spec = &spec{
		owner: m.v.Owner, epoch: 1, secrets: map[string]*specSecret{}, last: map[string]int{}, left: map[string]specLeft{},
		actors: []*specActor{owner}, published: map[string]bool{"*": true},
	}
	m.note(audit.VaultCreated, owner)
	m.now = m.clock.Time
	m.v.Must(t, func(s *vault.Session) error { // it was made before it got this clock
		entries, err := s.Log(0, nil)
		m.log[0].at = entries[0].CreatedAt
		return err
	})
	m.acts = []modelAct{
		{"read", 60, m.doGet}, {"read all", 10, m.doGetAll}, {"look", 12, m.doLook},
		{"write", 60, m.doSet}, {"import", 12, m.doImport}, {"delete", 16, m.doDelete},
		{"restore secret", 12, m.doRestoreSecret}, {"roll back", 16, m.doRollback}, {"purge", 6, m.doPurge},
		{"describe", 8, m.doDescribe}, {"prune", 8, m.doPrune}, {"move", 24, m.doMove}, {"copy", 6, m.doCopySecret},
		{"ask", 10, m.doAsk}, {"look at canaries", 6, m.doCanaries}, {"read unlogged", 6, m.doReadUnlogged},
		{"create agent", 16, m.doCreateAgent}, {"revoke agent", 2, m.doRevokeAgent}, {"rotate agent", 2, m.doRotateAgent},
		{"update agent", 16, m.doUpdateAgent},
		{"issue token", 16, m.doIssue}, {"revoke token", 6, m.doRevokeToken}, {"decide", 14, m.doDecide},
		{"rekey", 1, m.doRekey}, {"compact", 3, m.doCompact}, {"let time pass", 4, m.doWait},
		{"archive", 4, m.doArchive}, {"back up", 4, m.doBackUp}, {"restore", 5, m.doRestore},
		{"new owner key", 1, m.doRekeyOwner}, {"salvage", 2, m.doSalvage}, {"copy the file", 2, m.doCopy},
		{"put a copy back", 2, m.doPutBack}, {"crash", 12, m.doCrash},
	}
	return m
}

// tell logs a panic, and the last steps before a failure. After a panic, the vault is not closed: that
// could wait for ever, or fail and hide the panic.
func (m *model) tell() {
	panicked := recover()
	if panicked != nil {
		m.t.Errorf("panic: %v\n%s", panicked, debug.Stack())
	}
	if m.t.Failed() {
		m.t.Logf("step %d of -model-seed %d, after\n%s", m.step, m.seed, strings.Join(m.did[max(0, len(m.did)-20):], "\n"))
	}
	if panicked == nil {
		m.close()
	}
}

func (m *model) live(steps int) {
	m.check()
	for m.step = range steps {
		m.one(m.acts)
		if m.step%50 == 49 || m.random.IntN(40) == 0 {
			m.check()
		}
		if m.t.Failed() {
			return
		}
	}
	m.check()
	m.readEverything()
	m.close()
	m.v.Owner = m.owner
}

// one takes a step.
func (m *model) one(acts []modelAct) {
	m.pass(time.Duration(1+m.random.IntN(90)) * time.Second)
	before := m.follow
	act := m.pickAct(acts)
	m.did = append(m.did, act.name)
	want, err := act.do()
	if before != nil && m.follow == nil && m.random.IntN(2) == 0 { // an unrelated step came between
		m.follow = m.request(before.id)
	}
	m.counts[act.name+": "+kindOf(err)]++
	if !errors.Is(err, want) || want == nil && err != nil {
		m.t.Fatalf("%s: %v, want %v", m.did[len(m.did)-1], err, want)
	}
	if a := m.actor(m.session); a != nil && a.isToken() && m.state(a) == vault.TokenRevoked {
		m.close() // the token has revoked itself
	}
	m.forget()
}

func kindOf(err error) string {
	for name, kind := range map[string]error{
		"not found": vault.ErrNotFound, "conflict": vault.ErrConflict, "denied": vault.ErrDenied, "lapsed": vault.ErrLapsed,
		"wrong key": vault.ErrWrongKey, "approval needed": vault.ErrApproval, "approval denied": vault.ErrRefused,
		"not kept": errNotKept,
	} {
		if errors.Is(err, kind) {
			return name
		}
	}
	if err != nil {
		return "failed"
	}
	return "done"
}

func (m *model) pickAct(acts []modelAct) modelAct {
	if m.follow != nil && m.random.IntN(3) > 0 {
		name := map[string]string{vault.RequestRead: "read", vault.RequestWrite: "write", vault.RequestDelete: "delete",
			vault.RequestCreate: "ask"}[m.follow.action]
		switch q := m.request(m.follow.id); {
		case q == nil:
		case m.status(q) == vault.Pending && m.random.IntN(3) > 0:
			name = "decide" // otherwise the asker tries again, perhaps with a reason, and perhaps while the owner looks
		case q.action == vault.RequestWrite && m.random.IntN(4) == 0:
			name = "describe" // which takes the same approval
		case q.action == vault.RequestCreate && q.state == vault.Approved:
			name = "read"
		}
		for _, act := range m.acts {
			if act.name == name {
				return act
			}
		}
	}
	m.follow = nil
	next := m.then
	m.then = ""
	for _, act := range acts {
		if act.name == next {
			return act
		}
	}
	sum := 0
	for _, act := range acts {
		sum += act.weight
	}
	n := m.random.IntN(sum)
	for _, act := range acts {
		if n -= act.weight; n < 0 {
			return act
		}
	}
	panic("unreachable")
}

func (m *model) pass(d time.Duration) {
	m.clock.Pass(d)
	m.now = m.clock.Time
}

func (m *model) say(format string, args ...any) {
	m.did[len(m.did)-1] += " " + fmt.Sprintf(format, args...)
}

func (m *model) pick(list ...string) string { return list[m.random.IntN(len(list))] }

func (m *model) file(name string) string {
	m.files++
	return filepath.Join(m.dir, fmt.Sprintf("%s-%d", name, m.files))
}

// whoever picks an actor for which ok holds, mostly one whose key still opens something.
func (m *model) whoever(ok func(*specActor) bool) *specActor {
	for range 20 {
		if a := m.actors[m.random.IntN(len(m.actors))]; ok(a) && (a.granted || m.random.IntN(8) == 0) {
			return a
		}
	}
	return nil
}

// anyone picks any actor. It prefers the newest token and the actor who has the vault open.
func (m *model) anyone() *specActor {
	if a := m.actors[len(m.actors)-1]; a.isToken() && a.granted && m.random.IntN(4) == 0 {
		return a
	}
	if a := m.actor(m.session); a != nil && m.random.IntN(2) == 0 {
		return a
	}
	if m.random.IntN(5) == 0 {
		return m.actors[0]
	}
	for {
		if a := m.whoever(func(*specActor) bool { return true }); a != nil {
			return a
		}
	}
}

// forget drops actors that left nothing in the vault, except for the last few.
func (m *model) forget() {
	dead := 0
	for _, a := range slices.Backward(m.actors) {
		gone := a.replaced || a.isToken() && !a.granted && !a.record
		if gone {
			dead++
		}
		if gone && dead > 6 && m.session != a.id {
			m.actors = slices.DeleteFunc(m.actors, func(b *specActor) bool { return a == b })
		}
	}
}

// turn lets an actor who has the vault open go on, or closes the vault for the next one.
func (m *model) turn(a *specActor) *specActor {
	if m.session != a.id || a.replaced || m.random.IntN(3) == 0 {
		m.close()
		m.reason = m.random.IntN(3) == 0
	}
	return a
}

func (m *model) owners() *specActor { return m.turn(m.actors[0]) }

// act calls fn with the session of an actor.
func (m *model) act(a *specActor, fn func(*vault.Session) error) error {
	if m.as != nil {
		return fn(m.as)
	}
	if m.v.Opts.Reason = ""; m.reason {
		m.v.Opts.Reason = "because"
	}
	if m.random.IntN(10) == 0 { // leftovers of a process that died
		junk := bytes.Repeat([]byte("junk"), m.random.IntN(4096))
		m.must(os.WriteFile(m.v.Path+".new", junk, 0o600))
	}
	opened, err := vault.Open(m.v.Path, m.v.Opts)
	if err != nil {
		return err
	}
	if back := opened.Rollback(); back != nil {
		m.t.Errorf("an honest vault is taken for an older copy: %s", back)
	}
	m.opened = opened
	s, err := m.sessionOf(a, opened, m.v.Owner)
	if err != nil {
		m.close()
		return err
	}
	m.as, m.session = s, a.id
	return fn(s)
}

// sessionOf opens a vault with the credential of an actor.
func (m *model) sessionOf(a *specActor, opened *vault.Vault, owner *vault.Identity) (*vault.Session, error) {
	switch {
	case a.isOwner():
		return opened.Owner(owner)
	case a.isToken():
		return opened.Token(a.text)
	}
	return opened.Agent(a.key)
}

func (m *model) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// close compares the log with the specification, and closes the vault for the next actor.
func (m *model) close() {
	m.session = ""
	if m.opened == nil {
		return
	}
	opened := m.opened
	m.opened, m.as = nil, nil
	defer func() { m.must(opened.Close()) }()
	if m.t.Failed() {
		return
	}
	entries, newest, err := opened.LogAfter(uint64(m.checked), nil)
	m.must(err)
	if int(newest) != len(m.log) {
		m.t.Errorf("the log ends with entry %d, want %d", newest, len(m.log))
	}
	for _, e := range entries {
		want := &specEntry{event: "nothing"}
		if int(e.Seq) <= len(m.log) {
			want = m.log[e.Seq-1]
		}
		if e.Type != want.event || e.ActorID != want.actor || !e.CreatedAt.Equal(want.at) {
			m.t.Errorf("entry %d is %s by %s at %s, want %+v", e.Seq, e.Type, e.ActorID, e.CreatedAt, *want)
		}
	}
	m.checked = len(m.log)
	m.seen[m.owner] = m.log
}

func (m *model) path(text string) tokens.Path { return vaulttest.Path(m.t, text) }

// someCase picks an actor and a secret for an action: those of the request to follow up, or
// mostly an actor who may do it.
func (m *model) someCase(action string) (a *specActor, path string) {
	if f := m.follow; f != nil {
		if a := m.actor(f.asker); a != nil {
			return m.turn(a), f.path
		}
	}
	for range 4 {
		if a, path = m.anyone(), m.somePath(); a.may(action, path) && (m.odd(path) || m.random.IntN(2) == 0) {
			break
		}
	}
	return m.turn(a), path
}

// somePath picks a path, mostly one of those that everybody uses.
func (m *model) somePath() string {
	if path := m.pick(freePaths...); m.secrets[path] != nil && m.random.IntN(6) == 0 {
		return path
	}
	return m.pick(modelPaths...)
}

// odd reports whether the newest version of a secret is sealed to a recipient.
func (m *model) odd(path string) bool {
	s := m.secrets[path]
	return s != nil && s.versions[len(s.versions)-1].above != ""
}

// asked is made for the requests of an act that needs approval.
func (m *model) asked(a *specActor, err error) {
	var need *vault.ApprovalError
	if !errors.As(err, &need) {
		return
	}
	m.made(a, need.Requests...)
}

// made stores the ids of requests that an actor has made or found, and the last one for the next step.
func (m *model) made(a *specActor, requests ...vault.Request) {
	for _, r := range requests {
		i := slices.IndexFunc(m.asks, func(q *specAsk) bool {
			return q.asker == a.id && q.action == r.Action && q.path == r.Path.String() && q.version == int(r.Version) &&
				q.tier == r.Tier && (q.id == r.ID || q.id == "")
		})
		if i < 0 {
			m.t.Fatalf("a request that nobody made: %+v", r)
		}
		m.asks[i].id = r.ID
		m.follow = m.asks[i]
	}
}

func (m *model) doGet() (want, err error) {
	a, path := m.someCase("read")
	version := 0
	if s := m.secrets[path]; s != nil && m.random.IntN(4) == 0 {
		version = 1 + m.random.IntN(len(s.versions)+1)
	}
	if m.follow != nil {
		version = m.follow.version
	}
	m.follow = nil
	m.say("%s of %s, version %d", path, a.id, version)
	want = m.get(a, path, version)
	err = m.act(a, func(s *vault.Session) error {
		found, value, err := s.Get(m.path(path), uint64(version))
		if err == nil && want == nil {
			m.compare(path, found, value, version)
		}
		return err
	})
	m.asked(a, err)
	if version > 0 && version < m.at(path) && errors.Is(err, vault.ErrApproval) && m.random.IntN(2) == 0 {
		m.follow, m.then = nil, "prune"
	}
	return want, err
}

// aboutText is what is said of a secret, as one text.
func aboutText(x *vault.About) string {
	if x == nil {
		x = &vault.About{}
	}
	b, err := json.Marshal(x)
	return fmt.Sprint(string(b), err)
}

// compare reports how a secret that was read differs from the specification. It takes the id of a new secret from the
// vault.
func (m *model) compare(path string, found vault.Secret, value []byte, version int) {
	s := m.secrets[path]
	if version == 0 {
		version = len(s.versions)
	}
	want := s.versions[version-1]
	if value != nil && string(value) != want.value {
		m.t.Errorf("%s version %d is %.40q, want %.40q", path, version, value, want.value)
	}
	if s.id == "" { // it is new
		s.id = found.ID
	}
	if m.as != nil && m.as.IsCanary(found) != (s.canary && m.session == audit.Owner) {
		m.t.Errorf("%s is a canary: %v; %s is told otherwise", path, s.canary, m.session)
	}
	if got, want := aboutText(found.About), aboutText(&s.about); got != want {
		m.t.Errorf("%s is described as %s, want %s", path, got, want)
	}
	updated := s.updated
	if version != len(s.versions) {
		updated = want.at
	}
	if found.ID != s.id || int(found.Version) != version || found.Tier != s.tier || found.Type != s.kind ||
		!found.CreatedAt.Equal(s.created) || !found.UpdatedAt.Equal(updated) || (found.DeletedAt != nil) != !s.live() ||
		found.DeletedAt != nil && !found.DeletedAt.Equal(s.deleted) || int(found.DeletedTo) != s.deletedTo {
		m.t.Errorf("%s is %+v, want version %d, %s, %s, id %s, made at %s, changed at %s, deleted at %s", path, found,
			version, s.tier, s.kind, s.id, s.created, updated, s.deleted)
	}
}

// doAsk asks for a secret, mostly for one that is not there.
func (m *model) doAsk() (want, err error) {
	a, path := m.someCase("read")
	for _, p := range modelPaths {
		if m.follow == nil && !m.secrets[p].live() && a.may("read", p) {
			path = p
		}
	}
	m.follow = nil
	m.say("for %s by %s", path, a.id)
	want = m.askFor(a, path)
	return want, m.act(a, func(s *vault.Session) error {
		q, err := s.Ask(m.path(path))
		if err == nil && want == nil {
			m.made(a, q)
		}
		return err
	})
}

// doReadUnlogged reads a secret without a log entry from a backup or, in vain, from the vault.
func (m *model) doReadUnlogged() (want, err error) {
	m.close()
	file, now, backup := m.v.Path, m.spec, len(m.backups) > 0 && m.random.IntN(4) > 0
	defer func() { m.spec = now }()
	if backup {
		b := m.backups[m.random.IntN(len(m.backups))]
		if len(b.as.log) > len(m.seen[b.as.owner]) { // this machine would take the vault for an older copy
			return nil, nil
		}
		file, m.spec = b.file, b.as.clone()
		m.now = now.now
	}
	a, path, version := m.actors[0], m.pick(allPaths...), m.random.IntN(3)
	if m.random.IntN(4) == 0 {
		a = m.actors[m.random.IntN(len(m.actors))]
	}
	m.say("of %s by %s, version %d, from %s", path, a.id, version, filepath.Base(file))
	want = m.unlogged(a, backup, path, version)
	before, err := os.ReadFile(file)
	m.must(err)
	o := m.v.Opts
	o.Unlogged = true
	opened, err := vault.Open(file, o)
	m.must(err)
	defer func() { m.must(opened.Close()) }()
	s, err := m.sessionOf(a, opened, m.owner)
	if err != nil {
		return want, err
	}
	found, value, err := s.Get(m.path(path), uint64(version))
	if err == nil && want == nil {
		m.compare(path, found, value, version)
		m.quiet[m.owner]++
	}
	after, rerr := os.ReadFile(file)
	m.must(rerr)
	if !bytes.Equal(before, after) {
		m.t.Errorf("%s was changed", file)
	}
	n, last, _, nerr := opened.UnloggedBefore()
	if m.must(nerr); n != m.quiet[m.owner] || err == nil && !last.Equal(m.now) {
		m.t.Errorf("%d reads without a log entry are noted, the last at %s, want %d at %s", n, last, m.quiet[m.owner], m.now)
	}
	return want, err
}

// doCanaries lists the canaries, by what is new and then by all there is. Both must find the same.
func (m *model) doCanaries() (want, err error) {
	a := m.mostlyOwner()
	m.say("%s", a.id)
	if want = m.opens(a); want == nil && !a.isOwner() {
		want = vault.ErrDenied
	}
	return want, m.act(a, func(s *vault.Session) error { return m.lookAtCanaries(s) })
}

func (m *model) lookAtCanaries(s *vault.Session) error {
	var want []string
	for _, path := range slices.Sorted(maps.Keys(m.secrets)) {
		if s := m.secrets[path]; s.canary && s.live() {
			want = append(want, path)
		}
	}
	var fresh []string // with their reads; TestAnAlarmStays has which of them count
	for _, everything := range []bool{false, true} {
		list, err := s.Canaries(everything)
		if err != nil {
			return err
		}
		var live, all []string
		for _, c := range list {
			all = append(all, fmt.Sprint(c.Path, " ", c.Count, c.Reads))
			if c.DeletedAt == nil {
				live = append(live, c.Path.String())
			}
		}
		if !slices.Equal(live, want) {
			m.t.Errorf("the canaries, of everything %v: %q, want %q", everything, live, want)
		}
		if everything && !slices.Equal(all, fresh) {
			m.t.Errorf("the canaries with their reads: %q, of everything: %q", fresh, all)
		}
		fresh = all
	}
	return nil
}

func (m *model) doGetAll() (want, err error) {
	a := m.turn(m.anyone())
	ns := m.pick("", "a", "a/b", "b")
	m.say("of %q by %s", ns, a.id)
	paths, want := m.getAll(a, ns)
	err = m.act(a, func(s *vault.Session) error {
		values, err := s.GetAll(m.namespace(ns))
		if err == nil && want == nil {
			m.compareAll(paths, values)
		}
		return err
	})
	m.asked(a, err)
	return want, err
}

func (m *model) compareAll(paths []string, values []vault.Value) {
	if len(values) != len(paths) {
		m.t.Errorf("%d values are read, want those of %q", len(values), paths)
		return
	}
	for i, v := range values {
		if v.Path.String() != paths[i] {
			m.t.Errorf("%s is read in place of %s", v.Path, paths[i])
			continue
		}
		m.compare(paths[i], v.Secret, v.Value, 0)
	}
}

func (m *model) namespace(text string) tokens.Namespace {
	if text == "" {
		return tokens.Namespace{}
	}
	return vaulttest.Namespace(m.t, text)
}

func (m *model) doLook() (want, err error) {
	a, path := m.turn(m.anyone()), m.pick(allPaths...)
	m.say("%s", a.id)
	if want = m.opens(a); want == nil && m.expired(a) {
		want = vault.ErrLapsed
	}
	return want, m.act(a, func(s *vault.Session) error { return m.look(a, s, path) })
}

// look compares all that an actor is shown without reading a value.
func (m *model) look(a *specActor, s *vault.Session, paths ...string) error {
	for _, deleted := range []bool{false, true} {
		list, err := s.List(tokens.Namespace{}, deleted)
		if err != nil {
			return err
		}
		want := m.listed(a, "", deleted)
		if len(list) != len(want) {
			m.t.Errorf("%s is shown %d secrets, want %q", a.id, len(list), want)
			continue
		}
		for i, found := range list {
			if found.Path.String() != want[i] {
				m.t.Errorf("%s is shown %s, want %s", a.id, found.Path, want[i])
				continue
			}
			m.compare(want[i], found, nil, 0)
		}
	}
	for _, path := range paths {
		if err := m.lookAtHistory(a, s, path); err != nil {
			return err
		}
	}
	if err := m.lookAtTokens(a, s); err != nil {
		return err
	}
	if err := m.lookAtRequests(a, s); err != nil || !a.isOwner() {
		return err
	}
	return m.lookAtAgents(s)
}

func (m *model) lookAtHistory(a *specActor, s *vault.Session, path string) error {
	found, versions, err := s.History(m.path(path))
	switch secret := m.secrets[path]; {
	case !a.may("read", path):
		if !errors.Is(err, vault.ErrDenied) {
			m.t.Errorf("%s is shown the history of %s: %v", a.id, path, err)
		}
	case secret == nil:
		if !errors.Is(err, vault.ErrNotFound) {
			m.t.Errorf("the history of %s: %v", path, err)
		}
	case err != nil:
		return err
	default:
		m.compare(path, found, nil, 0)
		numbers := secret.numbers()
		if len(versions) != len(numbers) {
			m.t.Errorf("%s has %d versions, want %d", path, len(versions), len(numbers))
			return nil
		}
		for i, got := range slices.Backward(versions) {
			n := numbers[len(versions)-1-i]
			want := secret.versions[n-1]
			if int(got.Number) != n || got.Author != want.author || got.Tier != secret.tier || !got.CreatedAt.Equal(want.at) ||
				got.Current != (n == len(secret.versions) && secret.live()) || got.Deleted != (n <= secret.deletedTo || !secret.live()) {
				m.t.Errorf("version %d of %s is %+v, want one by %s at %s", n, path, got, want.author, want.at)
			}
		}
	}
	return nil
}

func (m *model) lookAtTokens(a *specActor, s *vault.Session) error {
	list, err := s.Tokens()
	n := 0
	for _, t := range m.actors {
		if !t.isToken() || !t.record || !a.isOwner() && t.issuer != a.id && t.id != a.id {
			continue
		}
		n++
		i := slices.IndexFunc(list, func(info vault.TokenInfo) bool { return info.ID == t.id })
		if err == nil && (i < 0 || list[i].State != m.state(t) || int(list[i].Used) != t.used ||
			!list[i].Expires.Equal(t.expires)) {
			m.t.Errorf("token %s is %s and used %d times, among %+v", t.id, m.state(t), t.used, list)
		}
	}
	if err == nil && n != len(list) {
		m.t.Errorf("%s is shown %d tokens, want %d", a.id, len(list), n)
	}
	return err
}

func (m *model) lookAtRequests(a *specActor, s *vault.Session) error {
	list, err := s.Requests()
	n := 0
	for _, q := range m.asks {
		if !a.isOwner() && q.asker != a.id {
			continue
		}
		n++
		i := slices.IndexFunc(list, func(r vault.Request) bool { return r.ID == q.id })
		if err == nil && (i < 0 || list[i].Status != m.status(q) || list[i].Requester != q.asker ||
			list[i].Action != q.action || list[i].Path.String() != q.path || (list[i].Reason != "") != q.reason ||
			int(list[i].Current) != m.at(q.path) || list[i].Used != (q.used && q.state == vault.Approved)) {
			m.t.Errorf("request %+v is %s, among %+v", *q, m.status(q), list)
		}
	}
	if err == nil && n != len(list) {
		m.t.Errorf("%s is shown %d requests, want %d", a.id, len(list), n)
	}
	return err
}

func (m *model) lookAtAgents(s *vault.Session) error {
	list, err := s.Agents()
	n := 0
	for _, a := range m.actors {
		if !a.isAgent() {
			continue
		}
		n++
		i := slices.IndexFunc(list, func(b vault.Agent) bool { return b.ID == a.id })
		switch {
		case err != nil:
		case i < 0:
			m.t.Errorf("agent %s is not shown", a.id)
		case list[i].Name != a.name || (list[i].RevokedAt == nil) != a.granted || !list[i].CreatedAt.Equal(a.created) ||
			!list[i].KeyIssuedAt.Equal(a.keyAt) || strings.Join(list[i].Scopes.Strings(), " ") != strings.Join(a.scopes, " "):
			m.t.Errorf("agent %s is %+v, want %s, made at %s, with key %d of %s", a.id, list[i], a.name, a.created, a.serial,
				a.keyAt)
		case list[i].RevokedAt != nil && !list[i].RevokedAt.Equal(a.revoked):
			m.t.Errorf("agent %s was revoked at %s, want %s", a.id, list[i].RevokedAt, a.revoked)
		}
	}
	if err == nil && n != len(list) {
		m.t.Errorf("%d agents are shown, want %d", len(list), n)
	}
	return err
}

// value returns a new value. Most are short. Some fill many pages, hold bytes that no text has,
// or are empty.
func (m *model) value() string {
	text := fmt.Sprintf("value %d", m.random.Uint32())
	switch m.random.IntN(20) {
	case 0:
		return strings.Repeat(text, 1+m.random.IntN(1500))
	case 1:
		return "\x00\xff" + text + "\n"
	case 2:
		return ""
	}
	return text
}

func (m *model) tier() tokens.Tier { return tokens.Tiers[m.random.IntN(3)] }

func (m *model) doSet() (want, err error) {
	a, path := m.someCase("write")
	o := vault.SetOptions{Rotate: m.random.IntN(4) == 0}
	if a.isOwner() && m.random.IntN(3) == 0 || m.random.IntN(12) == 0 {
		o.Tier = m.tier()
	}
	if m.random.IntN(8) == 0 {
		o.Type = m.pick(vault.Types...)
	}
	if m.random.IntN(6) == 0 {
		n := uint64(max(0, m.at(path)-m.random.IntN(2)))
		o.IfVersion = &n
	}
	if m.random.IntN(8) == 0 {
		o.About = m.description()
	}
	if is := m.random.IntN(3) > 0; a.isOwner() && m.random.IntN(6) == 0 || m.random.IntN(60) == 0 {
		o.Canary = &is
	}
	m.follow = nil
	value := m.value()
	m.say("%s by %s, %+v", path, a.id, o)
	was, live := len(m.versionsOf(path)), m.secrets[path].live()
	want = m.set(a, path, value, o)
	if a.isOwner() && want == nil && o.Tier > tokens.Standard && m.random.IntN(2) == 0 {
		m.raised, m.then = path, "move"
	}
	err = m.act(a, func(s *vault.Session) error {
		now, before, err := s.Set(m.path(path), []byte(value), o)
		if err == nil && want == nil {
			m.wrote(path, now)
			if before.Version != uint64(was) || was > 0 && live != (before.DeletedAt == nil) {
				m.t.Errorf("%s was at v%d, deleted %v; want v%d, deleted %v", path, before.Version, before.DeletedAt, was, !live)
			}
		}
		return err
	})
	m.asked(a, err)
	return want, err
}

// versionsOf returns the versions of a secret, deleted or not; none if it is not there.
func (m *model) versionsOf(path string) []specVersion {
	if s := m.secrets[path]; s != nil {
		return s.versions
	}
	return nil
}

// wrote compares a secret that was written.
func (m *model) wrote(path string, now vault.Secret) {
	m.compare(path, now, nil, 0)
}

func (m *model) doImport() (want, err error) {
	a := m.turn(m.anyone())
	ns, keys := "a", []string{"K", "K2", "K3"}
	if m.random.IntN(3) == 0 {
		ns, keys = "a/b", []string{"K", "L"}
	}
	o := vault.ImportOptions{OnConflict: m.pick("", "", vault.OnConflictSkip, vault.OnConflictError,
		vault.OnConflictUpdate), DryRun: m.random.IntN(6) == 0}
	if m.random.IntN(4) == 0 {
		o.Tier = m.tier()
	}
	var items []vault.Item
	for _, i := range m.random.Perm(len(keys))[:1+m.random.IntN(len(keys))] {
		value := m.value()
		if s := m.secrets[ns+"/"+keys[i]]; s != nil && m.random.IntN(3) == 0 {
			value = s.versions[len(s.versions)-1].value
		}
		items = append(items, vault.Item{Key: keys[i], Value: []byte(value)})
	}
	m.say("%d into %s by %s, %+v", len(items), ns, a.id, o)
	isNew := make([]bool, len(items))
	for i, item := range items {
		isNew[i] = m.secrets[ns+"/"+item.Key] == nil
	}
	outcomes, want := m.imports(a, ns, items, o)
	err = m.act(a, func(s *vault.Session) error {
		done, err := s.Import(m.namespace(ns), items, o)
		if err != nil || want != nil {
			return err
		}
		for i, item := range items {
			if i >= len(done) || done[i].Outcome != outcomes[i] || done[i].New != isNew[i] {
				m.t.Errorf("%s: %+v, want %q", item.Key, done, outcomes)
				break
			}
			if done[i].Written() && !o.DryRun {
				m.wrote(ns+"/"+item.Key, done[i].Secret)
			}
		}
		return nil
	})
	m.asked(a, err)
	return want, err
}

func (m *model) doDelete() (want, err error) {
	a, path := m.someCase("delete")
	m.follow = nil
	m.say("%s by %s", path, a.id)
	want = m.delete(a, path)
	err = m.act(a, func(s *vault.Session) error { _, _, err := s.Delete(m.path(path)); return err })
	m.asked(a, err)
	return want, err
}

func (m *model) doRestoreSecret() (want, err error) {
	a, path := m.someCase("write")
	for _, p := range modelPaths { // prefer a deleted secret
		if s := m.secrets[p]; s != nil && !s.live() && m.random.IntN(2) == 0 {
			path = p
		}
	}
	m.say("%s by %s", path, a.id)
	want = m.restore(a, path)
	err = m.act(a, func(s *vault.Session) error { _, err := s.Restore(m.path(path)); return err })
	m.asked(a, err)
	return want, err
}

// description returns a change of what is said of a secret.
func (m *model) description() func(*vault.About) {
	text := m.pick("", "what the program needs", "\u00e4 <b>")
	switch m.random.IntN(5) {
	case 0:
		return func(x *vault.About) { x.Description = text }
	case 1:
		return func(x *vault.About) { x.Tags = map[string]string{"team": text} }
	case 2:
		return func(x *vault.About) { x.Tags, x.Metadata = nil, map[string]string{"a": text} }
	case 3:
		at := m.now.Add(time.Duration(m.random.IntN(20)-2) * time.Hour)
		return func(x *vault.About) { x.ExpiresAt = &at }
	}
	every := int64(m.random.IntN(4) * 3600)
	return func(x *vault.About) { x.RotateEvery, x.ExpiresAt, x.MovedFrom = every, nil, "nowhere/K" }
}

func (m *model) doDescribe() (want, err error) {
	a, path := m.someCase("write")
	m.follow = nil
	m.say("%s by %s", path, a.id)
	change := m.description()
	want = m.describe(a, path, change)
	err = m.act(a, func(s *vault.Session) error {
		now, _, err := s.Describe(m.path(path), change)
		if err == nil && want == nil {
			m.compare(path, now, nil, 0)
		}
		return err
	})
	m.asked(a, err)
	return want, err
}

func (m *model) doRollback() (want, err error) {
	a, path := m.someCase("write")
	to := 1 + m.random.IntN(max(2, m.at(path)))
	m.say("%s to %d by %s", path, to, a.id)
	want = m.rollback(a, path, to)
	err = m.act(a, func(s *vault.Session) error {
		now, _, err := s.Rollback(m.path(path), uint64(to))
		if err == nil && want == nil {
			m.wrote(path, now)
		}
		return err
	})
	m.asked(a, err)
	return want, err
}

// mostlyOwner picks the owner, or now and then any actor.
func (m *model) mostlyOwner() *specActor {
	if m.random.IntN(8) == 0 {
		return m.turn(m.anyone())
	}
	return m.owners()
}

func (m *model) doPurge() (want, err error) {
	a, path := m.mostlyOwner(), m.pick(allPaths...)
	m.say("%s by %s", path, a.id)
	want = m.purge(a, path)
	return want, m.act(a, func(s *vault.Session) error { _, err := s.Purge(m.path(path)); return err })
}

// doPrune removes versions by a rule, or one version by its number.
func (m *model) doPrune() (want, err error) {
	a := m.mostlyOwner()
	var (
		list []specPruned
		path string
		ns   = m.pick("", "a", "a/b", "b")
		n    int
		rule = vault.PruneRule{Keep: m.random.IntN(4)}
	)
	if ns == "" && m.random.IntN(4) > 0 || m.random.IntN(2) == 0 {
		path = m.pick(allPaths...)
	}
	if m.random.IntN(3) == 0 {
		rule.Before = m.now.Add(-time.Duration(m.random.IntN(8)) * time.Hour)
	}
	for _, q := range m.asks { // mostly what somebody wants to read
		if m.at(q.path) > q.version && q.version > 0 && m.status(q) == vault.Pending && m.random.IntN(4) > 0 {
			path, rule = q.path, vault.PruneRule{Keep: 1}
			m.counts["prune: of a version that is asked for"]++
		}
	}
	switch {
	case !a.isOwner(): // nobody else is told what could go
		list = []specPruned{{path: m.pick(allPaths...), versions: []int{1}}}
	case path != "" && m.random.IntN(2) == 0:
		n = 1 + m.random.IntN(len(m.versionsOf(path))+1)
		list, want = m.prunableVersion(path, n)
	default:
		list, want = m.prunable(path, ns, rule)
	}
	m.say("%s of %q in %q, version %d or %+v: %v", a.id, path, ns, n, rule, list)
	values := 0
	for _, s := range m.secrets {
		values += len(s.numbers())
	}
	if want == nil {
		want = m.prune(a, list)
	}
	return want, m.act(a, func(s *vault.Session) error {
		var found []vault.Pruning
		if !a.isOwner() {
			return s.Prune([]vault.Pruning{{Path: m.path(list[0].path), Versions: []uint64{1}}})
		}
		var at tokens.Path
		if path != "" {
			at = m.path(path)
		}
		had := 0
		if n > 0 {
			var one vault.Pruning
			one, had, err = s.PrunableVersion(at, uint64(n))
			found = []vault.Pruning{one}
		} else {
			found, had, err = s.Prunable(at, m.namespace(ns), rule)
		}
		if err != nil || want != nil {
			return err
		}
		var got []specPruned
		for _, one := range found {
			of := specPruned{path: one.Path.String(), left: one.Left}
			for _, n := range one.Versions {
				of.versions = append(of.versions, int(n))
			}
			got = append(got, of)
		}
		if fmt.Sprint(got) != fmt.Sprint(list) || had != values {
			m.t.Errorf("of %d values, %v would go; want %v of %d", had, got, list, values)
		}
		return s.Prune(found)
	})
}

func (m *model) doMove() (want, err error) { return m.moves(vault.MoveOptions{}) }

func (m *model) doCopySecret() (want, err error) {
	return m.moves(vault.MoveOptions{Copy: true, Latest: m.random.IntN(3) == 0})
}

// moves moves or copies a secret or two, or a namespace, mostly to where nothing is.
func (m *model) moves(o vault.MoveOptions) (want, err error) {
	a := m.mostlyOwner()
	var list []specMove
	if whole := [][2]string{{"a/b", "b"}, {"b", "a/b"}}; a.isOwner() && m.random.IntN(6) == 0 {
		ns := whole[m.random.IntN(2)]
		list = m.movesBelow(a, ns[0], ns[1])
	}
	for n := 1 + m.random.IntN(4)/3; len(list) < n; {
		one := specMove{m.pick(allPaths...), m.pick(allPaths...)}
		for range 8 {
			if !m.secrets[one.from].live() {
				one.from = m.pick(allPaths...)
			}
			if m.secrets[one.to] != nil {
				one.to = m.pick(allPaths...)
			}
		}
		if len(list) == 0 && m.secrets[m.raised].live() && m.random.IntN(3) > 0 && one.to != m.raised {
			one.from = m.raised
		}
		list = append(list, one)
	}
	if m.raised = ""; m.random.IntN(4) == 0 {
		m.then = "restore"
	}
	m.say("%v by %s, %+v", list, a.id, o)
	then := m.clone()
	plan, want := m.move(a, list, o)
	if want == nil && plan.rewrites {
		m.counts["move: of those that were done, rewrote the vault"]++
	}
	return want, m.act(a, func(s *vault.Session) error {
		planned := vault.MovePlan{Options: o}
		if a.isOwner() {
			var pairs []vault.Move
			for _, one := range list {
				pairs = append(pairs, vault.Move{From: m.path(one.from), To: m.path(one.to)})
			}
			if planned, err = s.PlanMove(pairs, o); err != nil || want != nil {
				return err
			}
			m.compareMoves(planned, plan)
		} else { // nobody else gets a plan
			for _, one := range list {
				moved := vault.Moved{From: m.path(one.from)}
				moved.Path = m.path(one.to)
				planned.Secrets = append(planned.Secrets, moved)
			}
		}
		done, err := s.Move(planned)
		if err != nil || want != nil {
			return err
		}
		m.compareMoves(done, plan)
		for _, one := range plan.secrets {
			if was := then.secrets[one.from]; o.Copy && was.id != "" {
				if found, _, err := s.History(m.path(one.to)); err != nil || found.ID == was.id {
					m.t.Errorf("the copy %s of %s has its id: %v", one.to, one.from, err)
				}
			}
			if o.Copy {
				continue
			}
			if _, _, err := s.History(m.path(one.from)); !errors.Is(err, vault.ErrNotFound) {
				m.t.Errorf("%s was moved away, and is there: %v", one.from, err)
			}
		}
		return nil
	})
}

// movesBelow returns the pairs for a namespace.
func (m *model) movesBelow(a *specActor, from, to string) (list []specMove) {
	gone := 0
	for path, s := range m.secrets {
		switch rest, below := strings.CutPrefix(path, from+"/"); {
		case !below, from == "b" && strings.Contains(rest, "/"):
		case s.live():
			list = append(list, specMove{path, to + "/" + rest})
		default:
			gone++
		}
	}
	slices.SortFunc(list, func(a, b specMove) int { return strings.Compare(a.from, b.from) })
	m.must(m.act(a, func(s *vault.Session) error {
		found, deleted, err := s.MovesBelow(m.namespace(from), m.namespace(to))
		var pairs []specMove
		for _, one := range found {
			pairs = append(pairs, specMove{one.From.String(), one.To.String()})
		}
		if err == nil && (!slices.Equal(pairs, list) || deleted != gone) {
			m.t.Errorf("to move %s: %v and %d deleted ones, want %v and %d", from, pairs, deleted, list, gone)
		}
		return err
	}))
	return list
}

func (m *model) compareMoves(got vault.MovePlan, want specMoved) {
	var rights []string
	for _, who := range got.Rights {
		for _, action := range []tokens.Action{tokens.Read, tokens.Write, tokens.Delete} {
			rights = append(rights, rightsText(who.ID, action.String(), who.Losing[action], who.Gained[action])...)
		}
	}
	slices.Sort(rights)
	if got.Rewrites != want.rewrites || got.Answered != want.answered || !slices.Equal(rights, want.rights) ||
		len(got.Secrets) != len(want.secrets) {
		m.t.Errorf("a plan of moves is %+v, want %+v", got, want)
		return
	}
	for i, one := range want.secrets {
		is := got.Secrets[i]
		if is.From.String() != one.from || is.Path.String() != one.to || int(is.Version) != one.version ||
			int(is.First) != one.first || is.Versions != one.count || is.Anew != (one.shift != 0) ||
			is.Tier != m.secrets[one.to].tier {
			m.t.Errorf("a plan of moves has %+v, want %+v", is, one)
		}
	}
}

func (m *model) scopes() (scopes []string) {
	if m.random.IntN(4) == 0 { // the agent writes secrets that it cannot read
		return []string{"secrets:write:" + m.pick("*", "a/*", "a/b/*")}
	}
	for range 1 + m.random.IntN(2) {
		scope := "secrets:" + m.pick("read", "read", "write", "delete", "*", "*") + ":" + m.pick("*", "a/*", "a/*", "a/b/*",
			"a/K", "a/b/K")
		if !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

func (m *model) doCreateAgent() (want, err error) {
	a := m.mostlyOwner()
	name, scopes := fmt.Sprint("agent", m.random.IntN(5)), m.scopes()
	m.say("%s %q by %s", name, scopes, a.id)
	made, want := m.createAgent(a, name, scopes)
	return want, m.act(a, func(s *vault.Session) error {
		agent, k, err := s.CreateAgent(vault.AgentSpec{Name: name, Scopes: vaulttest.Scopes(m.t, scopes...)})
		if err == nil && want == nil {
			made.id, made.key = agent.ID, k
		}
		return err
	})
}

func (m *model) doRevokeAgent() (want, err error) {
	a, agent := m.mostlyOwner(), m.whoever((*specActor).isAgent)
	if agent == nil {
		return nil, nil
	}
	m.say("%s by %s", agent.id, a.id)
	want = m.revokeAgent(a, agent)
	return want, m.act(a, func(s *vault.Session) error { _, err := s.RevokeAgent(agent.id, vault.NarrowOptions{}); return err })
}

func (m *model) doRotateAgent() (want, err error) {
	a, agent := m.mostlyOwner(), m.whoever((*specActor).isAgent)
	if agent == nil {
		return nil, nil
	}
	m.say("%s by %s", agent.id, a.id)
	want = m.rotateAgent(a, agent)
	return want, m.act(a, func(s *vault.Session) error {
		_, k, err := s.RotateAgentKey(agent.id, vault.NarrowOptions{})
		if err == nil && want == nil {
			agent.key = k
		}
		return err
	})
}

// doUpdateAgent gives an agent other scopes: more, fewer, or some others.
func (m *model) doUpdateAgent() (want, err error) {
	a, agent := m.mostlyOwner(), m.whoever((*specActor).isAgent)
	if agent == nil {
		return nil, nil
	}
	how := m.random.IntN(6)
	for _, t := range m.actors { // mostly one that has issued tokens
		if by := m.actor(t.issuer); t.granted && by != nil && by.isAgent() && m.random.IntN(3) > 0 {
			agent, how = by, m.random.IntN(8)
		}
	}
	scopes := m.scopes()
	switch how {
	case 0, 1:
		scopes = append(slices.Clone(agent.scopes), scopes...)
		slices.Sort(scopes)
		scopes = slices.Compact(scopes)
	case 2:
		scopes = slices.Clone(agent.scopes)
		m.random.Shuffle(len(scopes), func(i, j int) { scopes[i], scopes[j] = scopes[j], scopes[i] })
	case 3:
		scopes = slices.Clone(agent.scopes)[:1+m.random.IntN(len(agent.scopes))]
	case 4:
		scopes = slices.Clone(agent.scopes)
		i := m.random.IntN(len(scopes))
		part := strings.SplitN(scopes[i], ":", 3)
		below := map[string]string{"*": "a/*", "a/*": m.pick("a/b/*", "a/K"), "a/b/*": "a/b/K"}[part[2]]
		if part[1] == "*" {
			part[1] = m.pick("read", "write", "delete")
		} else if below != "" {
			part[2] = below
		}
		scopes[i] = strings.Join(part, ":")
		scopes = slices.Compact(slices.Sorted(slices.Values(scopes)))
	}
	plan, want := m.planUpdate(agent, scopes)
	if a.isOwner() && want == nil && plan.narrows {
		m.counts["update agent: narrowed"]++
	}
	if a.isOwner() && plan.ended > 0 {
		m.counts["update agent: with tokens that end"]++
	}
	narrows := plan.narrows != (m.random.IntN(20) == 0) // now and then, the agent has changed since
	m.say("%s by %s: %q, narrows: %v, planned: %v", agent.id, a.id, scopes, plan.narrows, narrows)
	before := strings.Join(agent.scopes, " ")
	if w := m.updateAgent(a, agent, scopes, narrows); want == nil || !a.isOwner() {
		want = w
	}
	c := vault.AgentChange{Scopes: vaulttest.Scopes(m.t, scopes...)}
	return want, m.act(a, func(s *vault.Session) error {
		if a.isOwner() {
			u, err := s.PlanAgentUpdate(agent.id, c)
			if err != nil {
				return err
			}
			if u.Narrows() != plan.narrows || u.Changes != plan.changes || u.Tokens != plan.ended ||
				strings.Join(u.Before.Scopes.Strings(), " ") != before {
				m.t.Errorf("the plan for %s is %+v, want %+v of one with %s", agent.id, u, plan, before)
			}
		}
		_, err := s.UpdateAgent(agent.id, c, narrows, vault.NarrowOptions{})
		return err
	})
}

func (m *model) doIssue() (want, err error) {
	a := m.turn(m.anyone())
	spec := vault.TokenSpec{Uses: uint64(m.random.IntN(5)), TTL: time.Duration(1+m.random.IntN(120)) * time.Minute}
	if m.random.IntN(4) == 0 {
		spec.Tier = tokens.Sensitive
	}
	scopes := m.scopes()
	if !a.isOwner() && m.random.IntN(4) > 0 { // some of the issuer's scopes, or narrower ones
		scopes = nil
		for _, scope := range a.scopes[:1+m.random.IntN(len(a.scopes))] {
			part := strings.SplitN(scope, ":", 3)
			for range m.random.IntN(3) {
				part[2] = map[string]string{"*": "a/*", "a/*": m.pick("a/b/*", "a/K"), "a/b/*": "a/b/K"}[part[2]]
			}
			if part[2] != "" {
				scope = strings.Join(part, ":")
			}
			if !slices.Contains(scopes, scope) {
				scopes = append(scopes, scope)
			}
		}
	}
	spec.Scopes = vaulttest.Scopes(m.t, scopes...)
	m.say("%q, %d uses, tier %d by %s", scopes, spec.Uses, spec.Tier, a.id)
	keeps, text := m.random.IntN(8) > 0, ""
	spec.Keep = func(issued string) error {
		if text = issued; keeps {
			return nil
		}
		return errNotKept
	}
	made, want := m.issue(a, scopes, spec, keeps)
	err = m.act(a, func(s *vault.Session) error {
		issued, err := s.IssueToken(spec)
		if err == nil && want == nil {
			made.id, made.text = issued.ID, issued.Text
			if a.isAgent() && m.random.IntN(4) == 0 {
				m.then = "update agent"
			}
		}
		if err == nil && text != issued.Text {
			m.t.Error("another token was kept than was issued")
		}
		return err
	})
	if errors.Is(err, errNotKept) {
		m.close()
		dead := &specActor{issuer: a.id, scopes: scopes, text: text}
		if err := m.act(dead, func(*vault.Session) error { return nil }); !errors.Is(err, vault.ErrWrongKey) {
			m.t.Errorf("a token that was not kept: %v", err)
		}
	}
	return want, err
}

func (m *model) doRevokeToken() (want, err error) {
	token := m.whoever((*specActor).isToken)
	if token == nil {
		return nil, nil
	}
	a := m.actors[0]
	if by := m.actor(token.issuer); by != nil && m.random.IntN(2) == 0 {
		a = by
	} else if m.random.IntN(3) == 0 {
		a = m.anyone()
	}
	m.turn(a)
	m.say("%s by %s", token.id, a.id)
	want = m.revokeToken(a, token)
	err = m.act(a, func(s *vault.Session) error { _, _, err := s.RevokeToken(token.id, vault.NarrowOptions{}); return err })
	if errors.Is(want, vault.ErrConflict) && errors.Is(err, vault.ErrNotFound) { // the log tells of it no more
		want = vault.ErrNotFound
	}
	return want, err
}

// doDecide lets the owner decide on some requests. The owner sees them as they are now, or as
// they were some steps ago.
func (m *model) doDecide() (want, err error) {
	a := m.owners()
	shown := m.shown
	m.shown = nil
	if len(shown) == 0 || m.random.IntN(3) == 0 {
		err := m.act(a, func(s *vault.Session) (err error) { shown, err = s.Requests(); return err })
		m.must(err)
		if m.follow != nil {
			shown = slices.DeleteFunc(shown, func(r vault.Request) bool { return r.ID != m.follow.id })
		} else if m.random.IntN(8) > 0 {
			shown = slices.DeleteFunc(shown, func(r vault.Request) bool { return r.Status != vault.Pending })
		}
		m.random.Shuffle(len(shown), func(i, j int) { shown[i], shown[j] = shown[j], shown[i] })
		shown = shown[:min(len(shown), 1+m.random.IntN(2))]
		if m.random.IntN(6) == 0 {
			m.shown = shown
			shown = nil
		}
	}
	if len(shown) == 0 {
		m.say("on nothing")
		return nil, nil
	}
	approve, value := m.random.IntN(4) > 0, m.value()
	provide := approve && len(shown) == 1 && (shown[0].Action == vault.RequestCreate || m.random.IntN(20) == 0) &&
		m.random.IntN(8) > 0
	m.say("on %d: %v, with a value: %v", len(shown), approve, provide)
	if provide {
		want = m.provide(shown[0], value)
	} else {
		want = m.decide(shown, approve)
	}
	if m.follow = m.request(shown[0].ID); m.follow != nil && want != nil {
		m.follow = nil
	}
	return want, m.act(a, func(s *vault.Session) error {
		switch {
		case provide:
			if err := s.Provide(shown[0], []byte(value)); err != nil || want != nil {
				return err
			}
			found, _, err := s.History(shown[0].Path)
			m.wrote(found.Path.String(), found)
			return err
		case approve:
			return s.Approve(shown)
		}
		return s.Deny(shown, "no")
	})
}

func (m *model) doRekey() (want, err error) {
	a := m.mostlyOwner()
	if want = m.onlyOwner(a, audit.VaultRewritten); want != nil {
		want = m.end(a, want)
	} else {
		m.rewrite(audit.VaultRewritten, specNarrow{})
	}
	return want, m.act(a, func(s *vault.Session) error {
		n, err := s.Rekey()
		if err == nil && n != m.epoch {
			m.t.Errorf("epoch %d, want %d", n, m.epoch)
		}
		return err
	})
}

func (m *model) doCompact() (want, err error) {
	a, via := m.mostlyOwner(), m.pick("", m.dir)
	m.say("by %s, by way of %q", a.id, via)
	want = m.noted(a, audit.VaultCompacted)
	err = m.act(a, func(s *vault.Session) error { return s.Compact(via) })
	if left, _ := filepath.Glob(filepath.Join(m.dir, "*"+filepath.Base(m.v.Path)+"*")); len(left) > 0 {
		m.t.Errorf("left in the other folder: %q", left)
	}
	return want, err
}

// doWait lets credentials, approvals and requests lapse.
func (m *model) doWait() (want, err error) {
	d := []time.Duration{time.Hour, time.Hour, 3 * time.Hour, 25 * time.Hour, 8 * 24 * time.Hour}[m.random.IntN(5)]
	m.say("%s", d)
	m.pass(d)
	return nil, nil
}

func (m *model) doArchive() (want, err error) {
	a, file := m.owners(), m.file("archive")
	before := m.now
	if n := len(m.log) - m.cut; m.random.IntN(3) > 0 {
		before = m.log[m.cut+m.random.IntN(n)].at
	}
	old := m.clone()
	first, last, want := m.archive(before)
	m.say("entries %d to %d", first, last)
	err = m.act(a, func(s *vault.Session) error {
		got, err := s.ArchiveLog(file, before, false)
		if err == nil && want == nil && (int(got.First) != first || int(got.Last) != last) {
			m.t.Errorf("entries %d to %d are archived, want %d to %d", got.First, got.Last, first, last)
		}
		return err
	})
	if err == nil && want == nil {
		m.compareArchive(file, old.log[first-1:last])
	}
	return want, err
}

// compareArchive checks that an archive holds the wanted entries and verifies.
func (m *model) compareArchive(file string, want []*specEntry) {
	n := 0
	_, problems, err := vault.VerifyArchive(file, func(e vault.Entry) {
		if n < len(want) && (e.Type != want[n].event || e.ActorID != want[n].actor) {
			m.t.Errorf("the archive has %s by %s as entry %d, want %+v", e.Type, e.ActorID, e.Seq, *want[n])
		}
		n++
	})
	if err != nil || len(problems) > 0 || n != len(want) {
		m.t.Errorf("an archive of %d entries, want %d: %q, %v", n, len(want), problems, err)
	}
	m.must(os.Remove(file))
}

func (m *model) doBackUp() (want, err error) {
	a, file := m.mostlyOwner(), m.file("backup")
	m.say("by %s as %s", a.id, file)
	want = m.noted(a, audit.VaultBackedUp)
	var b vault.Backup
	err = m.act(a, func(s *vault.Session) error { b, err = s.BackUp(file); return err })
	if err != nil || want != nil {
		return want, err
	}
	if r, err := b.Verify(m.owner, m.v.Opts); err != nil || len(r.Problems) > 0 || int(b.Entry) != len(m.log) {
		m.t.Errorf("the backup up to entry %d, of %d, does not hold: %q, %v", b.Entry, len(m.log), r.Problems, err)
	}
	m.backups = m.kept(m.backups, file)
	return nil, nil
}

// kept adds a copy of the current state to the list. If the list is long, it drops the oldest.
func (m *model) kept(list []modelCopy, file string) []modelCopy {
	if len(list) > 3 {
		list = slices.Delete(list, 0, 1+m.random.IntN(2))
	}
	return append(list, modelCopy{file, m.clone()})
}

// doRestore restores a backup, over the vault or after the loss of the vault.
func (m *model) doRestore() (want, err error) {
	m.close()
	if len(m.backups) == 0 {
		return nil, nil
	}
	b := m.backups[m.random.IntN(len(m.backups))]
	m.say("%s of entry %d", b.file, len(b.as.log))
	if b.as.owner != m.owner { // from before the owner's key was replaced
		_, err := vault.PlanRestore(m.v.Path, b.file, m.owner, m.v.Opts)
		return vault.ErrWrongKey, err
	}
	there, missed := m.spec, false
	if m.random.IntN(5) == 0 {
		m.say("where nothing is")
		m.must(os.Remove(m.v.Path))
		seen, last := m.seen[m.owner], len(b.as.log)
		there, missed = nil, len(seen) != last || seen[last-1] != b.as.log[last-1]
	}
	r := b.as.restored(there, m.now, missed)
	plan, err := vault.PlanRestore(m.v.Path, b.file, m.owner, m.v.Opts)
	if err != nil {
		return nil, err
	}
	m.comparePlan(plan, r)
	if plan, err = vault.Restore(m.v.Path, b.file, m.owner, plan, m.v.Opts); err != nil {
		return nil, err
	}
	if there != nil {
		if r, err := vault.VerifyBackup(plan.Replaced, m.owner, m.v.Opts); err != nil || len(r.Problems) > 0 {
			m.t.Errorf("the file that was replaced: %q, %v", r.Problems, err)
		}
		m.must(os.Remove(plan.Replaced))
	}
	for path := range b.as.secrets {
		if there != nil && there.secrets[path] == nil && there.left[path].tier > b.as.secrets[path].tier {
			m.counts["restore: keeps the tier of what was moved away"]++
		}
	}
	m.spec = r.next
	m.checked, m.seen[m.owner] = m.cut, m.log
	if plan.Epoch != m.epoch {
		m.t.Errorf("epoch %d after the restore, want %d", plan.Epoch, m.epoch)
	}
	m.afterwards()
	return nil, nil
}

func (m *model) comparePlan(plan vault.Restoration, want specRestored) {
	if plan.KeepsLog != want.keepsLog {
		m.t.Errorf("the log goes on: %v, want %v", plan.KeepsLog, want.keepsLog)
	}
	for what, lists := range map[string][2][]string{
		"returning": {plan.Returning, want.returning}, "older": {plan.Older, want.older}, "leaving": {plan.Leaving,
			want.leaving},
		"raised": {plan.Raised, want.raised}, "revoked": {plan.Revoked, want.revoked}, "reviving": {plan.Reviving,
			want.reviving},
		"lost": {plan.Lost, nil},
	} {
		var got []string
		for _, text := range lists[0] { // "path (…)", "name (id)…"
			if name, rest, ok := strings.Cut(text, " ("); ok && strings.Contains(rest, tokens.AgentIDPrefix) {
				text = rest[:strings.IndexByte(rest, ')')]
			} else {
				text = name
			}
			got = append(got, text)
		}
		slices.Sort(got)
		slices.Sort(lists[1])
		if !slices.Equal(got, lists[1]) {
			m.t.Errorf("%s: %q, want %q", what, got, lists[1])
		}
	}
}

// afterwards checks the vault, half of the time, after an act on the file itself.
func (m *model) afterwards() {
	if m.random.IntN(2) == 0 && !m.t.Failed() {
		m.check()
	}
}

func (m *model) doRekeyOwner() (want, err error) {
	a, file := m.owners(), m.file("log")
	id, err := vault.NewIdentity()
	m.must(err)
	old := m.log[m.cut:]
	m.seen[m.owner] = m.log
	before := map[string]string{}
	for path, s := range m.secrets {
		if s.id != "" {
			before[path] = s.id
		}
	}
	m.rekeyOwner(id)
	var keys []vault.NewAgentKey
	err = m.act(a, func(s *vault.Session) error { _, keys, err = s.RekeyOwner(vault.NewOwnership(id), file); return err })
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if agent := m.actor(k.Agent.ID); agent != nil {
			agent.key = k.Key
		}
	}
	m.compareArchive(file, old)
	m.v.Owner = id
	return nil, m.act(a, func(s *vault.Session) error {
		for path, was := range before { // another key tells canaries by other ids, and nobody must see which those are
			if found, _, err := s.History(m.path(path)); err != nil || found.ID == was {
				m.t.Errorf("%s had the id %s, and has %s: %v", path, was, found.ID, err)
			}
		}
		return m.look(a, s, allPaths...)
	})
}

func (m *model) doSalvage() (want, err error) {
	m.close()
	to := m.file("salvaged")
	r, err := vault.Salvage(m.v.Path, to, m.owner, m.v.Opts)
	if err != nil {
		return nil, err
	}
	m.rewrite(audit.VaultSalvaged, specNarrow{all: true})
	m.left = map[string]specLeft{}
	m.note(audit.Checkpointed, m.actors[0])
	if len(r.Lost) > 0 || r.LogFile != "" || r.Secrets != len(m.secrets) || r.Epoch != m.epoch {
		m.t.Errorf("a whole vault was salvaged as %+v", r)
	}
	m.must(os.Rename(to, m.v.Path))
	m.afterwards()
	return nil, nil
}

func (m *model) doCopy() (want, err error) {
	m.close()
	file := m.file("copy")
	b, err := os.ReadFile(m.v.Path)
	m.must(err)
	m.must(os.WriteFile(file, b, 0o600))
	m.copies = m.kept(m.copies, file)
	return nil, nil
}

// doPutBack puts an old copy of the file in its place. This machine notices it, and the owner
// accepts it.
func (m *model) doPutBack() (want, err error) {
	m.close()
	if len(m.copies) == 0 {
		return nil, nil
	}
	old := m.copies[m.random.IntN(len(m.copies))]
	b, err := os.ReadFile(old.file)
	m.must(err)
	m.must(os.WriteFile(m.v.Path, b, 0o600))
	seen := &spec{log: m.seen[old.as.owner]}
	m.spec = old.as.clone()
	m.now, m.checked, m.v.Owner = m.clock.Time, len(m.log), m.owner
	noticed := !m.goesOn(seen)
	m.say("of entry %d, which is older: %v", len(m.log), noticed)
	opened, err := vault.Open(m.v.Path, m.v.Opts)
	m.must(err)
	defer m.afterwards()
	defer func() { m.must(opened.Close()) }()
	if back := opened.Rollback(); (back != nil) != noticed {
		m.t.Errorf("an older copy: %v, want that it is noticed: %v", back, noticed)
	}
	s, err := opened.Owner(m.owner)
	m.must(err)
	if _, err = s.Accept(); !noticed {
		return vault.ErrConflict, err
	}
	m.noted(m.actors[0], audit.VaultAccepted)
	m.seen[m.owner] = m.log
	return nil, err
}

// metaTx returns the number of the transaction that wrote the meta page at page 0 or 1.
func metaTx(b []byte, page int) uint64 { return binary.LittleEndian.Uint64(b[page*pageBytes+64:]) }

// doCrash takes a step, and then puts the machine back to a crash during the step. Some pages
// are written, but not the meta page that makes them count.
func (m *model) doCrash() (want, err error) {
	m.close()
	before, err := os.ReadFile(m.v.Path)
	m.must(err)
	file, err := os.Stat(m.v.Path)
	m.must(err)
	memory := filepath.Join(m.v.Opts.MemoryDir, m.vaultID()) + ".2"
	remembered, err := os.ReadFile(memory)
	m.must(err)
	old, checked, seen, shown := m.clone(), m.checked, m.seen[m.owner], m.shown
	plain := slices.DeleteFunc(slices.Clone(m.acts), func(a modelAct) bool {
		return slices.Contains([]string{"crash", "back up", "restore", "new owner key", "salvage", "copy the file",
			"put a copy back", "archive"}, a.name)
	})
	m.follow = nil
	m.one(plain)
	m.close()
	after, err := os.ReadFile(m.v.Path)
	m.must(err)
	now, err := os.Stat(m.v.Path)
	m.must(err)
	last := max(metaTx(before, 0), metaTx(before, 1))
	torn := slices.Clone(before)
	switch newest := max(metaTx(after, 0), metaTx(after, 1)); {
	case !os.SameFile(file, now):
		m.did = append(m.did, "   died before the new file was in place")
		m.must(os.WriteFile(m.v.Path+".new", after[:m.random.IntN(len(after)+1)], 0o600))
	case newest == last+1:
		m.did = append(m.did, "   died in the commit")
		torn = slices.Clone(after)
		for at := 2 * pageBytes; at < len(before); at += pageBytes {
			if m.random.IntN(2) == 0 {
				copy(torn[at:at+pageBytes], before[at:])
			}
		}
		meta := int(newest%2) * pageBytes
		if metaTx(after, int(newest%2)) != newest {
			m.t.Fatal("the newest meta page is not where it is looked for")
		}
		free := int(binary.LittleEndian.Uint64(after[meta+48:])) // the list of free pages, whose sum is written last
		end := (free + 1 + int(binary.LittleEndian.Uint32(after[free*pageBytes+12:]))) * pageBytes
		clear(torn[end-8 : end])
		cut := meta + m.random.IntN(73) // before its checksum
		copy(torn[cut:meta+pageBytes], before[cut:])
	default:
		m.did = append(m.did, "   died before any of it")
	}
	m.must(os.Remove(m.v.Path))
	m.must(os.WriteFile(m.v.Path, torn, 0o600))
	m.must(os.WriteFile(memory, remembered, 0o600))
	m.spec, m.checked, m.shown, m.follow = old, checked, shown, nil
	m.now, m.seen[m.owner] = m.clock.Time, seen
	m.afterwards()
	return nil, nil
}

func (m *model) vaultID() string {
	opened, err := vault.OpenCopy(m.v.Path, vault.Options{})
	m.must(err)
	defer opened.Close()
	return opened.ID()
}

// check compares everything but the old versions with the specification.
func (m *model) check() {
	m.t.Helper()
	m.close()
	owner := m.actors[0]
	m.must(m.act(owner, func(s *vault.Session) error {
		r, err := s.Check()
		if len(r.Problems) > 0 || r.Epoch != m.epoch || int(r.Archived) != m.cut || int(r.Entries) != len(m.log)-m.cut {
			m.t.Errorf("an honest vault does not hold, or is not in epoch %d with entries %d to %d: %+v", m.epoch, m.cut+1,
				len(m.log), r)
		}
		return err
	}))
	if n, err := m.opened.CountDue(m.now); err != nil || n != m.due(m.now) {
		m.t.Errorf("%d secrets are due, want %d: %v", n, m.due(m.now), err)
	}
	m.pass(time.Second)
	paths, err := m.getAll(owner, "")
	m.must(err)
	m.must(m.act(owner, func(s *vault.Session) error {
		values, err := s.GetAll(tokens.Namespace{})
		m.compareAll(paths, values)
		if err != nil {
			return err
		}
		if err := m.lookAtCanaries(s); err != nil {
			return err
		}
		return m.look(owner, s, allPaths...)
	}))
	m.close()
}

// readEverything reads and compares every version of every secret, even of deleted ones.
func (m *model) readEverything() {
	owner := m.owners()
	m.must(m.act(owner, func(s *vault.Session) error {
		for _, path := range allPaths {
			secret := m.secrets[path]
			if secret == nil {
				continue
			}
			for !secret.live() || secret.deletedTo > 0 {
				m.must(m.restore(owner, path))
				if _, err := s.Restore(m.path(path)); err != nil {
					return err
				}
			}
			for n, version := range secret.versions {
				if version.seq == 0 {
					continue
				}
				m.must(m.get(owner, path, n+1))
				found, value, err := s.Get(m.path(path), uint64(n+1))
				if err != nil {
					return err
				}
				m.compare(path, found, value, n+1)
			}
		}
		return nil
	}))
}
