package stores

import (
	"encoding/base64"
	"strings"
)

// A Secret manifest has base64 in data and text in stringData, which counts if a key is in
// both (kubernetes.io/docs/concepts/configuration/secret). A source may have several, as
// documents of YAML or in a List, and other kinds of objects between them.

func readKubernetes(s Source) (*Content, error) {
	docs, err := parseDocuments(s.Bytes)
	if err != nil {
		return nil, err
	}
	k := kubernetes{c: &Content{}, spaces: map[string]bool{}}
	for i := range docs {
		if err := k.find(&docs[i], 0); err != nil {
			return nil, err
		}
	}
	for _, secret := range k.secrets {
		if err := k.secret(secret); err != nil {
			return nil, err
		}
	}
	if len(k.secrets) == 0 && len(k.c.Left) == 0 {
		return nil, wrong("", "it has no manifest (an object with a kind)")
	}
	return k.c.checked()
}

type kubernetes struct {
	c       *Content
	secrets []*node
	spaces  map[string]bool // the namespaces that they lie in
}

// find collects the Secrets of a manifest.
func (k *kubernetes) find(n *node, depth int) error {
	kind, name := n.str("kind"), n.get("metadata").str("name")
	at := lineText(n.line)
	switch {
	case n.kind == array && depth == 0:
		for i := range n.items {
			if err := k.find(&n.items[i], depth+1); err != nil {
				return err
			}
		}
		return nil
	case n.kind != object, kind == "":
		return wrong(at, "it is not a manifest: it has no kind")
	case strings.HasSuffix(kind, "List") && depth <= 1:
		list, err := n.list("items")
		if err != nil {
			return err
		}
		for i := range list {
			if err := k.find(&list[i], depth+2); err != nil {
				return err
			}
		}
		return nil
	case kind != "Secret":
		k.c.Left = append(k.c.Left, Left{orElse(name, at), "it is a " + short(kind) + ", and not a Secret"})
		return nil
	case name == "":
		return wrong(at, "the Secret has no metadata.name")
	}
	k.secrets = append(k.secrets, n)
	k.spaces[n.get("metadata").str("namespace")] = true
	return nil
}

// secretTypes are the types of secrets, by the type of a Secret and its key.
var secretTypes = map[[2]string]string{
	{"kubernetes.io/tls", "tls.crt"}:                 "certificate",
	{"kubernetes.io/tls", "tls.key"}:                 "certificate",
	{"kubernetes.io/ssh-auth", "ssh-privatekey"}:     "ssh_key",
	{"kubernetes.io/service-account-token", "token"}: "oauth_token",
}

// secret takes the values of a Secret. If the source has Secrets in several namespaces, the
// namespace comes first in their names.
func (k *kubernetes) secret(n *node) error {
	meta := n.get("metadata")
	name := []string{meta.str("name")}
	if space := meta.str("namespace"); len(k.spaces) > 1 && space != "" {
		name = append([]string{space}, name...)
	}
	e := k.c.entry(lineText(n.line), name...)
	tags := map[string]string{}
	if labels := meta.get("labels"); labels != nil {
		for i := range labels.members {
			tags[labels.members[i].name] = labels.members[i].node.text
		}
	}
	plain := n.get("stringData")
	over := plain.index()
	for _, from := range []*node{n.get("data"), plain} {
		if from == nil || from.kind == null {
			continue
		}
		if from.kind != object {
			return wrong(lineText(from.line), "the data of the Secret %s is not an object", quoted(meta.str("name")))
		}
		for i := range from.members {
			m := &from.members[i]
			if from != plain && over[m.name] != nil {
				continue
			}
			value, err := secretValue(m, from == plain)
			if err != nil {
				return err
			}
			k.c.add(Item{Name: append(append([]string{}, e.name...), m.name), Value: value, At: lineText(m.node.line),
				Tags: tags,
				Type: secretTypes[[2]string{n.str("type"), m.name}]})
			e.took++
		}
	}
	if a := meta.get("annotations"); a != nil && len(a.members) > 0 {
		e.left("%s", plural(len(a.members), "annotation"))
	}
	e.end()
	return nil
}

func secretValue(m *member, plain bool) ([]byte, error) {
	at := lineText(m.node.line)
	switch {
	case m.node.kind == null:
		return nil, nil
	case m.node.kind != text:
		return nil, mend(at, "put quotes around it", "the value of %s is not a text", quoted(m.name))
	case plain:
		return []byte(m.node.text), nil
	}
	value, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(m.node.text), ""))
	if err != nil {
		return nil, mend(at, "plain text belongs into stringData", "the value of %s is not base64", quoted(m.name))
	}
	return value, nil
}
