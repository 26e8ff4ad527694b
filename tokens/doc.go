// Package tokens holds the grammar of what people and programs type: paths,
// namespaces, tiers, scopes, the text of agent keys, and tokens (JWTs).
//
// Everything here is pure. A value of one of its types is valid by
// construction: there is no way to hold a [Path] with an empty segment, so no
// caller has to check again. Nothing here opens a file, reads a clock or knows
// a vault.
//
// Errors are [SyntaxError]s. They name the part that is wrong and what is
// allowed, and never repeat the text itself: whoever pastes a secret in place
// of a path must not find it in a build log.
package tokens

import "fmt"

// SyntaxError says that a text is not of the form it must have.
type SyntaxError struct {
	What    string // the noun: "path", "agent key", "tier"
	Problem string // what is wrong with it, without the text itself
}

func (e *SyntaxError) Error() string { return e.What + ": " + e.Problem }

func syntaxErrorf(what, format string, args ...any) error {
	return &SyntaxError{What: what, Problem: fmt.Sprintf(format, args...)}
}
