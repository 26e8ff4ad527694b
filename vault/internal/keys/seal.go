package keys

import (
	"bytes"
	"crypto/cipher"
	"crypto/hpke"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"golang.org/x/crypto/chacha20poly1305"
)

// Everything secret in the file is an age file (age-encryption.org/v1) with
// exactly one stanza. The stanza wraps the file key in one of two ways: under a
// symmetric key, or to a published recipient. Both bind the whole context, so
// sealed bytes that somebody moves elsewhere do not open.
const (
	stanzaKey  = "ass1"
	stanzaPub  = "ass1-pub"
	fileKeyLen = 16
	saltLen    = 16
)

// ErrSealed says that sealed bytes do not open: they were altered, moved, or
// made for another key. It carries no detail, because no detail can be trusted.
var ErrSealed = errors.New("sealed bytes do not open with this key in this place")

// Seal encrypts plain so that only k opens it, and only with the same ctx.
func Seal(k Key, ctx, plain []byte) ([]byte, error) {
	w := KeyWrap{k, ctx}
	if len(plain) <= plainChunk {
		return sealKeyFile(w, plain), nil
	}
	return Encrypt(w, plain)
}

// Open is the inverse of [Seal].
func Open(k Key, ctx, sealed []byte) ([]byte, error) {
	return Decrypt(KeyWrap{k, ctx}, sealed)
}

// SealPub encrypts plain for the holders of the private key that belongs to to.
func SealPub(to hpke.PublicKey, ctx, plain []byte) ([]byte, error) {
	return Encrypt(PubWrap{To: to, Ctx: ctx}, plain)
}

// Encrypt makes the age file of plain for a recipient.
func Encrypt(to age.Recipient, plain []byte) ([]byte, error) {
	var out bytes.Buffer
	out.Grow(len(plain) + 256)
	w, err := age.Encrypt(&out, to)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// oneChunk is the size in bytes of the largest age payload with a single chunk, nonce
// and tag included.
const oneChunk = streamNonceLen + 64<<10 + chacha20poly1305.Overhead

const streamNonceLen = 16

// Decrypt opens an age file. If the header is of the form that [Seal] writes, and the payload has one chunk, as
// nearly every file here does, Decrypt needs no package age. Otherwise age reads the header. Decrypt
// opens a payload of one chunk itself: age takes 136 KiB of memory for each, and for a short file that costs
// nine tenths of the time.
func Decrypt(id age.Identity, sealed []byte) ([]byte, error) {
	if w, is := id.(KeyWrap); is {
		if f, ok := parseKeyFile(sealed); ok && len(f.payload) <= oneChunk {
			return f.open(w)
		}
	}
	header, payload, err := cutHeader(sealed)
	if err != nil {
		return nil, err
	}
	if len(payload) > oneChunk {
		return decryptChunks(id, sealed)
	}
	fileKey, err := age.DecryptHeader(header, id)
	if err != nil {
		return nil, ErrSealed
	}
	return openPayload(fileKey, payload)
}

// DecryptWithFileKey opens an age file with its own file key.
func DecryptWithFileKey(fileKey, sealed []byte) ([]byte, error) {
	return Decrypt(age.NewInjectedFileKeyIdentity(fileKey), sealed)
}

// cutHeader splits an age file after its header. The header ends with the only line that
// can begin with "---".
func cutHeader(sealed []byte) (header, payload []byte, err error) {
	const footer = "\n---"
	at := bytes.Index(sealed, []byte(footer))
	if at < 0 {
		return nil, nil, ErrSealed
	}
	at += len(footer)
	end := bytes.IndexByte(sealed[at:], '\n')
	if end < 0 {
		return nil, nil, ErrSealed
	}
	at += end + 1
	return sealed[:at], sealed[at:], nil
}

func decryptChunks(id age.Identity, sealed []byte) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(sealed), id)
	if err != nil {
		return nil, ErrSealed
	}
	plain := bytes.NewBuffer(make([]byte, 0, len(sealed)))
	if _, err := io.Copy(plain, r); err != nil {
		return nil, ErrSealed
	}
	return plain.Bytes(), nil
}

// KeyWrap wraps a file key under a symmetric key. A random salt makes each
// wrapping key unique, so the nonce may be fixed.
type KeyWrap struct {
	Key Key
	Ctx []byte
}

var (
	_ age.RecipientWithLabels = KeyWrap{}
	_ age.Identity            = KeyWrap{}
)

// Wrap implements [age.Recipient].
func (w KeyWrap) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	var salt [saltLen]byte
	rand.Read(salt[:])
	return []*age.Stanza{w.stanza(salt, fileKey)}, nil
}

// WrapWithLabels returns a random label, which makes age refuse any second
// recipient.
func (w KeyWrap) WrapWithLabels(fileKey []byte) ([]*age.Stanza, []string, error) {
	s, err := w.Wrap(fileKey)
	return s, []string{rand.Text()}, err
}

func (w KeyWrap) stanza(salt [saltLen]byte, fileKey []byte) *age.Stanza {
	return &age.Stanza{
		Type: stanzaKey,
		Args: []string{base64.RawStdEncoding.EncodeToString(salt[:])},
		Body: newAEAD(w.wrapKey(salt)).Seal(nil, firstNonce[:], fileKey, nil),
	}
}

func newAEAD(k Key) cipher.AEAD {
	aead, err := chacha20poly1305.New(k[:])
	if err != nil {
		panic(err) // unreachable: the key has the right size
	}
	return aead
}

func (w KeyWrap) wrapKey(salt [saltLen]byte) Key { return kdf(w.Key, salt[:], "ass/1 wrap", w.Ctx) }

// Unwrap implements [age.Identity].
func (w KeyWrap) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	arg, body, err := onlyStanza(stanzas, stanzaKey, saltLen)
	if err != nil {
		return nil, err
	}
	fileKey, err := newAEAD(w.wrapKey([saltLen]byte(arg))).Open(nil, firstNonce[:], body, nil)
	if err != nil {
		return nil, age.ErrIncorrectIdentity
	}
	return fileKey, nil
}

// PubWrap wraps a file key to a published recipient: HPKE (RFC 9180) in base
// mode with MLKEM768-X25519, HKDF-SHA256 and ChaCha20Poly1305. The context is
// HPKE's info, so nobody can trick an honest holder of the key into opening the
// file key in another place.
type PubWrap struct {
	To  hpke.PublicKey  // for sealing
	Key hpke.PrivateKey // for opening
	Ctx []byte
}

var (
	_ age.RecipientWithLabels = PubWrap{}
	_ age.Identity            = PubWrap{}
)

const encLen = 1120 // bytes of an MLKEM768-X25519 encapsulation: 1088 + 32

func (w PubWrap) info() []byte { return append(LP(nil, "ass/1 pub"), w.Ctx...) }

// Wrap implements [age.Recipient].
func (w PubWrap) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	enc, s, err := hpke.NewSender(w.To, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), w.info())
	if err != nil {
		return nil, fmt.Errorf("seal to a published recipient: %w", err)
	}
	body, err := s.Seal(nil, fileKey)
	if err != nil {
		return nil, fmt.Errorf("seal to a published recipient: %w", err)
	}
	return []*age.Stanza{{
		Type: stanzaPub,
		Args: []string{base64.RawStdEncoding.EncodeToString(enc)},
		Body: body,
	}}, nil
}

// WrapWithLabels returns a random label; see KeyWrap.
func (w PubWrap) WrapWithLabels(fileKey []byte) ([]*age.Stanza, []string, error) {
	s, err := w.Wrap(fileKey)
	return s, []string{rand.Text()}, err
}

// Unwrap implements [age.Identity].
func (w PubWrap) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	enc, body, err := onlyStanza(stanzas, stanzaPub, encLen)
	if err != nil {
		return nil, err
	}
	r, err := hpke.NewRecipient(enc, w.Key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), w.info())
	if err != nil {
		return nil, age.ErrIncorrectIdentity
	}
	fileKey, err := r.Open(nil, body)
	if err != nil {
		return nil, age.ErrIncorrectIdentity
	}
	return fileKey, nil
}

// onlyStanza returns the argument and the body of the only stanza. It refuses
// every other form: a second stanza would let a second key open the file.
func onlyStanza(stanzas []*age.Stanza, kind string, argLen int) (arg, body []byte, err error) {
	if len(stanzas) != 1 || stanzas[0].Type != kind || len(stanzas[0].Args) != 1 {
		return nil, nil, age.ErrIncorrectIdentity
	}
	arg, err = base64.RawStdEncoding.Strict().DecodeString(stanzas[0].Args[0])
	body = stanzas[0].Body
	if err != nil || len(arg) != argLen || len(body) != fileKeyLen+chacha20poly1305.Overhead {
		return nil, nil, age.ErrIncorrectIdentity
	}
	return arg, body, nil
}
