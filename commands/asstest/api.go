package asstest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"ass/tokens"
	"ass/vault"
)

// API starts a server of the hosted product's /v1 over a vault, for programs that use its SDK, and closes it at the end
// of the test. Its URL is such as http://127.0.0.1:1234, and /v1 comes after that. A request has a bearer: the key of
// an agent, a token, or, for what a human does, what [Vault.OwnerKey] returns.
//
// Each request is a run of ass by whoever the bearer belongs to. docs/api.md lists the endpoints, and what is other
// than in the hosted product.
func API(t testing.TB, v *Vault) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(newAPI(v))
	t.Cleanup(srv.Close)
	return srv
}

// OwnerKey is the bearer with which the owner uses [API]. All vaults of this package have the same one.
func (v *Vault) OwnerKey() string { return v.owner.Text() }

// api is the server. What it remembers is what a client learns from the hosted product, and ass has no place for.
type api struct {
	vault *Vault

	asking sync.Mutex           // held while a token is asked for
	held   map[string]heldToken // tokens that wait for a human, by what was asked for

	mu      sync.Mutex
	issuers map[string]string // the bearer that asked for a token, by token
	askers  map[string]string // the bearer that an approval is for, by the id of the request
	listers map[string]bool   // tokens that only list namespaces
}

// heldToken is a token that waits for a human: the hosted product asks when a token is requested, and ass when a secret
// is read, for each token. So the token asks before it is handed out.
type heldToken struct {
	answer   map[string]any // what hands it out
	requests []string       // ids
}

// call is a request to an endpoint.
type call struct {
	*api
	*http.Request
	as   *Actor // whose bearer it has
	body []byte
}

// endpoint is what one path does with one method. It returns what is sent as JSON.
type endpoint struct {
	pattern string // of [http.ServeMux]
	who     bearer
	do      func(*call) (any, error)
}

// bearer is who may use an endpoint, beyond what ass itself checks.
type bearer int

const (
	anybody bearer = iota // without a bearer, too
	some                  // with any bearer
	human                 // the owner
)

var endpoints = []endpoint{
	{"GET /v1/health", anybody, (*call).health},
	{"POST /v1/tokens", some, (*call).issueToken},
	{"GET /v1/secrets", some, (*call).list},
	{"GET /v1/secrets/{path...}", some, (*call).get},
	{"PUT /v1/secrets/{path...}", some, (*call).set},
	{"DELETE /v1/secrets/{path...}", some, (*call).remove},
	{"POST /v1/secrets/import", some, (*call).importEnv},
	{"POST /v1/secrets/{path...}", some, (*call).rotate}, // {path}/rotate
	{"GET /v1/namespaces", some, (*call).namespaces},
	{"GET /v1/approvals/agent/{id}", some, (*call).ownApproval},
	{"GET /v1/approvals", human, (*call).approvals},
	{"POST /v1/approvals/{id}/approve", some, (*call).approve},
	{"POST /v1/approvals/{id}/deny", some, (*call).deny},
	{"GET /v1/agents", some, (*call).agents},
	{"POST /v1/agents", some, (*call).createAgent},
	{"DELETE /v1/agents/{id}", some, (*call).revokeAgent},
	{"GET /v1/audit", human, (*call).audit},
	{"GET /v1/me", human, (*call).me},
}

// maxBody is enough for the largest value, if JSON escapes each of its bytes.
const maxBody = 6*vault.MaxValueBytes + 64<<10

func newAPI(v *Vault) http.Handler {
	s := &api{vault: v, held: map[string]heldToken{}, issuers: map[string]string{}, askers: map[string]string{},
		listers: map[string]bool{}}
	mux := http.NewServeMux()
	for _, e := range endpoints {
		mux.HandleFunc(e.pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(e, w, r) })
	}
	none := endpoint{do: func(*call) (any, error) {
		return nil, failed(http.StatusNotFound, "NOT_FOUND", "there is no such endpoint")
	}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, pattern := mux.Handler(r)
		if p := r.URL.EscapedPath(); pattern == "" || path.Clean(p) != strings.TrimSuffix(p, "/") {
			s.serve(none, w, r) // and no answer of the mux, which is no JSON
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (s *api) serve(e endpoint, w http.ResponseWriter, r *http.Request) {
	answer, err := s.answer(e, w, r)
	status := http.StatusOK
	if err != nil {
		var told *apiError
		if !errors.As(err, &told) {
			told = failed(http.StatusInternalServerError, "FAILED", err.Error())
		}
		status, answer = told.status, told.body()
	}
	b, err := json.Marshal(answer)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"error":{"code":"FAILED","message":"the answer is no JSON"}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

func (s *api) answer(e endpoint, w http.ResponseWriter, r *http.Request) (any, error) {
	c := &call{api: s, Request: r, as: s.vault.Actor}
	if e.who != anybody {
		var err error
		if c.as, err = s.actor(r); err != nil {
			return nil, err
		}
		s.mu.Lock()
		lists := s.listers[c.as.Key]
		s.mu.Unlock()
		switch {
		case lists && e.pattern != "GET /v1/namespaces":
			return nil, denied("this token lists namespaces, and nothing else")
		case e.who == human && c.as.Key != "":
			if _, err := c.ass("", "whoami"); err != nil {
				return nil, err
			}
			return nil, denied("this is for a human, with the owner's key as bearer")
		}
	}
	var tooLong *http.MaxBytesError
	var err error
	if c.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody)); errors.As(err, &tooLong) {
		return nil, failed(http.StatusRequestEntityTooLarge, "VALIDATION_ERROR",
			fmt.Sprintf("the body is longer than %d bytes", maxBody))
	} else if err != nil {
		return nil, invalid("the body ends too early")
	}
	return e.do(c)
}

// actor returns whose bearer a request has. ass itself would take the owner's key where there is no other.
func (s *api) actor(r *http.Request) (*Actor, error) {
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	key = strings.TrimSpace(key)
	_, noKey := tokens.ParseAgentKey(key)
	_, noToken := tokens.ParseToken(key)
	switch {
	case !strings.EqualFold(scheme, "bearer"):
		return nil, unauthorized("the request has no bearer: Authorization: Bearer KEY")
	case key == s.vault.OwnerKey():
		return s.vault.Actor, nil
	case noKey != nil && noToken != nil:
		return nil, unauthorized("the bearer is no key of an agent, no token, and not the owner's key")
	}
	return &Actor{Name: "bearer", Key: key, home: s.vault.home, ids: s.vault.ids}, nil
}

// apiError is an error as clients get it.
type apiError struct {
	status int
	fields map[string]any // code, message and more
}

func (e *apiError) Error() string { return fmt.Sprint(e.fields["message"]) }
func (e *apiError) code() string  { return fmt.Sprint(e.fields["code"]) }

// body has the text again as detail, where the MCP server looks for it.
func (e *apiError) body() any {
	detail := e.Error()
	if id, ok := e.fields["approval_id"]; ok {
		detail = fmt.Sprintf("%s; approval id: %s", detail, id)
	}
	return map[string]any{"error": e.fields, "detail": detail}
}

func failed(status int, code, message string) *apiError {
	return &apiError{status, map[string]any{"code": code, "message": message}}
}

func invalid(message string) *apiError {
	return failed(http.StatusBadRequest, "VALIDATION_ERROR", message)
}

func denied(message string) *apiError { return failed(http.StatusForbidden, "SCOPE_DENIED", message) }

func unauthorized(message string) *apiError {
	return failed(http.StatusUnauthorized, "UNAUTHORIZED", message)
}

// statuses are those of the codes of ass. The SDK makes its errors of 401, of 403 and SCOPE_DENIED, and of 404 and
// SECRET_NOT_FOUND.
var statuses = map[string]int{
	"VALIDATION_ERROR": http.StatusBadRequest, "UNAUTHORIZED": http.StatusUnauthorized,
	"SCOPE_DENIED": http.StatusForbidden, "APPROVAL_REQUIRED": http.StatusForbidden,
	"APPROVAL_DENIED": http.StatusForbidden, "SECRET_NOT_FOUND": http.StatusNotFound, "NOT_FOUND": http.StatusNotFound,
	"CONFLICT": http.StatusConflict, "VAULT_BUSY": http.StatusServiceUnavailable,
}

// ass runs a command with --json as whoever sent the request. args are a command, its flags, and names after "--", so
// that no name is taken for a flag.
func (c *call) ass(stdin string, args ...string) (map[string]any, error) {
	return c.assAs(c.as, stdin, args...)
}

func (c *call) assAs(as *Actor, stdin string, args ...string) (map[string]any, error) {
	var errs bytes.Buffer
	r := as.run(stdin, &errs, append([]string{"--json"}, args...)...)
	if r.Exit == 0 {
		var answer map[string]any
		err := decode([]byte(r.Stdout), &answer)
		return answer, err
	}
	var told struct {
		Error map[string]any `json:"error"`
	}
	if err := decode(errs.Bytes(), &told); err != nil || told.Error == nil {
		return nil, fmt.Errorf("ass ended with exit code %d", r.Exit)
	}
	e := &apiError{http.StatusInternalServerError, told.Error}
	if status, known := statuses[e.code()]; known {
		e.status = status
	}
	if ids, ok := told.Error["approval_ids"].([]any); ok {
		c.mu.Lock()
		for _, id := range ids {
			c.askers[fmt.Sprint(id)] = as.Key
		}
		c.mu.Unlock()
	}
	return nil, e
}

// decode is json.Unmarshal that leaves numbers as they are.
func decode(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	err := d.Decode(into)
	if _, more := d.Token(); err == nil && more != io.EOF {
		err = errors.New("more follows the JSON")
	}
	return err
}

// read decodes the body, and says nothing of what is in it. No body is as good as an empty object.
func (c *call) read(into any) error {
	if len(c.body) == 0 {
		return nil
	}
	if !utf8.Valid(c.body) || decode(c.body, into) != nil { // other bytes would be replaced in values
		return invalid("the body is not the JSON object that this endpoint takes")
	}
	return nil
}

// named returns what follows /v1/secrets/: namespace and key in one segment or several, a%2Fb/KEY or a/b/KEY. certain
// is false for a/b/KEY.
func (c *call) named() (name string, segments int, certain bool) {
	raw := strings.TrimSuffix(strings.TrimPrefix(c.URL.EscapedPath(), "/v1/secrets/"), "/")
	name, _ = url.PathUnescape(raw) // the URL is parsed, so it is well-formed
	return name, strings.Count(raw, "/") + 1, strings.Contains(strings.ToUpper(raw), "%2F")
}

// secret returns the path of the secret that the URL names.
func (c *call) secret(without string) (string, error) {
	name, _, _ := c.named()
	name, ok := strings.CutSuffix(name, without)
	if !ok {
		return "", failed(http.StatusNotFound, "NOT_FOUND", "there is no such endpoint")
	}
	p, err := tokens.ParsePath(name)
	if err != nil {
		return "", invalid(err.Error())
	}
	return p.String(), nil
}

func (c *call) list() (any, error) { return c.listOf(c.URL.Query().Get("namespace")) }

func (c *call) listOf(namespace string) (any, error) {
	ns, err := tokens.ParseNamespace(namespace)
	if err != nil {
		return nil, invalid(err.Error())
	}
	return c.ass("", "secrets", "list", "--", ns.String())
}

func (c *call) get() (any, error) {
	name, segments, certain := c.named()
	if c.URL.Query().Has("namespace") {
		return c.list()
	}
	if segments == 1 || !certain && c.isNamespace(name) {
		return c.listOf(name)
	}
	p, err := c.secret("")
	if err != nil {
		return nil, err
	}
	return c.ass("", "secrets", "get", "--", p)
}

// isNamespace tells GET /v1/secrets/a/b, the list of namespace a/b, from the same for the secret b in namespace a: the
// SDK sends both. It is the secret if there is one, and the list if something is in it, or if the bearer may only list.
// Neither look is logged.
func (c *call) isNamespace(name string) bool {
	p, err := tokens.ParsePath(name)
	if err != nil {
		return false
	}
	_, err = c.ass("", "secrets", "history", "--", p.String())
	var told *apiError
	if !errors.As(err, &told) {
		return false
	}
	list, err := c.ass("", "secrets", "list", "--", p.String())
	items, _ := list["items"].([]any)
	return err == nil && (len(items) > 0 || told.code() == "SCOPE_DENIED")
}

// secretBody is what is stored. The SDK and the CLI send the type custom and the tier standard if nobody chose them, so
// these leave a secret as it is.
type secretBody struct {
	Value    *string        `json:"value"`
	Encoding string         `json:"encoding"`
	Type     string         `json:"secret_type"`
	Tier     string         `json:"access_tier"`
	Metadata map[string]any `json:"metadata"`
}

func (b secretBody) flags() (flags []string, err error) {
	if b.Type != "" && b.Type != "custom" {
		flags = append(flags, "--type="+b.Type)
	}
	if b.Tier != "" && b.Tier != tokens.Standard.String() {
		flags = append(flags, "--tier="+b.Tier)
	}
	for _, name := range slices.Sorted(maps.Keys(b.Metadata)) {
		switch v := b.Metadata[name].(type) {
		case string:
			switch {
			case name == "description":
				flags = append(flags, "--description="+v)
				continue
			case name == "expires_at":
				flags = append(flags, "--expires="+v)
				continue
			case name != "" && !strings.Contains(name, "="):
				flags = append(flags, "--meta="+name+"="+v)
				continue
			}
		case map[string]any:
			if tags, ok := tagFlags(v); ok && name == "tags" {
				flags = append(flags, tags...)
				continue
			}
		case json.Number:
			if name == "rotate_every" {
				flags = append(flags, "--rotate-every="+v.String()+"s")
				continue
			}
		}
		return nil, invalid("metadata has texts by name, and in tags texts by name; rotate_every is a number of seconds")
	}
	return flags, nil
}

func tagFlags(tags map[string]any) (flags []string, ok bool) {
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		text, ok := tags[name].(string)
		if !ok || name == "" || strings.Contains(name, "=") {
			return nil, false
		}
		if text == "" { // NAME= would remove it
			flags = append(flags, "--tag="+name)
			continue
		}
		flags = append(flags, "--tag="+name+"="+text)
	}
	return flags, true
}

func (c *call) set() (any, error) {
	p, err := c.secret("")
	var b secretBody
	if err == nil {
		err = c.read(&b)
	}
	if err != nil {
		return nil, err
	}
	flags, err := b.flags()
	switch {
	case err != nil:
		return nil, err
	case b.Value == nil:
		return nil, invalid("value is missing")
	case b.Encoding != "" && b.Encoding != "base64":
		return nil, invalid("encoding is base64, or left out")
	}
	value := []byte(*b.Value)
	if b.Encoding != "" {
		if value, err = base64.StdEncoding.DecodeString(*b.Value); err != nil {
			return nil, invalid("value is no base64")
		}
	}
	return c.ass(string(value), append(append([]string{"secrets", "set", "--allow-empty"}, flags...), "--", p)...)
}

func (c *call) remove() (any, error) {
	p, err := c.secret("")
	if err != nil {
		return nil, err
	}
	return c.ass("", "secrets", "delete", "--force", "--", p)
}

func (c *call) rotate() (any, error) {
	p, err := c.secret("/rotate")
	if err != nil {
		return nil, err
	}
	value, err := vault.Generate(32, "alnum")
	if err != nil {
		return nil, err
	}
	answer, err := c.ass(string(value), "secrets", "rotate", "--", p)
	if err == nil {
		answer["value"] = string(value)
	}
	return answer, err
}

func (c *call) importEnv() (any, error) {
	var b struct {
		secretBody
		Namespace string `json:"namespace"`
		Content   string `json:"content"`
	}
	if err := c.read(&b); err != nil {
		return nil, err
	}
	ns, err := tokens.ParseNamespace(b.Namespace)
	if err != nil {
		return nil, invalid(err.Error())
	}
	if len(b.Metadata) > 0 {
		return nil, invalid("an import takes no metadata")
	}
	flags, err := b.flags()
	if err != nil {
		return nil, err
	}
	flags = append(flags, "--on-duplicate=last", "--namespace="+ns.String(), "--", "-")
	answer, err := c.ass(b.Content, append([]string{"env", "import"}, flags...)...)
	if err != nil {
		return nil, err
	}
	answer["imported_count"] = answer["imported"]
	if !strings.HasPrefix(c.UserAgent(), "ass-cli") { // the CLI and the SDK disagree
		answer["imported"] = answer["keys"]
	}
	return answer, nil
}

func (c *call) namespaces() (any, error) { return c.ass("", "secrets", "list", "--", "*") }

// tokenBody asks for a token. The lifetime is a text or a number of seconds.
type tokenBody struct {
	Scopes  []string     `json:"scopes"`
	TTL     any          `json:"ttl"`
	MaxUses *json.Number `json:"max_uses"`
	IPs     []string     `json:"ip_allowlist"`
}

// listNamespaces is the scope for which the MCP server asks.
const listNamespaces = "namespaces:read"

// lists reports whether the token is to list namespaces, and to do nothing else.
func (b tokenBody) lists() bool { return len(b.Scopes) == 1 && b.Scopes[0] == listNamespaces }

func (c *call) issueToken() (any, error) {
	var b tokenBody
	if err := c.read(&b); err != nil {
		return nil, err
	}
	what, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	c.asking.Lock()
	defer c.asking.Unlock()
	asked := c.as.Key + " " + string(what)
	if held, waits := c.held[asked]; waits {
		answer, err := c.handOut(held)
		if answer == nil || answer["token"] != nil {
			delete(c.held, asked)
		}
		if answer != nil || err != nil {
			return answer, err
		}
	}
	answer, err := c.newToken(b)
	if err != nil || c.as.Key == "" || b.lists() { // the owner asks nobody
		return answer, err
	}
	requests, err := c.askFor(answer)
	if err != nil || len(requests) == 0 {
		return answer, err
	}
	c.held[asked] = heldToken{answer, requests}
	return waiting(requests[0]), nil
}

func waiting(id string) map[string]any {
	return map[string]any{"requires_approval": true, "approval_id": id}
}

// handOut returns a held token if a human has approved all that it asked for, or which request still waits. An answer
// of nil without an error says that the token is of no use any more.
func (c *call) handOut(h heldToken) (map[string]any, error) {
	for _, id := range h.requests {
		q, err := c.assAs(c.with(h.answer), "", "approvals", "show", "--", id)
		if err != nil {
			return nil, nil // it has expired
		}
		switch q["status"] {
		case vault.Pending:
			return waiting(id), nil
		case vault.Denied:
			e := failed(http.StatusForbidden, "APPROVAL_DENIED", fmt.Sprintf("a human denied it: %v", q["denial_reason"]))
			e.fields["approval_id"] = id
			return nil, e
		case vault.Approved:
		default:
			return nil, nil
		}
	}
	return h.answer, nil
}

// with is who uses the token of an answer.
func (c *call) with(answer map[string]any) *Actor {
	return &Actor{Name: "token", Key: fmt.Sprint(answer["token"]), home: c.as.home, ids: c.as.ids}
}

// newToken issues a token, and knows the older scopes that the published clients send.
func (c *call) newToken(b tokenBody) (map[string]any, error) {
	var scopes []string
	for _, text := range b.Scopes {
		action, older := olderScopes[text]
		if !older {
			scopes = append(scopes, text)
			continue
		}
		if text == listNamespaces && !b.lists() {
			continue // whoever may read in a namespace lists it
		}
		own, err := c.ownScopes(action)
		if err != nil {
			return nil, err
		}
		scopes = append(scopes, own...)
	}
	args := []string{"tokens", "issue", "--scopes=" + strings.Join(scopes, ",")}
	switch ttl := b.TTL.(type) {
	case nil:
	case string:
		args = append(args, "--ttl="+ttl)
	case json.Number:
		args = append(args, "--ttl="+ttl.String())
	default:
		return nil, invalid("ttl is a text such as 1h, or a number of seconds")
	}
	if b.MaxUses != nil {
		if _, err := strconv.ParseInt(b.MaxUses.String(), 10, 64); err != nil {
			return nil, invalid("max_uses is a whole number")
		}
		args = append(args, "--max-uses="+b.MaxUses.String())
	}
	if len(b.IPs) > 0 {
		args = append(args, "--ip-allowlist="+strings.Join(b.IPs, ","))
	}
	answer, err := c.ass("", args...)
	if err != nil {
		return nil, err
	}
	token := fmt.Sprint(answer["token"])
	c.mu.Lock()
	c.issuers[token] = c.as.Key
	c.listers[token] = b.lists()
	c.mu.Unlock()
	return answer, nil
}

// olderScopes are scopes without a pattern: they are for all that the agent may.
var olderScopes = map[string]tokens.Action{listNamespaces: tokens.Read, "read:secrets": tokens.Read,
	"write:secrets": tokens.Write, "rotate:secrets": tokens.Write, "import:secrets": tokens.Write}

// ownScopes are the scopes of the bearer, cut down to an action.
func (c *call) ownScopes(action tokens.Action) ([]string, error) {
	every := tokens.Scopes{{Actions: action}}
	if c.as.Key == "" {
		return every.Strings(), nil
	}
	who, err := c.ass("", "whoami")
	if err != nil {
		return nil, err
	}
	own, err := tokens.ScopesOf(texts(who["scopes"]))
	if err != nil {
		return nil, err
	}
	if own = own.Intersect(every); len(own) == 0 {
		return nil, denied(fmt.Sprintf("the agent may not %s anything", action))
	}
	return own.Strings(), nil
}

// askFor lets a new token ask for the secrets that its scopes name and that a human must approve. It returns the ids of
// the requests.
func (c *call) askFor(answer map[string]any) (requests []string, err error) {
	scopes, err := tokens.ScopesOf(texts(answer["scopes"]))
	if err != nil {
		return nil, err
	}
	token := c.with(answer)
	for _, scope := range scopes {
		p, exact := scope.Pattern.Exact()
		if !exact {
			continue
		}
		history, err := c.assAs(token, "", "secrets", "history", "--limit=1", "--", p.String())
		versions, _ := history["items"].([]any)
		if err != nil || len(versions) == 0 {
			continue // it may not read it, or there is none
		}
		if newest, _ := versions[0].(map[string]any); newest["access_tier"] == tokens.Standard.String() {
			continue
		}
		var told *apiError
		_, err = c.assAs(token, "", "secrets", "get", "--", p.String())
		if errors.As(err, &told) && told.fields["approval_id"] != nil {
			requests = append(requests, fmt.Sprint(told.fields["approval_id"]))
		}
	}
	return requests, nil
}

func texts(list any) (texts []string) {
	items, _ := list.([]any)
	for _, item := range items {
		texts = append(texts, fmt.Sprint(item))
	}
	return texts
}

// ownApproval shows an agent what became of a request, its own or that of a token which it asked for.
func (c *call) ownApproval() (any, error) {
	id, as := c.PathValue("id"), c.as
	c.mu.Lock()
	asker, known := c.askers[id]
	ofToken := known && c.issuers[asker] == c.as.Key
	c.mu.Unlock()
	if ofToken {
		if _, err := c.ass("", "whoami"); err != nil {
			return nil, err
		}
		as = &Actor{Name: "token", Key: asker, home: c.as.home, ids: c.as.ids}
	}
	q, err := c.assAs(as, "", "approvals", "show", "--", id)
	var told *apiError
	if ofToken && errors.As(err, &told) && told.code() == "UNAUTHORIZED" {
		return map[string]any{"id": id, "status": vault.Expired}, nil // with the token that asked
	}
	return q, err
}

func (c *call) approvals() (any, error) {
	status := c.URL.Query().Get("status")
	if status == "" {
		status = vault.Pending
	}
	return c.ass("", "approvals", "list", "--limit=0", "--status="+status)
}

func (c *call) approve() (any, error) {
	return c.ass("", "approvals", "approve", "--force", "--", c.PathValue("id"))
}

func (c *call) deny() (any, error) {
	b := struct {
		Reason string `json:"reason"`
	}{}
	if err := c.read(&b); err != nil {
		return nil, err
	}
	if b.Reason == "" {
		b.Reason = "no reason was given"
	}
	return c.ass("", "approvals", "deny", "--force", "--reason="+b.Reason, "--", c.PathValue("id"))
}

func (c *call) agents() (any, error) { return c.ass("", "agents", "list") }

func (c *call) createAgent() (any, error) {
	var b struct {
		Name        string   `json:"name"`
		Description string   `json:"description"`
		Namespaces  []string `json:"allowed_namespaces"`
		Scopes      []string `json:"allowed_scopes"`
	}
	if err := c.read(&b); err != nil {
		return nil, err
	}
	var scopes []string
	for _, text := range b.Scopes {
		action, older := olderScopes[text]
		if !older {
			scopes = append(scopes, text)
		}
		for _, ns := range b.Namespaces {
			if older {
				scopes = append(scopes, fmt.Sprintf("secrets:%s:%s/*", action, ns))
			}
		}
	}
	args := []string{"agents", "create", "--name=" + b.Name, "--description=" + b.Description}
	if len(b.Namespaces) > 0 {
		args = append(args, "--namespace="+strings.Join(b.Namespaces, ","))
	}
	if len(scopes) > 0 {
		args = append(args, "--scopes="+strings.Join(scopes, ","))
	}
	return c.ass("", args...)
}

func (c *call) revokeAgent() (any, error) {
	return c.ass("", "agents", "revoke", "--force", "--", c.PathValue("id"))
}

// maxPage bounds how much of the log is read for a page.
const maxPage = 100_000

func (c *call) audit() (any, error) {
	page, limit := 1, 25
	for name, n := range map[string]*int{"page": &page, "limit": &limit} {
		if text := c.URL.Query().Get(name); text != "" {
			var err error
			if *n, err = strconv.Atoi(text); err != nil || *n < 1 || *n > maxPage {
				return nil, invalid("page and limit are numbers from 1")
			}
		}
	}
	if limit > 100 {
		return nil, invalid("limit is at most 100")
	}
	answer, err := c.ass("", "audit", "--limit="+strconv.Itoa(page*limit))
	if err != nil {
		return nil, err
	}
	events, _ := answer["events"].([]any)
	answer["events"], answer["page"], answer["limit"] = events[min((page-1)*limit, len(events)):], page, limit
	return answer, nil
}

func (c *call) me() (any, error) {
	answer, err := c.ass("", "whoami")
	if err == nil {
		answer["subscription_status"] = "active"
	}
	return answer, err
}

func (c *call) health() (any, error) {
	status, err := c.ass("", "status")
	if err != nil {
		return nil, err
	}
	a, _ := status["api"].(map[string]any)
	return map[string]any{"status": a["status"], "version": a["version"], "service": "agent-secret-store"}, nil
}
