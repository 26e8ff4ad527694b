//go:build (amd64 || arm64) && !race

package vault

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ass/e2e/trace"
	"ass/vault/internal/bolt"
)

// The acts that copy a vault or replace it must survive a kill, and a failure, at each of their
// system calls.

// copyAct is one such act, in a folder with a vault.db and the other files that it needs.
type copyAct struct {
	files map[string][]byte // contents by name, before the act
	do    func(dir string, owner *Identity) error
	makes string // the file that the act makes besides the vault; "" for none

	// whole checks the file that the act made.
	whole func(file string, owner *Identity) error

	again string // the name of the file when the act is repeated
	keeps bool   // whether it keeps the old vault.db under another name
}

func archiveVerifies(file string, _ *Identity) error {
	_, problems, err := VerifyArchive(file, nil)
	if err == nil && len(problems) > 0 {
		err = fmt.Errorf("%q", problems)
	}
	return err
}

// inVault calls fn with the owner's session in the folder's vault.
func inVault(dir string, owner *Identity, fn func(*Session) error) error {
	path := filepath.Join(dir, "vault.db")
	v, err := Open(path, diskOptions(path))
	if err != nil {
		return err
	}
	defer v.Close()
	s, err := v.Owner(owner)
	if err != nil {
		return err
	}
	return fn(s)
}

func restoreIn(dir string, owner *Identity) error {
	path, file := filepath.Join(dir, "vault.db"), filepath.Join(dir, "backup.db")
	plan, err := PlanRestore(path, file, owner, diskOptions(path))
	if err == nil {
		_, err = Restore(path, file, owner, plan, diskOptions(path))
	}
	return err
}

func archiveTo(name string) func(string, *Identity) error {
	return func(dir string, owner *Identity) error {
		return inVault(dir, owner, func(s *Session) error {
			_, err := s.ArchiveLog(filepath.Join(dir, name), time.Now().Add(time.Hour), false)
			return err
		})
	}
}

// nextOwner reads the new owner key that a rekey finds in the folder.
func nextOwner(dir string) *Identity {
	b, err := os.ReadFile(filepath.Join(dir, "next.key"))
	if err != nil {
		panic(err)
	}
	id, err := ParseIdentity(string(b))
	if err != nil {
		panic(err)
	}
	return id
}

func rekeyTo(name string) func(string, *Identity) error {
	return func(dir string, owner *Identity) error {
		return inVault(dir, owner, func(s *Session) error {
			_, _, err := s.RekeyOwner(NewOwnership(nextOwner(dir)), filepath.Join(dir, name))
			return err
		})
	}
}

// copyActs returns the acts by name, without their files; copyWorld makes these.
func copyActs() map[string]*copyAct {
	return map[string]*copyAct{
		"backup": {
			do: func(dir string, owner *Identity) error {
				var b Backup
				err := inVault(dir, owner, func(s *Session) (err error) {
					b, err = s.BackUp(filepath.Join(dir, "copy.db"))
					return err
				})
				if err == nil {
					_, err = b.Verify(owner, Options{})
				}
				return err
			},
			makes: "copy.db", whole: verifies,
		},
		"restore":                  {do: restoreIn, keeps: true},
		"restore over damage":      {do: restoreIn, keeps: true},
		"restore where nothing is": {do: restoreIn},
		"salvage": {
			do: func(dir string, owner *Identity) error {
				_, err := Salvage(filepath.Join(dir, "damaged.db"), filepath.Join(dir, "new.db"), owner,
					diskOptions(filepath.Join(dir, "vault.db")))
				return err
			},
			makes: "new.db", whole: verifies,
		},
		"archive": {do: archiveTo("log.jsonl"), makes: "log.jsonl", whole: archiveVerifies, again: "again.jsonl"},
		"rekey":   {do: rekeyTo("log.jsonl"), makes: "log.jsonl", whole: archiveVerifies, again: "again.jsonl"},
	}
}

// copyWorld returns the acts with the files that they find.
func copyWorld(t *testing.T) (owner *Identity, acts map[string]*copyAct) {
	v := newVictimIn(t, Options{})
	read := func(path string) []byte {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	backup := filepath.Join(t.TempDir(), "backup.db")
	var b Backup
	v.do(func(s *Session) {
		var err error
		if b, err = s.BackUp(backup); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := b.Verify(v.owner, Options{}); err != nil {
		t.Fatal(err)
	}
	v.do(func(s *Session) { v.set(s, "a/K", "four") })
	next, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	whole := read(v.path)
	damaged := slices.Clone(whole)
	clear(damaged[:2*bolt.PageSize])
	// The log of this vault has a hole, so Salvage writes the log to a file of its own.
	torn := filepath.Join(t.TempDir(), "torn.db")
	var holed []byte
	for page := 2; page < len(whole)/bolt.PageSize && holed == nil; page++ {
		b := slices.Clone(damaged)
		clear(b[page*bolt.PageSize:][:bolt.PageSize])
		if err := os.WriteFile(torn, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := Salvage(torn, filepath.Join(t.TempDir(), "x.db"), v.owner,
			Options{MemoryDir: v.opts.MemoryDir}); err == nil && r.LogFile != "" {
			holed = b
		}
	}
	if holed == nil {
		t.Fatal("no page makes a hole in the log")
	}
	acts = copyActs()
	acts["backup"].files = map[string][]byte{"vault.db": whole}
	acts["restore"].files = map[string][]byte{"vault.db": whole, "backup.db": read(backup)}
	acts["restore over damage"].files = map[string][]byte{"vault.db": damaged, "backup.db": read(backup)}
	acts["restore where nothing is"].files = map[string][]byte{"backup.db": read(backup)}
	acts["salvage"].files = map[string][]byte{"vault.db": whole, "damaged.db": holed}
	acts["archive"].files = map[string][]byte{"vault.db": whole}
	acts["rekey"].files = map[string][]byte{"vault.db": whole, "next.key": []byte(next.Text())}
	return v.owner, acts
}

// copyChild does one act and says how it ended.
func copyChild(act, dir, key string) {
	owner, err := ParseIdentity(key)
	if err != nil {
		panic(err)
	}
	trace.Me()
	switch err := copyActs()[act].do(dir, owner); {
	case err == nil:
		fmt.Println("done")
	case errors.Is(err, ErrMaybeDone):
		fmt.Printf("maybe %v\n", err)
	case errors.Is(err, ErrNotMade) && strings.Contains(err.Error(), "after the log recorded it") ||
		strings.Contains(err.Error(), "the backup could not"):
		fmt.Printf("logged %v\n", err)
	default:
		fmt.Printf("failed %v\n", err)
	}
	os.Exit(0)
}

// TestCopies kills every act at its system calls and makes these calls fail. Then it checks what
// the act said and which files are there. Unless -disk-all is given, it tries only some of the
// kills and faults, and skips equal calls in a row.
func TestCopies(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	if child := os.Getenv("ASS_TEST_COPIES"); child != "" {
		parts := strings.Split(child, "\x1f")
		copyChild(parts[0], parts[1], parts[2])
	}
	owner, acts := copyWorld(t)
	outcomes := map[string]int{}
	for _, name := range []string{"backup", "restore", "restore over damage", "restore where nothing is", "salvage",
		"archive", "rekey"} {
		c := copyRun{t: t, name: name, act: acts[name], owner: owner, outcomes: outcomes}
		calls := c.run(diskFault{}, 0)
		if len(calls) < 10 {
			t.Fatalf("%s: only %d calls were seen: %v", name, len(calls), calls)
		}
		turns := map[string]int{} // per kind of call
		for i, call := range calls {
			alike := i > 0 && i+1 < len(calls) && calls[i-1] == call && calls[i+1] == call
			if !*diskAll && (alike || courtesy(call)) {
				continue
			}
			turn := turns[call.Name]
			turns[call.Name]++
			names := call.Name == "rename" || call.Name == "link"
			if *diskAll || names || (call.Syncs() || call.Name == "unlinkat") && turn%8 == 0 {
				c.run(diskFault{}, i+1)
			}
			faults := []diskFault{{i + 1, syscall.EIO, once}, {i + 1, syscall.ENOSPC, onward}, {i + 1, syscall.EIO, syncs},
				{i + 1, syscall.EIO, made}}
			for j, f := range faults {
				if *diskAll || names && f.how == made || !names && 4*j == turn%16 || call.Syncs() && f.how == syncs && turn%2 == 0 {
					c.run(f, 0)
				}
			}
		}
	}
	for outcome, n := range outcomes {
		t.Logf("%5d times: %s", n, outcome)
	}
	for _, outcome := range []string{"done", "failed", "maybe", "logged", "killed"} {
		if outcomes[outcome] == 0 {
			t.Errorf("no act ended as %q: were the right calls hit?", outcome)
		}
	}
}

// If a restore cannot put its file in place, it removes the second name of the vault, which is no copy.
func TestARestoreThatCannotReplace(t *testing.T) {
	v := newVictimIn(t, Options{})
	backup, err := os.ReadFile(v.backUp())
	if err != nil {
		t.Fatal(err)
	}
	v.do(func(s *Session) { v.set(s, "a/K", "four") })
	whole, err := os.ReadFile(v.path)
	if err != nil {
		t.Fatal(err)
	}
	act := copyActs()["restore"]
	act.files = map[string][]byte{"vault.db": whole, "backup.db": backup}
	c := copyRun{t: t, name: "restore", act: act, owner: v.owner, outcomes: map[string]int{}}
	last := 0
	for i, call := range c.run(diskFault{}, 0) {
		if call.Name == "rename" && strings.HasSuffix(call.String(), "vault.db") {
			last = i + 1
		}
	}
	c.run(diskFault{last, syscall.EIO, once}, 0)
	if c.outcomes["failed"] != 1 {
		t.Errorf("the restore was to fail once: %v", c.outcomes)
	}
}

// If a salvage cannot write or sync its file, there is none.
func TestASalvageThatCannotWrite(t *testing.T) {
	v := newVictimIn(t, Options{})
	whole, err := os.ReadFile(v.path)
	if err != nil {
		t.Fatal(err)
	}
	act := copyActs()["salvage"]
	act.files = map[string][]byte{"vault.db": whole, "damaged.db": whole}
	c := copyRun{t: t, name: "salvage", act: act, owner: v.owner, outcomes: map[string]int{}}
	tried := map[string]bool{}
	for i, call := range c.run(diskFault{}, 0) {
		if kind := call.Name + filepath.Ext(call.Path); !tried[kind] && !courtesy(call) {
			tried[kind] = true
			c.run(diskFault{i + 1, syscall.EIO, once}, 0)
		}
	}
	if c.outcomes["failed"] < 3 {
		t.Errorf("the salvage was to fail: %v", c.outcomes)
	}
}

type copyRun struct {
	t        *testing.T
	name     string
	act      *copyAct
	owner    *Identity
	outcomes map[string]int
}

// run does the act in its own folder, with a fault, or killed at the call with the number kill.
// It checks what is left.
func (c copyRun) run(f diskFault, kill int) (calls []trace.FileCall) {
	t := c.t
	dir, err := os.MkdirTemp("", "ass-copies-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	defer os.RemoveAll(diskOptions(filepath.Join(dir, "vault.db")).Unfinished.Dir)
	for name, b := range c.act.files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	knowNewest(t, filepath.Join(dir, "vault.db"))
	cmd := exec.Command(os.Args[0], "-test.run=^TestCopies$")
	cmd.Env = append(os.Environ(), "ASS_TEST_COPIES="+strings.Join([]string{c.name, dir, c.owner.Text()}, "\x1f"))
	said, killed, err := trace.Files(cmd, dir, func(call trace.FileCall) trace.Verdict {
		calls = append(calls, call)
		if len(calls) == kill {
			return trace.Verdict{Kill: true}
		}
		if !f.hits(len(calls), call) || f.how == onward && call.Name == "unlinkat" { // a full disk still removes files
			return trace.Verdict{}
		}
		return trace.Verdict{Errno: f.errno, Made: f.how == made}
	})
	trace.SkipUntraceable(t, err)
	what := fmt.Sprintf("%s, killed at call %d", c.name, kill)
	if f.at > 0 && f.at <= len(calls) {
		what = fmt.Sprintf("%s: call %d (%s) fails, %s, with %q", c.name, f.at, calls[f.at-1], f.how, f.errno.Error())
	}
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	said = strings.TrimSpace(said)
	outcome := "killed"
	for _, word := range []string{"done", "maybe", "logged", "failed"} {
		if !killed && strings.HasPrefix(said, word) {
			outcome = word
		}
	}
	c.outcomes[outcome]++
	fails := func(format string, args ...any) {
		t.Helper()
		names, _ := filepath.Glob(filepath.Join(dir, "*"))
		t.Fatalf("%s: %s\nit said: %s\nthere are: %q", what, fmt.Sprintf(format, args...), said, names)
	}
	if outcome == "failed" || outcome == "logged" || outcome == "maybe" {
		if !strings.Contains(said, f.errno.Error()) || strings.Contains(said, "\n") {
			fails("this is no line that says what failed")
		}
	}
	// A file may stay if removing it failed, or if it was made by a call that reported a failure.
	c.check(dir, outcome, f.at > 0 && (calls[f.at-1].Name == "unlinkat" || calls[f.at-1].Name == "openat" &&
		f.how == made), fails)
	return calls
}

// check checks what an act left and repeats the act. If stuck, a leftover file is allowed.
func (c copyRun) check(dir, outcome string, stuck bool, fails func(string, ...any)) {
	in := func(name string) string { return filepath.Join(dir, name) }
	before, there := c.act.files["vault.db"]
	now, err := os.ReadFile(in("vault.db"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		fails("%v", err)
	}
	same := bytes.Equal(now, before) && there == (err == nil)
	if there && !same && c.name != "restore over damage" { // unused pages may differ
		old := filepath.Join(c.t.TempDir(), "old.db")
		if err := os.WriteFile(old, before, 0o600); err != nil {
			c.t.Fatal(err)
		}
		same = contents(c.t, old) == contents(c.t, in("vault.db"))
	}
	if there && !same && c.name == "backup" { // its log entry may be there
		same = outcome == "logged" || outcome == "killed"
	}
	changes := c.act.files["damaged.db"] == nil
	switch {
	case outcome == "failed" && !same:
		fails("the vault is not as it was")
	case outcome == "done" && changes && same:
		fails("nothing was done")
	}

	// The vault is the old one or the new one, whole.
	owner := c.owner
	if c.name == "rekey" && verifies(in("vault.db"), owner) != nil {
		owner = nextOwner(dir)
	}
	damagedBefore := c.name == "restore over damage" && same
	if err == nil && !damagedBefore {
		if err := verifies(in("vault.db"), owner); err != nil {
			fails("the vault does not hold: %v", err)
		}
	}
	replaced := c.replaced(dir)
	if c.act.keeps && !same && !slices.ContainsFunc(replaced, func(b []byte) bool { return bytes.Equal(b, before) }) {
		fails("what was replaced is not kept")
	}
	if c.act.keeps && outcome == "failed" && !stuck && len(replaced) > 0 {
		fails("what was not replaced passes for a copy")
	}

	// The file that the act makes is whole, or not there.
	makes := c.act.makes
	_, err = os.Lstat(in(makes))
	made := makes != "" && err == nil
	switch {
	case made && outcome == "failed", made && outcome == "logged":
		fails("it left %s behind", makes)
	case makes != "" && !made && outcome == "done":
		fails("%s is not there", makes)
	case made:
		if err := c.act.whole(in(makes), c.owner); err != nil {
			fails("%s is not whole: %v", makes, err)
		}
	}
	if outcome != "killed" && !stuck {
		c.noLeftovers(dir, fails)
	}
	if b := c.act.files["damaged.db"]; b != nil {
		if after, err := os.ReadFile(in("damaged.db")); err != nil || !bytes.Equal(after, b) {
			fails("the damaged file was touched: %v", err)
		}
	}
	if outcome == "done" || c.name == "rekey" && owner != c.owner {
		return
	}

	// The act works when it is repeated.
	do := c.act.do
	if made && c.act.again != "" {
		if err := do(dir, c.owner); !errors.Is(err, ErrExists) && !errors.Is(err, ErrConflict) {
			fails("again, over what was made: %v", err)
		}
		makes = c.act.again
		do = map[string]func(string) func(string, *Identity) error{"archive": archiveTo, "rekey": rekeyTo}[c.name](makes)
	}
	err = do(dir, c.owner)
	switch {
	case made && c.act.again == "":
		if !errors.Is(err, ErrExists) {
			fails("again, over what was made: %v", err)
		}
	case c.name == "archive" && !same && errors.Is(err, ErrConflict): // the first run has archived
	case err != nil:
		fails("it does not work again: %v", err)
	}
	if c.name == "rekey" {
		owner = nextOwner(dir)
	}
	if c.name != "restore where nothing is" || err == nil {
		if err := verifies(in("vault.db"), owner); err != nil && c.name != "restore over damage" {
			fails("afterwards, the vault does not hold: %v", err)
		}
	}
	if makes != "" && err == nil {
		if err := c.act.whole(in(makes), c.owner); err != nil {
			fails("afterwards, %s: %v", makes, err)
		}
	}
	c.noLeftovers(dir, fails)
}

// replaced returns the contents of the old vault files that restores have kept.
func (c copyRun) replaced(dir string) (list [][]byte) {
	names, _ := filepath.Glob(filepath.Join(dir, "vault.db"+replacedInfix+"*"))
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			c.t.Fatal(err)
		}
		list = append(list, b)
	}
	return list
}

func (c copyRun) noLeftovers(dir string, fails func(string, ...any)) {
	diskOptions(filepath.Join(dir, "vault.db")).Unfinished.Sweep(func(string) {})
	for _, pattern := range []string{".ass-*", "*" + newSuffix} {
		if left, _ := filepath.Glob(filepath.Join(dir, pattern)); len(left) > 0 {
			fails("it left %q behind", left)
		}
	}
}
