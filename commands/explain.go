package commands

import (
	"ass/audit"
	"ass/vault"
)

type explainCmd struct {
	Path  string `arg:"" optional:"" help:"Secret of which to say who can open it."`
	Agent string `help:"Agent of which to say what it can open: its id or name." placeholder:"AGENT"`
}

func (explainCmd) Help() string {
	return `Says who can open a secret and by which right, or what an agent can open, and for each
promise whether a key, a signature, a MAC or the program keeps it. An agent may ask about
itself.`
}

func (c explainCmd) Run(a *app) error {
	switch {
	case (c.Path == "") == (c.Agent == ""):
		return usagef("name a secret, or an agent with --agent").
			hint("as in: ass explain production/gemini/GEMINI_API_KEY")
	case c.Agent != "":
		return c.agent(a)
	}
	p, err := a.path(c.Path)
	if err != nil {
		return err
	}
	return a.withSession(access{readOnly: true}, func(s *vault.Session) error {
		x, err := s.ExplainPath(p)
		if err != nil {
			return err
		}
		r := explainResult{Path: p.String(), Exists: x.Secret != nil, AccessTier: x.Tier, Access: []accessJSON{},
			OpenApprovals: []requestJSON{}, EnforcedBy: promises}
		for _, y := range x.Access {
			r.Access = append(r.Access, accessJSONOf(y))
		}
		for _, q := range x.Approved {
			r.OpenApprovals = append(r.OpenApprovals, requestJSONOf(q))
		}
		return a.answer(r, func() { c.printPath(a, s, x) })
	})
}

func accessJSONOf(y vault.Access) accessJSON {
	return accessJSON{
		ActorType: y.Kind, ActorID: y.ID, AgentID: nullable(y.Agent), Name: nullable(y.Name),
		Scopes: y.Scopes.Strings(),
		Read:   y.Read, Write: y.Write, Delete: y.Delete,
	}
}

func (c explainCmd) printPath(a *app, s *vault.Session, x vault.PathExplanation) {
	own := ""
	if s.ID() != audit.Owner {
		own = " (others are not shown to " + s.Who() + ")"
	}
	switch {
	case x.Secret == nil:
		a.out.line("%s does not exist; a new secret there would be %s, and could be opened by%s:", x.Path, x.Tier, own)
	case x.Secret.DeletedAt != nil:
		a.out.line("%s (v%d, %s) is deleted; once restored, it could be opened by%s:", x.Path, x.Secret.Version, x.Tier, own)
	default:
		a.out.line("%s (v%d, %s) can be opened by%s:", x.Path, x.Secret.Version, x.Tier, own)
	}
	rows := [][]cell{{{"WHO", dim}, {"READ", dim}, {"WRITE", dim}, {"DELETE", dim}, {"BY", dim}}}
	for _, y := range x.Access {
		rows = append(rows, []cell{{accessName(y), ""}, rightCell(y.Read), rightCell(y.Write), rightCell(y.Delete),
			{orElse(y.Scopes.String(), "the owner key"), ""}})
	}
	a.out.table(rows, paths)
	for _, q := range x.Approved {
		a.out.line("An approval is open: %s may %s v%d until %s (%s).", orElse(q.Name, q.Requester), q.Action, q.Version,
			stamp(q.ExpiresAt), q.ID)
	}
	a.printPromises()
}

func accessName(y vault.Access) string {
	switch y.Kind {
	case audit.Human:
		return "the owner"
	case audit.Agent:
		return "agent " + y.Name + " (" + y.ID + ")"
	}
	return "token " + y.ID + " of " + orElse(y.Name, "the owner")
}

func rightCell(r vault.Right) cell {
	switch r {
	case vault.Standing:
		return cell{string(r), green}
	case vault.OnRequest:
		return cell{string(r), yellow}
	}
	return cell{string(r), dim}
}

func (c explainCmd) agent(a *app) error {
	return a.withSession(access{readOnly: true}, func(s *vault.Session) error {
		x, err := s.ExplainAgent(c.Agent)
		if err != nil {
			return err
		}
		if a.JSON {
			items := make([]reachJSON, len(x.Reach))
			for i, r := range x.Reach {
				items[i] = reachJSON{Path: r.Secret.Path.String(), AccessTier: r.Secret.Tier, Version: r.Secret.Version,
					Read: r.Read, Write: r.Write, Delete: r.Delete}
			}
			active := []tokenJSON{}
			for _, t := range x.Tokens {
				active = append(active, tokenJSONOf(t))
			}
			return a.out.json(explainAgentResult{Agent: agentJSONOf(x.Agent), Secrets: items, Tokens: active,
				EnforcedBy: promises})
		}
		g := x.Agent
		if g.RevokedAt != nil {
			a.out.line("Agent %s (%s) was revoked: its key opens nothing in this file.", g.Name, g.ID)
			return nil
		}
		a.out.line("Agent %s (%s) has the scopes %s.", g.Name, g.ID, g.Scopes)
		a.out.line("They cover %s that there %s now, and every secret created below them later:", plural(len(x.Reach),
			"secret"), pluralVerb(len(x.Reach)))
		rows := [][]cell{{{"SECRET", dim}, {"TIER", dim}, {"READ", dim}, {"WRITE", dim}, {"DELETE", dim}}}
		for _, r := range x.Reach {
			rows = append(rows, []cell{{r.Secret.Path.String(), ""}, tierCell(r.Secret.Tier), rightCell(r.Read),
				rightCell(r.Write), rightCell(r.Delete)})
		}
		if len(x.Reach) > 0 {
			a.out.table(rows, paths)
		}
		if n := len(x.Tokens); n > 0 {
			a.out.line("It has issued %s, none wider than itself.", pluralOf(n, "token that is active",
				"tokens that are active"))
		}
		a.printPromises()
		return nil
	})
}

func pluralVerb(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// promise is a line of the table in docs/threat-model.md.
type promise struct {
	Promise string `json:"promise"`
	By      string `json:"by"`
}

var promises = []promise{
	{"an agent or token opens only what its read scopes cover", "key"},
	{"a sensitive or critical version opens only once that version was approved for that agent", "key"},
	{"after a revocation, the new file gives the old key nothing", "key"},
	{"a value is written only by those whose scopes cover it", "signature"},
	{"a record that an outsider changed is refused", "MAC"},
	{"lifetime, uses and addresses of tokens, deletion, overwriting a critical secret", "the program"},
}

func (a *app) printPromises() {
	a.out.line("\nWhat keeps this so:")
	rows := make([][]cell, len(promises))
	for i, p := range promises {
		rows[i] = []cell{{"  " + p.Promise, ""}, {p.By, dim}}
	}
	a.out.table(rows)
}
