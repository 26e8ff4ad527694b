// Package stores reads what other stores of secrets give: exports, manifests, and folders of
// encrypted files. A reader turns bytes into items, and names everything that it leaves out.
// It knows no vault and no terminal, and starts no program itself: a caller hands it one.
//
// Everything that a reader sees may be written by an attacker. A reader never follows a link
// out of a folder, never puts a value into an error, and stops at limits of size, depth and
// number.
package stores

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"ass/tokens"
)

// Item is one value that a store gives.
type Item struct {
	Name  []string // the folders and the key, as the store has them
	Value []byte
	At    string // its place in the source, such as "line 3" or "item 2"

	Type        string            // one of vault.Types; "" if the store does not say
	Tier        tokens.Tier       // 0 if the store does not say
	Description string            // what the store says of it
	Tags        map[string]string // by which the store finds it; those without a value have ""
	Meta        map[string]string // what else is said of it, by name
	Expires     time.Time         // when the store calls it expired; zero for never
	RotateEvery int64             // how often it should get another value, in seconds; 0 for no rule
}

// FullName joins the name of an item with slashes.
func (i Item) FullName() string { return fullName(i.Name) }

// fullName joins a name with slashes. A slash inside of a part does not begin another.
func fullName(name []string) string {
	parts := make([]string, len(name))
	for i, part := range name {
		parts[i] = strings.ReplaceAll(part, "/", "-")
	}
	return strings.Join(parts, "/")
}

// Left is what a reader does not take.
type Left struct {
	Name   string // of the item that it belongs to; "" for all of the source
	Reason string // what it is, and why it stays behind
}

// Note is what the person should know, and what they can do.
type Note struct{ Text, Hint string }

// Content is what a source gives.
type Content struct {
	Items []Item
	Left  []Left
	Notes []Note // what the person should know of items that are taken

	entries, names uniqueNames
}

// Error says what is wrong with a source, and where. It never has a value in it.
type Error struct {
	At      string // "" for the whole source
	Problem string
	Hint    string // what the person can do; "" for nothing
}

func (e *Error) Error() string {
	if e.At == "" {
		return e.Problem
	}
	return e.At + ": " + e.Problem
}

func wrong(at, format string, args ...any) error {
	return &Error{At: at, Problem: fmt.Sprintf(format, args...)}
}

// mend is wrong with a way out.
func mend(at, hint, format string, args ...any) error {
	return &Error{At: at, Problem: fmt.Sprintf(format, args...), Hint: hint}
}

// Source is where a format reads from.
type Source struct {
	Bytes []byte   // of a file
	Root  *os.Root // of a format that is a folder
	Name  string   // of the file, without folders; "" for stdin

	// Run runs the program of the format with these arguments and this input, and returns its
	// output.
	Run func(input []byte, args ...string) ([]byte, error)
}

// Format is one kind of source.
type Format struct {
	Name    string
	From    string // what the source is, for the help
	Folder  bool   // the source is a folder
	Program string // that the format needs; "" for none
	Package string // how to get the program
	Whole   bool   // the names of the items are whole paths, if no list leaves that open
	Read    func(Source) (*Content, error)
}

// Formats lists the formats.
var Formats = []Format{
	{Name: "pass", From: "the folder of a pass store", Folder: true, Program: "gpg", Package: "GnuPG", Read: readPass},
	{Name: "gopass", From: "the folder of a gopass store", Folder: true, Program: "gpg", Package: "GnuPG",
		Read: readGopass},
	{Name: "sops", From: "a file encrypted by sops", Program: "sops", Package: "sops", Read: readSops},
	{Name: "bitwarden", From: "a JSON export, not encrypted", Read: readBitwarden},
	{Name: "1password", From: "a CSV export, or op item get --format json", Read: readOnePassword},
	{Name: "keepass", From: "an XML or CSV export of KeePass or KeePassXC", Read: readKeePass},
	{Name: "flat-json", From: "JSON of doppler, infisical, aws, gcloud or vault kv get", Read: readFlat},
	{Name: "kubernetes", From: "manifests of Secrets, YAML or JSON", Read: readKubernetes},
	{Name: "ass", From: "env export --format json --allow '*' and secrets list --json", Whole: true, Read: readAss},
}

// Names lists the names of the formats.
func Names() []string {
	names := make([]string, len(Formats))
	for i, f := range Formats {
		names[i] = f.Name
	}
	return names
}

// Named finds a format by its name.
func Named(name string) (Format, bool) {
	for _, f := range Formats {
		if f.Name == name {
			return f, true
		}
	}
	return Format{}, false
}

// MaxItems is the number of items that a source may have.
const MaxItems = 100_000

// entry is one record of a store: a main value, which gets its name, and fields below it.
type entry struct {
	c    *Content
	at   string
	name []string
	like Item // what all its items have: type, tags, time
	took int  // how many values are taken, or named as not taken
}

// entry begins a record. If the store has another of this name, it gets a number.
func (c *Content) entry(at string, name ...string) *entry {
	return &entry{c: c, at: at, name: c.entries.free(name)}
}

// gone names a record that is not taken because the store counts it as removed. It takes no name from another.
func (c *Content) gone(reason string, name ...string) {
	c.Left = append(c.Left, Left{fullName(name), reason})
}

// title is the name of the record.
func (e *entry) title() string { return fullName(e.name) }

// main takes the value that the record is for.
func (e *entry) main(value, kind string) { e.take(e.name, value, kind) }

// field takes a value below the name of the record.
func (e *entry) field(label, value, kind string) {
	e.take(append(append([]string{}, e.name...), label), value, kind)
}

func (e *entry) take(name []string, value, kind string) {
	if value == "" {
		return
	}
	item := e.like
	item.Name, item.Value, item.At = name, []byte(value), e.at
	if kind != "" {
		item.Type = kind
	}
	e.c.add(item)
	e.took++
}

// left names what is not taken of the record.
func (e *entry) left(format string, args ...any) {
	e.c.Left = append(e.c.Left, Left{e.title(), fmt.Sprintf(format, args...)})
	e.took++
}

// end names the record if nothing of it was taken.
func (e *entry) end() {
	if e.took == 0 {
		e.left("it is empty")
	}
}

// add takes an item. If there is another of its name, it gets a number.
func (c *Content) add(item Item) {
	item.Name = c.names.free(item.Name)
	if item.Type == "" {
		item.Type = kindOf(item.Value)
	}
	c.Items = append(c.Items, item)
}

// checked returns what was read, or an error if it is too much.
func (c *Content) checked() (*Content, error) {
	if len(c.Items) > MaxItems {
		return nil, wrong("", "it has more than %d values, the most that one import takes", MaxItems)
	}
	return c, nil
}

// kindOf returns the type of a value whose form tells it.
func kindOf(value []byte) string {
	head := string(value[:min(len(value), 64)])
	switch {
	case !strings.HasPrefix(head, "-----BEGIN "):
		return ""
	case strings.HasPrefix(head, "-----BEGIN OPENSSH PRIVATE KEY-----"):
		return "ssh_key"
	case strings.HasPrefix(head, "-----BEGIN CERTIFICATE-----"):
		return "certificate"
	}
	return ""
}

// uniqueNames numbers names that occur more than once.
type uniqueNames struct {
	used map[string]bool
	next map[string]int
}

// free returns the name, or the name with a number that no other has.
func (u *uniqueNames) free(name []string) []string {
	if u.used == nil {
		u.used, u.next = map[string]bool{}, map[string]int{}
	}
	free, last := append([]string{}, name...), len(name)-1
	if free[last] == "" {
		free[last] = "unnamed"
	}
	key, name := keyOf(free), append([]string{}, free...)
	for n := max(2, u.next[key]); u.used[keyOf(free)]; n++ {
		free[last], u.next[key] = name[last]+" ("+strconv.Itoa(n)+")", n+1
	}
	u.used[keyOf(free)] = true
	return free
}

// keyOf is a text that no other name has.
func keyOf(name []string) string {
	var b strings.Builder
	for _, part := range name {
		b.WriteString(strconv.Itoa(len(part)) + ":" + part)
	}
	return b.String()
}

// plural is a number with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// ordinal is the place of an element of a list, counted from 1: "item 2".
func ordinal(noun string, i int) string { return noun + " " + strconv.Itoa(i+1) }

// pattern compiles an expression when it is first used, and not when the program starts.
func pattern(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
