package e2e

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// These tests make backups on full and read-only disks, and restore from them.

// smallDisk mounts a new tmpfs with these options and returns its folder.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("no disk can be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func readOnly(t *testing.T, dir string) {
	t.Helper()
	if err := unix.Mount("none", dir, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
}

// oldVault makes a vault with one value of 140 kB, and returns the home of its owner.
func oldVault(t *testing.T) (home string) {
	t.Helper()
	home = t.TempDir()
	value := filepath.Join(t.TempDir(), "value")
	if err := os.WriteFile(value, bytes.Repeat([]byte("hunter2"), 20000), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, home, "secrets", "set", "a/K", "--file", value)
	return home
}

// refused runs ass, which must fail with one line that says what is wrong.
func refused(t *testing.T, home, says string, args ...string) {
	t.Helper()
	out, err := assIn(home, args...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || strings.Count(string(out), "\n") != 1 ||
		!strings.Contains(string(out), says) {
		t.Errorf("ass %v: %v\n%s", args, err, out)
	}
}

func TestBackupOnAFullDisk(t *testing.T) {
	home, dir := oldVault(t), smallDisk(t, "size=64k")
	refused(t, home, "the backup failed after the log recorded it: write "+dir+"/x.db: no space left on device\n",
		"vault", "backup", dir+"/x.db")
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
	readOnly(t, dir)
	entries := len(must(t, home, "audit", "--json", "--limit", "0"))
	refused(t, home, "no backup was made, and nothing was changed: write "+dir+"/x.db: read-only file system\n",
		"vault", "backup", dir+"/x.db")
	refused(t, home, "nothing was changed: write "+dir+"/x.db: read-only file system\n", "audit", "archive",
		dir+"/x.db", "--before", "2099-01-01", "--force")
	refused(t, home, "nothing was salvaged: open "+dir+"/x.db.lock: read-only file system\n", "vault", "salvage",
		home+"/.local/share/ass/vault.db", dir+"/x.db")
	if len(must(t, home, "audit", "--json", "--limit", "0")) != entries {
		t.Error("it said that nothing was changed, and the log has an entry")
	}
	must(t, home, "vault", "check")
}

func must(t *testing.T, home string, args ...string) string {
	t.Helper()
	out, err := assIn(home, args...)
	if err != nil {
		t.Fatalf("ass %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func TestBackupToWhatIsNoFile(t *testing.T) {
	home, dir := oldVault(t), t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Skip(err)
	}
	for to, says := range map[string]string{"/dev/full": "already exists", fifo: "already exists"} {
		refused(t, home, says, "vault", "backup", to)
	}
	// A backup to a link to a folder goes into the folder. Backups made within one second
	// get different names.
	folder := filepath.Join(dir, "folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(folder, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		must(t, home, "vault", "backup", filepath.Join(dir, "link"))
	}
	if files, _ := os.ReadDir(folder); len(files) != 3 {
		t.Errorf("there are %v", files)
	}
	if out, err := assIn(home, "vault", "backup", dir+"/no/"); err == nil || !strings.Contains(string(out),
		"does not exist; create it first") {
		t.Errorf("%v\n%s", err, out)
	}
	for _, from := range []string{"/dev/zero", fifo, folder} {
		refused(t, home, "not a regular file", "vault", "salvage", from, dir+"/new.db")
	}
}

// If a backup was streamed only in part, ass must not report success: a partial stream is
// no backup.
func TestBackupToABrokenStdout(t *testing.T) {
	home := oldVault(t)
	run := func(stdout io.Writer) (string, error) {
		cmd := exec.Command("ass", "vault", "backup", "--to-stdout")
		cmd.Env = withHome(home)
		var errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = stdout, &errs
		err := cmd.Run()
		return errs.String(), err
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	if said, err := run(full); err == nil || !strings.HasSuffix(said, "no space left on device\n") || strings.Count(said,
		"\n") != 1 {
		t.Errorf("onto a full disk: %v\n%s", err, said)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	said, err := run(w)
	w.Close()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || said != "" || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGPIPE {
		t.Errorf("into a pipe that nobody reads: %v\n%s", err, said)
	}
	if left, _ := filepath.Glob(filepath.Join(home, ".local/share/ass/.ass-*")); len(left) > 0 {
		t.Errorf("it left %q", left)
	}
}

func TestRestoreFromAReadOnlyDisk(t *testing.T) {
	home, dir := oldVault(t), smallDisk(t, "size=8m")
	must(t, home, "vault", "backup", dir+"/x.db")
	readOnly(t, dir)
	must(t, home, "secrets", "set", "a/K", "hunter2-newer")
	must(t, home, "vault", "restore", dir+"/x.db", "--verify-only")
	must(t, home, "vault", "restore", dir+"/x.db", "--force")
	if got := must(t, home, "secrets", "get", "a/K"); strings.Contains(got, "newer") {
		t.Error("the vault is not what the backup was")
	}
	must(t, home, "vault", "check")
}

// If a rekey was cut off, the config has the vault's key as next_key. It opens with the
// passphrase of the previous key, which ass asks for once, and it survives a logout.
func TestRekeyCutOffWithAPassphrase(t *testing.T) {
	if underRace {
		t.Skip("it takes too long, and nothing here runs at once")
	}
	home := t.TempDir()
	config := filepath.Join(home, ".config/ass/config.json")
	run := func(args ...string) string {
		t.Helper()
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.WriteString("open sesame\n")
		w.Close()
		defer r.Close()
		cmd := exec.Command("ass", append(args, "--passphrase-fd", "3")...)
		cmd.Env, cmd.ExtraFiles = withHome(home), []*os.File{r}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("ass %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	stored := func() string {
		t.Helper()
		b, err := os.ReadFile(config)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(b), `"key": "`)
		key, _, ok := strings.Cut(rest, `"`)
		if !ok {
			t.Fatal("no key is stored")
		}
		return key
	}
	run("login")
	old := stored()
	run("vault", "rekey", "--new-key", "--force")
	next := stored()
	text := `{"version": 1, "profiles": {"default": {"credential": "owner", "key": "` + old + `", "next_key": "` + next +
		`", "kept": true, "vault": "` + strings.Repeat("0", 32) + `"}}}`
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run("audit", "verify")
	if stored() != next {
		t.Error("the key of the profile is not that of the vault")
	}

	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, home, "logout")
	// login checks that the key opens the vault
	run("login", "--key-file", filepath.Join(home, ".config/ass/recovery-default-next-00000000.key"))
}
