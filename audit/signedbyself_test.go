package audit

import (
	"bytes"
	"crypto/rand"
	"crypto/sha512"
	"testing"

	"filippo.io/edwards25519"
	"github.com/cloudflare/circl/sign/ed25519"
)

// SignedBySelf accepts the signatures that the key itself made, and no others.
func TestMade(t *testing.T) {
	for i := range 50 {
		pub, priv, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		_, other, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		message := make([]byte, i*37)
		rand.Read(message)
		sig := ed25519.Sign(priv, message)
		if !SignedBySelf(priv, message, sig) {
			t.Fatalf("a signature on %d bytes is not known by who made it", len(message))
		}
		if SignedBySelf(other, message, sig) || SignedBySelf(priv, append(message, 0), sig) || SignedBySelf(priv, message,
			sig[:63]) || SignedBySelf(priv, message, append(sig, 0)) {
			t.Error("it is known by another key, on another message or with another length")
		}
		for bit := range 8 * len(sig) {
			forged := bytes.Clone(sig)
			forged[bit/8] ^= 1 << (bit % 8)
			if SignedBySelf(priv, message, forged) {
				t.Errorf("with bit %d turned it is still known", bit)
			}
		}
		if SignedBySelf(priv, message, plusOrder(sig)) {
			t.Error("it is known with S + L for S")
		}
		// SignedBySelf refuses a valid signature with a random nonce.
		if random := signRandomly(t, priv, message); !ed25519.Verify(pub, message, random) || SignedBySelf(priv, message,
			random) {
			t.Error("a signature with another nonce must hold, and is not what this key makes")
		}
	}
}

// plusOrder returns the signature with the order of the group added to its second half, S.
func plusOrder(sig []byte) []byte {
	order := []byte{0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
		31: 0x10}
	out, carry := bytes.Clone(sig), 0
	for i, b := range order {
		sum := int(sig[32+i]) + int(b) + carry
		out[32+i], carry = byte(sum), sum>>8
	}
	return out
}

func signRandomly(t *testing.T, priv ed25519.PrivateKey, message []byte) []byte {
	t.Helper()
	var nonce [32]byte
	rand.Read(nonce[:])
	h := sha512.Sum512(priv[:32])
	a, err := edwards25519.NewScalar().SetBytesWithClamping(h[:32])
	if err != nil {
		t.Fatal(err)
	}
	r := scalarOf(nonce[:])
	point := new(edwards25519.Point).ScalarBaseMult(r).Bytes()
	s := edwards25519.NewScalar().MultiplyAdd(scalarOf(point, priv[32:], message), a, r)
	return append(point, s.Bytes()...)
}

func BenchmarkMade(b *testing.B) {
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	message := make([]byte, 400)
	sig := ed25519.Sign(priv, message)
	for b.Loop() {
		if !SignedBySelf(priv, message, sig) {
			b.Fatal()
		}
	}
}
