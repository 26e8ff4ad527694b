package commands

import (
	"fmt"
	"slices"
	"strings"

	"ass/audit"
	"ass/vault"
)

// How requests are named, found and shown.

// findRequest finds a request by its id, or by how its id begins. If there is none, but a record was
// skipped because it was altered, the error names that record: it may be the one.
func findRequest(s *vault.Session, list []vault.Request, id string) (found vault.Request, err error) {
	some := beginWith(list, id, func(q vault.Request) string { return q.ID })
	switch len(some) {
	case 0:
		if err := s.Unlisted(); err != nil {
			return found, err
		}
		return found, errorf(vault.ErrUnknown, "no request %s; list the pending ones with: ass approvals list", id)
	case 1:
		return some[0], nil
	}
	return found, usagef("%d requests begin with %s; give the whole id", len(some), id)
}

// beginWith returns the item whose id was typed. If there is none, and enough of an
// id was typed, it returns all items whose ids begin with it.
func beginWith[T any](list []T, typed string, id func(T) string) (some []T) {
	const enough = 8 // characters
	for _, x := range list {
		if id(x) == typed {
			return []T{x}
		}
		if len(typed) >= enough && strings.HasPrefix(id(x), typed) {
			some = append(some, x)
		}
	}
	return some
}

func (a *app) requestState(q vault.Request) cell {
	c := cell{text: q.Status}
	switch q.Status {
	case vault.Pending:
		if c.colour = yellow; a.out.tty {
			c.text += " ○"
		}
	case vault.Approved:
		c.colour = green
		if q.Used {
			c.text += ", used"
		}
	case vault.Denied:
		c.colour = red
	}
	return c
}

// askerOf names who made a request.
func askerOf(q vault.Request) string {
	if q.Requester != q.Agent {
		return "token " + q.Requester + " of " + orElse(q.Name, q.Agent)
	}
	return orElse(q.Name, q.Agent) + " (" + q.Requester + ")"
}

// versionOf says what a request is about: a version, or a secret that is to be.
func versionOf(q vault.Request) string {
	switch {
	case q.Action != vault.RequestCreate:
		return fmt.Sprintf("v%d, %s", q.Version, q.Tier)
	case q.Current == 0:
		return "it is not there yet"
	}
	return fmt.Sprintf("it is there now, at v%d", q.Current)
}

func (a *app) showRequest(q vault.Request, lately []vault.Entry) {
	version := versionOf(q)
	if q.Current != q.Version && q.Action != vault.RequestCreate {
		version += fmt.Sprintf("; the secret is now at v%d", q.Current)
		if q.Current == 0 {
			version = fmt.Sprintf("v%d, %s; the secret is deleted", q.Version, q.Tier)
		}
	}
	why := orElse(q.Reason, "no reason was given")
	a.out.note("request %s, %s (%s)", q.ID, q.Status, a.when(q.CreatedAt))
	a.out.note("  who:    %s", askerOf(q))
	a.out.note("  what:   %s %s (%s)", q.Action, q.Path, version)
	a.out.note("  why:    %s", why)
	if len(lately) == 0 {
		a.out.note("  lately: no reads")
	}
	for i, e := range lately {
		label := "        "
		if i == 0 {
			label = "lately: "
		}
		a.out.note("  %s%s %s, %s", label, e.Type, e.About(), a.when(e.CreatedAt))
	}
}

// reads maps the id of an actor to what it has read lately, newest first.
type reads map[string][]vault.Entry

// shownReads is how many reads are shown with a request.
const shownReads = 5

// fill collects the reads of all actors in one pass over the log.
func (r reads) fill(s *vault.Session) error {
	_, err := s.Log(1, func(e audit.Event) bool {
		if some, wanted := r[e.ActorID]; wanted && isRead(e) && len(some) < shownReads {
			r[e.ActorID] = append(some, vault.Entry{Event: e})
		}
		return false
	})
	return err
}

// of returns the latest reads of the requester of a request and of its agent.
func (r reads) of(q vault.Request) []vault.Entry {
	list := slices.Clone(r[q.Requester])
	if q.Agent != q.Requester {
		list = append(list, r[q.Agent]...)
	}
	slices.SortStableFunc(list, func(a, b vault.Entry) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return list[:min(len(list), shownReads)]
}

func requestJSONOf(q vault.Request) requestJSON {
	return requestJSON{
		ID: q.ID, AgentID: q.Agent, AgentName: q.Name, ActorID: q.Requester, Status: q.Status,
		AccessTier:      q.Tier,
		RequestedScopes: []string{"secrets:" + scopeOf(q) + ":" + q.Path.String()}, Action: q.Action,
		Path:    q.Path.String(),
		Version: q.Version, Reason: nullable(q.Reason), DenialReason: nullable(q.Denial), Used: q.Used,
		CreatedAt: stamp(q.CreatedAt), ExpiresAt: stamp(q.ExpiresAt), DecidedAt: stampOf(q.DecidedAt),
	}
}

// scopeOf returns the action of the scope that a request is within.
func scopeOf(q vault.Request) string {
	if q.Action == vault.RequestCreate {
		return vault.RequestRead
	}
	return q.Action
}

func requestsJSON(list []vault.Request) []requestJSON {
	items := make([]requestJSON, len(list))
	for i, q := range list {
		items[i] = requestJSONOf(q)
	}
	return items
}
