package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"ass/commands"
	"ass/tokens"
)

const (
	mostOutput     = 64 << 10 // bytes of each stream that the model gets
	defaultTimeout = 60 * time.Second
	mostTimeout    = 600 * time.Second
)

type runArg struct {
	Command        []string          `json:"command" jsonschema:"the program and its arguments; there is no shell"`
	Namespace      string            `json:"namespace,omitempty" jsonschema:"give it every secret of this namespace as a variable, by key"`
	Secrets        map[string]string `json:"secrets,omitempty" jsonschema:"variables to give it, each with the path of a secret: {\"API_KEY\": \"production/stripe/API_KEY\"}"`
	StdinSecret    string            `json:"stdin_secret,omitempty" jsonschema:"path of a secret that it gets on its stdin"`
	Cwd            string            `json:"cwd,omitempty" jsonschema:"working folder of the program; that of the server if omitted"`
	Reason         string            `json:"reason,omitempty" jsonschema:"why, for the human, if a secret needs approval"`
	TimeoutSeconds int               `json:"timeout_seconds,omitempty" jsonschema:"it is ended after so many seconds; 60 if omitted, at most 600"`
}

// allowed says which programs the model may run.
func (s *server) allowed() string {
	if s.AllowRun {
		return "Any program can be run."
	}
	return "These programs can be run: " + strings.Join(s.AllowCommand, ", ") + "."
}

// command returns the program to run, or why the model may not run it.
func (s *server) command(command []string) ([]string, error) {
	switch {
	case len(command) == 0 || command[0] == "":
		return nil, errors.New("the command is empty")
	case s.AllowRun:
		return command, nil
	}
	file, ok := s.programs[command[0]]
	if !ok {
		return nil, fmt.Errorf("%q is not a program that this server may run. %s", command[0], s.allowed())
	}
	return append([]string{file}, command[1:]...), nil
}

func (s *server) runCommand(ctx context.Context, _ *mcp.CallToolRequest, in runArg) (*mcp.CallToolResult, any, error) {
	command, err := s.command(in.Command)
	if err != nil {
		return usage("%v", err)
	}
	args, err := in.flags()
	if err != nil {
		return usage("%v", err)
	}
	timeout := defaultTimeout
	if in.TimeoutSeconds != 0 {
		timeout = time.Duration(in.TimeoutSeconds) * time.Second
	}
	if timeout <= 0 || timeout > mostTimeout {
		return usage("timeout_seconds must be from 1 to %d", int(mostTimeout.Seconds()))
	}
	if in.Cwd != "" {
		if !filepath.IsAbs(in.Cwd) {
			in.Cwd = filepath.Join(s.dir, in.Cwd)
		}
		if info, err := os.Stat(in.Cwd); err != nil || !info.IsDir() {
			return usage("there is no folder %s", in.Cwd)
		}
	}
	return s.start(ctx, append(append(args, "--json", "--"), command...), cmp.Or(in.Cwd, s.dir), timeout)
}

// flags are those of ass run. The table of names that act on a program holds for single
// variables, too: a model chooses them.
func (in runArg) flags() ([]string, error) {
	args := []string{"run"}
	if in.Namespace != "" {
		ns, err := tokens.ParseNamespace(in.Namespace)
		if err != nil {
			return nil, err
		}
		args = append(args, "--namespace="+ns.String())
	}
	for _, name := range slices.Sorted(maps.Keys(in.Secrets)) {
		if !variableName.MatchString(name) {
			return nil, fmt.Errorf("%q is not the name of a variable", name)
		}
		if does := commands.ActsOnProgram(name); does != "" {
			return nil, fmt.Errorf("no secret is handed over in %s: %s", name, does)
		}
		p, err := tokens.ParsePath(in.Secrets[name])
		if err != nil {
			return nil, err
		}
		args = append(args, "--env="+name+"="+p.String())
	}
	if in.StdinSecret != "" {
		p, err := tokens.ParsePath(in.StdinSecret)
		if err != nil {
			return nil, err
		}
		args = append(args, "--stdin="+p.String())
	}
	return append(args, kindOf{Reason: in.Reason}.flags()...), nil
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// errEnding ends a call when the server is to end.
var errEnding = errors.New("the server is ending")

// start starts this program as ass, in a process group that is ended as a whole.
func (s *server) start(ctx context.Context, args []string, dir string, timeout time.Duration) (*mcp.CallToolResult, any, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	defer context.AfterFunc(s.quit, cancel)()
	out, errs := &capped{}, &capped{}
	cmd := exec.CommandContext(limited, self)
	cmd.Args, cmd.Env, cmd.Dir = append([]string{"ass"}, args...), s.env, dir
	cmd.Stdout, cmd.Stderr = out, errs
	killed := inGroup(cmd)
	cmd.WaitDelay = time.Second // for what somebody in the background still holds
	// The error of ass itself comes over a pipe of its own, which the program does not have.
	own, err := readErrors(cmd)
	if err != nil {
		return nil, nil, err
	}
	err = cmd.Run()
	endGroup(cmd)
	told := own()
	switch {
	case ctx.Err() != nil: // the client has cancelled
		return nil, nil, ctx.Err()
	case cmd.ProcessState == nil:
		return nil, nil, fmt.Errorf("the program could not be run: %w", err)
	case told != nil:
		return failure(*told), nil, nil
	}
	code, timedOut := exitCode(cmd.ProcessState), killed()
	r := successOf(map[string]any{
		"exit_code": code, "timed_out": timedOut, "stdout": string(out.kept),
		"stderr":           string(errs.kept),
		"stdout_truncated": out.more, "stderr_truncated": errs.more,
	})
	r.IsError = code != 0
	return r, nil, nil
}

// errorsFD is the descriptor on which ass writes its own error.
const errorsFD = 3

// errorPipe is the other end of readErrors: in the process that is ass.
func errorPipe() io.Writer {
	f := os.NewFile(errorsFD, "errors")
	if f == nil {
		return nil
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return nil
	}
	closeOnExec(f)
	return f
}

// readErrors gives a command the pipe, and returns a function that reads it after the end.
func readErrors(cmd *exec.Cmd) (own func() *toolError, err error) {
	if !hasErrorPipe {
		return func() *toolError { return nil }, nil
	}
	from, into, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.ExtraFiles = []*os.File{into}
	return func() *toolError {
		_ = into.Close()
		defer from.Close()
		_ = from.SetReadDeadline(time.Now().Add(time.Second))
		b, _ := io.ReadAll(io.LimitReader(from, mostOutput))
		return errorIn(b)
	}, nil
}

// capped keeps the first bytes that are written to it.
type capped struct {
	kept []byte
	more bool
}

func (c *capped) Write(p []byte) (int, error) {
	room := mostOutput - len(c.kept)
	c.more = c.more || len(p) > room
	c.kept = append(c.kept, p[:min(len(p), room)]...)
	return len(p), nil
}
