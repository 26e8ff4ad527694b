package tokens

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseScope(t *testing.T) {
	segment := strings.Repeat("k", MaxSegmentBytes)
	for in, ok := range map[string]bool{
		"secrets:read:*":                              true,
		"secrets:write:a/*":                           true,
		"secrets:delete:a/b/K":                        true,
		"secrets:*:production/gemini/*":               true,
		"secrets:read:a.b/c-d/e_f":                    true,
		"secrets:read:" + segment + "/*":              true,
		"secrets:*:" + strings.Repeat("a/", 15) + "K": true,
		"secrets:*:" + strings.Repeat("a/", 15) + "*": true,
		"secrets:*:" + strings.Repeat("a/", 16) + "*": false, // no path below it is short enough
		"secrets:*:" + strings.Repeat("a/", 16) + "K": false,
		"":                                false,
		"*":                               false,
		"read:a/*":                        false,
		"secrets:read":                    false,
		"secrets:read:":                   false,
		"secrets::a/*":                    false,
		"secret:read:a/*":                 false,
		"Secrets:read:a/*":                false,
		"secrets:Read:a/*":                false,
		"secrets:list:a/*":                false,
		"secrets:nothing:a/*":             false, // how Action(0) prints
		"secrets:read,write:a/*":          false,
		"secrets:read:a/*:b/*":            false,
		"secrets:read: a/*":               false,
		"secrets:read:a/* ":               false,
		"secrets:read:KEY":                false, // a path without a namespace
		"secrets:read:a":                  false,
		"secrets:read:a/":                 false,
		"secrets:read:/*":                 false,
		"secrets:read:/a/*":               false,
		"secrets:read:a//*":               false,
		"secrets:read:a/../*":             false,
		"secrets:read:a/./K":              false,
		"secrets:read:a*":                 false,
		"secrets:read:a/b*":               false,
		"secrets:read:a/**":               false,
		"secrets:read:**":                 false,
		"secrets:read:*/*":                false,
		"secrets:read:*/K":                false,
		"secrets:read:a/*/K":              false,
		"secrets:read:a/*/*":              false,
		"secrets:read:a/?":                false,
		"secrets:read:a/{b,c}":            false,
		"secrets:read:a\\b/*":             false,
		"secrets:read:a\x00/*":            false,
		"secrets:read:é/*":                false,
		"secrets:read:" + segment + "k/*": false,
		"secrets:read:" + strings.Repeat(segment+"/", 4) + "*": false, // longer than any path
	} {
		scope, err := ParseScope(in)
		if (err == nil) != ok {
			t.Errorf("%.60q: %v", in, err)
		}
		if err == nil && scope.String() != in {
			t.Errorf("%.60q is written %.60q", in, scope)
		}
	}
}

func TestParseScopes(t *testing.T) {
	for in, want := range map[string]string{
		"secrets:read:a/*":                        "secrets:read:a/*",
		"secrets:read:a/*,secrets:write:b/K":      "secrets:read:a/*,secrets:write:b/K",
		"  secrets:read:a/* , secrets:write:b/K,": "secrets:read:a/*,secrets:write:b/K",
		// the order stays, because a token is signed over it
		"secrets:read:b/* secrets:read:a/* secrets:read:b/*": "secrets:read:b/*,secrets:read:a/*",
		"": "", " , ": "", "secrets:read:a/*;secrets:read:b/*": "", "secrets:read:a/*,x": "",
		"secrets:read:a/*\nsecrets:read:b/*": "",
	} {
		scopes, err := ParseScopes(in)
		if (err == nil) != (want != "") || scopes.String() != want {
			t.Errorf("%q is read as %q: %v", in, scopes, err)
		}
	}
	many := func(n int) (texts []string) {
		for i := range n {
			texts = append(texts, fmt.Sprintf("secrets:read:a%d/*", i))
		}
		return texts
	}
	if _, err := ScopesOf(many(MaxScopes)); err != nil {
		t.Errorf("%d scopes: %v", MaxScopes, err)
	}
	if _, err := ScopesOf(many(MaxScopes + 1)); err == nil {
		t.Errorf("%d scopes are accepted", MaxScopes+1)
	}
	if _, err := ScopesOf(append(many(MaxScopes), many(MaxScopes)...)); err != nil {
		t.Errorf("%d scopes, each twice: %v", MaxScopes, err)
	}
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"*", "a/K", true},
		{"a/*", "a/K", true},
		{"a/*", "a/b/c/K", true},
		{"a/*", "ab/K", false},
		{"a/*", "b/a/K", false},
		{"a/b/*", "a/b", false}, // the secret a/b is not below the namespace a/b
		{"a/b/*", "a/bb/K", false},
		{"a/K", "a/K", true},
		{"a/K", "a/K/K", false},
		{"a/K", "a/KK", false},
		{"a/K", "a/k", false},
	} {
		scope, err := ParseScope("secrets:read:" + c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		p, err := ParsePath(c.path)
		if err != nil {
			t.Fatal(err)
		}
		if scope.Pattern.Covers(p) != c.want {
			t.Errorf("%s covers %s: %v", c.pattern, c.path, !c.want)
		}
		exact, is := scope.Pattern.Exact()
		if is == strings.HasSuffix(c.pattern, "*") || is && exact.String() != c.pattern {
			t.Errorf("%s is exactly %q: %v", c.pattern, exact, is)
		}
	}
}

// naive is the specification of scopes. It compares texts only.
type naive []string

func (n naive) allows(a Action, path string) bool {
	for _, s := range n {
		_, rest, _ := strings.Cut(s, ":")
		action, pattern, _ := strings.Cut(rest, ":")
		prefix, below := strings.CutSuffix(pattern, "*")
		if (action == "*" || action == a.String()) && (path == pattern || below && strings.HasPrefix(path, prefix)) {
			return true
		}
	}
	return false
}

// universe returns paths from two letters that the scopes use, and from one that none of
// them uses. So scopes that cover all paths below a namespace do it with a single pattern.
func universe() (paths []string) {
	level := []string{"a", "b", "z"}
	for range 3 {
		var next []string
		for _, above := range level {
			for _, s := range []string{"a", "b", "z"} {
				next = append(next, above+"/"+s)
			}
		}
		paths, level = append(paths, next...), next
	}
	return paths
}

func randomScopes(random *rand.Rand) (texts naive) {
	for range 1 + random.IntN(4) {
		var segments []string
		for range 1 + random.IntN(3) {
			segments = append(segments, string("ab"[random.IntN(2)]))
		}
		if len(segments) < 2 || random.IntN(3) > 0 {
			segments[len(segments)-1] = "*"
		}
		action := []string{"read", "write", "delete", "*"}[random.IntN(4)]
		texts = append(texts, "secrets:"+action+":"+strings.Join(segments, "/"))
	}
	return texts
}

// Scopes allow, contain and intersect exactly as the specification on plain texts says.
func TestScopesAgainstNaive(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	actions := []Action{Read, Write, Delete}
	paths := universe()
	parsed := make([]Path, len(paths))
	for i, s := range paths {
		parsed[i], _ = ParsePath(s)
	}
	for range 400 {
		n, m := randomScopes(random), randomScopes(random)
		s, err1 := ScopesOf(n)
		o, err2 := ScopesOf(m)
		if err1 != nil || err2 != nil {
			t.Fatal(n, err1, m, err2)
		}
		both := s.Intersect(o)
		for i, scope := range both {
			for j, other := range both {
				if i != j && (Scopes{other}).Contain(scope) {
					t.Fatalf("%v and %v have %v, of which one lies in another", n, m, both)
				}
			}
		}
		contained := map[Scope]bool{}
		for _, scope := range o {
			contained[scope] = true
		}
		for _, a := range actions {
			patterns := s.Patterns(a)
			for i, p := range parsed {
				want := n.allows(a, paths[i])
				if s.Allow(a, p) != want {
					t.Fatalf("%v allow to %v %v: %v", n, a, p, !want)
				}
				if both.Allow(a, p) != (want && m.allows(a, paths[i])) {
					t.Fatalf("%v and %v have %v, which allows to %v %v: %v", n, m, both, a, p, both.Allow(a, p))
				}
				if in := slices.ContainsFunc(patterns, func(q Pattern) bool { return q.Covers(p) }); in != want {
					t.Fatalf("%v give %v for %v, which cover %v: %v", n, patterns, a, p, in)
				}
				for _, scope := range o {
					if !want && (naive{scope.String()}).allows(a, paths[i]) {
						contained[scope] = false
					}
				}
			}
			for i, p := range patterns {
				for j, q := range patterns {
					if i != j && p.Contains(q) {
						t.Fatalf("%v give %v for %v, of which one lies in another", n, patterns, a)
					}
				}
			}
		}
		for scope, want := range contained {
			if s.Contain(scope) != want {
				t.Fatalf("%v contain %v: %v", n, scope, !want)
			}
		}
	}
}

// Scopes allow several actions at once where they allow each of them.
func TestAllowSeveralActions(t *testing.T) {
	scopes, _ := ParseScopes("secrets:read:a/* secrets:write:a/b/*")
	for path, want := range map[string]bool{"a/b/K": true, "a/K": false} {
		if p, _ := ParsePath(path); scopes.Allow(Read|Write, p) != want {
			t.Errorf("to read and write %s is allowed: %v", path, !want)
		}
	}
	// Several actions print as a readable text.
	if text := (Read | Write).String(); !strings.Contains(text, "read") || !strings.Contains(text, "write") {
		t.Errorf("to read and write is called %q", text)
	}
}

// repeats reports whether the error reveals the secret in the text that caused it.
func repeats(err error, secret string) bool {
	return err != nil && strings.Contains(err.Error(), secret)
}

const pasted = "hunter2-and-more"

// Text that parses prints as the same text, and no error repeats the input.
func FuzzScope(f *testing.F) {
	for _, s := range []string{"secrets:read:*", "secrets:*:a/b/*", "secrets:delete:a/K", "secrets:read:*/a", "secrets::",
		"x", "secrets:read:a/../b", "a,b c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if scope, err := ParseScope(s); err == nil {
			if scope.String() != s || scope.Actions == 0 {
				t.Errorf("%q is written %q", s, scope)
			}
			if !(Scopes{scope}).Contain(scope) || !(Scope{anyAction, Pattern{}}).Pattern.Contains(scope.Pattern) {
				t.Errorf("%q does not contain itself", s)
			}
		}
		if scopes, err := ParseScopes(s); err == nil {
			if again, err := ParseScopes(scopes.String()); err != nil || !slices.Equal(again, scopes) {
				t.Errorf("%q came back as %q: %v", s, again, err)
			}
		}
		for _, typed := range []string{pasted + s, s + pasted, s[:len(s)/2] + pasted + s[len(s)/2:]} {
			_, err1 := ParseScope(typed)
			_, err2 := ParseScopes(typed)
			if repeats(err1, pasted) || repeats(err2, pasted) {
				t.Errorf("the error repeats what was typed: %v, %v", err1, err2)
			}
		}
	})
}
