package commands

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"
)

type mcpConfig struct {
	Client  string `arg:"" help:"claude, codex, cursor or vscode."`
	KeyFile string `help:"File with the agent key; that of ASS_AGENT_KEY_FILE if omitted." placeholder:"FILE"`
	Write   bool   `help:"Write it into the client's file, and keep a copy of what was there."`
	MCPAllowed
}

func (mcpConfig) Help() string {
	return `The block names the file of the agent key, never the key. --write puts it into .mcp.json
(claude), .cursor/mcp.json (cursor) or .vscode/mcp.json (vscode) in the working folder,
or into ~/.codex/config.toml (codex).

  ass agents create --name claude --scopes "secrets:read:production/*" \
      --write-key claude.key
  ass mcp config claude --key-file claude.key --allow-command npm --write`
}

// mcpClient is a program that starts MCP servers.
type mcpClient struct {
	name  string
	where func(*app) (string, error) // its config
	group string                     // the object that holds its servers, in JSON; "" for TOML
	stdio bool                       // it wants the type of the server said
}

var mcpClients = []mcpClient{
	{"claude", inFolder(".mcp.json"), "mcpServers", true},
	{"cursor", inFolder(".cursor", "mcp.json"), "mcpServers", false},
	{"vscode", inFolder(".vscode", "mcp.json"), "servers", true},
	{"codex", func(a *app) (string, error) {
		if dir := a.getenv("CODEX_HOME"); dir != "" {
			return filepath.Join(dir, "config.toml"), nil
		}
		if a.home() == "" {
			return "", usagef("HOME is not set, so the config of codex is unknown")
		}
		return filepath.Join(a.home(), ".codex", "config.toml"), nil
	}, "", false},
}

func inFolder(parts ...string) func(*app) (string, error) {
	return func(a *app) (string, error) { return a.abs(filepath.Join(parts...)) }
}

// mcpServer is the entry for the server.
type mcpServer struct {
	Type    string            `json:"type,omitempty"`
	Command string            `json:"command"`
	Args    []string          `json:"args"`
	Env     map[string]string `json:"env"`
}

// serverName is the name of the entry.
const serverName = "ass"

func (c mcpConfig) Run(a *app) error {
	var client *mcpClient
	for i := range mcpClients {
		if mcpClients[i].name == c.Client {
			client = &mcpClients[i]
		}
	}
	if client == nil {
		return usagef("the client must be claude, codex, cursor or vscode")
	}
	entry, err := c.entry(a, client)
	if err != nil {
		return err
	}
	if !c.Write {
		block, err := client.put(nil, entry)
		if err != nil {
			return err
		}
		a.out.print(block)
		return nil
	}
	return c.write(a, client, entry)
}

// entry is what the client gets. It has the path of this program, and that of the key file,
// because a client starts servers in folders of its own.
func (c mcpConfig) entry(a *app, client *mcpClient) (e mcpServer, err error) {
	file := orElse(c.KeyFile, a.getenv(keyFileVariable))
	if file == "" {
		return e, usagef("name the file of an agent key: --key-file FILE").
			hint("to make one: ass agents create --name NAME --scopes SCOPES --write-key FILE")
	}
	if file, err = a.abs(file); err != nil {
		return e, err
	}
	key, err := a.readKeyFile("--key-file", file)
	if err != nil {
		return e, err
	}
	kind, err := credentialKind(key)
	if kind == agentCredential {
		_, err = a.readKey(credential{kind: kind, text: key})
	}
	if err != nil {
		return e, fmt.Errorf("%s: %w", file, err)
	}
	if kind == ownerCredential {
		return e, usagef("%s holds an owner key, which is not for programs", file).
			hint("make an agent with: ass agents create")
	}
	program, err := os.Executable()
	if err != nil {
		return e, err
	}
	e = mcpServer{Command: program, Args: append([]string{"mcp"}, c.flags()...), Env: map[string]string{keyFileVariable: file}}
	if client.stdio {
		e.Type = "stdio"
	}
	if a.APIURL != "" {
		h, err := a.find()
		if err != nil {
			return e, err
		}
		e.Env["ASS_API_URL"] = fileURL(h.at.path)
	}
	return e, nil
}

// put returns the config with the entry in it. Everything else in it stays.
func (m *mcpClient) put(old []byte, e mcpServer) ([]byte, error) {
	if m.group == "" {
		return putTOML(old, e)
	}
	whole, servers := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	if len(bytes.TrimSpace(old)) > 0 {
		if json.Unmarshal(old, &whole) != nil || whole == nil {
			return nil, errors.New("it is not plain JSON, so nothing is written into it")
		}
		if group := whole[m.group]; group != nil && (json.Unmarshal(group, &servers) != nil || servers == nil) {
			return nil, fmt.Errorf("its %q is no JSON object, so nothing is written into it", m.group)
		}
	}
	entry, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	servers[serverName] = entry
	if whole[m.group], err = json.Marshal(servers); err != nil {
		return nil, err
	}
	b, err := json.MarshalIndent(whole, "", "  ")
	return append(b, '\n'), err
}

// putTOML adds the table of the server to a config in TOML, or replaces one that an earlier
// putTOML wrote. It reads no TOML: where the config speaks of servers in another form than plain
// tables, or has something of the person's in our table, nothing is written.
func putTOML(old []byte, e mcpServer) ([]byte, error) {
	const table = "[mcp_servers." + serverName
	if !utf8.Valid(old) || bytes.HasPrefix(old, []byte("\xef\xbb\xbf")) || bytes.IndexByte(old, 0) >= 0 {
		return nil, errors.New("it is not plain UTF-8")
	}
	var kept []string
	within := false
	for _, line := range strings.SplitAfter(string(old), "\n") {
		text := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(text, table+"]"), strings.HasPrefix(text, table+".env]"):
			within = true
			continue
		case within && (text == "" || tomlOfOurs().MatchString(text)):
			continue
		case strings.HasPrefix(text, "["), strings.HasPrefix(text, "#"):
			within = false
		case within:
			return nil, fmt.Errorf("its table %s] has more in it than ass has written", table)
		}
		switch {
		case strings.Contains(text, "\"\"\"") || strings.Contains(text, "'''"):
			return nil, errors.New("it has texts of several lines")
		case strings.Contains(text, "mcp_servers") && !plainTable().MatchString(text) && !strings.HasPrefix(text, "#"):
			return nil, errors.New("it has servers in another form than [mcp_servers.NAME]")
		}
		kept = append(kept, line)
	}
	text := strings.TrimRight(strings.Join(kept, ""), "\n")
	if text != "" {
		text += "\n\n"
	}
	args := make([]string, len(e.Args))
	for i, arg := range e.Args {
		args[i] = tomlString(arg)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s]\ncommand = %s\nargs = [%s]\n\n%s.env]\n", text, table, tomlString(e.Command),
		strings.Join(args, ", "), table)
	for _, name := range []string{keyFileVariable, "ASS_API_URL"} {
		if value, ok := e.Env[name]; ok {
			fmt.Fprintf(&b, "%s = %s\n", name, tomlString(value))
		}
	}
	return []byte(b.String()), nil
}

var (
	tomlOfOurs = pattern(`^(command|ASS_AGENT_KEY_FILE|ASS_API_URL) = ".*"$|^args = \[.*\]$`)
	plainTable = pattern(`^\[mcp_servers\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\][ \t]*(#.*)?$`)
)

// tomlString quotes a text: TOML's basic strings have the escapes of JSON, but a DEL must be one,
// too (TOML 1.0).
func tomlString(s string) string {
	b, _ := json.Marshal(s) // a string always has a form in JSON
	return strings.ReplaceAll(string(b), "\x7f", `\u007F`)
}

// write puts the entry into the client's file.
func (c mcpConfig) write(a *app, client *mcpClient, e mcpServer) error {
	path, err := client.where(a)
	if err != nil {
		return err
	}
	old, err := readSmall(path, 4<<20)
	fresh := errors.Is(err, fs.ErrNotExist)
	if err != nil && !fresh {
		return err
	}
	content, err := client.put(old, e)
	if err != nil {
		return usagef("%s: %v", path, err).
			hint("add this by hand, as ass mcp config %s prints it", c.Client)
	}
	copied := ""
	switch {
	case bytes.Equal(content, old):
	case fresh:
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
	default:
		copied = path + "." + a.now().UTC().Format(time.DateOnly) + ".old"
		for n := 2; ; n++ {
			err := a.writeNew(copied, old, 0o600)
			if err == nil {
				break
			}
			if !errors.Is(err, fs.ErrExist) || n > 100 {
				return err
			}
			copied = fmt.Sprintf("%s.%s.old%d", path, a.now().UTC().Format(time.DateOnly), n)
		}
	}
	if !bytes.Equal(content, old) {
		before, statErr := os.Stat(path)
		if err := a.writePrivate(path, content); err != nil {
			return err
		}
		if statErr == nil { // a project shares its file
			_ = os.Chmod(path, before.Mode().Perm())
		}
	}
	a.changed("%s is written", a.tilde(path))
	return a.answer(mcpConfigResult{Client: c.Client, Path: path, Copy: nullable(copied)}, func() {
		a.out.done("Wrote the server into %s", a.tilde(path))
		if copied != "" {
			a.out.note("what was there is in %s", a.tilde(copied))
		}
		if flags := c.flags(); len(flags) > 0 {
			a.out.note("the model may do more than list and ask: %s", strings.Join(flags, " "))
		}
	})
}
