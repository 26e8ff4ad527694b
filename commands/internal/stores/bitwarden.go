package stores

import (
	"bytes"
	"strings"
)

// Bitwarden's JSON export: folders, or collections of an organization, and items. The fields
// are those of bitwarden.com/help/condition-bitwarden-import, and of its clients.

// The types of items.
const (
	bwLogin    = "1"
	bwNote     = "2"
	bwCard     = "3"
	bwIdentity = "4"
	bwSSHKey   = "5"
)

// bwTypes are the members with the fields of an item, by its type.
var bwTypes = map[string]string{bwLogin: "login", bwNote: "secureNote", bwCard: "card", bwIdentity: "identity",
	bwSSHKey: "sshKey"}

func readBitwarden(s Source) (*Content, error) {
	if head := bytes.TrimLeft(withoutMark(s.Bytes), " \t\r\n"); len(head) > 0 && head[0] != '{' {
		return nil, mend("", "export again as .json", "it is no JSON export")
	}
	doc, err := oneObject(s.Bytes)
	if err != nil {
		return nil, err
	}
	if doc.str("encrypted") == "true" {
		return nil, mend("", "export again as .json, not as .json (Encrypted)", "it is an encrypted export, which only "+
			"Bitwarden opens")
	}
	if doc.get("items") == nil {
		return nil, wrong("", "it is no Bitwarden export: it has no items")
	}
	folders := map[string]string{}
	for _, kind := range []string{"folders", "collections"} {
		list, err := doc.list(kind)
		if err != nil {
			return nil, err
		}
		for i := range list {
			folders[list[i].str("id")] = list[i].str("name")
		}
	}
	items, err := doc.list("items")
	if err != nil {
		return nil, err
	}
	c := &Content{}
	for i := range items {
		if err := c.bitwarden(&items[i], ordinal("item", i), folders); err != nil {
			return nil, err
		}
	}
	return c.checked()
}

func (c *Content) bitwarden(item *node, at string, folders map[string]string) error {
	if item.kind != object {
		return wrong(at, "it is not an object")
	}
	name := bitwardenFolder(item, folders)
	if item.str("name") != "" {
		at += " (" + quoted(item.str("name")) + ")"
	}
	name = append(name, item.str("name"))
	if item.str("deletedDate") != "" {
		c.gone("it is in the trash", name...)
		return nil
	}
	e := c.entry(at, name...)
	kind := item.str("type")
	part := item.get(bwTypes[kind])
	if bwTypes[kind] == "" {
		e.left("it has the type %s, which is not known", quoted(kind))
		return nil
	}
	switch kind {
	case bwLogin:
		e.main(part.str("password"), "")
		e.field("username", part.str("username"), "")
		e.field("totp", part.str("totp"), "")
		if err := e.bitwardenURLs(part); err != nil {
			return err
		}
		if keys, _ := part.list("fido2Credentials"); len(keys) > 0 {
			e.left("%s, which only Bitwarden can use", plural(len(keys), "passkey"))
		}
	case bwNote:
		e.main(item.str("notes"), "")
	case bwSSHKey:
		e.main(part.str("privateKey"), "ssh_key")
		e.field("publicKey", part.str("publicKey"), "ssh_key")
		e.field("keyFingerprint", part.str("keyFingerprint"), "ssh_key")
	default:
		if part != nil {
			for i := range part.members {
				m := &part.members[i]
				e.field(m.name, m.node.text, "")
			}
		}
	}
	if kind != bwNote {
		e.field("notes", item.str("notes"), "")
	}
	if err := e.bitwardenFields(item); err != nil {
		return err
	}
	if list, _ := item.list("collectionIds"); len(list) > 1 {
		e.left("its place in %s", plural(len(list)-1, "other collection"))
	}
	for _, m := range [][2]string{{"passwordHistory", "earlier password"}, {"attachments", "attachment"}} {
		if list, _ := item.list(m[0]); len(list) > 0 {
			e.left("%s", plural(len(list), m[1]))
		}
	}
	e.end()
	return nil
}

// bitwardenFolder is the folder of an item, or the first of its collections. A slash in its
// name begins a folder below.
func bitwardenFolder(item *node, folders map[string]string) []string {
	folder := folders[item.str("folderId")]
	if list, err := item.list("collectionIds"); err == nil && len(list) > 0 && folder == "" {
		folder = folders[list[0].text]
	}
	if folder == "" {
		return nil
	}
	return strings.Split(folder, "/")
}

func (e *entry) bitwardenURLs(login *node) error {
	uris, err := login.list("uris")
	if err != nil {
		return err
	}
	for i := range uris {
		e.field("url", uris[i].str("uri"), "")
	}
	return nil
}

// bitwardenFields takes the fields that a person made: text, hidden and boolean ones. A linked one
// only points to another.
func (e *entry) bitwardenFields(item *node) error {
	fields, err := item.list("fields")
	if err != nil {
		return err
	}
	const linked = "3"
	for i := range fields {
		f := &fields[i]
		if f.str("type") == linked {
			e.left("its field %s, which is a link to another field", quoted(f.str("name")))
			continue
		}
		e.field(f.str("name"), f.str("value"), "")
	}
	return nil
}
