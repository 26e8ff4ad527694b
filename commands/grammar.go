package commands

import (
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// Kong builds its grammar by reflection, a fortieth of a millisecond for each
// command: for all of them that takes longer than a whole `secrets get` does
// otherwise. So a command line that names its command gets a grammar with this one
// command in it. Whatever cannot be parsed in there is parsed again with all of
// them, which knows what to say.

// pruned returns a CLI with the command alone that args name; false if that cannot
// be told without parsing, or if help may be asked for.
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

// prune leaves out of a group the commands that args do not name. Where they name
// none, it reports false.
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

// namesOf are the words that name a command, as kong takes them from its field.
func namesOf(f reflect.StructField) []string {
	name := f.Tag.Get("name")
	if name == "" {
		for i, r := range f.Name {
			if i > 0 && unicode.IsUpper(r) {
				name += "-"
			}
			name += string(unicode.ToLower(r))
		}
	}
	return append(strings.Split(f.Tag.Get("aliases"), ","), name)
}
