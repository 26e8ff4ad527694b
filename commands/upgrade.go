package commands

import (
	"errors"
	"fmt"

	"ass/vault"
)

type vaultUpgrade struct {
	Force bool `help:"Upgrade even if something does not hold: leave that out, and mend the rest."`
}

func (vaultUpgrade) Help() string {
	return `Rewrites a vault that an earlier ass made in the format of this one, as the owner's next
command that writes does, too, even if it only logs a read. It verifies the vault first,
and stops if anything does not hold. The file in the older format is kept beside the
vault; the keys of today still open it, so remove it when you are sure. Programs before
this one do not open the new format. Agents keep their keys and their waiting requests;
for a critical or sensitive secret that was approved and not read yet, they ask again.`
}

func (c vaultUpgrade) Run(a *app) error {
	return a.withSession(access{owner: "upgrade the vault", asItIs: true}, func(s *vault.Session) error {
		done, err := s.Upgrade(c.Force)
		if errors.Is(err, vault.ErrDamaged) && !c.Force {
			return withHint(err, "ass audit verify says more, and --force leaves out what does not hold and mends "+
				"the rest")
		}
		if err != nil {
			return err
		}
		if done.From == done.To {
			return a.answer(upgradeResult{Format: done.To, FormatBefore: done.From, Epoch: done.Epoch,
				narrowedJSON: narrowedOf(done.Narrowing)}, func() {
				a.out.done("Nothing to upgrade: the vault has format %d, the newest that this ass knows", done.To)
			})
		}
		a.changed("the vault has format %d", done.To)
		for _, problem := range done.Problems {
			a.out.warn("the vault did not hold: %s", problem)
		}
		mended := done.Narrowing
		mended.Kept = ""
		a.noteNarrowing(mended)
		a.noteOldFormat(done)
		return a.answer(upgradeResult{Format: done.To, FormatBefore: done.From, Epoch: done.Epoch,
			narrowedJSON: narrowedOf(done.Narrowing)}, func() {
			a.out.done("Vault upgraded: format %d → %d", done.From, done.To)
		})
	})
}

// upgradeFirst upgrades a vault of an older format, before a command of its owner changes it. If that is not possible,
// the command goes on in the older format.
func (a *app) upgradeFirst(s *vault.Session) {
	done, err := s.Upgrade(false)
	var names *vault.NamesError
	switch {
	case errors.Is(err, vault.ErrDamaged):
		a.out.warnOf(sayf("the vault stays in its older format: %v", err).
			hint("look at it with ass audit verify, and then run: ass vault upgrade --force"))
		return
	case errors.As(err, &names): // a warning or the error of the act says so
		return
	case err != nil:
		a.out.warnOf(fmt.Errorf("the vault stays in its older format: %w", err))
		return
	}
	a.out.note("the vault was upgraded to format %d", done.To)
	a.noteOldFormat(done)
}

func (a *app) noteOldFormat(done vault.Upgraded) {
	a.out.note("the file in format %d was kept: %s; the keys of today still open it, so remove it when you are sure", done.From,
		a.tilde(done.Kept))
}
