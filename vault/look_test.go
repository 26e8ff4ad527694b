package vault

import (
	"testing"

	"ass/audit"
)

// An entry concerns a secret if it names it, or a namespace that holds it.
func TestConcerns(t *testing.T) {
	l := looking{wanted: map[string]*toldOf{"a/b/K": {}}}
	for resource, want := range map[string]bool{"a/b/K": true, "a/b": true, "a": true, "": true, "a/b/K2": false, "a/b/": false,
		"a/b/K/x": false, "b": false, "a/bb": false} {
		if l.concerns([]byte(audit.SecretUpdated), []byte(resource)) != want {
			t.Errorf("an entry about %q concerns a/b/K: %v", resource, !want)
		}
		if l.concerns([]byte(audit.SecretRead), []byte(resource)) || l.concerns([]byte(audit.AgentCreated), []byte(resource)) {
			t.Errorf("a read, or an agent, at %q concerns a secret", resource)
		}
	}
}
