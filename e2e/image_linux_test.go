package e2e

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// What an image of ass may have: what a registry keeps and sends is packed, a disk has it unpacked.
const (
	mostPacked   = 6 << 20
	mostUnpacked = 13 << 20
)

// imageFile returns a Dockerfile of .ci, without its comments.
func imageFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(fromRoot(".ci/" + name))
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(string(b), "")
}

// Both images have the same things in them.
func TestImagesAreAlike(t *testing.T) {
	_, built, _ := strings.Cut(imageFile(t, "Dockerfile"), "FROM scratch\n")
	built = strings.Replace(built, "COPY --from=build /out/ass /ass\n", "COPY ass /ass\n", 1)
	if given := imageFile(t, "Dockerfile.binary"); given != "FROM scratch\n"+built {
		t.Errorf("Dockerfile.binary is\n%s\nand the end of Dockerfile is\n%s", given, built)
	}
	mod, err := os.ReadFile(fromRoot("go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)
	if want := "FROM golang:" + string(version[1]) + " AS build\n"; !strings.Contains(imageFile(t, "Dockerfile"), want) {
		t.Errorf("Dockerfile has no line %q, and go.mod needs that Go", want)
	}
}

// TestImage builds the program as .ci/Dockerfile does, and puts it where an image has it.
func TestImage(t *testing.T) {
	switch {
	case testing.Short():
		t.Skip("it takes some seconds")
	case underRace:
		t.Skip("it takes too long, and nothing here runs at once")
	}
	line := regexp.MustCompile(`(?m)^RUN (CGO_ENABLED=0 go build .*) -o /out/ass \.$`).
		FindStringSubmatch(imageFile(t, "Dockerfile"))
	if line == nil {
		t.Fatal(".ci/Dockerfile does not build ass")
	}
	context := t.TempDir()
	build := exec.Command("sh", "-c", line[1]+` -o "$0" .`, filepath.Join(context, "ass"))
	build.Dir = fromRoot(".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	program, err := os.ReadFile(filepath.Join(context, "ass"))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("small", func(t *testing.T) { imageIsSmall(t, program) })
	t.Run("empty root", func(t *testing.T) { imageInAnEmptyRoot(t, program) })
	t.Run("docker", func(t *testing.T) { imageInDocker(t, context) })
}

func imageIsSmall(t *testing.T, program []byte) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(program); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes, packed %d", len(program), packed.Len())
	if len(program) > mostUnpacked || packed.Len() > mostPacked {
		t.Errorf("the program has %d bytes, packed %d; an image may have %d and %d", len(program), packed.Len(), mostUnpacked,
			mostPacked)
	}
}

// imageInAnEmptyRoot runs the program as the image does: in a root that has nothing but it and the folders that are
// mounted, for a user without rights.
func imageInAnEmptyRoot(t *testing.T, program []byte) {
	if os.Getuid() != 0 {
		t.Skip("it needs root")
	}
	root, host := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "ass"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	text := imageFile(t, "Dockerfile.binary")
	user := regexp.MustCompile(`(?m)^USER (\d+):(\d+)$`).FindStringSubmatch(text)
	env := regexp.MustCompile(`(?m)^ENV (.*)$`).FindStringSubmatch(text)
	if user == nil || env == nil {
		t.Fatalf("Dockerfile.binary has no USER or no ENV:\n%s", text)
	}
	uid, _ := strconv.Atoi(user[1])
	gid, _ := strconv.Atoi(user[2])
	for at, from := range map[string]string{"vault": host, "state": t.TempDir(), "config": t.TempDir()} {
		err := errors.Join(os.Mkdir(filepath.Join(root, at), 0o755), os.Chown(from, uid, gid), os.Chmod(from, 0o700))
		if err != nil {
			t.Fatal(err)
		}
		bind(t, from, filepath.Join(root, at), 0)
	}
	aDayInAnImage(t, func(args ...string) *exec.Cmd {
		cmd := exec.Command("/ass", args...)
		cmd.Dir, cmd.Env = "/", strings.Fields(env[1])
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root,
			Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		return cmd
	})
	if _, err := os.Stat(filepath.Join(host, "vault.db")); err != nil {
		t.Error(err)
	}
}

// imageInDocker builds the image that needs no other one, and uses it as docs/containers.md says.
func imageInDocker(t *testing.T, context string) {
	if exec.Command("docker", "version").Run() != nil {
		t.Skip("there is no docker here that runs")
	}
	const name = "ass-test-image"
	build := exec.Command("docker", "build", "-f", fromRoot(".ci/Dockerfile.binary"), "-t", name, context)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("docker", "image", "rm", "-f", name).Run() })
	out, err := exec.Command("docker", "image", "inspect", "-f", "{{.Size}} {{.Config.User}}", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	sizeText, user, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	size, _ := strconv.Atoi(sizeText)
	t.Logf("%d bytes, for user %s", size, user)
	if size == 0 || size > mostUnpacked || strings.HasPrefix(user, "0") || user == "" {
		t.Errorf("the image has %d bytes, for user %q", size, user)
	}
	run := []string{"run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL",
		"--user", strconv.Itoa(os.Getuid()) + ":" + strconv.Itoa(os.Getgid())}
	for _, at := range []string{"vault", "state", "config"} {
		run = append(run, "-v", t.TempDir()+":/"+at)
	}
	aDayInAnImage(t, func(args ...string) *exec.Cmd { return exec.Command("docker", append(append(run, name), args...)...) })
}

// aDayInAnImage is what an owner and an agent do, each command in a container of its own.
func aDayInAnImage(t *testing.T, ass func(args ...string) *exec.Cmd) {
	t.Helper()
	do := func(want string, args ...string) {
		t.Helper()
		out, err := ass(args...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("ass %v: %v\n%s", args, err, out)
		}
	}
	do("Secret stored at demo/KEY", "secrets", "set", "demo/KEY", marker)
	do(marker, "secrets", "get", "demo/KEY")
	do("Agent created: worker", "agents", "create", "--name", "worker", "--scopes", "secrets:read:demo/*",
		"--write-key", "/state/worker.key")
	do("revoked", "agents", "revoke", "worker", "--force")
	do("OK: verified", "audit", "verify")
	do("Usage: ass", "--help")
	missing := ass("run", "--namespace", "demo", "--", "/nothing")
	if err := missing.Run(); err == nil || missing.ProcessState.ExitCode() != 127 {
		t.Errorf("a program that is not in the image ends with %v", missing.ProcessState)
	}
}
