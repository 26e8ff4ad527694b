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
	Sort      string   `help:"Order by path (if omitted), updated, created, type, tier or due." placeholder:"BY"`
}

var sortings = []string{"path", "updated", "created", "type", "tier", "due"}

// chosen is one secret of a list, with what filters and orders look at.
type chosen struct {
	vault.Due
	value vault.Version // the current one, without its value
}

// check refuses flags of a wrong form. It needs no vault.
func (c choosing) check(now time.Time) (tier tokens.Tier, older time.Time, within time.Duration, err error) {
	if c.Type != "" && !slices.Contains(vault.Types, c.Type) {
		return 0, older, 0, usagef("--type must be one of %s", strings.Join(vault.Types, ", "))
	}
	if c.Tier != "" {
		if tier, err = tokens.ParseTier(c.Tier); err != nil {
			return 0, older, 0, err
		}
	}
	if c.OlderThan != "" {
		if older, err = parseOlder(c.OlderThan, now); err != nil {
			return 0, older, 0, usagef("--older-than: %v", err)
		}
	}
	if c.Expiring != "" {
		if within, err = parseAge(c.Expiring); err != nil {
			return 0, older, 0, usagef("--expiring must be a time, such as 90d or 12h")
		}
	}
	if c.Sort != "" && !slices.Contains(sortings, c.Sort) {
		return 0, older, 0, usagef("--sort must be one of %s", strings.Join(sortings, ", "))
	}
	return tier, older, within, nil
}

// none reports whether no flag is given.
func (c choosing) none() bool {
	return c.Type == "" && c.Tier == "" && len(c.Tag) == 0 && c.OlderThan == "" && c.Expiring == "" && c.WrittenBy == "" && c.Sort == ""
}

// choose filters and orders a list.
func (c choosing) choose(a *app, s *vault.Session, list []vault.Secret) ([]chosen, error) {
	tier, older, within, err := c.check(a.now())
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(x vault.Secret) bool {
		return c.Type != "" && x.Type != c.Type || tier != 0 && x.Tier != tier || !hasTags(x, c.Tag)
	})
	due, err := s.Dates(list)
	if err != nil {
		return nil, err
	}
	found := make([]chosen, len(due))
	for i, d := range due {
		found[i].Due = d
	}
	if c.Expiring != "" {
		until := a.now().Add(within)
		found = slices.DeleteFunc(found, func(x chosen) bool { return x.Expires == nil && x.Rotate == nil || !x.Next().Before(until) })
	}
	if c.OlderThan != "" || c.WrittenBy != "" {
		if found, err = c.byValue(a, s, found, older); err != nil {
			return nil, err
		}
	}
	c.order(found)
	return found, nil
}

// byValue keeps the secrets whose current value is as old, and was written by those, as the flags ask for.
func (c choosing) byValue(a *app, s *vault.Session, list []chosen, older time.Time) ([]chosen, error) {
	var by map[string]bool
	if c.WrittenBy != "" {
		itself := s
		if s.ID() == audit.Owner {
			itself = nil
		}
		var err error
		if by, err = actorsNamed(s.Vault(), itself, "--written-by", c.WrittenBy); err != nil {
			return nil, err
		}
	}
	var kept []chosen
	for _, x := range list {
		v, err := s.Current(x.Secret)
		if err != nil {
			return nil, err
		}
		if x.value = v; (c.OlderThan == "" || v.CreatedAt.Before(older)) && (by == nil || by[v.Author]) {
			kept = append(kept, x)
		}
	}
	return kept, nil
}

func (c choosing) order(list []chosen) {
	// The newest, or the most urgent, is the first, except for names.
	var before func(a, b chosen) int
	switch c.Sort {
	case "updated":
		before = func(a, b chosen) int { return b.UpdatedAt.Compare(a.UpdatedAt) }
	case "created":
		before = func(a, b chosen) int { return b.CreatedAt.Compare(a.CreatedAt) }
	case "type":
		before = func(a, b chosen) int { return strings.Compare(a.Type, b.Type) }
	case "tier":
		before = func(a, b chosen) int { return cmp.Compare(b.Tier, a.Tier) }
	case "due":
		before = func(a, b chosen) int {
			switch a, b := a.Expires != nil || a.Rotate != nil, b.Expires != nil || b.Rotate != nil; {
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
	slices.SortStableFunc(list, before)
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
func (c choosing) print(a *app, ns string, list []chosen, tree bool) error {
	if a.JSON {
		items := make([]secretJSON, len(list))
		for i, x := range list {
			items[i] = jsonOf(x.Secret)
		}
		return a.out.json(secretsResult{Namespace: ns, Items: items})
	}
	rows, cells := make([][]cell, 0, len(list)), make([][4]cell, len(list))
	var above []string
	for i, x := range list {
		name := x.Path.String()
		if tree && a.out.tty && (c.Sort == "" || c.Sort == "path") {
			parts := strings.Split(name, "/")
			for n := shared(above, parts); n < len(parts)-1; n++ {
				rows = append(rows, []cell{{strings.Repeat("  ", n) + parts[n] + "/", dim}})
			}
			above, name = parts, strings.Repeat("  ", len(parts)-1)+parts[len(parts)-1]
		}
		cells[i] = [...]cell{{name, ""}, {x.Type, ""}, tierCell(x.Tier), {a.when(x.UpdatedAt), dim}}
		row := cells[i][:]
		if x.About != nil {
			row = append(row, a.aboutCells(x.Due)...)
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
	if _, _, _, err := c.check(a.now()); err != nil {
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
		found, err := c.choose(a, s, list)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			// What was typed is not repeated: it may be a value.
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
