package commands

import (
	"encoding"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kong builds a grammar anew in every process, which takes a sixth of a whole
// `secrets get`. So a plain command line is read here, by the same fields and tags that
// kong reads: words of a command, arguments, flags that are written out or have one
// letter. Whatever else is on it, and whatever is wrong with it, is for kong.

// runner is a command whose fields are filled in.
type runner interface{ Run(*app) error }

// applied is what has to know that its fields are filled in: kong calls this hook, too.
type applied interface{ AfterApply(*app) error }

// quick reads a plain command line. It reports false, and has changed nothing, if the line
// is not plain.
func (a *app) quick(args []string) (cmd runner, ok bool) {
	var globals Globals
	l := quickLine{t: reflect.TypeFor[CLI]()}
	if !l.fields(reflect.ValueOf(&globals).Elem()) || !l.read(args) || !l.readVariables(a) {
		return nil, false
	}
	given := false
	for _, f := range l.flags {
		if !f.set && f.required || f.set && isEmpty(f.v) && !slices.Contains(mayBeEmpty, f.name) {
			return nil, false
		}
		given = given || f.given && f.name == "namespace"
	}
	for _, h := range l.hooks {
		if h.AfterApply(a) != nil {
			return nil, false
		}
	}
	for _, f := range l.flags {
		if f.variable != "" {
			a.given(f.name, f.variable)
		}
	}
	a.Globals, a.command, a.namespaceGiven = globals, l.command, given
	a.namespace = a.namedNamespace(a.namespace)
	return l.cmd, true
}

// quickLine is a command line that is being read.
type quickLine struct {
	t       reflect.Type // the group that the words so far name
	command string       // those words
	cmd     runner       // the command that they name; nil so far
	flags   []*quickFlag // of the groups and the command
	args    []quickArg   // that the command takes
	n       int          // how many of them are filled
	hooks   []applied
}

type quickFlag struct {
	v        reflect.Value
	name     string
	short    string
	at       string // the command that has the flag; "" for all of them
	sep      string // tag of a list
	set      bool   // by the command line or a variable
	variable string // that set it
	given    bool   // by the command line

	required bool
}

type quickArg struct {
	v        reflect.Value
	name     string
	required bool
	rest     bool // it takes all that follows
}

// fields takes the flags and arguments of a group or a command, and sets their defaults.
func (l *quickLine) fields(v reflect.Value) bool {
	for i := range v.NumField() {
		f, fv := v.Type().Field(i), v.Field(i)
		if has(f, "cmd") {
			continue
		}
		if has(f, "embed") {
			if h, ok := fv.Addr().Interface().(applied); ok {
				l.hooks = append(l.hooks, h)
			}
		}
		if has(f, "embed") || f.Anonymous {
			if !l.fields(fv) {
				return false
			}
			continue
		}
		name := nameOf(f)
		if text, ok := f.Tag.Lookup("default"); ok && !setQuick(fv, name, text) {
			return false
		}
		if has(f, "arg") {
			l.args = append(l.args, quickArg{fv, name, !has(f, "optional"), has(f, "passthrough")})
			continue
		}
		l.flags = append(l.flags, &quickFlag{v: fv, name: name, short: f.Tag.Get("short"), at: l.command,
			sep: f.Tag.Get("sep"), required: has(f, "required")})
	}
	return true
}

func has(f reflect.StructField, tag string) bool {
	_, ok := f.Tag.Lookup(tag)
	return ok
}

// read reads a command line.
func (l *quickLine) read(args []string) bool {
	whole := args
	for len(args) > 0 {
		arg := args[0]
		var ok bool
		switch {
		case isQuickFlag(arg) && arg != "--":
			args, ok = l.flag(args)
		case l.cmd == nil:
			args, ok = args[1:], l.word(arg)
		default:
			args, ok = l.positional(args)
		}
		if !ok {
			return false
		}
	}
	return l.cmd != nil &&
		(l.n == len(l.args) || !l.args[l.n].required || l.command == "secrets get" && namesKey(whole))
}

// isQuickFlag reports whether a word of a command line is no value.
func isQuickFlag(arg string) bool { return len(arg) > 1 && arg[0] == '-' }

// word goes down to the group or command with this name.
func (l *quickLine) word(word string) bool {
	for i := range l.t.NumField() {
		f := l.t.Field(i)
		if !has(f, "cmd") || word == "" || !slices.Contains(namesOf(f), word) {
			continue
		}
		if !has(f, "default") || !has(f, "hidden") {
			l.command = strings.TrimPrefix(l.command+" "+nameOf(f), " ")
		}
		l.t = f.Type
		v := reflect.New(f.Type)
		if l.cmd, _ = v.Interface().(runner); l.cmd != nil {
			if h, ok := v.Interface().(applied); ok {
				l.hooks = append(l.hooks, h)
			}
		}
		return l.fields(v.Elem())
	}
	return false
}

// flag reads a flag, with its value.
func (l *quickLine) flag(args []string) (rest []string, ok bool) {
	arg, rest := args[0], args[1:]
	name, text, hasText := arg, "", false
	if strings.HasPrefix(arg, "--") {
		name, text, hasText = strings.Cut(arg, "=")
	}
	i := slices.IndexFunc(l.flags, func(f *quickFlag) bool { return name == "--"+f.name || name == "-"+f.short })
	if i < 0 {
		return nil, false
	}
	f := l.flags[i]
	f.set, f.given = true, true
	if f.v.Kind() == reflect.Bool && !hasText {
		f.v.SetBool(true)
		return rest, true
	}
	if !hasText {
		if len(rest) == 0 || isQuickFlag(rest[0]) {
			return nil, false
		}
		text, rest = rest[0], rest[1:]
	}
	return rest, f.take(text)
}

// take sets a flag from a text.
func (f *quickFlag) take(text string) bool {
	if f.v.Kind() != reflect.Slice {
		return setQuick(f.v, f.name, text)
	}
	list, ok := f.v.Addr().Interface().(*[]string)
	if !ok || f.sep != "none" || !isText(f.name, text) {
		return false
	}
	*list = append(*list, text)
	return true
}

// positional reads an argument, or all that are behind "--".
func (l *quickLine) positional(args []string) (rest []string, ok bool) {
	if args[0] == "--" && (l.n == len(l.args) || !l.args[l.n].rest) {
		for _, arg := range args[1:] {
			if l.n == len(l.args) || !setQuick(l.args[l.n].v, l.args[l.n].name, arg) {
				return nil, false
			}
			l.n++
		}
		return nil, true
	}
	if l.n == len(l.args) {
		return nil, false
	}
	arg := l.args[l.n]
	l.n++
	if !arg.rest {
		return args[1:], setQuick(arg.v, arg.name, args[0])
	}
	arg.v.Set(reflect.ValueOf(slices.Clone(args)))
	return nil, true
}

// readVariables sets the flags that are not on the command line, and have a variable.
func (l *quickLine) readVariables(a *app) bool {
	for _, f := range l.flags {
		if f.given {
			continue
		}
		name := variableOf(f.at, f.name)
		if name == "" {
			continue
		}
		if text := a.getenv(name); text != "" {
			f.variable = name
			if f.set = true; !f.take(text) {
				return false
			}
		}
	}
	return true
}

// setQuick sets a field from a text, as kong does. It reports false for a text of another
// form, and for a field of a type that it does not know.
func setQuick(v reflect.Value, name, text string) bool {
	if !isText(name, text) {
		return false
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch p := v.Addr().Interface().(type) {
	case *time.Duration:
		d, err := time.ParseDuration(text)
		*p = d
		return err == nil
	case encoding.TextUnmarshaler:
		return p.UnmarshalText([]byte(text)) == nil
	case *string:
		*p = text
	case *int, *int64:
		n, err := strconv.ParseInt(text, 0, v.Type().Bits())
		v.SetInt(n)
		return err == nil
	case *uint64:
		n, err := strconv.ParseUint(text, 0, 64)
		*p = n
		return err == nil
	case *bool:
		switch strings.ToLower(text) {
		case "true", "1", "yes":
			*p = true
		case "false", "0", "no":
			*p = false
		default:
			return false
		}
	default:
		return false
	}
	return true
}
