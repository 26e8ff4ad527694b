package vault

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"ass/tokens"
)

// UnderRace is for tests that would take too long with the race detector.
var UnderRace bool

// Twenty requests of one asker can wait, but an agent can issue tokens, and each may
// ask; with its keys it can also write as many as it likes. They must not keep the
// owner, or anybody else, from anything: what each step costs grows with their number
// and not with its square, or this test would take minutes.
func TestTenThousandRequests(t *testing.T) {
	n, secrets := 10_000, 100
	if UnderRace {
		n, secrets = 500, 20
	}
	c := newCompany(t)
	path := func(i int) tokens.Path { return c.p(fmt.Sprintf("prod/app/FLOOD%d", i%secrets)) }
	c.do(func(s *Session) {
		for i := range secrets {
			c.put(s, path(i).String(), tokens.Sensitive)
		}
	})
	c.insider("reader", func(s *Session, tx *tx) error {
		for i := range n {
			if _, _, err := s.askOne(tx, request{AskRead, path(i), 1, tokens.Sensitive}, nil, true); err != nil {
				return err
			}
		}
		return nil
	})

	c.do(func(s *Session) { // the owner lists, approves and denies
		list, err := s.Requests()
		if err != nil || len(list) != n || list[0].Name != "reader" || list[0].Current != 1 {
			t.Fatalf("%d requests, %v", len(list), err)
		}
		var first []Request // for each secret
		for _, q := range list {
			if !slices.ContainsFunc(first, func(other Request) bool { return other.Path == q.Path }) {
				first = append(first, q)
			}
		}
		if err := s.Approve(first); err != nil || len(first) != secrets {
			t.Fatalf("%d approved: %v", len(first), err)
		}
		list = slices.DeleteFunc(list, func(q Request) bool {
			return slices.ContainsFunc(first, func(other Request) bool { return other.ID == q.ID })
		})
		if err := s.Deny(list[:n/10], "no"); err != nil {
			t.Fatal(err)
		}
	})
	if value, err := c.read("exact", "prod/app/DB"); err != nil || value == "" {
		t.Errorf("another agent reads %q, %v", value, err)
	}
	c.honest("reader", func(s *Session) { // many approvals, among many requests
		var all []tokens.Path
		for i := range secrets {
			all = append(all, path(i))
		}
		values, err := s.GetMany(nil, all)
		if err != nil || len(values) != secrets {
			t.Errorf("it reads %d of what was approved: %v", len(values), err)
		}
	})
	c.do(func(s *Session) {
		r, err := s.Verify(false)
		if err != nil || len(r.Problems) > 0 {
			t.Errorf("verify: %s, %v", strings.Join(r.Problems, "\n"), err)
		}
		if _, err = s.RevokeAgent("reader"); err != nil {
			t.Fatal(err)
		}
		if list, err := s.Requests(); err != nil || len(list) != 0 {
			t.Errorf("%d requests outlive their asker, %v", len(list), err)
		}
	})
}

// A request does not vanish from the list because the record of its asker was altered.
func TestARequestOfAnAlteredAskerIsNotHidden(t *testing.T) {
	v := newVictim(t)
	var k tokens.AgentKey
	var agent Agent
	v.do(func(s *Session) {
		if _, _, err := s.Set(v.p("a/CARD"), []byte("x"), SetOptions{Tier: tokens.Critical}); err != nil {
			t.Fatal(err)
		}
		scopes, err := tokens.ScopesOf([]string{"secrets:read:a/*"})
		if err != nil {
			t.Fatal(err)
		}
		if agent, k, err = s.CreateAgent(AgentSpec{Name: "worker", Scopes: scopes}); err != nil {
			t.Fatal(err)
		}
	})
	opened, err := Open(v.path, v.opts)
	if err != nil {
		t.Fatal(err)
	}
	s, err := opened.Agent(k)
	if err == nil {
		_, _, err = s.Get(v.p("a/CARD"), 0)
	}
	if cerr := opened.Close(); !errors.Is(err, ErrApproval) || cerr != nil {
		t.Fatal(err, cerr)
	}
	// More records than those whose digest every command looks at.
	v.do(func(s *Session) {
		for i := range smallVault {
			v.set(s, fmt.Sprintf("b/K%d", i), "x")
		}
	})
	r := v.take(bucketAgents, []byte(agent.ID))
	r[len(r)/2] ^= 1
	v.give(bucketAgents, []byte(agent.ID), r)
	v.do(func(s *Session) {
		if list, err := s.Requests(); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d requests, %v", len(list), err)
		}
	})
}
