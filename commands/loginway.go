package commands

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"ass/vault"
	"ass/vault/device"
)

// Logging in with a further key that opens the vault; see ways.go.

// byIdentity makes a vault whose owner key is sealed to an identity, or stores the identity for the vault that there
// is.
func (c loginCmd) byIdentity(l *login, cfg *config) error {
	switch {
	case c.Key != "" || c.KeyFile != "":
		return usagef("give the credential in one way: --key, --key-file or --identity")
	case l.shows && l.at.exists():
		return usagef("--show-key goes with a new vault").hint("to see the owner key: ass key show")
	}
	identity, recipient, err := l.readIdentityFile(c.Identity)
	if err != nil {
		return err
	}
	if !l.at.exists() {
		return l.createWithWay(cfg, identity, recipient)
	}
	w, err := l.openByWay(l.at.path, identity)
	if err != nil {
		return err
	}
	p, err := l.keepWay(identity, w)
	if err != nil {
		return err
	}
	return l.answer(l.summary(p), func() {
		l.out.done("Stored in profile %s (%s): %s opens %s (id %s)", l.Profile, l.configName(), l.opensWith(p.Key), l.tilde(l.at.path), p.Vault)
	})
}

// createWithWay makes a vault whose owner key is stored only in the vault, sealed to the identity.
func (l *login) createWithWay(cfg *config, identity, recipient string) error {
	if err := l.mayCreate(cfg); err != nil {
		return err
	}
	id, err := vault.NewIdentity()
	if err != nil {
		return err
	}
	way, err := l.sealWay(id, wayName("", identity), identity, recipient)
	if err != nil {
		return err
	}
	own := vault.NewOwnership(id, way)
	p := l.newProfile(ownerCredential, wayPrefix+identity, true)
	p.NextVault = own.VaultID()
	if err := l.createVault(p, own); err != nil {
		return err
	}
	if err := l.sayCreated(id, p); err != nil || l.JSON {
		return err
	}
	l.out.noteOf(sayf("only %s opens this vault", l.opensWith(p.Key)).
		hint("keep the owner key on paper, too: ass key show --paper; or add a second key: ass key add"))
	if l.shows {
		l.out.note("this is the owner key; keep it on paper")
		l.out.line("%s", id.Text())
	}
	return nil
}

// sealWay seals an owner key to a recipient. If there is an identity, it checks that the identity opens the file, so
// that a key that cannot is found before anything depends on it.
func (a *app) sealWay(id *vault.Identity, name, identity, recipient string) (way vault.Way, err error) {
	way = vault.Way{Name: name, Recipient: recipient}
	if way.Sealed, err = a.sealTo(recipient, id.Text()); err != nil || identity == "" {
		return way, err
	}
	plain, err := a.openWith(identity, way.Sealed)
	if errors.Is(err, device.ErrNotFor) || errors.Is(err, vault.ErrDamaged) || err == nil && string(plain) != id.Text() {
		err = failf("%s does not open what was sealed to it, so nothing was changed", a.opensWith(wayPrefix+identity))
	}
	return way, err
}

// wayName returns the name of a further key: the given one, or what kind of key it is.
func wayName(given, text string) string {
	if given != "" {
		return given
	}
	if name := device.PluginOf(text); name != "" {
		return name
	}
	return strings.ToLower(wayKind(text))
}

// mayPin returns an error if profiles of this machine know another vault in that place, and the person does not know
// the id of this one: anybody can make a vault for the recipient of the key.
func (l *login) mayPin(p *profile) error {
	cfg, err := l.loadConfig()
	if err != nil {
		return err
	}
	known, in := "", ""
	for _, name := range slices.Sorted(maps.Keys(cfg.Profiles)) {
		other := cfg.Profiles[name]
		if other.Credential != ownerCredential || other.APIURL != p.APIURL || other.Vault == "" {
			continue
		}
		if other.Vault == p.Vault || other.NextVault == p.Vault {
			return nil
		}
		known, in = other.Vault, name
	}
	switch {
	case known == "":
		return nil
	case !l.interactive():
		return errorf(vault.ErrWrongKey, "the vault at %s has the id %s, and profile %s knows the vault %s there", l.tilde(l.at.path), p.Vault, in, known).
			hint("if you know this id: ass logout --profile %s; then log in again", shellWord(in))
	}
	return l.confirm(false, "The vault has the id "+p.Vault+", and profile "+in+" knows the vault "+known+" there. Do you know this id?")
}

// keepWay tries on the vault what an identity has opened, and stores the identity in the profile.
func (l *login) keepWay(identity string, w byWay) (*profile, error) {
	vid, err := l.try(openKey{owner: w.id, only: w.vault})
	if err != nil {
		return nil, err
	}
	p := l.newProfile(ownerCredential, wayPrefix+identity, true)
	p.Vault = vid
	if err := l.mayPin(p); err != nil {
		return nil, err
	}
	var before *profile
	err = l.updateConfig(func(c *config) error {
		if before = c.Profiles[l.Profile]; before != nil && before.onlyCopy() && before.Key != p.Key {
			if _, err := l.rescue(c, l.Profile); err != nil {
				return err
			}
		}
		c.Profiles[l.Profile] = p
		return nil
	})
	if err != nil {
		return nil, err
	}
	l.forgetKeyring(before)
	l.changed("profile %s (%s) opens the vault with %s", l.Profile, l.configName(), l.opensWith(p.Key))
	return p, nil
}
