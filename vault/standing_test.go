package vault_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"ass/audit"
	"ass/tokens"
	"ass/vault"
	"ass/vault/vaulttest"
)

// What opens without an approval is read in one entry; the rest is counted, and nobody is asked.
func TestGetStanding(t *testing.T) {
	v := vaulttest.New(t)
	for _, path := range []string{"a/x/K", "a/K1", "a/K2", "b/K"} {
		v.Set(t, path, "value of "+path, vault.SetOptions{})
	}
	v.Set(t, "a/K1", "newer", vault.SetOptions{})
	v.Set(t, "a/S", "sensitive", vault.SetOptions{Tier: tokens.Sensitive})
	v.Set(t, "a/GONE", "deleted", vault.SetOptions{})
	if err := v.Do(func(s *vault.Session) error { _, _, err := s.Delete(vaulttest.Path(t, "a/GONE")); return err }); err != nil {
		t.Fatal(err)
	}
	_, agent := v.NewAgent(t, "svc", "secrets:read:a/*")
	_, none := v.NewAgent(t, "writer", "secrets:write:a/*")
	issued, token := v.NewToken(t, agent, vault.TokenSpec{Scopes: vaulttest.Scopes(t, "secrets:read:a/*"), Uses: 4})
	a, all := vaulttest.Namespace(t, "a"), tokens.Namespace{}

	for _, c := range []struct {
		what  string
		as    vaulttest.Actor
		ns    []tokens.Namespace
		every bool
		want  string
		lists []int // the secrets that each new entry names
	}{
		{"the owner", v.Do, []tokens.Namespace{all}, false, "[a/K1=2 a/K2=1 a/S=1 a/x/K=1 b/K=1] 0", []int{5}},
		{"the owner, of one namespace, twice", v.Do, []tokens.Namespace{a, a}, false, "[a/K1=2 a/K2=1 a/S=1 a/x/K=1] 0", []int{4}},
		{"the owner, all versions", v.Do, []tokens.Namespace{a}, true, "[a/K1=2 a/K1=1 a/K2=1 a/S=1 a/x/K=1] 0", []int{4, 1}},
		{"the agent", agent, []tokens.Namespace{all}, false, "[a/K1=2 a/K2=1 a/x/K=1] 1", []int{3}},
		{"who may not read", none, []tokens.Namespace{all}, true, "[] 0", nil},
		{"the token", token, []tokens.Namespace{all}, false, "[a/K1=2 a/K2=1 a/x/K=1] 1", []int{3}},
	} {
		before := readLists(t, v)
		err := c.as(func(s *vault.Session) error {
			values, closed, err := s.GetStanding(c.ns, c.every)
			var got []string
			for _, x := range values {
				got = append(got, fmt.Sprintf("%s=%d", x.Path, x.Version))
			}
			if text := fmt.Sprint(got, " ", closed); err == nil && text != c.want {
				t.Errorf("%s reads %s, want %s", c.what, text, c.want)
			}
			if len(values) > 0 && string(values[0].Value) != "newer" {
				t.Errorf("%s reads %q", c.what, values[0].Value)
			}
			return err
		})
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		if got := readLists(t, v)[len(before):]; fmt.Sprint(got) != fmt.Sprint(c.lists) {
			t.Errorf("%s: the log has lists of %v, want %v", c.what, got, c.lists)
		}
	}
	// A use for each secret: there is one left, and three are needed.
	err := token(func(s *vault.Session) error { _, _, err := s.GetStanding([]tokens.Namespace{all}, false); return err })
	if err == nil || !strings.Contains(err.Error(), issued.ID+" has 1 of 4 uses left, and this needs 3; nothing was read") {
		t.Errorf("a token without uses: %v", err)
	}
	v.Must(t, func(s *vault.Session) error {
		list, err := s.Requests()
		if len(list) > 0 {
			t.Errorf("somebody is asked: %v", list)
		}
		return err
	})
}

// readLists returns how many secrets each entry about reads names.
func readLists(t *testing.T, v *vaulttest.Vault) (lists []int) {
	t.Helper()
	v.Must(t, func(s *vault.Session) error {
		entries, err := s.Log(0, func(e audit.Event) bool { return e.Type == audit.SecretRead })
		for _, e := range slices.Backward(entries) {
			lists = append(lists, max(len(e.Items), 1))
		}
		return err
	})
	return lists
}
