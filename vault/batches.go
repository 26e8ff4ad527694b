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
	var (
		now  = new([]J) // not started yet
		size = 0
		free []*[]J
	)
	c := newCrew(func() func(any) {
		all := worker()
		return func(jobs any) { all(*jobs.(*[]J)) }
	}, func(jobs any) error {
		list := jobs.(*[]J)
		for i := range *list {
			if err := done(&(*list)[i]); err != nil {
				return err
			}
		}
		clear(*list)
		*list = (*list)[:0]
		free = append(free, list)
		return nil
	})
	defer c.end()
	err := feed(func(j J, bytes int) error {
		*now = append(*now, j)
		if size += bytes; len(*now) < mostJobs && size < mostBytes {
			return nil
		}
		err := c.start(now)
		size = 0
		if n := len(free); n > 0 {
			now, free = free[n-1], free[:n-1]
		} else {
			full := make([]J, 0, mostJobs)
			now = &full
		}
		return err
	})
	if err == nil && len(*now) > 0 {
		err = c.last(now)
	}
	if err == nil {
		err = c.wait(0)
	}
	return err
}

// crew are the goroutines that work on batches. It does not know what a batch is: then there is its code once, not once
// for each kind of job.
type crew struct {
	worker func() func(jobs any)
	done   func(jobs any) error

	cores, workers int
	work           chan *batchOfJobs
	running        []*batchOfJobs // in the order in which they were started
}

type batchOfJobs struct {
	jobs  any
	ready chan any // the panic of the worker; nil for none
}

func newCrew(worker func() func(jobs any), done func(jobs any) error) *crew {
	cores := runtime.GOMAXPROCS(0)
	return &crew{worker: worker, done: done, cores: cores, work: make(chan *batchOfJobs, cores+2)}
}

// do works on batches until there are no more.
func (c *crew) do() {
	var all func(any)
	for b := range c.work {
		func() {
			defer func() { b.ready <- recover() }()
			if all == nil {
				all = c.worker()
			}
			all(b.jobs)
		}()
	}
}

// start gives a batch to the workers, and waits if they have enough.
func (c *crew) start(jobs any) error {
	b := &batchOfJobs{jobs, make(chan any, 1)}
	c.running = append(c.running, b)
	c.work <- b
	if c.workers < min(c.cores, len(c.running)) {
		c.workers++
		go c.do()
	}
	return c.wait(c.cores + 1)
}

// last is start for the last batch. If it is the only one, it needs no other goroutine.
func (c *crew) last(jobs any) error {
	if c.workers > 0 {
		return c.start(jobs)
	}
	c.worker()(jobs)
	return c.done(jobs)
}

// wait waits for the oldest batches, until some are left.
func (c *crew) wait(leave int) error {
	for len(c.running) > leave {
		b := c.running[0]
		p := <-b.ready
		c.running = c.running[1:]
		if p != nil {
			panic(p)
		}
		if err := c.done(b.jobs); err != nil {
			return err
		}
	}
	return nil
}

// end waits for the workers, which use keys that the caller wipes afterwards.
func (c *crew) end() {
	close(c.work)
	for _, b := range c.running {
		<-b.ready
	}
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
