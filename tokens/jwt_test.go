package tokens

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	goodHeader  = `{"alg":"HS256","typ":"JWT"}`
	goodPayload = `{"iss":"ass:bde4c48944fdc52801a078d0d4e18217","sub":"agt_7f3a9b2c","jti":"0f8fad5b-d9cb-469f-a165-70867728950e","iat":1780000000,"exp":1780003600,"scope":"secrets:read:production/gemini/*"}`
)

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func goodClaims(t testing.TB) Claims {
	scopes, err := ParseScopes("secrets:read:production/gemini/*")
	if err != nil {
		t.Fatal(err)
	}
	return Claims{
		Vault:  [16]byte{0xbd, 0xe4, 0xc4, 0x89, 0x44, 0xfd, 0xc5, 0x28, 0x01, 0xa0, 0x78, 0xd0, 0xd4, 0xe1, 0x82, 0x17},
		Issuer: "agt_7f3a9b2c",
		ID:     "0f8fad5b-d9cb-469f-a165-70867728950e", Issued: time.Unix(1780000000, 0).UTC(), Expires: time.Unix(1780003600,
			0).UTC(), Scopes: scopes,
	}
}

// The token of the design's known answers has the signatures that Python's hmac and openssl
// dgst computed. The first key is the one that the design derives for this token.
func TestKnownToken(t *testing.T) {
	signed, err := goodClaims(t).HeaderPayload()
	if want := b64(goodHeader) + "." + b64(goodPayload); err != nil || signed != want {
		t.Fatalf("it is signed over\n%s, not over\n%s: %v", signed, want, err)
	}
	for hexKey, want := range map[string]string{
		"18608d0fe80fdd23197acb3eebd39e7b16dc4ebc38159a2f44917d66bb54fbe1": "cbeb516e3840d6f4b67e72d9a1f56ac0d881cedfc983839f32eae6433f22314e",
		strings.Repeat("05", 32): "aaa4f9ebc51bc42be47b249c871894881439973bcab4a83c3a8a0685c6e3e7e5",
	} {
		k, _ := hex.DecodeString(hexKey)
		sig := Signature(signed, [32]byte(k))
		if got := hex.EncodeToString(sig[:]); got != want {
			t.Errorf("the signature is %s, want %s", got, want)
		}
		text := TokenText(signed, sig)
		token, err := ParseToken(text)
		if err != nil || token.Signed != signed || token.Signature != sig || !LooksLikeToken(text) {
			t.Errorf("it came back as %q: %v", token.Signed, err)
		}
		if err := token.Verify([32]byte(k)); err != nil {
			t.Errorf("it does not verify: %v", err)
		}
	}
}

// Another JWT library accepts a token as a JWT.
func TestTokenIsJWT(t *testing.T) {
	key := [32]byte{1}
	signed, err := goodClaims(t).HeaderPayload()
	if err != nil {
		t.Fatal(err)
	}
	text := TokenText(signed, Signature(signed, key))
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithStrictDecoding(),
		jwt.WithoutClaimsValidation())
	for _, k := range [][]byte{key[:], make([]byte, 32)} {
		token, err := parser.Parse(text, func(*jwt.Token) (any, error) { return k, nil })
		if want := bytes.Equal(k, key[:]); (err == nil) != want {
			t.Fatalf("it verifies under key %x: %v, want %v", k, err, want)
		}
		if err != nil {
			continue
		}
		if jti := token.Claims.(jwt.MapClaims)["jti"]; jti != goodClaims(t).ID {
			t.Errorf("its jti is %v", jti)
		}
	}
}

func TestTokenVerifies(t *testing.T) {
	key := [32]byte{1}
	signed, _ := goodClaims(t).HeaderPayload()
	other := goodClaims(t)
	other.Uses = 1
	wider, _ := other.HeaderPayload()
	for name, token := range map[string]Token{
		"wrong key":      {Signed: signed, Signature: Signature(signed, [32]byte{2})},
		"no signature":   {Signed: signed},
		"other claims":   {Signed: wider, Signature: Signature(signed, key)},
		"no signed part": {Signature: Signature("", key)},
		"another algorithm": {Signed: b64(`{"alg":"none","typ":"JWT"}`) + "." + b64(goodPayload), Signature: Signature(signed,
			key)},
		"HS512 by name": {Signed: b64(`{"alg":"HS512","typ":"JWT"}`) + "." + b64(goodPayload),
			Signature: Signature(b64(`{"alg":"HS512","typ":"JWT"}`)+"."+b64(goodPayload), key)},
	} {
		if token.Verify(key) == nil {
			t.Errorf("%s: it verifies", name)
		}
	}
	sig := Signature(signed, key)
	for i := range sig {
		bad := sig
		bad[i] ^= 1
		if (Token{Signed: signed, Signature: bad}).Verify(key) == nil {
			t.Errorf("it verifies with byte %d of the signature changed", i)
		}
	}
}

// Claims that are signed and parsed again are unchanged, whatever they say.
func TestClaimsRoundTrip(t *testing.T) {
	ips, _ := ParseIPs("10.0.0.0/8,::1")
	scopes, _ := ParseScopes("secrets:*:* secrets:read:a/K")
	for name, change := range map[string]func(*Claims){
		"least": func(*Claims) {},
		"everything": func(c *Claims) {
			c.Uses, c.IPs, c.Tier, c.Scopes, c.Issuer = 1<<64-1, ips, Sensitive, scopes,
				"owner"
		},
		"longest": func(c *Claims) { c.Expires = c.Issued.Add(MaxTTL) },
		"no time": func(c *Claims) { c.Expires = c.Issued },
	} {
		c := goodClaims(t)
		change(&c)
		signed, err := c.HeaderPayload()
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseHeaderPayload(signed)
		if err != nil || fmt.Sprintf("%+v", back) != fmt.Sprintf("%+v", c) {
			t.Errorf("%s: %+v came back as %+v: %v", name, c, back, err)
		}
	}
}

// Each set of claims has exactly one form. ParseToken refuses every other form, even with a
// valid signature: a second form would be a second secret for the same token.
func TestOnlyCanonicalTokens(t *testing.T) {
	change := func(old, new string) string {
		if !strings.Contains(goodPayload, old) {
			t.Fatalf("no %s in the payload", old)
		}
		return strings.Replace(goodPayload, old, new, 1)
	}
	key := [32]byte{1}
	sign := func(header, payload string) string {
		signed := header + "." + payload
		return TokenText(signed, Signature(signed, key))
	}
	good := sign(b64(goodHeader), b64(goodPayload))
	if _, err := ParseToken(good); err != nil {
		t.Fatal(err)
	}
	for name, payload := range map[string]string{
		"24 hours":  change(`1780003600`, `1780086400`),
		"no time":   change(`1780003600`, `1780000000`),
		"from 1970": strings.Replace(change(`1780000000`, `0`), `1780003600`, `86400`, 1),
	} {
		if _, err := ParseToken(sign(b64(goodHeader), b64(payload))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	bad := map[string]string{
		"nothing": "", "dots": "..", "two parts": good[:strings.LastIndexByte(good, '.')], "four parts": good + ".AA",
		"padded signature": good + "=",
		"padded payload": sign(b64(goodHeader), base64.URLEncoding.EncodeToString([]byte(change(`/gemini/*`,
			`/gemin/*`)))),
		"standard base64":         sign(b64(goodHeader), b64(goodPayload)+"+"),
		"a space before":          " " + good,
		"a newline behind":        good + "\n",
		"a newline in it":         good[:len(good)-9] + "\n" + good[len(good)-9:],
		"a newline in its claims": strings.Replace(good, ".", ".\n", 1),
		"short signature":         good[:len(good)-2],
		"long":                    sign(b64(goodHeader), b64(change(`"iat"`, strings.Repeat(" ", maxTokenBytes)+`"iat"`))),
	}
	// In base64, 32 bytes leave two unused bits in the last character. They must be zero.
	last := good[len(good)-1]
	i := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", last)
	bad["spare bits"] = good[:len(good)-1] +
		string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[i|1])
	for _, header := range []string{
		`{"alg":"none","typ":"JWT"}`, `{"alg":"None","typ":"JWT"}`, `{"alg":"HS384","typ":"JWT"}`,
		`{"alg":"RS256","typ":"JWT"}`, `{"alg":"hs256","typ":"JWT"}`,
		`{"typ":"JWT","alg":"HS256"}`, `{"alg":"HS256"}`, `{"alg":"HS256","typ":"JWT","kid":"1"}`,
		`{"alg":"HS256", "typ":"JWT"}`,
		`{"alg":"HS256","typ":"jwt"}`, `{"alg":"HS256","typ":"JWT"}` + "\n", `{"alg":"HS256","alg":"none","typ":"JWT"}`, `{}`,
		``,
	} {
		bad["header "+header] = sign(b64(header), b64(goodPayload))
	}
	for name, payload := range map[string]string{
		"order": change(`"sub":"agt_7f3a9b2c","jti":"0f8fad5b-d9cb-469f-a165-70867728950e"`,
			`"jti":"0f8fad5b-d9cb-469f-a165-70867728950e","sub":"agt_7f3a9b2c"`),
		"space":             change(`,"sub"`, `, "sub"`),
		"newline behind":    goodPayload + "\n",
		"two values":        goodPayload + goodPayload,
		"field twice":       change(`"iat"`, `"iat":1,"iat"`),
		"field of no name":  change(`"iat"`, `"nbf":1,"iat"`),
		"another case":      change(`"sub"`, `"Sub"`),
		"escaped":           change(`agt_7`, `agt\u005f7`),
		"no issuer prefix":  change(`ass:`, ``),
		"other prefix":      change(`ass:`, `asS:`),
		"short vault":       change(`bde4c489`, `c489`),
		"vault in capitals": change(`bde4`, `BDE4`),
		"float":             change(`1780000000`, `1780000000.0`),
		"exponent":          change(`1780000000`, `178e7`),
		"time as text":      change(`1780000000`, `"1780000000"`),
		"25 hours":          change(`1780003600`, `1780090000`),
		"a second too long": change(`1780003600`, `1780086401`),
		"for ever":          change(`1780003600`, `9223372036854775807`),
		"ends before":       change(`1780003600`, `1779999999`),
		"before 1970":       strings.Replace(change(`1780000000`, `-1`), `1780003600`, `3600`, 1),
		"no end":            change(`"exp":1780003600,`, ``),
		"no scope":          change(`secrets:read:production/gemini/*`, ``),
		"bad scope":         change(`secrets:read:production/gemini/*`, `secrets:read:*/gemini`),
		"scope twice":       change(`secrets:read:production/gemini/*`, `secrets:read:a/* secrets:read:a/*`),
		"commas":            change(`secrets:read:production/gemini/*`, `secrets:read:a/*,secrets:read:b/*`),
		"two spaces":        change(`secrets:read:production/gemini/*`, `secrets:read:a/*  secrets:read:b/*`),
		"uses 0":            change(`gemini/*"`, `gemini/*","uses":0`),
		"uses -1":           change(`gemini/*"`, `gemini/*","uses":-1`),
		"uses 1.5":          change(`gemini/*"`, `gemini/*","uses":1.5`),
		"no ips":            change(`gemini/*"`, `gemini/*","ips":[]`),
		"null ips":          change(`gemini/*"`, `gemini/*","ips":null`),
		"bad ip":            change(`gemini/*"`, `gemini/*","ips":["x"]`),
		"ip not as written": change(`gemini/*"`, `gemini/*","ips":["10.1.2.3/8"]`),
		"bad tier":          change(`gemini/*"`, `gemini/*","tier":"secret"`),
		"tier 2":            change(`gemini/*"`, `gemini/*","tier":2`),
		"array":             `[]`, "null": `null`, "no JSON": `x`, "nothing": ``,
	} {
		bad["payload "+name] = sign(b64(goodHeader), b64(payload))
	}
	for name, text := range bad {
		if token, err := ParseToken(text); err == nil {
			t.Errorf("%s: it is read as %+v", name, token.Claims)
		}
	}
}

// A token that is printed by mistake does not reveal its signature.
func TestTokenHidesItsSecret(t *testing.T) {
	signed, _ := goodClaims(t).HeaderPayload()
	token := Token{Signed: signed, Signature: [32]byte(bytes.Repeat([]byte{0xab}, 32))}
	text := fmt.Sprintf("%v %+v %s %#v %v", token, token, token, token, &token)
	if strings.Contains(text, "171") || strings.Contains(text, "ab, 0xab") || strings.Contains(text, "q6ur") {
		t.Errorf("it prints as %s", text)
	}
}

func FuzzJWT(f *testing.F) {
	f.Add(goodHeader, goodPayload)
	f.Add(goodHeader, strings.Replace(goodPayload, `gemini/*"`,
		`gemini/*","uses":3,"ips":["10.0.0.0/8"],"tier":"sensitive"`, 1))
	f.Add(`{"alg":"none"}`, `{}`)
	f.Add("", "null")
	f.Fuzz(func(t *testing.T, header, payload string) {
		key := [32]byte{1}
		signed := b64(header) + "." + b64(payload)
		text := TokenText(signed, Signature(signed, key))
		for _, s := range []string{text, header, payload, header + "." + payload, header + "." + payload + "." + payload} {
			token, err := ParseToken(s)
			if err != nil {
				continue
			}
			again, err := token.Claims.HeaderPayload()
			if err != nil || TokenText(again, token.Signature) != s {
				t.Errorf("%q is written %q: %v", s, again, err)
			}
			if token.Expires.Sub(token.Issued) > MaxTTL || len(token.Scopes) == 0 {
				t.Errorf("%q says too much", s)
			}
			if err := token.Verify(key); s == text && err != nil {
				t.Errorf("%q does not verify: %v", s, err)
			}
		}
		if _, err := ParseToken(b64(header) + "." + b64(payload+pasted) + "." + pasted); repeats(err, pasted) {
			t.Errorf("the error repeats what was typed: %v", err)
		}
	})
}
