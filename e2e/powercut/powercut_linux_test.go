//go:build (amd64 || arm64) && !race

package powercut

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"ass/commands"
	"ass/e2e/limits"
	"ass/e2e/trace"
)

var (
	cuts     = flag.Int("cuts", 7, "on how many different disks TestPowerCuts checks each command")
	cutsSeed = flag.Uint64("cuts-seed", 1, "what TestPowerCuts draws from; 0 for another one each time")
)

func TestMain(m *testing.M) {
	limits.Set()
	testscript.Main(m, map[string]func(){"ass": commands.Main, "operations": operations})
}

// TestPowerCuts records what each command does to its files, cuts the power after each operation, and
// checks disks that the syncs so far allow. The next commands must work on each of them. With the same
// seed, it chooses alike; but keys are random, so the pages of a vault are not the same in each run.
func TestPowerCuts(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	seed := *cutsSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-args -cuts %d -cuts-seed %d", *cuts, seed)
	checked, bad := 0, 0
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			c := newCutter(t, s, seed)
			for _, d := range c.draw() {
				c.check(d)
			}
			c.report()
			checked, bad = checked+c.checked, bad+c.bad
		})
	}
	t.Logf("%d disks; on %d of them, something did not hold", checked, bad)
}

// cut is a moment at which the power fails, and what the disk has then.
type cut struct {
	at int // the number of operations that were made
	model
	choice
}

// cutter cuts one command.
type cutter struct {
	t     *testing.T
	s     *scenario
	seed  uint64
	w     *home // in which the command ran
	r     *record
	end   tree
	older []byte // the vault before the newest log entry that an ended command made
	seq   uint64 // the number of that entry
	vid   string // the vault's id

	checked  int
	bad      int // disks on which something did not hold
	seen     map[[33]byte]bool
	failures map[string]*failure
}

// failure is a claim that does not hold.
type failure struct {
	times int
	first string
}

func newCutter(t *testing.T, s *scenario, seed uint64) *cutter {
	t.Helper()
	c := &cutter{t: t, s: s, seed: seed, seen: map[[33]byte]bool{}, failures: map[string]*failure{}}
	c.w = newHome(t, s.passphrase)
	s.setUp(c.w)
	c.older = c.w.older
	c.vid, c.seq = c.w.newest()
	var code int
	var err error
	c.r, code, err = c.w.follow(s.command(c.w)...)
	trace.SkipUntraceable(t, err)
	if err != nil {
		t.Fatal(err)
	}
	if code != 0 {
		t.Fatalf("ass %q ended with %d: %s", s.command(c.w), code, c.w.errs)
	}
	if len(c.r.ops) < 2 {
		t.Fatalf("ass %q: only %d operations were seen", s.command(c.w), len(c.r.ops))
	}
	c.end = c.r.top.seen()
	return c
}

// acked says whether the command has said before the cut that it is done, or has ended.
func (c *cutter) acked(at int) bool {
	return at == len(c.r.ops) || slices.ContainsFunc(c.r.ops[:at], func(o op) bool { return o.kind == saying })
}

// draw returns different disks. The first are those after the command has said that it is done, with
// nothing and with all of what need not be there. The others are extremes, and as many at random.
func (c *cutter) draw() (list []cut) {
	random := rand.New(rand.NewPCG(c.seed, 0))
	var first, extremes []cut
	for at := range len(c.r.ops) + 1 {
		for _, m := range models {
			_, pending := c.r.kept(at, m, choice{how: "all"})
			both := []cut{{at, m, choice{how: "none"}}, {at, m, choice{how: "all"}}}
			if at == len(c.r.ops) || c.acked(at) && !c.acked(at-1) {
				first = append(first, both...)
			} else {
				extremes = append(extremes, both...)
			}
			names := 0
			for _, i := range pending {
				extremes = append(extremes, cut{at, m, choice{how: "without", atom: i}},
					cut{at, m, choice{how: "alone", atom: i}})
				if c.r.atoms[i].kind == naming {
					names++
					extremes = append(extremes, cut{at, m, choice{how: "names", atom: names}},
						cut{at, m, choice{how: "names", atom: names, data: true}})
				}
			}
		}
	}
	random.Shuffle(len(extremes), func(i, j int) { extremes[i], extremes[j] = extremes[j], extremes[i] })
	for dull := 0; len(list) < *cuts && (dull < 2000 || len(extremes) > 0); {
		var d cut
		switch {
		case len(first) > 0 && (len(list) < 2 || random.IntN(2) == 0):
			d, first = first[0], first[1:]
		case len(extremes) > 0 && random.IntN(2) == 0:
			d, extremes = extremes[0], extremes[1:]
		default:
			d = cut{random.IntN(len(c.r.ops) + 1), models[random.IntN(len(models))],
				choice{how: "random", seed: random.Uint64()}}
		}
		if c.isNew(d) {
			list, dull = append(list, d), 0
		} else {
			dull++
		}
	}
	return list
}

// isNew says whether no disk like this was drawn before.
func (c *cutter) isNew(d cut) bool {
	kept, _ := c.r.kept(d.at, d.model, d.choice)
	var key [33]byte
	sum := c.r.disk(kept).sum()
	copy(key[:], sum[:])
	if c.acked(d.at) {
		key[32] = 1
	}
	if c.seen[key] {
		return false
	}
	c.seen[key] = true
	return true
}

// check makes a disk and checks it.
func (c *cutter) check(d cut) {
	kept, pending := c.r.kept(d.at, d.model, d.choice)
	dir, err := os.MkdirTemp(inMemory(), "ass-cut-")
	if err != nil {
		c.t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	onDisk := c.r.disk(kept)
	if err := onDisk.write(dir); err != nil {
		c.t.Fatal(err)
	}
	c.checked++
	a := &after{c: c, home: &home{t: c.t, root: dir, passphrase: c.w.passphrase}, disk: onDisk, acked: c.acked(d.at)}
	failed := map[string]bool{}
	a.fail = func(claim, format string, args ...any) {
		f := c.failures[claim]
		if f == nil {
			where := "before the first operation"
			if d.at > 0 {
				where = fmt.Sprintf("after operation %d of %d, %s", d.at, len(c.r.ops), c.r.ops[d.at-1].what)
			}
			acked := "the command has not said that it is done"
			if a.acked {
				acked = "the command has said that it is done"
			}
			f = &failure{first: fmt.Sprintf("%s\n  cut: %s; %s\n  model: %v; choice: %v\n  lost: %s",
				fmt.Sprintf(format, args...), where, acked, d.model, d.choice, c.r.lost(kept, pending))}
			c.failures[claim] = f
		}
		if !failed[claim] {
			failed[claim] = true
			f.times++
		}
	}
	a.checkAll()
	if len(failed) > 0 {
		c.bad++
	}
}

// inMemory returns a folder in memory, where syncs cost nothing; "" if there is none.
func inMemory() string {
	const shm = "/dev/shm"
	if unix.Access(shm, unix.W_OK) != nil {
		return ""
	}
	return shm
}

// report fails once for each claim that does not hold.
func (c *cutter) report() {
	c.t.Logf("%d operations, %d disks", len(c.r.ops), c.checked)
	for _, claim := range slices.Sorted(maps.Keys(c.failures)) {
		f := c.failures[claim]
		c.t.Errorf("%s: not on %d of %d disks; the first: %s\n"+
			"  again: go test ./e2e/powercut -run '^TestPowerCuts$/^%s$' -args -cuts %d -cuts-seed %d",
			claim, f.times, c.checked, f.first, c.s.pattern(), *cuts, c.seed)
	}
}
