// Package pinentry asks a person for a passphrase in a window, through a pinentry program. It speaks the Assuan protocol
// as far as pinentry's manual describes it (https://www.gnupg.org/documentation/manuals/assuan/Server-responses.html).
package pinentry

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Question is what the window shows.
type Question struct {
	Title, Description, Prompt string
	Options                    []string // such as "ttyname=/dev/pts/3"
}

var (
	// ErrCancelled says that the person closed the window, or that its time ran out.
	ErrCancelled = errors.New("cancelled")

	// ErrProtocol says that the program answered with something else than a pinentry answers.
	ErrProtocol = errors.New("this is not a pinentry")
)

// Seconds is how long the window waits for an answer.
const Seconds = 300

// maxLine is Assuan's limit of a line.
const maxLine = 1000

// Ask holds the dialog with a pinentry: it reads what the program says from r, and writes to w. It returns what the person
// typed. No error repeats it.
func Ask(r io.Reader, w io.Writer, q Question) (typed string, err error) {
	c := conversation{r: bufio.NewReaderSize(r, maxLine+2), w: w}
	if _, err := c.answer(); err != nil { // the greeting
		return "", err
	}
	for _, o := range q.Options {
		if err := c.say("OPTION " + o); err != nil {
			return "", err
		}
		if _, err := c.answer(); err != nil && !errors.Is(err, errRefused) { // a program may not know it
			return "", err
		}
	}
	for _, line := range []string{fmt.Sprint("SETTIMEOUT ", Seconds), "SETTITLE " + escape(q.Title), "SETDESC " + escape(q.Description),
		"SETPROMPT " + escape(q.Prompt)} {
		if err := c.say(line); err != nil {
			return "", err
		}
		if _, err := c.answer(); err != nil && !errors.Is(err, errRefused) {
			return "", err
		}
	}
	if err := c.say("GETPIN"); err != nil {
		return "", err
	}
	typed, err = c.answer()
	if errors.Is(err, errRefused) {
		err = ErrCancelled
	}
	if err == nil {
		_ = c.say("BYE")
	}
	return typed, err
}

var errRefused = errors.New("refused")

type conversation struct {
	r *bufio.Reader
	w io.Writer
}

func (c conversation) say(line string) error {
	if len(line) > maxLine {
		line = line[:maxLine]
	}
	if _, err := io.WriteString(c.w, line+"\n"); err != nil {
		return fmt.Errorf("%w: it does not listen", ErrProtocol)
	}
	return nil
}

// answer reads up to the end of an answer, and returns the data in it.
func (c conversation) answer() (data string, err error) {
	var b strings.Builder
	for lines := 0; lines < 1000; lines++ {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return "", fmt.Errorf("%w: it ended without an answer", ErrProtocol)
		}
		text := strings.TrimRight(string(line), "\r\n")
		word, rest, _ := strings.Cut(text, " ")
		switch word {
		case "OK":
			return b.String(), nil
		case "ERR":
			return "", errRefused
		case "D":
			if b.Len() > 64<<10 {
				return "", fmt.Errorf("%w: its answer is too long", ErrProtocol)
			}
			b.WriteString(unescape(rest))
		case "S", "#", "":
		default:
			if !strings.HasPrefix(text, "#") {
				return "", ErrProtocol
			}
		}
	}
	return "", ErrProtocol
}

// escape writes a text as Assuan takes it: on one line.
func escape(s string) string {
	return strings.NewReplacer("%", "%25", "\n", "%0A", "\r", "%0D").Replace(s)
}

// unescape is the inverse of escape, for any byte.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			var c byte
			if n, err := fmt.Sscanf(s[i+1:i+3], "%02x", &c); n == 1 && err == nil {
				b.WriteByte(c)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
