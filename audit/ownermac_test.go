package audit

import (
	"bytes"
	"testing"

	"github.com/cloudflare/circl/sign/ed25519"
)

// ownersOn returns the owner's MAC of an epoch on an entry.
func ownersOn(epoch uint32, signed []byte, e *Entry) []byte {
	mac := ownerMAC(ownerKey(epoch), signed, e.Sig)
	return mac[:]
}

// The owner's entries of format 2 carry the owner's MAC, and nobody else's do. A member of the epoch who has the
// key of an entry can change the entry and its MAC, but not the owner's.
func TestTheOwnersMACOfAnEntry(t *testing.T) {
	for name, x := range map[string]struct {
		seq       int
		change    func(l *log, e *Entry)
		found     bool // with the key of the owner's MACs
		foundElse bool // without, as an agent checks it
	}{
		"as it is":                        {2, func(*log, *Entry) {}, false, false},
		"stripped":                        {2, func(_ *log, e *Entry) { e.OMAC = nil }, true, true},
		"cut":                             {2, func(_ *log, e *Entry) { e.OMAC = e.OMAC[:31] }, true, true},
		"longer":                          {2, func(_ *log, e *Entry) { e.OMAC = append(bytes.Clone(e.OMAC), 0) }, true, true},
		"another":                         {2, func(_ *log, e *Entry) { e.OMAC = make([]byte, MACSize) }, true, false},
		"of another entry":                {2, func(l *log, e *Entry) { e.OMAC = l.entry(t, 1).OMAC }, true, false},
		"of another epoch":                {2, func(l *log, e *Entry) { e.OMAC = ownersOn(2, l.signed(t, 2), e) }, true, false},
		"kept, and the signature swapped": {2, func(l *log, e *Entry) { e.Sig = l.entry(t, 1).Sig }, true, true},
		"kept, and signed by an agent":    {2, func(l *log, e *Entry) { e.Sig = ed25519.Sign(l.other, l.signed(t, 2)) }, true, true},
		"kept, and no signature":          {2, func(_ *log, e *Entry) { e.Sig = nil }, true, true},
		"on an agent's entry":             {3, func(_ *log, e *Entry) { e.OMAC = make([]byte, MACSize) }, true, true},
		"a few bytes on an agent's entry": {3, func(_ *log, e *Entry) { e.OMAC = []byte{0} }, true, true},
		"the owner's on an agent's entry": {3, func(l *log, e *Entry) { e.OMAC = ownersOn(1, l.signed(t, 3), e) }, true, true},
		"an entry of format 1": {2, func(l *log, e *Entry) {
			e.Format, e.OMAC = 1, nil
			e.Sig = ed25519.Sign(l.owner, e.signedBytes(l.place(l.owner), 2, l.entry(t, 1).MAC))
		}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLog()
			l.add(t, Owner, l.owner, Event{Type: VaultCreated, Epoch: 1})
			l.add(t, Owner, l.owner, Event{Type: SecretCreated, ResourceID: "a/K"})
			l.add(t, "agt_1", l.other, Event{Type: SecretRead, ResourceID: "a/K"})
			e := l.entry(t, x.seq)
			x.change(l, &e)
			prev := l.entry(t, x.seq-1).MAC
			e.MAC = e.mac(l.keyOf(x.seq), e.signedBytes(l.place(l.owner), uint64(x.seq), prev))
			l.keys, l.values = l.keys[:x.seq], l.values[:x.seq] // it is the last entry
			l.values[x.seq-1] = e.encode()
			for own, want := range map[bool]bool{true: x.found, false: x.foundElse} {
				key := ownerKey
				if !own {
					key = nil
				}
				_, _, findings := l.verifyWith(key)
				if (len(findings) > 0) != want || want && findings[0].Seq != uint64(x.seq) {
					t.Errorf("with the owner's key: %t: found %v", own, findings)
				}
				pub, at := l.owner.Public().(ed25519.PublicKey), l.place(l.owner)
				if e.By != Owner {
					pub = l.other.Public().(ed25519.PublicKey)
				}
				if !own {
					at.OwnerMAC = nil
				}
				if e.IsSignedBy(pub, at, uint64(x.seq), prev) == want {
					t.Errorf("with the owner's key: %t: it is signed: %v", own, !want)
				}
			}
		})
	}
}

// A log of format 1 goes on in format 2, and from there on nobody writes entries of format 1.
func TestALogGoesOnInFormat2(t *testing.T) {
	l := newLog()
	l.format = 1
	l.add(t, Owner, l.owner, Event{Type: VaultCreated, Epoch: 1})
	l.add(t, "agt_1", l.other, Event{Type: SecretRead, ResourceID: "a/K"})
	l.format = 2
	l.add(t, Owner, l.owner, Event{Type: VaultRewritten, Epoch: 2})
	l.add(t, "agt_1", l.other, Event{Type: SecretRead, ResourceID: "a/K"})
	l.add(t, Owner, l.owner, Event{Type: SecretRead, ResourceID: "a/K"})
	at, epoch, findings := l.verify()
	if len(findings) > 0 || at != l.at || epoch != 2 {
		t.Fatalf("%v, epoch %d, at entry %d", findings, epoch, at.Seq)
	}
	for seq, format := range []int{1, 1, 2, 2, 2} {
		if e := l.entry(t, seq+1); e.Format != format || (len(e.OMAC) > 0) != (format == 2 && e.By == Owner) {
			t.Errorf("entry %d is of format %d, with the owner's MAC %x", seq+1, e.Format, e.OMAC)
		}
	}
	l.everyByteCounts(t)
	for _, by := range []string{Owner, "agt_1"} { // each with its own key, and that of the entry
		sign := map[string]ed25519.PrivateKey{Owner: l.owner, "agt_1": l.other}[by]
		keys, values, before := l.keys, l.values, l.at
		l.format = 1
		l.add(t, by, sign, Event{Type: SecretRead, ResourceID: "a/K"})
		if _, _, findings := l.verify(); len(findings) != 1 || findings[0].Seq != 6 {
			t.Errorf("an entry of format 1 by %s: found %v", by, findings)
		}
		l.keys, l.values, l.at = keys, values, before
	}
}

func (l *log) entry(t *testing.T, seq int) Entry {
	t.Helper()
	e, err := Parse(l.values[seq-1])
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// signed returns what the author of an entry of epoch 1 signs.
func (l *log) signed(t *testing.T, seq int) []byte {
	var prev [MACSize]byte
	if seq > 1 {
		prev = l.entry(t, seq-1).MAC
	}
	return l.entry(t, seq).signedBytes(l.place(l.owner), uint64(seq), prev)
}

// keyOf returns the key of an entry of epoch 1.
func (l *log) keyOf(seq int) [32]byte {
	k := firstKey(1, 1)
	for range seq - 1 {
		k = NextKey(k)
	}
	return k
}
