package commands

import (
	"errors"

	"ass/vault"
)

// What the commands share that take a right away. Each of them rewrites the vault.

// keepOld is the flag of a command that replaces the vault's file.
type keepOld struct {
	Keep bool `help:"Keep the replaced file beside the vault. The revoked keys still open it."`
}

// narrow does an act that takes a right away. If somebody tampered with the vault, and the act would leave out
// records that may be of somebody else, narrow lists them and asks for a second yes. forced is that yes.
func (a *app) narrow(k keepOld, forced bool, act func(vault.NarrowOptions) error) error {
	err := act(vault.NarrowOptions{Lose: forced, Keep: k.Keep})
	var loss *vault.LossError
	if forced || !errors.As(err, &loss) {
		return err
	}
	for _, name := range loss.Lost {
		a.out.warn("this would be left out, because it does not hold: %s", name)
	}
	for _, doubt := range loss.Doubts {
		a.out.warn("the vault does not hold: %s", doubt)
	}
	a.out.note("somebody with a key of this vault, or with its file, tampered with it; a backup may have what is " +
		"missing, and --keep keeps the file as it is now")
	if err := a.confirm(false, "Go on all the same?"); err != nil {
		return err
	}
	return act(vault.NarrowOptions{Lose: true, Keep: k.Keep})
}

// noteNarrowing says what a rewrite left out, mended and kept.
func (a *app) noteNarrowing(n vault.Narrowing) {
	for _, name := range n.LeftBehind {
		a.out.warn("left out, because it does not hold: %s", name)
	}
	for _, what := range n.Mended {
		a.out.warn("mended: %s", what)
	}
	for _, doubt := range n.Doubts {
		a.out.warn("the vault did not hold: %s", doubt)
	}
	if n.Kept != "" {
		a.out.note("the replaced file was kept: %s; what was revoked still opens it", a.tilde(n.Kept))
	}
	if n.Forgotten > 0 {
		a.out.warnOf(sayf("this machine had seen log entry %d, which no honest program wrote", n.Forgotten).
			hint("where another machine says that the vault is older than it saw, run: ass vault accept"))
	}
}

// narrowedJSON is what the results of these commands have in common.
type narrowedJSON struct {
	LeftBehind []string `json:"left_behind"`
	Mended     []string `json:"mended"`
	Doubts     []string `json:"doubts"`
	KeptFile   *string  `json:"kept_file"`
}

func narrowedOf(n vault.Narrowing) narrowedJSON {
	j := narrowedJSON{LeftBehind: list(n.LeftBehind), Mended: list(n.Mended), Doubts: list(n.Doubts)}
	if n.Kept != "" {
		j.KeptFile = &n.Kept
	}
	return j
}
