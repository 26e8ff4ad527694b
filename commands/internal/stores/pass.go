package stores

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// A store of pass is a folder with a file NAME.gpg for each entry, which gpg opens. By
// convention, the first line of an entry is the secret, and the lines behind it are
// "key: value" or free text (passwordstore.org). gopass has the same files, with YAML behind a
// line "---" and, in old ones, a header like that of a mail.

const (
	maxSealed   = 4 << 20 // bytes of an encrypted file
	maxUnsealed = 64 << 20
	maxFiles    = 100_000
)

func readPass(s Source) (*Content, error)   { return readStore(s, false) }
func readGopass(s Source) (*Content, error) { return readStore(s, true) }

func readStore(s Source, gopass bool) (*Content, error) {
	w := storeWalk{s: s, gopass: gopass, c: &Content{}}
	if err := w.folder("."); err != nil {
		return nil, err
	}
	if w.sealed == 0 {
		if w.age > 0 {
			return nil, mend("", "convert the store to gpg first: gopass convert --crypto gpgcli",
				"its entries are encrypted with age, which is not read")
		}
		return nil, wrong("", "it has no entries (files NAME.gpg)")
	}
	return w.c.checked()
}

// ownFiles are those of git, pass and gopass themselves.
var ownFiles = []string{".git", ".gitattributes", ".gitignore", ".gpg-id", ".gpg-id.sig", ".public-keys", ".gopass",
	".extensions"}

type storeWalk struct {
	s      Source
	gopass bool
	c      *Content
	files  int
	sealed int // files of gpg
	age    int // files of age
	total  int // bytes decrypted
}

// folder reads a folder of the store, entry by entry in the order of their names.
func (w *storeWalk) folder(dir string) error {
	list, err := fs.ReadDir(w.s.Root.FS(), dir)
	if err != nil {
		return err
	}
	for _, f := range list {
		name := path.Join(dir, f.Name())
		if w.files++; w.files > maxFiles {
			return wrong("", "it has more than %d files", maxFiles)
		}
		switch {
		case contains(ownFiles, f.Name()):
		case f.IsDir() && strings.Count(name, "/") >= maxDepth:
			return wrong(quoted(name), "it lies more than %d folders deep", maxDepth)
		case f.IsDir():
			err = w.folder(name)
		case strings.HasSuffix(name, ".age"):
			w.age++
			w.leave(strings.TrimSuffix(name, ".age"), "it is encrypted with age, which is not read")
		case !strings.HasSuffix(name, ".gpg"):
			w.leave(name, "it is no entry (NAME.gpg)")
		case f.Type()&fs.ModeSymlink != 0:
			err = w.link(name)
		case !f.Type().IsRegular():
			w.leave(name, "it is not a regular file")
		default:
			err = w.file(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *storeWalk) leave(name, reason string) {
	w.c.Left = append(w.c.Left, Left{name, reason})
}

// link reads the entry that a symbolic link leads to, if it lies in the store.
func (w *storeWalk) link(name string) error {
	info, err := w.s.Root.Stat(name)
	switch {
	case err != nil:
		w.leave(name, "it is a symbolic link that leads out of the store, or nowhere")
	case !info.Mode().IsRegular():
		w.leave(name, "it is a symbolic link to something that is no file")
	default:
		return w.file(name)
	}
	return nil
}

// file reads one entry.
func (w *storeWalk) file(name string) error {
	title := strings.TrimSuffix(name, ".gpg")
	sealed, err := readIn(w.s, name)
	if err != nil {
		return err
	}
	w.sealed++
	plain, err := w.s.Run(sealed, "--batch", "--quiet", "--decrypt")
	if err != nil {
		return wrong(quoted(title), "%v", err)
	}
	if w.total += len(plain); w.total > maxUnsealed {
		return wrong(quoted(title), "up to here, the store holds more than %d MiB", maxUnsealed>>20)
	}
	e := w.c.entry(quoted(title), strings.Split(title, "/")...)
	if w.gopass {
		takeGopass(e, plain)
	} else {
		takePass(e, string(plain), false)
	}
	e.end()
	return nil
}

// readIn reads a regular file of the folder, and no link out of it.
func readIn(s Source, name string) ([]byte, error) {
	f, err := s.Root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSealed+1))
	if err == nil && len(b) > maxSealed {
		err = wrong(quoted(name), "it is larger than %d MiB", maxSealed>>20)
	}
	return b, err
}

// keyLine matches a line "key: value" of an entry.
var keyLine = pattern(`^([\pL_][\pL\pN _.-]{0,63}?) *:(?:[ \t]+(.*))?$`)

// takePass takes the values of an entry. A value without lines of that form stays in one
// piece: keys and certificates, JSON, and bytes that are no text.
func takePass(e *entry, content string, yamlBehind bool) {
	if isOnePiece(content) {
		e.main(content, "")
		return
	}
	first, rest, _ := strings.Cut(content, "\n")
	first = strings.TrimSuffix(first, "\r")
	if strings.HasPrefix(first, "otpauth://") {
		e.field("otp", first, "")
	} else {
		e.main(first, "")
	}
	var notes []string
	lines := strings.Split(rest, "\n")
	for i, line := range lines {
		line = strings.TrimSuffix(line, "\r")
		if yamlBehind && line == "---" {
			takeYAML(e, strings.Join(lines[i+1:], "\n"))
			break
		}
		m := keyLine().FindStringSubmatch(line)
		switch {
		case strings.HasPrefix(line, "otpauth://"):
			e.field("otp", line, "")
		case m != nil && m[2] != "":
			e.field(m[1], m[2], "")
		default:
			notes = append(notes, line)
		}
	}
	e.field("notes", strings.Trim(strings.Join(notes, "\n"), "\n"), "")
}

// isOnePiece reports whether the content of an entry is one value of several lines.
func isOnePiece(content string) bool {
	head := strings.TrimLeft(content, " \t\r\n")
	return !utf8.ValidString(content) || strings.IndexByte(content, 0) >= 0 || strings.HasPrefix(head, "-----BEGIN ") ||
		strings.HasPrefix(head, "{\n") || strings.HasPrefix(head, "[\n") || strings.HasPrefix(head, "<?xml")
}

// takeYAML takes what stands behind "---" in an entry of gopass.
func takeYAML(e *entry, content string) {
	docs, err := parseYAML([]byte(content))
	if err != nil || len(docs) > 1 {
		e.field("notes", content, "")
		return
	}
	for i := range docs {
		below := Content{names: e.c.names}
		below.flatten(&docs[i], e.name)
		for j := range below.Items {
			below.Items[j].At = e.at
		}
		e.c.names = below.names
		e.c.Items, e.c.Left = append(e.c.Items, below.Items...), append(e.c.Left, below.Left...)
		e.took += len(below.Items) + len(below.Left)
	}
}

const oldHeader = "GOPASS-SECRET-1.0"

// takeGopass takes an entry of gopass: as of pass, with YAML behind it, or with a header.
func takeGopass(e *entry, plain []byte) {
	content := string(plain)
	if head, rest, _ := strings.Cut(content, "\n"); strings.TrimSuffix(head, "\r") == oldHeader {
		takeHeader(e, rest, "password")
		return
	}
	if err := takeAttached(e, content); err == nil {
		return
	}
	takePass(e, content, true)
}

var errNoFile = errors.New("it is no file")

// takeAttached takes a file that gopass stored, with lines that say so.
func takeAttached(e *entry, content string) error {
	lines := strings.Split(content, "\n")
	encoded := slices.IndexFunc(lines, func(l string) bool {
		return strings.EqualFold(l, "content-transfer-encoding: base64")
	})
	if encoded < 0 || encoded > 4 {
		return errNoFile
	}
	for _, l := range lines[:encoded] {
		if l != "" && !keyLine().MatchString(l) {
			return errNoFile
		}
	}
	at := encoded + 1
	for at < len(lines) && lines[at] != "" && keyLine().MatchString(lines[at]) {
		at++
	}
	b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(strings.Join(lines[at:], "")), ""))
	if err != nil {
		return err
	}
	e.main(string(b), "")
	return nil
}

// takeHeader takes an entry with a header of lines "Key: value", and a body behind it.
func takeHeader(e *entry, content, main string) {
	head, body, _ := strings.Cut(content, "\n\n")
	var free bytes.Buffer
	for line := range strings.SplitSeq(head, "\n") {
		name, value, found := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch {
		case !found:
			free.WriteString(line + "\n")
		case strings.EqualFold(strings.TrimSpace(name), main):
			e.main(value, "")
		default:
			e.field(strings.TrimSpace(name), value, "")
		}
	}
	e.field("notes", strings.Trim(free.String()+body, "\n"), "")
}
