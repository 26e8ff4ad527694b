package commands

import (
	"io"
	"os"
	"strings"
	"time"

	"ass/tokens"
	"ass/vault"
)

// newValue holds the flags that say where a new value comes from.
type newValue struct {
	File       string `help:"Read the value from a file, exactly." placeholder:"FILE"`
	Generate   bool   `help:"Make a random value."`
	AllowEmpty bool   `help:"Store an empty value; without it, an empty value is taken for a mistake."`
	Length     *int   `help:"Characters of a generated value; 32 if omitted." placeholder:"N"`
	Charset    string `help:"What a generated value is made of: alnum (if omitted), alpha, digits, hex or ascii." placeholder:"SET"`
}

// read returns the new value. given is the argument or flag; nil for none.
func (n newValue) read(a *app, p tokens.Path, given *string) ([]byte, error) {
	sources := 0
	for _, has := range []bool{given != nil, n.File != "", n.Generate} {
		if has {
			sources++
		}
	}
	switch {
	case sources > 1:
		return nil, usagef("give the value in one way: the argument, --file, --generate or stdin")
	case !n.Generate && (n.Length != nil || n.Charset != ""):
		return nil, usagef("--length and --charset go with --generate")
	case n.Generate:
		length := 32
		if n.Length != nil {
			length = *n.Length
		}
		return vault.Generate(length, orElse(n.Charset, "alnum"))
	case n.File != "" && n.File != "-":
		f, err := os.Open(a.at(n.File))
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return readValue(f)
	case given != nil && *given != "-":
		if a.interactive() {
			a.out.warnOf(sayf("the value is now in the shell's history and was visible to other programs").
				hint("leave the value out, and ass prompts for it"))
		}
		return []byte(*given), nil
	case a.interactive():
		text, err := a.askValue("Value for " + p.String() + ": ")
		return []byte(text), err
	}
	if err := a.stdinIsFree(); err != nil {
		return nil, err
	}
	value, err := readValue(a.in)
	if n := len(value); err == nil && n > 1 && value[n-1] == '\n' && strings.Count(string(value), "\n") == 1 {
		a.out.note("the value ends with a newline, which is stored too; printf %%s writes none")
	}
	return value, err
}

// stdinIsFree returns an error if the passphrase comes from stdin.
func (a *app) stdinIsFree() error {
	if a.PassphraseFD != nil && *a.PassphraseFD == 0 {
		return usagef("the passphrase and this input both come from stdin").
			hint("give one of them another way")
	}
	return nil
}

// readValue reads a byte more than a value may have, so that the caller notices a value
// that is too large.
func readValue(r io.Reader) ([]byte, error) {
	return io.ReadAll(io.LimitReader(r, vault.MaxValueBytes+1))
}

// store reads the value and writes it. said is what the message says was done.
func (n newValue) store(a *app, name string, given *string, o vault.SetOptions, said string) error {
	p, err := a.path(name)
	if err != nil {
		return err
	}
	value, err := n.read(a, p, given)
	if err != nil {
		return err
	}
	if len(value) == 0 && !n.AllowEmpty { // the program that feeds the pipe may have failed
		return usagef("value: it is empty, so nothing was stored at %s", p).
			hint("to store an empty value: --allow-empty")
	}
	if err := vault.CheckSet(value, o); err != nil {
		return err // before the write can create a vault
	}
	return a.withSession(access{create: !o.Rotate, itself: o.Tier != 0}, func(s *vault.Session) error {
		secret, before, err := s.Set(p, value, o)
		if err != nil {
			return err
		}
		if before.Version > 0 && secret.Tier > before.Tier {
			if err := a.sayCopies(s, time.Time{}); err != nil {
				return err
			}
		}
		return a.wrote(secret, before, said)
	})
}
