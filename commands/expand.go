package commands

import (
	"fmt"
	"slices"
	"strings"

	"ass/vault"
)

// References between the variables of a .env file: ${NAME}.

// expand fills references in: ${NAME} with the value that an earlier line of the same
// file gives that name, ${NAME:-text} and ${NAME-text} with text where none does, and
// ${NAME:?text} and ${NAME?text} as ${NAME}. With fill false it fills in only what
// stands for itself in the dialect of python-dotenv.
//
// An error repeats the name that is missing only if it looks like one: it may be a part
// of a password.
func expand(list []variable, fill bool) (wrong unreadable) {
	set := make(map[string][]byte, len(list))
	for i := range list {
		v := &list[i]
		var problem string
		if len(v.refs) > 0 {
			v.value, v.refs, problem = v.filled(set, fill)
		}
		if problem != "" {
			wrong = append(wrong, &dotenvError{v.line, shownName(v.name, "a value") + " " + problem})
		}
		set[v.name] = v.value
	}
	return wrong
}

// filled returns the value with its references filled in, and where those are that
// were left.
func (v variable) filled(set map[string][]byte, fill bool) (value []byte, left []int, problem string) {
	rest, whole := 0, string(v.value)
	for _, at := range v.refs {
		if at < rest {
			continue // within the text of the one before
		}
		value = append(value, v.value[rest:at]...)
		rest = at
		name, text, length := cutReference(whole[at:])
		known, isSet := set[name]
		switch {
		case length > 0 && name == "":
			value = append(value, text.text...)
		case !fill:
			left = append(left, len(value))
			continue
		case length == 0:
			return nil, nil, "has a reference of another form than ${NAME}; put the value into single quotes to keep " +
				"it as it is"
		case isSet && !(text.ifEmpty && len(known) == 0):
			value = append(value, known...)
		case text.given:
			value = append(value, text.text...)
		default:
			return nil, nil, "refers to " + shownName(name, "a name") + ", which no earlier line sets; give it a value with " +
				"${NAME:-text}, or put the whole into single quotes to keep it as it is"
		}
		if rest += length; len(value) > vault.MaxValueBytes {
			return nil, nil, fmt.Sprintf("is, with its references filled in, larger than the %d bytes that are "+
				"allowed", vault.MaxValueBytes)
		}
	}
	return append(value, v.value[rest:]...), left, ""
}

// otherwise is the text of a reference for when its name is not set.
type otherwise struct {
	text    string
	given   bool
	ifEmpty bool // also when it is set and empty
}

// longestReference bounds a reference in bytes, so that many without an end take no time.
const longestReference = 4 << 10

// cutReference reads the reference with which s begins; length is 0 for a form that is
// not known.
func cutReference(s string) (name string, text otherwise, length int) {
	end := strings.IndexByte(s[:min(len(s), longestReference)], '}')
	if end < 0 {
		return "", text, 0
	}
	inner := s[len("${"):end]
	n := nameLength(inner)
	if cut := strings.IndexByte(inner[:n], '-'); cut >= 0 { // it stands before the text
		n = cut
	}
	name, inner = inner[:n], inner[n:]
	switch {
	case inner == "":
	case strings.HasPrefix(inner, ":-"):
		text = otherwise{inner[2:], true, true}
	case strings.HasPrefix(inner, "-"):
		text = otherwise{inner[1:], true, false}
	case strings.HasPrefix(inner, ":?"): // it must be set, and not be empty
		text.ifEmpty = true
	case strings.HasPrefix(inner, "?"):
	default:
		return "", text, 0
	}
	return name, text, end + 1
}

// unfilled are the variables whose values have references in them, which stay as they
// are; shown, the same with the names that they refer to.
func unfilled(list []variable) (names, shown []string) {
	for _, v := range list {
		if len(v.refs) == 0 {
			continue
		}
		var refs []string
		whole := string(v.value)
		for _, at := range v.refs[:min(len(v.refs), mostNamed)] {
			if name, _, length := cutReference(whole[at:]); length > 0 && isShown(name) && !slices.Contains(refs,
				"${"+name+"}") {
				refs = append(refs, "${"+name+"}")
			}
		}
		names, shown = append(names, v.name), append(shown, v.name)
		if len(refs) > 0 {
			shown[len(shown)-1] += " (" + some(refs) + ")"
		}
	}
	return names, shown
}
