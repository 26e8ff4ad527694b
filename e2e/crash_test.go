//go:build unix

package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ass/tokens"
	"ass/vault"
)

var (
	kills     = flag.Int("kills", 30, "how many processes TestKills kills")
	killsSeed = flag.Uint64("kills-seed", 0, "what TestKills draws from; 0 for another one each time")
)

// TestKills kills the program with SIGKILL, at any moment of its life, in every command
// that changes the vault or reads a value. Then it compares the vault with a
// specification: the vault is as before the command, or as after it. If the command ended
// with exit code 0, or printed a value, the vault is as after it, and the log has the entry.
func TestKills(t *testing.T) {
	if underRace {
		t.Skip("the program is slow then, and nothing of it runs at once with itself")
	}
	seed := *killsSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("the seed is %d: -args -kills %d -kills-seed %d; where a kill hits is up to the machine as well", seed, *kills,
		seed)
	k := &killer{t: t, random: rand.New(rand.NewPCG(seed, 0)), usual: map[string]time.Duration{},
		outcomes: map[string]int{}}
	for k.killed < *kills && !t.Failed() {
		k.life(min(*kills, k.killed+100))
	}
	t.Log(k.outcomes)
	// With so many kills, it is no accident if an outcome is missing.
	for outcome, enough := range map[string]int{"killed, before": 50, "killed with the lock": 50, "killed, after": 500} {
		if k.outcomes[outcome] == 0 && *kills >= enough && !t.Failed() {
			t.Errorf("%s: none; were they hit at work?", outcome)
		}
	}
}

// killer runs commands, kills some of them, and keeps the specification.
type killer struct {
	t      *testing.T
	random *rand.Rand

	usual    map[string]time.Duration // how long each kind of command takes
	killed   int
	outcomes map[string]int

	*person        // the owner of the current vault
	spec    *spec  // what the vault must hold
	seq     uint64 // the newest log entry that was read
	acked   []string
	keys    []tokens.AgentKey // all keys that were ever printed
	serial  int               // makes values and names unique
}

// life makes one vault and runs commands on it until k.killed reaches until.
func (k *killer) life(until int) {
	k.person = &person{t: k.t, home: k.t.TempDir()} // with no vault yet
	k.spec = &spec{values: map[string][]string{}, purged: map[string]int{}, deleted: map[string]bool{}, hidden: map[string]int{}, agents: map[string]*specAgent{},
		tokens: map[string]bool{}, asks: map[string]*specAsk{}}
	k.seq, k.acked, k.keys = 0, nil, nil

	// The first command may be killed, too. The next run works with whatever is left.
	first := []string{"secrets", "set", "steady/KEY", marker + "-steady"}
	if usual := k.usual["first"]; usual > 0 {
		k.kill(k.command("", first...), usual)
	}
	began := time.Now()
	k.must("", first...)
	k.usual["first"] = max(k.usual["first"], time.Since(began))
	k.find()
	k.must("", "secrets", "set", "crit/KEY", marker+"-critical", "--tier", "critical")
	now, _ := k.observe()
	k.spec.values["steady/KEY"] = []string{marker + "-steady"}
	k.spec.values["crit/KEY"] = []string{marker + "-critical"}
	for len(now["secret steady/KEY"]) > len(marker+"-steady") { // the killed run had already stored the value
		k.spec.values["steady/KEY"] = append(k.spec.values["steady/KEY"], marker+"-steady")
		now["secret steady/KEY"] = strings.TrimPrefix(now["secret steady/KEY"], marker+"-steady|")
	}
	for steps := 0; k.killed < until && !k.t.Failed(); steps++ {
		k.step()
		if steps%40 == 39 {
			k.check()
		}
	}
	if k.t.Failed() {
		return
	}
	k.check()
	k.must("", "audit", "verify")
	k.must("", "vault", "check")
	log := k.entries()
	for _, want := range k.acked {
		at := slices.IndexFunc(log, func(e entry) bool { return e.Type+" "+e.Resource == want })
		if at < 0 {
			k.t.Fatalf("%s was done, and is not in the log at its place", want)
		}
		log = log[at+1:]
	}
}

// kill starts a process and kills it after a random part of the time that it usually
// takes. Most of that time is the start of the program, so in half of the cases the delay
// begins only when the process has the lock. kill reports false if the process ended first.
func (k *killer) kill(r *process, usual time.Duration) bool {
	k.t.Helper()
	atWork := k.vault != "" && k.random.IntN(2) == 0
	delay := time.Duration(k.random.Float64() * 1.2 * float64(usual))
	if err := r.Start(); err != nil {
		k.t.Fatal(err)
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		if atWork {
			delay /= 2
			for !r.names(k.vault + ".lock") {
				select {
				case <-ended:
					return
				case <-time.After(50 * time.Microsecond):
				}
			}
		}
		select {
		case <-ended:
		case <-time.After(delay):
			_ = r.Process.Kill()
		}
	}()
	return r.end() == -1
}

// step runs one command, may kill it, and checks the vault.
func (k *killer) step() {
	a := k.next()
	r := k.command(a.key, a.args...)
	usual := k.usual[a.kind]
	if k.random.IntN(4) > 0 {
		k.judge(a, r, k.runOrKill(a.kind, r), "")
		return
	}
	// Another process starts meanwhile, and waits if it has to.
	waiter := k.command("", "secrets", "get", "steady/KEY")
	later := time.Duration(k.random.Float64() * float64(usual))
	started := make(chan error)
	go func() {
		time.Sleep(later)
		started <- waiter.Start()
	}()
	killed := k.runOrKill(a.kind, r)
	if err := <-started; err != nil {
		k.t.Fatal(err)
	}
	if code := waiter.end(); code != 0 || waiter.out.String() != marker+"-steady" {
		k.t.Errorf("beside ass %s: %s, %q", strings.Join(a.args, " "), waiter, waiter.out.String())
	}
	k.judge(a, r, killed, "secret.read steady/KEY")
}

// runOrKill runs a command. If its usual time is known, it mostly kills it.
func (k *killer) runOrKill(kind string, r *process) (killed bool) {
	if usual := k.usual[kind]; usual > 0 && k.random.IntN(10) > 0 {
		return k.kill(r, usual)
	}
	began := time.Now()
	if err := r.Start(); err != nil {
		k.t.Fatal(err)
	}
	r.end()
	k.usual[kind] = time.Since(began)
	return false
}

// judge decides from the log whether the command was done, and then compares the vault
// with the specification. beside is the log entry of a process that ran meanwhile.
func (k *killer) judge(a act, r *process, killed bool, beside string) {
	k.t.Helper()
	if killed && r.names(k.vault+".lock") {
		k.outcomes["killed with the lock"]++
	}
	if key, err := tokens.ParseAgentKey(printedKey(r)); err == nil {
		k.keys = append(k.keys, key)
	}
	now, log := k.observe()
	var told, ids []string
	for _, e := range log {
		if name := e.Type + " " + e.ResourceID; name == beside {
			k.acked = append(k.acked, name)
			beside = ""
		} else {
			told, ids = append(told, name), append(ids, e.ResourceID)
		}
	}
	fail := func(format string, args ...any) {
		k.t.Helper()
		k.t.Errorf("kill %d: %s (killed: %v, printed: %d bytes): %s\nlog: %q", k.killed, r, killed, r.out.Len(),
			fmt.Sprintf(format, args...), told)
	}
	if beside != "" {
		fail("the log does not tell of the read beside it")
	}
	done := len(told) > 0
	if done && !slices.EqualFunc(told, a.log, func(told, want string) bool {
		return told == want || strings.HasSuffix(want, " ") && strings.HasPrefix(told, want)
	}) {
		fail("the log should tell of %q", a.log)
		return
	}
	if !killed && r.ProcessState.ExitCode() != a.code {
		fail("its exit code should be %d", a.code)
		return
	}
	if !done && (!killed || r.out.Len() > 0) {
		fail("it was done, and the log does not tell of it")
		return
	}
	if a.prints != "" && r.out.Len() > 0 && r.out.String() != a.prints {
		fail("it printed another value")
	}
	if done {
		a.apply(k.spec, ids, r)
		if !killed || r.out.Len() > 0 {
			k.acked = append(k.acked, told...)
		}
	}
	if want := k.spec.view(); !maps.Equal(now, want) {
		for name := range want {
			if now[name] != want[name] {
				fail("%s is %q, and should be %q", name, now[name], want[name])
			}
		}
		for name := range now {
			if _, ok := want[name]; !ok {
				fail("%s is %q, and should not be there", name, now[name])
			}
		}
	}
	if left, _ := filepath.Glob(k.vault + "*.new"); len(left) > 0 {
		fail("%q was left", left)
	}
	switch {
	case killed && done:
		k.outcomes["killed, after"]++
	case killed:
		k.outcomes["killed, before"]++
	default:
		k.outcomes["ended"]++
	}
	if killed {
		k.killed++
	}
}

// observe opens the vault as the next process would. It returns the vault's whole content,
// and the log entries since the last call.
func (k *killer) observe() (now map[string]string, log []vault.Entry) {
	k.t.Helper()
	now = map[string]string{}
	v, err := vault.Open(k.vault, vault.Options{MemoryDir: filepath.Join(k.home, ".local/state/ass/seen")})
	if err != nil {
		k.t.Fatalf("kill %d: %v", k.killed, err)
	}
	defer v.Close()
	try := func(err error) {
		k.t.Helper()
		if err != nil {
			k.t.Fatalf("kill %d: %v", k.killed, err)
		}
	}
	if back := v.Rollback(); back != nil {
		k.t.Fatalf("kill %d: %v", k.killed, back)
	}
	log, _, err = v.LogAfter(k.seq, nil)
	try(err)
	s, err := v.Owner(k.owner)
	try(err)
	for _, deleted := range []bool{false, true} {
		list, err := s.List(tokens.Namespace{}, deleted)
		try(err)
		for _, found := range list {
			_, versions, err := s.History(found.Path)
			try(err)
			if deleted {
				now["secret "+found.Path.String()] = fmt.Sprint(len(versions), " deleted")
				continue
			}
			var values []string
			for n := range versions {
				if versions[len(versions)-1-n].Deleted {
					values = append(values, "(deleted)")
					continue
				}
				_, value, err := s.Get(found.Path, versions[len(versions)-1-n].Number)
				try(err)
				values = append(values, string(value))
			}
			now["secret "+found.Path.String()] = strings.Join(values, "|")
		}
	}
	agents, err := s.Agents()
	try(err)
	for _, a := range agents {
		now["agent "+a.Name] = "active"
		if a.RevokedAt != nil {
			now["agent "+a.Name] = "revoked"
		}
		for _, key := range k.keys {
			if as, err := v.Agent(key); err == nil && as.ID() == a.ID {
				now["agent "+a.Name] += ", opens"
			}
		}
	}
	issued, err := s.Tokens()
	try(err)
	for _, i := range issued {
		if i.State == vault.TokenActive {
			now["token "+i.Claims.ID] = "active"
		}
	}
	asks, err := s.Requests()
	try(err)
	for _, q := range asks {
		now["request "+q.ID] = fmt.Sprint(q.Status, q.Used)
	}
	newest, err := v.Log(1, nil)
	try(err)
	k.seq = newest[0].Seq
	return now, log
}

// spec says what the vault must hold.
type spec struct {
	values  map[string][]string // by path, the oldest version first
	purged  map[string]int      // how many versions were purged, whose numbers do not come again
	deleted map[string]bool
	hidden  map[string]int        // how many of the oldest versions were deleted before a value was stored again
	agents  map[string]*specAgent // by name
	tokens  map[string]bool       // ids of the active ones
	asks    map[string]*specAsk   // by id
}

type specAgent struct {
	id, key string // key is "" if it was never printed
	revoked bool
}

type specAsk struct {
	agent, status string
	used          bool
}

// view returns the specification in the form of observe.
func (s *spec) view() map[string]string {
	now := map[string]string{}
	for path, values := range s.values {
		values = slices.Clone(values)
		for n := range s.hidden[path] {
			values[n] = "(deleted)"
		}
		now["secret "+path] = strings.Join(values, "|")
		if s.deleted[path] {
			now["secret "+path] = fmt.Sprint(len(values), " deleted")
		}
	}
	for name, a := range s.agents {
		switch now["agent "+name] = "active"; {
		case a.revoked:
			now["agent "+name] = "revoked"
		case a.key != "":
			now["agent "+name] += ", opens" // exactly one of its printed keys opens the vault
		}
	}
	for id := range s.tokens {
		now["token "+id] = "active"
	}
	for id, q := range s.asks {
		now["request "+id] = fmt.Sprint(q.status, q.used)
	}
	return now
}

// rewritten applies a new epoch to the requests: only the pending requests of active
// agents remain.
func (s *spec) rewritten() {
	maps.DeleteFunc(s.asks, func(_ string, q *specAsk) bool {
		return q.status != vault.Pending || s.agents[q.agent].revoked
	})
}

// act is one command and its expected effect.
type act struct {
	kind   string
	key    string // the credential
	args   []string
	code   int
	prints string   // the expected value
	log    []string // expected log entries, oldest first; one that ends with a space is a prefix
	apply  func(s *spec, ids []string, r *process)
}

// next draws a random command that is possible in the current state.
func (k *killer) next() act {
	for {
		if a := k.draw(); a.kind != "" {
			return a
		}
	}
}

func (k *killer) draw() act {
	s := k.spec
	k.serial++
	path := fmt.Sprintf("c/K%d", k.random.IntN(5))
	value := fmt.Sprintf("%s-%d", marker, k.serial)
	values, there := s.values[path]
	live := there && !s.deleted[path]
	written := func(s *spec, _ []string, _ *process) {
		if s.deleted[path] {
			s.hidden[path] = len(s.values[path])
		}
		s.values[path] = append(s.values[path], value)
		delete(s.deleted, path)
	}
	event := map[bool]string{false: "secret.created ", true: "secret.updated "}[there] + path
	nothing := func(*spec, []string, *process) {}
	name, agent := k.any()

	switch k.random.IntN(22) {
	case 0, 1:
		return act{kind: "set", args: []string{"secrets", "set", path, value}, log: []string{event}, apply: written}
	case 2, 3:
		if live {
			last := values[len(values)-1]
			return act{kind: "get", args: []string{"secrets", "get", path}, prints: last, log: []string{"secret.read " + path},
				apply: nothing}
		}
	case 4:
		if live {
			return act{kind: "rotate", args: []string{"secrets", "rotate", path, "--value", value},
				log: []string{"secret.rotated " + path}, apply: written}
		}
	case 5:
		if live {
			return act{kind: "delete", args: []string{"secrets", "delete", path, "--force"},
				log:   []string{"secret.deleted " + path},
				apply: func(s *spec, _ []string, _ *process) { s.deleted[path] = true }}
		}
	case 6:
		if there && (!live || s.hidden[path] > 0) {
			return act{kind: "restore", args: []string{"secrets", "restore", path}, log: []string{"secret.restored " + path},
				apply: func(s *spec, _ []string, _ *process) {
					if s.deleted[path] {
						delete(s.deleted, path)
					} else {
						delete(s.hidden, path)
					}
				}}
		}
	case 7:
		if live && len(values) > 1 && s.hidden[path] == 0 {
			value = values[0]
			return act{kind: "rollback", args: []string{"secrets", "rollback", path, "--to", fmt.Sprint(s.purged[path] + 1)},
				log: []string{"secret.rolled_back " + path}, apply: written}
		}
	case 8, 9:
		if there {
			return act{kind: "purge", args: []string{"secrets", "purge", path, "--force"}, log: []string{"vault.rewritten ",
				"secret.purged " + path},
				apply: func(s *spec, _ []string, _ *process) {
					s.purged[path] += len(s.values[path])
					delete(s.values, path)
					delete(s.deleted, path)
					delete(s.hidden, path)
					s.rewritten()
				}}
		}
	case 10:
		file := filepath.Join(k.home, "import.env")
		text := ""
		for i := range 4 {
			text += fmt.Sprintf("I%d=%s-%d\n", i, value, i)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			k.t.Fatal(err)
		}
		if len(s.values["imported/I0"]) > 3 {
			return act{}
		}
		return act{kind: "import", args: []string{"env", "import", file, "--namespace", "imported"},
			log: []string{"secret.imported imported"},
			apply: func(s *spec, _ []string, _ *process) {
				for i := range 4 {
					p := fmt.Sprintf("imported/I%d", i)
					s.values[p] = append(s.values[p], fmt.Sprintf("%s-%d", value, i))
				}
			}}
	case 11:
		if len(s.agents) > 8 {
			return act{}
		}
		name := fmt.Sprint("agent", k.serial)
		return act{kind: "agent", args: []string{"agents", "create", "--name", name, "--scopes",
			"secrets:*:c/*,secrets:read:crit/*", "--json"}, log: []string{"agent.created "},
			apply: func(s *spec, ids []string, r *process) {
				s.agents[name] = &specAgent{id: ids[0], key: printedKey(r)}
			}}
	case 12:
		if agent != nil {
			return act{kind: "revoke", args: []string{"agents", "revoke", name, "--force"}, log: []string{"vault.rewritten ",
				"agent.revoked " + agent.id},
				apply: func(s *spec, _ []string, _ *process) {
					agent.revoked = true
					s.rewritten()
				}}
		}
	case 13:
		if agent != nil {
			return act{kind: "rotate-key", args: []string{"agents", "rotate-key", name, "--force", "--json"},
				log: []string{"vault.rewritten ", "agent.key_rotated " + agent.id},
				apply: func(s *spec, _ []string, r *process) {
					agent.key = printedKey(r)
					s.rewritten()
				}}
		}
	case 14:
		if agent != nil && agent.key != "" && live {
			return act{kind: "agent get", key: agent.key, args: []string{"secrets", "get", path}, prints: values[len(values)-1],
				log: []string{"secret.read " + path}, apply: nothing}
		}
	case 15:
		if agent != nil && agent.key != "" {
			return act{kind: "agent set", key: agent.key, args: []string{"secrets", "set", path, value}, log: []string{event},
				apply: written}
		}
	case 16:
		if len(s.tokens) < 4 {
			return act{kind: "issue", args: []string{"tokens", "issue", "--scopes", "secrets:read:c/*"},
				log:   []string{"token.issued "},
				apply: func(s *spec, ids []string, _ *process) { s.tokens[ids[0]] = true }}
		}
	case 17:
		for _, id := range slices.Sorted(maps.Keys(s.tokens)) {
			return act{kind: "end token", args: []string{"tokens", "revoke", id, "--force"}, log: []string{"vault.rewritten ",
				"token.revoked " + id},
				apply: func(s *spec, _ []string, _ *process) {
					delete(s.tokens, id)
					s.rewritten()
				}}
		}
	case 18, 19:
		return k.approval(name, agent)
	case 20:
		return act{kind: "compact", args: []string{"vault", "compact"}, log: []string{"vault.compacted "}, apply: nothing}
	case 21:
		return act{kind: "rekey", args: []string{"vault", "rekey", "--force"}, log: []string{"vault.rewritten "},
			apply: func(s *spec, _ []string, _ *process) { s.rewritten() }}
	}
	return act{}
}

// approval returns the next step of an approval: the agent requests the critical secret,
// the owner decides, or the agent reads it.
func (k *killer) approval(name string, agent *specAgent) act {
	if agent == nil || agent.key == "" {
		return act{}
	}
	get := act{kind: "ask", key: agent.key, args: []string{"secrets", "get", "crit/KEY", "--reason", "because"}}
	for _, id := range slices.Sorted(maps.Keys(k.spec.asks)) {
		q := k.spec.asks[id]
		if q.agent != name {
			continue
		}
		switch {
		case q.status == vault.Pending && k.random.IntN(3) == 0:
			return act{kind: "deny", args: []string{"approvals", "deny", id, "--reason", "no"},
				log:   []string{"approval.denied " + id},
				apply: func(*spec, []string, *process) { q.status = vault.Denied }}
		case q.status == vault.Pending:
			return act{kind: "approve", args: []string{"approvals", "approve", id, "--force"},
				log:   []string{"approval.granted " + id},
				apply: func(*spec, []string, *process) { q.status = vault.Approved }}
		case q.status == vault.Approved && !q.used:
			get.prints, get.log = marker+"-critical", []string{"secret.read crit/KEY"}
			get.apply = func(*spec, []string, *process) { q.used = true }
			return get
		}
	}
	get.code, get.log = 6, []string{"approval.requested "}
	get.apply = func(s *spec, ids []string, _ *process) { s.asks[ids[0]] = &specAsk{agent: name, status: vault.Pending} }
	return get
}

// any draws a random active agent, nil if there is none.
func (k *killer) any() (string, *specAgent) {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(k.spec.agents)) {
		if !k.spec.agents[name].revoked {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "", nil
	}
	name := names[k.random.IntN(len(names))]
	return name, k.spec.agents[name]
}

// printedKey returns the agent key that a command has printed, "" if there is none.
func printedKey(r *process) string {
	var printed struct {
		Key string `json:"api_key"`
	}
	_ = json.Unmarshal(r.out.Bytes(), &printed)
	return printed.Key
}
