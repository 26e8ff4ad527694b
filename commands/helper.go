package commands

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"ass/commands/internal/protocols"
	"ass/tokens"
	"ass/vault"
)

// The protocols in which programs ask for a credential: one process for each question. A program starts a helper by
// itself, so a helper asks nobody, and has no more than an agent's key unless somebody said otherwise.

type helperGroup struct {
	Git    helperGit    `cmd:"" help:"Answer git: a credential helper."`
	Docker helperDocker `cmd:"" help:"Answer docker: a credential store."`
	AWS    helperAWS    `cmd:"" name:"aws" help:"Answer the AWS tools: a credential_process."`
	Kube   helperKube   `cmd:"" help:"Answer kubectl: an exec credential plugin."`
	SSH    helperSSH    `cmd:"" name:"ssh-askpass" help:"Answer ssh, ssh-add and git: an askpass program."`
	Claude helperClaude `cmd:"" help:"Answer Claude Code: an apiKeyHelper."`
}

func (helperGroup) Help() string {
	return `Each speaks the protocol in which a program asks for a credential, and its --help has
the lines for the config of that program. A helper runs on an agent's key:

  ass agents create --name git --scopes "secrets:read:git/*" --write-key git.key
  ass login --profile git --key-file git.key

If nothing names a credential (ASS_AGENT_KEY, --profile and the like), a helper takes the
profile that has its name: git, docker, aws, kube, ssh or claude. Nothing is asked for. If a
human must approve, the program gets the refusal of its protocol, and stderr has the id.`
}

// helping are the flags of all helpers.
type helping struct {
	Owner bool `help:"Run on the owner's key, too, which opens the whole vault."`
	asking
}

// linking is the flag of the helpers that a program finds by a name of its own.
type linking struct {
	Install string `help:"Make a link to ass in this folder, under the name that the program looks for." placeholder:"DIR"`
}

// nobody is a stdin that no prompt reads from.
type nobody struct{ io.Reader }

// session opens the vault for a helper, with the profile that has its name if nothing else names a credential.
func (c helping) session(a *app, profile string, fn func(*vault.Session) error) error {
	a.in = nobody{}
	key, _, err := a.keyFromEnvironment()
	if err != nil {
		return err
	}
	if a.Profile == "" && key == "" {
		if cfg, err := a.world.loadConfig(); err == nil && cfg.Profiles[profile] != nil {
			a.Profile = profile
		}
	}
	h, err := a.find()
	if err == nil {
		err = a.ready(h)
	}
	if err != nil {
		return err
	}
	if h.cred.kind == ownerCredential && !c.Owner {
		return errorf(vault.ErrDenied, "programs start a helper unasked, and %s has the owner key", h.cred.from).
			hint("make an agent for it, and store its key with: ass login --profile %s --key-file FILE; or run it with --owner",
				profile)
	}
	return a.withSession(access{}, fn)
}

// request reads what a program writes to a helper: all of it or, if lines is true, up to an empty line.
func (a *app) request(lines bool) ([]byte, error) {
	const most = 1 << 20
	if err := a.stdinIsFree(); err != nil {
		return nil, err
	}
	var b []byte
	var err error
	if in := io.LimitReader(a.in, most+1); !lines {
		b, err = io.ReadAll(in)
	} else {
		from := bufio.NewReader(in)
		for err == nil {
			var line []byte
			line, err = from.ReadBytes('\n')
			if b = append(b, line...); len(bytes.TrimRight(line, "\r\n")) == 0 {
				break
			}
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err == nil && len(b) > most {
		err = usagef("the request is larger than %s", size(most))
	}
	return b, err
}

// wholePath parses the path of a secret. A helper runs in any folder, so no project completes a name.
func wholePath(what, text string) (tokens.Path, error) {
	p, err := tokens.ParsePath(text)
	if err != nil && what != "path" { // the error says that it is about a path
		err = usagef("%s: %v", what, err)
	}
	return p, err
}

// places parses paths that were made from a request. One that is too long is the path of no secret.
func places(texts ...string) (list []tokens.Path) {
	for _, text := range texts {
		if p, err := tokens.ParsePath(text); err == nil {
			list = append(list, p)
		}
	}
	return list
}

// foundCredential is a credential and where it lies.
type foundCredential struct {
	protocols.Credential
	at tokens.Path
}

// firstFit reads the first secret of some that is there, that the session may read, and whose credential fits. It
// returns nil if there is none: what the scopes do not cover is not there, so the program asks elsewhere.
func firstFit(s *vault.Session, paths []tokens.Path, fits func(*foundCredential) bool) (*foundCredential, error) {
	for _, p := range paths {
		if !s.Can(tokens.Read, p) {
			continue
		}
		_, value, err := s.Get(p, 0)
		if errors.Is(err, vault.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		cred, err := protocols.ParseCredential(value)
		clear(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		if found := (&foundCredential{cred, p}); fits(found) {
			return found, nil
		}
	}
	return nil, nil
}

// printed prints what a protocol says, and wipes it.
func (a *app) printed(b []byte, err error) error {
	if err == nil {
		a.out.print(b)
		clear(b)
	}
	return err
}

// linkedAs returns the command line that a program means that started ass under another name, and args otherwise.
func linkedAs(program string, args []string) []string {
	switch name := strings.TrimSuffix(filepath.Base(program), ".exe"); {
	case name == gitLink:
		return append([]string{"helper", "git"}, args...)
	case name == dockerLink, name == dockerWriteLink:
		line := []string{"helper", "docker"}
		if name == dockerWriteLink {
			line = append(line, "--write")
		}
		if len(args) == 1 && (args[0] == "-v" || args[0] == "--version") {
			args = []string{"version"}
		}
		return append(line, args...)
	case name == askpassLink, strings.HasSuffix(name, "ssh-askpass"):
		return append([]string{"helper", "ssh-askpass", "--"}, args...)
	}
	return args
}

// The names under which programs look for a helper.
const (
	gitLink         = "git-credential-ass"
	dockerLink      = "docker-credential-ass"
	dockerWriteLink = "docker-credential-ass-write"
	askpassLink     = "ass-askpass"
)

// install makes a link to this program, or a copy of it on Windows, where a link takes rights. config is the line that
// makes the other program use it; %s stands for the path of the link.
func (c linking) install(a *app, name, config string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	dir, err := a.abs(c.Install)
	if err != nil {
		return err
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return usagef("%s is no folder", c.Install).
			hint("make it first, or name another one")
	}
	link := filepath.Join(dir, name)
	created, err := putLink(program, link)
	if err != nil {
		return err
	}
	if strings.Contains(config, "%s") {
		config = strings.ReplaceAll(config, "%s", link)
	} else if found, err := a.lookPath(name); err != nil || filepath.Dir(found) != dir {
		a.out.note("%s is not on PATH, or another %s comes before it there", dir, name)
	}
	if created {
		a.changed("%s is made", link)
	}
	return a.answer(helperLinkResult{Link: link, Program: program, Created: created, Config: config}, func() {
		if created {
			a.out.done("Made %s, a link to %s", a.tilde(link), a.tilde(program))
		} else {
			a.out.done("%s is already a link to %s", a.tilde(link), a.tilde(program))
		}
		a.out.line("%s", config)
	})
}

// putLink makes a link, and reports whether there was none to this program yet. It replaces a link to another ass, and
// nothing else.
func putLink(program, link string) (created bool, err error) {
	info, err := os.Lstat(link)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return false, err
	case info.Mode()&os.ModeSymlink != 0:
		to, err := os.Readlink(link)
		if err != nil {
			return false, err
		}
		if to == program {
			return false, nil
		}
		if name := filepath.Base(to); name != "ass" && name != filepath.Base(program) {
			return false, failf("%s is a link to %s, which is not ass", link, to).
				hint("remove it, or name another folder")
		}
		if err := os.Remove(link); err != nil {
			return false, err
		}
	case runtime.GOOS == "windows" && sameContent(program, link):
		return false, nil
	default:
		return false, failf("%s is there already, and it is no link to ass", link).
			hint("remove it, or name another folder")
	}
	if runtime.GOOS != "windows" {
		return true, os.Symlink(program, link)
	}
	from, err := os.Open(program)
	if err != nil {
		return false, err
	}
	defer from.Close()
	to, err := os.OpenFile(link, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return false, err
	}
	_, err = io.Copy(to, from)
	return true, errors.Join(err, to.Close())
}

func sameContent(one, other string) bool {
	a, err := os.ReadFile(one)
	if err != nil {
		return false
	}
	b, err := os.ReadFile(other)
	return err == nil && string(a) == string(b)
}
