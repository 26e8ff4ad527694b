package vault

import (
	"errors"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
)

// inBatches does each job once and hands on the results in the order in which the jobs were
// added, whatever their number and sizes. It stops at the first failure.
func TestInBatches(t *testing.T) {
	stop := errors.New("stop")
	for _, n := range []int{0, 1, 31, 32, 33, 1000} {
		for _, bytes := range []int{1, 1 << 18, 2 << 20} {
			for _, failAt := range []int{-1, 0, n / 2} {
				var worked atomic.Int64
				var out []int
				err := inBatches(
					func() func(*int) { return func(j *int) { worked.Add(1); *j *= 2 } },
					func(j *int) error {
						if len(out) == failAt {
							return stop
						}
						out = append(out, *j)
						return nil
					},
					func(add func(int, int) error) error {
						for i := range n {
							if err := add(i, bytes); err != nil {
								return err
							}
						}
						return nil
					})
				want := n
				if failAt >= 0 && n > 0 {
					want = failAt
				}
				if (err != nil) != (want < n) || err != nil && !errors.Is(err, stop) {
					t.Errorf("%d jobs, one of which fails at %d: %v", n, failAt, err)
				}
				for i, j := range out {
					if j != 2*i {
						t.Fatalf("%d jobs: %v", n, out)
					}
				}
				if len(out) != want || err == nil && int(worked.Load()) != n {
					t.Errorf("%d jobs: %d came out, %d were done", n, len(out), worked.Load())
				}
			}
		}
	}
	if err := inBatches(func() func(*int) { return func(*int) {} }, func(*int) error { return nil },
		func(add func(int, int) error) error {
			return errors.Join(add(1, 1), stop)
		}); !errors.Is(err, stop) {
		t.Errorf("what feeds fails: %v", err)
	}
	func() {
		defer func() {
			if p := recover(); p != "bug" {
				t.Errorf("a worker's panic became %v", p)
			}
		}()
		err := inBatches(func() func(*int) { return func(*int) { panic("bug") } }, func(*int) error { return nil },
			func(add func(int, int) error) error { return add(1, 1) })
		t.Errorf("a worker panicked, and it went on: %v", err)
	}()
	// There are no more workers than cores, and each does many batches.
	var made, worked atomic.Int64
	err := inBatches(func() func(*int) { made.Add(1); return func(*int) { worked.Add(1) } }, func(*int) error { return nil },
		func(add func(int, int) error) error {
			for i := range 10_000 {
				if err := add(i, 1); err != nil {
					return err
				}
			}
			return nil
		})
	if err != nil || made.Load() > int64(runtime.GOMAXPROCS(0)) || worked.Load() != 10_000 {
		t.Errorf("%d workers did %d of 10,000 jobs: %v", made.Load(), worked.Load(), err)
	}
	// One worker does a few small jobs in one batch, in order.
	workers := 0
	var seen []int
	_ = inBatches(func() func(*int) { workers++; return func(j *int) { seen = append(seen, *j) } },
		func(*int) error { return nil }, func(add func(int, int) error) error {
			for i := range 32 {
				if err := add(i, 1); err != nil {
					return err
				}
			}
			return nil
		})
	if workers != 1 || !slices.IsSorted(seen) {
		t.Errorf("%d workers did 32 small jobs, in the order %v", workers, seen)
	}
}
