package vault_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"ass/vault"
	"ass/vault/vaulttest"
)

// Whatever page is damaged, a vault with agents does not say that it has none.
func TestHasAgentsInDamage(t *testing.T) {
	t.Parallel()
	const page = 4096
	v := vaulttest.New(t)
	for i := range 12 {
		v.NewAgent(t, fmt.Sprint("agent-", i), "secrets:read:a/*")
	}
	whole, err := os.ReadFile(v.Path)
	if err != nil {
		t.Fatal(err)
	}
	copied, failed := filepath.Join(t.TempDir(), "vault.db"), 0
	for at := 0; at < len(whole); at += page {
		damaged := append([]byte(nil), whole...)
		clear(damaged[at : at+page])
		if err := os.WriteFile(copied, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		opened, err := vault.Open(copied, v.Opts)
		if err != nil {
			continue
		}
		found, err := opened.HasAgents()
		if err != nil {
			failed++
		} else if !found {
			t.Errorf("without page %d, there are no agents", at/page)
		}
		opened.Close()
	}
	if failed == 0 {
		t.Error("no page of the agents was damaged")
	}
}
