package vault

import (
	"testing"
	"time"

	"ass/audit"
)

// What an entry is about is read without its JSON only if it begins as every program writes it.
func TestSubjectIn(t *testing.T) {
	for _, ev := range []audit.Event{
		{ID: "1", Type: audit.SecretCreated, ActorID: audit.Owner, ActorType: audit.Human, ResourceType: "secret", ResourceID: "a/b/K"},
		{ID: "2", Type: audit.SecretImported, ActorID: "agt_1", ActorType: audit.Agent, ResourceType: "secret", ResourceID: "",
			Items: []audit.Item{{Path: "a/K"}, {Path: "b/K"}}, Metadata: map[string]any{"resource_id": "c"}},
		{ID: "3", Type: audit.VaultRewritten, ActorID: audit.Owner, ActorType: audit.Human, ResourceType: "vault", ResourceID: "x"},
	} {
		ev.CreatedAt = time.Now()
		body, err := ev.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if event, resource, plain := subjectIn(body); !plain || string(event) != ev.Type || string(resource) != ev.ResourceID {
			t.Errorf("%s: %q about %q, %v", body, event, resource, plain)
		}
	}
	for _, body := range []string{
		"", "{}", `{"id":"1"}`, `{"id":"1","event_type":"secret.created"}`,
		`{"event_type":"secret.created","id":"1","actor_id":"owner","actor_type":"human","resource_type":"secret","resource_id":"a/K","metadata":{}}`,
		`{"id":"1", "event_type":"secret.created","actor_id":"owner","actor_type":"human","resource_type":"secret","resource_id":"a/K","metadata":{}}`,
		`{"id":"1","event_type":"secret.created","actor_id":"owner","actor_type":"human","resource_type":"secret","resource_id":"a\/K","metadata":{}}`,
		`{"id":"1","event_type":"secret.created","actor_id":"owner","actor_type":"human","resource_type":"secret","resource_id":"a/K"}`,
		`{"id":"1","event_type":"secret.created","actor_id":"owner","actor_type":"human","resource_type":"secret","resource_id":"a/K`,
	} {
		if event, resource, plain := subjectIn([]byte(body)); plain {
			t.Errorf("%s: %q about %q", body, event, resource)
		}
	}
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
