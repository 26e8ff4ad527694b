package hmac256

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

// theirSum and theirDerive are what the libraries say.
func theirSum(key, message []byte) (sum [32]byte) {
	h := hmac.New(sha256.New, key)
	h.Write(message)
	h.Sum(sum[:0])
	return sum
}

func theirDerive(t *testing.T, secret, salt, info []byte) [32]byte {
	t.Helper()
	out, err := hkdf.Key(sha256.New, secret, salt, string(info), 32)
	if err != nil {
		t.Fatal(err)
	}
	return [32]byte(out)
}

// text returns n bytes that are different for each seed.
func text(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)*7 + byte(i>>8) + seed
	}
	return b
}

// Every length around the block size of SHA-256 gives what the libraries give.
func TestAsTheLibraries(t *testing.T) {
	long := []int{0, 1, 16, 32, 55, 56, 63, 64, 65, 119, 120, 127, 128, 129, 1000}
	compare := func(secret, salt, info int) {
		a, b, c := text(secret, 1), text(salt, 2), text(info, 3)
		if Derive(a, b, c) != theirDerive(t, a, b, c) {
			t.Errorf("derive: secret of %d, salt of %d, info of %d", secret, salt, info)
		}
		want := theirSum(b, append(bytes.Clone(a), c...))
		if Sum(b, a, c) != want || Sum(b, append(bytes.Clone(a), c...)) != want || Sum(b, nil, a, nil, c) != want {
			t.Errorf("sum: key of %d, parts of %d and %d", salt, secret, info)
		}
	}
	for n := range 200 {
		for i, a := range long {
			b := long[(i+n)%len(long)] // with another one each time, so that each two of long meet
			compare(n, a, b)
			compare(a, n, b)
			compare(a, b, n)
		}
	}
	if Derive(text(32, 1), nil, nil) != theirDerive(t, text(32, 1), nil, nil) || Sum(nil) != theirSum(nil, nil) {
		t.Error("without anything")
	}
}

// The answers of RFC 5869 (appendix A.1 to A.3, their first 32 bytes) and of RFC 4231 (4.2, 4.3, 4.7, 4.8).
func TestVectors(t *testing.T) {
	h := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	upTo := func(from, to int) (b []byte) {
		for c := from; c <= to; c++ {
			b = append(b, byte(c))
		}
		return b
	}
	for i, v := range []struct {
		secret, salt, info []byte
		want               string
	}{
		{bytes.Repeat([]byte{0x0b}, 22), upTo(0, 0x0c), upTo(0xf0, 0xf9),
			"3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"},
		{upTo(0, 0x4f), upTo(0x60, 0xaf), upTo(0xb0, 0xff),
			"b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"},
		{bytes.Repeat([]byte{0x0b}, 22), nil, nil,
			"8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"},
	} {
		if got := Derive(v.secret, v.salt, v.info); !bytes.Equal(got[:], h(v.want)) {
			t.Errorf("RFC 5869, A.%d: %x", i+1, got)
		}
	}
	for i, v := range []struct {
		key     []byte
		message string
		want    string
	}{
		{bytes.Repeat([]byte{0x0b}, 20), "Hi There",
			"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{[]byte("Jefe"), "what do ya want for nothing?",
			"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{bytes.Repeat([]byte{0xaa}, 131), "Test Using Larger Than Block-Size Key - Hash Key First",
			"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
		{bytes.Repeat([]byte{0xaa}, 131), "This is a test using a larger than block-size key and a larger than " +
			"block-size data. The key needs to be hashed before being used by the HMAC algorithm.",
			"9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
	} {
		if got := Sum(v.key, []byte(v.message)); !bytes.Equal(got[:], h(v.want)) {
			t.Errorf("RFC 4231, %d: %x", i+1, got)
		}
	}
}

// Nothing is left for the garbage collector.
func TestNoGarbage(t *testing.T) {
	secret, info, more := text(32, 1), text(100, 2), text(700, 3)
	if n := testing.AllocsPerRun(100, func() { Derive(secret, nil, info); Sum(secret, info, more) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzAsTheLibraries(f *testing.F) {
	f.Add([]byte("secret"), []byte("salt"), []byte("info"))
	f.Add(text(32, 1), []byte{}, text(100, 2))
	f.Add(text(64, 1), text(65, 2), text(500, 3))
	f.Fuzz(func(t *testing.T, secret, salt, info []byte) {
		if Derive(secret, salt, info) != theirDerive(t, secret, salt, info) {
			t.Error("derive")
		}
		if Sum(salt, secret, info) != theirSum(salt, append(bytes.Clone(secret), info...)) {
			t.Error("sum")
		}
	})
}

func BenchmarkDerive(b *testing.B) {
	secret, info := text(32, 1), text(100, 2)
	b.ReportAllocs()
	for b.Loop() {
		Derive(secret, nil, info)
	}
}

func BenchmarkSum(b *testing.B) {
	key, message := text(32, 1), text(450, 2)
	b.ReportAllocs()
	for b.Loop() {
		Sum(key, message)
	}
}
