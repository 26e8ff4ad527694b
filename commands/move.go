package commands

import (
	"fmt"
	"strings"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault"
)

// To another path, in one act: a secret, or with --recursive all of a namespace.

type secretsMove struct {
	From      string `arg:"" help:"Secret to move; with --recursive, a namespace."`
	To        string `arg:"" help:"Its new path, or a namespace with a slash behind it."`
	Recursive bool   `short:"r" help:"Move all secrets in a namespace and below it."`
	Force     bool   `short:"f" help:"Skip the confirmation."`
}

func (secretsMove) Help() string {
	return `All versions come along; a higher tier stays. Scopes do not change, so agents and tokens
may lose the secret, or get it: that is shown first. If somebody loses a right, the vault
is rewritten, so that the old key opens nothing of it. Nothing is ever moved to a path
that is taken. Deleted secrets stay where they are.`
}

func (c secretsMove) Run(a *app) error {
	return a.move(c.From, c.To, vault.MoveOptions{}, c.Recursive, c.Force)
}

type secretsCopy struct {
	From      string `arg:"" help:"Secret to copy; with --recursive, a namespace."`
	To        string `arg:"" help:"Path of the copy, or a namespace with a slash behind it."`
	Latest    bool   `help:"Copy the current value alone, without the versions before it."`
	Recursive bool   `short:"r" help:"Copy all secrets in a namespace and below it."`
	Force     bool   `short:"f" help:"Skip the confirmation."`
}

func (secretsCopy) Help() string {
	return `The copy has the versions, the type and the tier of the secret, and its own life from
then on. Agents and tokens whose scopes cover the copy can get it: that is shown first.
Nothing is ever copied to a path that is taken.`
}

func (c secretsCopy) Run(a *app) error {
	return a.move(c.From, c.To, vault.MoveOptions{Copy: true, Latest: c.Latest}, c.Recursive, c.Force)
}

// move shows what a move or a copy changes, asks, and does it as it was shown.
func (a *app) move(from, to string, o vault.MoveOptions, recursive, force bool) error {
	word, doing := "move", access{owner: "move secrets"}
	if o.Copy {
		word, doing.owner = "copy", "copy secrets"
	}
	pairs, err := a.pairs(from, to, recursive)
	if err != nil {
		return err
	}
	var plan vault.MovePlan
	deleted, looking := 0, doing
	looking.readOnly = true
	err = a.withSession(looking, func(s *vault.Session) (err error) {
		list := pairs.list
		if recursive {
			if list, deleted, err = s.MovesBelow(pairs.from, pairs.to); err != nil {
				return err
			}
			if len(list) == 0 {
				return errorf(vault.ErrNotFound, "no secrets in %s", pairs.from).hint("%s", otherNamespaces(s, pairs.from))
			}
		}
		plan, err = s.PlanMove(list, o)
		return err
	})
	if err != nil {
		return err
	}
	a.notePlan(plan)
	if deleted > 0 {
		a.out.note("in %s, %s", pairs.from, pluralOf(deleted, "deleted secret stays where it is",
			"deleted secrets stay where they are"))
	}
	what := plan.Secrets[0].From.String() + " to " + plan.Secrets[0].Path.String()
	if recursive {
		what = fmt.Sprintf("%s of %s to %s", plural(len(plan.Secrets), "secret"), pairs.from, pairs.to)
	}
	if len(plan.Rights) > 0 || plan.Answered > 0 || a.interactive() { // else nothing is lost, and the way back is another move
		if err := a.confirm(force, strings.ToUpper(word[:1])+word[1:]+" "+what+"?"); err != nil {
			return err
		}
	}
	return a.withSession(doing, func(s *vault.Session) error {
		done, err := s.Move(plan)
		if err != nil {
			return err
		}
		if o.Copy {
			a.changed("the copy is made: %s", what)
		} else {
			a.changed("the move is done: %s", what)
		}
		if done.Rewrites {
			if err := a.sayCopies(s, time.Time{}); err != nil {
				return err
			}
		}
		return a.answer(movedOf(done), func() {
			said := "moved"
			if o.Copy {
				said = "copied"
			}
			if recursive {
				a.out.done("%s %s: %s to %s", plural(len(done.Secrets), "secret"), said, pairs.from, pairs.to)
				return
			}
			one := done.Secrets[0]
			a.out.done("Secret %s: %s to %s (%s)", said, one.From, one.Path, plural(one.Versions, "version"))
		})
	})
}

// movePairs is what is to be moved: pairs of paths, or all of a namespace.
type movePairs struct {
	list     []vault.Move
	from, to tokens.Namespace
}

// errWholeNamespace is for commands with --recursive: --namespace completes names of secrets, and no namespaces.
var errWholeNamespace = usagef("--namespace is for a secret's name without a slash").hint("with --recursive, give " +
	"the whole namespace")

// pairs reads the two arguments of a move.
func (a *app) pairs(from, to string, recursive bool) (p movePairs, err error) {
	if recursive {
		if a.namespaceGiven {
			return p, errWholeNamespace
		}
		if p.from, err = tokens.ParseNamespace(trimNamespace(from)); err == nil {
			p.to, err = tokens.ParseNamespace(trimNamespace(to))
		}
		return p, err
	}
	one := vault.Move{}
	if one.From, err = a.path(from); err != nil {
		return p, err
	}
	if into, ok := strings.CutSuffix(to, "/"); ok {
		var ns tokens.Namespace
		if ns, err = tokens.ParseNamespace(into); err == nil {
			one.To, err = ns.Join(one.From.Key())
		}
	} else {
		one.To, err = a.path(to)
		for _, name := range []string{to, one.To.String()} {
			there := false
			if err == nil {
				a.glance(func(s vault.Secret) { there = there || s.DeletedAt == nil }, name+"/")
			}
			if there {
				err = usagef("%s is a namespace", name).hint("to put it in there: %s/", name)
			}
		}
	}
	if err == nil && one.From == one.To {
		err = usagef("%s is its path already", one.To).hint("give another path")
	}
	p.list = []vault.Move{one}
	return p, err
}

// mostShown is how many secrets of a plan are shown on stderr; --json has all of them.
const mostShown = 20

// notePlan says what a move changes.
func (a *app) notePlan(plan vault.MovePlan) {
	for i, m := range plan.Secrets {
		if i == mostShown {
			a.out.note("… and %d more", len(plan.Secrets)-mostShown)
			break
		}
		text := fmt.Sprintf("%s → %s (%s, %s)", m.From, m.Path, plural(m.Versions, "version"), m.Tier)
		if m.Anew && m.First > 1 {
			text += fmt.Sprintf("; it goes on there as %s, because no number comes twice", versionsText(m.First, m.Version))
		}
		a.out.note("%s", text)
	}
	for _, c := range plan.Rights {
		who := "agent " + c.Name + " (" + c.ID + ")"
		if c.Kind == audit.Token {
			who = "token " + c.ID + " of " + orElse(c.Name, "the owner")
		}
		if len(c.Losing) > 0 {
			a.out.warn("%s can no longer %s", who, actionsText(c.Losing, len(plan.Secrets)))
		}
		if len(c.Gained) > 0 {
			a.out.warn("%s can now %s", who, actionsText(c.Gained, len(plan.Secrets)))
		}
	}
	if plan.Answered > 0 {
		a.out.warn("%s for what is moved %s", pluralOf(plan.Answered, "open approval", "open approvals"),
			pluralVerbOf(plan.Answered, "ends", "end"))
	}
	if plan.Rewrites {
		a.out.note("the vault will be rewritten, so that what is lost opens nothing in it")
	}
}

func pluralVerbOf(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// actionsText says what somebody can do, or not, with so many of all secrets: "read and write it", "read 3 of them".
func actionsText(of map[tokens.Action]int, all int) string {
	var parts []string
	for _, action := range []tokens.Action{tokens.Read, tokens.Write, tokens.Delete} {
		switch n := of[action]; {
		case n > 0 && all == 1:
			parts = append(parts, action.String())
		case n > 0:
			parts = append(parts, fmt.Sprintf("%s %d", action, n))
		}
	}
	text := parts[0]
	if n := len(parts); n > 1 {
		text = strings.Join(parts[:n-1], ", ") + " and " + parts[n-1]
	}
	if all == 1 {
		return text + " it"
	}
	return text + " of them"
}

func movedOf(plan vault.MovePlan) movedResult {
	r := movedResult{Copied: plan.Options.Copy, Items: []movedJSON{}, Rights: []movedRightJSON{}, Rewritten: plan.Rewrites,
		ApprovalsEnded: plan.Answered}
	for _, m := range plan.Secrets {
		r.Items = append(r.Items, movedJSON{From: m.From.String(), Path: m.Path.String(), AccessTier: m.Tier,
			Version:  m.Version,
			Versions: m.Versions})
	}
	for _, c := range plan.Rights {
		r.Rights = append(r.Rights, movedRightJSON{Kind: c.Kind, ID: c.ID, Name: c.Name, Loses: rightsJSON(c.Losing),
			Gains: rightsJSON(c.Gained)})
	}
	return r
}

func rightsJSON(of map[tokens.Action]int) movedCounts {
	return movedCounts{Read: of[tokens.Read], Write: of[tokens.Write], Delete: of[tokens.Delete]}
}

// all deletes the secrets of a namespace, as they were shown: all or none.
func (c secretsDelete) all(a *app) error {
	if a.namespaceGiven {
		return errWholeNamespace
	}
	ns, err := tokens.ParseNamespace(trimNamespace(c.Path))
	if err != nil {
		return err
	}
	var list []vault.Secret
	err = a.withSession(access{readOnly: true}, func(s *vault.Session) error {
		if err := s.MayList(ns); err != nil {
			return err
		}
		if list, err = s.List(ns, false); err == nil && len(list) == 0 {
			err = errorf(vault.ErrNotFound, "no secrets in %s", ns).hint("%s", otherNamespaces(s, ns))
		}
		return err
	})
	if err != nil {
		return err
	}
	paths := make([]tokens.Path, len(list))
	for i, secret := range list {
		paths[i] = secret.Path
		if i == mostShown {
			a.out.note("… and %d more", len(list)-mostShown)
		} else if i < mostShown {
			a.out.note("%s (v%d, %s)", secret.Path, secret.Version, secret.Tier)
		}
	}
	if err := a.confirm(c.Force, fmt.Sprintf("Delete %s in %s?", plural(len(list), "secret"), ns)); err != nil {
		return err
	}
	return a.withSession(access{}, func(s *vault.Session) error {
		done, ended, err := s.DeleteAll(paths)
		if err != nil {
			return err
		}
		a.changed("of %s, %s deleted", ns, pluralOf(len(done), "secret is", "secrets are"))
		items := make([]secretJSON, len(done))
		for i, secret := range done {
			items[i] = jsonOf(secret)
		}
		return a.answer(deleteAllResult{Namespace: ns.String(), Items: items, Revoked: ended.Revoked,
			Broader: ended.Broader}, func() {
			a.out.done("%s deleted: %s", plural(len(done), "secret"), ns)
			if ended.Revoked > 0 {
				a.out.note("revoked %s, each for one of them alone", plural(ended.Revoked, "token"))
			}
			if ended.Broader > 0 {
				a.out.note("%s for more than one of them still work: ass tokens list", plural(ended.Broader, "token"))
			}
			a.out.noteOf(sayf("their versions stay").hint("bring one back with: ass secrets restore PATH"))
		})
	})
}
