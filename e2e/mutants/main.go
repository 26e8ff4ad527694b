// Mutants breaks ass in small ways, one at a time, and sees whether a test fails. A change that
// no test sees, a survivor, shows what the tests do not check. Run it in the root of the project:
//
//	go run ./e2e/mutants -n 200 -seed 1
//
// The changes are made from patterns (see patterns.go), so they follow the code. Many are built
// together (switch.go), and meet only the tests that reach them (units.go). Each package has a list
// of packages whose tests should see its mutants (plan.go). A mutant that no test can see is argued
// in accepted.txt; those that matter most are in list.txt.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// options are what the user asks for.
type options struct {
	seed               uint64
	n, parallel        int
	pattern, pkg, file string
	run                string
	timeout            time.Duration
	tests              string
	core, full, list   bool
	listed             bool
}

func main() {
	var o options
	flag.Uint64Var(&o.seed, "seed", 1, "of the sample")
	flag.IntVar(&o.n, "n", 200, "how many `mutants` to try; 0 for all")
	flag.StringVar(&o.pattern, "pattern", "", "try this pattern alone: "+strings.Join(patternNames(), ", "))
	flag.StringVar(&o.pkg, "package", "", "try this package alone, such as vault, or vault/... with all below it")
	flag.StringVar(&o.file, "file", "", "try this file alone, such as vault/tx.go")
	flag.BoolVar(&o.core, "core", false, "try the files alone where a mutant hurts most (core in plan.go)")
	flag.BoolVar(&o.listed, "listed", false, "try the mutants of list.txt alone, whatever -n says")
	flag.StringVar(&o.run, "run", "",
		"try these `mutants` alone, such as vault/tx.go:12:negate-if, with commas between them, also if they are argued")
	flag.StringVar(&o.tests, "tests", "all", "`own` runs the tests of the mutant's package alone")
	flag.DurationVar(&o.timeout, "timeout", 10*time.Minute, "for all tests of one mutant")
	flag.IntVar(&o.parallel, "parallel", 1, "how many mutants to try at once")
	flag.BoolVar(&o.full, "full", false, "run what -short skips on what survives the short tests")
	flag.BoolVar(&o.list, "list", false, "list the mutants and run nothing")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := mutate(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func patternNames() (names []string) {
	for _, p := range patterns {
		names = append(names, p.name)
	}
	return names
}

// mutate does what the options ask for, in the current folder.
func mutate(ctx context.Context, o options) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	all, err := allMutants(root)
	if err != nil {
		return err
	}
	reasons, err := named("accepted.txt", acceptedList, true, all)
	if err != nil {
		return err
	}
	matter, err := named("list.txt", matterList, false, all)
	if err != nil {
		return err
	}
	chosen := o.choose(all, matter)
	switch {
	case o.tests != "all" && o.tests != "own":
		return errors.New("-tests must be all or own")
	case o.parallel < 1:
		return errors.New("-parallel must be at least 1")
	case len(chosen) == 0:
		return errors.New("no mutant is meant; -list lists them")
	case o.list:
		for _, m := range chosen {
			fmt.Printf("%s  %s\n", m.id(), m.change)
		}
		return nil
	case o.run != "":
		reasons = nil
	}
	dir, err := os.MkdirTemp("", "ass-mutants-")
	if err != nil {
		return err
	}
	defer func() { _ = removeAll(dir) }()
	if err := os.Chmod(dir, 0o711); err != nil { // see share
		return err
	}
	fmt.Printf("%d mutants, %d of them to try, seed %d\n", len(all), len(chosen), o.seed)
	t := &trial{options: o, root: root, dir: dir, reasons: reasons, count: map[verdict]int{}}
	err = t.run(ctx, chosen)
	t.report()
	return err
}

// choose returns the mutants that the options mean, in an order that depends on the seed. matter has
// those of list.txt.
func (o options) choose(all []mutant, matter map[string]block) []mutant {
	below, deep := strings.CutSuffix(o.pkg, "/...")
	chosen := slices.DeleteFunc(slices.Clone(all), func(m mutant) bool {
		switch pkg := m.packageOf(); {
		case o.run != "" && !slices.Contains(strings.Split(o.run, ","), m.id()), o.core && !isCore(m.file),
			o.listed && matter[m.id()] == block{},
			o.pattern != "" && o.pattern != m.pattern, o.file != "" && o.file != m.file:
			return true
		case o.pkg != "" && pkg != below:
			return !deep || !strings.HasPrefix(pkg, below+"/")
		}
		return false
	})
	if o.n > 0 && o.n < len(chosen) && !o.listed {
		rand.New(rand.NewPCG(o.seed, 0)).Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
		chosen = chosen[:o.n]
	}
	return chosen
}

// trial tries mutants and counts what became of them.
type trial struct {
	options
	root, dir string
	reasons   map[string]block // of the mutants that are argued

	mu        sync.Mutex
	count     map[verdict]int
	survivors []mutant
}

// run tries the mutants in as many workshops as may work at once.
func (t *trial) run(ctx context.Context, chosen []mutant) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	project := filepath.Join(t.dir, "project") // as it is now, whatever is edited from now on
	if err := copyTree(t.root, project); err != nil {
		return err
	}
	tried := slices.DeleteFunc(slices.Clone(chosen), func(m mutant) bool { return t.reasons[m.id()].reason != "" })
	var shops []*workshop
	for i := range t.parallel {
		w, err := newWorkshop(project, filepath.Join(t.dir, fmt.Sprint(i)))
		if err != nil {
			return err
		}
		if err := w.warm(ctx, tried, t.neededBy(tried), i == 0); err != nil {
			return err
		}
		shops = append(shops, w)
		w.usual, w.units = shops[0].usual, shops[0].units
	}
	queue := make(chan mutant, len(chosen))
	for _, m := range chosen {
		queue <- m
	}
	close(queue)
	var all sync.WaitGroup
	for _, w := range shops {
		all.Go(func() {
			for m := range queue {
				if err := t.one(ctx, w, m); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// testsOf returns the packages whose tests are to see a mutant.
func (o options) testsOf(m mutant) []string {
	pkgs := testsOf(m)
	if o.tests == "own" {
		return pkgs[:1]
	}
	return pkgs
}

// neededBy returns the packages whose tests some mutants need.
func (o options) neededBy(chosen []mutant) (pkgs []string) {
	for _, m := range chosen {
		for _, pkg := range o.testsOf(m) {
			if !slices.Contains(pkgs, pkg) {
				pkgs = append(pkgs, pkg)
			}
		}
	}
	return pkgs
}

// one tries one mutant and prints a line about it.
func (t *trial) one(ctx context.Context, w *workshop, m mutant) (err error) {
	start := time.Now()
	v, by := isArgued, t.reasons[m.id()].reason
	if by == "" {
		if v, by, err = w.try(ctx, m, t.testsOf(m), t.timeout, t.full); err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count[v]++
	if v == survived {
		t.survivors = append(t.survivors, m)
	}
	fmt.Printf("%-12s %s  %s  [%s] %s\n", v, m.id(), m.change, by, time.Since(start).Round(time.Second/10))
	return nil
}

// report prints the survivors and the counts.
func (t *trial) report() {
	for _, m := range t.survivors {
		fmt.Printf("\nsurvivor: %s\n  line:   %s\n  change: %s\n", m.id(), m.source, m.change)
	}
	fmt.Println("\n" + summary(t.count))
}

// summary says what became of the mutants, and the share of those killed.
func summary(c map[verdict]int) string {
	dead := c[killed] + c[timedOut]
	tried := dead + c[isArgued] + c[survived]
	text := fmt.Sprintf("%d tried: %d killed, %d of them by time, %d not compiled, %d argued, %d survived",
		tried+c[notCompiled], dead, c[timedOut], c[notCompiled], c[isArgued], c[survived])
	if tried > 0 {
		text += fmt.Sprintf("; %.1f%% killed", 100*float64(dead)/float64(tried))
	}
	return text
}
