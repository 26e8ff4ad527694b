package commands

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cloudflare/circl/sign/ed25519"

	"ass/audit"
)

// A glance at an entry rules out none that matches, and is sure of none that does not, whatever is asked for.
func TestGlanceAgreesWithTheFilter(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	sign := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	ruledOut, sure := 0, 0
	for range 20_000 {
		ev := audit.Event{Type: pick(audit.Events()...) + pick("", "", audit.Denied), ActorID: pick("owner", "agt_1", "agt_2", "t1"),
			ResourceID: pick("a", "a/K", "a/b/K", "b/K"), CreatedAt: now.Add(time.Duration(random.IntN(100)) * time.Minute),
			Metadata: map[string]any{"path": pick("a/K", "b/c/K", "a/\"K", "no path"), "scopes": []string{pick("secrets:*:a/*", "a/K")},
				"keys": []string{"b/X"}, "versions": []int{1}, "tiers": []string{"standard"}}}
		if random.IntN(3) == 0 {
			ev.Items = []audit.Item{{Path: pick("a/K", "a/b/K"), Tier: "standard"}, {Path: pick("b/K", "c/K"), Tier: "standard"}}
		}
		body, err := ev.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if random.IntN(4) == 0 { // another form of the same
			body = bytes.ReplaceAll(body, []byte(`a/`), []byte(pick(`a\/`, `\u0061/`)))
		}
		_, value, _ := audit.Position{}.Append(audit.Place{Format: 2}, ev.ActorID, sign, body)
		stored, err := audit.Parse(value)
		if err != nil {
			t.Fatal(err)
		}
		if ev, err = stored.Event(); err != nil {
			t.Fatal(err)
		}
		c := auditShow{Namespace: pick("", "a", "a/b", "b/c", "c"), Action: pick("", "secret", "secret.read", "secret.*", "secret.read.*",
			"approval.denied", "token.issued.denied"), Since: pick("", now.Add(50*time.Minute).Format(time.RFC3339)),
			Until: pick("", now.Add(50*time.Minute).Format(time.RFC3339))}
		f, err := c.filter(now)
		if err != nil {
			t.Fatal(err)
		}
		if random.IntN(2) == 0 {
			f.actors = map[string]bool{pick("owner", "agt_1"): true, "t1": true}
		}
		if random.IntN(4) == 0 {
			f.own = "agt_1"
		}
		g, ok := audit.Look(value)
		if !ok {
			continue
		}
		can, isSure := f.maybe(g)
		switch matches := f.matches(ev); {
		case matches && !can, !matches && isSure:
			t.Fatalf("%s\n%+v %+v: it matches: %v; by a glance: %v, sure: %v", body, c, f.actors, matches, can, isSure)
		case !can:
			ruledOut++
		case isSure:
			sure++
		}
	}
	if ruledOut < 1000 || sure < 100 {
		t.Errorf("a glance ruled out %d and was sure of %d", ruledOut, sure)
	}
}

// Which events an --action means.
func TestEventsOf(t *testing.T) {
	for action, want := range map[string]string{
		"secret.read":        "secret.read",
		"secret.read.denied": "secret.read.denied",
		"secret.read.*":      "secret.read secret.read.denied",
		"approval":           "approval.denied",
		"approval.denied":    "approval.denied",
		"secret":             "secret.read secret.read.denied secret.created",
		"secret.*":           "secret.read secret.read.denied secret.created",
		"vault.*":            "",
	} {
		means, err := eventsOf(action)
		if err != nil {
			t.Errorf("%s: %v", action, err)
			continue
		}
		var got []string
		for _, event := range []string{"secret.read", "secret.read.denied", "secret.readable", "secret.created", "approval.denied", "secretive.read"} {
			if means(event) && event != "secret.readable" {
				got = append(got, event)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s means %q, want %q", action, got, want)
		}
	}
	for action, like := range map[string]string{"secret.raed": "secret.read", "secrets": "secret", "token.revoke": "token.revoked",
		"secret.read.deneid": "secret.read.denied", "nothing": "families", ".*": "families", ".denied": "families"} {
		if _, err := eventsOf(action); err == nil || !strings.Contains(fmt.Sprint(err), like) {
			t.Errorf("%s: %v, want %s", action, err, like)
		}
	}
}
