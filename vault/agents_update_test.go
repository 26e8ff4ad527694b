package vault

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"ass/audit"
	"ass/tokens"
)

// updateAgent changes the scopes of an agent, in whichever way that takes.
func (v *victim) updateAgent(ref string, scopes ...string) (u AgentUpdate) {
	v.t.Helper()
	c := AgentChange{Scopes: scopesOf(v.t, scopes...)}
	v.do(func(s *Session) {
		plan, err := s.PlanAgentUpdate(ref, c)
		v.must(err)
		u, err = s.UpdateAgent(ref, c, plan.Narrows(), NarrowOptions{})
		v.must(err)
		if plan.Tokens != u.Tokens || !slices.Equal(plan.Agent.Scopes, u.Agent.Scopes) {
			v.t.Errorf("planned %+v, done %+v", plan, u)
		}
	})
	return u
}

// reads returns which of some secrets an agent's key opens.
func (v *victim) reads(k tokens.AgentKey, paths ...string) string {
	v.t.Helper()
	opened, err := Open(v.path, v.opts)
	v.must(err)
	defer opened.Close()
	s, err := opened.Agent(k)
	v.must(err)
	var can []string
	for _, path := range paths {
		if _, _, err := s.Get(v.p(path), 0); err == nil {
			can = append(can, path)
		} else if !errors.Is(err, ErrDenied) {
			v.t.Errorf("%s: %v", path, err)
		}
	}
	return strings.Join(can, " ")
}

func (v *victim) epoch() (n uint32) {
	v.t.Helper()
	v.do(func(s *Session) { n = s.epoch.N })
	return n
}

// updateVictim is a vault with a/K, a/L, b/K, and an agent that may do all in a.
func updateVictim(t *testing.T) (v *victim, id string, k tokens.AgentKey) {
	v = newVictim(t)
	v.store("b/K", "b")
	id, k = v.agent("worker")
	return v, id, k
}

// What is added opens at once with the same key, without a new epoch, and what a writer sealed to a node above does,
// too.
func TestWidenedAgent(t *testing.T) {
	v, id, k := updateVictim(t)
	var writer tokens.AgentKey
	v.do(func(s *Session) {
		var err error
		_, writer, err = s.CreateAgent(AgentSpec{Name: "writer", Scopes: scopesOf(t, "secrets:write:b/*")})
		v.must(err)
	})
	opened, err := Open(v.path, v.opts)
	v.must(err)
	s, err := opened.Agent(writer)
	v.must(err)
	_, _, err = s.Set(v.p("b/W"), []byte("written"), SetOptions{})
	v.must(err)
	v.must(opened.Close())
	if can := v.reads(k, "a/K", "b/K", "b/W"); can != "a/K" {
		t.Fatal(can)
	}
	before := v.epoch()
	u := v.updateAgent("worker", "secrets:*:a/*", "secrets:read:b/*")
	if u.Narrows() || u.Gained.String() != "secrets:read:b/*" || u.Agent.ID != id || !u.Changes {
		t.Errorf("%+v", u)
	}
	if now := v.epoch(); now != before {
		t.Errorf("epoch %d, was %d", now, before)
	}
	if can := v.reads(k, "a/K", "b/K", "b/W"); can != "a/K b/K b/W" {
		t.Errorf("it reads %q", can)
	}
	if found := v.problems(); found != "" {
		t.Error(found)
	}
	v.store("b/NEW", "new")
	if can := v.reads(k, "b/NEW"); can == "" {
		t.Error("it cannot read what was stored later")
	}
	if u := v.updateAgent("worker", "secrets:*:a/*", "secrets:read:b/*"); u.Changes {
		t.Errorf("%+v", u)
	}
}

// What is lost opens no more, in the file either: neither with the old grant nor with the old node's key.
func TestNarrowedAgent(t *testing.T) {
	for name, c := range map[string]struct {
		scopes []string
		want   string
	}{
		"less":                   {[]string{"secrets:read:a/L"}, "a/L"},
		"less, and more besides": {[]string{"secrets:read:a/L", "secrets:read:b/*"}, "a/L b/K"},
		"no reading":             {[]string{"secrets:write:a/*"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			v, id, k := updateVictim(t)
			var old *Session
			opened, err := Open(v.path, v.opts)
			v.must(err)
			old, err = opened.Agent(k)
			v.must(err)
			ring, epoch := old.ring, old.epoch
			v.must(opened.Close())
			opened, err = Open(v.path, v.opts)
			v.must(err)
			s, err := opened.Agent(k)
			v.must(err)
			_, _, err = s.Set(v.p("a/MINE"), []byte("mine"), SetOptions{})
			v.must(err)
			v.must(opened.Close())
			before := v.epoch()
			if u := v.updateAgent(id, c.scopes...); !u.Narrows() || u.Versions != 6 {
				t.Errorf("%+v", u)
			}
			if now := v.epoch(); now != before+1 {
				t.Errorf("epoch %d, was %d", now, before)
			}
			if can := v.reads(k, "a/K", "a/L", "b/K"); can != c.want {
				t.Errorf("it reads %q, want %q", can, c.want)
			}
			if found := v.problems(); found != "" {
				t.Error(found)
			}
			v.do(func(s *Session) {
				v.must(s.view(func(t *tx) error {
					body, _, err := versionKind.get(t, versionKey(v.p("a/K"), 3))
					v.must(err)
					old := &Session{ring: ring}
					if _, err := old.openVersion(epoch, body, v.p("a/K"), 3); err == nil {
						v.t.Error("the old keys open the new file")
					}
					return nil
				}))
				if _, value, err := s.Get(v.p("a/MINE"), 0); err != nil || string(value) != "mine" {
					t.Errorf("what it wrote before: %q, %v", value, err)
				}
			})
		})
	}
}

// Its tokens that go beyond the new scopes end, and the others go on.
func TestNarrowedAgentsTokens(t *testing.T) {
	v, id, k := updateVictim(t)
	var wide, narrow string
	opened, err := Open(v.path, v.opts)
	v.must(err)
	s, err := opened.Agent(k)
	v.must(err)
	for text, scope := range map[*string]string{&wide: "secrets:read:a/*", &narrow: "secrets:read:a/L"} {
		made, err := s.IssueToken(TokenSpec{Scopes: scopesOf(t, scope)})
		v.must(err)
		*text = made.Text
	}
	v.must(opened.Close())
	if u := v.updateAgent(id, "secrets:read:a/L"); u.Tokens != 1 {
		t.Errorf("%d tokens end", u.Tokens)
	}
	try := func(text string) error {
		opened, err := Open(v.path, v.opts)
		v.must(err)
		defer opened.Close()
		s, err := opened.Token(text)
		if err == nil {
			_, _, err = s.Get(v.p("a/L"), 0)
		}
		return err
	}
	if err := try(wide); !errors.Is(err, ErrWrongKey) {
		t.Errorf("the token that goes beyond: %v", err)
	}
	if err := try(narrow); err != nil {
		t.Errorf("the other token: %v", err)
	}
	if found := v.problems(); found != "" {
		t.Error(found)
	}
}

// A verification holds what the agent writes against the scopes of that time.
func TestUpdatedAgentInTheLog(t *testing.T) {
	v, id, k := updateVictim(t)
	writes := func(path string) {
		v.insider(k, func(s *Session, t *tx) error {
			return t.log(audit.SecretRead, "secret", path, map[string]any{"version": 1, "tier": "standard"})
		})
	}
	v.updateAgent(id, "secrets:*:a/*", "secrets:read:b/*")
	writes("b/K")
	if found := v.problems(); found != "" {
		t.Error(found)
	}
	v.updateAgent(id, "secrets:*:a/*")
	writes("b/K")
	if found := v.problems(); !strings.Contains(found, `secret.read by "`+id+`", whose scopes do not cover "b/K"`) {
		t.Error(found)
	}
}

// Nobody but the owner changes an agent, not even with an entry.
func TestOthersUpdateNoAgent(t *testing.T) {
	v, id, k := updateVictim(t)
	opened, err := Open(v.path, v.opts)
	v.must(err)
	s, err := opened.Agent(k)
	v.must(err)
	for _, narrows := range []bool{false, true} {
		if _, err := s.UpdateAgent(id, AgentChange{Scopes: scopesOf(t, "secrets:*:*")}, narrows, NarrowOptions{}); !errors.Is(err, ErrDenied) {
			t.Error(err)
		}
	}
	if _, err := s.PlanAgentUpdate(id, AgentChange{}); !errors.Is(err, ErrDenied) {
		t.Error(err)
	}
	v.must(opened.Close())
	v.insider(k, func(s *Session, t *tx) error {
		return t.log(audit.AgentUpdated, "agent", id, map[string]any{"name": "worker", "scopes": []string{"secrets:*:*"}, "serial": 1})
	})
	v.insider(k, func(s *Session, t *tx) error {
		return t.log(audit.SecretRead, "secret", "b/K", map[string]any{"version": 1, "tier": "standard"})
	})
	if found := v.problems(); !strings.Contains(found, `whose scopes do not cover "b/K"`) {
		t.Error(found)
	}
}

// An update holds through whatever becomes of the vault. A backup from before brings no right back.
func TestUpdatedForGood(t *testing.T) {
	t.Parallel()
	for name, then := range map[string]func(v *victim, before string){
		"nothing":                 func(*victim, string) {},
		"archived":                func(v *victim, _ string) { v.archive() },
		"salvaged":                func(v *victim, _ string) { v.salvaged() },
		"another agent revoked":   func(v *victim, _ string) { id, _ := v.agent("other"); v.revoke(id) },
		"a backup from before":    func(v *victim, before string) { v.restore(before) },
		"archived, and a backup":  func(v *victim, before string) { v.archive(); v.restore(before) },
		"a backup from after":     func(v *victim, _ string) { v.restore(v.backUp()) },
		"a backup, and no log":    func(v *victim, before string) { v.headless(); v.restore(before) },
		"the agent's record gone": func(v *victim, _ string) { v.mendWorker() },
	} {
		for _, scopes := range [][]string{{"secrets:read:a/L"}, {"secrets:*:a/*", "secrets:read:b/*"}} {
			t.Run(name, func(t *testing.T) {
				v, id, k := updateVictim(t)
				before := v.backUp()
				v.updateAgent(id, scopes...)
				then(v, before)
				want := map[int]string{1: "a/L", 2: "a/K a/L b/K"}[len(scopes)]
				if name == "a backup from before" || strings.HasPrefix(name, "a backup, and") || name == "archived, and a backup" {
					v.store("b/K", "again")
				}
				if can := v.reads(k, "a/K", "a/L", "b/K"); can != want {
					t.Errorf("it reads %q, want %q", can, want)
				}
				if found := v.problems(); found != "" {
					t.Error(found)
				}
			})
		}
	}
}

// After a restore, an agent has the scopes that it had before, word for word, and all of them, however many there are
// and whichever of them cover others.
func TestRestoreKeepsUpdatedScopes(t *testing.T) {
	t.Parallel()
	v, id, k := updateVictim(t)
	before := v.backUp()
	scopes := []string{"secrets:read:*"}
	for n := range tokens.MaxScopes - 1 {
		scopes = append(scopes, fmt.Sprintf("secrets:*:a/n%d/*", n))
	}
	v.updateAgent(id, scopes...)
	v.restore(before)
	if can := v.reads(k, "b/K"); can != "b/K" {
		t.Errorf("it reads %q", can)
	}
	v.do(func(s *Session) {
		list, err := s.Agents()
		if err != nil || len(list) != 1 || !slices.Equal(list[0].Scopes.Strings(), scopes) {
			t.Errorf("after the restore: %+v, %v", list, err)
		}
	})
}

// A log entry that nobody signed gives an agent no scopes, even where the log tells nothing else of the agent.
func TestUncheckedEntriesWidenNoBackup(t *testing.T) {
	t.Parallel()
	wide := map[string]any{"name": "worker", "serial": 1, "namespaces": []string{}, "scopes": []string{"secrets:*:*"}}
	for name, forge := range map[string]func(v *victim, id string, told uint64){
		"the entry of its making replaced": func(v *victim, id string, told uint64) {
			v.remove(bucketAudit, audit.Key(told))
			v.forge(told+1, audit.Event{Type: audit.AgentCreated, ResourceID: id, Metadata: wide})
		},
		"a key that it never got": func(v *victim, id string, told uint64) {
			wide := maps.Clone(wide)
			wide["serial"] = 2
			v.remove(bucketAudit, audit.Key(told+1))
			v.forge(told+2, audit.Event{Type: audit.AgentKeyRotated, ResourceID: id, Metadata: wide})
		},
		"a key that it never got, after its making was archived": func(v *victim, id string, _ uint64) {
			wide := maps.Clone(wide)
			wide["serial"] = 2
			v.forge(v.end()+2, audit.Event{Type: audit.AgentKeyRotated, ResourceID: id, Metadata: wide})
		},
	} {
		t.Run(name, func(t *testing.T) {
			v, id, k := updateVictim(t)
			told := v.end()
			v.store("b/K", "later")
			v.store("b/K", "later")
			file := v.backUp()
			if strings.Contains(name, "archived") {
				v.archive()
			}
			v.insider(k, func(_ *Session, t *tx) error { return insert(t, bucketAgents, []byte(id), nil) }) // only the log tells of it
			forge(v, id, told)
			if plan := v.restore(file); plan.KeepsLog {
				t.Fatal("the forged entry was not seen, so this proves nothing")
			}
			v.do(func(s *Session) {
				list, err := s.Agents()
				if err != nil || len(list) != 1 || list[0].Scopes.String() != "secrets:*:a/*" {
					t.Errorf("after the restore: %+v, %v", list, err)
				}
			})
		})
	}
}

// Somebody removed, or broke, the record of an agent. A change that takes nothing away does not make it anew; one
// that does makes it whole.
func TestUpdateAgentWithoutItsRecord(t *testing.T) {
	t.Parallel()
	for how, value := range map[string][]byte{"gone": nil, "broken": []byte("x")} {
		t.Run(how, func(t *testing.T) {
			v, id, k := updateVictim(t)
			_, other := v.agent("other")
			v.insider(other, func(_ *Session, t *tx) error { return insert(t, bucketAgents, []byte(id), value) })
			text := "does work"
			for name, c := range map[string]AgentChange{
				"described": {Description: &text},
				"widened":   {Scopes: scopesOf(t, "secrets:*:*")},
			} {
				for _, ref := range []string{id, "worker"} {
					v.do(func(s *Session) {
						if _, err := s.PlanAgentUpdate(ref, c); !errors.Is(err, ErrDamaged) {
							t.Errorf("planned, %s: %v", name, err)
						}
						if _, err := s.UpdateAgent(ref, c, false, NarrowOptions{}); !errors.Is(err, ErrDamaged) {
							t.Errorf("%s: %v", name, err)
						}
					})
				}
			}
			v.updateAgent("worker", "secrets:*:a/L")
			v.insider(k, func(s *Session, t *tx) error {
				return t.log(audit.SecretRead, "secret", "a/L", map[string]any{"version": 1, "tier": "standard"})
			})
			if found := v.problems(); found != "" {
				t.Error(found)
			}
		})
	}
}

// mendWorker lets a narrowing act make the record of an agent anew.
func (v *victim) mendWorker() {
	v.t.Helper()
	other, _ := v.agent("other")
	v.do(func(s *Session) {
		list, err := s.Agents()
		v.must(err)
		v.must(s.commit(func(t *tx) error { return agentKind.remove(t, []byte(list[0].ID)) }))
	})
	v.do(func(s *Session) {
		_, err := s.RevokeAgent(other, NarrowOptions{Lose: true})
		v.must(err)
	})
}

// What was announced is what is done, or nothing.
func TestUpdateAgentRefused(t *testing.T) {
	t.Parallel()
	v, id, _ := updateVictim(t)
	gone, _ := v.agent("gone")
	v.revoke(gone)
	long := strings.Repeat("x", maxTextBytes+1)
	ns := func(text string) []tokens.Namespace {
		ns, err := tokens.ParseNamespace(text)
		v.must(err)
		return []tokens.Namespace{ns}
	}
	for name, c := range map[string]struct {
		ref     string
		change  AgentChange
		narrows bool
		want    error
	}{
		"it narrows":               {id, AgentChange{Scopes: scopesOf(t, "secrets:read:a/*")}, false, ErrConflict},
		"it does not narrow":       {id, AgentChange{Scopes: scopesOf(t, "secrets:*:*")}, true, ErrConflict},
		"revoked":                  {gone, AgentChange{Scopes: scopesOf(t, "secrets:*:*")}, false, ErrConflict},
		"unknown":                  {"nobody", AgentChange{Scopes: scopesOf(t, "secrets:*:*")}, false, ErrUnknown},
		"too long a description":   {id, AgentChange{Description: &long}, false, nil},
		"scopes out of its bounds": {id, AgentChange{Namespaces: ns("b")}, false, nil},
	} {
		before := v.epoch()
		v.do(func(s *Session) {
			if u, err := s.UpdateAgent(c.ref, c.change, c.narrows, NarrowOptions{}); c.want != nil && !errors.Is(err, c.want) || c.want == nil && !errors.As(err, new(*tokens.SyntaxError)) {
				t.Errorf("%s: %+v, %v", name, u, err)
			}
		})
		if v.epoch() != before {
			t.Errorf("%s: a new epoch", name)
		}
	}
}

// Namespaces bound the scopes. An agent that may read its namespaces, as it does by default, may read the new ones.
func TestUpdateNamespaces(t *testing.T) {
	t.Parallel()
	v := newVictim(t)
	ns := func(texts ...string) (list []tokens.Namespace) {
		list = []tokens.Namespace{}
		for _, text := range texts {
			one, err := tokens.ParseNamespace(text)
			v.must(err)
			list = append(list, one)
		}
		return list
	}
	v.do(func(s *Session) {
		a, _, err := s.CreateAgent(AgentSpec{Name: "reader", Namespaces: ns("a")})
		v.must(err)
		text := "reads"
		for _, c := range []struct {
			change  AgentChange
			narrows bool
			want    string
		}{
			{AgentChange{Description: &text}, false, "reads [a] secrets:read:a/*"},
			{AgentChange{Namespaces: ns("a", "b")}, false, "reads [a b] secrets:read:a/*,secrets:read:b/*"},
			{AgentChange{Namespaces: ns("b")}, true, "reads [b] secrets:read:b/*"},
			{AgentChange{Scopes: scopesOf(t, "secrets:write:b/*", "secrets:read:b/*")}, false, "reads [b] secrets:write:b/*,secrets:read:b/*"},
			{AgentChange{Namespaces: ns()}, false, "reads [] secrets:write:b/*,secrets:read:b/*"},
		} {
			u, err := s.UpdateAgent(a.ID, c.change, c.narrows, NarrowOptions{})
			v.must(err)
			if got := fmt.Sprint(u.Agent.Description, " ", u.Agent.Namespaces, " ", u.Agent.Scopes); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		}
	})
	if found := v.problems(); found != "" {
		t.Error(found)
	}
}

// A request that the new scopes do not cover goes.
func TestNarrowedAgentsRequests(t *testing.T) {
	v, id, k := updateVictim(t)
	for _, path := range []string{"a/K", "a/L"} {
		v.do(func(s *Session) {
			_, _, err := s.Set(v.p(path), []byte("x"), SetOptions{Tier: tokens.Critical})
			v.must(err)
		})
	}
	for path, n := range map[string]uint64{"a/K": 4, "a/L": 2} {
		v.insider(k, func(s *Session, t *tx) error {
			_, _, err := s.requestOne(t, subject{RequestRead, v.p(path), n, tokens.Critical}, nil, true)
			return err
		})
	}
	v.updateAgent(id, "secrets:read:a/L")
	v.do(func(s *Session) {
		list, err := s.Requests()
		if err != nil || len(list) != 1 || list[0].Path != v.p("a/L") {
			t.Errorf("%v, %v", list, err)
		}
	})
}

// Somebody damages what the agent wrote. Where the agent may go on writing, that is asked about, as of everybody else.
func TestNarrowedAgentsWorkIsAskedAbout(t *testing.T) {
	t.Parallel()
	for scope, asks := range map[string]bool{"secrets:*:a/MINE": true, "secrets:*:a/L": false} {
		v, id, k := updateVictim(t)
		v.insider(k, func(s *Session, t *tx) error {
			w, err := s.planWrite(t, v.p("a/MINE"), SetOptions{})
			if err == nil {
				_, err = s.write(t, v.p("a/MINE"), w, []byte("mine"))
			}
			return err
		})
		_, other := v.agent("other")
		v.insider(other, func(_ *Session, t *tx) error {
			return insert(t, bucketVersions, versionKey(v.p("a/MINE"), 1), []byte("x"))
		})
		c := AgentChange{Scopes: scopesOf(t, scope)}
		v.do(func(s *Session) {
			loss := &LossError{}
			if _, err := s.UpdateAgent(id, c, true, NarrowOptions{}); errors.As(err, &loss) != asks || !asks && err != nil {
				t.Errorf("%s: %v", scope, err)
			}
		})
	}
}

// What the agent left in the vault cannot keep the rights that it loses.
func TestNarrowedAgentBlocksNothing(t *testing.T) {
	t.Parallel()
	v, id, k := updateVictim(t)
	v.insider(k, func(s *Session, t *tx) error { // a version that no entry tells of
		return s.writeVersion(t, v.p("a/K"), 9, t.newVersion(tokens.Standard), []byte("nine"))
	})
	v.do(func(s *Session) {
		if err := s.Prune([]Pruning{{Path: v.p("a/K"), Versions: []uint64{1}}}); !errors.Is(err, ErrDamaged) {
			t.Errorf("another rewrite: %v", err)
		}
	})
	if u := v.updateAgent(id, "secrets:read:a/L"); len(u.LeftBehind) != 1 {
		t.Errorf("%+v", u)
	}
	if can := v.reads(k, "a/K", "a/L"); can != "a/L" {
		t.Errorf("it reads %q", can)
	}
	if found := v.problems(); found != "" {
		t.Error(found)
	}
}
