package audit

import (
	"crypto/sha512"
	"crypto/subtle"

	"filippo.io/edwards25519"
	"github.com/cloudflare/circl/sign/ed25519"
)

// SignedBySelf reports whether priv made the signature sig of message. With the private key,
// this needs no operation on the curve and takes a tenth of the time: the second half of a
// signature (R, S) is S = r + H(R ‖ A ‖ message)·a, and r = H(prefix ‖ message), where
// prefix and a come from the key alone (RFC 8032, 5.1.6). Without the key, r and a are
// unknown, so nobody can compute S for another message or another R, just as nobody can
// compute a MAC.
//
// A false result is inconclusive: a signature may be valid although it was made in another
// way. Fall back to [ed25519.Verify].
func SignedBySelf(priv ed25519.PrivateKey, message, sig []byte) bool {
	if len(priv) != ed25519.PrivateKeySize || len(sig) != ed25519.SignatureSize {
		return false
	}
	h := sha512.Sum512(priv[:ed25519.SeedSize])
	a, err := edwards25519.NewScalar().SetBytesWithClamping(h[:32])
	if err != nil {
		return false // unreachable: these are 32 bytes
	}
	r, k := scalarOf(h[32:], message), scalarOf(sig[:32], priv[ed25519.SeedSize:], message)
	s := edwards25519.NewScalar().MultiplyAdd(k, a, r).Bytes()
	return subtle.ConstantTimeCompare(s, sig[32:]) == 1 // an attacker who learns s has a signature
}

// scalarOf is SHA-512 of some bytes, as a number modulo the order of the group.
func scalarOf(parts ...[]byte) *edwards25519.Scalar {
	h := sha512.New()
	for _, p := range parts {
		h.Write(p)
	}
	s, err := edwards25519.NewScalar().SetUniformBytes(h.Sum(nil))
	if err != nil {
		panic(err) // unreachable: these are 64 bytes
	}
	return s
}
