package stores

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxYAML is the size of the largest YAML that is read: its parser takes a hundred times the
// room. A Secret in a cluster has at most 1 MiB.
const maxYAML = 4 << 20

// parseYAML reads the documents of a YAML source. Documents that are empty are left out.
// An alias is an error, so nothing grows beyond its size in the source.
func parseYAML(b []byte) (docs []node, err error) {
	if len(b) > maxYAML {
		return nil, wrong("", "it is larger than %d MiB, the most that is read of YAML", maxYAML>>20)
	}
	if err := checkText(b); err != nil {
		return nil, err
	}
	d, nodes := yaml.NewDecoder(bytes.NewReader(b)), 0
	for {
		var doc yaml.Node
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil { // whose text may quote the source
			return nil, wrong(orElse(yamlLine().FindString(err.Error()), "line 1"), "it is not YAML")
		}
		n, err := fromYAML(&doc, 0, &nodes)
		if err != nil {
			return nil, err
		}
		if n.kind != null {
			docs = append(docs, n)
		}
	}
}

var yamlLine = pattern(`line \d+`)

func fromYAML(y *yaml.Node, depth int, nodes *int) (n node, err error) {
	n.line = y.Line
	at := lineText(y.Line)
	if *nodes++; *nodes > maxNodes {
		return n, wrong(at, "it has more than %d values", maxNodes)
	}
	if depth > maxDepth {
		return n, wrong(at, "it is nested more than %d deep", maxDepth)
	}
	switch y.Kind {
	case yaml.DocumentNode:
		if len(y.Content) == 1 {
			return fromYAML(y.Content[0], depth, nodes)
		}
		return n, nil
	case yaml.AliasNode:
		return n, wrong(at, "it has an alias (*name), which is not read")
	case yaml.ScalarNode:
		return fromScalar(y)
	case yaml.SequenceNode:
		n.kind = array
		for _, c := range y.Content {
			item, err := fromYAML(c, depth+1, nodes)
			if err != nil {
				return n, err
			}
			n.items = append(n.items, item)
		}
		return n, nil
	case yaml.MappingNode:
		n.kind = object
		seen := map[string]bool{}
		for i := 0; i+1 < len(y.Content); i += 2 {
			name := y.Content[i]
			switch {
			case name.Kind != yaml.ScalarNode:
				return n, wrong(lineText(name.Line), "a name is not a plain text")
			case seen[name.Value]:
				return n, wrong(lineText(name.Line), "%s is there twice", quoted(name.Value))
			}
			seen[name.Value] = true
			v, err := fromYAML(y.Content[i+1], depth+1, nodes)
			if err != nil {
				return n, err
			}
			n.members = append(n.members, member{name.Value, v})
		}
		return n, nil
	}
	return n, nil
}

func fromScalar(y *yaml.Node) (n node, err error) {
	n.line, n.text = y.Line, y.Value
	switch y.ShortTag() {
	case "!!null":
		n.kind, n.text = null, ""
	case "!!bool":
		n.kind = boolean
	case "!!int", "!!float":
		n.kind = number
	case "!!binary":
		n.kind = text
		b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(y.Value), ""))
		if err != nil {
			return n, wrong(lineText(y.Line), "its !!binary is not base64")
		}
		n.text = string(b)
	default:
		n.kind = text
	}
	return n, nil
}

// parseDocuments reads JSON or YAML, whichever it is.
func parseDocuments(b []byte) ([]node, error) {
	b = withoutMark(b)
	if trimmed := bytes.TrimLeft(b, " \t\r\n"); len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') {
		return parseJSON(b)
	}
	docs, err := parseYAML(b)
	if err == nil && len(docs) == 0 {
		err = wrong("", "it is empty")
	}
	return docs, err
}
