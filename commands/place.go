package commands

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Where the vault is.

// place is where the vault is, and how ass found it.
type place struct {
	path   string
	looked []looked
}

// looked is one source that may say where the vault is.
type looked struct {
	where string // "--api-url", "profile default"
	says  string // what it says, "" for nothing
}

// locate finds the vault. It looks at the flag, the environment, the profile and the
// default, in this order.
func (a *app) locate(cfg *config) (place, error) {
	var p place
	env := a.getenv("ASS_API_URL")
	flag := a.APIURL
	if flag == env { // kong passes the variable on as the flag
		flag = ""
	}
	stored := ""
	if prof := cfg.Profiles[a.Profile]; prof != nil {
		stored = prof.APIURL
	}
	p.looked = []looked{{"--api-url", flag}, {"ASS_API_URL", env}, {"profile " + a.Profile, stored}}
	for _, l := range p.looked {
		if l.says == "" {
			continue
		}
		path, err := a.vaultPath(l.says)
		p.path = path
		return p, err
	}
	var err error
	if p.path, err = a.defaultVault(); err != nil {
		return p, err
	}
	p.looked = append(p.looked, looked{"the default place", p.path})
	return p, nil
}

func (p place) exists() bool {
	_, err := os.Lstat(p.path)
	return !errors.Is(err, fs.ErrNotExist)
}

// defaultVault returns the path of the vault if nothing else names one.
func (w *world) defaultVault() (string, error) {
	dir, err := w.dataDir()
	return filepath.Join(dir, "vault.db"), err
}

// exposed returns a warning for each way in which others can access the vault or the
// stored credentials.
func (w *world) exposed(at place) []string {
	config, err := w.configPath()
	if err != nil {
		return exposures(at.path, filepath.Dir(at.path))
	}
	return exposures(at.path, filepath.Dir(at.path), config, filepath.Dir(config))
}
