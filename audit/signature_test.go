package audit

import (
	"bytes"
	std "crypto/ed25519"
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cloudflare/circl/sign/ed25519"
)

// strange has encodings of points and scalars that no honest key or signature contains; the
// test uses them as either. They are the points of small order, their non-canonical forms,
// the order of the group and its neighbours.
var strange = []string{
	"0100000000000000000000000000000000000000000000000000000000000000",
	"0000000000000000000000000000000000000000000000000000000000000000",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"ecd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010",
	"edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010",
	"eed3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010",
	"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}

// TestSignature compares circl's Ed25519, which this package uses, with the standard
// library's. Both give the same keys and signatures, byte for byte, and the same answer to
// every signature, valid or not. There is one difference: RFC 8032, 5.1.3 refuses a public key
// in a form that is not canonical, as circl does, and the standard library accepts it.
func TestSignature(t *testing.T) {
	verdicts := map[bool]int{}
	both := func(pub, message, sig []byte) {
		got, want := ed25519.Verify(pub, message, sig), std.Verify(pub, message, sig)
		if got != want && (got || canonical(pub)) {
			t.Errorf("a signature %x by %x on %q holds: %v; for the standard library: %v", sig, pub, message, got, want)
		}
		verdicts[got]++
	}
	var encodings [][]byte
	for _, s := range strange {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		other := bytes.Clone(b)
		other[31] ^= 0x80 // the sign of x
		encodings = append(encodings, b, other)
	}
	for _, pub := range encodings {
		for _, r := range encodings {
			for i, s := range encodings {
				both(pub, []byte{byte(i)}, append(bytes.Clone(r), s...))
			}
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 500 {
		seed, message := make([]byte, ed25519.SeedSize), make([]byte, random.IntN(1000))
		for _, b := range [][]byte{seed, message} {
			for i := range b {
				b[i] = byte(random.Uint32())
			}
		}
		ours, theirs := ed25519.NewKeyFromSeed(seed), std.NewKeyFromSeed(seed)
		if !bytes.Equal(ours, theirs) {
			t.Fatalf("the key of seed %x is %x, and the standard library's %x", seed, ours, theirs)
		}
		sig := ed25519.Sign(ours, message)
		if want := std.Sign(theirs, message); !bytes.Equal(sig, want) {
			t.Fatalf("signed %x, and the standard library %x", sig, want)
		}
		pub := ours[ed25519.SeedSize:]
		both(pub, message, sig)
		both(pub, append(message, 0), sig)
		both(pub, message, sig[:random.IntN(len(sig))])
		for _, part := range [][]byte{sig[:32], sig[32:], pub} {
			was := bytes.Clone(part)
			part[random.IntN(32)] ^= 1 << random.IntN(8)
			both(pub, message, sig)
			copy(part, encodings[n%len(encodings)])
			both(pub, message, sig)
			copy(part, was)
		}
	}
	if verdicts[true] < 500 || verdicts[false] < 500 {
		t.Errorf("%d signatures held and %d did not: were the right ones tried?", verdicts[true], verdicts[false])
	}
}

// canonical reports whether a point is encoded in the only form that RFC 8032 allows: y is
// below the prime, and the sign bit is 0 if x is 0.
func canonical(point []byte) bool {
	y := bytes.Clone(point)
	y[31] &= 0x7f
	if point[31]&0x80 != 0 && slices.ContainsFunc([]string{strange[0], strange[2]},
		func(s string) bool { return s == hex.EncodeToString(y) }) {
		return false
	}
	if !slices.ContainsFunc(y[1:31], func(b byte) bool { return b != 0xff }) && y[31] == 0x7f {
		return y[0] < 0xed
	}
	return true
}
