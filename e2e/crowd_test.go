//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// busyLine matches the message of a command that gave up because the vault was in use.
var busyLine = regexp.MustCompile(`vault\.db is in use by (pid \d+ \("ass [a-z -]+"\), since \d\d:\d\d:\d\d|another process); waited [0-9a-zµ.]+; run it again, or wait longer with --lock-timeout\n$`)

// manySecrets imports n secrets, so that a rewrite takes a while.
func (p *person) manySecrets(n int) {
	p.t.Helper()
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "KEY_%d=%s-%d\n", i, marker, i)
	}
	file := filepath.Join(p.t.TempDir(), "many.env")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		p.t.Fatal(err)
	}
	p.must("", "env", "import", file, "--namespace", "many")
}

// A process that was stopped while it has the lock keeps the others out, and they name it.
// A process that was killed keeps nobody out.
func TestStoppedAndKilledHolders(t *testing.T) {
	p := newPerson(t)
	p.manySecrets(200)
	for _, holding := range [][]string{{"vault", "rekey", "--force"}, {"audit", "verify"}} {
		r := p.catch(holding...)
		who := fmt.Sprintf(`vault.db is in use by pid %d ("ass %s %s"), since `, r.Process.Pid, holding[0], holding[1])
		for _, c := range []struct{ timeout, waited string }{{"0", "0s"}, {"30ms", "30ms"}} {
			code, other := p.run("", "secrets", "get", "steady/KEY", "--lock-timeout", c.timeout)
			if code != 7 || !strings.Contains(other.err.String(), who) || !strings.Contains(other.err.String(),
				"; waited "+c.waited+"; ") || other.out.Len() > 0 {
				t.Errorf("beside a stopped process: %s\nwant: %s", other, who)
			}
		}
		// A waiting process is stopped as well. It is next in line, so the others wait
		// for it once the first is gone.
		waiter := p.start("", "secrets", "set", "waiter/KEY", marker)
		eventually(t, "one waits", func() bool { return waiter.names(p.vault + ".gate") })
		if !waiter.stop() {
			t.Fatal("it did not wait")
		}
		r.kill()
		who = fmt.Sprintf(`pid %d ("ass secrets set")`, waiter.Process.Pid)
		if code, other := p.run("", "secrets", "get", "steady/KEY", "--lock-timeout", "30ms"); code != 7 ||
			!strings.Contains(other.err.String(), who) {
			t.Errorf("beside a stopped waiter: %s\nwant: %s", other, who)
		}
		// A command with --lock-timeout 0 does not queue behind it.
		p.must("", "secrets", "get", "steady/KEY", "--lock-timeout", "0")
		if holding[0] == "vault" {
			_ = waiter.Process.Signal(syscall.SIGCONT)
			if code := waiter.end(); code != 0 {
				t.Errorf("when it went on: %s", waiter)
			}
		} else {
			waiter.kill()
		}
		p.must("", "secrets", "set", "after/KEY", marker, "--lock-timeout", "5s")
	}
	p.check()
}

// Processes that wait while the vault is replaced go on with the new file. The test stops
// the replacing process while it has the lock, and resumes it when the others wait.
func TestProcessesWaitForTheNewFile(t *testing.T) {
	p := newPerson(t)
	p.manySecrets(200)
	for i, replacing := range [][]string{{"vault", "compact"}, {"vault", "rekey", "--force"}} {
		before, err := os.Stat(p.vault)
		if err != nil {
			t.Fatal(err)
		}
		r := p.catch(replacing...)
		var waiting []*process
		for j := range 4 {
			waiting = append(waiting,
				p.start("", "secrets", "set", fmt.Sprintf("new/K%d_%d", i, j), marker, "--lock-timeout", "1m"),
				p.start("", "secrets", "get", "steady/KEY", "--lock-timeout", "1m"),
				p.start("", "secrets", "list", "steady", "--lock-timeout", "1m"))
		}
		eventually(t, "one waits", func() bool {
			return slices.ContainsFunc(waiting, func(w *process) bool { return w.names(p.vault + ".gate") })
		})
		_ = r.Process.Signal(syscall.SIGCONT)
		if code := r.end(); code != 0 {
			t.Fatal(r)
		}
		for _, w := range waiting {
			if code := w.end(); code != 0 {
				t.Error(w)
			}
		}
		if after, err := os.Stat(p.vault); err != nil || os.SameFile(before, after) {
			t.Errorf("the file was not replaced: %v", err)
		}
		for j := range 4 {
			if got := p.must("", "secrets", "get", fmt.Sprintf("new/K%d_%d", i, j)); got != marker {
				t.Errorf("a waiter's value is %q", got)
			}
		}
	}
	p.check()
}

// crowd counts what many processes do to one vault at once.
type crowd struct {
	*person
	mu    sync.Mutex
	reads map[string]int // by actor and path; only commands that ended with exit code 0
	sets  map[string]int // by path; only commands that ended with exit code 0
	busy  map[string]int // by the message
	runs  int
}

// do runs one command, and returns its exit code and output. The exit code must be 0, or 7
// with a line that names the process in the way, or the one that is legitimate here.
func (c *crowd) do(key string, legitimate int, args ...string) (int, string) {
	code, r := c.run(key, args...)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.runs++
	switch {
	case code == 7 && busyLine.MatchString(r.err.String()) && r.out.Len() == 0:
		c.busy[busyLine.FindString(r.err.String())]++
	case code == 7, code != 0 && code != legitimate:
		c.t.Error(r)
	}
	return code, strings.TrimSuffix(r.out.String(), "\n")
}

func (c *crowd) get(key, actor, path, want string, more ...string) {
	code, value := c.do(key, 0, append([]string{"secrets", "get", path}, more...)...)
	if code != 0 {
		return
	}
	if value != want {
		c.t.Errorf("%s is %q", path, value)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads[actor+" "+path]++
}

// TestCrowd runs 32 processes that read, write, list, tail, revoke and rewrite at once.
// The vault and the log have every acknowledged change and read, once.
func TestCrowd(t *testing.T) {
	people, rounds := 32, 2
	if underRace {
		people, rounds = 12, 1 // the race detector makes the program slow
	}
	c := &crowd{person: newPerson(t), reads: map[string]int{}, sets: map[string]int{}, busy: map[string]int{}}
	tails := []*tail{c.follow(), c.follow()}
	var all sync.WaitGroup
	for i := range people {
		all.Go(func() {
			for round := range rounds {
				c.visit(i, round)
			}
		})
	}
	all.Wait()
	entries := c.entries()
	for _, r := range tails {
		eventually(t, "a tail had seen the newest entry", func() bool { return len(r.entries()) >= len(entries) })
		r.kill()
		if !slices.Equal(r.entries(), entries) {
			t.Error("a tail printed other entries than the log has")
		}
	}
	reads, sets := map[string]int{}, map[string]int{}
	for i, e := range entries {
		if e.Seq != uint64(i+1) {
			t.Fatalf("entry %d has the number %d", i+1, e.Seq)
		}
		switch e.Type {
		case "secret.read":
			reads[e.Actor+" "+e.Resource]++
		case "secret.created", "secret.updated":
			if strings.HasPrefix(e.Resource, "crowd/") {
				sets[e.Resource]++
			}
		}
	}
	if !maps.Equal(reads, c.reads) {
		t.Errorf("values were handed out %v, and the log tells of %v", c.reads, reads)
	}
	if !maps.Equal(sets, c.sets) {
		t.Errorf("values were stored %v, and the log tells of %v", c.sets, sets)
	}
	for path, n := range c.sets {
		if lines := strings.Count(c.must("", "secrets", "history", path)+"\n", "\n"); lines != n {
			t.Errorf("%s has %d versions, and was stored %d times", path, lines, n)
		}
	}
	c.must("", "audit", "verify")
	c.check()
	busy := 0
	for _, n := range c.busy {
		busy += n
	}
	t.Logf("%d commands, %d of them busy, %d entries", c.runs, busy, len(entries))
}

// visit runs the commands of one member of the crowd, one after the other.
func (c *crowd) visit(i, round int) {
	mine := fmt.Sprintf("crowd/K%d", i)
	value := fmt.Sprintf("%s-%d-%d", marker, i, round)
	if code, _ := c.do("", 0, "secrets", "set", mine, value); code == 0 {
		c.mu.Lock()
		c.sets[mine]++
		c.mu.Unlock()
		c.get("", "owner", mine, value)
	}
	c.get("", "owner", "steady/KEY", marker+"-steady")
	c.get("", "owner", "steady/KEY", marker+"-steady", "--lock-timeout", "0") // most of these find the vault busy
	if code, out := c.do("", 0, "secrets", "list", "steady"); code == 0 && !strings.HasPrefix(out, "steady/KEY ") {
		c.t.Errorf("the list is %q", out)
	}
	switch i % 8 {
	case 0: // an agent is created, reads, and is revoked
		name := fmt.Sprintf("agent-%d-%d", i, round)
		code, out := c.do("", 0, "agents", "create", "--name", name, "--scopes", "secrets:read:steady/*", "--json")
		var made struct {
			ID  string `json:"id"`
			Key string `json:"api_key"`
		}
		if code != 0 {
			return
		}
		if err := json.Unmarshal([]byte(out), &made); err != nil || made.Key == "" {
			c.t.Errorf("no key in the answer: %v", err)
			return
		}
		c.get(made.Key, made.ID, "steady/KEY", marker+"-steady")
		if code, _ := c.do("", 0, "agents", "revoke", name, "--force", "--lock-timeout", "1m"); code != 0 {
			return
		}
		if code, _ := c.do(made.Key, 5, "secrets", "get", "steady/KEY"); code == 0 {
			c.t.Error("a revoked agent read a value")
		}
	case 1: // the same with a token
		code, out := c.do("", 0, "tokens", "issue", "--scopes", "secrets:read:steady/KEY", "--json")
		var made struct {
			ID    string `json:"token_id"`
			Token string `json:"token"`
		}
		if code != 0 {
			return
		}
		if err := json.Unmarshal([]byte(out), &made); err != nil || made.Token == "" {
			c.t.Errorf("no token in the answer: %v", err)
			return
		}
		c.get(made.Token, made.ID, "steady/KEY", marker+"-steady")
		if code, _ := c.do("", 0, "tokens", "revoke", made.ID, "--force", "--lock-timeout", "1m"); code != 0 {
			return
		}
		if code, _ := c.do(made.Token, 5, "secrets", "get", "steady/KEY"); code == 0 {
			c.t.Error("a revoked token read a value")
		}
	case 2: // a process follows the log for a moment
		tail := c.start("", "audit", "--tail")
		c.get("", "owner", "steady/KEY", marker+"-steady")
		_ = tail.Process.Signal(syscall.SIGINT)
		_ = tail.Wait()
	case 3:
		if (i/8+round)%2 == 0 {
			c.do("", 0, "vault", "compact")
		} else {
			c.do("", 0, "vault", "rekey", "--force")
		}
	case 4:
		c.do("", 0, "audit", "verify")
	}
}

// tail is a run of ass audit --tail that prints into a file.
type tail struct {
	*process
	file string
}

func (p *person) follow() *tail {
	p.t.Helper()
	r := &tail{p.command("", "audit", "--tail", "--json", "--limit", "0"), filepath.Join(p.t.TempDir(), "tail")}
	f, err := os.Create(r.file)
	if err != nil {
		p.t.Fatal(err)
	}
	defer f.Close()
	r.Stdout = f
	if err := r.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(r.kill)
	return r
}

// entries returns the log entries whose lines the tail has printed completely.
func (r *tail) entries() (list []entry) {
	b, _ := os.ReadFile(r.file)
	for line := range strings.Lines(string(b)) {
		var e entry
		if json.Unmarshal([]byte(line), &e) == nil && strings.HasSuffix(line, "\n") {
			list = append(list, e)
		}
	}
	return list
}

// entry has the fields of a log entry that these tests check.
type entry struct {
	Seq      uint64 `json:"seq"`
	ID       string `json:"id"`
	Type     string `json:"event_type"`
	Actor    string `json:"actor_id"`
	Resource string `json:"resource_id"`
}

// entries returns the whole log, oldest first.
func (p *person) entries() []entry {
	p.t.Helper()
	var log struct{ Events []entry }
	if err := json.Unmarshal([]byte(p.must("", "audit", "--limit", "0", "--json")), &log); err != nil {
		p.t.Fatal(err)
	}
	slices.Reverse(log.Events)
	return log.Events
}
