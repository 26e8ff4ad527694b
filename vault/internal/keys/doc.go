// Package keys says what opens what: every key of a vault is derived here, from the
// owner's root or from the secret of an agent or a token, and everything secret is sealed
// and opened here. It knows no file and no record. docs/design.md specifies the
// construction, and vault/testdata/vectors.txt has known answers for it.
//
// Read keys.go (what is derived from what), then seal.go (how a key opens bytes), then
// keyring.go (what a session holds).
package keys
