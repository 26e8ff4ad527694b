package commands

import (
	"maps"
	"slices"
	"strings"
)

type logoutCmd struct {
	All   bool `help:"Log out of all profiles."`
	Force bool `help:"Keep no copy of an owner key, even if nobody confirmed that it was saved."`
}

func (c logoutCmd) Help() string {
	return `An owner key may exist nowhere else. Unless you confirmed at ass login that you
kept it, it is moved to a recovery file, whose name is printed; --force destroys it.
The same is true of an identity that the profile has.`
}

func (c logoutCmd) Run(a *app) error {
	names, recovered := []string{a.profile()}, []string{}
	path, gone := "", []*profile(nil)
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
			gone = append(gone, p)
			delete(cfg.Profiles, name)
			if cfg.InUse == name {
				cfg.InUse = ""
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, p := range gone {
		a.forgetKeyring(p)
	}
	done := "logged out"
	if len(recovered) > 0 {
		done += "; the key is in " + strings.Join(recovered, ", ")
	}
	a.changed("%s", done)
	return a.answer(logoutResult{Config: path, Profiles: names, RecoveryFiles: recovered}, func() {
		a.out.done("Logged out. Config cleared from %s", a.tilde(path))
	})
}
