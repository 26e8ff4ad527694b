//go:build (amd64 || arm64) && !race

package faults

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"ass/commands"
	"ass/e2e/trace"
)

var diskAll = flag.Bool("disk-all", false, "kill every command at every file call, and fail every call in every way")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"ass-traced": traced})
}

// workFactor is scrypt's for the passphrases that are set here, so that they take no time.
const workFactor = 4

// result is how a command ended.
type result struct {
	Exit           int
	Stdout, Stderr string
	killed         bool
}

// traced is the program under ptrace. It prints its result, because [trace.Files] wants its exit code.
func traced() {
	var out, errs strings.Builder
	trace.Me()
	code := commands.Program{Stdout: &out, Stderr: &errs, WorkFactor: workFactor}.Run(os.Args[1:])
	r := result{Exit: code, Stdout: out.String(), Stderr: errs.String()}
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		panic(err)
	}
}

// fault is what happens to a command.
type fault struct {
	at    int // the call, from 1; 0 for never
	how   string
	errno syscall.Errno

	named bool // the file system makes no file without a name
}

// The ways.
const (
	kill   = "kill"
	once   = "once"
	onward = "from then on"
	asMade = "though it was made"
)

func (f fault) String() string {
	text := fmt.Sprintf("killed at call %d", f.at)
	if f.how != kill {
		text = fmt.Sprintf("call %d fails, %s, with %q", f.at, f.how, f.errno.Error())
	}
	if f.named {
		text += ", without O_TMPFILE"
	}
	return text
}

// verdict decides about the n-th call. Locking needs no disk, so it does not fail.
func (f fault) verdict(n int, c trace.FileCall) trace.Verdict {
	hit := n == f.at || n > f.at && f.how == onward
	switch {
	case f.named && c.Name == "openat" && isFolder(c.Path):
		return trace.Verdict{Kill: n == f.at && f.how == kill, Errno: syscall.EOPNOTSUPP}
	case f.at == 0 || !hit:
		return trace.Verdict{}
	case f.how == kill:
		return trace.Verdict{Kill: true}
	case c.Name == "flock":
		return trace.Verdict{}
	}
	return trace.Verdict{Errno: f.errno, Made: f.how == asMade}
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// TestFaults kills each command at its file calls and makes them fail. By default, it draws some of the
// faults; with -disk-all, it takes all of them.
func TestFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	for _, s := range scenarios {
		t.Run(strings.ReplaceAll(s.name, " ", "_"), func(t *testing.T) {
			w := newHome(t, s)
			var kills, fails []fault
			for _, named := range []bool{false, true} {
				r, calls := w.follow(fault{named: named})
				if r.Exit != 0 {
					t.Fatalf("ass %q ended with %d: %s", s.args, r.Exit, r.Stderr)
				}
				w.end, w.usual = w.load(), r.Stderr
				w.check(fault{named: named}, r, calls)
				k, f := faultsOf(calls, named)
				kills, fails = append(kills, k...), append(fails, f...)
			}
			faults := slices.Concat(draw(kills, 1), draw(fails, 2))
			for _, f := range faults {
				r, calls := w.follow(f)
				w.check(f, r, calls)
			}
			t.Logf("%d of %d faults", len(faults), len(kills)+len(fails))
		})
	}
}

// draw returns n of some faults at random; all of them with -disk-all.
func draw(faults []fault, n int) []fault {
	if *diskAll {
		return faults
	}
	rand.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
	return faults[:min(n, len(faults))]
}

// faultsOf returns the faults of a command that makes these calls.
func faultsOf(calls []trace.FileCall, named bool) (kills, fails []fault) {
	for i, c := range calls {
		at := i + 1
		kills = append(kills, fault{at, kill, 0, named})
		if c.Name == "flock" {
			continue
		}
		for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC, syscall.EROFS} {
			fails = append(fails, fault{at, once, errno, named}, fault{at, onward, errno, named})
		}
		switch c.Name { // a network file system can do this to a name
		case "openat", "mkdirat", "link", "rename":
			fails = append(fails, fault{at, asMade, syscall.EIO, named})
		}
	}
	return kills, fails
}
