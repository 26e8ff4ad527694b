package vault_test

import (
	"fmt"
	"testing"

	"ass/audit"
	"ass/vault"
	"ass/vault/vaulttest"
)

// A filter looks at no entry behind the last one that is asked for, however long the log is.
func TestLogStopsAtItsLimit(t *testing.T) {
	v := vaulttest.New(t)
	for n := range 10 {
		v.Set(t, fmt.Sprintf("a/K%d", n), "x", vault.SetOptions{})
	}
	v.Must(t, func(s *vault.Session) error {
		looked := 0
		created := func(ev audit.Event) bool { looked++; return ev.Type == audit.SecretCreated }
		entries, err := s.Log(3, created)
		if err != nil || len(entries) != 3 || looked != 3 || entries[0].ResourceID != "a/K9" {
			t.Errorf("3 of 10 entries: %d, newest %v; %d were looked at; %v", len(entries), entries, looked, err)
		}
		matching, err := s.CountLog(created)
		if err != nil || matching != 10 {
			t.Errorf("%d entries match, want 10; %v", matching, err)
		}
		all, err := s.CountLog(nil)
		if err != nil || all != 11 {
			t.Errorf("the log has %d entries, want 11; %v", all, err)
		}
		return nil
	})
}
