package process

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"ass/commands/internal/redact"
)

const (
	// prompt is how long the end of an output may be held back because it could begin a
	// secret. A program that writes a secret in two parts needs less between them, and a
	// person who waits for a question does not notice.
	prompt = 500 * time.Millisecond

	// aMoment is how long somebody whom the child has left behind may be silent before
	// another process goes on with the output.
	aMoment = 50 * time.Millisecond

	// aSecond is the same, where no other process can.
	aSecond = time.Second

	// chunkSize is the size in bytes of one read, and of the pipe where that can be chosen.
	chunkSize = 1 << 20
)

// output is an output of a child on its way.
type output struct {
	from   *os.File // where it is read
	into   *os.File // where the child writes
	to     io.Writer
	masked *redact.Stream // to to

	isLeft bool  // the child has ended, and somebody else still holds the output
	err    error // of writing
}

// patience is how long an output may be silent after the child has ended.
func (c *Child) patience() time.Duration {
	if c.Main && canLeave {
		return aMoment
	}
	return aSecond
}

// chunk is what one read gave.
type chunk struct {
	b   []byte
	err error
}

// read reads the output in pieces, as long as copy gives it room for them.
func (o *output) read(room <-chan []byte, full chan<- chunk) {
	for b := range room {
		n, err := o.from.Read(b)
		full <- chunk{b[:n], err}
		if err != nil {
			return
		}
	}
}

// copy passes the output on until its end. When the child has ended, finish does the rest.
func (o *output) copy(ended <-chan struct{}, patience time.Duration) (isLeft bool, err error) {
	room, full := make(chan []byte, 2), make(chan chunk, 2)
	defer close(room)
	room <- make([]byte, chunkSize)
	room <- make([]byte, chunkSize)
	go o.read(room, full)
	question, abandon := stoppedTimer(), stoppedTimer()
	defer question.Stop()
	defer abandon.Stop()
	if o.masked.Waits() { // another process began
		question.Reset(prompt)
	}
	for {
		select {
		case c := <-full:
			if done, err := o.pass(c); done {
				return false, err
			}
			if c.err != nil { // the deadline that the end of the child has set
				return o.finish(c.b[:cap(c.b)], patience)
			}
			room <- c.b[:cap(c.b)]
			if question.Stop(); o.masked.Waits() {
				question.Reset(prompt)
			}
		case <-question.C:
			if err := o.masked.LetGo(); err != nil {
				_ = o.from.Close()
				return false, brokenOrNot(err)
			}
		case <-ended:
			if ended = nil; o.from.SetReadDeadline(time.Now()) != nil {
				abandon.Reset(patience) // there are no deadlines for pipes here
			}
		case <-abandon.C:
			return true, nil // read keeps what it has
		}
	}
}

// pass passes on what one read gave. done says that this was the last: the output has ended, or
// nobody takes it any more.
func (o *output) pass(c chunk) (done bool, err error) {
	if _, err := o.masked.Write(c.b); err != nil {
		_ = o.from.Close() // whoever writes is told so
		return true, brokenOrNot(err)
	}
	if c.err == nil || errors.Is(c.err, os.ErrDeadlineExceeded) {
		return false, nil
	}
	_ = o.from.Close()
	return true, brokenOrNot(o.masked.Close())
}

// finish passes on the last bytes in the pipe after the child has ended. If the output does not
// end then, somebody else holds it: finish returns isLeft after patience,
// whether that somebody writes or not.
func (o *output) finish(b []byte, patience time.Duration) (isLeft bool, err error) {
	_ = o.from.SetReadDeadline(time.Time{})
	for left := inPipe(o.from); left > 0; {
		n, err := o.from.Read(b[:min(left, len(b))])
		if done, err := o.pass(chunk{b[:n], err}); done {
			return false, err
		}
		left -= n
	}
	_ = o.from.SetReadDeadline(time.Now().Add(patience))
	for {
		n, err := o.from.Read(b)
		if done, err := o.pass(chunk{b[:n], err}); done {
			return false, err
		}
		if err != nil && !hasEnded(o.from) {
			return true, nil
		}
		if err != nil { // this process slept too long
			_ = o.from.SetReadDeadline(time.Time{})
		}
	}
}

func stoppedTimer() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// brokenOrNot leaves out the error of a reader that went away: that is between it and the
// program, which finds out by itself.
func brokenOrNot(err error) error {
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) {
		return nil
	}
	return err
}
