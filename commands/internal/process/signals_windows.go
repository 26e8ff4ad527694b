package process

import (
	"errors"
	"os"
	"os/signal"
)

// Signals are those of the console. They go to every program on it, so this one has to do
// nothing but outlive the child.
type Signals struct{ caught chan os.Signal }

// Catch keeps Ctrl-C from ending this process.
func Catch() *Signals {
	s := &Signals{make(chan os.Signal, 1)}
	signal.Notify(s.caught, os.Interrupt)
	return s
}

func (s *Signals) pass(*os.Process) {}

func (s *Signals) release() {
	if s != nil {
		signal.Stop(s.caught)
	}
}

func (s *Signals) without(do func()) { do() }

const canReplace = false

func replaceProcess(string, []string, []string) error { return errors.ErrUnsupported }

func signalOf(*os.ProcessState) int { return 0 }
