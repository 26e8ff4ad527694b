//go:build (amd64 || arm64) && !race

package commands

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"ass/e2e/trace"
)

// The token of an unlock that fails after it was stored is dead, and goes.
func TestUnlockThatFailsLate(t *testing.T) {
	if dir := os.Getenv("ASS_TEST_UNLOCK"); dir != "" {
		trace.Me()
		exit, said := (&aLockedHome{t: t, dir: dir}).run("", "unlock")
		fmt.Print(exit, " ", said)
		os.Exit(0)
	}
	h := newLockedHome(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestUnlockThatFailsLate$")
	cmd.Env = append(os.Environ(), "ASS_TEST_UNLOCK="+h.dir)
	stored, failed := false, 0
	out, _, err := trace.Files(cmd, h.dir, func(call trace.FileCall) trace.Verdict {
		if call.Path == h.tokenFile && (call.Name == "rename" || call.Name == "link") {
			stored = true
		}
		if stored && call.Name == "pwrite" && strings.HasSuffix(call.Path, "vault.db") {
			failed++
			return trace.Verdict{Errno: syscall.EIO}
		}
		return trace.Verdict{}
	})
	trace.SkipUntraceable(t, err)
	if err != nil {
		t.Fatal(err)
	}
	if failed == 0 || strings.HasPrefix(out, "0 ") {
		t.Errorf("%d writes failed: %s", failed, out)
	}
	if _, err := os.Lstat(h.tokenFile); err == nil {
		t.Errorf("the token is still there: %s", out)
	}
}
