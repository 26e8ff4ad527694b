package commands

import (
	"errors"
	"io/fs"

	"ass/vault"
	"ass/vault/disk"
)

type auditArchive struct {
	File   string `arg:"" help:"File to write, which must not exist."`
	Before string `help:"Archive the entries from before then: a date, an RFC 3339 time, or how long ago (90d)." default:"90d" placeholder:"TIME"`
	Force  bool   `help:"Skip the confirmation."`

	PastAhead bool `help:"Go past entries that are dated ahead of this machine's clock, if older ones follow them."`
}

func (auditArchive) Help() string {
	return `Moves the old entries of the log into a file that the owner signs, and cuts them off. The
file verifies by itself, without a key: ass audit verify --archive FILE. It is lines of
JSON, for jq and grep. Anybody can make such a file of a vault of their own: compare the
vault's id with yours (ass vault info). What is left verifies as before: the owner vouches for what the
old entries told.`
}

func (c auditArchive) Run(a *app) error {
	before, _, err := parseTime(c.Before, a.now())
	if err != nil {
		return usagef("--before: %v", err)
	}
	file, err := a.abs(c.File)
	if err != nil {
		return err
	}
	if err := folderOf(file); err != nil {
		return err
	}
	if err := disk.CheckFree(file); err != nil { // before a question that would be for nothing
		return err
	}
	if err := a.confirm(c.Force, "Move the entries from before "+stamp(before)+" out of the log?"); err != nil {
		return err
	}
	return a.withSession(access{owner: "archive the log", progress: "verifying"}, func(s *vault.Session) error {
		done, err := s.ArchiveLog(file, before, c.PastAhead)
		if err != nil {
			return err
		}
		a.changed("the log entries %d to %d are in %s", done.First, done.Last, a.tilde(file))
		result := archivedResult{File: file, First: done.First, Last: done.Last, SHA256: done.SHA256, StoppedBy: done.Stop}
		return a.answer(result, func() {
			a.out.done("Archived log entries %d to %d: %s", done.First, done.Last, a.tilde(file))
			if done.Stop > 0 {
				a.out.noteOf(sayf("log entry %d is dated %s, ahead of this machine's clock, so it and what follows stays in the "+
					"log",
					done.Stop, stamp(done.StopAt)).
					hint("if the clock is right, go past such entries with --past-ahead"))
			}
		})
	})
}

// verifyArchive checks a file of archived entries, and that it has the entry of a receipt, unless
// that is the zero Receipt.
func (a *app) verifyArchive(file string, expected vault.Receipt) error {
	var done vault.Archived
	var problems []string
	var err error
	if expected.Seq > 0 {
		done, problems, err = vault.ExpectArchived(a.at(file), expected)
	} else {
		done, problems, err = vault.VerifyArchive(a.at(file), nil)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errorf(fs.ErrNotExist, "no archive at %s", file)
	case errors.Is(err, vault.ErrDamaged):
		return errorf(vault.ErrDamaged, "%v", err).
			hint("do not trust its content: use another copy of the file")
	case err != nil:
		return err
	}
	if a.JSON {
		if err := a.out.json(archiveResult{Vault: done.Vault, First: done.First, Last: done.Last,
			Problems: list(problems)}); err != nil {
			return err
		}
	} else {
		for _, p := range problems {
			a.out.line("%s", clean(p))
		}
	}
	if n := len(problems); n > 0 {
		return &verifyError{n}
	}
	if !a.JSON {
		a.out.done("OK: verified log entries %d to %d of vault %s, signed by its owner", done.First, done.Last, done.Vault)
	}
	return nil
}
