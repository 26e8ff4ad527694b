package commands

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"ass/audit"
	"ass/vault"
)

// How the owner decides on requests that the command line names.

type approvalsApprove struct {
	IDs   []string `arg:"" optional:"" name:"id" help:"Ids of requests, or the beginnings of ids."`
	All   bool     `help:"Approve every request that waits, each on its own."`
	Agent string   `help:"With --all: only what this agent and its tokens ask for." placeholder:"NAME"`
	Force bool     `short:"f" help:"Skip the confirmation; ass still asks for the passphrase. Only whole ids count."`
}

func (approvalsApprove) Help() string {
	return `Shows who asks, for what and why, and what that agent has read lately. Where the owner
key has a passphrase, it is asked for on the terminal, or read from --passphrase-fd,
each time. Fails if a request is not as it was shown, or a secret has moved on since.
Approves all of the requests that are named, or none. With --all, it leaves out those
that cannot be approved, and says so.`
}

const approving, denying = "approve requests", "deny requests"

func (c approvalsApprove) Run(a *app) error {
	switch {
	case c.All && len(c.IDs) > 0:
		return usagef("--all is every request that waits").
			hint("leave the ids out")
	case c.Agent != "" && !c.All:
		return usagef("--agent goes with --all")
	case !c.All && len(c.IDs) == 0:
		return usagef("which request? Name its id, or pass --all").
			hint("list them with: ass approvals list")
	}
	if err := a.passphraseNotFromStdin(); err != nil {
		return err
	}
	if c.All {
		return c.all(a)
	}
	shown, err := a.showRequests(c.IDs, approving, c.Force)
	if err != nil {
		return err
	}
	if asks := slices.IndexFunc(shown, asksForSecret); asks >= 0 {
		return c.provide(a, shown, asks)
	}
	if err := a.confirm(c.Force, "Approve "+describeCount(len(shown))+"?"); err != nil {
		return err
	}
	return a.decided(shown, approving, "Approved", func(s *vault.Session) error { return s.Approve(shown) })
}

// passphraseNotFromStdin refuses a passphrase from where a script has its input: an approval is for a person.
func (a *app) passphraseNotFromStdin() error {
	if a.PassphraseFD != nil && *a.PassphraseFD == 0 {
		return usagef("an approval does not read the passphrase from stdin").
			hint("use a terminal, or another descriptor with --passphrase-fd")
	}
	return nil
}

// all approves every request that waits. One that cannot be approved does not stop the others: an agent could make such a
// one.
func (c approvalsApprove) all(a *app) error {
	var (
		shown  []vault.Request
		lately = reads{}
		hidden error
	)
	err := a.withSession(access{readOnly: true, owner: approving}, func(s *vault.Session) error {
		list, err := pendingOf(s, c.Agent)
		if err != nil {
			return err
		}
		for _, q := range list {
			switch {
			case q.Doubt != nil:
				a.out.warn("request %s cannot be approved: %v", q.ID, q.Doubt)
			case asksForSecret(q):
				a.out.note("request %s is left out: it asks for a secret that is not there, and you type it in: ass approvals "+
					"approve %s", q.ID, q.ID)
			default:
				shown = append(shown, q)
			}
		}
		hidden = s.Unlisted()
		return lately.fill(s, shown)
	})
	if err != nil {
		return err
	}
	if len(shown) == 0 {
		a.out.note("no requests to approve")
		return errors.Join(a.answer(decidedResult{IDs: []string{}, Status: vault.Approved}, func() {}), hidden)
	}
	for i, q := range shown {
		a.showRequest(fmt.Sprintf("%d of %d: ", i+1, len(shown)), q, lately.of(q))
	}
	if err := a.confirm(c.Force, "Approve "+describeCount(len(shown))+"?"); err != nil {
		return err
	}
	ids, not := []string{}, []error{}
	err = a.withSession(access{owner: approving}, func(s *vault.Session) error {
		for _, q := range shown {
			switch err := s.Approve([]vault.Request{q}); {
			case err == nil:
				ids = append(ids, q.ID)
			case isAboutOne(err):
				not = append(not, err)
			default:
				return err
			}
		}
		return nil
	})
	if len(ids) > 0 {
		a.changed("approved: %s", strings.Join(ids, ", "))
	}
	if err == nil {
		err = a.sayDecided(ids, "Approved")
	}
	return errors.Join(append(append([]error{err}, not...), hidden)...)
}

// isAboutOne reports whether an error is about one request, so that others can still be decided.
func isAboutOne(err error) bool {
	return errors.Is(err, vault.ErrConflict) || errors.Is(err, vault.ErrDamaged) || errors.Is(err, vault.ErrUnknown) ||
		errors.Is(err, vault.ErrNotFound)
}

// pendingOf lists the requests that wait, one of each agent in turn, so that an agent with many of them does not keep those
// of others from being seen. If an agent is named, it lists those of that agent.
func pendingOf(s *vault.Session, agent string) ([]vault.Request, error) {
	list, err := s.Requests()
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(q vault.Request) bool {
		return q.Status != vault.Pending || agent != "" && agent != q.Agent && agent != q.Name
	})
	if len(list) > 0 || agent == "" || agent == audit.Owner {
		return inTurn(list), nil
	}
	agents, err := s.Agents()
	if err != nil || slices.ContainsFunc(agents, func(g vault.Agent) bool { return g.ID == agent || g.Name == agent }) {
		return nil, err
	}
	if err := s.Unlisted(); err != nil { // it may be the agent
		return nil, err
	}
	return nil, errorf(vault.ErrNoAgent, "no agent %q", agent)
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
	return a.decided(shown, approving, "Approved", func(s *vault.Session) error {
		return s.Provide(q, []byte(value))
	})
}

type approvalsDeny struct {
	IDs    []string `arg:"" name:"id" help:"Ids of requests, or the beginnings of ids."`
	Reason string   `short:"r" help:"Why; the agent sees it." required:"" placeholder:"TEXT"`
	Force  bool     `short:"f" help:"Skip the confirmation. Only whole ids count."`
}

func (c approvalsDeny) Run(a *app) error {
	if strings.TrimSpace(c.Reason) == "" {
		return usagef("--reason is empty").
			hint("say why, for the agent")
	}
	shown, err := a.showRequests(c.IDs, denying, c.Force)
	if err != nil {
		return err
	}
	// A denial gives nothing away, so without a terminal it needs no confirmation.
	if a.interactive() {
		if err := a.confirm(c.Force, "Deny "+describeCount(len(shown))+"?"); err != nil {
			return err
		}
	}
	return a.decided(shown, denying, "Denied", func(s *vault.Session) error { return s.Deny(shown, c.Reason) })
}

func describeCount(n int) string {
	if n == 1 {
		return "this request"
	}
	return fmt.Sprintf("these %d requests", n)
}

func (a *app) decided(shown []vault.Request, what, said string, decide func(*vault.Session) error) error {
	ids := make([]string, len(shown))
	for i, q := range shown {
		ids[i] = q.ID
	}
	return a.withSession(access{owner: what}, func(s *vault.Session) error {
		if err := decide(s); err != nil {
			return err
		}
		a.changed("%s: %s", strings.ToLower(said), strings.Join(ids, ", "))
		return a.sayDecided(ids, said)
	})
}

// sayDecided answers with what was decided.
func (a *app) sayDecided(ids []string, said string) error {
	return a.answer(decidedResult{IDs: ids, Status: strings.ToLower(said)}, func() {
		for _, id := range ids {
			a.out.done("%s: %s", said, id)
		}
	})
}

// showRequests finds the requests and shows, on stderr, what a person needs to
// know before a decision. Where no person is asked after that, only whole ids count: since somebody saw the beginning of
// one, another request may have come that begins alike.
func (a *app) showRequests(ids []string, what string, force bool) ([]vault.Request, error) {
	if force || !a.interactive() {
		for _, id := range ids {
			if len(id) < wholeID {
				return nil, usagef("%s is not a whole id, and nobody is asked here whether it is the right request",
					id).
					hint("give the whole one: ass approvals list --json")
			}
		}
	}
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
		seen := map[string]bool{}
		for _, id := range ids {
			q, whole := byID[id]
			if !whole {
				if q, err = findRequest(s, list, id); err != nil {
					return err
				}
			}
			if q.Doubt != nil && what == approving {
				return q.Doubt
			}
			if !seen[q.ID] {
				seen[q.ID] = true
				shown = append(shown, q)
			}
		}
		lately := reads{}
		if err := lately.fill(s, shown); err != nil {
			return err
		}
		for _, q := range shown {
			a.showRequest("", q, lately.of(q))
		}
		return nil
	})
	return shown, err
}
