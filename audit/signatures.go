package audit

import (
	"fmt"
	"runtime"
	"strings"
	"sync"

	"github.com/cloudflare/circl/sign/ed25519"
)

// A signature takes longer to verify than everything else that a walk does with an
// entry, so all cores verify while the walk goes on. What comes of it is the same as
// one by one: findings and visits are in the order of the entries, and where an entry
// may change who can sign the next, the walk waits for it.

// claim is an entry of which all but the signature has been looked at. Its bytes are
// copies: those of the log are for the goroutine that walks it alone.
type claim struct {
	seq       uint64
	by        string
	ev        Event
	pub       ed25519.PublicKey
	signed    []byte
	sig       []byte
	otherwise string // what does not hold, if the signature does; "" for nothing

	holds bool
	done  *sync.WaitGroup
}

// batch is claims that lie beside each other in the log.
type batch struct {
	claims []claim
	bytes  int
	done   sync.WaitGroup
}

// The limits of a batch. There are two: one is filled while the other is verified.
const (
	batchClaims = 256
	batchBytes  = 1 << 20
)

type signatures struct {
	jobs         chan *claim
	filled, next *batch
	unsure       bool // a claim that is open may change who can sign
}

func (s *signatures) start(own ed25519.PrivateKey) {
	s.jobs = make(chan *claim, 2*batchClaims)
	s.filled, s.next = &batch{claims: make([]claim, 0, batchClaims)}, &batch{claims: make([]claim, 0, batchClaims)}
	for range runtime.GOMAXPROCS(0) {
		go func() {
			for c := range s.jobs {
				c.holds = c.by == Owner && Made(own, c.signed, c.sig) || ed25519.Verify(c.pub, c.signed, c.sig)
				c.done.Done()
			}
		}()
	}
}

func (s *signatures) stop() { close(s.jobs) }

// claim has the signature of the entry that is looked at verified.
func (w *walk) claim(c claim, sig []byte) {
	b := w.next
	b.claims = b.claims[:len(b.claims)+1]
	at := &b.claims[len(b.claims)-1]
	c.signed, w.signed = w.signed, at.signed // which is not needed any more
	c.sig = append(at.sig[:0], sig...)
	c.done = &b.done
	*at = c
	b.done.Add(1)
	w.jobs <- at
	w.unsure = w.unsure || c.ev.changesActors()
	if b.bytes += len(c.signed); len(b.claims) == batchClaims || b.bytes > batchBytes {
		w.settleBatch(w.filled)
		w.filled, w.next = b, w.filled
	}
}

// changesActors reports whether an event may tell who can sign what comes next.
func (e Event) changesActors() bool {
	return strings.HasPrefix(e.Type, "agent.") || strings.HasPrefix(e.Type, "token.")
}

// settle waits for every claim that is open.
func (w *walk) settle() {
	w.settleBatch(w.filled)
	w.settleBatch(w.next)
	w.unsure = false
}

func (w *walk) settleBatch(b *batch) {
	b.done.Wait()
	for _, c := range b.claims {
		if !c.holds {
			c.otherwise = fmt.Sprintf("it is not signed by %q, whose name it bears", c.by)
		}
		switch {
		case c.otherwise != "":
			w.findings = append(w.findings, Finding{Seq: c.seq, Problem: c.otherwise})
		case w.Visit != nil:
			w.Visit(c.seq, c.by, c.ev, true)
		}
	}
	b.claims, b.bytes = b.claims[:0], 0
}
