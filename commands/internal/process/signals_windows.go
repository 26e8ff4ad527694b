package process

import (
	"errors"
	"os"
	"os/signal"
)

// signals are those of the console. They go to every program on it, so this one has to do
// nothing but outlive the child.
type signals struct{ caught chan os.Signal }

func catchSignals() *signals {
	s := &signals{make(chan os.Signal, 1)}
	signal.Notify(s.caught, os.Interrupt)
	return s
}

func (s *signals) pass(*os.Process) {}

func (s *signals) release() {
	if s.caught != nil {
		signal.Stop(s.caught)
	}
}

const canReplace = false

func replaceProcess(string, []string, []string) error { return errors.ErrUnsupported }

func signalOf(*os.ProcessState) int { return 0 }
