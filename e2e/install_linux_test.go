package e2e

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestInstall runs the README's line. It builds a static program, in which no file is open that nobody gave it:
// --passphrase-fd takes nothing of the runtime's for a passphrase.
func TestInstall(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	readme, err := os.ReadFile(fromRoot("README.md"))
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile("`([A-Z_0-9=]* ?go install .*?)`").FindSubmatch(readme)
	if line == nil {
		t.Fatal("the README does not say how to install ass")
	}
	bin := t.TempDir()
	cmd := exec.Command("sh", "-c", string(line[1]))
	cmd.Dir, cmd.Env = fromRoot("."), append(os.Environ(), "GOBIN="+bin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ass := filepath.Join(bin, "ass")
	f, err := elf.Open(ass)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Errorf("%s builds a program that needs libraries", line[1])
		}
	}
	for fd := 3; fd < 10; fd++ {
		home := t.TempDir()
		login := exec.Command(ass, "login", "--passphrase-fd", strconv.Itoa(fd))
		login.Env = withHome(home)
		out, _ := login.CombinedOutput()
		if code := login.ProcessState.ExitCode(); code != 2 || !strings.Contains(string(out), "cannot be read") {
			t.Errorf("login with a passphrase from descriptor %d, which nobody opened: exit code %d, %s", fd, code, out)
		}
	}
}
