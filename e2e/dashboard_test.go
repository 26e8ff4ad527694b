package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// If a browser is installed, it shows the page: the page's own script runs under the
// page's policy, and no text from the vault runs as a script.
func TestDashboardInABrowser(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium here")
	}
	home := t.TempDir()
	for _, args := range [][]string{
		{"secrets", "set", "prod/KEY", "hunter2"},
		{"agents", "create", "--name", "worker", "--namespace", "prod", "--description",
			"<script>document.title='taken'</script>", "--write-key", filepath.Join(home, "worker.key")},
		{"login", "--profile", "worker", "--key-file", filepath.Join(home, "worker.key")},
		{"request", "prod/MISSING", "--profile", "worker", "--reason", `"><script>document.title='taken'</script>`},
	} {
		if out, err := assIn(home, args...); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	out, err := assIn(home, "open", "--no-browser")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	page := strings.TrimSpace(string(out))
	// A browser reserves more addresses than the tests may have.
	cmd := exec.Command("sh", "-c", `ulimit -v unlimited && exec "$@"`, "sh", chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--user-data-dir="+filepath.Join(t.TempDir(), "profile"), "--dump-dom", "file://"+page)
	cmd.Env = append(os.Environ(), "HOME="+home)
	dom, err := cmd.Output()
	if err != nil {
		t.Skipf("chromium does not run here: %v", err)
	}
	text := string(dom)
	for want, found := range map[string]bool{
		"<title>Agent Secret Store</title>":                 true,
		`placeholder="Filter by path, type or tier" hidden`: false, // the page's own script removed "hidden"
		`data-filter="secrets-rows"`:                        true,
		"&lt;script&gt;document.title":                      true,
		`<th scope="row">worker</th><td><b class="r">R</b>`: true,
		`data-ago="`:                          true, // so did it say how long ago times are
		`<button type="button">Copy</button>`: true,
		"hunter2":                             false,
	} {
		if strings.Contains(text, want) != found {
			t.Errorf("the page has %q: %v", want, !found)
		}
	}
}

// Another project's test scripts get a real secret store.
func TestInAnotherModule(t *testing.T) {
	cmd := exec.Command("go", "test", "-count=1", "./...")
	cmd.Dir = fromRoot("testdata/othermodule")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
