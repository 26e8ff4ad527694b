package asstest

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"ass/vault"
)

var writeTemplate = flag.Bool("write-template", false, "TestTemplate makes the template anew, for a new format")

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"ass": Main}) }

var updateScripts = flag.Bool("update-scripts", false, "TestCmds writes the golden logs anew")

// The template is an empty vault of the newest format, dated at Begin, and its key opens it.
func TestTemplate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault.db")
	o := vault.Options{Now: func() time.Time { return Begin }, IDs: func() (id [16]byte) { return id }}
	if *writeTemplate {
		id, err := vault.NewIdentity()
		if err != nil {
			t.Fatal(err)
		}
		vid, err := vault.Create(path, id, o)
		if err != nil {
			t.Fatal(err)
		}
		if template, err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
		templateKey, templateID = id.Text(), vid
		for name, b := range map[string][]byte{"template.db": template, "template.key": []byte(templateKey), "template.id": []byte(templateID)} {
			if err := os.WriteFile(name, b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	} else if err := os.WriteFile(path, template, 0o600); err != nil {
		t.Fatal(err)
	}
	id, err := vault.ParseIdentity(templateKey)
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	s, err := v.Owner(id)
	if err != nil {
		t.Fatal(err)
	}
	info, err := v.Info()
	if err != nil || info.ID != templateID || info.Secrets != 0 || info.Entries != 1 || !info.Newest.CreatedAt.Equal(Begin) {
		t.Errorf("%+v, %v", info, err)
	}
	if fresh := newest(t); info.Format != fresh {
		t.Errorf("it has the format %s, and new vaults have %s: make it anew with -args -write-template", info.Format, fresh)
	}
	if r, err := s.Verify(true); err != nil || len(r.Problems) > 0 {
		t.Errorf("%q, %v", r.Problems, err)
	}
}

func newest(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "vault.db")
	id, err := vault.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := vault.Create(path, id, vault.Options{Throwaway: true}); err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(path, vault.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	info, err := v.Info()
	if err != nil {
		t.Fatal(err)
	}
	return info.Format
}

// The owner, agents and tokens act in one vault, in Go.
func TestNew(t *testing.T) {
	t.Parallel()
	v := New(t, Secrets{"prod/KEY": "hunter2"}, Secret{Path: "prod/CARD", Values: []string{"hunter2-old", "hunter2-new"},
		Tier: "critical", Type: "api_key"}, Agent{"worker", []string{"secrets:*:prod/*"}})
	worker := v.Agent(t, "worker")
	if got := worker.Get(t, "prod/KEY"); got != "hunter2" {
		t.Errorf("%d bytes", len(got))
	}
	worker.Set(t, "prod/NEW", "hunter2-x")
	if got := v.Get(t, "prod/NEW"); got != "hunter2-x" {
		t.Errorf("%d bytes", len(got))
	}
	if r := worker.Run(t, "secrets", "get", "prod/CARD", "--reason", "test"); r.Exit != 6 || r.Stdout != "" {
		t.Errorf("%+v", r)
	}
	if ids := v.Approve(t); len(ids) != 1 {
		t.Errorf("%q", ids)
	}
	if r := worker.Run(t, "secrets", "get", "prod/CARD"); r.Exit != 0 || r.Stdout != "hunter2-new" {
		t.Errorf("exit %d: %s", r.Exit, r.Stderr)
	}
	token := worker.Token(t, "secrets:read:prod/KEY")
	if r := token.Run(t, "secrets", "get", "prod/KEY"); r.Stdout != "hunter2" {
		t.Errorf("exit %d: %s", r.Exit, r.Stderr)
	}
	if err := v.Clock.Advance(2 * time.Hour); err != nil {
		t.Fatal(err)
	}
	if r := token.Run(t, "secrets", "get", "prod/KEY", "--json"); r.Exit != 5 || !strings.Contains(r.Stderr, "expired at 2026-01-02T04:04:05Z") {
		t.Errorf("exit %d: %s", r.Exit, r.Stderr)
	}
	other := v.Agent(t, "other", "secrets:read:dev/*")
	if r := other.RunWith(t, "hunter2-in", "secrets", "set", "dev/K"); r.Exit != 5 {
		t.Errorf("%+v", r)
	}
	if events := v.Events(t); events[0].Seq != 1 || events[len(events)-1].Type != "secret.updated.denied" && events[len(events)-1].Type != "secret.created.denied" {
		t.Errorf("%+v", events[len(events)-1])
	}
}

// The newest request is the last one, though the clock stands still.
func TestApproveLast(t *testing.T) {
	t.Parallel()
	var secrets []Content
	for i := range 8 {
		secrets = append(secrets, Secret{Path: fmt.Sprint("prod/S", i), Values: []string{"hunter2"}, Tier: "sensitive"})
	}
	v := New(t, nil, secrets...)
	worker := v.Agent(t, "worker", "secrets:read:prod/*")
	for i := range 8 {
		worker.Run(t, "secrets", "get", fmt.Sprint("prod/S", i))
	}
	for i := 7; i >= 0; i-- {
		v.Approve(t, "last")
		for n := range 8 {
			want := 6
			if n >= i {
				want = 0
			}
			if r := worker.Run(t, "secrets", "get", fmt.Sprint("prod/S", n)); r.Exit != want {
				t.Errorf("S%d is approved, and to read S%d ends with %d", i, n, r.Exit)
			}
		}
	}
}

// What a human said last counts, though the clock stands still.
func TestTheLastAnswerCounts(t *testing.T) {
	t.Parallel()
	var secrets []Content
	for i := range 8 {
		secrets = append(secrets, Secret{Path: fmt.Sprint("prod/S", i), Values: []string{"hunter2"}, Tier: "critical"})
	}
	v := New(t, nil, secrets...)
	worker := v.Agent(t, "worker", "secrets:read:prod/*")
	for i := range 8 {
		path := fmt.Sprint("prod/S", i)
		worker.Run(t, "secrets", "get", path)
		v.Approve(t)
		worker.Get(t, path)
		worker.Run(t, "secrets", "get", path)
		list, err := v.pending()
		if err != nil || len(list) != 1 {
			t.Fatalf("%d requests, %v", len(list), err)
		}
		v.Run(t, "approvals", "deny", list[0].ID, "--reason", "no", "--force")
		if r := worker.Run(t, "secrets", "get", path); r.Exit != 5 {
			t.Errorf("%s was denied, and to read it ends with %d", path, r.Exit)
		}
	}
}

func (a *Actor) pending() (list []vault.Request, err error) {
	err = a.act(func(s *vault.Session) error {
		all, err := s.Requests()
		list = slices.DeleteFunc(all, func(q vault.Request) bool { return q.Status != vault.Pending })
		return err
	})
	return list, err
}

// failing notes how a test would have failed.
type failing struct {
	testing.TB
	said []string
}

func (f *failing) Helper() {}
func (f *failing) Fatalf(format string, args ...any) {
	f.said = append(f.said, fmt.Sprintf(format, args...))
	panic(f)
}

// A failure names what failed, and has no value in its text.
func TestFailuresHaveNoValue(t *testing.T) {
	v := New(t, Secrets{"prod/KEY": "hunter2"}, Agent{"reader", []string{"secrets:read:prod/*"}})
	for want, fn := range map[string]func(testing.TB){
		"owner gets prod/NONE: no secret at prod/NONE": func(t testing.TB) { v.Get(t, "prod/NONE") },
		"reader sets prod/KEY: ":                       func(tb testing.TB) { v.Agent(t, "reader").Set(tb, "prod/KEY", "hunter2-b") },
		"owner sets nowhere: path: ":                   func(t testing.TB) { v.Set(t, "nowhere", "hunter2-b") },
		`agent nobody: no agent "nobody" was made`:     func(t testing.TB) { v.Agent(t, "nobody") },
		"approve: 0 of the requests wait":              func(t testing.TB) { v.Approve(t, "x") },
		"reader issues a token: ":                      func(tb testing.TB) { v.Agent(t, "reader").Token(tb, "secrets:*:x/*") },
		`asstest.New: secret "nowhere": path: `:        func(tb testing.TB) { New(&failing{TB: t}, Secrets{"nowhere": "hunter2-b"}) },
	} {
		func() {
			f := &failing{TB: t}
			defer func() {
				if p, ok := recover().(*failing); ok {
					f = p
				}
				if len(f.said) != 1 || !strings.HasPrefix(f.said[0], want) || strings.Contains(f.said[0], "hunter2") {
					t.Errorf("%q, want %s", f.said, want)
				}
			}()
			fn(f)
		}()
	}
}

// The log of a test is the same each time, to the byte.
func TestTheLogIsTheSameEachTime(t *testing.T) {
	t.Parallel()
	life := func(t *testing.T) string {
		v := New(t, Secrets{"prod/KEY": "hunter2", "prod/B": "hunter2-b"}, Secret{Path: "prod/S", Values: []string{"hunter2-s"}, Tier: "sensitive"},
			Agent{"worker", []string{"secrets:*:prod/*"}})
		worker := v.Agent(t, "worker")
		worker.Get(t, "prod/KEY")
		worker.Run(t, "secrets", "get", "prod/S")
		v.Approve(t)
		worker.Run(t, "secrets", "get", "prod/S")
		if err := v.Clock.Advance(time.Hour); err != nil {
			t.Fatal(err)
		}
		worker.Token(t, "secrets:read:prod/*").Get(t, "prod/B")
		v.Run(t, "agents", "revoke", "worker", "--force")
		return v.Run(t, "audit", "--json", "--limit", "0").Stdout
	}
	var first, second string // each in a test of its own, as in two runs
	t.Run("first", func(t *testing.T) { first = life(t) })
	t.Run("second", func(t *testing.T) { second = life(t) })
	if first != second {
		t.Errorf("%s\n%s", first, second)
	}
	var log struct {
		Events []struct {
			ID string `json:"id"`
		}
	}
	if err := json.Unmarshal([]byte(first), &log); err != nil || len(log.Events) < 10 {
		t.Fatalf("%v: %s", err, first)
	}
	ids := map[string]bool{}
	for _, e := range log.Events {
		ids[e.ID] = true
	}
	if len(ids) != len(log.Events) {
		t.Error("an id comes twice")
	}
}

// Two vaults of a test look alike, and what opens one of them does not open the other.
func TestTwoVaults(t *testing.T) {
	t.Parallel()
	one := New(t, Secrets{"prod/KEY": "hunter2"}, Agent{"worker", []string{"secrets:*:prod/*"}})
	other := New(t, Secrets{"prod/KEY": "hunter2-o"}, Agent{"worker", []string{"secrets:*:prod/*"}})
	c := newClient(t, one)
	c.want("200", one.Agent(t, "worker").Key, "GET", "/secrets/prod/KEY", "")
	for _, stranger := range []*Actor{other.Agent(t, "worker"), other.Agent(t, "worker").Token(t, "secrets:read:prod/*")} {
		c.want("401 UNAUTHORIZED", stranger.Key, "GET", "/secrets/prod/KEY", "")
	}
}

// Env has everything that a program needs to find the vault, and no other setting of ass.
func TestEnv(t *testing.T) {
	t.Setenv("ASS_PROFILE", "mine")
	v := New(t, nil, Agent{"worker", []string{"secrets:read:prod/*"}})
	worker := v.Agent(t, "worker")
	env := worker.Env()
	if !slices.Contains(env, "ASS_AGENT_KEY="+worker.Key) || slices.Contains(env, "ASS_PROFILE=mine") ||
		slices.ContainsFunc(v.Env(), func(pair string) bool { return strings.HasPrefix(pair, "ASS_") }) {
		t.Error("it has other settings")
	}
}

// A script becomes an agent, approves, moves the clock and checks exit codes, without a shell.
func TestCmds(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *updateScripts,
		Cmds:          Cmds(),
		Setup: func(env *testscript.Env) error {
			return Setup(env, Secrets{"prod/KEY": "hunter2"}, Secret{Path: "prod/CARD", Values: []string{"hunter2-old", "hunter2-new"},
				Tier: "critical", Type: "api_key"}, Agent{"worker", []string{"secrets:*:prod/*"}})
		},
	})
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		New(b, Secrets{"prod/A": "1", "prod/B": "2", "prod/C": "3"})
	}
}

// A clock can be moved by many at the same time.
func TestClock(t *testing.T) {
	v := New(t, nil)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if err := v.Clock.Advance(time.Minute); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := v.Clock.Now().Sub(Begin); got != 50*time.Minute {
		t.Errorf("it moved by %s", got)
	}
}
