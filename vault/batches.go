package vault

import "runtime"

// inBatches runs jobs on all cores. feed calls add for each job, with its size in bytes.
// The function that worker returns does one job. done gets the finished jobs, in the
// order in which they were added. feed and done run on the caller's goroutine. Only that
// goroutine may touch the file, so a job holds copies of what it needs. One goroutine
// does a batch, in order: if there are few jobs, what they draw from a given source of
// randomness does not depend on the scheduler. A panic of a worker reaches the caller.
func inBatches[J any](worker func() func(*J), done func(*J) error,
	feed func(add func(j J, bytes int) error) error) error {
	const most, mostBytes = 64, 1 << 20
	type batch struct {
		jobs  []J
		ready chan any // the panic of the worker; nil for none
	}
	var running []batch
	defer func() {
		for _, b := range running { // workers use keys that the caller wipes afterwards
			<-b.ready
		}
	}()
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
		}
		return nil
	}
	var jobs []J
	size := 0
	start := func() error {
		b := batch{jobs, make(chan any, 1)}
		jobs, size = nil, 0
		running = append(running, b)
		go func() {
			defer func() { b.ready <- recover() }()
			do := worker()
			for i := range b.jobs {
				do(&b.jobs[i])
			}
		}()
		return wait(runtime.GOMAXPROCS(0) + 1)
	}
	err := feed(func(j J, bytes int) error {
		jobs = append(jobs, j)
		if size += bytes; len(jobs) < most && size < mostBytes {
			return nil
		}
		return start()
	})
	if err == nil && len(jobs) > 0 {
		err = start()
	}
	if err == nil {
		err = wait(0)
	}
	return err
}
