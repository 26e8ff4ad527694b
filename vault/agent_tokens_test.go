package vault_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ass/tokens"
	"ass/vault"
	"ass/vault/vaulttest"
)

func TestIssueToken(t *testing.T) {
	v := vaulttest.New(t)
	clock := v.UseClock()
	clock.Pass(123 * time.Millisecond)
	for _, path := range []string{"a/K", "a/b/K", "b/K"} {
		v.Set(t, path, "value of "+path, vault.SetOptions{})
	}
	agent, as := v.NewAgent(t, "svc", "secrets:read:a/*", "secrets:write:a/b/*")
	for name, c := range map[string]struct {
		issuer vaulttest.Actor
		scopes string
		want   error
	}{
		"the same":             {as, "secrets:read:a/*,secrets:write:a/b/*", nil},
		"narrower":             {as, "secrets:read:a/b/*", nil},
		"one secret":           {as, "secrets:read:a/b/K,secrets:write:a/b/K", nil},
		"not there yet":        {as, "secrets:read:a/c/d/*", nil},
		"read and write below": {as, "secrets:write:a/b/c/*", nil},
		"wider":                {as, "secrets:read:*", vault.ErrDenied},
		"one of two is wider":  {as, "secrets:read:a/*,secrets:read:b/K", vault.ErrDenied},
		"another action":       {as, "secrets:delete:a/b/K", vault.ErrDenied},
		"write where it reads": {as, "secrets:write:a/K", vault.ErrDenied},
		"every action":         {as, "secrets:*:a/b/K", vault.ErrDenied},
		"a longer name":        {as, "secrets:read:ab/K", vault.ErrDenied},
		"the owner: anything":  {v.Do, "secrets:*:*", nil},
	} {
		var made vault.Issued
		err := c.issuer(func(s *vault.Session) (err error) {
			made, err = s.IssueToken(vault.TokenSpec{Scopes: vaulttest.Scopes(t, strings.Split(c.scopes, ",")...)})
			return err
		})
		if wantError(t, name, err, c.want); c.want != nil || err != nil {
			if n := len(denials(t, v)); err != nil && !strings.HasPrefix(denials(t, v)[n-1], "token.issued.denied "+agent.ID) {
				t.Errorf("%s: the log does not tell of the refusal", name)
			}
			continue
		}
		if want := clock.Truncate(time.Second).Add(time.Hour); !made.Expires.Equal(want) ||
			made.Scopes.String() != c.scopes || made.Uses != 0 || made.Tier != 0 {
			t.Errorf("%s: it is %+v", name, made.Claims)
		}
		// A token reads what its scopes cover. Its keys decide that, so try each path.
		for _, path := range []string{"a/K", "a/b/K", "b/K"} {
			got, err := v.Token(made.Text).Get(t, path)
			if covers := made.Scopes.Allow(tokens.Read, vaulttest.Path(t, path)); covers != (err == nil &&
				got == "value of "+path) || !covers && !errors.Is(err, vault.ErrDenied) {
				t.Errorf("%s: it reads %s as %q: %v", name, path, got, err)
			}
		}
	}
	token, asToken := v.NewToken(t, as, vault.TokenSpec{Scopes: vaulttest.Scopes(t,
		"secrets:*:*").Intersect(agent.Scopes)})
	err := asToken(func(s *vault.Session) error {
		_, err := s.IssueToken(vault.TokenSpec{Scopes: vaulttest.Scopes(t, "secrets:read:a/K")})
		return err
	})
	wantError(t, "a token issues a token", err, vault.ErrDenied)
	if list := denials(t, v); list[len(list)-1] != "token.issued.denied "+token.ID+" "+token.ID+" token" {
		t.Errorf("the log tells of %q", list)
	}
}

// If a token could not be read again, it is not issued: its record would look damaged.
func TestIssueTokenRefusesWhatCannotBeRead(t *testing.T) {
	v := vaulttest.New(t)
	scopes := vaulttest.Scopes(t, "secrets:read:a/*")
	var many tokens.Scopes
	long := strings.Repeat("n", tokens.MaxSegmentBytes)
	for i := range tokens.MaxScopes {
		many = append(many, vaulttest.Scopes(t, fmt.Sprintf("secrets:read:%s/%s/%s/K%d", long, long, long, i))...)
	}
	mapped, _ := tokens.ParseIPs("::ffff:192.0.2.7/128")
	for name, spec := range map[string]vault.TokenSpec{
		"no scopes":          {},
		"too long a life":    {Scopes: scopes, TTL: tokens.MaxTTL + time.Second},
		"a life before now":  {Scopes: scopes, TTL: -time.Hour},
		"too many scopes":    {Scopes: append(many[:len(many):len(many)], scopes...)},
		"too long":           {Scopes: many},
		"an address in IPv6": {Scopes: scopes, IPs: mapped},
		"the critical tier":  {Scopes: scopes, Tier: tokens.Critical},
	} {
		var made vault.Issued
		err := v.Do(func(s *vault.Session) (err error) {
			made, err = s.IssueToken(spec)
			return err
		})
		if _, perr := tokens.ParseToken(made.Text); err == nil && perr != nil {
			t.Errorf("%s: it was issued, and cannot be read: %v", name, perr)
		}
	}
	if problems := v.Verify().Problems; len(problems) > 0 {
		t.Errorf("the vault does not hold any more: %q", problems)
	}
}

func TestTokenExpires(t *testing.T) {
	v := vaulttest.New(t)
	clock := v.UseClock()
	v.Set(t, "a/K", "value", vault.SetOptions{})
	_, agent := v.NewAgent(t, "svc", "secrets:*:a/*")
	made, token := v.NewToken(t, agent, vault.TokenSpec{Scopes: vaulttest.Scopes(t, "secrets:*:a/*"), TTL: time.Minute})
	long, _ := v.NewToken(t, v.Do, vault.TokenSpec{Scopes: vaulttest.Scopes(t, "secrets:read:a/*"), TTL: 24 * time.Hour})
	clock.Pass(time.Minute - time.Millisecond)
	wantValue(t, "at the last moment", token, "a/K", "value")
	if err := token.Set(t, "a/ITS", "by the token", vault.SetOptions{}); err != nil {
		t.Error(err)
	}
	clock.Pass(time.Millisecond)
	_, err := token.Get(t, "a/K")
	wantError(t, "at its end", err, vault.ErrLapsed)
	wantDenials(t, v, "secret.read.denied "+made.ID+" a/K expired")
	states := func() (list []string) {
		v.Must(t, func(s *vault.Session) error {
			all, err := s.Tokens()
			for _, i := range all {
				list = append(list, i.ID+" "+i.State)
			}
			return err
		})
		return list
	}
	// That refusal was the first write after the token expired, so it cleared the grant.
	// The record of a token that wrote stays, because it vouches for what the token wrote.
	_, err = token.Get(t, "a/K")
	wantError(t, "after a write", err, vault.ErrLapsed)
	if got := states(); len(got) != 2 || got[0] != made.ID+" expired" && got[1] != made.ID+" expired" {
		t.Errorf("listed are %q", got)
	}
	wantValue(t, "the owner", v.Do, "a/ITS", "by the token")
	if problems := v.Verify().Problems; len(problems) > 0 {
		t.Errorf("problems: %q", problems)
	}
	clock.Pass(24 * time.Hour)
	v.Set(t, "a/K", "two", vault.SetOptions{})
	_, err = v.Token(long.Text).Get(t, "a/K")
	wantError(t, "one that only read", err, vault.ErrLapsed)
	if got := states(); len(got) != 1 {
		t.Errorf("listed are %q; the one that only read is of no use to anybody", got)
	}
	v.Must(t, func(s *vault.Session) error { _, err := s.Purge(vaulttest.Path(t, "a/K")); return err })
	if got := states(); len(got) != 0 {
		t.Errorf("after a rewrite, listed are %q", got)
	}
	wantValue(t, "the owner after a rewrite", v.Do, "a/ITS", "by the token")
}

// What is only looked at is no more for a token that has expired than what is read.
func TestAnExpiredTokenSeesNothing(t *testing.T) {
	v := vaulttest.New(t)
	clock := v.UseClock()
	v.Set(t, "a/K", "value", vault.SetOptions{})
	_, token := v.NewToken(t, v.Do, vault.TokenSpec{Scopes: vaulttest.Scopes(t, "secrets:read:a/*")})
	list := func(s *vault.Session) error {
		secrets, err := s.List(tokens.Namespace{}, false)
		if len(secrets) != 1 && err == nil {
			t.Errorf("listed are %v", secrets)
		}
		return err
	}
	wantError(t, "before its end", token(list), nil)
	wantError(t, "at its end", token(func(s *vault.Session) error {
		clock.Pass(time.Hour)
		return list(s)
	}), vault.ErrLapsed)
}

func TestTokenClock(t *testing.T) {
	v := vaulttest.New(t)
	clock := v.UseClock()
	v.Set(t, "a/K", "value", vault.SetOptions{})
	made, token := v.NewToken(t, v.Do, vault.TokenSpec{Scopes: vaulttest.Scopes(t, "secrets:read:a/*")})
	clock.Pass(-2 * time.Minute)
	wantValue(t, "two minutes before its issue", token, "a/K", "value")
	clock.Pass(-time.Millisecond)
	_, err := token.Get(t, "a/K")
	wantError(t, "more", err, vault.ErrLapsed)
	clock.Pass(30 * time.Minute)
	wantValue(t, "later", token, "a/K", "value")
	clock.Pass(-2*time.Minute - time.Millisecond)
	wantValue(t, "before its last use", token, "a/K", "value")
	wantDenials(t, v, "secret.read.denied "+made.ID+" a/K clock")
}

func TestTokenUses(t *testing.T) {
	v := vaulttest.New(t)
	v.UseClock()
	for _, path := range []string{"a/K", "a/L", "a/M"} {
		v.Set(t, path, "value", vault.SetOptions{})
	}
	v.Set(t, "s/SENSITIVE", "value", vault.SetOptions{Tier: tokens.Sensitive})
	made, token := v.NewToken(t, v.Do, vault.TokenSpec{Scopes: vaulttest.Scopes(t, "secrets:*:a/*", "secrets:read:s/*"),
		Uses: 4})
	used := func(want uint64, state string) {
		t.Helper()
		v.Must(t, func(s *vault.Session) error {
			list, err := s.Tokens()
			if len(list) != 1 || list[0].Used != want || list[0].State != state {
				t.Errorf("it is %+v, want %d uses and %s", list, want, state)
			}
			return err
		})
	}
	used(0, vault.TokenActive)
	wantValue(t, "the first use", token, "a/K", "value")
	used(1, vault.TokenActive)
	// A failed act does not count as a use.
	_, err := token.Get(t, "a/NOTHING")
	wantError(t, "nothing", err, vault.ErrNotFound)
	_, err = token.Get(t, "b/K")
	wantError(t, "out of scope", err, vault.ErrDenied)
	_, err = token.Get(t, "s/SENSITIVE")
	wantError(t, "without approval", err, vault.ErrApproval)
	one := uint64(9)
	wantError(t, "another version", token.Set(t, "a/K", "x", vault.SetOptions{IfVersion: &one}), vault.ErrConflict)
	used(1, vault.TokenActive)
	// To read several secrets at once takes one use for each. Three uses are left. If the
	// token reads four secrets, it is refused, and none of them is read.
	all := func(ns string) error {
		return token(func(s *vault.Session) error { _, err := s.GetAll(vaulttest.Namespace(t, ns)); return err })
	}
	v.Set(t, "a/N", "one more", vault.SetOptions{})
	wantError(t, "four with three left", all("a"), vault.ErrDenied)
	used(1, vault.TokenActive)
	if err := token.Delete(t, "a/N"); err != nil {
		t.Fatal(err)
	}
	if err := token.Set(t, "a/K", "two", vault.SetOptions{}); err != nil {
		t.Fatal(err)
	}
	used(3, vault.TokenActive)
	err = token(func(s *vault.Session) error {
		if _, _, err := s.Get(vaulttest.Path(t, "a/K"), 0); err != nil {
			t.Errorf("the last use: %v", err)
		}
		_, _, err := s.Get(vaulttest.Path(t, "a/K"), 0)
		return err
	})
	wantError(t, "one more in the same session", err, vault.ErrDenied)
	used(4, vault.TokenUsedUp)
	_, err = token.Get(t, "a/K")
	wantError(t, "used up", err, vault.ErrWrongKey)
	wantDenials(t, v, "secret.read.denied "+made.ID+" b/K scope", "secret.read.denied "+made.ID+" a/K uses",
		"secret.read.denied "+made.ID+" a/K uses")
	revoke := func() error {
		return v.Do(func(s *vault.Session) error { _, _, err := s.RevokeToken(made.ID, vault.NarrowOptions{}); return err })
	}
	wantError(t, "revoking it, so that keys that somebody kept open nothing new", revoke(), nil)
	wantError(t, "revoking it again", revoke(), vault.ErrConflict)
}

// An import that writes nothing gets no log entry, and so counts no use. A use that is dated a day
// after the end of the log is one that somebody made up.
func TestImportThatWritesNothing(t *testing.T) {
	v := vaulttest.New(t)
	clock := v.UseClock()
	clock.Time = time.Now()
	v.Set(t, "a/K", "value", vault.SetOptions{})
	_, agent := v.NewAgent(t, "worker", "secrets:*:a/*")
	_, token := v.NewToken(t, agent, vault.TokenSpec{Scopes: vaulttest.Scopes(t, "secrets:*:a/*"), Uses: 1})
	imports := func(as vaulttest.Actor, value, conflict, want string) {
		t.Helper()
		err := as(func(s *vault.Session) error {
			done, err := s.Import(vaulttest.Namespace(t, "a"), []vault.Item{{Key: "K", Value: []byte(value)}},
				vault.ImportOptions{OnConflict: conflict})
			if err == nil && done[0].Outcome != want {
				t.Errorf("the outcome is %s, want %s", done[0].Outcome, want)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	entries := v.Verify().Entries
	imports(token, "value", "", vault.ImportUnchanged)
	imports(token, "another", vault.OnConflictSkip, vault.ImportSkipped)
	clock.Pass(25 * time.Hour)
	imports(agent, "value", "", vault.ImportUnchanged)
	if r := v.Verify(); len(r.Problems) > 0 || r.Entries != entries {
		t.Errorf("%d new entries, and %q", r.Entries-entries, r.Problems)
	}
	clock.Pass(-25 * time.Hour)
	imports(token, "another", "", vault.ImportUpdated) // its only use
}

// A rewrite keeps the count of uses.
func TestUsesOutliveARewrite(t *testing.T) {
	v := vaulttest.New(t)
	v.Set(t, "a/K", "value", vault.SetOptions{})
	_, token := v.NewToken(t, v.Do, vault.TokenSpec{Scopes: vaulttest.Scopes(t, "secrets:read:a/*"), Uses: 2})
	wantValue(t, "before", token, "a/K", "value")
	v.Set(t, "a/K", "value", vault.SetOptions{Tier: tokens.Sensitive})
	v.Set(t, "a/K", "value", vault.SetOptions{Tier: tokens.Standard})
	wantValue(t, "after", token, "a/K", "value")
	_, err := token.Get(t, "a/K")
	wantError(t, "a third", err, vault.ErrWrongKey)
}

func TestTokenAddresses(t *testing.T) {
	v := vaulttest.New(t)
	v.Set(t, "a/K", "value", vault.SetOptions{})
	ips, err := tokens.ParseIPs("192.0.2.7,10.0.0.0/8")
	if err != nil {
		t.Fatal(err)
	}
	made, token := v.NewToken(t, v.Do, vault.TokenSpec{Scopes: vaulttest.Scopes(t, "secrets:read:a/*"), IPs: ips})
	var denied []string
	for have, ok := range map[string]bool{"": false, "192.0.2.7": true, "192.0.2.8": false, "127.0.0.1 10.9.8.7": true,
		"::1": false} {
		v.Opts.Addresses = func() (addrs []netip.Addr) {
			for text := range strings.FieldsSeq(have) {
				addrs = append(addrs, netip.MustParseAddr(text))
			}
			return addrs
		}
		_, err := token.Get(t, "a/K")
		usable := token(func(s *vault.Session) error { return s.Usable() })
		if ok != (err == nil) || ok != (usable == nil) || !ok && !errors.Is(err, vault.ErrDenied) {
			t.Errorf("from %q: %v, %v", have, err, usable)
		}
		if !ok {
			denied = append(denied, "secret.read.denied "+made.ID+" a/K address")
		}
	}
	v.Opts.Addresses = nil
	_, err = token.Get(t, "a/K")
	wantError(t, "from a machine that does not say", err, vault.ErrDenied)
	wantDenials(t, v, append(denied, denied[0])...)

	v.Opts.Addresses = func() []netip.Addr {
		t.Error("a token without addresses asks the machine for its own")
		return nil
	}
	_, anywhere := v.NewToken(t, v.Do, vault.TokenSpec{Scopes: vaulttest.Scopes(t, "secrets:read:a/*")})
	wantValue(t, "from anywhere", anywhere, "a/K", "value")
}

func TestTokenTiers(t *testing.T) {
	v := vaulttest.New(t)
	for _, tier := range tokens.Tiers {
		v.Set(t, "a/"+tier.String(), "value", vault.SetOptions{Tier: tier})
	}
	_, agent := v.NewAgent(t, "svc", "secrets:read:*")
	scopes := vaulttest.Scopes(t, "secrets:read:a/*")
	for _, c := range []struct {
		name   string
		issuer vaulttest.Actor
		tier   tokens.Tier
		ok     bool
	}{
		{"the owner, nothing said", v.Do, 0, true},
		{"the owner, standard", v.Do, tokens.Standard, true},
		{"the owner, sensitive", v.Do, tokens.Sensitive, true},
		{"the owner, critical", v.Do, tokens.Critical, false},
		{"an agent, standard", agent, tokens.Standard, true},
		{"an agent, sensitive", agent, tokens.Sensitive, false},
		{"an agent, critical", agent, tokens.Critical, false},
	} {
		var made vault.Issued
		err := c.issuer(func(s *vault.Session) (err error) {
			made, err = s.IssueToken(vault.TokenSpec{Scopes: scopes, Tier: c.tier})
			return err
		})
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if n := len(denials(t, v)); c.name == "an agent, sensitive" && (n == 0 || !strings.HasSuffix(denials(t, v)[n-1], " tier")) {
			t.Errorf("%s: the log does not tell of the refusal: %q", c.name, denials(t, v))
		}
		for _, tier := range tokens.Tiers {
			if err != nil {
				break
			}
			_, err := v.Token(made.Text).Get(t, "a/"+tier.String())
			if want := tier <= max(c.tier, tokens.Standard); want != (err == nil) || !want &&
				!errors.Is(err, vault.ErrApproval) {
				t.Errorf("%s reads what is %s: %v", c.name, tier, err)
			}
		}
	}
	// If the tier of a secret is raised above that of a token, the token no longer reads the
	// secret, even if its scope is the whole namespace.
	_, token := v.NewToken(t, v.Do, vault.TokenSpec{Scopes: scopes, Tier: tokens.Sensitive})
	v.Set(t, "a/sensitive", "value", vault.SetOptions{Tier: tokens.Critical})
	_, err := token.Get(t, "a/sensitive")
	wantError(t, "raised", err, vault.ErrApproval)
}

func TestDeletionEndsTokens(t *testing.T) {
	v := vaulttest.New(t)
	v.Set(t, "a/K", "value", vault.SetOptions{})
	v.Set(t, "a/L", "value", vault.SetOptions{})
	issue := func(scopes ...string) vaulttest.Actor {
		_, as := v.NewToken(t, v.Do, vault.TokenSpec{Scopes: vaulttest.Scopes(t, scopes...)})
		return as
	}
	gone := []vaulttest.Actor{issue("secrets:read:a/K"), issue("secrets:read:a/K", "secrets:delete:a/K")}
	stay := []vaulttest.Actor{issue("secrets:read:a/*"), issue("secrets:read:*"), issue("secrets:read:a/K",
		"secrets:read:a/L")}
	issue("secrets:read:a/L") // does not cover a/K
	// The token that deletes the secret ends with it.
	err := gone[1](func(s *vault.Session) error {
		_, ended, err := s.Delete(vaulttest.Path(t, "a/K"))
		if ended.Revoked != 2 || ended.Broader != 3 {
			t.Errorf("ended %+v", ended)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, as := range gone {
		_, err := as.Get(t, "a/K")
		wantError(t, "a token for it alone", err, vault.ErrWrongKey)
	}
	for _, as := range stay {
		_, err := as.Get(t, "a/K")
		wantError(t, "a broader token", err, vault.ErrNotFound)
		wantValue(t, "a broader token", as, "a/L", "value")
	}
}

func TestRevokeToken(t *testing.T) {
	t.Parallel()
	v := vaulttest.New(t)
	v.UseClock()
	v.Set(t, "a/K", "value", vault.SetOptions{})
	_, agent := v.NewAgent(t, "svc", "secrets:*:a/*")
	other, asOther := v.NewAgent(t, "other", "secrets:*:a/*")
	spec := vault.TokenSpec{Scopes: vaulttest.Scopes(t, "secrets:*:a/*")}
	revoke := func(as vaulttest.Actor, id string) (rewritten bool, err error) {
		err = as(func(s *vault.Session) error {
			_, rewritten, err = s.RevokeToken(id, vault.NarrowOptions{})
			return err
		})
		return rewritten, err
	}
	for _, c := range []struct {
		name       string
		issuer, by vaulttest.Actor // by nil: the token itself
		rewrites   bool
	}{
		{"the owner, his own", v.Do, v.Do, true},
		{"the owner, an agent's", agent, v.Do, true},
		{"an agent, its own", agent, agent, false},
		{"a token itself", agent, nil, false},
		{"the owner's token itself", v.Do, nil, false},
	} {
		made, token := v.NewToken(t, c.issuer, spec)
		_, bystander := v.NewToken(t, c.issuer, spec)
		if err := token.Set(t, "a/ITS", c.name, vault.SetOptions{}); err != nil {
			t.Fatal(err)
		}
		before := v.Verify().Epoch
		by := c.by
		if by == nil {
			by = token
		}
		rewritten, err := revoke(by, made.ID)
		if after := v.Verify().Epoch; err != nil || rewritten != c.rewrites || (after > before) != c.rewrites {
			t.Errorf("%s: rewritten %v, epoch %d after %d: %v", c.name, rewritten, after, before, err)
		}
		_, err = token.Get(t, "a/K")
		wantError(t, c.name, err, vault.ErrWrongKey)
		wantValue(t, "another token", bystander, "a/ITS", c.name)
		if !c.rewrites { // whoever had it may have kept keys of the epoch, so the owner can end it for good
			if rewritten, err := revoke(v.Do, made.ID); !rewritten || err != nil {
				t.Errorf("%s, and then the owner: rewritten %v, %v", c.name, rewritten, err)
			}
		}
		if _, err = revoke(v.Do, made.ID); !errors.Is(err, vault.ErrConflict) && !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("%s: revoked twice: %v", c.name, err)
		}
	}
	made, token := v.NewToken(t, agent, spec)
	texts := map[string]bool{}
	for _, id := range []string{made.ID, "0f8fad5b-d9cb-469f-a165-70867728950e"} {
		_, err := revoke(asOther, id)
		wantError(t, "another agent", err, vault.ErrDenied)
		texts[strings.ReplaceAll(fmt.Sprint(err), id, "ID")] = true
	}
	if len(texts) != 1 {
		t.Errorf("the answers tell which tokens there are: %v", texts)
	}
	wantValue(t, "the token", token, "a/K", "value")
	denied := "token.revoked.denied " + other.ID + " " + other.ID + " scope"
	wantDenials(t, v, denied, denied)
	// An agent sees only the tokens that it issued. A token sees only itself.
	err := asOther(func(s *vault.Session) error {
		list, err := s.Tokens()
		if len(list) != 0 {
			t.Errorf("another agent sees %+v", list)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	err = token(func(s *vault.Session) error {
		list, err := s.Tokens()
		if len(list) != 1 || list[0].ID != made.ID {
			t.Errorf("the token sees %+v", list)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
