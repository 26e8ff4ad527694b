package keys

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode/utf16"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/btcsuite/btcd/btcutil/bech32"

	"ass/tokens"
	"ass/vault/internal/fault"
)

// Identity is the owner's credential: an age identity. Its holder owns every
// vault made with it.
type Identity struct {
	text string // as age writes it

	// What age computes from the text takes longer than a whole read of a value, and only an
	// age file that is sealed to the identity needs it.
	id func() (age.Identity, error)
	to func() (age.Recipient, error)
}

// newIdentity makes an identity of a text. parse runs when the identity is first needed.
func newIdentity[I age.Identity, R age.Recipient](text string, parse func(string) (I, error), to func(I) R) *Identity {
	id := sync.OnceValues(func() (I, error) { return parse(text) })
	return &Identity{
		text: text,
		id:   func() (age.Identity, error) { return id() },
		to: func() (age.Recipient, error) {
			id, err := id()
			if err != nil {
				return nil, err
			}
			return to(id), nil
		},
	}
}

// NewIdentity makes a post-quantum hybrid identity (ML-KEM-768 with X25519).
func NewIdentity() (*Identity, error) {
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		return nil, err
	}
	made := func(string) (*age.HybridIdentity, error) { return id, nil }
	return newIdentity(id.String(), made, (*age.HybridIdentity).Recipient), nil
}

// LooksLikeIdentity reports whether s has the form of an age identity, even a
// mistyped one.
func LooksLikeIdentity(s string) bool {
	return strings.HasPrefix(strings.ToUpper(strings.TrimSpace(s)), "AGE-SECRET-KEY-")
}

// ParseIdentity reads an owner key: a hybrid identity (AGE-SECRET-KEY-PQ-1…) or
// an X25519 one (AGE-SECRET-KEY-1…). The error says what is wrong, but never quotes s.
func ParseIdentity(s string) (*Identity, error) {
	line := strings.ToUpper(strings.TrimSpace(s))
	switch nativePrefix(line) {
	case hybridPrefix:
		return newIdentity(line, age.ParseHybridIdentity, (*age.HybridIdentity).Recipient), nil
	case x25519Prefix:
		return newIdentity(line, age.ParseX25519Identity, (*age.X25519Identity).Recipient), nil
	}
	if !LooksLikeIdentity(line) {
		return nil, &tokens.SyntaxError{What: "owner key", Problem: "it does not begin with AGE-SECRET-KEY-"}
	}
	return nil, &tokens.SyntaxError{What: "owner key",
		Problem: "its checksum does not match; was it mistyped or truncated?"}
}

// nativePrefix returns the prefix of a text that age takes for an identity of its own kinds,
// and "" for any other text. Of the 32 bytes of a key, Bech32 (BIP 173) has only one text in
// upper case, so the text is as age writes it.
func nativePrefix(text string) string {
	prefix, key := nativeKey(text)
	key.Wipe()
	return prefix
}

// nativeKey is nativePrefix, with the 32 bytes.
func nativeKey(text string) (prefix string, key Key) {
	prefix, groups, version, err := bech32.DecodeNoLimitWithVersion(text)
	if err != nil || version != bech32.Version0 {
		return "", key
	}
	defer clear(groups)
	b, err := bech32.ConvertBits(groups, 5, 8, false)
	if err != nil || len(b) != len(key) {
		return "", key
	}
	copy(key[:], b)
	clear(b)
	return prefix, key
}

// The prefixes of both kinds, as Bech32 has them.
const (
	hybridPrefix = "age-secret-key-pq-"
	x25519Prefix = "age-secret-key-"
)

// Secret returns the 32 bytes of the identity, and its kind. The bytes are the whole secret, and [IdentityOf] makes the
// identity of them again.
func (i *Identity) Secret() (key Key, x25519 bool, err error) {
	prefix, key := nativeKey(i.text)
	if prefix != hybridPrefix && prefix != x25519Prefix {
		return Key{}, false, errors.New("the owner key is of no known kind") // unreachable: ParseIdentity takes no other
	}
	return key, prefix == x25519Prefix, nil
}

// IdentityOf is the inverse of [Identity.Secret].
func IdentityOf(key Key, x25519 bool) (*Identity, error) {
	prefix := hybridPrefix
	if x25519 {
		prefix = x25519Prefix
	}
	groups, err := bech32.ConvertBits(key[:], 8, 5, true)
	if err != nil {
		return nil, err
	}
	defer clear(groups)
	text, err := bech32.Encode(prefix, groups)
	if err != nil {
		return nil, err
	}
	return ParseIdentity(text)
}

// Text returns the identity in the form that the owner keeps on paper. It is a
// secret; the output of [Identity.String] is not.
func (i *Identity) Text() string { return i.text }

// String hides the secret.
func (*Identity) String() string { return "AGE-SECRET-KEY-…" }

// GoString hides the secret.
func (*Identity) GoString() string { return "AGE-SECRET-KEY-…" }

// Lock encrypts the identity with a passphrase. The result is an armored age
// file that uses scrypt with 2^workFactor rounds. If workFactor is 0, Lock uses
// age's default, which takes about 0.6 s.
func (i *Identity) Lock(passphrase string, workFactor int) (string, error) {
	to, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return "", err
	}
	if workFactor > 0 {
		to.SetWorkFactor(workFactor)
	}
	var out bytes.Buffer
	a := armor.NewWriter(&out)
	w, err := age.Encrypt(a, to)
	if err != nil {
		return "", err
	}
	if _, err := io.WriteString(w, i.text); err != nil {
		return "", err
	}
	if err := errors.Join(w.Close(), a.Close()); err != nil {
		return "", err
	}
	return out.String(), nil
}

// PassphraseMemory returns how many bytes of memory it takes to open an identity that is
// encrypted with a passphrase, or to encrypt one, if stored is "". scrypt takes 128·r·N
// (RFC 7914, section 2); age has r = 8 and N = 2^work factor.
func PassphraseMemory(stored string) int64 {
	factor := 18 // age's default
	head := make([]byte, 200)
	n, _ := io.ReadFull(armor.NewReader(strings.NewReader(stored)), head)
	for line := range strings.Lines(string(head[:n])) {
		var salt string
		var found int
		if k, _ := fmt.Sscanf(line, "-> scrypt %s %d", &salt, &found); k == 2 && found > 0 && found <= 30 {
			factor = found
		}
	}
	return 128 * 8 << factor
}

// IsLocked reports whether a stored identity is encrypted with a passphrase.
func IsLocked(stored string) bool { return strings.HasPrefix(stored, armor.Header) }

// UnlockIdentity is the inverse of [Identity.Lock]. If the passphrase is wrong,
// the error is [ErrPassphrase].
func UnlockIdentity(stored, passphrase string) (*Identity, error) {
	id, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, fault.ErrPassphrase // an empty one
	}
	r, err := age.Decrypt(armor.NewReader(strings.NewReader(stored)), id)
	var noMatch *age.NoIdentityMatchError
	if errors.As(err, &noMatch) {
		return nil, fault.ErrPassphrase
	}
	if err != nil {
		return nil, fault.Damaged("stored owner key", "it is not an age file encrypted with a passphrase")
	}
	text, err := io.ReadAll(io.LimitReader(r, 1<<16))
	if err != nil {
		return nil, fault.Damaged("stored owner key", "it was altered")
	}
	return ParseIdentity(KeyText(text))
}

// KeyText returns the key in the content of a file: what age-keygen writes, without its comments, or what age -p
// writes, armored. A byte order mark does not matter, and neither does UTF-16, which the > of an older PowerShell
// writes.
func KeyText(content []byte) string {
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	if bytes.HasPrefix(content, []byte("age-encryption.org/v1\n")) {
		var out bytes.Buffer
		a := armor.NewWriter(&out)
		_, err := a.Write(content)
		if errors.Join(err, a.Close()) == nil { // a buffer takes everything
			return strings.TrimSpace(out.String())
		}
	}
	if bytes.HasPrefix(content, []byte{0xff, 0xfe}) && len(content)%2 == 0 {
		units := make([]uint16, 0, len(content)/2)
		for i := 2; i < len(content); i += 2 {
			units = append(units, binary.LittleEndian.Uint16(content[i:]))
		}
		content = []byte(string(utf16.Decode(units)))
	}
	var lines []string
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// SealFor encrypts bytes to an identity.
func SealFor(i *Identity, plain []byte) ([]byte, error) {
	to, err := i.to()
	if err != nil {
		return nil, err
	}
	return Encrypt(to, plain)
}

// OpenAs decrypts bytes that were sealed to this identity; any failure is [ErrSealed].
func OpenAs(i *Identity, sealed []byte) ([]byte, error) {
	id, err := i.id()
	if err != nil {
		return nil, ErrSealed
	}
	return Decrypt(id, sealed)
}
