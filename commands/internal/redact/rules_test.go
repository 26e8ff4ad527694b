package redact

import (
	"strings"
	"testing"
)

// Which values are masked, by key and value.
func TestIsMasked(t *testing.T) {
	for _, c := range []struct {
		key, value string
		want       bool
	}{
		// values that stand in any output
		{"DEBUG", "true", false}, {"DEBUG", "False", false}, {"X", "YES", false}, {"X", "null", false}, {"X", "none\n", false},
		{"X", "3000", false}, {"X", "0", false}, {"X", "65535", false}, {"X", "65536", true}, {"X", "0042", true},
		{"X", "-1234", true}, {"X", "+1234", true}, {"X", "12.34", true},
		{"X", "localhost", false}, {"X", "localhost:3000", false}, {"X", "127.0.0.1", false}, {"X", "127.1.2.3:80", false},
		{"X", "::1", false}, {"X", "[::1]:80", false}, {"X", "0.0.0.0", false}, {"X", "http://localhost:3000/", false},
		{"X", "http://127.0.0.1", false}, {"X", "http://u:hunter2@localhost", true}, {"X", "http://localhost/?k=hunter2", true},
		{"X", "128.0.0.1", true}, {"X", "localhost:hunter2", true}, {"X", "localhosts", true},
		{"X", "production", false}, {"X", "Staging", false}, {"X", "debug", false}, {"X", "warning", false},
		{"X", "hunter2", true}, {"X", "production-hunter2", true},
		// keys whose values are masked, whatever they are
		{"DB_PASSWORD", "localhost", true}, {"PIN", "1234", true}, {"API_TOKEN", "true", true}, {"CLIENT_SECRET", "production",
			true},
		{"apiKey", "debug", true}, {"api-key", "debug", true}, {"APIKEY", "debug", true}, {"PGPASS", "local", true},
		{"PASSPHRASE", "local", true}, {"DB_PASSWD", "local", true}, {"AWS_CREDENTIALS", "local", true},
		{"ACCESS_KEY_ID", "local", true}, {"USER_PINS", "1234", true}, {"SECRET_NAME", "laravel", true},
		{"KEY_HOST", "example.com", true},
		// but for those that stand for none, as frameworks have them
		{"REDIS_PASSWORD", "null", false}, {"MAIL_PASSWORD", "None", false},
		// words that only look like those
		{"KEYBOARD_LAYOUT", "default", false}, {"SHIPPING_MODE", "standard-parcel", false}, {"SPINNER", "debug", false},
		{"BYPASS_CACHE", "true", false}, {"MONKEY_COUNT", "7777", false},
		// settings, by the last word of the key
		{"APP_NAME", "Laravel", false}, {"APP_NAME", "My Application", true}, {"DB_CONNECTION", "sqlite", false},
		{"SESSION_DRIVER", "database", false}, {"LOG_STACK", "single,daily", false}, {"AWS_DEFAULT_REGION", "us-east-1", false},
		{"APP_LOCALE", "en_US.UTF-8", false}, {"MAIL_FROM_ADDRESS", "hello@example.com", false},
		{"ADDRESS", "hello@example.com", true}, {"HOST", "db.example.com", false}, {"db-host", "db.example.com:5432", false},
		{"dbHost", "db.example.com", false}, {"DB_HOST", "10.1.2.3", false}, {"DB_HOST", "[fd00::1]:5432", false},
		{"APP_URL", "https://app.example.com/path", false}, {"DATABASE_URL", "postgres://u:hunter2@db/app", true},
		{"DATABASE_URL", "postgres://u@db/app", true}, {"APP_URL", "https://example.com/?token=hunter2", true},
		{"WEBHOOK_URL", "https://hooks.example.com/services/T0/B0/abcdefgh1234ABCDEFGH5678", true},
		{"CACHE_STORE", "sk_live_51HunterTwoHunter2", true}, {"CACHE_STORE", "A234567890123456", true},
		{"CACHE_STORE", "1234567890123456", false}, {"CACHE_STORE", "A23456789012345", false}, {"LOG_PATH", "/var/log/app.log", false},
		{"HOSTS", "db.example.com", true}, {"NAMED", "laravel", true},
		{"APP_URL", "http://[::1", true}, {"APP_URL", "https://example.com/a b", false},
	} {
		if got := isMasked(Secret{Key: c.key, Value: []byte(c.value)}); got != c.want {
			t.Errorf("%s=%s: masked %v, want %v", c.key, c.value, got, c.want)
		}
	}
}

// The passwords in URLs, as they stand there and decoded.
func TestPasswords(t *testing.T) {
	for value, want := range map[string]string{
		"postgres://u:hunter2@h/d":            "hunter2",
		"postgres://u:hunter%32@h/d":          "hunter%32 hunter2",
		"postgres://u:100%zz@h/d":             "100%zz", // it cannot be decoded
		"postgres://u:@h/d":                   "",
		"postgres://u@h/d":                    "",
		"postgres://h/d?u:hunter2@":           "",
		"postgres://@h":                       "",
		"://:hunter2@":                        "hunter2",
		"a://u:one@h, b://c b://u:two@h":      "one two",
		"postgres://u:hunter2@h:x@h2/d#a:b@c": "hunter2@h:x",
	} {
		if got := strings.Join(passwords(value), " "); got != want {
			t.Errorf("%s: got %q, want %q", value, got, want)
		}
	}
}

// What a value has in it that is masked by itself, and what --mask and --no-mask change.
func TestNew(t *testing.T) {
	pem := "-----BEGIN KEY-----\nhunter2+abc/=\nshort\n-----END KEY-----\n"
	for _, c := range []struct {
		secrets []Secret
		rules   Rules
		in, out string
	}{
		{[]Secret{{"K", []byte("hunter2-key")}}, Rules{}, "xhunter2-keyx", "x[redacted:K]x"},
		// 4 to 7 bytes: whole words
		{[]Secret{{"K", []byte("hunter2")}}, Rules{}, "hunter2 xhunter2 hunter2x hunter2_ -hunter2. éhunter2",
			"[redacted:K] xhunter2 hunter2x hunter2_ -[redacted:K]. éhunter2"},
		{[]Secret{{"K", []byte("+abc-")}}, Rules{}, "x+abc-x", "x[redacted:K]x"},
		{[]Secret{{"K", []byte("abcd")}}, Rules{}, "abcd abcde 61626364 YWJjZA==", "[redacted:K] abcde [redacted:K] [redacted:K]"},
		{[]Secret{{"K", []byte("abc")}}, Rules{}, "abc", "abc"},
		{[]Secret{{"PIN", []byte("123")}}, Rules{}, "123", "123"},
		// PEM: its lines, but not those that every PEM has
		{[]Secret{{"K", []byte(pem)}}, Rules{}, pem, "[redacted:K]"},
		{[]Secret{{"K", []byte(pem)}}, Rules{}, "-----BEGIN KEY-----\r\n  hunter2+abc/=\r\nshort\r\n", "-----BEGIN KEY-----\r\n  [redacted:K]\r\nshort\r\n"},
		{[]Secret{{"K", []byte(pem)}}, Rules{}, `hunter2+abc\/= hunter2\u002Babc/=`, "[redacted:K] [redacted:K]"},
		// the password of a URL
		{[]Secret{{"DB_URL", []byte("postgres://app:hunter2-pw@db:5432/app")}}, Rules{}, "password is hunter2-pw at db:5432",
			"password is [redacted:DB_URL] at db:5432"},
		{[]Secret{{"DB_URL", []byte("postgres://app:p%40ss-word@db/app")}}, Rules{}, "p@ss-word p%40ss-word",
			"[redacted:DB_URL] [redacted:DB_URL]"},
		{[]Secret{{"URLS", []byte("a://b:first-pw@c, d://e:second@pw@f/")}}, Rules{}, "first-pw second@pw",
			"[redacted:URLS] [redacted:URLS]"},
		// what overlaps is masked as a whole
		{[]Secret{{"A", []byte("abcdefghij")}, {"B", []byte("ghijklmnop")}}, Rules{}, "<abcdefghijklmnop>",
			"<[redacted:A][redacted:B]>"},
		{[]Secret{{"A", []byte("aaaaaaaa")}}, Rules{}, "<aaaaaaaaaaaaaaaaaaa>", "<[redacted:A]>"},
		{[]Secret{{"A", []byte("abcdefgh")}, {"B", []byte("abcdefgh-long")}}, Rules{}, "abcdefgh-long abcdefgh-lon",
			"[redacted:B] [redacted:A]-lon"},
		// by key
		{[]Secret{{"PORT", []byte("3000")}}, Rules{Mask: []string{"PORT"}}, "at 3000", "at [redacted:PORT]"},
		{[]Secret{{"PIN", []byte("123")}}, Rules{Mask: []string{"PIN"}}, "123 1234 0123", "[redacted:PIN] 1234 0123"},
		{[]Secret{{"K", []byte("hunter2-key")}}, Rules{NoMask: []string{"K"}}, "hunter2-key", "hunter2-key"},
		{[]Secret{{"K", nil}}, Rules{Mask: []string{"K"}}, "x", "x"},
		// JSON stays JSON
		{[]Secret{{"DEBUG", []byte("true")}, {"PORT", []byte("3000")}, {"K", []byte("hunter2-key")}}, Rules{},
			`{"debug":true,"port":3000,"k":"hunter2-key"}`, `{"debug":true,"port":3000,"k":"[redacted:K]"}`},
	} {
		if got := masked(t, New(c.secrets, c.rules), c.in); got != c.out {
			t.Errorf("%q: got %q, want %q", c.in, got, c.out)
		}
		if got := masked(t, New(c.secrets, c.rules), strings.Split(c.in, "")...); got != c.out {
			t.Errorf("%q, byte by byte: got %q, want %q", c.in, got, c.out)
		}
	}
	if New([]Secret{{"DEBUG", []byte("true")}}, Rules{}) != nil {
		t.Error("there is nothing to search for, and yet there is")
	}
}

// FuzzIsMasked: no key and no value makes the rules panic, and a key that says what it is
// overrules what a value looks like.
func FuzzIsMasked(f *testing.F) {
	f.Add("DB_URL", "postgres://u:p@h/d")
	f.Add("A_", "[::1]:80")
	f.Fuzz(func(t *testing.T, key, value string) {
		isMasked(Secret{Key: key, Value: []byte(value)})
		none := !isMasked(Secret{Key: "PASSWORD", Value: []byte(value)})
		if none != (strings.Contains(" "+nothingWords+" ", " "+strings.ToLower(strings.TrimSpace(value))+" ")) {
			t.Errorf("a password %q is not masked", value)
		}
		for _, part := range append(passwords(value), lines(value)...) {
			if part == "" {
				t.Errorf("%q has an empty part", value)
			}
		}
	})
}
