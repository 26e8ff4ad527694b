package tokens

import (
	"encoding/json"
	"slices"
	"strings"
)

// Action is the set of actions that a scope allows: [Read], [Write], [Delete].
type Action uint8

// The actions. To write is to create, update, rotate, restore and roll back.
const (
	Read Action = 1 << iota
	Write
	Delete

	anyAction = Read | Write | Delete
)

func (a Action) String() string {
	switch a {
	case Read:
		return "read"
	case Write:
		return "write"
	case Delete:
		return "delete"
	case anyAction:
		return "*"
	case Read | Write:
		return "read and write"
	}
	return "nothing"
}

// Pattern names one secret, or everything below a namespace at any depth: one
// node in the tree of paths. The zero Pattern is everything.
type Pattern struct {
	below Namespace // used if exact is the zero Path
	exact Path
}

// Below is the pattern of everything in n and below it.
func Below(n Namespace) Pattern { return Pattern{below: n} }

// Exactly is the pattern of one secret.
func Exactly(p Path) Pattern { return Pattern{exact: p} }

func parsePattern(s string) (Pattern, error) {
	if s == "*" {
		return Pattern{}, nil
	}
	if ns, ok := strings.CutSuffix(s, "/*"); ok && !strings.Contains(ns, "*") {
		if _, err := checkSegments("scope", ns, MaxPathSegments-1); err != nil {
			return Pattern{}, err
		}
		return Below(Namespace{ns}), nil
	}
	if strings.Contains(s, "*") {
		return Pattern{}, syntaxErrorf("scope", "* must stand alone or be the last segment, as in production/*, where it "+
			"matches any depth")
	}
	n, err := checkSegments("scope", s, MaxPathSegments)
	if err != nil {
		return Pattern{}, err
	}
	if n < 2 {
		return Pattern{}, syntaxErrorf("scope", "its path has no namespace; to cover a whole namespace, write namespace/*")
	}
	return Exactly(Path{s}), nil
}

// Exact returns the secret that the pattern names, if it names one.
func (p Pattern) Exact() (Path, bool) { return p.exact, p.exact != Path{} }

// Namespace returns the namespace that the pattern covers. It has no meaning for
// an exact pattern; see [Pattern.Exact].
func (p Pattern) Namespace() Namespace { return p.below }

// Covers reports whether the pattern covers the secret at path.
func (p Pattern) Covers(path Path) bool {
	if exact, ok := p.Exact(); ok {
		return exact == path
	}
	return p.below.Contains(path)
}

// Contains reports whether p covers all that q covers.
func (p Pattern) Contains(q Pattern) bool {
	if exact, ok := q.Exact(); ok {
		return p.Covers(exact)
	}
	if _, ok := p.Exact(); ok {
		return false
	}
	return p.below.text == "" || p.below == q.below || strings.HasPrefix(q.below.text, p.below.text+"/")
}

func (p Pattern) String() string {
	switch exact, ok := p.Exact(); {
	case ok:
		return exact.text
	case p.below.text == "":
		return "*"
	}
	return p.below.text + "/*"
}

// Scope is a right: it allows some actions on everything that a pattern covers.
type Scope struct {
	Actions Action
	Pattern Pattern
}

// ParseScope reads secrets:<read|write|delete|*>:<pattern>. The pattern is *, a
// namespace followed by /*, or a whole path.
func ParseScope(s string) (Scope, error) {
	kind, rest, ok1 := strings.Cut(s, ":")
	action, pattern, ok2 := strings.Cut(rest, ":")
	if !ok1 || !ok2 || kind != "secrets" {
		return Scope{}, syntaxErrorf("scope", "it is not of the form secrets:<read|write|delete|*>:<pattern>, as in "+
			"secrets:read:production/*")
	}
	var scope Scope
	for _, a := range []Action{Read, Write, Delete, anyAction} {
		if action == a.String() {
			scope.Actions = a
		}
	}
	if scope.Actions == 0 {
		return Scope{}, syntaxErrorf("scope", "its action must be read, write, delete or *")
	}
	var err error
	scope.Pattern, err = parsePattern(pattern)
	return scope, err
}

func (s Scope) String() string { return "secrets:" + s.Actions.String() + ":" + s.Pattern.String() }

// UnmarshalText reads a scope, for JSON.
func (s *Scope) UnmarshalText(b []byte) (err error) {
	*s, err = ParseScope(string(b))
	return err
}

// Scopes are all the rights of one actor.
type Scopes []Scope

// MaxScopes is how many scopes one agent or token can have.
const MaxScopes = 64

// ParseScopes reads one or more scopes, separated by commas or spaces.
func ParseScopes(s string) (Scopes, error) {
	return ScopesOf(strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' }))
}

// ScopesOf reads one or more scopes, one per text. It drops duplicates.
func ScopesOf(texts []string) (Scopes, error) {
	var scopes Scopes
	seen := map[Scope]bool{}
	for _, text := range texts {
		scope, err := ParseScope(text)
		if err != nil {
			return nil, err
		}
		if !seen[scope] {
			seen[scope] = true
			scopes = append(scopes, scope)
		}
	}
	switch n := len(scopes); {
	case n == 0:
		return nil, syntaxErrorf("scope", "there is none; for example: secrets:read:production/*")
	case n > MaxScopes:
		return nil, syntaxErrorf("scope", "there are %d; at most %d are allowed", n, MaxScopes)
	}
	return scopes, nil
}

// Allow reports whether the scopes allow every action of a on a path.
func (s Scopes) Allow(a Action, path Path) bool { return s.Contain(Scope{a, Exactly(path)}) }

// Contain reports whether s allows everything that o allows. Patterns are nodes
// of a tree, so for each action a single scope must contain the pattern of o.
func (s Scopes) Contain(o Scope) bool {
	var have Action
	for _, scope := range s {
		if scope.Pattern.Contains(o.Pattern) {
			have |= scope.Actions
		}
	}
	return have&o.Actions == o.Actions
}

// Intersect returns what both s and o allow, without a scope that lies in another.
func (s Scopes) Intersect(o Scopes) Scopes {
	var both Scopes
	for _, a := range s {
		for _, b := range o {
			c := Scope{a.Actions & b.Actions, a.Pattern}
			switch {
			case a.Pattern.Contains(b.Pattern):
				c.Pattern = b.Pattern
			case !b.Pattern.Contains(a.Pattern):
				continue
			}
			if c.Actions != 0 && !both.Contain(c) {
				both = append(slices.DeleteFunc(both, Scopes{c}.Contain), c)
			}
		}
	}
	return both
}

// Patterns returns the patterns on which s allows a, none within another.
func (s Scopes) Patterns(a Action) []Pattern {
	var list []Pattern
	for _, scope := range s {
		within := slices.ContainsFunc(list, func(p Pattern) bool { return p.Contains(scope.Pattern) })
		if scope.Actions&a == 0 || within {
			continue
		}
		list = append(slices.DeleteFunc(list, scope.Pattern.Contains), scope.Pattern)
	}
	return list
}

// Strings returns the text of each scope.
func (s Scopes) Strings() []string {
	texts := make([]string, len(s))
	for i, scope := range s {
		texts[i] = scope.String()
	}
	return texts
}

// MarshalJSON writes a list of texts, which is empty for no scopes.
func (s Scopes) MarshalJSON() ([]byte, error) { return json.Marshal(s.Strings()) }

func (s Scopes) String() string { return strings.Join(s.Strings(), ",") }
