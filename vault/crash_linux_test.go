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
		if got := fmt.Sprint(len(files)); got != "2" { // and the lock
			t.Fatalf("killed at call %d: %s files: %s", kill, got, files)
		}
		outcomes[outcome]++
		if !killed {
			break // it ended before
		}
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
	if _, err := s.Purge(p); err != nil {
		panic(err)
	}
}

// killAtFileCall runs the child under ptrace and kills it when it enters its
// n-th call that touches a file. It reports false if the child ended before.
func killAtFileCall(n int, path, keyFile string) (killed bool, err error) {
	runtime.LockOSThread() // ptrace belongs to a thread
	defer runtime.UnlockOSThread()
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrashInRewrite$")
	cmd.Env = append(os.Environ(), "ASS_TEST_CRASH="+path+"\x1f"+keyFile)
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		return false, err
	}
	pid := cmd.Process.Pid
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
		return false, err
	}
	const exitKill = 0x100000
	if err := syscall.PtraceSetOptions(pid, syscall.PTRACE_O_TRACECLONE|syscall.PTRACE_O_TRACESYSGOOD|exitKill); err != nil {
		return false, err
	}
	if err := syscall.PtraceSyscall(pid, 0); err != nil {
		return false, err
	}
	inside := map[int]bool{} // threads that are inside of a call
	calls := 0
	for {
		tid, err := syscall.Wait4(-1, &status, syscall.WALL, nil)
		if err != nil {
			return false, err
		}
		if status.Exited() || status.Signaled() {
			if tid == pid {
				if status.Exited() && status.ExitStatus() != 0 {
					return false, fmt.Errorf("the child failed with %d", status.ExitStatus())
				}
				return false, nil
			}
			continue
		}
		deliver := 0
		switch sig := status.StopSignal(); {
		case sig == syscall.SIGTRAP|0x80:
			if inside[tid] = !inside[tid]; inside[tid] && touchesFile(tid) {
				if calls++; calls == n {
					_ = syscall.Kill(pid, syscall.SIGKILL)
					for {
						if tid, err := syscall.Wait4(-1, &status, syscall.WALL, nil); err != nil || tid == pid && status.Signaled() {
							return true, nil
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
