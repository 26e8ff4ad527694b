package protocols

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"
	"unicode/utf8"
)

// Credential is what the value of a secret holds.
type Credential struct {
	Server   string      `json:"server,omitempty"`   // URL or host that it is for; "" for that of its path
	Username string      `json:"username,omitempty"` // "" for the one that is asked for
	Password string      `json:"password"`
	Expiry   json.Number `json:"password_expiry_utc,omitempty"` // when it expires, in seconds since 1970; "" for unknown
	Refresh  string      `json:"oauth_refresh_token,omitempty"` // of git
}

// ParseCredential reads a value: a JSON object with a password, or a text that is the password. A newline at the end of
// the text does not count. The error does not quote the value.
func ParseCredential(value []byte) (Credential, error) {
	if !utf8.Valid(value) {
		return Credential{}, errors.New("the value is not text")
	}
	var has struct {
		Server   json.RawMessage `json:"server"`
		Username json.RawMessage `json:"username"`
		Password json.RawMessage `json:"password"`
	}
	if json.Unmarshal(value, &has) == nil && (has.Server != nil || has.Username != nil || has.Password != nil) {
		var c Credential
		err := json.Unmarshal(value, &c)
		if err == nil && c.Expiry != "" {
			_, err = c.Expiry.Int64()
		}
		if err != nil || c.Password == "" {
			return Credential{}, errors.New(`the value is not {"server":…,"username":…,"password":…} with texts, and a password that ` +
				`is not empty`)
		}
		return c, nil
	}
	return Credential{Password: string(trimNewline(value))}, nil
}

// trimNewline removes one newline at the end, as shells do.
func trimNewline(b []byte) []byte {
	if n, ok := bytes.CutSuffix(b, []byte("\n")); ok {
		return bytes.TrimSuffix(n, []byte("\r"))
	}
	return b
}

// Value returns the credential as JSON, as a secret keeps it.
func (c Credential) Value() ([]byte, error) { return json.Marshal(c) }

// Fits reports whether a credential is for a server and a user; "" stands for any user. One that names no server fits
// every server: then its path says which one it is for.
func (c Credential) Fits(asked Server, username string) bool {
	if username != "" && c.Username != "" && username != c.Username {
		return false
	}
	if c.Server == "" { // then its path says for which server it is, but http has the path of https with that port
		return asked.Scheme == "https" || asked.Local()
	}
	s, err := ParseServer(c.Server)
	return err == nil && s.Covers(asked)
}

// Expired reports whether the credential says that its time is over.
func (c Credential) Expired(now time.Time) bool {
	at, err := c.Expiry.Int64()
	return err == nil && now.Unix() >= at
}

// Line returns a value that must be one line of text, without the newline at its end. The error does not quote it.
func Line(value []byte) (string, error) {
	s := string(trimNewline(value))
	switch {
	case !utf8.Valid(value):
		return "", errors.New("the value is not text")
	case s == "":
		return "", errors.New("the value is empty")
	case !isLine(s):
		return "", errLines
	}
	return s, nil
}

var errLines = errors.New("the value has a newline or a zero byte in it, which would end it early")
