package commands

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// values are the variables that a program reads from a file.
type values map[string]string

// envReaders are readers of each format, written after their documented grammars. The real readers
// are in readers_test.go. env import also reads each format.
var envReaders = map[string][]func(string) (values, error){
	"dotenv":  {specDotenv, specPython},
	"python":  {specPython},
	"bash":    {specDotenv},
	"docker":  {specDocker},
	"json":    {specJSON},
	"github":  {specGithub},
	"systemd": {specSystemd},
}

// writeEnv returns the text of a file in a format.
func writeEnv(format string, list []variable) (string, error) {
	f, err := formatNamed(format)
	if err != nil {
		return "", err
	}
	return f.write(list)
}

// importEnv reads a file as env import --format does.
func importEnv(format, text string) (values, error) {
	f, err := formatNamed(format)
	if err != nil {
		return nil, err
	}
	list, err := readFile(f, text, false)
	got := values{}
	for _, v := range list {
		got[v.name] = string(v.value)
	}
	return got, err
}

// readFile reads a file as env import does. If fill is set, it fills in references.
func readFile(f envFormat, text string, fill bool) ([]variable, error) {
	list, wrong, err := f.parse([]byte(text))
	if err != nil {
		return nil, err
	}
	if unset := expand(list, fill); len(wrong) == 0 {
		wrong = unset
	}
	list, twice := settleDuplicates(list, false)
	if wrong = append(wrong, twice...).inOrder(); len(wrong) > 0 {
		return nil, wrong
	}
	return list, nil
}

// nasty are values on which readers of such files are known to differ.
var nasty = []string{
	"", "x", "plain-value_1.2/3:4@5%6+7,8", " ", "\t", "\n", " x ", "x\n", "\nx", "a\n\nb", "a\r\nb", "\r", "x\r", "a\rb",
	"\x00", "a\x00b",
	"'", "''", `"`, `""`, "`", `'"`, "'\"`", "it's", `say "so"`, `\`, `\\`, `a\`, `a\\`, `a\\b`, `a\b`, `\n`, `\\n`,
	`a\nb`, `\'`, `\"`, `"\`, `'\`, `\x41`,
	`'\''`, `a\` + "\n" + `b`, "$", "$X", "${X}", "${X:-d}", "$$", "$(id)", "`id`", `\$`, "$'x'", "#", "a#b", "a #b",
	"a # b", "#fff", "=", "a=b", "==", "!", "!!", "a!b",
	"~", "*", "?", "[a]", "{a,b}", "&", ";", "|", "<", ">", "(", ")", "a;b", "a&b", "%s", "export X=1", "X=1\nY=2",
	"'\nA='stolen'\nB='", "\"\nA=\"stolen\"\nB=\"",
	"ü", "日本", "🔑", "\u0085", "\u2028", "\u2029", "a\u2028b", "\u00a0x\u00a0", "\ufeffx", "\ufffd", "\ufffe", "\U0001ffff",
	"\ufdd0", "\u200b", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x1f", "\x01", "\x7f", "\x80", "\xff", "\xed\xa0\x80",
	"-----BEGIN KEY-----\nabc+/=\n-----END KEY-----\n", `{"a":"b\nc"}`, "<<EOF\nx\nEOF", "ass://a/K", "{{ x }}", "null",
	"true", "0", "-", "--", ":", "k: v", ".", "..",
}

// roundTrip writes a value among others, and reads all of them back.
func roundTrip(t *testing.T, format string, value []byte) {
	t.Helper()
	list := []variable{{name: "A", value: []byte("first")}, {name: "MIDDLE_1", value: value},
		{name: "Z", value: []byte("last one")}}
	text, err := writeEnv(format, list)
	if err != nil {
		long := len(value) > 8 && strings.Contains(err.Error(), string(value))
		if !errors.Is(err, errUsage) || !strings.Contains(err.Error(), "the value of MIDDLE_1") || text != "" || long {
			t.Errorf("%s refuses %q so: %v, and writes %q", format, value, err, text)
		}
		return
	}
	want := values{"A": "first", "MIDDLE_1": string(value), "Z": "last one"}
	readers := append([]func(string) (values, error){func(text string) (values, error) { return importEnv(format, text) }},
		envReaders[format]...)
	for _, read := range readers {
		if got, err := read(text); err != nil || !maps.Equal(got, want) {
			t.Errorf("%s: %q became %q, and then %q: %v", format, value, text, got, err)
		}
	}
}

func FuzzFormats(f *testing.F) {
	for _, s := range nasty {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		for _, format := range formatNames() {
			roundTrip(t, format, value)
		}
	})
}

// Each format refuses only the values that it cannot carry. A format that refuses too much is
// useless.
func TestFormatsRefuse(t *testing.T) {
	const carried = "dotenv node python compose bash docker json github systemd"
	const lines = "node python compose bash json github systemd"
	for value, want := range map[string]string{
		"":                                carried,
		"postgres://u:p@h:5432/d?a=b&c=d": carried,
		"pa$$word!#1":                     carried,
		`{"a": "b"}`:                      carried,
		"it's":                            carried,
		"ü 日本":                            carried,
		" blanks ":                        carried,
		`C:\dir\file`:                     carried,
		"a\nb\n":                          "dotenv " + lines,
		`it's "so"`:                       "node python compose bash docker json github systemd",
		`end\`:                            "node python compose bash docker json github systemd",
		" end\\":                          "python compose bash docker json github systemd",
		"${X}":                            "node python compose bash docker json github systemd",
		"a\rb":                            "node python compose bash docker json",
		"a\r\nb":                          "node python compose bash json",
		"a\x1bb":                          "dotenv node python compose bash docker json github",
		"a\ufffeb":                        "dotenv node python compose bash docker json github",
		"\x00":                            "json",
		"\xff":                            "compose bash",
	} {
		var got []string
		for _, f := range envFormats {
			if _, err := writeEnv(f.name, []variable{{name: "K", value: []byte(value)}}); err == nil {
				got = append(got, f.name)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q is carried by %s, want %s", value, got, want)
		}
	}
	if _, err := writeEnv("yaml", nil); !errors.Is(err, errUsage) {
		t.Errorf("the format yaml: %v", err)
	}
}

// The docker format carries the longest line that docker reads, and refuses longer ones.
func TestLongLines(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	for n := 65520; n < 65550; n++ {
		roundTrip(t, "docker", []byte(strings.Repeat("x", n)))
	}
	for _, format := range formatNames() {
		roundTrip(t, format, []byte(strings.Repeat("'x\" ", 20000)))
		roundTrip(t, format, []byte(strings.Repeat("x ", 1<<19)))
	}
}

// Every value in the github format has a different delimiter.
func TestGithubDelimiter(t *testing.T) {
	list := []variable{{name: "A", value: []byte("x")}, {name: "B", value: []byte("x")}}
	text, _ := writeEnv("github", list)
	ends := regexp.MustCompile(`<<(ass_\w{20,})\n`).FindAllStringSubmatch(text, -1)
	if len(ends) != 2 || ends[0][1] == ends[1][1] {
		t.Errorf("%q", text)
	}
}

func specDotenv(text string) (values, error) { return importEnv("dotenv", text) }

func specJSON(text string) (got values, err error) {
	return got, json.Unmarshal([]byte(text), &got)
}

// specDocker reads as docker does (docker/cli, opts/envfile and pkg/kvfile).
func specDocker(text string) (values, error) {
	got := values{}
	lines := bufio.NewScanner(strings.NewReader(text))
	for first := true; lines.Scan(); first = false {
		line := lines.Text()
		if !utf8.ValidString(line) {
			return nil, errors.New("not UTF-8")
		}
		if first {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		line = strings.TrimLeftFunc(line, unicode.IsSpace)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, found := strings.Cut(line, "=")
		if name == "" || !found || strings.ContainsFunc(name, unicode.IsSpace) {
			return nil, fmt.Errorf("%q", line)
		}
		got[name] = value
	}
	return got, lines.Err()
}

// specGithub reads NAME<<DELIMITER as the runner does. It refuses a carriage return, which a
// runner on Windows takes for the end of a line.
func specGithub(text string) (values, error) {
	got := values{}
	if strings.Contains(text, "\r") {
		return nil, errors.New("runners differ on a carriage return")
	}
	lines := strings.Split(text, "\n")
	for at := 0; at < len(lines); at++ {
		if lines[at] == "" {
			continue
		}
		name, end, found := strings.Cut(lines[at], "<<")
		if equals := strings.IndexByte(lines[at], '='); !found || name == "" || end == "" || equals >= 0 &&
			equals < len(name) {
			return nil, fmt.Errorf("%q", lines[at])
		}
		n := slices.Index(lines[at+1:], end)
		if n < 0 {
			return nil, fmt.Errorf("no %s", end)
		}
		got[name] = strings.Join(lines[at+1:at+1+n], "\n")
		at += 1 + n
	}
	return got, nil
}

// specSystemd reads a file as systemd.exec(5) describes for EnvironmentFile=. A value is a
// sequence of quoted parts; blanks between and after them do not count. Forms that this reader
// leaves out, such as values without quotes, are an error.
func specSystemd(text string) (values, error) {
	got := values{}
	for strings.TrimLeft(text, " \t\n\r") != "" {
		name, rest, found := strings.Cut(strings.TrimLeft(text, " \t\n\r"), "=")
		if !found || !isVariable(name) {
			return nil, fmt.Errorf("the name %q", name)
		}
		var value strings.Builder
		for text = strings.TrimLeft(rest, " \t"); text != "" && text[0] != '\n' &&
			text[0] != '\r'; text = strings.TrimLeft(text, " \t") {
			quote := text[0]
			if quote != '"' {
				return nil, fmt.Errorf("no quote at %q", text)
			}
			end := 1
			for ; ; end++ {
				if end == len(text) {
					return nil, errors.New("a quote is not closed")
				}
				c := text[end]
				if c == quote {
					break
				}
				if c != '\\' || end+1 == len(text) {
					value.WriteByte(c)
					continue
				}
				end++
				switch e := text[end]; e {
				case '"', '\\', '`', '$':
					value.WriteByte(e)
				case '\n': // the value goes on in the next line
				default:
					value.WriteString(`\` + string(e))
				}
			}
			text = text[end+1:]
		}
		// Older versions refuse control characters, and many noncharacters.
		refused := func(r rune) bool {
			return r >= 0xfdd0 && r <= 0xfdef || r&0xfffe == 0xfffe || unicode.IsControl(r) && r != '\t' && r != '\n'
		}
		if s := value.String(); !utf8.ValidString(s) || strings.ContainsFunc(s, refused) {
			return nil, fmt.Errorf("%s is dropped", name)
		}
		got[name] = value.String()
	}
	return got, nil
}

var (
	pythonSingle   = regexp.MustCompile(`\\[\\']`)
	pythonDouble   = regexp.MustCompile(`\\[\\'"abfnrtv]`)
	pythonVariable = regexp.MustCompile(`\$\{([^\}:]*)(?::-([^\}]*))?\}`)
	pythonComment  = regexp.MustCompile(`[\s\x{1c}-\x{1f}\x{85}\x{a0}\pZ]+#.*`)
)

// specPython reads a file as python-dotenv does, with the expressions of its parser. None of the
// variables that a value may name are set in the environment.
func specPython(text string) (values, error) {
	got := values{}
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text) // Python reads text files so
	space := func(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }
	blank := func(r rune) bool { return space(r) && r != '\n' }
	for text = strings.TrimLeftFunc(text, space); text != ""; text = strings.TrimLeftFunc(text, space) {
		if after, found := strings.CutPrefix(text, "export"); found && strings.TrimLeftFunc(after, blank) != after {
			text = strings.TrimLeftFunc(after, blank)
		}
		end := strings.IndexFunc(text, func(r rune) bool { return r == '=' || r == '#' || space(r) })
		if end <= 0 || text[0] == '\'' {
			return nil, fmt.Errorf("the name at %q", text)
		}
		name := text[:end]
		if text = strings.TrimLeftFunc(text[end:], blank); !strings.HasPrefix(text, "=") {
			return nil, fmt.Errorf("no = at %q", text)
		}
		text = strings.TrimLeftFunc(text[1:], blank)
		value, escapes := "", (*regexp.Regexp)(nil)
		switch {
		case strings.HasPrefix(text, "'"):
			escapes = pythonSingle
		case strings.HasPrefix(text, `"`):
			escapes = pythonDouble
		default:
			value, text, _ = strings.Cut(text, "\n")
			value = strings.TrimRightFunc(pythonComment.ReplaceAllString(value, ""), space)
			text = "\n" + text
		}
		if escapes != nil {
			// The expression first takes a backslash and a quote as one escaped quote. If no other
			// quote follows, it backtracks.
			whole := regexp.MustCompile(`^` + text[:1] + `((?:\\` + text[:1] + `|[^` + text[:1] + `])*)` +
				text[:1]).FindStringSubmatch(text)
			if whole == nil {
				return nil, fmt.Errorf("a quote is not closed at %q", text)
			}
			text = text[len(whole[0]):]
			value = escapes.ReplaceAllStringFunc(whole[1], func(e string) string {
				return map[byte]string{'a': "\a", 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v", '\\': `\`,
					'\'': "'", '"': `"`}[e[1]]
			})
		}
		text = strings.TrimLeftFunc(text, blank)
		if strings.HasPrefix(text, "#") {
			text = text[max(0, strings.IndexByte(text+"\n", '\n')):]
		}
		if text != "" && text[0] != '\n' {
			return nil, fmt.Errorf("something stands at %q", text)
		}
		got[name] = pythonVariable.ReplaceAllString(value, "$2")
	}
	return got, nil
}
