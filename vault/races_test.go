package vault_test

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ass/audit"
	"ass/vault"
	"ass/vault/vaulttest"
)

// These tests run commands concurrently. Each goroutine opens the vault for itself, as a process
// does.

// atOnce calls fn(0) to fn(n-1) concurrently and returns how many calls succeeded. All others must
// fail with want.
func atOnce(t *testing.T, n int, want error, fn func(int) error) int {
	t.Helper()
	var (
		all  sync.WaitGroup
		won  atomic.Int64
		gate = make(chan struct{})
	)
	for i := range n {
		all.Go(func() {
			<-gate
			switch err := fn(i); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, want):
				t.Errorf("number %d: %v, want %v", i, err, want)
			}
		})
	}
	close(gate)
	all.Wait()
	return int(won.Load())
}

// logged returns the log entries of the given types, oldest first.
func logged(t *testing.T, v *vaulttest.Vault, types ...string) (found []vault.Entry) {
	t.Helper()
	v.Must(t, func(s *vault.Session) error {
		entries, err := s.Log(0, func(e audit.Event) bool {
			for _, name := range types {
				if e.Type == name {
					return true
				}
			}
			return false
		})
		for i := len(entries); i > 0; i-- {
			found = append(found, entries[i-1])
		}
		return err
	})
	return found
}

func TestOneOfManyFindsTheVersion(t *testing.T) {
	v := vaulttest.New(t)
	p := vaulttest.Path(t, "a/K")
	for version := range uint64(5) {
		winner := make(chan string, 8)
		won := atOnce(t, 8, vault.ErrConflict, func(i int) error {
			value := fmt.Sprintf("%d by %d", version, i)
			return v.Do(func(s *vault.Session) error {
				_, _, err := s.Set(p, []byte(value), vault.SetOptions{IfVersion: &version})
				if err == nil {
					winner <- value
				}
				return err
			})
		})
		if won != 1 {
			t.Fatalf("%d of 8 wrote over version %d", won, version)
		}
		if got, err := v.Get(t, "a/K"); err != nil || got != <-winner {
			t.Fatalf("after version %d it is %q, %v", version, got, err)
		}
	}
	if n := len(logged(t, v, audit.SecretCreated, audit.SecretUpdated)); n != 5 {
		t.Errorf("the log tells of %d writes", n)
	}
}

// If several decisions about one request come at once, only one counts. One approval for a
// critical secret serves only one of several concurrent reads.
func TestOneDecision(t *testing.T) {
	v := vaulttest.New(t)
	v.Set(t, "a/K", "critical", vault.SetOptions{Tier: 3})
	for round := range 6 {
		_, agent := v.NewAgent(t, fmt.Sprint("worker", round), "secrets:read:a/*")
		var need *vault.ApprovalError
		if _, err := agent.Get(t, "a/K"); !errors.As(err, &need) {
			t.Fatalf("round %d: %v", round, err)
		}
		var shown []vault.Request
		v.Must(t, func(s *vault.Session) error {
			list, err := s.Requests()
			for _, q := range list {
				if q.ID == need.Requests[0].ID {
					shown = append(shown, q)
				}
			}
			return err
		})
		won := atOnce(t, 6, vault.ErrConflict, func(i int) error {
			return v.Do(func(s *vault.Session) error {
				if (i+round)%2 == 0 {
					return s.Approve(shown)
				}
				return s.Deny(shown, "no")
			})
		})
		var decided []string
		for _, e := range logged(t, v, audit.ApprovalGranted, audit.ApprovalDenied) {
			if e.ResourceID == shown[0].ID {
				decided = append(decided, e.Type)
			}
		}
		if won != 1 || len(decided) != 1 {
			t.Fatalf("round %d: %d decisions counted, and the log tells of %q", round, won, decided)
		}
		before := len(logged(t, v, audit.SecretRead))
		want, refused := 1, vault.ErrApproval
		if decided[0] == audit.ApprovalDenied {
			want, refused = 0, vault.ErrRefused
		}
		read := atOnce(t, 4, refused, func(int) error {
			value, err := agent.Get(t, "a/K")
			if err == nil && value != "critical" {
				t.Errorf("read %q", value)
			}
			return err
		})
		if told := len(logged(t, v, audit.SecretRead)) - before; read != want || told != want {
			t.Errorf("round %d: after %s, %d of 4 reads succeeded, and the log tells of %d", round, decided[0], read, told)
		}
	}
}

// A read either succeeds, and its log entry comes before that of the revocation, or it fails.
func TestRevocationAgainstReads(t *testing.T) {
	v := vaulttest.New(t)
	v.Set(t, "a/K", "value", vault.SetOptions{})
	made, agent := v.NewAgent(t, "worker", "secrets:read:a/*")
	var (
		reads   atomic.Int64
		started sync.WaitGroup
		all     sync.WaitGroup
	)
	for range 4 {
		started.Add(1)
		all.Go(func() {
			for n := 0; ; n++ {
				value, err := agent.Get(t, "a/K")
				if n == 0 {
					started.Done()
				}
				if errors.Is(err, vault.ErrWrongKey) {
					return
				}
				if err != nil || value != "value" {
					t.Errorf("%q, %v", value, err)
					return
				}
				reads.Add(1)
			}
		})
	}
	started.Wait()
	v.Must(t, func(s *vault.Session) error {
		_, err := s.RevokeAgent(made.ID, vault.NarrowOptions{})
		return err
	})
	if _, err := agent.Get(t, "a/K"); !errors.Is(err, vault.ErrWrongKey) {
		t.Errorf("after the revocation: %v", err)
	}
	all.Wait()
	entries := logged(t, v, audit.SecretRead, audit.AgentRevoked)
	if last := entries[len(entries)-1]; last.Type != audit.AgentRevoked || len(entries)-1 != int(reads.Load()) {
		t.Errorf("%d reads, and the log tells of %d entries that end with %s", reads.Load(), len(entries), last.Type)
	}
}

// A command that waits while the file is replaced opens the new file.
func TestWaitersFindTheNewFile(t *testing.T) {
	for name, replace := range map[string]func(*vault.Session) error{
		"compact": func(s *vault.Session) error { return s.Compact("") },
		"rekey":   func(s *vault.Session) error { _, err := s.Rekey(); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := vaulttest.New(t)
			v.Set(t, "a/K", "old", vault.SetOptions{})
			_, agent := v.NewAgent(t, "worker", "secrets:*:a/*")
			before, err := os.Stat(v.Path)
			if err != nil || !os.SameFile(before, before) { // Windows looks only now which file it is
				t.Fatal(err)
			}
			opened, err := vault.Open(v.Path, v.Opts)
			if err != nil {
				t.Fatal(err)
			}
			s, err := opened.Owner(v.Owner)
			if err != nil {
				t.Fatal(err)
			}
			waiting := make(chan struct{}, 16)
			v.Opts.LockTimeout, v.Opts.Waiting = time.Minute, func(string) { waiting <- struct{}{} }
			look := *v
			look.Opts.ReadOnly = true
			newValue := func() error {
				got, err := agent.Get(t, "a/K")
				if err == nil && got != "new" {
					err = fmt.Errorf("the agent read %q", got)
				}
				return err
			}
			acts := []func() error{
				newValue,
				func() error {
					got, err := v.Get(t, "a/K")
					if err == nil && got != "new" {
						err = fmt.Errorf("the owner read %q", got)
					}
					return err
				},
				func() error {
					return look.Do(func(s *vault.Session) error {
						found, _, err := s.History(vaulttest.Path(t, "a/K"))
						if err == nil && found.Version != 2 {
							err = fmt.Errorf("the history ends with version %d", found.Version)
						}
						return err
					})
				},
				func() error {
					return v.Do(func(s *vault.Session) error {
						_, _, err := s.Set(vaulttest.Path(t, "a/MORE"), []byte("more"), vault.SetOptions{})
						return err
					})
				},
				func() error {
					return agent(func(s *vault.Session) error {
						_, _, err := s.Set(vaulttest.Path(t, "a/YET"), []byte("more"), vault.SetOptions{})
						return err
					})
				},
			}
			results := make(chan error, len(acts))
			for _, act := range acts {
				go func() { results <- act() }()
			}
			for range acts {
				select {
				case <-waiting:
				case err := <-results:
					t.Fatalf("one did not wait: %v", err)
				}
			}
			err = replace(s)
			if err == nil {
				_, _, err = s.Set(vaulttest.Path(t, "a/K"), []byte("new"), vault.SetOptions{})
			}
			if err = errors.Join(err, opened.Close()); err != nil {
				t.Error(err)
			}
			for range acts {
				if err := <-results; err != nil {
					t.Error(err)
				}
			}
			if after, err := os.Stat(v.Path); err != nil || os.SameFile(before, after) {
				t.Errorf("the file was not replaced: %v", err)
			}
			v.Opts.Waiting = nil
			for path, want := range map[string]string{"a/K": "new", "a/MORE": "more", "a/YET": "more"} {
				if got, err := v.Get(t, path); err != nil || got != want {
					t.Errorf("%s is %q, %v", path, got, err)
				}
			}
		})
	}
}

// If many owners create a vault at once, each with a different key, only one succeeds. That
// owner's key opens the vault.
func TestOneOfManyMakesTheVault(t *testing.T) {
	path := t.TempDir() + "/vault.db"
	owners := make([]*vault.Identity, 8)
	for i := range owners {
		var err error
		if owners[i], err = vault.NewIdentity(); err != nil {
			t.Fatal(err)
		}
	}
	winner := make(chan int, len(owners))
	won := atOnce(t, len(owners), vault.ErrExists, func(i int) error {
		_, err := vault.Create(path, owners[i], vault.Options{})
		if err == nil {
			winner <- i
		}
		return err
	})
	if won != 1 {
		t.Fatalf("%d vaults were made", won)
	}
	if problems, err := vaulttest.Check(path, owners[<-winner]); err != nil || len(problems) > 0 {
		t.Errorf("%q, %v", problems, err)
	}
}
