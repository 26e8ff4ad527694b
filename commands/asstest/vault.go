package asstest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"ass/audit"
	"ass/commands"
	"ass/tokens"
	"ass/vault"
)

// Vault is a vault for one test. All of its methods act as the owner; for others, see [Vault.Agent] and [Vault.Token].
// They end the test if something fails, with a text that has no value in it.
//
// A Vault has its own folder, environment and clock, and changes nothing of the process. So tests can run in parallel.
type Vault struct {
	*Actor
	Clock *Clock
	owner *vault.Identity
}

// Actor is somebody who acts in a vault: the owner, an agent or a token.
type Actor struct {
	Name string // of the owner or an agent; "token" for a token
	Key  string // what opens the vault for it, as in ASS_AGENT_KEY and, for [API], as bearer; "" for the owner

	home home
	open func(*vault.Vault) (*vault.Session, error)
	ids  func() [16]byte
}

// New makes a vault that holds secrets and more. It is removed with the test's other temporary folders.
func New(t testing.TB, secrets Secrets, more ...Content) *Vault {
	t.Helper()
	h := home{t.TempDir()}
	must(t, "asstest.New", os.MkdirAll(h.at("run"), 0o700))
	must(t, "asstest.New", h.fill(append([]Content{secrets}, more...)))
	owner, err := vault.ParseIdentity(templateKey)
	must(t, "asstest.New", err)
	a := &Actor{Name: "owner", home: h, ids: h.ids(), open: func(v *vault.Vault) (*vault.Session, error) {
		return v.Owner(owner)
	}}
	return &Vault{a, h.clock(), owner}
}

// must ends the test if there is an error. No error of ass has a value in it.
func must(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// act calls fn with a session of the actor.
func (a *Actor) act(fn func(*vault.Session) error) error {
	o := a.home.options(a.ids)
	v, err := vault.Open(a.home.vault(), o)
	if err != nil {
		return err
	}
	defer v.Close()
	s, err := a.open(v)
	if err != nil {
		return err
	}
	return fn(s)
}

// Get returns the current value of a secret.
func (a *Actor) Get(t testing.TB, path string) (value string) {
	t.Helper()
	must(t, a.Name+" gets "+path, a.act(func(s *vault.Session) error {
		p, err := tokens.ParsePath(path)
		if err != nil {
			return err
		}
		_, b, err := s.Get(p, 0)
		value = string(b)
		return err
	}))
	return value
}

// Set stores a value.
func (a *Actor) Set(t testing.TB, path, value string) {
	t.Helper()
	must(t, a.Name+" sets "+path, a.act(func(s *vault.Session) error {
		p, err := tokens.ParsePath(path)
		if err == nil {
			_, _, err = s.Set(p, []byte(value), vault.SetOptions{})
		}
		return err
	}))
}

// Agent registers an agent with scopes such as "secrets:read:prod/*", and returns it. If [New] made an agent of that
// name, and no scopes are given, it is that one.
func (v *Vault) Agent(t testing.TB, name string, scopes ...string) *Actor {
	t.Helper()
	what := "agent " + name
	if len(scopes) > 0 {
		must(t, what, v.act(func(s *vault.Session) error { return Agent{name, scopes}.store(s, &v.home) }))
	}
	text, err := v.home.key(name)
	must(t, what, err)
	k, err := tokens.ParseAgentKey(text)
	must(t, what, err)
	return &Actor{Name: name, Key: text, home: v.home, ids: v.ids, open: func(v *vault.Vault) (*vault.Session, error) {
		return v.Agent(k)
	}}
}

// Token issues a token with scopes, for an hour, and returns it.
func (a *Actor) Token(t testing.TB, scopes ...string) *Actor {
	t.Helper()
	var text string
	must(t, a.Name+" issues a token", a.act(func(s *vault.Session) error {
		parsed, err := tokens.ScopesOf(scopes)
		if err != nil {
			return err
		}
		issued, err := s.IssueToken(vault.TokenSpec{Scopes: parsed})
		text = issued.Text
		return err
	}))
	return &Actor{Name: "token", Key: text, home: a.home, ids: a.ids, open: func(v *vault.Vault) (*vault.Session, error) {
		return v.Token(text)
	}}
}

// Approve approves requests, by their ids, or "last" for the newest one; without ids, all that wait. It returns the ids
// of those that it approved.
func (v *Vault) Approve(t testing.TB, ids ...string) (approved []string) {
	t.Helper()
	must(t, "approve", v.act(func(s *vault.Session) (err error) {
		approved, err = approve(s, ids)
		return err
	}))
	return approved
}

func approve(s *vault.Session, ids []string) (approved []string, err error) {
	all, err := s.Requests()
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(q vault.Request) bool { return q.Status != vault.Pending })
	if i := slices.Index(ids, "last"); i >= 0 { // by the log: the clock stands still, so times do not tell
		newest, err := s.Log(1, func(e audit.Event) bool {
			return e.Type == audit.ApprovalRequested &&
				slices.ContainsFunc(all, func(q vault.Request) bool { return q.ID == e.ResourceID })
		})
		if err != nil {
			return nil, err
		}
		if ids = slices.Clone(ids); len(newest) > 0 {
			ids[i] = newest[0].ResourceID
		}
	}
	chosen := slices.DeleteFunc(all, func(q vault.Request) bool { return len(ids) > 0 && !slices.Contains(ids, q.ID) })
	if len(chosen) < max(1, len(ids)) {
		return nil, fmt.Errorf("%d of the requests wait: %s", len(chosen), strings.Join(ids, ", "))
	}
	for _, q := range chosen {
		approved = append(approved, q.ID)
	}
	return approved, s.Approve(chosen)
}

// Events returns the log, the oldest entry first.
func (v *Vault) Events(t testing.TB) (events []vault.Entry) {
	t.Helper()
	must(t, "read the log", v.act(func(s *vault.Session) (err error) {
		events, err = s.Log(0, nil)
		return err
	}))
	slices.Reverse(events)
	return events
}

// Env returns the environment in which ass, and programs that start it, use the vault as the actor: that of this
// process, with another HOME and other XDG folders, and without other settings of ass. The clock and the ids are those of
// the vault only for a program that runs [Main]; ass itself goes by the time of the machine, which is long after [Begin].
func (a *Actor) Env() []string {
	set := a.home.env()
	if a.Key != "" {
		set = append(set, [2]string{"ASS_AGENT_KEY", a.Key})
	}
	env := slices.DeleteFunc(os.Environ(), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return strings.HasPrefix(name, "ASS_") || slices.ContainsFunc(set, func(s [2]string) bool { return s[0] == name })
	})
	for _, s := range set {
		env = append(env, s[0]+"="+s[1])
	}
	return env
}

// Result is how a run of ass ended.
type Result struct {
	Exit           int
	Stdout, Stderr string
}

// Run runs ass with arguments, as the actor, in this process. Its working folder is that of the vault's home, and its
// stdin is empty.
func (a *Actor) Run(t testing.TB, args ...string) Result {
	t.Helper()
	return a.RunWith(t, "", args...)
}

// RunWith is Run with a text on stdin.
func (a *Actor) RunWith(t testing.TB, stdin string, args ...string) Result {
	t.Helper()
	return a.run(stdin, nil, args...)
}

// run runs ass. errs gets its error as JSON; if it is nil, stderr does.
func (a *Actor) run(stdin string, errs io.Writer, args ...string) Result {
	var out, notes bytes.Buffer
	p := a.home.program(a.ids)
	p.Stdin, p.Stdout, p.Stderr, p.Env, p.Dir, p.Errors = strings.NewReader(stdin), &out, &notes, a.Env(), a.home.dir, errs
	exit := p.Run(args)
	return Result{exit, out.String(), notes.String()}
}

// program is ass with the clock and the ids of a home.
func (h home) program(ids func() [16]byte) commands.Program {
	return commands.Program{Now: h.clock().Now, IDs: ids, Throwaway: true}
}
