//go:build (amd64 || arm64) && !race

package powercut

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"ass/e2e/trace"
)

// operations is a program that changes files in every way that is modelled, or, if an argument says
// so, in one that is not.
func operations() {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	open := func(name string, flag int) *os.File {
		f, err := os.OpenFile(name, flag, 0o600)
		must(err)
		return f
	}
	write := func(f *os.File, text string) {
		_, err := f.WriteString(text)
		must(err)
	}
	syncDir := func(name string) {
		d := open(name, os.O_RDONLY)
		must(d.Sync())
		must(d.Close())
	}
	old := open("old", os.O_RDWR)
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "mmap":
			_, err := unix.Mmap(int(old.Fd()), 0, 3, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			must(err)
		case "truncate by name":
			must(os.Truncate("old", 1))
		case "process":
			_, err := syscall.ForkExec("/proc/self/exe", []string{"no test", "-test.run=^$"}, nil)
			must(err)
		case "chdir":
			must(os.Chdir("/"))
		case "sync":
			unix.Sync()
		}
		return
	}

	synced := open("synced", os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	write(synced, "synced")
	must(synced.Sync())
	renamed := open("renamed.tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	write(renamed, strings.Repeat("r", 2*pageSize))
	must(os.Rename("renamed.tmp", "renamed.half"))
	must(os.Rename("renamed.half", "renamed"))

	must(os.Mkdir("sub", 0o700))
	nameless := open("sub", os.O_RDWR|unix.O_TMPFILE)
	write(nameless, "linked")
	must(nameless.Sync())
	must(unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", nameless.Fd()), unix.AT_FDCWD, "sub/linked",
		unix.AT_SYMLINK_FOLLOW))
	syncDir("sub")

	more := open("old", os.O_WRONLY|os.O_APPEND)
	write(more, "+")
	_, err := unix.Writev(int(more.Fd()), [][]byte{[]byte("ab"), []byte("cd")})
	must(err)
	_, err = old.Seek(1, 0)
	must(err)
	write(old, "X")
	_, err = old.ReadAt(make([]byte, 2), 0)
	must(err)
	_, err = unix.Pwritev(int(old.Fd()), [][]byte{[]byte("p"), []byte("q")}, 100)
	must(err)
	must(old.Truncate(50))
	must(unix.Fallocate(int(old.Fd()), 0, 0, 60))
	must(old.Chmod(0o640))
	must(unix.Fdatasync(int(old.Fd())))
	copied, err := unix.Dup(int(old.Fd()))
	must(err)
	_, err = unix.Write(copied, []byte("Y")) // after the X: descriptors share the place
	must(err)
	write(old, "Z")

	must(os.Link("old", "again"))
	must(os.Symlink("old", "symlink"))
	must(os.Mkdir("gone", 0o700))
	write(open("gone/file", os.O_WRONLY|os.O_CREATE), "gone")
	must(os.RemoveAll("gone"))
	must(os.Remove("again"))

	done := make(chan bool)
	go func() {
		runtime.LockOSThread() // and ends the thread
		write(open("thread", os.O_WRONLY|os.O_CREATE), "thread")
		close(done)
	}()
	<-done
	fmt.Println("done")
}

func followOperations(t *testing.T, arg ...string) (*record, error) {
	w := newHome(t, false)
	w.write(project+"/old", "old")
	cmd := exec.Command("operations", arg...)
	cmd.Dir, cmd.Env = w.in(project), w.env()
	r, code, err := follow(cmd, w.root)
	trace.SkipUntraceable(t, err)
	if err == nil && code != 0 {
		err = fmt.Errorf("it ended with %d", code)
	}
	return r, err
}

// TestRefuses has the recorder follow what is not modelled. It must not pass over it.
func TestRefuses(t *testing.T) {
	for arg, want := range map[string]string{"mmap": "mmap", "truncate by name": "not modelled", "process": "process",
		"chdir": "not modelled", "sync": "not modelled"} {
		if _, err := followOperations(t, arg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", arg, err)
		}
	}
}

// TestDiskModel compares the disks of a program with what its syncs promise.
func TestDiskModel(t *testing.T) {
	r, err := followOperations(t) // which compares the recorded tree with the real one
	if err != nil {
		t.Fatal(err)
	}
	const (
		synced  = project + "/synced"
		renamed = project + "/renamed"
		linked  = project + "/sub/linked"
		old     = project + "/old"
	)
	end := r.top.seen()
	for _, m := range models {
		seen := map[string]int{}
		try := func(c choice) {
			kept, _ := r.kept(len(r.ops), m, c)
			d := r.disk(kept)
			if f, there := d[synced]; !there {
				seen["without synced"]++
			} else if string(f.data) != "synced" {
				t.Errorf("%v, %v: synced is %q", m, c, f.data)
			}
			if f, there := d[linked]; there && string(f.data) != "linked" {
				t.Errorf("%v, %v: linked is %q", m, c, f.data)
			} else if _, sub := d[project+"/sub/"]; sub && !there {
				t.Errorf("%v, %v: linked is lost, but not its folder", m, c)
			} else if !there {
				seen["without linked"]++
			}
			switch f, there := d[renamed]; {
			case !there:
				seen["without renamed"]++
			case len(f.data) == 0:
				seen["renamed, empty"]++
			case len(f.data) == 2*pageSize && bytes.HasPrefix(f.data, make([]byte, pageSize)) && f.data[pageSize] == 'r':
				seen["renamed, its second page alone"]++
			case len(f.data) == pageSize:
				seen["renamed, its first page alone"]++
			case len(f.data) == 2*pageSize && f.data[sectorSize-1] == 'r' && f.data[pageSize-1] == 0:
				seen["renamed, torn in a page"]++
			}
			names := 0
			for _, name := range []string{renamed, renamed + ".tmp", renamed + ".half"} {
				if _, there := d[name]; there {
					names++
				}
			}
			if names > 1 {
				t.Errorf("%v, %v: a rename was done by half", m, c)
			}
			switch f := d[old]; {
			case len(f.data) != 60:
				t.Errorf("%v, %v: old is %q", m, c, f.data)
			case string(f.data[:9]) == "oXd+abcd\x00":
				seen["old as synced"]++
			case string(f.data[:9]) == "oXYZabcd\x00":
				seen["old as written"]++
			case string(f.data[:9]) == "oXdZabcd\x00":
				seen["old without the last write but one"]++
			case string(f.data[:9]) != "oXY+abcd\x00":
				t.Errorf("%v, %v: old is %q", m, c, f.data)
			}
			if d[old].mode.Perm() == 0o600 {
				seen["old with the old mode"]++ // fdatasync need not write it
			}
			_, thread := d[project+"/thread"]
			_, link := d[project+"/symlink"]
			if thread && !link {
				seen["a later name without an earlier one"]++
			}
			if c.how == "all" {
				if err := d.differs(end); err != nil {
					t.Errorf("%v: with everything, %v", m, err)
				}
			}
		}
		_, pending := r.kept(len(r.ops), m, choice{how: "all"})
		try(choice{how: "none"})
		try(choice{how: "all"})
		for n, i := range pending {
			try(choice{how: "without", atom: i})
			try(choice{how: "alone", atom: i})
			try(choice{how: "names", atom: n, data: n%2 == 0})
		}
		for seed := range uint64(2000) {
			try(choice{how: "random", seed: seed})
		}
		want := map[string]bool{
			"without synced": m == model{}, "without linked": m == model{}, "without renamed": !m.ordered,
			"renamed, empty": true, "renamed, its first page alone": true, "renamed, its second page alone": true,
			"renamed, torn in a page": true,
			"old as synced":           true, "old as written": true, "old without the last write but one": true,
			"old with the old mode": true, "a later name without an earlier one": !m.ordered,
		}
		for what, can := range want {
			if can != (seen[what] > 0) {
				t.Errorf("%v: %s: %d times", m, what, seen[what])
			}
		}
	}
}

// TestDiskIsWritten writes a tree and reads it back.
func TestDiskIsWritten(t *testing.T) {
	r, err := followOperations(t)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Umask(syscall.Umask(0o077))
	dir := t.TempDir()
	if err := r.top.seen().write(dir); err != nil {
		t.Fatal(err)
	}
	is, err := load(dir, "")
	if err == nil {
		err = is.before().differs(r.top.seen())
	}
	if err != nil {
		t.Error(err)
	}
}
