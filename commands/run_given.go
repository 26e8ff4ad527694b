package commands

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ass/tokens"
	"ass/vault"
)

// What a child of ass run is given by name, and in which order it counts: --env and --file,
// then --env-file, of which the last counts, then the namespace, then what was inherited.

// binding is a secret that the child is to get, and the form in which it gets it.
type binding struct {
	name  string
	path  tokens.Path
	as    func(*child, binding, []byte)
	place string // of the link to a file
	text  string // if it is plain

	plain bool // it is no secret but a text
	inEnv bool // it becomes a variable
	loose bool // if it cannot be filled, the variable stays as it is
}

func asVariable(c *child, w binding, value []byte) {
	c.env = append(dropVariable(c.env, w.name), w.name+"="+string(value))
}

func asFile(c *child, w binding, value []byte) {
	c.files = append(c.files, variable{name: w.name, value: value})
	c.places = append(c.places, w.place)
}

func asStdin(c *child, _ binding, value []byte) { c.stdin = &value }

// environment returns the variables that the child gets besides secrets.
func (c runCmd) environment(w *world) []string {
	env := slices.Clone(w.env)
	if c.Pristine {
		keep := []string{"PATH", "HOME", "TERM", "TMPDIR", "TZ", "LANG", "USER", "SHELL", "SYSTEMROOT"}
		env = slices.DeleteFunc(env, func(pair string) bool {
			name, text, _ := strings.Cut(pair, "=")
			return !slices.Contains(keep, name) && !strings.HasPrefix(name, "LC_") && !isReference(text)
		})
	}
	env = dropVariable(env, passphraseFileVariable)
	if !c.KeepAgentKey {
		for _, name := range credentialVariables {
			env = dropVariable(env, name)
		}
	}
	return env
}

func dropVariable(env []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(pair string) bool {
		is, _, _ := strings.Cut(pair, "=")
		return name != "" && sameVariable(is) == sameVariable(name)
	})
}

// inherited returns the secrets that the environment names.
func (c runCmd) inherited(a *app, env []string) (list []binding, err error) {
	for _, pair := range env {
		name, text, _ := strings.Cut(pair, "=")
		p, ok, err := a.reference(text)
		if ok && err == nil && isOurs(name) {
			err = errors.New("ass itself reads it")
		}
		switch {
		case !ok:
		case err == nil:
			list = append(list, binding{name: name, path: p, as: asVariable, inEnv: true, loose: !c.Strict})
		case c.Strict:
			return nil, usagef("the variable %s: %v", name, err)
		default:
			a.out.warn("the variable %s does not name a secret and is left as it is: %v", name, err)
		}
	}
	return list, nil
}

// named returns what the flags name, each name once: --env and --file count before
// --env-file, and of its files the last.
func (c runCmd) named(a *app) (list []binding, err error) {
	for _, flag := range []struct {
		name  string
		pairs []string
	}{{"--env", c.Env}, {"--file", c.File}} {
		for _, pair := range flag.pairs {
			w, err := namedBy(a, flag.name, pair)
			if err != nil {
				return nil, err
			}
			at := slices.IndexFunc(list, w.sameName)
			switch {
			case at < 0:
				list = append(list, w)
			case list[at].path != w.path || list[at].inEnv != w.inEnv || w.place != list[at].place:
				return nil, usagef("%s is given two secrets", w.name)
			}
		}
	}
	for _, file := range slices.Backward(c.EnvFile) {
		some, err := a.readRunFile(file)
		if err != nil {
			return nil, err
		}
		for _, w := range some {
			if !slices.ContainsFunc(list, w.sameName) {
				list = append(list, w)
			}
		}
	}
	if c.Stdin != "" {
		p, err := a.path(strings.TrimPrefix(c.Stdin, referencePrefix))
		if err != nil {
			return nil, err
		}
		list = append(list, binding{path: p, as: asStdin})
	}
	return list, nil
}

func (w binding) sameName(other binding) bool {
	return w.name != "" && sameVariable(w.name) == sameVariable(other.name)
}

// namedBy reads the value of --env or --file.
func namedBy(a *app, flag, pair string) (w binding, err error) {
	name, text, found := strings.Cut(pair, "=")
	switch {
	case (!found || !isVariable(name)) && flag == "--file":
		return w, usagef("--file takes NAME=path, as in --file TLS_KEY=production/tls/KEY, or NAME=path:/place of a link")
	case !found || !isVariable(name):
		return w, usagef("--env takes NAME=path, as in --env STRIPE_KEY=production/stripe/KEY")
	case isOurs(name):
		return w, usagef("%s %s: ass itself reads that variable, so no secret is handed over in it", flag, name).
			hint("take another name")
	}
	w = binding{name: name, as: asVariable, inEnv: true}
	text = strings.TrimPrefix(text, referencePrefix)
	if flag == "--file" {
		place, linked := "", false
		w.as, w.inEnv = asFile, false
		if text, place, linked = strings.Cut(text, ":"); linked {
			if place == "" {
				return w, usagef("--file %s: the place of the link is empty", name)
			}
			if w.place, err = a.abs(place); err != nil {
				return w, err
			}
		}
	}
	if w.path, err = a.path(text); err != nil {
		return w, usagef("%s %s: %v", flag, name, err)
	}
	return w, nil
}

// readRunFile reads a file of --env-file, in the dialect of env import.
func (a *app) readRunFile(file string) (list []binding, err error) {
	b, err := a.readEnvFile(file)
	if err != nil {
		return nil, err
	}
	wrongf := func(line int, format string, args ...any) error {
		return usagef("%s, line %d: %s", file, line, fmt.Sprintf(format, args...))
	}
	if err := checkEncoding(b); err != nil {
		return nil, usagef("%s: %v", file, err)
	}
	vars, wrong := ourDialect.parse(b)
	switch {
	case len(wrong) == 1:
		return nil, usagef("%s, %v", file, wrong)
	case len(wrong) > 1:
		return nil, usagef("%s: %v", file, wrong)
	}
	expand(vars, false)
	vars, _ = settleDuplicates(vars, true)
	for _, v := range vars {
		w := binding{name: v.name, text: string(v.value), as: asVariable, inEnv: true, plain: true}
		p, refers, err := a.reference(w.text)
		switch {
		case isOurs(v.name):
			return nil, wrongf(v.line, "ass itself reads the variable %s, so no file sets it; take it out, or set it where ass "+
				"is called", v.name)
		case bytes.IndexByte(v.value, 0) >= 0:
			return nil, wrongf(v.line, "the value has a zero byte, which no environment can carry")
		case refers && err != nil:
			return nil, wrongf(v.line, "%v", err)
		case refers:
			w.path, w.text, w.plain = p, "", false
		}
		list = append(list, w)
	}
	return list, nil
}

// gives reports whether a namespace gives the variable of a binding.
func (h *handover) gives(w binding) bool {
	return slices.ContainsFunc(h.list, func(v variable) bool { return sameVariable(v.name) == sameVariable(w.name) })
}

// fillable sorts out the bindings that can be filled. A loose one need not be.
func fillable(s *vault.Session, bindings []binding) (able, unable []binding, err error) {
	for _, w := range bindings {
		if w.loose {
			list, err := s.List(w.path.Namespace(), false)
			if err != nil {
				return nil, nil, err
			}
			if !s.Can(tokens.Read, w.path) || !slices.ContainsFunc(list,
				func(secret vault.Secret) bool { return secret.Path == w.path }) {
				unable = append(unable, w)
				continue
			}
		}
		able = append(able, w)
	}
	return able, unable, nil
}
