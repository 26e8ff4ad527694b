package protocols

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestCredential(t *testing.T) {
	plain := func(s string) Credential { return Credential{Password: s} }
	for value, want := range map[string]Credential{
		"hunter2": plain("hunter2"), "hunter2\n": plain("hunter2"), "hunter2\r\n": plain("hunter2"), "a\n\n": plain("a\n"),
		"a\nb": plain("a\nb"), "": plain(""),
		`{"server":"h","username":"u","password":"hunter2"}` + "\n": {Server: "h", Username: "u", Password: "hunter2"},
		`{"password":"p","password_expiry_utc":17,"oauth_refresh_token":"r","x":[1]}`: {Password: "p",
			Expiry: "17", Refresh: "r"},
		`{"password":"p","password_expiry_utc":"17"}`: {Password: "p", Expiry: "17"},
		`{"type":"service_account"}`:                  plain(`{"type":"service_account"}`), `{hunter2`: plain("{hunter2"),
		`{"password":"a"} b`: plain(`{"password":"a"} b`),
	} {
		got, err := ParseCredential([]byte(value))
		if err != nil || got != want {
			t.Errorf("%q is %+v, %v", value, got, err)
		}
	}
	for _, value := range []string{"\xffhunter2", `{"password":["hunter2"]}`, `{"password":"hunter2","username":7}`,
		`{"password":"x","password_expiry_utc":"hunter2"}`, `{"password":"hunter2","password_expiry_utc":1e3}`, `{"password":""}`,
		`{"username":"a","token":"hunter2","server":"https://other.example"}`, `{"server":"h"}`, `{"username":"u","password":null}`} {
		if c, err := ParseCredential([]byte(value)); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q is %+v, %v", value, c, err)
		}
	}
}

func TestFits(t *testing.T) {
	server, err := ParseServer("https://h/o/r")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cred Credential
		user string
		want bool
	}{
		{Credential{}, "", true}, {Credential{}, "u", true}, {Credential{Username: "u"}, "", true},
		{Credential{Username: "u"}, "u", true},
		{Credential{Username: "u"}, "U", false}, {Credential{Server: "h"}, "", true}, {Credential{Server: "https://h/o"}, "",
			true},
		{Credential{Server: "http://h"}, "", false}, {Credential{Server: "i"}, "", false},
		{Credential{Server: "not a server"}, "", false},
		{Credential{Server: "h", Username: "v"}, "u", false},
	} {
		if got := c.cred.Fits(server, c.user); got != c.want {
			t.Errorf("%+v for %q: %v", c.cred, c.user, got)
		}
	}
}

func TestExpired(t *testing.T) {
	now := time.Unix(1000, 0)
	for expiry, want := range map[string]bool{"": false, "999": true, "1000": true, "1001": false, "x": false} {
		c := Credential{Expiry: json.Number(expiry)}
		if got := c.Expired(now); got != want {
			t.Errorf("%q: %v", expiry, got)
		}
	}
}

func TestLine(t *testing.T) {
	for value, want := range map[string]string{"a": "a", "a\n": "a", "a\r\n": "a", "a b ": "a b "} {
		if got, err := Line([]byte(value)); err != nil || got != want {
			t.Errorf("%q is %q, %v", value, got, err)
		}
	}
	for _, value := range []string{"", "\n", "a\nhunter2", "a\n\n", "hunter2\x00", "\xffhunter2", "a\rhunter2"} {
		if got, err := Line([]byte(value)); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q is %q, %v", value, got, err)
		}
	}
}

// A credential that is stored reads back as itself.
func FuzzCredential(f *testing.F) {
	for _, s := range []string{"hunter2\n", `{"password":"p","username":"u","server":"h","password_expiry_utc":1}`, "{",
		"\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		c, err := ParseCredential(value)
		if err != nil || c.Password == "" { // which nobody stores
			return
		}
		b, err := c.Value()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParseCredential(b); err != nil || again != c {
			t.Fatalf("%q is %+v, which is stored as %q, which is %+v, %v", value, c, b, again, err)
		}
	})
}
