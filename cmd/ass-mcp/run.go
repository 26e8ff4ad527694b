package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
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
		return nil, fmt.Errorf("%q is not a program that this server may run; %s", command[0], s.allowed())
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
	return s.start(ctx, append(append(args, "--json", "--"), command...), orElse(in.Cwd, s.dir), timeout)
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

// start starts this program as ass, in a process group that is ended as a whole.
func (s *server) start(ctx context.Context, args []string, dir string, timeout time.Duration) (*mcp.CallToolResult, any, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out, errs := &capped{}, &capped{}
	cmd := exec.CommandContext(limited, self)
	cmd.Args, cmd.Env, cmd.Dir = append([]string{"ass"}, args...), s.env, dir
	cmd.Stdout, cmd.Stderr = out, errs
	inGroup(cmd)
	cmd.WaitDelay = time.Second // for what somebody in the background still holds
	err = cmd.Run()
	if ctx.Err() != nil { // the client has cancelled
		return nil, nil, ctx.Err()
	}
	code := cmd.ProcessState.ExitCode()
	if cmd.ProcessState == nil || code < 0 && limited.Err() == nil {
		return nil, nil, fmt.Errorf("the program could not be run: %w", err)
	}
	if told, is := ownError(errs.kept, code); is {
		return failure(told), nil, nil
	}
	r := successOf(map[string]any{
		"exit_code": code, "timed_out": limited.Err() != nil, "stdout": string(out.kept),
		"stderr":           string(errs.kept),
		"stdout_truncated": out.more, "stderr_truncated": errs.more,
	})
	r.IsError = code != 0
	return r, nil, nil
}

// ownError returns the error with which ass itself has ended, not the program that it ran.
func ownError(stderr []byte, exit int) (toolError, bool) {
	lines := bytes.Split(bytes.TrimSpace(stderr), []byte("\n"))
	var told struct{ Error toolError }
	err := json.Unmarshal(lines[len(lines)-1], &told)
	return told.Error, exit > 0 && err == nil && told.Error.Code != "" && told.Error.Message != ""
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

func orElse(a, b string) string {
	if a == "" {
		return b
	}
	return a
}
