package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// sshKey makes a key with ssh-keygen. It returns the private and the public one.
func sshKey(t *testing.T, passphrase string, args ...string) (private, public string) {
	t.Helper()
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("ssh-keygen is not here")
	}
	file := filepath.Join(t.TempDir(), "key")
	if out, err := exec.Command(keygen, append(args, "-q", "-N", passphrase, "-C", "me@here", "-f", file)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p, perr := os.ReadFile(file)
	q, qerr := os.ReadFile(file + ".pub")
	if err := errors.Join(perr, qerr); err != nil {
		t.Fatal(err)
	}
	return string(p), string(q)
}

// do runs the program.
func do(stdin string, args ...string) (exit int, out, errs string) {
	var o, e bytes.Buffer
	exit = run(args, strings.NewReader(stdin), &o, &e)
	return exit, o.String(), e.String()
}

func question(t *testing.T, key, passphrase, file string) string {
	t.Helper()
	b, err := json.Marshal(map[string]any{"key": key, "passphrase": passphrase, "file": []byte(file)})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Keys as ssh-keygen makes them seal and open, and what age would not take is named.
func TestKeys(t *testing.T) {
	const secret = "AGE-SECRET-KEY-hunter2"
	other, _ := sshKey(t, "", "-t", "ed25519")
	for name, c := range map[string]struct {
		passphrase string
		args       []string
	}{
		"ed25519":                    {"", []string{"-t", "ed25519"}},
		"ed25519, with a passphrase": {"hunter2-ssh", []string{"-t", "ed25519", "-a", "1"}},
		"rsa":                        {"", []string{"-t", "rsa", "-b", "2048"}},
		"rsa, with a passphrase":     {"hunter2-ssh", []string{"-t", "rsa", "-b", "2048", "-a", "1"}},
		"rsa, as PEM":                {"", []string{"-t", "rsa", "-b", "2048", "-m", "PEM"}},
	} {
		t.Run(name, func(t *testing.T) {
			private, public := sshKey(t, c.passphrase, c.args...)
			exit, recipient, errs := do(private, "recipient")
			if exit != 0 || !strings.HasPrefix(public, recipient) || recipient == "" {
				t.Fatalf("the recipient of a private key: %d, %q, %s", exit, recipient, errs)
			}
			if exit, same, _ := do(public, "recipient"); exit != 0 || same != recipient {
				t.Errorf("the recipient of a public key: %d, %q", exit, same)
			}
			exit, file, errs := do(secret, "seal", recipient)
			if exit != 0 {
				t.Fatal(errs)
			}
			for _, c := range []struct {
				what, key, passphrase, file string
				exit                        int
				out                         string
			}{
				{"the key", private, c.passphrase, file, 0, secret},
				{"another key", other, "", file, 4, ""},
				{"an altered file", private, c.passphrase, file[:len(file)-1] + string(file[len(file)-1]^1), 1, ""},
				{"no file", private, c.passphrase, "x", 1, ""},
				{"a public key", public, "", file, 1, ""},
			} {
				exit, out, errs := do(question(t, c.key, c.passphrase, c.file), "open")
				if exit != c.exit || out != c.out || (exit == 0) != (errs == "") || strings.Contains(errs, "hunter2") {
					t.Errorf("%s: %d, %q, %s", c.what, exit, out, errs)
				}
			}
			for _, wrong := range []string{"", "another"} {
				exit, out, errs := do(question(t, private, wrong, file), "open")
				if want := map[bool]int{true: 0, false: 5}[c.passphrase == ""]; exit != want || (out == "") == (want == 0) {
					t.Errorf("with the passphrase %q: %d, %q, %s", wrong, exit, out, errs)
				}
			}
		})
	}
	private, public := sshKey(t, "", "-t", "ecdsa")
	for _, key := range []string{private, public} {
		if exit, _, errs := do(key, "recipient"); exit != 1 || !strings.Contains(errs, "ecdsa") {
			t.Errorf("a key that age does not know: %d, %s", exit, errs)
		}
	}
	if exit, _, errs := do(question(t, private, "", "x"), "open"); exit != 1 || !strings.Contains(errs, "does not know") {
		t.Errorf("to open with it: %d, %s", exit, errs)
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		stdin, args string
		exit        int
	}{
		{"", "", 2},
		{"", "seal", 2},
		{"", "open me", 2},
		{"", "recipient me", 2},
		{"hunter2", "recipient", 1},
		{"hunter2", "seal ssh-hunter2", 1},
		{"hunter2", "open", 1},
		{"{}", "open", 1},
		{strings.Repeat("hunter2", maxIn), "recipient", 1},
	} {
		exit, out, errs := do(c.stdin, strings.Fields(c.args)...)
		if exit != c.exit || out != "" || errs == "" || strings.Contains(errs, "hunter2") {
			t.Errorf("%q: %d, %q, %q", c.args, exit, out, errs)
		}
	}
}
