package keys

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"slices"

	"ass/tokens"
)

// Shares of an owner key: Shamir's scheme over GF(2^8), byte by byte, over the key's 32 bytes and a check of 3 bytes.
// The coefficients are random, so fewer shares than the threshold fit every key equally well: they tell nothing about
// it, also to somebody who can compute without limit. The check is shared with the key, and so it tells nothing either;
// it finds a share that was altered, or that is of another set with the same id.
//
// The field is that of AES and of SLIP-39. A library would do, but those that are kept well cost each command more:
// circl's secretsharing has 0.1 ms of init, and works on scalars, in which a key must be wrapped first.

const (
	// FewestShares and MostShares bound how many shares a set has; the threshold is at least FewestShares, too.
	FewestShares, MostShares = 2, 16

	shareCheckLen = 3
	sharedLen     = 32 + shareCheckLen
	setBits       = 19 // as many as four characters on paper hold
)

// Share is one share of an owner key. All but its points is public.
type Share struct {
	X25519    bool   // the kind of the owner key: X25519, or post-quantum
	Set       uint32 // the id of the set: 19 random bits
	Number    int    // from 1 to Total
	Threshold int    // how many shares open the key
	Total     int    // how many shares were made
	Points    [sharedLen]byte
}

// set returns what all shares of a set have in common.
func (s Share) set() Share {
	return Share{X25519: s.X25519, Set: s.Set, Threshold: s.Threshold, Total: s.Total}
}

// ErrShares is the error of shares that make no key together: they are of different sets, or one of them was altered.
var ErrShares = errors.New("these shares make no key together")

// ErrTooFewShares is the error of fewer shares than the threshold.
var ErrTooFewShares = errors.New("there are too few shares")

// SplitIdentity makes shares of an owner key, of which any threshold join to it. It returns an error unless
// FewestShares ≤ threshold ≤ total ≤ MostShares.
func SplitIdentity(i *Identity, total, threshold int) ([]Share, error) {
	if threshold < FewestShares || total < threshold || total > MostShares {
		return nil, &tokens.SyntaxError{What: "number of shares",
			Problem: "a set has 2 to 16 shares, and at least 2 and at most all of them open the key"}
	}
	key, x25519, err := i.Secret()
	if err != nil {
		return nil, err
	}
	defer key.Wipe()
	check := shareCheck(key, x25519)
	polynomials := make([]byte, threshold*sharedLen) // for each power of x, its coefficients
	defer clear(polynomials)
	copy(polynomials, key[:])
	copy(polynomials[len(key):], check[:])
	rand.Read(polynomials[sharedLen:])
	var set [4]byte
	rand.Read(set[:])
	shares := make([]Share, total)
	for n := range shares {
		s := &shares[n]
		*s = Share{X25519: x25519, Number: n + 1, Threshold: threshold, Total: total,
			Set: (uint32(set[0])<<16 | uint32(set[1])<<8 | uint32(set[2])) & (1<<setBits - 1)}
		for power := threshold - 1; power >= 0; power-- { // Horner
			for b := range s.Points {
				s.Points[b] = times(s.Points[b], byte(s.Number)) ^ polynomials[power*sharedLen+b]
			}
		}
	}
	return shares, nil
}

// JoinShares is the inverse of [SplitIdentity]. A share may be there twice. With more shares than the threshold, all
// must fit. The error is [ErrTooFewShares] or [ErrShares].
func JoinShares(shares []Share) (*Identity, error) {
	if len(shares) == 0 {
		return nil, ErrTooFewShares
	}
	set := shares[0].set()
	if set.Threshold < FewestShares || set.Total > MostShares {
		return nil, ErrShares
	}
	var given []Share // one of each number
	for _, s := range shares {
		if s.set() != set || s.Number < 1 || s.Number > s.Total {
			return nil, ErrShares
		}
		i := slices.IndexFunc(given, func(g Share) bool { return g.Number == s.Number })
		if i < 0 {
			given = append(given, s)
		} else if subtle.ConstantTimeCompare(given[i].Points[:], s.Points[:]) == 0 {
			return nil, ErrShares
		}
	}
	if len(given) < set.Threshold {
		return nil, ErrTooFewShares
	}
	enough, rest := given[:set.Threshold], given[set.Threshold:]
	for _, s := range rest {
		if at := interpolate(enough, byte(s.Number)); subtle.ConstantTimeCompare(at[:], s.Points[:]) == 0 {
			return nil, ErrShares
		}
	}
	joined := interpolate(enough, 0)
	defer clear(joined[:])
	key := Key(joined[:32])
	defer key.Wipe()
	check := shareCheck(key, set.X25519)
	if subtle.ConstantTimeCompare(check[:], joined[32:]) == 0 {
		return nil, ErrShares
	}
	return IdentityOf(key, set.X25519)
}

// shareCheck returns what is shared with a key, so that a join can tell whether it has the right one.
func shareCheck(key Key, x25519 bool) (check [shareCheckLen]byte) {
	kind := byte(0)
	if x25519 {
		kind = 1
	}
	k := kdf(key, nil, "ass/1 share check", []byte{kind})
	copy(check[:], k[:])
	k.Wipe()
	return check
}

// interpolate returns the value at x of the polynomials that go through the shares (Lagrange). No two shares have one
// number.
func interpolate(shares []Share, x byte) (at [sharedLen]byte) {
	for i, s := range shares {
		weight := byte(1)
		for j, other := range shares {
			if i != j {
				weight = times(weight, times(x^byte(other.Number), inverse(byte(s.Number)^byte(other.Number))))
			}
		}
		for b := range at {
			at[b] ^= times(weight, s.Points[b])
		}
	}
	return at
}

// times multiplies in GF(2^8) modulo x^8+x^4+x^3+x+1 (FIPS 197, section 4.2), without a branch or an index that depends
// on the factors.
func times(a, b byte) (product byte) {
	for range 8 {
		product ^= -(b & 1) & a
		a = a<<1 ^ -(a>>7)&0x1b
		b >>= 1
	}
	return product
}

// inverse returns a^254, which is 1/a; 0 for 0.
func inverse(a byte) byte {
	power := byte(1)
	for range 7 { // 254 = 2 + 4 + … + 128
		a = times(a, a)
		power = times(power, a)
	}
	return power
}
