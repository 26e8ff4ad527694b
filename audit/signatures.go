package audit

import (
	"fmt"
	"strings"

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
	open  bool // whether a worker decides that, and tells done
}

// batch is a run of claims that are adjacent in the log.
type batch struct {
	claims []claim
	bytes  int
	done   chan any
}

// The limits of a batch. There are two batches: one fills while the other is verified.
const (
	batchClaims = 256
	batchBytes  = 1 << 20
)

type signatures struct {
	filled, fresh batch
	unsure        bool // an open claim may change who can sign
}

// claim settles the claim of the current entry, or hands it to the workers.
func (w *walk) claim(c claim, a *ahead, epoch uint32) {
	known := a.owner != nil && a.isAt(epoch, w.at.LastMAC)
	if c.holds = known && a.byOwner; known && len(w.filled.claims)+len(w.fresh.claims) == 0 {
		w.settled(c)
		return
	}
	b := &w.fresh
	if b.claims == nil {
		b.claims, b.done = make([]claim, 0, batchClaims), make(chan any, batchClaims)
	}
	b.claims = b.claims[:len(b.claims)+1]
	at := &b.claims[len(b.claims)-1]
	c.message = at.message[:0] // these reuse the buffers of an old claim
	c.Sig, c.OMAC = append(at.Sig[:0], c.Sig...), append(at.OMAC[:0], c.OMAC...)
	if c.open = !known; c.open {
		c.message = c.appendSigned(c.message, Place{Vault: w.Vault, Epoch: epoch}, c.seq, w.at.LastMAC)
	}
	c.Body = nil // it is in the message
	if *at = c; c.open {
		w.start(b.done, func() { at.holds = at.signatureHolds(at.pub, at.owner, at.message) })
	}
	w.unsure = w.unsure || c.ev.changesActors()
	if b.bytes += len(c.message); len(b.claims) == batchClaims || b.bytes > batchBytes {
		w.settleBatch(&w.filled)
		w.filled, w.fresh = w.fresh, w.filled
	}
}

// changesActors reports whether an event may change who can sign later entries.
func (e Event) changesActors() bool {
	return strings.HasPrefix(e.Type, "agent.") || strings.HasPrefix(e.Type, "token.")
}

// settle waits for every open claim, and reports the results.
func (w *walk) settle() {
	w.settleBatch(&w.filled)
	w.settleBatch(&w.fresh)
	w.unsure = false
}

func (w *walk) settleBatch(b *batch) {
	for i := range b.claims {
		if b.claims[i].open {
			wait(b.done)
		}
	}
	for _, c := range b.claims {
		w.settled(c)
	}
	b.claims, b.bytes = b.claims[:0], 0
}

// settled reports the result of a claim.
func (w *walk) settled(c claim) {
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
