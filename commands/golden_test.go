package commands

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// putOldVault writes a vault of format 1, and the owner's key for it.
func putOldVault(t *testing.T, vault, key string) {
	t.Helper()
	b, err := os.ReadFile("../vault/testdata/golden/format1.db")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(vault), 0o700)
	}
	if err == nil {
		err = os.WriteFile(vault, b, 0o600)
	}
	if err == nil {
		err = os.WriteFile(key, []byte("AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX\n"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A configuration that an earlier version wrote still opens the vault of that time: with the owner's key, with an agent's,
// and with an owner's key that has a passphrase (hunter2).
func TestGoldenConfig(t *testing.T) {
	home := t.TempDir()
	put := func(from, to string) {
		t.Helper()
		b, err := os.ReadFile(from)
		if err == nil {
			to = filepath.Join(home, to)
			err = os.MkdirAll(filepath.Dir(to), 0o700)
		}
		if err == nil {
			err = os.WriteFile(to, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put("testdata/golden/config.json", ".config/ass/config.json")
	put("../vault/testdata/golden/format2/vault.db", ".local/share/ass/vault.db")
	now := time.Date(2026, 6, 1, 11, 0, 0, 0, time.UTC)
	get := func(args ...string) {
		t.Helper()
		args = append([]string{"secrets", "get", "production/gemini/KEY"}, args...)
		if stdout, stderr, exit := run(t, home, now, args...); exit != exitDone || stdout != "three" {
			t.Errorf("%q: %d %q %s", args, exit, stdout, stderr)
		}
	}
	get()
	get("--profile", "agent")
	if testing.Short() {
		return
	}
	var out, notes strings.Builder
	p := Program{Stdin: strings.NewReader("hunter2\n"), Stdout: &out, Stderr: &notes, Env: []string{"HOME=" + home, "LOCALAPPDATA=" + home},
		Dir: home, Now: func() time.Time { return now }}
	if exit := p.Run([]string{"secrets", "get", "production/gemini/KEY", "--profile", "locked", "--passphrase-fd", "0"}); exit != exitDone ||
		out.String() != "three" {
		t.Errorf("with the passphrase: %d %q %s", exit, out.String(), notes.String())
	}
}
