package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	// Not crypto/ed25519, which computes its tables at the first signature of each
	// process: 1.3 ms, half of what a whole command takes. See TestSignature.
	"github.com/cloudflare/circl/sign/ed25519"

	"ass/audit/hmac256"
)

// MACSize is the size of an entry's MAC in bytes.
const MACSize = sha256.Size

// Position is the state of a log after an entry: everything that the next entry
// needs, and nothing that reveals an earlier key.
type Position struct {
	Seq     uint64   // of the last entry; 0 before the first
	LastMAC [32]byte // of the last entry; zeros before the first
	Key     [32]byte // MACs the next entry
}

// Place says which log an entry belongs to. A signature made in one vault or
// epoch is worth nothing in another.
type Place struct {
	Vault [16]byte
	Epoch uint32

	// Format is that of the epoch. From 2 on, the owner's entries also carry the owner's MAC.
	Format int

	// OwnerMAC is the key of that MAC; nil if it is not at hand.
	OwnerMAC *[32]byte
}

// Entry is a stored entry, taken apart and not yet checked. It is stored as
//
//	LP(by) ‖ LP(body) ‖ LP(sig) ‖ mac              in format 1
//	LP(by) ‖ LP(body) ‖ LP(sig) ‖ LP(omac) ‖ mac   in format 2
type Entry struct {
	Format int
	By     string // who acted: "owner", or the id of an agent or a token
	Body   []byte // an [Event] in JSON
	Sig    []byte // Ed25519, by the actor
	OMAC   []byte // the owner's MAC; only in the owner's entries of format 2
	MAC    [MACSize]byte
}

// Append makes the entry that follows p. It returns the database key and the value
// to store, and the position after the entry. The caller must then forget p.
func (p Position) Append(at Place, by string, sign ed25519.PrivateKey, body []byte) (key, value []byte, next Position) {
	seq := p.Seq + 1
	e := Entry{Format: max(at.Format, 1), By: by, Body: body}
	signed := e.signedBytes(at, seq, p.LastMAC)
	e.Sig = ed25519.Sign(sign, signed)
	if e.Format >= 2 && by == Owner && at.OwnerMAC != nil {
		mac := ownerMAC(*at.OwnerMAC, signed, e.Sig)
		e.OMAC = mac[:]
	}
	e.MAC = e.mac(p.Key, signed)
	return Key(seq), e.encode(), Position{Seq: seq, LastMAC: e.MAC, Key: NextKey(p.Key)}
}

// Key returns the database key of the entry with this sequence number: keys
// sort as the entries do.
func Key(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// Seq is the inverse of [Key]. For bytes that are not a key it returns 0, which is
// not the number of any entry.
func Seq(key []byte) uint64 {
	if len(key) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(key)
}

// NextKey derives the key after k: HKDF-SHA256 (RFC 5869) without a salt, one-way.
func NextKey(k [32]byte) [32]byte { return hmac256.Derive(k[:], nil, nextInfo) }

var nextInfo = lp(nil, []byte("ass/1 audit next"))

// Parse takes a stored value apart. It checks the form, not the MAC.
func Parse(value []byte) (Entry, error) {
	by, rest, ok1 := cutLP(value)
	body, rest, ok2 := cutLP(rest)
	sig, rest, ok3 := cutLP(rest)
	e := Entry{Format: 1, By: Owner, Body: body, Sig: sig}
	if string(by) != Owner { // most entries are the owner's
		e.By = string(by)
	}
	whole := ok1 && ok2 && ok3
	if whole && len(rest) > MACSize {
		e.Format = 2
		e.OMAC, rest, whole = cutLP(rest)
	}
	if !whole || len(rest) != MACSize {
		return Entry{}, errors.New("not an audit entry")
	}
	e.MAC = [MACSize]byte(rest)
	return e, nil
}

// Event reads the body. A body that is too large is refused unread: whoever has a key of the vault can write one.
func (e Entry) Event() (Event, error) {
	var ev Event
	if len(e.Body) > MaxRead && !bytes.Contains(e.Body[:256], []byte(`"event_type":"`+SecretImported+`"`)) {
		return Event{}, fmt.Errorf("body of %d bytes is larger than any that ass writes", len(e.Body))
	}
	if err := DecodeStrict(e.Body, &ev); err != nil {
		return Event{}, fmt.Errorf("body of %d bytes is not an event", len(e.Body))
	}
	return ev, nil
}

func (e Entry) encode() []byte {
	b := make([]byte, 0, 16+len(e.By)+len(e.Body)+len(e.Sig)+len(e.OMAC)+MACSize)
	b = lp(b, []byte(e.By))
	b = lp(b, e.Body)
	b = lp(b, e.Sig)
	if e.Format >= 2 {
		b = lp(b, e.OMAC)
	}
	return append(b, e.MAC[:]...)
}

// signedBytes returns what the actor signs: the entry, and everything that fixes
// its place in the log. prev, the MAC of the entry before, makes the log a chain.
func (e Entry) signedBytes(at Place, seq uint64, prev [32]byte) []byte {
	return e.appendSigned(make([]byte, 0, 128+len(e.By)+len(e.Body)), at, seq, prev)
}

func (e Entry) appendSigned(b []byte, at Place, seq uint64, prev [32]byte) []byte {
	label := "ass/1 audit entry"
	if e.Format >= 2 {
		label = "ass/2 audit entry"
	}
	b = lp(b, []byte(label))
	b = append(b, at.Vault[:]...)
	b = binary.BigEndian.AppendUint32(b, at.Epoch)
	b = binary.BigEndian.AppendUint64(b, seq)
	b = append(b, prev[:]...)
	b = lp(b, []byte(e.By))
	return lp(b, e.Body)
}

// IsSignedBy reports whether the actor that an entry names has made it at this place of a log, behind the entry
// with the MAC prev. It does not check the entry's own MAC.
func (e Entry) IsSignedBy(pub ed25519.PublicKey, at Place, seq uint64, prev [MACSize]byte) bool {
	return e.Format == max(at.Format, 1) && e.signatureHolds(pub, at.OwnerMAC, e.signedBytes(at, seq, prev))
}

// signatureHolds checks that the actor made the entry whose signed bytes are given. If the key of the owner's MACs is
// at hand, the owner's MAC decides about the owner's entries: it covers the signature, and takes a tenth of the time.
func (e Entry) signatureHolds(pub ed25519.PublicKey, owner *[32]byte, signed []byte) bool {
	byOwner := e.Format >= 2 && e.By == Owner
	if byOwner != (len(e.OMAC) == MACSize) || !byOwner && len(e.OMAC) > 0 {
		return false
	}
	if byOwner && owner != nil {
		want := ownerMAC(*owner, signed, e.Sig)
		return hmac.Equal(want[:], e.OMAC)
	}
	return ed25519.Verify(pub, signed, e.Sig)
}

func ownerMAC(key [32]byte, signed, sig []byte) [MACSize]byte {
	return hmac256.Sum(key[:], signed, lp(make([]byte, 0, 4+ed25519.SignatureSize), sig))
}

func (e Entry) mac(key [32]byte, signed []byte) [MACSize]byte {
	after := lp(make([]byte, 0, 4+ed25519.SignatureSize+4+MACSize), e.Sig)
	if e.Format >= 2 {
		after = lp(after, e.OMAC)
	}
	return hmac256.Sum(key[:], signed, after)
}

// lp appends x to b, prefixed with its length, so that two different lists of
// parts never have the same encoding.
func lp(b, x []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(x))), x...)
}

func cutLP(b []byte) (x, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := uint64(binary.BigEndian.Uint32(b))
	if uint64(len(b)-4) < n {
		return nil, nil, false
	}
	return b[4 : 4+n], b[4+n:], true
}
