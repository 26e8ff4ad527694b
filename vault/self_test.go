package vault_test

import (
	"testing"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault"
	"ass/vault/vaulttest"
)

// A credential learns what it is and what it may do, and nothing of others.
func TestSelf(t *testing.T) {
	v := vaulttest.New(t)
	v.UseClock()
	v.Set(t, "a/K", "value", vault.SetOptions{})
	v.Set(t, "a/S", "value", vault.SetOptions{Tier: tokens.Sensitive})
	agent, as := v.NewAgent(t, "svc", "secrets:read:a/*", "secrets:write:b/K")
	_, another := v.NewAgent(t, "another", "secrets:read:a/*")
	for _, who := range []vaulttest.Actor{as, another} {
		_, err := who.Get(t, "a/S")
		wantError(t, "one that needs approval", err, vault.ErrApproval)
	}
	token, asToken := v.NewToken(t, as, vault.TokenSpec{Scopes: vaulttest.Scopes(t, "secrets:read:a/K"), Uses: 2,
		TTL: time.Hour})
	if _, err := asToken.Get(t, "a/K"); err != nil {
		t.Fatal(err)
	}
	self := func(who vaulttest.Actor) (x vault.Self) {
		t.Helper()
		if err := who(func(s *vault.Session) (err error) { x, err = s.Self(); return err }); err != nil {
			t.Fatal(err)
		}
		return x
	}
	x := self(as)
	if x.Kind != audit.Agent || x.ID != agent.ID || x.Agent == nil || x.Agent.Name != "svc" || x.UsesLeft() != nil ||
		len(x.Waiting) != 1 || x.Waiting[0].Requester != agent.ID || x.Scopes.String() != "secrets:read:a/*,secrets:write:b/K" {
		t.Errorf("the agent is %+v", x)
	}
	x = self(asToken)
	if left := x.UsesLeft(); x.Kind != audit.Token || x.ID != token.ID || x.Agent == nil || x.Agent.ID != agent.ID ||
		left == nil || *left != 1 || len(x.Waiting) != 0 || x.Tier != tokens.Standard {
		t.Errorf("the token is %+v", x)
	}
	if x = self(v.Do); x.Kind != audit.Human || x.ID != audit.Owner || x.Agent != nil {
		t.Errorf("the owner is %+v", x)
	}
}

// A list is denied where no scope can match, in or below the namespace.
func TestMayList(t *testing.T) {
	v := vaulttest.New(t)
	_, as := v.NewAgent(t, "svc", "secrets:read:a/b/*", "secrets:write:c/d/K")
	for ns, may := range map[string]bool{"a": true, "a/b": true, "a/b/c": true, "a/bb": false, "aa": false, "c": true,
		"c/d": true, "c/d/K": false, "c/d/e": false, "x": false} {
		parsed, err := tokens.ParseNamespace(ns)
		if err != nil {
			t.Fatal(err)
		}
		err = as(func(s *vault.Session) error { return s.MayList(parsed) })
		if may != (err == nil) {
			t.Errorf("%s: %v", ns, err)
		}
		if err := v.Do(func(s *vault.Session) error { return s.MayList(parsed) }); err != nil {
			t.Errorf("the owner, %s: %v", ns, err)
		}
	}
}
