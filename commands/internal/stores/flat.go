package stores

import (
	"encoding/base64"
	"strings"
)

// flat-json is what services for programs give: one object of names and values, or the form
// in which their own program wraps values. The forms:
//
//	doppler secrets download --no-file --format json     {"NAME":"value"}
//	doppler secrets --json                               {"NAME":{"computed":"value","note":"…"}}
//	infisical export --format=json                       [{"key":"NAME","value":"value"}]
//	aws secretsmanager get-secret-value                  {"ARN","Name","SecretString" or "SecretBinary"}
//	aws secretsmanager batch-get-secret-value            {"SecretValues":[…]}
//	aws ssm get-parameters-by-path --with-decryption     {"Parameters":[{"Name","Value"}]}
//	gcloud secrets versions access --format=json         {"name":"projects/…","payload":{"data":"base64"}}
//	vault kv get -format=json                            {"request_id","data":{"data":{…},"metadata":{…}}}
//
// Several documents may follow each other.

func readFlat(s Source) (*Content, error) {
	docs, err := parseJSON(s.Bytes)
	if err != nil {
		return nil, err
	}
	c := &Content{}
	for i := range docs {
		if err := c.flat(&docs[i]); err != nil {
			return nil, err
		}
	}
	return c.checked()
}

func (c *Content) flat(n *node) error {
	switch {
	case n.kind == array:
		return c.flatList(n)
	case n.kind != object:
		return wrong(lineText(n.line), `it is not an object, such as {"NAME":"value"}`)
	case n.has("ARN") && (n.has("SecretString") || n.has("SecretBinary")):
		return c.awsSecret(n)
	case n.get("SecretValues").is(array):
		return c.each(n, "SecretValues", c.awsSecret)
	case n.get("Parameters").is(array):
		return c.each(n, "Parameters", c.awsParameter)
	case n.has("name") && n.get("payload").is(object):
		return c.gcpVersion(n)
	case n.has("request_id", "data"):
		return c.vaultRead(n)
	case isDoppler(n):
		return c.doppler(n)
	}
	c.flatten(n, nil)
	return nil
}

func (c *Content) each(n *node, name string, take func(*node) error) error {
	list, err := n.list(name)
	if err != nil {
		return err
	}
	for i := range list {
		if err := take(&list[i]); err != nil {
			return err
		}
	}
	return nil
}

// flatList takes a list of objects with a key and a value, as infisical gives.
func (c *Content) flatList(n *node) error {
	for i := range n.items {
		item := &n.items[i]
		at := ordinal("item", i)
		key := orElse(item.str("key"), item.str("secretKey"))
		value := item.get("value")
		if value == nil {
			value = item.get("secretValue")
		}
		if key == "" || value == nil {
			return wrong(at, "it has no key or no value, as in what infisical export --format=json gives")
		}
		name := append(inPath(item.str("secretPath")), key)
		switch {
		case value.kind == null:
			c.Left = append(c.Left, Left{fullName(name), "its value is null"})
			continue
		case !value.scalar():
			return wrong(at, "its value is not a text")
		}
		tags := map[string]string{}
		if list, err := item.list("tags"); err == nil {
			for j := range list {
				if slug := list[j].str("slug"); slug != "" {
					tags[slug] = ""
				}
			}
		}
		c.add(Item{Name: name, Value: []byte(value.text), At: at, Tags: tags,
			Description: orElse(item.str("comment"), item.str("secretComment"))})
	}
	return nil
}

// inPath are the folders of a path such as "/a/b/".
func inPath(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// isDoppler reports whether all members are objects with a computed value.
func isDoppler(n *node) bool {
	for i := range n.members {
		if !n.members[i].node.has("computed") {
			return false
		}
	}
	return len(n.members) > 0
}

func (c *Content) doppler(n *node) error {
	for i := range n.members {
		m := &n.members[i]
		value := m.node.get("computed")
		if value.kind == null {
			c.Left = append(c.Left, Left{m.name, "its value is restricted, so doppler does not give it"})
			continue
		}
		if !value.scalar() {
			return wrong(lineText(m.node.line), "the value of %s is not a text", quoted(m.name))
		}
		c.add(Item{Name: []string{m.name}, Value: []byte(value.text), At: lineText(m.node.line),
			Description: m.node.str("note")})
	}
	return nil
}

// awsSecret takes a secret of AWS. If its text is an object, its members are the values.
func (c *Content) awsSecret(n *node) error {
	name, at := inPath(n.str("Name")), lineText(n.line)
	if len(name) == 0 {
		return wrong(at, "it has no Name")
	}
	if b := n.get("SecretBinary"); b != nil && b.kind != null {
		value, err := base64.StdEncoding.DecodeString(b.text)
		if err != nil {
			return wrong(at, "SecretBinary is not base64")
		}
		c.add(Item{Name: name, Value: value, At: at})
		return nil
	}
	value := n.str("SecretString")
	if strings.HasPrefix(strings.TrimSpace(value), "{") {
		if fields, err := oneObject([]byte(value)); err == nil && len(fields.members) > 0 {
			for i := range fields.members {
				fields.members[i].node.setLine(n.line)
			}
			c.flatten(fields, name)
			return nil
		}
	}
	c.add(Item{Name: name, Value: []byte(value), At: at})
	return nil
}

// setLine gives all below a node one line: that of the text which it was read from.
func (n *node) setLine(line int) {
	n.line = line
	for i := range n.members {
		n.members[i].node.setLine(line)
	}
	for i := range n.items {
		n.items[i].setLine(line)
	}
}

func (c *Content) awsParameter(n *node) error {
	name, at := inPath(n.str("Name")), lineText(n.line)
	value := n.get("Value")
	if len(name) == 0 || value == nil || !value.scalar() {
		return wrong(at, "it has no Name or no Value")
	}
	if n.str("Type") == "SecureString" && strings.HasPrefix(value.text, "AQICAH") {
		return mend(at, "get it with: --with-decryption", "%s is still encrypted", quoted(n.str("Name")))
	}
	c.add(Item{Name: name, Value: []byte(value.text), At: at})
	return nil
}

// gcpVersion takes a version of a secret: projects/NUMBER/secrets/NAME/versions/N.
func (c *Content) gcpVersion(n *node) error {
	at := lineText(n.line)
	parts := strings.Split(n.str("name"), "/")
	if len(parts) < 4 || parts[2] != "secrets" {
		return wrong(at, "its name is not projects/…/secrets/NAME/versions/N")
	}
	data := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(n.get("payload").str("data"), "="))
	value, err := base64.RawStdEncoding.DecodeString(data)
	if err != nil {
		return wrong(at, "its payload is not base64")
	}
	c.add(Item{Name: []string{parts[3]}, Value: value, At: at})
	return nil
}

// vaultRead takes what vault kv get gives: of version 2 of the engine the members of data.data, else those of data.
func (c *Content) vaultRead(n *node) error {
	data := n.get("data")
	if data.has("data", "metadata") {
		if data.get("metadata").str("destroyed") == "true" || data.get("data").kind == null {
			return wrong(lineText(n.line), "it is a version that was deleted")
		}
		if own := data.get("metadata").get("custom_metadata"); own != nil && len(own.members) > 0 {
			c.Left = append(c.Left, Left{"", "the custom metadata of the path, which is about all of its values"})
		}
		data = data.get("data")
	}
	if data.kind != object {
		return wrong(lineText(n.line), "its data is not an object")
	}
	c.flatten(data, nil)
	return nil
}
