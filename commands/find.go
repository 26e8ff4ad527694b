package commands

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault"
)

// Lists of secrets: which are in them, in which order, and how they look.

// choosing are the flags that leave secrets out of a list, and order the rest.
type choosing struct {
	Type      string   `help:"Only secrets of this type." placeholder:"TYPE"`
	Tier      string   `help:"Only secrets of this tier." placeholder:"TIER"`
	Tag       []string `help:"Only secrets with this tag; NAME=VALUE also asks for its value. Can stand several times." sep:"none" placeholder:"NAME[=VALUE]"`
	OlderThan string   `name:"older-than" help:"Only secrets whose value is older (90d, 3mo), or from before a date." placeholder:"TIME"`
	Expiring  string   `help:"Only secrets that expire or are to be rotated within this time (14d)." placeholder:"TIME"`
	WrittenBy string   `name:"written-by" help:"Only secrets whose value this agent or token wrote, by name or id; owner for the owner." placeholder:"NAME"`
	Canary    bool     `help:"Only canaries, which the owner alone can tell."`
	Sort      string   `help:"Order by path (if omitted), updated, created, type, tier or due." placeholder:"BY"`
}

var sortings = []string{"path", "updated", "created", "type", "tier", "due"}

// sieve is what the flags ask for, once they are read.
type sieve struct {
	choosing
	tier   tokens.Tier
	older  time.Time
	within time.Duration
}

// read refuses flags of a wrong form. It needs no vault.
func (c choosing) read(now time.Time) (s sieve, err error) {
	s.choosing = c
	if c.Type != "" && !slices.Contains(vault.Types, c.Type) {
		return s, usagef("--type must be one of %s", strings.Join(vault.Types, ", "))
	}
	if c.Tier != "" {
		if s.tier, err = tokens.ParseTier(c.Tier); err != nil {
			return s, err
		}
	}
	if c.OlderThan != "" {
		if s.older, err = parseOlder(c.OlderThan, now); err != nil {
			return s, usagef("--older-than: %v", err)
		}
	}
	if c.Expiring != "" {
		if s.within, err = parseAge(c.Expiring); err != nil {
			return s, usagef("--expiring must be a time, such as 90d or 12h")
		}
	}
	if c.Sort != "" && !slices.Contains(sortings, c.Sort) {
		return s, usagef("--sort must be one of %s", strings.Join(sortings, ", "))
	}
	return s, nil
}

// none reports whether no flag is given.
func (c choosing) none() bool {
	return c.Type == "" && c.Tier == "" && len(c.Tag) == 0 && c.OlderThan == "" && c.Expiring == "" && c.WrittenBy == "" &&
		!c.Canary && c.Sort == ""
}

// choose filters and orders a list.
func (c sieve) choose(a *app, s *vault.Session, list []vault.Secret) ([]vault.Due, error) {
	if c.Canary && s.ID() != audit.Owner {
		return nil, errorf(vault.ErrDenied, "only the owner can tell which secrets are canaries, and this is %s", s.Who()).
			hint("run it with the owner's key")
	}
	list = slices.DeleteFunc(list, func(x vault.Secret) bool {
		return c.Canary && !s.IsCanary(x) || c.Type != "" && x.Type != c.Type || c.tier != 0 && x.Tier != c.tier || !hasTags(x, c.Tag)
	})
	if c.OlderThan != "" || c.WrittenBy != "" {
		var err error
		if list, err = c.byValue(s, list); err != nil {
			return nil, err
		}
	}
	found, err := s.Dates(list)
	if err != nil {
		return nil, err
	}
	if c.Expiring != "" {
		until := a.now().Add(c.within)
		found = slices.DeleteFunc(found, func(x vault.Due) bool { return !x.Before(until) })
	}
	c.order(found)
	return found, nil
}

// byValue keeps the secrets whose current value is as old, and was written by those, as the flags ask for.
func (c sieve) byValue(s *vault.Session, list []vault.Secret) (kept []vault.Secret, err error) {
	var by map[string]bool
	if c.WrittenBy != "" {
		itself := s
		if s.ID() == audit.Owner {
			itself = nil
		}
		if by, err = actorsNamed(s.Vault(), itself, "--written-by", c.WrittenBy); err != nil {
			return nil, err
		}
	}
	values, err := s.Current(list)
	for i, v := range values {
		if (c.OlderThan == "" || v.CreatedAt.Before(c.older)) && (by == nil || by[v.Author]) {
			kept = append(kept, list[i])
		}
	}
	return kept, err
}

func (c choosing) order(list []vault.Due) {
	// The newest, or the most urgent, is the first, except for names.
	var before func(a, b vault.Due) int
	switch c.Sort {
	case "updated":
		before = func(a, b vault.Due) int { return b.UpdatedAt.Compare(a.UpdatedAt) }
	case "created":
		before = func(a, b vault.Due) int { return b.CreatedAt.Compare(a.CreatedAt) }
	case "type":
		before = func(a, b vault.Due) int { return strings.Compare(a.Type, b.Type) }
	case "tier":
		before = func(a, b vault.Due) int { return cmp.Compare(b.Tier, a.Tier) }
	case "due":
		before = func(a, b vault.Due) int {
			switch a, b := a.IsDated(), b.IsDated(); {
			case a && !b:
				return -1
			case b && !a:
				return 1
			case !a:
				return 0
			}
			return a.Next().Compare(b.Next())
		}
	default:
		return // as the vault gave it: by path
	}
	sortStable(list, before)
}

// hasTags reports whether a secret has all of the tags.
func hasTags(s vault.Secret, tags []string) bool {
	for _, tag := range tags {
		name, value, exact := strings.Cut(tag, "=")
		if s.About == nil {
			return false
		}
		if has, ok := s.About.Tags[name]; !ok || exact && has != value {
			return false
		}
	}
	return true
}

// print shows a list. A tree is for people, and for a list by path.
func (c choosing) print(a *app, ns string, list []vault.Due, tree bool) error {
	if a.JSON {
		items := make([]secretJSON, len(list))
		for i, x := range list {
			items[i] = jsonOf(*x.Secret)
		}
		return a.out.json(secretsResult{Namespace: ns, Items: items})
	}
	rows, cells := make([][]cell, 0, len(list)), make([][4]cell, len(list))
	var above []string
	at, when := time.Time{}, "" // what an import wrote has one time
	for i, x := range list {
		name := x.Path.String()
		if tree && a.out.tty && (c.Sort == "" || c.Sort == "path") {
			parts := strings.Split(name, "/")
			for n := shared(above, parts); n < len(parts)-1; n++ {
				rows = append(rows, []cell{{strings.Repeat("  ", n) + parts[n] + "/", dim}})
			}
			above, name = parts, strings.Repeat("  ", len(parts)-1)+parts[len(parts)-1]
		}
		if when == "" || x.UpdatedAt != at {
			at, when = x.UpdatedAt, a.when(x.UpdatedAt)
		}
		cells[i] = [...]cell{{name, ""}, {x.Type, ""}, tierCell(x.Tier), {when, dim}}
		row := cells[i][:]
		if x.About != nil {
			row = append(row, a.aboutCells(x)...)
		}
		rows = append(rows, row)
	}
	a.out.table(rows, paths)
	return nil
}

// shared returns how many namespaces two paths begin with alike.
func shared(a, b []string) (n int) {
	for n < len(a)-1 && n < len(b)-1 && a[n] == b[n] {
		n++
	}
	return n
}

type secretsFind struct {
	Term   string `arg:"" help:"What to look for in paths, descriptions and tags; capital letters do not matter."`
	Regexp bool   `help:"TERM is a regular expression (RE2)."`
	choosing
}

func (secretsFind) Help() string {
	return `Looks in all namespaces, or in that of --namespace and below. Values are not looked at:
ass leaves them sealed. Exit code 4 if nothing is found.`
}

func (c secretsFind) Run(a *app) error {
	var ns tokens.Namespace
	var err error
	if a.namespaceGiven {
		if ns, err = tokens.ParseNamespace(trimNamespace(a.namespace)); err != nil {
			return err
		}
	}
	if c.Term == "" {
		return usagef("name what to look for").hint("to list all: ass secrets list --all")
	}
	term := "(?i)" + regexp.QuoteMeta(c.Term)
	if c.Regexp {
		term = c.Term
	}
	matches, err := regexp.Compile(term)
	if err != nil {
		return usagef("the term is no regular expression").hint("leave --regexp out, or see: https://golang.org/s/re2syntax")
	}
	asked, err := c.read(a.now())
	if err != nil {
		return err
	}
	return a.withSession(access{readOnly: true}, func(s *vault.Session) error {
		a.manyRecords()
		if err := s.MayList(ns); err != nil {
			return err
		}
		list, err := s.List(ns, false)
		if err != nil {
			return err
		}
		list = slices.DeleteFunc(list, func(x vault.Secret) bool { return !isAbout(x, matches) })
		found, err := asked.choose(a, s, list)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			// Do not repeat the text: it may be a value.
			return errorf(vault.ErrUnknown, "no path, description or tag matches").hint("to list all: ass secrets list --all")
		}
		return c.print(a, orElse(ns.String(), "*"), found, false)
	})
}

// isAbout reports whether what is known of a secret matches.
func isAbout(s vault.Secret, matches *regexp.Regexp) bool {
	if matches.MatchString(s.Path.String()) {
		return true
	}
	if s.About == nil {
		return false
	}
	for name, value := range s.About.Tags {
		if matches.MatchString(name) || matches.MatchString(value) || matches.MatchString(name+"="+value) {
			return true
		}
	}
	return matches.MatchString(s.About.Description)
}
