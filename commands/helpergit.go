package commands

import (
	"errors"
	"fmt"
	"slices"

	"ass/commands/internal/protocols"
	"ass/tokens"
	"ass/vault"
)

type helperGit struct {
	Operation string `arg:"" optional:"" help:"What git wants: get, store or erase. Git adds it by itself."`
	Namespace string `help:"Where the credentials are, as NAMESPACE/HOST, and so on." default:"git" placeholder:"NS"`
	Secret    string `help:"The one secret to answer with; with --host." placeholder:"PATH"`
	Host      string `help:"Answer for this host alone, with its port if that is not the usual one." placeholder:"HOST"`
	Username  string `help:"The user of a value that is a password alone." placeholder:"NAME"`
	HTTP      bool   `name:"http" help:"Answer for http, too, which anybody on the way can read."`
	Write     bool   `help:"Store and erase what git says."`
	linking
	helping
}

func (helperGit) Help() string {
	return `Answers git from the first of these secrets that is there, that the key may read, and
that fits:

  git/HOST/OWNER/REPO   if git sends the path (credential.useHttpPath)
  git/HOST/USERNAME     if git names a user
  git/HOST

The value is {"server":…,"username":…,"password":…}, or the password alone. In a name, _
and two hex digits stand for a character other than a-z A-Z 0-9 . - and _: the port
is behind _3a. What the value says of its server and user must be what git asks for.

In the config of git, one of these:

  git config --global credential.helper '!ass helper git'
  git config --global credential.https://github.com.helper \
      '!ass helper git --secret work/TOKEN --host github.com --username me'

If DIR is on PATH, ass helper git --install DIR makes this do, with flags behind ass:

  git config --global credential.helper ass`
}

func (c helperGit) Run(a *app) error {
	if c.Install != "" {
		if c.Operation != "" {
			return usagef("--install makes a link and answers nothing").
				hint("leave the operation out")
		}
		line := "git config --global credential.helper ass"
		if c.Write {
			line = `git config --global credential.helper "ass --write"`
		}
		return c.install(a, gitLink, line)
	}
	only, err := c.only()
	if err != nil {
		return err
	}
	if c.Operation == "" {
		return usagef("missing: get, store or erase, which git adds").
			hint("see: ass helper git --help")
	}
	b, err := a.request(true)
	if err != nil {
		return err
	}
	defer clear(b)
	known := c.Operation == "get" || c.Write && (c.Operation == "store" || c.Operation == "erase")
	if !known {
		return nil // as the protocol says; store and erase are for helpers that write
	}
	q, err := protocols.ParseGit(b)
	if err != nil {
		return usagef("%v", err)
	}
	server, err := q.Server()
	if err != nil || only != "" && only != server.Host {
		return nil
	}
	if server.Scheme == "http" && !c.HTTP && !server.Local() {
		a.out.noteOf(sayf("%s is not encrypted, so it gets no credential", server.URL()).
			hint("use https; or, if that must be, --http"))
		return nil
	}
	return c.act(a, q, server)
}

// only is the host of --host, with its port if that is not the one of https; "" for any. It checks the other flags,
// too: most requests need none of them, and a mistyped one must not wait for the first that does.
func (c helperGit) only() (string, error) {
	if _, err := c.paths(protocols.GitRequest{}); err != nil {
		return "", err
	}
	if c.Host == "" && c.Secret != "" {
		return "", usagef("--secret needs --host: without it, every server that a repository names would get that secret")
	}
	if c.Host == "" {
		return "", nil
	}
	s, err := protocols.ParseServer(c.Host)
	if err != nil || len(s.Path) > 0 {
		return "", usagef("--host is no host, with or without a port")
	}
	return s.Host, nil
}

// paths are the places of the credential that git asks for.
func (c helperGit) paths(q protocols.GitRequest) ([]tokens.Path, error) {
	if c.Secret != "" {
		p, err := wholePath("--secret", c.Secret)
		return []tokens.Path{p}, err
	}
	ns, err := tokens.ParseNamespace(c.Namespace)
	if err != nil {
		return nil, err
	}
	return places(q.Places(ns.String())...), nil
}

func (c helperGit) act(a *app, q protocols.GitRequest, server protocols.Server) error {
	paths, err := c.paths(q)
	if err != nil || len(paths) == 0 {
		return err
	}
	err = c.session(a, "git", func(s *vault.Session) error {
		var others []tokens.Path // what is there, for somebody else
		there, err := firstFit(s, paths, func(found *foundCredential) bool {
			found.Username = orElse(found.Username, c.Username)
			fits := found.Fits(server, q.Username)
			if !fits {
				others = append(others, found.at)
			}
			return fits
		})
		switch {
		case err != nil:
			return err
		case c.Operation == "store":
			return c.store(s, q, server, paths, there, others)
		case there == nil:
			return nil
		case c.Operation == "erase":
			if q.Password == "" || there.Password != q.Password { // another one was stored meanwhile
				return nil
			}
			_, _, err := s.Delete(there.at)
			return err
		case there.Expired(a.now()):
			a.out.note("%s says that its password has expired", there.at)
			return nil
		}
		b, err := q.Answer(there.Credential)
		if err != nil {
			return fmt.Errorf("%s: %w", there.at, err)
		}
		return a.printed(b, nil)
	})
	if c.Operation == "get" && (errors.Is(err, vault.ErrApproval) || errors.Is(err, vault.ErrRefused)) {
		a.out.write(protocols.GitQuit)
	}
	return err
}

// store stores what git found to be right: in place of what fits, else where nothing is yet. The first user of a host
// is found without a name, too; the others have a place of their own.
func (c helperGit) store(s *vault.Session, q protocols.GitRequest, server protocols.Server, paths []tokens.Path,
	there *foundCredential, others []tokens.Path) error {
	cred, err := q.Stored(server)
	if err != nil {
		return nil // git stores nothing without a user and a password
	}
	if there != nil && there.Password == cred.Password && (there.Username == "" || there.Username == cred.Username) &&
		there.Expiry == cred.Expiry && there.Refresh == cred.Refresh {
		return nil
	}
	if c.Secret == "" && len(server.Path) > 0 && q.OwnPlace(c.Namespace) == "" {
		return failf("the path on the server is too long for a place of its own, so nothing is stored")
	}
	place := paths[0]
	if len(server.Path) == 0 {
		if place = paths[len(paths)-1]; there != nil {
			place = there.at
		} else if slices.Contains(others, place) {
			place = paths[0]
		}
	}
	if slices.Contains(others, place) {
		return failf("%s is for another server or user, so it is not replaced", place)
	}
	value, err := cred.Value()
	if err != nil {
		return err
	}
	defer clear(value)
	_, _, err = s.Set(place, value, vault.SetOptions{})
	return err
}
