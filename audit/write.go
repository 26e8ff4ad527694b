package audit

import (
	"bytes"
	"encoding"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Most bodies need no general writer either: plain text, whole numbers, times. A command writes a handful of them, each
// of another type, and json.Marshal takes ten times as long for the first value of a type.

// Marshal returns what [json.Marshal] returns, to the byte.
func Marshal(v any) ([]byte, error) {
	room, _ := scratch.Get().(*[]byte)
	defer scratch.Put(room)
	b, ok := quickEncode((*room)[:0], reflect.ValueOf(v), 0)
	*room = b[:0]
	if !ok {
		return json.Marshal(v)
	}
	return bytes.Clone(b), nil
}

var scratch = sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }}

var (
	timeType   = reflect.TypeFor[time.Time]()
	itemsType  = reflect.TypeFor[[]Item]()
	detailType = reflect.TypeFor[map[string]any]()
	bytesType  = reflect.TypeFor[byte]()
	asJSON     = reflect.TypeFor[json.Marshaler]()
	asText     = reflect.TypeFor[encoding.TextMarshaler]()
	asNumber   = reflect.TypeFor[json.Number]()
)

// quickEncode appends v in JSON. If it returns false, v needs the general writer, and b may hold anything.
func quickEncode(b []byte, v reflect.Value, depth int) (_ []byte, ok bool) {
	if depth++; !v.IsValid() || depth > 16 { // the general writer knows values that hold themselves
		return b, false
	}
	kind, t := v.Kind(), v.Type()
	if (kind == reflect.Pointer || kind == reflect.Interface) && v.IsNil() {
		return append(b, "null"...), true
	}
	switch {
	case t == timeType:
		when := v.Interface().(time.Time)
		b, err := when.AppendText(append(b, '"'))
		return append(b, '"'), err == nil
	case t == itemsType:
		return appendItems(b, v.Interface().([]Item))
	case t == detailType:
		return appendMap(b, v.Interface().(map[string]any), depth)
	case kind == reflect.Struct, t.PkgPath() != "" && kind != reflect.Interface: // the type may have a form of its own
		p := reflect.PointerTo(t)
		switch {
		case p.Implements(asJSON), t == asNumber:
			return b, false
		case t.Implements(asText):
			text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
			b, ok = appendText(b, string(text))
			return b, ok && err == nil
		case p.Implements(asText):
			return b, false
		}
	}
	switch kind {
	case reflect.String:
		return appendText(b, v.String())
	case reflect.Bool:
		return strconv.AppendBool(b, v.Bool()), true
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(b, v.Int(), 10), true
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.AppendUint(b, v.Uint(), 10), true
	case reflect.Pointer, reflect.Interface:
		return quickEncode(b, v.Elem(), depth)
	case reflect.Slice:
		return appendList(b, v, depth)
	case reflect.Struct:
		return appendStruct(b, v, depth)
	}
	return b, false
}

// appendText appends printable ASCII that is written as it is.
func appendText(b []byte, s string) ([]byte, bool) {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c > '~', c == '"', c == '\\', c == '<', c == '>', c == '&':
			return b, false
		}
	}
	return append(append(b, s...), '"'), true
}

func appendList(b []byte, v reflect.Value, depth int) (_ []byte, ok bool) {
	if v.IsNil() {
		return append(b, "null"...), true
	}
	if e := v.Type().Elem(); e == bytesType {
		b = base64.StdEncoding.AppendEncode(append(b, '"'), v.Bytes())
		return append(b, '"'), true
	} else if e.Kind() == reflect.Uint8 {
		return b, false
	}
	b = append(b, '[')
	for i := range v.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		if b, ok = quickEncode(b, v.Index(i), depth); !ok {
			return b, false
		}
	}
	return append(b, ']'), true
}

func appendMap(b []byte, m map[string]any, depth int) (_ []byte, ok bool) {
	if m == nil {
		return append(b, "null"...), true
	}
	names := make([]string, 0, 8)
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	b = append(b, '{')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		if b, ok = appendText(b, name); !ok {
			return b, false
		}
		b = append(b, ':')
		if x := m[name]; x == nil {
			b = append(b, "null"...)
		} else if b, ok = quickEncode(b, reflect.ValueOf(x), depth); !ok {
			return b, false
		}
	}
	return append(b, '}'), true
}

func appendStruct(b []byte, v reflect.Value, depth int) (_ []byte, ok bool) {
	of := fieldsOf(v.Type())
	if !of.quick {
		return b, false
	}
	b = append(b, '{')
	lead := false
	for _, f := range of.fields {
		field := v.FieldByIndex(f.index)
		if f.optional && isEmpty(field) {
			continue
		}
		if lead {
			b = append(b, ',')
		}
		lead = true
		if b, ok = quickEncode(append(b, f.name...), field, depth); !ok {
			return b, false
		}
	}
	return append(b, '}'), true
}

// isEmpty reports whether omitempty leaves a field out.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

// appendItems appends the list of an entry.
func appendItems(b []byte, list []Item) (_ []byte, ok bool) {
	if list == nil {
		return append(b, "null"...), true
	}
	ok = true
	size := 2
	for _, item := range list {
		size += item.Size()
	}
	b = slices.Grow(b, size)
	text := func(before, s string) {
		var plain bool
		b, plain = appendText(append(b, before...), s)
		ok = ok && plain
	}
	b = append(b, '[')
	for i, item := range list {
		if i > 0 {
			b = append(b, ',')
		}
		text(`{"path":`, item.Path)
		b = strconv.AppendUint(append(b, `,"version":`...), item.Version, 10)
		text(`,"tier":`, item.Tier)
		if item.Type != "" {
			text(`,"type":`, item.Type)
		}
		if item.Approval != "" {
			text(`,"approval":`, item.Approval)
		}
		if item.To != "" {
			text(`,"to":`, item.To)
		}
		if item.From != "" {
			text(`,"from":`, item.From)
		}
		b = append(b, '}')
	}
	return append(b, ']'), ok
}
