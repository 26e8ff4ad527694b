package e2e

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestChangelog holds the changelog to its form: what is not released is on top, and below it the versions, each with its
// date, the newest first, down to 0.1.0. What a version has is under a heading, in a list.
func TestChangelog(t *testing.T) {
	b, err := os.ReadFile(fromRoot("CHANGELOG.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range changelogProblems(string(b)) {
		t.Error(problem)
	}
	for _, c := range []struct{ before, after, says string }{
		{"## Unreleased\n", "## Coming\n", "begins with"},
		{"## 0.2.0 - ", "## 0.20.0 - ", "stands above"},
		{"## 0.2.0 - 2026", "## 0.2.0 - 2025", "stands above"},
		{"## 0.2.0 - 2026-", "## 0.2.0 - 2026-9", "no version and date"},
		{"## 0.1.0 - ", "## 0.1.1 - ", "ends with"},
		{"\n### Added\n", "\n### News\n", "heading"},
	} {
		text := strings.Replace(string(b), c.before, c.after, 1)
		if found := changelogProblems(text); !strings.Contains(strings.Join(found, "\n"), c.says) {
			t.Errorf("with %q in the place of %q: %q", c.after, c.before, found)
		}
	}
}

func changelogProblems(text string) (problems []string) {
	say := func(words ...string) { problems = append(problems, "CHANGELOG.md: "+strings.Join(words, " ")) }
	sections := strings.Split("\n"+text, "\n## ")[1:]
	release := regexp.MustCompile(`^(\d+)\.(\d+)\.(\d+) - (\d{4}-\d{2}-\d{2})$`)
	var above []int // the version above
	var aboveName, aboveDate string
	for i, section := range sections {
		name, rest, _ := strings.Cut(section, "\n")
		for line := range strings.Lines(rest) {
			line = strings.TrimRight(line, "\n")
			heading, is := strings.CutPrefix(line, "### ")
			switch {
			case is && !slices.Contains([]string{"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}, heading):
				say(name, "has an unknown heading:", heading)
			case !is && line != "" && !strings.HasPrefix(line, "- ") && !strings.HasPrefix(line, "  "):
				say(name, "has a line that is in no list:", line)
			}
		}
		if !strings.Contains(rest, "\n- ") && i > 0 {
			say(name, "says nothing")
		}
		if i == 0 {
			if name != "Unreleased" {
				say("it begins with", name)
			}
			continue
		}
		m := release.FindStringSubmatch(name)
		if m == nil {
			say(name, "is no version and date")
			continue
		}
		var version []int
		for _, n := range m[1:4] {
			number, _ := strconv.Atoi(n)
			version = append(version, number)
		}
		if date := m[4]; aboveName != "" && (slices.Compare(version, above) >= 0 || date > aboveDate) {
			say(aboveName, "stands above", name)
		} else if _, err := time.Parse(time.DateOnly, date); err != nil {
			say(name, "is no version and date")
		}
		above, aboveName, aboveDate = version, name, m[4]
	}
	if !strings.HasPrefix(aboveName, "0.1.0 ") {
		say("it ends with", aboveName)
	}
	return problems
}
