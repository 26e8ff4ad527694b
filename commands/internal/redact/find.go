package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"io"
	"sort"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// Finder tells where values stand, and leaves what it reads as it is. It looks for the values that Needles mask, of at
// least 8 bytes, in the same forms and in a few more.
//
// Its filters are those of Needles, but larger: a vault has thousands of values. The texts are sorted, so that one
// search among them gives all that begin at a place: each text knows the longest other one that it begins with.
type Finder struct {
	arena   []byte // all texts, one behind the other
	texts   []sought
	longest int

	inside, starts *bitmap
}

// sought is a text to look for: arena[from:to].
type sought struct {
	from, to int
	up       int32 // the longest other text that this one begins with, or an equal one; -1 for none
	secret   int32
	form     string
}

// The forms in which a value is found.
const (
	Plain  = "plain"
	Base64 = "base64"
	Hex    = "hex"
	URL    = "URL"
	JSON   = "JSON"
	UTF16  = "UTF-16"
)

// Left says why a value is not looked for.
type Left int

const (
	Sought Left = iota
	Short       // it has fewer than 8 bytes
	Config      // it is a setting, or a word that stands everywhere
)

// mostSought is how much of a value is looked for, in bytes. A longer one is found by its beginning, so that the texts
// need a bounded amount of memory whatever the vault holds.
const mostSought = 4 << 10

// mostParts is how much of the parts of one value is looked for by itself, in bytes: passwords in URLs, and lines that
// look like keys.
const mostParts = 64 << 10

// NewFinder returns what looks for values, and for each of them why it is not looked for. The caller wipes the values,
// and ends with [Finder.Wipe].
func NewFinder(secrets []Secret) (f *Finder, left []Left) {
	type text struct {
		secret int32
		form
	}
	var list []text
	var made []string
	left = make([]Left, len(secrets))
	for i, s := range secrets {
		switch {
		case len(bytes.TrimSpace(s.Value)) < anywhere:
			left[i] = Short
			continue
		case !isMasked(s):
			left[i] = Config
			continue
		}
		seen := map[string]bool{}
		for _, form := range soughtForms(s.Value) {
			made = append(made, form.text)
			if len(form.text) >= anywhere && !seen[form.text] {
				seen[form.text] = true
				list = append(list, text{int32(i), form})
			}
		}
	}
	sort.Slice(list, func(i, j int) bool { // equal ones in the order of their secrets
		if c := strings.Compare(list[i].text, list[j].text); c != 0 {
			return c < 0
		}
		return list[i].secret > list[j].secret
	})
	size := 0
	for _, t := range list {
		size += len(t.text)
	}
	f = &Finder{arena: make([]byte, 0, size), texts: make([]sought, len(list)),
		inside: new(bitmap), starts: new(bitmap)}
	above := int32(-1)
	for i, t := range list {
		from := len(f.arena)
		f.arena = append(f.arena, t.text...)
		for above >= 0 && !strings.HasPrefix(t.text, list[above].text) {
			above = f.texts[above].up
		}
		f.texts[i] = sought{from, len(f.arena), above, t.secret, t.name}
		above = int32(i)
		f.longest = max(f.longest, len(t.text))
		f.starts.set(start(f.arena[from:]))
		for at := range stride {
			f.inside.set(uint64(binary.LittleEndian.Uint32(f.arena[from+at:])))
		}
	}
	for _, text := range made {
		wipeText(text)
	}
	return f, left
}

// wipeText wipes a text that this package has made, of which nobody needs any part any more. A short one may be the
// runtime's own.
func wipeText(s string) {
	if len(s) >= anywhere {
		clear(unsafe.Slice(unsafe.StringData(s), len(s)))
	}
}

// Texts returns how many texts f looks for.
func (f *Finder) Texts() int { return len(f.texts) }

// Longest returns the length of the longest text in bytes.
func (f *Finder) Longest() int { return f.longest }

// Wipe wipes what f looks for. It finds nothing from then on.
func (f *Finder) Wipe() {
	clear(f.arena)
	clear(f.inside[:])
	clear(f.starts[:])
	f.texts = nil
}

// soughtForms returns the texts that give a value away.
func soughtForms(value []byte) (forms []form) {
	value = bytes.TrimRight(value, "\r\n") // as $(…) hands it on: what has it with its last newline has it without, too
	s, parts := string(value), 0
	if len(value) > mostSought {
		value = value[:mostSought]
		for range utf8.UTFMax { // no part of a character at the end
			if r, n := utf8.DecodeLastRune(value); r != utf8.RuneError || n != 1 {
				break
			}
			value = value[:len(value)-1]
		}
	}
	forms = append(formsOf(value), moreForms(value)...)
	for _, password := range passwords(s) {
		lower := strings.ToLower(password)
		if parts += len(password); parts > mostParts {
			break
		}
		if len(password) >= anywhere && strings.Count(s, password) == 1 && !isCommon(password, lower) {
			forms = append(forms, formsOf([]byte(password))...) // not that of postgres://postgres:postgres@
		}
	}
	for _, line := range secretLines(s) {
		if parts += len(line); parts > mostParts {
			break
		}
		forms = append(forms, form{line, Plain})
		for _, text := range jsonForms(line) {
			forms = append(forms, form{text, JSON})
		}
	}
	return forms
}

// publicPEM is a PEM that everybody may have, up to its end if that is there.
var publicPEM = pattern(`(?s)-----BEGIN [A-Z0-9 ]*(CERTIFICATE|CERTIFICATE REQUEST|PUBLIC KEY|X509 CRL)-----.*?(-----END |\z)`)

// secretLines returns the lines of a value that look like keys. Those of a PEM do, but the first, which says what it is
// and is the same in many, and those of certificates: a bundle has its key among them.
func secretLines(value string) (list []string) {
	if strings.Contains(value, "-----BEGIN") {
		value = publicPEM().ReplaceAllString(value, "-----END ")
	}
	all := lines(value)
	_, behind, _ := strings.Cut(value, "-----BEGIN")
	_, body, _ := strings.Cut(behind, "\n")
	for i, line := range all {
		if i == 0 && len(all) > 1 && strings.HasPrefix(strings.TrimSpace(body), line) {
			continue
		}
		if looksLikeKey(line) {
			list = append(list, line)
		}
		if _, right, found := strings.Cut(line, "="); found { // of a .env
			if right = strings.Trim(right, `"'`); looksLikeKey(right) {
				list = append(list, right)
			}
		}
	}
	return list
}

// moreForms returns forms that stand in files and hardly in an output: base64 in lines, as base64, openssl and MIME
// write it, and UTF-16, as PowerShell does.
func moreForms(value []byte) (forms []form) {
	whole := base64.RawStdEncoding.EncodeToString(value)[:len(value)*8/6]
	for _, broken := range []struct {
		width int
		by    string
	}{{76, "\n"}, {76, "\r\n"}, {64, "\n"}, {64, "\r\n"}} {
		if len(whole) <= broken.width {
			continue
		}
		var b strings.Builder
		for rest := whole; ; rest = rest[broken.width:] {
			if len(rest) <= broken.width {
				b.WriteString(rest)
				break
			}
			b.WriteString(rest[:broken.width] + broken.by)
		}
		forms = append(forms, form{b.String(), Base64})
	}
	if !utf8.Valid(value) {
		return forms
	}
	var little, big []byte
	wide := false
	for _, unit := range utf16.Encode([]rune(string(value))) {
		little, big = binary.LittleEndian.AppendUint16(little, unit), binary.BigEndian.AppendUint16(big, unit)
		wide = wide || unit > 0xff
	}
	if !wide { // between the first byte and the last that is not zero, both orders are the same
		return append(forms, form{string(big[1:]), UTF16})
	}
	return append(forms, form{string(little), UTF16}, form{string(big), UTF16})
}

const stride = anywhere - gram + 1 // of a Finder: no text is shorter than anywhere

// bitmap is a set of hashes. It has 256 KiB, of which few values touch little: ten thousand texts set a fortieth of its
// bits.
type bitmap [1 << bitmapBits / 64]uint64

const bitmapBits = 21

func (b *bitmap) set(x uint64) {
	h := x * 0x9E3779B97F4A7C15 >> (64 - bitmapBits)
	b[h/64] |= 1 << (h % 64)
}

func (b *bitmap) has(x uint64) bool {
	h := x * 0x9E3779B97F4A7C15 >> (64 - bitmapBits)
	return b[h/64]>>(h%64)&1 != 0
}

func start(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

func (f *Finder) text(i int32) []byte { t := &f.texts[i]; return f.arena[t.from:t.to] }

// last returns the last text that is no greater than rest, -1 for none. Every text that rest begins with is that one or
// above it. wait reports whether some longer text begins with rest.
func (f *Finder) last(rest []byte) (i int32, wait bool) {
	n := sort.Search(len(f.texts), func(i int) bool { return bytes.Compare(f.text(int32(i)), rest) > 0 })
	return int32(n) - 1, n < len(f.texts) && bytes.HasPrefix(f.text(int32(n)), rest)
}

// Found is a place where a value stands.
type Found struct {
	Secret int    // the number of the value in the list that NewFinder got
	Form   string // in which it stands there
	At     int64  // the offset of its first byte
	Line   int    // its line, from 1
	Column int64  // its byte in that line, from 1
}

// Search looks for values in bytes that come piece by piece. Of each value it finds the places from left to right, the
// longest form at each, and none that overlaps one before it.
type Search struct {
	f     *Finder
	found func(Found)

	buf  []byte
	n    int   // how much of buf is read, and not decided
	base int64 // the offset of buf[0]

	until   map[int32]int64 // by value, where its last place ends
	counted int64           // the offset up to which lines are counted
	line    int
	begins  int64 // the offset of that line
}

// NewSearch returns a search that reports to found. It can be used again after Reset.
func (f *Finder) NewSearch(found func(Found)) *Search {
	s := &Search{f: f, found: found, buf: make([]byte, max(256<<10, 4*f.longest)), until: map[int32]int64{}}
	s.Reset()
	return s
}

// Reset begins with other bytes.
func (s *Search) Reset() {
	s.n, s.base, s.counted, s.line, s.begins = 0, 0, 0, 1, 0
	clear(s.until)
}

// Wipe wipes what was read.
func (s *Search) Wipe() { clear(s.buf) }

// ReadFrom reads from r up to its end. A further call goes on behind it, up to End.
func (s *Search) ReadFrom(r io.Reader) (read int64, err error) {
	for {
		n, err := r.Read(s.buf[s.n:])
		s.n += n
		read += int64(n)
		if s.n == len(s.buf) || err != nil {
			s.scan(false)
		}
		if err == io.EOF {
			return read, nil
		}
		if err != nil {
			return read, err
		}
	}
}

// Skip goes on behind so many zeros: a hole in a file.
func (s *Search) Skip(zeros int64) {
	const enough = 2
	edge := int64(enough * max(s.f.longest, 1)) // a text may end, and another begin, in the hole
	if zeros <= 2*edge {
		_, _ = s.ReadFrom(io.LimitReader(nothing{}, zeros))
		return
	}
	_, _ = s.ReadFrom(io.LimitReader(nothing{}, edge))
	s.base, s.n = s.base+int64(s.n)+zeros-2*edge, 0
	s.counted = s.base
	_, _ = s.ReadFrom(io.LimitReader(nothing{}, edge))
}

// nothing reads as zeros.
type nothing struct{}

func (nothing) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// End says that nothing follows.
func (s *Search) End() { s.scan(true) }

// scan looks at what was read, and keeps what the next bytes can still make a text of.
func (s *Search) scan(last bool) {
	b := s.buf[:s.n]
	at := 0
	for {
		if at = s.f.next(b, at); at+anywhere > len(b) {
			break
		}
		i, wait := s.f.last(b[at:])
		if wait && !last {
			break
		}
		for ; i >= 0; i = s.f.texts[i].up {
			t := &s.f.texts[i]
			if from := s.base + int64(at); from >= s.until[t.secret] && bytes.HasPrefix(b[at:], s.f.text(i)) {
				s.until[t.secret] = from + int64(t.to-t.from)
				s.count(from)
				s.found(Found{int(t.secret), t.form, from, s.line, from - s.begins + 1})
			}
		}
		at++
	}
	if last {
		at = len(b)
	}
	s.count(s.base + int64(at))
	s.n = copy(s.buf, b[at:])
	s.base += int64(at)
}

// count counts the lines up to an offset in the buffer.
func (s *Search) count(to int64) {
	b := s.buf[s.counted-s.base : to-s.base]
	if n := bytes.Count(b, newline); n > 0 {
		s.line += n
		s.begins = s.counted + int64(bytes.LastIndexByte(b, '\n')) + 1
	}
	s.counted = to
}

var newline = []byte{'\n'}

// next returns the first place in b, from the place from on, where a text may begin. If there is none, it returns the
// first one that has too few bytes behind it to say.
func (f *Finder) next(b []byte, from int) int {
	end := max(from, len(b)-anywhere+1)
	at, inside := from, f.inside
	for i := from + stride - 1; i+gram <= len(b); i += stride {
		if !inside.has(uint64(binary.LittleEndian.Uint32(b[i : i+gram]))) {
			continue
		}
		for at = max(at, i-stride+1); at <= i && at < end; at++ {
			if f.starts.has(start(b[at:])) {
				return at
			}
		}
	}
	// The last few places, which the strides have not reached.
	reached := from
	if left := len(b) - gram - (from + stride - 1); left >= 0 {
		reached = from + (left/stride+1)*stride
	}
	for at = max(at, reached); at < end; at++ {
		if f.starts.has(start(b[at:])) {
			return at
		}
	}
	return end
}

// Mask returns a text with a mark in the place of each value in it, in whatever form. mark gets the number of the
// value.
func (f *Finder) Mask(text string, mark func(secret int) string) string {
	b := []byte(text)
	var out strings.Builder
	covered := 0 // up to where the text is part of a value
	raw := 0     // up to where it is in out
	for at := 0; ; at++ {
		if at = f.next(b, at); at+anywhere > len(b) {
			break
		}
		for i, _ := f.last(b[at:]); i >= 0; i = f.texts[i].up {
			if !bytes.HasPrefix(b[at:], f.text(i)) {
				continue
			}
			if at >= covered {
				out.WriteString(text[raw:at])
				out.WriteString(mark(int(f.texts[i].secret)))
			}
			covered = max(covered, at+len(f.text(i)))
			raw = covered
			break
		}
	}
	if raw == 0 {
		return text
	}
	out.WriteString(text[raw:])
	return out.String()
}
