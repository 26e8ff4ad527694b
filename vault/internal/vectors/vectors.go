// Package vectors reads the known answers of the construction for tests:
// vault/testdata/vectors.txt.
package vectors

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"
)

// OfKeys names the answers that the test of package keys computes. The test of package
// vault computes the others.
var OfKeys = map[string]bool{
	"agent index":                    true,
	"agent pub":                      true,
	"agent seal key G":               true,
	"approval context of format 2":   true,
	"approval context":               true,
	"audit k 1":                      true,
	"audit k 3 of epoch 2":           true,
	"backup mark":                    true,
	"digest key":                     true,
	"canary id":                      true,
	"canary note context":            true,
	"canary note key":                true,
	"epoch id":                       true,
	"epoch wrap context of format 2": true,
	"epoch wrap context":             true,
	"epoch wrap key of format 2":     true,
	"epoch wrap key":                 true,
	"grant context":                  true,
	"head context of format 2":       true,
	"head context":                   true,
	"head key":                       true,
	"mac key":                        true,
	"node id production/gemini":      true,
	"owner bind":                     true,
	"owner entry mac key":            true,
	"owner mac key":                  true,
	"owner pub":                      true,
	"owner wrap context":             true,
	"owner wrap key":                 true,
	"owner wrap name":                true,
	"path key production/gemini":     true,
	"sealed owner wrap opens to":     true,
	"sealed to node pub opens to":    true,
	"sealed version opens to":        true,
	"secret key":                     true,
	"sha256(node pub)":               true,
	"share check":                    true,
	"stanza body":                    true,
	"tier critical":                  true,
	"tier sensitive":                 true,
	"tier standard":                  true,
	"vault id":                       true,
	"verified context":               true,
	"verified key":                   true,
	"version context of format 2":    true,
	"version context":                true,
	"ways context of format 2":       true,
	"ways key":                       true,
	"wrap key":                       true,
}

// Inputs are the lines under the heading [inputs].
type Inputs struct {
	t      *testing.T
	values map[string]string
}

// Text returns an input as it is written.
func (in Inputs) Text(name string) string {
	in.t.Helper()
	v, ok := in.values[name]
	if !ok {
		in.t.Fatalf("vectors.txt has no input %q", name)
	}
	return v
}

// Hex returns an input that is written in hex.
func (in Inputs) Hex(name string) []byte {
	in.t.Helper()
	b, err := hex.DecodeString(in.Text(name))
	if err != nil {
		in.t.Fatalf("input %q: %v", name, err)
	}
	return b
}

// Read reads lines of "name = value" under the headings [inputs] and [answers].
func Read(t *testing.T, file string) (in Inputs, answers map[string]string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]map[string]string{"inputs": {}, "answers": {}}
	var section map[string]string
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if name, ok := strings.CutPrefix(line, "["); ok {
			section = sections[strings.TrimSuffix(name, "]")]
			continue
		}
		name, value, ok := strings.Cut(line, " = ")
		if !ok || section == nil {
			t.Fatalf("%s: %q is no line of it", file, line)
		}
		section[name] = value
	}
	return Inputs{t, sections["inputs"]}, sections["answers"]
}

// Check compares answers with what was computed. mine says which answers are to be computed.
func Check(t *testing.T, got, want map[string]string, mine func(name string) bool) {
	t.Helper()
	for name, value := range got {
		if want[name] != value {
			t.Errorf("%s\n got %s\nwant %s", name, value, want[name])
		}
		if !mine(name) {
			t.Errorf("%q is computed, and is listed as the answer of another package", name)
		}
	}
	for name := range want {
		if _, computed := got[name]; mine(name) && !computed {
			t.Errorf("vectors.txt has an answer for %q, which nothing computes", name)
		}
	}
}
