// Package process protects the memory of this process, and runs another program in its
// place or under its eyes.
//
// memory_*.go keeps values out of core dumps. child.go runs a program, signals_*.go hands it
// the signals, output.go copies what it writes, leave_*.go hands that over to another
// process if the program has left somebody behind, and files.go keeps the files that it
// gets.
package process

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"

	"ass/commands/internal/redact"
)

// KeepDescriptors keeps the programs that this process starts from getting its descriptors, such as the one of a
// passphrase.
func KeepDescriptors() { closeOnExec() }

// Child is a program to run, with what it gets.
type Child struct {
	Program string   // its file
	Args    []string // with its name
	Env     []string
	Dir     string    // "" for that of this process
	Give    *[]byte   // what it reads from its stdin; nil for Stdin
	Stdin   io.Reader // if it is no file, it is copied until it ends, which may be after the child
	Stdout  io.Writer
	Stderr  io.Writer

	Needles          *redact.Needles // what is masked in its output
	MaskOut, MaskErr bool            // in which

	Caught *Signals // what this process gets; nil if the signals are not for this run
	Main   bool     // the main function is that of ass, so that it can be started again with [LeftBehind]

	Started func()            // called when the child has its values
	Ended   func()            // called when the child has ended, before the rest of its output is copied
	Warn    func(text string) // tells what cannot be done
}

// StartError says that a program could not be started.
type StartError struct{ Err error }

func (e *StartError) Error() string { return "the program cannot be started" }
func (e *StartError) Unwrap() error { return e.Err }

// Replace makes the child out of this process, if that is all there is to do for it. It
// returns nil if it is not, and an error if that failed.
func (c *Child) Replace() error {
	if !canReplace || c.Give != nil || c.MaskOut || c.MaskErr {
		return nil
	}
	giveCoreLimit()
	return &StartError{replaceProcess(c.Program, c.Args, c.Env)}
}

// Run starts the child, waits for it, and returns its exit code: that of the program or, if
// a signal ended it, 128 and the number of the signal, as in a shell.
func (c *Child) Run() (code int, err error) {
	cmd := exec.Command(c.Program)
	cmd.Args, cmd.Env, cmd.Dir = c.Args, c.Env, c.Dir
	feed, err := c.input(cmd)
	if err != nil {
		return 0, &StartError{err}
	}
	outputs, err := c.outputs(cmd)
	if err != nil {
		return 0, &StartError{err}
	}
	if err = Start(cmd); err == nil {
		c.Caught.pass(cmd.Process)
	}
	for _, o := range outputs {
		_ = o.into.Close() // the child has its own
	}
	c.Started()
	cmd.Env = nil
	if err != nil {
		c.Ended()
		return 0, &StartError{err}
	}
	stopFeeding := feed()
	ended := make(chan struct{})
	left := make(chan output, len(outputs))
	for _, o := range outputs {
		go func() {
			o.isLeft, o.err = o.copy(ended, c.patience())
			left <- o
		}()
	}
	err = cmd.Wait()
	c.Ended()
	c.Caught.release()
	stopFeeding()
	close(ended)
	var others []output
	var failed error
	for range outputs {
		o := <-left
		if o.isLeft {
			others = append(others, o)
		} else if o.err != nil {
			failed = o.err
		}
	}
	c.leave(others)
	code, err = result(err)
	if failed != nil && (code != 0 || err != nil) { // the code says something already
		c.Warn("what the program wrote could not all be passed on: " + failed.Error())
		failed = nil
	}
	return code, errors.Join(err, failed)
}

// input gives the child its stdin. If that is not a file, feed starts a copy into the child, and
// stop ends it. Else both do nothing.
func (c *Child) input(cmd *exec.Cmd) (feed func() (stop func()), err error) {
	from := c.Stdin
	if c.Give != nil {
		from = bytes.NewReader(*c.Give)
	} else if _, isFile := from.(*os.File); isFile {
		cmd.Stdin = from
		return func() func() { return func() {} }, nil
	}
	// The reader may never end, and exec would wait for that: copy without it.
	to, err := cmd.StdinPipe()
	return func() func() {
		go func() {
			_, _ = io.Copy(to, from)
			_ = to.Close()
		}()
		return func() { _ = to.Close() }
	}, err
}

// outputs connects the outputs of the child, and returns those that are copied.
func (c *Child) outputs(cmd *exec.Cmd) (list []output, err error) {
	for _, stream := range []struct {
		to   io.Writer
		mask bool
		at   *io.Writer
	}{{c.Stdout, c.MaskOut, &cmd.Stdout}, {c.Stderr, c.MaskErr, &cmd.Stderr}} {
		if _, isFile := stream.to.(*os.File); isFile && !stream.mask {
			*stream.at = stream.to
			continue
		}
		if len(list) > 0 && sameOutput(c.Stdout, c.Stderr) { // one stream, so that it keeps its order
			*stream.at = cmd.Stdout
			continue
		}
		from, into, err := os.Pipe()
		if err != nil {
			for _, o := range list {
				_ = o.from.Close()
				_ = o.into.Close()
			}
			return nil, err
		}
		widen(into)
		o := output{from: from, into: into, to: stream.to}
		if stream.mask {
			o.masked = redact.NewStream(stream.to, c.Needles)
		} else {
			o.masked = redact.NewStream(stream.to, nil)
		}
		*stream.at = into
		list = append(list, o)
	}
	return list, nil
}

// sameOutput reports whether two outputs are one: the same file, pipe or writer.
func sameOutput(a, b io.Writer) bool {
	x, isFile := a.(*os.File)
	y, areFiles := b.(*os.File)
	if isFile && areFiles {
		first, err := x.Stat()
		second, err2 := y.Stat()
		return err == nil && err2 == nil && os.SameFile(first, second)
	}
	defer func() { _ = recover() }() // writers that cannot be compared are not the same
	return a == b
}

// result returns the exit code of a child for which waiting ended with err.
func result(err error) (int, error) {
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() < 0:
		return 128 + signalOf(exit.ProcessState), nil
	case errors.As(err, &exit):
		return exit.ExitCode(), nil
	}
	return 0, err
}
