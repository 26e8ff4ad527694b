// Package tokens holds the grammar of what people and programs type: paths,
// namespaces, tiers, scopes, the text of agent keys, and tokens (JWTs).
//
// Everything here is pure. Values are valid by construction: a [Path] cannot
// have an empty segment, so callers need not check again. Nothing here opens a
// file, reads a clock or knows a vault.
//
// Errors are [SyntaxError]s. They name the part that is wrong and what is
// allowed, and never repeat the text itself: if someone pastes a secret in
// place of a path, it must not appear in a build log.
package tokens

import "fmt"

// SyntaxError reports malformed text.
type SyntaxError struct {
	What    string // the noun: "path", "agent key", "tier"
	Problem string // what is wrong with it, without the text itself
}

func (e *SyntaxError) Error() string { return e.What + ": " + e.Problem }

func syntaxErrorf(what, format string, args ...any) error {
	return &SyntaxError{What: what, Problem: fmt.Sprintf(format, args...)}
}
