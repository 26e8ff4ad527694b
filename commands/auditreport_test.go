package commands

import (
	"strings"
	"testing"
)

// Whatever a text from the log is, in Markdown it stays in its cell, and is no link, no image, no mention and no HTML.
func TestMarkdownOfHostileTexts(t *testing.T) {
	hostile := "x` | @you <img src=x> [a](b) ![c](d) **e**\n# f\x1b[31m"
	r := reportResult{
		Agents:  []reportAgent{{ID: hostile, Name: hostile, Scopes: []reportScopes{{"", []string{hostile}}}}},
		Tokens:  []reportToken{{TokenID: hostile, Scopes: []string{hostile}, IssuedAt: &hostile}},
		Read:    []reportRow{{Path: hostile, Event: hostile}},
		Refused: []reportRow{{Path: "plain/PATH_X", Event: "secret.read", Reason: hostile}},
		Asked:   []reportAsked{{ID: hostile, Path: hostile, Action: hostile}},
		Other:   []reportRow{{Event: hostile}}, Problems: []string{hostile}, Unverified: hostile,
	}
	text := r.markdown()
	for line := range strings.Lines(text) {
		left := strings.NewReplacer("\\`", "", `\|`, "", `\[`, "", `\]`, "", `\!`, "", `\*`, "", `\#`, "", `\\`, "").Replace(line)
		for _, bad := range []string{"@", "<", "[", "![", "**", "\x1b"} {
			if strings.Contains(left, bad) {
				t.Errorf("%q is in %q", bad, line)
			}
		}
		if strings.HasPrefix(line, "|") && !strings.Contains(line, "---") {
			if n := strings.Count(left, "|"); n < 5 || n > 7 {
				t.Errorf("%d bars in %q", n, line)
			}
		}
		if strings.HasPrefix(line, "# f") {
			t.Errorf("a line of its own: %q", line)
		}
	}
	if !strings.Contains(text, "| `plain/PATH_X` | `secret.read` |") {
		t.Errorf("a plain path is not shown as it is:\n%s", text)
	}
}
