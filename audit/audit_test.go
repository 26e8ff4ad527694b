package audit

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/cloudflare/circl/sign/ed25519"
)

// log is a log in memory, with all keys that its owner has.
type log struct {
	keys, values [][]byte
	at           Position
	epoch        uint32
	format       int
	last         uint64 // as a head would say; 0 for unknown
	owner, other ed25519.PrivateKey
}

func firstKey(epoch uint32, seq uint64) [32]byte {
	return [32]byte(fmt.Appendf(nil, "%032d", uint64(epoch)<<32|seq))
}

func newLog() *log {
	seed := make([]byte, ed25519.SeedSize)
	l := &log{format: 2, owner: ed25519.NewKeyFromSeed(seed)}
	seed[0] = 1
	l.other = ed25519.NewKeyFromSeed(seed)
	return l
}

func (l *log) add(t testing.TB, by string, sign ed25519.PrivateKey, ev Event) {
	t.Helper()
	ev.ActorID = by
	if ev.Epoch > 0 {
		l.epoch = ev.Epoch
		l.at.Key = firstKey(ev.Epoch, l.at.Seq+1)
	}
	body, err := ev.Encode()
	if err != nil {
		t.Fatal(err)
	}
	var k, v []byte
	k, v, l.at = l.at.Append(l.place(sign), by, sign, body)
	l.keys, l.values = append(l.keys, k), append(l.values, v)
}

// ownerKey returns the key of the owner's MACs in an epoch.
func ownerKey(epoch uint32) [32]byte { return [32]byte{7, byte(epoch)} }

// place returns where the next entry belongs. Only the owner has the key of the owner's MACs.
func (l *log) place(sign ed25519.PrivateKey) Place {
	at := Place{Epoch: l.epoch, Format: l.format}
	if sign.Equal(l.owner) {
		k := ownerKey(l.epoch)
		at.OwnerMAC = &k
	}
	return at
}

func (l *log) verify() (Position, uint32, []Finding) { return l.verifyWith(ownerKey) }

// verifyWith is verify with the key of the owner's MACs, or without.
func (l *log) verifyWith(owner func(uint32) [32]byte) (Position, uint32, []Finding) {
	v := Verifier{
		OwnerMAC: owner,
		Last:     l.last,
		FirstKey: firstKey,
		SignedBy: func(by string) (ed25519.PublicKey, bool) {
			switch by {
			case Owner:
				return l.owner.Public().(ed25519.PublicKey), true
			case "agt_1":
				return l.other.Public().(ed25519.PublicKey), true
			}
			return nil, false
		},
	}
	return v.Verify(func(yield func(k, v []byte) bool) {
		for i, k := range l.keys {
			if !yield(k, l.values[i]) {
				return
			}
		}
	})
}

func TestChain(t *testing.T) {
	l := newLog()
	l.add(t, Owner, l.owner, Event{Type: VaultCreated, Epoch: 1})
	l.add(t, Owner, l.owner, Event{Type: SecretCreated, ResourceID: "a/K"})
	l.add(t, "agt_1", l.other, Event{Type: SecretRead, ResourceID: "a/K"})
	l.add(t, Owner, l.owner, Event{Type: VaultRewritten, Epoch: 2})
	l.add(t, "agt_1", l.other, Event{Type: SecretRead, ResourceID: "a/K"})
	at, epoch, findings := l.verify()
	if len(findings) > 0 || at != l.at || epoch != 2 {
		t.Fatalf("%v, epoch %d, at entry %d", findings, epoch, at.Seq)
	}
	if at.Differs(l.at) != "" {
		t.Error(at.Differs(l.at))
	}
	behind := at
	behind.Seq++
	if behind.Differs(at) == "" || at.Differs(behind) == "" {
		t.Error("a log that is longer or shorter than its head does not differ")
	}
	behind = at
	behind.LastMAC[0] ^= 1
	if at.Differs(behind) == "" {
		t.Error("another last entry does not differ")
	}
}

// An entry must be signed by its named author, and only the owner can begin an epoch.
func TestSigners(t *testing.T) {
	for name, add := range map[string]func(*log){
		"an agent signs as the owner":   func(l *log) { l.add(t, Owner, l.other, Event{Type: SecretRead}) },
		"the owner signs as an agent":   func(l *log) { l.add(t, "agt_1", l.owner, Event{Type: SecretRead}) },
		"somebody unknown signs":        func(l *log) { l.add(t, "agt_9", l.other, Event{Type: SecretRead}) },
		"an agent begins an epoch":      func(l *log) { l.add(t, "agt_1", l.other, Event{Type: VaultRewritten, Epoch: 2}) },
		"an epoch is passed over":       func(l *log) { l.add(t, Owner, l.owner, Event{Type: VaultRewritten, Epoch: 3}) },
		"an epoch begins a second time": func(l *log) { l.add(t, Owner, l.owner, Event{Type: VaultRewritten, Epoch: 1}) },
		"the body names another actor": func(l *log) {
			body, _ := Event{Type: SecretRead, ActorID: "agt_1"}.Encode()
			var k, v []byte
			k, v, l.at = l.at.Append(l.place(l.owner), Owner, l.owner, body)
			l.keys, l.values = append(l.keys, k), append(l.values, v)
		},
	} {
		for format := 1; format <= 2; format++ {
			l := newLog()
			l.format = format
			l.add(t, Owner, l.owner, Event{Type: VaultCreated, Epoch: 1})
			add(l)
			for _, own := range []func(uint32) [32]byte{nil, ownerKey} {
				if _, _, findings := l.verifyWith(own); len(findings) != 1 || findings[0].Seq != 2 {
					t.Errorf("%s: found %v, with the owner's key: %t, format %d", name, findings, own != nil, format)
				}
			}
		}
	}
	l := newLog()
	l.add(t, Owner, l.owner, Event{Type: SecretRead})
	if _, _, findings := l.verify(); len(findings) == 0 {
		t.Error("a log that begins without an epoch is accepted")
	}
}

// Verify finds one altered byte, wherever it is, and reports its entry first. Later entries
// are not blamed, unless the byte is in the MAC that they are chained to.
func TestEveryByteCounts(t *testing.T) {
	for format := 1; format <= 2; format++ {
		l := newLog()
		l.format = format
		l.add(t, Owner, l.owner, Event{Type: VaultCreated, Epoch: 1})
		l.add(t, Owner, l.owner, Event{Type: SecretRead})
		l.add(t, "agt_1", l.other, Event{Type: SecretRead})
		l.add(t, Owner, l.owner, Event{Type: SecretRead})
		l.everyByteCounts(t)
	}
}

func (l *log) everyByteCounts(t *testing.T) {
	for n := range l.values {
		whole := l.values[n]
		for i := range whole {
			l.values[n] = bytes.Clone(whole)
			l.values[n][i] ^= 0x20
			at, _, findings := l.verify()
			if len(findings) == 0 || findings[0].Seq != uint64(n+1) {
				t.Fatalf("byte %d of entry %d: found %v, at %d", i, n+1, findings, at.Seq)
			}
		}
		l.values[n] = whole
	}
}

func TestForwardSecurity(t *testing.T) {
	// A thief who has the position after an entry cannot make that entry again.
	l := newLog()
	l.add(t, Owner, l.owner, Event{Type: VaultCreated, Epoch: 1})
	before := l.at
	l.add(t, Owner, l.owner, Event{Type: SecretRead, ResourceID: "a/K"})
	// everything but the earlier key, which is gone
	thief := Position{Seq: before.Seq, LastMAC: before.LastMAC, Key: l.at.Key}
	body, _ := Event{Type: SecretRead, ResourceID: "a/OTHER", ActorID: Owner}.Encode()
	_, l.values[1], _ = thief.Append(l.place(l.owner), Owner, l.owner, body)
	if _, _, findings := l.verify(); len(findings) == 0 {
		t.Error("an entry was made again with the next key")
	}
}

// An entry that parses encodes to the same bytes, and nothing panics.
func FuzzEntry(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	for format := 1; format <= 2; format++ {
		k := ownerKey(1)
		_, v, _ := Position{}.Append(Place{Epoch: 1, Format: format, OwnerMAC: &k}, Owner, key, []byte(`{"epoch":1}`))
		f.Add(v)
	}
	f.Add([]byte{})
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := Parse(b)
		if err != nil {
			return
		}
		if !bytes.Equal(e.encode(), b) {
			t.Errorf("%x is written back as %x", b, e.encode())
		}
		_, _ = e.Event()
		verifier := Verifier{FirstKey: firstKey, SignedBy: func(string) (ed25519.PublicKey, bool) { return nil, false }}
		if _, _, findings := verifier.Verify(func(yield func(k, v []byte) bool) { yield(Key(1), b) }); len(findings) == 0 {
			t.Error("an entry that nobody signed is accepted")
		}
	})
}

// The key after a key is what the library derives.
func TestNextKey(t *testing.T) {
	k := [32]byte{1, 2, 3}
	for range 100 {
		want, err := hkdf.Key(sha256.New, k[:], nil, string(lp(nil, []byte("ass/1 audit next"))), 32)
		if k = NextKey(k); err != nil || k != [32]byte(want) {
			t.Fatalf("%x, want %x, %v", k, want, err)
		}
	}
	if n := testing.AllocsPerRun(10, func() { k = NextKey(k) }); n > 0 {
		t.Errorf("it makes garbage %v times", n)
	}
}
