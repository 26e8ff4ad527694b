package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ass/vault/device/devicetest"
)

// withPlugin writes identity files of the plugin for tests, one for each way to behave. All of them are of one key.
func withPlugin(t *testing.T, ways ...string) (files map[string]string) {
	t.Helper()
	files = map[string]string{}
	for _, way := range ways {
		files[way] = filepath.Join(t.TempDir(), way+".txt")
		if err := os.WriteFile(files[way], []byte(devicetest.Identity("key", way)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// mustRun runs ass, and returns its stdout.
func mustRun(t *testing.T, home string, args ...string) string {
	t.Helper()
	out, err := assAt(t, home, "", args...)
	if err != nil {
		t.Fatalf("ass %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// On a terminal, a key asks for its PIN, which is not shown, and for an agreement. A wrong PIN is not tried twice.
func TestKeyOnATerminal(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	files := withPlugin(t, devicetest.Works, devicetest.Asks, devicetest.Confirms)
	mustRun(t, home, "secrets", "set", "a/K", "hunter2")
	mustRun(t, home, "key", "add", "--identity", files[devicetest.Works])
	on := func(args ...string) *terminal {
		cmd := exec.Command("ass", args...)
		cmd.Env = append(withHome(home), "TERM=xterm")
		return startCmdOnTerminal(t, cmd, 120)
	}
	login := on("login", "--identity", files[devicetest.Asks])
	login.await("age-plugin-test: Enter the PIN")
	if login.echoes() {
		t.Error("the PIN is shown")
	}
	login.typeIn(devicetest.PIN + "\r")
	if exit, screen := login.exitCode(), login.all(); exit != 0 || strings.Contains(screen, "hunter2") || strings.Contains(screen, "\x1b[31m of") {
		t.Fatalf("%d: %s", exit, screen)
	}
	wrong := on("secrets", "get", "a/K")
	wrong.await("Enter the PIN")
	wrong.typeIn("another\r")
	if exit, screen := wrong.exitCode(), wrong.all(); exit != 1 || strings.Count(screen, "Enter the PIN") != 1 ||
		!strings.Contains(unwrapped(screen), "the PIN is wrong") {
		t.Errorf("%d: %s", exit, screen)
	}
	// One question opens an hour.
	unlock := on("unlock")
	unlock.await("Enter the PIN")
	unlock.typeIn(devicetest.PIN + "\r")
	if exit := unlock.exitCode(); exit != 0 {
		t.Fatalf("%d: %s", exit, unlock.all())
	}
	if got := mustRun(t, home, "secrets", "get", "a/K"); strings.TrimSpace(got) != "hunter2" {
		t.Errorf("unlocked: %q", got)
	}
	mustRun(t, home, "lock")
	confirm := on("login", "--identity", files[devicetest.Confirms])
	confirm.await("Open the vault? [y: open it, n: leave it]")
	confirm.typeIn("n\r")
	if exit, screen := confirm.exitCode(), confirm.all(); exit != 1 || !strings.Contains(screen, "nobody agreed") {
		t.Errorf("%d: %s", exit, screen)
	}
	confirm = on("login", "--identity", files[devicetest.Confirms])
	confirm.await("Open the vault?")
	confirm.typeIn("y\r")
	if exit := confirm.exitCode(); exit != 0 {
		t.Errorf("%d: %s", exit, confirm.all())
	}
	slow := on("key", "list")
	slow.await("Open the vault?")
	slow.typeIn("\x03")
	if exit := slow.exitCode(); exit == 0 {
		t.Error("Ctrl-C ended nothing")
	}
}

// An SSH key opens the vault, with and without a passphrase, and age opens what was sealed to it.
func TestSSHKey(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	t.Parallel()
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("there is no ssh-keygen")
	}
	home, dir := t.TempDir(), t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "ass-ssh"), "../cmd/ass-ssh")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	key := func(name, passphrase string) string {
		file := filepath.Join(home, name)
		cmd := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-a", "1", "-N", passphrase, "-f", file)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return file
	}
	open, locked := key("open", ""), key("locked", "hunter2-ssh")
	run := func(stdin string, args ...string) (string, string, int) {
		cmd := exec.Command("ass", args...)
		cmd.Env = append(withHome(home), "PATH="+dir+":"+os.Getenv("PATH"))
		cmd.Stdin = strings.NewReader(stdin)
		var out, errs strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &errs
		err := cmd.Run()
		if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if strings.Contains(errs.String(), "hunter2-ssh") {
			t.Errorf("%q: the passphrase is in %s", args, errs.String())
		}
		return out.String(), errs.String(), cmd.ProcessState.ExitCode()
	}
	done := func(stdin string, args ...string) string {
		t.Helper()
		out, errs, exit := run(stdin, args...)
		if exit != 0 {
			t.Fatalf("ass %s: %d, %s", strings.Join(args, " "), exit, errs)
		}
		return out
	}
	fails := func(want int, says string, stdin string, args ...string) {
		t.Helper()
		if _, errs, exit := run(stdin, args...); exit != want || !strings.Contains(errs, says) {
			t.Errorf("ass %s: %d, %s", strings.Join(args, " "), exit, errs)
		}
	}
	if _, err := assIn(home, "secrets", "set", "a/K", "hunter2"); err != nil {
		t.Fatal(err)
	}
	done("", "key", "add", "--identity", open, "--name", "laptop")
	public, err := os.ReadFile(locked + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	done("", "key", "add", "--recipient", string(public), "--name", "desk")
	fails(2, "is a public key, which opens nothing; name the private key", "", "login", "--identity", open+".pub")
	fails(2, "an SSH key is used where it lies, so name its file", "-----BEGIN OPENSSH PRIVATE KEY-----\n", "login", "--identity", "-")
	fails(2, "--recipient: it is not an SSH key", "", "key", "add", "--recipient", "ssh-ed25519 hunter3")
	fails(3, "nobody can answer that, because stdin is not a terminal; pass the answer with", "", "login", "--identity", locked)
	fails(5, "this passphrase does not open the SSH key", "another\n", "login", "--identity", locked, "--passphrase-fd", "0")
	done("hunter2-ssh\n", "login", "--identity", locked, "--passphrase-fd", "0")
	if got := done("hunter2-ssh\n", "secrets", "get", "a/K", "--passphrase-fd", "0"); strings.TrimSpace(got) != "hunter2" {
		t.Errorf("read with the locked key: %q", got)
	}
	done("hunter2-ssh\n", "unlock", "--passphrase-fd", "0")
	if got := done("", "secrets", "get", "a/K"); strings.TrimSpace(got) != "hunter2" {
		t.Errorf("unlocked: %q", got)
	}
	done("", "lock")
	done("", "login", "--identity", open)
	if list := done("", "key", "list"); !strings.Contains(list, "laptop") || !strings.Contains(list, "used by this profile") {
		t.Errorf("the keys are:\n%s", list)
	}
	done("", "key", "remove", "desk", "--force")
	if got := done("", "secrets", "get", "a/K"); strings.TrimSpace(got) != "hunter2" {
		t.Errorf("after the other key was removed: %q", got)
	}
	fails(5, "does not open the vault at ~/.local/share/ass/vault.db, which has 1 further key", "hunter2-ssh\n", "login", "--identity", locked, "--passphrase-fd", "0")
	if err := os.Remove(open); err != nil {
		t.Fatal(err)
	}
	fails(3, "the SSH key ~/open, which opens the vault for profile default, is not there; put it back, or log in", "", "secrets", "get", "a/K")
}

// Somebody who can write the vault's file seals an owner key of their own to the public recipient. It is not used, and
// not shown as the key of the vault: a person would write it down. The honest file beside it still opens the vault.
func TestForeignKey(t *testing.T) {
	t.Parallel()
	identity := func(key string) string {
		file := filepath.Join(t.TempDir(), key)
		if err := os.WriteFile(file, []byte(devicetest.Identity(key, devicetest.Works)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	mine, other := identity("mine"), identity("kept")
	vaultAt := func(home string) string { return filepath.Join(home, ".local/share/ass/vault.db") }
	sealedIn := func(home, key string) (whole, sealed []byte) {
		whole, err := os.ReadFile(vaultAt(home))
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.LastIndex(whole, []byte("age-encryption.org/v1\n-> test "+key))
		return whole, whole[at:][:binary.BigEndian.Uint32(whole[at-4:])]
	}
	mallory := t.TempDir()
	mustRun(t, mallory, "login", "--identity", mine) // as somebody does who has the recipient alone
	_, foreign := sealedIn(mallory, "mine")
	plant := func(home, over string) {
		whole, sealed := sealedIn(home, over)
		if len(sealed) != len(foreign) {
			t.Fatalf("the age files have %d and %d bytes", len(sealed), len(foreign))
		}
		if err := os.WriteFile(vaultAt(home), bytes.ReplaceAll(whole, sealed, foreign), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	alone := t.TempDir()
	mustRun(t, alone, "login", "--identity", mine)
	plant(alone, "mine")
	for _, args := range [][]string{{"key", "show"}, {"key", "show", "--paper"}, {"key", "split", "--shares", "3", "--threshold", "2"},
		{"secrets", "get", "a/K"}, {"secrets", "set", "a/K", "hunter2"}, {"login", "--identity", mine}} {
		out, err := assAt(t, alone, "", args...)
		if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 8 || strings.Contains(string(out), "AGE-SECRET") {
			t.Errorf("ass %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}

	both := t.TempDir()
	mustRun(t, both, "login", "--identity", other)
	mustRun(t, both, "secrets", "set", "a/K", "hunter2")
	mustRun(t, both, "key", "add", "--identity", mine, "--name", "mine")
	mustRun(t, both, "login", "--identity", mine)
	plant(both, "kept")
	if got := strings.TrimSpace(mustRun(t, both, "secrets", "get", "a/K")); got != "hunter2" {
		t.Errorf("with a file of somebody else's before the honest one: %q", got)
	}
	if out, err := assAt(t, both, "", "audit", "verify"); err == nil {
		t.Errorf("a verification finds nothing: %s", out)
	}
}

// Who types nothing where the owner key is asked for gets an error, and no crash.
func TestNoOwnerKeyTyped(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	mustRun(t, home, "secrets", "set", "a/K", "hunter2")
	backup := filepath.Join(home, "backup.db")
	mustRun(t, home, "vault", "backup", backup)
	mustRun(t, home, "logout")
	cmd := exec.Command("ass", "vault", "restore", backup)
	cmd.Env = append(withHome(home), "TERM=xterm")
	term := startCmdOnTerminal(t, cmd, 120)
	term.await("Owner key: ")
	term.typeIn("\r")
	if exit, screen := term.exitCode(), term.all(); exit != 2 || !strings.Contains(screen, "owner key") || strings.Contains(screen, "bug") {
		t.Errorf("%d: %s", exit, screen)
	}
}
