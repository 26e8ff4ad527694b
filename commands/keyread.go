package commands

import (
	"fmt"
	"slices"
	"strings"

	"ass/commands/internal/paper"
	"ass/vault"
)

// How an owner key is read that somebody has written down.

const wayFromPages = "a share is text, or the lines of a page; type those in without a file"

// writtenKey reads an owner key in any form: from a file ("-" for stdin), or, if name is "", as it is typed on a
// terminal, or from stdin. With shares, it takes shares alone.
func (a *app) writtenKey(name string, shares bool) (*vault.Identity, error) {
	if name == "" && a.interactive() {
		return a.typedKey(shares)
	}
	b, err := a.readKeyText(orElse(name, "-"))
	if err != nil {
		return nil, err
	}
	text, raw := string(b), vault.KeyText(b)
	kind, rawErr := credentialKind(raw)
	if !paper.IsSheet(text) {
		switch {
		case shares:
			return nil, usagef("these are no shares of an owner key").hint("%s", wayFromPages)
		case raw == "":
			return nil, usagef("there is no owner key in it")
		case rawErr != nil || kind != ownerCredential:
			return nil, usagef("this is no owner key: one begins with AGE-SECRET-KEY-, and a sheet has lines of 20 characters")
		}
		return a.readIdentity(raw)
	}
	sheets, err := readSheets(text)
	if err != nil {
		return nil, err
	}
	if shares {
		return joinSheets(sheets)
	}
	id, err := sheetsKey(sheets)
	if err != nil {
		return nil, err
	}
	if rawErr == nil && kind == ownerCredential { // the sheet has the key as age writes it, too
		same, err := a.readIdentity(raw)
		if err != nil {
			return nil, err
		}
		if same.Text() != id.Text() {
			return nil, usagef("the lines of the sheet and the key on it, as age writes it, are different keys")
		}
	}
	return id, nil
}

// credentialText returns the credential in what a person gave: a file's content, or what was typed. The lines of a
// sheet, or a set of shares, become the owner key.
func credentialText(content []byte) (string, error) {
	text := vault.KeyText(content)
	if _, err := credentialKind(text); err == nil || !paper.IsSheet(string(content)) {
		return text, nil
	}
	sheets, err := readSheets(string(content))
	if err != nil {
		return "", err
	}
	id, err := sheetsKey(sheets)
	if err != nil {
		return "", err
	}
	return id.Text(), nil
}

// askCredential asks for a credential, which does not appear on the terminal. After the first line of a sheet, it asks
// for the others, which do: nobody types them right unseen.
func (a *app) askCredential(prompt string) (string, error) {
	typed, err := a.askHidden(prompt)
	if err != nil {
		return "", err
	}
	if _, err := credentialKind(vault.KeyText([]byte(typed))); err == nil || !paper.IsSheet(typed) {
		return typed, a.dropTyped()
	}
	id, err := a.typedSheets(typed, false)
	if err != nil {
		return "", err
	}
	return id.Text(), nil
}

// typedKey asks for an owner key, line by line.
func (a *app) typedKey(shares bool) (*vault.Identity, error) {
	a.out.note("what you type is shown; Ctrl-C ends it")
	if shares {
		return a.typedSheets("", true)
	}
	for {
		line, err := a.ask("Line 1 of the sheet, or the whole key: ")
		if err != nil {
			return nil, err
		}
		switch {
		case vault.LooksLikeIdentity(line):
			id, err := vault.ParseIdentity(line)
			if err == nil {
				return id, a.dropTyped()
			}
			a.out.note("%v", err)
		case paper.IsSheet(line):
			return a.typedSheets(line, false)
		case len(paper.LinesIn(line)) > 0:
			a.out.note("a line of a sheet has 20 characters, and a key begins with AGE-SECRET-KEY-; type it again")
		}
	}
}

// typedSheets asks for the lines of a sheet and, if it is a share, for as many shares as it takes. line is the first
// line, if that was typed already.
func (a *app) typedSheets(line string, shares bool) (*vault.Identity, error) {
	var sheets []paper.Sheet
	for {
		s, err := a.typedSheet(line, len(sheets))
		if err != nil {
			return nil, err
		}
		line = ""
		switch {
		case s.Share == nil && (shares || len(sheets) > 0):
			a.out.note("this is a whole owner key, and no share")
			continue
		case s.Share == nil:
			if err := a.dropTyped(); err != nil {
				return nil, err
			}
			return sheetsKey([]paper.Sheet{s})
		case len(sheets) > 0 && s.Share.Set != sheets[0].Share.Set:
			a.out.note("this share is of the set %s, and those before are of %s: it is left out", paper.SetName(s.Share.Set),
				paper.SetName(sheets[0].Share.Set))
			continue
		}
		known := false
		for _, other := range sheets {
			known = known || other.Share.Number == s.Share.Number
		}
		if known {
			a.out.note("share %d was typed before", s.Share.Number)
			continue
		}
		sheets = append(sheets, s)
		if missing := s.Share.Threshold - len(sheets); missing > 0 {
			a.out.note("share %d of the set %s; %s to go", s.Share.Number, paper.SetName(s.Share.Set), plural(missing, "share"))
			continue
		}
		if err := a.dropTyped(); err != nil {
			return nil, err
		}
		return joinSheets(sheets)
	}
}

// typedSheet asks for each line of a sheet until it is right. So many shares were typed before.
func (a *app) typedSheet(line string, before int) (paper.Sheet, error) {
	var r paper.Reader
	for !r.Done() {
		if line == "" {
			prompt := fmt.Sprintf("Line %d: ", r.Line())
			if before > 0 {
				prompt = fmt.Sprintf("Next share, line %d: ", r.Line())
			}
			var err error
			if line, err = a.ask(prompt); err != nil {
				return paper.Sheet{}, err
			}
		}
		parts := paper.LinesIn(line)
		if vault.LooksLikeIdentity(line) {
			parts = []string{line} // to be named wrong
		}
		for _, part := range parts {
			if err := r.Add(part); err != nil {
				a.out.note("%v; type it again", err)
				break
			}
		}
		line = ""
	}
	s, err := r.Sheet()
	if err != nil {
		return s, usagef("%v", err).hint("type all lines again")
	}
	return s, nil
}

// readSheets reads the sheets of a text.
func readSheets(text string) ([]paper.Sheet, error) {
	sheets, err := paper.Read(text)
	if err != nil {
		return nil, usagef("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return sheets, nil
}

// sheetsKey returns the key that sheets have: one whole key, or enough shares.
func sheetsKey(sheets []paper.Sheet) (*vault.Identity, error) {
	if !slices.ContainsFunc(sheets, func(s paper.Sheet) bool { return s.Share == nil }) {
		return joinSheets(sheets)
	}
	var id *vault.Identity
	for _, s := range sheets {
		if s.Share != nil {
			return nil, usagef("there are shares and a whole owner key").hint("give one of them")
		}
		next, err := vault.IdentityOf([32]byte(s.Payload), s.X25519)
		if err != nil {
			return nil, err
		}
		if id != nil && next.Text() != id.Text() {
			return nil, usagef("there are sheets of two owner keys").hint("give one of them")
		}
		id = next
	}
	return id, nil
}

// joinSheets makes the key of shares. It says what is missing, or does not fit.
func joinSheets(sheets []paper.Sheet) (*vault.Identity, error) {
	if len(sheets) == 0 {
		return nil, usagef("there are no shares in it")
	}
	var (
		shares []vault.Share
		sets   []string              // in the order in which they come
		of     = map[string]string{} // the numbers of each set
		seen   = map[int]bool{}
	)
	for _, s := range sheets {
		if s.Share == nil {
			return nil, usagef("this is a whole owner key, and no share").hint("store it with: ass login --key -")
		}
		share := vault.Share{X25519: s.X25519, Set: s.Share.Set, Number: s.Share.Number, Threshold: s.Share.Threshold, Total: s.Share.Total}
		copy(share.Points[:], s.Payload)
		set := paper.SetName(share.Set)
		if of[set] == "" {
			sets = append(sets, set)
			of[set] = fmt.Sprintf("share %d", share.Number)
		} else {
			of[set] += fmt.Sprintf(", share %d", share.Number)
		}
		seen[share.Number] = true
		shares = append(shares, share)
	}
	if len(sets) > 1 {
		var list []string
		for _, set := range sets {
			list = append(list, of[set]+" of the set "+set)
		}
		return nil, usagef("these shares are of different sets: %s", strings.Join(list, "; ")).hint("give shares of one set")
	}
	if missing := shares[0].Threshold - len(seen); missing > 0 {
		return nil, usagef("it takes %d shares of the set %s: %s missing", shares[0].Threshold, sets[0],
			pluralOf(missing, "is", "are"))
	}
	id, err := vault.JoinShares(shares)
	if err != nil {
		return nil, usagef("%v: one of them was altered, or is of another set %s", err, sets[0]).hint("leave one of them out")
	}
	return id, nil
}
