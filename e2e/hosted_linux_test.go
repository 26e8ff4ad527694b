package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"ass/commands/asstest"
)

// The published clients of the hosted product run unchanged against asstest.API. ASS_TEST_HOSTED names a node_modules
// folder with them (npm install @agentsecretstore/sdk @agentsecretstore/cli @agentsecretstore/mcp).

// published returns node and the folder of a client.
func published(t *testing.T, name string) (node, folder string) {
	t.Helper()
	node, err := exec.LookPath("node")
	folder = filepath.Join(os.Getenv("ASS_TEST_HOSTED"), "@agentsecretstore", name)
	b, there := os.ReadFile(filepath.Join(folder, "package.json"))
	if err != nil || os.Getenv("ASS_TEST_HOSTED") == "" || there != nil {
		t.Skipf("ASS_TEST_HOSTED names no node_modules folder with @agentsecretstore/%s in it", name)
	}
	var p struct{ Version string }
	if err := json.Unmarshal(b, &p); err != nil || p.Version != "1.0.0" {
		t.Fatalf("version %s, %v: docs/api.md is about 1.0.0", p.Version, err)
	}
	return node, folder
}

// hostedVault is a vault that clients in other processes use. Its clock says what theirs says.
func hostedVault(t *testing.T) (v *asstest.Vault, url string) {
	v = asstest.New(t, asstest.Secrets{"prod/KEY": "hunter2", "prod/a/DEEP": "hunter2-deep", "dev/KEY": "hunter2-dev"},
		asstest.Secret{Path: "prod/CARD", Values: []string{"hunter2-old", "hunter2-card"}, Tier: "critical", Type: "api_key"},
		asstest.Agent{Name: "worker", Scopes: []string{"secrets:*:prod/*"}})
	if err := v.Clock.Set(time.Now()); err != nil {
		t.Fatal(err)
	}
	return v, asstest.API(t, v).URL
}

// sdkScript uses every method of the SDK, and prints what comes back, or which error, by name.
const sdkScript = `
const sdk = require(process.argv[1]);
const [url, key, owner] = process.argv.slice(2);
const done = {};
const told = e => e.constructor.name + " " + e.code + " " + e.status;
const note = async (name, act) => { try { done[name] = await act() } catch (e) { done[name] = told(e); return e } };
const headers = { Authorization: "Bearer " + owner };
const human = (method, path) => fetch(url + "/v1" + path, { method, headers }).then(r => r.json());
(async () => {
  const client = o => new sdk.AgentVault({ agentKey: key, baseUrl: url, ...o });
  const worker = client();
  await note("get", () => worker.getSecret("prod/KEY"));
  await note("deep", () => worker.getSecret("prod/a/DEEP"));
  await note("with metadata", () => worker.getSecretWithMetadata("prod/KEY")
    .then(s => s.value + s.version + s.secret_type + s.access_tier + JSON.stringify(s.metadata)));
  const as = { secretType: "api_key", accessTier: "standard", metadata: { team: "x" } };
  await note("set", () => worker.setSecret("prod/a/NEW", "hunter2-new", as)
    .then(s => [s.namespace, s.key, s.version, s.secret_type, s.access_tier, JSON.stringify(s.metadata),
      !!s.id, !!s.created_at, !!s.updated_at].join()));
  await note("set again", () => worker.setSecret("prod/a/NEW", "hunter2-newer").then(s => s.version + s.secret_type));
  const listed = l => l.namespace + " " + l.items.map(i => i.namespace + "/" + i.key).join();
  await note("list", () => worker.listSecrets("prod").then(listed));
  await note("list nested", () => worker.listSecrets("prod/a").then(listed));
  await note("list nothing", () => client().listSecrets("prod/none").then(l => l.items.length));
  await note("list nothing with more", () => worker.listSecrets("prod/none").then(l => l.items.length));
  await note("import", () => worker.importEnv("A=hunter2-a\nB='hunter2-b'\n", "prod/env", { secretType: "api_key" })
    .then(i => i.namespace + " " + i.imported.join() + " " + i.imported_count));
  await note("delete", () => worker.deleteSecret("prod/env/A"));
  await note("missing", () => worker.getSecret("prod/env/A"));
  await note("denied", () => worker.getSecret("dev/KEY"));
  await note("invalid", () => worker.getSecret("KEY"));
  await note("no key", () => client({ agentKey: "ass_x" }).getSecret("prod/KEY"));
  await note("no server", () => client({ baseUrl: "http://127.0.0.1:1", retries: 0 }).getSecret("prod/KEY"));
  await note("too long", () => client({ defaultTtl: "48h" }).getSecret("prod/KEY"));
  const manual = client({ autoToken: false });
  await note("no token", () => manual.getSecret("prod/KEY"));
  const short = { scopes: ["secrets:read:prod/*"], ttl: "15m", maxUses: 2, ipAllowlist: ["127.0.0.1"] };
  await note("token", () => manual.requestToken(short)
    .then(t => [t.token.split(".").length, !!t.token_id, new Date(t.expires_at) - Date.now() > 8e5].join()));
  await note("use 1", () => manual.getSecret("prod/KEY"));
  await note("use 2", () => manual.getSecret("prod/KEY"));
  await note("use 3", () => manual.getSecret("prod/KEY"));
  const asked = await note("approval", () => worker.getSecret("prod/CARD"));
  await note("approval again", () => worker.getSecret("prod/CARD"));
  await human("POST", "/approvals/" + asked.approvalId + "/approve");
  await note("approved", () => worker.getSecret("prod/CARD"));
  await note("used up", () => worker.getSecret("prod/CARD"));
  await note("overwrite", () => worker.setSecret("prod/CARD", "hunter2-x"));
  const write = (await human("GET", "/approvals")).items.find(i => i.action === "write");
  await human("POST", "/approvals/" + write.id + "/approve");
  await note("overwritten", () => worker.setSecret("prod/CARD", "hunter2-x").then(s => s.version + s.access_tier));
  const second = await note("ask", () => client().getSecret("prod/CARD"));
  await human("POST", "/approvals/" + second.approvalId + "/deny");
  await note("said no", () => client().getSecret("prod/CARD"));
  await note("at once", () =>
    Promise.all([...Array(20)].map(() => client().getSecret("prod/KEY"))).then(l => new Set(l).size));
  console.log(JSON.stringify(done));
})().catch(e => { console.error(e); process.exit(1) });`

func TestHostedSDK(t *testing.T) {
	t.Parallel()
	node, folder := published(t, "sdk")
	v, url := hostedVault(t)
	cmd := exec.Command(node, "-e", sdkScript, folder, url, v.Agent(t, "worker").Key, v.OwnerKey())
	cmd.Env = v.Env()
	var notes bytes.Buffer
	cmd.Stderr = &notes
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, notes.String())
	}
	got := map[string]any{}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"get": "hunter2", "deep": "hunter2-deep", "with metadata": "hunter21customstandard{}",
		"set": `prod/a,NEW,1,api_key,standard,{"team":"x"},true,true,true`, "set again": "2api_key",
		"list": "prod prod/CARD,prod/KEY,prod/a/DEEP,prod/a/NEW", "list nested": "prod/a prod/a/DEEP,prod/a/NEW",
		"list nothing": 0.0, "list nothing with more": "SecretNotFoundError SECRET_NOT_FOUND 404",
		"import": "prod/env A,B 2", "delete": nil,

		"missing": "SecretNotFoundError SECRET_NOT_FOUND 404", "denied": "ScopeError SCOPE_DENIED 403",
		"invalid": "ValidationError VALIDATION_ERROR 400", "no key": "AuthError UNAUTHORIZED 401",
		"no server": "NetworkError NETWORK_ERROR 0", "too long": "VaultError VALIDATION_ERROR 400",

		"no token": "AuthError UNAUTHORIZED 401", "token": "3,true,true", "use 1": "hunter2", "use 2": "hunter2",
		"use 3": "AuthError UNAUTHORIZED 401",

		"approval":       "ApprovalRequiredError APPROVAL_REQUIRED 403",
		"approval again": "ApprovalRequiredError APPROVAL_REQUIRED 403",
		"approved":       "hunter2-card", "used up": "VaultError APPROVAL_REQUIRED 403",
		"overwrite": "VaultError APPROVAL_REQUIRED 403", "overwritten": "3critical",
		"ask": "ApprovalRequiredError APPROVAL_REQUIRED 403", "said no": "VaultError APPROVAL_DENIED 403",
		"at once": 1.0,
	}
	if len(got) != len(want)-1 { // what is undefined is left out
		t.Errorf("%d results, want %d", len(got), len(want)-1)
	}
	for name := range want {
		if !reflect.DeepEqual(got[name], want[name]) {
			t.Errorf("%s: %v, want %v", name, got[name], want[name])
		}
	}
}

// hostedCLI is the published ass.
type hostedCLI struct {
	t    *testing.T
	node string
	file string
	env  []string
	dir  string
}

func newHostedCLI(t *testing.T, v *asstest.Vault, url, key string) *hostedCLI {
	t.Helper()
	node, folder := published(t, "cli")
	dir := t.TempDir()
	env := append(v.Env(), "XDG_CONFIG_HOME="+dir, "ASS_API_URL="+url, "NO_COLOR=1", "HOME="+dir)
	if key != "" {
		env = append(env, "ASS_API_KEY="+key)
	}
	return &hostedCLI{t, node, filepath.Join(folder, "dist", "index.js"), env, dir}
}

func (h *hostedCLI) cmd(args ...string) *exec.Cmd {
	cmd := exec.Command(h.node, append([]string{h.file}, args...)...)
	cmd.Env, cmd.Dir = h.env, h.dir
	return cmd
}

// says runs a command, which must end with an exit code. Its output must have the words in it.
func (h *hostedCLI) says(exit int, words string, args ...string) (out string) {
	h.t.Helper()
	cmd := h.cmd(args...)
	var stdout, all bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &all
	_ = cmd.Run()
	all.Write(stdout.Bytes())
	if code := cmd.ProcessState.ExitCode(); code != exit || !strings.Contains(all.String(), words) {
		h.t.Errorf("%s: exit code %d, want %d and %q:\n%s", strings.Join(args, " "), code, exit, words, all.String())
	}
	return stdout.String()
}

// Every command of the published CLI, but for open, which sends no request.
func TestHostedCLI(t *testing.T) {
	t.Parallel()
	published(t, "cli")
	v, url := hostedVault(t)
	h := newHostedCLI(t, v, url, "")
	h.says(1, "Not authenticated", "whoami")
	h.says(1, "Invalid API key", "login", "--key", "ass_wrong-wrong-wrong-wrong")
	h.says(0, "Logged in", "login", "--key", v.OwnerKey())
	h.says(0, "owner", "whoami")
	h.says(0, "Operational", "status")
	h.says(0, "Created .assrc", "init", "-n", "prod/env")

	h.says(0, "prod/a/DEEP", "secrets", "list", "prod")
	h.says(0, "No secrets found", "secrets", "list")
	if got := h.says(0, "", "secrets", "get", "prod/a/DEEP"); got != "hunter2-deep" {
		t.Errorf("%d bytes", len(got))
	}
	h.says(0, "Secret stored", "secrets", "set", "prod/a/NEW", "hunter2-new", "-t", "api_key", "--tier", "sensitive")
	h.says(0, "sensitive", "secrets", "list", "prod/a")
	out := h.says(0, "Secret rotated", "secrets", "rotate", "prod/a/NEW", "-f")
	if value := v.Get(t, "prod/a/NEW"); value == "hunter2-new" || !strings.Contains(out, value) {
		t.Error("the new value is not printed")
	}
	h.says(0, "Secret deleted", "secrets", "rm", "prod/a/NEW", "--force")
	h.says(1, "Not found.", "secrets", "get", "prod/a/NEW")

	if err := os.WriteFile(filepath.Join(h.dir, ".env"), []byte("A=hunter2-a\nB=\"hunter2 b\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.says(0, "Imported 2 secrets to prod/env", "env", "import")
	h.says(0, "2 skipped", "env", "import", ".env", "-n", "prod/env")
	if out := h.says(0, "", "env", "export", "prod/env"); !strings.HasSuffix(out, "\nA=hunter2-a\nB=\"hunter2 b\"\n") {
		t.Errorf("%d bytes", len(out))
	}

	term := startCmdOnTerminal(t, h.cmd("agents", "create"), 120)
	for _, step := range [][2]string{{"Agent name:", "made\r"}, {"Description (optional)", "for a test\r"},
		{"Allowed namespaces", "prod,dev\r"}, {"Allowed scopes", "\r"}} {
		term.await(step[0])
		term.typeIn(step[1])
	}
	term.await("ASS_AGENT_KEY=")
	if code := term.exitCode(); code != 0 {
		t.Errorf("agents create ends with %d", code)
	}
	_, key, _ := strings.Cut(term.all(), "ASS_AGENT_KEY=")
	key = strings.TrimSpace(strings.SplitN(key, "\n", 2)[0])
	made := newHostedCLI(t, v, url, key)
	made.says(0, "", "secrets", "get", "prod/KEY")
	made.says(1, "Permission denied.", "secrets", "set", "prod/KEY", "hunter2-x", "-t", "custom", "--tier", "standard")
	made.says(1, "a human must approve first", "secrets", "get", "prod/CARD")
	made.says(1, "Permission denied.", "agents", "list")
	made.says(1, "Permission denied.", "whoami")
	exported := made.says(0, "", "env", "export", "prod")
	if !strings.Contains(exported, "# CARD=<failed to fetch>\nKEY=hunter2\n") {
		t.Errorf("%d bytes", len(exported))
	}
	made.says(0, "read:prod/*", "tokens", "issue", "-s", "read:secrets,secrets:read:prod/KEY", "--ttl", "900")
	made.says(1, "ttl", "tokens", "issue", "-s", "read:secrets", "--ttl", "604800")

	h.says(0, "critical", "approvals", "ls")
	id := h.approval()
	h.says(0, "Request approved", "approvals", "approve", id, "--force")
	if got := made.says(0, "", "secrets", "get", "prod/CARD"); got != "hunter2-card" {
		t.Errorf("%d bytes", len(got))
	}
	made.says(1, "a human must approve first", "secrets", "get", "prod/CARD")
	h.says(0, "not today", "approvals", "deny", h.approval(), "--reason", "not today", "--force")
	made.says(1, "not today", "secrets", "get", "prod/CARD")
	h.says(0, "approved", "approvals", "list", "--status", "approved")

	h.says(0, "made", "agents", "list")
	h.says(0, "Agent revoked", "agents", "revoke", "made", "-f")
	made.says(1, "Not authenticated", "secrets", "get", "prod/KEY")
	h.says(0, "agent.revoked", "audit", "--limit", "3")
	term = startCmdOnTerminal(t, h.cmd("audit", "--tail"), 120)
	term.await("Watching for new events")
	v.Set(t, "dev/TAILED", "hunter2-t")
	term.await("TAILED")
	term.typeIn("\x03")
	term.exitCode()
	h.says(0, "Signed out", "logout", "--force")
	h.says(1, "Not authenticated", "whoami")
}

// approval returns the id of the only request that waits.
func (h *hostedCLI) approval() string {
	h.t.Helper()
	var list struct{ Items []struct{ ID string } }
	err := json.Unmarshal([]byte(h.says(0, "", "approvals", "list", "--json")), &list)
	if err != nil || len(list.Items) != 1 {
		h.t.Fatalf("%v: %d requests", err, len(list.Items))
	}
	return list.Items[0].ID
}

// hostedDiffers are the fields of the published CLI's JSON that ass prints with another value, or not at all.
// docs/api.md says why.
var hostedDiffers = map[string][]string{
	"status": {"api.url", "auth.plan"},
	"whoami": {"subscription_status"},
}

// The same line gives the same fields with the same values.
func TestHostedJSON(t *testing.T) {
	t.Parallel()
	published(t, "cli")
	v, url := hostedVault(t)
	worker := v.Agent(t, "worker")
	worker.Run(t, "secrets", "get", "prod/CARD", "--reason", "test")
	for _, who := range []struct {
		ours   *asstest.Actor
		bearer string
		lines  []string
	}{
		{v.Actor, v.OwnerKey(), []string{"secrets list prod", "secrets list prod/a", "secrets list", "secrets get prod/KEY",
			"secrets get prod/a/DEEP", "agents list", "approvals list", "approvals list --status denied", "audit",
			"audit --limit 3", "whoami", "status"}},
		{worker, worker.Key, []string{"secrets list prod", "secrets get prod/KEY", "status"}},
	} {
		h := newHostedCLI(t, v, url, who.bearer)
		for _, line := range who.lines {
			args := append(strings.Fields(line), "--json")
			var theirs, ours map[string]any
			if err := json.Unmarshal([]byte(h.says(0, "", args...)), &theirs); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if err := json.Unmarshal([]byte(who.ours.Run(t, args...).Stdout), &ours); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			var differs []string
			missing("", theirs, ours, &differs)
			want := hostedDiffers[line]
			if slices.Sort(differs); !slices.Equal(differs, want) {
				t.Errorf("%s as %s: %q differ, want %q", line, who.ours.Name, differs, want)
			}
		}
	}
	b, err := os.ReadFile(fromRoot("docs/api.md"))
	if err != nil {
		t.Fatal(err)
	}
	for line, fields := range hostedDiffers {
		for _, field := range fields {
			if row := fmt.Sprintf("| `%s --json`: `%s` |", line, field); !strings.Contains(string(b), row) {
				t.Errorf("docs/api.md does not have %s", row)
			}
		}
	}
}

// missing lists what is in theirs and is not so in ours.
func missing(at string, theirs, ours any, list *[]string) {
	switch theirs := theirs.(type) {
	case map[string]any:
		ours, _ := ours.(map[string]any)
		for name, value := range theirs {
			missing(strings.TrimPrefix(at+"."+name, "."), value, ours[name], list)
		}
	case []any:
		ours, _ := ours.([]any)
		if len(ours) != len(theirs) {
			*list = append(*list, at)
			return
		}
		for i := range theirs {
			missing(fmt.Sprintf("%s.%d", at, i), theirs[i], ours[i], list)
		}
	default:
		if !reflect.DeepEqual(theirs, ours) {
			*list = append(*list, at)
		}
	}
}

// Every tool of the published MCP server, over stdio.
func TestHostedMCP(t *testing.T) {
	t.Parallel()
	node, folder := published(t, "mcp")
	v, url := hostedVault(t)
	cmd := exec.Command(node, filepath.Join(folder, "bin", "run.js"))
	cmd.Env = append(v.Env(), "ASS_API_URL="+url, "ASS_AGENT_KEY="+v.Agent(t, "worker").Key)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(ctx, &mcp.CommandTransport{Command: cmd}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	tools, err := session.ListTools(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	call := func(tool string, args map[string]any) (map[string]any, string) {
		t.Helper()
		used[tool] = true
		r, err := session.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: args})
		if err != nil {
			return nil, err.Error()
		}
		var answer map[string]any
		text, _ := r.Content[0].(*mcp.TextContent)
		if err := json.Unmarshal([]byte(text.Text), &answer); err != nil {
			t.Errorf("%s: %v", tool, err)
		}
		return answer, ""
	}
	// want calls a tool. Its answer must have these values, or, as "error", an error with this text.
	want := func(tool string, args, fields map[string]any) map[string]any {
		t.Helper()
		answer, failure := call(tool, args)
		if text, _ := fields["error"].(string); (failure == "") != (text == "") || !strings.Contains(failure, text) {
			t.Errorf("%s: the error is %q, want %q", tool, failure, text)
		}
		for name, value := range fields {
			if name != "error" && fmt.Sprint(answer[name]) != fmt.Sprint(value) {
				t.Errorf("%s: %s is another one than %v", tool, name, value)
			}
		}
		return answer
	}
	type m = map[string]any
	want("get_secret", m{"namespace": "prod/a", "key": "DEEP"}, m{"value": "hunter2-deep", "version": 1})
	want("get_secret", m{"namespace": "prod", "key": "NONE"}, m{"error": "no secret at prod/NONE"})
	want("get_secret", m{"namespace": "dev", "key": "KEY"}, m{"error": "its own scopes"})
	want("set_secret",
		m{"namespace": "prod/a", "key": "NEW", "value": "hunter2-n", "secret_type": "api_key", "access_tier": "sensitive"},
		m{"namespace": "prod/a", "key": "NEW", "version": 1, "secret_type": "api_key", "access_tier": "sensitive"})
	want("list_secrets", m{"namespace": "prod/a"}, m{"namespace": "prod/a"})
	if items, _ := want("list_namespaces", m{}, m{"namespace": "*"})["items"].([]any); len(items) != 2 {
		t.Errorf("%v", items)
	}
	want("delete_secret", m{"namespace": "prod", "key": "KEY"}, m{"requires_human_auth": true})
	want("rotate_secret", m{"namespace": "prod", "key": "KEY"}, m{"requires_human_auth": true})
	token := want("request_token", m{"scopes": []string{"secrets:read:prod/*"}, "ttl": "15m"}, nil)["token"]
	if text, _ := token.(string); strings.Count(text, ".") != 2 {
		t.Error("no token")
	}
	want("request_token", m{"scopes": []string{"secrets:read:dev/*"}}, m{"error": "its own scopes"})

	card := m{"namespace": "prod", "key": "CARD"}
	_, failure := call("get_secret", card)
	_, id, _ := strings.Cut(failure, "Approval ID: ")
	id, _, _ = strings.Cut(id, ".")
	want("request_token", m{"scopes": []string{"secrets:read:prod/CARD"}}, m{"requires_approval": true, "approval_id": id})
	want("get_approval_status", m{"approval_id": id}, m{"id": id, "status": "pending"})
	v.Approve(t, id)
	want("get_approval_status", m{"approval_id": id}, m{"status": "approved"})
	want("get_secret", card, m{"value": "hunter2-card"})
	want("get_approval_status", m{"approval_id": "00000000-0000-4000-8000-000000000000"}, m{"error": "no request"})
	for _, tool := range tools.Tools {
		if !used[tool.Name] {
			t.Errorf("%s is not tested", tool.Name)
		}
	}
}
