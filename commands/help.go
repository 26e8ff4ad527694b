package commands

import (
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Help is made from the definitions of the commands: page by page for people, as one
// text with --all, and as one JSON document for programs with --json.

// help answers ass help, with or without the name of a command.
func (a *app) help(node *kong.Node, words []string) error {
	all := slices.Contains(words, "--all")
	words = slices.DeleteFunc(slices.Clone(words), func(w string) bool { return strings.HasPrefix(w, "-") })
	for i, w := range words {
		next := childNamed(node, w)
		if next == nil {
			meant := commandMeant(node, w, strings.Join(words[i+1:min(i+2, len(words))], ""))
			if meant != "" {
				meant = "ass help " + strings.TrimPrefix(meant, "help ")
			}
			return usagef("no such command").
				hint("%s", didYouMeanOr(meant, "see: ass --help"))
		}
		node = next
	}
	switch {
	case a.JSON:
		return a.out.json(document(node))
	case all:
		a.out.write(a.pages(node))
		return nil
	}
	a.out.write(a.page(node))
	return nil
}

func childNamed(n *kong.Node, name string) *kong.Node {
	for _, c := range n.Children {
		if c.Name == name || slices.Contains(c.Aliases, name) {
			return c
		}
	}
	return nil
}

// leaves returns the commands below a node that can be run. It leaves out the hidden
// ones, except the hidden default of a group.
func leaves(n *kong.Node) []*kong.Node {
	if len(n.Children) == 0 {
		return []*kong.Node{n}
	}
	var list []*kong.Node
	for _, c := range n.Children {
		if !c.Hidden || isHiddenDefault(c) {
			list = append(list, leaves(c)...)
		}
	}
	return list
}

// flagsOf returns the flags of a command: its own first, then those of its groups, then
// the global ones.
func flagsOf(n *kong.Node) []*kong.Flag {
	var list []*kong.Flag
	for ; n != nil; n = n.Parent {
		for _, f := range n.Flags {
			if !f.Hidden {
				list = append(list, f)
			}
		}
	}
	return list
}

// document describes the program, or the part below a node, for programs that drive it.
func document(n *kong.Node) map[string]any {
	list, printed := []map[string]any{}, results()
	for _, c := range leaves(n) {
		list = append(list, commandJSON(c, printed[commandName(c)]))
	}
	return map[string]any{
		"name": "ass", "version": version(), "help": root(n).Help, "groups": groupsJSON(root(n)),
		"commands": list, "exit_codes": exits,
		"environment": environment,
		"errors":      `{"error":{"code","message","hint"}}, the last line of stderr; hint is the way out, if there is one; an approval error has approval_id, approval_ids and command as well; lines before it are {"note","hint"} or {"warning","hint"}`,
	}
}

// groupsJSON lists the first words of all commands by their groups, as ass --help does.
func groupsJSON(app *kong.Node) (groups []map[string]any) {
	for _, g := range commandGroups(app) {
		var list []map[string]any
		for _, n := range g.nodes {
			list = append(list, map[string]any{"command": "ass " + n.Name, "help": n.Help, "detail": nullable(n.Detail)})
		}
		groups = append(groups, map[string]any{"title": g.title, "commands": list})
	}
	return groups
}

func commandJSON(n *kong.Node, printed []result) map[string]any {
	name := commandName(n)
	flags, args := []map[string]any{}, []map[string]any{}
	for _, f := range flagsOf(n) {
		flags = append(flags, map[string]any{
			"name": "--" + f.Name, "short": nullable(shortOf(f)), "help": f.Help, "default": nullable(f.Default),
			"environment": variablesOf(name, f.Name),
			"flag_only":   nullable(whyFlagOnly(name, f.Name)),
			"required":    f.Required, "takes_value": !f.IsBool(), "repeatable": f.IsCumulative(),
			"placeholder": nullable(f.PlaceHolder),
		})
	}
	for _, p := range n.Positional {
		args = append(args, map[string]any{"name": p.Name, "help": p.Help, "required": p.Required,
			"repeatable": p.IsCumulative(), "default": nullable(p.Default)})
	}
	return map[string]any{
		"command": "ass " + name, "aliases": list(n.Aliases), "help": n.Help, "detail": nullable(n.Detail),
		"arguments": args, "flags": flags, "json": shapes(printed),
	}
}

func variablesOf(command, flag string) []string {
	if v := variableOf(command, flag); v != "" {
		return []string{v}
	}
	return []string{}
}

func shortOf(f *kong.Flag) string {
	if f.Short == 0 {
		return ""
	}
	return "-" + string(f.Short)
}

// environment lists the variables that are not flags.
var environment = []struct {
	Name string `json:"name"`
	Help string `json:"help"`
}{
	{"ASS_API_KEY", "Agent key or token to act with, instead of the stored credential."},
	{"ASS_AGENT_KEY", "The same; ASS_API_KEY is read before it."},
	{"ASS_AGENT_KEY_FILE", "File with an agent key or a token, readable by its owner alone; the two others are read " +
		"before it."},
	{"ASS_API_URL", "Vault to use: file:///path/to/vault.db, or a path."},
	{"ASS_NAMESPACE", "Namespace of names without a slash."},
	{"NO_COLOR", "No colours, if it is set."},
}
