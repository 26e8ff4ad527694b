package e2e

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ass/e2e/world"
)

// The programs of other stores make what ass import reads. Where one is missing, its test is skipped.

// imported runs an import, and returns the values by the paths below the namespace, and the names that were not taken.
func imported(t *testing.T, home, format, source string, env ...string) (got map[string]string, not []string) {
	t.Helper()
	cmd := exec.Command("ass", "import", format, source, "--namespace", "in", "--json")
	cmd.Env = append(world.WithoutGPG(home), env...)
	out, err := cmd.Output()
	var answer struct {
		Items    []struct{ Path string }
		NotTaken []struct{ Name, Reason string } `json:"not_taken"`
	}
	if err == nil {
		err = json.Unmarshal(out, &answer)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got = map[string]string{}
	for _, item := range answer.Items {
		value, err := assIn(home, "secrets", "get", item.Path)
		if err != nil {
			t.Fatalf("%v: %s", err, value)
		}
		got[strings.TrimPrefix(item.Path, "in/")] = string(value)
	}
	for _, n := range answer.NotTaken {
		not = append(not, n.Name+": "+n.Reason)
	}
	return got, not
}

func sameValues(t *testing.T, got, want map[string]string) {
	t.Helper()
	if maps.Equal(got, want) {
		return
	}
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if value, there := got[path]; !there || value != want[path] {
			t.Errorf("%s is %q, want %q", path, value, want[path])
		}
	}
	for path := range got {
		if _, there := want[path]; !there {
			t.Errorf("%s was not to come", path)
		}
	}
}

func needs(t *testing.T, programs ...string) {
	t.Helper()
	if program := world.Missing(programs...); program != "" {
		t.Skipf("there is no %s here", program)
	}
}

func TestRealPass(t *testing.T) {
	needs(t, "pass", "gpg")
	home := t.TempDir()
	world.NewPassStore(t, home, map[string]string{
		"mail/work":        "hunter2\nuser: bob\nhttps://x.test:8/y\notpauth://totp/x?secret=A\n",
		"web/shop (old) é": "hunter2\n\nlines\nof text\n",
		"keys/id":          "-----BEGIN OPENSSH PRIVATE KEY-----\nuser: x\n-----END OPENSSH PRIVATE KEY-----\n",
		"bytes":            "\xff\x00\nuser: x\n",
		"long":             strings.Repeat("hunter2 ", 20_000) + "\n",
	})
	for _, format := range []string{"pass", "gopass"} {
		got, not := imported(t, home, format, filepath.Join(home, ".password-store"))
		sameValues(t, got, map[string]string{
			"mail/work": "hunter2", "mail/work/user": "bob", "mail/work/otp": "otpauth://totp/x?secret=A", "mail/work/notes": "https://x.test:8/y",
			"web/shop-old-e": "hunter2", "web/shop-old-e/notes": "lines\nof text",
			"keys/id": "-----BEGIN OPENSSH PRIVATE KEY-----\nuser: x\n-----END OPENSSH PRIVATE KEY-----\n",
			"bytes":   "\xff\x00\nuser: x\n", "long": strings.Repeat("hunter2 ", 20_000),
		})
		if len(not) > 0 {
			t.Errorf("%s leaves %q", format, not)
		}
	}
	// a key that is gone: gpg's words are in the error, and nothing else changes
	if err := os.RemoveAll(filepath.Join(home, ".gnupg", "private-keys-v1.d")); err != nil {
		t.Fatal(err)
	}
	kill := exec.Command("gpgconf", "--kill", "all")
	kill.Env = world.WithoutGPG(home)
	_ = kill.Run()
	cmd := exec.Command("ass", "import", "pass", filepath.Join(home, ".password-store"), "--namespace", "none")
	cmd.Env = world.WithoutGPG(home)
	out, err := cmd.CombinedOutput()
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 2 || !strings.Contains(string(out), `"bytes": gpg cannot decrypt it: gpg: decryption failed: No secret key; nothing was imported`) {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := assIn(home, "secrets", "list", "none"); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}

func TestRealSops(t *testing.T) {
	needs(t, "sops", "age-keygen")
	home := t.TempDir()
	keyFile := filepath.Join(home, "key.txt")
	out, err := exec.Command("age-keygen", "-o", keyFile).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, recipient, _ := strings.Cut(string(out), "age1")
	recipient = "age1" + strings.TrimSpace(recipient)
	for _, f := range []struct {
		name, content string
		want          map[string]string
	}{
		{"a.yaml", "db:\n  password: hunter2\n  port: 5432\n  on: true\n  none: null\n  list: [x, {y: z}]\ntext: |\n  1\n  2\n---\nsecond: hunter2 # c\n",
			map[string]string{"db/password": "hunter2", "db/port": "5432", "db/on": "true", "db/list/0": "x", "db/list/1/y": "z", "text": "1\n2\n", "second": "hunter2"}},
		{"a.json", `{"a":{"b":"hunter2\u0000"},"n":[1,2]}`, map[string]string{"a/b": "hunter2\x00", "n/0": "1", "n/1": "2"}},
		{"a.env", "A=hunter2\n# c\nB=x\\ny\n", map[string]string{"A": "hunter2", "B": "x\ny"}},
		{"a.ini", "[s]\na=hunter2\n", map[string]string{"s/a": "hunter2"}},
		{"file.bin", "\xff\x00hunter2", map[string]string{"file": "\xff\x00hunter2"}},
	} {
		plain := filepath.Join(home, f.name)
		if err := os.WriteFile(plain, []byte(f.content), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("sops", "--encrypt", "--age", recipient, "--in-place", plain)
		cmd.Dir = home
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", f.name, err, out)
		}
		key := "SOPS_AGE_KEY_FILE=" + keyFile
		got, _ := imported(t, home, "sops", plain, key)
		sameValues(t, got, f.want)
		if f.name == "file.bin" {
			continue // stdin has no name
		}
		cmd = exec.Command("ass", "import", "sops", "-", "--namespace", "in", "--json")
		cmd.Env = append(world.Env(home), key)
		b, err := os.ReadFile(plain)
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdin = strings.NewReader(string(b))
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), `"imported":0`) {
			t.Errorf("%s, from stdin: %v: %s", f.name, err, out)
		}
	}
}

func TestRealKeePassXC(t *testing.T) {
	needs(t, "keepassxc-cli")
	home := t.TempDir()
	db := filepath.Join(home, "t.kdbx")
	cli := func(stdin string, args ...string) []byte {
		t.Helper()
		cmd := exec.Command("keepassxc-cli", args...)
		cmd.Env, cmd.Stdin = append(world.Env(home), "QT_QPA_PLATFORM=offscreen", "LC_ALL=C.UTF-8"), strings.NewReader(stdin)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%q: %v: %s", args, err, out)
		}
		return out
	}
	attached := filepath.Join(home, "scan.txt")
	if err := os.WriteFile(attached, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	cli("pw\npw\n", "db-create", "-q", "--set-password", db)
	cli("pw\n", "mkdir", "-q", db, "Bank")
	cli("pw\n<hunter2>&\"é\n", "add", "-q", "-u", "bob", "--url", "https://b.test", "--notes", "1\n2", "-p", db, "Bank/Online")
	cli("pw\nhunter2\n", "add", "-q", "-p", db, "Top level")
	cli("pw\nhunter2\n", "add", "-q", "-p", db, "Gone")
	cli("pw\n", "rm", "-q", db, "Gone")
	cli("pw\n", "attachment-import", "-q", db, "Bank/Online", "scan.txt", attached)
	want := map[string]string{"Bank/Online": "<hunter2>&\"é", "Bank/Online/username": "bob", "Bank/Online/url": "https://b.test",
		"Bank/Online/notes": "1\n2", "Top-level": "hunter2"}
	for _, form := range []string{"xml", "csv"} {
		file := filepath.Join(home, "export."+form)
		if err := os.WriteFile(file, cli("pw\n", "export", "-q", "-f", form, db), 0o600); err != nil {
			t.Fatal(err)
		}
		got, not := imported(t, home, "keepass", file)
		sameValues(t, got, want)
		if !slices.Contains(not, "Recycle Bin/Gone: it is in the recycle bin") {
			t.Errorf("%s: %q", form, not)
		}
		if form == "xml" && !slices.Contains(not, `Bank/Online: its attachment "scan.txt"`) {
			t.Errorf("%s: %q", form, not)
		}
	}
}
