package commands

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ass/commands/internal/pinentry"
	"ass/vault"
	"ass/vault/device"
)

// The further keys that open a vault. A profile that opens the vault with one of them stores the identity, after
// wayPrefix: the text of an age identity or, after sshPrefix, the path of an SSH key. The vault has the owner key,
// sealed to each of them. A run reads these age files, closes the vault, lets the key open the one that is sealed to
// it, and then opens the vault as its owner. So nobody waits for a lock while a person looks for a hardware key.
const (
	wayPrefix = "way:"
	sshPrefix = "ssh:"
)

// isWay reports whether a stored credential is an identity to which the owner key is sealed.
func isWay(stored string) bool { return strings.HasPrefix(stored, wayPrefix) }

// asks reports whether a person may be needed to open a stored owner key.
func asks(stored string) bool { return vault.IsLocked(stored) || isWay(stored) }

// lockedBy says what opens a stored owner key that [asks].
func (a *app) lockedBy(stored string) string {
	if isWay(stored) {
		return "is opened by " + a.opensWith(stored)
	}
	return "has a passphrase"
}

// wayKind says what an identity or a recipient is, for people.
func wayKind(text string) string {
	switch name := device.PluginOf(text); {
	case name != "":
		return "age-plugin-" + name
	case strings.HasPrefix(text, sshPrefix), strings.HasPrefix(text, "ssh-"):
		return "SSH"
	}
	return "age"
}

// opensWith names the further key with which a profile opens the vault; "" if it has the owner key.
func (a *app) opensWith(stored string) string {
	identity, is := strings.CutPrefix(stored, wayPrefix)
	if !is {
		return ""
	}
	if path, is := strings.CutPrefix(identity, sshPrefix); is {
		return "the SSH key " + a.tilde(path)
	}
	return withArticle(wayKind(identity) + " identity")
}

// readIdentityFile reads what --identity names. It returns the identity as a profile stores it, without wayPrefix, and
// its recipient.
func (a *app) readIdentityFile(name string) (identity, recipient string, err error) {
	var b []byte
	if name == "-" {
		b, err = a.readKeyText(name)
	} else {
		b, err = readLinked(a.at(name))
	}
	if err != nil {
		return "", "", err
	}
	switch identity, recipient, err = device.Parse(b); {
	case errors.Is(err, device.ErrSSH) && name == "-":
		return "", "", usagef("--identity: an SSH key is used where it lies, so name its file")
	case errors.Is(err, device.ErrSSH):
		recipient, err := a.sshRecipient(name, b)
		if err == nil && !bytes.HasPrefix(bytes.TrimSpace(b), []byte("-----BEGIN")) {
			err = usagef("%s is a public key, which opens nothing", name).hint("name the private key, or seal to this one with --recipient")
		}
		if err != nil {
			return "", "", err
		}
		path, err := a.abs(name)
		a.warnOfOthers(name)
		return sshPrefix + path, recipient, err
	case errors.Is(err, device.ErrEncrypted):
		return "", "", usagef("%s is an encrypted file of age, and no identity", name).
			hint("decrypt it first, as in: age -d %s | ass %s --identity -", shellWord(name), a.command)
	case err != nil:
		return "", "", usagef("%s is no identity to use: %v", name, err)
	}
	if device.PluginOf(identity) == "" && name != "-" {
		a.warnOfOthers(name)
	}
	return identity, recipient, nil
}

// readLinked reads the file of a key, which people keep behind links, too.
func readLinked(path string) ([]byte, error) {
	file, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	return readSmall(file, 64<<10)
}

// warnOfOthers warns if others can read the file of a key.
func (a *app) warnOfOthers(name string) {
	file, err := filepath.EvalSymlinks(a.at(name))
	if err != nil {
		return
	}
	if _, by, err := readWithAccess(file, 64<<10); err == nil && by.Mode.Perm()&0o077 != 0 {
		a.out.warnOf(sayf("others can read the key %s", name).hint("mend it with: %s", mend("600", name, by)))
	}
}

// isBare reports whether a program that runs as this person can act as the owner with what a profile stores, and asks
// nobody: a key in clear, or an SSH key without a passphrase. Of a plugin, that is not known.
func (a *app) isBare(stored string) bool {
	identity, is := strings.CutPrefix(stored, wayPrefix)
	if !is {
		return !vault.IsLocked(stored)
	}
	path, is := strings.CutPrefix(identity, sshPrefix)
	if !is {
		return device.PluginOf(identity) == ""
	}
	b, err := readLinked(path)
	if err != nil {
		return false
	}
	const unencrypted = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmU" // of OpenSSH: "openssh-key-v1", and the cipher "none"
	return bytes.Contains(b, []byte(unencrypted)) ||
		!bytes.Contains(b, []byte("OPENSSH PRIVATE KEY")) && !bytes.Contains(b, []byte("ENCRYPTED"))
}

// recipientOf returns the recipient of an identity that a profile stores.
func (a *app) recipientOf(identity string) (string, error) {
	path, is := strings.CutPrefix(identity, sshPrefix)
	if !is {
		return device.RecipientOf(identity)
	}
	b, err := readLinked(path)
	if err != nil {
		return "", err
	}
	return a.sshRecipient(path, b)
}

// readRecipient reads what --recipient gives.
func (a *app) readRecipient(text string) (string, error) {
	text = strings.TrimSpace(text)
	switch err := device.CheckRecipient(text); {
	case errors.Is(err, device.ErrSSH):
		return a.sshRecipient("--recipient", []byte(text))
	case err != nil:
		way := "name it as it is written: age1…, or ssh-ed25519 …"
		if info, statErr := os.Stat(a.at(text)); statErr == nil && info.Mode().IsRegular() {
			way = `it takes the recipient itself, as in: --recipient "$(cat FILE)"`
		}
		return "", usagef("--recipient: %v", err).hint("%s", way)
	}
	return text, nil
}

// sealTo makes the age file of a text for a recipient.
func (a *app) sealTo(recipient, plain string) ([]byte, error) {
	if strings.HasPrefix(recipient, "ssh-") {
		return a.ssh(plain, "seal", recipient)
	}
	d := &deviceUI{app: a}
	file, err := device.Seal(recipient, []byte(plain), d.ui())
	return file, d.fault(err)
}

// openWith opens an age file with an identity. If the file is for another one, the error is device.ErrNotFor.
func (a *app) openWith(identity string, file []byte) (plain []byte, err error) {
	if path, is := strings.CutPrefix(identity, sshPrefix); is {
		return a.openWithSSH(path, file)
	}
	d := &deviceUI{app: a}
	plain, err = device.Open(identity, file, d.ui())
	return plain, d.fault(err)
}

// deviceUI is how a plugin reaches the person.
type deviceUI struct {
	*app
	unanswered string // what it asked where nobody could answer
	secret     bool   // it asked for a passphrase or a PIN, which can be given in another way
}

func (d *deviceUI) ui() device.UI {
	if d.PassphraseFD != nil { // it is read while the plugin runs, which must not have it
		keepFromChildren(*d.PassphraseFD)
	}
	if d.ownsProcess() { // a plugin gets the environment of this process
		for _, name := range credentialVariables {
			_ = os.Unsetenv(name)
		}
	}
	_ = os.Unsetenv("AGEDEBUG") // with it, age copies what it says to a plugin to stderr: a PIN, and the file key
	return device.UI{
		Say: func(program, text string) { d.out.note("%s: %s", program, clean(text)) },
		Ask: func(program, prompt string, secret bool) (string, error) {
			text := program + ": " + strings.TrimRight(clean(prompt), ": ")
			if secret {
				return d.askSecret(text)
			}
			if !d.interactive() {
				return "", d.cannotAnswer(text)
			}
			return d.ask(text + ": ")
		},
		Confirm: func(program, prompt, yes, no string) (bool, error) {
			text := program + ": " + clean(prompt)
			if !d.interactive() {
				return false, d.cannotAnswer(text)
			}
			choice := "y: " + clean(yes)
			if no != "" {
				choice += ", n: " + clean(no)
			}
			answer, err := d.ask(text + " [" + choice + "] ")
			return isYes(answer), err
		},
		Slow: func(program string) { d.out.note("waiting for %s; touch the key if it blinks", program) },
	}
}

// askSecret asks for what only the person knows, such as a PIN. A passphrase that was given is tried once, because
// wrong PINs lock a key.
func (d *deviceUI) askSecret(text string) (string, error) {
	d.keyAsked = true
	_, helper := d.in.(nobody)
	switch {
	case d.givesPassphrase() && d.usedPassphrase == "":
		pass, err := d.givenPassphrase()
		d.usedPassphrase = pass
		return pass, err
	case d.interactive() && !helper:
		return d.askHidden(text + ": ")
	}
	if program := d.pinentry(); program != "" && !helper {
		return d.askInWindow(program, pinentry.Question{Description: "ass " + d.command + " opens the vault with a key.\n" + text,
			Prompt: "Answer:"})
	}
	d.secret = !helper
	return "", d.cannotAnswer(text)
}

func (d *deviceUI) cannotAnswer(text string) error {
	d.unanswered = text
	return errors.New("nobody can answer")
}

// fault returns an error for the person: what failed, and what to do about it.
func (d *deviceUI) fault(err error) error {
	var failed *device.PluginError
	switch {
	case err == nil || errors.Is(err, device.ErrNotFor):
		return err
	case d.unanswered != "":
		way := "run it in a terminal"
		if d.secret && d.usedPassphrase == "" {
			way = "pass the answer with --passphrase-fd or --passphrase-file"
		}
		if d.unlockHelps {
			way = "unlock the vault first, in a terminal, with: ass unlock; or " + way
		}
		return errorf(errNotLoggedIn, "%s: nobody can answer that, because stdin is not a terminal", d.unanswered).hint("%s", way)
	case errors.Is(err, device.ErrDamaged):
		return ofOneFile{errorf(vault.ErrDamaged, "the owner key that is sealed to this key does not open: %v", err).
			hint("log in with the owner key itself, and verify the vault with: ass audit verify")}
	case !errors.As(err, &failed):
		return err
	case failed.Missing:
		return errorf(errNoProgram, "%v, and this key needs it", err).
			hint("install it, or log in in another way: ass login --key-file FILE")
	case failed.Silent, failed.Died:
		return failf("%v", err).hint("is the key plugged in, and was it touched? Then try again; or try it with age alone: " +
			"echo test | age -e -i FILE | age -d -i FILE")
	}
	return ofOneFile{failf("%s", clean(err.Error()))}
}

// ofOneFile is an error about one age file: a key may open another one.
type ofOneFile struct{ error }

func (e ofOneFile) Unwrap() error { return e.error }

// sshProgram is the program that knows SSH keys.
const sshProgram = "ass-ssh"

// errSSHPassphrase says that the program needs the passphrase of the key, or got a wrong one.
var errSSHPassphrase = errors.New("the SSH key has a passphrase")

// ssh runs the program that knows SSH keys. in is its stdin, and out its stdout.
func (a *app) ssh(in string, args ...string) (out []byte, err error) {
	out, exit, said, err := a.runCompanion(sshProgram, in, args...)
	switch {
	case err != nil:
		return nil, err
	case exit == 4:
		return nil, device.ErrNotFor
	case exit == 5:
		return nil, errSSHPassphrase
	case exit != 0:
		return nil, failf("%s", orElse(said, sshProgram+" ended without an answer"))
	}
	return out, nil
}

// sshRecipient returns the public key of the content of a key file.
func (a *app) sshRecipient(name string, content []byte) (string, error) {
	out, err := a.ssh(string(content), "recipient")
	if err == nil || errors.Is(err, errNoProgram) || errors.Is(err, errNotProgram) {
		return string(out), err
	}
	return "", usagef("%s: %v", name, err)
}

// openWithSSH opens an age file with an SSH key, and asks for the key's passphrase if there is one.
func (a *app) openWithSSH(path string, file []byte) ([]byte, error) {
	name := a.tilde(path)
	another := "put it back, or log in with another key: ass login --identity FILE, or --key-file FILE"
	key, err := readLinked(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errorf(errNotLoggedIn, "the SSH key %s, which opens the vault for profile %s, is not there", name, a.profile()).
			hint("%s", another)
	}
	if err != nil {
		return nil, err
	}
	pass := ""
	for tries := 0; ; tries++ {
		question, err := json.Marshal(struct {
			Key        string `json:"key"`
			Passphrase string `json:"passphrase"`
			File       []byte `json:"file"`
		}{string(key), pass, file})
		if err != nil {
			return nil, err
		}
		plain, err := a.ssh(string(question), "open")
		switch {
		case err == nil, errors.Is(err, device.ErrNotFor), errors.Is(err, errNoProgram), errors.Is(err, errNotProgram):
			return plain, err
		case !errors.Is(err, errSSHPassphrase):
			return nil, failf("the SSH key %s does not open the vault: %v", name, err).hint("%s", another)
		case tries > 0 && (tries == 3 || !a.interactive()):
			return nil, errorf(vault.ErrPassphrase, "this passphrase does not open the SSH key %s", name)
		case tries > 0:
			a.out.note("this passphrase does not open the SSH key; try again")
		}
		d := &deviceUI{app: a}
		if pass, err = d.askSecret("Passphrase of " + name); err != nil {
			return nil, d.fault(err)
		}
	}
}

// byWay is an owner key that a further key opened.
type byWay struct {
	id    *vault.Identity
	vault string // id of the vault in which it was sealed
	file  []byte // the age file
}

// openByWay opens the owner key in a vault's file that is sealed to an identity. If known ids are given, the vault must
// have one of them: anybody can make a vault, and seal its owner key to a public recipient.
func (a *app) openByWay(path, identity string, known ...string) (byWay, error) {
	var (
		w     byWay
		files [][]byte
	)
	err := a.peek(path, func(v *vault.Vault) (err error) {
		w.vault = v.ID()
		files, err = v.SealedKeys()
		return err
	})
	if a.sealedIn == path && (errors.Is(err, vault.ErrDamaged) || errors.Is(err, vault.ErrFormat)) { // a salvage, or a restore, goes on
		damaged := err
		if files, err = vault.FindSealedKeys(path); err != nil || len(files) == 0 {
			return w, damaged
		}
		w.vault = ""
	}
	if err != nil {
		return w, err
	}
	if w.vault != "" && len(known) > 0 && !slices.Contains(known, w.vault) {
		return w, a.anotherVault(path, w.vault, known[0])
	}
	if len(files) == 0 {
		return w, errorf(vault.ErrWrongKey, "no key but the owner key itself opens the vault at %s", a.tilde(path)).
			hint("log in with the owner key, and add this one with: ass key add --identity FILE")
	}
	var failed error // what a plugin said of a file that may be for another key
	for _, w.file = range files {
		plain, err := a.openWith(identity, w.file)
		if errors.Is(err, device.ErrNotFor) {
			continue
		}
		if err != nil {
			if failed = err; !errors.As(err, new(ofOneFile)) || a.keyAsked { // a second wrong PIN may lock a key
				return w, err
			}
			continue
		}
		if w.id, err = vault.ParseIdentity(string(plain)); err == nil && (w.vault == "" || a.ownsVault(path, w.id)) {
			return w, nil
		}
		failed = errorf(vault.ErrDamaged, "what is sealed to this key in %s is not the owner key of that vault", a.tilde(path)).
			hint("log in with the owner key itself, and verify the vault with: ass audit verify")
		if a.keyAsked { // one that asks is not asked for each file that somebody may have put there
			return w, failed
		}
	}
	if failed != nil {
		return w, failed
	}
	return w, errorf(vault.ErrWrongKey, "this key does not open the vault at %s, which has %s", a.tilde(path),
		plural(len(files), "further key")).
		hint("log in with one of those or with the owner key, and add this one with: ass key add --identity FILE")
}

// ownsVault reports whether an owner key is that of the vault in a file.
func (a *app) ownsVault(path string, id *vault.Identity) bool {
	return a.peek(path, func(v *vault.Vault) error { _, err := v.Owner(id); return err }) == nil
}

// peek opens a vault before the command does, which then says what is to be said of the file.
func (a *app) peek(path string, fn func(*vault.Vault) error) error {
	o := a.options()
	o.ReadOnly = true
	v, err := vault.Open(path, o)
	if err != nil {
		return err
	}
	defer v.Close()
	return fn(v)
}

// anotherVault says that a vault is not the one that a profile knows.
func (a *app) anotherVault(path, id, known string) error {
	return errorf(vault.ErrWrongKey, "the vault at %s (id %s) is not that of profile %s (id %s)", a.tilde(path), id, a.profile(), known).
		hint("if its owner key was replaced, and you know this id, log in again with: ass login --identity FILE")
}

// readWay opens the owner key with the identity of a profile.
func (a *app) readWay(c credential) (openKey, error) {
	cfg, at, err := a.findPlace()
	if err != nil {
		return openKey{}, err
	}
	p := cfg.Profiles[a.Profile]
	if p == nil || p.Key != c.text {
		return openKey{}, failf("profile %s was changed by another process meanwhile", a.Profile).hint("run it again")
	}
	known := slices.DeleteFunc([]string{p.Vault, p.NextVault}, func(id string) bool { return id == "" })
	if len(known) == 0 {
		return openKey{}, failf("profile %s does not say which vault its key opens", a.profile()).hint("log in again with: ass login --identity FILE")
	}
	path := orElse(a.sealedIn, at.path)
	identity := strings.TrimPrefix(c.text, wayPrefix)
	if _, err := device.RecipientOf(identity); err != nil && !strings.HasPrefix(identity, sshPrefix) {
		return openKey{}, failf("%s: the key of profile %q is of no known kind", a.tilde(cfg.path), a.profile()).
			hint("fix it, or log in again with: ass login --identity FILE")
	}
	w, err := a.openByWay(path, identity, known...)
	if errors.Is(err, vault.ErrWrongKey) && path != at.path { // a backup from before this key was added has the same owner
		if there, err2 := a.openByWay(at.path, identity, known...); err2 == nil {
			w, err = there, nil
		}
	}
	if err != nil {
		return openKey{}, err
	}
	if w.vault != "" && w.vault == p.NextVault && w.vault != p.Vault && a.sealedIn == "" {
		interrupted := p.Vault != ""
		if err := a.updateProfile(p, func(p *profile) { p.Vault, p.NextVault = p.NextVault, "" }); err != nil {
			return openKey{}, err
		}
		if interrupted {
			a.out.noteOf(sayf("a rekey was interrupted after it gave the vault a new owner key").
				hint("keep a copy on paper: ass key show --paper; and give the agents new keys with: ass agents rotate-key"))
		}
	}
	return openKey{owner: w.id, only: w.vault, sealed: w.file}, nil
}
