package protocols

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
)

// GitRequest is what git writes to a credential helper: see git-credential(1).
type GitRequest struct {
	Protocol, Host, Path, Username, Password string
	Expiry, Refresh                          string // password_expiry_utc, oauth_refresh_token
}

// ParseGit reads lines of key=value, up to an empty line or the end. Of two lines with one key, the last counts. Keys
// that it does not know are left out.
func ParseGit(b []byte) (q GitRequest, err error) {
	for line := range bytes.Lines(b) {
		line, _ = bytes.CutSuffix(line, []byte("\n"))
		if len(line) == 0 {
			break
		}
		key, value, ok := strings.Cut(string(line), "=")
		if !ok || !isLine(string(line)) {
			return GitRequest{}, errors.New("a line of the request is not KEY=VALUE")
		}
		switch key {
		case "protocol":
			q.Protocol = value
		case "host":
			q.Host = value
		case "path":
			q.Path = value
		case "username":
			q.Username = value
		case "password":
			q.Password = value
		case "password_expiry_utc":
			q.Expiry = value
		case "oauth_refresh_token":
			q.Refresh = value
		case "url": // stands for its parts; those that it lacks are unset
			if q, err = gitURL(value, q); err != nil {
				return GitRequest{}, err
			}
		}
	}
	return q, nil
}

// gitURL puts the parts of a URL into a request.
func gitURL(text string, q GitRequest) (GitRequest, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	authority, path, _ := strings.Cut(rest, "/")
	userinfo, host, has := strings.Cut(authority, "@")
	if !has {
		userinfo, host = "", authority
	}
	user, password, _ := strings.Cut(userinfo, ":")
	q.Protocol = scheme
	for _, part := range []struct {
		to   *string
		text string
	}{{&q.Host, host}, {&q.Username, user}, {&q.Password, password}, {&q.Path, strings.Trim(path, "/")}} {
		s, err := url.PathUnescape(part.text)
		if err != nil || !isLine(s) || !ok {
			return GitRequest{}, errors.New("the url of the request is none")
		}
		*part.to = s
	}
	return q, nil
}

// Server returns who would get the credential. The error says that it is no server of http or https.
func (q GitRequest) Server() (Server, error) { return NewServer(q.Protocol, q.Host, q.Path) }

// Places returns the paths at which the credential for a request can lie, the one that says most first. A path on the
// server has a place of its own if git sends it, which is when credential.useHttpPath is set:
//
//	NAMESPACE/HOST/OWNER/REPO   a path of one segment has _ before it, so that it is no user
//	NAMESPACE/HOST/USERNAME
//	NAMESPACE/HOST
func (q GitRequest) Places(namespace string) (paths []string) {
	s, err := q.Server()
	host := join(namespace, s.Host)
	if err != nil || host == "" {
		return nil
	}
	add := func(path string) {
		if path != "" {
			paths = append(paths, path)
		}
	}
	add(q.OwnPlace(namespace))
	if q.Username != "" {
		add(join(host, q.Username))
	}
	add(host)
	return paths
}

// OwnPlace returns the first one of [GitRequest.Places], that of the path on the server; "" if git sends no path, or if it is
// too long.
func (q GitRequest) OwnPlace(namespace string) string {
	s, err := q.Server()
	host := join(namespace, s.Host)
	switch path := s.Path; {
	case err != nil || host == "" || len(path) == 0:
		return ""
	case len(path) == 1:
		return join(host+"/_", path...) // no text has the segment _
	default:
		return join(host, path...)
	}
}

// Answer returns what a credential helper writes. If the credential has no user, it is the one that was asked for, and
// without one git asks.
func (q GitRequest) Answer(c Credential) ([]byte, error) {
	var b []byte
	if _, err := c.Expiry.Int64(); err != nil {
		c.Expiry = ""
	}
	for _, line := range [][2]string{{"username", orElse(c.Username, q.Username)}, {"password", c.Password},
		{"password_expiry_utc", c.Expiry.String()}, {"oauth_refresh_token", c.Refresh}} {
		switch {
		case !isLine(line[1]):
			clear(b)
			return nil, errLines
		case line[1] != "":
			b = append(b, line[0]+"="+line[1]+"\n"...)
		}
	}
	if c.Password == "" {
		return nil, errors.New("its password is empty")
	}
	return b, nil
}

// Stored returns the credential that git asks to be stored, for a server.
func (q GitRequest) Stored(s Server) (Credential, error) {
	if q.Username == "" || q.Password == "" {
		return Credential{}, errors.New("the request has no username or no password")
	}
	c := Credential{Server: s.URL(), Username: q.Username, Password: q.Password, Refresh: q.Refresh}
	if q.Expiry != "" && strings.Trim(q.Expiry, "0123456789") == "" {
		c.Expiry = json.Number(strings.TrimLeft(q.Expiry, "0"))
	}
	return c, nil
}

// GitQuit is the answer with which git asks nobody else, not even the person.
const GitQuit = "quit=1\n"

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
