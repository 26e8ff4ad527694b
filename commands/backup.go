package commands

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ass/vault"
)

// Copies of the vault: making a backup, restoring it, and salvaging a damaged vault.

type vaultBackup struct {
	File     string `arg:"" optional:"" help:"File to write, which must not exist; in a folder, ass chooses the name."`
	ToStdout bool   `help:"Write the backup to stdout."`
}

func (vaultBackup) Help() string {
	return `Copies the vault while it is in use, and verifies the copy: every page, record, value and
log entry. It opens with the same keys as the vault, and gives nothing away without one.
The log says that it was made, so that a revocation can name it. Put it back with:
ass vault restore`
}

func (c vaultBackup) Run(a *app) error {
	switch {
	case c.ToStdout == (c.File != ""):
		return usagef("give one of the two: a file, or --to-stdout")
	case c.ToStdout && a.out.tty:
		return usagef("stdout is a terminal").
			hint("redirect it: ass vault backup --to-stdout > FILE")
	}
	file, err := c.target(a.world, a.now())
	if err != nil {
		return err
	}
	var b vault.Backup
	err = a.withSession(access{owner: "back up the vault", progress: "copying"}, func(s *vault.Session) (err error) {
		b, err = s.BackUp(file)
		return err
	})
	if err != nil {
		return err
	}
	r, err := b.Verify(a.asked.key.owner, a.optionsFor("verifying"))
	if err != nil {
		return err
	}
	if c.ToStdout {
		defer b.Discard()
		f, err := b.Open()
		if err != nil {
			return err
		}
		defer f.Close()
		a.out.pass(f)
		return nil
	}
	a.changed("the backup %s is written and verified", a.tilde(file))
	for _, w := range exposures(filepath.Dir(file)) {
		a.out.warn("%s", w)
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	return a.answer(backupResult{File: file, SizeBytes: info.Size(), Records: r.Records,
		AuditEntry: b.Entry}, func() {
		a.out.done("Backup written and verified: %s (%s, %s, up to log entry %d)", a.tilde(file), size(info.Size()),
			plural(int(r.Records), "record"), b.Entry)
	})
}

// target returns the file to write; "" for stdout.
func (c vaultBackup) target(w *world, now time.Time) (string, error) {
	if c.ToStdout {
		return "", nil
	}
	file, err := w.abs(c.File)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(file)
	switch isFolder := err == nil && info.IsDir(); {
	case isFolder:
		return freeName(file, "vault-"+now.UTC().Format("20060102-150405"), ".db"), nil
	case os.IsPathSeparator(c.File[len(c.File)-1]): // a disk that is not mounted, say
		return "", usagef("folder %s does not exist", file).
			hint("create it first")
	}
	return file, folderOf(file)
}

// folderOf returns an error if the folder of a new file does not exist.
func folderOf(file string) error {
	if _, err := os.Stat(filepath.Dir(file)); errors.Is(err, fs.ErrNotExist) {
		return usagef("folder %s does not exist", filepath.Dir(file)).
			hint("create it first")
	}
	return nil
}

// freeName returns the path of a file in dir that does not exist yet.
func freeName(dir, base, ext string) string {
	for n, file := 2, filepath.Join(dir, base+ext); ; n++ {
		if _, err := os.Lstat(file); err != nil { // creating the file reports any other error
			return file
		}
		file = filepath.Join(dir, fmt.Sprintf("%s-%d%s", base, n, ext))
	}
}

// optionsFor returns options for opening a vault, with progress for a slow operation.
func (a *app) optionsFor(what string) vault.Options {
	o := a.options()
	step, end := a.out.progress(what, a.now)
	o.Progress = func(done, total int) {
		if step(done, total); done == total {
			end()
		}
	}
	return o
}

type vaultRestore struct {
	File       string `arg:"" help:"Backup to restore."`
	VerifyOnly bool   `help:"Verify the backup, and change nothing."`
	KeyFile    string `help:"Read the owner key from a file, if no profile has it; - reads stdin." placeholder:"FILE"`
	Identity   string `help:"Use a further key: an identity of an age plugin or of age-keygen, or an SSH private key." placeholder:"FILE"`
	Force      bool   `help:"Skip the confirmation."`
}

func (vaultRestore) Help() string {
	return `Puts the values of a backup in the place of the vault, whole, damaged or gone, after it said
what that changes. Values come back, rights do not: an agent that was revoked since stays
so, as far as the vault that is there can be read; a tier that was raised stays raised;
tokens and requests end. The file that is replaced is kept beside the vault.`
}

func (c vaultRestore) Run(a *app) error {
	h, err := a.find()
	if err != nil {
		return err
	}
	file, err := a.abs(c.File)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
		return errorf(fs.ErrNotExist, "no backup at %s", file)
	}
	w, text, err := a.ownerKey(h, c.KeyFile, c.Identity, file)
	if err != nil {
		return err
	}
	id := w.id
	if c.VerifyOnly {
		return a.verifyBackup(file, id)
	}
	o := a.optionsFor("restoring")
	plan, err := vault.PlanRestore(h.at.path, file, id, o)
	if err != nil {
		return backupFault(err, file)
	}
	a.showRestoration(file, h.at.path, plan)
	question := "Replace the vault with this backup?"
	if !plan.There {
		question = "Make the vault from this backup?"
	}
	if err := a.confirm(c.Force, question); err != nil {
		return err
	}
	done, err := vault.Restore(h.at.path, file, id, plan, o)
	if err != nil {
		return vaultFault(err)
	}
	a.changed("the vault is restored")
	if a.JSON {
		err = a.out.json(restoreResult{
			Vault: h.at.path, File: file, AuditEntry: done.Entry, Epoch: done.Epoch, SecretCount: done.Secrets,
			Replaced:  done.Replaced,
			Returning: list(done.Returning), Older: list(done.Older), Leaving: list(done.Leaving),
			Raised:  list(done.Raised),
			Revoked: list(done.Revoked), Unread: done.Unread, Reviving: list(done.Reviving),
			LostAgents: list(done.Lost),
		})
	} else {
		a.out.done("Vault restored: %s, epoch %d", plural(done.Secrets, "secret"), done.Epoch)
	}
	if done.Replaced != "" {
		a.out.note("the replaced file was kept: %s", a.tilde(done.Replaced))
	}
	if err != nil || text == "" || h.cred.kind == ownerCredential {
		return err
	}
	l := login{app: a, at: h.at, recovered: strings.HasPrefix(text, recoveryMark)}
	if identity, is := strings.CutPrefix(text, wayPrefix); is {
		p, err := l.keepWay(identity, w)
		if err != nil {
			return err
		}
		a.out.note("profile %s (%s) opens the vault (id %s) with %s", a.Profile, l.configName(), p.Vault, a.opensWith(p.Key))
		return nil
	}
	if text, err = credentialText([]byte(text)); err != nil {
		return err
	}
	if _, err := l.keep(text); err != nil {
		return err
	}
	a.out.note("stored the owner key in profile %s (%s)", a.Profile, l.configName())
	return nil
}

// ownerKey returns the owner's identity: from keyFile or the further key in identity, if set; else from the credential
// in use; else as typed on the terminal. brought is the text of the key, if it comes from keyFile, identity or the
// terminal. file is what the key is to open: a further key opens the owner key that is sealed there.
func (a *app) ownerKey(h setup, keyFile, identity, file string) (w byWay, brought string, err error) {
	cred := h.cred
	a.sealedIn = file
	defer func() { a.sealedIn = "" }()
	switch {
	case keyFile != "" && identity != "":
		return w, "", usagef("give the owner key in one way: --key-file or --identity")
	case identity != "":
		if identity, _, err = a.readIdentityFile(identity); err != nil {
			return w, "", err
		}
		w, err = a.openByWay(file, identity)
		return w, wayPrefix + identity, err
	case keyFile != "":
		b, err := a.readKeyText(keyFile)
		if err != nil {
			return w, "", err
		}
		brought = string(b)
	case cred.kind == ownerCredential:
	case cred.kind != "":
		return w, "", errorf(vault.ErrDenied, "only the owner can restore and salvage vaults, and %s holds %s",
			cred.from, withArticle(kindName(cred.kind))).
			hint("run it with the owner's key")
	case a.interactive():
		if brought, err = a.askCredential("Owner key: "); err != nil {
			return w, "", err
		}
	default:
		return w, "", errorf(errNotLoggedIn, "no profile has the owner key").
			hint("pass it with --key-file, or a further key with --identity")
	}
	if brought != "" || cred.kind != ownerCredential {
		text, err := credentialText([]byte(brought))
		if err != nil {
			return w, "", err
		}
		cred = credential{ownerCredential, text, keyFile}
		if kind, err := credentialKind(cred.text); err != nil || kind != ownerCredential {
			return w, "", usagef("this is not an owner key: an owner key begins with AGE-SECRET-KEY-")
		}
	}
	key, err := a.readKey(cred)
	return byWay{id: key.owner}, brought, err
}

func (a *app) verifyBackup(file string, id *vault.Identity) error {
	r, err := vault.VerifyBackup(file, id, a.optionsFor("verifying"))
	if err != nil {
		return backupFault(err, file)
	}
	r.Remembered = true // for a backup, it does not matter
	return a.report(r)
}

// backupFault adds advice to the error of a damaged backup.
func backupFault(err error, file string) error {
	var damage *vault.DamageError
	switch {
	case !errors.As(err, &damage):
		return err
	case damage.Whole:
		return errorf(vault.ErrDamaged, "%v", err).
			hint("use another backup, or save what can be read of this one with: ass vault salvage %s NEW",
				shellWord(file))
	}
	return errorf(vault.ErrDamaged, "%v", err).
		hint("to list every problem: ass vault restore %s --verify-only", shellWord(file))
}

// showRestoration says what a restore will do.
func (a *app) showRestoration(file, path string, r vault.Restoration) {
	a.out.note("%s: %s; its newest log entry is %d, %s", a.tilde(file), plural(r.Secrets, "secret"), r.Entry,
		a.when(r.Taken))
	say := func(what string, names []string) {
		const most = 20
		if n := len(names); n > most {
			names = append(names[:most:most], "and "+plural(n-most, "more"))
		}
		if len(names) > 0 {
			a.out.note("  %s: %s", what, strings.Join(names, ", "))
		}
	}
	switch {
	case !r.There:
		a.out.note("there is no vault at %s", a.tilde(path))
	case r.Damaged != "":
		a.out.note("the vault is damaged (%s); its log can be read up to entry %d", r.Damaged, r.Newest)
	default:
		a.out.note("the vault at %s is at log entry %d", a.tilde(path), r.Newest)
	}
	if r.Others > 0 {
		a.out.note("  it has %s (hard links), which will stay an old copy of the vault", pluralOf(r.Others, "other name",
			"other names"))
	}
	if r.Unread != "" {
		a.out.note("  %s: newer deletions, purges, revocations and raised tiers may be lost", r.Unread)
	}
	say("will be restored (deleted or purged since the backup)", r.Returning)
	say("will go back to an older value", r.Older)
	say("will be removed (newer than the backup)", r.Leaving)
	say("will keep their raised tier", r.Raised)
	say("stay revoked", r.Revoked)
	say("WILL BE ACTIVE, though they may have been revoked since the backup", r.Reviving)
	say("agents that will be lost (newer than the backup and unreadable)", r.Lost)
	if r.There && !r.KeepsLog {
		a.out.note("  its log is not that of the backup, which goes on; the replaced file keeps it")
	}
	a.out.note("all tokens end, and requests for approval must be made again")
}

type vaultSalvage struct {
	Damaged  string `arg:"" help:"Damaged vault file; it is only read."`
	New      string `arg:"" help:"File to write, which must not exist."`
	KeyFile  string `help:"Read the owner key from a file, if no profile has it; - reads stdin." placeholder:"FILE"`
	Identity string `help:"Use a further key: an identity of an age plugin or of age-keygen, or an SSH private key." placeholder:"FILE"`
}

func (vaultSalvage) Help() string {
	return `Makes a new vault of every record in a damaged file whose MAC holds, whether or not anything
still leads to it, and lists what is lost. A backup is better, if there is one:
ass vault restore. Tokens and requests for approval end.`
}

func (c vaultSalvage) Run(a *app) error {
	h, err := a.find()
	if err != nil {
		return err
	}
	w, _, err := a.ownerKey(h, c.KeyFile, c.Identity, a.at(c.Damaged))
	if err != nil {
		return err
	}
	to, err := a.abs(c.New)
	if err != nil {
		return err
	}
	if err := folderOf(to); err != nil {
		return err
	}
	r, err := vault.Salvage(a.at(c.Damaged), to, w.id, a.optionsFor("re-encrypting"))
	if errors.Is(err, vault.ErrDamaged) {
		return errorf(vault.ErrDamaged, "%v", err).
			hint("if you have a backup, restore it with: ass vault restore BACKUP")
	}
	if err != nil {
		return err
	}
	a.changed("a new vault is at %s", a.tilde(to))
	return a.answer(salvageResult{
		File: to, SecretCount: r.Secrets, VersionCount: r.Versions, AgentCount: r.Agents,
		AuditEntries: r.Entries,
		LogFile:      r.LogFile, Lost: list(r.Lost), Reviving: list(r.Reviving), Epoch: r.Epoch,
	}, func() {
		for _, name := range r.Lost {
			a.out.line("lost  %s", name)
		}
		a.out.done("Salvaged to %s: %s, %s, %s", a.tilde(to), plural(r.Secrets, "secret"), plural(r.Versions, "stored value"),
			plural(r.Agents, "agent"))
		if r.LogFile != "" {
			a.out.note("the log has gaps, so it was saved beside the new vault: %s", a.tilde(r.LogFile))
		}
		if len(r.Reviving) > 0 {
			a.out.warnOf(sayf("these agents are active, though the unreadable part may have revoked them: %s",
				strings.Join(r.Reviving, ", ")).
				hint("revoke any that should not be active with: ass agents revoke"))
		}
		a.out.note("look at it with: ass --api-url %s secrets list '*'; then replace the damaged file with it", shellWord(to))
	})
}

// noteCopies names the copies of the vault that still open with a right that was just
// taken away in the vault itself.
func (a *app) noteCopies(copies []vault.Copy) {
	streamed := 0
	var files []string
	for _, c := range copies {
		if c.File == "" {
			streamed++
		} else if _, err := os.Lstat(c.File); err == nil {
			files = append(files, a.tilde(c.File)+" ("+a.when(c.At)+")")
		}
	}
	if streamed > 0 {
		files = append(files, plural(streamed, "backup")+" written to stdout")
	}
	if len(files) > 0 {
		a.out.warn("older copies of the vault can still be opened: %s", strings.Join(files, ", "))
	}
}
