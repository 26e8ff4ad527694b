package stores

import (
	"fmt"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"ass/tokens"
)

// Stores allow any name; a path has few characters. What a name becomes depends on the name
// alone, so that a second import finds the secrets of the first. Names that become one path
// are an error, because one value would be lost.

// Rule gives names of a store other paths, or leaves them out.
type Rule struct {
	text     string
	from, to string
	used     bool // it decided on a name
	late     bool // a rule before it decided on a name that fits
}

// ParseRule reads FROM=TO. A * in FROM stands for any text, slashes included, and a * in TO for that
// text. An empty TO leaves the items out. The last = counts, because no path has one.
func ParseRule(s string) (*Rule, error) {
	at := strings.LastIndexByte(s, '=')
	if at < 1 {
		return nil, fmt.Errorf("a rule is FROM=TO, or FROM= to leave something out")
	}
	r := &Rule{text: s, from: s[:at], to: s[at+1:]}
	switch stars := strings.Count(r.from, "*"); {
	case stars > 1 || strings.Count(r.to, "*") > 1:
		return nil, fmt.Errorf("a rule has at most one * on each side")
	case stars == 0 && strings.Contains(r.to, "*"):
		return nil, fmt.Errorf("the * of %s stands for nothing, because %s has none", quoted(r.to), quoted(r.from))
	case r.to == "":
		return r, nil
	}
	for part := range strings.SplitSeq(strings.ReplaceAll(r.to, "*", "x"), "/") {
		if clean(part) != part {
			return nil, fmt.Errorf("%s is no path below the namespace", quoted(r.to))
		}
	}
	return r, nil
}

// match returns what the rule makes of a name.
func (r *Rule) match(name string) (to string, ok bool) {
	before, after, star := strings.Cut(r.from, "*")
	switch {
	case !star && name != r.from:
		return "", false
	case star && (len(name) < len(before)+len(after) || !strings.HasPrefix(name, before) ||
		!strings.HasSuffix(name, after)):
		return "", false
	case star:
		return strings.ReplaceAll(r.to, "*", name[len(before):len(name)-len(after)]), true
	}
	return r.to, true
}

// Places returns the paths of all items: below the namespace, or, in the root, the names as whole paths. The first
// rule that matches the name of an item decides. Places takes the items out that a rule leaves out, and
// names them.
func Places(c *Content, ns tokens.Namespace, rules []*Rule) ([]tokens.Path, error) {
	var items []Item
	var paths []tokens.Path
	for _, item := range c.Items {
		parts, out := ruled(item, rules)
		if out {
			c.Left = append(c.Left, Left{item.FullName(), "--map leaves it out"})
			continue
		}
		p, err := place(ns, parts)
		if err != nil {
			hint := "give it another path with: --map " + ruleFor(item)
			if ns == (tokens.Namespace{}) && len(parts) == 1 {
				hint = "name the namespace with --namespace NS"
			}
			return nil, mend(item.where(), hint, "%v", err)
		}
		items, paths = append(items, item), append(paths, p)
	}
	c.Items = items
	for _, r := range rules {
		switch {
		case r.used:
		case r.late:
			return nil, mend("--map "+quoted(r.text), "put it before that rule", "every such name has an earlier rule")
		default:
			return nil, wrong("--map "+quoted(r.text), "nothing has such a name")
		}
	}
	return paths, clashes(items, paths)
}

// ruled returns the parts of the path of an item, or that it is left out.
func ruled(item Item, rules []*Rule) (parts []string, out bool) {
	name, found := item.FullName(), false
	for _, r := range rules {
		to, ok := r.match(name)
		switch {
		case !ok:
		case found:
			r.late = true
		default:
			r.used, found = true, true
			parts, out = strings.Split(to, "/"), to == ""
		}
	}
	if !found {
		parts = item.Name
	}
	return parts, out
}

// place makes a path of names.
func place(ns tokens.Namespace, parts []string) (tokens.Path, error) {
	cleaned := make([]string, len(parts))
	for i, part := range parts {
		cleaned[i] = clean(part)
	}
	path := strings.Join(cleaned, "/")
	if above := ns.String(); above != "" {
		path = above + "/" + path
	}
	return tokens.ParsePath(path)
}

// clashes returns an error that names the items that would have one path.
func clashes(items []Item, paths []tokens.Path) error {
	const most = 3
	first := map[tokens.Path]int{}
	var found []string
	var rule string
	more := 0
	for i, p := range paths {
		j, taken := first[p]
		switch {
		case !taken:
			first[p] = i
		case len(found) == most:
			more++
		default:
			if found = append(found, fmt.Sprintf("%s and %s would both be %s", items[j].where(),
				items[i].where(), p)); rule == "" {
				rule = ruleFor(items[i])
			}
		}
	}
	if len(found) == 0 {
		return nil
	}
	said := strings.Join(found, ", ")
	if more > 0 {
		said += fmt.Sprintf(", and %d more", more)
	}
	return mend("", "give one of them another path with: --map "+rule, "%s", said)
}

// where names an item and its place.
func (i Item) where() string {
	name := quoted(i.FullName())
	if i.At == "" || strings.Contains(i.At, name) {
		return name
	}
	return name + " (" + i.At + ")"
}

// ruleFor is an example of a rule for an item, as a word of a shell.
func ruleFor(i Item) string {
	return "'" + strings.ReplaceAll(i.FullName(), "'", `'\''`) + "=OTHER'"
}

// clean makes one part of a path of a part of a name. Letters and digits of ASCII, "." "_" and
// "-" stay. Accents are dropped. Other letters become their code (u5bc6), and a run of anything else a "-".
func clean(part string) string {
	switch part {
	case "":
		return "unnamed"
	case ".", "..":
		return codes(part)
	}
	if plain(part) {
		return part
	}
	var b strings.Builder
	gap := false
	put := func(s string) {
		if gap && b.Len() > 0 && !strings.HasSuffix(b.String(), "-") {
			b.WriteByte('-')
		}
		gap = false
		b.WriteString(s)
	}
	for _, r := range part {
		switch {
		case r < utf8.RuneSelf && plain(string(r)):
			put(string(r))
		case unicode.Is(unicode.Mn, r): // an accent behind its letter
		case folded()[r] != "":
			put(folded()[r])
		case unicode.IsLetter(r) || unicode.IsNumber(r) || r == utf8.RuneError:
			put(codes(string(r)))
		default:
			gap = true
		}
	}
	switch s := b.String(); s {
	case "", ".", "..":
		return codes(part)
	default:
		return s
	}
}

// plain reports whether a text has only characters that a path may have.
func plain(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// codes are the characters of a text by their numbers.
func codes(s string) string {
	var b strings.Builder
	for _, r := range s {
		fmt.Fprintf(&b, "u%04x", r)
	}
	return b.String()
}

// folded are letters of European languages in ASCII.
var folded = sync.OnceValue(func() map[rune]string {
	return foldings("ÀÁÂÃÅĀĂĄ:A àáâãåāăą:a Ä:Ae ä:ae Æ:AE æ:ae ÇĆČ:C çćč:c ĎĐÐ:D ďđð:d ÈÉÊËĒĘĚ:E èéêëēęě:e Ğ:G ğ:g " +
		"ÌÍÎÏĪİ:I " +
		"ìíîïīı:i Ł:L ł:l ÑŃŇ:N ñńň:n ÒÓÔÕŌŐØ:O òóôõōőø:o Ö:Oe ö:oe Œ:OE œ:oe Ř:R ř:r ŚŞŠȘ:S śşšș:s ß:ss ŤȚ:T ťț:t " +
		"ÙÚÛŪŮŰ:U " +
		"ùúûūůű:u Ü:Ue ü:ue ÝŸ:Y ýÿ:y ŹŻŽ:Z źżž:z Þ:Th þ:th")
})

func foldings(list string) map[rune]string {
	all := map[rune]string{}
	for entry := range strings.FieldsSeq(list) {
		letters, to, _ := strings.Cut(entry, ":")
		for _, r := range letters {
			all[r] = to
		}
	}
	return all
}
