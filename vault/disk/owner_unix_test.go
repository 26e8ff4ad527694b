//go:build unix

package disk

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Root, as with sudo, replaces files for the user whose they are, and not for itself: else
// the user could no longer read them.
func TestReplaceKeepsOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("it needs root")
	}
	const somebody = 1234
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, somebody, somebody); err != nil {
		t.Fatal(err)
	}
	if err := (Register{}).Replace(path, []byte("x")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; owner != somebody {
		t.Errorf("the file belongs to %d", owner)
	}
}
