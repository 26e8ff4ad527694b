package commands

import (
	"errors"
	"strings"

	"ass/vault"
)

type requestCmd struct {
	Path   string `arg:"" help:"Secret that is needed; your scopes must cover reading it."`
	Reason string `help:"What it is needed for, for the human." required:"" placeholder:"TEXT"`
	patience
}

func (requestCmd) Help() string {
	return `For an agent or a token. The human sees the request in ass approvals list, and types the
value in with ass approvals approve. With --wait, ends with 0 when the secret is there,
with 5 when the request is denied, and with 6 at the end of --timeout.`
}

func (c requestCmd) Run(a *app) error {
	if c.Timeout < 0 {
		return usagef("--timeout must not be negative")
	}
	if a.reason = strings.TrimSpace(c.Reason); a.reason == "" {
		return usagef("--reason is empty").
			hint("say what the secret is needed for")
	}
	p, err := a.path(c.Path)
	if err != nil {
		return err
	}
	var asked vault.Request
	err = a.withSession(access{itself: true}, func(s *vault.Session) (err error) {
		asked, err = s.Ask(p)
		return err
	})
	if err == nil {
		a.changed("request %s waits for a human", asked.ID)
	}
	switch {
	case errors.Is(err, vault.ErrThere):
		return errorf(vault.ErrConflict, "%v", err).
			hint("to read it: ass secrets get %s", p)
	case err != nil:
		return err
	case c.Wait:
		done, err := approvalsWait{IDs: []string{asked.ID}, Timeout: c.Timeout}.until(a)
		if err != nil {
			return err
		}
		return a.answer(requestJSONOf(done[0]), func() { a.out.done("There: %s", p) })
	}
	return a.answer(requestJSONOf(asked), func() {
		a.out.done("Requested: %s", asked.ID)
		a.out.note("a human types it in with: ass approvals approve %s", asked.ID)
	})
}
