package commands

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"ass/vault"
)

// aHome is a home with a config that is written by hand.
type aHome struct {
	t         *testing.T
	dir, conf string
}

// newHome stores a profile. The owner key in it is nowhere else.
func newHome(t *testing.T, name string, p *profile) *aHome {
	t.Helper()
	dir := t.TempDir()
	h := &aHome{t, dir, filepath.Join(dir, ".config", "ass", "config.json")}
	if err := (&config{Version: 1, Profiles: map[string]*profile{name: p}, path: h.conf}).save(); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *aHome) run(stdin string, args ...string) (exit int, said string) {
	var out bytes.Buffer
	p := Program{Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &out, Dir: h.dir,
		Env: []string{"HOME=" + h.dir, "USERPROFILE=" + h.dir, "LOCALAPPDATA=" + h.dir,
			"XDG_CONFIG_HOME=" + filepath.Join(h.dir, ".config")}}
	exit = p.Run(args)
	return exit, out.String()
}

// has reports whether the config has a text.
func (h *aHome) has(text string) bool {
	h.t.Helper()
	b, err := os.ReadFile(h.conf)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		h.t.Fatal(err)
	}
	return strings.Contains(string(b), text)
}

func newKey(t *testing.T) *vault.Identity {
	t.Helper()
	id, err := vault.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// An owner key that is nowhere else stays in the config if it cannot be put into a recovery file:
// nothing is done that would replace it.
func TestAnOwnerKeyIsNotLost(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("names are shorter in another way")
	}
	long := strings.Repeat("x", 250) // there is no room for the name of its recovery file
	other := newKey(t)
	for name, x := range map[string]struct {
		stdin string
		args  []string
		there bool // a vault, which other owns
	}{
		"logout":                       {"", []string{"logout"}, false},
		"a new vault with another key": {other.Text(), []string{"login", "--key", "-", "--api-url", "new.db"}, false},
		"a login as another owner":     {other.Text(), []string{"login", "--key", "-", "--api-url", "new.db"}, true},
	} {
		id := newKey(t)
		h := newHome(t, long, &profile{Credential: ownerCredential, Key: id.Text()})
		path := filepath.Join(h.dir, "new.db")
		if x.there {
			if _, err := vault.Create(path, other, vault.Options{}); err != nil {
				t.Fatal(err)
			}
		}
		exit, said := h.run(x.stdin, append(x.args, "--profile", long)...)
		if exit == 0 || !strings.Contains(said, "file name too long") {
			t.Errorf("%s: %d, %s", name, exit, said)
		}
		if !h.has(id.Text()) || h.has(other.Text()) {
			t.Errorf("%s: the owner key is lost", name)
		}
		if _, err := os.Lstat(path); (err == nil) != x.there {
			t.Errorf("%s: a vault is there: %v", name, !x.there)
		}
	}
}

// A recovery file is for its owner alone.
func TestModeOfARecoveryFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no such modes there")
	}
	id := newKey(t)
	h := newHome(t, defaultProfile, &profile{Credential: ownerCredential, Key: id.Text()})
	if exit, said := h.run("", "logout"); exit != 0 || h.has(id.Text()) {
		t.Fatalf("%d, %s", exit, said)
	}
	file := filepath.Join(filepath.Dir(h.conf), "recovery-default.key")
	if b, err := os.ReadFile(file); err != nil || !strings.Contains(string(b), id.Text()) {
		t.Errorf("%q, %v", b, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
}

// A profile that another process has changed meanwhile is not written over.
func TestAProfileThatWasChangedMeanwhile(t *testing.T) {
	id, other := newKey(t), newKey(t)
	h := newHome(t, defaultProfile, &profile{Credential: ownerCredential, Key: id.Text()})
	a := &app{world: newWorld([]string{"HOME=" + h.dir, "XDG_CONFIG_HOME=" + filepath.Join(h.dir, ".config"),
		"LOCALAPPDATA=" + h.dir}, h.dir)}
	a.Profile = defaultProfile
	change := func(p *profile) { p.Kept, p.Key = true, other.Text() }
	if err := a.updateProfile(&profile{Key: other.Text()}, change); err == nil || !h.has(id.Text()) || h.has(other.Text()) {
		t.Errorf("of what was read before the change: %v", err)
	}
	if err := a.updateProfile(&profile{Key: id.Text()}, change); err != nil || !h.has(other.Text()) {
		t.Errorf("of what is there: %v", err)
	}
}
