package leaks

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// within fails if fn hangs.
func within(t *testing.T, most time.Duration, fn func()) (took time.Duration) {
	t.Helper()
	start, done := time.Now(), make(chan struct{})
	go func() { defer close(done); fn() }()
	select {
	case <-done:
	case <-time.After(most):
		t.Fatalf("it takes longer than %v", most)
	}
	return time.Since(start)
}

// A tree may hold what keeps a reader waiting, leads it elsewhere, or has no end. Plain files are looked at, and
// nothing else.
func TestHostileTree(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	write(t, outside+"/leak", "hunter2-alpha")
	write(t, dir+"/real/leak", "hunter2-alpha")
	write(t, dir+"/name\n\x1b[31m\xff", "hunter2-alpha")
	write(t, dir+"/ hunter2-alpha\n", "hunter2-beta/+")
	write(t, dir+"/-rf", "hunter2-alpha")
	write(t, dir+"/closed/leak", "hunter2-alpha")
	write(t, dir+"/unreadable", "hunter2-alpha")
	for to, names := range map[string][]string{outside: {"link-to-folder"}, outside + "/leak": {"link-to-file"}, ".": {"real/loop"},
		"nowhere": {"dangling"}, "/dev/zero": {"endless"}, "real/leak": {"hunter2-alpha"}} {
		for _, name := range names {
			if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := syscall.Mkfifo(dir+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(socket)
	if err := unix.Bind(socket, &unix.SockaddrUnix{Name: dir + "/socket"}); err != nil {
		t.Fatal(err)
	}
	_ = unix.Mknod(dir+"/device", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))) // /dev/zero; for root alone
	deep := dir + "/deep"
	for range 300 {
		deep += "/d"
	}
	write(t, deep+"/leak", "hunter2-alpha")
	write(t, dir+"/z-hunter2-alpha", "hunter2-beta/+")
	for name, mode := range map[string]os.FileMode{"closed": 0, "unreadable": 0, "z-hunter2-alpha": 0} {
		if err := os.Chmod(dir+"/"+name, mode); err != nil {
			t.Fatal(err)
		}
	}
	defer os.Chmod(dir+"/closed", 0o700)

	s, lines := scan(t)
	within(t, 10*time.Second, func() { s.Files(Files, []Root{{Path: dir}}) })
	want := []string{" #A\n:0:0 A plain name", " #A\n:1:1 B plain", "-rf:1:1 A plain"}
	if os.Getuid() == 0 {
		want = append(want, "closed/leak:1:1 A plain")
	} else {
		want = append(want, "closed! permission denied")
	}
	want = append(want, strings.TrimPrefix(deep, dir+"/")+"/leak:1:1 A plain", "#A:0:0 A plain name",
		"name\n\x1b[31m\xff:1:1 A plain", "real/leak:1:1 A plain")
	if os.Getuid() == 0 {
		want = append(want, "unreadable:1:1 A plain", "z-#A:0:0 A plain name", "z-#A:1:1 B plain")
	} else {
		want = append(want, "unreadable! permission denied", "z-#A:0:0 A plain name", "z-#A! permission denied")
	}
	wantLines(t, "a hostile tree", *lines, want...)

	// What a person names is followed if it is a link, and nothing else than a file or folder is read.
	s, lines = scan(t)
	within(t, 10*time.Second, func() {
		s.Files(Files, []Root{{dir + "/link-to-folder", "link"}, {dir + "/link-to-file", "file"}, {dir + "/fifo", "fifo"},
			{dir + "/endless", "endless"}, {dir + "/socket", "socket"}})
	})
	wantLines(t, "named", *lines, "link/leak:1:1 A plain", "file:1:1 A plain", "fifo! it is no plain file and no folder",
		"endless! it is no plain file and no folder", "socket! no such device or address")
}

// What a folder has under a name may have become something else since it was listed. Then it is not opened, or not
// read.
func TestReplaced(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	write(t, outside+"/leak", "hunter2-alpha")
	write(t, dir+"/folder/x", "")
	write(t, dir+"/file", "")
	for to, name := range map[string]string{outside: "link-to-folder", outside + "/leak": "link-to-file"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(dir+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	open, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	for _, was := range []struct {
		name  string
		isDir bool
	}{{"link-to-folder", true}, {"link-to-folder", false}, {"link-to-file", false}, {"link-to-file", true}, {"fifo", false}, {"fifo", true},
		{"folder", false}, {"file", true}, {"gone", true}, {"gone", false}} {
		within(t, 10*time.Second, func() {
			f, _, err := walk{}.open(open, was.name, was.isDir)
			if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, errRootGone) {
				t.Errorf("%v opens as %v, %v", was, f, err)
			}
		})
	}
}

// Holes are skipped, so a file that says that it is huge costs what it holds.
func TestSparse(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(dir + "/sparse")
	if err != nil {
		t.Fatal(err)
	}
	const size = 10 << 30
	places := []int64{0, 4096 - 6, 5 << 30, size - 13}
	for _, at := range places {
		if _, err := f.WriteAt([]byte("hunter2-alpha"), at); err != nil {
			t.Skip(err)
		}
	}
	if data, err := f.Seek(1<<30, unix.SEEK_DATA); err != nil || data < 4<<30 {
		t.Skip("this file system keeps no holes")
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/empty", "")
	if err := os.Truncate(dir+"/empty", size); err != nil {
		t.Fatal(err)
	}
	s, lines := scan(t)
	took := within(t, 20*time.Second, func() { s.Files(Files, []Root{{Path: dir}}) })
	var want []string
	for _, at := range places {
		want = append(want, fmt.Sprintf("sparse:1:%d A plain", at+1))
	}
	wantLines(t, "a sparse file", *lines, want...)
	if took > 2*time.Second || s.Read.Load() > 1<<20 {
		t.Errorf("it takes %v, and reads %d bytes", took, s.Read.Load())
	}
}

// A scan ends, and is no worse than the files are, whatever happens to them meanwhile.
func TestChangingTree(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	write(t, outside+"/leak", "hunter2-beta/+")
	for i := range 50 {
		write(t, fmt.Sprintf("%s/%02d/stays", dir, i), "hunter2-alpha")
		write(t, fmt.Sprintf("%s/%02d/swapped/leak", dir, i), "nothing")
	}
	write(t, dir+"/grows", "")
	write(t, dir+"/shrinks", strings.Repeat("x", 4<<20))
	stop := make(chan struct{})
	var changing sync.WaitGroup
	change := func(fn func(round int) error) {
		changing.Go(func() {
			for round := 0; ; round++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := fn(round); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, os.ErrExist) {
					t.Error(err)
					return
				}
				runtime.Gosched()
			}
		})
	}
	grows, err := os.OpenFile(dir+"/grows", os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer grows.Close()
	more := []byte(strings.Repeat("y", 1<<10))
	change(func(round int) error {
		if round > 50_000 { // the disk is not ours alone
			return nil
		}
		_, err := grows.Write(more)
		return err
	})
	change(func(round int) error { return os.Truncate(dir+"/shrinks", int64(round%5)<<20) })
	change(func(round int) error {
		at := fmt.Sprintf("%s/%02d/swapped", dir, round%50)
		if err := os.Rename(at, at+".away"); err != nil {
			return err
		}
		var err error
		switch round % 3 {
		case 0:
			err = os.Symlink(outside, at)
		case 1:
			err = syscall.Mkfifo(at, 0o600)
		default:
			err = os.Symlink(outside+"/leak", at)
		}
		runtime.Gosched()
		return errors.Join(err, os.Remove(at), os.Rename(at+".away", at))
	})
	for range 20 {
		s, lines := scan(t)
		within(t, 30*time.Second, func() { s.Files(Files, []Root{{Path: dir}}) })
		stays := 0
		for _, line := range *lines {
			switch {
			case strings.HasSuffix(line, "/stays:1:1 A plain"):
				stays++
			default:
				t.Errorf("%s", line)
			}
		}
		if stays != 50 {
			t.Errorf("%d of 50 files were looked at", stays)
		}
	}
	close(stop)
	changing.Wait()
}
