package leaks

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"ass/commands/internal/redact"
	"ass/e2e/limits"
)

func init() { limits.Set() }

// scan returns a scan for two values, and what it finds and misses, a line each.
func scan(t testing.TB) (s *Scan, lines *[]string) {
	t.Helper()
	f, left := redact.NewFinder([]redact.Secret{{Key: "A", Value: []byte("hunter2-alpha")}, {Key: "B", Value: []byte("hunter2-beta/+")}})
	if left[0] != redact.Sought || left[1] != redact.Sought {
		t.Fatal(left)
	}
	lines = &[]string{}
	s = &Scan{Finder: f, Mark: func(secret int) string { return "#" + string(rune('A'+secret)) }}
	s.Found = func(f Finding) {
		text := fmt.Sprintf("%s:%d:%d %c %s", f.File, f.Line, f.Column, 'A'+f.Secret, f.Form)
		if f.What != "" {
			text += " " + f.What
		}
		if f.More > 0 {
			text += fmt.Sprintf(" +%d", f.More)
		}
		*lines = append(*lines, text)
	}
	s.Missed = func(name string, why error) { *lines = append(*lines, fmt.Sprintf("%s! %v", name, why)) }
	return s, lines
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func wantLines(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n  %s\nwant\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// Files are looked at in the order of their names, each value is named where it stands, and many of one in one file are
// counted.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	sep := string(filepath.Separator)
	write(t, dir+"/b/.env", "X=1\nKEY=hunter2-alpha\nURL=hunter2-beta%2F%2B hunter2-alpha\n")
	write(t, dir+"/a", "aHVudGVyMi1hbHBoYQ==")
	write(t, dir+"/clean", "hunter2-alph")
	write(t, dir+"/empty", "")
	write(t, dir+"/c/hunter2-alpha/x", "nothing")
	write(t, dir+"/many", strings.Repeat("hunter2-alpha\n", 25)+strings.Repeat("hunter2-beta/+", 21))
	write(t, dir+"/vault.db", "hunter2-alpha")
	vault, err := os.Stat(dir + "/vault.db")
	if err != nil {
		t.Fatal(err)
	}
	s, lines := scan(t)
	s.Skip = []os.FileInfo{vault}
	s.Files(Files, []Root{{Path: dir}})
	want := []string{"a:1:1 A base64", "b" + sep + ".env:2:5 A plain", "b" + sep + ".env:3:5 B URL", "b" + sep + ".env:3:24 A plain",
		"c" + sep + "#A:0:0 A plain name"}
	for line := 1; line <= 20; line++ {
		want = append(want, fmt.Sprintf("many:%d:1 A plain", line))
	}
	want[len(want)-1] += " +5"
	for at := range 20 {
		want = append(want, fmt.Sprintf("many:26:%d B plain", at*14+1))
	}
	want[len(want)-1] += " +1"
	wantLines(t, "a folder", *lines, want...)
	if s.Looked.Load() != 6 || s.Unseen != 0 {
		t.Errorf("looked at %d files, missed %d", s.Looked.Load(), s.Unseen)
	}

	s, lines = scan(t)
	s.Files(Files, []Root{{dir + "/a", "a"}, {dir + "/gone", "hunter2-alpha"}, {dir + "/b", "name"}})
	wantLines(t, "named roots", (*lines)[:1], "a:1:1 A base64")
	if got := (*lines)[1]; !strings.HasPrefix(got, "#A! ") || strings.Contains(got, dir) {
		t.Errorf("a missing root: %s", got)
	}
	wantLines(t, "a folder with a name", (*lines)[2:3], "name"+sep+".env:2:5 A plain")
}

// A list that is too long ends, and the rest is counted.
func TestMostFindings(t *testing.T) {
	dir := t.TempDir()
	for i := range 530 {
		write(t, fmt.Sprintf("%s/%04d", dir, i), strings.Repeat("hunter2-alpha\n", 25))
	}
	s, lines := scan(t)
	s.Files(Files, []Root{{Path: dir}})
	if len(*lines) != MostFindings || s.Beyond != 25*30 {
		t.Errorf("%d findings, and %d more; want %d and %d", len(*lines), s.Beyond, MostFindings, 25*30)
	}
}

// A value is found at every border of what is read at once, exactly once.
func TestFilesAtBorders(t *testing.T) {
	const border = 256 << 10
	dir := t.TempDir()
	for _, at := range []int{border - 14, border - 13, border - 12, border - 7, border - 1, border, border + 1, 2*border - 20, 2*border - 3} {
		text := bytes.Repeat([]byte("x"), 3*border)
		copy(text[at:], "hunter2-alpha")
		write(t, dir+"/f", string(text))
		s, lines := scan(t)
		s.Files(Files, []Root{{Path: dir}})
		wantLines(t, fmt.Sprint(at), *lines, fmt.Sprintf("f:1:%d A plain", at+1))
	}
}

// The objects of git are compressed, so they are no files to look at. Everything beside them is.
func TestFilesOfGit(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".git/HEAD", ".git/config", ".git/refs/x", ".git/objects/info/alternates", ".git/objects/leak",
		".git/objects/pack/pack-1.pack", ".git/objects/pack/leak", ".git/objects/ab/leak",
		".git/objects/ab/0123456789abcdef0123456789abcdef012345", ".git/lfs/objects/ab/0123456789abcdef0123456789abcdef012345",
		"objects/pack/pack-1.pack", "x/objects/ab/0123456789abcdef0123456789abcdef012345"} {
		write(t, filepath.Join(dir, name), "hunter2-alpha")
	}
	s, lines := scan(t)
	s.Files(Files, []Root{{Path: dir}})
	var got []string
	for _, line := range *lines {
		name, _, _ := strings.Cut(line, ":")
		got = append(got, filepath.ToSlash(name))
	}
	wantLines(t, "a repository", got, ".git/HEAD", ".git/config", ".git/lfs/objects/ab/0123456789abcdef0123456789abcdef012345",
		".git/objects/ab/leak", ".git/objects/info/alternates", ".git/objects/leak", ".git/objects/pack/leak", ".git/refs/x",
		"objects/pack/pack-1.pack", "x/objects/ab/0123456789abcdef0123456789abcdef012345")
}

// repository makes one, and returns how to run git in it, as a person and for a scan.
func repository(t *testing.T, more ...string) (dir string, git func(args ...string) string, g Git) {
	t.Helper()
	program, err := exec.LookPath("git")
	if err != nil {
		t.Skip("there is no git here")
	}
	dir = t.TempDir()
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "SYSTEMROOT=" + os.Getenv("SYSTEMROOT")}
	git = func(args ...string) string {
		t.Helper()
		cmd := exec.Command(program, append([]string{"-c", "user.name=n", "-c", "user.email=n@example.com", "-c",
			"init.defaultBranch=main", "-c", "protocol.file.allow=always"}, args...)...)
		cmd.Dir, cmd.Env = dir, env
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git(append([]string{"init", "-q"}, more...)...)
	return dir, git, Git{func(args ...string) *exec.Cmd {
		cmd := exec.Command(program, args...)
		cmd.Dir, cmd.Env = dir, env
		return cmd
	}}
}

// history scans a repository. Ids of commits are named by their subjects.
func history(t *testing.T, git func(...string) string, g Git) []string {
	t.Helper()
	s, lines := scan(t)
	s.Found = func(f Finding) {
		commit := "nowhere"
		if f.Commit != "" {
			commit = git("log", "-1", "--format=%s", f.Commit)
		}
		*lines = append(*lines, strings.TrimSpace(fmt.Sprintf("%s:%s:%d:%d %c %s %s", commit, f.File, f.Line, f.Column, 'A'+f.Secret, f.Form, f.What)))
		if f.In != History || len(f.Object) < 40 || strings.Contains(f.Object, " ") {
			t.Errorf("a finding in the history: %+v", f)
		}
	}
	if err := s.History(g); err != nil {
		t.Fatal(err)
	}
	return *lines
}

// The history has everything that git keeps: of each branch, of merges, tags and stashes, of what was amended or
// dropped.
func TestHistory(t *testing.T) {
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) {
			dir, git, g := repository(t, "--object-format="+format)
			put := func(name, content string) {
				write(t, filepath.Join(dir, name), content)
				git("add", "-A")
			}
			wantLines(t, "an empty repository", history(t, git, g))
			put("clean", "nothing")
			git("commit", "-qm", "first")
			wantLines(t, "a clean one", history(t, git, g))
			put("d/leak", "one\nhunter2-alpha")
			git("commit", "-qm", "second")
			put("d/again", "one\nhunter2-alpha")
			git("rm", "-q", "d/leak")
			git("commit", "-qm", "third")
			put("amended", "hunter2-beta/+")
			git("commit", "-qm", "fourth")
			git("rm", "-q", "amended")
			git("commit", "-q", "--amend", "--allow-empty", "-m", "fourth, amended")
			git("checkout", "-qb", "other", "HEAD~1")
			put("hunter2-alpha.txt", "a name")
			git("commit", "-qm", "fifth")
			git("commit", "-q", "--allow-empty", "-m", "sixth", "-m", "with hunter2-alpha")
			git("checkout", "-q", "main")
			git("merge", "-q", "--no-commit", "other")
			put("in the merge", "hunter2-beta/+ merged")
			git("commit", "-qm", "merge")
			git("tag", "-am", "tagged hunter2-alpha", "v1")
			put("stashed", "hunter2-beta/+ stashed")
			git("stash", "-q")
			write(t, filepath.Join(dir, "loose"), "hunter2-alpha, dangling")
			git("hash-object", "-w", "loose")
			stash := git("log", "-1", "--format=%s", "stash^2") // the index of the stash
			want := []string{
				"second:d/leak:2:1 A plain", "fourth:amended:1:1 B plain", "fifth:#A.txt:0:0 A plain name", "sixth::8:6 A plain commit",
				"merge:in the merge:1:1 B plain", stash + ":stashed:1:1 B plain",
				"nowhere::6:8 A plain tag", "nowhere::1:1 A plain",
			}
			for _, packed := range []bool{false, true} {
				got := history(t, git, g)
				slices.Sort(got)
				sorted := slices.Clone(want)
				slices.Sort(sorted)
				wantLines(t, fmt.Sprintf("packed %v", packed), got, sorted...)
				git("repack", "-qadk")
				git("pack-refs", "--all")
			}
		})
	}
}

// Whatever the configuration, the attributes and the refs of a repository say, git runs nothing of it.
func TestHostileRepository(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no sh for the programs")
	}
	dir, git, g := repository(t)
	ran := filepath.Join(t.TempDir(), "ran")
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho \"$0 $*\" >>"+ran+"\ncat\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/leak.txt", "hunter2-alpha\n")
	git("add", "-A")
	git("commit", "-qm", "first")
	write(t, dir+"/.gitattributes", "* diff=evil filter=evil merge=evil text=auto\n")
	write(t, dir+"/leak.txt", "hunter2-alpha\nhunter2-beta/+\n")
	git("add", "leak.txt")
	for _, name := range []string{"core.pager", "core.editor", "core.sshCommand", "core.gitProxy", "core.askPass", "gpg.program",
		"diff.external", "diff.evil.command", "diff.evil.textconv", "filter.evil.clean", "filter.evil.smudge", "filter.evil.process",
		"pager.diff-tree", "pager.cat-file", "pager.rev-list", "credential.helper", "core.alternateRefsCommand",
		"interactive.diffFilter", "uploadpack.packObjectsHook", "trace2.eventTarget"} {
		git("config", name, program)
	}
	git("config", "alias.cat-file", "!"+program)
	git("config", "log.showSignature", "true")
	git("config", "extensions.partialClone", "origin")
	git("config", "remote.origin.url", "ext::"+program)
	git("config", "remote.origin.promisor", "true")
	_ = os.Remove(ran)
	lines := history(t, git, g)
	wantLines(t, "the history", lines, "first:leak.txt:1:1 A plain", "nowhere::1:1 A plain", "nowhere::2:1 B plain")
	s, found := scan(t)
	if err := s.Staged(g); err != nil {
		t.Fatal(err)
	}
	wantLines(t, "what is staged", *found, "leak.txt:1:1 A plain", "leak.txt:2:1 B plain")
	if b, err := os.ReadFile(ran); err == nil {
		t.Errorf("git ran:\n%s", b)
	}
	git("diff", "--cached") // the traps are real
	if _, err := os.Stat(ran); err != nil {
		t.Errorf("what a person runs there springs no trap: %v", err)
	}
}

// What is staged is looked at as it is staged, whatever the file is now.
func TestStaged(t *testing.T) {
	dir, git, g := repository(t)
	staged := func() []string {
		t.Helper()
		s, lines := scan(t)
		if err := s.Staged(g); err != nil {
			t.Fatal(err)
		}
		return *lines
	}
	wantLines(t, "nothing", staged())
	write(t, dir+"/a b", "hunter2-alpha")
	wantLines(t, "not staged", staged())
	git("add", "-A")
	wantLines(t, "before the first commit", staged(), "a b:1:1 A plain")
	write(t, dir+"/a b", "clean")
	wantLines(t, "cleaned, but staged", staged(), "a b:1:1 A plain")
	git("commit", "-qm", "first")
	wantLines(t, "committed", staged())
	write(t, dir+"/\n\xff", "1\nhunter2-alpha")
	write(t, dir+"/moved", "hunter2-alpha")
	if runtime.GOOS == "linux" {
		if err := os.Symlink("hunter2-beta/+", dir+"/hunter2-alpha"); err != nil {
			t.Fatal(err)
		}
	}
	git("add", "-A")
	git("update-index", "--add", "--cacheinfo", "160000,"+git("rev-parse", "HEAD")+",sub")
	git("rm", "-qf", "a b")
	wantLines(t, "several", staged(), "\n\xff:2:1 A plain", "#A:0:0 A plain name", "#A:1:1 B plain", "moved:1:1 A plain")
	// An object that is gone is no clean one.
	id := git("rev-parse", ":moved")
	if err := os.Remove(filepath.Join(dir, ".git/objects", id[:2], id[2:])); err != nil {
		t.Fatal(err)
	}
	if got := staged(); !slices.Contains(got, "moved! git cannot read it, or does not have it") {
		t.Errorf("an object is gone: %q", got)
	}
}

// A repository that git cannot read is no clean one.
func TestBrokenRepository(t *testing.T) {
	dir, git, g := repository(t)
	write(t, dir+"/a", strings.Repeat("hunter2-alpha ", 100))
	git("add", "-A")
	git("commit", "-qm", "first")
	id := git("rev-parse", "HEAD:a")
	path := filepath.Join(dir, ".git/objects", id[:2], id[2:])
	_ = os.Chmod(path, 0o600)
	if err := os.WriteFile(path, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, lines := scan(t)
	if err := s.History(g); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(*lines, "; "); s.Unseen != 1 || !strings.HasSuffix(got, "! git cannot read it, or does not have it") &&
		!strings.HasPrefix(got, "the history! git: ") {
		t.Errorf("%d places were missed: %s", s.Unseen, got)
	}
	if err := s.Staged(g); err != nil {
		t.Fatal(err)
	}
	if err := (Git{func(...string) *exec.Cmd { return exec.Command(filepath.Join(dir, "no-such-git")) }}); s.History(err) == nil {
		t.Error("a git that is not there is no error")
	}
	_ = os.RemoveAll(filepath.Join(dir, ".git"))
	if _, err := g.Folder(); err == nil || !strings.Contains(err.Error(), "not a git repository") {
		t.Errorf("no repository: %v", err)
	}
}

// BenchmarkScan looks through a tree of files of 16 KiB for 1,000 values, each in all its forms.
func BenchmarkScan(b *testing.B) {
	const files, size = 2000, 16 << 10
	dir := b.TempDir()
	line := "2026-06-01T10:30:00Z level=info msg=\"request served\" path=/api/v1/items status=200 id=3fa85f64-5717-4562-b3fc\n"
	text := strings.Repeat(line, size/len(line)+1)[:size]
	for i := range files {
		write(b, fmt.Sprintf("%s/%02d/%04d", dir, i%50, i), text)
	}
	var secrets []redact.Secret
	for i := range 1000 {
		secrets = append(secrets, redact.Secret{Key: "KEY", Value: fmt.Appendf(nil, "hunter2-%x/%d", i*7919*7919*7919, i)})
	}
	f, _ := redact.NewFinder(secrets)
	b.SetBytes(files * size)
	for b.Loop() {
		s := &Scan{Finder: f, Found: func(Finding) { b.Error("something is found") }, Missed: func(_ string, why error) { b.Error(why) }}
		s.Files(Files, []Root{{Path: dir}})
	}
}

// FuzzObjects reads what no git prints. It must end, and take no content for a header.
func FuzzObjects(f *testing.F) {
	id := strings.Repeat("0123456789", 4)
	f.Add([]byte(id + " blob 13\nhunter2-alpha\n" + id + " missing\n"))
	f.Add([]byte(id + " commit 0\n\n" + id + " tree 5\nabcde\n" + id + " tag 1\nx\n"))
	f.Add([]byte(id + " blob 99999999999999999999\n"))
	f.Add([]byte(id + " blob -1\n" + id + " blob 0013\nhunter2-alpha\n"))
	f.Add([]byte(id + " blob 13\nhunter2-alpha" + id))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, _ := scan(t)
		w := s.newWorker()
		total := 0
		err := s.objects(bufio.NewReader(bytes.NewReader(b)), w, func(n int, o object, found []Finding) {
			if !isObjectID(o.id) || o.size < 0 || o.size > int64(len(b)) || o.missing != (o.kind == "") {
				t.Errorf("%d: %+v", n, o)
			}
			total += len(o.id) + int(o.size)
			for _, x := range found {
				if x.Object != o.id {
					t.Errorf("%+v in %+v", x, o)
				}
			}
		})
		if total > len(b) || err == io.EOF {
			t.Errorf("%d of %d bytes: %v", total, len(b), err)
		}
	})
}

// FuzzChanges reads what no git prints.
func FuzzChanges(f *testing.F) {
	id := strings.Repeat("0123456789", 4)
	f.Add([]byte(":100644 100644 " + id + " " + id + " M\x00name\nwith\xff\x00" + id + "\x00:000000 160000 " + id + " " + id + " A\x00sub\x00"))
	f.Add([]byte(":100644 000000 " + id + " " + id + " D\x00" + id + "\x00"))
	f.Add([]byte(":100644 100644 " + id + " " + id + " R100\x00a\x00b\x00"))
	f.Add([]byte(id + "\x00:"))
	f.Fuzz(func(t *testing.T, b []byte) {
		names := 0
		err := eachChange(bufio.NewReader(bytes.NewReader(b)), func(id string) {
			if !isObjectID(id) {
				t.Errorf("a commit %q", id)
			}
		}, func(c change) bool {
			names++
			if !isObjectID(c.id) || c.name == "" || strings.Contains(c.name, "\x00") {
				t.Errorf("%+v", c)
			}
			return names < 5
		})
		if err == io.EOF || names > 5 {
			t.Errorf("%d names, %v", names, err)
		}
	})
}

// The usual folders are found, by their variables, too, and none is made up.
func TestAgents(t *testing.T) {
	homeDir, elsewhere, wd := t.TempDir(), t.TempDir(), t.TempDir()
	env := map[string]string{}
	agents := func() (names []string, programs string) {
		roots, list := Agents(func(name string) string { return env[name] }, homeDir, wd)
		for _, r := range roots {
			names = append(names, strings.NewReplacer(homeDir, "~", elsewhere, "@", wd, ".", `\`, "/").Replace(r.Path))
		}
		return names, strings.Join(list, ", ")
	}
	names, programs := agents()
	wantLines(t, "an empty home", append(names, programs), "")
	for _, name := range []string{".claude/projects/x/1.jsonl", ".claude.json", ".codex/sessions/2026/1.jsonl", ".gemini/tmp/1", ".bash_history",
		".local/share/opencode/opencode.db", ".config/Code/User/globalStorage/saoudrizwan.claude-dev/tasks/1.json", "other/x"} {
		write(t, filepath.Join(homeDir, name), "x")
	}
	write(t, wd+"/.aider.chat.history.md", "x")
	write(t, elsewhere+"/sessions/1.jsonl", "x")
	env["CODEX_HOME"], env["CLAUDE_CONFIG_DIR"], env["HISTFILE"] = elsewhere, "relative", os.DevNull
	names, programs = agents()
	wantLines(t, "a home", append(names, programs), "~/.claude", "~/.claude.json", "@", "~/.codex", "~/.gemini", "./.aider.chat.history.md",
		"~/.local/share/opencode", "~/.config/Code/User/globalStorage/saoudrizwan.claude-dev", "~/.bash_history",
		"Claude Code, Codex, Gemini CLI, Aider, opencode, Cline, shell")
}
