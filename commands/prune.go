package commands

import (
	"strings"
	"time"

	"ass/tokens"
	"ass/vault"
)

type secretsPrune struct {
	In        string `arg:"" optional:"" name:"path" help:"Secret, or namespace with all below it; the default namespace if omitted, '*' for the whole vault."`
	Keep      *int   `help:"Keep this many of the newest versions of each secret." placeholder:"N"`
	OlderThan string `help:"Remove only what was written longer ago (90d, 2w, 3mo, 1y) or before a date." placeholder:"AGE"`
	DryRun    bool   `help:"List what would go, and change nothing."`
	Force     bool   `help:"Skip the confirmation."`
}

func (secretsPrune) Help() string {
	return `Removes old versions for good: one rewrite of the vault, so that the file holds nothing
of their values. It first shows the versions that go. With both --keep and --older-than,
only what both let go.

The newest version of a secret always stays, that of a deleted secret too. Copies,
backups and snapshots of the file are out of reach. A name that is both a secret and
a namespace is the secret; write NAMESPACE/ for the other.`
}

func (c secretsPrune) Run(a *app) error {
	rule, err := c.rule(a.now())
	if err != nil {
		return err
	}
	p, ns, err := a.pathOrNamespace(c.In)
	if err != nil {
		return err
	}
	var list []vault.Pruning
	values := 0
	err = a.withSession(access{readOnly: true, owner: "prune secrets"}, func(s *vault.Session) (err error) {
		a.manyRecords()
		list, values, err = s.Prunable(p, ns, rule)
		return err
	})
	if err != nil {
		return err
	}
	answer := pruneResultOf(list)
	answer.DryRun = c.DryRun
	if c.DryRun || len(list) == 0 {
		return a.answer(answer, func() {
			if len(list) == 0 {
				a.out.note("nothing to prune: every version stays")
				return
			}
			rows := make([][]cell, len(list))
			for i, one := range list {
				rows[i] = []cell{{one.Path.String(), ""}, {numbersText(one.Versions), ""},
					{plural(one.Left, "version") + " left", dim}}
			}
			a.out.table(rows, paths)
		})
	}
	what := plural(answer.Versions, "version")
	if len(list) > 1 {
		what += " of " + plural(len(list), "secret")
	} else {
		what = numbersText(list[0].Versions) + " of " + list[0].Path.String()
	}
	a.showPruning(list, values)
	if err := a.confirm(c.Force, "Remove "+what+" for good?"); err != nil {
		return err
	}
	return a.prune(list, func() error {
		return a.answer(answer, func() { a.out.done("Pruned: %s", what) })
	})
}

// rule reads the flags that say what goes.
func (c secretsPrune) rule(now time.Time) (rule vault.PruneRule, err error) {
	switch {
	case c.Keep == nil && c.OlderThan == "":
		return rule, usagef("say which versions go: --keep or --older-than").
			hint("for example: ass secrets prune --keep 3 production")
	case c.Keep != nil && *c.Keep < 1:
		return rule, usagef("--keep must be at least 1, as the newest version always stays").
			hint("to remove a secret with all its versions: ass secrets purge PATH")
	case c.Keep != nil:
		rule.Keep = *c.Keep
	}
	if c.OlderThan != "" {
		if rule.Before, err = parseOlder(c.OlderThan, now); err != nil {
			return rule, usagef("--older-than: %v", err)
		}
	}
	return rule, nil
}

// pathOrNamespace reads a name that can be that of a secret, of a namespace, or both: then both are returned. A name
// without a slash is that of a secret in the default namespace, or of a namespace. "*" is the whole vault, for which
// neither is returned.
func (a *app) pathOrNamespace(name string) (p tokens.Path, ns tokens.Namespace, err error) {
	if name == "*" {
		return p, ns, nil
	}
	if name == "" && a.namedNamespace(a.namespace) != "" {
		ns, err = a.defaultNamespace(a.namespace)
		return p, ns, err
	}
	cut := trimNamespace(name) // as scopes and shells write a namespace
	if cut == "" || strings.Contains(cut, "*") {
		// An unset variable must not mean all of the default namespace.
		return p, ns, usagef("name a secret or a namespace").hint("all of the vault: '*'; the default namespace: its name")
	}
	if cut != name {
		if cut, err = a.namedOnce(cut, a.namespace); err == nil {
			ns, err = a.defaultNamespace(cut)
		}
		return p, ns, err
	}
	if p, err = a.path(name); err != nil {
		return p, ns, err
	}
	if strings.Contains(name, "/") || a.namedNamespace(a.namespace) == "" {
		ns, _ = tokens.ParseNamespace(name) // a path may have one segment more
	}
	return p, ns, nil
}

// showPruning says what is about to go. values is how many stored values the vault has.
func (a *app) showPruning(list []vault.Pruning, values int) {
	for i, one := range list {
		if i == mostShown {
			a.out.noteOf(sayf("and versions of %s", plural(len(list)-i, "more secret")).hint("--dry-run lists all"))
			break
		}
		a.out.note("%s: %s will be removed, %s", one.Path, numbersText(one.Versions),
			pluralOf(one.Left, "version stays", "versions stay"))
		values -= len(one.Versions)
	}
	a.out.note("%s will be re-encrypted", plural(values, "stored value"))
}

// prune removes what was shown, and says so.
func (a *app) prune(list []vault.Pruning, said func() error) error {
	return a.withSession(access{owner: "prune secrets"}, func(s *vault.Session) error {
		if err := s.Prune(list); err != nil {
			return err
		}
		a.changed("%s of %s removed", pluralOf(pruneResultOf(list).Versions, "version", "versions"),
			plural(len(list), "secret"))
		if err := a.sayCopies(s, time.Time{}); err != nil {
			return err
		}
		return said()
	})
}

func pruneResultOf(list []vault.Pruning) pruneResult {
	r := pruneResult{Items: make([]prunedJSON, len(list))}
	for i, one := range list {
		r.Items[i] = prunedJSON{Left: one.Left, Path: one.Path.String(), Versions: one.Versions}
		r.Versions += len(one.Versions)
	}
	return r
}

// numbersText names versions, which are in order: "v1 to v4, v7".
func numbersText(numbers []uint64) string {
	var runs []string
	for i := 0; i < len(numbers); {
		from := i
		for i++; i < len(numbers) && numbers[i] == numbers[i-1]+1; i++ {
		}
		runs = append(runs, versionsText(numbers[from], numbers[i-1]))
	}
	return strings.Join(runs, ", ")
}

type secretsPurge struct {
	Path    string  `arg:"" help:"Secret to remove for good, deleted or not."`
	Version *uint64 `help:"Remove only this version, which must not be the current one." placeholder:"N"`
	Force   bool    `help:"Skip the confirmation."`
}

func (c secretsPurge) Help() string {
	return `Rewrites the vault without the secret, so that the file holds nothing of its values.
Copies, backups and snapshots of the file, and what the disk itself keeps, are out
of reach. A secret that is stored there later goes on with the next version number.

To remove old versions of many secrets in one rewrite: ass secrets prune`
}

func (c secretsPurge) Run(a *app) error {
	p, err := a.path(c.Path)
	if err != nil {
		return err
	}
	if c.Version != nil {
		return c.version(a, p)
	}
	if err := a.confirm(c.Force, "Remove "+p.String()+" and all its versions for good?"); err != nil {
		return err
	}
	return a.withSession(access{owner: "purge a secret"}, func(s *vault.Session) error {
		n, err := s.Purge(p)
		if err != nil {
			return err
		}
		a.changed("%s is purged", p)
		if err := a.sayCopies(s, time.Time{}); err != nil {
			return err
		}
		return a.answer(purgeResult{Path: p.String(), Versions: n}, func() {
			a.out.done("Secret purged: %s (%s)", p, plural(n, "version"))
		})
	})
}

// version purges one version.
func (c secretsPurge) version(a *app, p tokens.Path) error {
	if *c.Version == 0 {
		return usagef("--version: versions begin at 1")
	}
	var one vault.Pruning
	values := 0
	err := a.withSession(access{readOnly: true, owner: "purge a version"}, func(s *vault.Session) (err error) {
		one, values, err = s.PrunableVersion(p, *c.Version)
		return err
	})
	if err != nil {
		return err
	}
	a.showPruning([]vault.Pruning{one}, values)
	if err := a.confirm(c.Force, "Remove v"+uintText(*c.Version)+" of "+p.String()+" for good?"); err != nil {
		return err
	}
	return a.prune([]vault.Pruning{one}, func() error {
		return a.answer(purgeResult{Path: p.String(), Version: *c.Version, Versions: 1}, func() {
			a.out.done("Version purged: %s v%d (%s left)", p, *c.Version, plural(one.Left, "version"))
		})
	})
}
