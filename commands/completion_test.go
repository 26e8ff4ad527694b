package commands

import (
	"fmt"
	"testing"
)

// Where more paths begin like a word than anybody looks through, those that come next are namespaces.
func TestFolded(t *testing.T) {
	var list []candidate
	for i := range 501 {
		list = append(list, candidate{fmt.Sprintf("a/b%d/K", i%2), "custom"})
	}
	for _, c := range []struct {
		current string
		n       int
		want    string
	}{{"", 501, "[{a/ Namespace.}]"}, {"a", 501, "[{a/ Namespace.}]"}, {"a/", 501, "[{a/b0/ Namespace.} {a/b1/ Namespace.}]"}, {"a/b1", 500, ""}, {"a/b0/", 501, ""}} {
		got := fmt.Sprint(inOrder(folded(append([]candidate(nil), list[:c.n]...), c.current)))
		if want := orElse(c.want, "[{a/b0/K custom} {a/b1/K custom}]"); got != want {
			t.Errorf("%d that begin with %q: %s, want %s", c.n, c.current, got, want)
		}
	}
}
