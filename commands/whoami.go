package commands

import (
	"strconv"
	"strings"

	"ass/vault"
)

type whoamiCmd struct{}

func (whoamiCmd) Run(a *app) error {
	h, err := a.find()
	if err != nil {
		return err
	}
	return a.look(func(v *vault.Vault, s *vault.Session) error {
		info, err := v.Info()
		if err != nil {
			return err
		}
		newest, err := v.Receipt()
		if err != nil {
			return err
		}
		id := h.cred.kind
		if s != nil {
			id = s.ID()
		}
		if p := h.cfg.Profiles[a.Profile]; h.cred.kind == ownerCredential && p.Vault != "" && p.Vault != info.ID {
			return errorf(vault.ErrWrongKey, "the owner key of profile %s belongs to another vault than the one at %s",
				a.Profile, h.at.path)
		}
		r := whoamiResult{
			ID: id, Email: nil, Name: id, Plan: "offline", SecretCount: info.Secrets, AgentCount: info.Agents,
			Receipt: newest.String(), Credential: h.cred.kind, CredentialSource: h.cred.from, Vault: h.at.path, VaultID: info.ID,
		}
		var answer any = r
		var self vault.Self
		if s != nil {
			if self, err = s.Self(); err != nil {
				return err
			}
			if self.Agent != nil {
				r.Name = self.Agent.Name
			}
			answer = whoamiSelfResult{r, selfJSONOf(self)}
		}
		return a.answer(answer, func() {
			a.out.line("%s of vault %s", id, info.ID)
			if s != nil {
				a.printSelf(self)
			}
			a.out.line("Plan: offline")
			a.out.line("Secrets: %d", info.Secrets)
			a.out.line("Agents: %d", info.Agents)
			a.out.line("Credential: %s (%s)", orElse(a.opensWith(h.cred.text), kindName(h.cred.kind)), h.cred.from)
			a.out.line("Vault: %s", a.tilde(h.at.path))
		})
	})
}

// selfJSONOf says what the credential of an agent or a token may do.
func selfJSONOf(x vault.Self) selfJSON {
	j := selfJSON{Scopes: x.Scopes.Strings(), Namespaces: []string{}, AccessTier: x.Tier,
		PendingApprovals: requestsJSON(x.Waiting)}
	if x.Agent != nil {
		j.AgentID, j.AgentName = nullable(x.Agent.ID), nullable(x.Agent.Name)
	}
	if x.Agent != nil && x.Claims == nil { // a token has its scopes alone
		j.Namespaces = namespaceNames(*x.Agent)
	}
	if x.Claims != nil {
		j.ExpiresAt, j.UsesLeft = stampOf(&x.Claims.Expires), x.UsesLeft()
	}
	return j
}

// printSelf prints the same for people.
func (a *app) printSelf(x vault.Self) {
	if x.Agent != nil {
		of := "Agent"
		if x.Claims != nil {
			of = "Issued by"
		}
		a.out.line("%s: %s (%s)", of, x.Agent.Name, x.Agent.ID)
		if names := namespaceNames(*x.Agent); len(names) > 0 && x.Claims == nil {
			a.out.line("Namespaces: %s", strings.Join(names, ", "))
		}
	}
	a.out.line("Scopes: %s", orElse(strings.Join(x.Scopes.Strings(), ", "), "none"))
	a.out.line("Reads without approval: up to the %s tier", x.Tier)
	if x.Claims != nil {
		a.out.line("Expires: %s", a.when(x.Claims.Expires))
		if left := x.UsesLeft(); left != nil {
			a.out.line("Uses left: %s", strconv.FormatUint(*left, 10))
		}
	}
	for _, q := range x.Waiting {
		a.out.line("Waits for a human: %s, to %s %s", q.ID, q.Action, q.Path)
	}
}
