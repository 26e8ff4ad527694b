package commands

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"unicode/utf16"
)

// Redaction is a seat belt, not a wall. If a program prints a value by mistake,
// redaction keeps it out of a build log. A program that wants to give a value away can.

// shortestRedacted is the length in bytes of the shortest text that is replaced.
// Shorter texts occur in any output by chance.
const shortestRedacted = 4

// needle is a form in which a value may appear.
type needle struct {
	text []byte
	with []byte // what is written in its place
}

// needles holds the needles by their first byte, the longest first. In most places of
// an output, its set of first four bytes shows that no needle begins there.
type needles struct {
	by    [256][]needle
	first map[[shortestRedacted]byte]bool
}

// redactor replaces needles in a stream: at each place the longest that begins there.
// It holds back only bytes that may still become a needle.
type redactor struct {
	w    io.Writer
	by   *needles
	held []byte
}

// needlesFor returns the forms of the values that are replaced: as they are, and in
// base64, hex, URL and JSON escapes.
func needlesFor(list []variable) *needles {
	n := &needles{first: map[[shortestRedacted]byte]bool{}}
	seen := map[string]bool{}
	for _, v := range list {
		with := []byte("[redacted:" + v.name + "]")
		for _, form := range formsOf(v.value) {
			if len(form) < shortestRedacted || seen[form] {
				continue
			}
			seen[form] = true
			n.by[form[0]] = append(n.by[form[0]], needle{[]byte(form), with})
			n.first[[shortestRedacted]byte([]byte(form))] = true
		}
	}
	for i := range n.by {
		slices.SortStableFunc(n.by[i], func(a, b needle) int { return len(b.text) - len(a.text) })
	}
	return n
}

func formsOf(value []byte) []string {
	s := string(value)
	if len(s) < shortestRedacted {
		return nil
	}
	forms := []string{s, hex.EncodeToString(value), strings.ToUpper(hex.EncodeToString(value)), url.QueryEscape(s),
		url.PathEscape(s)}
	for _, kept := range []string{"", "/", "!'()*", "/!'()*"} { // by RFC 3986, by Python, by JavaScript
		upper := percentEncoded(value, kept)
		forms = append(forms, upper, percentEscape().ReplaceAllStringFunc(upper, strings.ToLower))
	}
	for _, html := range []bool{false, true} {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(html)
		if e.Encode(s) == nil {
			quoted := strings.TrimSpace(b.String())
			quoted = quoted[1 : len(quoted)-1]
			forms = append(forms, quoted, asciiJSON(quoted))
		}
	}
	if trimmed := strings.TrimRight(s, "\n"); trimmed != s { // as $(…) hands it on
		forms = append(forms, trimmed)
	}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		forms = append(forms, enc.EncodeToString(value))
		// Inside a longer text, a value is encoded at one of three offsets. The
		// characters that depend on its neighbours are left out.
		for offset := range 3 {
			padded := append(make([]byte, offset), value...)
			whole := enc.WithPadding(base64.NoPadding).EncodeToString(padded)
			from, to := (offset*8+5)/6, len(padded)*8/6
			if core := whole[from:to]; len(core) >= 8 {
				forms = append(forms, core)
			}
		}
	}
	return forms
}

var percentEscape = pattern(`%[0-9A-F]{2}`)

// percentEncoded returns value percent-encoded as in a URL. Only letters, digits, -_.~
// and the bytes in kept stay as they are.
func percentEncoded(value []byte, kept string) string {
	var b strings.Builder
	for _, c := range value {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-_.~"+kept, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// asciiJSON writes the non-ASCII characters of a JSON text as \u escapes, as Python
// does.
func asciiJSON(quoted string) string {
	var b strings.Builder
	for _, r := range quoted {
		switch {
		case r < 0x80:
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			r1, r2 := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, r1, r2)
		}
	}
	return b.String()
}

func newRedactor(w io.Writer, by *needles) *redactor { return &redactor{w: w, by: by} }

// Write takes the next bytes of the stream.
func (r *redactor) Write(p []byte) (int, error) {
	r.held = append(r.held, p...)
	return len(p), r.flush(false)
}

// Close writes what was held back.
func (r *redactor) Close() error { return r.flush(true) }

func (r *redactor) flush(last bool) error {
	var out []byte
	at := 0
	for at < len(r.held) {
		found, wait := r.at(r.held[at:], last)
		if wait {
			break
		}
		if found == nil {
			out = append(out, r.held[at])
			at++
			continue
		}
		out = append(out, found.with...)
		at += len(found.text)
	}
	r.held = append(r.held[:0], r.held[at:]...)
	if len(out) == 0 {
		return nil
	}
	_, err := r.w.Write(out)
	return err
}

// at finds the longest needle at the beginning of rest; wait is true while a longer
// one may still come.
func (r *redactor) at(rest []byte, last bool) (found *needle, wait bool) {
	if len(rest) >= shortestRedacted && !r.by.first[[shortestRedacted]byte(rest)] {
		return nil, false
	}
	for i := range r.by.by[rest[0]] {
		n := &r.by.by[rest[0]][i]
		switch {
		case bytes.HasPrefix(rest, n.text):
			return n, false
		case !last && bytes.HasPrefix(n.text, rest):
			return nil, true
		}
	}
	return nil, false
}
