package audit

import (
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
)

// An act on many secrets is one entry: a run that gets a thousand secrets makes one signature, not a thousand. What
// does not fit into a body goes on in further entries.

// Sizes of a body, in bytes. A writer splits a list that would not fit into MaxBody. A reader refuses a body that is
// larger than MaxRead, but for the imports that vaults of format 1 have, which were never split.
const (
	MaxBody = 64 << 10
	MaxRead = 1 << 20
)

// MaxItems is how many bytes of a body the items may take. The rest is for the other fields: the roots of the batches
// take up to an eighth of that.
const MaxItems = 55 << 10

// Item is one secret in an entry about several.
type Item struct {
	Path     string `json:"path"`               // Path of the secret.
	Version  uint64 `json:"version"`            // Version that was read or written.
	Tier     string `json:"tier"`               // Tier of the secret.
	Type     string `json:"type,omitempty"`     // Type of a secret that was imported; absent for custom.
	Approval string `json:"approval,omitempty"` // Request whose approval allowed it.

	// In an entry about a move or a copy, each secret is two items: its old path, with where it goes to, and its new
	// path, with where it comes from. So whoever looks for either path finds the entry.
	To   string `json:"to,omitempty"`
	From string `json:"from,omitempty"`

	// Sum is that of the version that was written, in an entry of format 1. No list has it.
	Sum string `json:"-"`
}

// Size returns how many bytes the item takes in a body, with the comma behind it. The texts are those that ass writes,
// which need no escapes.
func (i Item) Size() int {
	n := len(`{"path":"","version":,"tier":""},`) + len(i.Path) + len(strconv.FormatUint(i.Version, 10)) + len(i.Tier)
	optional := func(text, name string) {
		if text != "" {
			n += len(`,"":""`) + len(name) + len(text)
		}
	}
	optional(i.Type, "type")
	optional(i.Approval, "approval")
	optional(i.To, "to")
	optional(i.From, "from")
	return n
}

// Secrets returns what the event says of each secret, in any of the forms that an entry can have: of one secret, with a
// list, or an import in a vault of format 1. It returns nothing for an event that is not about secrets.
func (e Event) Secrets() []Item {
	switch {
	case len(e.Items) > 0:
		return e.Items
	case !strings.HasPrefix(e.Type, "secret."):
		return nil
	case e.Type == SecretImported:
		return e.imported()
	}
	text := func(name string) string { text, _ := e.Metadata[name].(string); return text }
	return []Item{{Path: e.ResourceID, Version: wholeNumber(e.Metadata["version"]), Tier: text("tier"), Type: text("type"),
		Approval: text("approval"), Sum: text("sum")}}
}

// imported returns the secrets of an import in a vault of format 1. Its metadata has lists of equal length: keys,
// versions, tiers and, in newer ones, sums.
func (e Event) imported() (items []Item) {
	keys, versions, tiers, sums := e.list("keys"), e.list("versions"), e.list("tiers"), e.list("sums")
	text := func(list []any, i int) (text string) {
		if i < len(list) {
			text, _ = list[i].(string)
		}
		return text
	}
	for i := range keys {
		item := Item{Path: e.ResourceID + "/" + text(keys, i), Tier: text(tiers, i), Sum: text(sums, i)}
		if i < len(versions) {
			item.Version = wholeNumber(versions[i])
		}
		items = append(items, item)
	}
	return items
}

// Texts returns the strings of a list in the metadata of an event; none for anything else.
func Texts(list any) []string {
	items, _ := list.([]any)
	texts := []string{}
	for _, x := range items {
		if text, ok := x.(string); ok {
			texts = append(texts, text)
		}
	}
	return texts
}

func (e Event) list(name string) []any { list, _ := e.Metadata[name].([]any); return list }

// wholeNumber returns a number in a JSON map as a whole one, and 0 for anything else.
func wholeNumber(x any) uint64 {
	n, _ := x.(float64)
	if n >= math.MaxUint64 {
		return math.MaxUint64
	}
	return uint64(max(n, 0))
}

// CountSecrets returns how many secrets the event is about.
func (e Event) CountSecrets() int {
	switch {
	case len(e.Items) > 0:
		return len(e.Items)
	case !strings.HasPrefix(e.Type, "secret."):
		return 0
	case e.Type == SecretImported:
		return len(e.list("keys"))
	}
	return 1
}

// Moves reports whether the event is a move or a copy: then each secret of its list is two items.
func (e Event) Moves() bool { return e.Type == SecretMoved || e.Type == SecretCopied }

// About says, for people, what the event is about: a path, an id, or how many secrets and where they are.
func (e Event) About() string {
	n := e.CountSecrets()
	if e.Moves() && n == 2 {
		for _, item := range e.Items {
			if item.From != "" {
				return item.From + " → " + item.Path
			}
		}
	}
	if e.Moves() {
		n /= 2
	}
	switch {
	case n == 1:
		return e.Secrets()[0].Path
	case n > 1 && e.ResourceID == "":
		return fmt.Sprintf("%d secrets", n)
	case n > 1:
		return fmt.Sprintf("%d secrets in %s", n, e.ResourceID)
	}
	return e.ResourceID
}

// CommonNamespace returns the deepest namespace that holds all items, which are in the order of their paths; "" if
// there is none.
func CommonNamespace(items []Item) string {
	if len(items) == 0 {
		return ""
	}
	first, last := items[0].Path, items[len(items)-1].Path // what these share, all share
	n := 0
	for n < len(first) && n < len(last) && first[n] == last[n] {
		n++
	}
	return first[:max(strings.LastIndexByte(first[:n], '/'), 0)]
}

// ItemsProblem returns the first fault in the form of the event's list; "" if the list is in order, or if there is none.
func (e Event) ItemsProblem() string {
	if e.Items == nil {
		if e.Moves() {
			return "it has no list of secrets"
		}
		if e.Type != SecretImported {
			return ""
		}
		n := len(e.list("keys"))
		if sums := e.Metadata["sums"]; n != len(e.list("versions")) || n != len(e.list("tiers")) || sums != nil && n != len(e.list("sums")) {
			return "it is not a valid import"
		}
		return ""
	}
	if e.Type != SecretRead && e.Type != SecretImported && !e.Moves() {
		return "it has a list of secrets, which is only for reads and imports, moves and copies"
	}
	if len(e.Items) == 0 {
		return "its list of secrets is empty"
	}
	for i := range e.Items[1:] {
		switch strings.Compare(e.Items[i].Path, e.Items[i+1].Path) {
		case 0:
			return fmt.Sprintf("its list has %q twice", Short(e.Items[i].Path))
		case 1:
			return fmt.Sprintf("its list is not in order at %q", Short(e.Items[i+1].Path))
		}
	}
	if common := CommonNamespace(e.Items); e.ResourceID != common {
		return fmt.Sprintf("it names %q, but the secrets of its list are in %q", Short(e.ResourceID), Short(common))
	}
	return pairsProblem(e.Items, e.Moves())
}

// pairsProblem returns the first fault in the pairs of a move or a copy; "" if each old path has its new one, and
// each new one its old one. Other lists have no pairs. The list is in order.
func pairsProblem(list []Item, moves bool) string {
	find := func(path string) *Item {
		i, found := sort.Find(len(list), func(i int) int { return strings.Compare(path, list[i].Path) })
		if !found {
			return &Item{}
		}
		return &list[i]
	}
	for i := range list {
		item, paired := &list[i], false
		switch {
		case !moves:
			paired = item.To == "" && item.From == ""
		case item.To != "" && item.From == "":
			paired = find(item.To).From == item.Path
		case item.From != "" && item.To == "":
			paired = find(item.From).To == item.Path
		}
		if !paired {
			return fmt.Sprintf("its list has no other path that goes with %q", Short(item.Path))
		}
	}
	return ""
}
