package tokens

import "strings"

// Limits of a path. A namespace is a path without its last segment, so it has
// one segment fewer.
const (
	MaxPathBytes    = 512
	MaxPathSegments = 16
	MaxSegmentBytes = 128
)

// Path names one secret: namespace/…/KEY. The zero Path names nothing.
type Path struct{ text string }

// ParsePath reads a whole path: at least a namespace of one segment and a key.
func ParsePath(s string) (Path, error) {
	n, err := checkSegments("path", s, MaxPathSegments)
	if err != nil {
		return Path{}, err
	}
	if n < 2 {
		return Path{}, syntaxErrorf("path", "it has no namespace; a whole path is namespace/…/KEY")
	}
	return Path{s}, nil
}

// String returns the path as it was parsed.
func (p Path) String() string { return p.text }

// Compare orders paths by their text.
func (p Path) Compare(q Path) int { return strings.Compare(p.text, q.text) }

// Namespace returns all but the last segment.
func (p Path) Namespace() Namespace { return Namespace{p.text[:strings.LastIndexByte(p.text, '/')]} }

// Key returns the last segment.
func (p Path) Key() string { return p.text[strings.LastIndexByte(p.text, '/')+1:] }

// Namespace names a folder of secrets: one segment or more. The zero
// Namespace is the root, above all others.
type Namespace struct{ text string }

// ParseNamespace reads a namespace. One '/' at the end is allowed and dropped,
// as people type it for folders.
func ParseNamespace(s string) (Namespace, error) {
	s = strings.TrimSuffix(s, "/")
	if _, err := checkSegments("namespace", s, MaxPathSegments-1); err != nil {
		return Namespace{}, err
	}
	return Namespace{s}, nil
}

// String returns the namespace without a slash at its end.
func (n Namespace) String() string { return n.text }

// Segments returns the segments from the top; none for the root.
func (n Namespace) Segments() []string {
	if n.text == "" {
		return nil
	}
	return strings.Split(n.text, "/")
}

// Join returns the path of key directly in n.
func (n Namespace) Join(key string) (Path, error) { return ParsePath(n.text + "/" + key) }

// Contains reports whether p lies in n or below it.
func (n Namespace) Contains(p Path) bool {
	return n.text == "" || strings.HasPrefix(p.text, n.text+"/")
}

// checkSegments checks the form of s and returns how many segments it has.
func checkSegments(what, s string, most int) (int, error) {
	switch {
	case s == "":
		return 0, syntaxErrorf(what, "it is empty")
	case len(s) > MaxPathBytes:
		return 0, syntaxErrorf(what, "it has %d bytes; at most %d are allowed", len(s), MaxPathBytes)
	}
	n := 0
	for segment := range strings.SplitSeq(s, "/") {
		n++
		switch {
		case segment == "":
			return 0, syntaxErrorf(what, "segment %d is empty", n)
		case segment == "." || segment == "..":
			return 0, syntaxErrorf(what, "segment %d is %q, which is not allowed", n, segment)
		case len(segment) > MaxSegmentBytes:
			return 0, syntaxErrorf(what, "segment %d has %d bytes; at most %d are allowed", n, len(segment), MaxSegmentBytes)
		}
		for i := range len(segment) {
			if !segmentByte(segment[i]) {
				return 0, syntaxErrorf(what, "segment %d has a character outside A-Z a-z 0-9 . _ -", n)
			}
		}
	}
	if n > most {
		return 0, syntaxErrorf(what, "it has %d segments; at most %d are allowed", n, most)
	}
	return n, nil
}

func segmentByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-'
}
