package tokens

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestParsePath(t *testing.T) {
	long := strings.Repeat("k", MaxSegmentBytes)
	for in, ok := range map[string]bool{
		"a/b":                                    true,
		"production/gemini/GEMINI_API_KEY":       true,
		"a.b/c-d/e_f":                            true,
		"a/...":                                  true,
		"a/" + long:                              true,
		strings.Repeat("a/", 15) + "b":           true,
		long + "/" + long + "/" + long + "/x":    true,
		strings.Repeat(long+"/", 3) + long[:125]: true, // MaxPathBytes in all
		strings.Repeat(long+"/", 3) + long[:126]: false,
		"":                                       false,
		"a":                                      false,
		"/":                                      false,
		"a/":                                     false,
		"/a":                                     false,
		"a//b":                                   false,
		"a/./b":                                  false,
		"a/../b":                                 false,
		"../a":                                   false,
		"a b/c":                                  false,
		"a\x00/b":                                false,
		"a/\x1b[31m":                             false,
		"a/b\n":                                  false,
		"a/é":                                    false,
		"a/*":                                    false,
		`a\b`:                                    false,
		"a/" + long + "k":                        false,
		strings.Repeat("a/", 16) + "b":           false,
		strings.Repeat(long+"/", 3) + long + "x": false,
	} {
		p, err := ParsePath(in)
		if (err == nil) != ok {
			t.Errorf("%.40q: %v", in, err)
		}
		var syntax *SyntaxError
		if err != nil && !errors.As(err, &syntax) {
			t.Errorf("%.40q: %T", in, err)
		}
		if err == nil && (p.String() != in || p.Namespace().String()+"/"+p.Key() != in || !p.Namespace().Contains(p)) {
			t.Errorf("%.40q is taken apart as %q and %q", in, p.Namespace(), p.Key())
		}
	}
}

// An error says at which place the text is wrong, because it does not repeat the text.
func TestErrorsNameThePlace(t *testing.T) {
	path := func(s string) error { _, err := ParsePath(s); return err }
	key := func(s string) error { _, err := ParseAgentKey(s); return err }
	scope := func(s string) error { _, err := ParseScope(s); return err }
	ips := func(s string) error { _, err := ParseIPs(s); return err }
	for _, c := range []struct {
		parse    func(string) error
		in, says string
	}{
		{path, "a//b", "segment 2 is empty"},
		{path, "../a", "segment 1 is \"..\""},
		{path, "a/b/c d", "segment 3 has a character"},
		{path, "a/" + strings.Repeat("k", 129), "segment 2 has 129 bytes; at most 128 "},
		{path, strings.Repeat("a/", 16) + "b", "it has 17 segments; at most 16 "},
		{path, strings.Repeat("a/", 300), "it has 600 bytes; at most 512 "},
		{key, strings.Repeat("0", 58), "does not begin with ass_"},
		{key, "ass_0", "it has 5 characters instead of 58"},
		{key, "ass_0+" + strings.Repeat("0", 52), "character 6 "},
		{scope, "secrets:read", "it is not of the form secrets:"},
		{scope, "secrets", "it is not of the form secrets:"},
		{scope, "tokens:read:a/*", "it is not of the form secrets:"},
		{scope, "secrets:list:a/*", "its action must be"},
		{scope, "secrets:read:a//K", "segment 2 is empty"},
		{CheckAgentName, "ab c", "character 3 "},
		{ips, "192.0.2.7,x", "entry 2 "},
	} {
		if err := c.parse(c.in); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.40q: the error is %v, and should say %q", c.in, err, c.says)
		}
	}
}

func TestNamespaceContains(t *testing.T) {
	for _, c := range []struct {
		ns, path string
		want     bool
	}{
		{"a", "a/b", true},
		{"a", "a/b/c", true},
		{"a/", "a/b", true},
		{"a/b", "a/b", false}, // the secret a/b is not in the namespace a/b
		{"a", "ab/c", false},
		{"a/b", "a/c", false},
	} {
		ns, err := ParseNamespace(c.ns)
		if err != nil {
			t.Fatal(err)
		}
		p, err := ParsePath(c.path)
		if err != nil {
			t.Fatal(err)
		}
		if ns.Contains(p) != c.want {
			t.Errorf("%q contains %q: %v", c.ns, c.path, !c.want)
		}
		if !(Namespace{}).Contains(p) || len((Namespace{}).Segments()) != 0 {
			t.Error("the root does not contain everything")
		}
	}
	if _, err := ParseNamespace(strings.Repeat("a/", 15) + "b"); err == nil {
		t.Error("a namespace of 16 segments has no room for a key")
	}
	if _, err := ParseNamespace("*"); err == nil {
		t.Error("* is no namespace")
	}
}

func TestTiers(t *testing.T) {
	for _, tier := range Tiers {
		var back Tier
		text, _ := tier.MarshalText()
		if err := back.UnmarshalText(text); err != nil || back != tier || !tier.Valid() {
			t.Errorf("%v came back as %v: %v", tier, back, err)
		}
	}
	for _, s := range []string{"", "Standard", "secret", "no tier", "standard "} {
		if _, err := ParseTier(s); err == nil {
			t.Errorf("%q is a tier", s)
		}
	}
	if Tier(0).Valid() || Tier(4).Valid() || !(Standard < Sensitive && Sensitive < Critical) {
		t.Error("tiers are not in order")
	}
}

// A key has the text of the known answers, the first of which is from the design. An altered
// key is refused, and neither printing nor an error reveals a key.
func TestAgentKeyText(t *testing.T) {
	for _, c := range []struct {
		secret, vault byte
		text          string
	}{
		{0x00, 0x00, "ass_" + strings.Repeat("0", 48)},
		{0xff, 0xff, "ass_"},
	} {
		k := AgentKey{Secret: [32]byte(bytes.Repeat([]byte{c.secret}, 32)), Vault: [4]byte(bytes.Repeat([]byte{c.vault}, 4))}
		text := k.Text()
		if !strings.HasPrefix(text, c.text) || len(text) != 58 {
			t.Errorf("%x gives %s", c.secret, text)
		}
		if back, err := ParseAgentKey(text); err != nil || back != k {
			t.Errorf("%s came back as %x: %v", text, back.Secret, err)
		}
		for _, printed := range []string{k.String(), fmt.Sprint(k), fmt.Sprintf("%v %+v %#v", k, k, k)} {
			if strings.Contains(printed, text[8:]) || strings.Contains(printed, "255") {
				t.Errorf("printing a key gives it away: %s", printed)
			}
		}
	}
	good := AgentKey{Secret: [32]byte{1, 2, 3}}.Text()
	for i := range good {
		for _, c := range []byte{'0', 'z', 'A', '!', 0} {
			bad := []byte(good)
			if bad[i] == c {
				continue
			}
			bad[i] = c
			if _, err := ParseAgentKey(string(bad)); err == nil {
				t.Errorf("character %d may be %q", i, c)
			} else if strings.Contains(err.Error(), good[10:40]) {
				t.Errorf("the error repeats the key: %v", err)
			}
		}
	}
	for _, s := range []string{"", "ass_", good + "0", good[:57], "ASS_" + good[4:], "ass_" + strings.Repeat("z", 54)} {
		if _, err := ParseAgentKey(s); err == nil {
			t.Errorf("%q is a key", s)
		}
	}
}

// Text that parses prints as the same text. Other text is refused without a panic.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"a/b", "production/gemini/KEY", "a//b", "a/../b", "a/\x00", strings.Repeat("a/", 20)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := ParsePath(s); err == nil {
			if p.String() != s || len(s) > MaxPathBytes || strings.Count(s, "/") >= MaxPathSegments {
				t.Errorf("%q was accepted as %q", s, p)
			}
			if again, err := p.Namespace().Join(p.Key()); err != nil || again != p {
				t.Errorf("%q does not join to itself: %q, %v", s, again, err)
			}
		}
		if ns, err := ParseNamespace(s); err == nil && ns.String() != strings.TrimSuffix(s, "/") {
			t.Errorf("%q was accepted as the namespace %q", s, ns)
		}
	})
}

func FuzzAgentKey(f *testing.F) {
	f.Add("ass_2e6iAlAecX0P1EPxjkCcyc5cd0lM8OnVdcM27MhCpXxPyFSL4OhN9z")
	f.Add("ass_" + strings.Repeat("z", 54))
	f.Add("ass_")
	f.Fuzz(func(t *testing.T, s string) {
		if k, err := ParseAgentKey(s); err == nil && k.Text() != s {
			t.Errorf("%q was accepted, and is written %q", s, k.Text())
		}
	})
}
