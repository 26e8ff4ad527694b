package e2e

import (
	"bytes"
	"cmp"
	"debug/elf"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var (
	measure        = flag.Bool("measure", false, "measure whole processes and print a table; see docs/performance.md")
	measureSizes   = flag.String("measure-sizes", "10,1000,100000,1000000", "numbers of secrets to measure with")
	measureEntries = flag.Int("measure-entries", 1000000, "number of log entries to measure with")
	measureRounds  = flag.Int("measure-rounds", 51, "how often each command is run")
	measureCache   = flag.String("measure-cache", "", "folder that keeps the filled vaults for the next time; delete it "+
		"when the format or the filling changes")
)

// TestMeasure measures whole processes: ass in vaults of several sizes, the floor program,
// and the other tools that are installed. The runs are interleaved, so that other load on
// the machine affects all of them alike. It asserts nothing about time.
func TestMeasure(t *testing.T) {
	if !*measure {
		t.Skip("it measures, and is asked for with -measure")
	}
	busy := loadAverage(t)
	m := newMeter(t)
	m.addRows(t)
	m.addPeers(t)
	m.measureAll(t)
	crowd := m.crowd(t)

	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d CPUs, %s, %s, load average %s at the start%s; not on PATH: %s\n\n",
		time.Now().UTC().Format(time.DateOnly),
		runtime.NumCPU(), runtime.GOARCH, runtime.Version(), busy, busy.warning(), cmp.Or(strings.Join(m.absent, ", "),
			"none"))
	m.table(&b, slices.Concat(crowd, m.binary(t)))
	t.Logf("\n\n%s", b.String())
}

// load is the load average of the last minute.
type load float64

func loadAverage(t *testing.T) (l load) {
	b, err := os.ReadFile("/proc/loadavg")
	if err == nil {
		_, err = fmt.Sscan(string(b), &l)
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (l load) String() string { return fmt.Sprintf("%.2f", float64(l)) }

func (l load) warning() string {
	if float64(l) < 0.3*float64(runtime.NumCPU()) {
		return ""
	}
	return " (THE MACHINE WAS BUSY: measure again)"
}

// meter measures command lines.
type meter struct {
	dir, ass, floor string
	null            *os.File // stdin of all measured processes
	stdout, stderr  *os.File // not /dev/null: agents create would not print a key there

	nothing, get, put *row // rows of the floor program
	rows              []*row
	tools, absent     []string // peers that are installed, and that are not
	dotenv, fortyVars string   // files of 1,000 and of 40 variables
}

// row is one command line and its measurements.
type row struct {
	name string
	args func(run int) []string // run is the number of the run, for arguments that must be new each time
	env  []string
	prep func() error // runs before each measurement; not measured
	slow int          // how often it runs, after all other rows; 0: as often as they do

	over  *row   // the row of the floor to compare with; nil for get
	group string // rows of one group are compared with the fastest of them
	goal  goal
	task  string          // the same task for peers
	peers map[string]*row // by tool

	runs int
	took []time.Duration
	cpu  []time.Duration
	peak float64 // MiB
}

// goal is the target of a row; a zero field sets none.
type goal struct {
	over, group, ms, mib float64
	before               float64  // times the earlier program
	ahead                []string // tools that must be slower
}

// always returns the same arguments for each run.
func always(args ...string) func(int) []string { return func(int) []string { return args } }

func newMeter(t *testing.T) *meter {
	m := &meter{dir: t.TempDir()}
	m.ass, m.floor = filepath.Join(m.dir, "ass"), filepath.Join(m.dir, "floor")
	for out, pkg := range map[string]string{m.ass: "..", m.floor: "../testdata/floor"} {
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s", "-o", out, pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if b, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
	}
	var err1, err2, err3 error
	m.null, err1 = os.OpenFile(os.DevNull, os.O_RDWR, 0)
	m.stdout, err2 = os.Create(filepath.Join(m.dir, "stdout"))
	m.stderr, err3 = os.Create(filepath.Join(m.dir, "stderr"))
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.null.Close(); m.stdout.Close(); m.stderr.Close() })
	return m
}

// addRows fills the vaults and adds the rows of ass and the floor.
func (m *meter) addRows(t *testing.T) {
	floorFile := filepath.Join(m.dir, "floor.db")
	if b, err := exec.Command(m.floor, "make", floorFile).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	m.nothing = &row{name: "floor: nothing", args: always(m.floor)}
	m.get = &row{name: "floor: get", args: always(m.floor, "get", floorFile)}
	m.put = &row{name: "floor: put", args: always(m.floor, "put", floorFile)}
	m.rows = []*row{m.nothing, m.get, m.put}
	m.add(row{name: "ass version"}, m.dir, "", "version")

	var sizes []int
	for text := range strings.SplitSeq(*measureSizes, ",") {
		var n int
		if _, err := fmt.Sscan(text, &n); err != nil || n < 1 {
			t.Fatalf("-measure-sizes: %q is no number of secrets", text)
		}
		sizes = append(sizes, n)
	}
	specs := []filling{{secrets: 10}, {secrets: 1000}, {secrets: 1000, entries: *measureEntries},
		{secrets: 10, agents: 1000}}
	for _, n := range sizes {
		specs = append(specs, filling{secrets: n})
	}
	worlds := fillAll(t, m.dir, specs)

	stores, listed := []string{"pass", "gopass"}, false
	for _, n := range sizes {
		w := worlds[filling{secrets: n}]
		in := ", " + thousands(n) + " secrets"
		m.addGets(w, in)
		// Writes make a small vault larger, so they go to a copy.
		sets, rights := w.home, w.home
		if n <= 1000 {
			sets, rights = w.copy(t, "sets"), w.copy(t, "rights")
		}
		m.add(row{name: "set" + in, over: m.put, goal: goal{over: 1.7}}, sets, "", "secrets", "set", "other/KEY%d",
			"a value of a usual length")
		if flat := (goal{group: 1.2}); n == sizes[0] || n == 100000 {
			m.add(row{name: "status" + in, group: "status", goal: flat}, w.home, "", "status")
			m.add(row{name: "whoami" + in, group: "whoami", goal: flat}, w.home, w.agent, "whoami")
			m.add(row{name: "vault info" + in, group: "vault info", goal: flat}, w.home, "", "vault", "info")
			m.add(row{name: "completion" + in, group: "completion", goal: flat}, w.home, "", completeWords(n)...)
			m.add(row{name: "agents create" + in, group: "agents create", goal: flat}, rights, "", "agents", "create", "--name",
				"new%d", "--scopes", "secrets:read:team0/*")
			m.add(row{name: "tokens issue" + in, group: "tokens issue", goal: flat}, rights, "", "tokens", "issue", "--scopes",
				"secrets:read:team0/*")
		}
		if n >= teamSize && !listed {
			listed = true
			m.add(row{name: "list 10,000" + in, goal: goal{over: 10, ahead: stores}, task: "list 10,000"}, w.home, "", "secrets",
				"list", "team0")
		}
		if n == 100000 {
			m.add(row{name: "open, 100,000 secrets", slow: 3, goal: goal{ms: 2000}}, w.home, "", "open", "--no-browser")
			m.add(row{name: "vault rekey, 100,000 versions", slow: 3, goal: goal{before: 0.5}}, w.home, "", "vault", "rekey",
				"--force")
			m.addWhole(func(name string, args ...string) *row {
				return m.add(row{name: name, slow: 3, goal: goal{before: 0.4}}, w.home, "", args...)
			}, w.home)
			if b, err := assIn(w.home, "vault", "backup", filepath.Join(w.home, "whole.db")); err != nil {
				t.Fatalf("%v\n%s", err, b)
			}
		}
	}
	m.addGets(worlds[specs[2]], ", 1,000 secrets, "+thousands(*measureEntries)+" entries")
	m.addGets(worlds[specs[3]], ", 10 secrets, 1,000 agents")

	full := worlds[filling{secrets: 1000}]
	m.add(row{name: "list 1,000", goal: goal{over: 2.2, ahead: stores}, task: "list 1,000"}, full.home, "", "secrets", "list",
		"team0")
	sops := goal{ahead: []string{"sops"}}
	m.add(row{name: "env export, 1,000", goal: sops, task: "export 1,000"}, full.home, "", "env", "export",
		"team0/service0")
	m.dotenv = filepath.Join(m.dir, "1000.env")
	m.fortyVars = filepath.Join(m.dir, "40.env")
	if err := errors.Join(os.WriteFile(m.dotenv, variables(1000), 0o600), os.WriteFile(m.fortyVars, variables(40), 0o600)); err != nil {
		t.Fatal(err)
	}
	small, fresh, empty := worlds[filling{secrets: 10}], filepath.Join(m.dir, "fresh"), filepath.Join(m.dir, "empty")
	m.add(row{name: "env import, 1,000 new ones", goal: sops, task: "import 1,000", prep: freshCopy(small.home, fresh)}, fresh, "",
		"env", "import", m.dotenv, "--namespace", "imported")
	forty := small.copy(t, "forty")
	if b, err := assIn(forty, "env", "import", m.fortyVars, "--namespace", "forty"); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	m.add(row{name: "run, 40 secrets", goal: sops, task: "run with 40"}, forty, "", "run", "--namespace", "forty", "--", "true")
	m.add(row{name: "new vault and first secret", goal: goal{ms: 20}, prep: func() error {
		return errors.Join(os.RemoveAll(empty), os.Mkdir(empty, 0o700))
	}}, empty, "", "secrets", "set", "demo/KEY", "a value of a usual length")

	// The first run may leave data that make the next one quicker.
	long, in := worlds[specs[2]].home, ", "+thousands(*measureEntries)+" entries"
	m.add(row{name: "audit verify" + in, slow: 1}, long, "", "audit", "verify")
	m.add(row{name: "audit verify" + in + ", again", slow: 1, goal: goal{ms: 2000}}, long, "", "audit", "verify")
	if help, err := exec.Command(m.ass, "audit", "verify", "--help").Output(); err == nil && bytes.Contains(help,
		[]byte("--all")) {
		m.add(row{name: "audit verify --all" + in, slow: 3, goal: goal{before: 0.6}}, long, "", "audit", "verify", "--all")
	}
}

func (m *meter) addGets(w filledHome, in string) {
	for _, as := range []struct{ who, key string }{{"owner", ""}, {"agent", w.agent}, {"token", w.token}} {
		r := row{name: "get, " + as.who + in, group: "get, " + as.who, goal: goal{over: 1.5, mib: 12, group: 1.15}}
		if as.key == "" && w.entries+w.agents == 0 {
			r.task = "read one of " + thousands(w.secrets)
		}
		m.add(r, w.home, as.key, "secrets", "get", secretPath(w.secrets/2))
	}
}

// addWhole adds the rows that read all of a vault of 100,000 secrets. There is a backup of it, whole.db.
func (m *meter) addWhole(add func(name string, args ...string) *row, home string) {
	const in = ", 100,000 secrets"
	backup, made := filepath.Join(home, "whole.db"), filepath.Join(home, "made.db")
	remove := func() error {
		old, err := filepath.Glob(vaultFile(home) + ".*-*") // that restores have replaced
		for _, name := range append(old, made) {
			if rerr := os.Remove(name); rerr != nil && !os.IsNotExist(rerr) {
				err = rerr
			}
		}
		syscall.Sync()
		return err
	}
	add("vault check"+in, "vault", "check")
	add("vault backup"+in, "vault", "backup", made).prep = remove
	add("vault salvage"+in, "vault", "salvage", vaultFile(home), made).prep = remove
	add("vault restore"+in, "vault", "restore", backup, "--force").prep = remove
}

// freshCopy returns what makes a new copy of a home.
func freshCopy(from, to string) func() error {
	return func() error {
		defer syscall.Sync() // otherwise what follows would wait until this copy is on the disk
		return errors.Join(os.RemoveAll(to), copyAll(from, to))
	}
}

// completeWords is the command line with which a shell asks for the paths that begin with most of one.
func completeWords(n int) []string {
	path := secretPath(n / 2)
	return []string{"__complete", "secrets", "get", path[:len(path)-1]}
}

// add adds a command line of ass.
func (m *meter) add(r row, home, key string, args ...string) *row {
	r.line(m.ass, home, key, args...)
	m.rows = append(m.rows, &r)
	return &r
}

// line sets the command line of a row, for a home and for the owner or an agent's key. A %d in an argument becomes the
// number of the run.
func (r *row) line(ass, home, key string, args ...string) {
	r.args = func(run int) []string {
		now := append([]string{ass}, args...)
		for i, arg := range now[1:] {
			now[i+1] = strings.ReplaceAll(arg, "%d", fmt.Sprint(run))
		}
		return now
	}
	r.env = measuredEnv(home)
	if key != "" {
		r.env = append(r.env, "ASS_AGENT_KEY="+key)
	}
}

func measuredEnv(home string) []string { return append(withHome(home), "GOMAXPROCS=") }

// run runs the row once. The words of before precede its command line. As little as
// possible happens between the two clock readings.
func (m *meter) run(r *row, before ...string) (took, cpu time.Duration, err error) {
	r.runs++
	args := append(before, r.args(r.runs)...)
	attr := &os.ProcAttr{Env: r.env, Files: []*os.File{m.null, m.stdout, m.stderr}}
	if r.prep != nil {
		if err := r.prep(); err != nil {
			return 0, 0, err
		}
	}
	start := time.Now()
	p, err := os.StartProcess(args[0], args, attr)
	if err != nil {
		return 0, 0, err
	}
	state, err := p.Wait()
	took = time.Since(start)
	if err == nil && !state.Success() {
		err = fmt.Errorf("%s: %v\n%s", r.name, state, m.said())
	}
	return took, state.UserTime() + state.SystemTime(), err
}

// said returns the end of stderr.
func (m *meter) said() string {
	b, _ := os.ReadFile(m.stderr.Name())
	return string(b[max(0, len(b)-1000):])
}

// weigh runs the row once and records its peak memory. The floor program starts it,
// because the system also counts the memory that a process had before exec, and the floor
// program is small.
func (m *meter) weigh(r *row) (took, cpu time.Duration, err error) {
	if took, cpu, err = m.run(r, m.floor, "run"); err != nil {
		return took, cpu, err
	}
	said := m.said()
	var kib float64
	_, err = fmt.Sscan(said[strings.LastIndexByte(strings.TrimSpace(said), '\n')+1:], &kib)
	r.peak = max(r.peak, kib/1024)
	return took, cpu, err
}

// measureAll runs all rows, and the peers, in turn.
func (m *meter) measureAll(t *testing.T) {
	var quick, slow []*row
	for _, r := range m.rows {
		switch {
		case r.slow > 0:
			slow = append(slow, r)
		default:
			quick = append(quick, r)
			for _, tool := range m.tools {
				if p := r.peers[tool]; p != nil {
					quick = append(quick, p)
				}
			}
		}
	}
	for _, r := range slow {
		if p := r.peers[before]; p != nil {
			p.env = (&exec.Cmd{Env: p.env}).Environ()
		}
	}
	for _, r := range slices.Concat(quick, slow) {
		r.env = (&exec.Cmd{Env: r.env}).Environ() // keeps only the last value of each variable
	}
	// Before the measurement, the filled vaults must be on the disk, and the garbage collector
	// of this process must not run during it.
	syscall.Sync()
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	each := map[*row]int{} // a row runs in every n-th round
	for _, r := range quick {
		_, _, err := m.weigh(r) // also warms up
		var took time.Duration
		if err == nil {
			took, _, err = m.run(r)
		}
		if err != nil {
			t.Fatal(err)
		}
		each[r] = min(max(1, int(took/(15*time.Millisecond))), 10)
	}
	keep := func(r *row, took, cpu time.Duration, err error) {
		if err != nil {
			t.Fatal(err)
		}
		r.took, r.cpu = append(r.took, took), append(r.cpu, cpu)
	}
	for round := range *measureRounds {
		// The order changes each round: a row that follows a large program finds cold caches.
		rand.Shuffle(len(quick), func(i, j int) { quick[i], quick[j] = quick[j], quick[i] })
		for _, r := range quick {
			if round%each[r] == 0 {
				took, cpu, err := m.run(r)
				keep(r, took, cpu, err)
			}
		}
	}
	for _, r := range slow {
		for range r.slow {
			for _, r := range []*row{r, r.peers[before]} {
				if r != nil {
					took, cpu, err := m.weigh(r)
					keep(r, took, cpu, err)
				}
			}
		}
	}
}

// crowd runs 16 processes at once, 50 gets in a row each, and returns their lines of the
// table.
func (m *meter) crowd(t *testing.T) [][]string {
	const processes, gets = 16, 50
	one := m.named("get, agent, 1,000 secrets")
	if one == nil { // -measure-sizes leaves that size out
		return nil
	}
	var (
		mu   sync.Mutex
		took []time.Duration
		wg   sync.WaitGroup
		errs []error
	)
	start := time.Now()
	for p := range processes {
		wg.Go(func() {
			r := &row{name: one.name, args: always(m.ass, "secrets", "get", secretPath(p)), env: one.env}
			for range gets {
				took1, _, err := m.run(r)
				mu.Lock()
				took, errs = append(took, took1), append(errs, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	second := float64(len(took)) / time.Since(start).Seconds()
	slices.Sort(took)
	slowest := ms(took[len(took)-1])
	share := second * quantile(one.cpu, 0.5).Seconds() / float64(runtime.NumCPU())
	name := fmt.Sprintf("%d processes × %d gets", processes, gets)
	return [][]string{
		{name + ", each get", text(took, 0.5), text(took, 0.9)},
		{name + ", the slowest get", fmt.Sprintf("%.1f ms", slowest), "", "", "", "", "≤ 100 ms" + mark(slowest <= 100)},
		{name + ", throughput", fmt.Sprintf("%.0f/s: %.2f of what the CPUs allow", second, share), "", "", "", "",
			"≥ 0.8" + mark(share >= 0.8)},
	}
}

func (m *meter) named(name string) *row {
	i := slices.IndexFunc(m.rows, func(r *row) bool { return r.name == name })
	if i < 0 {
		return nil
	}
	return m.rows[i]
}

// binary returns the line of the table about the program itself.
func (m *meter) binary(t *testing.T) [][]string {
	info, err := os.Stat(m.ass)
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.Open(m.ass)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	libs, err := f.ImportedLibraries()
	if err != nil {
		t.Fatal(err)
	}
	static := len(libs) == 0 && !slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
	mib := float64(info.Size()) / (1 << 20)
	kind := "static"
	if !static {
		kind = "NOT static"
	}
	return [][]string{{"the binary", fmt.Sprintf("%.2f MiB, %s", mib, kind), "", "", "", "",
		"≤ 12 MiB, static" + mark(static && mib <= 12)}}
}

// table prints all rows, and then the lines of more, in Markdown.
func (m *meter) table(w io.Writer, more [][]string) {
	columns := append([]string{"whole process", "median", "90 %", "× floor", "× fastest of its kind", "peak", "goal"},
		m.tools...)
	line := func(cells []string) {
		cells = append(cells, make([]string, len(columns)-len(cells))...)
		fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
	}
	line(columns)
	fmt.Fprintln(w, strings.Repeat("| --- ", len(columns))+"|")
	for _, r := range m.rows {
		over, within := m.ratios(r)
		cells := []string{r.name, text(r.took, 0.5), text(r.took, 0.9), fmt.Sprintf("%.2f", over), "", fmt.Sprintf("%.1f MiB",
			r.peak), m.goalOf(r, over, within)}
		if within > 0 {
			cells[4] = fmt.Sprintf("%.2f", within)
		}
		for _, tool := range m.tools {
			cell := ""
			if p := r.peers[tool]; p != nil {
				cell = text(p.took, 0.5)
			}
			if p := r.peers[tool]; p != nil && tool == before {
				cell += fmt.Sprintf(" (× %.2f)", ms(quantile(r.took, 0.5))/ms(quantile(p.took, 0.5)))
			}
			cells = append(cells, cell)
		}
		line(cells)
	}
	for _, cells := range more {
		line(cells)
	}
}

// ratios returns the median of a row divided by that of the floor, and by the fastest of its
// group; within is 0 for a row without a group.
func (m *meter) ratios(r *row) (over, within float64) {
	mine := ms(quantile(r.took, 0.5))
	over = mine / ms(quantile(cmp.Or(r.over, m.get).took, 0.5))
	if r.group == "" {
		return over, 0
	}
	for _, other := range m.rows {
		if other.group == r.group {
			within = max(within, mine/ms(quantile(other.took, 0.5)))
		}
	}
	return over, within
}

// goalOf returns the cell with the goals of a row, each with a mark if it is reached or not.
func (m *meter) goalOf(r *row, over, within float64) string {
	var goals []string
	bound := func(format string, limit, got float64) {
		if limit > 0 {
			goals = append(goals, fmt.Sprintf("≤ "+format, limit)+mark(got <= limit))
		}
	}
	mine := quantile(r.took, 0.5)
	bound("%g × floor", r.goal.over, over)
	bound("%g × each other", r.goal.group, within)
	bound("%g ms", r.goal.ms, ms(mine))
	if p := r.peers[before]; p != nil {
		bound("%g × before", r.goal.before, ms(mine)/ms(quantile(p.took, 0.5)))
	}
	bound("%g MiB", r.goal.mib, r.peak)
	for _, tool := range r.goal.ahead {
		result := " (not here)"
		if p := r.peers[tool]; p != nil {
			result = mark(mine < quantile(p.took, 0.5))
		}
		goals = append(goals, "ahead of "+tool+result)
	}
	return strings.Join(goals, ", ")
}

func mark(met bool) string {
	if met {
		return " ✓"
	}
	return " ✗"
}

// quantile returns the q-quantile (0.5 is the median), 0 for an empty list.
func quantile(took []time.Duration, q float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(took))
	return sorted[int(q*float64(len(sorted)-1)+0.5)]
}

func text(took []time.Duration, q float64) string {
	return fmt.Sprintf("%.2f ms", ms(quantile(took, q)))
}

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// thousands writes 1000 as 1,000.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
