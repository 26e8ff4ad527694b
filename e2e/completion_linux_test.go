package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Completion, as somebody at a terminal meets it: in the shells themselves, by the keys that they press.

// completingShells are the shells that ass has scripts for, and what each reads first.
var completingShells = []struct {
	name  string
	args  []string
	setup string
	tells bool // it shows what each answer is
}{
	{"bash", []string{"--norc", "--noprofile", "-i"}, "PS1='$ '; bind 'set show-all-if-ambiguous on'; bind 'set bell-style none'; " +
		"source <(ass completion bash)", false},
	{"zsh", []string{"-f", "-i"}, "PS1='$ '; unsetopt beep; autoload -U compinit && compinit -u -D && source <(ass completion zsh)", true},
	{"fish", []string{"--no-config", "-i"}, "function fish_prompt; echo '$ '; end; ass completion fish | source", true},
}

// completing starts each shell that is here on a terminal, in a folder with a file.
func completing(t *testing.T, home string, fn func(t *testing.T, shell string, tells bool, term *terminal)) {
	for _, s := range completingShells {
		t.Run(s.name, func(t *testing.T) {
			if _, err := exec.LookPath(s.name); err != nil {
				t.Skipf("there is no %s here", s.name)
			}
			term := startOnTerminal(t, home, append([]string{"run", "--keep-agent-key", "--", s.name}, s.args...)...)
			defer func() {
				_ = term.cmd.Process.Kill()
				_ = term.cmd.Wait()
			}()
			term.typeIn("cd " + home + "; " + s.setup + "; echo set'-'up\n")
			term.await("set-up")
			fn(t, s.name, s.tells, term)
		})
	}
}

func prepareCompletion(t *testing.T) (home string) {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	home = t.TempDir()
	for _, line := range []string{"secrets set prod/db/URL hunter2-db --tier critical", "secrets set prod/api/KEY hunter2-api",
		"secrets set prod/gone/KEY hunter2-gone", "secrets delete prod/gone/KEY --force", "secrets set other/KEY hunter2-other",
		"agents create --name worker --description building:things --namespace prod"} {
		if out, err := assIn(home, strings.Fields(line)...); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
	for _, ns := range []string{"many/1", "many/2"} {
		var lines strings.Builder
		for i := range 300 {
			fmt.Fprintf(&lines, "KEY_%d=hunter2\n", i)
		}
		file := filepath.Join(home, "many.env")
		if err := os.WriteFile(file, []byte(lines.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := assIn(home, "env", "import", file, "-n", ns); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	if err := os.WriteFile(filepath.Join(home, "prod-file"), []byte("A=hunter2-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return home
}

// A command line that the Tab key has completed does what it says.
func TestCompletedLinesWork(t *testing.T) {
	home := prepareCompletion(t)
	completing(t, home, func(t *testing.T, shell string, _ bool, term *terminal) {
		for _, c := range []struct{ line, prints string }{
			{"ass secr\tget prod/d\t\n", "hunter2-db"},
			{"ass secrets get -n prod/api K\t\n", "hunter2-api"},
			{"ass secrets get --silent --namespace=prod/a\t --key K\t\n", "hunter2-api"},
			{"ass run --env X=prod/d\t -- sh -c 'echo is $X'\n", "is hunter2-db"},
			{"ass run --env=X=oth\t -- sh -c 'echo is $X'\n", "is hunter2-other"},
			{"ass run --env-file prod-f\t -- sh -c 'echo is $A'\n", "is hunter2-file"},
			{"ass secrets hist\tprod/go\t --json\n", `"path":"prod/gone/KEY"`},
			{"ass audit --act\tsecret.del\t --agent own\t\n", "prod/gone/KEY"},
			{"ass tokens issue --json --scopes secrets:re\tprod/d\t\n", `"scopes":["secrets:read:prod/db/*"]`},
			{"ass agents show work\t\n", "building:things"},
		} {
			before := len(term.text())
			term.typeIn(c.line)
			term.awaitAfter(before, c.prints)
			term.typeIn("echo; echo re'-'ady\n")
			term.awaitAfter(before, "re-ady")
		}
	})
}

// What is not to be typed there is not offered: live secrets to restore, deleted ones to get, files for secrets. zsh
// and fish say what each answer is. Nothing is asked, and no error shown.
func TestCompletionOffers(t *testing.T) {
	home := prepareCompletion(t)
	completing(t, home, func(t *testing.T, shell string, tells bool, term *terminal) {
		for _, c := range []struct {
			line  string
			shows []string
			tells []string
			never []string
		}{
			{"ass secrets restore ", []string{"prod/gone/KEY"}, nil, []string{"prod/db/URL", "prod-file"}},
			{"ass secrets get prod/", []string{"prod/db/URL", "prod/api/KEY"}, []string{"critical"}, []string{"prod/gone", "prod-file"}},
			{"ass secrets ", []string{"rollback", "purge"}, []string{"Bring a deleted secret back"}, nil},
			{"ass secrets set prod/db/URL --tier ", []string{"standard", "critical"}, []string{"A human approves each read"}, nil},
			{"ass secrets get --un", []string{"--unlogged"}, nil, nil},
			{"ass audit --agent ", []string{"owner", "worker"}, []string{"building:things"}, nil},
			{"ass audit --action approval", []string{"approval.granted", "approval.denied"}, nil, []string{"secret.read"}},
			{"ass secrets list many/", []string{"many/1"}, nil, nil},
			{"ass secrets get many/", []string{"many/1/", "many/2/"}, nil, []string{"KEY_1"}},
			{"ass env import prod", []string{"prod-file"}, nil, nil},
		} {
			before := len(term.text())
			term.typeIn(c.line + "\t")
			for _, text := range c.shows {
				term.awaitAfter(before, text)
			}
			if tells {
				for _, text := range c.tells {
					term.awaitAfter(before, text)
				}
			}
			for _, text := range append(c.never, "ass:", "assphrase") {
				if strings.Contains(term.text()[before:], text) {
					t.Errorf("%s shows %q:\n%s", c.line, text, term.text()[before:])
				}
			}
			term.typeIn("\x15echo; echo re'-'ady\n")
			term.awaitAfter(before, "re-ady")
		}
	})
}

// What ass completion install writes is used by a shell that was told nothing else than what the command says.
func TestCompletionInstalled(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	const bashCompletion = "/usr/share/bash-completion/bash_completion"
	for _, s := range []struct {
		name  string
		args  []string
		setup string
	}{
		{"bash", []string{"--norc", "--noprofile", "-i"}, "PS1='$ '; bind 'set bell-style none'; source " + bashCompletion},
		{"zsh", []string{"-f", "-i"}, "PS1='$ '; unsetopt beep; LINE; autoload -U compinit && compinit -u -D"},
		{"fish", []string{"-i"}, "function fish_prompt; echo '$ '; end"},
	} {
		t.Run(s.name, func(t *testing.T) {
			if _, err := exec.LookPath(s.name); err != nil {
				t.Skipf("there is no %s here", s.name)
			}
			if _, err := os.Stat(bashCompletion); err != nil && s.name == "bash" {
				t.Skip("there is no bash-completion here")
			}
			home := t.TempDir()
			if out, err := assIn(home, "secrets", "set", "prod/db/URL", "hunter2-db"); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			out, err := assIn(home, "completion", "install", s.name)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			term := startOnTerminal(t, home, append([]string{"run", "--keep-agent-key", "--", s.name}, s.args...)...)
			defer func() {
				_ = term.cmd.Process.Kill()
				_ = term.cmd.Wait()
			}()
			term.typeIn("cd " + home + "; " + strings.ReplaceAll(s.setup, "LINE", lines[len(lines)-1]) + "; echo set'-'up\n")
			term.await("set-up")
			before := len(term.text())
			term.typeIn("ass secr\tget prod/d\t\n")
			term.awaitAfter(before, "hunter2-db")
		})
	}
}
