// Package vault keeps secrets in one bbolt file in which a key opens only what
// was granted to it.
//
// Start with [Create] and [Open]. An open [Vault] shows what needs no key; with
// a credential it becomes a [Session], which derives the keys of its own nodes
// and can derive no others. That, and no check in the code, is what confines
// who holds less than the owner.
//
//	owner identity (age)
//	  └ opens ─ root ┬─ owner's signing key ── vault id
//	                 ├─ every agent's secret
//	                 └─ opens the epoch secret ┬─ tier key ── path key … ── secret key
//	                                           └─ MAC key of the epoch
//
// What the file holds, one bucket a noun: meta (format, root, epoch, head),
// recipients, secrets, versions, unsealed, agents, grants, tokens, uses, asks,
// answers, audit. Every record has an author, a signature where its kind asks
// for one, a body in JSON, and a MAC; the head carries a sum over all of them.
//
// One rule holds it together: widening acts append, narrowing acts rewrite the
// vault under a new epoch. See [Session.Purge] and rewrite.go.
//
// Read keys.go (what is derived from what), then seal.go (what opens what), then
// record.go and store.go; the rest is built on those. The construction is
// written down, byte by byte, in docs/design.md, and testdata/vectors.txt has
// known answers for it.
//
// This package never prints, prompts or reads the environment.
package vault
