package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// keyringStory is run in a session with a keyring. hunter2 is the value, and $PASS a file with the passphrase.
const keyringStory = `
set -eu
printf pass | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1
ass secrets set a/K hunter2
ass passphrase --keyring --new-file "$PASS"
echo "stored:" "$(ass secrets get a/K)"
ass run --env X=a/K --no-redact -- printenv X
ass unlock && ass lock
echo "the owner's:"; ass agents create --name w --namespace a || echo "exit $?"
ass approvals approve 00000000-0000-8000-8000-000000000000 --force || echo "exit $?"
ass tokens issue --scopes 'secrets:*:*' || echo "exit $?"
ass secrets set a/K hunter2 --tier sensitive || echo "exit $?"

echo "another passphrase goes along:"
printf 'olive rivet sonnet quartz\n' >"$PASS.2"
ass passphrase --passphrase-file "$PASS" --new-file "$PASS.2"
ass secrets get a/K --reason x; echo

echo "a wrong one in the keyring:"
name=$(sed -n 's/.*"keyring": *"\([^"]*\)".*/\1/p' "$HOME/.config/ass/config.json")
printf wrong | ass-keyring set "$name"
ass secrets get a/K || echo "exit $?"
ass passphrase --keyring --passphrase-file "$PASS.2"
ass secrets get a/K; echo

echo "and without:"
ass passphrase --no-keyring
ass-keyring get "$name" || echo "exit $?"
ass secrets get a/K || echo "exit $?"
ass passphrase --keyring --passphrase-file "$PASS.2"
name=$(sed -n 's/.*"keyring": *"\([^"]*\)".*/\1/p' "$HOME/.config/ass/config.json")
ass passphrase --remove --force --passphrase-file "$PASS.2"
ass-keyring get "$name" || echo "exit $?"
`

// The keyring of a desktop gives the passphrase to what reads and writes secrets.
func TestRealKeyring(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	t.Parallel()
	for _, name := range []string{"dbus-run-session", "gnome-keyring-daemon"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip("there is no " + name)
		}
	}
	home, dir := t.TempDir(), t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "ass-keyring"), "../cmd/ass-keyring")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	pass := filepath.Join(home, "pass")
	if err := os.WriteFile(pass, []byte(aPassphrase+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("dbus-run-session", "--", "sh", "-c", "umask 077\n"+keyringStory)
	cmd.Env = append(withHome(home), "PASS="+pass, "PATH="+dir+":"+os.Getenv("PATH"), "XDG_RUNTIME_DIR="+dir)
	b, err := cmd.CombinedOutput()
	out := string(b)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"The owner key of profile default has a passphrase now",
		"stored: hunter2\n", "\nhunter2\n", "Unlocked for 1h",
		"the owner's:\nass: the owner key has a passphrase, and stdin is not a terminal; pass it with --passphrase-fd or --passphrase-file\nexit 3\n",
		"the owner key has a passphrase, and stdin is not a terminal; pass it with --passphrase-fd or --passphrase-file\nexit 3\n\nanother",
		strings.Repeat("\nass: the owner key has a passphrase, and stdin is not a terminal; pass it with --passphrase-fd or --passphrase-file\nexit 3", 4),
		"a wrong one in the keyring:\nass: warning: the passphrase in the keyring does not open the owner key; store the right one with: ass passphrase --keyring\n" +
			"ass: the owner key has a passphrase, and stdin is not a terminal;",
		"The passphrase of profile default is in the keyring\nhunter2\n",
		"and without:\nThe keyring has no passphrase of profile default\nass-keyring: the keyring has nothing of this name\nexit 4\n" +
			"ass: the owner key has a passphrase",
		"The owner key of profile default has no passphrase any more\nass-keyring: the keyring has nothing of this name\nexit 4\n",
	} {
		if !strings.Contains(strings.ReplaceAll(out, "\n\n", "\n"), strings.ReplaceAll(want, "\n\n", "\n")) {
			t.Errorf("missing: %s", want)
		}
	}
	if strings.Contains(out, "maple") || strings.Contains(out, "olive") {
		t.Error("a passphrase is in the output")
	}
	if t.Failed() {
		t.Log(out)
	}
}

// A login in the place of a profile takes its passphrase out of the keyring, as a logout does.
func TestLoginLeavesTheKeyring(t *testing.T) {
	t.Parallel()
	home, dir := lockedHome(t), t.TempDir()
	config, said := filepath.Join(home, ".config/ass/config.json"), filepath.Join(dir, "said")
	b, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(b), `"credential": "owner",`, `"credential": "owner", "keyring": "owner key x",`, 1)
	pass, script := filepath.Join(dir, "pass"), "#!/bin/sh\necho \"$@\" >>"+said+"\n"
	for _, f := range []struct {
		name, text string
		mode       os.FileMode
	}{{config, text, 0o600}, {pass, aPassphrase, 0o600}, {filepath.Join(dir, "ass-keyring"), script, 0o700}} {
		if err := os.WriteFile(f.name, []byte(f.text), f.mode); err != nil {
			t.Fatal(err)
		}
	}
	env := append(withHome(home), "PATH="+dir+":"+os.Getenv("PATH"), "ASS_PASSPHRASE_FILE="+pass)
	show := exec.Command("ass", "login", "--show-key")
	show.Env = env
	key, err := show.Output()
	if err != nil {
		t.Fatal(err)
	}
	login := exec.Command("ass", "login", "--key", "-")
	login.Env, login.Stdin = env, strings.NewReader(string(key))
	if out, err := login.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if did, _ := os.ReadFile(said); string(did) != "delete owner key x\n" {
		t.Errorf("the keyring did %q", did)
	}
}

// Without the program, or without a keyring, a passphrase is asked for as if there were none, and a line says why.
func TestNoKeyring(t *testing.T) {
	t.Parallel()
	home := lockedHome(t)
	config := filepath.Join(home, ".config/ass/config.json")
	b, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(b), `"credential": "owner",`, `"credential": "owner", "keyring": "owner key x",`, 1)
	if text == string(b) {
		text = strings.Replace(string(b), `"credential":"owner",`, `"credential":"owner","keyring":"owner key x",`, 1)
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := filepath.Join(dir, "ass-keyring")
	for name, c := range map[string]struct{ script, says string }{
		"no program": {"", "the program ass-keyring is neither beside ass nor on PATH"},
		"no entry":   {"exit 4", "the keyring has no such entry"},
		"no bus":     {"echo 'ass-keyring: the keyring cannot be used: no bus' >&2; exit 1", "the keyring cannot be used: no bus"},
		"dies":       {"kill -9 $$", "the keyring did not answer"},
	} {
		_ = os.Remove(script)
		if c.script != "" {
			if err := os.WriteFile(script, []byte("#!/bin/sh\n"+c.script+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command("ass", "secrets", "get", "a/K")
		cmd.Env = append(withHome(home), "PATH="+dir+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), c.says) || !strings.Contains(string(out), "to leave the keyring out: ass passphrase --no-keyring") ||
			!strings.Contains(string(out), "stdin is not a terminal") {
			t.Errorf("%s: %v, %s", name, err, out)
		}
	}
}
