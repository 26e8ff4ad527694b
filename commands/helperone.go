package commands

import (
	"errors"
	"fmt"

	"ass/commands/internal/protocols"
	"ass/tokens"
	"ass/vault"
)

// The helpers that answer one question, and always the same one.

// readAll reads some secrets in one act.
func (c helping) readAll(a *app, profile string, paths []tokens.Path, then func(gathered) error) error {
	return c.session(a, profile, func(s *vault.Session) error {
		g, err := gather(s, paths)
		if err != nil {
			return err
		}
		defer func() {
			for _, v := range g {
				clear(v.Value)
			}
		}()
		return then(g)
	})
}

type helperAWS struct {
	Namespace string `arg:"" optional:"" help:"Where AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if it is there, AWS_SESSION_TOKEN are."`
	Secret    string `help:"A secret with all of it as JSON, instead." placeholder:"PATH"`
	noLink
	helping
}

func (helperAWS) Help() string {
	return `Answers the AWS command line and SDKs. The secrets of the namespace are called as the AWS
tools call the variables; AWS_CREDENTIAL_EXPIRATION is a time as in RFC 3339. The JSON of
--secret is what a credential_process prints: {"AccessKeyId":…,"SecretAccessKey":…}.

In ~/.aws/config:

  [profile work]
  credential_process = ass helper aws production/aws`
}

func (c helperAWS) Run(a *app) error {
	if err := c.refuse("aws starts the line of credential_process as it is"); err != nil {
		return err
	}
	if (c.Namespace == "") == (c.Secret == "") {
		return usagef("name a namespace, or a secret with --secret")
	}
	if c.Secret != "" {
		p, err := wholePath("--secret", c.Secret)
		if err != nil {
			return err
		}
		return c.readAll(a, "aws", []tokens.Path{p}, func(g gathered) error {
			cred, err := protocols.ParseAWS(g[p].Value)
			if err == nil {
				err = a.printed(cred.Answer(a.now()))
			}
			return about(p, err)
		})
	}
	ns, err := tokens.ParseNamespace(c.Namespace)
	if err != nil {
		return err
	}
	return c.session(a, "aws", func(s *vault.Session) error {
		list, err := s.List(ns, false)
		if err != nil {
			return err
		}
		there := map[tokens.Path]bool{}
		for _, secret := range list {
			there[secret.Path] = true
		}
		var paths []tokens.Path
		for i, key := range protocols.AWSKeys {
			p, err := ns.Join(key)
			if err != nil {
				return err
			}
			if i < 2 || there[p] {
				paths = append(paths, p)
			}
		}
		g, err := gather(s, paths)
		if err != nil {
			return err
		}
		values := map[string][]byte{}
		for p, v := range g {
			values[p.Key()] = v.Value
			defer clear(v.Value)
		}
		cred, err := protocols.NewAWS(values)
		if err == nil {
			err = a.printed(cred.Answer(a.now()))
		}
		return about(ns, err)
	})
}

// about puts what an error is about before it.
func about(what fmt.Stringer, err error) error {
	if err != nil {
		err = fmt.Errorf("%s: %w", what, err)
	}
	return err
}

type helperKube struct {
	Token       string `arg:"" optional:"" name:"path" help:"Secret with a bearer token."`
	Certificate string `name:"client-certificate" help:"Secret with a client certificate, as PEM." placeholder:"PATH"`
	Key         string `name:"client-key" help:"Secret with the key of that certificate, as PEM." placeholder:"PATH"`
	noLink
	helping
}

func (helperKube) Help() string {
	return `Answers kubectl, and everything else that reads a kubeconfig, with a token, a client
certificate or both, in the version that KUBERNETES_EXEC_INFO asks for (v1, v1beta1).

In ~/.kube/config:

  users:
  - name: me
    user:
      exec:
        apiVersion: client.authentication.k8s.io/v1
        command: ass
        args: [helper, kube, production/kube/TOKEN]
        interactiveMode: Never`
}

func (c helperKube) Run(a *app) error {
	if err := c.refuse("kubectl starts the command with its args"); err != nil {
		return err
	}
	switch {
	case (c.Certificate == "") != (c.Key == ""):
		return usagef("--client-certificate and --client-key go together")
	case c.Token == "" && c.Key == "":
		return usagef("name the secret with the token, or --client-certificate and --client-key")
	}
	version, err := protocols.ExecVersion(a.getenv("KUBERNETES_EXEC_INFO"))
	if err != nil {
		return failf("%v", err)
	}
	var paths []tokens.Path
	named := map[string]tokens.Path{}
	for _, one := range [][2]string{{"path", c.Token}, {"--client-certificate", c.Certificate}, {"--client-key", c.Key}} {
		if one[1] == "" {
			continue
		}
		p, err := wholePath(one[0], one[1])
		if err != nil {
			return err
		}
		paths, named[one[1]] = append(paths, p), p
	}
	return c.readAll(a, "kube", paths, func(g gathered) error {
		status, err := protocols.NewExecStatus(g[named[c.Token]].Value, g[named[c.Certificate]].Value, g[named[c.Key]].Value)
		if err != nil {
			return err
		}
		return a.printed(status.Answer(version))
	})
}

type helperSSH struct {
	Prompt    string `arg:"" optional:"" help:"The question; the program that asks adds it."`
	Namespace string `help:"Where the answers are, as NAMESPACE/FILE and NAMESPACE/HOST/USER." default:"ssh" placeholder:"NS"`
	Secret    string `help:"The secret with the passphrase, whatever the name of the key." placeholder:"PATH"`
	linking
	helping
}

func (helperSSH) Help() string {
	return `Answers ssh and ssh-add when they ask for the passphrase of a key, from ssh/FILE with the
name of the key file, or for a password, from ssh/HOST/USER; and git when it asks for a
user or a password, as ass helper git does. It answers no other question: not whether to
trust a host or to use a key, and not for a PIN.

Make a link with ass helper ssh-askpass --install DIR, and set these:

  export SSH_ASKPASS=DIR/ass-askpass SSH_ASKPASS_REQUIRE=force`
}

// errNoAnswer is the error of a question that is for a person.
var errNoAnswer = errors.New("no answer")

func (c helperSSH) Run(a *app) error {
	if c.Install != "" {
		return c.install(a, askpassLink, "export SSH_ASKPASS=%s SSH_ASKPASS_REQUIRE=force")
	}
	p, ok := protocols.ParsePrompt(c.Prompt)
	if !ok || a.getenv("SSH_ASKPASS_PROMPT") != "" {
		return errorf(errNoAnswer, "this question is for a person, so ass does not answer it")
	}
	if p.Git.Host != "" {
		return c.git(a, p)
	}
	list := places(p.SSHPlace(c.Namespace))
	if c.Secret != "" {
		if p.File == "" {
			return errorf(errNoAnswer, "--secret is a passphrase, and this question is for a password")
		}
		one, err := wholePath("--secret", c.Secret)
		if err != nil {
			return err
		}
		list = []tokens.Path{one}
	}
	if len(list) == 0 {
		return errorf(errNoAnswer, "what is asked for has no path, so ass does not answer")
	}
	return c.session(a, "ssh", func(s *vault.Session) error {
		found, err := firstFit(s, list, func(found *foundCredential) bool { return p.Fits(found.Credential) })
		return c.answer(a, list[0], found, err)
	})
}

// git answers git, with the credential that ass helper git would give.
func (c helperSSH) git(a *app, p protocols.Prompt) error {
	server, err := p.Git.Server()
	if err != nil || server.Scheme == "http" && !server.Local() {
		return errorf(errNoAnswer, "git asks for a server that gets no credential here")
	}
	list := places(p.Git.Places("git")...)
	if len(list) == 0 {
		return errorf(errNoAnswer, "what is asked for has no path, so ass does not answer")
	}
	return c.session(a, "git", func(s *vault.Session) error {
		found, err := firstFit(s, list, func(found *foundCredential) bool {
			return found.Fits(server, p.Git.Username) && !found.Expired(a.now())
		})
		if found != nil && p.Username {
			if found.Username == "" {
				return failf("%s: the value has no user", found.at).
					hint(`store {"username":…,"password":…} there`)
			}
			found.Password = found.Username
		}
		return c.answer(a, list[len(list)-1], found, err)
	})
}

func (c helperSSH) answer(a *app, at tokens.Path, found *foundCredential, err error) error {
	if err != nil {
		return err
	}
	if found == nil {
		return errorf(vault.ErrNotFound, "no secret at %s that this key may read, and that fits", at)
	}
	line, err := protocols.Line([]byte(found.Password))
	if err != nil {
		return about(found.at, err)
	}
	a.out.write(line + "\n")
	return nil
}

type helperClaude struct {
	Path string `arg:"" help:"Secret to print."`
	noLink
	helping
}

func (helperClaude) Help() string {
	return `Prints the value and a newline, and nothing else. In the settings.json of Claude Code:

  {"apiKeyHelper": "ass helper claude production/anthropic/API_KEY"}`
}

func (c helperClaude) Run(a *app) error {
	if err := c.refuse("Claude Code starts the line of apiKeyHelper as it is"); err != nil {
		return err
	}
	p, err := wholePath("path", c.Path)
	if err != nil {
		return err
	}
	return c.readAll(a, "claude", []tokens.Path{p}, func(g gathered) error {
		line, err := protocols.Line(g[p].Value)
		if err != nil {
			return about(p, err)
		}
		a.out.write(line + "\n")
		return nil
	})
}

// noLink is the flag of the helpers that need none, so that the error can say so.
type noLink struct {
	Install string `hidden:"" placeholder:"DIR"`
}

func (c noLink) refuse(why string) error {
	if c.Install == "" {
		return nil
	}
	return usagef("--install: no link is needed here, because %s", why)
}
