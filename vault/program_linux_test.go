//go:build (amd64 || arm64) && !race

package vault_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ass/commands"
	"ass/vault"
)

const programArgs = "ASS_TEST_PROGRAM"

// program returns a command that runs ass in this test binary, with its own home folder.
func program(home string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], "-test.run=^TestRekeyKilled$")
	cmd.Env = append(os.Environ(), programArgs+"="+strings.Join(args, "\x1f"),
		"HOME="+home, "XDG_DATA_HOME=", "XDG_CONFIG_HOME=", "XDG_STATE_HOME=", "XDG_RUNTIME_DIR=")
	return cmd
}

func runProgram(t *testing.T, home string, args ...string) (stdout string) {
	t.Helper()
	cmd := program(home, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("ass %v: %v\n%s", args, err, errs.String())
	}
	return out.String()
}

// TestRekeyKilled kills ass vault rekey --new-key at its file calls. No key is lost: wherever the
// kill comes, the next command works, and so does the next rekey. By default, the test takes
// the calls that name a file, and every fifth of those that sync or remove one. With -disk-all, it
// takes every call.
func TestRekeyKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	if args := os.Getenv(programArgs); args != "" {
		vault.TraceMe()
		os.Exit(commands.Program{}.Run(strings.Split(args, "\x1f")))
	}
	home := t.TempDir()
	runProgram(t, home, "secrets", "set", "a/K", "hunter2")
	runProgram(t, home, "agents", "create", "--name", "worker", "--namespace", "a")
	rekey := []string{"vault", "rekey", "--new-key", "--force"}
	copyOf := func(home string) string {
		t.Helper()
		to := t.TempDir()
		err := filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
			at := filepath.Join(to, strings.TrimPrefix(path, home))
			if err != nil || d.IsDir() {
				return errors.Join(err, os.MkdirAll(at, 0o700))
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(at, b, 0o600)
		})
		if err != nil {
			t.Fatal(err)
		}
		return to
	}
	whole := copyOf(home)
	_, calls := vault.KillAt(t, program(whole, rekey...), whole, 0)
	seen := map[string]bool{}
	turns := map[string]int{} // per kind of call
	for i, call := range calls {
		turn := turns[call[0]]
		turns[call[0]]++
		switch call[0] {
		case "rename", "link":
		case "fsync", "fdatasync", "unlinkat":
			if turn%5 != 0 && !vault.DiskAll() {
				continue
			}
		default:
			if !vault.DiskAll() {
				continue
			}
		}
		dir := copyOf(home)
		if killed, _ := vault.KillAt(t, program(dir, rekey...), dir, i+1); !killed {
			t.Fatalf("call %d was not the last one", i+1)
		}
		again := copyOf(dir)
		config, err := os.ReadFile(filepath.Join(dir, ".config/ass/config.json"))
		if err != nil {
			t.Fatal(err)
		}
		// One copy goes on as if nothing had happened. The other rekeys at once.
		if got := runProgram(t, dir, "secrets", "get", "a/K"); got != "hunter2" {
			t.Fatalf("killed at call %d, %s %s: a/K is %q", i+1, call[0], call[1], got)
		}
		after, err := os.ReadFile(filepath.Join(dir, ".config/ass/config.json"))
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case !bytes.Contains(config, []byte("next_key")):
			seen["no key was stored, or it was taken"] = true
		case bytes.Equal(config, after):
			seen["the key that was stored is none"] = true
		default:
			seen["the key that was stored was taken"] = true
		}
		runProgram(t, dir, "vault", "check")
		runProgram(t, again, rekey...)
		if got := runProgram(t, again, "secrets", "get", "a/K"); got != "hunter2" {
			t.Fatalf("killed at call %d, %s %s, and rekeyed: a/K is %q", i+1, call[0], call[1], got)
		}
		runProgram(t, again, "vault", "check")
	}
	if len(seen) != 3 {
		t.Errorf("the kills left only this: %v", seen)
	}
}
