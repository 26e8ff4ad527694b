package vault

import "ass/vault/internal/keys"

// FewestShares and MostShares bound how many shares an owner key can have.
const (
	FewestShares = keys.FewestShares
	MostShares   = keys.MostShares
)

// Share is one share of an owner key. All but its points is public.
type Share = keys.Share

// ErrShares says that shares make no key together: they are of different sets, or one of them was altered.
var ErrShares = keys.ErrShares

// ErrTooFewShares says that there are fewer shares than it takes.
var ErrTooFewShares = keys.ErrTooFewShares

// SplitIdentity makes shares of an owner key, of which any threshold join to it, and fewer tell nothing about it. It
// returns an error unless FewestShares ≤ threshold ≤ total ≤ MostShares.
func SplitIdentity(i *Identity, total, threshold int) ([]Share, error) {
	return keys.SplitIdentity(i, total, threshold)
}

// JoinShares is the inverse of [SplitIdentity]. With more shares than the threshold, all must fit. The error is
// [ErrTooFewShares] or [ErrShares].
func JoinShares(shares []Share) (*Identity, error) { return keys.JoinShares(shares) }

// IdentityOf makes the identity of its 32 bytes, which [Identity.Secret] returns.
func IdentityOf(key [32]byte, x25519 bool) (*Identity, error) { return keys.IdentityOf(key, x25519) }
