package protocols

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// What docker expects word for word. See credentials/error.go of github.com/docker/docker-credential-helpers.
var (
	ErrDockerNotFound = errors.New("credentials not found in native keychain")
	ErrDockerNoServer = errors.New("no credentials server URL")
	ErrDockerNoUser   = errors.New("no credentials username")
)

// DockerCredential is what docker stores and gets.
type DockerCredential struct {
	ServerURL string
	Username  string
	Secret    string
}

// ParseDockerServer reads the server that docker writes for get and erase. It returns it as docker wrote it, too.
func ParseDockerServer(b []byte) (s Server, asked string, err error) {
	asked = strings.TrimSpace(string(b))
	if asked == "" {
		return Server{}, "", ErrDockerNoServer
	}
	s, err = dockerServer(asked)
	return s, asked, err
}

// dockerServer reads the name of a registry. The path of its API says nothing: docker logs in to the same registry
// with and without it.
func dockerServer(text string) (Server, error) {
	s, err := ParseServer(strings.TrimPrefix(text, "//"))
	if err == nil && len(s.Path) == 1 && (s.Path[0] == "v1" || s.Path[0] == "v2") {
		s.Path = nil
	}
	return s, err
}

// ParseDockerStore reads what docker writes for store.
func ParseDockerStore(b []byte) (Server, Credential, error) {
	var d DockerCredential
	if !utf8.Valid(b) || json.Unmarshal(b, &d) != nil {
		return Server{}, Credential{}, errors.New(`the request is not {"ServerURL":…,"Username":…,"Secret":…}`)
	}
	switch d.ServerURL = strings.TrimSpace(d.ServerURL); {
	case d.ServerURL == "":
		return Server{}, Credential{}, ErrDockerNoServer
	case d.Username == "":
		return Server{}, Credential{}, ErrDockerNoUser
	case d.Secret == "":
		return Server{}, Credential{}, errors.New("the request has no secret")
	}
	s, err := dockerServer(d.ServerURL)
	return s, Credential{Server: d.ServerURL, Username: d.Username, Password: d.Secret}, err
}

// DockerPlace returns the path at which the credential for a registry lies: NAMESPACE/HOST or NAMESPACE/HOST/PATH; ""
// if it is too long.
func DockerPlace(namespace string, s Server) string {
	return join(namespace, append([]string{s.Host}, s.Path...)...)
}

// FitsDocker reports whether a credential is for a registry.
func (c Credential) FitsDocker(asked Server) bool {
	if c.Server == "" {
		return true
	}
	s, err := dockerServer(c.Server)
	return err == nil && s.Covers(asked) && len(s.Path) == len(asked.Path)
}

// DockerAnswer returns what get writes. username is for a credential without one.
func DockerAnswer(asked string, c Credential, username string) ([]byte, error) {
	d := DockerCredential{asked, orElse(c.Username, username), c.Password}
	switch {
	case d.Username == "":
		return nil, ErrDockerNoUser
	case d.Secret == "":
		return nil, errors.New("the password that is stored is empty")
	}
	return oneLine(d)
}

// DockerURL returns the server whose credential lies at a path, as list names it: what the credential says, or a URL
// made from the path. It returns "" if the credential is not for the server that the path names.
func DockerURL(namespace, path string, c Credential) string {
	segments := strings.Split(strings.TrimPrefix(path, namespace+"/"), "/")
	for i, segment := range segments {
		segments[i], _ = Text(segment) // what is no form of a text does not lead back to the path
	}
	asked := orElse(c.Server, "https://"+strings.Join(segments, "/"))
	if s, err := dockerServer(asked); err != nil || DockerPlace(namespace, s) != path {
		return ""
	}
	return asked
}

// DockerList returns what list writes: the user of each server.
func DockerList(users map[string]string) ([]byte, error) { return oneLine(users) }

// oneLine writes JSON for programs: one line, and no character escaped for HTML.
func oneLine(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}
