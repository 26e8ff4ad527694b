package vault_test

import (
	"errors"
	"fmt"
	"testing"

	"ass/tokens"
	"ass/vault"
	"ass/vault/vaulttest"
)

// A new grant reseals the versions below its nodes that were sealed to a recipient above. An
// agent with an earlier approval for such a version can still open it.
func TestAnApprovalOutlivesSealingAnew(t *testing.T) {
	v := vaulttest.New(t)
	_, writer := v.NewAgent(t, "writer", "secrets:write:a/*")
	_, reader := v.NewAgent(t, "reader", "secrets:read:a/*")
	p := vaulttest.Path(t, "a/b/K")
	if err := writer(func(s *vault.Session) error {
		_, _, err := s.Set(p, []byte("value"), vault.SetOptions{Tier: tokens.Sensitive})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	_, err := reader.Get(t, "a/b/K")
	var need *vault.ApprovalError
	if !errors.As(err, &need) {
		t.Fatal(err)
	}
	v.Must(t, func(s *vault.Session) error {
		list, err := s.Requests()
		if err != nil {
			return err
		}
		return s.Approve(list)
	})
	v.Must(t, func(s *vault.Session) error {
		_, err := s.IssueToken(vault.TokenSpec{Scopes: vaulttest.Scopes(t, "secrets:read:a/*"), Tier: tokens.Sensitive})
		return err
	})
	if got, err := reader.Get(t, "a/b/K"); got != "value" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// A token still opens what is written after the vault was rewritten, although its writer holds no key
// of the token's.
func TestATokenReadsWhatIsWrittenAfterARewrite(t *testing.T) {
	v := vaulttest.New(t)
	_, writer := v.NewAgent(t, "writer", "secrets:write:*")
	_, token := v.NewToken(t, v.Do, vault.TokenSpec{Scopes: vaulttest.Scopes(t, "secrets:read:a/b/*")})
	v.Must(t, func(s *vault.Session) error { _, err := s.Rekey(); return err })
	if err := writer.Set(t, "a/b/K", "value", vault.SetOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, err := token.Get(t, "a/b/K"); got != "value" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// A request ends with its secret.
func TestAPurgeEndsRequests(t *testing.T) {
	v := vaulttest.New(t)
	for _, path := range []string{"a/K", "a/L"} {
		v.Set(t, path, "value", vault.SetOptions{Tier: tokens.Critical})
	}
	_, reader := v.NewAgent(t, "reader", "secrets:read:a/*")
	for _, path := range []string{"a/K", "a/L"} {
		if _, err := reader.Get(t, path); !errors.Is(err, vault.ErrApproval) {
			t.Fatal(err)
		}
	}
	v.Must(t, func(s *vault.Session) error {
		if _, err := s.Purge(vaulttest.Path(t, "a/K")); err != nil {
			return err
		}
		list, err := s.Requests()
		if len(list) != 1 || list[0].Path != vaulttest.Path(t, "a/L") {
			t.Errorf("requests: %+v", list)
		}
		return err
	})
}

// An agent that needs more approvals than can be pending asks for them in turns.
func TestManyApprovalsAreAskedInTurns(t *testing.T) {
	v := vaulttest.New(t)
	for i := range 23 {
		v.Set(t, fmt.Sprintf("a/K%02d", i), "value", vault.SetOptions{Tier: tokens.Sensitive})
	}
	_, reader := v.NewAgent(t, "reader", "secrets:read:a/*")
	for _, want := range []int{20, 3} {
		err := reader(func(s *vault.Session) error { _, err := s.GetAll(tokens.Namespace{}); return err })
		var need *vault.ApprovalError
		if !errors.As(err, &need) || len(need.Requests) != want {
			t.Fatalf("want %d requests: %v", want, err)
		}
		v.Must(t, func(s *vault.Session) error {
			list, err := s.Requests()
			if err != nil {
				return err
			}
			var pending []vault.Request
			for _, q := range list {
				if q.Status == vault.Pending {
					pending = append(pending, q)
				}
			}
			return s.Approve(pending)
		})
	}
	if err := reader(func(s *vault.Session) error { _, err := s.GetAll(tokens.Namespace{}); return err }); err != nil {
		t.Error(err)
	}
}
