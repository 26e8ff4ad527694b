//go:build amd64 || arm64

package vault

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// These helpers run a child process under ptrace. They can make its system calls fail, or kill
// it at a call. The child is this test binary with one of its tests. That test calls traceMe
// where the tracing is to begin.

// traceMe starts the tracing of this goroutine's calls.
func traceMe() {
	runtime.LockOSThread()
	if err := unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGUSR1); err != nil {
		panic(err)
	}
}

// fileCall is a call that changes a file or a folder, or locks one.
type fileCall struct {
	name string // as in fileCalls
	path string // of the file; of a rename, the new one
}

func (c fileCall) String() string { return c.name + " " + filepath.Base(c.path) }

var fileCalls = map[uint64]string{
	syscall.SYS_OPENAT: "openat", syscall.SYS_WRITE: "write", syscall.SYS_PWRITE64: "pwrite", syscall.SYS_FSYNC: "fsync",
	syscall.SYS_FDATASYNC: "fdatasync", syscall.SYS_FTRUNCATE: "ftruncate", syscall.SYS_UNLINKAT: "unlinkat",
	syscall.SYS_RENAMEAT: "rename", unix.SYS_RENAMEAT2: "rename", syscall.SYS_LINKAT: "link", syscall.SYS_FLOCK: "flock",
	syscall.SYS_MKDIRAT: "mkdirat",
}

// verdict decides what becomes of a call. The zero verdict changes nothing.
type verdict struct {
	kill  bool          // the process dies, and the call is not made
	errno syscall.Errno // the call fails with this
	made  bool          // the call is made, and then reports errno anyway
}

// errUntraceable says that this system cannot trace a process.
var errUntraceable = errors.New("no process can be traced here")

// traceFileCalls runs a child that calls traceMe, and asks decide about each of its file calls in
// dir. It returns what the child wrote to stdout and stderr, and whether a verdict killed it. Any
// ending but a kill and exit code 0 is an error.
func traceFileCalls(cmd *exec.Cmd, dir string, decide func(fileCall) verdict) (stdout string, killed bool, err error) {
	runtime.LockOSThread() // ptrace belongs to a thread
	defer runtime.UnlockOSThread()
	out, err := os.CreateTemp("", "ass-traced-")
	if err != nil {
		return "", false, err
	}
	defer func() { out.Close(); os.Remove(out.Name()) }()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "GODEBUG=asyncpreemptoff=1", "GORACE=atexit_sleep_ms=0")
	if err := cmd.Start(); err != nil {
		return "", false, fmt.Errorf("%w: %v", errUntraceable, err)
	}
	p := &traced{pid: cmd.Process.Pid, dir: dir, decide: decide}
	defer p.end()
	killed, err = p.run()
	b, rerr := os.ReadFile(out.Name())
	if err != nil {
		err = fmt.Errorf("%w; the child said:\n%s", err, b)
	}
	return string(b), killed, errors.Join(err, rerr)
}

type traced struct {
	pid    int
	dir    string
	decide func(fileCall) verdict

	worker int     // the thread that called traceMe; 0 before
	inside bool    // it is inside a call
	now    verdict // on that call
	gone   bool
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

func (p *traced) run() (killed bool, err error) {
	if _, _, err := p.wait(); err != nil {
		return false, fmt.Errorf("%w: %v", errUntraceable, err)
	}
	const exitKill = 0x100000
	if err := syscall.PtraceSetOptions(p.pid,
		syscall.PTRACE_O_TRACECLONE|syscall.PTRACE_O_TRACESYSGOOD|exitKill); err != nil {
		return false, fmt.Errorf("%w: %v", errUntraceable, err)
	}
	if err := syscall.PtraceCont(p.pid, 0); err != nil {
		return false, err
	}
	for {
		tid, status, err := p.wait()
		switch {
		case err != nil:
			return false, err
		case p.gone && status.ExitStatus() != 0:
			return false, fmt.Errorf("the child ended with %d", status.ExitStatus())
		case p.gone && p.worker == 0:
			return false, errors.New("the child did not say where to begin")
		case p.gone:
			return false, nil
		case !status.Stopped():
			continue
		}
		deliver := 0
		switch sig := status.StopSignal(); {
		case sig == syscall.SIGTRAP|0x80:
			// If the child exits, a stopped thread is gone. The next wait says how it ended.
			if kill, err := p.call(tid); kill || err != nil && !errors.Is(err, syscall.ESRCH) {
				return kill, err
			}
		case sig == syscall.SIGUSR1:
			p.worker = tid
		case sig == syscall.SIGTRAP, sig == syscall.SIGSTOP:
		default:
			deliver = int(sig)
		}
		if tid == p.worker {
			err = syscall.PtraceSyscall(tid, deliver)
		} else {
			err = syscall.PtraceCont(tid, deliver)
		}
		if err != nil && err != syscall.ESRCH {
			return false, err
		}
	}
}

// call handles a system call of the worker. It is called twice for each: when the worker enters
// the call, and when it leaves the call.
func (p *traced) call(tid int) (kill bool, err error) {
	if p.inside = !p.inside; !p.inside {
		if p.now.errno != 0 {
			return false, setResult(tid, p.now.errno)
		}
		return false, nil
	}
	p.now = verdict{}
	call, ok, err := p.entered(tid)
	if !ok || err != nil {
		return false, err
	}
	p.now = p.decide(call)
	if p.now.errno != 0 && !p.now.made {
		err = skipCall(tid)
	}
	return p.now.kill, err
}

// entered returns the call that a thread enters, if it is one on a file in dir.
func (p *traced) entered(tid int) (call fileCall, ok bool, err error) {
	number, args, err := enteredCall(tid)
	if err != nil {
		return call, false, err
	}
	call.name, ok = fileCalls[number]
	if !ok {
		call.name, ok = archFileCalls[number]
	}
	if !ok {
		return call, false, nil
	}
	path := -1 // index of the path argument; -1 if the first argument is a file descriptor
	switch number {
	case syscall.SYS_OPENAT, syscall.SYS_UNLINKAT, syscall.SYS_MKDIRAT:
		path = 1
	case syscall.SYS_RENAMEAT, unix.SYS_RENAMEAT2, syscall.SYS_LINKAT:
		path = 3
	default:
		if _, old := archFileCalls[number]; old { // rename(old, new), unlink(path)
			path = map[string]int{"rename": 1}[call.name]
		}
	}
	if path >= 0 {
		call.path, err = peekString(tid, uintptr(args[path]))
	} else {
		call.path, err = os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", p.pid, args[0]))
		if errors.Is(err, os.ErrNotExist) { // the descriptor is not open
			return call, false, nil
		}
	}
	if call.name == "openat" && args[2]&(syscall.O_CREAT|syscall.O_WRONLY|syscall.O_RDWR) == 0 {
		return call, false, err // opening to read changes nothing
	}
	return call, strings.HasPrefix(call.path, p.dir), err
}

// peekString reads a C string from the memory of a stopped thread.
func peekString(tid int, at uintptr) (string, error) {
	var text []byte
	for len(text) < 4096 {
		var word [8]byte
		if _, err := syscall.PtracePeekData(tid, at+uintptr(len(text)), word[:]); err != nil {
			return "", err
		}
		if end := bytes.IndexByte(word[:], 0); end >= 0 {
			return string(append(text, word[:end]...)), nil
		}
		text = append(text, word[:]...)
	}
	return "", errors.New("a path of the child is too long")
}

// skipUntraceable skips the test if err says that tracing does not work here.
func skipUntraceable(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, errUntraceable) || errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
}
