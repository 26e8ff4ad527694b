package stores

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"time"
)

// KeePass: the XML export of KeePass 2 and KeePassXC, and their CSV exports. keepassxc-cli
// export -f xml writes the same as KeePass 2.

func readKeePass(s Source) (*Content, error) {
	if head := bytes.TrimLeft(withoutMark(s.Bytes), " \t\r\n"); len(head) > 0 && head[0] == '<' {
		return keePassXML(s.Bytes)
	}
	if bytes.HasPrefix(s.Bytes, []byte("\x03\xd9\xa2\x9a")) {
		return nil, mend("", "export it with: keepassxc-cli export -f xml FILE", "it is a KeePass database, which is "+
			"encrypted")
	}
	t, err := readTable(s.Bytes)
	if err != nil {
		return nil, err
	}
	title := []string{"title", "account"}
	if t.column(title...) < 0 || !t.has("password") {
		return nil, wrong("line 1", "it is no CSV export of KeePass: it names no columns Title (or Account) and Password")
	}
	c := &Content{}
	known := []string{"group", "title", "account", "username", "user name", "login name", "password", "url", "web site",
		"notes",
		"comments", "totp", "icon", "last modified", "created"}
	for _, r := range t.rows {
		groups := belowRoot(strings.Split(t.get(r, "group"), "/"))
		e := c.entry(lineText(r.line), append(groups, t.get(r, title...))...)
		if len(groups) > 0 && groups[0] == "Recycle Bin" {
			e.left("it is in the recycle bin")
			continue
		}
		e.main(t.get(r, "password"), "")
		e.field("username", t.get(r, "username", "user name", "login name"), "")
		e.field("totp", t.get(r, "totp"), "")
		e.field("url", t.get(r, "url", "web site"), "")
		e.field("notes", t.get(r, "notes", "comments"), "")
		t.rest(r, known, func(column, value string) { e.field(column, value, "") })
		e.end()
	}
	c.Left = append(c.Left, Left{"", "what KeePass does not write into a CSV file: fields that you made, attachments, " +
		"tags; an XML export has the " +
		"fields and the tags"})
	return c.checked()
}

// belowRoot is the way to a group, without the group at the top, which all have in common.
func belowRoot(groups []string) []string { return groups[1:] }

// xnode is an element of XML.
type xnode struct {
	name  string
	attrs []xml.Attr
	text  string
	line  int
	below []xnode

	bytes []byte // of text, while it is read
}

// parseXML reads an XML document. It knows no entities but those of XML itself, and refuses
// a document type, so nothing grows beyond its size in the source.
func parseXML(b []byte) (*xnode, error) {
	b = withoutMark(b)
	if err := checkText(b); err != nil {
		return nil, err
	}
	d := xml.NewDecoder(bytes.NewReader(b))
	var stack []*xnode
	var root *xnode
	nodes := 0
	for {
		t, err := d.Token()
		line, _ := d.InputPos()
		switch {
		case errors.Is(err, io.EOF) && root != nil:
			return root, nil
		case err != nil:
			return nil, wrong(lineText(line), "it is not XML from here on")
		}
		switch t := t.(type) {
		case xml.Directive:
			return nil, wrong(lineText(line), "it has a document type (<!…>), which is not read")
		case xml.StartElement:
			if nodes++; nodes > maxNodes {
				return nil, wrong(lineText(line), "it has more than %d elements", maxNodes)
			}
			if len(stack) >= maxDepth {
				return nil, wrong(lineText(line), "it is nested more than %d deep", maxDepth)
			}
			n := xnode{name: t.Name.Local, attrs: t.Copy().Attr, line: line}
			if len(stack) == 0 {
				if root != nil {
					return nil, wrong(lineText(line), "it is not XML from here on")
				}
				root = &n
				stack = append(stack, root)
				continue
			}
			up := stack[len(stack)-1]
			up.below = append(up.below, n)
			stack = append(stack, &up.below[len(up.below)-1])
		case xml.EndElement:
			top := stack[len(stack)-1]
			top.text, top.bytes = string(top.bytes), nil
			stack = stack[:len(stack)-1]
		case xml.CharData:
			if len(stack) > 0 {
				top := stack[len(stack)-1]
				top.bytes = append(top.bytes, t...)
			}
		}
	}
}

// first returns the first element below with this name, nil if there is none.
func (x *xnode) first(name string) *xnode {
	if x == nil {
		return nil
	}
	for i := range x.below {
		if x.below[i].name == name {
			return &x.below[i]
		}
	}
	return nil
}

// say returns the text of the first element below with this name.
func (x *xnode) say(name string) string {
	if n := x.first(name); n != nil {
		return n.text
	}
	return ""
}

func keePassXML(b []byte) (*Content, error) {
	doc, err := parseXML(b)
	if err != nil {
		return nil, err
	}
	root := doc.first("Root").first("Group")
	if doc.name != "KeePassFile" || root == nil {
		return nil, wrong("", "it is no XML export of KeePass: it has no <KeePassFile> with a <Root> and a <Group>")
	}
	k := keePass{c: &Content{}}
	if strings.EqualFold(doc.first("Meta").say("RecycleBinEnabled"), "true") {
		k.bin = doc.first("Meta").say("RecycleBinUUID")
	}
	if err := k.group(root, nil, false); err != nil {
		return nil, err
	}
	return k.c.checked()
}

type keePass struct {
	c   *Content
	bin string // id of the recycle bin; "" for none
}

func (k *keePass) group(g *xnode, name []string, trash bool) error {
	if strings.TrimSpace(g.say("Notes")) != "" && !trash {
		k.c.Left = append(k.c.Left, Left{fullName(name), "the notes of the group"})
	}
	for i := range g.below {
		x := &g.below[i]
		var err error
		switch x.name {
		case "Group":
			below := append(append([]string{}, name...), x.say("Name"))
			err = k.group(x, below, trash || k.bin != "" && x.say("UUID") == k.bin)
		case "Entry":
			err = k.entry(x, name, trash)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// keePassNames are the fields that every entry has, in the order in which they are taken.
var keePassNames = []struct{ key, label string }{{"Password", ""}, {"UserName", "username"}, {"URL", "url"},
	{"Notes", "notes"}}

func (k *keePass) entry(x *xnode, group []string, trash bool) error {
	fields, order := map[string]*xnode{}, []string{}
	for i := range x.below {
		s := &x.below[i]
		if s.name != "String" || s.first("Value") == nil {
			continue
		}
		key := s.say("Key")
		if _, twice := fields[key]; twice {
			return wrong(lineText(s.line), "the field %s is there twice", quoted(key))
		}
		fields[key] = s.first("Value")
		order = append(order, key)
	}
	title := ""
	if t := fields["Title"]; t != nil {
		title = t.text
	}
	e := k.c.entry(lineText(x.line)+" ("+quoted(title)+")", append(append([]string{}, group...), title)...)
	if trash {
		e.left("it is in the recycle bin")
		return nil
	}
	e.like.Tags = tagsOf(x.say("Tags"), ",;")
	if t := x.first("Times"); strings.EqualFold(t.say("Expires"), "true") {
		e.like.Expires = keePassTime(t.say("ExpiryTime"))
	}
	refers := false
	take := func(key, label string) error {
		v := fields[key]
		if v == nil {
			return nil
		}
		for _, a := range v.attrs {
			if a.Name.Local == "Protected" && strings.EqualFold(a.Value, "true") {
				return mend(lineText(v.line), "export it again, in clear", "the value of %s is encrypted", quoted(key))
			}
		}
		refers = refers || strings.Contains(v.text, "{REF:")
		if label == "" {
			e.main(v.text, "")
		} else {
			e.field(label, v.text, "")
		}
		return nil
	}
	for _, n := range keePassNames {
		if err := take(n.key, n.label); err != nil {
			return err
		}
		delete(fields, n.key)
	}
	delete(fields, "Title")
	for _, key := range order {
		if err := take(key, orElse(key, "field")); err != nil {
			return err
		}
	}
	e.field("override-url", x.say("OverrideURL"), "")
	k.leftOf(e, x, refers)
	e.end()
	return nil
}

// leftOf names what is not taken of an entry.
func (k *keePass) leftOf(e *entry, x *xnode, refers bool) {
	for i := range x.below {
		if b := &x.below[i]; b.name == "Binary" {
			e.left("its attachment %s", quoted(b.say("Key")))
		}
	}
	if h := x.first("History"); h != nil && len(h.below) > 0 {
		e.left("%s of it", plural(len(h.below), "earlier version"))
	}
	if refers {
		k.c.Notes = append(k.c.Notes, Note{Text: e.title() + " refers to another entry ({REF:…}), which is stored as it " +
			"stands"})
	}
}

// keePassTime reads a time: RFC 3339, or in base64 the seconds since the year 1. It returns zero for
// what is neither.
func keePassTime(s string) time.Time {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(b) != 8 {
		return time.Time{}
	}
	const yearOne = -62135596800 // in Unix seconds
	seconds := int64(binary.LittleEndian.Uint64(b))
	if seconds < 0 || seconds > 1<<40 {
		return time.Time{}
	}
	return time.Unix(yearOne+seconds, 0).UTC()
}
