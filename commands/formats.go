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

	"ass/tokens"
	"ass/vault"
)

// The formats of env export, each named after the program that reads it. An export is
// right in every byte, or it is an error that names the key. docs/env.md has a table
// of what each reader can take. env import reads every format back.

// envFormat writes assignments for one reader, and reads them.
type envFormat struct {
	name    string
	other   string                           // another name for it, "" for none
	takes   func(name string) bool           // whether the reader takes a variable of this name
	line    func(variable) (string, error)   // one assignment, or why the reader cannot take it
	join    func([]string) string            // makes a file of assignments; nil for lines
	read    func([]byte) ([]variable, error) // the inverse
	dialect *dialect                         // in place of read, for .env files
	fills   bool                             // readers of this format know ${NAME}
	zeros   bool                             // it carries zero bytes
	notText bool                             // it carries bytes that are not UTF-8

	// Of copyFormats:
	warn     string // what is in clear
	then     string // what to do about it
	back     string // the command that reads it, "" for none
	most     int    // bytes of all values together; 0 for any number
	manifest bool   // join is of secretManifest
	folder   bool   // it is a folder with a file for each variable
}

var envFormats = []envFormat{
	{name: "dotenv", takes: isVariable, line: dotenvLine, dialect: ourDialect, fills: true},
	{name: "node", takes: isVariable, line: nodeLine, dialect: nodeDialect, fills: true},
	{name: "python", takes: isVariable, line: pythonLine, dialect: pythonDialect, fills: true},
	{name: "compose", takes: isVariable, line: composeLine, dialect: composeDialect, fills: true, notText: true},
	{name: "bash", other: "shell", takes: isBashVariable, line: bashLine, dialect: ourDialect, fills: true, notText: true},
	{name: "docker", takes: isName, line: dockerLine, read: readDocker},
	{name: "json", takes: isName, line: jsonMember, join: jsonObject, read: readJSON, zeros: true},
	{name: "github", takes: isVariable, line: githubLines, read: readGithub},
	{name: "systemd", takes: isVariable, line: systemdLine, dialect: systemdDialect},
}

// formatNames are the names for --format.
func formatNames() []string {
	var names []string
	for _, f := range envFormats {
		if names = append(names, f.name); f.other != "" {
			names = append(names, f.other)
		}
	}
	return names
}

// formatNamed finds a format by its name.
func formatNamed(name string) (envFormat, error) {
	if err := notRead(name); err != nil {
		return envFormat{}, err
	}
	at := slices.IndexFunc(envFormats, func(f envFormat) bool { return f.name == name || f.other == name && name != "" })
	if at < 0 {
		return envFormat{}, usagef("--format must be one of %s", strings.Join(formatNames(), ", "))
	}
	return envFormats[at], nil
}

// write renders assignments. The error names all that the reader cannot take.
func (f envFormat) write(list []variable) (string, error) {
	parts := make([]string, len(list))
	var refused []variable
	var why []error
	total := 0
	for i, v := range list {
		if total += len(v.value); f.most > 0 && total > f.most {
			return "", usagef("the values are larger than %s together, the most that the format %s takes", size(int64(f.most)),
				f.name).
				hint("leave some out with --exclude, or choose with --keys")
		}
		part, err := f.assignment(v)
		if err != nil {
			refused, why = append(refused, v), append(why, err)
		}
		parts[i] = part
	}
	switch {
	case len(refused) > 0:
		return "", f.cannotCarry(refused, why)
	case f.join != nil:
		return f.join(parts), nil
	}
	return strings.Join(append(parts, ""), "\n"), nil
}

// parse reads a file: the assignments in their order, and the lines that it could not
// read. It returns an error when the whole file is of another kind.
func (f envFormat) parse(file []byte) (list []variable, wrong unreadable, err error) {
	if f.dialect != nil {
		list, wrong = f.dialect.parse(file)
		return list, wrong, nil
	}
	list, err = f.read(file)
	if errors.As(err, &wrong) {
		err = nil
	}
	return list, wrong, err
}

// assignment writes one variable, or returns why the reader cannot take its value.
func (f envFormat) assignment(v variable) (string, error) {
	switch {
	case !f.zeros && bytes.IndexByte(v.value, 0) >= 0:
		return "", errZero
	case !f.notText && !utf8.Valid(v.value):
		return "", errNotText
	}
	return f.line(v)
}

var (
	errNotText = errors.New("it is not text (UTF-8)")
	errCR      = errors.New("it has a carriage return, which readers of this format take for the end of a line")
	errZero    = errors.New("it has a zero byte, which no environment can carry")
)

// cannotCarry says why a reader cannot take some values, and which readers can.
func (f envFormat) cannotCarry(list []variable, why []error) error {
	var can, keys []string
	for _, other := range envFormats {
		refuses := func(v variable) bool {
			_, err := other.assignment(v)
			return err != nil || !other.takes(v.name)
		}
		if !slices.ContainsFunc(list, refuses) {
			can = append(can, other.name)
		}
	}
	for _, v := range list {
		if key := v.key(); !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	others := "no other format can either"
	if len(can) > 0 {
		others = "these formats can: " + strings.Join(can, ", ")
	}
	ways := others + "; or leave it out with: --exclude " + strings.Join(keys, ",")
	if len(list) == 1 {
		return usagef("the format %s cannot carry the value of %s: %v", f.name, list[0].name, why[0]).
			hint("%s", ways)
	}
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = fmt.Sprintf("%s (%v)", v.name, why[i])
	}
	return usagef("the format %s cannot carry the values of %s", f.name, some(texts)).
		hint("%s", ways)
}

// key is the key of the secret behind a variable.
func (v variable) key() string {
	if v.path == (tokens.Path{}) {
		return v.name
	}
	return v.path.Key()
}

// isName reports whether s can be the name of a variable for programs that take any
// name without blanks, such as docker.
func isName(s string) bool {
	return s != "" && !strings.ContainsAny(s, "=\x00") && strings.IndexFunc(s, unicode.IsSpace) < 0
}

// isBashVariable reports whether s can be set in bash, which keeps some names for itself:
// setting them is an error, or does nothing.
func isBashVariable(s string) bool {
	switch s {
	case "UID", "EUID", "PPID", "BASHPID", "GROUPS", "SECONDS", "LINENO", "EPOCHSECONDS", "EPOCHREALTIME", "FUNCNAME",
		"DIRSTACK", "PIPESTATUS", "RANDOM", "SRANDOM", "HISTCMD", "OPTIND", "_",
		"BASH_VERSINFO", "BASH_SUBSHELL", "BASH_COMMAND", "BASH_ARGC", "BASH_ARGV", "BASH_LINENO", "BASH_SOURCE":
		return false
	}
	return isVariable(s)
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

// dotenvLine writes what bash, node's dotenv, python-dotenv, docker compose and env
// import read alike. They agree on single quotes without backslashes in odd places, and
// on double quotes around what has nothing to escape; on nothing else.
func dotenvLine(v variable) (string, error) {
	s := string(v.value)
	switch {
	case plainValue(v.value):
		return v.name + "=" + s, nil
	case strings.Contains(s, "\r"):
		return "", errCR
	case strings.Contains(s, "${"):
		return "", errors.New("it has ${, which python-dotenv expands even in quotes")
	case strings.ContainsAny(s, "\v\f\x1c\x1d\x1e\u0085\u2028\u2029"):
		return "", errors.New("it has a line separator that readers treat differently")
	case !strings.Contains(s, "'") && !strings.Contains(s, `\\`) && !strings.HasSuffix(s, `\`):
		return v.name + "='" + s + "'", nil
	case !strings.ContainsAny(s, "\"\\$`"):
		return v.name + `="` + s + `"`, nil
	}
	return "", errors.New("readers of .env files differ on how its quotes and backslashes are written")
}

// nodeLine writes what node's dotenv reads. It knows no escapes but \n and \r in
// double quotes, and it finds a closing quote by what stands in the whole file.
func nodeLine(v variable) (string, error) {
	s := string(v.value)
	if plainValue(v.value) {
		return v.name + "=" + s, nil
	}
	if !strings.HasSuffix(s, `\`) { // which would keep the quote from closing
		for _, quote := range []string{"'", "`"} {
			if !strings.Contains(s, quote) && !strings.Contains(s, "\r") {
				return v.name + "=" + quote + s + quote, nil
			}
		}
		if !strings.Contains(s, `"`) && !strings.Contains(s, `\n`) && !strings.Contains(s, `\r`) {
			return v.name + `="` + strings.ReplaceAll(s, "\r", `\r`) + `"`, nil
		}
	}
	if s == strings.TrimFunc(s, isJSBlank) && !strings.ContainsAny(s, "#\r\n\u2028\u2029") && !strings.ContainsAny(s[:1],
		"'\"`") {
		return v.name + "=" + s, nil
	}
	return "", errors.New("node's dotenv has no escapes for its quotes, backslashes or carriage returns")
}

// isJSBlank reports whether JavaScript's trim removes a character.
func isJSBlank(r rune) bool { return unicode.IsSpace(r) || r == '\ufeff' }

// pythonLine writes what python-dotenv reads, with its interpolation on, as it is by
// default: a name that cannot be set, with the text that stands for it, is text.
func pythonLine(v variable) (string, error) {
	s := string(v.value)
	if plainValue(v.value) {
		return v.name + "=" + s, nil
	}
	s = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "${", "${:-$}{").Replace(s)
	if body, ends := strings.CutSuffix(s, `\\`); ends { // behind which no quote closes
		s = body + `${:-\\}`
	}
	return v.name + `="` + s + `"`, nil
}

// composeLine writes what docker compose reads from an env_file.
func composeLine(v variable) (string, error) {
	if plainValue(v.value) {
		return v.name + "=" + string(v.value), nil
	}
	escapes := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "\n", `\n`, "\r", `\r`)
	return v.name + `="` + escapes.Replace(string(v.value)) + `"`, nil
}

// bashLine writes what POSIX shells read. A carriage return that ends no line stands in
// quotes of its own: as itself it would be lost where line ends are converted, and env
// import refuses it. A shell that does not know $'\r', such as dash, reads another value
// then, and still finds every quote closed: nothing of a value is ever run.
func bashLine(v variable) (string, error) {
	s := strings.ReplaceAll(string(v.value), "'", `'\''`)
	var b strings.Builder
	for i := range len(s) {
		if s[i] == '\r' && !strings.HasPrefix(s[i+1:], "\n") {
			b.WriteString("'" + bashReturn + "'")
		} else {
			b.WriteByte(s[i])
		}
	}
	return "export " + v.name + "='" + b.String() + "'", nil
}

// bashReturn is a carriage return, for bash.
const bashReturn = `$'\r'`

// dockerLine writes what docker --env-file reads: everything up to the end of the
// line, quotes included.
func dockerLine(v variable) (string, error) {
	const longest = 64<<10 - 1 // a line of Go's bufio.Scanner, with which docker reads
	switch s := string(v.value); {
	case strings.Contains(s, "\n"):
		return "", errors.New("it has several lines")
	case strings.HasSuffix(s, "\r"):
		return "", errCR
	case len(v.name)+1+len(s) >= longest:
		return "", errors.New("it is longer than a line that docker reads")
	}
	return v.name + "=" + string(v.value), nil
}

// jsonMember writes one member of the object.
func jsonMember(v variable) (string, error) {
	name, err := jsonString(v.name)
	if err != nil {
		return "", err
	}
	value, err := jsonString(string(v.value))
	return "  " + name + ": " + value, err
}

// jsonString is s in JSON, with <, > and & as they are.
func jsonString(s string) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(s)
	return strings.TrimSuffix(b.String(), "\n"), err
}

func jsonObject(members []string) string { return "{\n" + strings.Join(members, ",\n") + "\n}\n" }

// githubLines writes what the file $GITHUB_ENV takes. The delimiter is random, so
// that no value can end itself.
func githubLines(v variable) (string, error) {
	if bytes.IndexByte(v.value, '\r') >= 0 {
		return "", errCR
	}
	end, err := vault.Generate(26, "alnum")
	return fmt.Sprintf("%s<<ass_%s\n%s\nass_%s", v.name, end, v.value, end), err
}

// systemdLine writes what EnvironmentFile= takes (systemd.exec(5)).
func systemdLine(v variable) (string, error) {
	s := string(v.value)
	refused := func(r rune) bool { // systemd's unichar_is_valid and string_has_cc
		return unicode.IsControl(r) && r != '\t' && r != '\n' || r >= 0xfdd0 && r <= 0xfdef || r&0xfffe == 0xfffe
	}
	if strings.ContainsFunc(s, refused) {
		return "", errors.New("it has a control character or an invalid one, which systemd refuses")
	}
	return v.name + `="` + strings.NewReplacer(`"`, `\"`, `\`, `\\`, "`", "\\`", `$`, `\$`).Replace(s) + `"`, nil
}
