package commands

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault"
)

type auditGroup struct {
	Log    auditShow   `cmd:"" name:"log" default:"withargs" hidden:"" help:"Show the newest entries."`
	Verify auditVerify `cmd:"" help:"Verify every record of the vault and every entry of its log."`

	Archive auditArchive `cmd:"" help:"Move old entries into a file that verifies by itself."`
}

type auditShow struct {
	Limit     int    `short:"l" help:"Number of entries to show; 0 for all." default:"25"`
	Tail      bool   `help:"Follow new entries as they are written."`
	Namespace string `help:"Only entries about secrets in this namespace and below." placeholder:"NS"`
	Agent     string `help:"Only entries of this actor: owner, or the id of an agent or a token." placeholder:"ID"`
	Action    string `help:"Only this event, such as secret.read, or a group of them, such as secret." placeholder:"EVENT"`
	Since     string `help:"Only entries from then on: a date, an RFC 3339 time, or how long ago (2h, 7d)." placeholder:"TIME"`
	Until     string `help:"Only entries up to then: a date (inclusive), an RFC 3339 time, or how long ago." placeholder:"TIME"`
}

func (c auditShow) Help() string {
	return `The newest entry comes first; with --tail, the oldest of those shown. Times are local
on a terminal. To see whether the log is whole: ass audit verify`
}

func (c auditShow) Run(a *app) error {
	match, err := c.filter(a.now())
	if err != nil {
		return err
	}
	if c.Limit < 0 {
		return usagef("--limit must not be negative")
	}
	if c.Tail {
		return c.follow(a, match)
	}
	return a.look(func(v *vault.Vault, s *vault.Session) error {
		match := ownEntries(s, match)
		entries, err := v.Log(c.Limit, match)
		total := len(entries)
		if err == nil && a.JSON && total == c.Limit { // only programs see the total, which takes a walk through the log
			total, err = v.CountLog(match)
		}
		if err != nil {
			return err
		}
		events := make([]eventJSON, len(entries))
		for i, e := range entries {
			events[i] = eventOf(e)
		}
		newest, err := v.Receipt()
		if err != nil {
			return err
		}
		answer := logResult{Events: events, Total: total, Page: 1, Limit: c.Limit, Receipt: newest.String()}
		return a.answer(answer, func() {
			c.print(a, entries)
			a.printReceipt(newest)
		})
	})
}

// printReceipt shows a person the receipt of the newest entry. In a pipe, --json has it.
func (a *app) printReceipt(r vault.Receipt) {
	if a.out.errTTY && r.Seq > 0 {
		a.out.note("receipt: %s (kept elsewhere, it shows later that the end of the log is still there: ass audit verify "+
			"--expect RECEIPT)", r)
	}
}

// ownEntries narrows a filter to what an agent or a token did itself. This is a
// convenience and protects nothing, because the log is not encrypted.
func ownEntries(s *vault.Session, match func(audit.Event) bool) func(audit.Event) bool {
	if s == nil {
		return match
	}
	return func(e audit.Event) bool { return e.ActorID == s.ID() && (match == nil || match(e)) }
}

func eventOf(e vault.Entry) eventJSON { return eventJSON(e) }

func (c auditShow) print(a *app, entries []vault.Entry) {
	rows := make([][]cell, len(entries))
	for i, e := range entries {
		colour := ""
		if isDenied(e.Event) {
			colour = red
		}
		actor := ""
		if e.ActorID != audit.Owner {
			actor = e.ActorID
		}
		rows[i] = []cell{{a.clock(e.CreatedAt), dim}, {e.Type, colour}, {resource(e.Event), ""}, {actor, dim}}
	}
	a.out.table(trimColumn(rows))
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

// isIn reports whether an event is about a secret in a namespace or below it: at least one, if it is about several.
func isIn(e audit.Event, ns tokens.Namespace) bool {
	of := func(path string) bool {
		p, err := tokens.ParsePath(path)
		return err == nil && ns.Contains(p)
	}
	for _, item := range e.Secrets() {
		if of(item.Path) {
			return true
		}
	}
	return of(resource(e))
}

func joined(list any) string {
	items, _ := list.([]any)
	texts := make([]string, len(items))
	for i, x := range items {
		texts[i] = fmt.Sprint(x)
	}
	return strings.Join(texts, ",")
}

// trimColumn drops the last column if it is empty in every row.
func trimColumn(rows [][]cell) [][]cell {
	for _, row := range rows {
		if row[len(row)-1].text != "" {
			return rows
		}
	}
	for i, row := range rows {
		rows[i] = row[:len(row)-1]
	}
	return rows
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

// follow prints the newest entries, and then every new one. It opens the path anew each
// time it looks, so a compaction, which replaces the file, does not disturb it.
func (c auditShow) follow(a *app, match func(audit.Event) bool) error {
	a.quietQuit()
	var seen uint64
	show := func(entries []vault.Entry) error {
		if !a.JSON {
			c.print(a, entries)
			return a.out.err
		}
		for _, e := range entries {
			if err := a.out.json(eventOf(e)); err != nil {
				return err
			}
		}
		return a.out.err
	}
	err := a.look(func(v *vault.Vault, s *vault.Session) error {
		entries, err := v.Log(c.Limit, ownEntries(s, match))
		if err != nil {
			return err
		}
		slices.Reverse(entries)
		newest, err := v.Log(1, nil)
		if err != nil {
			return err
		}
		if len(newest) > 0 {
			seen = newest[0].Seq
		}
		return show(entries)
	})
	if err != nil {
		return err
	}
	for {
		time.Sleep(pollEvery)
		var entries []vault.Entry
		err := a.look(func(v *vault.Vault, s *vault.Session) error {
			found, newest, err := v.LogAfter(seen, ownEntries(s, match))
			if err == nil && newest < seen {
				a.out.warn("the log shrank from %d to %d entries: the vault was replaced by an older copy", seen, newest)
			}
			entries, seen = found, newest
			return err
		})
		if errors.Is(err, vault.ErrBusy) || errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = show(entries)
		}
		if err != nil {
			return err
		}
	}
}

// filter returns the filter that the flags describe; nil if they describe none.
func (c auditShow) filter(now time.Time) (func(audit.Event) bool, error) {
	var tests []func(audit.Event) bool
	if c.Namespace != "" {
		ns, err := tokens.ParseNamespace(c.Namespace)
		if err != nil {
			return nil, err
		}
		tests = append(tests, func(e audit.Event) bool { return isIn(e, ns) })
	}
	if c.Agent != "" {
		tests = append(tests, func(e audit.Event) bool { return e.ActorID == c.Agent })
	}
	if c.Action != "" {
		action := strings.TrimSuffix(c.Action, ".*")
		tests = append(tests, func(e audit.Event) bool {
			return e.Type == action || strings.HasPrefix(e.Type, action+".")
		})
	}
	if c.Since != "" {
		t, _, err := parseTime(c.Since, now)
		if err != nil {
			return nil, usagef("--since: %v", err)
		}
		tests = append(tests, func(e audit.Event) bool { return !e.CreatedAt.Before(t) })
	}
	if c.Until != "" {
		t, day, err := parseTime(c.Until, now)
		if err != nil {
			return nil, usagef("--until: %v", err)
		}
		if day {
			t = t.AddDate(0, 0, 1).Add(-time.Millisecond)
		}
		tests = append(tests, func(e audit.Event) bool { return !e.CreatedAt.After(t) })
	}
	if tests == nil {
		return nil, nil
	}
	return func(e audit.Event) bool {
		for _, test := range tests {
			if !test(e) {
				return false
			}
		}
		return true
	}, nil
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
			a.out.note("log entries %d to %d are unchanged since the verification on %s; to check each of them again: ass "+
				"audit verify --all", r.Archived+1, r.Verified, stamp(r.VerifiedAt))
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
	return plural(e.problems, "problem") + " found; restore a backup with: ass vault restore BACKUP, or save what is " +
		"intact with: ass vault salvage"
}
func (e *verifyError) Unwrap() error { return vault.ErrDamaged }
