package commands

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"ass/commands/internal/paper"
	"ass/vault"
	"ass/vault/disk"
)

// The owner key as something that people keep: on paper, whole or in shares. keyread.go reads it again.

type keyGroup struct {
	Show  keyShow  `cmd:"" help:"Print the owner key, or a sheet of paper with it."`
	Test  keyTest  `cmd:"" help:"Try whether what was written down opens the vault."`
	Split keySplit `cmd:"" help:"Make shares of the owner key, of which some open the vault."`
	Join  keyJoin  `cmd:"" help:"Make the owner key of its shares again."`

	List   keyList   `cmd:"" help:"List the keys that open the vault."`
	Add    keyAdd    `cmd:"" help:"Let a hardware key, an SSH key or another age key open the vault, too."`
	Remove keyRemove `cmd:"" help:"Remove a further key, and replace the owner key."`
}

type keyShow struct {
	Paper bool   `help:"Print a sheet: the key in lines with checks, and on a terminal a QR code."`
	SVG   string `name:"svg" help:"Write the QR code to this file, as a picture." placeholder:"FILE"`
	HTML  string `name:"html" help:"Write a page to print to this file." placeholder:"FILE"`
	Force bool   `help:"Overwrite these files."`
}

func (keyShow) Help() string {
	return `Prints the owner key that the profile has; if it has a passphrase, that is asked for.

The lines of a sheet have no letter that looks like a digit, and each ends with a check,
so a mistake is named by its line when they are typed in again: at ass key test, or at
ass login. The QR code holds the key as age writes it, so that age alone can use it.
Without colours (NO_COLOR), it is drawn for a terminal that is light on dark.`
}

func (c keyShow) Run(a *app) error {
	if c.SVG == "-" || c.HTML == "-" {
		return usagef("--svg and --html write files, and - is none").hint("give each a name")
	}
	if c.SVG != "" && c.HTML != "" && filepath.Clean(a.at(c.SVG)) == filepath.Clean(a.at(c.HTML)) {
		return usagef("--svg and --html name one file")
	}
	p, id, err := a.storedKey("show the owner key")
	if err != nil {
		return err
	}
	page, err := keyPage(id, p.Vault)
	if err != nil {
		return err
	}
	result := keyResult{Profile: a.Profile, VaultID: p.Vault}
	for _, file := range []struct {
		name  string
		draw  func() (string, error)
		named *string
	}{{c.SVG, page.SVG, &result.SVG}, {c.HTML, page.HTML, &result.HTML}} {
		if file.name == "" {
			continue
		}
		text, err := file.draw()
		if err == nil {
			err = a.writeKeyFile(file.name, text, c.Force)
		}
		if err != nil {
			return err
		}
		if *file.named, err = a.abs(file.name); err != nil {
			return err
		}
		a.changed("the owner key is in %s", file.name)
	}
	filesAlone := !c.Paper && (c.SVG != "" || c.HTML != "")
	if !filesAlone {
		result.OwnerKey = id.Text()
	}
	if c.Paper {
		result.Lines = page.Lines
	}
	if p.NextKey != "" {
		a.out.warnOf(sayf("a rekey was interrupted, and this may be the key of before").hint("read a secret, and show the key again"))
	}
	a.warnOfKey()
	return a.answer(result, func() {
		switch {
		case c.Paper:
			a.printSheet(page)
		case !filesAlone:
			a.out.line("%s", id.Text())
		}
		for _, name := range []string{c.SVG, c.HTML} {
			if name != "" {
				a.out.done("Written to %s", name)
			}
		}
	})
}

// warnOfKey says what is on stdout, or in a file.
func (a *app) warnOfKey() {
	a.out.warn("this is the owner key: whoever has it can read every secret, and act as the owner")
}

// storedKey returns the profile, and the owner key in it. what is what only the owner may do with it.
func (a *app) storedKey(what string) (*profile, *vault.Identity, error) {
	cfg, err := a.loadConfig()
	if err != nil {
		return nil, nil, err
	}
	cred, err := a.findCredential(cfg)
	switch {
	case err != nil:
		return nil, nil, err
	case cred.kind == "" && len(cfg.Profiles) > 0:
		return nil, nil, noProfile(a.Profile, cfg)
	case cred.kind == "":
		return nil, nil, noOwnerKey()
	case cred.kind != ownerCredential:
		return nil, nil, errorf(vault.ErrDenied, "only the owner can %s, and %s holds %s", what, cred.from, withArticle(kindName(cred.kind))).
			hint("run it with the owner's key")
	}
	key, err := a.readKey(cred)
	return cfg.Profiles[a.Profile], key.owner, err
}

// forPeople refuses a program that acts for a model, which is to get no owner key.
func (a *app) forPeople() error {
	if a.confined {
		return errorf(vault.ErrDenied, "this runs on an agent key or a token, and owner keys are for people")
	}
	return nil
}

// keyPage is the sheet of a whole key.
func keyPage(id *vault.Identity, vaultID string) (paper.Page, error) {
	sheet, err := keySheet(id)
	if err != nil {
		return paper.Page{}, err
	}
	return paper.Page{
		Title: "Owner key of the ass vault " + orElse(vaultID, "that is not made yet"),
		About: []string{
			"Whoever has this can read every secret of the vault, and act as its owner.",
			"Test it now, and once a year, with: ass key test",
			"Without the vault's file, it opens nothing: keep backups elsewhere.",
			readingSheets,
		},
		Lines: sheet.Lines(),
		Key:   id.Text(),
	}, nil
}

const readingSheets = "O means 0; I and L mean 1; Z 2; S 5; G 6; B 8. A line ends with its check."

func keySheet(id *vault.Identity) (paper.Sheet, error) {
	key, x25519, err := id.Secret()
	return paper.Sheet{X25519: x25519, Payload: key[:]}, err
}

// printSheet prints a sheet; on a terminal, with its QR code.
func (a *app) printSheet(page paper.Page) {
	a.out.write(page.Text())
	if !a.out.tty {
		return
	}
	code, err := page.Blocks(a.out.colours)
	if err != nil {
		return // unreachable: a key is shorter than what a code can hold
	}
	first, _, _ := strings.Cut(code, "\n")
	switch {
	case columns(a.out.w) < strings.Count(first, " ")+strings.Count(first, "█"): // a line of the quiet zone
		a.out.noteOf(sayf("the terminal is too narrow for the QR code").hint("write it to a file with: ass key show --svg FILE"))
		return
	case !a.out.colours:
		a.out.noteOf(sayf("without colours, the QR code is right where text is light on dark").
			hint("elsewhere, write it to a file with: ass key show --svg FILE"))
	}
	a.out.write("\n" + code)
}

// writeKeyFile writes a file with a key, for its owner alone.
func (a *app) writeKeyFile(name, text string, force bool) error {
	if force {
		return a.writePrivate(a.at(name), []byte(text))
	}
	err := a.writeNew(a.at(name), []byte(text), 0o600)
	if errors.Is(err, fs.ErrExist) {
		return usagef("%s already exists", name).hint("to overwrite it: --force")
	}
	return err
}

type keySplit struct {
	Shares    int    `required:"" help:"How many shares to make: 2 to 16." placeholder:"N"`
	Threshold int    `required:"" help:"How many of them open the vault: at least 2." placeholder:"K"`
	To        string `help:"Write each share to a file of its own in this folder." placeholder:"DIR"`
	HTML      bool   `name:"html" help:"With --to: pages to print, not text."`
}

func (keySplit) Help() string {
	return `Prints shares of the owner key, each of them a sheet for paper, to be given to different
people. Any K of them make the key again (ass key join); fewer tell nothing about it,
whatever somebody computes. Nothing is stored: each run makes another set, and shares of
different sets do not fit together. Give the shares out, and delete the files.`
}

func (c keySplit) Run(a *app) error {
	switch {
	case c.Shares < vault.FewestShares || c.Shares > vault.MostShares:
		return usagef("--shares must be from %d to %d", vault.FewestShares, vault.MostShares)
	case c.Threshold < vault.FewestShares || c.Threshold > c.Shares:
		return usagef("--threshold must be from %d to the number of shares", vault.FewestShares)
	case c.HTML && c.To == "":
		return usagef("--html goes with --to")
	}
	p, id, err := a.storedKey("split the owner key")
	if err != nil {
		return err
	}
	shares, err := vault.SplitIdentity(id, c.Shares, c.Threshold)
	if err != nil {
		return err
	}
	if joined, err := vault.JoinShares(shares); err != nil || joined.Text() != id.Text() {
		return failf("the shares do not make the key again, so none is printed").hint("please report it")
	}
	result := splitResult{Set: paper.SetName(shares[0].Set), Threshold: c.Threshold, Shares: []splitShareResult{}}
	pages := make([]paper.Page, len(shares))
	for i, s := range shares {
		pages[i] = sharePage(s, p.Vault)
		result.Shares = append(result.Shares, splitShareResult{Number: s.Number})
	}
	if c.To != "" {
		if err := c.write(a, pages, &result); err != nil {
			return err
		}
	} else {
		for i, page := range pages {
			result.Shares[i].Lines = page.Lines
		}
	}
	a.out.warn("these are shares of the owner key: any %d of them open the vault", c.Threshold)
	return a.answer(result, func() {
		if c.To != "" {
			a.out.done("Wrote %d shares of set %s to %s: any %d of them open the vault", c.Shares, result.Set, c.To, c.Threshold)
			return
		}
		for i, page := range pages {
			if i > 0 {
				a.out.write("\n")
			}
			a.out.write(page.Text())
		}
	})
}

// write writes a file for each share. If one cannot be written, it leaves none; of a run that was killed, some may
// stay, and fit no share of another run.
func (c keySplit) write(a *app, pages []paper.Page, result *splitResult) error {
	dir, err := a.abs(c.To)
	if err != nil {
		return err
	}
	if err := privateFolder(dir, "name a folder of your own with --to"); err != nil {
		return err
	}
	var written []string
	for i, page := range pages {
		name, text := fmt.Sprintf("share-%d-of-%d-%s.txt", i+1, len(pages), result.Set), page.Text()
		if c.HTML {
			name = strings.TrimSuffix(name, "txt") + "html"
			text, err = page.HTML()
		}
		path := filepath.Join(dir, name)
		if err == nil {
			err = a.writeKeyFile(path, text, false)
		}
		if err != nil {
			for _, path := range written {
				err = errors.Join(err, disk.Remove(path))
			}
			return err
		}
		written = append(written, path)
		result.Shares[i].File = path
	}
	a.changed("the shares are in %s", c.To)
	return nil
}

func sharePage(s vault.Share, vaultID string) paper.Page {
	return paper.Page{
		Title: fmt.Sprintf("Share %d of %d of the owner key of the ass vault %s", s.Number, s.Total, orElse(vaultID, "that is not made yet")),
		About: []string{
			fmt.Sprintf("Any %d shares of the set %s make the owner key again; fewer tell nothing about it.", s.Threshold, paper.SetName(s.Set)),
			"Give it to nobody but the owner, or somebody who acts for the owner.",
			fmt.Sprintf("To make the key of %d shares: ass key join", s.Threshold),
			readingSheets,
		},
		Lines: paper.Sheet{
			X25519:  s.X25519,
			Share:   &paper.Share{Set: s.Set, Number: s.Number, Threshold: s.Threshold, Total: s.Total},
			Payload: s.Points[:],
		}.Lines(),
	}
}

type keyJoin struct {
	Files []string `arg:"" optional:"" name:"file" help:"Files with shares; stdin if none is named, or what is typed on a terminal."`
	Login bool     `help:"Store the key in the profile, as ass login does; do not print it."`
}

func (keyJoin) Help() string {
	return `Prints the owner key that the shares of ass key split make. It needs no vault, and changes
nothing; with --login, the key must open the vault, and is stored. Shares that are too
few, of different sets, or wrong in a line are named.`
}

func (c keyJoin) Run(a *app) error {
	if err := a.forPeople(); err != nil {
		return err
	}
	var (
		id  *vault.Identity
		err error
	)
	if len(c.Files) == 0 {
		id, err = a.writtenKey("", true)
	} else {
		id, err = a.joinFiles(c.Files)
	}
	if err != nil {
		return err
	}
	if c.Login {
		return a.loginWith(id)
	}
	a.warnOfKey()
	return a.answer(keyResult{OwnerKey: id.Text()}, func() { a.out.line("%s", id.Text()) })
}

// joinFiles makes the key of the shares in files.
func (a *app) joinFiles(names []string) (*vault.Identity, error) {
	var sheets []paper.Sheet
	for _, name := range names {
		b, err := a.readKeyText(name)
		if err != nil {
			return nil, err
		}
		if !paper.IsSheet(string(b)) {
			return nil, usagef("%s: there are no shares in it", name).hint("%s", wayFromPages)
		}
		some, err := readSheets(string(b))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		sheets = append(sheets, some...)
	}
	return joinSheets(sheets)
}

// loginWith stores an owner key for the vault that there is.
func (a *app) loginWith(id *vault.Identity) error {
	cfg, at, err := a.findPlace()
	if err != nil {
		return err
	}
	if !at.exists() {
		return errorf(vault.ErrNoVault, "no vault at %s", at.path).hint("bring a backup of it back with: ass vault restore")
	}
	l := login{app: a, at: at, old: cfg.Profiles[a.Profile]}
	return l.store(id.Text())
}

type keyTest struct {
	KeyFile string `help:"Read it from a file; - reads stdin." placeholder:"FILE"`
}

func (keyTest) Help() string {
	return `Takes an owner key in each form in which one is kept: typed line by line from a sheet, or
in a file or through stdin a sheet, a set of shares, the key itself, or what age -p made
of it. It opens the vault with it, and stores and changes nothing. A wrong line is named
and, on a terminal, asked for again; what is typed is shown there.`
}

func (c keyTest) Run(a *app) error {
	if err := a.forPeople(); err != nil {
		return err
	}
	cfg, at, err := a.findPlace()
	if err != nil {
		return err
	}
	if !at.exists() {
		return errorf(vault.ErrNoVault, "no vault at %s to test the key on", at.path).hint("name it with --api-url")
	}
	id, err := a.writtenKey(c.KeyFile, false)
	if err != nil {
		return err
	}
	vid, err := (&login{app: a, at: at}).try(openKey{owner: id})
	if errors.Is(err, vault.ErrWrongKey) {
		said := errorf(vault.ErrWrongKey, "this is an owner key, and it does not open the vault at %s", at.path)
		if other := a.vaultOf(cfg, id); other != "" {
			said = errorf(vault.ErrWrongKey, "this is the owner key of another vault, %s, and does not open the one at %s", other, at.path)
		}
		return said
	}
	if err != nil {
		return err
	}
	return a.answer(keyTestResult{Opens: true, Vault: at.path, VaultID: vid}, func() {
		a.out.done("This key opens the vault at %s (id %s)", a.tilde(at.path), vid)
	})
}

// vaultOf returns the id of the vault that a key is known to open: a profile without a passphrase says so, or a
// recovery file; "" if it is not known.
func (a *app) vaultOf(cfg *config, id *vault.Identity) string {
	for _, name := range slices.Sorted(maps.Keys(cfg.Profiles)) {
		if p := cfg.Profiles[name]; p.Credential == ownerCredential && p.Key == id.Text() && p.Vault != "" {
			return p.Vault
		}
	}
	files, _ := filepath.Glob(filepath.Join(globSafe(filepath.Dir(cfg.path)), "recovery-*.key"))
	for _, file := range files {
		b, err := readOwn(file, 64<<10)
		if err != nil || vault.KeyText(b) != id.Text() {
			continue
		}
		of, _, _ := strings.Cut(strings.TrimPrefix(string(b), recoveryMark), ".")
		if isVaultID(of) {
			return of
		}
	}
	return ""
}
