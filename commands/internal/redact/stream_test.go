package redact

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// masked sends chunks through a stream and returns what comes out.
func masked(t *testing.T, n *Needles, chunks ...string) string {
	t.Helper()
	var out bytes.Buffer
	s := NewStream(&out, n)
	for _, chunk := range chunks {
		if n, err := s.Write([]byte(chunk)); err != nil || n != len(chunk) {
			t.Fatalf("%d of %d bytes: %v", n, len(chunk), err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// naively is the specification. It takes the whole output, and at each place from left to right
// the longest text that stands there. If that text reaches further than those before it, it gets
// a mark, unless it overlaps a text with the same mark. Bytes of no text stay.
func naively(n *Needles, output string) string {
	var b strings.Builder
	covered, mark := 0, ""
	for at := range len(output) {
		end := at
		var found needle
		for _, t := range n.short {
			rest, ok := strings.CutPrefix(output[at:], t.text)
			if ok && t.word {
				ok = !(at > 0 && isWord(output[at-1]) && isWord(t.text[0])) &&
					!(rest != "" && isWord(rest[0]) && isWord(t.text[len(t.text)-1]))
			}
			if ok && at+len(t.text) > end {
				end, found = at+len(t.text), t
			}
		}
		if end > covered {
			if at >= covered || found.mark != mark {
				b.WriteString(found.mark)
			}
			covered, mark = end, found.mark
		}
		if at >= covered {
			b.WriteByte(output[at])
		}
	}
	return b.String()
}

// madeUp builds secrets from texts, and an output from forms of them, parts of forms and other
// bytes.
func madeUp(texts, plan []byte, r *rand.Rand) (n *Needles, output []byte) {
	if len(texts) > 200 || len(plan) > 200 {
		return nil, nil
	}
	var list []Secret
	for i, text := range bytes.Split(texts, []byte{0}) {
		if i == 5 {
			break
		}
		key := string(rune('A' + i))
		if i%2 == 0 {
			key += "_KEY"
		}
		list = append(list, Secret{Key: key, Value: text})
	}
	n = New(list, Rules{Mask: []string{"B", "C_KEY"}})
	if n == nil {
		return nil, nil
	}
	for _, b := range plan {
		if b < 128 {
			output = append(output, b)
			continue
		}
		form := n.short[r.IntN(len(n.short))].text
		if b > 220 {
			form = form[r.IntN(len(form)):]
		}
		if b > 190 {
			form = form[:r.IntN(len(form)+1)]
		}
		output = append(output, form...)
	}
	return n, output
}

func seeds(f *testing.F) {
	f.Add([]byte("hunter2\x00hunter2-longer\x00nter"), []byte{200, 0, 'x', 130, 3, 77, 255, 10}, uint64(1))
	f.Add([]byte("aaaaaaaa\x00aaaaaaaaaa\x00aaab"), []byte("aaaaaaaaaaaaabaaaa"), uint64(2))
	f.Add([]byte("abab\x00bababababa\x00ab\n\n\n\x00abc"), []byte("ababababab\xff\x80\x81abab"), uint64(3))
	f.Add([]byte("\"q\"uo\"te\"\x00a b&c/d?e\x00\xff\xfe\xfd\xfc\x00ünï"), []byte{128, 135, 140, 150, 160, 170, 180, 190,
		200, 210, 220, 230, 240, 250}, uint64(4))
	f.Add([]byte("postgres://u:secret-pw@h/d\x00line one is long\nline two\n\x00abcdefgh12\x00gh12345678"), []byte{
		255, 254, 'a', 'b', 230, 210, 129, 140, ' ', '-'}, uint64(5))
}

// FuzzMask cuts an output into chunks. What comes out must equal that of naively, and must be
// what naively has so far after each chunk.
func FuzzMask(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, texts, plan []byte, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		n, output := madeUp(texts, plan, r)
		if n == nil {
			return
		}
		want := naively(n, string(output))
		var got bytes.Buffer
		s := NewStream(&got, n)
		for rest := output; len(rest) > 0; {
			size := 1 + r.IntN(min(len(rest), 1+r.IntN(40)))
			if _, err := s.Write(rest[:size]); err != nil {
				t.Fatal(err)
			}
			rest = rest[size:]
			if len(s.Held) > 0 && !begins(n, string(s.Held)) {
				t.Fatalf("%q is held back, and no text begins so", s.Held)
			}
			if !strings.HasPrefix(want, got.String()) {
				t.Fatalf("%q: got %q, want %q", output, got.String(), want)
			}
			if r.IntN(8) == 0 { // another process goes on
				b, err := s.Hand()
				if err == nil {
					s, err = Resume(b, &got)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := s.Close(); err != nil || got.String() != want {
			t.Errorf("%q: got %q, want %q: %v", output, got.String(), want, err)
		}
	})
}

func begins(n *Needles, held string) bool {
	for _, t := range n.short {
		if strings.HasPrefix(t.text, held) {
			return true
		}
	}
	return false
}

// FuzzLetGo lets go between chunks. What was let go early may be the beginning of a secret; every
// other byte of a secret must be masked, and no other byte may be.
func FuzzLetGo(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, texts, plan []byte, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 2))
		n, output := madeUp(texts, plan, r)
		if n == nil {
			return
		}
		for _, t := range n.short {
			if t.word { // whether a short text is a whole word is known too late
				return
			}
		}
		secret := covered(n, string(output))
		var got bytes.Buffer
		s := NewStream(&got, n)
		gone := 0 // in output
		var want strings.Builder
		for at := 0; at < len(output); {
			size := 1 + r.IntN(min(len(output)-at, 1+r.IntN(20)))
			if _, err := s.Write(output[at : at+size]); err != nil {
				t.Fatal(err)
			}
			at += size
			last := at - len(s.Held)
			so := secret
			if r.IntN(3) == 0 || at == len(output) {
				if err := s.LetGo(); err != nil {
					t.Fatal(err)
				}
				last, so = at, covered(n, string(output[:at]))
			}
			for ; gone < last; gone++ {
				if !so[gone] {
					want.WriteByte(output[gone])
				}
			}
		}
		text := got.String()
		for _, t := range n.short {
			text = strings.ReplaceAll(text, t.mark, "")
		}
		plain := want.String()
		for _, t := range n.short {
			plain = strings.ReplaceAll(plain, t.mark, "")
		}
		if text != plain {
			t.Errorf("%q: got %q, want %q", output, got.String(), want.String())
		}
	})
}

// What was let go is not written again, whatever follows it.
func TestLetGo(t *testing.T) {
	n := New([]Secret{{"K", []byte("hunter2-key")}}, Rules{})
	for _, c := range []struct {
		chunks []string // each is let go
		after  []string // what is written by then
	}{
		{[]string{"hunt", "ing"}, []string{"hunt", "hunting"}},
		{[]string{"hunt", "er2-key!"}, []string{"hunt", "hunt[redacted:K]!"}},
		{[]string{"hu", "nt", "er", "s"}, []string{"hu", "hunt", "hunter", "hunters"}},
		{[]string{"hunter2-ke", "y", "y"}, []string{"hunter2-ke", "hunter2-ke[redacted:K]", "hunter2-ke[redacted:K]y"}},
		{[]string{"hunt", "hunter2-key"}, []string{"hunt", "hunt[redacted:K]"}},
		{[]string{"x", "", "hunt", ""}, []string{"x", "x", "xhunt", "xhunt"}},
	} {
		var out bytes.Buffer
		s := NewStream(&out, n)
		for i, chunk := range c.chunks {
			if _, err := s.Write([]byte(chunk)); err != nil {
				t.Fatal(err)
			}
			if err := s.LetGo(); err != nil || out.String() != c.after[i] || s.Waits() {
				t.Errorf("%q, after %d of them: got %q, want %q, waits %t, %v", c.chunks, i+1, &out, c.after[i], s.Waits(), err)
			}
		}
		if err := s.Close(); err != nil || out.String() != c.after[len(c.after)-1] {
			t.Errorf("%q, at the end: got %q, %v", c.chunks, &out, err)
		}
	}
}

// covered tells which bytes of an output are part of a secret.
func covered(n *Needles, output string) []bool {
	of := make([]bool, len(output))
	for at := range len(output) {
		for _, t := range n.short {
			if strings.HasPrefix(output[at:], t.text) {
				for i := range len(t.text) {
					of[at+i] = true
				}
			}
		}
	}
	return of
}

// A state that Hand cannot have written is refused.
func TestResumeRefuses(t *testing.T) {
	for state, ok := range map[string]bool{
		`{"Texts":["YQ==","Yg=="],"Marks":["x","y"],"OfWords":[true,false]}`: true,
		`{"Texts":[]}`:    true,
		`{"Texts":["YQ==`: false,
		`{"Texts":["YQ=="],"Marks":[],"OfWords":[true]}`:                 false,
		`{"Texts":["YQ=="],"Marks":["x"],"OfWords":[]}`:                  false,
		`{"Texts":["YQ==",""],"Marks":["x","y"],"OfWords":[true,false]}`: false,
		`{"Texts":["YQ==","Yg=="],"Marks":["x"],"OfWords":[true,false]}`: false,
		`{"Texts":["YQ==","Yg=="],"Marks":["x","y"],"OfWords":[true]}`:   false,
		`{"Texts":[1],"Marks":["x"],"OfWords":[true]}`:                   false,
	} {
		if _, err := Resume([]byte(state), io.Discard); (err == nil) != ok {
			t.Errorf("%s: %v", state, err)
		}
	}
}

// FuzzResume: no state makes a stream panic.
func FuzzResume(f *testing.F) {
	b, err := NewStream(io.Discard, New([]Secret{{"KEY", []byte("hunter2")}}, Rules{})).Hand()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, []byte("hunter2"))
	f.Add([]byte(`{"Texts":["","YQ=="],"Marks":[""]}`), []byte("a"))
	f.Add([]byte(`{"State":{"Held":"YWFh","Gone":9,"Covered":-9,"Before":999},"Texts":["YWFhYQ=="],"Marks":["x"],`+
		`"OfWords":[true]}`), []byte("aa"))
	f.Fuzz(func(t *testing.T, state, output []byte) {
		s, err := Resume(state, io.Discard)
		if err != nil {
			return
		}
		for _, write := range []func() error{
			func() error { _, err := s.Write(output); return err }, s.LetGo, s.Close,
		} {
			if err := write(); err != nil {
				t.Error(err)
			}
		}
	})
}

func manySecrets(count, length int) (list []Secret) {
	r := rand.New(rand.NewPCG(1, 2))
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range count {
		value := make([]byte, length)
		for j := range value {
			value[j] = letters[r.IntN(len(letters))]
		}
		list = append(list, Secret{Key: fmt.Sprintf("API_KEY_%d", i), Value: value})
	}
	return list
}

func BenchmarkStream(b *testing.B) {
	text := bytes.Repeat([]byte("2026-06-01T10:30:00Z level=info msg=\"request served\" path=/api/v1/items status=200\n"), 800)
	random := make([]byte, len(text))
	r := rand.New(rand.NewPCG(3, 4))
	for i := range random {
		random[i] = byte(r.Uint32())
	}
	for _, c := range []struct {
		name   string
		count  int
		length int
		of     []byte
	}{{"long", 100, 40, text}, {"bytes", 100, 40, random}, {"eight", 100, 8, text}, {"short", 100, 5, text}, {"thousand", 1000, 40, text}} {
		b.Run(c.name, func(b *testing.B) {
			s := NewStream(io.Discard, New(manySecrets(c.count, c.length), Rules{}))
			b.SetBytes(int64(len(c.of)))
			for b.Loop() {
				if _, err := s.Write(c.of); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkNew(b *testing.B) {
	list := manySecrets(100, 40)
	for b.Loop() {
		New(list, Rules{})
	}
}
