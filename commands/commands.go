// Package commands is the command line of ass. It parses, prompts and renders, and
// leaves every decision about keys and records to package vault. It contains no
// cryptography and no database code.
//
// [Main] is the whole program, so that other projects can give their scripts an
// ass command:
//
//	testscript.Main(m, map[string]func(){"ass": commands.Main})
//
// Package asstest sets up a vault for such a script.
//
// [CLI] is the table of contents: every command is a field, and its Run method is in
// the file named for its group. Read session.go for how a command opens the vault,
// output.go for what is printed where, and errors.go for the exit codes.
package commands

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/alecthomas/kong"

	"ass/commands/internal/process"
)

// CLI is every command and every global flag.
type CLI struct {
	Globals

	Login    loginCmd     `cmd:"" help:"Make a vault, or store a credential for one." group:"auth"`
	Logout   logoutCmd    `cmd:"" help:"Remove the stored credential." group:"auth"`
	Whoami   whoamiCmd    `cmd:"" help:"Show which credential is in use, and for what." group:"auth"`
	Status   statusCmd    `cmd:"" help:"Show where the vault is and how it is." group:"auth"`
	Profiles profileGroup `cmd:"" name:"profile" help:"List the stored credentials, and choose one." group:"auth"`
	Unlock   unlockCmd    `cmd:"" help:"Use the owner's secrets without the passphrase for a while." group:"auth"`
	Lock     lockCmd      `cmd:"" help:"End what ass unlock began." group:"auth"`

	Passphrase passphraseCmd `cmd:"" help:"Set, change or remove the passphrase of the owner key." group:"auth"`

	Key keyGroup `cmd:"" help:"Keep the owner key on paper, in shares, or in hardware." group:"auth"`

	Secrets secretsGroup `cmd:"" help:"Store, read and manage secrets." group:"secrets"`

	Env    envGroup  `cmd:"" help:"Read and write .env files." group:"secrets"`
	Import importCmd `cmd:"" help:"Bring in secrets from another store." group:"secrets"`
	Run    runCmd    `cmd:"" help:"Run a program with secrets in its environment." group:"secrets"`
	Inject injectCmd `cmd:"" help:"Fill secrets into a template." group:"secrets"`

	Agents    agentsGroup    `cmd:"" help:"Register programs, each with a key for some secrets." group:"agents"`
	Tokens    tokensGroup    `cmd:"" help:"Issue short-lived tokens." group:"agents"`
	Approvals approvalsGroup `cmd:"" help:"Decide what agents ask for." group:"agents"`
	MCP       mcpGroup       `cmd:"" name:"mcp" help:"Serve an AI agent over the Model Context Protocol." group:"agents"`
	Request   requestCmd     `cmd:"" help:"Ask a human to store a secret that is not there yet." group:"agents"`
	Helper    helperGroup    `cmd:"" help:"Answer git, docker, aws, kubectl, ssh or Claude Code with a secret." group:"agents"`
	Explain   explainCmd     `cmd:"" help:"Say who can open a secret, or what an agent can open." group:"agents"`

	Leaks leaksGroup `cmd:"" help:"Find where values leaked, who read one, and what to do." group:"audit"`
	Audit auditGroup `cmd:"" help:"Read and verify the audit log." group:"audit"`

	Vault vaultGroup `cmd:"" help:"Maintain the file of the vault." group:"utilities"`

	Init       initCmd         `cmd:"" help:"Give this project a default namespace (.assrc)." group:"utilities"`
	Open       openCmd         `cmd:"" help:"Look at the vault in a browser." group:"utilities"`
	Completion completionGroup `cmd:"" help:"Print a completion script for a shell, or install it." group:"utilities"`
	Version    versionCmd      `cmd:"" help:"Show the version of ass." group:"utilities"`
}

// Globals are the flags that every command has.
type Globals struct {
	JSON         bool          `help:"Print JSON, errors included."`
	Profile      string        `help:"Stored credential to use; the one in use if omitted (ass profile use)." placeholder:"NAME"`
	APIURL       string        `name:"api-url" help:"Vault to use: file:///path/to/vault.db, or a path." placeholder:"URL"`
	LockTimeout  time.Duration `help:"How long to wait while another process uses the vault; 0 for not at all." default:"10s"`
	PassphraseFD *int          `name:"passphrase-fd" help:"Read the owner's passphrase from this file descriptor, up to the end of its first line." placeholder:"FD"`

	PassphraseFile string `name:"passphrase-file" help:"Read the owner's passphrase from the first line of a file." placeholder:"FILE"`
}

// Program holds what one run takes from around it: streams, clock, environment and working
// folder. Those that are nil, and an empty Dir, default to those of this process. A Program
// with all of them takes nothing else from the process, but for its time zone, and changes
// nothing of it, so many can run at once. (--passphrase-fd names a descriptor of the process,
// and the run closes it.)
//
// A prompt needs a terminal, so Stdin must be an [os.File] for one. If Stdin is another reader,
// ass run copies from it until it ends, even after the child has ended.
type Program struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Now    func() time.Time // the clock
	Env    []string         // NAME=value, as in [os.Environ]
	Dir    string           // the working folder

	// Confined is for a program that acts for a model: the run refuses an owner's credential, reads no
	// project file (.assrc), and writes no file that ass itself reads.
	Confined bool

	// Throwaway is for the vault of a test: nothing is synced to the disk, so a power cut can destroy it. A command
	// of an unsynced vault takes a fraction of a millisecond.
	Throwaway bool

	// WorkFactor is scrypt's for a passphrase that is set: 2^WorkFactor rounds. 0 is age's default, which takes about
	// 0.6 s; a test that sets many passphrases can take a lower one.
	WorkFactor int

	// IDs, if set, makes the ids of secrets, agents, tokens, requests and log entries, so that a test gets the same ones
	// each time; keys never come from it. ass audit then prints nothing that depends on keys. See
	// [vault.Options].
	IDs func() [16]byte

	// Errors gets the error with which a run ends, as JSON; nil for Stderr. The program that ass run
	// starts writes to Stderr too, and could write what looks like an error of ass.
	Errors io.Writer

	process bool // ass is the whole process, not called by another program
}

// Main runs ass with the arguments of this process, and exits.
func Main() { Program{}.Main() }

// Main is [Main] with the streams and the clock of p.
func (p Program) Main() {
	process.KeepMemory()
	if len(os.Args) == 2 && os.Args[1] == process.LeftBehind {
		os.Exit(process.GoOn())
	}
	p.process = true
	os.Exit(p.Run(linkedAs(os.Args[0], os.Args[1:])))
}

// Run runs ass with args and returns its exit code, one of those in
// docs/exit-codes.md.
func (p Program) Run(args []string) (exit int) {
	if p.Stdin == nil {
		p.Stdin = os.Stdin
	}
	if p.Stdout == nil {
		p.Stdout = os.Stdout
	}
	if p.Stderr == nil {
		p.Stderr = os.Stderr
	}
	if p.Now == nil {
		p.Now = time.Now
	}
	w := newWorld(p.Env, p.Dir)
	a := &app{world: w, in: p.Stdin, out: newOutput(p.Stdout, p.Stderr, w), now: p.Now,
		process: p.process, keepGC: !p.process, confined: p.Confined, throwaway: p.Throwaway, errors: p.Errors,
		ids: p.IDs, workFactor: p.WorkFactor}
	defer func() {
		if bug := recover(); bug != nil {
			exit = a.fail(bugError(bug))
		}
	}()
	run, err := a.parse(args)
	if err == nil && run != nil {
		a.sweep()
		err = run()
	}
	if err == nil {
		err = a.out.err
	}
	a.tellWaiting()
	var child *exitError
	switch {
	case errors.As(err, &child):
		return child.code
	case err != nil && a.change != "":
		return a.fail(fmt.Errorf("%w; this was done all the same: %s", err, a.change))
	case err != nil:
		return a.fail(err)
	}
	return exitDone
}

// changed notes what this run has changed, and if need be what to do about it. If the run fails
// after that, because its answer cannot be printed for example, the error says so.
func (a *app) changed(format string, args ...any) { a.change = sentence(format, args) }

// app is the state of one run, which the methods of all commands share.
type app struct {
	*world
	Globals
	command    string // such as "secrets get", without arguments
	namespace  string // value of --namespace of the secrets group
	reason     string // value of --reason, for a request
	in         io.Reader
	out        *output
	process    bool // started by Main
	confined   bool
	throwaway  bool
	ids        func() [16]byte
	workFactor int
	errors     io.Writer // nil: out.errw

	change   string // see changed
	waits    int    // requests that wait for this person; see countWaiting
	unlogged bool   // --unlogged

	variables map[*kong.Flag]string // that can set flags
	setBy     map[string]string     // the variable that has set a flag; of those that none is typed for

	descriptors map[int]*os.File // of --passphrase-fd and the like, once they are used
	keyboard    *keyboard        // nil until the first prompt
	asked       *askedKey        // nil until the owner's key is read

	readPassphrase string // from --passphrase-fd or --passphrase-file, once it is read
	keyringEntry   string // that may give the passphrase in this run; "" for none
	keyringGave    bool   // the passphrase came from there
	unlockHelps    bool   // after ass unlock, this run would ask for no passphrase
	usedPassphrase string // the one that opened the owner's key
	keyAsked       bool   // a further key asked for a PIN or a passphrase
	sealedIn       string // the file in which the owner key is sealed to a further key, if not in the vault in its place
	keepGC         bool   // leave the garbage collector alone; see manyRecords
	now            func() time.Time

	namespaceGiven bool             // --namespace is on the command line
	chosen         *chosenNamespace // the default one; nil until it is looked for
}

// manyRecords is called where a command may read thousands of records. For the rest of
// the process, garbage is then collected less often, until memory use reaches 1 GiB.
// This cuts the time of a long list by a sixth, and of a rewrite by a tenth.
func (a *app) manyRecords() {
	if !a.keepGC {
		a.keepGC = true // once
		debug.SetGCPercent(400)
		debug.SetMemoryLimit(1 << 30)
	}
}
