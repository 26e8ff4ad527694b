package vault

import (
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/cryptotest"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/bolt"
	"ass/vault/internal/keys"
)

var (
	hostileFiles = flag.Int("hostile", 0, "how many hostile vaults to make, on all cores, instead of a sample")
	hostileSeed  = flag.Uint64("hostile-seed", 1, "the seed of the first hostile vault; the others follow it")
)

// What one hostile vault may cost, with everything that is done with it. Most take less than a
// twentieth of a second.
const (
	hostileTime  = time.Minute // of a machine that others use too
	hostileBytes = 1 << 30     // allocated, freed or not
)

// A vault that somebody made who knows the format, with or without the keys of an agent, gives
// the right values or says why not. Nothing panics, hangs, or takes much memory, and what was
// written is there afterwards. See hostile_mutate_test.go for what such a person does.
func TestHostile(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	if UnderRace {
		t.Skip("it takes too long, and nothing here runs at once")
	}
	if runtime.GOOS == "windows" {
		t.Skip("what keeps a damaged file mapped keeps others from replacing it there")
	}
	if child := os.Getenv("ASS_TEST_HOSTILE"); child != "" {
		tryHostile(t, child)
		return
	}
	n, children := *hostileFiles, runtime.GOMAXPROCS(0)
	if n == 0 {
		n, children = 20, 1
	}
	// A child that dies takes no other test with it, and leaves the seed that killed it.
	dir := t.TempDir()
	dead := make(chan error)
	for i := range children {
		go func() {
			child := exec.Command(os.Args[0], "-test.run=^TestHostile$", "-test.timeout=0")
			child.Env = append(os.Environ(), fmt.Sprintf("ASS_TEST_HOSTILE=%d %d %d %s", *hostileSeed+uint64(i), children,
				(n+children-1-i)/children, noteOf(dir, i)))
			out, err := child.CombinedOutput()
			if err != nil {
				note, _ := os.ReadFile(noteOf(dir, i))
				err = fmt.Errorf("%w; its last note: %.200s\n%.60000s", err, note, out)
			}
			dead <- err
		}()
	}
	for range children {
		if err := <-dead; err != nil {
			t.Error(err)
		}
	}
	all := outcomes{}
	for i := range children {
		var of outcomes
		if b, err := os.ReadFile(noteOf(dir, i)); err == nil && json.Unmarshal(b, &of) == nil {
			for step, n := range of {
				all.add(step, n[0], n[1])
			}
		}
	}
	for _, step := range slices.Sorted(maps.Keys(all)) {
		t.Logf("%6d done, %6d refused: %s", all[step][0], all[step][1], step)
	}
}

func noteOf(dir string, child int) string { return filepath.Join(dir, strconv.Itoa(child)) }

// outcomes counts, by step, how often it was done and how often it was refused.
type outcomes map[string][2]int

func (o outcomes) add(step string, done, refused int) {
	o[step] = [2]int{o[step][0] + done, o[step][1] + refused}
}

// tryHostile is a child: it tries some of the seeds, and notes how far it got.
func tryHostile(t *testing.T, what string) {
	var (
		seed        uint64
		step, count int
		note        string
	)
	if _, err := fmt.Sscan(what, &seed, &step, &count, &note); err != nil {
		t.Fatal(err)
	}
	debug.SetMaxStack(64 << 20)
	debug.SetMemoryLimit(hostileBytes)
	bases := [2]*hostileBase{newHostileBase(t, false), newHostileBase(t, true)}
	of := outcomes{}
	var now atomic.Uint64
	end := make(chan struct{})
	defer close(end)
	go watchHostile(&now, end)
	for range count {
		now.Store(seed)
		if err := os.WriteFile(note, fmt.Appendf(nil, "seed %d", seed), 0o600); err != nil {
			t.Fatal(err)
		}
		random := rand.New(rand.NewPCG(seed, 1))
		base := bases[0]
		if random.IntN(200) == 0 {
			base = bases[1]
		}
		h := &hostile{hostileBase: base, t: t, seed: seed, random: random, layout: base.layout, of: of}
		before := allocated()
		h.make()
		h.use()
		if bytes := allocated() - before; bytes > hostileBytes {
			h.fail("%d bytes were allocated", bytes)
		}
		seed += uint64(step)
	}
	b, err := json.Marshal(of)
	if err == nil {
		err = os.WriteFile(note, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// watchHostile ends the process, with all stacks, if one seed takes too long or too much memory.
func watchHostile(now *atomic.Uint64, end <-chan struct{}) {
	live := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	seed, since := now.Load(), time.Now()
	for {
		select {
		case <-end:
			return
		case <-time.After(100 * time.Millisecond):
		}
		if is := now.Load(); is != seed {
			seed, since = is, time.Now()
		}
		metrics.Read(live)
		if time.Since(since) > hostileTime || live[0].Value.Uint64() > hostileBytes {
			debug.SetTraceback("all")
			panic(fmt.Sprintf("seed %d: %s, %d bytes in use", seed, time.Since(since), live[0].Value.Uint64()))
		}
	}
}

// hostileBase is the vault that is changed: of an owner, an agent, a token and an insider. It
// is the same in each process.
type hostileBase struct {
	*company
	file   []byte
	backup []byte
	layout bolt.Layout
	values map[string][]string // by path: what was stored there
}

// hostileNow is when hostile vaults are used.
var hostileNow = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func newHostileBase(t *testing.T, large bool) *hostileBase {
	cryptotest.SetGlobalRandom(t, 1)
	owner, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	now := hostileNow.Add(-time.Hour)
	v := &victim{t, filepath.Join(InMemory(t), "vault.db"), owner, Options{LockTimeout: -1,
		Now: func() time.Time { now = now.Add(time.Second); return now }}}
	if _, err := Create(v.path, owner, v.opts); err != nil {
		t.Fatal(err)
	}
	h := &hostileBase{company: &company{victim: v, secret: map[string]keys.Key{}, id: map[string]string{},
		text: map[string]string{}}, values: map[string][]string{}}
	set := func(s *Session, path, value string, tier tokens.Tier) {
		if _, _, err := s.Set(h.p(path), []byte(value), SetOptions{Tier: tier}); err != nil {
			t.Fatal(err)
		}
		h.values[path] = append(h.values[path], value)
	}
	h.do(func(s *Session) {
		h.vid = s.epoch.Vault
		for _, name := range []string{"agent", "mallory"} {
			scope := map[string]string{"agent": "secrets:*:a/*", "mallory": "secrets:*:m/*"}[name]
			a, k, err := s.CreateAgent(AgentSpec{Name: name, Scopes: h.scopes(scope)})
			if err != nil {
				t.Fatal(err)
			}
			h.secret[name], h.id[name] = k.Secret, a.ID
		}
		if _, err := s.AddWay(Way{Name: "device", Recipient: "age1device", Sealed: []byte("an age file")}); err != nil {
			t.Fatal(err)
		}
		set(s, "a/K", "one", 0)
		set(s, "a/K", "two", 0)
		set(s, "a/SENSITIVE", "sensitive", tokens.Sensitive)
		set(s, "b/K", "other", 0)
		set(s, "b/GONE", "gone", 0)
		_, _, err := s.Delete(h.p("b/GONE"))
		issued, terr := s.IssueToken(TokenSpec{Scopes: h.scopes("secrets:read:a/*"), TTL: tokens.MaxTTL})
		if err := errors.Join(err, terr); err != nil {
			t.Fatal(err)
		}
		h.text["token"] = issued.Text
	})
	h.honest("mallory", func(s *Session) { set(s, "m/K", "mine", 0) })
	h.honest("agent", func(s *Session) { // becomes a request
		if _, _, err := s.Get(h.p("a/SENSITIVE"), 0); !errors.Is(err, ErrApproval) {
			t.Fatal(err)
		}
	})
	if large {
		h.manyValues()
		h.values["many/K007"] = []string{"x"}
	}
	file := h.path + ".bak"
	h.do(func(s *Session) {
		b, err := s.BackUp(file)
		if err == nil {
			_, err = b.Verify(owner, h.opts)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	if h.backup, err = os.ReadFile(file); err != nil {
		t.Fatal(err)
	}
	if h.layout, err = bolt.ReadLayout(h.path); err != nil {
		t.Fatal(err)
	}
	h.file = h.raw()
	h.opts.Now = func() time.Time { return hostileNow }
	return h
}

// InMemory returns a folder whose files are in memory, if this machine has such folders.
func InMemory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "ass-vault-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// hostile is one hostile vault.
type hostile struct {
	*hostileBase
	t      *testing.T
	seed   uint64
	random *rand.Rand
	layout bolt.Layout
	made   []string // what was done to it
	raw    []byte   // its file
	opens  bool     // to its owner
	of     outcomes
}

func (h *hostile) fail(format string, args ...any) {
	h.t.Errorf("seed %d (%s): %s", h.seed, strings.Join(h.made, "; "), fmt.Sprintf(format, args...))
}

// hostileErrors are what a command may say of a hostile vault.
var hostileErrors = []error{ErrDamaged, ErrWrongKey, ErrFormat, ErrNotFound, ErrDenied, ErrLapsed, ErrApproval,
	ErrConflict, ErrExists}

// isHostileError reports whether an error is of one of these kinds, and one line. Commands print
// errors that are joined one after the other.
func isHostileError(err error) bool {
	if both, ok := err.(interface{ Unwrap() []error }); ok {
		return !slices.ContainsFunc(both.Unwrap(), func(err error) bool { return !isHostileError(err) })
	}
	return !strings.Contains(err.Error(), "\n") &&
		slices.ContainsFunc(hostileErrors, func(kind error) bool { return errors.Is(err, kind) })
}

// step does one thing with the vault, and reports whether it was done.
func (h *hostile) step(name string, fn func() error) bool {
	err := func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				h.fail("%s: panic: %v\n%s", name, p, debug.Stack())
				err = ErrDamaged
			}
		}()
		return fn()
	}()
	if err == nil {
		h.of.add(name, 1, 0)
		return true
	}
	h.of.add(name, 0, 1)
	if !isHostileError(err) {
		h.fail("%s: not a known error of one line: %.1000q (%T)", name, err, err)
	}
	return false
}

// open opens the vault, which is the hostile file again if fresh is set.
func (h *hostile) open(who string, fresh, readOnly bool, fn func(*Session)) {
	if fresh {
		h.put(h.path, h.raw)
	}
	o := h.opts
	o.ReadOnly = readOnly
	var v *Vault
	if !h.step("open", func() (err error) { v, err = Open(h.path, o); return err }) {
		return
	}
	defer v.Close()
	var s *Session
	if h.step("open as the "+who, func() (err error) {
		switch who {
		case "owner":
			s, err = v.Owner(h.owner)
		case "agent":
			s, err = v.Agent(tokens.AgentKey{Secret: h.secret[who], Vault: [4]byte(h.vid[:4])})
		case "token":
			s, err = v.Token(h.text[who])
		}
		return err
	}) {
		fn(s)
	}
}

func (h *hostile) put(path string, b []byte) {
	_ = os.Remove(path) // an old mapping of the file must not see the new one
	if err := os.WriteFile(path, b, 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// get reads a value, which must be one that was stored there.
func (h *hostile) get(s *Session, path string, n uint64) bool {
	return h.step("get", func() error {
		_, got, err := s.Get(h.p(path), n)
		if err == nil && !slices.Contains(h.values[path], string(got)) {
			h.fail("%s gets %d bytes of %s that nobody stored there", s.by.id, len(got), path)
		}
		return err
	})
}

// set writes a value. If that is acknowledged, the value must be there, now and later.
func (h *hostile) set(s *Session, who, path string) (done bool) {
	value := fmt.Sprintf("set by %s", who)
	if !h.step("set", func() error {
		_, _, err := s.Set(h.p(path), []byte(value), SetOptions{})
		return err
	}) {
		return false
	}
	_, got, err := s.Get(h.p(path), 0)
	if err != nil || string(got) != value {
		h.fail("%s was set by the %s, and then: %d bytes, %v", path, who, len(got), err)
	}
	return true
}

// verifies returns what a verification finds; nil for nothing.
func (h *hostile) verifies(s *Session) (problem error) {
	h.step("verify", func() error {
		var r Report
		if r, problem = s.Verify(true); problem == nil {
			problem = r.Err("the vault", "it does not verify")
		}
		return problem
	})
	return problem
}

// after checks what an act has left: if the vault opened to its owner before, it opens, and the
// paths in more can be read. If it verified before, it verifies.
func (h *hostile) after(what string, verified bool, more ...string) {
	done := false
	h.open("owner", false, false, func(s *Session) {
		done = true
		if verified {
			if problem := h.verifies(s); problem != nil {
				h.fail("%s: it verified before, and does not now: %v", what, problem)
			}
		}
		for _, path := range more {
			if !h.get(s, path, 0) {
				h.fail("%s: %s cannot be read", what, path)
			}
		}
	})
	if !done && h.opens {
		h.fail("%s: it opened before, and does not now", what)
	}
}

// use does with a vault what people do.
func (h *hostile) use() {
	h.put(h.path, h.raw)
	h.keyless()
	verified := false
	h.open("owner", false, true, func(s *Session) { h.opens, verified = true, h.look(s) })
	for _, who := range []string{"agent", "token"} {
		set := false
		h.open(who, true, false, func(s *Session) {
			h.step("list", func() error { _, err := s.List(tokens.Namespace{}, false); return err })
			h.get(s, "a/K", 0)
			h.get(s, "a/SENSITIVE", 0)
			if h.get(s, "b/K", 0) {
				h.fail("the %s reads b/K", who)
			}
			set = who == "agent" && h.set(s, who, "a/K")
		})
		if set {
			h.wrote("the agent's set", verified, "a/K", "set by agent")
		}
	}
	set := false
	h.open("owner", true, false, func(s *Session) {
		for path := range h.values {
			h.get(s, path, 0)
			h.get(s, path, 1)
		}
		set = h.set(s, "owner", "a/K")
		h.set(s, "owner", "a/NEW")
	})
	if set {
		h.wrote("the owner's set", verified, "a/K", "set by owner")
	}
	h.copies(verified)
	h.restore()
	h.salvage()
}

// wrote is after, for a path that has another value now.
func (h *hostile) wrote(what string, verified bool, path, value string) {
	was := h.values[path]
	h.values[path] = []string{value}
	h.after(what, verified, path)
	h.values[path] = was
}

// keyless looks at the vault as anybody can.
func (h *hostile) keyless() {
	var v *Vault
	o := h.opts
	o.ReadOnly = true
	if !h.step("open", func() (err error) { v, err = Open(h.path, o); return err }) {
		return
	}
	defer v.Close()
	h.step("info", func() error { _, err := v.Info(); return err })
	h.step("names", func() error {
		_, err1 := v.Paths("")
		_, err2 := v.PendingIDs()
		err3 := v.GlanceAgents(func(Agent) {})
		err4 := v.GlanceTokens(func(_ string, claims func() (tokens.Claims, error)) { _, _ = claims() })
		err5 := v.GlanceRequests(func(Request) {})
		return cmp.Or(err1, err2, err3, err4, err5)
	})
	h.step("log", func() error { _, err := v.Log(5, nil); return err })
	h.step("log", func() error { _, _, err := v.LogAfter(3, nil); return err })
	h.step("log", func() error {
		_, err := v.Log(3, func(ev audit.Event) bool { return ev.ActorID == audit.Owner })
		return err
	})
}

// look looks at everything without a change, and reports whether a verification finds nothing.
func (h *hostile) look(s *Session) (verified bool) {
	h.step("list", func() error { _, err := s.List(tokens.Namespace{}, false); return err })
	h.step("list", func() error { _, err := s.List(tokens.Namespace{}, true); return err })
	for path := range h.values {
		h.step("history", func() error { _, _, err := s.History(h.p(path)); return err })
	}
	h.step("agents", func() error { _, err := s.Agents(); return err })
	h.step("tokens", func() error { _, err := s.Tokens(); return err })
	h.step("requests", func() error { _, err := s.Requests(); return err })
	return h.step("check", func() error {
		r, err := s.Check()
		if err == nil {
			err = r.Err("the vault", "it does not verify")
		}
		return err
	})
}

// copies makes a backup and new files in the place of this one.
func (h *hostile) copies(verified bool) {
	file := h.path + ".copy"
	defer os.Remove(file)
	h.open("owner", true, false, func(s *Session) {
		h.step("backup", func() error {
			b, err := s.BackUp(file)
			if err == nil {
				_, err = b.Verify(h.owner, h.opts)
			}
			return err
		})
	})
	for what, act := range map[string]func(*Session) error{
		"compact": func(s *Session) error { return s.Compact("") },
		"purge":   func(s *Session) error { _, err := s.Purge(h.p("b/K")); return err },
		"prune":   pruneAll,
		"narrow": func(s *Session) error {
			_, err := s.UpdateAgent(h.id["agent"], AgentChange{Scopes: h.scopes("secrets:read:none/*")}, true, NarrowOptions{})
			return err
		},
		"move": func(s *Session) error {
			plan, err := s.PlanMove([]Move{{h.p("b/K"), h.p("c/K")}}, MoveOptions{})
			if err == nil {
				_, err = s.Move(plan)
			}
			return err
		},
		"copy": func(s *Session) error {
			plan, err := s.PlanMove([]Move{{h.p("a/K"), h.p("c/K")}}, MoveOptions{Copy: true})
			if err == nil {
				_, err = s.Move(plan)
			}
			return err
		},
	} {
		done := false
		var there []string
		h.open("owner", true, false, func(s *Session) {
			for _, path := range []string{"a/K", "a/SENSITIVE"} {
				if h.get(s, path, 0) {
					there = append(there, path)
				}
			}
			done = h.step(what, func() error { return act(s) })
		})
		if done {
			h.after(what, verified, there...) // also if it does not verify, what could be read stays readable
		}
	}
}

// restore restores the vault as if it were a backup, and a backup over it.
func (h *hostile) restore() {
	backup := h.path + ".backup"
	defer os.Remove(backup)
	for what, files := range map[string][2][]byte{
		"restore from it": {h.file, h.raw},
		"restore over it": {h.raw, h.backup},
	} {
		h.put(h.path, files[0])
		h.put(backup, files[1])
		o := h.opts
		done := h.step(what, func() error {
			plan, err := PlanRestore(h.path, backup, h.owner, o)
			if err == nil {
				plan, err = Restore(h.path, backup, h.owner, plan, o)
				_ = os.Remove(plan.Replaced)
			}
			return err
		})
		if done {
			h.opens = true
			h.after(what, true, "a/K")
		}
	}
}

// salvage makes a new vault of what can be found.
func (h *hostile) salvage() {
	damaged := h.path + ".damaged"
	h.put(damaged, h.raw)
	defer os.Remove(damaged)
	_ = os.Remove(h.path)
	var r Salvaged
	done := h.step("salvage", func() (err error) { r, err = Salvage(damaged, h.path, h.owner, h.opts); return err })
	if r.LogFile != "" {
		_ = os.Remove(r.LogFile)
	}
	if done {
		h.opens = true
		h.after("salvage", true)
		h.open("owner", false, false, func(s *Session) {
			for path := range h.values {
				h.get(s, path, 0)
			}
		})
	}
}
