package commands

import (
	"slices"
	"strings"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault"
)

// What the flags of ass audit ask for.

// logFilter is a filter over the log. Its zero fields filter nothing.
type logFilter struct {
	within tokens.Namespace
	events func(event string) bool
	actors map[string]bool // ids
	own    string          // id of the agent or token that asks, who sees what it did itself
	since  time.Time
	until  time.Time
}

// filter returns the filter that the flags describe, but for --agent, which needs the vault: see who.
func (c auditShow) filter(now time.Time) (f logFilter, err error) {
	if c.Namespace != "" {
		if f.within, err = tokens.ParseNamespace(c.Namespace); err != nil {
			return f, err
		}
	}
	if c.Action != "" {
		if f.events, err = eventsOf(c.Action); err != nil {
			return f, err
		}
	}
	if c.Since != "" {
		if f.since, _, err = parseTime(c.Since, now); err != nil {
			return f, usagef("--since: %v", err)
		}
	}
	if c.Until != "" {
		t, day, err := parseTime(c.Until, now)
		if err != nil {
			return f, usagef("--until: %v", err)
		}
		if day {
			t = t.AddDate(0, 0, 1).Add(-time.Millisecond)
		}
		f.until = t
	}
	return f, nil
}

// eventsOf returns which events an --action means: one event, or a family with everything that begins like it, refusals
// among them.
func eventsOf(action string) (func(event string) bool, error) {
	known := audit.Events()
	var families []string
	for _, event := range known {
		families = append(families, event, event[:strings.IndexByte(event, '.')])
	}
	name, family := strings.CutSuffix(action, ".*")
	plain := strings.TrimSuffix(name, audit.Denied)
	switch {
	case !family && (slices.Contains(known, name) || slices.Contains(known, plain)):
		return func(event string) bool { return event == name }, nil
	case slices.Contains(families, name):
		return func(event string) bool { return event == name || strings.HasPrefix(event, name+".") }, nil
	}
	for _, event := range known {
		families = append(families, event+audit.Denied)
	}
	like := alike(name, families)
	return nil, usagef("--action: no event is named %q", action).
		hint("%sthe families of events: agent, approval, audit, secret, token, vault", didYouMean(name,
			like[:min(len(like), 1)]))
}

// query returns what the vault has to look for.
func (f logFilter) query() vault.Query {
	if f.within == (tokens.Namespace{}) && f.events == nil && f.actors == nil && f.own == "" && f.since.IsZero() && f.until.IsZero() {
		return vault.Query{}
	}
	return vault.Query{Maybe: f.maybe, Match: f.matches}
}

func (f logFilter) byActor(id string) bool {
	return (f.actors == nil || f.actors[id]) && (f.own == "" || f.own == id)
}

func (f logFilter) at(t time.Time) bool {
	return !t.Before(f.since) && (f.until.IsZero() || !t.After(f.until))
}

func (f logFilter) matches(e audit.Event) bool {
	return f.byActor(e.ActorID) && (f.events == nil || f.events(e.Type)) && f.at(e.CreatedAt) &&
		(f.within == (tokens.Namespace{}) || isIn(e, f.within))
}

// maybe is matches by a glance. It must not rule out what matches.
func (f logFilter) maybe(g audit.Glance) (can, sure bool) {
	if !f.byActor(string(g.Actor)) || f.events != nil && !f.events(string(g.Type)) {
		return false, false
	}
	sure = true
	if f.within != (tokens.Namespace{}) {
		path, one := g.Secret()
		switch {
		case one && !inside(path, f.within):
			return false, false
		case one:
		case string(g.Type) != audit.SecretImported && g.Lacks(f.within.String()): // in format 1, an import has no whole paths
			return false, false
		default:
			sure = false
		}
	}
	if f.since.IsZero() && f.until.IsZero() {
		return true, sure
	}
	if t, ok := g.CreatedAt(); ok {
		return f.at(t), sure && f.at(t)
	}
	return true, false
}

// isIn reports whether an event is about a secret in a namespace or below it: at least one, if it is about several.
func isIn(e audit.Event, ns tokens.Namespace) bool {
	for _, item := range e.Secrets() {
		if inside(item.Path, ns) {
			return true
		}
	}
	return inside(resource(e), ns)
}

func inside(path string, ns tokens.Namespace) bool {
	p, err := tokens.ParsePath(path)
	return err == nil && ns.Contains(p)
}

// who takes over --agent: a name or an id of an agent, with the tokens that it issued; the id of a token; or owner, with
// what the owner did while the vault was unlocked.
func (f *logFilter) who(v *vault.Vault, s *vault.Session, ref string) error {
	if s != nil {
		f.own = s.ID()
	}
	if ref == "" {
		return nil
	}
	ids, err := actorsNamed(v, s, "--agent", ref)
	f.actors = ids
	return err
}

// actorsNamed returns the ids that a name or an id on the command line stands for. A session that is not nil is of an
// agent or a token, and learns nothing about others.
func actorsNamed(v *vault.Vault, s *vault.Session, flag, ref string) (map[string]bool, error) {
	all, err := v.Actors()
	if err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	for id, x := range all {
		if id == ref || x.Issuer == "" && x.Name == ref {
			ids[id] = true
		}
	}
	if len(ids) == 0 && len(ref) >= enoughOfID { // how an id begins, as tables show it
		var begin []string
		for id := range all {
			if strings.HasPrefix(id, ref) {
				begin = append(begin, id)
			}
		}
		if len(begin) > 1 && s == nil {
			return nil, usagef("%d ids begin with %s", len(begin), ref).hint("give the whole id")
		}
		for _, id := range begin {
			ids[id] = true
		}
	}
	for id, x := range all {
		if ids[x.Issuer] && (x.Issuer != audit.Owner || x.Unlock) {
			ids[id] = true
		}
	}
	if len(ids) == 0 { // an actor whose beginning was archived
		_, err := v.EachEntry(vault.Query{Maybe: func(g audit.Glance) (can, sure bool) { return string(g.Actor) == ref, true },
			Match: func(e audit.Event) bool { return e.ActorID == ref }}, func(vault.Entry, int) bool {
			ids[ref] = true
			return false
		})
		if err != nil {
			return nil, err
		}
	}
	switch {
	case s != nil && !ids[s.ID()]:
		return nil, errorf(vault.ErrUnknown, "%s sees only what it did itself, and is not %q", s.Who(), ref).
			hint("leave %s out", flag)
	case len(ids) > 0:
		return ids, nil
	}
	var names []string
	for _, x := range all {
		if x.Issuer == "" {
			names = append(names, x.Name)
		}
	}
	return nil, errorf(vault.ErrUnknown, "no agent or token has the name or id %q, nor does the log tell of one", ref).
		hint("%sthe agents: ass agents list", didYouMean(ref, names))
}

// noteUnknownNamespace says that the namespace of a filter, which found nothing, is one that neither the vault nor its log
// has.
func (a *app) noteUnknownNamespace(v *vault.Vault, s *vault.Session, f logFilter) error {
	ns := f.within
	if s != nil { // what there is besides is not for an agent
		return nil
	}
	there, err := v.Paths("")
	if err != nil {
		return err
	}
	var names []string
	for _, p := range there {
		if ns.Contains(p) {
			return nil
		}
		name := p.Namespace().String()
		for i := range name {
			if name[i] == '/' {
				names = append(names, name[:i])
			}
		}
		names = append(names, name)
	}
	if only := (logFilter{within: f.within}); f.events != nil || f.actors != nil || !f.since.IsZero() || !f.until.IsZero() {
		known := false
		if _, err := v.EachEntry(only.query(), func(vault.Entry, int) bool { known = true; return false }); known || err != nil {
			return err
		}
	}
	a.out.noteOf(sayf("no secret is in the namespace %s, and no log entry tells of one", ns).
		hint("%sall namespaces: ass secrets list '*'", didYouMean(ns.String(), names)))
	return nil
}

// didYouMean names what somebody may have meant, with a space behind; "" if nothing is alike.
func didYouMean(typed string, names []string) string {
	if like := alike(typed, names); len(like) > 0 {
		return "did you mean " + strings.Join(like, " or ") + "? "
	}
	return ""
}
