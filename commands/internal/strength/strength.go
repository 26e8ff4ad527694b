// Package strength estimates how many guesses a passphrase withstands.
//
// It is a small relative of zxcvbn (Wheeler, USENIX Security 2016): it cuts a passphrase into the pieces of which
// people make them, and counts what a guesser who knows that needs for each. It has no dictionary but the few words
// that are guessed first, so it takes each run of letters for a word of a list of 7,776, as Diceware has it, and a
// short one for a word of a shorter list. Random letters count less than they are worth. But it knows nothing of the
// person: an address or a date that others know counts as if it were random.
package strength

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Rate is how many guesses a second one guesser is taken to make: scrypt with 2^18 rounds takes 256 MiB for each, and a
// graphics card manages some hundreds a second.
const Rate = 1000

// Bits returns the base-2 logarithm of the number of guesses.
func Bits(passphrase string) float64 {
	if n := period(passphrase); n < len(passphrase) {
		return Bits(passphrase[:n]) + math.Log2(float64(len(passphrase))/float64(n))
	}
	bits, before := 0.0, ""
	seen := map[string]bool{}
	for rest := passphrase; rest != ""; {
		piece, cost := next(rest)
		if seen[strings.ToLower(piece)] || strings.Trim(piece, "-_ .,") == "" && before != "" {
			cost = min(cost, 1) // a word again, or one more separator
		}
		seen[strings.ToLower(piece)] = true
		bits, before, rest = bits+cost, piece, rest[len(piece):]
	}
	return bits
}

const (
	bitsOfWord  = 12.9 // one of 7,776
	bitsOfDigit = 3.33
	bitsOfSign  = 5.05 // one of 33
	bitsOfRune  = 8    // one of an ideographic script, or a sign beyond ASCII
)

// bitsOfShort are for runs of one to four letters. A language has some 700 words of three letters in use, and 1,500 of
// four.
var bitsOfShort = [...]float64{4.7, 9.4, 9.4, 10.6}

// next cuts the first piece off a text, and returns what it costs to guess.
func next(text string) (piece string, bits float64) {
	longest, step := 0, 0
	for s := 1; s <= 3; s++ { // aaaa, 1234, zyx; 112233, a1b2c3; aaabbbccc
		if n := run(text, s); n >= 3*s && n > longest {
			longest, step = n, s
		}
	}
	if longest > 0 {
		return text[:longest], float64(5*step) + math.Log2(float64(longest))
	}
	if n := onKeyboard(text); n >= 4 {
		return text[:n], 7 + math.Log2(float64(n))
	}
	if word := commonWord(text); word != "" {
		return word, 8 + spelling(word)
	}
	first, size := utf8.DecodeRuneInString(text)
	switch {
	case isDigit(first):
		n := span(text, isDigit)
		if n >= 4 && (strings.HasPrefix(text, "19") || strings.HasPrefix(text, "20")) { // a year
			return text[:4], 7
		}
		return text[:n], bitsOfDigit * float64(n)
	case isAlphabetic(first):
		word := text[:span(text, isAlphabetic)]
		for i := 1; i < len(word); i++ { // a common word may begin within
			if commonWord(text[i:]) != "" {
				word = word[:i]
				break
			}
		}
		n := utf8.RuneCountInString(word)
		most := bitsOfWord
		if n <= len(bitsOfShort) {
			most = bitsOfShort[n-1]
		}
		return word, min(most, 4.7*float64(n)) + spelling(word)
	case first < utf8.RuneSelf:
		return text[:size], bitsOfSign
	}
	return text[:size], bitsOfRune
}

// spelling is what capital letters add. One at the beginning, or nothing but capitals, is tried first.
func spelling(word string) float64 {
	upper, all := 0, utf8.RuneCountInString(word)
	for _, r := range word {
		if unicode.IsUpper(r) {
			upper++
		}
	}
	first, _ := utf8.DecodeRuneInString(word)
	switch {
	case upper == 0:
		return 0
	case upper == all || upper == 1 && unicode.IsUpper(first):
		return 1
	}
	return min(float64(all), 2+2*float64(upper)) // which ones they are
}

// period returns the length of the shortest beginning which, repeated, makes up the text: 3 for abcabcab. (It is the
// length less that of the longest border; Knuth, Morris, Pratt 1977.) A text that does not repeat is its own.
func period(text string) int {
	border := make([]int, len(text)+1)
	for i, n := 1, 0; i < len(text); i++ {
		for n > 0 && text[i] != text[n] {
			n = border[n]
		}
		if text[i] == text[n] {
			n++
		}
		border[i+1] = n
	}
	if n := len(text) - border[len(text)]; 2*n <= len(text) {
		return n
	}
	return len(text)
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

// isAlphabetic reports whether words are written with a letter, several to a word.
func isAlphabetic(r rune) bool {
	return unicode.IsLetter(r) && !unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul)
}

func span(text string, is func(rune) bool) int {
	for i, r := range text {
		if !is(r) {
			return i
		}
	}
	return len(text)
}

// run returns how many bytes at the beginning go on in the same way, each beside the one that is step bytes before it:
// with 1 aaaa, abcd and 4321, with 2 a1b2c3.
func run(text string, step int) int {
	n := step
	for ; n < len(text); n++ {
		by := int(text[n]) - int(text[n-step])
		if by < -1 || by > 1 || n >= 2*step && by != int(text[n-step])-int(text[n-2*step]) || text[n-step] >= utf8.RuneSelf {
			break
		}
	}
	return min(n, len(text))
}

var rows = []string{"`1234567890-=", "qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./", "qwertzuiop", "yxcvbnm", "azertyuiop", "qsdfghjklm",
	"1qaz2wsx3edc4rfv5tgb6yhn7ujm", "!qaz@wsx#edc$rfv%tgb^yhn&ujm", "1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "!@#$%^&*()_+"}

// longestRow is more than the length of any row.
const longestRow = 32

// onKeyboard returns how many bytes at the beginning lie side by side on a keyboard.
func onKeyboard(text string) int {
	lower, longest := strings.ToLower(text[:min(longestRow, len(text))]), 0
	for _, row := range bothWays() {
		for n := longest + 1; n <= len(lower) && strings.Contains(row, lower[:n]); n++ {
			longest = n
		}
	}
	return longest
}

// bothWays are the rows, and each of them from right to left.
var bothWays = sync.OnceValue(func() (all []string) {
	for _, row := range rows {
		all = append(all, row, reversed(row))
	}
	return all
})

func reversed(s string) string {
	b := []byte(s)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}

var plain = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "8", "b", "@", "a", "$", "s", "!", "i")

// commonWord returns the longest beginning of a text that is one of the words which are guessed first, also with digits
// in the place of letters.
func commonWord(text string) (word string) {
	text = text[:min(12, len(text))]
	lower := strings.ToLower(text)
	if len(lower) != len(text) {
		return ""
	}
	for n := 3; n <= len(lower); n++ {
		for _, form := range []string{lower[:n], plain.Replace(lower[:n])} {
			if strings.Contains(common, " "+form+" ") {
				word = text[:n]
			}
		}
	}
	return word
}

// common are words that people take for passwords, and those of this field.
const common = " password passwort passphrase passwd pass letmein welcome monkey dragon master sunshine princess shadow football " +
	"baseball iloveyou love superman batman trustno hunter killer access flower hello secret admin administrator root login " +
	"guest default test testing user qwerty qwertz azerty asdf zxcvbn abc michael jennifer jordan harley ranger thomas robert " +
	"daniel george andrew charlie jessica ashley nicole michelle matthew joshua summer winter spring autumn monday friday " +
	"january february march april june july august september october november december london paris berlin america england " +
	"germany computer internet samsung google apple microsoft windows linux github docker server database cheese banana " +
	"orange purple yellow silver golden ginger pepper cookie chocolate coffee butter freedom forever money starwars pokemon " +
	"matrix phoenix mustang ferrari porsche corvette yankees lakers steelers cowboys eagles jesus christ heaven angel devil " +
	"ninja samurai maggie buster tigger lovely please whatever nothing correct horse battery staple changeme vault agent store " +
	"token key keys age owner example foobar foo bar baz the and you mypass mykey "

// Judgement is what a person is told of a passphrase.
type Judgement struct {
	Bits float64
	Word string // "weak", "fair" or "strong"
}

// Of judges a passphrase. Weak is less than 2^35 guesses, which take one guesser a year; strong is 2^50 and more.
func Of(passphrase string) Judgement {
	j := Judgement{Bits: Bits(passphrase), Word: "fair"}
	switch {
	case j.Bits < 35:
		j.Word = "weak"
	case j.Bits >= 50:
		j.Word = "strong"
	}
	return j
}

// Weak reports whether a guesser with patience finds the passphrase.
func (j Judgement) Weak() bool { return j.Word == "weak" }

// String says how many guesses it takes, and how long.
func (j Judgement) String() string {
	return fmt.Sprintf("about 2^%.0f guesses, which take %s at %d a second", math.Floor(j.Bits), long(math.Exp2(j.Bits)/Rate), Rate)
}

// long says a time in its largest unit.
func long(seconds float64) string {
	for _, u := range []struct {
		name    string
		seconds float64
	}{{"year", 365 * 86400}, {"month", 30 * 86400}, {"day", 86400}, {"hour", 3600}, {"minute", 60}} {
		switch n := seconds / u.seconds; {
		case n >= 1000 && u.name == "year":
			return "thousands of years"
		case n >= 2:
			return fmt.Sprintf("%.0f %ss", math.Floor(n), u.name)
		case n >= 1:
			return "a " + u.name
		}
	}
	return "less than a minute"
}
