package world

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Missing returns the first of these programs that is not here, "" if all are.
func Missing(programs ...string) string {
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			return p
		}
	}
	return ""
}

// NewPassStore makes a key of gpg without a passphrase in a home, and a store of pass with these entries.
func NewPassStore(t testing.TB, home string, entries map[string]string) {
	t.Helper()
	run := func(stdin string, args ...string) {
		t.Helper()
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env, cmd.Stdin = WithoutGPG(home), strings.NewReader(stdin)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", args, err, out)
		}
	}
	t.Cleanup(func() { // the agent of gpg, which would go on
		cmd := exec.Command("gpgconf", "--kill", "all")
		cmd.Env = WithoutGPG(home)
		_ = cmd.Run()
	})
	run("", "sh", "-c", "umask 077; mkdir -p ~/.gnupg")
	run("%no-protection\nKey-Type: eddsa\nKey-Curve: ed25519\nSubkey-Type: ecdh\nSubkey-Curve: cv25519\nName-Real: test\n"+
		"Name-Email: test@example.test\nExpire-Date: 0\n%commit\n", "gpg", "--batch", "--quiet", "--gen-key")
	run("", "pass", "init", "test@example.test")
	for name, content := range entries {
		run(content, "pass", "insert", "--multiline", name)
	}
}

// WithoutGPG is Env without the variables that lead gpg and pass to another home.
func WithoutGPG(home string) []string {
	return slices.DeleteFunc(Env(home), func(pair string) bool {
		return strings.HasPrefix(pair, "GNUPGHOME=") || strings.HasPrefix(pair, "PASSWORD_STORE_")
	})
}
