package commands

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// The dialect of .env files is written down in docs/env.md. There is no expansion:
// a $ is a $. What is not understood is an error with its line, never a guess.
//
// It is our own because no well-kept parser reads a value as it stands:
// docs/env.md says which were tried.

// variable is one assignment of a .env file.
type variable struct {
	name  string
	value []byte
	line  int // where it begins, from 1
}

// dotenvError says what is wrong with a line. It does not repeat the line, which
// may hold a value.
type dotenvError struct {
	line    int
	problem string
}

func (e *dotenvError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.problem) }
func (e *dotenvError) Unwrap() error { return errUsage }

// parseDotenv reads a whole file. Names come in their order; one that stands twice
// is an error.
func parseDotenv(file []byte) ([]variable, error) {
	file = bytes.TrimPrefix(file, []byte("\xef\xbb\xbf"))
	d := &dotenvParser{rest: string(file), line: 1}
	var list []variable
	seen := map[string]int{}
	for d.rest != "" {
		v, ok, err := d.assignment()
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if before := seen[v.name]; before > 0 {
			return nil, &dotenvError{v.line, fmt.Sprintf("%s was set on line %d already", v.name, before)}
		}
		seen[v.name] = v.line
		list = append(list, v)
	}
	return list, nil
}

type dotenvParser struct {
	rest string
	line int // of rest
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

const blanks = " \t"

func (d *dotenvParser) skipBlanks() {
	d.take(len(d.rest) - len(strings.TrimLeft(d.rest, blanks)))
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
	if end := d.lineEnd(); end == 0 || d.rest[0] == '#' {
		d.take(end)
		d.newline()
		return v, false, nil
	}
	v.line = d.line
	if after, found := strings.CutPrefix(d.rest, "export"); found && after != "" && strings.ContainsRune(blanks, rune(after[0])) {
		if trimmed := strings.TrimLeft(after, blanks); !strings.HasPrefix(trimmed, "=") { // else it is a variable of that name
			d.take(len(d.rest) - len(trimmed))
		}
	}
	v.name = d.take(nameLength(d.rest))
	if v.name == "" {
		return v, false, d.fail("a line is NAME=value, a comment, or empty; a name begins with a letter or _")
	}
	d.skipBlanks()
	if !strings.HasPrefix(d.rest, "=") {
		return v, false, d.fail("there is no = behind the name; is it the rest of a value of several lines that has no quotes?")
	}
	d.take(1)
	before := len(d.rest)
	d.skipBlanks()
	if d.rest != "" && (d.rest[0] == '\'' || d.rest[0] == '"') {
		v.value, err = d.quoted()
	} else {
		v.value = d.bare(len(d.rest) < before)
	}
	if err == nil && bytes.IndexByte(v.value, 0) >= 0 {
		err = d.fail("the value of %s holds a zero byte", v.name)
	}
	if err == nil && !d.newline() {
		err = d.fail("there is something behind the closing quote of %s", v.name)
	}
	return v, true, err
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
func (d *dotenvParser) bare(blank bool) []byte {
	line := d.take(d.lineEnd())
	for i := range len(line) {
		if line[i] == '#' && (i == 0 && blank || i > 0 && strings.IndexByte(blanks, line[i-1]) >= 0) {
			line = line[:i]
			break
		}
	}
	return []byte(strings.Trim(line, blanks))
}

// quoted reads a value in quotes, and what may stand behind it. As in a shell,
// 'it'\”s' is one value.
func (d *dotenvParser) quoted() (value []byte, err error) {
	for {
		quote, start := d.rest[0], d.line
		d.take(1)
		part, closed := d.until(quote)
		if !closed {
			return nil, &dotenvError{start, "a quote is not closed"}
		}
		value = append(value, part...)
		if quote == '\'' && strings.HasPrefix(d.rest, `\''`) {
			d.take(2)
			value = append(value, '\'')
			continue
		}
		break
	}
	blank := len(d.rest) - len(strings.TrimLeft(d.rest, blanks))
	d.take(blank)
	if blank > 0 && strings.HasPrefix(d.rest, "#") {
		d.take(d.lineEnd())
	}
	return value, nil
}

// until reads up to a closing quote. Between single quotes everything is itself;
// between double quotes there are escapes, and an unknown one is itself.
func (d *dotenvParser) until(quote byte) (part []byte, closed bool) {
	for i := 0; i < len(d.rest); i++ {
		c := d.rest[i]
		switch {
		case c == quote:
			d.take(i + 1)
			return part, true
		case c == '\\' && quote == '"' && i+1 < len(d.rest):
			i++
			switch e := d.rest[i]; e {
			case 'n':
				part = append(part, '\n')
			case 'r':
				part = append(part, '\r')
			case 't':
				part = append(part, '\t')
			case '"', '\\', '$', '`':
				part = append(part, e)
			default:
				part = append(part, '\\', e)
			}
		default:
			part = append(part, c)
		}
	}
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
