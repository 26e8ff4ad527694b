package audit

import (
	"bytes"
	"encoding/json"
	"testing"
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
		`[]`:                                    false,
		``:                                      false,
	} {
		var b body
		if err := DecodeStrict([]byte(in), &b); (err == nil) != ok {
			t.Errorf("%s: %v", in, err)
		}
	}
}

// The strict decoder accepts nothing that encoding/json does not, and no name twice.
func FuzzStrictJSON(f *testing.F) {
	for _, s := range []string{`{"seq":1,"author":"owner"}`, `{"seq":1,"seq":2}`, `{"SEQ":1}`, `{"seq":1}{}`, `{"author":"\"seq\":"}`, `{`, `"\`} {
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
