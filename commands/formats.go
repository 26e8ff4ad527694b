package commands

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"ass/vault"
)

// The formats of env export. Each says what it cannot carry: an export is right
// in every byte, or it is an error that names the key. docs/env.md says which
// reader each format is for.

// envFormat writes assignments for one kind of reader.
type envFormat struct {
	name  string
	whole func([]variable) (string, error) // for formats that are not lines
	line  func(variable) (string, error)
}

var envFormats = []envFormat{
	{name: "dotenv", line: dotenvLine},
	{name: "shell", line: shellLine},
	{name: "docker", line: dockerLine},
	{name: "json", whole: jsonObject},
	{name: "github", line: githubLines},
	{name: "systemd", line: systemdLine},
}

func formatNames() []string {
	names := make([]string, len(envFormats))
	for i, f := range envFormats {
		names[i] = f.name
	}
	return names
}

// writeEnv renders assignments.
func writeEnv(format string, list []variable) (string, error) {
	at := slices.IndexFunc(envFormats, func(f envFormat) bool { return f.name == format })
	if at < 0 {
		return "", usagef("--format must be one of %s", strings.Join(formatNames(), ", "))
	}
	f := envFormats[at]
	var b strings.Builder
	for _, v := range list {
		if f.whole != nil {
			if !utf8.Valid(v.value) {
				return "", cannotCarry(f.name, v, errNotText)
			}
			continue
		}
		line, err := f.line(v)
		if bytes.IndexByte(v.value, 0) >= 0 {
			err = errors.New("it holds a zero byte")
		}
		if err != nil {
			return "", cannotCarry(f.name, v, err)
		}
		b.WriteString(line + "\n")
	}
	if f.whole != nil {
		return f.whole(list)
	}
	return b.String(), nil
}

var (
	errNotText = errors.New("it is not text (UTF-8)")
	errCR      = errors.New("it holds a carriage return, which the readers of this format take for the end of a line")
)

func cannotCarry(format string, v variable, why error) error {
	return usagef("the format %s cannot carry the value of %s: %v; another --format may, or leave it out with --keys", format, v.name, why)
}

// plainValue reports whether a value needs no quotes for any reader.
func plainValue(value []byte) bool {
	for _, c := range value {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("_./:@%+,-", c) >= 0) {
			return false
		}
	}
	return true
}

// dotenvLine writes what bash, node's dotenv, Python's python-dotenv and env import
// read alike. They agree on single quotes without backslashes in odd places, and on
// double quotes around what has nothing to escape; on nothing else.
func dotenvLine(v variable) (string, error) {
	s := string(v.value)
	switch {
	case plainValue(v.value):
		return v.name + "=" + s, nil
	case !utf8.ValidString(s):
		return "", errNotText
	case strings.Contains(s, "\r"):
		return "", errCR
	case strings.Contains(s, "${"):
		return "", errors.New("it holds ${, which python-dotenv expands even in quotes")
	case strings.ContainsAny(s, "\v\f\x1c\x1d\x1e\u0085\u2028\u2029"):
		return "", errors.New("it holds a line separator on which readers differ")
	case !strings.Contains(s, "'") && !strings.Contains(s, `\\`) && !strings.HasSuffix(s, `\`):
		return v.name + "='" + s + "'", nil
	case !strings.ContainsAny(s, "\"\\$`"):
		return v.name + `="` + s + `"`, nil
	}
	return "", errors.New("readers of .env files differ on how its quotes and backslashes are written")
}

// shellLine writes what a POSIX shell reads, as does env import.
func shellLine(v variable) (string, error) {
	return "export " + v.name + "='" + strings.ReplaceAll(string(v.value), "'", `'\''`) + "'", nil
}

// dockerLine writes what docker --env-file reads: everything up to the end of the
// line, quotes included.
func dockerLine(v variable) (string, error) {
	const longest = 64<<10 - 1 // a line of Go's bufio.Scanner, with which docker reads
	switch s := string(v.value); {
	case !utf8.ValidString(s):
		return "", errNotText
	case strings.Contains(s, "\n"):
		return "", errors.New("it has several lines")
	case strings.HasSuffix(s, "\r"):
		return "", errCR
	case len(v.name)+1+len(s) >= longest:
		return "", errors.New("it is longer than a line that docker reads")
	}
	return v.name + "=" + string(v.value), nil
}

func jsonObject(list []variable) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	object := make(map[string]string, len(list))
	for _, v := range list {
		object[v.name] = string(v.value)
	}
	err := e.Encode(object) // in the order of the names
	return b.String(), err
}

// githubLines writes what the file $GITHUB_ENV takes. The delimiter is random, so
// that no value can end itself.
func githubLines(v variable) (string, error) {
	switch s := string(v.value); {
	case !utf8.ValidString(s):
		return "", errNotText
	case strings.Contains(s, "\r"):
		return "", errCR
	}
	end, err := vault.Generate(26, "alnum")
	return fmt.Sprintf("%s<<ass_%s\n%s\nass_%s", v.name, end, v.value, end), err
}

// systemdLine writes what EnvironmentFile= takes (systemd.exec(5)).
func systemdLine(v variable) (string, error) {
	s := string(v.value)
	if !utf8.ValidString(s) {
		return "", errNotText
	}
	refused := func(r rune) bool { // systemd's unichar_is_valid and string_has_cc
		return unicode.IsControl(r) && r != '\t' && r != '\n' || r >= 0xfdd0 && r <= 0xfdef || r&0xfffe == 0xfffe
	}
	if strings.ContainsFunc(s, refused) {
		return "", errors.New("it holds a control character, or one that is none, which systemd refuses")
	}
	return v.name + `="` + strings.NewReplacer(`"`, `\"`, `\`, `\\`, "`", "\\`", `$`, `\$`).Replace(s) + `"`, nil
}
