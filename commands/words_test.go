package commands

import (
	"strings"
	"testing"
	"time"
)

// What people type who come from pass, gopass, vault, op, doppler, infisical, sops or aws secretsmanager, or whose
// finger slips, is answered with what they most likely meant. A command of that name shadows the word.
func TestWordsOfOthers(t *testing.T) {
	for line, want := range map[string]string{
		"show a/K": "ass secrets get?", "read a/K": "ass secrets get?", "insert a/K": "ass secrets set?", "write a/K v": "ass secrets set?",
		"edit a/K": "ass secrets edit?", "create a/K": "ass secrets set?", "remove a/K": "ass secrets delete?", "rm a/K": "ass secrets delete?",
		"ls": "ass secrets list?", "grep x": "ass secrets find?", "find x": "ass secrets find?", "view a/K": "ass secrets get?",
		"put a/K": "ass secrets set?", "generate a/K": "ass secrets set PATH --generate?", "cp a/K b/K": "ass secrets cp?",
		"mv a/K b/K": "ass secrets mv?", "git log": "ass helper git?", "a/K": "ass secrets get PATH?",
		"secrets show a/K": "ass secrets get?", "secrets remove a/K": "ass secrets delete?", "secrets rename a b": "ass secrets mv?",
		"secrets export": "ass env export?", "secrets upload x": "ass env import?", "secrets unset a/K": "ass secrets delete?",
		"secrets versions a/K": "ass secrets history?", "secrets log a/K": "ass secrets history?", "secrets folders": "ass secrets list '*'?",
		"kv get a/K": "ass secrets get?", "kv put a/K v=1": "ass secrets set?", "kv": "ass secrets?", "item list": "ass secrets list?",
		"secret get a/K": "ass secrets get?", "operator rekey": "ass vault rekey?", "auth login": "ass login?", "auth": "",
		"token lookup": "ass tokens list?", "token create": "ass tokens issue?", "agent delete x": "ass agents revoke?",
		"secretsmanager get-secret-value": "ass secrets get?", "get-secret-value --secret-id x": "ass secrets get?",
		"signin": "ass login?", "exec-env f c": "ass run?", "export": "ass env export?", "updatekeys x": "ass vault rekey?",
		"backup": "ass vault backup?", "approve x": "ass approvals approve?", "rotate-key x": "ass agents rotate-key?",
		"vault init": "ass login?", "vault status": "ass status?", "vault list": "ass secrets list?", "vault verify": "ass vault check?",
		"env get X": "ass secrets get?", "env run x": "ass run?", "agents get x": "ass agents show?", "agents update x": "",
		"audit list": "ass audit?", "audit tail": "ass audit --tail?", "audit verfy": "ass audit verify?", "mcp install": "ass mcp config?",
		"mcp start": "ass mcp serve?", "sercets show a/K": "ass secrets get?", "delte a/K": "ass secrets delete?", "agents craete": "ass agents create?",
		"approvals aprove x": "ass approvals approve?", "statsu": "ass status?", "log": "ass audit?", "frob": "", "secrets frob": "",
		"help show": "ass help secrets get?", "help sercets": "ass help secrets?", "help frob": "",
		"--verison": "--version?", "secrets --jsno list": "--json?", "secrets delete a/K --yes": "--force?", "secrets delete a/K -y": "--force?",
		"secrets get a/K --format json": "--json?", "secrets list --environment x": "--namespace?", "audit --follow": "--tail?",
		"audit --agnet=x": "--agent?", "secrets set a/K v --teir critical": "--tier?", "run --envfile x -- true": "--env-file?",
		"run --nampespace=x -- true": "--namespace?", "tokens issue --expires 1h": "--ttl?", "secrets get a/K --frob": "", "secrets get -x": "",
	} {
		_, stderr, exit := run(t, t.TempDir(), time.Now(), strings.Fields(line)...)
		_, meant, _ := strings.Cut(stderr, "; did you mean: ")
		if exit != exitUsage || want == "" && meant != "" || !strings.HasPrefix(meant, want) {
			t.Errorf("%s: exit code %d, %q, want %s", line, exit, stderr, want)
		}
	}
}

// Each word of the tables leads to something that is there, and stands in them once.
func TestWordTables(t *testing.T) {
	top := root(allLeaves(t)[0])
	seen := map[string]bool{}
	for _, table := range []string{elsewhere, groupsElsewhere, flagsElsewhere} {
		for line := range strings.Lines(strings.TrimSpace(table)) {
			words, means, ok := strings.Cut(strings.TrimSpace(line), ":")
			if !ok {
				t.Errorf("no colon: %q", line)
			}
			for _, w := range strings.Fields(words) {
				if table != flagsElsewhere && seen[w] {
					t.Errorf("%s is there twice", w)
				}
				seen[w] = true
				group, word, ok := strings.Cut(w, "/")
				if !ok {
					continue
				}
				if m := commandMeant(childNamed(top, group), word, ""); m == "" {
					t.Errorf("%s means nothing of %q", w, means)
				}
			}
			for _, m := range strings.Split(means, ", ") {
				text, whole := strings.CutPrefix(m, "ass ")
				if !whole {
					continue
				}
				at := top
				for _, word := range strings.Fields(text) {
					if next := childNamed(at, word); next != nil {
						at = next
					}
				}
				if at == top && !strings.HasPrefix(text, "help ") {
					t.Errorf("there is no ass %s", text)
				}
			}
		}
	}
}

// What could be a value is not repeated.
func TestUnknownWordsAreNotRepeated(t *testing.T) {
	for _, line := range []string{"hunter2", "secrets hunter2", "secrets get -hunter2", "secrets get a/K --Hunter2", "secrets set a/K --hunterx",
		"secrets set a/K -hunter2", "secrets list --nampespace=hunter2", "kv hunter2 put", "run -xhunter2 -- true", "kv get hunter2",
		"secrets get -xhunter2", "help hunter2", "hunter2/hunter2"} {
		_, stderr, exit := run(t, t.TempDir(), time.Now(), strings.Fields(line)...)
		if exit != exitUsage || strings.Contains(strings.ToLower(stderr), "hunter") {
			t.Errorf("%s: exit code %d, %q", line, exit, stderr)
		}
	}
}
