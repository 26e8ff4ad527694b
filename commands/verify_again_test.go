package commands

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ass/tokens"
	"ass/vault"
)

// audit verify checks a long log once. Later runs compare the part that held with a sum over it.
func TestVerifyAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	home, now := t.TempDir(), time.Now()
	file := filepath.Join(home, ".local/share/ass/vault.db")
	// In format 1, each of the secrets that are read together has an entry.
	key := filepath.Join(home, "owner.txt")
	putOldVault(t, file, key)
	if _, stderr, exit := run(t, home, now, "login", "--key-file", key); exit != exitDone {
		t.Fatal(stderr)
	}
	lengthen(t, home, file)
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	verify := func(args ...string) (note string, verified int) {
		t.Helper()
		stdout, stderr, exit := run(t, home, now, append([]string{"audit", "verify"}, args...)...)
		if exit != exitDone || !strings.HasPrefix(stdout, "OK: verified 20") {
			t.Fatalf("%d %s%s", exit, stdout, stderr)
		}
		stdout, _, _ = run(t, home, now, append([]string{"audit", "verify", "--json"}, args...)...)
		var report struct {
			Before int `json:"verified_before"`
		}
		if err := json.Unmarshal([]byte(stdout), &report); err != nil {
			t.Fatal(err)
		}
		return stderr, report.Before
	}
	const said = "are unchanged since the verification on 20"
	if note, _ := verify("--all"); strings.Contains(note, said) {
		t.Errorf("the first time: %s", note)
	}
	note, verified := verify()
	if !strings.Contains(note, "log entries 1 to 20") || !strings.Contains(note, said) || !strings.Contains(note,
		"ass audit verify --all") || verified < 20_000 {
		t.Errorf("the second time: %q, %d", note, verified)
	}
	if note, verified := verify("--all"); strings.Contains(note, said) || verified != 0 {
		t.Errorf("with --all: %q, %d", note, verified)
	}
	after, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(before, after) {
		t.Error("looking at the vault has changed its file", err)
	}

	// A note that cannot be read counts as no note.
	notes, _ := filepath.Glob(filepath.Join(home, ".local/state/ass/seen/*.verified"))
	if len(notes) != 1 {
		t.Fatalf("%d notes", len(notes))
	}
	b, err := os.ReadFile(notes[0])
	if err != nil || bytes.Contains(b, []byte("many/K1")) {
		t.Fatal("the note tells the names of secrets", err)
	}
	b[len(b)-1] ^= 1
	if err := os.WriteFile(notes[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	if stdout, stderr, exit := run(t, home, now, "audit", "verify"); exit != exitDone || strings.Contains(stderr, said) {
		t.Errorf("with an altered note: %d %s%s", exit, stdout, stderr)
	}
	if _, stderr, exit := run(t, home, now, "audit", "verify", "--all", "--archive", "x"); exit != exitUsage {
		t.Errorf("--all with --archive: %d %s", exit, stderr)
	}
}

// lengthen adds twenty thousand entries to a log.
func lengthen(t *testing.T, home, file string) {
	t.Helper()
	cfg, err := os.ReadFile(filepath.Join(home, ".config/ass/config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var stored struct {
		Profiles map[string]struct{ Key string }
	}
	if err := json.Unmarshal(cfg, &stored); err != nil {
		t.Fatal(err)
	}
	id, err := vault.ParseIdentity(stored.Profiles[defaultProfile].Key)
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(file, vault.Options{MemoryDir: filepath.Join(home, ".local/state/ass/seen")})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	s, err := v.Owner(id)
	if err != nil {
		t.Fatal(err)
	}
	ns, err := tokens.ParseNamespace("many")
	if err != nil {
		t.Fatal(err)
	}
	var items []vault.Item
	for i := range 2000 {
		items = append(items, vault.Item{Key: fmt.Sprintf("K%d", i), Value: []byte("v")})
	}
	if _, err := s.Import(ns, items, vault.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if _, err := s.GetAll(ns); err != nil {
			t.Fatal(err)
		}
	}
}
