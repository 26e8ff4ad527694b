package vault

import (
	"errors"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"testing"

	"ass/tokens"
)

// An insider has the MAC key of the epoch, so it can write a record whose author is known
// only from that record. The search for the author must end. Otherwise an agent could
// block its own revocation. The test runs in a child process, because Go ends a process
// whose stack overflows.
func TestNobodyVouchesForHimself(t *testing.T) {
	const id, id2 = "0f8fad5b-d9cb-469f-a165-70867728950e", "0f8fad5b-d9cb-469f-a165-70867728950f"
	forged := map[string][][3]string{ // bucket, key, by
		"an agent":               {{bucketAgents, "agt_ffffffff", "agt_ffffffff"}},
		"a token":                {{bucketTokens, id, id}},
		"two tokens, each other": {{bucketTokens, id, id2}, {bucketTokens, id2, id}},
	}
	name := os.Getenv("ASS_TEST_FORGED")
	if name == "" {
		for name := range forged {
			child := exec.Command(os.Args[0], "-test.run", "^TestNobodyVouchesForHimself$")
			child.Env = append(os.Environ(), "ASS_TEST_FORGED="+name)
			if out, err := child.CombinedOutput(); err != nil {
				lines := strings.SplitN(string(out), "\n", 4)
				t.Errorf("%s: %v: %s", name, err, strings.Join(lines[:min(3, len(lines))], "; "))
			}
		}
		return
	}
	debug.SetMaxStack(8 << 20)
	v := newVictim(t)
	v.do(func(s *Session) {
		scopes, _ := tokens.ParseScopes("secrets:read:a/*")
		made, k, err := s.CreateAgent(AgentSpec{Name: "insider", Scopes: scopes})
		if err != nil {
			t.Fatal(err)
		}
		as, err := s.v.Agent(k)
		if err != nil {
			t.Fatal(err)
		}
		err = as.commit(func(t *tx) error {
			for _, r := range forged[name] {
				t.by.id = r[2]
				if err := t.put(r[0], []byte(r[1]), true, struct{}{}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if r, err := s.Verify(false); err != nil || len(r.Problems) == 0 {
			t.Errorf("a verification finds nothing: %v", err)
		}
		if _, err = s.RevokeAgent(made.ID, NarrowOptions{}); err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("revoking it: %v", err)
		}
		if name != "an agent" && err != nil {
			t.Errorf("it keeps its revocation from happening: %v", err)
		}
	})
}
