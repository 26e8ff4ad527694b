package commands

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"ass/audit"
	"ass/vault"
)

type auditGroup struct {
	Log    auditShow   `cmd:"" name:"log" default:"withargs" hidden:"" help:"Show the newest entries."`
	Verify auditVerify `cmd:"" help:"Verify every record of the vault and every entry of its log."`

	Report  auditReport  `cmd:"" help:"Say what an agent or a token could open, and what it did."`
	Archive auditArchive `cmd:"" help:"Move old entries into a file that verifies by itself."`
}

type auditShow struct {
	Limit     int    `short:"l" help:"Number of entries to show; 0 for all." default:"25"`
	Tail      bool   `help:"Follow new entries as they are written."`
	Namespace string `help:"Only entries about secrets in this namespace and below." placeholder:"NS"`
	Agent     string `help:"Only what this agent did, by name or id, with its tokens; or a token, by id; or owner." placeholder:"AGENT"`
	Action    string `help:"Only this event, such as secret.read, or a family, such as secret or secret.read.*" placeholder:"EVENT"`
	Since     string `help:"Only entries from then on: a date, an RFC 3339 time, or how long ago (2h, 7d)." placeholder:"TIME"`
	Until     string `help:"Only entries up to then: a date (inclusive), an RFC 3339 time, or how long ago." placeholder:"TIME"`
}

func (c auditShow) Help() string {
	return `The newest entry comes first; with --tail, the oldest of those shown. Times are local
on a terminal. A name stands for an agent that was revoked, too. What the owner did while
the vault was unlocked counts as the owner's. If the owner's key opens without a passphrase,
up to 1000 entries are verified before they are shown: each is signed by its author, in
its place. Exit code 8 if one is not. Then, reads of canaries are marked, too.`
}

func (c auditShow) Run(a *app) error {
	filter, err := c.filter(a.now())
	if err != nil {
		return err
	}
	if c.Limit < 0 {
		return usagef("--limit must not be negative")
	}
	if c.Tail {
		return c.follow(a, filter)
	}
	return c.pages(a, filter)
}

// pageBytes is how many bytes of the log are read before they are printed. In between, the vault is closed, so that a slow
// reader does not keep it locked, and so that a log of any length takes the same memory.
const pageBytes = 2 << 20

// pages prints the newest entries, page by page. With --json, all pages are one document.
func (c auditShow) pages(a *app, filter logFilter) error {
	h, err := a.find()
	if err != nil {
		return err
	}
	p := logPrinter{app: a, from: h}
	var (
		newest  vault.Receipt
		query   vault.Query
		total   int
		checked vouching
	)
	page := func(v *vault.Vault, s *vault.Session) (more bool, err error) {
		if p.printed == 0 {
			if err := filter.who(v, s, c.Agent); err != nil {
				return false, err
			}
			query = filter.query()
			if newest, err = v.Receipt(); err != nil {
				return false, err
			}
		}
		var entries []vault.Entry
		bytes := 0
		query.Before, err = v.EachEntry(query, func(e vault.Entry, size int) bool {
			entries = append(entries, e)
			bytes += size
			more = bytes >= pageBytes
			return !more && (c.Limit == 0 || p.printed+len(entries) < c.Limit)
		})
		more = more && (c.Limit == 0 || p.printed+len(entries) < c.Limit)
		if err == nil && !more && p.printed+len(entries) == 0 && c.Namespace != "" {
			err = a.noteUnknownNamespace(v, s, filter)
		}
		if total = p.printed + len(entries); err == nil && a.JSON && c.Limit > 0 && total == c.Limit { // only programs see the total
			query.Before = vault.Receipt{}
			total, err = v.CountEntries(query)
		}
		if err != nil {
			return false, err
		}
		if p.printed == 0 {
			checked = a.vouch(h, v, entries, c.Limit)
		}
		return more, p.print(v, entries)
	}
	for more := true; more; {
		err := a.look(func(v *vault.Vault, s *vault.Session) (err error) {
			more, err = page(v, s)
			return err
		})
		if err == nil {
			err = a.out.err
		}
		if err != nil {
			return err
		}
	}
	if a.JSON {
		receipt := newest.String()
		if a.ids != nil {
			receipt = ""
		}
		if err := p.end(logResult{Total: total, Page: 1, Limit: c.Limit, Receipt: receipt, Verified: checked.holds()}); err != nil {
			return err
		}
	} else {
		a.printReceipt(newest)
	}
	return checked.tell(a, total)
}

// printReceipt shows a person the receipt of the newest entry. In a pipe, --json has it.
func (a *app) printReceipt(r vault.Receipt) {
	if a.out.errTTY && r.Seq > 0 {
		a.out.noteOf(sayf("receipt: %s", r).
			hint("keep it elsewhere; it shows later that the end of the log is still there: ass audit verify --expect RECEIPT"))
	}
}

// resource says, for people, what an event is about: for a token, its scopes; for a
// request, the secret; for several secrets, how many and where they are.
func resource(e audit.Event) string {
	switch e.Type {
	case audit.TokenIssued:
		return joined(e.Metadata["scopes"])
	case audit.ApprovalRequested, audit.ApprovalReason, audit.ApprovalGranted, audit.ApprovalDenied:
		if path, ok := e.Metadata["path"].(string); ok {
			return path
		}
	}
	return e.About()
}

func joined(list any) string {
	items, _ := list.([]any)
	texts := make([]string, len(items))
	for i, x := range items {
		texts[i] = fmt.Sprint(x)
	}
	return strings.Join(texts, ",")
}

// clock shows the time of an entry: local for people, RFC 3339 for programs.
func (a *app) clock(t time.Time) string {
	if a.out.tty {
		return t.Local().Format(time.DateTime)
	}
	return stamp(t)
}

// pollEvery is the interval at which --tail and waiting look at the vault. They hold no
// lock in between.
const pollEvery = 200 * time.Millisecond

// follow prints the newest entries, and then every new one, until Ctrl-C. It opens the path anew each time it looks,
// so a compaction, which replaces the file, does not disturb it. An entry that does not hold is told of, and at the
// end it is the error.
func (c auditShow) follow(a *app, filter logFilter) error {
	a.quietQuit()
	h, err := a.find()
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	if a.ownsProcess() {
		signal.Notify(stop, os.Interrupt)
		defer signal.Stop(stop)
	}
	var (
		seen    uint64
		told    bool // why nothing is verified
		invalid int
	)
	p := logPrinter{app: a, lines: true, from: h}
	show := func(v *vault.Vault, entries []vault.Entry) error {
		if len(entries) == 0 {
			return nil
		}
		x := a.vouch(h, v, entries, len(entries))
		if err := p.print(v, entries); err != nil {
			return err
		}
		if x.why != "" && told {
			return nil
		}
		told = told || x.why != ""
		if x.tell(a, len(entries)) != nil {
			invalid += len(x.Problems)
		}
		return nil
	}
	err = a.look(func(v *vault.Vault, s *vault.Session) error {
		if err := filter.who(v, s, c.Agent); err != nil {
			return err
		}
		entries, err := v.Log(c.Limit, filter.matches)
		if err != nil {
			return err
		}
		slices.Reverse(entries)
		newest, err := v.Receipt()
		if err != nil {
			return err
		}
		seen = newest.Seq
		return show(v, entries)
	})
	if err != nil {
		return err
	}
	for {
		select {
		case <-stop:
			if invalid > 0 {
				return &verifyError{invalid}
			}
			return nil
		case <-time.After(pollEvery):
		}
		err := a.look(func(v *vault.Vault, s *vault.Session) error {
			found, newest, err := v.LogAfter(seen, filter.matches)
			if err == nil && newest < seen {
				a.out.warn("the log shrank from %d to %d entries: the vault was replaced by an older copy", seen, newest)
			}
			if err != nil {
				return err
			}
			seen = newest
			return show(v, found)
		})
		if errors.Is(err, vault.ErrBusy) || errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = a.out.err
		}
		if err != nil {
			return err
		}
	}
}

type auditVerify struct {
	All     bool    `help:"Check every log entry again, also those that held before."`
	Archive string  `help:"Verify a file of archived entries instead, without a key." placeholder:"FILE"`
	Expect  *string `help:"Fail unless the log has the entry of this receipt, which ass audit printed." placeholder:"SEQ:MAC"`
}

func (auditVerify) Help() string {
	return `Checks, with the owner's key: the MAC and the signature of every record, that none was
put back or removed, every entry of the log, that each secret is what the newest
entry about it says, and that this machine has not seen a newer vault. Exit code 8 if
anything does not hold.

When thousands of entries were checked and everything held, this machine remembers it, and
the next run compares those entries with a sum over them: they must be the same to the
byte, or all are checked. With --all, all are checked in any case.

An agent or a token that has seen an earlier end of the log can put it back, and go on from
there. This machine notices if it has seen the later one. On any other machine, only a receipt
shows it: ass audit prints one on a terminal, and with --json. Keep it outside of the vault's
machine.`
}

func (c auditVerify) Run(a *app) error {
	var expected vault.Receipt
	if c.Expect != nil { // an empty one is an error: a script may have lost it
		var err error
		if expected, err = vault.ParseReceipt(*c.Expect); err != nil {
			return err
		}
	}
	if c.Archive != "" {
		if c.All {
			return usagef("--all is only for the log in the vault; every entry of an archive is always checked")
		}
		return a.verifyArchive(c.Archive, expected)
	}
	return a.withSession(access{readOnly: true, owner: "verify the vault", progress: "verifying"},
		func(s *vault.Session) error {
			verify := s.Reverify
			if c.All {
				verify = func() (vault.Report, error) { return s.Verify(false) }
			}
			r, err := verify()
			if err != nil {
				return err
			}
			if c.Expect != nil {
				err = s.Expect(expected)
			}
			if errors.Is(err, vault.ErrDamaged) {
				r.Problems, err = append(r.Problems, err.Error()), nil
			}
			if problems := a.report(r); problems != nil {
				return problems
			}
			return err
		})
}

// report prints what a verification found.
func (a *app) report(r vault.Report) error {
	r.Problems = append(r.Problems, r.Miscounted...)
	if a.JSON {
		if err := a.out.json(verifyResult{Entries: r.Entries, Records: r.Records, Epoch: r.Epoch,
			Archived: r.Archived, VerifiedBefore: r.Verified, Problems: list(r.Problems), Receipt: r.Receipt.String(),
			Warnings: list(r.Ahead)}); err != nil {
			return err
		}
	} else {
		for _, p := range r.Problems {
			a.out.line("%s", p)
		}
	}
	if !a.JSON {
		for _, text := range r.Ahead {
			a.out.warn("%s", text)
		}
	}
	if r.Unread != nil {
		a.out.warn("%v, so every entry was verified", r.Unread)
	}
	if n := len(r.Problems); n > 0 {
		return &verifyError{n}
	}
	if !r.Remembered {
		a.out.note("this machine sees the vault for the first time, so it cannot tell whether this is an older copy")
	}
	if !a.JSON {
		if r.Archived > 0 {
			a.out.note("log entries 1 to %d were archived", r.Archived)
		}
		if r.Verified > 0 {
			a.out.noteOf(sayf("log entries %d to %d are unchanged since the verification on %s", r.Archived+1,
				r.Verified, stamp(r.VerifiedAt)).
				hint("to check each of them again: ass audit verify --all"))
		}
		a.out.done("OK: verified %s and %s (epoch %d)", pluralOf(int(r.Entries), "log entry", "log entries"),
			plural(int(r.Records), "record"), r.Epoch)
		a.printReceipt(r.Receipt)
	}
	return nil
}

// verifyError is the error of a verification that found problems. The problems
// themselves were already printed.
type verifyError struct{ problems int }

func (e *verifyError) Error() string {
	return onOneLine(plural(e.problems, "problem")+" found", e.WayOut())
}
func (e *verifyError) WayOut() string {
	return "restore a backup with: ass vault restore BACKUP, or save what is intact with: ass vault salvage"
}
func (e *verifyError) Unwrap() error { return vault.ErrDamaged }
