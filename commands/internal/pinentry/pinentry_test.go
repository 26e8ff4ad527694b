package pinentry

import (
	"errors"
	"strings"
	"testing"
)

func TestAsk(t *testing.T) {
	const ok = "OK Pleased to meet you\nOK\nOK\nOK\nOK\n"
	for name, c := range map[string]struct {
		says, want string
		err        error
	}{
		"typed":               {ok + "D hunter2\nOK\n", "hunter2", nil},
		"with signs":          {ok + "S PASSWORD_FROM_CACHE\nD 100%25 %0a%C3%A9%\nOK\n", "100% \né%", nil},
		"in two lines":        {ok + "# a comment\nD hun\nD ter2\nOK\n", "hunter2", nil},
		"nothing":             {ok + "OK\n", "", nil},
		"closed":              {ok + "ERR 83886179 Operation cancelled <Pinentry>\n", "", ErrCancelled},
		"knows no timeout":    {"OK\nERR 536871187 Unknown\nOK\nOK\nOK\nD hunter2\nOK\n", "hunter2", nil},
		"another program":     {"hello\n", "", ErrProtocol},
		"dies":                {ok + "D hunter2\n", "", ErrProtocol},
		"never begins":        {"", "", ErrProtocol},
		"talks without end":   {ok + strings.Repeat("S x\n", 2000), "", ErrProtocol},
		"a line without end":  {ok + "D " + strings.Repeat("hunter2", 1000) + "\nOK\n", "", ErrProtocol},
		"an answer that long": {ok + strings.Repeat("D "+strings.Repeat("hunter2", 100)+"\n", 200) + "OK\n", "", ErrProtocol},
	} {
		var said strings.Builder
		typed, err := Ask(strings.NewReader(c.says), &said, Question{Title: "ass", Description: "two\nlines, 100%", Prompt: "Passphrase:"})
		if typed != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v", name, typed, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error repeats what was typed", name)
		}
		if c.err == nil && said.String() != "SETTIMEOUT 300\nSETTITLE ass\nSETDESC two%0Alines, 100%25\nSETPROMPT Passphrase:\nGETPIN\nBYE\n" {
			t.Errorf("%s: it said %q", name, said.String())
		}
	}
}

func FuzzAsk(f *testing.F) {
	f.Add("OK\nOK\nOK\nOK\nOK\nD a%25b\nOK\n")
	f.Add("OK\nERR 1\nD %zz\n")
	f.Fuzz(func(t *testing.T, says string) {
		var said strings.Builder
		typed, err := Ask(strings.NewReader(says), &said, Question{})
		if err != nil && typed != "" {
			t.Error("an answer together with an error")
		}
	})
}

func FuzzEscape(f *testing.F) {
	f.Add("100%\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		if e := escape(s); unescape(e) != s || strings.ContainsAny(e, "\r\n") {
			t.Errorf("%q becomes %q, which is %q", s, e, unescape(e))
		}
	})
}
