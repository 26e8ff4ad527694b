package commands

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"ass/commands/internal/stores"
)

// The readers of formats that are no dialects of .env files. Each reads as the program
// that its format is named after.

// readDocker reads as docker does (docker/cli, pkg/kvfile).
func readDocker(file []byte) (list []variable, err error) {
	var wrong unreadable
	for i, line := range strings.Split(strings.TrimPrefix(string(file), "\ufeff"), "\n") {
		line = strings.TrimLeftFunc(strings.TrimSuffix(line, "\r"), unicode.IsSpace)
		if line == "" || line[0] == '#' {
			continue
		}
		switch name, value, found := strings.Cut(line, "="); {
		case !found:
			wrong = append(wrong, &dotenvError{i + 1, "a line is NAME=value, a comment, or empty"})
		case !isName(name):
			wrong = append(wrong, &dotenvError{i + 1, "a name is not empty and has no blanks"})
		case strings.IndexByte(value, 0) >= 0:
			wrong = append(wrong, &dotenvError{i + 1, fmt.Sprintf("the value of %s has a zero byte",
				shownName(name, "this line"))})
		default:
			list = append(list, variable{name: name, value: []byte(value), line: i + 1})
		}
	}
	return list, wrong.orNil()
}

// readJSON reads one object whose values are strings. Package json would repair text
// that is not UTF-8; here it is an error.
func readJSON(file []byte) ([]variable, error) {
	file = bytes.TrimPrefix(file, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(file) {
		return nil, usagef("it is not text (UTF-8)")
	}
	d := json.NewDecoder(bytes.NewReader(file))
	lines, counted := 1, 0
	line := func() int {
		at := min(int(d.InputOffset()), len(file))
		lines += bytes.Count(file[counted:at], []byte("\n"))
		counted = at
		return lines
	}
	notOne := func(problem string) error { return unreadable{{line(), problem}} }
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, notOne(`it is not one JSON object, such as {"NAME":"value"}`)
	}
	var list []variable
	var wrong unreadable
	for d.More() {
		name, err := d.Token()
		at := line()
		var raw json.RawMessage
		if err == nil {
			err = d.Decode(&raw)
		}
		if err != nil {
			return nil, notOne("it is not JSON from here on")
		}
		var value string
		switch {
		case raw[0] != '"' || json.Unmarshal(raw, &value) != nil:
			wrong = append(wrong, &dotenvError{at, fmt.Sprintf("the value of %v is not a string", name)})
		case stores.HalfPair(raw):
			wrong = append(wrong, &dotenvError{at, fmt.Sprintf(`the value of %v has half of a character (a \u escape of a pair)`,
				name)})
		}
		list = append(list, variable{name: name.(string), value: []byte(value), line: at})
	}
	if _, err := d.Token(); err != nil {
		return nil, notOne("it is not JSON from here on")
	}
	if _, err := d.Token(); err == nil || err.Error() != "EOF" {
		return nil, notOne("there is text after the object")
	}
	return list, wrong.orNil()
}

// readGithub reads NAME<<DELIMITER and NAME=value, as the runner does.
func readGithub(file []byte) (list []variable, err error) {
	wrong := loneReturns(file)
	lines := strings.Split(strings.ReplaceAll(string(file), "\r\n", "\n"), "\n")
	next := map[string][]int{} // where a line of this text stands, the first first
	for i, line := range lines {
		next[line] = append(next[line], i)
	}
	for i := 0; i < len(lines); i++ {
		if lines[i] == "" {
			continue
		}
		at := i + 1
		name, value, equals := strings.Cut(lines[i], "=")
		before, end, here := strings.Cut(lines[i], "<<")
		if here && (!equals || len(before) < len(name)) {
			places := next[end]
			for len(places) > 0 && places[0] <= i {
				places = places[1:]
			}
			next[end] = places
			n := -1
			if len(places) > 0 {
				n = places[0] - (i + 1)
			}
			if n < 0 || end == "" {
				wrong = append(wrong, &dotenvError{at, "its delimiter is missing"})
				continue
			}
			name, value, equals = before, strings.Join(lines[i+1:i+1+n], "\n"), true
			i += 1 + n
		}
		switch {
		case !equals || !isName(name):
			wrong = append(wrong, &dotenvError{at, "a line is NAME=value, or NAME<<DELIMITER"})
		case strings.IndexByte(value, 0) >= 0:
			wrong = append(wrong, &dotenvError{at, fmt.Sprintf("the value of %s has a zero byte", shownName(name, "this line"))})
		default:
			list = append(list, variable{name: name, value: []byte(value), line: at})
		}
	}
	return list, wrong.orNil()
}
