package audit

import (
	"fmt"
	"runtime"
	"strings"
	"sync"

	"github.com/cloudflare/circl/sign/ed25519"
)

// Verifying the signature of an entry takes longer than everything else that a walk does
// with the entry, so all cores verify while the walk goes on. The result is the same as
// one by one: findings and visits are in the order of the entries, and if an entry may
// change who can sign the next one, the walk waits for it.

// claim is an entry that was checked except for its signature. Its bytes are copies,
// because only the goroutine that walks the log may use the log's own bytes.
type claim struct {
	Entry
	seq       uint64
	ev        Event
	pub       ed25519.PublicKey
	owner     *[32]byte // the key of the owner's MACs; nil if it is not available
	message   []byte
	otherwise string // the problem, if the signature is valid; "" if there is none

	holds bool
	done  *sync.WaitGroup
}

// batch is a run of claims that are adjacent in the log.
type batch struct {
	claims []claim
	bytes  int
	done   sync.WaitGroup
}

// The limits of a batch. There are two batches: one fills while the other is verified.
const (
	batchClaims = 256
	batchBytes  = 1 << 20
)

type signatures struct {
	jobs         chan *claim
	filled, next *batch
	unsure       bool // an open claim may change who can sign
}

func (s *signatures) start() {
	s.jobs = make(chan *claim, 2*batchClaims)
	s.filled, s.next = &batch{claims: make([]claim, 0, batchClaims)}, &batch{claims: make([]claim, 0, batchClaims)}
	for range runtime.GOMAXPROCS(0) {
		go func() {
			for c := range s.jobs {
				c.holds = c.signatureHolds(c.pub, c.owner, c.message)
				c.done.Done()
			}
		}()
	}
}

func (s *signatures) stop() { close(s.jobs) }

// claim hands the current entry to the goroutines that verify signatures.
func (w *walk) claim(c claim) {
	b := w.next
	b.claims = b.claims[:len(b.claims)+1]
	at := &b.claims[len(b.claims)-1]
	c.message, w.scratch = w.scratch, at.message // reuses the buffer of an old claim
	c.Sig, c.OMAC = append(at.Sig[:0], c.Sig...), append(at.OMAC[:0], c.OMAC...)
	c.Body = nil // it is in the message
	c.done = &b.done
	*at = c
	b.done.Add(1)
	w.jobs <- at
	w.unsure = w.unsure || c.ev.changesActors()
	if b.bytes += len(c.message); len(b.claims) == batchClaims || b.bytes > batchBytes {
		w.settleBatch(w.filled)
		w.filled, w.next = b, w.filled
	}
}

// changesActors reports whether an event may change who can sign later entries.
func (e Event) changesActors() bool {
	return strings.HasPrefix(e.Type, "agent.") || strings.HasPrefix(e.Type, "token.")
}

// settle waits for every open claim, and reports the results.
func (w *walk) settle() {
	w.settleBatch(w.filled)
	w.settleBatch(w.next)
	w.unsure = false
}

func (w *walk) settleBatch(b *batch) {
	b.done.Wait()
	for _, c := range b.claims {
		if !c.holds {
			c.otherwise = fmt.Sprintf("invalid signature for author %q", Short(c.By)) + saying(c.ev, nil)
		}
		switch {
		case c.otherwise != "":
			w.findings = append(w.findings, Finding{Seq: c.seq, Problem: c.otherwise})
		case w.Visit != nil:
			w.Visit(c.seq, c.By, c.ev, true)
		}
	}
	b.claims, b.bytes = b.claims[:0], 0
}
