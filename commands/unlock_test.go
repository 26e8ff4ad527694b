package commands

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ass/vault"
)

// aLockedHome is a home whose owner key has a passphrase that costs little.
type aLockedHome struct {
	t         *testing.T
	dir       string
	tokenFile string // of ass unlock
}

func newLockedHome(t *testing.T) *aLockedHome {
	t.Helper()
	dir := t.TempDir()
	id, err := vault.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	locked, err := id.Lock("hunter2", 10)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "vault.db")
	if _, err := vault.Create(path, id, vault.Options{}); err != nil {
		t.Fatal(err)
	}
	c := &config{Version: 1, path: filepath.Join(dir, ".config", "ass", "config.json"), Profiles: map[string]*profile{
		defaultProfile: {Credential: ownerCredential, Key: locked, APIURL: path}}}
	if err := c.save(); err != nil {
		t.Fatal(err)
	}
	// Where the system has no runtime folder, the token is with the state.
	return &aLockedHome{t, dir, filepath.Join(dir, ".local", "state", "ass", "unlocked-default")}
}

// run runs ass with the passphrase, or with a token in its place.
func (h *aLockedHome) run(token string, args ...string) (exit int, said string) {
	var out bytes.Buffer
	p := Program{Stdin: strings.NewReader("hunter2\n"), Stdout: &out, Stderr: &out, Dir: h.dir,
		Env: []string{"HOME=" + h.dir, "USERPROFILE=" + h.dir, "XDG_STATE_HOME=" + filepath.Join(h.dir, ".local", "state"),
			"ASS_AGENT_KEY=" + token}}
	if token == "" {
		args = append(args, "--passphrase-fd", "0")
	}
	exit = p.Run(args)
	return exit, out.String()
}

// unlock returns the token that ass unlock leaves.
func (h *aLockedHome) unlock() (token string) {
	h.t.Helper()
	if exit, said := h.run("", "unlock"); exit != 0 {
		h.t.Fatalf("%d, %s", exit, said)
	}
	b, err := os.ReadFile(h.tokenFile)
	if err != nil {
		h.t.Fatal(err)
	}
	if exit, said := h.run(string(b), "secrets", "list"); exit != 0 {
		h.t.Fatalf("its token: %d, %s", exit, said)
	}
	return string(b)
}

// Lock, and the next unlock, end the token that an unlock left, and remove it.
func TestLockEndsTheToken(t *testing.T) {
	h := newLockedHome(t)
	first := h.unlock()
	second := h.unlock()
	if exit, said := h.run(first, "secrets", "list"); exit != exitDenied {
		t.Errorf("after the next unlock, the token before: %d, %s", exit, said)
	}
	if exit, said := h.run("", "lock"); exit != 0 {
		t.Errorf("lock: %d, %s", exit, said)
	}
	if exit, said := h.run(second, "secrets", "list"); exit != exitDenied {
		t.Errorf("after lock, the token: %d, %s", exit, said)
	}
	if _, err := os.Lstat(h.tokenFile); err == nil {
		t.Error("after lock, the token is still there")
	}
}

// An unlock that cannot end an earlier one leaves no second token.
func TestOneUnlockAtATime(t *testing.T) {
	h := newLockedHome(t)
	stray := filepath.Join(filepath.Dir(h.tokenFile), ".ass-unlocked-default-1")
	err := os.MkdirAll(filepath.Dir(stray), 0o700)
	if err == nil {
		err = os.WriteFile(stray, make([]byte, 65<<10), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if exit, said := h.run("", "unlock"); exit == 0 || !strings.Contains(said, "is larger than") {
		t.Errorf("%d, %s", exit, said)
	}
	if _, err := os.Lstat(h.tokenFile); err == nil {
		t.Error("there is a token")
	}
}
