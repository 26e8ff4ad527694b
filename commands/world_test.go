package commands_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"ass/commands"
)

// aWorld is a home with a program in it, which takes nothing from the process.
type aWorld struct {
	t    *testing.T
	home string
	env  []string
}

func newAWorld(t *testing.T, env ...string) *aWorld {
	home := t.TempDir()
	for _, name := range []string{"PATH", "SYSTEMROOT"} {
		env = append(env, name+"="+os.Getenv(name))
	}
	return &aWorld{t, home, append(env, "HOME="+home, "USERPROFILE="+home, "LOCALAPPDATA="+home, "APPDATA="+home)}
}

// run runs ass, and returns what it wrote to stdout.
func (w *aWorld) run(stdin string, args ...string) (stdout, stderr string, exit int) {
	var out, notes bytes.Buffer
	p := commands.Program{Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &notes, Env: w.env, Dir: w.home}
	exit = p.Run(args)
	return out.String(), notes.String(), exit
}

func (w *aWorld) is(want, stdin string, args ...string) {
	w.t.Helper()
	if stdout, stderr, exit := w.run(stdin, args...); exit != 0 || stdout != want {
		w.t.Errorf("ass %q: exit code %d, stdout %q, want %q\n%s", args, exit, stdout, want, stderr)
	}
}

// Fifty programs run at once in this process. Each has its own home, working folder,
// environment and stdin, and nothing of one shows in another or in the process.
func TestManyWorlds(t *testing.T) {
	before, dir := os.Environ(), workingDir(t)
	t.Setenv("ASS_NAMESPACE", "of/the/process")
	t.Setenv("ASS_JSON", "true")
	t.Setenv("ASS_REASON", "") // set and empty: a run must not unset it
	const many = 50
	var all sync.WaitGroup
	for i := range many {
		w := newAWorld(t, fmt.Sprintf("ASS_NAMESPACE=world%d", i), "ASS_PROFILE=")
		all.Go(func() {
			value, ns := fmt.Sprintf("hunter2 of %d", i), fmt.Sprintf("world%d", i)
			w.is("Secret stored at "+ns+"/KEY\n", value, "secrets", "set", "KEY")
			w.is(value, "", "secrets", "get", "KEY")
			if err := os.WriteFile(filepath.Join(w.home, "in.env"), []byte("NUMBER="+fmt.Sprint(i)+"\n"), 0o600); err != nil {
				t.Error(err)
			}
			w.is("Imported 1 secret to "+ns+"\n", "", "env", "import", "in.env")
			w.is("Exported 2 secrets to out.env\n", "", "env", "export", "--output", "out.env")
			if b, err := os.ReadFile(filepath.Join(w.home, "out.env")); err != nil || !strings.Contains(string(b), value) {
				t.Errorf("%d: the export holds %q, %v", i, b, err)
			}
			if runtime.GOOS != "windows" && i%10 == 0 {
				w.is(fmt.Sprintf("%d %s\n", i, w.home), "", "run", "--namespace", ns, "--no-redact", "--", "sh", "-c",
					`echo "$NUMBER $(pwd -P)"`)
			}
			if _, stderr, exit := w.run("", "secrets", "get", "of/the/process/KEY"); exit != 4 {
				t.Errorf("%d: exit code %d: %s", i, exit, stderr)
			}
		})
	}
	all.Wait()
	if workingDir(t) != dir {
		t.Error("the working folder of the process is another one")
	}
	if _, there := os.LookupEnv("ASS_REASON"); !there {
		t.Error("a run unset a variable of the process")
	}
	if now := os.Environ(); len(now) != len(before)+3 {
		t.Errorf("the process had %d variables and has %d", len(before)+3, len(now))
	}
}

// A passphrase on descriptor 0 is read from the program's Stdin, and the descriptor of the
// process stays open.
func TestPassphraseOnStdin(t *testing.T) {
	w := newAWorld(t)
	if _, stderr, exit := w.run("\n", "login", "--passphrase-fd", "0"); exit != 2 || !strings.Contains(stderr, "empty") {
		t.Errorf("exit code %d: %s", exit, stderr)
	}
	for range 3 {
		runtime.GC() // runs what an os.File does when it is collected
		time.Sleep(time.Millisecond)
	}
	if _, err := os.Stdin.Stat(); err != nil {
		t.Error(err)
	}
}

// A child need not read a Stdin that never ends, and is found relative to a relative Dir.
func TestRunInAWorld(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("it needs sh")
	}
	w := newAWorld(t)
	w.is("Secret stored at a/K\n", "hunter2", "secrets", "set", "a/K")
	t.Chdir(filepath.Dir(w.home))
	if err := os.WriteFile(filepath.Join(w.home, "child"), []byte("#!/bin/sh\necho ran\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	var out, notes bytes.Buffer
	endless, end := io.Pipe()
	defer end.Close()
	p := commands.Program{Stdin: endless, Stdout: &out, Stderr: &notes, Env: w.env, Dir: filepath.Base(w.home)}
	done := make(chan int)
	go func() { done <- p.Run([]string{"run", "--env", "K=a/K", "--", "./child"}) }()
	select {
	case exit := <-done:
		if exit != 0 || out.String() != "ran\n" {
			t.Errorf("exit code %d, stdout %q: %s", exit, out.String(), notes.String())
		}
	case <-time.After(10 * time.Second):
		t.Error("it waits for a stdin that does not end")
	}
	w.is("read hunter2-in\n", "hunter2-in", "run", "--env", "K=a/K", "--no-redact", "--", "sh", "-c", `echo "read $(cat)"`)
}

func workingDir(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// BenchmarkInProcess measures commands that a program runs inside of this process, as a test does.
func BenchmarkInProcess(b *testing.B) {
	for _, line := range []string{"status", "secrets get a/KEY", "secrets set a/KEY v", "secrets list a", "env export a"} {
		for name, throwaway := range map[string]bool{"kept": false, "thrown away": true} {
			b.Run(line+", "+name, func(b *testing.B) {
				home := b.TempDir()
				var out bytes.Buffer
				p := commands.Program{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Env: []string{"HOME=" + home}, Dir: home,
					Throwaway: throwaway}
				if exit := p.Run([]string{"secrets", "set", "a/KEY", "value"}); exit != 0 {
					b.Fatal(out.String())
				}
				args := strings.Fields(line)
				b.ReportAllocs()
				for b.Loop() {
					out.Reset()
					if exit := p.Run(args); exit != 0 || out.Len() == 0 {
						b.Fatal(exit, out.String())
					}
				}
			})
		}
	}
}
