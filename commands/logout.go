package commands

import (
	"maps"
	"slices"

	"ass/vault"
)

type logoutCmd struct {
	All   bool `help:"Log out of all profiles."`
	Force bool `help:"Keep no copy of an owner key, even if nobody confirmed that it was saved."`
}

func (c logoutCmd) Help() string {
	return `An owner key may exist nowhere else. Unless you confirmed at ass login that you
kept it, it is moved to a recovery file, whose name is printed; --force destroys it.`
}

func (c logoutCmd) Run(a *app) error {
	names, recovered := []string{a.Profile}, []string{}
	path := ""
	err := a.updateConfig(func(cfg *config) error {
		path = cfg.path
		if c.All {
			names = slices.Sorted(maps.Keys(cfg.Profiles))
		} else if cfg.Profiles[a.Profile] == nil && len(cfg.Profiles) > 0 {
			return noProfile(a.Profile, cfg)
		}
		for _, name := range names {
			p := cfg.Profiles[name]
			if p == nil {
				continue
			}
			if p.onlyCopy() && !c.Force {
				file, err := a.rescue(cfg, name)
				if err != nil {
					return err
				}
				recovered = append(recovered, file)
			}
			delete(cfg.Profiles, name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return a.answer(logoutResult{Config: path, Profiles: names, RecoveryFiles: recovered}, func() {
		a.out.done("Logged out. Config cleared from %s", a.tilde(path))
	})
}

type whoamiCmd struct{}

func (whoamiCmd) Run(a *app) error {
	h, err := a.find()
	if err != nil {
		return err
	}
	return a.look(func(v *vault.Vault, s *vault.Session) error {
		info, err := v.Info()
		if err != nil {
			return err
		}
		id := h.cred.kind
		if s != nil {
			id = s.ID()
		}
		if p := h.cfg.Profiles[a.Profile]; h.cred.kind == ownerCredential && p.Vault != "" && p.Vault != info.ID {
			return errorf(vault.ErrWrongKey, "the owner key of profile %s belongs to another vault than the one at %s",
				a.Profile, h.at.path)
		}
		return a.answer(whoamiResult{
			ID: id, Email: nil, Name: id, Plan: "offline", SecretCount: info.Secrets, AgentCount: info.Agents,
			Credential: h.cred.kind, CredentialSource: h.cred.from, Vault: h.at.path, VaultID: info.ID,
		}, func() {
			a.out.line("%s of vault %s", id, info.ID)
			a.out.line("Plan: offline")
			a.out.line("Secrets: %d", info.Secrets)
			a.out.line("Agents: %d", info.Agents)
			a.out.line("Credential: %s (%s)", kindName(h.cred.kind), h.cred.from)
			a.out.line("Vault: %s", a.tilde(h.at.path))
		})
	})
}
