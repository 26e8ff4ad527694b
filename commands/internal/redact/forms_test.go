package redact

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
)

// A stream finds the forms in which programs write a value. The text that remains beside the
// mark is less than a value.
func TestForms(t *testing.T) {
	for _, value := range []string{"hunter2-", "hunter2-k", "hunter2/+key", "\xff\xfb\xef hunter2 \xfe"} {
		n := New([]Secret{{"KEY", []byte(value)}}, Rules{})
		for _, form := range []string{value, hex.EncodeToString([]byte(value)),
			strings.ToUpper(hex.EncodeToString([]byte(value))), base64.StdEncoding.EncodeToString([]byte(value)),
			base64.URLEncoding.EncodeToString([]byte(value))} {
			if got := masked(t, n, "<"+form+">"); got != "<[redacted:KEY]>" {
				t.Errorf("%q as %q: %q", value, form, got)
			}
		}
		for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding,
			base64.RawURLEncoding} {
			for before := range 6 {
				for after := range 4 {
					around := strings.Repeat("u", before) + value + strings.Repeat(":", after)
					got := masked(t, n, enc.EncodeToString([]byte(around)))
					left := len(strings.Replace(got, "[redacted:KEY]", "", 1))
					if most := enc.EncodedLen(before) + enc.EncodedLen(after) + 4; !strings.Contains(got, "[redacted:KEY]") ||
						left > most {
						t.Errorf("%q with %d bytes before and %d behind it, in base64: %q", value, before, after, got)
					}
				}
			}
		}
	}
	const all = "hunter2\n<\"&'+`=/\\é🔑>"
	for _, c := range []struct{ what, value, form string }{
		{"url.QueryEscape", "hunter2 a&b/c!~", "hunter2+a%26b%2Fc%21~"},
		{"url.PathEscape", "hunter2 a&b/c!~", "hunter2%20a&b%2Fc%21~"},
		{"jq @uri, curl --data-urlencode", "hunter2 a&b/c!~", "hunter2%20a%26b%2Fc%21~"},
		{"the same in lower case", "hunter2 a&b/c!~", "hunter2%20a%26b%2fc%21~"},
		{"encodeURIComponent", "hunter2 a&b/c!~", "hunter2%20a%26b%2Fc!~"},
		{"python's quote", "hunter2 a&b/c!~", "hunter2%20a%26b/c%21~"},
		{"encoding/json", all, `hunter2\n\u003c\"\u0026'+` + "`" + `=/\\é🔑\u003e`},
		{"the same in upper case", all, `hunter2\n\u003C\"\u0026'+` + "`" + `=/\\é🔑\u003E`},
		{"JSON.stringify", all, "hunter2\\n<\\\"&'+`=/\\\\é🔑>"},
		{"json.dumps", all, "hunter2\\n<\\\"&'+`=/\\\\" + `\u00e9\ud83d\udd11>`},
		{"PHP", all, "hunter2\\n<\\\"&'+`=\\/\\\\" + `\u00e9\ud83d\udd11>`},
		{"PHP, JSON_UNESCAPED_UNICODE", all, "hunter2\\n<\\\"&'+`=\\/\\\\é🔑>"},
		{"PHP, JSON_HEX_TAG and the others", "hunter2<\"&'>/", `hunter2\u003C\u0022\u0026\u0027\u003E\/`},
		{"System.Text.Json", all, `hunter2\n\u003C\u0022\u0026\u0027\u002B\u0060=/\\\u00E9\uD83D\uDD11\u003E`},
		{"Gson", all, `hunter2\n\u003c\"\u0026\u0027+` + "`" + `\u003d/\\é🔑\u003e`},
		{"Jackson, ESCAPE_NON_ASCII", "hunter2 é", `hunter2 \u00E9`},
		{"json.dumps of a byte 0x80", "hunter2…key", `hunter2\u2026key`},
		{"JSON of quotes at the ends", `"hunter2"`, `\"hunter2\"`},
		{"JSON of a blank at the end", "hunter2 \t ", `hunter2 \t `},
		{"a newline that $(…) takes away", "hunter2-line\n", "hunter2-line"},
	} {
		n := New([]Secret{{"KEY", []byte(c.value)}}, Rules{})
		if got := masked(t, n, "<"+c.form+">"); got != "<[redacted:KEY]>" {
			t.Errorf("%s of %q: %q", c.what, c.value, got)
		}
		// JSON inside of JSON, each by another encoder
		for _, outer := range []jsonWriter{{}, {slash: true}, {hex: "<>&'\"+`", ascii: true}} {
			twice := outer.write(c.form, "0123456789ABCDEF")
			if strings.Contains(c.form, `\u`) && strings.Contains(outer.hex, "\"") {
				continue // digits of two cases
			}
			if strings.ContainsAny(c.form, "%") {
				continue // a URL in JSON is another form
			}
			if got := masked(t, n, "<"+twice+">"); got != "<[redacted:KEY]>" {
				t.Errorf("%s of %q in JSON: %q: %q", c.what, c.value, twice, got)
			}
		}
	}
}

// What this package takes for Go's JSON is Go's JSON.
func TestGoJSON(t *testing.T) {
	for _, s := range []string{"a\"\\/<>&=\x00\x01\x1f\b\f\n\r\t\x7f", "é🔑\u2028\u2029", "\xff\xfe"} {
		b, err := json.Marshal(s)
		got := `"` + jsonWriter{hex: "<>&\u2028\u2029"}.write(s, "0123456789abcdef") + `"`
		if err != nil || got != string(b) {
			t.Errorf("%q: got %s, want %s: %v", s, got, b, err)
		}
	}
}
