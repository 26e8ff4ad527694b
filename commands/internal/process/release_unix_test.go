//go:build unix

package process

import (
	"os"
	"syscall"
	"testing"
	"time"
)

// The end of a child comes with a signal. Whether release or pass takes it, neither waits for another one.
func TestReleaseWaitsForNoSignal(t *testing.T) {
	for i := range 20000 {
		s := &Signals{caught: make(chan os.Signal, 16)}
		for range 2 {
			s.caught <- syscall.SIGCHLD
		}
		go func() {
			for range s.caught {
			}
		}()
		released := make(chan bool)
		go func() {
			s.release()
			close(released)
		}()
		select {
		case <-released:
		case <-time.After(10 * time.Second):
			t.Fatalf("in round %d, release waits for a signal that was taken", i)
		}
		close(s.caught)
	}
}
