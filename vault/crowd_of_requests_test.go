package vault

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"ass/tokens"
)

// UnderRace reports whether the race detector is on. Some tests would take too long with it.
var UnderRace bool

var crowdOfRequests = flag.Int("requests", 1000, "how many requests one agent makes in TestThousandsOfRequests")

// An agent that makes thousands of requests hinders neither the owner nor anybody else. One asker
// can have twenty requests waiting, but an agent can issue tokens that ask, too, and with its
// keys it can write as many requests as it likes. The cost of each step may grow with their
// number, but not with its square; otherwise the ten thousand of just requests would take minutes.
func TestThousandsOfRequests(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	t.Parallel()
	n, secrets := *crowdOfRequests, 100
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
			if _, _, err := s.requestOne(tx, subject{RequestRead, path(i), 1, tokens.Sensitive}, nil, true); err != nil {
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
		if _, err = s.RevokeAgent("reader", NarrowOptions{}); err != nil {
			t.Fatal(err)
		}
		if list, err := s.Requests(); err != nil || len(list) != 0 {
			t.Errorf("%d requests outlive their asker, %v", len(list), err)
		}
	})
}

// If an asker's record is altered, listing the requests fails. It does not hide the request.
func TestARequestOfAnAlteredAskerIsNotHidden(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	t.Parallel()
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
	// With so many records, commands no longer check the digest every time.
	v.do(func(s *Session) {
		for i := range smallVault {
			v.set(s, fmt.Sprintf("b/K%d", i), "x")
		}
	})
	r := v.take(bucketAgents, []byte(agent.ID))
	r[len(r)/2] ^= 1
	v.give(bucketAgents, []byte(agent.ID), r)
	v.do(func(s *Session) {
		if list, err := s.Requests(); err != nil || slices.ContainsFunc(list, func(q Request) bool { return q.Doubt == nil }) {
			t.Errorf("%d requests, %v", len(list), err)
		}
		if err := s.Unlisted(); !errors.Is(err, ErrDamaged) {
			t.Errorf("of the agent, nobody says that its record was altered: %v", err)
		}
	})
	r[len(r)/2] ^= 1
	v.give(bucketAgents, []byte(agent.ID), r)
	var k2 []byte
	v.do(func(s *Session) {
		list, err := s.Requests()
		if err == nil {
			err = s.Deny(list, "no")
		}
		if err == nil {
			k2, err = list[0].key()
		}
		if err := errors.Join(err, s.Unlisted()); err != nil {
			t.Fatal(err)
		}
	})
	answer := v.take(bucketDecisions, k2)
	answer[len(answer)-1] ^= 1
	v.give(bucketDecisions, k2, answer)
	v.do(func(s *Session) {
		if list, err := s.Requests(); err != nil || len(list) > 0 {
			t.Errorf("%d requests, %v", len(list), err)
		}
		if err := s.Unlisted(); !errors.Is(err, ErrDamaged) {
			t.Errorf("of the request, nobody says that its answer was altered: %v", err)
		}
	})
}
