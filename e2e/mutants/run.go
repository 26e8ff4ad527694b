package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// memoryLimit is the address space of a test and of each program that it starts. A mutant has
// taken 24 GB before there was a limit.
const memoryLimit = 4 << 30

// workshop is where one mutant at a time is built and run. It is a copy of the project, because a
// mutant can remove or overwrite files, and because some tests build the program themselves: they
// get the mutant, too. Its build cache begins with the user's and forgets each mutant.
type workshop struct {
	root, dir string
	env       []string
	numbers   map[string]int           // of the mutants that are built together, by their ids
	kept      map[string]bool          // the files of the cache that stay
	usual     map[string]time.Duration // how long the tests of a package take without a mutant
	units     map[string][]unit        // the tests of a package, the fastest first
}

// newWorkshop makes a workshop in dir. root is the project.
func newWorkshop(root, dir string) (*workshop, error) {
	w := &workshop{root: root, dir: dir, usual: map[string]time.Duration{}, units: map[string][]unit{}}
	out, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE", "GOPATH").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	vars := strings.Split(string(out), "\n")
	w.env = append(os.Environ(), "GOCACHE="+w.path("cache"), "GOMODCACHE="+vars[1], "GOPATH="+vars[2],
		"HOME="+w.path("tmp"), "TMPDIR="+w.path("tmp"), "XDG_DATA_HOME=", "XDG_CONFIG_HOME=",
		"XDG_STATE_HOME=", "XDG_RUNTIME_DIR=")
	if err := os.MkdirAll(w.path("cache"), 0o700); err != nil {
		return nil, err
	}
	linkAll(vars[0], w.path("cache"))
	return w, errors.Join(os.Chmod(w.dir, 0o711), w.share("on", 0o644), w.share("reached", 0o666))
}

// share empties a file. A test may run the program as another user, who has to read which mutant is
// on, and note which it reaches.
func (w *workshop) share(name string, mode fs.FileMode) error {
	return errors.Join(os.WriteFile(w.path(name), nil, mode), os.Chmod(w.path(name), mode))
}

func (w *workshop) path(name ...string) string {
	return filepath.Join(append([]string{w.dir}, name...)...)
}

// linkAll gives the files of a build cache a second name in another one. Where the system makes no
// links, the go command builds more at first.
func linkAll(from, to string) {
	_ = filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		name, rerr := filepath.Rel(from, path)
		switch {
		case err != nil || rerr != nil:
			return nil
		case d.IsDir() && name == "fuzz":
			return fs.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		}
		if os.Link(path, filepath.Join(to, name)) != nil { // on another file system
			_ = os.Symlink(path, filepath.Join(to, name))
		}
		return nil
	})
}

// The tests run in one of two copies of the project.
const (
	plain    = "plain"    // it has one mutant, or none
	together = "together" // it has many mutants
)

// tidy puts the copies of the project, the cache and the folder for temporary files in order.
func (w *workshop) tidy() error {
	for _, dir := range []string{plain, together, "tmp"} {
		if err := removeAll(w.path(dir)); err != nil {
			return err
		}
	}
	if err := errors.Join(os.Mkdir(w.path("tmp"), 0o711), os.Chmod(w.path("tmp"), 0o711), copyTree(w.root, w.path(plain)), copyTree(w.path("switched"), w.path(together))); err != nil {
		return err
	}
	if w.kept == nil {
		return nil
	}
	return w.walkCache(func(path string) error {
		if !w.kept[path] {
			return os.Remove(path)
		}
		return nil
	})
}

func (w *workshop) walkCache(do func(path string) error) error {
	return filepath.WalkDir(w.path("cache"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return do(path)
	})
}

// removeAll removes a folder, also if a test has taken the permission to write from it.
func removeAll(dir string) error {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// copyTree copies the files of the project, without its history.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		switch {
		case err != nil:
			return err
		case d.Name() == ".git":
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil // in a second work tree, it is a file
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, name), 0o755)
		}
		info, err := d.Info()
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), b, info.Mode().Perm())
	})
}

// warm builds some mutants together, and the tests of some packages. If run is set, it also runs them
// without a mutant, and learns from that.
func (w *workshop) warm(ctx context.Context, mutants []mutant, pkgs []string, run bool) error {
	if err := os.Mkdir(w.path("tests"), 0o700); err != nil {
		return err
	}
	if err := w.switchAll(ctx, mutants); err != nil {
		return err
	}
	if err := w.tidy(); err != nil {
		return err
	}
	for _, pkg := range pkgs {
		if out, err := w.build(ctx, together, pkg); err != nil {
			return fmt.Errorf("without a mutant, the tests of %s do not build: %w\n%s", pkg, err, out)
		}
		if run {
			if err := w.learn(ctx, pkg); err != nil {
				return err
			}
		}
	}
	w.kept = map[string]bool{}
	return w.walkCache(func(path string) error {
		w.kept[path] = true
		return nil
	})
}

// allErrors makes the compiler report every error. It is in all builds, so that they share the cache.
const allErrors = "-gcflags=./...=-e"

// build builds the tests of a package in one of the copies.
func (w *workshop) build(ctx context.Context, tree, pkg string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", allErrors, "-ldflags=-w", "-o",
		w.binary(tree, pkg), "./"+pkg)
	cmd.Dir, cmd.Env = w.path(tree), w.env
	return cmd.CombinedOutput()
}

// binary is the tests of a package. Those without a mutant of their own are built once.
func (w *workshop) binary(tree, pkg string) string {
	dir := map[string]string{plain: "tmp", together: "tests"}[tree]
	return w.path(dir, strings.NewReplacer("/", "-", ".", "root").Replace(pkg)+".test.exe")
}

// test runs the tests of a package, until the first that fails.
func (w *workshop) test(ctx context.Context, tree, binary, pkg string, flags ...string) ([]byte, error) {
	args := append([]string{binary, "-test.failfast", "-test.timeout=0"}, flags...)
	cmd := limited(ctx, args)
	cmd.Dir, cmd.Env = w.path(tree, pkg), w.env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = 5 * time.Second // what a test started may keep the output open
	err := cmd.Run()
	endGroup(cmd)
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // the tests themselves have passed
	}
	return out.Bytes(), err
}

// verdict is what became of a mutant.
type verdict string

const (
	killed      verdict = "killed"
	timedOut    verdict = "timed out" // and so killed
	notCompiled verdict = "not compiled"
	survived    verdict = "SURVIVED"
	isArgued    verdict = "argued"
)

// put puts a mutant into the copies of the project, and reports whether its tests have been built.
func (w *workshop) put(m mutant) (built bool, err error) {
	if err := w.tidy(); err != nil {
		return false, err
	}
	file := w.path(plain, filepath.FromSlash(m.file))
	src, err := os.ReadFile(file)
	if err != nil {
		return false, err
	}
	number := w.numbers[m.id()]
	return number > 0, errors.Join(w.switchOn(number), os.WriteFile(file, m.apply(src), 0o600))
}

// try runs a mutant against the tests of some packages. If it survives their short tests and full
// is set, it runs those that -short skips. by says what killed the mutant.
func (w *workshop) try(ctx context.Context, m mutant, pkgs []string, limit time.Duration, full bool) (v verdict,
	by string, err error) {
	built, err := w.put(m)
	if err != nil {
		return "", "", err
	}
	stopped := ctx
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for _, short := range []bool{true, false} {
		if !short && !full {
			break
		}
		for _, pkg := range pkgs {
			units, tree := w.units[pkg], together
			if !built {
				tree = plain
				if _, err := w.build(ctx, tree, pkg); err != nil {
					return w.ended(stopped, ctx, notCompiled, pkg)
				}
			}
			if !built {
				units = []unit{{usual: w.usual[pkg], skipsShort: !short}}
			}
			for _, u := range units {
				reached := u.reaches == nil || u.reaches[w.numbers[m.id()]]
				if short && !reached || !short && !u.skipsShort {
					continue
				}
				// A mutant that waits for ever need not take the whole time.
				once := ctx
				if short {
					var done context.CancelFunc
					once, done = context.WithTimeout(ctx, 10*u.usual+10*time.Second)
					defer done()
				}
				in := tree
				if u.readsSource {
					in = plain
				}
				if out, err := w.test(once, in, w.binary(tree, pkg), pkg, u.flags(pkg, short)...); err != nil {
					if !short && ctx.Err() != nil && stopped.Err() == nil { // these tests may take so long by themselves
						return survived, "the time was up", nil
					}
					return w.ended(stopped, once, killed, firstFailure(out)+" in "+pkg)
				}
			}
		}
	}
	return w.ended(stopped, ctx, survived, "")
}

// ended returns a verdict, unless the time was up or the user has stopped the program.
func (w *workshop) ended(stopped, ctx context.Context, v verdict, by string) (verdict, string, error) {
	switch {
	case stopped.Err() != nil:
		return "", "", stopped.Err()
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return timedOut, by, nil
	}
	return v, by, nil
}

var failure = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)|^(panic: .*|fatal error: .*)`)

// firstFailure names the test that failed first, or why the whole program died.
func firstFailure(out []byte) string {
	if m := failure.FindSubmatch(out); m != nil {
		return string(m[1]) + string(m[2])
	}
	return "no test by name"
}
