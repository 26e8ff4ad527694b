package commands

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ass/vault/vaulttest"
)

// counted are the commands that show how much a vault holds, as it says itself, and those that compare that with the
// records.
var counted = []string{"status", "status --check", "whoami", "vault info", "audit verify", "vault check"}

// Whoever can write the file can change what it says about how much it holds. That changes nothing but what the
// commands show that are there for it: not the output and not the exit code of any other.
func TestCountsDecideNothing(t *testing.T) {
	skipSlow(t)
	h, commands := newDamagedHome(t)
	commands = append(commands, [][]string{
		{"login"}, {"logout"}, {"profile", "list"}, {"profile", "use", "default"},
		{"profile", "rename", "default", "other"}, {"profile", "delete", "default"}, {"unlock"}, {"lock"}, {"passphrase", "--new-fd", "0"}, {"key", "show", "--paper"}, {"key", "test"},
		{"key", "split", "--shares", "3", "--threshold", "2"}, {"key", "join"}, {"key", "list"}, {"key", "add", "--identity", "identity.txt"}, {"key", "remove", "none", "--force"}, {"agents", "create", "--name", "fourth", "--scopes", "secrets:read:a/*", "--json"},
		{"approvals", "show", h.ask}, {"approvals", "wait", "00000000-0000-8000-8000-000000000000"}, // the clock stands still
		{"mcp", "serve"}, {"mcp", "config", "--client", "generic"}, {"request", "production/ASKED", "--reason", "test"}, {"explain", "reader"}, {"audit", "log"}, {"audit", "report", "--agent", "reader"},
		{"secrets", "mv", "production/K08", "production/K08B", "--force"}, {"secrets", "cp", "production/K09", "production/K09B", "--force"},
		{"vault", "accept", "--force"}, {"secrets", "edit", "production/K03"},
		{"helper", "git", "get"}, {"helper", "docker", "list", "--owner", "--namespace", "production", "--username", "u"},
		{"helper", "aws", "production", "--owner"}, {"helper", "kube", "production/K03", "--owner"},
		{"helper", "ssh-askpass", "--owner", "--secret", "production/K03", "Enter passphrase for key '/a/k': "},
		{"leaks", "scan", "template"}, {"vault", "upgrade"}, {"init", "--namespace", "a"}, {"completion", "bash"}, {"completion", "install", "zsh"}, {"version"},
	}...)
	for _, leaf := range allLeaves(t) {
		name := commandName(leaf)
		if !slices.ContainsFunc(commands, func(args []string) bool {
			if args[0] == "as" {
				args = args[2:]
			}
			return strings.HasPrefix(strings.Join(args, " ")+" ", name+" ")
		}) && !leaf.Hidden && name != "approvals watch" { // which never ends, and shows what approvals list does
			t.Errorf("ass %s is not run", name)
		}
	}
	whole := h.files[h.vault]
	changed := func(with []byte) []byte {
		h.put(whole)
		vaulttest.ReplaceCounts(t, h.vault, with)
		b, err := os.ReadFile(h.vault)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	h.put(bytes.Clone(whole))
	honest := vaulttest.ReplaceCounts(t, h.vault, nil)
	var numbers map[string]uint64
	if err := json.Unmarshal(honest, &numbers); err != nil || len(numbers) != 6 {
		t.Fatalf("the counts are %q, %v", honest, err)
	}
	attacks := map[string][]byte{"garbage": []byte("\x00garbage"), "removed": nil,
		"large": regexp.MustCompile(`:\d+`).ReplaceAll(honest, []byte(":4711"))}
	for _, n := range []uint64{0, 1 << 63} { // in all of them at once, because none may matter
		attacks[fmt.Sprint(n)] = regexp.MustCompile(`:\d+`).ReplaceAll(honest, fmt.Appendf(nil, ":%d", n))
	}
	vaults := map[string][]byte{}
	for name, with := range attacks {
		vaults[name] = changed(with)
	}
	run := func(vault []byte, args []string) string {
		h.put(vault)
		stdout, stderr, exit := h.run(args...)
		if args[0] == "open" {
			page, err := os.ReadFile(filepath.Clean(strings.TrimSpace(stdout)))
			if err != nil {
				t.Fatal(err)
			}
			stdout += string(page)
		}
		return fmt.Sprintf("exit code %d\n%s\n%s", exit, sameEachTime(stdout), sameEachTime(stderr))
	}
	seen := 0
	for _, args := range commands {
		name := h.named.Replace(strings.Join(args, " "))
		want := run(bytes.Clone(whole), args)
		if again := run(bytes.Clone(whole), args); again != want {
			t.Errorf("ass %s: it is not the same each time:\n%s\n%s", name, want, again)
			continue
		}
		differ := 0
		for attack, vault := range vaults {
			got := run(vault, args)
			if got != want {
				differ++
			}
			if got != want && !slices.Contains(counted, name) {
				t.Errorf("%s: ass %s\n%s\nwithout the attack:\n%s", attack, name, got, want)
			}
		}
		if differ > 0 {
			seen++
		}
	}
	if seen != len(counted) {
		t.Errorf("%d commands show the counts, and not %d", seen, len(counted))
	}
}

// sameEachTime replaces ids, keys, sums and sizes.
func sameEachTime(text string) string {
	for _, random := range []string{`[0-9a-f]{8}-[0-9a-f-]{27}`, `AGE-[0-9A-Z-]{40,}`, `[0-9A-Z]{4}( [0-9A-Z]{4})+`, `set [0-9A-Z]{4}`, `(agt|ass)_\w+`, `[\w+/=.-]{20,}`, `[0-9.]+ (KiB|MiB|ms)`} {
		text = regexp.MustCompile(random).ReplaceAllString(text, "X")
	}
	return text
}
