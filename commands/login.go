package commands

import (
	"errors"
	"io"
	"slices"
	"strings"

	"ass/vault"
)

type loginCmd struct {
	Key string `help:"Credential to store: an owner key, an agent key or a token; - reads it from stdin." placeholder:"KEY" env:"-"`
}

func (c loginCmd) Help() string {
	return `Without a vault, makes one: a new owner key is shown once, and stored in the
profile. With --key AGE-SECRET-KEY-…, the new vault belongs to that key instead.

With a vault, stores a credential for it, after trying that it opens it.`
}

func (c loginCmd) Run(a *app) error {
	cfg, err := loadConfig()
	if err != nil {
		return err
	}
	at, err := a.locate(cfg)
	if err != nil {
		return err
	}
	l := login{app: a, cfg: cfg, at: at, old: cfg.Profiles[a.Profile]}
	if c.Key == "-" {
		b, err := io.ReadAll(io.LimitReader(a.in, 64<<10))
		if err != nil {
			return err
		}
		c.Key = string(b)
	}
	c.Key = withoutComments(c.Key)
	switch {
	case !at.exists():
		return l.create(c.Key)
	case c.Key == "" && l.old != nil && l.old.Credential == ownerCredential:
		return l.finish()
	case c.Key == "" && !a.interactive():
		return usagef("there is a vault at %s already; give a credential for it with --key", at.path)
	case c.Key == "":
		if c.Key, err = a.askHidden("Owner key, agent key or token for " + at.path + ": "); err != nil {
			return err
		}
	}
	return l.store(withoutComments(c.Key))
}

// login is one run of the command.
type login struct {
	*app
	cfg *config
	at  place
	old *profile // what the profile has now; nil for nothing
}

// create makes a vault, for a new key or for one that was brought.
func (l *login) create(key string) error {
	if l.old != nil && l.old.Credential == ownerCredential {
		return errorf(vault.ErrNoVault, "profile %s has the owner key of a vault that is not at %s; is a disk not mounted? To make a new vault beside it: ass login --profile NAME", l.Profile, l.at.path)
	}
	var (
		id  *vault.Identity
		err error
	)
	if key == "" {
		id, err = vault.NewIdentity()
	} else {
		if kind, err := credentialKind(key); err != nil {
			return err
		} else if kind != ownerCredential {
			return errorf(vault.ErrNoVault, "no vault at %s that this %s could open", l.at.path, kind)
		}
		id, err = vault.ParseIdentity(key)
	}
	if err != nil {
		return err
	}
	stored, err := l.protect(id)
	if err != nil {
		return err
	}
	brought := key != ""
	p := l.newProfile(ownerCredential, stored, brought)
	v, err := l.createVault(id, p)
	if err != nil {
		return err
	}
	if l.JSON {
		out := l.summary(p)
		out["created"] = true
		if !brought {
			out["owner_key"] = id.Text()
		}
		return l.out.json(out)
	}
	l.out.note("vault created at %s (id %s)", tilde(l.at.path), v)
	l.out.note("logged in as its owner: profile %s, %s", l.Profile, tilde(l.cfg.path))
	if brought {
		return nil
	}
	return l.showKey(id, p)
}

// createVault stores the credential first and makes the vault then, so that no
// vault is ever there without its key; if it cannot be made, the credential goes
// again. It returns the vault's id.
func (l *login) createVault(id *vault.Identity, p *profile) (string, error) {
	l.cfg.Profiles[l.Profile] = p
	if err := l.cfg.save(); err != nil {
		return "", err
	}
	if err := vault.Create(l.at.path, id, l.options()); err != nil {
		if l.old == nil {
			delete(l.cfg.Profiles, l.Profile)
		} else {
			l.cfg.Profiles[l.Profile] = l.old
		}
		return "", errors.Join(err, l.cfg.save())
	}
	v, err := vault.Open(l.at.path, l.options())
	if err != nil {
		return "", err
	}
	p.Vault = v.ID()
	return p.Vault, errors.Join(v.Close(), l.cfg.save())
}

func (l *login) newProfile(kind, key string, kept bool) *profile {
	p := &profile{Credential: kind, Key: key, Kept: kept}
	if !l.at.isDefault() {
		p.APIURL = fileURL(l.at.path)
	}
	return p
}

// protect returns the form in which an owner key is stored: encrypted, if the
// person gives a passphrase.
func (l *login) protect(id *vault.Identity) (string, error) {
	pass := ""
	if l.interactive() || l.PassphraseFD >= 0 {
		var err error
		if l.PassphraseFD >= 0 {
			pass, err = l.passphrase()
		} else {
			pass, err = l.newPassphrase()
		}
		if err != nil {
			return "", err
		}
		if pass == "" {
			l.out.note("no passphrase: every program that runs as you can read every secret, and act as the owner")
		}
	}
	if pass == "" {
		return id.Text(), nil
	}
	return id.Lock(pass, 0)
}

// showKey prints a new owner key, and asks whether it was kept.
func (l *login) showKey(id *vault.Identity, p *profile) error {
	l.out.note("this is the owner key, shown once; keep it on paper: without it, nobody can open the vault")
	l.out.line("%s", id.Text())
	if !l.interactive() {
		l.out.note("until you confirm that you kept it (ass login, on a terminal), ass logout keeps a copy")
		return nil
	}
	return l.confirmKept(id, p)
}

// confirmKept asks for the last six characters of the key: whoever can type them
// has it somewhere.
func (l *login) confirmKept(id *vault.Identity, p *profile) error {
	const tail = 6
	for range 3 {
		answer, err := l.ask("Its last six characters, when you have it (empty for later): ")
		if err != nil {
			return err
		}
		answer = strings.ToUpper(strings.TrimSpace(answer))
		if answer == "" {
			break
		}
		if text := id.Text(); answer == text[len(text)-tail:] {
			p.Kept = true
			l.out.note("confirmed")
			return l.cfg.save()
		}
		l.out.note("those are not its last six characters")
	}
	l.out.note("not confirmed: ass logout will keep a copy, and ass login asks again")
	return nil
}

// finish does what is left to do for an owner who is logged in: the key was not
// confirmed, or it has no passphrase.
func (l *login) finish() error {
	p := l.old
	if !l.JSON {
		l.out.note("logged in as the owner of the vault at %s: profile %s, %s", tilde(l.at.path), l.Profile, tilde(l.cfg.path))
	}
	if l.interactive() && !(p.Kept && p.locked()) {
		id, err := l.readIdentity(p.Key)
		if err != nil {
			return err
		}
		if !p.Kept {
			if err := l.showKey(id, p); err != nil {
				return err
			}
		}
		if !p.locked() {
			if p.Key, err = l.protect(id); err != nil {
				return err
			}
			if err := l.cfg.save(); err != nil {
				return err
			}
		}
	}
	if l.JSON {
		return l.out.json(l.summary(p))
	}
	return nil
}

// store keeps a credential for a vault that is there, after trying it.
func (l *login) store(key string) error {
	kind, err := credentialKind(key)
	if err != nil {
		return err
	}
	opened, err := l.readKey(credential{kind: kind, text: key})
	if err != nil {
		return err
	}
	id, err := l.try(opened)
	if err != nil {
		return err
	}
	if opened.owner != nil && !vault.IsLocked(key) {
		if key, err = l.protect(opened.owner); err != nil {
			return err
		}
	}
	p := l.newProfile(kind, key, true)
	p.Vault = id
	if l.old != nil && l.old.onlyCopy() {
		if _, err := l.rescue(l.cfg, l.Profile); err != nil {
			return err
		}
	}
	l.cfg.Profiles[l.Profile] = p
	if err := l.cfg.save(); err != nil {
		return err
	}
	if l.JSON {
		return l.out.json(l.summary(p))
	}
	l.out.done("Stored the %s for %s in profile %s (%s)", kindName(kind), tilde(l.at.path), l.Profile, tilde(l.cfg.path))
	return nil
}

func kindName(kind string) string {
	if kind == tokenCredential {
		return "token"
	}
	return kind + " key"
}

// try opens the vault with a credential, and returns the vault's id.
func (l *login) try(key openKey) (string, error) {
	v, err := l.openVault(l.at, access{readOnly: true})
	if err != nil {
		return "", err
	}
	_, err = key.open(v)
	return v.ID(), errors.Join(err, v.Close())
}

func (l *login) summary(p *profile) map[string]any {
	return map[string]any{
		"profile": l.Profile, "credential": p.Credential, "config": l.cfg.path,
		"vault": l.at.path, "vault_id": p.Vault, "passphrase": p.locked(), "key_kept": p.Kept,
	}
}

// rescue moves the owner key of a profile, which may exist nowhere else, into a
// recovery file, and says where it is.
func (a *app) rescue(cfg *config, name string) (path string, err error) {
	if path, err = cfg.rescue(name, cfg.Profiles[name]); err == nil {
		a.out.note("the owner key of profile %s was never confirmed as kept; it is now in %s", name, path)
	}
	return path, err
}

// createOnTheWay makes a vault for a person who has nothing yet.
func (a *app) createOnTheWay(h here) error {
	l := login{app: a, cfg: h.cfg, at: h.at}
	id, err := vault.NewIdentity()
	if err != nil {
		return err
	}
	if _, err := l.createVault(id, l.newProfile(ownerCredential, id.Text(), false)); err != nil {
		return err
	}
	a.out.note("made a new vault at %s; its owner key is in %s: keep a copy on paper, and set a passphrase, with: ass login", tilde(h.at.path), tilde(h.cfg.path))
	return nil
}

type logoutCmd struct {
	All   bool `help:"Log out of all profiles." env:"-"`
	Force bool `help:"Keep no copy of an owner key that was never confirmed as kept." env:"-"`
}

func (c logoutCmd) Help() string {
	return `An owner key may exist nowhere else. Unless you confirmed at ass login that you
kept it, it is moved to a recovery file, whose name is printed; --force destroys it.`
}

func (c logoutCmd) Run(a *app) error {
	cfg, err := loadConfig()
	if err != nil {
		return err
	}
	names := []string{a.Profile}
	if c.All {
		names = nil
		for name := range cfg.Profiles {
			names = append(names, name)
		}
		slices.Sort(names)
	} else if cfg.Profiles[a.Profile] == nil && len(cfg.Profiles) > 0 {
		return errorf(errNotLoggedIn, "there is no profile of that name; there are: %s", cfg.names())
	}
	recovered := []string{}
	for _, name := range names {
		p := cfg.Profiles[name]
		if p == nil {
			continue
		}
		if p.onlyCopy() && !c.Force {
			path, err := a.rescue(cfg, name)
			if err != nil {
				return err
			}
			recovered = append(recovered, path)
		}
		delete(cfg.Profiles, name)
	}
	if err := cfg.save(); err != nil {
		return err
	}
	if a.JSON {
		return a.out.json(map[string]any{"config": cfg.path, "profiles": names, "recovery_files": recovered})
	}
	a.out.done("Logged out. Config cleared from %s", tilde(cfg.path))
	return nil
}

type whoamiCmd struct{}

func (whoamiCmd) Run(a *app) error {
	h, err := a.find()
	if err != nil {
		return err
	}
	return a.look(func(v *vault.Vault) error {
		info, err := v.Info()
		if err != nil {
			return err
		}
		if h.cred.kind != ownerCredential { // the owner's may cost a passphrase, and this needs no key
			key, err := a.readKey(h.cred)
			if err == nil {
				_, err = key.open(v)
			}
			if err != nil {
				return err
			}
		}
		id := h.cred.kind
		if a.JSON {
			return a.out.json(map[string]any{
				"id": id, "email": nil, "name": id, "plan": "offline", "secret_count": info.Secrets, "agent_count": info.Agents,
				"credential": h.cred.kind, "credential_source": h.cred.from, "vault": h.at.path, "vault_id": info.ID,
			})
		}
		a.out.line("%s of vault %s", id, info.ID)
		a.out.line("Plan: offline")
		a.out.line("Secrets: %d", info.Secrets)
		a.out.line("Agents: %d", info.Agents)
		a.out.line("Credential: %s (%s)", kindName(h.cred.kind), h.cred.from)
		a.out.line("Vault: %s", tilde(h.at.path))
		return nil
	})
}
