package vault

import "ass/vault/internal/keys"

// Identity is the owner's credential: an age identity. Its holder owns every vault made
// with it. Text returns the secret, and Lock encrypts it with a passphrase.
type Identity = keys.Identity

// NewIdentity makes a post-quantum hybrid identity (ML-KEM-768 with X25519).
func NewIdentity() (*Identity, error) { return keys.NewIdentity() }

// ParseIdentity reads an owner key: a hybrid identity (AGE-SECRET-KEY-PQ-1…) or an X25519
// one (AGE-SECRET-KEY-1…). The error says what is wrong, but never quotes s.
func ParseIdentity(s string) (*Identity, error) { return keys.ParseIdentity(s) }

// LooksLikeIdentity reports whether s has the form of an age identity, even a mistyped one.
func LooksLikeIdentity(s string) bool { return keys.LooksLikeIdentity(s) }

// IsLocked reports whether a stored identity is encrypted with a passphrase.
func IsLocked(stored string) bool { return keys.IsLocked(stored) }

// KeyText returns the key in the content of a file: what age-keygen writes, without its comments, or what age -p writes,
// armored. A byte order mark does not matter, and neither does UTF-16.
func KeyText(content []byte) string { return keys.KeyText(content) }

// PassphraseMemory returns how many bytes of memory [UnlockIdentity] takes for a stored identity,
// and [Identity.Lock] if stored is "".
func PassphraseMemory(stored string) int64 { return keys.PassphraseMemory(stored) }

// UnlockIdentity is the inverse of [Identity.Lock]. If the passphrase is wrong, the error
// is [ErrPassphrase].
func UnlockIdentity(stored, passphrase string) (*Identity, error) {
	return keys.UnlockIdentity(stored, passphrase)
}
