package commands

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// sweep removes the unfinished files of killed runs. It leaves the files of other runs and of
// other programs alone, even if their names look alike.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "env")
	old := time.Now().Add(-time.Hour)
	for name, stays := range map[string]bool{
		".ass-env-123":   false,
		".ass-env-45678": false,
		".ass-env-9x":    true,
		".env-123":       true,
		".ass-other-1":   true,
		"env":            true,
	} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, old, old); err != nil {
			t.Fatal(err)
		}
		sweep(path, time.Minute)
		if _, err := os.Stat(file); (err == nil) != stays {
			t.Errorf("%s: %v", name, err)
		}
	}
	young := filepath.Join(dir, ".ass-env-1")
	if err := os.WriteFile(young, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	sweep(path, time.Minute)
	if _, err := os.Stat(young); err != nil {
		t.Errorf("what another run may be writing: %v", err)
	}
	sweep(path, 0)
	if _, err := os.Stat(young); err == nil {
		t.Error("under a lock, nothing is another run's")
	}
}
