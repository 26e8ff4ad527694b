package stores

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// kind is the kind of a value in JSON or YAML.
type kind byte

const (
	null kind = iota
	text
	number
	boolean
	object
	array
)

// node is a value in JSON or YAML. Members keep their order, and a name comes once.
type node struct {
	kind    kind
	line    int
	text    string // of a text, number or boolean
	members []member
	items   []node
}

type member struct {
	name string
	node node
}

const maxDepth = 64

// maxNodes is the number of values that a source may have: 1,000,000, but in tests.
var maxNodes = 1_000_000

// get returns a member of an object, nil if there is none.
func (n *node) get(name string) *node {
	if n == nil {
		return nil
	}
	for i := range n.members {
		if n.members[i].name == name {
			return &n.members[i].node
		}
	}
	return nil
}

// index returns the members of an object by their names.
func (n *node) index() map[string]*node {
	all := map[string]*node{}
	if n != nil {
		for i := range n.members {
			all[n.members[i].name] = &n.members[i].node
		}
	}
	return all
}

// has reports whether an object has all of these members.
func (n *node) has(names ...string) bool {
	for _, name := range names {
		if n.get(name) == nil {
			return false
		}
	}
	return true
}

// str returns a member that is no object and no list, as text; "" if there is none.
func (n *node) str(name string) string {
	if m := n.get(name); m != nil && m.scalar() {
		return m.text
	}
	return ""
}

// list returns the elements of a member that is a list. None, or null, is an empty list.
func (n *node) list(name string) ([]node, error) {
	switch m := n.get(name); {
	case m == nil || m.kind == null:
		return nil, nil
	case m.kind != array:
		return nil, wrong(lineText(m.line), "%s is not a list", quoted(name))
	default:
		return m.items, nil
	}
}

// is reports whether there is a value of a kind.
func (n *node) is(k kind) bool { return n != nil && n.kind == k }

// scalar reports whether a value is a text, a number or a boolean.
func (n *node) scalar() bool { return n.kind == text || n.kind == number || n.kind == boolean }

func lineText(line int) string { return "line " + strconv.Itoa(line) }

// quoted is a name in quotes.
func quoted(name string) string { return strconv.Quote(short(name)) }

// short is the beginning of a name. A name is no value, but it may be long.
func short(name string) string {
	const most = 60
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "…"
}

// withoutMark removes a byte order mark.
func withoutMark(b []byte) []byte { return bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")) }

// checkText returns an error if a source is no text.
func checkText(b []byte) error {
	switch {
	case bytes.HasPrefix(b, []byte("\xff\xfe")), bytes.HasPrefix(b, []byte("\xfe\xff")):
		return wrong("", "it is UTF-16; convert it to UTF-8 first")
	case !utf8.Valid(b):
		line := 1
		for rest := b; len(rest) > 0; {
			r, n := utf8.DecodeRune(rest)
			if r == utf8.RuneError && n == 1 {
				break
			}
			if r == '\n' {
				line++
			}
			rest = rest[n:]
		}
		return wrong(lineText(line), "it is not text (UTF-8)")
	}
	return nil
}

// parseJSON reads a stream of JSON documents. Package json takes the last of two members with
// one name, and repairs text that is not UTF-8; here, both are errors.
func parseJSON(b []byte) (docs []node, err error) {
	b = withoutMark(b)
	if err := checkText(b); err != nil {
		return nil, err
	}
	p := jsonParser{d: json.NewDecoder(bytes.NewReader(b)), b: b, lines: 1}
	p.d.UseNumber()
	for {
		t, err := p.d.Token()
		if err == io.EOF {
			if len(docs) == 0 {
				return nil, wrong("", "it is empty")
			}
			return docs, nil
		}
		if err != nil {
			return nil, p.broken()
		}
		n, err := p.value(t, 0)
		if err != nil {
			return nil, err
		}
		docs = append(docs, n)
	}
}

type jsonParser struct {
	d       *json.Decoder
	b       []byte
	lines   int // at counted
	counted int
	nodes   int
}

// line is the number of the line that the last token ends on.
func (p *jsonParser) line() int {
	at := min(int(p.d.InputOffset()), len(p.b))
	p.lines += bytes.Count(p.b[p.counted:at], []byte("\n"))
	p.counted = at
	return p.lines
}

func (p *jsonParser) broken() error {
	return wrong(lineText(p.line()), "it is not JSON from here on")
}

func (p *jsonParser) value(t json.Token, depth int) (n node, err error) {
	before := p.counted
	n.line = p.line()
	if p.nodes++; p.nodes > maxNodes {
		return n, wrong(lineText(n.line), "it has more than %d values", maxNodes)
	}
	if depth > maxDepth {
		return n, wrong(lineText(n.line), "it is nested more than %d deep", maxDepth)
	}
	switch t := t.(type) {
	case string:
		n.kind, n.text = text, t
		if HalfPair(p.b[before:p.counted]) {
			return n, wrong(lineText(n.line), `a text has half of a character (a \u escape of a pair)`)
		}
	case json.Number:
		n.kind, n.text = number, t.String()
	case bool:
		n.kind, n.text = boolean, strconv.FormatBool(t)
	case nil:
		n.kind = null
	case json.Delim:
		if t == '[' {
			n.kind = array
			return n, p.elements(&n, depth)
		}
		n.kind = object
		return n, p.membersOf(&n, depth)
	}
	return n, nil
}

func (p *jsonParser) elements(n *node, depth int) error {
	for p.d.More() {
		t, err := p.d.Token()
		if err != nil {
			return p.broken()
		}
		item, err := p.value(t, depth+1)
		if err != nil {
			return err
		}
		n.items = append(n.items, item)
	}
	return p.closes()
}

func (p *jsonParser) membersOf(n *node, depth int) error {
	seen := map[string]bool{}
	for p.d.More() {
		t, err := p.d.Token()
		if err != nil {
			return p.broken()
		}
		name, _ := t.(string)
		before := p.counted
		if line := p.line(); HalfPair(p.b[before:p.counted]) {
			return wrong(lineText(line), `a name has half of a character (a \u escape of a pair)`)
		} else if seen[name] {
			return wrong(lineText(line), "%s is there twice", quoted(name))
		}
		seen[name] = true
		if t, err = p.d.Token(); err != nil {
			return p.broken()
		}
		v, err := p.value(t, depth+1)
		if err != nil {
			return err
		}
		n.members = append(n.members, member{name, v})
	}
	return p.closes()
}

func (p *jsonParser) closes() error {
	if _, err := p.d.Token(); err != nil {
		return p.broken()
	}
	return nil
}

// HalfPair reports whether a string in JSON has half of a character: a \u escape of a
// pair, without the other one.
func HalfPair(raw []byte) bool {
	escape := func(at int) rune { // of a \u escape at this place, 0 for none
		if at+6 > len(raw) || raw[at] != '\\' || raw[at+1] != 'u' {
			return 0
		}
		n, _ := strconv.ParseUint(string(raw[at+2:at+6]), 16, 16)
		return rune(n)
	}
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		r := escape(i)
		switch {
		case !utf16.IsSurrogate(r):
			i++ // the escaped character
		case utf16.DecodeRune(r, escape(i+6)) == '\ufffd':
			return true
		default:
			i += 11
		}
	}
	return false
}

// oneObject reads a source that is one JSON object.
func oneObject(b []byte) (*node, error) {
	docs, err := parseJSON(b)
	switch {
	case err != nil:
		return nil, err
	case len(docs) > 1:
		return nil, wrong(lineText(docs[1].line), "there is text after the object")
	case docs[0].kind != object:
		return nil, wrong(lineText(docs[0].line), "it is not one JSON object")
	}
	return &docs[0], nil
}

// flatten takes all values below a node, each under the names that lead to it.
func (c *Content) flatten(n *node, name []string) {
	switch n.kind {
	case null:
		c.Left = append(c.Left, Left{fullName(name), "it is null"})
	case object, array:
		below := func(part string) []string { return append(append([]string{}, name...), part) }
		for i := range n.members {
			c.flatten(&n.members[i].node, below(n.members[i].name))
		}
		for i := range n.items {
			c.flatten(&n.items[i], below(strconv.Itoa(i)))
		}
		if len(n.members)+len(n.items) == 0 && len(name) > 0 {
			c.Left = append(c.Left, Left{fullName(name), "it is empty"})
		}
	default:
		if len(name) == 0 {
			name = []string{""}
		}
		c.add(Item{Name: name, Value: []byte(n.text), At: lineText(n.line)})
	}
}
