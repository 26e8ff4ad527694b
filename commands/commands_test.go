package commands

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"ass/tokens"
	"ass/vault"
)

// run runs a whole command in this process, with its own clock and home folder.
func run(t *testing.T, home string, now time.Time, args ...string) (stdout, stderr string, exit int) {
	t.Helper()
	t.Setenv("HOME", home)
	t.Setenv("LOCALAPPDATA", home) // the home of ass on Windows
	for _, name := range []string{"XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "ASS_AGENT_KEY", "ASS_API_URL",
		"ASS_NAMESPACE"} {
		t.Setenv(name, "")
	}
	stdin, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	var out, errw bytes.Buffer
	exit = Program{Stdin: stdin, Stdout: &out, Stderr: &errw, Now: func() time.Time { return now }}.Run(args)
	return out.String(), errw.String(), exit
}

// A Go caller can inject the clock, and the program takes the time from nowhere else.
func TestClock(t *testing.T) {
	home := t.TempDir()
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	if _, stderr, exit := run(t, home, now, "secrets", "set", "a/K", "x"); exit != exitDone {
		t.Fatal(stderr)
	}
	stdout, _, _ := run(t, home, now, "secrets", "list", "a")
	if want := "a/K  custom  standard  2030-01-02T03:04:05Z\n"; stdout != want {
		t.Errorf("got %q, want %q", stdout, want)
	}
	stdout, _, _ = run(t, home, now.Add(3*time.Hour), "audit", "--since", "2h")
	if stdout != "" {
		t.Errorf("entries of 3 hours ago are shown for --since 2h: %q", stdout)
	}
	stdout, _, _ = run(t, home, now, "audit", "--until", "2030-01-02", "--limit", "1")
	if !strings.HasPrefix(stdout, "2030-01-02T03:04:05Z  secret.created") {
		t.Errorf("%q", stdout)
	}
}

func TestAgo(t *testing.T) {
	const day = 24 * time.Hour
	for d, want := range map[time.Duration]string{
		-time.Minute: "just now", 59 * time.Second: "just now", time.Minute: "1m ago", 90 * time.Minute: "1h ago",
		2 * day: "2d ago", 13 * day: "13d ago", 14 * day: "2w ago", 70 * day: "2mo ago", 800 * day: "2y ago",
	} {
		if got := ago(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                 "plain",
		"ünïcode ✓":             "ünïcode ✓",
		"\x1b[31mred\x1b[0m":    `\x1b[31mred\x1b[0m`,
		"two\nlines":            `two\nlines`,
		"\u202eright":           `\u202eright`, // right-to-left override
		"\xff":                  "\ufffd",
		"a\u2066b\u200d\ufeff":  `a\u2066b\u200d\ufeff`,  // an isolate, a joiner, a byte order mark
		"\u3164\u00a0\u0085":    `\u3164\u00a0\u0085`,    // a Hangul filler, which is a letter; a space; a C1 control
		"x\U000e0041\U000e0101": `x\U000e0041\U000e0101`, // a tag, a variation selector: invisible text
	} {
		if got := clean(in); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("\x1b]0;title\a")
	f.Fuzz(func(t *testing.T, s string) {
		if i := strings.IndexFunc(clean(s), isUnseen); i >= 0 {
			t.Errorf("%q is shown as %q", s, clean(s))
		}
		b, err := jsonLine(map[string]string{"s": s})
		var back map[string]string
		if err = errors.Join(err, json.Unmarshal(b, &back)); err != nil || back["s"] != string([]rune(s)) {
			t.Errorf("%q is %q in JSON, which is %q, %v", s, b, back["s"], err)
		}
		if i := bytes.IndexFunc(bytes.TrimSuffix(b, []byte("\n")), isUnseen); i >= 0 {
			t.Errorf("%q is %q in JSON", s, b)
		}
	})
}

// The output cleans everything that is put into a line.
func TestLine(t *testing.T) {
	var out, errw bytes.Buffer
	o := newOutput(&out, &errw, newWorld(nil, ""))
	p, err := tokens.ParsePath("a/K")
	if err != nil {
		t.Fatal(err)
	}
	o.line("%s %v %s %d %q", "\x1b[2J", errors.New("\u202e"), p, 7, "x\n")
	o.done("%s", "\a")
	o.aside("%s", "\u009b")
	if want := `\x1b[2J \u202e a/K 7 "x\\n"` + "\n" + `\a` + "\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	if want := `\u009b` + "\n"; errw.String() != want {
		t.Errorf("%q, want %q", errw.String(), want)
	}
}

// A very long text in a table moves only its own line.
func TestTableOfTheEndless(t *testing.T) {
	var out bytes.Buffer
	o := newOutput(&out, io.Discard, newWorld(nil, ""))
	endless := strings.Repeat("x", 1_000_000)
	o.table([][]cell{{{"a", ""}, {"b", ""}}, {{endless, ""}, {"b", ""}}, {{"aa", ""}, {"b", ""}}})
	if want := "a   b\n" + endless + "  b\naa  b\n"; out.String() != want {
		t.Errorf("a table of %d bytes, want %d", out.Len(), len(want))
	}
}

// If not all requests are shown, an agent with many requests does not hide those of others.
func TestInTurns(t *testing.T) {
	var list []vault.Request
	for i := range 10_000 {
		list = append(list, vault.Request{ID: fmt.Sprint(i), Agent: "loud"})
	}
	list = append(list, vault.Request{ID: "b", Agent: "quiet"}, vault.Request{ID: "c", Agent: "calm"},
		vault.Request{ID: "d", Agent: "quiet"})
	ids := func(most int) (ids []string) {
		for _, q := range roundRobin(list, most) {
			ids = append(ids, q.ID)
		}
		return ids
	}
	for most, want := range map[int][]string{1: {"0"}, 3: {"0", "b", "c"}, 6: {"0", "1", "2", "b", "c", "d"}} {
		if got := ids(most); !slices.Equal(got, want) {
			t.Errorf("%d of them are %q, want %q", most, got, want)
		}
	}
	if len(ids(0)) != len(list) || len(ids(20_000)) != len(list) {
		t.Error("all of them are not all of them")
	}
}

// A path converted to a URL and back is the same path.
func FuzzVaultPath(f *testing.F) {
	for _, s := range []string{"file:///tmp/vault.db", "file:///tmp/my%20vault.db", "vault.db", "https://x",
		"file://host/x", "file:///%zz", "file://", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		path, err := newWorld(nil, "").vaultPath(s)
		if err != nil {
			return
		}
		if !filepath.IsAbs(path) {
			t.Errorf("%q is %q, which is not absolute", s, path)
		}
		if again, err := newWorld(nil, "").vaultPath(fileURL(path)); err != nil || again != filepath.Clean(path) {
			t.Errorf("%q became %q and then %q: %v", s, path, again, err)
		}
	})
}

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"2026-06-01", "2026-06-01T10:30:00Z", "2h", "7d", "-1h", "99999999999d", "3mo", "65535y", ""} {
		f.Add(s)
	}
	now := time.Date(2026, 6, 1, 10, 30, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		if then, day, err := parseTime(s, now); err == nil && !day && !strings.Contains(s, "T") && then.After(now) {
			t.Errorf("%q ago is %v, which is to come", s, then)
		}
	})
}

func TestSpans(t *testing.T) {
	now := time.Date(2026, 3, 31, 10, 30, 0, 0, time.UTC)
	for s, want := range map[string]string{"0d": "2026-03-31 2026-03-31", "90d": "2025-12-31 2026-06-29", "2w": "2026-03-17 2026-04-14",
		"3mo": "2025-12-31 2026-07-01", "1y": "2025-03-31 2027-03-31", "65535d": "1846-10-26 2205-09-04",
		"3m": "", "2h": "", "d": "", "": "", "-1d": "", "1.5d": "", "1D": "", "65536d": "", "1d2w": "", "90": "", "+1d": ""} {
		d, err := parseSpan(s)
		got := d.before(now).Format(time.DateOnly) + " " + d.after(now).Format(time.DateOnly)
		if err != nil {
			got = ""
		}
		if got != want {
			t.Errorf("%q: %q, %v, want %q", s, got, err, want)
		}
	}
}

// The report of a bug names its place, and never shows the value of the panic.
func TestBugs(t *testing.T) {
	defer func() {
		err := bugError(recover())
		if !strings.Contains(err.Error(), "TestBugs") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v", err)
		}
	}()
	panic("hunter2")
}

// No error about a command line repeats any word that could be a value.
func TestParseErrorsRepeatNothing(t *testing.T) {
	for _, args := range [][]string{
		{"hunter2"}, {"secrets", "hunter2"}, {"secrets", "set", "a/b", "c", "hunter2"}, {"secrets", "set", "--hunter2"},
		{"secrets", "set", "a/b", "-hunter2"}, {"secrets", "set", "a/b", "--tier", "hunter2"}, {"secrets", "set", "a/b",
			"--type=hunter2", "x"},
		{"secrets", "rotate", "a/b", "hunter2"}, {"secrets", "rotate", "a/b", "--value"}, {"login", "hunter2"},
		{"login", "--key=hunter2"},
		{"secrets", "get", "a/b", "--version=hunter2"}, {"secrets", "get", "a/b", "--json=hunter2"}, {"audit", "--limit",
			"hunter2"},
		{"audit", "hunter2"}, {"--lock-timeout", "hunter2", "status"}, {"--passphrase-fd=hunter2", "status"},
		{"secrets", "rollback", "a/b", "--to", "hunter2"},
		{"secrets", "set", "a/b", "--if-version", "hunter2"}, {"init", "hunter2"}, {"--api-url", "https://hunter2", "status"},
		{"secrets", "get", "hunter2 x/y"},
	} {
		stdout, stderr, exit := run(t, t.TempDir(), time.Now(), args...)
		if exit != exitUsage || stdout != "" || strings.Contains(stderr, "hunter2") || strings.Count(stderr, "\n") != 1 ||
			!strings.HasPrefix(stderr, "ass: ") {
			t.Errorf("%q: exit code %d, stdout %q, stderr %q", args, exit, stdout, stderr)
		}
	}
}

// A value on the command line is stored as it is, and any other text that is not UTF-8 is refused, whichever reader
// reads the line.
func TestBytesOnTheCommandLine(t *testing.T) {
	home := t.TempDir()
	for _, args := range [][]string{
		{"secrets", "set", "a/K", "x\xffy"}, {"secrets", "set", "-na", "K", "x\xffy"},
		{"secrets", "rotate", "a/K", "--value", "x\xffy"}, {"secrets", "rotate", "-na", "K", "--value", "x\xffy"},
	} {
		if _, stderr, exit := run(t, home, time.Now(), args...); exit != exitDone {
			t.Fatalf("%q: %s", args, stderr)
		}
		if stdout, _, _ := run(t, home, time.Now(), "secrets", "get", "a/K"); stdout != "x\xffy" {
			t.Errorf("%q stored %q", args, stdout)
		}
	}
	for _, args := range [][]string{
		{"secrets", "get", "a/K\xff"}, {"secrets", "get", "-na", "K", "--reason", "\xff"}, {"env", "export", "a", "--output=" + home + "/\xff"},
		{"run", "--env", "\xff=a/K", "--", "true"},
	} {
		_, stderr, exit := run(t, home, time.Now(), args...)
		if exit != exitUsage || !strings.Contains(stderr, "not UTF-8") || strings.Contains(stderr, "\xff") {
			t.Errorf("%q: exit code %d, %q", args, exit, stderr)
		}
	}
}

// For every command, ass help --json says what it prints, and for every exit code, what it means.
func TestHelpIsComplete(t *testing.T) {
	parser, err := kong.New(&CLI{}, kong.Bind(&app{}))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, n := range leaves(parser.Model.Node) {
		name := commandName(n)
		if shapes(results()[name]) == "" {
			t.Errorf("results says nothing of %q", name)
		}
		known[name] = true
	}
	for name := range results() {
		if !known[name] {
			t.Errorf("results knows a command %q that there is not", name)
		}
	}
	for _, k := range kinds() {
		if !slices.ContainsFunc(exits, func(e exitMeaning) bool { return e.Code == k.exit }) {
			t.Errorf("exits does not say what %d means", k.exit)
		}
	}
}
