package commands

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// If the config cannot be saved, no vault is made, whose key would exist nowhere.
func TestNoVaultWithoutItsKey(t *testing.T) {
	home := t.TempDir()
	// There is room for the name of the config in a path, and none for the name that it has before.
	const pathMax, config = 4095, "/ass/config.json"
	long := home
	for len(long) < pathMax-len(config) {
		rest := pathMax - len(config) - len(long)
		n := min(rest-1, 200)
		if rest-n-1 == 1 {
			n-- // the last folder has a name, too
		}
		long += "/" + strings.Repeat("x", n)
	}
	var errs bytes.Buffer
	exit := Program{Stdin: strings.NewReader(""), Stdout: &bytes.Buffer{}, Stderr: &errs, Dir: home,
		Env: []string{"HOME=" + home, "XDG_CONFIG_HOME=" + long}}.Run([]string{"secrets", "set", "a/K", "hunter2"})
	if exit != exitFailed || !strings.Contains(errs.String(), "file name too long") {
		t.Errorf("%d, %s", exit, errs.String())
	}
	if _, err := os.Lstat(filepath.Join(long, "ass", "config.lock")); err != nil {
		t.Error("the config was not locked, so this proves nothing: ", err)
	}
	if _, err := os.Lstat(filepath.Join(home, ".local/share/ass/vault.db")); err == nil {
		t.Error("there is a vault without its key")
	}
}
