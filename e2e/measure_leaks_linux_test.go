package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMeasureLeaks measures how fast ass leaks scan looks for 1,000 values, beside grep -F -f and git grep, which look for
// the values as they are and in no other form. The runs are interleaved. It asserts nothing about time.
func TestMeasureLeaks(t *testing.T) {
	if !*measure {
		t.Skip("it measures, and is asked for with -measure")
	}
	home, err := os.MkdirTemp("/dev/shm", "ass-measure-")
	if err != nil {
		t.Skip(err)
	}
	defer os.RemoveAll(home)
	r := rand.New(rand.NewPCG(1, 2))
	var vars, patterns strings.Builder
	for i := range 1000 {
		value := make([]byte, 32)
		for j := range value {
			value[j] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[r.IntN(64)]
		}
		fmt.Fprintf(&vars, "API_KEY_%d=hunter2-%s\n", i, value)
		fmt.Fprintf(&patterns, "hunter2-%s\n", value)
	}
	put := func(name, content string) string {
		name = filepath.Join(home, name)
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	pats := put("patterns", patterns.String())
	if out, err := assIn(home, "env", "import", put("many.env", vars.String()), "--namespace", "many"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	line := []byte(`2026-06-01T10:30:00Z level=info msg="request served" path=/api/v1/items status=200 ` +
		"id=3fa85f64-5717-4562-b3fc-2c963f66afa6\n")
	log, err := os.Create(filepath.Join(home, "log"))
	if err != nil {
		t.Fatal(err)
	}
	block := bytes.Repeat(line, 1<<20/len(line)) // a process begins with the memory of the one that starts it
	for written := 0; written < *measureBytes; written += len(block) {
		if _, err := log.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	must := func(script string) string {
		t.Helper()
		cmd := exec.Command("sh", "-c", script)
		cmd.Dir = home
		cmd.Env = append(withHome(home), "GIT_CONFIG_GLOBAL=/dev/null", "SRC="+filepath.Join(strings.TrimSpace(string(root)), "src"))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", script, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	must(`mkdir tree repo && while [ "$(du -sb tree | cut -f1)" -lt ` + fmt.Sprint(*measureBytes) + ` ]; do cp -r "$SRC" tree/$(ls tree | wc -l); done`)
	must(fmt.Sprintf("head -c %d /dev/urandom >random", *measureBytes))
	must(`cd repo && git init -q && git config user.name n && git config user.email n@example.com && cp -r "$SRC" src && git add -A && git commit -qm 0
		for i in 1 2 3 4 5 6 7 8 9; do find src/net src/cmd src/runtime -name '*.go' -exec sh -c 'for f; do echo "// line" >>"$f"; done' _ {} +
		git commit -qam $i; done; git gc -q`)
	const once = "once: " // it takes minutes
	groups := [][]struct{ what, script string }{
		{{"1 GiB of log lines: `grep -F -f`", "grep -F -c -f " + pats + " log"}, {"`ass leaks scan`", "ass leaks scan log"}},
		{{"1 GiB of random bytes: `grep -a -F -f`", "grep -a -F -c -f " + pats + " random"}, {"`ass leaks scan`", "ass leaks scan random"}},
		{{"a tree of source: `grep -r -F -f`", "grep -r -F -l -f " + pats + " tree"},
			{"`ass leaks scan`", "ass leaks scan tree"}},
		{{"a history: `git log -p --all \\| grep -F -f`", "cd repo && git log -p --all | grep -F -f " + pats},
			{once + "`git grep -F -f`, in one commit alone", "cd repo && git grep -F -l -f " + pats + " HEAD"},
			{"`ass leaks scan --git`", "ass leaks scan --git repo"}},
	}
	var b strings.Builder
	var most int64 // memory of ass, in KiB
	for _, group := range groups {
		took := make([][]time.Duration, len(group))
		for round := range 5 {
			for i, row := range group {
				if round > 0 && strings.HasPrefix(row.what, once) {
					continue
				}
				cmd := exec.Command("sh", "-c", row.script)
				cmd.Dir, cmd.Env = home, withHome(home)
				start := time.Now()
				out, err := cmd.CombinedOutput()
				took[i] = append(took[i], time.Since(start))
				if exit := cmd.ProcessState.ExitCode(); exit != 0 && (exit != 1 || strings.HasPrefix(row.script, "ass")) {
					t.Fatalf("%s: %v\n%s", row.script, err, out)
				}
				if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok && strings.HasPrefix(row.script, "ass") {
					most = max(most, usage.Maxrss)
				}
			}
		}
		for i, row := range group {
			slices.Sort(took[i])
			fmt.Fprintf(&b, "| %s | %.2f s |\n", strings.TrimPrefix(row.what, once), took[i][len(took[i])/2].Seconds())
		}
	}
	t.Logf("%s in the tree, %s in the repository, %s of objects\n\n| what | median |\n| --- | --- |\n%s\nmemory of ass at most %.1f MiB",
		must("find tree -type f | wc -l; du -sh tree | cut -f1"), must("git -C repo rev-list --all | wc -l"),
		must("git -C repo cat-file --batch-all-objects --batch-check='%(objectsize)' | awk '{s+=$1} END {print s/2^30, \"GiB,\", NR}'"),
		b.String(), float64(most)/1024)
}
