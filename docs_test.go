package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTranscripts runs every ```console block of the README, top to bottom in
// one home, and compares. A … in the expected text stands for anything within a
// line.
func TestTranscripts(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no sh")
	}
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	work := filepath.Join(home, "work")
	if err := os.Mkdir(work, 0o755); err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```console\n(.*?)```").FindAllStringSubmatch(string(b), -1)
	if len(blocks) == 0 {
		t.Fatal("the README has no transcripts")
	}
	env := append(withHome(home), "TZ=UTC")
	export := regexp.MustCompile(`^export (\w+)=(.*)$`)
	for _, block := range blocks {
		for _, part := range strings.Split("\n"+block[1], "\n$ ")[1:] {
			command, want, _ := strings.Cut(part, "\n")
			variable := export.FindStringSubmatch(command)
			if variable != nil { // it holds for the commands that follow
				command = "printf %s " + variable[2]
			}
			cmd := exec.Command("sh", "-c", command+" 2>&1")
			cmd.Dir, cmd.Env = work, env
			out, _ := cmd.Output()
			got := strings.TrimRight(string(out), "\n")
			if variable != nil {
				env, got = append(env, variable[1]+"="+got), ""
			}
			want = strings.TrimRight(want, "\n")
			if !matches(got, want) {
				t.Errorf("$ %s\ngot:\n%s\nthe README says:\n%s", command, got, want)
			}
		}
	}
}

func matches(got, want string) bool {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(want), "…", "[^\n]*")
	return regexp.MustCompile("^(?:" + pattern + ")$").MatchString(got)
}

// The two commands of the README are the ones that are run: the first here, word
// for word but for `go run .`, the second by .ci/run.
func TestTheTwoCommands(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	first := regexp.MustCompile("```sh\n(go run .*)\n```").FindSubmatch(readme)
	if first == nil {
		t.Fatal("the README has no first command")
	}
	cmd := exec.Command("sh", "-c", strings.ReplaceAll(string(first[1]), "go run .", "ass"))
	cmd.Env = withHome(t.TempDir())
	out, err := cmd.Output()
	if want := "Secret stored at demo/API_KEY\nmy first secret"; err != nil || string(out) != want {
		t.Errorf("the first command: %v\n%s", err, out)
	}
	ci, err := os.ReadFile(".ci/run")
	if err != nil {
		t.Fatal(err)
	}
	const second = "go test ./..."
	for name, b := range map[string][]byte{"README.md": readme, ".ci/run": ci} {
		if !strings.Contains(string(b), fmt.Sprintf("\n%s\n", second)) {
			t.Errorf("%s does not have the line %q", name, second)
		}
	}
}
