package vault

import (
	"errors"
	"testing"

	"ass/tokens"
)

// A session that makes no requests says what it would have asked for, and leaves nothing in the vault.
func TestNoRequests(t *testing.T) {
	t.Parallel()
	v := newVictim(t)
	id, k := v.agent("worker")
	v.do(func(s *Session) {
		for _, name := range []string{"a/S", "a/T"} {
			if _, _, err := s.Set(v.p(name), []byte("x"), SetOptions{Tier: tokens.Sensitive}); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := s.Set(v.p("a/C"), []byte("x"), SetOptions{Tier: tokens.Critical}); err != nil {
			t.Fatal(err)
		}
	})
	before := v.end()
	v.opts.NoRequests = true
	opened, err := Open(v.path, v.opts)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	s, err := opened.Agent(k)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, err error, more int, tier tokens.Tier) {
		t.Helper()
		var above *AboveError
		if !errors.As(err, &above) || above.More != more || above.Tier != tier || !errors.Is(err, ErrAbove) || errors.Is(err, ErrApproval) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, _, err = s.Get(v.p("a/S"), 0)
	refused("get", err, 0, tokens.Sensitive)
	_, err = s.GetMany(nil, []tokens.Path{v.p("a/K"), v.p("a/S"), v.p("a/T")})
	refused("get many", err, 1, tokens.Sensitive)
	_, _, err = s.Set(v.p("a/C"), []byte("y"), SetOptions{})
	refused("set", err, 0, tokens.Critical)
	_, _, err = s.Delete(v.p("a/C"))
	refused("delete", err, 0, tokens.Critical)
	if list, err := s.Requests(); err != nil || len(list) != 0 {
		t.Errorf("%s has requests: %v, %v", id, list, err)
	}
	opened.Close()
	if after := v.end(); after != before {
		t.Errorf("the log went from %d to %d", before, after)
	}
}
