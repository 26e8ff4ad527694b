package commands

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ass/tokens"
	"ass/vault"
	"ass/vault/disk"
)

// How a command opens the vault: it finds the file and the credential, asks for a
// passphrase if the credential has one, and only then opens, acts and closes. It holds
// the lock only while it acts.

// place is where the vault is, and how ass found it.
type place struct {
	path   string
	looked []looked
}

// looked is one source that may say where the vault is.
type looked struct {
	where string // "--api-url", "profile default"
	says  string // what it says, "" for nothing
}

// locate finds the vault. It looks at the flag, the environment, the profile and the
// default, in this order.
func (a *app) locate(cfg *config) (place, error) {
	var p place
	env := a.getenv("ASS_API_URL")
	flag := a.APIURL
	if flag == env { // kong passes the variable on as the flag
		flag = ""
	}
	stored := ""
	if prof := cfg.Profiles[a.Profile]; prof != nil {
		stored = prof.APIURL
	}
	p.looked = []looked{{"--api-url", flag}, {"ASS_API_URL", env}, {"profile " + a.Profile, stored}}
	for _, l := range p.looked {
		if l.says == "" {
			continue
		}
		path, err := a.vaultPath(l.says)
		p.path = path
		return p, err
	}
	var err error
	if p.path, err = a.defaultVault(); err != nil {
		return p, err
	}
	p.looked = append(p.looked, looked{"the default place", p.path})
	return p, nil
}

func (p place) exists() bool {
	_, err := os.Lstat(p.path)
	return !errors.Is(err, fs.ErrNotExist)
}

// defaultVault returns the path of the vault if nothing else names one.
func (w *world) defaultVault() (string, error) {
	dir, err := w.dataDir()
	return filepath.Join(dir, "vault.db"), err
}

// credential is what a command acts with.
type credential struct {
	kind string // ownerCredential, agentCredential, tokenCredential; "" for none
	text string // as it is stored or given
	from string // where it was found, for people
}

// keyVariables can hold an agent key or a token. The first one that is set wins, as in
// the hosted CLI.
var keyVariables = []string{"ASS_API_KEY", "ASS_AGENT_KEY"}

// keyFromEnvironment returns the key in the environment, and the variable that holds
// it; "" for none. If two variables differ, it warns and names the one that counts.
func (a *app) keyFromEnvironment() (key, from string) {
	for _, name := range keyVariables {
		switch text := strings.TrimSpace(a.getenv(name)); {
		case text == "", text == key:
		case from == "":
			key, from = text, name
		default:
			a.out.warn("%s and %s hold different keys; %s is used", from, name, from)
		}
	}
	return key, from
}

// findCredential returns the key in the environment, else the credential of the
// profile.
func (a *app) findCredential(cfg *config) (credential, error) {
	if key, from := a.keyFromEnvironment(); key != "" {
		kind, err := credentialKind(key)
		if err == nil && kind == ownerCredential {
			err = usagef("%s holds an owner key, which is not for programs; store it with: ass login --key -", from)
		}
		if err != nil {
			return credential{}, err
		}
		return credential{kind, key, from}, nil
	}
	if p := cfg.Profiles[a.Profile]; p != nil {
		return credential{p.Credential, p.Key, "profile " + a.Profile + ", " + a.tilde(cfg.path)}, nil
	}
	return credential{}, nil
}

// credentialKind recognizes the kind of a credential by its form.
func credentialKind(text string) (string, error) {
	switch {
	case vault.IsLocked(text):
		return ownerCredential, nil
	case vault.LooksLikeIdentity(text):
		return ownerCredential, nil
	case tokens.LooksLikeAgentKey(text):
		return agentCredential, nil
	case tokens.LooksLikeToken(text):
		return tokenCredential, nil
	}
	return "", usagef("this is not a credential: an owner key begins with AGE-SECRET-KEY-, an agent key with ass_, a " +
		"token with ey")
}

// withoutComments removes the comments from the content of an identity file, as
// age-keygen writes it, or of a recovery file.
func withoutComments(text string) string {
	lines := slices.DeleteFunc(splitLines(text), func(line string) bool { return strings.HasPrefix(line, "#") })
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

func splitLines(text string) []string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return lines
}

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
	}
	if dir, err := a.stateDir(); err == nil {
		o.MemoryDir = filepath.Join(dir, "seen")
	}
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
	if h.cfg, err = a.loadConfig(); err != nil {
		return h, err
	}
	if h.at, err = a.locate(h.cfg); err != nil {
		return h, err
	}
	h.cred, err = a.findCredential(h.cfg)
	return h, err
}

func noProfile(name string, cfg *config) error {
	return errorf(errNotLoggedIn, "no profile %q; the profiles are: %s; to create it: ass login --profile %s", name,
		cfg.names(), name)
}

const defaultProfile = "default"

// ready returns an error that says what is missing for opening the vault; nil if
// nothing is.
func (a *app) ready(h setup) error {
	switch exists := h.at.exists(); {
	case h.cred.kind == "" && a.Profile != defaultProfile && len(h.cfg.Profiles) > 0:
		return noProfile(a.Profile, h.cfg)
	case !exists && h.cred.kind == ownerCredential && h.cfg.Profiles[a.Profile].Vault == "":
		return errorf(vault.ErrNoVault, "no vault at %s yet: a login was interrupted before it created the vault; finish it "+
			"with: ass login", h.at.path)
	case !exists && h.cred.kind == "":
		return errorf(vault.ErrNoVault, "no vault at %s; create one with: ass login", h.at.path)
	case !exists:
		return errorf(vault.ErrNoVault, "no vault at %s, though there is a credential for one (%s); is a disk not mounted, "+
			"or ASS_API_URL not set? To create a new vault elsewhere: ass login --profile NAME --api-url /path/to/vault.db",
			h.at.path, h.cred.from)
	case h.cred.kind == "":
		return errorf(errNotLoggedIn, "profile %s has no credential for the vault at %s; run: ass login", a.Profile,
			h.at.path)
	}
	return nil
}

// access is how a command opens the vault.
type access struct {
	readOnly bool   // it reads out no secret and changes nothing
	owner    string // what only the owner can do, such as "revoke agents"; "" if others may, too
	itself   bool   // use the stored credential, not the token that ass unlock left
	create   bool   // make a vault for a person who has nothing yet
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
	if p := h.cfg.Profiles[profile]; p != nil && p.Vault == "" && p.Credential == ownerCredential && !p.locked() {
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
		return errorf(vault.ErrDenied, "only the owner can %s, and %s holds %s; run it with the owner's key", how.owner,
			h.cred.from, withArticle(kindName(h.cred.kind)))
	}
	if how.owner == "" && !how.itself {
		h.cred = a.unlocked(h)
	}
	key, err := a.readKey(h.cred)
	if err != nil {
		return err
	}
	id := ""
	err = a.inVault(h.at, how, func(v *vault.Vault) error {
		id = v.ID()
		s, err := key.open(v)
		if err != nil {
			return err
		}
		return fn(s)
	})
	switch fromUnlock := h.cred.from == fromUnlock; {
	case errors.Is(err, vault.ErrWrongKey) && h.cred.kind == ownerCredential && a.takeNextKey(h):
		return a.withSession(how, fn)
	case err == nil && h.cred.kind == ownerCredential:
		err = a.noteVault(h, id)
	case fromUnlock && (errors.Is(err, vault.ErrWrongKey) || errors.Is(err, vault.ErrLapsed)):
		if a.forgetUnlock() { // the token has ended: use the owner's key
			return a.withSession(how, fn)
		}
	case fromUnlock && errors.Is(err, vault.ErrApproval):
		a.out.note("this used the token of ass unlock, which needs approval here; the owner does not: run ass lock, and " +
			"try " +
			"again")
	}
	return err
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
			return fn(v, nil)
		}
		key, err := a.readKey(h.cred)
		if err != nil {
			return err
		}
		s, err := key.open(v)
		if err != nil {
			return err
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
	o.ReadOnly = how.readOnly
	step, end := a.out.progress(orElse(how.progress, "re-encrypting"), a.now)
	o.Progress = func(done, total int) {
		a.manyRecords()
		if step(done, total); done == total {
			end()
		}
	}
	v, err := vault.Open(at.path, o)
	if err != nil {
		return nil, how.fault(err)
	}
	for _, w := range a.exposed(at) {
		a.out.warn("%s", w)
	}
	if back := v.Rollback(); back != nil {
		a.out.warn("%s; if that is intended: ass vault accept", back)
	}
	return v, nil
}

// exposed returns a warning for each way in which others can access the vault or the
// stored credentials.
func (w *world) exposed(at place) []string {
	config, err := w.configPath()
	if err != nil {
		return exposures(at.path, filepath.Dir(at.path))
	}
	return exposures(at.path, filepath.Dir(at.path), config, filepath.Dir(config))
}

// openKey is a credential that is ready to open a vault.
type openKey struct {
	owner *vault.Identity
	agent tokens.AgentKey
	token string
}

// readKey parses a credential. If it has a passphrase, readKey asks for it once per
// run.
func (a *app) readKey(c credential) (openKey, error) {
	switch c.kind {
	case ownerCredential:
		if a.asked == nil || a.asked.cred != c {
			id, err := a.readIdentity(c.text)
			if err != nil {
				return openKey{}, err
			}
			a.asked = &askedKey{c, openKey{owner: id}}
		}
		return a.asked.key, nil
	case agentCredential:
		k, err := tokens.ParseAgentKey(c.text)
		return openKey{agent: k}, err
	}
	return openKey{token: c.text}, nil
}

// askedKey is an owner's key that was opened in this run.
type askedKey struct {
	cred credential
	key  openKey
}

// readNextKey opens the key that a rekey stored. It has the same passphrase as the key
// before it.
func (a *app) readNextKey(text string) (*vault.Identity, error) {
	if vault.IsLocked(text) && a.usedPassphrase != "" {
		return vault.UnlockIdentity(text, a.usedPassphrase)
	}
	return a.readIdentity(text)
}

func (a *app) readIdentity(text string) (*vault.Identity, error) {
	if !vault.IsLocked(text) {
		return vault.ParseIdentity(text)
	}
	pass, err := a.passphrase()
	if err != nil {
		return nil, err
	}
	id, err := vault.UnlockIdentity(text, pass)
	if errors.Is(err, vault.ErrPassphrase) {
		return nil, errorf(vault.ErrPassphrase, "this passphrase does not open the owner key; try again")
	}
	a.usedPassphrase = pass
	return id, err
}

// usable opens the vault and returns an error if the credential cannot be used now.
func (k openKey) usable(v *vault.Vault) error {
	s, err := k.open(v)
	if err != nil {
		return err
	}
	return s.Usable()
}

func (k openKey) open(v *vault.Vault) (*vault.Session, error) {
	switch {
	case k.owner != nil:
		return v.Owner(k.owner)
	case k.token != "":
		return v.Token(k.token)
	}
	return v.Agent(k.agent)
}
