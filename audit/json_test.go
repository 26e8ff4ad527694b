package audit

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestStrictJSON(t *testing.T) {
	type body struct {
		A int    `json:"a"`
		B string `json:"b"`
		C []struct {
			D int `json:"d"`
		} `json:"c"`
	}
	for in, ok := range map[string]bool{
		`{"a":1,"b":"x","c":[{"d":1},{"d":2}]}`: true,
		`{"b":"a\":1,\"a"}`:                     true,
		`{"a":1,"a":2}`:                         false,
		`{"A":1}`:                               false,
		`{"a":1,"x":2}`:                         false,
		`{"a":1} {}`:                            false,
		`{"a":1}x`:                              false,
		`{"c":[{"d":1,"d":2}]}`:                 false,
		`{"\u0061":1}`:                          false,
		"{\"b\":\"\xff\"}":                      false,
		"{\"b\":\"ü\"}":                         true,
		`[]`:                                    false,
		``:                                      false,
	} {
		var b body
		if err := DecodeStrict([]byte(in), &b); (err == nil) != ok {
			t.Errorf("%s: %v", in, err)
		}
	}
	var s string
	if err := DecodeStrict([]byte("\"é\" "), &s); err != nil || s != "é" {
		t.Errorf("a text with a space behind it: %q, %v", s, err)
	}
}

// The strict decoder accepts only valid JSON, and refuses an object that repeats a name.
func FuzzStrictJSON(f *testing.F) {
	for _, s := range []string{`{"seq":1,"author":"owner"}`, `{"seq":1,"seq":2}`, `{"SEQ":1}`, `{"seq":1}{}`,
		`{"author":"\"seq\":"}`, `{`, `"\`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var body struct {
			Seq    int    `json:"seq"`
			Author string `json:"author"`
		}
		if DecodeStrict(b, &body) != nil {
			return
		}
		if !json.Valid(b) {
			t.Errorf("%q was accepted", b)
		}
		if bytes.Count(b, []byte(`"seq":`)) > 1 && !bytes.Contains(b, []byte(`\"seq`)) {
			t.Errorf("%q was accepted, with a name twice", b)
		}
	})
}

// everyKind has a field of each kind that the bodies of entries use.
type everyKind struct {
	Text  string         `json:"text"`
	Whole uint64         `json:"whole"`
	Small uint8          `json:"small"`
	Int   int64          `json:"int"`
	Yes   bool           `json:"yes"`
	Bytes []byte         `json:"bytes"`
	Lapse int64          `json:"lapse,omitempty"`
	At    time.Time      `json:"at"`
	Maybe *time.Time     `json:"maybe,omitempty"`
	Texts []string       `json:"texts"`
	List  []everyKind    `json:"list,omitempty"`
	Any   map[string]any `json:"any,omitempty"`
	Level level          `json:"level"`
	Name  name           `json:"name"`
}

type name string

// level marshals as text, as tiers do.
type level uint8

func (l level) MarshalText() ([]byte, error)  { return bytes.Repeat([]byte("+"), int(l)), nil }
func (l *level) UnmarshalText(b []byte) error { *l = level(len(b)); return nil }

func manyKinds() everyKind {
	at := time.Date(2026, 6, 1, 10, 30, 0, 5e6, time.UTC)
	return everyKind{
		Text: "a/b !~", Whole: 12, Small: 255, Int: 7, Yes: true, Bytes: []byte{0, 1, 255, 4}, Lapse: 9, At: at, Maybe: &at,
		Texts: []string{"x", ""},
		List:  []everyKind{{Bytes: []byte{}, At: at, Texts: []string{}}, {Bytes: []byte{1}, At: at, Texts: []string{"y"}}},
		Any: map[string]any{"version": 3.0, "tiers": []any{"x", true, false, map[string]any{}},
			"note": map[string]any{"a_1": "b"}}, Level: 2, Name: "n",
	}
}

// composed has the fields of another struct, and one that is not in the JSON.
type composed struct {
	First string `json:"first"`
	hidden
	Last uint64 `json:"last"`
	by   string // as in a body of the vault that remembers who signed it
}

type hidden struct {
	One string `json:"one,omitempty"`
	Two int    `json:"two,omitempty"`
}

// withoutLists has lists that are written as null.
type withoutLists struct {
	Texts []string `json:"texts"`
	Bytes []byte   `json:"bytes"`
	N     uint64   `json:"n"`
}

// listed is an event with a list, whose items have each of their optional fields.
func listed() Event {
	return Event{ID: "x", Type: SecretRead, Metadata: map[string]any{}, CreatedAt: time.Date(2026, 6, 1, 10, 30, 0, 0, time.UTC),
		Items: []Item{{Path: "a/K", Version: 1, Tier: "standard"}, {Path: "a/L", Version: 12, Tier: "critical", Approval: "id"},
			{Path: "a/M", Tier: "x", Type: "t", Approval: "a"}}}
}

// The quick decoder reads what json.Marshal wrote, and gets the same values.
func TestQuickJSON(t *testing.T) {
	for _, want := range []any{
		manyKinds(),
		Event{ID: "x", Type: SecretImported, Metadata: map[string]any{"keys": []any{"A", "B"}, "versions": []any{1.0, 22.0}},
			CreatedAt: time.Date(2026, 6, 1, 10, 30, 0, 0, time.UTC)},
		listed(),
		composed{First: "f", Last: 9, by: ""},
		composed{First: "f", hidden: hidden{"1", 2}, Last: 9},
		withoutLists{N: 7},
	} {
		b, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got := reflect.New(reflect.TypeOf(want))
		if !quickDecode(b, got.Interface()) {
			t.Errorf("not the quick way: %s", b)
		}
		if !reflect.DeepEqual(got.Elem().Interface(), want) {
			t.Errorf("%s\nis read as %+v", b, got.Elem())
		}
	}
	var c capitals
	text := []byte(`{"lastMAC":"AAEC","n":7}`)
	if q := (&quick{rest: text, anyNames: true}); !q.all(&c) || c.N != 7 || !bytes.Equal(c.Last, []byte{0, 1, 2}) {
		t.Errorf("%s is read as %+v", text, c)
	}
	if quickDecode(text, &c) || DecodeStrict(text, &c) == nil {
		t.Errorf("a body may be %s", text)
	}
	type unnamed struct{ A int }
	var u unnamed
	if quickDecode([]byte(`{"":1}`), &u) {
		t.Error("a field without a name was read")
	}
}

// The quick decoder accepts only what the strict decoder accepts, with the same result.
func FuzzQuickJSON(f *testing.F) {
	b, err := json.Marshal(manyKinds())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	for i := range b {
		f.Add(b[:i]) // cut off
	}
	before, behind, ok := strings.Cut(string(b), `"any":`)
	_, behind, ok2 := strings.Cut(behind, `,"level"`)
	if !ok || !ok2 {
		f.Fatalf("%s", b)
	}
	for _, other := range []string{`5`, `05`, `"x"`, `[]`, `true`, `null`, `{"a":05}`, `{"a":}`, `{"a":1234567890123456}`,
		`{"a":-1}`, `{"a":1e3}`, `{"a":0}`, `{"a":[1,]}`, `{"a":1,}`,
		`{"a":{},"a":1}`, `{"A":1}`, strings.Repeat(`{"a":`, 12) + "1" + strings.Repeat("}", 12)} {
		f.Add([]byte(before + `"any":` + other + `,"level"` + behind))
	}
	b2, err := json.Marshal(listed())
	if err != nil {
		f.Fatal(err)
	}
	for i := range b2 {
		f.Add(b2[:i])
		f.Add(slices.Concat(b2[:i], b2[i+1:]))
	}
	before, behind, _ = strings.Cut(string(b2), `"items":`)
	_, behind, ok = strings.Cut(behind, `],`)
	if !ok {
		f.Fatalf("%s", b2)
	}
	for _, other := range []string{`[]`, `null`, `{}`, `[{}]`, `[{"path":"a","version":1,"tier":"x","type":}]`,
		`[{"path":"a","version":01,"tier":"x"}]`, `[{"path":"a","version":1,"tier":"x"},]`,
		`[{"path":"a","version":1,"tier":"x","sum":""}]`, `[{"path":"a","version":1,"tier":"x","sum":"s","sum":"t"}]`} {
		f.Add([]byte(before + `"items":` + other + `,` + behind))
	}
	for old, others := range map[string]string{`"whole":12`: " - 012 12.0", `"small":255`: " 256 -1", `"int":7`: " -7 07",
		`"yes":true`: " 1 truE null", `"lapse":9`: " x", `"bytes":"AAH/BA=="`: ` "AAH/BA=" "AAH_BA==" null 1`} {
		field, _, _ := strings.Cut(old, ":")
		for other := range strings.SplitSeq(others, " ") {
			f.Add(bytes.Replace(b, []byte(old), []byte(field+":"+other), 1))
		}
	}
	for _, s := range []string{`{"lastMAC":"AAEC","n":7}`, `{"lastMAC":"","n":0,"some":""}`, `{"lastmac":"AAEC","N":7,"x":1}`,
		`{"lastMAC":"AAEC","lastMAC":"AAED","n":7}`, `{"lastMAC":"AAEC","n":7} `, `{"lastMAC":"AAEC","n":7}x`, `{"lastMAC":null,"n":-7}`,
		` {"n":7,"lastMAC":"AAEC"}`} {
		f.Add([]byte(s))
	}
	for _, text := range []string{`\u0061`, `\"`, "\x01", "\x1f", "\x7f", "é", "\xff"} {
		f.Add(bytes.Replace(b, []byte(`"text":"a`), []byte(`"text":"`+text), 1))
	}
	for _, s := range []string{
		`{"text":"","whole":1,"small":256,"int":0,"yes":false,"bytes":"","at":"2026-06-01T10:30:00Z","texts":[],"level":""}`,
		`{"text":"","whole":01,"small":1,"int":0,"yes":false,"bytes":"AA=","at":"2026-06-01T10:30:00Z","texts":[],"level":""}`,
		`{"text":"","whole":1,"small":1,"int":0,"yes":false,"bytes":"AB==","at":"2026-06-01T10:30:00z","texts":[],"any":{"a":1,"a":2},"level":""}`,
		`{"text":"","whole":1,"small":1,"int":0,"yes":false,"bytes":"","at":"2026-06-01T10:30:00Z","texts":["a",],"any":{"A":1},"level":"\u002b"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		checkQuick[everyKind](t, b)
		checkQuick[Event](t, b)
		var got, want capitals
		err, wrong := Unmarshal(b, &got), json.Unmarshal(b, &want)
		if (err == nil) != (wrong == nil) || err == nil && !reflect.DeepEqual(got, want) {
			t.Errorf("%q is read as %+v (%v) instead of %+v (%v)", b, got, err, want, wrong)
		}
	})
}

// capitals has a name that a body must not have.
type capitals struct {
	Last []byte `json:"lastMAC"`
	N    uint64 `json:"n"`
	Some []byte `json:"some,omitempty"`
}

func checkQuick[T any](t *testing.T, b []byte) {
	var got, want T
	if !quickDecode(b, &got) {
		return
	}
	if err := decodeStrict(b, &want); err != nil {
		t.Errorf("%q: %v", b, err)
	} else if !reflect.DeepEqual(got, want) {
		t.Errorf("%q is read as %+v instead of %+v", b, got, want)
	}
}

func BenchmarkDecodeStrict(b *testing.B) {
	body, err := Event{ID: "8c6dd8f2-6b35-4c7c-8a4e-7d0f0a1b2c3d", Type: SecretRead, ActorID: "owner", ActorType: Human,
		ResourceType: "secret", ResourceID: "production/service1/KEY", Metadata: map[string]any{"version": 1,
			"tier": "standard"}, CreatedAt: time.Now()}.Encode()
	if err != nil {
		b.Fatal(err)
	}
	for name, decode := range map[string]func([]byte, any) error{"quick": DecodeStrict, "judge": decodeStrict} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var ev Event
				if err := decode(body, &ev); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
