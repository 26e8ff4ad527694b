package commands

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// render prints rows as a terminal of so many columns gets them.
func render(rows [][]cell, wide int, kinds ...column) (lines []string) {
	rows = fitted(rows, kinds, wide)
	widths := widthsOf(rows)
	for _, row := range rows {
		line := ""
		for i, c := range row {
			line += c.text + strings.Repeat(" ", max(0, widths[i]-utf8.RuneCountInString(c.text))+gap)
		}
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return lines
}

func TestTableFits(t *testing.T) {
	const id, path = "0123456789ab", "production/payments/stripe/europe/STRIPE_SECRET_KEY"
	rows := [][]cell{
		{{"ID", ""}, {"SECRET", ""}, {"STATUS", ""}, {"SCOPES", ""}},
		{{id, ""}, {path, ""}, {"pending", ""}, {"secrets:read:production/*,secrets:write:staging/payments/*", ""}},
		{{id, ""}, {"a/K", ""}, {"approved", ""}, {"", ""}},
	}
	for _, wide := range []int{60, 80, 110, 200} {
		t.Run(fmt.Sprint(wide), func(t *testing.T) {
			lines := render(rows, wide, whole, paths)
			all := strings.Join(lines, "\n")
			for _, line := range lines {
				if n := utf8.RuneCountInString(line); n > wide {
					t.Errorf("%d columns: %s", n, line)
				}
			}
			if strings.Count(all, id) != 2 {
				t.Error("an id was cut")
			}
			// no word was broken: what stands in the lines is a word of the table, or has the mark of a cut
			var known []string
			for _, row := range rows {
				for _, c := range row {
					known = append(known, strings.FieldsFunc(strings.ReplaceAll(c.text, ",", ", "), func(r rune) bool { return r == ' ' })...)
				}
			}
			for _, word := range strings.Fields(strings.ReplaceAll(all, ",", ", ")) {
				if !slices.Contains(known, word) && strings.Count(word, "…") != 1 {
					t.Errorf("%q is no word of the table", word)
				}
			}
			if wide == 200 && len(lines) != len(rows) {
				t.Error("a table that fits was folded")
			}
		})
	}
	// a text that no column counts is folded, too
	long := strings.Repeat("word ", 60)
	for _, line := range render([][]cell{{{"a", ""}, {long, ""}}}, 80) {
		if len(line) > 80 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
}

func TestCutMiddle(t *testing.T) {
	for _, x := range []struct {
		text string
		wide int
		want string
	}{
		{"a/b", 3, "a/b"},
		{"production/stripe/KEY", 21, "production/stripe/KEY"},
		{"production/stripe/KEY", 11, "prod…pe/KEY"},
		{"ümlaut/äöü/KEY", 8, "üml…/KEY"},
		{"abcdef", 1, "…"},
		{"abcdef", 0, "…"},
	} {
		if got := cutMiddle(x.text, x.wide); got != x.want {
			t.Errorf("%q in %d: %q", x.text, x.wide, got)
		}
	}
}

func TestVisible(t *testing.T) {
	for _, x := range [][2]string{
		{"plain", "plain"}, {"", ""}, {"a\nb\tc", "a\nb\tc"}, {"größe 宽", "größe 宽"},
		{"\x1b[31mred\x07", `\x1b[31mred\a`}, {"a\r\n", `a\r` + "\n"}, {"\x00", `\x00`}, {"\xff\xfe", `\xff\xfe`},
		{"\u202eevil", `\u202eevil`}, {"\u009b", `\u009b`}, {"it's \"q\" \\", "it's \"q\" \\"}, {"\ufffd", "\ufffd"},
	} {
		if got := string(visible([]byte(x[0]))); got != x[1] {
			t.Errorf("%q: %q", x[0], got)
		}
	}
}
