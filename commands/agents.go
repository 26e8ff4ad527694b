package commands

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"ass/tokens"
	"ass/vault"
	"ass/vault/disk"
)

type agentsGroup struct {
	List      agentsList      `cmd:"" aliases:"ls" help:"List the agents."`
	Create    agentsCreate    `cmd:"" help:"Register an agent; its key is printed once."`
	Show      agentsShow      `cmd:"" help:"Show one agent."`
	Update    agentsUpdate    `cmd:"" help:"Change what an agent may do, or its description; its key stays."`
	RotateKey agentsRotateKey `cmd:"" help:"Give an agent a new key; the old one opens nothing any more."`
	Revoke    agentsRevoke    `cmd:"" help:"End an agent and all its tokens."`
}

func agentJSONOf(g vault.Agent) agentJSON {
	return agentJSON{
		ID: g.ID, Name: g.Name, Description: g.Description, KeyPrefix: g.KeyPrefix, Namespaces: namespaceNames(g),
		Scopes: g.Scopes.Strings(), Active: g.RevokedAt == nil, CreatedAt: stamp(g.CreatedAt),
		KeyIssuedAt:  stamp(g.KeyIssuedAt),
		LastActiveAt: stampOf(g.LastActiveAt), RevokedAt: stampOf(g.RevokedAt),
	}
}

func namespaceNames(g vault.Agent) []string {
	names := make([]string, len(g.Namespaces))
	for i, ns := range g.Namespaces {
		names[i] = ns.String()
	}
	return names
}

// stampOf is stamp for a time that may be unset.
func stampOf(t *time.Time) *string {
	if t == nil {
		return nil
	}
	s := stamp(*t)
	return &s
}

func agentState(g vault.Agent) cell {
	if g.RevokedAt != nil {
		return cell{"revoked", red}
	}
	return cell{"active", green}
}

type agentsList struct{}

func (agentsList) Run(a *app) error {
	return a.withSession(access{readOnly: true, owner: "list agents"}, func(s *vault.Session) (err error) {
		list, err := s.Agents()
		if err != nil {
			return err
		}
		defer func() { // list the valid records, and name an altered one
			if err == nil {
				err = s.Unlisted()
			}
		}()
		items, rows := make([]agentJSON, len(list)), [][]cell{{{"ID", dim}, {"NAME", dim}, {"STATUS", dim}, {"CREATED", dim}}}
		for i, g := range list {
			items[i] = agentJSONOf(g)
			rows = append(rows, []cell{{g.ID, ""}, {g.Name, ""}, agentState(g), {a.when(g.CreatedAt), dim}})
		}
		return a.answer(agentsResult{Items: items}, func() {
			if len(list) == 0 {
				a.out.noteOf(sayf("no agents yet").
					hint("register one with: ass agents create --name NAME --scopes secrets:read:production/*"))
				return
			}
			a.out.table(rows, whole, paths)
		})
	})
}

type agentsCreate struct {
	Name        string `help:"Name of the agent: at most 64 of A-Z a-z 0-9 _ -." placeholder:"NAME"`
	Description string `help:"What it is for." placeholder:"TEXT"`
	Namespace   string `help:"Namespaces that bound what it may get, separated by commas." placeholder:"NS,…"`
	Scopes      string `help:"What it may do, separated by commas; to read the namespaces if omitted." placeholder:"SCOPE,…"`
	keyFile
}

func (agentsCreate) Help() string {
	return `A scope is secrets:<read|write|delete|*>:<pattern>; the pattern is a whole path, a
namespace followed by /* for everything below it at any depth, or * for everything:

  ass agents create --name worker --scopes "secrets:read:production/gemini/*"

The key is printed once and kept nowhere; --write-key puts it into a file instead. The
program gets it as ASS_AGENT_KEY, or the name of the file as ASS_AGENT_KEY_FILE. It
opens what the scopes cover, now and later, and nothing else; a sensitive or critical
secret opens once you approved the request: ass approvals list`
}

func (c agentsCreate) Run(a *app) error {
	spec, err := c.spec(a)
	if err != nil {
		return err
	}
	if err := a.offerPassphrase(); err != nil {
		return err
	}
	to, err := c.reserve(a)
	if err != nil {
		return err
	}
	defer to.release()
	return a.withSession(access{owner: "register agents"}, func(s *vault.Session) error {
		made, key, err := s.CreateAgent(spec)
		if err != nil {
			return err
		}
		err = to.handOut(a, made, key, "created")
		a.noteWriter(made)
		return err
	})
}

// keyFile is where a new key of an agent goes.
type keyFile struct {
	WriteKey string `help:"Write the key into this new file, readable by you alone, and print it nowhere." placeholder:"FILE"`
}

// reservedKey is the file of --write-key before the key is made: it has room, but no name yet. So no
// agent is made, and no key replaced, whose key goes nowhere.
type reservedKey struct {
	name string    // as it was typed; "" if the key is printed
	file *disk.New // nil then
}

func (c keyFile) reserve(a *app) (*reservedKey, error) {
	r := &reservedKey{name: c.WriteKey}
	if r.name == "" {
		if err := a.out.shows("the key of the agent"); err != nil {
			return nil, fmt.Errorf("%w: give it a place with --write-key FILE", err)
		}
		return r, nil
	}
	if _, err := os.Lstat(a.at(r.name)); err == nil {
		return nil, usagef("%s already exists, and a key is never written over a file", r.name).
			hint("name another one")
	}
	file, err := a.unfinished().Create(a.at(r.name), 0o600)
	if err != nil {
		return nil, withRoom(err)
	}
	r.file = file
	_, err = file.Write(make([]byte, 128)) // more than a key has
	if err == nil {
		err = file.Sync()
	}
	if err != nil {
		r.release()
		return nil, withRoom(disk.Named(r.name, err))
	}
	return r, nil
}

// release removes the file if no key came into it.
func (r *reservedKey) release() {
	if r.file != nil {
		r.file.Discard()
	}
}

// write writes the key. It needs no more room on the disk than there is.
func (r *reservedKey) write(key tokens.AgentKey) error {
	text := []byte(key.Text() + "\n")
	_, err := r.file.WriteAt(text, 0)
	if err == nil {
		err = r.file.Truncate(int64(len(text)))
	}
	if err == nil {
		err = r.file.PlaceNew()
	}
	return err
}

// handOut writes a new key into the file, or prints it.
func (r *reservedKey) handOut(a *app, g vault.Agent, key tokens.AgentKey, done string) error {
	was := done
	if done == "created" {
		was = "was created"
	}
	a.changed("agent %s %s, but the key is lost; make a new one with: ass agents rotate-key %s", g.Name, was, g.ID)
	if r.file == nil {
		return a.showAgentKey(g, key, done)
	}
	err := r.write(key)
	if err != nil && !errors.Is(err, vault.ErrMaybeDone) { // not wrapped: it is not about the vault
		return fmt.Errorf("%s: %v", r.name, err)
	}
	a.changed("agent %s %s, and the key is in %s", g.Name, was, r.name)
	if err != nil {
		return err
	}
	return a.answer(keyFileResult{agentJSONOf(g), r.name}, func() {
		a.out.done("Agent %s: %s (%s)", done, g.Name, g.ID)
		a.out.table([][]cell{{{"Scopes:", dim}, {strings.Join(g.Scopes.Strings(), ", "), ""}}})
		a.out.note("its key is in %s; give the program that name as %s", r.name, keyFileVariable)
	})
}

// noteWriter explains what a right to write means for programs that read the same
// secrets.
func (a *app) noteWriter(g vault.Agent) {
	patterns := g.Scopes.Patterns(tokens.Write)
	if len(patterns) == 0 {
		return
	}
	names := make([]string, len(patterns))
	for i, p := range patterns {
		names[i] = p.String()
	}
	a.out.note("it may write %s, so it decides which values ass run and ass env export hand to programs from there; "+
		"variables that act on the program itself, such as PATH, are left out", strings.Join(names, ", "))
}

// spec reads the flags, and asks on a terminal for what is missing.
func (c agentsCreate) spec(a *app) (vault.AgentSpec, error) {
	var err error
	if a.interactive() && !a.JSON {
		if c.Name == "" {
			if c.Name, err = a.ask("Name of the agent: "); err == nil && c.Description == "" {
				c.Description, err = a.ask("What it is for (may be empty): ")
			}
		}
		if err == nil && c.Scopes == "" && c.Namespace == "" {
			if c.Namespace, err = a.ask("Namespaces that it may use, separated by commas (may be empty): "); err == nil {
				c.Scopes, err = a.ask("Scopes, as in secrets:read:production/* (empty: to read those namespaces): ")
			}
		}
	}
	spec := vault.AgentSpec{Name: strings.TrimSpace(c.Name), Description: strings.TrimSpace(c.Description)}
	if err == nil && spec.Name == "" {
		err = usagef("an agent needs a name").
			hint("for example: ass agents create --name worker --scopes \"secrets:read:production/gemini/*\"")
	}
	if err == nil && strings.TrimSpace(c.Scopes) != "" {
		spec.Scopes, err = tokens.ParseScopes(c.Scopes)
	}
	if err == nil {
		spec.Namespaces, err = namespacesIn(c.Namespace)
	}
	if err == nil && len(spec.Scopes)+len(spec.Namespaces) == 0 {
		err = usagef("an agent needs --scopes or --namespace").
			hint("for example: --scopes \"secrets:read:production/gemini/*\"")
	}
	if err == nil {
		spec, err = spec.Resolve()
	}
	return spec, err
}

// offerPassphrase offers, before the first agent is created, to set a passphrase on
// the owner key. Without one, a program that runs as the owner could approve its own
// requests.
func (a *app) offerPassphrase() error {
	h, err := a.find()
	if err != nil {
		return err
	}
	p := h.cfg.Profiles[a.Profile]
	if h.cred.kind != ownerCredential || p == nil || !a.isBare(p.Key) || !h.at.exists() {
		return nil
	}
	found := false
	err = a.look(func(v *vault.Vault, _ *vault.Session) (err error) {
		found, err = v.HasAgents()
		return err
	})
	if err != nil || found {
		return err
	}
	if isWay(p.Key) {
		a.out.warn("%s opens the vault without a passphrase, so a program that runs as you could approve its own requests",
			a.opensWith(p.Key))
		return nil
	}
	if !a.interactive() {
		a.out.warnOf(sayf("the owner key has no passphrase, so a program that runs as you could approve its own " +
			"requests").
			hint("set one with: ass passphrase"))
		return nil
	}
	a.out.note("the owner key has no passphrase, so a program that runs as you could approve its own requests")
	l := login{app: a, at: h.at, old: p}
	id, err := vault.ParseIdentity(p.Key)
	if err != nil {
		return err
	}
	stored, err := l.protect(id)
	if err != nil || stored == p.Key {
		return err
	}
	key := openKey{owner: id}
	err = a.updateProfile(p, func(p *profile) { p.Key = stored })
	a.asked = &askedKey{credential{h.cred.kind, stored, h.cred.from}, key} // it was just typed twice
	return err
}

// showAgentKey prints a new key. The key cannot be shown again.
func (a *app) showAgentKey(g vault.Agent, key tokens.AgentKey, done string) error {
	return a.answer(newKeyResult{agentJSONOf(g), key.Text()}, func() {
		a.out.done("Agent %s: %s (%s)", done, g.Name, g.ID)
		saved := ""
		if a.out.tty {
			saved = " ← save this!"
		}
		a.out.table([][]cell{{{"Scopes:", dim}, {strings.Join(g.Scopes.Strings(), ", "), ""}}})
		a.out.line("API Key: %s%s", key.Text(), saved)
		a.out.note("this key is shown only once; give it to the program as ASS_AGENT_KEY")
	})
}

type agentsShow struct {
	Agent string `arg:"" help:"Id of an agent, or the name of an active one."`
}

func (c agentsShow) Run(a *app) error {
	return a.withSession(access{readOnly: true}, func(s *vault.Session) error {
		x, err := s.ExplainAgent(c.Agent)
		if err != nil {
			return err
		}
		return a.answer(agentResult{agentJSONOf(x.Agent), len(x.Tokens)}, func() {
			g, last := x.Agent, "never"
			switch {
			case g.LastActiveAt != nil:
				last = a.when(*g.LastActiveAt)
			case g.RevokedAt != nil: // a revocation drops the note of it
				last = "not kept; see: ass audit --agent " + g.ID
			}
			rows := [][]cell{
				{{"id", dim}, {g.ID, ""}},
				{{"name", dim}, {g.Name, ""}},
				{{"description", dim}, {orElse(g.Description, "none"), ""}},
				{{"status", dim}, agentState(g)},
				{{"namespaces", dim}, {orElse(strings.Join(namespaceNames(g), ", "), "any"), ""}},
				{{"scopes", dim}, {strings.Join(g.Scopes.Strings(), ", "), ""}},
				{{"key", dim}, {orElse(g.KeyPrefix, "ass_") + "…, issued " + a.when(g.KeyIssuedAt), ""}},
				{{"created", dim}, {a.when(g.CreatedAt), ""}},
				{{"last active", dim}, {last, ""}},
				{{"tokens", dim}, {plural(len(x.Tokens), "active token"), ""}},
			}
			a.out.table(rows)
			a.out.note("what it can open: ass explain --agent %s", g.ID)
		})
	})
}

type agentsRevoke struct {
	Agent string `arg:"" name:"agent-id" help:"Id of an agent, or the name of an active one."`
	Force bool   `short:"f" help:"Skip the confirmation."`
	keepOld
}

func (agentsRevoke) Help() string {
	return `Rewrites the vault, so that the file holds nothing that the agent's key opens. Copies
and backups of the file that the agent could get at still open: rotate what it knew.

If somebody tampered with the vault, the rewrite leaves out invalid records and mends the
rest. If it could lose something that is not the agent's own work, it asks for a second
yes; --force gives it, too.`
}

func (c agentsRevoke) Run(a *app) error {
	id, err := a.confirmNarrowing(c.Agent, c.Force, "Revoke %s?")
	if err != nil {
		return err
	}
	return a.narrow(c.keepOld, c.Force, func(o vault.NarrowOptions) error {
		return a.withSession(access{owner: "revoke agents"}, func(s *vault.Session) error {
			n, err := s.RevokeAgent(id, o)
			if err != nil {
				return err
			}
			a.changed("agent %s is revoked", n.Agent.ID)
			a.noteNarrowing(n)
			if err := a.sayCopies(s, n.Agent.CreatedAt); err != nil {
				return err
			}
			return a.answer(revokedResult{ID: n.Agent.ID, Name: n.Agent.Name, Active: false, TokensRevoked: n.Tokens,
				VersionsReencrypted: n.Versions, narrowedJSON: narrowedOf(n)}, func() {
				a.out.done("Agent %s revoked. All tokens invalidated.", n.Agent.ID)
			})
		})
	})
}

// noteCost says what it takes to take a right away from an agent.
func (a *app) noteCost(n vault.Narrowing) {
	a.out.note("%s (%s): %s will be re-encrypted, and %s", n.Agent.Name, n.Agent.ID, plural(n.Versions, "stored value"),
		pluralOf(n.Tokens, "active token ends", "active tokens end"))
}

// confirmNarrowing says what revoking an agent, or replacing its key, will do, and asks
// for confirmation. It returns the id of the agent that it showed: by the time of the
// answer, another agent may have the name.
func (a *app) confirmNarrowing(agent string, force bool, question string) (id string, err error) {
	var n vault.Narrowing
	err = a.withSession(access{readOnly: true, owner: "revoke agents and rotate their keys"},
		func(s *vault.Session) (err error) {
			n, err = s.Narrow(agent)
			return err
		})
	if err != nil {
		return "", err
	}
	g := n.Agent
	a.noteCost(n)
	return g.ID, a.confirm(force, fmt.Sprintf(question, g.Name+" ("+g.ID+")"))
}

type agentsRotateKey struct {
	Agent string `arg:"" name:"agent-id" help:"Id of an agent, or the name of an active one."`
	Force bool   `help:"Skip the confirmation."`
	keepOld
	keyFile
}

func (agentsRotateKey) Help() string {
	return `Rewrites the vault under a new key for the same agent. The old key, and the tokens that
were issued with it, open nothing in it.`
}

func (c agentsRotateKey) Run(a *app) error {
	id, err := a.confirmNarrowing(c.Agent, c.Force, "Replace the key of %s?")
	if err != nil {
		return err
	}
	to, err := c.reserve(a)
	if err != nil {
		return err
	}
	defer to.release()
	return a.narrow(c.keepOld, c.Force, func(o vault.NarrowOptions) error {
		return a.withSession(access{owner: "rotate the keys of agents"}, func(s *vault.Session) error {
			n, key, err := s.RotateAgentKey(id, o)
			if err != nil {
				return err
			}
			a.changed("agent %s has a new key, which is lost: make another with: ass agents rotate-key %s", n.Agent.Name, id)
			a.noteNarrowing(n)
			if err := a.sayCopies(s, n.Agent.CreatedAt); err != nil {
				return err
			}
			return to.handOut(a, n.Agent, key, "has a new key")
		})
	})
}
