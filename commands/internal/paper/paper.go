// Package paper writes an owner key, or a share of one, so that a person can write it down, read it aloud and type it
// in again: four numbered lines, each with a check. It knows no vault, no terminal and no cryptography.
//
// # The form
//
// A line has up to 20 characters of an alphabet of 29: the digits, and those capital letters that look like no digit. A
// letter that does (O I L Z S B G) is read as that digit, so such a mistake is none. 29 is a prime, so the checks are
// computed with whole numbers modulo 29.
//
// A sheet is a sequence of such characters, of which each line takes 18:
//
//	form      1  always 1
//	what      1  0, 1: an owner key, post-quantum or X25519; 2, 3: a share of one
//	whole     5  the check of everything else, see [wholeCheck]
//	number    1  of a share alone: which one it is
//	threshold 1  of a share alone: how many open the key
//	total     1  of a share alone: how many were made
//	set       4  of a share alone: the id of the set
//	payload      the bytes as one number, base 29, most significant first: 53 for a key, 58 for a share
//
// The two last characters of a line are its check, see [lineCheck]. They cover the number of the line and, from the
// second line on, the check of the whole sheet, too. So a line in another's place is found, and so is one of another
// sheet.
package paper

import (
	"fmt"
	"strconv"
	"strings"
)

// Lines is how many lines a sheet has.
const Lines = 4

const (
	form     = 1
	alphabet = "0123456789ACDEFHJKMNPQRTUVWXY"
	base     = byte(len(alphabet))

	perLine, checks, perGroup = 18, 2, 4

	wholeAt, wholeLen  = 2, 5
	setLen             = 4
	keyBytes, keyLen   = 32, 53
	shareBytes         = 35
	shareLen           = 58
	ownerLen           = wholeAt + wholeLen + keyLen
	sheetLen           = wholeAt + wholeLen + 3 + setLen + shareLen
	ownerText          = ownerLen + Lines*checks // characters of a whole sheet
	shareText          = sheetLen + Lines*checks
	fewest, mostShares = 2, 16
)

// Sets is how many ids of sets there are: an id is below it.
const Sets = 29 * 29 * 29 * 29

// Sheet is what is on a sheet.
type Sheet struct {
	X25519  bool   // the kind of the owner key: X25519, or post-quantum
	Share   *Share // nil for a whole owner key
	Payload []byte // 32 bytes of an owner key, or 35 of a share
}

// Share says which share it is.
type Share struct {
	Set       uint32 // the id of the set, below [Sets]
	Number    int    // from 1 to Total
	Threshold int    // how many open the key, at least 2
	Total     int    // how many were made, at most 16
}

// SetName returns the id of a set as it is on paper.
func SetName(set uint32) string { return show(digits(nil, uint64(set), setLen)) }

// Lines returns the lines of the sheet, in groups of four characters, without their numbers. A sheet that cannot be
// read again is a bug of the caller, and panics.
func (s Sheet) Lines() []string {
	data := s.symbols()
	if again, err := parse(data); err != nil || fmt.Sprint(again.Share != nil, again.Payload) != fmt.Sprint(s.Share != nil, s.Payload) {
		panic("paper: no such sheet")
	}
	lines := make([]string, Lines)
	for i := range lines {
		own := data[i*perLine : min((i+1)*perLine, len(data))]
		check := lineCheck(i+1, tagFor(i+1, data), own)
		lines[i] = grouped(show(append(append([]byte{}, own...), check[:]...)))
	}
	return lines
}

func (s Sheet) symbols() []byte {
	what, length := byte(0), keyLen
	if s.X25519 {
		what |= 1
	}
	if s.Share != nil {
		what, length = what|2, shareLen
	}
	data := append([]byte{form, what}, make([]byte, wholeLen)...)
	if s.Share != nil {
		data = append(data, byte(s.Share.Number), byte(s.Share.Threshold), byte(s.Share.Total))
		data = digits(data, uint64(s.Share.Set), setLen)
	}
	data = append(data, toBase(s.Payload, length)...)
	copy(data[wholeAt:], wholeCheck(data))
	return data
}

// lengthOf returns how many symbols the sheet has that begins with data, without the checks of lines; 0 if it is none
// of this form.
func lengthOf(data []byte) int {
	switch {
	case data[0] != form || data[1] > 3:
		return 0
	case data[1]&2 != 0:
		return sheetLen
	}
	return ownerLen
}

// parse is the inverse of symbols.
func parse(data []byte) (Sheet, error) {
	s, rest := Sheet{X25519: data[1]&1 != 0}, data[wholeAt+wholeLen:]
	size := keyBytes
	if data[1]&2 != 0 {
		s.Share = &Share{Number: int(rest[0]), Threshold: int(rest[1]), Total: int(rest[2])}
		for _, x := range rest[3 : 3+setLen] {
			s.Share.Set = s.Share.Set*uint32(base) + uint32(x)
		}
		rest, size = rest[3+setLen:], shareBytes
		if k := s.Share; k.Threshold < fewest || k.Total < k.Threshold || k.Total > mostShares || k.Number < 1 || k.Number > k.Total {
			return Sheet{}, fmt.Errorf("there is no share %d of %d of which %d are needed", k.Number, k.Total, k.Threshold)
		}
	}
	var fits bool
	if s.Payload, fits = fromBase(rest, size); !fits || string(wholeCheck(data)) != string(data[wholeAt:wholeAt+wholeLen]) {
		return Sheet{}, fmt.Errorf("the lines do not belong together")
	}
	return s, nil
}

// tagFor returns what binds a line to its sheet; the first line has it in it.
func tagFor(line int, data []byte) []byte {
	if line == 1 {
		return nil
	}
	return data[wholeAt : wholeAt+wholeLen]
}

// wholeCheck returns the check of a sheet: its symbols but for the check, as the coefficients of a polynomial, at 65537
// modulo the largest prime below 29^5.
func wholeCheck(data []byte) []byte {
	const prime, at = 20511143, 65537
	sum := uint64(len(data))
	for i, x := range data {
		if i < wholeAt || i >= wholeAt+wholeLen {
			sum = (sum*at + uint64(x)) % prime
		}
	}
	return digits(nil, sum, wholeLen)
}

// The check of a line is that of a Reed-Solomon code of distance 3 over the numbers modulo 29: with w = 2, whose powers
// are all of them but 0, the sums of x[i]·w^i and of x[i]·w^2i over the word are 0. So it finds one or two wrong
// characters anywhere in the line, which covers two that were swapped, and misses a worse line with a chance of 1 in
// 841. The word is the number of the line, the check of the whole sheet, and what is in the line: at most 26, and up to
// 28 have a power of their own.

// power returns 2^n modulo 29.
func power(n int) int {
	p := 1
	for range n % 28 {
		p = p * 2 % int(base)
	}
	return p
}

// sums returns both sums over a word.
func sums(word []byte) (one, two int) {
	for i, x := range word {
		one += int(x) * power(i)
		two += int(x) * power(2*i)
	}
	return one % int(base), two % int(base)
}

func wordOf(line int, tag, rest []byte) []byte {
	return append(append([]byte{byte(line)}, tag...), rest...)
}

// lineCheck returns the two symbols that make both sums 0.
func lineCheck(line int, tag, data []byte) [checks]byte {
	word := wordOf(line, tag, data)
	one, two := sums(word)
	at := len(word)
	// c0·w^at + c1·w^(at+1) = -one, and c0·w^2at + c1·w^(2at+2) = -two
	c1 := (one*power(at) + (int(base)-1)*two) * power(28-(2*at+1)%28)
	c0 := (int(base)-1)*one*power(28-at%28) + (int(base)-1)*(c1%int(base))*2
	return [checks]byte{byte(c0 % int(base)), byte(c1 % int(base))}
}

// suspect checks a line as it was typed. If one character alone is wrong in it, group is the one that has it, from 1
// on; 0 if there is no such character.
func suspect(line int, tag, typed []byte) (group int, ok bool) {
	word := wordOf(line, tag, typed)
	one, two := sums(word)
	if one == 0 && two == 0 {
		return 0, true
	}
	for i := len(word) - len(typed); i < len(word); i++ {
		if one != 0 && one*power(i)%int(base) == two {
			return (i-len(word)+len(typed))/perGroup + 1, false
		}
	}
	return 0, false
}

// toBase returns the bytes as a number of so many digits of base 29.
func toBase(b []byte, length int) []byte {
	out := make([]byte, length)
	for _, x := range b {
		carry := int(x)
		for i := length - 1; i >= 0; i-- {
			carry += int(out[i]) << 8
			out[i] = byte(carry % int(base))
			carry /= int(base)
		}
	}
	return out
}

// fromBase is the inverse of toBase. It reports false if the number takes more bytes.
func fromBase(symbols []byte, size int) ([]byte, bool) {
	out := make([]byte, size)
	for _, x := range symbols {
		carry := int(x)
		for i := size - 1; i >= 0; i-- {
			carry += int(out[i]) * int(base)
			out[i] = byte(carry)
			carry >>= 8
		}
		if carry != 0 {
			return nil, false
		}
	}
	return out, true
}

// digits appends a number as so many symbols.
func digits(to []byte, n uint64, length int) []byte {
	at := len(to)
	to = append(to, make([]byte, length)...)
	for i := len(to) - 1; i >= at; i-- {
		to[i] = byte(n % uint64(base))
		n /= uint64(base)
	}
	return to
}

func show(symbols []byte) string {
	text := make([]byte, len(symbols))
	for i, x := range symbols {
		text[i] = alphabet[x]
	}
	return string(text)
}

func grouped(text string) string {
	var groups []string
	for ; len(text) > perGroup; text = text[perGroup:] {
		groups = append(groups, text[:perGroup])
	}
	return strings.Join(append(groups, text), " ")
}

// digitFor returns the digit that a letter looks like, or the character itself.
func digitFor(r rune) rune {
	if i := strings.IndexRune("OILZSBG|", r); i >= 0 {
		return rune("01125861"[i])
	}
	return r
}

// symbolsOf reads what somebody typed. It returns a character that means nothing as it is.
func symbolsOf(text string) (symbols []byte, strange rune) {
	for _, r := range strings.ToUpper(text) {
		switch i := strings.IndexRune(alphabet, digitFor(r)); {
		case i >= 0:
			symbols = append(symbols, byte(i))
		case strings.ContainsRune(" \t\r\u00a0-–—_.,:;/·", r):
		default:
			return symbols, r
		}
	}
	return symbols, 0
}

// numbered splits a line such as "2: ABCD …", "2) ABCD …" or "# 2. ABCD …". Without a number, n is 0, and rest the
// text.
func numbered(text string) (n int, rest string) {
	text = strings.TrimSpace(strings.TrimLeft(strings.TrimSpace(text), "#"))
	end := strings.IndexAny(text, ":.)")
	if end < 1 || end > 2 {
		return 0, text
	}
	n, err := strconv.Atoi(text[:end])
	if err != nil || n < 1 {
		return 0, text
	}
	return n, text[end+1:]
}
