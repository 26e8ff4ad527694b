package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ass/e2e/world"
)

// TestOffline runs docs/offline.md from top to bottom, each command on a terminal, as a person would. The comment
// "machine: NAME" before a block leads to the home of another machine; the stick is the same for all. What a person
// types is not on the page if it is hidden: the test knows it by the prompt.
func TestOffline(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	if underRace {
		t.Skip("it takes too long, and nothing here runs at once")
	}
	page, err := os.ReadFile(fromRoot("docs/offline.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)(?:<!-- (machine|needs): ([\\w -]+) -->\n)?```console\n(.*?)```").
		FindAllStringSubmatch(string(page), -1)
	p := &carrier{t: t, dir: t.TempDir()}
	p.sitDownAt("first")
	release(t, p.stick())
	for _, block := range blocks {
		switch block[1] {
		case "machine":
			p.sitDownAt(block[2])
		case "needs":
			if program := world.Missing(strings.Fields(block[2])...); program != "" {
				t.Skipf("there is no %s", program)
			}
		}
		for _, part := range strings.Split("\n"+block[3], "\n$ ")[1:] {
			command, want, _ := strings.Cut(part, "\n")
			if got := p.run(command, want); !matches(got, tidy(want)) {
				t.Errorf("$ %s\ngot:\n%s\nthe page says:\n%s", command, got, tidy(want))
			}
		}
	}
	if len(p.homes) < 2 || p.values < 2 {
		t.Errorf("the page has %d machines and %d values", len(p.homes), p.values)
	}
	for _, home := range p.homes {
		for _, dir := range []string{".config", ".local/share", ".local/state"} { // the program has the marker in it
			if file := world.FindMarker(filepath.Join(home, dir)); file != "" {
				t.Errorf("%s has a value in clear", file)
			}
		}
	}
}

// carrier does what docs/offline.md says.
type carrier struct {
	t      *testing.T
	dir    string
	home   string
	homes  []string
	key    string // the paper
	values int    // how many were typed in
	env    []string
}

func (p *carrier) stick() string { return filepath.Join(p.dir, "stick") }

func (p *carrier) sitDownAt(machine string) {
	p.home = filepath.Join(p.dir, machine)
	if !slices.Contains(p.homes, p.home) {
		p.homes = append(p.homes, p.home)
	}
	for _, dir := range []string{p.home, p.home + "/.run", p.stick()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			p.t.Fatal(err)
		}
	}
}

// run runs a command, and returns what the terminal then shows.
func (p *carrier) run(command, want string) string {
	if export := regexp.MustCompile(`^export (\w+)=(.*)$`).FindStringSubmatch(command); export != nil {
		p.env = append(p.env, export[1]+"="+p.run("exec 2>/dev/null; printf %s "+export[2], ""))
		return ""
	}
	cmd := exec.Command("sh", "-c", command)
	cmd.Dir = p.home
	cmd.Env = append(append(withHome(p.home), p.env...), "TERM=xterm", "NO_COLOR=1", "TZ=UTC", "STICK="+p.stick(),
		"XDG_RUNTIME_DIR="+p.home+"/.run")
	term := startCmdOnTerminal(p.t, cmd, 500)
	ended := make(chan int, 1)
	go func() { ended <- term.exitCode() }()
	read := 0
	for deadline := time.Now().Add(time.Minute); ; {
		select {
		case <-ended:
			term.slave.Close()
			<-term.done
			screen := strings.ReplaceAll(term.text(), "\r\n", "\n")
			screen = tidy(regexp.MustCompile(`[^\n]*\x1b\[K`).ReplaceAllString(screen, "")) // what was erased
			if key := regexp.MustCompile(`AGE-SECRET-KEY-\S+`).FindString(screen); key != "" {
				p.key = key
			}
			return screen
		case <-time.After(10 * time.Millisecond):
		}
		if answer, ok := p.answer(term.text()[read:], want); ok {
			read = len(term.text())
			term.typeIn(answer + "\n")
		}
		if time.Now().After(deadline) {
			_ = term.cmd.Process.Kill()
			p.t.Fatalf("$ %s\ndoes not end; the screen is:\n%s", command, term.text())
		}
	}
}

// answer returns what the person types when the screen ends with a prompt.
func (p *carrier) answer(screen, want string) (string, bool) {
	key := regexp.MustCompile(`AGE-SECRET-KEY-\S+`).FindString(screen)
	for prompt, answer := range map[string]func() string{
		`Passphrase(| for the owner key \(empty for none\)): $|Repeat it: $`: func() string { return "four words on paper" },
		`Owner key(|, agent key or token for .*): $`:                         func() string { return p.key },
		`last six characters .*: $`:                                          func() string { return key[len(key)-6:] },
		`Value for .*: $`: func() string {
			p.values++
			return fmt.Sprintf("%s-%d", marker, p.values)
		},
		`\[y/N\] $`: func() string {
			if says := regexp.MustCompile(`\[y/N\] (.*)`).FindStringSubmatch(want); says != nil {
				return says[1]
			}
			return "" // the page does not have the question, and the test fails
		},
	} {
		if regexp.MustCompile(prompt).MatchString(screen) {
			return answer(), true
		}
	}
	return "", false
}

// tidy leaves out where the terminal or the page breaks a message, and blanks at the ends of lines.
func tidy(screen string) string {
	var lines []string
	for line := range strings.Lines(screen) {
		lines = append(lines, strings.TrimRight(line, " \n"))
	}
	return strings.Trim(strings.ReplaceAll(strings.Join(lines, "\n"), "\n     ", " "), "\n")
}

// release puts what docs/offline.md carries into dir.
func release(t *testing.T, dir string) {
	t.Helper()
	program, err := exec.LookPath("ass")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	zip, _ := gzip.NewWriterLevel(&archive, gzip.BestSpeed)
	w := tar.NewWriter(zip)
	err = w.WriteHeader(&tar.Header{Name: "ass_0.0.0_linux_amd64/ass", Mode: 0o755, Size: int64(len(b))})
	if err == nil {
		_, err = w.Write(b)
	}
	if err != nil || w.Close() != nil || zip.Close() != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"ass_0.0.0_linux_amd64.tar.gz": archive.Bytes(),
		"SHA256SUMS": fmt.Appendf(nil, "%x  ass_0.0.0_linux_amd64.tar.gz\n%x  ass_0.0.0_darwin_arm64.tar.gz\n",
			sha256.Sum256(archive.Bytes()), sha256.Sum256(nil)),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if world.Missing("ssh-keygen") != "" {
		return
	}
	key := filepath.Join(t.TempDir(), "ass-release")
	for _, args := range [][]string{
		{"-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key},
		{"-q", "-Y", "sign", "-f", key, "-n", "file", filepath.Join(dir, "SHA256SUMS")},
	} {
		if out, err := exec.Command("ssh-keygen", args...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	public, err := os.ReadFile(key + ".pub")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "ass-release.pub"), public, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
