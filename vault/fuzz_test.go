package vault

import (
	"bytes"
	"encoding/json"
	"testing"
)

// What parses is written back to the same bytes; nothing panics.
func FuzzRecord(f *testing.F) {
	root := newRootKeys(key{1})
	e := epoch{vid: root.vid, n: 1, mk: key{2}}
	f.Add(e.newRecord(bucketSecrets, []byte("a/K"), "owner", root.sign, []byte(`{"seq":1}`)).encode())
	f.Add(e.newRecord(bucketUses, []byte("k"), "owner", nil, []byte(`{}`)).encode())
	f.Add([]byte{recordVersion, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRecord(b)
		if err != nil {
			return
		}
		if !bytes.Equal(r.encode(), b) {
			t.Errorf("%x is written back as %x", b, r.encode())
		}
		if e.macHolds(bucketUses, []byte("other"), r) {
			t.Error("a record that nobody made holds")
		}
	})
}

// strictJSON accepts nothing that encoding/json does not, and no name twice.
func FuzzStrictJSON(f *testing.F) {
	for _, s := range []string{`{"seq":1,"sealed":"AA=="}`, `{"seq":1,"seq":2}`, `{"SEQ":1}`, `{"seq":1}{}`, `{"author":"\"seq\":"}`, `{`, `"\`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var body versionBody
		if strictJSON(b, &body) != nil {
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

// Whatever stands where the head is, it is a head or an error.
func FuzzHead(f *testing.F) {
	b, _ := head{count: 3}.encode()
	f.Add(b)
	f.Add([]byte(`{"digest":"AA"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := decodeHead(b); err == nil {
			if again, err := h.encode(); err != nil {
				t.Error(err)
			} else if back, err := decodeHead(again); err != nil || back != h {
				t.Errorf("%q came back different", b)
			}
		}
	})
}
