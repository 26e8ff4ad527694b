package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"filippo.io/age"
	"rsc.io/qr"
)

// keptKey makes a vault with a/K, and returns its owner key, and the lines of its sheet as somebody types them.
func keptKey(t *testing.T, home string) (key string, sheet string, typed []string) {
	t.Helper()
	if out, err := assAt(t, home, "", "secrets", "set", "a/K", "hunter2"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := assAt(t, home, "", "key", "show", "--paper")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(regexp.MustCompile(`(?m)^AGE.*$`).FindString(string(out))), string(out), typedLines(string(out))
}

// typedLines returns the lines of sheets as somebody types them.
func typedLines(text string) (typed []string) {
	for _, m := range regexp.MustCompile(`(?m)^# +\d: +(.*)$`).FindAllStringSubmatch(text, -1) {
		typed = append(typed, strings.ToLower(m[1]))
	}
	return typed
}

// slip changes the third character of a line.
func slip(line string) string {
	x := "x"
	if line[2] == 'x' {
		x = "y"
	}
	return line[:2] + x + line[3:]
}

// On a terminal, the sheet has a QR code, dark on light whatever the theme is. Age alone opens files with the sheet.
func TestSheetOnATerminal(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	key, sheet, _ := keptKey(t, home)
	code, err := qr.Encode(key, qr.M)
	if err != nil {
		t.Fatal(err)
	}
	show := func(wide uint16, env ...string) string {
		cmd := exec.Command("ass", "key", "show", "--paper")
		cmd.Env = append(append(withHome(home), "TERM=xterm"), env...)
		return strings.ReplaceAll(startCmdOnTerminal(t, cmd, wide).all(), "\r", "")
	}
	// dark reads the code from the screen; light is how a light module looks.
	compare := func(name, screen string, inverse bool) {
		t.Helper()
		var rows []string
		for line := range strings.Lines(screen) {
			line = strings.TrimSuffix(line, "\n")
			if coloured := strings.HasPrefix(line, "\x1b[38;5;16;48;5;231m"); coloured && strings.HasSuffix(line, "\x1b[0m") != !inverse {
				t.Fatalf("%s: the colours are wrong: %q", name, line)
			}
			line = strings.TrimSuffix(strings.TrimPrefix(line, "\x1b[38;5;16;48;5;231m"), "\x1b[0m")
			if n := len([]rune(line)); n == code.Size+8 && strings.Trim(line, " █▀▄") == "" {
				rows = append(rows, line)
			}
		}
		if len(rows) != (code.Size+9)/2 {
			t.Fatalf("%s: %d rows:\n%s", name, len(rows), screen)
		}
		for y, row := range rows {
			for x, r := range []rune(row) {
				for i, set := range []bool{r == '█' || r == '▀', r == '█' || r == '▄'} {
					if dark := code.Black(x-4, 2*y+i-4); dark != (set != inverse) {
						t.Fatalf("%s: module %d, %d is wrong", name, x, 2*y+i)
					}
				}
			}
		}
	}
	compare("in colours", show(80), false)
	screen := show(80, "NO_COLOR=1")
	compare("without colours", screen, true)
	if strings.Contains(screen, "\x1b[") || !strings.Contains(unwrapped(strings.ReplaceAll(screen, "\n", "\r\n")), "the QR code is right where text is light on dark") {
		t.Errorf("without colours: %q", screen)
	}
	if screen := show(40); strings.Contains(screen, "▀") || !strings.Contains(screen, "too narrow") {
		t.Errorf("on a narrow terminal:\n%s", screen)
	}
	if ids, err := age.ParseIdentities(strings.NewReader(sheet)); err != nil || len(ids) != 1 {
		t.Errorf("age reads %d identities in a sheet: %v", len(ids), err)
	}
}

// A sheet is typed in line by line. A wrong line is named and asked again; then it opens the vault, and nothing has
// changed.
func TestSheetTypedIn(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	key, _, typed := keptKey(t, home)
	term := startOnTerminal(t, home, "key", "test")
	enter := func(prompt, line string) {
		t.Helper()
		before := len(term.text())
		if prompt != "" {
			term.await(prompt)
		}
		term.typeIn(line + "\r")
		term.awaitAfter(before, "\r\n")
	}
	enter("Line 1 of the sheet, or the whole key: ", slip(typed[0]))
	term.await("line 1 is wrong; if one character is, it is in group 1; type it again")
	enter("", typed[0])
	enter("Line 2: ", slip(typed[1]))
	term.await("line 2 is wrong")
	enter("", typed[2])
	enter("", typed[1][:10])
	term.await("line 2 has 8 characters, and should have 20")
	enter("", strings.ReplaceAll(typed[1], " ", ""))
	enter("Line 3: ", "3: "+strings.ToUpper(typed[2]))
	enter("Line 4: ", typed[3])
	term.await("This key opens the vault at")
	if code := term.exitCode(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, term.text())
	}

	// A reader of QR codes that types has the lines of a share's code on one line; a sheet's is no worse.
	term = startOnTerminal(t, home, "key", "test")
	enter("or the whole key: ", strings.ReplaceAll(strings.Join(typed, ""), " ", ""))
	term.await("This key opens the vault at")

	// The whole key does, too, after what is neither; Ctrl-C ends it.
	term = startOnTerminal(t, home, "key", "test")
	enter("or the whole key: ", "hello")
	term.await("a line of a sheet has 20 characters, and a key begins with AGE-SECRET-KEY-; type it again")
	enter("or the whole key: ", key[:40])
	term.await("its checksum does not match")
	enter("", key)
	term.await("This key opens the vault at")
	term = startOnTerminal(t, home, "key", "test")
	term.await("or the whole key: ")
	term.typeIn("\x03")
	if code := term.exitCode(); code != 130 {
		t.Errorf("exit code %d:\n%s", code, term.text())
	}

	// ass login takes it at its prompt: the first line unseen, as any key, and then the others.
	if out, err := assAt(t, home, "", "logout", "--force"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	term = startOnTerminal(t, home, "login")
	enter("Owner key, agent key or token for", slip(typed[0]))
	term.await("line 1 is wrong")
	enter("", typed[0])
	enter("Line 2: ", typed[1])
	enter("Line 3: ", typed[2])
	enter("Line 4: ", typed[3])
	enter("Passphrase for the owner key (empty for none): ", "")
	term.await("Stored the owner key for")
	if screen := term.all(); strings.Contains(screen, slip(typed[0])) {
		t.Errorf("what is typed at the prompt for a key is shown:\n%s", screen)
	}
	if out, err := assAt(t, home, "", "secrets", "get", "a/K"); err != nil || string(out) != "hunter2" {
		t.Errorf("%v, %q", err, out)
	}
}

// Behind the lines of a pasted sheet comes the key as age writes it: no next prompt gets it, and no shell, which would
// keep it in its history.
func TestSheetPasted(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	key, sheet, typed := keptKey(t, home)
	for name, paste := range map[string]string{"a sheet": sheet, "a key": key + "\n" + sheet, "no newline": strings.Join(typed, "\n") + "\n" + key} {
		term := startOnTerminal(t, home, "key", "test")
		term.await("or the whole key: ")
		term.typeIn(paste)
		term.await("This key opens the vault at")
		if code := term.exitCode(); code != 0 {
			t.Errorf("%s: exit code %d:\n%s", name, code, term.text())
		}
		if left := term.unread(); left != 0 {
			t.Errorf("%s: the shell gets %d bytes of it", name, left)
		}
	}
	if out, err := assAt(t, home, "", "logout", "--force"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	term := startOnTerminal(t, home, "login")
	term.await("Owner key, agent key or token for")
	term.typeIn(sheet)
	if code, left := term.exitCode(), term.unread(); code != 2 || left != 0 || strings.Contains(term.text(), key) {
		t.Errorf("at a hidden prompt: exit code %d, and the shell gets %d bytes:\n%s", code, left, term.text())
	}
}

// Shares are typed in one after the other; ass says how many are to go, and which does not belong to them.
func TestSharesTypedIn(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	key, _, whole := keptKey(t, home)
	set := func() (shares [][]string) {
		out, err := assAt(t, home, "", "key", "split", "--shares", "5", "--threshold", "3")
		if err != nil {
			t.Fatal(err)
		}
		lines := typedLines(string(out))
		for i := 0; i < len(lines); i += 4 {
			shares = append(shares, lines[i:i+4])
		}
		return shares
	}
	shares, others := set(), set()
	term := startOnTerminal(t, home, "key", "join")
	enter := func(lines []string, says string) {
		t.Helper()
		before := len(term.text())
		for _, line := range lines {
			term.typeIn(line + "\r")
		}
		term.awaitAfter(before, says)
	}
	term.await("Line 1: ")
	enter(whole, "this is a whole owner key, and no share")
	enter(shares[3], "2 shares to go")
	enter(others[1], "it is left out")
	enter(shares[3], "share 4 was typed before")
	enter(shares[0], "1 share to go")
	enter(shares[4], key)
	if code := term.exitCode(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, term.text())
	}
	term = startOnTerminal(t, home, "key", "test")
	term.await("Line 1 of the sheet")
	enter(shares[1], "2 shares to go")
	enter(shares[2], "1 share to go")
	enter(shares[0], "This key opens the vault at")
}

// A browser prints the page on one sheet of paper, of either size.
func TestKeyPageInABrowser(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium here")
	}
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	home := t.TempDir()
	key, _, _ := keptKey(t, home)
	file := filepath.Join(t.TempDir(), "key.html")
	if out, err := assAt(t, home, "", "key", "show", "--html", file); err != nil || strings.Contains(string(out), key) {
		t.Fatalf("%v\n%s", err, out)
	}
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []string{"A4", "letter"} {
		if err := os.WriteFile(file, []byte(strings.Replace(string(page), "@page {", "@page { size: "+size+";", 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		pdf := filepath.Join(t.TempDir(), "key.pdf")
		cmd := exec.Command("sh", "-c", `ulimit -v unlimited && exec "$@"`, "sh", chromium, "--headless", "--no-sandbox", "--disable-gpu",
			"--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
			"--user-data-dir="+filepath.Join(t.TempDir(), "profile"), "--no-pdf-header-footer", "--print-to-pdf="+pdf, "file://"+file)
		cmd.Env = append(os.Environ(), "HOME="+home)
		if err := cmd.Run(); err != nil {
			t.Skipf("chromium does not run here: %v", err)
		}
		b, err := os.ReadFile(pdf)
		if err != nil || !regexp.MustCompile(`/Count 1\b`).Match(b) {
			t.Errorf("%s: it takes more than one sheet: %v, %q", size, err, regexp.MustCompile(`/Count \d+`).FindAll(b, -1))
		}
	}
}
