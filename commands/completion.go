package commands

import (
	_ "embed"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"ass/tokens"
	"ass/vault"
)

// Completion: the shell calls ass to learn what may come next. The answer names secrets
// and agents, but ass opens nothing, asks for no passphrase and logs nothing. The
// scripts pass the answers on literally: no shell expands them.

type completionCmd struct {
	Shell string `arg:"" help:"bash, zsh or fish."`
}

func (completionCmd) Help() string {
	return `Put it where your shell finds it:

  bash: ass completion bash > ~/.local/share/bash-completion/completions/ass
  zsh:  ass completion zsh > ~/.zfunc/_ass    (with ~/.zfunc in fpath)
  fish: ass completion fish > ~/.config/fish/completions/ass.fish

Paths and the names of agents are completed as well.`
}

//go:embed completion/ass.bash
var bashCompletion string

//go:embed completion/ass.zsh
var zshCompletion string

//go:embed completion/ass.fish
var fishCompletion string

func (c completionCmd) Run(a *app) error {
	script, ok := map[string]string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[c.Shell]
	if !ok {
		return usagef("completion supports bash, zsh and fish")
	}
	a.out.write(script)
	return nil
}

// completeCommand is the command that the scripts call. Its arguments are the words of
// the command line, up to and including the one being typed.
const completeCommand = "__complete"

func (a *app) complete(root *kong.Node, words []string) error {
	a.out.quiet = true
	if len(words) == 0 {
		return nil
	}
	a.Profile = orElse(a.getenv("ASS_PROFILE"), defaultProfile)
	for i, w := range words[:len(words)-1] {
		switch w {
		case "--profile":
			a.Profile = words[i+1]
		case "--api-url":
			a.APIURL = words[i+1]
		}
	}
	current := words[len(words)-1]
	if slices.Contains(words[:len(words)-1], "--") {
		return nil // the words after -- belong to another program
	}
	at, previous, given := walkWords(root, words[:len(words)-1])
	if at.DefaultCmd != nil && (previous != nil || strings.HasPrefix(current, "-")) {
		at = at.DefaultCmd
	}
	var candidates []string
	switch {
	case previous != nil:
		candidates = a.candidates(at, previous.Name, previous.Enum, current)
	case strings.HasPrefix(current, "-"):
		for _, f := range flagsOf(at) {
			candidates = append(candidates, "--"+f.Name)
		}
	case len(at.Children) > 0:
		for _, n := range at.Children {
			if !n.Hidden {
				candidates = append(candidates, n.Name)
			}
		}
	case len(at.Positional) > 0:
		p := at.Positional[min(given, len(at.Positional)-1)]
		candidates = a.candidates(at, p.Name, p.Enum, current)
	}
	for _, text := range candidates {
		if strings.HasPrefix(text, current) {
			a.out.line("%s", text)
		}
	}
	return nil
}

// walkWords follows a command line. It returns the command that it reaches, the flag
// that still waits for its value (nil for none), and the number of arguments.
func walkWords(n *kong.Node, words []string) (at *kong.Node, waiting *kong.Flag, given int) {
	at = n
	for _, w := range words {
		switch {
		case waiting != nil:
			waiting = nil
		case strings.HasPrefix(w, "-"):
			flags := flagsOf(at)
			if at.DefaultCmd != nil {
				flags = flagsOf(at.DefaultCmd)
			}
			for _, f := range flags {
				if (w == "--"+f.Name || f.Short != 0 && w == "-"+string(f.Short)) && !f.IsBool() {
					waiting = f
				}
			}
		case childNamed(at, w) != nil:
			at = childNamed(at, w)
		default:
			given++
		}
	}
	return at, waiting, given
}

// fixed holds the candidates that never change, by the name of the flag or argument.
var fixed = map[string][]string{
	"tier":         {"standard", "sensitive", "critical"},
	"type":         vault.Types,
	"status":       {vault.Pending, vault.Approved, vault.Denied, vault.Expired, "all"},
	"format":       formatNames(),
	"on-conflict":  onConflict,
	"on-duplicate": {duplicateError, duplicateLast},
	"charset":      {"alnum", "alpha", "digits", "hex", "ascii"},
	"shell":        {"bash", "zsh", "fish"},
	"ttl":          {"15m", "1h", "24h"},
}

// plainName matches the names that are safe to hand to a shell. A vault file could hold
// other names.
var plainName = pattern(`^[A-Za-z0-9._/-]+$`)

// candidates lists what a flag or an argument can be, given how it begins. Some may begin in another way.
func (a *app) candidates(at *kong.Node, name, enum, current string) []string {
	if name == "format" && commandName(at) == "audit report" {
		return reportFormats
	}
	if list, ok := fixed[name]; ok {
		if command := commandName(at); name == "tier" && (command == "unlock" || command == "tokens issue") {
			return list[:2] // what a token can read without approval
		}
		return list
	}
	if enum != "" {
		return strings.Split(enum, ",")
	}
	var list []string
	switch name {
	case "path", "stdin":
		for _, p := range a.paths(current) {
			list = append(list, p.String())
		}
	case "namespace", "in":
		for _, p := range a.paths(current) { // with its parents
			ns := p.Namespace().String()
			for i := range ns {
				if ns[i] == '/' {
					list = append(list, ns[:i])
				}
			}
			list = append(list, ns)
		}
	case "agent", "agent-id":
		list = a.ownersNames((*vault.Vault).AgentNames)
	case "id":
		list = a.ownersNames((*vault.Vault).PendingIDs)
	case "token-id", "token":
		list = a.ownersNames((*vault.Vault).TokenIDs)
	case "profile":
		if cfg, err := a.loadConfig(); err == nil {
			for profile := range cfg.Profiles {
				list = append(list, profile)
			}
		}
	}
	list = slices.DeleteFunc(list, func(s string) bool { return !plainName().MatchString(s) })
	slices.Sort(list)
	return slices.Compact(list)
}

// paths lists the paths that begin with a text, read without a key and not verified. It leaves out those that an agent
// may not use. On an error, there are none.
func (a *app) paths(beginning string) (list []tokens.Path) {
	a.LockTimeout = 0
	_ = a.look(func(v *vault.Vault, s *vault.Session) (err error) {
		if list, err = v.Paths(beginning); err == nil && s != nil {
			list = slices.DeleteFunc(list, func(p tokens.Path) bool {
				return !s.Can(tokens.Read, p) && !s.Can(tokens.Write, p) && !s.Can(tokens.Delete, p)
			})
		}
		return err
	})
	return list
}

// ownersNames lists names that an agent is not shown.
func (a *app) ownersNames(of func(*vault.Vault) ([]string, error)) (list []string) {
	a.LockTimeout = 0
	_ = a.look(func(v *vault.Vault, s *vault.Session) (err error) {
		if s == nil {
			list, err = of(v)
		}
		return err
	})
	return list
}
