package keys

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"testing"
	"testing/cryptotest"

	"filippo.io/age"
)

func identities(t *testing.T) []*Identity {
	t.Helper()
	hybrid, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	classic, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	x, err := ParseIdentity(classic.String())
	if err != nil {
		t.Fatal(err)
	}
	return []*Identity{hybrid, x}
}

// The bytes of an identity make it again, as age itself writes it.
func TestSecretOfIdentity(t *testing.T) {
	for _, id := range identities(t) {
		key, x25519, err := id.Secret()
		if err != nil || x25519 != !strings.HasPrefix(id.Text(), "AGE-SECRET-KEY-PQ-") {
			t.Fatalf("%v, %v", x25519, err)
		}
		again, err := IdentityOf(key, x25519)
		if err != nil || again.Text() != id.Text() {
			t.Errorf("another identity is made of the bytes: %v", err)
		}
		if other, err := IdentityOf(key, !x25519); err != nil || other.Text() == id.Text() {
			t.Errorf("the kind does not matter: %v", err)
		}
	}
}

// FIPS 197, section 4.2.
func TestField(t *testing.T) {
	if x, y := times(0x57, 0x83), times(0x57, 0x13); x != 0xc1 || y != 0xfe {
		t.Errorf("%x, %x", x, y)
	}
	for a := range 256 {
		want := byte(1)
		if a == 0 {
			want = 0
		}
		if got := times(byte(a), inverse(byte(a))); got != want {
			t.Errorf("%d times its inverse is %d", a, got)
		}
	}
}

func share(t *testing.T, number int, text string) (s Share) {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	copy(s.Points[:], b)
	s.Number = number
	return s
}

// Trezor's shamir-mnemonic 0.3.1, the reference of SLIP-39, interpolates the same values. The first set is vector 4 of
// that standard, "Basic sharing 2-of-3"; what it gives at 255 opens to the secret of the vector.
func TestInterpolateAsSLIP39(t *testing.T) {
	two := []Share{share(t, 2, "08fb14b66e692e25dfe2edf53289ed62"), share(t, 0, "06ab48fef4bedc8ce58baeef0a73f76e")}
	three := []Share{share(t, 1, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122"), share(t, 3, ""), share(t, 16, "")}
	for i := range sharedLen {
		three[1].Points[i], three[2].Points[i] = byte(7*i+3), byte(91*i+200)
	}
	for _, c := range []struct {
		shares []Share
		x      byte
		want   string
	}{
		{two, 255, "cdc017fddc829e791b1371780be0605a"},
		{two, 254, "cae839d99164e7a006aadd75179d6d5c"},
		{three, 0, "6d4f50433a70d61766fe8743877fbbc6ade28a993ac9d8c1dd95ec43511e02a983ccd3"},
		{three, 2, "6e4443582153fd2455b5c418dc2cd0a5ce891902a14a53726e3e4f988acdc96a400700"},
		{three, 255, "55ad8def7987821789e3a435ce707bcf49926406d62c4c07badc9b9ade05d0dba77c5c"},
	} {
		if got := interpolate(c.shares, c.x); !strings.HasPrefix(hex.EncodeToString(got[:]), c.want) {
			t.Errorf("at %d: %x, want %s", c.x, got, c.want)
		}
	}
}

// What is on paper stays there: these shares must join for ever. If this test fails, mend the code.
func TestKnownShares(t *testing.T) {
	id, err := IdentityOf(Key{31: 1}, false)
	if err != nil {
		t.Fatal(err)
	}
	cryptotest.SetGlobalRandom(t, 1)
	shares, err := SplitIdentity(id, 3, 2)
	if err != nil {
		t.Fatal(err)
	}
	const set = 317040
	want := []string{
		"6ae6783f4fbde91b6eb88b73a48ed247dbe5882e2579683432c1bfc525454adc704e41",
		"d4d7f07e9e61c936dc6b0de65307bf8eadd10b5c4af2d068649965914a8a94a0643dd7",
		"be318841d1dc202db2d38695f7896dc9763483726f8bb85c5658da546fcfde7d68e5a5",
	}
	for i, s := range shares {
		if got := hex.EncodeToString(s.Points[:]); got != want[i] || s.Set != set {
			t.Errorf("share %d of set %d: %s", s.Number, s.Set, got)
		}
	}
	known := []Share{}
	for i, text := range want {
		s := share(t, i+1, text)
		s.Threshold, s.Total, s.Set = 2, 3, set
		known = append(known, s)
	}
	if again, err := JoinShares(known); err != nil || again.Text() != id.Text() {
		t.Errorf("the shares of this test do not join: %v", err)
	}
}

// Every set of the threshold and more joins, and no smaller one does.
func TestEverySetJoins(t *testing.T) {
	for _, id := range identities(t) {
		for _, of := range [][2]int{{2, 2}, {3, 2}, {5, 3}, {6, 6}, {8, 4}, {16, 16}, {16, 15}} {
			total, threshold := of[0], of[1]
			shares, err := SplitIdentity(id, total, threshold)
			if err != nil {
				t.Fatal(err)
			}
			for mask := range 1 << total {
				n := bits.OnesCount(uint(mask))
				if total == 16 && n < 14 {
					continue // enough without them
				}
				var some []Share
				for i := total - 1; i >= 0; i-- {
					if mask>>i&1 == 1 {
						some = append(some, shares[i])
					}
				}
				joined, err := JoinShares(some)
				switch {
				case n < threshold && !errors.Is(err, ErrTooFewShares):
					t.Fatalf("%d of %d: %v", n, threshold, err)
				case n >= threshold && (err != nil || joined.Text() != id.Text()):
					t.Fatalf("%d of %d: %v", n, threshold, err)
				}
			}
			// Somebody who changes what a share says about itself gains nothing.
			fewer := append([]Share{}, shares[:threshold-1]...)
			for i := range fewer {
				fewer[i].Threshold--
			}
			if _, err := JoinShares(fewer); err == nil {
				t.Fatalf("%d shares join to a key of %d", threshold-1, threshold)
			}
		}
	}
}

// Fewer shares than the threshold tell nothing: for every secret, each combination of what they can be comes from
// exactly one choice of the random coefficients. The arithmetic is the same for each byte, so one is enough.
func TestTooFewSharesTellNothing(t *testing.T) {
	at := func(x byte, polynomial ...byte) (y byte) {
		for i := len(polynomial) - 1; i >= 0; i-- {
			y = times(y, x) ^ polynomial[i]
		}
		return y
	}
	for secret := range 256 {
		for x := byte(1); x <= MostShares; x++ {
			var seen [256]bool
			for c := range 256 {
				y := at(x, byte(secret), byte(c))
				if seen[y] {
					t.Fatalf("threshold 2: share %d of %d is %d for two coefficients", x, secret, y)
				}
				seen[y] = true
			}
		}
	}
	for _, secret := range []byte{0, 1, 77, 255} {
		for _, of := range [][2]byte{{1, 2}, {1, 16}, {7, 11}} {
			var seen [1 << 16]bool
			for c := range 1 << 16 {
				a, b := at(of[0], secret, byte(c), byte(c>>8)), at(of[1], secret, byte(c), byte(c>>8))
				if y := int(a)<<8 | int(b); seen[y] {
					t.Fatalf("threshold 3: shares %d of %d are %d for two choices", of, secret, y)
				} else {
					seen[y] = true
				}
			}
		}
	}
	// The shares are what this arithmetic says, with as many coefficients as it takes, which are new for each byte and
	// each set.
	id := identities(t)[0]
	key, x25519, _ := id.Secret()
	check := shareCheck(key, x25519)
	var last []Share
	for range 20 {
		shares, err := SplitIdentity(id, 4, 4)
		if err != nil {
			t.Fatal(err)
		}
		for b := range sharedLen {
			if secret := interpolate(shares, 0)[b]; secret != append(key[:], check[:]...)[b] {
				t.Fatalf("byte %d is another", b)
			}
		}
		same := 0
		for b := range sharedLen {
			if last != nil && last[0].Points[b] == shares[0].Points[b] {
				same++
			}
		}
		if same > 6 {
			t.Errorf("%d bytes of a share are those of the set before", same)
		}
		last = shares
	}
}

// Bytes of one share are evenly spread, whatever the key is.
func TestSharesAreSpread(t *testing.T) {
	id, _ := IdentityOf(Key{}, false)
	var count [256]int
	const sets = 3000
	for range sets {
		shares, err := SplitIdentity(id, 3, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range shares[2].Points {
			count[x]++
		}
	}
	expected, chi := float64(sets*sharedLen)/256, 0.0
	for _, n := range count {
		chi += (float64(n) - expected) * (float64(n) - expected) / expected
	}
	if chi > 400 { // 255 degrees of freedom: more with a chance of 1e-8
		t.Errorf("chi squared is %.0f", chi)
	}
}

// Shares that do not fit are refused, whichever they are.
func TestSharesThatDoNotFit(t *testing.T) {
	id := identities(t)[0]
	a, _ := SplitIdentity(id, 5, 3)
	b, _ := SplitIdentity(id, 5, 3)
	with := func(i int, change func(*Share)) []Share {
		list := append([]Share{}, a[:4]...)
		change(&list[i])
		return list
	}
	for name, shares := range map[string][]Share{
		"another set":            with(1, func(s *Share) { *s = b[1] }),
		"another set, renamed":   with(1, func(s *Share) { *s = b[1]; s.Set = a[0].Set }),
		"another set, 3 alone":   with(0, func(s *Share) { *s = b[0]; s.Set = a[0].Set })[:3],
		"altered":                with(3, func(s *Share) { s.Points[0] ^= 1 }),
		"altered, 3 alone":       with(0, func(s *Share) { s.Points[34] ^= 1 })[:3],
		"renumbered":             with(0, func(s *Share) { s.Number = 5 })[:3],
		"one number, two":        with(0, func(s *Share) { s.Number = 2 }),
		"another kind":           with(0, func(s *Share) { s.X25519 = true }),
		"all of another kind":    {{X25519: true, Set: a[0].Set, Number: 1, Threshold: 3, Total: 5, Points: a[0].Points}},
		"number 0":               with(0, func(s *Share) { s.Number = 0 }),
		"number above the total": with(0, func(s *Share) { s.Number = 6 }),
		"none":                   {},
		"threshold 1":            {{Number: 1, Threshold: 1, Total: 5}},
		"the same share 3 times": {a[0], a[0], a[0]},
		"of another total":       with(0, func(s *Share) { s.Total = 6 }),
	} {
		if _, err := JoinShares(shares); !errors.Is(err, ErrShares) && !errors.Is(err, ErrTooFewShares) {
			t.Errorf("%s: %v", name, err)
		}
	}
	zero := with(0, func(s *Share) { s.Number, s.Points = 0, interpolate(a[:3], 0) })
	if _, err := JoinShares(zero[:3]); !errors.Is(err, ErrShares) {
		t.Errorf("a share with the key itself: %v", err)
	}
	twice := append(append([]Share{}, a[:3]...), a[1])
	twice[3].Points[7] ^= 1
	if _, err := JoinShares(twice); !errors.Is(err, ErrShares) {
		t.Errorf("a share that is there twice, once altered: %v", err)
	}
	if joined, err := JoinShares([]Share{a[4], a[4], a[0], a[2]}); err != nil || joined.Text() != id.Text() {
		t.Errorf("a share that is there twice: %v", err)
	}
	for i := range a[0].Points {
		bad := append([]Share{}, a[:3]...)
		bad[1].Points[i] ^= 0x40
		if _, err := JoinShares(bad); !errors.Is(err, ErrShares) {
			t.Errorf("byte %d: %v", i, err)
		}
	}
	for _, of := range [][2]int{{1, 1}, {2, 1}, {2, 3}, {17, 2}, {0, 0}, {-1, 2}} {
		if _, err := SplitIdentity(id, of[0], of[1]); err == nil || strings.Contains(fmt.Sprint(err), "AGE-") {
			t.Errorf("%d: %v", of, err)
		}
	}
}
