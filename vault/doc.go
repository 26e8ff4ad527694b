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
// recipients, secrets, versions, unsealed, agents, grants, tokens, uses, asks, answers,
// audit. Every record has an author, a signature if its kind requires one,
// a body in JSON, and a MAC. The head carries a digest of all records.
//
// One rule holds it together: an act that widens access appends, and an act that
// narrows access rewrites the vault under a new epoch. See [Session.Purge] and
// rewrite.go.
//
// # Where things are
//
// Below this package are three rooms, each with a contract of its own:
//
//   - disk: files that others may have put there. It knows no vault.
//   - internal/bolt: one bbolt file, never trusted. It knows no key and no record.
//   - internal/keys: what opens what. It knows no file.
//
// In this package, from below to above:
//
//   - buckets.go, kinds.go, record.go, head.go, tx.go: records with their MACs and
//     signatures, who may write which, and the transaction that every act runs in.
//   - vault.go, identity.go, errors.go, memory.go, wipe.go: opening a vault, and what this
//     machine remembers of it.
//   - grants.go, access.go: what the key of an agent or a token opens; then what the
//     program checks besides.
//   - secrets.go, write.go, look.go, bulk.go, batches.go, reseal.go, generate.go: reading
//     and writing secrets.
//   - agents.go, tokens.go, tokens_end.go, requests.go, decisions.go: agents, tokens, and
//     approvals.
//   - rewrite.go, build.go, copy.go, mend.go, maintain.go: taking rights away, in a new file.
//   - story.go, story_tokens.go, checkpoint.go: what the log tells. Whatever reads a whole log learns it here.
//   - verify.go, verify_grants.go, verified.go, archive.go: the records held against that.
//   - backup.go, restore.go, restore_plan.go, salvage.go, scan.go: copies, and what is
//     left of a damaged file.
//   - explain.go, info.go: who may do what, and what needs no key.
//
// docs/design.md specifies the construction byte by byte, and testdata/vectors.txt has
// known answers for it.
//
// # What is stable
//
// [Create], [Open], [Options], [Identity] and its functions, the kinds of errors, and the
// methods of [Vault] and [Session] that act on secrets, agents, tokens and requests stay as
// they are within a major version. What maintains the file (backups, restores, salvages,
// archives, reports) may change with it.
//
// Vaults of the formats ass/1 and ass/2 open in every later version: testdata/golden has such vaults,
// and tests open them. A later format gets another name, and an older program refuses it
// with [ErrFormat]. [Session.Upgrade] rewrites a vault in the newest format.
//
// This package never prints, prompts or reads the environment.
package vault
