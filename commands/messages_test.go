package commands

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"ass/vault"
)

func TestWrap(t *testing.T) {
	for _, x := range []struct {
		text string
		wide int
		want []string
	}{
		{"short", 40, []string{"ass: short"}},
		{"", 40, []string{"ass: "}},
		{"one two three four", 15, []string{"ass: one two", "     three four"}},
		{"exactly fits!", 18, []string{"ass: exactly fits!"}},
		{"a /path/that/is/wider/than/the/line b", 16, []string{"ass: a", "     /path/that/is/wider/than/the/line", "     b"}},
		{"  who:    worker on the line", 22, []string{"ass:   who:    worker", "       on the line"}},
		// a command of ass is copied from the screen, so it stays in one line if it can
		{"list them with: ass agents list", 24, []string{"ass: list them with:", "     ass agents list"}},
		{"list them with: ass agents list; or ask", 26, []string{"ass: list them with:", "     ass agents list; or", "     ask"}},
		{"with: ass agents create --name NAME", 20, []string{"ass: with: ass", "     agents create", "     --name NAME"}},
		{"宽 宽宽 宽", 12, []string{"ass: 宽 宽宽", "     宽"}},
	} {
		got := wrap(x.text, said, x.wide)
		if !slices.Equal(got, x.want) {
			t.Errorf("%q in %d columns: %q", x.text, x.wide, got)
		}
		if back := strings.Join(got, "\n"); strings.ReplaceAll(back, "\n       ", " ") != said+x.text &&
			strings.ReplaceAll(back, "\n     ", " ") != said+x.text {
			t.Errorf("%q in %d columns lost something: %q", x.text, x.wide, got)
		}
	}
}

// Whatever is said with --json is an object in a line, also texts that somebody made to look like two.
func TestToldAsJSON(t *testing.T) {
	var b bytes.Buffer
	o := &output{errw: &b, asJSON: true, warned: map[string]bool{}}
	o.note("a %s", "line\n{\"error\":{}}\x1b")
	o.warn("once")
	o.warn("once")
	o.warnOf(sayf("twice").hint("not"))
	o.noteOf(vault.ErrBusy)
	want := []string{
		`{"note":"a line\\n{\"error\":{}}\\x1b"}`,
		`{"warning":"once"}`,
		`{"warning":"twice","hint":"not"}`,
		`{"note":"busy","hint":"run it again, or wait longer with --lock-timeout"}`,
	}
	if got := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n"); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	for line := range strings.Lines(b.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("%q", line)
		}
	}
}

// The way out is apart from what happened, however an error was wrapped.
func TestTellError(t *testing.T) {
	inner := usagef("no name").hint("give one")
	for _, x := range []struct {
		err       error
		text, way string
	}{
		{inner, "no name", "give one"},
		{errors.New("a\nb"), "a; b", ""},
		{usagef("no name"), "no name", ""},
		{withHint(errors.New("full"), "make room"), "full", "make room"},
		{withHint(inner, "or none"), "no name", "or none; give one"},
		{errorf(nil, "%v", inner).hint("or none"), "no name; give one", "or none"},
		{errors.Join(inner, inner), "no name; no name", "give one"},
		{vault.ErrBusy, "busy", "run it again, or wait longer with --lock-timeout"},
		{&verifyError{2}, "2 problems found", "restore a backup with: ass vault restore BACKUP, or save what is intact with: ass vault salvage"},
	} {
		if text, way := tellError(x.err); text != x.text || way != x.way {
			t.Errorf("%v: %q, %q", x.err, text, way)
		}
	}
}

// A usage error names what set the flag.
func TestNamesTheVariable(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	for _, x := range []struct {
		env  string
		args string
		want string
	}{
		{"", "secrets set a/K v", "Secret stored"},
		{"ASS_STATUS=zz", "approvals list", "ass: ASS_STATUS must be pending"},
		{"ASS_STATUS=zz", "approvals list --status=yy", "ass: --status must be pending"},
		{"ASS_LIMIT=x", "audit", "ass: ASS_LIMIT has a value of the wrong form"},
		{"ASS_TTL=zz", "tokens issue --scopes secrets:read:a/*", "ass: ASS_TTL: ttl: "},
		{"ASS_TTL=zz", "tokens issue --scopes secrets:read:a/* --ttl yy", "ass: ttl: "},
		{"ASS_TYPE=zz", "secrets set a/K v", "ass: ASS_TYPE: type: "},
		{"ASS_TYPE=zz", "secrets set a/K v --type yy", "ass: type: "},
		{"ASS_SCOPES=zz", "tokens issue", "ass: ASS_SCOPES: scope: "},
		{"ASS_NAMESPACE=a//b", "secrets get K", "ass: ASS_NAMESPACE: namespace: "},
	} {
		var out, errs bytes.Buffer
		p := Program{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Env: []string{"HOME=" + home, x.env}, Dir: home}
		if exit := p.Run(strings.Fields(x.args)); exit != exitUsage && x.env != "" || !strings.HasPrefix(out.String()+errs.String(), x.want) {
			t.Errorf("%s ass %s: exit code %d, %s", x.env, x.args, exit, errs.String())
		}
	}
}
