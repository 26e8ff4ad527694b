package commands

import (
	"errors"
	"fmt"

	"ass/audit"
	"ass/commands/internal/protocols"
	"ass/tokens"
	"ass/vault"
)

type helperDocker struct {
	Operation string `arg:"" optional:"" help:"What docker wants: get, list, store, erase or version. Docker adds it."`
	Namespace string `help:"Where the credentials are, as NAMESPACE/HOST." default:"docker" placeholder:"NS"`
	Username  string `help:"The user of a value that is a password alone." placeholder:"NAME"`
	Write     bool   `help:"Store and erase what docker says; with --install, the link does so."`
	linking
	helping
}

func (helperDocker) Help() string {
	return `Answers docker from docker/HOST or, for a registry with a path, docker/HOST/PATH; Docker
Hub is docker/index.docker.io. The value is {"server":…,"username":…,"password":…}, or
the password alone, with --username. In a name, _ and two hex digits stand for a
character other than a-z A-Z 0-9 . - and _: localhost:5000 is docker/localhost_3a5000.

Docker starts docker-credential-NAME, which must be on PATH, without flags. Make the
link with ass helper docker --install DIR, and in ~/.docker/config.json one of these:

  {"credsStore": "ass"}
  {"credHelpers": {"ghcr.io": "ass"}}

docker login and logout store and erase. They do so through another link, which
--write --install DIR makes; docker's config then has "ass-write".`
}

func (c helperDocker) Run(a *app) error {
	if c.Install != "" {
		if c.Operation != "" {
			return usagef("--install makes a link and answers nothing").
				hint("leave the operation out")
		}
		link, store := dockerLink, "ass"
		if c.Write {
			link, store = dockerWriteLink, "ass-write"
		}
		return c.install(a, link, fmt.Sprintf(`in ~/.docker/config.json: {"credsStore": %q}`, store))
	}
	err := c.act(a)
	if err == nil {
		return nil
	}
	// Docker reads the error from stdout.
	message, way := tellError(err)
	a.out.line("%s", onOneLine(message, way))
	for _, known := range []error{protocols.ErrDockerNotFound, protocols.ErrDockerNoServer, protocols.ErrDockerNoUser} {
		if errors.Is(err, known) {
			return &exitError{exitFailed}
		}
	}
	a.fail(err)
	return &exitError{exitFailed}
}

func (c helperDocker) act(a *app) error {
	ns, err := tokens.ParseNamespace(c.Namespace)
	if err != nil {
		return err
	}
	switch c.Operation {
	case "version":
		a.out.line("%s (ass) %s", dockerLink, version())
		return nil
	case "list": // its stdin says nothing
		return c.list(a, ns)
	case "get", "store", "erase":
	default:
		return usagef("the operation must be get, list, store, erase or version").
			hint("see: ass helper docker --help")
	}
	b, err := a.request(false)
	if err != nil {
		return err
	}
	defer clear(b)
	var server protocols.Server
	var asked string
	var cred protocols.Credential
	if c.Operation == "store" {
		server, cred, err = protocols.ParseDockerStore(b)
	} else {
		server, asked, err = protocols.ParseDockerServer(b)
	}
	if err != nil {
		return err
	}
	if c.Operation != "get" && !c.Write {
		return errorf(vault.ErrDenied, "this helper reads, and stores and erases nothing").
			hint("make a link that does: ass helper docker --write --install DIR; and name ass-write in docker's config")
	}
	list := places(protocols.DockerPlace(ns.String(), server))
	if len(list) == 0 {
		return protocols.ErrDockerNotFound
	}
	return c.session(a, "docker", func(s *vault.Session) error {
		other := false
		there, err := firstFit(s, list, func(found *foundCredential) bool {
			if c.Operation == "get" && found.Expired(a.now()) {
				return false
			}
			fits := found.FitsDocker(server)
			other = !fits
			return fits
		})
		switch {
		case err != nil:
			return err
		case c.Operation == "store" && other:
			return failf("%s is for another server, so it is not replaced", list[0])
		case c.Operation == "store" && there != nil && there.Credential == cred:
			return nil
		case c.Operation == "store":
			value, err := cred.Value()
			if err != nil {
				return err
			}
			defer clear(value)
			_, _, err = s.Set(list[0], value, vault.SetOptions{})
			return err
		case there == nil && c.Operation == "erase":
			return nil // as the helpers of docker itself do
		case there == nil:
			return protocols.ErrDockerNotFound
		case c.Operation == "erase":
			_, _, err := s.Delete(there.at)
			return err
		}
		return a.printed(protocols.DockerAnswer(asked, there.Credential, c.Username))
	})
}

// list prints the servers and their users. It leaves out secrets that need an approval: docker asks for every one that
// it sees.
func (c helperDocker) list(a *app, ns tokens.Namespace) error {
	return c.session(a, "docker", func(s *vault.Session) error {
		all, err := s.List(ns, false)
		if err != nil {
			return err
		}
		most := tokens.Critical
		if s.ID() != audit.Owner {
			self, err := s.Self()
			if err != nil {
				return err
			}
			most = max(self.Tier, tokens.Standard)
		}
		var paths []tokens.Path
		left := 0
		for _, secret := range all {
			if secret.Tier > most {
				left++
				continue
			}
			paths = append(paths, secret.Path)
		}
		if left > 0 {
			a.out.note("%s not listed, because a human must approve the read", pluralOf(left, "credential is",
				"credentials are"))
		}
		users := map[string]string{}
		if len(paths) > 0 {
			values, err := s.GetMany(nil, paths)
			if err != nil {
				return err
			}
			for _, v := range values {
				cred, err := protocols.ParseCredential(v.Value)
				clear(v.Value)
				user := orElse(cred.Username, c.Username)
				if url := protocols.DockerURL(ns.String(), v.Path.String(), cred); err == nil && url != "" && user != "" {
					users[url] = user
				}
			}
		}
		return a.printed(protocols.DockerList(users))
	})
}
