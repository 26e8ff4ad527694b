//go:build (amd64 || arm64) && !race

package vault

import (
	"os"
	"os/exec"
	"testing"

	"ass/e2e/trace"
	"ass/vault/internal/keys"
)

// What the machine notes is synced, or a power cut takes the defence against old copies away, and
// with it the record of a read that no log has.
func TestNotesAreSynced(t *testing.T) {
	vid := keys.VaultID{6}
	if dir := os.Getenv("ASS_TEST_NOTES"); dir != "" {
		m := memory{dir: dir}
		m.note(vid, markAt(1), false)
		trace.Me()
		m.note(vid, markAt(2), false) // into the file that is there
		if err := m.unlogged(vid, []unloggedRead{{Path: "a/K"}}); err != nil {
			t.Fatal(err)
		}
		os.Exit(0)
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestNotesAreSynced$")
	cmd.Env = append(os.Environ(), "ASS_TEST_NOTES="+dir)
	unsynced, wrote := map[string]bool{}, map[string]bool{}
	_, _, err := trace.Files(cmd, dir, func(call trace.FileCall) trace.Verdict {
		switch {
		case call.Syncs():
			delete(unsynced, call.Path)
		case call.Name == "write", call.Name == "pwrite":
			unsynced[call.Path], wrote[call.Path] = true, true
		case call.Name == "openat" && len(wrote) > 0:
			unsynced[dir] = true
		}
		return trace.Verdict{}
	})
	trace.SkipUntraceable(t, err)
	if err != nil {
		t.Fatal(err)
	}
	m := memory{dir: dir}
	if !wrote[m.file(vid)] || !wrote[m.unloggedFile(vid)] || len(unsynced) > 0 {
		t.Errorf("written: %v; not synced: %v", wrote, unsynced)
	}
}
