// Package protocols reads what git, docker, aws, kubectl, ssh and the like ask of a program that has credentials, and
// writes the answers. It also says at which path the credential of a server lies. It knows no vault and no terminal.
//
// A request can come from somebody hostile: a submodule names any server that it likes. So no two servers, and no two
// users of one server, ever have one path, and what cannot be understood in one way only is refused.
package protocols

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// Server is who gets a credential.
type Server struct {
	Scheme string   // https or http
	Host   string   // in lower case; with its port, unless that is the one of https
	Path   []string // segments of the path on that server; none for the whole server
}

// errServer quotes nothing: what was asked may be hostile.
var errServer = errors.New("it is no server of the form HOST, HOST:PORT or https://HOST/PATH")

// NewServer returns the server that a scheme, a host with or without a port, and a path name.
func NewServer(scheme, host, path string) (s Server, err error) {
	s.Scheme = lower(scheme)
	if s.Scheme != "https" && s.Scheme != "http" {
		return Server{}, errServer
	}
	name, port, ok := cutPort(lower(host))
	if !ok {
		return Server{}, errServer
	}
	usual := map[string]int{"https": 443, "http": 80}[s.Scheme]
	if port == 0 {
		port = usual
	}
	if s.Host = name; s.Scheme == "http" || port != usual {
		s.Host += ":" + strconv.Itoa(port)
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment != "" {
			s.Path = append(s.Path, segment)
		}
	}
	if n := len(s.Path); n > 0 && s.Path[n-1] != ".git" { // git asks for a repository with it and without
		s.Path[n-1] = strings.TrimSuffix(s.Path[n-1], ".git")
	}
	return s, nil
}

// ParseServer reads a URL, or a host without a scheme, which stands for https.
func ParseServer(text string) (Server, error) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		scheme, rest = "https", text
	}
	host, path, _ := strings.Cut(rest, "/")
	if strings.ContainsAny(path, "?#\\") || !isLine(path) {
		return Server{}, errServer
	}
	return NewServer(scheme, host, path)
}

// lower makes ASCII letters small. Other letters stay: which of them are the same, each program decides otherwise.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// cutPort splits a host from its port; 0 for none. It refuses a host that one program could take for another one than
// the next program.
func cutPort(host string) (name string, port int, ok bool) {
	name, rest := host, ""
	if strings.HasPrefix(host, "[") {
		end := strings.IndexByte(host, ']')
		if end < 0 || strings.Trim(host[1:end], "0123456789abcdef:.") != "" || end == 1 {
			return "", 0, false
		}
		name, rest = host[:end+1], host[end+1:]
	} else if colon := strings.IndexByte(host, ':'); colon >= 0 {
		name, rest = host[:colon], host[colon:]
	}
	for i := range len(name) {
		c := name[i]
		if name[0] != '[' && !isPlain(c) && c != '_' && c < 0x80 {
			return "", 0, false
		}
	}
	if rest != "" && (rest[0] != ':' || strings.Trim(rest[1:], "0123456789") != "") {
		return "", 0, false
	}
	if len(rest) > 1 {
		n, err := strconv.ParseUint(rest[1:], 10, 16)
		if err != nil || n == 0 {
			return "", 0, false
		}
		port = int(n)
	}
	return name, port, name != ""
}

// URL returns the server as a URL.
func (s Server) URL() string {
	return strings.Join(append([]string{s.Scheme + "://" + s.Host}, s.Path...), "/")
}

// Local reports whether the server is on this machine, so that nobody reads what is sent to it.
func (s Server) Local() bool {
	name, _, _ := cutPort(s.Host)
	return name == "localhost" || name == "127.0.0.1" || name == "[::1]"
}

// Covers reports whether a credential for s may go to what asked says: the same scheme and host, and a path in that of
// s.
func (s Server) Covers(asked Server) bool {
	return s.Scheme == asked.Scheme && s.Host == asked.Host && len(s.Path) <= len(asked.Path) &&
		slices.Equal(s.Path, asked.Path[:len(s.Path)])
}

// join makes a path of a secret of a namespace and of texts, one segment each; "" if a text has no form as a segment.
func join(namespace string, texts ...string) string {
	path := namespace
	for _, text := range texts {
		s := Segment(text)
		if s == "" {
			return ""
		}
		path += "/" + s
	}
	return path
}

const maxSegment = 128

// Segment writes a text as one segment of a path: a-z A-Z 0-9 . - and _ stand for themselves, and every other byte is _
// and two hex digits. So is a _ that two hex digits follow, and what would be no segment: a text of dots, or _ alone,
// which has another meaning. So two texts never have one segment. It returns "" for an empty text, and for one that is
// too long.
func Segment(text string) string {
	const hex = "0123456789abcdef"
	var b []byte
	for i := range len(text) {
		c := text[i]
		plain := isPlain(c) || c == '_' && !(i+2 < len(text) && isHex(text[i+1]) && isHex(text[i+2]))
		if plain && !(i == 0 && (text == "." || text == ".." || text == "_")) {
			b = append(b, c)
		} else {
			b = append(b, '_', hex[c>>4], hex[c&15])
		}
	}
	if len(b) > maxSegment {
		return ""
	}
	return string(b)
}

// Text is the inverse of [Segment]. ok is false for a segment that Segment does not write.
func Text(segment string) (text string, ok bool) {
	var b []byte
	for i := 0; i < len(segment); i++ {
		c := segment[i]
		if c == '_' && i+2 < len(segment) && isHex(segment[i+1]) && isHex(segment[i+2]) {
			n, err := strconv.ParseUint(segment[i+1:i+3], 16, 8)
			if err != nil {
				return "", false
			}
			c, i = byte(n), i+2
		}
		b = append(b, c)
	}
	return string(b), len(b) > 0 && Segment(string(b)) == segment
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' }

func isPlain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '-'
}

// isLine reports whether a text has no byte that could end a line, or a text in C.
func isLine(s string) bool { return !strings.ContainsAny(s, "\n\r\x00") }
