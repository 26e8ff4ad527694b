package commands

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"ass/commands/internal/pinentry"
	"ass/commands/internal/strength"
	"ass/vault"
)

// Where a passphrase comes from: a descriptor, a file, the terminal, or a window; and the command that sets one.

// passphraseFileVariable is the variable of --passphrase-file. A child of ass run does not get it.
const passphraseFileVariable = "ASS_PASSPHRASE_FILE"

// givesPassphrase reports whether the person said where the passphrase is, so that nobody has to be asked.
func (a *app) givesPassphrase() bool { return a.PassphraseFD != nil || a.PassphraseFile != "" }

// passphrase returns the passphrase of the stored owner key. It asks for it if it can.
func (a *app) passphrase() (string, error) {
	if a.givesPassphrase() {
		return a.givenPassphrase()
	}
	if pass := a.fromKeyring(); pass != "" {
		return pass, nil
	}
	_, helper := a.in.(nobody)
	switch {
	case helper:
		return "", errorf(errNotLoggedIn, "the owner key has a passphrase, and a helper asks for nothing").
			hint("unlock the vault first with: ass unlock")
	case a.interactive():
		return a.askHidden("Passphrase: ")
	}
	if program := a.pinentry(); program != "" {
		return a.askInWindow(program, pinentry.Question{
			Description: "ass " + a.command + " needs the passphrase of the owner key of the profile " + a.profile() + ".\nFolder: " + a.dir,
			Prompt:      "Passphrase:",
		})
	}
	way := "pass it with --passphrase-fd or --passphrase-file"
	if a.unlockHelps {
		way = "unlock the vault first, in a terminal, with: ass unlock; or " + way
	}
	return "", errorf(errNotLoggedIn, "the owner key has a passphrase, and stdin is not a terminal").hint("%s", way)
}

// canGetPassphrase reports whether passphrase would find one, or somebody to ask.
func (a *app) canGetPassphrase() bool {
	_, helper := a.in.(nobody)
	return a.givesPassphrase() || !helper && (a.interactive() || a.pinentry() != "")
}

// givenPassphrase returns the passphrase from where the person said that it is. It reads it once: a descriptor gives it
// no second time.
func (a *app) givenPassphrase() (_ string, err error) {
	if a.readPassphrase == "" {
		if a.PassphraseFD != nil {
			a.readPassphrase, err = a.passphraseFrom("--passphrase-fd", *a.PassphraseFD)
		} else {
			a.readPassphrase, err = a.passphraseIn("--passphrase-file", a.PassphraseFile)
		}
	}
	return a.readPassphrase, err
}

// passphraseFrom reads the first line of a descriptor.
func (a *app) passphraseFrom(flag string, fd int) (string, error) {
	r, err := a.descriptor(flag, fd)
	if err != nil {
		return "", err
	}
	return firstLine(flag, "the descriptor cannot be read", r)
}

// passphraseIn reads the first line of a file. It refuses a file that others can read or have written.
func (a *app) passphraseIn(flag, name string) (string, error) {
	b, err := a.readPrivate(flag, name)
	if err != nil {
		return "", err
	}
	return firstLine(flag, "its first line is too long", bytes.NewReader(b))
}

// firstLine reads a passphrase. It refuses an empty one: the program that should give the passphrase has failed, and
// this must not look like "no passphrase".
func firstLine(flag, failed string, r io.Reader) (string, error) {
	line, err := readLine(r)
	line = strings.TrimPrefix(line, "\ufeff") // of some editors; a person does not type it
	switch {
	case err != nil:
		return "", usagef("%s: %s", flag, failed)
	case line == "":
		return "", usagef("%s: the passphrase is empty", flag)
	case strings.Contains(line, "\x00"): // nobody could type what UTF-16 makes of a passphrase
		return "", usagef("%s: the passphrase has a zero byte", flag).hint("is the file in UTF-16? Write it in UTF-8")
	}
	return line, nil
}

// readLine reads up to a newline or the end. It reads a byte at a time, so that the rest stays there for others.
func readLine(r io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); len(line) <= 64<<10; {
		n, err := r.Read(b)
		if n == 1 && b[0] == '\n' || err == io.EOF {
			return strings.TrimSuffix(string(line), "\r"), nil
		}
		if err != nil {
			return "", err
		}
		line = append(line, b[:n]...)
	}
	return "", errors.New("too long")
}

// descriptor returns what a flag such as --passphrase-fd names. The standard streams stay open; of any other
// descriptor, this run is the owner from here on.
func (a *app) descriptor(flag string, fd int) (io.Reader, error) {
	switch {
	case fd < 0:
		return nil, usagef("%s must not be negative", flag)
	case fd == 0:
		return a.in, nil
	case fd == 1:
		return os.Stdout, nil
	case fd == 2:
		return os.Stderr, nil
	}
	if a.descriptors[fd] == nil { // once: the file closes the descriptor when it is collected
		if a.descriptors == nil {
			a.descriptors = map[int]*os.File{}
		}
		a.descriptors[fd] = os.NewFile(uintptr(fd), "passphrase")
	}
	return a.descriptors[fd], nil
}

// closePassphrases closes the descriptor of --passphrase-fd, so that no other program can read the rest of it.
func (a *app) closePassphrases() {
	if a.PassphraseFD == nil || *a.PassphraseFD <= 2 {
		return
	}
	if f, err := a.descriptor("", *a.PassphraseFD); err == nil {
		_ = f.(*os.File).Close()
	}
}

// pinentryVariable names the program that asks in a window; "none" for none.
const pinentryVariable = "ASS_PINENTRY"

// pinentry returns the program that can ask for a passphrase where there is no terminal; "" if there is none, or no
// screen to ask on.
func (a *app) pinentry() string {
	name := a.getenv(pinentryVariable)
	switch {
	case name == "none" || !a.ownsProcess():
		return ""
	case name == "" && runtime.GOOS == "darwin":
		name = "pinentry-mac"
	case name == "" && a.getenv("DISPLAY") == "" && a.getenv("WAYLAND_DISPLAY") == "":
		return ""
	case name == "":
		name = "pinentry"
	}
	found, err := a.lookPath(name)
	if err != nil {
		return ""
	}
	return found
}

// askInWindow asks for a passphrase through a pinentry program.
func (a *app) askInWindow(program string, q pinentry.Question) (string, error) {
	cmd := exec.Command(program)
	var in io.WriteCloser
	out, err := cmd.StdoutPipe()
	if err == nil {
		in, err = cmd.StdinPipe()
	}
	if err == nil {
		err = a.begin(cmd)
	}
	if err != nil {
		return "", errorf(errNotLoggedIn, "%s cannot be started to ask for the passphrase", program).
			hint("name another one in %s, or none", pinentryVariable)
	}
	q.Title = "ass"
	if tty := a.getenv("GPG_TTY"); tty != "" {
		q.Options = []string{"ttyname=" + tty, "ttytype=" + orElse(a.getenv("TERM"), "dumb")}
	}
	late := time.AfterFunc((pinentry.Seconds+5)*time.Second, func() {
		_ = cmd.Process.Kill()
		_ = out.Close() // what it has started may hold the pipe
	})
	typed, err := pinentry.Ask(out, in, q)
	_ = in.Close()
	if err != nil {
		_ = cmd.Process.Kill()
	}
	_ = cmd.Wait()
	late.Stop()
	switch {
	case errors.Is(err, pinentry.ErrCancelled) || err == nil && typed == "":
		return "", errorf(errInterrupted, "nobody typed the passphrase")
	case err != nil:
		return "", errorf(errNotLoggedIn, "%s: %v", program, err).hint("name another one in %s, or none", pinentryVariable)
	}
	return typed, nil
}

// newPassphrase asks for a passphrase twice. It returns "" if the person wants none.
func (a *app) newPassphrase(prompt string) (string, error) {
	for {
		first, err := a.askHidden(prompt)
		if err != nil || first == "" {
			return "", err
		}
		second, err := a.askHidden("Repeat it: ") // before any question: fingers type it twice, and an answer is shown
		if err != nil {
			return "", err
		}
		if first != second {
			a.out.note("they do not match; try again")
			continue
		}
		j := strength.Of(first)
		if !j.Weak() {
			return first, nil
		}
		a.out.note("this passphrase is weak: %s; four words that nobody would choose are strong", j)
		answer, err := a.ask("Take it all the same? [y/N] ")
		if err != nil {
			return "", err
		}
		if isYes(answer) {
			return first, nil
		}
	}
}

// lock encrypts an owner key with a passphrase, and says on a terminal that this takes a while.
func (a *app) lock(id *vault.Identity, pass string) (string, error) {
	end := a.scrypt("encrypting the owner key ...")
	defer end(true)
	return id.Lock(pass, a.workFactor)
}

// unlock is the inverse of lock.
func (a *app) unlock(stored, pass string) (*vault.Identity, error) {
	end := a.scrypt("opening the owner key ...")
	defer end(true)
	return vault.UnlockIdentity(stored, pass)
}

func (a *app) scrypt(what string) (end func(bool)) {
	return a.out.counting(func() string { return what }, 200*time.Millisecond)
}

type passphraseCmd struct {
	Remove    bool   `help:"Store the owner key without a passphrase."`
	NewFD     *int   `name:"new-fd" help:"Read the new passphrase from this file descriptor, up to the end of its first line." placeholder:"FD"`
	NewFile   string `name:"new-file" help:"Read the new passphrase from the first line of a file." placeholder:"FILE"`
	Keyring   bool   `help:"Keep the passphrase in the keyring of the desktop, too, for reading and writing secrets."`
	NoKeyring bool   `help:"Remove the passphrase from the keyring."`
	Force     bool   `help:"With --remove, do not ask."`
}

func (passphraseCmd) Help() string {
	return `Sets or changes the passphrase of the stored owner key, or removes it. The key stays the
same, and so does the vault: only the copy in this profile is encrypted anew, with age's
scrypt. Copies elsewhere (paper, recovery files, other machines) stay as they are.

On a terminal, the passphrase is asked for, and ass says how many guesses it withstands.

With --keyring, the keyring of the desktop gives the passphrase when secrets are read or
written, and to ass unlock: every program that runs as you can then read all secrets
while you are logged in. For what only the owner can do, it is asked for all the same.`
}

func (c passphraseCmd) Run(a *app) error {
	if c.Keyring && (c.NoKeyring || c.Remove) || c.NoKeyring && (c.Remove || c.NewFD != nil || c.NewFile != "") {
		return usagef("give one of --keyring, --no-keyring and --remove")
	}
	if c.Remove && (c.NewFD != nil || c.NewFile != "") || c.NewFD != nil && c.NewFile != "" {
		return usagef("give one of --remove, --new-fd and --new-file")
	}
	if c.NewFD != nil && a.PassphraseFD != nil && *c.NewFD == *a.PassphraseFD {
		return usagef("--new-fd and --passphrase-fd name the same descriptor").hint("give them two")
	}
	cfg, err := a.loadConfig()
	if err != nil {
		return err
	}
	p := cfg.Profiles[a.Profile]
	switch {
	case p == nil && len(cfg.Profiles) > 0:
		return noProfile(a.Profile, cfg)
	case p == nil:
		return noOwnerKey()
	case p.Credential != ownerCredential:
		return usagef("profile %s has %s, and only an owner key has a passphrase", a.Profile, withArticle(kindName(p.Credential)))
	case isWay(p.Key):
		return usagef("profile %s opens the vault with %s, and stores no owner key that could have a passphrase", a.Profile, a.opensWith(p.Key))
	case c.Remove && !p.locked():
		return usagef("the owner key of profile %s has no passphrase, so there is none to remove", a.Profile)
	}
	if c.NoKeyring {
		return c.leaveKeyring(a, p)
	}
	if c.Remove {
		if err := a.confirm(c.Force, "Store the owner key without a passphrase, so that every program that runs as you can read "+
			"all secrets?"); err != nil {
			return err
		}
	}
	key, err := a.readKey(credential{kind: ownerCredential, text: p.Key})
	if err != nil {
		return err
	}
	id, next, had := key.owner, (*vault.Identity)(nil), p.locked()
	if p.NextKey != "" { // a rekey was cut off, and either may be the vault's
		if next, err = a.readNextKey(p.NextKey); err != nil {
			return err
		}
	}
	pass, err := "", error(nil)
	switch {
	case c.Remove:
	case c.Keyring && had && c.NewFD == nil && c.NewFile == "":
		return c.takeKeyring(a, p)
	default:
		if pass, err = c.new(a); err != nil {
			return err
		}
	}
	entry, was := "", *p
	if !c.Remove && (c.Keyring || p.Keyring != "") {
		if entry, err = a.storeInKeyring(p, pass); err != nil {
			return err
		}
	}
	store := func(id *vault.Identity) (string, error) {
		if id == nil {
			return "", nil
		}
		if pass == "" {
			return id.Text(), nil
		}
		return a.lock(id, pass)
	}
	stored, err := store(id)
	if err != nil {
		return err
	}
	storedNext, err := store(next)
	if err != nil {
		return err
	}
	if err := a.updateKeys(p, func(p *profile) { p.Key, p.NextKey, p.Keyring = stored, storedNext, entry }); err != nil {
		return err
	}
	a.changed("the owner key is stored anew in %s", a.tilde(cfg.path))
	if c.Remove {
		a.forgetKeyring(&was)
	}
	result := passphraseResult{Profile: a.Profile, Passphrase: !c.Remove, Keyring: entry != ""}
	if !c.Remove {
		j := strength.Of(pass)
		result.Strength, result.Bits = j.Word, int(j.Bits)
	}
	err = a.answer(result, func() {
		switch {
		case c.Remove:
			a.out.done("The owner key of profile %s has no passphrase any more", a.Profile)
		case had:
			a.out.done("The owner key of profile %s has the new passphrase", a.Profile)
		default:
			a.out.done("The owner key of profile %s has a passphrase now", a.Profile)
		}
	})
	if err == nil && !c.Remove {
		c.sayMore(a, cfg, pass)
	}
	return err
}

// takeKeyring puts the passphrase that the owner key has into the keyring.
func (c passphraseCmd) takeKeyring(a *app, p *profile) error {
	entry, err := a.storeInKeyring(p, a.usedPassphrase)
	if err != nil {
		return err
	}
	if err := a.updateProfile(p, func(p *profile) { p.Keyring = entry }); err != nil {
		return err
	}
	a.changed("the passphrase is in the keyring")
	return a.answer(passphraseResult{Profile: a.Profile, Passphrase: true, Keyring: true}, func() {
		a.out.done("The passphrase of profile %s is in the keyring", a.Profile)
	})
}

// leaveKeyring takes the passphrase out of the keyring.
func (c passphraseCmd) leaveKeyring(a *app, p *profile) error {
	was := *p
	if was.Keyring != "" {
		if err := a.updateProfile(p, func(p *profile) { p.Keyring = "" }); err != nil {
			return err
		}
		a.changed("the keyring is not asked any more")
		a.forgetKeyring(&was)
	}
	return a.answer(passphraseResult{Profile: a.Profile, Passphrase: p.locked()}, func() {
		a.out.done("The keyring has no passphrase of profile %s", a.Profile)
	})
}

// sayMore says how strong the passphrase is, and what it does not reach.
func (c passphraseCmd) sayMore(a *app, cfg *config, pass string) {
	if j := strength.Of(pass); j.Weak() {
		a.out.warn("it is weak: %s", j)
	} else {
		a.out.note("it is %s: %s", j.Word, j)
	}
	if path, err := a.unlockFile(); err == nil && isThere(path) {
		a.out.noteOf(sayf("the vault is unlocked, and stays so").hint("to end that: ass lock"))
	}
	if files := a.recoveryFiles(cfg); len(files) > 0 {
		for i, file := range files {
			files[i] = a.tilde(file)
		}
		a.out.note("recovery files keep the key as it was: %s", strings.Join(files, ", "))
	}
}

// new returns the new passphrase.
func (c passphraseCmd) new(a *app) (pass string, err error) {
	if err := a.roomForPassphrase(""); err != nil {
		return "", err
	}
	switch {
	case c.NewFD != nil:
		return a.passphraseFrom("--new-fd", *c.NewFD)
	case c.NewFile != "":
		return a.passphraseIn("--new-file", c.NewFile)
	case !a.interactive():
		return "", usagef("stdin is not a terminal").hint("give the new passphrase with --new-fd or --new-file")
	}
	if pass, err = a.newPassphrase("New passphrase for the owner key: "); err == nil && pass == "" {
		err = errorf(errDeclined, "nothing was changed").hint("to store the key without a passphrase: ass passphrase --remove")
	}
	return pass, err
}
