package commands

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"

	"ass/commands/internal/process"
	"ass/commands/internal/redact"
	"ass/tokens"
	"ass/vault"
)

type runCmd struct {
	Namespace string `short:"n" help:"Give the child every secret in this namespace and below it, by key." placeholder:"NS"`
	naming
	Env          []string `help:"Give it one secret as a variable; can stand several times." placeholder:"NAME=PATH" sep:"none"`
	EnvFile      []string `help:"Give it the variables of a .env file, in which ass://path stands for a secret; can stand several times." placeholder:"FILE" sep:"none"`
	File         []string `help:"Give it the name of a file that holds one secret, or make that a link at PLACE; can stand several times." placeholder:"NAME=PATH[:PLACE]" sep:"none"`
	FileOnDisk   bool     `help:"Let --file write to the disk if this system has no folder in memory."`
	Stdin        string   `help:"Give it one secret on its stdin." placeholder:"PATH"`
	Pristine     bool     `help:"Give it no other variables than PATH, HOME, TERM and the like, and those that hold ass://path."`
	KeepAgentKey bool     `help:"Leave ASS_AGENT_KEY, ASS_API_KEY and ASS_AGENT_KEY_FILE in the child's environment."`
	NoRedact     bool     `help:"Do not replace values in the child's output."`
	Mask         string   `help:"Replace the values of these keys in its output, whatever they are." placeholder:"KEY,…"`
	NoMask       string   `help:"Do not replace the values of these keys." placeholder:"KEY,…"`
	asking
	patience
	logging
	Command []string `arg:"" passthrough:"" help:"Program to run, with its arguments, behind --."`
}

func (runCmd) Help() string {
	return `The child gets secrets in its environment; nothing is written to disk, and nothing is
printed. A variable that holds ass://path gets the value of that secret. There is no
shell in between, the vault is not held open, and the child's exit code is that of ass.

When nothing says what to give, the child gets the namespace of ASS_NAMESPACE or of the
project's .assrc, if that is trusted (ass init). A namespace gives no variable that acts
on the program itself, such as PATH, BASH_ENV or NODE_OPTIONS; --allow, --env and
--env-file do. If a name is given twice, --env counts, then the last --env-file.

Where the output is no terminal, values that appear in it are replaced by [redacted:KEY],
also in base64, hex, URL and JSON escapes: a seat belt, not a wall. Words such as true or
localhost are not, nor are settings such as a region; --mask and --no-mask decide by key.

  ass run --namespace production -- ./server --port 8080`
}

// errNoProgram says that there is no such program, and errNotProgram that the file is there,
// but is none.
var (
	errNoProgram  = errors.New("there is no such program")
	errNotProgram = errors.New("the file cannot be run")
)

func (c runCmd) Run(a *app) error {
	a.unlogged = c.Unlogged
	switch {
	case c.Command[0] == "--":
		c.Command = c.Command[1:]
	case strings.HasPrefix(c.Command[0], "-"):
		return c.unknownFlag(c.Command[0])
	}
	if len(c.Command) == 0 {
		return usagef("name the program to run, as in: ass run --namespace production -- ./server")
	}
	if c.NoRedact && c.Mask+c.NoMask != "" {
		return usagef("--mask and --no-mask say what is replaced, and --no-redact replaces nothing").
			hint("leave one out")
	}
	program, err := a.findProgram(c.Command[0])
	if err != nil {
		return err
	}
	if err := c.checkPlaces(a); err != nil {
		return err
	}
	var equipped *child
	if err := c.with(a, func() error {
		equipped = &child{program: program, args: c.Command}
		return c.equip(a, equipped)
	}); err != nil {
		return err
	}
	return c.start(a, equipped)
}

// unknownFlag is the error of a mistyped flag. It repeats the flag, but nothing that could be
// a value.
func (c runCmd) unknownFlag(word string) error {
	name, _, _ := strings.Cut(word, "=")
	named := " " + name
	switch {
	case flagName().MatchString(name):
	case len(word) == 2: // kong cut it off, perhaps from a value
		named = ""
	default:
		return usagef("unknown flag before the program").
			hint("see: ass run --help")
	}
	meant := flagMeant(flagNames(&c, &Globals{}), strings.TrimLeft(name, "-"))
	return usagef("unknown flag%s before the program", named).
		hint("%s", didYouMeanOr(meant, "see: ass run --help"))
}

var flagName = pattern(`^--[a-z]+(-[a-z]+){0,3}$`)

// findProgram finds the program to run.
func (a *app) findProgram(name string) (string, error) {
	if name == "" {
		return "", usagef("the name of the program is empty")
	}
	program, err := a.lookPath(name)
	switch {
	case err == nil:
		return program, nil
	case errors.Is(err, fs.ErrPermission):
		return "", errorf(errNotProgram, "%s: it is not executable", name)
	case errors.Is(err, syscall.EISDIR):
		return "", errorf(errNotProgram, "%s: it is a folder, not a program", name)
	case strings.ContainsAny(name, `/\`):
		return "", errorf(errNoProgram, "%s: there is no such file", name)
	}
	return "", errorf(errNoProgram, "%s: no such program on PATH", name)
}

// child is the program to run, with what it gets.
type child struct {
	program string
	args    []string
	env     []string
	secrets []variable // what it was given: name is the key, for redaction
	stdin   *[]byte    // nil: the stdin of ass
	files   []variable // name is the variable, value the content
	places  []string   // for each of them, where a link is made; "" for none
}

// forget wipes the values that the child has received. Redaction has
// another copy, and the stdin of the child is still on its way.
func (c *child) forget() {
	for _, v := range slices.Concat(c.secrets, c.files) {
		if c.stdin == nil || !sameMemory(v.value, *c.stdin) {
			clear(v.value)
		}
	}
	c.env, c.secrets, c.files = nil, nil, nil
}

func sameMemory(a, b []byte) bool { return len(a) > 0 && len(b) > 0 && &a[0] == &b[0] }

// equip reads what the child is to get, in one transaction.
func (c runCmd) equip(a *app, child *child) error {
	c.Namespace = a.namedNamespace(c.Namespace)
	a.namespace = c.Namespace // for names without a slash
	env := c.environment(a.world)
	named, err := c.named(a)
	if err != nil {
		return err
	}
	bulk, err := c.bulk(a, env)
	if err != nil {
		return err
	}
	for _, w := range named {
		env = dropVariable(env, w.name)
		if bulk != nil {
			bulk.given = append(bulk.given, w.name)
		}
	}
	inherited, err := c.inherited(a, env)
	if err != nil {
		return err
	}
	for _, w := range named {
		if w.plain {
			env = append(env, w.name+"="+w.text)
		}
	}
	child.env = env
	named = slices.DeleteFunc(named, func(w binding) bool { return w.plain })
	if len(named) == 0 && len(inherited) == 0 && bulk == nil {
		return c.checkMasks(nil)
	}
	return a.withSession(access{}, func(s *vault.Session) error {
		if bulk != nil {
			if err := bulk.choose(s); err != nil {
				return err
			}
			if err := bulk.nothing(s); err != nil {
				return err
			}
			inherited = slices.DeleteFunc(inherited, bulk.gives)
		}
		able, unable, err := fillable(s, inherited)
		if err != nil {
			return err
		}
		for _, w := range unable {
			a.out.warn("the variable %s does not name a readable secret and is left as it is: %s", w.name, w.path)
		}
		return c.grant(a, s, child, bulk, append(able, named...))
	})
}

// bulk returns the hand-over of a whole namespace: the one that --namespace names or,
// if nothing else says what to give, that of ASS_NAMESPACE or the project. It returns
// nil for none. The namespace "default" is never handed over unasked.
func (c runCmd) bulk(a *app, env []string) (*handover, error) {
	unsaid := len(c.Env)+len(c.EnvFile)+len(c.File) == 0 && c.Stdin == "" &&
		!slices.ContainsFunc(env, func(pair string) bool {
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

// grant reads the secrets and hands them to the child. A secret that was named wins
// over one of the namespace.
func (c runCmd) grant(a *app, s *vault.Session, child *child, bulk *handover, bindings []binding) error {
	var paths []tokens.Path
	if bulk != nil {
		paths = bulk.paths()
	}
	for _, w := range bindings {
		paths = append(paths, w.path)
	}
	if err := c.checkMasks(paths); err != nil {
		return err
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
			asVariable(child, binding{name: v.name}, v.value)
			child.secrets = append(child.secrets, variable{name: v.path.Key(), value: v.value})
		}
	}
	for _, w := range bindings {
		value := g[w.path].Value
		if bytes.IndexByte(value, 0) >= 0 && w.inEnv {
			return usagef("%s has a zero byte, which no environment can carry", w.path).
				hint("hand it over with --file or --stdin")
		}
		if w.inEnv && isReference(string(value)) {
			a.out.warn("the value of %s is itself a reference, which a nested ass run would fill in", w.path)
		}
		w.as(child, w, value)
		child.secrets = append(child.secrets, variable{name: w.path.Key(), value: value})
	}
	return nil
}

// checkMasks refuses a key in --mask or --no-mask that is that of no secret: a mistyped one
// would show what it should hide.
func (c runCmd) checkMasks(paths []tokens.Path) error {
	for _, flag := range []struct{ name, keys string }{{"--mask", c.Mask}, {"--no-mask", c.NoMask}} {
		if flag.keys == "" {
			continue
		}
		for _, key := range commas(flag.keys) {
			if key == "" {
				return usagef("%s has an empty name in it", flag.name)
			}
			if !slices.ContainsFunc(paths, func(p tokens.Path) bool { return p.Key() == key }) {
				return errorf(vault.ErrNotFound, "%s: the program gets no secret with the key %s", flag.name, key)
			}
			if flag.name == "--mask" && c.NoMask != "" && slices.Contains(commas(c.NoMask), key) {
				return usagef("%s is in --mask and in --no-mask", key)
			}
		}
	}
	return nil
}

// start runs the child: in place of this process, if ass has nothing more to do for it,
// or under its eyes.
func (c runCmd) start(a *app, child *child) error {
	a.closePassphrases()
	var files *process.Files
	ended := sync.OnceFunc(func() {
		if files == nil {
			return
		}
		if err := files.Remove(); err != nil {
			a.out.warn("the files that the program got could not all be removed: %v", err)
		}
	})
	defer ended()
	p := process.Child{
		Program: child.program, Args: child.args, Env: child.env, Dir: a.dir,
		Give: child.stdin, Stdin: a.in, Stdout: a.out.w, Stderr: a.out.errw,
		Main:    a.process,
		Started: func() { child.forget() },
		Ended:   ended,
		Warn:    func(text string) { a.out.warn("%s", text) },
	}
	if !c.NoRedact && (!a.out.tty || !a.out.errTTY) {
		var secrets []redact.Secret
		for _, v := range child.secrets {
			secrets = append(secrets, redact.Secret{Key: v.name, Value: v.value})
		}
		p.Needles = redact.New(secrets, redact.Rules{Mask: commas(c.Mask), NoMask: commas(c.NoMask)})
		p.MaskOut, p.MaskErr = p.Needles != nil && !a.out.tty, p.Needles != nil && !a.out.errTTY
	}
	if len(child.files) == 0 {
		return a.runChild(&p, true, func() error { return nil })
	}
	return a.runChild(&p, false, func() (err error) {
		files, err = c.writeFiles(a, child)
		p.Env = child.env
		return err
	})
}

// runChild runs a program: in place of this process, if that may be, or under its eyes. before
// is called when no signal can end this process any more, so what it leaves is tidied up.
func (a *app) runChild(p *process.Child, mayReplace bool, before func() error) error {
	a.tellWaiting() // now: the program may run for hours
	code, err := 0, error(nil)
	if mayReplace && a.isProcess() {
		err = p.Replace()
	}
	if err == nil {
		if a.ownsProcess() {
			p.Caught = process.Catch()
		}
		if err := before(); err != nil {
			return err
		}
		code, err = p.Run()
	}
	var start *process.StartError
	switch {
	case errors.As(err, &start):
		return cannotStart(p.Args[0], start.Err)
	case err != nil:
		return err
	case code != 0:
		return &exitError{code}
	}
	return nil
}

// cannotStart is the error of a program that was found but does not start.
func cannotStart(name string, err error) error {
	var why syscall.Errno
	switch {
	case errors.Is(err, syscall.E2BIG):
		return usagef("a secret, or all of them, is too large for an environment").
			hint("hand large ones over with --file or --stdin")
	case errors.Is(err, syscall.ENOEXEC):
		return errorf(errNotProgram, "%s: it is no program for this system, and no script that names one in a first line "+
			"such as #!/bin/sh", name)
	case errors.Is(err, fs.ErrNotExist):
		return errorf(errNoProgram, "%s: the program that its first line names is not there", name)
	case errors.As(err, &why):
		return errorf(errNotProgram, "%s: it cannot be started: %v", name, why)
	}
	return errorf(errNotProgram, "%s: it cannot be started", name)
}

// exitError carries the exit code of a child. It needs no message.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// ownsProcess reports whether signals to the process are meant for this run. They are not if
// another program calls Run with streams of its own.
func (a *app) ownsProcess() bool { return a.process || a.isProcess() }

// isProcess reports whether everything around this run is that of the process, so that
// another program can take its place.
func (a *app) isProcess() bool {
	return !a.own && a.in == io.Reader(os.Stdin) && a.out.w == io.Writer(os.Stdout) && a.out.errw == io.Writer(os.Stderr)
}
