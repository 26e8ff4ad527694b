package tokens

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"strings"
)

const (
	keyPrefix = "ass_"
	keyDigits = 54 // base62 digits of a 40-byte number
	base62    = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// AgentKey is the content of an agent's key: its secret and the first bytes of
// the id of the vault that issued it. The text of the key also has a checksum,
// which tells a mistyped key from an unknown one.
type AgentKey struct {
	Secret [32]byte
	Vault  [4]byte
}

// LooksLikeAgentKey reports whether s begins like an agent key, valid or
// mistyped.
func LooksLikeAgentKey(s string) bool { return strings.HasPrefix(s, keyPrefix) }

// LooksLikeToken reports whether s has the form of a JWT: three parts of
// base64url.
func LooksLikeToken(s string) bool {
	return strings.HasPrefix(s, "ey") && strings.Count(s, ".") == 2
}

// ParseAgentKey reads the text of an agent key and checks its checksum.
func ParseAgentKey(s string) (AgentKey, error) {
	digits, ok := strings.CutPrefix(s, keyPrefix)
	if !ok {
		return AgentKey{}, syntaxErrorf("agent key", "it does not begin with %s", keyPrefix)
	}
	if len(digits) != keyDigits {
		return AgentKey{}, syntaxErrorf("agent key", "it has %d characters instead of %d; was it copied completely?", len(s),
			len(keyPrefix)+keyDigits)
	}
	n, base := new(big.Int), big.NewInt(62)
	for i := range len(digits) {
		d := strings.IndexByte(base62, digits[i])
		if d < 0 {
			return AgentKey{}, syntaxErrorf("agent key", "character %d is not a letter or digit", len(keyPrefix)+i+1)
		}
		n.Add(n.Mul(n, base), big.NewInt(int64(d)))
	}
	if n.BitLen() > 320 {
		return AgentKey{}, syntaxErrorf("agent key", "it is out of range; was it mistyped?")
	}
	var raw [40]byte
	n.FillBytes(raw[:])
	k := AgentKey{Secret: [32]byte(raw[:32]), Vault: [4]byte(raw[32:36])}
	if !bytes.Equal(raw[36:], k.check()) {
		return AgentKey{}, syntaxErrorf("agent key", "its checksum does not match; was it mistyped or truncated?")
	}
	return k, nil
}

// Text returns the key in the form that an agent gets. It is a secret;
// [AgentKey.String] is safe to print.
func (k AgentKey) Text() string {
	n := new(big.Int).SetBytes(append(k.raw(), k.check()...))
	digits, base, d := make([]byte, keyDigits), big.NewInt(62), new(big.Int)
	for i := keyDigits - 1; i >= 0; i-- {
		n.DivMod(n, base, d)
		digits[i] = base62[d.Int64()]
	}
	return keyPrefix + string(digits)
}

// String hides the secret.
func (AgentKey) String() string { return keyPrefix + "…" }

// GoString hides the secret.
func (AgentKey) GoString() string { return keyPrefix + "…" }

func (k AgentKey) raw() []byte { return append(k.Secret[:len(k.Secret):len(k.Secret)], k.Vault[:]...) }

func (k AgentKey) check() []byte {
	const label = "ass/1 key check"
	sum := sha256.Sum256(append(append(binary.BigEndian.AppendUint32(nil, uint32(len(label))), label...), k.raw()...))
	return sum[:4]
}
