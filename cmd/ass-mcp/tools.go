package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"ass/tokens"
)

// instructions tell a model how to use the server.
const instructions = `Secrets of this machine's vault. You can use secrets without seeing their values: run_command gives them to a program, write_file fills them into a file.
Call whoami first: it says which paths you may read or write, and which requests wait for a human. A path is namespace/…/KEY.
If an error has the code APPROVAL_REQUIRED, a human must decide: tell them the command in the error, then call get_approval_status with wait_seconds. SCOPE_DENIED means that your key does not cover the path; asking again does not help. SECRET_NOT_FOUND: call request_access, and a human can store it.
Never ask the human to paste a secret into the conversation.`

// mcp makes the server with its tools and prompts.
func (s *server) mcp() *mcp.Server {
	srv := mcp.NewServer(&mcp.Implementation{Name: "agent-secret-store", Title: "Agent Secret Store", Version: version()},
		&mcp.ServerOptions{Instructions: instructions, Capabilities: &mcp.ServerCapabilities{
			Tools: &mcp.ToolCapabilities{}, Prompts: &mcp.PromptCapabilities{},
		}})
	add(srv, looks, "list_namespaces", "List the namespaces in which you may read secrets, with the number of secrets in each.",
		s.listNamespaces)
	add(srv, looks, "list_secrets", "List the secrets in a namespace and below it that you may read: path, type, tier, "+
		"version. Never their values.", s.listSecrets)
	add(srv, looks, "whoami", "Say who you are: name, scopes (what you may read and write), tier, lifetime, uses left, and "+
		"the requests that wait for a human.", s.whoami)
	add(srv, looks, "explain", "Say what you may do with one secret (read, write, delete: yes, no, or with approval), "+
		"and whether it exists.", s.explain)
	add(srv, looks, "get_approval_status", "Show a request for approval; with wait_seconds, wait until a human has decided.",
		s.approvalStatus)
	if s.ExposeValues {
		add(srv, looks, "get_secret", "Read the value of a secret into this conversation. Prefer run_command or "+
			"write_file, which keep it out.", s.getSecret)
	} else {
		add(srv, looks, "get_secret", "Say how to use a secret without seeing its value. This server gives no values to "+
			"the model.", s.howToUse)
	}
	add(srv, adds, "request_access", "Ask a human for a secret: to read one that needs approval, or to store one that is not "+
		"there yet. Answers with the id of the request and the command for the human.", s.requestAccess)
	add(srv, adds, "request_token", "Issue a short-lived token for some of your own scopes, for another program. The token "+
		"is a credential: hand it on, and do not repeat it.", s.requestToken)
	add(srv, adds, "generate_secret", "Make a random value and store it as a secret, as a new version if the secret exists. "+
		"The value is never shown.", s.generateSecret)
	add(srv, adds, "set_secret", "Store a value as a secret, as a new version if the secret exists. Use it only for a "+
		"value that you have already; generate_secret makes one that nobody has seen.", s.setSecret)
	add(srv, adds, "rotate_secret", "Store the next version of a secret: the given value, or a random one that is never "+
		"shown. The service that the secret is for must get it too.", s.rotateSecret)
	add(srv, destroys, "delete_secret", "Delete a secret. Its versions stay until the owner purges them, and the owner can "+
		"restore it.", s.deleteSecret)
	add(srv, adds, "write_file", "Fill secrets into a template and write the file, readable by the user alone, below the "+
		"working folder. {{ ass://path }} stands for the value of a secret. Never overwrites a file that ass did not write.",
		s.writeFile)
	if s.AllowRun || len(s.AllowCommand) > 0 {
		add(srv, runs, "run_command", "Run a program, without a shell, that gets secrets as variables or on its stdin. "+
			"Values are replaced in the output. What it leaves in the background ends with it. "+s.allowed(), s.runCommand)
	}
	addPrompts(srv)
	return srv
}

// hints say what a tool does to its surroundings.
type hints struct{ reads, destroys, repeats, open bool }

var (
	looks    = hints{reads: true, repeats: true}
	adds     = hints{}
	destroys = hints{destroys: true}
	runs     = hints{destroys: true, open: true}
)

func add[In any](srv *mcp.Server, h hints, name, description string, handle mcp.ToolHandlerFor[In, any]) {
	mcp.AddTool(srv, &mcp.Tool{Name: name, Description: description, Annotations: &mcp.ToolAnnotations{
		ReadOnlyHint: h.reads, DestructiveHint: &h.destroys, IdempotentHint: h.repeats, OpenWorldHint: &h.open,
	}}, handle)
}

type nothing struct{}

type inNamespace struct {
	Namespace string `json:"namespace" jsonschema:"namespace, such as production/stripe; everything below it is included"`
}

type secretArg struct {
	Namespace string `json:"namespace" jsonschema:"namespace of the secret, such as production/stripe"`
	Key       string `json:"key" jsonschema:"key of the secret, the last part of its path, such as API_KEY"`
}

type pathArg struct {
	Path string `json:"path" jsonschema:"whole path of the secret: namespace/…/KEY"`
}

func (s *server) listNamespaces(context.Context, *mcp.CallToolRequest, nothing) (*mcp.CallToolResult, any, error) {
	return s.run(nil, []string{"secrets", "list"}, "*").result()
}

func (s *server) listSecrets(_ context.Context, _ *mcp.CallToolRequest, in inNamespace) (*mcp.CallToolResult, any, error) {
	ns, err := tokens.ParseNamespace(in.Namespace)
	if err != nil {
		return usage("%v", err)
	}
	return s.run(nil, []string{"secrets", "list"}, ns.String()).result()
}

func (s *server) whoami(context.Context, *mcp.CallToolRequest, nothing) (*mcp.CallToolResult, any, error) {
	return s.run(nil, []string{"whoami"}).result()
}

func (s *server) explain(_ context.Context, _ *mcp.CallToolRequest, in pathArg) (*mcp.CallToolResult, any, error) {
	p, err := tokens.ParsePath(in.Path)
	if err != nil {
		return usage("%v", err)
	}
	return s.run(nil, []string{"explain"}, p.String()).result()
}

func (s *server) getSecret(_ context.Context, _ *mcp.CallToolRequest, in secretArg) (*mcp.CallToolResult, any, error) {
	p, err := pathOf(in.Namespace, in.Key)
	if err != nil {
		return usage("%v", err)
	}
	return s.run(nil, []string{"secrets", "get"}, p).result()
}

// howToUse answers a model that wants a value which it does not need to see.
func (s *server) howToUse(_ context.Context, _ *mcp.CallToolRequest, in secretArg) (*mcp.CallToolResult, any, error) {
	p, err := pathOf(in.Namespace, in.Key)
	if err != nil {
		return usage("%v", err)
	}
	a := s.run(nil, []string{"explain"}, p)
	if a.failed() {
		return a.result()
	}
	var x explained
	if err := json.Unmarshal(a.json, &x); err != nil {
		return nil, nil, err
	}
	ways := []string{"write_file with {{ ass://" + p + " }} in the template"}
	if s.AllowRun || len(s.AllowCommand) > 0 {
		ways = append([]string{"run_command with secrets {\"" + in.Key + "\": \"" + p + "\"}"}, ways...)
	}
	return successOf(map[string]any{"path": p, "exists": x.Exists, "read": x.read(), "value": nil,
		"message": "this server gives no values to the model; use the secret without seeing it", "use": ways}), nil, nil
}

type statusArg struct {
	ApprovalID  string `json:"approval_id" jsonschema:"id of the request, from approval_id or pending_approvals"`
	WaitSeconds int    `json:"wait_seconds,omitempty" jsonschema:"how long to wait for the decision, at most 300; 0 for not at all"`
}

func (s *server) approvalStatus(ctx context.Context, req *mcp.CallToolRequest, in statusArg) (*mcp.CallToolResult, any, error) {
	if in.WaitSeconds < 0 || in.WaitSeconds > 300 {
		return usage("wait_seconds must be from 0 to 300")
	}
	start := time.Now()
	for {
		a := s.run(nil, []string{"approvals", "show"}, in.ApprovalID)
		var q struct {
			Status string `json:"status"`
		}
		if !a.failed() {
			if err := json.Unmarshal(a.json, &q); err != nil {
				return nil, nil, err
			}
		}
		waited := time.Since(start).Seconds()
		if a.failed() && a.err.Code != "VAULT_BUSY" || q.Status != "pending" && q.Status != "" || waited >= float64(in.WaitSeconds) {
			return a.result()
		}
		if token := req.Params.GetProgressToken(); token != nil {
			_ = req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: token, Progress: waited,
				Total: float64(in.WaitSeconds), Message: "waiting for a human"})
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-s.quit.Done():
			return nil, nil, errEnding
		case <-time.After(min(time.Second, time.Until(start.Add(time.Duration(in.WaitSeconds)*time.Second)))):
		}
	}
}

type requestArg struct {
	Path   string `json:"path" jsonschema:"whole path of the secret: namespace/…/KEY"`
	Reason string `json:"reason" jsonschema:"what it is needed for; the human reads it before deciding"`
}

func (s *server) requestAccess(_ context.Context, _ *mcp.CallToolRequest, in requestArg) (*mcp.CallToolResult, any, error) {
	p, err := tokens.ParsePath(in.Path)
	if err != nil {
		return usage("%v", err)
	}
	if strings.TrimSpace(in.Reason) == "" {
		return usage("the reason is empty; say what the secret is needed for")
	}
	reason := "--reason=" + in.Reason
	// Nothing is read here: that could spend an approval, or a use of a token.
	a := s.run(nil, []string{"explain"}, p.String())
	if a.failed() {
		return a.result()
	}
	var x explained
	if err := json.Unmarshal(a.json, &x); err != nil {
		return nil, nil, err
	}
	switch {
	case x.read() == "no":
		return failure(toolError{Code: "SCOPE_DENIED", Message: "your scopes do not cover reading " + p.String()}), nil, nil
	case x.Exists && (x.read() == "yes" || len(x.Open) > 0):
		return successOf(map[string]any{"status": "not_needed", "path": p.String(),
			"message": "you may read this secret now"}), nil, nil
	case x.Exists:
		a = s.run(nil, []string{"secrets", "get", reason}, p.String())
		clear(a.json)
		if a.err.Code != "APPROVAL_REQUIRED" {
			return a.result()
		}
		return asked(p.String(), a.err.ApprovalID, "a human must approve first"), nil, nil
	}
	a = s.run(nil, []string{"request", reason}, p.String())
	if a.failed() {
		return a.result()
	}
	var q struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(a.json, &q); err != nil {
		return nil, nil, err
	}
	return asked(p.String(), q.ID, "it is not there yet; a human types it in"), nil, nil
}

// asked is the answer about a request that waits.
func asked(path, id, message string) *mcp.CallToolResult {
	return successOf(map[string]any{"status": "pending", "path": path, "approval_id": id,
		"command": "ass approvals approve " + id, "message": message})
}

// explained is what ass explain says of a secret.
type explained struct {
	Exists bool `json:"exists"`
	Access []struct {
		Read string `json:"read"`
	} `json:"access"`
	Open []struct {
		Action string `json:"action"`
	} `json:"open_approvals"`
}

// read is the right to read: yes, no, or with approval.
func (x explained) read() string {
	if len(x.Access) == 0 {
		return "no"
	}
	return x.Access[0].Read
}

type tokenArg struct {
	Scopes  []string `json:"scopes" jsonschema:"scopes within your own, such as secrets:read:production/stripe/*"`
	TTL     string   `json:"ttl,omitempty" jsonschema:"lifetime, such as 15m or 1h; at most 24h; 1h if omitted"`
	MaxUses int      `json:"max_uses,omitempty" jsonschema:"how many secrets it may read; any number if omitted"`
}

func (s *server) requestToken(_ context.Context, _ *mcp.CallToolRequest, in tokenArg) (*mcp.CallToolResult, any, error) {
	for _, scope := range in.Scopes {
		if strings.Contains(scope, ",") {
			return usage("a scope has no comma in it; give several as a list")
		}
	}
	args := []string{"tokens", "issue", "--scopes=" + strings.Join(in.Scopes, ",")}
	if in.TTL != "" {
		args = append(args, "--ttl="+in.TTL)
	}
	if in.MaxUses != 0 {
		args = append(args, "--max-uses="+strconv.Itoa(in.MaxUses))
	}
	return s.run(nil, args).result()
}

// kindOf are the arguments about a new value.
type kindOf struct {
	SecretType string `json:"secret_type,omitempty" jsonschema:"api_key, oauth_token, db_credential, ssh_key, certificate or custom"`
	AccessTier string `json:"access_tier,omitempty" jsonschema:"standard, sensitive or critical; the two latter need a human's approval to read"`
	Reason     string `json:"reason,omitempty" jsonschema:"why, for the human, if the write needs approval"`
}

func (k kindOf) flags() (flags []string) {
	for _, f := range []struct{ name, value string }{{"--type=", k.SecretType}, {"--tier=", k.AccessTier},
		{"--reason=", k.Reason}} {
		if f.value != "" {
			flags = append(flags, f.name+f.value)
		}
	}
	return flags
}

type random struct {
	Length  int    `json:"length,omitempty" jsonschema:"characters of the value; 32 if omitted"`
	Charset string `json:"charset,omitempty" jsonschema:"alnum (if omitted), alpha, digits, hex or ascii"`
}

func (r random) flags() []string {
	flags := []string{"--generate"}
	if r.Length != 0 {
		flags = append(flags, "--length="+strconv.Itoa(r.Length))
	}
	if r.Charset != "" {
		flags = append(flags, "--charset="+r.Charset)
	}
	return flags
}

type generateArg struct {
	secretArg
	random
	kindOf
}

func (s *server) generateSecret(_ context.Context, _ *mcp.CallToolRequest, in generateArg) (*mcp.CallToolResult, any, error) {
	p, err := pathOf(in.Namespace, in.Key)
	if err != nil {
		return usage("%v", err)
	}
	args := append([]string{"secrets", "set"}, in.random.flags()...)
	return s.run(nil, append(args, in.kindOf.flags()...), p).result()
}

type setArg struct {
	secretArg
	Value string `json:"value" jsonschema:"the value, exactly as it is to be stored"`
	kindOf
}

func (s *server) setSecret(_ context.Context, _ *mcp.CallToolRequest, in setArg) (*mcp.CallToolResult, any, error) {
	p, err := pathOf(in.Namespace, in.Key)
	if err != nil {
		return usage("%v", err)
	}
	return s.run(strings.NewReader(in.Value), append([]string{"secrets", "set"}, in.kindOf.flags()...), p).result()
}

type rotateArg struct {
	secretArg
	Value *string `json:"value,omitempty" jsonschema:"the next value; a random one if omitted"`
	random
	Reason string `json:"reason,omitempty" jsonschema:"why, for the human, if the write needs approval"`
}

func (s *server) rotateSecret(_ context.Context, _ *mcp.CallToolRequest, in rotateArg) (*mcp.CallToolResult, any, error) {
	p, err := pathOf(in.Namespace, in.Key)
	if err != nil {
		return usage("%v", err)
	}
	args := append([]string{"secrets", "rotate"}, kindOf{Reason: in.Reason}.flags()...)
	if in.Value == nil {
		return s.run(nil, append(args, in.random.flags()...), p).result()
	}
	return s.run(strings.NewReader(*in.Value), args, p).result()
}

type deleteArg struct {
	secretArg
	Reason string `json:"reason,omitempty" jsonschema:"why, for the human, if the deletion needs approval"`
}

func (s *server) deleteSecret(_ context.Context, _ *mcp.CallToolRequest, in deleteArg) (*mcp.CallToolResult, any, error) {
	p, err := pathOf(in.Namespace, in.Key)
	if err != nil {
		return usage("%v", err)
	}
	return s.run(nil, append([]string{"secrets", "delete", "--force"}, kindOf{Reason: in.Reason}.flags()...), p).result()
}

type fileArg struct {
	Template string `json:"template" jsonschema:"text of the file; {{ ass://namespace/KEY }} stands for the value of a secret"`
	Path     string `json:"path" jsonschema:"file to write, relative to the working folder"`
	Reason   string `json:"reason,omitempty" jsonschema:"why, for the human, if a secret needs approval"`
}

func (s *server) writeFile(_ context.Context, _ *mcp.CallToolRequest, in fileArg) (*mcp.CallToolResult, any, error) {
	in.Path = filepath.Clean(in.Path) // check and write the same path
	if err := s.below(in.Path); err != nil {
		return usage("%v", err)
	}
	// The file "-" would be stdout.
	return s.run(strings.NewReader(in.Template), append([]string{"inject", "--out=." + string(filepath.Separator) + in.Path},
		kindOf{Reason: in.Reason}.flags()...)).result()
}

// below returns an error for a path that is not below the working folder, also through a link.
func (s *server) below(path string) error {
	if !filepath.IsLocal(path) || path == "." {
		return fmt.Errorf("the path must be below the working folder, and relative to it")
	}
	dir := s.dir
	if dir == "" {
		dir = "."
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if info, err := root.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		return fmt.Errorf("there is no folder %s below the working folder", filepath.Dir(path))
	}
	return nil
}
