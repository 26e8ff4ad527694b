package vault

import "runtime"

// inBatches runs jobs on all cores. feed calls add for each job, with its size in bytes.
// The function that worker returns does one job; there is one such function for each core. done gets the
// finished jobs, in the order in which they were added. feed and done run on the caller's goroutine. Only that
// goroutine may touch the file, so a job holds copies of what it needs. One goroutine
// does a batch, in order: if there are few jobs, what they draw from a given source of
// randomness does not depend on the scheduler. A panic of a worker reaches the caller.
func inBatches[J any](worker func() func(*J), done func(*J) error,
	feed func(add func(j J, bytes int) error) error) error {
	return inWholeBatches(func() func([]J) {
		one := worker()
		return func(jobs []J) {
			for i := range jobs {
				one(&jobs[i])
			}
		}
	}, done, feed)
}

// The limits of a batch. Two batches of signed records are one of jobs.
const (
	mostJobs  = 2 * batchSize
	mostBytes = 1 << 20
)

// inWholeBatches is inBatches for a worker that does a batch at once.
func inWholeBatches[J any](worker func() func([]J), done func(*J) error,
	feed func(add func(j J, bytes int) error) error) error {
	type batch struct {
		jobs  []J
		ready chan any // the panic of the worker; nil for none
	}
	var (
		cores   = runtime.GOMAXPROCS(0)
		work    = make(chan *batch, cores+2)
		running []*batch
		workers = 0
		now     = &batch{} // not started yet
		free    []*batch
		size    = 0
	)
	defer func() {
		close(work)
		for _, b := range running { // workers use keys that the caller wipes afterwards
			<-b.ready
		}
	}()
	do := func() {
		var all func([]J)
		for b := range work {
			func() {
				defer func() { b.ready <- recover() }()
				if all == nil {
					all = worker()
				}
				all(b.jobs)
			}()
		}
	}
	wait := func(leave int) error {
		for len(running) > leave {
			b := running[0]
			p := <-b.ready
			running = running[1:]
			if p != nil {
				panic(p)
			}
			for i := range b.jobs {
				if err := done(&b.jobs[i]); err != nil {
					return err
				}
			}
			clear(b.jobs)
			b.jobs = b.jobs[:0]
			free = append(free, b)
		}
		return nil
	}
	start := func() error {
		if now.ready == nil {
			now.ready = make(chan any, 1)
		}
		running = append(running, now)
		work <- now
		if workers < min(cores, len(running)) {
			workers++
			go do()
		}
		err := wait(cores + 1)
		size, now = 0, &batch{}
		if n := len(free); n > 0 {
			now, free = free[n-1], free[:n-1]
		}
		return err
	}
	err := feed(func(j J, bytes int) error {
		now.jobs = append(now.jobs, j)
		if size += bytes; len(now.jobs) < mostJobs && size < mostBytes {
			return nil
		}
		return start()
	})
	if err == nil && workers == 0 && len(now.jobs) > 0 { // the only batch needs no other goroutine
		worker()(now.jobs)
		for i := range now.jobs {
			if err := done(&now.jobs[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if err == nil && len(now.jobs) > 0 {
		err = start()
	}
	if err == nil {
		err = wait(0)
	}
	return err
}

// buffers holds copies of what lies in a page of the file, for the jobs of a worker. feed makes the copies, and
// done gives them back, so that a walk through many records needs only a few. What a job makes
// must not refer to its copies.
type buffers struct{ free [][]byte }

func (b *buffers) copyOf(x []byte) []byte {
	var into []byte
	if n := len(b.free); n > 0 {
		into, b.free = b.free[n-1], b.free[:n-1]
	}
	return append(into[:0], x...)
}

func (b *buffers) back(used ...[]byte) { b.free = append(b.free, used...) }
