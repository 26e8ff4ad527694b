package keys

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/btcsuite/btcd/btcutil/bech32"

	"ass/vault/internal/fault"
)

// The error of a key that does not parse says what is wrong, and does not repeat it.
func TestParseIdentity(t *testing.T) {
	i, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	text := i.Text()
	for _, same := range []string{text, strings.ToLower(text), " " + text + "\n"} {
		if got, err := ParseIdentity(same); err != nil || got.Text() != text {
			t.Errorf("the key itself does not parse: %v", err)
		}
	}
	other := "Q"
	if strings.HasSuffix(text, other) {
		other = "P"
	}
	for name, c := range map[string]struct{ text, says string }{
		"nothing":           {"", "does not begin with"},
		"something else":    {"hunter2", "does not begin with"},
		"a cut one":         {text[:len(text)-9], "checksum"},
		"a mistyped one":    {text[:len(text)-1] + other, "checksum"},
		"an old one, cut":   {"AGE-SECRET-KEY-1QQQQQQ", "checksum"},
		"another behind it": {text + text, "checksum"},
	} {
		_, err := ParseIdentity(c.text)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		} else if len(c.text) > 5 && strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: the error repeats the key", name)
		}
	}
}

// asAge returns age's own text of the identity that age reads in a text; "" if it reads none.
func asAge(text string) string {
	line := strings.ToUpper(strings.TrimSpace(text))
	if id, err := age.ParseHybridIdentity(line); err == nil {
		return id.String()
	}
	if id, err := age.ParseX25519Identity(line); err == nil {
		return id.String()
	}
	return ""
}

// readsAsAge fails if ParseIdentity reads another identity in a text than age does. It returns what
// age reads.
func readsAsAge(t *testing.T, text string) string {
	t.Helper()
	got, want := "", asAge(text)
	id, err := ParseIdentity(text)
	if err == nil {
		got = id.Text()
	}
	if got != want {
		t.Errorf("%q is read as %q, and age reads %q", text, got, want)
	}
	if err == nil {
		if _, err := id.id(); err != nil {
			t.Errorf("%q: age does not read it when it is needed: %v", text, err)
		}
		if _, err := id.to(); err != nil {
			t.Errorf("%q: it has no recipient: %v", text, err)
		}
	}
	return want
}

var nativePrefixes = []string{"age-secret-key-pq-", "age-secret-key-"}

// groups are bytes as Bech32 writes them, in groups of five bits; pad is added to the last one, of which not
// all bits count.
func groups(t testing.TB, key []byte, pad byte) []byte {
	of, err := bech32.ConvertBits(key, 8, 5, true)
	if err != nil {
		t.Fatal(err)
	}
	if len(of) > 0 {
		of[len(of)-1] += pad
	}
	return of
}

// ParseIdentity checks a text itself, without the keys that age computes. It reads what age reads.
func TestParsesAsAge(t *testing.T) {
	key := bytes.Repeat([]byte{0x5a}, 32)
	encode := func(prefix string, of []byte, as func(string, []byte) (string, error)) string {
		text, err := as(prefix, of)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for _, prefix := range nativePrefixes {
		text := encode(prefix, groups(t, key, 0), bech32.Encode)
		upper := strings.ToUpper(text)
		for name, c := range map[string]struct {
			text string
			is   bool
		}{
			"in lower case":           {text, true},
			"in upper case":           {upper, true},
			"in both":                 {text[:20] + upper[20:], true},
			"within spaces":           {"\t " + text + "\r\n", true},
			"with a long s":           {strings.Replace(text, "s", "\u017f", 1), true}, // its upper case is S
			"a space inside":          {text[:30] + " " + text[30:], false},
			"the Kelvin sign":         {strings.Replace(text, "k", "\u212a", 1), false},
			"a byte that is no text":  {text[:30] + "\xff" + text[31:], false},
			"another letter":          {text[:30] + "b" + text[31:], false},
			"a second 1":              {text[:30] + "1" + text[31:], false},
			"cut":                     {text[:len(text)-1], false},
			"nothing but the prefix":  {prefix + "1", false},
			"two":                     {text + text, false},
			"its padding is not 0":    {encode(prefix, groups(t, key, 1), bech32.Encode), false},
			"a group too many":        {encode(prefix, append(groups(t, key, 0), 0), bech32.Encode), false},
			"31 bytes":                {encode(prefix, groups(t, key[1:], 0), bech32.Encode), false},
			"33 bytes":                {encode(prefix, groups(t, append(key, 1), 0), bech32.Encode), false},
			"no bytes":                {encode(prefix, nil, bech32.Encode), false},
			"the checksum of Bech32m": {encode(prefix, groups(t, key, 0), bech32.EncodeM), false},
			"another kind":            {encode(prefix+"x", groups(t, key, 0), bech32.Encode), false},
			"a plugin's":              {encode("age-plugin-yubikey-", groups(t, key, 0), bech32.Encode), false},
			"a recipient":             {encode("age", groups(t, key, 0), bech32.Encode), false},
		} {
			if is := readsAsAge(t, c.text); is != "" != c.is {
				t.Errorf("%s, %s: age reads %q", prefix, name, is)
			}
		}
	}
}

// An identity that was read from its text seals and opens as the one that was made.
func TestParsedIdentityOpens(t *testing.T) {
	made, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	x25519, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{made.Text(), x25519.String()} {
		id, err := ParseIdentity(text)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseIdentity(text)
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := SealFor(id, []byte("hunter2"))
		if err != nil {
			t.Fatal(err)
		}
		for _, by := range []*Identity{id, again} {
			if plain, err := OpenAs(by, sealed); err != nil || string(plain) != "hunter2" {
				t.Errorf("it opens to %q: %v", plain, err)
			}
		}
		other, err := NewIdentity()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := OpenAs(other, sealed); !errors.Is(err, ErrSealed) {
			t.Errorf("another identity opens it: %v", err)
		}
	}
}

// The wrap of a root opens with the identity for which it was made, for the vault of that root, and in no
// other way.
func TestOwnerWrap(t *testing.T) {
	root, other := NewRoot(Random()), NewRoot(Random())
	made, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	x25519, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	old, err := ParseIdentity(x25519.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ owner, stranger *Identity }{{made, old}, {old, made}} {
		sealed, err := root.Wrap(c.owner)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseIdentity(c.owner.Text())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := OpenWrap(again, root.Vault, sealed); err != nil || got != root.Key {
			t.Fatalf("it does not open: %v", err)
		}
		if again.WrapName(root.Vault) != c.owner.WrapName(root.Vault) ||
			again.WrapName(root.Vault) == c.stranger.WrapName(root.Vault) || again.WrapName(root.Vault) == again.WrapName(VaultID{}) {
			t.Errorf("the name %s is not that of one identity in one vault", again.WrapName(root.Vault))
		}
		refused := func(what string, owner *Identity, vid VaultID, sealed []byte) {
			t.Helper()
			if got, err := OpenWrap(owner, vid, sealed); !errors.Is(err, ErrSealed) || got != (Key{}) {
				t.Errorf("%s: it opens, or fails with %v", what, err)
			}
		}
		refused("another identity", c.stranger, root.Vault, sealed)
		refused("another vault", c.owner, other.Vault, sealed)
		refused("nothing", c.owner, root.Vault, nil)
		for i := range sealed {
			altered := bytes.Clone(sealed)
			altered[i] ^= 1
			refused(fmt.Sprintf("byte %d altered", i), c.owner, root.Vault, altered)
			refused(fmt.Sprintf("cut to %d bytes", i), c.owner, root.Vault, sealed[:i])
		}
		k, ctx := c.owner.wrap(root.Vault)
		for what, plain := range map[string][]byte{"no root": {}, "a short root": root.Key[1:], "a long root": append(root.Key[:], 0)} {
			odd, err := Seal(k, ctx, plain)
			if err != nil {
				t.Fatal(err)
			}
			refused(what, c.owner, root.Vault, odd)
		}
		public, err := SealFor(c.owner, root.Key[:])
		if err != nil {
			t.Fatal(err)
		}
		refused("what anybody can seal to the recipient", c.owner, root.Vault, public)
	}
}

// FuzzIdentity holds ParseIdentity against age, in any text, and in texts of which the checksum is right.
func FuzzIdentity(f *testing.F) {
	key := bytes.Repeat([]byte{0x5a}, 32)
	for _, prefix := range append(nativePrefixes, "age-plugin-x-", "\u017f1") {
		text, _ := bech32.Encode(prefix, groups(f, key, 0))
		f.Add(text, prefix, groups(f, key, 0))
		f.Add(strings.ToUpper(text)+"\n", prefix, groups(f, key, 3))
		f.Add(prefix+"1", strings.ToUpper(prefix), groups(f, key[1:], 0))
		f.Add(text[:max(len(text)-1, 0)], prefix+"1", append(groups(f, key, 0), 0))
	}
	f.Fuzz(func(t *testing.T, text, prefix string, of []byte) {
		readsAsAge(t, text)
		for i := range of {
			of[i] &= 31
		}
		for _, prefix := range append(nativePrefixes, prefix) {
			for _, as := range []func(string, []byte) (string, error){bech32.Encode, bech32.EncodeM} {
				if text, err := as(prefix, of); err == nil {
					readsAsAge(t, text)
				}
			}
		}
	})
}

// A locked identity opens with its passphrase alone, as it was.
func TestLockIdentity(t *testing.T) {
	i, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	stored, err := i.Lock("hunter2", 2)
	if err != nil {
		t.Fatal(err)
	}
	if !IsLocked(stored) || IsLocked(i.Text()) || strings.Contains(stored, i.Text()) {
		t.Error("the stored form is not locked")
	}
	if got, err := UnlockIdentity(stored, "hunter2"); err != nil || got.Text() != i.Text() {
		t.Errorf("the passphrase does not open it: %v", err)
	}
	lines := strings.Split(stored, "\n")
	middle := len(lines) / 2
	short := lines[:middle:middle]
	short = append(short, lines[middle+1:]...)
	altered := []byte(stored)
	at := strings.LastIndex(stored, armor.Footer) - 40 // in the payload
	altered[at] ^= 1
	for name, c := range map[string]struct {
		stored, passphrase string
		want               error
	}{
		"another passphrase": {stored, "hunter3", fault.ErrPassphrase},
		"no passphrase":      {stored, "", fault.ErrPassphrase},
		"no age file":        {armor.Header + "\naGVsbG8=\n" + armor.Footer + "\n", "hunter2", fault.ErrDamaged},
		"nothing":            {"", "hunter2", fault.ErrDamaged},
		"a line missing":     {strings.Join(short, "\n"), "hunter2", fault.ErrDamaged},
		"an altered payload": {string(altered), "hunter2", fault.ErrDamaged},
	} {
		if _, err := UnlockIdentity(c.stored, c.passphrase); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// What age-keygen, age -p and PowerShell write is read.
func TestKeyText(t *testing.T) {
	const key = "AGE-SECRET-KEY-1QQQ"
	utf16 := "\xff\xfe"
	for _, r := range "# a comment\r\n" + key + "\r\n" {
		utf16 += string(byte(r)) + "\x00"
	}
	for _, content := range []string{key, key + "\n", "# created: 2026\n# public key: age1x\n" + key + "\n", "\xef\xbb\xbf" + key,
		"\xef\xbb\xbf#\n\n  " + key + "  \r\n\r\n", utf16} {
		if got := KeyText([]byte(content)); got != key {
			t.Errorf("%q has %q", content, got)
		}
	}
	for _, content := range []string{"", "\xff\xfe", "\xff\xfea", "# nothing", "\xef\xbb\xbf"} {
		if got := KeyText([]byte(content)); strings.Contains(got, key) {
			t.Errorf("%q has %q", content, got)
		}
	}

	// An age file with an identity file in it, armored and binary.
	id, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	to, err := age.NewScryptRecipient("maple")
	if err != nil {
		t.Fatal(err)
	}
	to.SetWorkFactor(4)
	var binary bytes.Buffer
	w, err := age.Encrypt(&binary, to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, "\xef\xbb\xbf# created: today\n"+id.Text()+"\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	armored := KeyText(binary.Bytes())
	for _, stored := range []string{armored, KeyText([]byte("# the key\n" + armored)), KeyText([]byte("\xef\xbb\xbf" + armored + "\n"))} {
		if !IsLocked(stored) {
			t.Fatalf("%.40q is not taken for a key with a passphrase", stored)
		}
		if got, err := UnlockIdentity(stored, "maple"); err != nil || got.Text() != id.Text() {
			t.Errorf("it opens as %v, %v", got, err)
		}
		if _, err := UnlockIdentity(stored, "gravel"); !errors.Is(err, fault.ErrPassphrase) {
			t.Errorf("a wrong passphrase: %v", err)
		}
	}
}

func FuzzKeyText(f *testing.F) {
	f.Add([]byte("\xef\xbb\xbf# x\nAGE-SECRET-KEY-1"))
	f.Add([]byte("\xff\xfeA\x00"))
	f.Add([]byte("age-encryption.org/v1\n-> scrypt"))
	f.Fuzz(func(t *testing.T, content []byte) {
		text := KeyText(content)
		if again := KeyText([]byte(text)); again != text && !strings.HasPrefix(text, "age-encryption.org/v1\n") &&
			!strings.HasPrefix(text, "\xef\xbb\xbf") && !strings.HasPrefix(text, "\xff\xfe") {
			t.Errorf("%q becomes %q, and then %q", content, text, again)
		}
	})
}
