package commands

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// readBoth reads a config in both ways. If the short one takes it, they must agree.
func readBoth(t *testing.T, text string) (plain bool) {
	t.Helper()
	quick := &config{Version: 1, Profiles: map[string]*profile{}}
	slow := &config{Version: 1, Profiles: map[string]*profile{}}
	if !quick.readPlain(text) {
		return false
	}
	if err := json.Unmarshal([]byte(text), slow); err != nil || !reflect.DeepEqual(quick, slow) {
		t.Errorf("%q\nis read as %+v\nencoding/json says %+v, %v", text, quick, slow, err)
	}
	return true
}

// What save writes is read without encoding/json, unless it has escapes.
func TestReadPlain(t *testing.T) {
	full := profile{"owner", "AGE-SECRET-KEY-1", "AGE-SECRET-KEY-2", true, strings.Repeat("0a", 16), strings.Repeat("0b", 16), "/srv/vault.db", "owner key 1"}
	for _, profiles := range []map[string]*profile{
		{"default": &full}, {"default": {Credential: "agent", Key: "ass_x"}, "ci": &full, "": {}},
	} {
		path := filepath.Join(t.TempDir(), "config.json")
		if err := (&config{Version: 1, Profiles: profiles, path: path}).save(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil || !readBoth(t, string(b)) {
			t.Errorf("%s is not read in the short way: %v", b, err)
		}
	}
	const head, tail = `{"version": 1, "profiles": {"default": {"credential": "owner", "key": `, `}}}`
	if !readBoth(t, head+`"a key ~"`+tail) {
		t.Error("the plain form is not read in the short way")
	}
	for _, text := range []string{
		"", "{", "null", "[]", `{"version": 2}`, `{"version": 12}`, `{"version": 1.5}`, `{"version": "1"}`, `{"profiles": null}`,
		`{"profiles": {"default": null}}`, `{"Version": 1}`, `{"version": 1} x`, `{"version": 1}}`, `{"version": 1,}`, `{,}`,
		`{"version": 1 "profiles": {}}`, `{"version" 1}`, `{version: 1}`, `{"unknown": 1}`,
		head + `"a\u0041"` + tail, head + `"a\"` + tail, head + "\"a\nb\"" + tail, head + `"ä"` + tail, head + "\"\x7f\"" + tail,
		head + `7` + tail, head + `null` + tail, head + `"k", "kept": false` + tail, head + `"k", "kept": "true"` + tail,
		head + `"k", "unknown": "x"` + tail, head + `"k"`, head + `"k`,
	} {
		if readBoth(t, text) {
			t.Errorf("%q is read in the short way", text)
		}
	}
}

// FuzzConfig reads any config in both ways.
func FuzzConfig(f *testing.F) {
	for _, text := range []string{
		`{"version":1,"profiles":{"default":{"credential":"owner","key":"k","next_key":"n","kept":true,"vault":"v","next_vault":"w","api_url":"/v"}}}`,
		"{\n  \"version\": 1,\n  \"profiles\": {}\n}\n", `{"profiles":{"a":{"key":"1"},"a":{"vault":"2"}},"profiles":{"b":{}}}`,
		`{"version":1,"version":1,"profiles":{"a":{"kept":true,"kept":true,"key":"x","key":"y"}}}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { readBoth(t, text) })
}
