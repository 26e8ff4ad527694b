package audit

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// entryOf stores a body as an entry has it.
func entryOf(body []byte) []byte {
	return Entry{Format: 2, By: Owner, Body: body, Sig: make([]byte, 64), OMAC: make([]byte, MACSize)}.encode()
}

// Whatever the body of an entry is: if the entry can be read, a glance says what reading it says.
func FuzzGlance(f *testing.F) {
	whole := Event{ID: "i", Type: SecretRead, ActorID: "agt_1", ActorType: Agent, ResourceType: "secret", ResourceID: "a/K",
		Metadata: map[string]any{"reason": `say "why"`, "n": 1.0, "list": []any{"x"}}, CreatedAt: time.Unix(1e9, 5e6), Epoch: 3,
		Items: []Item{{Path: "a/K", Version: 1, Tier: "standard"}}, Roots: []string{"r1", "r2"}}
	for _, ev := range []Event{{}, whole, {Type: SecretRead, ActorID: Owner, Metadata: map[string]any{"created_at": "2001-01-01T00:00:00Z"}}} {
		body, err := ev.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body, "a/K")
	}
	f.Add([]byte(`{"id":"","event_type":"x","actor_id":"owner","created_at":"2001-01-01T00:00:00Z","metadata":{"created_at":"2002-01-01T00:00:00Z"}}`), "x")
	f.Add([]byte(`{"id":"","event_type":"x","actor_id":"owner","metadata":{"a":",\"created_at\":\"2002-01-01T00:00:00Z\"}"}}`), "x")
	f.Add([]byte(`{"id":"","event_type":"secret.re\u0061d","actor_id":"owner"}`), "read")
	f.Add([]byte(`{"actor_id":"owner","id":"","event_type":"x","resource_id":"\u0061/K"}`), "a/K")
	f.Fuzz(func(t *testing.T, body []byte, text string) {
		value := entryOf(body)
		g, ok := Look(value)
		e, err := Parse(value)
		if err != nil {
			t.Fatal(err)
		}
		ev, err := e.Event()
		if !ok || err != nil {
			return
		}
		if string(g.Type) != ev.Type || string(g.Actor) != ev.ActorID || string(g.By) != e.By {
			t.Errorf("a glance: %s %q %q; the entry: %q %q", g.By, g.Type, g.Actor, ev.Type, ev.ActorID)
		}
		if at, ok := g.CreatedAt(); ok && !at.Equal(ev.CreatedAt) {
			t.Errorf("a glance: %v; the entry: %v", at, ev.CreatedAt)
		}
		if resource, ok := g.Resource(); ok && string(resource) != ev.ResourceID {
			t.Errorf("a glance: %q; the entry: %q", resource, ev.ResourceID)
		}
		if path, ok := g.Secret(); ok && (ev.CountSecrets() != 1 || ev.Secrets()[0].Path != path || ev.About() != path) {
			t.Errorf("a glance: %q; the entry: %q", path, ev.About())
		}
		if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(`"\<>&`, r) }) {
			return
		}
		if texts := []string{ev.ID, ev.Type, ev.ActorID, ev.ResourceID, ev.ResourceType}; g.Lacks(text) &&
			slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(s, text) }) {
			t.Errorf("a glance says that %q is not in %q", text, texts)
		}
	})
}

// A glance says all of an entry that ass wrote.
func TestGlance(t *testing.T) {
	when := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)
	for _, ev := range []Event{
		{Type: SecretRead, ActorID: "agt_1", ResourceID: "a/K", CreatedAt: when},
		{Type: VaultRewritten, ActorID: Owner, Epoch: 7, CreatedAt: when, Roots: []string{"x", "y"}, Metadata: map[string]any{"a": "b"}},
		{Type: SecretCreated, ActorID: Owner, CreatedAt: when, Roots: []string{"x"}},
	} {
		body, err := ev.Encode()
		if err != nil {
			t.Fatal(err)
		}
		g, ok := Look(entryOf(body))
		at, known := g.CreatedAt()
		if !ok || string(g.Type) != ev.Type || string(g.Actor) != ev.ActorID || !known || !at.Equal(when) {
			t.Errorf("%s: %v %q %q %v %v", body, ok, g.Type, g.Actor, known, at)
		}
		if path, ok := g.Secret(); ok != strings.HasPrefix(ev.Type, "secret.") || path != ev.ResourceID {
			t.Errorf("%s: about %q, %v", body, path, ok)
		}
		if resource, ok := g.Resource(); !ok || string(resource) != ev.ResourceID {
			t.Errorf("%s: about %q, %v", body, resource, ok)
		}
		if g.Lacks(ev.Type) || !g.Lacks("nowhere") {
			t.Errorf("%s: it has %s, and not nowhere", body, ev.Type)
		}
	}
	for _, value := range [][]byte{nil, []byte("x"), entryOf(nil), entryOf([]byte(`{"event_type":"x"}`))} {
		if g, ok := Look(value); ok {
			t.Errorf("%q: a glance says %q", value, g.Type)
		}
	}
}

// The list of events has every constant that is one.
func TestEvents(t *testing.T) {
	source, err := os.ReadFile("event.go")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, m := range regexp.MustCompile(`(?m)^\t\w+ += "(\w+\.\w+)"`).FindAllSubmatch(source, -1) {
		want = append(want, string(m[1]))
	}
	if got := Events(); len(want) < 20 || !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}
