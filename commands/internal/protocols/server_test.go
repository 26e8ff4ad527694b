package protocols

import (
	"strings"
	"testing"

	"ass/tokens"
)

// A segment stands for one text, and a text has one segment.
func TestSegment(t *testing.T) {
	for text, want := range map[string]string{
		"a_b": "a_b", "user_": "user_", "zZaA": "zZaA", "_99": "_5f99", "_9": "_9",
		"github.com": "github.com", "my_user": "my_user", "deploy-bot": "deploy-bot", "a@b": "a_40b", "h:8443": "h_3a8443",
		"_": "_5f", "__": "__", ".": "_2e", "..": "_2e.", "...": "...", "x_ed": "x_5fed", "x_5f": "x_5f5f", "_:": "__3a",
		"[::1]": "_5b_3a_3a1_5d", "münchen.de": "m_c3_bcnchen.de", "a/b": "a_2fb", "\x00": "_00", "": "",
		strings.Repeat("a", 128): strings.Repeat("a", 128), strings.Repeat("a", 129): "", strings.Repeat(":", 43): "",
	} {
		got := Segment(text)
		if got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
		if back, ok := Text(got); want != "" && (!ok || back != text) {
			t.Errorf("%q reads back as %q, %v", got, back, ok)
		}
	}
	for _, segment := range []string{"", "a_41", "_61", "_5F", ".", "..", "_", "a:b", "a b", "_2e..", "_c3_bc/"} {
		if text, ok := Text(segment); ok && Segment(text) != segment {
			t.Errorf("%q reads as %q", segment, text)
		}
	}
	for _, segment := range []string{"", "a_41", "_", "_2e_2e"} {
		if text, ok := Text(segment); ok {
			t.Errorf("%q is a second segment of %q", segment, text)
		}
	}
}

func FuzzSegment(f *testing.F) {
	for _, s := range []string{"a", "_", "_5f", "a_ed", "h:1", "..", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := Segment(text)
		if s == "" {
			return
		}
		if _, err := tokens.ParsePath("ns/" + s); err != nil || s == "_" {
			t.Fatalf("%q is %q: %v", text, s, err)
		}
		if back, ok := Text(s); !ok || back != text {
			t.Fatalf("%q is %q, which is %q", text, s, back)
		}
	})
}

func TestServer(t *testing.T) {
	for text, want := range map[string]string{
		"github.com": "https://github.com", "GitHub.COM:443": "https://github.com", "https://h:0443/": "https://h",
		"h:8443": "https://h:8443", "http://h": "http://h:80", "HTTP://H:80/a//b/": "http://h:80/a/b",
		"http://h:443": "http://h:443",
		"https://h:80": "https://h:80", "https://h/o/r.git": "https://h/o/r", "AZ.az:1": "https://az.az:1",
		"https://h/r.git": "https://h/r", "https://h/o/.git": "https://h/o/.git",
		"[::1]:8080": "https://[::1]:8080", "[::1]": "https://[::1]", "h.": "https://h.", "h_x:": "https://h_x",
		"münchen.de": "https://münchen.de", "\x80.x": "https://\x80.x",
	} {
		s, err := ParseServer(text)
		if err != nil || s.URL() != want {
			t.Errorf("%q is %q, %v, want %q", text, s.URL(), err, want)
		}
	}
	for _, text := range []string{"", "https://", "://h", "ssh://h", "h:0", ":8", ":", "h:65536", "h:8x", "h:1:2", "u@h", "h%2ex",
		"h\\x", "h?x",
		"h#x", "h x", "h\n", "[", "[]", "[::1", "[::1]x", "[g]", "https:///h", "https://h/a?b", "https://h/a#b", "h/a\nb",
		"h'", "a,b"} {
		if s, err := ParseServer(text); err == nil {
			t.Errorf("%q is %q", text, s.URL())
		}
	}
	for _, text := range []string{"http://localhost", "localhost:3000", "http://127.0.0.1:1", "[::1]:1"} {
		if s, _ := ParseServer(text); !s.Local() {
			t.Errorf("%s is on this machine", text)
		}
	}
	for _, text := range []string{"localhost.evil.com", "127.0.0.1.evil.com", "xlocalhost", "127.0.0.2", "[::]"} {
		if s, _ := ParseServer(text); s.Local() {
			t.Errorf("%s is not on this machine", text)
		}
	}
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		has, asked string
		want       bool
	}{
		{"https://h", "https://h/o/r", true}, {"h", "https://h:443", true}, {"https://h/o", "https://h/o/r", true},
		{"https://h/o/r", "https://h/o/r.git", true}, {"https://h/o/r", "https://h/o", false}, {"https://h/o", "https://h/ox",
			false},
		{"https://h", "http://h", false}, {"http://h", "https://h:80", false}, {"https://h", "https://h:444", false},
		{"https://h", "https://h.evil.com", false}, {"https://h", "https://xh", false},
	} {
		has, err := ParseServer(c.has)
		if err != nil {
			t.Fatal(err)
		}
		asked, err := ParseServer(c.asked)
		if err != nil {
			t.Fatal(err)
		}
		if got := has.Covers(asked); got != c.want {
			t.Errorf("%s covers %s: %v", c.has, c.asked, got)
		}
	}
}

// What is read as a server is read so again, and as no other one.
func FuzzServer(f *testing.F) {
	for _, s := range []string{"h", "https://h:8443/a/b.git", "http://[::1]:1/x", "HTTP://h:80", "h:443"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseServer(text)
		if err != nil {
			return
		}
		again, err := ParseServer(s.URL())
		if err != nil || !again.Covers(s) || !s.Covers(again) {
			t.Fatalf("%q is %q, which is %q, %v", text, s.URL(), again.URL(), err)
		}
	})
}
