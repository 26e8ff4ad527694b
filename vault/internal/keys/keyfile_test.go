package keys

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/cryptotest"

	"filippo.io/age"
)

// Seal writes the bytes that package age writes from the same randomness, for each length around that of a chunk.
func TestSealAsAge(t *testing.T) {
	k, ctx := Key{1}, []byte("context")
	for i, n := range []int{0, 1, 40, 64<<10 - 1, 64 << 10, 64<<10 + 1} {
		plain := bytes.Repeat([]byte("x"), n)
		cryptotest.SetGlobalRandom(t, uint64(i))
		got, err := Seal(k, ctx, plain)
		if err != nil {
			t.Fatal(err)
		}
		cryptotest.SetGlobalRandom(t, uint64(i))
		want, err := Encrypt(KeyWrap{k, ctx}, plain)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes are sealed as\n%q\nbut age makes\n%q", n, got[:min(200, len(got))], want[:min(200, len(want))])
		}
		if f, ok := parseKeyFile(want); !ok || len(f.payload) != streamNonceLen+n+16*max(1, (n+64<<10-1)/(64<<10)) {
			t.Errorf("a file of %d bytes that age made is not of the form", n)
		}
	}
}

// No two files that are sealed have the same file key, salt or nonce.
func TestSealDrawsAnew(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		sealed, err := Seal(Key{1}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		f, ok := parseKeyFile(sealed)
		if !ok {
			t.Fatalf("%q", sealed)
		}
		fileKey, err := FileKey(KeyWrap{Key{1}, nil}, sealed)
		if err != nil {
			t.Fatal(err)
		}
		for what, drawn := range map[string][]byte{"salt": f.salt[:], "nonce": f.payload[:streamNonceLen], "file key": fileKey} {
			if name := what + string(drawn); seen[name] {
				t.Errorf("the %s %x comes twice", what, drawn)
			} else {
				seen[name] = true
			}
		}
	}
}

// remade is an age file with any header, which somebody made who has the key: its MAC is right.
func remade(fileKey []byte, stanzas, macFormat string, payload []byte) []byte {
	header := stanzas + "---"
	if !strings.HasPrefix(stanzas, "age") {
		header = "age-encryption.org/v1\n" + header
	}
	mac := headerMAC(fileKey, []byte(header))
	return append([]byte(header+fmt.Sprintf(macFormat, base64.RawStdEncoding.EncodeToString(mac[:]))), payload...)
}

// Whoever has the key can write a header in any form, with a MAC that is right for it. Open takes what age takes.
func TestFormsAsAge(t *testing.T) {
	w := KeyWrap{Key{1}, []byte("context")}
	sealed, err := Seal(w.Key, w.Ctx, []byte("a value"))
	if err != nil {
		t.Fatal(err)
	}
	f, _ := parseKeyFile(sealed)
	fileKey, err := FileKey(w, sealed)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawStdEncoding.EncodeToString
	salt, wrapped := encode(f.salt[:]), encode(f.wrapped[:])
	line := "-> ass1 " + salt + "\n" + wrapped + "\n"
	short := [saltLen]byte(append(bytes.Clone(f.salt[:15]), 0)) // its first 15 bytes take 20 characters
	wrappedShort := encode(w.stanza(short, fileKey).Body)
	last := func(s string, by byte) string { // changes the bits of the last character that mean nothing
		const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
		at := strings.IndexByte(digits, s[len(s)-1])
		return s[:len(s)-1] + digits[at^int(by):][:1]
	}
	other := w.stanza([saltLen]byte{}, nil) // of no file key at all, for which everybody can make a MAC and a payload
	nobody := newAEAD(payloadKey(nil, f.payload[:streamNonceLen])).Seal(bytes.Clone(f.payload[:streamNonceLen]), lastNonce[:],
		[]byte("forged"), nil)
	for name, file := range map[string][]byte{
		"without the key":               remade(nil, "-> ass1 "+salt+"\n"+encode(make([]byte, wrappedLen))+"\n", " %s\n", nobody),
		"no file key":                   remade(nil, "-> ass1 "+encode(make([]byte, saltLen))+"\n"+encode(other.Body)+"\n", " %s\n", nobody),
		"as it is":                      remade(fileKey, line, " %s\n", f.payload),
		"two stanzas":                   remade(fileKey, line+line, " %s\n", f.payload),
		"another stanza first":          remade(fileKey, "-> X25519 abc\n\n"+line, " %s\n", f.payload),
		"no stanza":                     remade(fileKey, "", " %s\n", f.payload),
		"another version":               remade(fileKey, "age-encryption.org/v2\n"+line, " %s\n", f.payload),
		"no line break behind the salt": remade(fileKey, "-> ass1 "+salt+" "+wrapped+"\n", " %s\n", f.payload),
		"no line break behind the body": remade(fileKey, "-> ass1 "+salt+"\n"+wrapped+" ", " %s\n", f.payload),
		"another type":                  remade(fileKey, "-> ass2 "+salt+"\n"+wrapped+"\n", " %s\n", f.payload),
		"a loose salt":                  remade(fileKey, "-> ass1 "+last(salt, 1)+"\n"+wrapped+"\n", " %s\n", f.payload),
		"a loose body":                  remade(fileKey, "-> ass1 "+salt+"\n"+last(wrapped, 1)+"\n", " %s\n", f.payload),
		"a padded salt":                 remade(fileKey, "-> ass1 "+salt+"==\n"+wrapped+"\n", " %s\n", f.payload),
		"two spaces":                    remade(fileKey, "-> ass1  "+salt+"\n"+wrapped+"\n", " %s\n", f.payload),
		"one more argument":             remade(fileKey, "-> ass1 "+salt+" x\n"+wrapped+"\n", " %s\n", f.payload),
		"one more line":                 remade(fileKey, line+"\n", " %s\n", f.payload),
		"a line break in the salt":      remade(fileKey, "-> ass1 "+salt[:21]+"\n"+salt[21:]+wrapped+"\n", " %s\n", f.payload),
		"a line break in the body":      remade(fileKey, "-> ass1 "+salt+"\n"+wrapped[:42]+"\n"+wrapped[42:]+"\n", " %s\n", f.payload),
		"a carriage return":             remade(fileKey, "-> ass1 "+salt+"\r\n"+wrapped+"\r\n", " %s\n", f.payload),
		"a return in the salt":          remade(fileKey, "-> ass1 "+salt[:21]+"\r\n"+wrapped+"\n", " %s\n", f.payload),
		"returns in the salt":           remade(fileKey, "-> ass1 "+salt[:20]+"\r\r\n"+wrappedShort+"\n", " %s\n", f.payload),
		"no space before the MAC":       remade(fileKey, line, "%s\n", f.payload),
		"two spaces before it":          remade(fileKey, line, "  %s\n", f.payload),
		"a word behind the MAC":         remade(fileKey, line, " %s x\n", f.payload),
		"no line break behind it":       remade(fileKey, line, " %s", f.payload),
		"no payload":                    remade(fileKey, line, " %s\n", nil),
		"half a nonce":                  remade(fileKey, line, " %s\n", f.payload[:8]),
		"no tag":                        remade(fileKey, line, " %s\n", f.payload[:16]),
		"another file key":              remade(make([]byte, fileKeyLen), line, " %s\n", f.payload),
		"a loose MAC":                   []byte(strings.Replace(string(sealed), encode(f.mac[:]), last(encode(f.mac[:]), 1), 1)),
		"published":                     remade(fileKey, "-> ass1-pub "+salt+"\n"+wrapped+"\n", " %s\n", f.payload),
	} {
		got, err := Open(w.Key, w.Ctx, file)
		want, wantErr := decryptChunks(w, file)
		if string(got) != string(want) || (err == nil) != (wantErr == nil) || (err == nil) != (name == "as it is") {
			t.Errorf("%s: opened as %q, %v; age says %q, %v", name, got, err, want, wantErr)
		}
	}
}

// FuzzOpenAsAge compares Open with package age.
func FuzzOpenAsAge(f *testing.F) {
	w := KeyWrap{Key{1}, []byte("context")}
	for _, n := range []int{0, 1, 100} {
		sealed, err := Seal(w.Key, w.Ctx, make([]byte, n))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(sealed)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		got, err := Open(w.Key, w.Ctx, file)
		r, wantErr := age.Decrypt(bytes.NewReader(file), w)
		var want []byte
		if wantErr == nil {
			want, wantErr = io.ReadAll(r)
		}
		if (err == nil) != (wantErr == nil) || err == nil && !bytes.Equal(got, want) {
			t.Fatalf("opened %q, %v; age opens %q, %v", got, err, want, wantErr)
		}
	})
}
