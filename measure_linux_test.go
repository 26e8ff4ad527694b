package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"ass/commands"
	"ass/tokens"
	"ass/vault"
)

var (
	measure       = flag.Bool("measure", false, "measure whole processes and print a table; see docs/performance.md")
	measureSizes  = flag.String("measure-sizes", "10,1000,100000", "numbers of secrets to measure with")
	measureRounds = flag.Int("measure-rounds", 21, "how often each command is run")
)

// TestMeasure measures whole processes, interleaved, so that what else the machine
// does hits all of them alike: ass in vaults of some sizes, the floor program, and
// those of the other tools that are installed. It asserts nothing about time.
func TestMeasure(t *testing.T) {
	if !*measure {
		t.Skip("it measures, and is asked for with -measure")
	}
	dir := t.TempDir()
	ass, floor := filepath.Join(dir, "ass"), filepath.Join(dir, "floor")
	for out, pkg := range map[string]string{ass: ".", floor: "./testdata/floor"} {
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s", "-o", out, pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if b, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
	}
	if info, err := os.Stat(ass); err == nil {
		t.Logf("the binary has %.1f MiB", float64(info.Size())/(1<<20))
	}
	floorFile := filepath.Join(dir, "floor.db")
	if b, err := exec.Command(floor, "make", floorFile).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	env := func(home string) []string { return append(withHome(home), "GOMAXPROCS=") }
	cases := []measured{
		{name: "floor: nothing", args: []string{floor}},
		{name: "floor: get", args: []string{floor, "get", floorFile}},
		{name: "floor: put", args: []string{floor, "put", floorFile}},
		{name: "ass version", args: []string{ass, "version"}, env: env(dir)},
	}
	for _, text := range strings.Split(*measureSizes, ",") {
		var n int
		if _, err := fmt.Sscan(text, &n); err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, n)
		add := func(name, key string, args ...string) {
			e := env(w.home)
			if key != "" {
				e = append(e, "ASS_AGENT_KEY="+key)
			}
			cases = append(cases, measured{name: fmt.Sprintf("%s, %d secrets", name, n), args: append([]string{ass}, args...), env: e, few: n > 1000 && args[1] == "list"})
		}
		mid := w.path(n / 2)
		add("get, owner", "", "secrets", "get", mid)
		add("get, agent", w.agent, "secrets", "get", mid)
		add("get, token", w.token, "secrets", "get", mid)
		add("set", "", "secrets", "set", "other/KEY", "a value of a usual length")
		if n <= 10000 {
			add("list", "", "secrets", "list", "production")
		}
		if n == 1000 {
			add("env export", "", "env", "export", "production", "--format", "json", "--prefix")
		}
	}
	if peer, ok := agePeer(t, dir); ok {
		cases = append(cases, peer)
	}
	for i := range cases {
		cases[i].run(t) // the first run finds cold caches
	}
	for i := range cases {
		cases[i].took = nil
		cases[i].weigh(t, floor)
	}
	for round := range *measureRounds {
		for i := range cases {
			if c := &cases[i]; !c.few || round%5 == 0 {
				c.run(t)
			}
		}
	}
	var out bytes.Buffer
	tw := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "whole process\tmedian\tx floor get\tpeak memory")
	base := cases[1].median()
	for _, c := range cases {
		fmt.Fprintf(tw, "%s\t%.2f ms\t%.2f\t%.1f MiB\n", c.name, ms(c.median()), ms(c.median())/ms(base), float64(c.peak)/1024)
	}
	tw.Flush()
	t.Logf("%s, %s, %d CPUs, %s\n%s", time.Now().UTC().Format(time.DateOnly), runtime.Version(), runtime.NumCPU(), runtime.GOARCH, out.String())
	measureCrowd(t, ass, newWorld(t, 1000), env)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// measured is one command line.
type measured struct {
	name string
	args []string
	env  []string
	few  bool // it takes long, so it is run less often
	took []time.Duration
	peak int64 // KiB
}

func (m *measured) run(t *testing.T) {
	t.Helper()
	cmd := exec.Command(m.args[0], m.args[1:]...)
	cmd.Env = m.env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	start := time.Now()
	err := cmd.Run()
	m.took = append(m.took, time.Since(start))
	if err != nil {
		t.Fatalf("%s: %v\n%s", m.name, err, stderr.String())
	}
}

// weigh takes the peak of the memory.
func (m *measured) weigh(t *testing.T, floor string) {
	t.Helper()
	cmd := exec.Command(floor, append([]string{"run"}, m.args...)...)
	cmd.Env = m.env
	out, err := cmd.CombinedOutput()
	if i := bytes.LastIndexByte(bytes.TrimSpace(out), '\n'); err == nil {
		_, err = fmt.Sscan(string(out[i+1:]), &m.peak)
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", m.name, err, out)
	}
}

func (m *measured) median() time.Duration {
	slices.Sort(m.took)
	return m.took[len(m.took)/2]
}

// world is a home with a vault of so many secrets, an agent and a token.
type world struct {
	home, agent, token string
}

func (world) path(i int) string { return fmt.Sprintf("production/service%d/KEY%d", i/100, i) }

func newWorld(t *testing.T, secrets int) world {
	t.Helper()
	w := world{home: t.TempDir()}
	id, err := vault.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(w.home, ".local/share/ass/vault.db")
	vid, err := vault.Create(file, id, vault.Options{})
	if err == nil {
		err = commands.StoreOwner(filepath.Join(w.home, ".config/ass/config.json"), id, vid)
	}
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(file, vault.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	s, err := v.Owner(id)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < secrets; at += 100 {
		ns, err := tokens.ParseNamespace(fmt.Sprintf("production/service%d", at/100))
		if err != nil {
			t.Fatal(err)
		}
		var items []vault.Item
		for i := at; i < min(at+100, secrets); i++ {
			items = append(items, vault.Item{Key: fmt.Sprintf("KEY%d", i), Value: []byte("a value of a usual length")})
		}
		if _, err := s.Import(ns, items, vault.ImportOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	scopes, err := tokens.ScopesOf([]string{"secrets:read:production/*"})
	if err != nil {
		t.Fatal(err)
	}
	_, k, err := s.CreateAgent(vault.AgentSpec{Name: "reader", Scopes: scopes})
	if err != nil {
		t.Fatal(err)
	}
	issued, err := s.IssueToken(vault.TokenSpec{Scopes: scopes, TTL: tokens.MaxTTL})
	if err != nil {
		t.Fatal(err)
	}
	w.agent, w.token = k.Text(), issued.Text
	return w
}

// agePeer measures age on one file, where it is installed.
func agePeer(t *testing.T, dir string) (measured, bool) {
	bin, err := exec.LookPath("age")
	if err != nil {
		t.Log("age is not installed")
		return measured{}, false
	}
	key, file := filepath.Join(dir, "age.key"), filepath.Join(dir, "age.txt")
	script := fmt.Sprintf("age-keygen -o %s 2>/dev/null && echo value | age -r $(age-keygen -y %s) -o %s", key, key, file)
	if b, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil {
		t.Logf("age: %v\n%s", err, b)
		return measured{}, false
	}
	return measured{name: "age -d, one file", args: []string{bin, "-d", "-i", key, file}}, true
}

// measureCrowd runs 16 processes at once, each 50 gets in a row.
func measureCrowd(t *testing.T, ass string, w world, env func(string) []string) {
	const processes, gets = 16, 50
	var (
		mu   sync.Mutex
		took []time.Duration
		wg   sync.WaitGroup
		errs []error
	)
	start := time.Now()
	for p := range processes {
		wg.Go(func() {
			for range gets {
				cmd := exec.Command(ass, "secrets", "get", w.path(p))
				cmd.Env = append(env(w.home), "ASS_AGENT_KEY="+w.agent)
				began := time.Now()
				err := cmd.Run()
				mu.Lock()
				took, errs = append(took, time.Since(began)), append(errs, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	all := time.Since(start)
	slices.Sort(took)
	t.Logf("%d processes x %d gets: median %.1f ms, slowest %.1f ms, %.0f gets a second", processes, gets, ms(took[len(took)/2]), ms(took[len(took)-1]), float64(len(took))/all.Seconds())
}
