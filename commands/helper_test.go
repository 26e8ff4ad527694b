package commands

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// Under its other names, ass is a helper; under any that is not one of them, it is ass.
func TestLinkedAs(t *testing.T) {
	for _, c := range []struct{ program, args, want string }{
		{"ass", "secrets get a/K", "secrets get a/K"}, {"/usr/bin/ass", "", ""}, {"C/ass.exe", "version", "version"},
		{"git-credential-ass", "get", "helper git get"}, {"/x/git-credential-ass", "--write store",
			"helper git --write store"},
		{"git-credential-assume", "get", "get"}, {"docker-credential-assume", "get", "get"}, {"ass-askpassx", "a", "a"},
		{"docker-credential-ass", "get", "helper docker get"}, {"docker-credential-ass.exe", "list", "helper docker list"},
		{"docker-credential-ass-write", "store", "helper docker --write store"}, {"docker-credential-ass", "-v",
			"helper docker version"},
		{"docker-credential-ass", "--help", "helper docker --help"},
		{"ass-askpass", "--help", "helper ssh-askpass -- --help"}, {"/usr/lib/my-ssh-askpass", "u@h's",
			"helper ssh-askpass -- u@h's"},
		{"ssh-askpass", "", "helper ssh-askpass --"},
	} {
		if got := linkedAs(c.program, strings.Fields(c.args)); !slices.Equal(got, strings.Fields(c.want)) {
			t.Errorf("%s %s is ass %q", c.program, c.args, got)
		}
	}
}

// A link replaces a link to ass, of whatever place, and nothing else.
func TestPutLink(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no link on Windows")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "ass")
	if err := os.WriteFile(program, []byte("program"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		make    func(string) error
		created bool
		fails   bool
	}{
		"new":      {func(string) error { return nil }, true, false},
		"same":     {func(link string) error { return os.Symlink(program, link) }, false, false},
		"older":    {func(link string) error { return os.Symlink("/opt/ass-1/ass", link) }, true, false},
		"other":    {func(link string) error { return os.Symlink("/bin/cat", link) }, false, true},
		"a file":   {func(link string) error { return os.WriteFile(link, []byte("x"), 0o600) }, false, true},
		"a folder": {func(link string) error { return os.Mkdir(link, 0o700) }, false, true},
	} {
		link := filepath.Join(dir, name)
		if err := c.make(link); err != nil {
			t.Fatal(err)
		}
		before, _ := os.Readlink(link)
		created, err := putLink(program, link)
		to, _ := os.Readlink(link)
		if created != c.created || (err != nil) != c.fails || !c.fails && to != program || c.fails && to != before {
			t.Errorf("%s: %v, %v, and it leads to %q", name, created, err, to)
		}
	}
}
