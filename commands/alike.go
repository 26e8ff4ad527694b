package commands

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"ass/tokens"
	"ass/vault"
)

// otherNamespaces names the namespaces that look like one that is empty, or says how
// to list all.
func otherNamespaces(s *vault.Session, ns tokens.Namespace) string {
	const all = "all namespaces: ass secrets list '*'"
	there, err := s.Namespaces()
	if err != nil {
		return all
	}
	var names []string
	for _, n := range there { // with those above
		name := n.Namespace.String()
		for i := range name {
			if name[i] == '/' {
				names = append(names, name[:i])
			}
		}
		names = append(names, name)
	}
	if like := alike(ns.String(), names); len(like) > 0 {
		return "did you mean " + strings.Join(like, " or ") + "? " + all
	}
	return all
}

// withNearest adds a hint to the error of a path that names no secret: the path is a namespace, or it is near a
// secret of which this credential may know.
func (a *app) withNearest(err error) error {
	var missing *vault.MissingError
	if !errors.As(err, &missing) {
		return err
	}
	p := missing.Path
	names := []string{p.String()}
	if c, err := a.chooseNamespace(a.namespace); err == nil && c.ns == p.Namespace() {
		names = append(names, p.Key()) // as it was typed, perhaps
	}
	var there []tokens.Path
	moved := ""
	a.LockTimeout = 0
	a.glance(func(s vault.Secret) {
		if s.DeletedAt == nil {
			there = append(there, s.Path)
		}
		if s.DeletedAt == nil && s.About != nil && s.About.MovedFrom == p.String() {
			moved = s.Path.String()
		}
	}, "")
	if moved != "" {
		return withHint(err, "did you mean %s, which was there before?", moved)
	}
	for _, name := range names {
		if slices.ContainsFunc(there, func(q tokens.Path) bool { return strings.HasPrefix(q.String(), name+"/") }) {
			return withHint(err, "%s is a namespace; to list it: ass secrets list %s", name, shellWord(name))
		}
	}
	var all, same []string
	for _, q := range there {
		all = append(all, q.String())
		if strings.EqualFold(q.Key(), p.Key()) && len(same) < 3 {
			same = append(same, q.String())
		}
	}
	like := closest(p.String(), all, func(string) int { return 1 + len(p.Key())/4 })
	if len(like) == 0 {
		like = same
	}
	if len(like) == 0 {
		return err
	}
	return withHint(err, "did you mean %s?", strings.Join(like, " or "))
}

// alike returns the names that somebody may have meant, the likeliest first: at most
// three.
func alike(typed string, names []string) []string {
	return closest(typed, names, func(name string) int { return 1 + min(len(typed), len(name))/5 })
}

// closest is alike where slips says how many letters may be wrong in a name.
func closest(typed string, names []string, slips func(name string) int) []string {
	const most, partly = 3, 1000
	slices.Sort(names)
	names = slices.Compact(names)
	far := map[string]int{}
	var like []string
	for _, name := range names {
		a, b := strings.ToLower(typed), strings.ToLower(name)
		d, near := 0, slips(name)
		if far := len(a) - len(b); max(far, -far) > near {
			d = near + 1 // at least: most names of a large vault need no closer look
		} else {
			d = distance(a, b)
		}
		switch {
		case d <= near:
		case strings.HasPrefix(b, a), strings.HasSuffix(b, "/"+a), strings.HasPrefix(a, b+"/"), strings.HasSuffix(a, "/"+b):
			d += partly
		default:
			continue
		}
		far[name] = d
		like = append(like, name)
	}
	slices.SortStableFunc(like, func(a, b string) int { return cmp.Compare(far[a], far[b]) })
	if len(like) > 0 && far[like[0]] < partly { // then it is a slip, and not a part
		like = slices.DeleteFunc(like, func(name string) bool { return far[name] >= partly })
	}
	return like[:min(len(like), most)]
}

// distance is how many letters must be added, left out, replaced or swapped with the
// next to make b of a (the optimal string alignment distance).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, before
		row[0] = i + 1
		for j := range len(b) {
			replaced := last[j]
			if a[i] != b[j] {
				replaced++
			}
			row[j+1] = min(replaced, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
