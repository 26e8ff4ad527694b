package commands

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"runtime"
	"slices"

	"ass/tokens"
	"ass/vault"
	"ass/vault/disk"
)

// runtimeFolder returns the folder for files that live no longer than a session. If the
// system has a folder that it empties at logout, it is there. Otherwise it is the state
// folder.
func (w *world) runtimeFolder() (string, error) {
	if dir := w.getenv("XDG_RUNTIME_DIR"); dir != "" && filepath.IsAbs(dir) && runtime.GOOS != "windows" {
		return filepath.Join(dir, "ass"), nil
	}
	return w.stateDir()
}

func (a *app) unlockFile() (string, error) {
	dir, err := a.runtimeFolder()
	return filepath.Join(dir, "unlocked-"+fileSafe(a.profile())), err
}

// fromUnlock is the source of a credential that ass unlock left.
const fromUnlock = "ass unlock"

// unlocked returns the token that ass unlock left, if the stored credential has a
// passphrase. Otherwise, or without such a token, it returns the stored credential.
func (a *app) unlocked(h setup) credential {
	if h.cred.kind != ownerCredential || !asks(h.cred.text) || a.PassphraseFD != nil {
		return h.cred
	}
	path, err := a.unlockFile()
	if err != nil {
		return h.cred
	}
	text, err := readOwn(path, 64<<10)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			a.out.warn("the token of ass unlock is not used: %v", err)
		}
		return h.cred
	}
	token, err := tokens.ParseToken(string(text))
	if err != nil || !a.now().Before(token.Expires) {
		_ = disk.Remove(path)
		return h.cred
	}
	return credential{tokenCredential, string(text), fromUnlock}
}

// forgetUnlock removes the token that ass unlock left, and reports whether it did.
func (a *app) forgetUnlock() bool {
	path, err := a.unlockFile()
	return err == nil && disk.Remove(path) == nil
}

// leftUnlock returns the tokens that ass unlock left, by their files. A run that was killed may
// have left one under a temporary name.
func leftUnlock(path string) (left map[string]string, err error) {
	left = map[string]string{}
	for _, file := range append(disk.Strays(path), path) {
		text, err := readOwn(file, 64<<10)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		left[file] = string(text)
	}
	return left, nil
}

type unlockCmd struct {
	TTL  string `name:"ttl" help:"For how long: 15m, 1h, 24h, or seconds; at most 24h." default:"1h"`
	Tier string `help:"sensitive: reads sensitive secrets, too." placeholder:"TIER"`
}

func (unlockCmd) Help() string {
	return `Leaves a token of the owner in the runtime folder, for you alone: every program that
runs as you can read the standard secrets with it. The owner key stays encrypted. By
key, the token can neither approve requests, nor register agents, nor read above its
tier; for those the passphrase is asked for as before.`
}

func (c unlockCmd) Run(a *app) error {
	scopes, err := tokens.ParseScopes("secrets:*:*")
	if err != nil {
		return err
	}
	spec := vault.TokenSpec{Scopes: scopes, Unlock: true}
	if spec.TTL, err = tokens.ParseTTL(c.TTL); err != nil {
		return err
	}
	if spec.Tier, err = tokenTier(c.Tier); err != nil {
		return err
	}
	path, err := a.unlockFile()
	if err != nil {
		return err
	}
	h, err := a.find()
	if err != nil {
		return err
	}
	if h.cred.kind == ownerCredential && !asks(h.cred.text) {
		return usagef("the owner key has no passphrase, so there is nothing to unlock").
			hint("to set one: ass passphrase")
	}
	if err := privateFolder(filepath.Dir(path), ownRuntime); err != nil {
		return err
	}
	if h.cred.kind == ownerCredential {
		if err := a.ready(h); err != nil {
			return err
		}
		a.keyringEntry = h.cfg.Profiles[a.Profile].Keyring
		if _, err := a.readKey(h.cred); err != nil { // a wrong passphrase ends nothing
			return err
		}
		release, err := disk.LockFile(path+disk.LockSuffix, a.lockOptions())
		if err != nil {
			return err
		}
		defer release()
		if _, err := a.endUnlocks(path); err != nil { // one unlock at a time
			return err
		}
	}
	// The token is stored before it is live: if this run is killed, no live token is left behind.
	stored := false
	spec.Keep = func(text string) error {
		err := a.writePrivate(path, []byte(text))
		stored = err == nil || errors.Is(err, vault.ErrMaybeDone)
		return err
	}
	var t vault.Issued
	err = a.withSession(access{owner: "unlock the vault"}, func(s *vault.Session) (err error) {
		t, err = s.IssueToken(spec)
		return err
	})
	if !stored {
		return err
	}
	if err != nil && !errors.Is(err, vault.ErrMaybeDone) {
		_ = disk.Remove(path) // it has a dead token
	}
	if err != nil {
		return err
	}
	a.changed("the vault is unlocked; end that with: ass lock")
	return a.answer(unlockResult{Unlocked: true, ExpiresAt: stamp(t.Expires), TokenID: t.ID,
		AccessTier: max(t.Tier, tokens.Standard)}, func() {
		a.out.done("Unlocked for %s, for the %s tier; end it with: ass lock", until(spec.TTL), max(t.Tier, tokens.Standard))
	})
}

type lockCmd struct{}

func (lockCmd) Help() string {
	return `Ends what ass unlock began: the token revokes itself, and is removed. With
--passphrase-fd or a passphrase file, the owner revokes it, too, which rewrites the
vault: then keys that somebody kept of the token open nothing that is written from now
on.`
}

func (lockCmd) Run(a *app) error {
	path, err := a.unlockFile()
	if err != nil {
		return err
	}
	release, err := disk.LockFile(path+disk.LockSuffix, a.lockOptions())
	if errors.Is(err, fs.ErrNotExist) { // there is no folder for it
		return a.saidLocked("The vault was not unlocked.")
	}
	if err != nil {
		return err
	}
	defer release()
	ended, err := a.endUnlocks(path)
	if err == nil {
		err = a.endForGood(ended)
	}
	if err != nil {
		return err
	}
	if len(ended) == 0 {
		return a.saidLocked("The vault was not unlocked.")
	}
	return a.saidLocked("Locked.")
}

// endUnlocks revokes the tokens that ass unlock left, and removes their files. It returns the
// tokens. Each token revokes itself; if one has expired, there is no need to. The files go
// last: without them, a run that comes after one that was killed could not revoke the tokens.
func (a *app) endUnlocks(path string) (ended []string, err error) {
	left, err := leftUnlock(path)
	if err != nil {
		return nil, err
	}
	for _, text := range left {
		if err := a.giveUp(text); err != nil {
			a.out.note("the token could not be revoked (%v); it expires at its time", err)
		}
	}
	for file := range left {
		if err := disk.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		a.changed("the vault is locked")
	}
	return slices.Sorted(maps.Values(left)), nil
}

func (a *app) giveUp(text string) error {
	h, err := a.find()
	if err != nil {
		return err
	}
	token, err := tokens.ParseToken(text)
	if err != nil || !a.now().Before(token.Expires) {
		return nil
	}
	return a.inVault(h.at, access{}, func(v *vault.Vault) error {
		s, err := v.Token(text)
		if errors.Is(err, vault.ErrWrongKey) && v.ID() == hex.EncodeToString(token.Vault[:]) {
			return nil // the token no longer opens anything
		}
		if err == nil {
			_, _, err = s.RevokeToken(token.ID, vault.NarrowOptions{})
		}
		return err
	})
}

// endForGood makes the owner revoke tokens that gave themselves up, if the owner key opens without asking. Keys that
// somebody may have kept of a token then open nothing that is written from now on.
func (a *app) endForGood(texts []string) error {
	for _, text := range texts {
		token, err := tokens.ParseToken(text)
		if err != nil || !a.givesPassphrase() {
			continue
		}
		err = a.withSession(access{owner: "end the token for good"}, func(s *vault.Session) error {
			_, _, err := s.RevokeToken(token.ID, vault.NarrowOptions{})
			return err
		})
		if err != nil && !errors.Is(err, vault.ErrConflict) && !errors.Is(err, vault.ErrUnknown) {
			return err
		}
	}
	return nil
}

func (a *app) saidLocked(text string) error {
	return a.answer(lockResult{Unlocked: false}, func() {
		a.out.done("%s", text)
	})
}
