package commands

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"ass/tokens"
)

// Which flags the environment can set. The hosted CLI says "all", for CI and for
// Docker. Here a flag is either in settable or, with the reason, in flagOnly; a test
// holds that no flag is in neither, and that docs/environment.md says the same.

// settable are the flags that a variable can set: --dry-run is ASS_DRY_RUN. A flag on
// the command line wins over its variable.
var settable = []string{
	// of the hosted CLI
	"json", "profile", "api-url", "namespace", "type", "dry-run", "output", "name", "description", "scopes", "ttl",
	"max-uses", "ip-allowlist", "status", "reason", "limit", "tail", "silent",
	// ours
	"lock-timeout", "passphrase-file", "deleted", "wait", "timeout", "no-browser",
}

// notHere reports whether a settable flag means something else in a command than its
// variable, and is a flag only.
func notHere(flag, command string) bool {
	switch flag {
	case "namespace": // a limit, a filter, and where a helper looks; ASS_NAMESPACE is a default
		return slices.Contains([]string{"agents create", "agents update", "audit", "leaks scan"}, command) ||
			strings.HasPrefix(command, "helper ")
	case "description": // of a new agent
		return slices.Contains([]string{"secrets set", "secrets describe", "agents update"}, command)
	case "scopes":
		return command == "agents update"
	case "type": // a filter; ASS_TYPE is for what is stored
		return slices.Contains([]string{"secrets list", "secrets find"}, command)
	}
	return false
}

// flagOnlyGroup are flags that the command line alone sets, for one reason.
type flagOnlyGroup struct {
	Reason string   `json:"reason"`
	Flags  []string `json:"flags"`
}

var flagOnly = []flagOnlyGroup{
	{"a person confirms with it", []string{"force", "trust"}},
	{"it is a value, or says how one is made", []string{"value", "generate", "length", "charset", "allow-empty"}},
	{"it can lower a tier", []string{"tier"}},
	{"it names a credential, or where one is", []string{"key", "key-file", "write-key", "show-key", "passphrase-fd", "new-fd", "new-file", "identity", "recipient"}},
	{"it switches protection off, or on for one run", []string{"allow", "strict", "no-redact", "mask", "no-mask",
		"file-on-disk", "keep-agent-key", "pristine", "if-version", "raw",
		"allow-run", "allow-command", "expose-values", "unlogged", "owner", "http"}},
	{"it says what is handed over, and in which form", []string{"env", "env-file", "file", "stdin", "keys", "exclude", "prefix",
		"format", "in", "out", "secret", "host", "username", "client-certificate", "client-key", "paper", "svg", "html", "shares",
		"threshold"}},
	{"it changes what is kept, or removes it", []string{"on-conflict", "on-duplicate", "expand", "all", "new-key",
		"log-file", "remove", "keyring", "no-keyring", "before", "to", "to-stdout", "verify-only", "write", "keep", "past-ahead", "map",
		"latest", "recursive", "canary", "no-canary", "install", "login"}},
	{"it says what one command is about", []string{"version", "tag", "meta", "expires", "rotate-every", "within",
		"older-than", "expiring", "written-by", "sort", "regexp", "from", "reveal", "agent", "token", "action", "since", "until", "archive", "expect",
		"check", "git", "staged", "transcripts", "files", "versions"}},
	{"it starts a program", []string{"notify", "exec"}},
	{"it asks for help", []string{"help"}},
}

// variableOf is the variable that sets a flag of a command, "" for none.
func variableOf(command, flag string) string {
	if !slices.Contains(settable, flag) || notHere(flag, command) {
		return ""
	}
	return "ASS_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// nameVariables notes which variables set which flags. Kong itself must not know them: it
// would read those of the process.
func (a *app) nameVariables(k *kong.Kong) error {
	a.variables = map[*kong.Flag]string{}
	var visit func(*kong.Node)
	visit = func(n *kong.Node) {
		for _, f := range n.Flags {
			if v := variableOf(commandName(n), f.Name); v != "" {
				a.variables[f] = v
			}
		}
		for _, c := range n.Children {
			visit(c)
		}
	}
	visit(k.Model.Node)
	return nil
}

// fromVariable gives kong the value of a flag's variable, nil for none.
func (a *app) fromVariable(_ *kong.Context, _ *kong.Path, f *kong.Flag) (any, error) {
	if name := a.variables[f]; name != "" {
		if text := a.getenv(name); text != "" {
			return text, nil
		}
	}
	return nil, nil
}

// given notes that a variable set a flag.
func (a *app) given(flag, variable string) {
	if a.setBy == nil {
		a.setBy = map[string]string{}
	}
	a.setBy[flag] = variable
}

// flagOfForm is the flag of a form that other packages check, "" if there is none.
func flagOfForm(form string) string {
	switch form {
	case "ttl", "type", "scopes":
		return form
	case "scope":
		return "scopes"
	case "ip allowlist":
		return "ip-allowlist"
	}
	return ""
}

// asGiven puts the names of variables in the place of the flags that they set, in the message of a usage error:
// --status would lead astray somebody who has set ASS_STATUS and typed no flag.
func (a *app) asGiven(message string, err error) string {
	var syntax *tokens.SyntaxError
	if errors.As(err, &syntax) && a.setBy[flagOfForm(syntax.What)] != "" {
		message = a.setBy[flagOfForm(syntax.What)] + ": " + message
	}
	for flag, variable := range a.setBy {
		typed := regexp.MustCompile("--" + regexp.QuoteMeta(flag) + `($|[^a-z-])`)
		message = typed.ReplaceAllString(message, variable+"$1")
	}
	return message
}

// helpWithVariable returns the help of a flag or an argument, with the variable that sets
// it.
func (a *app) helpWithVariable(v *kong.Value) string {
	name := a.variables[v.Flag]
	if name == "" {
		return v.Help
	}
	suffix := "($" + name + ")"
	if text, ok := strings.CutSuffix(v.Help, "."); ok {
		return text + " " + suffix + "."
	}
	return strings.TrimSpace(v.Help + " " + suffix)
}

// whyFlagOnly is the reason that no variable sets a flag of a command, "" if one does.
func whyFlagOnly(command, flag string) string {
	if variableOf(command, flag) != "" {
		return ""
	}
	if notHere(flag, command) {
		return fmt.Sprintf("%s is a default, and here the flag is none", variableOf("", flag))
	}
	for _, g := range flagOnly {
		if slices.Contains(g.Flags, flag) {
			return g.Reason
		}
	}
	return ""
}
