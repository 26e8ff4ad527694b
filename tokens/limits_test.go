package tokens

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseTTL(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"1":                    time.Second,
		"1s":                   time.Second,
		"15m":                  15 * time.Minute,
		"1h":                   time.Hour,
		"1h30m":                90 * time.Minute,
		"24h":                  24 * time.Hour,
		"86400":                24 * time.Hour,
		"1.5h":                 90 * time.Minute,
		"1000ms":               time.Second,
		"":                     0,
		"0":                    0,
		"0s":                   0,
		"86401":                0,
		"24h1s":                0,
		"-1h":                  0,
		"-5":                   0,
		"999ms":                0,
		"1500ms":               0,
		"1.5":                  0,
		"1d":                   0,
		"1 h":                  0,
		" 1h":                  0,
		"1h ":                  0,
		"1e3":                  0,
		"0x10":                 0,
		"1_000":                0,
		"forever":              0,
		"99999999999999999999": 0,
		"9223372036854775807h": 0,
		"4294967295":           0,
	} {
		got, err := ParseTTL(in)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
}

func TestParseIPs(t *testing.T) {
	for in, want := range map[string]string{
		"":                         "",
		"  ":                       "",
		"192.0.2.7":                "192.0.2.7",
		"192.0.2.7/32":             "192.0.2.7",
		"10.1.2.3/8":               "10.0.0.0/8", // the host bits are cleared
		"0.0.0.0/0":                "0.0.0.0/0",
		"10.0.0.0/8, 2001:db8::1 ": "10.0.0.0/8,2001:db8::1",
		"2001:DB8:0::1":            "2001:db8::1",
		"::ffff:192.0.2.7":         "192.0.2.7",
		"::ffff:192.0.2.7/128":     "error", // or 192.0.2.7, because the written text must parse to the same list
		"::ffff:10.0.0.0/104":      "error", // or 10.0.0.0/8, because a range of mapped addresses matches none
		"::/0":                     "::/0",
		"fe80::1%eth0":             "fe80::1",
		"192.0.2.7,":               "error",
		",":                        "error",
		"192.0.2":                  "error",
		"192.0.2.7/33":             "error",
		"192.0.2.7/-1":             "error",
		"192.0.2.7/":               "error",
		"192.0.2.07":               "error",
		"fe80::1%eth0/64":          "error",
		"localhost":                "error",
		"192.0.2.7:80":             "error",
		strings.Repeat("192.0.2.7,", 63) + "192.0.2.7": strings.Repeat("192.0.2.7,", 63) + "192.0.2.7",
		strings.Repeat("192.0.2.7,", 64) + "192.0.2.7": "error", // 65 entries
	} {
		ips, err := ParseIPs(in)
		got := strings.Join(ips.Strings(), ",")
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%.40q is %q: %v", in, got, err)
		}
	}
}

func TestAllow(t *testing.T) {
	for _, c := range []struct {
		list, have string
		want       bool
	}{
		{"", "", true},
		{"", "192.0.2.7", true},
		{"192.0.2.7", "", false}, // the machine's address is unknown
		{"192.0.2.7", "192.0.2.7", true},
		{"192.0.2.7", "192.0.2.8", false},
		{"192.0.2.7", "::ffff:192.0.2.7", true},
		{"192.0.2.7", "127.0.0.1 192.0.2.7", true}, // one of the two is on the list
		{"10.0.0.0/8", "10.255.255.255", true},
		{"10.0.0.0/8", "11.0.0.0", false},
		{"10.0.0.0/8,192.0.2.7", "192.0.2.7", true},
		{"0.0.0.0/0", "2001:db8::1", false},
		{"::/0", "192.0.2.7", false},
		{"2001:db8::/32", "2001:db8:ffff::1", true},
		{"fe80::1", "fe80::1%eth0", true},
	} {
		ips, err := ParseIPs(c.list)
		if err != nil {
			t.Fatal(err)
		}
		var have []netip.Addr
		for text := range strings.FieldsSeq(c.have) {
			have = append(have, netip.MustParseAddr(text))
		}
		if ips.Allow(have) != c.want {
			t.Errorf("%q allows %q: %v", c.list, c.have, !c.want)
		}
	}
}

func TestCheckAgentName(t *testing.T) {
	for in, ok := range map[string]bool{
		"a": true, "svc-gemini_2": true, "Z9": true, "-": true, strings.Repeat("n", MaxNameBytes): true,
		"": false, strings.Repeat("n", MaxNameBytes+1): false, "a b": false, "a.b": false, "a/b": false, "é": false,
		"a\n": false, "\x1b[31m": false,
		"agt_7f3a9b2c": false, // it could be mistaken for another agent's id
	} {
		if err := CheckAgentName(in); (err == nil) != ok {
			t.Errorf("%.40q: %v", in, err)
		}
		if err := CheckAgentName(in + pasted + "!"); repeats(err, pasted) {
			t.Errorf("the error repeats what was typed: %v", err)
		}
	}
}

func FuzzTTL(f *testing.F) {
	for _, s := range []string{"1h", "15m", "86400", "1.5h", "-1h", "9223372036854775807h", "1e3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseTTL(s)
		if err == nil {
			if d < time.Second || d > MaxTTL || d%time.Second != 0 {
				t.Errorf("%q lives %v", s, d)
			}
			if again, err := ParseTTL(d.String()); err != nil || again != d {
				t.Errorf("%q came back as %v: %v", s, again, err)
			}
		}
		for _, typed := range []string{pasted + s, s + pasted} {
			if _, err := ParseTTL(typed); repeats(err, pasted) {
				t.Errorf("the error repeats what was typed: %v", err)
			}
		}
	})
}

func FuzzIPs(f *testing.F) {
	for _, s := range []string{"192.0.2.7", "10.1.2.3/8,::1", "fe80::1%eth0", "::ffff:10.0.0.0/104",
		"::ffff:192.0.2.7/128", " , "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if ips, err := ParseIPs(s); err == nil {
			again, err := IPsOf(ips.Strings())
			if err != nil || !slices.Equal(again, ips) || len(ips) > maxIPs {
				t.Errorf("%q came back as %v: %v", s, again.Strings(), err)
			}
			for _, ip := range ips {
				if !ips.Allow([]netip.Addr{ip.Addr()}) {
					t.Errorf("%q does not allow %v", s, ip.Addr())
				}
			}
		}
		for _, typed := range []string{pasted + s, s + pasted, s + "," + pasted} {
			if _, err := ParseIPs(typed); repeats(err, pasted) {
				t.Errorf("the error repeats what was typed: %v", err)
			}
		}
	})
}
