package redact

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf16"
)

// findNaively is the specification. For each value, from left to right: the longest of its texts that stands at a
// place, and then on behind it.
func findNaively(f *Finder, all []byte) (found []Found) {
	secrets := map[int32][]sought{}
	for _, t := range f.texts {
		secrets[t.secret] = append(secrets[t.secret], t)
	}
	for secret, texts := range secrets {
		for at := 0; at < len(all); at++ {
			end, form := at, ""
			for _, t := range texts {
				if text := f.arena[t.from:t.to]; at+len(text) > end && bytes.HasPrefix(all[at:], text) {
					end, form = at+len(text), t.form
				}
			}
			if end > at {
				line := 1 + bytes.Count(all[:at], newline)
				column := at - bytes.LastIndexByte(all[:at], '\n')
				found = append(found, Found{int(secret), form, int64(at), line, int64(column)})
				at = end - 1
			}
		}
	}
	inOrder(found)
	return found
}

func inOrder(found []Found) {
	slices.SortFunc(found, func(a, b Found) int { return cmp.Or(cmp.Compare(a.At, b.At), a.Secret-b.Secret) })
}

// find searches bytes that come in pieces.
func find(t testing.TB, f *Finder, search *Search, pieces ...[]byte) {
	t.Helper()
	search.Reset()
	for _, piece := range pieces {
		if n, err := search.ReadFrom(bytes.NewReader(piece)); err != nil || n != int64(len(piece)) {
			t.Fatalf("%d of %d bytes: %v", n, len(piece), err)
		}
	}
	search.End()
}

// FuzzFind compares the search with its specification, whatever the pieces, and however small the buffer.
func FuzzFind(f *testing.F) {
	seeds(f)
	f.Add([]byte("hunter2-key\x00hunter2-key-longer\x00aHVudGVyMi1rZXk="), []byte{200, 0, 'x', 130, 3, 77, 10, 255, 10}, uint64(6))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x00a\x00"), []byte{0, 0, 0, 130, 0, 0}, uint64(7))
	f.Fuzz(func(t *testing.T, texts, plan []byte, seed uint64) {
		if len(texts) > 200 || len(plan) > 200 {
			return
		}
		r := rand.New(rand.NewPCG(seed, 1))
		var list []Secret
		for i, text := range bytes.SplitN(texts, []byte{0}, 5) {
			list = append(list, Secret{Key: fmt.Sprintf("K%d_KEY", i), Value: text})
		}
		finder, left := NewFinder(list)
		for i, s := range list {
			if (len(bytes.TrimSpace(s.Value)) < 8) != (left[i] == Short) {
				t.Errorf("%q is left as %d", s.Value, left[i])
			}
		}
		var all []byte
		for _, b := range plan {
			if b < 128 || len(finder.texts) == 0 {
				all = append(all, b)
				continue
			}
			text := finder.text(int32(r.IntN(len(finder.texts))))
			if b > 220 {
				text = text[r.IntN(len(text)):]
			}
			if b > 190 {
				text = text[:r.IntN(len(text)+1)]
			}
			all = append(all, text...)
		}
		var got []Found
		search := finder.NewSearch(func(x Found) { got = append(got, x) })
		search.buf = make([]byte, 2*max(finder.longest, 4)+r.IntN(100))
		var pieces [][]byte
		for rest := all; len(rest) > 0; {
			size := 1 + r.IntN(min(len(rest), 1+r.IntN(40)))
			pieces = append(pieces, rest[:size])
			rest = rest[size:]
		}
		want := findNaively(finder, all)
		for range 2 { // a search can be used again
			got = nil
			find(t, finder, search, pieces...)
			if !slices.IsSortedFunc(got, func(a, b Found) int { return cmp.Compare(a.At, b.At) }) {
				t.Errorf("not from left to right: %v", got)
			}
			if inOrder(got); !slices.Equal(got, want) {
				t.Fatalf("%q: got %v, want %v", all, got, want)
			}
		}
		// A mask leaves no text whole.
		masked := finder.Mask(string(all), func(int) string { return "#" })
		if (masked == string(all)) != (len(want) == 0) {
			t.Fatalf("%q is masked as %q", all, masked)
		}
	})
}

// A value is found in each form, at each alignment of base64, and wherever the pieces end.
func TestFindForms(t *testing.T) {
	const value = "hunter2/+\"k\"\té.?>key-of-some-length-that-base64-and-others-write-in-several-lines"
	f, left := NewFinder([]Secret{{"OTHER", []byte("hunter2-other")}, {"KEY", []byte(value)}})
	if left[0] != Sought || left[1] != Sought {
		t.Fatal(left)
	}
	inLines := func(width int, by string) string {
		var lines []string
		for rest := base64.StdEncoding.EncodeToString([]byte(value)); rest != ""; rest = rest[min(width, len(rest)):] {
			lines = append(lines, rest[:min(width, len(rest))])
		}
		return strings.Join(lines, by)
	}
	utf16As := func(order binary.AppendByteOrder) (s string) {
		for _, unit := range utf16.Encode([]rune(value)) {
			s += string(order.AppendUint16(nil, unit))
		}
		return s
	}
	cases := map[string]string{
		value:                             Plain,
		hex.EncodeToString([]byte(value)): Hex,
		fmt.Sprintf("%X", value):          Hex,
		inLines(76, "\n"):                 Base64,
		inLines(64, "\r\n"):               Base64,
		utf16As(binary.LittleEndian):      UTF16,
		utf16As(binary.BigEndian):         UTF16,
		`hunter2/+\"k\"\t` + "\u00e9" + `.?>` + value[18:]:                     JSON,
		percentEncoded(value, "", upperDigits):                                 URL,
		strings.ReplaceAll(percentEncoded(value, "", upperDigits), "%20", "+"): URL,
	}
	for before := range 4 {
		for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding} {
			cases[enc.EncodeToString([]byte(strings.Repeat("u", before)+value+"::"))] = Base64
		}
	}
	var got []Found
	search := f.NewSearch(func(x Found) { got = append(got, x) })
	for text, form := range cases {
		for cut := 0; cut <= len(text); cut += 1 + len(text)/50 {
			got = nil
			find(t, f, search, []byte("one\ntwo\n> "+text[:cut]), []byte(text[cut:]+" <\n"))
			if len(got) != 1 || got[0].Secret != 1 || got[0].Form != form || got[0].Line != 3 || got[0].Column < 3 || got[0].Column > 8 ||
				got[0].At != 7+got[0].Column {
				t.Fatalf("%q, cut at %d: %v", text, cut, got)
			}
		}
		if masked := f.Mask("x"+text+"y", func(secret int) string { return fmt.Sprint("#", secret) }); !strings.Contains(masked, "#1") ||
			len(masked) > 12 {
			t.Errorf("%q is masked as %q", text, masked)
		}
	}
}

// A value that ends with a newline is found without it in every form: as $(…) hands it on.
func TestFindTrimmed(t *testing.T) {
	const value = "hunter2-\u00e9 \"k\"/"
	f, _ := NewFinder([]Secret{{"KEY", []byte(value + "\r\n")}})
	wide := ""
	for _, unit := range utf16.Encode([]rune(value)) {
		wide += string(binary.LittleEndian.AppendUint16(nil, unit))
	}
	for _, text := range []string{value, base64.StdEncoding.EncodeToString([]byte(value)),
		base64.RawURLEncoding.EncodeToString([]byte("xx" + value)), hex.EncodeToString([]byte(value)),
		percentEncoded(value, "", lowerDigits), `hunter2-\u00e9 \"k\"\/`, wide} {
		for _, end := range []string{"", "\r\n"} {
			found := 0
			find(t, f, f.NewSearch(func(Found) { found++ }), []byte(text+end))
			if found != 1 {
				t.Errorf("%q is found %d times", text+end, found)
			}
		}
	}
}

// What is no secret is not looked for, though it stands in one.
func TestFindLeaves(t *testing.T) {
	pem := "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ1\n" +
		"hunter2QyNTUxOQAAACC0123456789abcdefg\n-----END OPENSSH PRIVATE KEY-----\n"
	account := "{\n  \"type\": \"service_account\",\n  \"private_key_id\": \"hunter2a0123456789abcdef\"\n}\n"
	bundle := "-----BEGIN CERTIFICATE-----\nMIIB0123456789abcdefg\nhunter2certificate0123456789\n-----END CERTIFICATE-----\n" +
		"-----BEGIN PRIVATE KEY-----\nMIIE0123456789abcdefg\nhunter2bundle0123456789\n-----END PRIVATE KEY-----\n" +
		"-----BEGIN CERTIFICATE-----\nMIIC0123456789abcdefg\nhunter2cutoff0123456789"
	long := strings.Repeat("hunter2, and no end. ", 1000) + "é"
	f, left := NewFinder([]Secret{{"PEM", []byte(pem)}, {"DATABASE_URL", []byte("postgres://postgres:postgres@db/app")},
		{"OTHER_URL", []byte("postgres://app:hunter2-pw@db/app")}, {"ACCOUNT", []byte(account)}, {"DEBUG", []byte("disabled")},
		{"REGION", []byte("eu-central-1")}, {"SHORT", []byte("hunter2\n")}, {"LONG", []byte(long)}, {"PASSWORD", []byte("password")}, {"BLANKS_KEY", []byte("         \n")},
		{"BUNDLE", []byte(bundle)}})
	if want := []Left{0, 0, 0, 0, Config, Config, Short, 0, 0, Short, 0}; !slices.Equal(left, want) {
		t.Errorf("left %v, want %v", left, want)
	}
	for text, want := range map[string]int{
		"    hunter2QyNTUxOQAAACC0123456789abcdefg\n":         0,
		"b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ1\n":       -1,
		"-----BEGIN OPENSSH PRIVATE KEY-----\n":               -1,
		"MIIB0123456789abcdefg hunter2certificate0123456789":  -1,
		"MIIC0123456789abcdefg hunter2cutoff0123456789":       -1,
		"hunter2bundle0123456789":                             10,
		bundle:                                                10,
		"the database is postgres, user postgres":             -1,
		"postgres://postgres:postgres@db/app":                 1,
		"password hunter2-pw":                                 2,
		"\"type\": \"service_account\",":                      -1,
		"\"private_key_id\": \"hunter2a0123456789abcdef\"":    3,
		"disabled, eu-central-1, hunter2\n":                   -1,
		strings.Repeat("hunter2, and no end. ", 300):          7,
		strings.Repeat("hunter2, and no end. ", 100):          -1,
		base64.StdEncoding.EncodeToString([]byte("x" + long)): 7,
	} {
		got := -1
		search := f.NewSearch(func(x Found) { got = x.Secret })
		if find(t, f, search, []byte(text)); got != want {
			t.Errorf("%.60q: found %d, want %d", text, got, want)
		}
	}
	if f.Longest() > 100<<10 {
		t.Errorf("a text of %d bytes", f.Longest())
	}
	f.Wipe()
	if len(bytes.Trim(f.arena, "\x00")) > 0 {
		t.Error("the texts are not wiped")
	}
	find(t, f, f.NewSearch(func(x Found) { t.Error("found after Wipe") }), []byte(pem))
}

// A hole costs nothing, and hides nothing beside it.
func TestFindSkips(t *testing.T) {
	f, _ := NewFinder([]Secret{{"KEY", []byte("\x00\x00\x00\x00hunter2-key\x00\x00\x00\x00")}, {"OTHER", []byte("hunter2-other")}})
	var got []Found
	search := f.NewSearch(func(x Found) { got = append(got, x) })
	for _, hole := range []int64{0, 1, 4, 100, 1000, 5000, 10 << 30} {
		got = nil
		search.Reset()
		text := "hunter2-other\n\x00\x00\x00\x00hunter2-key"
		_, _ = search.ReadFrom(strings.NewReader(text))
		search.Skip(hole)
		_, _ = search.ReadFrom(iotest.OneByteReader(strings.NewReader("hunter2-key\x00\x00\x00\x00hunter2-other")))
		search.End()
		at := int64(len(text)) + hole
		want := []Found{{1, Plain, 0, 1, 1}, {0, Plain, 14, 2, 1}, {0, Plain, at - 4, 2, at - 17}, {1, Plain, at + 15, 2, at + 2}}
		if hole < 4 {
			want = slices.Delete(want, 1, 3)
		}
		if hole == 4 { // the zeros are those of the first
			want = slices.Delete(want, 2, 3)
		}
		if !slices.Equal(got, want) {
			t.Errorf("a hole of %d bytes: %v, want %v", hole, got, want)
		}
	}
}

// BenchmarkFind searches for 1,000 values in all forms.
func BenchmarkFind(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	letters := []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
	var list []Secret
	for range 1000 {
		value := []byte("hunter2-")
		for range 32 {
			value = append(value, letters[r.IntN(len(letters))])
		}
		list = append(list, Secret{"KEY", value})
	}
	f, _ := NewFinder(list)
	b.Logf("%d texts", len(f.texts))
	random := make([]byte, 16<<20)
	for i := range random {
		random[i] = byte(r.Uint32())
	}
	hexes, base := make([]byte, 16<<20), make([]byte, 16<<20)
	hex.Encode(hexes, random[:8<<20])
	base64.StdEncoding.Encode(base, random[:12<<20])
	for _, c := range []struct {
		what string
		text []byte
	}{
		{"log", bytes.Repeat([]byte("2026-06-01T10:30:00Z level=info msg=\"request served\" path=/api/v1/items status=200 "+
			"id=3fa85f64-5717-4562-b3fc-2c963f66afa6\n"), 100000)},
		{"random", random}, {"hex", hexes}, {"base64", base}, {"zeros", make([]byte, 16<<20)},
		{"prefix", bytes.Repeat([]byte("hunter2-, "), 1<<20)},
	} {
		b.Run(c.what, func(b *testing.B) {
			n := 0
			search := f.NewSearch(func(Found) { n++ })
			b.SetBytes(int64(len(c.text)))
			for b.Loop() {
				search.Reset()
				_, _ = search.ReadFrom(struct{ io.Reader }{bytes.NewReader(c.text)})
				search.End()
			}
			if n > 0 {
				b.Fatal("something was found")
			}
		})
	}
}

// What is searched for is in the arena alone once the finder is made.
func TestFindWipes(t *testing.T) {
	text := strings.Clone("hunter2-key")
	if wipeText(text); strings.Trim(text, "\x00") != "" {
		t.Error("the text is not wiped")
	}
	wipeText("short") // of the program: it must stay
}

// Of a long value, the lines that look like keys are looked for wherever they stand, and in a .env the right side of each.
func TestFindParts(t *testing.T) {
	filler := strings.Repeat("# a comment of some words\n", 400)
	value := filler + "hunter2QyNTUxOQAAACC0123456789abcdefg\nAPI_KEY=\"hunter2aB3dE5fG7hJ9kL1mN2p\"\n"
	f, _ := NewFinder([]Secret{{"FULL", []byte(value)}})
	for text, want := range map[string]int{"x hunter2QyNTUxOQAAACC0123456789abcdefg y": 1, "hunter2aB3dE5fG7hJ9kL1mN2p": 1,
		"# a comment of some words": 0, "API_KEY=": 0} {
		found := 0
		find(t, f, f.NewSearch(func(Found) { found++ }), []byte(text))
		if found != want {
			t.Errorf("%q is found %d times", text, found)
		}
	}
	before := time.Now()
	if f, _ = NewFinder([]Secret{{"LARGE", bytes.Repeat([]byte("hunter2QyNTUxOQAAACC0123456789abcdefg\n"), 27000)}}); f.Texts() > 20_000 {
		t.Errorf("%d texts", f.Texts())
	}
	if took := time.Since(before); took > 10*time.Second {
		t.Errorf("a value of 1 MiB takes %s", took)
	}
}
