package audit

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func manyItems(n int) (list []Item) {
	for i := range n {
		list = append(list, Item{Path: fmt.Sprintf("production/service%04d/KEY%d", i/10, i%10), Version: uint64(i%30 + 1), Tier: "standard"})
	}
	return list
}

// An event can be about secrets in three forms, which say the same.
func TestSecrets(t *testing.T) {
	for name, c := range map[string]struct {
		body  string
		want  []Item
		about string
	}{
		"one": {`"event_type":"secret.read","resource_id":"a/b/K","metadata":{"version":3,"tier":"critical","approval":"x"}`,
			[]Item{{Path: "a/b/K", Version: 3, Tier: "critical", Approval: "x"}}, "a/b/K"},
		"one written": {`"event_type":"secret.updated","resource_id":"a/b/K","metadata":{"version":3,"tier":"standard","type":"api_key","sum":"s"}`,
			[]Item{{Path: "a/b/K", Version: 3, Tier: "standard", Type: "api_key", Sum: "s"}}, "a/b/K"},
		"a refusal": {`"event_type":"secret.read.denied","resource_id":"a/b/K","metadata":{"reason":"scope"}`, []Item{{Path: "a/b/K"}}, "a/b/K"},
		"a list": {`"event_type":"secret.read","resource_id":"a","metadata":{},"items":[{"path":"a/K","version":1,"tier":"standard"},` +
			`{"path":"a/b/K","version":22,"tier":"critical","approval":"x"}]`,
			[]Item{{Path: "a/K", Version: 1, Tier: "standard"}, {Path: "a/b/K", Version: 22, Tier: "critical", Approval: "x"}}, "2 secrets in a"},
		"a list of one": {`"event_type":"secret.imported","resource_id":"a","metadata":{},"items":[{"path":"a/K","version":1,"tier":"standard"}]`,
			[]Item{{Path: "a/K", Version: 1, Tier: "standard"}}, "a/K"},
		"with nothing in common": {`"event_type":"secret.read","resource_id":"","metadata":{},"items":[{"path":"a/K","version":1,"tier":"x"},` +
			`{"path":"b/K","version":1,"tier":"x"}]`,
			[]Item{{Path: "a/K", Version: 1, Tier: "x"}, {Path: "b/K", Version: 1, Tier: "x"}}, "2 secrets"},
		"an import of format 1": {`"event_type":"secret.imported","resource_id":"a/b","metadata":{"keys":["K","L"],"versions":[1,2],` +
			`"tiers":["standard","critical"],"sums":["s","t"]}`,
			[]Item{{Path: "a/b/K", Version: 1, Tier: "standard", Sum: "s"}, {Path: "a/b/L", Version: 2, Tier: "critical", Sum: "t"}}, "2 secrets in a/b"},
		"an older one": {`"event_type":"secret.imported","resource_id":"a/b","metadata":{"keys":["K"],"versions":[1],"tiers":["standard"]}`,
			[]Item{{Path: "a/b/K", Version: 1, Tier: "standard"}}, "a/b/K"},
		"odd numbers": {`"event_type":"secret.imported","resource_id":"a","metadata":{"keys":["K","L","M","N"],"versions":[-1,1e300,"x"],"tiers":[5]}`,
			[]Item{{Path: "a/K"}, {Path: "a/L", Version: 1<<64 - 1}, {Path: "a/M"}, {Path: "a/N"}}, "4 secrets in a"},
		"not about secrets": {`"event_type":"agent.revoked","resource_id":"agt_1","metadata":{}`, nil, "agt_1"},
	} {
		ev := eventIn(t, c.body)
		if got := ev.Secrets(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v", name, got)
		}
		if n := ev.CountSecrets(); n != len(c.want) {
			t.Errorf("%s: counted %d", name, n)
		}
		if got := ev.About(); got != c.about {
			t.Errorf("%s: about %q", name, got)
		}
	}
}

func eventIn(t *testing.T, part string) Event {
	t.Helper()
	e := Entry{Body: []byte(`{` + part + `,"created_at":"2026-06-01T10:30:00Z"}`)}
	ev, err := e.Event()
	if err != nil {
		t.Fatalf("%s: %v", part, err)
	}
	return ev
}

func TestItemsProblem(t *testing.T) {
	const imported = `"event_type":"secret.imported","resource_id":"a/b","metadata":`
	list := func(event, of, paths string) string {
		var items []string
		for p := range strings.FieldsSeq(paths) {
			items = append(items, `{"path":"`+p+`","version":1,"tier":"standard"}`)
		}
		return `"event_type":"` + event + `","resource_id":"` + of + `","metadata":{},"items":[` + strings.Join(items, ",") + `]`
	}
	for _, c := range []struct{ body, problem string }{
		{`"event_type":"secret.read","resource_id":"a/K","metadata":{}`, ""},
		{list("secret.read", "a", "a/K a/b/K a/c"), ""},
		{list("secret.read", "a", "a/bb/K a/bc/K"), ""},
		{list("secret.read", "", "a/K b/K"), ""},
		{list("secret.imported", "a/b", "a/b/K"), ""},
		{list("secret.updated", "a/b", "a/b/K"), "only for reads and imports"},
		{list("secret.read.denied", "a/b", "a/b/K"), "only for reads and imports"},
		{list("vault.compacted", "a/b", "a/b/K"), "only for reads and imports"},
		{list("secret.read", "a/b", ""), "empty"},
		{list("secret.read", "a", "a/K a/L a/L"), `"a/L" twice`},
		{list("secret.read", "a", "a/L a/K"), `not in order at "a/K"`},
		{list("secret.read", "a", "a/b/K a/b/L"), `it names "a", but the secrets of its list are in "a/b"`},
		{list("secret.imported", "a/b", "a/b/K a/c/K"), `are in "a"`},
		{list("secret.read", "a/K", "a/K"), `are in "a"`},
		{imported + `{"keys":["K"],"versions":[1],"tiers":["standard"]}`, ""},
		{imported + `{"keys":["K"],"versions":[1],"tiers":["standard"],"sums":["s"]}`, ""},
		{imported + `{"keys":["K"],"versions":[1,2],"tiers":["standard"]}`, "not a valid import"},
		{imported + `{"keys":["K"],"versions":[1],"tiers":[]}`, "not a valid import"},
		{imported + `{"keys":["K"],"versions":[1],"tiers":["standard"],"sums":[]}`, "not a valid import"},
		{imported + `{"keys":["K"],"versions":[1],"tiers":["standard"],"sums":"s"}`, "not a valid import"},
	} {
		got := eventIn(t, c.body).ItemsProblem()
		if (got == "") != (c.problem == "") || !strings.Contains(got, c.problem) {
			t.Errorf("%s: %q instead of %q", c.body, got, c.problem)
		}
	}
}

// Size says how long an item is in a body.
func TestItemSize(t *testing.T) {
	for _, i := range []Item{
		{}, {Path: "a/K", Version: 1, Tier: "standard"}, {Path: "a/b/K", Version: 10, Tier: "critical", Type: "api_key"},
		{Path: "a/K", Version: 1<<64 - 1, Tier: "x", Approval: "8c6dd8f2-6b35-4c7c-8a4e-7d0f0a1b2c3d"},
		{Path: "a/K", Version: 99, Tier: "x", Type: "custom", Approval: "x", Sum: "not in a list"},
	} {
		b, err := json.Marshal(i)
		if err != nil {
			t.Fatal(err)
		}
		if i.Size() != len(b)+1 {
			t.Errorf("%s has %d bytes, not %d", b, len(b)+1, i.Size())
		}
	}
}

// A body that is larger than any that ass writes is not read, but for an import as format 1 has them.
func TestLargeBody(t *testing.T) {
	large := func(event string) Entry {
		body, err := Event{ID: "8c6dd8f2-6b35-4c7c-8a4e-7d0f0a1b2c3d", Type: event, Metadata: map[string]any{
			"keys": strings.Repeat("x", MaxRead)}}.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return Entry{Body: body}
	}
	if _, err := large(SecretRead).Event(); err == nil || !strings.Contains(err.Error(), "larger than any") {
		t.Error(err)
	}
	if _, err := large(SecretImported).Event(); err != nil {
		t.Error(err)
	}
	body := large(SecretRead).Body
	rest := len(body) - MaxRead
	if _, err := (Entry{Body: slices.Concat(body[:500], body[500+rest:])}).Event(); err != nil {
		t.Error("of the largest size that is read:", err)
	}
}

// BenchmarkItems compares a list of known form with the same list in the metadata.
func BenchmarkItems(b *testing.B) {
	items := manyItems(700)
	ev := Event{ID: "8c6dd8f2-6b35-4c7c-8a4e-7d0f0a1b2c3d", Type: SecretRead, ActorID: Owner, ActorType: Human,
		ResourceType: "namespace", ResourceID: "production", CreatedAt: time.Unix(1e9, 0).UTC()}
	typed, loose := ev, ev
	typed.Items, loose.Metadata = items, map[string]any{"items": items}
	for name, ev := range map[string]Event{"typed": typed, "metadata": loose} {
		body, err := ev.Encode()
		if err != nil {
			b.Fatal(err)
		}
		b.Run("read/"+name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := (Entry{Body: body}).Event(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := typed.Encode(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
