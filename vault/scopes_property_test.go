package vault

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ass/tokens"
	"ass/vault/internal/keys"
)

// scopeCovers is the specification of what a scope reads. It works on texts alone.
func scopeCovers(scope, path string) bool {
	part := strings.SplitN(scope, ":", 3)
	if part[1] != "read" && part[1] != "*" {
		return false
	}
	want, have := strings.Split(part[2], "/"), strings.Split(path, "/")
	for i, segment := range want {
		if segment == "*" && i == len(want)-1 {
			return len(have) > i
		}
		if i >= len(have) || have[i] != segment {
			return false
		}
	}
	return len(have) == len(want)
}

func anyScopeCovers(scopes []string, path string) bool {
	for _, scope := range scopes {
		if scopeCovers(scope, path) {
			return true
		}
	}
	return false
}

// keyChain returns every key from the root of a tier down to a secret. A holder of one of them
// can derive the last one. A holder of none can only guess.
func keyChain(root keys.Key, p tokens.Path) map[keys.Key]bool {
	chain := map[keys.Key]bool{root: true}
	for _, segment := range p.Namespace().Segments() {
		root = keys.ChildKey(root, keys.KindNamespace, segment)
		chain[root] = true
	}
	chain[keys.ChildKey(root, keys.KindSecret, p.Key())] = true
	return chain
}

// The keys in the real grant of an agent or a token, in the real file, lead to exactly the secrets
// that its read scopes cover, in the tiers that it may read. This holds for the secrets that
// exist, and for those that come later.
func TestGrantsAreTheScopes(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	path := func() string {
		segments := []string{[]string{"a", "b"}[random.IntN(2)]}
		for range 1 + random.IntN(3) {
			segments = append(segments, []string{"a", "b", "aa", "K"}[random.IntN(4)])
		}
		return strings.Join(segments, "/")
	}
	randomScopes := func() (texts []string) {
		for range 1 + random.IntN(3) {
			pattern := path()
			switch random.IntN(6) {
			case 0:
				pattern = "*"
			case 1, 2, 3:
				pattern = pattern[:strings.LastIndexByte(pattern, '/')] + "/*"
			}
			texts = append(texts, "secrets:"+[]string{"read", "read", "*", "write", "delete"}[random.IntN(5)]+":"+pattern)
		}
		return texts
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	p := func(text string) tokens.Path {
		p, err := tokens.ParsePath(text)
		must(err)
		return p
	}
	owner, err := NewIdentity()
	must(err)
	file := filepath.Join(t.TempDir(), "vault.db")
	_, err = Create(file, owner, Options{})
	must(err)
	v, err := Open(file, Options{})
	must(err)
	defer v.Close()
	o, err := v.Owner(owner)
	must(err)

	secrets := map[string]tokens.Tier{} // those that exist
	write := func(n int) {
		must(o.update(func(t *tx) error {
			for range n {
				text, tier := path(), tokens.Tiers[max(0, random.IntN(5)-2)]
				if secrets[text] != 0 {
					continue
				}
				w, err := o.planWrite(t, p(text), SetOptions{Tier: tier})
				if err != nil {
					return err
				}
				if _, err := o.write(t, p(text), w, []byte("value of "+text)); err != nil {
					return err
				}
				secrets[text] = tier
			}
			return nil
		}))
	}
	write(25)

	// The grantees are agents, their tokens, and the owner's tokens.
	type holder struct {
		name   string
		scopes []string
		top    tokens.Tier
		open   func() (*Session, error)
	}
	var holders []holder
	token := func(issuer *Session, name string, scopes []string, top tokens.Tier) {
		parsed, err := tokens.ScopesOf(scopes)
		must(err)
		made, err := issuer.IssueToken(TokenSpec{Scopes: parsed, Tier: top})
		must(err)
		holders = append(holders, holder{name, scopes, top, func() (*Session, error) { return v.Token(made.Text) }})
	}
	var agents []string
	for i := range 8 {
		scopes := randomScopes()
		parsed, err := tokens.ScopesOf(scopes)
		must(err)
		made, k, err := o.CreateAgent(AgentSpec{Name: fmt.Sprint("agent", i), Scopes: parsed})
		must(err)
		agents = append(agents, made.ID)
		holders = append(holders, holder{made.Name, scopes, tokens.Standard, func() (*Session, error) { return v.Agent(k) }})
		if narrower := parsed.Intersect(func() tokens.Scopes {
			s,
				_ := tokens.ScopesOf(randomScopes())
			return s
		}()); i > 0 && len(narrower) > 0 {
			as, err := v.Agent(k)
			must(err)
			token(as, "a token of "+made.Name, narrower.Strings(), tokens.Standard)
		}
		token(o, fmt.Sprint("token", i), randomScopes(), tokens.Tiers[random.IntN(2)])
	}

	check := func(when string) {
		t.Helper()
		places := map[string]bool{}
		for text := range secrets {
			places[text] = true
		}
		for range 40 { // paths without a secret, too
			places[path()] = true
		}
		for _, h := range holders {
			s, err := h.open()
			must(err)
			for text := range places {
				for _, tier := range tokens.Tiers {
					want := tier <= h.top && anyScopeCovers(h.scopes, text)
					root := keys.TierKey(o.secret, tier)
					chain, has := keyChain(root, p(text)), false
					for _, n := range s.ring.Nodes {
						has = has || chain[n.Key]
					}
					if has != want {
						t.Fatalf("%s: %s (%v, up to %v) holds a key of %s (%v): %v", when, h.name, h.scopes, h.top, text, tier, has)
					}
					n, derives := s.ring.Derive(keys.NodeOf(tier, tokens.Exactly(p(text))))
					if derives != want || derives && n.Key != secretKey(root, p(text)) {
						t.Fatalf("%s: %s (%v, up to %v) derives the key of %s (%v): %v", when, h.name, h.scopes, h.top, text, tier,
							derives)
					}
				}
				if tier := secrets[text]; tier != 0 {
					var value []byte
					err := s.viewUnchecked(func(t *tx) (err error) { _, value, err = s.readVersion(t, p(text), 1); return err })
					if want := tier <= h.top && anyScopeCovers(h.scopes, text); want != (err == nil) || want && !bytes.Equal(value,
						[]byte("value of "+text)) {
						t.Fatalf("%s: %s (%v, up to %v) reads %s (%v) as %q: %v", when, h.name, h.scopes, h.top, text, tier, value, err)
					}
				}
			}
			for k := range s.ring.Files {
				if text := k.Path.String(); !anyScopeCovers(h.scopes, text) {
					t.Errorf("%s: %s (%v) holds the file key of %s", when, h.name, h.scopes, text)
				}
			}
		}
		if r, err := o.Verify(true); err != nil || len(r.Problems) > 0 {
			t.Fatalf("%s: %q, %v", when, r.Problems, err)
		}
	}
	check("at first")
	write(10)
	check("after more was written")
	// A rewrite grants other keys to the same secrets. Revoked keys open nothing.
	before, err := holders[0].open()
	must(err)
	_, err = o.RevokeAgent(agents[0], NarrowOptions{})
	must(err)
	for _, old := range before.ring.Nodes {
		for text := range secrets {
			if keyChain(keys.TierKey(o.secret, old.Tier), p(text))[old.Key] {
				t.Errorf("a key from before the rewrite still leads to %s", text)
			}
		}
	}
	if _, err := holders[0].open(); err == nil {
		t.Error("a revoked key opens its grant")
	}
	holders = holders[1:]
	write(5)
	check("after a rewrite")
}
