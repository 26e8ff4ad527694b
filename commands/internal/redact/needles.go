// Package redact masks secrets in the output of a program: each place where a value stands,
// in the forms in which programs write one, becomes [redacted:KEY].
//
// It is a seat belt, not a wall. If a program prints a value by mistake, redaction keeps it
// out of a build log. A program that wants to give a value away can.
//
// rules.go says which values are masked, forms.go how programs write them, needles.go how
// they are found, and stream.go what happens to an output that comes piece by piece. find.go
// says where values stand, for a search through files.
package redact

import (
	"encoding/binary"
	"slices"
	"sort"
	"strings"
)

// needle is a text to search for.
type needle struct {
	text string
	mark string // what is written in its place
	word bool   // it counts only where it is no part of a longer word
}

// Needles are the texts to search for, and two filters that tell most places of an output
// from those where one may begin.
//
// Each text of length n holds n-3 grams of four bytes. So a text of at least stride+3 bytes
// has one that begins at a multiple of stride, wherever it stands. The search looks at each
// stride-th place: if the gram there is in no text (inside), then no text began at any of
// the stride places up to it. This is the idea of Wu and Manber, "A fast algorithm for
// multi-pattern searching", 1994, with a bit set in place of the table of shifts.
type Needles struct {
	list   []needle // in the order of what begins where, the longest first
	stride int      // 0: some text is too short for grams
	inside []uint64 // a bit for each hash of a gram in the first places of a text
	starts []uint64 // a bit for each hash of the first gram of a text

	byGram []int32    // by hash of the first gram, where in list its texts begin
	byByte [257]int32 // for texts without a gram to look at, and the end of an output
	short  []needle   // by byByte: all of them, by their first byte
}

const (
	gram       = 4
	mostStride = 8 // a longer one finds fewer places that need no look than it costs
	filterBits = 17
	bucketBits = 14
)

// hash spreads a gram over 32 bits; its first bits are the best.
func hash(g uint32) uint32 { return g * 0x9E3779B1 }

func gramAt(s string) uint32 {
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}

// New returns what to search for: the secrets that the rules mask. It returns nil if that
// is nothing.
func New(secrets []Secret, rules Rules) *Needles {
	var list []needle
	seen := map[string]bool{}
	add := func(key string, least int, forms ...string) {
		mark := "[redacted:" + key + "]"
		for _, form := range forms {
			if len(form) < least || seen[form] {
				continue
			}
			seen[form] = true
			list = append(list, needle{text: form, mark: mark, word: len(form) < anywhere})
		}
	}
	for _, s := range secrets {
		least := shortest
		if slices.Contains(rules.Mask, s.Key) {
			least = 1
		} else if slices.Contains(rules.NoMask, s.Key) || !isMasked(s) {
			continue
		}
		if len(s.Value) < least {
			continue
		}
		add(s.Key, least, textsOf(formsOf(s.Value))...)
		for _, password := range passwords(string(s.Value)) {
			if len(password) >= least {
				add(s.Key, least, textsOf(formsOf([]byte(password)))...)
			}
		}
		for _, line := range lines(string(s.Value)) {
			add(s.Key, least, line)
			add(s.Key, least, jsonForms(line)...)
		}
	}
	return index(list)
}

func textsOf(forms []form) []string {
	texts := make([]string, len(forms))
	for i, f := range forms {
		texts[i] = f.text
	}
	return texts
}

// byText sorts by the first byte, and the longest first. slices.SortFunc would be compiled once more for it, into 12
// KiB of the program.
type byText []needle

func (l byText) Len() int      { return len(l) }
func (l byText) Swap(i, j int) { l[i], l[j] = l[j], l[i] }
func (l byText) Less(i, j int) bool {
	if a, b := l[i].text[0], l[j].text[0]; a != b {
		return a < b
	}
	return len(l[i].text) > len(l[j].text)
}

// index makes the filters and the tables for a list of texts.
func index(list []needle) *Needles {
	if len(list) == 0 {
		return nil
	}
	n := &Needles{short: list}
	sort.Sort(byText(n.short))
	for at, b := 0, 0; b < 256; b++ {
		n.byByte[b] = int32(at)
		for at < len(n.short) && int(n.short[at].text[0]) == b {
			at++
		}
		n.byByte[b+1] = int32(at)
	}
	shortest := len(slices.MinFunc(list, func(a, b needle) int { return len(a.text) - len(b.text) }).text)
	if shortest < gram {
		return n
	}
	n.stride = min(shortest-gram+1, mostStride)
	n.inside = make([]uint64, 1<<filterBits/64)
	n.starts = make([]uint64, 1<<filterBits/64)
	n.sortByGram()
	for _, t := range n.list {
		set(n.starts, hash(gramAt(t.text)))
		for i := range n.stride {
			set(n.inside, hash(gramAt(t.text[i:])))
		}
	}
	return n
}

// sortByGram puts the texts of a bucket side by side. Those that begin with the same gram
// stay in their order, the longest first.
func (n *Needles) sortByGram() {
	bucket := func(t *needle) uint32 { return hash(gramAt(t.text)) >> (32 - bucketBits) }
	n.byGram = make([]int32, 1<<bucketBits+2)
	for i := range n.short {
		n.byGram[bucket(&n.short[i])+2]++
	}
	for b := range 1 << bucketBits {
		n.byGram[b+2] += n.byGram[b+1]
	}
	n.list = make([]needle, len(n.short))
	for _, t := range n.short { // where a bucket ends moves on, up to where the next one begins
		end := &n.byGram[bucket(&t)+1]
		n.list[*end] = t
		*end++
	}
}

func set(bits []uint64, h uint32) { h >>= 32 - filterBits; bits[h/64] |= 1 << (h % 64) }

func has(bits []uint64, h uint32) bool { h >>= 32 - filterBits; return bits[h/64]>>(h%64)&1 != 0 }

// next returns the first place in b, from the place from on, where a text may begin. It
// returns len(b) if there is none.
func (n *Needles) next(b []byte, from int) int {
	if n.stride == 0 {
		for i := from; i < len(b); i++ {
			if n.byByte[b[i]] < n.byByte[int(b[i])+1] {
				return i
			}
		}
		return len(b)
	}
	stride, inside := n.stride, n.inside
	at := from // no text begins before it
	for i := from + stride - 1; i+gram <= len(b); i += stride {
		if !has(inside, hash(binary.LittleEndian.Uint32(b[i:]))) {
			continue
		}
		for at = max(at, i-stride+1); at <= i; at++ {
			if has(n.starts, hash(binary.LittleEndian.Uint32(b[at:]))) {
				return at
			}
		}
	}
	// The last few places, which the strides have not reached.
	reached := from
	if left := len(b) - gram - (from + stride - 1); left >= 0 {
		reached = from + (left/stride+1)*stride
	}
	for at = max(at, reached); at < len(b); at++ {
		if len(b)-at >= gram && has(n.starts, hash(binary.LittleEndian.Uint32(b[at:]))) ||
			len(b)-at < gram && n.byByte[b[at]] < n.byByte[int(b[at])+1] {
			return at
		}
	}
	return len(b)
}

// candidates returns the texts that may begin as rest does, the longest first.
func (n *Needles) candidates(rest []byte) []needle {
	if n.stride == 0 || len(rest) < gram {
		return n.short[n.byByte[rest[0]]:n.byByte[int(rest[0])+1]]
	}
	b := hash(binary.LittleEndian.Uint32(rest)) >> (32 - bucketBits)
	return n.list[n.byGram[b]:n.byGram[b+1]]
}

// isWord reports whether a byte is part of a word: a letter, a digit, an underscore, or any
// part of a character outside ASCII.
func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c >= 0x80
}

// at returns the longest text at the beginning of rest, if any. before is the byte in front
// of it, -1 for none; last says that nothing follows rest. wait is true if what follows can
// still change the answer.
func (n *Needles) at(rest []byte, before int, last bool) (found *needle, wait bool) {
	list := n.candidates(rest)
	for i := range list {
		t := &list[i]
		if t.word && before >= 0 && isWord(byte(before)) && isWord(t.text[0]) {
			continue
		}
		if len(rest) < len(t.text) {
			if !last && strings.HasPrefix(t.text, string(rest)) {
				return nil, true
			}
			continue
		}
		if string(rest[:len(t.text)]) != t.text {
			continue
		}
		if t.word && isWord(t.text[len(t.text)-1]) {
			if len(rest) == len(t.text) {
				if !last {
					return nil, true
				}
			} else if isWord(rest[len(t.text)]) {
				continue
			}
		}
		return t, false
	}
	return nil, false
}
