package device

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"filippo.io/age/plugin"

	"ass/vault/device/devicetest"
)

func TestMain(m *testing.M) {
	if devicetest.IsPlugin() {
		devicetest.Main()
	}
	os.Exit(m.Run())
}

// install puts the plugin for tests on PATH, alone.
func install(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the plugin for tests is a symbolic link to this program")
	}
	dir := t.TempDir()
	if err := devicetest.Install(dir); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
}

// heard is a UI that notes what it was asked.
type heard struct {
	said, asked []string
	pin         string
	agrees      bool
	err         error
}

func (h *heard) ui() UI {
	return UI{
		Say: func(program, text string) { h.said = append(h.said, program+": "+text) },
		Ask: func(program, prompt string, secret bool) (string, error) {
			h.asked = append(h.asked, program+": "+prompt)
			if !secret {
				h.asked = append(h.asked, "openly")
			}
			return h.pin, h.err
		},
		Confirm: func(program, prompt, yes, no string) (bool, error) {
			h.asked = append(h.asked, strings.Join([]string{program, prompt, yes, no}, "|"))
			return h.agrees, h.err
		},
		Slow: func(program string) { h.said = append(h.said, program+" is slow") },
	}
}

const secret = "AGE-SECRET-KEY-hunter2"

// native returns an identity of each kind that age has itself.
func natives(t *testing.T) (identities []string) {
	t.Helper()
	x, err := age.GenerateX25519Identity()
	h, herr := age.GenerateHybridIdentity()
	if err := errors.Join(err, herr); err != nil {
		t.Fatal(err)
	}
	return []string{x.String(), h.String()}
}

// What is sealed to the recipient of an identity opens with that identity, and with no other.
func TestSealAndOpen(t *testing.T) {
	install(t)
	all := append(natives(t), devicetest.Identity("a", devicetest.Works), devicetest.Identity("b", devicetest.Works))
	for i, id := range all {
		to, err := RecipientOf(id)
		if err != nil {
			t.Fatal(err)
		}
		recipients := []string{to}
		if PluginOf(id) != "" {
			recipients = append(recipients, devicetest.Recipient(map[int]string{2: "a", 3: "b"}[i], devicetest.Works))
		} else if err := CheckRecipient(to); err != nil {
			t.Errorf("%s: %v", to, err)
		}
		for _, to := range recipients {
			file, err := Seal(to, []byte(secret), (&heard{}).ui())
			if err != nil {
				t.Fatalf("%s: %v", to, err)
			}
			for j, other := range all {
				plain, err := Open(other, file, (&heard{}).ui())
				switch {
				case i == j && (err != nil || string(plain) != secret):
					t.Errorf("%s does not open its file: %q, %v", id, plain, err)
				case i != j && !errors.Is(err, ErrNotFor):
					t.Errorf("%s opens the file of %s: %v", other, id, err)
				}
			}
			file[len(file)-1] ^= 1
			if _, err := Open(id, file, (&heard{}).ui()); !errors.Is(err, ErrDamaged) {
				t.Errorf("an altered file of %s: %v", id, err)
			}
			if _, err := Open(id, []byte("no age file"), (&heard{}).ui()); err == nil || errors.Is(err, ErrNotFor) {
				t.Errorf("what is no file: %v", err)
			}
		}
	}
}

// A plugin can ask, say, hang, die, lie, fail and babble. Its texts come as they are: who shows them cleans them.
func TestPlugins(t *testing.T) {
	install(t)
	defer func(was time.Duration) { Patience = was }(Patience)
	Patience = 5 * time.Second
	file, err := Seal(devicetest.Recipient("k", devicetest.Works), []byte(secret), (&heard{}).ui())
	if err != nil {
		t.Fatal(err)
	}
	open := func(way string, h *heard) error {
		plain, err := Open(devicetest.Identity("k", way), file, h.ui())
		if err == nil && string(plain) != secret {
			t.Errorf("%s: it opens to %q", way, plain)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: a secret is in %v", way, err)
		}
		return err
	}
	for _, c := range []struct {
		way  string
		h    heard
		want string // in the error; "" for none
		said string
	}{
		{devicetest.Works, heard{}, "", ""},
		{devicetest.Asks, heard{pin: devicetest.PIN}, "", "age-plugin-test: Enter the PIN\x1b[31m of the test key"},
		{devicetest.Asks, heard{pin: "another"}, "age-plugin-test: the PIN is wrong", ""},
		{devicetest.Asks, heard{err: errors.New("nobody is there")}, "the PIN is wrong", ""},
		{devicetest.Confirms, heard{agrees: true}, "", "age-plugin-test|Open the vault?|open it|leave it"},
		{devicetest.Confirms, heard{}, "nobody agreed", ""},
		{devicetest.Says, heard{}, "", "age-plugin-test: please touch\x1b[31m the test key"},
		{devicetest.Dies, heard{}, "age-plugin-test ended without an answer", ""},
		{devicetest.Lies, heard{}, ErrDamaged.Error(), ""},
		{devicetest.Fails, heard{}, "the test key is locked\x1b[31m", ""},
		{devicetest.Babbles, heard{}, "age-plugin-test: it sent something that is no answer", ""},
	} {
		err := open(c.way, &c.h)
		if (err == nil) != (c.want == "") || err != nil && !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.way, err, c.want)
		}
		if heard := strings.Join(append(c.h.said, c.h.asked...), "\n"); c.said != "" && heard != c.said {
			t.Errorf("%s: it was heard to say %q", c.way, heard)
		}
	}
	if file, err := Seal(devicetest.Recipient("k", devicetest.LiesAt), []byte(secret), (&heard{}).ui()); err != nil {
		t.Error(err)
	} else if _, err := Open(devicetest.Identity("k", devicetest.Works), file, (&heard{}).ui()); !errors.Is(err, ErrDamaged) {
		t.Errorf("what was sealed wrongly: %v", err)
	}

	Patience = 100 * time.Millisecond
	var silent *PluginError
	if err := open(devicetest.Hangs, &heard{}); !errors.As(err, &silent) || !silent.Silent ||
		!strings.Contains(err.Error(), "did not answer within 100ms") {
		t.Errorf("it hangs: %v", err)
	}
	if _, err := Seal(devicetest.Recipient("k", devicetest.HangsAt), nil, (&heard{}).ui()); !errors.As(err, &silent) || !silent.Silent {
		t.Errorf("it hangs at sealing: %v", err)
	}
	slow := heard{pin: devicetest.PIN}
	ui := slow.ui()
	ask := ui.Ask
	ui.Ask = func(program, prompt string, secret bool) (string, error) {
		time.Sleep(3 * Patience) // a person takes as long as it takes
		return ask(program, prompt, secret)
	}
	Patience = time.Second
	if _, err := Open(devicetest.Identity("k", devicetest.Asks), file, ui); err != nil {
		t.Errorf("a slow person: %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	var missing *PluginError
	if err := open(devicetest.Works, &heard{}); !errors.As(err, &missing) || !missing.Missing ||
		err.Error() != "age-plugin-test is not on PATH" {
		t.Errorf("without the program: %v", err)
	}
	if _, err := Seal(devicetest.Identity("k", devicetest.Works), nil, (&heard{}).ui()); !errors.As(err, &missing) || !missing.Missing {
		t.Errorf("without the program, sealing: %v", err)
	}
}

func TestParse(t *testing.T) {
	id := devicetest.Identity("k", devicetest.Works)
	x := natives(t)
	for name, c := range map[string]struct{ text, want, problem string }{
		"a plugin's":     {"# created: today\n# age1test1qqq\n#    Recipient: " + devicetest.Recipient("k", "") + "\n" + id + "\n", id, ""},
		"in lower case":  {strings.ToLower(id), id, ""},
		"with a mark":    {"\xef\xbb\xbf" + id, id, ""},
		"x25519":         {"# public key: age1…\n" + x[0] + "\n", x[0], ""},
		"post-quantum":   {x[1], x[1], ""},
		"nothing":        {"# a comment\n", "", "there is no identity"},
		"two":            {id + "\n" + x[0], "", "more than one line"},
		"mistyped":       {id[:len(id)-1] + "Q", "", "its checksum is wrong"},
		"a recipient":    {devicetest.Recipient("k", ""), "", "it is no identity of age"},
		"encrypted":      {"-----BEGIN AGE ENCRYPTED FILE-----\nxx\n-----END AGE ENCRYPTED FILE-----", "", ErrEncrypted.Error()},
		"an ssh key":     {"-----BEGIN OPENSSH PRIVATE KEY-----\nxx\n", "", ErrSSH.Error()},
		"a public one":   {"ssh-ed25519 AAAA me@here", "", ErrSSH.Error()},
		"a security key": {"sk-ssh-ed25519@openssh.com AAAA me@here", "", ErrSSH.Error()},
		"something else": {"hunter2", "", "it is no identity of age"},
	} {
		got, to, err := Parse([]byte(c.text))
		if name == "a plugin's" != (to == devicetest.Recipient("k", "")) {
			t.Errorf("%s: the recipient is %q", name, to)
		}
		if got != c.want || (err == nil) != (c.problem == "") || err != nil && !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v quotes it", name, err)
		}
	}
	for text, want := range map[string]bool{
		devicetest.Recipient("k", ""): true, id: false, "age1": false, "age1test1qqq": false, "": false, x[0]: false, "ssh-rsa AAAA": false, "ecdsa-sha2-nistp256 AAAA": false,
		"ssh-ed25519 AAAA": false,
	} {
		if err := CheckRecipient(text); (err == nil) != want || errors.Is(err, ErrSSH) != strings.Contains(text, " ") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if name := PluginOf(id) + PluginOf(devicetest.Recipient("k", "")) + PluginOf(x[0]) + PluginOf("age1qqq"); name != "testtest" {
		t.Errorf("the plugins are %q", name)
	}
}

// The plugin of age itself for post-quantum keys, and the one for passphrases, do what our own does.
func TestRealPlugins(t *testing.T) {
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", dir, "filippo.io/age/extra/age-plugin-pq", "filippo.io/age/cmd/age-plugin-batchpass")
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("the plugins cannot be built here: %v: %s", err, out)
	}
	t.Setenv("PATH", dir)
	t.Setenv("AGE_PASSPHRASE", "hunter2 correct horse")
	t.Setenv("AGE_PASSPHRASE_WORK_FACTOR", "2")
	hybrid := natives(t)[1]
	convert := exec.Command(filepath.Join(dir, "age-plugin-pq"), "-identity")
	convert.Stdin = strings.NewReader(hybrid + "\n")
	text, err := convert.Output()
	if err != nil {
		t.Fatal(err)
	}
	pq, _, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	to, err := RecipientOf(hybrid)
	if err != nil {
		t.Fatal(err)
	}
	pass := plugin.EncodeIdentity("batchpass", nil)
	for name, c := range map[string]struct{ recipient, identity string }{
		"pq": {to, pq}, "batchpass": {pass, pass},
	} {
		file, err := Seal(c.recipient, []byte(secret), (&heard{}).ui())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if plain, err := Open(c.identity, file, (&heard{}).ui()); err != nil || string(plain) != secret {
			t.Errorf("%s: %q, %v", name, plain, err)
		}
	}
}
