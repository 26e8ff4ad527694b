package stores

import (
	"encoding/base64"
	"strconv"
	"time"
)

// Another vault of ass: what env export --format json --allow '*' writes, and secrets list
// --json of the same namespace, one after the other, in any order; or what secrets get --json
// prints, one document for each secret.

func readAss(s Source) (*Content, error) {
	docs, err := parseJSON(s.Bytes)
	if err != nil {
		return nil, err
	}
	c := &Content{}
	var values, list *node
	pair := func() error {
		if values == nil && list == nil {
			return nil
		}
		err := c.assPair(values, list)
		values, list = nil, nil
		return err
	}
	for i := range docs {
		n := &docs[i]
		isList := n.has("namespace") && n.get("items").is(array)
		switch {
		case n.kind != object:
			return nil, wrong(lineText(n.line), "it is neither an export nor a list")
		case n.has("path", "value") && n.get("version").is(number):
			if err := c.assValue(n); err != nil {
				return nil, err
			}
			continue
		case isList && list != nil, !isList && values != nil:
			if err := pair(); err != nil {
				return nil, err
			}
		}
		if isList {
			list = n
		} else {
			values = n
		}
	}
	if err := pair(); err != nil {
		return nil, err
	}
	return c.checked()
}

// assValue takes what secrets get --json prints.
func (c *Content) assValue(n *node) error {
	item, err := described(n)
	if err != nil {
		return err
	}
	item.Value = []byte(n.str("value"))
	if n.str("encoding") == "base64" {
		if item.Value, err = base64.StdEncoding.DecodeString(n.str("value")); err != nil {
			return wrong(item.At, "its value is not base64")
		}
	}
	c.add(item)
	return nil
}

// assPair takes an export and the list of the same namespace.
func (c *Content) assPair(values, list *node) error {
	if list == nil {
		for i := range values.members {
			m := &values.members[i]
			if m.node.kind != text {
				return wrong(lineText(m.node.line), "the value of %s is not a text", quoted(m.name))
			}
		}
		c.flatten(values, nil)
		c.Notes = append(c.Notes, Note{Text: "without secrets list --json, the secrets keep their keys alone: no " +
			"namespaces, types and tiers"})
		return nil
	}
	if values == nil {
		return mend(lineText(list.line), "put it beside: ass env export NAMESPACE --format json --allow '*'",
			"the list has no export before or behind it")
	}
	items, err := list.list("items")
	if err != nil {
		return err
	}
	keys := map[string]int{} // how many secrets have the key
	for i := range items {
		keys[items[i].str("key")]++
	}
	byName := values.index()
	for i := range items {
		item, err := described(&items[i])
		if err != nil {
			return err
		}
		key := items[i].str("key")
		value := byName[key]
		switch {
		case value == nil:
			c.Left = append(c.Left, Left{item.FullName(), "the export does not have it; hand it over with --allow '*', or " +
				"pipe: ass secrets get PATH --json"})
			continue
		case keys[key] > 1:
			return mend(item.At, "export their namespaces one by one", "several secrets of the list have the key %s",
				quoted(key))
		case value.kind != text:
			return wrong(lineText(value.line), "the value of %s is not a text", quoted(key))
		}
		item.Value = []byte(value.text)
		c.add(item)
	}
	for i := range values.members {
		if name := values.members[i].name; keys[name] == 0 {
			return mend(lineText(values.members[i].node.line), "make both of one namespace, the export without --prefix",
				"%s is in the export, but not in the list", quoted(name))
		}
	}
	return nil
}

// described is a secret with what its list says of it, without the value.
func described(n *node) (Item, error) {
	item := Item{Name: inPath(n.str("path")), At: lineText(n.line), Type: n.str("secret_type")}
	if len(item.Name) < 2 {
		return item, wrong(item.At, "its path is not a whole one")
	}
	if tier := n.str("access_tier"); tier != "" {
		if err := item.Tier.UnmarshalText([]byte(tier)); err != nil {
			return item, wrong(item.At, "its tier %s is not one", quoted(tier))
		}
	}
	said := n.get("metadata")
	if said == nil {
		return item, nil
	}
	item.Tags, item.Meta = map[string]string{}, map[string]string{}
	for i := range said.members {
		switch name, value := said.members[i].name, &said.members[i].node; name {
		case "description":
			item.Description = value.text
		case "tags":
			for i := range value.members {
				item.Tags[value.members[i].name] = value.members[i].node.text
			}
		case "expires_at":
			at, err := time.Parse(time.RFC3339, value.text)
			if err != nil {
				return item, wrong(lineText(value.line), "expires_at is not a time")
			}
			item.Expires = at
		case "rotate_every":
			seconds, err := strconv.ParseInt(value.text, 10, 64)
			if err != nil {
				return item, wrong(lineText(value.line), "rotate_every is not a number of seconds")
			}
			item.RotateEvery = seconds
		default:
			if !value.scalar() {
				return item, wrong(lineText(value.line), "%s is not a text", quoted(name))
			}
			item.Meta[name] = value.text
		}
	}
	return item, nil
}
