package redact

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// mostForms is the length in bytes of the longest value that is searched for in every form.
// Of a longer one, only the forms that most programs write are.
const mostForms = 64 << 10

// form is a text in which a program writes a value, with the name of that way to write it.
type form struct{ text, name string }

// formsOf returns the forms in which programs write a value: as it is, and in base64, hex,
// URL and JSON escapes. The first is the value itself. Some may be there twice.
func formsOf(value []byte) (forms []form) {
	add := func(name string, texts ...string) {
		for _, text := range texts {
			forms = append(forms, form{text, name})
		}
	}
	s := string(value)
	lower := hex.EncodeToString(value)
	add(Plain, s)
	add(Hex, lower, strings.ToUpper(lower))
	add(URL, url.QueryEscape(s), url.PathEscape(s))
	if strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 || !isUnreserved(byte(r)) }) >= 0 {
		for _, kept := range []string{"", "/", "!'()*", "/!'()*"} { // by RFC 3986, by Python, by JavaScript
			if kept == "" || strings.ContainsAny(s, kept) {
				add(URL, percentEncoded(s, kept, upperDigits), percentEncoded(s, kept, lowerDigits))
			}
		}
	}
	add(JSON, jsonForms(s)...)
	if trimmed := strings.TrimRight(s, "\n"); trimmed != s { // as $(…) hands it on
		add(Plain, trimmed)
	}
	inBase64 := []string{base64.StdEncoding.EncodeToString(value)}
	// Inside a longer text, a value is encoded at one of three offsets. The characters
	// that depend on its neighbours are left out.
	for offset, padded := range [][]byte{value, append([]byte{0}, value...), append([]byte{0, 0}, value...)} {
		whole := base64.RawStdEncoding.EncodeToString(padded)
		from, to := (offset*8+5)/6, len(padded)*8/6
		if core := whole[from:to]; len(core) >= anywhere {
			inBase64 = append(inBase64, core)
		}
	}
	for _, text := range inBase64 {
		if add(Base64, text); strings.ContainsAny(text, "+/") { // in a URL, it has others
			add(Base64, inURL.Replace(text))
		}
	}
	return forms
}

var inURL = strings.NewReplacer("+", "-", "/", "_")

const (
	lowerDigits = "0123456789abcdef"
	upperDigits = "0123456789ABCDEF"
)

func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' ||
		c == '~'
}

// percentEncoded returns s percent-encoded as in a URL. Only letters, digits, -_.~ and the
// bytes in kept stay as they are.
func percentEncoded(s, kept, digits string) string {
	var b strings.Builder
	b.Grow(len(s) + 16)
	for i := range len(s) {
		c := s[i]
		if isUnreserved(c) || strings.IndexByte(kept, c) >= 0 {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
	}
	return b.String()
}

// jsonWriter is how an encoder of JSON writes a string.
type jsonWriter struct {
	hex   string // the characters that it writes as \uXXXX though JSON lets them stand
	ascii bool   // it writes every character outside ASCII so
	slash bool   // it writes \/
}

// jsonWriters are the encoders in use. Each writes the digits of \uXXXX in lower or in
// upper case.
var jsonWriters = []jsonWriter{
	{},                                 // JavaScript, Ruby, Rust, jq; Python with ensure_ascii=False
	{ascii: true},                      // Python, jq -a, Jackson with ESCAPE_NON_ASCII
	{slash: true},                      // PHP with JSON_UNESCAPED_UNICODE
	{ascii: true, slash: true},         // PHP
	{hex: "<>&\u2028\u2029"},           // Go, Rails
	{hex: "<>&", ascii: true},          // Rails and others that stay in ASCII
	{hex: "<>&=\u2028\u2029'"},         // Gson
	{hex: "<>&'\"", ascii: true},       // PHP with JSON_HEX_…; Newtonsoft with EscapeHtml
	{hex: "<>&'\"+`\x7f", ascii: true}, // System.Text.Json
	{hex: "<>&'\"", ascii: true, slash: true},
}

// jsonForms returns s as JSON encoders write it inside the quotes, and as they write a JSON
// text that is itself a string in JSON.
func jsonForms(s string) (forms []string) {
	for _, digits := range []string{lowerDigits, upperDigits} {
		once := written(s, digits)
		if digits == upperDigits && !slices.ContainsFunc(once, func(form string) bool { return strings.Contains(form, `\u`) }) {
			break // nothing has digits
		}
		forms = append(forms, once...)
		if len(s) > mostForms {
			continue
		}
		for _, inner := range once {
			forms = append(forms, written(inner, digits)...)
		}
	}
	return forms
}

// written returns s as JSON encoders write it. Where one leaves it as it is, or writes it as
// another does, it gives no form.
func written(s, digits string) (forms []string) {
	writers := jsonWriters
	if len(s) > mostForms {
		writers = writers[:5]
	}
	has := charactersOf(s)
	seen := make([]jsonWriter, 0, len(writers))
	for _, w := range writers {
		w = w.on(has)
		if slices.Contains(seen, w) || w == (jsonWriter{}) && !has.short {
			continue
		}
		seen = append(seen, w)
		forms = append(forms, w.write(s, digits))
	}
	return forms
}

// characters tells what is in a text that encoders of JSON do not agree on.
type characters struct {
	in    [128]bool // those of ASCII
	wide  bool      // others
	short bool      // those that every encoder escapes
}

func charactersOf(s string) *characters {
	has := &characters{}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 0x80:
			has.wide = true
		default:
			has.in[c] = true
			has.short = has.short || c < ' ' || c == '"' || c == '\\'
		}
	}
	return has
}

// on returns what of a writer matters for a text.
func (w jsonWriter) on(has *characters) jsonWriter {
	hex := strings.Map(func(r rune) rune {
		if r < 0x80 && has.in[r] || r >= 0x80 && has.wide {
			return r
		}
		return -1
	}, w.hex)
	return jsonWriter{hex: hex, ascii: w.ascii && has.wide, slash: w.slash && has.in['/']}
}

func (w jsonWriter) write(s, digits string) string {
	var b strings.Builder
	escape := func(c uint16) {
		b.WriteString(`\u`)
		for shift := 12; shift >= 0; shift -= 4 {
			b.WriteByte(digits[c>>shift&15])
		}
	}
	b.Grow(len(s) + 8)
	for i := 0; i < len(s); {
		if isUnreserved(s[i]) { // as every encoder does
			b.WriteByte(s[i])
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		short := strings.IndexRune("\"\\\b\f\n\r\t", r)
		switch {
		case r == utf8.RuneError && n == 1 && (w.hex != "" || w.ascii):
			b.WriteString(`\ufffd`) // so Go does it
		case strings.ContainsRune(w.hex, r) && r != utf8.RuneError:
			escape(uint16(r))
		case short >= 0:
			b.WriteByte('\\')
			b.WriteByte("\"\\bfnrt"[short])
		case r == '/' && w.slash:
			b.WriteString(`\/`)
		case r < ' ':
			escape(uint16(r))
		case r >= 0x10000 && w.ascii:
			high, low := utf16.EncodeRune(r)
			escape(uint16(high))
			escape(uint16(low))
		case r > 0x7f && w.ascii:
			escape(uint16(r))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
