package vault

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"ass/tokens"
	"ass/vault/internal/bolt"
)

// TestGetDoesNotGrow compares the cost of a get in two vaults: pages, reads and allocations.
// One vault has several times as many secrets, log entries and agents. Only the depth of the
// trees may grow with a vault, and it is the same in these two. Then the test overwrites all
// other pages. The get still works, because neither bbolt nor anything else reads them.
func TestGetDoesNotGrow(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	if UnderRace {
		t.Skip("the race detector allocates, too")
	}
	small, large := newPopulation(t, 1200, 60), newPopulation(t, 6000, 200)
	if s, l := small.depths(t), large.depths(t); s != l {
		t.Fatalf("the trees are not of the same depth, so choose other sizes: %s\n%s", s, l)
	}
	for _, who := range []string{"owner", "agent", "token"} {
		s, l := small.leastCost(t, who), large.leastCost(t, who)
		t.Logf("%s: %+v", who, l)
		if l.pages > s.pages+chance.pages || l.reads > s.reads+chance.reads || l.bytes > s.bytes+chance.bytes ||
			l.allocs > s.allocs+chance.allocs {
			t.Errorf("a get of the %s costs %+v in a vault of %d secrets, and %+v in one of %d", who, s, small.secrets, l,
				large.secrets)
		}
	}
	for _, who := range []string{"owner", "agent", "token"} {
		large.getFromTheRest(t, who)
	}
	if s, l := small.completed(t), large.completed(t); l > s+chance.pages {
		t.Errorf("completing a path reads %d pages in a vault of %d secrets, and %d in one of %d", s, small.secrets, l, large.secrets)
	}
}

// completed returns how many pages it takes to list the paths that begin with most of one.
func (p population) completed(t *testing.T) int {
	v, err := Open(p.path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	checked, err := v.db.Watch()
	if err != nil {
		t.Fatal(err)
	}
	path := benchPath(t, p.secrets/2).String()
	list, err := v.Paths(path[:len(path)-1])
	if err != nil || len(list) == 0 || len(list) > 10 || !strings.HasPrefix(list[0].String(), path[:len(path)-1]) {
		t.Fatalf("%s: %d paths, %v", path, len(list), err)
	}
	return len(checked().Pages)
}

// population is a vault with many agents and secrets, and a log entry for each secret.
type population struct {
	path    string
	secrets int
	owner   *Identity
	agent   tokens.AgentKey // of one of the agents
	token   string
}

func newPopulation(t *testing.T, secrets, agents int) population {
	t.Helper()
	owner, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	s := benchVaultOf(t, owner, secrets)
	p := population{path: s.v.path, secrets: secrets, owner: owner}
	scopes, err := tokens.ParseScopes("secrets:read:production/*")
	for i := 0; i < agents && err == nil; i++ {
		_, p.agent, err = s.CreateAgent(AgentSpec{Name: fmt.Sprint("agent", i), Scopes: scopes})
	}
	if err != nil {
		t.Fatal(err)
	}
	issued, err := s.IssueToken(TokenSpec{Scopes: scopes})
	if err != nil {
		t.Fatal(err)
	}
	p.token = issued.Text
	if err := s.v.Close(); err != nil {
		t.Fatal(err)
	}
	return p
}

// depths lists the depth of each tree of the file.
func (p population) depths(t *testing.T) string {
	t.Helper()
	l, err := bolt.ReadLayout(p.path)
	if err != nil {
		t.Fatal(err)
	}
	depth := map[string]int{}
	for _, page := range l.Pages {
		depth[page.Bucket] = max(depth[page.Bucket], page.Depth)
	}
	var b bytes.Buffer
	for _, name := range allBuckets(newestFormat) {
		fmt.Fprintf(&b, "%s %d, ", name, depth[name])
	}
	return b.String()
}

// cost is the cost of one get, with opening and closing the vault.
type cost struct{ pages, reads, bytes, allocs int }

// chance is the most by which two gets may differ by chance. Ids are random: a grant or an agent
// at the end of its tree has no next page, which a get would check, too. Numbers in the lock
// file vary in length, and slices grow. Even the shortest possible walk, over the agents, reads
// some 50 pages in the large vault and 10 in the small one, so it would be noticed.
var chance = cost{pages: 2, reads: 2, bytes: 2*bolt.PageSize + 64, allocs: 16}

// get opens the vault, reads the i-th secret and closes the vault. It returns the pages that
// the get checked.
func (p population) get(t *testing.T, who string, i int) bolt.Layout {
	v, err := Open(p.path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	checked, err := v.db.Watch()
	if err != nil {
		t.Fatal(err)
	}
	var s *Session
	switch who {
	case "owner":
		s, err = v.Owner(p.owner)
	case "agent":
		s, err = v.Agent(p.agent)
	case "token":
		s, err = v.Token(p.token)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, value, err := s.Get(benchPath(t, i), 0); err != nil || len(value) == 0 {
		t.Fatal(err)
	}
	return checked()
}

// leastCost returns the lowest value of each cost, over gets of several secrets. A get costs one
// page more if its log entry goes to a full leaf, or to the last leaf below its branch.
func (p population) leastCost(t *testing.T, who string) (least cost) {
	for n := range 20 {
		var (
			c      cost
			before = readsSoFar(t)
			w      = p.get(t, who, p.secrets*(n+1)/25)
			after  = readsSoFar(t)
		)
		c.pages, c.reads, c.bytes = len(w.Pages), after.reads-before.reads, after.bytes-before.bytes
		c.allocs = int(testing.AllocsPerRun(1, func() { p.get(t, who, p.secrets*(n+1)/25) }))
		if n == 0 {
			least = c
		}
		least = cost{min(least.pages, c.pages), min(least.reads, c.reads), min(least.bytes, c.bytes),
			min(least.allocs, c.allocs)}
	}
	return least
}

// readsSoFar returns how often, and how many bytes, this process has read.
func readsSoFar(t *testing.T) (c cost) {
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Skip("the system does not count what a process reads")
	}
	var written int
	if _, err := fmt.Sscanf(string(b), "rchar: %d\nwchar: %d\nsyscr: %d\n", &c.bytes, &written, &c.reads); err != nil {
		t.Fatal(err)
	}
	return c
}

// getFromTheRest reads a secret from a vault in which only the pages that the get needs are left.
func (p population) getFromTheRest(t *testing.T, who string) {
	whole, err := os.ReadFile(p.path)
	if err != nil {
		t.Fatal(err)
	}
	w := p.get(t, who, p.secrets/2)
	rest := bytes.Repeat([]byte{0xff}, len(whole))
	keep := func(id, pages uint64) {
		copy(rest[id*bolt.PageSize:], whole[id*bolt.PageSize:(id+pages)*bolt.PageSize])
	}
	keep(0, 2)
	keep(w.Free, 1+uint64(order.Uint32(whole[w.Free*bolt.PageSize+12:])))
	for id, page := range w.Pages {
		keep(id, 1+page.More)
	}
	p.path += "." + who
	if err := os.WriteFile(p.path, rest, 0o600); err != nil {
		t.Fatal(err)
	}
	p.get(t, who, p.secrets/2)
}
