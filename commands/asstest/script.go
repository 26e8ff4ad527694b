package asstest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"ass/commands"
	"ass/vault"
)

// Main is ass for scripts: it has the clock and the ids of the vault that [Setup] made. The program ass itself never
// takes either from its environment.
func Main() {
	dir := os.Getenv(stateVariable)
	if dir == "" {
		commands.Main()
	}
	h := home{dir}
	h.program(h.ids()).Main()
}

// Cmds are commands for scripts:
//
//	ass-as NAME         from now on, act as an agent of Setup or of ass-agent, or as the owner
//	ass-agent NAME SCOPE...
//	                    register an agent
//	ass-approve [ID...|last]
//	                    approve, as the owner, the requests that wait, or these, or the newest one
//	ass-clock +2h       move the clock of ass
//	ass-exit N ARG...   run ass; its exit code must be N
//
// The clock moves only for [Main].
func Cmds() map[string]func(*testscript.TestScript, bool, []string) {
	cmds := map[string]func(*testscript.TestScript, bool, []string){}
	for name, cmd := range map[string]func(*testscript.TestScript, home, []string) error{
		"ass-as": asCmd, "ass-agent": agentCmd, "ass-approve": approveCmd, "ass-clock": clockCmd, "ass-exit": exitCmd,
	} {
		cmds[name] = func(ts *testscript.TestScript, neg bool, args []string) {
			if neg {
				ts.Fatalf("%s cannot be negated", name)
			}
			if err := cmd(ts, home{ts.Getenv(stateVariable)}, args); err != nil {
				ts.Fatalf("%s: %v", name, err)
			}
		}
	}
	return cmds
}

func asCmd(ts *testscript.TestScript, h home, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: ass-as NAME")
	}
	key := ""
	if args[0] != "owner" {
		var err error
		if key, err = h.key(args[0]); err != nil {
			return err
		}
	}
	ts.Setenv("ASS_AGENT_KEY", key)
	return nil
}

func agentCmd(_ *testscript.TestScript, h home, args []string) error {
	if len(args) < 2 {
		return errors.New("usage: ass-agent NAME SCOPE [SCOPE...]")
	}
	return h.asOwner(func(s *vault.Session) error { return Agent{args[0], args[1:]}.store(s, &h) })
}

func approveCmd(ts *testscript.TestScript, h home, args []string) error {
	return h.asOwner(func(s *vault.Session) error {
		approved, err := approve(s, args)
		ts.Logf("approved: %s", strings.Join(approved, ", "))
		return err
	})
}

func clockCmd(_ *testscript.TestScript, h home, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: ass-clock +DURATION")
	}
	d, err := parseAdvance(args[0])
	if err != nil {
		return err
	}
	return h.clock().Advance(d)
}

func exitCmd(ts *testscript.TestScript, _ home, args []string) error {
	if len(args) < 2 {
		return errors.New("usage: ass-exit CODE ARG [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	if err != nil {
		return errors.New("usage: ass-exit CODE ARG [ARG...]")
	}
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec("ass", args[1:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("exit code %d, want %d", got, want)
	}
	return nil
}

// keep keeps the key of an agent for ass-as.
func (h home) keep(name, key string) error {
	if err := os.MkdirAll(h.at("agents"), 0o700); err != nil {
		return err
	}
	return os.WriteFile(h.keyFile(name), []byte(key), 0o600)
}

// keyFile is the file of an agent's key. Some file systems take A for a, and so its name is in hex.
func (h home) keyFile(name string) string { return h.at("agents", fmt.Sprintf("%x", name)) }

func (h home) key(name string) (string, error) {
	b, err := os.ReadFile(h.keyFile(name))
	if err != nil {
		return "", fmt.Errorf("no agent %q was made by Setup, New or ass-agent", name)
	}
	return string(b), nil
}
