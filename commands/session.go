package commands

import (
	"errors"
	"path/filepath"
	"syscall"
	"time"

	"ass/tokens"
	"ass/vault"
	"ass/vault/disk"
)

// How a command opens the vault: it finds the file and the credential, asks for a
// passphrase if the credential has one, and only then opens, acts and closes. It holds
// the lock only while it acts.

// lockOptions returns the options with which this program waits for a lock.
func (a *app) lockOptions() disk.LockOptions {
	return disk.LockOptions{
		Now:     a.now,
		Timeout: orNotAtAll(a.LockTimeout),
		Command: "ass " + a.command,
		Waiting: func(holder string) {
			if a.out.errTTY {
				a.out.note("waiting for %s", orElse(holder, "another process"))
			}
		},
	}
}

// options returns the options with which this program opens a vault.
func (a *app) options() vault.Options {
	lock := a.lockOptions()
	o := vault.Options{
		Now:         lock.Now,
		LockTimeout: lock.Timeout,
		Command:     lock.Command,
		Waiting:     lock.Waiting,
		Reason:      a.reason,
		Addresses:   addresses,
		Throwaway:   a.throwaway,
		IDs:         a.ids,
	}
	if dir, err := a.stateDir(); err == nil {
		o.MemoryDir = filepath.Join(dir, "seen")
	}
	o.Unlogged = a.unlogged
	o.Unfinished = a.unfinished()
	return o
}

// orNotAtAll returns d or, if d is not positive, the value that means "do not wait" to
// package vault.
func orNotAtAll(d time.Duration) time.Duration {
	if d <= 0 {
		return -1
	}
	return d
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// setup is what a command finds before it opens anything.
type setup struct {
	cfg  *config
	at   place
	cred credential
}

func (a *app) find() (h setup, err error) {
	if h.cfg, h.at, err = a.findPlace(); err != nil {
		return h, err
	}
	h.cred, err = a.findCredential(h.cfg)
	return h, err
}

// findPlace is find for a command that brings its own credential.
func (a *app) findPlace() (cfg *config, at place, err error) {
	if cfg, err = a.loadConfig(); err == nil {
		at, err = a.locate(cfg)
	}
	return cfg, at, err
}

func noProfile(name string, cfg *config) error {
	return errorf(errNotLoggedIn, "no profile %q", name).
		hint("the profiles are: %s; to create it: ass login --profile %s", cfg.names(), name)
}

func noOwnerKey() error {
	return errorf(errNotLoggedIn, "there is no stored owner key").hint("make a vault, or store its key, with: ass login")
}

const defaultProfile = "default"

// ready returns an error that says what is missing for opening the vault; nil if
// nothing is.
func (a *app) ready(h setup) error {
	switch exists := h.at.exists(); {
	case h.cred.kind == "" && a.Profile != defaultProfile && len(h.cfg.Profiles) > 0:
		return noProfile(a.Profile, h.cfg)
	case !exists && h.cred.kind == ownerCredential && h.cfg.Profiles[a.Profile].Vault == "":
		return errorf(vault.ErrNoVault, "no vault at %s yet: a login was interrupted before it created the vault",
			h.at.path).
			hint("finish it with: ass login")
	case !exists && h.cred.kind == "":
		return errorf(vault.ErrNoVault, "no vault at %s", h.at.path).
			hint("create one with: ass login")
	case !exists:
		return errorf(vault.ErrNoVault, "no vault at %s, though there is a credential for one (%s)", h.at.path,
			h.cred.from).
			hint("is a disk not mounted, or ASS_API_URL not set? To create a new vault elsewhere: ass login " +
				"--profile NAME --api-url /path/to/vault.db")
	case h.cred.kind == "":
		return errorf(errNotLoggedIn, "profile %s has no credential for the vault at %s", a.Profile, h.at.path).
			hint("run: %s", a.loginAgain(h.cfg))
	}
	return nil
}

// access is how a command opens the vault.
type access struct {
	readOnly bool   // it reads out no secret and changes nothing
	owner    string // what only the owner can do, such as "revoke agents"; "" if others may, too
	itself   bool   // use the stored credential, not the token that ass unlock left
	noAsking bool   // make no request for approval: the owner asks nobody
	create   bool   // make a vault for a person who has nothing yet
	asItIs   bool   // do not upgrade a vault of an older format first
	progress string // name of the long operation; "" for a rewrite
}

// fault adds advice to a system error about the vault's files.
func (how access) fault(err error) error {
	if how.readOnly {
		return err
	}
	return vaultFault(err)
}

// nothingYet reports whether this person has no vault at all. They have no credential,
// or only that of a vault which another run is about to make, or was when it died.
func (h setup) nothingYet(profile string) bool {
	if p := h.cfg.Profiles[profile]; p != nil && p.Vault == "" && p.Credential == ownerCredential && !asks(p.Key) {
		return h.cred.kind == ownerCredential && len(h.cfg.Profiles) == 1
	}
	return h.cred.kind == "" && len(h.cfg.Profiles) == 0
}

// withSession opens the vault with the credential at hand, and calls fn.
func (a *app) withSession(how access, fn func(*vault.Session) error) error {
	h, err := a.find()
	if err != nil {
		return err
	}
	if how.create && !h.at.exists() && h.nothingYet(a.Profile) {
		if err := a.createOnTheWay(h); err != nil {
			return err
		}
		if h, err = a.find(); err != nil {
			return err
		}
	}
	if err := a.ready(h); err != nil {
		return err
	}
	if how.owner != "" && h.cred.kind != ownerCredential {
		return errorf(vault.ErrDenied, "only the owner can %s, and %s holds %s", how.owner, h.cred.from,
			withArticle(kindName(h.cred.kind))).
			hint("run it with the owner's key")
	}
	kind := h.cred.kind // whose terminal this is, also where the token of ass unlock does the work
	if how.owner == "" && !how.itself && !a.unlogged {
		h.cred = a.unlocked(h)
	}
	a.unlockHelps = how.owner == "" && !how.itself
	a.keyringEntry = ""
	if p := h.cfg.Profiles[a.Profile]; p != nil && how.owner == "" && (!how.itself || how.readOnly) {
		a.keyringEntry = p.Keyring
	}
	key, err := a.readKey(h.cred)
	if err != nil {
		return err
	}
	how.noAsking = h.cred.from == fromUnlock
	id := ""
	err = a.inVault(h.at, how, func(v *vault.Vault) error {
		id = v.ID()
		s, err := key.open(v)
		if err != nil {
			return h.cred.named(err)
		}
		if h.cred.kind == ownerCredential && v.CanUpgrade() && v.Rollback() == nil && !how.readOnly && !how.asItIs && !a.unlogged {
			a.upgradeFirst(s)
		}
		err = fn(s)
		a.countWaiting(kind, v)
		return err
	})
	switch fromUnlock := h.cred.from == fromUnlock; {
	case errors.Is(err, vault.ErrWrongKey) && h.cred.kind == ownerCredential && a.takeNextKey(h):
		return a.withSession(how, fn)
	case err == nil && h.cred.kind == ownerCredential:
		if err = a.noteVault(h, id); errors.Is(err, syscall.EBUSY) {
			err = nil // the act is done, and a config that is mounted on its own stays as it is
		}
	case fromUnlock && (errors.Is(err, vault.ErrWrongKey) || errors.Is(err, vault.ErrLapsed)):
		if a.forgetUnlock() { // the token has ended: use the owner's key
			return a.withSession(how, fn)
		}
	case fromUnlock && errors.Is(err, vault.ErrAbove):
		return a.aboveUnlock(h, how, err, fn)
	}
	return err
}

// aboveUnlock does with the owner's key what the token of ass unlock does not reach.
func (a *app) aboveUnlock(h setup, how access, above error, fn func(*vault.Session) error) error {
	p := h.cfg.Profiles[a.Profile]
	byWay := p != nil && isWay(p.Key) // such a key says itself what it lacks
	if !byWay && !a.canGetPassphrase() {
		way := "unlock that tier, in a terminal, with: ass unlock --tier sensitive; or pass"
		if e := new(vault.AboveError); errors.As(above, &e) && (e.Tier == tokens.Critical || e.Action != vault.RequestRead) {
			way = "pass" // no unlock reaches that
		}
		return errorf(vault.ErrPassphrase, "%v, and ass unlock left only a token", above).
			hint("%s the passphrase with --passphrase-fd or --passphrase-file", way)
	}
	if !a.givesPassphrase() {
		a.out.note("%v", above)
	}
	how.itself = true
	return a.withSession(how, fn)
}

// takeNextKey makes the key that a rekey stored the key of the profile, if it opens the
// vault. Then the rekey died after it changed the vault, and before it updated the
// profile.
func (a *app) takeNextKey(h setup) bool {
	p := h.cfg.Profiles[a.Profile]
	if p == nil || p.NextKey == "" {
		return false
	}
	id, err := a.readNextKey(p.NextKey)
	if err != nil {
		return false
	}
	vid, err := (&login{app: a, at: h.at}).try(openKey{owner: id})
	if err != nil {
		return false
	}
	err = a.updateProfile(p, func(p *profile) { p.Key, p.NextKey, p.Vault, p.Kept = p.NextKey, "", vid, false })
	if err == nil {
		a.asked = &askedKey{credential{ownerCredential, p.Key, h.cred.from}, openKey{owner: id}}
		a.out.note("a rekey was interrupted after it gave the vault a new owner key, which is in %s: keep a copy on paper. "+
			"Give the agents new keys with: ass agents rotate-key", a.tilde(h.cfg.path))
	}
	return err == nil
}

// inVault opens the vault, calls fn and closes the vault. Then it prints what fn
// printed.
func (a *app) inVault(at place, how access, fn func(*vault.Vault) error) error {
	v, err := a.openVault(at, how)
	if err != nil {
		return err
	}
	a.out.hold()
	err = fn(v)
	if v.ReserveUsed() {
		a.out.warn("the disk is full, so ass gave up the 1 MiB that it keeps beside the vault for this: secrets can be read for a "+
			"while; make room on the disk of %s before you store anything", a.tilde(at.path))
	}
	if n, file := v.Unlogged(); n > 0 {
		a.out.note("%s read without a log entry; this machine keeps a note of that in %s", pluralOf(n, "value was", "values were"),
			a.tilde(file))
	}
	if names := v.OtherNames(); names != nil && !errors.As(err, new(*vault.NamesError)) {
		a.out.warnOf(names)
	}
	_ = v.Close() // the changes are already synced; closing cannot undo them
	a.out.release()
	return how.fault(err)
}

// noteVault stores the id of the vault that a profile's owner key has opened, if the
// run that made the vault died before it did so.
func (a *app) noteVault(h setup, id string) error {
	p := h.cfg.Profiles[a.Profile]
	if p == nil || p.Vault != "" {
		return nil
	}
	return a.updateProfile(p, func(p *profile) { p.Vault = id })
}

// look opens the vault for commands that need no key. It does not ask for the owner's
// key, which may have a passphrase. Every other credential must open the vault.
//
// If the credential is the owner's, fn gets a nil session. Otherwise it gets the
// session of the credential.
func (a *app) look(fn func(*vault.Vault, *vault.Session) error) error {
	h, err := a.find()
	if err != nil {
		return err
	}
	if err := a.ready(h); err != nil {
		return err
	}
	return a.inVault(h.at, access{readOnly: true}, func(v *vault.Vault) error {
		if h.cred.kind == ownerCredential {
			a.countWaiting(h.cred.kind, v)
			return fn(v, nil)
		}
		key, err := a.readKey(h.cred)
		if err != nil {
			return err
		}
		s, err := key.open(v)
		if err != nil {
			return h.cred.named(err)
		}
		if err := s.Usable(); err != nil {
			return err
		}
		return fn(v, s)
	})
}

// openVault opens the vault. It warns if others can access its files, or if the vault
// is older than this machine remembers.
func (a *app) openVault(at place, how access) (*vault.Vault, error) {
	o := a.options()
	o.ReadOnly, o.NoRequests = how.readOnly, how.noAsking
	step, end := a.out.progress(orElse(how.progress, "re-encrypting"), a.now)
	o.Progress = func(done, total int) {
		a.manyRecords()
		if step(done, total); done == total {
			end()
		}
	}
	v, err := vault.Open(at.path, o)
	if err != nil {
		if mounted, _ := disk.IsMounted(at.path); mounted && disk.IsReadOnly(err) {
			return nil, withHint(err, "the lock of the vault lies beside it, so %s", mountTheFolder)
		}
		return nil, how.fault(err)
	}
	for _, w := range a.exposed(at) {
		a.out.warn("%s", w)
	}
	if err := v.MemoryError(); err != nil {
		a.out.warnOf(sayf("%v, so an older copy of the vault would go unnoticed", err).
			hint("compare the newest entry with what you know: ass audit --limit 1"))
	}
	switch back := v.Rollback(); {
	case back == nil:
	case a.unlogged: // a backup is older, and cannot be accepted
		a.out.warn("%s", back)
	default:
		a.out.warn("%s", rollbackWithWayOut(back))
	}
	return v, nil
}
