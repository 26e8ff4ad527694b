package vault_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"ass/tokens"
	"ass/vault"
	"ass/vault/vaulttest"
)

// company is the specification of a vault with agents: plain values, and texts
// instead of keys.
type company struct {
	now     time.Time
	secrets map[string]*modelSecret
	hidden  map[string]bool // secrets whose newest version was written by who may not read it
	actors  []*modelActor   // in the order in which they came; the first is the owner
	asks    map[modelAsk]*modelAnswer
	last    *modelAsk // what was asked or decided in the step before, to go on with
}

// modelActor is the owner, an agent or a token.
type modelActor struct {
	id, name string
	as       vaulttest.Actor
	scopes   []string // none for the owner
	issuer   *modelActor
	top      tokens.Tier
	gone     bool // revoked, replaced or used up
	left     int  // uses; 0 for any number
	expires  time.Time
}

type modelAsk struct {
	asker   *modelActor
	action  string
	path    string
	version int
	tier    tokens.Tier
}

type modelAnswer struct {
	state  string    // vault.Pending, Approved, Denied, or "" for none that counts
	until  time.Time // of an approval
	denied bool      // once
}

func (a *modelActor) owner() bool { return a.scopes == nil }

// may says what the scopes say, on texts alone.
func (a *modelActor) may(action, pattern string) bool {
	return a.owner() || slices.ContainsFunc(a.scopes, func(scope string) bool {
		part := strings.SplitN(scope, ":", 3)
		prefix, below := strings.CutSuffix(part[2], "*")
		return (part[1] == action || part[1] == "*") && (part[2] == pattern || below && strings.HasPrefix(pattern, prefix))
	})
}

// lapsed says how every act of an actor fails, if it does.
func (c *company) lapsed(a *modelActor) error {
	switch {
	case a.gone:
		return vault.ErrWrongKey
	case !a.expires.IsZero() && !c.now.Before(a.expires):
		return vault.ErrLapsed
	}
	return nil
}

// enters says how an act fails before it comes to the secret, if it does.
func (c *company) enters(a *modelActor, action, path string) error {
	if err := c.lapsed(a); err != nil {
		return err
	}
	if !a.may(action, path) {
		return vault.ErrDenied
	}
	return nil
}

// approved says whether somebody has an approval for an act, and makes a request
// if not. lenient is set where another answer would do as well.
func (c *company) approved(a *modelActor, action, path string, version int) (err error, lenient bool) {
	ask := modelAsk{a, action, path, version, c.secrets[path].tier}
	c.last = &ask
	answer := c.asks[ask]
	if answer == nil {
		answer = &modelAnswer{}
		c.asks[ask] = answer
	}
	if answer.state == vault.Approved && !c.now.Before(answer.until) {
		answer.state = ""
	}
	switch answer.state {
	case vault.Approved:
		if ask.tier == tokens.Critical {
			answer.state = ""
		}
		return nil, false
	case vault.Denied:
		return vault.ErrRefused, false
	}
	answer.state = vault.Pending
	return vault.ErrApproval, answer.denied
}

// used counts a use.
func (a *modelActor) used() {
	if a.left > 0 {
		a.left--
		a.gone = a.left == 0
	}
}

// end ends an agent or a token, and what it issued.
func (c *company) end(a *modelActor) {
	a.gone = true
	for _, t := range c.actors {
		if t.issuer == a {
			t.gone = true
		}
	}
}

// rewritten is what every rewrite does: decisions and those who have lapsed are
// forgotten, and everything is sealed by the owner.
func (c *company) rewritten() {
	for _, a := range c.actors {
		a.gone = c.lapsed(a) != nil
	}
	for ask, answer := range c.asks {
		if answer.state != vault.Pending || ask.asker.gone {
			delete(c.asks, ask)
		}
	}
	clear(c.hidden)
}

// TestAgentsModel runs random acts of an owner, agents and tokens against plain
// values as the specification, and verifies the vault in between.
func TestAgentsModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	v := vaulttest.New(t)
	clock := v.UseClock()
	owner := &modelActor{id: "owner", as: v.Do, top: tokens.Critical}
	c := &company{secrets: map[string]*modelSecret{}, hidden: map[string]bool{}, actors: []*modelActor{owner}, asks: map[modelAsk]*modelAnswer{}}
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	paths := []string{"a/K", "a/b/K", "a/b/L", "b/K"}
	actions := []string{"read", "read", "write", "delete", "*"}
	randomScopes := func() (scopes []string) {
		for range 1 + random.IntN(2) {
			if scope := "secrets:" + pick(actions...) + ":" + pick("*", "a/*", "a/*", "a/b/*", "a/K", "a/b/K"); !slices.Contains(scopes, scope) {
				scopes = append(scopes, scope)
			}
		}
		return scopes
	}
	// actor picks the owner now and then, one that lives mostly, and one that does
	// not for what it is refused.
	actor := func(ok func(*modelActor) bool) *modelActor {
		for range 20 {
			if a := c.actors[random.IntN(len(c.actors))]; ok(a) && (!a.gone || random.IntN(4) == 0) {
				return a
			}
		}
		return nil
	}
	anyone := func(*modelActor) bool { return true }
	agent := func(a *modelActor) bool { return !a.owner() && a.issuer == nil }
	token := func(a *modelActor) bool { return a.issuer != nil }

	var did []string
	// step does one act, and returns what it should end with. lenient are errors
	// that would be right as well.
	step := func(n int) (lenient []error, want, err error) {
		path, value := pick(paths...), fmt.Sprintf("value %d", n)
		m := c.secrets[path]
		live := m != nil && !m.deleted
		p := vaulttest.Path(t, path)
		act, a := random.IntN(15), actor(anyone)
		if last := c.last; last != nil && random.IntN(4) > 0 {
			path, a = last.path, last.asker
			p, m = vaulttest.Path(t, path), c.secrets[path]
			live = m != nil && !m.deleted
			act = map[string]int{vault.AskRead: 0, vault.AskWrite: 4, vault.AskDelete: 7}[last.action]
			if answer := c.asks[*last]; answer != nil && answer.state == vault.Pending {
				act = 13 + random.IntN(4)
			}
		}
		c.last = nil
		switch act {
		case 0, 1, 2, 3: // read
			did = append(did, a.id+" reads "+path)
			got := ""
			got, err = a.as.Get(t, path)
			if want = c.enters(a, "read", path); want == nil && !live {
				want = vault.ErrNotFound
			}
			if want == nil && m.tier > a.top {
				var either bool
				if want, either = c.approved(a, vault.AskRead, path, len(m.values)); either {
					lenient = append(lenient, vault.ErrRefused)
				}
			} else if want == nil && a.issuer != nil && !a.issuer.owner() && c.hidden[path] {
				lenient = append(lenient, vault.ErrDenied) // it may have come too early for this version
			}
			if err == nil && want == nil && got != m.values[len(m.values)-1] {
				t.Fatalf("%s reads %s as %q, want %q", a.id, path, got, m.values[len(m.values)-1])
			}
			if err == nil {
				a.used()
			}
			if errors.Is(err, vault.ErrRefused) && len(lenient) > 0 {
				c.asks[modelAsk{a, vault.AskRead, path, len(m.values), m.tier}].state = vault.Denied
			}
		case 4, 5, 6: // write
			o := vault.SetOptions{}
			if m == nil || random.IntN(3) == 0 {
				o.Tier = tokens.Tiers[random.IntN(3)]
			}
			did = append(did, fmt.Sprint(a.id, " writes ", path, " ", o.Tier))
			err = a.as.Set(t, path, value, o)
			want = c.enters(a, "write", path)
			if want == nil && !a.owner() && m != nil {
				if o.Tier != 0 && o.Tier != m.tier {
					want = vault.ErrDenied
				} else if m.tier == tokens.Critical {
					want, _ = c.approved(a, vault.AskWrite, path, len(m.values))
					lenient = append(lenient, vault.ErrRefused)
				}
			}
			if want != nil || err != nil {
				break
			}
			if m == nil {
				m = &modelSecret{tier: tokens.Standard}
				c.secrets[path] = m
			} else if o.Tier > m.tier {
				c.rewritten()
			}
			if o.Tier != 0 {
				m.tier = o.Tier
			}
			m.values, m.deleted = append(m.values, value), false
			c.hidden[path] = !a.may("read", path)
			a.used()
		case 7: // delete
			did = append(did, a.id+" deletes "+path)
			err = a.as.Delete(t, path)
			if want = c.enters(a, "delete", path); want == nil && !live {
				want = vault.ErrNotFound
			}
			if want == nil && !a.owner() && m.tier == tokens.Critical {
				want, _ = c.approved(a, vault.AskDelete, path, len(m.values))
				lenient = append(lenient, vault.ErrRefused)
			}
			if want != nil || err != nil {
				break
			}
			m.deleted = true
			a.used()
			for _, t := range c.actors {
				other := slices.ContainsFunc(t.scopes, func(s string) bool { return !strings.HasSuffix(s, ":"+path) })
				t.gone = t.gone || t.issuer != nil && !other
			}
		case 8: // purge
			if want = vault.ErrNotFound; random.IntN(4) > 0 {
				return nil, nil, nil
			}
			did = append(did, "purge "+path)
			err = v.Do(func(s *vault.Session) error { _, err := s.Purge(p); return err })
			if m != nil {
				want = nil
				delete(c.secrets, path)
				maps.DeleteFunc(c.asks, func(ask modelAsk, _ *modelAnswer) bool { return ask.path == path })
				c.rewritten()
			}
		case 9: // a new agent
			name, scopes := fmt.Sprint("agent", random.IntN(6)), randomScopes()
			did = append(did, fmt.Sprint("create ", name, scopes))
			if slices.ContainsFunc(c.actors, func(a *modelActor) bool { return a.name == name && !a.gone }) {
				want = vault.ErrConflict
			}
			err = v.Do(func(s *vault.Session) error {
				made, k, err := s.CreateAgent(vault.AgentSpec{Name: name, Scopes: vaulttest.Scopes(t, scopes...)})
				if err == nil {
					c.actors = append(c.actors, &modelActor{id: made.ID, name: name, as: v.Agent(k), scopes: scopes, top: tokens.Standard})
				}
				return err
			})
		case 10: // an agent ends, or its key is replaced
			a = actor(agent)
			if a == nil || random.IntN(3) > 0 {
				return nil, nil, nil
			}
			rotate := random.IntN(2) == 0
			did = append(did, fmt.Sprint("end ", a.id, " rotate ", rotate))
			if a.gone {
				want = vault.ErrConflict
			}
			err = v.Do(func(s *vault.Session) error {
				if !rotate {
					_, err := s.RevokeAgent(a.id)
					return err
				}
				_, k, err := s.RotateAgentKey(a.id)
				if old := a.as; err == nil {
					a.as = v.Agent(k)
					t.Cleanup(func() { _, err := old.Get(t, path); wantError(t, "a key that was replaced", err, vault.ErrWrongKey) })
				}
				return err
			})
			if err == nil {
				c.end(a)
				a.gone = !rotate
				c.rewritten()
			}
		case 11: // a new token
			spec := vault.TokenSpec{Uses: uint64(random.IntN(4)), TTL: time.Duration(1+random.IntN(90)) * time.Minute}
			scopes := a.scopes
			if scopes == nil || random.IntN(2) == 0 {
				scopes = randomScopes()
			}
			if spec.Scopes = vaulttest.Scopes(t, scopes...); random.IntN(4) == 0 {
				spec.Tier = tokens.Sensitive
			}
			did = append(did, fmt.Sprint(a.id, " issues ", scopes, spec.Tier))
			made := &modelActor{scopes: scopes, issuer: a, top: max(spec.Tier, tokens.Standard), left: int(spec.Uses), expires: c.now.Add(spec.TTL)}
			err = a.as(func(s *vault.Session) error {
				issued, err := s.IssueToken(spec)
				made.id, made.as = issued.ID, v.Token(issued.Text)
				return err
			})
			for _, scope := range scopes {
				part := strings.SplitN(scope, ":", 3)
				for _, action := range strings.Fields(strings.Replace(part[1], "*", "read write delete", 1)) {
					if !a.may(action, part[2]) {
						want = vault.ErrDenied
					}
				}
			}
			if !a.owner() && (spec.Tier > tokens.Standard || a.issuer != nil) {
				want = vault.ErrDenied
			}
			if lapsed := c.lapsed(a); lapsed != nil {
				want = lapsed
			}
			if err == nil {
				c.actors = append(c.actors, made)
			}
		case 12: // a token is taken back
			by := owner
			if a = actor(token); a == nil || random.IntN(2) == 0 {
				return nil, nil, nil
			}
			if random.IntN(2) == 0 && !a.issuer.gone {
				by = a.issuer
			}
			did = append(did, by.id+" takes back "+a.id)
			err = by.as(func(s *vault.Session) error { _, err := s.RevokeToken(a.id); return err })
			if c.lapsed(a) != nil { // its record may be there or not
				want, lenient = vault.ErrNotFound, []error{vault.ErrConflict, vault.ErrDenied}
			}
			if err == nil {
				if c.end(a); by.owner() {
					c.rewritten()
				}
			}
		default: // the owner decides
			var q vault.Request
			v.Must(t, func(s *vault.Session) error {
				list, err := s.Requests()
				for _, i := range random.Perm(len(list)) {
					if list[i].Status == vault.Pending {
						q = list[i]
					}
				}
				return err
			})
			i := slices.IndexFunc(c.actors, func(a *modelActor) bool { return a.id == q.Asker })
			if i < 0 || c.lapsed(c.actors[i]) != nil { // it has lapsed
				return nil, nil, nil
			}
			c.last = &modelAsk{c.actors[i], q.Action, q.Path.String(), int(q.Version), q.Tier}
			ask, answer := *c.last, c.asks[*c.last]
			if answer == nil || answer.state != vault.Pending {
				t.Fatalf("a request that nobody made: %+v", q)
			}
			if act == 13 && random.IntN(2) == 0 {
				did = append(did, fmt.Sprint("deny ", q.ID))
				err = v.Do(func(s *vault.Session) error { return s.Deny([]vault.Request{q}, "no") })
				answer.state, answer.denied = vault.Denied, true
				break
			}
			did = append(did, fmt.Sprint("approve ", q.ID))
			err = v.Do(func(s *vault.Session) error { return s.Approve([]vault.Request{q}) })
			if q.Action == vault.AskRead && c.secrets[ask.path].tier != q.Tier {
				want = vault.ErrConflict
			}
			if err == nil {
				answer.state, answer.until = vault.Approved, c.now.Add(vault.ApprovalLifetime)
			}
		}
		return lenient, want, err
	}
	for n := range 150 {
		clock.Pass(time.Minute)
		c.now = clock.Time
		lenient, want, err := step(n)
		right := errors.Is(err, want) && (want != nil || err == nil)
		for _, other := range lenient {
			right = right || errors.Is(err, other)
		}
		// What has lapsed is cleared by whoever comes next.
		if !right && (want != vault.ErrLapsed || !errors.Is(err, vault.ErrWrongKey)) {
			t.Fatalf("step %d: %v, want %v, after\n%s", n, err, want, strings.Join(did, "\n"))
		}
		if n%30 == 29 {
			checkModel(t, v, c.secrets)
		}
		if t.Failed() {
			t.Fatalf("step %d, after\n%s", n, strings.Join(did, "\n"))
		}
	}
}
