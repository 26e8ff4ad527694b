//go:build unix

package process

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"ass/commands/internal/redact"
)

// shell is a child with streams of its own, as a test of another program has them.
func shell(t *testing.T, script string, stdout, stderr io.Writer) *Child {
	t.Helper()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	nothing := func() {}
	return &Child{Program: sh, Args: []string{"sh", "-c", script}, Env: os.Environ(), Stdin: strings.NewReader(""),
		Stdout: stdout, Stderr: stderr, MaskOut: true, MaskErr: true, Started: nothing, Ended: nothing,
		Needles: redact.New([]redact.Secret{{Key: "KEY", Value: []byte("hunter2-key")}}, redact.Rules{}),
		Warn:    func(text string) { t.Error(text) }}
}

func TestChild(t *testing.T) {
	var out, errs bytes.Buffer
	for _, c := range []struct {
		script, out, errs string
		code              int
	}{
		{"echo a hunter2-key; echo b hunter2-key >&2; exit 3", "a [redacted:KEY]\n", "b [redacted:KEY]\n", 3},
		{"kill -TERM $$", "", "", 143},
		{"printf hunter2-; exec 1>&-; sleep 0.1; exit 4", "hunter2-", "", 4},
	} {
		out.Reset()
		errs.Reset()
		code, err := shell(t, c.script, &out, &errs).Run()
		if err != nil || code != c.code || out.String() != c.out || errs.String() != c.errs {
			t.Errorf("%s: %d, %q, %q: %v", c.script, code, out.String(), errs.String(), err)
		}
	}
	// one writer for both is one stream, in order
	out.Reset()
	want := strings.Repeat("out\nerr\n", 100)
	code, err := shell(t, "i=0; while [ $i -lt 100 ]; do echo out; echo err >&2; i=$((i+1)); done", &out, &out).Run()
	if err != nil || code != 0 || out.String() != want {
		t.Errorf("%d, %q: %v", code, out.String(), err)
	}
}

type failing struct{ after int }

func (f *failing) Write(p []byte) (int, error) {
	if f.after--; f.after < 0 {
		return 0, errors.New("it is full")
	}
	return len(p), nil
}

// A child whose output goes nowhere any more is told so, and the error is not lost.
func TestChildOutputFails(t *testing.T) {
	c := shell(t, "while echo line; do :; done 2>/dev/null; exit 5", &failing{3}, io.Discard)
	warned := ""
	c.Warn = func(text string) { warned = text }
	code, err := c.Run()
	if code != 5 && code != 141 || err != nil || warned != "what the program wrote could not all be passed on: it is full" {
		t.Errorf("%d, %q, %v", code, warned, err)
	}
	start := time.Now()
	if code, err = shell(t, "sleep 0.1; echo line", &failing{0}, io.Discard).Run(); err == nil && code == 0 {
		t.Errorf("%d, %v", code, err)
	}
	if time.Since(start) > 5*time.Second {
		t.Error("it took too long")
	}
}

// Somebody whom the child leaves behind is waited for a second, in a process that goes on with
// something else.
func TestChildLeavesSomebody(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	var out bytes.Buffer
	start := time.Now()
	code, err := shell(t, "(sleep 0.3; echo hunter2-key; sleep 20) & echo now; exit 6", &out, io.Discard).Run()
	if took := time.Since(start); err != nil || code != 6 || took < time.Second || took > 3*time.Second {
		t.Errorf("%d after %v: %v", code, took, err)
	}
	if out.String() != "now\n[redacted:KEY]\n" {
		t.Errorf("%q", out.String())
	}
	// also one that never stops writing, and one that writes a little and often
	for _, writes := range []string{"while echo hunter2-key; do :; done", "while echo hunter2-key; do sleep 0.02; done"} {
		start = time.Now()
		code, err = shell(t, "("+writes+") & exit 7", io.Discard, io.Discard).Run()
		if took := time.Since(start); err != nil || code != 7 || took < time.Second || took > 3*time.Second {
			t.Errorf("%s: %d after %v: %v", writes, code, took, err)
		}
	}
}

// A reader that never ends, and a stdin that nobody reads, keep nothing waiting.
func TestChildStdin(t *testing.T) {
	never, feeds := io.Pipe()
	defer feeds.Close()
	c := shell(t, "echo done", io.Discard, io.Discard)
	c.Stdin = never
	if code, err := c.Run(); err != nil || code != 0 {
		t.Errorf("%d, %v", code, err)
	}
	large := bytes.Repeat([]byte("x"), 1<<20)
	c = shell(t, "sleep 30 <&0 & exit 3", io.Discard, io.Discard)
	c.Give, c.MaskOut, c.MaskErr = &large, false, false
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	c.Stdout, c.Stderr = null, null
	start := time.Now()
	if code, err := c.Run(); err != nil || code != 3 || time.Since(start) > 5*time.Second {
		t.Errorf("%d after %v: %v", code, time.Since(start), err)
	}
}

func TestSameOutput(t *testing.T) {
	var a, b bytes.Buffer
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	again, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	for _, c := range []struct {
		x, y io.Writer
		want bool
	}{{&a, &a, true}, {&a, &b, false}, {null, again, true}, {null, &a, false}, {notComparable{}, notComparable{}, false}} {
		if sameOutput(c.x, c.y) != c.want {
			t.Errorf("%T and %T: %v", c.x, c.y, !c.want)
		}
	}
}

type notComparable struct{ _ []int }

func (notComparable) Write(p []byte) (int, error) { return len(p), nil }
