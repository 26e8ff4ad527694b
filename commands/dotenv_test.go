package commands

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// pairs writes variables as text for comparison, in their order.
func pairs(list []variable) string {
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = fmt.Sprintf("%s=%q", v.name, v.value)
	}
	return strings.Join(texts, " ")
}

// readOurs reads a .env file as env import does without flags.
func readOurs(file string) ([]variable, error) { return readFile(envFormats[0], file, false) }

// env import reads the dialect that docs/env.md describes.
func TestDotenvDialect(t *testing.T) {
	for _, c := range []struct{ file, want string }{
		{"", ``},
		{"\n\n  \n\t", ``},
		{"# a comment\n  # another, 'quote\nA=b\n#", `A="b"`},
		{"A=b", `A="b"`},
		{"A=b\nC=d\n", `A="b" C="d"`},
		{"A = b\n\tC\t=\td \t\n", `A="b" C="d"`},
		{"export A=b\nexport\tC=d\n  export   E = f", `A="b" C="d" E="f"`},
		{"export=a\n", `export="a"`},
		{"export =a\n", `export="a"`},
		{"export export=a\n", `export="a"`},
		{"exported=a\nexport.b=c", `exported="a" export.b="c"`},
		{"a.b-c_D9=x\n_=y", `a.b-c_D9="x" _="y"`},
		{"A=\nB=''\nC=\"\"\n", `A="" B="" C=""`},
		{"A=b=c==\n", `A="b=c=="`},
		{"A=b c  d\n", `A="b c  d"`},
		{`A=b\nc\` + "\nB=x", `A="b\\nc\\" B="x"`},
		{`A=it's "so"`, `A="it's \"so\""`},

		// comments after a value
		{"A=b # c\nB=d\t# e", `A="b" B="d"`},
		{"A=b#c\nB=http://x/#y", `A="b#c" B="http://x/#y"`},
		{"A= # c", `A=""`},
		{"A=#fff", `A="#fff"`},
		{"A='b' # c\nB=\"d\"\t# e\nC='f'  \n", `A="b" B="d" C="f"`},
		{"A='b # c'", `A="b # c"`},

		// quotes
		{`A='b\n"c" $D \'`, `A="b\\n\"c\" $D \\"`},
		{"A='b\n# c\n\nD=e'\nF=g", `A="b\n# c\n\nD=e" F="g"`},
		{`A="b\nc\td\r\"\\\$\` + "`" + `"`, "A=\"b\\nc\\td\\r\\\"\\\\$`\""},
		{`A="\q \x41 \' \u0041"`, `A="\\q \\x41 \\' \\u0041"`},
		{"A=\"b\nc\"\nD=e", `A="b\nc" D="e"`},
		{"A=\"b\\\nc\"", `A="b\\\nc"`},
		{`A='it'\''s'`, `A="it's"`},
		{"A=''\\'''\\''b\nc'\nD=e", `A="''b\nc" D="e"`},
		{`A="it's"`, `A="it's"`},
		{"A= 'b c' \n", `A="b c"`},

		// backticks, as in node's dotenv
		{"A=`b 'c' \"d\" $e \\n # f`", "A=\"b 'c' \\\"d\\\" $e \\\\n # f\""},
		{"A=`b\nc` # d\nB=``", `A="b\nc" B=""`},
		{"A=b`c`", "A=\"b`c`\""},

		// a comment may follow a closing quote without a blank
		{"A=\"x\"#c\nB='y'#c\nC=`z`#c", `A="x" B="y" C="z"`},

		// blanks of every script at the ends of a bare value, of a line and around =
		{"A=b\u00a0\u2003\u3000\n\u00a0B\u2009=\u00a0c d\u202f\r\n", `A="b" B="c d"`},
		{"A=b\u00a0# c\nB='d'\u00a0# e", `A="b" B="d"`},
		{"A='b\u00a0'\nB=\"\u3000\"", `A="b\u00a0" B="\u3000"`},
		{"A=b\u200b", `A="b\u200b"`}, // a zero width space is no blank

		// bash's $'\r' between quotes, as env export writes it; elsewhere a $ is a $
		{"A='b'$'\\r''c'$'\\r'''\n", `A="b\rc\r"`},
		{"A=$'b\\r'", `A="$'b\\r'"`},

		// nothing is expanded
		{"A=$B ${C} $(d) `e`", "A=\"$B ${C} $(d) `e`\""},
		{`A="$B ${C}"`, `A="$B ${C}"`},

		// line ends, and the byte order mark
		{"A=b\r\nC=d # e\r\n\r\n# f\r\nG='h'\r\n", `A="b" C="d" G="h"`},
		{"A='b\r\nc'\r\n", `A="b\r\nc"`},
		{"A=\"b\\rc\"", `A="b\rc"`},
		{"\xef\xbb\xbfA=b\n", `A="b"`},
		{"\xef\xbb\xbf# c\nA=\xef\xbb\xbfb\n", "A=\"\\ufeffb\""},
		{"A=\xff\xfe", `A="\xff\xfe"`},
	} {
		list, err := readOurs(c.file)
		if err != nil || pairs(list) != c.want {
			t.Errorf("%q: got %s (%v), want %s", c.file, pairs(list), err, c.want)
		}
	}
}

// A line that is not understood is an error. The error names the line and repeats no value.
func TestDotenvErrors(t *testing.T) {
	for _, c := range []struct{ file, want string }{
		{"A=b\nhunter2\n", "line 2: there is no ="},
		{"A=b\nhunter2 c\n", "line 2: there is no ="},
		{"A=hunter2\nexport\n", "line 2: there is no ="},
		{"export A\n", "line 1: there is no ="},
		{"A=b\r\n\r\n9=hunter2\r\n", "line 3: a line is NAME=value"},
		{"\n\n=hunter2\n", "line 3: a line is NAME=value"},
		{"'A'=hunter2\n", "line 1: a line is NAME=value"},
		{"ü=hunter2\n", "line 1: a line is NAME=value"},
		{"\n\xef\xbb\xbfA=hunter2\n", "line 2: a line is NAME=value"},
		{"A=hunter2\nA=hunter2-2\n", "line 2: A was already set on line 1; to take the last one: --on-duplicate last"},
		{"A='x\ny'\n\nA=hunter2\n", "line 4: A was already set on line 1"},
		{"A=b\nB='hunter2\n\nC=d\n", "line 2: a quote is not closed"},
		{"A=b\n\nB=\"hunter2\\\"\nC=d\n", "line 3: a quote is not closed"},
		{"A=`hunter2\n", "line 1: a quote is not closed"},
		{"A='x\n'\\''hunter2\n", "line 2: a quote is not closed"},
		{"A=\"hunter2\\", "line 1: a quote is not closed"},
		{"A='hunter2'$'\\n''x'\n", "line 1: there is text after the closing quote of A"},
		{"A='b'hunter2\n", "line 1: there is text after the closing quote of A"},
		{"A='b' hunter2\n", "line 1: there is text after the closing quote of A"},
		{"A='b'\"hunter2\"\n", "line 1: there is text after the closing quote of A"},
		{"A='b\n\nc'hunter2\n", "line 3: there is text after the closing quote of A, whose value begins on line 1; is a " +
			"quote missing there?"},
		{"A: hunter2\n", "line 1: the name is followed by : instead of ="},
		{"A: x\nB: x\nhunter2\nC: x\nA=1\nA=2\n", "5 lines cannot be read: line 1, line 2, line 4: the name is followed by " +
			": instead of =; line 3: there is no = "},
		{"A=b\nB=hunter2\x00\n", "line 2: the value of B has a zero byte"},
		{"A='hunter2\x00'\n", "line 1: the value of A has a zero byte"},

		// a carriage return that ends no line is refused everywhere
		{"A=hunter2\rB=x\n", "line 1: it has a carriage return inside a line"},
		{"A=b\nB='hunter2\rx'\n", "line 2: it has a carriage return"},
		{"A=\"x\nhunter2\ry\"\n", "line 2: it has a carriage return"},
		{"A=hunter2\r\r\n", "line 1: it has a carriage return"},
		{"A=hunter2\r", "line 1: it has a carriage return"},
		{"# c\rA=hunter2\n", "line 1: it has a carriage return"},

		// the error counts all wrong lines, and numbers the first twenty
		{"hunter2\nA=b\n=\nB='x\nC=d\n", "3 lines cannot be read: line 1: there is no = after the name; is it the rest of " +
			"a " +
			"multi-line value that has no quotes?; line 3: a line is NAME=value, a comment, or empty; a name begins with a " +
			"letter or _; line 4: a quote is not closed"},
		{"KEY=-----BEGIN-----\nMIIhunter2EvQIBADAN/x\n-----END-----\n",
			"2 lines cannot be read: line 2: there is no = after"},
		{"A=b\nA=hunter2\nB=c\nB=d\n", "2 lines cannot be read: line 2: A was already set on line 1; to take the last one: " +
			"--on-duplicate last; line 4: B was"},
	} {
		list, err := readOurs(c.file)
		switch {
		case err == nil:
			t.Errorf("%q: it was read: %s", c.file, pairs(list))
		case !strings.HasPrefix(err.Error(), c.want) || !errors.Is(err, errUsage) || list != nil:
			t.Errorf("%q: got %v, want %s", c.file, err, c.want)
		case strings.Contains(err.Error(), "hunter2"):
			t.Errorf("%q: the error repeats it: %v", c.file, err)
		}
	}
}

// An error names twenty lines, and says how many more there are.
func TestDotenvManyErrors(t *testing.T) {
	_, err := readOurs(strings.Repeat("hunter2\n", 1000))
	if err == nil || !strings.HasPrefix(err.Error(), "1000 lines cannot be read: line 1, line 2, line 3, ") ||
		!strings.Contains(err.Error(), ", line 19, line 20: there is no =") || !strings.HasSuffix(err.Error(),
		"; and 980 more") {
		t.Errorf("%v", err)
	}
}

// The error about a file that is not UTF-8 names its encoding, with and without a byte order mark.
func TestDotenvEncodings(t *testing.T) {
	utf16 := func(s string, big bool) (b []byte) {
		for _, c := range []byte(s) {
			if big {
				b = append(b, 0, c)
			} else {
				b = append(b, c, 0)
			}
		}
		return b
	}
	for file, want := range map[string]string{
		"\xff\xfe" + string(utf16("A=b\n", false)): "UTF-16, ", "\xfe\xff" + string(utf16("A=b\n", true)): "UTF-16, ",
		string(utf16("A=b\n", false)): "iconv -f UTF-16LE", string(utf16("A=b\n", true)): "iconv -f UTF-16BE",
		"\xff\xfe\x00\x00A\x00\x00\x00": "UTF-32, ", "\x00\x00\xfe\xff\x00\x00\x00A": "UTF-32, ",
	} {
		if err := checkEncoding([]byte(file)); err == nil || !strings.Contains(err.Error(), want) ||
			!errors.Is(err, errUsage) {
			t.Errorf("%q: %v, want %s", file, err, want)
		}
	}
	for _, file := range []string{"", "A", "A=b", "\xef\xbb\xbfA=b", "A=\xff\xfe", "\x00\x00"} {
		if err := checkEncoding([]byte(file)); err != nil {
			t.Errorf("%q: %v", file, err)
		}
	}
}

// References are filled in from earlier lines of the same file. If one cannot be filled in, the
// error says where it is, but does not show its text.
func TestExpand(t *testing.T) {
	for _, c := range []struct{ file, want, unfilled string }{
		{"A=b\nC=${A}/x${A}\n", `A="b" C="b/xb"`, "C"},
		{"A=b\nC=\"${A}\\n\\${A}\"\nD='${A}'\nE=`${A}`\n", `A="b" C="b\n${A}" D="${A}" E="b"`, "C E"},
		{"A='${X}'\nC=${A}\n", `A="${X}" C="${X}"`, "C"}, // a value that was filled in is not expanded again
		{"A=\nB=${A:-x y}${A-z}${A}\nC=${N-z}${N:-}\n", `A="" B="x y" C="z"`, "B C"},
		{"A=1\nB=${A:?must}${A?must}\n", `A="1" B="11"`, "B"},
		{"A=$B $(c) ${} ${1} $\n", `A="$B $(c) ${} ${1} $"`, ""},
		{"A-B.c=1\nB=${A}\n", "line 2: B refers to A, which no earlier line sets", "B"},
		{"A=1\nB='x'\\''${A}'\n", `A="1" B="x'${A}"`, ""},
		{"A=${hunter2}\nhunter2=x\n", "line 1: A refers to a name, which no earlier line sets", "A"},
		{"A=${A}\n", "line 1: A refers to A, which no earlier line sets", "A"},
		{"A=\nB=${A:?hunter2}\n", "line 2: B refers to A, which no earlier line sets", "B"},
		{"A=1\n\nB=${A\n", "line 3: B has a reference of another form than ${NAME}", "B"},
		{"A=1\nB=${A/hunter2/x}\nC=${D}\n", "2 lines cannot be read: line 2: B has a reference of another form", "B C"},
	} {
		list, wrong := ourDialect.parse([]byte(c.file))
		if len(wrong) > 0 {
			t.Fatalf("%q: %v", c.file, wrong)
		}
		names, shown := unfilled(list)
		if got := strings.Join(names, " "); got != c.unfilled || strings.Contains(fmt.Sprint(shown), "hunter2") {
			t.Errorf("%q: unfilled are %q, want %q", c.file, got, c.unfilled)
		}
		before := pairs(list)
		if wrong := expand(list, false); wrong != nil || pairs(list) != before {
			t.Errorf("%q: not to be filled in, and became %s, %v", c.file, pairs(list), wrong)
		}
		wrong = expand(list, true)
		got := pairs(list)
		if wrong != nil {
			got = wrong.Error()
		}
		if !strings.HasPrefix(got, c.want) || strings.Contains(got, "hunter2") || wrong == nil && got != c.want {
			t.Errorf("%q became %s, want %s", c.file, got, c.want)
		}
	}
	list, _ := ourDialect.parse([]byte("URL=http://${HOST}:${PORT}/${HOST}\nPASSWORD=a${b}c\n"))
	if _, shown := unfilled(list); fmt.Sprint(shown) != "[URL (${HOST}, ${PORT}) PASSWORD]" {
		t.Errorf("the note names %q", shown)
	}
	var bomb strings.Builder
	bomb.WriteString("A0=xxxxxxxxxx\n")
	for i := range 60 {
		fmt.Fprintf(&bomb, "A%d=${A%d}${A%d}\n", i+1, i, i)
	}
	if _, err := readFile(envFormats[0], bomb.String(), true); err == nil || !strings.Contains(err.Error(),
		"larger than the 1048576 bytes") {
		t.Errorf("a file that doubles sixty times: %v", err)
	}
}

// If two lines have the same name, the last one counts if the user wants that. A reference between
// them means the first one.
func TestDuplicates(t *testing.T) {
	list, wrong := ourDialect.parse([]byte("A=1\nB=${A}\nA=2\nC=${A}\n"))
	wrong = append(wrong, expand(list, true)...)
	list, twice := settleDuplicates(list, true)
	if want := `A="2" B="1" C="2"`; len(wrong)+len(twice) > 0 || pairs(list) != want {
		t.Errorf("%s, %v, %v; want %s", pairs(list), wrong, twice, want)
	}
}

// Where the dialects differ, each is read as its own readers do. The rest is refused.
func TestOtherFormats(t *testing.T) {
	for _, c := range []struct{ format, file, want string }{
		{"node", `A="b\nc\td\"e"` + "\nB='it\\'s'\nC=x#y\n", `A="b\nc\\td\\\"e" B="it\\'s" C="x"`},
		{"python", `A="b\tc${:-$}{X}${:-\\}"` + "\nB='it\\'s \\\\'\n", `A="b\tc${X}\\" B="it's \\"`},
		{"compose", `A="b\$c\\"` + "\nB='it\\'s'\n", `A="b$c\\" B="it's"`},
		{"systemd", "; c\nA=\"b\\\nc \\\"\\`\\$\\\\ \\n\"\nB=x/y\n", "A=\"bc \\\"`$\\\\ \\\\n\" B=\"x/y\""},
		{"systemd", "A=b c\n", "line 1: the value needs double quotes"},
		{"systemd", "A=\"b\"#c\n", "line 1: there is text after the closing quote of A"},
		{"docker", "A='b' # c\n  B=\n# c\nx-Y.z= d\r\n", `A="'b' # c" B="" x-Y.z=" d"`},
		{"docker", "A\nB C=d\nE=f\x00\n", "3 lines cannot be read: line 1: a line is NAME=value, a comment, or empty; line " +
			"2: a name is not empty and has no blanks; line 3: the value of E has a zero byte"},
		{"github", "A=b=<<c\nB<<EOF\nx\nA=y\n\nEOF\nC<<E\nE\n", `A="b=<<c" B="x\nA=y\n" C=""`},
		{"github", "A<<EOF\nx\n", "2 lines cannot be read: line 1: its delimiter is missing"},
		{"github", "A=x\rB=y\n", "line 1: it has a carriage return"},
		{"json", `{"A":"b\u0000\nü","a-B":""}`, `A="b\x00\nü" a-B=""`},
		{"json", "\xef\xbb\xbf{\n}", ``},
		{"json", "{\n\"A\":\"b\",\n\"A\":\"c\"}", "line 3: A was already set on line 2"},
		{"json", "{\"A\":1,\n\"B\":{\"C\":\"x\"},\"D\":null}", "2 lines cannot be read: line 1: the value of A is not a " +
			"string; line 2: the value of B is not"},
		{"json", `["A"]`, "line 1: it is not one JSON object"},
		{"json", "{\"A\":\"b\"\n", "line 1: it is not JSON from here on"},
		{"json", `{"A":"b"} {}`, "line 1: there is text after the object"},
		{"json", `{"A":"\ud800x"}`, "line 1: the value of A has half of a character"},
		{"json", `{"A":"\ufffd` + "\ufffd" + `"}`, "A=\"\ufffd\ufffd\""},
		{"json", "{\"A\":\"\xff\"}", "it is not text"},
	} {
		f, err := formatNamed(c.format)
		if err != nil {
			t.Fatal(err)
		}
		list, err := readFile(f, c.file, false)
		got := pairs(list)
		if err != nil {
			got = err.Error()
		}
		if err == nil && got != c.want || err != nil && !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q is %s, want %s", c.format, c.file, got, c.want)
		}
	}
}

// A hint of a value never shows any of it.
func TestHint(t *testing.T) {
	for value, want := range map[string]string{"h": "•••• (1 character)", "hünter2": "•••• (7 characters)",
		"\xff\xff": "•••• (2 bytes)"} {
		if got := hint([]byte(value)); got != want {
			t.Errorf("%q: %s", value, got)
		}
	}
}

// No reader panics on any file.
func FuzzOtherFormats(f *testing.F) {
	for _, s := range []string{"A=b\n", `{"A":"b"}`, "A<<E\nb\nE\n", "A='b", `A="b\`, "A=${B}", "A=${:-b}",
		"; c\nA=\"b\""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, format := range envFormats {
			for _, fill := range []bool{false, true} {
				if _, err := readFile(format, string(file), fill); err != nil && !errors.Is(err, errUsage) {
					t.Errorf("%s: %v", format.name, err)
				}
			}
		}
	})
}

// No file causes a panic, and variables that can be written are read back the same.
func FuzzDotenv(f *testing.F) {
	for _, s := range []string{
		"A=b\n", "export A='b'\n", "A=\"b\\n\\\"\" # c", "A='it'\\''s'", "\xef\xbb\xbfA=b\r\n", "A='x\ny'\nB=\"", "export=1",
		"A=b\x00",
		"A='a\rb'", `A="a\r\nb"`, "A=$B ${C}", "A=\\\\", "A='\\'", "A=#b", "a.b=c", "A=\"b\\",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		list, err := readOurs(string(file))
		if err != nil {
			var wrong unreadable
			if lines := strings.Count(string(file), "\n") + 1; !errors.As(err, &wrong) || wrong[0].line < 1 ||
				wrong[len(wrong)-1].line > lines {
				t.Errorf("%v, of %d lines", err, lines)
			}
			return
		}
		var writable []variable
		for _, v := range list {
			if isVariable(v.name) {
				writable = append(writable, v)
			}
		}
		for _, format := range []string{"dotenv", "bash"} {
			for _, v := range writable {
				text, err := writeEnv(format, []variable{v})
				if err != nil {
					continue
				}
				again, err := readOurs(text)
				if err != nil || pairs(again) != pairs([]variable{v}) {
					t.Errorf("%s: %s became %q and then %s: %v", format, pairs([]variable{v}), text, pairs(again), err)
				}
			}
		}
		if text, err := writeEnv("bash", writable); err == nil {
			if again, err := readOurs(text); err != nil || pairs(again) != pairs(writable) {
				t.Errorf("%s became %s: %v", pairs(writable), pairs(again), err)
			}
		}
	})
}
