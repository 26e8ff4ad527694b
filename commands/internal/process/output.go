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

// copy passes the output on until its end. When the child has ended, so has its output: if
// somebody else holds it still, copy returns isLeft once it was silent for patience, or
// has written for that long.
func (o *output) copy(ended <-chan struct{}, patience time.Duration) (isLeft bool, err error) {
	room, full := make(chan []byte, 2), make(chan chunk, 2)
	defer close(room)
	room <- make([]byte, chunkSize)
	room <- make([]byte, chunkSize)
	go o.read(room, full)
	question, silence := stoppedTimer(), stoppedTimer()
	defer question.Stop()
	defer silence.Stop()
	if o.masked.Waits() { // another process began
		question.Reset(prompt)
	}
	var end time.Time // of the child
	ofChild := 0      // how many bytes may still be its own
	for {
		select {
		case c := <-full:
			if _, err := o.masked.Write(c.b); err != nil {
				_ = o.from.Close() // whoever writes is told so
				return false, brokenOrNot(err)
			}
			switch {
			case errors.Is(c.err, os.ErrDeadlineExceeded):
				return true, nil
			case c.err != nil:
				_ = o.from.Close()
				return false, brokenOrNot(o.masked.Close())
			}
			room <- c.b[:cap(c.b)]
			if question.Stop(); o.masked.Waits() {
				question.Reset(prompt)
			}
			if !end.IsZero() {
				if ofChild -= len(c.b); ofChild < 0 && time.Since(end) > patience {
					silence.Reset(0)
				} else {
					silence.Reset(patience)
				}
			}
		case <-question.C:
			if err := o.masked.LetGo(); err != nil {
				_ = o.from.Close()
				return false, brokenOrNot(err)
			}
		case <-ended:
			ended, end, ofChild = nil, time.Now(), chunkSize+2*chunkSize
			silence.Reset(patience)
		case <-silence.C:
			if o.from.SetReadDeadline(time.Now()) != nil {
				return true, nil // there are no deadlines for pipes here; read keeps what it has
			}
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
