package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"ass/commands"
	"ass/e2e/limits"
	"ass/e2e/world"
	"ass/vault/device/devicetest"
)

func TestMain(m *testing.M) {
	limits.Set()
	if err := os.Setenv("GORACE", world.RaceOptions); err != nil {
		panic(err)
	}
	ass := commands.Program{WorkFactor: 10}.Main // many stories set a passphrase
	testscript.Main(m, map[string]func(){
		"ass":                         ass,
		"ass-askpass":                 ass, // links to ass
		"docker-credential-ass":       ass,
		"docker-credential-ass-write": ass,
		"git-credential-ass":          ass,
		devicetest.Program:            devicetest.Main,
		"ass-piped":                   commands.Program{Stderr: struct{ io.Writer }{os.Stderr}}.Main, // a stream of its own
	})
}

// TestScript runs the stories in testdata/script. Each story has its own HOME. At its end,
// every vault of the story is checked: each page, record, signature, value and log entry.
// The values in stories contain the marker, and no file under HOME may contain it.
func TestScript(t *testing.T) {
	world.TakeHangups()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Condition: func(cond string) (bool, error) {
			if cond != "race" {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			return world.UnderRace, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"checkvaults": checkVaultsCmd,
			"damaged":     damagedCmd,
			"exits":       exitsCmd,
			"flipbyte":    flipByteCmd,
			"follow":      followCmd,
			"keep":        keepCmd,
			"mode":        modeCmd,
			"nomarker":    noMarkerCmd,
			"repeat":      repeatCmd,
		},
	})
}

const damagedKey = "damaged"

func setup(env *testscript.Env) error {
	home := filepath.Join(env.WorkDir, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		return err
	}
	env.Setenv("HOME", home)
	env.Setenv("TZ", "UTC")
	env.Setenv("GORACE", world.RaceOptions)
	env.Setenv("VAULT", filepath.Join(home, ".local/share/ass/vault.db"))
	golden, err := filepath.Abs("vault/testdata/golden") // vaults that earlier programs made
	if err != nil {
		return err
	}
	env.Setenv("GOLDEN", golden)
	env.Setenv("CONFIG", filepath.Join(home, ".config/ass/config.json"))
	if runtime.GOOS == "windows" { // the same folders, which the stories name
		for name, dir := range map[string]string{"USERPROFILE": "", "XDG_DATA_HOME": ".local/share",
			"XDG_CONFIG_HOME": ".config", "XDG_STATE_HOME": ".local/state"} {
			env.Setenv(name, filepath.Join(home, dir))
		}
	}
	damaged := new(bool)
	env.Values[damagedKey] = damaged
	t := env.T().(testing.TB)
	env.Defer(func() {
		if t.Failed() {
			return
		}
		if found := world.FindMarker(home); found != "" {
			t.Errorf("at the end of the story, %s holds a value in clear", found)
		}
		if !*damaged {
			for _, problem := range world.CheckVaults(env.WorkDir) {
				t.Errorf("at the end of the story: %s", problem)
			}
		}
	})
	return nil
}

// checkvaults
//
// Checks every vault of the story now, in the same way as at its end.
func checkVaultsCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: checkvaults")
	}
	for _, problem := range world.CheckVaults(ts.MkAbs("$WORK")) {
		ts.Fatalf("%s", problem)
	}
}

// damaged
//
// Says that the story damages its vault, or leaves no unencrypted owner key. Its vaults
// are then not checked at the end.
func damagedCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: damaged")
	}
	*ts.Value(damagedKey).(*bool) = true
}

// exits CODE PROGRAM [ARG...]
//
// Runs a program that must end with this exit code; exec cannot check the code. If ass
// fails, stderr must end with an error line, without a stack trace or the marker.
func exitsCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code program [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
	stderr := ts.ReadFile("stderr")
	if want != 0 && args[1] == "ass" {
		last := stderr[strings.LastIndex(strings.TrimSuffix(stderr, "\n"), "\n")+1:]
		if !strings.HasPrefix(last, "ass: ") && !strings.HasPrefix(last, `{"error":`) {
			ts.Fatalf("stderr does not end with an error line")
		}
		if strings.Contains(stderr, "goroutine ") || strings.Contains(stderr, world.Marker) {
			ts.Fatalf("stderr holds a stack trace or a value")
		}
	}
}

// flipbyte FILE OFFSET|TEXT
//
// Inverts one byte. A negative offset counts from the end. A text, which may have escapes as in Go, stands
// for the byte 60 bytes behind it, wherever it is in the file.
func flipByteCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flipbyte file offset")
	}
	path := ts.MkAbs(args[0])
	b, err := os.ReadFile(path)
	ts.Check(err)
	if at, err := strconv.Atoi(args[1]); err == nil {
		if at < 0 {
			at += len(b)
		}
		b[at] ^= 0xff
	} else {
		text, err := strconv.Unquote(`"` + args[1] + `"`)
		ts.Check(err)
		for at := 0; ; at++ {
			i := bytes.Index(b[at:], []byte(text))
			if i < 0 {
				break
			}
			at += i
			b[at+60] ^= 0xff
		}
	}
	ts.Check(os.WriteFile(path, b, 0o600))
}

// follow FILE PATTERN
//
// Waits until a line of the file, which a background command writes, matches.
func followCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: follow file pattern")
	}
	pattern := regexp.MustCompile("(?m)" + args[1])
	for range 200 {
		if b, err := os.ReadFile(ts.MkAbs(args[0])); err == nil && pattern.Match(b) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	b, _ := os.ReadFile(ts.MkAbs(args[0]))
	ts.Fatalf("no line of %s matches %s:\n%s", args[0], args[1], b)
}

// keep VARIABLE REGEXP [FILE]
//
// Sets a variable to the match of the expression's first group in stdout, or in the file.
func keepCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: keep variable regexp [file]")
	}
	from := "stdout"
	if len(args) == 3 {
		from = args[2]
	}
	m := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(ts.ReadFile(from))
	if len(m) != 2 {
		ts.Fatalf("%s has no group in %s", args[1], from)
	}
	ts.Setenv(args[0], m[1])
}

// mode FILE OCTAL
//
// Checks the permissions of a file.
func modeCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode file octal")
	}
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[1] {
		ts.Fatalf("%s has mode %s, want %s", args[0], got, args[1])
	}
}

// nomarker
//
// Checks that no file under HOME contains the marker.
func noMarkerCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: nomarker")
	}
	if found := world.FindMarker(ts.Getenv("HOME")); found != "" {
		ts.Fatalf("%s holds a value in clear", found)
	}
}

// repeat FILE COUNT TEXT
//
// Writes a file with COUNT copies of the text.
func repeatCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: repeat file count text")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), bytes.Repeat([]byte(args[2]), n), 0o600))
}
