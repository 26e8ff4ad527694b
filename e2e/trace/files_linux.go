//go:build amd64 || arm64

package trace

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

	"golang.org/x/sys/unix"
)

// Me starts the tracing of this goroutine's calls, in a child of Files.
func Me() {
	runtime.LockOSThread()
	if err := unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGUSR1); err != nil {
		panic(err)
	}
}

// FileCall is a call that changes a file or a folder, or locks one.
type FileCall struct {
	Name string // as in fileCalls
	Path string // of the file; of a rename, the new one
}

func (c FileCall) String() string { return c.Name + " " + filepath.Base(c.Path) }

// Syncs reports whether the call makes earlier ones last.
func (c FileCall) Syncs() bool { return c.Name == "fsync" || c.Name == "fdatasync" }

var fileCalls = map[uint64]string{
	syscall.SYS_OPENAT: "openat", syscall.SYS_WRITE: "write", syscall.SYS_PWRITE64: "pwrite", syscall.SYS_FSYNC: "fsync",
	syscall.SYS_FDATASYNC: "fdatasync", syscall.SYS_FTRUNCATE: "ftruncate", syscall.SYS_UNLINKAT: "unlinkat",
	syscall.SYS_RENAMEAT: "rename", unix.SYS_RENAMEAT2: "rename", syscall.SYS_LINKAT: "link", syscall.SYS_FLOCK: "flock",
	syscall.SYS_MKDIRAT: "mkdirat",
}

// Verdict decides what becomes of a call. The zero Verdict changes nothing.
type Verdict struct {
	Kill  bool          // the process dies, and the call is not made
	Errno syscall.Errno // the call fails with this
	Made  bool          // the call is made, and then reports Errno anyway
}

// Files runs a child that calls [Me], and asks decide about each file call in dir of the thread that
// did. It returns what the child wrote to stdout and stderr, and whether a verdict killed it. Any
// ending but a kill and exit code 0 is an error.
func Files(cmd *exec.Cmd, dir string, decide func(FileCall) Verdict) (stdout string, killed bool, err error) {
	out, err := os.CreateTemp("", "ass-traced-")
	if err != nil {
		return "", false, err
	}
	defer func() { out.Close(); os.Remove(out.Name()) }()
	cmd.Stdout, cmd.Stderr = out, out
	f := &files{dir: dir, decide: decide}
	f.call = f.enterOrLeave
	killed, err = f.run(cmd)
	switch {
	case err != nil || killed:
	case f.exit != 0:
		err = fmt.Errorf("the child ended with %d", f.exit)
	case f.worker == 0:
		err = errors.New("the child did not say where to begin")
	}
	b, rerr := os.ReadFile(out.Name())
	if err != nil {
		err = fmt.Errorf("%w; the child said:\n%s", err, b)
	}
	return string(b), killed, errors.Join(err, rerr)
}

type files struct {
	traced
	dir    string
	decide func(FileCall) Verdict

	inside bool    // the worker is inside a call
	now    Verdict // on that call
}

func (p *files) enterOrLeave(tid int) (kill bool, err error) {
	if p.inside = !p.inside; !p.inside {
		if p.now.Errno != 0 {
			return false, setResult(tid, p.now.Errno)
		}
		return false, nil
	}
	p.now = Verdict{}
	call, ok, err := p.entered(tid)
	if !ok || err != nil {
		return false, err
	}
	p.now = p.decide(call)
	if p.now.Errno != 0 && !p.now.Made {
		err = skipCall(tid)
	}
	return p.now.Kill, err
}

// entered returns the call that a thread enters, if it is one on a file in dir.
func (p *files) entered(tid int) (call FileCall, ok bool, err error) {
	number, args, err := enteredCall(tid)
	if err != nil {
		return call, false, err
	}
	call.Name, ok = fileCalls[number]
	if !ok {
		call.Name, ok = archFileCalls[number]
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
			path = map[string]int{"rename": 1}[call.Name]
		}
	}
	if path >= 0 {
		call.Path, err = peekString(tid, uintptr(args[path]))
	} else {
		call.Path, err = os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", p.pid, args[0]))
		if errors.Is(err, os.ErrNotExist) { // the descriptor is not open
			return call, false, nil
		}
	}
	if call.Name == "openat" && args[2]&(syscall.O_CREAT|syscall.O_WRONLY|syscall.O_RDWR) == 0 {
		return call, false, err // opening to read changes nothing
	}
	return call, strings.HasPrefix(call.Path, p.dir), err
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
