package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// These tests show what a user sees if the disk is full, and then has room again. They
// mount a small disk where they can, and also limit the size of files.

type fullDisk struct {
	t     *testing.T
	home  string
	vault string
	says  string // the end of the message after a failed write
	set   func(kib int)
	limit int // largest file in KiB; 0 for no limit
}

func newFullDisk(t *testing.T, limited bool) *fullDisk {
	d := &fullDisk{t: t, home: t.TempDir()}
	if limited {
		d.vault = filepath.Join(d.home, ".local/share/ass/vault.db")
		d.says = "file too large; nothing was changed; let files be larger (ulimit -f), and run it again"
		d.set = func(kib int) { d.limit = kib }
		return d
	}
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=64m"); err != nil {
		t.Skipf("no small disk can be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	d.vault = filepath.Join(dir, "vault.db")
	d.says = "no space left on device; nothing was changed; make room and run it again"
	d.set = func(kib int) {
		if kib == 0 {
			kib = 64 << 10
		}
		if err := unix.Mount("none", dir, "tmpfs", unix.MS_REMOUNT, fmt.Sprintf("size=%dk", kib)); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// run runs ass, and returns its stdout and stderr.
func (d *fullDisk) run(stdin string, args ...string) (stdout, stderr string, err error) {
	d.t.Helper()
	cmd := exec.Command("ass", args...)
	if d.limit > 0 { // bash counts in KiB
		cmd = exec.Command("bash", append([]string{"-c", fmt.Sprintf(`ulimit -f %d && exec ass "$@"`, d.limit), "ass"},
			args...)...)
		if cmd.Err != nil {
			d.t.Skip(cmd.Err)
		}
	}
	cmd.Env = append(withHome(d.home), "ASS_API_URL="+d.vault)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

func (d *fullDisk) must(stdin string, args ...string) string {
	d.t.Helper()
	stdout, stderr, err := d.run(stdin, args...)
	if err != nil {
		d.t.Fatalf("ass %v: %v\n%s", args, err, stderr)
	}
	return stdout
}

// state returns the list of secrets and the log.
func (d *fullDisk) state() string {
	d.t.Helper()
	return d.must("", "secrets", "list", "*", "--json") + d.must("", "audit", "--limit", "0", "--json")
}

// fails runs ass without enough room: the command fails with one line, and the vault is
// as before. Then it runs ass again with room, which must work.
func (d *fullDisk) fails(kib int, stdin string, args ...string) {
	d.t.Helper()
	before := d.state()
	_ = os.Remove(d.vault + ".reserve") // it does not count as room
	d.set(kib)
	stdout, stderr, err := d.run(stdin, args...)
	d.set(0)
	code := 0
	if exit, ok := err.(*exec.ExitError); ok {
		code = exit.ExitCode()
	}
	if code != 1 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.HasSuffix(stderr, d.says+"\n") ||
		!strings.Contains(stderr, d.vault) {
		d.t.Errorf("ass %v without room: exit code %d, stdout %q, stderr %q", args[:2], code, stdout, stderr)
	}
	if after := d.state(); after != before {
		d.t.Errorf("ass %v failed, and changed the vault: it was\n%s\nand is\n%s", args[:2], before, after)
	}
	if left, _ := filepath.Glob(d.vault + ".new"); len(left) > 0 {
		d.t.Errorf("ass %v left a file behind: %s", args[:2], left)
	}
	d.must(stdin, args...)
	d.must("", "vault", "check")
}

func TestDiskThatFillsUp(t *testing.T) {
	var env strings.Builder
	for i := range 150 {
		fmt.Fprintf(&env, "KEY_%d=hunter2%0990d\n", i, i)
	}
	for name, limited := range map[string]bool{"small disk": false, "file size limit": true} {
		t.Run(name, func(t *testing.T) {
			d := newFullDisk(t, limited)
			d.must("", "secrets", "set", "a/K", "hunter2")
			d.fails(60, "", "secrets", "set", "a/BIG", strings.Repeat("hunter2", 10000))
			d.fails(200, env.String(), "env", "import", "-", "--namespace", "b")
			var old unix.Stat_t
			if err := unix.Stat(d.vault, &old); err != nil {
				t.Fatal(err)
			}
			room := 100 // KiB; too little for the new file beside the old one
			if !limited {
				room += int(old.Blocks / 2)
			}
			d.fails(room, "", "secrets", "purge", "a/BIG", "--force")
			d.must("", "secrets", "set", "a/AGAIN", "hunter2")
			d.fails(room, "", "vault", "compact")
			if got := d.must("", "secrets", "get", "a/K"); got != "hunter2" {
				t.Errorf("a/K is %q", got)
			}
		})
	}
}

// If the vault's file may not be written, listing works. Reading a value does not, because
// the read could not be logged.
func TestVaultThatMayNotBeWritten(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write everything")
	}
	home := t.TempDir()
	if out, err := assIn(home, "secrets", "set", "a/K", "hunter2"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file := filepath.Join(home, ".local/share/ass/vault.db")
	if err := os.Chmod(file, 0o400); err != nil {
		t.Fatal(err)
	}
	if out, err := assIn(home, "secrets", "list", "a"); err != nil || !strings.Contains(string(out), "a/K") {
		t.Errorf("list: %v\n%s", err, out)
	}
	for _, args := range [][]string{{"secrets", "get", "a/K"}, {"secrets", "set", "a/K", "other"}} {
		out, err := assIn(home, args...)
		if err == nil || strings.Contains(string(out), "hunter2") || !strings.Contains(string(out),
			"so it must be writable; ") {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := assIn(home, "secrets", "get", "a/K"); err != nil || string(out) != "hunter2" {
		t.Errorf("afterwards: %q, %v", out, err)
	}
}

// If the disk has room for only some of its files, the first command fails with a clear
// line. When there is room again, the same command works.
func TestFirstVaultOnASmallDisk(t *testing.T) {
	failed := 0
	for kib := 4; kib <= 80; kib += 8 {
		d := newFullDisk(t, false)
		d.home = filepath.Dir(d.vault)
		d.set(kib)
		stdout, stderr, err := d.run("", "secrets", "set", "a/K", "hunter2")
		if err != nil {
			failed++
			if stdout != "" || !strings.HasPrefix(stderr, "ass: ") || !strings.Contains(stderr, "no space left on device") ||
				!strings.HasSuffix(stderr, "make room and run it again\n") {
				t.Errorf("%d KiB: stdout %q, stderr %q", kib, stdout, stderr)
			}
		}
		d.set(0)
		d.must("", "secrets", "set", "a/K", "hunter2")
		d.must("", "vault", "check")
		if got := d.must("", "secrets", "get", "a/K"); got != "hunter2" {
			t.Errorf("%d KiB: a/K is %q", kib, got)
		}
	}
	if failed < 3 || failed > 8 {
		t.Errorf("it failed %d times: were these the right sizes?", failed)
	}
}

// On a full disk, secrets can still be read: ass gives up the room that it keeps for their log
// entries, and says so. Nothing is stored until there is room again.
func TestReadsOnAFullDisk(t *testing.T) {
	d := newFullDisk(t, false)
	d.must("", "secrets", "set", "a/K", "hunter2")
	reserve, filler := d.vault+".reserve", filepath.Join(filepath.Dir(d.vault), "filler")
	var st unix.Stat_t
	if err := unix.Stat(reserve, &st); err != nil || st.Blocks < 2048 {
		t.Fatalf("the reserve has %d blocks, %v", st.Blocks, err)
	}
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	zeroes := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(zeroes)
	}
	f.Close()
	warned := 0
	for range 200 {
		stdout, stderr, err := d.run("", "secrets", "get", "a/K")
		if err != nil || stdout != "hunter2" {
			t.Fatalf("it reads %q, %v: %s", stdout, err, stderr)
		}
		if strings.HasPrefix(stderr, "ass: warning: the disk is full, so ass gave up the 1 MiB that it keeps beside the vault") {
			warned++
		} else if stderr != "" {
			t.Fatal(stderr)
		}
	}
	if _, err := os.Lstat(reserve); err == nil || warned != 1 {
		t.Errorf("it warned %d times, and the reserve: %v", warned, err)
	}
	if stdout, stderr, err := d.run(strings.Repeat("hunter2", 140_000), "secrets", "set", "a/BIG"); err == nil ||
		!strings.Contains(stderr, d.says) {
		t.Errorf("it stores on a full disk: %q, %q, %v", stdout, stderr, err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	d.must(strings.Repeat("hunter2", 140_000), "secrets", "set", "a/BIG")
	if _, err := os.Lstat(reserve); err != nil {
		t.Errorf("with room again, there is no reserve: %v", err)
	}
	d.must("", "vault", "check")
	d.must("", "audit", "verify")
}

// A vault on a full disk is compacted by way of another disk. If there is no room beside it for the new
// file, that stays whole on the other disk, and the message has the command that puts it in place.
func TestCompactByWayOfAnotherDisk(t *testing.T) {
	d := newFullDisk(t, false)
	other := t.TempDir()
	d.must("", "secrets", "set", "a/K", "hunter2")
	for range 6 {
		d.must(strings.Repeat("hunter2", 140_000), "secrets", "set", "a/BIG")
	}
	d.must("", "vault", "compact", "--to", other)
	if left, _ := os.ReadDir(other); len(left) > 0 {
		t.Errorf("left on the other disk: %v", left)
	}
	for i := range 40 { // so that some pages are free
		d.must("", "secrets", "set", "a/K", fmt.Sprint("hunter2-", i))
	}
	filler, err := os.Create(filepath.Join(filepath.Dir(d.vault), "filler"))
	if err != nil {
		t.Fatal(err)
	}
	for zeroes := make([]byte, 4096); err == nil; {
		_, err = filler.Write(zeroes)
	}
	filler.Close()
	if _, errs, err := d.run("", "vault", "compact"); err == nil || !strings.Contains(errs, d.says) {
		t.Errorf("there is room: %v: %s", err, errs)
	}
	before := d.state()
	whole := filepath.Join(other, "vault.db")
	_, errs, err := d.run("", "vault", "compact", "--to", other)
	if err == nil || !strings.HasSuffix(errs, "which is whole in "+whole+"; while nobody uses the vault, put it in place by hand: mv "+
		whole+" "+d.vault+"\n") {
		t.Fatalf("%v: %s", err, errs)
	}
	if after := d.state(); after != before {
		t.Errorf("it changed the vault: it was\n%s\nand is\n%s", before, after)
	}
	if err := os.Truncate(filler.Name(), 0); err != nil { // the new file may be a little larger here
		t.Fatal(err)
	}
	if out, err := exec.Command("mv", whole, d.vault).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := d.must("", "secrets", "get", "a/K"); got != "hunter2-39" {
		t.Errorf("it is %q", got)
	}
	d.must("", "vault", "check")
	d.must("", "audit", "verify")
}

// On a disk that cannot be written, the owner reads with --unlogged. An agent does not.
func TestReadsOnAReadOnlyDisk(t *testing.T) {
	d := newFullDisk(t, false)
	d.must("", "secrets", "set", "a/K", "hunter2")
	key := filepath.Join(d.home, "key")
	d.must("", "agents", "create", "--name", "worker", "--scopes", "secrets:read:*", "--write-key", key)
	readOnly(t, filepath.Dir(d.vault))
	if _, errs, err := d.run("", "secrets", "get", "a/K"); err == nil || !strings.Contains(errs, "read-only file system") ||
		!strings.Contains(errs, "as the owner, read with --unlogged") {
		t.Errorf("%v: %s", err, errs)
	}
	out, errs, err := d.run("", "secrets", "get", "a/K", "--unlogged")
	if err != nil || out != "hunter2" || !strings.HasPrefix(errs, "ass: 1 value was read without a log entry; ") {
		t.Errorf("it reads %q, %v: %s", out, err, errs)
	}
	if out, errs, err := d.run("", "run", "--namespace", "a", "--no-redact", "--unlogged", "--", "sh", "-c", "echo $K"); err != nil ||
		out != "hunter2\n" {
		t.Errorf("it runs with %q, %v: %s", out, err, errs)
	}
	t.Setenv("ASS_AGENT_KEY_FILE", key)
	if out, errs, err := d.run("", "secrets", "get", "a/K", "--unlogged"); err == nil || out != "" ||
		!strings.Contains(errs, "only the owner may read without a log entry") {
		t.Errorf("an agent reads %q, %v: %s", out, err, errs)
	}
}
