package commands

import (
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"ass/audit"
	"ass/commands/internal/stores"
	"ass/tokens"
	"ass/vault"
)

// What flags and arguments can be.

// fixed returns the values that never change, by the name of the flag or argument.
func fixed(name string) []string {
	switch name {
	case "type":
		return vault.Types
	case "status":
		return []string{vault.Pending, vault.Approved, vault.Denied, vault.Expired, "all"}
	case "format":
		return formatNames()
	case "sort":
		return sortings
	case "within", "expiring":
		return []string{"7d", "14d", "30d"}
	case "older-than":
		return []string{"30d", "90d", "1y"}
	case "on-conflict":
		return onConflict
	case "on-duplicate":
		return []string{duplicateError, duplicateLast}
	case "charset":
		return []string{"alnum", "alpha", "digits", "hex", "ascii"}
	case "shell":
		return []string{"bash", "zsh", "fish"}
	case "ttl":
		return []string{"15m", "1h", "24h"}
	case "since", "until":
		return []string{"1h", "24h", "7d", "30d"}
	case "before":
		return []string{"30d", "90d", "365d"}
	case "operation":
		return []string{"get", "store", "erase"}
	}
	return nil
}

// tiers are the tiers, with what an agent needs to read a secret.
var tiers = []candidate{{"standard", "Agents read it by their scope."}, {"sensitive", "A human approves reads, for " +
	"an hour."},
	{"critical", "A human approves each read."}}

// actions are what the scopes of a token or an agent begin with.
var actions = []candidate{{"secrets:read:", "Read secrets."}, {"secrets:write:", "Create and update secrets."},
	{"secrets:delete:", "Delete secrets."}, {"secrets:*:", "All of these."}}

// plainName matches the names that are safe to hand to a shell. A vault file could hold
// other names.
var plainName = pattern(`^[A-Za-z0-9._/-]+$`)

// values lists what a flag or an argument can be, given how it begins. files says whether it is a file.
func (a *app) values(l typed, v *kong.Value, current string) (list []candidate, files bool) {
	command, name, holder := commandName(l.at), v.Name, ""
	if v.Flag != nil {
		holder = v.Flag.PlaceHolder
	}
	switch {
	case name == "format" && (command == "import" || command == "env export"):
		formats := stores.Names()
		if command == "env export" {
			formats = exportFormatNames()
		}
		for _, format := range formats {
			list = append(list, candidate{text: format})
		}
		return list, false
	case strings.HasPrefix(holder, "NAME=PATH"):
		if variable, path, ok := strings.Cut(current, "="); ok {
			list = prefixed(a.secrets(l, path), variable+"=")
		}
		return list, false
	case strings.HasSuffix(holder, ",…"): // a list
		done := current[:strings.LastIndexByte(current, ',')+1]
		return prefixed(a.named(l, name, current[len(done):]), done), false
	case holder == "FILE", holder == "DIR", holder == "PROGRAM", holder == "URL", name == "file", name == "dir", name == "source", name == "map", name == "damaged", name == "new",
		name == "template", name == "command":
		return nil, true
	case name == "tier" && (command == "unlock" || command == "tokens issue"):
		return candidates([]string{"standard", "sensitive"}), false // what a token can read without approval
	case v.Flag == nil && (command == "secrets mv" || command == "secrets cp"):
		return append(a.secrets(l, current), a.namespaces(current)...), false
	case name == "format" && command == "audit report":
		return candidates(reportFormats), false
	}
	return a.named(l, name, current), false
}

func candidates(texts []string) (list []candidate) {
	for _, text := range texts {
		list = append(list, candidate{text: text})
	}
	return list
}

// named is values by the name of the flag or argument.
func (a *app) named(l typed, name, current string) []candidate {
	switch name {
	case "tier":
		return tiers
	case "path", "stdin", "secret", "client-certificate", "client-key":
		list := a.secrets(l, current)
		if commandName(l.at) == "secrets prune" { // it takes a namespace, too
			list = append(list, a.namespaces(current)...)
		}
		return list
	case "key", "keys", "exclude", "mask", "no-mask":
		return a.keysIn(l, name == "key")
	case "namespace":
		return a.namespaces(current)
	case "agent", "agent-id":
		return a.agents(commandName(l.at), current)
	case "id":
		return a.requests()
	case "token-id", "token":
		return a.tokens(current)
	case "action":
		return events(current)
	case "scopes":
		return a.scopes(current)
	case "client":
		var list []candidate
		for _, c := range mcpClients {
			list = append(list, candidate{text: c.name})
		}
		return list
	case "profile":
		var list []candidate
		if cfg, err := a.loadConfig(); err == nil {
			for profile := range cfg.Profiles {
				list = append(list, candidate{text: profile})
			}
		}
		return inOrder(list)
	}
	return candidates(fixed(name))
}

// inOrder leaves out names that are not plain, and those that come a second time, and cuts what is said about them.
func inOrder(list []candidate) []candidate {
	const longest = 60
	list = slices.DeleteFunc(list, func(s candidate) bool { return !plainName().MatchString(s.text) })
	sortStable(list, func(a, b candidate) int { return strings.Compare(a.text, b.text) })
	list = slices.CompactFunc(list, func(a, b candidate) bool { return a.text == b.text })
	for i, s := range list {
		if about := []rune(s.about); len(about) > longest {
			list[i].about = string(about[:longest-1]) + "…"
		}
	}
	return list
}

// glance calls fn with the secrets whose paths begin with one of some texts, as the file has them: nothing is
// verified. It leaves out those that an agent may not use. On an error, there are none.
func (a *app) glance(fn func(vault.Secret), beginnings ...string) {
	_ = a.look(func(v *vault.Vault, s *vault.Session) (err error) {
		for _, text := range beginnings {
			err = v.GlanceSecrets(text, func(secret vault.Secret) {
				p := secret.Path
				if s == nil || s.Can(tokens.Read, p) || s.Can(tokens.Write, p) || s.Can(tokens.Delete, p) {
					fn(secret)
				}
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// secrets lists paths, and those secrets in the default namespace by their keys that have no slash.
func (a *app) secrets(l typed, current string) (list []candidate) {
	command, beginnings := commandName(l.at), []string{current}
	var ns tokens.Namespace
	if named, err := a.chooseNamespace(l.namespace); err == nil && named.from != fromNowhere &&
		!strings.Contains(current, "/") {
		ns = named.ns
		beginnings = append(beginnings, ns.String()+"/"+current)
	}
	a.glance(func(s vault.Secret) {
		deleted := s.DeletedAt != nil
		switch command {
		case "secrets restore":
			if !deleted {
				return
			}
		case "secrets purge", "secrets prune", "secrets history":
		default:
			if deleted {
				return
			}
		}
		about := s.Type + ", " + s.Tier.String()
		if deleted {
			about = "deleted, " + about
		}
		list = append(list, candidate{s.Path.String(), about})
		if s.Path.Namespace() == ns {
			list = append(list, candidate{s.Path.Key(), about})
		}
	}, beginnings...)
	return inOrder(folded(list, current))
}

// folded cuts paths behind the next slash, if there are more than anybody looks through.
func folded(list []candidate, current string) []candidate {
	const most = 500
	if len(list) <= most {
		return list
	}
	for i, c := range list {
		if more, ok := strings.CutPrefix(c.text, current); ok {
			if n := strings.IndexByte(more, '/'); n >= 0 {
				list[i] = candidate{c.text[:len(current)+n+1], "Namespace."}
			}
		}
	}
	return slices.Compact(list)
}

// keysIn lists the last parts of the paths in the namespace of the command line, or the default one, and unless direct,
// below it.
func (a *app) keysIn(l typed, direct bool) (list []candidate) {
	named, err := a.chooseNamespace(l.namespace)
	if err != nil {
		return nil
	}
	a.glance(func(s vault.Secret) {
		if s.DeletedAt == nil && (!direct || s.Path.Namespace() == named.ns) {
			list = append(list, candidate{s.Path.Key(), s.Path.String()})
		}
	}, named.ns.String()+"/")
	return inOrder(list)
}

// namespaces lists the namespaces that begin with a text, with those above.
func (a *app) namespaces(current string) (list []candidate) {
	last := ""
	a.glance(func(s vault.Secret) {
		ns := s.Path.Namespace().String()
		if s.DeletedAt != nil || ns == last {
			return
		}
		last = ns
		for i := range ns {
			if ns[i] == '/' {
				list = append(list, candidate{text: ns[:i]})
			}
		}
		list = append(list, candidate{text: ns})
	}, current)
	return inOrder(list)
}

// scopes lists what a scope can be: first what may be done, then with which secrets.
func (a *app) scopes(current string) []candidate {
	end := strings.LastIndexByte(current, ':') + 1
	if !slices.ContainsFunc(actions, func(s candidate) bool { return s.text == current[:end] }) {
		return actions
	}
	list := []candidate{{"*", "All secrets."}}
	for _, s := range a.namespaces(current[end:]) {
		list = append(list, candidate{s.text + "/*", "All below this namespace."})
	}
	return prefixed(list, current[:end])
}

// owners calls fn with the vault, unless an agent or a token asks: to them, nobody else is shown.
func (a *app) owners(fn func(*vault.Vault) error) {
	_ = a.look(func(v *vault.Vault, s *vault.Session) error {
		if s != nil {
			return nil
		}
		return fn(v)
	})
}

// agents lists the active agents, by name or by id. For the log, it lists those that were revoked as well.
func (a *app) agents(command, current string) (list []candidate) {
	isLog := command == "audit" || command == "audit report"
	var revoked []candidate
	a.owners(func(v *vault.Vault) error {
		return v.GlanceAgents(func(agent vault.Agent) {
			name, about := agent.Name, agent.ID
			if strings.HasPrefix(current, tokens.AgentIDPrefix) {
				name, about = about, name
			}
			if agent.Description != "" {
				about += ", " + agent.Description
			}
			switch {
			case agent.RevokedAt == nil:
				list = append(list, candidate{name, about})
			case isLog:
				revoked = append(revoked, candidate{name, "revoked, " + about})
			}
		})
	})
	list = append(list, revoked...)
	if command == "audit" {
		list = append(list, candidate{audit.Owner, "What the owner did."})
	}
	return inOrder(list)
}

// requests lists the requests that wait for a decision.
func (a *app) requests() (list []candidate) {
	a.owners(func(v *vault.Vault) error {
		return v.GlanceRequests(func(q vault.Request) {
			list = append(list, candidate{q.ID, q.Name + ": " + q.Action + " " + q.Path.String()})
		})
	})
	return inOrder(list)
}

// tokens lists the tokens. If there are many, it does not parse what they are good for.
func (a *app) tokens(current string) (list []candidate) {
	const most = 100
	a.owners(func(v *vault.Vault) error {
		return v.GlanceTokens(func(id string, claims func() (tokens.Claims, error)) {
			if !strings.HasPrefix(id, current) {
				return
			}
			about := ""
			if len(list) < most {
				if c, err := claims(); err == nil {
					about = "of " + c.Issuer + " until " + stamp(c.Expires) + ": " + c.Scopes.String()
				}
			}
			list = append(list, candidate{id, about})
		})
	})
	return inOrder(list)
}

// events lists the events and their families. It lists a refusal if all of the event before it is typed.
func events(current string) (list []candidate) {
	for _, event := range audit.Events() {
		family := event[:strings.IndexByte(event, '.')]
		list = append(list, candidate{family, "All events of this family."}, candidate{text: event})
		if strings.HasPrefix(current, event) {
			list = append(list, candidate{event + audit.Denied, "Refusals."})
		}
	}
	return inOrder(list)
}
