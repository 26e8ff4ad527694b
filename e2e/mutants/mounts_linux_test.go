package main

import (
	"os"
	"testing"
)

// What a test mounts is gone when it ends, also if it is killed.
func TestMountsEnd(t *testing.T) {
	if !canHaveMounts() {
		t.Skip("only root mounts")
	}
	dir := t.TempDir()
	out, err := limited(t.Context(), []string{"sh", "-c", `mount -t tmpfs none "$1" && touch "$1/file"`, "sh",
		dir}).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("%d files are seen from outside, %v", len(files), err)
	}
}
