package commands

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"ass/tokens"
)

// A parser for .env files. docs/env.md describes the dialect. The parser does not
// guess: a line that it cannot read is an error with its number, and it reports all of
// them at once.
//
// It is our own because no well-kept parser leaves a value as it stands: docs/env.md
// lists those that were tried.

// variable is one assignment of a .env file.
type variable struct {
	name  string
	value []byte
	line  int         // where the assignment begins, from 1; 0 in a format without lines
	refs  []int       // offsets in value of the references that expand fills in
	path  tokens.Path // the secret behind it, when it is handed over
}

// dialect is how a family of readers writes values.
type dialect struct {
	quotes  string // the quotes in which a value can stand
	escapes string // what stands behind a backslash in double quotes, each with what it means
	single  string // what a backslash escapes in the other quotes
	keeps   bool   // in those, a backslash before a quote keeps it from closing
	shell   bool   // 'it'\''s' is one value, and so is 'a'$'\r''b'
	hash    bool   // every # ends a bare value, not only one behind a blank
	plain   bool   // a bare value is letters, digits and a few signs, and no comment follows
	nothing bool   // ${:-text} is text: how env export writes ${ for python-dotenv
}

const (
	lineEscapes = "n\nr\r"
	cEscapes    = lineEscapes + "a\ab\bf\ft\tv\v\\\\\"\""
)

// The dialects. Each reads every value that env export writes for its readers.
var (
	ourDialect     = &dialect{quotes: "'\"`", shell: true, escapes: lineEscapes + "t\t\"\"\\\\$$``"}
	nodeDialect    = &dialect{quotes: "'\"`", keeps: true, hash: true, escapes: lineEscapes}
	pythonDialect  = &dialect{quotes: "'\"", keeps: true, single: `\'`, nothing: true, escapes: cEscapes + "''"}
	composeDialect = &dialect{quotes: "'\"", keeps: true, single: "'", escapes: cEscapes + "$$"}
	systemdDialect = &dialect{quotes: `"`, plain: true, escapes: "\"\"\\\\$$``"}
)

// escape is what a character means behind a backslash in double quotes.
func (d *dialect) escape(c byte) (meaning byte, ok bool) {
	for i := 0; i < len(d.escapes); i += 2 {
		if d.escapes[i] == c {
			return d.escapes[i+1], true
		}
	}
	return 0, false
}

// dotenvError says what is wrong with a line. It does not repeat the line, which
// may hold a value.
type dotenvError struct {
	line    int
	problem string
}

func (e *dotenvError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.problem) }

// unreadable are the lines that a parser could not read.
type unreadable []*dotenvError

// mostNamed is how many things of a kind a message names.
const mostNamed = 20

// Error names the lines in their order, those with one problem together.
func (u unreadable) Error() string {
	if len(u) == 1 {
		return u[0].Error()
	}
	lines, problems := map[string][]string{}, []string{}
	for _, e := range u[:min(len(u), mostNamed)] {
		if lines[e.problem] == nil {
			problems = append(problems, e.problem)
		}
		lines[e.problem] = append(lines[e.problem], "line "+strconv.Itoa(e.line))
	}
	for i, problem := range problems {
		problems[i] = strings.Join(lines[problem], ", ") + ": " + problem
	}
	more := ""
	if n := len(u) - mostNamed; n > 0 {
		more = fmt.Sprintf("; and %d more", n)
	}
	return fmt.Sprintf("%d lines cannot be read: %s%s", len(u), strings.Join(problems, "; "), more)
}

func (u unreadable) Unwrap() error { return errUsage }

// inOrder sorts by lines, and keeps the first problem of each.
func (u unreadable) inOrder() unreadable {
	sortStable(u, func(a, b *dotenvError) int { return a.line - b.line })
	return slices.CompactFunc(u, func(a, b *dotenvError) bool { return a.line == b.line })
}

// orNil is u as an error.
func (u unreadable) orNil() error {
	if len(u) == 0 {
		return nil
	}
	return u
}

// checkEncoding refuses a file that is not in an encoding in which ASCII is ASCII.
func checkEncoding(file []byte) error {
	const way = "; convert it with: iconv -f %s -t UTF-8 FILE > NEW"
	is := func(mark string) bool { return bytes.HasPrefix(file, []byte(mark)) }
	switch {
	case is("\xff\xfe\x00\x00"), is("\x00\x00\xfe\xff"):
		return usagef("it is UTF-32, not UTF-8"+way, "UTF-32")
	case is("\xff\xfe"), is("\xfe\xff"):
		return usagef("it is UTF-16, not UTF-8"+way, "UTF-16")
	case len(file) >= 2 && file[1] == 0 && file[0] != 0:
		return usagef("it is UTF-16, not UTF-8"+way, "UTF-16LE")
	case len(file) >= 2 && file[0] == 0 && file[1] != 0:
		return usagef("it is UTF-16, not UTF-8"+way, "UTF-16BE")
	}
	return nil
}

// parse reads a whole file: the assignments in their order, and the lines that it could
// not read.
func (dialect *dialect) parse(file []byte) (list []variable, wrong unreadable) {
	file = bytes.TrimPrefix(file, []byte("\xef\xbb\xbf"))
	d := &dotenvParser{dialect: dialect, rest: string(file), line: 1}
	wrong = loneReturns(file)
	const most = 1 << 12 // a large file may be one of empty lines
	list = make([]variable, 0, min(most, strings.Count(d.rest, "\n")+1))
	for d.rest != "" {
		v, ok, err := d.assignment()
		var e *dotenvError
		switch {
		case errors.As(err, &e):
			wrong = append(wrong, e)
			if end := strings.IndexByte(d.rest, '\n'); end >= 0 {
				d.take(end + 1)
			} else {
				d.take(len(d.rest))
			}
		case ok:
			list = append(list, v)
		}
	}
	return list, wrong.inOrder()
}

// loneReturns finds carriage returns that end no line. Readers differ on them: some
// end the line there, and the rest of a value would be an assignment of its own.
func loneReturns(file []byte) (wrong unreadable) {
	lines := bytes.Split(file, []byte("\n"))
	for i, line := range lines {
		if i < len(lines)-1 {
			line = bytes.TrimSuffix(line, []byte("\r"))
		}
		if bytes.IndexByte(line, '\r') >= 0 {
			wrong = append(wrong, &dotenvError{i + 1, `it has a carriage return inside a line; write it as \r in ` +
				`double quotes or, if all lines end so, convert the file with: tr '\r' '\n'`})
		}
	}
	return wrong
}

// settleDuplicates keeps one assignment of each name: the last, if it may be. It works within list.
func settleDuplicates(list []variable, last bool) (kept []variable, wrong unreadable) {
	at, kept := make(map[string]int, len(list)), list[:0]
	for _, v := range list {
		before, twice := at[v.name]
		switch {
		case !twice:
			at[v.name] = len(kept)
			kept = append(kept, v)
		case last:
			kept[before] = v
		default:
			wrong = append(wrong, &dotenvError{v.line, fmt.Sprintf("%s was already set on line %d; to take the last "+
				"one: --on-duplicate last", shownName(v.name, "its name"), kept[before].line)})
		}
	}
	return kept, wrong
}

// shownName returns a name for an error, or other words if the error should not repeat it.
func shownName(name, other string) string {
	if isShown(name) {
		return name
	}
	return other
}

// isShown reports whether a message may repeat a name: if it looks like one, because a
// piece of a value can be taken for a name.
func isShown(name string) bool {
	const most, letters = 64, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
	return len(name) <= most && strings.Trim(name, letters) == "" && (len(name) <= 16 || strings.Contains(name, "_"))
}

type dotenvParser struct {
	*dialect
	rest string
	line int   // of rest
	refs []int // of the value that is being read
}

func (d *dotenvParser) fail(format string, args ...any) error {
	return &dotenvError{d.line, fmt.Sprintf(format, args...)}
}

// take removes n bytes and counts their lines.
func (d *dotenvParser) take(n int) string {
	s := d.rest[:n]
	d.rest = d.rest[n:]
	d.line += strings.Count(s, "\n")
	return s
}

// isBlank reports whether a character is a blank within a line, of any script.
func isBlank(r rune) bool { return unicode.IsSpace(r) && r != '\n' && r != '\r' }

func (d *dotenvParser) skipBlanks() (skipped bool) {
	if d.rest == "" || '!' <= d.rest[0] && d.rest[0] < utf8.RuneSelf { // nearly always
		return false
	}
	return d.take(len(d.rest)-len(strings.TrimLeftFunc(d.rest, isBlank))) != ""
}

// lineEnd is how many bytes there are up to the end of the line, which is LF or
// CRLF.
func (d *dotenvParser) lineEnd() int {
	n := strings.IndexByte(d.rest, '\n')
	if n > 0 && d.rest[n-1] == '\r' {
		n--
	}
	if n < 0 {
		return len(d.rest)
	}
	return n
}

// assignment reads a line, or several if a quoted value spans them; ok is false
// for an empty line and a comment.
func (d *dotenvParser) assignment() (v variable, ok bool, err error) {
	d.skipBlanks()
	if end := d.lineEnd(); end == 0 || d.rest[0] == '#' || d.plain && d.rest[0] == ';' {
		d.take(end)
		d.newline()
		return v, false, nil
	}
	v.line, d.refs = d.line, nil
	d.skipExport()
	v.name = d.take(nameLength(d.rest))
	if v.name == "" {
		return v, false, d.fail("a line is NAME=value, a comment, or empty; a name begins with a letter or _")
	}
	d.skipBlanks()
	if strings.HasPrefix(d.rest, ":") {
		return v, false, d.fail("the name is followed by : instead of =")
	}
	if !strings.HasPrefix(d.rest, "=") {
		return v, false, d.fail("there is no = after the name; is it the rest of a multi-line value that has " +
			"no quotes?")
	}
	d.take(1)
	blank := d.skipBlanks()
	if d.rest != "" && strings.IndexByte(d.quotes, d.rest[0]) >= 0 {
		v.value, err = d.quoted()
	} else {
		v.value, err = d.bare(blank)
	}
	if err == nil && bytes.IndexByte(v.value, 0) >= 0 {
		err = d.fail("the value of %s has a zero byte", shownName(v.name, "this line"))
	}
	if err == nil && !d.newline() {
		problem := "there is text after the closing quote of " + shownName(v.name, "a value")
		if v.line < d.line {
			problem += fmt.Sprintf(", whose value begins on line %d; is a quote missing there?", v.line)
		}
		err = &dotenvError{d.line, problem}
	}
	v.refs = d.refs
	return v, true, err
}

// skipExport takes the word export in front of a name.
func (d *dotenvParser) skipExport() {
	after, found := strings.CutPrefix(d.rest, "export")
	trimmed := strings.TrimLeftFunc(after, isBlank)
	if found && trimmed != after && !strings.HasPrefix(trimmed, "=") { // else it is a variable of that name
		d.take(len(d.rest) - len(trimmed))
	}
}

// newline takes the end of a line, or of the file.
func (d *dotenvParser) newline() bool {
	if d.rest == "" {
		return true
	}
	if d.lineEnd() > 0 {
		return false
	}
	d.take(strings.IndexByte(d.rest, '\n') + 1)
	return true
}

// nameLength is how many bytes of s are a name: a letter or _, then letters,
// digits, _, . and -.
func nameLength(s string) int {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
		if !letter && (i == 0 || !('0' <= c && c <= '9' || c == '.' || c == '-')) {
			return i
		}
	}
	return len(s)
}

// bare reads a value without quotes: up to the end of the line, or to a # with a
// blank before it; blank is whether one stands before the value.
func (d *dotenvParser) bare(blank bool) ([]byte, error) {
	line := d.take(d.lineEnd())
	if d.plain {
		if line = strings.TrimRight(line, " \t"); !plainValue([]byte(line)) {
			return nil, d.fail("the value needs double quotes")
		}
		return []byte(line), nil
	}
	for i := range len(line) {
		if line[i] != '#' {
			continue
		}
		before, _ := utf8.DecodeLastRuneInString(line[:i])
		if d.hash || i == 0 && blank || i > 0 && isBlank(before) {
			line = line[:i]
			break
		}
	}
	line = strings.TrimFunc(line, isBlank)
	for i := range len(line) {
		if d.isRef(line[i:]) {
			d.refs = append(d.refs, i)
		}
	}
	return []byte(line), nil
}

// isRef reports whether a reference to another variable begins here.
func (d *dotenvParser) isRef(s string) bool {
	return strings.HasPrefix(s, "${") && (nameLength(s[2:]) > 0 || d.nothing && strings.HasPrefix(s[2:], ":-"))
}

// quoted reads a value in quotes, and a comment behind it.
func (d *dotenvParser) quoted() (value []byte, err error) {
	for {
		quote, start := d.rest[0], d.line
		d.take(1)
		part, closed := d.until(quote, len(value))
		if !closed {
			return nil, &dotenvError{start, "a quote is not closed"}
		}
		value = append(value, part...)
		shell := d.shell && quote == '\''
		switch {
		case shell && strings.HasPrefix(d.rest, `\''`):
			d.take(len(`\'`))
			value = append(value, '\'')
			continue
		case shell && strings.HasPrefix(d.rest, bashReturn+"'"):
			d.take(len(bashReturn))
			value = append(value, '\r')
			continue
		}
		break
	}
	d.comment()
	return value, nil
}

// comment takes blanks and a comment behind a closing quote.
func (d *dotenvParser) comment() {
	d.skipBlanks()
	if strings.HasPrefix(d.rest, "#") && !d.plain {
		d.take(d.lineEnd())
	}
}

// until reads up to a closing quote, of a value of which so many bytes were read.
// Between double quotes there are escapes, and an unknown one is itself.
func (d *dotenvParser) until(quote byte, before int) (part []byte, closed bool) {
	refs := len(d.refs)
	for i := 0; i < len(d.rest); i++ {
		c := d.rest[i]
		next := byte(0)
		if i+1 < len(d.rest) {
			next = d.rest[i+1]
		}
		meaning, escaped := byte(0), false
		if c == '\\' && quote == '"' {
			meaning, escaped = d.escape(next)
		}
		switch {
		case c == quote:
			d.take(i + 1)
			return part, true
		case escaped:
			i++
			part = append(part, meaning)
		case c == '\\' && quote == '"' && next == '\n' && d.plain: // the line goes on
			i++
		case c == '\\' && quote != '"' && strings.IndexByte(d.single, next) >= 0:
			i++
			part = append(part, next)
		case c == '\\' && next == quote && (quote == '"' || d.keeps):
			i++
			part = append(part, c, next)
		default:
			if quote != '\'' && d.isRef(d.rest[i:]) {
				d.refs = append(d.refs, before+len(part))
			}
			part = append(part, c)
		}
	}
	d.refs = d.refs[:refs]
	return nil, false
}

// hint shows that a value is there and how long it is: never more than a masked
// hint of it.
func hint(value []byte) string {
	n := len(value)
	unit := "byte"
	if utf8.Valid(value) {
		n, unit = utf8.RuneCount(value), "character"
	}
	return "•••• (" + plural(n, unit) + ")"
}
