// Package commands is the surface of ass: it parses, prompts and renders, and
// leaves every decision about keys and records to package vault. There is no
// cryptography and no database here.
//
// [Main] is the whole program, so that other projects can give their scripts an
// ass command:
//
//	testscript.Main(m, map[string]func(){"ass": commands.Main})
//
// Package asstest sets up a vault for such a script.
//
// [CLI] is the table of contents: every command is a field, and its Run method
// is in the file named for its group. Read session.go for how a command gets at
// the vault, output.go for the rules of what is printed where, errors.go for the
// exit codes.
package commands

import (
	"errors"
	"io"
	"os"
	"runtime/debug"
	"time"
)

// CLI is every command and every global flag.
type CLI struct {
	Globals

	Login  loginCmd  `cmd:"" help:"Make a vault, or store a credential for one." group:"auth"`
	Logout logoutCmd `cmd:"" help:"Remove the stored credential." group:"auth"`
	Whoami whoamiCmd `cmd:"" help:"Show which credential is in use, and for what." group:"auth"`
	Status statusCmd `cmd:"" help:"Show where the vault is and how it is." group:"auth"`
	Unlock unlockCmd `cmd:"" help:"Use the owner's secrets without the passphrase for a while." group:"auth"`
	Lock   lockCmd   `cmd:"" help:"End what ass unlock began." group:"auth"`

	Secrets secretsGroup `cmd:"" help:"Store, read and manage secrets." group:"secrets"`

	Env    envGroup  `cmd:"" help:"Read and write .env files." group:"secrets"`
	Run    runCmd    `cmd:"" help:"Run a program with secrets in its environment." group:"secrets"`
	Inject injectCmd `cmd:"" help:"Fill secrets into a template." group:"secrets"`

	Agents    agentsGroup    `cmd:"" help:"Register programs, each with a key for some secrets." group:"agents"`
	Tokens    tokensGroup    `cmd:"" help:"Issue short-lived tokens." group:"agents"`
	Approvals approvalsGroup `cmd:"" help:"Decide what agents ask for." group:"agents"`
	Explain   explainCmd     `cmd:"" help:"Say who can open a secret, or what an agent can open." group:"agents"`

	Audit auditGroup `cmd:"" help:"Read and verify the audit log." group:"audit"`

	Vault vaultGroup `cmd:"" help:"Look after the file of the vault." group:"utilities"`

	Init       initCmd       `cmd:"" help:"Give this project a default namespace (.assrc)." group:"utilities"`
	Open       openCmd       `cmd:"" help:"Look at the vault in a browser." group:"utilities"`
	Completion completionCmd `cmd:"" help:"Print a completion script for a shell." group:"utilities"`
	Version    versionCmd    `cmd:"" help:"Show the version of ass." group:"utilities"`
}

// Globals are the flags that every command has.
type Globals struct {
	JSON         bool          `help:"Print JSON, errors included."`
	Profile      string        `help:"Stored credential to use." default:"default" placeholder:"NAME"`
	APIURL       string        `name:"api-url" help:"Vault to use: file:///path/to/vault.db, or a path." placeholder:"URL"`
	LockTimeout  time.Duration `help:"How long to wait while another process uses the vault; 0 for not at all." default:"10s"`
	PassphraseFD *int          `name:"passphrase-fd" help:"Read the owner's passphrase from this file descriptor, up to the end of its first line." placeholder:"FD"`
}

// Program is the world of one run. The zero Program is that of this process.
type Program struct {
	Stdin  *os.File
	Stdout io.Writer
	Stderr io.Writer
	Now    func() time.Time // the clock

	process bool // this is all that the process does
}

// Main runs ass with the arguments of this process, and exits.
func Main() { Program{}.Main() }

// Main is [Main] in this world: one with another clock, say.
func (p Program) Main() {
	keepMemory()
	p.process = true
	os.Exit(p.Run(os.Args[1:]))
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
	a := &app{in: p.Stdin, out: newOutput(p.Stdout, p.Stderr), now: p.Now, frugal: !p.process}
	defer func() {
		if bug := recover(); bug != nil {
			exit = a.fail(bugError(bug))
		}
	}()
	run, err := a.parse(args)
	if err == nil && run != nil {
		err = run()
	}
	if err == nil {
		err = a.out.err
	}
	var child *exitError
	switch {
	case errors.As(err, &child):
		return child.code
	case err != nil:
		return a.fail(err)
	}
	return exitDone
}

// app is one run: what the methods of the commands share.
type app struct {
	Globals
	command   string // such as "secrets get", without arguments
	namespace string // of the flag --namespace of the secrets group
	reason    string // of the flag --reason, for requests for approval
	in        *os.File
	out       *output

	passphrases *os.File  // of --passphrase-fd, once it was read from
	keyboard    *keyboard // once something was asked
	asked       *askedKey // once the owner's key was read

	usedPassphrase string // that opened the owner's key
	frugal         bool   // collect garbage as the process has it; see manyRecords
	now            func() time.Time

	namespaceGiven bool             // --namespace is on the command line
	chosen         *chosenNamespace // the default one, once it was looked for
}

// manyRecords is called where thousands of records may be gone through. It has garbage
// collected less often for the rest of the process, up to 1 GiB: that saves a long list a
// sixth of its time, and a rewrite a tenth.
func (a *app) manyRecords() {
	if !a.frugal {
		a.frugal = true // once
		debug.SetGCPercent(400)
		debug.SetMemoryLimit(1 << 30)
	}
}
