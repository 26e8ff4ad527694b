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

// mercy is how long this process may still take after a signal that came when the child had
// ended: enough to end by itself, with the child's code, unless nobody reads the output.
const mercy = 300 * time.Millisecond

// Signals are those on their way to the child.
type Signals struct {
	caught chan os.Signal

	mu    sync.Mutex
	ended bool // the child has
	dying sync.Once
}

// Catch holds signals back until the child gets them. A hangup that this process was started to
// ignore stays ignored, in the child, too: so nohup works.
func Catch() *Signals {
	s := &Signals{caught: make(chan os.Signal, 16)}
	take := slices.DeleteFunc(slices.Clone(forwarded), func(sig os.Signal) bool {
		return sig == syscall.SIGHUP && signal.Ignored(sig)
	})
	signal.Notify(s.caught, append(take, syscall.SIGCHLD)...)
	// A reader that goes away ends the child, whose next write fails. This process waits for
	// that, and tidies up.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return s
}

// pass passes signals on to the child until release is called.
func (s *Signals) pass(p *os.Process) {
	if s == nil {
		return
	}
	early := len(s.caught) // the child was not there yet
	go func() {
		for sig := range s.caught {
			early--
			switch {
			case sig == syscall.SIGCHLD:
				followStop(p.Pid)
			case early < 0 && (sig == syscall.SIGINT || sig == syscall.SIGQUIT) && fromKeyboard(p.Pid):
			default:
				s.send(p, sig)
			}
		}
	}()
}

// send sends a signal to the child or, once the child has ended, to this process.
func (s *Signals) send(p *os.Process, sig os.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.ended:
		_ = p.Signal(sig)
	case sig != syscall.SIGWINCH && sig != syscall.SIGCONT:
		s.dying.Do(func() {
			time.AfterFunc(mercy, func() {
				s.mu.Lock()
				die(sig)
			})
		})
	}
}

// release is called when the child has ended. A signal from before then was for the child. From now
// on, each signal ends this process.
func (s *Signals) release() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for {
		select { // pass may take the last one at this moment
		case <-s.caught:
		default:
			return
		}
	}
}

// without does something that no signal may interrupt.
func (s *Signals) without(do func()) {
	if s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	do()
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

// fromKeyboard reports whether a terminal, on Ctrl-C say, has sent a signal to the child, too:
// it does to every program in the process group in its foreground. A child in a group of its
// own gets it from this process, but not one in a session of its own, which has left the terminal.
func fromKeyboard(child int) bool {
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	if err != nil || group != unix.Getpgrp() {
		return false
	}
	if of, err := unix.Getpgid(child); err == nil && of != group {
		session, err := unix.Getsid(child)
		own, _ := unix.Getsid(0)
		return err == nil && session != own
	}
	return true
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
