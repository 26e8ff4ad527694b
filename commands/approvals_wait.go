package commands

import (
	"errors"
	"strings"
	"time"

	"ass/vault"
)

// How an agent waits until its requests are decided.

type approvalsWait struct {
	IDs     []string      `arg:"" name:"id" help:"Ids of requests, or their beginnings."`
	Timeout time.Duration `help:"How long to wait; 0 for as long as the requests live." default:"0"`
}

func (approvalsWait) Help() string {
	return `Ends with 0 when all of the requests are approved, with 5 when one is denied or has
expired, and with 6 when one still waits at the end of --timeout.`
}

func (c approvalsWait) Run(a *app) error {
	done, err := c.until(a)
	if err != nil {
		return err
	}
	return a.answer(requestsResult{Items: requestsJSON(done)}, func() {
		for _, q := range done {
			a.out.done("Approved: %s", q.ID)
		}
	})
}

// until waits, and returns the requests as they were decided.
func (c approvalsWait) until(a *app) ([]vault.Request, error) {
	if c.Timeout < 0 {
		return nil, usagef("--timeout must not be negative")
	}
	a.quietQuit()
	var pending []vault.Request // as they were when the vault was last free
	start, told := a.now(), false
	for {
		asked, still, err := c.look(a)
		if err == nil {
			pending = still
		}
		switch {
		case err != nil && !(told && errors.Is(err, vault.ErrBusy)):
			return nil, err
		case err == nil && len(pending) == 0:
			return asked, nil
		case c.Timeout > 0 && a.now().Sub(start) >= c.Timeout:
			return nil, &vault.ApprovalError{Requests: pending}
		case !told && !a.JSON:
			a.out.note("waiting for a human: %s", approveCommand(&vault.ApprovalError{Requests: pending}))
		}
		told = true
		time.Sleep(pollEvery)
	}
}

// look returns the requests, and those that wait for a decision. A denied or expired request is
// an error.
func (c approvalsWait) look(a *app) (asked, pending []vault.Request, err error) {
	err = a.withSession(access{readOnly: true, itself: true}, func(s *vault.Session) error {
		list, err := s.Requests()
		if err != nil {
			return err
		}
		for _, id := range c.IDs {
			q, err := findRequest(s, list, id)
			if err != nil {
				return err
			}
			if err := undecided(q); err != nil {
				return err
			}
			is := q.Action == vault.RequestCreate && q.Current > 0 // the human stored it, and that is what was asked for
			if asked = append(asked, q); q.Status == vault.Pending && !is {
				pending = append(pending, q)
			}
		}
		return nil
	})
	return asked, pending, err
}

// undecided returns the error of a request that nobody will approve any more.
func undecided(q vault.Request) error {
	switch {
	case q.Status == vault.Denied:
		return errorf(vault.ErrRefused, "the request to %s %s was denied: %s", q.Action, q.Path, q.Denial)
	case q.Status == vault.Expired && q.DecidedAt != nil:
		return errorf(vault.ErrRefused, "the approval to %s %s has expired", q.Action, q.Path).
			hint("ask again")
	case q.Ahead:
		return errorf(vault.ErrRefused, "the request to %s %s is dated %s, ahead of this machine's clock, so it "+
			"does not count", q.Action, q.Path, stamp(q.CreatedAt)).
			hint("ask again")
	case q.Status == vault.Expired:
		return errorf(vault.ErrRefused, "the request to %s %s expired without a decision", q.Action, q.Path)
	}
	return nil
}

// patience is whether a command waits for a human who must approve.
type patience struct {
	Wait    bool          `help:"If a human must approve, wait for the decision."`
	Timeout time.Duration `help:"How long to wait with --wait; 0 for as long as the request lives." default:"0"`
}

// with runs act, and waits if that is wanted. act may run several times.
func (p patience) with(a *app, act func() error) error {
	if p.Timeout < 0 {
		return usagef("--timeout must not be negative")
	}
	if !p.Wait {
		return act()
	}
	return a.waiting(p.Timeout, act)
}

// waiting runs act. If act needs approval, waiting polls until the owner has decided,
// and runs act again. It gives up after most, if most is positive. It holds no lock
// in between.
func (a *app) waiting(most time.Duration, act func() error) error {
	a.quietQuit()
	start, told := a.now(), ""
	for {
		err := act()
		var need *vault.ApprovalError
		if !errors.As(err, &need) {
			return err
		}
		if ids := strings.Join(need.IDs(), " "); ids != told { // again, if the secret changed
			a.out.note("waiting for a human: ass approvals approve %s", ids)
			told = ids
		}
		for waits := true; waits; {
			if most > 0 && a.now().Sub(start) >= most {
				return err
			}
			time.Sleep(pollEvery)
			if waits, err = a.stillPending(need, err); err != nil && !errors.Is(err, vault.ErrApproval) {
				return err
			}
		}
	}
}

// stillPending reports whether a request still waits for a decision. A denied or
// expired request is an error, which ends the wait.
func (a *app) stillPending(need *vault.ApprovalError, was error) (waits bool, err error) {
	err = was
	lookErr := a.withSession(access{readOnly: true}, func(s *vault.Session) error {
		list, lerr := s.Requests()
		if lerr != nil {
			return lerr
		}
		for _, r := range need.Requests {
			for _, q := range list {
				switch gone := undecided(q); {
				case q.ID != r.ID:
				case gone != nil:
					err = gone
				case q.Status == vault.Pending:
					waits = true
				}
			}
		}
		return nil
	})
	switch {
	case errors.Is(lookErr, vault.ErrBusy):
		return true, was
	case lookErr != nil:
		return false, lookErr
	}
	return waits, err
}
