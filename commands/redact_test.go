package commands

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"
)

// redacted sends chunks through a redactor and returns its output.
func redacted(t *testing.T, list []variable, chunks ...string) string {
	t.Helper()
	var out bytes.Buffer
	r := newRedactor(&out, needlesFor(list))
	for _, chunk := range chunks {
		if n, err := r.Write([]byte(chunk)); err != nil || n != len(chunk) {
			t.Fatalf("%d of %d bytes: %v", n, len(chunk), err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// naively is the specification. It takes the whole output, goes from left to right, and at each
// place redacts the longest form of a value that begins there.
func naively(list []variable, output string) string {
	var b strings.Builder
	for output != "" {
		longest, name := "", ""
		for _, v := range list {
			for _, form := range formsOf(v.value) {
				if len(form) >= shortestRedacted && len(form) > len(longest) && strings.HasPrefix(output, form) {
					longest, name = form, v.name
				}
			}
		}
		if longest == "" {
			b.WriteByte(output[0])
			output = output[1:]
			continue
		}
		b.WriteString("[redacted:" + name + "]")
		output = output[len(longest):]
	}
	return b.String()
}

// FuzzRedact builds an output from forms of values, parts of these forms and other bytes, and
// cuts it into chunks. The redactor's output must equal that of naively.
func FuzzRedact(f *testing.F) {
	f.Add([]byte("hunter2\x00hunter2-longer\x00nter"), []byte{200, 0, 'x', 130, 3, 77, 255, 10}, uint64(1))
	f.Add([]byte("aaaa\x00aaaaaa\x00aaab"), []byte("aaaaaaaaaaaaabaaaa"), uint64(2))
	f.Add([]byte("abab\x00bababa\x00ab\n\n\n\x00abc"), []byte("ababababab\xff\x80\x81abab"), uint64(3))
	f.Add([]byte("\"q\"uo\"te\"\x00a b&c/d?e\x00\xff\xfe\xfd\xfc\x00ünï"), []byte{128, 135, 140, 150, 160, 170, 180, 190,
		200, 210, 220, 230, 240, 250}, uint64(4))
	f.Fuzz(func(t *testing.T, texts, plan []byte, seed uint64) {
		var list []variable
		var forms []string
		for i, text := range bytes.Split(texts, []byte{0}) {
			if len(text) == 0 || i == 5 {
				break
			}
			list = append(list, variable{name: string(rune('A' + i)), value: text})
			forms = append(append(forms, formsOf(text)...), string(text))
		}
		if len(forms) == 0 || len(texts) > 200 || len(plan) > 200 {
			return
		}
		r := rand.New(rand.NewPCG(seed, 1))
		var output []byte
		for _, b := range plan {
			if b < 128 {
				output = append(output, b)
				continue
			}
			form := forms[r.IntN(len(forms))]
			if b > 220 {
				form = form[r.IntN(len(form)):]
			}
			if b > 190 {
				form = form[:r.IntN(len(form)+1)]
			}
			output = append(output, form...)
		}
		want := naively(list, string(output))
		var got bytes.Buffer
		red := newRedactor(&got, needlesFor(list))
		for rest := output; len(rest) > 0; {
			n := 1 + r.IntN(min(len(rest), 1+r.IntN(20)))
			if _, err := red.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
			if len(red.held) > 0 && !begins(forms, string(red.held)) {
				t.Fatalf("%q is held back, and no form begins so", red.held)
			}
			if !strings.HasPrefix(want, got.String()) {
				t.Fatalf("%q: got %q, want %q", output, got.String(), want)
			}
		}
		if err := red.Close(); err != nil || got.String() != want {
			t.Errorf("%q: got %q, want %q: %v", output, got.String(), want, err)
		}
	})
}

func begins(forms []string, held string) bool {
	for _, form := range forms {
		if len(form) >= shortestRedacted && len(form) > len(held) && strings.HasPrefix(form, held) {
			return true
		}
	}
	return false
}

func TestRedact(t *testing.T) {
	list := []variable{
		{name: "KEY", value: []byte("hunter2-key")}, {name: "LONGER", value: []byte("hunter2-key-longer")},
		{name: "SHORT", value: []byte("abc")},
		{name: "LINE", value: []byte("hunter2-line\n")}, {name: "PEM", value: []byte("hunter2\npem\n")},
		{name: "SAME", value: []byte("hunter2-key")},
	}
	for _, c := range []struct {
		chunks []string
		want   string
	}{
		{[]string{"a hunter2-key b\n"}, "a [redacted:KEY] b\n"},
		{[]string{"hunt", "er2-", "key", ""}, "[redacted:KEY]"},
		{strings.Split("xhunter2-keyhunter2-key", ""), "x[redacted:KEY][redacted:KEY]"},
		{[]string{"hunter2-key-longer hunter2-key-longe"}, "[redacted:LONGER] [redacted:KEY]-longe"},
		{[]string{"hunter2-key-", "long", "er"}, "[redacted:LONGER]"},
		{[]string{"hunter2-key-", "x"}, "[redacted:KEY]-x"},
		{[]string{"abc ABC 616263 YWJj"}, "abc ABC 616263 YWJj"},
		{[]string{"hunter2-line\n|hunter2-line"}, "[redacted:LINE]|[redacted:LINE]"},
		{[]string{"hunter2\npem\n|hunter2\npem|hunter2\n"}, "[redacted:PEM]|[redacted:PEM]|hunter2\n"},
		{[]string{"\x00\xff\xfehunter2-ke\x00\r\n\x1b[31m"}, "\x00\xff\xfehunter2-ke\x00\r\n\x1b[31m"},
		{[]string{"hunhunter2-key"}, "hun[redacted:KEY]"},
	} {
		if got := redacted(t, list, c.chunks...); got != c.want {
			t.Errorf("%q: got %q, want %q", c.chunks, got, c.want)
		}
	}
}

// Output that cannot become a value is written at once, even without a newline after it.
func TestRedactPrompt(t *testing.T) {
	var out bytes.Buffer
	r := newRedactor(&out, needlesFor([]variable{{name: "KEY", value: []byte("hunter2-key")}}))
	for _, c := range []struct{ chunk, want string }{
		{"Password: ", "Password: "}, {"hunter2-k", "Password: "}, {"?", "Password: hunter2-k?"},
		{"[y/N] ", "Password: hunter2-k?[y/N] "},
	} {
		if _, err := r.Write([]byte(c.chunk)); err != nil || out.String() != c.want {
			t.Errorf("behind %q there is %q, want %q: %v", c.chunk, out.String(), c.want, err)
		}
	}
}

// A redactor finds the forms in which programs write a value. The text that remains beside the
// mark is less than a value.
func TestRedactForms(t *testing.T) {
	const name = "KEY"
	for _, value := range []string{"hunter2", "hunter2-k", "hunter2/+key", "\xff\xfb\xef hunter2 \xfe"} {
		list := []variable{{name: name, value: []byte(value)}}
		for _, form := range []string{value, hex.EncodeToString([]byte(value)),
			strings.ToUpper(hex.EncodeToString([]byte(value))), base64.StdEncoding.EncodeToString([]byte(value)),
			base64.URLEncoding.EncodeToString([]byte(value))} {
			if got := redacted(t, list, "<"+form+">"); got != "<[redacted:KEY]>" {
				t.Errorf("%q as %q: %q", value, form, got)
			}
		}
		for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding,
			base64.RawURLEncoding} {
			for before := range 6 {
				for after := range 4 {
					around := strings.Repeat("u", before) + value + strings.Repeat(":", after)
					got := redacted(t, list, enc.EncodeToString([]byte(around)))
					left := len(strings.Replace(got, "[redacted:KEY]", "", 1))
					if most := enc.EncodedLen(before) + enc.EncodedLen(after) + 4; !strings.Contains(got, "[redacted:KEY]") ||
						left > most {
						t.Errorf("%q with %d bytes before and %d behind it, in base64: %q", value, before, after, got)
					}
				}
			}
		}
	}
	for _, c := range []struct{ what, value, form string }{
		{"url.QueryEscape", "hunter2 a&b/c!~", "hunter2+a%26b%2Fc%21~"},
		{"url.PathEscape", "hunter2 a&b/c!~", "hunter2%20a&b%2Fc%21~"},
		{"jq @uri, curl --data-urlencode", "hunter2 a&b/c!~", "hunter2%20a%26b%2Fc%21~"},
		{"encodeURIComponent", "hunter2 a&b/c!~", "hunter2%20a%26b%2Fc!~"},
		{"python's quote", "hunter2 a&b/c!~", "hunter2%20a%26b/c%21~"},
		{"encoding/json", "hunter2\n<\"&\\é", `hunter2\n\u003c\"\u0026\\é`},
		{"JSON.stringify", "hunter2\n<\"&\\é", `hunter2\n<\"&\\é`},
		{"json.dumps", "hunter2\n<\"&\\é🔑", `hunter2\n<\"&\\\u00e9\ud83d\udd11`},
		{"JSON of quotes at the ends", `"hunter2"`, `\"hunter2\"`},
		{"JSON of a blank at the end", "hunter2 \t ", `hunter2 \t `},
	} {
		if got := redacted(t, []variable{{name: name, value: []byte(c.value)}}, "<"+c.form+">"); got != "<[redacted:KEY]>" {
			t.Errorf("%s of %q: %q", c.what, c.value, got)
		}
	}
}

func BenchmarkRedact(b *testing.B) {
	var list []variable
	for i := range 1000 {
		list = append(list, variable{name: "KEY", value: []byte(strings.Repeat(string(rune('a'+i%26)),
			3) + strings.Repeat("0123456789", i%7+1) + string(rune('A'+i/40)))})
	}
	needles := needlesFor(list)
	chunk := bytes.Repeat([]byte("2026-06-01T10:30:00Z level=info msg=\"request served\" path=/api/v1/items status=200\n"),
		400)
	b.SetBytes(int64(len(chunk)))
	for b.Loop() {
		if _, err := newRedactor(discard{}, needles).Write(chunk); err != nil {
			b.Fatal(err)
		}
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
