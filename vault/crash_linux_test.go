//go:build amd64 || arm64

package vault

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ass/audit"
	"ass/e2e/trace"
	"ass/tokens"
)

// crashAct is an act that is killed.
type crashAct struct {
	do       func(*Session) error
	log      []string // events of the entries that it adds
	old, now int      // how often it is to leave the old vault, and the new one, at least
}

func mustPath(s string) tokens.Path {
	p, err := tokens.ParsePath(s)
	if err != nil {
		panic(err)
	}
	return p
}

// moveAlone moves a/L, which nobody but the owner can read.
func moveAlone(s *Session) error {
	plan, err := s.PlanMove([]Move{{mustPath("a/L"), mustPath("b/L")}}, MoveOptions{})
	if err == nil {
		_, err = s.Move(plan)
	}
	return err
}

// updateTo gives the agent worker other scopes.
func updateTo(texts ...string) func(*Session) error {
	return func(s *Session) error {
		scopes, err := tokens.ScopesOf(texts)
		if err != nil {
			return err
		}
		c := AgentChange{Scopes: scopes}
		plan, err := s.PlanAgentUpdate("worker", c)
		if err == nil {
			_, err = s.UpdateAgent("worker", c, plan.Narrows(), NarrowOptions{})
		}
		return err
	}
}

var diskAll = flag.Bool("disk-all", false, "fail every file call of every act in every way, not those that differ")

// In these acts, there is an agent worker that may do all in a.
var crashActs = map[string]crashAct{
	"move":   {moveAlone, []string{audit.VaultRewritten, audit.SecretMoved}, 10, 2},
	"prune":  {pruneAll, []string{audit.VaultRewritten, audit.SecretPruned}, 10, 2},
	"narrow": {updateTo("secrets:read:a/*"), []string{audit.VaultRewritten, audit.AgentUpdated}, 10, 2},
	"widen":  {updateTo("secrets:*:a/*", "secrets:read:b/*"), []string{audit.AgentUpdated}, 2, 1},
	"copy": {func(s *Session) error {
		plan, err := s.PlanMove([]Move{{mustPath("a/K"), mustPath("b/K")}}, MoveOptions{Copy: true})
		if err == nil {
			_, err = s.Move(plan)
		}
		return err
	}, []string{audit.SecretCopied}, 2, 1},
}

// TestCrashInActs kills a process at the system calls of other acts. Each kill leaves the old vault or the new one,
// whole: the log ends as before, or with all that the act logs, and the records are those that it tells of.
func TestCrashInActs(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	v := newVictimIn(t, Options{})
	v.agent("worker")
	before := v.end()
	raw, err := os.ReadFile(v.path)
	v.must(err)
	key := filepath.Join(t.TempDir(), "key")
	v.must(os.WriteFile(key, []byte(v.owner.Text()), 0o600))
	step := 2 // all of them with -disk-all
	if *diskAll {
		step = 1
	}
	for name, act := range crashActs {
		old, now := 0, 0
		for kill, killed := 1, true; killed; kill += step {
			dir := t.TempDir()
			v.path, v.opts.MemoryDir = filepath.Join(dir, "vault.db"), filepath.Join(dir, "seen")
			v.must(os.WriteFile(v.path, raw, 0o600))
			killed, _, err = crash(kill, v.path, key, name)
			trace.SkipUntraceable(t, err)
			v.must(err)
			var log []string
			v.do(func(s *Session) {
				entries, _, err := s.v.LogAfter(before, nil)
				v.must(err)
				for _, e := range entries {
					log = append(log, e.Type)
				}
			})
			switch {
			case len(log) == 0 && killed:
				old++
			case slices.Equal(log, act.log):
				now++
			default:
				t.Fatalf("%s, killed at call %d (%v): the log goes on with %q", name, kill, killed, log)
			}
			if found := v.problems(); found != "" {
				t.Fatalf("%s, killed at call %d, with %q in the log:\n%s", name, kill, log, found)
			}
			if files, _ := filepath.Glob(filepath.Join(dir, "vault.db*")); len(files) > 4 { // the lock, its gate, the reserve
				t.Fatalf("%s, killed at call %d: it left %s", name, kill, files)
			}
			if _, err := os.Lstat(v.path + newSuffix); err == nil {
				t.Fatalf("%s, killed at call %d: it left %s", name, kill, v.path+newSuffix)
			}
		}
		if old < act.old/step || now < act.now/step {
			t.Errorf("%s: the kills left the old vault %d times and the new one %d times: were the right calls hit?", name, old,
				now)
		}
		t.Logf("%s: old %d times, new %d times", name, old, now)
	}
}

// TestCrashInRewrite kills a process at every system call of a rewrite that touches a file.
// Each kill leaves either the old vault or the new one, whole. The next command removes every
// other file of the rewrite.
func TestCrashInRewrite(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	if child := os.Getenv("ASS_TEST_CRASH"); child != "" {
		crashChild(child)
		return
	}
	v := newVictimIn(t, Options{})
	raw, err := os.ReadFile(v.path)
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(v.owner.Text()), 0o600); err != nil {
		t.Fatal(err)
	}
	outcomes := map[string]int{}
	for kill := 1; ; kill++ {
		dir := t.TempDir()
		v.path, v.opts.MemoryDir = filepath.Join(dir, "vault.db"), filepath.Join(dir, "seen")
		if err := os.WriteFile(v.path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		killed, _, err := crash(kill, v.path, key, "")
		trace.SkipUntraceable(t, err)
		if err != nil {
			t.Fatal(err)
		}
		outcome := "old"
		v.do(func(s *Session) {
			_, value, err := s.Get(v.p("a/L"), 0)
			if err != nil && !errors.Is(err, ErrNotFound) || err == nil && string(value) != "other" {
				t.Fatalf("killed at call %d: %q, %v", kill, value, err)
			}
			if errors.Is(err, ErrNotFound) {
				outcome = "new"
			}
			if _, value, err := s.Get(v.p("a/K"), 0); err != nil || string(value) != "three" {
				t.Fatalf("killed at call %d: %q, %v", kill, value, err)
			}
		})
		if found := v.problems(); found != "" {
			t.Fatalf("killed at call %d, the %s vault:\n%s", kill, outcome, found)
		}
		files, _ := filepath.Glob(filepath.Join(dir, "vault.db*"))
		if got := fmt.Sprint(len(files)); got != "3" { // the vault, the lock and its gate
			t.Fatalf("killed at call %d: %s files: %s", kill, got, files)
		}
		outcomes[outcome]++
		if !killed {
			break // the rewrite ended before the kill
		}
	}
	_, calls, err := crash(0, v.path, key, "")
	if err != nil {
		t.Fatal(err)
	}
	if n := count(calls, "fdatasync"); n < 2 { // bbolt syncs the first pages, then the rewrite syncs the file
		t.Error("the new file was not synced")
	}
	if n := count(calls, "fsync"); n < 1 {
		t.Error("the folder was not synced after the rename")
	}
	if _, calls, err = crash(0, v.path, key, "get"); err != nil {
		t.Fatal(err)
	}
	if n := count(calls, "fdatasync"); n < 2 { // bbolt's data, then its meta page
		t.Errorf("a read of a value synced %d times", n)
	}
	if outcomes["old"] < 10 || outcomes["new"] < 2 {
		t.Errorf("the kills left the old vault %d times and the new one %d times: were the right calls hit?", outcomes["old"],
			outcomes["new"])
	}
	t.Logf("old %d times, new %d times", outcomes["old"], outcomes["new"])
}

// crashChild does a rewrite, or what ASS_TEST_ACT says.
func crashChild(arg string) {
	path, keyFile, _ := strings.Cut(arg, "\x1f")
	text, err := os.ReadFile(keyFile)
	if err != nil {
		panic(err)
	}
	owner, err := ParseIdentity(string(text))
	if err != nil {
		panic(err)
	}
	trace.Me()
	v, err := Open(path, Options{MemoryDir: filepath.Join(filepath.Dir(path), "seen")})
	if err != nil {
		panic(err)
	}
	s, err := v.Owner(owner)
	if err != nil {
		panic(err)
	}
	p, _ := tokens.ParsePath("a/L")
	if act, other := crashActs[os.Getenv("ASS_TEST_ACT")]; other {
		err = act.do(s)
	} else if os.Getenv("ASS_TEST_ACT") == "get" {
		p, _ = tokens.ParsePath("a/K")
		_, _, err = s.Get(p, 0)
	} else if _, err = s.Purge(p); errors.Is(err, ErrNotFound) { // purged by an earlier run: rewrite anyway
		err = s.rewrite(&rewritePlan{then: func(*Session, *tx) error { return nil }})
	}
	if err != nil {
		panic(err)
	}
}

// crash runs the child and kills it when it enters its n-th file call. If n is 0, it does not
// kill the child. It returns the calls that the child entered.
func crash(n int, path, keyFile, act string) (killed bool, calls []trace.FileCall, err error) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrashInRewrite$")
	cmd.Env = append(os.Environ(), "ASS_TEST_CRASH="+path+"\x1f"+keyFile, "ASS_TEST_ACT="+act)
	_, killed, err = trace.Files(cmd, filepath.Dir(path), func(c trace.FileCall) trace.Verdict {
		calls = append(calls, c)
		return trace.Verdict{Kill: len(calls) == n}
	})
	return killed, calls, err
}

// count says how often a call was made.
func count(calls []trace.FileCall, name string) (n int) {
	for _, c := range calls {
		if c.Name == name {
			n++
		}
	}
	return n
}
