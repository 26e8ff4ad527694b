package commands

import (
	"strings"

	"ass/tokens"
	"ass/vault"
)

type agentsUpdate struct {
	Agent       string  `arg:"" name:"agent-id" help:"Id of an agent, or the name of an active one."`
	Description *string `help:"What it is for." placeholder:"TEXT"`
	Namespace   string  `help:"Namespaces that bound what it may get from now on, separated by commas; '*' for no bound." placeholder:"NS,…"`
	Scopes      string  `help:"All that it may do from now on, separated by commas." placeholder:"SCOPE,…"`
	Force       bool    `short:"f" help:"Skip the confirmation, which taking a right away needs."`
	keepOld
}

func (agentsUpdate) Help() string {
	return `The key stays. An agent opens at once what you add, also what was stored before, and
nothing is rewritten. If you take anything away, the command rewrites the vault, so
that the file holds nothing that the key no longer opens, and ends tokens of the agent
that the new scopes do not cover. It says before which of the two it will do. Copies
and backups of the file still open: rotate what the agent knew.

If the agent may just read its namespaces, --namespace alone lets it read the new ones.`
}

func (c agentsUpdate) Run(a *app) error {
	change, err := c.change()
	if err != nil {
		return err
	}
	var plan vault.AgentUpdate
	err = a.withSession(access{readOnly: true, owner: "change agents"}, func(s *vault.Session) (err error) {
		plan, err = s.PlanAgentUpdate(c.Agent, change)
		return err
	})
	if err != nil {
		return err
	}
	g := plan.Agent
	name := g.Name + " (" + g.ID + ")"
	if len(plan.Gained) > 0 {
		a.out.note("%s gains: %s", name, strings.Join(plan.Gained.Strings(), ", "))
	}
	if !plan.Narrows() {
		return a.updateAgent(c, g.ID, change, vault.NarrowOptions{}, false)
	}
	a.out.note("%s loses: %s", name, strings.Join(plan.Lost.Strings(), ", "))
	a.noteCost(plan.Narrowing)
	if err := a.confirm(c.Force, "Take these rights from "+name+"?"); err != nil {
		return err
	}
	return a.narrow(c.keepOld, c.Force, func(o vault.NarrowOptions) error {
		return a.updateAgent(c, g.ID, change, o, true)
	})
}

// updateAgent does what was announced, and says what it was.
func (a *app) updateAgent(c agentsUpdate, id string, change vault.AgentChange, o vault.NarrowOptions,
	narrows bool) error {
	return a.withSession(access{owner: "change agents"}, func(s *vault.Session) error {
		u, err := s.UpdateAgent(id, change, narrows, o)
		if err != nil {
			return err
		}
		if u.Changes {
			a.changed("agent %s is changed", id)
		}
		if narrows {
			a.noteNarrowing(u.Narrowing)
			if err := a.sayCopies(s, u.Agent.CreatedAt); err != nil {
				return err
			}
		}
		r := updatedAgentResult{agentJSON: agentJSONOf(u.Agent), Narrowed: narrows, narrowedJSON: narrowedOf(u.Narrowing)}
		if narrows {
			r.TokensRevoked, r.VersionsReencrypted = u.Tokens, u.Versions
		}
		err = a.answer(r, func() {
			switch {
			case narrows:
				a.out.done("Agent %s narrowed: %s", u.Agent.ID, u.Agent.Name)
			case len(u.Gained) > 0:
				a.out.done("Agent %s widened: %s", u.Agent.ID, u.Agent.Name)
			case u.Changes:
				a.out.done("Agent %s updated: %s", u.Agent.ID, u.Agent.Name)
			default:
				a.out.note("agent %s (%s) is like that already", u.Agent.ID, u.Agent.Name)
			}
			a.out.table([][]cell{{{"Scopes:", dim}, {strings.Join(u.Agent.Scopes.Strings(), ", "), ""}}})
		})
		if len(u.Gained.Patterns(tokens.Write)) > 0 {
			a.noteWriter(u.Agent)
		}
		return err
	})
}

// change reads the flags.
func (c agentsUpdate) change() (change vault.AgentChange, err error) {
	if c.Description == nil && c.Namespace == "" && strings.TrimSpace(c.Scopes) == "" {
		return change, usagef("say what changes: --scopes, --namespace or --description").
			hint("for example: ass agents update worker --scopes \"secrets:read:production/gemini/*\"")
	}
	if c.Description != nil {
		text := strings.TrimSpace(*c.Description)
		change.Description = &text
	}
	switch c.Namespace {
	case "":
	case "*":
		change.Namespaces = []tokens.Namespace{}
	default:
		if change.Namespaces, err = namespacesIn(c.Namespace); err != nil {
			return change, err
		}
	}
	if strings.TrimSpace(c.Scopes) != "" {
		change.Scopes, err = tokens.ParseScopes(c.Scopes)
	}
	return change, err
}

// namespacesIn reads namespaces, separated by commas.
func namespacesIn(list string) (namespaces []tokens.Namespace, err error) {
	for text := range strings.SplitSeq(list, ",") {
		if text = strings.TrimSuffix(strings.TrimSpace(text), "/*"); text == "" {
			continue
		}
		ns, err := tokens.ParseNamespace(text)
		if err != nil {
			return nil, err
		}
		namespaces = append(namespaces, ns)
	}
	return namespaces, nil
}
