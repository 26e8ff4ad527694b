package redact

import (
	"strings"
	"testing"
)

// A short text is masked as a whole word, and these bytes make words.
func TestIsWord(t *testing.T) {
	const word = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
	n := New([]Secret{{"K", []byte("abcd")}}, Rules{})
	for c := range 256 {
		want := c >= 0x80 || strings.IndexByte(word, byte(c)) >= 0
		if isWord(byte(c)) != want {
			t.Errorf("byte %#x is part of a word: %t", c, !want)
		}
		around := string([]byte{byte(c)})
		for _, text := range []string{around + "abcd", "abcd" + around} {
			if got := masked(t, n, text); (got == text) != want {
				t.Errorf("%q is masked as %q", text, got)
			}
		}
	}
}
