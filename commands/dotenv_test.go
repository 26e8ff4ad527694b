package commands

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// pairs shows variables for comparison, in their order.
func pairs(list []variable) string {
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = fmt.Sprintf("%s=%q", v.name, v.value)
	}
	return strings.Join(texts, " ")
}

// The dialect, as docs/env.md has it.
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

		// comments behind a value
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

		// nothing is expanded
		{"A=$B ${C} $(d) `e`", "A=\"$B ${C} $(d) `e`\""},
		{`A="$B ${C}"`, `A="$B ${C}"`},

		// line ends, and the mark at the beginning
		{"A=b\r\nC=d # e\r\n\r\n# f\r\nG='h'\r\n", `A="b" C="d" G="h"`},
		{"A='b\r\nc'\r\n", `A="b\r\nc"`},
		{"A=\"b\rc\"", `A="b\rc"`},
		{"\xef\xbb\xbfA=b\n", `A="b"`},
		{"\xef\xbb\xbf# c\nA=\xef\xbb\xbfb\n", "A=\"\\ufeffb\""},
		{"A=\xff\xfe", `A="\xff\xfe"`},
	} {
		list, err := parseDotenv([]byte(c.file))
		if err != nil || pairs(list) != c.want {
			t.Errorf("%q: got %s (%v), want %s", c.file, pairs(list), err, c.want)
		}
	}
}

// What is not understood is an error with its line, which repeats no value.
func TestDotenvErrors(t *testing.T) {
	for _, c := range []struct{ file, want string }{
		{"A=b\nhunter2\n", "line 2: there is no ="},
		{"A=b\nhunter2 c\n", "line 2: there is no ="},
		{"KEY=-----BEGIN-----\nMIIhunter2EvQIBADAN/x\n-----END-----\n", "line 2: there is no ="},
		{"A=hunter2\nexport\n", "line 2: there is no ="},
		{"export A\n", "line 1: there is no ="},
		{"A=b\r\n\r\n9=hunter2\r\n", "line 3: a line is NAME=value"},
		{"\n\n=hunter2\n", "line 3: a line is NAME=value"},
		{"'A'=hunter2\n", "line 1: a line is NAME=value"},
		{"ü=hunter2\n", "line 1: a line is NAME=value"},
		{"\n\xef\xbb\xbfA=hunter2\n", "line 2: a line is NAME=value"},
		{"A=hunter2\nA=hunter2-2\n", "line 2: A was set on line 1 already"},
		{"A='x\ny'\n\nA=hunter2\n", "line 4: A was set on line 1 already"},
		{"A=b\nB='hunter2\n\nC=d\n", "line 2: a quote is not closed"},
		{"A=b\n\nB=\"hunter2\\\"\nC=d\n", "line 3: a quote is not closed"},
		{"A='x\n'\\''hunter2\n", "line 2: a quote is not closed"},
		{"A=\"hunter2\\", "line 1: a quote is not closed"},
		{"A='b'hunter2\n", "line 1: there is something behind the closing quote of A"},
		{"A='b' hunter2\n", "line 1: there is something behind the closing quote of A"},
		{"A='b'#hunter2\n", "line 1: there is something behind the closing quote of A"},
		{"A='b'\"hunter2\"\n", "line 1: there is something behind the closing quote of A"},
		{"A='b\n\nc'hunter2\n", "line 3: there is something behind the closing quote of A"},
		{"A=b\nB=hunter2\x00\n", "line 2: the value of B holds a zero byte"},
		{"A='hunter2\x00'\n", "line 1: the value of A holds a zero byte"},
	} {
		list, err := parseDotenv([]byte(c.file))
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

// A hint of a value never shows any of it.
func TestHint(t *testing.T) {
	for value, want := range map[string]string{"h": "•••• (1 character)", "hünter2": "•••• (7 characters)", "\xff\xff": "•••• (2 bytes)"} {
		if got := hint([]byte(value)); got != want {
			t.Errorf("%q: %s", value, got)
		}
	}
}

// Nothing panics, and what was read and can be written is read back.
func FuzzDotenv(f *testing.F) {
	for _, s := range []string{
		"A=b\n", "export A='b'\n", "A=\"b\\n\\\"\" # c", "A='it'\\''s'", "\xef\xbb\xbfA=b\r\n", "A='x\ny'\nB=\"", "export=1", "A=b\x00",
		"A='a\rb'", `A="a\r\nb"`, "A=$B ${C}", "A=\\\\", "A='\\'", "A=#b", "a.b=c", "A=\"b\\",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		list, err := parseDotenv(file)
		if err != nil {
			var wrong *dotenvError
			if lines := strings.Count(string(file), "\n") + 1; !errors.As(err, &wrong) || wrong.line < 1 || wrong.line > lines {
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
		for _, format := range []string{"dotenv", "shell"} {
			for _, v := range writable {
				text, err := writeEnv(format, []variable{v})
				if err != nil {
					continue
				}
				again, err := parseDotenv([]byte(text))
				if err != nil || pairs(again) != pairs([]variable{v}) {
					t.Errorf("%s: %s became %q and then %s: %v", format, pairs([]variable{v}), text, pairs(again), err)
				}
			}
		}
		if text, err := writeEnv("shell", writable); err == nil {
			if again, err := parseDotenv([]byte(text)); err != nil || pairs(again) != pairs(writable) {
				t.Errorf("%s became %s: %v", pairs(writable), pairs(again), err)
			}
		}
	})
}
