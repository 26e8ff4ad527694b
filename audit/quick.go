package audit

import (
	"encoding"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"sync"
	"time"
)

// json.Marshal wrote the bodies from the same types that they are read into: fields in
// order, no spaces, and almost never an escape. Text of exactly that form needs no general
// parser, and cannot have a name that is duplicated or in the wrong case. The decoder here
// reads it five times as fast. decodeStrict reads everything else.

// quickDecode decodes data into v, which points to a zero value. If it returns false,
// data may still be valid, and v may hold anything.
func quickDecode(data []byte, v any) bool { return (&quick{rest: data}).all(v) }

// Unmarshal does what [json.Unmarshal] does, for a v that points to a zero value. Unlike [DecodeStrict], it takes JSON of
// every form.
func Unmarshal(data []byte, v any) error {
	if q := (&quick{rest: data, anyNames: true}); q.all(v) {
		return nil
	}
	reflect.ValueOf(v).Elem().SetZero()
	return json.Unmarshal(data, v)
}

func (q *quick) all(v any) bool {
	return q.value(reflect.ValueOf(v).Elem()) && len(q.rest) == 0
}

// quick holds the data that has not been read yet.
type quick struct {
	rest     []byte
	anyNames bool // whether structs may have names that are not plain

	when []byte    // the time that was read last, in its quotes
	at   time.Time // what it is
}

// cut reads text, if the data begins with it.
func (q *quick) cut(text string) bool {
	if len(q.rest) < len(text) || string(q.rest[:len(text)]) != text {
		return false
	}
	q.rest = q.rest[len(text):]
	return true
}

// quoted reads a string of printable ASCII without escapes, and returns it in its quotes.
func (q *quick) quoted() (text []byte, ok bool) {
	if len(q.rest) == 0 || q.rest[0] != '"' {
		return nil, false
	}
	for i, c := range q.rest[1:] {
		switch {
		case c == '"':
			text, q.rest = q.rest[:i+2], q.rest[i+2:]
			return text, true
		case c < ' ' || c > '~' || c == '\\':
			return nil, false
		}
	}
	return nil, false
}

func (q *quick) text() (text []byte, ok bool) {
	if text, ok = q.quoted(); ok {
		text = text[1 : len(text)-1]
	}
	return text, ok
}

// number reads a whole number of at most 15 digits, which a float64 holds exactly.
func (q *quick) number() (n uint64, ok bool) {
	i := 0
	for i < len(q.rest) && '0' <= q.rest[i] && q.rest[i] <= '9' {
		n = n*10 + uint64(q.rest[i]-'0')
		i++
	}
	if i == 0 || i > 15 || i > 1 && q.rest[0] == '0' {
		return 0, false
	}
	q.rest = q.rest[i:]
	return n, true
}

func (q *quick) value(v reflect.Value) bool {
	switch p := v.Addr().Interface().(type) {
	case *string:
		text, ok := q.text()
		*p = string(text)
		return ok
	case *uint64:
		var ok bool
		*p, ok = q.number()
		return ok
	case *time.Time:
		text, ok := q.quoted()
		if ok && string(text) == string(q.when) { // most heads have the same time twice
			*p = q.at
			return true
		}
		if ok = ok && p.UnmarshalJSON(text) == nil; ok {
			q.when, q.at = text, *p
		}
		return ok
	case *map[string]any:
		x, ok := q.any(1)
		*p, _ = x.(map[string]any)
		return ok && *p != nil
	case *[]Item:
		var ok bool
		*p, ok = q.items()
		return ok
	case json.Unmarshaler:
		return false
	case encoding.TextUnmarshaler:
		text, ok := q.text()
		return ok && p.UnmarshalText(text) == nil
	}
	switch v.Kind() {
	case reflect.Struct:
		return q.object(v)
	case reflect.Slice:
		return q.list(v)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return q.value(v.Elem())
	case reflect.String:
		text, ok := q.text()
		v.SetString(string(text))
		return ok
	case reflect.Bool:
		if q.cut("true") {
			v.SetBool(true)
			return true
		}
		return q.cut("false")
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, ok := q.number()
		if ok = ok && !v.OverflowUint(n); ok {
			v.SetUint(n)
		}
		return ok
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, ok := q.number()
		if ok = ok && !v.OverflowInt(int64(n)); ok {
			v.SetInt(int64(n))
		}
		return ok
	}
	return false
}

func (q *quick) object(v reflect.Value) bool {
	of := fieldsOf(v.Type())
	if !of.quick || !of.plain && !q.anyNames {
		return false
	}
	lead := "{"
	for _, f := range of.fields {
		if before := q.rest; !q.cut(lead) || !q.cut(f.name) {
			if q.rest = before; !f.optional {
				return false
			}
			continue
		}
		if lead = ","; !q.value(v.FieldByIndex(f.index)) {
			return false
		}
	}
	return (lead == "," || q.cut(lead)) && q.cut("}")
}

// list reads a JSON array, or bytes in base64, or null for none: a checkpoint without archived entries has one.
func (q *quick) list(v reflect.Value) bool {
	if q.cut("null") {
		v.SetZero()
		return true
	}
	if elem := v.Type().Elem(); elem.Kind() == reflect.Uint8 && len(q.rest) > 0 && q.rest[0] == '"' {
		text, ok := q.text()
		b := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
		n, err := base64.StdEncoding.Decode(b, text)
		if ok = ok && err == nil; ok {
			v.SetBytes(b[:n])
		}
		return ok
	}
	if !q.cut("[") {
		return false
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	for n := 0; !q.cut("]"); n++ {
		if n > 0 && !q.cut(",") {
			return false
		}
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
		if !q.value(v.Index(n)) {
			return false
		}
	}
	return true
}

// items reads the list of an entry. Its texts are parts of one string.
func (q *quick) items() (list []Item, ok bool) {
	all := string(q.rest)
	text := func(to *string) bool {
		b, ok := q.text()
		if ok {
			end := len(all) - len(q.rest) - 1 // before the closing quote
			*to = all[end-len(b) : end]
		}
		return ok
	}
	if !q.cut("[") {
		return nil, false
	}
	list = make([]Item, 0, len(q.rest)/64)
	for !q.cut("]") {
		if len(list) > 0 && !q.cut(",") {
			return nil, false
		}
		var i Item
		if !q.cut(`{"path":`) || !text(&i.Path) || !q.cut(`,"version":`) {
			return nil, false
		}
		if i.Version, ok = q.number(); !ok || !q.cut(`,"tier":`) || !text(&i.Tier) {
			return nil, false
		}
		if q.cut(`,"type":`) && !text(&i.Type) || q.cut(`,"approval":`) && !text(&i.Approval) ||
			q.cut(`,"to":`) && !text(&i.To) || q.cut(`,"from":`) && !text(&i.From) || !q.cut("}") {
			return nil, false
		}
		list = append(list, i)
	}
	return list, true
}

// any reads a value in a map: a string, a number, a boolean, or a list or map of these.
func (q *quick) any(depth int) (x any, ok bool) {
	switch {
	case depth > 8 || len(q.rest) == 0:
		return nil, false
	case q.rest[0] == '"':
		text, ok := q.text()
		return string(text), ok
	case q.cut("true"):
		return true, true
	case q.cut("false"):
		return false, true
	case q.cut("["):
		list := []any{}
		for !q.cut("]") {
			if len(list) > 0 && !q.cut(",") {
				return nil, false
			}
			x, ok := q.any(depth + 1)
			if !ok {
				return nil, false
			}
			list = append(list, x)
		}
		return list, true
	case q.cut("{"):
		m := map[string]any{}
		for !q.cut("}") {
			if len(m) > 0 && !q.cut(",") {
				return nil, false
			}
			text, ok := q.text()
			name := string(text)
			if _, twice := m[name]; !ok || twice || !plainName(name) || !q.cut(":") {
				return nil, false
			}
			if m[name], ok = q.any(depth + 1); !ok {
				return nil, false
			}
		}
		return m, true
	}
	n, ok := q.number()
	return float64(n), ok
}

// quickType is what there is to know of a struct.
type quickType struct {
	fields []quickField
	quick  bool // whether all fields are as encoding/json takes them without its finer rules
	plain  bool // whether their names are plain, too
}

// quickField is the text before the value of a field.
type quickField struct {
	name     string // in quotes, with the colon
	optional bool
	index    []int // see [reflect.Value.FieldByIndex]
}

var quickTypes sync.Map // of quickType, by reflect.Type

// fieldsOf returns the fields of a struct, those of embedded structs among them.
func fieldsOf(t reflect.Type) quickType {
	if known, ok := quickTypes.Load(t); ok {
		return known.(quickType)
	}
	of := quickType{quick: true, plain: true}
	add := func(f quickField) {
		for _, other := range of.fields {
			of.quick = of.quick && other.name != f.name // the one would hide the other
		}
		of.fields = append(of.fields, f)
	}
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		if f.Anonymous && f.Type.Kind() == reflect.Struct && tag == "" {
			inner := fieldsOf(f.Type)
			for _, in := range inner.fields {
				in.index = append([]int{i}, in.index...)
				add(in)
			}
			of.quick, of.plain = of.quick && inner.quick, of.plain && inner.plain
			continue
		}
		if !f.Anonymous && !f.IsExported() || tag == "-" { // not in the JSON
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		of.quick = of.quick && !f.Anonymous && plainName(strings.ToLower(name)) && (options == "" || options == "omitempty")
		of.plain = of.plain && plainName(name)
		add(quickField{`"` + name + `":`, options == "omitempty", []int{i}})
	}
	quickTypes.Store(t, of)
	return of
}
