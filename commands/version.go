package commands

import (
	"runtime"
	"runtime/debug"

	"ass/vault"
)

type versionCmd struct{}

func (versionCmd) Help() string {
	return `The first line is the version. Then come the commit that ass was built from and its
date, if the build knows them, the Go that built it and the system that it is for, and
the format of the vaults that it makes.`
}

func (versionCmd) Run(a *app) error {
	r := versionResult{Version: version(), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH,
		Format: vault.NewestFormat()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				r.Commit = nullable(s.Value)
			case "vcs.time":
				r.Date = nullable(s.Value)
			case "vcs.modified":
				r.Modified = s.Value == "true"
			}
		}
	}
	return a.answer(r, func() {
		a.out.line("ass %s", r.Version)
		var rows [][]cell
		add := func(name, text string) {
			if text != "" {
				rows = append(rows, []cell{{name, dim}, {text, ""}})
			}
		}
		commit := textOf(r.Commit)
		if r.Modified && commit != "" {
			commit += ", and changes that are in no commit"
		}
		add("commit", commit)
		add("date", textOf(r.Date))
		add("go", r.Go+" "+r.System)
		add("format", r.Format)
		a.out.table(rows)
	})
}

// version returns the version of the module if ass was installed as one, else the
// commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return s.Value[:12]
		}
	}
	return "devel"
}
