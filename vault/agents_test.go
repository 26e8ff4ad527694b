package vault_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault"
	"ass/vault/vaulttest"
)

// denials lists the refusals in the log, oldest first. Each has its event, actor, resource
// and reason.
func denials(t *testing.T, v *vaulttest.Vault) (list []string) {
	t.Helper()
	v.Must(t, func(s *vault.Session) error {
		entries, err := s.Log(0, func(e audit.Event) bool {
			return strings.HasSuffix(e.Type, audit.Denied) && e.Type != audit.ApprovalDenied
		})
		for _, e := range entries {
			list = append(list, fmt.Sprint(e.Type, " ", e.ActorID, " ", e.ResourceID, " ", e.Metadata["reason"]))
		}
		return err
	})
	slices.Reverse(list)
	return list
}

func wantDenials(t *testing.T, v *vaulttest.Vault, want ...string) {
	t.Helper()
	if got := denials(t, v); !slices.Equal(got, want) {
		t.Errorf("the log tells of the refusals\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func wantValue(t *testing.T, who string, a vaulttest.Actor, path, want string) {
	t.Helper()
	if got, err := a.Get(t, path); err != nil || got != want {
		t.Errorf("%s reads %s as %q, want %q: %v", who, path, got, want, err)
	}
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || want == nil && err != nil {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func isSyntax(err error) bool {
	var syntax *tokens.SyntaxError
	return errors.As(err, &syntax)
}

func TestCreateAgent(t *testing.T) {
	v := vaulttest.New(t)
	clock := v.UseClock()
	v.Must(t, func(s *vault.Session) error {
		made, k, err := s.CreateAgent(vault.AgentSpec{
			Name: "gemini", Description: "answers mail",
			Namespaces: []tokens.Namespace{vaulttest.Namespace(t, "production/gemini"), vaulttest.Namespace(t, "staging")},
		})
		if err != nil {
			return err
		}
		if got := made.Scopes.String(); got != "secrets:read:production/gemini/*,secrets:read:staging/*" {
			t.Errorf("the scopes that follow from the namespaces: %s", got)
		}
		if !strings.HasPrefix(k.Text(), made.KeyPrefix) || len(made.KeyPrefix) != 8 {
			t.Errorf("the key %s is shown as %q", k.Text(), made.KeyPrefix)
		}
		clock.Pass(time.Minute)
		if _, _, err := s.CreateAgent(vault.AgentSpec{Name: "other", Scopes: vaulttest.Scopes(t,
			"secrets:*:a/*")}); err != nil {
			return err
		}
		list, err := s.Agents()
		if err != nil || len(list) != 2 || fmt.Sprint(list[0]) != fmt.Sprint(made) || list[1].Name != "other" ||
			list[0].LastActiveAt != nil || !list[0].CreatedAt.Equal(made.KeyIssuedAt) {
			t.Errorf("listed are %v, created was %v: %v", list, made, err)
		}
		_, _, err = s.CreateAgent(vault.AgentSpec{Name: "gemini", Scopes: vaulttest.Scopes(t, "secrets:read:*")})
		wantError(t, "a name twice", err, vault.ErrConflict)
		if _, err := s.RevokeAgent("gemini", vault.NarrowOptions{}); err != nil {
			return err
		}
		again, k2, err := s.CreateAgent(vault.AgentSpec{Name: "gemini", Scopes: vaulttest.Scopes(t, "secrets:read:*")})
		if err != nil || again.ID == made.ID || k2 == k {
			t.Errorf("the name of a revoked agent: %v, %v", again, err)
		}
		_, err = s.RevokeAgent(made.ID, vault.NarrowOptions{})
		wantError(t, "revoked twice", err, vault.ErrConflict)
		_, err = s.RevokeAgent("nobody", vault.NarrowOptions{})
		wantError(t, "of no such name", err, vault.ErrNotFound)
		n, err := s.Narrow("gemini")
		if err != nil || n.Agent.ID != again.ID {
			t.Errorf("the name is that of %s, not of the active %s: %v", n.Agent.ID, again.ID, err)
		}
		return nil
	})
}

func TestAgentSpec(t *testing.T) {
	v := vaulttest.New(t)
	production := []tokens.Namespace{vaulttest.Namespace(t, "production")}
	for name, c := range map[string]struct {
		spec vault.AgentSpec
		ok   bool
	}{
		"within": {vault.AgentSpec{Name: "within", Namespaces: production, Scopes: vaulttest.Scopes(t,
			"secrets:*:production/*", "secrets:read:production/a/K")}, true},
		"longest": {vault.AgentSpec{Name: strings.Repeat("n", 64), Description: strings.Repeat("d", 500),
			Namespaces: production}, true},
		"outside": {vault.AgentSpec{Name: "x", Namespaces: production, Scopes: vaulttest.Scopes(t,
			"secrets:read:production/*", "secrets:read:staging/K")}, false},
		"above": {vault.AgentSpec{Name: "x", Namespaces: production, Scopes: vaulttest.Scopes(t,
			"secrets:read:*")}, false},
		"a longer name": {vault.AgentSpec{Name: "x", Namespaces: production, Scopes: vaulttest.Scopes(t,
			"secrets:read:production2/*")}, false},
		"nothing":  {vault.AgentSpec{Name: "x"}, false},
		"no name":  {vault.AgentSpec{Namespaces: production}, false},
		"bad name": {vault.AgentSpec{Name: "a b", Namespaces: production}, false},
		"long description": {vault.AgentSpec{Name: "x", Namespaces: production, Description: strings.Repeat("d", 501)},
			false},
		"65 scopes": {vault.AgentSpec{Name: "x", Scopes: slices.Repeat(vaulttest.Scopes(t, "secrets:read:a/*"), 65)},
			false},
		"65 namespaces": {vault.AgentSpec{Name: "x", Namespaces: slices.Repeat(production, 65)}, false},
	} {
		err := v.Do(func(s *vault.Session) error { _, _, err := s.CreateAgent(c.spec); return err })
		if c.ok && err != nil || !c.ok && !isSyntax(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// If a secret is outside an agent's scopes, every act gives the same answer, whether or
// not the secret exists. Each refusal is logged.
func TestOutOfScope(t *testing.T) {
	t.Parallel()
	v := vaulttest.New(t)
	v.UseClock()
	v.Set(t, "production/KEY", "value", vault.SetOptions{})
	v.Set(t, "production/OLD", "value", vault.SetOptions{})
	v.Set(t, "production/SENSITIVE", "value", vault.SetOptions{Tier: tokens.Sensitive})
	v.Must(t, func(s *vault.Session) error { _, _, err := s.Delete(vaulttest.Path(t, "production/OLD")); return err })
	agent, as := v.NewAgent(t, "svc", "secrets:*:staging/*")
	one := uint64(1)
	for _, act := range []struct {
		event string
		do    func(*vault.Session, tokens.Path) error
	}{
		{audit.SecretRead, func(s *vault.Session, p tokens.Path) error { _, _, err := s.Get(p, 0); return err }},
		{audit.SecretRead, func(s *vault.Session, p tokens.Path) error { _, _, err := s.Get(p, 9); return err }},
		{audit.SecretUpdated, func(s *vault.Session, p tokens.Path) error {
			_, _, err := s.Set(p, []byte("x"), vault.SetOptions{})
			return err
		}},
		{audit.SecretUpdated, func(s *vault.Session, p tokens.Path) error {
			_, _, err := s.Set(p, []byte("x"), vault.SetOptions{IfVersion: &one, Tier: tokens.Critical})
			return err
		}},
		{audit.SecretRotated, func(s *vault.Session, p tokens.Path) error {
			_, _, err := s.Set(p, []byte("x"), vault.SetOptions{Rotate: true})
			return err
		}},
		{audit.SecretDeleted, func(s *vault.Session, p tokens.Path) error { _, _, err := s.Delete(p); return err }},
		{audit.SecretRestored, func(s *vault.Session, p tokens.Path) error { _, err := s.Restore(p); return err }},
		{audit.SecretRolledBack, func(s *vault.Session, p tokens.Path) error { _, _, err := s.Rollback(p, 1); return err }},
	} {
		texts := map[string]bool{}
		for _, path := range []string{"production/KEY", "production/OLD", "production/SENSITIVE", "production/NOTHING"} {
			before := len(denials(t, v))
			err := as(func(s *vault.Session) error { return act.do(s, vaulttest.Path(t, path)) })
			wantError(t, act.event+" "+path, err, vault.ErrDenied)
			texts[strings.ReplaceAll(fmt.Sprint(err), path, "PATH")] = true
			want := fmt.Sprintf("%s.denied %s %s scope", act.event, agent.ID, path)
			if got := denials(t, v); len(got) != before+1 || got[before] != want {
				t.Errorf("the log tells of %q, want %q", got[before:], want)
			}
		}
		if len(texts) != 1 {
			t.Errorf("%s: the answers tell what is there: %v", act.event, texts)
		}
	}
	// The history of a secret needs the right to read it.
	texts := map[string]bool{}
	for _, path := range []string{"production/KEY", "production/NOTHING"} {
		err := as(func(s *vault.Session) error { _, _, err := s.History(vaulttest.Path(t, path)); return err })
		wantError(t, "history", err, vault.ErrDenied)
		texts[strings.ReplaceAll(fmt.Sprint(err), path, "PATH")] = true
	}
	if len(texts) != 1 {
		t.Errorf("the histories tell what is there: %v", texts)
	}
	wantValue(t, "the owner", v.Do, "production/KEY", "value")
}

// If an agent lacks a right for an act, the refusal names the right in words.
func TestRollbackNeedsTwoRights(t *testing.T) {
	v := vaulttest.New(t)
	v.Set(t, "a/K", "one", vault.SetOptions{})
	v.Set(t, "a/K", "two", vault.SetOptions{})
	for _, action := range []string{"read", "write", "delete"} {
		_, as := v.NewAgent(t, action, "secrets:"+action+":a/*")
		err := as(func(s *vault.Session) error { _, _, err := s.Rollback(vaulttest.Path(t, "a/K"), 1); return err })
		wantError(t, "with "+action, err, vault.ErrDenied)
		if err != nil && (!strings.Contains(err.Error(), "read") || !strings.Contains(err.Error(), "write") ||
			strings.Contains(err.Error(), "nothing")) {
			t.Errorf("it does not say what is missing: %v", err)
		}
	}
	_, as := v.NewAgent(t, "both", "secrets:read:a/*", "secrets:write:a/*")
	if err := as(func(s *vault.Session) error {
		_, _, err := s.Rollback(vaulttest.Path(t, "a/K"),
			1)
		return err
	}); err != nil {
		t.Error(err)
	}
	wantValue(t, "the owner", v.Do, "a/K", "one")
}

// An agent sees only those parts of the vault that it may read.
func TestAgentSees(t *testing.T) {
	v := vaulttest.New(t)
	clock := v.UseClock()
	for _, path := range []string{"production/gemini/KEY", "production/gemini/KEY2", "production/stripe/KEY",
		"staging/KEY"} {
		v.Set(t, path, "value of "+path, vault.SetOptions{})
	}
	v.Set(t, "production/gemini/SENSITIVE", "s", vault.SetOptions{Tier: tokens.Sensitive})
	agent, as := v.NewAgent(t, "svc", "secrets:read:production/gemini/*", "secrets:write:production/stripe/*",
		"secrets:delete:production/stripe/KEY", "secrets:read:staging/KEY")
	wantValue(t, "the agent", as, "production/gemini/KEY", "value of production/gemini/KEY")
	clock.Pass(time.Hour)
	err := as(func(s *vault.Session) error {
		list, err := s.List(tokens.Namespace{}, false)
		if err != nil || len(list) != 4 || list[3].Path.String() != "staging/KEY" || list[2].Tier != tokens.Sensitive {
			t.Errorf("it lists %v: %v", list, err)
		}
		if list, err = s.List(vaulttest.Namespace(t, "production/stripe"), false); err != nil || len(list) != 0 {
			t.Errorf("where it may only write, it lists %v: %v", list, err)
		}
		spaces, err := s.Namespaces()
		if err != nil || fmt.Sprint(spaces) != "[{production/gemini 3} {staging 1}]" {
			t.Errorf("its namespaces are %v: %v", spaces, err)
		}
		values, err := s.GetAll(vaulttest.Namespace(t, "staging"))
		if err != nil || len(values) != 1 || string(values[0].Value) != "value of staging/KEY" {
			t.Errorf("it reads %v: %v", values, err)
		}
		values, err = s.GetAll(vaulttest.Namespace(t, "production/stripe"))
		if err != nil || len(values) != 0 {
			t.Errorf("it reads %v: %v", values, err)
		}
		if s.ID() != agent.ID || s.Who() != "agent "+agent.ID {
			t.Errorf("it is %s, %q", s.ID(), s.Who())
		}
		_, versions, err := s.History(vaulttest.Path(t, "production/gemini/KEY"))
		if err != nil || len(versions) != 1 {
			t.Errorf("history: %v, %v", versions, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	v.Must(t, func(s *vault.Session) error {
		list, err := s.Agents()
		if len(list) != 1 || list[0].LastActiveAt == nil || !list[0].LastActiveAt.Equal(clock.Time) {
			t.Errorf("it was last active at %v, not at %v", list[0].LastActiveAt, clock.Time)
		}
		return err
	})
}

// Acts that only the owner may do are refused to every other credential. If the act would
// have changed something, the refusal is logged.
func TestOnlyTheOwner(t *testing.T) {
	t.Parallel()
	v := vaulttest.New(t)
	v.UseClock()
	v.Set(t, "a/K", "value", vault.SetOptions{Tier: tokens.Sensitive})
	agent, as := v.NewAgent(t, "svc", "secrets:*:*")
	other, _ := v.NewAgent(t, "other", "secrets:read:a/*")
	_, err := as.Get(t, "a/K")
	var need *vault.ApprovalError
	if !errors.As(err, &need) {
		t.Fatal(err)
	}
	token, asToken := v.NewToken(t, v.Do, vault.TokenSpec{Scopes: vaulttest.Scopes(t, "secrets:*:*"),
		Tier: tokens.Sensitive})
	p := vaulttest.Path(t, "a/K")
	set := func(tier tokens.Tier) func(*vault.Session) error {
		return func(s *vault.Session) error {
			_, _, err := s.Set(p, []byte("x"), vault.SetOptions{Tier: tier})
			return err
		}
	}
	epoch := v.Verify().Epoch
	unlogged := map[string]bool{}
	for who, as := range map[string]vaulttest.Actor{agent.ID: as, token.ID: asToken} {
		for _, act := range []struct {
			event string // "" for an act that only looks
			do    func(*vault.Session) error
		}{
			{audit.AgentCreated, func(s *vault.Session) error {
				_, _, err := s.CreateAgent(vault.AgentSpec{Name: "x", Scopes: vaulttest.Scopes(t, "secrets:read:*")})
				return err
			}},
			{audit.AgentRevoked, func(s *vault.Session) error { _, err := s.RevokeAgent(agent.ID, vault.NarrowOptions{}); return err }},
			{audit.AgentKeyRotated, func(s *vault.Session) error {
				_, _, err := s.RotateAgentKey(agent.ID, vault.NarrowOptions{})
				return err
			}},
			{audit.ApprovalGranted, func(s *vault.Session) error { return s.Approve(need.Requests) }},
			{audit.ApprovalDenied, func(s *vault.Session) error { return s.Deny(need.Requests, "no") }},
			{audit.SecretPurged, func(s *vault.Session) error { _, err := s.Purge(p); return err }},
			{audit.SecretUpdated, set(tokens.Critical)}, // raises
			{audit.SecretUpdated, set(tokens.Standard)}, // lowers
			{"", func(s *vault.Session) error { _, err := s.Agents(); return err }},
			{"", func(s *vault.Session) error {
				_, err := s.ExplainAgent(other.ID)
				return err
			}},
			{"", func(s *vault.Session) error { _, err := s.Verify(false); return err }},
		} {
			before := len(denials(t, v))
			wantError(t, act.event, as(act.do), vault.ErrDenied)
			if got := denials(t, v)[before:]; act.event != "" && (len(got) != 1 || !strings.HasPrefix(got[0],
				act.event+audit.Denied+" "+who)) {
				unlogged[act.event] = true
			}
		}
	}
	if len(unlogged) > 0 {
		t.Errorf("the log does not tell of the refusals %v", slices.Sorted(maps.Keys(unlogged)))
	}
	v.Must(t, func(s *vault.Session) error {
		if list, err := s.Requests(); err != nil || len(list) != 1 || list[0].Status != vault.Pending {
			t.Errorf("requests: %+v, %v", list, err)
		}
		return nil
	})
	wantValue(t, "the owner", v.Do, "a/K", "value")
	if now := v.Verify().Epoch; now != epoch {
		t.Errorf("epoch %d, was %d", now, epoch)
	}
}

func TestWriteOnly(t *testing.T) {
	t.Parallel()
	v := vaulttest.New(t)
	const path = "production/gemini/KEY"
	_, writer := v.NewAgent(t, "writer", "secrets:write:production/*")
	readers := map[string]vaulttest.Actor{"the owner": v.Do}
	agent := func(when, scope string) {
		name := fmt.Sprint(when, len(readers))
		_, readers["agent "+when+" "+scope] = v.NewAgent(t, name, "secrets:read:"+scope)
	}
	for _, scope := range []string{"*", "production/*", path} {
		agent("before", scope)
	}
	spec := vault.TokenSpec{Scopes: vaulttest.Scopes(t, "secrets:read:production/gemini/*")}
	_, readers["the owner's token before"] = v.NewToken(t, v.Do, spec)
	wide := readers["agent before *"]
	_, early := v.NewToken(t, wide, vault.TokenSpec{Scopes: vaulttest.Scopes(t, "secrets:read:production/gemini/KEY2")})

	check := func(path, value string) {
		t.Helper()
		if _, err := writer.Get(t, path); !errors.Is(err, vault.ErrDenied) {
			t.Errorf("who wrote it may read it: %v", err)
		}
		for name, reader := range readers {
			if strings.HasSuffix(name, "/KEY") && path != "production/gemini/KEY" {
				continue
			}
			wantValue(t, name, reader, path, value)
		}
	}
	if err := writer.Set(t, path, "one", vault.SetOptions{}); err != nil {
		t.Fatal(err)
	}
	check(path, "one")
	// An agent or a token that is made later reads it too, at once.
	agent("after", "production/gemini/*")
	_, readers["the owner's token after"] = v.NewToken(t, v.Do, vault.TokenSpec{Scopes: vaulttest.Scopes(t,
		"secrets:read:production/gemini/KEY", "secrets:read:production/gemini/KEY2")})
	check(path, "one")
	// The writer makes a second version, and a second secret.
	if err := writer.Set(t, path, "two", vault.SetOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := writer.Set(t, "production/gemini/KEY2", "other", vault.SetOptions{}); err != nil {
		t.Fatal(err)
	}
	// An agent or a token that is made for one secret reads what was written before.
	_, exact := v.NewAgent(t, "exact", "secrets:read:production/gemini/KEY2")
	wantValue(t, "an agent for it alone", exact, "production/gemini/KEY2", "other")
	if err := writer.Set(t, "production/gemini/KEY3", "third", vault.SetOptions{}); err != nil {
		t.Fatal(err)
	}
	_, exact = v.NewToken(t, v.Do, vault.TokenSpec{Scopes: vaulttest.Scopes(t, "secrets:read:production/gemini/KEY3")})
	wantValue(t, "the owner's token for it alone", exact, "production/gemini/KEY3", "third")
	_, readers["an agent's token after"] = v.NewToken(t, wide, vault.TokenSpec{Scopes: vaulttest.Scopes(t,
		"secrets:read:production/gemini/KEY", "secrets:read:production/gemini/KEY2")})
	check(path, "two")
	check("production/gemini/KEY2", "other")
	// If an agent issued a token before the secret was written, the token either reads it,
	// or is told to get a new one.
	if _, err := early.Get(t, "production/gemini/KEY2"); err != nil && !errors.Is(err, vault.ErrDenied) {
		t.Errorf("a token from before: %v", err)
	}
	// After a rewrite, each agent and each token has its keys of the new epoch.
	v.Set(t, "x/K", "x", vault.SetOptions{})
	v.Must(t, func(s *vault.Session) error { _, err := s.Purge(vaulttest.Path(t, "x/K")); return err })
	wantValue(t, "a token from before", early, "production/gemini/KEY2", "other")
	check(path, "two")
	check("production/gemini/KEY2", "other")
}

// An agent that may write can write a sensitive or critical secret. The owner can read it
// at once. The agent that wrote it cannot.
func TestWriteAboveStandard(t *testing.T) {
	v := vaulttest.New(t)
	agent, as := v.NewAgent(t, "svc", "secrets:*:a/*")
	for _, tier := range []tokens.Tier{tokens.Sensitive, tokens.Critical} {
		path := "a/" + tier.String()
		if err := as.Set(t, path, "value", vault.SetOptions{Tier: tier}); err != nil {
			t.Fatal(err)
		}
		_, err := as.Get(t, path)
		wantError(t, "who wrote it reads it", err, vault.ErrApproval)
		wantValue(t, "the owner", v.Do, path, "value")
		v.Must(t, func(s *vault.Session) error {
			_, versions, err := s.History(vaulttest.Path(t, path))
			if len(versions) != 1 || versions[0].Tier != tier || versions[0].Author != agent.ID {
				t.Errorf("it is %+v", versions)
			}
			return err
		})
	}
}

// A token can read a version with a file key from its issuer. If the owner reseals that
// version for a new agent, the token can still read it.
func TestSealedAnewUnderAToken(t *testing.T) {
	v := vaulttest.New(t)
	_, writer := v.NewAgent(t, "writer", "secrets:write:production/*")
	_, wide := v.NewAgent(t, "wide", "secrets:read:*")
	if err := writer.Set(t, "production/gemini/KEY", "value", vault.SetOptions{}); err != nil {
		t.Fatal(err)
	}
	_, token := v.NewToken(t, wide, vault.TokenSpec{Scopes: vaulttest.Scopes(t, "secrets:read:production/gemini/*")})
	wantValue(t, "the token", token, "production/gemini/KEY", "value")
	_, later := v.NewAgent(t, "later", "secrets:read:production/gemini/*")
	wantValue(t, "the agent", later, "production/gemini/KEY", "value")
	wantValue(t, "the token afterwards", token, "production/gemini/KEY", "value")
}

func TestRevokeAgent(t *testing.T) {
	v := vaulttest.New(t)
	clock := v.UseClock()
	v.Set(t, "a/K", "value", vault.SetOptions{})
	agent, as := v.NewAgent(t, "svc", "secrets:*:a/*")
	clock.Pass(time.Second)
	_, other := v.NewAgent(t, "other", "secrets:read:a/*")
	read := vault.TokenSpec{Scopes: vaulttest.Scopes(t, "secrets:read:a/*")}
	_, its := v.NewToken(t, as, read)
	_, its2 := v.NewToken(t, as, vault.TokenSpec{Scopes: read.Scopes, TTL: time.Minute})
	_, others := v.NewToken(t, other, read)
	_, owners := v.NewToken(t, v.Do, read)
	if err := as.Set(t, "a/ITS", "written by it", vault.SetOptions{}); err != nil {
		t.Fatal(err)
	}
	wantValue(t, "its token", its, "a/ITS", "written by it")
	wantValue(t, "its other token", its2, "a/K", "value")
	clock.Pass(time.Hour / 2) // its2 has expired, so it does not end with the agent
	epoch := v.Verify().Epoch
	v.Must(t, func(s *vault.Session) error {
		n, err := s.RevokeAgent("svc", vault.NarrowOptions{})
		if n.Agent.ID != agent.ID || n.Tokens != 1 || n.Versions != 2 {
			t.Errorf("revoked: %+v", n)
		}
		return err
	})
	if r := v.Verify(); r.Epoch != epoch+1 || len(r.Problems) > 0 {
		t.Errorf("epoch %d after %d, %q", r.Epoch, epoch, r.Problems)
	}
	for name, as := range map[string]vaulttest.Actor{"the agent": as, "its token": its} {
		_, err := as.Get(t, "a/K")
		wantError(t, name, err, vault.ErrWrongKey)
	}
	for name, as := range map[string]vaulttest.Actor{"the owner": v.Do, "another agent": other, "its token": others,
		"the owner's token": owners} {
		wantValue(t, name, as, "a/K", "value")
		wantValue(t, name, as, "a/ITS", "written by it")
	}
	v.Must(t, func(s *vault.Session) error {
		list, err := s.Agents()
		if len(list) != 2 || list[0].RevokedAt == nil || !list[0].RevokedAt.Equal(clock.Time) || list[1].RevokedAt != nil {
			t.Errorf("agents: %+v", list)
		}
		return err
	})
}

func TestRotateAgentKey(t *testing.T) {
	v := vaulttest.New(t)
	clock := v.UseClock()
	v.Set(t, "a/K", "value", vault.SetOptions{})
	agent, as := v.NewAgent(t, "svc", "secrets:*:a/*")
	_, its := v.NewToken(t, as, vault.TokenSpec{Scopes: agent.Scopes})
	if err := its.Set(t, "a/ITS", "by its token", vault.SetOptions{}); err != nil {
		t.Fatal(err)
	}
	clock.Pass(time.Hour / 2)
	var k tokens.AgentKey
	v.Must(t, func(s *vault.Session) error {
		n, got, err := s.RotateAgentKey(agent.ID, vault.NarrowOptions{})
		if k = got; n.Tokens != 1 || !n.Agent.KeyIssuedAt.Equal(clock.Time) || !strings.HasPrefix(k.Text(),
			n.Agent.KeyPrefix) || n.Agent.KeyPrefix == agent.KeyPrefix {
			t.Errorf("rotated: %+v", n)
		}
		return err
	})
	for name, as := range map[string]vaulttest.Actor{"the old key": as, "a token of it": its} {
		_, err := as.Get(t, "a/K")
		wantError(t, name, err, vault.ErrWrongKey)
	}
	renewed := v.Agent(k)
	wantValue(t, "the new key", renewed, "a/ITS", "by its token")
	if err := renewed.Set(t, "a/K", "two", vault.SetOptions{}); err != nil {
		t.Error(err)
	}
	wantValue(t, "a token of it", func() vaulttest.Actor {
		_, as := v.NewToken(t, renewed, vault.TokenSpec{Scopes: agent.Scopes})
		return as
	}(), "a/K", "two")
}

func TestWrongKeys(t *testing.T) {
	v, other := vaulttest.New(t), vaulttest.New(t)
	v.Set(t, "a/K", "value", vault.SetOptions{})
	var k tokens.AgentKey
	v.Must(t, func(s *vault.Session) (err error) {
		_, k, err = s.CreateAgent(vault.AgentSpec{Name: "svc", Scopes: vaulttest.Scopes(t, "secrets:read:*")})
		return err
	})
	token, _ := v.NewToken(t, v.Agent(k), vault.TokenSpec{Scopes: vaulttest.Scopes(t, "secrets:read:*")})
	unknown := k
	unknown.Secret[0] ^= 1
	parsed, err := tokens.ParseToken(token.Text)
	if err != nil {
		t.Fatal(err)
	}
	claims := parsed.Claims
	claims.Uses = 7
	signed, _ := claims.HeaderPayload()
	for name, as := range map[string]vaulttest.Actor{
		"an unknown key":               v.Agent(unknown),
		"a key in another vault":       other.Agent(k),
		"a token in another vault":     other.Token(token.Text),
		"a token that was signed anew": v.Token(tokens.TokenText(signed, tokens.Signature(signed, [32]byte{}))),
		// The secret opens the grant, but the claims are still checked.
		"other claims with the right secret": v.Token(tokens.TokenText(signed, parsed.Signature)),
	} {
		_, err := as.Get(t, "a/K")
		wantError(t, name, err, vault.ErrWrongKey)
	}
	if err := v.Token("x.y.z")(nil); !isSyntax(err) {
		t.Errorf("what is no token: %v", err)
	}
	wantDenials(t, v)
}

// An agent's clock may be two minutes behind the issue of its key, but no more. The time of its last use stops nobody:
// whoever holds a key of the epoch could write it.
func TestAgentClock(t *testing.T) {
	v := vaulttest.New(t)
	clock := v.UseClock()
	v.Set(t, "a/K", "value", vault.SetOptions{})
	agent, as := v.NewAgent(t, "svc", "secrets:read:a/*")
	clock.Pass(-2 * time.Minute)
	wantValue(t, "two minutes before its key", as, "a/K", "value")
	clock.Pass(-time.Millisecond)
	_, err := as.Get(t, "a/K")
	if wantError(t, "more", err, vault.ErrLapsed); !errors.Is(as(func(s *vault.Session) error { return s.Usable() }),
		vault.ErrLapsed) {
		t.Error("it is usable")
	}
	clock.Pass(48 * time.Hour)
	wantValue(t, "two days later", as, "a/K", "value")
	clock.Pass(-2*time.Minute - time.Second)
	wantValue(t, "before its last use", as, "a/K", "value")
	wantDenials(t, v, "secret.read.denied "+agent.ID+" a/K clock")
}

// An agent on a machine whose clock has lost the time is refused. The refusal is dated
// before earlier entries of the log, but a verification reports no problem.
func TestAClockThatLostTheTime(t *testing.T) {
	v := vaulttest.New(t)
	clock := v.UseClock()
	v.Set(t, "a/K", "value", vault.SetOptions{})
	_, as := v.NewAgent(t, "svc", "secrets:read:a/*")
	wantValue(t, "in time", as, "a/K", "value")
	clock.Time = time.Unix(0, 0)
	_, err := as.Get(t, "a/K")
	wantError(t, "in 1970", err, vault.ErrLapsed)
	if problems := v.Verify().Problems; len(problems) > 0 {
		t.Errorf("an honest vault does not hold: %q", problems)
	}
}
