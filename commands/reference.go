package commands

import (
	"regexp"
	"slices"
	"strings"

	"ass/tokens"
	"ass/vault"
)

// A reference, ass://path, stands for the value of a secret in an environment or a
// template. As everywhere, a name without a slash lies in the default namespace.
const referencePrefix = "ass://"

// reference reads ass://path; ok is false for what is none.
func (a *app) reference(text string) (p tokens.Path, ok bool, err error) {
	name, ok := strings.CutPrefix(text, referencePrefix)
	if !ok {
		return p, false, nil
	}
	p, err = a.path(name)
	return p, true, err
}

// gathered are values by their paths.
type gathered map[tokens.Path]vault.Value

// gather reads secrets: all of them, or none, in one transaction.
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

var placeholder = regexp.MustCompile(`\{\{[ \t]*ass://([^ \t{}]*)[ \t]*\}\}`)

// begunPlaceholder is what no template has by accident.
var begunPlaceholder = regexp.MustCompile(`\{\{\s*ass://`)

// placeholders lists the secrets that a template names, each once.
func (a *app) placeholders(template []byte) ([]tokens.Path, error) {
	var paths []tokens.Path
	found := placeholder.FindAllSubmatchIndex(template, -1)
	for _, begun := range begunPlaceholder.FindAllIndex(template, -1) {
		if !slices.ContainsFunc(found, func(m []int) bool { return m[0] == begun[0] }) {
			return nil, usagef("line %d of the template: a placeholder is {{ ass://path }}, and this is none", 1+strings.Count(string(template[:begun[0]]), "\n"))
		}
	}
	for _, m := range found {
		p, err := a.path(string(template[m[2]:m[3]]))
		if err != nil {
			return nil, usagef("line %d of the template: %v", 1+strings.Count(string(template[:m[0]]), "\n"), err)
		}
		if !slices.Contains(paths, p) {
			paths = append(paths, p)
		}
	}
	return paths, nil
}

// fill puts values into a template.
func (a *app) fill(template []byte, g gathered) []byte {
	return placeholder.ReplaceAllFunc(template, func(m []byte) []byte {
		p, err := a.path(string(placeholder.FindSubmatch(m)[1]))
		if err != nil {
			return m // unreachable: placeholders read them all
		}
		return g[p].Value
	})
}
