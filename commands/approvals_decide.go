package commands

import (
	"fmt"
	"slices"
	"strings"

	"ass/vault"
)

// How the owner decides on requests that the command line names.

type approvalsApprove struct {
	IDs   []string `arg:"" name:"id" help:"Ids of requests, or the beginnings of ids."`
	Force bool     `short:"f" help:"Skip the confirmation; ass still asks for the passphrase."`
}

func (approvalsApprove) Help() string {
	return `Shows who asks, for what and why, and what that agent has read lately. Where the owner
key has a passphrase, it is asked for on the terminal, or read from --passphrase-fd,
each time. Fails if a secret has moved on since it was shown. Approves all of the
requests, or none.`
}

func (c approvalsApprove) Run(a *app) error {
	const what = "approve requests"
	if a.PassphraseFD != nil && *a.PassphraseFD == 0 {
		return usagef("an approval does not read the passphrase from stdin; use a terminal, or another descriptor with " +
			"--passphrase-fd")
	}
	shown, err := a.showRequests(c.IDs, what)
	if err != nil {
		return err
	}
	if asks := slices.IndexFunc(shown, asksForSecret); asks >= 0 {
		return c.provide(a, shown, asks)
	}
	if err := a.confirm(c.Force, "Approve "+describeCount(len(shown))+"?"); err != nil {
		return err
	}
	return a.decided(shown, what, "Approved", func(s *vault.Session) error { return s.Approve(shown) })
}

// asksForSecret reports whether a request asks for a secret that is not there.
func asksForSecret(q vault.Request) bool { return q.Action == vault.RequestCreate && q.Current == 0 }

// provide asks for the value of a secret that an agent asked for, and stores it.
func (c approvalsApprove) provide(a *app, shown []vault.Request, asks int) error {
	q := shown[asks]
	switch {
	case len(shown) > 1:
		return usagef("request %s asks for a secret that is not there, and you type it in: approve that one alone", q.ID)
	case !a.interactive():
		return usagef("request %s asks for a secret that is not there: approve it on a terminal, where you can type it in, or "+
			"store it first: ass secrets set %s", q.ID, q.Path)
	}
	value, err := a.askValue(fmt.Sprintf("Value of %s (empty to stop): ", q.Path))
	if err != nil {
		return err
	}
	if value == "" {
		return errorf(errDeclined, "nothing was stored; the request still waits")
	}
	return a.decided(shown, "approve requests", "Approved", func(s *vault.Session) error {
		return s.Provide(q, []byte(value))
	})
}

type approvalsDeny struct {
	IDs    []string `arg:"" name:"id" help:"Ids of requests, or the beginnings of ids."`
	Reason string   `short:"r" help:"Why; the agent sees it." required:"" placeholder:"TEXT"`
	Force  bool     `short:"f" help:"Skip the confirmation."`
}

func (c approvalsDeny) Run(a *app) error {
	const what = "deny requests"
	if strings.TrimSpace(c.Reason) == "" {
		return usagef("--reason is empty; say why, for the agent")
	}
	shown, err := a.showRequests(c.IDs, what)
	if err != nil {
		return err
	}
	// A denial gives nothing away, so without a terminal it needs no confirmation.
	if a.interactive() {
		if err := a.confirm(c.Force, "Deny "+describeCount(len(shown))+"?"); err != nil {
			return err
		}
	}
	return a.decided(shown, what, "Denied", func(s *vault.Session) error { return s.Deny(shown, c.Reason) })
}

func describeCount(n int) string {
	if n == 1 {
		return "this request"
	}
	return fmt.Sprintf("these %d requests", n)
}

func (a *app) decided(shown []vault.Request, what, said string, decide func(*vault.Session) error) error {
	return a.withSession(access{owner: what}, func(s *vault.Session) error {
		if err := decide(s); err != nil {
			return err
		}
		ids := make([]string, len(shown))
		for i, q := range shown {
			ids[i] = q.ID
		}
		a.changed("%s: %s", strings.ToLower(said), strings.Join(ids, ", "))
		return a.answer(decidedResult{IDs: ids, Status: strings.ToLower(said)}, func() {
			for _, id := range ids {
				a.out.done("%s: %s", said, id)
			}
		})
	})
}

// showRequests finds the requests and shows, on stderr, what a person needs to
// know before a decision.
func (a *app) showRequests(ids []string, what string) ([]vault.Request, error) {
	var shown []vault.Request
	err := a.withSession(access{readOnly: true, owner: what}, func(s *vault.Session) error {
		list, err := s.Requests()
		if err != nil {
			return err
		}
		byID := map[string]vault.Request{}
		for _, q := range list {
			byID[q.ID] = q
		}
		lately := reads{}
		seen := map[string]bool{}
		for _, id := range ids {
			q, whole := byID[id]
			if !whole {
				if q, err = findRequest(s, list, id); err != nil {
					return err
				}
			}
			if q.Doubt != nil {
				return q.Doubt
			}
			if !seen[q.ID] {
				seen[q.ID] = true
				shown = append(shown, q)
				lately[q.Requester], lately[q.Agent] = nil, nil
			}
		}
		if err := lately.fill(s); err != nil {
			return err
		}
		for _, q := range shown {
			a.showRequest(q, lately.of(q))
		}
		return nil
	})
	return shown, err
}
