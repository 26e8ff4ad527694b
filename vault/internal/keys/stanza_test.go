package keys

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"testing"

	"filippo.io/age"
)

// A file opens by its only stanza, of the right form, and by nothing else.
func TestOnlyStanza(t *testing.T) {
	w := KeyWrap{Key: Key{1}, Ctx: []byte("context")}
	fileKey := bytes.Repeat([]byte{7}, fileKeyLen)
	change := func(of func(s *age.Stanza)) []*age.Stanza {
		all, err := w.Wrap(fileKey)
		if err != nil {
			t.Fatal(err)
		}
		of(all[0])
		return all
	}
	nothing := func(*age.Stanza) {}
	salt := func(n int) func(*age.Stanza) {
		return func(s *age.Stanza) { s.Args[0] = base64.RawStdEncoding.EncodeToString(make([]byte, n)) }
	}
	if got, err := w.Unwrap(change(nothing)); err != nil || !bytes.Equal(got, fileKey) {
		t.Fatalf("as it was wrapped: %v", err)
	}
	other := KeyWrap{Key: Key{2}, Ctx: w.Ctx}
	for name, stanzas := range map[string][]*age.Stanza{
		"none":                     nil,
		"two":                      append(change(nothing), change(nothing)...),
		"another type":             change(func(s *age.Stanza) { s.Type = stanzaPub }),
		"no salt":                  change(func(s *age.Stanza) { s.Args = nil }),
		"two salts":                change(func(s *age.Stanza) { s.Args = append(s.Args, s.Args[0]) }),
		"a salt of 15 bytes":       change(salt(saltLen - 1)),
		"a salt of 17 bytes":       change(salt(saltLen + 1)),
		"another salt":             change(salt(saltLen)),
		"a salt that is no base64": change(func(s *age.Stanza) { s.Args[0] = "?" + s.Args[0][1:] }),
		"a padded salt":            change(func(s *age.Stanza) { s.Args[0] += "==" }),
		"a short body":             change(func(s *age.Stanza) { s.Body = s.Body[:len(s.Body)-1] }),
		"a long body":              change(func(s *age.Stanza) { s.Body = append(s.Body, 0) }),
		"no body":                  change(func(s *age.Stanza) { s.Body = nil }),
		"an altered body":          change(func(s *age.Stanza) { s.Body[0] ^= 1 }),
		"another key":              {other.stanza([saltLen]byte{}, fileKey)},
		"another context":          {KeyWrap{w.Key, []byte("other")}.stanza([saltLen]byte{}, fileKey)},
	} {
		if _, err := w.Unwrap(stanzas); !errors.Is(err, age.ErrIncorrectIdentity) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Another wrapped file key of a wrong length has a valid tag, and is refused all the same.
	if _, err := w.Unwrap([]*age.Stanza{w.stanza([saltLen]byte{}, append(fileKey, 7))}); err == nil {
		t.Error("a file key of 17 bytes is taken")
	}
	// age makes no file for this recipient and another one.
	for name, r := range map[string]age.Recipient{"itself": w, "another key": other} {
		if _, err := age.Encrypt(io.Discard, w, r); err == nil {
			t.Errorf("a file is made for two: the second is %s", name)
		}
	}
}
