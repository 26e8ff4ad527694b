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
	verify := func(args ...string) (stdout, note string) {
		t.Helper()
		stdout, stderr, exit := run(t, home, now, append([]string{"audit", "verify"}, args...)...)
		if exit != exitDone {
			t.Fatalf("%d %s%s", exit, stdout, stderr)
		}
		return stdout, stderr
	}
	verifiedBefore := func(stdout string) (n int) {
		t.Helper()
		var report struct {
			Before *int `json:"verified_before"`
		}
		if err := json.Unmarshal([]byte(stdout), &report); err != nil || report.Before == nil {
			t.Fatalf("%v: %s", err, stdout)
		}
		return *report.Before
	}
	const said = "are unchanged since the verification on 20"
	if stdout, note := verify("--all"); strings.Contains(note, said) || !strings.HasPrefix(stdout, "OK: verified 20") {
		t.Errorf("the first time: %s%s", stdout, note)
	}
	stdout, note := verify()
	if !strings.HasPrefix(stdout, "OK: verified 20") || !strings.Contains(note, "log entries 1 to 20") ||
		!strings.Contains(note, said) || !strings.Contains(note, "ass audit verify --all") {
		t.Errorf("the second time: %s%q", stdout, note)
	}
	if stdout, _ := verify("--json"); verifiedBefore(stdout) < 20_000 {
		t.Errorf("the third time: %s", stdout)
	}
	if stdout, note := verify("--all", "--json"); strings.Contains(note, said) || verifiedBefore(stdout) != 0 {
		t.Errorf("with --all: %s%q", stdout, note)
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
	v, err := vault.Open(file, vault.Options{MemoryDir: filepath.Join(home, ".local/state/ass/seen"), Throwaway: true})
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
	for i := range 250 {
		items = append(items, vault.Item{Key: fmt.Sprintf("K%d", i), Value: []byte("v")})
	}
	if _, err := s.Import(ns, items, vault.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	for range 80 {
		if _, err := s.GetAll(ns); err != nil {
			t.Fatal(err)
		}
	}
}
