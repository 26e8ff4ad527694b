package commands

import (
	"ass/vault"
)

type envExport struct {
	In        string `arg:"" optional:"" name:"namespace" help:"Namespace to export, with all below it; the default one if omitted."`
	Namespace string `short:"n" help:"Namespace to export, as the argument." placeholder:"NS"`
	Output    string `short:"o" help:"Write to this file, for its owner alone, instead of stdout; missing folders are made." placeholder:"FILE"`
	Force     bool   `help:"Overwrite a file that ass did not write."`
	naming
	Format string `help:"The reader: dotenv (all of the next four), node, python, compose, bash, docker, json, github or systemd; or a copy for kubernetes, tfvars, dir or gh." default:"dotenv"`
	asking
	patience
	logging
}

func (envExport) Help() string {
	return `A variable is named after the key of its secret. A format is named after its reader,
which reads back every byte, or the export fails and names the key:

  dotenv   what node, python, compose, bash and ass env import read alike
  node     dotenv of npm            python   python-dotenv
  compose  env_file of compose      bash     POSIX shells (also: shell)
  docker   docker --env-file        systemd  EnvironmentFile=
  json     one object of strings    github   $GITHUB_ENV

Four more make a copy for another store, in clear:

  kubernetes  the manifest of a Secret
  tfvars      NAME.auto.tfvars.json of terraform
  gh          lines for gh secret set -f -
  dir         a file for each key in --output DIR, as compose and systemd read

Secrets are left out, and named, where the variable would act on the program that gets it
(PATH, BASH_ENV, NODE_OPTIONS and the like; docs/env.md), or can be no variable.`
}

func (c envExport) Run(a *app) error {
	a.unlogged = c.Unlogged
	format, err := exportFormatNamed(c.Format)
	if err != nil {
		return err
	}
	if format.folder && !c.toFile() {
		return usagef("the format %s needs a folder", format.name).hint("name one with --output DIR")
	}
	named, err := a.namedOnce(c.In, c.Namespace)
	if err != nil {
		return err
	}
	chosen, err := a.chooseNamespace(named)
	if err != nil {
		return err
	}
	if err := a.mayHandOver(chosen, "ass env export "+chosen.ns.String()); err != nil {
		return err
	}
	if err := c.mayWrite(a, format); err != nil {
		return err
	}
	if format.manifest {
		format.join = secretManifest(chosen.ns)
	}
	var h handover
	text := ""
	err = c.with(a, func() error {
		h = handover{naming: c.naming, ns: chosen.ns, takes: format.takes, zeros: format.zeros}
		return a.withSession(access{progress: "exporting"}, func(s *vault.Session) error {
			a.manyRecords()
			if err := h.read(s); err != nil {
				return err
			}
			text, err = format.write(h.list)
			return err
		})
	})
	if err != nil {
		return err
	}
	if err := c.deliver(a, format, text, &h); err != nil {
		return err
	}
	if format.warn != "" {
		a.out.warnOf(sayf("%s", format.warn).hint("%s", format.then))
	}
	return nil
}

// mayWrite refuses a place that the answer cannot take, before anything is read.
func (c envExport) mayWrite(a *app, format envFormat) error {
	switch {
	case format.folder:
		return a.mayMakeFolder(c.Output)
	case c.toFile():
		return a.mayOverwrite(c.Output, c.Force)
	}
	return nil
}

func (c envExport) toFile() bool { return c.Output != "" && c.Output != "-" }

func (c envExport) deliver(a *app, format envFormat, text string, h *handover) error {
	if !c.toFile() {
		h.tell(a)
		a.out.write(text)
		return nil
	}
	err := error(nil)
	if format.folder {
		err = a.writeFolder(c.Output, h.list)
	} else {
		err = a.writeOutput(c.Output, []byte(text))
	}
	if err != nil {
		return err
	}
	a.changed("%s is written", c.Output)
	if a.JSON {
		names := make([]string, len(h.list))
		for i, v := range h.list {
			names[i] = v.name
		}
		return a.out.json(exportResult{
			Output: c.Output, Exported: len(h.list), Keys: names, LeftOut: list(h.left),
		})
	}
	h.tell(a)
	a.out.done("Exported %s to %s", plural(len(h.list), "secret"), c.Output)
	return nil
}
