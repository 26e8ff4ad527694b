//go:build amd64 || arm64

package vault

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"ass/tokens"
)

// TestCrashInRewrite kills a process at every system call of a rewrite that
// touches a file, and looks at what is left: the old vault or the new one, both
// whole, and no third file after the next command.
func TestCrashInRewrite(t *testing.T) {
	if child := os.Getenv("ASS_TEST_CRASH"); child != "" {
		crashChild(child)
		return
	}
	v := newVictim(t)
	raw, err := os.ReadFile(v.path)
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(v.owner.text), 0o600); err != nil {
		t.Fatal(err)
	}
	outcomes := map[string]int{}
	for kill := 1; ; kill++ {
		dir := t.TempDir()
		v.path, v.opts.MemoryDir = filepath.Join(dir, "vault.db"), filepath.Join(dir, "seen")
		if err := os.WriteFile(v.path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		killed, err := killAtFileCall(kill, v.path, key)
		if err != nil {
			if kill == 1 {
				t.Skipf("no process can be traced here: %v", err)
			}
			t.Fatal(err)
		}
		outcome := "old"
		v.do(func(s *Session) {
			_, value, err := s.Get(v.p("a/L"), 0)
			if err != nil && !errors.Is(err, ErrNotFound) || err == nil && string(value) != "other" {
				t.Fatalf("killed at call %d: %q, %v", kill, value, err)
			}
			if errors.Is(err, ErrNotFound) {
				outcome = "new"
			}
			if _, value, err := s.Get(v.p("a/K"), 0); err != nil || string(value) != "three" {
				t.Fatalf("killed at call %d: %q, %v", kill, value, err)
			}
		})
		if found := v.problems(); found != "" {
			t.Fatalf("killed at call %d, the %s vault:\n%s", kill, outcome, found)
		}
		files, _ := filepath.Glob(filepath.Join(dir, "vault.db*"))
		if got := fmt.Sprint(len(files)); got != "3" { // and the lock and its gate
			t.Fatalf("killed at call %d: %s files: %s", kill, got, files)
		}
		outcomes[outcome]++
		if !killed {
			break // it ended before
		}
	}
	calls, err := fileCalls(v.path, key, "")
	if err != nil {
		t.Fatal(err)
	}
	if n := calls[syscall.SYS_FDATASYNC]; n < 2 { // its first pages when bbolt makes it, then all of it
		t.Error("the new file was not synced")
	}
	if n := calls[syscall.SYS_FSYNC]; n < 1 {
		t.Error("the folder was not synced after the rename")
	}
	if calls, err = fileCalls(v.path, key, "get"); err != nil {
		t.Fatal(err)
	}
	if n := calls[syscall.SYS_FDATASYNC]; n < 2 { // bbolt's data, then its meta page
		t.Errorf("a read of a value synced %d times", n)
	}
	if outcomes["old"] < 10 || outcomes["new"] < 2 {
		t.Errorf("the kills left the old vault %d times and the new one %d times: were the right calls hit?", outcomes["old"], outcomes["new"])
	}
	t.Logf("old %d times, new %d times", outcomes["old"], outcomes["new"])
}

// crashChild does a rewrite.
func crashChild(arg string) {
	path, keyFile, _ := strings.Cut(arg, "\x1f")
	text, err := os.ReadFile(keyFile)
	if err != nil {
		panic(err)
	}
	owner, err := ParseIdentity(string(text))
	if err != nil {
		panic(err)
	}
	v, err := Open(path, Options{MemoryDir: filepath.Join(filepath.Dir(path), "seen")})
	if err != nil {
		panic(err)
	}
	s, err := v.Owner(owner)
	if err != nil {
		panic(err)
	}
	p, _ := tokens.ParsePath("a/L")
	if os.Getenv("ASS_TEST_ACT") == "get" {
		p, _ = tokens.ParsePath("a/K")
		_, _, err = s.Get(p, 0)
	} else if _, err = s.Purge(p); errors.Is(err, ErrNotFound) { // purged before: rewrite all the same
		err = s.rewrite(&rewritePlan{then: func(*Session, *tx) error { return nil }})
	}
	if err != nil {
		panic(err)
	}
}

// killAtFileCall runs the child under ptrace and kills it when it enters its
// n-th call that touches a file. It reports false if the child ended before.
func killAtFileCall(n int, path, keyFile string) (killed bool, err error) {
	killed, _, err = trace(n, path, keyFile, "")
	return killed, err
}

// fileCalls counts the calls of a child that is left to end.
func fileCalls(path, keyFile, act string) (map[uint64]int, error) {
	_, calls, err := trace(0, path, keyFile, act)
	return calls, err
}

func trace(n int, path, keyFile, act string) (killed bool, counts map[uint64]int, err error) {
	runtime.LockOSThread() // ptrace belongs to a thread
	defer runtime.UnlockOSThread()
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrashInRewrite$")
	cmd.Env = append(os.Environ(), "ASS_TEST_CRASH="+path+"\x1f"+keyFile, "ASS_TEST_ACT="+act)
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		return false, nil, err
	}
	pid := cmd.Process.Pid
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
		return false, nil, err
	}
	const exitKill = 0x100000
	if err := syscall.PtraceSetOptions(pid, syscall.PTRACE_O_TRACECLONE|syscall.PTRACE_O_TRACESYSGOOD|exitKill); err != nil {
		return false, nil, err
	}
	if err := syscall.PtraceSyscall(pid, 0); err != nil {
		return false, nil, err
	}
	inside := map[int]bool{} // threads that are inside of a call
	calls := 0
	counts = map[uint64]int{}
	for {
		tid, err := syscall.Wait4(-1, &status, syscall.WALL, nil)
		if err != nil {
			return false, nil, err
		}
		if status.Exited() || status.Signaled() {
			if tid == pid {
				if status.Exited() && status.ExitStatus() != 0 {
					return false, nil, fmt.Errorf("the child failed with %d", status.ExitStatus())
				}
				return false, counts, nil
			}
			continue
		}
		deliver := 0
		switch sig := status.StopSignal(); {
		case sig == syscall.SIGTRAP|0x80:
			if inside[tid] = !inside[tid]; inside[tid] && touchesFile(tid) {
				counts[callNumber(tid)]++
				if calls++; calls == n {
					_ = syscall.Kill(pid, syscall.SIGKILL)
					for {
						if tid, err := syscall.Wait4(-1, &status, syscall.WALL, nil); err != nil || tid == pid && status.Signaled() {
							return true, nil, nil
						}
					}
				}
			}
		case sig == syscall.SIGTRAP, sig == syscall.SIGSTOP:
		default:
			deliver = int(sig)
		}
		_ = syscall.PtraceSyscall(tid, deliver)
	}
}

// touchesFile reports whether the call that a thread enters could change a file
// or a folder. The test binary makes such calls before the rewrite as well,
// which does no harm.
func touchesFile(tid int) bool {
	switch callNumber(tid) {
	case syscall.SYS_OPENAT, syscall.SYS_WRITE, syscall.SYS_PWRITE64, syscall.SYS_FSYNC, syscall.SYS_FDATASYNC,
		syscall.SYS_FTRUNCATE, syscall.SYS_UNLINKAT, syscall.SYS_RENAMEAT, syscall.SYS_FLOCK, syscall.SYS_MKDIRAT:
		return true
	}
	return otherFileCall(callNumber(tid))
}
