package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ass/e2e/world"
)

// TestTranscripts runs every ```console block of a page, from top to bottom in one home.
// The output must be what the page says; a … there stands for any text within a line. A block behind the comment
// "needs: PROGRAM…" is skipped if one of these programs is not here.
func TestTranscripts(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no sh")
	}
	for _, page := range []string{"README.md", "docs/commands.md", "docs/run.md", "docs/agents.md", "docs/import.md",
		"docs/helpers.md", "docs/leaks.md"} {
		t.Run(page, func(t *testing.T) { runTranscripts(t, page) })
	}
}

func runTranscripts(t *testing.T, page string) {
	b, err := os.ReadFile(fromRoot(page))
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	work := filepath.Join(home, "work")
	if err := os.Mkdir(work, 0o755); err != nil {
		t.Fatal(err)
	}
	if page == "docs/import.md" {
		importSources(t, home, work)
	}
	blocks := regexp.MustCompile("(?s)(?:<!-- needs: ([\\w ]+) -->\n)?```console\n(.*?)```").FindAllStringSubmatch(string(b), -1)
	if len(blocks) == 0 {
		t.Fatal("there are no transcripts")
	}
	env := append(world.WithoutGPG(home), "TZ=UTC")
	export := regexp.MustCompile(`^export (\w+)=(.*)$`)
	skipped := ""
	for _, block := range blocks {
		if program := world.Missing(strings.Fields(block[1])...); program != "" {
			skipped = program
			continue
		}
		for _, part := range strings.Split("\n"+block[2], "\n$ ")[1:] {
			command, want, _ := strings.Cut(part, "\n")
			variable := export.FindStringSubmatch(command)
			if variable != nil { // export sets it for the commands that follow
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
				t.Errorf("$ %s\ngot:\n%s\nthe page says:\n%s", command, got, want)
			}
		}
	}
	if skipped != "" && !t.Failed() {
		t.Skipf("there is no %s here, so not all of the page was run", skipped)
	}
}

// The README's config of an MCP client works: the server gets the secret, and the client
// gets the server's output.
func TestMCPConfig(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no sh")
	}
	readme, err := os.ReadFile(fromRoot("README.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```json\n(.*?)```").FindSubmatch(readme)
	var config struct {
		Servers map[string]struct {
			Command string
			Args    []string
		} `json:"mcpServers"`
	}
	if block == nil || json.Unmarshal(block[1], &config) != nil {
		t.Fatal("the README has no config of an MCP client")
	}
	server := config.Servers["github"]
	dashes := slices.Index(server.Args, "--")
	if server.Command != "ass" || dashes < 0 {
		t.Fatalf("the server is %+v", server)
	}
	home := t.TempDir()
	if out, err := assIn(home, "secrets", "set", "production/github/GITHUB_TOKEN", marker); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const stub = `read -r asked; test "$GITHUB_TOKEN" = ` + marker +
		` && printf '{"jsonrpc":"2.0","id":1,"result":%s}\n' "$asked"`
	cmd := exec.Command("ass", append(slices.Clone(server.Args[:dashes+1]), "sh", "-c", stub)...)
	cmd.Env = withHome(home)
	cmd.Stdin = strings.NewReader("{\"method\":\"initialize\"}\n")
	out, err := cmd.CombinedOutput()
	if want := `{"jsonrpc":"2.0","id":1,"result":{"method":"initialize"}}` + "\n"; err != nil || string(out) != want {
		t.Errorf("%v: the client got %q, want %q", err, out, want)
	}
}

func matches(got, want string) bool {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(want), "…", "[^\n]*")
	return regexp.MustCompile("^(?:" + pattern + ")$").MatchString(got)
}

// The two commands of the README are run as written. This test runs the first one, word
// for word except for `go run .`; .ci/run runs the second.
func TestTheTwoCommands(t *testing.T) {
	readme, err := os.ReadFile(fromRoot("README.md"))
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
	ci, err := os.ReadFile(fromRoot(".ci/run"))
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
