//go:build unix

package commands

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A token is not put where others could exchange it.
func TestUnlockInAFolderOfOthers(t *testing.T) {
	h := newLockedHome(t)
	dir := filepath.Dir(h.tokenFile)
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.Chmod(dir, 0o770)); err != nil {
		t.Fatal(err)
	}
	if exit, said := h.run("", "unlock"); exit == 0 || !strings.Contains(said, "others can replace files in the folder") {
		t.Errorf("%d, %s", exit, said)
	}
	if _, err := os.Lstat(h.tokenFile); err == nil {
		t.Error("there is a token")
	}
}
