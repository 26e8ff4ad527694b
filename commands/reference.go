package commands

import (
	"bytes"
	"strings"

	"ass/tokens"
	"ass/vault"
)

// A reference, ass://path, stands for the value of a secret in an environment or a
// template. As everywhere, a name without a slash lies in the default namespace.
const referencePrefix = "ass://"

// isReference reports whether ass run takes a text for a reference, well written or not.
func isReference(text string) bool {
	return strings.HasPrefix(text, referencePrefix)
}

// reference parses ass://path; ok is false for any other text.
func (a *app) reference(text string) (p tokens.Path, ok bool, err error) {
	name, ok := strings.CutPrefix(text, referencePrefix)
	if !ok {
		return p, false, nil
	}
	p, err = a.path(name)
	return p, true, err
}

// gathered maps paths to values.
type gathered map[tokens.Path]vault.Value

// gather reads all of the secrets in one transaction, or none.
func gather(s *vault.Session, paths []tokens.Path) (gathered, error) {
	values, err := s.GetMany(nil, paths)
	if err != nil {
		return nil, err
	}
	g := gathered{}
	for _, v := range values {
		g[v.Path] = v
	}
	return g, nil
}

var placeholder = pattern(`\{\{[ \t]*ass://([^ \t{}]*)[ \t]*\}\}`)

// begunPlaceholder matches the beginning of a placeholder, which no template contains
// by accident.
var begunPlaceholder = pattern(`\{\{\s*ass://`)

// placeholders lists the secrets that a template names, each once.
func (a *app) placeholders(template []byte) ([]tokens.Path, error) {
	var paths []tokens.Path
	found := placeholder().FindAllSubmatchIndex(template, -1)
	whole := map[int]bool{} // where complete placeholders begin
	for _, m := range found {
		whole[m[0]] = true
	}
	for _, begun := range begunPlaceholder().FindAllIndex(template, -1) {
		if !whole[begun[0]] {
			return nil, usagef("line %d of the template: a placeholder looks like {{ ass://path }}, and this is not one",
				1+bytes.Count(template[:begun[0]], []byte("\n")))
		}
	}
	known := map[tokens.Path]bool{}
	for _, m := range found {
		p, err := a.path(string(template[m[2]:m[3]]))
		if err != nil {
			return nil, usagef("line %d of the template: %v", 1+bytes.Count(template[:m[0]], []byte("\n")), err)
		}
		if !known[p] {
			known[p] = true
			paths = append(paths, p)
		}
	}
	return paths, nil
}

// maxFilled is the largest size of a filled template, in bytes. Without this limit, a
// template that names a large secret a million times would fill the memory.
const maxFilled = 256 << 20

// fill puts values into a template. The values must include every secret that
// placeholders listed.
func (a *app) fill(template []byte, g gathered) ([]byte, error) {
	var out []byte
	rest := 0
	for _, m := range placeholder().FindAllSubmatchIndex(template, -1) {
		p, err := a.path(string(template[m[2]:m[3]]))
		if err != nil {
			return nil, err
		}
		out = append(append(out, template[rest:m[0]]...), g[p].Value...)
		if rest = m[1]; len(out) > maxFilled {
			return nil, usagef("with its values filled in, the template is larger than %s", size(maxFilled))
		}
	}
	return append(out, template[rest:]...), nil
}
