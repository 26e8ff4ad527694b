package commands

import (
	"io"
	"os"

	"ass/vault"
)

type injectCmd struct {
	In        string `short:"i" help:"Template to read; - is stdin." default:"-" placeholder:"FILE"`
	Out       string `short:"o" help:"File to write, for its owner alone; - is stdout." default:"-" placeholder:"FILE"`
	Force     bool   `help:"Overwrite a file that ass did not write."`
	Namespace string `short:"n" help:"Namespace of names without a slash." placeholder:"NS"`
	asking
	patience
	logging
}

func (injectCmd) Help() string {
	return `Each {{ ass://path }} in the template is replaced by the value of that secret, byte for
byte. All of them are filled, or nothing is written.`
}

func (c injectCmd) Run(a *app) error {
	a.unlogged = c.Unlogged
	a.namespace = a.namedNamespace(c.Namespace)
	if c.Out != "-" && (c.In == "-" || a.confined || !a.sameFile(c.In, c.Out)) {
		if err := a.mayOverwrite(c.Out, c.Force); err != nil {
			return err
		}
	}
	template, err := c.read(a)
	if err != nil {
		return err
	}
	paths, err := a.placeholders(template)
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		a.out.warn("the template names no secret; a placeholder looks like {{ ass://production/stripe/KEY }}")
		return c.write(a, template, 0)
	}
	var g gathered
	err = c.with(a, func() error {
		return a.withSession(access{}, func(s *vault.Session) (err error) {
			g, err = gather(s, paths)
			return err
		})
	})
	if err != nil {
		return err
	}
	text, err := a.fill(template, g)
	if err != nil {
		return err
	}
	return c.write(a, text, len(paths))
}

// sameFile reports whether a template is to be filled in place.
func (w *world) sameFile(in, out string) bool {
	a, err := os.Stat(w.at(in))
	if err != nil {
		return false
	}
	b, err := os.Stat(w.at(out))
	return err == nil && os.SameFile(a, b)
}

func (c injectCmd) read(a *app) ([]byte, error) {
	const most = 16 << 20
	if c.In != "-" {
		return readSmall(a.at(c.In), most)
	}
	if err := a.stdinIsFree(); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(a.in, most+1))
	if err == nil && len(b) > most {
		err = usagef("the template is larger than %s", size(most))
	}
	return b, err
}

func (c injectCmd) write(a *app, text []byte, secrets int) error {
	if c.Out == "-" {
		a.out.print(text)
		clear(text)
		return nil
	}
	if err := a.writeOutput(c.Out, text); err != nil {
		return err
	}
	a.changed("%s is written", c.Out)
	return a.answer(injectResult{Output: c.Out, Secrets: secrets}, func() {
		a.out.done("Wrote %s with %s", c.Out, plural(secrets, "secret"))
	})
}
