//go:build unix

package process

import (
	"encoding/json"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ass/commands/internal/redact"
)

// LeftBehind is the argument with which ass starts itself to go on with an output after a
// child has ended: a server that the child put into the background still writes to it.
const LeftBehind = "__left-behind"

const canLeave = true

// leave hands outputs over to a process of their own, so that this one can end. Where that
// cannot be, it cuts them off, or stays until their end.
func (c *Child) leave(others []output) {
	if len(others) == 0 {
		return
	}
	if !c.Main {
		for _, o := range others {
			_ = o.masked.Close()
			_ = o.from.Close()
		}
		return
	}
	var files []output
	for _, o := range others {
		if _, isFile := o.to.(*os.File); isFile {
			files = append(files, o)
		} else {
			_ = o.masked.Close()
			_ = o.from.Close()
		}
	}
	var err error
	c.Caught.without(func() { err = handOver(files) })
	if err == nil {
		return
	}
	done := make(chan struct{})
	for _, o := range files {
		_ = o.from.SetReadDeadline(time.Time{})
		go func() {
			_, _ = o.copy(nil, 0)
			done <- struct{}{}
		}()
	}
	for range files {
		<-done
	}
}

// handOver starts the process. It gets, for each output, where it is read and where it goes
// from descriptor 3 on, and the states over its stdin. Nothing else that is open here is
// open there: it could keep somebody waiting for the end of a pipe.
func handOver(outputs []output) error {
	var states []json.RawMessage
	self, err := executable()
	if err != nil {
		return err
	}
	closeOnExec()
	cmd := exec.Command(self)
	cmd.Args = []string{os.Args[0], LeftBehind}
	cmd.Env, cmd.Dir = []string{}, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it outlives the terminal
	for _, o := range outputs {
		state, err := o.masked.Hand()
		if err != nil {
			return err
		}
		states = append(states, state)
		cmd.ExtraFiles = append(cmd.ExtraFiles, o.from, o.to.(*os.File))
	}
	b, err := json.Marshal(states)
	if err != nil {
		return err
	}
	to, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if _, err := to.Write(b); err != nil {
		return err
	}
	return to.Close()
}

// inPipe returns how many bytes are in a pipe.
func inPipe(f *os.File) (n int) {
	control(f, func(fd int) { n, _ = unix.IoctlGetInt(fd, bytesInPipe) })
	return n
}

// hasEnded reports whether nobody holds the other end of a pipe any more.
func hasEnded(f *os.File) (ended bool) {
	control(f, func(fd int) {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		_, err := unix.Poll(poll, 0)
		ended = err == nil && poll[0].Revents&unix.POLLHUP != 0
	})
	return ended
}

// control uses the descriptor of a file. [os.File.Fd] would end the deadlines of the file.
func control(f *os.File, use func(fd int)) {
	if conn, err := f.SyscallConn(); err == nil {
		_ = conn.Control(func(fd uintptr) { use(int(fd)) })
	}
}

// executable returns the path of this program, also of one that was replaced since.
func executable() (string, error) {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe", nil
	}
	return os.Executable()
}

// GoOn is the process that [LeftBehind] asks for. It returns an exit code.
func GoOn() int {
	var states []json.RawMessage
	if err := json.NewDecoder(os.Stdin).Decode(&states); err != nil {
		return 2
	}
	done := make(chan struct{})
	for i, state := range states {
		from, to := os.NewFile(uintptr(3+2*i), "output"), os.NewFile(uintptr(4+2*i), "output")
		masked, err := redact.Resume(state, to)
		if from == nil || to == nil || err != nil {
			return 2
		}
		go func() {
			_, _ = (&output{from: from, to: to, masked: masked}).copy(nil, 0)
			done <- struct{}{}
		}()
	}
	for range states {
		<-done
	}
	return 0
}
