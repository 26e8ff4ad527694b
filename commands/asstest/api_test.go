package asstest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// client sends requests to an API as somebody.
type client struct {
	t    *testing.T
	url  string
	name string // User-Agent
}

// answered is what came back.
type answered struct {
	status int
	body   map[string]any
}

func (a answered) code() string {
	e, _ := a.body["error"].(map[string]any)
	code, _ := e["code"].(string)
	return code
}

// String is the status and the code of an error; the body of an answer could have a value.
func (a answered) String() string { return fmt.Sprint(a.status, " ", a.code()) }

func (c client) send(key, method, path, body string) answered {
	c.t.Helper()
	r, err := http.NewRequest(method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	if c.name != "" {
		r.Header.Set("User-Agent", c.name)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	a := answered{status: res.StatusCode}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := json.Unmarshal(b, &a.body); err != nil || res.Header.Get("Content-Type") != "application/json" {
		c.t.Fatalf("%s %s: the answer is no JSON: %v", method, path, err)
	}
	return a
}

// want sends a request whose answer must be "200" or, say, "404 SECRET_NOT_FOUND".
func (c client) want(want, key, method, path, body string) map[string]any {
	c.t.Helper()
	a := c.send(key, method, path, body)
	if got := strings.TrimSpace(a.String()); got != want {
		e, _ := a.body["error"].(map[string]any)
		c.t.Errorf("%s %s: %s, want %s: %v", method, path, got, want, e["message"])
	}
	return a.body
}

func newClient(t *testing.T, v *Vault) client { return client{t: t, url: API(t, v).URL + "/v1"} }

// An agent, its token and the owner each open what they may, and the log has who it was.
func TestAPI(t *testing.T) {
	t.Parallel()
	v := New(t, Secrets{"prod/KEY": "hunter2", "other/KEY": "hunter2-o"}, Agent{"worker", []string{"secrets:*:prod/*"}})
	c, worker, owner := newClient(t, v), v.Agent(t, "worker").Key, v.OwnerKey()
	if got := c.want("200", worker, "GET", "/secrets/prod/KEY", "")["value"]; got != "hunter2" {
		t.Error("the value is another one")
	}
	c.want("403 SCOPE_DENIED", worker, "GET", "/secrets/other/KEY", "")
	c.want("404 SECRET_NOT_FOUND", worker, "GET", "/secrets/prod/NONE", "")
	made := c.want("200", worker, "PUT", "/secrets/prod/NEW",
		`{"value":"hunter2-\n\u0000é","secret_type":"api_key","access_tier":"standard",
		"metadata":{"team":"x","description":"d","tags":{"a":"","b":"c"},
		"rotate_every":86400,"expires_at":"2027-01-02T00:00:00Z"}}`)
	if got := fmt.Sprint(made["version"], made["namespace"], made["key"], made["secret_type"], made["metadata"]); got !=
		"1prodNEWapi_keymap[description:d expires_at:2027-01-02T00:00:00Z rotate_every:86400 tags:map[a: b:c] team:x]" {
		t.Error(got)
	}
	if got := v.Get(t, "prod/NEW"); got != "hunter2-\n\x00é" {
		t.Errorf("%d bytes", len(got))
	}
	c.want("200", owner, "PUT", "/secrets/other/BYTES", `{"value":"aHVudGVyMv8=","encoding":"base64"}`)
	if got := c.want("200", owner, "GET", "/secrets/other/BYTES", ""); got["value"] != "aHVudGVyMv8=" ||
		got["encoding"] != "base64" {
		t.Error("bytes come back as others")
	}
	c.want("200", worker, "PUT", "/secrets/prod/EMPTY", `{"value":""}`)
	if got := len(c.want("200", worker, "GET", "/secrets/prod", "")["items"].([]any)); got != 3 {
		t.Errorf("%d secrets", got)
	}
	rotated := c.want("200", worker, "POST", "/secrets/prod/NEW/rotate", "")
	if rotated["value"] != v.Get(t, "prod/NEW") || fmt.Sprint(rotated["version"]) != "2" {
		t.Error("a rotation gives another value than it stores")
	}
	c.want("200", worker, "DELETE", "/secrets/prod/NEW", "")
	c.want("404 SECRET_NOT_FOUND", worker, "GET", "/secrets/prod/NEW", "")
	c.want("404 SECRET_NOT_FOUND", worker, "POST", "/secrets/prod/NONE/rotate", "")

	c.want("200", worker, "PUT", "/secrets/prod/TYPED",
		`{"value":"hunter2","secret_type":"ssh_key","metadata":{"a":"kept","b":"removed"}}`)
	typed := c.want("200", worker, "PUT", "/secrets/prod/TYPED",
		`{"value":"hunter2-b","secret_type":"custom","metadata":{"b":"","c":"new"}}`)
	if got := fmt.Sprint(typed["secret_type"], typed["metadata"]); got != "ssh_keymap[a:kept c:new]" {
		t.Error(got)
	}

	issued := c.want("200", worker, "POST", "/tokens",
		`{"scopes":["secrets:read:prod/*"],"ttl":900,"max_uses":1,"ip_allowlist":["127.0.0.0/8"]}`)
	token := issued["token"].(string)
	c.want("200", token, "GET", "/secrets/prod/KEY", "")
	c.want("401 UNAUTHORIZED", token, "GET", "/secrets/prod/KEY", "") // it is used up
	if issued["expires_at"] != "2026-01-02T03:19:05Z" {
		t.Errorf("it expires at %v", issued["expires_at"])
	}
	issued = c.want("200", worker, "POST", "/tokens", `{"scopes":["secrets:read:prod/*"],"ttl":"30m"}`)
	if token = issued["token"].(string); issued["expires_at"] != "2026-01-02T03:34:05Z" {
		t.Errorf("it expires at %v", issued["expires_at"])
	}
	c.want("403 SCOPE_DENIED", token, "PUT", "/secrets/prod/KEY", `{"value":"hunter2-x"}`)
	c.want("403 SCOPE_DENIED", token, "POST", "/tokens", `{"scopes":["secrets:read:prod/*"]}`)
	c.want("403 SCOPE_DENIED", worker, "POST", "/tokens", `{"scopes":["secrets:read:other/*"]}`)
	if err := v.Clock.Advance(time.Hour); err != nil {
		t.Fatal(err)
	}
	c.want("401 UNAUTHORIZED", token, "GET", "/secrets/prod/KEY", "")

	var log []string
	for _, e := range v.Events(t) {
		log = append(log, e.Type+" "+e.ActorType)
	}
	for _, want := range []string{"secret.read agent", "secret.read.denied agent", "secret.created agent",
		"secret.created human", "secret.rotated agent", "secret.deleted agent", "token.issued agent",
		"token.issued.denied token",
		"secret.read token", "secret.updated.denied token"} {
		if !slices.Contains(log, want) {
			t.Errorf("the log has no %s: %q", want, log)
		}
	}
}

// What a human does needs the owner's key.
func TestAPIForHumans(t *testing.T) {
	t.Parallel()
	v := New(t, Secrets{"prod/KEY": "hunter2"}, Agent{"worker", []string{"secrets:read:prod/*"}})
	c, worker, owner := newClient(t, v), v.Agent(t, "worker").Key, v.OwnerKey()
	for _, path := range []string{"/me", "/agents", "/audit", "/approvals"} {
		c.want("200", owner, "GET", path, "")
		c.want("403 SCOPE_DENIED", worker, "GET", path, "")
		c.want("401 UNAUTHORIZED", "", "GET", path, "")
	}
	made := c.want("200", owner, "POST", "/agents",
		`{"name":"new","description":"d","allowed_namespaces":["dev","qa"],
		"allowed_scopes":["read:secrets","write:secrets","secrets:delete:dev/*","namespaces:read"]}`)
	if got := fmt.Sprint(made["allowed_scopes"]); got !=
		"[secrets:read:dev/* secrets:read:qa/* secrets:write:dev/* secrets:write:qa/* secrets:delete:dev/*]" {
		t.Error(got)
	}
	if made["description"] != "d" || made["name"] != "new" {
		t.Errorf("%v is %v", made["name"], made["description"])
	}
	key := made["api_key"].(string)
	c.want("200", key, "PUT", "/secrets/dev/a/KEY", `{"value":"hunter2"}`)
	c.want("403 SCOPE_DENIED", key, "POST", "/agents", `{"name":"x","allowed_namespaces":["dev"],"allowed_scopes":[]}`)
	c.want("400 VALIDATION_ERROR", owner, "POST", "/agents",
		`{"name":"x","allowed_namespaces":["dev"],"allowed_scopes":["manage:agents"]}`)
	c.want("403 SCOPE_DENIED", key, "DELETE", "/agents/new", "")
	c.want("200", owner, "DELETE", "/agents/new", "")
	c.want("401 UNAUTHORIZED", key, "GET", "/secrets/dev/a/KEY", "")
	c.want("401 UNAUTHORIZED", key, "GET", "/me", "")
	c.want("404 NOT_FOUND", owner, "DELETE", "/agents/nobody", "")

	all := c.want("200", owner, "GET", "/audit?limit=100", "")["events"].([]any)
	page := c.want("200", owner, "GET", "/audit?page=2&limit=2", "")
	if fmt.Sprint(page["events"]) != fmt.Sprint(all[2:4]) ||
		fmt.Sprint(page["page"], page["limit"], page["total"]) != fmt.Sprint(2, 2, len(all)) {
		t.Errorf("page %v of %v", page["page"], page["total"])
	}
	c.want("200", owner, "GET", "/audit?page=99999&limit=100", "")
	for _, query := range []string{"limit=101", "limit=0", "page=-1", "page=x"} {
		c.want("400 VALIDATION_ERROR", owner, "GET", "/audit?"+query, "")
	}
	if me := c.want("200", owner, "GET", "/me", ""); fmt.Sprint(me["name"], me["secret_count"], me["agent_count"],
		me["subscription_status"]) != "owner2 1active" {
		t.Errorf("%v", me)
	}
	if h := c.want("200", "", "GET", "/health", ""); h["status"] != "ok" || h["service"] != "agent-secret-store" {
		t.Errorf("%v", h)
	}
}

// A token for a secret that a human must approve is handed out after that. Other reads ask when they read.
func TestAPIApprovals(t *testing.T) {
	t.Parallel()
	v := New(t, Secrets{"prod/KEY": "hunter2"}, Secret{Path: "prod/S", Values: []string{"hunter2-s"}, Tier: "sensitive"},
		Secret{Path: "prod/C", Values: []string{"hunter2-c"}, Tier: "critical"},
		Agent{"worker", []string{"secrets:*:prod/*"}}, Agent{"other", []string{"secrets:*:prod/*"}})
	c, worker, other, owner := newClient(t, v), v.Agent(t, "worker").Key, v.Agent(t, "other").Key, v.OwnerKey()

	asks := `{"scopes":["secrets:read:prod/S"],"ttl":"1h"}`
	first := c.want("200", worker, "POST", "/tokens", asks)
	id, _ := first["approval_id"].(string)
	if first["requires_approval"] != true || id == "" || first["token"] != nil {
		t.Fatalf("%v", first)
	}
	if again := c.want("200", worker, "POST", "/tokens", asks); again["approval_id"] != id {
		t.Error("it is asked twice")
	}
	if got := c.want("200", worker, "GET", "/approvals/agent/"+id, "")["status"]; got != "pending" {
		t.Error(got)
	}
	c.want("404 NOT_FOUND", other, "GET", "/approvals/agent/"+id, "")
	c.want("403 SCOPE_DENIED", worker, "POST", "/approvals/"+id+"/approve", "")
	list := c.want("200", owner, "GET", "/approvals", "")["items"].([]any)
	if len(list) != 1 || list[0].(map[string]any)["id"] != id {
		t.Errorf("%v", list)
	}
	c.want("200", owner, "POST", "/approvals/"+id+"/approve", "")
	if got := c.want("200", worker, "GET", "/approvals/agent/"+id, "")["status"]; got != "approved" {
		t.Error(got)
	}
	if list := c.want("200", owner, "GET", "/approvals", "")["items"].([]any); len(list) > 0 {
		t.Errorf("%v", list)
	}
	if token := c.want("200", owner, "POST", "/tokens", asks)["token"]; token == nil {
		t.Error("the owner asks somebody")
	}
	token, _ := c.want("200", worker, "POST", "/tokens", asks)["token"].(string)
	for range 2 {
		if got := c.want("200", token, "GET", "/secrets/prod/S", "")["value"]; got != "hunter2-s" {
			t.Error("the value is another one")
		}
	}

	// What needs nobody is not asked for, and not read.
	once := c.want("200", worker, "POST", "/tokens", `{"scopes":["secrets:read:prod/KEY"],"max_uses":1}`)
	c.want("200", once["token"].(string), "GET", "/secrets/prod/KEY", "")

	// What is critical is read once, and the next token asks again. A human says no.
	asks = `{"scopes":["secrets:read:prod/C","secrets:read:prod/KEY"]}`
	id = c.want("200", worker, "POST", "/tokens", asks)["approval_id"].(string)
	c.want("200", owner, "POST", "/approvals/"+id+"/approve", "{}")
	token, _ = c.want("200", worker, "POST", "/tokens", asks)["token"].(string)
	c.want("200", token, "GET", "/secrets/prod/C", "")
	refused := c.want("403 APPROVAL_REQUIRED", token, "GET", "/secrets/prod/C", "")
	if e := refused["error"].(map[string]any); !strings.Contains(refused["detail"].(string), e["approval_id"].(string)) {
		t.Errorf("%v", refused)
	}
	c.want("200", owner, "POST", fmt.Sprint("/approvals/", refused["error"].(map[string]any)["approval_id"], "/deny"), "")
	id = c.want("200", worker, "POST", "/tokens", asks)["approval_id"].(string)
	c.want("200", owner, "POST", "/approvals/"+id+"/deny", `{"reason":"not today"}`)
	if a := c.want("403 APPROVAL_DENIED", worker, "POST", "/tokens", asks); !strings.Contains(fmt.Sprint(a), "not today") {
		t.Errorf("%v", a)
	}
	if got := c.want("200", worker, "GET", "/approvals/agent/"+id, "")["denial_reason"]; got != "not today" {
		t.Error(got)
	}
	id = c.want("200", worker, "POST", "/tokens", asks)["approval_id"].(string)
	if err := v.Clock.Advance(2 * time.Hour); err != nil { // the token that asked has expired
		t.Fatal(err)
	}
	if got := c.want("200", worker, "GET", "/approvals/agent/"+id, "")["status"]; got != "expired" {
		t.Error(got)
	}
	if again := c.want("200", worker, "POST", "/tokens", asks)["approval_id"]; again == id || again == nil {
		t.Error("an expired token still waits")
	}
	c.want("409 CONFLICT", owner, "POST", "/approvals/"+id+"/approve", "")
	c.want("200", owner, "POST", "/approvals/"+id+"/deny", "")

	id = c.want("403 APPROVAL_REQUIRED", v.Agent(t, "gone", "secrets:read:prod/*").Key, "GET", "/secrets/prod/S",
		"")["error"].(map[string]any)["approval_id"].(string)
	c.want("200", owner, "GET", "/approvals/agent/"+id, "")
	c.want("200", owner, "DELETE", "/agents/gone", "")
	c.want("404 NOT_FOUND", owner, "GET", "/approvals/agent/"+id, "")

	// A namespace asks at each read, and so does an agent with its key, or one who overwrites or deletes what is critical.
	token, _ = c.want("200", other, "POST", "/tokens", `{"scopes":["secrets:*:prod/*"]}`)["token"].(string)
	for _, key := range []string{token, other} {
		c.want("403 APPROVAL_REQUIRED", key, "GET", "/secrets/prod/S", "")
		c.want("403 APPROVAL_REQUIRED", key, "PUT", "/secrets/prod/C", `{"value":"hunter2-n","access_tier":"standard"}`)
		e := c.want("403 APPROVAL_REQUIRED", key, "DELETE", "/secrets/prod/C", "")["error"].(map[string]any)
		got := c.want("200", other, "GET", fmt.Sprint("/approvals/agent/", e["approval_id"]), "")
		if got["status"] != "pending" || got["action"] != "delete" {
			t.Errorf("%v", got)
		}
	}
	v.Approve(t)
	c.want("200", other, "PUT", "/secrets/prod/C", `{"value":"hunter2-n","access_tier":"standard","secret_type":"custom"}`)
	c.want("403 SCOPE_DENIED", other, "PUT", "/secrets/prod/S", `{"value":"hunter2-n","access_tier":"critical"}`)
	if got := fmt.Sprint(c.want("200", owner, "GET", "/secrets/prod/C", "")["access_tier"]); got != "critical" {
		t.Error(got)
	}
}

// A namespace with slashes comes in three forms.
func TestAPINestedNamespaces(t *testing.T) {
	t.Parallel()
	v := New(t, Secrets{"a/b/KEY": "hunter2", "a/b/c/KEY": "hunter2-c", "a/KEY": "hunter2-k", "a/b/c": "hunter2-both",
		"a/b/d/KEY": "hunter2-d"},
		Agent{"worker", []string{"secrets:read:a/*"}}, Agent{"narrow", []string{"secrets:read:a/b/*"}},
		Agent{"lists", []string{"secrets:read:a/none/*"}}, Agent{"stranger", []string{"secrets:read:x/*"}})
	c := newClient(t, v)
	for path, want := range map[string]string{"a/b/KEY": "hunter2", "a%2Fb/KEY": "hunter2", "a/b/c/KEY": "hunter2-c",
		"a%2Fb%2Fc/KEY": "hunter2-c", "a/KEY": "hunter2-k", "a%2Fb/c": "hunter2-both", "a/b/c": "hunter2-both", "a": "5",
		"a/b": "4", "a%2Fb": "4", "a/b/": "4", "a%2Fb%2Fc": "1", "?namespace=a%2Fb": "4", "a?namespace=a%2Fb": "4",
		"a/b/d": "1", "a%2fb%2FKEY/": "0",
		"%61/b/KEY": "hunter2"} {
		got := c.want("200", v.Agent(t, "worker").Key, "GET", "/secrets/"+path, "")
		items, isList := got["items"].([]any)
		if isList {
			got["value"] = fmt.Sprint(len(items))
		}
		if got["value"] != want {
			t.Errorf("%s is another thing than %s", path, want)
		}
	}
	c.want("404 SECRET_NOT_FOUND", v.Agent(t, "worker").Key, "GET", "/secrets/a%2fb/d", "")
	c.want("200", v.Agent(t, "worker").Key, "GET", "/%73ecrets/a/KEY", "")
	c.want("200", v.Agent(t, "narrow").Key, "GET", "/secrets/a/b", "")
	c.want("200", v.Agent(t, "lists").Key, "GET", "/secrets/a/none", "")
	c.want("404 SECRET_NOT_FOUND", v.Agent(t, "worker").Key, "GET", "/secrets/a/none", "")
	c.want("403 SCOPE_DENIED", v.Agent(t, "stranger").Key, "GET", "/secrets/a/b/KEY", "")
	c.want("403 SCOPE_DENIED", v.Agent(t, "stranger").Key, "GET", "/secrets/a", "")
	before := len(v.Events(t))
	c.want("200", v.Agent(t, "worker").Key, "GET", "/secrets/a/b", "")
	if n := len(v.Events(t)); n != before {
		t.Errorf("a list is %d entries in the log", n-before)
	}
	c.want("200", v.OwnerKey(), "PUT", "/secrets/a%2Fb/NEW", `{"value":"hunter2-n"}`)
	c.want("200", v.OwnerKey(), "POST", "/secrets/a%2Fb/NEW/rotate", ``)
	c.want("200", v.OwnerKey(), "DELETE", "/secrets/a/b/NEW", ``)
}

// Scopes without a pattern, as the published clients send them, are for what the agent may.
func TestAPIOlderScopes(t *testing.T) {
	t.Parallel()
	v := New(t, Secrets{"prod/KEY": "hunter2", "dev/KEY": "hunter2-d"},
		Agent{"worker", []string{"secrets:read:prod/*", "secrets:write:dev/*"}},
		Agent{"writer", []string{"secrets:write:dev/*"}})
	c, worker := newClient(t, v), v.Agent(t, "worker").Key
	token := c.want("200", worker, "POST", "/tokens", `{"scopes":["read:secrets"],"ttl":3600}`)["token"].(string)
	c.want("200", token, "GET", "/secrets/prod/KEY", "")
	c.want("403 SCOPE_DENIED", token, "PUT", "/secrets/dev/KEY", `{"value":"hunter2-x"}`)
	scopes := c.want("200", v.OwnerKey(), "POST", "/tokens", `{"scopes":["read:secrets"]}`)["scopes"]
	if fmt.Sprint(scopes) != "[secrets:read:*]" {
		t.Error(scopes)
	}

	token = c.want("200", worker, "POST", "/tokens", `{"scopes":["namespaces:read"]}`)["token"].(string)
	items := c.want("200", token, "GET", "/namespaces", "")["items"]
	if fmt.Sprint(items) != "[map[namespace:prod secret_count:1]]" {
		t.Error(items)
	}
	c.want("403 SCOPE_DENIED", token, "GET", "/secrets/prod/KEY", "")
	c.want("403 SCOPE_DENIED", v.Agent(t, "writer").Key, "POST", "/tokens", `{"scopes":["namespaces:read"]}`)
	token = c.want("200", worker, "POST", "/tokens",
		`{"scopes":["namespaces:read","secrets:read:prod/KEY"]}`)["token"].(string)
	c.want("200", token, "GET", "/secrets/prod/KEY", "")
	c.want("403 SCOPE_DENIED", token, "GET", "/secrets/prod/OTHER", "")

	// A token that only lists asks nobody.
	v.Run(t, "secrets", "set", "prod/S", "hunter2", "--tier", "sensitive")
	exact := v.Agent(t, "exact", "secrets:read:prod/S").Key
	if token := c.want("200", exact, "POST", "/tokens", `{"scopes":["namespaces:read"]}`)["token"]; token == nil {
		t.Error("it asks a human")
	}
}

// The SDK and the CLI are told what they each expect of an import.
func TestAPIImport(t *testing.T) {
	t.Parallel()
	v := New(t, Secrets{"prod/A": "hunter2-a"})
	c := newClient(t, v)
	body := `{"namespace":"prod","content":"A=hunter2-a\nB=hunter2-b\nB='hunter2-c'\n",
		"secret_type":"custom","access_tier":"standard","metadata":null}`
	a := c.want("200", v.OwnerKey(), "POST", "/secrets/import", body)
	if fmt.Sprint(a["imported"], a["imported_count"], a["skipped"]) != "[B] 1 1" {
		t.Errorf("%v", a)
	}
	if got := v.Get(t, "prod/B"); got != "hunter2-c" {
		t.Errorf("%d bytes", len(got))
	}
	c.name = "ass-cli/1.0.0"
	body = strings.Replace(body, "B=", "D=", 1)
	a = c.want("200", v.OwnerKey(), "POST", "/secrets/import", body)
	if fmt.Sprint(a["imported"], a["keys"], a["skipped"]) != "1 [D] 2" {
		t.Errorf("%v", a)
	}
}

// Whatever is wrong with a request, the answer is an error that clients read, and it has no value.
func TestAPIRefuses(t *testing.T) {
	t.Parallel()
	v := New(t, Secrets{"prod/KEY": "hunter2"}, Agent{"worker", []string{"secrets:*:prod/*"}})
	c, owner, worker := newClient(t, v), v.OwnerKey(), v.Agent(t, "worker").Key
	for _, key := range []string{"", " ", "x", "ass_x", "ey.x.y", worker[:len(worker)-1], worker + "x",
		strings.ToLower(owner), "ass_" + strings.Repeat("0", len(worker)-4)} {
		c.want("401 UNAUTHORIZED", key, "GET", "/secrets/prod/KEY", "")
		c.want("401 UNAUTHORIZED", key, "GET", "/me", "")
	}
	for line := range strings.Lines(`PUT /secrets/prod/KEY
PUT /secrets/prod/KEY {"value":1}
PUT /secrets/prod/KEY {"value":null}
PUT /secrets/prod/KEY "hunter2"
PUT /secrets/prod/KEY {"value":"hunter2
PUT /secrets/prod/KEY {"value":"hunter2"} x
PUT /secrets/prod/KEY {"value":"hunter2\ud800"}
PUT /secrets/prod/KEY {"value":"hunter2!","encoding":"base64"}
PUT /secrets/prod/KEY {"value":"aHVudGVyMg==","encoding":"rot13"}
PUT /secrets/prod/KEY {"value":"hunter2","secret_type":"x"}
PUT /secrets/prod/KEY {"value":"hunter2","access_tier":"x"}
PUT /secrets/prod/KEY {"value":"hunter2","metadata":{"a":1}}
PUT /secrets/prod/KEY {"value":"hunter2","metadata":{"a=b":"c"}}
PUT /secrets/prod/KEY {"value":"hunter2","metadata":{"":"c"}}
PUT /secrets/prod/KEY {"value":"hunter2","metadata":{"description":1}}
PUT /secrets/prod/KEY {"value":"hunter2","metadata":{"expires_at":null}}
PUT /secrets/prod/KEY {"value":"hunter2","metadata":{"rotate_every":1.5}}
PUT /secrets/prod/KEY {"value":"hunter2","metadata":{"rotate_every":"1d"}}
PUT /secrets/prod/KEY {"value":"hunter2","metadata":{"rotate_every":0}}
PUT /secrets/prod/KEY {"value":"hunter2","metadata":{"tags":"a"}}
PUT /secrets/prod/KEY {"value":"hunter2","metadata":{"tags":{"a=b":"c"}}}
PUT /secrets/prod/KEY {"value":"hunter2","metadata":{"tags":["a"]}}
PUT /secrets/prod/KEY {"value":"hunter2","metadata":{"tags":{"a":1}}}
PUT /secrets/prod/KEY {"value":"hunter2","metadata":{"expires_at":"hunter2"}}
PUT /secrets/KEY {"value":"hunter2"}
PUT /secrets/prod/..%2Fx {"value":"hunter2"}
GET /secrets/*
GET /secrets/%2A
GET /secrets/
GET /secrets
GET /secrets/prod/K%00Y
POST /secrets/import {}
POST /secrets/import {"namespace":"prod","content":"A=hunter2","metadata":{"a":"b"}}
POST /secrets/import {"namespace":"prod","content":"hunter2"}
POST /secrets/import {"namespace":"prod","content":"A=hunter2\ud800"}
POST /tokens
POST /tokens {"scopes":["--json"]}
POST /tokens {"scopes":["secrets:read:prod/*"],"ttl":604800}
POST /tokens {"scopes":["secrets:read:prod/*"],"ttl":[]}
POST /tokens {"scopes":["secrets:read:prod/*"],"max_uses":0}
POST /tokens {"scopes":["secrets:read:prod/*"],"max_uses":1.5}
POST /tokens {"scopes":["secrets:read:prod/*"],"ip_allowlist":["hunter2"]}
POST /approvals/x/approve
POST /approvals/--all/approve
POST /approvals/--all/deny
GET /approvals?status=hunter2
POST /agents
POST /agents {"name":"--force"}
POST /agents {"name":"x","allowed_namespaces":["dev"],"allowed_scopes":["namespaces:read"]}
POST /agents {"name":"x","allowed_scopes":["write:secrets","secrets:read:dev/*"]}
POST /agents {"name":"x","allowed_namespaces":["dev"],"allowed_scopes":[""]}
`) {
		words := append(strings.SplitN(strings.TrimSpace(line), " ", 3), "")
		c.want("400 VALIDATION_ERROR", owner, words[0], words[1], words[2])
	}
	c.want("400 VALIDATION_ERROR", owner, "PUT", "/secrets/prod/KEY", "{\"value\":\"hunter2\xff\"}")
	c.want("400 VALIDATION_ERROR", owner, "PUT", "/secrets/prod/KEY", `{"value":"`+strings.Repeat("a", 1<<20+1)+`"}`)
	for line := range strings.Lines(`GET /
POST /me
GET /me/
GET //me
GET /../v1/me
PATCH /secrets/prod/KEY
POST /secrets/prod/KEY
GET /secrets/prod//KEY
GET /approvals/agent/--json
POST /approvals/00000000-0000-4000-8000-000000000000/approve
DELETE /agents/--force
`) {
		method, path, _ := strings.Cut(strings.TrimSpace(line), " ")
		c.want("404 NOT_FOUND", owner, method, path, "")
	}
	c.want("404 NOT_FOUND", owner, "GET", "", "")
	r, err := http.NewRequest("GET", c.url+"/me", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Basic "+owner)
	if res, err := http.DefaultClient.Do(r); err != nil || res.Body.Close() != nil || res.StatusCode != 401 {
		t.Errorf("%v", err)
	}
	c.want("413 VALIDATION_ERROR", owner, "PUT", "/secrets/prod/KEY", `{"value":"`+strings.Repeat("a", maxBody)+`"}`)
	// A name that looks like a flag is a name.
	c.want("200", owner, "PUT", "/secrets/--force/--file", `{"value":"hunter2-f"}`)
	c.want("200", owner, "GET", "/secrets/--force/--file", "")
}

// Many requests at the same time are all answered, and none is lost.
func TestAPIAtOnce(t *testing.T) {
	t.Parallel()
	v := New(t, nil, Agent{"worker", []string{"secrets:*:prod/*"}})
	c, worker := newClient(t, v), v.Agent(t, "worker").Key
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			path := fmt.Sprint("/secrets/prod/K", i%8)
			c.want("200", worker, "PUT", path, `{"value":"hunter2"}`)
			c.want("200", worker, "GET", path, "")
			c.want("200", worker, "POST", "/tokens", `{"scopes":["secrets:read:prod/*"]}`)
		})
	}
	all.Wait()
	v.Run(t, "secrets", "set", "prod/S", "hunter2", "--tier", "sensitive")
	for range 8 {
		all.Go(func() { c.want("200", worker, "POST", "/tokens", `{"scopes":["secrets:read:prod/S"]}`) })
	}
	all.Wait()
	count := map[string]int{}
	for _, e := range v.Events(t) {
		count[e.Type]++
	}
	if count["secret.created"] != 9 || count["secret.updated"]+count["secret.created"] != 33 ||
		count["secret.read"] != 32 || count["token.issued"] != 33 ||
		count["approval.requested"] != 1 {
		t.Errorf("%v", count)
	}
}

// A test ends, though a request never does.
func TestAPIEnds(t *testing.T) {
	t.Parallel()
	body, unfinished := io.Pipe()
	failed := make(chan error, 1)
	t.Run("with a request", func(t *testing.T) {
		v := New(t, nil)
		r, err := http.NewRequest("PUT", newClient(t, v).url+"/secrets/prod/KEY", body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+v.OwnerKey())
		go func() {
			res, err := http.DefaultClient.Do(r)
			if err == nil {
				res.Body.Close()
			}
			failed <- err
		}()
		if _, err := unfinished.Write([]byte("{")); err != nil { // it has been sent
			t.Fatal(err)
		}
	})
	unfinished.Close()
	if err := <-failed; err == nil {
		t.Error("half a request is answered")
	}
}

// The table in the docs has each endpoint, and who may use it.
func TestAPIDocs(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	v := New(t, Secrets{"prod/KEY": "hunter2"}, Agent{"worker", []string{"secrets:*:*"}})
	c, worker := newClient(t, v), v.Agent(t, "worker")
	token := worker.Token(t, "secrets:*:*")
	fill := strings.NewReplacer("/v1", "", "{path}", "prod/KEY", "agents/{id}", "agents/worker",
		"{id}", "00000000-0000-4000-8000-000000000000")
	for _, e := range endpoints {
		pattern := strings.ReplaceAll(e.pattern, "{path...}", "{path}")
		if strings.HasPrefix(pattern, "POST") {
			pattern = strings.Replace(pattern, "{path}", "{path}/rotate", 1)
		}
		_, row, found := strings.Cut(string(b), "| `"+pattern+"` | ")
		who, _, _ := strings.Cut(row, " |")
		if !found {
			t.Errorf("docs/api.md does not have %s", pattern)
		}
		method, path, _ := strings.Cut(fill.Replace(pattern), " ")
		body := `{"name":"x","allowed_namespaces":["prod"],"reason":"hunter2"}`
		if who != "none" {
			c.want("401 UNAUTHORIZED", "", method, path, body)
		}
		if who == "owner" {
			c.want("403 SCOPE_DENIED", worker.Key, method, path, body)
			c.want("403 SCOPE_DENIED", token.Key, method, path, body)
		}
	}
	worker.Get(t, "prod/KEY") // nobody has revoked it
}

// A token for two secrets is handed out after a human has approved both, and its uses are counted when many read at the
// same time.
func TestAPITokens(t *testing.T) {
	t.Parallel()
	v := New(t, nil, Secret{Path: "prod/S", Values: []string{"hunter2-s"}, Tier: "sensitive"},
		Secret{Path: "prod/C", Values: []string{"hunter2-c"}, Tier: "critical"},
		Agent{"worker", []string{"secrets:read:prod/*"}})
	c, worker := newClient(t, v), v.Agent(t, "worker").Key
	asks := `{"scopes":["secrets:read:prod/S","secrets:read:prod/C"],"max_uses":3}`
	var ids []any
	for range 2 {
		id := c.want("200", worker, "POST", "/tokens", asks)["approval_id"]
		ids = append(ids, id)
		c.want("200", v.OwnerKey(), "POST", fmt.Sprintf("/approvals/%v/approve", id), "")
	}
	if ids[0] == ids[1] {
		t.Error("one approval is asked for twice")
	}
	token, _ := c.want("200", worker, "POST", "/tokens", asks)["token"].(string)
	c.want("200", token, "GET", "/secrets/prod/C", "")
	var all sync.WaitGroup
	var read atomic.Int32
	for range 12 {
		all.Go(func() {
			if c.send(token, "GET", "/secrets/prod/S", "").status == 200 {
				read.Add(1)
			}
		})
	}
	all.Wait()
	if read.Load() != 2 {
		t.Errorf("%d reads with a token that has 2 uses left", read.Load())
	}
	elsewhere := `{"scopes":["secrets:read:prod/*"],"ip_allowlist":["203.0.113.9"]}`
	token, _ = c.want("200", worker, "POST", "/tokens", elsewhere)["token"].(string)
	c.want("403 SCOPE_DENIED", token, "GET", "/secrets/prod/S", "")
}

// No request makes the server panic, or answer with anything but JSON, or with a value to somebody who may not read it.
func FuzzAPI(f *testing.F) {
	for _, e := range endpoints {
		method, path, _ := strings.Cut(e.pattern, " ")
		path = strings.NewReplacer("{path...}", "prod/KEY", "{id}", "00000000-0000-4000-8000-000000000000").Replace(path)
		f.Add(method, path,
			`{"value":"x","scopes":["secrets:read:other/*"],"name":"n","namespace":"other","content":"A=1","ttl":60}`,
			uint8(len(path)))
	}
	f.Add("GET", "/v1/secrets/a%2Fb/KEY?namespace=x", "", uint8(1))
	f.Add("OPTIONS", "*", "[", uint8(2))
	v := New(f, Secrets{"prod/KEY": "hunter2", "a/b/KEY": "hunter2-n"},
		Secret{Path: "other/S", Values: []string{"hunter2-s"}, Tier: "sensitive"},
		Agent{"stranger", []string{"secrets:*:other/*"}})
	stranger := v.Agent(f, "stranger")
	keys := []string{"", "x", stranger.Key, stranger.Token(f, "secrets:read:other/*").Key, v.OwnerKey()}
	h, owners := newAPI(v), newAPI(New(f, Secrets{"prod/KEY": "x"})) // the owner could end the others
	f.Fuzz(func(t *testing.T, method, target, body string, who uint8) {
		r, err := http.ReadRequest(bufferOf(method + " " + target + " HTTP/1.1\r\nHost: h\r\n\r\n"))
		if err != nil {
			return
		}
		r.Body = io.NopCloser(strings.NewReader(body))
		key, h := keys[int(who)%len(keys)], h
		if key == v.OwnerKey() {
			h = owners
		}
		if key != "" {
			r.Header.Set("Authorization", "Bearer "+key)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		var a answered
		if err := json.Unmarshal(w.Body.Bytes(), &a.body); err != nil {
			t.Fatalf("%d: the answer is no JSON: %v", w.Code, err)
		}
		if w.Code != 200 && (a.code() == "" || a.body["detail"] == nil) || w.Code == 500 {
			t.Errorf("%d: %v", w.Code, a.body)
		}
		if bytes.Contains(w.Body.Bytes(), []byte("hunter2")) {
			t.Errorf("%d: the answer has a value", w.Code)
		}
	})
}

func bufferOf(text string) *bufio.Reader { return bufio.NewReader(strings.NewReader(text)) }
