package keys

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"

	"golang.org/x/crypto/chacha20poly1305"

	"ass/audit/hmac256"
)

// An age file with one stanza under a symmetric key has a header in which only three fields vary:
//
//	age-encryption.org/v1
//	-> ass1 <22 characters of salt>
//	<43 characters of wrapped file key>
//	--- <43 characters of MAC>
//
// Such a file is read and written here, without package age, which takes 20 KiB of memory for each: an act on
// a thousand secrets spends a third of its time on that. Everything else goes to age. The tests hold that both open
// the same files, and write the same bytes from the same randomness.
const (
	headerBegin = "age-encryption.org/v1\n-> " + stanzaKey + " "
	headerEnd   = "\n---" // the MAC covers the header up to here

	saltText, bodyText, macText = 22, 43, 43 // lengths in base64

	saltAt     = len(headerBegin)
	bodyAt     = saltAt + saltText + len("\n")
	macAt      = bodyAt + bodyText + len(headerEnd) + len(" ")
	headerSize = macAt + macText + len("\n")

	wrappedLen = fileKeyLen + chacha20poly1305.Overhead
	labelDrawn = 26 // bytes that age draws for the label of [KeyWrap.WrapWithLabels]
)

// plainChunk is the size in bytes of the largest value that makes one chunk.
const plainChunk = oneChunk - streamNonceLen - chacha20poly1305.Overhead

// keyFile is such a file, taken apart and not checked.
type keyFile struct {
	salt    [saltLen]byte
	wrapped [wrappedLen]byte
	mac     [32]byte
	maced   []byte // what the MAC covers
	payload []byte
}

// parseKeyFile takes a file apart. It takes exactly the form above, so each byte of the header means something.
func parseKeyFile(sealed []byte) (f keyFile, ok bool) {
	if len(sealed) < headerSize {
		return f, false
	}
	fixed := func(at int, text string) bool { return string(sealed[at:at+len(text)]) == text }
	if !fixed(0, headerBegin) || !fixed(bodyAt-1, "\n") || !fixed(macAt-len(headerEnd)-1, headerEnd+" ") ||
		!fixed(headerSize-1, "\n") {
		return f, false
	}
	field := func(into []byte, at, size int) bool { // a line break inside would leave fewer bytes
		n, err := base64.RawStdEncoding.Strict().Decode(into, sealed[at:at+size])
		return err == nil && n == len(into)
	}
	f.maced, f.payload = sealed[:macAt-1], sealed[headerSize:]
	return f, field(f.salt[:], saltAt, saltText) && field(f.wrapped[:], bodyAt, bodyText) && field(f.mac[:], macAt, macText)
}

// open opens a file whose payload has one chunk.
func (f keyFile) open(w KeyWrap) ([]byte, error) {
	wrap := w.wrapKey(f.salt)
	fileKey, err := newAEAD(wrap).Open(make([]byte, 0, fileKeyLen), firstNonce[:], f.wrapped[:], nil)
	if err != nil {
		return nil, ErrSealed
	}
	if want := headerMAC(fileKey, f.maced); !hmac.Equal(want[:], f.mac[:]) {
		return nil, ErrSealed
	}
	return openPayload(fileKey, f.payload)
}

// openPayload opens a payload of one chunk (age-encryption.org/v1, "Payload").
func openPayload(fileKey, payload []byte) ([]byte, error) {
	if len(payload) < streamNonceLen {
		return nil, ErrSealed
	}
	plain, err := newAEAD(payloadKey(fileKey, payload[:streamNonceLen])).Open(nil, lastNonce[:], payload[streamNonceLen:], nil)
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// sealKeyFile makes a file of a value of at most [plainChunk] bytes. It draws what age draws, so that the same randomness
// makes the same bytes.
func sealKeyFile(w KeyWrap, plain []byte) []byte {
	var drawn [fileKeyLen + saltLen + labelDrawn + streamNonceLen]byte
	rand.Read(drawn[:])
	fileKey, salt := drawn[:fileKeyLen], drawn[fileKeyLen:fileKeyLen+saltLen]
	nonce := drawn[len(drawn)-streamNonceLen:]
	var wrapped [wrappedLen]byte
	newAEAD(w.wrapKey([saltLen]byte(salt))).Seal(wrapped[:0], firstNonce[:], fileKey, nil)

	b := make([]byte, 0, headerSize+streamNonceLen+len(plain)+chacha20poly1305.Overhead)
	b = append(b, headerBegin...)
	b = base64.RawStdEncoding.AppendEncode(b, salt)
	b = append(b, '\n')
	b = base64.RawStdEncoding.AppendEncode(b, wrapped[:])
	b = append(b, headerEnd...)
	mac := headerMAC(fileKey, b)
	b = append(b, ' ')
	b = base64.RawStdEncoding.AppendEncode(b, mac[:])
	b = append(b, '\n')
	b = append(b, nonce...)
	return newAEAD(payloadKey(fileKey, nonce)).Seal(b, lastNonce[:], plain, nil)
}

// The keys of an age file (age-encryption.org/v1), out of its file key.

func headerMAC(fileKey, header []byte) [32]byte {
	k := hmac256.Derive(fileKey, nil, []byte("header"))
	return hmac256.Sum(k[:], header)
}

func payloadKey(fileKey, nonce []byte) Key {
	return hmac256.Derive(fileKey, nonce, []byte("payload"))
}

// Nonces. A key that wraps a file key is used once. A payload numbers its chunks, and marks the last.
var (
	firstNonce [chacha20poly1305.NonceSize]byte
	lastNonce  = [chacha20poly1305.NonceSize]byte{chacha20poly1305.NonceSize - 1: 1} // chunk 0 is the last
)
