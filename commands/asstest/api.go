package asstest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"ass/commands/internal/stores"
	"ass/tokens"
	"ass/vault"
)

// API starts a server of the hosted product's /v1 over a vault, for programs that use its SDK. At the end of the test,
// requests that run have another second, and the server is closed. Its URL is such as http://127.0.0.1:1234, and /v1
// comes after that. A request has a bearer: the key of an agent, a token, or, for what a human does, what
// [Vault.OwnerKey] returns.
//
// Each request is a run of ass by whoever the bearer belongs to. What a server remembers of its tokens, another one of
// the same vault does not know. docs/api.md lists the endpoints, and what differs from the hosted product.
func API(t testing.TB, v *Vault) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(newAPI(v))
	t.Cleanup(func() {
		// A client that never ends its body would hold Close, and so the test, for ever.
		late := time.AfterFunc(time.Second, srv.CloseClientConnections)
		defer late.Stop()
		srv.Close()
	})
	return srv
}

// OwnerKey is the bearer with which the owner uses [API]. All vaults of this package have the same one.
func (v *Vault) OwnerKey() string { return v.owner.Text() }

// api is the server. It remembers what clients learn from the hosted product, and ass has no place for.
type api struct {
	vault *Vault

	asking sync.Mutex           // held while a token is asked for
	held   map[string]heldToken // tokens that wait for a human, by what was asked for

	mu     sync.Mutex
	issued map[string]issuedToken // by token
	askers map[string]string      // the bearer that an approval is for, by the id of the request
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
	s := &api{vault: v, held: map[string]heldToken{}, issued: map[string]issuedToken{}, askers: map[string]string{}}
	mux := http.NewServeMux()
	for _, e := range endpoints {
		mux.HandleFunc(e.pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(e, w, r) })
	}
	none := endpoint{do: func(*call) (any, error) { return nil, noEndpoint() }}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, pattern := mux.Handler(r)
		if p := r.URL.EscapedPath(); pattern == "" || path.Clean(p) != strings.TrimSuffix(p, "/") {
			s.serve(none, w, r) // the mux's own answers are not JSON
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
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

func (s *api) answer(e endpoint, w http.ResponseWriter, r *http.Request) (any, error) {
	c := &call{api: s, Request: r, as: s.vault.Actor}
	if err := c.admit(e); err != nil {
		return nil, err
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

// admit finds the holder of the request's bearer, and refuses one who may not use the endpoint.
func (c *call) admit(e endpoint) (err error) {
	if e.who == anybody {
		return nil
	}
	if c.as, err = c.actor(c.Request); err != nil {
		return err
	}
	c.mu.Lock()
	lists := c.issued[c.as.Key].lists
	c.mu.Unlock()
	switch {
	case lists && e.pattern != "GET /v1/namespaces":
		return denied("this token lists namespaces, and nothing else")
	case e.who == human && c.as.Key != "":
		if _, err := c.ass("", "whoami"); err != nil { // 401 for a key that opens nothing
			return err
		}
		return denied("this is for a human, with the owner's key as bearer")
	}
	return nil
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
	return s.bearing(key), nil
}

// bearing is whoever a key or a token belongs to.
func (s *api) bearing(key string) *Actor {
	return &Actor{Name: "bearer", Key: key, home: s.vault.home, ids: s.vault.ids}
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

func noEndpoint() *apiError {
	return failed(http.StatusNotFound, "NOT_FOUND", "there is no such endpoint")
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

// read decodes the body, and its errors quote none of it. No body is as good as an empty object.
func (c *call) read(into any) error {
	if len(c.body) == 0 {
		return nil
	}
	// The decoder would replace bytes that are no UTF-8.
	if !utf8.Valid(c.body) || stores.HalfPair(c.body) || decode(c.body, into) != nil {
		return invalid("the body is not the JSON object that this endpoint takes")
	}
	return nil
}
