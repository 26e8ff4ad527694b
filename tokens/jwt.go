package tokens

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// Claims are what a token says about itself. They are public: anyone who holds the
// token or the vault's file can read them.
type Claims struct {
	Vault   [16]byte // id of the vault that it is for
	Issuer  string   // "owner", or the id of the agent that issued it
	ID      string   // of the token, a UUID
	Issued  time.Time
	Expires time.Time
	Scopes  Scopes
	Uses    uint64 // number of reads, writes and deletions allowed; 0: unlimited
	IPs     IPs    // addresses that may use the token; empty: any
	Tier    Tier   // the highest tier that the token reads without approval; 0 means [Standard]
}

// wire is the payload of the JWT (RFC 7519). The order of its fields is part of
// the format, because the signature over it is a key.
type wire struct {
	Iss   string   `json:"iss"` // "ass:" and the vault's id in hex
	Sub   string   `json:"sub"`
	Jti   string   `json:"jti"`
	Iat   int64    `json:"iat"`
	Exp   int64    `json:"exp"`
	Scope string   `json:"scope"` // separated by spaces (RFC 8693, 4.2)
	Uses  uint64   `json:"uses,omitempty"`
	IPs   []string `json:"ips,omitempty"`
	Tier  Tier     `json:"tier,omitempty"`
}

const issuerPrefix = "ass:"

// tokenHeader is {"alg":"HS256","typ":"JWT"}, and no other header is accepted.
const tokenHeader = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"

const maxTokenBytes = 16 << 10

var errToken error = &SyntaxError{"token", "it is not a token of ass; was it copied completely?"}

// HeaderPayload returns header.payload, which is what a signature covers.
func (c Claims) HeaderPayload() (string, error) {
	w := wire{
		Iss: issuerPrefix + hex.EncodeToString(c.Vault[:]), Sub: c.Issuer, Jti: c.ID,
		Iat: c.Issued.Unix(), Exp: c.Expires.Unix(), Scope: strings.Join(c.Scopes.Strings(), " "),
		Uses: c.Uses, IPs: c.IPs.Strings(), Tier: c.Tier,
	}
	payload, err := json.Marshal(w)
	if err != nil {
		return "", err
	}
	return tokenHeader + "." + base64.RawURLEncoding.EncodeToString(payload), nil
}

// Signature computes the HS256 signature (RFC 7515, A.1) of header.payload: the
// secret of a token.
func Signature(signed string, key [32]byte) [32]byte {
	h := hmac.New(sha256.New, key[:])
	h.Write([]byte(signed))
	return [32]byte(h.Sum(nil))
}

// TokenText joins header.payload and its signature to the text of a token.
func TokenText(signed string, signature [32]byte) string {
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature[:])
}

// Token is a token that was parsed but not yet verified.
type Token struct {
	Claims
	Signed    string   // header.payload
	Signature [32]byte // its secret
}

// ParseToken parses the text of a token. Do not trust any part of the result
// before [Token.Verify] succeeds.
func ParseToken(text string) (Token, error) {
	cut := strings.LastIndexByte(text, '.')
	if len(text) > maxTokenBytes || cut < 0 {
		return Token{}, errToken
	}
	sig, err := base64.RawURLEncoding.Strict().DecodeString(text[cut+1:])
	if err != nil || len(sig) != 32 {
		return Token{}, errToken
	}
	claims, err := ParseHeaderPayload(text[:cut])
	if err == nil && TokenText(text[:cut], [32]byte(sig)) != text { // the decoder skips line breaks
		err = errToken
	}
	return Token{claims, text[:cut], [32]byte(sig)}, err
}

// ParseHeaderPayload reads the claims of header.payload. Each set of claims has exactly
// one encoding: ParseHeaderPayload refuses any text that [Claims.HeaderPayload] would not write.
func ParseHeaderPayload(signed string) (Claims, error) {
	payload, ok := strings.CutPrefix(signed, tokenHeader+".")
	if !ok {
		return Claims{}, errToken
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(payload)
	if err != nil {
		return Claims{}, errToken
	}
	var w wire
	if err := json.Unmarshal(b, &w); err != nil {
		return Claims{}, errToken
	}
	vault, err := hex.DecodeString(strings.TrimPrefix(w.Iss, issuerPrefix))
	if err != nil || len(vault) != 16 {
		return Claims{}, errToken
	}
	c := Claims{
		Vault: [16]byte(vault), Issuer: w.Sub, ID: w.Jti, Uses: w.Uses, Tier: w.Tier,
		Issued: time.Unix(w.Iat, 0).UTC(), Expires: time.Unix(w.Exp, 0).UTC(),
	}
	var err1, err2 error
	c.Scopes, err1 = ParseScopes(w.Scope)
	c.IPs, err2 = IPsOf(w.IPs)
	if err := errors.Join(err1, err2); err != nil || w.Iat < 0 || w.Exp < w.Iat ||
		w.Exp-w.Iat > int64(MaxTTL/time.Second) {
		return Claims{}, errToken
	}
	if again, err := c.HeaderPayload(); err != nil || !bytes.Equal([]byte(again), []byte(signed)) {
		return Claims{}, errToken
	}
	return c, nil
}

// Verify checks the signature. key is the issuer's key for this token. Verify
// accepts no algorithm but HS256.
func (t Token) Verify(key [32]byte) error {
	want := Signature(t.Signed, key)
	if !strings.HasPrefix(t.Signed, tokenHeader+".") || !hmac.Equal(t.Signature[:], want[:]) {
		return syntaxErrorf("token", "its signature is invalid: it was modified")
	}
	return nil
}

// String hides the secret.
func (Token) String() string { return "ey…" }

// GoString hides the secret.
func (Token) GoString() string { return "ey…" }
