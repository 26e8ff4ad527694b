package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// process is the server as a client starts it.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	errs bytes.Buffer
}

// self makes a link to this test, which is the server when it is called so.
func self(t *testing.T) string {
	t.Helper()
	test, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "ass-mcp")
	if err := os.Symlink(test, link); err != nil {
		t.Fatal(err)
	}
	return link
}

func startProcess(t *testing.T, w *world, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(self(t), args...)}
	p.cmd.Env, p.cmd.Dir, p.cmd.Stderr = w.env, w.dir, &p.errs
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		p.in, err = p.cmd.StdinPipe()
	}
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); _ = p.cmd.Wait() })
	p.send(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},` +
		`"clientInfo":{"name":"t","version":"1"}}}`)
	p.answer()
	p.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	return p
}

func (p *process) send(line string) {
	p.t.Helper()
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) answer() (m map[string]any) {
	p.t.Helper()
	line, err := p.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &m)
	}
	if err != nil {
		p.t.Fatalf("%q: %v\n%s", line, err, p.errs.String())
	}
	return m
}

func (p *process) ends(within time.Duration) {
	p.t.Helper()
	done := make(chan error, 1)
	go func() { done <- p.cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(within):
		p.t.Errorf("the server lives on")
	}
}

// A client that goes away, in the middle of a line or of a call, ends the server, and a program
// that it runs.
func TestClientDies(t *testing.T) {
	w := newWorld(t, options{}, "secrets:read:prod/*")
	p := startProcess(t, w)
	_ = p.in.Close()
	p.ends(5 * time.Second)
	p = startProcess(t, w)
	_, _ = io.WriteString(p.in, `{"jsonrpc":"2.0","id":1,"meth`)
	_ = p.in.Close()
	p.ends(5 * time.Second)
	p = startProcess(t, w, "--allow-run")
	pid := filepath.Join(w.dir, "pid")
	p.send(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"run_command","arguments":{"command":` +
		`["sh","-c","echo $$ >` + pid + `; sleep 60"],"secrets":{"X":"prod/K"}}}}`)
	for range 100 {
		if b, _ := os.ReadFile(pid); len(b) > 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	_ = p.in.Close()
	p.ends(10 * time.Second)
	endsSoon(t, pid)
}

// A signal ends the server, also in the middle of a call, and the program that it runs.
func TestSignal(t *testing.T) {
	w := newWorld(t, options{}, "secrets:read:prod/*")
	p := startProcess(t, w, "--allow-run")
	pid := filepath.Join(w.dir, "pid")
	p.send(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"run_command","arguments":{"command":` +
		`["sh","-c","echo $$ >` + pid + `; sleep 60"]}}}`)
	for range 100 {
		if b, _ := os.ReadFile(pid); len(b) > 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	p.ends(5 * time.Second)
	endsSoon(t, pid)
}

// Nonsense, a flood and 10 MiB of arguments do not stop the server, or end it at most.
func TestClientMisbehaves(t *testing.T) {
	w := newWorld(t, options{}, "secrets:read:prod/*")
	p := startProcess(t, w)
	for i := 1; i <= 300; i++ {
		p.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"whoami","arguments":{}}}`, i))
	}
	seen := map[float64]bool{}
	for range 300 {
		seen[p.answer()["id"].(float64)] = true
	}
	if len(seen) != 300 {
		t.Errorf("%d of 300 were answered", len(seen))
	}
	p.send(`{"jsonrpc":"2.0","id":301,"method":"tools/call","params":{"name":"no_such_tool","arguments":{}}}`)
	if p.answer()["error"] == nil {
		t.Error("an unknown tool is no error")
	}
	p.send(`{"jsonrpc":"2.0","id":302,"method":"tools/call","params":{"name":"explain","arguments":{"path":"` +
		strings.Repeat("x", 10<<20) + `"}}}`)
	line, err := p.out.ReadBytes('\n')
	if err == nil && len(line) > 1<<20 {
		t.Errorf("10 MiB are answered with %d bytes", len(line))
	}
	p = startProcess(t, w)
	p.send("this is not JSON")
	_, _ = io.WriteString(p.in, `{"jsonrpc":"2.0","id":1,"method":"ping"}`+"\n") // it may have ended already
	_ = p.in.Close()
	p.ends(5 * time.Second)
	if strings.Contains(p.errs.String(), marker) || strings.Contains(p.errs.String(), "panic") {
		t.Error(p.errs.String())
	}
}

// modules returns a node_modules folder with the clients of the protocol's authors in it.
func modules(t *testing.T, name string) (node, folder string) {
	t.Helper()
	node, err := exec.LookPath("node")
	folder = os.Getenv("ASS_TEST_MCP")
	if _, there := os.Stat(filepath.Join(folder, name)); err != nil || folder == "" || there != nil {
		t.Skipf("ASS_TEST_MCP names no node_modules folder with %s in it (npm install %s)", name, name)
	}
	return node, folder
}

func TestRealSDK(t *testing.T) {
	node, folder := modules(t, "@modelcontextprotocol/sdk")
	w := newWorld(t, options{}, "secrets:read:prod/*")
	script := `
const { Client } = require(process.argv[1] + "/@modelcontextprotocol/sdk/dist/cjs/client/index.js");
const { StdioClientTransport } = require(process.argv[1] + "/@modelcontextprotocol/sdk/dist/cjs/client/stdio.js");
(async () => {
  const client = new Client({ name: "real", version: "1" });
  await client.connect(new StdioClientTransport({ command: process.argv[2], args: ["--allow-run"], env: process.env }));
  const tools = (await client.listTools()).tools.map(t => t.name).join(",");
  const who = await client.callTool({ name: "whoami", arguments: {} });
  const run = await client.callTool({ name: "run_command", arguments: { command: ["sh", "-c", "echo $X"], secrets: { X: "prod/K" } } });
  const no = await client.callTool({ name: "explain", arguments: { path: "other/K" } });
  const prompt = await client.getPrompt({ name: "use_secret", arguments: { path: "prod/K", task: "x" } });
  console.log(JSON.stringify([tools, who.structuredContent.name, run.structuredContent.stdout, no.isError, no.structuredContent.error.code, prompt.messages.length]));
  await client.close();
})().catch(e => { console.error(e); process.exit(1); });`
	cmd := exec.Command(node, "-e", script, folder, self(t))
	cmd.Env, cmd.Dir = w.env, w.dir
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"model","[redacted:K]\n",true,"SCOPE_DENIED",1]`) ||
		!strings.Contains(string(out), "run_command") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestRealInspector(t *testing.T) {
	node, folder := modules(t, "@modelcontextprotocol/inspector")
	w := newWorld(t, options{}, "secrets:read:prod/*")
	for method, want := range map[string]string{"tools/list": "list_secrets", "prompts/list": "rotate_secret"} {
		cmd := exec.Command(node, filepath.Join(folder, ".bin", "mcp-inspector"), "--cli", self(t), "--method", method)
		cmd.Env, cmd.Dir = w.env, w.dir
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v: %s", method, err, out)
		}
	}
}
