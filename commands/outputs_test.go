package commands

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A file is written over if ass wrote it, or if it is empty, and not if somebody else has changed it.
func TestWhatIsOverwritten(t *testing.T) {
	h := &aHome{t: t, dir: t.TempDir()}
	out := filepath.Join(h.dir, "out")
	write := func(text string) {
		if err := os.WriteFile(out, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	inject := func(what string, want int) {
		t.Helper()
		if exit, said := h.run("no secret", "inject", "-o", "out"); exit != want {
			t.Errorf("%s: %d, %s", what, exit, said)
		}
	}
	inject("a new file", 0)
	inject("a file that ass wrote", 0)
	write("mine, and longer")
	inject("a file that was changed", exitUsage)
	if b, err := os.ReadFile(out); err != nil || string(b) != "mine, and longer" {
		t.Errorf("it has %q, %v", b, err)
	}
	write("")
	inject("an empty file", 0)
}

// A program for an agent uses no owner key, and writes nothing that ass reads.
func TestConfined(t *testing.T) {
	id := newKey(t)
	h := newHome(t, defaultProfile, &profile{Credential: ownerCredential, Key: id.Text()})
	run := func(args ...string) (exit int, said string) {
		var out bytes.Buffer
		p := Program{Stdin: strings.NewReader("no secret"), Stdout: &out, Stderr: &out, Dir: h.dir, Confined: true,
			Env: []string{"HOME=" + h.dir, "USERPROFILE=" + h.dir, "LOCALAPPDATA=" + h.dir,
				"XDG_CONFIG_HOME=" + filepath.Join(h.dir, ".config")}}
		exit = p.Run(args)
		return exit, out.String()
	}
	if exit, said := run("secrets", "list"); exit != exitDenied || !strings.Contains(said, "has the owner key") {
		t.Errorf("with the owner key: %d, %s", exit, said)
	}
	for name, says := range map[string]string{
		filepath.Join(".config", "ass", "new"): "in a folder of ass itself",
		projectFile:                            "a file that ass reads itself",
	} {
		exit, said := run("inject", "-o", name, "--force")
		if exit != exitUsage || !strings.Contains(said, says) {
			t.Errorf("into %s: %d, %s", name, exit, said)
		}
		if _, err := os.Lstat(filepath.Join(h.dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is there: %v", name, err)
		}
	}
	if exit, said := run("inject", "-o", "out"); exit != 0 {
		t.Errorf("elsewhere: %d, %s", exit, said)
	}
	if err := os.WriteFile(filepath.Join(h.dir, "key.txt"), []byte(id.Text()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"key show", "key show --html page", "key split --shares 3 --threshold 2", "key split --shares 3 --threshold 2 --to .",
		"key test --key-file key.txt", "key join key.txt", "key join --login"} {
		if exit, said := run(strings.Fields(line)...); exit != exitDenied || strings.Contains(said, "AGE-SECRET") {
			t.Errorf("%s: %d, %s", line, exit, said)
		}
	}
	if files, err := filepath.Glob(filepath.Join(h.dir, "[a-z]*")); err != nil || len(files) != 2 { // out and key.txt
		t.Errorf("there are %q, %v", files, err)
	}
}
