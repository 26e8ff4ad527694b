package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// unit is what is run at once of a package's tests: one test, one story of TestScript, or, without a
// name, everything.
type unit struct {
	run     string // for -test.run
	usual   time.Duration
	reaches map[int]bool // the mutants whose functions it calls; nil for all

	skipsShort  bool // it does nothing with -test.short
	readsSource bool // it fails if there are many mutants in the source, even if none is on
}

func (u unit) flags(pkg string, short bool) (flags []string) {
	if u.run != "" {
		flags = append(flags, "-test.run="+u.run)
	}
	if short && neverShort[pkg] == "" {
		flags = append(flags, "-test.short")
	}
	return flags
}

// learn runs the tests of a package one by one, without a mutant, and learns how long each takes, and
// which mutants it reaches. A test that fails here cannot see a mutant, and is left out.
func (w *workshop) learn(ctx context.Context, pkg string) error {
	out, err := w.test(ctx, together, w.binary(together, pkg), pkg, "-test.list=.")
	if err != nil {
		return fmt.Errorf("the tests of %s: %w\n%s", pkg, err, out)
	}
	if err := w.switchOn(record); err != nil {
		return err
	}
	for name := range strings.FieldsSeq(string(out)) {
		runs := []string{"^" + name + "$"}
		if name == "TestScript" {
			if runs, err = w.stories(); err != nil {
				return err
			}
		}
		for _, run := range runs {
			u, err := w.learnUnit(ctx, pkg, run)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil:
				fmt.Println("left out:", err)
				continue
			}
			w.usual[pkg] += u.usual
			w.units[pkg] = append(w.units[pkg], u)
		}
	}
	slices.SortFunc(w.units[pkg], func(a, b unit) int { return cmp.Compare(a.usual, b.usual) })
	return nil
}

func (w *workshop) learnUnit(ctx context.Context, pkg, run string) (u unit, err error) {
	u = unit{run: run, reaches: map[int]bool{}}
	for _, tree := range []string{together, plain} {
		start := time.Now()
		out, err := w.test(ctx, tree, w.binary(together, pkg), pkg, append(u.flags(pkg, true), "-test.v")...)
		if u.usual = time.Since(start); err == nil {
			u.skipsShort = bytes.Contains(out, []byte("--- SKIP: "))
			break
		}
		if u = (unit{run: run, readsSource: true}); tree == plain {
			return u, fmt.Errorf("without a mutant, %s of %s fails: %w (%s)", run, pkg, err, firstFailure(out))
		}
	}
	reached, err := os.ReadFile(w.path("reached"))
	if err != nil {
		return u, err
	}
	for line := range bytes.FieldsSeq(reached) {
		if number, err := strconv.Atoi(string(line)); err == nil && !u.readsSource {
			u.reaches[number] = true
		}
	}
	return u, os.Truncate(w.path("reached"), 0)
}

// stories returns what runs each story by itself.
func (w *workshop) stories() (runs []string, err error) {
	files, err := os.ReadDir(w.path(plain, "testdata", "script"))
	for _, f := range files {
		if name, ok := strings.CutSuffix(f.Name(), ".txtar"); ok {
			runs = append(runs, "^TestScript$/^"+name+"$")
		}
	}
	return runs, err
}

// switchOn switches one mutant on, and all others off.
func (w *workshop) switchOn(number int) error {
	return os.WriteFile(w.path("on"), []byte(strconv.Itoa(number)), 0o600)
}
