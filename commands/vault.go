package commands

import (
	"path/filepath"
	"time"

	"ass/vault"
)

type vaultGroup struct {
	Info    vaultInfo    `cmd:"" help:"Show what the vault's file holds."`
	Check   vaultCheck   `cmd:"" help:"Check every page, record, value and log entry."`
	Backup  vaultBackup  `cmd:"" help:"Write a verified copy of the vault."`
	Restore vaultRestore `cmd:"" help:"Replace the vault with a backup."`
	Salvage vaultSalvage `cmd:"" help:"Make a new vault from what a damaged one still holds."`
	Compact vaultCompact `cmd:"" help:"Rewrite the file without the space that was freed in it."`
	Rekey   vaultRekey   `cmd:"" help:"Re-encrypt everything under a new epoch."`
	Upgrade vaultUpgrade `cmd:"" help:"Rewrite the vault in the newest format."`
	Accept  vaultAccept  `cmd:"" help:"Accept an older copy of the vault that you put back on purpose."`
}

type vaultInfo struct{}

func (vaultInfo) Run(a *app) error {
	return a.look(func(v *vault.Vault, _ *vault.Session) error {
		i, err := v.Info()
		if err != nil {
			return err
		}
		return a.answer(infoResult{
			ID: i.ID, Format: i.Format, SizeBytes: i.Bytes, SecretCount: i.Secrets, DeletedCount: i.Deleted,
			VersionCount: i.Versions, AgentCount: i.Agents, TokenCount: i.Tokens, AuditEntries: i.Entries,
		}, func() {
			a.out.table([][]cell{
				{{"id", dim}, {i.ID, ""}},
				{{"format", dim}, {i.Format, ""}},
				{{"size", dim}, {size(i.Bytes), ""}},
				{{"secrets", dim}, {plural(i.Secrets, "secret") + ", " + plural(i.Deleted, "deleted one"), ""}},
				{{"versions", dim}, {plural(i.Versions, "stored value"), ""}},
				{{"agents", dim}, {plural(i.Agents, "agent"), ""}},
				{{"tokens", dim}, {plural(i.Tokens, "token") + ", lapsed ones included", ""}},
				{{"audit log", dim}, {pluralOf(int(i.Entries), "entry", "entries"), ""}},
			})
		})
	})
}

type vaultCheck struct{}

func (vaultCheck) Help() string {
	return `All that ass audit verify checks and, besides, the pages of the file and whether every
stored value opens. Needs the owner's key. Exit code 8 if anything does not hold.`
}

func (vaultCheck) Run(a *app) error {
	return a.withSession(access{readOnly: true, owner: "check the vault", progress: "checking"},
		func(s *vault.Session) error {
			r, err := s.Check()
			if err != nil {
				return err
			}
			return a.report(r)
		})
}

type vaultCompact struct {
	To string `help:"Make the new file in this folder first, on a disk with more room." placeholder:"DIR"`
}

func (vaultCompact) Help() string {
	return `The database keeps the bytes of what was overwritten or removed until it needs their
place. This writes a new file without them, and puts it in the place of the old one. If the
old one has other names (hard links), they stay with it: the vault then has a file of its own.`
}

func (c vaultCompact) Run(a *app) error {
	to := ""
	if c.To != "" {
		var err error
		if to, err = a.abs(c.To); err != nil {
			return err
		}
		if err := folderOf(filepath.Join(to, "vault")); err != nil {
			return err
		}
	}
	return a.withSession(access{owner: "compact the vault", progress: "copying"}, func(s *vault.Session) error {
		before, err := s.Info()
		if err != nil {
			return err
		}
		names := s.OtherNames()
		if err := s.Compact(to); err != nil {
			return err
		}
		a.changed("the vault is compacted")
		if names != nil {
			a.out.warn("%s; the keys of today still open it, so remove it", names.LeftBehind())
		}
		after, err := s.Info()
		if err != nil {
			return err
		}
		return a.answer(compactResult{SizeBytesBefore: before.Bytes, SizeBytes: after.Bytes}, func() {
			a.out.done("Vault compacted: %s → %s", size(before.Bytes), size(after.Bytes))
		})
	})
}

type vaultRekey struct {
	NewKey  bool   `help:"Make a new owner key and new keys for all agents, in case somebody else knows the old owner key."`
	LogFile string `help:"With --new-key: file for the log up to now; beside the vault, if not given." placeholder:"FILE"`
	Force   bool   `help:"Skip the confirmation."`
}

func (vaultRekey) Help() string {
	return `Begins a new epoch: every value is sealed under a new key, and every agent and live token
gets a new grant. Their keys stay what they are, and so does the owner key. What was
read out of a grant before, by a program that was broken into, opens nothing that is
written from now on, unless the key itself was taken.

With --new-key, for when somebody else may know the owner key: everything is sealed anew
under a new one, the vault gets another id, every agent a new key, all printed once, and
tokens end. The log up to now is moved into a file that verifies by itself.`
}

func (c vaultRekey) Run(a *app) error {
	if c.NewKey {
		return a.replaceOwnerKey(c.LogFile, c.Force, nil)
	}
	if c.LogFile != "" {
		return usagef("--log-file goes with --new-key")
	}
	if err := a.confirm(c.Force, "Re-encrypt everything in the vault?"); err != nil {
		return err
	}
	return a.withSession(access{owner: "rekey the vault"}, func(s *vault.Session) error {
		epoch, err := s.Rekey()
		if err != nil {
			return err
		}
		a.changed("the vault is rekeyed and now in epoch %d", epoch)
		if err := a.sayCopies(s, time.Time{}); err != nil {
			return err
		}
		return a.answer(rekeyResult{Epoch: epoch}, func() {
			a.out.done("Vault rekeyed: it is in epoch %d", epoch)
		})
	})
}

type vaultAccept struct {
	Force bool `help:"Skip the confirmation."`
}

func (vaultAccept) Help() string {
	return `A machine remembers how far the log of each vault was, and warns when the file is older.
After a backup was put back on purpose, this ends the warning; the log says that it was
accepted, and what was missing.`
}

func (c vaultAccept) Run(a *app) error {
	if err := a.confirm(c.Force, "Accept the vault as it is, though this machine saw a newer one?"); err != nil {
		return err
	}
	return a.withSession(access{owner: "accept an older copy of the vault", asItIs: true}, func(s *vault.Session) error {
		back, err := s.Accept()
		if err != nil {
			return err
		}
		a.changed("the vault is accepted as it is")
		return a.answer(acceptResult{Seen: back.Seen, Have: back.Have}, func() {
			a.out.done("Accepted: the log continues after entry %d; this machine had seen entry %d", back.Have, back.Seen)
		})
	})
}

// sayCopies is noteCopies for the copies that the log records.
func (a *app) sayCopies(s *vault.Session, since time.Time) error {
	copies, err := s.Copies(since)
	a.noteCopies(copies)
	return err
}
