//go:build amd64 || arm64

package trace

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// ErrUntraceable says that this system cannot trace a process.
var ErrUntraceable = errors.New("no process can be traced here")

// SkipUntraceable skips the test if err says that tracing does not work here.
func SkipUntraceable(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, ErrUntraceable) || errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
}

// Call is a system call of a thread that is stopped, either where it enters the call or where it
// leaves it.
type Call struct {
	TID    int
	Number uint64
	Args   [6]uint64
	Result int64 // when it leaves; a negative errno if the call failed
}

// String reads a C string from the memory of the child.
func (c Call) String(at uint64) (string, error) { return peekString(c.TID, uintptr(at)) }

// Bytes reads n bytes from the memory of the child.
func (c Call) Bytes(at uint64, n int) ([]byte, error) {
	b := make([]byte, n)
	if n == 0 {
		return b, nil
	}
	local := []unix.Iovec{{Base: &b[0], Len: uint64(n)}}
	got, err := unix.ProcessVMReadv(c.TID, local, []unix.RemoteIovec{{Base: uintptr(at), Len: n}}, 0)
	if err == nil && got != n {
		err = fmt.Errorf("only %d of %d bytes of the child's memory could be read", got, n)
	}
	return b, err
}

// Calls runs a child, and shows every system call of every thread: to entered before the call is
// made, and to left afterwards. A thread waits until they return, so what a thread does after a
// call comes later in this order, too. The last call has no end. Calls returns the exit code.
//
// A process that hides its memory cannot be read by its tracer either, unless that is root. So
// Calls makes PR_SET_DUMPABLE leave the memory open.
func Calls(cmd *exec.Cmd, entered, left func(Call) error) (exit int, err error) {
	inside := map[int]Call{}
	p := &traced{all: true, call: func(tid int) (kill bool, err error) {
		if c, ok := inside[tid]; ok {
			delete(inside, tid)
			if c.Result, err = result(tid); err != nil {
				return false, err
			}
			return false, left(c)
		}
		c := Call{TID: tid}
		if c.Number, c.Args, err = enteredCall(tid); err != nil {
			return false, err
		}
		inside[tid] = c
		if c.Number == syscall.SYS_PRCTL && c.Args[0] == unix.PR_SET_DUMPABLE {
			if err := setSecondArg(tid, 1); err != nil {
				return false, err
			}
		}
		return false, entered(c)
	}}
	_, err = p.run(cmd)
	return p.exit, err
}

// traced is a child under ptrace.
type traced struct {
	pid int
	all bool // trace every thread from the start, not the one that sends SIGUSR1 to itself

	// call is called twice for each system call of a traced thread: when the thread enters the
	// call, and when it leaves it.
	call func(tid int) (kill bool, err error)

	worker int // the thread that sent SIGUSR1; 0 before
	gone   bool
	exit   int // the exit code
}

// run runs the child to its end, or until call kills it.
func (p *traced) run(cmd *exec.Cmd) (killed bool, err error) {
	runtime.LockOSThread() // ptrace belongs to a thread
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "GODEBUG=asyncpreemptoff=1", "GORACE=atexit_sleep_ms=0")
	if err := cmd.Start(); err != nil {
		return false, fmt.Errorf("%w: %v", ErrUntraceable, err)
	}
	p.pid = cmd.Process.Pid
	defer p.end()
	return p.loop()
}

// wait waits for any thread of the child, but not for other children of this process.
func (p *traced) wait() (tid int, status syscall.WaitStatus, err error) {
	for {
		tid, err = syscall.Wait4(-1, &status, syscall.WALL|unix.WNOTHREAD, nil)
		if err == syscall.EINTR {
			continue
		}
		if err == nil && tid == p.pid && (status.Exited() || status.Signaled()) {
			p.gone = true
		}
		return tid, status, err
	}
}

// end kills what is left of the child.
func (p *traced) end() {
	if !p.gone {
		_ = syscall.Kill(p.pid, syscall.SIGKILL)
	}
	for !p.gone {
		if _, _, err := p.wait(); err != nil {
			return
		}
	}
}

func (p *traced) loop() (killed bool, err error) {
	if _, _, err := p.wait(); err != nil {
		return false, fmt.Errorf("%w: %v", ErrUntraceable, err)
	}
	const exitKill = 0x100000
	if err := syscall.PtraceSetOptions(p.pid,
		syscall.PTRACE_O_TRACECLONE|syscall.PTRACE_O_TRACESYSGOOD|exitKill); err != nil {
		return false, fmt.Errorf("%w: %v", ErrUntraceable, err)
	}
	for tid, deliver := p.pid, 0; ; {
		if p.all || tid == p.worker {
			err = syscall.PtraceSyscall(tid, deliver)
		} else {
			err = syscall.PtraceCont(tid, deliver)
		}
		if err != nil && err != syscall.ESRCH {
			return false, err
		}
		var status syscall.WaitStatus
		for {
			tid, status, err = p.wait()
			if err != nil || p.gone || status.Stopped() {
				break
			}
		}
		switch {
		case err != nil:
			return false, err
		case p.gone && status.Signaled():
			return false, fmt.Errorf("the child died of %s", status.Signal())
		case p.gone:
			p.exit = status.ExitStatus()
			return false, nil
		}
		deliver = 0
		switch sig := status.StopSignal(); {
		case sig == syscall.SIGTRAP|0x80:
			// If the child exits, a stopped thread is gone. The next wait says how it ended.
			if kill, err := p.call(tid); kill || err != nil && !errors.Is(err, syscall.ESRCH) {
				return kill, err
			}
		case sig == syscall.SIGUSR1 && !p.all:
			p.worker = tid
		case sig == syscall.SIGTRAP, sig == syscall.SIGSTOP:
		default:
			deliver = int(sig)
		}
	}
}
