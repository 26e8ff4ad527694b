package redact

import (
	"encoding/json"
	"errors"
	"io"
)

// Stream is an output in which secrets are masked. Secrets that overlap are masked as one, with
// a mark for each text that reaches further than those before it.
//
// A Stream holds back only what can still become a secret. LetGo ends that, for a program
// that waits for an answer. The stream remembers what it let go: if the rest of a secret follows,
// that rest is masked.
type Stream struct {
	w       io.Writer
	needles *Needles // nil: everything passes
	out     []byte
	state
}

// state is what a stream knows about the output so far.
type state struct {
	Held    []byte // what can still become a secret
	Gone    int    // how much of Held has been written
	Covered int    // how much of Held, from its beginning, is part of a text in front of it
	Mark    string // of that text
	Before  int    // the byte in front of Held, -1 for none
}

// NewStream returns a stream that writes to w.
func NewStream(w io.Writer, n *Needles) *Stream {
	return &Stream{w: w, needles: n, state: state{Before: -1}}
}

// Write takes the next bytes of the output.
func (s *Stream) Write(p []byte) (int, error) {
	if s.needles == nil {
		return s.w.Write(p)
	}
	if len(s.Held) == 0 { // nothing to put together: no copy
		err := s.take(p, false)
		return len(p), err
	}
	s.Held = append(s.Held, p...)
	err := s.take(s.Held, false)
	return len(p), err
}

// Waits reports whether bytes are held back that LetGo would write.
func (s *Stream) Waits() bool { return len(s.Held) > s.Gone }

// LetGo writes what is held back, as if nothing followed it.
func (s *Stream) LetGo() error {
	if !s.Waits() {
		return nil
	}
	before := s.state
	held := append([]byte(nil), s.Held...)
	err := s.take(s.Held, true)
	s.state = before
	s.Held, s.Gone = held, len(held)
	return err
}

// Close writes what is held back, and wipes it.
func (s *Stream) Close() error {
	err := s.LetGo()
	clear(s.Held)
	clear(s.out[:cap(s.out)])
	s.Held, s.Gone = nil, 0
	return err
}

// take writes b, as far as what follows cannot change it, and holds back the rest.
func (s *Stream) take(b []byte, last bool) error {
	s.out = s.out[:0]
	at, raw := 0, 0 // all before at is decided; from raw on it is not in s.out yet
	masked := false
	pass := func(to int) { // b[raw:to] is as it is, but for what is written or masked
		if from := max(raw, s.Gone, s.Covered); from < to {
			s.out = append(s.out, b[from:to]...)
		}
		raw = max(raw, to)
	}
	for at < len(b) {
		next := s.needles.next(b, at)
		if next == len(b) {
			at = next
			break
		}
		before := s.Before
		if next > 0 {
			before = int(b[next-1])
		}
		found, wait := s.needles.at(b[next:], before, last)
		at = next
		if wait {
			break
		}
		at++
		if found == nil {
			continue
		}
		end := next + len(found.text)
		if end <= s.Covered {
			continue
		}
		pass(next)
		if end > s.Gone && (next >= s.Covered || found.mark != s.Mark) {
			s.out = append(s.out, found.mark...)
		}
		s.Covered, s.Mark, masked = end, found.mark, true
	}
	out := b[:at] // the usual case: no copy
	if masked || s.Gone > 0 || s.Covered > 0 {
		pass(at)
		out = s.out
	}
	if at > 0 {
		s.Before = int(b[at-1])
	}
	s.Gone, s.Covered = max(s.Gone-at, 0), max(s.Covered-at, 0)
	var err error
	if len(out) > 0 {
		_, err = s.w.Write(out)
	}
	s.Held = append(s.Held[:0], b[at:]...)
	return err
}

// handed is a stream on its way to another process.
type handed struct {
	State   state
	Texts   [][]byte
	Marks   []string
	OfWords []bool
}

// Hand returns the state of a stream and what it searches for, for another process that goes
// on with it.
func (s *Stream) Hand() ([]byte, error) {
	h := handed{State: s.state}
	if s.needles != nil {
		for _, t := range s.needles.short {
			h.Texts, h.Marks, h.OfWords = append(h.Texts, []byte(t.text)), append(h.Marks, t.mark), append(h.OfWords, t.word)
		}
	}
	return json.Marshal(h)
}

// Resume returns the stream that Hand described, to write to w. It returns an error for
// bytes that Hand cannot have written.
func Resume(b []byte, w io.Writer) (*Stream, error) {
	var h handed
	if err := json.Unmarshal(b, &h); err != nil {
		return nil, err
	}
	var list []needle
	for i, text := range h.Texts {
		if len(text) == 0 || i >= len(h.Marks) || i >= len(h.OfWords) {
			return nil, errors.New("the state of a stream has a text without a mark")
		}
		list = append(list, needle{string(text), h.Marks[i], h.OfWords[i]})
	}
	s := NewStream(w, index(list))
	s.state = h.State
	return s, nil
}
