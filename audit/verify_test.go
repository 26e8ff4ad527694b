package audit

import (
	"bytes"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudflare/circl/sign/ed25519"
)

// A missing or altered entry is named, with the one behind it if that cannot be checked, and the
// check goes on after it, also in the next epoch. The log of each case has ten entries; the seventh
// begins epoch 2.
func TestFindings(t *testing.T) {
	remove := func(seqs ...int) func(*log) {
		return func(l *log) {
			for _, seq := range slices.Backward(seqs) {
				l.keys, l.values = slices.Delete(l.keys, seq-1, seq), slices.Delete(l.values, seq-1, seq)
			}
		}
	}
	const (
		unchecked = "it cannot be checked, because the entry before it is missing"
		altered   = "MAC mismatch: it was modified, moved, or written without the key"
		odd       = "a record with an invalid key lies before it or after the last entry"
	)
	for name, c := range map[string]struct {
		change func(*log)
		want   []string
	}{
		"nothing":              {func(*log) {}, nil},
		"one is missing":       {remove(3), []string{"3: missing", "4: " + unchecked}},
		"several are missing":  {remove(3, 4, 5), []string{"3 to 5: missing", "6: " + unchecked}},
		"two gaps":             {remove(3, 5), []string{"3: missing", "4: " + unchecked, "5: missing", "6: " + unchecked}},
		"the first is missing": {remove(1), []string{"1: missing", "2: " + unchecked}},
		"the one that begins an epoch is missing": {remove(7), []string{"7: missing", "8: " + unchecked}},
		"the ones around an epoch are missing":    {remove(6, 7, 8), []string{"6 to 8: missing", "9: " + unchecked}},
		"the one behind a gap begins an epoch":    {remove(6), []string{"6: missing", "7: " + unchecked}},
		"a value that is none": {func(l *log) { l.values[2] = []byte("x") },
			[]string{"3: not an audit entry", "4: " + altered}},
		"a value that is none, but for its MAC": {func(l *log) { l.values[2] = l.values[2][4:] },
			[]string{"3: not an audit entry"}},
		"an altered body": {func(l *log) { l.values[2][20] ^= 1 }, []string{"3: " + altered}},
		"an altered body of one that begins an epoch": {func(l *log) { l.values[6][20] ^= 1 }, []string{"7: " + altered}},
		"two altered ones": {func(l *log) { l.values[6][20] ^= 1; l.values[7][20] ^= 1 },
			[]string{"7: " + altered, "8: " + altered}},
		"a key that is none": {func(l *log) {
			l.keys, l.values = append([][]byte{{1}}, l.keys...), append([][]byte{{1}}, l.values...)
		}, []string{"1: " + odd}},
		"a key twice": {func(l *log) {
			l.keys, l.values = slices.Insert(l.keys, 5, l.keys[4]), slices.Insert(l.values, 5, l.values[4])
		}, []string{"6: " + odd}},
		"a key behind the last": {func(l *log) {
			l.keys, l.values, l.last = append(l.keys, Key(11)), append(l.values, l.values[0]), 10
		}, []string{"11: " + odd}},
		"no key behind the last": {func(l *log) { l.last = 10 }, nil},
		"a key far behind": {func(l *log) {
			l.keys, l.values = append(l.keys, Key(1<<40)), append(l.values, l.values[0])
		}, []string{"11: " + odd}},
	} {
		l := newLog()
		for i := range 10 {
			switch i {
			case 0:
				l.add(t, Owner, l.owner, Event{Type: VaultCreated, Epoch: 1})
			case 6:
				l.add(t, Owner, l.owner, Event{Type: VaultRewritten, Epoch: 2})
			default:
				l.add(t, "agt_1", l.other, Event{Type: SecretRead})
			}
		}
		c.change(l)
		at, epoch, findings := l.verify()
		var got []string
		for _, f := range findings {
			text, _, _ := strings.Cut(f.String(), "; its bytes say")
			got = append(got, strings.TrimPrefix(strings.TrimPrefix(text, "audit entry "), "audit entries "))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: found %q, want %q", name, got, c.want)
		}
		if at.Differs(l.at) != "" || epoch != 2 {
			t.Errorf("%s: the log ends in epoch %d, and %s", name, epoch, at.Differs(l.at))
		}
	}
}

// A finding tells what the bytes of an entry say, and cuts what somebody made too long.
func TestWhatAnAlteredEntrySays(t *testing.T) {
	long := strings.Repeat("x", 1000)
	for name, of := range map[string]string{"a path": "a/K", "nothing": "", "a long name": long} {
		l := newLog()
		l.add(t, Owner, l.owner, Event{Type: VaultCreated, Epoch: 1})
		l.add(t, Owner, l.owner, Event{Type: SecretRead, ResourceID: of})
		l.add(t, Owner, l.owner, Event{Type: SecretRead})
		l.values[1] = bytes.Replace(l.values[1], []byte("secret.read"), []byte("secret.rEad"), 1)
		_, _, findings := l.verify()
		want := `; its bytes say "secret.rEad"`
		if of != "" {
			want += ` of "` + of[:min(len(of), 100)]
		}
		if len(findings) != 1 || !strings.Contains(findings[0].Problem, want) || len(findings[0].Problem) > 400 {
			t.Errorf("%s: %v", name, findings)
		}
	}
}

// An entry that changes who may sign counts before the next one is looked at.
func TestActorsInOrder(t *testing.T) {
	l := newLog()
	l.add(t, Owner, l.owner, Event{Type: VaultCreated, Epoch: 1})
	l.add(t, Owner, l.owner, Event{Type: AgentCreated, ResourceID: "agt_1"})
	l.add(t, "agt_1", l.other, Event{Type: TokenIssued, ResourceID: "t1"})
	l.add(t, "t1", l.other, Event{Type: SecretRead})
	l.add(t, Owner, l.owner, Event{Type: TokenRevoked, ResourceID: "t1"})
	l.add(t, "t1", l.other, Event{Type: SecretRead})
	actors := map[string]ed25519.PublicKey{Owner: l.owner.Public().(ed25519.PublicKey)}
	v := Verifier{
		FirstKey: firstKey,
		SignedBy: func(by string) (ed25519.PublicKey, bool) { pub, ok := actors[by]; return pub, ok },
		Visit: func(_ uint64, _ string, ev Event, _ bool) {
			switch ev.Type {
			case AgentCreated, TokenIssued:
				actors[ev.ResourceID] = l.other.Public().(ed25519.PublicKey)
			case TokenRevoked:
				delete(actors, ev.ResourceID)
			}
		},
	}
	_, _, findings := v.Verify(func(yield func(k, v []byte) bool) {
		for i, k := range l.keys {
			if !yield(k, l.values[i]) {
				return
			}
		}
	})
	if len(findings) != 1 || findings[0].String() != `audit entry 6: its author "t1" is unknown` {
		t.Errorf("found %v", findings)
	}
}

// A verification leaves none of its goroutines behind.
func TestVerifyEndsWhatItStarts(t *testing.T) {
	l := newLog()
	l.add(t, Owner, l.owner, Event{Type: VaultCreated, Epoch: 1})
	before := runtime.NumGoroutine()
	for range 100 {
		l.verify()
	}
	for range 100 {
		if runtime.NumGoroutine() < before+50 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines are left, after %d", runtime.NumGoroutine(), before)
}

// Findings come in the order of the entries, although signatures are checked aside.
func TestFindingsInOrder(t *testing.T) {
	l := newLog()
	l.add(t, Owner, l.owner, Event{Type: VaultCreated, Epoch: 1})
	l.add(t, "agt_1", l.owner, Event{Type: SecretRead})
	l.add(t, "agt_1", l.other, Event{Type: SecretRead})
	l.values[2][20] ^= 1
	l.add(t, "agt_1", l.owner, Event{Type: SecretRead})
	_, _, findings := l.verify()
	var seqs []uint64
	for _, f := range findings {
		seqs = append(seqs, f.Seq)
	}
	if !slices.Equal(seqs, []uint64{2, 3, 4}) {
		t.Errorf("found %v", findings)
	}
}

// The MAC of an entry covers what its actor signed, and the signature.
func TestMACCovers(t *testing.T) {
	e := Entry{Sig: []byte("sig")}
	mac, key := e.mac([32]byte{1}, []byte("entry")), [32]byte{1}
	for what, other := range map[string][MACSize]byte{
		"another key":       e.mac([32]byte{2}, []byte("entry")),
		"another entry":     e.mac(key, []byte("entrY")),
		"another signature": Entry{Sig: []byte("siG")}.mac(key, []byte("entry")),
	} {
		if other == mac {
			t.Errorf("the MAC is the same for %s", what)
		}
	}
}
