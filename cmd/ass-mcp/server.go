package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"ass/commands"
	"ass/tokens"
)

// server is what the tools share.
type server struct {
	options
	env      []string          // of each run of ass
	dir      string            // the working folder; "" for that of this process
	programs map[string]string // of --allow-command: the file of each name, found once
	quit     context.Context   // ends with the server
}

func newServer(ctx context.Context, o options, env []string, dir string) (*server, error) {
	// A namespace is handed over only if the model names it.
	env = slices.DeleteFunc(slices.Clone(env), func(pair string) bool { return strings.HasPrefix(pair, "ASS_NAMESPACE=") })
	s := &server{options: o, env: env, dir: dir, programs: map[string]string{}, quit: ctx}
	for _, name := range o.AllowCommand {
		if strings.ContainsAny(name, `/\`) {
			return nil, fmt.Errorf("--allow-command takes the names of programs, and %s is a path", name)
		}
		file, err := exec.LookPath(name)
		if err == nil {
			file, err = filepath.Abs(file)
		}
		if err != nil {
			return nil, fmt.Errorf("--allow-command %s: no such program on PATH", name)
		}
		s.programs[name] = file
	}
	return s, nil
}

// answer is what a run of ass gave: its JSON, or its error.
type answer struct {
	exit int
	json json.RawMessage
	err  toolError
}

// toolError is an error of ass, with the code that its JSON has.
type toolError struct {
	Code        string   `json:"code"`
	Message     string   `json:"message"`
	Hint        string   `json:"hint,omitempty"` // the way out
	ApprovalID  string   `json:"approval_id,omitempty"`
	ApprovalIDs []string `json:"approval_ids,omitempty"`
	Command     string   `json:"command,omitempty"` // what the human runs to approve
}

func (a answer) failed() bool { return a.exit != 0 }

// program is ass as the tools use it: confined, so that no file that a model writes, and no change
// of a profile, makes it more than an agent.
func (s *server) program(stdin io.Reader, out, errs io.Writer) commands.Program {
	return commands.Program{Stdin: stdin, Stdout: out, Stderr: errs, Env: s.env, Dir: s.dir, Confined: true}
}

// run runs ass in this process. It takes no positional argument for a flag.
func (s *server) run(stdin io.Reader, args []string, positional ...string) answer {
	var out, errs bytes.Buffer
	if stdin == nil {
		stdin = strings.NewReader("")
	}
	args = append(append(args, "--json", "--"), positional...)
	exit := s.program(stdin, &out, &errs).Run(args)
	a := answer{exit: exit, json: bytes.TrimSpace(out.Bytes())}
	switch {
	case exit == 0 && json.Valid(a.json):
		return a
	case exit == 0: // every command prints JSON, so anything else could be a value
		clear(a.json)
		return answer{exit: 1, err: toolError{Code: "FAILED", Message: "ass printed something else than JSON"}}
	}
	lines := bytes.Split(bytes.TrimSpace(errs.Bytes()), []byte("\n"))
	if told := errorIn(lines[len(lines)-1]); told != nil {
		a.err = *told
	} else {
		a.err = toolError{Code: "FAILED", Message: "ass failed without saying why"}
	}
	return a
}

// errorIn returns the error that ass wrote as JSON; nil for anything else.
func errorIn(line []byte) *toolError {
	var told struct{ Error toolError }
	if json.Unmarshal(line, &told) != nil || told.Error.Code == "" {
		return nil
	}
	return &told.Error
}

// result turns an answer into what the client gets: JSON, structured and as text.
func (a answer) result() (*mcp.CallToolResult, any, error) {
	if a.failed() {
		return failure(a.err), nil, nil
	}
	return success(a.json), nil, nil
}

func success(content json.RawMessage) *mcp.CallToolResult {
	return &mcp.CallToolResult{StructuredContent: content, Content: text(content)}
}

// successOf is success for a value of Go.
func successOf(v any) *mcp.CallToolResult {
	b, err := json.Marshal(v)
	if err != nil {
		return failure(toolError{Code: "FAILED", Message: err.Error()})
	}
	return success(b)
}

func failure(e toolError) *mcp.CallToolResult {
	b, err := json.Marshal(map[string]toolError{"error": e})
	if err != nil {
		b = []byte(`{"error":{"code":"FAILED"}}`)
	}
	return &mcp.CallToolResult{IsError: true, StructuredContent: json.RawMessage(b), Content: text(b)}
}

// usage is the error of arguments that no run of ass would take.
func usage(format string, args ...any) (*mcp.CallToolResult, any, error) {
	return failure(toolError{Code: "VALIDATION_ERROR", Message: fmt.Sprintf(format, args...)}), nil, nil
}

// text is JSON for people, indented by two, as the hosted server has it.
func text(b []byte) []mcp.Content {
	var indented bytes.Buffer
	if json.Indent(&indented, b, "", "  ") != nil {
		indented.Write(b)
	}
	return []mcp.Content{&mcp.TextContent{Text: indented.String()}}
}

// pathOf returns the path of a secret from the two arguments that the hosted server has.
func pathOf(namespace, key string) (string, error) {
	ns, err := tokens.ParseNamespace(namespace)
	if err != nil {
		return "", err
	}
	p, err := ns.Join(key)
	return p.String(), err
}

// version is that of the program.
func version() string {
	var v struct {
		Version string `json:"version"`
	}
	_ = json.Unmarshal((&server{env: []string{}}).run(nil, []string{"version"}).json, &v)
	return cmp.Or(v.Version, "unknown")
}
