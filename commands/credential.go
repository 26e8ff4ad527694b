package commands

import (
	"errors"
	"slices"
	"strings"

	"ass/tokens"
	"ass/vault"
)

// What a command opens the vault with: where it is kept, which kind it is, and the
// passphrase that it may have.

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
