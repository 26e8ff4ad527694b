package commands

import (
	"ass/commands/internal/process"
)

type mcpGroup struct {
	Serve  mcpServe  `cmd:"" default:"withargs" help:"Serve a client over stdin and stdout; what ass mcp does by itself."`
	Config mcpConfig `cmd:"" help:"Print what a client needs in its config, or write it."`
}

// MCPAllowed are the flags of ass-mcp that widen what the model may do.
type MCPAllowed struct {
	AllowRun     bool     `help:"Let the model run any program with secrets. It can read out whatever it may run."`
	AllowCommand []string `help:"Let the model run these programs with secrets, by name; can stand several times." placeholder:"NAME,…"`
	ExposeValues bool     `help:"Let get_secret give values to the model."`
}

// flags are those flags, as a client's config has them in plain sight.
func (m MCPAllowed) flags() (flags []string) {
	if m.AllowRun {
		flags = append(flags, "--allow-run")
	}
	for _, name := range m.AllowCommand {
		flags = append(flags, "--allow-command="+name)
	}
	if m.ExposeValues {
		flags = append(flags, "--expose-values")
	}
	return flags
}

type mcpServe struct{ MCPAllowed }

func (mcpServe) Help() string {
	return `A Model Context Protocol server, for an AI agent. It runs on an agent key or a token,
never on the owner's key, and gives the model no value unless --expose-values is given:
programs get secrets (--allow-run, --allow-command), and files (write_file).

The server is a program of its own, ass-mcp, which must lie beside ass or on PATH. A
client starts it: ass mcp config claude --key-file FILE`
}

// mcpProgram is the name of the server.
const mcpProgram = "ass-mcp"

func (c mcpServe) Run(a *app) error {
	program, err := a.companion("the server", mcpProgram)
	if err != nil {
		return err
	}
	if a.interactive() {
		a.out.noteOf(sayf("this is for an MCP client, which writes to stdin; Ctrl-C ends it").
			hint("see what a client needs with: ass mcp config --help"))
	}
	env := a.env
	for _, v := range []struct{ name, value string }{{"ASS_PROFILE", a.Profile}, {"ASS_API_URL", a.APIURL},
		{"ASS_LOCK_TIMEOUT", a.LockTimeout.String()}} {
		if v.value != "" && v.value != a.getenv(v.name) {
			env = append(dropVariable(env, v.name), v.name+"="+v.value)
		}
	}
	p := process.Child{Program: program, Args: append([]string{mcpProgram}, c.flags()...), Env: env, Dir: a.dir,
		Stdin: a.in, Stdout: a.out.w, Stderr: a.out.errw, Main: a.process, Started: func() {}, Ended: func() {},
		Warn: func(text string) { a.out.warn("%s", text) }}
	return a.runChild(&p, true, func() error { return nil })
}
