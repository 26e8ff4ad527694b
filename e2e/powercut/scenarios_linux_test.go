//go:build (amd64 || arm64) && !race

package powercut

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"ass/audit"
	"ass/e2e/world"
	"ass/vault"
)

// scenario is a command whose power is cut.
type scenario struct {
	name  string
	setUp func(*home) // commands that ended before
	args  []string    // with RECOVERED for the recovery file
	check func(*after)

	event      string // that the command logs; "" if it logs none
	anew       bool   // the command begins a new log
	passphrase bool   // the owner key has one
}

func (s *scenario) command(w *home) []string {
	args := make([]string, len(s.args))
	for i, arg := range s.args {
		args[i] = strings.ReplaceAll(arg, "RECOVERED", w.recovered)
	}
	return args
}

// pattern selects the subtest.
func (s *scenario) pattern() string { return strings.ReplaceAll(s.name, " ", "_") }

const (
	one = world.Marker + "-one"
	two = world.Marker + "-two"
)

func withVault(w *home) {
	w.must("secrets", "set", "steady/KEY", "steady")
	w.must("secrets", "set", "a/K", one)
	w.logged("secrets", "set", "steady/LAST", "last")
	w.key = ownerKey.FindString(string(w.read(configFile)))
}

var ownerKey = regexp.MustCompile(`AGE-SECRET-KEY-[A-Z0-9-]+`)

func withAgent(w *home) {
	withVault(w)
	w.agent = createdKey(w.logged("agents", "create", "--name", "worker", "--scopes", "secrets:read:a/*", "--json"))
}

// createdKey returns the key that agents create printed.
func createdKey(out string) string {
	var made struct {
		Key string `json:"api_key"`
	}
	_ = json.Unmarshal([]byte(out), &made)
	return made.Key
}

// withPassphrase locks the owner key with a passphrase, in a way that takes no time.
func withPassphrase(w *home) {
	w.passphrase = false
	withVault(w)
	id, err := vault.ParseIdentity(w.key)
	if err != nil {
		w.t.Fatal(err)
	}
	locked, err := id.Lock(passphrase, 2)
	if err != nil {
		w.t.Fatal(err)
	}
	b, err := json.Marshal(locked)
	if err != nil {
		w.t.Fatal(err)
	}
	text := strings.Replace(string(w.read(configFile)), `"`+w.key+`"`, string(b), 1)
	w.write(configFile, text)
	w.key, w.passphrase = locked, true
}

func withExport(w *home) {
	withVault(w)
	w.must("env", "export", "a", "--output", "out.env")
	w.logged("secrets", "set", "a/K", two)
}

func withTemplate(w *home) {
	withVault(w)
	w.write(project+"/in.txt", "key: {{ ass://a/K }}\n")
}

func loggedOut(w *home) {
	withVault(w)
	w.must("logout")
	found, err := filepath.Glob(w.in(config + "/*.key"))
	if err != nil || len(found) != 1 {
		w.t.Fatalf("logout left the recovery files %q", found)
	}
	w.recovered = found[0]
}

// opens checks what an agent's key does.
func (a *after) opens(key string, must, may bool) { a.reads(key, "a/K", must, may) }

// reads checks whether an agent's key reads a secret.
func (a *after) reads(key, name string, must, may bool) {
	code, _, errs := a.runPlain([]string{"ASS_AGENT_KEY=" + key}, "secrets", "get", name)
	switch {
	case must && code != 0:
		a.fail("the agent's key reads "+name, "it ended with %d: %s", code, errs)
	case !may && code == 0:
		a.fail("the agent's key does not read "+name, "it reads a value")
	}
}

// moved checks that a secret is at one path, the old or the new one.
func (a *after) moved() {
	is := a.value("a/K", a.newOr(one, "")...)
	also := one
	if is != "" {
		also = ""
	}
	a.value("b/K", also)
}

// holding returns the files that hold a text.
func (a *after) holding(text string) (names []string) {
	for name, l := range a.disk {
		if strings.Contains(string(l.data), text) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

var scenarios = []*scenario{
	{
		name: "first set", setUp: func(*home) {}, args: []string{"secrets", "set", "a/K", one},
		event: audit.SecretCreated,
		check: func(a *after) {
			switch {
			case a.acked:
				a.value("a/K", one)
			case a.hasVault:
				a.value("a/K", one, "")
			}
		},
	},
	{
		name: "second set", setUp: withVault, args: []string{"secrets", "set", "a/K", two}, event: audit.SecretUpdated,
		check: func(a *after) { a.value("a/K", a.newOr(one, two)...) },
	},
	{
		name: "get", setUp: withVault, args: []string{"secrets", "get", "a/K"}, event: audit.SecretRead,
		check: func(a *after) { a.value("a/K", one) },
	},
	{
		name: "rotate", setUp: withVault, args: []string{"secrets", "rotate", "a/K", "--value", two, "--force"},
		event: audit.SecretRotated,
		check: func(a *after) { a.value("a/K", a.newOr(one, two)...) },
	},
	{
		name: "purge", setUp: withAgent, args: []string{"secrets", "purge", "a/K", "--force"}, event: audit.SecretPurged,
		check: func(a *after) { a.value("a/K", a.newOr(one, "")...) },
	},
	{
		name: "move that appends", setUp: withVault, args: []string{"secrets", "mv", "a/K", "b/K", "--force"},
		event: audit.SecretMoved, check: func(a *after) { a.moved() },
	},
	{
		name: "move that rewrites", setUp: withAgent, args: []string{"secrets", "mv", "a/K", "b/K", "--force"},
		event: audit.SecretMoved,
		check: func(a *after) {
			a.moved()
			a.reads(a.c.w.agent, "b/K", false, false)
		},
	},
	{
		name: "prune", args: []string{"secrets", "prune", "a/K", "--keep", "1", "--force"}, event: audit.SecretPruned,
		setUp: func(w *home) {
			withVault(w)
			w.logged("secrets", "set", "a/K", two)
		},
		check: func(a *after) {
			a.value("a/K", two)
			switch code, out, _ := a.run(nil, "secrets", "get", "a/K", "--version", "1"); {
			case code == 0 && (a.acked || out != one):
				a.fail("what was pruned is gone", "version 1 has %d bytes", len(out))
			case code != 0 && code != 4:
				a.fail("ass secrets get works", "it ended with %d", code)
			}
		},
	},
	{
		name: "agents update that widens", setUp: withAgent, event: audit.AgentUpdated,
		args: []string{"agents", "update", "worker", "--scopes", "secrets:read:a/*,secrets:read:steady/*", "--force"},
		check: func(a *after) {
			a.opens(a.c.w.agent, true, true)
			a.reads(a.c.w.agent, "steady/KEY", a.acked, true)
		},
	},
	{
		name: "agents update that narrows", setUp: withAgent, event: audit.AgentUpdated,
		args: []string{"agents", "update", "worker", "--scopes", "secrets:read:steady/*", "--force"},
		check: func(a *after) {
			a.opens(a.c.w.agent, false, !a.acked)
			a.reads(a.c.w.agent, "steady/KEY", a.acked, true)
		},
	},
	{
		name: "agents create", setUp: withVault, event: audit.AgentCreated,
		args: []string{"agents", "create", "--name", "worker", "--scopes", "secrets:read:a/*", "--json"},
		check: func(a *after) {
			if a.acked {
				a.opens(createdKey(a.c.w.said), true, true)
			}
		},
	},
	{
		name: "agents revoke", setUp: withAgent, args: []string{"agents", "revoke", "worker", "--force"},
		event: audit.AgentRevoked,
		check: func(a *after) { a.opens(a.c.w.agent, false, !a.acked) },
	},
	{
		name: "env import", event: audit.SecretImported,
		setUp: func(w *home) {
			withVault(w)
			w.write(project+"/in.env", "ONE="+one+"\nTWO="+two+"\nBIG="+strings.Repeat("x", 20_000)+"\n")
		},
		args: []string{"env", "import", "in.env", "--namespace", "imported"},
		check: func(a *after) {
			is := a.value("imported/ONE", a.newOr("", one)...)
			also := ""
			if is != "" {
				also = two
			}
			a.value("imported/TWO", also)
		},
	},
	{
		name: "env export", setUp: withExport, args: []string{"env", "export", "a", "--output", "out.env"},
		event: audit.SecretRead,
	},
	{
		name: "env export to a new file", setUp: withVault, args: []string{"env", "export", "a", "--output", "out.env"},
		event: audit.SecretRead,
	},
	{
		name: "inject", setUp: withTemplate, args: []string{"inject", "-i", "in.txt", "-o", "out.txt"},
		event: audit.SecretRead,
	},
	{
		name: "backup", setUp: withAgent, args: []string{"vault", "backup", "kept.db"}, event: audit.VaultBackedUp,
	},
	{
		name: "restore", event: audit.VaultRestored,
		setUp: func(w *home) {
			withVault(w)
			w.must("vault", "backup", "kept.db")
			w.logged("secrets", "set", "a/K", two)
		},
		args:  []string{"vault", "restore", "kept.db", "--force"},
		check: func(a *after) { a.value("a/K", a.newOr(two, one)...) },
	},
	{
		name: "salvage",
		setUp: func(w *home) {
			withVault(w)
			b := w.read(vaultFile)
			clear(b[:2*pageSize])
			w.write(project+"/damaged.db", string(b))
		},
		args: []string{"vault", "salvage", "damaged.db", "new.db"},
	},
	{
		name: "compact", setUp: withAgent, args: []string{"vault", "compact"}, event: audit.VaultCompacted,
		check: func(a *after) { a.opens(a.c.w.agent, true, true) },
	},
	{
		name: "rekey", setUp: withAgent, args: []string{"vault", "rekey", "--new-key", "--force"},
		anew: true,
		check: func(a *after) {
			a.value("a/K", one)
			if a.acked && a.vid == a.c.vid {
				a.fail("the vault has another owner key", "its id is the old one")
			}
			a.kept(a.vid != a.c.vid, vaultFile+".log-*")
			a.opens(a.c.w.agent, false, !a.acked)
		},
	},
	{
		name: "archive", setUp: withAgent, args: []string{"audit", "archive", "log.jsonl", "--before", "0s", "--force"},
		event: audit.LogArchived,
		check: func(a *after) { a.kept(a.first > 1, project+"/log.jsonl") },
	},
	{
		name: "unlock", setUp: withPassphrase, args: []string{"unlock"}, event: audit.TokenIssued, passphrase: true,
		check: func(a *after) {
			if code, _, errs := a.runPlain(nil, "secrets", "get", "a/K"); a.acked && code != 0 {
				a.fail("the token of unlock opens the vault", "it ended with %d: %s", code, errs)
			}
		},
	},
	{
		name: "lock", event: audit.TokenRevoked, passphrase: true,
		setUp: func(w *home) {
			withPassphrase(w)
			w.logged("unlock")
			w.token = string(w.read(state + "/unlocked-default"))
		},
		args: []string{"lock"},
		check: func(a *after) {
			if code, _, _ := a.runPlain(nil, "secrets", "get", "a/K"); a.acked && code == 0 {
				a.fail("the token of unlock opens nothing", "it reads a value")
			}
			if found := a.holding(a.c.w.token); a.acked && len(found) > 0 {
				a.fail("the token of unlock is gone", "it is in %q", found)
			}
		},
	},
	{name: "login", setUp: loggedOut, args: []string{"login", "--key-file", "RECOVERED"}},
	{
		name: "logout", setUp: withVault, args: []string{"logout"},
		check: func(a *after) {
			switch found := a.holding(a.c.w.key); {
			case len(found) == 0:
				a.fail("the owner key is kept", "it is in no file")
			case a.acked && (len(found) > 1 || !strings.HasSuffix(found[0], ".key")):
				a.fail("the owner key is in the recovery file alone", "it is in %q", found)
			}
		},
	},
}
