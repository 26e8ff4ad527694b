package commands

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// If a date is ahead of the clock, a person sees it in every place, and it stops nothing for good.
func TestDatesAhead(t *testing.T) {
	home := t.TempDir()
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	later := now.AddDate(1, 0, 0)
	do := func(at time.Time, want int, args ...string) (stdout, stderr string) {
		t.Helper()
		stdout, stderr, exit := run(t, home, at, args...)
		if exit != want {
			t.Fatalf("%q: exit code %d: %s%s", args, exit, stdout, stderr)
		}
		return stdout, stderr
	}
	has := func(text, want string) {
		t.Helper()
		if !strings.Contains(text, want) {
			t.Errorf("want %q in:\n%s", want, text)
		}
	}
	do(now, exitDone, "secrets", "set", "a/K", "x")
	do(later, exitDone, "secrets", "set", "a/K", "y")

	stdout, _ := do(now, exitDone, "status")
	has(stdout, "\nthe newest log entry, 3, is dated 2031-01-02T03:04:05Z, ahead of this machine's clock")
	if stdout, _ := do(later, exitDone, "status"); strings.Contains(stdout, "ahead of") {
		t.Errorf("when it is no longer ahead: %s", stdout)
	}
	stdout, stderr := do(now, exitDone, "audit", "verify")
	has(stdout, "OK: verified 3 log entries")
	has(stderr, `ass: warning: audit entry 3 (secret.updated by "owner"): it is dated 2031-01-02T03:04:05Z, ahead of this machine's clock`)
	has(stderr, `ass: warning: "a/K": it is dated 2031`)
	stdout, stderr = do(now, exitDone, "audit", "verify", "--json")
	var r verifyResult
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || len(r.Warnings) != 3 || len(r.Problems) > 0 || stderr != "" {
		t.Errorf("%s%s", stdout, stderr)
	}

	do(now, exitDone, "secrets", "set", "a/K", "z")
	old := func(n string) string { return filepath.Join(home, "old"+n+".jsonl") }
	after := now.AddDate(0, 0, 10)
	stdout, _ = do(after, exitDone, "audit", "archive", old("1"), "--before", "2d", "--force", "--json")
	has(stdout, `"first":1,"last":2,`)
	has(stdout, `"stopped_by":3}`)
	_, stderr = do(after, exitFailed, "audit", "archive", old("2"), "--before", "2d", "--force")
	has(stderr, "log entry 3 stops it: it is dated 2031-01-02T03:04:05Z, ahead of this machine's clock; if the clock is right, go "+
		"past such entries with --past-ahead")
	stdout, _ = do(after, exitDone, "audit", "archive", old("2"), "--before", "2d", "--force", "--past-ahead")
	has(stdout, "Archived log entries 3 to 4: ")
	do(after, exitDone, "audit", "verify")

	do(now, exitDone, "secrets", "set", "a/S", "x", "--tier", "sensitive")
	stdout, _ = do(now, exitDone, "agents", "create", "--name", "w", "--namespace", "a", "--json")
	var agent newKeyResult
	if err := json.Unmarshal([]byte(stdout), &agent); err != nil {
		t.Fatal(err)
	}
	var asked errorResult
	key := filepath.Join(home, "w.key")
	if err := os.WriteFile(key, []byte(agent.Key), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ASS_AGENT_KEY_FILE", key)
	_, stderr = do(later, exitApproval, "secrets", "get", "a/S", "--json")
	t.Setenv("ASS_AGENT_KEY_FILE", "")
	if err := json.Unmarshal([]byte(stderr), &asked); err != nil {
		t.Fatal(err, stderr)
	}
	id := asked.Error.ApprovalID
	stdout, stderr = do(now, exitDone, "approvals", "list")
	if stdout != "" {
		t.Errorf("it is listed as pending: %s", stdout)
	}
	has(stderr, "ass: warning: dated ahead of this machine's clock, so they count as expired: "+id+" of w")
	_, stderr = do(now, exitFailed, "approvals", "approve", id, "--force")
	has(stderr, "request "+id+" is dated 2031-01-02T03:04:05Z, ahead of this machine's clock, so it does not count")
	_, stderr = do(now, exitDenied, "approvals", "wait", id)
	has(stderr, "is dated 2031-01-02T03:04:05Z, ahead of this machine's clock")
	do(later, exitDone, "approvals", "approve", id, "--force")
}
