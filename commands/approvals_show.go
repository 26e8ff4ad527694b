package commands

import (
	"fmt"
	"maps"
	"slices"

	"ass/audit"
	"ass/vault"
)

// How requests are shown.

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

// showRequest shows on stderr what a person needs to know before a decision. which says which of several it is; it may
// be empty.
func (a *app) showRequest(which string, q vault.Request, lately []vault.Entry) {
	if a.JSON {
		a.out.jsonNote(shownRequestResult{requestJSONOf(q)})
		return
	}
	version := versionOf(q)
	if q.Current != q.Version && q.Action != vault.RequestCreate {
		version += fmt.Sprintf("; the secret is now at v%d", q.Current)
		if q.Current == 0 {
			version = fmt.Sprintf("v%d, %s; the secret is deleted", q.Version, q.Tier)
		}
	}
	a.out.note("%srequest %s, %s (%s)", which, q.ID, q.Status, a.when(q.CreatedAt))
	a.out.note("  who:    %s", askerOf(q))
	a.out.note("  what:   %s %s (%s)", q.Action, q.Path, version)
	if q.Status == vault.Pending {
		a.out.note("  lapses: %s", a.lapses(q))
	}
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
	switch {
	case q.Reason == "":
		a.out.note("  why:    no reason was given")
	case !a.out.errTTY:
		a.out.note("  why, in %s: %s", agentsWords, q.Reason)
	default:
		a.out.note("  why, in %s:", agentsWords)
		for _, line := range quoteLines(q.Reason, columns(a.out.errw)-len("ass: "+quoteMark)-1) {
			a.out.note("%s%s", quoteMark, line)
		}
	}
	if q.Doubt != nil {
		a.out.note("  it cannot be approved: %s", withWayOut(q.Doubt))
	}
}

// lapses says when a request ends without a decision: how soon for people, RFC 3339 for programs.
func (a *app) lapses(q vault.Request) string {
	if !a.out.errTTY {
		return stamp(q.ExpiresAt)
	}
	return "in " + until(q.ExpiresAt.Sub(a.now()))
}

// wants says for a table what a request is for: "read v2".
func wants(q vault.Request) string {
	if q.Action == vault.RequestCreate {
		return q.Action
	}
	return fmt.Sprintf("%s v%d", q.Action, q.Version)
}

// reads maps the id of an actor to what it has read lately, newest first.
type reads map[string][]vault.Entry

// shownReads is how many reads are shown with a request.
const shownReads = 5

// fill collects the reads of the requesters of a list, and of their agents, in one pass over the log. It looks for no
// actor a second time.
func (r reads) fill(s *vault.Session, list []vault.Request) error {
	wanted := reads{}
	for _, q := range list {
		for _, id := range []string{q.Requester, q.Agent} {
			if _, known := r[id]; !known {
				wanted[id] = nil
			}
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	_, err := s.Log(1, func(e audit.Event) bool {
		if some, is := wanted[e.ActorID]; is && isRead(e) && len(some) < shownReads {
			wanted[e.ActorID] = append(some, vault.Entry{Event: e})
		}
		return false
	})
	maps.Copy(r, wanted)
	return err
}

// of returns the latest reads of the requester of a request and of its agent.
func (r reads) of(q vault.Request) []vault.Entry {
	list := slices.Clone(r[q.Requester])
	if q.Agent != q.Requester {
		list = append(list, r[q.Agent]...)
	}
	sortStable(list, func(a, b vault.Entry) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return list[:min(len(list), shownReads)]
}

func requestJSONOf(q vault.Request) requestJSON {
	return requestJSON{
		ID: q.ID, AgentID: q.Agent, AgentName: q.Name, AgentWords: saidBy(q), ActorID: q.Requester, Status: q.Status,
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
