package strength

import (
	"strings"
	"testing"
	"time"
)

func TestOf(t *testing.T) {
	for word, list := range map[string][]string{
		"weak": {"", "a", "hunter2", "password", "Password123!", "P@ssw0rd2024", "qwertyuiop", "1qaz2wsx", "aaaaaaaaaaaaaaaaaaaaaaaa",
			"12345678901234567890", "abcdefghijklmnop", "letmein1987", "correct horse", "zaq12wsx", "monkeymonkeymonkeymonkey",
			"summer2026summer2026", "vault-key", "        ", "iloveyouforever", "пароль123", "Привет2024", "йцукенгшщзхъ", "motdepassé",
			"!@#$%^&*()", "!QAZ@WSX#EDC", "1q2w3e4r5t6y7u8i", "q1w2e3r4t5y6", "1122334455667788", "aaabbbcccdddeeefff", "a1b2c3d4e5f6g7h8",
			"aAbBcCdDeEfF"},
		"fair":   {"maple tundra gravel", "olive.rivet.sonnet", "Tr0ub4dor&3", "x9Kq7Wm2", "ключ от всех дверей"},
		"strong": {"maple tundra gravel oboe", "olive-rivet-sonnet-quartz", "gV7%kQ2!zR9@mX4", "8f14e45fceea167a5a36dedd4bea2543"},
	} {
		for _, p := range list {
			if j := Of(p); j.Word != word {
				t.Errorf("%q is %s (%s), want %s", p, j.Word, j, word)
			}
		}
	}
}

// A passphrase of the largest size is judged at once. (A judgement that looks at the rest for each piece takes a
// minute.)
func TestLong(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	var b strings.Builder
	for n := uint32(1); b.Len() < 64<<10; n = n*1664525 + 1013904223 {
		b.WriteByte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/"[n>>26])
	}
	began := time.Now()
	if j := Of(b.String()); j.Word != "strong" {
		t.Errorf("it is %s", j.Word)
	}
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("it took %v", d)
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
