package commands

import (
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// Kong builds its grammar by reflection, which takes a fortieth of a millisecond per
// command. For all commands, this takes longer than the rest of a whole `secrets get`.
// So if a command line names its command, the grammar holds only this command. If the
// command line cannot be parsed with it, the full grammar parses it again and gives the
// right message.

// pruned returns a CLI that holds only the command that args name. It reports false if
// the command cannot be found without parsing, or if args may ask for help.
func pruned(args []string) (grammar reflect.Value, ok bool) {
	if slices.ContainsFunc(args, func(arg string) bool { return arg == "-h" || strings.HasPrefix(arg, "--help") }) {
		return grammar, false
	}
	for len(args) > 0 && args[0] == "--json" {
		args = args[1:]
	}
	t, ok := prune(reflect.TypeFor[CLI](), args)
	if !ok {
		return grammar, false
	}
	return reflect.New(t), true
}

// prune removes from a group the commands that args do not name. If args name none, it
// reports false.
func prune(group reflect.Type, args []string) (t reflect.Type, ok bool) {
	var kept []reflect.StructField
	for i := range group.NumField() {
		f := group.Field(i)
		if _, isCommand := f.Tag.Lookup("cmd"); isCommand {
			if len(args) == 0 || !slices.Contains(namesOf(f), args[0]) {
				continue
			}
			ok = true
			if below, named := prune(f.Type, args[1:]); named {
				f.Type = below
			}
		}
		kept = append(kept, reflect.StructField{Name: f.Name, Type: f.Type, Tag: f.Tag, Anonymous: f.Anonymous})
	}
	if !ok {
		return nil, false
	}
	return reflect.StructOf(kept), true
}

// namesOf returns the words that name a command, as kong takes them from its field.
func namesOf(f reflect.StructField) []string {
	return append(strings.Split(f.Tag.Get("aliases"), ","), nameOf(f))
}

// nameOf returns the name of a command, a flag or an argument, as kong takes it from its
// field: APIKey is api-key.
func nameOf(f reflect.StructField) string {
	if name := f.Tag.Get("name"); name != "" {
		return name
	}
	var b strings.Builder
	runes := []rune(f.Name)
	for i, r := range runes {
		if i > 0 && unicode.IsUpper(r) &&
			(unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
