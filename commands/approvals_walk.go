package commands

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"ass/vault"
)

// approvalsWalk is ass approvals without another word: a person goes through what waits. Each decision is made at once, so
// it counts even if the person then stops.
type approvalsWalk struct{}

func (approvalsWalk) Help() string {
	return `Shows the requests that wait, one of each agent in turn, and asks about each: yes, no,
later, or quit. A no takes a reason, which the agent sees. For a terminal; in a pipe,
name what you want: ass approvals list`
}

func (approvalsWalk) Run(a *app) error {
	if a.JSON || !a.interactive() || !a.out.errTTY {
		return missingCommand("approvals", approvalsGroup{})
	}
	if err := a.passphraseNotFromStdin(); err != nil {
		return err
	}
	w := walk{app: a, lately: reads{}, later: map[string]bool{}}
	for {
		q, err := w.next()
		if err != nil || q == nil {
			return errors.Join(err, w.hidden)
		}
		stop, err := w.decide(*q)
		if err != nil || stop {
			return errors.Join(err, w.hidden)
		}
	}
}

// missingCommand is the error of a group without a command, as it is worded for groups that can only be used with one.
func missingCommand(name string, group any) error {
	var words []string
	for f := range reflect.TypeOf(group).Fields() {
		if !has(f, "hidden") {
			words = append(words, `"`+nameOf(f)+`"`)
		}
	}
	return usagef("missing: one of %s", strings.Join(words, ", ")).
		hint("see: ass %s --help", name)
}

// walk is how far a person has come.
type walk struct {
	*app
	lately reads
	later  map[string]bool // requests that were put off
	done   []string        // what was decided
	hidden error           // names a record that was altered; the others are shown
}

// next shows the next request; nil if there is none. It looks anew each time: requests come and lapse while a person thinks.
func (w *walk) next() (next *vault.Request, err error) {
	waits := 0
	err = w.withSession(access{readOnly: true, owner: approving}, func(s *vault.Session) error {
		list, err := pendingOf(s, "")
		if err != nil {
			return err
		}
		waits = len(list)
		for _, q := range list {
			if !w.later[q.ID] {
				next = &q
				break
			}
		}
		w.hidden = s.Unlisted()
		return w.lately.fill(s, list)
	})
	w.waits = 0 // they are shown here
	switch {
	case err != nil:
		return nil, err
	case next != nil:
		seen := len(w.done) + len(w.later)
		w.showRequest(fmt.Sprintf("%d of %d: ", seen+1, len(w.done)+waits), *next, w.lately.of(*next))
	case waits > 0:
		w.out.note("%s for you", pluralOf(waits, "request still waits", "requests still wait"))
	case len(w.done) == 0:
		w.out.note("no %s requests", vault.Pending)
	}
	return next, nil
}

// decide asks about a request, and does what the person says.
func (w *walk) decide(q vault.Request) (stop bool, err error) {
	question := "Approve it? [y]es, [n]o, [l]ater, [q]uit: "
	if asksForSecret(q) {
		question = "Type its value in? [y]es, [n]o, [l]ater, [q]uit: "
	}
	for {
		answer, err := w.ask(question)
		if err != nil {
			return true, err
		}
		switch strings.ToLower(strings.TrimSpace(answer)) {
		case "y", "yes":
			return false, w.goOn(w.approve(q))
		case "n", "no":
			why, err := w.ask("Why not? The agent sees it (empty: back): ")
			if err != nil {
				return true, err
			}
			if why = strings.TrimSpace(why); why != "" {
				return false, w.goOn(w.conclude(q, denying, "Denied", func(s *vault.Session) error {
					return s.Deny([]vault.Request{q}, why)
				}))
			}
		case "l", "later":
			w.later[q.ID] = true
			return false, nil
		case "q", "quit":
			return true, nil
		}
	}
}

func (w *walk) approve(q vault.Request) error {
	if q.Doubt != nil {
		return q.Doubt
	}
	if !asksForSecret(q) {
		return w.conclude(q, approving, "Approved", func(s *vault.Session) error { return s.Approve([]vault.Request{q}) })
	}
	value, err := w.askValue(fmt.Sprintf("Value of %s (empty to go back): ", q.Path))
	if err != nil || value == "" {
		return err
	}
	return w.conclude(q, approving, "Approved", func(s *vault.Session) error { return s.Provide(q, []byte(value)) })
}

// conclude carries out a decision.
func (w *walk) conclude(q vault.Request, what, said string, decide func(*vault.Session) error) error {
	err := w.decided([]vault.Request{q}, what, said, decide)
	if err == nil {
		w.done = append(w.done, strings.ToLower(said)+": "+q.ID)
		w.changed("%s", strings.Join(w.done, ", "))
	}
	return err
}

// goOn says why a request could not be decided. It is shown again, as it is then, unless it waits no more.
func (w *walk) goOn(err error) error {
	if err == nil {
		return nil
	}
	if exit, _ := classify(err); exit != exitUsage && !isAboutOne(err) { // what was typed is too long, for example
		return err
	}
	w.out.noteOf(err)
	return nil
}
