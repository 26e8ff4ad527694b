package commands

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"ass/vault"
)

// The rules of prompts:
//
//   - Nothing prompts unless stdin is a terminal.
//   - A prompt goes to the terminal itself, never to stdout, which may be a pipe
//     that carries a value.
//   - The vault is never open, and no lock is held, while a person thinks.
//   - Ctrl-C and Ctrl-D end the program with the terminal as it was.

// interactive reports whether ass can ask the person: stdin is a terminal.
func (a *app) interactive() bool { return isTerminal(a.in) }

// terminal returns the descriptor of stdin, which must be a terminal.
func (a *app) terminal() int { return int(a.in.(*os.File).Fd()) }

// keyboard passes on what is typed. One goroutine reads for all prompts, so that a prompt can stop waiting. It reads
// only when a prompt asks for more: what is typed after a prompt is for the program that ass starts.
type keyboard struct {
	want   chan struct{} // asks for a chunk
	asked  bool
	chunks chan []byte // an empty one is Ctrl-D; closed when the terminal is gone
	held   []byte
	stop   chan os.Signal
}

func (a *app) keys() *keyboard {
	if a.keyboard == nil {
		k := &keyboard{want: make(chan struct{}, 1), chunks: make(chan []byte), stop: make(chan os.Signal, 1)}
		go func() {
			defer close(k.chunks)
			for range k.want {
				buf := make([]byte, 4096)
				n, err := a.in.Read(buf)
				if err != nil && !errors.Is(err, io.EOF) {
					return
				}
				k.chunks <- buf[:n]
			}
		}()
		a.keyboard = k
	}
	return a.keyboard
}

var errTimeout = errors.New("nothing was typed")

// next returns the next byte. If none comes before patience ends, it returns
// errTimeout. A nil patience never ends.
func (k *keyboard) next(patience <-chan time.Time) (byte, error) {
	if len(k.held) == 0 {
		if !k.asked {
			k.asked = true
			k.want <- struct{}{}
		}
		select {
		case chunk, open := <-k.chunks:
			k.asked = !open // once the terminal is gone, nobody answers
			if len(chunk) == 0 {
				return 0, errInterrupted
			}
			k.held = chunk
		case <-k.stop:
			return 0, errInterrupted
		case <-patience:
			return 0, errTimeout
		}
	}
	b := k.held[0]
	k.held = k.held[1:]
	return b, nil
}

// line reads up to a newline. The terminal edits and shows the line.
func (k *keyboard) line() (string, error) {
	var line []byte
	for {
		b, err := k.next(nil)
		if err != nil {
			return "", err
		}
		if b == '\n' {
			return string(line), nil
		}
		line = append(line, b)
	}
}

// What keys send in raw mode.
const (
	ctrlC         = 3
	ctrlD         = 4
	backspace     = 8
	ctrlU         = 21
	ctrlZ         = 26
	ctrlBackslash = 28
	del           = 127
)

// hiddenLine reads up to Enter on a terminal in raw mode. It handles the editing keys
// itself and, unlike the terminal, has no limit of 4095 bytes.
func (k *keyboard) hiddenLine() (string, error) {
	var line []byte
	for {
		b, err := k.next(nil)
		switch {
		case err != nil:
			return "", err
		case b == '\r' || b == '\n':
			return string(line), nil
		case b == ctrlC, b == ctrlBackslash, b == ctrlD && len(line) == 0:
			return "", errInterrupted
		case b == backspace || b == del:
			_, n := utf8.DecodeLastRune(line)
			line = line[:len(line)-n]
		case b == ctrlU:
			line = line[:0]
		case b == ctrlZ || b == ctrlD:
		case len(line) > vault.MaxValueBytes:
			return "", usagef("the typed value is too large")
		default:
			line = append(line, b)
		}
	}
}

// drained reads and drops what was typed after the line, as when several lines are
// pasted, so that no shell runs it. It reports whether there was any text.
func (k *keyboard) drained() (more bool, err error) {
	for {
		b, err := k.next(time.After(50 * time.Millisecond))
		if errors.Is(err, errTimeout) {
			return more, nil
		}
		if err != nil {
			return more, err
		}
		more = more || b >= ' '
	}
}

// dropTyped drops what was pasted behind the line that was read, also without a newline.
func (a *app) dropTyped() error {
	return a.onTerminal("", "", true, func(k *keyboard) error {
		_, err := k.drained()
		return err
	})
}

// ask shows a prompt and reads a line.
func (a *app) ask(prompt string) (answer string, err error) {
	err = a.onTerminal(prompt, "", false, func(k *keyboard) (err error) {
		answer, err = k.line()
		return err
	})
	return answer, err
}

// askHidden reads a line that does not appear on the terminal.
func (a *app) askHidden(prompt string) (answer string, err error) {
	err = a.hidden(prompt, func(k *keyboard) (err error) {
		answer, err = k.hiddenLine()
		return err
	})
	return answer, err
}

// askValue is askHidden for a value. It refuses more than one line, which a person can
// easily paste.
func (a *app) askValue(prompt string) (value string, err error) {
	err = a.hidden(prompt, func(k *keyboard) (err error) {
		if value, err = k.hiddenLine(); err != nil {
			return err
		}
		more, err := k.drained()
		if err == nil && more {
			err = usagef("more than one line was typed, and a prompt takes only one").
				hint("pass the value with --file or through stdin")
		}
		return err
	})
	return value, err
}

// hidden runs read with the terminal in raw mode. Then it writes the newline that the
// person typed and did not see.
func (a *app) hidden(prompt string, read func(*keyboard) error) error {
	return a.onTerminal(prompt, "\n", true, read)
}

// onTerminal writes a prompt, runs read, and puts the terminal back as it was. If raw is set, the terminal shows
// nothing of what is typed, from before the prompt is there.
func (a *app) onTerminal(prompt, behind string, raw bool, read func(*keyboard) error) error {
	var w io.Writer = a.out.errw
	if tty, err := os.OpenFile("/dev/tty", os.O_WRONLY, 0); err == nil {
		defer tty.Close()
		w = tty
	}
	k, fd := a.keys(), a.terminal()
	// Only while the prompt is shown: after it, Ctrl-C ends the program again.
	signal.Notify(k.stop, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(k.stop)
	state, err := term.GetState(fd)
	if err != nil {
		return err
	}
	if raw {
		_, err = term.MakeRaw(fd)
	}
	if err == nil {
		_, err = io.WriteString(w, clean(prompt))
	}
	if err == nil {
		err = read(k)
	}
	_ = term.Restore(fd, state)
	if err != nil {
		behind = "\n"
	}
	_, _ = io.WriteString(w, behind)
	if errors.Is(err, errInterrupted) {
		return errorf(errInterrupted, "interrupted")
	}
	return err
}

// confirm asks before an act that cannot be undone. If stdin is not a terminal, the act
// needs --force.
func (a *app) confirm(force bool, question string) error {
	if force {
		return nil
	}
	if !a.interactive() {
		return usagef("stdin is not a terminal").
			hint("pass --force to confirm: %s", strings.TrimSuffix(question, "?"))
	}
	answer, err := a.ask(question + " [y/N] ")
	if err != nil {
		return err
	}
	if isYes(answer) {
		return nil
	}
	return errorf(errDeclined, "nothing was changed")
}

func isYes(answer string) bool {
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}

// quietQuit makes Ctrl-\ end a waiting program as Ctrl-C does, without the stack traces
// that Go would print.
func (a *app) quietQuit() {
	if !a.ownsProcess() {
		return
	}
	quit := make(chan os.Signal, 1)
	signal.Notify(quit, syscall.SIGQUIT)
	go func() {
		<-quit
		os.Exit(exitInterrupted)
	}()
}
