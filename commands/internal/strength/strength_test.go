package strength

import (
	"strings"
	"testing"
)

func TestOf(t *testing.T) {
	for word, list := range map[string][]string{
		"weak": {"", "a", "hunter2", "password", "Password123!", "P@ssw0rd2024", "qwertyuiop", "1qaz2wsx", "aaaaaaaaaaaaaaaaaaaaaaaa",
			"12345678901234567890", "abcdefghijklmnop", "letmein1987", "correct horse", "zaq12wsx", "monkeymonkeymonkeymonkey",
			"summer2026summer2026", "vault-key", "        ", "iloveyouforever"},
		"fair":   {"maple tundra gravel", "olive.rivet.sonnet", "Tr0ub4dor&3", "x9Kq7Wm2"},
		"strong": {"maple tundra gravel oboe", "olive-rivet-sonnet-quartz", "gV7%kQ2!zR9@mX4", "8f14e45fceea167a5a36dedd4bea2543", "ключ от всех дверей"},
	} {
		for _, p := range list {
			if j := Of(p); j.Word != word {
				t.Errorf("%q is %s (%s), want %s", p, j.Word, j, word)
			}
		}
	}
}

// More of the same adds little, and more of anything takes nothing away.
func TestLongerIsNotWeaker(t *testing.T) {
	for _, p := range []string{"maple", "x9Kq7Wm2", "1987", "Ж", "!"} {
		if once, more := Bits(p), Bits(strings.Repeat(p+" ", 8)); more < once || more > once+20 {
			t.Errorf("%q has %.1f bits, and eight times %.1f", p, once, more)
		}
	}
}

func FuzzBits(f *testing.F) {
	for _, p := range []string{"", "hunter2", "P@ssw0rd", "\xff\xfe", "K", "ﬀﬀﬀ", "aaa\x00", "correct horse battery staple"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		b := Bits(p)
		if b < 0 || b > float64(10*len(p)+20) {
			t.Errorf("%q has %f bits", p, b)
		}
		if strings.Contains(Of(p).String(), p) && len(p) > 12 {
			t.Error("the judgement repeats the passphrase")
		}
	})
}
