package audit

import (
	"strings"
	"testing"
)

func TestThePairsOfAMove(t *testing.T) {
	list := func(event string, items ...Item) Event {
		for i := range items {
			items[i].Version, items[i].Tier = 1, "standard"
		}
		return Event{Type: event, ResourceType: "namespace", ResourceID: CommonNamespace(items), Items: items}
	}
	for name, c := range map[string]struct {
		ev    Event
		says  string // of the fault in its form; "" for none
		about string
	}{
		"one":    {list(SecretMoved, Item{Path: "a/K", To: "b/K"}, Item{Path: "b/K", From: "a/K"}), "", "a/K → b/K"},
		"a copy": {list(SecretCopied, Item{Path: "a/K", From: "b/K"}, Item{Path: "b/K", To: "a/K"}), "", "b/K → a/K"},
		"two": {list(SecretMoved, Item{Path: "a/b/K", To: "a/c/K"}, Item{Path: "a/b/L", To: "a/c/L"}, Item{Path: "a/c/K", From: "a/b/K"},
			Item{Path: "a/c/L", From: "a/b/L"}), "", "2 secrets in a"},
		"half of one":        {list(SecretMoved, Item{Path: "a/K", To: "b/K"}), `no other path that goes with "a/K"`, ""},
		"to another":         {list(SecretMoved, Item{Path: "a/K", To: "b/L"}, Item{Path: "b/K", From: "a/K"}), `goes with "a/K"`, ""},
		"from another":       {list(SecretMoved, Item{Path: "a/K", To: "b/K"}, Item{Path: "b/K", From: "a/L"}), `goes with "a/K"`, ""},
		"both":               {list(SecretMoved, Item{Path: "a/K", To: "a/K", From: "a/K"}), `goes with "a/K"`, ""},
		"neither":            {list(SecretMoved, Item{Path: "a/K"}, Item{Path: "b/K"}), `goes with "a/K"`, ""},
		"in a list of reads": {list(SecretRead, Item{Path: "a/K", To: "b/K"}, Item{Path: "b/K", From: "a/K"}), `goes with "a/K"`, ""},
		"without a list":     {Event{Type: SecretMoved, ResourceID: "a/K"}, "it has no list of secrets", ""},
		"with an empty list": {Event{Type: SecretCopied, Items: []Item{}}, "its list of secrets is empty", ""},
		"not in their order": {list(SecretMoved, Item{Path: "b/K", From: "a/K"}, Item{Path: "a/K", To: "b/K"}), "not in order", ""},
		"two of them to one": {list(SecretMoved, Item{Path: "a/K", To: "b/K"}, Item{Path: "a/L", To: "b/K"}, Item{Path: "b/K", From: "a/K"}), `goes with "a/L"`, ""},
		"refused":            {list(SecretMoved+Denied, Item{Path: "a/K", To: "b/K"}, Item{Path: "b/K", From: "a/K"}), "only for reads", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if problem := c.ev.ItemsProblem(); c.says == "" && problem != "" || !strings.Contains(problem, c.says) {
				t.Errorf("the fault is %q, want %q", problem, c.says)
			}
			if about := c.ev.About(); c.says == "" && about != c.about {
				t.Errorf("it is about %q, want %q", about, c.about)
			}
			body, err := c.ev.Encode()
			if err != nil {
				t.Fatal(err)
			}
			var quick, strict Event
			if !quickDecode(body, &quick) {
				t.Errorf("it is not read quickly: %s", body)
			}
			if err := decodeStrict(body, &strict); err != nil || len(strict.Items) != len(quick.Items) {
				t.Fatalf("%v: %s", err, body)
			}
			for i, item := range c.ev.Items {
				if quick.Items[i] != item || strict.Items[i] != item {
					t.Errorf("it is read as %+v and %+v", quick.Items[i], strict.Items[i])
				}
			}
			size := 0
			for _, item := range c.ev.Items {
				size += item.Size()
			}
			if from := strings.Index(string(body), `"items":[`); from >= 0 && size > 0 {
				list := string(body)[from+len(`"items":[`):]
				if want := strings.IndexByte(list, ']') + 1; size != want { // with a comma behind the last one
					t.Errorf("its size is %d, want %d", size, want)
				}
			}
		})
	}
}
