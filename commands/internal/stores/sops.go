package stores

import (
	"bytes"
	"path"
	"runtime"
	"strings"
)

// A file of sops holds its values encrypted, each by itself, with the names in clear. sops
// tells by the ending of a file's name how to read it; here, its content tells, so that a pipe
// and any name work.

var (
	sopsDotenv = pattern(`(?m)^sops_version=`)
	sopsINI    = pattern(`(?m)^\[sops\]\s*$`)
)

func readSops(s Source) (*Content, error) {
	b := withoutMark(s.Bytes)
	switch head := bytes.TrimLeft(b, " \t\r\n"); {
	case len(head) == 0:
		return nil, wrong("", "it is empty")
	case head[0] == '{':
		return sopsJSON(s, b)
	case sopsDotenv().Match(b):
		return sopsFlat(s, "dotenv")
	case sopsINI().Match(b):
		return sopsFlat(s, "ini")
	}
	out, err := s.Run(b, sopsArgs("yaml", "yaml")...)
	if err != nil {
		return nil, wrong("", "%v", err)
	}
	docs, err := parseYAML(out) // as JSON, sops gives the first document alone
	if err != nil {
		return nil, decrypted(err)
	}
	c := &Content{}
	for i := range docs {
		c.flatten(&docs[i], nil)
	}
	return c.checked()
}

// sopsArgs make sops read stdin. Versions before 3.11 know no other way than the name /dev/stdin, which Windows
// does not have.
func sopsArgs(in, out string) []string {
	if runtime.GOOS == "windows" {
		return []string{"decrypt", "--input-type", in, "--output-type", out}
	}
	return []string{"--decrypt", "--input-type", in, "--output-type", out, "/dev/stdin"}
}

// sopsJSON reads a file in JSON. If its only member is "data", it may be a file of any kind
// that sops has wrapped.
func sopsJSON(s Source, b []byte) (*Content, error) {
	sealed, err := oneObject(b)
	if err != nil {
		return nil, err
	}
	if len(sealed.members) == 2 && sealed.has("data", "sops") && !strings.HasSuffix(s.Name, ".json") {
		out, err := s.Run(b, sopsArgs("binary", "binary")...)
		if err != nil {
			return nil, wrong("", "%v", err)
		}
		name, _, _ := strings.Cut(path.Base(s.Name), ".")
		if s.Name == "" || name == "" {
			name = "data"
		}
		c := &Content{}
		c.add(Item{Name: []string{name}, Value: out})
		return c.checked()
	}
	return sopsFlat(s, "json")
}

// sopsFlat reads what sops gives as JSON.
func sopsFlat(s Source, in string) (*Content, error) {
	out, err := s.Run(withoutMark(s.Bytes), sopsArgs(in, "json")...)
	if err != nil {
		return nil, wrong("", "%v", err)
	}
	doc, err := oneObject(out)
	if err != nil {
		return nil, decrypted(err)
	}
	c := &Content{}
	c.flatten(doc, nil)
	if in == "dotenv" {
		var names []string
		for _, item := range c.Items {
			if v := item.Value; len(v) > 1 && v[0] == v[len(v)-1] && (v[0] == '"' || v[0] == '\'') {
				names = append(names, item.FullName())
			}
		}
		if len(names) > 0 {
			c.Notes = append(c.Notes, Note{"to sops, the quotes around these values are a part of them, so they are stored: " +
				strings.Join(names, ", "), "to read the file as a .env file: sops -d FILE | ass env import -"})
		}
	}
	return c.checked()
}

// decrypted says of an error that its lines are those of the decrypted file.
func decrypted(err error) error {
	if e, ok := err.(*Error); ok {
		if e.At == "" {
			return e
		}
		return &Error{"decrypted, " + e.At, e.Problem, e.Hint}
	}
	return err
}
