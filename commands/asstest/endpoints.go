package asstest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"ass/tokens"
	"ass/vault"
)

// What each endpoint does: which command it runs, and how its flags are made of the hosted product's JSON.

// named returns what follows /v1/secrets/: namespace and key in one segment or several, a%2Fb/KEY or a/b/KEY. certain
// is false for a/b/KEY.
func (c *call) named() (name string, segments int, certain bool) {
	parts := strings.SplitN(c.URL.EscapedPath(), "/", 4) // after "", v1 and secrets, which may be escaped, too
	raw := strings.TrimSuffix(parts[3], "/")
	name, _ = url.PathUnescape(raw) // the URL is parsed, so it is well-formed
	return name, strings.Count(raw, "/") + 1, strings.Contains(strings.ToUpper(raw), "%2F")
}

// secret returns the path of the secret that the URL names before a suffix. Without the suffix, a URL is no endpoint.
func (c *call) secret(suffix string) (string, error) {
	name, _, _ := c.named()
	name, ok := strings.CutSuffix(name, suffix)
	if !ok {
		return "", noEndpoint()
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
		more, ok := metadataFlags(name, b.Metadata[name])
		if !ok {
			return nil, invalid("metadata has texts by name, and so has tags in it; rotate_every is a whole number of seconds")
		}
		flags = append(flags, more...)
	}
	return flags, nil
}

// metadataFlags are the flags for a field of metadata, which has the form in which secrets get prints it.
func metadataFlags(name string, value any) (flags []string, ok bool) {
	text, isText := value.(string)
	switch name {
	case "description":
		return []string{"--description=" + text}, isText
	case "expires_at":
		return []string{"--expires=" + text}, isText
	case "rotate_every":
		seconds, _ := value.(json.Number)
		_, err := seconds.Int64()
		return []string{"--rotate-every=" + seconds.String() + "s"}, err == nil
	case "tags":
		tags, ok := value.(map[string]any)
		for _, tag := range slices.Sorted(maps.Keys(tags)) {
			flag := "--tag=" + tag
			text, isText := tags[tag].(string)
			if text != "" { // NAME= would remove it
				flag += "=" + text
			}
			flags, ok = append(flags, flag), ok && isText && isName(tag)
		}
		return flags, ok
	}
	return []string{"--meta=" + name + "=" + text}, isText && isName(name)
}

// isName reports whether ass takes all of a text as the name in NAME=VALUE.
func isName(text string) bool { return text != "" && !strings.Contains(text, "=") }

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
		switch {
		case !older:
			scopes = append(scopes, text)
		case text == listNamespaces: // whoever may read in a namespace lists it
		case len(b.Namespaces) == 0:
			return nil, invalid(text + " is for allowed_namespaces, and there are none")
		default:
			for _, ns := range b.Namespaces {
				scopes = append(scopes, fmt.Sprintf("secrets:%s:%s/*", action, ns))
			}
		}
	}
	if len(b.Scopes) > 0 && len(scopes) == 0 { // without scopes, it would read
		return nil, invalid("there is no agent that lists namespaces and does nothing else")
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
