package commands

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"ass/tokens"
	"ass/vault"
)

type secretsGroup struct {
	Flags namespaceFlag `embed:""`

	List     secretsList     `cmd:"" aliases:"ls" help:"List the secrets in a namespace and below it."`
	Find     secretsFind     `cmd:"" help:"Look for secrets by path, description or tag."`
	Get      secretsGet      `cmd:"" help:"Print the value of a secret."`
	Set      secretsSet      `cmd:"" help:"Create or update a secret."`
	Edit     secretsEdit     `cmd:"" help:"Change a value in your editor."`
	Diff     secretsDiff     `cmd:"" help:"Compare two versions of a secret."`
	Describe secretsDescribe `cmd:"" help:"Say what a secret is for, and when it expires or should be rotated."`
	Due      secretsDue      `cmd:"" help:"List what expires, or should have another value; exit code 9 if there is any."`
	Delete   secretsDelete   `cmd:"" aliases:"rm" help:"Delete a secret; its versions stay until it is purged."`
	Rotate   secretsRotate   `cmd:"" help:"Store a new value as the next version."`
	History  secretsHistory  `cmd:"" help:"List the versions of a secret."`
	Rollback secretsRollback `cmd:"" help:"Store the value of an older version as the next version."`
	Restore  secretsRestore  `cmd:"" help:"Bring a deleted secret back."`
	Mv       secretsMove     `cmd:"" help:"Move a secret to another path, with its versions."`
	Cp       secretsCopy     `cmd:"" help:"Copy a secret to another path."`
	Prune    secretsPrune    `cmd:"" help:"Remove old versions of secrets, bytes included."`
	Purge    secretsPurge    `cmd:"" help:"Remove a secret and all its versions, or one of them, bytes included."`
}

type namespaceFlag struct {
	Namespace string `short:"n" help:"Namespace of names without a slash." placeholder:"NS"`
}

// AfterApply sets the namespace that completes names without a slash.
func (f namespaceFlag) AfterApply(a *app) error {
	a.namespace = f.Namespace
	return nil
}

// path parses the name of a secret: a whole path, or a flat name in the default
// namespace.
func (a *app) path(name string) (tokens.Path, error) {
	if strings.Contains(name, "/") || name == "" {
		return tokens.ParsePath(name)
	}
	ns, err := a.defaultNamespace(a.namespace)
	if err != nil {
		return tokens.Path{}, err
	}
	return ns.Join(name)
}

func jsonOf(s vault.Secret) secretJSON {
	j := secretJSON{
		ID: s.ID, Namespace: s.Path.Namespace().String(), Key: s.Path.Key(), Path: s.Path.String(), Version: s.Version,
		Type: s.Type, Tier: s.Tier, Metadata: metadataOf(s.About), CreatedAt: stamp(s.CreatedAt), UpdatedAt: stamp(s.UpdatedAt),
		DeletedTo: s.DeletedTo,
	}
	if s.DeletedAt != nil {
		j.DeletedAt = stamp(*s.DeletedAt)
	}
	return j
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func tierCell(t tokens.Tier) cell {
	switch t {
	case tokens.Sensitive:
		return cell{t.String(), yellow}
	case tokens.Critical:
		return cell{t.String(), red}
	}
	return cell{t.String(), ""}
}

type secretsList struct {
	In      string `arg:"" optional:"" name:"namespace" help:"Namespace to list; the default one if omitted, '*' for the namespaces that there are."`
	All     bool   `help:"List the secrets of all namespaces; on a terminal, as a tree."`
	Deleted bool   `help:"List the deleted secrets, which can be restored."`
	choosing
}

func (c secretsList) Run(a *app) error {
	asked, err := c.read(a.now())
	if err != nil {
		return err
	}
	if c.In == "*" && !c.All {
		if c.Deleted || !c.choosing.none() {
			return usagef("'*' lists namespaces, and those flags are for secrets").hint("all secrets: ass secrets list --all")
		}
		return c.namespaces(a)
	}
	if c.All && (c.In != "" && c.In != "*" || a.namespaceGiven) {
		return usagef("--all is every namespace").hint("leave %s out", orElse(c.In, "--namespace"))
	}
	var ns tokens.Namespace
	if !c.All {
		named, err := a.namedOnce(trimNamespace(c.In), a.namespace)
		if err == nil {
			ns, err = a.defaultNamespace(named)
		}
		if err != nil {
			return err
		}
	}
	return a.withSession(access{readOnly: true}, func(s *vault.Session) error {
		a.manyRecords()
		if err := s.MayList(ns); err != nil {
			return err
		}
		list, err := s.List(ns, c.Deleted)
		if err != nil {
			return err
		}
		there := len(list)
		found, err := asked.choose(a, s, list)
		if err == nil {
			err = c.print(a, orElse(ns.String(), "*"), found, c.All)
		}
		switch {
		case err != nil || a.JSON || len(found) > 0:
		case there > 0:
			a.out.note("none of %s is as the flags ask", plural(there, "secret"))
		case c.All:
			a.out.noteOf(sayf("no secrets yet").hint("store one with: ass secrets set NAMESPACE/KEY"))
		default:
			a.out.noteOf(sayf("no secrets in %s", ns).
				hint("%s", otherNamespaces(s, ns)))
		}
		return err
	})
}

func (c secretsList) namespaces(a *app) error {
	return a.withSession(access{readOnly: true}, func(s *vault.Session) error {
		list, err := s.Namespaces()
		if err != nil {
			return err
		}
		items, rows := make([]namespaceJSON, len(list)), make([][]cell, len(list))
		for i, n := range list {
			items[i] = namespaceJSON{Namespace: n.Namespace.String(), SecretCount: n.Secrets}
			rows[i] = []cell{{n.Namespace.String(), ""}, {plural(n.Secrets, "secret"), dim}}
		}
		return a.answer(namespacesResult{Namespace: "*", Items: items}, func() {
			a.out.table(rows, paths)
		})
	})
}

type secretsGet struct {
	Path    string  `arg:"" help:"Secret to read, such as production/gemini/GEMINI_API_KEY."`
	Key     string  `short:"k" help:"The same, as a flag: -n production/gemini -k GEMINI_API_KEY." placeholder:"KEY"`
	Version *uint64 `help:"Version to read; the current one if omitted." placeholder:"N"`
	Raw     bool    `help:"On a terminal, print control characters as they are, too."`
	Silent  bool    `help:"Print nothing but the value: no warnings and no notes."`
	asking
	patience
	logging
}

// asking is the flag of the commands that may need a human's approval.
type asking struct {
	Reason string `help:"The reason, for the human who must approve." placeholder:"TEXT"`
}

// AfterApply sets the reason that a request carries.
func (f asking) AfterApply(a *app) error {
	a.reason = f.Reason
	return nil
}

// logging is the flag of the commands that read values.
type logging struct {
	Unlogged bool `help:"Read as the owner without a log entry, from a backup or a disk that cannot be written; this machine keeps a note of it."`
}

func (c secretsGet) Help() string {
	return `In a pipe, exactly the bytes that were stored are written; on a terminal, a newline
follows, and characters that it would not show as themselves are escaped. The access is in the audit log before the value is printed.

To an agent or a token, a sensitive or critical secret opens once a human approved
the request: exit code 6 names it, and --wait waits for the decision.`
}

func (c secretsGet) Run(a *app) error {
	if c.Path != "" && c.Key != "" {
		return usagef("give the secret once: as an argument or with --key")
	}
	p, err := a.path(orElse(c.Path, c.Key))
	if err != nil {
		return err
	}
	var version uint64
	if c.Version != nil {
		if version = *c.Version; version == 0 {
			return usagef("--version: versions begin at 1")
		}
	}
	if c.Silent {
		a.out.quiet = true
	}
	a.unlogged = c.Unlogged
	return c.with(a, func() error { return c.print(a, p, version) })
}

func (c secretsGet) print(a *app, p tokens.Path, version uint64) error {
	return a.withSession(access{}, func(s *vault.Session) error {
		secret, value, err := s.Get(p, version)
		if err != nil {
			return err
		}
		defer clear(value)
		if !a.JSON {
			a.out.value(value, c.Raw)
			return nil
		}
		j := valueResult{secretJSON: jsonOf(secret), Value: string(value)}
		if !utf8.Valid(value) {
			j.Value, j.Encoding = base64.StdEncoding.EncodeToString(value), "base64"
		}
		return a.out.json(j)
	})
}

type secretsSet struct {
	Path  string      `arg:"" help:"Secret to create or update, such as production/gemini/GEMINI_API_KEY."`
	Value *string     `arg:"" optional:"" help:"The value. Better left out: it is then read from stdin, or asked for."`
	Tier  tokens.Tier `help:"standard, sensitive or critical; a new secret is standard, one that exists keeps its tier." placeholder:"TIER"`
	asking
	Type      string  `short:"t" help:"api_key, oauth_token, db_credential, ssh_key, certificate or custom; a new secret is custom." placeholder:"TYPE"`
	IfVersion *uint64 `help:"Fail unless this version is the current one; 0 means that the secret must not exist." placeholder:"N"`
	Canary    bool    `help:"Make it a canary: a secret that nobody needs, so that you hear of it if somebody reads it."`
	NoCanary  bool    `name:"no-canary" help:"It is a canary no longer."`
	newValue
	describing
}

func (c secretsSet) Help() string {
	return `The value is read from stdin, exactly, when it is left out or "-":

  printf %s "$KEY" | ass secrets set production/gemini/GEMINI_API_KEY

On a terminal it is asked for. An argument is seen by other programs, and kept in
the history of the shell.

A canary looks like any other secret: only your key can tell. Its reading is marked in
the log and in ass status, and ass approvals watch tells of it.`
}

func (c secretsSet) Run(a *app) error {
	about, err := c.change(a.now())
	if err != nil {
		return err
	}
	o := vault.SetOptions{Tier: c.Tier, Type: c.Type, IfVersion: c.IfVersion, About: about}
	if c.Canary && c.NoCanary {
		return usagef("--canary and --no-canary say the opposite of each other").hint("give one of them")
	}
	if c.Canary || c.NoCanary {
		o.Canary = &c.Canary
	}
	return c.store(a, c.Path, c.Value, o,
		"stored at")
}

// wrote reports which value was stored. If the secret is new, before is the zero Secret.
func (a *app) wrote(secret, before vault.Secret, said string) error {
	a.changed("%s is stored as v%d", secret.Path, secret.Version)
	return a.answer(storedResult{jsonOf(secret), before.Version == 0}, func() {
		a.out.done("Secret %s %s", said, secret.Path)
		if a.out.errTTY {
			a.out.note("%s", change(secret, before))
		}
	})
}

// change says, for people, what a write made of a secret. If "created" surprises them, somebody
// has removed the secret's records, and its tier with them.
func change(secret, before vault.Secret) string {
	if before.Version == 0 {
		return fmt.Sprintf("created (%s)", secret.Tier)
	}
	was, tier := fmt.Sprintf("v%d", before.Version), secret.Tier.String()
	if before.DeletedAt != nil {
		was += ", deleted"
	}
	if before.Tier != secret.Tier {
		tier = fmt.Sprintf("%s → %s", before.Tier, secret.Tier)
	}
	text := fmt.Sprintf("%s → v%d (%s)", was, secret.Version, tier)
	if before.DeletedAt != nil {
		text += fmt.Sprintf("; %s stay deleted, unless brought back with: ass secrets restore %s",
			versionsText(1, secret.DeletedTo), secret.Path)
	}
	return text
}

type secretsRotate struct {
	Path  string  `arg:"" help:"Secret to rotate."`
	Value *string `help:"Replacement value. Better left out: it is then read from stdin, or asked for." placeholder:"VALUE"`
	Force bool    `short:"f" help:"Skip the confirmation on a terminal."`
	asking
	newValue
}

func (c secretsRotate) Run(a *app) error {
	p, err := a.path(c.Path)
	if err != nil {
		return err
	}
	// A rotation loses nothing, so if stdin is not a terminal, it needs no
	// confirmation.
	if a.interactive() {
		if err := a.confirm(c.Force, "Rotate "+p.String()+"?"); err != nil {
			return err
		}
	}
	return c.store(a, p.String(), c.Value, vault.SetOptions{Rotate: true}, "rotated:")
}

type secretsDelete struct {
	Path      string `arg:"" help:"Secret to delete; with --recursive, a namespace."`
	Recursive bool   `short:"r" help:"Delete all secrets in a namespace and below it."`
	Force     bool   `short:"f" help:"Skip the confirmation."`
	asking
}

func (secretsDelete) Help() string {
	return `The tokens that are for this secret alone are revoked. Those for its namespace or
more go on, and are counted.`
}

func (c secretsDelete) Run(a *app) error {
	if c.Recursive {
		return c.all(a)
	}
	p, err := a.path(c.Path)
	if err != nil {
		return err
	}
	if err := a.confirm(c.Force, "Delete "+p.String()+"?"); err != nil {
		return err
	}
	return a.withSession(access{}, func(s *vault.Session) error {
		secret, ended, err := s.Delete(p)
		if err != nil {
			return err
		}
		a.changed("%s is deleted", p)
		return a.answer(deleteResult{jsonOf(secret), ended.Revoked, ended.Broader}, func() {
			a.out.done("Secret deleted: %s", p)
			if ended.Revoked > 0 {
				a.out.note("revoked %s for it alone", plural(ended.Revoked, "token"))
			}
			if ended.Broader > 0 {
				a.out.note("%s for its namespace or more still work: ass tokens list", plural(ended.Broader, "token"))
			}
		})
	})
}

// versionsText names versions: "v2", "v1 to v3".
func versionsText(from, to uint64) string {
	if from == to {
		return fmt.Sprintf("v%d", to)
	}
	return fmt.Sprintf("v%d to v%d", from, to)
}

type secretsRestore struct {
	Path string `arg:"" help:"Deleted secret to bring back."`
}

func (secretsRestore) Help() string {
	return `If a value was stored after the secret was deleted, the versions from before stay deleted;
this brings them back.`
}

func (c secretsRestore) Run(a *app) error {
	p, err := a.path(c.Path)
	if err != nil {
		return err
	}
	return a.withSession(access{}, func(s *vault.Session) error {
		done, err := s.Restore(p)
		if err != nil {
			return err
		}
		a.changed("%s is restored", p)
		return a.answer(restoredResult{jsonOf(done.Secret), done.From, done.To}, func() {
			a.out.done("Secret restored: %s", p)
			switch {
			case done.To < done.Version:
				a.out.note("%s of %s can be read again", versionsText(done.From, done.To), p)
			case done.DeletedTo > 0:
				a.out.noteOf(sayf("%s of %s stay deleted, from an earlier time", versionsText(1, done.DeletedTo), p).
					hint("bring them back with: ass secrets restore %s", p))
			}
		})
	})
}

type secretsHistory struct {
	Path  string `arg:"" help:"Secret whose versions to list, deleted or not."`
	Limit int    `help:"How many versions to list, the newest first; 0 for all." default:"0" placeholder:"N"`
}

func (c secretsHistory) Run(a *app) error {
	if c.Limit < 0 {
		return usagef("--limit must not be negative")
	}
	p, err := a.path(c.Path)
	if err != nil {
		return err
	}
	return a.withSession(access{readOnly: true}, func(s *vault.Session) error {
		secret, versions, err := s.History(p)
		if err != nil {
			return err
		}
		answer := historyResult{Path: p.String(), Deleted: secret.DeletedAt != nil}
		oldest, older := uint64(1), 0 // the oldest version; how many are not listed
		if len(versions) > 0 {
			oldest = versions[len(versions)-1].Number
		}
		if c.Limit > 0 && len(versions) > c.Limit {
			answer.Total, older = len(versions), len(versions)-c.Limit
			versions = versions[:c.Limit]
		}
		authors := a.shownIDs(idsOf(versions, func(v vault.Version) string { return v.Author }))
		items, rows, unattested := make([]versionJSON, len(versions)), make([][]cell, len(versions)), false
		for i, v := range versions {
			items[i] = versionJSON{
				Version: v.Number, AccessTier: v.Tier, Author: v.Author, CreatedAt: stamp(v.CreatedAt),
				Current: v.Current, Deleted: v.Deleted, Unattested: v.Unattested,
			}
			state := cell{}
			if v.Current {
				state = cell{"current", green}
			} else if v.Deleted {
				state = cell{"deleted", dim}
			}
			unattested = unattested || v.Unattested
			if v.Unattested {
				state.text = strings.TrimSpace(state.text + " unattested")
			}
			rows[i] = []cell{{"v" + uintText(v.Number), ""}, tierCell(v.Tier), {authors[v.Author], ""},
				{a.when(v.CreatedAt), dim}, state}
		}
		answer.Items = items
		return a.answer(answer, func() {
			a.out.table(rows)
			if older > 0 {
				a.out.noteOf(sayf("%s not listed", pluralOf(older, "older version is", "older versions are")).hint("list them " +
					"all with --limit 0"))
			}
			if unattested {
				a.out.note("unattested: no log entry says what the value was, because it comes from before format 2, or because its " +
					"entry did not hold")
			}
			if secret.DeletedAt != nil {
				a.out.noteOf(sayf("%s was deleted", p).
					hint("bring it back with: ass secrets restore %s", p))
			} else if secret.DeletedTo > 0 {
				a.out.noteOf(sayf("%s were deleted with the secret, before a value was stored again", versionsText(oldest,
					secret.DeletedTo)).
					hint("bring them back with: ass secrets restore %s", p))
			}
		})
	})
}

type secretsRollback struct {
	Path  string `arg:"" help:"Secret to roll back."`
	To    uint64 `required:"" help:"Version whose value becomes the next version." placeholder:"N"`
	Force bool   `help:"Skip the confirmation on a terminal."`
	asking
}

func (c secretsRollback) Run(a *app) error {
	p, err := a.path(c.Path)
	if err != nil {
		return err
	}
	if a.interactive() {
		if err := a.confirm(c.Force, "Roll "+p.String()+" back to the value of v"+uintText(c.To)+"?"); err != nil {
			return err
		}
	}
	return a.withSession(access{}, func(s *vault.Session) error {
		secret, before, err := s.Rollback(p, c.To)
		if err != nil {
			return err
		}
		return a.wrote(secret, before, "rolled back to the value of v"+uintText(c.To)+":")
	})
}
