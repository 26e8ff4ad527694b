package commands

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"ass/audit"
	"ass/tokens"
	"ass/vault"
)

// A bulk hand-over gives a program every secret of a namespace as variables: env export
// in a file, run in an environment. Each writer in the namespace chooses values. This
// file decides on the names: see loadernames.go.

// naming says which secrets become variables, and under which names.
type naming struct {
	Keys    string `help:"Only these keys, the last parts of paths, separated by commas." placeholder:"KEY,…"`
	Exclude string `help:"Not these keys, separated by commas." placeholder:"KEY,…"`
	Prefix  bool   `help:"Name the variables after the path below the namespace: stripe/api-key becomes STRIPE_API_KEY."`
	Allow   string `help:"Hand over these variables though they act on the program itself, such as PATH; '*' for all." placeholder:"VARIABLE,…"`
	Strict  bool   `help:"Fail instead of leaving a secret out or, in run, an ass:// variable as it is."`
}

// handover is what a namespace gives: the secrets, each with its name, and those that
// are left out.
type handover struct {
	naming
	ns    tokens.Namespace
	takes func(name string) bool // whether the reader takes a variable of this name
	zeros bool                   // it takes values with zero bytes
	child bool                   // it is the environment of a child
	given []string               // variables that it gets from elsewhere

	empty   bool       // there are no secrets in the namespace
	covered bool       // some of its variables come from elsewhere
	list    []variable // without values, until they are read
	left    []leftOut
}

// leftOut is a secret that is not handed over.
type leftOut struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
	kind   leftKind
	name   string // of a variable that acts on the program
}

// leftKind is why a secret is left out.
type leftKind int

const (
	actsThere leftKind = iota // its name acts on the program
	obeyed                    // ass itself would read it in a child
	noName                    // its name is no variable's
	zeroByte                  // its value has a zero byte

	leftKinds // how many there are
)

// choose settles the names before anything is read, so that a clash costs no entry in
// the log. It begins anew if it is called again, with another credential.
func (h *handover) choose(s *vault.Session) error {
	h.covered, h.list, h.left = false, nil, nil
	secrets, err := s.List(h.ns, false)
	if err != nil {
		return err
	}
	all := make([]tokens.Path, len(secrets))
	for i, secret := range secrets {
		all[i] = secret.Path
	}
	if h.empty = len(all) == 0; h.empty {
		return nil
	}
	paths, err := h.selected(all)
	if err != nil {
		return err
	}
	sortList(paths, tokens.Path.Compare)
	taken := map[string]tokens.Path{}
	for _, p := range paths {
		name := h.name(p)
		if slices.ContainsFunc(h.given, func(given string) bool { return sameVariable(given) == sameVariable(name) }) {
			h.covered = true
			continue
		}
		if out := h.omit(p, name); out != nil {
			if err := h.leaveOut(p, *out); err != nil {
				return err
			}
			continue
		}
		if other, clash := taken[sameVariable(name)]; clash {
			return h.clash(other, p, name)
		}
		taken[sameVariable(name)] = p
		h.list = append(h.list, variable{name: name, path: p})
	}
	return nil
}

// omit says why a secret is not handed over; nil if it is, as far as its name tells.
func (h *handover) omit(p tokens.Path, name string) *leftOut {
	switch {
	case h.takes(name):
	case isVariable(name):
		return &leftOut{Reason: name + " is a variable that the reader sets itself", kind: noName}
	default:
		return &leftOut{Reason: name + " is not a valid variable name", kind: noName}
	}
	if does, depends := actsOnProgram(name); does != "" && !depends && !h.allowed(p, name) {
		return h.acting(p, name, does)
	}
	return nil
}

func (h *handover) acting(p tokens.Path, name, does string) *leftOut {
	out := &leftOut{Reason: does, kind: actsThere, name: name}
	if name != p.Key() {
		out.Reason = name + ": " + does
	}
	if h.child && isOurs(name) {
		out.kind = obeyed
	}
	return out
}

// isOurs reports whether ass itself reads a variable.
func isOurs(name string) bool { return strings.HasPrefix(sameVariable(name), "ASS_") }

// allowed reports whether the person asked for a variable that acts on the program: by
// --allow, or by a key that is its whole name. A variable that ass reads never reaches a
// child so.
func (h *handover) allowed(p tokens.Path, name string) bool {
	return h.allows(name) || !(h.child && isOurs(name)) && h.Keys != "" && p.Key() == name
}

// allows reports whether --allow admits a variable.
func (h *handover) allows(name string) bool {
	allow := commas(h.Allow)
	return !(h.child && isOurs(name)) && (slices.Contains(allow, "*") || slices.Contains(allow, name))
}

// leaveOut takes a secret out of the hand-over. It is an error with --strict, or when
// --keys asks for a secret that can be no variable.
func (h *handover) leaveOut(p tokens.Path, out leftOut) error {
	out.Path = p.String()
	named := h.Keys != "" && (out.kind == noName || out.kind == zeroByte)
	if h.Strict || named {
		way := h.way(out.kind, []leftOut{out})
		return usagef("%s cannot be handed over: %s", p, out.Reason).
			hint("to hand it over: %s; to leave it out: --exclude %s", way, p.Key())
	}
	h.left = append(h.left, out)
	return nil
}

// fill takes the values that were read, and leaves out those that cannot be handed over.
func (h *handover) fill(g gathered) error {
	list := h.list
	h.list = nil
	for _, v := range list {
		v.value = g[v.path].Value
		var out *leftOut
		switch does := actsWith(v.name, v.value); {
		case does != "" && !h.allowed(v.path, v.name):
			out = h.acting(v.path, v.name, does)
		case isReference(string(v.value)) && !h.allows(v.name): // --keys speaks of the name alone
			out = h.acting(v.path, v.name, "its value is a reference, which a nested ass run would fill in")
		case !h.zeros && bytes.IndexByte(v.value, 0) >= 0:
			out = &leftOut{Reason: "its value has a zero byte, which no variable can carry", kind: zeroByte}
		}
		if out == nil {
			h.list = append(h.list, v)
		} else if err := h.leaveOut(v.path, *out); err != nil {
			return err
		}
	}
	return nil
}

// read reads all of a hand-over.
func (h *handover) read(s *vault.Session) error {
	if err := h.choose(s); err != nil {
		return err
	}
	if err := h.nothing(s); err != nil {
		return err
	}
	g, err := gather(s, h.paths())
	if err != nil {
		return err
	}
	if err := h.fill(g); err != nil {
		return err
	}
	return h.nothing(s)
}

// paths are the secrets that are to be read.
func (h *handover) paths() []tokens.Path {
	paths := make([]tokens.Path, len(h.list))
	for i, v := range h.list {
		paths[i] = v.path
	}
	return paths
}

// nothing is the error of a hand-over of which nothing is left; nil if something is, or
// if all of it is given from elsewhere.
func (h *handover) nothing(s *vault.Session) error {
	switch {
	case h.empty && s.ID() != audit.Owner:
		return errorf(vault.ErrNotFound, "no secrets that %s may read in %s", s.ID(), h.ns).
			hint("%s", otherNamespaces(s, h.ns))
	case h.empty:
		return errorf(vault.ErrNotFound, "no secrets in %s", h.ns).
			hint("%s", otherNamespaces(s, h.ns))
	case len(h.list) > 0, h.covered:
		return nil
	case len(h.left) > 0:
		return errorf(vault.ErrNotFound, "nothing in %s is handed over; left out: %s", h.ns, h.leftText())
	}
	return errorf(vault.ErrNotFound, "nothing in %s is handed over: --exclude leaves out everything", h.ns)
}

// tell names the secrets that were left out, in one note.
func (h *handover) tell(a *app) {
	switch {
	case len(h.left) == 0:
	case a.JSON:
		a.out.jsonNote(leftOutResult{LeftOut: h.left})
	default:
		a.out.note("left out: %s", h.leftText())
	}
}

// leftText lists the secrets that were left out, by kind: each with its reason, and
// behind each kind the way to hand them over.
func (h *handover) leftText() string {
	var texts []string
	for kind := range leftKinds {
		var left []leftOut
		for _, out := range h.left {
			if out.kind == kind {
				left = append(left, out)
			}
		}
		if len(left) > 0 {
			texts = append(texts, withReasons(left)+"; to hand it over: "+h.way(kind, left))
		}
	}
	return strings.Join(texts, "; ")
}

// withReasons names secrets that were left out.
func withReasons(left []leftOut) string {
	texts := make([]string, len(left))
	for i, out := range left {
		texts[i] = fmt.Sprintf("%s (%s)", out.Path, out.Reason)
	}
	return some(texts)
}

// way says how secrets that were left out can be handed over all the same.
func (h *handover) way(kind leftKind, left []leftOut) string {
	one := "ass run --env NAME=path"
	if h.child {
		one = "--env NAME=path"
	}
	switch kind {
	case actsThere:
		var names []string
		for _, out := range left[:min(len(left), mostNamed)] {
			if !slices.Contains(names, out.name) {
				names = append(names, out.name)
			}
		}
		return "--allow " + strings.Join(names, ",") + ", --allow '*' for a whole copy, or " + one + " for one"
	case noName:
		switch {
		case h.child:
			return one
		case h.Prefix:
			return "--format json"
		}
		return "--prefix, or --format json"
	case obeyed:
		return one + ", under another name"
	case zeroByte:
		if h.child {
			return "--file NAME=path, or --stdin path"
		}
		return "--format json"
	}
	return one
}

// selected are the secrets that --keys names, or all, without those that --exclude
// names. A name that fits no secret is an error: a mistyped --exclude would hand over a
// secret that was to stay.
func (h *handover) selected(all []tokens.Path) ([]tokens.Path, error) {
	some := slices.Clone(all)
	if h.Keys != "" {
		var err error
		if some, err = h.named("--keys", h.Keys, all); err != nil {
			return nil, err
		}
	}
	if h.Exclude == "" {
		return some, nil
	}
	not, err := h.named("--exclude", h.Exclude, all)
	return slices.DeleteFunc(some, func(p tokens.Path) bool { return slices.Contains(not, p) }), err
}

// named are the secrets with one of these keys, each once.
func (h *handover) named(flag, keys string, all []tokens.Path) (some []tokens.Path, err error) {
	for _, key := range commas(keys) {
		if key == "" {
			return nil, usagef("%s has an empty name in it", flag)
		}
		found := false
		for _, p := range all {
			if p.Key() != key {
				continue
			}
			if found = true; !slices.Contains(some, p) {
				some = append(some, p)
			}
		}
		switch {
		case !found && strings.Contains(key, "/"):
			return nil, usagef("%s takes keys, which are the last parts of paths: KEY, not below/KEY", flag)
		case !found:
			return nil, errorf(vault.ErrNotFound, "%s: no secret %s in %s", flag, key, h.ns)
		}
	}
	return some, nil
}

// commas splits a list that a flag gives.
func commas(list string) []string {
	items := strings.Split(list, ",")
	for i, item := range items {
		items[i] = strings.TrimSpace(item)
	}
	return items
}

func (h *handover) clash(a, b tokens.Path, name string) error {
	if h.Prefix {
		return usagef("%s and %s would both be %s", a, b, name).
			hint("leave one out with --exclude, or choose with --keys")
	}
	return usagef("%s and %s would both be %s", a, b, name).
		hint("name variables after paths with --prefix, or choose keys with --keys")
}

// name is the variable that a secret becomes.
func (h *handover) name(p tokens.Path) string {
	if !h.Prefix {
		return p.Key()
	}
	below := strings.TrimPrefix(p.String(), h.ns.String()+"/")
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r - 'a' + 'A'
		}
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, below)
	if name[0] >= '0' && name[0] <= '9' {
		name = "_" + name
	}
	return name
}

// isVariable reports whether s can be the name of a variable in every shell.
func isVariable(s string) bool {
	return s != "" && nameLength(s) == len(s) && !strings.ContainsAny(s, ".-")
}
