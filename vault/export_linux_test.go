//go:build (amd64 || arm64) && !race

package vault

import (
	"fmt"
	"os/exec"
	"testing"

	"ass/e2e/trace"
)

// The tests of the whole program use these functions. They cannot be in this package.

// TraceMe starts the tracing of this goroutine's calls.
func TraceMe() { trace.Me() }

// KillAt runs a child that calls TraceMe, and kills it when it enters its n-th call on a file in
// dir. If n is 0, it does not kill the child. It returns the name and the path of each call.
func KillAt(t *testing.T, cmd *exec.Cmd, dir string, n int) (killed bool, calls [][2]string) {
	t.Helper()
	_, killed, err := trace.Files(cmd, dir, func(c trace.FileCall) trace.Verdict {
		calls = append(calls, [2]string{c.Name, c.Path})
		return trace.Verdict{Kill: len(calls) == n}
	})
	trace.SkipUntraceable(t, err)
	if err != nil {
		t.Fatal(fmt.Errorf("killed at call %d: %w", n, err))
	}
	return killed, calls
}

// DiskAll returns the flag -disk-all of the tests with failing disks.
func DiskAll() bool { return *diskAll }
