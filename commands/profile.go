package commands

import (
	"maps"
	"os"
	"slices"
)

// Profiles: each is a credential under a name. Which one a command uses is said by --profile, ASS_PROFILE, the one in
// use, or else it is the one named default.

type profileGroup struct {
	List   profileList   `cmd:"" aliases:"ls" help:"List the stored credentials."`
	Use    profileUse    `cmd:"" help:"Use a stored credential wherever none is named."`
	Rename profileRename `cmd:"" help:"Give a stored credential another name."`
	Delete profileDelete `cmd:"" aliases:"rm" help:"Remove a stored credential, as ass logout does."`
}

// loadConfig reads the stored credentials, and decides which of them this run uses, if nothing names one.
func (a *app) loadConfig() (*config, error) {
	c, err := a.world.loadConfig()
	if a.Profile == "" {
		a.Profile = defaultProfile
		if err == nil && c.InUse != "" {
			a.Profile = c.InUse
		}
	}
	return c, err
}

// profile returns the name of the credential that this run uses.
func (a *app) profile() string {
	if a.Profile == "" {
		_, _ = a.loadConfig() // an error is for what needs the credential
	}
	return a.Profile
}

type profileList struct{}

func (profileList) Run(a *app) error {
	cfg, err := a.loadConfig()
	if err != nil {
		return err
	}
	result := profilesResult{Items: []profileJSON{}}
	rows := [][]cell{{{"NAME", dim}, {"CREDENTIAL", dim}, {"VAULT", dim}, {"", dim}}}
	for _, name := range slices.Sorted(maps.Keys(cfg.Profiles)) {
		p := cfg.Profiles[name]
		where, used := cell{orElse(p.APIURL, "in the default place"), ""}, cell{}
		if name == a.Profile {
			used = cell{"in use", green}
		}
		result.Items = append(result.Items, profileJSON{Name: name, Credential: p.Credential, APIURL: nullable(p.APIURL),
			Vault: nullable(p.Vault),
			InUse: name == a.Profile})
		rows = append(rows, []cell{{name, ""}, {orElse(a.opensWith(p.Key), kindName(p.Credential)), ""}, where, used})
	}
	return a.answer(result, func() {
		if len(result.Items) == 0 {
			a.out.noteOf(sayf("no stored credentials").hint("store one with: ass login"))
			return
		}
		a.out.table(rows, paths, words, paths)
	})
}

type profileUse struct {
	Name string `arg:"" name:"profile" help:"Name of a stored credential."`
}

func (c profileUse) Run(a *app) error {
	err := a.updateConfig(func(cfg *config) error {
		if cfg.Profiles[c.Name] == nil {
			return noProfile(c.Name, cfg)
		}
		cfg.InUse = c.Name
		return nil
	})
	if err != nil {
		return err
	}
	a.changed("profile %s is in use", c.Name)
	if name := a.getenv("ASS_PROFILE"); name != "" && name != c.Name {
		a.out.warn("ASS_PROFILE is set, so commands here use the profile %s", name)
	}
	return a.answer(profileResult{Name: c.Name, InUse: true}, func() { a.out.done("Profile in use: %s", c.Name) })
}

type profileRename struct {
	Name string `arg:"" name:"profile" help:"Name of a stored credential."`
	To   string `arg:"" name:"new-name" help:"The other name."`
}

func (c profileRename) Run(a *app) error {
	if c.To == "" {
		return usagef("a profile needs a name")
	}
	inUse := false
	err := a.updateConfig(func(cfg *config) error {
		p := cfg.Profiles[c.Name]
		switch {
		case p == nil:
			return noProfile(c.Name, cfg)
		case c.To == c.Name:
			return usagef("that is its name already")
		case cfg.Profiles[c.To] != nil:
			return usagef("there is a profile %q already", c.To).hint("take another name, or remove that one: ass profile "+
				"delete %s", shellWord(c.To))
		}
		cfg.Profiles[c.To] = p
		delete(cfg.Profiles, c.Name)
		if inUse = cfg.InUse == c.Name || cfg.InUse == "" && c.Name == defaultProfile; inUse {
			cfg.InUse = c.To // what was used goes on being used
		}
		return nil
	})
	if err != nil {
		return err
	}
	a.changed("profile %s is now %s", c.Name, c.To)
	a.Profile = c.Name
	if was, err := a.unlockFile(); err == nil { // what ass unlock left goes along
		a.Profile = c.To
		if is, err := a.unlockFile(); err == nil {
			_ = os.Rename(was, is)
		}
	}
	return a.answer(profileResult{Name: c.To, InUse: inUse}, func() { a.out.done("Profile renamed: %s", c.To) })
}

type profileDelete struct {
	Name  string `arg:"" name:"profile" help:"Name of a stored credential."`
	Force bool   `help:"Keep no copy of an owner key, even if nobody confirmed that it was saved."`
}

func (c profileDelete) Run(a *app) error {
	cfg, err := a.loadConfig()
	if err != nil {
		return err
	}
	if cfg.Profiles[c.Name] == nil {
		return noProfile(c.Name, cfg)
	}
	a.Profile = c.Name
	return logoutCmd{Force: c.Force}.Run(a)
}
