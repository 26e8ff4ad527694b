package commands

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ass/commands/internal/process"
	"ass/tokens"
	"ass/vault"
	"ass/vault/disk"
)

// What a command opens the vault with: where it is kept, which kind it is, and the
// passphrase that it may have.

// credential is what a command acts with.
type credential struct {
	kind string // ownerCredential, agentCredential, tokenCredential; "" for none
	text string // as it is stored or given
	from string // where it was found, for people
}

// keyVariables can hold an agent key or a token, or the name of a file with one. The first
// one that is set wins, as in the hosted CLI.
var keyVariables = []string{"ASS_API_KEY", "ASS_AGENT_KEY", keyFileVariable}

// credentialVariables hold a credential, or say where one is. A program that ass starts gets none of them.
var credentialVariables = append(slices.Clone(keyVariables), passphraseFileVariable)

// keyFileVariable names a file, so that a key need pass through no environment.
const keyFileVariable = "ASS_AGENT_KEY_FILE"

// keyFromEnvironment returns the key in the environment, and the variable that holds
// it; "" for none. If two variables hold different keys, it warns and names the one that
// counts.
func (a *app) keyFromEnvironment() (key, from string, err error) {
	for _, name := range keyVariables {
		switch text := strings.TrimSpace(a.getenv(name)); {
		case text == "", text == key:
		case name == keyFileVariable && from == "":
			from = name
			if key, err = a.readKeyFile(keyFileVariable, text); err != nil {
				return "", "", err
			}
		case name == keyFileVariable: // it may hold the same
		case from == "":
			key, from = text, name
		default:
			a.out.warn("%s and %s hold different keys; %s is used", from, name, from)
		}
	}
	return key, from, nil
}

// readKeyFile reads the file of an agent key. source is the variable or the flag that names the file.
func (a *app) readKeyFile(source, name string) (string, error) {
	b, err := a.readPrivate(source, name)
	if err != nil {
		return "", err
	}
	key := vault.KeyText(b)
	if key == "" {
		return "", errorf(errNotLoggedIn, "%s: %s is empty", source, name)
	}
	return key, nil
}

// readPrivate reads a file with a key or a passphrase. It refuses one that others can read or have written. source is
// the variable or the flag that names the file.
func (a *app) readPrivate(source, name string) ([]byte, error) {
	path, err := filepath.EvalSymlinks(a.at(name)) // orchestrators mount secrets behind links
	var b []byte
	var by disk.Access
	if err == nil {
		b, by, err = readWithAccess(path, 64<<10)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(a.at(name)); err == nil { // the link of a pipe leads to no path
			way := "write it to a file"
			if flag, ok := strings.CutSuffix(source, "-file"); ok {
				way = "give its descriptor with " + flag + "-fd"
			}
			return nil, usagef("%s: %s is a pipe, and not a file", source, name).hint("%s", way)
		}
		return nil, errorf(errNotLoggedIn, "%s names %s, and there is no such file", source, name)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", source, err)
	case by.Stranger:
		return nil, usagef("%s: %s belongs to another user, so it is not used", source, name).
			hint("take it over with %s", takeOver)
	case by.Mode.Perm()&0o077 != 0:
		return nil, usagef("%s: others can read or write %s, so it is not used", source, name).
			hint("mend it with: %s", mend("600", name, by))
	}
	return b, nil
}

// findCredential returns the key in the environment, else the credential of the
// profile.
func (a *app) findCredential(cfg *config) (credential, error) {
	key, from, err := a.keyFromEnvironment()
	if err != nil {
		return credential{}, err
	}
	if key != "" {
		kind, err := credentialKind(key)
		if err == nil && kind == ownerCredential {
			return credential{}, usagef("%s holds an owner key, which is not for programs", from).
				hint("store it with: ass login --key -")
		}
		c := credential{kind, key, from}
		return c, c.named(err)
	}
	if p := cfg.Profiles[a.Profile]; p != nil {
		if a.confined && p.Credential == ownerCredential {
			return credential{}, errorf(vault.ErrDenied, "this runs on an agent key or a token, and profile %s has "+
				"the owner key", a.Profile).
				hint("make an agent with: ass agents create --name NAME --scopes SCOPES --write-key FILE; and name "+
					"the file in %s", keyFileVariable)
		}
		return credential{p.Credential, p.Key, "profile " + a.Profile + inUse(cfg, a.Profile) + ", " + a.tilde(cfg.path)}, nil
	}
	return credential{}, nil
}

// named puts the variable that holds a credential in front of an error that is about the
// credential itself.
func (c credential) named(err error) error {
	var syntax *tokens.SyntaxError
	if err == nil || !slices.Contains(keyVariables, c.from) ||
		!errors.Is(err, errUsage) && !errors.Is(err, vault.ErrWrongKey) && !errors.As(err, &syntax) {
		return err
	}
	return fmt.Errorf("%s: %w", c.from, err)
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

// openKey is a credential that is ready to open a vault.
type openKey struct {
	owner  *vault.Identity
	only   string // id of the vault that a further key opened, and no other may be taken for; "" if any
	sealed []byte // then: the age file that it opened
	agent  tokens.AgentKey
	token  string
}

// readKey parses a credential. If it has a passphrase, readKey asks for it once per
// run.
func (a *app) readKey(c credential) (openKey, error) {
	switch c.kind {
	case ownerCredential:
		if a.asked == nil || a.asked.cred != c {
			key, err := openKey{}, error(nil)
			if isWay(c.text) {
				key, err = a.readWay(c)
			} else {
				key.owner, err = a.readIdentity(c.text)
			}
			if err != nil {
				return openKey{}, err
			}
			a.asked = &askedKey{c, key}
		}
		return a.asked.key, nil
	case agentCredential:
		k, err := tokens.ParseAgentKey(c.text)
		return openKey{agent: k}, c.named(err)
	}
	return openKey{token: c.text}, nil
}

// askedKey is an owner's key that was opened in this run.
type askedKey struct {
	cred credential
	key  openKey
}

// whichPassphrase names the passphrase by where it came from, so that a stale file is found.
func (a *app) whichPassphrase() string {
	switch {
	case a.PassphraseFD != nil:
		return "the passphrase of --passphrase-fd"
	case a.PassphraseFile != "":
		return fmt.Sprintf("the passphrase in %s (%s)", a.PassphraseFile, orElse(a.setBy["passphrase-file"], "--passphrase-file"))
	}
	return "this passphrase"
}

// readNextKey opens the key that a rekey stored. It has the same passphrase as the key
// before it.
func (a *app) readNextKey(text string) (*vault.Identity, error) {
	if vault.IsLocked(text) && a.usedPassphrase != "" {
		id, err := a.unlock(text, a.usedPassphrase)
		if !errors.Is(err, vault.ErrPassphrase) || !a.interactive() {
			return id, err
		}
		a.out.note("a rekey was cut off, and the key that it stored has another passphrase: the one before")
	}
	return a.readIdentity(text)
}

func (a *app) readIdentity(text string) (*vault.Identity, error) {
	if !vault.IsLocked(text) {
		return vault.ParseIdentity(text)
	}
	if err := a.roomForPassphrase(text); err != nil {
		return nil, err
	}
	pass, err := a.passphrase()
	if err != nil {
		return nil, err
	}
	id, err := a.unlock(text, pass)
	if errors.Is(err, vault.ErrPassphrase) && a.keyringGave {
		a.keyringEntry, a.keyringGave = "", false
		a.out.warnOf(sayf("the passphrase in the keyring does not open the owner key").
			hint("store the right one with: ass passphrase --keyring"))
		return a.readIdentity(text)
	}
	if errors.Is(err, vault.ErrPassphrase) {
		return nil, errorf(vault.ErrPassphrase, "%s does not open the owner key", a.whichPassphrase()).
			hint("try again; if it is lost, log in anew with the owner key: ass logout, then ass login")
	}
	a.usedPassphrase = pass
	return id, err
}

// roomForPassphrase returns an error if a passphrase takes more memory than this process can
// get: the system would end it without a word. stored is "" for a new passphrase.
func (a *app) roomForPassphrase(stored string) error {
	const rest = 32 << 20 // what else the process needs
	need := vault.PassphraseMemory(stored)
	switch most, free := memoryRoom(); {
	case need+rest > most:
		return failf("the passphrase of an owner key takes %s of memory, and this process can get no more than %s "+
			"(ulimit -v, or the limit of its container)", size(need), size(max(most, 0))).
			hint("raise that limit")
	case need+rest > free:
		a.out.note("the passphrase takes %s of memory, and %s are free: if this process ends without a word, the system had "+
			"no more", size(need), size(max(free, 0)))
	}
	return nil
}

// memoryRoom is how much memory there is. Tests say otherwise.
var memoryRoom = process.Room

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
	case k.owner != nil && k.only != "" && k.only != v.ID():
		return nil, errorf(vault.ErrWrongKey, "the vault was replaced by another one while its key was opened").hint("run it again")
	case k.owner != nil:
		s, err := v.Owner(k.owner)
		if err == nil {
			s.OpenedBy(k.sealed)
		}
		return s, err
	case k.token != "":
		return v.Token(k.token)
	}
	return v.Agent(k.agent)
}

// inUse says so of the profile that ass profile use has chosen.
func inUse(cfg *config, name string) string {
	if cfg.InUse == name {
		return " (in use)"
	}
	return ""
}

// CheckCredential returns an error if a run of p would find no credential, or one that it may
// not use. It opens no vault.
func (p Program) CheckCredential() error {
	w := newWorld(p.Env, p.Dir)
	a := &app{world: w, out: newOutput(io.Discard, io.Discard, w), confined: p.Confined}
	a.Profile, a.APIURL = a.getenv("ASS_PROFILE"), a.getenv("ASS_API_URL")
	cfg, err := a.loadConfig()
	if err != nil {
		return err
	}
	cred, err := a.findCredential(cfg)
	switch {
	case err != nil:
		return err
	case cred.kind == "":
		return errorf(errNotLoggedIn, "there is no key of an agent here: name its file in %s", keyFileVariable)
	case cred.kind == agentCredential:
		_, err = a.readKey(cred)
	}
	return err
}
