//go:build unix

package process

import (
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// forwarded are the signals that the child gets from this process, as long as it lives.
var forwarded = []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGWINCH,
	syscall.SIGCONT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM}

// signals are those on their way to the child.
type signals struct {
	caught chan os.Signal

	mu    sync.Mutex
	ended bool      // the child has
	late  os.Signal // one that came too late for it
}

// catchSignals holds signals back until pass names the process that gets them. A hangup that
// this process was started to ignore stays ignored, in the child, too: so nohup works.
func catchSignals() *signals {
	s := &signals{caught: make(chan os.Signal, 16)}
	take := slices.DeleteFunc(slices.Clone(forwarded), func(sig os.Signal) bool {
		return sig == syscall.SIGHUP && signal.Ignored(sig)
	})
	signal.Notify(s.caught, append(take, syscall.SIGCHLD)...)
	// A reader that goes away ends the child, whose next write fails. This process waits for
	// that, and tidies up.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return s
}

// pass passes signals on until release is called. The child gets signals from the keyboard
// by itself, because it is in the process group of the terminal, too.
func (s *signals) pass(p *os.Process) {
	if s.caught == nil {
		return
	}
	early := len(s.caught) // the child was not there yet
	go func() {
		for sig := range s.caught {
			early--
			switch {
			case sig == syscall.SIGCHLD:
				followStop(p.Pid)
			case early < 0 && (sig == syscall.SIGINT || sig == syscall.SIGQUIT) && !s.isEnded() && atKeyboard():
			default:
				s.send(p, sig)
			}
		}
	}()
}

func (s *signals) isEnded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// send sends a signal to the child or, once the child has ended, to this process.
func (s *signals) send(p *os.Process, sig os.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case sig == syscall.SIGWINCH, sig == syscall.SIGCONT:
		_ = p.Signal(sig)
	case s.ended:
		die(sig)
	case p.Signal(sig) != nil:
		s.late = sig
	}
}

// release is called when the child has ended, and nothing is left to tidy up. From now on,
// each signal ends this process, as one does that came too late for the child.
func (s *signals) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended = true; s.late != nil {
		die(s.late)
	}
}

// die ends this process by a signal or, where the runtime of Go would do something else on
// it, with the code that shells have for it.
func die(sig os.Signal) {
	number := sig.(syscall.Signal)
	switch number {
	case syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP:
		signal.Reset(number)
		_ = syscall.Kill(os.Getpid(), number)
		time.Sleep(time.Second)
	}
	os.Exit(128 + int(number))
}

// atKeyboard reports whether the signals of a terminal, from Ctrl-C say, go to this
// program and to its children at once.
func atKeyboard() bool {
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

const canReplace = true

// replaceProcess becomes the child. It returns only if that fails.
func replaceProcess(program string, args, env []string) error {
	return syscall.Exec(program, args, env)
}

func signalOf(s *os.ProcessState) int {
	if status, ok := s.Sys().(syscall.WaitStatus); ok {
		return int(status.Signal())
	}
	return 0
}
