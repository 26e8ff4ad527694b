package commands

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/url"
	"slices"
	"strings"
)

// Redaction is a seat belt, not a wall: it keeps a value that a program prints by
// mistake out of a build log. A program that wants to give a value away can.

// shortestRedacted is the length in bytes of the shortest text that is replaced;
// shorter ones are in every output by chance.
const shortestRedacted = 4

// needle is a form in which a value may appear.
type needle struct {
	text []byte
	with []byte // what is written instead
}

// redactor replaces needles in a stream: at each place the longest that begins
// there. It holds back no more than may still become one.
type redactor struct {
	w    io.Writer
	by   *[256][]needle // by first byte, the longest first
	held []byte
}

// needlesFor returns the forms of values: as they are, and in base64, hex, URL and
// JSON escapes.
func needlesFor(list []variable) *[256][]needle {
	var by [256][]needle
	seen := map[string]bool{}
	for _, v := range list {
		with := []byte("[redacted:" + v.name + "]")
		for _, form := range formsOf(v.value) {
			if len(form) < shortestRedacted || seen[form] {
				continue
			}
			seen[form] = true
			by[form[0]] = append(by[form[0]], needle{[]byte(form), with})
		}
	}
	for i := range by {
		slices.SortStableFunc(by[i], func(a, b needle) int { return len(b.text) - len(a.text) })
	}
	return &by
}

func formsOf(value []byte) []string {
	s := string(value)
	if len(s) < shortestRedacted {
		return nil
	}
	forms := []string{s, hex.EncodeToString(value), strings.ToUpper(hex.EncodeToString(value)), url.QueryEscape(s), url.PathEscape(s)}
	for _, html := range []bool{false, true} {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(html)
		if e.Encode(s) == nil {
			forms = append(forms, strings.Trim(strings.TrimSpace(b.String()), `"`))
		}
	}
	if trimmed := strings.TrimRight(s, "\n"); trimmed != s { // as $(…) hands it on
		forms = append(forms, trimmed)
	}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		forms = append(forms, enc.EncodeToString(value))
		// Inside of something longer, a value is encoded at one of three offsets.
		// What depends on its neighbours is left out.
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

func newRedactor(w io.Writer, by *[256][]needle) *redactor { return &redactor{w: w, by: by} }

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
	for i := range r.by[rest[0]] {
		n := &r.by[rest[0]][i]
		switch {
		case bytes.HasPrefix(rest, n.text):
			return n, false
		case !last && bytes.HasPrefix(n.text, rest):
			return nil, true
		}
	}
	return nil, false
}
