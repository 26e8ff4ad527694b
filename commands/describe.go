package commands

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ass/tokens"
	"ass/vault"
)

// What people say of a secret. Like its path, it is not encrypted: it is in lists, and whoever has the file can read
// it.

// describing are the flags that say what a secret is.
type describing struct {
	Description *string  `help:"What it is for. Not encrypted, as paths are not." placeholder:"TEXT"`
	Tag         []string `help:"A tag to find it by; NAME= removes one. Not encrypted." sep:"none" placeholder:"NAME[=VALUE]"`
	Meta        []string `help:"More to remember; NAME= removes it. Not encrypted." sep:"none" placeholder:"NAME=VALUE"`
	Expires     string   `help:"When it is worth nothing any more: a date, or how soon (90d); never for no date. It is shown, and nothing else." placeholder:"WHEN"`
	RotateEvery string   `name:"rotate-every" help:"How often it should get another value (90d); never for no rule. It is shown, and nothing else." placeholder:"TIME"`
}

// change returns what the flags change; nil if there are none.
func (d describing) change(now time.Time) (func(*vault.About), error) {
	var changes []func(*vault.About)
	if d.Description != nil {
		changes = append(changes, func(x *vault.About) { x.Description = *d.Description })
	}
	for flag, given := range map[string][]string{"--tag": d.Tag, "--meta": d.Meta} {
		for _, text := range given {
			name, value, has := strings.Cut(text, "=")
			switch {
			case name == "":
				return nil, usagef("%s: a name must be before the =", flag)
			case flag == "--meta" && !has:
				return nil, usagef("--meta must be NAME=VALUE")
			case flag == "--meta" && flagOfField(name) != "":
				return nil, usagef("--meta: %s has a flag of its own", name).hint("use %s", flagOfField(name))
			}
			changes = append(changes, func(x *vault.About) {
				of := &x.Tags
				if flag == "--meta" {
					of = &x.Metadata
				}
				if has && value == "" {
					delete(*of, name)
					return
				}
				if *of == nil {
					*of = map[string]string{}
				}
				(*of)[name] = value
			})
		}
	}
	if d.Expires != "" {
		at, err := parseWhen(d.Expires, now)
		if err != nil {
			return nil, usagef("--expires: %v", err)
		}
		changes = append(changes, func(x *vault.About) { x.ExpiresAt = at })
	}
	if d.RotateEvery != "" {
		every, err := time.Duration(0), error(nil)
		if d.RotateEvery != never {
			if every, err = parseAge(d.RotateEvery); err != nil || every < time.Second {
				return nil, usagef("--rotate-every must be a time (90d, 12h), or never")
			}
		}
		changes = append(changes, func(x *vault.About) { x.RotateEvery = int64(every / time.Second) })
	}
	return allOf(changes), nil
}

// allOf makes one change of several; nil of none.
func allOf(changes []func(*vault.About)) func(*vault.About) {
	if len(changes) == 0 {
		return nil
	}
	return func(x *vault.About) {
		for _, change := range changes {
			change(x)
		}
	}
}

// flagOfField is the flag of what has one of its own in the hosted field metadata; "" for any other name.
func flagOfField(name string) string {
	switch name {
	case "description":
		return "--description"
	case "tags":
		return "--tag"
	case "expires_at":
		return "--expires"
	case "rotate_every":
		return "--rotate-every"
	}
	return ""
}

// metadataOf is what is said of a secret, as the hosted field has it.
func metadataOf(x *vault.About) map[string]any {
	m := map[string]any{}
	if x == nil {
		return m
	}
	for k, v := range x.Metadata {
		m[k] = v
	}
	if x.Description != "" {
		m["description"] = x.Description
	}
	if len(x.Tags) > 0 {
		m["tags"] = x.Tags
	}
	if x.ExpiresAt != nil {
		m["expires_at"] = stamp(*x.ExpiresAt)
	}
	if x.RotateEvery != 0 {
		m["rotate_every"] = x.RotateEvery
	}
	return m
}

type secretsDescribe struct {
	Path string `arg:"" help:"Secret to describe, such as production/gemini/GEMINI_API_KEY."`
	asking
	describing
}

func (secretsDescribe) Help() string {
	return `Says what a secret is for, and when somebody should do something about it. The value
stays as it is. None of this is encrypted, as paths are not, so it is no place for
what is secret. "" or never takes back what was said:

  ass secrets describe prod/DB --description "the shop's data" --tag team=shop
  ass secrets describe prod/DB --expires 2027-01-01 --rotate-every 90d
  ass secrets describe prod/DB --description "" --tag team= --expires never`
}

func (c secretsDescribe) Run(a *app) error {
	p, err := a.path(c.Path)
	if err != nil {
		return err
	}
	change, err := c.change(a.now())
	if err != nil {
		return err
	}
	if change == nil {
		return usagef("say something of it").hint("with --description, --tag, --meta, --expires or --rotate-every")
	}
	return a.withSession(access{}, func(s *vault.Session) error {
		secret, parts, err := s.Describe(p, change)
		if err != nil {
			return err
		}
		if len(parts) > 0 {
			a.changed("%s is described", secret.Path)
		}
		return a.answer(describedResult{jsonOf(secret), list(parts)}, func() {
			if len(parts) == 0 {
				a.out.line("Nothing changed: that was already said of %s", secret.Path)
				return
			}
			a.out.done("Secret described: %s (%s)", secret.Path, strings.ReplaceAll(strings.Join(parts, ", "), "_", " "))
		})
	})
}

type secretsDue struct {
	In     string `arg:"" optional:"" name:"namespace" help:"Namespace to look in; all if omitted."`
	Within string `help:"Also what expires, or is to be rotated, within this time (14d)." default:"7d" placeholder:"TIME"`
}

func (secretsDue) Help() string {
	return `Lists what has expired, or should have another value by now, and what will within
a week: see --expires and --rotate-every of ass secrets describe. Exit code 9 if there
is anything, 0 if not, so a timer can tell you.`
}

func (c secretsDue) Run(a *app) error {
	var ns tokens.Namespace
	var err error
	if a.namespaceGiven {
		if c.In, err = a.namedOnce(c.In, a.namespace); err != nil {
			return err
		}
	}
	if c.In != "" && c.In != "*" {
		if ns, err = tokens.ParseNamespace(trimNamespace(c.In)); err != nil {
			return err
		}
	}
	within, err := parseAge(c.Within)
	if err != nil {
		return usagef("--within must be a time, such as 14d or 12h")
	}
	return a.withSession(access{readOnly: true}, func(s *vault.Session) error {
		if err := s.MayList(ns); err != nil {
			return err
		}
		due, err := s.Due(ns, a.now().Add(within))
		if err != nil {
			return err
		}
		if ns != (tokens.Namespace{}) && len(due) == 0 {
			if there, err := s.List(ns, false); err == nil && len(there) == 0 { // a timer would never fire
				a.out.noteOf(sayf("no secrets in %s", ns).hint("%s", otherNamespaces(s, ns)))
			}
		}
		result := dueResult{Items: []dueJSON{}}
		rows := [][]cell{{{"SECRET", dim}, {"WHAT", dim}, {"DESCRIPTION", dim}}}
		for _, d := range due {
			result.Items = append(result.Items, dueJSON{jsonOf(*d.Secret), stampOf(d.Expires), stampOf(d.Rotate)})
			what := a.dates(d)
			rows = append(rows, []cell{{d.Path.String(), ""}, what, {description(*d.Secret), dim}})
		}
		if err := a.answer(result, func() {
			if len(due) > 0 {
				a.out.table(rows, paths)
			}
		}); err != nil || len(due) == 0 {
			return err
		}
		return errorf(errFound, "%s or should have another value: now, or within %s", pluralOf(len(due), "secret expires",
			"secrets expire"), c.Within)
	})
}

// dates says what is to be done about a secret, and when.
func (a *app) dates(d vault.Due) cell {
	var says []string
	for what, at := range map[string]*time.Time{"expire": d.Expires, "rotate": d.Rotate} {
		if at == nil {
			continue
		}
		past := !at.After(a.now())
		switch {
		case what == "expire" && past:
			says = append(says, "expired "+a.when(*at))
		case what == "expire":
			says = append(says, "expires "+a.expires(*at))
		case past:
			says = append(says, "rotate: due since "+strings.TrimSuffix(a.when(*at), " ago"))
		default:
			says = append(says, "rotate "+a.expires(*at))
		}
	}
	slices.Sort(says)
	c := cell{text: strings.Join(says, ", ")}
	switch {
	case c.text == "":
	case !d.Next().After(a.now()):
		c.colour = red
	case !d.Next().After(a.now().Add(7 * 24 * time.Hour)):
		c.colour = yellow
	default:
		c.colour = dim
	}
	return c
}

func description(s vault.Secret) string {
	if s.About == nil {
		return ""
	}
	return s.About.Description
}

// trimNamespace takes a namespace as scopes and shells write it.
func trimNamespace(s string) string { return strings.TrimSuffix(strings.TrimSuffix(s, "/*"), "/") }

// aboutCells are what a list says of a secret beside its type and its tier: what is to be done, tags, and what it is
// for.
func (a *app) aboutCells(d vault.Due) []cell {
	var tags []string
	if d.About != nil {
		for k, v := range d.About.Tags {
			tags = append(tags, strings.TrimSuffix(fmt.Sprintf("%s=%s", k, v), "="))
		}
	}
	slices.Sort(tags)
	return []cell{a.dates(d), {strings.Join(tags, " "), ""}, {description(*d.Secret), dim}}
}
