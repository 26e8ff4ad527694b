package commands

import (
	"bytes"

	"ass/vault"
	"ass/vault/device"
)

// The commands for the further keys of a vault: ass key list, add and remove. ways.go opens the vault with such a key.

type keyList struct{}

func (keyList) Help() string {
	return `Lists what opens the vault: the owner key, and the further keys that ass key add added. Only
the owner can see them. If somebody altered the list in the file, it says so.`
}

func (keyList) Run(a *app) error {
	var ways []vault.Way
	err := a.withSession(access{readOnly: true, owner: "see what opens the vault"}, func(s *vault.Session) (err error) {
		ways, err = s.Ways()
		return err
	})
	if err != nil {
		return err
	}
	cfg, err := a.loadConfig()
	if err != nil {
		return err
	}
	p := cfg.Profiles[a.Profile]
	stored := "stored"
	switch {
	case p == nil:
		return failf("profile %s was removed by another process meanwhile", a.profile()).hint("log in again")
	case isWay(p.Key):
		stored = "elsewhere"
	case p.locked():
		stored = "locked"
	}
	result := keyListResult{OwnerKey: stored, Keys: []furtherKeyJSON{}}
	for _, w := range ways {
		result.Keys = append(result.Keys, furtherKeyJSON{Name: w.Name, Kind: wayKind(w.Recipient), Recipient: shownRecipient(w.Recipient),
			AddedAt: stamp(w.AddedAt), InUse: bytes.Equal(w.Sealed, a.asked.key.sealed)})
	}
	return a.answer(result, func() {
		said := map[string]string{"stored": "in this profile, without a passphrase", "locked": "in this profile, with a passphrase",
			"elsewhere": "not stored in this profile"}[stored]
		a.out.line("%-20s  %s", "the owner key", said)
		for i, w := range ways {
			text := wayKind(w.Recipient)
			if to := shownRecipient(w.Recipient); to != "" {
				text += " " + ends(to)
			}
			text += ", added " + a.when(w.AddedAt)
			if result.Keys[i].InUse {
				text += ", used by this profile"
			}
			a.out.line("%-20s  %s", clean(w.Name), text)
		}
	})
}

// ends returns the beginning and the end of a recipient, which tell it from others.
func ends(recipient string) string {
	if len(recipient) <= 32 {
		return recipient
	}
	return recipient[:16] + "…" + recipient[len(recipient)-8:]
}

type keyAdd struct {
	Identity  string `help:"File with the key: an identity of an age plugin or of age-keygen, or an SSH private key." placeholder:"FILE"`
	Recipient string `help:"Public key, if the key itself is not here: age1… or ssh-ed25519 …" placeholder:"RECIPIENT"`
	Name      string `help:"Name for the key; if not given, its kind." placeholder:"NAME"`
}

func (keyAdd) Help() string {
	return `Encrypts the owner key to a further key, which then opens the vault, too. To use it, here or
on another machine: ass login --identity FILE. With --identity, the key is tried before the
vault is rewritten. Whoever has the key is the owner: keep it as safe as the owner key.

Hardware keys need their age plugin on PATH (age-plugin-yubikey, -tpm, -se, -fido2-hmac).
SSH keys (ssh-ed25519, ssh-rsa) need the program ass-ssh, which comes with ass.`
}

func (c keyAdd) Run(a *app) (err error) {
	if (c.Identity == "") == (c.Recipient == "") {
		return usagef("give the key in one way: --identity FILE or --recipient RECIPIENT")
	}
	if c.Name != "" {
		if err := vault.CheckWayName(c.Name); err != nil {
			return err
		}
	}
	identity, recipient := "", ""
	if c.Identity != "" {
		identity, recipient, err = a.readIdentityFile(c.Identity)
	} else {
		recipient, err = a.readRecipient(c.Recipient)
	}
	if err != nil {
		return err
	}
	if plugin := device.PluginOf(recipient); plugin != "" { // before a passphrase is asked for
		if _, err := a.lookPath("age-plugin-" + plugin); err != nil {
			return errorf(errNoProgram, "age-plugin-%s is not on PATH, and this key needs it", plugin).hint("install it")
		}
	}
	name := wayName(c.Name, recipient)
	err = a.withSession(access{readOnly: true, owner: "add a key to the vault"}, func(s *vault.Session) (err error) {
		name, err = s.CanAddWay(name, recipient, c.Name == "")
		return err
	})
	if err != nil {
		return err
	}
	id := a.asked.key.owner
	way, err := a.sealWay(id, name, identity, recipient)
	if err != nil {
		return err
	}
	var epoch uint32
	err = a.withSession(access{owner: "add a key to the vault"}, func(s *vault.Session) (err error) {
		if a.asked.key.owner.Text() != id.Text() {
			return errorf(vault.ErrConflict, "the vault got another owner key meanwhile, so nothing was changed").hint("run it again")
		}
		epoch, err = s.AddWay(way)
		return err
	})
	if err != nil {
		return err
	}
	a.changed("the key %s opens the vault, too", name)
	result := keyAddResult{Name: name, Kind: wayKind(recipient), Recipient: shownRecipient(recipient), Tried: identity != "", Epoch: epoch}
	return a.answer(result, func() {
		a.out.done("Added the key %s (%s): it opens the vault, too", clean(name), wayKind(recipient))
		if identity == "" {
			a.out.noteOf(sayf("the key was not tried").hint("try it on its machine: ass login --identity FILE"))
		} else if a.asked.key.sealed == nil {
			a.out.noteOf(sayf("profile %s still has the owner key", a.profile()).
				hint("to use the new one in its place: ass login --identity %s", shellWord(c.Identity)))
		}
	})
}

// shownRecipient is a recipient as it is shown: not at all if it is the text of an identity, which may be a secret.
func shownRecipient(recipient string) string {
	if device.IsIdentity(recipient) {
		return ""
	}
	return recipient
}

type keyRemove struct {
	Names   []string `arg:"" name:"name" help:"Names of further keys, as in ass key list."`
	LogFile string   `help:"Where to put the log up to now." placeholder:"FILE"`
	Force   bool     `help:"Skip the confirmation."`
}

func (keyRemove) Help() string {
	return `Whoever had a key that opened the vault may have the owner key. So this does what ass vault
rekey --new-key does. It makes a new owner key, prints it, and encrypts it to the keys that
stay, so their plugins must be here. All agents get new keys; tokens and requests end. A
removed key still opens older copies of the vault. The key that this profile uses stays.`
}

func (c keyRemove) Run(a *app) error { return a.replaceOwnerKey(c.LogFile, c.Force, c.Names) }
