//go:build (amd64 || arm64) && !race

package vault

import (
	"fmt"
	"os/exec"
	"testing"
)

// For the tests of the whole program, which cannot be in this package.

// TraceMe has the calls of this goroutine traced from here on.
func TraceMe() { traceMe() }

// KillAt runs a child that calls TraceMe, and kills it as it enters its n-th call on a
// file in dir. It returns the calls, each as its name and its path.
func KillAt(t *testing.T, cmd *exec.Cmd, dir string, n int) (killed bool, calls [][2]string) {
	t.Helper()
	_, killed, err := traceFileCalls(cmd, dir, func(c fileCall) verdict {
		calls = append(calls, [2]string{c.name, c.path})
		return verdict{kill: len(calls) == n}
	})
	skipUntraceable(t, err)
	if err != nil {
		t.Fatal(fmt.Errorf("killed at call %d: %w", n, err))
	}
	return killed, calls
}

// DiskAll is the flag of the tests of failing disks.
func DiskAll() bool { return *diskAll }
