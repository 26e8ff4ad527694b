package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// These tests mount a vault as containers do: its folder, or its file alone. The "container" has its own
// home, with a copy of the owner's config, and no memory of its own.

// bind mounts a file or a folder in the place of another.
func bind(t *testing.T, from, at string, flags uintptr) {
	t.Helper()
	err := unix.Mount(from, at, "", unix.MS_BIND, "")
	if err == nil && flags != 0 {
		err = unix.Mount("", at, "", unix.MS_BIND|unix.MS_REMOUNT|flags, "")
	}
	if err != nil {
		t.Skipf("nothing can be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
}

// side is one side of a mount: a home, and the path that the vault has there.
type side struct {
	t           *testing.T
	home, vault string
}

func (s side) run(key string, args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	cmd := exec.Command("ass", args...)
	cmd.Env = append(withHome(s.home), "ASS_API_URL="+s.vault, "ASS_AGENT_KEY="+key)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run()
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// ends runs ass, which must end with a code, and say something on stderr; "" is nothing.
func (s side) ends(code int, says, key string, args ...string) (stdout string) {
	s.t.Helper()
	out, errs, got := s.run(key, args...)
	if got != code || !strings.Contains(errs, says) || says == "" && errs != "" {
		s.t.Errorf("ass %v ends with %d, want %d; it says %q, want %q", args, got, code, errs, says)
	}
	return out
}

// twoSides returns a vault with an agent, on its host, and a container in which nothing is mounted so far.
func twoSides(t *testing.T) (host, inside side, key string) {
	host = side{t, t.TempDir(), filepath.Join(t.TempDir(), "vault.db")}
	inside = side{t, t.TempDir(), filepath.Join(t.TempDir(), "vault.db")}
	file := filepath.Join(host.home, "key")
	defaultVault := filepath.Join(host.home, ".local/share/ass/vault.db")
	must(t, host.home, "secrets", "set", "a/K", "hunter2")
	must(t, host.home, "agents", "create", "--name", "worker", "--scopes", "secrets:read:a/*", "--write-key", file)
	if err := os.Rename(defaultVault, host.vault); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(inside.home, ".config"), os.DirFS(filepath.Join(host.home, ".config"))); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{".config/ass": 0o700, ".config/ass/config.json": 0o600} {
		if err := os.Chmod(filepath.Join(inside.home, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	return host, inside, strings.TrimSpace(string(b))
}

// A file that is mounted alone serves everything that needs no rewrite, and says why it serves no other act.
// Once the host has replaced its file, nothing is read from the old one any more: a revoked agent does not
// go on, and no entry of the log is lost.
func TestMountedFile(t *testing.T) {
	host, inside, key := twoSides(t)
	if err := os.WriteFile(inside.vault, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	bind(t, host.vault, inside.vault, 0)

	if out := inside.ends(0, "", key, "secrets", "get", "a/K"); out != "hunter2" {
		t.Errorf("the agent reads %q", out)
	}
	inside.ends(0, "", "", "secrets", "set", "a/L", "hunter2")
	before, err := os.ReadFile(host.vault)
	if err != nil {
		t.Fatal(err)
	}
	const why = "/vault.db is mounted on its own, so it can be neither replaced nor removed; nothing was changed; mount the " +
		"folder that it is in, not the file\n"
	for _, args := range [][]string{
		{"agents", "revoke", "worker", "--force"}, {"vault", "rekey", "--force"}, {"vault", "compact"},
		{"secrets", "set", "a/K", "hunter2", "--tier", "critical"},
	} {
		inside.ends(1, why, "", args...)
	}
	if after, err := os.ReadFile(host.vault); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the vault has changed: %v", err)
	}
	left, err := os.ReadDir(filepath.Dir(inside.vault))
	for _, e := range left {
		if name := e.Name(); err != nil || !strings.HasPrefix(name, "vault.db") || strings.HasSuffix(name, ".new") {
			t.Errorf("%s was left, %v", name, err)
		}
	}
	if out := inside.ends(0, "", "", "status"); !strings.Contains(out, "vault.db is mounted on its own") {
		t.Errorf("status does not tell: %s", out)
	}

	host.ends(0, "will be re-encrypted", "", "agents", "revoke", "worker", "--force")
	const gone = "/vault.db has no name any more: where it is mounted from, another file took its place, or it was removed, so " +
		"what is written to it would be lost; mount the folder that it is in, not the file, and start again\n"
	old, err := os.ReadFile(inside.vault)
	if err != nil {
		t.Fatal(err)
	}
	for who, key := range map[string]string{"the agent": key, "the owner": ""} {
		if out := inside.ends(1, gone, key, "secrets", "get", "a/K"); out != "" {
			t.Errorf("%s still reads %q", who, out)
		}
	}
	inside.ends(1, gone, "", "secrets", "set", "a/K", "lost")
	inside.ends(1, gone, "", "vault", "compact")
	inside.ends(0, gone, "", "secrets", "list", "a")
	if out := inside.ends(0, "", "", "status"); !strings.Contains(out, strings.TrimPrefix(strings.TrimSpace(gone), "/")) {
		t.Errorf("status does not tell: %s", out)
	}
	if now, err := os.ReadFile(inside.vault); err != nil || !bytes.Equal(now, old) {
		t.Errorf("the old file has changed: %v", err)
	}
	host.ends(0, "", "", "audit", "verify")
}

// The lock of the vault lies beside it, where a container may have nothing that can be written.
func TestMountedFileInAReadOnlyFolder(t *testing.T) {
	host, _, _ := twoSides(t)
	dir := smallDisk(t, "size=64k")
	inside := side{t, host.home, filepath.Join(dir, "vault.db")}
	if err := os.WriteFile(inside.vault, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	readOnly(t, dir)
	bind(t, host.vault, inside.vault, 0)
	inside.ends(0, "", "", "secrets", "list", "a")
	inside.ends(1, "vault.db.lock: read-only file system; the lock of the vault lies beside it, so mount the folder that it "+
		"is in, not the file\n", "", "secrets", "get", "a/K")
}

// The host and the container know the file by two names, each with a lock of its own. Whoever reads while
// the other writes finds nothing damaged; what was said to be done is in the log.
func TestMountedFileInUse(t *testing.T) {
	host, inside, key := twoSides(t)
	if err := os.WriteFile(inside.vault, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	bind(t, host.vault, inside.vault, 0)
	const each = 25
	var all sync.WaitGroup
	var mu sync.Mutex
	done := 0
	for _, where := range []side{host, inside} {
		for _, args := range [][]string{{"secrets", "get", "a/K"}, {"secrets", "list", "a"}} {
			all.Go(func() {
				for range each {
					out, errs, code := where.run(key, args...)
					if code != 0 && code != 7 {
						t.Errorf("ass %v ends with %d: %s", args, code, errs)
					}
					if mu.Lock(); out == "hunter2" {
						done++
					}
					mu.Unlock()
				}
			})
		}
	}
	all.Wait()
	out := host.ends(0, "", "", "audit", "--limit", "0", "--action", "secret.read")
	if logged := strings.Count(out, "\n"); logged < done || done == 0 {
		t.Errorf("%d values were read, and %d reads are in the log", done, logged)
	}
	host.ends(0, "", "", "audit", "verify")
}

// A folder that is mounted serves every act, on both sides. Read-only, it serves what logs nothing.
func TestMountedFolder(t *testing.T) {
	host, inside, key := twoSides(t)
	bind(t, filepath.Dir(host.vault), filepath.Dir(inside.vault), 0)
	if out := inside.ends(0, "", key, "secrets", "get", "a/K"); out != "hunter2" {
		t.Errorf("the agent reads %q", out)
	}
	inside.ends(0, "", "", "vault", "rekey", "--force")
	host.ends(0, "will be re-encrypted", "", "agents", "revoke", "worker", "--force")
	if out := inside.ends(5, "opens nothing in the vault", key, "secrets", "get", "a/K"); out != "" {
		t.Errorf("the agent still reads %q", out)
	}
	inside.ends(0, "", "", "audit", "verify")

	reader := side{t, inside.home, filepath.Join(t.TempDir(), "vault.db")}
	bind(t, filepath.Dir(host.vault), filepath.Dir(reader.vault), unix.MS_RDONLY)
	if out := reader.ends(0, "", "", "secrets", "list", "a"); !strings.Contains(out, "a/K") {
		t.Errorf("it lists %q", out)
	}
	reader.ends(1, "read-only file system; nothing was changed: every access is logged in the vault's file, so it must be "+
		"writable; as the owner, read with --unlogged", "", "secrets", "get", "a/K")
	if out := reader.ends(0, "1 value was read without a log entry", "", "secrets", "get", "a/K", "--unlogged"); out != "hunter2" {
		t.Errorf("the owner reads %q", out)
	}
}

// A config that is mounted alone stays as it is, and the error of whatever would replace it says so.
func TestMountedConfig(t *testing.T) {
	host, inside, _ := twoSides(t)
	bind(t, filepath.Dir(host.vault), filepath.Dir(inside.vault), 0)
	config := filepath.Join(inside.home, ".config/ass/config.json")
	b, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	// The run that made the vault died before it noted the vault's id, which the next command does.
	i := bytes.Index(b, []byte(`"vault"`))
	if i < 0 {
		t.Fatalf("no vault in %s", b)
	}
	id := b[i:][:bytes.IndexAny(b[i:], ",\n")]
	if err := os.WriteFile(config, bytes.Replace(b, id, []byte(`"vault": ""`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	bind(t, config, config, 0)
	if out := inside.ends(0, "", "", "secrets", "get", "a/K"); out != "hunter2" {
		t.Errorf("the owner reads %q", out)
	}
	inside.ends(1, "config.json is mounted on its own, so it can be neither replaced nor removed; mount the folder that it is "+
		"in, not the file\n", "", "logout", "--force")
}
