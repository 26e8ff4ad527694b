package vault

import "runtime"

// inBatches has jobs done on all cores. feed calls add for each of them, with its size;
// what worker returns does one; and done takes them in the order in which they were
// added. feed and done run on the goroutine of the caller, which alone may touch the
// file, so a job has copies of what it needs. A batch is done by one goroutine in its
// order: what a few jobs draw of a given randomness depends on no scheduler. A panic of
// a worker is one of the caller's.
func inBatches[J any](worker func() func(*J), done func(*J) error, feed func(add func(j J, bytes int) error) error) error {
	const most, mostBytes = 64, 1 << 20
	type batch struct {
		jobs  []J
		ready chan any // what it panicked with, nil for nothing
	}
	var running []batch
	defer func() {
		for _, b := range running { // they use keys that are wiped when the caller is done
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
