package commands

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"
)

// The rules of prompts:
//
//   - Nothing prompts unless stdin is a terminal.
//   - A prompt goes to the terminal itself, never to stdout, which may be a pipe
//     that carries a value.
//   - The vault is never open, and its lock never held, while a person thinks.
//   - Ctrl-C ends the program with the terminal as it was.

// interactive reports whether a person can be asked.
func (a *app) interactive() bool { return isTerminal(a.in) }

// terminal is where prompts go: the controlling terminal, or stderr where there
// is none.
func (a *app) terminal() (w io.Writer, done func()) {
	if tty, err := os.OpenFile("/dev/tty", os.O_WRONLY, 0); err == nil {
		return tty, func() { tty.Close() }
	}
	return a.out.errw, func() {}
}

// ask reads a line.
func (a *app) ask(prompt string) (string, error) {
	return a.prompt(prompt, "", func() (string, error) { return readLine(a.in) })
}

// askHidden reads a line that does not appear on the terminal.
func (a *app) askHidden(prompt string) (string, error) {
	return a.prompt(prompt, "\n", func() (string, error) {
		b, err := term.ReadPassword(int(a.in.Fd()))
		return string(b), err
	})
}

// prompt writes a prompt, reads the answer and writes what comes behind it: the
// newline that a person typed and did not see.
func (a *app) prompt(prompt, behind string, read func() (string, error)) (string, error) {
	w, done := a.terminal()
	defer done()
	fd := int(a.in.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	if _, err := io.WriteString(w, prompt); err != nil {
		return "", err
	}
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(stop)
	go func() {
		text, err := read()
		answers <- answer{text, err}
	}()
	select {
	case <-stop:
		_ = term.Restore(fd, state)
		_, _ = io.WriteString(w, "\n")
		return "", errorf(errInterrupted, "interrupted; nothing was changed")
	case got := <-answers:
		_ = term.Restore(fd, state)
		_, _ = io.WriteString(w, behind)
		if errors.Is(got.err, io.EOF) {
			_, _ = io.WriteString(w, "\n")
			return "", errorf(errInterrupted, "the input ended at a prompt; nothing was changed")
		}
		return got.text, got.err
	}
}

// readLine reads up to a newline, a byte at a time, so that what follows is left
// for the next prompt.
func readLine(r io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); ; {
		n, err := r.Read(b)
		if n == 1 && b[0] == '\n' {
			return strings.TrimSuffix(string(line), "\r"), nil
		}
		line = append(line, b[:n]...)
		if err == io.EOF && len(line) > 0 {
			return string(line), nil
		}
		if err != nil {
			return "", err
		}
		if len(line) > 1<<20 {
			return "", bufio.ErrTooLong
		}
	}
}

// confirm asks before an act that cannot be taken back. Where nobody can be
// asked, the act needs --force.
func (a *app) confirm(force bool, question string) error {
	if force {
		return nil
	}
	if !a.interactive() {
		return usagef("%s: nobody can be asked here; say yes with --force", strings.TrimSuffix(question, "?"))
	}
	answer, err := a.ask(question + " [y/N] ")
	if err != nil {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errorf(errDeclined, "nothing was changed")
}

// passphrase asks for the passphrase of the stored owner key, or reads it from
// --passphrase-fd.
func (a *app) passphrase() (string, error) {
	if a.PassphraseFD >= 0 {
		if a.passphrases == nil { // once: the descriptor is closed with the file
			a.passphrases = os.NewFile(uintptr(a.PassphraseFD), "passphrase")
		}
		line, err := readLine(a.passphrases)
		if err != nil && !errors.Is(err, io.EOF) {
			return "", usagef("--passphrase-fd: it cannot be read")
		}
		return line, nil
	}
	if !a.interactive() {
		return "", errorf(errNotLoggedIn, "the owner key of profile %s has a passphrase, and nobody can be asked here; give it with --passphrase-fd", a.Profile)
	}
	return a.askHidden("Passphrase: ")
}

// newPassphrase asks twice for a passphrase; empty is none.
func (a *app) newPassphrase() (string, error) {
	for {
		first, err := a.askHidden("Passphrase for the owner key (empty for none): ")
		if err != nil || first == "" {
			return "", err
		}
		second, err := a.askHidden("The same again: ")
		if err != nil {
			return "", err
		}
		if first == second {
			return first, nil
		}
		a.out.note("the two differ; once more")
	}
}
