//go:build (amd64 || arm64) && !race

package disk_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"ass/e2e/trace"
	"ass/vault/disk"
	"ass/vault/internal/fault"
)

// acts put "new" in the place of the file f, or remove it. Beside it, there is a file with "new".
var acts = map[string]struct {
	before, after string // the content of f; "" if it is not there
	do            func(f, beside string) error
	syncs         string // what it syncs, in turn: its file, and the folder
}{
	"WriteNew": {"", "new", func(f, _ string) error {
		return disk.Register{}.WriteNew(f, []byte("new"), 0o600)
	}, "file folder"},
	"Replace": {"old", "new", func(f, _ string) error {
		return disk.Register{}.Replace(f, []byte("new"))
	}, "file folder"},
	"Write": {"", "new", func(f, _ string) error {
		return disk.Write(f, func(w io.Writer) error { _, err := w.Write([]byte("new")); return err })
	}, "file"},
	"CopyFile": {"", "new", func(f, beside string) error { return disk.CopyFile(beside, f, f) }, "file"},
	"Move":     {"", "new", func(f, beside string) error { return disk.Move(beside, f) }, "folder"},
	"Publish": {"old", "new", func(f, beside string) error {
		published, err := disk.Publish(beside, f)
		if published != (err == nil || errors.Is(err, fault.ErrMaybeDone)) {
			return fmt.Errorf("it says that it was published: %v, and %w", published, err)
		}
		return err
	}, "folder"},
	"Remove": {"old", "", func(f, _ string) error { return disk.Remove(f) }, "folder"},
}

// Each act syncs what it must. If one of its calls fails, it has been done, or not, or may be
// undone by a power cut, as its error says.
func TestFaults(t *testing.T) {
	if child := os.Getenv("ASS_TEST_FAULTS"); child != "" {
		act, dir, _ := strings.Cut(child, " ")
		trace.Me()
		switch err := acts[act].do(filepath.Join(dir, "f"), filepath.Join(dir, "beside")); {
		case err == nil:
			fmt.Print("done")
		case errors.Is(err, fault.ErrMaybeDone):
			fmt.Print("may be undone")
		default:
			fmt.Print("failed")
		}
		os.Exit(0)
	}
	for name, act := range acts {
		dir := t.TempDir()
		f := filepath.Join(dir, "f")
		run := func(decide func(n int, call trace.FileCall) trace.Verdict) (outcome string, calls []trace.FileCall) {
			for path, content := range map[string]string{f: act.before, filepath.Join(dir, "beside"): "new"} {
				if err := os.RemoveAll(path); err != nil {
					t.Fatal(err)
				}
				if content != "" {
					if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			cmd := exec.Command(os.Args[0], "-test.run=^TestFaults$")
			cmd.Env = append(os.Environ(), "ASS_TEST_FAULTS="+name+" "+dir)
			outcome, _, err := trace.Files(cmd, dir, func(call trace.FileCall) trace.Verdict {
				calls = append(calls, call)
				return decide(len(calls), call)
			})
			trace.SkipUntraceable(t, err)
			if err != nil {
				t.Fatal(err)
			}
			return outcome, calls
		}
		outcome, calls := run(func(int, trace.FileCall) trace.Verdict { return trace.Verdict{} })
		var synced []string
		for _, call := range calls {
			switch {
			case call.Syncs() && call.Path == dir:
				synced = append(synced, "folder")
			case call.Syncs():
				synced = append(synced, "file")
			}
		}
		if got := strings.Join(slices.Compact(synced), " "); outcome != "done" || got != act.syncs {
			t.Errorf("%s: %s, and synced %q, not %q", name, outcome, got, act.syncs)
		}
		for fails, call := range calls {
			names := call.Name == "rename" || call.Name == "link" || call.Name == "unlinkat"
			for _, made := range []bool{false, true} {
				if testing.Short() && !call.Syncs() && !names {
					continue
				}
				// A network file system can do what it says to have failed. Replace and Remove believe it.
				if made && (!names || name == "Replace" || name == "Remove") {
					continue
				}
				var at trace.FileCall
				outcome, _ := run(func(n int, call trace.FileCall) trace.Verdict {
					if n != fails+1 {
						return trace.Verdict{}
					}
					at = call
					return trace.Verdict{Errno: syscall.EIO, Made: made}
				})
				want := act.after
				if outcome == "failed" {
					want = act.before
				}
				now, err := os.ReadFile(f)
				if string(now) != want || err != nil && want != "" {
					t.Errorf("%s, %s fails, made %v: %s, and the file has %q", name, at, made, outcome, now)
				}
				wants := "failed"
				if at.Path == dir || made {
					wants = "may be undone"
				}
				if (at.Syncs() || made && at.Name == "rename") && outcome != wants {
					t.Errorf("%s, %s fails: %s", name, at, outcome)
				}
			}
		}
	}
}

// A new folder is synced into the one above it: what is synced inside is lost with it.
func TestMakeFolderSyncs(t *testing.T) {
	if dir := os.Getenv("ASS_TEST_FOLDER"); dir != "" {
		trace.Me()
		if err := disk.MakeFolder(filepath.Join(dir, "a", "b")); err != nil {
			t.Fatal(err)
		}
		os.Exit(0)
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestMakeFolderSyncs$")
	cmd.Env = append(os.Environ(), "ASS_TEST_FOLDER="+dir)
	var synced []string
	_, _, err := trace.Files(cmd, dir, func(call trace.FileCall) trace.Verdict {
		if call.Syncs() {
			synced = append(synced, call.Path)
		}
		return trace.Verdict{}
	})
	trace.SkipUntraceable(t, err)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{dir, filepath.Join(dir, "a")}; !slices.Equal(synced, want) {
		t.Errorf("synced %q, not %q", synced, want)
	}
}

// A name that is taken is told as such where nothing can be written, too.
func TestWriteNewWhereNothingCanBeWritten(t *testing.T) {
	if err := (disk.Register{}).WriteNew("/proc/version", []byte("x"), 0o600); !errors.Is(err, os.ErrExist) {
		t.Error(err)
	}
}
