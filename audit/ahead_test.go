package audit

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudflare/circl/sign/ed25519"
)

// Whatever is in a log, reading ahead changes nothing of what a walk finds, in whatever runs the log is read.
func TestReadAheadChangesNothing(t *testing.T) {
	whole, damaged := 0, 0
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 7))
		l := randomLog(t, random)
		for range random.IntN(4) {
			l.damage(t, random)
		}
		owner := ownerKey
		if random.IntN(4) == 0 {
			owner = nil
		}
		want := l.told(t, owner, 1000)
		for _, n := range []int{1, 2, 3, 7, 30} {
			if got := l.told(t, owner, n); got != want {
				t.Fatalf("seed %d: in runs of %d entries:\n%s\none by one:\n%s", seed, n, got, want)
			}
		}
		if strings.Contains(want, "found") {
			damaged++
		} else {
			whole++
		}
	}
	if whole < 5 || damaged < 20 {
		t.Errorf("%d logs were whole and %d damaged: were both tried?", whole, damaged)
	}
}

// randomLog makes a log as honest programs make one.
func randomLog(t *testing.T, random *rand.Rand) *log {
	l := newLog()
	l.format = 1 + random.IntN(2)
	epoch, agent := uint32(1), false
	l.add(t, Owner, l.owner, Event{Type: VaultCreated, Epoch: epoch})
	for range 20 + random.IntN(60) {
		switch random.IntN(12) {
		case 0:
			epoch++
			l.format = 2
			l.add(t, Owner, l.owner, Event{Type: VaultRewritten, Epoch: epoch})
		case 1:
			agent = !agent
			l.add(t, Owner, l.owner, Event{Type: map[bool]string{true: AgentCreated, false: AgentRevoked}[agent], ResourceID: "agt_1"})
		case 2, 3, 4, 5:
			if agent {
				l.add(t, "agt_1", l.other, Event{Type: SecretRead, ResourceID: "a/K"})
			}
		default:
			l.add(t, Owner, l.owner, Event{Type: SecretRead, ResourceID: "a/K"})
		}
	}
	return l
}

// damage does something to a log that somebody could do who writes to the file, some of it with keys of the epoch.
func (l *log) damage(t *testing.T, random *rand.Rand) {
	i := random.IntN(len(l.keys))
	value := bytes.Clone(l.values[i])
	switch random.IntN(11) {
	case 0:
		value[random.IntN(len(value))] ^= 1 << random.IntN(8)
	case 1:
		l.keys, l.values = slices.Delete(l.keys, i, i+1), slices.Delete(l.values, i, i+1)
		return
	case 2:
		n := min(i+1+random.IntN(10), len(l.keys))
		l.keys, l.values = slices.Delete(l.keys, i, n), slices.Delete(l.values, i, n)
		return
	case 3:
		l.keys, l.values = slices.Insert(l.keys, i, l.keys[i]), slices.Insert(l.values, i, value)
		return
	case 4:
		l.keys, l.values = slices.Insert(l.keys, i, []byte{1}), slices.Insert(l.values, i, []byte("x"))
		return
	case 5:
		value = value[random.IntN(len(value)):]
	case 6:
		value = l.values[random.IntN(len(l.values))]
	case 7: // larger than what is read ahead
		value = append(bytes.Repeat(value, maxRunBytes/len(value)+1), value...)
	case 8: // another end, signed by the agent and chained
		l.add(t, "agt_1", l.other, Event{Type: SecretRead, Epoch: uint32(random.IntN(4))})
		l.add(t, Owner, l.other, Event{Type: SecretRead, Epoch: uint32(random.IntN(9))})
		return
	case 9: // says that it begins an epoch
		e, err := Parse(value)
		if err != nil {
			return
		}
		e.By = Owner
		if e.Body, err = (Event{Type: VaultRewritten, ActorID: Owner, Epoch: 2 + uint32(random.IntN(3))}).Encode(); err != nil {
			t.Fatal(err)
		}
		value = e.encode()
	default: // a wrong key for what follows
		l.at.Key[0] ^= 1
		l.add(t, Owner, l.owner, Event{Type: SecretRead})
		l.add(t, "agt_1", l.other, Event{Type: SecretRead})
		return
	}
	l.values[i] = value
}

// told verifies a log in runs of n entries, and returns everything that the walk tells.
func (l *log) told(t *testing.T, owner func(uint32) [32]byte, n int) string {
	defer func(was int) { runEntries = was }(runEntries)
	runEntries = n
	var b strings.Builder
	agent := false
	v := Verifier{
		OwnerMAC: owner, FirstKey: firstKey,
		SignedBy: func(by string) (ed25519.PublicKey, bool) {
			if by == Owner {
				return l.owner.Public().(ed25519.PublicKey), true
			}
			return l.other.Public().(ed25519.PublicKey), agent && by == "agt_1"
		},
		Visit: func(seq uint64, by string, ev Event, checked bool) {
			fmt.Fprintln(&b, seq, by, ev.Type, ev.Epoch, checked)
			if ev.Type == AgentCreated || ev.Type == AgentRevoked {
				agent = ev.Type == AgentCreated
			}
		},
	}
	at, epoch, findings := v.Verify(l.each)
	for _, f := range findings {
		fmt.Fprintln(&b, "found", f, f.Signed)
	}
	fmt.Fprintln(&b, at, epoch)
	return b.String()
}

func (l *log) each(yield func(k, v []byte) bool) {
	for i, k := range l.keys {
		if !yield(k, l.values[i]) {
			return
		}
	}
}

// If reading the log or visiting an entry panics, or a worker does, the caller gets the panic, and nobody is left at
// work.
func TestPanicsOfAWalk(t *testing.T) {
	defer func(was int) { runEntries = was }(runEntries)
	runEntries = 2
	l := newLog()
	l.add(t, Owner, l.owner, Event{Type: VaultCreated, Epoch: 1})
	for range 100 {
		l.add(t, "agt_1", l.other, Event{Type: SecretRead})
	}
	pub := func(by string) (ed25519.PublicKey, bool) {
		return map[string]ed25519.PrivateKey{Owner: l.owner, "agt_1": l.other}[by].Public().(ed25519.PublicKey), true
	}
	before := runtime.NumGoroutine()
	for what, do := range map[string]func(){
		"visit": func() {
			v := Verifier{FirstKey: firstKey, SignedBy: pub, Visit: func(seq uint64, _ string, _ Event, _ bool) {
				if seq == 20 {
					panic("visit")
				}
			}}
			v.Verify(l.each)
		},
		"read": func() {
			v := Verifier{FirstKey: firstKey, SignedBy: pub}
			v.Verify(func(yield func(k, v []byte) bool) {
				for i, k := range l.keys {
					if i == 50 {
						panic("read")
					}
					yield(k, l.values[i])
				}
			})
		},
		"work": func() {
			var r reader
			defer r.stop()
			done := make(chan any, 1)
			r.start(done, func() { panic("work") })
			wait(done)
		},
	} {
		func() {
			defer func() {
				if p := recover(); p != what {
					t.Errorf("%s: the panic is %v", what, p)
				}
			}()
			do()
			t.Errorf("%s: no panic", what)
		}()
	}
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines are left, after %d", runtime.NumGoroutine(), before)
		}
	}
}
