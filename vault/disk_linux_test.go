//go:build (amd64 || arm64) && !race

// Nothing here runs concurrently, so the race detector has nothing to find.

package vault

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"

	"ass/audit"
	"ass/e2e/trace"
	"ass/tokens"
	"ass/vault/disk"
)

// diskAct does what a command does with the vault. done reports whether the vault shows it.
type diskAct struct {
	do   func(*Session) (value string, err error)
	done func(*Session) bool
}

// newest reports whether the last log entry is of the given event.
func newest(s *Session, event string) bool {
	entries, err := s.Log(1, nil)
	return err == nil && len(entries) == 1 && entries[0].Type == event
}

var diskActs = map[string]diskAct{
	"set": {
		func(s *Session) (string, error) {
			_, _, err := s.Set(mustPath("a/K"), []byte("four"), SetOptions{})
			return "", err
		},
		func(s *Session) bool {
			_, versions, err := s.History(mustPath("a/K"))
			return err == nil && len(versions) == 4
		},
	},
	"get": {
		func(s *Session) (string, error) {
			_, value, err := s.Get(mustPath("a/K"), 0)
			return string(value), err
		},
		func(s *Session) bool { return newest(s, audit.SecretRead) },
	},
	"delete": {
		func(s *Session) (string, error) {
			_, _, err := s.Delete(mustPath("a/L"))
			return "", err
		},
		func(s *Session) bool { return newest(s, audit.SecretDeleted) },
	},
	"import": { // large enough to make the file grow
		func(s *Session) (string, error) {
			var items []Item
			for i := range 20 {
				items = append(items, Item{Key: fmt.Sprint("KEY_", i), Value: []byte(strings.Repeat("x", 2000))})
			}
			ns, err := tokens.ParseNamespace("b")
			if err != nil {
				return "", err
			}
			_, err = s.Import(ns, items, ImportOptions{})
			return "", err
		},
		func(s *Session) bool { return newest(s, audit.SecretImported) },
	},
	"create an agent": {
		func(s *Session) (string, error) {
			scopes, err := tokens.ScopesOf([]string{"secrets:read:a/*"})
			if err != nil {
				return "", err
			}
			_, k, err := s.CreateAgent(AgentSpec{Name: "worker", Scopes: scopes})
			if err != nil && k != (tokens.AgentKey{}) {
				return "a key", err
			}
			return "", err
		},
		func(s *Session) bool { return newest(s, audit.AgentCreated) },
	},
	"issue a token": {
		func(s *Session) (string, error) {
			scopes, err := tokens.ScopesOf([]string{"secrets:read:a/*"})
			if err != nil {
				return "", err
			}
			issued, err := s.IssueToken(TokenSpec{Scopes: scopes})
			if err != nil {
				return issued.Text, err
			}
			return "", nil
		},
		func(s *Session) bool { return newest(s, audit.TokenIssued) },
	},
	"purge": {
		func(s *Session) (string, error) {
			_, err := s.Purge(mustPath("a/L"))
			return "", err
		},
		func(s *Session) bool { return newest(s, audit.SecretPurged) },
	},
	"move": { // nobody loses a right by it, so it appends
		func(s *Session) (string, error) { return "", moveAlone(s) },
		func(s *Session) bool { return newest(s, audit.SecretMoved) },
	},
	"describe": {
		func(s *Session) (string, error) {
			_, _, err := s.Describe(mustPath("a/K"), func(x *About) { x.Description = "what it is for" })
			return "", err
		},
		func(s *Session) bool { return newest(s, audit.SecretDescribed) },
	},
	"prune": {
		func(s *Session) (string, error) { return "", pruneAll(s) },
		func(s *Session) bool { return newest(s, audit.SecretPruned) },
	},
	"compact": {
		func(s *Session) (string, error) { return "", s.Compact("") },
		func(s *Session) bool { return newest(s, audit.VaultCompacted) },
	},
	"create": {}, // makes the vault
}

// diskChild does one act and says how it ended.
func diskChild(act, path, key string) {
	owner, err := ParseIdentity(key)
	if err != nil {
		panic(err)
	}
	value, err := "", error(nil)
	trace.Me()
	if o := diskOptions(path); act == "create" {
		_, err = Create(path, owner, o)
	} else {
		value, err = diskDo(act, path, owner, o)
	}
	switch {
	case err == nil:
		fmt.Printf("done %q\n", value)
	case value != "":
		fmt.Printf("handed out %q\n", value)
	case errors.Is(err, ErrMaybeDone):
		fmt.Printf("maybe %v\n", err)
	default:
		fmt.Printf("failed %v\n", err)
	}
	os.Exit(0)
}

func diskOptions(path string) Options {
	dir := filepath.Dir(path)
	register := filepath.Join(filepath.Dir(dir), "unfinished-"+filepath.Base(dir)) // outside: its calls do not fail
	return Options{MemoryDir: filepath.Join(dir, "seen"), Unfinished: disk.Register{Dir: register}}
}

func diskDo(act, path string, owner *Identity, o Options) (string, error) {
	v, err := Open(path, o)
	if err != nil {
		return "", err
	}
	defer v.Close()
	s, err := v.Owner(owner)
	if err != nil {
		return "", err
	}
	value, err := diskActs[act].do(s)
	if err != nil && act == "set" {
		if _, again := diskActs[act].do(s); again == nil {
			panic("the database was used again after a commit that failed")
		}
	}
	return value, err
}

// contents returns a digest of all keys and values in a vault; "" if there is no file.
func contents(t *testing.T, path string) string {
	t.Helper()
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return ""
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	sum := sha256.New()
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			fmt.Fprintf(sum, "%q\n", name)
			return b.ForEach(func(k, v []byte) error {
				fmt.Fprintf(sum, "%q %q\n", k, v)
				return nil
			})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

// diskFault is one way in which the disk fails, from the at-th call of an act on; 0 for never.
type diskFault struct {
	at    int
	errno syscall.Errno
	how   string
}

// How calls fail.
const (
	once   = "once"
	onward = "from then on"
	syncs  = "as do all syncs from then on" // writes stay in memory, as if the disk had been pulled
	made   = "though it was made"
)

// hits reports whether the n-th call fails.
func (f diskFault) hits(n int, c trace.FileCall) bool {
	switch {
	case f.at == 0 || n < f.at || c.Name == "flock": // locking needs no disk
		return false
	case f.how == onward:
		return true
	case f.how == syncs:
		return c.Syncs()
	}
	return n == f.at
}

// TestDiskFails makes every call fail that writes, syncs, makes, truncates or renames one of the
// vault's files. Then it compares what the act said with the vault. Unless -disk-all is given, it
// fails only the first and the last of equal calls in a row, and most calls in one way: this one
// alone, or this one and all after it, by turns.
func TestDiskFails(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	if child := os.Getenv("ASS_TEST_DISK"); child != "" {
		parts := strings.Split(child, "\x1f")
		diskChild(parts[0], parts[1], parts[2])
	}
	v := newVictimIn(t, Options{})
	whole, err := os.ReadFile(v.path)
	if err != nil {
		t.Fatal(err)
	}
	outcomes := map[string]int{}
	for act := range diskActs {
		var calls []trace.FileCall
		run := func(what string, f diskFault) {
			seen := failDisk(t, v.owner, whole, act, what, f, calls, outcomes)
			if f.at == 0 {
				calls = seen
			}
		}
		run(act, diskFault{})
		if len(calls) < 6 {
			t.Fatalf("%s: only %d calls were seen: %v", act, len(calls), calls)
		}
		turns := map[string]int{} // per kind of call
		for i, c := range calls {
			alike := i > 0 && i+1 < len(calls) && calls[i-1] == c && calls[i+1] == c
			if !*diskAll && (alike || courtesy(c) && i%3 != 0 || c.Name != "rename" && i%2 != 0) {
				continue
			}
			faults := []diskFault{{i + 1, syscall.EIO, once}, {i + 1, syscall.ENOSPC, onward}}
			if !*diskAll && c.Name != "rename" {
				faults = faults[turns[c.Name]%2:][:1]
				turns[c.Name]++
			}
			if c.Syncs() {
				faults = append(faults, diskFault{i + 1, syscall.EIO, syncs})
			}
			if *diskAll || c.Name == "pwrite" || c.Name == "rename" {
				faults = append(faults, diskFault{i + 1, syscall.EIO, made})
			}
			if *diskAll {
				faults = append(faults,
					diskFault{i + 1, syscall.ENOSPC, once}, diskFault{i + 1, syscall.EIO, onward},
					diskFault{i + 1, syscall.EDQUOT, once}, diskFault{i + 1, syscall.EROFS, onward})
			}
			for _, f := range faults {
				run(fmt.Sprintf("%s: call %d of %d (%s) fails, %s, with %q", act, i+1, len(calls), c, f.how, f.errno.Error()), f)
			}
		}
	}
	for outcome, n := range outcomes {
		t.Logf("%5d times: %s", n, outcome)
	}
}

// knowNewest lets the machine remember the vault as it is, as after an earlier command.
func knowNewest(t *testing.T, path string) {
	t.Helper()
	o := diskOptions(path)
	if err := os.MkdirAll(o.MemoryDir, 0o700); err != nil {
		t.Fatal(err)
	}
	v, err := OpenCopy(path, Options{})
	if err != nil {
		return // there is none yet, or it is damaged
	}
	defer v.Close()
	last, _, err := v.lastEntry(0)
	if err != nil {
		t.Fatal(err)
	}
	o.memory().note(v.vid, last, false)
}

// failDisk runs an act with a fault and compares what the act said with the vault. If the act
// failed and changed nothing, failDisk repeats it. It returns the calls that it saw.
func failDisk(t *testing.T, owner *Identity, whole []byte, act, what string, f diskFault, calls []trace.FileCall,
	outcomes map[string]int) (seen []trace.FileCall) {
	dir, err := os.MkdirTemp("", "ass-disk-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "vault.db")
	defer os.RemoveAll(diskOptions(path).Unfinished.Dir)
	if act != "create" {
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	knowNewest(t, path)
	before := contents(t, path)

	cmd := exec.Command(os.Args[0], "-test.run=^TestDiskFails$")
	cmd.Env = append(os.Environ(), "ASS_TEST_DISK="+strings.Join([]string{act, path, owner.Text()}, "\x1f"))
	said, _, err := trace.Files(cmd, dir, func(c trace.FileCall) trace.Verdict {
		seen = append(seen, c)
		if !f.hits(len(seen), c) {
			return trace.Verdict{}
		}
		return trace.Verdict{Errno: f.errno, Made: f.how == made}
	})
	trace.SkipUntraceable(t, err)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	outcome, message, _ := strings.Cut(strings.TrimSpace(said), " ")
	outcomes[outcome]++

	fails := func(format string, args ...any) {
		t.Helper()
		t.Fatalf("%s: %s\nit said: %s", what, fmt.Sprintf(format, args...), said)
	}
	if want := saidOf(f, calls); !slices.Contains(want, outcome) {
		fails("it should have ended as one of %q", want)
	}
	if outcome != "done" && (!strings.Contains(message, f.errno.Error()) || !strings.Contains(message, dir) ||
		strings.Contains(message, "\n")) {
		fails("this is no line that says what failed where")
	}
	after := contents(t, path)
	switch {
	case outcome == "failed" && after != before:
		fails("the vault is not as it was")
	case outcome == "done" && after == before:
		fails("nothing was done")
	}

	if outcome != "done" && after == before {
		if act == "create" {
			_, err = Create(path, owner, diskOptions(path))
		} else {
			_, err = diskDo(act, path, owner, diskOptions(path))
		}
		if err != nil {
			fails("it does not work when the disk does again: %v", err)
		}
	}
	opened, err := Open(path, diskOptions(path))
	if err != nil {
		fails("open: %v", err)
	}
	defer opened.Close()
	if back := opened.Rollback(); back != nil {
		fails("this machine believes to have seen what is not there: %s", back)
	}
	s, err := opened.Owner(owner)
	if err != nil {
		fails("owner: %v", err)
	}
	if r, err := s.Check(); err != nil || len(r.Problems) > 0 {
		fails("the vault does not hold: %q, %v", r.Problems, err)
	}
	if done := diskActs[act].done; done != nil && !done(s) {
		fails("it was not done")
	}
	if _, err := os.Lstat(path + newSuffix); err == nil {
		fails("a file was left behind")
	}
	return seen
}

// saidOf returns how an act with a fault may end.
func saidOf(f diskFault, calls []trace.FileCall) []string {
	if f.at == 0 {
		return []string{"done"}
	}
	rest := calls[f.at-1:]
	for len(rest) > 0 && (courtesy(rest[0]) || !f.hits(len(calls)-len(rest)+1, rest[0])) {
		rest = rest[1:]
	}
	if len(rest) == 0 { // the fault hits no call that the act needs
		return []string{"done"}
	}
	c := rest[0]
	ofVault := func(c trace.FileCall) bool { return filepath.Base(c.Path) == "vault.db" && c.Name != "flock" }
	renames := func(c trace.FileCall) bool { return c.Name == "rename" && ofVault(c) }
	synced := func(c trace.FileCall) bool { return ofVault(c) && c.Syncs() }
	tooLate := slices.ContainsFunc(calls, renames) && !slices.ContainsFunc(rest, renames)
	switch {
	case c.Name == "unlinkat": // of a file that is not there; Go tries it in two ways
		return []string{"done", "failed"}
	case c.Name == "pwrite" && ofVault(c) && !slices.ContainsFunc(rest, synced):
		return []string{"done"} // the sum of the free list; without it, the next command walks all pages
	case tooLate, renames(c) && f.how == made:
		return []string{"maybe"}
	case (f.how == onward || f.how == syncs) && c.Syncs() && ofVault(c) && !slices.ContainsFunc(rest[1:], synced):
		return []string{"maybe"} // the meta page is written, and cannot be restored
	}
	return []string{"failed"}
}

// courtesy reports whether an act goes on when the call fails. Such a call writes down what this
// machine remembers, or who holds the lock, or keeps the reserve. Locking itself never fails here.
func courtesy(c trace.FileCall) bool {
	return c.Name == "flock" || strings.Contains(c.Path, "seen") || strings.HasSuffix(c.Path, reserveSuffix) ||
		strings.HasSuffix(c.Path, disk.LockSuffix) && c.Name != "openat"
}
