package vault

import (
	"crypto/rand"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"ass/tokens"
)

// Charsets are the named sets of characters that [Generate] draws from.
var Charsets = map[string]string{
	"alnum":  "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
	"alpha":  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
	"digits": "0123456789",
	"hex":    "0123456789abcdef",
	"ascii":  "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~",
}

// Limits of the length of a generated value, in characters.
const (
	MinGenerated = 8
	MaxGenerated = 4096
)

// Generate makes a random value of length characters, each drawn uniformly from the
// named charset. An unknown charset, or a length outside the limits, is a
// [tokens.SyntaxError].
func Generate(length int, charset string) ([]byte, error) {
	set, ok := Charsets[charset]
	if !ok {
		names := slices.Sorted(maps.Keys(Charsets))
		return nil, &tokens.SyntaxError{What: "charset", Problem: "it must be one of " + strings.Join(names, ", ")}
	}
	if length < MinGenerated || length > MaxGenerated {
		return nil, &tokens.SyntaxError{What: "length", Problem: fmt.Sprintf("it must be from %d to %d", MinGenerated,
			MaxGenerated)}
	}
	value, most := make([]byte, length), big.NewInt(int64(len(set)))
	for i := range value {
		n, err := rand.Int(rand.Reader, most)
		if err != nil {
			return nil, err
		}
		value[i] = set[n.Int64()]
	}
	return value, nil
}
