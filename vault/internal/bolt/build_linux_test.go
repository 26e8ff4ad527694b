//go:build (amd64 || arm64) && !race

package bolt

import (
	"os"
	"os/exec"
	"testing"

	"ass/e2e/trace"
)

// A file that is built is synced after its last page is written: it is about to take the place of
// another one.
func TestBuildSyncs(t *testing.T) {
	if dir := os.Getenv("ASS_TEST_BUILD"); dir != "" {
		trace.Me()
		if err := Build(dir+"/f", []string{"b"}, func(*Builder) error { return nil }); err != nil {
			t.Fatal(err)
		}
		os.Exit(0)
	}
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/f", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestBuildSyncs$")
	cmd.Env = append(os.Environ(), "ASS_TEST_BUILD="+dir)
	written, synced := 0, 0
	_, _, err := trace.Files(cmd, dir, func(call trace.FileCall) trace.Verdict {
		if call.Syncs() {
			synced = written
		} else if call.Name == "pwrite" {
			written++
		}
		return trace.Verdict{}
	})
	trace.SkipUntraceable(t, err)
	if err != nil {
		t.Fatal(err)
	}
	if written == 0 || synced != written {
		t.Errorf("%d of %d writes were synced", synced, written)
	}
}
