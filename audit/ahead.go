package audit

import (
	"crypto/hmac"
	"runtime"
	"sync"
)

// A log is a chain, so the walk decides entry by entry. But most of the work for an entry does not need the verdict on
// the entries before it. All cores do that work ahead of the walk, in two steps for a run of entries:
//
//  1. Workers take the entries apart and read their bodies.
//  2. The walk guesses under which keys they stand, as if each entry before them were valid, and workers compute the MACs.
//
// The walk then comes to each entry as if nobody had been there before. It takes over what was computed only if it
// comes with the same key, epoch and MAC before; otherwise it computes anew. So a guess costs time, and decides nothing.

// ahead is an entry on its way.
type ahead struct {
	seq   uint64
	value []byte // as stored

	read bool // whether the next fields are set
	Entry
	err   error // why the value is not an entry; then MAC is what stands in the place of one
	ev    Event
	evErr error // why the body is not an event

	guessed  bool // whether the next fields are set
	epoch    uint32
	prev     [MACSize]byte // the MAC of the entry before
	key      [32]byte
	next     [32]byte  // the key after key
	owner    *[32]byte // the key of the owner's MACs; nil if it is not available, or the entry is not the owner's
	macHolds bool
	byOwner  bool // whether the owner made the entry, if owner is not nil
}

// take takes an entry apart.
func (a *ahead) take() {
	if a.read {
		return
	}
	a.read = true
	if a.Entry, a.err = Parse(a.value); a.err == nil {
		a.ev, a.evErr = a.Event()
	} else if len(a.value) >= MACSize { // most likely, the MAC is still intact at the end
		a.MAC = [MACSize]byte(a.value[len(a.value)-MACSize:])
	}
}

// check computes what depends on the guess. It returns its buffer.
func (a *ahead) check(vault [16]byte, buf []byte) []byte {
	if !a.guessed || a.err != nil {
		return buf
	}
	signed := a.appendSigned(buf[:0], Place{Vault: vault, Epoch: a.epoch}, a.seq, a.prev)
	mac := a.mac(a.key, signed)
	a.macHolds = hmac.Equal(mac[:], a.MAC[:])
	a.byOwner = a.owner != nil && a.signatureHolds(nil, a.owner, signed)
	return signed
}

// isAt reports whether an entry was checked for this place.
func (a *ahead) isAt(epoch uint32, prev [MACSize]byte) bool {
	return a.guessed && a.epoch == epoch && a.prev == prev
}

// keyAfter returns the key after k.
func (a *ahead) keyAfter(k [32]byte) [32]byte {
	if a != nil && a.guessed && a.key == k {
		return a.next
	}
	return NextKey(k)
}

// The limits of a run of entries, and of the runs in each step. A larger entry waits for all before it, so that no log
// can make us keep many copies.
const maxRunBytes = 256 << 10

var runEntries = 128

func maxRuns() int { return min(runtime.GOMAXPROCS(0), 8) }

// run is a run of entries that are adjacent in the log. Its bytes are copies, because only the goroutine that walks the
// log may use the log's own bytes.
type run struct {
	entries []ahead
	bytes   []byte
	signed  []byte // buffer for the signed bytes of one of them
	after   state  // where the log stands behind them, if the guess is right
	done    chan any
}

// state is how far a walk is.
type state struct {
	at     Position
	epoch  uint32
	format int
}

// reader has runs of entries read ahead.
type reader struct {
	filling, spare *run
	reading        []*run // step 1, the oldest first
	checking       []*run // step 2
	owner          ownerKeys
	workers        sync.WaitGroup
	jobs           chan func() // nil as long as nobody works
}

// start begins a piece of work. done gets nil, or the panic of the worker.
func (r *reader) start(done chan<- any, work func()) {
	if r.jobs == nil {
		r.jobs = make(chan func(), 4*batchClaims)
		for range runtime.GOMAXPROCS(0) {
			r.workers.Go(func() {
				for work := range r.jobs {
					work()
				}
			})
		}
	}
	r.jobs <- func() {
		defer func() { done <- recover() }()
		work()
	}
}

// stop waits for the workers: they use keys that the caller may wipe afterwards.
func (r *reader) stop() {
	if r.jobs != nil {
		close(r.jobs)
		r.workers.Wait()
	}
}

func wait(done <-chan any) {
	if p := <-done; p != nil {
		panic(p)
	}
}

// add adds the next entry of the log.
func (w *walk) add(seq uint64, value []byte) {
	if len(value) > maxRunBytes {
		w.drain()
		w.next(&ahead{seq: seq, value: value})
		return
	}
	r := w.filling
	if r == nil {
		if r, w.spare = w.spare, nil; r == nil {
			r = &run{entries: make([]ahead, 0, runEntries), done: make(chan any, 1)}
		}
		w.filling = r
	}
	r.bytes = append(r.bytes, value...)
	r.entries = append(r.entries, ahead{seq: seq, value: r.bytes[len(r.bytes)-len(value):]})
	if len(r.entries) == runEntries || len(r.bytes) > maxRunBytes {
		w.read()
	}
}

// read begins to read the run that was filled, and goes on with those before it.
func (w *walk) read() {
	r := w.filling
	w.filling = nil
	w.reading = append(w.reading, r)
	w.start(r.done, func() {
		for i := range r.entries {
			r.entries[i].take()
		}
	})
	w.leave(maxRuns())
}

// leave goes on with the runs, until at most n are left in each step.
func (w *walk) leave(n int) {
	for len(w.reading) > n {
		r := w.reading[0]
		w.reading = w.reading[1:]
		wait(r.done)
		from := state{w.at, w.epoch, w.format}
		if last := len(w.checking) - 1; last >= 0 {
			from = w.checking[last].after
		}
		w.check(r, from)
		w.checking = append(w.checking, r)
		w.decide(n)
	}
	w.decide(n)
}

// decide walks over the entries of the oldest runs, until n runs are left.
func (w *walk) decide(n int) {
	for len(w.checking) > n {
		r := w.checking[0]
		w.checking = w.checking[1:]
		wait(r.done)
		for i := range r.entries {
			w.next(&r.entries[i])
		}
		if from := (state{w.at, w.epoch, w.format}); from != r.after {
			for _, other := range w.checking { // they were guessed from another place
				wait(other.done)
				w.check(other, from)
				from = other.after
			}
		}
		clear(r.entries)
		r.entries, r.bytes = r.entries[:0], r.bytes[:0]
		w.spare = r
	}
}

// drain walks over all entries that were added.
func (w *walk) drain() {
	if w.filling != nil && w.jobs == nil { // too few for others to help
		r := w.filling
		w.filling = nil
		for i := range r.entries {
			w.next(&r.entries[i])
		}
		return
	}
	if w.filling != nil {
		w.read()
	}
	w.leave(0)
}

// check guesses where the entries of a run stand, if the log stands at from before them, and begins to check them.
func (w *walk) check(r *run, from state) {
	at, epoch, format := from.at, from.epoch, from.format
	for i := range r.entries {
		a := &r.entries[i]
		if a.guessed = a.seq == at.Seq+1; !a.guessed {
			if a.seq > at.Seq { // entries are missing; how the log goes on, the walk will see
				for j := range r.entries[i:] {
					r.entries[i+j].guessed = false
				}
				at = Position{}
				break
			}
			continue
		}
		a.key, a.prev = at.Key, at.LastMAC
		if a.ev.Epoch > epoch && a.By == Owner {
			epoch = a.ev.Epoch
			a.key = w.FirstKey(epoch, a.seq)
		}
		if a.err == nil {
			format = a.Format
		}
		a.epoch, a.next, a.owner = epoch, NextKey(a.key), nil
		if a.By == Owner && a.Format >= 2 {
			a.owner = w.owner.of(w.OwnerMAC, epoch)
		}
		at = Position{Seq: a.seq, LastMAC: a.MAC, Key: a.next}
	}
	r.after = state{at, epoch, format}
	w.start(r.done, func() {
		for i := range r.entries {
			r.signed = r.entries[i].check(w.Vault, r.signed)
		}
	})
}

// ownerKeys remembers the key of the owner's MACs in one epoch.
type ownerKeys struct {
	key   *[32]byte
	epoch uint32
}

// of returns the key of an epoch; nil if it is not available.
func (o *ownerKeys) of(derive func(epoch uint32) [32]byte, epoch uint32) *[32]byte {
	if derive != nil && (o.key == nil || o.epoch != epoch) {
		k := derive(epoch) // a new one, because claims point to the one before
		o.key, o.epoch = &k, epoch
	}
	return o.key
}
