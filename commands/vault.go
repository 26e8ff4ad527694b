package commands

import (
	"ass/vault"
)

type vaultGroup struct {
	Info    vaultInfo    `cmd:"" help:"Show what the vault's file holds."`
	Check   vaultCheck   `cmd:"" help:"Check every page, record, value and log entry."`
	Compact vaultCompact `cmd:"" help:"Write the file anew, without what was freed in it."`
	Rekey   vaultRekey   `cmd:"" help:"Seal everything anew, under a new epoch."`
	Accept  vaultAccept  `cmd:"" help:"Accept an older copy of the vault that was put back on purpose."`
}

type vaultInfo struct{}

func (vaultInfo) Run(a *app) error {
	return a.look(func(v *vault.Vault, _ *vault.Session) error {
		i, err := v.Info()
		if err != nil {
			return err
		}
		if a.JSON {
			return a.out.json(map[string]any{
				"id": i.ID, "format": i.Format, "size_bytes": i.Bytes, "secret_count": i.Secrets, "deleted_count": i.Deleted,
				"version_count": i.Versions, "agent_count": i.Agents, "token_count": i.Tokens, "audit_entries": i.Entries,
			})
		}
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
		return nil
	})
}

type vaultCheck struct{}

func (vaultCheck) Help() string {
	return `All that ass audit verify checks and, besides, the pages of the file and whether every
stored value opens. Needs the owner's key. Exit code 8 if anything does not hold.`
}

func (vaultCheck) Run(a *app) error {
	return a.with(access{readOnly: true, owner: "check the vault", progress: "checking"}, func(s *vault.Session) error {
		r, err := s.Check()
		if err != nil {
			return err
		}
		return a.report(r)
	})
}

type vaultCompact struct{}

func (vaultCompact) Help() string {
	return `The database keeps the bytes of what was overwritten or removed until it needs their
place. This writes a new file without them, and puts it in the place of the old one.`
}

func (vaultCompact) Run(a *app) error {
	return a.with(access{owner: "compact the vault", progress: "copying"}, func(s *vault.Session) error {
		before, err := s.Info()
		if err != nil {
			return err
		}
		if err := s.Compact(); err != nil {
			return err
		}
		after, err := s.Info()
		if err != nil {
			return err
		}
		if a.JSON {
			return a.out.json(map[string]any{"size_bytes_before": before.Bytes, "size_bytes": after.Bytes})
		}
		a.out.done("Vault compacted: %s → %s", size(before.Bytes), size(after.Bytes))
		return nil
	})
}

type vaultRekey struct {
	Force bool `help:"Skip the confirmation." env:"-"`
}

func (vaultRekey) Help() string {
	return `Begins a new epoch: every value is sealed under a new key, and every agent and live token
gets a new grant. Their keys stay what they are, and so does the owner key. What was
read out of a grant before, by a program that was broken into, opens nothing that is
written from now on, unless the key itself was taken.`
}

func (c vaultRekey) Run(a *app) error {
	if err := a.confirm(c.Force, "Seal everything in the vault anew?"); err != nil {
		return err
	}
	return a.with(access{owner: "rekey the vault"}, func(s *vault.Session) error {
		epoch, err := s.Rekey()
		if err != nil {
			return err
		}
		if a.JSON {
			return a.out.json(map[string]any{"epoch": epoch})
		}
		a.out.done("Vault rekeyed: it is in epoch %d", epoch)
		return nil
	})
}

type vaultAccept struct {
	Force bool `help:"Skip the confirmation." env:"-"`
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
	return a.with(access{owner: "accept an older copy of the vault"}, func(s *vault.Session) error {
		back, err := s.Accept()
		if err != nil {
			return err
		}
		if a.JSON {
			return a.out.json(map[string]any{"seen": back.Seen, "have": back.Have})
		}
		a.out.done("Accepted: the log goes on behind entry %d; this machine had seen entry %d", back.Have, back.Seen)
		return nil
	})
}
