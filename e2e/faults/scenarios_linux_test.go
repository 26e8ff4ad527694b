//go:build (amd64 || arm64) && !race

package faults

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"ass/e2e/world"
	"ass/vault"
)

// scenario is a command that is killed, or whose calls fail.
type scenario struct {
	name  string
	setUp func(*home) // commands that ended before
	args  []string
	makes []string // files that are as before, or as the command makes them; they may hold values

	done  func(*after) bool
	check func(*after)
	again func(*after) // if it is not the same command that must work afterwards

	sets bool // the passphrase that it is given is a new one
	lost bool // it destroys the owner's key
}

const (
	one = world.Marker + "-one"
	two = world.Marker + "-two"
)

func nothing(*home) {}

func withTwo(w *home) {
	withVault(w)
	w.must("secrets", "set", "a/L", two)
}

func withVault(w *home) {
	w.must("secrets", "set", "a/K", one)
	w.key = ownerKey.FindString(w.read(configFile))
}

var ownerKey = regexp.MustCompile(`AGE-SECRET-KEY-[A-Z0-9-]+`)

func withAgent(w *home) {
	withVault(w)
	w.must("agents", "create", "--name", "worker", "--scopes", "secrets:read:a/*", "--write-key", "worker.key")
}

// withPassphrase locks the owner key with a passphrase, in a way that takes no time.
func withPassphrase(w *home) {
	withVault(w)
	id, err := vault.ParseIdentity(w.key)
	if err != nil {
		w.t.Fatal(err)
	}
	locked, err := id.Lock(passphrase, 2)
	if err != nil {
		w.t.Fatal(err)
	}
	w.write(configFile, strings.Replace(w.read(configFile), `"`+w.key+`"`, quoted(locked), 1))
}

// withNext has the passphrase in a file, too.
func withNext(w *home) {
	withPassphrase(w)
	w.write(project+"/next", passphrase+"\n")
}

func unlocked(w *home) {
	withPassphrase(w)
	w.must("unlock")
}

func withExport(w *home) {
	withVault(w)
	w.must("env", "export", "a", "--output", "out.env")
	w.must("secrets", "set", "a/L", two)
}

func withTemplate(w *home) {
	withVault(w)
	w.write(project+"/in.txt", "key: {{ ass://a/K }}\n")
}

// loggedOut moves the recovery file to owner.key.
func loggedOut(w *home) {
	withVault(w)
	w.must("logout")
	w.write(project+"/owner.key", w.read(w.recovered()))
}

// recovered returns the recovery file.
func (w *home) recovered() string {
	w.t.Helper()
	found, err := filepath.Glob(w.in(config + "/recovery-*"))
	if err != nil || len(found) == 0 {
		w.t.Fatalf("there is no recovery file")
	}
	return strings.TrimPrefix(found[0], w.root+"/")
}

func withBackup(w *home) {
	withVault(w)
	w.must("vault", "backup", "kept.db")
	w.must("secrets", "set", "a/L", two)
}

// made reports whether a file is as the command makes it.
func made(name string) func(*after) bool {
	return func(a *after) bool {
		now, there := a.now[name]
		return there && now.data == a.end[name].data
	}
}

// inConfig reports whether config.json has a text.
func inConfig(text string) func(*after) bool {
	return func(a *after) bool { return strings.Contains(a.now[configFile].data, text) }
}

// agentIs reports whether there is an agent of this name.
func (a *after) agentIs(name string) bool {
	return strings.Contains(a.works("agents", "list").Stdout, name)
}

// isLocked checks that nothing opens without the passphrase, and that no token is live.
func (a *after) isLocked() {
	a.works("lock")
	if r := a.runPlain("secrets", "get", "a/K"); r.Exit == 0 {
		a.fail("after ass lock, a value is read without the passphrase")
	}
	var list struct {
		Items []struct{ Status string }
	}
	out := a.works("tokens", "list", "--json").Stdout
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		a.t.Fatalf("%v: %s", err, out)
	}
	for _, token := range list.Items {
		if token.Status == vault.TokenActive && !strings.Contains(a.Stderr, "could not be revoked") {
			a.fail("after ass lock, a token is live")
		}
	}
}

// isUnlocked reports whether a value is read without the passphrase.
func isUnlocked(a *after) bool { return a.runPlain("secrets", "get", "a/K").Exit == 0 }

// An age identity of our own, to which the owner key is sealed. Its text is of no kind that a person could take for the
// owner's.
const furtherKey = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"

func withIdentity(w *home) {
	withVault(w)
	w.write(project+"/identity.txt", furtherKey+"\n")
}

func withFurtherKey(w *home) {
	withIdentity(w)
	w.must("key", "add", "--identity", "identity.txt")
}

// byFurtherKey logs in with the further key. The owner's lies in owner.key.
func byFurtherKey(w *home) {
	withFurtherKey(w)
	w.write(project+"/owner.key", w.key+"\n")
	w.must("login", "--identity", "identity.txt")
}

// opensAlone checks that the further key opens the vault, in a profile of its own.
func opensAlone(a *after) {
	a.works("login", "--identity", "identity.txt", "--profile", "alone")
	if r := a.works("secrets", "get", "a/K", "--profile", "alone"); r.Stdout != one {
		a.fail("the further key does not read a/K")
	}
}

var scenarios = []*scenario{
	{
		name: "login", setUp: nothing, args: []string{"login"}, done: inConfig(`"vault": "`),
		again: func(a *after) {
			a.works("login")
			a.works("secrets", "set", "a/K", one)
		},
	},
	{
		name: "first set", setUp: nothing, args: []string{"secrets", "set", "a/K", one},
		done: func(a *after) bool { return a.runPlain("secrets", "get", "a/K").Stdout == one },
	},
	{
		name: "login with a recovery file", setUp: loggedOut, args: []string{"login", "--key-file", "owner.key"},
		done: inConfig("AGE-SECRET-KEY"),
	},
	{
		name: "login of an agent", setUp: withAgent, args: []string{"login", "--key-file", "worker.key"},
		done: inConfig(`"agent"`),
		again: func(a *after) {
			a.works("login", "--key-file", "worker.key")
			a.write(project+"/owner.key", a.read(a.recovered()))
			a.works("login", "--key-file", "owner.key")
		},
	},
	{
		name: "login with a passphrase", setUp: withVault, args: []string{"login"}, sets: true,
		done: inConfig("BEGIN AGE ENCRYPTED FILE"),
	},
	{
		name: "passphrase", args: []string{"passphrase", "--new-file", "next"}, makes: []string{project + "/next"},
		done: inConfig("BEGIN AGE ENCRYPTED FILE"),
		setUp: func(w *home) {
			withVault(w)
			w.write(project+"/next", passphrase+"\n")
		},
	},
	{
		name: "another passphrase", setUp: withNext, args: []string{"passphrase", "--new-file", "next"},
		makes: []string{project + "/next"},
		done:  func(a *after) bool { return a.now[configFile].data != a.before[configFile].data },
	},
	{
		name: "no passphrase", setUp: withPassphrase, args: []string{"passphrase", "--remove", "--force"},
		done: func(a *after) bool { return strings.Contains(a.now[configFile].data, a.key) },
		again: func(a *after) {
			if a.isProtected() {
				a.works("passphrase", "--remove", "--force")
			}
		},
	},
	{
		name: "key show", setUp: withVault, args: []string{"key", "show", "--svg", "key.svg", "--html", "key.html", "--force"},
		makes: []string{project + "/key.svg", project + "/key.html"}, done: made(project + "/key.html"),
	},
	{
		name: "key add", setUp: withIdentity, args: []string{"key", "add", "--identity", "identity.txt"},
		done: func(a *after) bool { return strings.Contains(a.works("key", "list").Stdout, ", added") },
		again: func(a *after) {
			if a.run("key", "add", "--identity", "identity.txt"); !a.s.done(a) {
				a.fail("it cannot be added again")
			}
			opensAlone(a)
		},
	},
	{
		name: "login with a further key", setUp: withFurtherKey, args: []string{"login", "--identity", "identity.txt"},
		done: inConfig("way:" + furtherKey),
	},
	{
		name: "a new vault with a further key", setUp: func(w *home) { w.write(project+"/identity.txt", furtherKey+"\n") },
		args: []string{"login", "--identity", "identity.txt"},
		done: func(a *after) bool {
			_, there := a.now[vaultFile]
			return there && strings.Contains(a.now[configFile].data, "way:"+furtherKey)
		},
		again: func(a *after) {
			if strings.Contains(a.now[configFile].data, "way:") {
				a.works("login") // which goes on with the key that the profile has
			}
			a.works("login", "--identity", "identity.txt")
			a.works("secrets", "set", "a/K", one)
			opensAlone(a)
		},
	},
	{
		name: "another owner key with a further key", setUp: byFurtherKey, args: []string{"vault", "rekey", "--new-key", "--force"},
		done: func(a *after) bool {
			id, err := vault.ParseIdentity(a.key)
			if err != nil {
				a.t.Fatal(err)
			}
			v, err := vault.Open(a.in(vaultFile), vault.Options{ReadOnly: true})
			if err != nil {
				return false
			}
			defer v.Close()
			_, err = v.Owner(id)
			return err != nil
		},
		again: opensAlone,
	},
	{
		name: "logout", setUp: withVault, args: []string{"logout"},
		done: func(a *after) bool { return a.now[configFile].data == "" },
		again: func(a *after) {
			a.works("logout")
			a.write(project+"/owner.key", a.read(a.recovered()))
			a.works("login", "--key-file", "owner.key")
		},
	},
	{
		name: "logout for good", setUp: withVault, args: []string{"logout", "--force"}, lost: true,
		done: func(a *after) bool { return a.now[configFile].data == "" },
		again: func(a *after) {
			a.works("logout", "--force")
			for name, e := range a.load() {
				if strings.Contains(e.data, a.key) {
					a.fail("%s has the key", name)
				}
			}
			a.write(project+"/owner.key", a.key)
			a.works("login", "--key-file", "owner.key")
		},
	},
	{
		name: "unlock", setUp: withPassphrase, args: []string{"unlock"}, done: isUnlocked,
		check: (*after).isLocked,
	},
	{
		name: "unlock again", setUp: unlocked, args: []string{"unlock"},
		done:  func(a *after) bool { return isUnlocked(a) && a.now[unlockFile].data != a.before[unlockFile].data },
		check: (*after).isLocked,
	},
	{
		name: "lock", setUp: unlocked, args: []string{"lock"}, check: (*after).isLocked,
		done: func(a *after) bool { return a.now[unlockFile].data == "" },
	},
	{
		name: "env export", setUp: withExport, args: []string{"env", "export", "a", "--output", "out.env"},
		makes: []string{project + "/out.env"}, done: made(project + "/out.env"),
		again: func(a *after) { a.works("env", "export", "a", "--output", "out.env", "--force") },
	},
	{
		name: "env export to a new file", setUp: withVault,
		args:  []string{"env", "export", "a", "--output", "new/out.env"},
		makes: []string{project + "/new/out.env"}, done: made(project + "/new/out.env"),
		again: func(a *after) { a.works("env", "export", "a", "--output", "new/out.env", "--force") },
	},
	{
		name: "env export to a folder", setUp: withTwo,
		args:  []string{"env", "export", "a", "--format", "dir", "--output", "new/out"},
		makes: []string{project + "/new/out/K", project + "/new/out/L"}, done: made(project + "/new/out/L"),
		check: func(a *after) {
			_, k := a.now[project+"/new/out/K"]
			if _, l := a.now[project+"/new/out/L"]; k != l {
				a.fail("one of two files is there: K %t, L %t", k, l)
			}
		},
		again: func(a *after) { a.works("env", "export", "a", "--format", "dir", "--output", "again") },
	},
	{
		name: "inject", setUp: withTemplate, args: []string{"inject", "-i", "in.txt", "-o", "out.txt"},
		makes: []string{project + "/out.txt"}, done: made(project + "/out.txt"),
		again: func(a *after) { a.works("inject", "-i", "in.txt", "-o", "out.txt", "--force") },
	},
	{
		name: "inject in place", setUp: withTemplate, args: []string{"inject", "-i", "in.txt", "-o", "in.txt"},
		makes: []string{project + "/in.txt"}, done: made(project + "/in.txt"),
	},
	{
		name: "agents create", setUp: withVault,
		args: []string{"agents", "create", "--name", "worker", "--scopes", "secrets:read:a/*", "--write-key", "worker.key"},
		done: func(a *after) bool { return a.agentIs("worker") },
		check: func(a *after) {
			_, there := a.now[project+"/worker.key"]
			switch is := a.agentIs("worker"); {
			case there && !is:
				a.fail("there is a key, and no agent")
			case a.Exit == 0 && !a.killed && !there:
				a.fail("there is no key")
			}
		},
		again: func(a *after) {
			name := "worker"
			if a.agentIs(name) {
				name = "other"
			}
			a.works("agents", "create", "--name", name, "--scopes", "secrets:read:a/*", "--write-key", name+".key")
		},
	},
	{
		name: "init", args: []string{"init", "--namespace", "a"},
		setUp: func(w *home) {
			withVault(w)
			w.write(project+"/.gitignore", "node_modules")
		},
		makes: []string{project + "/.assrc", project + "/.gitignore"}, done: made(project + "/.gitignore"),
	},
	{
		name: "init of a repository", args: []string{"init", "--namespace", "a"},
		setUp: func(w *home) {
			withVault(w)
			w.write(project+"/.git", "")
		},
		makes: []string{project + "/.assrc", project + "/.gitignore"}, done: made(project + "/.gitignore"),
	},
	{
		name: "mcp config", setUp: withAgent,
		args:  []string{"mcp", "config", "cursor", "--key-file", "worker.key", "--write"},
		makes: []string{project + "/.cursor/mcp.json"}, done: made(project + "/.cursor/mcp.json"),
	},
	{
		name: "mcp config over another", args: []string{"mcp", "config", "claude", "--key-file", "worker.key", "--write"},
		setUp: func(w *home) {
			withAgent(w)
			w.write(project+"/.mcp.json", `{"mcpServers": {"other": {"command": "other"}}}`)
		},
		makes: []string{project + "/.mcp.json"}, done: made(project + "/.mcp.json"),
		check: func(a *after) {
			for name, e := range a.now {
				if strings.HasSuffix(name, ".old") && e.data != a.before[project+"/.mcp.json"].data {
					a.fail("%s is not what was there", name)
				}
			}
		},
	},
	{
		name: "secrets get", setUp: withVault, args: []string{"secrets", "get", "a/K"},
		done: func(a *after) bool { return a.Stdout == one },
	},
	{
		name: "restore", setUp: withBackup, args: []string{"vault", "restore", "kept.db", "--force"},
		done: func(a *after) bool { return a.runPlain("secrets", "get", "a/L").Exit == 4 },
	},
	{
		name: "restore on another machine", args: []string{"vault", "restore", "kept.db", "--force"},
		setUp: func(w *home) {
			withBackup(w)
			for _, dir := range []string{data, state} {
				if err := os.RemoveAll(w.in(dir)); err != nil {
					w.t.Fatal(err)
				}
			}
		},
		done: func(a *after) bool { return a.now[vaultFile].data != "" },
	},
	{
		name: "run", setUp: withVault,
		args: []string{"run", "--file", "KEY=a/K", "--file", "LINKED=a/K:link", "--", "/bin/true"},
		done: func(a *after) bool { return a.Exit == 0 },
		check: func(a *after) {
			link := a.in(project + "/link")
			if _, err := os.Lstat(link); err != nil {
				return
			}
			// A run that cannot remove it ends with 0, as its program did. Then it leads nowhere.
			if _, err := os.Stat(link); err == nil || a.killed {
				a.fail("a link was left behind")
			}
			if err := os.Remove(link); err != nil {
				a.t.Fatal(err)
			}
		},
	},
}
