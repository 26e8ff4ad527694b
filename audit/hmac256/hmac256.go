// Package hmac256 has HMAC-SHA256 and HKDF-SHA256 without garbage. The libraries' functions take two to three times as
// long for short inputs; one command derives dozens of keys, and a verification of a log two for each entry.
package hmac256

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
)

// Sum returns the HMAC-SHA256 (RFC 2104) of a message, which is the concatenation of parts.
func Sum(key []byte, parts ...[]byte) (sum [32]byte) {
	const block = sha256.BlockSize
	if len(key) > block {
		short := sha256.Sum256(key)
		key = short[:]
	}
	var inner, outer [block]byte
	for i := 0; i < block; i += 8 {
		binary.NativeEndian.PutUint64(inner[i:], 0x3636363636363636)
		binary.NativeEndian.PutUint64(outer[i:], 0x5c5c5c5c5c5c5c5c)
	}
	subtle.XORBytes(inner[:], inner[:], key)
	subtle.XORBytes(outer[:], outer[:], key)
	h := sha256.New() // stays on the stack
	h.Write(inner[:])
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(sum[:0])
	h.Reset()
	h.Write(outer[:])
	h.Write(sum[:])
	h.Sum(sum[:0])
	return sum
}

// Derive returns the first 32 bytes that HKDF-SHA256 (RFC 5869) derives, which takes two HMACs.
func Derive(secret, salt, info []byte) [32]byte {
	prk := Sum(salt, secret) // a salt that is missing is zeros, and HMAC fills a short key up with zeros
	return Sum(prk[:], info, []byte{1})
}
