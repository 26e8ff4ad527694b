package audit

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// compare fails the test unless Marshal gives what json.Marshal gives. It reports whether the quick way was enough.
func compare(t *testing.T, v any) (quick bool) {
	t.Helper()
	got, err := Marshal(v)
	want, wrong := json.Marshal(v)
	if !bytes.Equal(got, want) || (err == nil) != (wrong == nil) {
		t.Errorf("%+v is written as %s (%v) instead of %s (%v)", v, got, err, want, wrong)
	}
	_, quick = quickEncode(nil, reflect.ValueOf(v), 0)
	return quick
}

// Values that look harmless to the quick writer, and have a form of their own.
type (
	shout     string
	ofBytes   []shoutByte
	shoutByte byte
	ofPointer struct{ n int }
	textOf    struct{ N int }
	withTime  struct{ time.Time }
	withTag   struct {
		hidden2 `json:"inside"`
	}
	hidden2 struct {
		A int `json:"a"`
	}
	twoNames struct {
		hidden2
		B int `json:"a"`
	}
	quotedInt struct {
		N int `json:"n,string"`
	}
	omitZero struct {
		N int `json:"n,omitzero"`
	}
	unnamed    struct{ Some int }
	ofPointers struct {
		At    *time.Time `json:"at"`
		Until *time.Time `json:"until,omitempty"`
		Of    *ofPointer `json:"of"`
		Any   any        `json:"any"`
	}
	empty struct {
		Struct hidden2        `json:"struct,omitempty"`
		Array  [2]int         `json:"array,omitempty"`
		Map    map[string]any `json:"map,omitempty"`
		Slice  []string       `json:"slice,omitempty"`
		No     bool           `json:"no,omitempty"`
		Any    any            `json:"any,omitempty"`
	}
)

func (s shout) MarshalJSON() ([]byte, error)      { return json.Marshal(strings.ToUpper(string(s))) }
func (b shoutByte) MarshalText() ([]byte, error)  { return []byte{'B', byte(b)}, nil }
func (p *ofPointer) MarshalJSON() ([]byte, error) { return []byte("7"), nil }
func (p *textOf) MarshalText() ([]byte, error)    { return []byte("text"), nil }

// Marshal writes what json.Marshal writes, the quick way where there is one.
func TestMarshal(t *testing.T) {
	at := time.Date(2026, 6, 1, 10, 30, 0, 5e6, time.UTC)
	for _, v := range []any{
		noFloats(), &everyKind{}, listed(), Event{Items: []Item{}}, Event{Roots: []string{"a=", "b+/"}, Epoch: 3},
		composed{First: "f", Last: 9, by: "x"}, composed{First: "f", hidden: hidden{"1", 2}, Last: 9}, capitals{Last: []byte{1}, N: 2},
		leftOut{"no", 7}, ofPointers{At: &at, Any: map[string]any{"x": nil}}, ofPointers{},
		Event{Metadata: map[string]any{"z": 1, "a": uint32(7), "list": []any{"x", nil, true, -3, []string{"y"}}, "m": map[string]any{}}},
		empty{Slice: []string{}, Map: map[string]any{}}.part(), name("x"), level(3), []string(nil), []Item(nil),
		map[string]any(nil), time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 1, 0, 0, 0, 1, time.FixedZone("", 3600)),
	} {
		if !compare(t, v) {
			t.Errorf("not the quick way: %+v", v)
		}
	}
	var self []any
	self = []any{&self}
	for _, v := range []any{
		nil, 1.5, Event{Metadata: map[string]any{"n": 3.0}}, math.NaN(), make(chan int), self, [2]int{1, 2}, map[string]int{"a": 1},
		shout("a"), []shout{"a"}, ofBytes{1, 2}, &ofPointer{7}, []ofPointer{{7}}, ofPointers{Of: &ofPointer{7}}, &textOf{7}, textOf{7},
		[]*textOf{{7}}, withTime{at}, withTag{}, twoNames{}, quotedInt{7}, omitZero{}, unnamed{7}, empty{},
		time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2026, 1, 1, 0, 0, 0, 0, time.FixedZone("", 86400)), json.RawMessage(`{"a":1}`), json.Number("12"),
		Event{Items: []Item{{Path: "a<b"}}}, Event{Items: []Item{{Approval: "é"}}}, map[string]any{"a\"b": 1},
	} {
		if compare(t, v) {
			t.Errorf("the quick way: %+v", v)
		}
	}
	for c := range 256 {
		compare(t, "x"+string([]byte{byte(c)})+"y")
		compare(t, []Item{{Path: string([]byte{byte(c)})}})
	}
	for _, s := range []string{"é", "\u2028", "\u2029", "\xff\xfe", "</script>"} {
		compare(t, map[string]any{s: s})
	}
}

// noFloats is manyKinds as it is written. A number that is read is a float64.
func noFloats() everyKind {
	v := manyKinds()
	v.Any["version"] = 3
	return v
}

type leftOut struct {
	Sum string `json:"-"`
	N   int    `json:"n"`
}

// part has only fields that the quick writer can leave out or write.
func (e empty) part() any {
	return struct {
		Map   map[string]any `json:"map,omitempty"`
		Slice []string       `json:"slice,omitempty"`
		No    bool           `json:"no,omitempty"`
		Any   any            `json:"any,omitempty"`
		Sub   hidden2        `json:"sub,omitempty"`
	}{Map: e.Map, Slice: e.Slice}
}

func FuzzMarshal(f *testing.F) {
	f.Add("a/b", "owner", []byte{1, 2}, uint64(3), int64(-4), true, int64(1780309800000000000))
	f.Add("<&>", "\u2028\xff", []byte(nil), uint64(0), int64(0), false, int64(0))
	f.Add("a\"\\", "\x7f\x00", []byte{}, uint64(math.MaxUint64), int64(math.MinInt64), true, int64(-1))
	f.Fuzz(func(t *testing.T, a, b string, bytes []byte, n uint64, i int64, yes bool, when int64) {
		at := time.Unix(0, when).UTC()
		maybe := &at
		if yes {
			maybe = nil
		}
		one := everyKind{Text: a, Whole: n, Small: uint8(n), Int: i, Yes: yes, Bytes: bytes, Lapse: i, At: at, Maybe: maybe,
			Texts: []string{a, b}, Level: level(n % 50), Name: name(b)}
		two := one
		two.List, two.Any = []everyKind{one, one}, map[string]any{a: b, b: n, "list": []any{a, yes, i, bytes}, "deep": map[string]any{b: at}}
		items := []Item{{Path: a, Version: n, Tier: b}, {Path: b, Type: a, Approval: b}}
		compare(t, two)
		compare(t, Event{ID: a, Type: b, Metadata: two.Any, Items: items, CreatedAt: at, Epoch: uint32(n), Roots: one.Texts})
		compare(t, capitals{Last: bytes, N: n, Some: bytes})
	})
}

func BenchmarkMarshal(b *testing.B) {
	ev := listed()
	ev.Items, ev.Metadata = nil, map[string]any{"version": 1, "tier": "standard"}
	for name, marshal := range map[string]func(any) ([]byte, error){"quick": Marshal, "judge": json.Marshal} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := marshal(ev); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
