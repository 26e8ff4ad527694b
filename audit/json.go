package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"unicode/utf8"
)

// DecodeStrict decodes the JSON in data into v, which points to a zero value. It
// refuses what encoding/json accepts: bytes that are not UTF-8, unknown fields, text after
// the value, and names that are duplicated or in the wrong case. Two programs must not read the same body
// differently. No error quotes data.
func DecodeStrict(data []byte, v any) error {
	if quickDecode(data, v) {
		return nil
	}
	reflect.ValueOf(v).Elem().SetZero()
	return decodeStrict(data, v)
}

// decodeStrict defines what strict means.
func decodeStrict(data []byte, v any) error {
	if !utf8.Valid(data) { // encoding/json would replace bad bytes without a word
		return errors.New("not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return errors.New("not the expected JSON") // the cause would quote the content
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("text after the JSON")
	}
	return checkNames(data)
}

// checkNames checks the names of every object in data, which is valid JSON:
// lower case, digits and '_', and none twice in one object.
func checkNames(data []byte) error {
	var open []map[string]bool // the names seen so far in each enclosing object or list
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '{', '[':
			open = append(open, nil)
		case '}', ']':
			open = open[:len(open)-1]
		case '"':
			start := i + 1
			for i++; data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
			next := i + 1
			for next < len(data) && (data[next] == ' ' || data[next] == '\t' || data[next] == '\n' || data[next] == '\r') {
				next++
			}
			if next == len(data) || data[next] != ':' {
				continue
			}
			name, top := string(data[start:i]), len(open)-1
			if !plainName(name) || open[top][name] {
				return errors.New("a field of its JSON is repeated or has an unexpected name")
			}
			if open[top] == nil {
				open[top] = map[string]bool{}
			}
			open[top][name] = true
		}
	}
	return nil
}

func plainName(s string) bool {
	for _, c := range []byte(s) {
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_') {
			return false
		}
	}
	return s != ""
}
