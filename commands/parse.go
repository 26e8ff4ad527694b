package commands

import (
	"errors"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"ass/tokens"
)

// parse reads the command line. It returns the function to run, or nil if help was
// shown.
//
// Kong repeats in its errors what was typed, which may be a secret that slipped into
// the wrong place. So ass never prints kong's text: its own error says what kind of
// thing is wrong and which command's help to read.
func (a *app) parse(args []string) (func() error, error) {
	a.JSON = a.wantsJSON(args)
	a.out.asJSON = a.JSON
	if isVersion(args) {
		return func() error { return versionCmd{}.Run(a) }, nil
	}
	if cmd, ok := a.quick(args); ok {
		return func() error { return cmd.Run(a) }, nil
	}
	helped := false
	help := func(int) { helped = true }
	if grammar, ok := pruned(args); ok {
		if p, err := a.newParser(grammar); err == nil {
			p.Exit = help
			nameByKey(p.Model.Node, args)
			if ctx, err := p.Parse(args); err == nil && !helped {
				return a.parsed(grammar, ctx)
			}
		}
	}
	grammar := reflect.ValueOf(&CLI{})
	p, err := a.newParser(grammar)
	if err != nil {
		return nil, err // the grammar itself is wrong: a bug that every test finds
	}
	if len(args) > 0 && args[0] == "help" {
		return nil, a.help(p.Model.Node, args[1:])
	}
	switch {
	case len(args) == 0:
		args = []string{"--help"}
	case args[0] == completeCommand || args[0] == suggestCommand:
		return func() error { return a.complete(p.Model.Node, args[0], args[1:]) }, nil
	}
	p.Exit = help
	nameByKey(p.Model.Node, args)
	ctx, err := p.Parse(args)
	switch {
	case helped:
		return nil, nil
	case err != nil:
		return nil, a.explainParse(err, args)
	}
	return a.parsed(grammar, ctx)
}

// newParser makes a parser for a grammar: a pointer to [CLI], or to a pruned copy of
// it.
func (a *app) newParser(grammar reflect.Value) (*kong.Kong, error) {
	// Help goes to stdout because the person asked for it. Kong's writer for errors is
	// never used.
	return kong.New(grammar.Interface(),
		kong.Name("ass"),
		kong.Description("The offline Agent Secret Store: encrypted secrets in one file, scoped keys for agents, and an "+
			"audit log that proves itself."),
		kong.Writers(a.out.w, io.Discard),
		kong.Bind(a),
		kong.KindMapper(reflect.String, kong.MapperFunc(decodeText)),
		kong.PostBuild(a.nameVariables),
		kong.Resolvers(kong.ResolverFunc(a.fromVariable)),
		kong.Help(a.showHelp),
		kong.ExplicitGroups([]kong.Group{
			{Key: "auth", Title: "Authentication"},
			{Key: "secrets", Title: "Secrets"},
			{Key: "agents", Title: "Agents, tokens and approvals"},
			{Key: "audit", Title: "Audit"},
			{Key: "utilities", Title: "Utilities"},
		}),
	)
}

// decodeText is how kong reads a text. By itself it puts U+FFFD in place of bytes that are
// not UTF-8: another value would be stored, and the program of ass run would get other
// arguments.
func decodeText(ctx *kong.DecodeContext, target reflect.Value) error {
	token, err := ctx.Scan.PopValue("text")
	if err != nil {
		return err
	}
	text, ok := token.Value.(string)
	if !ok || !isText(ctx.Value.Name, text) {
		return errBytes
	}
	target.SetString(text)
	return nil
}

// isText reports whether a flag or an argument may be a text. All but those that are handed
// on as they are must be UTF-8.
func isText(name, text string) bool {
	return name == "value" || name == "command" || utf8.ValidString(text)
}

var errBytes = errors.New("it is not UTF-8")

// parsed takes over the parsed command line, and returns the function that runs it.
func (a *app) parsed(grammar reflect.Value, ctx *kong.Context) (func() error, error) {
	a.Globals = grammar.Elem().FieldByName("Globals").Interface().(Globals)
	a.command = commandName(ctx.Selected())
	for _, p := range ctx.Path {
		if p.Flag == nil {
			continue
		}
		if p.Resolved {
			a.given(p.Flag.Name, a.variables[p.Flag])
		}
		// An unset variable in a script gives an empty text, which must not mean "all".
		if isEmpty(p.Flag.Target) && !slices.Contains(mayBeEmpty, p.Flag.Name) {
			return nil, usagef("--%s is empty", p.Flag.Name).
				hint("leave it out, or give it a value")
		}
		a.namespaceGiven = a.namespaceGiven || p.Flag.Name == "namespace" && !p.Resolved
	}
	a.namespace = a.namedNamespace(a.namespace)
	return func() error { return ctx.Run(a) }, nil
}

// isEmpty reports whether a flag's value is an empty text, or a list that has one.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		return v.Len() == 0
	case reflect.Slice:
		for i := range v.Len() {
			if isEmpty(v.Index(i)) {
				return true
			}
		}
		return v.Len() == 0
	}
	return false
}

// mayBeEmpty lists the flags for which an empty text means something.
var mayBeEmpty = []string{"value", "description", "reason", "key"}

// nameByKey makes the argument of secrets get optional if --key names the secret, as in
// the hosted CLI. In kong, a flag cannot stand in for an argument.
func nameByKey(root *kong.Node, args []string) {
	secrets := childNamed(root, "secrets")
	if secrets == nil {
		return
	}
	if get := childNamed(secrets, "get"); get != nil && namesKey(args) {
		get.Positional[0].Required = false
	}
}

// namesKey reports whether --key may be on a command line.
func namesKey(args []string) bool {
	return slices.ContainsFunc(args, func(arg string) bool {
		return strings.HasPrefix(arg, "-k") || strings.HasPrefix(arg, "--key")
	})
}

// isVersion reports whether a command line asks for the version, with or without --json.
func isVersion(args []string) bool {
	args = slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return arg == "--json" })
	return len(args) == 1 && slices.Contains([]string{"--version", "-v", "-V"}, args[0])
}

// wantsJSON looks for --json before the command line is parsed, because even a parse
// error must be in the form that was asked for.
func (a *app) wantsJSON(args []string) bool {
	on := false
	switch strings.ToLower(a.getenv("ASS_JSON")) {
	case "true", "1", "yes": // as kong reads it
		on = true
	}
	for _, arg := range args {
		switch arg {
		case "--":
			return on
		case "--json", "--json=true":
			on = true
		case "--json=false":
			on = false
		}
	}
	return on
}

func commandName(n *kong.Node) string {
	var words []string
	for ; n != nil && n.Type != kong.ApplicationNode; n = n.Parent {
		if !isHiddenDefault(n) {
			words = append([]string{n.Name}, words...)
		}
	}
	return strings.Join(words, " ")
}

// isHiddenDefault reports whether a command is what its group runs if the command line names none, and has no name of its
// own.
func isHiddenDefault(n *kong.Node) bool {
	return n.Hidden && n.Parent != nil && n.Parent.DefaultCmd == n
}

var (
	missing   = pattern(`^(expected|missing flags:) (.*)$`)
	flagValue = pattern(`^(--[a-z-]+): `)
	unknown   = pattern(`(?s)^(?:unexpected argument|unknown flag) (.*?)(?:, did you mean .*)?$`)

	// unknownName matches the unknown words that are repeated. A word with other characters may be a value.
	unknownName = pattern(`^(?:--)?[a-z][a-z-]{1,19}$`)
)

// pattern returns a regular expression that is compiled on first use. Compiling those
// of all commands would cost each command a quarter of a millisecond.
func pattern(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// takesValue lists the commands whose value may begin with a dash.
var takesValue = []string{"secrets set", "secrets rotate", "login"}

func (a *app) explainParse(err error, args []string) error {
	command := ""
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil {
		command = commandName(parse.Context.Selected())
	}
	see := "see: ass " + command + " --help"
	if command == "" {
		see = "see: ass --help"
	}
	text := err.Error()
	var syntax *tokens.SyntaxError
	if errors.As(err, &syntax) {
		return usagef("%v", syntax)
	}
	if errors.Is(err, errBytes) {
		return usagef("a text on the command line is not UTF-8").
			hint("pass a value that is none through stdin or --file; %s", see)
	}
	if m := flagValue().FindStringSubmatch(text); m != nil {
		if v := variableOf(command, strings.TrimPrefix(m[1], "--")); v != "" && a.getenv(v) != "" && !givenIn(args, parse,
			m[1]) {
			m[1] = v
		}
		return usagef("%s has a value of the wrong form", m[1]).
			hint("%s", see)
	}
	if m := missing().FindStringSubmatch(text); m != nil {
		if n := parse.Context.Selected(); n != nil && strings.HasPrefix(m[2], "one of ") { // kong names five
			m[2] = `one of "` + strings.Join(commandsOf(n), `", "`) + `"`
		}
		return usagef("missing: %s", m[2]).
			hint("%s", see)
	}
	if m := unknown().FindStringSubmatch(text); m != nil {
		return a.unknownWord(parse, m[1], command, see, args)
	}
	return usagef("the command line could not be parsed").
		hint("%s", see)
}

// givenIn reports whether a flag is on the command line, in its long or its short form.
func givenIn(args []string, err *kong.ParseError, flag string) bool {
	forms := []string{flag}
	at := err.Context.Selected()
	if at != nil && at.DefaultCmd != nil {
		at = at.DefaultCmd
	}
	for _, f := range flagsOf(at) {
		if "--"+f.Name == flag && f.Short != 0 {
			forms = append(forms, "-"+string(f.Short))
		}
	}
	return slices.ContainsFunc(args, func(arg string) bool {
		return slices.ContainsFunc(forms, func(form string) bool { return strings.HasPrefix(arg, form) })
	})
}
