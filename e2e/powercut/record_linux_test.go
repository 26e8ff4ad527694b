//go:build (amd64 || arm64) && !race

package powercut

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"ass/e2e/trace"
)

// recorder follows a program, thread by thread, and keeps the model's tree as the program sees it.
type recorder struct {
	record
	root  string
	files map[int]*open // by descriptor
	upto  map[int]int   // by thread: the number of operations when it entered its call
	said  bool
}

// open is an open file. Descriptors share it after a dup.
type open struct {
	node    *node // nil if it is not below the root
	at      int64
	appends bool
}

// follow runs a program to its end and records what it does below root. It returns the exit code.
// It fails if the program makes a call that may change files and is not modelled, and if what the
// program left is not what the model says.
func follow(cmd *exec.Cmd, root string) (r *record, exit int, err error) {
	top, err := load(root, "")
	if err != nil {
		return nil, 0, err
	}
	rec := &recorder{record: record{top: top}, root: root, files: map[int]*open{}, upto: map[int]int{}}
	exit, err = trace.Calls(cmd, rec.entered, func(c trace.Call) error {
		if err := rec.left(c); err != nil {
			return fmt.Errorf("after %d operations, system call %d: %w", len(rec.ops), c.Number, err)
		}
		return nil
	})
	if err != nil {
		return nil, exit, err
	}
	is, err := load(root, "")
	if err == nil {
		err = is.before().differs(top.seen())
	}
	if err != nil {
		return nil, exit, fmt.Errorf("what the program left is not what was recorded: %w", err)
	}
	rec.split()
	return &rec.record, exit, nil
}

func (r *recorder) entered(c trace.Call) error {
	r.upto[c.TID] = len(r.ops)
	switch number, args := modern(c); {
	case number == unix.SYS_CLOSE: // as soon as it is made, another thread can get the descriptor
		delete(r.files, int(int32(args[0])))
	case number == unix.SYS_WRITE && args[0] == 1 && args[2] > 0 && !r.said:
		r.said = true
		r.ops = append(r.ops, op{kind: saying, what: "write to stdout"})
	}
	return nil
}

// left handles a call that was made. Operations by two threads at once have no order in the program
// either, unless one is a sync, which covers what was done before it began.
func (r *recorder) left(c trace.Call) error {
	if c.Result < 0 {
		return nil // it changed nothing
	}
	number, args := modern(c)
	fd := int(int32(args[0]))
	f := r.files[fd]
	ours := f != nil && f.node != nil
	switch number {
	case unix.SYS_OPENAT:
		return r.open(c, args)
	case unix.SYS_CLOSE: // see entered
	case unix.SYS_DUP, unix.SYS_DUP3:
		r.dup(f, int(c.Result))
	case unix.SYS_FCNTL:
		if args[1] == unix.F_DUPFD || args[1] == unix.F_DUPFD_CLOEXEC {
			r.dup(f, int(c.Result))
		}
		if args[1] == unix.F_SETFL && ours {
			f.appends = args[2]&unix.O_APPEND != 0
		}
	case unix.SYS_READ, unix.SYS_READV:
		if ours {
			f.at += c.Result
		}
	case unix.SYS_LSEEK:
		if ours {
			f.at = c.Result
		}
	case unix.SYS_WRITE, unix.SYS_PWRITE64, unix.SYS_WRITEV, unix.SYS_PWRITEV:
		if !ours || c.Result == 0 {
			return nil
		}
		data, err := written(c, number, args)
		if err != nil {
			return err
		}
		at := int64(args[3])
		if number == unix.SYS_WRITE || number == unix.SYS_WRITEV {
			if f.appends {
				f.at = int64(len(f.node.data))
			}
			at = f.at
			f.at += c.Result
		}
		r.write(f.node, at, data)
	case unix.SYS_FTRUNCATE:
		if ours {
			r.resize(f.node, int64(args[1]))
		}
	case unix.SYS_FALLOCATE:
		switch end := int64(args[2] + args[3]); {
		case !ours:
		case args[1] == unix.FALLOC_FL_KEEP_SIZE:
		case args[1] != 0:
			return errors.New("this mode of fallocate is not modelled")
		case end > int64(len(f.node.data)):
			r.resize(f.node, end)
		}
	case unix.SYS_FSYNC, unix.SYS_FDATASYNC:
		if ours {
			k, name := syncing, "fsync "
			if number == unix.SYS_FDATASYNC {
				k, name = datasync, "fdatasync "
			}
			r.ops = append(r.ops, op{kind: k, what: name + f.node.path, node: f.node, upto: r.upto[c.TID]})
		}
	case unix.SYS_MKDIRAT:
		return r.made(c, args[0], args[1], "mkdir ")
	case unix.SYS_UNLINKAT:
		return r.unlink(c, args)
	case unix.SYS_RENAMEAT:
		return r.rename(c, args, 0)
	case unix.SYS_RENAMEAT2:
		return r.rename(c, args, args[4])
	case unix.SYS_LINKAT:
		return r.link(c, args)
	case unix.SYS_SYMLINKAT:
		return r.made(c, args[1], args[2], "symlink ")
	case unix.SYS_FCHMOD:
		if ours {
			r.chmod(f.node, uint32(args[1]))
		}
	case unix.SYS_FCHMODAT:
		at, err := r.at(c, args[0], args[1])
		if err == nil && at.node != nil {
			r.chmod(at.node, uint32(args[2]))
		}
		return err
	case unix.SYS_MMAP:
		if f := r.files[int(int32(args[4]))]; args[3]&unix.MAP_SHARED != 0 && args[2]&unix.PROT_WRITE != 0 &&
			f != nil && f.node != nil {
			return errors.New("writing by way of mmap is not modelled")
		}
	case unix.SYS_CLONE, unix.SYS_CLONE3:
		return onlyThreads(c, number, args)
	default:
		if !slices.Contains(harmless, number) && !slices.Contains(archHarmless, number) {
			return errors.New("this call is not modelled")
		}
	}
	return nil
}

func (r *recorder) dup(f *open, to int) {
	delete(r.files, to)
	if f != nil {
		r.files[to] = f
	}
}

// place is what a path of the program leads to.
type place struct {
	inside bool // below the root
	dir    *node
	name   string
	node   *node // nil for nothing
	real   string
}

// at finds a path below the folder of a descriptor.
func (r *recorder) at(c trace.Call, dirfd, path uint64) (p place, err error) {
	if p.real, err = c.String(path); err != nil {
		return p, err
	}
	if !filepath.IsAbs(p.real) {
		base := ""
		switch f := r.files[int(int32(dirfd))]; {
		case int32(dirfd) == unix.AT_FDCWD:
			base = filepath.Join(r.root, project) // the program may not leave it: chdir is not modelled
		case f != nil && f.node != nil:
			base = filepath.Join(r.root, f.node.path)
		default:
			return p, nil // a folder elsewhere
		}
		p.real = filepath.Join(base, p.real)
	}
	p.real = filepath.Clean(p.real)
	rel, err := filepath.Rel(r.root, p.real)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return p, nil
	}
	p.inside = true
	p.dir, p.name, p.node, err = r.top.find(rel)
	return p, err
}

func (r *recorder) open(c trace.Call, args [6]uint64) error {
	fd, flags := int(c.Result), int(args[2])
	p, err := r.at(c, args[0], args[1])
	if err != nil {
		return err
	}
	f := &open{appends: flags&unix.O_APPEND != 0}
	r.files[fd] = f
	switch {
	case !p.inside:
		return nil
	case flags&unix.O_TMPFILE == unix.O_TMPFILE:
		f.node = &node{path: "a file without a name", mode: 0o600}
		if info, err := os.Stat(fmt.Sprintf("/proc/%d/fd/%d", c.TID, fd)); err == nil {
			f.node.mode = info.Mode()
		}
		f.node.oldMode = f.node.mode
		return nil
	case p.node != nil && p.node.mode&os.ModeSymlink != 0:
		return fmt.Errorf("open %s: following a symbolic link is not modelled", p.real)
	case p.node != nil:
		f.node = p.node
		if flags&unix.O_TRUNC != 0 && len(p.node.data) > 0 {
			r.resize(p.node, 0)
		}
		return nil
	case flags&unix.O_CREAT == 0:
		return fmt.Errorf("open %s: %w", p.real, errNotThere)
	}
	f.node, err = r.make(p, "create ")
	return err
}

// make makes a file or a folder, which by now is there.
func (r *recorder) make(p place, what string) (*node, error) {
	info, err := os.Lstat(p.real)
	if err != nil {
		return nil, err
	}
	n := &node{mode: info.Mode(), oldMode: info.Mode()}
	switch {
	case n.folder():
		n.names = map[string]*node{}
	case n.mode&os.ModeSymlink != 0: // what it leads to comes with its name
		target, err := os.Readlink(p.real)
		if err != nil {
			return nil, err
		}
		n.data, n.oldData = []byte(target), []byte(target)
	case !n.mode.IsRegular():
		return nil, fmt.Errorf("%s is neither a file nor a folder", p.real)
	}
	e := entry{p.dir, p.name, n}
	r.name(op{what: what + e.path(), node: n}, e)
	return n, nil
}

func (r *recorder) made(c trace.Call, dirfd, path uint64, what string) error {
	p, err := r.at(c, dirfd, path)
	if err == nil && p.inside {
		_, err = r.make(p, what)
	}
	return err
}

func (r *recorder) unlink(c trace.Call, args [6]uint64) error {
	p, err := r.at(c, args[0], args[1])
	if err != nil || !p.inside {
		return err
	}
	if p.node == nil {
		return fmt.Errorf("remove %s: %w", p.real, errNotThere)
	}
	e := entry{p.dir, p.name, nil}
	r.name(op{what: "remove " + e.path(), node: p.node}, e)
	return nil
}

func (r *recorder) rename(c trace.Call, args [6]uint64, flags uint64) error {
	from, err := r.at(c, args[0], args[1])
	if err != nil {
		return err
	}
	to, err := r.at(c, args[2], args[3])
	switch {
	case err != nil || !from.inside && !to.inside:
		return err
	case from.inside != to.inside || from.node == nil || from.node.folder() || flags&^unix.RENAME_NOREPLACE != 0:
		return fmt.Errorf("rename %s to %s: this is not modelled", from.real, to.real)
	case from.node == to.node:
		return nil // two names of one file: rename does nothing
	}
	gone, e := entry{from.dir, from.name, nil}, entry{to.dir, to.name, from.node}
	r.name(op{what: "rename " + gone.path() + " to " + e.path(), node: from.node}, gone, e)
	return nil
}

func (r *recorder) link(c trace.Call, args [6]uint64) error {
	to, err := r.at(c, args[2], args[3])
	if err != nil || !to.inside {
		return err
	}
	path, err := c.String(args[1])
	if err != nil {
		return err
	}
	var n *node
	fd, by := strings.CutPrefix(path, "/proc/self/fd/")
	switch number, err := strconv.Atoi(fd); {
	case by && err == nil:
		if f := r.files[number]; f != nil {
			n = f.node
		}
	case path == "" && args[4]&unix.AT_EMPTY_PATH != 0:
		if f := r.files[int(int32(args[0]))]; f != nil {
			n = f.node
		}
	default:
		from, err := r.at(c, args[0], args[1])
		if err != nil {
			return err
		}
		n = from.node
	}
	if n == nil {
		return fmt.Errorf("link %s to %s: %w", path, to.real, errNotThere)
	}
	e := entry{to.dir, to.name, n}
	r.name(op{what: "link " + n.path + " as " + e.path(), node: n}, e)
	return nil
}

// name changes names.
func (r *recorder) name(o op, names ...entry) {
	o.kind, o.names = naming, names
	if !o.node.folder() && !strings.HasPrefix(o.what, "create ") {
		o.whole = slices.Clone(o.node.data)
		if o.whole == nil {
			o.whole = []byte{}
		}
	}
	for _, e := range names {
		if e.to == nil {
			delete(e.dir.names, e.name)
		} else {
			e.dir.names[e.name] = e.to
			e.to.path = e.path()
		}
	}
	r.ops = append(r.ops, o)
}

func (r *recorder) write(n *node, at int64, data []byte) {
	was := int64(len(n.data))
	r.ops = append(r.ops, op{kind: writing, node: n, off: at, data: data, was: was,
		what: fmt.Sprintf("write %d bytes at %d of %s", len(data), at, n.path)})
	b := slices.Clone(n.data)
	if more := at + int64(len(data)) - was; more > 0 {
		b = append(b, make([]byte, more)...)
	}
	copy(b[at:], data)
	n.data = b
}

func (r *recorder) resize(n *node, size int64) {
	was := int64(len(n.data))
	r.ops = append(r.ops, op{kind: resizing, node: n, size: size, was: was,
		what: fmt.Sprintf("truncate %s from %d to %d", n.path, was, size)})
	n.data = append(slices.Clone(n.data[:min(was, size)]), make([]byte, max(0, size-was))...)
}

func (r *recorder) chmod(n *node, mode uint32) {
	to := n.mode&^os.ModePerm | os.FileMode(mode)&os.ModePerm
	if to == n.mode {
		return
	}
	n.mode = to
	r.ops = append(r.ops, op{kind: moding, node: n, mode: to, what: fmt.Sprintf("chmod %v %s", to, n.path)})
}

// written reads what a call has written.
func written(c trace.Call, number uint64, args [6]uint64) (data []byte, err error) {
	left := int(c.Result)
	if number == unix.SYS_WRITE || number == unix.SYS_PWRITE64 {
		return c.Bytes(args[1], left)
	}
	parts, err := c.Bytes(args[1], int(args[2])*16)
	for i := 0; err == nil && left > 0; i += 16 {
		var b []byte
		n := min(left, int(binary.NativeEndian.Uint64(parts[i+8:])))
		b, err = c.Bytes(binary.NativeEndian.Uint64(parts[i:]), n)
		data = append(data, b...)
		left -= n
	}
	return data, err
}

// onlyThreads refuses another process: the files that it opens would not be followed.
func onlyThreads(c trace.Call, number uint64, args [6]uint64) error {
	flags := args[0]
	if number == unix.SYS_CLONE3 {
		b, err := c.Bytes(args[0], 8)
		if err != nil {
			return err
		}
		flags = binary.NativeEndian.Uint64(b)
	}
	if flags&unix.CLONE_THREAD == 0 {
		return errors.New("it started another process, which is not modelled")
	}
	return nil
}

// harmless are the calls that change no name, no content and no mode of a file.
var harmless = []uint64{
	unix.SYS_PREAD64, unix.SYS_PREADV, unix.SYS_FSTAT, unix.SYS_STATX, unix.SYS_STATFS, unix.SYS_FSTATFS,
	unix.SYS_FACCESSAT, unix.SYS_FACCESSAT2, unix.SYS_READLINKAT, unix.SYS_GETDENTS64, unix.SYS_GETCWD, unix.SYS_FLOCK,
	unix.SYS_IOCTL, unix.SYS_FADVISE64, unix.SYS_FCHOWN, unix.SYS_FCHOWNAT, unix.SYS_UTIMENSAT,
	syscall.SYS_MUNMAP, unix.SYS_MPROTECT, unix.SYS_MADVISE, unix.SYS_MINCORE, unix.SYS_MREMAP, unix.SYS_BRK,
	unix.SYS_MLOCK, unix.SYS_MUNLOCK,
	unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK, unix.SYS_TGKILL,
	unix.SYS_KILL, unix.SYS_FUTEX, unix.SYS_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_NANOSLEEP,
	unix.SYS_TIMER_CREATE, unix.SYS_TIMER_SETTIME, unix.SYS_TIMER_DELETE, unix.SYS_SETITIMER,
	unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EVENTFD2, unix.SYS_PIPE2, unix.SYS_PPOLL,
	unix.SYS_EXECVE, unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_SET_TID_ADDRESS,
	unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ, unix.SYS_SCHED_GETAFFINITY, unix.SYS_SCHED_YIELD, unix.SYS_PRCTL,
	unix.SYS_PRLIMIT64, unix.SYS_GETRLIMIT, unix.SYS_SETRLIMIT, unix.SYS_GETRANDOM, unix.SYS_UNAME, unix.SYS_SYSINFO,
	unix.SYS_UMASK, unix.SYS_GETPID, unix.SYS_GETPPID, unix.SYS_GETTID, unix.SYS_GETUID, unix.SYS_GETEUID,
	unix.SYS_GETGID, unix.SYS_GETEGID, unix.SYS_GETRUSAGE, unix.SYS_RESTART_SYSCALL, unix.SYS_SOCKET,
}
