package commands

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ass/vault"
	"ass/vault/disk"
)

// config is the file of stored credentials, ~/.config/ass/config.json.
//
//	{"version":1,"profiles":{"default":{"credential":"owner","key":"AGE-SECRET-KEY-PQ-1…","vault":"bde4c489…"}}}
type config struct {
	Version  int                 `json:"version"`
	Profiles map[string]*profile `json:"profiles"`
	InUse    string              `json:"in_use,omitempty"` // profile of commands that name none; "" for the default one

	path       string
	unfinished disk.Register
}

// profile is one stored credential.
type profile struct {
	Credential string `json:"credential"`           // owner, agent or token
	Key        string `json:"key"`                  // the credential; an owner key may have a passphrase, or see wayPrefix
	NextKey    string `json:"next_key,omitempty"`   // the new owner key, while a rekey is under way
	Kept       bool   `json:"kept,omitempty"`       // the owner has the key elsewhere, too
	Vault      string `json:"vault,omitempty"`      // id of the vault that it opens
	NextVault  string `json:"next_vault,omitempty"` // the id that the vault is to have, while a further key makes or rekeys it
	APIURL     string `json:"api_url,omitempty"`    // where that vault is, if not in the default place
	Keyring    string `json:"keyring,omitempty"`    // the entry of the desktop's keyring that has the passphrase
}

// Kinds of credentials.
const (
	ownerCredential = "owner"
	agentCredential = "agent"
	tokenCredential = "token"
)

func (p *profile) locked() bool { return vault.IsLocked(p.Key) }

// onlyCopy reports whether the profile may hold the only copy of an owner key. If a
// rekey is under way or was interrupted, its new key was never shown. An identity that the profile has may be the only
// copy, too: that of a TPM, for example, has the key in it, and perhaps nothing else opens the vault.
func (p *profile) onlyCopy() bool {
	return p.Credential == ownerCredential && (!p.Kept || p.NextKey != "" || p.identity() != "")
}

// identity returns the text of the identity with which the profile opens the vault; "" for an SSH key, which is a file,
// and for the owner key itself.
func (p *profile) identity() string {
	if text, is := strings.CutPrefix(p.Key, wayPrefix); is && !strings.HasPrefix(text, sshPrefix) {
		return text
	}
	return ""
}

func (w *world) configPath() (string, error) {
	dir, err := w.configDir()
	return filepath.Join(dir, "config.json"), err
}

// loadConfig reads the stored credentials. If there is no file, it returns an empty
// config.
func (w *world) loadConfig() (*config, error) {
	path, err := w.configPath()
	c := &config{Version: 1, Profiles: map[string]*profile{}, path: path, unfinished: w.unfinished()}
	if errors.Is(err, errNoHome) && slices.ContainsFunc(keyVariables,
		func(name string) bool { return w.getenv(name) != "" }) {
		return c, nil // a program that brings its own key needs no stored one
	}
	if err != nil {
		return nil, err
	}
	b, err := readOwn(path, 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	if !c.readPlain(string(b)) {
		c.Version, c.Profiles, c.InUse = 1, map[string]*profile{}, ""
		if err := json.Unmarshal(b, c); err != nil { // the cause would quote the content
			return nil, failf("%s is not valid JSON as ass writes it", path).
				hint("fix it, or move it away and log in again")
		}
	}
	if c.Version != 1 {
		return nil, fmt.Errorf("%s has version %d, and this program knows version 1: update ass", path, c.Version)
	}
	for name, p := range c.Profiles {
		switch {
		case p == nil:
			return nil, failf("%s: profile %q is empty", path, name).
				hint("remove it")
		case p.Credential != ownerCredential && p.Credential != agentCredential && p.Credential != tokenCredential:
			return nil, failf("%s: the credential of profile %q is not of a known kind", path, name).
				hint("remove it")
		case p.Vault != "" && !isVaultID(p.Vault), p.NextVault != "" && !isVaultID(p.NextVault): // it becomes part of a file name
			return nil, failf("%s: the vault of profile %q is not a vault id", path, name).
				hint("remove it")
		}
	}
	if c.Profiles == nil {
		c.Profiles = map[string]*profile{}
	}
	return c, nil
}

func isVaultID(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 16
}

// updateConfig changes the stored credentials. Under a lock, it reads the file again,
// passes it to fn and writes the result. So it never overwrites what other runs stored
// since an earlier read, or while a person was answering a prompt.
func (a *app) updateConfig(fn func(*config) error) error {
	path, err := a.configPath()
	if err != nil {
		return err
	}
	release, err := a.lockOwn(path)
	if err != nil {
		return err
	}
	defer release()
	c, err := a.loadConfig()
	if err != nil {
		return err
	}
	if err := fn(c); err != nil {
		return err
	}
	return c.save()
}

// updateProfile is updateConfig for one profile. It returns an error if the profile no
// longer has the credential of was. On success, was is the profile as stored.
func (a *app) updateProfile(was *profile, fn func(*profile)) error {
	return a.updateProfileIf(was, func(now *profile) bool { return now.Key == was.Key }, fn)
}

// updateKeys is updateProfile for a run that stores both keys of the profile anew. It also returns an error if a rekey
// has begun or ended meanwhile: its key may be in NextKey alone.
func (a *app) updateKeys(was *profile, fn func(*profile)) error {
	return a.updateProfileIf(was, func(now *profile) bool { return now.Key == was.Key && now.NextKey == was.NextKey }, fn)
}

func (a *app) updateProfileIf(was *profile, same func(now *profile) bool, fn func(*profile)) error {
	return a.updateConfig(func(c *config) error {
		now := c.Profiles[a.Profile]
		if now == nil || !same(now) {
			return failf("profile %s was changed by another process meanwhile", a.Profile).hint("run it again")
		}
		fn(now)
		*was = *now
		return nil
	})
}

// save writes the file, or removes it if no profile is left.
func (c *config) save() error {
	if len(c.Profiles) == 0 {
		if err := disk.Remove(c.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	b, err := c.encode()
	if err != nil {
		return err
	}
	return withRoom(c.unfinished.Replace(c.path, b))
}

func (c *config) encode() ([]byte, error) {
	b, err := json.MarshalIndent(c, "", "  ")
	return append(b, '\n'), err
}

// StoreOwner writes a config file to path, and does not sync it. Its default profile holds the owner key id
// for the vault with the id vaultID. StoreOwner returns the error of writing the file.
// Package asstest uses it; people run ass login.
func StoreOwner(path string, id *vault.Identity, vaultID string) error {
	p := &profile{Credential: ownerCredential, Key: id.Text(), Kept: true, Vault: vaultID}
	b, err := (&config{Version: 1, Profiles: map[string]*profile{defaultProfile: p}}).encode()
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o600)
}

// names lists the profiles.
func (c *config) names() string {
	return strings.Join(slices.Sorted(maps.Keys(c.Profiles)), ", ")
}

// rescue writes an owner key that may exist nowhere else to a recovery file, and
// returns its path. It overwrites nothing. If a rekey was interrupted, its new key goes
// into a second file.
func (c *config) rescue(name string, p *profile) (string, error) {
	if p.NextKey != "" {
		next := profile{Key: p.NextKey, Vault: p.Vault}
		if _, err := c.rescue(name+"-next", &next); err != nil {
			return "", err
		}
	}
	dir := filepath.Dir(c.path)
	base := "recovery-" + fileSafe(name)
	if len(p.Vault) >= 8 {
		base += "-" + p.Vault[:8]
	}
	text := recoveryMark + p.Vault + ". Whoever has it can read every secret there.\n" +
		"# Log in with it again: ass login --key-file THIS-FILE\n" + p.Key + "\n"
	key := p.Key
	if identity := p.identity(); identity != "" {
		key, base = identity, base+identityMark
		text = "# The identity that opens the ass vault " + p.Vault + ".\n" +
			"# Log in with it again: ass login --identity THIS-FILE\n" + identity + "\n"
	}
	for n := 1; ; n++ {
		path := filepath.Join(dir, base+".key")
		if n > 1 {
			path = filepath.Join(dir, fmt.Sprintf("%s-%d.key", base, n))
		}
		err := withRoom(c.unfinished.WriteNew(path, []byte(text), 0o600))
		if errors.Is(err, fs.ErrExist) {
			if old, err := readSmall(path, 64<<10); err == nil && strings.Contains(string(old), key) {
				return path, nil // it was rescued before
			}
			continue
		}
		return path, err
	}
}

// recoveryMark begins every recovery file. A person who logs in with such a file may
// have no other copy of the key.
const recoveryMark = "# The owner key of the ass vault "

// identityMark is in the name of a recovery file that has an identity, and not an owner key.
const identityMark = ".identity"

// recoveryFiles returns the recovery files of a profile, the newest first.
func (a *app) recoveryFiles(cfg *config) (files []string) {
	found, _ := filepath.Glob(filepath.Join(globSafe(filepath.Dir(cfg.path)), "recovery-"+fileSafe(a.profile())+"*.key"))
	type dated struct {
		path string
		at   time.Time
	}
	var list []dated
	for _, path := range found {
		if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
			list = append(list, dated{path, info.ModTime()})
		}
	}
	slices.SortStableFunc(list, func(a, b dated) int { return b.at.Compare(a.at) })
	for _, x := range list {
		files = append(files, x.path)
	}
	return files
}

// globSafe makes a path stand for itself in a pattern of [filepath.Glob].
func globSafe(path string) string {
	if filepath.Separator == '\\' { // Windows has no escapes in patterns, and no * in names
		return path
	}
	return strings.NewReplacer("*", `\*`, "?", `\?`, "[", `\[`, `\`, `\\`).Replace(path)
}

// loginAgain is the command that stores a credential again.
func (a *app) loginAgain(cfg *config) string {
	files := a.recoveryFiles(cfg)
	if len(files) == 0 {
		return "ass login"
	}
	short := a.tilde(files[0])
	if rest, ok := strings.CutPrefix(short, "~/"); !ok || shellWord(rest) != rest { // a shell reads ~ only without quotes
		short = shellWord(files[0])
	}
	if strings.HasSuffix(files[0], identityMark+".key") {
		return "ass login --identity " + short
	}
	return "ass login --key-file " + short
}

// fileSafe makes a profile's name a part of a file name.
func fileSafe(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, s)
}
