package commands

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"ass/audit"
	"ass/vault"
)

type openCmd struct {
	NoBrowser bool `help:"Write the page and print its path without opening it."`
}

func (openCmd) Help() string {
	return `Writes one page, for your eyes alone, into the runtime folder: the vault's health, what
secrets there are (never a value), agents and what each can open in which namespace,
what each has read day by day, live tokens, requests that wait, and the audit log. The
page loads nothing and sends nothing. It shows the vault as it was then; run it again
for another.

Of a large vault it shows a part, and names the commands that show the rest.`
}

func (c openCmd) Run(a *app) error {
	dir, err := a.runtimeFolder()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "dashboard-"+fileSafe(a.profile())+".html")
	h, err := a.find()
	if err != nil {
		return err
	}
	if err := privateFolder(dir, ownRuntime); err != nil {
		return err
	}
	var page []byte
	err = a.withSession(access{readOnly: true, owner: "see all of the vault", progress: "verifying"},
		func(s *vault.Session) error {
			d, err := a.collect(s, h)
			if err == nil {
				page = d.render()
			}
			return err
		})
	if err != nil {
		return err
	}
	if err := a.writePrivate(path, page); err != nil {
		return err
	}
	a.changed("the page is at %s", a.tilde(path))
	url := fileURL(path)
	if a.JSON {
		if err := a.out.json(openResult{Path: path, URL: url}); err != nil {
			return err
		}
	}
	if c.NoBrowser {
		if !a.JSON {
			a.out.line("%s", path)
		}
		return nil
	}
	if !a.JSON {
		a.out.line("Opening %s ...", url)
	}
	a.closePassphrases()
	if err := a.openBrowser(url); err != nil {
		a.out.note("no browser could be started; open the page yourself: %s", path)
	}
	return nil
}

// openBrowser asks the desktop to show a page. It does not wait for the browser.
func (a *app) openBrowser(url string) error {
	program := map[string][]string{
		"darwin":  {"open", url},
		"windows": {"rundll32", "url.dll,FileProtocolHandler", url},
	}[runtime.GOOS]
	if program == nil {
		program = []string{"xdg-open", url}
	}
	found, err := a.lookPath(program[0])
	if err != nil {
		return err
	}
	return a.begin(exec.Command(found, program[1:]...))
}

func isDenied(e audit.Event) bool { return strings.HasSuffix(e.Type, audit.Denied) }
