package commands

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Help is made from the definitions of the commands: page by page for people, as one
// text with --all, and as one JSON document for programs with --json.

// help answers ass help, with or without the name of a command. It returns the command
// line that shows one page, or nil if it has already printed everything.
func (a *app) help(node *kong.Node, words []string) (args []string, err error) {
	all := slices.Contains(words, "--all")
	words = slices.DeleteFunc(slices.Clone(words), func(w string) bool { return strings.HasPrefix(w, "-") })
	for _, w := range words {
		next := childNamed(node, w)
		if next == nil {
			return nil, usagef("no such command; see: ass --help")
		}
		node = next
	}
	switch {
	case a.JSON:
		return nil, a.out.json(document(node))
	case all:
		for _, n := range leaves(node) {
			a.out.write(page(n) + "\n")
		}
		return nil, nil
	}
	return append(words, "--help"), nil
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
		if !c.Hidden || c.Name == hiddenDefault {
			list = append(list, leaves(c)...)
		}
	}
	return list
}

// page returns the help of one command, as text without colours.
func page(n *kong.Node) string {
	var b strings.Builder
	fmt.Fprintf(&b, "ass %s%s\n\n  %s\n", commandName(n), usageOf(n), n.Help)
	if n.Detail != "" {
		b.WriteString("\n" + indent(n.Detail, "  ") + "\n")
	}
	if len(n.Positional) > 0 {
		b.WriteString("\nArguments:\n")
		for _, p := range n.Positional {
			fmt.Fprintf(&b, "  %-22s %s\n", p.Summary(), p.Help)
		}
	}
	b.WriteString("\nFlags:\n")
	for _, f := range flagsOf(n) {
		fmt.Fprintf(&b, "  %-22s %s\n", f.String(), f.Help+envNote(commandName(n), f))
	}
	return b.String()
}

func usageOf(n *kong.Node) string {
	var b strings.Builder
	for _, p := range n.Positional {
		b.WriteString(" " + p.Summary())
	}
	return b.String() + " [flags]"
}

func indent(text, by string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if l != "" {
			lines[i] = by + l
		}
	}
	return strings.Join(lines, "\n")
}

// envNote names the variable that sets a flag of a command, for the help.
func envNote(command string, f *kong.Flag) string {
	if v := variableOf(command, f.Name); v != "" {
		return " ($" + v + ")"
	}
	return ""
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
	list := []map[string]any{}
	for _, c := range leaves(n) {
		list = append(list, commandJSON(c))
	}
	return map[string]any{
		"name": "ass", "version": version(), "commands": list, "exit_codes": exits,
		"environment": environment,
		"errors":      `{"error":{"code","message"}} on stderr; an approval error has approval_id, approval_ids and command as well`,
	}
}

func commandJSON(n *kong.Node) map[string]any {
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
		"command": "ass " + name, "aliases": append([]string{}, n.Aliases...), "help": n.Help, "detail": nullable(n.Detail),
		"arguments": args, "flags": flags, "json": nullable(shapes[name]),
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
var environment = []map[string]string{
	{"name": "ASS_API_KEY", "help": "Agent key or token to act with, instead of the stored credential."},
	{"name": "ASS_AGENT_KEY", "help": "The same; ASS_API_KEY is read before it."},
	{"name": "ASS_API_URL", "help": "Vault to use: file:///path/to/vault.db, or a path."},
	{"name": "ASS_NAMESPACE", "help": "Namespace of names without a slash."},
	{"name": "NO_COLOR", "help": "No colours, if it is set."},
}

const secretShape = `"id","namespace","key","path","version","secret_type","access_tier","metadata","created_at","updated_at"`

// shapes holds the fields that each command prints with --json. A test compares the
// names of the commands.
var shapes = map[string]string{
	"login":             `{"profile","credential","config","vault","vault_id","passphrase","key_kept","created"?,"owner_key"?}`,
	"logout":            `{"config","profiles":[…],"recovery_files":[…]}`,
	"whoami":            `{"id","email","name","plan","secret_count","agent_count","credential","credential_source","vault","vault_id"}`,
	"status":            `{"api":{"url","status","version","error"},"auth":{"logged_in","email","plan","credential","credential_source","unlocked"},"vault":{…}}`,
	"unlock":            `{"unlocked","expires_at","token_id","access_tier"}`,
	"lock":              `{"unlocked"}`,
	"secrets list":      `{"namespace","items":[{` + secretShape + `}]}`,
	"secrets get":       `{` + secretShape + `,"value","encoding"?}; encoding is "base64" for a value that is not UTF-8`,
	"secrets set":       `{` + secretShape + `}`,
	"secrets rotate":    `{` + secretShape + `}`,
	"secrets delete":    `{` + secretShape + `,"deleted_at","tokens_revoked","tokens_broader"}`,
	"secrets restore":   `{` + secretShape + `}`,
	"secrets rollback":  `{` + secretShape + `}`,
	"secrets history":   `{"path","deleted","items":[{"version","access_tier","author","created_at","current"}]}`,
	"secrets purge":     `{"path","versions"}`,
	"env import":        `{"namespace","imported","skipped","keys":[…],"skipped_keys":[…],"dry_run","references"?,"acting"?}; references are the keys whose values have ${NAME} in them, acting those that act on the program that gets them`,
	"env export":        `{"output","exported","keys":[…],"left_out":[{"path","reason"}]}, with --output; without, the file itself, and {"left_out":[…]} on stderr`,
	"run":               `nothing but {"left_out":[{"path","reason"}]} on stderr, where secrets are left out`,
	"inject":            `{"output","secrets"}, with -o; without, the file itself`,
	"agents list":       `{"items":[{"id","name","description","api_key_prefix","allowed_namespaces","allowed_scopes","active","created_at","key_issued_at","last_active_at","revoked_at"?}]}`,
	"agents create":     `an agent, with "api_key"`,
	"agents show":       `an agent, with "active_tokens"`,
	"agents rotate-key": `an agent, with "api_key"`,
	"agents revoke":     `{"id","name","active","tokens_revoked","versions_reencrypted","left_behind":[…]}`,
	"tokens issue":      `{"token","token_id","expires_at","scopes","agent_id"}`,
	"tokens list":       `{"items":[{"token_id","agent_id","scopes","status","uses","max_uses","ip_allowlist","access_tier","created_at","expires_at","last_used_at"}]}`,
	"tokens revoke":     `{"token_id","status"}`,
	"approvals list":    `{"items":[{"id","agent_id","agent_name","actor_id","status","access_tier","requested_scopes","action","path","version","reason","denial_reason","used","created_at","expires_at","decided_at"}]}; with "total" where --limit leaves some out`,
	"approvals approve": `{"ids":[…],"status"}`,
	"approvals deny":    `{"ids":[…],"status"}`,
	"explain":           `{"path","exists","access_tier","access":[{"actor_type","actor_id","agent_id","name","scopes","read","write","delete"}],"open_approvals","enforced_by"}; with --agent {"agent","secrets":[{"path","access_tier","version","read","write","delete"}],"tokens","enforced_by"}`,
	"audit":             `{"events":[{"seq","id","event_type","actor_id","actor_type","resource_type","resource_id","metadata","ip_address","created_at"}],"total","page","limit"}; with --tail one event a line`,
	"audit verify":      `{"entries","records","epoch","archived","verified_before","problems":[…]}`,
	"vault info":        `{"id","format","size_bytes","secret_count","deleted_count","version_count","agent_count","token_count","audit_entries"}`,
	"vault check":       `{"entries","records","epoch","archived","verified_before","problems":[…]}`,
	"audit archive":     `{"file","first","last","sha256"}`,
	"vault backup":      `{"file","size_bytes","records","audit_entry"}; with --to-stdout, the backup itself`,
	"vault restore":     `{"vault","file","audit_entry","epoch","secret_count","replaced","returning":[…],"older":[…],"leaving":[…],"raised":[…],"revoked":[…],"unread","reviving":[…],"lost_agents":[…]}; with --verify-only as vault check`,
	"vault salvage":     `{"file","secret_count","version_count","agent_count","audit_entries","log_file","lost":[…],"reviving":[…],"epoch"}`,
	"vault compact":     `{"size_bytes_before","size_bytes"}`,
	"vault rekey":       `{"epoch"}; with --new-key {"vault_id","owner_key","agents":[{"id","name","api_key"}],"log_file"}`,
	"vault accept":      `{"seen","have"}`,
	"init":              `{"namespace","path","created","ignored"}; with --trust {"namespace","path","trusted"}`,
	"open":              `{"path","url"}`,
	"completion":        ``,
	"version":           `{"version"}`,
}
