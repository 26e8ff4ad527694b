package asstest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"ass/tokens"
	"ass/vault"
)

// Tokens as the hosted product hands them out: after a human has approved, and with its older scopes.

// issuedToken is what the server remembers of a token.
type issuedToken struct {
	to    string // the bearer that asked for it
	lists bool   // it lists namespaces, and does nothing else
}

// heldToken is a token that waits for a human: the hosted product asks when a token is requested, and ass when a secret
// is read, for each token. So the token asks before it is handed out.
type heldToken struct {
	answer   map[string]any // what hands it out
	requests []string       // ids
}

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

// handOut returns a held token if a human has approved all that it asked for, or says which request still waits. An
// answer of nil without an error says that the token is of no use any more.
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
func (c *call) with(answer map[string]any) *Actor { return c.bearing(fmt.Sprint(answer["token"])) }

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
	c.issued[token] = issuedToken{c.as.Key, b.lists()}
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
	asker := c.askers[id]
	token, ofToken := c.issued[asker]
	ofToken = ofToken && token.to == c.as.Key
	c.mu.Unlock()
	if ofToken {
		if _, err := c.ass("", "whoami"); err != nil {
			return nil, err
		}
		as = c.bearing(asker)
	}
	q, err := c.assAs(as, "", "approvals", "show", "--", id)
	var told *apiError
	if ofToken && errors.As(err, &told) && told.code() == "UNAUTHORIZED" {
		return map[string]any{"id": id, "status": vault.Expired}, nil // with the token that asked
	}
	return q, err
}
