package vault

import (
	"fmt"
	"testing"

	"ass/tokens"
)

// benchSizes runs a benchmark on vaults of different sizes. The cost of giving a right
// should not depend on the size. (In the smallest vault, every transaction also checks the
// digest.)
func benchSizes(b *testing.B, fn func(b *testing.B, s *Session, scopes tokens.Scopes)) {
	scopes, err := tokens.ParseScopes("secrets:read:production/service0/*")
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{10, 1000, 100000} {
		if n > 1000 && testing.Short() {
			continue
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) { fn(b, benchVault(b, n), scopes) })
	}
}

// BenchmarkCreateAgent takes longer the more agents it has made, because names are unique.
// Compare only results with the same number of runs, for example with -benchtime 100x.
func BenchmarkCreateAgent(b *testing.B) {
	benchSizes(b, func(b *testing.B, s *Session, scopes tokens.Scopes) {
		i := 0
		for b.Loop() {
			i++
			if _, _, err := s.CreateAgent(AgentSpec{Name: fmt.Sprint("agent", i), Scopes: scopes}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkIssueToken(b *testing.B) {
	benchSizes(b, func(b *testing.B, s *Session, scopes tokens.Scopes) {
		as := benchAgent(b, s, scopes)
		for b.Loop() {
			if _, err := as.IssueToken(TokenSpec{Scopes: scopes}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkGetAsAgent opens the grant and reads one secret, as a command does.
func BenchmarkGetAsAgent(b *testing.B) {
	s := benchVault(b, 1000)
	scopes, err := tokens.ParseScopes("secrets:read:production/*")
	if err != nil {
		b.Fatal(err)
	}
	k := tokens.AgentKey{Secret: benchAgent(b, s, scopes).grantee.secret}
	copy(k.Vault[:], s.epoch.Vault[:])
	p := benchPath(b, 500)
	for b.Loop() {
		as, err := s.v.Agent(k)
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := as.Get(p, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func benchAgent(b *testing.B, s *Session, scopes tokens.Scopes) *Session {
	b.Helper()
	_, k, err := s.CreateAgent(AgentSpec{Name: "bench", Scopes: scopes})
	if err != nil {
		b.Fatal(err)
	}
	as, err := s.v.Agent(k)
	if err != nil {
		b.Fatal(err)
	}
	return as
}
