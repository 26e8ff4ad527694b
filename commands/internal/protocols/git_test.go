package protocols

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestGitRequest(t *testing.T) {
	for text, want := range map[string]GitRequest{
		"": {}, "\nprotocol=https\n": {}, "protocol=https\nhost=h": {Protocol: "https", Host: "h"},
		"capability[]=authtype\ncapability[]=state\nprotocol=https\nhost=h:1\npath=a/b=c\nusername=u\npassword=p=q\nwwwauth[]=Basic realm=\"x\"\n\nhost=i\n": {Protocol: "https",
			Host: "h:1", Path: "a/b=c", Username: "u", Password: "p=q"},
		"host=a\nhost=b\n": {Host: "b"}, "password_expiry_utc=17\noauth_refresh_token=r\n": {Expiry: "17", Refresh: "r"},
		"username=x\nurl=https://u%40v:p%3a@h:8443/o/r.git\n": {Protocol: "https", Host: "h:8443", Path: "o/r.git",
			Username: "u@v",
			Password: "p:"},
		"username=x\nurl=https://h\n": {Protocol: "https", Host: "h"}, "url=https://h\nusername=x\n": {Protocol: "https",
			Host:     "h",
			Username: "x"},
	} {
		if got, err := ParseGit([]byte(text)); err != nil || got != want {
			t.Errorf("%q is %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"protocol\n", "host=h\r\n", "host=h\x00x\n", "x", "url=h\n", "url=https://h%0ahost=i\n",
		"url=https://%zz@h\n"} {
		if got, err := ParseGit([]byte(text)); err == nil {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

func TestGitPlaces(t *testing.T) {
	for _, c := range []struct {
		q    GitRequest
		want []string
	}{
		{GitRequest{Protocol: "https", Host: "GitHub.com"}, []string{"g/github.com"}},
		{GitRequest{Protocol: "https", Host: "h", Username: "u@v"}, []string{"g/h/u_40v", "g/h"}},
		{GitRequest{Protocol: "https", Host: "h", Path: "o/r.git", Username: "u"}, []string{"g/h/o/r", "g/h/u", "g/h"}},
		{GitRequest{Protocol: "https", Host: "h", Path: "u", Username: "u"}, []string{"g/h/_/u", "g/h/u", "g/h"}},
		{GitRequest{Protocol: "https", Host: "h", Path: "_/u"}, []string{"g/h/_5f/u", "g/h"}},
		{GitRequest{Protocol: "https", Host: "h", Path: "../x"}, []string{"g/h/_2e./x", "g/h"}},
		{GitRequest{Protocol: "http", Host: "localhost:3000"}, []string{"g/localhost_3a3000"}},
		{GitRequest{Protocol: "http", Host: "h"}, []string{"g/h_3a80"}},
		{GitRequest{Protocol: "https", Host: "h", Username: strings.Repeat("u", 129)}, []string{"g/h"}},
		{GitRequest{Protocol: "https", Host: strings.Repeat("h", 129)}, nil},
		{GitRequest{Protocol: "https", Host: "h@i"}, nil}, {GitRequest{Protocol: "ssh", Host: "h"}, nil},
		{GitRequest{Protocol: "ssh", Host: "h", Username: "u", Path: "o/r"}, nil},
		{GitRequest{Protocol: "https", Host: strings.Repeat("h", 129), Username: "u", Path: "o/r"}, nil},
		{GitRequest{Protocol: "https"}, nil}, {GitRequest{Host: "h"}, nil},
	} {
		if got := c.q.Places("g"); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %q, want %q", c.q, got, c.want)
		}
	}
}

func TestGitAnswer(t *testing.T) {
	q := GitRequest{Username: "asked"}
	for _, c := range []struct {
		cred Credential
		want string
	}{
		{Credential{Password: "p"}, "username=asked\npassword=p\n"}, {Credential{Username: "u", Password: "p"},
			"username=u\npassword=p\n"},
		{Credential{Password: "p", Expiry: "17", Refresh: "r"},
			"username=asked\npassword=p\npassword_expiry_utc=17\noauth_refresh_token=r\n"},
		{Credential{Password: "p", Expiry: "1e9"}, "username=asked\npassword=p\n"},
	} {
		if got, err := q.Answer(c.cred); err != nil || string(got) != c.want {
			t.Errorf("%+v: %q, %v", c.cred, got, err)
		}
	}
	for _, cred := range []Credential{{}, {Password: "hunter2\nhost=evil"}, {Password: "hunter2\x00"},
		{Password: "hunter2\r"},
		{Username: "a\nb", Password: "hunter2"}, {Password: "hunter2", Refresh: "a\nb"}} {
		if got, err := q.Answer(cred); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: %q, %v", cred, got, err)
		}
	}
}

func TestGitStored(t *testing.T) {
	s, err := ParseServer("https://h:8443/o/r.git")
	if err != nil {
		t.Fatal(err)
	}
	for expiry, want := range map[string]json.Number{"": "", "17": "17", "017": "17", "x": "", "1e9": ""} {
		got, err := GitRequest{Username: "u", Password: "p", Expiry: expiry, Refresh: "r"}.Stored(s)
		if err != nil || got != (Credential{"https://h:8443/o/r", "u", "p", want, "r"}) {
			t.Errorf("%q: %+v, %v", expiry, got, err)
		}
	}
	for _, q := range []GitRequest{{}, {Username: "u"}, {Password: "p"}} {
		if got, err := q.Stored(s); err == nil {
			t.Errorf("%+v: %+v", q, got)
		}
	}
}

// Two requests for different servers or users have no place in common.
func FuzzGit(f *testing.F) {
	f.Add([]byte("protocol=https\nhost=h\nusername=u\npath=o/r.git\n"), []byte("protocol=http\nhost=h:443\n"))
	f.Add([]byte("url=https://u@h/x\n"), []byte("protocol=https\nhost=h\npath=u\n"))
	f.Fuzz(func(t *testing.T, one, other []byte) {
		a, err := ParseGit(one)
		if err != nil {
			return
		}
		b, err := ParseGit(other)
		if err != nil {
			return
		}
		sa, errA := a.Server()
		sb, errB := b.Server()
		pa, pb := a.Places("g"), b.Places("g")
		if errA != nil && pa != nil || errB != nil && pb != nil {
			t.Fatalf("%+v has %q, %+v has %q", a, pa, b, pb)
		}
		for _, p := range pa {
			if sa.Host != sb.Host && slices.Contains(pb, p) {
				t.Fatalf("%+v and %+v share %s", a, b, p)
			}
			if a.Username != b.Username && p == join("g", sa.Host, a.Username) && slices.Contains(pb, p) {
				if len(sb.Path) < 2 {
					t.Fatalf("%+v and %+v share %s", a, b, p)
				}
			}
		}
	})
}

// A path that is too long has no place of its own, and what is stored there would take that of the user.
func TestOwnPlace(t *testing.T) {
	for path, want := range map[string]string{"": "", "o/r.git": "git/h/o/r", "r": "git/h/_/r", "o/" + strings.Repeat("r", 140): ""} {
		q := GitRequest{Protocol: "https", Host: "h", Path: path, Username: "u"}
		if got := q.OwnPlace("git"); got != want {
			t.Errorf("%.10s…: %q, want %q", path, got, want)
		}
		if places := q.Places("git"); !slices.Contains(places, "git/h/u") || want != "" && places[0] != want {
			t.Errorf("%.10s…: %q", path, places)
		}
	}
}
