package commands

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ass/vault"
)

// Another owner key for the vault: ass vault rekey --new-key, and ass key remove.

// replaceOwnerKey gives the vault another owner key, sealed to its further keys except those that drop names.
//
// It stores the key before the vault has it, so that no vault ever exists without its key. It does so while the vault
// is locked and the key of the profile has just opened it. So a next key that an earlier run left in the profile
// belongs to no vault, and can be overwritten. A profile that opens the vault with a further key stores the id that the
// vault will have: the vault itself has the owner key for it.
func (a *app) replaceOwnerKey(logFile string, force bool, drop []string) error {
	h, err := a.find()
	if err != nil {
		return err
	}
	if err := a.ready(h); err != nil {
		return err
	}
	p := h.cfg.Profiles[a.Profile]
	if h.cred.kind != ownerCredential || p == nil {
		return errorf(vault.ErrDenied, "only the owner can rekey the vault, and %s holds %s", h.cred.from,
			withArticle(kindName(h.cred.kind))).
			hint("run it with the owner's key")
	}
	made := newOwner{logFile: logFile, removed: drop}
	if made.logFile == "" {
		made.logFile = freeName(filepath.Dir(h.at.path),
			filepath.Base(h.at.path)+".log-"+a.now().UTC().Format("20060102-150405"), ".jsonl")
	}
	if made.logFile, err = a.abs(made.logFile); err != nil {
		return err
	}
	if err := a.out.shows("the new keys"); err != nil {
		return err
	}
	question := "Make a new owner key and new agent keys, and end the old ones?"
	if len(drop) == 0 { // nothing can be wrong with the names, so the person is asked before the key is
		if err := a.confirm(force, question); err != nil {
			return err
		}
	}
	if _, err := a.readKey(h.cred); err != nil { // asks for the passphrase, once
		return err
	}
	had, kept, err := a.waysWithout(drop)
	if err != nil {
		return err
	}
	if len(drop) > 0 {
		question = "Remove " + strings.Join(drop, ", ") + ": make a new owner key and new agent keys, and end the old ones?"
		if err := a.confirm(force, question); err != nil {
			return err
		}
	}
	if made.id, err = vault.NewIdentity(); err != nil {
		return err
	}
	for i := range kept {
		if kept[i].Sealed, err = a.sealTo(kept[i].Recipient, made.id.Text()); err != nil {
			return withHint(fmt.Errorf("the new owner key cannot be sealed to the key %q, so nothing was changed: %w", kept[i].Name, err),
				"make it usable, or remove it, too, with: ass key remove %s", shellWord(kept[i].Name))
		}
	}
	was := p.Vault
	own := vault.NewOwnership(made.id, kept...)
	stored, byWay := made.id.Text(), isWay(p.Key)
	switch {
	case byWay:
		stored = p.Key
	case p.locked():
		if stored, err = a.lock(made.id, a.usedPassphrase); err != nil {
			return err
		}
	}
	err = a.withSession(access{owner: "rekey the vault"}, func(s *vault.Session) (err error) {
		if made.copies, err = s.Copies(time.Time{}); err != nil {
			return err
		}
		now, err := s.Ways()
		if err != nil {
			return err
		}
		if !slices.EqualFunc(now, had, func(a, b vault.Way) bool { return bytes.Equal(a.Sealed, b.Sealed) }) {
			return errorf(vault.ErrConflict, "the keys that open the vault were changed meanwhile, so nothing was changed").hint("run it again")
		}
		p = &profile{Key: a.asked.cred.text}
		err = a.updateProfile(p, func(p *profile) {
			if byWay {
				p.NextVault = own.VaultID()
			} else {
				p.NextKey = stored
			}
		})
		switch {
		case errors.Is(err, vault.ErrBusy):
			return err
		case err != nil: // not wrapped: it is not about the vault
			return fmt.Errorf("the new owner key cannot be stored, so nothing was changed: %v", err)
		}
		_, made.agents, err = s.RekeyOwner(own, made.logFile)
		made.vid = s.VaultID()
		return err
	})
	if err != nil {
		return err
	}
	unstored := a.updateProfile(p, func(p *profile) {
		p.Key, p.NextKey, p.NextVault, p.Vault, p.Kept = stored, "", "", made.vid, byWay
	})
	if unstored == nil {
		a.passOn(was, made.vid)
	}
	what := "is in " + a.tilde(h.cfg.path)
	if byWay {
		what = a.opensWith(stored) + " opens"
	}
	a.changed("the vault has a new owner key, which %s; agents get another key with: ass agents rotate-key", what)
	made.further = len(kept) > 0
	a.forgetUnlock() // its token has ended
	err = made.show(a, p.locked())
	if unstored != nil {
		return fmt.Errorf("%w; the vault has its new owner key, and the next command completes the profile", unstored)
	}
	return err
}

// passOn tells the other profiles that open a vault with a further key of the id that it has now. If that fails, they
// have to log in again.
func (a *app) passOn(was, now string) {
	_ = a.updateConfig(func(c *config) error {
		for _, p := range c.Profiles {
			if isWay(p.Key) && p.Vault == was {
				p.Vault = now
			}
		}
		return nil
	})
}

// waysWithout returns the further keys of the vault, and those that are left without the dropped ones. The key that
// this profile uses cannot be dropped.
func (a *app) waysWithout(drop []string) (had, kept []vault.Way, err error) {
	err = a.withSession(access{readOnly: true, owner: "see what opens the vault"}, func(s *vault.Session) (err error) {
		had, err = s.Ways()
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	left := slices.Clone(drop)
	for _, w := range had {
		switch i := slices.Index(left, w.Name); {
		case i < 0:
			kept = append(kept, w)
		case bytes.Equal(w.Sealed, a.asked.key.sealed):
			return nil, nil, errorf(vault.ErrConflict, "profile %s opens the vault with the key %q, so it is not removed", a.profile(), w.Name).
				hint("log in with another one first: ass key list; then ass login --identity FILE, or --key-file FILE")
		default:
			left = slices.Delete(left, i, i+1)
		}
	}
	if len(left) > 0 {
		return nil, nil, errorf(vault.ErrUnknown, "no key %q opens the vault", left[0]).hint("to see them: ass key list")
	}
	return had, kept, nil
}

// newOwner is what a rekey with a new owner key made.
type newOwner struct {
	id      *vault.Identity
	vid     string // the new id of the vault
	agents  []vault.NewAgentKey
	logFile string
	copies  []vault.Copy // which the old key still opens
	removed []string     // names of further keys
	further bool         // the profile opens the vault with a further key
}

func (n newOwner) show(a *app, locked bool) (err error) {
	if a.JSON {
		keys := make([]newKeyJSON, len(n.agents))
		for i, k := range n.agents {
			keys[i] = newKeyJSON{ID: k.Agent.ID, Name: k.Agent.Name, APIKey: k.Key.Text()}
		}
		err = a.out.json(newOwnerResult{VaultID: n.vid, OwnerKey: n.id.Text(), Agents: keys, LogFile: n.logFile, Removed: n.removed})
	} else {
		for _, name := range n.removed {
			a.out.note("the key %s no longer opens the vault; it still opens older copies of the file", clean(name))
		}
		without := "without it"
		if n.further {
			without = "without it, and without the further keys"
		}
		a.out.note("this is the new owner key; keep it on paper: %s, nobody can open the vault", without)
		a.out.line("Owner Key: %s", n.id.Text())
		if len(n.agents) > 0 {
			a.out.note("these keys are shown only once; give each to its program as ASS_AGENT_KEY")
		}
		for _, k := range n.agents {
			a.out.line("API Key: %s  %s (%s)", k.Key.Text(), clean(k.Agent.Name), k.Agent.ID)
		}
	}
	a.out.note("the log up to now is in %s", a.tilde(n.logFile))
	if locked {
		a.out.noteOf(sayf("the new owner key has the passphrase of the old one").
			hint("to change that: ass passphrase"))
	}
	a.noteCopies(n.copies)
	return err
}
