package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// write makes a file in the working folder.
func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// On a terminal, an import lists the secrets that it replaces, with full paths. If only
// .assrc names the namespace, the import asks before it replaces them.
func TestImportOnATerminal(t *testing.T) {
	home := t.TempDir()
	t.Chdir(t.TempDir())
	if out, err := assIn(home, "secrets", "set", "prod/A", "hunter2-old"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	write(t, "new.env", "A=hunter2-new\nB=hunter2-b\n")
	term := startOnTerminal(t, home, "env", "import", "new.env", "--namespace", "prod")
	term.await("Imported 2 secrets to prod")
	if code := term.exitCode(); code != 0 || strings.Count(term.text(), "ass: replaced: ") != 1 ||
		!strings.Contains(term.text(), "ass: replaced: prod/A\r\n") {
		t.Errorf("exit code %d:\n%s", code, term.text())
	}
	if strings.Contains(term.text(), "hunter2") || strings.Contains(term.text(), "[y/N]") {
		t.Errorf("the screen is:\n%s", term.text())
	}

	write(t, ".assrc", `{"namespace":"prod","version":1}`)
	write(t, "again.env", "A=hunter2-again\nC=hunter2-c\n")
	term = startOnTerminal(t, home, "env", "import", "again.env")
	term.await("Replace 1 secret in prod, the namespace from")
	term.typeIn("n\r")
	if code := term.exitCode(); code != 1 || !strings.Contains(term.text(), "ass: would replace: prod/A\r\n") {
		t.Errorf("exit code %d:\n%s", code, term.text())
	}
	if out, _ := assIn(home, "secrets", "get", "prod/A"); string(out) != "hunter2-new" {
		t.Errorf("after no: %q", out)
	}
	if out, err := assIn(home, "secrets", "get", "prod/C"); err == nil {
		t.Errorf("after no, a part was imported: %q", out)
	}
	term = startOnTerminal(t, home, "env", "import", "again.env")
	term.await("[y/N]")
	term.typeIn("y\r")
	term.await("Imported 2 secrets to prod")
	if out, _ := assIn(home, "secrets", "get", "prod/A"); string(out) != "hunter2-again" {
		t.Errorf("after yes: %q", out)
	}
	// The import replaces nothing, so it asks nothing.
	term = startOnTerminal(t, home, "env", "import", "again.env")
	term.await("Imported 0 secrets to prod")
	for _, flags := range [][]string{{"--force"}, {"--on-conflict", "update"}, {"--namespace", "prod"}} {
		write(t, "again.env", "A=hunter2"+strings.Join(flags, "")+"\n")
		term = startOnTerminal(t, home, append([]string{"env", "import", "again.env"}, flags...)...)
		term.await("Imported 1 secret to prod")
		if strings.Contains(term.text(), "[y/N]") || !strings.Contains(term.text(), "replaced: prod/A") {
			t.Errorf("%v:\n%s", flags, term.text())
		}
	}
}

// An import replaces only the secrets that the user was shown. If another one was stored
// meanwhile, it imports nothing.
func TestImportReplacesWhatWasShown(t *testing.T) {
	home := t.TempDir()
	t.Chdir(t.TempDir())
	if out, err := assIn(home, "secrets", "set", "prod/A", "hunter2-old"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	write(t, ".assrc", `{"namespace":"prod","version":1}`)
	write(t, "new.env", "A=hunter2-new\nB=hunter2-b\n")
	term := startOnTerminal(t, home, "env", "import", "new.env")
	term.await("[y/N]")
	if out, err := assIn(home, "secrets", "set", "prod/B", "hunter2-meanwhile"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	term.typeIn("y\r")
	term.await("prod/B was changed by another process; nothing was imported; run it again")
	if code := term.exitCode(); code != 1 {
		t.Errorf("exit code %d:\n%s", code, term.text())
	}
	if out, _ := assIn(home, "secrets", "get", "prod/A"); string(out) != "hunter2-old" {
		t.Errorf("prod/A is %q", out)
	}
}

// After an import on a terminal, ass warns if git tracks the file or does not ignore it.
// git runs no command that the repository names, and variables do not redirect git.
func TestImportHintsAtGit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("there is no git here")
	}
	home := t.TempDir()
	dir := t.TempDir()
	t.Chdir(dir)
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=x", "-c", "user.email=x@example.com"}, args...)...)
		cmd.Env = append(os.Environ(), "HOME="+home, "GIT_CONFIG_NOSYSTEM=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	write(t, ".env", "A=hunter2\n")
	importing := func(want string) {
		t.Helper()
		term := startOnTerminal(t, home, "env", "import", ".env", "--namespace", "prod")
		term.await("to prod")
		if code := term.exitCode(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if want == "" {
			time.Sleep(50 * time.Millisecond) // time for a hint to appear
			if strings.Contains(term.text(), "git") {
				t.Errorf("unasked for:\n%s", term.text())
			}
			return
		}
		term.await(want)
	}
	importing("") // there is no repository
	git("init", "-q")
	hook := filepath.Join(dir, "hook")
	if err := os.WriteFile(hook, []byte("#!/bin/sh\necho ran >"+filepath.Join(dir, "ran")+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	git("config", "core.fsmonitor", hook)
	t.Setenv("GIT_DIR", filepath.Join(dir, "nowhere"))
	t.Setenv("GIT_TRACE", filepath.Join(dir, "ran"))
	importing("ass: git does not ignore .env; the vault has its secrets now, so remove the file, or add it to " +
		".gitignore\r\n")
	_ = os.Remove(filepath.Join(dir, "ran"))
	importing("git does not ignore .env")
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("git ran what the repository or a variable names")
	}
	os.Unsetenv("GIT_DIR")
	os.Unsetenv("GIT_TRACE")
	git("config", "--unset", "core.fsmonitor")
	git("add", ".env")
	git("commit", "-qm", "x")
	importing("ass: git tracks .env, so these secrets may be in its history; take the file out with git rm --cached -- " +
		".env, and rotate them\r\n")
	git("rm", "-q", "--cached", ".env")
	write(t, ".gitignore", ".env\n")
	importing("")
	cmd := exec.Command("ass", "env", "import", ".env", "--namespace", "prod") // in a pipe, ass gives no hints
	cmd.Env = withHome(home)
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "git") {
		t.Errorf("%v\n%s", err, out)
	}
}

// If a repository lacks an object, and names a command that would fetch it, git does not
// run that command.
func TestImportHintsFetchNothing(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("there is no git here")
	}
	home, dir := t.TempDir(), t.TempDir()
	t.Chdir(dir)
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=x", "-c", "user.email=x@example.com"}, args...)...)
		cmd.Env = append(os.Environ(), "HOME="+home, "GIT_CONFIG_NOSYSTEM=1")
		out, err := cmd.Output()
		if err != nil {
			t.Skipf("this git cannot do it: git %v: %v", args, err)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "-q")
	for _, folder := range []string{"gone", "kept"} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, folder+"/f", folder)
	}
	git("add", "gone", "kept")
	git("commit", "-qm", "x")
	git("sparse-checkout", "set", "--cone", "--sparse-index", "kept")
	tree := git("rev-parse", "HEAD:gone")
	if err := os.Remove(filepath.Join(".git/objects", tree[:2], tree[2:])); err != nil {
		t.Skip(err)
	}
	for name, value := range map[string]string{
		"remote.origin.url": "ext::sh -c touch% " + dir + "/ran", "protocol.ext.allow": "always",
		"remote.origin.promisor":       "true",
		"core.repositoryformatversion": "1", "extensions.partialClone": "origin",
	} {
		git("config", name, value)
	}
	write(t, ".env", "A=hunter2\n")
	term := startOnTerminal(t, home, "env", "import", ".env", "--namespace", "prod")
	term.await("to prod")
	if code := term.exitCode(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, term.text())
	}
	if _, err := os.Stat("ran"); err == nil {
		t.Error("git ran a command of the repository's")
	}
	ls := exec.Command("git", "ls-files", "--error-unmatch", "--", ".env") // plain git would run it
	_ = ls.Run()
	if _, err := os.Stat("ran"); err != nil {
		t.Skip("this git fetches nothing by itself")
	}
}

// On a terminal, ass overwrites a file that it did not write only if the user says yes, and
// trusts an .assrc only if the user says yes.
func TestAsksOnATerminal(t *testing.T) {
	home := t.TempDir()
	t.Chdir(t.TempDir())
	if out, err := assIn(home, "secrets", "set", "prod/A", "hunter2"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	write(t, "theirs.env", "KEEP=1\n")
	for answer, want := range map[string]string{"n": "KEEP=1\n", "y": "A=hunter2\n"} {
		write(t, "theirs.env", "KEEP=1\n")
		term := startOnTerminal(t, home, "env", "export", "prod", "--output", "theirs.env")
		term.await("theirs.env already exists, and ass did not write it or it was changed since. Overwrite it? [y/N] ")
		term.typeIn(answer + "\r")
		code := term.exitCode()
		if b, err := os.ReadFile("theirs.env"); err != nil || string(b) != want || (code == 0) != (answer == "y") {
			t.Errorf("after %s: exit code %d, %q, %v", answer, code, b, err)
		}
	}
	write(t, ".assrc", `{"namespace":"prod","version":1}`)
	term := startOnTerminal(t, home, "init", "--trust")
	term.await("Trust this file as it is? [y/N] ")
	term.typeIn("\r")
	if code := term.exitCode(); code != 1 {
		t.Errorf("exit code %d:\n%s", code, term.text())
	}
	if out, err := assIn(home, "env", "export"); err == nil {
		t.Errorf("after no: %q", out)
	}
	term = startOnTerminal(t, home, "init", "--trust")
	term.await("ass run and ass env export hand over the namespace prod here")
	term.await("Trust this file as it is? [y/N] ")
	term.typeIn("y\r")
	term.await("Trusted")
	if out, err := assIn(home, "env", "export"); err != nil || string(out) != "A=hunter2\n" {
		t.Errorf("after yes: %q, %v", out, err)
	}
}
