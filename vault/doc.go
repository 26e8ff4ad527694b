// Package vault keeps secrets in one bbolt file. A key opens only what was granted
// to it.
//
// Start with [Create] and [Open]. An open [Vault] shows what needs no key. With a
// credential it becomes a [Session], which derives the keys of its own nodes and
// can derive no others. Agents and tokens are confined by the keys that they lack,
// not by checks in the code.
//
//	owner identity (age)
//	  └ opens ─ root ┬─ owner's signing key ── vault id
//	                 ├─ every agent's secret
//	                 └─ opens the epoch secret ┬─ tier key ── path key … ── secret key
//	                                           └─ MAC key of the epoch
//
// The file has one bucket for each kind of thing: meta (format, root, epoch, head),
// recipients, secrets, versions, unsealed, agents, grants, tokens, uses, asks,
// answers, audit. Every record has an author, a signature if its kind requires one,
// a body in JSON, and a MAC. The head carries a digest of all records.
//
// One rule holds it together: an act that widens access appends, and an act that
// narrows access rewrites the vault under a new epoch. See [Session.Purge] and
// rewrite.go.
//
// Read keys.go (what is derived from what), then seal.go (what opens what), then
// record.go and store.go; the rest builds on those. docs/design.md specifies the
// construction byte by byte, and testdata/vectors.txt has known answers for it.
//
// This package never prints, prompts or reads the environment.
package vault
