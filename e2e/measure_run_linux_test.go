package e2e

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

var measureBytes = flag.Int("measure-bytes", 1<<30, "size of the output that TestMeasureRun sends through ass run")

// TestMeasureRun measures how fast a large output goes through ass run, which masks 100 secrets in
// it, beside cat. The runs are interleaved. It asserts nothing about time.
func TestMeasureRun(t *testing.T) {
	if !*measure {
		t.Skip("it measures, and is asked for with -measure")
	}
	home := t.TempDir()
	var vars strings.Builder
	for i := range 100 {
		fmt.Fprintf(&vars, "API_KEY_%d=hunter2%032d\n", i, i*7919)
	}
	env := filepath.Join(home, "many.env")
	if err := os.WriteFile(env, []byte(vars.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := assIn(home, "env", "import", env, "--namespace", "many"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.CreateTemp("/dev/shm", "ass-measure-")
	if err != nil {
		t.Skip(err)
	}
	defer os.Remove(text.Name())
	line := []byte(`2026-06-01T10:30:00Z level=info msg="request served" path=/api/v1/items status=200 ` +
		"id=3fa85f64-5717-4562-b3fc-2c963f66afa6\n")
	block := bytes.Repeat(line, 1<<20/len(line))
	for written := 0; written < *measureBytes; written += len(block) {
		if _, err := text.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	if err := text.Close(); err != nil {
		t.Fatal(err)
	}
	masked := "ass run --namespace many -- cat " + text.Name()
	rows := []struct{ what, script string }{
		{"cat, into a pipe", "cat " + text.Name() + " | cat >/dev/null"},
		{"ass run -- cat, into a pipe", masked + " | cat >/dev/null"},
		{"ass run -- cat, into a file", masked + " >/dev/null"},
	}
	took := make([][]time.Duration, len(rows))
	var most int64 // memory of a masking ass, in KiB
	for range 7 {
		for i, r := range rows {
			cmd := exec.Command("sh", "-c", r.script)
			cmd.Env = withHome(home)
			start := time.Now()
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", r.script, err, out)
			}
			took[i] = append(took[i], time.Since(start))
			if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok && i > 0 {
				most = max(most, usage.Maxrss)
			}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d MiB, 100 secrets\n\n| what | median | GB/s | × cat |\n| --- | --- | --- | --- |\n", *measureBytes>>20)
	slices.Sort(took[0])
	for i, r := range rows {
		slices.Sort(took[i])
		median := took[i][len(took[i])/2]
		fmt.Fprintf(&b, "| %s | %.0f ms | %.2f | %.2f |\n", r.what, ms(median), float64(*measureBytes)/float64(median.Nanoseconds()),
			ms(median)/ms(took[0][len(took[0])/2]))
	}
	t.Logf("\n\n%s\nmemory of ass at most %.1f MiB", b.String(), float64(most)/1024)
}
