package stores

import (
	"bytes"
	"strconv"
	"strings"
)

// 1Password: the CSV export of the desktop program, and what op item get --format json prints
// (developer.1password.com/docs/cli/item-template-json), one item or a stream of them, as of
// op item list --format json | op item get - --format json.

func readOnePassword(s Source) (*Content, error) {
	if head := bytes.TrimLeft(withoutMark(s.Bytes), " \t\r\n"); len(head) > 0 && (head[0] == '{' || head[0] == '[') {
		return onePasswordJSON(s.Bytes)
	}
	if bytes.HasPrefix(s.Bytes, []byte("PK\x03\x04")) {
		return nil, mend("", "export again as CSV, or pipe: op item list --format json | op item get - --format json",
			"it is a .1pux export, which is not read")
	}
	t, err := readTable(s.Bytes)
	if err != nil {
		return nil, err
	}
	if !t.has("title", "password") {
		return nil, wrong("line 1", "it is no CSV export of 1Password: it names no columns Title and Password")
	}
	c := &Content{}
	known := []string{"title", "url", "website", "urls", "username", "password", "otpauth", "one-time password",
		"favorite",
		"archived", "tags", "notes", "type"}
	for _, r := range t.rows {
		if strings.EqualFold(t.get(r, "archived"), "true") {
			c.gone("it is archived", t.get(r, "title"))
			continue
		}
		e := c.entry(lineText(r.line), t.get(r, "title"))
		e.like.Tags = tagsOf(t.get(r, "tags"), ";,")
		e.main(t.get(r, "password"), "")
		e.field("username", t.get(r, "username"), "")
		e.field("totp", t.get(r, "otpauth", "one-time password"), "")
		e.field("url", t.get(r, "url", "website", "urls"), "")
		e.field("notes", t.get(r, "notes"), "")
		t.rest(r, known, func(column, value string) { e.field(column, value, "") })
		e.end()
	}
	c.Left = append(c.Left, Left{"", "what 1Password does not write into a CSV file: items that are no logins or " +
		"passwords, fields " +
		"that you made, attachments; op item get --format json has them"})
	return c.checked()
}

// tagsOf are the tags in a text.
func tagsOf(s, separators string) map[string]string {
	var tags map[string]string
	for tag := range strings.FieldsFuncSeq(s, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
		if tag = strings.TrimSpace(tag); tag != "" {
			if tags == nil {
				tags = map[string]string{}
			}
			tags[tag] = ""
		}
	}
	return tags
}

// opTypes are the types of secrets, by the category of an item.
var opTypes = map[string]string{"API_CREDENTIAL": "api_key", "DATABASE": "db_credential", "SSH_KEY": "ssh_key"}

func onePasswordJSON(b []byte) (*Content, error) {
	docs, err := parseJSON(b)
	if err != nil {
		return nil, err
	}
	var items []*node
	for i := range docs {
		if docs[i].kind != array {
			items = append(items, &docs[i])
			continue
		}
		for j := range docs[i].items {
			items = append(items, &docs[i].items[j])
		}
	}
	c := &Content{}
	for i, item := range items {
		if err := c.onePassword(item, ordinal("item", i)); err != nil {
			return nil, err
		}
	}
	return c.checked()
}

// earlier names passwords from before, which other stores keep inside of an item.
func earlier(n int) string {
	if n == 1 {
		return "an earlier password"
	}
	return strconv.Itoa(n) + " earlier passwords"
}

func (c *Content) onePassword(item *node, at string) error {
	title := item.str("title")
	switch {
	case item.kind != object || !item.has("title"):
		return wrong(at, "it is no item of op item get: it has no title")
	case !item.has("fields") && item.str("category") != "DOCUMENT":
		return mend(at+" ("+quoted(title)+")", "pipe that into: op item get - --format json", "it has no fields, as in op "+
			"item list")
	}
	var name []string
	if vault := item.get("vault").str("name"); vault != "" {
		name = append(name, vault)
	}
	e := c.entry(at+" ("+quoted(title)+")", append(name, title)...)
	tags, err := item.list("tags")
	if err != nil {
		return err
	}
	for i := range tags {
		if e.like.Tags == nil {
			e.like.Tags = map[string]string{}
		}
		e.like.Tags[tags[i].text] = ""
	}
	e.like.Type = opTypes[item.str("category")]
	fields, err := item.list("fields")
	if err != nil {
		return err
	}
	main := mainField(item.str("category"), fields)
	for i := range fields {
		f := &fields[i]
		label := orElse(f.str("label"), f.str("id"))
		if history, err := f.get("password_details").list("history"); err == nil && len(history) > 0 {
			e.left("%s", earlier(len(history)))
		}
		if section := f.get("section").str("label"); section != "" {
			label = section + " " + label
		}
		switch value := f.str("value"); {
		case i == main:
			e.main(value, "")
		case f.str("type") == "FILE":
			e.left("its file %s", quoted(label))
		case f.str("id") == "notesPlain":
			e.field("notes", value, "")
		case f.str("type") == "REFERENCE" && value != "":
			e.left("its field %s, which is a link to another item", quoted(label))
		case f.get("value") != nil && !f.get("value").scalar() && f.get("value").kind != null:
			e.left("its field %s, which is no text", quoted(label))
		default:
			e.field(label, value, "")
		}
	}
	urls, err := item.list("urls")
	if err != nil {
		return err
	}
	for i := range urls {
		e.field("url", urls[i].str("href"), "")
	}
	if files, _ := item.list("files"); len(files) > 0 {
		e.left("%s", plural(len(files), "attachment"))
	}
	e.end()
	return nil
}

// mainField is the place of the field that an item is for: its password, the text of a note, the key of an SSH
// key, or the credential of an API; -1 for none.
func mainField(category string, fields []node) int {
	for i := range fields {
		f := &fields[i]
		switch id := f.str("id"); {
		case f.str("purpose") == "PASSWORD",
			category == "SECURE_NOTE" && id == "notesPlain",
			category == "SSH_KEY" && f.str("type") == "SSHKEY",
			category == "API_CREDENTIAL" && id == "credential",
			category != "LOGIN" && id == "password":
			return i
		}
	}
	return -1
}

// orElse returns the first text that is not empty.
func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
