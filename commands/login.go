package commands

import (
	"errors"
	"io"
	"strings"

	"ass/vault"
)

type loginCmd struct {
	Key      string `short:"k" help:"Credential to store: an owner key, an agent key or a token; - reads it from stdin." placeholder:"KEY"`
	KeyFile  string `help:"Read the credential from a file, also one that age -p wrote; - reads stdin." placeholder:"FILE"`
	Identity string `help:"Open the vault with a further key: an identity of an age plugin (a hardware key) or of age-keygen, or an SSH private key." placeholder:"FILE"`
	ShowKey  bool   `help:"Print the owner key, also into a pipe or as JSON."`
}

func (c loginCmd) Help() string {
	return `Without a vault, makes one. On a terminal, it
  1. asks for a passphrase (empty for none), and stores a new owner key in the
     profile, encrypted with it;
  2. shows the key, to be kept on paper: without it, nobody can open the vault;
  3. asks for the last six characters of the key: proof that you have it.
In a pipe, the passphrase is that of --passphrase-fd or --passphrase-file, if given, and
the key is printed with --show-key alone. Until the six characters were typed, a logout
keeps the key in a recovery file. With an owner key of yours, the new vault belongs to
that key instead.

With a vault, stores a credential for it, after trying that it opens it: the owner key,
an agent key or a token. An owner key may be a sheet of ass key show --paper, typed line
by line. If nothing is given, and the owner key is stored already, it does what was left
undone: step 3, or a passphrase. ass passphrase changes one.

With --identity, the profile opens the vault with that key, and stores no owner key. It must
be a key that ass key add added; a new vault starts with it.`
}

func (c loginCmd) Run(a *app) error {
	cfg, at, err := a.findPlace()
	if err != nil {
		return err
	}
	l := login{app: a, at: at, old: cfg.Profiles[a.Profile], shows: c.ShowKey}
	if c.Identity != "" {
		return c.byIdentity(&l, cfg)
	}
	key, err := c.read(a)
	if err != nil {
		return err
	}
	if strings.HasPrefix(key, recoveryMark) {
		l.recovered = true
	}
	if key, err = credentialText([]byte(key)); err != nil {
		return err
	}
	if !at.exists() {
		return l.create(cfg, key)
	}
	id, err := l.vaultID()
	if err != nil {
		return err
	}
	switch {
	case key == "" && l.old != nil && l.old.Credential == ownerCredential && (l.old.Vault == id || l.old.Vault == ""):
		return l.finish()
	case key == "" && !a.interactive():
		way := "pass a credential for it with --key, --key-file or --identity"
		if files := a.recoveryFiles(cfg); len(files) > 0 {
			way = "log in with the owner key that a logout kept: " + a.loginAgain(cfg)
		}
		return usagef("a vault already exists at %s", at.path).hint("%s", way)
	case key == "":
		if files := a.recoveryFiles(cfg); len(files) > 0 {
			a.out.note("a logout kept the owner key in %s; to take that one, press Ctrl-C and run: %s", a.tilde(files[0]), a.loginAgain(cfg))
		}
		if key, err = a.askCredential("Owner key, agent key or token for " + at.path + ": "); err != nil {
			return err
		}
	}
	return l.store(vault.KeyText([]byte(key)))
}

// read returns the given credential, comments included; "" if none was given.
func (c loginCmd) read(a *app) (string, error) {
	switch {
	case c.Key != "" && c.KeyFile != "":
		return "", usagef("give the credential in one way: --key or --key-file")
	case c.KeyFile != "":
		b, err := a.readKeyText(c.KeyFile)
		return string(b), err
	case c.Key == "-":
		b, err := a.readKeyText("-")
		return string(b), err
	case c.Key != "" && a.interactive():
		a.out.warnOf(sayf("the credential is now in the shell's history and was visible to other programs").
			hint("leave --key out, and ass prompts for it"))
	}
	return c.Key, nil
}

// readKeyText reads a file with a key; "-" is stdin.
func (a *app) readKeyText(name string) ([]byte, error) {
	if name != "-" {
		return readSmall(a.at(name), 64<<10)
	}
	if err := a.stdinIsFree(); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(a.in, 64<<10))
}

// login is one run of the command.
type login struct {
	*app
	at        place
	old       *profile // the profile as it is stored now; nil for none
	recovered bool     // the key comes from a recovery file
	shows     bool     // print the owner key, wherever stdout goes
}

// vaultID returns the id of the existing vault. It needs no key.
func (l *login) vaultID() (id string, err error) {
	err = l.inVault(l.at, access{readOnly: true}, func(v *vault.Vault) error {
		id = v.ID()
		return nil
	})
	return id, err
}

// create makes a vault, for a new key or for the given one.
func (l *login) create(cfg *config, key string) error {
	if key == "" && l.old != nil && isWay(l.old.Key) { // a login with an identity was cut off
		identity := strings.TrimPrefix(l.old.Key, wayPrefix)
		recipient, err := l.recipientOf(identity)
		if err != nil {
			return err
		}
		return l.createWithWay(cfg, identity, recipient)
	}
	if err := l.mayCreate(cfg); err != nil {
		return err
	}
	id, stored, err := l.newOwner(key)
	if err != nil {
		return err
	}
	p := l.newProfile(ownerCredential, stored, key != "" && !l.recovered)
	if err := l.createVault(p, vault.NewOwnership(id)); err != nil {
		return err
	}
	if err := l.sayCreated(id, p); err != nil || l.JSON || key != "" && !l.shows {
		return err
	}
	return l.showKey(id, p)
}

// sayCreated says that a vault was made; as JSON, all that there is to say of it.
func (l *login) sayCreated(id *vault.Identity, p *profile) error {
	if l.JSON {
		out := l.summary(p)
		out.Created = true
		if l.shows {
			out.OwnerKey = id.Text()
		}
		return l.out.json(out)
	}
	l.out.note("vault created at %s (id %s)", l.tilde(l.at.path), p.Vault)
	l.out.note("logged in as its owner: profile %s, %s", l.Profile, l.configName())
	return nil
}

// mayCreate returns an error if a stored credential shows that there was a vault at
// this path, or if the profile has the credential of another vault.
func (l *login) mayCreate(cfg *config) error {
	for name, p := range cfg.Profiles {
		if p.Vault == "" {
			continue // its vault was never made
		}
		was := l.defaultPath()
		if p.APIURL != "" {
			was, _ = l.vaultPath(p.APIURL)
		}
		switch {
		case was == l.at.path:
			return errorf(vault.ErrNoVault, "profile %s has a credential for a vault that was at %s", name, l.at.path).
				hint("is a disk not mounted? To create a new vault elsewhere: ass login --profile NAME --api-url "+
					"/path/to/vault.db; to give that one up: ass logout --profile %s", name)
		case name == l.Profile:
			return errorf(vault.ErrNoVault, "profile %s has a credential for another vault, at %s", name, was).
				hint("for a new one at %s, use another profile: ass login --profile NAME", l.at.path)
		}
	}
	return nil
}

// newOwner returns the identity that will own a new vault, and the form in which it is
// stored. It takes the given key, else the key of a login that was cut off before the
// vault was made, else a new one.
func (l *login) newOwner(key string) (id *vault.Identity, stored string, err error) {
	switch {
	case key != "":
		kind, err := credentialKind(key)
		if err != nil {
			return nil, "", err
		}
		if kind != ownerCredential {
			return nil, "", errorf(vault.ErrNoVault, "no vault at %s for this %s to open", l.at.path, kindName(kind))
		}
		id, err = l.readIdentity(key)
		if err != nil || vault.IsLocked(key) {
			return id, key, err
		}
	case l.old != nil && l.old.Credential == ownerCredential:
		id, err = l.readIdentity(l.old.Key)
		return id, l.old.Key, err
	default:
		if id, err = vault.NewIdentity(); err != nil {
			return nil, "", err
		}
	}
	stored, err = l.protect(id)
	return id, stored, err
}

// createVault stores the credential before it makes the vault, so that no vault ever
// exists without its key, and once more afterwards, with the vault's id. If another program has
// made the vault, it returns vault.ErrExists.
func (l *login) createVault(p *profile, own *vault.Ownership) error {
	return l.updateConfig(func(c *config) error {
		if l.at.exists() {
			return errorf(vault.ErrExists, "another process has just created a vault at %s", l.at.path).
				hint("run it again")
		}
		if err := l.mayCreate(c); err != nil {
			return err
		}
		before := c.Profiles[l.Profile]
		if before != nil && before.onlyCopy() && before.Key != p.Key {
			if _, err := l.rescue(c, l.Profile); err != nil {
				return err
			}
		}
		c.Profiles[l.Profile] = p
		if err := c.save(); err != nil {
			return err
		}
		vid, err := vault.CreateFor(l.at.path, own, l.options())
		p.Vault, p.NextVault = vid, ""
		if err == nil {
			l.changed("a vault is at %s, and its owner key in %s", l.tilde(l.at.path), l.configName())
			return nil
		}
		if !l.at.exists() || errors.Is(err, vault.ErrExists) {
			if c.Profiles[l.Profile] = before; before == nil {
				delete(c.Profiles, l.Profile)
			}
		}
		return errors.Join(vaultFault(err), c.save())
	})
}

func (l *login) newProfile(kind, key string, kept bool) *profile {
	p := &profile{Credential: kind, Key: key, Kept: kept}
	if l.at.path != l.defaultPath() {
		p.APIURL = fileURL(l.at.path)
	}
	return p
}

func (l *login) defaultPath() string {
	path, _ := l.defaultVault() // on an error, it equals no vault's path
	return path
}

func (l *login) configName() string {
	path, _ := l.configPath()
	return l.tilde(path)
}

// protect returns the owner key as it is stored: encrypted, if the person gives a
// passphrase.
func (l *login) protect(id *vault.Identity) (string, error) {
	pass, err := "", error(nil)
	switch {
	case l.givesPassphrase():
		pass, err = l.givenPassphrase()
	case l.interactive():
		pass, err = l.newPassphrase("Passphrase for the owner key (empty for none): ")
		if err == nil && pass == "" {
			l.out.note("no passphrase: every program that runs as you can read every secret, and act as the owner")
		}
	case l.old != nil && l.old.locked():
		l.out.warnOf(sayf("the owner key in this profile had a passphrase, and has none now").hint("to set one: ass passphrase"))
	}
	if err != nil || pass == "" {
		return id.Text(), err
	}
	if err := l.roomForPassphrase(""); err != nil {
		return "", err
	}
	l.usedPassphrase = pass
	return l.lock(id, pass)
}

// showKey prints the owner key, and asks whether it was kept. In a pipe,
// the key would end up in a log or in the transcript of an agent, so it prints the key there only if
// told to.
func (l *login) showKey(id *vault.Identity, p *profile) error {
	if !l.shows && !l.out.tty {
		l.out.noteOf(sayf("its owner key is in %s, and without it nobody can open the vault", l.configName()).
			hint("keep a copy on paper: print a sheet with: ass key show --paper"))
		return nil
	}
	l.out.note("this is the owner key; keep it on paper: without it, nobody can open the vault")
	l.out.line("%s", id.Text())
	switch {
	case p.Kept:
		return nil
	case !l.interactive():
		l.out.note("until you confirm that you saved it (ass login, on a terminal), ass logout keeps a copy")
		return nil
	}
	return l.confirmKept(id, p)
}

// confirmKept asks for the last six characters of the key. A person who can type them
// has a copy.
func (l *login) confirmKept(id *vault.Identity, p *profile) error {
	const tail = 6
	for range 3 {
		answer, err := l.ask("Type its last six characters once you have saved it (empty for later): ")
		if err != nil {
			return err
		}
		answer = strings.ToUpper(strings.TrimSpace(answer))
		if answer == "" {
			break
		}
		if text := id.Text(); answer == text[len(text)-tail:] {
			l.out.note("confirmed")
			return l.updateProfile(p, func(p *profile) { p.Kept = true })
		}
		l.out.note("these are not its last six characters")
	}
	l.out.note("not confirmed: ass logout will keep a copy, and ass login asks again")
	return nil
}

// finish does what an earlier login of this owner left undone: it confirms the key,
// sets a passphrase and notes the id of the vault.
func (l *login) finish() error {
	p, asks := l.old, l.interactive() && !l.JSON
	cutOff := p.Vault == "" // the run that made the vault died before it noted the id
	confirm, protect := asks && !p.Kept || l.shows && !l.JSON, (asks || l.givesPassphrase()) && !p.locked() && !isWay(p.Key)
	var key openKey
	if cutOff || confirm || protect || l.shows {
		var err error
		if key, err = l.readKey(credential{kind: ownerCredential, text: p.Key}); err != nil {
			return err
		}
	}
	id := key.owner
	if cutOff {
		vid, err := l.try(key)
		if err != nil {
			return err
		}
		if err := l.updateProfile(p, func(p *profile) { p.Vault = vid }); err != nil {
			return err
		}
	}
	if !l.JSON {
		l.out.note("logged in as the owner of the vault at %s: profile %s, %s", l.tilde(l.at.path), l.Profile, l.configName())
	}
	if confirm {
		if err := l.showKey(id, p); err != nil {
			return err
		}
	}
	if protect {
		stored, err := l.protect(id)
		if err != nil {
			return err
		}
		next := p.NextKey // of a rekey that was cut off: it may be the vault's key
		if next != "" && vault.IsLocked(stored) && !vault.IsLocked(next) {
			nextID, err := vault.ParseIdentity(next)
			if err == nil {
				next, err = l.lock(nextID, l.usedPassphrase)
			}
			if err != nil {
				return err
			}
		}
		if err := l.updateKeys(p, func(p *profile) { p.Key, p.NextKey = stored, next }); err != nil {
			return err
		}
		l.changed("the owner key is stored anew in %s", l.configName())
	}
	if l.JSON {
		out := l.summary(p)
		if l.shows {
			out.OwnerKey = id.Text()
		}
		return l.out.json(out)
	}
	return nil
}

// store keeps a credential for an existing vault, and says so.
func (l *login) store(key string) error {
	p, err := l.keep(key)
	if err != nil {
		return err
	}
	l.changed("the %s is stored in profile %s (%s)", kindName(p.Credential), l.Profile, l.configName())
	return l.answer(l.summary(p), func() {
		l.out.done("Stored the %s for %s in profile %s (%s)", kindName(p.Credential), l.tilde(l.at.path), l.Profile,
			l.configName())
	})
}

// keep tries a credential on an existing vault, and stores it.
func (l *login) keep(key string) (*profile, error) {
	kind, err := credentialKind(key)
	if err != nil {
		return nil, err
	}
	opened, err := l.readKey(credential{kind: kind, text: key})
	if err != nil {
		return nil, err
	}
	id, err := l.try(opened)
	if err != nil {
		return nil, err
	}
	if opened.owner != nil && !vault.IsLocked(key) {
		if key, err = l.protect(opened.owner); err != nil {
			return nil, err
		}
	}
	p := l.newProfile(kind, key, !l.recovered)
	p.Vault = id
	var before *profile
	err = l.updateConfig(func(c *config) error {
		before = c.Profiles[l.Profile]
		if old := before; old != nil && old.onlyCopy() && (opened.owner == nil || old.Vault != id) {
			if _, err := l.rescue(c, l.Profile); err != nil {
				return err
			}
		} else if old != nil && old.Credential == kind { // the same owner: a rekey may be under way
			p.NextKey = old.NextKey
		}
		c.Profiles[l.Profile] = p
		return nil
	})
	if err == nil {
		l.forgetKeyring(before) // the new profile does not know of it
	}
	return p, err
}

func kindName(kind string) string {
	if kind == tokenCredential {
		return "token"
	}
	return kind + " key"
}

// try opens the vault with a credential, and returns the vault's id.
func (l *login) try(key openKey) (id string, err error) {
	err = l.inVault(l.at, access{readOnly: true}, func(v *vault.Vault) error {
		id = v.ID()
		return key.usable(v)
	})
	return id, err
}

func (l *login) summary(p *profile) loginResult {
	path, _ := l.configPath()
	return loginResult{
		Profile: l.Profile, Credential: p.Credential, Config: path,
		Vault: l.at.path, VaultID: p.Vault, Passphrase: p.locked(), KeyKept: p.Kept, OpensWith: l.opensWith(p.Key),
	}
}

// rescue copies the owner key of a profile, which may exist nowhere else, to a recovery
// file, and tells the person where it is.
func (a *app) rescue(cfg *config, name string) (path string, err error) {
	switch path, err = cfg.rescue(name, cfg.Profiles[name]); {
	case err != nil:
	case cfg.Profiles[name].identity() != "":
		a.out.note("the identity of profile %s, of which there may be no other copy, is now in %s", name, path)
	default:
		a.out.note("nobody confirmed that the owner key of profile %s was saved; it is now in %s", name, path)
	}
	return path, err
}

// createOnTheWay makes a vault for a person who has nothing yet. If another program
// made it first, that vault is used.
func (a *app) createOnTheWay(h setup) error {
	l := login{app: a, at: h.at}
	var (
		id  *vault.Identity
		err error
	)
	if p := h.cfg.Profiles[a.Profile]; p != nil { // an earlier run stored a key, but made no vault
		id, err = vault.ParseIdentity(p.Key)
	} else {
		id, err = vault.NewIdentity()
	}
	if err != nil {
		return err
	}
	err = l.createVault(l.newProfile(ownerCredential, id.Text(), false), vault.NewOwnership(id))
	if errors.Is(err, vault.ErrExists) {
		return nil
	}
	if err != nil {
		return err
	}
	a.out.noteOf(sayf("created a new vault at %s; its owner key is in %s", a.tilde(h.at.path), l.configName()).
		hint("keep a copy on paper, and set a passphrase with: ass login"))
	a.change = "" // it has been said
	return nil
}
