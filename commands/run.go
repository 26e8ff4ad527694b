package commands

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"

	"ass/tokens"
	"ass/vault"
)

type runCmd struct {
	Namespace string `short:"n" help:"Give the child every secret in this namespace and below it, by key." placeholder:"NS"`
	naming
	Env          []string `help:"Give it one secret as a variable; can stand several times." placeholder:"NAME=PATH"`
	File         []string `help:"Give it the name of a file in memory that holds one secret; can stand several times." placeholder:"NAME=PATH"`
	Stdin        string   `help:"Give it one secret on its stdin." placeholder:"PATH"`
	Pristine     bool     `help:"Give it no other variables than PATH, HOME, TERM and the like, and those that hold ass://path."`
	KeepAgentKey bool     `help:"Leave ASS_AGENT_KEY and ASS_API_KEY in the child's environment."`
	NoRedact     bool     `help:"Do not replace values in the child's output."`
	asking
	Command []string `arg:"" passthrough:"" help:"Program to run, with its arguments, behind --."`
}

func (runCmd) Help() string {
	return `The child gets secrets in its environment; nothing is written to disk, and nothing is
printed. A variable that holds ass://path gets the value of that secret. There is no
shell in between, the vault is not held open, and the child's exit code is that of ass.

When nothing says what to give, the child gets the namespace of ASS_NAMESPACE or of the
project's .assrc, if that is trusted (ass init). A namespace gives no variable that acts
on the program itself, such as PATH, BASH_ENV or NODE_OPTIONS; --allow and --env do.

Where the output is no terminal, values that appear in it are replaced by [redacted:KEY],
also in base64, hex, URL and JSON escapes: a seat belt, not a wall.

  ass run --namespace production -- ./server --port 8080`
}

// errNoProgram says that the child could not be started.
var errNoProgram = errors.New("the program cannot be started")

func (c runCmd) Run(a *app) error {
	switch {
	case c.Command[0] == "--":
		c.Command = c.Command[1:]
	case strings.HasPrefix(c.Command[0], "-"):
		return usagef("unknown flag before the program; see: ass run --help")
	}
	if len(c.Command) == 0 {
		return usagef("name the program to run, as in: ass run --namespace production -- ./server")
	}
	program, err := a.lookPath(c.Command[0])
	if err != nil {
		return errorf(errNoProgram, "%s: no such program on PATH, or it is not executable", c.Command[0])
	}
	child := &child{program: program, args: c.Command, redact: !c.NoRedact}
	if err := c.equip(a, child); err != nil {
		return err
	}
	return child.run(a)
}

// child is the program to run, with what it gets.
type child struct {
	program string
	args    []string
	env     []string
	secrets []variable // what it was given, for redaction
	stdin   *[]byte    // nil: the stdin of ass
	files   []variable // in memory: name is the variable, value the content
	open    []*os.File // those files, once they are open
	redact  bool
}

// binding is a secret that the child is to get, and the form in which it gets it.
type binding struct {
	name string
	path tokens.Path
	as   func(*child, variable)

	inEnv bool // it becomes a variable
	loose bool // if it cannot be filled, the variable stays as it is
}

func asVariable(c *child, v variable) {
	c.env = append(dropVariable(c.env, v.name), v.name+"="+string(v.value))
}
func asFile(c *child, v variable)  { c.files = append(c.files, v) }
func asStdin(c *child, v variable) { c.stdin = &v.value }

// equip reads what the child is to get, in one transaction.
func (c runCmd) equip(a *app, child *child) error {
	c.Namespace = a.namedNamespace(c.Namespace)
	a.namespace = c.Namespace // for names without a slash
	child.env = c.environment(a.world)
	bindings, err := c.bindings(a, child.env)
	if err != nil {
		return err
	}
	bulk, err := c.bulk(a, child.env)
	if err != nil {
		return err
	}
	if len(bindings) == 0 && bulk == nil {
		return nil
	}
	return a.withSession(access{}, func(s *vault.Session) error {
		able, unable, err := fillable(s, bindings)
		if err != nil {
			return err
		}
		set := map[string]bool{}
		if bulk != nil {
			for _, w := range able {
				bulk.given = append(bulk.given, w.name)
			}
			if err := bulk.choose(s); err != nil {
				return err
			}
			if err := bulk.nothing(s); err != nil {
				return err
			}
			for _, v := range bulk.list {
				set[v.name] = true
			}
		}
		for _, w := range unable {
			if !set[w.name] {
				a.out.warn("the variable %s does not name a readable secret and is left as it is: %s", w.name, w.path)
			}
		}
		return grant(a, s, child, bulk, able)
	})
}

// bulk returns the hand-over of a whole namespace: the one that --namespace names or,
// if nothing else says what to give, that of ASS_NAMESPACE or the project. It returns
// nil for none. The namespace "default" is never handed over unasked.
func (c runCmd) bulk(a *app, env []string) (*handover, error) {
	unsaid := len(c.Env) == 0 && len(c.File) == 0 && c.Stdin == "" && !slices.ContainsFunc(env, func(pair string) bool {
		_, text, _ := strings.Cut(pair, "=")
		return isReference(text)
	})
	if c.Namespace != "" || unsaid {
		chosen, err := a.chooseNamespace(c.Namespace)
		if err == nil {
			err = a.mayHandOver(chosen, "ass run --namespace "+chosen.ns.String())
		}
		if err != nil {
			return nil, err
		}
		if chosen.from != fromNowhere {
			return &handover{naming: c.naming, ns: chosen.ns, takes: isVariable, child: true}, nil
		}
	}
	if c.Keys != "" || c.Exclude != "" || c.Prefix || c.Allow != "" {
		return nil, usagef("--keys, --exclude, --prefix and --allow go with --namespace")
	}
	return nil, nil
}

// fillable sorts out the bindings that can be filled. A loose one need not be.
func fillable(s *vault.Session, bindings []binding) (able, unable []binding, err error) {
	for _, w := range bindings {
		if w.loose {
			list, err := s.List(w.path.Namespace(), false)
			if err != nil {
				return nil, nil, err
			}
			if !s.Can(tokens.Read, w.path) || !slices.ContainsFunc(list,
				func(secret vault.Secret) bool { return secret.Path == w.path }) {
				unable = append(unable, w)
				continue
			}
		}
		able = append(able, w)
	}
	return able, unable, nil
}

// grant reads the secrets and hands them to the child. A secret that was named wins
// over one of the namespace.
func grant(a *app, s *vault.Session, child *child, bulk *handover, bindings []binding) error {
	var paths []tokens.Path
	if bulk != nil {
		paths = bulk.paths()
	}
	for _, w := range bindings {
		paths = append(paths, w.path)
	}
	g, err := gather(s, paths)
	if err != nil {
		return err
	}
	if bulk != nil {
		if err := bulk.fill(g); err != nil {
			return err
		}
		if err := bulk.nothing(s); err != nil {
			return err
		}
		bulk.tell(a)
		for _, v := range bulk.list {
			asVariable(child, v)
			child.secrets = append(child.secrets, variable{name: v.path.Key(), value: v.value})
		}
	}
	for _, w := range bindings {
		v := variable{name: w.name, value: g[w.path].Value}
		if strings.IndexByte(string(v.value), 0) >= 0 && w.inEnv {
			return usagef("%s has a zero byte, which no environment can carry; hand it over with --file or --stdin", w.path)
		}
		if w.inEnv && isReference(string(v.value)) {
			a.out.warn("the value of %s is itself a reference, which a nested ass run would fill in", w.path)
		}
		w.as(child, v)
		child.secrets = append(child.secrets, variable{name: w.path.Key(), value: v.value})
	}
	return nil
}

// environment returns the variables that the child gets besides secrets.
func (c runCmd) environment(w *world) []string {
	env := slices.Clone(w.env)
	if c.Pristine {
		keep := []string{"PATH", "HOME", "TERM", "TMPDIR", "TZ", "LANG", "USER", "SHELL", "SYSTEMROOT"}
		env = slices.DeleteFunc(env, func(pair string) bool {
			name, text, _ := strings.Cut(pair, "=")
			return !slices.Contains(keep, name) && !strings.HasPrefix(name, "LC_") && !isReference(text)
		})
	}
	if !c.KeepAgentKey {
		for _, name := range keyVariables {
			env = dropVariable(env, name)
		}
	}
	return env
}

func dropVariable(env []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(pair string) bool { return strings.HasPrefix(pair, name+"=") })
}

// bindings returns the secrets that the flags and the environment name.
func (c runCmd) bindings(a *app, env []string) ([]binding, error) {
	var list []binding
	for _, pair := range env {
		name, text, _ := strings.Cut(pair, "=")
		p, ok, err := a.reference(text)
		switch {
		case !ok:
		case err == nil:
			list = append(list, binding{name, p, asVariable, true, !c.Strict})
		case c.Strict:
			return nil, usagef("the variable %s: %v", name, err)
		default:
			a.out.warn("the variable %s does not name a secret and is left as it is: %v", name, err)
		}
	}
	for _, flag := range []struct {
		name  string
		pairs []string
		as    func(*child, variable)
	}{{"--env", c.Env, asVariable}, {"--file", c.File, asFile}} {
		for _, pair := range flag.pairs {
			name, text, found := strings.Cut(pair, "=")
			if !found || !isVariable(name) {
				return nil, usagef("%s takes NAME=path, as in %s STRIPE_KEY=production/stripe/KEY", flag.name, flag.name)
			}
			p, err := a.path(strings.TrimPrefix(text, referencePrefix))
			if err != nil {
				return nil, usagef("%s %s: %v", flag.name, name, err)
			}
			if slices.ContainsFunc(list, func(w binding) bool { return w.name == name && !w.loose && w.path != p }) {
				return nil, usagef("%s is given two secrets", name)
			}
			list = append(list, binding{name, p, flag.as, flag.name == "--env", false})
		}
	}
	if c.Stdin != "" {
		p, err := a.path(strings.TrimPrefix(c.Stdin, referencePrefix))
		if err != nil {
			return nil, err
		}
		list = append(list, binding{"", p, asStdin, false, false})
	}
	return list, nil
}

// run replaces this process with the child, if ass has nothing more to do for it.
// Otherwise it starts the child and watches over it.
func (c *child) run(a *app) error {
	a.closePassphrases()
	redactOut, redactErr := c.redact && !a.out.tty && len(c.secrets) > 0, c.redact && !a.out.errTTY && len(c.secrets) > 0
	if !redactOut && !redactErr && c.stdin == nil && a.isProcess() && canReplace {
		if err := c.handOver(replacedFile); err != nil {
			return err
		}
		giveCoreLimit()
		if err := replaceProcess(c.program, c.args, c.env); err != nil {
			return c.cannotStart(err)
		}
	}
	if err := c.handOver(extraFile); err != nil {
		return err
	}
	cmd := exec.Command(c.program)
	cmd.Args, cmd.Env, cmd.ExtraFiles, cmd.Dir = c.args, c.env, c.open, a.dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.in, a.out.w, a.out.errw
	feed := func() {}
	if c.stdin != nil {
		cmd.Stdin = bytes.NewReader(*c.stdin)
	} else if _, isFile := a.in.(*os.File); !isFile {
		// The reader may never end, and exec would wait for that: copy without it.
		cmd.Stdin = nil
		to, err := cmd.StdinPipe()
		if err != nil {
			return c.cannotStart(err)
		}
		feed = func() {
			_, _ = io.Copy(to, a.in)
			_ = to.Close()
		}
	}
	var needles *needles
	if redactOut || redactErr {
		needles = needlesFor(c.secrets)
	}
	var redactors []io.Closer
	for _, stream := range []struct {
		redact bool
		to     *io.Writer
	}{{redactOut, &cmd.Stdout}, {redactErr, &cmd.Stderr}} {
		if stream.redact {
			r := newRedactor(*stream.to, needles)
			*stream.to = r
			redactors = append(redactors, r)
		}
	}
	pass, stop := func(*os.Process) {}, func() {}
	if a.ownsProcess() { // else the signals belong to the program that this run is a part of
		pass, stop = catchSignals(atKeyboard())
	}
	err := start(cmd)
	if err == nil {
		pass(cmd.Process)
		go feed()
	}
	c.forget()
	cmd.Env = nil
	for _, f := range c.open {
		_ = f.Close()
	}
	if err != nil {
		stop()
		return c.cannotStart(err)
	}
	err = cmd.Wait()
	stop()
	for _, r := range redactors {
		err = errors.Join(err, r.Close())
	}
	return childResult(cmd, err)
}

// forget wipes the values that the child has received. It keeps those that redaction
// searches for in the output, and the stdin of the child, as long as the child lives.
func (c *child) forget() {
	for _, v := range slices.Concat(c.secrets, c.files) {
		if c.stdin == nil || !sameMemory(v.value, *c.stdin) {
			clear(v.value)
		}
	}
	c.env, c.secrets, c.files = nil, nil, nil
}

func sameMemory(a, b []byte) bool { return len(a) > 0 && len(b) > 0 && &a[0] == &b[0] }

func (c *child) cannotStart(err error) error {
	if errors.Is(err, syscall.E2BIG) {
		return usagef("a secret, or all of them, is too large for an environment; hand large ones over with --file or " +
			"--stdin")
	}
	var why syscall.Errno
	if !errors.As(err, &why) {
		return errorf(errNoProgram, "%s: it cannot be started", c.args[0])
	}
	return errorf(errNoProgram, "%s: it cannot be started: %v", c.args[0], why)
}

// handOver puts the files into memory, and their names into the environment.
func (c *child) handOver(name func(i int, f *os.File) (string, error)) error {
	for i, file := range c.files {
		f, err := fileInMemory(file.value)
		if err != nil {
			return err
		}
		path, err := name(i, f)
		if err != nil {
			return err
		}
		c.open = append(c.open, f)
		c.env = append(dropVariable(c.env, file.name), file.name+"="+path)
	}
	return nil
}

// extraFile returns the path of a file for the child of [exec.Cmd].
func extraFile(i int, _ *os.File) (string, error) { return fmt.Sprintf("/dev/fd/%d", 3+i), nil }

// catchSignals holds signals back until pass names the process that gets them. Then it
// passes them on until stop is called. The child gets signals from the keyboard
// directly, and ass waits for what it does with them.
func catchSignals(keyboard bool) (pass func(*os.Process), stop func()) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, forwarded...)
	var done sync.WaitGroup
	pass = func(p *os.Process) {
		done.Go(func() {
			for s := range signals {
				if !(keyboard && fromKeyboard(s)) {
					_ = p.Signal(s)
				}
			}
		})
	}
	return pass, func() {
		signal.Stop(signals)
		close(signals)
		done.Wait()
	}
}

// exitError carries the exit code of a child. It needs no message.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

func childResult(cmd *exec.Cmd, err error) error {
	var exit *exec.ExitError
	switch {
	case cmd.ProcessState == nil:
		return err
	case errors.As(err, &exit):
		code := exit.ExitCode()
		if code < 0 { // ended by a signal; the code is the one that shells use
			code = 128 + signalOf(exit.ProcessState)
		}
		return &exitError{code}
	}
	return err
}

// ownsProcess reports whether signals to the process are meant for this run. They are not if
// another program calls Run with streams of its own.
func (a *app) ownsProcess() bool { return a.process || a.isProcess() }

// isProcess reports whether everything around this run is that of the process, so that
// another program can take its place.
func (a *app) isProcess() bool {
	return !a.own && a.in == io.Reader(os.Stdin) && a.out.w == io.Writer(os.Stdout) && a.out.errw == io.Writer(os.Stderr)
}
